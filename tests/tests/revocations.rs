//! R6, on the product as it is run: two processes on one store, each with its cache. What one takes away or gives, in any way
//! there is, decides the next check of the other that names the token of the change, and the next of its own without one.
//!
//! The clock stands, so that what the other process keeps never grows old by itself: without the token its next check still
//! answers as before, which each pair sees too.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]
#![expect(clippy::print_stderr, reason = "a hundred thousand pairs take half an hour")]

use std::path::Path;
use std::sync::Arc;

use domicile_cache::{Cached, cached};
use domicile_domain::model::group::Group;
use domicile_domain::model::id::{Id, UserId};
use domicile_domain::model::membership::Grants;
use domicile_domain::model::relationship::WorkspaceRelationship;
use domicile_domain::model::role::Role;
use domicile_domain::model::time::Version;
use domicile_domain::model::workspace::WorkspaceState;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    CheckAccess, CheckSubject, Consistency, Domicile, DomicileApi, GrantsInput, GroupMembers, HomeTermsInput,
    HostTermsInput, NamedRelationship, Order, PolicyInput, Ports, SetPermissions, SetRoles, UpdateGroup,
    UpdateRelationship, UpdateRole, UpdateWorkspacePolicy, etag,
};
use domicile_store_seaorm::SeaOrmStore;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_testkit::builders::{
    WIDE_BUDGETS, external, group, internal, permission, permission_name, relationship, role, user,
};
use domicile_testkit::memory::MemoryStore;
use domicile_tests::world::{Place, World, request, stored};

const PERMISSION: &str = "orders.read";
const READER: &str = "reader";
const EDITED: &str = "edited";
/// What a cache may take; far more than the few people of this test need.
const MEMORY: usize = 1 << 20;

/// How somebody has less, and has it again.
#[derive(Debug, Clone, Copy)]
enum Way {
    RolesOfAMember,
    PermissionsOfAMember,
    PermissionsOfARole,
    MembersOfAGroup,
    RolesOfAGroup,
    SuspendedByTheHost,
    SuspendedByTheHome,
    CeilingOfAnAgreement,
    CeilingOfUnknownHomes,
}

const WAYS: [Way; 9] = [
    Way::RolesOfAMember,
    Way::PermissionsOfAMember,
    Way::PermissionsOfARole,
    Way::MembersOfAGroup,
    Way::RolesOfAGroup,
    Way::SuspendedByTheHost,
    Way::SuspendedByTheHome,
    Way::CeilingOfAnAgreement,
    Way::CeilingOfUnknownHomes,
];

/// How many pairs are made on each store; `make soak` makes 100,000.
fn pairs() -> usize {
    std::env::var("DOMICILE_TEST_PAIRS").map_or(20 * WAYS.len(), |text| text.parse().unwrap())
}

/// One process on the store.
fn process<S: Store + Directory + 'static>(store: Arc<S>, ports: &Ports) -> Domicile {
    let Cached { store, directory } = cached(store.clone(), store, ports.clock.clone(), MEMORY);
    Domicile::new(Ports { store, directory, ..ports.clone() }).with_budgets(WIDE_BUDGETS)
}

/// A thing that is changed, as it was told of last.
struct Changing {
    thing: String,
    etag: String,
}

impl Changing {
    fn new<K>(id: Id<K>) -> Self {
        Self { thing: id.to_string(), etag: etag(id, Version::FIRST) }
    }

    fn now_at<K>(&mut self, id: Id<K>, version: Version) {
        self.etag = etag(id, version);
    }
}

/// Two processes, with a person in `acme` for each way.
struct Stage {
    world: World,
    here: Domicile,
    there: Domicile,
    cobalt: Place,
    /// Whose roles, whose permissions, who has the role that is edited, who is put into a group, whose group is edited, whose
    /// home is suspended and whose home has an agreement.
    people: [UserId; 7],
    by_roles: Changing,
    by_permissions: Changing,
    edited: Changing,
    crew: Changing,
    suspended: Changing,
    agreed: Changing,
    policy: Changing,
}

