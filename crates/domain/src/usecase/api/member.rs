//! People as callers search, save and see them: lookups, saves, memberships and accounts.

use super::RequestIdentity;
use crate::model::answer::AssignOutcome;
use crate::model::budget::BudgetStanding;
use crate::model::contact::{ContactKind, ContactStanding};
use crate::model::id::{NoticeId, WorkspaceId};
use crate::model::membership::{AllowedAction, ExternalState, Membership, MembershipKind};
use crate::model::time::Timestamp;
use crate::model::user::{Identity, User, UserState};
use crate::policy::resolver::LookupOutcome;

/// Search for a person by email, phone or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LookupUser {
    /// Id or handle.
    pub workspace: String,
    /// As typed; empty if not given.
    pub email: String,
    /// As typed; empty if not given.
    pub phone: String,
}

/// A contact by which somebody was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedBy {
    /// Email or phone.
    pub kind: ContactKind,
    /// Asserted or verified.
    pub standing: ContactStanding,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupReply {
    /// The outcome, M1 to M14.
    pub outcome: LookupOutcome,
    /// By which contacts; empty if nobody is shown.
    pub matched_by: Vec<MatchedBy>,
    /// The person as far as the home discloses: initials at least; absent if nobody is shown.
    pub display: Option<String>,
    /// The kind of the membership here, for outcomes that tell of one.
    pub member_kind: Option<MembershipKind>,
    /// Its state, as [`MemberState`], for outcomes that tell of one.
    pub member_state: Option<MemberState>,
    /// Ties a save to this lookup, miss or hit; ten minutes.
    pub match_handle: String,
    /// When the handle stops serving.
    pub match_handle_expires_at: Timestamp,
    /// How the budgets stand after this call.
    pub budget: Vec<BudgetStanding>,
}

/// The state of a membership as people see it: the External's own, or the account's of an Internal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// Usable.
    Active,
    /// Waits for the person.
    Pending,
    /// Suspended here, or the account for an Internal.
    Suspended,
    /// Waits for a proof of contact.
    Review,
    /// The account is deactivated; Internals only.
    Deactivated,
    /// Its time is over; it has not been swept yet.
    Over,
}

/// State of an External as people see it.
impl From<ExternalState> for MemberState {
    fn from(state: ExternalState) -> Self {
        match state {
            ExternalState::Pending => Self::Pending,
            ExternalState::Active => Self::Active,
            ExternalState::Suspended => Self::Suspended,
            ExternalState::Review => Self::Review,
        }
    }
}

/// State of an Internal as people see it: the account's.
impl From<UserState> for MemberState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Active => Self::Active,
            UserState::Suspended => Self::Suspended,
            UserState::Deactivated | UserState::Erased => Self::Deactivated,
        }
    }
}

/// What the caller expects a save to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// Create an Internal.
    Create,
    /// Link an existing person.
    Link,
    /// Whichever fits; links on an email match only.
    Either,
}

impl Expectation {
    /// Every expectation, for tables that must not forget one.
    pub const ALL: [Self; 3] = [Self::Create, Self::Link, Self::Either];
}

/// A new person's details, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileInput {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Username.
    pub username: String,
    /// Preferred language.
    pub preferred_language: String,
}

/// Roles (ids or handles) and direct permissions, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantsInput {
    /// Roles by id or handle.
    pub roles: Vec<String>,
    /// Permissions by name.
    pub permissions: Vec<String>,
}

/// What an External gets, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExternalInput {
    /// Roles and direct permissions.
    pub grants: GrantsInput,
    /// Language of messages about this membership; empty for none of its own.
    pub language: String,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Create or link a person, give roles, save, tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignUser {
    /// Id or handle.
    pub workspace: String,
    /// Makes it repeatable.
    pub request: RequestIdentity,
    /// Create, link or either; absent is refused.
    pub expectation: Option<Expectation>,
    /// As typed.
    pub email: String,
    /// As typed; empty if not given.
    pub phone: String,
    /// Of the lookup; empty if there was none.
    pub match_handle: String,
    /// Needed to create; discarded and reported when linking.
    pub profile: ProfileInput,
    /// What the person gets if created.
    pub internal: GrantsInput,
    /// What the person gets if linked.
    pub external: ExternalInput,
    /// What another system calls the membership; empty if nothing.
    pub external_id: String,
    /// Whether the person is told; `false` serves for creating Internals only, and absent is refused.
    pub notify: Option<bool>,
    /// Go as far as the preconditions and write nothing.
    pub validate_only: bool,
}

/// What a save did, or with `validate_only` would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignReply {
    /// What it did.
    pub outcome: AssignOutcome,
    /// The membership as its manager sees it; absent for `validate_only`.
    pub member: Option<MemberView>,
    /// The message that was queued, unless none was asked for.
    pub notice: Option<NoticeId>,
    /// Typed fields that were not used, since the account exists.
    pub discarded_fields: Vec<String>,
    /// Makes a later read at least as fresh; absent for `validate_only`.
    pub consistency_token: Option<String>,
    /// Whether this is the answer of an earlier request with the same id.
    pub replayed: bool,
    /// How the budgets stand after this call.
    pub budget: Vec<BudgetStanding>,
}

/// A membership as its viewer may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The membership.
    pub membership: Membership,
    /// State as people see it.
    pub state: MemberState,
    /// Initials, always; empty only for erased users.
    pub initials: String,
    /// Full name where the viewer may see it.
    pub display_name: Option<String>,
    /// Email: as it is for Internals; masked or whole for Externals as the home discloses.
    pub email: Option<String>,
    /// Phone, likewise.
    pub phone: Option<String>,
    /// The home, where the viewer may know it.
    pub home: Option<WorkspaceId>,
    /// What the viewer may do with it; empty for the person.
    pub allowed_actions: Vec<AllowedAction>,
}

/// An account with the identities that are bound to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub user: User,
    /// Its identities, by issuer and subject.
    pub identities: Vec<Identity>,
}

/// An identity that a person of the home is to have, or to lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeIdentity {
    /// The person's id, as typed.
    pub user: String,
    /// The identity, as typed.
    pub identity: Identity,
}

/// A user as the viewer may see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserView {
    /// For the home and the person: everything.
    Whole(Account),
    /// For a host: the view of the membership.
    Member(MemberView),
}
