//! A fresh process: its memory and its first answer. P11, P12.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tonic::transport::Endpoint;

use super::{Bench, Size, measured};
use crate::figure::{Measured, Round, Side};
use crate::load::{Target, Width, closed};
use crate::process::Server;
use crate::progress::Progress;
use crate::stats::float;
use crate::target::{CheckTarget, Wire};
use crate::world::Spread;

fn alone(value: f64) -> Round {
    Round { control: None, subject: Side { value: Some(value), ..Side::default() } }
}

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1e6
}

pub(super) async fn idle_memory(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P11a")?;
    let path = bench.copy(Size::Middle, &folder, "data.db").await?;
    let progress = Progress::of("P11a resident memory, idle");
    let mut rounds = Vec::new();
    let mut after_load = Vec::new();
    for round in 0..bench.options.rounds {
        progress.tell(&format!("round {} of {}", round + 1, bench.options.rounds));
        let server = bench.sqlite_server(&path, &folder).await?;
        let check =
            CheckTarget::new(Wire::connect(&server, 8).await?, bench.world(Size::Middle), Spread::Everywhere, 2_000);
        let first = check.call(0, 0).await;
        first.map_err(|fault| anyhow::anyhow!("the first check: {fault:?}"))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        rounds.push(alone(megabytes(server.resident_bytes()?)));
        closed(&check, Width { connections: 8, in_flight: 8 }, bench.time() / 2, 0).await?;
        after_load.push(megabytes(server.resident_bytes()?));
        server.stop().await?;
    }
    progress.done(&format!("{} rounds", rounds.len()));
    let setting = format!(
        "a second after the first check, {} users, SQLite; {:.0} MB after a load of 8 x 8",
        bench.world(Size::Middle).users,
        crate::stats::median(&after_load)
    );
    measured("P11a", setting, rounds, |side| side.value)
}

pub(super) async fn first_answer(bench: &Bench) -> Result<Measured> {
    let folder = bench.work_folder("P12")?;
    let path = bench.large().await?;
    let world = bench.world(Size::Large);
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
    measured("P12", setting, rounds, |side| side.value)
}
