//! Every word of the domain's enums is the word of the contract of the same name.

use std::collections::BTreeSet;
use std::fmt::Debug;

use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::membership::{AllowedAction, Membership, MembershipKind};
use domicile_domain::model::notice::{Attempt, AttemptClass, Channel, LanguageChoice, NoticeKind, NoticeState};
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{Workspace, WorkspaceState};
use domicile_domain::policy::resolver::LookupOutcome;
use domicile_domain::usecase::{
    AccessAnswer, Account, AssignReply, Denial, LookupReply, MemberState, MemberView, MockDomicileApi, NoticeView,
    Page, UserView,
};
use domicile_proto::v1::access_service_client::AccessServiceClient;
use domicile_proto::v1::membership_service_client::MembershipServiceClient;
use domicile_proto::v1::notification_service_client::NotificationServiceClient;
use domicile_proto::v1::user_service_client::UserServiceClient;
use domicile_proto::v1::workspace_service_client::WorkspaceServiceClient;
use domicile_proto::{FILE_DESCRIPTOR_SET, v1};
use domicile_testkit::builders::{self, NOW, internal, language, notice, workspace};
use prost_reflect::DescriptorPool;

use crate::support::{Served, signed};

/// The word of a variant as the contract writes it: `NotFound` is `NOT_FOUND`.
fn word(variant: &str) -> String {
    let mut word = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_uppercase());
    }
    word
}

/// The words of one enum of the contract that were seen.
struct Words {
    of: &'static str,
    seen: BTreeSet<String>,
}

impl Words {
    const fn of(of: &'static str) -> Self {
        Self { of, seen: BTreeSet::new() }
    }

    /// The wire's word is the name of its enum and the word of the domain's variant.
    fn see(&mut self, wire: &str, variant: impl Debug) {
        assert_eq!(wire, format!("{}_{}", word(self.of), word(&format!("{variant:?}"))));
        self.seen.insert(wire.to_owned());
    }

    /// Nothing else stands in the contract.
    fn are_all(&self) {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let words = pool.get_enum_by_name(&format!("domicile.v1.{}", self.of)).unwrap();
        let words = words.values().map(|value| value.name().to_owned());
        let words: BTreeSet<String> = words.filter(|word| !word.ends_with("_UNSPECIFIED")).collect();
        assert_eq!(self.seen, words);
    }
}

fn found(outcome: LookupOutcome, member: Option<(MembershipKind, MemberState)>) -> LookupReply {
    LookupReply {
        outcome,
        matched_by: Vec::new(),
        display: None,
        member_kind: member.map(|(kind, _)| kind),
        member_state: member.map(|(_, state)| state),
        match_handle: String::new(),
        match_handle_expires_at: NOW,
        budget: Vec::new(),
    }
}

async fn lookup(reply: LookupReply) -> v1::LookupUserResponse {
    let mut api = MockDomicileApi::new();
    api.expect_lookup_user().return_const(Ok(reply));
    let mut client = UserServiceClient::new(Served::mock(api).await.channel().await);
    client.lookup_user(signed(v1::LookupUserRequest::default())).await.unwrap().into_inner()
}

#[tokio::test]
async fn outcomes_kinds_and_states_of_lookups() {
    use MemberState::{Active, Deactivated, Over, Pending, Review, Suspended};
    let mut outcomes = Words::of("LookupOutcome");
    let mut kinds = Words::of("MembershipKind");
    let mut states = Words::of("MembershipState");
    for outcome in LookupOutcome::ALL {
        let wire = lookup(found(outcome, None)).await;
        outcomes.see(wire.outcome().as_str_name(), outcome);
        assert_eq!(wire.member_kind(), v1::MembershipKind::Unspecified);
        assert_eq!(wire.member_state(), v1::MembershipState::Unspecified);
    }
    for kind in [MembershipKind::Internal, MembershipKind::External] {
        for state in [Active, Pending, Suspended, Review, Deactivated, Over] {
            let wire = lookup(found(LookupOutcome::AlreadyMember, Some((kind, state)))).await;
            kinds.see(wire.member_kind().as_str_name(), kind);
            states.see(wire.member_state().as_str_name(), state);
        }
    }
    for words in [&outcomes, &kinds, &states] {
        words.are_all();
    }
}

