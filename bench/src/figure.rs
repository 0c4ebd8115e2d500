//! The figures, their bars and goals, and what a run found.

use serde::{Deserialize, Serialize};

use crate::stats::{Better, Interval, Verdict};

/// In what a figure is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Subject divided by control.
    Ratio,
    /// Milliseconds.
    Milliseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Megabytes of 1,000,000 bytes.
    Megabytes,
    /// Percent.
    Percent,
}

impl Unit {
    /// A value with its unit.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Ratio if value < 0.1 => format!("{value:.3}x"),
            Self::Ratio => format!("{value:.2}x"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Nanoseconds => format!("{value:.0} ns"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Percent => format!("{value:.1} %"),
        }
    }
}

/// A figure of the table.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// `P5a`.
    pub id: &'static str,
    /// What is measured.
    pub name: &'static str,
    /// Against what, in the same run.
    pub control: &'static str,
    /// Whether more or less is better.
    pub better: Better,
    /// What must be reached.
    pub bar: f64,
    /// What should be reached.
    pub goal: f64,
    /// In what it is counted.
    pub unit: Unit,
    /// Why it cannot be measured yet; empty if it can.
    pub not_yet: &'static str,
    /// Whether both sides write rows, which must be proved equal.
    pub writes: bool,
    /// The users, or minutes, that bar and goal are for; with others there is no verdict.
    pub bar_is_for: Option<u64>,
}

const fn more(id: &'static str, name: &'static str, control: &'static str, bar: f64, goal: f64) -> Figure {
    Figure {
        id,
        name,
        control,
        better: Better::More,
        bar,
        goal,
        unit: Unit::Ratio,
        not_yet: "",
        writes: false,
        bar_is_for: None,
    }
}

const fn less(id: &'static str, name: &'static str, control: &'static str, bar: f64, goal: f64) -> Figure {
    Figure { better: Better::Less, ..more(id, name, control, bar, goal) }
}

const fn unit(unit: Unit, figure: Figure) -> Figure {
    Figure { unit, ..figure }
}

const fn not_yet(why: &'static str, figure: Figure) -> Figure {
    Figure { not_yet: why, ..figure }
}

const fn writes(figure: Figure) -> Figure {
    Figure { writes: true, ..figure }
}

const fn bar_is_for(size: u64, figure: Figure) -> Figure {
    Figure { bar_is_for: Some(size), ..figure }
}

/// Every figure, in the order of the table.
pub const FIGURES: [Figure; 26] = [
    unit(Unit::Nanoseconds, less("P0", "one decision, in one process", "-", 1_000.0, 250.0)),
    more("P1", "CheckAccess over gRPC, warm: calls/s", "empty echo behind the same layers", 0.75, 0.9),
    more("P2", "CheckAccess, no cache, SQLite: calls/s", "the same echo", 0.35, 0.6),
    more("P3", "CheckAccess, no cache, PostgreSQL: calls/s", "pgbench -M prepared, one select", 0.30, 0.5),
    more("P4", "BatchCheckAccess of 100: checks/s", "single CheckAccess", 12.0, 30.0),
    writes(less("P5a", "AssignUser, one client, SQLite FULL: p50", "hand-written SQL, same rows", 1.25, 1.1)),
    writes(more(
        "P5b",
        "AssignUser, 64 in flight, SQLite FULL: saves/s",
        "the same SQL, one commit a save",
        10.0,
        25.0,
    )),
    writes(more("P6", "AssignUser, 32 in flight, PostgreSQL: saves/s", "pgbench, same rows, 32 clients", 0.55, 0.8)),
    less("P7r", "point read through SeaORM: CPU", "hand-written sqlx, same SQL", 1.6, 1.2),
    writes(less("P7w", "save through SeaORM: CPU", "hand-written sqlx, same SQL", 1.3, 1.15)),
    bar_is_for(10_000_000, less("P8", "lookup by email, large data: CPU", "ourselves at 10,000 users", 1.3, 1.15)),
    less("P9", "directory, page 10,000: p50", "page 1", 1.2, 1.05),
    less("P10", "bytes a membership, reverse index included", "hand-made schema, 16-byte ids", 1.15, 1.05),
    unit(Unit::Megabytes, less("P11a", "resident memory, idle", "-", 30.0, 20.0)),
    not_yet(
        "nobody wrote the load that fills the cache",
        unit(Unit::Megabytes, less("P11b", "cache per million memberships", "-", 64.0, 40.0)),
    ),
    bar_is_for(1_000_000, unit(Unit::Milliseconds, less("P12", "exec to first correct CheckAccess", "-", 150.0, 60.0))),
    not_yet("nobody wrote the mixed load of reads", less("P13", "mixed load: p99", "echo p99", 4.0, 2.0)),
    not_yet("needs WatchEvents", unit(Unit::Milliseconds, less("P14a", "commit to subscriber: mean", "-", 10.0, 5.0))),
    not_yet("needs WatchEvents", unit(Unit::Milliseconds, less("P14b", "commit to subscriber: p99", "-", 50.0, 25.0))),
    not_yet(
        "nobody wrote the load above saturation",
        more("P15a", "goodput at twice saturation", "peak goodput", 0.9, 0.95),
    ),
    not_yet(
        "nobody wrote the load above saturation",
        unit(Unit::Milliseconds, less("P15b", "refusals at twice saturation: p99", "-", 5.0, 5.0)),
    ),
    more("P16", "90 % of checks on one workspace: calls/s", "checks spread evenly", 0.9, 1.0),
    not_yet("needs an import", more("P17", "import: rows/s", "P5b", 1.0, 3.0)),
    bar_is_for(
        60,
        unit(Unit::Percent, less("P18a", "an hour of mixed load: drift of throughput", "first five minutes", 5.0, 1.0)),
    ),
    bar_is_for(
        60,
        unit(Unit::Percent, less("P18b", "an hour of mixed load: drift of memory", "first five minutes", 2.0, 1.0)),
    ),
    unit(Unit::Percent, less("R9", "who guesses an account from the time of a search: advantage", "-", 5.0, 2.0)),
];

