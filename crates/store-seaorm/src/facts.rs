//! What decides access, read in as few statements as it can be: one for the person and one for the workspace, and the
//! second only where the workspace is not held at the revision that the first one found.
//!
//! Their text stands here once for each engine and never changes: drivers keep prepared statements by it, and building it
//! anew would cost more than running it. Lists come as one text, whose words are divided by blanks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use domicile_domain::model::facts::{AccessFacts, AccountFacts};
use domicile_domain::model::id::{GroupId, Id, MembershipId, RelationshipId, RoleId, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{
    ExternalMembership, Grants, InternalMembership, Membership, MembershipBase, MembershipKind,
};
use domicile_domain::model::name::ExternalId;
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{HomeTerms, HostTerms, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Revision, Timestamp, Version};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{CheckKey, CheckedSubject};
use domicile_domain::port::store::StoreError;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sea_orm::{DbBackend, FromQueryResult, IdenStatic, Iterable, QueryResult, Statement, Value};
use serde::Serialize;
use uuid::Uuid;
use uuid::fmt::Simple;

use crate::SeaOrmStore;
use crate::convert::{At, Word, duration, json, maybe_id, model, uuid};
use crate::entity::{role, workspace};
use crate::executor::Executor;
use crate::roles::role_of;
use crate::words::{ids, permissions, words};
use crate::workspaces::{ceiling, workspace_of};

/// The statements of one engine.
struct Texts {
    one: String,
    many: String,
    /// Workspaces with all their roles.
    shelves: String,
    /// A workspace with the roles of one person.
    own: String,
}

static SQLITE: LazyLock<Texts> = LazyLock::new(|| Texts::of(DbBackend::Sqlite));
static POSTGRES: LazyLock<Texts> = LazyLock::new(|| Texts::of(DbBackend::Postgres));

fn texts(backend: DbBackend) -> &'static Texts {
    if backend == DbBackend::Postgres { &POSTGRES } else { &SQLITE }
}

/// The text of the statement of one check.
#[cfg(feature = "inspect")]
pub(crate) fn one(backend: DbBackend) -> &'static str {
    &texts(backend).one
}

/// The one check that is asked for: workspace by id or handle, user by id or identity, permission. PostgreSQL plans it once
/// for all values, and would look for the names wherever the ids are used, and read all relationships, if it took it apart.
const ONE_SQLITE: &str = "
    WITH k (n, w, u, p) AS (SELECT 0,
        coalesce(?1, (SELECT id FROM workspaces WHERE handle = ?2)),
        coalesce(?3, (SELECT user_id FROM identities WHERE issuer = ?4 AND subject = ?5)), ?6)";
const ONE_POSTGRES: &str = "
    WITH k (n, w, u, p) AS MATERIALIZED (SELECT 0,
        coalesce($1::uuid, (SELECT id FROM workspaces WHERE handle = $2::text)),
        coalesce($3::uuid, (SELECT user_id FROM identities WHERE issuer = $4::text AND subject = $5::text)), $6::text)";
/// Many of them as one list of JSON.
const MANY_SQLITE: &str = "
    WITH k (n, w, u, p) AS MATERIALIZED (SELECT j.key,
        coalesce(unhex(j.value ->> 'w'), (SELECT id FROM workspaces WHERE handle = j.value ->> 'h')),
        coalesce(unhex(j.value ->> 'u'), (SELECT user_id FROM identities
            WHERE issuer = j.value ->> 'i' AND subject = j.value ->> 's')),
        j.value ->> 'p' FROM json_each(?1) j)";
const MANY_POSTGRES: &str = "
    WITH k (n, w, u, p) AS MATERIALIZED (SELECT j.n,
        coalesce((j.v ->> 'w')::uuid, (SELECT id FROM workspaces WHERE handle = j.v ->> 'h')),
        coalesce((j.v ->> 'u')::uuid, (SELECT user_id FROM identities
            WHERE issuer = j.v ->> 'i' AND subject = j.v ->> 's')),
        j.v ->> 'p' FROM json_array_elements($1::text::json) WITH ORDINALITY j (v, n))";
