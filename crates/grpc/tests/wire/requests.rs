//! Every field of every request reaches the use case, with who asks and until when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::relationship::Disclosure;
use domicile_domain::model::user::Identity;
use domicile_domain::model::workspace::{DirectoryVisibility, Openness};
use domicile_domain::usecase::{
    AssignUser, Call, ChangeIdentity, CheckAccess, CheckSubject, Consistency, CreateGroup, CreateWorkspace,
    DeleteGroup, Expectation, ExternalInput, GrantsInput, GroupMembers, LinksInput, LookupUser, MockDomicileApi, Order,
    PageRequest, PolicyInput, ProfileInput, RequestIdentity, UpdateGroup, UpdateWorkspace, UpdateWorkspacePolicy,
};
use domicile_proto::v1;
use domicile_proto::v1::access_service_client::AccessServiceClient;
use domicile_proto::v1::consistency::Requirement;
use domicile_proto::v1::group_service_client::GroupServiceClient;
use domicile_proto::v1::membership_service_client::MembershipServiceClient;
use domicile_proto::v1::notification_service_client::NotificationServiceClient;
use domicile_proto::v1::role_service_client::RoleServiceClient;
use domicile_proto::v1::user_service_client::UserServiceClient;
use domicile_proto::v1::workspace_service_client::WorkspaceServiceClient;
use domicile_testkit::builders::{NOW, minute};
use tonic::{Code, Request};

use crate::support::{Served, acting, assert_refused, signed};

/// The call that the use case hears of, with the time that the method allows.
fn call(allowed: Duration) -> Call {
    Call { actor: acting(), deadline: NOW.after(allowed), correlation_id: "order-17".to_owned(), surface: "grpc" }
}

fn named<T>(message: T) -> Request<T> {
    let mut request = signed(message);
    request.metadata_mut().insert("x-request-id", "order-17".parse().unwrap());
    request
}

/// What every use case answers here: what it hears is compared inside, and a difference would be a panic.
fn heard<T>() -> Result<T, Refusal> {
    Err(Refusal::new(Reason::NotFound))
}

fn form(requirement: Requirement) -> v1::Consistency {
    v1::Consistency { requirement: Some(requirement) }
}

fn token() -> v1::Consistency {
    form(Requirement::AtLeastAsFresh("written".to_owned()))
}

fn fresh() -> Consistency {
    Consistency::AtLeastAsFresh("written".to_owned())
}

fn profile() -> v1::Profile {
    v1::Profile {
        first_name: "Anna".to_owned(),
        last_name: "Kovács".to_owned(),
        username: "anna.k".to_owned(),
        preferred_language: "hu".to_owned(),
    }
}

fn profile_input() -> ProfileInput {
    ProfileInput {
        first_name: "Anna".to_owned(),
        last_name: "Kovács".to_owned(),
        username: "anna.k".to_owned(),
        preferred_language: "hu".to_owned(),
    }
}

/// Serves the mock and calls one method of it; the use case must have heard what it should.
macro_rules! hears {
    ($api:expr, $client:ident.$method:ident($message:expr)) => {{
        let mut client = $client::new(Served::mock($api).await.channel().await);
        let status = client.$method(named($message)).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "NOT_FOUND");
    }};
}

#[tokio::test]
async fn lookup_user_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_lookup_user().returning(|heard_call, request| {
        assert_eq!(*heard_call, call(Duration::from_secs(2)));
        let expected =
            LookupUser { workspace: "acme".to_owned(), email: "a@b.example".to_owned(), phone: "+361".to_owned() };
        assert_eq!(*request, expected);
        heard()
    });
    let message = v1::LookupUserRequest {
        workspace: "acme".to_owned(),
        email: "a@b.example".to_owned(),
        phone: "+361".to_owned(),
    };
    hears!(api, UserServiceClient.lookup_user(message));
}

