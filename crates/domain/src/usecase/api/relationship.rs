//! Relationships of workspaces, as callers ask of them and see them.

use std::collections::BTreeSet;

use super::GrantsInput;
use crate::model::id::{RelationshipId, RoleId, UserId, WorkspaceId};
use crate::model::name::{Handle, Name};
use crate::model::permission::PermissionName;
use crate::model::relationship::{Disclosure, HomeTerms, HostTerms, RelationshipState, Side};
use crate::model::time::{Timestamp, Version};
use crate::model::workspace::DirectoryVisibility;

/// What a caller chose among words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice<T> {
    /// Nothing.
    #[default]
    Unset,
    /// One that there is.
    Is(T),
    /// None that there is.
    Unknown,
}

/// What the host decides, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostTermsInput {
    /// The most that people of the home may have: roles by id or handle, permissions by name.
    pub ceiling: GrantsInput,
    /// Unset leaves it to the host's own policy.
    pub directory_visibility: Choice<DirectoryVisibility>,
    /// The longest a membership may last, in seconds; unlimited where absent.
    pub longest_membership: Option<i64>,
    /// Whether the person must accept.
    pub acceptance: bool,
}

/// What the home decides, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HomeTermsInput {
    /// Unset leaves it to the home's own policy.
    pub disclosure: Choice<Disclosure>,
    /// Whether the host may link its people.
    pub allows_host: bool,
    /// Whether the person must accept.
    pub acceptance: bool,
}

/// What one side decides, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermsInput {
    /// The caller's workspace is the host.
    Host(HostTermsInput),
    /// The caller's workspace is the home.
    Home(HomeTermsInput),
}

/// Which workspace a relationship is proposed to, as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherWorkspace {
    /// By id or handle.
    Named(String),
    /// The home of the person whom a lookup found, by its match handle.
    HomeOfMatch(String),
}

/// Propose a relationship to another workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeRelationship {
    /// To whom; absent is refused.
    pub other: Option<OtherWorkspace>,
    /// The terms of the caller's side, which say which side it is; absent is refused.
    pub terms: Option<TermsInput>,
}

/// Change terms of the own side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRelationship {
    /// Which, and as it was read.
    pub named: NamedRelationship,
    /// Where the fields of the host stand.
    pub host_terms: HostTermsInput,
    /// Where the fields of the home stand.
    pub home_terms: HomeTermsInput,
    /// The paths of the fields to change; no other is looked at.
    pub paths: Vec<String>,
}

/// Say yes to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveRelationship {
    /// Which, and as it was read: what is agreed to is what was seen.
    pub named: NamedRelationship,
    /// The terms of the caller's side; absent is refused.
    pub terms: Option<TermsInput>,
}

/// A relationship as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRelationship {
    /// Its id, as typed.
    pub relationship: String,
    /// The etag of what was read.
    pub etag: String,
}

/// Which relationships of a workspace to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelationshipFilter {
    /// Those in which the workspace is that side; either where unset.
    pub side: Choice<Side>,
    /// Those in one of these states; `None` is none that there is, and an empty list is every state.
    pub states: Vec<Option<RelationshipState>>,
}

/// A workspace in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceLabel {
    /// Its id.
    pub id: WorkspaceId,
    /// Its handle.
    pub handle: Handle,
    /// Its name.
    pub display_name: Name,
}

/// A role in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleLabel {
    /// Its id.
    pub id: RoleId,
    /// Its handle.
    pub handle: Handle,
    /// Its name.
    pub display_name: Name,
}

/// The host's part, with the names of the roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTermsView {
    /// The terms.
    pub terms: HostTerms,
    /// The roles of the ceiling that there still are, by handle.
    pub roles: Vec<RoleLabel>,
}

/// A relationship as one of its sides sees it: all terms, the people of the own side alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipView {
    /// Its id.
    pub id: RelationshipId,
    /// Which side looks.
    pub own_side: Side,
    /// Admits.
    pub host: WorkspaceLabel,
    /// Whose people are admitted; absent to the host while the home keeps to itself whose home was found.
    pub home: Option<WorkspaceLabel>,
    /// The state as of now: a proposal that waited too long has lapsed.
    pub state: RelationshipState,
    /// Whether the host has suspended it.
    pub suspended_by_host: bool,
    /// Whether the home has suspended it.
    pub suspended_by_home: bool,
    /// The host's part; absent while the host has not agreed.
    pub host_terms: Option<HostTermsView>,
    /// The home's part; absent while the home has not agreed.
    pub home_terms: Option<HomeTerms>,
    /// Which side proposed.
    pub proposed_by_side: Side,
    /// Who proposed, if a person of the own side did.
    pub proposed_by: Option<UserId>,
    /// When.
    pub proposed_at: Timestamp,
    /// When the proposal lapses, while it waits.
    pub lapses_at: Option<Timestamp>,
    /// Who answered, if a person of the own side did.
    pub answered_by: Option<UserId>,
    /// When.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Counts its changes.
    pub version: Version,
}

/// What one person gains or loses by a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberEffect {
    /// Who: a person of the home, External in the host.
    pub user: UserId,
    /// What they may do in the host then and could not before.
    pub gains: BTreeSet<PermissionName>,
    /// What they could do there and may not then.
    pub loses: BTreeSet<PermissionName>,
}

/// What a change does to the people of the home who are External in the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelationshipEffect {
    /// How many there are.
    pub externals: u32,
    /// How many of them gain or lose something.
    pub affected: u32,
    /// The first of those, by user id.
    pub members: Vec<MemberEffect>,
}

impl RelationshipEffect {
    /// How many people are named.
    pub const MOST_NAMED: usize = 100;
}

/// A relationship after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationshipChange {
    /// The relationship.
    pub view: RelationshipView,
    /// What the change does to people; absent when an answer is repeated.
    pub effect: Option<RelationshipEffect>,
}
