//! The cache before the in-memory store: never stale in its own process, bounded beside others.

#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domicile_cache::{Cached, CachedDirectory, FRESH, SERVES, cached};
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::membership::{EndReason, ExternalMembership, Membership};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{CheckFacts, CheckKey, CheckedSubject, Directory, Freshness, MockDirectory};
use domicile_domain::port::runtime::Clock as _;
use domicile_domain::port::store::{Store, StoreError};
use domicile_domain::usecase::{
    BatchCheckAccess, BatchEntry, Call, CheckAccess, CheckSubject, Consistency, Domicile, DomicileApi, Order, Ports,
    RequestIdentity, SetPermissions, etag,
};
use domicile_testkit::builders::{external, id, internal, minute, permission, permission_name, role, user, workspace};
use domicile_testkit::clock::FixedClock;
use domicile_testkit::decorators::HeldStore;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::languages::PrefixMatcher;
use domicile_testkit::memory::{Injection, MemoryStore, Moment};
use domicile_testkit::phones::SimplePhones;
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::{PATIENCE, seed};
use proptest::prelude::*;

/// More than any test here keeps.
const MEMORY: usize = 64 << 20;

/// A host with its guest from a home, and a cache before the store.
struct World {
    store: MemoryStore,
    clock: Arc<FixedClock>,
    ours: Cached,
    host: Workspace,
    home: Workspace,
    anna: User,
}

impl World {
    async fn new() -> Self {
        Self::over(|store| Arc::new(store)).await
    }

    async fn over(below: impl FnOnce(MemoryStore) -> Arc<dyn Store>) -> Self {
        let (store, clock) = (MemoryStore::new(), Arc::new(FixedClock::default()));
        let (host, home) = (workspace("host"), workspace("home"));
        let anna = user(home.id, "anna");
        let rows =
            [(&host).into(), (&home).into(), (&anna).into(), internal(&anna).into(), external(&anna, host.id).into()];
        seed(&store, &rows).await;
        seed(&store, &[permission("orders.read").into()]).await;
        let ours = cached(below(store.clone()), Arc::new(store.clone()), clock.clone(), MEMORY);
        Self { store, clock, ours, host, home, anna }
    }

    fn key(&self) -> CheckKey {
        CheckKey {
            workspace: WorkspaceRef::Id(self.host.id),
            subject: CheckedSubject::User(self.anna.id),
            permission: permission_name("orders.read"),
        }
    }

    async fn ask(&self, freshness: &Freshness) -> CheckFacts {
        one(&self.ours.directory, &self.key(), freshness).await
    }

    /// How many checks were answered from memory since.
    fn hits(&self) -> u64 {
        self.ours.directory.counts().hits
    }

    /// A unit that takes revisions and ends the guest's membership or lets the guest in again.
    async fn flip(&self, store: &dyn Store) {
        change(store, self.host.id, self.anna.id).await.unwrap();
    }

    /// A unit of another process.
    async fn elsewhere(&self) {
        self.flip(&self.store).await;
    }
}

async fn one(directory: &CachedDirectory, key: &CheckKey, freshness: &Freshness) -> CheckFacts {
    directory.check_facts(std::slice::from_ref(key), freshness).await.unwrap().remove(0)
}

fn is_member(facts: &CheckFacts) -> bool {
    facts.access.as_ref().unwrap().membership.is_some()
}

/// Ends a membership or begins it anew, as every unit does: the revision first.
async fn change(store: &dyn Store, workspace: WorkspaceId, person: UserId) -> Result<(), StoreError> {
    let mut tx = store.begin(PATIENCE).await?;
    tx.workspaces().take_revision(&WorkspaceRef::Id(workspace)).await?;
    let found = tx.memberships().find(workspace, person).await?;
    if let Some(Membership::External(live)) = found {
        let version = live.base.version;
        tx.memberships().end(&live.end(EndReason::Unlinked, minute(1)), version).await?;
    } else {
        let user = tx.users().find(person).await?.unwrap();
        tx.memberships().insert(&Membership::External(external(&user, workspace))).await?;
    }
    tx.commit().await
}

