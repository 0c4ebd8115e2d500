//! Domain values and the wire, in one place. Generated types stop at this crate.

use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::budget::BudgetStanding;
use domicile_domain::model::contact::{Contact, ContactKind, ContactStanding};
use domicile_domain::model::id::{NoticeId, WorkspaceId};
use domicile_domain::model::membership::{AllowedAction, Membership, MembershipKind};
use domicile_domain::model::notice::{
    Attempt, AttemptClass, Channel, LanguageChoice, Message, NotSent, NoticeKind, NoticeState,
};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::{Identity, Person, User, UserState};
use domicile_domain::model::workspace::WorkspaceState;
use domicile_domain::policy::resolver::LookupOutcome;
use domicile_domain::usecase::{
    Account, Consistency, Expectation, ExternalInput, GrantsInput, MemberState, MemberView, NoticeView, ProfileInput,
    etag,
};
use domicile_proto::v1;

/// One table from an enum of the domain to one of the contract; a new variant does not compile without a row.
macro_rules! words {
    ($name:ident: $from:ty => $to:ident { $($variant:pat => $word:ident,)* }) => {
        pub(crate) const fn $name(value: $from) -> v1::$to {
            match value { $($variant => v1::$to::$word,)* }
        }
    };
}

pub(crate) mod access;
mod group;
pub(crate) mod relationship;
pub(crate) mod role;
mod workspace;

pub(crate) use group::group;
pub(crate) use workspace::{
    channels_input, links_input, mask, policy, policy_input, reach, workspace, workspace_entry,
};

pub(crate) fn time(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or(0),
    }
}

pub(crate) fn instant(time: prost_types::Timestamp) -> Timestamp {
    let micros = time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1000);
    Timestamp::from_micros(micros)
}

/// `user;limit=20;remaining=17, service;limit=2000;remaining=1990`
pub(crate) fn budget(standings: &[BudgetStanding]) -> String {
    let one = |standing: &BudgetStanding| {
        let BudgetStanding { kind, limit, remaining } = standing;
        format!("{kind};limit={limit};remaining={remaining}")
    };
    standings.iter().map(one).collect::<Vec<_>>().join(", ")
}

words!(lookup_outcome: LookupOutcome => LookupOutcome {
    LookupOutcome::NotFound => NotFound,
    LookupOutcome::Found => Found,
    LookupOutcome::ConflictingMatch => ConflictingMatch,
    LookupOutcome::AlreadyMember => AlreadyMember,
    LookupOutcome::MemberSuspended => MemberSuspended,
    LookupOutcome::MemberPending => MemberPending,
    LookupOutcome::FormerMember => FormerMember,
    LookupOutcome::HomeUserInactive => HomeUserInactive,
    LookupOutcome::NotLinkable => NotLinkable,
    LookupOutcome::RelationshipRequired => RelationshipRequired,
    LookupOutcome::ContactReserved => ContactReserved,
});
words!(contact_kind: ContactKind => ContactKind {
    ContactKind::Email => Email,
    ContactKind::Phone => Phone,
});
words!(standing: ContactStanding => ContactStanding {
    ContactStanding::Asserted => Asserted,
    ContactStanding::Verified => Verified,
});
words!(member_kind: MembershipKind => MembershipKind {
    MembershipKind::Internal => Internal,
    MembershipKind::External => External,
});
words!(member_state: MemberState => MembershipState {
    MemberState::Active => Active,
    MemberState::Pending => Pending,
    MemberState::Suspended => Suspended,
    MemberState::Review => Review,
    MemberState::Deactivated => Deactivated,
    MemberState::Over => Over,
});
words!(action: AllowedAction => AllowedAction {
    AllowedAction::EditProfile => EditProfile,
    AllowedAction::SetRoles => SetRoles,
    AllowedAction::SetGroups => SetGroups,
    AllowedAction::SetUnits => SetUnits,
    AllowedAction::SetLanguage => SetLanguage,
    AllowedAction::SetExpiry => SetExpiry,
    AllowedAction::Suspend => Suspend,
    AllowedAction::Reactivate => Reactivate,
    AllowedAction::Unlink => Unlink,
    AllowedAction::Deactivate => Deactivate,
    AllowedAction::Confirm => Confirm,
});
words!(assign_outcome: AssignOutcome => AssignOutcome {
    AssignOutcome::CreatedInternal => CreatedInternal,
    AssignOutcome::LinkedExternal => LinkedExternal,
    AssignOutcome::LinkPending => LinkPending,
});
words!(user_state: UserState => UserState {
    UserState::Active => Active,
    UserState::Suspended => Suspended,
    UserState::Deactivated => Deactivated,
    UserState::Erased => Erased,
});
words!(workspace_state: WorkspaceState => WorkspaceState {
    WorkspaceState::Active => Active,
    WorkspaceState::Suspended => Suspended,
    WorkspaceState::Closing => Closing,
    WorkspaceState::Closed => Closed,
});
words!(notice_kind: NoticeKind => NotificationKind {
    NoticeKind::Onboarding => Onboarding,
    NoticeKind::AccessGranted => AccessGranted,
    NoticeKind::AccessRequested => AccessRequested,
});
words!(channel: Channel => Channel {
    Channel::Email => Email,
    Channel::Sms => Sms,
});
words!(notice_state: NoticeState => NotificationState {
    NoticeState::Queued => Queued,
    NoticeState::Retrying => Retrying,
    NoticeState::HandedOver => HandedOver,
    NoticeState::Delivered => Delivered,
    NoticeState::NotDelivered => NotDelivered,
    NoticeState::NotSent(_) => NotSent,
});
words!(not_sent: NoticeState => NotSentReason {
    NoticeState::NotSent(NotSent::Captured) => Captured,
    NoticeState::NotSent(NotSent::Held) => Held,
    NoticeState::NotSent(NotSent::Suppressed) => Suppressed,
    NoticeState::NotSent(NotSent::Cancelled) => Cancelled,
    NoticeState::Queued | NoticeState::Retrying | NoticeState::HandedOver | NoticeState::Delivered | NoticeState::NotDelivered => Unspecified,
});
words!(language_choice: LanguageChoice => LanguageChoice {
    LanguageChoice::Membership => Membership,
    LanguageChoice::Preferred => Preferred,
    LanguageChoice::HomeDefault => HomeDefault,
    LanguageChoice::InstanceDefault => InstanceDefault,
});
words!(attempt_class: AttemptClass => AttemptClass {
    AttemptClass::Accepted => Accepted,
    AttemptClass::Captured => Captured,
    AttemptClass::Transient => Transient,
    AttemptClass::Misconfigured => Misconfigured,
    AttemptClass::Permanent => Permanent,
});

