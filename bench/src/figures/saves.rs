//! Saves: P5a, P5b, P6.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use sea_orm::sqlx::{self, Connection, Row, SqliteConnection};

use super::access::{Backends, served, served_beside, whole_seconds};
use super::{Bench, Sides, Size, each_us, written};
use crate::control::pgbench::save_script;
use crate::control::save::{Save, Script, Synchronous, connect, save};
use crate::data::postgres;
use crate::figure::{Beside, Measured, Side};
use crate::load::{Width, closed};
use crate::process::{Server, own_cpu};
use crate::stats::float;
use crate::target::{AssignTarget, Wire};
use crate::work::{Disk, Durability, Evidence, Flushes, Tables, Work, fsync_floor_us};
use crate::world::World;

/// The hand-written saves of one figure, counted.
pub(super) struct Control {
    connection: SqliteConnection,
    world: Arc<World>,
    path: PathBuf,
    before: Tables,
    saved: u64,
    pub(super) flushes: Flushes,
}

impl Control {
    pub(super) async fn new(bench: &Bench, folder: &Path, name: &str, synchronous: Synchronous) -> Result<Self> {
        let path = bench.copy(Size::Small, folder, name).await?;
        let connection = connect(&path, synchronous).await?;
        let before = Tables::of_sqlite(&path).await?;
        Ok(Self {
            connection,
            world: bench.world(Size::Small).clone(),
            path,
            before,
            saved: 0,
            flushes: Flushes::of(folder)?,
        })
    }