/// A save with every field set.
fn save() -> v1::AssignUserRequest {
    v1::AssignUserRequest {
        workspace: "acme".to_owned(),
        request_id: "id-1".to_owned(),
        expectation: v1::Expectation::Link.into(),
        email: "a@b.example".to_owned(),
        phone: "+361".to_owned(),
        match_handle: "handle".to_owned(),
        profile: Some(profile()),
        internal: Some(v1::InternalGrants {
            roles: vec!["member".to_owned(), "lead".to_owned()],
            permissions: vec!["orders.read".to_owned()],
        }),
        external: Some(v1::ExternalGrants {
            roles: vec!["guest".to_owned()],
            permissions: vec!["orders.write".to_owned(), "orders.list".to_owned()],
            language: "de".to_owned(),
            expire_time: Some(prost_types::Timestamp { seconds: NOW.as_micros() / 1_000_000 + 60, nanos: 0 }),
        }),
        external_id: "hr-7".to_owned(),
        notify: v1::NotifyMode::None.into(),
        validate_only: true,
    }
}

#[tokio::test]
async fn assign_user_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_assign_user().returning(|heard_call, request| {
        assert_eq!(*heard_call, call(Duration::from_secs(10)));
        let expected = AssignUser {
            workspace: "acme".to_owned(),
            request: RequestIdentity { id: "id-1".to_owned(), fingerprint: request.request.fingerprint },
            expectation: Some(Expectation::Link),
            email: "a@b.example".to_owned(),
            phone: "+361".to_owned(),
            match_handle: "handle".to_owned(),
            profile: profile_input(),
            internal: GrantsInput {
                roles: vec!["member".to_owned(), "lead".to_owned()],
                permissions: vec!["orders.read".to_owned()],
            },
            external: ExternalInput {
                grants: GrantsInput {
                    roles: vec!["guest".to_owned()],
                    permissions: vec!["orders.write".to_owned(), "orders.list".to_owned()],
                },
                language: "de".to_owned(),
                expires_at: Some(minute(1)),
            },
            external_id: "hr-7".to_owned(),
            notify: Some(false),
            validate_only: true,
        };
        assert_eq!(*request, expected);
        heard()
    });
    hears!(api, MembershipServiceClient.assign_user(save()));
}

/// What the use case hears of saves, in order.
async fn saves_heard(messages: Vec<v1::AssignUserRequest>) -> Vec<AssignUser> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let mut api = MockDomicileApi::new();
    let list = all.clone();
    api.expect_assign_user().returning(move |_, request| {
        list.lock().unwrap().push(request.clone());
        heard()
    });
    let mut client = MembershipServiceClient::new(Served::mock(api).await.channel().await);
    for message in messages {
        assert_refused(&client.assign_user(named(message)).await.unwrap_err(), Code::NotFound, "NOT_FOUND");
    }
    std::mem::take(&mut *all.lock().unwrap())
}

#[tokio::test]
async fn an_expectation_that_is_not_said_is_not_made_up_and_people_are_told_unless_said_otherwise() {
    let numbers =
        |expectation, notify| v1::AssignUserRequest { expectation, notify, ..v1::AssignUserRequest::default() };
    let cases = [
        ((0, 0), (None, Some(true))),
        ((1, 1), (Some(Expectation::Create), Some(true))),
        ((2, 2), (Some(Expectation::Link), Some(false))),
        ((3, 9), (Some(Expectation::Either), None)),
        ((9, 0), (None, Some(true))),
    ];
    let heard = saves_heard(cases.iter().map(|((expectation, notify), _)| numbers(*expectation, *notify)).collect());
    let heard: Vec<_> = heard.await.iter().map(|save| (save.expectation, save.notify)).collect();
    assert_eq!(heard, cases.map(|(_, expected)| expected));
}

