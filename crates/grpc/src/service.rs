//! The services: each handler reads the request, calls one use case and maps the answer. No rule lives here.

use std::sync::Arc;

use domicile_domain::error::Refusal;
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::budget::BudgetStanding;
use domicile_domain::model::id::WorkspaceId;
use domicile_domain::usecase::{
    AssignUser, Call, ChangeIdentity, CheckAccess, CheckSubject, CreateWorkspace, DomicileApi, LookupUser, PageRequest,
    RequestIdentity, UserView,
};
use domicile_proto::v1::{
    self, access_service_server, membership_service_server, notification_service_server, role_service_server,
    user_service_server, workspace_service_server,
};
use prost::Message;
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataValue;
use tonic::{Extensions, Request, Response, Status};

use crate::convert;
use crate::gate::Admitted;
use crate::measures;
use crate::status::of_refusal;

/// Says that an answer is that of an earlier request with the same id.
const REPLAYED: &str = "x-domicile-replayed";
/// Says how the budgets of identity probes stand after the call.
const BUDGET: &str = "x-domicile-budget";

/// Every service of the contract over the inbound port.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) api: Arc<dyn DomicileApi>,
}

/// The call as the gate admitted it. A handler without a gate before it serves nobody.
fn call_of(extensions: &Extensions) -> Result<Call, Status> {
    let admitted = extensions.get::<Admitted>().ok_or_else(|| Status::internal("the call did not pass the gate"))?;
    Ok(Call {
        actor: admitted.actor.clone(),
        deadline: admitted.deadline,
        correlation_id: admitted.correlation_id.clone(),
        surface: "grpc",
    })
}

fn refused(call: &Call) -> impl Fn(Refusal) -> Status {
    let correlation = call.correlation_id.clone();
    move |refusal| {
        if let Some(budget) = &refusal.budget {
            measures::budget_refused(budget.kind().as_str());
        }
        of_refusal(&refusal, &correlation)
    }
}

/// The id of a write and a digest of everything else in its body.
fn identity_of<M: Message>(id: String, body_without_id: &M) -> RequestIdentity {
    RequestIdentity { id, fingerprint: RequestFingerprint(Sha256::digest(body_without_id.encode_to_vec()).into()) }
}

fn answer<T>(message: T, replayed: bool) -> Response<T> {
    let mut response = Response::new(message);
    if replayed {
        response.metadata_mut().insert(REPLAYED, MetadataValue::from_static("true"));
    }
    response
}

/// The answer of a probe says how the budgets stand.
fn after_probe<T>(mut response: Response<T>, budget: &[BudgetStanding]) -> Response<T> {
    if !budget.is_empty()
        && let Ok(value) = convert::budget(budget).parse()
    {
        response.metadata_mut().insert(BUDGET, value);
    }
    response
}

