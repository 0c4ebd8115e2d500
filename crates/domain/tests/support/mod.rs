//! Two workspaces with their managers on a store in memory, and short ways to call the product.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::event::EventBody;
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::audit::AuditRecord;
use domicile_domain::model::id::{NoticeId, UserId};
use domicile_domain::model::membership::{EndReason, ExternalMembership, Grants, Membership, MembershipBase};
use domicile_domain::model::notice::Notice;
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::time::Revision;
use domicile_domain::model::user::{Identity, User, UserState};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::Directory;
use domicile_domain::port::runtime::Clock;
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{
    AccessAnswer, AssignReply, AssignUser, Call, ChangeIdentity, CheckAccess, CheckSubject, Consistency,
    CreateWorkspace, Domicile, DomicileApi, Expectation, ExternalInput, GrantsInput, LookupReply, LookupUser, Order,
    Ports, ProfileInput, RequestIdentity,
};
use domicile_testkit::builders::{
    WIDE_BUDGETS, built_in, external, id, internal, minute, permission, permission_name, role, user, with_role,
    workspace,
};
use domicile_testkit::clock::FixedClock;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::languages::PrefixMatcher;
use domicile_testkit::memory::MemoryStore;
use domicile_testkit::phones::SimplePhones;
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::{PATIENCE, Row, seed};
use uuid::Uuid;

/// A phone number that nobody has unless a test says so.
pub(crate) const PHONE: &str = "+36301234567";

/// Units of a probe that succeeds: the one that counts it, and the one of the work.
pub(crate) const COUNT_AND_WORK: u64 = 2;

/// What a world is made of, to be changed before it is.
pub(crate) struct Plan {
    /// Host of most tests.
    pub(crate) acme: Workspace,
    /// Home of most people.
    pub(crate) borealis: Workspace,
    /// Acme's role of both governance rights.
    pub(crate) governor: Role,
    /// Acme's role for Externals, without permissions; the default ceiling.
    pub(crate) guest: Role,
    /// Acme's role with `orders.read`, marked for Externals and above the default ceiling.
    pub(crate) reader: Role,
}

/// The product on a store in memory, with `acme` and its manager Dana, `borealis` and its manager Lena.
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) ports: Ports,
    pub(crate) domicile: Domicile,
    pub(crate) acme: Workspace,
    pub(crate) borealis: Workspace,
    pub(crate) governor: Role,
    pub(crate) reader: Role,
    pub(crate) dana: User,
    pub(crate) lena: User,
}

impl World {
    /// Both workspaces as shipped.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Both workspaces, changed before they are stored.
    pub(crate) async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let acme = workspace("acme");
        let mut reader = role(acme.id, "reader");
        reader.for_externals = true;
        reader.permissions.insert(permission_name("orders.read"));
        let mut plan = Plan {
            governor: built_in(acme.id, BuiltInRole::AccessManager),
            guest: built_in(acme.id, BuiltInRole::Guest),
            borealis: workspace("borealis"),
            reader,
            acme,
        };
        plan.acme.policy.default_ceiling.roles.insert(plan.guest.id);
        change(&mut plan);
        let Plan { acme, borealis, governor, guest, reader } = plan;

        let far = built_in(borealis.id, BuiltInRole::AccessManager);
        let (dana, lena) = (user(acme.id, "dana"), user(borealis.id, "lena"));
        let (dana_here, lena_there) = (with_role(internal(&dana), &governor), with_role(internal(&lena), &far));
        let member = built_in(acme.id, BuiltInRole::Member);
        let store = MemoryStore::new();
        let rows: [Row; 13] = [
            permission("orders.read").into(),
            permission("orders.write").into(),
            (&acme).into(),
            (&borealis).into(),
            (&governor).into(),
            member.into(),
            guest.into(),
            (&reader).into(),
            far.into(),
            (&dana).into(),
            dana_here.into(),
            (&lena).into(),
            lena_there.into(),
        ];
        seed(&store, &rows).await;

