//! What a viewer sees of people and messages.

use super::api::{MemberState, MemberView};
use crate::model::email::EmailAddress;
use crate::model::membership::{ExternalMembership, Membership};
use crate::model::phone::PhoneNumber;
use crate::model::relationship::Disclosure;
use crate::model::time::Timestamp;
use crate::model::user::Person;
use crate::policy::Policies;
use crate::port::directory::MemberRow;

/// Who looks at a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Viewer {
    /// A manager of the workspace.
    Manager,
    /// The person.
    Themself,
}

pub(super) fn member_view(policies: &Policies, row: MemberRow, viewer: Viewer, now: Timestamp) -> MemberView {
    let MemberRow { membership, user, home, relationship } = row;
    let person = user.person.as_ref();
    let initials = person.map_or_else(String::new, Person::initials);
    let disclosure = match (&membership, viewer, &home) {
        (Membership::Internal(_), _, _) | (_, Viewer::Themself, _) => Disclosure::Full,
        (_, Viewer::Manager, Some(home)) => relationship.as_ref().map_or_else(
            || policies.directory.disclosure(home),
            |relationship| policies.directory.disclosure_to(home, relationship),
        ),
        (_, Viewer::Manager, None) => Disclosure::None,
    };
    let (state, actions) = match &membership {
        Membership::Internal(internal) => (user.state.into(), internal.allowed_actions(user.state)),
        Membership::External(external) => (external_state(external, now), external.allowed_actions(now)),
    };
    let email = person.and_then(|p| shown(disclosure, || p.email.value.to_string(), || masked_email(&p.email.value)));
    let phone = person
        .and_then(|p| p.phone.as_ref())
        .and_then(|p| shown(disclosure, || p.value.to_string(), || masked_phone(&p.value)));
    MemberView {
        state,
        initials,
        display_name: person.filter(|_| disclosure >= Disclosure::Name).map(Person::display_name),
        email,
        phone,
        home: (disclosure == Disclosure::Full).then_some(user.home),
        allowed_actions: if viewer == Viewer::Manager { actions } else { Vec::new() },
        membership,
    }
}

fn external_state(external: &ExternalMembership, now: Timestamp) -> MemberState {
    if external.is_over(now).is_some() { MemberState::Over } else { external.state.into() }
}

fn shown(disclosure: Disclosure, whole: impl Fn() -> String, masked: impl Fn() -> String) -> Option<String> {
    match disclosure {
        Disclosure::Full => Some(whole()),
        Disclosure::MaskedContact => Some(masked()),
        Disclosure::None | Disclosure::Name => None,
    }
}

/// `m***@borealis.example`
fn masked_email(email: &EmailAddress) -> String {
    let first: String = email.as_str().chars().take(1).collect();
    format!("{first}***@{}", email.domain())
}

/// The country's first digits and the last two: `+36*******67`
fn masked_phone(phone: &PhoneNumber) -> String {
    let text = phone.as_str();
    let length = text.chars().count();
    text.chars().enumerate().map(|(i, c)| if i < 3 || i + 2 >= length { c } else { '*' }).collect()
}

/// How a found person is shown to somebody who searched: initials; more only as the home discloses.
pub(super) fn masked_match(person: &Person, disclosure: Disclosure) -> String {
    if disclosure >= Disclosure::Name { person.display_name() } else { person.initials() }
}
