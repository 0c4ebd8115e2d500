//! The table of a run, its JSON, its place in the documentation, and whether two runs agree.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::figure::{Figure, Measured, Outcome, Unit, figure};
use crate::machine::Machine;

/// A run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `short` or `full`.
    pub form: String,
    /// The day, UTC.
    pub day: String,
    /// Where it ran.
    pub machine: Machine,
    /// From which all data was drawn.
    pub seed: u64,
    /// Rounds of each figure.
    pub rounds: usize,
    /// Seconds of one side of a round.
    pub seconds: f64,
    /// Users of the small, the middle and the large data.
    pub users: [u64; 3],
    /// `fsync` of 4 KiB where the data lies, in microseconds.
    pub fsync_us: f64,
    /// How long the run took, in seconds.
    pub took_seconds: f64,
    /// What became of each figure, in the order of the table.
    pub figures: Vec<Line>,
}

/// A figure of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `P5a`.
    pub id: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// The words before and after the part of `docs/PERFORMANCE.md` that a run writes.
const MARKS: (&str, &str) = ("<!-- run:begin -->\n", "<!-- run:end -->\n");

fn row(figure: &Figure, outcome: &Outcome) -> String {
    let bar = figure.unit.show(figure.bar);
    let goal = figure.unit.show(figure.goal);
    let sign = if figure.better == crate::stats::Better::More { "≥" } else { "≤" };
    let head = format!("| {} | {} | {} ", figure.id, figure.name, figure.control);
    let tail = format!("| {sign} {bar} | {goal} ");
    match outcome {
        Outcome::Measured(measured) => {
            let Measured { interval, verdict, .. } = measured;
            let range = if interval.coverage >= 100.0 || interval.coverage <= 0.0 {
                "one value".to_owned()
            } else {
                format!("{} to {}", figure.unit.show(interval.low), figure.unit.show(interval.high))
            };
            format!("{head}| **{}** | {range} {tail}| {} |", figure.unit.show(interval.median), verdict.words())
        }
        Outcome::NotYet(why) => format!("{head}| - | - {tail}| not yet: {why} |"),
        Outcome::NotMeasured(why) => format!("{head}| - | - {tail}| not measured: {why} |"),
        Outcome::Void(why) => format!("{head}| - | - {tail}| **void**: {} |", why.replace('|', "/").replace('\n', " ")),
    }
}

impl Report {
    fn lines(&self) -> impl Iterator<Item = (&'static Figure, &Outcome)> {
        self.figures.iter().filter_map(|line| figure(&line.id).map(|figure| (figure, &line.outcome)))
    }

