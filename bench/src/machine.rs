//! The machine and the versions of a run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use sea_orm::sqlx::{self, Row};
use serde::{Deserialize, Serialize};

use crate::control::pgbench::Postgres;
use crate::data::{postgres, sqlite};

/// Where a run ran, and what with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many processors this process may use.
    pub processors: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Load of the last minute when the run began: what others did.
    pub load: String,
    /// The kernel's version.
    pub kernel: String,
    /// The file system of the data, as the kernel names it.
    pub file_system: String,
    /// The compiler.
    pub rustc: String,
    /// The commit, and whether files differ from it.
    pub commit: String,
    /// SQLite's version.
    pub sqlite: String,
    /// PostgreSQL's version; empty without one.
    pub postgres: String,
}

/// Stands behind the commit when files differ from it.
const CHANGED: &str = ", changed";

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What follows a label in a file of the kernel.
fn labelled(path: &str, label: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.map_or(String::new(), |rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

impl Machine {
    /// Reads it all.
    ///
    /// # Errors
    /// A database does not tell its version.
    pub async fn read(folder: &Path, server: Option<&Postgres>) -> Result<Self> {
        let memory = labelled("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let mut commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        // Pages change nothing that is measured; a run may just have been written into one.
        let changed = ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)docs"];
        if !said("git", &changed).is_empty() {
            commit.push_str(CHANGED);
        }
        let mut memory_database = sqlite::open(Path::new(":memory:")).await?;
        let sqlite: String = sqlx::query("SELECT sqlite_version()").fetch_one(&mut memory_database).await?.get(0);
        let postgres = match server {
            None => String::new(),
            Some(server) => {
                let mut connection = postgres::open(&server.url).await?;
                sqlx::query("SHOW server_version").fetch_one(&mut connection).await?.get(0)
            }
        };
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let type_of = ["--file-system", "--format=%T", &folder.display().to_string()];
        Ok(Self {
            processor: labelled("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_gib: kib / (1024 * 1024),
            load: load.split_whitespace().next().unwrap_or_default().to_owned(),
            kernel: said("uname", &["-sr"]),
            file_system: said("stat", &type_of),
            rustc: said("rustc", &["--version"]),
            commit,
            sqlite,
            postgres,
        })
    }

    /// Whether files differ from the commit.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.commit.ends_with(CHANGED)
    }

    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        let postgres = if self.postgres.is_empty() { "none".to_owned() } else { self.postgres.clone() };
        format!(
            "{}, {} processors, {} GiB, load {} at the start; {}, {}; {}; SQLite {}, PostgreSQL {postgres}; commit {}",
            self.processor,
            self.processors,
            self.memory_gib,
            self.load,
            self.kernel,
            self.file_system,
            self.rustc,
            self.sqlite,
            self.commit
        )
    }
}
