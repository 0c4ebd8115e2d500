//! Every field of every answer reaches the wire. The expected messages are written out whole: a new field does not compile
//! without its row here.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::budget::{BudgetKind, BudgetStanding};
use domicile_domain::model::contact::{Contact, ContactKind, ContactStanding};
use domicile_domain::model::group::{Group, GroupSize};
use domicile_domain::model::id::{Id, WorkspaceId};
use domicile_domain::model::membership::{AllowedAction, Grants, Membership, MembershipBase, MembershipKind};
use domicile_domain::model::name::ExternalId;
use domicile_domain::model::notice::{Attempt, AttemptClass, LanguageChoice, Message, NotSent, NoticeState};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Version;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::Workspace;
use domicile_domain::policy::resolver::LookupOutcome;
use domicile_domain::usecase::{
    AccessAnswer, Account, AssignReply, Changed, CreateWorkspaceReply, LookupReply, MatchedBy, MemberState, MemberView,
    MockDomicileApi, NoticeView, Page, PolicyChange, PolicyReach, UserView,
};
use domicile_proto::v1;
use domicile_proto::v1::access_service_client::AccessServiceClient;
use domicile_proto::v1::group_service_client::GroupServiceClient;
use domicile_proto::v1::membership_service_client::MembershipServiceClient;
use domicile_proto::v1::notification_service_client::NotificationServiceClient;
use domicile_proto::v1::role_service_client::RoleServiceClient;
use domicile_proto::v1::user_service_client::UserServiceClient;
use domicile_proto::v1::workspace_service_client::WorkspaceServiceClient;
use domicile_testkit::builders::{
    self, NOW, external, handle, internal, language, minute, name, notice, permission_name, phone, user, workspace,
};
use domicile_testkit::ids::SequentialIds;

use crate::support::{Served, signed};

fn id<K>(number: u64) -> Id<K> {
    Id::from_uuid(SequentialIds::numbered(number))
}

fn text(number: u64) -> String {
    SequentialIds::numbered(number).to_string()
}

fn at(minutes: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: NOW.as_micros() / 1_000_000 + 60 * minutes, nanos: 0 }
}

/// The answer of one call to a mock, with its headers.
macro_rules! answered {
    ($api:expr, $client:ident.$method:ident($request:ident)) => {
        $client::new(Served::mock($api).await.channel().await).$method(signed(v1::$request::default())).await.unwrap()
    };
}

fn base() -> MembershipBase {
    MembershipBase {
        id: id(1),
        user: id(2),
        workspace: id(3),
        grants: Grants {
            roles: BTreeSet::from([id(4), id(5)]),
            permissions: BTreeSet::from([permission_name("orders.list"), permission_name("orders.read")]),
        },
        assigned_by: Some(id(6)),
        assigned_at: minute(7),
        external_id: Some(ExternalId::parse("hr-8").unwrap()),
        version: Version::from_stored(9),
    }
}

fn view(membership: Membership) -> MemberView {
    MemberView {
        membership,
        state: MemberState::Review,
        initials: "A. K.".to_owned(),
        display_name: Some("Anna Kovács".to_owned()),
        email: Some("a***@b.example".to_owned()),
        phone: Some("+36***67".to_owned()),
        home: Some(id(10)),
        allowed_actions: vec![AllowedAction::SetRoles, AllowedAction::Unlink],
    }
}

fn internal_view() -> MemberView {
    let mut internal = internal(&user(WorkspaceId::nil(), "anna"));
    internal.base = base();
    internal.groups = BTreeSet::from([id(11), id(12)]);
    internal.units = BTreeSet::from([id(13)]);
    view(Membership::Internal(internal))
}

fn external_view() -> MemberView {
    let mut external = external(&user(WorkspaceId::nil(), "anna"), WorkspaceId::nil());
    external.base = base();
    external.language = Some(language("de"));
    external.expires_at = Some(minute(14));
    external.typed_contact = Some("anna@b.example".to_owned());
    view(Membership::External(external))
}