    /// Whether a figure is void.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.figures.iter().any(|line| matches!(line.outcome, Outcome::Void(_)))
    }

    /// The one table, and what stands behind each ratio.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "Run of {}, {} form: {} rounds of {} s a side, seed {}, data of {} / {} / {} users, {:.0} s in all.\n\
             Machine: {}.\n\
             `fsync` of 4 KiB: {:.0} us.\n",
            self.day,
            self.form,
            self.rounds,
            self.seconds,
            self.seed,
            self.users[0],
            self.users[1],
            self.users[2],
            self.took_seconds,
            self.machine.words(),
            self.fsync_us
        );
        text.push_str(
            "| # | Figure | Control | Ratio | Interval | Bar | Goal | Verdict |\n|---|---|---|---|---|---|---|---|\n",
        );
        for (figure, outcome) in self.lines() {
            let _ = writeln!(text, "{}", row(figure, outcome));
        }
        text.push_str("\n| # | Behind the ratio | Subject | Control |\n|---|---|---|---|\n");
        for (figure, outcome) in self.lines() {
            let Outcome::Measured(measured) = outcome else { continue };
            let _ = writeln!(text, "| {} | *{}* | | |", figure.id, measured.setting);
            if let Some(cpu) = &measured.cpu {
                let ratio = format!("{:.2}x, {:.2} to {:.2}", cpu.median, cpu.low, cpu.high);
                let _ = writeln!(text, "| {} | CPU a call, subject to control | {ratio} | |", figure.id);
            }
            for beside in &measured.beside {
                let _ = writeln!(text, "| {} | {} | {} | {} |", figure.id, beside.name, beside.subject, beside.control);
            }
            if let Some(fsync) = measured.fsync_us {
                let _ = writeln!(text, "| {} | `fsync` of 4 KiB meanwhile, us | {fsync:.0} | {fsync:.0} |", figure.id);
            }
        }
        text
    }

    /// Writes the run as JSON.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, to: &Path) -> Result<()> {
        std::fs::write(to, serde_json::to_string_pretty(self)?).with_context(|| to.display().to_string())
    }

    /// Reads a run.
    ///
    /// # Errors
    /// It is none.
    pub fn read(from: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(from).with_context(|| format!("{} cannot be read", from.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no run", from.display()))
    }

    /// Puts the table between the marks of a page.
    ///
    /// # Errors
    /// A figure is void, so the table is not to be shown; or the page has no marks.
    pub fn write_docs(&self, page: &Path) -> Result<()> {
        ensure!(!self.is_void(), "a run with a void figure is not written into the documentation");
        let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
        std::fs::write(page, between_marks(&text, &self.table())?)?;
        Ok(())
    }

    /// Compares two runs: a line for each figure that both measured or found void, and whether they agree in all. They agree
    /// where their intervals meet; figures that are single values, or no ratios, where the values are near each other; never
    /// where one is void.
    ///
    /// # Errors
    /// The runs were asked for different things.
    pub fn agrees(&self, other: &Self) -> Result<(String, bool)> {
        ensure!(self.form == other.form, "the forms differ: {} and {}", self.form, other.form);
        ensure!(self.users == other.users, "the users differ: {:?} and {:?}", self.users, other.users);
        ensure!(self.rounds == other.rounds, "the rounds differ: {} and {}", self.rounds, other.rounds);
        ensure!(self.seed == other.seed, "the seeds differ: {} and {}", self.seed, other.seed);
        ensure!(
            (self.seconds - other.seconds).abs() < f64::EPSILON,
            "the seconds of a side differ: {} and {}",
            self.seconds,
            other.seconds
        );
        let mut text = String::new();
        let mut all = true;
        for (figure, ours) in self.lines() {
            let theirs = other.figures.iter().find(|line| line.id == figure.id).map(|line| &line.outcome);
            let Some(theirs) = theirs.filter(|theirs| ours.was_tried() && theirs.was_tried()) else { continue };
            let agree = match (ours, theirs) {
                (Outcome::Measured(ours), Outcome::Measured(theirs)) => alike(figure, ours, theirs),
                _ => false,
            };
            all &= agree;
            let verdict = if agree { "agree" } else { "DIFFER" };
            let _ =
                writeln!(text, "{:<5} {:<34} {:<34} {verdict}", figure.id, shown(figure, ours), shown(figure, theirs));
        }
        Ok((text, all))
    }
}

/// Percent of two values of a drift may be so many points apart.
const POINTS_APART: f64 = 2.0;
/// Other single values, and those that are no ratio, may be so far apart, as a share of the greater.
const MOST_APART: f64 = 0.1;

/// Whether two runs of a figure say the same.
fn alike(figure: &Figure, ours: &Measured, theirs: &Measured) -> bool {
    let (one, other) = (ours.interval.median, theirs.interval.median);
    let single = ours.rounds.len() < 2 && ours.interval.coverage >= 100.0;
    match figure.unit {
        Unit::Percent => (one - other).abs() <= POINTS_APART,
        Unit::Milliseconds | Unit::Nanoseconds | Unit::Megabytes => (one - other).abs() <= MOST_APART * one.max(other),
        Unit::Ratio if single => (one - other).abs() <= MOST_APART * one.max(other),
        Unit::Ratio => ours.interval.meets(&theirs.interval),
    }
}

fn shown(figure: &Figure, outcome: &Outcome) -> String {
    let show = |value| figure.unit.show(value);
    match outcome {
        Outcome::Measured(m) => {
            format!("{} ({} to {})", show(m.interval.median), show(m.interval.low), show(m.interval.high))
        }
        Outcome::Void(_) => "void".to_owned(),
        Outcome::NotYet(_) | Outcome::NotMeasured(_) => "-".to_owned(),
    }
}

fn between_marks(page: &str, table: &str) -> Result<String> {
    let (before, rest) = page.split_once(MARKS.0).context("the page has no mark where a run begins")?;
    let (_, after) = rest.split_once(MARKS.1).context("the page has no mark where a run ends")?;
    ensure!(!after.contains(MARKS.0), "the page has its marks twice");
    Ok(format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1))
}

