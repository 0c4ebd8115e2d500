//! Questions about access: what they read, that they see every write, and that no history lets anybody above a ceiling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::id::{RoleId, UserId, WorkspaceId};
use domicile_domain::model::membership::{EndReason, ExternalMembership, ExternalState, Membership};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::relationship::{Ceiling, RelationshipState, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{CheckKey, CheckedSubject, Freshness};
use domicile_domain::port::sealer::{SealPurpose, Sealer};
use domicile_domain::port::store::UnitOfWork;
use domicile_domain::usecase::{
    BatchCheckAccess, BatchEntry, Call, CheckAccess, CheckSubject, Consistency, Denial, Domicile, DomicileApi,
};

use super::races::ports;
use super::{Harness, Subject, begin, good, put};
use crate::builders::{
    NOW, external, id, internal, minute, permission, permission_name, relationship, role, user, with_role, workspace,
};
use crate::sealer::PlainSealer;

/// A call of a service that may ask everything.
fn asking() -> Call {
    let service = ServicePrincipal::new("shop").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere);
    let (deadline, correlation_id) = (minute(60), "asks".to_owned());
    Call { actor: Actor::service(service), deadline, correlation_id, surface: "embedded" }
}

fn product(subject: &dyn Subject) -> Domicile {
    Domicile::new(ports(subject.store(), subject.directory()))
}

/// Many facts are those of one person each, in the order asked, whether or not person and workspace exist.
pub async fn many_facts_are_those_of_each(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let (anna, ben) = (user(home.id, "anna"), user(host.id, "ben"));
    let reader = role(host.id, "reader");
    let mut visit = external(&anna, host.id);
    visit.base.grants.roles.insert(reader.id);
    put(&*subject, &[(&host).into(), (&home).into(), (&anna).into(), (&ben).into(), (&reader).into()]).await;
    put(&*subject, &[internal(&anna).into(), internal(&ben).into(), visit.into()]).await;
    put(&*subject, &[relationship(host.id, home.id).into()]).await;
    let nobody: UserId = id();
    let asked: Vec<(WorkspaceId, UserId)> = [host.id, home.id, id()]
        .into_iter()
        .flat_map(|place| [anna.id, nobody, ben.id, anna.id].map(|person| (place, person)))
        .collect();
    let key = |(workspace, person): &(WorkspaceId, UserId)| CheckKey {
        workspace: WorkspaceRef::Id(*workspace),
        subject: CheckedSubject::User(*person),
        permission: permission_name("orders.read"),
    };
    let keys: Vec<CheckKey> = asked.iter().map(key).collect();
    let many = good(subject.directory().check_facts(&keys, &Freshness::Newest).await);
    let many: Vec<Option<AccessFacts>> = many.into_iter().map(|found| found.access.map(Arc::unwrap_or_clone)).collect();
    let mut each = Vec::new();
    for (place, person) in &asked {
        each.push(good(subject.directory().access_facts(*place, *person).await));
    }
    assert_eq!(many, each);
}

/// Grantees are the members to whom the permission is granted in any way, in order of user id, page by page.
pub async fn grantees_are_paged(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let name = permission_name("orders.read");
    let (mut reader, writer) = (role(host.id, "reader"), role(host.id, "writer"));
    reader.permissions.insert(name.clone());
    put(&*subject, &[(&host).into(), (&home).into(), permission("orders.read").into()]).await;
    put(&*subject, &[(&reader).into(), (&writer).into()]).await;
    let mut expected = BTreeSet::new();
    for number in 0..9 {
        let person = user(if number < 5 { host.id } else { home.id }, &format!("person{number}"));
        let mut membership: Membership = if number < 5 {
            Membership::Internal(internal(&person))
        } else {
            Membership::External(external(&person, host.id))
        };
        let grants = match &mut membership {
            Membership::Internal(internal) => &mut internal.base.grants,
            Membership::External(external) => &mut external.base.grants,
        };
        match number % 3 {
            0 => drop(grants.roles.insert(reader.id)),
            1 => drop(grants.permissions.insert(name.clone())),
            _ => drop(grants.roles.insert(writer.id)),
        }
        if number % 3 != 2 {
            expected.insert(person.id);
        }
        put(&*subject, &[(&person).into(), membership.into()]).await;
        // Elsewhere the same person has nothing of the kind.
        if number >= 5 {
            put(&*subject, &[internal(&person).into()]).await;
        }
    }
    let mut found: Vec<AccessFacts> = Vec::new();
    loop {
        let after = found.last().and_then(|facts| facts.account.as_ref()).map_or(UserId::nil(), |account| account.user);
        let page = good(subject.directory().grantees(host.id, &name, after, 4).await);
        assert!(page.len() <= 4);
        let last = page.len() < 4;
        found.extend(page);
        if last {
            break;
        }
    }
    let people: Vec<UserId> = found.iter().filter_map(|facts| Some(facts.account.as_ref()?.user)).collect();
    assert_eq!(people, expected.into_iter().collect::<Vec<_>>());
    for facts in found {
        let person = facts.account.as_ref().map_or(UserId::nil(), |account| account.user);
        assert_eq!(good(subject.directory().access_facts(host.id, person).await), Some(facts));
    }
    for (place, permission) in [(home.id, &name), (host.id, &permission_name("orders.none")), (id(), &name)] {
        assert_eq!(good(subject.directory().grantees(place, permission, UserId::nil(), 4).await), vec![]);
    }
}