/// What a membership of either kind looks like, without what only one kind has.
fn member_of_both() -> v1::Membership {
    v1::Membership {
        name: format!("workspaces/{}/memberships/{}", text(3), text(2)),
        uid: text(1),
        user: text(2),
        workspace: text(3),
        kind: v1::MembershipKind::Unspecified.into(),
        state: v1::MembershipState::Review.into(),
        roles: [4, 5].map(|role| format!("workspaces/{}/roles/{}", text(3), text(role))).to_vec(),
        permissions: vec!["orders.list".to_owned(), "orders.read".to_owned()],
        initials: "A. K.".to_owned(),
        display_name: "Anna Kovács".to_owned(),
        email: "a***@b.example".to_owned(),
        phone: "+36***67".to_owned(),
        typed_contact: String::new(),
        home: text(10),
        language: String::new(),
        expire_time: None,
        external_id: "hr-8".to_owned(),
        assigned_by: text(6),
        assign_time: Some(at(7)),
        groups: Vec::new(),
        organizational_units: Vec::new(),
        allowed_actions: vec![v1::AllowedAction::SetRoles.into(), v1::AllowedAction::Unlink.into()],
        etag: format!("{}-9", text(1)),
    }
}

fn internal_member() -> v1::Membership {
    v1::Membership {
        kind: v1::MembershipKind::Internal.into(),
        groups: vec![text(11), text(12)],
        organizational_units: vec![text(13)],
        ..member_of_both()
    }
}

fn external_member() -> v1::Membership {
    v1::Membership {
        kind: v1::MembershipKind::External.into(),
        typed_contact: "anna@b.example".to_owned(),
        language: "de".to_owned(),
        expire_time: Some(at(14)),
        ..member_of_both()
    }
}

/// How budgets stand, and as it is said.
fn standings() -> Vec<BudgetStanding> {
    let standing = |kind, limit, remaining| BudgetStanding { kind, limit: NonZeroU32::new(limit).unwrap(), remaining };
    vec![
        standing(BudgetKind::User, 20, 17),
        standing(BudgetKind::Workspace, 300, 0),
        standing(BudgetKind::Service, 2000, 1),
    ]
}

const STANDINGS: &str = "user;limit=20;remaining=17, workspace;limit=300;remaining=0, service;limit=2000;remaining=1";