#[tokio::test]
async fn what_was_read_serves_until_this_process_changes_it() {
    let world = World::new().await;
    assert!(is_member(&world.ask(&Freshness::Bounded).await));
    assert_eq!(world.ask(&Freshness::Bounded).await.as_of, Some(world.clock.now()));
    assert_eq!((world.hits(), world.ours.directory.counts().misses), (1, 1));
    world.flip(&*world.ours.store).await;
    let after = world.ask(&Freshness::Bounded).await;
    assert_eq!((is_member(&after), after.as_of, world.hits()), (false, None, 1));
    assert!(!is_member(&world.ask(&Freshness::Bounded).await));
    assert_eq!(world.hits(), 2);
}

#[tokio::test]
async fn a_change_of_the_home_is_seen_too() {
    let world = World::new().await;
    let before = world.ask(&Freshness::Bounded).await.access.unwrap();
    let mut tx = world.ours.store.begin(PATIENCE).await.unwrap();
    tx.workspaces().take_revision(&WorkspaceRef::Id(world.home.id)).await.unwrap();
    tx.commit().await.unwrap();
    let after = world.ask(&Freshness::Bounded).await.access.unwrap();
    let revision = |facts: &domicile_domain::model::facts::AccessFacts| facts.account.as_ref().unwrap().home_revision;
    assert_eq!(revision(&after), revision(&before).next());
}

#[tokio::test]
async fn others_are_felt_within_the_bound_and_at_once_by_their_token() {
    let world = World::new().await;
    let began = world.clock.now();
    assert!(is_member(&world.ask(&Freshness::Bounded).await));
    world.elsewhere().await;
    let token = Freshness::AtLeast(vec![(world.host.id, world.host.revision.next())]);
    // Without a token what is known serves on, and says since when.
    world.clock.advance(FRESH / 2);
    let old = world.ask(&Freshness::Bounded).await;
    assert_eq!((is_member(&old), old.as_of), (true, Some(began)));
    // A token of another workspace says nothing of this one.
    assert!(is_member(&world.ask(&Freshness::AtLeast(vec![(id(), world.host.revision)])).await));
    assert!(!is_member(&world.ask(&token).await));
    // From then on everybody knows.
    assert!(!is_member(&world.ask(&Freshness::Bounded).await));

    world.elsewhere().await;
    assert!(!is_member(&world.ask(&Freshness::Bounded).await));
    assert!(is_member(&world.ask(&Freshness::Newest).await));

    world.elsewhere().await;
    world.clock.advance(SERVES);
    assert!(!is_member(&world.ask(&Freshness::Bounded).await));
}

/// After a second one caller reads again while the others go on; half a second later nobody goes on.
#[tokio::test]
async fn one_caller_renews_what_grows_old() {
    let world = World::new().await;
    world.ask(&Freshness::Bounded).await;
    world.clock.advance(FRESH);
    world.store.inject(Injection { at: Moment::Read, error: StoreError::Contention, times: 2 });
    let key = [world.key()];
    assert!(world.ours.directory.check_facts(&key, &Freshness::Bounded).await.is_err());
    let mut others = 0;
    while world.ours.directory.check_facts(&key, &Freshness::Bounded).await.is_ok_and(|found| found[0].as_of.is_some())
    {
        others += 1;
        world.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(others, 5, "from a second to one and a half");
    assert_eq!(world.ask(&Freshness::Bounded).await.as_of, None);
    world.ask(&Freshness::Bounded).await;
}

/// Runs something to its end beside this test.
fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
    std::thread::spawn(run).join().unwrap()
}