        let clock = Arc::new(FixedClock::default());
        let ports = Ports {
            store: Arc::new(store.clone()),
            directory: Arc::new(store.clone()),
            clock: clock.clone(),
            ids: Arc::new(SequentialIds::from(1 << 40)),
            sealer: Arc::new(PlainSealer),
            phones: Arc::new(SimplePhones),
            languages: Arc::new(PrefixMatcher),
        };
        let domicile = Domicile::new(ports.clone()).with_budgets(WIDE_BUDGETS);
        Self { store, clock, ports, domicile, acme, borealis, governor, reader, dana, lena }
    }

    /// The same world, with other ports.
    pub(crate) fn rewired(&self, change: impl FnOnce(&mut Ports)) -> Domicile {
        let mut ports = self.ports.clone();
        change(&mut ports);
        Domicile::new(ports).with_budgets(WIDE_BUDGETS)
    }

    /// The world as a replica reads it that saw nothing since now.
    pub(crate) fn replica(&self) -> Domicile {
        let behind = self.store.as_of_now();
        self.rewired(|ports| ports.directory = Arc::new(behind))
    }

    /// Puts rows into the store.
    pub(crate) async fn put(&self, rows: &[Row]) {
        seed(&self.store, rows).await;
    }

    /// Adds an account with its Internal membership.
    pub(crate) async fn account(&self, user: User) -> User {
        self.put(&[(&user).into(), internal(&user).into()]).await;
        user
    }

    /// Adds somebody whose home is Borealis, by the username; the address is `<username>@mail.example`.
    pub(crate) async fn stranger(&self, username: &str) -> User {
        self.account(user(self.borealis.id, username)).await
    }

    /// Adds somebody whose home is Acme, with direct permissions there.
    pub(crate) async fn colleague(&self, username: &str, permissions: &[PermissionName]) -> User {
        let user = user(self.acme.id, username);
        let mut membership = internal(&user);
        membership.base.grants.permissions = permissions.iter().cloned().collect();
        self.put(&[(&user).into(), membership.into()]).await;
        user
    }

    /// Adds somebody whose home is Borealis and who is External in Acme, changed before it is stored.
    pub(crate) async fn visitor(&self, username: &str, change: impl FnOnce(&mut ExternalMembership)) -> User {
        let user = self.stranger(username).await;
        let mut membership = external(&user, self.acme.id);
        change(&mut membership);
        self.put(&[membership.into()]).await;
        user
    }

    /// Adds somebody whose home is Borealis and whose External membership in Acme ended.
    pub(crate) async fn former(&self, username: &str, reason: EndReason) -> User {
        let user = self.visitor(username, |_| {}).await;
        self.end(&user, reason).await;
        user
    }

    /// Ends an External membership in Acme, as no call does yet.
    pub(crate) async fn end(&self, user: &User, reason: EndReason) {
        let mut tx = self.store.begin(PATIENCE).await.unwrap();
        let Some(Membership::External(live)) = tx.memberships().find(self.acme.id, user.id).await.unwrap() else {
            panic!("the test's person is External in Acme");
        };
        let read_at = live.base.version;
        tx.memberships().end(&live.end(reason, self.clock.now()), read_at).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Changes what somebody has directly in Acme, past every rule.
    pub(crate) async fn regrant(&self, person: UserId, change: impl FnOnce(&mut Grants)) {
        let base = self.member(person).await.unwrap().base().clone();
        let mut grants = base.grants.clone();
        change(&mut grants);
        let after = MembershipBase { grants, version: base.version.next(), ..base.clone() };
        let mut tx = self.store.begin(PATIENCE).await.unwrap();
        tx.memberships().grant(&after, base.version).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Every table but the counters of probes, which every probe changes.
    pub(crate) fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let mut dump = self.store.dump();
        assert!(dump.remove("budget_counters").is_some(), "the table was renamed");
        dump
    }

    /// Every table but the audit's and the counters of probes, as text.
    pub(crate) fn content(&self) -> BTreeMap<String, Vec<String>> {
        let mut dump = self.dump();
        assert!(
            dump.remove("audit_records").is_some() && dump.remove("personal_values").is_some(),
            "tables were renamed"
        );
        dump
    }

    /// Acme's view of the audit record, newest first.
    pub(crate) async fn audit(&self) -> Vec<AuditRecord> {
        self.store.audit(self.acme.id, 1000).await.unwrap()
    }

    /// Acme's events, in order.
    pub(crate) async fn events(&self) -> Vec<EventBody> {
        let events = self.store.events(self.acme.id, Revision::from_stored(0), 1000).await.unwrap();
        events.into_iter().map(|event| event.body).collect()
    }

    /// The notices that Acme triggered or delivers, newest first.
    pub(crate) async fn notices(&self) -> Vec<Notice> {
        let rows = self.store.notices(self.acme.id, NoticeId::from_uuid(Uuid::max()), 1000).await.unwrap();
        rows.into_iter().map(|row| row.notice).collect()
    }

    /// The live membership in Acme.
    pub(crate) async fn member(&self, user: UserId) -> Option<Membership> {
        self.store.member(self.acme.id, user).await.unwrap().map(|row| row.membership)
    }

    /// The External membership in Acme.
    pub(crate) async fn external(&self, user: UserId) -> ExternalMembership {
        match self.member(user).await {
            Some(Membership::External(external)) => external,
            other => panic!("no External membership: {other:?}"),
        }
    }

    /// Acme as it is stored now.
    pub(crate) async fn acme_now(&self) -> Workspace {
        self.store.workspace(&WorkspaceRef::Id(self.acme.id)).await.unwrap().unwrap()
    }

    /// Searches in Acme, as Dana.
    pub(crate) async fn lookup(&self, email: &str, phone: &str) -> Result<LookupReply, Refusal> {
        self.domicile.lookup_user(&call(&self.dana), &search(email, phone)).await
    }

    /// Saves in Acme, as Dana.
    pub(crate) async fn assign(&self, save: &AssignUser) -> Result<AssignReply, Refusal> {
        self.domicile.assign_user(&call(&self.dana), save).await
    }

    /// The save is refused so; nothing but the audit changed, and the audit tells of it.
    pub(crate) async fn refused(&self, save: &AssignUser, reason: Reason) -> Refusal {
        self.refused_to(&self.dana, save, reason).await
    }

    /// The same for another acting person.
    pub(crate) async fn refused_to(&self, actor: &User, save: &AssignUser, reason: Reason) -> Refusal {
        let before = self.content();
        let refusal = self.domicile.assign_user(&call(actor), save).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{save:?}");
        assert_eq!(self.content(), before, "{reason:?} changed something");
        let row = self.audit().await.into_iter().next().unwrap();
        let told = (row.outcome.as_str(), row.actor, row.request_id);
        assert_eq!(told, (reason.as_str(), Some(actor.id), save.request.id.parse().ok()));
        refusal
    }

    /// Whether the person may do that in Acme.
    pub(crate) async fn check(&self, user: UserId, permission: &str) -> Result<AccessAnswer, Refusal> {
        self.domicile.check_access(&service_call(), &check("acme", user, permission)).await
    }
}

