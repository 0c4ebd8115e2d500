//! What PostgreSQL alone can do to a unit: locks, deadlocks, a cut connection, a COMMIT that fails; and what is told when
//! it cannot be opened.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what cannot be fails the test")]

mod earlier;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::directory::{CheckFacts, CheckKey, CheckedSubject, Directory, Freshness};
use domicile_domain::port::probe::StoreProbe;
use domicile_domain::port::store::{Constraint, Store, StoreError, UnitOfWork};
use domicile_store_seaorm::inspect::{check_statement, postgres_server};
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_testkit::builders::{
    built_in, id, internal, permission, permission_name, relationship, role, user, with_role, workspace,
};
use domicile_testkit::seed::{PATIENCE, Row, seed};
use sea_orm::sqlx::{self, Connection as _, PgConnection};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

const POOL: u32 = 4;

/// A store with one workspace, or nothing where there is no server.
async fn acme() -> Option<(SeaOrmStore, Workspace)> {
    let store = SeaOrmStore::create_on(&postgres_server()?, POOL).await.unwrap();
    let acme = workspace("acme");
    seed(&store, &[(&acme).into()]).await;
    Some((store, acme))
}

/// Ends every other connection to the database, as a restart of the server does.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_commit_after_a_caught_conflict_writes_nothing() {
    let Some((store, acme)) = acme().await else { return };
    let before = store.dump().await.unwrap();
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.users().insert(&user(acme.id, "anna")).await.unwrap();
    let conflict = unit.workspaces().insert(&workspace("acme")).await;
    assert_eq!(conflict, Err(StoreError::Conflict(Constraint::WorkspaceHandle)));
    // PostgreSQL would turn this COMMIT into a ROLLBACK, and the driver would answer that all is well.
    assert_eq!(unit.commit().await, Err(StoreError::Poisoned));
    assert_eq!(store.dump().await.unwrap(), before);
}

#[tokio::test]
async fn a_deadlock_is_contention_for_one_of_the_two() {
    let Some((store, acme)) = acme().await else { return };
    let other = workspace("other");
    seed(&store, &[(&other).into()]).await;
    let (mut first, mut second) = (store.begin(PATIENCE).await.unwrap(), store.begin(PATIENCE).await.unwrap());
    first.workspaces().take_revision(&WorkspaceRef::Id(acme.id)).await.unwrap();
    second.workspaces().take_revision(&WorkspaceRef::Id(other.id)).await.unwrap();
    let (into_other, into_acme) = (WorkspaceRef::Id(other.id), WorkspaceRef::Id(acme.id));
    let crossed = tokio::join!(
        async {
            let taken = first.workspaces().take_revision(&into_other).await;
            (taken.map(|_| ()), first.commit().await)
        },
        async {
            let taken = second.workspaces().take_revision(&into_acme).await;
            (taken.map(|_| ()), second.commit().await)
        }
    );
    let outcomes = [crossed.0, crossed.1];
    assert!(outcomes.contains(&(Ok(()), Ok(()))), "{outcomes:?}");
    assert!(outcomes.contains(&(Err(StoreError::Contention), Err(StoreError::Poisoned))), "{outcomes:?}");
}

#[tokio::test]
async fn a_cut_connection_is_told_in_the_unit_and_the_next_unit_goes_on() {
    let Some(server) = postgres_server() else { return };
    let database = SeaOrmStore::create_database(&server).await.unwrap();
    SeaOrmStore::migrate(&database).await.unwrap();
    let store = SeaOrmStore::open(&database, POOL).await.unwrap();
    // A pool of its own, which cuts the others.
    let operator = SeaOrmStore::open(&database, 1).await.unwrap();
    let acme = workspace("acme");
    seed(&store, &[(&acme).into()]).await;
    // Leaves idle connections behind, all of which die.
    drop(fill_pool(&store).await);
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.users().insert(&user(acme.id, "anna")).await.unwrap();
    operator.run_sql(CUT).await.unwrap();
    assert_eq!(unit.users().insert(&user(acme.id, "ben")).await, Err(StoreError::ConnectionLost));
    assert_eq!(unit.commit().await, Err(StoreError::Poisoned));
    assert_eq!(operator.dump().await.unwrap()["users"].len(), 0);
    drop(fill_pool(&store).await);
    let ask = async || store.check_facts(&[check(&acme)], &Freshness::Newest).await;
    // Those that are kept for checks die too.
    let kept = tokio::join!(ask(), ask(), ask());
    kept.0.and(kept.1).and(kept.2).unwrap();
    operator.run_sql(CUT).await.unwrap();
    ask().await.unwrap();
    assert!(store.workspace(&WorkspaceRef::Id(acme.id)).await.unwrap().is_some(), "dead connections are passed over");
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.users().insert(&user(acme.id, "anna")).await.unwrap();
    unit.commit().await.unwrap();
}

