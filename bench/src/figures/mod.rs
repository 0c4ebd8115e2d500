//! How each figure is measured. A figure that cannot be trusted is void, with the sentence that says why.

mod access;
mod churn;
mod guess;
mod reads;
mod saves;
mod seaorm;
mod start;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::OnceCell;

use crate::control::pgbench::Postgres;
use crate::data::sqlite;
use crate::figure::{Beside, FIGURES, Figure, Measured, Outcome, Round, Side, figure, names};
use crate::load::Run;
use crate::process::{Server, Setup};
use crate::progress::Progress;
use crate::stats::{Interval, Verdict, float, median};
use crate::work::{Disk, Evidence, prove};
use crate::world::World;

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server under test, built with the echo.
    pub program: PathBuf,
    /// A server of PostgreSQL with its tools, if there is one.
    pub postgres: Option<Postgres>,
    /// Where data and working files lie.
    pub folder: PathBuf,
    /// The figures that are asked for; empty for all.
    pub only: Vec<String>,
    /// From which all data is drawn.
    pub seed: u64,
    /// Rounds of each figure.
    pub rounds: usize,
    /// Seconds of one side of a round.
    pub seconds: f64,
    /// Users of the small, the middle and the large data.
    pub users: [u64; 3],
    /// Minutes of the mixed load; none in the short form.
    pub churn_minutes: Option<u64>,
}

/// A run at work.
pub struct Bench {
    options: Options,
    small: Arc<World>,
    middle: Arc<World>,
    large: Arc<World>,
    /// The one copy of the large data, which is long in the making.
    large_copy: OnceCell<PathBuf>,
    /// The minutes of the mixed load, which two figures are read from.
    minutes: OnceCell<Arc<Result<churn::Minutes, String>>>,
}

/// In which world a figure works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Small,
    Middle,
    Large,
}

impl Bench {
    /// Prepares a run; makes nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let [small, middle, large] = options.users.map(|users| Arc::new(World::new(users, options.seed)));
        Self { options, small, middle, large, large_copy: OnceCell::new(), minutes: OnceCell::new() }
    }

    /// Measures every figure in the order of the table. `told` hears of each one.
    pub async fn run(&self, mut told: impl FnMut(&'static Figure, &Outcome)) -> Vec<(&'static Figure, Outcome)> {
        let mut outcomes = Vec::new();
        for figure in &FIGURES {
            let outcome = self.outcome(figure).await;
            told(figure, &outcome);
            outcomes.push((figure, outcome));
        }
        outcomes
    }

    async fn outcome(&self, figure: &'static Figure) -> Outcome {
        if !figure.not_yet.is_empty() {
            return Outcome::NotYet(figure.not_yet.to_owned());
        }
        if !self.options.only.is_empty() && !self.options.only.iter().any(|word| names(word, figure.id)) {
            return Outcome::NotMeasured("was not asked for".to_owned());
        }
        if matches!(figure.id, "P3" | "P6") && self.options.postgres.is_none() {
            return Outcome::NotMeasured("needs PostgreSQL and pgbench".to_owned());
        }
        if figure.id.starts_with("P18") && self.options.churn_minutes.is_none() {
            return Outcome::NotMeasured("an hour: `make bench-full`".to_owned());
        }
        Outcome::from(self.measure(figure.id).await)
    }

    async fn measure(&self, id: &str) -> Result<Measured> {
        match id {
            "P0" => access::decision(self),
            "P1" => Box::pin(access::warm(self)).await,
            "P2" => Box::pin(access::uncached(self)).await,
            "P3" => Box::pin(access::postgres(self)).await,
            "P4" => Box::pin(access::batch(self)).await,
            "P5a" => Box::pin(saves::one_client(self)).await,
            "P5b" => Box::pin(saves::many_clients(self)).await,
            "P6" => Box::pin(saves::postgres(self)).await,
            "P7r" => Box::pin(seaorm::point_read(self)).await,
            "P7w" => Box::pin(seaorm::save(self)).await,
            "P8" => Box::pin(reads::lookup(self)).await,
            "P9" => Box::pin(reads::pages(self)).await,
            "P10" => Box::pin(reads::bytes(self)).await,
            "P11a" => Box::pin(start::idle_memory(self)).await,
            "P12" => Box::pin(start::first_answer(self)).await,
            "P16" => Box::pin(access::one_workspace(self)).await,
            "P18a" => Box::pin(churn::throughput(self)).await,
            "R9" => Box::pin(guess::by_time(self)).await,
            "P18b" => Box::pin(churn::memory(self)).await,
            _ => anyhow::bail!("nobody wrote how {id} is measured"),
        }
    }

    fn world(&self, size: Size) -> &Arc<World> {
        match size {
            Size::Small => &self.small,
            Size::Middle => &self.middle,
            Size::Large => &self.large,
        }
    }

    /// The length of one side of a round.
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds)
    }

    /// An empty folder of a name, for one figure.
    fn work_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.options.folder.join("work").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The data of so many users, if the run has them.
    fn size_of(&self, users: u64) -> Option<Size> {
        [Size::Small, Size::Middle, Size::Large].into_iter().find(|size| self.world(*size).users == users)
    }

    /// A file of a world to start servers on: the copy that figures share of the large one, a copy of its own of another.
    async fn shared(&self, size: Size, folder: &Path) -> Result<PathBuf> {
        match size {
            Size::Large => Ok(self.large().await?.to_owned()),
            Size::Small | Size::Middle => self.copy(size, folder, "data.db").await,
        }
    }

    /// The file of a world that all figures share and none writes to.
    async fn base(&self, size: Size) -> Result<PathBuf> {
        sqlite::base(&self.options.folder.join("data"), self.world(size)).await
    }

    /// A copy of a world's file in a folder.
    async fn copy(&self, size: Size, folder: &Path, name: &str) -> Result<PathBuf> {
        let base = self.base(size).await?;
        let path = folder.join(name);
        sqlite::copy(&base, &path)?;
        Ok(path)
    }

    /// The copy of the large data that figures share; lookups leave audit rows in it, and nothing else is written.
    async fn large(&self) -> Result<&Path> {
        let made = self.large_copy.get_or_try_init(async || {
            let folder = self.work_folder("large")?;
            self.copy(Size::Large, &folder, "data.db").await
        });
        Ok(made.await?.as_path())
    }

    fn setup(&self, database: String, folder: &Path, pool_size: u32) -> Setup {
        Setup { program: self.options.program.clone(), database, pool_size, cache: true, folder: folder.to_owned() }
    }

    /// A server that reads for every check.
    async fn uncached_server(&self, path: &Path, folder: &Path) -> Result<Server> {
        let setup = self.setup(format!("sqlite:{}", path.display()), &folder.join("server"), 8);
        Server::start(&Setup { cache: false, ..setup }).await
    }

    async fn sqlite_server(&self, path: &Path, folder: &Path) -> Result<Server> {
        Server::start(&self.setup(format!("sqlite:{}", path.display()), &folder.join("server"), 8)).await
    }

    /// Control and subject in turns: A B A B.
    async fn rounds<C, S>(&self, id: &str, mut control: C, mut subject: S) -> Result<Vec<Round>>
    where
        C: AsyncFnMut(usize) -> Result<Side>,
        S: AsyncFnMut(usize) -> Result<Side>,
    {
        let name = figure(id).map_or(id, |figure| figure.name);
        let progress = Progress::of(&format!("{id} {name}"));
        let mut rounds = Vec::new();
        for round in 0..self.options.rounds {
            progress.tell(&format!("round {} of {}", round + 1, self.options.rounds));
            let control = control(round).await.context("control")?;
            let subject = subject(round).await.context("subject")?;
            rounds.push(Round { control: Some(control), subject });
        }
        progress.done(&format!("{} rounds", rounds.len()));
        Ok(rounds)
    }
}

