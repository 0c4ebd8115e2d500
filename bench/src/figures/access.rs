//! Checks of access: P0, P1, P2, P3, P16.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sea_orm::sqlx::{self, Row};

use super::{Bench, Size, alone, each_us, measured, side};
use crate::control::pgbench::{CHECK_STATEMENTS, check_script, prove_checks};
use crate::data::postgres;
use crate::decision::Decision;
use crate::figure::{Beside, Measured, Side};
use crate::load::{Behind, Run, Target, Width, closed, open};
use crate::process::{Server, Setup, cpu_of_family, named, parent_of};
use crate::stats::{float, median};
use crate::target::{BatchTarget, CheckTarget, EchoTarget, Wire};
use crate::world::{Spread, World};

/// Eight connections with eight calls in flight on each.
const WIDTH: Width = Width { connections: 8, in_flight: 8 };
/// Of the rate that a side reached, for its latency.
const SHARE_OF_CAPACITY: f64 = 0.5;
/// Different checks of a warm load: they fit into any cache.
const WARM: u64 = 1_000;
/// Different checks otherwise.
const DIFFERENT: u64 = 50_000;
/// Sizes of messages may differ by so many bytes.
const MOST_BYTES_APART: f64 = 2.0;

/// Decisions of one round.
const DECISIONS: u64 = 500_000;

/// What a check decides by what was read, of an External, which takes longer.
pub(super) fn decision(bench: &Bench) -> Result<Measured> {
    let (external, internal) = (Decision::of_an_external(), Decision::of_an_internal());
    let each = |of: &Decision| of.each_ns(DECISIONS).context("wrong: a decision was not to allow");
    each(&external)?;
    let (mut rounds, mut of_internals) = (Vec::new(), Vec::new());
    for _ in 0..bench.options.rounds {
        of_internals.push(each(&internal)?);
        rounds.push(alone(each(&external)?));
    }
    let setting =
        "an External of a related home with three roles of 20 permissions, the last of which grants".to_owned();
    let mut figure = measured("P0", setting, rounds, |side| side.value)?;
    figure.beside.push(Beside {
        name: "an Internal, whom a group gives the role, ns".to_owned(),
        subject: format!("{:.0}", median(&of_internals)),
        control: "-".to_owned(),
    });
    Ok(figure)
}

/// Calls as fast as answers come, and counts the server's CPU.
pub(super) async fn served<T: Target>(
    server: &Server,
    target: &T,
    width: Width,
    time: Duration,
    first: u64,
) -> Result<(Side, Run)> {
    let before = server.cpu()?;
    let run = closed(target, width, time, first).await?;
    let cpu = server.cpu()?.saturating_sub(before);
    Ok((side(&run, Some(cpu)), run))
}

/// The processes of a database server, where they run here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backends(Option<u32>);

impl Backends {
    /// Those of the server at the other end of a connection.
    pub(super) async fn of(connection: &mut sqlx::PgConnection) -> Result<Self> {
        let pid: i32 = sqlx::query("SELECT pg_backend_pid()").fetch_one(connection).await?.get(0);
        let own = named(u32::try_from(pid)?, "postgres").map(parent_of).transpose()?;
        Ok(Self(own.and_then(|parent| named(parent, "postgres"))))
    }

    /// User and system time of all of them so far.
    pub(super) fn cpu(self) -> Result<Option<Duration>> {
        self.0.map(cpu_of_family).transpose()
    }

    /// What each of so many calls took since then.
    pub(super) fn each_us(self, before: Option<Duration>, calls: u64) -> Result<Option<f64>> {
        let now = self.cpu()?;
        Ok(before.zip(now).map(|(before, now)| each_us(now.saturating_sub(before), calls)))
    }
}

/// Calls as pgbench does, beside a database server: for a second that no rate is read from, then for `time`. The CPU of the
/// database server is that of both, as pgbench's is. Tells how many calls there were in all, too.
pub(super) async fn served_beside<T: Target>(
    server: &Server,
    backends: &Backends,
    target: &T,
    width: Width,
    time: Duration,
    first: u64,
) -> Result<(Side, u64)> {
    let before = backends.cpu()?;
    let warm_up = closed(target, width, Duration::from_secs(1), first).await?.calls;
    let (side, run) = served(server, target, width, time, first + warm_up).await?;
    let calls = warm_up + run.calls;
    Ok((Side { database_cpu_us: backends.each_us(before, calls)?, ..side }, calls))
}