/// As many units at once as the pool holds.
async fn fill_pool(store: &SeaOrmStore) -> Vec<Box<dyn UnitOfWork>> {
    let mut units = Vec::new();
    for _ in 0..POOL {
        units.push(store.begin(PATIENCE).await.unwrap());
    }
    units
}

#[tokio::test]
async fn a_full_pool_is_contention_within_the_patience() {
    let Some((store, _)) = acme().await else { return };
    let units = fill_pool(&store).await;
    assert_eq!(store.begin(Duration::from_millis(50)).await.err(), Some(StoreError::Contention));
    drop(units);
    store.begin(PATIENCE).await.unwrap().rollback().await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_is_an_error_and_nothing_is_written() {
    let Some((store, acme)) = acme().await else { return };
    store
        .run_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'late' USING ERRCODE = '40001'; END $$; \
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON roles DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.roles().insert(&built_in(acme.id, BuiltInRole::Guest)).await.unwrap();
    assert_eq!(unit.commit().await, Err(StoreError::Contention), "40001 at COMMIT");
    assert_eq!(store.dump().await.unwrap()["roles"].len(), 0);
    store.run_sql("DROP TRIGGER late ON roles").await.unwrap();
    let mut unit = store.begin(PATIENCE).await.unwrap();
    unit.roles().insert(&built_in(acme.id, BuiltInRole::Guest)).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(store.dump().await.unwrap()["roles"].len(), 1);
}

/// The sentence with which a database is refused.
async fn refused(url: &str) -> String {
    let database = match url.parse::<Database>() {
        Ok(database) => database,
        Err(error) => return error.to_string(),
    };
    let error = SeaOrmStore::open(&database, POOL).await.err().unwrap();
    error.to_string()
}

#[tokio::test]
async fn whatever_is_wrong_with_a_database_is_told_with_its_mend_and_without_its_password() {
    let Some(server) = postgres_server() else { return };
    let (before, place) = server.rsplit_once('@').unwrap();
    let (scheme, _) = before.split_once("://").unwrap();
    let (host, _) = place.rsplit_once('/').unwrap();
    let wrong_password = refused(&format!("{scheme}://postgres:wr0ng@{place}")).await;
    assert!(wrong_password.contains("refuses to sign in `postgres`"), "{wrong_password}");
    let unknown_user = refused(&format!("{scheme}://nobody:wr0ng@{place}")).await;
    assert!(unknown_user.contains("refuses to sign in `nobody`"), "{unknown_user}");
    let no_database = refused(&format!("{before}@{host}/nowhere")).await;
    assert!(no_database.contains("there is no database") && no_database.contains("createdb"), "{no_database}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = refused(&format!("{before}@{free}/domicile")).await;
    assert!(unreachable.contains("cannot be reached") && unreachable.contains("that the server runs"), "{unreachable}");
    let unreadable = refused(&format!("{before}@host:port/domicile")).await;
    assert!(unreadable.contains("cannot be read"), "{unreadable}");
    for sentence in [wrong_password, unknown_user, no_database, unreachable, unreadable] {
        assert!(!sentence.contains("wr0ng") && !sentence.contains(before), "{sentence}");
    }
}

#[tokio::test]
async fn a_schema_that_lacks_steps_or_has_more_is_refused_and_migrating_twice_changes_nothing() {
    let Some(server) = postgres_server() else { return };
    let database = SeaOrmStore::create_database(&server).await.unwrap();
    let behind = SeaOrmStore::open(&database, POOL).await.err().unwrap().to_string();
    assert!(behind.contains("m0001_first") && behind.contains("domicile db migrate"), "{behind}");
    // Two at once: whoever loses finds nothing left to do.
    let both = tokio::join!(SeaOrmStore::migrate(&database), SeaOrmStore::migrate(&database));
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!(SeaOrmStore::pending(&database).await.unwrap(), Vec::<String>::new());
    let store = SeaOrmStore::open(&database, POOL).await.unwrap();
    let before = store.dump().await.unwrap();
    assert_eq!(SeaOrmStore::migrate(&database).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.dump().await.unwrap(), before);
    store.run_sql("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await.unwrap();
    for refused in [
        SeaOrmStore::open(&database, POOL).await.err().unwrap(),
        SeaOrmStore::migrate(&database).await.err().unwrap(),
        SeaOrmStore::pending(&database).await.err().unwrap(),
    ] {
        assert!(
            refused.to_string().contains("later version of this program (its schema has m9999_later)"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_database_of_an_earlier_schema_gains_what_it_lacks_and_keeps_its_rows() {
    const STEPS: [&str; 3] = [
        include_str!("../src/migration/m0001_first.postgres.sql"),
        include_str!("../src/migration/m0002_budgets.postgres.sql"),
        include_str!("../src/migration/m0003_groups.postgres.sql"),
    ];
    let Some(server) = postgres_server() else { return };
    for steps in [1, 3] {
        let database = SeaOrmStore::create_database(&server).await.unwrap();
        let Database::Postgres(options) = &database else { panic!("a database of the server is one of PostgreSQL") };
        let mut connection = PgConnection::connect_with(options).await.unwrap();
        let schema = STEPS.iter().take(steps).copied().collect::<String>();
        let before = format!("{schema} {} {}", earlier::taken(steps), earlier::rows(steps, |id| format!("'{id}'")));
        sqlx::raw_sql(sqlx::AssertSqlSafe(before)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(SeaOrmStore::migrate(&database).await.unwrap(), earlier::STEPS[steps..]);
        earlier::is_kept(&SeaOrmStore::open(&database, POOL).await.unwrap(), steps).await;
    }
}

#[tokio::test]
async fn a_sign_of_life_waits_behind_nobodys_work_and_survives_a_restart() {
    let Some((store, _)) = acme().await else { return };
    let mut units = Vec::new();
    for _ in 0..POOL {
        units.push(store.begin(PATIENCE).await.unwrap());
    }
    store.reachable().await.unwrap();
    drop(units);
    store.run_sql(CUT).await.unwrap();
    store.reachable().await.unwrap();
}

#[tokio::test]
async fn a_stuck_database_gives_no_sign_of_life_until_it_goes_on() {
    let Some((store, _)) = acme().await else { return };
    // Whoever reads a table that is locked waits, as for a database that stands still.
    let locking = store.clone();
    let lock = "BEGIN; LOCK TABLE workspaces IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(9)";
    let stuck = tokio::spawn(async move { locking.run_sql(lock).await });
    while tokio::time::timeout(Duration::from_secs(2), store.reachable()).await.is_ok() {}
    store.run_sql(CUT).await.unwrap();
    assert!(stuck.await.unwrap().is_err());
    store.reachable().await.unwrap();
}

/// Carries what is said to a server and back, and counts how often the server said that it is ready for more. Answers the
/// URL of that way.
fn counted(server: &str, ready: Arc<AtomicUsize>) -> String {
    const READY: &[u8] = b"Z\0\0\0\x05I";
    let (before, place) = server.rsplit_once('@').unwrap();
    let (address, database) = place.rsplit_once('/').unwrap();
    let (to, listener) = (address.to_owned(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("{before}@{}/{database}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
            let (mut back_from, mut back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            // Whichever end closes first, closes the other.
            std::thread::spawn(move || std::io::copy(&mut &client, &mut &server));
            let ready = ready.clone();
            std::thread::spawn(move || {
                let mut part = vec![0; 65536];
                while let Ok(length @ 1..) = back_from.read(&mut part) {
                    let said = part.get(..length).unwrap();
                    ready.fetch_add(said.windows(READY.len()).filter(|w| *w == READY).count(), SeqCst);
                    if back_to.write_all(said).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

/// A question about access by one statement.
fn check(workspace: &Workspace) -> CheckKey {
    CheckKey {
        workspace: WorkspaceRef::Id(workspace.id),
        subject: CheckedSubject::User(id()),
        permission: permission_name("orders.read"),
    }
}

/// The connection of a check is kept for the next one, and not asked for a sign of life between them.
#[tokio::test]
async fn a_check_is_one_way_to_the_server_and_back() {
    let Some(server) = postgres_server() else { return };
    let ready = Arc::new(AtomicUsize::new(0));
    let store = SeaOrmStore::create_on(&counted(&server, ready.clone()), POOL).await.unwrap();
    let acme = workspace("acme");
    seed(&store, &[(&acme).into()]).await;
    let asked = [check(&acme)];
    let ask = async || store.check_facts(&asked, &Freshness::Newest).await.unwrap();
    // The first reads the workspace too, the second prepares what the others use.
    ask().await;
    ask().await;
    let before = ready.load(SeqCst);
    for _ in 0..20 {
        ask().await;
    }
    // A sign of life of each would be twenty more; those of the connections that were used before may still be under way.
    let answers = ready.load(SeqCst) - before;
    assert!((20..30).contains(&answers), "{answers} answers to 20 checks");
}

/// What is kept for checks is there for whoever needs a transaction, down to the last connection, and the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_and_transactions_share_the_connections() {
    let Some(server) = postgres_server() else { return };
    let store = SeaOrmStore::create_on(&server, 1).await.unwrap();
    let acme = workspace("acme");
    seed(&store, &[(&acme).into()]).await;
    let readers = store.connections().into_iter().find(|of| of.pool == "readers").unwrap();
    assert_eq!((readers.most, readers.busy), (1, 0));
    // One after the other each finds it, and so does the transaction in which the first check reads the workspace.
    for _ in 0..3 {
        store.check_facts(&[check(&acme)], &Freshness::Newest).await.unwrap();
        store.workspace(&WorkspaceRef::Id(acme.id)).await.unwrap().unwrap();
    }
    let mut tasks = Vec::new();
    for task in 0..8 {
        let (store, acme) = (store.clone(), acme.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                if task % 2 == 0 {
                    store.check_facts(&[check(&acme)], &Freshness::Newest).await.unwrap();
                } else {
                    store.workspace(&WorkspaceRef::Id(acme.id)).await.unwrap().unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    store.check_facts(&[check(&acme)], &Freshness::Newest).await.unwrap();
    let readers = store.connections().into_iter().find(|of| of.pool == "readers").unwrap();
    assert_eq!(readers.busy, 0, "what is kept is at nobody's work");
}

/// Who holds the table of roles and who waits for it, in this database.
const LOCKS: &str = "(SELECT * FROM pg_locks WHERE relation = 'roles'::regclass AND database = \
    (SELECT oid FROM pg_database WHERE datname = current_database())) locks";

/// Questions that are asked together are of one moment, though a change is committed between the two statements that read
/// people and roles: there is always exactly one who has the permission.
#[tokio::test]
async fn questions_asked_together_are_of_one_moment() {
    let Some((store, acme)) = acme().await else { return };
    let word = permission_name("orders.read");
    let reader = Role { permissions: [word.clone()].into(), ..role(acme.id, "reader") };
    let (anna, ben) = (user(acme.id, "anna"), user(acme.id, "ben"));
    seed(&store, &[permission("orders.read").into(), (&reader).into(), (&anna).into(), (&ben).into()]).await;
    seed(&store, &[with_role(internal(&anna), &reader).into(), internal(&ben).into()]).await;
    // The permission moves from the role, which Anna has, to Ben, as soon as somebody waits to read roles.
    let moves = format!(
        "DO $$ BEGIN LOCK TABLE roles IN ACCESS EXCLUSIVE MODE;
         UPDATE workspaces SET revision = revision + 1 WHERE id = '{acme}';
         DELETE FROM role_permissions WHERE role_id = '{reader}';
         INSERT INTO membership_permissions VALUES ('{acme}', '{ben}', 'orders.read');
         UPDATE memberships SET permissions = 'orders.read' WHERE workspace_id = '{acme}' AND user_id = '{ben}';
         WHILE NOT EXISTS (SELECT FROM {LOCKS} WHERE NOT granted)
         LOOP PERFORM pg_sleep(0.01); END LOOP; END $$",
        acme = acme.id,
        reader = reader.id,
        ben = ben.id,
    );
    let operator = store.clone();
    let moved = tokio::spawn(async move { operator.run_sql(&moves).await });
    let held = format!("SELECT count(*) AS held FROM {LOCKS} WHERE granted AND mode = 'AccessExclusiveLock'");
    while store.number(&held, "held").await.unwrap() != Some(1) {}

    let asked = [&anna, &ben].map(|person| CheckKey { subject: CheckedSubject::User(person.id), ..check(&acme) });
    let told = store.check_facts(&asked, &Freshness::Newest).await.unwrap();
    moved.await.unwrap().unwrap();
    let has = |facts: &CheckFacts| {
        let access = facts.access.as_ref().unwrap();
        let grants = &access.membership.as_ref().unwrap().base().grants;
        grants.permissions.contains(&word) || access.roles.iter().any(|role| role.permissions.contains(&word))
    };
    assert_eq!(told.iter().map(has).collect::<Vec<_>>(), [true, false], "as it was before");
    let told = store.check_facts(&asked, &Freshness::Newest).await.unwrap();
    assert_eq!(told.iter().map(has).collect::<Vec<_>>(), [false, true], "as it is now");
}

/// PostgreSQL plans the statement once for whatever is asked. Where a few hundred rows are cheap to read it must not choose
/// to read them all for one check, since the plan stays when they become many.
#[tokio::test]
async fn no_plan_of_a_check_reads_everybody() {
    let Some((store, _)) = acme().await else { return };
    let workspaces: Vec<Workspace> = (0..400).map(|number| workspace(&format!("w{number}"))).collect();
    let mut rows: Vec<Row> = workspaces.iter().map(Row::from).collect();
    rows.extend(
        workspaces.iter().zip(workspaces.iter().skip(1)).map(|(host, home)| relationship(host.id, home.id).into()),
    );
    for (number, home) in workspaces.iter().enumerate() {
        let person = user(home.id, &format!("p{number}"));
        rows.extend([Row::from(&person), internal(&person).into()]);
    }
    seed(&store, &rows).await;
    let explained = format!(
        "ANALYZE; PREPARE asked(uuid, text, uuid, text, text, text) AS {};
         SET plan_cache_mode = force_generic_plan;
         DO $$ DECLARE line text; plan text := ''; BEGIN
             FOR line IN EXECUTE 'EXPLAIN EXECUTE asked(NULL, NULL, NULL, NULL, NULL, NULL)'
             LOOP plan := plan || line || E'\\n'; END LOOP;
             IF plan ~ 'Seq Scan on (workspaces|users|memberships|relationships)'
             THEN RAISE EXCEPTION 'a check reads a whole table: %', plan; END IF;
             IF plan !~ 'relationships_agreed' THEN RAISE EXCEPTION 'no plan of a check: %', plan; END IF;
         END $$",
        check_statement()
    );
    store.run_sql(&explained).await.unwrap();
}

/// Far more who ask at once than there are connections are served in their order: nobody is passed over by those who come
/// later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_at_once_are_served_in_turn() {
    const CALLERS: usize = 64;
    const EACH: usize = 100;
    let Some((store, acme)) = acme().await else { return };
    let served = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..CALLERS {
        let (store, acme, served) = (store.clone(), acme.clone(), served.clone());
        tasks.push(tokio::spawn(async move {
            let mut own = 0;
            while served.fetch_add(1, SeqCst) < CALLERS * EACH {
                store.check_facts(&[check(&acme)], &Freshness::Newest).await.unwrap();
                own += 1;
            }
            own
        }));
    }
    let mut each = Vec::new();
    for task in tasks {
        each.push(task.await.unwrap());
    }
    assert!(each.iter().all(|own| *own >= EACH / 2), "{each:?}");
}

/// Who waits for a place behind statements that do not end hears so after a second, and not when the deadline comes.
#[tokio::test]
async fn a_check_that_finds_no_place_is_contention() {
    let Some(server) = postgres_server() else { return };
    let database = SeaOrmStore::create_database(&server).await.unwrap();
    SeaOrmStore::migrate(&database).await.unwrap();
    let store = SeaOrmStore::open(&database, 1).await.unwrap();
    let acme = workspace("acme");
    seed(&store, &[(&acme).into()]).await;
    let (place, name) = (server.rsplit_once('/').unwrap().0, database.to_string());
    let url = format!("{place}/{}", name.rsplit_once('/').unwrap().1);
    let locks = sea_orm::Database::connect(url).await.unwrap().begin().await.unwrap();
    locks.execute_unprepared("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let ask = || async { store.check_facts(&[check(&acme)], &Freshness::Newest).await.map(|facts| facts.len()) };
    let (first, second) = tokio::join!(ask(), async {
        let second = ask().await;
        locks.rollback().await.unwrap();
        second
    });
    assert_eq!((first, second), (Ok(1), Err(StoreError::Contention)));
}

/// A store may be dropped where no runtime is any more.
#[test]
fn what_is_kept_outlives_the_runtime() {
    let Some(server) = postgres_server() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(async {
        let store = SeaOrmStore::create_on(&server, POOL).await.unwrap();
        let acme = workspace("acme");
        seed(&store, &[(&acme).into()]).await;
        for _ in 0..2 {
            store.check_facts(&[check(&acme)], &Freshness::Newest).await.unwrap();
        }
        store
    });
    drop(runtime);
    drop(store);
}

/// A program that is gone without a word leaves its locks within a minute, not when the kernel gives up.
#[tokio::test]
async fn the_server_asks_whether_the_program_is_still_there() {
    let Some((store, _)) = acme().await else { return };
    let idle = "SELECT setting::bigint AS seconds FROM pg_settings WHERE name = 'tcp_keepalives_idle'";
    assert_eq!(store.number(idle, "seconds").await.unwrap(), Some(30));
}
