//! Where results, talk and questions go: results to standard output, the rest to standard error.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;

/// The terminal, or what stands in its place.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    no_input: bool,
}

impl Output {
    pub(crate) const fn new(json: bool, quiet: bool, no_input: bool) -> Self {
        Self { json, quiet, no_input }
    }

    /// One result: text lines, or a JSON value.
    pub(crate) fn result(&self, text: &str, json: &impl Serialize) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, json)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }

    /// A line for people.
    pub(crate) fn talk(&self, line: &str) -> Result<()> {
        if !self.quiet && !self.json {
            writeln!(std::io::stderr().lock(), "{line}")?;
        }
        Ok(())
    }

    /// Whether somebody is there to answer.
    pub(crate) fn can_ask(&self) -> bool {
        !self.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks for a line; an error where nobody can answer.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        anyhow::ensure!(self.can_ask(), "nobody is there to answer: {question}");
        let mut err = std::io::stderr().lock();
        write!(err, "{question} ")?;
        err.flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}
