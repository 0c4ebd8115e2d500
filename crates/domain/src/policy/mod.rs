//! Decisions: facts in, decision and reasons out. Sync, total, without IO.
//!
//! Four of them are ports that an embedding program may replace; [`Policies::default`] holds the shipped ones.

pub mod access;
pub mod ceiling;
pub mod directory;
pub mod notice;
pub mod resolver;

use std::sync::Arc;

use crate::model::facts::AccessFacts;
use crate::model::membership::Membership;
use crate::model::permission::PermissionName;
use crate::model::relationship::Ceiling;
use crate::model::time::Timestamp;

/// The decisions that can be replaced.
#[derive(Clone)]
pub struct Policies {
    /// May this person do that there?
    pub access: Arc<dyn access::AccessPolicy>,
    /// The most that Externals may have.
    pub ceiling: Arc<dyn ceiling::CeilingPolicy>,
    /// What a viewer may see of a member.
    pub directory: Arc<dyn directory::DirectoryPolicy>,
    /// By which channel and in which language a person is told.
    pub notice: Arc<dyn notice::NoticePolicy>,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            access: Arc::new(access::ShippedAccessPolicy),
            ceiling: Arc::new(ceiling::ShippedCeilingPolicy),
            directory: Arc::new(directory::ShippedDirectoryPolicy),
            notice: Arc::new(notice::ShippedNoticePolicy),
        }
    }
}

impl Policies {
    /// Whether the person of the facts may do it. The ceiling is of concern to Externals alone.
    ///
    /// # Errors
    /// The first gate that fails.
    pub fn decide(
        &self,
        facts: &AccessFacts,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Result<(), access::Denial> {
        self.access.decide(facts, &self.ceiling_of(facts), permission, now)
    }

    /// The ceiling of the person of the facts; empty for an Internal, who has none.
    pub fn ceiling_of(&self, facts: &AccessFacts) -> Ceiling {
        match facts.membership {
            Some(Membership::External(_)) => self.ceiling.ceiling(facts),
            _ => Ceiling::default(),
        }
    }
}
