//! How far a call reaches, over every use case: a service that names people does so in the workspaces of its grant alone,
//! and the operator makes and sees workspaces and does nothing in them.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::id::UserId;
use domicile_domain::model::permission::Permission;
use domicile_domain::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::usecase::{
    ApproveRelationship, AssignUser, BatchCheckAccess, BatchEntry, Call, CheckAccess, CheckSubject, Consistency,
    CreateGroup, CreateRole, CreateWorkspace, DeleteGroup, DeleteRole, DomicileApi, GroupMembers, HomeTermsInput,
    HostTermsInput, ListEffectivePermissions, ListPermissions, ListSubjects, LookupUser, NamedRelationship, Order,
    OtherWorkspace, PageRequest, PermissionInput, PolicyInput, ProposeRelationship, RegisterPermissions,
    RelationshipFilter, RetirePermission, SetPermissions, SetRoles, TermsInput, UpdateGroup, UpdateRelationship,
    UpdateRole, UpdateWorkspace, UpdateWorkspacePolicy, WorkspaceEntry, etag,
};
use domicile_testkit::builders::{group, handle, id, notice, permission, relationship, workspace};

use crate::support::{IdentityChange, World, check, cobalt, mail, request, save, search, service, service_call};

const ANY: Consistency = Consistency::MinimizeLatency;

/// The methods of the inbound port that a caller reaches, read from its text: a new one fails here until it has a row.
pub(crate) fn methods() -> Vec<&'static str> {
    let source = include_str!("../src/usecase/api/mod.rs");
    let (_, api) = source.split_once("pub trait DomicileApi").unwrap();
    let (api, _) = api.split_once("\n}").unwrap();
    let names = api.split("async fn ").skip(1).map(|method| method.split('(').next().unwrap());
    names.filter(|name| !["identify", "turned_away"].contains(name)).collect()
}

/// Acme with its people: a member without rights who has a message and an identity.
pub(crate) struct Stage {
    pub(crate) world: World,
    /// Whom the calls are about: Nora, unless it is about somebody else.
    nora: User,
    notice: String,
    /// Proposed to Acme by another home.
    proposed: WorkspaceRelationship,
    /// Active, with Acme as the host.
    active: WorkspaceRelationship,
    /// The etag of a group `crew` that nobody is in.
    crew: String,
}

