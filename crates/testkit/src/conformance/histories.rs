//! Random histories of everything that decides access, compared after each move with a plain model; and that the
//! comparison catches a rule that is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::facts::AccessFacts;
use domicile_domain::model::group::{Group, GroupRef};
use domicile_domain::model::id::{RoleId, UserId, WorkspaceId};
use domicile_domain::model::membership::{
    EndReason, ExternalMembership, ExternalState, InternalMembership, Membership,
};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::relationship::{Ceiling, RelationshipState, WorkspaceRelationship};
use domicile_domain::model::role::Role;
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Openness, Workspace, WorkspaceRef};
use domicile_domain::policy::Policies;
use domicile_domain::policy::access::{AccessPolicy, Denial, ShippedAccessPolicy};
use domicile_domain::policy::ceiling::{CeilingPolicy, ShippedCeilingPolicy};
use domicile_domain::port::store::UnitOfWork;
use domicile_domain::usecase::{
    BatchCheckAccess, BatchEntry, Call, CheckSubject, Consistency, Domicile, DomicileApi, SetPermissions, SetRoles,
    UpdateRole, etag,
};

use super::races::{call, managed, managers, order, ports, product};
use super::{Harness, Subject, begin, good, put};
use crate::builders::{
    NOW, external, group, internal, minute, permission, permission_name, relationship, role, user, workspace,
};

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

    /// One of them.
    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of.get(self.below(of.len())).expect("it is below the end").clone()
    }
}

/// A call of a service that may ask everything.
fn asking() -> Call {
    let service = ServicePrincipal::new("shop").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere);
    let (deadline, correlation_id) = (minute(60), "asks".to_owned());
    Call { actor: Actor::service(service), deadline, correlation_id, surface: "embedded" }
}

/// Takes the next revision of a workspace and does a thing in the same unit.
async fn written(subject: &dyn Subject, place: WorkspaceId, write: impl AsyncFnOnce(&mut dyn UnitOfWork)) {
    let mut tx = begin(subject).await;
    good(tx.workspaces().take_revision(&WorkspaceRef::Id(place)).await).expect("the test's workspace is there");
    write(&mut *tx).await;
    good(tx.commit().await);
}

async fn end(tx: &mut dyn UnitOfWork, place: WorkspaceId, person: UserId) {
    let found = good(tx.memberships().find(place, person).await);
    if let Some(Membership::External(live)) = found {
        let read_at = live.base.version;
        good(tx.memberships().end(&live.end(EndReason::Unlinked, NOW), read_at).await);
    }
}

/// What is claimed of every history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Everybody has what a plain model says.
    AsTheModel,
    /// No External has more than the ceiling of the moment (C5).
    WithinTheCeiling,
    /// What suspends, ends, retires or deletes gives nobody more.
    NeverWider,
}

impl Claim {
    const ALL: [Self; 3] = [Self::AsTheModel, Self::WithinTheCeiling, Self::NeverWider];
}

/// Who may what.
type Allowed = BTreeSet<(UserId, PermissionName)>;