#[tokio::test]
async fn a_body_has_one_fingerprint_whatever_its_request_id_and_another_has_another() {
    let changed = |change: &dyn Fn(&mut v1::AssignUserRequest)| {
        let mut message = save();
        change(&mut message);
        message
    };
    let heard = saves_heard(vec![
        save(),
        changed(&|m| "id-2".clone_into(&mut m.request_id)),
        changed(&|m| m.email.clear()),
        changed(&|m| m.profile.as_mut().unwrap().username.clear()),
        changed(&|m| m.external.as_mut().unwrap().expire_time = None),
        changed(&|m| m.validate_only = false),
    ]);
    let prints: Vec<RequestFingerprint> = heard.await.into_iter().map(|save| save.request.fingerprint).collect();
    assert_eq!(prints[0], prints[1]);
    for (place, print) in prints.iter().enumerate().skip(2) {
        assert!(!prints[..place].contains(print), "{place}");
    }
}

#[tokio::test]
async fn create_workspace_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_create_workspace().returning(|heard_call, request| {
        assert_eq!(*heard_call, call(Duration::from_secs(10)));
        let expected = CreateWorkspace {
            request: RequestIdentity { id: "id-1".to_owned(), fingerprint: request.request.fingerprint },
            handle: "acme".to_owned(),
            display_name: "Acme".to_owned(),
            default_region: "HU".to_owned(),
            default_language: "de".to_owned(),
            manager_email: "a@b.example".to_owned(),
            manager_phone: "+361".to_owned(),
            manager: profile_input(),
            validate_only: true,
        };
        assert_eq!(*request, expected);
        heard()
    });
    let message = v1::CreateWorkspaceRequest {
        request_id: "id-1".to_owned(),
        handle: "acme".to_owned(),
        display_name: "Acme".to_owned(),
        default_region: "HU".to_owned(),
        default_language: "de".to_owned(),
        manager: Some(v1::FirstManager {
            email: "a@b.example".to_owned(),
            phone: "+361".to_owned(),
            profile: Some(profile()),
        }),
        validate_only: true,
    };
    hears!(api, WorkspaceServiceClient.create_workspace(message));
}

#[tokio::test]
async fn bind_and_unbind_identity_hear_every_field() {
    let hear = |heard_call: &Call, order: &Order, change: &ChangeIdentity| {
        assert_eq!(*heard_call, call(Duration::from_secs(5)));
        let expected = Order {
            workspace: "acme".to_owned(),
            request: RequestIdentity { id: "id-1".to_owned(), fingerprint: order.request.fingerprint },
            validate_only: true,
        };
        assert_eq!(*order, expected);
        let expected = ChangeIdentity {
            user: "u-1".to_owned(),
            identity: Identity { issuer: "https://id.example".to_owned(), subject: "s-1".to_owned() },
        };
        assert_eq!(*change, expected);
        heard()
    };
    let identity = Some(v1::Identity { issuer: "https://id.example".to_owned(), subject: "s-1".to_owned() });
    let (workspace, request_id, user) = ("acme".to_owned(), "id-1".to_owned(), "u-1".to_owned());
    let mut api = MockDomicileApi::new();
    api.expect_bind_identity().returning(hear);
    let message = v1::BindIdentityRequest {
        workspace: workspace.clone(),
        request_id: request_id.clone(),
        user: user.clone(),
        identity: identity.clone(),
        validate_only: true,
    };
    hears!(api, UserServiceClient.bind_identity(message));
    let mut api = MockDomicileApi::new();
    api.expect_unbind_identity().returning(hear);
    let message = v1::UnbindIdentityRequest { workspace, request_id, user, identity, validate_only: true };
    hears!(api, UserServiceClient.unbind_identity(message));
}

#[tokio::test]
async fn check_access_hears_every_field_and_each_form_of_its_subject() {
    use v1::check_access_request::Subject;
    let identity = v1::Identity { issuer: "https://id.example".to_owned(), subject: "s-1".to_owned() };
    let bound = Identity { issuer: "https://id.example".to_owned(), subject: "s-1".to_owned() };
    let subjects = [
        (Some(Subject::User("u-1".to_owned())), CheckSubject::User("u-1".to_owned())),
        (Some(Subject::Identity(identity)), CheckSubject::Identity(bound)),
        (None, CheckSubject::User(String::new())),
    ];
    for (subject, expected) in subjects {
        let mut api = MockDomicileApi::new();
        api.expect_check_access().returning(move |heard_call, request| {
            assert_eq!(*heard_call, call(Duration::from_secs(1)));
            let expected = CheckAccess {
                workspace: "acme".to_owned(),
                subject: expected.clone(),
                permission: "orders.read".to_owned(),
                consistency: fresh(),
            };
            assert_eq!(*request, expected);
            heard()
        });
        let message = v1::CheckAccessRequest {
            workspace: "acme".to_owned(),
            subject,
            permission: "orders.read".to_owned(),
            consistency: Some(token()),
        };
        hears!(api, AccessServiceClient.check_access(message));
    }
}

