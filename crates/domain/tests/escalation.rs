//! Nobody raises themself: each maker tries each path of each change, and a change without a row here fails.

use std::collections::BTreeSet;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::audit::{AuditAction, AuditRecord};
use domicile_domain::model::group::Group;
use domicile_domain::model::id::UserId;
use domicile_domain::model::membership::{Grants, Membership};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{RelationshipState, Side, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    AssignUser, Call, ChangeIdentity, CreateGroup, CreateRole, DeleteGroup, DeleteRole, DomicileApi, GrantsInput,
    GroupMembers, HostTermsInput, NamedRelationship, OtherWorkspace, PermissionInput, ProposeRelationship,
    RegisterPermissions, RetirePermission, SetPermissions, SetRoles, TermsInput, UpdateGroup, UpdateRole,
    UpdateWorkspace, etag,
};
use domicile_testkit::builders::{
    NOW, external, group, internal, permission, permission_name, relationship, role, user, workspace,
};
use domicile_testkit::seed::PATIENCE;

use crate::support::{World, both_rights, call, cobalt, mail, order, reason, request, save};

/// A way in which somebody could try to have more.
#[derive(Debug, Clone, Copy)]
enum Path {
    RoleForOneself,
    PermissionForOneself,
    GovernanceForOneself,
    PermissionForARoleOneHas,
    ANewRoleForOneself,
    OneselfAssignedAgain,
    AnIdentityForOneself,
    ANewGroupForOneself,
    AGroupForOneself,
    ARoleForAGroupOneIsIn,
    /// One change of a role takes governance from the other manager, who has it by that role alone, and adds a product
    /// permission to the maker, who has the role and governance by another.
    TheOtherManagersRightsForAPermission,
    /// A role that one has, and that stands in the ceiling, is marked for Externals.
    ARoleOneHasForExternals,
    /// A role whose permission is retired, and would count once its service registers it again.
    ARoleOfARetiredPermission,
    /// A permission that was retired, in a role that one has.
    ARetiredPermissionInARoleOneHas,
    /// The same, registered again by the service over which one acts.
    ARetiredPermissionRegisteredAgain,
}

/// What a change can do for its maker.
enum Row {
    /// Nothing: why.
    CannotRaise(Why),
    /// What the ways are.
    Paths(&'static [Path]),
    /// It needs another stage: the text of the file, and the test in it.
    TriedIn(&'static str, &'static str),
}

/// Why a change cannot raise its maker. Each is tried by a test of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It changes nothing.
    OnlyReads,
    /// A service does it by its own scope, whoever acts.
    AServicesOwn,
    /// Nobody has more afterwards, and somebody may have less.
    OnlyTakesAway,
    /// Everybody has what they had.
    DecidesNothing,
}

const POLICIES: &str = include_str!("policies.rs");
const RELATIONSHIPS: &str = include_str!("relationships.rs");

