//! What the errors of all use cases have in common.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::model::budget::{BudgetKey, BudgetKind};

/// What went wrong, in the classes that callers act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong by itself.
    Invalid,
    /// The caller may not.
    Denied,
    /// It is not there.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// Right, but not in this state.
    Precondition,
    /// Read again and retry.
    Aborted,
    /// The same again later.
    Unavailable,
    /// More than a budget allows; the same again after a pause.
    Exhausted,
    /// A defect here.
    Internal,
}

/// A field of a request and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, `profile.first_name`.
    pub field: String,
    /// What is wrong and how to mend it, one sentence.
    pub message: String,
}

impl Violation {
    /// A violation of one field.
    #[expect(clippy::needless_pass_by_value, reason = "errors and literals are handed over alike")]
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self { field: field.into(), message: message.to_string() }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $kind:ident;)*) => {
        /// Every reason for which a call is refused: stable words that programs may match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Reason {
            /// Every reason, for tables that must not forget one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The class that callers act on.
            pub const fn kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind,)* }
            }

            /// What it means and what to do, in one or two sentences.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+),)* }
            }
        }
    };
}

reasons! {
    /// The caller has no right to this here, or it does not exist. Ask an AccessManager of the workspace.
    PermissionDenied = "PERMISSION_DENIED", Denied;
    /// The call needs a person who acts, and names none. Send the acting user.
    ActingUserRequired = "ACTING_USER_REQUIRED", Denied;
    /// The token is good, but nobody here is bound to the identity that it names. An AccessManager of the person's home binds it.
    IdentityNotBound = "IDENTITY_NOT_BOUND", Denied;
    /// The service may not name the person it acts for here. Send the person's own token, or one exchanged for the service, or ask the operator for a grant.
    ActAsNotGranted = "ACT_AS_NOT_GRANTED", Denied;
    /// Nobody does this for themself. Ask another AccessManager of the workspace.
    AnotherPersonRequired = "ANOTHER_PERSON_REQUIRED", Denied;
    /// Fields of the request are wrong. Each is named with its mend.
    InvalidRequest = "INVALID_REQUEST", Invalid;
    /// No service registered that permission. Check the spelling.
    UnknownPermission = "UNKNOWN_PERMISSION", Invalid;
    /// It is not there. Check the id.
    NotFound = "NOT_FOUND", NotFound;
    /// The person is a member already; roles are changed by a call of their own.
    AlreadyMember = "ALREADY_MEMBER", AlreadyExists;
    /// The membership is suspended here. Reactivate it.
    MemberSuspended = "MEMBER_SUSPENDED", Precondition;
    /// The person has been asked and has not answered.
    MemberPending = "MEMBER_PENDING", Precondition;
    /// The person was a member before. Link instead of creating.
    FormerMember = "FORMER_MEMBER", Precondition;
    /// The account is deactivated and its home is here. Reactivate it instead of creating another.
    HomeUserInactive = "HOME_USER_INACTIVE", Precondition;
    /// The person cannot be linked; the reason stays with the home.
    NotLinkable = "NOT_LINKABLE", Precondition;
    /// The workspace takes no people of that home. Propose a relationship.
    RelationshipRequired = "RELATIONSHIP_REQUIRED", Precondition;
    /// The contact is kept for its former holder. Wait, or ask the operator to release it.
    ContactReserved = "CONTACT_RESERVED", Precondition;
    /// The email is one person's and the phone another's. Search with one of them.
    ConflictingMatch = "CONFLICTING_MATCH", Precondition;
    /// Nobody has that contact. Create instead of linking.
    NoAccount = "NO_ACCOUNT", NotFound;
    /// Somebody has that contact already. Look the person up and link.
    ExpectationFailed = "EXPECTATION_FAILED", Precondition;
    /// A match by phone alone is linked only with the handle of a lookup.
    MatchHandleRequired = "MATCH_HANDLE_REQUIRED", Precondition;
    /// The match handle is not one of this workspace and person. Look up again.
    MatchHandleInvalid = "MATCH_HANDLE_INVALID", Invalid;
    /// The match handle is older than ten minutes. Look up again.
    MatchHandleExpired = "MATCH_HANDLE_EXPIRED", Precondition;
    /// What the lookup found has changed. Look up again.
    MatchHandleStale = "MATCH_HANDLE_STALE", Precondition;
    /// Roles or permissions exceed what Externals of that home may have here. They are named; nothing was saved.
    RoleAboveCeiling = "ROLE_ABOVE_CEILING", Precondition;
    /// Rights over the workspace are granted by a qualifying AccessManager, and to Externals only where its policy says so.
    GovernanceNotGrantable = "GOVERNANCE_NOT_GRANTABLE", Precondition;
    /// A linked person is always told; only a new Internal can be created without a notice.
    NotifyRequired = "NOTIFY_REQUIRED", Precondition;
    /// The request id was used for another request. Use a new id.
    RequestIdReused = "REQUEST_ID_REUSED", Precondition;
    /// Another person of this workspace has the username. Choose another.
    UsernameTaken = "USERNAME_TAKEN", AlreadyExists;
    /// Another membership of this workspace has the external id.
    ExternalIdTaken = "EXTERNAL_ID_TAKEN", AlreadyExists;
    /// The handle is taken. Choose another.
    HandleTaken = "HANDLE_TAKEN", AlreadyExists;
    /// This belongs to the person's home, and the home is elsewhere. Ask an AccessManager of the home.
    HomeOwnedField = "HOME_OWNED_FIELD", Precondition;
    /// The identity is bound already. If it is the wrong person's, their home unbinds it.
    IdentityTaken = "IDENTITY_TAKEN", AlreadyExists;
    /// The person has as many identities as one may have. Unbind one that is not used.
    TooManyIdentities = "TOO_MANY_IDENTITIES", Precondition;
    /// The first manager has a home elsewhere already. Name somebody without an account, or move the home later.
    FounderHasHome = "FOUNDER_HAS_HOME", Precondition;
    /// The workspace is suspended, closing or closed.
    WorkspaceUnavailable = "WORKSPACE_UNAVAILABLE", Precondition;
    /// It changed since you read it. Read it again and decide anew; the current etag is named.
    StaleEtag = "STALE_ETAG", Aborted;
    /// This would give you more than you have. Ask another qualifying AccessManager of the workspace.
    SelfEscalation = "SELF_ESCALATION", Denied;
    /// Nobody would be left who manages the workspace: an Internal with an active account who holds both rights. Make another AccessManager first.
    LastManager = "LAST_MANAGER", Precondition;
    /// Every workspace has this role, and it cannot be changed. Make a role of your own.
    BuiltInRole = "BUILT_IN_ROLE", Precondition;
    /// The role is in use, as often as told. Take it away first, or delete it with force.
    RoleInUse = "ROLE_IN_USE", Precondition;
    /// The role is not marked for Externals, so it cannot stand in a ceiling. Mark it, or choose another.
    RoleNotForExternals = "ROLE_NOT_FOR_EXTERNALS", Precondition;
    /// There are people in the group, as many as told. Take them out first, or delete it with force.
    GroupNotEmpty = "GROUP_NOT_EMPTY", Precondition;
    /// Only Internals have this. Leave Externals out.
    InternalOnly = "INTERNAL_ONLY", Precondition;
    /// The service may not register or retire permissions of that prefix. Ask the operator for the scope `permissions.register` with the prefix.
    PrefixNotGranted = "PREFIX_NOT_GRANTED", Denied;
    /// Another service registered the permission. Choose another name.
    PermissionTaken = "PERMISSION_TAKEN", AlreadyExists;
    /// There is a relationship with that workspace already, proposed or active. Update it, or answer the proposal.
    RelationshipExists = "RELATIONSHIP_EXISTS", AlreadyExists;
    /// The relationship is not in the state that this needs; the state is named.
    RelationshipState = "RELATIONSHIP_STATE", Precondition;
    /// The other workspace decides that. Ask it to change its part.
    OtherSidesField = "OTHER_SIDES_FIELD", Precondition;
    /// As many as there may be are there, or as many as one change reaches. The limit is named; delete what is not used.
    LimitReached = "LIMIT_REACHED", Precondition;
    /// The consistency token was not made here.
    InvalidConsistencyToken = "INVALID_CONSISTENCY_TOKEN", Invalid;
    /// The page token was not made here, or for another list.
    InvalidPageToken = "INVALID_PAGE_TOKEN", Invalid;
    /// Others were writing all the time until the deadline. The same again is safe.
    Contention = "CONTENTION", Unavailable;
    /// The store cannot be reached or cannot write now. The same again with the same request id is safe.
    StoreUnavailable = "STORE_UNAVAILABLE", Unavailable;
    /// Searches and saves tell whether a contact exists, and this one is more than the budget named allows now. Wait as long as told; for an import the operator can raise it.
    BudgetExhausted = "BUDGET_EXHAUSTED", Exhausted;
    /// A defect here. It was logged; tell the operator the request id.
    Internal = "INTERNAL", Internal;
}