/// A read of one thing: where, what, how fresh.
macro_rules! reads_one {
    ($($test:ident: $expect:ident, $client:ident.$method:ident($request:ident { $of:ident });)*) => {$(
        #[tokio::test]
        async fn $test() {
            let mut api = MockDomicileApi::new();
            api.$expect().returning(|heard_call, workspace, of, consistency| {
                assert_eq!(*heard_call, call(Duration::from_secs(2)));
                assert_eq!((workspace, of, consistency), ("acme", "which", &fresh()));
                heard()
            });
            let message =
                v1::$request { workspace: "acme".to_owned(), $of: "which".to_owned(), consistency: Some(token()) };
            hears!(api, $client.$method(message));
        }
    )*};
}

reads_one! {
    get_user_hears_every_field: expect_get_user, UserServiceClient.get_user(GetUserRequest { user });
    get_membership_hears_every_field:
        expect_get_membership, MembershipServiceClient.get_membership(GetMembershipRequest { user });
    get_group_hears_every_field: expect_get_group, GroupServiceClient.get_group(GetGroupRequest { group });
    get_notification_hears_every_field:
        expect_get_notification, NotificationServiceClient.get_notification(GetNotificationRequest { notification });
}

/// A read of a list: where, which page, how fresh.
macro_rules! reads_page {
    ($($test:ident: $expect:ident, $client:ident.$method:ident($request:ident);)*) => {$(
        #[tokio::test]
        async fn $test() {
            let mut api = MockDomicileApi::new();
            api.$expect().returning(|heard_call, workspace, page, consistency| {
                assert_eq!(*heard_call, call(Duration::from_secs(30)));
                let expected = PageRequest { size: 17, token: "next".to_owned() };
                assert_eq!((workspace, page, consistency), ("acme", &expected, &fresh()));
                heard()
            });
            let message = v1::$request {
                workspace: "acme".to_owned(),
                page_size: 17,
                page_token: "next".to_owned(),
                consistency: Some(token()),
            };
            hears!(api, $client.$method(message));
        }
    )*};
}

reads_page! {
    list_memberships_hears_every_field:
        expect_list_memberships, MembershipServiceClient.list_memberships(ListMembershipsRequest);
    list_groups_hears_every_field: expect_list_groups, GroupServiceClient.list_groups(ListGroupsRequest);
    list_roles_hears_every_field: expect_list_roles, RoleServiceClient.list_roles(ListRolesRequest);
    list_notifications_hears_every_field:
        expect_list_notifications, NotificationServiceClient.list_notifications(ListNotificationsRequest);
}

#[tokio::test]
async fn list_workspaces_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_list_workspaces().returning(|heard_call, page, consistency| {
        assert_eq!(*heard_call, call(Duration::from_secs(30)));
        let expected = PageRequest { size: 17, token: "next".to_owned() };
        assert_eq!((page, consistency), (&expected, &fresh()));
        heard()
    });
    let message =
        v1::ListWorkspacesRequest { page_size: 17, page_token: "next".to_owned(), consistency: Some(token()) };
    hears!(api, WorkspaceServiceClient.list_workspaces(message));
}

