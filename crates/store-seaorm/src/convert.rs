//! Rows and domain values, both ways. A row that cannot be what it says is [`StoreError::Corrupt`] naming table, column
//! and row, never a panic.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use domicile_domain::model::audit::AuditAction;
use domicile_domain::model::email::{EmailAddress, MailDomain};
use domicile_domain::model::id::Id;
use domicile_domain::port::store::StoreError;
use sea_orm::{FromQueryResult, QueryResult};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Where a value was read, for [`StoreError::Corrupt`].
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) table: &'static str,
    pub(crate) row: String,
}

impl At {
    pub(crate) fn new(table: &'static str, row: impl Display) -> Self {
        Self { table, row: row.to_string() }
    }

    pub(crate) fn corrupt(&self, column: &'static str, detail: impl Display) -> StoreError {
        StoreError::Corrupt { table: self.table, column, row: self.row.clone(), detail: detail.to_string() }
    }

    /// The value, or the column that cannot hold it.
    pub(crate) fn read<T, E: Display>(&self, column: &'static str, value: Result<T, E>) -> Result<T, StoreError> {
        value.map_err(|error| self.corrupt(column, error))
    }

    /// The word's meaning.
    pub(crate) fn word<T: Word>(&self, column: &'static str, word: &str) -> Result<T, StoreError> {
        T::of_word(word).ok_or_else(|| self.corrupt(column, format_args!("`{word}` is no word of this column")))
    }

    /// The list's items.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str, text: &str) -> Result<T, StoreError> {
        self.read(column, serde_json::from_str(text))
    }

    pub(crate) fn ids<K>(&self, column: &'static str, text: &str) -> Result<BTreeSet<Id<K>>, StoreError> {
        let ids: Vec<Uuid> = self.json(column, text)?;
        Ok(ids.into_iter().map(Id::from_uuid).collect())
    }

    /// Texts that a parser reads one by one.
    pub(crate) fn parsed<T, E: Display, C: FromIterator<T>>(
        &self,
        column: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<C, StoreError> {
        let texts: Vec<String> = self.json(column, text)?;
        texts.iter().map(|t| self.read(column, parse(t))).collect()
    }
}

/// The row as a model of its entity.
pub(crate) fn model<M: FromQueryResult>(table: &'static str, row: &QueryResult) -> Result<M, StoreError> {
    M::from_query_result(row, "").map_err(|error| At::new(table, "?").corrupt("?", error))
}

/// What a statement counted, as its column `counted`.
pub(crate) fn counted(table: &'static str, row: Option<&QueryResult>) -> Result<u64, StoreError> {
    let Some(row) = row else { return Ok(0) };
    let counted: i64 = At::new(table, "?").read("?", row.try_get("", "counted"))?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

/// Lists as JSON text.
pub(crate) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Fault(format!("a value could not be written as JSON: {error}")))
}

pub(crate) fn id_list<'a, K: 'a>(ids: impl IntoIterator<Item = &'a Id<K>>) -> Result<String, StoreError> {
    json(&ids.into_iter().map(Id::as_uuid).collect::<Vec<_>>())
}

pub(crate) fn text_list<T: Display>(texts: impl IntoIterator<Item = T>) -> Result<String, StoreError> {
    json(&texts.into_iter().map(|t| t.to_string()).collect::<Vec<_>>())
}

pub(crate) fn uuid<K>(id: Id<K>) -> Uuid {
    id.as_uuid()
}

pub(crate) fn maybe_uuid<K>(id: Option<Id<K>>) -> Option<Uuid> {
    id.map(uuid)
}

