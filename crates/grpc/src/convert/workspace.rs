//! The record of a workspace and the rules it sets for itself.

use domicile_domain::model::relationship::{Ceiling, Disclosure};
use domicile_domain::model::workspace::{DirectoryVisibility, Openness, Workspace};
use domicile_domain::usecase::{GrantsInput, LinksInput, PolicyInput, PolicyReach, WorkspaceEntry, etag};
use domicile_proto::v1;

use super::{channel, member_kind, member_state, text, texts, time, workspace_state};

words!(openness: Openness => Openness {
    Openness::Open => Open,
    Openness::RelatedOnly => RelatedOnly,
    Openness::Closed => Closed,
});
words!(visibility: DirectoryVisibility => DirectoryVisibility {
    DirectoryVisibility::Hidden => Hidden,
    DirectoryVisibility::NameOnly => NameOnly,
    DirectoryVisibility::Listed => Listed,
});
words!(disclosure: Disclosure => Disclosure {
    Disclosure::None => None,
    Disclosure::Name => Name,
    Disclosure::MaskedContact => MaskedContact,
    Disclosure::Full => Full,
});

pub(crate) fn workspace(workspace: &Workspace) -> v1::Workspace {
    let links = workspace.links.clone();
    v1::Workspace {
        name: format!("workspaces/{}", workspace.id),
        uid: workspace.id.to_string(),
        handle: workspace.handle.to_string(),
        display_name: workspace.display_name.to_string(),
        state: workspace_state(workspace.state).into(),
        default_region: workspace.default_region.to_string(),
        default_language: workspace.default_language.to_string(),
        create_time: Some(time(workspace.created_at)),
        etag: etag(workspace.id, workspace.version),
        notice_languages: texts(&workspace.notices.languages),
        channels: workspace.notices.channels.iter().map(|c| channel(*c).into()).collect(),
        links: Some(v1::WorkspaceLinks {
            begin: links.begin.unwrap_or_default(),
            accept: links.accept.unwrap_or_default(),
            leave: links.leave.unwrap_or_default(),
        }),
        support_contact: text(workspace.notices.support_contact.as_ref()),
    }
}

pub(crate) fn workspace_entry(entry: &WorkspaceEntry) -> v1::WorkspaceEntry {
    let workspace = &entry.workspace;
    let (kind, state) = entry.member.unzip();
    v1::WorkspaceEntry {
        name: format!("workspaces/{}", workspace.id),
        uid: workspace.id.to_string(),
        handle: workspace.handle.to_string(),
        display_name: workspace.display_name.to_string(),
        state: workspace_state(workspace.state).into(),
        kind: kind.map_or(v1::MembershipKind::Unspecified, member_kind).into(),
        membership_state: state.map_or(v1::MembershipState::Unspecified, member_state).into(),
    }
}

pub(crate) fn links_input(wire: Option<v1::WorkspaceLinks>) -> LinksInput {
    let wire = wire.unwrap_or_default();
    LinksInput { begin: wire.begin, accept: wire.accept, leave: wire.leave }
}

/// Channels as words; a number that is none becomes no word, and the domain names its place.
pub(crate) fn channels_input(wire: &[i32]) -> Vec<String> {
    let word = |number: &i32| match v1::Channel::try_from(*number) {
        Ok(v1::Channel::Email) => "EMAIL",
        Ok(v1::Channel::Sms) => "SMS",
        Ok(v1::Channel::Unspecified) | Err(_) => "",
    };
    wire.iter().map(|number| word(number).to_owned()).collect()
}

fn ceiling(workspace: &Workspace, ceiling: &Ceiling) -> v1::Ceiling {
    v1::Ceiling {
        roles: ceiling.roles.iter().map(|role| format!("workspaces/{}/roles/{role}", workspace.id)).collect(),
        permissions: texts(&ceiling.permissions),
    }
}

pub(crate) fn policy(workspace: &Workspace) -> v1::WorkspacePolicy {
    let policy = &workspace.policy;
    v1::WorkspacePolicy {
        inbound: openness(policy.inbound).into(),
        outbound: openness(policy.outbound).into(),
        default_ceiling: Some(ceiling(workspace, &policy.default_ceiling)),
        visibility_of_externals: visibility(policy.visibility_of_externals).into(),
        acceptance_as_host: policy.acceptance_as_host,
        acceptance_as_home: policy.acceptance_as_home,
        disclosure: disclosure(policy.disclosure).into(),
        external_managers: policy.external_managers,
        etag: etag(workspace.id, workspace.version),
    }
}

/// A choice by its number; none for a number that is no choice.
fn chosen<T: Copy>(number: i32, all: impl IntoIterator<Item = T>, wire: impl Fn(T) -> i32) -> Option<T> {
    all.into_iter().find(|choice| wire(*choice) == number)
}

pub(crate) fn policy_input(wire: Option<v1::WorkspacePolicy>) -> PolicyInput {
    let wire = wire.unwrap_or_default();
    let ceiling = wire.default_ceiling.unwrap_or_default();
    PolicyInput {
        inbound: chosen(wire.inbound, Openness::ALL, |choice| openness(choice).into()),
        outbound: chosen(wire.outbound, Openness::ALL, |choice| openness(choice).into()),
        default_ceiling: GrantsInput { roles: ceiling.roles, permissions: ceiling.permissions },
        visibility_of_externals: chosen(wire.visibility_of_externals, DirectoryVisibility::ALL, |choice| {
            visibility(choice).into()
        }),
        acceptance_as_host: wire.acceptance_as_host,
        acceptance_as_home: wire.acceptance_as_home,
        disclosure: chosen(wire.disclosure, Disclosure::ALL, |choice| disclosure(choice).into()),
        external_managers: wire.external_managers,
    }
}

pub(crate) fn reach(reach: PolicyReach) -> v1::PolicyReach {
    let wire = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    v1::PolicyReach { externals_here: wire(reach.externals_here), externals_elsewhere: wire(reach.externals_elsewhere) }
}

/// The paths of a mask; none for a mask that was not sent.
pub(crate) fn mask(wire: Option<prost_types::FieldMask>) -> Vec<String> {
    wire.unwrap_or_default().paths
}
