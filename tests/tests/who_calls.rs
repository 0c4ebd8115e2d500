//! Who is calling, from Python over the wire to the real program: by a client certificate, by tokens that another library
//! signed, and naming whom it acts for; and what happens while an issuer changes its keys and goes away.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use domicile_tests::binary::run;
use domicile_tests::certificates::Authority;
use domicile_tests::issuer::{AUDIENCE, Issuer};
use domicile_tests::python::{python, stubs};
use domicile_tests::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// The service with an operator, two services and an issuer that is trusted for `acme`, where Dana is the first manager.
struct Installation {
    /// Ends before its folder goes: what it said is looked through with what its database knows.
    server: Server,
    folder: TempDir,
    stubs: TempDir,
    python: PathBuf,
    issuer: Issuer,
    dana: String,
}

const SERVICES: &str = r#"
[[services]]
name = "operations"
operator = true
certificates = ["spiffe://acme.internal/operations"]
methods = ["*"]

[[services]]
name = "orders"
certificates = ["spiffe://acme.internal/orders"]
methods = ["RoleService/ListRoles"]
act_as = { workspaces = ["acme"], methods = ["RoleService/ListRoles"] }

[[services]]
name = "console"
methods = ["*"]
act_as = { workspaces = ["borealis"], methods = ["*"] }
"#;

fn configuration(folder: &Path, issuer: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    let keys = "0f".repeat(32);
    format!(
        "listen = \"127.0.0.1:0\"\n[tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\n[database]\nurl = {:?}\n\
         [sealing]\nkeys = \"{keys}\"\n{SERVICES}tokens = [{{ issuer = {issuer:?}, client_id = \"console\" }}]\n\
         [[issuers]]\nurl = {issuer:?}\njwks_url = \"{issuer}/jwks\"\naudience = {AUDIENCE:?}\ntrusted_homes = [\"acme\"]\n",
        file("server.pem"),
        file("server.key"),
        file("clients.pem"),
        format!("sqlite:{}", file("d.db")),
    )
}

impl Installation {
    async fn new() -> Option<Self> {
        let python = python()?;
        let issuer = Issuer::start()?;
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let (servers, clients) = (Authority::default(), Authority::default());
        let keep = |name: &str, (certificate, key): (String, String)| {
            std::fs::write(at.join(format!("{name}.pem")), certificate).unwrap();
            std::fs::write(at.join(format!("{name}.key")), key).unwrap();
        };
        std::fs::write(at.join("servers.pem"), servers.root()).unwrap();
        std::fs::write(at.join("clients.pem"), clients.root()).unwrap();
        keep("server", servers.host("localhost"));
        for name in ["operations", "orders", "stranger"] {
            keep(name, clients.workload(&format!("spiffe://acme.internal/{name}")));
        }
        let path = at.join("domicile.toml");
        std::fs::write(&path, configuration(at, &issuer.url())).unwrap();
        let (code, _, told) = run(at, &["db", "migrate"], &[]).await;
        assert_eq!(code, 0, "{told}");
        let server = Server::configured(&path).await;
        // The start waits for no issuer; its keys are there before anybody calls.
        while server.admin("/readyz").await.0 != 200 {}
        let endpoint = format!("https://localhost:{}", server.address().port());
        let made = ["workspace", "create", "acme", "--name", "Acme", "--region", "HU", "--language", "en"];
        let manager = ["--manager", "dana@acme.example", "--first-name", "Dana", "--last-name", "Reyes"];
        let by = ["--endpoint", &endpoint, "--ca", "servers.pem", "--client-certificate", "operations.pem"];
        let rest = ["--client-key", "operations.key", "--username", "dana", "--yes", "--json"];
        let (code, out, told) = run(at, &[&made[..], &manager, &by, &rest].concat(), &[]).await;
        assert_eq!(code, 0, "{told}");
        let made: Value = serde_json::from_str(&out).unwrap();
        let dana = made.get("manager").and_then(Value::as_str).unwrap().to_owned();
        Some(Self { stubs: stubs(&python).await, folder, python, issuer, server, dana })
    }

    fn command(&self, settings: &Value) -> Command {
        let mut all = json!({
            "address": format!("localhost:{}", self.server.address().port()),
            "root": self.folder.path().join("servers.pem"),
            "workspace": "acme",
        });
        if let (Some(all), Some(settings)) = (all.as_object_mut(), settings.as_object()) {
            all.extend(settings.clone());
        }
        let mut command = Command::new(&self.python);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/who_calls.py"))
            .arg(all.to_string())
            .env("PYTHONPATH", self.stubs.path())
            .kill_on_drop(true);
        command
    }

    /// What a client with these settings is told.
    async fn told(&self, settings: &Value) -> String {
        let ran = self.command(settings).output().await.unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert!(err.is_empty(), "{err}");
        String::from_utf8(ran.stdout).unwrap()
    }

    fn certificate(&self, name: &str) -> Value {
        let at = self.folder.path();
        json!({"certificate": at.join(format!("{name}.pem")), "key": at.join(format!("{name}.key"))})
    }

    /// A client that calls until it is asked to stop, once it was answered.
    async fn calling(&self, token: &str) -> Calling {
        let mut command = self.command(&json!({"token": token, "repeat": true}));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).await.unwrap();
        assert_eq!(line, "Begun\n");
        Calling { process, output }
    }
}

struct Calling {
    process: Child,
    output: BufReader<tokio::process::ChildStdout>,
}

impl Calling {
    /// Stops it, and answers how often it was answered; nothing was refused.
    async fn answered(mut self) -> u64 {
        drop(self.process.stdin.take());
        let mut said = String::new();
        self.output.read_to_string(&mut said).await.unwrap();
        assert!(self.process.wait().await.unwrap().success(), "{said}");
        said.trim().strip_prefix("Answered ").unwrap().parse().unwrap()
    }
}

