//! What an operator's tools read of a running service: whether it lives, whether it is ready, what it counts, and its log.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeMap;
use std::time::Duration;

use domicile_client::{Client, Credentials, v1};
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_tests::server::{Server, TOKEN, address_of, get, settings, spawn};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Settings over a new SQLite file with its schema.
async fn prepared(folder: &TempDir) -> (BTreeMap<&'static str, String>, SeaOrmStore) {
    let store = SeaOrmStore::open_file(&folder.path().join("d.db")).await.unwrap();
    (settings(&format!("sqlite:{}", folder.path().join("d.db").display())), store)
}

/// The checks of a report by name.
fn checks(body: &str) -> BTreeMap<String, bool> {
    let report: Value = serde_json::from_str(body).unwrap();
    let checks = report.get("checks").unwrap().as_array().unwrap().iter();
    checks.map(|check| (check["name"].as_str().unwrap().to_owned(), check["ok"].as_bool().unwrap())).collect()
}

/// The value of a sample, if it is there.
fn sample(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn a_service_lives_is_ready_and_counts_until_its_store_no_longer_fits() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, store) = prepared(&folder).await;
    let server = Server::start(&settings).await;
    assert_eq!(server.admin("/livez").await, (200, "alive\n".to_owned()));
    let (status, body) = server.admin("/readyz").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(checks(&body).into_keys().collect::<Vec<_>>(), ["listener", "schema", "store"]);
    let (status, metrics) = server.admin("/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(sample(&metrics, "domicile_notices_waiting"), Some(0.0));
    assert_eq!(sample(&metrics, "domicile_notices_oldest_age_seconds"), Some(0.0));
    assert_eq!(sample(&metrics, "domicile_store_connections_limit{pool=\"writers\"}"), Some(1.0));
    assert_eq!(sample(&metrics, "domicile_store_reruns_total"), Some(0.0));
    if cfg!(target_os = "linux") {
        assert!(sample(&metrics, "process_resident_memory_bytes").unwrap() > 1e6);
        // The kernel counts in hundredths of a second, and a quick start takes none: what is asked on takes some.
        let counted =
            async { while sample(&server.admin("/metrics").await.1, "process_cpu_seconds_total").unwrap() <= 0.0 {} };
        tokio::time::timeout(Duration::from_secs(30), counted).await.expect("its time is counted");
    }
    assert_eq!(server.admin("/elsewhere").await.0, 404);

    store.run_sql("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await.unwrap();
    let (status, body) = server.admin("/readyz").await;
    assert_eq!(status, 503, "{body}");
    let checks = checks(&body);
    assert_eq!((checks["store"], checks["schema"], checks["listener"]), (true, false, true));
    assert!(body.contains("m9999_later"), "{body}");
    assert_eq!(server.admin("/livez").await.0, 200, "it lives all the same");

    store.run_sql("DELETE FROM seaql_migrations WHERE version = 'm9999_later'").await.unwrap();
    assert_eq!(server.admin("/readyz").await.0, 200);
}

#[tokio::test]
async fn every_metric_that_is_served_is_explained_to_operators() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, _) = prepared(&folder).await;
    let server = Server::start(&settings).await;
    let client = server.client(None).await;
    let asked = v1::GetWorkspaceRequest { workspace: "acme".into(), consistency: None };
    client.get_workspace(asked).await.unwrap_err();
    let (_, metrics) = server.admin("/metrics").await;
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPERATIONS.md");
    let page = std::fs::read_to_string(page).unwrap();
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/OPERATIONS.md does not tell of `{name}`");
    }
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(!line.contains("acme") && !line.contains(TOKEN), "{line}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_told_and_its_return_too() {
    let Some(postgres) = postgres_server() else { return };
    let url = domicile_tests::postgres::fresh_url(&postgres).await;
    let database: Database = url.parse().unwrap();
    SeaOrmStore::migrate(&database).await.unwrap();
    let mut settings = settings(&url);
    settings.insert("DOMICILE_DATABASE_POOL_SIZE", "2".to_owned());
    let server = Server::start(&settings).await;
    assert_eq!(server.admin("/readyz").await.0, 200);
    let store = SeaOrmStore::open(&database, 1).await.unwrap();
    store.run_sql("ALTER TABLE seaql_migrations RENAME TO away").await.unwrap();
    let (status, body) = server.admin("/readyz").await;
    assert_eq!((status, checks(&body)["store"]), (503, false), "{body}");
    assert!(!body.contains("seaql_migrations"), "nothing of the driver: {body}");
    store.run_sql("ALTER TABLE away RENAME TO seaql_migrations").await.unwrap();
    assert_eq!(server.admin("/readyz").await.0, 200);
}

