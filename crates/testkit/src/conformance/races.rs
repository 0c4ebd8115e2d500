//! Races of whole use cases: two callers at once on one store. Each answer must be one that some order of them gives.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal};
use domicile_domain::model::answer::{AssignOutcome, RequestFingerprint};
use domicile_domain::model::id::{NoticeId, UserId, WorkspaceId};
use domicile_domain::model::membership::Membership;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::Role;
use domicile_domain::model::user::{Identity, User};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::authenticator::{Caller, PersonClaim};
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::{Store, StoreError};
use domicile_domain::usecase::{
    Arrival, AssignReply, AssignUser, Call, Domicile, DomicileApi, Expectation, ExternalInput, GrantsInput, Order,
    Ports, ProfileInput, RequestIdentity, SetPermissions, SetRoles, UpdateRole, etag,
};
use uuid::Uuid;

use super::{Harness, Subject, good, put};
use crate::builders::{email, id, internal, minute, role, user, with_role, workspace};
use crate::clock::FixedClock;
use crate::decorators::HeldStore;
use crate::ids::SequentialIds;
use crate::languages::PrefixMatcher;
use crate::memory::MemoryStore;
use crate::phones::SimplePhones;
use crate::sealer::PlainSealer;
use crate::seed::PATIENCE;

/// Ports over a store.
pub(super) fn ports(store: Arc<dyn Store>, directory: Arc<dyn Directory>) -> Ports {
    Ports {
        store,
        directory,
        clock: Arc::new(FixedClock::default()),
        ids: Arc::new(SequentialIds::from(1 << 40)),
        sealer: Arc::new(PlainSealer),
        phones: Arc::new(SimplePhones),
        languages: Arc::new(PrefixMatcher),
    }
}

/// The product on a store.
pub(super) fn product(store: Arc<dyn Store>, directory: Arc<dyn Directory>) -> Arc<Domicile> {
    Arc::new(Domicile::new(ports(store, directory)))
}

/// A workspace with so many managers.
pub(super) async fn managed<const N: usize>(subject: &dyn Subject, handle: &str) -> (Workspace, [User; N]) {
    let acme = workspace(handle);
    put(subject, &[(&acme).into()]).await;
    let managers = std::array::from_fn(|number| user(acme.id, &format!("{handle}.manager{number}")));
    for manager in &managers {
        let mut membership = internal(manager);
        membership.base.grants.permissions = [PermissionName::create(), PermissionName::update()].into();
        put(subject, &[manager.into(), membership.into()]).await;
    }
    (acme, managers)
}

pub(super) fn call(manager: &User) -> Call {
    let service = ServicePrincipal::new("shop");
    Call {
        actor: Actor::person(service, manager.id),
        deadline: minute(1),
        correlation_id: "race".to_owned(),
        surface: "embedded",
    }
}

/// A save counts its probe in a unit of its own before the unit of the work.
const BEFORE_THE_SAVE: u64 = 1;

/// A save of Cleo, under a request id of its own.
fn cleo(workspace: &Workspace, expectation: Expectation) -> AssignUser {
    AssignUser {
        workspace: workspace.handle.to_string(),
        request: RequestIdentity { id: id::<()>().to_string(), fingerprint: RequestFingerprint([1; 32]) },
        expectation: Some(expectation),
        email: "cleo@mail.example".to_owned(),
        phone: String::new(),
        match_handle: String::new(),
        profile: ProfileInput {
            first_name: "Cleo".to_owned(),
            last_name: "Weber".to_owned(),
            username: "cleo".to_owned(),
            preferred_language: "de".to_owned(),
        },
        internal: GrantsInput::default(),
        external: ExternalInput::default(),
        external_id: String::new(),
        notify: Some(true),
        validate_only: false,
    }
}

type Saved = Result<AssignReply, Refusal>;

fn save(domicile: &Arc<Domicile>, manager: &User, request: AssignUser) -> tokio::task::JoinHandle<Saved> {
    let (domicile, call) = (domicile.clone(), call(manager));
    tokio::spawn(async move { domicile.assign_user(&call, &request).await })
}