/// What a history is played with: three roles, three permissions, three people of another home, and two of the host with a
/// group.
struct History {
    host: Workspace,
    home: Workspace,
    roles: Vec<Role>,
    names: Vec<PermissionName>,
    people: Vec<User>,
    staff: Vec<InternalMembership>,
    crew: Group,
    retired: BTreeSet<PermissionName>,
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
        let mut crew = group(host.id, "crew");
        crew.roles = dice.some(&Self::ids(&roles)).into_iter().collect();
        put(subject, &[(&host).into(), (&home).into()]).await;
        put(subject, &["orders.read", "orders.write"].map(|name| permission(name).into())).await;
        for made in &roles {
            put(subject, &[made.into()]).await;
        }
        put(subject, &[(&crew).into()]).await;
        let people: Vec<User> = ["anna", "ben", "cleo"].map(|name| user(home.id, name)).into();
        for person in &people {
            put(subject, &[person.into(), internal(person).into()]).await;
        }
        let mut staff = Vec::new();
        for person in ["dora", "emil"].map(|name| user(host.id, name)) {
            let mut membership = internal(&person);
            membership.base.grants.roles = dice.some(&Self::ids(&roles)).into_iter().collect();
            membership.base.grants.permissions = dice.some(&names).into_iter().collect();
            put(subject, &[person.into(), membership.clone().into()]).await;
            staff.push(membership);
        }
        let (retired, memberships) = (BTreeSet::new(), BTreeMap::new());
        Self { host, home, roles, names, people, staff, crew, retired, memberships, agreed: None, moves: 0 }
    }

    fn ids(roles: &[Role]) -> Vec<RoleId> {
        roles.iter().map(|role| role.id).collect()
    }

    fn ceiling(roles: &[Role], names: &[PermissionName], dice: &mut Dice) -> Ceiling {
        let roles = dice.some(&Self::ids(roles)).into_iter().collect();
        Ceiling { roles, permissions: dice.some(names).into_iter().collect() }
    }

    /// One move; answers whether it may give nobody more.
    async fn step(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        self.moves += 1;
        match dice.below(10) {
            0..3 => self.link(subject, dice).await,
            3..6 => self.relate(subject, dice).await,
            6 => self.edit_role(subject, dice).await,
            7 => self.edit_policy(subject, dice).await,
            8 => self.edit_group(subject, dice).await,
            _ if dice.below(3) == 0 => self.delete_role(subject, dice).await,
            _ => self.edit_catalogue(subject, dice).await,
        }
    }

    /// A link, new grants, or an unlink.
    async fn link(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        let person = dice.one(&self.people);
        let mut visit = external(&person, self.host.id);
        visit.base.grants.roles = dice.some(&Self::ids(&self.roles)).into_iter().collect();
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
        !stays
    }

    /// A relationship that begins, changes, is suspended, resumed or ended.
    async fn relate(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        let (host, home) = (self.host.id, self.home.id);
        let active = self.agreed.take().filter(|agreed| agreed.state == RelationshipState::Active);
        let mut next = active.clone().unwrap_or_else(|| relationship(host, home));
        let narrows = match dice.below(5) {
            0 => {
                next.host_terms.ceiling = Self::ceiling(&self.roles, &self.names, dice);
                false
            }
            1 => {
                next.suspended_by_host = dice.is_lucky();
                next.suspended_by_host
            }
            2 => {
                next.suspended_by_home = dice.is_lucky();
                next.suspended_by_home
            }
            3 => {
                next.home_terms.allows_host = dice.below(4) > 0;
                !next.home_terms.allows_host
            }
            _ => {
                if active.is_some() {
                    (next.state, next.ended_at) = (RelationshipState::Ended, Some(minute(self.moves)));
                }
                active.is_some()
            }
        };
        if let Some(active) = &active {
            next.version = active.version.next();
        }
        written(subject, host, async |tx| match &active {
            None => good(tx.relationships().insert(&next).await),
            Some(active) => good(tx.relationships().update(&next, active.version).await),
        })
        .await;
        self.agreed = Some(next);
        narrows
    }

    /// A role gets other permissions and another mark.
    async fn edit_role(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        let at = dice.below(self.roles.len());
        let read = self.roles.get_mut(at).expect("it is below the end");
        let before = read.clone();
        read.permissions = dice.some(&self.names).into_iter().collect();
        read.for_externals = dice.is_lucky();
        read.version = before.version.next();
        let after = read.clone();
        written(subject, self.host.id, async |tx| good(tx.roles().update(&after, before.version).await)).await;
        // Fewer permissions may let an External have the role: without governance it needs no leave of the policy.
        after.permissions == before.permissions && !after.for_externals
    }

    /// A role is deleted wherever it is used; a new one takes its place.
    async fn delete_role(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        let at = dice.below(self.roles.len());
        let gone = self.roles.remove(at);
        let mut new = role(self.host.id, gone.handle.as_str());
        new.permissions = dice.some(&self.names).into_iter().collect();
        new.for_externals = dice.is_lucky();
        self.roles.push(new.clone());
        self.host.policy.default_ceiling.roles.remove(&gone.id);
        self.crew.roles.remove(&gone.id);
        if let Some(agreed) = &mut self.agreed {
            agreed.host_terms.ceiling.roles.remove(&gone.id);
        }
        written(subject, self.host.id, async |tx| {
            good(tx.roles().delete(&gone).await);
            good(tx.roles().insert(&new).await);
            self.read_versions(tx).await;
        })
        .await;
        true
    }

    /// What was changed in passing has another version now.
    async fn read_versions(&mut self, tx: &mut dyn UnitOfWork) {
        let host = good(tx.workspaces().find(&WorkspaceRef::Id(self.host.id)).await);
        self.host.version = host.expect("the host is there").version;
        let crew = good(tx.groups().find(self.host.id, &GroupRef::Id(self.crew.id)).await);
        self.crew.version = crew.expect("the group is there").group.version;
        let live = good(tx.relationships().find(self.host.id, self.home.id).await);
        if let (Some(agreed), Some(live)) = (&mut self.agreed, live) {
            agreed.version = live.version;
        }
    }

    /// The host or the home replaces one of its rules.
    async fn edit_policy(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        const OPEN: [Openness; 4] = [Openness::Open, Openness::Open, Openness::RelatedOnly, Openness::Closed];
        let mut narrows = false;
        let which = dice.below(4);
        let of = if which == 3 { &mut self.home } else { &mut self.host };
        match which {
            0 => of.policy.default_ceiling = Self::ceiling(&self.roles, &self.names, dice),
            1 => {
                of.policy.external_managers = dice.is_lucky();
                narrows = !of.policy.external_managers;
            }
            2 => {
                of.policy.inbound = dice.one(&OPEN);
                narrows = of.policy.inbound == Openness::Closed;
            }
            _ => {
                of.policy.outbound = dice.one(&OPEN);
                narrows = of.policy.outbound == Openness::Closed;
            }
        }
        let read_at = of.version;
        of.version = read_at.next();
        let after = of.clone();
        written(subject, after.id, async |tx| good(tx.workspaces().update(&after, read_at).await)).await;
        narrows
    }

    /// A permission is retired, or registered again.
    async fn edit_catalogue(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        let name = dice.one(&["orders.read", "orders.write"]);
        let retires = dice.is_lucky();
        let entry = Permission { retired_at: retires.then_some(NOW), ..permission(name) };
        written(subject, self.host.id, async |tx| good(tx.roles().update_permission(&entry).await)).await;
        if retires {
            self.retired.insert(entry.name);
        } else {
            self.retired.remove(&entry.name);
        }
        retires
    }

    /// The group carries other roles, or somebody comes into it or leaves it.
    async fn edit_group(&mut self, subject: &dyn Subject, dice: &mut Dice) -> bool {
        if dice.is_lucky() {
            let read_at = self.crew.version;
            self.crew.roles = dice.some(&Self::ids(&self.roles)).into_iter().collect();
            self.crew.version = read_at.next();
            let crew = self.crew.clone();
            written(subject, self.host.id, async |tx| good(tx.groups().update(&crew, read_at).await)).await;
            return self.crew.roles.is_empty();
        }
        let at = dice.below(self.staff.len());
        let member = self.staff.get_mut(at).expect("it is below the end");
        let leaves = member.groups.remove(&self.crew.id);
        if !leaves {
            member.groups.insert(self.crew.id);
        }
        let (crew, who) = (self.crew.clone(), [member.base.user]);
        written(subject, self.host.id, async |tx| {
            let changed =
                if leaves { tx.groups().remove(&crew, &who).await } else { tx.groups().add(&crew, &who).await };
            good(changed);
        })
        .await;
        leaves
    }

    /// What Externals may have now, told again and apart from the policy: nothing while a side says no, the terms of an
    /// active relationship, of one that ended what the default has too, else the default.
    fn most(&self) -> Ceiling {
        let default = &self.host.policy.default_ceiling;
        let suspended = |agreed: &WorkspaceRelationship| agreed.suspended_by_host || agreed.suspended_by_home;
        let in_force =
            self.agreed.as_ref().is_some_and(|agreed| agreed.state == RelationshipState::Active && !suspended(agreed));
        let closed = |openness| match openness {
            Openness::Open => false,
            Openness::RelatedOnly => !in_force,
            Openness::Closed => true,
        };
        if closed(self.host.policy.inbound) || closed(self.home.policy.outbound) {
            return Ceiling::default();
        }
        match &self.agreed {
            None => default.clone(),
            Some(agreed) if suspended(agreed) || !agreed.home_terms.allows_host => Ceiling::default(),
            Some(agreed) if agreed.state == RelationshipState::Active => agreed.host_terms.ceiling.clone(),
            Some(ended) => {
                let mut left = ended.host_terms.ceiling.clone();
                left.roles.retain(|role| default.roles.contains(role));
                left.permissions.retain(|name| default.permissions.contains(name));
                left
            }
        }
    }

    /// Every permission of an External within that, by which role or by itself.
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

    /// Every permission of an Internal, by which role or by itself.
    fn carried(&self, member: &InternalMembership) -> BTreeSet<PermissionName> {
        let by_group = member.groups.contains(&self.crew.id);
        let has = |role: &&Role| {
            member.base.grants.roles.contains(&role.id) || by_group && self.crew.roles.contains(&role.id)
        };
        let by_role = self.roles.iter().filter(has).flat_map(|role| &role.permissions);
        member.base.grants.permissions.iter().chain(by_role).cloned().collect()
    }

    /// The decisions, told again.
    fn told_again(&self) -> Allowed {
        let in_use = |visit: &&ExternalMembership| {
            visit.state == ExternalState::Active && visit.expires_at.is_none_or(|end| end > NOW)
        };
        let visits = self.memberships.values().filter(in_use).map(|visit| (visit.base.user, self.within(visit)));
        let staff = self.staff.iter().map(|member| (member.base.user, self.carried(member)));
        let each = visits.chain(staff).flat_map(|(user, names)| names.into_iter().map(move |name| (user, name)));
        each.filter(|(_, name)| !self.retired.contains(name)).collect()
    }

    /// Everybody and everything, asked at once.
    async fn allowed(&self, product: &Domicile, call: &Call) -> Allowed {
        let everybody = self.people.iter().map(|person| person.id).chain(self.staff.iter().map(|one| one.base.user));
        let everything: Vec<(UserId, PermissionName)> =
            everybody.flat_map(|user| self.names.iter().map(move |name| (user, name.clone()))).collect();
        let entries = everything.iter().map(|(user, name)| BatchEntry {
            correlation_id: String::new(),
            workspace: self.host.id.to_string(),
            subject: CheckSubject::User(user.to_string()),
            permission: name.to_string(),
        });
        let request = BatchCheckAccess { entries: entries.collect(), consistency: Consistency::FullyConsistent };
        let told = product.batch_check_access(call, &request).await.expect("the checks are answered");
        let answers = told.entries.into_iter().map(|entry| entry.answer.expect("the question is right").decision);
        everything.into_iter().zip(answers).filter_map(|(asked, decision)| decision.is_ok().then_some(asked)).collect()
    }

    /// Whether a claim holds after a move.
    fn holds(&self, claim: Claim, before: &Allowed, after: &Allowed, narrowed: bool) -> bool {
        match claim {
            Claim::AsTheModel => *after == self.told_again(),
            Claim::WithinTheCeiling => after.iter().all(|(user, name)| {
                let is_staff = self.staff.iter().any(|member| member.base.user == *user);
                is_staff || self.memberships.get(user).is_some_and(|visit| self.within(visit).contains(name))
            }),
            Claim::NeverWider => !narrowed || after.is_subset(before),
        }
    }
}

