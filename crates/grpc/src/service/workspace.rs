//! Workspaces.

use domicile_domain::model::id::WorkspaceId;
use domicile_domain::usecase::CreateWorkspace;
use domicile_proto::v1::{self, workspace_service_server};
use tonic::{Request, Response, Status};

use super::{Services, after_probe, answer, call_of, identity_of, refused};
use crate::convert;
#[tonic::async_trait]
impl workspace_service_server::WorkspaceService for Services {
    async fn create_workspace(
        &self,
        request: Request<v1::CreateWorkspaceRequest>,
    ) -> Result<Response<v1::CreateWorkspaceResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let identity = identity_of(id, &wire);
        let manager = wire.manager.unwrap_or_default();
        let new = CreateWorkspace {
            request: identity,
            handle: wire.handle,
            display_name: wire.display_name,
            default_region: wire.default_region,
            default_language: wire.default_language,
            manager_email: manager.email,
            manager_phone: manager.phone,
            manager: convert::profile_input(manager.profile),
            validate_only: wire.validate_only,
        };
        let created = self.api.create_workspace(&call, &new).await.map_err(refused(&call))?;
        let workspace = created.workspace.as_ref().map_or(WorkspaceId::nil(), |w| w.id);
        let message = v1::CreateWorkspaceResponse {
            notification: convert::notification_name(workspace, created.notice),
            workspace: created.workspace.as_ref().map(convert::workspace),
            manager: created.manager.map(convert::membership),
            consistency_token: created.consistency_token.unwrap_or_default(),
        };
        Ok(after_probe(answer(message, created.replayed), &created.budget))
    }

    async fn get_workspace(
        &self,
        request: Request<v1::GetWorkspaceRequest>,
    ) -> Result<Response<v1::GetWorkspaceResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let workspace = self.api.get_workspace(&call, &wire.workspace, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::GetWorkspaceResponse { workspace: Some(convert::workspace(&workspace)) }))
    }
}