/// A new action does not compile without a row.
const fn row(action: AuditAction) -> Row {
    match action {
        AuditAction::SetRoles => Row::Paths(&[Path::RoleForOneself, Path::ARoleOfARetiredPermission]),
        AuditAction::SetPermissions => Row::Paths(&[Path::PermissionForOneself, Path::GovernanceForOneself]),
        AuditAction::UpdateRole => Row::Paths(&[
            Path::PermissionForARoleOneHas,
            Path::TheOtherManagersRightsForAPermission,
            Path::ARoleOneHasForExternals,
            Path::ARetiredPermissionInARoleOneHas,
        ]),
        AuditAction::CreateRole => Row::Paths(&[Path::ANewRoleForOneself]),
        AuditAction::AssignUser => Row::Paths(&[Path::OneselfAssignedAgain]),
        AuditAction::BindIdentity => Row::Paths(&[Path::AnIdentityForOneself]),
        AuditAction::RegisterPermissions => Row::Paths(&[Path::ARetiredPermissionRegisteredAgain]),
        AuditAction::CreateWorkspace | AuditAction::RetirePermission => Row::CannotRaise(Why::AServicesOwn),
        AuditAction::LookupUser
        | AuditAction::GetUser
        | AuditAction::GetWorkspace
        | AuditAction::GetMembership
        | AuditAction::ListMemberships
        | AuditAction::ListRoles
        | AuditAction::CheckAccess
        | AuditAction::GetNotification
        | AuditAction::ListNotifications
        | AuditAction::ListWorkspaces
        | AuditAction::GetWorkspacePolicy
        | AuditAction::ListPermissions
        | AuditAction::GetRole
        | AuditAction::GetGroup
        | AuditAction::ListGroups
        | AuditAction::ListGroupMembers
        | AuditAction::GetRelationship
        | AuditAction::ListRelationships
        | AuditAction::BatchCheckAccess
        | AuditAction::ListEffectivePermissions
        | AuditAction::ListSubjects
        | AuditAction::ExplainAccess
        | AuditAction::ActAs
        | AuditAction::Call => Row::CannotRaise(Why::OnlyReads),
        AuditAction::CreateGroup => Row::Paths(&[Path::ANewGroupForOneself]),
        AuditAction::AddGroupMembers => Row::Paths(&[Path::AGroupForOneself]),
        AuditAction::UpdateGroup => Row::Paths(&[Path::ARoleForAGroupOneIsIn]),
        AuditAction::DeleteRole
        | AuditAction::UnbindIdentity
        | AuditAction::DeleteGroup
        | AuditAction::RemoveGroupMembers
        | AuditAction::SuspendRelationship => Row::CannotRaise(Why::OnlyTakesAway),
        AuditAction::UpdateWorkspace | AuditAction::ProposeRelationship | AuditAction::DeclineRelationship => {
            Row::CannotRaise(Why::DecidesNothing)
        }
        AuditAction::UpdateWorkspacePolicy => {
            Row::TriedIn(POLICIES, "nobody_opens_their_home_to_get_back_what_they_have_elsewhere")
        }
        AuditAction::UpdateRelationship
        | AuditAction::ApproveRelationship
        | AuditAction::ResumeRelationship
        | AuditAction::EndRelationship => Row::TriedIn(RELATIONSHIPS, "nobody_raises_themself_in_the_other_workspace"),
    }
}

/// Who tries.
#[derive(Debug, Clone, Copy)]
enum Maker {
    /// A qualifying manager, and there is another one.
    OneOfTwo,
    /// The only qualifying manager.
    TheOnly,
    /// An Internal who holds `update`.
    Helper,
    /// An External who holds both rights, where the policy lets Externals.
    External,
}

const MAKERS: [Maker; 4] = [Maker::OneOfTwo, Maker::TheOnly, Maker::Helper, Maker::External];

/// What becomes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Refused(Reason),
    /// Done, recorded as what it is.
    SelfGrant,
    /// Done, and the maker has no more than before.
    NothingGained,
}

/// What each maker meets, in the order of [`MAKERS`].
const fn expected(path: Path) -> [Outcome; 4] {
    use Outcome::{NothingGained, Refused, SelfGrant};
    use Reason::{
        AlreadyMember, AnotherPersonRequired, GovernanceNotGrantable, InternalOnly, InvalidRequest, LastManager,
        PermissionDenied, SelfEscalation,
    };
    let raised = Refused(SelfEscalation);
    match path {
        Path::RoleForOneself | Path::PermissionForOneself | Path::ARoleOfARetiredPermission => {
            [raised, SelfGrant, raised, raised]
        }
        // Whoever qualifies may grant it to others, and to themself never.
        Path::GovernanceForOneself => {
            [raised, raised, Refused(GovernanceNotGrantable), Refused(GovernanceNotGrantable)]
        }
        Path::PermissionForARoleOneHas | Path::ANewRoleForOneself => {
            [raised, SelfGrant, Refused(PermissionDenied), Refused(PermissionDenied)]
        }
        // Who was not the only manager before is not made the only one by the change itself. The helper has governance by
        // that role alone here, so that nobody would be left.
        Path::TheOtherManagersRightsForAPermission => {
            [raised, SelfGrant, Refused(LastManager), Refused(PermissionDenied)]
        }
        // It is nothing to an Internal, and an External defines no roles.
        Path::ARoleOneHasForExternals => {
            [NothingGained, NothingGained, Refused(PermissionDenied), Refused(PermissionDenied)]
        }
        Path::ARetiredPermissionInARoleOneHas => {
            [Refused(InvalidRequest), Refused(InvalidRequest), Refused(PermissionDenied), Refused(PermissionDenied)]
        }
        Path::ARetiredPermissionRegisteredAgain => [Refused(PermissionDenied); 4],
        Path::OneselfAssignedAgain => {
            [Refused(AlreadyMember), Refused(AlreadyMember), Refused(PermissionDenied), Refused(AlreadyMember)]
        }
        Path::AnIdentityForOneself => {
            let another = Refused(AnotherPersonRequired);
            [another, another, Refused(PermissionDenied), Refused(PermissionDenied)]
        }
        Path::ANewGroupForOneself | Path::AGroupForOneself => [raised, SelfGrant, raised, Refused(InternalOnly)],
        // An External is in no group.
        Path::ARoleForAGroupOneIsIn => [raised, SelfGrant, raised, NothingGained],
    }
}