/// Plays histories over a product with some policies, and says where a claim fails first; else how much was allowed, and how
/// many moves took something away.
async fn play(harness: &dyn Harness, policies: &Policies, claims: &[Claim]) -> Result<(usize, usize), String> {
    let (mut allowed, mut narrower) = (0, 0);
    for seed in 1..=8 {
        let subject = harness.fresh().await;
        let mut dice = Dice(seed);
        let mut history = History::begin(&*subject, &mut dice).await;
        let product = Domicile::with_policies(ports(subject.store(), subject.directory()), policies.clone());
        let call = asking();
        let mut before = history.allowed(&product, &call).await;
        for step in 0..60 {
            let narrowed = history.step(&*subject, &mut dice).await;
            let after = history.allowed(&product, &call).await;
            for claim in claims {
                if !history.holds(*claim, &before, &after, narrowed) {
                    return Err(format!("seed {seed}, step {step}: {claim:?} does not hold"));
                }
            }
            allowed += after.len();
            narrower += usize::from(narrowed && after.len() < before.len());
            before = after;
        }
    }
    Ok((allowed, narrower))
}

/// C5, and the decision itself: after each move of random histories everybody has what a plain model says, which is
/// never above the ceiling, and what takes away gives nobody more.
pub async fn no_history_lifts_anybody_above_the_ceiling(harness: &dyn Harness) {
    let played = play(harness, &Policies::default(), &Claim::ALL).await;
    let (allowed, narrower) = played.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(allowed > 1000 && narrower > 10, "the histories allow or take away hardly anything: {allowed}, {narrower}");
}

