//! The harness's own test: the real schema accepts its data, the oracle and the product agree, and a figure is void when a
//! control does unequal work, when an answer is falsified, and when durability differs.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domicile_bench::control::pgbench::prove_checks;
use domicile_bench::control::save::{Save, Script, Synchronous, connect, now_us, save};
use domicile_bench::control::small_schema;
use domicile_bench::data::{postgres, sqlite};
use domicile_bench::load::{Fault, Target, Width, closed, open};
use domicile_bench::work::{Durability, Tables, Work, same_durability, same_work, waited_for_disk};
use domicile_bench::world::{Answer, Check, Spread, World};
use domicile_contact::{CldrLanguageMatcher, LibPhoneParser};
use domicile_domain::model::actor::{Actor, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::answer::RequestFingerprint;
use domicile_domain::model::id::Id;
use domicile_domain::model::time::Timestamp;
use domicile_domain::usecase::{
    AssignUser, Call, CheckAccess, CheckSubject, Consistency, Domicile, DomicileApi, Expectation, ExternalInput,
    GrantsInput, Ports, ProfileInput, RequestIdentity,
};
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_testkit::clock::FixedClock;
use domicile_testkit::ids::SequentialIds;
use domicile_testkit::sealer::PlainSealer;
use tempfile::TempDir;
use uuid::Uuid;

const USERS: u64 = 1_500;
const SAVES: u64 = 12;
const WIDTH: Width = Width { connections: 1, in_flight: 4 };

/// Small data with the file it lies in.
struct Data {
    world: World,
    folder: TempDir,
    base: PathBuf,
}

impl Data {
    async fn new() -> Self {
        let world = World::new(USERS, 7);
        let folder = tempfile::tempdir().unwrap();
        let base = sqlite::base(folder.path(), &world).await.unwrap();
        Self { world, folder, base }
    }

    fn copy(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        sqlite::copy(&self.base, &path).unwrap();
        path
    }
}

async fn product(path: &Path) -> Domicile {
    let store = Arc::new(SeaOrmStore::open(&Database::SqliteFile(path.to_owned()), 1).await.unwrap());
    Domicile::new(Ports {
        store: store.clone(),
        directory: store,
        clock: Arc::new(FixedClock::at(Timestamp::from_micros(now_us()))),
        ids: Arc::new(SequentialIds::new()),
        sealer: Arc::new(PlainSealer),
        phones: Arc::new(LibPhoneParser),
        languages: Arc::new(CldrLanguageMatcher),
    })
}

fn call(user: Option<Uuid>) -> Call {
    let service = ServicePrincipal::new("development").with_scope(ServiceScope::AccessCheck, ScopeReach::Everywhere);
    Call {
        actor: user.map_or_else(
            || Actor::service(service.clone()),
            |user| Actor::person(service.clone(), Id::from_uuid(user)),
        ),
        deadline: Timestamp::from_micros(now_us()).after(Duration::from_mins(1)),
        correlation_id: Uuid::nil().to_string(),
        surface: "grpc",
    }
}

/// The product in this process, asked what the oracle knows.
#[derive(Clone)]
struct InProcess {
    product: Arc<Domicile>,
    checks: Arc<Vec<Check>>,
}

impl Target for InProcess {
    async fn call(&self, _: usize, number: u64) -> Result<usize, Fault> {
        let place = usize::try_from(number).unwrap() % self.checks.len();
        let check = self.checks.get(place).unwrap();
        let request = CheckAccess {
            workspace: check.workspace.to_string(),
            subject: CheckSubject::User(check.user.to_string()),
            permission: check.permission.to_owned(),
            consistency: Consistency::default(),
        };
        let answer = self.product.check_access(&call(None), &request).await;
        let answer = answer.map_err(|refusal| Fault::Failed(refusal.to_string()))?;
        let right = match check.answer {
            Answer::Allowed => answer.decision.is_ok(),
            // The words of the contract are those of the domain in capitals.
            Answer::Denied(word) => {
                answer.decision.is_err_and(|denial| word.replace('_', "").eq_ignore_ascii_case(&format!("{denial:?}")))
            }
        };
        if right {
            Ok(1)
        } else {
            Err(Fault::Wrong(format!("{:?}, and it must be {:?}", answer.decision, check.answer)))
        }
    }
}

async fn in_process(data: &Data, path: &Path) -> InProcess {
    let checks = (0..3_000).map(|number| data.world.check(Spread::Everywhere, number)).collect();
    InProcess { product: Arc::new(product(path).await), checks: Arc::new(checks) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_product_answers_as_the_oracle_knows_and_one_falsified_row_voids_the_run() {
    let data = Data::new().await;
    let path = data.copy("checks.db");
    let target = in_process(&data, &path).await;
    for number in 0..3_000 {
        target.call(0, number).await.unwrap_or_else(|fault| panic!("check {number}: {fault:?}"));
    }
    let allowed = target.checks.iter().find(|check| check.answer == Answer::Allowed).unwrap();
    let mut connection = connect(&path, Synchronous::Full).await.unwrap();
    let falsify = "DELETE FROM membership_permissions; DELETE FROM membership_roles";
    sea_orm::sqlx::raw_sql(falsify).execute(&mut connection).await.unwrap();
    let falsified = InProcess { checks: Arc::new(vec![allowed.clone()]), ..target };
    for refused in [
        closed(&falsified, WIDTH, Duration::from_millis(100), 0).await.unwrap_err(),
        open(&falsified, 1, 100.0, Duration::from_millis(100), 0).await.unwrap_err(),
    ] {
        assert_eq!(refused.to_string(), "an answer was wrong: Err(NotGranted), and it must be Allowed");
    }
}

/// A save as the load sends it, by the product in this process.
async fn save_by_product(product: &Domicile, row: &Save) {
    let request = AssignUser {
        workspace: row.workspace.to_string(),
        request: RequestIdentity { id: row.ids[5].to_string(), fingerprint: RequestFingerprint([1; 32]) },
        expectation: Some(Expectation::Create),
        email: row.email.clone(),
        phone: String::new(),
        match_handle: String::new(),
        profile: ProfileInput {
            first_name: "New".to_owned(),
            last_name: "Person".to_owned(),
            username: row.username.clone(),
            preferred_language: "en".to_owned(),
        },
        internal: GrantsInput { roles: vec!["member".to_owned()], permissions: Vec::new() },
        external: ExternalInput::default(),
        external_id: String::new(),
        notify: Some(false),
        validate_only: false,
    };
    product.assign_user(&call(Some(row.actor)), &request).await.unwrap();
}

async fn work_by_hand(data: &Data, name: &str, script: Script, saves: u64) -> Work {
    let path = data.copy(name);
    let before = Tables::of_sqlite(&path).await.unwrap();
    let mut connection = connect(&path, Synchronous::Full).await.unwrap();
    for number in 0..saves {
        save(&mut connection, &Save::of(&data.world, number), script).await.unwrap();
    }
    Work { operations: saves, before, after: Tables::of_sqlite(&path).await.unwrap() }
}

#[tokio::test]
async fn the_control_writes_what_the_product_writes_and_unequal_work_is_told() {
    let data = Data::new().await;
    let path = data.copy("product.db");
    let before = Tables::of_sqlite(&path).await.unwrap();
    let product = product(&path).await;
    for number in 0..SAVES {
        save_by_product(&product, &Save::of(&data.world, number)).await;
    }
    let subject = Work { operations: SAVES, before, after: Tables::of_sqlite(&path).await.unwrap() };
    same_work(&work_by_hand(&data, "equal.db", Script::Rows, SAVES * 2).await, &subject).unwrap();
    same_work(&work_by_hand(&data, "store.db", Script::AsTheStore, SAVES).await, &subject).unwrap();

    let less = work_by_hand(&data, "less.db", Script::WithoutEvents, SAVES).await;
    let refused = same_work(&less, &subject).unwrap_err().to_string();
    assert_eq!(refused, "unequal work: for each operation the control adds 0.00 rows to `events`, the subject 2.00");
    // The same rows in fewer operations are unequal work too.
    let miscounted = Work { operations: SAVES - 1, ..work_by_hand(&data, "fewer.db", Script::Rows, SAVES).await };
    assert!(same_work(&miscounted, &subject).unwrap_err().to_string().starts_with("unequal work: for each operation"));
    let idle = Work { operations: 0, ..subject.clone() };
    assert!(same_work(&idle, &subject).is_err());
}

#[tokio::test]
async fn a_control_that_waits_less_for_the_disk_is_told() {
    let data = Data::new().await;
    let path = data.copy("durability.db");
    let subject = Durability::of_sqlite_store(&path).await.unwrap();
    let after = Tables::of_sqlite(&path).await.unwrap();
    assert_eq!(Tables::of_sqlite(&data.base).await.unwrap(), after, "reading the settings left something behind");
    let read = async |synchronous| {
        let mut connection = connect(&path, synchronous).await.unwrap();
        Durability::of_sqlite(&mut connection).await.unwrap()
    };
    same_durability(&read(Synchronous::Full).await, &subject).unwrap();
    let refused = same_durability(&read(Synchronous::Normal).await, &subject).unwrap_err().to_string();
    assert_eq!(refused, "durability differs: `synchronous` is 1 for the control and 2 for the subject");
    assert!(waited_for_disk("subject", 900.0, 1_000.0).is_ok());
    let refused = waited_for_disk("subject", 100.0, 1_000.0).unwrap_err().to_string();
    assert!(refused.starts_with("durability differs: the subject commits in 100 us"), "{refused}");
}

#[tokio::test]
async fn the_same_seed_makes_the_same_file_and_it_is_made_once() {
    let (one, other) = (Data::new().await, Data::new().await);
    let rows = async |path: &Path| {
        let store = SeaOrmStore::open(&Database::SqliteFile(path.to_owned()), 1).await.unwrap();
        let mut rows = store.dump().await.unwrap();
        // When a step of the schema was taken is nothing of ours.
        rows.remove("seaql_migrations").unwrap();
        rows
    };
    assert!(rows(&one.copy("one.db")).await == rows(&other.copy("other.db")).await, "the rows differ");
    // What an earlier schema left is removed when a file is made, and stays as long as none is.
    let earlier = one.base.with_file_name(format!("users-{USERS}-seed-7-0000000000000000.db"));
    std::fs::write(&earlier, "").unwrap();
    let written = std::fs::metadata(&one.base).unwrap().modified().unwrap();
    assert_eq!(sqlite::base(one.folder.path(), &one.world).await.unwrap(), one.base);
    assert_eq!(std::fs::metadata(&one.base).unwrap().modified().unwrap(), written);
    std::fs::remove_file(&one.base).unwrap();
    sqlite::base(one.folder.path(), &one.world).await.unwrap();
    assert!(!earlier.exists());
}

#[tokio::test]
async fn the_small_schema_holds_the_same_rows_in_fewer_bytes() {
    let data = Data::new().await;
    let (product, by_hand) = small_schema::compare(&data.base, &data.folder.path().join("small.db")).await.unwrap();
    assert!((100.0..product).contains(&by_hand), "{product} against {by_hand}");
}

#[tokio::test]
async fn on_postgresql_too_the_data_fits_and_the_one_select_decides_rightly() {
    let Some(server) = postgres_server() else { return };
    let world = World::new(USERS, u64::from(std::process::id()));
    let url = postgres::base(&server, &world).await.unwrap();
    let checks: Vec<Check> = (0..1_000).map(|number| world.check(Spread::Everywhere, number)).collect();
    prove_checks(&url, &checks).await.unwrap();
    let mut connection = postgres::open(&url).await.unwrap();
    let control = Durability::of_postgres(&mut connection).await.unwrap();
    same_durability(&control, &Durability::of_postgres_store(&url).await.unwrap()).unwrap();
    sea_orm::sqlx::raw_sql("SET synchronous_commit = off").execute(&mut connection).await.unwrap();
    let relaxed = Durability::of_postgres(&mut connection).await.unwrap();
    let refused = same_durability(&relaxed, &control).unwrap_err().to_string();
    assert_eq!(refused, "durability differs: `synchronous_commit` is off for the control and on for the subject");
    sea_orm::sqlx::raw_sql("DELETE FROM membership_roles").execute(&mut connection).await.unwrap();
    let refused = prove_checks(&url, &checks).await.unwrap_err().to_string();
    assert!(refused.contains("NOT_GRANTED") && refused.contains("it must be"), "{refused}");
}
