//! What an operator meets: settings and databases that are wrong, each told in a sentence with its mend and an exit code, and
//! a service that says what it does.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::path::Path;

use domicile_client::v1;
use domicile_store_seaorm::inspect::postgres_server;
use domicile_store_seaorm::{Database, SeaOrmStore};
use domicile_tests::binary::run;
use domicile_tests::server::{Server, TOKEN, settings};
use tempfile::TempDir;

/// The command fails with that code and says all of this.
async fn fails(folder: &Path, arguments: &[&str], variables: &[(&str, &str)], code: i32, says: &[&str]) {
    let (exit, out, told) = run(folder, arguments, variables).await;
    assert_eq!((exit, out.as_str()), (code, ""), "{told}");
    for part in says {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
    assert!(!told.contains("s3cret") && !told.contains(TOKEN), "{told}");
}

fn sqlite(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("d.db").display())
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_the_settings_is_told_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let missing = ["database.url is not set", "nothing tells who is calling", "sealing.keys is not set"];
    fails(at, &["serve"], &[], 6, &missing).await;
    fails(at, &["config", "check"], &[], 6, &missing).await;
    let near = ["`DOMICILE_LISTNE` is no setting; did you mean `DOMICILE_LISTEN`?"];
    fails(at, &["serve"], &[("DOMICILE_LISTNE", "x")], 6, &near).await;
    let near = ["`databse.url` is no setting; did you mean `database.url`?"];
    fails(at, &["db", "check", "--set", "databse.url=x"], &[], 6, &near).await;
    fails(at, &["db", "check", "--config", "gone.toml"], &[], 6, &["gone.toml cannot be read"]).await;
    fails(at, &["db", "check", "--database-url", "mysql://x"], &[], 6, &["`mysql` is no engine that is supported"])
        .await;
    let all: Vec<(&str, String)> = settings(&sqlite(&folder)).into_iter().collect();
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let open = ["serves on loopback only, and 0.0.0.0:1 is not"];
    fails(at, &["serve", "--listen", "0.0.0.0:1"], &all, 6, &open).await;
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 0, "a refused start left something behind");
}

#[tokio::test]
async fn settings_are_shown_with_their_origins_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("domicile.toml"), "[smtp]\nhost = \"mail.example\"\npassword = \"s3cret\"")
        .unwrap();
    let variables = [("DOMICILE_SMTP_PORT", "2525"), ("DOMICILE_DATABASE_URL", "postgres://a:s3cret@db.example/d")];
    let (code, shown, _) = run(folder.path(), &["config", "show", "--set", "listen=127.0.0.1:7"], &variables).await;
    assert_eq!(code, 0);
    let line = |key: &str| {
        let found = shown.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {shown}"));
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("listen"), "listen 127.0.0.1:7 flag");
    assert_eq!(line("smtp.port"), "smtp.port 2525 DOMICILE_SMTP_PORT");
    assert_eq!(line("smtp.host"), "smtp.host mail.example domicile.toml");
    assert_eq!(line("smtp.password"), "smtp.password set domicile.toml");
    assert_eq!(line("database.url"), "database.url set DOMICILE_DATABASE_URL");
    assert_eq!(line("messages.language"), "messages.language en default");
    assert_eq!(line("sealing.keys"), "sealing.keys not set");
    assert!(!shown.contains("s3cret"));
    let (_, json, _) = run(folder.path(), &["config", "show", "--json"], &variables).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["smtp.port"], serde_json::json!({ "value": "2525", "origin": "DOMICILE_SMTP_PORT" }));
    assert_eq!(json["sealing.keys"]["value"], serde_json::Value::Null);
    assert!(!json.to_string().contains("s3cret"));
}

/// The way of a schema: missing, made, up to date, newer than the program.
async fn a_schema_is_looked_after(folder: &TempDir, url: &str) {
    let at = folder.path();
    let all: Vec<(&str, String)> = settings(url).into_iter().collect();
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let flag = ["--database-url", url];
    let db = |verb: &'static str| [["db", verb], flag].concat();
    let (code, told, talk) = run(at, &db("migrate"), &[]).await;
    assert_eq!(code, 0, "{talk}");
    assert!(told.contains("took m0001_first"), "{told}");
    let (code, told, _) = run(at, &db("migrate"), &[]).await;
    assert!(code == 0 && told.contains("is up to date"), "{told}");
    let (code, told, _) = run(at, &db("check"), &[]).await;
    assert!(code == 0 && told.contains("can be reached and its schema is up to date"), "{told}");
    let store = SeaOrmStore::open(&url.parse::<Database>().unwrap(), 1).await.unwrap();
    store.run_sql("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_later', 0)").await.unwrap();
    let newer = ["was written by a later version of this program", "m9999_later", "Start that version"];
    fails(at, &db("migrate"), &[], 4, &newer).await;
    fails(at, &db("check"), &[], 4, &newer).await;
    fails(at, &["serve"], &all, 4, &newer).await;
}

#[tokio::test]
async fn a_schema_of_sqlite_is_looked_after() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    let none = ["there is no database", "domicile db migrate"];
    fails(folder.path(), &["db", "check", "--database-url", &url], &[], 3, &none).await;
    assert!(!folder.path().join("d.db").exists(), "a check made a file");
    a_schema_is_looked_after(&folder, &url).await;
}

#[tokio::test]
async fn a_schema_of_postgres_is_looked_after() {
    let Some(server) = postgres_server() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = domicile_tests::postgres::fresh_url(&server).await;
    let behind = ["lacks m0001_first", "Run `domicile db migrate`"];
    fails(folder.path(), &["db", "check", "--database-url", &url], &[], 4, &behind).await;
    a_schema_is_looked_after(&folder, &url).await;

    let (sign_in, place) = server.rsplit_once('@').unwrap();
    let (user, _) = sign_in.rsplit_once(':').unwrap();
    let wrong = format!("{user}:s3cret@{place}");
    let check = |url: &str| ["db".to_owned(), "check".to_owned(), "--database-url".to_owned(), url.to_owned()];
    let wrong = check(&wrong);
    let said = ["refuses to sign in `postgres`", "Check user and password"];
    fails(folder.path(), &wrong.each_ref().map(String::as_str), &[], 5, &said).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = check(&format!("postgres://ann:s3cret@{free}/domicile"));
    fails(folder.path(), &away.each_ref().map(String::as_str), &[], 7, &["cannot be reached", "the server runs"]).await;
}

#[tokio::test]
async fn a_service_without_a_mail_server_captures_and_says_so_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite(&folder);
    SeaOrmStore::migrate(&url.parse::<Database>().unwrap()).await.unwrap();
    let mut settings = settings(&url);
    settings.insert("DOMICILE_MESSAGES_FOLDER", folder.path().join("messages").display().to_string());
    let server = Server::start(&settings).await;
    assert!(server.said().contains("messages are captured, not sent"), "{}", server.said());
    assert!(!server.said().contains(TOKEN));
    let client = server.client(Some("01900000-0000-7000-8000-000000000001")).await;
    let nobody = client
        .get_workspace(v1::GetWorkspaceRequest { workspace: "acme".into(), consistency: None })
        .await
        .unwrap_err();
    assert_eq!(nobody.reason, "PERMISSION_DENIED");
    let taken = server.address().to_string();
    let all: Vec<(&str, String)> = settings.into_iter().collect();
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fails(folder.path(), &["serve", "--listen", &taken], &all, 1, &[&taken, "Choose another with --listen"]).await;
    let (status, log) = server.stop().await;
    assert!(status.success(), "{log:?}");
}