/// The rights of a manager.
pub(crate) fn both_rights() -> [PermissionName; 2] {
    [PermissionName::create(), PermissionName::update()]
}

/// A check by user id.
pub(crate) fn check(workspace: &str, user: UserId, permission: &str) -> CheckAccess {
    CheckAccess {
        workspace: workspace.to_owned(),
        subject: CheckSubject::User(user.to_string()),
        permission: permission.to_owned(),
        consistency: Consistency::FullyConsistent,
    }
}

/// A service with every scope everywhere, not of the operator.
pub(crate) fn service() -> ServicePrincipal {
    ServicePrincipal::new("shop")
        .with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere)
        .with_scope(ServiceScope::WorkspacesCreate, ScopeReach::Everywhere)
        .with_scope(ServiceScope::PermissionsRegister("shop.".to_owned()), ScopeReach::Everywhere)
}

/// A call of the service for nobody.
pub(crate) fn service_call() -> Call {
    Call {
        actor: Actor::service(service()),
        deadline: minute(60 * 24 * 365),
        correlation_id: "test".to_owned(),
        surface: "embedded",
    }
}

/// A call of the service for a person.
pub(crate) fn call(user: &User) -> Call {
    Call { actor: Actor::person(service(), user.id), ..service_call() }
}

/// A request id that nobody used before.
pub(crate) fn request() -> RequestIdentity {
    RequestIdentity { id: id::<()>().to_string(), fingerprint: RequestFingerprint([1; 32]) }
}

