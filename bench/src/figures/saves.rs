//! Saves: P5a, P5b, P6.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use sea_orm::sqlx::{self, Connection, SqliteConnection};

use super::access::{postmaster, served, whole_seconds};
use super::{Bench, Size, each_us, measured};
use crate::control::pgbench::save_script;
use crate::control::save::{Save, Script, Synchronous, connect, save};
use crate::data::postgres;
use crate::figure::{Measured, Round, Side};
use crate::load::{Width, closed};
use crate::process::{Server, cpu_of_family};
use crate::stats::{float, median};
use crate::target::{AssignTarget, Wire};
use crate::work::{Durability, Tables, Work, fsync_floor_us, same_durability, same_work, waited_for_disk};
use crate::world::World;

/// The hand-written saves of one figure, counted.
struct Control {
    connection: SqliteConnection,
    world: Arc<World>,
    path: PathBuf,
    before: Tables,
    saved: u64,
}

impl Control {
    async fn new(bench: &Bench, folder: &Path) -> Result<Self> {
        let path = bench.copy(Size::Small, folder, "control.db").await?;
        let connection = connect(&path, Synchronous::Full).await?;
        let before = Tables::of_sqlite(&path).await?;
        Ok(Self { connection, world: bench.world(Size::Small).clone(), path, before, saved: 0 })
    }