pub(crate) fn consistency(wire: Option<v1::Consistency>) -> Consistency {
    use v1::consistency::Requirement;
    match wire.and_then(|c| c.requirement) {
        None | Some(Requirement::MinimizeLatency(_)) => Consistency::MinimizeLatency,
        Some(Requirement::AtLeastAsFresh(token)) => Consistency::AtLeastAsFresh(token),
        Some(Requirement::FullyConsistent(_)) => Consistency::FullyConsistent,
    }
}

/// Unspecified is left to the domain, which names the field and the mend.
pub(crate) const fn expectation(wire: v1::Expectation) -> Option<Expectation> {
    match wire {
        v1::Expectation::Unspecified => None,
        v1::Expectation::Create => Some(Expectation::Create),
        v1::Expectation::Link => Some(Expectation::Link),
        v1::Expectation::Either => Some(Expectation::Either),
    }
}

/// Whether the person is to be told; absent for a number that is no mode.
pub(crate) fn told(wire: i32) -> Option<bool> {
    match v1::NotifyMode::try_from(wire).ok()? {
        v1::NotifyMode::Unspecified | v1::NotifyMode::Tell => Some(true),
        v1::NotifyMode::None => Some(false),
    }
}

pub(crate) fn identity(wire: Option<v1::Identity>) -> Identity {
    let wire = wire.unwrap_or_default();
    Identity { issuer: wire.issuer, subject: wire.subject }
}

pub(crate) fn profile_input(wire: Option<v1::Profile>) -> ProfileInput {
    let wire = wire.unwrap_or_default();
    ProfileInput {
        first_name: wire.first_name,
        last_name: wire.last_name,
        username: wire.username,
        preferred_language: wire.preferred_language,
    }
}

pub(crate) fn internal_input(wire: Option<v1::InternalGrants>) -> GrantsInput {
    let wire = wire.unwrap_or_default();
    GrantsInput { roles: wire.roles, permissions: wire.permissions }
}

pub(crate) fn external_input(wire: Option<v1::ExternalGrants>) -> ExternalInput {
    let wire = wire.unwrap_or_default();
    ExternalInput {
        grants: GrantsInput { roles: wire.roles, permissions: wire.permissions },
        language: wire.language,
        expires_at: wire.expire_time.map(instant),
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|v| v.to_string()).collect()
}

pub(crate) fn notification_name(workspace: WorkspaceId, notice: Option<NoticeId>) -> String {
    notice.map_or_else(String::new, |notice| format!("workspaces/{workspace}/notifications/{notice}"))
}

