//! Who may call what, driven by the enforcement table of the contract: whoever holds what a method names may, and without
//! any one of it nobody may, nor learns whether the workspace exists: not by the answer, not by the work behind it.
#![expect(clippy::panic, clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domicile_client::v1;
use domicile_domain::model::actor::{ActAsGrant, MethodSet, ScopeReach, ServicePrincipal};
use domicile_domain::model::group::Group;
use domicile_domain::model::id::{GroupId, NoticeId, RoleId, UserId, WorkspaceId};
use domicile_domain::model::membership::ExternalState;
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::user::{Identity, UserState};
use domicile_domain::model::workspace::{WorkspaceRef, WorkspaceState};
use domicile_domain::port::directory::Directory;
use domicile_domain::usecase::etag;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::authenticator::{OWN_TOKEN, own_identity};
use domicile_testkit::builders;
use domicile_tests::world::{BEGINNING, LIST_OF_ONES_OWN, Place, Watch, World, service};
use futures::future::BoxFuture;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Extensions, Request, Status};
use tonic_types::StatusExt;
use v1::access_service_client::AccessServiceClient;
use v1::group_service_client::GroupServiceClient;
use v1::membership_service_client::MembershipServiceClient;
use v1::notification_service_client::NotificationServiceClient;
use v1::permission_service_client::PermissionServiceClient;
use v1::relationship_service_client::RelationshipServiceClient;
use v1::role_service_client::RoleServiceClient;
use v1::user_service_client::UserServiceClient;
use v1::workspace_service_client::WorkspaceServiceClient;
use v1::{CostClass, MethodPolicy, Right, ServiceScope};

/// What a call is about.
#[derive(Clone)]
struct About {
    workspace: String,
    user: UserId,
    notice: NoticeId,
    /// A relationship that `acme` was asked for, and its etag.
    proposed: (String, String),
    /// An active one with `acme` as the host, and its etag.
    active: (String, String),
    acme: WorkspaceId,
    /// The etag of the person's membership in `acme`; empty if there is none.
    membership: String,
    /// The etag of the role `reader` of `acme`.
    reader: String,
    /// Makes what a call creates unlike what another creates.
    serial: u32,
}

/// Calls, and answers the metadata of the answer.
type Act = fn(Channel, MetadataMap, About) -> BoxFuture<'static, Result<MetadataMap, Status>>;

macro_rules! rows {
    ($($path:literal: $client:ident.$method:ident(|$about:ident| $request:expr);)*) => {
        /// How to call a method. A new method needs a row here.
        fn row(path: &str) -> Act {
            match path {
                $(concat!("/domicile.v1.", $path) => |channel, metadata, $about| {
                    let request = Request::from_parts(metadata, Extensions::default(), $request);
                    Box::pin(async move { $client::new(channel).$method(request).await.map(|answer| answer.metadata().clone()) })
                },)*
                other => panic!("{other} has no row in this test; add one"),
            }
        }
    };
}

