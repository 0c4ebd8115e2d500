//! Relationships and the wire.

use domicile_domain::model::relationship::{Disclosure, HomeTerms, RelationshipState, Side};
use domicile_domain::model::workspace::DirectoryVisibility;
use domicile_domain::usecase::{
    Choice, GrantsInput, HomeTermsInput, HostTermsInput, HostTermsView, MemberEffect, NamedRelationship,
    OtherWorkspace, RelationshipChange, RelationshipEffect, RelationshipFilter, RelationshipView, RoleLabel,
    TermsInput, WorkspaceLabel, etag,
};
use domicile_proto::v1;
use domicile_proto::v1::{approve_relationship_request, propose_relationship_request};

use super::workspace::{disclosure, visibility};
use super::{text, texts, time};

words!(state: RelationshipState => RelationshipState {
    RelationshipState::Proposed => Proposed,
    RelationshipState::Active => Active,
    RelationshipState::Declined => Declined,
    RelationshipState::Lapsed => Lapsed,
    RelationshipState::Ended => Ended,
});
words!(side: Side => RelationshipSide {
    Side::Host => Host,
    Side::Home => Home,
});

/// What was chosen by the number of a word; a number without a word is left to the domain, which names the field.
fn chosen<T: Copy>(number: i32, words: impl IntoIterator<Item = (i32, T)>) -> Choice<T> {
    if number == 0 {
        return Choice::Unset;
    }
    words.into_iter().find(|(word, _)| *word == number).map_or(Choice::Unknown, |(_, value)| Choice::Is(value))
}

const VISIBILITIES: [DirectoryVisibility; 3] =
    [DirectoryVisibility::Hidden, DirectoryVisibility::NameOnly, DirectoryVisibility::Listed];

fn host_input(wire: v1::HostTerms) -> HostTermsInput {
    let ceiling = wire.ceiling.unwrap_or_default();
    HostTermsInput {
        ceiling: GrantsInput { roles: ceiling.roles, permissions: ceiling.permissions },
        directory_visibility: chosen(
            wire.directory_visibility,
            VISIBILITIES.map(|value| (visibility(value).into(), value)),
        ),
        longest_membership: wire.longest_membership.map(|longest| longest.seconds),
        acceptance: wire.acceptance,
    }
}

fn home_input(wire: v1::HomeTerms) -> HomeTermsInput {
    HomeTermsInput {
        disclosure: chosen(wire.disclosure, Disclosure::ALL.map(|value| (disclosure(value).into(), value))),
        allows_host: wire.allows_host,
        acceptance: wire.acceptance,
    }
}

pub(crate) fn proposed_terms(wire: propose_relationship_request::Terms) -> TermsInput {
    match wire {
        propose_relationship_request::Terms::HostTerms(terms) => TermsInput::Host(host_input(terms)),
        propose_relationship_request::Terms::HomeTerms(terms) => TermsInput::Home(home_input(terms)),
    }
}

pub(crate) fn approved_terms(wire: approve_relationship_request::Terms) -> TermsInput {
    match wire {
        approve_relationship_request::Terms::HostTerms(terms) => TermsInput::Host(host_input(terms)),
        approve_relationship_request::Terms::HomeTerms(terms) => TermsInput::Home(home_input(terms)),
    }
}

pub(crate) fn host_terms_input(wire: Option<v1::HostTerms>) -> HostTermsInput {
    host_input(wire.unwrap_or_default())
}

pub(crate) fn home_terms_input(wire: Option<v1::HomeTerms>) -> HomeTermsInput {
    home_input(wire.unwrap_or_default())
}

pub(crate) fn other(wire: propose_relationship_request::Target) -> OtherWorkspace {
    match wire {
        propose_relationship_request::Target::Other(named) => OtherWorkspace::Named(named),
        propose_relationship_request::Target::MatchHandle(handle) => OtherWorkspace::HomeOfMatch(handle),
    }
}

pub(crate) const fn named(relationship: String, etag: String) -> NamedRelationship {
    NamedRelationship { relationship, etag }
}