fn crew(user: String) -> GroupMembers {
    GroupMembers { group: "crew".to_owned(), users: vec![user] }
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let nora = world.colleague("nora", &[]).await;
        Self::about(world, nora).await
    }

    /// The same in a world that is there, about somebody who is there.
    pub(crate) async fn about(world: World, nora: User) -> Self {
        let message = notice(&nora);
        let login = Identity { issuer: "https://login.example".to_owned(), subject: "n-0".to_owned() };
        let (elsewhere, third) = (workspace("elsewhere"), workspace("third"));
        let mut proposed = relationship(world.acme.id, elsewhere.id);
        (proposed.state, proposed.proposed_by_side) = (RelationshipState::Proposed, Side::Home);
        (proposed.answered_by, proposed.answered_at) = (None, None);
        let crew = group(world.acme.id, "crew");
        let old = Permission { registered_by: "shop".to_owned(), ..permission("shop.old") };
        world.put(&[(&message).into(), (nora.id, login).into(), (&crew).into(), old.into()]).await;

        let mut active = relationship(world.acme.id, world.borealis.id);
        active.host_terms.ceiling.roles.insert(world.governor.id);
        world.put(&[(&elsewhere).into(), (&third).into(), (&proposed).into(), (&active).into()]).await;
        let crew = etag(crew.id, crew.version);
        Self { world, nora, notice: message.id.to_string(), proposed, active, crew }
    }

    /// The etag of Nora's membership, if there is one.
    async fn etag(&self) -> String {
        let membership = self.world.member(self.nora.id).await;
        membership.map_or_else(String::new, |membership| etag(membership.base().id, membership.base().version))
    }

    fn rehearsal(workspace: String) -> Order {
        Order { workspace, request: request(), validate_only: true }
    }

    /// Calls a method in a workspace, about Nora, each time with what nobody used before.
    #[expect(clippy::too_many_lines, reason = "a table: a call a row")]
    pub(crate) async fn act(&self, method: &str, call: &Call, workspace: &str) -> Result<(), Refusal> {
        let domicile = &self.world.domicile;
        let (named, nora, page) = (workspace.to_owned(), self.nora.id.to_string(), PageRequest::default());
        let name = format!("p{}", self.world.store.counters().begun);
        let change = |subject: &str| IdentityChange {
            workspace: named.clone(),
            request: request(),
            user: nora.clone(),
            identity: Identity { issuer: "https://login.example".to_owned(), subject: subject.to_owned() },
            validate_only: true,
        };
        let read = |of: &WorkspaceRelationship| NamedRelationship {
            relationship: of.id.to_string(),
            etag: etag(of.id, of.version),
        };
        let (proposed, active) = (read(&self.proposed), read(&self.active));

        let order = || Order { workspace: named.clone(), request: request(), validate_only: true };
        match method {
            "propose_relationship" => {
                let other = Some(OtherWorkspace::Named("third".to_owned()));
                let terms = Some(TermsInput::Home(HomeTermsInput::default()));
                domicile.propose_relationship(call, &order(), &ProposeRelationship { other, terms }).await.map(drop)
            }
            "update_relationship" => {
                let update = UpdateRelationship {
                    named: active,
                    host_terms: HostTermsInput::default(),
                    home_terms: HomeTermsInput::default(),
                    paths: vec!["host_terms.acceptance".to_owned()],
                };
                domicile.update_relationship(call, &order(), &update).await.map(drop)
            }
            "approve_relationship" => {
                let terms = Some(TermsInput::Host(HostTermsInput::default()));
                let yes = ApproveRelationship { named: proposed, terms };
                domicile.approve_relationship(call, &order(), &yes).await.map(drop)
            }
            "decline_relationship" => domicile.decline_relationship(call, &order(), &proposed).await.map(drop),
            "suspend_relationship" => domicile.suspend_relationship(call, &order(), &active).await.map(drop),
            "resume_relationship" => domicile.resume_relationship(call, &order(), &active).await.map(drop),
            "end_relationship" => domicile.end_relationship(call, &order(), &active).await.map(drop),
            "get_relationship" => domicile.get_relationship(call, &named, &active.relationship, &ANY).await.map(drop),
            "list_relationships" => {
                let all = RelationshipFilter::default();
                domicile.list_relationships(call, &named, &all, &page, &ANY).await.map(drop)
            }
            "lookup_user" => {
                let search = LookupUser { workspace: named, ..search(&mail(&name), "") };
                domicile.lookup_user(call, &search).await.map(drop)
            }
            "assign_user" => {
                let save = AssignUser { workspace: named, ..save(&name) };
                domicile.assign_user(call, &save).await.map(drop)
            }
            "create_workspace" => {
                let new = CreateWorkspace { handle: name.clone(), ..cobalt(&name) };
                domicile.create_workspace(call, &new).await.map(drop)
            }
            "bind_identity" => {
                domicile.bind_identity(call, &change("n-1").order(), &change("n-1").change()).await.map(drop)
            }
            "unbind_identity" => {
                domicile.unbind_identity(call, &change("n-0").order(), &change("n-0").change()).await.map(drop)
            }
            "check_access" => {
                let check = CheckAccess { workspace: named, ..check("", self.nora.id, "orders.read") };
                domicile.check_access(call, &check).await.map(drop)
            }
            "batch_check_access" => {
                let CheckAccess { subject, permission, .. } = check("", self.nora.id, "orders.read");
                let entry = BatchEntry { correlation_id: String::new(), workspace: named, subject, permission };
                let batch = BatchCheckAccess { entries: vec![entry], consistency: ANY };
                let answers = domicile.batch_check_access(call, &batch).await?;
                answers.entries.into_iter().try_for_each(|entry| entry.answer.map(drop))
            }
            "list_effective_permissions" => {
                let subject = CheckSubject::User(nora);
                let list = ListEffectivePermissions { workspace: named, subject, page, consistency: ANY };
                domicile.list_effective_permissions(call, &list).await.map(drop)
            }
            "list_subjects" => {
                let permission = "orders.read".to_owned();
                let list = ListSubjects { workspace: named, permission, page, consistency: ANY };
                domicile.list_subjects(call, &list).await.map(drop)
            }
            "explain_access" => {
                let check = CheckAccess { workspace: named, ..check("", self.nora.id, "orders.read") };
                domicile.explain_access(call, &check).await.map(drop)
            }
            "set_roles" => {
                let change = SetRoles { user: nora, roles: vec![], etag: self.etag().await };
                domicile.set_roles(call, &Self::rehearsal(named), &change).await.map(drop)
            }
            "set_permissions" => {
                let change = SetPermissions { user: nora, permissions: vec![], etag: self.etag().await };
                domicile.set_permissions(call, &Self::rehearsal(named), &change).await.map(drop)
            }
            "get_role" => domicile.get_role(call, &named, "reader", &ANY).await.map(drop),
            "create_role" => {
                let new = CreateRole { handle: name.clone(), display_name: name, ..CreateRole::default() };
                domicile.create_role(call, &Self::rehearsal(named), &new).await.map(drop)
            }
            "update_role" => {
                let change = UpdateRole {
                    role: "reader".to_owned(),
                    paths: vec!["for_externals".to_owned()],
                    etag: etag(self.world.reader.id, self.world.reader.version),
                    ..UpdateRole::default()
                };
                domicile.update_role(call, &Self::rehearsal(named), &change).await.map(drop)
            }
            "delete_role" => {
                let etag = etag(self.world.reader.id, self.world.reader.version);
                let change = DeleteRole { role: "reader".to_owned(), etag, force: false };
                domicile.delete_role(call, &Self::rehearsal(named), &change).await.map(drop)
            }
            "list_permissions" => {
                let list = ListPermissions { workspace: named, ..ListPermissions::default() };
                domicile.list_permissions(call, &list).await.map(drop)
            }
            "register_permissions" => {
                let offered = PermissionInput { name: "shop.sell".to_owned(), description: "Sell".to_owned() };
                let new = RegisterPermissions { request: request(), permissions: vec![offered], validate_only: true };
                domicile.register_permissions(call, &new).await.map(drop)
            }
            "retire_permission" => {
                let old = RetirePermission { request: request(), name: "shop.old".to_owned(), validate_only: true };
                domicile.retire_permission(call, &old).await.map(drop)
            }
            "get_user" => domicile.get_user(call, &named, &nora, &ANY).await.map(drop),
            "get_workspace" => domicile.get_workspace(call, &named, &ANY).await.map(drop),
            // It names no workspace: one that is out of reach is not among those listed.
            "list_workspaces" => {
                let listed = domicile.list_workspaces(call, &page, &ANY).await?;
                let named = |entry: &WorkspaceEntry| workspace.parse::<WorkspaceRef>().unwrap().names(&entry.workspace);
                let found = listed.items.iter().any(named);
                if found { Ok(()) } else { Err(Refusal::new(Reason::PermissionDenied)) }
            }
            "update_workspace" => {
                let update_mask = vec!["default_region".to_owned()];
                let change =
                    UpdateWorkspace { update_mask, default_region: "HU".to_owned(), ..UpdateWorkspace::default() };
                domicile.update_workspace(call, &order(), &change).await.map(drop)
            }
            "get_workspace_policy" => domicile.get_workspace_policy(call, &named, &ANY).await.map(drop),
            "update_workspace_policy" => {
                let acme = self.world.acme_now().await;
                let change = UpdateWorkspacePolicy {
                    etag: etag(acme.id, acme.version),
                    update_mask: vec!["acceptance_as_host".to_owned()],
                    policy: PolicyInput::default(),
                };
                domicile.update_workspace_policy(call, &order(), &change).await.map(drop)
            }
            "create_group" => {
                let change = CreateGroup { handle: name, display_name: "Crew".to_owned(), roles: Vec::new() };
                domicile.create_group(call, &order(), &change).await.map(drop)
            }
            "update_group" => {
                let update_mask = vec!["display_name".to_owned()];
                let (group, etag) = ("crew".to_owned(), self.crew.clone());
                let change = UpdateGroup { group, etag, update_mask, display_name: "Crew".to_owned(), roles: vec![] };
                domicile.update_group(call, &order(), &change).await.map(drop)
            }
            "delete_group" => {
                let change = DeleteGroup { group: "crew".to_owned(), etag: self.crew.clone(), force: true };
                domicile.delete_group(call, &order(), &change).await.map(drop)
            }
            "add_group_members" => domicile.add_group_members(call, &order(), &crew(nora)).await.map(drop),
            "remove_group_members" => domicile.remove_group_members(call, &order(), &crew(nora)).await.map(drop),
            "get_group" => domicile.get_group(call, &named, "crew", &ANY).await.map(drop),
            "list_groups" => domicile.list_groups(call, &named, &page, &ANY).await.map(drop),
            "list_group_members" => domicile.list_group_members(call, &named, "crew", &page, &ANY).await.map(drop),
            "get_membership" => domicile.get_membership(call, &named, &nora, &ANY).await.map(drop),
            "list_memberships" => domicile.list_memberships(call, &named, &page, &ANY).await.map(drop),
            "list_roles" => domicile.list_roles(call, &named, &page, &ANY).await.map(drop),
            "get_notification" => domicile.get_notification(call, &named, &self.notice, &ANY).await.map(drop),
            "list_notifications" => domicile.list_notifications(call, &named, &page, &ANY).await.map(drop),
            other => panic!("{other} has no row in this test; add one"),
        }
    }

    /// Refused as in a workspace that is not there, after the same work, and nothing is changed.
    async fn refused(&self, method: &str, call: &Call, reason: Reason) {
        let content = self.world.content();
        let mut seen = Vec::new();
        for workspace in ["acme", &self.world.acme.id.to_string(), "nowhere", &id::<()>().to_string()] {
            let before = self.world.store.counters();
            let answer = self.act(method, call, workspace).await;
            let after = self.world.store.counters();
            let refusal = answer.err().unwrap_or_else(|| panic!("{method} {workspace}: it was served"));
            let bare = Refusal { message: refusal.message.clone(), ..Refusal::new(reason) };
            assert_eq!(refusal, bare, "{method} {workspace}");
            seen.push((refusal, after.begun - before.begun, after.statements - before.statements));
        }
        assert_eq!(self.world.content(), content, "{method} changed something");
        assert!(seen.iter().all(|work| *work == seen[0]), "{method}: {seen:?}");
    }
}