#[tokio::test]
async fn outcomes_of_saves_and_allowed_actions() {
    use AllowedAction as Action;
    let mut outcomes = Words::of("AssignOutcome");
    let mut allowed = Words::of("AllowedAction");
    let actions = [
        Action::EditProfile,
        Action::SetRoles,
        Action::SetGroups,
        Action::SetUnits,
        Action::SetLanguage,
        Action::SetExpiry,
        Action::Suspend,
        Action::Reactivate,
        Action::Unlink,
        Action::Deactivate,
        Action::Confirm,
    ];
    let user = builders::user(builders::id(), "anna");
    let member = MemberView {
        membership: Membership::Internal(internal(&user)),
        state: MemberState::Active,
        initials: String::new(),
        display_name: None,
        email: None,
        phone: None,
        home: None,
        allowed_actions: actions.to_vec(),
    };
    for outcome in [AssignOutcome::CreatedInternal, AssignOutcome::LinkedExternal, AssignOutcome::LinkPending] {
        let mut api = MockDomicileApi::new();
        api.expect_assign_user().return_const(Ok(AssignReply {
            outcome,
            member: Some(member.clone()),
            notice: None,
            discarded_fields: Vec::new(),
            consistency_token: None,
            replayed: false,
            budget: Vec::new(),
        }));
        let mut client = MembershipServiceClient::new(Served::mock(api).await.channel().await);
        let wire = client.assign_user(signed(v1::AssignUserRequest::default())).await.unwrap().into_inner();
        outcomes.see(wire.outcome().as_str_name(), outcome);
        let wire: Vec<v1::AllowedAction> = wire.membership.unwrap().allowed_actions().collect();
        assert_eq!(wire.len(), actions.len());
        for (wire, action) in wire.iter().zip(actions) {
            allowed.see(wire.as_str_name(), action);
        }
    }
    for words in [&outcomes, &allowed] {
        words.are_all();
    }
}

#[tokio::test]
async fn states_of_users_and_workspaces() {
    let mut users = Words::of("UserState");
    let mut workspaces = Words::of("WorkspaceState");
    for state in UserState::ALL {
        let user = User { state, ..builders::user(builders::id(), "anna") };
        let mut api = MockDomicileApi::new();
        api.expect_get_user().return_const(Ok(UserView::Whole(Account { user, identities: Vec::new() })));
        let mut client = UserServiceClient::new(Served::mock(api).await.channel().await);
        let wire = client.get_user(signed(v1::GetUserRequest::default())).await.unwrap().into_inner();
        let Some(v1::get_user_response::View::User(wire)) = wire.view else { panic!("it is a user") };
        users.see(wire.state().as_str_name(), state);
    }
    for state in WorkspaceState::ALL {
        let mut api = MockDomicileApi::new();
        api.expect_get_workspace().return_const(Ok(Workspace { state, ..workspace("acme") }));
        let mut client = WorkspaceServiceClient::new(Served::mock(api).await.channel().await);
        let wire = client.get_workspace(signed(v1::GetWorkspaceRequest::default())).await.unwrap().into_inner();
        workspaces.see(wire.workspace.unwrap().state().as_str_name(), state);
    }
    for words in [&users, &workspaces] {
        words.are_all();
    }
}

