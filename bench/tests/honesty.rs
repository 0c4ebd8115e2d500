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
use domicile_bench::figure::{Outcome, Round, Side};
use domicile_bench::figures::{Sides, written};
use domicile_bench::load::{Fault, Target, Width, closed, open};
use domicile_bench::work::{Disk, Durability, Evidence, Flushes, Tables, Work, same_durability};
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
use domicile_testkit::builders::WIDE_BUDGETS;
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
    .with_budgets(WIDE_BUDGETS)
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
    let falsify = "UPDATE memberships SET roles = '', permissions = ''";
    sea_orm::sqlx::raw_sql(falsify).execute(&mut connection).await.unwrap();
    let falsified = InProcess { checks: Arc::new(vec![allowed.clone()]), ..target };
    // The fault ends either, long before the time does.
    for refused in [
        closed(&falsified, WIDTH, Duration::from_hours(1), 0).await.unwrap_err(),
        open(&falsified, 1, 100.0, Duration::from_mins(1), 0).await.unwrap_err(),
    ] {
        let void = Outcome::Void("an answer was wrong: Err(NotGranted), and it must be Allowed".to_owned());
        assert_eq!(Outcome::from(Err(refused)), void);
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

/// The sides of a figure on a disk that shows its flushes.
fn sides(control: Work, subject: Work, promised: &[Durability; 2]) -> Sides {
    let [control_promised, subject_promised] = promised.clone();
    Sides {
        control: Evidence { work: control, durability: control_promised, flushes: Some(1.05) },
        subject: Evidence { work: subject, durability: subject_promised, flushes: Some(1.02) },
        disk: Disk { fsyncs_us: vec![1_000.0, 1_500.0], flushes_without: Some(0.04) },
    }
}

/// What becomes of the figure of those sides: the sentence that makes it void, or nothing.
fn void(sides: &Sides) -> Option<String> {
    let side = Side { calls: 100, seconds: 1.0, ..Side::default() };
    let rounds = vec![Round { control: Some(side), subject: side }; 7];
    match Outcome::from(written("P5b", String::new(), rounds, sides, |side| Some(side.per_second()))) {
        Outcome::Void(why) => Some(why),
        Outcome::Measured(_) | Outcome::NotYet(_) | Outcome::NotMeasured(_) => None,
    }
}

#[tokio::test]
async fn a_figure_is_void_when_a_side_does_less_promises_less_or_does_not_keep_it() {
    let data = Data::new().await;
    let path = data.copy("product.db");
    let promised_by_product = Durability::of_sqlite_store(&path).await.unwrap();
    let before = Tables::of_sqlite(&path).await.unwrap();
    assert_eq!(Tables::of_sqlite(&data.base).await.unwrap(), before, "reading the settings left something behind");
    let product = product(&path).await;
    for number in 0..SAVES {
        save_by_product(&product, &Save::of(&data.world, number)).await;
    }
    let subject = Work { operations: SAVES, before, after: Tables::of_sqlite(&path).await.unwrap() };
    let by_hand = async |name, script, saves| work_by_hand(&data, name, script, saves).await;
    let settings = data.copy("settings.db");
    let promised = async |synchronous| {
        let mut connection = connect(&settings, synchronous).await.unwrap();
        [Durability::of_sqlite(&mut connection).await.unwrap(), promised_by_product.clone()]
    };
    let full = promised(Synchronous::Full).await;
    let honest = |work: Work| sides(work, subject.clone(), &full);
    let equal = by_hand("equal.db", Script::Rows, SAVES * 2).await;
    assert_eq!(void(&honest(equal.clone())), None);
    assert_eq!(void(&honest(by_hand("store.db", Script::AsTheStore, SAVES).await)), None);

    // Less work, fewer operations than were counted, none at all.
    let less = void(&honest(by_hand("less.db", Script::WithoutEvents, SAVES).await)).unwrap();
    assert_eq!(less, "unequal work: for each operation the control adds 0.00 rows to `events`, the subject 2.00");
    let miscounted = void(&honest(Work { operations: equal.operations - 1, ..equal.clone() })).unwrap();
    assert!(miscounted.starts_with("unequal work: for each operation"), "{miscounted}");
    let idle = void(&honest(Work { operations: 0, ..equal.clone() })).unwrap();
    assert!(idle.starts_with("unequal work: the control did 0 operations"), "{idle}");

    // An index fewer on one side.
    let path = data.copy("index.db");
    let mut connection = sqlite::open(&path).await.unwrap();
    sea_orm::sqlx::raw_sql("DROP INDEX memberships_user").execute(&mut connection).await.unwrap();
    let tables = Tables::of_sqlite(&path).await.unwrap();
    let unindexed = void(&honest(Work { before: tables.clone(), ..equal.clone() })).unwrap();
    assert!(
        unindexed.starts_with("unequal work: the index `memberships_user` is missing for the control"),
        "{unindexed}"
    );
    let meanwhile = Work { before: equal.before.clone(), after: tables, operations: equal.operations };
    assert!(void(&honest(meanwhile)).unwrap().contains("`memberships_user` is missing"));

    // A promise that is less, and a setting that makes commits cheaper.
    let normal = promised(Synchronous::Normal).await;
    let relaxed = void(&sides(equal.clone(), subject.clone(), &normal)).unwrap();
    assert_eq!(relaxed, "durability differs: `synchronous` is 1 for the control and 2 for the subject");
    sea_orm::sqlx::raw_sql("PRAGMA wal_autocheckpoint = 100000").execute(&mut connection).await.unwrap();
    let seldom = Durability::of_sqlite(&mut connection).await.unwrap();
    assert_eq!((&*seldom.0["wal_autocheckpoint"], &*full[1].0["wal_autocheckpoint"]), ("100000", "1000"));

    // A promise that is not kept.
    let told = |side: &str, flushes: &str| {
        format!(
            "durability differs: the disk was flushed {flushes} times for each save of the {side}, and a commit that waits for \
             it flushes it once"
        )
    };
    let mut lying = honest(equal.clone());
    lying.control.flushes = Some(0.04);
    assert_eq!(void(&lying).unwrap(), told("control", "0.04"));
    let mut lying = honest(equal.clone());
    lying.subject.flushes = Some(0.5);
    assert_eq!(void(&lying).unwrap(), told("subject", "0.50"));
    lying.subject.flushes = Some(f64::NAN);
    assert_eq!(void(&lying).unwrap(), told("subject", "NaN"));
    // Where others flush the disk as often, nothing can be told.
    lying.disk.flushes_without = Some(0.9);
    assert_eq!((lying.disk.tells(), void(&lying)), (false, None));
}

#[tokio::test]
async fn a_disk_that_shows_its_flushes_shows_who_waits_for_it() {
    let data = Data::new().await;
    let folder = data.folder.path();
    let mut count = Flushes::of(folder).unwrap();
    // On a disk that tells nothing there is nothing to be seen.
    let Some(before) = count.so_far() else { return };
    let path = data.copy("waits.db");
    let mut connection = connect(&path, Synchronous::Full).await.unwrap();
    for number in 0..SAVES {
        save(&mut connection, &Save::of(&data.world, number), Script::Rows).await.unwrap();
    }
    count.add(Some(before), SAVES);
    // Tests beside this one may flush it too, so only the least can be told.
    assert!(count.each().unwrap() >= 1.0, "{:?}", count.each());
}

#[test]
fn a_void_figure_fails_the_program() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let run = |arguments: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_domicile-bench"))
            // A server that ends at once.
            .args(["run", "--server", "/bin/true", "--users", "1000,1000,1000", "--only", "P11a", "--rounds", "1"])
            .args(["--folder", &folder.path().display().to_string()])
            .args(arguments)
            .output()
            .unwrap();
        (
            program.status.code(),
            format!("{}{}", String::from_utf8_lossy(&program.stdout), String::from_utf8_lossy(&program.stderr)),
        )
    };
    let (code, told) = run(&[]);
    assert!(code == Some(1) && told.contains("**void**: the server ended"), "{code:?} {told}");
    let (code, told) = run(&["--write-docs", "page.md"]);
    assert!(code == Some(1) && told.contains("--only"), "{code:?} {told}");
    let (code, told) = run(&["--full", "--churn-minutes", "9"]);
    assert!(code == Some(1) && told.contains("--churn-minutes 10"), "{code:?} {told}");
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.try_lock().unwrap();
    let (code, told) = run(&[]);
    assert!(code == Some(1) && told.contains("another run works in"), "{code:?} {told}");
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
    sea_orm::sqlx::raw_sql("UPDATE memberships SET roles = ''").execute(&mut connection).await.unwrap();
    let refused = prove_checks(&url, &checks).await.unwrap_err().to_string();
    assert!(refused.contains("NOT_GRANTED") && refused.contains("it must be"), "{refused}");
}