/// One won with that outcome, the other heard that reason.
#[track_caller]
fn one_won(answers: &[Saved; 2], outcome: AssignOutcome, reason: Reason) {
    let told: Vec<_> = answers.iter().map(|a| a.as_ref().map(|r| r.outcome).map_err(|r| r.reason)).collect();
    let fits = told == [Ok(outcome), Err(reason)] || told == [Err(reason), Ok(outcome)];
    assert!(fits, "{told:?} instead of one {outcome:?} and one {reason:?}");
}

async fn both(a: tokio::task::JoinHandle<Saved>, b: tokio::task::JoinHandle<Saved>) -> [Saved; 2] {
    let (a, b) = tokio::join!(a, b);
    [a.expect("no panic"), b.expect("no panic")]
}

async fn notices(subject: &dyn Subject, workspace: WorkspaceId) -> usize {
    let all = NoticeId::from_uuid(Uuid::max());
    good(subject.directory().notices(workspace, all, 100).await).len()
}

async fn members(subject: &dyn Subject, workspace: WorkspaceId) -> usize {
    good(subject.directory().members(workspace, UserId::nil(), 100).await).len()
}

/// C1: two managers of one workspace create the same person: one user, one notice, the loser hears so.
pub async fn two_managers_create_one_person(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [one, two]) = managed(&*subject, "acme").await;
    let domicile = product(subject.store(), subject.directory());
    let first = save(&domicile, &one, cleo(&acme, Expectation::Create));
    let answers = both(first, save(&domicile, &two, cleo(&acme, Expectation::Create))).await;
    one_won(&answers, AssignOutcome::CreatedInternal, Reason::AlreadyMember);
    assert_eq!((members(&*subject, acme.id).await, notices(&*subject, acme.id).await), (3, 1));
}

/// C2: two workspaces create the same person: the winner is home, and the loser hears that there is an account.
pub async fn two_workspaces_create_one_person(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [one]) = managed(&*subject, "acme").await;
    let (umbrella, [two]) = managed(&*subject, "umbrella").await;
    let domicile = product(subject.store(), subject.directory());
    let first = save(&domicile, &one, cleo(&acme, Expectation::Create));
    let answers = both(first, save(&domicile, &two, cleo(&umbrella, Expectation::Create))).await;
    one_won(&answers, AssignOutcome::CreatedInternal, Reason::ExpectationFailed);
    assert_eq!(members(&*subject, acme.id).await + members(&*subject, umbrella.id).await, 3);
}

/// C2: if both said that either will do, the loser links.
pub async fn two_workspaces_take_one_person_either_way(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [one]) = managed(&*subject, "acme").await;
    let (umbrella, [two]) = managed(&*subject, "umbrella").await;
    let domicile = product(subject.store(), subject.directory());
    let first = save(&domicile, &one, cleo(&acme, Expectation::Either));
    let answers = both(first, save(&domicile, &two, cleo(&umbrella, Expectation::Either))).await;
    let mut outcomes = answers.map(|a| format!("{:?}", a.map(|reply| reply.outcome).map_err(|r| r.reason)));
    outcomes.sort();
    assert_eq!(outcomes, ["Ok(CreatedInternal)", "Ok(LinkedExternal)"]);
    assert_eq!((members(&*subject, acme.id).await, members(&*subject, umbrella.id).await), (2, 2));
}

/// C3: two links of one person: one membership, one notice, the loser hears so.
pub async fn two_managers_link_one_person(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [one, two]) = managed(&*subject, "acme").await;
    let (umbrella, [other]) = managed(&*subject, "umbrella").await;
    let domicile = product(subject.store(), subject.directory());
    let created = save(&domicile, &other, cleo(&umbrella, Expectation::Create)).await.expect("no panic");
    assert!(created.is_ok(), "{created:?}");
    let first = save(&domicile, &one, cleo(&acme, Expectation::Link));
    let answers = both(first, save(&domicile, &two, cleo(&acme, Expectation::Link))).await;
    one_won(&answers, AssignOutcome::LinkedExternal, Reason::AlreadyMember);
    assert_eq!((members(&*subject, acme.id).await, notices(&*subject, acme.id).await), (3, 1));
}

