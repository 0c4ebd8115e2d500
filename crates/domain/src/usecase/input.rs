//! Reads what callers typed. Every violation of a request is collected, each with the path of its field.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::api::{GrantsInput, ProfileInput, etag};
use crate::error::{Reason, Refusal, Violation};
use crate::model::id::{Id, RequestId, RoleId};
use crate::model::language::LanguageTag;
use crate::model::membership::Grants;
use crate::model::name::{Name, Username};
use crate::model::permission::PermissionName;
use crate::model::role::{Role, RoleRef};
use crate::model::time::Version;
use crate::port::store::{StoreError, UnitOfWork};

/// A new person's details, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) first_name: Name,
    pub(super) last_name: Name,
    pub(super) username: Username,
    pub(super) preferred_language: LanguageTag,
}

/// Keeps the value, or notes the violation of its field.
pub(super) fn field<T, E: Display>(
    violations: &mut Vec<Violation>,
    path: impl Into<String>,
    read: Result<T, E>,
) -> Option<T> {
    read.map_err(|error| violations.push(Violation::new(path, error))).ok()
}

/// Reads the details that are needed to create a person; `prefix` is the path of the message that holds them.
pub(super) fn profile(prefix: &str, input: &ProfileInput, violations: &mut Vec<Violation>) -> Option<Profile> {
    let first_name = field(violations, format!("{prefix}.first_name"), Name::parse(&input.first_name));
    let last_name = field(violations, format!("{prefix}.last_name"), Name::parse(&input.last_name));
    let username = field(violations, format!("{prefix}.username"), Username::parse(&input.username));
    let language =
        field(violations, format!("{prefix}.preferred_language"), LanguageTag::parse(&input.preferred_language));
    Some(Profile { first_name: first_name?, last_name: last_name?, username: username?, preferred_language: language? })
}

/// The paths of the details that were typed: reported when they are not used.
pub(super) fn typed_profile_fields(prefix: &str, input: &ProfileInput) -> Vec<String> {
    let typed = [
        ("first_name", &input.first_name),
        ("last_name", &input.last_name),
        ("username", &input.username),
        ("preferred_language", &input.preferred_language),
    ];
    typed.into_iter().filter(|(_, text)| !text.trim().is_empty()).map(|(name, _)| format!("{prefix}.{name}")).collect()
}

/// Notes that a change needs an id, so that it can be repeated.
pub(super) fn needed_request_id(violations: &mut Vec<Violation>, id: Option<RequestId>) {
    if id.is_none() {
        let message = "give a new UUID for each change; the same one repeats it safely";
        violations.push(Violation::new("request_id", message));
    }
}

/// Notes that a change needs the etag of what it changes.
pub(super) fn needed_etag(violations: &mut Vec<Violation>, typed: &str) {
    if typed.is_empty() {
        violations.push(Violation::new("etag", "give the etag of what you read, so that no change of others is lost"));
    }
}

/// Refuses an etag that is not the current one, and names that.
pub(super) fn same_etag<K>(typed: &str, id: Id<K>, version: Version) -> Result<(), Refusal> {
    let current = etag(id, version);
    if typed == current { Ok(()) } else { Err(Refusal::new(Reason::StaleEtag).with("current_etag", current)) }
}

/// How many roles, and how many permissions, one request may give.
const MOST_GRANTS: usize = 100;

/// Notes a list that is too long; its entries are not looked at then.
fn fits(list: &[String], most: usize, path: &str, violations: &mut Vec<Violation>) -> bool {
    let fits = list.len() <= most;
    if !fits {
        violations.push(Violation::new(path, format!("give at most {most}; make a role that holds them")));
    }
    fits
}

/// Reads roles, by id or handle, and permissions of the catalogue.
pub(super) async fn grants(
    tx: &mut dyn UnitOfWork,
    roles: &[Role],
    prefix: &str,
    input: &GrantsInput,
    violations: &mut Vec<Violation>,
) -> Result<Grants, StoreError> {
    Ok(Grants {
        roles: granted_roles(roles, &format!("{prefix}.roles"), &input.roles, violations),
        permissions: granted_permissions(tx, &format!("{prefix}.permissions"), &input.permissions, violations).await?,
    })
}

