//! The write side of a store: units of work and the repositories they lend.
//!
//! A unit of work is one transaction. Its contract, each sentence a test of the conformance suite:
//!
//! 1. What it wrote is seen by others exactly when `commit` answered `Ok`, all of it or nothing.
//! 2. After any failed statement, reads included, it is poisoned: everything answers [`StoreError::Poisoned`], `commit`
//!    too. A caught error can therefore never become half a change.
//! 3. It sees its own writes.
//! 4. A unit that is dropped is rolled back.
//! 5. A statement that would break a unique rule answers [`StoreError::Conflict`] with the rule's name, at the statement
//!    or at `commit`.
//! 6. A compare-and-set that finds another version answers [`StoreError::Stale`].
//!
//! Commands do not commit: [`TxRunner`](crate::usecase::TxRunner) begins, commits, rolls back and reruns.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use crate::event::Event;
use crate::model::answer::{AnsweredRequest, RequestKey};
use crate::model::audit::{AuditRecord, PersonalValue};
use crate::model::budget::{BudgetKey, Counter, Tally};
use crate::model::contact::{ContactKey, ContactOwner};
use crate::model::email::MailDomain;
use crate::model::facts::AccessFacts;
use crate::model::group::{Group, GroupRef, GroupSize};
use crate::model::id::{GroupId, NoticeId, RelationshipId, UserId, WorkspaceId};
use crate::model::membership::{EndedMembership, Membership, MembershipBase, MembershipKind};
use crate::model::notice::{Attempt, Message, Notice};
use crate::model::permission::{Permission, PermissionName, PermissionUses};
use crate::model::relationship::WorkspaceRelationship;
use crate::model::role::{Role, RoleReach, RoleUses};
use crate::model::time::{Revision, Timestamp, Version};
use crate::model::user::{Identity, User, UserState};
use crate::model::workspace::{Workspace, WorkspaceRef};

/// The unique rules that two callers can race for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Constraint {
    /// A contact's match key, among live users and held contacts (I4).
    ContactKey,
    /// A username's key within the home (I4).
    Username,
    /// A workspace's handle.
    WorkspaceHandle,
    /// A role's handle within its workspace.
    RoleHandle,
    /// A group's handle within its workspace.
    GroupHandle,
    /// One live membership per user and workspace (I2); one Internal membership per user (I1).
    Membership,
    /// A membership's external id within its workspace.
    ExternalId,
    /// One proposed or active relationship per host and home.
    Relationship,
    /// One user per identity.
    Identity,
    /// One answer per request.
    Request,
}

impl Constraint {
    /// Every rule, for tables that must not forget one.
    pub const ALL: [Self; 10] = [
        Self::ContactKey,
        Self::Username,
        Self::WorkspaceHandle,
        Self::RoleHandle,
        Self::GroupHandle,
        Self::Membership,
        Self::ExternalId,
        Self::Relationship,
        Self::Identity,
        Self::Request,
    ];
}

/// Why a store did not do what it was asked. Nobody above the adapter sees a driver's error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another row has the unique value.
    #[error("another row has the value that {0:?} keeps unique")]
    Conflict(Constraint),
    /// The row is not at the version that the caller read.
    #[error("the row changed since it was read")]
    Stale,
    /// Others are writing; the same again may succeed at once.
    #[error("the store is busy with other writers")]
    Contention,
    /// The connection broke. Nothing was written, unless it broke in `commit`: that leaves open whether it was, and a
    /// request id tells.
    #[error("the connection to the store was lost")]
    ConnectionLost,
    /// The store cannot write now, and trying again at once will not help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// An earlier statement of the unit failed.
    #[error("an earlier statement of this unit failed, so nothing more can be done in it")]
    Poisoned,
    /// A row cannot be what it says.
    #[error("{table}.{column} of {row} holds what cannot be: {detail}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong.
        detail: String,
    },
    /// Anything else; a defect of the adapter or the schema.
    #[error("the store failed: {0}")]
    Fault(String),
}