/// A read that saw the state before a commit and comes back after it teaches nothing.
#[tokio::test]
async fn a_read_that_raced_a_commit_is_not_kept() {
    let world = World::new().await;
    let (store, host, anna) = (world.store.clone(), world.host.id, world.anna.id);
    let write_side: Arc<Mutex<Option<Arc<dyn Store>>>> = Arc::default();
    let ours_later = write_side.clone();
    let mut late = MockDirectory::new();
    late.expect_check_facts().returning(move |checks, _| {
        let (asked, below) = (checks.to_vec(), store.clone());
        let seen = beside(async move { below.check_facts(&asked, &Freshness::Newest).await });
        if let Some(ours) = ours_later.lock().unwrap().take() {
            beside(async move { change(&*ours, host, anna).await }).unwrap();
        }
        seen
    });
    let ours = cached(Arc::new(world.store.clone()), Arc::new(late), world.clock.clone(), MEMORY);
    *write_side.lock().unwrap() = Some(ours.store.clone());
    let raced = one(&ours.directory, &world.key(), &Freshness::Bounded).await;
    assert!(is_member(&raced), "it began before the commit, so it may say so");
    assert!(!is_member(&one(&ours.directory, &world.key(), &Freshness::Bounded).await));
    assert_eq!(ours.directory.counts().hits, 0);
}

/// A COMMIT whose answer is lost leaves nothing standing.
#[tokio::test]
async fn a_commit_of_which_nothing_is_known_is_looked_up() {
    let world = World::new().await;
    world.ask(&Freshness::Bounded).await;
    world.store.inject(Injection { at: Moment::Committed, error: StoreError::ConnectionLost, times: 1 });
    let lost = change(&*world.ours.store, world.host.id, world.anna.id).await;
    assert_eq!(lost, Err(StoreError::ConnectionLost));
    assert!(!is_member(&world.ask(&Freshness::Bounded).await));
    assert_eq!(world.hits(), 0);
}

/// A unit that is taken back changes nothing, so nobody reads for it.
#[tokio::test]
async fn a_unit_that_is_taken_back_costs_others_nothing() {
    let world = World::new().await;
    world.ask(&Freshness::Bounded).await;
    let mut tx = world.ours.store.begin(PATIENCE).await.unwrap();
    tx.workspaces().take_revision(&WorkspaceRef::Id(world.host.id)).await.unwrap();
    tx.rollback().await.unwrap();
    world.ask(&Freshness::Bounded).await;
    assert_eq!(world.hits(), 1);
}

/// A unit that stands before its COMMIT is not seen, and is seen the moment it is answered.
#[tokio::test]
async fn a_unit_is_seen_when_its_commit_is_answered() {
    let mut held_store = None;
    let world = World::over(|store| {
        let held = Arc::new(HeldStore::new(Arc::new(store)));
        held_store = Some(held.clone());
        held
    })
    .await;
    world.ask(&Freshness::Bounded).await;
    let mut held = held_store.unwrap().hold_next();
    let (store, host, anna) = (world.ours.store.clone(), world.host.id, world.anna.id);
    let unit = tokio::spawn(async move { change(&*store, host, anna).await });
    assert!(held.reached().await);
    assert!(is_member(&world.ask(&Freshness::Bounded).await));
    assert_eq!(world.hits(), 1);
    held.release();
    unit.await.unwrap().unwrap();
    assert!(!is_member(&world.ask(&Freshness::Bounded).await));
}

/// A handle, an identity and an id lead to the same entry, and an identity that was unbound leads nowhere.
#[tokio::test]
async fn handles_and_identities_lead_to_the_same_facts() {
    let world = World::new().await;
    let identity = Identity { issuer: "https://login.example".to_owned(), subject: "1".to_owned() };
    seed(&world.store, &[(world.anna.id, identity.clone()).into()]).await;
    let named = CheckKey {
        workspace: WorkspaceRef::Handle(world.host.handle.clone()),
        subject: CheckedSubject::Identity(identity.clone()),
        ..world.key()
    };
    let directory = &world.ours.directory;
    let read = one(directory, &named, &Freshness::Bounded).await;
    assert_eq!(one(directory, &named, &Freshness::Bounded).await.access, read.access);
    assert_eq!(world.ask(&Freshness::Bounded).await.access, read.access);
    assert_eq!((world.hits(), directory.counts().entries), (2, 1));
    let mut tx = world.ours.store.begin(PATIENCE).await.unwrap();
    tx.workspaces().take_revision(&WorkspaceRef::Id(world.home.id)).await.unwrap();
    tx.users().unbind_identity(world.anna.id, &identity).await.unwrap();
    tx.commit().await.unwrap();
    // The person is read again by id first, so that facts at the new revision are kept.
    world.ask(&Freshness::Bounded).await;
    assert_eq!(one(directory, &named, &Freshness::Bounded).await.access.unwrap().account, None);
}

