//! Whether speed and memory stay: a long mixed load. P18.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Bench, Size, single, sized};
use crate::figure::Measured;
use crate::load::{Fault, Target, Width, closed};
use crate::progress::Progress;
use crate::stats::{float, median};
use crate::target::{AssignTarget, CheckTarget, LookupTarget, PageTarget, Wire};
use crate::world::Spread;

/// Seventeen checks, one lookup, one save and one page of every twenty calls.
#[derive(Clone)]
struct Mixed {
    check: CheckTarget,
    lookup: LookupTarget,
    assign: AssignTarget,
    page: PageTarget,
}

impl Target for Mixed {
    async fn call(&self, connection: usize, number: u64) -> Result<usize, Fault> {
        match number % 20 {
            0 => self.lookup.call(connection, number).await,
            1 => self.assign.call(connection, number / 20).await,
            2 => self.page.call(connection, number).await,
            _ => self.check.call(connection, number).await,
        }
    }
}

/// Calls a second and megabytes of every minute.
#[derive(Debug, Clone)]
pub(super) struct Minutes(Vec<(f64, f64)>);

async fn minutes(bench: &Bench) -> Result<Minutes> {
    let count = bench.options.churn_minutes.context("no minutes were asked for")?;
    let folder = bench.work_folder("P18")?;
    let path = bench.copy(Size::Middle, &folder, "data.db").await?;
    let server = bench.sqlite_server(&path, &folder).await?;
    let world = bench.world(Size::Middle);
    let width = Width { connections: 4, in_flight: 4 };
    let wire = Wire::connect(&server, width.connections).await?;
    // New members come after all others, so the first page stays as it is.
    let mixed = Mixed {
        check: CheckTarget::new(wire.clone(), world, Spread::Everywhere, 50_000),
        lookup: LookupTarget::new(wire.clone(), world.clone()),
        assign: AssignTarget::new(wire.clone(), world.clone()),
        page: PageTarget::new(wire, world, &world.members_of(0), 0, 50).await?,
    };
    let progress = Progress::of("P18 mixed load");
    let mut first = closed(&mixed, width, Duration::from_secs(10), 0).await?.calls;
    let mut told = Vec::new();
    for minute in 0..count {
        progress.tell(&format!("minute {} of {count}", minute + 1));
        let run = closed(&mixed, width, Duration::from_mins(1), first).await?;
        first += run.calls;
        told.push((run.per_second(), float(server.resident_bytes()?) / 1e6));
    }
    progress.done(&format!("{count} minutes"));
    server.stop().await?;
    Ok(Minutes(told))
}

async fn drift(bench: &Bench, id: &str, of: impl Fn(&(f64, f64)) -> f64) -> Result<Measured> {
    let minutes: &Arc<Result<Minutes, String>> =
        bench.minutes.get_or_init(async || Arc::new(minutes(bench).await.map_err(|error| format!("{error:#}")))).await;
    let Minutes(told) = minutes.as_ref().as_ref().map_err(|error| anyhow!("{error}"))?;
    let part = 5;
    ensure!(told.len() >= 2 * part, "the first and the last {part} minutes overlap");
    let values: Vec<f64> = told.iter().map(of).collect();
    let first = median(values.get(..part).unwrap_or_default());
    let last = median(values.get(values.len().saturating_sub(part)..).unwrap_or_default());
    let percent = 100.0 * (last / first.max(f64::MIN_POSITIVE) - 1.0).abs();
    let setting = format!(
        "{} minutes, {first:.0} in the first {part}, {last:.0} in the last; the data grows, since no call ends a membership yet",
        told.len()
    );
    Ok(sized(id, u64::try_from(told.len())?, single(id, setting, None, percent)?))
}

pub(super) async fn throughput(bench: &Bench) -> Result<Measured> {
    drift(bench, "P18a", |(rate, _)| *rate).await
}

pub(super) async fn memory(bench: &Bench) -> Result<Measured> {
    drift(bench, "P18b", |(_, megabytes)| *megabytes).await
}
