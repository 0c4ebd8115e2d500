//! Whose call it is: from what credentials prove to a user of the system.

use super::service::Domicile;
use crate::error::{Reason, Refusal};
use crate::model::actor::{ActingUser, Actor, Means};
use crate::port::authenticator::{Caller, PersonClaim};

impl Domicile {
    pub(super) async fn actor_of(&self, caller: Caller) -> Result<Actor, Refusal> {
        let user = match caller.person {
            None => None,
            Some(PersonClaim::Named { user, reach }) => Some(ActingUser { id: user, means: Means::ActAs(reach) }),
            Some(PersonClaim::Proven { identity, own, .. }) => {
                let bound = self.ports.directory.user_by_identity(&identity).await?;
                let id = bound.ok_or_else(|| Refusal::new(Reason::IdentityNotBound))?;
                Some(ActingUser { id, means: if own { Means::OwnToken } else { Means::Exchanged } })
            }
        };
        Ok(Actor { service: caller.service, user })
    }
}
