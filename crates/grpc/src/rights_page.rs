//! The rights table for people: `docs/RIGHTS.md`, made of the descriptors of the contract alone, so that it says what the
//! gate enforces.

use std::collections::BTreeSet;
use std::fmt::Write;

use domicile_proto::FILE_DESCRIPTOR_SET;
use domicile_proto::v1::{CostClass, MethodPolicy, Right, ServiceScope};
use prost_reflect::{DescriptorPool, FileDescriptor};

use crate::method_policy::{MethodPolicies, PolicyError};

/// The title of what services may by themselves.
const SCOPES: &str = "Scopes of services";

const INTRODUCTION: &str = "\
# Who may do what

<!-- Written by `DOMICILE_WRITE_DOCS=1 cargo test -p domicile-grpc --test rights_doc`; a test compares. -->

Programs call Domicile: *services*, each known by a certificate or a token. Most calls are made for a *person*, the acting
user, who is known by their own token, by a token that was exchanged for the service, or by the service's word where the
operator lets it give its word. What a call may do is what both may do: the service must be allowed to make the call, and the
person must have the right.

Each call below says who may make it. Whoever is not named may not, and is answered in the same way whether or not the thing
exists. Rights hold in one workspace: `update` in Acme is nothing in Borealis.

- **An AccessManager** is a member who holds `create`, `update` or both. A **qualifying manager** is one whose home is the
  workspace, whose account is active, and who holds both.
- **Themself** means that a person may ask about their own account or membership without any right.
- **The operator** runs the installation. The operator sees that workspaces exist, and nothing in them.
- **Searches for people** have a budget, since their answer tells whether somebody is known here.
- **Recorded** says what the audit record keeps. Refusals always are.
";

/// The page `docs/RIGHTS.md`.
///
/// # Errors
/// [`PolicyError`] when the contract is not complete.
pub fn rights_page() -> Result<String, PolicyError> {
    let policies = MethodPolicies::read()?;
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET)?;
    let mut page = INTRODUCTION.to_owned();
    for service in pool.services().filter(|service| service.package_name() == "domicile.v1") {
        let about = comment(&service.parent_file(), service.path());
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "\n## {}\n\n{about}\n\n| Call | What it does | Who may | Notes |\n|---|---|---|---|\n",
            service.name()
        );
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let policy = policies.get(&path).ok_or(PolicyError::Missing(path))?;
            let about = comment(&method.parent_file(), method.path());
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                method.name(),
                first_sentence(&about),
                who(policy),
                notes(policy)
            );
        }
    }
    let used: BTreeSet<i32> = policies.iter().map(|(_, policy)| policy.scope().into()).collect();
    for (title, name) in [("Rights of people", "domicile.v1.Right"), (SCOPES, "domicile.v1.ServiceScope")] {
        let Some(words) = pool.get_enum_by_name(name) else { continue };
        let _ = write!(page, "\n## {title}\n\n");
        for word in words.values().filter(|word| word.number() != 0) {
            let waits = title == SCOPES && !used.contains(&word.number());
            let waits = if waits { " No method asks for it yet." } else { "" };
            let _ = writeln!(page, "- {}{waits}", comment(&words.parent_file(), word.path()));
        }
    }
    page.push_str(
        "\nThe operator gives a scope for all workspaces (`*`) or for those listed. That a service may name the person it \
         acts for, without a\nproof of that person, is no scope but a grant of its own, for listed workspaces and calls; the \
         operator never has one.\n",
    );
    Ok(page)
}

/// What is written above a declaration, on one line.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let place = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let lines = place.map(|place| place.leading_comments().trim().lines().map(str::trim).collect::<Vec<_>>());
    lines.unwrap_or_default().join(" ")
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").and_then(|end| text.get(..=end)).unwrap_or(text)
}

/// Everybody who may, in words.
fn who(policy: &MethodPolicy) -> String {
    let here = if policy.scope_field.is_empty() { "" } else { " in the workspace" };
    let rights: Vec<Right> = policy.rights().collect();
    let person = match rights.as_slice() {
        [] => None,
        [Right::Member] if here.is_empty() => Some("any person, of their own workspaces".to_owned()),
        [Right::Member] => Some("any member of the workspace".to_owned()),
        [Right::QualifyingManager] => Some("a qualifying manager of the workspace".to_owned()),
        held => {
            let held: Vec<String> =
                held.iter().map(|right| format!("`{}`", word(right.as_str_name(), "RIGHT_"))).collect();
            Some(format!("a person with {}{here}", held.join(" and ")))
        }
    };
    let scope = (policy.scope() != ServiceScope::Unspecified).then(|| {
        let reach = if policy.scope_field.is_empty() { " for all workspaces" } else { " for the workspace" };
        format!("a service with the scope `{}`{reach}", scope_name(policy.scope()))
    });
    let own = policy.self_allowed.then(|| "the person about themself".to_owned());
    let operator = policy.operator_allowed.then(|| "the operator".to_owned());
    let all: Vec<String> = [person, own, scope, operator].into_iter().flatten().collect();
    all.join("; or ")
}

/// `RIGHT_CREATE` as people write it.
fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase()
}

/// The scope as it stands in the configuration.
fn scope_name(scope: ServiceScope) -> String {
    word(scope.as_str_name(), "SERVICE_SCOPE_").replacen('_', ".", 1)
}

fn notes(policy: &MethodPolicy) -> String {
    let notes = [
        policy.own_token.then_some("only with the person's own token"),
        (policy.cost() == CostClass::Probe).then_some("a search for people"),
        policy.audited.then_some("recorded"),
    ];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_requirement_has_its_words() {
        let policy = MethodPolicy {
            rights: vec![Right::Create.into(), Right::Update.into()],
            self_allowed: true,
            operator_allowed: true,
            own_token: true,
            audited: true,
            scope: ServiceScope::PermissionsRegister.into(),
            scope_field: "workspace".to_owned(),
            cost: CostClass::Probe.into(),
            ..MethodPolicy::default()
        };
        assert_eq!(
            who(&policy),
            "a person with `create` and `update` in the workspace; or the person about themself; or a service with the \
             scope `permissions.register` for the workspace; or the operator"
        );
        assert_eq!(notes(&policy), "only with the person's own token; a search for people; recorded");
        let qualifying = MethodPolicy { rights: vec![Right::QualifyingManager.into()], ..MethodPolicy::default() };
        assert_eq!(who(&qualifying), "a qualifying manager of the workspace");
    }

    #[test]
    fn nobody_may_call_what_names_nobody() {
        for (path, policy) in MethodPolicies::read().unwrap().iter() {
            assert!(!who(policy).is_empty(), "{path} can be called by nobody; name in its policy who may");
        }
    }
}
