//! A fresh process: its memory and its first answer. P11, P12.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sea_orm::sqlx::{self, Connection, Row};
use tonic::transport::Endpoint;

use super::{Bench, Size, alone, measured, sized};
use crate::data::sqlite;
use crate::figure::{Measured, figure};
use crate::load::{Target, Width, closed};
use crate::process::Server;
use crate::progress::Progress;
use crate::stats::{float, median};
use crate::target::{CheckTarget, Wire};
use crate::world::Spread;

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

/// Memory of so many fresh servers a second after the first check of each, and after a load.
async fn memory(bench: &Bench, size: Size, count: usize) -> Result<[Vec<f64>; 2]> {
    let folder = bench.work_folder("P11a")?;
    let path = bench.shared(size, &folder).await?;
    let world = bench.world(size);
    let progress = Progress::of(&format!("P11a resident memory, {} users", world.users));
    let [mut idle, mut after_load] = [Vec::new(), Vec::new()];
    for number in 0..count {
        progress.tell(&format!("round {} of {count}", number + 1));
        let server = bench.sqlite_server(&path, &folder).await?;
        let check = CheckTarget::new(Wire::connect(&server, 8).await?, world, Spread::Everywhere, 2_000);
        let first = check.call(0, 0).await;
        first.map_err(|fault| anyhow::anyhow!("the first check: {fault:?}"))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        idle.push(megabytes(server.resident_bytes()?));
        closed(&check, Width { connections: 8, in_flight: 8 }, bench.time() / 2, 0).await?;
        after_load.push(megabytes(server.resident_bytes()?));
        server.stop().await?;
    }
    progress.done(&format!("{count} rounds"));
    Ok([idle, after_load])
}

pub(super) async fn idle_memory(bench: &Bench) -> Result<Measured> {
    let [middle, _] = memory(bench, Size::Middle, 1).await?;
    let [large, after_load] = memory(bench, Size::Large, bench.options.rounds).await?;
    let setting = format!(
        "a second after the first check, {} users, SQLite; {:.1} MB with {} users; {:.0} MB after a load of 8 x 8",
        bench.world(Size::Large).users,
        median(&middle),
        bench.world(Size::Middle).users,
        median(&after_load)
    );
    measured("P11a", setting, large.into_iter().map(alone).collect(), |side| side.value)
}

/// A restart of a server that was stopped in good order: nothing of an earlier figure is left to be moved from the log.
async fn empty_log(path: &Path) -> Result<()> {
    let mut connection = sqlite::open(path).await?;
    let told = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
    ensure!(told.get::<i64, _>(0) == 0, "somebody still uses {}", path.display());
    connection.close().await?;
    Ok(())
}

pub(super) async fn first_answer(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P12")?;
    let size = figure("P12").and_then(|figure| bench.size_of(figure.bar_is_for?)).unwrap_or(Size::Large);
    let path = bench.shared(size, &folder).await?;
    empty_log(&path).await?;
    let world = bench.world(size);
    let setup = bench.setup(format!("sqlite:{}", path.display()), &folder.join("server"), 8);
    let progress = Progress::of("P12 exec to first correct CheckAccess");
    let mut rounds = Vec::new();
    for round in 0..=bench.options.rounds {
        progress.tell(&format!("round {round} of {}", bench.options.rounds));
        let started = Instant::now();
        let server = Server::spawn(&setup)?;
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address()))?;
        while endpoint.connect().await.is_err() {
            if started.elapsed() > Duration::from_secs(30) {
                bail!("nothing answered for half a minute");
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        let wire = Wire::connect(&server, 1).await?;
        let number = u64::try_from(round)?;
        let check = CheckTarget::new(wire, world, Spread::Everywhere, number + 1);
        check.call(0, number).await.map_err(|fault| anyhow::anyhow!("the first check: {fault:?}"))?;
        let took = started.elapsed().as_secs_f64() * 1000.0;
        server.stop().await.context("after the first check")?;
        // The first start reads the program from the disk, which is no business of ours.
        if round > 0 {
            rounds.push(alone(took));
        }
    }
    progress.done(&format!("{} rounds", rounds.len()));
    let setting = format!("{} users, SQLite, program and file in the kernel's cache", world.users);
    Ok(sized("P12", world.users, measured("P12", setting, rounds, |side| side.value)?))
}
