//! Two workspaces with their managers on a store of the test's choice, served over gRPC on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domicile_client::{Client, Credentials as ClientCredentials};
use domicile_contact::{CldrLanguageMatcher, LibPhoneParser};
use domicile_domain::error::Refusal;
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::contact::Contact;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::id::{Id, NoticeId, RoleId, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{
    EndReason, ExternalMembership, ExternalState, Grants, InternalMembership, Membership, MembershipBase,
};
use domicile_domain::model::name::{Name, Username};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::phone::PhoneNumber;
use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::{Person, User, UserState};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef, WorkspaceState};
use domicile_domain::port::directory::Directory;
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::runtime::Clock;
use domicile_domain::port::store::{Store, UnitOfWork};
use domicile_domain::usecase::{
    AssignUser, Call, Command, CreateWorkspace, Domicile, DomicileApi, Expectation, ExternalInput, Finish, GrantsInput,
    Ports, ProfileInput, RequestIdentity, TxRunner,
};
use domicile_grpc::{Limits, ServerParts};
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::authenticator::TrustingAuthenticator;
use domicile_testkit::builders::WIDE_BUDGETS;
use domicile_testkit::clock::FixedClock;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::Row;
use uuid::Uuid;

/// The instant at which every world begins.
pub const BEGINNING: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// The one method that is about no workspace and serves every person: it lists what is theirs, wherever that is.
pub const LIST_OF_ONES_OWN: &str = "/domicile.v1.WorkspaceService/ListWorkspaces";

/// A service with scopes of the given reach; `None` is no scope at all.
pub fn service(reach: Option<ScopeReach>) -> ServicePrincipal {
    let register = ServiceScope::PermissionsRegister("new".to_owned());
    let scopes = [
        ServiceScope::AccessCheck,
        ServiceScope::AccessSubjects,
        ServiceScope::MembersRead,
        ServiceScope::WorkspacesCreate,
        register,
    ];
    let scopes = reach.into_iter().flat_map(|reach| scopes.clone().map(|scope| (scope, reach.clone())));
    ServicePrincipal { scopes: scopes.collect(), ..ServicePrincipal::new("tests") }.acting_as_anybody()
}

/// The service of the tests that are not about services.
fn usual_service() -> ServicePrincipal {
    service(Some(ScopeReach::Everywhere))
}

/// A workspace with its first manager.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its AccessManager.
    pub manager: UserId,
    /// Its role `access-manager`.
    pub access_manager: RoleId,
    /// Its role `guest`.
    pub guest: RoleId,
}

/// The product over a store, with `acme` and `borealis`.
pub struct World {
    /// The product in process.
    pub domicile: Arc<Domicile>,
    /// Its ports.
    pub ports: Ports,
    /// Tells whether its store can be reached.
    pub store: Arc<dyn StoreProbe>,
    /// Its clock.
    pub clock: Arc<FixedClock>,
    /// Host of most tests.
    pub acme: Place,
    /// Home of most people.
    pub borealis: Place,
}

/// Changes the store directly, for states that no call reaches yet.
pub struct Directly<F>(pub F);

#[async_trait]
impl<F> Command for Directly<F>
where
    F: for<'t> Fn(&'t mut dyn UnitOfWork) -> futures::future::BoxFuture<'t, Result<(), Refusal>> + Send + Sync,
{
    type Output = ();

    async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<Finish<()>, Refusal> {
        (self.0)(tx).await?;
        Ok(Finish::Commit(()))
    }
}