#[tokio::test]
async fn list_group_members_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_list_group_members().returning(|heard_call, workspace, group, page, consistency| {
        assert_eq!(*heard_call, call(Duration::from_secs(30)));
        let expected = PageRequest { size: 17, token: "next".to_owned() };
        assert_eq!((workspace, group, page, consistency), ("acme", "crew", &expected, &fresh()));
        heard()
    });
    let message = v1::ListGroupMembersRequest {
        workspace: "acme".to_owned(),
        group: "crew".to_owned(),
        page_size: 17,
        page_token: "next".to_owned(),
        consistency: Some(token()),
    };
    hears!(api, GroupServiceClient.list_group_members(message));
}

#[tokio::test]
async fn get_workspace_policy_hears_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_get_workspace_policy().returning(|heard_call, workspace, consistency| {
        assert_eq!(*heard_call, call(Duration::from_secs(2)));
        assert_eq!((workspace, consistency), ("acme", &fresh()));
        heard()
    });
    let message = v1::GetWorkspacePolicyRequest { workspace: "acme".to_owned(), consistency: Some(token()) };
    hears!(api, WorkspaceServiceClient.get_workspace_policy(message));
}

/// A change: where, by which request, whether it is a rehearsal, and what.
macro_rules! changes {
    ($($test:ident: $expect:ident, $client:ident.$method:ident($request:ident { $($wire:tt)* }) => $heard:expr;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let mut api = MockDomicileApi::new();
            api.$expect().returning(|heard_call, order, change| {
                assert_eq!(*heard_call, call(Duration::from_secs(5)));
                let told = (order.workspace.as_str(), order.request.id.as_str(), order.validate_only);
                assert_eq!(told, ("acme", "r-1", true));
                assert_eq!(*change, $heard);
                heard()
            });
            let message = v1::$request {
                workspace: "acme".to_owned(),
                request_id: "r-1".to_owned(),
                validate_only: true,
                $($wire)*
            };
            hears!(api, $client.$method(message));
        }
    )*};
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(ToOwned::to_owned).to_vec()
}

fn mask() -> domicile_proto::FieldMask {
    domicile_proto::FieldMask { paths: texts(["one", "two"]) }
}

fn members() -> GroupMembers {
    GroupMembers { group: "crew".to_owned(), users: texts(["a", "b"]) }
}