/// The Internals who are looked at for a manager are those to whom a governance permission is granted, and no others.
pub async fn governors_are_internals_with_a_right(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (host, home) = (workspace("host"), workspace("home"));
    let mut governor = role(host.id, "governor");
    governor.permissions.insert(PermissionName::update());
    put(&*subject, &[(&host).into(), (&home).into(), permission("orders.read").into(), (&governor).into()]).await;
    let (by_role, direct, plain, visitor) =
        (user(host.id, "role"), user(host.id, "direct"), user(host.id, "plain"), user(home.id, "visitor"));
    let (mut directly, mut plainly, mut visiting) = (internal(&direct), internal(&plain), external(&visitor, host.id));
    directly.base.grants.permissions.insert(PermissionName::create());
    plainly.base.grants.permissions.insert(permission_name("orders.read"));
    visiting.base.grants.roles.insert(governor.id);
    for person in [&by_role, &direct, &plain, &visitor] {
        put(&*subject, &[person.into()]).await;
    }
    let here = with_role(internal(&by_role), &governor);
    put(&*subject, &[here.into(), directly.into(), plainly.into(), visiting.into()]).await;
    let mut tx = begin(&*subject).await;
    let all = good(tx.memberships().governors(host.id, UserId::nil(), 9).await);
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([by_role.id, direct.id]));
    assert!(all.is_sorted());
    let first = good(tx.memberships().governors(host.id, UserId::nil(), 1).await);
    assert_eq!(first.first(), all.first());
    let second = good(tx.memberships().governors(host.id, all.first().copied().unwrap_or(UserId::nil()), 1).await);
    assert_eq!(second.first(), all.get(1));
    good(tx.rollback().await);
}

/// How often the pairs are made; `make soak` makes 100,000.
fn pairs() -> usize {
    std::env::var("DOMICILE_TEST_PAIRS").ok().map_or(500, |text| text.parse().expect("a number of pairs"))
}

/// Takes the next revision of a workspace, does a thing in the same unit, and gives the consistency token of that.
async fn written(
    subject: &dyn Subject,
    place: WorkspaceId,
    write: impl AsyncFnOnce(&mut dyn UnitOfWork),
) -> Consistency {
    let mut tx = begin(subject).await;
    let taken = good(tx.workspaces().take_revision(&WorkspaceRef::Id(place)).await);
    let (place, revision) = taken.expect("the test's workspace is there");
    write(&mut *tx).await;
    good(tx.commit().await);
    let content = format!("{place}|{revision}");
    let token = PlainSealer.seal(SealPurpose::ConsistencyToken, content.as_bytes()).expect("it seals");
    Consistency::AtLeastAsFresh(token)
}

async fn end(tx: &mut dyn UnitOfWork, place: WorkspaceId, person: UserId) {
    let found = good(tx.memberships().find(place, person).await);
    if let Some(Membership::External(live)) = found {
        let read_at = live.base.version;
        good(tx.memberships().end(&live.end(EndReason::Unlinked, NOW), read_at).await);
    }
}

/// R6: what was revoked is denied by the next check with the token of that, and what was granted is allowed by the next, by
/// another product on the same store too.
pub async fn a_check_after_a_revocation_is_never_stale(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (mut host, home) = (workspace("host"), workspace("home"));
    let mut reader = role(host.id, "reader");
    reader.for_externals = true;
    reader.permissions.insert(permission_name("orders.read"));
    host.policy.default_ceiling.roles.insert(reader.id);
    let anna = user(home.id, "anna");
    put(&*subject, &[(&host).into(), (&home).into(), permission("orders.read").into(), (&reader).into()]).await;
    put(&*subject, &[(&anna).into(), internal(&anna).into()]).await;
    let products = [product(&*subject), product(&*subject)];
    let call = asking();
    for round in 0..pairs() {
        let mut visit = external(&anna, host.id);
        visit.base.grants.roles.insert(reader.id);
        let visit = Membership::External(visit);
        let granted = written(&*subject, host.id, async |tx| good(tx.memberships().insert(&visit).await)).await;
        let revoked = |decision: Result<(), Denial>| assert_eq!(decision, Err(Denial::NoMembership), "pair {round}");
        let allowed = |decision: Result<(), Denial>| assert_eq!(decision, Ok(()), "pair {round}");
        for product in &products {
            allowed(decided(product, &call, &host, &anna, granted.clone()).await);
        }
        let gone = written(&*subject, host.id, async |tx| end(tx, host.id, anna.id).await).await;
        for product in &products {
            revoked(decided(product, &call, &host, &anna, gone.clone()).await);
        }
        revoked(
            decided(
                products.iter().cycle().nth(round % 2).expect("two products"),
                &call,
                &host,
                &anna,
                Consistency::FullyConsistent,
            )
            .await,
        );
    }
}

