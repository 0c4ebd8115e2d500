//! `domicile serve` as a process of its own, over settings of the test's choice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use domicile_client::{Client, Credentials};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::binary::{binary, command};
use crate::captured::Captured;

/// The token of every server of the tests.
pub const TOKEN: &str = "a token for tests alone";

/// How long a server may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The more it says, the more there is to look through.
const LOG_LEVEL: (&str, &str) = ("DOMICILE_LOG_LEVEL", "debug");

/// The variables that `serve` needs, over a database; others may be put beside them.
pub fn settings(database_url: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("DOMICILE_LISTEN", "127.0.0.1:0".to_owned()),
        ("DOMICILE_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
        ("DOMICILE_LIMITS_LAME_DUCK_SECONDS", "0".to_owned()),
        ("DOMICILE_DATABASE_URL", database_url.to_owned()),
        ("DOMICILE_AUTH_DEVELOPMENT_TOKEN", TOKEN.to_owned()),
        ("DOMICILE_SEALING_KEYS", "0f".repeat(32)),
        // One person of a test does more than any of a product.
        ("DOMICILE_BUDGETS_PROBES_PER_USER_MINUTE", u32::MAX.to_string()),
        ("DOMICILE_BUDGETS_PROBES_PER_WORKSPACE_HOUR", u32::MAX.to_string()),
        ("DOMICILE_BUDGETS_PROBES_PER_SERVICE_HOUR", u32::MAX.to_string()),
    ])
}

/// Starts one by variables and waits for nothing: what it says comes line by line.
pub fn spawn(settings: &BTreeMap<&'static str, String>) -> (Captured, UnboundedReceiver<String>) {
    // What it captures is kept beside the program, not among the sources.
    let program = binary();
    let folder = program.parent().expect("the program lies in a folder");
    let is_secret = |name: &str| ["TOKEN", "KEYS", "PASSWORD"].iter().any(|secret| name.contains(secret));
    let secrets = settings.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.clone());
    Captured::start(command().arg("serve").envs(settings).current_dir(folder), secrets)
}

/// A server that serves. Ends with the test; all that it said is looked through then.
pub struct Server {
    captured: Captured,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    said: String,
}

impl Server {
    /// Starts one by variables and returns once it serves.
    pub async fn start(settings: &BTreeMap<&'static str, String>) -> Self {
        let mut settings = settings.clone();
        settings.insert(LOG_LEVEL.0, LOG_LEVEL.1.to_owned());
        let database = settings.get("DOMICILE_DATABASE_URL").expect("a server has a database");
        Self::serving(spawn(&settings), database).await
    }

    /// Starts one by a configuration file, in which the database stands, and returns once it serves.
    pub async fn configured(file: &Path) -> Self {
        let apart = ["--set", "admin.listen=127.0.0.1:0", "--set", "limits.lame_duck_seconds=0"];
        let folder = file.parent().expect("a file lies in a folder");
        let text = std::fs::read_to_string(file).expect("a configuration");
        let database = text.split('"').find(|value| value.starts_with("sqlite:") || value.starts_with("postgres:"));
        let database = database.expect("the configuration names its database");
        let database = match database.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite:{}", folder.join(path).display()),
            None => database.to_owned(),
        };
        let token = std::fs::read_to_string(folder.join("token")).map(|token| token.trim().to_owned());
        let mut command = command();
        command.args(["serve", "--config"]).arg(file).args(apart).current_dir(folder);
        command.env(LOG_LEVEL.0, LOG_LEVEL.1);
        Self::serving(Captured::start(&mut command, token), &database).await
    }

    async fn serving((mut captured, mut log): (Captured, UnboundedReceiver<String>), database: &str) -> Self {
        captured.knows_people_of(database);
        let (mut told, mut admin) = (String::new(), None);
        let ready = async {
            while let Some(line) = log.recv().await {
                if let Some(address) = address_of(&line, "domicile serves") {
                    return address;
                }
                admin = admin.or_else(|| address_of(&line, "the admin listener answers"));
                told.push_str(&line);
            }
            panic!("the server ended before it served: {told}");
        };
        let address = tokio::time::timeout(READY_WITHIN, ready).await.expect("the server serves in time");
        if let Some(admin) = admin {
            captured.tells_metrics_at(admin);
        }
        Self { captured, address, admin, said: told }
    }

    /// Where it serves.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the admin listener answers: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        get(self.admin_address(), path).await
    }

    /// Where the admin listener answers.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the admin listener is on")
    }

    /// What it logged before it served.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// A client of it, for a person or for none.
    pub async fn client(&self, acting: Option<&str>) -> Client {
        let credentials = Credentials { token: TOKEN.to_owned(), acting_user: acting.map(ToOwned::to_owned) };
        Client::connect(&format!("http://{}", self.address), &credentials).await.expect("it serves")
    }

    /// Ends it as a crash of the machine would: no word, no clean-up.
    pub async fn kill(self) {
        self.captured.kill().await;
    }

    /// Asks it to stop and answers how it ended, with all that it logged.
    pub async fn stop(self) -> (ExitStatus, Vec<String>) {
        self.captured.stop().await
    }
}

/// The address in the line that says so.
pub fn address_of(line: &str, says: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    let said = fields.get("message")?.as_str()? == says;
    said.then(|| fields.get("listen")?.as_str()?.parse().ok()).flatten()
}

/// Asks for a page over HTTP: status and body.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers with text, and closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    (status.expect("a head has a status"), body.to_owned())
}