/// Workspaces as one list of JSON.
const LISTED_SQLITE: &str = "w.id IN (SELECT unhex(value) FROM json_each(?1))";
const LISTED_POSTGRES: &str = "w.id IN (SELECT v::uuid FROM json_array_elements_text($1::text::json) j (v))";
/// The roles of a person, their own and those of their groups.
const OF_PERSON: &str = "
    AND ({position}((SELECT m.roles FROM memberships m WHERE m.workspace_id = {w} AND m.user_id = {u}), {role}) > 0
        OR r.id IN (SELECT g.role_id FROM groups o JOIN membership_groups x ON x.group_id = o.id AND x.user_id = {u}
            JOIN group_roles g ON g.group_id = o.id WHERE o.workspace_id = {w}))";

/// Where the columns of a point begin that belong to one thing.
mod place {
    pub(super) const ACCOUNT: usize = 2;
    pub(super) const MEMBERSHIP: usize = 8;
    pub(super) const LISTS: usize = 18;
    pub(super) const RELATIONSHIP: usize = 23;
    pub(super) const PERMISSION: usize = 43;
}

impl Texts {
    fn of(backend: DbBackend) -> Self {
        let postgres = backend == DbBackend::Postgres;
        let (one, many, listed) = if postgres {
            (ONE_POSTGRES, MANY_POSTGRES, LISTED_POSTGRES)
        } else {
            (ONE_SQLITE, MANY_SQLITE, LISTED_SQLITE)
        };
        let words = |column: &str| {
            if postgres { format!("string_agg({column}, ' ')") } else { format!("group_concat({column}, ' ')") }
        };
        let id = |column: &str| {
            if postgres { format!("replace({column}::text, '-', '')") } else { format!("lower(hex({column}))") }
        };
        // What only an External has is not looked for in an Internal. At home there is no relationship, and the home is the
        // workspace that is read already.
        let point = |head: &str, order: &str| {
            format!(
                "{head} SELECT w.id, w.revision,
                u.id, u.home_id, u.state,
                coalesce(h.state, w.state), coalesce(h.outbound, w.outbound), coalesce(h.revision, w.revision),
                m.id, m.kind, m.state, m.language, m.expires_at, m.sponsor, m.external_id, m.assigned_by,
                m.assigned_at, m.version,
                m.roles, m.permissions, m.groups, m.units,
                CASE WHEN m.kind = 'EXTERNAL' THEN (SELECT x.typed_contact FROM membership_contacts x
                    WHERE x.workspace_id = m.workspace_id AND x.user_id = m.user_id) END,
                r.id, r.state, r.suspended_by_host, r.suspended_by_home, r.ceiling_roles, r.ceiling_permissions,
                r.directory_visibility, r.longest_membership, r.host_acceptance, r.disclosure, r.allows_host,
                r.home_acceptance, r.proposed_by_side, r.proposed_by, r.proposed_at, r.answered_by, r.answered_at,
                r.ended_at, r.version, r.home_withheld,
                p.name, p.description, p.registered_by, p.registered_at, p.retired_at
                FROM k
                LEFT JOIN workspaces w ON w.id = k.w
                LEFT JOIN users u ON u.id = k.u
                LEFT JOIN workspaces h ON h.id = CASE WHEN u.home_id = w.id THEN NULL ELSE u.home_id END
                LEFT JOIN memberships m ON m.workspace_id = k.w AND m.user_id = k.u
                LEFT JOIN relationships r ON r.id = CASE WHEN u.home_id <> k.w THEN (SELECT a.id FROM relationships a
                    WHERE a.host_id = k.w AND a.home_id = u.home_id AND a.answered_at IS NOT NULL
                        AND a.state IN ('ACTIVE', 'ENDED')
                    ORDER BY a.ended_at IS NOT NULL, a.ended_at DESC, a.id DESC LIMIT 1) END
                LEFT JOIN permissions p ON p.name = k.p{order}"
            )
        };
        let workspace_columns: Vec<String> =
            workspace::Column::iter().map(|column| format!("w.{}", column.as_str())).collect();
        let shelf = |which_roles: &str, which: &str| {
            format!(
                "SELECT r.id AS r_id, r.workspace_id AS r_workspace_id, r.handle AS r_handle,
                r.display_name AS r_display_name, r.for_externals AS r_for_externals, r.built_in AS r_built_in,
                r.version AS r_version,
                (SELECT {permissions} FROM role_permissions x WHERE x.role_id = r.id) AS r_permissions,
                (SELECT {groups} FROM group_roles x WHERE x.role_id = r.id) AS r_groups,
                (SELECT {domains} FROM workspace_domains x WHERE x.workspace_id = w.id) AS domains,
                {columns}
                FROM workspaces w LEFT JOIN roles r ON r.workspace_id = w.id {which_roles}
                WHERE {which} ORDER BY w.id, r.handle",
                permissions = words("x.permission"),
                groups = words(&id("x.group_id")),
                domains = words("x.domain"),
                columns = workspace_columns.join(", "),
            )
        };
        let (w, u) = if postgres { ("$1", "$2") } else { ("?1", "?2") };
        let position = if postgres { "strpos" } else { "instr" };
        let of_person = OF_PERSON.replace("{position}", position).replace("{role}", &id("r.id"));
        let of_person = of_person.replace("{w}", w).replace("{u}", u);
        let constant = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            one: constant(point(one, "")),
            many: constant(point(many, " ORDER BY k.n")),
            shelves: constant(shelf("", listed)),
            own: constant(shelf(&of_person, &format!("w.id = {w}"))),
        }
    }
}