/// Reads roles of the workspace, by id or handle; `path` is that of the list.
pub(super) fn granted_roles(
    roles: &[Role],
    path: &str,
    typed: &[String],
    violations: &mut Vec<Violation>,
) -> BTreeSet<RoleId> {
    let mut granted = BTreeSet::new();
    if !fits(typed, MOST_GRANTS, path, violations) {
        return granted;
    }
    for (index, text) in typed.iter().enumerate() {
        match text.parse().ok().and_then(|named: RoleRef| named.of(roles)) {
            Some(role) => {
                granted.insert(role.id);
            }
            None => violations.push(Violation::new(format!("{path}[{index}]"), unknown_role(text, roles))),
        }
    }
    granted
}

/// Reads permissions that are given directly; `path` is that of the list.
pub(super) async fn granted_permissions(
    tx: &mut dyn UnitOfWork,
    path: &str,
    typed: &[String],
    violations: &mut Vec<Violation>,
) -> Result<BTreeSet<PermissionName>, StoreError> {
    let fits = fits(typed, MOST_GRANTS, path, violations);
    if fits { offered(tx, path, typed, violations).await } else { Ok(BTreeSet::new()) }
}

/// Reads the permissions of a role.
pub(super) async fn role_permissions(
    tx: &mut dyn UnitOfWork,
    typed: &[String],
    violations: &mut Vec<Violation>,
) -> Result<BTreeSet<PermissionName>, StoreError> {
    let path = "permissions";
    if typed.len() > Role::MOST_PERMISSIONS {
        let message = format!("a role has at most {}; make several roles", Role::MOST_PERMISSIONS);
        violations.push(Violation::new(path, message));
        return Ok(BTreeSet::new());
    }
    offered(tx, path, typed, violations).await
}

/// Reads permissions that the catalogue has and that are in use.
async fn offered(
    tx: &mut dyn UnitOfWork,
    path: &str,
    typed: &[String],
    violations: &mut Vec<Violation>,
) -> Result<BTreeSet<PermissionName>, StoreError> {
    let path = |index: usize| format!("{path}[{index}]");
    let read = typed.iter().enumerate();
    let read: Vec<(usize, PermissionName)> = read
        .filter_map(|(index, text)| Some((index, field(violations, path(index), PermissionName::parse(text))?)))
        .collect();
    let names: BTreeSet<PermissionName> = read.iter().map(|(_, name)| name.clone()).collect();
    if names.is_empty() {
        return Ok(names);
    }
    let entries = tx.roles().permissions(&names).await?;
    let in_use: BTreeSet<PermissionName> =
        entries.into_iter().filter(|entry| entry.retired_at.is_none()).map(|entry| entry.name).collect();
    for (index, name) in read.iter().filter(|(_, name)| !in_use.contains(name)) {
        let message =
            format!("no service offers the permission `{name}`; check the spelling, or leave it out if it was retired");
        violations.push(Violation::new(path(*index), message));
    }
    Ok(in_use)
}

/// Reads which fields an update replaces, each once. A path that is none is noted, and so is an empty list.
pub(super) fn mask<F: Copy + PartialEq>(
    paths: &[String],
    known: &[(&'static str, F)],
    violations: &mut Vec<Violation>,
) -> Vec<F> {
    let listed = || known.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ");
    let mut fields = Vec::new();
    if paths.is_empty() {
        violations.push(Violation::new("update_mask", format!("name the fields to replace: {}", listed())));
    }
    let unknown: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| match known.iter().find(|(name, _)| name == path) {
            Some((_, field)) => {
                if !fields.contains(field) {
                    fields.push(*field);
                }
                None
            }
            None => Some(path.as_str()),
        })
        .collect();
    // Ten say enough where somebody sends a thousand.
    for path in unknown.into_iter().take(MOST_UNKNOWN_PATHS) {
        let quoted = crate::model::text::quotable(path);
        violations.push(Violation::new("update_mask", format!("`{quoted}` is no field of it; there are {}", listed())));
    }
    fields
}

/// How many unknown paths of a mask are named.
const MOST_UNKNOWN_PATHS: usize = 10;

fn unknown_role(text: &str, roles: &[Role]) -> String {
    let known: BTreeSet<&str> = roles.iter().map(|role| role.handle.as_str()).collect();
    let known = known.into_iter().take(12).collect::<Vec<_>>().join(", ");
    format!("`{}` is no role of this workspace; it has {known}", crate::model::text::quotable(text))
}
