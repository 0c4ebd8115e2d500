//! Roles, what members have, and the catalogue: every field of every request reaches the use case, and every field of every
//! answer the wire.

use std::collections::BTreeSet;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::membership::Membership;
use domicile_domain::model::permission::{Permission, PermissionUses};
use domicile_domain::model::role::{Role, RoleReach, RoleUses};
use domicile_domain::model::time::Version;
use domicile_domain::usecase::{
    Call, Changed, Consistency, CreateRole, DeleteRole, DeletedRole, ListPermissions, MemberState, MemberView,
    MockDomicileApi, Order, Page, PageRequest, PermissionInput, RegisterPermissions, RequestIdentity, RetirePermission,
    RetiredPermission, RoleChange, SetPermissions, SetRoles, UpdateRole, etag,
};
use domicile_proto::v1;
use domicile_proto::v1::membership_service_client::MembershipServiceClient;
use domicile_proto::v1::permission_service_client::PermissionServiceClient;
use domicile_proto::v1::role_service_client::RoleServiceClient;
use domicile_testkit::builders::{NOW, handle, id, internal, minute, name, permission_name, user, workspace};
use tonic::Code;

use crate::support::{Served, acting, assert_refused, signed};

/// What every use case answers here: what it hears is compared inside, and a difference would be a panic.
fn heard<T>() -> Result<T, Refusal> {
    Err(Refusal::new(Reason::NotFound))
}

fn assert_call(heard: &Call, allowed: Duration) {
    assert_eq!((&heard.actor, heard.deadline, heard.surface), (&acting(), NOW.after(allowed), "grpc"));
}

/// A write in Acme, rehearsed, with its time.
fn assert_order(heard_call: &Call, order: &Order) {
    assert_call(heard_call, Duration::from_secs(5));
    let request = RequestIdentity { id: "id-1".to_owned(), fingerprint: order.request.fingerprint };
    assert_eq!(*order, Order { workspace: "acme".to_owned(), request, validate_only: true });
}

/// Serves the mock and calls one method of it; the use case must have heard what it should.
macro_rules! hears {
    ($api:expr, $client:ident.$method:ident($message:expr)) => {{
        let mut client = $client::new(Served::mock($api).await.channel().await);
        let status = client.$method(signed($message)).await.unwrap_err();
        assert_refused(&status, Code::NotFound, "NOT_FOUND");
    }};
}

/// The answer of one call to a mock.
macro_rules! answered {
    ($api:expr, $client:ident.$method:ident($request:ident)) => {
        $client::new(Served::mock($api).await.channel().await).$method(signed(v1::$request::default())).await.unwrap()
    };
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn fresh() -> v1::Consistency {
    let requirement = v1::consistency::Requirement::AtLeastAsFresh(text("written"));
    v1::Consistency { requirement: Some(requirement) }
}

#[tokio::test]
async fn set_roles_and_set_permissions_hear_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_set_roles().returning(|call, order, change| {
        assert_order(call, order);
        assert_eq!(*change, SetRoles { user: text("u-1"), roles: texts(&["a", "b"]), etag: text("e-1") });
        heard()
    });
    let message = v1::SetRolesRequest {
        workspace: text("acme"),
        request_id: text("id-1"),
        user: text("u-1"),
        roles: texts(&["a", "b"]),
        etag: text("e-1"),
        validate_only: true,
    };
    hears!(api, MembershipServiceClient.set_roles(message));
    let mut api = MockDomicileApi::new();
    api.expect_set_permissions().returning(|call, order, change| {
        assert_order(call, order);
        let permissions = texts(&["o.read", "o.write"]);
        assert_eq!(*change, SetPermissions { user: text("u-1"), permissions, etag: text("e-1") });
        heard()
    });
    let message = v1::SetPermissionsRequest {
        workspace: text("acme"),
        request_id: text("id-1"),
        user: text("u-1"),
        permissions: texts(&["o.read", "o.write"]),
        etag: text("e-1"),
        validate_only: true,
    };
    hears!(api, MembershipServiceClient.set_permissions(message));
}