fn budget_of<T>(answer: &tonic::Response<T>) -> Option<&str> {
    answer.metadata().get("x-domicile-budget").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn lookup_user_says_everything() {
    let mut api = MockDomicileApi::new();
    api.expect_lookup_user().returning(|_, _| {
        Ok(LookupReply {
            outcome: LookupOutcome::AlreadyMember,
            matched_by: vec![
                MatchedBy { kind: ContactKind::Email, standing: ContactStanding::Asserted },
                MatchedBy { kind: ContactKind::Phone, standing: ContactStanding::Verified },
            ],
            display: Some("A. K.".to_owned()),
            member_kind: Some(MembershipKind::External),
            member_state: Some(MemberState::Review),
            match_handle: "handle".to_owned(),
            match_handle_expires_at: minute(10),
            budget: standings(),
        })
    });
    let by = |kind: v1::ContactKind, standing: v1::ContactStanding| v1::ContactMatch {
        kind: kind.into(),
        standing: standing.into(),
    };
    let expected = v1::LookupUserResponse {
        outcome: v1::LookupOutcome::AlreadyMember.into(),
        matched_by: vec![
            by(v1::ContactKind::Email, v1::ContactStanding::Asserted),
            by(v1::ContactKind::Phone, v1::ContactStanding::Verified),
        ],
        display: "A. K.".to_owned(),
        member_kind: v1::MembershipKind::External.into(),
        member_state: v1::MembershipState::Review.into(),
        match_handle: "handle".to_owned(),
        match_handle_expire_time: Some(at(10)),
    };
    let answer = answered!(api, UserServiceClient.lookup_user(LookupUserRequest));
    assert_eq!(budget_of(&answer), Some(STANDINGS));
    assert_eq!(answer.into_inner(), expected);
}

fn whole_user() -> User {
    let mut user = user(id(20), "anna.k");
    user.id = id(21);
    user.created_in = id(22);
    user.created_at = minute(23);
    user.updated_at = minute(24);
    user.version = Version::from_stored(25);
    let person = builders::person(&mut user);
    person.email = Contact::asserted(builders::email("anna.k@mail.example"), minute(26));
    person.phone =
        Some(Contact { standing: ContactStanding::Verified, ..Contact::asserted(phone("+36201234567"), minute(27)) });
    user
}

/// The account with two identities.
fn account(user: User) -> Account {
    let identity = |subject: &str| Identity { issuer: "https://id.example".to_owned(), subject: subject.to_owned() };
    Account { user, identities: ["1", "2"].map(identity).to_vec() }
}

fn wire_identity(subject: &str) -> v1::Identity {
    v1::Identity { issuer: "https://id.example".to_owned(), subject: subject.to_owned() }
}

/// The same on the wire.
fn whole_wire() -> v1::User {
    let contact = |value: &str, standing: v1::ContactStanding, since| v1::Contact {
        value: value.to_owned(),
        standing: standing.into(),
        since_time: Some(at(since)),
    };
    v1::User {
        name: format!("users/{}", text(21)),
        uid: text(21),
        home: text(20),
        created_in: text(22),
        state: v1::UserState::Active.into(),
        profile: Some(v1::Profile {
            first_name: "Anna".to_owned(),
            last_name: "Kovács".to_owned(),
            username: "anna.k".to_owned(),
            preferred_language: "hu".to_owned(),
        }),
        email: Some(contact("anna.k@mail.example", v1::ContactStanding::Asserted, 26)),
        phone: Some(contact("+36201234567", v1::ContactStanding::Verified, 27)),
        create_time: Some(at(23)),
        update_time: Some(at(24)),
        etag: format!("{}-25", text(21)),
        identities: ["1", "2"].map(wire_identity).to_vec(),
    }
}

#[tokio::test]
async fn get_user_says_everything_to_the_home_and_the_membership_to_a_host() {
    let erased = v1::User { profile: None, email: None, phone: None, ..whole_wire() };
    let cases = [
        (UserView::Whole(account(whole_user())), v1::get_user_response::View::User(whole_wire())),
        (UserView::Whole(account(User { person: None, ..whole_user() })), v1::get_user_response::View::User(erased)),
        (UserView::Member(external_view()), v1::get_user_response::View::Membership(external_member())),
    ];
    for (view, expected) in cases {
        let mut api = MockDomicileApi::new();
        api.expect_get_user().return_const(Ok(view));
        let answer = answered!(api, UserServiceClient.get_user(GetUserRequest)).into_inner();
        assert_eq!(answer, v1::GetUserResponse { view: Some(expected) });
    }
}

#[tokio::test]
async fn bind_and_unbind_identity_say_everything_and_whether_it_is_a_repeated_answer() {
    for replayed in [false, true] {
        let reply = Changed {
            thing: Some(account(whole_user())),
            consistency_token: Some("written".to_owned()),
            replayed,
            budget: standings(),
        };
        let mut api = MockDomicileApi::new();
        api.expect_bind_identity().return_const(Ok(reply.clone()));
        api.expect_unbind_identity().return_const(Ok(reply));
        let mut client = UserServiceClient::new(Served::mock(api).await.channel().await);
        let (user, consistency_token) = (Some(whole_wire()), "written".to_owned());
        let header = |metadata: &tonic::metadata::MetadataMap| metadata.contains_key("x-domicile-replayed");
        let bound = client.bind_identity(signed(v1::BindIdentityRequest::default())).await.unwrap();
        assert_eq!(header(bound.metadata()), replayed);
        assert_eq!(budget_of(&bound), Some(STANDINGS));
        let expected = v1::BindIdentityResponse { user: user.clone(), consistency_token: consistency_token.clone() };
        assert_eq!(bound.into_inner(), expected);
        let taken = client.unbind_identity(signed(v1::UnbindIdentityRequest::default())).await.unwrap();
        assert_eq!(header(taken.metadata()), replayed);
        assert_eq!(taken.into_inner(), v1::UnbindIdentityResponse { user, consistency_token });
    }
    let rehearsed = Changed { thing: None, consistency_token: None, replayed: false, budget: Vec::new() };
    let mut api = MockDomicileApi::new();
    api.expect_bind_identity().return_const(Ok(rehearsed));
    let answer = answered!(api, UserServiceClient.bind_identity(BindIdentityRequest)).into_inner();
    assert_eq!(answer, v1::BindIdentityResponse::default());
}

#[tokio::test]
async fn assign_user_says_everything_and_whether_it_is_a_repeated_answer() {
    for replayed in [false, true] {
        let mut api = MockDomicileApi::new();
        api.expect_assign_user().return_const(Ok(AssignReply {
            outcome: AssignOutcome::LinkedExternal,
            member: Some(external_view()),
            notice: Some(id(30)),
            discarded_fields: vec!["phone".to_owned(), "profile.username".to_owned()],
            consistency_token: Some("written".to_owned()),
            replayed,
            budget: standings(),
        }));
        let answer = answered!(api, MembershipServiceClient.assign_user(AssignUserRequest));
        let header = answer.metadata().get("x-domicile-replayed").map(|value| value.to_str().unwrap());
        assert_eq!(header, replayed.then_some("true"));
        assert_eq!(budget_of(&answer), Some(STANDINGS));
        let expected = v1::AssignUserResponse {
            outcome: v1::AssignOutcome::LinkedExternal.into(),
            membership: Some(external_member()),
            notification: format!("workspaces/{}/notifications/{}", text(3), text(30)),
            notification_state: v1::NotificationState::Queued.into(),
            discarded_fields: vec!["phone".to_owned(), "profile.username".to_owned()],
            consistency_token: "written".to_owned(),
        };
        assert_eq!(answer.into_inner(), expected);
    }
}

#[tokio::test]
async fn a_rehearsed_save_says_what_it_would_do_and_nothing_else() {
    let mut api = MockDomicileApi::new();
    api.expect_assign_user().return_const(Ok(AssignReply {
        outcome: AssignOutcome::CreatedInternal,
        member: None,
        notice: None,
        discarded_fields: Vec::new(),
        consistency_token: None,
        replayed: false,
        budget: Vec::new(),
    }));
    let answer = answered!(api, MembershipServiceClient.assign_user(AssignUserRequest));
    assert_eq!(budget_of(&answer), None);
    let outcome = v1::AssignOutcome::CreatedInternal.into();
    assert_eq!(answer.into_inner(), v1::AssignUserResponse { outcome, ..v1::AssignUserResponse::default() });
}

#[tokio::test]
async fn memberships_say_everything_of_their_kind() {
    let mut api = MockDomicileApi::new();
    api.expect_get_membership().return_const(Ok(internal_view()));
    let answer = answered!(api, MembershipServiceClient.get_membership(GetMembershipRequest)).into_inner();
    assert_eq!(answer, v1::GetMembershipResponse { membership: Some(internal_member()) });

    let mut api = MockDomicileApi::new();
    let items = vec![internal_view(), external_view()];
    api.expect_list_memberships().return_const(Ok(Page { items, next_token: "next".to_owned() }));
    let answer = answered!(api, MembershipServiceClient.list_memberships(ListMembershipsRequest)).into_inner();
    let expected = v1::ListMembershipsResponse {
        memberships: vec![internal_member(), external_member()],
        next_page_token: "next".to_owned(),
    };
    assert_eq!(answer, expected);
}

fn domain_workspace() -> Workspace {
    let mut workspace = workspace("acme");
    workspace.id = id(3);
    workspace.display_name = name("Acme Ltd");
    workspace.default_language = language("de");
    workspace.created_at = minute(31);
    workspace.version = Version::from_stored(32);
    workspace.notices.languages = vec![language("de")];
    workspace.notices.support_contact = Some(builders::email("help@acme.example"));
    workspace.links.leave = Some("https://acme.example/".to_owned());
    workspace
}

fn wire_workspace() -> v1::Workspace {
    v1::Workspace {
        name: format!("workspaces/{}", text(3)),
        uid: text(3),
        handle: "acme".to_owned(),
        display_name: "Acme Ltd".to_owned(),
        state: v1::WorkspaceState::Active.into(),
        default_region: "HU".to_owned(),
        default_language: "de".to_owned(),
        create_time: Some(at(31)),
        etag: format!("{}-32", text(3)),
        notice_languages: vec!["de".to_owned()],
        channels: vec![v1::Channel::Email.into(), v1::Channel::Sms.into()],
        links: Some(v1::WorkspaceLinks { leave: "https://acme.example/".to_owned(), ..v1::WorkspaceLinks::default() }),
        support_contact: "help@acme.example".to_owned(),
    }
}

#[tokio::test]
async fn groups_say_everything() {
    let group = Group {
        id: id(50),
        workspace: id(3),
        handle: handle("crew"),
        display_name: name("The crew"),
        roles: BTreeSet::from([id(40)]),
        version: Version::from_stored(51),
    };
    let size = GroupSize { group, members: 7 };
    let wire = v1::Group {
        name: format!("workspaces/{}/groups/{}", text(3), text(50)),
        uid: text(50),
        handle: "crew".to_owned(),
        display_name: "The crew".to_owned(),
        roles: vec![format!("workspaces/{}/roles/{}", text(3), text(40))],
        member_count: 7,
        etag: format!("{}-51", text(50)),
    };
    let mut api = MockDomicileApi::new();
    let changed = Changed {
        thing: Some(size),
        consistency_token: Some("written".to_owned()),
        replayed: true,
        budget: Vec::new(),
    };
    api.expect_delete_group().return_const(Ok(changed));
    let served = answered!(api, GroupServiceClient.delete_group(DeleteGroupRequest));
    assert!(served.metadata().contains_key("x-domicile-replayed"));
    let expected = v1::DeleteGroupResponse { group: Some(wire), consistency_token: "written".to_owned() };
    assert_eq!(served.into_inner(), expected);
}

#[tokio::test]
async fn rules_of_a_workspace_say_everything() {
    let mut workspace = domain_workspace();
    workspace.policy.inbound = domicile_domain::model::workspace::Openness::RelatedOnly;
    workspace.policy.default_ceiling.roles = BTreeSet::from([id(40)]);
    workspace.policy.default_ceiling.permissions = BTreeSet::from([permission_name("orders.read")]);
    workspace.policy.acceptance_as_home = true;
    let reach = Some(PolicyReach { externals_here: 5, externals_elsewhere: 6 });
    let mut api = MockDomicileApi::new();
    api.expect_update_workspace_policy().return_const(Ok(Changed {
        thing: Some(PolicyChange { workspace, reach }),
        consistency_token: Some("written".to_owned()),
        replayed: false,
        budget: Vec::new(),
    }));
    let answer = answered!(api, WorkspaceServiceClient.update_workspace_policy(UpdateWorkspacePolicyRequest));
    let policy = v1::WorkspacePolicy {
        inbound: v1::Openness::RelatedOnly.into(),
        outbound: v1::Openness::Open.into(),
        default_ceiling: Some(v1::Ceiling {
            roles: vec![format!("workspaces/{}/roles/{}", text(3), text(40))],
            permissions: vec!["orders.read".to_owned()],
        }),
        visibility_of_externals: v1::DirectoryVisibility::Hidden.into(),
        acceptance_as_host: false,
        acceptance_as_home: true,
        disclosure: v1::Disclosure::None.into(),
        external_managers: false,
        etag: format!("{}-32", text(3)),
    };
    let expected = v1::UpdateWorkspacePolicyResponse {
        policy: Some(policy),
        reach: Some(v1::PolicyReach { externals_here: 5, externals_elsewhere: 6 }),
        consistency_token: "written".to_owned(),
    };
    assert_eq!(answer.into_inner(), expected);
}

#[tokio::test]
async fn workspaces_say_everything() {
    let mut api = MockDomicileApi::new();
    api.expect_get_workspace().return_const(Ok(domain_workspace()));
    let answer = answered!(api, WorkspaceServiceClient.get_workspace(GetWorkspaceRequest)).into_inner();
    assert_eq!(answer, v1::GetWorkspaceResponse { workspace: Some(wire_workspace()) });
    for replayed in [false, true] {
        let mut api = MockDomicileApi::new();
        api.expect_create_workspace().return_const(Ok(CreateWorkspaceReply {
            workspace: Some(domain_workspace()),
            manager: Some(internal_view()),
            notice: Some(id(30)),
            consistency_token: Some("written".to_owned()),
            replayed,
            budget: standings(),
        }));
        let answer = answered!(api, WorkspaceServiceClient.create_workspace(CreateWorkspaceRequest));
        assert_eq!(answer.metadata().contains_key("x-domicile-replayed"), replayed);
        assert_eq!(budget_of(&answer), Some(STANDINGS));
        let expected = v1::CreateWorkspaceResponse {
            workspace: Some(wire_workspace()),
            manager: Some(internal_member()),
            notification: format!("workspaces/{}/notifications/{}", text(3), text(30)),
            consistency_token: "written".to_owned(),
        };
        assert_eq!(answer.into_inner(), expected);
    }
}

#[tokio::test]
async fn roles_say_everything() {
    let role = Role {
        id: id(40),
        workspace: id(3),
        handle: handle("lead"),
        display_name: name("Project lead"),
        permissions: BTreeSet::from([permission_name("orders.list"), permission_name("orders.read")]),
        for_externals: true,
        built_in: None,
        version: Version::from_stored(41),
    };
    let built_in = builders::built_in(id(3), domicile_domain::model::role::BuiltInRole::AccessManager);
    let mut api = MockDomicileApi::new();
    let items = vec![role, built_in];
    api.expect_list_roles().return_const(Ok(Page { items, next_token: "next".to_owned() }));
    let answer = answered!(api, RoleServiceClient.list_roles(ListRolesRequest)).into_inner();
    let expected = v1::Role {
        name: format!("workspaces/{}/roles/{}", text(3), text(40)),
        uid: text(40),
        handle: "lead".to_owned(),
        display_name: "Project lead".to_owned(),
        permissions: vec!["orders.list".to_owned(), "orders.read".to_owned()],
        for_externals: true,
        built_in: false,
        etag: format!("{}-41", text(40)),
    };
    assert_eq!((&answer.roles[0], answer.next_page_token.as_str()), (&expected, "next"));
    assert!(answer.roles[1].built_in && !answer.roles[1].for_externals);
}

#[tokio::test]
async fn check_access_says_everything() {
    let mut api = MockDomicileApi::new();
    let answer = AccessAnswer { decision: Ok(()), checked_at: minute(50), valid_until: minute(51) };
    api.expect_check_access().return_const(Ok(answer));
    let answer = answered!(api, AccessServiceClient.check_access(CheckAccessRequest)).into_inner();
    let expected = v1::CheckAccessResponse {
        decision: v1::AccessDecision::Allowed.into(),
        reason: v1::DenialReason::Unspecified.into(),
        check_time: Some(at(50)),
        valid_until_time: Some(at(51)),
    };
    assert_eq!(answer, expected);
}

fn noticed() -> NoticeView {
    let mut notice = notice(&user(id(20), "anna"));
    notice.id = id(30);
    notice.workspace = id(3);
    notice.user = id(2);
    notice.state = NoticeState::NotSent(NotSent::Held);
    "set up a gateway".clone_into(&mut notice.reason);
    notice.language_used = Some((language("de"), LanguageChoice::HomeDefault));
    notice.created_at = minute(60);
    notice.due_at = Some(minute(61));
    notice.retry_until = minute(62);
    notice.attempts = 63;
    notice.version = Version::from_stored(64);
    let attempt = Attempt {
        number: 63,
        at: minute(65),
        class: AttemptClass::Transient,
        provider_words: "451 try later".to_owned(),
    };
    let message = Message {
        to: "anna@b.example".to_owned(),
        from: "Borealis".to_owned(),
        reply_to: Some("help@borealis.example".to_owned()),
        language: language("de"),
        subject: "Hallo".to_owned(),
        text: "Guten Tag".to_owned(),
        html: Some("<p>Guten Tag</p>".to_owned()),
    };
    NoticeView { notice, message: Some(message), attempts: Some(vec![attempt]) }
}

#[tokio::test]
async fn notifications_say_everything_that_the_viewer_may_see() {
    let whole = v1::Notification {
        name: format!("workspaces/{}/notifications/{}", text(3), text(30)),
        uid: text(30),
        kind: v1::NotificationKind::Onboarding.into(),
        workspace: text(3),
        home: text(20),
        user: text(2),
        channel: v1::Channel::Email.into(),
        state: v1::NotificationState::NotSent.into(),
        not_sent_reason: v1::NotSentReason::Held.into(),
        reason: "set up a gateway".to_owned(),
        language_asked: "hu".to_owned(),
        language_used: "de".to_owned(),
        language_choice: v1::LanguageChoice::HomeDefault.into(),
        create_time: Some(at(60)),
        due_time: Some(at(61)),
        retry_until_time: Some(at(62)),
        attempt_count: 63,
        message: Some(v1::MessageText {
            to: "anna@b.example".to_owned(),
            from: "Borealis".to_owned(),
            subject: "Hallo".to_owned(),
            text: "Guten Tag".to_owned(),
            html: "<p>Guten Tag</p>".to_owned(),
            reply_to: "help@borealis.example".to_owned(),
            language: "de".to_owned(),
        }),
        attempts: vec![v1::DeliveryAttempt {
            number: 63,
            end_time: Some(at(65)),
            class: v1::AttemptClass::Transient.into(),
            provider_words: "451 try later".to_owned(),
        }],
        etag: format!("{}-64", text(30)),
    };
    let mut api = MockDomicileApi::new();
    api.expect_get_notification().return_const(Ok(noticed()));
    let answer = answered!(api, NotificationServiceClient.get_notification(GetNotificationRequest)).into_inner();
    assert_eq!(answer, v1::GetNotificationResponse { notification: Some(whole.clone()) });

    let of_host = NoticeView { message: None, attempts: None, ..noticed() };
    let mut api = MockDomicileApi::new();
    api.expect_list_notifications().return_const(Ok(Page { items: vec![of_host], next_token: "next".to_owned() }));
    let answer = answered!(api, NotificationServiceClient.list_notifications(ListNotificationsRequest)).into_inner();
    let seen_by_host = v1::Notification { message: None, attempts: Vec::new(), ..whole };
    let expected =
        v1::ListNotificationsResponse { notifications: vec![seen_by_host], next_page_token: "next".to_owned() };
    assert_eq!(answer, expected);
}
