//! `domicile serve` as a process of its own, over settings of the test's choice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use domicile_client::{Client, Credentials};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use crate::binary::{ask_to_stop, command};

/// The token of every server of the tests.
pub const TOKEN: &str = "a token for tests alone";

/// How long a server may take to serve.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The variables that `serve` needs, over a database; others may be put beside them.
pub fn settings(database_url: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("DOMICILE_LISTEN", "127.0.0.1:0".to_owned()),
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
    said: String,
}

impl Server {
    /// Starts one by variables and returns once it serves.
    pub async fn start(settings: &BTreeMap<&'static str, String>) -> Self {
        Self::run(command().arg("serve").envs(settings)).await
    }

    /// Starts one by a configuration file and returns once it serves.
    pub async fn configured(file: &Path) -> Self {
        Self::run(command().args(["serve", "--config"]).arg(file)).await
    }

    async fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program was built");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let mut told = String::new();
        let ready = async {
            while let Some(line) = log.next_line().await.expect("the log is text") {
                if let Some(address) = address_of(&line) {
                    return address;
                }
                told.push_str(&line);
            }
            panic!("the server ended before it served: {told}");
        };
        let address = tokio::time::timeout(READY_WITHIN, ready).await.expect("the server serves in time");
        // Read on, or the server would wait for somebody to take its words.
        let log = tokio::spawn(rest_of(log));
        Self { child, log, address, said: told }
    }

    /// Where it serves.
    pub const fn address(&self) -> SocketAddr {
        self.address
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

/// The address in the line that says that it serves.
fn address_of(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    let serves = fields.get("message")?.as_str()? == "domicile serves";
    serves.then(|| fields.get("listen")?.as_str()?.parse().ok()).flatten()
}