/// Latencies of both sides at the same share of what each can do, three times in turns.
async fn latencies<C: Target, S: Target>(
    control: (&C, f64),
    subject: (&S, f64),
    time: Duration,
) -> Result<Vec<Beside>> {
    let mut quantiles: [[Vec<f64>; 3]; 2] = Default::default();
    for round in 0..3 {
        let first = round * 1_000_000;
        let sides = [
            open(control.0, WIDTH.connections, control.1 * SHARE_OF_CAPACITY, time, first)
                .await
                .context("the control")?,
            open(subject.0, WIDTH.connections, subject.1 * SHARE_OF_CAPACITY, time, first)
                .await
                .context("the subject")?,
        ];
        for (side, run) in quantiles.iter_mut().zip(&sides) {
            for (values, quantile) in side.iter_mut().zip([0.5, 0.99, 0.999]) {
                values.push(run.quantile_us(quantile));
            }
        }
    }
    let [control, subject] = quantiles;
    let rows = ["p50", "p99", "p99.9"].into_iter().zip(control.iter().zip(&subject));
    Ok(rows
        .map(|(name, (control, subject))| Beside {
            name: format!("{name} from the intended time, at 50 % of capacity, us"),
            subject: format!("{:.0}", median(subject)),
            control: format!("{:.0}", median(control)),
        })
        .collect())
}

/// Proves that both sides carry as many bytes.
fn same_sizes(name: &str, control: f64, subject: f64) -> Result<()> {
    ensure!(
        (control - subject).abs() <= MOST_BYTES_APART,
        "unequal work: {name} of the control have {control:.1} bytes, those of the subject {subject:.1}"
    );
    Ok(())
}

async fn against_echo(
    bench: &Bench,
    id: &str,
    size: Size,
    spread: Spread,
    different: u64,
    what: &str,
) -> Result<Measured> {
    let folder = bench.work_folder(id)?;
    let path = bench.shared(size, &folder).await?;
    let is_cached = matches!(spread, Spread::Warm(_));
    let server = if is_cached {
        bench.sqlite_server(&path, &folder).await?
    } else {
        bench.uncached_server(&path, &folder).await?
    };
    let world: &World = bench.world(size);
    let wire = Wire::connect(&server, WIDTH.connections).await?;
    let check = CheckTarget::new(wire.clone(), world, spread, different);
    // A first load warms both and tells how large answers are: every check is asked once at least.
    let (mut calls, mut bytes) = (0, 0);
    while calls < different {
        let warm_up = closed(&check, WIDTH, bench.time() / 2, calls).await?;
        calls += warm_up.calls;
        bytes += warm_up.answer_bytes;
    }
    let answer_bytes = float(bytes) / float(calls);
    let rounded = usize::try_from(bytes / calls)?;
    let echo = EchoTarget::new(wire, check.request_bytes(), rounded);
    let echoed = closed(&echo, WIDTH, bench.time() / 2, 0).await?;
    same_sizes("answers", float(echoed.answer_bytes) / float(echoed.calls), answer_bytes)?;
    let bytes = |bytes: usize| float(u64::try_from(bytes).unwrap_or(0));
    same_sizes("requests", bytes(echo.request_bytes()), bytes(check.request_bytes()))?;

    let rounds = bench
        .rounds(
            id,
            async |_| Ok(served(&server, &echo, WIDTH, bench.time(), 0).await?.0),
            async |round| {
                let first = u64::try_from(round)? * 1_000_003;
                Ok(served(&server, &check, WIDTH, bench.time(), first).await?.0)
            },
        )
        .await?;
    let rate =
        |of: &dyn Fn(&crate::figure::Round) -> Option<f64>| median(&rounds.iter().filter_map(of).collect::<Vec<_>>());
    let control = rate(&|round| round.control.map(|side| side.per_second()));
    let subject = rate(&|round| Some(round.subject.per_second()));
    let open = match latencies((&echo, control), (&check, subject), bench.time()).await {
        // The context says which side it was.
        Err(error) if error.downcast_ref::<Behind>().is_some() => vec![Beside {
            name: "latency at 50 % of capacity".to_owned(),
            subject: format!("{error:#}"),
            control: "-".to_owned(),
        }],
        told => told?,
    };
    server.stop().await?;
    let setting = format!("{} users, {what}, 8 x 8 in flight", world.users);
    let mut figure = measured(id, setting, rounds, |side| Some(side.per_second()))?;
    figure.beside.extend(open);
    Ok(figure)
}

pub(super) async fn warm(bench: &Bench) -> Result<Measured> {
    let what = "1,000 checks again and again";
    against_echo(bench, "P1", Size::Small, Spread::Warm(WARM), WARM, what).await
}

pub(super) async fn uncached(bench: &Bench) -> Result<Measured> {
    against_echo(bench, "P2", Size::Large, Spread::Everywhere, DIFFERENT, "50,000 checks over all of them").await
}

/// Checks in one call of a batch.
const BATCH: u64 = 100;