#[tokio::test]
async fn the_calls_of_roles_hear_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_get_role().returning(|call, workspace, role, consistency| {
        assert_call(call, Duration::from_secs(2));
        assert_eq!((workspace, role), ("acme", "lead"));
        assert_eq!(*consistency, Consistency::AtLeastAsFresh(text("written")));
        heard()
    });
    let message = v1::GetRoleRequest { workspace: text("acme"), role: text("lead"), consistency: Some(fresh()) };
    hears!(api, RoleServiceClient.get_role(message));

    let mut api = MockDomicileApi::new();
    api.expect_create_role().returning(|call, order, new| {
        assert_order(call, order);
        let expected = CreateRole {
            handle: text("lead"),
            display_name: text("Lead"),
            permissions: texts(&["o.read"]),
            for_externals: true,
        };
        assert_eq!(*new, expected);
        heard()
    });
    let message = v1::CreateRoleRequest {
        workspace: text("acme"),
        request_id: text("id-1"),
        handle: text("lead"),
        display_name: text("Lead"),
        permissions: texts(&["o.read"]),
        for_externals: true,
        validate_only: true,
    };
    hears!(api, RoleServiceClient.create_role(message));

    let mut api = MockDomicileApi::new();
    api.expect_update_role().returning(|call, order, change| {
        assert_order(call, order);
        let expected = UpdateRole {
            role: text("lead"),
            paths: texts(&["display_name", "permissions"]),
            display_name: text("Lead"),
            permissions: texts(&["o.read"]),
            for_externals: true,
            etag: text("e-1"),
        };
        assert_eq!(*change, expected);
        heard()
    });
    let message = v1::UpdateRoleRequest {
        workspace: text("acme"),
        request_id: text("id-1"),
        role: text("lead"),
        update_mask: Some(prost_types::FieldMask { paths: texts(&["display_name", "permissions"]) }),
        display_name: text("Lead"),
        permissions: texts(&["o.read"]),
        for_externals: true,
        etag: text("e-1"),
        validate_only: true,
    };
    hears!(api, RoleServiceClient.update_role(message));

    let mut api = MockDomicileApi::new();
    api.expect_delete_role().returning(|call, order, change| {
        assert_order(call, order);
        assert_eq!(*change, DeleteRole { role: text("lead"), etag: text("e-1"), force: true });
        heard()
    });
    let message = v1::DeleteRoleRequest {
        workspace: text("acme"),
        request_id: text("id-1"),
        role: text("lead"),
        etag: text("e-1"),
        force: true,
        validate_only: true,
    };
    hears!(api, RoleServiceClient.delete_role(message));
}

#[tokio::test]
async fn the_calls_of_the_catalogue_hear_every_field() {
    let mut api = MockDomicileApi::new();
    api.expect_register_permissions().returning(|call, request| {
        assert_call(call, Duration::from_secs(5));
        let expected = RegisterPermissions {
            request: RequestIdentity { id: text("id-1"), fingerprint: request.request.fingerprint },
            permissions: vec![PermissionInput { name: text("o.read"), description: text("Read") }],
            validate_only: true,
        };
        assert_eq!(*request, expected);
        heard()
    });
    let message = v1::RegisterPermissionsRequest {
        request_id: text("id-1"),
        permissions: vec![v1::PermissionDefinition { name: text("o.read"), description: text("Read") }],
        validate_only: true,
    };
    hears!(api, PermissionServiceClient.register_permissions(message));

    let mut api = MockDomicileApi::new();
    api.expect_retire_permission().returning(|call, request| {
        assert_call(call, Duration::from_secs(5));
        let expected = RetirePermission {
            request: RequestIdentity { id: text("id-1"), fingerprint: request.request.fingerprint },
            name: text("o.read"),
            validate_only: true,
        };
        assert_eq!(*request, expected);
        heard()
    });
    let message =
        v1::RetirePermissionRequest { request_id: text("id-1"), permission: text("o.read"), validate_only: true };
    hears!(api, PermissionServiceClient.retire_permission(message));

    let mut api = MockDomicileApi::new();
    api.expect_list_permissions().returning(|call, request| {
        assert_call(call, Duration::from_secs(30));
        let expected = ListPermissions {
            workspace: text("acme"),
            prefix: text("o"),
            show_retired: true,
            page: PageRequest { size: 7, token: text("next") },
            consistency: Consistency::AtLeastAsFresh(text("written")),
        };
        assert_eq!(*request, expected);
        heard()
    });
    let message = v1::ListPermissionsRequest {
        workspace: text("acme"),
        prefix: text("o"),
        show_retired: true,
        page_size: 7,
        page_token: text("next"),
        consistency: Some(fresh()),
    };
    hears!(api, PermissionServiceClient.list_permissions(message));
}

fn changed<T>(thing: T) -> Changed<T> {
    Changed { thing: Some(thing), consistency_token: Some(text("token")), replayed: true, budget: Vec::new() }
}

fn role() -> Role {
    Role {
        id: id(),
        workspace: id(),
        handle: handle("lead"),
        display_name: name("Lead"),
        permissions: BTreeSet::from([permission_name("o.read")]),
        for_externals: true,
        built_in: None,
        version: Version::from_stored(4),
    }
}

fn on_the_wire(role: &Role) -> v1::Role {
    v1::Role {
        name: format!("workspaces/{}/roles/{}", role.workspace, role.id),
        uid: role.id.to_string(),
        handle: text("lead"),
        display_name: text("Lead"),
        permissions: texts(&["o.read"]),
        for_externals: true,
        built_in: false,
        etag: etag(role.id, role.version),
    }
}

