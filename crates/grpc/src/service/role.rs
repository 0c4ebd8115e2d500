//! Roles.

use domicile_domain::usecase::PageRequest;
use domicile_proto::v1::{self, role_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, refused};
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
}