async fn demote(store: Arc<dyn Store>, acme: WorkspaceId, manager: UserId) -> Result<(), StoreError> {
    let mut tx = store.begin(PATIENCE).await?;
    tx.workspaces().take_revision(&WorkspaceRef::Id(acme)).await?;
    let Some(Membership::Internal(membership)) = tx.memberships().find(acme, manager).await? else {
        panic!("the manager is a member");
    };
    let ended = super::memberships::ended(&membership.base, minute(0));
    tx.memberships().end(&ended, membership.base.version).await?;
    tx.commit().await
}

/// C8: a manager who is demoted before the save commits saves nothing.
pub async fn rights_that_are_lost_mid_call_do_not_serve(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [manager]) = managed(&*subject, "acme").await;
    let held_store = Arc::new(HeldStore::new(subject.store()));
    let domicile = product(held_store.clone(), subject.directory());
    let mut held = held_store.hold_after(BEFORE_THE_SAVE);
    let saving = save(&domicile, &manager, cleo(&acme, Expectation::Create));
    assert!(held.reached().await);
    let mut demotion = tokio::spawn(demote(subject.store(), acme.id, manager.id));
    // A store that takes turns keeps the demotion waiting; an optimistic one lets it go first.
    let first = tokio::time::timeout(Duration::from_millis(200), &mut demotion).await;
    held.release();
    let saved = saving.await.expect("no panic");
    if let Ok(demoted) = first {
        good(demoted.expect("no panic"));
        assert_eq!(saved.map_err(|refusal| refusal.reason).err(), Some(Reason::PermissionDenied));
        assert_eq!(members(&*subject, acme.id).await, 0);
    } else {
        assert!(saved.is_ok(), "{saved:?}");
        good(demotion.await.expect("no panic"));
        assert_eq!(members(&*subject, acme.id).await, 1);
    }
    // Whichever came first, the rights are gone now.
    let mut again = cleo(&acme, Expectation::Create);
    "dora@mail.example".clone_into(&mut again.email);
    let late = save(&domicile, &manager, again).await.expect("no panic");
    assert_eq!(late.map_err(|refusal| refusal.reason).err(), Some(Reason::PermissionDenied));
}

/// The caller has its unit or waits for it, or, where one connection serves all, waits to read before it asks for one; that
/// tells nobody, so it has its time.
async fn has_asked(store: &HeldStore, units: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(200), store.asked(units)).await;
}

/// C8, the other way round: a save that begins while the demotion is about to commit.
pub async fn rights_that_are_being_lost_do_not_serve(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [manager]) = managed(&*subject, "acme").await;
    let (demoting, saving) = (HeldStore::new(subject.store()), Arc::new(HeldStore::new(subject.store())));
    let (demoting, domicile) = (Arc::new(demoting), product(saving.clone(), subject.directory()));
    let mut held = demoting.hold_next();
    let demotion = tokio::spawn(demote(demoting.clone(), acme.id, manager.id));
    assert!(held.reached().await);
    let save = save(&domicile, &manager, cleo(&acme, Expectation::Create));
    has_asked(&saving, 1).await;
    held.release();
    let demoted = demotion.await.expect("no panic");
    let saved = save.await.expect("no panic").map_err(|refusal| refusal.reason);
    match demoted {
        Ok(()) => {
            assert_eq!(saved.err(), Some(Reason::PermissionDenied));
            assert_eq!(members(&*subject, acme.id).await, 0);
        }
        // An optimistic store let the save come first.
        Err(error) => {
            assert_eq!(error, StoreError::Contention);
            assert!(saved.is_ok(), "{saved:?}");
            assert_eq!(members(&*subject, acme.id).await, 2);
        }
    }
}