#[tokio::test]
async fn the_calls_of_roles_say_everything() {
    let role = role();
    let said = Some(on_the_wire(&role));
    let consistency_token = text("token");
    let mut api = MockDomicileApi::new();
    api.expect_get_role().return_const(Ok(role.clone()));
    let answer = answered!(api, RoleServiceClient.get_role(GetRoleRequest)).into_inner();
    assert_eq!(answer, v1::GetRoleResponse { role: said.clone() });

    let mut api = MockDomicileApi::new();
    api.expect_create_role().return_const(Ok(changed(role.clone())));
    let answer = answered!(api, RoleServiceClient.create_role(CreateRoleRequest));
    assert!(answer.metadata().contains_key("x-domicile-replayed"));
    let expected = v1::CreateRoleResponse { role: said.clone(), consistency_token: consistency_token.clone() };
    assert_eq!(answer.into_inner(), expected);

    let reach = RoleReach { internals: 2, externals: 3 };
    let mut api = MockDomicileApi::new();
    api.expect_update_role().return_const(Ok(changed(RoleChange { role: role.clone(), reach })));
    let answer = answered!(api, RoleServiceClient.update_role(UpdateRoleRequest)).into_inner();
    let expected = v1::UpdateRoleResponse {
        role: said.clone(),
        internals_reached: 2,
        externals_reached: 3,
        consistency_token: consistency_token.clone(),
    };
    assert_eq!(answer, expected);

    let uses = RoleUses { memberships: 5, groups: 6, ceilings: 7 };
    let mut api = MockDomicileApi::new();
    api.expect_delete_role().return_const(Ok(changed(DeletedRole { role, uses })));
    let answer = answered!(api, RoleServiceClient.delete_role(DeleteRoleRequest)).into_inner();
    let expected = v1::DeleteRoleResponse { role: said, memberships: 5, groups: 6, ceilings: 7, consistency_token };
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn set_roles_and_set_permissions_say_who_it_is_then() {
    let membership = internal(&user(workspace("acme").id, "anna"));
    let (user, etag) = (membership.base.user.to_string(), etag(membership.base.id, membership.base.version));
    let view = MemberView {
        membership: Membership::Internal(membership),
        state: MemberState::Active,
        initials: text("A. K."),
        display_name: None,
        email: None,
        phone: None,
        home: None,
        allowed_actions: Vec::new(),
    };
    let mut api = MockDomicileApi::new();
    api.expect_set_roles().return_const(Ok(changed(view.clone())));
    let answer = answered!(api, MembershipServiceClient.set_roles(SetRolesRequest)).into_inner();
    let shown = answer.membership.unwrap();
    assert_eq!((shown.user, shown.etag, answer.consistency_token.as_str()), (user.clone(), etag.clone(), "token"));
    let mut api = MockDomicileApi::new();
    api.expect_set_permissions().return_const(Ok(changed(view)));
    let answer = answered!(api, MembershipServiceClient.set_permissions(SetPermissionsRequest)).into_inner();
    let shown = answer.membership.unwrap();
    assert_eq!((shown.user, shown.etag, answer.consistency_token.as_str()), (user, etag, "token"));
}

#[tokio::test]
async fn the_calls_of_the_catalogue_say_everything() {
    let entry = Permission {
        name: permission_name("o.read"),
        description: text("Read"),
        registered_by: text("orders"),
        registered_at: minute(1),
        retired_at: Some(minute(2)),
    };
    let at = |minutes: i64| prost_types::Timestamp { seconds: NOW.as_micros() / 1_000_000 + 60 * minutes, nanos: 0 };
    let said = v1::Permission {
        name: text("o.read"),
        description: text("Read"),
        registered_by: text("orders"),
        register_time: Some(at(1)),
        retire_time: Some(at(2)),
    };
    let mut api = MockDomicileApi::new();
    api.expect_register_permissions().return_const(Ok(changed(vec![entry.clone()])));
    let answer = answered!(api, PermissionServiceClient.register_permissions(RegisterPermissionsRequest));
    assert!(answer.metadata().contains_key("x-domicile-replayed"));
    assert_eq!(answer.into_inner(), v1::RegisterPermissionsResponse { permissions: vec![said.clone()] });

    let mut api = MockDomicileApi::new();
    let page = Page { items: vec![entry.clone()], next_token: text("next") };
    api.expect_list_permissions().return_const(Ok(page));
    let answer = answered!(api, PermissionServiceClient.list_permissions(ListPermissionsRequest)).into_inner();
    let expected = v1::ListPermissionsResponse { permissions: vec![said.clone()], next_page_token: text("next") };
    assert_eq!(answer, expected);

    let uses = PermissionUses { roles: 3, memberships: 4 };
    let mut api = MockDomicileApi::new();
    api.expect_retire_permission().return_const(Ok(changed(RetiredPermission { permission: entry, uses })));
    let answer = answered!(api, PermissionServiceClient.retire_permission(RetirePermissionRequest)).into_inner();
    assert_eq!(answer, v1::RetirePermissionResponse { permission: Some(said), roles: 3, memberships: 4 });
}