/// A permission that was unknown is known once this process registered it; what is absent is never kept.
#[tokio::test]
async fn what_is_not_there_is_asked_for_each_time() {
    let world = World::new().await;
    let new = CheckKey { permission: permission_name("orders.write"), ..world.key() };
    let directory = &world.ours.directory;
    assert_eq!(one(directory, &new, &Freshness::Bounded).await.permission, None);
    let mut tx = world.ours.store.begin(PATIENCE).await.unwrap();
    let registered: Permission = permission("orders.write");
    tx.roles().register(&registered).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(one(directory, &new, &Freshness::Bounded).await.permission.as_deref(), Some(&registered));
    let nobody = CheckKey { subject: CheckedSubject::User(id()), ..world.key() };
    let nowhere = CheckKey { workspace: WorkspaceRef::Id(id()), ..world.key() };
    for absent in [&nobody, &nowhere] {
        for _ in 0..2 {
            assert_eq!(one(directory, absent, &Freshness::Bounded).await.as_of, None);
        }
    }
}

/// A batch is answered from memory whole or not at all, so that it is of one moment.
#[tokio::test]
async fn a_batch_is_of_one_moment() {
    let world = World::new().await;
    world.ask(&Freshness::Bounded).await;
    let at_home = CheckKey { workspace: WorkspaceRef::Id(world.home.id), ..world.key() };
    let batch = [world.key(), at_home];
    let directory = &world.ours.directory;
    let first = directory.check_facts(&batch, &Freshness::Bounded).await.unwrap();
    assert!(first.iter().all(|facts| facts.as_of.is_none()));
    let second = directory.check_facts(&batch, &Freshness::Bounded).await.unwrap();
    assert!(second.iter().all(|facts| facts.as_of.is_some()));
    assert_eq!(world.hits(), 2);
}

/// A person with a role of so many permissions, asked about through a cache of a megabyte; how many of two hundred such
/// people it keeps, in how many bytes.
async fn kept_with_roles_of(permissions: usize) -> (usize, u64) {
    let world = World::new().await;
    let ours = cached(Arc::new(world.store.clone()), Arc::new(world.store.clone()), world.clock.clone(), 1 << 20);
    let names: Vec<_> = (0..permissions).map(|number| permission(&format!("orders.action-{number}"))).collect();
    for name in &names {
        seed(&world.store, &[name.clone().into()]).await;
    }
    for number in 0..200 {
        let guest = user(world.home.id, &format!("guest{number}"));
        let mut own = role(world.host.id, &format!("role-{number}"));
        own.permissions = names.iter().map(|permission| permission.name.clone()).collect();
        let mut here = external(&guest, world.host.id);
        here.base.grants.roles.insert(own.id);
        seed(&world.store, &[(&own).into(), (&guest).into(), here.into()]).await;
        let key = CheckKey { subject: CheckedSubject::User(guest.id), ..world.key() };
        one(&ours.directory, &key, &Freshness::Bounded).await;
    }
    let counts = ours.directory.counts();
    (counts.entries, counts.bytes)
}