/// Begins units of work.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Store: Send + Sync {
    /// Begins a unit. Waits at most `patience` for its turn, in the order of asking where turns are taken.
    ///
    /// # Errors
    /// [`StoreError::Contention`] when the turn did not come, [`StoreError::ConnectionLost`] or
    /// [`StoreError::Unavailable`] when it cannot come.
    async fn begin(&self, patience: Duration) -> Result<Box<dyn UnitOfWork>, StoreError>;
}

/// One transaction. See the [module](self) for its contract.
///
/// The first statement of a mutating unit is [`WorkspaceRepository::take_revision`]: what is read after it cannot be
/// changed by another unit of that workspace before this one ends (C8).
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UnitOfWork: Send {
    /// Users with their persons, contacts and identities.
    fn users<'t>(&'t mut self) -> Box<dyn UserRepository + 't>;
    /// Workspaces.
    fn workspaces<'t>(&'t mut self) -> Box<dyn WorkspaceRepository + 't>;
    /// Memberships, live and ended.
    fn memberships<'t>(&'t mut self) -> Box<dyn MembershipRepository + 't>;
    /// Groups and who is in them.
    fn groups<'t>(&'t mut self) -> Box<dyn GroupRepository + 't>;
    /// Roles and the catalogue of permissions.
    fn roles<'t>(&'t mut self) -> Box<dyn RoleRepository + 't>;
    /// Relationships.
    fn relationships<'t>(&'t mut self) -> Box<dyn RelationshipRepository + 't>;
    /// Notices.
    fn notices<'t>(&'t mut self) -> Box<dyn NoticeRepository + 't>;
    /// Audit, events and answered requests.
    fn records<'t>(&'t mut self) -> Box<dyn RecordRepository + 't>;
    /// Counters of budgets.
    fn budgets<'t>(&'t mut self) -> Box<dyn BudgetRepository + 't>;

    /// Makes everything the unit wrote durable and visible.
    ///
    /// # Errors
    /// Nothing was written: [`StoreError::Poisoned`] after a failed statement; [`StoreError::Conflict`] or
    /// [`StoreError::Contention`] for a race that the store notices only now. After [`StoreError::ConnectionLost`] alone
    /// it is open whether everything was written or nothing.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// Takes everything back.
    ///
    /// # Errors
    /// The connection failed; nothing was written all the same.
    async fn rollback(self: Box<Self>) -> Result<(), StoreError>;
}

/// Users with their persons, contacts and identities.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait UserRepository: Send {
    /// The user with that id, erased ones included.
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError>;

    /// Who stands behind a contact key; a hold that is over by `now` counts as nobody.
    async fn contact_owner(&mut self, key: &ContactKey, now: Timestamp) -> Result<Option<ContactOwner>, StoreError>;

    /// Whether a username's key is taken in a home.
    async fn username_taken(&mut self, home: WorkspaceId, key: &str) -> Result<bool, StoreError>;

    /// Adds a new account with its person and contacts. A contact whose hold is over is taken.
    ///
    /// # Errors
    /// [`Constraint::ContactKey`] or [`Constraint::Username`] when another was first.
    async fn insert(&mut self, user: &User) -> Result<(), StoreError>;

    /// Locks the account against change by others until the unit ends, and proves that it is still at `version` (C4).
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not.
    async fn hold(&mut self, id: UserId, version: Version) -> Result<(), StoreError>;

    /// Takes the next version of the account, and keeps others from changing it until the unit ends (C4).
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the account is not at `read_at` any more.
    async fn count_change(&mut self, id: UserId, read_at: Version, now: Timestamp) -> Result<(), StoreError>;

    /// Notes that the person proved a contact: verified since `now`, at the contact's next version.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the contact is not the user's.
    async fn verify_contact(&mut self, user: UserId, key: &ContactKey, now: Timestamp) -> Result<(), StoreError>;

    /// The user to whom an identity is bound.
    async fn identity_owner(&mut self, identity: &Identity) -> Result<Option<UserId>, StoreError>;

    /// The identities that are bound to a user, by issuer and subject.
    async fn identities(&mut self, user: UserId) -> Result<Vec<Identity>, StoreError>;

    /// Binds an identity to a user.
    ///
    /// # Errors
    /// [`Constraint::Identity`] when it is bound already.
    async fn bind_identity(&mut self, user: UserId, identity: &Identity, now: Timestamp) -> Result<(), StoreError>;

    /// Takes an identity from a user.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not bound to that user.
    async fn unbind_identity(&mut self, user: UserId, identity: &Identity) -> Result<(), StoreError>;
}