fn acting(service: ServicePrincipal, user: UserId, means: Means) -> Call {
    Call { actor: Actor { service, user: Some(ActingUser { id: user, means }) }, ..service_call() }
}

fn within(workspaces: &[WorkspaceRef]) -> Means {
    Means::ActAs(ScopeReach::Workspaces(workspaces.iter().cloned().collect()))
}

fn names(workspace: &Workspace) -> [WorkspaceRef; 2] {
    [WorkspaceRef::Id(workspace.id), WorkspaceRef::Handle(workspace.handle.clone())]
}

/// What a person without rights may do for themself or as a member.
const OWN: [&str; 10] = [
    "list_workspaces",
    "get_user",
    "get_membership",
    "get_notification",
    "get_workspace",
    "list_roles",
    "get_role",
    "list_permissions",
    "list_effective_permissions",
    "explain_access",
];

#[tokio::test]
async fn a_named_person_acts_where_the_grant_reaches_and_nowhere_else() {
    let stage = Stage::new().await;
    let (dana, acme, borealis) = (stage.world.dana.id, &stage.world.acme, &stage.world.borealis);
    for method in methods() {
        // In the catalogue no person has a part.
        let for_nobody = matches!(method, "register_permissions" | "retire_permission");
        for means in [Means::OwnToken, Means::Exchanged, Means::ActAs(ScopeReach::Everywhere)] {
            let call = acting(service(), dana, means);
            if for_nobody {
                stage.refused(method, &call, Reason::PermissionDenied).await;
            } else {
                assert_eq!(stage.act(method, &call, "acme").await, Ok(()), "{method}");
            }
        }
        for named in names(acme) {
            let call = acting(service(), dana, within(&[named]));
            // A workspace that is made is none of those that a grant names.
            if for_nobody || method == "create_workspace" {
                stage.refused(method, &call, Reason::PermissionDenied).await;
            } else {
                assert_eq!(stage.act(method, &call, "acme").await, Ok(()), "{method}");
            }
        }
        for means in [within(&[]), within(&names(borealis)), within(&[WorkspaceRef::Handle(handle("nowhere"))])] {
            stage.refused(method, &acting(service(), dana, means), Reason::PermissionDenied).await;
        }
    }
}