/// Acme with a maker who has a role that grants nothing, and with what they could give themself.
struct Stage {
    world: World,
    maker: User,
    desk: Role,
    team: Group,
    /// Holds both rights over the workspace; nobody has it but where a path says so.
    lead: Role,
    /// Stands in the ceiling, holds a permission, and is not marked for Externals; likewise nobody's.
    parked: Role,
}

impl Stage {
    async fn new(who: Maker) -> Self {
        let mut made = None;
        let world = World::with(|plan| {
            let mut for_externals = |handle: &str| {
                let role = Role { for_externals: true, ..role(plan.acme.id, handle) };
                plan.acme.policy.default_ceiling.roles.insert(role.id);
                role
            };
            let mut writer = for_externals("writer");
            writer.permissions.insert(permission_name("orders.write"));
            let mut parked = Role { for_externals: false, ..for_externals("parked") };
            parked.permissions.insert(permission_name("orders.write"));
            made = Some((for_externals("desk"), writer, parked));
            let ceiling = &mut plan.acme.policy.default_ceiling;
            ceiling.roles.insert(plan.governor.id);
            ceiling.permissions.extend([permission_name("orders.write"), permission_name("domicile.other")]);
            plan.acme.policy.external_managers = true;
        })
        .await;
        let (desk, writer, parked) = made.unwrap();
        let mut lead = role(world.acme.id, "lead");
        lead.permissions = both_rights().into();
        let mut writers = group(world.acme.id, "writers");
        writers.roles.insert(writer.id);
        let team = group(world.acme.id, "team");
        world.put(&[(&desk).into(), writer.into(), permission("domicile.other").into()]).await;
        world.put(&[(&lead).into(), (&parked).into()]).await;
        world.put(&[writers.into(), (&team).into()]).await;
        let home = if matches!(who, Maker::External) { world.borealis.id } else { world.acme.id };
        let maker = user(home, "maker");
        let (roles, permissions) = match who {
            Maker::Helper => (vec![desk.id], vec![PermissionName::update()]),
            _ => (vec![desk.id, world.governor.id], vec![]),
        };
        let grants = Grants { roles: roles.into_iter().collect(), permissions: permissions.into_iter().collect() };
        let mut there = internal(&maker);
        if matches!(who, Maker::External) {
            let mut here = external(&maker, world.acme.id);
            here.base.grants = grants;
            world.put(&[(&maker).into(), there.into(), here.into()]).await;
        } else {
            there.base.grants = grants;
            there.groups.insert(team.id);
            world.put(&[(&maker).into(), there.into()]).await;
        }
        let stage = Self { world, maker, desk, team, lead, parked };
        if matches!(who, Maker::TheOnly) {
            stage.world.regrant(stage.world.dana.id, |grants| *grants = Grants::default()).await;
        }
        stage
    }