/// One check, as the statement of many reads it.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<Simple>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<Simple>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a str>,
    p: &'a str,
}

impl<'a> Asked<'a> {
    fn of(check: &'a CheckKey) -> Self {
        let (id, handle) = match &check.workspace {
            WorkspaceRef::Id(id) => (Some(uuid(*id).simple()), None),
            WorkspaceRef::Handle(handle) => (None, Some(handle.as_str())),
        };
        let (user, issuer, subject) = match &check.subject {
            CheckedSubject::User(user) => (Some(uuid(*user).simple()), None, None),
            CheckedSubject::Identity(identity) => {
                (None, Some(identity.issuer.as_str()), Some(identity.subject.as_str()))
            }
        };
        Self { w: id, h: handle, u: user, i: issuer, s: subject, p: check.permission.as_str() }
    }
}

/// The statement of the points of some checks.
pub(crate) fn points_of(backend: DbBackend, checks: &[CheckKey]) -> Result<Statement, StoreError> {
    let asked = checks.iter().map(Asked::of);
    let [only] = checks else {
        let list = json(&asked.collect::<Vec<_>>())?;
        return Ok(Statement::from_sql_and_values(backend, &texts(backend).many, [list.into()]));
    };
    let Asked { w, h, u, i, s, p } = Asked::of(only);
    let id = |id: Option<Simple>| Value::from(id.map(Simple::into_uuid));
    let text = |text: Option<&str>| Value::from(text.map(ToOwned::to_owned));
    let values = [id(w), text(h), id(u), text(i), text(s), text(Some(p))];
    Ok(Statement::from_sql_and_values(backend, &texts(backend).one, values))
}

/// The statement of one person in one workspace; no permission has an empty name.
fn point_of(backend: DbBackend, workspace: WorkspaceId, user: UserId) -> Statement {
    let none = || Value::from(None::<String>);
    let values = [uuid(workspace).into(), none(), uuid(user).into(), none(), none(), "".into()];
    Statement::from_sql_and_values(backend, &texts(backend).one, values)
}

fn listed<'a>(workspaces: impl IntoIterator<Item = &'a WorkspaceId>) -> Result<Value, StoreError> {
    Ok(json(&workspaces.into_iter().map(|id| uuid(*id).simple()).collect::<Vec<_>>())?.into())
}

/// What one row of the first statement says.
pub(crate) struct Point {
    /// Absent if there is no such workspace.
    workspace: Option<(WorkspaceId, Revision)>,
    account: Option<AccountFacts>,
    membership: Option<Membership>,
    relationship: Option<WorkspaceRelationship>,
    permission: Option<Permission>,
}

/// A row whose columns are read by their place, whichever driver brought it.
pub(crate) trait Cells {
    fn uuid(&self, place: usize) -> Result<Option<Uuid>, String>;
    fn text(&self, place: usize) -> Result<Option<String>, String>;
    fn whole(&self, place: usize) -> Result<Option<i64>, String>;
    fn flag(&self, place: usize) -> Result<Option<bool>, String>;
}