pub(super) async fn batch(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P4")?;
    let path = bench.shared(Size::Small, &folder).await?;
    let server = bench.sqlite_server(&path, &folder).await?;
    let world: &World = bench.world(Size::Small);
    let wire = Wire::connect(&server, WIDTH.connections).await?;
    let single = CheckTarget::new(wire.clone(), world, Spread::Warm(WARM), WARM);
    let batches = BatchTarget::of(wire, &single, usize::try_from(BATCH)?);
    closed(&single, WIDTH, bench.time() / 2, 0).await?;
    let rounds = bench
        .rounds(
            "P4",
            async |_| Ok(served(&server, &single, WIDTH, bench.time(), 0).await?.0),
            async |_| {
                let (side, run) = served(&server, &batches, WIDTH, bench.time(), 0).await?;
                // Of a check, not of a call, as the control's are.
                let cpu_us = side.cpu_us.map(|cpu| cpu / float(BATCH));
                Ok(Side { calls: run.calls * BATCH, cpu_us, ..side })
            },
        )
        .await?;
    server.stop().await?;
    let setting = format!("{} users, 1,000 checks again and again, one server for both, 8 x 8 in flight", world.users);
    measured("P4", setting, rounds, |side| Some(side.per_second()))
}

pub(super) async fn one_workspace(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P16")?;
    let path = bench.copy(Size::Middle, &folder, "data.db").await?;
    let server = bench.uncached_server(&path, &folder).await?;
    let wire = Wire::connect(&server, WIDTH.connections).await?;
    let world = bench.world(Size::Middle);
    let spread = CheckTarget::of(wire.clone(), world.even_checks(DIFFERENT));
    let hot = CheckTarget::new(wire, world, Spread::OneWorkspace, DIFFERENT);
    ensure!(
        spread.answers() == hot.answers(),
        "unequal work: the control is answered {:?}, the subject {:?}",
        spread.answers(),
        hot.answers()
    );
    let answer_bytes = async |target| -> Result<f64> {
        let run = closed(target, WIDTH, bench.time() / 2, 0).await?;
        Ok(float(run.answer_bytes) / float(run.calls))
    };
    same_sizes("answers", answer_bytes(&spread).await?, answer_bytes(&hot).await?)?;
    let first = |round: usize| u64::try_from(round).unwrap_or(0) * 1_000_003;
    let rounds = bench
        .rounds(
            "P16",
            async |round| Ok(served(&server, &spread, WIDTH, bench.time(), first(round)).await?.0),
            async |round| Ok(served(&server, &hot, WIDTH, bench.time(), first(round)).await?.0),
        )
        .await?;
    server.stop().await?;
    let setting = format!(
        "{} users, {} workspaces drawn evenly for the control, answers alike, no cache, SQLite, 8 x 8 in flight",
        world.users, world.workspaces
    );
    measured("P16", setting, rounds, |side| Some(side.per_second()))
}

/// Connections of the service to PostgreSQL for reading, and clients of pgbench.
const POOL: u32 = 8;
/// Rows of keys for pgbench; each has the keys of several checks.
const KEY_ROWS: u64 = 2_000;

pub(super) async fn postgres(bench: &Bench) -> Result<Measured> {
    let server_of = bench.options.postgres.as_ref().ok_or_else(|| anyhow::anyhow!("there is no PostgreSQL"))?;
    let folder = bench.work_folder("P3")?;
    let world: &World = bench.world(Size::Middle);
    let base = postgres::base(&server_of.url, world).await?;
    let url = postgres::create(&server_of.url, "bench_checks", Some(postgres::name_of(&base))).await?;
    let script = folder.join("check.pgbench");
    check_script(&url, world, Spread::Everywhere, KEY_ROWS, &script).await?;
    let checks: Vec<_> = (0..500).map(|number| world.check(Spread::Everywhere, number)).collect();
    prove_checks(&url, &checks).await?;
    let mut connection = postgres::open(&url).await?;
    let backends = Backends::of(&mut connection).await?;

    let setup = Setup { cache: false, ..bench.setup(url.clone(), &folder.join("server"), POOL) };
    let server = Server::start(&setup).await?;
    let wire = Wire::connect(&server, WIDTH.connections).await?;
    let check = CheckTarget::new(wire, world, Spread::Everywhere, KEY_ROWS * (CHECK_STATEMENTS - 1));
    closed(&check, WIDTH, bench.time(), 0).await?;
    let seconds = whole_seconds(bench.time());
    let clients = usize::try_from(POOL)?;
    let rounds = bench
        .rounds(
            "P3",
            async |_| {
                let before = backends.cpu()?;
                let told = server_of.run(&url, &script, clients, seconds, &BTreeMap::new()).await?;
                let statements = told.transactions * CHECK_STATEMENTS;
                Ok(Side {
                    calls: statements,
                    seconds: float(statements) / (told.per_second * float(CHECK_STATEMENTS)),
                    database_cpu_us: backends.each_us(before, statements)?,
                    ..Side::default()
                })
            },
            async |round| {
                let first = u64::try_from(round)? * 1_000_003;
                Ok(served_beside(&server, &backends, &check, WIDTH, bench.time(), first).await?.0)
            },
        )
        .await?;
    server.stop().await?;
    let setting = format!(
        "{} users, 8 x 8 in flight over {POOL} connections to the database; pgbench has {POOL} clients",
        world.users
    );
    measured("P3", setting, rounds, |side| Some(side.per_second()))
}

/// pgbench counts whole seconds.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}