pub(crate) fn maybe_id<K>(id: Option<Uuid>) -> Option<Id<K>> {
    id.map(Id::from_uuid)
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

pub(crate) fn email(at: &At, column: &'static str, text: Option<&String>) -> Result<Option<EmailAddress>, StoreError> {
    text.map(|t| at.read(column, EmailAddress::parse(t))).transpose()
}

pub(crate) fn domains(rows: &[String], at: &At) -> Result<BTreeSet<MailDomain>, StoreError> {
    rows.iter().map(|d| at.read("domain", MailDomain::parse(d))).collect()
}

/// An enum that is stored as a word.
pub(crate) trait Word: Sized + Copy {
    fn word(self) -> &'static str;
    fn of_word(word: &str) -> Option<Self>;
}

/// One table for both directions: a state without a word does not compile.
macro_rules! words {
    ($type:path { $($variant:ident = $word:literal,)* }) => {
        impl Word for $type {
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn of_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

mod words {
    use super::Word;
    use domicile_domain::model::contact::{ContactKind, ContactStanding};
    use domicile_domain::model::membership::{EndReason, ExternalState, MembershipKind};
    use domicile_domain::model::notice::{AttemptClass, Channel, LanguageChoice, NotSent, NoticeKind};
    use domicile_domain::model::relationship::{Disclosure, RelationshipState, Side};
    use domicile_domain::model::role::BuiltInRole;
    use domicile_domain::model::user::UserState;
    use domicile_domain::model::workspace::{DirectoryVisibility, Openness, WorkspaceState};

    words!(ContactKind { Email = "EMAIL", Phone = "PHONE", });
    words!(domicile_domain::model::budget::BudgetKind {
        User = "USER", Workspace = "WORKSPACE", Service = "SERVICE",
    });
    words!(ContactStanding { Asserted = "ASSERTED", Verified = "VERIFIED", });
    words!(UserState { Active = "ACTIVE", Suspended = "SUSPENDED", Deactivated = "DEACTIVATED", Erased = "ERASED", });
    words!(WorkspaceState { Active = "ACTIVE", Suspended = "SUSPENDED", Closing = "CLOSING", Closed = "CLOSED", });
    words!(Openness { Open = "OPEN", RelatedOnly = "RELATED_ONLY", Closed = "CLOSED", });
    words!(DirectoryVisibility { Hidden = "HIDDEN", NameOnly = "NAME_ONLY", Listed = "LISTED", });
    words!(Disclosure { None = "NONE", Name = "NAME", MaskedContact = "MASKED_CONTACT", Full = "FULL", });
    words!(BuiltInRole { AccessManager = "ACCESS_MANAGER", Member = "MEMBER", Guest = "GUEST", });
    words!(MembershipKind { Internal = "INTERNAL", External = "EXTERNAL", });
    words!(ExternalState { Pending = "PENDING", Active = "ACTIVE", Suspended = "SUSPENDED", Review = "REVIEW", });
    words!(EndReason {
        Unlinked = "UNLINKED", Left = "LEFT", Declined = "DECLINED", Lapsed = "LAPSED", Expired = "EXPIRED",
        AccountEnded = "ACCOUNT_ENDED", WorkspaceClosed = "WORKSPACE_CLOSED", Moved = "MOVED",
    });
    words!(RelationshipState {
        Proposed = "PROPOSED", Active = "ACTIVE", Declined = "DECLINED", Lapsed = "LAPSED", Ended = "ENDED",
    });
    words!(Side { Host = "HOST", Home = "HOME", });
    words!(Channel { Email = "EMAIL", Sms = "SMS", });
    words!(NoticeKind {
        Onboarding = "ONBOARDING", AccessGranted = "ACCESS_GRANTED", AccessRequested = "ACCESS_REQUESTED",
    });
    words!(NotSent { Captured = "CAPTURED", Held = "HELD", Suppressed = "SUPPRESSED", Cancelled = "CANCELLED", });
    words!(LanguageChoice {
        Membership = "MEMBERSHIP", Preferred = "PREFERRED", HomeDefault = "HOME_DEFAULT",
        InstanceDefault = "INSTANCE_DEFAULT",
    });
    words!(AttemptClass {
        Accepted = "ACCEPTED", Captured = "CAPTURED", Transient = "TRANSIENT", Misconfigured = "MISCONFIGURED",
        Permanent = "PERMANENT",
    });
}

impl Word for AuditAction {
    fn word(self) -> &'static str {
        self.as_str()
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}
