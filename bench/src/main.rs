//! The program: measures, prints the table, writes it as JSON, and compares two runs.

#![recursion_limit = "256"]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use domicile_bench::control::pgbench::Postgres;
use domicile_bench::figure::{FIGURES, Figure, Outcome, names};
use domicile_bench::figures::{Bench, Options};
use domicile_bench::machine::Machine;
use domicile_bench::report::{Line, Report, day_of};
use domicile_bench::work::fsync_floor_us;

/// Measures Domicile against controls in the same run. Linux only.
#[derive(Debug, Parser)]
#[command(name = "domicile-bench", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure and print the table
    Run(RunArgs),
    /// Tell whether two runs agree within their intervals
    Compare {
        /// A run as JSON
        one: PathBuf,
        /// Another
        other: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The server under test, built with the feature `bench-echo`
    #[arg(long, default_value = "target/measured/domicile")]
    server: PathBuf,
    /// Where data, working files and results lie; on a disk, not in memory
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// URL of a PostgreSQL server whose user may create databases
    #[arg(long, env = "DOMICILE_BENCH_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
    /// The pgbench of that server
    #[arg(long, env = "DOMICILE_BENCH_PGBENCH")]
    pgbench: Option<PathBuf>,
    /// Figures to measure, such as P1,P5; all unless given
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The long form: 10,000,000 users, an hour of mixed load
    #[arg(long)]
    full: bool,
    /// From which all data is drawn
    #[arg(long, default_value_t = 20_260)]
    seed: u64,
    /// Rounds of each figure; fewer than seven prove nothing
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Seconds of one side of a round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Users of the small, the middle and the large data
    #[arg(long, value_delimiter = ',')]
    users: Vec<u64>,
    /// Minutes of the mixed load of the long form
    #[arg(long, default_value_t = 60)]
    churn_minutes: u64,
    /// Put the table into this page, between its marks
    #[arg(long, num_args = 0..=1, default_missing_value = "docs/PERFORMANCE.md")]
    write_docs: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(args).await,
        Command::Compare { one, other } => compare(&one, &other),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Where standard error is gone, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "domicile-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(args: &RunArgs) -> Result<Options> {
    let unknown = args.only.iter().find(|word| !FIGURES.iter().any(|figure| names(word, figure.id)));
    if let Some(id) = unknown {
        let ids: Vec<&str> = FIGURES.iter().map(|figure| figure.id).collect();
        anyhow::bail!("there is no figure {id}; there are {}", ids.join(", "));
    }
    ensure!(args.rounds > 0 && args.seconds > 0.0, "give at least one round and some seconds");
    let postgres = args.postgres.clone().zip(args.pgbench.clone()).map(|(url, pgbench)| Postgres { url, pgbench });
    ensure!(
        args.churn_minutes >= 10,
        "the mixed load compares its first five minutes with its last five: give at least --churn-minutes 10"
    );
    let users = match args.users.as_slice() {
        [] if args.full => [10_000, 1_000_000, 10_000_000],
        [] => [10_000, 100_000, 1_000_000],
        [small, middle, large] => [*small, *middle, *large],
        _ => anyhow::bail!("give three numbers of users, such as --users 10000,100000,1000000"),
    };
    ensure!(users.iter().all(|users| *users >= 1_000), "data of fewer than 1,000 users prove nothing");
    Ok(Options {
        program: args.server.clone(),
        postgres,
        folder: std::path::absolute(&args.folder)?,
        only: args.only.clone(),
        seed: args.seed,
        rounds: args.rounds,
        seconds: args.seconds,
        users,
        churn_minutes: args.full.then_some(args.churn_minutes),
    })
}

/// One line for each figure as soon as it is known: a run may take a quarter of an hour.
fn tell(figure: &Figure, outcome: &Outcome) {
    let told = match outcome {
        Outcome::Measured(measured) => {
            format!("{}  {}", figure.unit.show(measured.interval.median), measured.verdict.words())
        }
        Outcome::Void(why) => format!("VOID: {why}"),
        Outcome::NotYet(_) | Outcome::NotMeasured(_) => return,
    };
    let _ = writeln!(std::io::stderr(), "  {:<5} {told}", figure.id);
}

/// What lies in memory waits for no disk, so no figure that writes would mean anything.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// The short form should be over in a quarter of an hour.
const MOST_SECONDS: f64 = 900.0;

/// The folder for this run alone, without what a run that was cut left behind.
fn take(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock()
        .with_context(|| format!("another run works in {}; wait for it, or give another --folder", folder.display()))?;
    let work = folder.join("work");
    if work.exists() {
        std::fs::remove_dir_all(work)?;
    }
    if let Ok(data) = std::fs::read_dir(folder.join("data")) {
        for entry in data {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("partial-") {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(lock)
}

async fn run(args: RunArgs) -> Result<bool> {
    let options = options(&args)?;
    ensure!(options.program.exists(), "there is no {}; `make bench` builds it", options.program.display());
    let lock = take(&options.folder)?;
    let started = Instant::now();
    let machine = Machine::read(&options.folder, options.postgres.as_ref()).await?;
    ensure!(
        !IN_MEMORY.contains(&machine.file_system.as_str()),
        "{} lies in memory ({}), where no save waits for a disk: give a --folder on one",
        options.folder.display(),
        machine.file_system
    );
    if args.write_docs.is_some() {
        may_be_written(&options, &machine)?;
    }
    let fsync_us = fsync_floor_us(&options.folder)?;
    let (seed, rounds, seconds, users) = (options.seed, options.rounds, options.seconds, options.users);
    let folder = options.folder.clone();
    let outcomes = Bench::new(options).run(tell).await;
    let work = folder.join("work");
    if work.exists() {
        std::fs::remove_dir_all(work)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let report = Report {
        form: if args.full { "full" } else { "short" }.to_owned(),
        day: day_of(now),
        machine,
        seed,
        rounds,
        seconds,
        users,
        fsync_us,
        took_seconds: started.elapsed().as_secs_f64(),
        figures: outcomes.into_iter().map(|(f, outcome)| Line { id: f.id.to_owned(), outcome }).collect(),
    };
    report.write(&folder.join(format!("run-{now}.json")))?;
    report.write(&folder.join("last.json"))?;
    write!(std::io::stdout().lock(), "{}", report.table())?;
    if !args.full && report.took_seconds > MOST_SECONDS {
        writeln!(
            std::io::stderr(),
            "domicile-bench: the run took {:.0} s, and the short form should take less than {MOST_SECONDS:.0} s",
            report.took_seconds
        )?;
    }
    if let Some(page) = &args.write_docs {
        report.write_docs(page)?;
    }
    drop(lock);
    Ok(!report.is_void())
}

/// Refuses beforehand what must not stand in the documentation.
fn may_be_written(options: &Options, machine: &Machine) -> Result<()> {
    ensure!(options.only.is_empty(), "a run of some figures is not written into the documentation: leave out --only");
    ensure!(options.rounds >= 7, "fewer than seven rounds are not written into the documentation");
    ensure!(
        !machine.commit.is_empty() && !machine.is_changed(),
        "files differ from the commit, so nobody could run this again: commit them before --write-docs"
    );
    Ok(())
}

fn compare(one: &Path, other: &Path) -> Result<bool> {
    let (one, other) = (Report::read(one)?, Report::read(other)?);
    let (text, agree) = one.agrees(&other)?;
    ensure!(!text.is_empty(), "the two runs measured no figure in common");
    write!(std::io::stdout().lock(), "{text}").context("the comparison cannot be printed")?;
    Ok(agree)
}