pub(crate) fn membership(view: MemberView) -> v1::Membership {
    let base = view.membership.base();
    let workspace = base.workspace;
    let wire = v1::Membership {
        name: format!("workspaces/{workspace}/memberships/{}", base.user),
        uid: base.id.to_string(),
        user: base.user.to_string(),
        workspace: workspace.to_string(),
        kind: member_kind(view.membership.kind()).into(),
        state: member_state(view.state).into(),
        roles: base.grants.roles.iter().map(|role| format!("workspaces/{workspace}/roles/{role}")).collect(),
        permissions: texts(&base.grants.permissions),
        initials: view.initials,
        display_name: view.display_name.unwrap_or_default(),
        email: view.email.unwrap_or_default(),
        phone: view.phone.unwrap_or_default(),
        home: text(view.home),
        external_id: base.external_id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned()),
        assigned_by: text(base.assigned_by),
        assign_time: Some(time(base.assigned_at)),
        allowed_actions: view.allowed_actions.iter().map(|a| action(*a).into()).collect(),
        etag: etag(base.id, base.version),
        ..v1::Membership::default()
    };
    match &view.membership {
        Membership::Internal(internal) => {
            v1::Membership { groups: texts(&internal.groups), organizational_units: texts(&internal.units), ..wire }
        }
        Membership::External(external) => v1::Membership {
            typed_contact: external.typed_contact.clone().unwrap_or_default(),
            language: text(external.language.as_ref()),
            expire_time: external.expires_at.map(time),
            ..wire
        },
    }
}

fn contact<T: ToString>(contact: &Contact<T>) -> v1::Contact {
    v1::Contact {
        value: contact.value.to_string(),
        standing: standing(contact.standing).into(),
        since_time: Some(time(contact.since)),
    }
}

fn profile(person: &Person) -> v1::Profile {
    v1::Profile {
        first_name: person.first_name.to_string(),
        last_name: person.last_name.to_string(),
        username: person.username.to_string(),
        preferred_language: person.preferred_language.to_string(),
    }
}

pub(crate) fn account(account: &Account) -> v1::User {
    let identity = |bound: &Identity| v1::Identity { issuer: bound.issuer.clone(), subject: bound.subject.clone() };
    v1::User { identities: account.identities.iter().map(identity).collect(), ..user(&account.user) }
}

fn user(user: &User) -> v1::User {
    let person = user.person.as_ref();
    v1::User {
        name: format!("users/{}", user.id),
        uid: user.id.to_string(),
        home: user.home.to_string(),
        created_in: user.created_in.to_string(),
        state: user_state(user.state).into(),
        profile: person.map(profile),
        email: person.map(|p| contact(&p.email)),
        phone: person.and_then(|p| p.phone.as_ref()).map(contact),
        create_time: Some(time(user.created_at)),
        update_time: Some(time(user.updated_at)),
        etag: etag(user.id, user.version),
        identities: Vec::new(),
    }
}

pub(crate) fn role(role: &Role) -> v1::Role {
    v1::Role {
        name: format!("workspaces/{}/roles/{}", role.workspace, role.id),
        uid: role.id.to_string(),
        handle: role.handle.to_string(),
        display_name: role.display_name.to_string(),
        permissions: texts(&role.permissions),
        for_externals: role.for_externals,
        built_in: role.built_in.is_some(),
        etag: etag(role.id, role.version),
    }
}

fn message(message: Message) -> v1::MessageText {
    v1::MessageText {
        to: message.to,
        from: message.from,
        reply_to: message.reply_to.unwrap_or_default(),
        language: message.language.to_string(),
        subject: message.subject,
        text: message.text,
        html: message.html.unwrap_or_default(),
    }
}

fn attempt(attempt: Attempt) -> v1::DeliveryAttempt {
    v1::DeliveryAttempt {
        number: attempt.number,
        end_time: Some(time(attempt.at)),
        class: attempt_class(attempt.class).into(),
        provider_words: attempt.provider_words,
    }
}

pub(crate) fn notification(view: NoticeView) -> v1::Notification {
    let notice = view.notice;
    let (used, choice) = notice.language_used.unzip();
    v1::Notification {
        name: notification_name(notice.workspace, Some(notice.id)),
        uid: notice.id.to_string(),
        kind: notice_kind(notice.kind).into(),
        workspace: notice.workspace.to_string(),
        home: notice.home.to_string(),
        user: notice.user.to_string(),
        channel: channel(notice.channel).into(),
        state: notice_state(notice.state).into(),
        not_sent_reason: not_sent(notice.state).into(),
        reason: notice.reason,
        language_asked: notice.language_asked.to_string(),
        language_used: text(used),
        language_choice: choice.map_or(v1::LanguageChoice::Unspecified, language_choice).into(),
        create_time: Some(time(notice.created_at)),
        due_time: notice.due_at.map(time),
        retry_until_time: Some(time(notice.retry_until)),
        attempt_count: notice.attempts,
        message: view.message.map(message),
        attempts: view.attempts.unwrap_or_default().into_iter().map(attempt).collect(),
        etag: etag(notice.id, notice.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_survive_the_wire() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -1_500_000] {
            let at = Timestamp::from_micros(micros);
            let wire = time(at);
            assert!((0..1_000_000_000).contains(&wire.nanos));
            assert_eq!(instant(wire), at);
        }
    }
}