/// C13: a second caller of the same request comes while the first is held inside its unit.
pub async fn a_request_that_comes_while_the_first_is_at_work_gets_its_answer(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [manager]) = managed(&*subject, "acme").await;
    let held_store = Arc::new(HeldStore::new(subject.store()));
    let domicile = product(held_store.clone(), subject.directory());
    let request = cleo(&acme, Expectation::Create);
    let mut held = held_store.hold_after(BEFORE_THE_SAVE);
    let first = save(&domicile, &manager, request.clone());
    assert!(held.reached().await);
    let second = save(&domicile, &manager, request);
    has_asked(&held_store, BEFORE_THE_SAVE + 2).await;
    assert!(!first.is_finished(), "it is held");
    held.release();
    let [a, b] = both(first, second).await.map(|answer| answer.unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_ne!(a.replayed, b.replayed, "one did it, the other repeated the answer");
    assert_eq!((a.outcome, a.notice, a.consistency_token), (b.outcome, b.notice, b.consistency_token));
    assert_eq!((members(&*subject, acme.id).await, notices(&*subject, acme.id).await), (2, 1));
}

/// C13: one request id twice at once has one effect and one answer; with another body it is refused.
pub async fn one_request_id_has_one_effect(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [manager]) = managed(&*subject, "acme").await;
    let held_store = Arc::new(HeldStore::new(subject.store()));
    let domicile = product(held_store.clone(), subject.directory());
    let request = cleo(&acme, Expectation::Create);
    // The unit of the first save begins once the second has asked for its own, after each counted its probe in a unit
    // before; whichever comes to its commit first is held there.
    held_store.begin_late(BEFORE_THE_SAVE + 1, 2 * (BEFORE_THE_SAVE + 1));
    let mut held = held_store.hold_after(2 * BEFORE_THE_SAVE);
    let first = save(&domicile, &manager, request.clone());
    held_store.asked(BEFORE_THE_SAVE + 1).await;
    let second = save(&domicile, &manager, request.clone());
    assert!(held.reached().await);
    held.release();
    let answers = both(first, second).await;
    let replies: Vec<AssignReply> =
        answers.into_iter().map(|a| a.unwrap_or_else(|refusal| panic!("{refusal:?}"))).collect();
    let [a, b] = replies.try_into().expect("two");
    assert_ne!(a.replayed, b.replayed, "one did it, the other repeated the answer");
    assert_eq!((a.outcome, a.notice, a.consistency_token), (b.outcome, b.notice, b.consistency_token));
    assert_eq!(a.member.map(|m| m.membership), b.member.map(|m| m.membership));
    assert_eq!((members(&*subject, acme.id).await, notices(&*subject, acme.id).await), (2, 1));

    let mut other_body = request;
    other_body.request.fingerprint = RequestFingerprint([2; 32]);
    let refused = save(&domicile, &manager, other_body).await.expect("no panic");
    assert_eq!(refused.map_err(|refusal| refusal.reason).err(), Some(Reason::RequestIdReused));
}

/// Anna at home in `acme`, and somebody whom the trusted issuer knows by a subject and by her address.
async fn anna(subject: &dyn Subject, acme: &Workspace) -> User {
    let anna = user(acme.id, "anna");
    put(subject, &[(&anna).into(), internal(&anna).into()]).await;
    anna
}

/// The product with a directory that knows nobody yet, as one that is behind: the units decide.
fn unknowing(store: &Arc<HeldStore>) -> Arc<Domicile> {
    product(store.clone(), Arc::new(MemoryStore::new()))
}

type Identified = Result<Option<UserId>, Reason>;

fn sight(domicile: &Arc<Domicile>, subject: &str) -> tokio::task::JoinHandle<Identified> {
    let claim = PersonClaim::Proven {
        identity: Identity { issuer: "https://login.example".to_owned(), subject: subject.to_owned() },
        own: true,
        verified_email: Some(email("anna@mail.example")),
        trusted_for: Some(ScopeReach::Everywhere),
    };
    let caller = Caller { service: ServicePrincipal::new("shop"), person: Some(claim) };
    let arrival = Arrival { deadline: minute(1), correlation_id: "race".to_owned(), surface: "embedded" };
    let domicile = domicile.clone();
    tokio::spawn(async move {
        let actor = domicile.identify(caller, &arrival).await;
        actor.map(|actor| actor.user_id()).map_err(|refusal| refusal.reason)
    })
}