    /// Saves one after the other, each with a commit of its own.
    pub(super) async fn run(&mut self, time: Duration) -> Result<Side> {
        let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let flushed = self.flushes.so_far();
        let (cpu, started, first) = (own_cpu(), Instant::now(), self.saved);
        while started.elapsed() < time {
            let began = Instant::now();
            let row = Save::of(&self.world, self.saved);
            save(&mut self.connection, &row, Script::Rows).await?;
            latency.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            self.saved += 1;
        }
        let (seconds, cpu) = (started.elapsed().as_secs_f64(), own_cpu().saturating_sub(cpu));
        self.flushes.add(flushed, self.saved - first);
        let quantile = |quantile| Some(float(latency.value_at_quantile(quantile)) / 1000.0);
        Ok(Side {
            calls: self.saved - first,
            seconds,
            cpu_us: Some(each_us(cpu, self.saved - first)),
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
    let mut control = Control::new(bench, &folder, "control.db", Synchronous::Full).await?;
    let durability = Durability::of_sqlite(&mut control.connection).await?;
    let mut relaxed = Control::new(bench, &folder, "relaxed.db", Synchronous::Normal).await?;
    let before = Tables::of_sqlite(&subject_path).await?;
    let server = bench.sqlite_server(&subject_path, &folder).await?;
    let wire = Wire::connect(&server, width.connections).await?;
    let assign = AssignTarget::new(wire, bench.world(Size::Small).clone());
    control.run(bench.time() / 2).await?;
    let mut saved = closed(&assign, width, bench.time() / 2, 0).await?.calls;
    relaxed.run(bench.time() / 2).await?;
    let (mut floors, mut flushes) = (vec![fsync_floor_us(&folder)?], Flushes::of(&folder)?);

    let rounds = bench
        .rounds(
            id,
            async |_| control.run(bench.time()).await,
            async |_| {
                let so_far = flushes.so_far();
                let (side, run) = served(&server, &assign, width, bench.time(), saved).await?;
                flushes.add(so_far, run.calls);
                saved += run.calls;
                floors.push(fsync_floor_us(&folder)?);
                Ok(side)
            },
        )
        .await?;
    server.stop().await?;
    let after = Tables::of_sqlite(&subject_path).await?;
    let control_flushes = control.flushes.each();
    let one_after_the_other = width.connections * width.in_flight == 1;
    let setting = format!(
        "{} users, new Internals without a message, {} x {} in flight, {}",
        bench.world(Size::Small).users,
        width.connections,
        width.in_flight,
        durability.words()
    );
    let sides = Sides {
        control: Evidence { work: control.work().await?, durability, flushes: control_flushes },
        subject: Evidence {
            work: Work { operations: saved, before, after },
            durability: subject_durability,
            flushes: flushes.each().filter(|_| one_after_the_other),
        },
        disk: Disk { fsyncs_us: floors, flushes_without: relaxed.flushes.each() },
    };
    let mut figure = written(id, setting, rounds, &sides, of)?;
    let shown = |flushes: Option<f64>| flushes.map_or_else(|| "not to be seen".to_owned(), |each| format!("{each:.2}"));
    let without = shown(sides.disk.flushes_without);
    let proves = if sides.disk.tells() { "" } else { ", so this proves nothing" };
    figure.beside.push(Beside {
        name: "flushes of the disk a save".to_owned(),
        subject: shown(flushes.each()),
        control: format!("{}; {without} with synchronous=NORMAL{proves}", shown(control_flushes)),
    });
    Ok(figure)
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
    let subject_durability = Durability::of_postgres_store(&subject_url).await?;
    let mut connection = postgres::open(&control_url).await?;
    let backends = Backends::of(&mut connection).await?;
    let data = data_folder(&mut connection).await?;
    let floor = || data.as_deref().and_then(|data| fsync_floor_us(data).ok());
    let before = [Tables::of_postgres(&control_url).await?, Tables::of_postgres(&subject_url).await?];

    let server = Server::start(&bench.setup(subject_url.clone(), &folder.join("server"), CLIENTS)).await?;
    let width = Width { connections: 8, in_flight: usize::try_from(CLIENTS)? / 8 };
    let assign = AssignTarget::new(Wire::connect(&server, width.connections).await?, world.clone());
    let turns = u64::try_from(bench.options.rounds + 1)?;
    let mut transactions = 0;
    let mut control_run = async |turn: usize| -> Result<Side> {
        sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
        let first = u64::try_from(turn)? * (rows / turns);
        let variables = BTreeMap::from([("rows", rows), ("s", first), ("start", 1)]);
        let cpu = backends.cpu()?;
        let told = server_of.run(&control_url, &script, usize::try_from(CLIENTS)?, seconds, &variables).await?;
        transactions += told.transactions;
        Ok(Side {
            calls: told.transactions,
            seconds: float(told.transactions) / told.per_second,
            database_cpu_us: backends.each_us(cpu, told.transactions)?,
            ..Side::default()
        })
    };
    control_run(0).await.context("control")?;
    let mut saved = closed(&assign, width, bench.time(), 0).await?.calls;
    let mut floors: Vec<f64> = floor().into_iter().collect();
    let mut admin = postgres::open(&server_of.url).await?;
    let rounds = bench
        .rounds(
            "P6",
            async |round| control_run(round + 1).await,
            async |_| {
                sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
                let (side, calls) = served_beside(&server, &backends, &assign, width, bench.time(), saved).await?;
                saved += calls;
                floors.extend(floor());
                Ok(side)
            },
        )
        .await?;
    server.stop().await?;
    let after = [Tables::of_postgres(&control_url).await?, Tables::of_postgres(&subject_url).await?];
    let ([control_before, subject_before], [control_after, subject_after]) = (before, after);
    let durability = Durability::of_pgbench(&control_url, u64::from(CLIENTS) * turns).await?;
    let setting = format!(
        "{} users, {} workspaces, new Internals without a message, {CLIENTS} connections to the database each, {}",
        world.users,
        world.workspaces,
        durability.words()
    );
    let sides = Sides {
        control: Evidence {
            work: Work { operations: transactions, before: control_before, after: control_after },
            durability,
            flushes: None,
        },
        subject: Evidence {
            work: Work { operations: saved, before: subject_before, after: subject_after },
            durability: subject_durability,
            flushes: None,
        },
        disk: Disk { fsyncs_us: floors, flushes_without: None },
    };
    written("P6", setting, rounds, &sides, |side| Some(side.per_second()))
}

/// Where the database server keeps its data, if that is a folder here.
async fn data_folder(connection: &mut sqlx::PgConnection) -> Result<Option<PathBuf>> {
    let folder: String = sqlx::query("SHOW data_directory").fetch_one(connection).await?.get(0);
    Ok(Some(PathBuf::from(folder)).filter(|folder| folder.is_dir()))
}
