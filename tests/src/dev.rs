//! A running `domicile dev` and the commands of a second shell beside it.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::binary;
use crate::captured::Captured;

/// What a command said, and how it ended.
pub struct Told {
    /// The exit code.
    pub exit: i32,
    /// The result.
    pub out: String,
    /// The talk.
    pub err: String,
}

impl Told {
    /// The result as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }

    /// Ended with this code, saying nothing as a result and all of these in its talk, without a trace of the inside.
    pub fn refused(&self, exit: i32, words: &[&str]) {
        assert_eq!((self.exit, self.out.as_str()), (exit, ""), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
        assert!(!self.err.contains("panicked") && !self.err.contains("Caused by"), "{}", self.err);
    }

    /// Ended well.
    pub fn done(&self) -> &Self {
        assert_eq!(self.exit, 0, "{}", self.err);
        self
    }
}

/// Runs the program in a folder to its end.
pub async fn run(folder: &Path, arguments: &[&str]) -> Told {
    let (exit, out, err) = binary::run(folder, arguments, &[]).await;
    Told { exit, out, err }
}

/// A running `domicile dev`.
pub struct Dev {
    // Before the folder: it is looked through with the people of the database.
    captured: Captured,
    /// Where the second shell is.
    pub folder: TempDir,
    /// What it printed when it started.
    pub banner: String,
}

impl Dev {
    /// Starts one with a folder of its own.
    pub async fn new() -> Self {
        Self::started(tempfile::tempdir().expect("there is room")).await
    }

    /// Starts it and reads what it prints, to the last line.
    pub async fn started(folder: TempDir) -> Self {
        let mut command = binary::command();
        command.args(["dev", "--listen", "127.0.0.1:0"]).current_dir(folder.path()).stdout(Stdio::piped());
        let (mut captured, _) = Captured::start(command.env("RUST_LOG", "debug"), []);
        let mut lines = BufReader::new(captured.child().stdout.take().expect("it is piped")).lines();
        let mut banner = String::new();
        while !banner.contains("Messages") {
            banner += &lines.next_line().await.expect("it says text").unwrap_or_else(|| panic!("it ended: {banner}"));
            banner.push('\n');
        }
        let database = folder.path().join("domicile-dev/domicile.db");
        captured.knows_people_of(&format!("sqlite:{}", database.display()));
        Self { captured, folder, banner }
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("domicile-dev")
    }

    /// What stands in its credentials.
    pub fn credentials(&self) -> Value {
        let file = std::fs::read(self.data().join("credentials.json")).expect("it wrote them");
        serde_json::from_slice(&file).expect("they are JSON")
    }

    /// Runs a command in the same folder, as in a second shell.
    pub async fn run(&self, arguments: &[&str]) -> Told {
        run(self.folder.path(), arguments).await
    }

    /// Runs a command that succeeds, and reads its result.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).await.done().json()
    }

    /// Shows a message until it was dealt with.
    pub async fn captured(&self, id: &str, workspace: &str, person: &str) -> Value {
        let begun = Instant::now();
        loop {
            let shown = ["notifications", "show", id, "--workspace", workspace, "--as", person];
            let shown = self.json(&shown).await;
            if shown["state"] != "QUEUED" {
                assert_eq!((&shown["state"], &shown["not_sent_reason"]), (&json!("NOT_SENT"), &json!("CAPTURED")));
                return shown;
            }
            assert!(begun.elapsed() < Duration::from_mins(1), "it is still queued: {shown}");
        }
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stopped(self) -> (TempDir, ExitStatus) {
        let (ended, _) = self.captured.stop().await;
        (self.folder, ended)
    }
}

/// The keys of an object, in order.
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("it is an object").keys().map(String::as_str).collect()
}