impl World {
    /// Both workspaces on a fresh store.
    pub async fn new<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>) -> Self {
        Self::with_clock(store, FixedClock::at(BEGINNING)).await
    }

    /// Both workspaces on a fresh store, under a clock that moves on by what is slept, so that deadlines come.
    pub async fn passing<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>) -> Self {
        Self::with_clock(store, FixedClock::passing(BEGINNING)).await
    }

    async fn with_clock<S: Store + Directory + StoreProbe + 'static>(store: Arc<S>, clock: FixedClock) -> Self {
        let clock = Arc::new(clock);
        let ports = Ports {
            store: store.clone(),
            directory: store.clone(),
            clock: clock.clone(),
            ids: Arc::new(SequentialIds::new()),
            sealer: Arc::new(PlainSealer),
            phones: Arc::new(LibPhoneParser),
            languages: Arc::new(CldrLanguageMatcher),
        };
        let domicile = Arc::new(Domicile::new(ports.clone()).with_budgets(WIDE_BUDGETS));
        let acme = place(&domicile, &ports, "acme", "US", "dana").await;
        let borealis = place(&domicile, &ports, "borealis", "HU", "lena").await;
        Self { domicile, ports, store, clock, acme, borealis }
    }

    /// A call of the test's service for a person.
    pub fn call(&self, user: UserId) -> Call {
        call(&self.ports, Some(user))
    }

    /// A call of the test's service for nobody.
    pub fn service_call(&self) -> Call {
        call(&self.ports, None)
    }

    /// Serves over gRPC and connects for a person. The server ends with the test.
    pub async fn connect(&self, acting: Option<UserId>) -> Client {
        let endpoint = format!("http://{}", self.serve().await);
        let credentials = ClientCredentials { token: "t".to_owned(), acting_user: acting.map(|user| user.to_string()) };
        Client::connect(&endpoint, &credentials).await.expect("the server was bound before")
    }

    /// Serves over gRPC and answers the address. The server ends with the test.
    pub async fn serve(&self) -> String {
        self.serve_to(usual_service()).await
    }

    /// Serves one calling service over gRPC and answers the address. The server ends with the test.
    pub async fn serve_to(&self, service: ServicePrincipal) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = ServerParts {
            api: self.domicile.clone(),
            store_health: self.store.clone(),
            authenticator: Arc::new(TrustingAuthenticator::new(service)),
            development: true,
            tls: None,
            clock: self.ports.clock.clone(),
            ids: self.ports.ids.clone(),
            limits: Limits::default(),
            traces_percent: 0,
        };
        tokio::spawn(domicile_grpc::serve(server, listener, std::future::pending()));
        address
    }

    /// Runs a change directly on the store.
    pub async fn directly<F>(&self, change: F)
    where
        F: for<'t> Fn(&'t mut dyn UnitOfWork) -> futures::future::BoxFuture<'t, Result<(), Refusal>> + Send + Sync,
    {
        let runner = TxRunner::new(self.ports.store.clone(), self.ports.clock.clone(), self.ports.ids.clone());
        runner.run(&Directly(change), self.clock.now().after(Duration::from_secs(10))).await.expect("the change fits");
    }

    /// Puts rows into the store.
    pub async fn put(&self, rows: Vec<Row>) {
        domicile_testkit::seed::seed(&*self.ports.store, &rows).await;
    }

    /// Adds a person without roles whose home is `home`, in a state.
    pub async fn person(&self, home: Place, name: &str, phone: Option<&str>, state: UserState) -> UserId {
        let user = person(self.ports.ids.uuid(), home.workspace, name, phone, state);
        self.enter(user, &[]).await
    }

    /// Adds a person with roles whose home is `home`, in a state.
    pub async fn holder(&self, home: Place, name: &str, roles: &[RoleId], state: UserState) -> UserId {
        let user = person(self.ports.ids.uuid(), home.workspace, name, None, state);
        self.enter(user, roles).await
    }

    async fn enter(&self, user: User, roles: &[RoleId]) -> UserId {
        let mut base = base(self.ports.ids.uuid(), user.id, user.home);
        base.grants.roles.extend(roles);
        let membership = InternalMembership { base, groups: BTreeSet::new(), units: BTreeSet::new() };
        let id = user.id;
        self.put(vec![user.into(), membership.into()]).await;
        id
    }

    /// Adds a role to a workspace.
    pub async fn role(&self, place: Place, handle: &str, permissions: &[PermissionName]) -> RoleId {
        let permissions = permissions.iter().cloned().collect();
        let role = Role { permissions, ..domicile_testkit::builders::role(place.workspace, handle) };
        let id = role.id;
        self.put(vec![role.into()]).await;
        id
    }

    /// Adds a workspace in a state, with its AccessManager.
    pub async fn place_in(&self, handle: &str, state: WorkspaceState) -> Place {
        let workspace = Workspace { state, ..domicile_testkit::builders::workspace(handle) };
        let built_in = |kind| domicile_testkit::builders::built_in(workspace.id, kind);
        let (access_manager, guest) = (built_in(BuiltInRole::AccessManager), built_in(BuiltInRole::Guest));
        let mut place = Place {
            workspace: workspace.id,
            manager: UserId::nil(),
            access_manager: access_manager.id,
            guest: guest.id,
        };
        self.put(vec![workspace.into(), access_manager.into(), guest.into()]).await;
        place.manager =
            self.holder(place, &format!("{handle}.manager"), &[place.access_manager], UserState::Active).await;
        place
    }

    /// Queues a message of a place to somebody, which the place delivers too.
    pub async fn notice(&self, place: Place, user: UserId) -> NoticeId {
        let at_home = User { id: user, ..domicile_testkit::builders::user(place.workspace, "reader") };
        let notice = domicile_testkit::builders::notice(&at_home);
        let id = notice.id;
        self.put(vec![notice.into()]).await;
        id
    }

    /// Makes a person External in `acme`, in a state.
    pub async fn external(&self, user: UserId, state: ExternalState, expires_at: Option<Timestamp>) {
        self.put(vec![self.external_membership(user, state, expires_at).into()]).await;
    }

    fn external_membership(
        &self,
        user: UserId,
        state: ExternalState,
        expires_at: Option<Timestamp>,
    ) -> ExternalMembership {
        ExternalMembership {
            base: base(self.ports.ids.uuid(), user, self.acme.workspace),
            state,
            language: None,
            expires_at,
            sponsor: None,
            typed_contact: None,
        }
    }

    /// Makes a person a former External of `acme`.
    pub async fn former(&self, user: UserId, reason: EndReason) {
        let external = self.external_membership(user, ExternalState::Active, None);
        self.directly(move |tx| {
            let external = external.clone();
            Box::pin(async move {
                tx.memberships().insert(&Membership::External(external.clone())).await?;
                let read_at = external.base.version;
                tx.memberships().end(&external.end(reason, BEGINNING), read_at).await?;
                Ok(())
            })
        })
        .await;
    }
}

