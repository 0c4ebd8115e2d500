//! Memberships: the save, what members have, and what is read of them.

use domicile_domain::model::id::WorkspaceId;
use domicile_domain::usecase::{AssignUser, Order, PageRequest, SetPermissions, SetRoles};
use domicile_proto::v1::{self, membership_service_server};
use tonic::{Request, Response, Status};

use super::{Services, after_probe, answer, call_of, changed, identity_of, refused};
use crate::convert;
#[tonic::async_trait]
impl membership_service_server::MembershipService for Services {
    async fn assign_user(
        &self,
        request: Request<v1::AssignUserRequest>,
    ) -> Result<Response<v1::AssignUserResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let save = AssignUser {
            request: identity_of(id, &wire),
            expectation: convert::expectation(wire.expectation()),
            notify: convert::told(wire.notify),
            workspace: wire.workspace,
            email: wire.email,
            phone: wire.phone,
            match_handle: wire.match_handle,
            profile: convert::profile_input(wire.profile),
            internal: convert::internal_input(wire.internal),
            external: convert::external_input(wire.external),
            external_id: wire.external_id,
            validate_only: wire.validate_only,
        };
        let saved = self.api.assign_user(&call, &save).await.map_err(refused(&call))?;
        let workspace = saved.member.as_ref().map_or(WorkspaceId::nil(), |m| m.membership.base().workspace);
        let state =
            if saved.notice.is_some() { v1::NotificationState::Queued } else { v1::NotificationState::Unspecified };
        let message = v1::AssignUserResponse {
            outcome: convert::assign_outcome(saved.outcome).into(),
            notification: convert::notification_name(workspace, saved.notice),
            membership: saved.member.map(convert::membership),
            notification_state: state.into(),
            discarded_fields: saved.discarded_fields,
            consistency_token: saved.consistency_token.unwrap_or_default(),
        };
        Ok(after_probe(answer(message, saved.replayed), &saved.budget))
    }

    async fn get_membership(
        &self,
        request: Request<v1::GetMembershipRequest>,
    ) -> Result<Response<v1::GetMembershipResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let view = self.api.get_membership(&call, &wire.workspace, &wire.user, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::GetMembershipResponse { membership: Some(convert::membership(view)) }))
    }

    async fn list_memberships(
        &self,
        request: Request<v1::ListMembershipsRequest>,
    ) -> Result<Response<v1::ListMembershipsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_memberships(&call, &wire.workspace, &page, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListMembershipsResponse {
            memberships: page.items.into_iter().map(convert::membership).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn set_roles(&self, request: Request<v1::SetRolesRequest>) -> Result<Response<v1::SetRolesResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = SetRoles { user: wire.user, roles: wire.roles, etag: wire.etag };
        let done = self.api.set_roles(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |member, consistency_token| v1::SetRolesResponse {
            membership: member.map(convert::membership),
            consistency_token,
        }))
    }

    async fn set_permissions(
        &self,
        request: Request<v1::SetPermissionsRequest>,
    ) -> Result<Response<v1::SetPermissionsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = SetPermissions { user: wire.user, permissions: wire.permissions, etag: wire.etag };
        let done = self.api.set_permissions(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |member, consistency_token| v1::SetPermissionsResponse {
            membership: member.map(convert::membership),
            consistency_token,
        }))
    }
}