#[tokio::test]
async fn a_caller_that_says_nothing_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, _) = prepared(&folder).await;
    let server = Server::start(&settings).await;
    let mut silent = TcpStream::connect(server.admin_address()).await.unwrap();
    silent.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    assert_eq!(server.admin("/livez").await.0, 200);
    // It is sent away, without an end of its own.
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn before_it_serves_it_lives_but_is_not_ready() {
    // A server that takes the connection and says nothing: the start waits for it.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let settings = settings(&format!("postgres://ann:s3cret@{address}/domicile"));
    let (mut captured, mut log) = spawn(&settings);
    captured.says_nothing_of("s3cret");
    let (_held, _) = silent.accept().await.unwrap();
    let admin = address_of(&log.recv().await.unwrap(), "the admin listener answers").unwrap();
    captured.tells_metrics_at(admin);
    assert_eq!(get(admin, "/livez").await.0, 200);
    let (status, body) = get(admin, "/readyz").await;
    assert_eq!((status, checks(&body)["listener"]), (503, false), "{body}");
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_call() {
    let folder = tempfile::tempdir().unwrap();
    let (mut settings, _) = prepared(&folder).await;
    settings.insert("DOMICILE_LOG_LEVEL", "trace".to_owned());
    let (mut captured, mut log) = spawn(&settings);
    captured.knows_people_of(&settings["DOMICILE_DATABASE_URL"]);
    let (mut admin, mut listen) = (None, None);
    while listen.is_none() {
        let line = log.recv().await.unwrap();
        admin = admin.or_else(|| address_of(&line, "the admin listener answers"));
        listen = address_of(&line, "domicile serves");
    }
    let admin = admin.unwrap();
    captured.tells_metrics_at(admin);
    captured.leave_unread();
    let credentials = Credentials { token: TOKEN.to_owned(), acting_user: None };
    let client = Client::connect(&format!("http://{}", listen.unwrap()), &credentials).await.unwrap();
    let dropped = async || {
        let (_, metrics) = get(admin, "/metrics").await;
        sample(&metrics, "domicile_log_lines_dropped_total").unwrap()
    };
    // From here on nobody reads. A pipe holds 64 KiB, and a call on this level says far more than a line.
    while dropped().await == 0.0 {
        let asked = v1::GetWorkspaceRequest { workspace: "acme".into(), consistency: None };
        let refused = client.get_workspace(asked).await.unwrap_err();
        assert_ne!(refused.reason, "", "{refused}");
    }
    domicile_tests::binary::ask_to_stop(captured.child()).await;
    assert!(captured.child().wait().await.unwrap().success());
}

#[tokio::test]
async fn the_form_of_the_log_can_be_told() {
    let folder = tempfile::tempdir().unwrap();
    for (format, json) in [("auto", true), ("json", true), ("text", false)] {
        let refused = [("DOMICILE_LOG_FORMAT", format), ("DOMICILE_DATABASE_URL", "sqlite:gone.db")];
        let settings = settings("sqlite:gone.db");
        let mut variables: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend(refused);
        let (code, _, told) = domicile_tests::binary::run(folder.path(), &["serve"], &variables).await;
        assert_eq!(code, 3, "{told}");
        let line = told.lines().find(|line| line.contains("the admin listener answers")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(line).is_ok(), json, "{line}");
    }
}