/// What is one's own is within the workspace too: a grant for elsewhere does not show it.
#[tokio::test]
async fn a_grant_for_elsewhere_shows_nobody_their_own() {
    let stage = Stage::new().await;
    let nora = stage.nora.id;
    for method in OWN {
        let here = acting(service(), nora, within(&names(&stage.world.acme)));
        assert_eq!(stage.act(method, &here, "acme").await, Ok(()), "{method}");
        let elsewhere = acting(service(), nora, within(&names(&stage.world.borealis)));
        stage.refused(method, &elsewhere, Reason::PermissionDenied).await;
    }
}

/// Whoever calls, and with whatever right: no workspace can be called so, which tells nothing of any that there is.
#[tokio::test]
async fn what_can_name_no_workspace_is_told_before_any_right_is_read() {
    let stage = Stage::new().await;
    let long = "x".repeat(5000);
    let scoped = |reach| ServicePrincipal::new("shop").with_scope(ServiceScope::AccessCheck, reach);
    let elsewhere = ScopeReach::Workspaces(names(&stage.world.borealis).into());
    let (dana, lena) = (stage.world.dana.id, stage.world.lena.id);
    let callers = [
        acting(scoped(ScopeReach::Everywhere), dana, Means::OwnToken),
        acting(scoped(elsewhere), lena, Means::OwnToken),
        acting(ServicePrincipal::new("shop"), id(), within(&[])),
    ];
    let without_scope = ["create_workspace", "register_permissions", "retire_permission", "list_workspaces"];
    for method in methods().into_iter().filter(|method| !without_scope.contains(method)) {
        for named in ["", "Acme", "a", "acme\u{202e}", " acme", long.as_str()] {
            let content = stage.world.content();
            let mut heard = Vec::new();
            for call in &callers {
                // The service is asked, in its own name, whether it may at all.
                let may = call.actor.service.scopes.iter().any(|(scope, _)| *scope == ServiceScope::AccessCheck);
                if method == "batch_check_access" && !may {
                    continue;
                }
                let refusal = stage.act(method, call, named).await.expect_err(method);
                let fields: Vec<&str> = refusal.violations.iter().map(|wrong| wrong.field.as_str()).collect();
                assert_eq!((refusal.reason, fields), (Reason::InvalidRequest, vec!["workspace"]), "{method} `{named}`");
                assert!(refusal.violations[0].message.len() < 300, "{method}");
                heard.push(refusal);
            }
            assert!(heard.iter().all(|refusal| *refusal == heard[0]), "{method} `{named}`: {heard:?}");
            assert_eq!(stage.world.content(), content, "{method} changed something");
        }
    }
}

