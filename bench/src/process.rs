//! The server under test as a child process, and the accounting of processes. Linux only: it reads `/proc`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The kernel counts the time of processes in hundredths of a second for every reader, whatever its own tick is.
const TICKS_PER_SECOND: u64 = 100;
/// The token of the service that calls.
pub const TOKEN: &str = "the-token-of-the-benchmark";

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// `sqlite:PATH` or `postgres://...`
    pub database: String,
    /// Connections for writing, and as many for reading, on PostgreSQL.
    pub pool_size: u32,
    /// Whether it keeps what decides checks in memory, as it is shipped.
    pub cache: bool,
    /// An empty folder of its own.
    pub folder: PathBuf,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    address: SocketAddr,
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Server {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// It ended, with the end of what it logged; or took longer than half a minute.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let mut server = Self::spawn(setup)?;
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(server.address).await.is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}: {}", log_of(&setup.folder));
            }
            if Instant::now() > until {
                bail!("the server took no connection for half a minute: {}", log_of(&setup.folder));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(server)
    }

    /// Starts a server and does not wait.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(setup: &Setup) -> Result<Self> {
        std::fs::create_dir_all(&setup.folder)?;
        let address = free_port()?;
        let log = std::fs::File::create(setup.folder.join("log"))?;
        let mut command = Command::new(std::path::absolute(&setup.program)?);
        // Nothing of the environment may set what the run does not say.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOMICILE_") || name.starts_with("PG")) {
            command.env_remove(name);
        }
        let child = command
            .arg("serve")
            .env("DOMICILE_LISTEN", address.to_string())
            .env("DOMICILE_DATABASE_URL", &setup.database)
            .env("DOMICILE_DATABASE_POOL_SIZE", setup.pool_size.to_string())
            .envs((!setup.cache).then_some(("DOMICILE_CACHE_BYTES", "0")))
            .env("DOMICILE_AUTH_DEVELOPMENT_TOKEN", TOKEN)
            .env("DOMICILE_SEALING_KEYS", "07".repeat(32))
            .env("DOMICILE_MESSAGES_FOLDER", setup.folder.join("messages"))
            .env("DOMICILE_LOG_LEVEL", "warn")
            // The usual port may be taken by a service that runs here.
            .env("DOMICILE_ADMIN_LISTEN", "127.0.0.1:0")
            // The load comes from few people: no budget may end it.
            .env("DOMICILE_BUDGETS_PROBES_PER_USER_MINUTE", u32::MAX.to_string())
            .env("DOMICILE_BUDGETS_PROBES_PER_WORKSPACE_HOUR", u32::MAX.to_string())
            .env("DOMICILE_BUDGETS_PROBES_PER_SERVICE_HOUR", u32::MAX.to_string())
            .current_dir(&setup.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started; build it with `make bench`", setup.program.display()))?;
        let pid = child.id().ok_or_else(|| anyhow!("the server ended at once: {}", log_of(&setup.folder)))?;
        Ok(Self { child, pid, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time that it took so far.
    ///
    /// # Errors
    /// It ended.
    pub fn cpu(&self) -> Result<Duration> {
        cpu_of(self.pid)
    }

    /// The memory that it holds, in bytes.
    ///
    /// # Errors
    /// It ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        Ok(kib.context("the kernel tells no VmRSS")? * 1024)
    }

    /// Kills it and waits until it is gone. What it acknowledged must have been written, and a benchmark needs no more.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("the server cannot be stopped")
    }
}

fn log_of(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
}

/// Fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat_of(pid: u32) -> Result<Vec<u64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} ended"))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    Ok(fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn ticks(fields: &[u64], places: std::ops::Range<usize>) -> Duration {
    let sum: u64 = fields.get(places).unwrap_or_default().iter().sum();
    Duration::from_millis(sum * 1000 / TICKS_PER_SECOND)
}

/// User and system time of a process: `utime + stime`.
fn cpu_of(pid: u32) -> Result<Duration> {
    Ok(ticks(&stat_of(pid)?, 11..13))
}

/// User and system time of this process, threads that ended included, to the nanosecond.
#[must_use]
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// User and system time of a process and all its children, those that ended included: a database server with its backends.
///
/// # Errors
/// It ended.
pub fn cpu_of_family(parent: u32) -> Result<Duration> {
    let mut sum = ticks(&stat_of(parent)?, 11..15);
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A child may end between the listing and the reading; the parent counts it then.
        let Ok(fields) = stat_of(pid) else { continue };
        if fields.get(1) == Some(&u64::from(parent)) {
            sum += ticks(&fields, 11..15);
        }
    }
    Ok(sum)
}

/// The process, if it exists here and bears this name: a server may run on another machine or in a container.
#[must_use]
pub fn named(pid: u32, name: &str) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.split_once('(')?;
    let (comm, _) = rest.rsplit_once(')')?;
    (comm == name).then_some(pid)
}

/// The parent of a process.
///
/// # Errors
/// It ended.
pub fn parent_of(pid: u32) -> Result<u32> {
    let parent = stat_of(pid)?.get(1).copied().unwrap_or(0);
    Ok(u32::try_from(parent)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time_and_is_counted() {
        let own = std::process::id();
        let before = cpu_of(own).unwrap();
        let mut number = 1;
        // Only against working for ever: a machine that is busy gives the time later.
        let until = Instant::now() + Duration::from_mins(1);
        while cpu_of(own).unwrap() < before + Duration::from_millis(100) {
            assert!(Instant::now() < until, "work was not counted: {number}");
            number = (0..100_000).fold(number, |number, _| crate::world::mix(number));
        }
        assert!(cpu_of_family(parent_of(own).unwrap()).unwrap() > before);
    }

    #[test]
    fn the_time_of_a_thread_that_ended_is_counted() {
        let before = own_cpu();
        let worked = std::thread::spawn(|| {
            let mut number = 1;
            while own_cpu() < Duration::from_millis(30) {
                number = (0..100_000).fold(number, |number, _| crate::world::mix(number));
            }
            (own_cpu(), number)
        });
        let (at_its_end, _) = worked.join().unwrap();
        assert!(before <= at_its_end && at_its_end <= own_cpu());
    }

    #[test]
    fn only_a_process_of_postgresql_is_a_database_server() {
        assert_eq!(named(std::process::id(), "postgres"), None);
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(named(std::process::id(), own.trim()), Some(std::process::id()));
        assert_eq!(named(u32::MAX, "postgres"), None);
    }
}
