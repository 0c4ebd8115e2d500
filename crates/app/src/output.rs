//! Where results, talk and questions go: results to standard output, the rest to standard error.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::Result;
use serde::Serialize;

use crate::cli::PrintArgs;

/// The terminal, or what stands in its place.
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    no_input: bool,
}

impl Output {
    pub(crate) const fn new(print: &PrintArgs, no_input: bool) -> Self {
        Self { json: print.json, quiet: print.quiet, no_input }
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
        answer(&mut std::io::stdin().lock())
    }
}

/// One line as typed. Whoever ends the input has not answered, which is not the same as an empty line.
fn answer(input: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    let read = input.read_line(&mut line)?;
    anyhow::ensure!(read > 0, "the input ended before an answer; nothing was saved");
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_input_is_no_answer() {
        assert!(answer(&mut b"".as_slice()).unwrap_err().to_string().contains("nothing was saved"));
        for (typed, read) in [("\n", ""), (" y \nmore", "y"), ("n", "n")] {
            assert_eq!(answer(&mut typed.as_bytes()).unwrap(), read);
        }
    }
}
