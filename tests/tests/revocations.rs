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
    ApproveRelationship, CheckAccess, CheckSubject, Consistency, CreateRole, DeleteRole, Domicile, DomicileApi,
    GrantsInput, GroupMembers, HomeTermsInput, HostTermsInput, NamedRelationship, Order, OtherWorkspace, PolicyInput,
    Ports, ProposeRelationship, SetPermissions, SetRoles, TermsInput, UpdateGroup, UpdateRelationship, UpdateRole,
    UpdateWorkspacePolicy, etag,
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
const MADE: &str = "made";
/// Stands in no ceiling but that of an agreement.
const PARTNER: &str = "partner";
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
    /// A role that is deleted with all that named it; a new one is made and given.
    DeletedRole,
    /// An agreement that ends; a new one is proposed and approved.
    EndedAgreement,
}

const WAYS: [Way; 11] = [
    Way::RolesOfAMember,
    Way::PermissionsOfAMember,
    Way::PermissionsOfARole,
    Way::MembersOfAGroup,
    Way::RolesOfAGroup,
    Way::SuspendedByTheHost,
    Way::SuspendedByTheHome,
    Way::CeilingOfAnAgreement,
    Way::CeilingOfUnknownHomes,
    Way::DeletedRole,
    Way::EndedAgreement,
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
        *self = Self { thing: id.to_string(), etag: etag(id, version) };
    }
}

/// Two processes, with a person in `acme` for each way.
struct Stage {
    world: World,
    here: Domicile,
    there: Domicile,
    cobalt: Place,
    ember: Place,
    /// Whose roles, whose permissions, who has the role that is edited, who is put into a group, whose group is edited, whose
    /// home is suspended, whose home has an agreement, who has the role that is deleted and whose home's agreement ends.
    people: [UserId; 9],
    by_roles: Changing,
    by_permissions: Changing,
    edited: Changing,
    crew: Changing,
    suspended: Changing,
    agreed: Changing,
    policy: Changing,
    made: Changing,
    by_made: Changing,
    ended: Changing,
}