/// Workspaces.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait WorkspaceRepository: Send {
    /// Counts the unit: takes the next revision of the workspace and keeps other writers of it waiting until the unit
    /// ends. `None` if there is no such workspace. Exactly one statement either way.
    async fn take_revision(&mut self, workspace: &WorkspaceRef) -> Result<Option<(WorkspaceId, Revision)>, StoreError>;

    /// The workspace. Exactly one statement, found or not.
    async fn find(&mut self, workspace: &WorkspaceRef) -> Result<Option<Workspace>, StoreError>;

    /// The workspace that has verified the mail domain, if any.
    async fn owner_of_domain(&mut self, domain: &MailDomain) -> Result<Option<WorkspaceId>, StoreError>;

    /// Adds a workspace.
    ///
    /// # Errors
    /// [`Constraint::WorkspaceHandle`] when the handle is taken.
    async fn insert(&mut self, workspace: &Workspace) -> Result<(), StoreError>;

    /// Replaces the record of a workspace and its policies; handle, verified domains and revision stay as they are.
    /// `read_at` is the version that the caller read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more.
    async fn update(&mut self, workspace: &Workspace, read_at: Version) -> Result<(), StoreError>;
}

/// Memberships, live and ended.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MembershipRepository: Send {
    /// The live membership of a user in a workspace.
    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Membership>, StoreError>;

    /// The last ended membership of a user in a workspace.
    async fn last_ended(&mut self, workspace: WorkspaceId, user: UserId)
    -> Result<Option<EndedMembership>, StoreError>;

    /// Adds a live membership.
    ///
    /// # Errors
    /// [`Constraint::Membership`] (I1, I2) or [`Constraint::ExternalId`]; [`StoreError::Fault`] for an Internal outside the home.
    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError>;

    /// Replaces what is granted directly to a live membership, which takes the version of `base`. `read_at` is the version
    /// that the caller read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not live at that version any more.
    async fn grant(&mut self, base: &MembershipBase, read_at: Version) -> Result<(), StoreError>;

    /// Moves a live membership to the history. `read_at` is the version of the live row that the caller read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not live at that version any more.
    async fn end(&mut self, ended: &EndedMembership, read_at: Version) -> Result<(), StoreError>;

    /// At most `limit` Internals of a workspace to whom a governance permission is granted, directly, by a role or by a
    /// role of a group, whose user id is above `after` (nil for the first page), in order of user id. Exactly one statement.
    async fn governors(&mut self, workspace: WorkspaceId, after: UserId, limit: u32)
    -> Result<Vec<UserId>, StoreError>;

    /// Everything that decides what the Externals of a home may do in a host: at most `limit` of them, whose user id is above
    /// `after` (nil for the first page), in order of user id. The number of statements does not depend on how many there are.
    async fn externals(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
        after: UserId,
        limit: u32,
    ) -> Result<Vec<AccessFacts>, StoreError>;

    /// How many live External memberships there are of a kind. Exactly one statement.
    async fn count_externals(&mut self, which: Externals) -> Result<u64, StoreError>;

    /// At most `limit` workspaces in which a person has a live External membership and whose id is above `after` (nil for
    /// the first page), in order of id.
    async fn hosts_of(&mut self, user: UserId, after: WorkspaceId, limit: u32) -> Result<Vec<WorkspaceId>, StoreError>;

    /// Everything that decides what a person may do in a workspace. `None` if there is no such workspace. The number of
    /// statements does not depend on what exists.
    async fn access_facts(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<AccessFacts>, StoreError>;
}

/// External memberships that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Externals {
    /// Every one in a host.
    In(WorkspaceId),
    /// Those in a host whose ceiling is its default, or lies within it: it has agreed on nothing with their home, or the
    /// relationship that they agreed on last ended without having been suspended, or forbidden by the home.
    UnderDefaultOf(WorkspaceId),
    /// Those of a home's people, anywhere.
    From(WorkspaceId),
}