/// Memory is bounded by what is kept, not by how many: of people with large roles fewer are kept, in no more memory.
#[tokio::test]
async fn memory_is_bounded_by_weight() {
    let (small, small_bytes) = kept_with_roles_of(1).await;
    let (large, large_bytes) = kept_with_roles_of(500).await;
    assert!(small > 150, "{small} people with small roles");
    assert!((1..40).contains(&large), "{large} people with large roles");
    for bytes in [small_bytes, large_bytes] {
        assert!((1..=1 << 20).contains(&bytes), "{bytes}");
    }
    // Names alone are 500 x 16 bytes a role.
    let least = u64::try_from(large).unwrap() * 500 * 16;
    assert!(large_bytes > least, "{large_bytes} for {large} people");
}

/// What takes more than there is room for is not kept, and answered all the same.
#[tokio::test]
async fn a_cache_without_room_keeps_nothing() {
    let world = World::new().await;
    let ours = cached(Arc::new(world.store.clone()), Arc::new(world.store.clone()), world.clock.clone(), 1);
    for _ in 0..2 {
        assert!(is_member(&one(&ours.directory, &world.key(), &Freshness::Bounded).await));
    }
    assert_eq!((ours.directory.counts().hits, ours.directory.counts().entries), (0, 0));
}

/// Whatever another process wrote: a check that wants everything that is committed is not answered from memory, alone or in a
/// batch, and neither is one with the token of that write.
#[tokio::test]
async fn a_fully_consistent_check_is_read() {
    let world = World::new().await;
    let product = |store: Arc<dyn Store>, directory: Arc<dyn Directory>| {
        Domicile::new(Ports {
            store,
            directory,
            clock: world.clock.clone(),
            ids: Arc::new(SequentialIds::from(1 << 40)),
            sealer: Arc::new(PlainSealer),
            phones: Arc::new(SimplePhones),
            languages: Arc::new(PrefixMatcher),
        })
    };
    let ours = product(world.ours.store.clone(), world.ours.directory.clone());
    let other_process = product(Arc::new(world.store.clone()), Arc::new(world.store.clone()));
    let manager = user(world.host.id, "manager");
    let mut managing = internal(&manager);
    managing.base.grants.permissions = [PermissionName::create(), PermissionName::update()].into();
    seed(&world.store, &[(&manager).into(), managing.clone().into()]).await;
    let service = ServicePrincipal::new("shop").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere);
    let call = |actor| Call { actor, deadline: minute(60), correlation_id: "test".to_owned(), surface: "embedded" };
    let (by_service, by_manager) = (call(Actor::service(service.clone())), call(Actor::person(service, manager.id)));
    let subject = CheckSubject::User(manager.id.to_string());
    let ask = async |consistency: Consistency| {
        let (workspace, permission) = (world.host.id.to_string(), "orders.read".to_owned());
        let entry = BatchEntry {
            correlation_id: String::new(),
            workspace: workspace.clone(),
            subject: subject.clone(),
            permission: permission.clone(),
        };
        let batch = BatchCheckAccess { entries: vec![entry], consistency: consistency.clone() };
        let one = CheckAccess { workspace, subject: subject.clone(), permission, consistency };
        let one = ours.check_access(&by_service, &one).await.unwrap().decision.is_ok();
        let many = ours.batch_check_access(&by_service, &batch).await.unwrap().entries.remove(0);
        (one, many.answer.unwrap().decision.is_ok())
    };
    let mut held = managing.base;
    for (round, allowed) in [true, false, true, false].into_iter().enumerate() {
        let before = ask(Consistency::FullyConsistent).await;
        assert_eq!(before, (!allowed, !allowed), "round {round}");
        assert_eq!(ask(Consistency::MinimizeLatency).await, before, "round {round}");
        let mut permissions = vec!["domicile.create".to_owned(), "domicile.update".to_owned()];
        permissions.extend(allowed.then(|| "orders.read".to_owned()));
        let change = SetPermissions { user: manager.id.to_string(), permissions, etag: etag(held.id, held.version) };
        let request = RequestIdentity { id: id::<()>().to_string(), fingerprint: RequestFingerprint([1; 32]) };
        let order = Order { workspace: "host".to_owned(), request, validate_only: false };
        let changed = other_process.set_permissions(&by_manager, &order, &change).await.unwrap();
        held = changed.thing.unwrap().membership.base().clone();
        assert_eq!(ask(Consistency::MinimizeLatency).await, before, "round {round}: or this test shows nothing");
        let fresh = if round < 2 {
            Consistency::FullyConsistent
        } else {
            Consistency::AtLeastAsFresh(changed.consistency_token.unwrap())
        };
        assert_eq!(ask(fresh).await, (allowed, allowed), "round {round}");
    }
}