    /// Makes what a path begins with.
    async fn prepare(&self, path: Path, who: Maker) {
        match path {
            Path::TheOtherManagersRightsForAPermission => {
                self.world.regrant(self.maker.id, |grants| grants.roles.extend([self.lead.id])).await;
                if !matches!(who, Maker::TheOnly) {
                    self.world.regrant(self.world.dana.id, |grants| grants.roles = [self.lead.id].into()).await;
                }
            }
            Path::ARoleOneHasForExternals => {
                self.world.regrant(self.maker.id, |grants| grants.roles.extend([self.parked.id])).await;
            }
            Path::ARetiredPermissionRegisteredAgain => {
                self.world.regrant(self.maker.id, |grants| grants.roles.extend([self.parked.id])).await;
                self.retired(Some(NOW)).await;
            }
            Path::ARetiredPermissionInARoleOneHas | Path::ARoleOfARetiredPermission => self.retired(Some(NOW)).await,
            _ => {}
        }
    }

    /// Retires what every path is after, or takes that back, as the service that registered it.
    async fn retired(&self, retired_at: Option<Timestamp>) {
        let entry = Permission { retired_at, ..permission("orders.write") };
        let mut tx = self.world.store.begin(PATIENCE).await.unwrap();
        tx.roles().update_permission(&entry).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Whether the maker has what every path is after.
    async fn may_write(&self) -> bool {
        self.world.check(self.maker.id, "orders.write").await.unwrap().decision.is_ok()
    }

    /// What the record says of the last call.
    async fn recorded(&self) -> AuditRecord {
        self.world.audit().await.remove(0)
    }

    async fn membership(&self) -> Membership {
        self.world.member(self.maker.id).await.unwrap()
    }

    async fn take_roles(&self, more: &str) -> Result<(), Refusal> {
        let base = self.membership().await.base().clone();
        let roles = base.grants.roles.iter().map(ToString::to_string).chain([more.to_owned()]).collect();
        let change = SetRoles { user: self.maker.id.to_string(), roles, etag: etag(base.id, base.version) };
        self.world.domicile.set_roles(&call(&self.maker), &order(), &change).await.map(drop)
    }

    async fn take_permission(&self, more: &str) -> Result<(), Refusal> {
        let base = self.membership().await.base().clone();
        let permissions = base.grants.permissions.iter().map(ToString::to_string).chain([more.to_owned()]).collect();
        let change = SetPermissions { user: self.maker.id.to_string(), permissions, etag: etag(base.id, base.version) };
        self.world.domicile.set_permissions(&call(&self.maker), &order(), &change).await.map(drop)
    }

    async fn update(&self, role: &Role, change: &UpdateRole) -> Result<(), Refusal> {
        let (role, etag) = (role.handle.to_string(), etag(role.id, role.version));
        let change = UpdateRole { role, etag, ..change.clone() };
        self.world.domicile.update_role(&call(&self.maker), &order(), &change).await.map(drop)
    }

    async fn take(&self, path: Path) -> Result<(), Refusal> {
        let (domicile, by) = (&self.world.domicile, call(&self.maker));
        let write = vec!["orders.write".to_owned()];
        match path {
            Path::RoleForOneself | Path::ARoleOfARetiredPermission => self.take_roles("writer").await,
            Path::PermissionForOneself => self.take_permission("orders.write").await,
            Path::GovernanceForOneself => self.take_permission("domicile.other").await,
            Path::PermissionForARoleOneHas | Path::ARetiredPermissionInARoleOneHas => {
                self.update(&self.desk, &UpdateRole { permissions: write, ..replacing("permissions") }).await
            }
            Path::TheOtherManagersRightsForAPermission => {
                self.update(&self.lead, &UpdateRole { permissions: write, ..replacing("permissions") }).await
            }
            Path::ARoleOneHasForExternals => {
                self.update(&self.parked, &UpdateRole { for_externals: true, ..replacing("for_externals") }).await
            }
            Path::ARetiredPermissionRegisteredAgain => {
                let again = PermissionInput { name: "orders.write".to_owned(), description: "Writes".to_owned() };
                let again = RegisterPermissions { request: request(), permissions: vec![again], validate_only: false };
                // The service whose permission it is may do so, and does for nobody.
                let scope = ServiceScope::PermissionsRegister("orders.".to_owned());
                let service = by.actor.service.clone().with_scope(scope, ScopeReach::Everywhere);
                let by = Call { actor: Actor { service, ..by.actor }, ..by };
                domicile.register_permissions(&by, &again).await.map(drop)
            }
            Path::ANewRoleForOneself => {
                let new = CreateRole {
                    handle: "mine".to_owned(),
                    display_name: "Mine".to_owned(),
                    permissions: write,
                    for_externals: true,
                };
                domicile.create_role(&by, &order(), &new).await?;
                self.take_roles("mine").await
            }
            Path::ANewGroupForOneself => {
                let new = CreateGroup {
                    handle: "mine".to_owned(),
                    display_name: "Mine".to_owned(),
                    roles: vec!["writer".to_owned()],
                };
                domicile.create_group(&by, &order(), &new).await?;
                let into = GroupMembers { group: "mine".to_owned(), users: vec![self.maker.id.to_string()] };
                domicile.add_group_members(&by, &order(), &into).await.map(drop)
            }
            Path::AGroupForOneself => {
                let into = GroupMembers { group: "writers".to_owned(), users: vec![self.maker.id.to_string()] };
                domicile.add_group_members(&by, &order(), &into).await.map(drop)
            }
            Path::ARoleForAGroupOneIsIn => {
                let change = UpdateGroup {
                    group: "team".to_owned(),
                    etag: etag(self.team.id, self.team.version),
                    update_mask: vec!["roles".to_owned()],
                    roles: vec!["writer".to_owned()],
                    ..UpdateGroup::default()
                };
                domicile.update_group(&by, &order(), &change).await.map(drop)
            }
            Path::OneselfAssignedAgain => {
                let grants = GrantsInput { roles: vec!["writer".to_owned()], permissions: vec![] };
                let mut again = AssignUser { email: mail("maker"), internal: grants.clone(), ..save("maker") };
                again.external.grants = grants;
                domicile.assign_user(&by, &again).await.map(drop)
            }
            Path::AnIdentityForOneself => {
                let identity = Identity { issuer: "https://login.example".to_owned(), subject: "2".to_owned() };
                let change = ChangeIdentity { user: self.maker.id.to_string(), identity };
                domicile.bind_identity(&by, &order(), &change).await.map(drop)
            }
        }
    }
}

/// An update of a role that replaces one field.
fn replacing(path: &str) -> UpdateRole {
    UpdateRole { paths: vec![path.to_owned()], ..UpdateRole::default() }
}

#[tokio::test]
async fn whoever_tries_to_raise_themself_is_refused_on_every_path() {
    let paths = AuditAction::ALL.into_iter().filter_map(|action| match row(action) {
        Row::Paths(paths) => Some(paths),
        Row::CannotRaise(_) => None,
        Row::TriedIn(file, test) => {
            assert!(file.contains(&format!("async fn {test}()")), "{test} is gone; where is {action:?} tried now?");
            None
        }
    });
    for path in paths.flatten() {
        for (who, expected) in MAKERS.into_iter().zip(expected(*path)) {
            let stage = Stage::new(who).await;
            stage.prepare(*path, who).await;
            let before = stage.membership().await;
            let could = stage.may_write().await;
            let answer = stage.take(*path).await;
            let outcome = match answer {
                Err(refusal) => Outcome::Refused(refusal.reason),
                Ok(()) if stage.recorded().await.outcome == "self_grant" => Outcome::SelfGrant,
                Ok(()) => Outcome::NothingGained,
            };
            assert_eq!(outcome, expected, "{path:?} {who:?}");
            let recorded = match expected {
                Outcome::Refused(reason) => reason.as_str(),
                Outcome::SelfGrant => "self_grant",
                Outcome::NothingGained => "done",
            };
            // What a service does stands in the record of no workspace.
            if !matches!(path, Path::ARetiredPermissionRegisteredAgain) {
                let row = stage.recorded().await;
                assert_eq!((row.outcome.as_str(), row.actor), (recorded, Some(stage.maker.id)), "{path:?} {who:?}");
            }
            if matches!(path, Path::ARoleOfARetiredPermission) {
                stage.retired(None).await;
            }
            assert_eq!(stage.may_write().await, could || expected == Outcome::SelfGrant, "{path:?} {who:?}");
            if expected != Outcome::SelfGrant {
                assert_eq!(stage.membership().await, before, "{path:?} {who:?}");
            }
        }
    }
}

/// What is built is known by the constant that every change has.
#[test]
fn no_change_is_without_a_row() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/usecase")).unwrap();
    let sources = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let text: String = sources.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let built: Vec<&str> = text
        .split("const ACTION: AuditAction = AuditAction::")
        .skip(1)
        .map(|rest| rest.split(';').next().unwrap())
        .collect();
    assert!(built.len() > 6, "{built:?}");
    for action in AuditAction::ALL {
        let name = format!("{action:?}");
        let is_change = built.contains(&name.as_str());
        let only_reads = matches!(row(action), Row::CannotRaise(Why::OnlyReads));
        assert!(!(is_change && only_reads), "{name} is a change; say how it could raise its maker");
    }
}