#[tonic::async_trait]
impl user_service_server::UserService for Services {
    async fn lookup_user(
        &self,
        request: Request<v1::LookupUserRequest>,
    ) -> Result<Response<v1::LookupUserResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let search = LookupUser { workspace: wire.workspace, email: wire.email, phone: wire.phone };
        let found = self.api.lookup_user(&call, &search).await.map_err(refused(&call))?;
        let matched = found.matched_by.iter().map(|by| v1::ContactMatch {
            kind: convert::contact_kind(by.kind).into(),
            standing: convert::standing(by.standing).into(),
        });
        let kind = found.member_kind.map_or(v1::MembershipKind::Unspecified, convert::member_kind);
        let state = found.member_state.map_or(v1::MembershipState::Unspecified, convert::member_state);
        let message = v1::LookupUserResponse {
            outcome: convert::lookup_outcome(found.outcome).into(),
            matched_by: matched.collect(),
            display: found.display.unwrap_or_default(),
            member_kind: kind.into(),
            member_state: state.into(),
            match_handle: found.match_handle,
            match_handle_expire_time: Some(convert::time(found.match_handle_expires_at)),
        };
        Ok(after_probe(Response::new(message), &found.budget))
    }

    async fn get_user(&self, request: Request<v1::GetUserRequest>) -> Result<Response<v1::GetUserResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let view = self.api.get_user(&call, &wire.workspace, &wire.user, &fresh).await.map_err(refused(&call))?;
        let view = match view {
            UserView::Whole(account) => v1::get_user_response::View::User(convert::account(&account)),
            UserView::Member(member) => v1::get_user_response::View::Membership(convert::membership(member)),
        };
        Ok(Response::new(v1::GetUserResponse { view: Some(view) }))
    }

    async fn bind_identity(
        &self,
        request: Request<v1::BindIdentityRequest>,
    ) -> Result<Response<v1::BindIdentityResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let change = ChangeIdentity {
            request: identity_of(id, &wire),
            workspace: wire.workspace,
            user: wire.user,
            identity: convert::identity(wire.identity),
            validate_only: wire.validate_only,
        };
        let changed = self.api.bind_identity(&call, &change).await.map_err(refused(&call))?;
        let message = v1::BindIdentityResponse {
            user: changed.account.as_ref().map(convert::account),
            consistency_token: changed.consistency_token.unwrap_or_default(),
        };
        Ok(after_probe(answer(message, changed.replayed), &changed.budget))
    }

    async fn unbind_identity(
        &self,
        request: Request<v1::UnbindIdentityRequest>,
    ) -> Result<Response<v1::UnbindIdentityResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let change = ChangeIdentity {
            request: identity_of(id, &wire),
            workspace: wire.workspace,
            user: wire.user,
            identity: convert::identity(wire.identity),
            validate_only: wire.validate_only,
        };
        let changed = self.api.unbind_identity(&call, &change).await.map_err(refused(&call))?;
        let message = v1::UnbindIdentityResponse {
            user: changed.account.as_ref().map(convert::account),
            consistency_token: changed.consistency_token.unwrap_or_default(),
        };
        Ok(answer(message, changed.replayed))
    }
}

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
}

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

#[tonic::async_trait]
impl access_service_server::AccessService for Services {
    async fn check_access(
        &self,
        request: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let subject = match wire.subject {
            Some(v1::check_access_request::Subject::Identity(identity)) => {
                CheckSubject::Identity(convert::identity(Some(identity)))
            }
            Some(v1::check_access_request::Subject::User(user)) => CheckSubject::User(user),
            None => CheckSubject::User(String::new()),
        };
        let check = CheckAccess {
            workspace: wire.workspace,
            subject,
            permission: wire.permission,
            consistency: convert::consistency(wire.consistency),
        };
        let answer = self.api.check_access(&call, &check).await.map_err(refused(&call))?;
        let (decision, reason) = match answer.decision {
            Ok(()) => (v1::AccessDecision::Allowed, v1::DenialReason::Unspecified),
            Err(denial) => (v1::AccessDecision::Denied, convert::denial(denial)),
        };
        Ok(Response::new(v1::CheckAccessResponse {
            decision: decision.into(),
            reason: reason.into(),
            check_time: Some(convert::time(answer.checked_at)),
            valid_until_time: Some(convert::time(answer.valid_until)),
        }))
    }
}

#[tonic::async_trait]
impl notification_service_server::NotificationService for Services {
    async fn get_notification(
        &self,
        request: Request<v1::GetNotificationRequest>,
    ) -> Result<Response<v1::GetNotificationResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let view = self
            .api
            .get_notification(&call, &wire.workspace, &wire.notification, &fresh)
            .await
            .map_err(refused(&call))?;
        Ok(Response::new(v1::GetNotificationResponse { notification: Some(convert::notification(view)) }))
    }

    async fn list_notifications(
        &self,
        request: Request<v1::ListNotificationsRequest>,
    ) -> Result<Response<v1::ListNotificationsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_notifications(&call, &wire.workspace, &page, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListNotificationsResponse {
            notifications: page.items.into_iter().map(convert::notification).collect(),
            next_page_token: page.next_token,
        }))
    }
}
