//! Roles and groups, and every move of a manager.

use domicile_domain::error::Refusal;
use domicile_domain::model::group::Group;
use domicile_domain::model::membership::Grants;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::relationship::{RelationshipState, Side};
use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::user::{User, UserState};
use domicile_domain::usecase::{
    DeleteGroup, DeleteRole, DomicileApi, GroupMembers, Order, UpdateGroup, UpdateRole, etag,
};
use domicile_testkit::builders::{NOW, built_in, group, internal, relationship, role, user, with_role};

use super::refused;
use super::table::Table;
use crate::support::{World, both_rights, call, in_state, order};

/// Every move is rehearsed, so that the next one meets the same.
fn rehearsal() -> Order {
    Order { validate_only: true, ..order() }
}

fn told<T>(answer: Result<T, Refusal>, done: impl FnOnce(T) -> String) -> String {
    answer.map_or_else(|refusal| refused(&refusal), done)
}

/// Where a role stands.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Unused,
    OfAnInternal,
    OfAnExternal,
    OfAGroup,
    InTheDefault,
    InTerms(RelationshipState),
    OnesOwn,
    TheOnlyGovernance,
    BuiltIn,
    OfBorealis,
    Deleted,
}

impl Standing {
    const ALL: [(&str, Self); 13] = [
        ("unused", Self::Unused),
        ("of an Internal", Self::OfAnInternal),
        ("of an External", Self::OfAnExternal),
        ("of a group of two", Self::OfAGroup),
        ("in the default ceiling", Self::InTheDefault),
        ("in a ceiling that is proposed", Self::InTerms(RelationshipState::Proposed)),
        ("in a ceiling that is agreed", Self::InTerms(RelationshipState::Active)),
        ("in a ceiling that ended", Self::InTerms(RelationshipState::Ended)),
        ("one's own", Self::OnesOwn),
        ("the only governance there is", Self::TheOnlyGovernance),
        ("built in", Self::BuiltIn),
        ("of Borealis", Self::OfBorealis),
        ("deleted", Self::Deleted),
    ];

    /// The world in which a role stands so, the role, and the manager who moves.
    async fn set(self) -> (World, Role, User) {
        let mut desk = None;
        let world = World::with(|plan| {
            let mut made = role(plan.acme.id, "desk");
            made.for_externals = true;
            if matches!(self, Self::InTheDefault) {
                plan.acme.policy.default_ceiling.roles.insert(made.id);
            }
            if matches!(self, Self::TheOnlyGovernance) {
                made.permissions = both_rights().into();
            }
            desk = Some(made);
        })
        .await;
        let mut desk = desk.unwrap();
        if matches!(self, Self::OfBorealis) {
            desk.workspace = world.borealis.id;
        }
        if !matches!(self, Self::Deleted | Self::BuiltIn) {
            world.put(&[(&desk).into()]).await;
        }
        let mut mover = world.dana.clone();
        match self {
            Self::OfAnInternal => {
                let nora = user(world.acme.id, "nora");
                world.put(&[(&nora).into(), with_role(internal(&nora), &desk).into()]).await;
            }
            Self::OfAnExternal => {
                world.visitor("vera", |visit| visit.base.grants.roles.extend([desk.id])).await;
            }
            Self::OfAGroup => {
                let mut crew = group(world.acme.id, "crew");
                crew.roles.insert(desk.id);
                world.put(&[(&crew).into()]).await;
                for name in ["nora", "paul"] {
                    let person = user(world.acme.id, name);
                    let mut membership = internal(&person);
                    membership.groups.insert(crew.id);
                    world.put(&[person.into(), membership.into()]).await;
                }
            }
            Self::InTerms(state) => {
                let mut of = relationship(world.acme.id, world.borealis.id);
                of.host_terms.ceiling.roles.insert(desk.id);
                of.state = state;
                match state {
                    RelationshipState::Proposed => (of.proposed_by_side, of.answered_at) = (Side::Host, None),
                    RelationshipState::Ended => of.ended_at = Some(NOW),
                    _ => {}
                }
                world.put(&[of.into()]).await;
            }
            Self::OnesOwn => {
                let second = user(world.acme.id, "second");
                let mut membership = internal(&second);
                membership.base.grants.roles.extend([desk.id, world.governor.id]);
                world.put(&[(&second).into(), membership.into()]).await;
                mover = second;
            }
            Self::TheOnlyGovernance => {
                let second = user(world.acme.id, "second");
                world.put(&[(&second).into(), with_role(internal(&second), &desk).into()]).await;
                world.regrant(world.dana.id, |grants| *grants = Grants::default()).await;
                mover = second;
            }
            Self::BuiltIn => desk = built_in(world.acme.id, BuiltInRole::Guest),
            Self::Unused | Self::InTheDefault | Self::OfBorealis | Self::Deleted => {}
        }
        (world, desk, mover)
    }
}