/// The figure with an id.
#[must_use]
pub fn figure(id: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.id == id)
}

/// Whether a word names a figure, or a number all of its parts: `P5` is P5a and P5b, and `P1` is not P10.
#[must_use]
pub fn names(word: &str, id: &str) -> bool {
    id.strip_prefix(word)
        .is_some_and(|rest| rest.is_empty() || rest.len() == 1 && rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// What one side of a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Calls that were answered, each one checked.
    pub calls: u64,
    /// How long it took.
    pub seconds: f64,
    /// CPU of the serving process for a call, in microseconds.
    pub cpu_us: Option<f64>,
    /// CPU of the database server for a call, in microseconds, where there is one.
    pub database_cpu_us: Option<f64>,
    /// Median latency in microseconds.
    pub p50_us: Option<f64>,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: Option<f64>,
    /// Anything that is neither a rate nor a latency.
    pub value: Option<f64>,
}

impl Side {
    /// Calls a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        crate::stats::float(self.calls) / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// One round: the control, then the subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// What we compare with; absent for figures without a control.
    pub control: Option<Side>,
    /// What is measured.
    pub subject: Side,
}

/// A comparison that stands beside a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What it is.
    pub name: String,
    /// Subject.
    pub subject: String,
    /// Control.
    pub control: String,
}

/// A figure that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The value or ratio over the rounds.
    pub interval: Interval,
    /// The verdict.
    pub verdict: Verdict,
    /// The ratio of CPU per call over the rounds, where both sides are served by a process of ours.
    pub cpu: Option<Interval>,
    /// Sizes and settings, in one line.
    pub setting: String,
    /// What `fsync` of 4 KiB took when the figure was measured, in microseconds.
    pub fsync_us: Option<f64>,
    /// More numbers.
    pub beside: Vec<Beside>,
    /// Every round.
    pub rounds: Vec<Round>,
}

/// What became of a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was measured, and nothing went wrong.
    Measured(Measured),
    /// The product cannot do it yet.
    NotYet(String),
    /// This run did not ask for it, or could not have what it needs.
    NotMeasured(String),
    /// Something went wrong, so the figure says nothing.
    Void(String),
}

impl Outcome {
    /// Whether the run set out to measure it.
    #[must_use]
    pub const fn was_tried(&self) -> bool {
        matches!(self, Self::Measured(_) | Self::Void(_))
    }
}

impl From<anyhow::Result<Measured>> for Outcome {
    fn from(measured: anyhow::Result<Measured>) -> Self {
        match measured {
            Ok(measured) => Self::Measured(measured),
            Err(error) => Self::Void(format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_figure_or_its_parts() {
        let named =
            |word: &str| -> Vec<&str> { FIGURES.iter().map(|figure| figure.id).filter(|id| names(word, id)).collect() };
        assert_eq!(named("P1"), ["P1"]);
        assert_eq!(named("P5"), ["P5a", "P5b"]);
        assert_eq!(named("P5b"), ["P5b"]);
        assert_eq!(named("P11"), ["P11a", "P11b"]);
        assert_eq!(named("P"), [""; 0]);
        assert_eq!(named(""), [""; 0]);
    }
}