impl Stage {
    /// Everybody has the permission in `acme`, and both processes know.
    async fn new<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>, opened_again: Arc<S>) -> Self {
        let world = World::new(store.clone()).await;
        let acme = world.acme.workspace;
        let cobalt = world.place_in("cobalt", WorkspaceState::Active).await;
        let delta = world.place_in("delta", WorkspaceState::Active).await;
        let for_externals = |handle| Role {
            for_externals: true,
            permissions: [permission_name(PERMISSION)].into(),
            ..role(acme, handle)
        };
        let (reader, edited) = (for_externals(READER), for_externals(EDITED));
        let team = Group { roles: [reader.id].into(), ..group(acme, "team") };
        let crew = Group { roles: [reader.id].into(), ..group(acme, "crew") };
        world.put(vec![permission(PERMISSION).into(), (&reader).into(), (&edited).into()]).await;
        world.put(vec![(&team).into(), (&crew).into()]).await;

        let by_role = |role: &Role| Grants { roles: [role.id].into(), ..Grants::default() };
        let directly = Grants { permissions: [permission_name(PERMISSION)].into(), ..Grants::default() };
        let mut visitors = Vec::new();
        for (home, name, grants) in [
            (world.borealis, "roles", by_role(&reader)),
            (world.borealis, "permissions", directly),
            (world.borealis, "edited", by_role(&edited)),
            (cobalt, "suspended", by_role(&reader)),
            (delta, "agreed", by_role(&reader)),
        ] {
            let person = user(home.workspace, name);
            let mut visit = external(&person, acme);
            visit.base.grants = grants;
            visitors.push(visit.base.clone());
            world.put(vec![(&person).into(), internal(&person).into(), visit.into()]).await;
        }
        let [by_roles, by_permissions, by_edited, suspended, agreed] = visitors.try_into().unwrap();
        let mut colleagues = Vec::new();
        for group in [&team, &crew] {
            let person = user(acme, group.handle.as_str());
            let mut membership = internal(&person);
            membership.groups.insert(group.id);
            world.put(vec![(&person).into(), membership.into()]).await;
            colleagues.push(person.id);
        }
        let [in_team, in_crew] = colleagues.try_into().unwrap();
        let agreement = |home: Place| {
            let mut agreement: WorkspaceRelationship = relationship(acme, home.workspace);
            agreement.host_terms.ceiling.roles.insert(reader.id);
            agreement
        };
        let (with_cobalt, with_delta) = (agreement(cobalt), agreement(delta));
        world.put(vec![(&with_cobalt).into(), (&with_delta).into()]).await;

        let ports = &world.ports;
        let (here, there) = (process(store, ports), process(opened_again, ports));
        let host = stored(&world, world.acme).await;
        let mut stage = Self {
            here,
            there,
            cobalt,
            people: [by_roles.user, by_permissions.user, by_edited.user, in_team, in_crew, suspended.user, agreed.user],
            by_roles: Changing::new(by_roles.id),
            by_permissions: Changing::new(by_permissions.id),
            edited: Changing::new(edited.id),
            crew: Changing::new(crew.id),
            suspended: Changing::new(with_cobalt.id),
            agreed: Changing::new(with_delta.id),
            policy: Changing { etag: etag(host.id, host.version), thing: host.id.to_string() },
            world,
        };
        let token = stage.change(Way::CeilingOfUnknownHomes, true).await;
        for person in stage.people {
            for process in [&stage.here, &stage.there] {
                assert!(stage.may(process, person, Consistency::AtLeastAsFresh(token.clone())).await);
            }
        }
        stage
    }

    fn person(&self, way: Way) -> UserId {
        let [by_roles, by_permissions, by_edited, in_team, in_crew, suspended, agreed] = self.people;
        match way {
            Way::RolesOfAMember | Way::CeilingOfUnknownHomes => by_roles,
            Way::PermissionsOfAMember => by_permissions,
            Way::PermissionsOfARole => by_edited,
            Way::MembersOfAGroup => in_team,
            Way::RolesOfAGroup => in_crew,
            Way::SuspendedByTheHost | Way::SuspendedByTheHome => suspended,
            Way::CeilingOfAnAgreement => agreed,
        }
    }

    /// Gives the permission in that way, or takes it away, in the one process; the token of it.
    async fn change(&mut self, way: Way, give: bool) -> String {
        let place = if matches!(way, Way::SuspendedByTheHome) { self.cobalt } else { self.world.acme };
        let by = self.world.call(place.manager);
        let order =
            Order { workspace: place.workspace.to_string(), request: request(&self.world.ports), validate_only: false };
        let if_given = |name: &str| give.then(|| name.to_owned()).into_iter().collect::<Vec<_>>();
        let token = match way {
            Way::RolesOfAMember => {
                let user = self.person(way).to_string();
                let change = SetRoles { user, roles: if_given(READER), etag: self.by_roles.etag.clone() };
                let done = self.here.set_roles(&by, &order, &change).await.unwrap();
                let base = done.thing.unwrap().membership.base().clone();
                self.by_roles.now_at(base.id, base.version);
                done.consistency_token
            }
            Way::PermissionsOfAMember => {
                let user = self.person(way).to_string();
                let etag = self.by_permissions.etag.clone();
                let change = SetPermissions { user, permissions: if_given(PERMISSION), etag };
                let done = self.here.set_permissions(&by, &order, &change).await.unwrap();
                let base = done.thing.unwrap().membership.base().clone();
                self.by_permissions.now_at(base.id, base.version);
                done.consistency_token
            }
            Way::PermissionsOfARole => {
                let change = UpdateRole {
                    role: EDITED.to_owned(),
                    paths: vec!["permissions".to_owned()],
                    permissions: if_given(PERMISSION),
                    etag: self.edited.etag.clone(),
                    ..UpdateRole::default()
                };
                let done = self.here.update_role(&by, &order, &change).await.unwrap();
                let role = done.thing.unwrap().role;
                self.edited.now_at(role.id, role.version);
                done.consistency_token
            }
            Way::MembersOfAGroup => {
                let members = GroupMembers { group: "team".to_owned(), users: vec![self.person(way).to_string()] };
                let done = if give {
                    self.here.add_group_members(&by, &order, &members).await
                } else {
                    self.here.remove_group_members(&by, &order, &members).await
                };
                done.unwrap().consistency_token
            }
            Way::RolesOfAGroup => {
                let change = UpdateGroup {
                    group: "crew".to_owned(),
                    etag: self.crew.etag.clone(),
                    update_mask: vec!["roles".to_owned()],
                    roles: if_given(READER),
                    ..UpdateGroup::default()
                };
                let done = self.here.update_group(&by, &order, &change).await.unwrap();
                let group = done.thing.unwrap().group;
                self.crew.now_at(group.id, group.version);
                done.consistency_token
            }
            Way::SuspendedByTheHost | Way::SuspendedByTheHome => {
                let named = self.suspended.named();
                let done = if give {
                    self.here.resume_relationship(&by, &order, &named).await
                } else {
                    self.here.suspend_relationship(&by, &order, &named).await
                };
                let done = done.unwrap();
                let view = done.thing.unwrap().view;
                self.suspended.now_at(view.id, view.version);
                done.consistency_token
            }
            Way::CeilingOfAnAgreement => {
                let ceiling = GrantsInput { roles: if_given(READER), ..GrantsInput::default() };
                let change = UpdateRelationship {
                    named: self.agreed.named(),
                    host_terms: HostTermsInput { ceiling, ..HostTermsInput::default() },
                    home_terms: HomeTermsInput::default(),
                    paths: vec!["host_terms.ceiling".to_owned()],
                };
                let done = self.here.update_relationship(&by, &order, &change).await.unwrap();
                let view = done.thing.unwrap().view;
                self.agreed.now_at(view.id, view.version);
                done.consistency_token
            }
            Way::CeilingOfUnknownHomes => {
                let roles = if_given(READER).into_iter().chain([EDITED.to_owned()]).collect();
                let default_ceiling = GrantsInput { roles, permissions: vec![PERMISSION.to_owned()] };
                let change = UpdateWorkspacePolicy {
                    etag: self.policy.etag.clone(),
                    update_mask: vec!["default_ceiling".to_owned()],
                    policy: PolicyInput { default_ceiling, ..PolicyInput::default() },
                };
                let done = self.here.update_workspace_policy(&by, &order, &change).await.unwrap();
                let acme = done.thing.unwrap().workspace;
                self.policy.now_at(acme.id, acme.version);
                done.consistency_token
            }
        };
        token.unwrap()
    }

    async fn may(&self, on: &Domicile, person: UserId, consistency: Consistency) -> bool {
        let question = CheckAccess {
            workspace: self.world.acme.workspace.to_string(),
            subject: CheckSubject::User(person.to_string()),
            permission: PERMISSION.to_owned(),
            consistency,
        };
        on.check_access(&self.world.service_call(), &question).await.unwrap().decision.is_ok()
    }

    /// One change and what both processes answer after it.
    async fn turn(&mut self, way: Way, give: bool, pair: usize) {
        let person = self.person(way);
        let what = || format!("pair {pair}, {way:?}, {}", if give { "given" } else { "taken" });
        assert_eq!(self.may(&self.there, person, Consistency::MinimizeLatency).await, !give, "before {}", what());
        let token = self.change(way, give).await;
        let kept = self.may(&self.there, person, Consistency::MinimizeLatency).await;
        assert_eq!(kept, !give, "without the token the other process knows what it knew, {}", what());
        let told = self.may(&self.there, person, Consistency::AtLeastAsFresh(token)).await;
        assert_eq!(told, give, "stale with the token, {}", what());
        for (whose, process) in [("the other", &self.there), ("the own", &self.here)] {
            let now = self.may(process, person, Consistency::MinimizeLatency).await;
            assert_eq!(now, give, "stale in {whose} process, {}", what());
        }
        assert_eq!(self.may(&self.there, person, Consistency::FullyConsistent).await, give, "stale, {}", what());
    }
}

