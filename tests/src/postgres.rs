//! Databases of the PostgreSQL server that `make test` starts, and a server of one test's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use domicile_store_seaorm::SeaOrmStore;
use domicile_store_seaorm::inspect::postgres_server;

/// The URL of a new, empty database of the server.
pub async fn fresh_url(server: &str) -> String {
    let made = SeaOrmStore::create_database(server).await.expect("a new database").to_string();
    let (place, name) = (server.rsplit_once('/'), made.rsplit_once('/'));
    let (Some((place, _)), Some((_, name))) = (place, name) else { panic!("{server} names no database") };
    format!("{place}/{name}")
}

/// A PostgreSQL server of the test's own, which it can hold up. It ends with the value.
pub struct OwnServer {
    /// Its URL, with the superuser.
    pub url: String,
    main: String,
    script: Child,
    input: Option<ChildStdin>,
}

impl OwnServer {
    /// Starts one from the installed binaries. Without a server for the run there is none for a test either.
    pub fn start() -> Option<Self> {
        postgres_server()?;
        let script = "source scripts/postgres.sh; folder=$(mktemp -d); found=$(postgres_binaries); [ -n \"$found\" ] || exit 0
            start_postgres_binaries \"$found\" \"$folder\" passing || exit 1
            echo \"$postgres_url $(head -n 1 \"$folder/data/postmaster.pid\")\"; read -r _; stop_postgres; rm -rf \"$folder\"";
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut script = Command::new("bash")
            .args(["-c", script])
            .current_dir(repository)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let input = script.stdin.take();
        let mut line = String::new();
        BufReader::new(script.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says text");
        let Some((url, main)) = line.trim().split_once(' ') else {
            // A server in a container cannot be held up from here, which `make test` tells; one that was found and does not
            // start is a failure.
            assert!(script.wait().expect("it ended").success(), "the installed PostgreSQL does not start");
            return None;
        };
        Some(Self { url: url.to_owned(), main: main.to_owned(), script, input })
    }

    /// Holds it up: it answers nothing and refuses nothing, and its connections stay.
    pub fn hold(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let command = format!("kill {signal} {0} $(pgrep -P {0})", self.main);
        assert!(Command::new("bash").args(["-c", &command]).status().expect("bash runs").success(), "{command}");
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.signal("-CONT");
        drop(self.input.take());
        let _ = self.script.wait();
    }
}