impl Cells for QueryResult {
    fn uuid(&self, place: usize) -> Result<Option<Uuid>, String> {
        self.try_get_by_index(place).map_err(|error| error.to_string())
    }

    fn text(&self, place: usize) -> Result<Option<String>, String> {
        self.try_get_by_index(place).map_err(|error| error.to_string())
    }

    fn whole(&self, place: usize) -> Result<Option<i64>, String> {
        self.try_get_by_index(place).map_err(|error| error.to_string())
    }

    fn flag(&self, place: usize) -> Result<Option<bool>, String> {
        self.try_get_by_index(place).map_err(|error| error.to_string())
    }
}

/// What a column can hold.
trait Cell: Sized {
    fn of(row: &dyn Cells, place: usize) -> Result<Option<Self>, String>;
}

macro_rules! cells {
    ($($type:ty: $method:ident,)*) => {$(
        impl Cell for $type {
            fn of(row: &dyn Cells, place: usize) -> Result<Option<Self>, String> {
                row.$method(place)
            }
        }
    )*};
}

cells! { Uuid: uuid, String: text, i64: whole, bool: flag, }

/// Reads columns by their place, and names those that cannot be.
struct Columns<'r> {
    row: &'r dyn Cells,
    at: At,
}

impl Columns<'_> {
    fn maybe<T: Cell>(&self, place: usize, column: &'static str) -> Result<Option<T>, StoreError> {
        self.at.read(column, T::of(self.row, place))
    }

    fn get<T: Cell>(&self, place: usize, column: &'static str) -> Result<T, StoreError> {
        self.maybe(place, column)?.ok_or_else(|| self.at.corrupt(column, "nothing stands there"))
    }

    fn word<T: Word>(&self, place: usize, column: &'static str) -> Result<T, StoreError> {
        self.at.word(column, &self.get::<String>(place, column)?)
    }

    fn maybe_word<T: Word>(&self, place: usize, column: &'static str) -> Result<Option<T>, StoreError> {
        self.maybe::<String>(place, column)?.map(|word| self.at.word(column, &word)).transpose()
    }

    fn instant(&self, place: usize, column: &'static str) -> Result<Timestamp, StoreError> {
        self.get(place, column).map(Timestamp::from_micros)
    }

    fn maybe_instant(&self, place: usize, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe(place, column)?.map(Timestamp::from_micros))
    }

    fn id<K>(&self, place: usize, column: &'static str) -> Result<Id<K>, StoreError> {
        self.get(place, column).map(Id::from_uuid)
    }

    fn maybe_id<K>(&self, place: usize, column: &'static str) -> Result<Option<Id<K>>, StoreError> {
        self.maybe(place, column).map(maybe_id)
    }

    fn ids<K>(&self, place: usize, column: &'static str) -> Result<BTreeSet<Id<K>>, StoreError> {
        ids(&self.at, column, &self.get::<String>(place, column)?)
    }
}

impl Point {
    pub(crate) fn read(row: &dyn Cells) -> Result<Self, StoreError> {
        let columns = |table: &'static str| Columns { row, at: At::new(table, "?") };
        let workspaces = columns("workspaces");
        let id: Option<WorkspaceId> = workspaces.maybe_id(0, "id")?;
        let workspace = match id {
            Some(id) => Some((id, Revision::from_stored(workspaces.get(1, "revision")?))),
            None => None,
        };
        let account = account_of(&columns("users"))?;
        let membership = match (id, &account) {
            (Some(workspace), Some(account)) => membership_of(&columns("memberships"), workspace, account.user)?,
            _ => None,
        };
        let relationship = match (id, &account) {
            (Some(host), Some(account)) => relationship_of(&columns("relationships"), host, account.home)?,
            _ => None,
        };
        let permission = permission_of(&columns("permissions"))?;
        Ok(Self { workspace, account, membership, relationship, permission })
    }