/// The claims of a token that the console was given for Dana.
fn dana(more: &Value) -> Value {
    let mut claims = json!({
        "sub": "dana-1", "client_id": "console", "email": "dana@acme.example", "email_verified": true,
    });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// A new key is looked for within ten seconds; what is longer is the machine's.
const LOOKED_FOR: Duration = Duration::from_mins(1);
const ROLES: &str = "Roles access-manager guest member\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_people_are_known_by_certificate_token_and_grant() {
    let Some(mut here) = Installation::new().await else { return };

    // The person's own token, of every algorithm; at first sight by a verified email, then by what was bound.
    let unverified = here.issuer.token("ES256", dana(&json!({"email_verified": false})));
    let told = here.told(&json!({"token": unverified})).await;
    assert!(told.starts_with("Refused IDENTITY_NOT_BOUND"), "{told}");
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let token = here.issuer.token(algorithm, dana(&json!({})));
        assert_eq!(here.told(&json!({"token": token})).await, ROLES, "{algorithm}");
    }
    let later = here.issuer.token("ES256", json!({"sub": "dana-1", "client_id": "console"}));
    assert_eq!(here.told(&json!({"token": later})).await, ROLES);
    let exchanged = here.issuer.token("ES256", json!({"sub": "dana-1", "act": {"sub": "console"}}));
    assert_eq!(here.told(&json!({"token": exchanged})).await, ROLES);
    let another = here.issuer.token("ES256", dana(&json!({"sub": "mallory"})));
    let told = here.told(&json!({"token": another})).await;
    assert!(told.starts_with("Refused IDENTITY_NOT_BOUND"), "a second subject for one person: {told}");

    // A certificate, and whom it names under its grant.
    let mut orders = here.certificate("orders");
    let told = here.told(&orders).await;
    assert!(told.starts_with("Refused ACTING_USER_REQUIRED"), "{told}");
    orders["acting_user"] = here.dana.clone().into();
    assert_eq!(here.told(&orders).await, ROLES);
    // The console's grant is of another workspace; the operator has none; who is not listed is nobody.
    let console = here.issuer.token("ES256", json!({"sub": "console", "client_id": "console"}));
    let told = here.told(&json!({"token": console, "acting_user": here.dana})).await;
    assert!(told.starts_with("Refused PERMISSION_DENIED"), "{told}");
    for (name, reason) in [("operations", "ACT_AS_NOT_GRANTED"), ("stranger", "UNAUTHENTICATED")] {
        let mut caller = here.certificate(name);
        caller["acting_user"] = here.dana.clone().into();
        let told = here.told(&caller).await;
        assert!(told.starts_with(&format!("Refused {reason}")), "{name}: {told}");
    }

    // Forms that disagree, or that are not good.
    let own = here.issuer.token("ES256", dana(&json!({})));
    orders["token"] = own.clone().into();
    let told = here.told(&orders).await;
    assert!(told.starts_with("Refused UNAUTHENTICATED"), "a certificate of one and a token of another: {told}");
    let told = here.told(&json!({"token": own, "acting_user": here.dana})).await;
    assert!(told.starts_with("Refused UNAUTHENTICATED"), "a token that proves and a header that names: {told}");
    for (why, claims) in [
        ("expired", json!({"iat": 1_000_000_000, "exp": 1_000_003_600})),
        ("of another audience", json!({"aud": "https://elsewhere.example"})),
        ("of another issuer", json!({"iss": "https://elsewhere.example"})),
        ("of an unknown client", json!({"client_id": "somebody"})),
    ] {
        let token = here.issuer.token("ES256", dana(&claims));
        let told = here.told(&json!({"token": token})).await;
        assert!(told.starts_with("Refused UNAUTHENTICATED"), "{why}: {told}");
        assert!(!told.contains(token.split('.').nth(1).unwrap()), "{why}: the answer holds the token");
    }
    let told = here.told(&json!({})).await;
    assert!(told.starts_with("Refused UNAUTHENTICATED"), "{told}");

    let (ended, log) = here.server.stop().await;
    assert!(ended.success(), "{log:?}");
    for secret in ["dana@acme.example", "dana-1", &own] {
        assert!(!log.iter().any(|line| line.contains(secret)), "the log holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_and_the_issuer_goes_away_without_a_failed_call() {
    let Some(mut here) = Installation::new().await else { return };
    let first = here.issuer.token("ES256", dana(&json!({})));
    let with_the_first = here.calling(&first).await;

    here.issuer.ask(&json!({"do": "rotate"}));
    let second = here.issuer.token("ES256", dana(&json!({})));
    // A key that was published this moment is looked for at most every ten seconds; until then it is not known, and that is
    // all that is told.
    let known = async {
        loop {
            match here.told(&json!({"token": second})).await {
                told if told == ROLES => break,
                told => assert!(told.starts_with("Refused UNAUTHENTICATED"), "{told}"),
            }
        }
    };
    tokio::time::timeout(LOOKED_FOR, known).await.expect("a new key is looked for");
    let with_the_second = here.calling(&second).await;

    here.issuer.ask(&json!({"do": "stop"}));
    let third = here.issuer.token("EdDSA", dana(&json!({})));
    for _ in 0..5 {
        assert_eq!(here.told(&json!({"token": third})).await, ROLES, "its keys were published before it went away");
    }
    let answered = [with_the_first.answered().await, with_the_second.answered().await];
    println!("answered while keys changed and the issuer was away: {answered:?}");
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
}