rows! {
    "AccessService/CheckAccess": AccessServiceClient.check_access(|about| v1::CheckAccessRequest {
        workspace: about.workspace,
        subject: Some(v1::check_access_request::Subject::User(about.user.to_string())),
        permission: "domicile.update".to_owned(),
        consistency: None,
    });
    // Before a group is to be served the stage makes it.
    "GroupService/AddGroupMembers": GroupServiceClient.add_group_members(|about| v1::AddGroupMembersRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        group: group_handle(about.serial),
        users: vec![about.user.to_string()],
        ..v1::AddGroupMembersRequest::default()
    });
    "GroupService/CreateGroup": GroupServiceClient.create_group(|about| v1::CreateGroupRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        handle: format!("made{}", about.serial),
        display_name: "Made".to_owned(),
        ..v1::CreateGroupRequest::default()
    });
    "GroupService/DeleteGroup": GroupServiceClient.delete_group(|about| v1::DeleteGroupRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        group: group_handle(about.serial),
        etag: format!("{}-1", group_id(about.serial)),
        ..v1::DeleteGroupRequest::default()
    });
    "GroupService/GetGroup": GroupServiceClient.get_group(|about| v1::GetGroupRequest {
        workspace: about.workspace,
        group: group_handle(about.serial),
        ..v1::GetGroupRequest::default()
    });
    "GroupService/ListGroupMembers": GroupServiceClient.list_group_members(|about| v1::ListGroupMembersRequest {
        workspace: about.workspace,
        group: group_handle(about.serial),
        ..v1::ListGroupMembersRequest::default()
    });
    "GroupService/ListGroups": GroupServiceClient.list_groups(|about| v1::ListGroupsRequest {
        workspace: about.workspace,
        ..v1::ListGroupsRequest::default()
    });
    "GroupService/RemoveGroupMembers": GroupServiceClient.remove_group_members(|about| v1::RemoveGroupMembersRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        group: group_handle(about.serial),
        users: vec![about.user.to_string()],
        ..v1::RemoveGroupMembersRequest::default()
    });
    "GroupService/UpdateGroup": GroupServiceClient.update_group(|about| v1::UpdateGroupRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        group: group_handle(about.serial),
        etag: format!("{}-1", group_id(about.serial)),
        update_mask: Some(mask("display_name")),
        display_name: "Changed".to_owned(),
        ..v1::UpdateGroupRequest::default()
    });
    "AccessService/BatchCheckAccess": AccessServiceClient.batch_check_access(|about| v1::BatchCheckAccessRequest {
        entries: vec![v1::AccessQuestion {
            correlation_id: "first".to_owned(),
            workspace: about.workspace,
            subject: Some(v1::access_question::Subject::User(about.user.to_string())),
            permission: "domicile.update".to_owned(),
        }],
        consistency: None,
    });
    "AccessService/ListEffectivePermissions":
        AccessServiceClient.list_effective_permissions(|about| v1::ListEffectivePermissionsRequest {
            workspace: about.workspace,
            subject: Some(v1::list_effective_permissions_request::Subject::User(about.user.to_string())),
            ..v1::ListEffectivePermissionsRequest::default()
        });
    "AccessService/ListSubjects": AccessServiceClient.list_subjects(|about| v1::ListSubjectsRequest {
        workspace: about.workspace,
        permission: "domicile.update".to_owned(),
        ..v1::ListSubjectsRequest::default()
    });
    "AccessService/ExplainAccess": AccessServiceClient.explain_access(|about| v1::ExplainAccessRequest {
        workspace: about.workspace,
        subject: Some(v1::explain_access_request::Subject::User(about.user.to_string())),
        permission: "domicile.update".to_owned(),
        consistency: None,
    });
    "MembershipService/AssignUser": MembershipServiceClient.assign_user(|about| v1::AssignUserRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        expectation: v1::Expectation::Create.into(),
        email: format!("new{}@people.example", about.serial),
        profile: Some(profile(about.serial)),
        ..v1::AssignUserRequest::default()
    });
    "MembershipService/GetMembership": MembershipServiceClient.get_membership(|about| v1::GetMembershipRequest {
        workspace: about.workspace,
        user: about.user.to_string(),
        consistency: None,
    });
    "MembershipService/ListMemberships": MembershipServiceClient.list_memberships(|about| v1::ListMembershipsRequest {
        workspace: about.workspace,
        ..v1::ListMembershipsRequest::default()
    });
    "NotificationService/GetNotification":
        NotificationServiceClient.get_notification(|about| v1::GetNotificationRequest {
            workspace: about.workspace,
            notification: about.notice.to_string(),
            consistency: None,
        });
    "NotificationService/ListNotifications":
        NotificationServiceClient.list_notifications(|about| v1::ListNotificationsRequest {
            workspace: about.workspace,
            ..v1::ListNotificationsRequest::default()
        });
    // Each is rehearsed, so that the next one meets the same.
    "RelationshipService/ApproveRelationship":
        RelationshipServiceClient.approve_relationship(|about| v1::ApproveRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            relationship: about.proposed.0,
            etag: about.proposed.1,
            terms: Some(v1::approve_relationship_request::Terms::HostTerms(v1::HostTerms::default())),
            validate_only: true,
        });
    "RelationshipService/DeclineRelationship":
        RelationshipServiceClient.decline_relationship(|about| v1::DeclineRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            relationship: about.proposed.0,
            etag: about.proposed.1,
            validate_only: true,
        });
    "RelationshipService/EndRelationship":
        RelationshipServiceClient.end_relationship(|about| v1::EndRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            relationship: about.active.0,
            etag: about.active.1,
            validate_only: true,
        });
    "RelationshipService/GetRelationship":
        RelationshipServiceClient.get_relationship(|about| v1::GetRelationshipRequest {
            workspace: about.workspace,
            relationship: about.active.0,
            consistency: None,
        });
    "RelationshipService/ListRelationships":
        RelationshipServiceClient.list_relationships(|about| v1::ListRelationshipsRequest {
            workspace: about.workspace,
            ..v1::ListRelationshipsRequest::default()
        });
    "RelationshipService/ProposeRelationship":
        RelationshipServiceClient.propose_relationship(|about| v1::ProposeRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            target: Some(v1::propose_relationship_request::Target::Other("borealis".to_owned())),
            terms: Some(v1::propose_relationship_request::Terms::HomeTerms(v1::HomeTerms::default())),
            validate_only: true,
        });
    "RelationshipService/ResumeRelationship":
        RelationshipServiceClient.resume_relationship(|about| v1::ResumeRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            relationship: about.active.0,
            etag: about.active.1,
            validate_only: true,
        });
    "RelationshipService/SuspendRelationship":
        RelationshipServiceClient.suspend_relationship(|about| v1::SuspendRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            relationship: about.active.0,
            etag: about.active.1,
            validate_only: true,
        });
    "RelationshipService/UpdateRelationship":
        RelationshipServiceClient.update_relationship(|about| v1::UpdateRelationshipRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            relationship: about.active.0,
            etag: about.active.1,
            host_terms: None,
            home_terms: None,
            update_mask: Some(prost_types::FieldMask { paths: vec!["host_terms.acceptance".to_owned()] }),
            validate_only: true,
        });
    "MembershipService/SetRoles": MembershipServiceClient.set_roles(|about| v1::SetRolesRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        user: about.user.to_string(),
        etag: about.membership,
        roles: vec!["member".to_owned()],
        validate_only: true,
    });
    "MembershipService/SetPermissions": MembershipServiceClient.set_permissions(|about| v1::SetPermissionsRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        user: about.user.to_string(),
        etag: about.membership,
        permissions: Vec::new(),
        validate_only: true,
    });
    "PermissionService/RegisterPermissions":
        PermissionServiceClient.register_permissions(|about| v1::RegisterPermissionsRequest {
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            permissions: vec![v1::PermissionDefinition {
                name: format!("new.word{}", about.serial),
                description: "Does what it says".to_owned(),
            }],
            validate_only: false,
        });
    "PermissionService/ListPermissions": PermissionServiceClient.list_permissions(|about| v1::ListPermissionsRequest {
        workspace: about.workspace,
        ..v1::ListPermissionsRequest::default()
    });
    "PermissionService/RetirePermission":
        PermissionServiceClient.retire_permission(|about| v1::RetirePermissionRequest {
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            permission: "new.word".to_owned(),
            validate_only: true,
        });
    "RoleService/CreateRole": RoleServiceClient.create_role(|about| v1::CreateRoleRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        handle: format!("made{}", about.serial),
        display_name: "Made".to_owned(),
        ..v1::CreateRoleRequest::default()
    });
    "RoleService/GetRole": RoleServiceClient.get_role(|about| v1::GetRoleRequest {
        workspace: about.workspace,
        role: "reader".to_owned(),
        consistency: None,
    });
    "RoleService/UpdateRole": RoleServiceClient.update_role(|about| v1::UpdateRoleRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        role: "reader".to_owned(),
        etag: about.reader,
        update_mask: Some(mask("display_name")),
        display_name: "Changed".to_owned(),
        validate_only: true,
        ..v1::UpdateRoleRequest::default()
    });
    "RoleService/DeleteRole": RoleServiceClient.delete_role(|about| v1::DeleteRoleRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        role: "reader".to_owned(),
        etag: about.reader,
        validate_only: true,
        ..v1::DeleteRoleRequest::default()
    });
    "RoleService/ListRoles": RoleServiceClient.list_roles(|about| v1::ListRolesRequest {
        workspace: about.workspace,
        ..v1::ListRolesRequest::default()
    });
    "UserService/BindIdentity": UserServiceClient.bind_identity(|about| v1::BindIdentityRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        user: about.user.to_string(),
        identity: Some(identity("bound", about.serial)),
        validate_only: false,
    });
    "UserService/GetUser": UserServiceClient.get_user(|about| v1::GetUserRequest {
        workspace: about.workspace,
        user: about.user.to_string(),
        consistency: None,
    });
    "UserService/LookupUser": UserServiceClient.lookup_user(|about| v1::LookupUserRequest {
        workspace: about.workspace,
        email: "somebody@people.example".to_owned(),
        phone: String::new(),
    });
    // Before it is to be served the stage binds what it takes away.
    "UserService/UnbindIdentity": UserServiceClient.unbind_identity(|about| v1::UnbindIdentityRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        user: about.user.to_string(),
        identity: Some(identity("unbound", about.serial)),
        validate_only: false,
    });
    // It names no workspace that is there: who may not make one must not learn which handles are taken.
    "WorkspaceService/CreateWorkspace": WorkspaceServiceClient.create_workspace(|about| v1::CreateWorkspaceRequest {
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        handle: about.workspace,
        display_name: "New".to_owned(),
        default_region: "HU".to_owned(),
        default_language: "en".to_owned(),
        manager: Some(v1::FirstManager {
            email: format!("new{}@people.example", about.serial),
            phone: String::new(),
            profile: Some(profile(about.serial)),
        }),
        validate_only: false,
    });
    "WorkspaceService/GetWorkspace": WorkspaceServiceClient.get_workspace(|about| v1::GetWorkspaceRequest {
        workspace: about.workspace,
        consistency: None,
    });
    "WorkspaceService/GetWorkspacePolicy":
        WorkspaceServiceClient.get_workspace_policy(|about| v1::GetWorkspacePolicyRequest {
            workspace: about.workspace,
            consistency: None,
        });
    "WorkspaceService/ListWorkspaces":
        WorkspaceServiceClient.list_workspaces(|_about| v1::ListWorkspacesRequest::default());
    "WorkspaceService/UpdateWorkspace": WorkspaceServiceClient.update_workspace(|about| v1::UpdateWorkspaceRequest {
        workspace: about.workspace,
        request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
        update_mask: Some(mask("links.begin")),
        ..v1::UpdateWorkspaceRequest::default()
    });
    "WorkspaceService/UpdateWorkspacePolicy":
        WorkspaceServiceClient.update_workspace_policy(|about| v1::UpdateWorkspacePolicyRequest {
            workspace: about.workspace,
            request_id: uuid::Uuid::from_u128(about.serial.into()).to_string(),
            // Nothing of it becomes other, so it stays at its first version.
            etag: format!("{}-1", about.acme),
            update_mask: Some(mask("acceptance_as_host")),
            policy: None,
            validate_only: false,
        });
}