/// The actions that cannot raise their maker for a reason.
fn because(why: Why) -> impl Iterator<Item = AuditAction> {
    AuditAction::ALL.into_iter().filter(move |action| matches!(row(*action), Row::CannotRaise(given) if given == why))
}

/// Whoever acts, a service without the scope is refused.
#[tokio::test]
async fn what_a_service_does_by_its_own_scope_no_person_brings_about() {
    let world = World::new().await;
    let by = Call {
        actor: Actor::person(ServicePrincipal::new("bare").acting_as_anybody(), world.dana.id),
        ..call(&world.dana)
    };
    for action in because(Why::AServicesOwn) {
        let answer = match action {
            AuditAction::CreateWorkspace => world.domicile.create_workspace(&by, &cobalt("dana")).await.map(drop),
            AuditAction::RetirePermission => {
                let retire =
                    RetirePermission { request: request(), name: "orders.read".to_owned(), validate_only: false };
                world.domicile.retire_permission(&by, &retire).await.map(drop)
            }
            other => panic!("say how {other:?} is tried"),
        };
        assert_eq!(reason(answer), Reason::PermissionDenied, "{action:?}");
    }
}

/// Acme with Dana, with Nora who has a role directly and by a group, and with Vera of Borealis, who has it under a
/// relationship.
struct Company {
    world: World,
    people: [UserId; 3],
    crew: Group,
    agreed: WorkspaceRelationship,
    asked: WorkspaceRelationship,
}