    /// The facts, with what the workspace's shelf holds. `None` if it does not have every role that is named.
    fn facts(self, shelf: &Shelf) -> Option<AccessFacts> {
        let mut roles = Vec::new();
        if let Some(membership) = &self.membership {
            let mut named: BTreeSet<RoleId> = membership.base().grants.roles.clone();
            if let Membership::Internal(internal) = membership {
                named.extend(internal.groups.iter().filter_map(|group| shelf.carried.get(group)).flatten());
            }
            roles = named.iter().map(|role| shelf.roles.get(role).cloned()).collect::<Option<_>>()?;
            roles.sort_by(|a: &Arc<Role>, b| a.handle.cmp(&b.handle));
        }
        Some(AccessFacts {
            workspace: shelf.workspace.clone(),
            account: self.account,
            membership: self.membership,
            roles,
            relationship: self.relationship.map(Arc::new),
        })
    }
}

fn account_of(columns: &Columns<'_>) -> Result<Option<AccountFacts>, StoreError> {
    const AT: usize = place::ACCOUNT;
    let Some(user) = columns.maybe_id(AT, "id")? else { return Ok(None) };
    Ok(Some(AccountFacts {
        user,
        home: columns.id(AT + 1, "home_id")?,
        state: columns.word(AT + 2, "state")?,
        home_state: columns.word(AT + 3, "home_id")?,
        home_outbound: columns.word(AT + 4, "home_id")?,
        home_revision: Revision::from_stored(columns.get(AT + 5, "home_id")?),
    }))
}

fn membership_of(
    columns: &Columns<'_>,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<Membership>, StoreError> {
    const AT: usize = place::MEMBERSHIP;
    const LISTS: usize = place::LISTS;
    let Some(id) = columns.maybe::<Uuid>(AT, "id")? else { return Ok(None) };
    let columns = &Columns { row: columns.row, at: At::new("memberships", id) };
    let base = MembershipBase {
        id: MembershipId::from_uuid(id),
        user,
        workspace,
        grants: Grants {
            roles: columns.ids(LISTS, "roles")?,
            permissions: permissions(&columns.at, "permissions", &columns.get::<String>(LISTS + 1, "permissions")?)?,
        },
        assigned_by: columns.maybe_id(AT + 7, "assigned_by")?,
        assigned_at: columns.instant(AT + 8, "assigned_at")?,
        external_id: columns
            .maybe::<String>(AT + 6, "external_id")?
            .map(|id| columns.at.read("external_id", ExternalId::parse(&id)))
            .transpose()?,
        version: Version::from_stored(columns.get(AT + 9, "version")?),
    };
    Ok(Some(match columns.word(AT + 1, "kind")? {
        MembershipKind::Internal => Membership::Internal(InternalMembership {
            base,
            groups: columns.ids(LISTS + 2, "groups")?,
            units: columns.ids(LISTS + 3, "units")?,
        }),
        MembershipKind::External => Membership::External(ExternalMembership {
            base,
            state: columns.word(AT + 2, "state")?,
            language: columns
                .maybe::<String>(AT + 3, "language")?
                .map(|tag| columns.at.read("language", LanguageTag::parse(&tag)))
                .transpose()?,
            expires_at: columns.maybe_instant(AT + 4, "expires_at")?,
            sponsor: columns.maybe_id(AT + 5, "sponsor")?,
            typed_contact: columns.maybe(LISTS + 4, "typed_contact")?,
        }),
    }))
}

fn relationship_of(
    columns: &Columns<'_>,
    host: WorkspaceId,
    home: WorkspaceId,
) -> Result<Option<WorkspaceRelationship>, StoreError> {
    const AT: usize = place::RELATIONSHIP;
    let Some(id) = columns.maybe::<Uuid>(AT, "id")? else { return Ok(None) };
    let columns = &Columns { row: columns.row, at: At::new("relationships", id) };
    let (roles, permissions): (String, String) =
        (columns.get(AT + 4, "ceiling_roles")?, columns.get(AT + 5, "ceiling_permissions")?);
    Ok(Some(WorkspaceRelationship {
        id: RelationshipId::from_uuid(id),
        host,
        home,
        state: columns.word(AT + 1, "state")?,
        suspended_by_host: columns.get(AT + 2, "suspended_by_host")?,
        suspended_by_home: columns.get(AT + 3, "suspended_by_home")?,
        host_terms: HostTerms {
            ceiling: ceiling(&columns.at, &roles, &permissions)?,
            directory_visibility: columns.maybe_word(AT + 6, "directory_visibility")?,
            longest_membership: columns.maybe::<i64>(AT + 7, "longest_membership")?.map(duration),
            acceptance: columns.get(AT + 8, "host_acceptance")?,
        },
        home_terms: HomeTerms {
            disclosure: columns.maybe_word(AT + 9, "disclosure")?,
            allows_host: columns.get(AT + 10, "allows_host")?,
            acceptance: columns.get(AT + 11, "home_acceptance")?,
        },
        proposed_by_side: columns.word(AT + 12, "proposed_by_side")?,
        proposed_by: columns.id(AT + 13, "proposed_by")?,
        proposed_at: columns.instant(AT + 14, "proposed_at")?,
        answered_by: columns.maybe_id(AT + 15, "answered_by")?,
        answered_at: columns.maybe_instant(AT + 16, "answered_at")?,
        ended_at: columns.maybe_instant(AT + 17, "ended_at")?,
        version: Version::from_stored(columns.get(AT + 18, "version")?),
        home_withheld: columns.get(AT + 19, "home_withheld")?,
    }))
}