/// What both sides of a figure that writes show, and what is known of the disk meanwhile.
#[derive(Debug, Clone)]
pub struct Sides {
    /// What we compare with.
    pub control: Evidence,
    /// What is measured.
    pub subject: Evidence,
    /// The disk.
    pub disk: Disk,
}

/// The figure of rounds that wrote; the only way to one, through the proof that both sides did the same work under the same
/// promise.
///
/// # Errors
/// The proof fails, or a round has no value.
pub fn written(
    id: &str,
    setting: String,
    rounds: Vec<Round>,
    sides: &Sides,
    of: impl Fn(&Side) -> Option<f64>,
) -> Result<Measured> {
    prove(&sides.control, &sides.subject, &sides.disk)?;
    let fsyncs = &sides.disk.fsyncs_us;
    Ok(Measured { fsync_us: (!fsyncs.is_empty()).then(|| median(fsyncs)), ..of_rounds(id, setting, rounds, of)? })
}

/// The figure of rounds that only read.
fn measured(id: &str, setting: String, rounds: Vec<Round>, of: impl Fn(&Side) -> Option<f64>) -> Result<Measured> {
    ensure!(!figure(id).is_some_and(|figure| figure.writes), "{id} writes, so its work must be proved equal");
    of_rounds(id, setting, rounds, of)
}

/// A figure that is one value, counted or over one long time, so that no interval can be told: the verdict is that of the value
/// itself.
fn single(id: &str, setting: String, control: Option<f64>, subject: f64) -> Result<Measured> {
    let side = |value| Side { value: Some(value), ..Side::default() };
    let round = Round { control: control.map(side), subject: side(subject) };
    let measured = measured(id, setting, vec![round], |side| side.value)?;
    let interval = Interval::exact(measured.interval.median);
    let figure = figure(id).with_context(|| format!("there is no figure {id}"))?;
    let verdict = Verdict::of(figure.better, figure.bar, figure.goal, &interval);
    Ok(Measured { interval, verdict, ..measured })
}

/// A round of a figure without a control.
fn alone(value: f64) -> Round {
    Round { control: None, subject: Side { value: Some(value), ..Side::default() } }
}

