//! The first start as an operator makes it with the real program: a configuration, the schema, the service, the first
//! workspace, the first people.
#![expect(clippy::panic, clippy::unwrap_used, reason = "what cannot be fails the test")]
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domicile_identity::Algorithm;
use domicile_identity::issuer::{LoopbackIssuer, SigningKey};
use domicile_tests::binary::run;
use domicile_tests::certificates::Authority;
use domicile_tests::server::Server;
use serde_json::{Value, json as value};

const NEW_WORKSPACE: [&str; 17] = [
    "workspace",
    "create",
    "acme",
    "--name",
    "Acme",
    "--region",
    "HU",
    "--language",
    "en",
    "--manager",
    "dana@acme.example",
    "--first-name",
    "Dana",
    "--last-name",
    "Reyes",
    "--username",
    "dana",
];

/// Runs a command that succeeds, and answers its result and its talk.
async fn done(folder: &Path, arguments: &[&str]) -> (String, String) {
    let (code, out, talk) = run(folder, arguments, &[]).await;
    assert_eq!(code, 0, "{arguments:?}: {talk}");
    (out, talk)
}

/// The same, read as JSON.
async fn json(folder: &Path, arguments: &[&str]) -> Value {
    let (out, _) = done(folder, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// Ends with this code and says all of this.
async fn refused(folder: &Path, arguments: &[&str], code: i32, says: &[&str]) {
    let (exit, out, told) = run(folder, arguments, &[]).await;
    assert_eq!((exit, out.as_str()), (code, ""), "{arguments:?}: {told}");
    for part in says {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_configuration_is_written_once_for_its_owner_alone_and_is_complete_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (out, talk) = done(at, &["init"]).await;
    assert!(out.starts_with("Wrote   ") && out.trim_end().ends_with("domicile.toml"), "{out}");
    for next in ["db migrate", "serve", "workspace create HANDLE", "--token-file"] {
        assert!(talk.contains(next), "{next}: {talk}");
    }
    let path = at.join("domicile.toml");
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!((mode(&path), mode(&at.join("token"))), (0o600, 0o600));
    assert_eq!(done(at, &["config", "check"]).await.0, "The configuration is complete.\n");

    refused(at, &["init"], 4, &["it is there already", "--data", "--force"]).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    let token = std::fs::read_to_string(at.join("token")).unwrap();
    let (_, talk) = done(at, &["init", "--force"]).await;
    assert!(talk.contains("domicile.toml.before"), "{talk}");
    assert_eq!(std::fs::read_to_string(at.join("domicile.toml.before")).unwrap(), first);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), first, "another sealing key");
    assert_eq!(std::fs::read_to_string(at.join("token")).unwrap(), token, "what was noted goes on working");
}

#[tokio::test]
async fn what_would_not_serve_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let open = ["init", "--listen", "0.0.0.0:1"];
    refused(at, &open, 2, &["0.0.0.0:1 can be reached", "--operator-certificate", "--tls-certificate"]).await;
    let by_certificate = ["init", "--operator-certificate", "spiffe://acme.internal/operator"];
    refused(at, &by_certificate, 2, &["--tls-certificate", "--client-ca"]).await;
    refused(at, &["init", "--operator-client", "operator", "--issuer-keys", "x"], 2, &["a comma and the client id"])
        .await;
    refused(at, &["init", "--database-url", "mysql://x"], 6, &["`mysql` is no engine"]).await;
    let files = ["--tls-certificate", "gone.pem", "--tls-key", "gone.pem"];
    refused(at, &[&["init"][..], &files].concat(), 6, &["tls.certificate", "No such file"]).await;
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 0, "a refused start left something behind");
}