fn permission_of(columns: &Columns<'_>) -> Result<Option<Permission>, StoreError> {
    const AT: usize = place::PERMISSION;
    let Some(name) = columns.maybe::<String>(AT, "name")? else { return Ok(None) };
    Ok(Some(Permission {
        name: columns.at.read("name", PermissionName::parse(&name))?,
        description: columns.get(AT + 1, "description")?,
        registered_by: columns.get(AT + 2, "registered_by")?,
        registered_at: columns.instant(AT + 3, "registered_at")?,
        retired_at: columns.maybe_instant(AT + 4, "retired_at")?,
    }))
}

/// A workspace as of a revision, with its roles and what groups carry of them. Every unit that changes one of these takes
/// the next revision first, so while the revision stands, nothing of it has changed.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) workspace: Arc<Workspace>,
    roles: BTreeMap<RoleId, Arc<Role>>,
    carried: BTreeMap<GroupId, Vec<RoleId>>,
}

/// Reads workspaces with all their roles, with one statement.
async fn shelves(
    exec: &mut dyn Executor,
    of: &BTreeSet<WorkspaceId>,
) -> Result<BTreeMap<WorkspaceId, Arc<Shelf>>, StoreError> {
    let backend = exec.backend();
    let statement = Statement::from_sql_and_values(backend, &texts(backend).shelves, [listed(of)?]);
    let rows = exec.all(statement).await?;
    let mut read: BTreeMap<WorkspaceId, Shelf> = BTreeMap::new();
    for row in &rows {
        put(&mut read, row)?;
    }
    Ok(read.into_iter().map(|(id, shelf)| (id, Arc::new(shelf))).collect())
}

/// Puts a row, a workspace with one of its roles or with none, where it belongs.
fn put(shelves: &mut BTreeMap<WorkspaceId, Shelf>, row: &QueryResult) -> Result<(), StoreError> {
    let id = At::new("workspaces", "?").read("id", row.try_get("", "id")).map(WorkspaceId::from_uuid)?;
    let shelf = match shelves.entry(id) {
        Entry::Occupied(there) => there.into_mut(),
        Entry::Vacant(none) => {
            let of: workspace::Model = model("workspaces", row)?;
            let at = At::new("workspaces", id);
            let domains: Option<String> = at.read("domain", row.try_get("", "domains"))?;
            let domains: Vec<String> = words(domains.as_deref().unwrap_or_default()).map(ToOwned::to_owned).collect();
            let workspace = Arc::new(workspace_of(of, &domains)?);
            none.insert(Shelf { workspace, roles: BTreeMap::new(), carried: BTreeMap::new() })
        }
    };
    let at = At::new("roles", "?");
    let Some(id) = at.read("id", row.try_get::<Option<Uuid>>("", "r_id"))? else { return Ok(()) };
    let at = At::new("roles", id);
    let of = at.read("?", role::Model::from_query_result(row, "r_"))?;
    let granted: Option<String> = at.read("permission", row.try_get("", "r_permissions"))?;
    let groups: Option<String> = at.read("group_id", row.try_get("", "r_groups"))?;
    let role = Role {
        permissions: permissions(&at, "permission", granted.as_deref().unwrap_or_default())?,
        ..role_of(of, &at)?
    };
    for group in ids::<_, Vec<GroupId>>(&at, "group_id", groups.as_deref().unwrap_or_default())? {
        shelf.carried.entry(group).or_default().push(role.id);
    }
    shelf.roles.insert(role.id, Arc::new(role));
    Ok(())
}

