//! What stands inside sealed tokens: match handles, consistency tokens, page tokens.

use std::fmt::Display;
use std::str::FromStr;

use super::api::{Call, Consistency};
use super::resolve::Resolution;
use crate::error::{Reason, Refusal, Violation};
use crate::model::facts::AccessFacts;
use crate::model::id::{UserId, WorkspaceId};
use crate::model::time::{Revision, Timestamp, Version};
use crate::model::workspace::Workspace;
use crate::port::directory::Freshness;
use crate::port::sealer::{SealError, SealPurpose, Sealer};

/// A token's fields, joined by `|`. No field has that character: ids, numbers, constants and contact keys' versions.
fn split<const N: usize>(text: &str) -> Option<[&str; N]> {
    let fields: Vec<&str> = text.split('|').collect();
    fields.try_into().ok()
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn seal(sealer: &dyn Sealer, purpose: SealPurpose, content: &str) -> Result<String, Refusal> {
    sealer.seal(purpose, content.as_bytes()).map_err(|error| unsealed(&error))
}

/// A number for texts in their order, which nobody without the keys can foresee.
pub(super) fn fingerprint(sealer: &dyn Sealer, texts: &[&str]) -> Result<u64, Refusal> {
    let mut content = Vec::new();
    for text in texts {
        content.extend_from_slice(&text.len().to_be_bytes());
        content.extend_from_slice(text.as_bytes());
    }
    sealer.fingerprint(&content).map_err(|error| unsealed(&error))
}

fn unsealed(error: &SealError) -> Refusal {
    tracing::error!(%error, "the sealing keys cannot be used");
    Refusal::new(Reason::Internal)
}

fn open(sealer: &dyn Sealer, purpose: SealPurpose, token: &str) -> Option<String> {
    let content = sealer.open(purpose, token).ok()?;
    String::from_utf8(content).ok()
}

/// Ties a save to a lookup: for ten minutes, this workspace, this person, these versions of the contacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MatchHandle {
    pub(super) workspace: WorkspaceId,
    pub(super) actor: UserId,
    /// Who was found; nil for a miss.
    pub(super) found: UserId,
    pub(super) email_version: Option<Version>,
    pub(super) phone_version: Option<Version>,
    pub(super) expires_at: Timestamp,
}

/// Versions begin at 1, so 0 stands for none.
fn version_text(version: Option<Version>) -> String {
    version.map_or(0, Version::as_i64).to_string()
}

fn version_of(text: &str) -> Result<Option<Version>, std::num::ParseIntError> {
    text.parse().map(|version| (version != 0).then_some(Version::from_stored(version)))
}

impl MatchHandle {
    /// The handle of what is found now.
    pub(super) fn of(workspace: WorkspaceId, actor: UserId, found: &Resolution, expires_at: Timestamp) -> Self {
        let shown = found.shown();
        Self {
            workspace,
            actor,
            found: shown.map_or(UserId::nil(), |candidate| candidate.user.id),
            email_version: shown.and(found.email).map(|hit| hit.version),
            phone_version: shown.and(found.phone).map(|hit| hit.version),
            expires_at,
        }
    }

    /// Whether the lookup showed nobody.
    pub(super) fn is_miss(&self) -> bool {
        self.found == UserId::nil()
    }

    /// Whether what is found now is what the lookup found: the same person, by the same versions of the contacts.
    pub(super) fn still_holds(&self, found: &Resolution) -> bool {
        *self == Self::of(self.workspace, self.actor, found, self.expires_at)
    }

    /// The handle of a save, if it carries one: of the person's own lookup in this workspace, and not too old.
    pub(super) fn of_save(
        sealer: &dyn Sealer,
        token: &str,
        workspace: WorkspaceId,
        call: &Call,
        now: Timestamp,
    ) -> Result<Option<Self>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let own = |handle: &Self| handle.workspace == workspace && Some(handle.actor) == call.actor.user_id();
        match Self::open(sealer, token).filter(own) {
            None => {
                let wrong = Violation::new("match_handle", "use the handle of your own lookup in this workspace");
                Err(Refusal { violations: vec![wrong], ..Refusal::new(Reason::MatchHandleInvalid) })
            }
            Some(handle) if now >= handle.expires_at => Err(Refusal::new(Reason::MatchHandleExpired)),
            handle => Ok(handle),
        }
    }

    pub(super) fn seal(&self, sealer: &dyn Sealer) -> Result<String, Refusal> {
        let content = format!(
            "{}|{}|{}|{}|{}|{}",
            self.workspace,
            self.actor,
            self.found,
            version_text(self.email_version),
            version_text(self.phone_version),
            self.expires_at.as_micros()
        );
        seal(sealer, SealPurpose::MatchHandle, &content)
    }

    /// Opens a handle; `None` if it was not made here.
    fn open(sealer: &dyn Sealer, token: &str) -> Option<Self> {
        let content = open(sealer, SealPurpose::MatchHandle, token)?;
        let [workspace, actor, found, email, phone, expires] = split(&content)?;
        Some(Self {
            workspace: parsed(workspace)?,
            actor: parsed(actor)?,
            found: parsed(found)?,
            email_version: version_of(email).ok()?,
            phone_version: version_of(phone).ok()?,
            expires_at: Timestamp::from_micros(parsed(expires)?),
        })
    }
}