/// The end of a membership is part of what is kept, so the decision, which is made anew each time, sees it come.
#[tokio::test]
async fn an_end_is_kept_with_the_membership() {
    let world = World::new().await;
    let ben = user(world.home.id, "ben");
    let end = world.clock.now().after(Duration::from_millis(300));
    let guest = ExternalMembership { expires_at: Some(end), ..external(&ben, world.host.id) };
    seed(&world.store, &[(&ben).into(), guest.into()]).await;
    let key = CheckKey { subject: CheckedSubject::User(ben.id), ..world.key() };
    one(&world.ours.directory, &key, &Freshness::Bounded).await;
    let kept = one(&world.ours.directory, &key, &Freshness::Bounded).await;
    let Some(Membership::External(guest)) = &kept.access.unwrap().membership.clone() else { panic!("a guest") };
    assert_eq!((guest.is_over(world.clock.now()), guest.is_over(end)), (None, Some(EndReason::Expired)));
}

#[derive(Debug, Clone)]
enum Step {
    /// A unit that commits, or is taken back.
    Change {
        workspace: usize,
        person: usize,
        commits: bool,
    },
    Check {
        workspace: usize,
        person: usize,
        by_handle: bool,
    },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize, 0..3_usize, prop::bool::weighted(0.8)).prop_map(|(workspace, person, commits)| Step::Change {
            workspace,
            person,
            commits
        }),
        (0..3_usize, 0..3_usize, any::<bool>()).prop_map(|(workspace, person, by_handle)| Step::Check {
            workspace,
            person,
            by_handle
        }),
        (0..900_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever this process writes and asks, the cache answers what the store does.
    #[test]
    fn the_cache_and_its_store_agree(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (store, clock) = (MemoryStore::new(), Arc::new(FixedClock::default()));
            let workspaces = ["acme", "borealis", "home"].map(workspace);
            let people = ["anna", "ben", "cleo"].map(|name| user(workspaces[2].id, name));
            seed(&store, &[permission("orders.read").into()]).await;
            for workspace in &workspaces {
                seed(&store, &[workspace.into()]).await;
            }
            for person in &people {
                seed(&store, &[person.into(), internal(person).into()]).await;
            }
            let ours = cached(Arc::new(store.clone()), Arc::new(store.clone()), clock.clone(), MEMORY);
            for step in steps {
                match step {
                    Step::Change { workspace, person, commits } => {
                        if !commits {
                            store.inject(Injection { at: Moment::Commit, error: StoreError::Contention, times: 1 });
                        }
                        let changed = change(&*ours.store, workspaces[workspace].id, people[person].id).await;
                        assert_eq!(changed.is_ok(), commits);
                    }
                    Step::Check { workspace, person, by_handle } => {
                        let of = &workspaces[workspace];
                        let name =
                            if by_handle { WorkspaceRef::Handle(of.handle.clone()) } else { WorkspaceRef::Id(of.id) };
                        let key = CheckKey {
                            workspace: name,
                            subject: CheckedSubject::User(people[person].id),
                            permission: permission_name("orders.read"),
                        };
                        let truth = store.check_facts(std::slice::from_ref(&key), &Freshness::Newest).await.unwrap();
                        let told = one(&ours.directory, &key, &Freshness::Bounded).await;
                        assert_eq!(CheckFacts { as_of: None, ..told }, truth[0]);
                    }
                    Step::Pass(millis) => clock.advance(Duration::from_millis(millis)),
                }
            }
        });
    }
}