/// Externals may have everything.
struct WithoutCeiling;

impl CeilingPolicy for WithoutCeiling {
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling {
        let base = facts.membership.as_ref().map(Membership::base);
        Ceiling {
            roles: facts.roles.iter().map(|role| role.id).collect(),
            permissions: base.map(|base| base.grants.permissions.clone()).unwrap_or_default(),
        }
    }
}

/// A relationship counts as if nobody had suspended it.
struct WithoutSuspension;

impl CeilingPolicy for WithoutSuspension {
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling {
        let mut facts = facts.clone();
        if let Some(agreed) = &mut facts.relationship {
            let agreed = Arc::make_mut(agreed);
            (agreed.suspended_by_host, agreed.suspended_by_home) = (false, false);
        }
        ShippedCeilingPolicy.ceiling(&facts)
    }
}

/// A relationship that is suspended or over counts as if there had been none: the default for unknown homes is back.
struct BackToTheDefault;

impl CeilingPolicy for BackToTheDefault {
    fn ceiling(&self, facts: &AccessFacts) -> Ceiling {
        let mut facts = facts.clone();
        facts.relationship = facts.relationship.filter(|agreed| agreed.is_in_force());
        ShippedCeilingPolicy.ceiling(&facts)
    }
}

/// Whoever was suspended, or has not accepted, may all the same.
struct WithoutStates;