fn call(ports: &Ports, user: Option<UserId>) -> Call {
    Call {
        actor: Actor { service: usual_service(), user: user.map(|id| ActingUser { id, means: Means::OwnToken }) },
        deadline: ports.clock.now().after(Duration::from_secs(10)),
        correlation_id: "test".to_owned(),
        surface: "embedded",
    }
}

/// A request id that nobody used before.
pub fn request(ports: &Ports) -> RequestIdentity {
    RequestIdentity { id: ports.ids.uuid().to_string(), fingerprint: RequestFingerprint([1; 32]) }
}

async fn place(domicile: &Domicile, ports: &Ports, handle: &str, region: &str, manager: &str) -> Place {
    let new = CreateWorkspace {
        request: request(ports),
        handle: handle.to_owned(),
        display_name: handle.to_uppercase(),
        default_region: region.to_owned(),
        default_language: "en".to_owned(),
        manager_email: format!("{manager}@{handle}.example"),
        manager_phone: String::new(),
        manager: ProfileInput {
            first_name: manager.to_owned(),
            last_name: "Manager".to_owned(),
            username: manager.to_owned(),
            preferred_language: "en".to_owned(),
        },
        validate_only: false,
    };
    let created = domicile.create_workspace(&call(ports, None), &new).await.expect("a free handle");
    let workspace = created.workspace.expect("it was created").id;
    let roles = ports.directory.roles(workspace).await.expect("roles");
    let role = |handle| roles.iter().find(|role| role.handle.as_str() == handle).expect("every workspace has it").id;
    let manager = created.manager.expect("it was created").membership.base().user;
    Place { workspace, manager, access_manager: role("access-manager"), guest: role("guest") }
}