/// The figure as it was measured with so many users, or for so many minutes: no verdict where bar and goal are for others.
fn sized(id: &str, size: u64, measured: Measured) -> Measured {
    match figure(id).and_then(|figure| figure.bar_is_for) {
        Some(wanted) if wanted != size => Measured { verdict: Verdict::OtherSize, ..measured },
        _ => measured,
    }
}

/// The value of each round is that of the subject, divided by that of the control where there is one.
fn of_rounds(id: &str, setting: String, rounds: Vec<Round>, of: impl Fn(&Side) -> Option<f64>) -> Result<Measured> {
    let figure = figure(id).with_context(|| format!("there is no figure {id}"))?;
    let values = ratios(&rounds, &of);
    ensure!(values.len() == rounds.len() && !values.is_empty(), "a round has no value");
    ensure!(values.iter().all(|value| value.is_finite()), "a round has a value that is none");
    let interval = Interval::of(&values);
    let cpu = ratios(&rounds, |side| side.cpu_us);
    let both = rounds.iter().all(|round| round.control.is_some());
    Ok(Measured {
        interval,
        verdict: Verdict::of(figure.better, figure.bar, figure.goal, &interval),
        cpu: (both && cpu.len() == rounds.len()).then(|| Interval::of(&cpu)),
        setting,
        fsync_us: None,
        beside: beside(&rounds),
        rounds,
    })
}

fn ratios(rounds: &[Round], of: impl Fn(&Side) -> Option<f64>) -> Vec<f64> {
    let ratio = |round: &Round| {
        let subject = of(&round.subject)?;
        match &round.control {
            Some(control) => of(control).map(|control| subject / control.max(f64::MIN_POSITIVE)),
            None => Some(subject),
        }
    };
    rounds.iter().filter_map(ratio).collect()
}

/// What one side did, with the CPU that its process took meanwhile.
fn side(run: &Run, cpu: Option<Duration>) -> Side {
    Side {
        calls: run.calls,
        seconds: run.seconds,
        cpu_us: cpu.map(|cpu| each_us(cpu, run.calls)),
        p50_us: Some(run.quantile_us(0.5)),
        p99_us: Some(run.quantile_us(0.99)),
        ..Side::default()
    }
}

fn each_us(cpu: Duration, calls: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / float(calls.max(1))
}

/// The medians over the rounds of whatever both sides tell.
fn beside(rounds: &[Round]) -> Vec<Beside> {
    type Row = (&'static str, fn(&Side) -> Option<f64>, usize);
    let rows: [Row; 5] = [
        ("calls a second", |side| (side.calls > 0).then(|| side.per_second()), 0),
        ("CPU a call, us", |side| side.cpu_us, 1),
        ("CPU of the database server a call, us", |side| side.database_cpu_us, 1),
        ("p50 under this load, us", |side| side.p50_us, 0),
        ("p99 under this load, us", |side| side.p99_us, 0),
    ];
    let show = |values: Vec<f64>, digits: usize| {
        if values.is_empty() { "-".to_owned() } else { format!("{:.digits$}", median(&values)) }
    };
    let rows = rows.into_iter().map(|(name, of, digits)| Beside {
        name: name.to_owned(),
        subject: show(rounds.iter().filter_map(|round| of(&round.subject)).collect(), digits),
        control: show(rounds.iter().filter_map(|round| of(round.control.as_ref()?)).collect(), digits),
    });
    rows.filter(|row| row.subject != "-" || row.control != "-").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds() -> Vec<Round> {
        let side = |calls| Side { calls, seconds: 1.0, ..Side::default() };
        vec![Round { control: Some(side(100)), subject: side(95) }; 7]
    }

    #[test]
    fn no_figure_that_writes_is_had_without_the_proof() {
        let of = |id: &str| measured(id, String::new(), rounds(), |side| Some(side.per_second()));
        for figure in
            FIGURES.iter().filter(|figure| figure.name.contains("AssignUser") || figure.name.contains("save "))
        {
            assert!(figure.writes, "{}", figure.id);
            let refused = of(figure.id).unwrap_err().to_string();
            assert_eq!(refused, format!("{} writes, so its work must be proved equal", figure.id));
        }
        assert_eq!(of("P1").unwrap().verdict, Verdict::Goal);
    }

    #[test]
    fn a_bar_for_another_size_gives_no_verdict() {
        let of = |id: &str, size| sized(id, size, single(id, String::new(), None, 1.0).unwrap()).verdict;
        assert_eq!(of("P8", 10_000_000), Verdict::Goal);
        assert_eq!(of("P8", 1_000_000), Verdict::OtherSize);
        assert_eq!(of("P12", 1_000_000), Verdict::Goal);
        assert_eq!(of("P12", 10_000_000), Verdict::OtherSize);
        assert_eq!(of("P18b", 60), Verdict::Goal);
        assert_eq!(of("P18b", 10), Verdict::OtherSize);
        assert_eq!(of("P10", 100_000), Verdict::Goal);
    }
}