fn identity(issuer: &str, serial: u32) -> v1::Identity {
    v1::Identity { issuer: format!("https://{issuer}.example"), subject: serial.to_string() }
}

fn mask(path: &str) -> domicile_client::FieldMask {
    domicile_client::FieldMask { paths: vec![path.to_owned()] }
}

fn group_handle(serial: u32) -> String {
    format!("g{serial}")
}

fn group_id(serial: u32) -> GroupId {
    GroupId::from_uuid(uuid::Uuid::from_u128((0x6702 << 64) + u128::from(serial)))
}

fn profile(serial: u32) -> v1::Profile {
    v1::Profile {
        first_name: "New".to_owned(),
        last_name: "Person".to_owned(),
        username: format!("new{serial}"),
        preferred_language: "en".to_owned(),
    }
}

/// Who calls: a service over its connection, for a person or for none.
#[derive(Clone)]
struct Caller {
    channel: Channel,
    user: Option<UserId>,
}

/// Somebody with a message of their own in `acme`.
#[derive(Clone, Copy)]
struct Somebody {
    user: UserId,
    notice: NoticeId,
}

struct Stage {
    store: Arc<SeaOrmStore>,
    policies: MethodPolicies,
    /// Tells whether an answer changed something.
    watch: Watch,
    world: World,
    /// A member of `acme` without rights.
    plain: Somebody,
    /// Roles of `acme` that hold one right each.
    create: RoleId,
    update: RoleId,
    proposed: WorkspaceRelationship,
    active: WorkspaceRelationship,
    /// A role of `acme` without permissions.
    reader: Role,
    /// Who has a token of their own.
    own_tokens: std::cell::RefCell<BTreeSet<UserId>>,
    serial: std::cell::Cell<u32>,
}