fn person(id: Uuid, home: WorkspaceId, name: &str, phone: Option<&str>, state: UserState) -> User {
    let person = Person {
        first_name: Name::parse(name).expect("a name"),
        last_name: Name::parse("Tester").expect("a name"),
        username: Username::parse(name).expect("a username"),
        preferred_language: LanguageTag::parse("en").expect("a tag"),
        email: Contact::asserted(
            EmailAddress::parse(&format!("{name}@people.example")).expect("an address"),
            BEGINNING,
        ),
        phone: phone.map(|p| Contact::asserted(PhoneNumber::parse(p).expect("a number"), BEGINNING)),
    };
    User { state, ..User::create(Id::from_uuid(id), home, person, BEGINNING) }
}

fn base(id: Uuid, user: UserId, workspace: WorkspaceId) -> MembershipBase {
    MembershipBase {
        id: Id::from_uuid(id),
        user,
        workspace,
        grants: Grants::default(),
        assigned_by: None,
        assigned_at: BEGINNING,
        external_id: None,
        version: Version::FIRST,
    }
}

/// What every call changes: the audit record, and the counters of probes.
const OF_CALLS: [&str; 3] = ["audit_records", "personal_values", "budget_counters"];

/// The dump without what every call changes.
pub fn without_audit(mut dump: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for table in OF_CALLS {
        assert!(dump.remove(table).is_some(), "{table} was renamed");
    }
    dump
}

/// The same of a database, which is not asked for what is left out: most of what it holds after many calls.
pub async fn unaudited(store: &SeaOrmStore) -> BTreeMap<String, Vec<String>> {
    without_audit(store.dump_without(&OF_CALLS).await.expect("the store is read"))
}

/// Tells after each call whether anything but what every call changes is other than before, in a database in memory. SQLite
/// counts the rows that are written, by triggers on its one connection; where none was, nothing need be read.
pub struct Watch {
    store: Arc<SeaOrmStore>,
    /// The count, and the content, when they were last looked at.
    seen: tokio::sync::Mutex<(i64, BTreeMap<String, Vec<String>>)>,
}

impl Watch {
    /// Watches from now on.
    pub async fn begin(store: Arc<SeaOrmStore>) -> Self {
        let content = unaudited(&store).await;
        let mut sql = "CREATE TEMP TABLE written (rows INTEGER NOT NULL); INSERT INTO written VALUES (0);".to_owned();
        for (table, event) in
            content.keys().flat_map(|table| ["INSERT", "UPDATE", "DELETE"].map(|event| (table, event)))
        {
            write!(
                sql,
                "CREATE TEMP TRIGGER \"{table} {event}\" AFTER {event} ON main.\"{table}\" \
                 BEGIN UPDATE written SET rows = rows + 1; END;"
            )
            .expect("text is written to memory");
        }
        store.run_sql(&sql).await.expect("the triggers are made");
        Self { store, seen: tokio::sync::Mutex::new((0, content)) }
    }

    /// Whether the content is what it was when it was last looked at.
    pub async fn is_unchanged(&self) -> bool {
        let mut seen = self.seen.lock().await;
        let written = self.store.number("SELECT rows FROM written", "rows").await.expect("the store is read");
        let written = written.expect("the count is there");
        if written == seen.0 {
            return true;
        }
        let content = unaudited(&self.store).await;
        let unchanged = content == seen.1;
        *seen = (written, content);
        unchanged
    }
}

/// Reads the workspace as it is stored.
pub async fn stored(world: &World, place: Place) -> Workspace {
    let found = world.ports.directory.workspace(&WorkspaceRef::Id(place.workspace)).await.expect("a read");
    found.expect("it was created")
}

/// A save with a new request id, by the manager of a place: `EITHER` unless changed.
pub fn save_of(world: &World, place: Place, email: &str, username: &str) -> AssignUser {
    AssignUser {
        workspace: place.workspace.to_string(),
        request: request(&world.ports),
        expectation: Some(Expectation::Either),
        email: email.to_owned(),
        phone: String::new(),
        match_handle: String::new(),
        profile: ProfileInput {
            first_name: "New".to_owned(),
            last_name: "Person".to_owned(),
            username: username.to_owned(),
            preferred_language: "en".to_owned(),
        },
        internal: GrantsInput::default(),
        external: ExternalInput::default(),
        external_id: String::new(),
        notify: Some(true),
        validate_only: false,
    }
}
