//! What a run tells while it works: one line that is written over on a terminal, a line for each step elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Tells of one piece of work.
#[derive(Debug)]
pub struct Progress {
    what: String,
    started: Instant,
    terminal: bool,
}

impl Progress {
    /// Begins to tell of a piece of work.
    #[must_use]
    pub fn of(what: &str) -> Self {
        let told = Self { what: what.to_owned(), started: Instant::now(), terminal: std::io::stderr().is_terminal() };
        told.tell("...");
        told
    }

    /// How far it is. Shown on a terminal alone.
    pub fn tell(&self, how_far: &str) {
        if self.terminal {
            // Where standard error is gone nobody waits for it.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}: {how_far}", self.what);
        }
    }

    /// It is done.
    pub fn done(self, outcome: &str) {
        let line = format!("{}: {outcome} ({:.0} s)", self.what, self.started.elapsed().as_secs_f64());
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(std::io::stderr(), "{clear}{line}");
    }
}