changes! {
    create_group_hears_every_field: expect_create_group, GroupServiceClient.create_group(CreateGroupRequest {
        handle: "crew".to_owned(),
        display_name: "The crew".to_owned(),
        roles: texts(["x", "y"]),
    }) => CreateGroup { handle: "crew".to_owned(), display_name: "The crew".to_owned(), roles: texts(["x", "y"]) };
    update_group_hears_every_field: expect_update_group, GroupServiceClient.update_group(UpdateGroupRequest {
        group: "crew".to_owned(),
        etag: "e-1".to_owned(),
        update_mask: Some(mask()),
        display_name: "The crew".to_owned(),
        roles: texts(["x", "y"]),
    }) => UpdateGroup {
        group: "crew".to_owned(),
        etag: "e-1".to_owned(),
        update_mask: texts(["one", "two"]),
        display_name: "The crew".to_owned(),
        roles: texts(["x", "y"]),
    };
    delete_group_hears_every_field: expect_delete_group, GroupServiceClient.delete_group(DeleteGroupRequest {
        group: "crew".to_owned(),
        etag: "e-1".to_owned(),
        force: true,
    }) => DeleteGroup { group: "crew".to_owned(), etag: "e-1".to_owned(), force: true };
    add_group_members_hears_every_field:
        expect_add_group_members, GroupServiceClient.add_group_members(AddGroupMembersRequest {
            group: "crew".to_owned(),
            users: texts(["a", "b"]),
        }) => members();
    remove_group_members_hears_every_field:
        expect_remove_group_members, GroupServiceClient.remove_group_members(RemoveGroupMembersRequest {
            group: "crew".to_owned(),
            users: texts(["a", "b"]),
        }) => members();
    update_workspace_hears_every_field:
        expect_update_workspace, WorkspaceServiceClient.update_workspace(UpdateWorkspaceRequest {
            etag: "e-1".to_owned(),
            update_mask: Some(mask()),
            display_name: "Acme".to_owned(),
            default_region: "HU".to_owned(),
            default_language: "hu".to_owned(),
            notice_languages: texts(["hu", "de"]),
            channels: vec![v1::Channel::Sms.into(), v1::Channel::Email.into(), 17],
            links: Some(v1::WorkspaceLinks {
                begin: "b".to_owned(),
                accept: "a".to_owned(),
                leave: "l".to_owned(),
            }),
            support_contact: "help@acme.example".to_owned(),
        }) => UpdateWorkspace {
            etag: "e-1".to_owned(),
            update_mask: texts(["one", "two"]),
            display_name: "Acme".to_owned(),
            default_region: "HU".to_owned(),
            default_language: "hu".to_owned(),
            notice_languages: texts(["hu", "de"]),
            channels: texts(["SMS", "EMAIL", ""]),
            links: LinksInput { begin: "b".to_owned(), accept: "a".to_owned(), leave: "l".to_owned() },
            support_contact: "help@acme.example".to_owned(),
        };
    update_workspace_policy_hears_every_field:
        expect_update_workspace_policy, WorkspaceServiceClient.update_workspace_policy(UpdateWorkspacePolicyRequest {
            etag: "e-1".to_owned(),
            update_mask: Some(mask()),
            policy: Some(v1::WorkspacePolicy {
                inbound: v1::Openness::RelatedOnly.into(),
                outbound: 17,
                default_ceiling: Some(v1::Ceiling { roles: texts(["x"]), permissions: texts(["p"]) }),
                visibility_of_externals: v1::DirectoryVisibility::Listed.into(),
                acceptance_as_host: true,
                acceptance_as_home: true,
                disclosure: v1::Disclosure::MaskedContact.into(),
                external_managers: true,
                etag: "unread".to_owned(),
            }),
        }) => UpdateWorkspacePolicy {
            etag: "e-1".to_owned(),
            update_mask: texts(["one", "two"]),
            policy: PolicyInput {
                inbound: Some(Openness::RelatedOnly),
                outbound: None,
                default_ceiling: GrantsInput { roles: texts(["x"]), permissions: texts(["p"]) },
                visibility_of_externals: Some(DirectoryVisibility::Listed),
                acceptance_as_host: true,
                acceptance_as_home: true,
                disclosure: Some(Disclosure::MaskedContact),
                external_managers: true,
            },
        };
}

#[tokio::test]
async fn get_workspace_hears_every_form_of_consistency() {
    let forms = [
        (None, Consistency::MinimizeLatency),
        (Some(v1::Consistency { requirement: None }), Consistency::MinimizeLatency),
        (Some(form(Requirement::MinimizeLatency(true))), Consistency::MinimizeLatency),
        (Some(form(Requirement::FullyConsistent(true))), Consistency::FullyConsistent),
        (Some(token()), fresh()),
    ];
    for (consistency, expected) in forms {
        let mut api = MockDomicileApi::new();
        api.expect_get_workspace().returning(move |heard_call, workspace, consistency| {
            assert_eq!(*heard_call, call(Duration::from_secs(2)));
            assert_eq!((workspace, consistency), ("acme", &expected));
            heard()
        });
        let message = v1::GetWorkspaceRequest { workspace: "acme".to_owned(), consistency };
        hears!(api, WorkspaceServiceClient.get_workspace(message));
    }
}

#[tokio::test]
async fn the_callers_earlier_deadline_is_the_use_cases() {
    let mut api = MockDomicileApi::new();
    api.expect_get_workspace().returning(|heard_call, _, _| {
        assert_eq!(*heard_call, call(Duration::from_millis(1500)));
        heard()
    });
    let mut client = WorkspaceServiceClient::new(Served::mock(api).await.channel().await);
    let mut request = named(v1::GetWorkspaceRequest::default());
    request.set_timeout(Duration::from_millis(1500));
    assert_refused(&client.get_workspace(request).await.unwrap_err(), Code::NotFound, "NOT_FOUND");
}
