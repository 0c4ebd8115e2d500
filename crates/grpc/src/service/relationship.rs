//! Relationships of workspaces.

use domicile_domain::usecase::{ApproveRelationship, Order, PageRequest, ProposeRelationship, UpdateRelationship};
use domicile_proto::v1::{self, relationship_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, changed, identity_of, refused};
use crate::convert::{self, relationship as wire_of};

/// The handler of a change: who asks and how, what is asked, and the answer.
macro_rules! change {
    ($self:ident, $request:ident, $method:ident, $response:ident, |$wire:ident| $change:expr) => {{
        let call = call_of($request.extensions())?;
        let mut $wire = $request.into_inner();
        let id = std::mem::take(&mut $wire.request_id);
        let request = identity_of(id, &$wire);
        let order = Order { request, workspace: $wire.workspace, validate_only: $wire.validate_only };
        let done = $self.api.$method(&call, &order, &$change).await.map_err(refused(&call))?;
        Ok(changed(done, |change, consistency_token| {
            let (relationship, effect) = wire_of::change(change.as_ref());
            v1::$response { relationship, effect, consistency_token }
        }))
    }};
}

#[tonic::async_trait]
impl relationship_service_server::RelationshipService for Services {
    async fn propose_relationship(
        &self,
        request: Request<v1::ProposeRelationshipRequest>,
    ) -> Result<Response<v1::ProposeRelationshipResponse>, Status> {
        change!(self, request, propose_relationship, ProposeRelationshipResponse, |wire| ProposeRelationship {
            other: wire.target.map(wire_of::other),
            terms: wire.terms.map(wire_of::proposed_terms),
        })
    }

    async fn get_relationship(
        &self,
        request: Request<v1::GetRelationshipRequest>,
    ) -> Result<Response<v1::GetRelationshipResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let view = self.api.get_relationship(&call, &wire.workspace, &wire.relationship, &fresh).await;
        let view = view.map_err(refused(&call))?;
        Ok(Response::new(v1::GetRelationshipResponse { relationship: Some(wire_of::relationship(&view)) }))
    }

    async fn list_relationships(
        &self,
        request: Request<v1::ListRelationshipsRequest>,
    ) -> Result<Response<v1::ListRelationshipsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let filter = wire_of::filter(wire.side, &wire.states);
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_relationships(&call, &wire.workspace, &filter, &page, &fresh).await;
        let page = page.map_err(refused(&call))?;
        Ok(Response::new(v1::ListRelationshipsResponse {
            relationships: page.items.iter().map(wire_of::relationship).collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn update_relationship(
        &self,
        request: Request<v1::UpdateRelationshipRequest>,
    ) -> Result<Response<v1::UpdateRelationshipResponse>, Status> {
        change!(self, request, update_relationship, UpdateRelationshipResponse, |wire| UpdateRelationship {
            named: wire_of::named(wire.relationship, wire.etag),
            host_terms: wire_of::host_terms_input(wire.host_terms),
            home_terms: wire_of::home_terms_input(wire.home_terms),
            paths: wire.update_mask.unwrap_or_default().paths,
        })
    }

    async fn approve_relationship(
        &self,
        request: Request<v1::ApproveRelationshipRequest>,
    ) -> Result<Response<v1::ApproveRelationshipResponse>, Status> {
        change!(self, request, approve_relationship, ApproveRelationshipResponse, |wire| ApproveRelationship {
            named: wire_of::named(wire.relationship, wire.etag),
            terms: wire.terms.map(wire_of::approved_terms),
        })
    }

    async fn decline_relationship(
        &self,
        request: Request<v1::DeclineRelationshipRequest>,
    ) -> Result<Response<v1::DeclineRelationshipResponse>, Status> {
        change!(self, request, decline_relationship, DeclineRelationshipResponse, |wire| wire_of::named(
            wire.relationship,
            wire.etag
        ))
    }

    async fn suspend_relationship(
        &self,
        request: Request<v1::SuspendRelationshipRequest>,
    ) -> Result<Response<v1::SuspendRelationshipResponse>, Status> {
        change!(self, request, suspend_relationship, SuspendRelationshipResponse, |wire| wire_of::named(
            wire.relationship,
            wire.etag
        ))
    }

    async fn resume_relationship(
        &self,
        request: Request<v1::ResumeRelationshipRequest>,
    ) -> Result<Response<v1::ResumeRelationshipResponse>, Status> {
        change!(self, request, resume_relationship, ResumeRelationshipResponse, |wire| wire_of::named(
            wire.relationship,
            wire.etag
        ))
    }

    async fn end_relationship(
        &self,
        request: Request<v1::EndRelationshipRequest>,
    ) -> Result<Response<v1::EndRelationshipResponse>, Status> {
        change!(self, request, end_relationship, EndRelationshipResponse, |wire| wire_of::named(
            wire.relationship,
            wire.etag
        ))
    }
}