impl Company {
    async fn new() -> Self {
        let world = World::new().await;
        let cobalt = workspace("cobalt");
        let mut agreed = relationship(world.acme.id, world.borealis.id);
        agreed.host_terms.ceiling.roles.insert(world.reader.id);
        let mut asked = relationship(world.acme.id, cobalt.id);
        (asked.state, asked.proposed_by_side, asked.answered_at) = (RelationshipState::Proposed, Side::Home, None);
        let dusk = workspace("dusk");
        let mut crew = group(world.acme.id, "crew");
        crew.roles.insert(world.reader.id);
        world.put(&[(&cobalt).into(), (&dusk).into(), (&agreed).into(), (&asked).into(), (&crew).into()]).await;
        let (nora, vera) = (user(world.acme.id, "nora"), user(world.borealis.id, "vera"));
        let (mut here, mut visit) = (internal(&nora), external(&vera, world.acme.id));
        here.base.grants.roles.insert(world.reader.id);
        here.groups.insert(crew.id);
        visit.base.grants.roles.insert(world.reader.id);
        world.put(&[(&nora).into(), (&vera).into(), here.into(), internal(&vera).into(), visit.into()]).await;
        world.put(&[(nora.id, Self::identity()).into()]).await;
        Self { people: [world.dana.id, nora.id, vera.id], world, crew, agreed, asked }
    }

    fn identity() -> Identity {
        Identity { issuer: "https://login.example".to_owned(), subject: "nora".to_owned() }
    }

