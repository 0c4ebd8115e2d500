//! A real mail server that does as the recipient's address says, and what a test needs around it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

/// A running sink. It ends with the value.
pub(crate) struct Sink {
    pub(crate) port: u16,
    pub(crate) root: Option<String>,
    folder: TempDir,
    process: Child,
    input: Option<ChildStdin>,
}

impl Sink {
    /// Starts one, or says that it cannot and returns nothing: without Python there is nothing to start.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        let Some(python) = std::env::var_os("DOMICILE_TEST_PYTHON") else {
            eprintln!(
                "SKIPPED: SMTP sink (set DOMICILE_TEST_PYTHON to a Python that has what tests/python/requirements.txt lists)"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/smtp_sink.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path()).args(arguments);
        let root = arguments.iter().any(|a| ["tls", "starttls"].contains(a)).then(|| {
            let (root, certificate, key) = certificates("localhost");
            for (flag, name, pem) in [("--certificate", "leaf.pem", certificate), ("--key", "key.pem", key)] {
                let path = folder.path().join(name);
                std::fs::write(&path, pem).unwrap();
                command.arg(flag).arg(path);
            }
            root
        });
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the sink did not say its port: {line:?}"));
        Some(Self { port, root, folder, process, input })
    }

    /// The messages it took, in order, as Python's mail parser read them.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let record = |number: usize| std::fs::read_to_string(self.folder.path().join(format!("{number}.json"))).ok();
        let records = (1..).map_while(record);
        records.map(|text| Taken(serde_json::from_str(&text).unwrap())).collect()
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
pub(crate) struct Taken(pub(crate) Value);

impl Taken {
    /// The values of a header, decoded.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().unwrap().iter();
        headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
    }

    /// The names of all headers, in order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect()
    }

    /// The text of the part with a type, decoded, with plain line ends.
    pub(crate) fn part(&self, kind: &str) -> String {
        let mut parts = self.0["parts"].as_array().unwrap().iter();
        parts.find(|part| part["type"] == kind).unwrap()["text"].as_str().unwrap().replace("\r\n", "\n")
    }
}

/// A root of our own, and a certificate for a host that it signed, with its key.
pub(crate) fn certificates(host: &str) -> (String, String, String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Root of a test");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    (root.pem(), leaf.pem(), key.serialize_pem())
}