async fn decided(
    product: &Domicile,
    call: &Call,
    host: &Workspace,
    person: &User,
    consistency: Consistency,
) -> Result<(), Denial> {
    let request = CheckAccess {
        workspace: host.id.to_string(),
        subject: CheckSubject::User(person.id.to_string()),
        permission: "orders.read".to_owned(),
        consistency,
    };
    product.check_access(call, &request).await.expect("the check is answered").decision
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).expect("it is below an end that fits")
    }

    fn is_lucky(&mut self) -> bool {
        self.roll() & 1 == 0
    }

    /// Some of them.
    fn some<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        of.iter().filter(|_| self.is_lucky()).cloned().collect()
    }
}

/// What a history is played with: three roles, three permissions, three people of another home.
struct History {
    host: Workspace,
    home: Workspace,
    roles: Vec<Role>,
    names: Vec<PermissionName>,
    people: Vec<User>,
    /// What the store should hold, told in the plainest way.
    memberships: BTreeMap<UserId, ExternalMembership>,
    /// What host and home agreed last, though it may have ended.
    agreed: Option<WorkspaceRelationship>,
    moves: u64,
}

impl History {
    async fn begin(subject: &dyn Subject, dice: &mut Dice) -> Self {
        let (mut host, home) = (workspace("host"), workspace("home"));
        let names: Vec<PermissionName> = ["orders.read", "orders.write"]
            .map(permission_name)
            .into_iter()
            .chain([PermissionName::update()])
            .collect();
        let mut roles: Vec<Role> = ["one", "two", "three"].map(|handle| role(host.id, handle)).into();
        for made in &mut roles {
            made.permissions = dice.some(&names).into_iter().collect();
            made.for_externals = dice.is_lucky();
        }
        host.policy.external_managers = dice.is_lucky();
        host.policy.default_ceiling = Self::ceiling(&roles, &names, dice);
        put(subject, &[(&host).into(), (&home).into()]).await;
        put(subject, &["orders.read", "orders.write"].map(|name| permission(name).into())).await;
        for made in &roles {
            put(subject, &[made.into()]).await;
        }
        let people: Vec<User> = ["anna", "ben", "cleo"].map(|name| user(home.id, name)).into();
        for person in &people {
            put(subject, &[person.into(), internal(person).into()]).await;
        }
        Self { host, home, roles, names, people, memberships: BTreeMap::new(), agreed: None, moves: 0 }
    }

    fn ceiling(roles: &[Role], names: &[PermissionName], dice: &mut Dice) -> Ceiling {
        let roles: Vec<RoleId> = roles.iter().map(|role| role.id).collect();
        Ceiling { roles: dice.some(&roles).into_iter().collect(), permissions: dice.some(names).into_iter().collect() }
    }

    /// One move: a link, new grants, an unlink; or a relationship that begins, changes, is suspended, resumed or ended.
    async fn step(&mut self, subject: &dyn Subject, dice: &mut Dice) {
        if dice.is_lucky() {
            self.relate(subject, dice).await;
        } else {
            self.link(subject, dice).await;
        }
    }

    async fn link(&mut self, subject: &dyn Subject, dice: &mut Dice) {
        let person = self.people.get(dice.below(self.people.len())).expect("it is below the end").clone();
        let mut visit = external(&person, self.host.id);
        let ids: Vec<RoleId> = self.roles.iter().map(|role| role.id).collect();
        visit.base.grants.roles = dice.some(&ids).into_iter().collect();
        visit.base.grants.permissions = dice.some(&self.names).into_iter().collect();
        visit.state = *ExternalState::ALL.get(dice.below(12)).unwrap_or(&ExternalState::Active);
        visit.expires_at = [NOW, minute(9)].get(dice.below(4)).copied();
        let stays = dice.below(4) > 0;
        let place = self.host.id;
        written(subject, place, async |tx| {
            end(tx, place, person.id).await;
            if stays {
                good(tx.memberships().insert(&Membership::External(visit.clone())).await);
            }
        })
        .await;
        self.memberships.remove(&person.id);
        if stays {
            self.memberships.insert(person.id, visit);
        }
    }