pub(crate) fn filter(asked: i32, states: &[i32]) -> RelationshipFilter {
    let of = |number: i32| RelationshipState::ALL.into_iter().find(|value| i32::from(state(*value)) == number);
    RelationshipFilter {
        side: chosen(asked, Side::ALL.map(|value| (side(value).into(), value))),
        states: states.iter().map(|number| of(*number)).collect(),
    }
}

fn workspace_label(label: &WorkspaceLabel) -> v1::WorkspaceLabel {
    v1::WorkspaceLabel {
        uid: label.id.to_string(),
        handle: label.handle.to_string(),
        display_name: label.display_name.to_string(),
    }
}

fn role_label(label: &RoleLabel) -> v1::RoleLabel {
    v1::RoleLabel {
        uid: label.id.to_string(),
        handle: label.handle.to_string(),
        display_name: label.display_name.to_string(),
    }
}

fn host_terms(host: &WorkspaceLabel, view: &HostTermsView) -> v1::HostTerms {
    let terms = &view.terms;
    let roles = terms.ceiling.roles.iter().map(|role| format!("workspaces/{}/roles/{role}", host.id)).collect();
    v1::HostTerms {
        ceiling: Some(v1::RelationshipCeiling { roles, permissions: texts(&terms.ceiling.permissions) }),
        directory_visibility: terms
            .directory_visibility
            .map_or(v1::DirectoryVisibility::Unspecified, visibility)
            .into(),
        longest_membership: terms.longest_membership.map(|longest| prost_types::Duration {
            seconds: longest.as_secs().cast_signed(),
            nanos: longest.subsec_nanos().cast_signed(),
        }),
        acceptance: terms.acceptance,
    }
}

fn home_terms(terms: &HomeTerms) -> v1::HomeTerms {
    v1::HomeTerms {
        disclosure: terms.disclosure.map_or(v1::Disclosure::Unspecified, disclosure).into(),
        allows_host: terms.allows_host,
        acceptance: terms.acceptance,
    }
}

pub(crate) fn relationship(view: &RelationshipView) -> v1::Relationship {
    v1::Relationship {
        name: format!("relationships/{}", view.id),
        uid: view.id.to_string(),
        own_side: side(view.own_side).into(),
        host: Some(workspace_label(&view.host)),
        home: view.home.as_ref().map(workspace_label),
        state: state(view.state).into(),
        suspended_by_host: view.suspended_by_host,
        suspended_by_home: view.suspended_by_home,
        host_terms: view.host_terms.as_ref().map(|terms| host_terms(&view.host, terms)),
        home_terms: view.home_terms.as_ref().map(home_terms),
        proposed_by_side: side(view.proposed_by_side).into(),
        proposed_by: text(view.proposed_by),
        propose_time: Some(time(view.proposed_at)),
        lapse_time: view.lapses_at.map(time),
        answered_by: text(view.answered_by),
        answer_time: view.answered_at.map(time),
        end_time: view.ended_at.map(time),
        etag: etag(view.id, view.version),
        ceiling_roles: view.host_terms.iter().flat_map(|terms| &terms.roles).map(role_label).collect(),
    }
}

fn member_effect(effect: &MemberEffect) -> v1::MemberEffect {
    v1::MemberEffect { user: effect.user.to_string(), gains: texts(&effect.gains), loses: texts(&effect.loses) }
}

fn effect(effect: &RelationshipEffect) -> v1::RelationshipEffect {
    v1::RelationshipEffect {
        external_count: effect.externals,
        affected_count: effect.affected,
        members: effect.members.iter().map(member_effect).collect(),
    }
}

/// The relationship after a change, and what the change does.
pub(crate) fn change(done: Option<&RelationshipChange>) -> (Option<v1::Relationship>, Option<v1::RelationshipEffect>) {
    let view = done.map(|change| relationship(&change.view));
    (view, done.and_then(|change| change.effect.as_ref()).map(effect))
}
