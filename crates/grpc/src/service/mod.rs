//! The services: each handler reads the request, calls one use case and maps the answer. No rule lives here.

mod access;
mod group;
mod membership;
mod notification;
mod permission;
mod relationship;
mod role;
mod user;
mod workspace;

use std::sync::Arc;

use domicile_domain::error::Refusal;
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::budget::BudgetStanding;
use domicile_domain::usecase::{Call, Changed, DomicileApi, RequestIdentity};
use prost::Message;
use sha2::{Digest, Sha256};
use tonic::metadata::MetadataValue;
use tonic::{Extensions, Response, Status};

use crate::convert;
use crate::gate::{Admitted, SURFACE};
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
        surface: SURFACE,
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

/// The answer of a change, made of the thing as it is then.
fn changed<T, M>(changed: Changed<T>, message: impl FnOnce(Option<T>, String) -> M) -> Response<M> {
    let Changed { thing, consistency_token, replayed, budget } = changed;
    after_probe(answer(message(thing, consistency_token.unwrap_or_default()), replayed), &budget)
}