impl Stage {
    async fn new() -> Self {
        let store = Arc::new(SeaOrmStore::open_memory().await.unwrap());
        let world = World::new(store.clone()).await;
        let create = world.role(world.acme, "creator", &[PermissionName::create()]).await;
        let update = world.role(world.acme, "updater", &[PermissionName::update()]).await;
        let plain = world.holder(world.acme, "plain", &[], UserState::Active).await;
        let plain = Somebody { user: plain, notice: world.notice(world.acme, plain).await };
        let third = world.place_in("third", WorkspaceState::Active).await;
        let fourth = world.place_in("fourth", WorkspaceState::Active).await;
        let mut proposed = builders::relationship(world.acme.workspace, third.workspace);
        (proposed.state, proposed.proposed_by_side) = (RelationshipState::Proposed, Side::Home);
        (proposed.proposed_at, proposed.answered_at) = (BEGINNING, None);
        let active = builders::relationship(world.acme.workspace, fourth.workspace);
        let reader = builders::role(world.acme.workspace, "reader");
        let word = Permission { registered_by: "tests".to_owned(), ..builders::permission("new.word") };
        world.put(vec![(&proposed).into(), (&active).into(), (&reader).into(), word.into()]).await;
        let own_tokens = std::cell::RefCell::default();
        let watch = Watch::begin(store.clone()).await;
        Self {
            store,
            policies: MethodPolicies::read().unwrap(),
            watch,
            world,
            plain,
            create,
            update,
            proposed,
            active,
            reader,
            own_tokens,
            serial: std::cell::Cell::new(1),
        }
    }

    async fn channel(&self, service: ServicePrincipal) -> Channel {
        Channel::from_shared(format!("http://{}", self.world.serve_to(service).await)).unwrap().connect().await.unwrap()
    }