/// How much is held: a workspace counts one, and so does each of its roles.
const HELD: u64 = 40_000;

#[derive(Clone)]
struct Weight;

impl Weighter<WorkspaceId, Arc<Shelf>> for Weight {
    fn weight(&self, _: &WorkspaceId, shelf: &Arc<Shelf>) -> u64 {
        u64::try_from(shelf.roles.len()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// The workspaces that are held in memory.
#[derive(Clone)]
pub(crate) struct Shelves(Arc<Cache<WorkspaceId, Arc<Shelf>, Weight>>);

impl Default for Shelves {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(4_096, HELD, Weight)))
    }
}

impl Shelves {
    fn held(&self, id: WorkspaceId, revision: Revision) -> Option<Arc<Shelf>> {
        self.0.get(&id).filter(|shelf| shelf.workspace.revision == revision)
    }
}

/// What was found of one check.
pub(crate) struct Found {
    pub(crate) access: Option<AccessFacts>,
    pub(crate) permission: Option<Permission>,
}

pub(crate) fn points(rows: &[QueryResult]) -> Result<Vec<Point>, StoreError> {
    rows.iter().map(|row| Point::read(row)).collect()
}

/// Puts points together with their workspaces; `None` unless the shelf of each is there and has every role that is named.
fn found(points: Vec<Point>, shelf_of: impl Fn(WorkspaceId, Revision) -> Option<Arc<Shelf>>) -> Option<Vec<Found>> {
    let found = points.into_iter().map(|mut point| {
        let permission = point.permission.take();
        let access = match point.workspace {
            Some((id, revision)) => Some(point.facts(&*shelf_of(id, revision)?)?),
            None => None,
        };
        Some(Found { access, permission })
    });
    found.collect()
}

impl SeaOrmStore {
    /// The facts of some checks: by one statement where every workspace is held at its revision, otherwise by a transaction
    /// that reads those workspaces too.
    pub(crate) async fn check(&self, statement: Statement) -> Result<Vec<Found>, StoreError> {
        let seen = self.glance(statement.clone()).await?;
        if let Some(found) = found(seen, |id, revision| self.shelves.held(id, revision)) {
            return Ok(found);
        }
        let mut read = self.read().await?;
        let seen = points(&read.guarded.all(statement).await?)?;
        let named = seen.iter().filter_map(|point| point.workspace).map(|(id, _)| id).collect();
        let read = shelves(&mut read.guarded, &named).await?;
        for (id, shelf) in &read {
            self.shelves.0.insert(*id, shelf.clone());
        }
        found(seen, |id, _| read.get(&id).cloned()).ok_or_else(role_of_another)
    }
}

fn role_of_another() -> StoreError {
    At::new("membership_roles", "?").corrupt("role_id", "a role of another workspace")
}

/// Everything that decides what a person may do in a workspace, in a transaction: by two statements whatever exists and is
/// held, and by nothing that was held, since a unit may have changed it.
pub(crate) async fn in_transaction(
    exec: &mut dyn Executor,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<AccessFacts>, StoreError> {
    let backend = exec.backend();
    let seen = exec.all(point_of(backend, workspace, user)).await?;
    let own = [uuid(workspace).into(), uuid(user).into()];
    let shelf = exec.all(Statement::from_sql_and_values(backend, &texts(backend).own, own)).await?;
    let together = || {
        let mut read = BTreeMap::new();
        shelf.iter().try_for_each(|row| put(&mut read, row))?;
        let read: BTreeMap<WorkspaceId, Arc<Shelf>> =
            read.into_iter().map(|(id, shelf)| (id, Arc::new(shelf))).collect();
        found(points(&seen)?, |id, _| read.get(&id).cloned()).ok_or_else(role_of_another)
    };
    let found = together().inspect_err(|_| exec.poison())?;
    Ok(found.into_iter().next().and_then(|found| found.access))
}
