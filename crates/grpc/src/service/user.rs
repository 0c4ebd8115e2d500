//! Users: search, profiles, identities.

use domicile_domain::usecase::{ChangeIdentity, LookupUser, Order, UserView};
use domicile_proto::v1::{self, user_service_server};
use tonic::{Request, Response, Status};

use super::{Services, after_probe, call_of, changed, identity_of, refused};
use crate::convert;
use crate::even_time::at_a_whole_step;

#[tonic::async_trait]
impl user_service_server::UserService for Services {
    async fn lookup_user(
        &self,
        request: Request<v1::LookupUserRequest>,
    ) -> Result<Response<v1::LookupUserResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let search = LookupUser { workspace: wire.workspace, email: wire.email, phone: wire.phone };
        let answered = at_a_whole_step(self.api.lookup_user(&call, &search)).await;
        let found = answered.map_err(refused(&call))?;
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
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = ChangeIdentity { user: wire.user, identity: convert::identity(wire.identity) };
        let done = self.api.bind_identity(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |account, consistency_token| v1::BindIdentityResponse {
            user: account.as_ref().map(convert::account),
            consistency_token,
        }))
    }

    async fn unbind_identity(
        &self,
        request: Request<v1::UnbindIdentityRequest>,
    ) -> Result<Response<v1::UnbindIdentityResponse>, Status> {
        let call = call_of(request.extensions())?;
        let mut wire = request.into_inner();
        let id = std::mem::take(&mut wire.request_id);
        let order =
            Order { request: identity_of(id, &wire), workspace: wire.workspace, validate_only: wire.validate_only };
        let change = ChangeIdentity { user: wire.user, identity: convert::identity(wire.identity) };
        let done = self.api.unbind_identity(&call, &order, &change).await.map_err(refused(&call))?;
        Ok(changed(done, |account, consistency_token| v1::UnbindIdentityResponse {
            user: account.as_ref().map(convert::account),
            consistency_token,
        }))
    }
}
