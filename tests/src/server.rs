//! `domicile serve` as a process of its own, over settings of the test's choice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use domicile_client::{Client, Credentials};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use crate::binary::{ask_to_stop, binary, command};

/// The token of every server of the tests.
pub const TOKEN: &str = "a token for tests alone";

/// How long a server may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(20);

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

/// A server that serves. Ends with the test.
pub struct Server {
    child: Child,
    log: JoinHandle<Vec<String>>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    said: String,
}

impl Server {
    /// Starts one by variables and returns once it serves.
    pub async fn start(settings: &BTreeMap<&'static str, String>) -> Self {
        // What it captures is kept beside the program, not among the sources.
        let program = binary();
        let folder = program.parent().expect("the program lies in a folder");
        Self::run(command().arg("serve").envs(settings).current_dir(folder)).await
    }

    /// Starts one by a configuration file and returns once it serves.
    pub async fn configured(file: &Path) -> Self {
        let apart = ["--set", "admin.listen=127.0.0.1:0", "--set", "limits.lame_duck_seconds=0"];
        let folder = file.parent().expect("a file lies in a folder");
        Self::run(command().args(["serve", "--config"]).arg(file).args(apart).current_dir(folder)).await
    }

    async fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let (mut told, mut admin) = (String::new(), None);
        let ready = async {
            while let Some(line) = log.next_line().await.expect("the log is text") {
                if let Some(address) = address_of(&line, "domicile serves") {
                    return address;
                }
                admin = admin.or_else(|| address_of(&line, "the admin listener answers"));
                told.push_str(&line);
            }
            panic!("the server ended before it served: {told}");
        };
        let address = tokio::time::timeout(READY_WITHIN, ready).await.expect("the server serves in time");
        // Read on, or the server would wait for somebody to take its words.
        let log = tokio::spawn(rest_of(log));
        Self { child, log, address, admin, said: told }
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
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it ran");
    }

    /// Asks it to stop and answers how it ended, with what it logged since it served.
    pub async fn stop(mut self) -> (ExitStatus, Vec<String>) {
        ask_to_stop(&self.child).await;
        (self.child.wait().await.expect("it ends"), self.log.await.expect("the log is read"))
    }
}

async fn rest_of(mut log: Lines<BufReader<ChildStderr>>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = log.next_line().await.expect("the log is text") {
        lines.push(line);
    }
    lines
}

/// The address in the line that says so.
fn address_of(line: &str, says: &str) -> Option<SocketAddr> {
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