impl AccessPolicy for WithoutStates {
    fn decide(
        &self,
        facts: &AccessFacts,
        ceiling: &Ceiling,
        permission: &PermissionName,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let mut facts = facts.clone();
        if let Some(Membership::External(visit)) = &mut facts.membership {
            visit.state = ExternalState::Active;
        }
        ShippedAccessPolicy.decide(&facts, ceiling, permission, now)
    }
}

/// The histories catch each rule that is broken, by the claim that the rule is for.
pub async fn histories_catch_a_broken_rule(harness: &dyn Harness) {
    let with = |ceiling: Arc<dyn CeilingPolicy>| Policies { ceiling, ..Policies::default() };
    let broken = [
        ("without a ceiling", with(Arc::new(WithoutCeiling)), Claim::WithinTheCeiling),
        ("without suspension", with(Arc::new(WithoutSuspension)), Claim::WithinTheCeiling),
        ("back to the default", with(Arc::new(BackToTheDefault)), Claim::NeverWider),
        ("without states", Policies { access: Arc::new(WithoutStates), ..Policies::default() }, Claim::AsTheModel),
    ];
    for (rule, policies, claim) in broken {
        assert!(play(harness, &policies, &[claim]).await.is_err(), "{rule}: {claim:?} holds all the same");
    }
}

