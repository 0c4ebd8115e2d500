//! Roles.

use domicile_domain::usecase::{CreateRole, DeleteRole, Order, PageRequest, UpdateRole};
use domicile_proto::v1::{self, role_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, changed, identity_of, refused};
use crate::convert;
#[tonic::async_trait]
impl role_service_server::RoleService for Services {
    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Result<Response<v1::ListRolesResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_roles(&call, &wire.workspace, &page, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListRolesResponse {
            roles: page.items.iter().map(convert::role).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn get_role(&self, request: Request<v1::GetRoleRequest>) -> Result<Response<v1::GetRoleResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let role = self.api.get_role(&call, &wire.workspace, &wire.role, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::GetRoleResponse { role: Some(convert::role(&role)) }))
    }

    async fn create_role(
        &self,
        request: Request<v1::CreateRoleRequest>,
    ) -> Result<Response<v1::CreateRoleResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let new = CreateRole {
            handle: wire.handle,
            display_name: wire.display_name,
            permissions: wire.permissions,
            for_externals: wire.for_externals,
        };
        let done = self.api.create_role(&call, &order, &new).await.map_err(refused(&call))?;
        Ok(changed(done, |role, consistency_token| v1::CreateRoleResponse {
            role: role.as_ref().map(convert::role),
            consistency_token,
        }))
    }

    async fn update_role(
        &self,
        request: Request<v1::UpdateRoleRequest>,
    ) -> Result<Response<v1::UpdateRoleResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = UpdateRole {
            role: wire.role,
            paths: wire.update_mask.unwrap_or_default().paths,
            display_name: wire.display_name,
            permissions: wire.permissions,
            for_externals: wire.for_externals,
            etag: wire.etag,
        };
        let done = self.api.update_role(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |done, token| convert::role::updated(done.as_ref(), token)))
    }

    async fn delete_role(
        &self,
        request: Request<v1::DeleteRoleRequest>,
    ) -> Result<Response<v1::DeleteRoleResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = DeleteRole { role: wire.role, etag: wire.etag, force: wire.force };
        let done = self.api.delete_role(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |done, token| convert::role::deleted(done.as_ref(), token)))
    }
}