/// A member of a workspace, as far as a group is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCandidate {
    /// Who.
    pub user: UserId,
    /// The kind of the membership.
    pub kind: MembershipKind,
    /// The state of the account.
    pub account: UserState,
    /// Whether they are in the group.
    pub is_in: bool,
}

/// Groups and who is in them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait GroupRepository: Send {
    /// The group of a workspace, with the number of people in it.
    async fn find(&mut self, workspace: WorkspaceId, group: &GroupRef) -> Result<Option<GroupSize>, StoreError>;

    /// How many groups a workspace has.
    async fn count(&mut self, workspace: WorkspaceId) -> Result<u64, StoreError>;

    /// Adds a group without people.
    ///
    /// # Errors
    /// [`Constraint::GroupHandle`] when the handle is taken; [`StoreError::Fault`] for a role that does not exist.
    async fn insert(&mut self, group: &Group) -> Result<(), StoreError>;

    /// Replaces display name and roles of a group. `read_at` is the version that the caller read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more; [`StoreError::Fault`] for a role that does not exist.
    async fn update(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError>;

    /// Deletes a group; whoever is in it leaves it, and their memberships take the next version.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more.
    async fn delete(&mut self, group: &Group, read_at: Version) -> Result<(), StoreError>;

    /// Those of some people who have a live membership in the workspace, in order of user id.
    async fn candidates(
        &mut self,
        workspace: WorkspaceId,
        group: GroupId,
        users: &[UserId],
    ) -> Result<Vec<GroupCandidate>, StoreError>;

    /// Puts people into a group who are not in it; their memberships take the next version.
    ///
    /// # Errors
    /// [`StoreError::Fault`] for somebody who is in it, or who has no membership there.
    async fn add(&mut self, group: &Group, users: &[UserId]) -> Result<(), StoreError>;

    /// Takes people out of a group who are in it; their memberships take the next version.
    ///
    /// # Errors
    /// [`StoreError::Stale`] for somebody who is not in it.
    async fn remove(&mut self, group: &Group, users: &[UserId]) -> Result<(), StoreError>;
}

/// Roles and the catalogue of permissions.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RoleRepository: Send {
    /// All roles of a workspace, by handle.
    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Role>, StoreError>;

    /// Adds a role.
    ///
    /// # Errors
    /// [`Constraint::RoleHandle`] when the handle is taken.
    async fn insert(&mut self, role: &Role) -> Result<(), StoreError>;

    /// Replaces a role's name, permissions and mark for Externals. `read_at` is the version that the caller read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more.
    async fn update(&mut self, role: &Role, read_at: Version) -> Result<(), StoreError>;

    /// In how many places the role is named.
    async fn uses(&mut self, role: &Role) -> Result<RoleUses, StoreError>;

    /// How many members have the role.
    async fn reach(&mut self, role: &Role) -> Result<RoleReach, StoreError>;

    /// Deletes a role, at the version of `role`, and takes it from every membership, group and ceiling that names it, each
    /// of which takes its next version. Of relationships those that [`RelationshipRepository::admitting`] tells of; what is
    /// over stays as it was, with a role that nobody has.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more.
    async fn delete(&mut self, role: &Role) -> Result<(), StoreError>;

    /// The entries of the catalogue with these names, retired ones included, by name. Exactly one statement.
    async fn permissions(&mut self, names: &BTreeSet<PermissionName>) -> Result<Vec<Permission>, StoreError>;

    /// Registers a permission, or leaves the entry that is there.
    async fn register(&mut self, permission: &Permission) -> Result<(), StoreError>;

    /// Replaces the entry of the same name.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when there is none.
    async fn update_permission(&mut self, permission: &Permission) -> Result<(), StoreError>;

    /// In how many places of all workspaces a permission is named.
    async fn permission_uses(&mut self, name: &PermissionName) -> Result<PermissionUses, StoreError>;
}