/// Two first sights of one identity, the first held at its commit: both are the person, and it is bound once.
pub async fn one_stranger_twice_is_bound_once(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [_]) = managed(&*subject, "acme").await;
    let anna = anna(&*subject, &acme).await;
    let held_store = Arc::new(HeldStore::new(subject.store()));
    let domicile = unknowing(&held_store);
    let mut held = held_store.hold_next();
    let first = sight(&domicile, "1");
    assert!(held.reached().await);
    let asked = held_store.units_asked();
    let second = sight(&domicile, "1");
    held_store.asked(asked + 1).await;
    held.release();
    for answer in [first, second] {
        assert_eq!(answer.await.expect("no panic"), Ok(Some(anna.id)));
    }
    let known = good(subject.directory().user(anna.id).await).expect("she is there");
    assert_eq!((known.version, good(subject.directory().identities(anna.id).await).len()), (anna.version.next(), 1));
}

/// Two subjects of one issuer with one address at once: one is bound, the other is not.
pub async fn two_strangers_of_one_issuer_are_not_one_person(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [_]) = managed(&*subject, "acme").await;
    let anna = anna(&*subject, &acme).await;
    let held_store = Arc::new(HeldStore::new(subject.store()));
    let domicile = unknowing(&held_store);
    let mut held = held_store.hold_next();
    let first = sight(&domicile, "1");
    assert!(held.reached().await);
    let asked = held_store.units_asked();
    let second = sight(&domicile, "2");
    held_store.asked(asked + 1).await;
    held.release();
    let mut answers = [first.await.expect("no panic"), second.await.expect("no panic")];
    // Where turns are taken the first has it; an optimistic store lets the one through that commits first.
    answers.sort_by_key(Result::is_err);
    assert_eq!(answers, [Ok(Some(anna.id)), Err(Reason::IdentityNotBound)]);
    assert_eq!(good(subject.directory().identities(anna.id).await).len(), 1);
}

pub(super) fn order(workspace: &Workspace) -> Order {
    Order {
        workspace: workspace.handle.to_string(),
        request: RequestIdentity { id: id::<()>().to_string(), fingerprint: RequestFingerprint([1; 32]) },
        validate_only: false,
    }
}

/// The etag of a membership as it is now.
async fn etag_of(subject: &dyn Subject, workspace: &Workspace, user: &User) -> String {
    let row = good(subject.directory().member(workspace.id, user.id).await).expect("a member");
    let base = row.membership.base();
    etag(base.id, base.version)
}

type Told = Result<(), Refusal>;

/// Takes every direct permission from a member, on what was read before.
async fn strip(
    subject: &dyn Subject,
    domicile: &Arc<Domicile>,
    acme: &Workspace,
    (by, whom): (&User, &User),
) -> impl Future<Output = Told> + Send + 'static {
    let etag = etag_of(subject, acme, whom).await;
    let change = SetPermissions { user: whom.id.to_string(), permissions: Vec::new(), etag };
    let (domicile, call, order) = (domicile.clone(), call(by), order(acme));
    async move { domicile.set_permissions(&call, &order, &change).await.map(drop) }
}

/// Both at once, in tasks of their own; what was done first.
async fn at_once(
    a: impl Future<Output = Told> + Send + 'static,
    b: impl Future<Output = Told> + Send + 'static,
) -> [Result<(), Reason>; 2] {
    let (a, b) = tokio::join!(tokio::spawn(a), tokio::spawn(b));
    let mut told = [a, b].map(|answer| answer.expect("no panic").map_err(|refusal| refusal.reason));
    told.sort_by_key(Result::is_err);
    told
}