#[tokio::test]
async fn from_nothing_to_the_first_people_on_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["init", "--data", "domicile", "--listen", "127.0.0.1:0"]).await;
    done(at, &["db", "migrate", "--config", "domicile/domicile.toml"]).await;
    let server = Server::configured(&at.join("domicile/domicile.toml")).await;
    let endpoint = format!("http://{}", server.address());
    let sign_in = ["--endpoint", &endpoint, "--token-file", "domicile/token"];
    let as_service = |arguments: &[&'static str]| -> Vec<String> {
        arguments.iter().chain(&sign_in).map(|argument| (*argument).to_owned()).collect()
    };
    let create = as_service(&NEW_WORKSPACE);
    let create: Vec<&str> = create.iter().map(String::as_str).collect();

    refused(at, &create[..3], 2, &["no credentials"]).await;
    let missing = ["--name, --region, --language, --manager, --first-name, --last-name, --username"];
    refused(at, &[&create[..3], &sign_in].concat(), 6, &missing).await;
    refused(at, &create, 2, &["nobody is there to say yes; add --yes"]).await;
    let mut wrong = create.clone();
    (wrong[2], wrong[10], wrong[16]) = ("A!", "dana@", "-");
    let each = ["INVALID_REQUEST", "the handle: ", "--manager: ", "--username: "];
    refused(at, &[&wrong[..], &["--yes"]].concat(), 6, &each).await;
    let rehearsed = json(at, &[&create[..], &["--dry-run"]].concat()).await;
    assert_eq!((&rehearsed["validate_only"], &rehearsed["workspace"]), (&Value::Bool(true), &Value::Null));

    let id = ["--request-id", "0199a000-0000-7000-8000-00000000000a", "--yes"];
    let made = json(at, &[&create[..], &id].concat()).await;
    assert_eq!(made["workspace"]["handle"], "acme");
    let again = json(at, &[&create[..], &id].concat()).await;
    assert_eq!(again["manager"], made["manager"], "the same request has one effect");
    refused(at, &[&create[..], &["--yes"]].concat(), 4, &["HANDLE_TAKEN"]).await;

    let manager = made["manager"].as_str().unwrap();
    let acting = [&sign_in[..], &["--as", manager]].concat();
    let (out, _) = done(at, &[&["workspace", "show", "acme"][..], &acting].concat()).await;
    assert!(out.starts_with("Name      Acme (acme)\n") && out.contains("Region    HU"), "{out}");
    let shown = json(at, &[&["workspace", "show", "acme"][..], &acting].concat()).await;
    assert_eq!(shown, made["workspace"]);
    let anna = ["assign", "anna@acme.example", "--workspace", "acme", "--role", "member", "--first-name", "Anna"];
    let rest = ["--last-name", "Kovacs", "--username", "anna", "--language", "en", "--yes"];
    let (out, talk) = done(at, &[&anna[..], &rest, &acting].concat()).await;
    assert!(out.starts_with("Saved   CREATED_INTERNAL"), "{out}");
    assert!(talk.contains(&acting.join(" ")), "the next command signs in likewise: {talk}");

    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMMANDS.md")).unwrap();
    for key in [&made, &shown].iter().flat_map(|value| value.as_object().unwrap().keys()) {
        assert!(page.contains(&format!("`{key}`")), "docs/COMMANDS.md does not tell of `{key}`");
    }
    refused(
        at,
        &[&["workspace", "show", "acme"][..], &sign_in, &["--as", "dana"]].concat(),
        2,
        &["`dana` is no user id"],
    )
    .await;
    let (status, _) = server.stop().await;
    assert!(status.success());
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Writes a certificate and its key as `NAME.pem` and `NAME.key`.
fn keep(folder: &Path, name: &str, (certificate, key): (String, String)) {
    std::fs::write(folder.join(format!("{name}.pem")), certificate).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key).unwrap();
}

/// The flags of a sign-in by a certificate.
fn by_certificate(endpoint: &str, name: &str) -> Vec<String> {
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    let flags =
        ["--endpoint", endpoint, "--ca", "servers.pem", "--client-certificate", &certificate, "--client-key", &key];
    flags.map(ToOwned::to_owned).to_vec()
}

