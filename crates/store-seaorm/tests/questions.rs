//! What questions of a service cost: one that it may not ask the same whether or not there is such a workspace, and one that
//! its scope names no more than one of a service that may ask everywhere.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot be fails the test")]

use std::sync::Arc;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::id::UserId;
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::usecase::{
    BatchCheckAccess, BatchEntry, Call, CheckAccess, CheckSubject, Consistency, Domicile, DomicileApi,
    ListEffectivePermissions, ListSubjects, PageRequest, Ports,
};
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::builders::{external, id, internal, minute, permission, role, user, with_role, workspace};
use domicile_testkit::clock::FixedClock;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::languages::PrefixMatcher;
use domicile_testkit::phones::SimplePhones;
use domicile_testkit::sealer::PlainSealer;
use domicile_testkit::seed::seed;

/// Acme with somebody in it, and a workspace beside it with somebody who is External in Acme.
struct World {
    store: Arc<SeaOrmStore>,
    domicile: Domicile,
    acme: Workspace,
    beside: Workspace,
    anna: User,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(SeaOrmStore::open_memory().await.unwrap());
        let (acme, beside) = (workspace("acme"), workspace("beside"));
        let (anna, ben) = (user(acme.id, "anna"), user(beside.id, "ben"));
        let reader = role(acme.id, "reader");
        let anna_here = with_role(internal(&anna), &reader);
        let rows = [
            permission("orders.read").into(),
            (&acme).into(),
            (&beside).into(),
            (&reader).into(),
            (&anna).into(),
            anna_here.into(),
            (&ben).into(),
            internal(&ben).into(),
            external(&ben, acme.id).into(),
        ];
        seed(&*store, &rows).await;
        let domicile = Domicile::new(Ports {
            store: store.clone(),
            directory: store.clone(),
            clock: Arc::new(FixedClock::default()),
            ids: Arc::new(SequentialIds::from(1 << 40)),
            sealer: Arc::new(PlainSealer),
            phones: Arc::new(SimplePhones),
            languages: Arc::new(PrefixMatcher),
        });
        Self { store, domicile, acme, beside, anna }
    }

    fn check(&self, workspace: &str) -> CheckAccess {
        CheckAccess {
            workspace: workspace.to_owned(),
            subject: CheckSubject::User(self.anna.id.to_string()),
            permission: "orders.read".to_owned(),
            consistency: Consistency::MinimizeLatency,
        }
    }

    /// Asks, and tells how many statements it took.
    async fn ask(&self, method: &str, call: &Call, workspace: &str) -> (Result<(), Refusal>, u64) {
        let before = self.store.statements();
        let CheckAccess { workspace, subject, permission, consistency } = self.check(workspace);
        let page = PageRequest::default();
        let answer = match method {
            "check" => {
                let check = CheckAccess { workspace, subject, permission, consistency };
                self.domicile.check_access(call, &check).await.map(drop)
            }
            "batch" | "batch of two" => {
                let of = |workspace: String| BatchEntry {
                    correlation_id: String::new(),
                    workspace,
                    subject: subject.clone(),
                    permission: permission.clone(),
                };
                let mut entries = vec![of(workspace)];
                if method == "batch of two" {
                    entries.push(of(self.beside.handle.to_string()));
                }
                let batch = BatchCheckAccess { entries, consistency };
                self.domicile
                    .batch_check_access(call, &batch)
                    .await
                    .and_then(|mut told| told.entries.remove(0).answer.map(drop))
            }
            "list permissions" => {
                let list = ListEffectivePermissions { workspace, subject, page, consistency };
                self.domicile.list_effective_permissions(call, &list).await.map(drop)
            }
            "list subjects" => {
                let list = ListSubjects { workspace, permission, page, consistency };
                self.domicile.list_subjects(call, &list).await.map(drop)
            }
            "explain" => {
                let check = CheckAccess { workspace, subject, permission, consistency };
                self.domicile.explain_access(call, &check).await.map(drop)
            }
            other => panic!("{other}"),
        };
        (answer, self.store.statements() - before)
    }
}

/// Every way to ask.
const METHODS: [&str; 6] = ["check", "batch", "batch of two", "list permissions", "list subjects", "explain"];

/// A service with both scopes of questions, for nobody or for somebody.
fn service(reach: &ScopeReach, person: Option<(UserId, Means)>) -> Call {
    let service = ServicePrincipal::new("shop")
        .with_scope(ServiceScope::AccessCheck, reach.clone())
        .with_scope(ServiceScope::AccessSubjects, reach.clone());
    Call {
        actor: Actor { service, user: person.map(|(id, means)| ActingUser { id, means }) },
        deadline: minute(60),
        correlation_id: "test".to_owned(),
        surface: "embedded",
    }
}

fn within(named: impl IntoIterator<Item = WorkspaceRef>) -> ScopeReach {
    ScopeReach::Workspaces(named.into_iter().collect())
}

#[tokio::test]
async fn a_question_that_may_not_be_asked_costs_the_same_where_there_is_nothing() {
    let world = World::new().await;
    let beside = within([WorkspaceRef::Handle(world.beside.handle.clone())]);
    let callers = [
        service(&beside, None),
        service(&beside, Some((world.anna.id, Means::ActAs(beside.clone())))),
        service(&ScopeReach::Everywhere, Some((id(), Means::ActAs(beside.clone())))),
    ];
    for (number, call) in callers.iter().enumerate() {
        for method in METHODS {
            // What it may ask is held by the store from here on.
            world.ask(method, call, "nowhere").await.0.unwrap_err();
            let mut seen = Vec::new();
            for workspace in ["acme", &world.acme.id.to_string(), "nowhere", &id::<()>().to_string()] {
                let (answer, statements) = world.ask(method, call, workspace).await;
                assert_eq!(answer.unwrap_err().reason, Reason::PermissionDenied, "{number} {method} {workspace}");
                seen.push(statements);
            }
            assert!(seen.iter().all(|count| *count == seen[0] && *count > 0), "{number} {method}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_scope_that_names_the_workspace_costs_no_look_at_it() {
    let world = World::new().await;
    let names = [WorkspaceRef::Handle(world.acme.handle.clone()), WorkspaceRef::Id(world.acme.id)];
    let everywhere = service(&ScopeReach::Everywhere, None);
    for (listed, named) in [(0, "acme".to_owned()), (1, world.acme.id.to_string())] {
        for method in ["check", "batch"] {
            // The workspace is held by the store from here on.
            world.ask(method, &everywhere, &named).await.0.unwrap();
            let (answer, least) = world.ask(method, &everywhere, &named).await;
            answer.unwrap();
            let same_name = service(&within([names[listed].clone()]), None);
            assert_eq!(world.ask(method, &same_name, &named).await, (Ok(()), least), "{method} {named}");
            let other_name = service(&within([names[1 - listed].clone()]), None);
            assert_eq!(world.ask(method, &other_name, &named).await, (Ok(()), least + 1), "{method} {named}");
        }
    }
}