/// What a write touched: the revisions that a later read must at least see.
///
/// A revision is the version of all rows of a workspace at once: every unit that writes one of them takes the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TouchedRows(Vec<(WorkspaceId, Revision)>);

impl TouchedRows {
    pub(super) const fn new(written: Vec<(WorkspaceId, Revision)>) -> Self {
        Self(written)
    }

    pub(super) fn seal(&self, sealer: &dyn Sealer) -> Result<String, Refusal> {
        let fields: Vec<String> =
            self.0.iter().map(|(workspace, revision)| format!("{workspace}|{revision}")).collect();
        seal(sealer, SealPurpose::ConsistencyToken, &fields.join("|"))
    }

    fn read(content: &str) -> Option<Self> {
        let fields: Vec<&str> = content.split('|').collect();
        let rows = fields.chunks(2).map(|row| match row {
            [workspace, revision] => Some((parsed(workspace)?, Revision::from_stored(parsed(revision)?))),
            _ => None,
        });
        rows.collect::<Option<_>>().map(Self)
    }
}

/// How fresh a read must be, as its caller says: the one way from what was asked to what the store, and what stands before
/// it, must answer with.
///
/// # Errors
/// The token is none that a write here answered with.
pub(super) fn freshness(sealer: &dyn Sealer, consistency: &Consistency) -> Result<Freshness, Refusal> {
    let token = match consistency {
        Consistency::MinimizeLatency => return Ok(Freshness::Bounded),
        Consistency::FullyConsistent => return Ok(Freshness::Newest),
        Consistency::AtLeastAsFresh(token) => token,
    };
    let rows = open(sealer, SealPurpose::ConsistencyToken, token).and_then(|content| TouchedRows::read(&content));
    rows.map(|TouchedRows(rows)| Freshness::AtLeast(rows)).ok_or_else(|| {
        let wrong = Violation::new("consistency.at_least_as_fresh", "use a token that a write here answered with");
        Refusal { violations: vec![wrong], ..Refusal::new(Reason::InvalidConsistencyToken) }
    })
}

/// A read that must see a write sees it, or says that it cannot yet.
pub(super) fn ensure_fresh(fresh: &Freshness, read: &Workspace) -> Result<(), Refusal> {
    ensure_met(fresh, read.id, read.revision)
}

/// The same for facts, which come from the workspace and from the person's home.
pub(super) fn ensure_facts_fresh(fresh: &Freshness, facts: &AccessFacts) -> Result<(), Refusal> {
    ensure_fresh(fresh, &facts.workspace)?;
    facts.account.as_ref().map_or(Ok(()), |account| ensure_met(fresh, account.home, account.home_revision))
}

fn ensure_met(fresh: &Freshness, workspace: WorkspaceId, read: Revision) -> Result<(), Refusal> {
    if fresh.is_met_by(workspace, read) { Ok(()) } else { Err(Refusal::new(Reason::StoreUnavailable)) }
}

/// The place in a list, for one caller, method and workspace.
pub(super) struct PageToken<'a> {
    /// With its filters, and whatever else makes it another list.
    pub(super) method: &'a str,
    pub(super) workspace: WorkspaceId,
    pub(super) call: &'a Call,
}

impl PageToken<'_> {
    fn owner(&self) -> String {
        let user = self.call.actor.user_id().unwrap_or(UserId::nil());
        format!("{}|{}|{}|{}", self.method, self.workspace, user, self.call.actor.service.name.replace('|', "/"))
    }

    /// The token of the page after the row with that key.
    pub(super) fn seal(&self, sealer: &dyn Sealer, last: impl Display) -> Result<String, Refusal> {
        seal(sealer, SealPurpose::PageToken, &format!("{}|{last}", self.owner()))
    }

    /// The key after which the page begins; `first` for the first page.
    pub(super) fn open<T: FromStr>(&self, sealer: &dyn Sealer, token: &str, first: T) -> Result<T, Refusal> {
        if token.is_empty() {
            return Ok(first);
        }
        open(sealer, SealPurpose::PageToken, token)
            .and_then(|content| {
                let (owner, last) = content.rsplit_once('|')?;
                if owner == self.owner() { parsed(last) } else { None }
            })
            .ok_or_else(|| {
                let wrong = Violation::new("page_token", "use the token of the page before, in the same list");
                Refusal { violations: vec![wrong], ..Refusal::new(Reason::InvalidPageToken) }
            })
    }
}