    /// A service whose scopes reach so far; `None` has none.
    async fn service(&self, reach: Option<ScopeReach>) -> Channel {
        self.channel(service(reach)).await
    }

    async fn holder(&self, name: &str, roles: &[RoleId]) -> UserId {
        self.world.holder(self.world.acme, name, roles, UserState::Active).await
    }

    /// A member of `acme` who holds these rights and no other.
    async fn member_with(&self, name: &str, rights: &[Right]) -> UserId {
        let role_of = |right: &Right| match right {
            Right::Create => vec![self.create],
            Right::Update => vec![self.update],
            Right::QualifyingManager => vec![self.create, self.update],
            Right::Member | Right::Unspecified => vec![],
        };
        self.holder(name, &rights.iter().flat_map(role_of).collect::<Vec<_>>()).await
    }

    async fn call(&self, act: Act, caller: &Caller, workspace: &str, about: Somebody) -> Result<MetadataMap, Status> {
        let serial = self.serial.get();
        let read = |of: &WorkspaceRelationship| (of.id.to_string(), etag(of.id, of.version));
        let (proposed, active) = (read(&self.proposed), read(&self.active));
        let Somebody { user, notice } = about;
        let acme = self.world.acme.workspace;
        let member = self.store.member(acme, user).await.unwrap();
        let membership = member.map_or_else(String::new, |row| {
            let base = row.membership.base();
            etag(base.id, base.version)
        });
        let reader = etag(self.reader.id, self.reader.version);
        let workspace = workspace.to_owned();
        let about = About { workspace, user, notice, proposed, active, acme, membership, reader, serial };
        let mut metadata = MetadataMap::new();
        metadata.insert("x-request-id", "the-same-for-all".parse().unwrap());
        match caller.user {
            Some(user) if self.own_tokens.borrow().contains(&user) => {
                metadata.insert("authorization", format!("Bearer {OWN_TOKEN}{user}").parse().unwrap());
            }
            user => {
                metadata.insert("authorization", "Bearer t".parse().unwrap());
                let named = user.map(|user| user.to_string().parse().unwrap());
                named.and_then(|named| metadata.insert("x-domicile-acting-user", named));
            }
        }
        act(caller.channel.clone(), metadata, about).await
    }

    /// The call succeeds wherever it should: by id and by handle, or with a handle that is free where it makes a workspace.
    async fn served(&self, path: &str, policy: &MethodPolicy, caller: &Caller, about: Somebody) {
        let acme = self.world.acme.workspace.to_string();
        let free = format!("new{}", self.serial.get());
        let names = if policy.scope_field.is_empty() { vec![free] } else { vec![acme, "acme".to_owned()] };
        if let Some(user) = caller.user.filter(|_| policy.own_token) {
            // Named by a service they are not heard; by their own token they are.
            let reason = "OWN_TOKEN_REQUIRED";
            self.refused((path, "named"), caller, (self.world.acme, "acme"), about, reason).await;
            self.world.put(vec![(user, own_identity(&user.to_string())).into()]).await;
            self.own_tokens.borrow_mut().insert(user);
        }
        for name in names {
            if path.ends_with("/UnbindIdentity") {
                let v1::Identity { issuer, subject } = identity("unbound", self.serial.get());
                self.world.put(vec![(about.user, Identity { issuer, subject }).into()]).await;
            }
            if path.contains("GroupService/") {
                let serial = self.serial.get();
                let group = builders::group(self.world.acme.workspace, &group_handle(serial));
                self.world.put(vec![Group { id: group_id(serial), ..group }.into()]).await;
            }
            let answer = self.call(row(path), caller, &name, about).await;
            let metadata = answer.unwrap_or_else(|status| panic!("{path} {name}: {status:?}"));
            // What the contract calls a probe costs budgets and says so, and nothing else does.
            let costs = metadata.contains_key("x-domicile-budget");
            assert_eq!(costs, policy.cost() == CostClass::Probe, "{path}");
            self.serial.set(self.serial.get() + 1);
        }
        self.unbound(caller.user).await;
    }

    /// Takes the own token away again.
    async fn unbound(&self, user: Option<UserId>) {
        let bound = user.filter(|user| self.own_tokens.borrow_mut().remove(user));
        let Some(user) = bound else { return };
        self.world
            .directly(move |tx| {
                Box::pin(async move { Ok(tx.users().unbind_identity(user, &own_identity(&user.to_string())).await?) })
            })
            .await;
    }