/// How many hold both rights in a workspace.
pub(super) async fn managers(domicile: &Arc<Domicile>, subject: &dyn Subject, acme: &Workspace) -> usize {
    let rows = good(subject.directory().members(acme.id, UserId::nil(), 100).await);
    let mut managers = 0;
    for row in &rows {
        let user = row.user.id;
        let person = Call { actor: Actor::person(ServicePrincipal::new("shop"), user), ..call(&row.user) };
        let rehearsal = Order { validate_only: true, ..order(acme) };
        let new = domicile_domain::usecase::CreateRole {
            handle: "probe".to_owned(),
            display_name: "Probe".to_owned(),
            ..Default::default()
        };
        managers += usize::from(domicile.create_role(&person, &rehearsal, &new).await.is_ok());
    }
    managers
}

/// C7: two managers take the rights from each other at once: one does, the other has none any more, and one remains.
pub async fn two_managers_demote_each_other(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [one, two]) = managed(&*subject, "acme").await;
    let domicile = product(subject.store(), subject.directory());
    let first = strip(&*subject, &domicile, &acme, (&one, &two)).await;
    let second = strip(&*subject, &domicile, &acme, (&two, &one)).await;
    assert_eq!(at_once(first, second).await, [Ok(()), Err(Reason::PermissionDenied)]);
    assert_eq!(managers(&domicile, &*subject, &acme).await, 1);
}

/// C19, C7: a manager by a role takes a right from the role while the other manager gives up their own: one of them is the
/// last, and is told so.
pub async fn a_role_edit_and_a_resignation_leave_a_manager(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [resigning]) = managed(&*subject, "acme").await;
    let rights = [PermissionName::create(), PermissionName::update()];
    let chiefs = Role { permissions: rights.into(), ..role(acme.id, "chiefs") };
    let chief = user(acme.id, "chief");
    put(&*subject, &[(&chiefs).into(), (&chief).into(), with_role(internal(&chief), &chiefs).into()]).await;
    let domicile = product(subject.store(), subject.directory());
    let resignation = strip(&*subject, &domicile, &acme, (&resigning, &resigning)).await;
    let edit = UpdateRole {
        role: "chiefs".to_owned(),
        paths: vec!["permissions".to_owned()],
        etag: etag(chiefs.id, chiefs.version),
        ..UpdateRole::default()
    };
    let (editing, by, ordered) = (domicile.clone(), call(&chief), order(&acme));
    let edit = async move { editing.update_role(&by, &ordered, &edit).await.map(drop) };
    assert_eq!(at_once(resignation, edit).await, [Ok(()), Err(Reason::LastManager)]);
    assert_eq!(managers(&domicile, &*subject, &acme).await, 1);
}

/// C9: two replace the roles of one membership on the same reading: the second is told its etag is stale, and the current
/// one.
pub async fn two_replace_the_roles_of_one_member(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, [one, two]) = managed(&*subject, "acme").await;
    let anna = anna(&*subject, &acme).await;
    put(&*subject, &[role(acme.id, "editor").into(), role(acme.id, "author").into()]).await;
    let domicile = product(subject.store(), subject.directory());
    let read = etag_of(&*subject, &acme, &anna).await;
    let replace = |by: &User, role: &str| {
        let change = SetRoles { user: anna.id.to_string(), roles: vec![role.to_owned()], etag: read.clone() };
        let (domicile, call, order) = (domicile.clone(), call(by), order(&acme));
        tokio::spawn(async move { domicile.set_roles(&call, &order, &change).await.map(drop) })
    };
    let (first, second) = tokio::join!(replace(&one, "editor"), replace(&two, "author"));
    let mut told = [first.expect("no panic"), second.expect("no panic")];
    told.sort_by_key(Result::is_err);
    let [done, Err(refusal)] = told else { panic!("both replaced") };
    assert_eq!((done, refusal.reason), (Ok(()), Reason::StaleEtag));
    let current = etag_of(&*subject, &acme, &anna).await;
    assert_ne!(current, read);
    assert_eq!(refusal.metadata, [("current_etag", current)]);
}
