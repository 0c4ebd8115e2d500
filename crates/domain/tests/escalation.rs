//! Nobody raises themself: each maker tries each path of each change, and a change without a row here fails.

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::audit::AuditAction;
use domicile_domain::model::group::Group;
use domicile_domain::model::membership::{Grants, Membership, MembershipBase};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::Role;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    AssignUser, ChangeIdentity, CreateGroup, CreateRole, DomicileApi, GrantsInput, GroupMembers, SetPermissions,
    SetRoles, UpdateGroup, UpdateRole, etag,
};
use domicile_testkit::builders::{external, group, internal, permission, permission_name, role, user};
use domicile_testkit::seed::PATIENCE;

use crate::support::{World, call, mail, order, save};

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
}

/// What a change can do for its maker.
enum Row {
    /// Nothing: why.
    CannotRaise(&'static str),
    /// What the ways are.
    Paths(&'static [Path]),
    /// It needs another stage: the text of the file, and the test in it.
    TriedIn(&'static str, &'static str),
}

const POLICIES: &str = include_str!("policies.rs");
const RELATIONSHIPS: &str = include_str!("relationships.rs");

/// A new action does not compile without a row.
const fn row(action: AuditAction) -> Row {
    match action {
        AuditAction::SetRoles => Row::Paths(&[Path::RoleForOneself]),
        AuditAction::SetPermissions => Row::Paths(&[Path::PermissionForOneself, Path::GovernanceForOneself]),
        AuditAction::UpdateRole => Row::Paths(&[Path::PermissionForARoleOneHas]),
        AuditAction::CreateRole => Row::Paths(&[Path::ANewRoleForOneself]),
        AuditAction::AssignUser => Row::Paths(&[Path::OneselfAssignedAgain]),
        AuditAction::BindIdentity => Row::Paths(&[Path::AnIdentityForOneself]),
        AuditAction::CreateWorkspace => Row::CannotRaise("a service or the operator makes it, for somebody new"),
        AuditAction::RegisterPermissions | AuditAction::RetirePermission => {
            Row::CannotRaise("a service does it by its own scope, and no person")
        }
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
        | AuditAction::ExplainAccess => Row::CannotRaise("it only reads"),
        AuditAction::ActAs => Row::CannotRaise("it is recorded where it is refused"),
        AuditAction::CreateGroup => Row::Paths(&[Path::ANewGroupForOneself]),
        AuditAction::AddGroupMembers => Row::Paths(&[Path::AGroupForOneself]),
        AuditAction::UpdateGroup => Row::Paths(&[Path::ARoleForAGroupOneIsIn]),
        AuditAction::DeleteRole
        | AuditAction::UnbindIdentity
        | AuditAction::DeleteGroup
        | AuditAction::RemoveGroupMembers
        | AuditAction::SuspendRelationship => Row::CannotRaise("it only takes away"),
        AuditAction::UpdateWorkspace => Row::CannotRaise("none of its fields decides what somebody may do"),
        AuditAction::UpdateWorkspacePolicy => {
            Row::TriedIn(POLICIES, "nobody_opens_their_home_to_get_back_what_they_have_elsewhere")
        }
        AuditAction::ProposeRelationship | AuditAction::DeclineRelationship => {
            Row::CannotRaise("nothing is in force before the other side says yes")
        }
        AuditAction::UpdateRelationship | AuditAction::ApproveRelationship | AuditAction::ResumeRelationship => {
            Row::TriedIn(RELATIONSHIPS, "nobody_raises_themself_in_the_other_workspace")
        }
        AuditAction::EndRelationship => Row::TriedIn(RELATIONSHIPS, "nobody_raises_themself_in_the_other_workspace"),
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
        AlreadyMember, AnotherPersonRequired, GovernanceNotGrantable, InternalOnly, PermissionDenied, SelfEscalation,
    };
    let raised = Refused(SelfEscalation);
    match path {
        Path::RoleForOneself | Path::PermissionForOneself => [raised, SelfGrant, raised, raised],
        // Whoever qualifies may grant it to others, and to themself never.
        Path::GovernanceForOneself => {
            [raised, raised, Refused(GovernanceNotGrantable), Refused(GovernanceNotGrantable)]
        }
        Path::PermissionForARoleOneHas | Path::ANewRoleForOneself => {
            [raised, SelfGrant, Refused(PermissionDenied), Refused(PermissionDenied)]
        }
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
}

impl Stage {
    async fn new(who: Maker) -> Self {
        let mut desk = None;
        let world = World::with(|plan| {
            let mut for_externals = |handle: &str| {
                let role = Role { for_externals: true, ..role(plan.acme.id, handle) };
                plan.acme.policy.default_ceiling.roles.insert(role.id);
                role
            };
            let mut writer = for_externals("writer");
            writer.permissions.insert(permission_name("orders.write"));
            desk = Some((for_externals("desk"), writer));
            let ceiling = &mut plan.acme.policy.default_ceiling;
            ceiling.roles.insert(plan.governor.id);
            ceiling.permissions.extend([permission_name("orders.write"), permission_name("domicile.other")]);
            plan.acme.policy.external_managers = true;
        })
        .await;
        let (desk, writer) = desk.unwrap();
        let mut writers = group(world.acme.id, "writers");
        writers.roles.insert(writer.id);
        let team = group(world.acme.id, "team");
        world.put(&[(&desk).into(), writer.into(), permission("domicile.other").into()]).await;
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
        if matches!(who, Maker::TheOnly) {
            let dana = world.member(world.dana.id).await.unwrap().base().clone();
            let nothing = MembershipBase { grants: Grants::default(), version: dana.version.next(), ..dana.clone() };
            let mut tx = world.store.begin(PATIENCE).await.unwrap();
            tx.memberships().grant(&nothing, dana.version).await.unwrap();
            tx.commit().await.unwrap();
        }
        Self { world, maker, desk, team }
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

    async fn take(&self, path: Path) -> Result<(), Refusal> {
        let (domicile, by) = (&self.world.domicile, call(&self.maker));
        let write = vec!["orders.write".to_owned()];
        match path {
            Path::RoleForOneself => self.take_roles("writer").await,
            Path::PermissionForOneself => self.take_permission("orders.write").await,
            Path::GovernanceForOneself => self.take_permission("domicile.other").await,
            Path::PermissionForARoleOneHas => {
                let change = UpdateRole {
                    role: "desk".to_owned(),
                    paths: vec!["permissions".to_owned()],
                    permissions: write,
                    etag: etag(self.desk.id, self.desk.version),
                    ..UpdateRole::default()
                };
                domicile.update_role(&by, &order(), &change).await.map(drop)
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

#[tokio::test]
async fn whoever_tries_to_raise_themself_is_refused_on_every_path() {
    let paths = AuditAction::ALL.into_iter().filter_map(|action| match row(action) {
        Row::Paths(paths) => Some(paths),
        Row::CannotRaise(why) => {
            assert!(!why.is_empty());
            None
        }
        Row::TriedIn(file, test) => {
            assert!(file.contains(&format!("async fn {test}()")), "{test} is gone; where is {action:?} tried now?");
            None
        }
    });
    for path in paths.flatten() {
        for (who, expected) in MAKERS.into_iter().zip(expected(*path)) {
            let stage = Stage::new(who).await;
            let before = stage.membership().await;
            let answer = stage.take(*path).await;
            let row = stage.world.audit().await.remove(0);
            let outcome = match answer {
                Err(refusal) => Outcome::Refused(refusal.reason),
                Ok(()) if row.outcome == "self_grant" => Outcome::SelfGrant,
                Ok(()) => Outcome::NothingGained,
            };
            assert_eq!(outcome, expected, "{path:?} {who:?}");
            let recorded = match expected {
                Outcome::Refused(reason) => reason.as_str(),
                Outcome::SelfGrant => "self_grant",
                Outcome::NothingGained => "done",
            };
            assert_eq!((row.outcome.as_str(), row.actor), (recorded, Some(stage.maker.id)), "{path:?} {who:?}");
            let write = stage.world.check(stage.maker.id, "orders.write").await.unwrap().decision;
            assert_eq!(write.is_ok(), expected == Outcome::SelfGrant, "{path:?} {who:?}");
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
        if let Row::CannotRaise(why) = row(action) {
            assert!(!is_change || why != "it only reads", "{name} is a change; say how it could raise its maker");
        }
    }
}