impl Changing {
    fn named(&self) -> NamedRelationship {
        NamedRelationship { relationship: self.thing.clone(), etag: self.etag.clone() }
    }
}

async fn no_check_is_stale<S: Store + Directory + StoreProbe + 'static>(on: &str, store: S, opened_again: S) {
    let mut stage = Stage::new(Arc::new(store), Arc::new(opened_again)).await;
    for (pair, way) in (0..pairs()).zip(WAYS.into_iter().cycle()) {
        if pair % 10_000 == 0 && pair > 0 {
            eprintln!("{on}: {pair} pairs");
        }
        stage.turn(way, false, pair).await;
        stage.turn(way, true, pair).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_after_a_change_is_stale_in_memory() {
    let store = MemoryStore::new();
    no_check_is_stale("memory", store.clone(), store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_after_a_change_is_stale_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |path: &Path| SeaOrmStore::open_file(path).await.unwrap();
    let path = folder.path().join("domicile.db");
    no_check_is_stale("SQLite", open(&path).await, open(&path).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_after_a_change_is_stale_on_postgres() {
    let Some(server) = postgres_server() else { return };
    let database = SeaOrmStore::create_database(&server).await.unwrap();
    SeaOrmStore::migrate(&database).await.unwrap();
    let open = async || SeaOrmStore::open(&database, 4).await.unwrap();
    no_check_is_stale("PostgreSQL", open().await, open().await).await;
}