#[tokio::test]
async fn denials() {
    let mut reasons = Words::of("DenialReason");
    let denials = [
        Denial::NoMembership,
        Denial::WorkspaceUnavailable,
        Denial::AccountUnavailable,
        Denial::MembershipPending,
        Denial::MembershipSuspended,
        Denial::MembershipInReview,
        Denial::MembershipExpired,
        Denial::AboveCeiling,
        Denial::NotGranted,
    ];
    for denial in denials {
        let mut api = MockDomicileApi::new();
        let answer = AccessAnswer { decision: Err(denial), checked_at: NOW, valid_until: NOW };
        api.expect_check_access().return_const(Ok(answer));
        let mut client = AccessServiceClient::new(Served::mock(api).await.channel().await);
        let wire = client.check_access(signed(v1::CheckAccessRequest::default())).await.unwrap().into_inner();
        assert_eq!(wire.decision(), v1::AccessDecision::Denied);
        reasons.see(wire.reason().as_str_name(), denial);
    }
    reasons.are_all();
}

#[tokio::test]
async fn kinds_channels_states_choices_and_attempts_of_messages() {
    use LanguageChoice as Choice;
    let mut kinds = Words::of("NotificationKind");
    let mut channels = Words::of("Channel");
    let mut states = Words::of("NotificationState");
    let mut reasons = Words::of("NotSentReason");
    let mut used = Words::of("LanguageChoice");
    let mut ends = Words::of("AttemptClass");
    let some = || {
        let notice = notice(&builders::user(builders::id(), "anna"));
        NoticeView { notice, message: None, attempts: None }
    };
    let with = |change: &dyn Fn(&mut NoticeView)| {
        let mut view = some();
        change(&mut view);
        view
    };
    let choices = [Choice::Membership, Choice::Preferred, Choice::HomeDefault, Choice::InstanceDefault];
    let attempts = AttemptClass::ALL.map(|class| Attempt { number: 1, at: NOW, class, provider_words: String::new() });
    let items: Vec<NoticeView> = NoticeKind::ALL
        .iter()
        .map(|kind| with(&|view| view.notice.kind = *kind))
        .chain([Channel::Email, Channel::Sms].iter().map(|channel| with(&|view| view.notice.channel = *channel)))
        .chain(NoticeState::ALL.iter().map(|state| with(&|view| view.notice.state = *state)))
        .chain(choices.iter().map(|choice| with(&|view| view.notice.language_used = Some((language("de"), *choice)))))
        .chain([with(&|view| view.attempts = Some(attempts.to_vec()))])
        .collect();
    let mut api = MockDomicileApi::new();
    api.expect_list_notifications().return_const(Ok(Page { items: items.clone(), next_token: String::new() }));
    let mut client = NotificationServiceClient::new(Served::mock(api).await.channel().await);
    let wire = client.list_notifications(signed(v1::ListNotificationsRequest::default())).await.unwrap().into_inner();
    assert_eq!(wire.notifications.len(), items.len());
    for (wire, NoticeView { notice, attempts, .. }) in wire.notifications.iter().zip(items) {
        kinds.see(wire.kind().as_str_name(), notice.kind);
        channels.see(wire.channel().as_str_name(), notice.channel);
        if let NoticeState::NotSent(why) = notice.state {
            states.see(wire.state().as_str_name(), format_args!("NotSent"));
            reasons.see(wire.not_sent_reason().as_str_name(), why);
        } else {
            states.see(wire.state().as_str_name(), notice.state);
            assert_eq!(wire.not_sent_reason(), v1::NotSentReason::Unspecified);
        }
        match notice.language_used {
            Some((_, choice)) => used.see(wire.language_choice().as_str_name(), choice),
            None => assert_eq!(wire.language_choice(), v1::LanguageChoice::Unspecified),
        }
        let attempts = attempts.unwrap_or_default();
        assert_eq!(wire.attempts.len(), attempts.len());
        for (wire, attempt) in wire.attempts.iter().zip(attempts) {
            ends.see(wire.class().as_str_name(), attempt.class);
        }
    }
    for words in [&kinds, &channels, &states, &reasons, &used, &ends] {
        words.are_all();
    }
}