    async fn relate(&mut self, subject: &dyn Subject, dice: &mut Dice) {
        let (host, home) = (self.host.id, self.home.id);
        let active = self.agreed.take().filter(|agreed| agreed.state == RelationshipState::Active);
        let mut next = active.clone().unwrap_or_else(|| relationship(host, home));
        self.moves += 1;
        match dice.below(5) {
            0 => next.host_terms.ceiling = Self::ceiling(&self.roles, &self.names, dice),
            1 => next.suspended_by_host = dice.below(4) == 0,
            2 => next.suspended_by_home = dice.below(4) == 0,
            3 => next.home_terms.allows_host = dice.below(4) > 0,
            _ if active.is_some() => {
                (next.state, next.ended_at) = (RelationshipState::Ended, Some(minute(self.moves)));
            }
            _ => {}
        }
        if let Some(active) = &active {
            next.version = active.version.next();
        }
        written(subject, host, async |tx| match &active {
            None => good(tx.relationships().insert(&next).await),
            Some(active) => good(tx.relationships().update(&next, active.version).await),
        })
        .await;
        self.agreed = Some(next);
    }

    /// What Externals may have now, told again and apart from the policy: nothing while a side says no, the terms of an
    /// active relationship, of one that ended what the default has too, else the default.
    fn most(&self) -> Ceiling {
        let default = &self.host.policy.default_ceiling;
        match &self.agreed {
            None => default.clone(),
            Some(agreed) if agreed.suspended_by_host || agreed.suspended_by_home || !agreed.home_terms.allows_host => {
                Ceiling::default()
            }
            Some(agreed) if agreed.state == RelationshipState::Active => agreed.host_terms.ceiling.clone(),
            Some(ended) => {
                let mut left = ended.host_terms.ceiling.clone();
                left.roles.retain(|role| default.roles.contains(role));
                left.permissions.retain(|name| default.permissions.contains(name));
                left
            }
        }
    }

    /// Every permission within that, by which role or by itself.
    fn within(&self, visit: &ExternalMembership) -> BTreeSet<PermissionName> {
        let (most, governs) = (self.most(), self.host.policy.external_managers);
        let rights = [PermissionName::create(), PermissionName::update()];
        let mut within = BTreeSet::new();
        for made in &self.roles {
            let governing = made.permissions.iter().any(|name| rights.contains(name));
            let admitted = if governing { governs } else { made.for_externals };
            if admitted && visit.base.grants.roles.contains(&made.id) && most.roles.contains(&made.id) {
                within.extend(made.permissions.iter().cloned());
            }
        }
        for name in &visit.base.grants.permissions {
            if most.permissions.contains(name) && (governs || !rights.contains(name)) {
                within.insert(name.clone());
            }
        }
        within
    }

    /// The decision, told again.
    fn may(&self, person: &User, name: &PermissionName) -> bool {
        self.memberships.get(&person.id).is_some_and(|visit| {
            let in_use = visit.state == ExternalState::Active && visit.expires_at.is_none_or(|end| end > NOW);
            in_use && self.within(visit).contains(name)
        })
    }

    /// Everybody and everything, asked at once.
    async fn compare(&self, product: &Domicile, call: &Call, what: &str) {
        let everything = || self.people.iter().flat_map(|person| self.names.iter().map(move |name| (person, name)));
        let entries = everything().map(|(person, name)| BatchEntry {
            correlation_id: String::new(),
            workspace: self.host.id.to_string(),
            subject: CheckSubject::User(person.id.to_string()),
            permission: name.to_string(),
        });
        let request = BatchCheckAccess { entries: entries.collect(), consistency: Consistency::FullyConsistent };
        let told = product.batch_check_access(call, &request).await.expect("the checks are answered");
        for ((person, name), entry) in everything().zip(told.entries) {
            let decision = entry.answer.expect("the question is right").decision;
            assert_eq!(decision.is_ok(), self.may(person, name), "{what}: {} {name}: {decision:?}", person.id);
        }
    }
}

/// C5, and the decision itself: after each move of random histories everybody has what a plain model says, which is never
/// above the ceiling.
pub async fn no_history_lifts_anybody_above_the_ceiling(harness: &dyn Harness) {
    let mut allowed = 0;
    for seed in 1..=6 {
        let subject = harness.fresh().await;
        let mut dice = Dice(seed);
        let mut history = History::begin(&*subject, &mut dice).await;
        let (product, call) = (Arc::new(product(&*subject)), asking());
        for step in 0..40 {
            history.step(&*subject, &mut dice).await;
            history.compare(&product, &call, &format!("seed {seed}, step {step}")).await;
            let names = history.names.iter();
            allowed += names.filter(|name| history.people.iter().any(|person| history.may(person, name))).count();
        }
    }
    assert!(allowed > 50, "the histories allow hardly anything: {allowed}");
}
