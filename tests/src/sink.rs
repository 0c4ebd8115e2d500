//! A real mail server that does as the recipient's address says, and what a test needs around it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::python::python;

/// A running sink. It ends with the value.
pub struct Sink {
    pub port: u16,
    pub root: Option<String>,
    folder: TempDir,
    process: Child,
    input: Option<ChildStdin>,
}

impl Sink {
    /// Starts one; without Python there is none.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::tempdir().expect("the sink works");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/smtp_sink.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path()).args(arguments);
        let root = arguments.iter().any(|a| ["tls", "starttls"].contains(a)).then(|| {
            let authority = Authority::default();
            let (certificate, key) = authority.host("localhost");
            for (flag, name, pem) in [("--certificate", "leaf.pem", certificate), ("--key", "key.pem", key)] {
                let path = folder.path().join(name);
                std::fs::write(&path, pem).expect("the sink works");
                command.arg(flag).arg(path);
            }
            authority.root()
        });
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the sink works");
        let input = process.stdin.take();
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("the sink works")).read_line(&mut line).expect("the sink works");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the sink did not say its port: {line:?}"));
        Some(Self { port, root, folder, process, input })
    }

    /// The messages it took, in order, as Python's mail parser read them.
    pub fn taken(&self) -> Vec<Taken> {
        let record = |number: usize| std::fs::read_to_string(self.folder.path().join(format!("{number}.json"))).ok();
        let records = (1..).map_while(record);
        records.map(|text| Taken(serde_json::from_str(&text).expect("the sink works"))).collect()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

/// A message as it arrived.
#[derive(Debug)]
pub struct Taken(pub Value);

impl Taken {
    /// The values of a header, decoded.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().expect("the sink works").iter();
        headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().expect("the sink works")).collect()
    }

    /// The names of all headers, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0["headers"]
            .as_array()
            .expect("the sink works")
            .iter()
            .map(|pair| pair[0].as_str().expect("the sink works"))
            .collect()
    }

    /// The text of the part with a type, decoded, with plain line ends.
    pub fn part(&self, kind: &str) -> String {
        let mut parts = self.0["parts"].as_array().expect("the sink works").iter();
        parts.find(|part| part["type"] == kind).expect("the sink works")["text"]
            .as_str()
            .expect("the sink works")
            .replace("\r\n", "\n")
    }
}