/// Three people of a workspace who manage it by a role, directly, or no more.
struct Board {
    acme: Workspace,
    people: [User; 3],
}

impl Board {
    /// Somebody gives or takes rights, on what they read now or on what was read at first; answers whether that was stale,
    /// and what was told.
    async fn move_by(
        &self,
        subject: &dyn Subject,
        dice: &mut Dice,
        by: &User,
        on: &Domicile,
    ) -> (bool, Result<(), Refusal>) {
        let (whom, order, by) = (dice.one(&self.people), order(&self.acme), call(by));
        let late = dice.below(4) == 0;
        let read = |current: Version| if late { Version::FIRST } else { current };
        let all = [PermissionName::create(), PermissionName::update()].map(|name| name.to_string()).to_vec();
        let given = dice.below(4) == 0;
        let which = dice.below(3);
        if which == 0 {
            let roles = good(subject.directory().roles(self.acme.id).await);
            let chiefs = roles.iter().find(|role| role.handle.as_str() == "chiefs").expect("nobody deletes it");
            let change = UpdateRole {
                role: chiefs.id.to_string(),
                etag: etag(chiefs.id, read(chiefs.version)),
                paths: vec!["permissions".to_owned()],
                permissions: if given { all.clone() } else { dice.some(&all) },
                ..UpdateRole::default()
            };
            return (read(chiefs.version) != chiefs.version, on.update_role(&by, &order, &change).await.map(drop));
        }
        let row = good(subject.directory().member(self.acme.id, whom.id).await).expect("nobody leaves");
        let base = row.membership.base();
        let (user, etag) = (whom.id.to_string(), etag(base.id, read(base.version)));
        let answer = if which == 1 {
            let roles = if given { vec!["chiefs".to_owned()] } else { vec![] };
            on.set_roles(&by, &order, &SetRoles { user, roles, etag }).await.map(drop)
        } else {
            let permissions = if given { all } else { vec![] };
            on.set_permissions(&by, &order, &SetPermissions { user, permissions, etag }).await.map(drop)
        };
        (read(base.version) != base.version, answer)
    }
}

/// C9 and C19, one after the other in random histories of managers who give and take rights: what was read before is refused
/// as stale, and whatever role is edited, somebody manages the workspace after each move.
pub async fn no_history_leaves_a_workspace_without_a_manager(harness: &dyn Harness) {
    let (mut stale, mut last) = (0, 0);
    for seed in 1..=4 {
        let subject = harness.fresh().await;
        let mut dice = Dice(seed);
        let (acme, people) = managed(&*subject, "acme").await;
        put(&*subject, &[role(acme.id, "chiefs").into()]).await;
        let board = Board { acme, people };
        let product = product(subject.store(), subject.directory());
        for step in 0..40 {
            let first = dice.below(board.people.len());
            // Whoever has no right any more leaves the move to the next.
            for by in board.people.iter().cycle().skip(first).take(board.people.len()) {
                let (was_stale, answer) = board.move_by(&*subject, &mut dice, by, &product).await;
                let told = answer.map_err(|refusal| refusal.reason);
                assert!(!was_stale || told.is_err(), "seed {seed}, step {step}: a stale reading was taken");
                stale += usize::from(told == Err(Reason::StaleEtag));
                last += usize::from(told == Err(Reason::LastManager));
                if told != Err(Reason::PermissionDenied) {
                    break;
                }
            }
            let left = managers(&product, &*subject, &board.acme).await;
            assert!(left > 0, "seed {seed}, step {step}: nobody manages the workspace");
        }
    }
    assert!(stale > 5 && last > 5, "the histories meet hardly anything: {stale} stale, {last} last managers");
}