    /// The call is refused, for a workspace that is there and for one that is not, with the same bytes after the same work,
    /// and changes nothing.
    async fn refused(
        &self,
        (path, why): (&str, &str),
        caller: &Caller,
        (place, handle): (Place, &str),
        about: Somebody,
        reason: &str,
    ) {
        let missing = WorkspaceId::from_uuid(uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
        let names = [place.workspace.to_string(), handle.to_owned(), missing.to_string(), "nowhere".into()];
        // What only the person can say is not heard from a service that names them, whatever they may.
        let own_token = self.policies.get(path).is_some_and(|policy| policy.own_token);
        let reason = if own_token && reason == "PERMISSION_DENIED" { "OWN_TOKEN_REQUIRED" } else { reason };
        if ["ACT_AS_NOT_GRANTED", "ACTING_USER_REQUIRED", "METHOD_NOT_ALLOWED", "OWN_TOKEN_REQUIRED"].contains(&reason)
        {
            // At the door the first in an hour is recorded, which is work.
            self.call(row(path), caller, "nowhere", about).await.unwrap_err();
        }
        self.watch.is_unchanged().await;
        let mut answers = BTreeSet::new();
        for name in &names {
            let counted = self.store.statements();
            let answer = self.call(row(path), caller, name, about).await;
            let statements = self.store.statements() - counted;
            let status = answer.err().unwrap_or_else(|| panic!("{path} {why} {name}: it was served"));
            let details = status.get_error_details();
            let told = details.error_info().unwrap_or_else(|| panic!("{path} {why} {name}: {status:?}"));
            assert_eq!(
                (status.code(), told.reason.as_str()),
                (Code::PermissionDenied, reason),
                "{path} {why} {name}: {status:?}"
            );
            answers.insert((status.message().to_owned(), status.details().to_vec(), statements));
            assert!(self.watch.is_unchanged().await, "{path} {why} {name} changed something");
        }
        let work: Vec<u64> = answers.iter().map(|(_, _, statements)| *statements).collect();
        assert_eq!(answers.len(), 1, "{path} {why}: the answers differ, after {work:?} statements");
    }

    /// Refused in `acme`, about the plain member.
    async fn refused_in_acme(&self, of: (&str, &str), caller: &Caller, reason: &str) {
        self.refused(of, caller, (self.world.acme, "acme"), self.plain, reason).await;
    }
}

#[tokio::test]
async fn every_requirement_of_a_method_counts_alone() {
    let stage = Stage::new().await;
    let bare = stage.service(None).await;
    let everywhere = stage.service(Some(ScopeReach::Everywhere)).await;
    let only = |place: Place| Some(ScopeReach::Workspaces(BTreeSet::from([WorkspaceRef::Id(place.workspace)])));
    let here = stage.service(only(stage.world.acme)).await;
    let elsewhere = stage.service(only(stage.world.borealis)).await;
    let foreign = stage.world.borealis.manager;
    for (place, (path, policy)) in stage.policies.iter().enumerate() {
        let rights: Vec<Right> = policy.rights().collect();
        // The control holds what the policy names and nothing else.
        let exact = stage.member_with(&format!("exact{place}"), &rights).await;
        let user = (!rights.is_empty()).then_some(exact);
        let scoped = match policy.scope() {
            ServiceScope::Unspecified => bare.clone(),
            ServiceScope::AccessCheck | ServiceScope::AccessSubjects | ServiceScope::MembersRead => here.clone(),
            _ => everywhere.clone(),
        };
        // Where both a person's rights and a service's scope serve, each does without the other.
        let either = user.is_some() && policy.scope() != ServiceScope::Unspecified;
        let exact = Caller { channel: if either { bare.clone() } else { scoped.clone() }, user };
        stage.served(path, policy, &exact, stage.plain).await;

        for right in rights.iter().filter(|_| path != LIST_OF_ONES_OWN) {
            let rest = match right {
                Right::Create | Right::QualifyingManager => vec![Right::Update],
                Right::Update => vec![Right::Create],
                // Whoever is no member can hold no right here: a manager of elsewhere.
                Right::Member | Right::Unspecified => Vec::new(),
            };
            let user = if rest.is_empty() {
                foreign
            } else {
                stage.member_with(&format!("without.{}{place}", right.as_str_name().to_lowercase()), &rest).await
            };
            let without = Caller { user: Some(user), ..exact.clone() };
            stage.refused_in_acme((path, right.as_str_name()), &without, "PERMISSION_DENIED").await;
        }
        let lesser = match policy.scope() {
            ServiceScope::Unspecified => vec![],
            ServiceScope::AccessCheck | ServiceScope::AccessSubjects | ServiceScope::MembersRead => {
                vec![("no scope", &bare), ("scope elsewhere", &elsewhere)]
            }
            _ => vec![("no scope", &bare), ("scope in one workspace", &here)],
        };
        let by_scope = if either { Caller { channel: scoped, user: None } } else { exact.clone() };
        if either {
            stage.served(path, policy, &by_scope, stage.plain).await;
        }
        for (why, channel) in lesser {
            let without = Caller { channel: channel.clone(), ..by_scope.clone() };
            stage.refused_in_acme((path, why), &without, "PERMISSION_DENIED").await;
        }
        if !rights.is_empty() && !either {
            let without = Caller { user: None, ..exact };
            stage.refused_in_acme((path, "nobody acts"), &without, "ACTING_USER_REQUIRED").await;
        }
        assert!(!policy.acting_user || !rights.is_empty(), "{path} asks for a person and nothing of them");
    }
}

#[tokio::test]
async fn whoever_is_nothing_there_is_refused_and_whoever_waits_there_sees_themself_alone() {
    let stage = Stage::new().await;
    let Stage { world, .. } = &stage;
    let channel = stage.service(Some(ScopeReach::Everywhere)).await;
    let bare = stage.service(None).await;
    let manager = [world.acme.access_manager];
    let past = BEGINNING.after(Duration::from_secs(1));
    world.clock.advance(Duration::from_secs(2));

    let mut callers = vec![("foreign", world.borealis.manager)];
    for (name, state) in [("suspended", UserState::Suspended), ("deactivated", UserState::Deactivated)] {
        callers.push((name, world.holder(world.acme, name, &manager, state).await));
    }
    let home_off = world.place_in("off", WorkspaceState::Suspended).await;
    let of_home_off = world.holder(home_off, "of.home.off", &[], UserState::Active).await;
    world.external(of_home_off, ExternalState::Active, None).await;
    callers.push(("of a suspended home", of_home_off));
    for (name, state, end) in [
        ("pending", ExternalState::Pending, None),
        ("suspended.external", ExternalState::Suspended, None),
        ("review", ExternalState::Review, None),
        ("expired", ExternalState::Active, Some(past)),
    ] {
        let user = world.person(world.borealis, name, None, UserState::Active).await;
        world.external(user, state, end).await;
        callers.push((name, user));
    }
    // Who was asked, suspended, or is in review or over has a membership all the same, and may see it.
    let waiting = ["pending", "suspended.external", "review", "expired"];
    let mut people = Vec::new();
    for (name, user) in callers {
        people.push((name, Somebody { user, notice: world.notice(world.acme, user).await }));
    }
    let unknown = Somebody { user: builders::id(), notice: builders::id() };
    people.push(("unknown", unknown));

    // A manager and a member of a workspace that is not in use.
    let dormant = world.place_in("dormant", WorkspaceState::Suspended).await;
    let idle = world.holder(dormant, "idle", &[], UserState::Active).await;
    let mut idle_people = Vec::new();
    for (name, user) in [("manager of a suspended workspace", dormant.manager), ("member of one", idle)] {
        idle_people.push((name, Somebody { user, notice: world.notice(dormant, user).await }));
    }

    for (path, policy) in stage.policies.iter().filter(|(path, _)| *path != LIST_OF_ONES_OWN) {
        // What a service may by its own scope is no right of the person for whom it calls.
        let channel = if policy.rights.is_empty() { &channel } else { &bare };
        let manager = (!for_nobody(policy)).then_some(world.acme.manager);
        let own = Caller { channel: channel.clone(), user: manager };
        stage.served(path, policy, &own, stage.plain).await;
        for (name, somebody) in &people {
            let caller = Caller { channel: channel.clone(), user: Some(somebody.user) };
            if policy.rights.is_empty() && !for_nobody(policy) {
                // A service's own right; the person adds nothing and takes nothing.
                stage.served(path, policy, &caller, stage.plain).await;
                continue;
            }
            stage.refused_in_acme((path, name), &caller, "PERMISSION_DENIED").await;
            if policy.self_allowed && waiting.contains(name) {
                stage.served(path, policy, &caller, *somebody).await;
            } else if policy.self_allowed {
                let acme = (world.acme, "acme");
                stage.refused((path, name), &caller, acme, *somebody, "PERMISSION_DENIED").await;
            }
        }
        for (name, somebody) in idle_people.iter().filter(|_| !policy.rights.is_empty()) {
            let caller = Caller { channel: channel.clone(), user: Some(somebody.user) };
            let dormant = (dormant, "dormant");
            stage.refused((path, name), &caller, dormant, *somebody, "PERMISSION_DENIED").await;
        }
    }
}

/// Whether a service does it in its own name alone, so that a person for whom it calls is one too many.
fn for_nobody(policy: &MethodPolicy) -> bool {
    policy.scope() == ServiceScope::PermissionsRegister
}

/// It is about no workspace, so whoever is somebody anywhere is served. An account that is not in use is nobody.
#[tokio::test]
async fn a_list_of_ones_own_serves_whoever_has_an_account_in_use() {
    let stage = Stage::new().await;
    let Stage { world, .. } = &stage;
    let (path, policy) = stage.policies.iter().find(|(path, _)| *path == LIST_OF_ONES_OWN).unwrap();
    assert!(policy.scope_field.is_empty() && policy.rights().eq([Right::Member]), "{policy:?}");
    let channel = stage.service(Some(ScopeReach::Everywhere)).await;
    let of = |user| Caller { channel: channel.clone(), user: Some(user) };
    for user in [world.borealis.manager, stage.plain.user] {
        stage.served(path, policy, &of(user), stage.plain).await;
    }
    for (name, state) in [("suspended", UserState::Suspended), ("deactivated", UserState::Deactivated)] {
        let user = world.holder(world.acme, name, &[world.acme.access_manager], state).await;
        stage.refused_in_acme((path, name), &of(user), "PERMISSION_DENIED").await;
    }
    stage.refused_in_acme((path, "unknown"), &of(builders::id()), "PERMISSION_DENIED").await;
}

#[tokio::test]
async fn members_without_rights_see_themselves_where_the_policy_says_so_and_nobody_else() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let channel = stage.service(None).await;
    let guest = world.person(world.borealis, "visitor", None, UserState::Active).await;
    world.external(guest, ExternalState::Active, None).await;
    let guest = Somebody { user: guest, notice: world.notice(world.acme, guest).await };
    let mut own = 0;
    for (path, policy) in stage.policies.iter().filter(|(_, policy)| !policy.rights.is_empty()) {
        for (somebody, another) in [(stage.plain, guest), (guest, stage.plain)] {
            let caller = Caller { channel: channel.clone(), user: Some(somebody.user) };
            let acme = (world.acme, "acme");
            if policy.rights().all(|right| right == Right::Member) {
                stage.served(path, policy, &caller, another).await;
            } else if policy.self_allowed {
                own += 1;
                stage.served(path, policy, &caller, somebody).await;
                stage.refused((path, "another"), &caller, acme, another, "PERMISSION_DENIED").await;
                let nobody = Somebody { user: builders::id(), notice: builders::id() };
                stage.refused((path, "nobody"), &caller, acme, nobody, "PERMISSION_DENIED").await;
            } else {
                stage.refused((path, "themself"), &caller, acme, somebody, "PERMISSION_DENIED").await;
            }
        }
    }
    assert!(own > 0, "the contract has methods for oneself");
}