    /// Saves one after the other, each with a commit of its own.
    async fn run(&mut self, time: Duration) -> Result<Side> {
        let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let (started, first) = (Instant::now(), self.saved);
        while started.elapsed() < time {
            let began = Instant::now();
            let row = Save::of(&self.world, self.saved);
            save(&mut self.connection, &row, Script::Rows).await?;
            latency.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            self.saved += 1;
        }
        let quantile = |quantile| Some(float(latency.value_at_quantile(quantile)) / 1000.0);
        Ok(Side {
            calls: self.saved - first,
            seconds: started.elapsed().as_secs_f64(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            ..Side::default()
        })
    }

    async fn work(self) -> Result<Work> {
        self.connection.close().await?;
        let after = Tables::of_sqlite(&self.path).await?;
        Ok(Work { operations: self.saved, before: self.before, after })
    }
}

async fn on_sqlite(bench: &Bench, id: &str, width: Width, of: impl Fn(&Side) -> Option<f64>) -> Result<Measured> {
    let folder = bench.work_folder(id)?;
    let subject_path = bench.copy(Size::Small, &folder, "subject.db").await?;
    let subject_durability = Durability::of_sqlite_store(&subject_path).await?;
    let mut control = Control::new(bench, &folder).await?;
    let durability = Durability::of_sqlite(&mut control.connection).await?;
    same_durability(&durability, &subject_durability)?;
    let before = Tables::of_sqlite(&subject_path).await?;
    let server = bench.sqlite_server(&subject_path, &folder).await?;
    let wire = Wire::connect(&server, width.connections).await?;
    let assign = AssignTarget::new(wire, bench.world(Size::Small).clone());
    control.run(bench.time() / 2).await?;
    let mut saved = closed(&assign, width, bench.time() / 2, 0).await?.calls;
    let mut floors = vec![fsync_floor_us(&folder)?];

    let rounds = bench
        .rounds(
            id,
            async |_| control.run(bench.time()).await,
            async |_| {
                let (side, run) = served(&server, &assign, width, bench.time(), saved).await?;
                saved += run.calls;
                floors.push(fsync_floor_us(&folder)?);
                Ok(side)
            },
        )
        .await?;
    server.stop().await?;
    let after = Tables::of_sqlite(&subject_path).await?;
    same_work(&control.work().await?, &Work { operations: saved, before, after })?;
    let floor = median(&floors);
    // Other writers of the machine make the disk slower at times, never faster than it is.
    let quickest = floors.iter().copied().fold(f64::INFINITY, f64::min);
    let p50 = |of: &dyn Fn(&Round) -> Option<f64>| median(&rounds.iter().filter_map(of).collect::<Vec<_>>());
    waited_for_disk("control", p50(&|round| round.control.and_then(|side| side.p50_us)), quickest)?;
    waited_for_disk("subject", p50(&|round| round.subject.p50_us), quickest)?;
    let setting = format!(
        "{} users, new Internals without a message, {} x {} in flight, {}",
        bench.world(Size::Small).users,
        width.connections,
        width.in_flight,
        durability.words()
    );
    Ok(Measured { fsync_us: Some(floor), ..measured(id, setting, rounds, of)? })
}

pub(super) async fn one_client(bench: &Bench) -> Result<Measured> {
    on_sqlite(bench, "P5a", Width { connections: 1, in_flight: 1 }, |side| side.p50_us).await
}

pub(super) async fn many_clients(bench: &Bench) -> Result<Measured> {
    on_sqlite(bench, "P5b", Width { connections: 8, in_flight: 8 }, |side| Some(side.per_second())).await
}

/// In flight, connections to the database, and clients of pgbench.
const CLIENTS: u32 = 32;

pub(super) async fn postgres(bench: &Bench) -> Result<Measured> {
    let server_of = bench.options.postgres.as_ref().ok_or_else(|| anyhow!("there is no PostgreSQL"))?;
    let folder = bench.work_folder("P6")?;
    let world = bench.world(Size::Middle).clone();
    let base = postgres::base(&server_of.url, &world).await?;
    let create = async |name| postgres::create(&server_of.url, name, Some(postgres::name_of(&base))).await;
    let (control_url, subject_url) = (create("bench_control").await?, create("bench_subject").await?);
    let seconds = whole_seconds(bench.time());
    let rows = (seconds + 1) * u64::try_from(bench.options.rounds + 1)? * 800;
    let script = folder.join("save.pgbench");
    save_script(&control_url, &world, u64::from(CLIENTS), rows, &script).await?;
    let mut connection = postgres::open(&control_url).await?;
    let durability = Durability::of_postgres(&mut connection).await?;
    same_durability(&durability, &Durability::of_postgres_store(&subject_url).await?)?;
    let parent = postmaster(&mut connection).await?;
    let before = [Tables::of_postgres(&control_url).await?, Tables::of_postgres(&subject_url).await?];

    let server = Server::start(&bench.setup(subject_url.clone(), &folder.join("server"), CLIENTS)).await?;
    let width = Width { connections: 8, in_flight: usize::try_from(CLIENTS)? / 8 };
    let assign = AssignTarget::new(Wire::connect(&server, width.connections).await?, world.clone());
    let mut written = 0;
    let mut control_run = async |turn: usize| -> Result<Side> {
        sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
        let variables = BTreeMap::from([
            ("rows", rows),
            ("s", u64::try_from(turn)? * (rows / u64::try_from(bench.options.rounds + 1)?)),
        ]);
        let cpu = cpu_of_family(parent)?;
        let told = server_of.run(&control_url, &script, usize::try_from(CLIENTS)?, seconds, &variables).await?;
        let cpu = cpu_of_family(parent)?.saturating_sub(cpu);
        written += told.transactions;
        Ok(Side {
            calls: told.transactions,
            seconds: float(told.transactions) / told.per_second,
            database_cpu_us: Some(each_us(cpu, told.transactions)),
            ..Side::default()
        })
    };
    control_run(0).await.context("control")?;
    let mut saved = closed(&assign, width, bench.time(), 0).await?.calls;
    let mut floors = vec![fsync_floor_us(&folder)?];
    let mut admin = postgres::open(&server_of.url).await?;
    let rounds = bench
        .rounds(
            "P6",
            async |round| control_run(round + 1).await,
            async |_| {
                sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
                let cpu = cpu_of_family(parent)?;
                let (side, run) = served(&server, &assign, width, bench.time(), saved).await?;
                let cpu = cpu_of_family(parent)?.saturating_sub(cpu);
                saved += run.calls;
                floors.push(fsync_floor_us(&folder)?);
                Ok(Side { database_cpu_us: Some(each_us(cpu, run.calls)), ..side })
            },
        )
        .await?;
    server.stop().await?;
    let after = [Tables::of_postgres(&control_url).await?, Tables::of_postgres(&subject_url).await?];
    let ([control_before, subject_before], [control_after, subject_after]) = (before, after);
    same_work(
        &Work { operations: written, before: control_before, after: control_after },
        &Work { operations: saved, before: subject_before, after: subject_after },
    )?;
    let setting = format!(
        "{} users, {} workspaces, new Internals without a message, {CLIENTS} connections to the database each, {}",
        world.users,
        world.workspaces,
        durability.words()
    );
    let figure = measured("P6", setting, rounds, |side| Some(side.per_second()))?;
    Ok(Measured { fsync_us: Some(median(&floors)), ..figure })
}