/// Why a use case did nothing: what the caller sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// One sentence for people: what happened and what to do.
    pub message: String,
    /// The fields that are wrong, all of them.
    pub violations: Vec<Violation>,
    /// Facts for programs, such as `role` or `state`.
    pub metadata: Vec<(&'static str, String)>,
    /// The budget that is used up, if that is why.
    pub budget: Option<BudgetKey>,
    /// How long to wait before the same again, where that is known.
    pub retry_after: Option<Duration>,
    /// The store's error behind it, for the operator's log and never for the caller.
    pub cause: Option<crate::port::store::StoreError>,
}

impl Refusal {
    /// A refusal in the reason's own words.
    pub fn new(reason: Reason) -> Self {
        let message = reason.explanation().trim().to_owned();
        Self {
            reason,
            message,
            violations: Vec::new(),
            metadata: Vec::new(),
            budget: None,
            retry_after: None,
            cause: None,
        }
    }

    /// Adds a fact for programs.
    #[expect(clippy::needless_pass_by_value, reason = "errors and literals are handed over alike")]
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.metadata.push((key, value.to_string()));
        self
    }

    /// A refusal of the request's own fields.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self { violations, ..Self::new(Reason::InvalidRequest) }
    }

    /// A refusal of what a field names, where nothing of that name is there for the caller.
    pub fn missing(field: &str) -> Self {
        let wrong = Violation::new(field, "nothing here has that name; check it");
        Self { violations: vec![wrong], ..Self::new(Reason::NotFound) }
    }

    /// A refusal of a call that is more than a budget allows.
    pub fn exhausted(budget: BudgetKey, limit: NonZeroU32, pause: Duration) -> Self {
        let kind = budget.kind();
        let (whose, window) = match kind {
            BudgetKind::User => ("you may make", "a minute"),
            BudgetKind::Workspace => ("this workspace may see", "an hour"),
            BudgetKind::Service => ("the calling service may make", "an hour"),
        };
        let seconds = pause.as_micros().div_ceil(1_000_000);
        let message = format!(
            "The budget is used up: {whose} {limit} searches and saves {window} that tell whether a contact exists. The same again in {seconds} s; the operator can raise the budget."
        );
        let plain = Self::new(Reason::BudgetExhausted).with("budget", kind).with("limit", limit);
        Self { message, budget: Some(budget), retry_after: Some(pause), ..plain }
    }

    /// The class that callers act on.
    pub const fn kind(&self) -> ErrorKind {
        self.reason.kind()
    }
}

impl From<crate::port::store::StoreError> for Refusal {
    fn from(error: crate::port::store::StoreError) -> Self {
        use crate::port::store::StoreError;
        let reason = match &error {
            StoreError::Contention | StoreError::Stale | StoreError::Conflict(_) => Reason::Contention,
            StoreError::ConnectionLost | StoreError::Unavailable(_) => Reason::StoreUnavailable,
            StoreError::Poisoned | StoreError::Corrupt { .. } | StoreError::Fault(_) => Reason::Internal,
        };
        Self { cause: Some(error), ..Self::new(reason) }
    }
}