#[tokio::test]
async fn the_operator_makes_and_sees_workspaces_and_does_nothing_in_them() {
    let stage = Stage::new().await;
    let operator = ServicePrincipal { operator: true, ..ServicePrincipal::new("operator") };
    let (dana, nora) = (stage.world.dana.id, stage.nora.id);
    let alone = Call { actor: Actor::service(operator.clone()), ..service_call() };
    for method in methods() {
        if matches!(method, "create_workspace" | "get_workspace" | "list_workspaces") {
            assert_eq!(stage.act(method, &alone, "acme").await, Ok(()), "{method}");
        } else {
            stage.refused(method, &alone, Reason::PermissionDenied).await;
            for user in [dana, nora] {
                for means in [Means::OwnToken, Means::Exchanged] {
                    let call = acting(operator.clone(), user, means);
                    stage.refused(method, &call, Reason::PermissionDenied).await;
                }
            }
        }
        // It names nobody, wherever a grant were to reach.
        for user in [dana, nora] {
            for means in [Means::ActAs(ScopeReach::Everywhere), within(&names(&stage.world.acme))] {
                let call = acting(operator.clone(), user, means);
                stage.refused(method, &call, Reason::PermissionDenied).await;
            }
        }
    }
}

/// The operator belongs to no workspace, so that each finds in its record when it was looked at.
#[tokio::test]
async fn what_the_operator_reads_is_recorded_where_it_was_read() {
    let stage = Stage::new().await;
    let operator = ServicePrincipal { operator: true, ..ServicePrincipal::new("operator") };
    let alone = Call { actor: Actor::service(operator), ..service_call() };
    stage.act("get_workspace", &alone, "acme").await.unwrap();
    let rows = stage.world.audit().await;
    let told: Vec<(&str, &str, &str)> =
        rows.iter().map(|row| (row.service.as_str(), row.action.as_str(), row.outcome.as_str())).collect();
    assert_eq!(told, [("operator", "get_workspace", "done")]);
    // A member who reads it is no news.
    let dana = acting(service(), stage.world.dana.id, Means::OwnToken);
    stage.act("get_workspace", &dana, "acme").await.unwrap();
    assert_eq!(stage.world.audit().await.len(), 1);
}