/// The day of an instant in seconds since 1970, as `2026-11-05` (Howard Hinnant's way with civil days).
#[must_use]
pub fn day_of(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{FIGURES, Round, Side};
    use crate::stats::{Interval, Verdict};

    fn report(low: f64, high: f64) -> Report {
        let interval = Interval { low, median: low, high, coverage: 98.4 };
        let side = Side { calls: 10, seconds: 1.0, ..Side::default() };
        let measured = Measured {
            interval,
            verdict: Verdict::Undecided,
            cpu: None,
            setting: "10 users".to_owned(),
            fsync_us: Some(900.0),
            beside: Vec::new(),
            rounds: vec![Round { control: Some(side), subject: side }; 7],
        };
        let of = |figure: &Figure| match figure.id {
            "P1" => Outcome::Measured(measured.clone()),
            "P2" => Outcome::Void("unequal work: a | b".to_owned()),
            "P3" => Outcome::NotMeasured("needs PostgreSQL".to_owned()),
            _ => Outcome::NotYet("needs more".to_owned()),
        };
        let machine = Machine {
            processor: "one".to_owned(),
            processors: 2,
            memory_gib: 24,
            load: "0.1".to_owned(),
            kernel: "Linux".to_owned(),
            file_system: "ext2/ext3".to_owned(),
            rustc: "rustc".to_owned(),
            commit: "abc".to_owned(),
            sqlite: "3".to_owned(),
            postgres: String::new(),
        };
        Report {
            form: "short".to_owned(),
            day: day_of(0),
            machine,
            seed: 1,
            rounds: 7,
            seconds: 3.0,
            users: [1, 2, 3],
            fsync_us: 900.0,
            took_seconds: 60.0,
            figures: FIGURES.iter().map(|f| Line { id: f.id.to_owned(), outcome: of(f) }).collect(),
        }
    }

    #[test]
    fn every_figure_stands_in_the_table_whatever_became_of_it() {
        let text = report(0.7, 0.8).table();
        for figure in &FIGURES {
            assert!(text.contains(&format!("| {} | {} |", figure.id, figure.name)), "{}", figure.id);
        }
        assert!(text.contains("**0.70x** | 0.70x to 0.80x | ≥ 0.75x | 0.90x | undecided |"), "{text}");
        assert!(text.contains("**void**: unequal work: a / b |"), "{text}");
        assert!(text.contains("not measured: needs PostgreSQL"), "{text}");
        assert!(report(0.7, 0.8).is_void());
    }

    #[test]
    fn a_run_survives_its_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let one = report(0.7, 0.8);
        one.write(&path).unwrap();
        assert_eq!(Report::read(&path).unwrap(), one);
    }

    /// A run that measured nothing but P1 and one more figure.
    fn with(id: &str, outcome: &Outcome) -> Report {
        let mut report = report(0.7, 0.8);
        for line in &mut report.figures {
            match line.id.as_str() {
                "P1" => {}
                this if this == id => line.outcome = outcome.clone(),
                _ => line.outcome = Outcome::NotYet("needs more".to_owned()),
            }
        }
        report
    }

    /// The place of the one figure of the report that was measured.
    fn p1() -> usize {
        FIGURES.iter().position(|figure| figure.id == "P1").unwrap()
    }

    #[test]
    fn two_runs_are_compared_by_intervals_and_single_values_by_a_tolerance() {
        let value = |id: &str, value: f64| {
            let Outcome::Measured(measured) = report(0.7, 0.8).figures.swap_remove(p1()).outcome else { panic!("P1") };
            let round = Round { control: None, subject: Side::default() };
            with(id, &Outcome::Measured(Measured { interval: Interval::exact(value), rounds: vec![round], ..measured }))
        };
        let other = |low, high| {
            let mut other = with("", &Outcome::NotYet(String::new()));
            let Outcome::Measured(measured) = &mut other.figures[p1()].outcome else { panic!("P1") };
            (measured.interval.low, measured.interval.high) = (low, high);
            other
        };
        let one = other(0.7, 0.8);
        assert!(one.agrees(&other(0.75, 0.9)).unwrap().1);
        let (text, all) = one.agrees(&other(0.85, 0.9)).unwrap();
        assert!(!all && text.contains("DIFFER"), "{text}");
        for (id, a, b, agree) in [
            ("P10", 1.00, 1.09, true),
            ("P10", 1.00, 1.20, false),
            ("P11a", 20.0, 21.0, true),
            ("P11a", 20.0, 24.0, false),
            ("P12", 60.0, 62.0, true),
            ("P12", 60.0, 90.0, false),
            ("P18a", 0.5, 2.0, true),
            ("P18a", 0.5, 3.0, false),
        ] {
            assert_eq!(value(id, a).agrees(&value(id, b)).unwrap().1, agree, "{id}: {a} and {b}");
        }
        let void = with("P10", &Outcome::Void("a call failed".to_owned()));
        let (text, all) = value("P10", 1.0).agrees(&void).unwrap();
        assert!(!all && text.contains("void"), "{text}");
        assert!(!void.agrees(&void).unwrap().1);
    }

    #[test]
    fn runs_that_were_asked_for_different_things_are_not_compared() {
        let one = || report(0.7, 0.8);
        for (other, told) in [
            (Report { form: "full".to_owned(), ..one() }, "the forms differ: short and full"),
            (Report { users: [1, 2, 4], ..one() }, "the users differ: [1, 2, 3] and [1, 2, 4]"),
            (Report { rounds: 9, ..one() }, "the rounds differ: 7 and 9"),
            (Report { seed: 2, ..one() }, "the seeds differ: 1 and 2"),
            (Report { seconds: 1.0, ..one() }, "the seconds of a side differ: 3 and 1"),
        ] {
            assert_eq!(one().agrees(&other).unwrap_err().to_string(), told);
        }
    }

    #[test]
    fn a_void_run_does_not_come_into_the_documentation() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        let text = "<!-- run:begin -->\nold\n<!-- run:end -->\n";
        std::fs::write(&page, text).unwrap();
        assert!(report(0.7, 0.8).write_docs(&page).unwrap_err().to_string().contains("void"));
        assert_eq!(std::fs::read_to_string(&page).unwrap(), text);
        with("", &Outcome::NotYet(String::new())).write_docs(&page).unwrap();
        assert!(std::fs::read_to_string(&page).unwrap().contains("| P1 |"));
    }

    #[test]
    fn a_page_keeps_what_stands_around_the_table() {
        let page = "# Title\n<!-- run:begin -->\nold\n<!-- run:end -->\nafter\n";
        assert_eq!(between_marks(page, "new\n").unwrap(), page.replace("old", "new"));
        assert!(between_marks("# Title\n", "new\n").is_err());
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (seconds, day) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_767_225_599, "2025-12-31")] {
            assert_eq!(day_of(seconds), day);
        }
    }
}
