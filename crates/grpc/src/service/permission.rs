//! The catalogue of permissions.

use domicile_domain::usecase::{ListPermissions, PageRequest, RegisterPermissions, RetirePermission};
use domicile_proto::v1::{self, permission_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, changed, identity_of, refused};
use crate::convert;

#[tonic::async_trait]
impl permission_service_server::PermissionService for Services {
    async fn register_permissions(
        &self,
        request: Request<v1::RegisterPermissionsRequest>,
    ) -> Result<Response<v1::RegisterPermissionsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let request = RegisterPermissions {
            request: identity_of(id, &wire),
            permissions: wire.permissions.into_iter().map(convert::role::permission_input).collect(),
            validate_only: wire.validate_only,
        };
        let done = self.api.register_permissions(&call, &request).await.map_err(refused(&call))?;
        Ok(changed(done, |entries, _| v1::RegisterPermissionsResponse {
            permissions: entries.unwrap_or_default().iter().map(convert::role::permission).collect(),
        }))
    }

    async fn list_permissions(
        &self,
        request: Request<v1::ListPermissionsRequest>,
    ) -> Result<Response<v1::ListPermissionsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let list = ListPermissions {
            workspace: wire.workspace,
            prefix: wire.prefix,
            show_retired: wire.show_retired,
            page: PageRequest { size: wire.page_size, token: wire.page_token },
            consistency: convert::consistency(wire.consistency),
        };
        let page = self.api.list_permissions(&call, &list).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListPermissionsResponse {
            permissions: page.items.iter().map(convert::role::permission).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn retire_permission(
        &self,
        request: Request<v1::RetirePermissionRequest>,
    ) -> Result<Response<v1::RetirePermissionResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let request = RetirePermission {
            request: identity_of(id, &wire),
            name: wire.permission,
            validate_only: wire.validate_only,
        };
        let done = self.api.retire_permission(&call, &request).await.map_err(refused(&call))?;
        Ok(changed(done, |retired, _| convert::role::retired(retired.as_ref())))
    }
}