    /// Who may what.
    async fn decided(&self) -> BTreeSet<(UserId, &'static str)> {
        let mut decided = BTreeSet::new();
        for person in self.people {
            for name in ["orders.read", "orders.write", "domicile.create", "domicile.update"] {
                if self.world.check(person, name).await.unwrap().decision.is_ok() {
                    decided.insert((person, name));
                }
            }
        }
        decided
    }

    async fn make(&self, action: AuditAction) -> Result<(), Refusal> {
        let (domicile, by) = (&self.world.domicile, call(&self.world.dana));
        let (nora, crew) = (self.people[1].to_string(), self.crew.handle.to_string());
        let named = |of: &WorkspaceRelationship| NamedRelationship {
            relationship: of.id.to_string(),
            etag: etag(of.id, of.version),
        };
        match action {
            AuditAction::DeleteRole => {
                let reader = &self.world.reader;
                let (role, etag) = (reader.handle.to_string(), etag(reader.id, reader.version));
                domicile.delete_role(&by, &order(), &DeleteRole { role, etag, force: true }).await.map(drop)
            }
            AuditAction::UnbindIdentity => {
                let gone = ChangeIdentity { user: nora, identity: Self::identity() };
                domicile.unbind_identity(&by, &order(), &gone).await.map(drop)
            }
            AuditAction::DeleteGroup => {
                let etag = etag(self.crew.id, self.crew.version);
                domicile.delete_group(&by, &order(), &DeleteGroup { group: crew, etag, force: true }).await.map(drop)
            }
            AuditAction::RemoveGroupMembers => {
                let out = GroupMembers { group: crew, users: vec![nora] };
                domicile.remove_group_members(&by, &order(), &out).await.map(drop)
            }
            AuditAction::SuspendRelationship => {
                domicile.suspend_relationship(&by, &order(), &named(&self.agreed)).await.map(drop)
            }
            AuditAction::DeclineRelationship => {
                domicile.decline_relationship(&by, &order(), &named(&self.asked)).await.map(drop)
            }
            AuditAction::ProposeRelationship => {
                let ceiling = GrantsInput { roles: vec!["reader".to_owned()], permissions: vec![] };
                let proposed = ProposeRelationship {
                    other: Some(OtherWorkspace::Named("dusk".to_owned())),
                    terms: Some(TermsInput::Host(HostTermsInput { ceiling, ..HostTermsInput::default() })),
                };
                domicile.propose_relationship(&by, &order(), &proposed).await.map(drop)
            }
            AuditAction::UpdateWorkspace => {
                let renamed = UpdateWorkspace {
                    update_mask: ["display_name", "default_region"].map(ToOwned::to_owned).into(),
                    display_name: "Acme anew".to_owned(),
                    default_region: "AT".to_owned(),
                    ..UpdateWorkspace::default()
                };
                domicile.update_workspace(&by, &order(), &renamed).await.map(drop)
            }
            other => panic!("say how {other:?} is tried"),
        }
    }
}

#[tokio::test]
async fn what_only_takes_away_gives_nobody_more_and_what_decides_nothing_leaves_everybody_what_they_had() {
    let all = |why| because(why).map(move |action| (why, action));
    let mut less = 0;
    for (why, action) in all(Why::OnlyTakesAway).chain(all(Why::DecidesNothing)) {
        let company = Company::new().await;
        let (before, rules) = (company.decided().await, company.world.acme_now().await.policy);
        assert_eq!(before.len(), 4, "each has something: {before:?}");
        company.make(action).await.unwrap();
        let after = company.decided().await;
        match why {
            Why::OnlyTakesAway => assert!(after.is_subset(&before), "{action:?}: {after:?}"),
            _ => assert_eq!(after, before, "{action:?}"),
        }
        // No rule that decides later is other than it was, but for a role that is gone from it.
        if action != AuditAction::DeleteRole {
            assert_eq!(company.world.acme_now().await.policy, rules, "{action:?}");
        }
        less += usize::from(after != before);
    }
    assert!(less > 1, "nothing was taken away");
}