/// Every move of a role, wherever it stands.
pub(super) async fn role_moves() -> Table {
    let note = "Dana, or whoever manages Acme besides, moves a role of Acme, which is marked for Externals. The permission that is\n\
                added is orders.write; to whom it counts is told in Internals and Externals. Deleting tells of memberships,\n\
                groups and ceilings.";
    let columns = ["role", "rename", "add a permission", "unmark for Externals", "delete", "delete with force"];
    let mut table = Table::new("16. Every move of a role", note, &columns);
    for (name, standing) in Standing::ALL {
        let (world, desk, mover) = standing.set().await;
        let by = call(&mover);
        let etag = etag(desk.id, desk.version);
        let role = if matches!(standing, Standing::OfBorealis) { desk.id.to_string() } else { desk.handle.to_string() };
        let replacing = |path: &str| UpdateRole {
            role: role.clone(),
            etag: etag.clone(),
            paths: vec![path.to_owned()],
            display_name: "Anew".to_owned(),
            permissions: desk
                .permissions
                .iter()
                .map(PermissionName::to_string)
                .chain(["orders.write".to_owned()])
                .collect(),
            for_externals: false,
        };
        let mut cells = vec![name.to_owned()];
        for path in ["display_name", "permissions", "for_externals"] {
            let answer = world.domicile.update_role(&by, &rehearsal(), &replacing(path)).await;
            cells.push(told(answer, |changed| {
                let reach = changed.thing.unwrap().reach;
                format!("changed for {} and {}", reach.internals, reach.externals)
            }));
        }
        for force in [false, true] {
            let delete = DeleteRole { role: role.clone(), etag: etag.clone(), force };
            let answer = world.domicile.delete_role(&by, &rehearsal(), &delete).await;
            cells.push(told(answer, |gone| {
                let uses = gone.thing.unwrap().uses;
                format!("deleted from {}, {} and {}", uses.memberships, uses.groups, uses.ceilings)
            }));
        }
        table.row(cells);
    }
    table
}

/// A group, and who moves it.
#[derive(Debug, Clone, Copy)]
enum Gathering {
    Empty,
    WithOne,
    Governing,
    OfBorealis,
    Deleted,
}

/// Every move of a group, whatever it is.
pub(super) async fn group_moves() -> Table {
    let note = "A group of Acme. Nora is in it where the row says so, and nobody else ever is. The role that is added grants\n\
                orders.read; a helper holds the right to update alone.";
    let columns = [
        "group",
        "rename",
        "add a role",
        "add a role that governs",
        "put in Nora",
        "put in a suspended Internal",
        "put in a deactivated Internal",
        "put in an External",
        "put in a stranger",
        "take out Nora",
        "take out an External",
        "delete",
        "delete with force",
    ];
    let mut table = Table::new("17. Every move of a group", note, &columns);
    let all = [
        ("empty", Gathering::Empty),
        ("with Nora in it", Gathering::WithOne),
        ("carries a role that governs", Gathering::Governing),
        ("of Borealis", Gathering::OfBorealis),
        ("deleted", Gathering::Deleted),
    ];
    for (name, gathering) in all {
        for helper in [false, true] {
            let world = World::new().await;
            let home = if matches!(gathering, Gathering::OfBorealis) { world.borealis.id } else { world.acme.id };
            let mut crew = group(home, "crew");
            if matches!(gathering, Gathering::Governing) {
                crew.roles.insert(world.governor.id);
            }
            if !matches!(gathering, Gathering::Deleted) {
                world.put(&[(&crew).into()]).await;
            }
            let nora = user(world.acme.id, "nora");
            let mut membership = internal(&nora);
            if matches!(gathering, Gathering::WithOne) {
                membership.groups.insert(crew.id);
            }
            world.put(&[(&nora).into(), membership.into()]).await;
            let mover =
                if helper { world.colleague("helper", &[PermissionName::update()]).await } else { world.dana.clone() };
            let who = if helper { ", moved by a helper" } else { "" };
            let cells = moved(&world, &crew, &nora, &mover).await;
            table.row([format!("{name}{who}")].into_iter().chain(cells));
        }
    }
    table
}

async fn moved(world: &World, crew: &Group, nora: &User, mover: &User) -> Vec<String> {
    let (domicile, by) = (&world.domicile, call(mover));
    let here = crew.workspace == world.acme.id;
    let named = if here { crew.handle.to_string() } else { crew.id.to_string() };
    let etag = etag(crew.id, crew.version);
    let suspended = world.account(in_state(user(world.acme.id, "off"), UserState::Suspended)).await;
    let gone = world.account(in_state(user(world.acme.id, "gone"), UserState::Deactivated)).await;
    let external = world.visitor("vera", |_| {}).await;
    let stranger = world.stranger("stranger").await;
    let mut cells = Vec::new();
    for (path, roles) in [("display_name", vec![]), ("roles", vec!["reader"]), ("roles", vec!["access-manager"])] {
        let carried = crew.roles.iter().map(ToString::to_string);
        let change = UpdateGroup {
            group: named.clone(),
            etag: etag.clone(),
            update_mask: vec![path.to_owned()],
            display_name: "Anew".to_owned(),
            roles: carried.chain(roles.into_iter().map(ToOwned::to_owned)).collect(),
        };
        cells.push(told(domicile.update_group(&by, &rehearsal(), &change).await, |_| "changed".to_owned()));
    }
    let of = |person: &User| GroupMembers { group: named.clone(), users: vec![person.id.to_string()] };
    for person in [nora, &suspended, &gone, &external, &stranger] {
        let answer = domicile.add_group_members(&by, &rehearsal(), &of(person)).await;
        cells.push(told(answer, |changed| format!("{} in it", changed.thing.unwrap().members)));
    }
    for person in [nora, &external] {
        let answer = domicile.remove_group_members(&by, &rehearsal(), &of(person)).await;
        cells.push(told(answer, |changed| format!("{} in it", changed.thing.unwrap().members)));
    }
    for force in [false, true] {
        let delete = DeleteGroup { group: named.clone(), etag: etag.clone(), force };
        cells.push(told(domicile.delete_group(&by, &rehearsal(), &delete).await, |_| "deleted".to_owned()));
    }
    cells
}
