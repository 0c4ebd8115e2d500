//! The rows of a world, in the order in which keys allow them, for a bulk path of each engine. The schema is the product's
//! own, migrated by the product; its keys and CHECKs hold for every row.

pub mod postgres;
pub mod sqlite;

use anyhow::Result;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::world::{Account, Member, PERMISSIONS, Role, Visit, World};

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An id.
    Id(Uuid),
    /// A text.
    Text(String),
    /// A constant text.
    Word(&'static str),
    /// A number, or an instant in microseconds.
    Int(i64),
    /// Yes or no.
    Flag(bool),
    /// Nothing.
    Null,
}

/// A table that is filled.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in the order of the values.
    pub columns: &'static [&'static str],
}

macro_rules! tables {
    ($($(#[$doc:meta])* $constant:ident = $name:literal: $($column:ident)*;)*) => {
        $($(#[$doc])* pub static $constant: Table = Table { name: $name, columns: &[$(stringify!($column)),*] };)*
    };
}

tables! {
    /// Workspaces.
    WORKSPACES = "workspaces": id handle display_name state default_region default_language notice_languages channels
        gateway sender support_contact link_begin link_accept link_leave inbound outbound ceiling_roles
        ceiling_permissions visibility_of_externals acceptance_as_host acceptance_as_home disclosure external_managers
        created_at version revision;
    /// The catalogue of permissions.
    PERMISSION_CATALOGUE = "permissions": name description registered_by registered_at retired_at;
    /// Roles.
    ROLES = "roles": id workspace_id handle display_name for_externals built_in version;
    /// What roles grant.
    ROLE_PERMISSIONS = "role_permissions": role_id permission;
    /// Relationships.
    RELATIONSHIPS = "relationships": id host_id home_id state suspended_by_host suspended_by_home ceiling_roles
        ceiling_permissions directory_visibility longest_membership host_acceptance disclosure allows_host
        home_acceptance proposed_by_side proposed_by proposed_at answered_by answered_at ended_at version;
    /// Accounts.
    USERS = "users": id home_id created_in state created_at updated_at version;
    /// Profiles.
    PROFILES = "user_profiles": user_id home_id first_name last_name username username_key preferred_language;
    /// Contacts.
    CONTACTS = "contacts": kind match_key user_id display standing since version former_home held_until;
    /// Identities.
    IDENTITIES = "identities": issuer subject user_id bound_at;
    /// Memberships.
    MEMBERSHIPS = "memberships": workspace_id user_id id kind home_id state language expires_at sponsor external_id
        assigned_by assigned_at version roles permissions groups units;
    /// Roles of memberships.
    MEMBERSHIP_ROLES = "membership_roles": role_id user_id;
    /// Direct permissions of memberships.
    MEMBERSHIP_PERMISSIONS = "membership_permissions": workspace_id user_id permission;
    /// The contacts by which Externals were found.
    MEMBERSHIP_CONTACTS = "membership_contacts": workspace_id user_id typed_contact;
}

/// Rows of one table, one after the other.
#[derive(Debug)]
pub struct Batch {
    /// Of which table.
    pub table: &'static Table,
    /// The values of all rows.
    pub values: Vec<Value>,
}

/// Users whose rows travel together.
const CHUNK: u64 = 4_000;

fn id_list(ids: impl Iterator<Item = Uuid>) -> Value {
    let ids: Vec<String> = ids.map(|id| format!("\"{id}\"")).collect();
    Value::Text(format!("[{}]", ids.join(",")))
}

impl World {
    fn role_list(&self, workspace: u64, roles: &[Role]) -> Value {
        id_list(roles.iter().map(|role| self.role_id(workspace, *role)))
    }

    fn workspace_row(&self, workspace: u64) -> [Value; 26] {
        use Value::{Flag, Id, Int, Null, Text, Word};
        let state = if self.is_suspended(workspace) { "SUSPENDED" } else { "ACTIVE" };
        [
            Id(self.workspace_id(workspace)),
            Text(format!("workspace-{workspace}")),
            Text(format!("Workspace {workspace}")),
            Word(state),
            Word("US"),
            Word("en"),
            Word(r#"["en"]"#),
            Word(r#"["EMAIL"]"#),
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Word("OPEN"),
            Word("OPEN"),
            self.role_list(workspace, self.default_ceiling(workspace)),
            Word("[]"),
            Word("NAME_ONLY"),
            Flag(false),
            Flag(false),
            Word("NAME"),
            Flag(false),
            Int(self.created_at(0)),
            Int(1),
            Int(1),
        ]
    }

    fn role_row(&self, workspace: u64, role: Role) -> [Value; 7] {
        let built_in = match role {
            Role::AccessManager => Value::Word("ACCESS_MANAGER"),
            Role::Member => Value::Word("MEMBER"),
            Role::Guest => Value::Word("GUEST"),
            Role::Editor | Role::Visitor => Value::Null,
        };
        [
            Value::Id(self.role_id(workspace, role)),
            Value::Id(self.workspace_id(workspace)),
            Value::Word(role.handle()),
            Value::Word(role.handle()),
            Value::Flag(role.for_externals()),
            built_in,
            Value::Int(1),
        ]
    }

    fn relationship_row(&self, host: u64, home: u64) -> [Value; 21] {
        use Value::{Flag, Id, Int, Null, Word};
        let suspended = self.relationship(host, home) == Some(true);
        let at = Int(self.created_at(0));
        [
            Id(self.relationship_id(host, home)),
            Id(self.workspace_id(host)),
            Id(self.workspace_id(home)),
            Word("ACTIVE"),
            Flag(suspended),
            Flag(false),
            self.role_list(host, &[Role::Guest, Role::Visitor]),
            Word("[]"),
            Null,
            Null,
            Flag(false),
            Null,
            Flag(true),
            Flag(false),
            Word("HOST"),
            Id(self.user_id(host)),
            at.clone(),
            Id(self.user_id(home)),
            at,
            Null,
            Int(1),
        ]
    }

    fn membership_row(&self, member: &Member) -> [Value; 17] {
        use Value::{Id, Int, Null, Text, Word};
        let workspace = self.workspace_id(member.workspace);
        let at = self.created_at(member.user);
        let state = member.visit.map_or(Null, |visit| {
            Word(match visit {
                Visit::Active | Visit::Expired => "ACTIVE",
                Visit::Suspended => "SUSPENDED",
                Visit::Review => "REVIEW",
                Visit::Pending => "PENDING",
            })
        });
        [
            Id(workspace),
            Id(self.user_id(member.user)),
            Id(self.membership_id(member.user, member.number)),
            Word(if member.visit.is_some() { "EXTERNAL" } else { "INTERNAL" }),
            if member.visit.is_some() { Null } else { Id(workspace) },
            state,
            Null,
            if member.visit == Some(Visit::Expired) { Int(at + 1) } else { Null },
            Null,
            Null,
            Id(self.user_id(member.workspace)),
            Int(at),
            Int(1),
            Text(self.role_id(member.workspace, member.role).simple().to_string()),
            Word(if member.may_export { "reports.export" } else { "" }),
            Word(""),
            Word(""),
        ]
    }

    /// The rows of a chunk of users.
    fn user_rows(&self, users: std::ops::Range<u64>) -> Vec<Batch> {
        use Value::{Id, Int, Null, Text, Word};
        let mut batches: Vec<Batch> = [
            &USERS,
            &PROFILES,
            &CONTACTS,
            &IDENTITIES,
            &MEMBERSHIPS,
            &MEMBERSHIP_ROLES,
            &MEMBERSHIP_PERMISSIONS,
            &MEMBERSHIP_CONTACTS,
        ]
        .into_iter()
        .map(|table| Batch { table, values: Vec::new() })
        .collect();
        let [accounts, profiles, contacts, identities, memberships, roles, permissions, typed] = batches.as_mut_slice()
        else {
            return batches;
        };
        for user in users {
            let (id, home, at) = (self.user_id(user), self.workspace_id(self.home(user)), self.created_at(user));
            let state = match self.account(user) {
                Account::Active => "ACTIVE",
                Account::Suspended => "SUSPENDED",
                Account::Deactivated => "DEACTIVATED",
            };
            accounts.values.extend([Id(id), Id(home), Id(home), Word(state), Int(at), Int(at), Int(1)]);
            let (first, last) = self.names(user);
            let (username, email) = (self.username(user), self.email(user));
            let name = Text(username);
            profiles.values.extend([Id(id), Id(home), Word(first), Word(last), name.clone(), name, Word("en")]);
            let (key, shown) = (Text(email.clone()), Text(email.clone()));
            contacts.values.extend([Word("EMAIL"), key, Id(id), shown, Word("ASSERTED"), Int(at), Int(1), Null, Null]);
            if let Some((issuer, subject)) = self.identity(user) {
                identities.values.extend([Word(issuer), Text(subject), Id(id), Int(at)]);
            }
            for member in self.memberships(user) {
                let workspace = self.workspace_id(member.workspace);
                memberships.values.extend(self.membership_row(&member));
                roles.values.extend([Id(self.role_id(member.workspace, member.role)), Id(id)]);
                if member.may_export {
                    permissions.values.extend([Id(workspace), Id(id), Word("reports.export")]);
                }
                if member.visit.is_some() {
                    typed.values.extend([Id(workspace), Id(id), Text(email.clone())]);
                }
            }
        }
        batches
    }

    /// Everything before the first user.
    fn ground_rows(&self) -> Vec<Batch> {
        use Value::{Id, Int, Null, Word};
        let mut batches = Vec::new();
        let mut add = |table, values: Vec<Value>| batches.push(Batch { table, values });
        let all = 0..self.workspaces;
        let catalogue = PERMISSIONS.iter().flat_map(|p| [Word(p), Word(p), Word("bench"), Int(0), Null]);
        add(&PERMISSION_CATALOGUE, catalogue.collect());
        add(&WORKSPACES, all.clone().flat_map(|w| self.workspace_row(w)).collect());
        let roles = || all.clone().flat_map(|w| Role::ALL.into_iter().map(move |role| (w, role)));
        add(&ROLES, roles().flat_map(|(w, role)| self.role_row(w, role)).collect());
        let granted = roles().flat_map(|(w, role)| role.permissions().iter().map(move |p| (w, role, *p)));
        add(&ROLE_PERMISSIONS, granted.flat_map(|(w, role, p)| [Id(self.role_id(w, role)), Word(p)]).collect());
        add(&RELATIONSHIPS, self.relationships().flat_map(|(host, home)| self.relationship_row(host, home)).collect());
        batches
    }
}

/// Makes the rows on a thread of its own, so that writing need not wait for them.
#[must_use]
pub fn rows(world: &World) -> mpsc::Receiver<Batch> {
    let (sender, receiver) = mpsc::channel(32);
    let world = world.clone();
    std::thread::spawn(move || {
        let chunks = (0..world.users.div_ceil(CHUNK))
            .map(|chunk| world.user_rows(chunk * CHUNK..((chunk + 1) * CHUNK).min(world.users)));
        for batch in std::iter::once(world.ground_rows()).chain(chunks).flatten() {
            if sender.blocking_send(batch).is_err() {
                // Nobody writes any more.
                return;
            }
        }
    });
    receiver
}

/// Hands every batch that has rows to `write`, and tells how far it is.
async fn each_batch<F>(world: &World, progress: &crate::progress::Progress, mut write: F) -> Result<()>
where
    F: AsyncFnMut(&Batch) -> Result<()>,
{
    let mut rows = rows(world);
    let mut users = 0;
    while let Some(batch) = rows.recv().await {
        if batch.table.name == USERS.name {
            users += u64::try_from(batch.values.len() / batch.table.columns.len()).unwrap_or(0);
            progress.tell(&format!("{users} of {} users", world.users));
        }
        if !batch.values.is_empty() {
            write(&batch).await?;
        }
    }
    anyhow::ensure!(users == world.users, "the maker stopped after {users} users");
    Ok(())
}