impl Stage {
    /// Everybody has the permission in `acme`, and both processes know.
    async fn new<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>, opened_again: Arc<S>) -> Self {
        let world = World::new(store.clone()).await;
        let acme = world.acme.workspace;
        let cobalt = world.place_in("cobalt", WorkspaceState::Active).await;
        let delta = world.place_in("delta", WorkspaceState::Active).await;
        let ember = world.place_in("ember", WorkspaceState::Active).await;
        let for_externals = |handle| Role {
            for_externals: true,
            permissions: [permission_name(PERMISSION)].into(),
            ..role(acme, handle)
        };
        let (reader, edited) = (for_externals(READER), for_externals(EDITED));
        let (made, partner) = (for_externals(MADE), for_externals(PARTNER));
        let team = Group { roles: [reader.id].into(), ..group(acme, "team") };
        let crew = Group { roles: [reader.id].into(), ..group(acme, "crew") };
        world.put(vec![permission(PERMISSION).into(), (&reader).into(), (&edited).into()]).await;
        world.put(vec![(&made).into(), (&partner).into()]).await;
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
            (ember, "ended", by_role(&partner)),
        ] {
            let person = user(home.workspace, name);
            let mut visit = external(&person, acme);
            visit.base.grants = grants;
            visitors.push(visit.base.clone());
            world.put(vec![(&person).into(), internal(&person).into(), visit.into()]).await;
        }
        let [by_roles, by_permissions, by_edited, suspended, agreed, ended] = visitors.try_into().unwrap();
        let mut colleagues = Vec::new();
        for group in [&team, &crew] {
            let person = user(acme, group.handle.as_str());
            let mut membership = internal(&person);
            membership.groups.insert(group.id);
            world.put(vec![(&person).into(), membership.into()]).await;
            colleagues.push(person.id);
        }
        let [in_team, in_crew] = colleagues.try_into().unwrap();
        let holder = user(acme, "holder");
        let mut membership = internal(&holder);
        membership.base.grants = by_role(&made);
        let by_made = membership.base.clone();
        world.put(vec![(&holder).into(), membership.into()]).await;
        let agreement = |home: Place, role: &Role| {
            let mut agreement: WorkspaceRelationship = relationship(acme, home.workspace);
            agreement.host_terms.ceiling.roles.insert(role.id);
            agreement
        };
        let (with_cobalt, with_delta, with_ember) =
            (agreement(cobalt, &reader), agreement(delta, &reader), agreement(ember, &partner));
        world.put(vec![(&with_cobalt).into(), (&with_delta).into(), (&with_ember).into()]).await;

        let ports = &world.ports;
        let (here, there) = (process(store, ports), process(opened_again, ports));
        let host = stored(&world, world.acme).await;
        let mut stage = Self {
            here,
            there,
            cobalt,
            ember,
            people: [
                by_roles.user,
                by_permissions.user,
                by_edited.user,
                in_team,
                in_crew,
                suspended.user,
                agreed.user,
                holder.id,
                ended.user,
            ],
            by_roles: Changing::new(by_roles.id),
            by_permissions: Changing::new(by_permissions.id),
            edited: Changing::new(edited.id),
            crew: Changing::new(crew.id),
            suspended: Changing::new(with_cobalt.id),
            agreed: Changing::new(with_delta.id),
            policy: Changing { etag: etag(host.id, host.version), thing: host.id.to_string() },
            made: Changing::new(made.id),
            by_made: Changing { etag: etag(by_made.id, by_made.version.next()), thing: by_made.id.to_string() },
            ended: Changing::new(with_ember.id),
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
        let [by_roles, by_permissions, by_edited, in_team, in_crew, suspended, agreed, holder, ended] = self.people;
        match way {
            Way::RolesOfAMember | Way::CeilingOfUnknownHomes => by_roles,
            Way::PermissionsOfAMember => by_permissions,
            Way::PermissionsOfARole => by_edited,
            Way::MembersOfAGroup => in_team,
            Way::RolesOfAGroup => in_crew,
            Way::SuspendedByTheHost | Way::SuspendedByTheHome => suspended,
            Way::CeilingOfAnAgreement => agreed,
            Way::DeletedRole => holder,
            Way::EndedAgreement => ended,
        }
    }

    fn order(&self, place: Place) -> Order {
        Order { workspace: place.workspace.to_string(), request: request(&self.world.ports), validate_only: false }
    }

    /// Gives the permission in that way, or takes it away, in the one process; the token of it.
    async fn change(&mut self, way: Way, give: bool) -> String {
        let place = if matches!(way, Way::SuspendedByTheHome) { self.cobalt } else { self.world.acme };
        let by = self.world.call(place.manager);
        let order = self.order(place);
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
                let done = if give {
                    self.here.resume_relationship(&by, &order, &self.suspended.named()).await
                } else {
                    self.here.suspend_relationship(&by, &order, &self.suspended.named()).await
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
            Way::DeletedRole => self.give_or_delete_role(way, give).await,
            Way::EndedAgreement => self.agree_or_end(give).await,
        };
        token.unwrap()
    }

    /// Makes a role and gives it, or deletes it with all that names it.
    async fn give_or_delete_role(&mut self, way: Way, give: bool) -> Option<String> {
        let acme = self.world.acme;
        let by = self.world.call(acme.manager);
        if !give {
            let change = DeleteRole { role: MADE.to_owned(), etag: self.made.etag.clone(), force: true };
            let done = self.here.delete_role(&by, &self.order(acme), &change).await.unwrap();
            assert_eq!(done.thing.unwrap().uses.memberships, 1);
            return done.consistency_token;
        }
        let new = CreateRole {
            handle: MADE.to_owned(),
            display_name: MADE.to_owned(),
            permissions: vec![PERMISSION.to_owned()],
            for_externals: false,
        };
        let role = self.here.create_role(&by, &self.order(acme), &new).await.unwrap().thing.unwrap();
        self.made.now_at(role.id, role.version);
        let user = self.person(way).to_string();
        let change = SetRoles { user, roles: vec![MADE.to_owned()], etag: self.by_made.etag.clone() };
        let done = self.here.set_roles(&by, &self.order(acme), &change).await.unwrap();
        let base = done.thing.unwrap().membership.base().clone();
        // Deleting the role counts as a change of who has it.
        self.by_made.now_at(base.id, base.version.next());
        done.consistency_token
    }

    /// Proposes an agreement, to which the home says yes, or ends it.
    async fn agree_or_end(&mut self, give: bool) -> Option<String> {
        let (host, home) = (self.world.acme, self.ember);
        let (by_host, by_home) = (self.world.call(host.manager), self.world.call(home.manager));
        if !give {
            let ended = self.here.end_relationship(&by_host, &self.order(host), &self.ended.named()).await.unwrap();
            return ended.consistency_token;
        }
        let ceiling = GrantsInput { roles: vec![PARTNER.to_owned()], ..GrantsInput::default() };
        let proposal = ProposeRelationship {
            other: Some(OtherWorkspace::Named(home.workspace.to_string())),
            terms: Some(TermsInput::Host(HostTermsInput { ceiling, ..HostTermsInput::default() })),
        };
        let proposed = self.here.propose_relationship(&by_host, &self.order(host), &proposal).await.unwrap();
        let view = proposed.thing.unwrap().view;
        self.ended.now_at(view.id, view.version);
        let terms = TermsInput::Home(HomeTermsInput { allows_host: true, ..HomeTermsInput::default() });
        let approval = ApproveRelationship { named: self.ended.named(), terms: Some(terms) };
        let approved = self.here.approve_relationship(&by_home, &self.order(home), &approval).await.unwrap();
        let view = approved.thing.unwrap().view;
        self.ended.now_at(view.id, view.version);
        approved.consistency_token
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