#[tokio::test]
async fn from_nothing_to_the_first_people_by_certificates_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (servers, clients) = (Authority::default(), Authority::default());
    std::fs::write(at.join("servers.pem"), servers.root()).unwrap();
    std::fs::write(at.join("clients.pem"), clients.root()).unwrap();
    keep(at, "server", servers.host("127.0.0.1"));
    keep(at, "operator", clients.workload("spiffe://acme.internal/operations"));
    keep(at, "console", clients.host("console.acme.internal"));
    keep(at, "stranger", clients.workload("spiffe://acme.internal/stranger"));
    keep(at, "foreign", servers.workload("spiffe://acme.internal/operations"));

    let name = ["--operator-certificate", "spiffe://acme.internal/operations", "--listen", "127.0.0.1:0"];
    let files = ["--tls-certificate", "server.pem", "--tls-key", "server.key", "--client-ca", "clients.pem"];
    let (_, talk) = done(at, &[&["init"][..], &name, &files].concat()).await;
    assert!(talk.contains("--client-certificate FILE") && !at.join("token").exists(), "{talk}");
    assert_eq!(done(at, &["config", "check"]).await.0, "The configuration is complete.\n");
    let path = at.join("domicile.toml");
    let console_section = "
        [[services]]
        name = \"console\"
        certificates = [\"dns:console.acme.internal\"]
        methods = [\"*\"]
        act_as = { workspaces = [\"acme\"], methods = [\"*\"] }";
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + console_section).unwrap();
    let shown = json(at, &["config", "show"]).await;
    assert_eq!(shown["services[1]"]["value"]["name"], "console");
    assert!(shown["services[1]"]["origin"].as_str().unwrap().ends_with("domicile.toml"), "{shown}");

    done(at, &["db", "migrate"]).await;
    let server = Server::configured(&path).await;
    assert_eq!(server.admin("/readyz").await.0, 200);
    let endpoint = format!("https://{}", server.address());
    let by = |name| by_certificate(&endpoint, name);
    let with = |command: &[&str], flags: &[String]| -> Vec<String> {
        command.iter().map(|word| (*word).to_owned()).chain(flags.iter().cloned()).collect()
    };
    let made = json(at, &words(&with(&[&NEW_WORKSPACE[..], &["--yes"]].concat(), &by("operator")))).await;
    let manager = made["manager"].as_str().unwrap();

    let anna = ["assign", "anna@acme.example", "--workspace", "acme", "--role", "member", "--first-name", "Anna"];
    let rest = ["--last-name", "Kovacs", "--username", "anna", "--language", "en", "--yes", "--as", manager];
    let assign = [&anna[..], &rest].concat();
    let (out, _) = done(at, &words(&with(&assign, &by("console")))).await;
    assert!(out.starts_with("Saved   CREATED_INTERNAL"), "{out}");

    // The operator acts for nobody, the console makes no workspaces, and whoever else comes is not known.
    refused(at, &words(&with(&assign, &by("operator"))), 5, &["operator"]).await;
    let mut second = NEW_WORKSPACE;
    second[2] = "borealis";
    let second = [&second[..], &["--yes"]].concat();
    refused(at, &words(&with(&second, &by("console"))), 5, &["PERMISSION_DENIED"]).await;
    let show = ["workspace", "show", "acme"];
    refused(at, &words(&with(&show, &by("stranger"))), 5, &["UNAUTHENTICATED"]).await;
    refused(at, &words(&with(&show, &by("foreign"))), 7, &["the connection to the service broke", "certificate"]).await;
    let mut wrong_root = by("operator");
    "clients.pem".clone_into(&mut wrong_root[3]);
    let told = [&endpoint, "no encrypted connection comes about", "check the root certificate"];
    refused(at, &words(&with(&show, &wrong_root)), 7, &told).await;
    let (status, log) = server.stop().await;
    assert!(status.success(), "{log:?}");
    assert!(!log.join("").contains("anna@acme.example"), "{log:?}");
}

#[tokio::test]
async fn an_operator_whose_tokens_an_issuer_gives() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let issuer = LoopbackIssuer::start(0).await.unwrap();
    let key = SigningKey::generate("k", Algorithm::Es256).unwrap();
    issuer.publish(&key);
    let (url, keys) = (issuer.url(), issuer.keys_url());
    let client = format!("{url},operations");
    let of_issuer = ["--operator-client", &client, "--issuer-keys", &keys, "--audience", "domicile.acme"];
    done(at, &[&["init", "--listen", "127.0.0.1:0"][..], &of_issuer].concat()).await;
    done(at, &["db", "migrate"]).await;
    let path = at.join("domicile.toml");
    let server = Server::configured(&path).await;
    // The start waits for no issuer.
    while server.admin("/readyz").await.0 != 200 {}
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = value!({
        "iss": url, "sub": "operations", "client_id": "operations", "aud": "domicile.acme", "iat": now, "exp": now + 600,
        "jti": "1",
    });
    std::fs::write(at.join("operator.token"), key.token(&claims).unwrap()).unwrap();
    let endpoint = format!("http://{}", server.address());
    let by_token = ["--endpoint", &endpoint, "--token-file", "operator.token"];
    let made = json(at, &[&NEW_WORKSPACE[..], &by_token, &["--yes"]].concat()).await;
    let shown = json(at, &[&["workspace", "show", "acme"][..], &by_token].concat()).await;
    assert_eq!(shown, made["workspace"]);
    let (_, metrics) = server.admin("/metrics").await;
    assert!(metrics.contains(&format!("domicile_identity_issuer_usable{{issuer=\"{url}\"}} 1")), "{metrics}");
    let (status, log) = server.stop().await;
    assert!(status.success(), "{log:?}");

    issuer.stop().await;
    let server = Server::configured(&path).await;
    let (status, body) = server.admin("/readyz").await;
    assert!(status == 503 && body.contains(&format!("issuer {url}")), "{body}");
}
