//! Workspaces.

use domicile_domain::model::id::WorkspaceId;
use domicile_domain::usecase::{CreateWorkspace, Order, PageRequest, UpdateWorkspace, UpdateWorkspacePolicy};
use domicile_proto::v1::{self, workspace_service_server};
use tonic::{Request, Response, Status};

use super::{Services, after_probe, answer, call_of, changed, identity_of, refused};
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

    async fn list_workspaces(
        &self,
        request: Request<v1::ListWorkspacesRequest>,
    ) -> Result<Response<v1::ListWorkspacesResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_workspaces(&call, &page, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListWorkspacesResponse {
            workspaces: page.items.iter().map(convert::workspace_entry).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn update_workspace(
        &self,
        request: Request<v1::UpdateWorkspaceRequest>,
    ) -> Result<Response<v1::UpdateWorkspaceResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = UpdateWorkspace {
            etag: wire.etag,
            update_mask: convert::mask(wire.update_mask),
            display_name: wire.display_name,
            default_region: wire.default_region,
            default_language: wire.default_language,
            notice_languages: wire.notice_languages,
            channels: convert::channels_input(&wire.channels),
            links: convert::links_input(wire.links),
            support_contact: wire.support_contact,
        };
        let done = self.api.update_workspace(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::UpdateWorkspaceResponse {
            workspace: thing.as_ref().map(convert::workspace),
            consistency_token,
        }))
    }

    async fn get_workspace_policy(
        &self,
        request: Request<v1::GetWorkspacePolicyRequest>,
    ) -> Result<Response<v1::GetWorkspacePolicyResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let found = self.api.get_workspace_policy(&call, &wire.workspace, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::GetWorkspacePolicyResponse { policy: Some(convert::policy(&found)) }))
    }

    async fn update_workspace_policy(
        &self,
        request: Request<v1::UpdateWorkspacePolicyRequest>,
    ) -> Result<Response<v1::UpdateWorkspacePolicyResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = UpdateWorkspacePolicy {
            etag: wire.etag,
            update_mask: convert::mask(wire.update_mask),
            policy: convert::policy_input(wire.policy),
        };
        let done = self.api.update_workspace_policy(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |thing, consistency_token| v1::UpdateWorkspacePolicyResponse {
            policy: thing.as_ref().map(|change| convert::policy(&change.workspace)),
            reach: thing.and_then(|change| change.reach).map(convert::reach),
            consistency_token,
        }))
    }
}
