//! An issuer of tokens of another make.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::python::python;

/// The audience of the tokens that tests take.
pub const AUDIENCE: &str = "https://domicile.example";

/// A running issuer. It ends with the value.
pub struct Issuer {
    /// Where its keys are published.
    pub port: u16,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Issuer {
    /// Starts one; without Python there is none.
    pub fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/issuer.py");
        let mut process = Command::new(python()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the issuer starts");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut issuer = Self { port: 0, process, input, output };
        issuer.port = serde_json::from_value(issuer.answer()).expect("the issuer says its port");
        Some(issuer)
    }

    /// Its name in tokens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes it do what a command says, and answers its answer.
    pub fn ask(&mut self, command: &Value) -> Value {
        let input = self.input.as_mut().expect("it runs");
        writeln!(input, "{command}").expect("it listens");
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it says text");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the issuer said {line:?}"))
    }

    /// A token that is good now for an hour; the claims stand beside or in place of the usual ones.
    pub fn token(&mut self, algorithm: &str, claims: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut all = json!({"iss": self.url(), "aud": AUDIENCE, "iat": now, "exp": now + 3600});
        if let (Some(all), Value::Object(claims)) = (all.as_object_mut(), claims) {
            all.extend(claims);
        }
        let token = self.ask(&json!({"do": "token", "algorithm": algorithm, "claims": all}));
        serde_json::from_value(token).expect("a token is text")
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