/// Where and how a change in Acme is made, under a request id of its own.
pub(crate) fn order() -> Order {
    Order { workspace: "acme".to_owned(), request: request(), validate_only: false }
}

/// A search in Acme.
pub(crate) fn search(email: &str, phone: &str) -> LookupUser {
    LookupUser { workspace: "acme".to_owned(), email: email.to_owned(), phone: phone.to_owned() }
}

/// The address of somebody who was added by a username.
pub(crate) fn mail(username: &str) -> String {
    format!("{username}@mail.example")
}

/// A save in Acme of a person by the username: `EITHER`, without grants, with a request id of its own.
pub(crate) fn save(username: &str) -> AssignUser {
    AssignUser {
        workspace: "acme".to_owned(),
        request: request(),
        expectation: Some(Expectation::Either),
        email: mail(username),
        phone: String::new(),
        match_handle: String::new(),
        profile: profile(username),
        internal: GrantsInput::default(),
        external: ExternalInput::default(),
        external_id: String::new(),
        notify: Some(true),
        validate_only: false,
    }
}

/// The same with an expectation.
pub(crate) fn save_as(expectation: Expectation, username: &str) -> AssignUser {
    AssignUser { expectation: Some(expectation), ..save(username) }
}

/// Details as somebody would type them.
pub(crate) fn profile(username: &str) -> ProfileInput {
    ProfileInput {
        first_name: "Nora".to_owned(),
        last_name: "Vega".to_owned(),
        username: username.to_owned(),
        preferred_language: "hu".to_owned(),
    }
}

/// Roles as somebody would type them.
pub(crate) fn roles(roles: &[&str]) -> GrantsInput {
    GrantsInput { roles: roles.iter().map(|role| (*role).to_owned()).collect(), permissions: Vec::new() }
}

/// Direct permissions as somebody would type them.
pub(crate) fn permissions(permissions: &[&str]) -> GrantsInput {
    GrantsInput { roles: Vec::new(), permissions: permissions.iter().map(|name| (*name).to_owned()).collect() }
}

/// A new workspace `cobalt` with its first manager, by the username.
pub(crate) fn cobalt(manager: &str) -> CreateWorkspace {
    CreateWorkspace {
        request: request(),
        handle: "cobalt".to_owned(),
        display_name: "Cobalt".to_owned(),
        default_region: "HU".to_owned(),
        default_language: "hu".to_owned(),
        manager_email: mail(manager),
        manager_phone: String::new(),
        manager: profile(manager),
        validate_only: false,
    }
}

/// The account in a state, as it is stored then: a tombstone has no person.
pub(crate) fn in_state(user: User, state: UserState) -> User {
    let person = user.person.filter(|_| state != UserState::Erased);
    User { state, person, ..user }
}

/// Why it was refused.
#[track_caller]
pub(crate) fn reason<T: Debug>(answer: Result<T, Refusal>) -> Reason {
    answer.unwrap_err().reason
}

/// The fields that were refused, sorted.
#[track_caller]
pub(crate) fn wrong_fields<T: Debug>(answer: Result<T, Refusal>) -> BTreeSet<String> {
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.reason, Reason::InvalidRequest, "{refusal:?}");
    refusal.violations.into_iter().map(|violation| violation.field).collect()
}

/// The phone of somebody, before the account is stored.
pub(crate) fn with_phone(mut user: User, phone: &str) -> User {
    let contact = domicile_domain::model::contact::Contact::asserted(
        domicile_testkit::builders::phone(phone),
        domicile_testkit::builders::NOW,
    );
    domicile_testkit::builders::person(&mut user).phone = Some(contact);
    user
}

/// An identity to be bound or taken away, with where and how.
#[derive(Debug, Clone)]
pub(crate) struct IdentityChange {
    pub(crate) workspace: String,
    pub(crate) request: RequestIdentity,
    pub(crate) user: String,
    pub(crate) identity: Identity,
    pub(crate) validate_only: bool,
}

impl IdentityChange {
    pub(crate) fn order(&self) -> Order {
        Order { workspace: self.workspace.clone(), request: self.request.clone(), validate_only: self.validate_only }
    }

    pub(crate) fn change(&self) -> ChangeIdentity {
        ChangeIdentity { user: self.user.clone(), identity: self.identity.clone() }
    }
}