/// Relationships.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RelationshipRepository: Send {
    /// The proposed or active relationship of a host and a home.
    async fn find(&mut self, host: WorkspaceId, home: WorkspaceId)
    -> Result<Option<WorkspaceRelationship>, StoreError>;

    /// The relationship with that id, in whatever state.
    async fn by_id(&mut self, id: RelationshipId) -> Result<Option<WorkspaceRelationship>, StoreError>;

    /// What a host and a home agreed last: the active relationship, else the one that ended last, if both had agreed to it.
    async fn agreed(
        &mut self,
        host: WorkspaceId,
        home: WorkspaceId,
    ) -> Result<Option<WorkspaceRelationship>, StoreError>;

    /// The proposed and active relationships of a role's workspace in whose ceiling the role stands, in order of the home's
    /// id. Exactly one statement.
    async fn admitting(&mut self, role: &Role) -> Result<Vec<WorkspaceRelationship>, StoreError>;

    /// Adds a relationship.
    ///
    /// # Errors
    /// [`Constraint::Relationship`] when one is proposed or active.
    async fn insert(&mut self, relationship: &WorkspaceRelationship) -> Result<(), StoreError>;

    /// Replaces a relationship. `read_at` is the version that the caller read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more.
    async fn update(&mut self, relationship: &WorkspaceRelationship, read_at: Version) -> Result<(), StoreError>;
}

/// What a lease took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leased {
    /// To be sent, oldest first.
    pub notices: Vec<Notice>,
    /// Leased like the others, so that they hold up none, but what stands there cannot be read.
    pub unreadable: Vec<(NoticeId, StoreError)>,
}

/// Notices: written with the change, sent after it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait NoticeRepository: Send {
    /// Queues a notice.
    async fn insert(&mut self, notice: &Notice) -> Result<(), StoreError>;

    /// The notice.
    async fn find(&mut self, id: NoticeId) -> Result<Option<Notice>, StoreError>;

    /// Leases at most `limit` waiting notices that are due by `now`, oldest first: until `lease_until` no other call
    /// returns them. After a crash the lease runs out and they are due again (C14).
    async fn lease_due(&mut self, now: Timestamp, lease_until: Timestamp, limit: u32) -> Result<Leased, StoreError>;

    /// Replaces a notice and frees its lease. `read_at` is the version that the caller read. A message, if given, is kept
    /// as its text, keyed by the user.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when it is not at that version any more.
    async fn update(&mut self, notice: &Notice, read_at: Version) -> Result<(), StoreError>;

    /// Keeps the text of a notice, keyed by the user; replaces an earlier one.
    async fn keep_message(&mut self, id: NoticeId, user: UserId, message: &Message) -> Result<(), StoreError>;

    /// Adds an attempt.
    async fn add_attempt(&mut self, id: NoticeId, attempt: &Attempt) -> Result<(), StoreError>;
}

/// Audit, events and answered requests: what commits with the work.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RecordRepository: Send {
    /// Appends a row to the audit record, with its personal values apart.
    async fn audit(&mut self, record: &AuditRecord, personal: &[PersonalValue]) -> Result<(), StoreError>;

    /// Appends an event.
    async fn event(&mut self, event: &Event) -> Result<(), StoreError>;

    /// The answer of a request, if it had its effect.
    async fn answered(&mut self, key: &RequestKey) -> Result<Option<AnsweredRequest>, StoreError>;

    /// Keeps an answer.
    ///
    /// # Errors
    /// [`Constraint::Request`] when the request was answered meanwhile.
    async fn keep_answer(&mut self, request: &AnsweredRequest) -> Result<(), StoreError>;
}

/// Counters of budgets. They change in place: there are never more of them than budgets have slots.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait BudgetRepository: Send {
    /// Counts one more on each counter, as [`Tally::counted`] says, and answers what they hold then, in the same order.
    /// Exactly one statement. No two units that commit hear the same count of a counter in a period; counters are taken
    /// in the order given, so callers that keep to one order do not wait for each other in a circle.
    async fn count(&mut self, counters: &[Counter], now: Timestamp) -> Result<Vec<Tally>, StoreError>;

    /// What the counters of some budgets' probes hold, each with its budget, in no order. Exactly one statement.
    async fn tallies(&mut self, budgets: &[BudgetKey]) -> Result<Vec<(BudgetKey, Tally)>, StoreError>;
}