/// A service that may name people in some workspaces alone: elsewhere all is as in a workspace that is not there.
#[tokio::test]
async fn a_grant_to_name_people_reaches_its_own_workspaces_alone() {
    let stage = Stage::new().await;
    let world = &stage.world;
    let granted = |place: Place| {
        let reach = ScopeReach::Workspaces(BTreeSet::from([WorkspaceRef::Id(place.workspace)]));
        let act_as = Some(ActAsGrant { reach, methods: MethodSet::All });
        ServicePrincipal { act_as, ..service(Some(ScopeReach::Everywhere)) }
    };
    let here = Caller { channel: stage.channel(granted(world.acme)).await, user: Some(world.acme.manager) };
    let elsewhere = Caller { channel: stage.channel(granted(world.borealis)).await, ..here.clone() };
    let own = Caller { user: Some(stage.plain.user), ..elsewhere.clone() };
    for (path, policy) in stage.policies.iter().filter(|(path, _)| *path != LIST_OF_ONES_OWN) {
        // What is made is none of the workspaces of a grant.
        if !policy.scope_field.is_empty() {
            stage.served(path, policy, &here, stage.plain).await;
        }
        for (why, caller) in [("manager", &elsewhere), ("themself", &own)] {
            stage.refused_in_acme((path, why), caller, "PERMISSION_DENIED").await;
        }
    }
}

#[tokio::test]
async fn the_operator_makes_and_sees_workspaces_and_nothing_in_them() {
    let stage = Stage::new().await;
    let channel = stage.channel(ServicePrincipal { operator: true, ..service(None) }).await;
    let operator = Caller { channel: channel.clone(), user: None };
    let for_plain = Caller { channel, user: Some(stage.plain.user) };
    for (path, policy) in stage.policies.iter() {
        if policy.operator_allowed {
            stage.served(path, policy, &operator, stage.plain).await;
        } else {
            let reason = if policy.acting_user { "ACTING_USER_REQUIRED" } else { "PERMISSION_DENIED" };
            stage.refused_in_acme((path, "operator"), &operator, reason).await;
        }
        // It acts for nobody, whatever grant it is given.
        stage.refused_in_acme((path, "operator for a member"), &for_plain, "ACT_AS_NOT_GRANTED").await;
    }
    let missing =
        stage.call(row("/domicile.v1.WorkspaceService/GetWorkspace"), &operator, "nowhere", stage.plain).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
}
