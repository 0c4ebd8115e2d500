//! What can be counted of a running service, in the text of Prometheus.
//!
//! Recipe for a metric of the program itself: a constant with its name, its line in [`describe`], and a line where it is read
//! below; then its row in `docs/OPERATIONS.md`, which a test compares with what is served. What adapters count by the
//! facade comes by itself.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use domicile_cache::CachedDirectory;
use domicile_domain::usecase::Domicile;
use domicile_identity::MappedAuthenticator;
use domicile_store_seaorm::SeaOrmStore;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_appender::non_blocking::ErrorCounter;

const BUILD: &str = "domicile.build.info";
const STARTED: &str = "process_start_time";
const MEMORY: &str = "process_resident_memory";
const CPU: &str = "process_cpu_seconds_total";
const CONNECTIONS: &str = "domicile.store.connections";
const CONNECTIONS_MOST: &str = "domicile.store.connections.limit";
const RERUNS: &str = "domicile.store.reruns";
const CACHE_HITS: &str = "domicile.cache.hits";
const CACHE_MISSES: &str = "domicile.cache.misses";
const CACHE_ENTRIES: &str = "domicile.cache.entries";
const CACHE_BYTES: &str = "domicile.cache";
const WAITING: &str = "domicile.notices.waiting";
const OLDEST: &str = "domicile.notices.oldest.age";
const ISSUER_USABLE: &str = "domicile.identity.issuer.usable";
const KEY_LOOKS: &str = "domicile.identity.key_looks";
const KEY_LOOKS_FAILED: &str = "domicile.identity.key_looks.failed";
const LINES_DROPPED: &str = "domicile.log.lines.dropped";

/// The bounds that gRPC recommends for the time of a call, in seconds.
const CALL_SECONDS: [f64; 40] = [
    0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.013,
    0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 2.0,
    5.0, 10.0, 20.0, 50.0, 100.0,
];
/// The same for the size of a message, in bytes.
const MESSAGE_BYTES: [f64; 7] = [1024.0, 2048.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// How long the store may take to tell what waits.
const STORE_WITHIN: Duration = Duration::from_secs(1);
/// How often what was measured is put in its bounds, whether or not somebody reads it.
const UPKEEP: Duration = Duration::from_secs(5);

/// The parts of the service that are asked when somebody reads.
struct Asked {
    store: SeaOrmStore,
    api: Arc<Domicile>,
    cache: Option<Arc<CachedDirectory>>,
}

/// All metrics.
pub(crate) struct Metrics {
    recorded: PrometheusHandle,
    lines_dropped: ErrorCounter,
    asked: OnceLock<Asked>,
    issuers: OnceLock<Arc<MappedAuthenticator>>,
}

impl Metrics {
    /// Records from now on what this process counts.
    pub(crate) fn record(lines_dropped: ErrorCounter) -> Result<Self> {
        let recording = PrometheusBuilder::new()
            .with_recommended_naming(true)
            .set_buckets_for_metric(Matcher::Suffix("duration".to_owned()), &CALL_SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("size".to_owned()), &MESSAGE_BYTES))
            .context("the bounds of the metrics are not right")?
            .build_recorder();
        let recorded = recording.handle();
        metrics::set_global_recorder(recording).context("metrics are recorded already")?;
        describe();
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!(STARTED).set(since.as_secs_f64());
        Ok(Self { recorded, lines_dropped, asked: OnceLock::new(), issuers: OnceLock::new() })
    }

    /// From now on there is a store to be asked.
    pub(crate) fn ask(&self, store: SeaOrmStore, api: Arc<Domicile>, cache: Option<Arc<CachedDirectory>>) {
        // A second service in this process would be a defect; the first one stays.
        let _ = self.asked.set(Asked { store, api, cache });
    }

    /// From now on there are issuers to be asked.
    pub(crate) fn ask_issuers(&self, issuers: Arc<MappedAuthenticator>) {
        let _ = self.issuers.set(issuers);
    }

    /// Keeps what is recorded in bounds, until it is dropped.
    pub(crate) async fn keep_up(&self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            self.recorded.run_upkeep();
        }
    }

    /// Everything as it is now.
    pub(crate) async fn text(&self) -> String {
        read_process();
        counter!(LINES_DROPPED).absolute(u64::try_from(self.lines_dropped.dropped_lines()).unwrap_or(u64::MAX));
        if let Some(asked) = self.asked.get() {
            read_store(asked).await;
        }
        self.issuers.get().iter().for_each(|issuers| read_issuers(issuers));
        self.recorded.render()
    }
}

fn describe() {
    describe_gauge!(BUILD, "1, with the version of the program");
    describe_gauge!(STARTED, Unit::Seconds, "When the process started, since 1970");
    describe_gauge!(MEMORY, Unit::Bytes, "Memory of the process");
    describe_gauge!(CPU, "Processor time of the process, in user and system mode, in seconds");
    describe_gauge!(CONNECTIONS, "Connections to the database by pool and state: busy, idle");
    describe_gauge!(CONNECTIONS_MOST, "How many connections a pool may have");
    describe_counter!(RERUNS, "Units of work that were run again after a lost race or connection");
    describe_counter!(CACHE_HITS, "Checks of access whose facts were kept in memory");
    describe_counter!(CACHE_MISSES, "Checks of access whose facts were read");
    describe_gauge!(CACHE_ENTRIES, "People in workspaces whose facts are kept in memory");
    describe_gauge!(CACHE_BYTES, Unit::Bytes, "About how much memory the facts that are kept take");
    describe_gauge!(WAITING, "Messages that wait to be sent, for the first time or again");
    describe_gauge!(OLDEST, Unit::Seconds, "Age of the oldest message that waits; 0 while none does");
    describe_gauge!(ISSUER_USABLE, "Whether the tokens of an issuer can be checked: 1 or 0");
    describe_counter!(KEY_LOOKS, "How often the keys of an issuer were looked for");
    describe_counter!(KEY_LOOKS_FAILED, "How often that failed");
    describe_counter!(LINES_DROPPED, "Lines of the log that were dropped since nobody read standard error");
}

fn read_issuers(of: &MappedAuthenticator) {
    for issuer in of.issuers() {
        gauge!(ISSUER_USABLE, "issuer" => issuer.issuer.clone()).set(f64::from(u8::from(issuer.usable)));
        counter!(KEY_LOOKS, "issuer" => issuer.issuer.clone()).absolute(issuer.looks);
        counter!(KEY_LOOKS_FAILED, "issuer" => issuer.issuer).absolute(issuer.failed_looks);
    }
}

/// A number of the kind that metrics are.
#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^52")]
const fn number(count: u64) -> f64 {
    count as f64
}

fn of_size(count: usize) -> f64 {
    number(u64::try_from(count).unwrap_or(u64::MAX))
}

async fn read_store(asked: &Asked) {
    counter!(RERUNS).absolute(asked.api.reruns());
    if let Some(counts) = asked.cache.as_ref().map(|cache| cache.counts()) {
        counter!(CACHE_HITS).absolute(counts.hits);
        counter!(CACHE_MISSES).absolute(counts.misses);
        gauge!(CACHE_ENTRIES).set(of_size(counts.entries));
        gauge!(CACHE_BYTES).set(number(counts.bytes));
    }
    for of in asked.store.connections() {
        gauge!(CONNECTIONS, "pool" => of.pool, "state" => "busy").set(of_size(of.busy));
        gauge!(CONNECTIONS, "pool" => of.pool, "state" => "idle").set(of_size(of.idle));
        gauge!(CONNECTIONS_MOST, "pool" => of.pool).set(f64::from(of.most));
    }
    let (waiting, age) = match tokio::time::timeout(STORE_WITHIN, asked.store.waiting_notices()).await {
        Ok(Ok(waiting)) => {
            let age = waiting.oldest.map_or(Duration::ZERO, |oldest| crate::runtime::now().since(oldest));
            (number(waiting.count), age.as_secs_f64())
        }
        // Not known is not none.
        Ok(Err(_)) | Err(_) => (f64::NAN, f64::NAN),
    };
    gauge!(WAITING).set(waiting);
    gauge!(OLDEST).set(age);
}

/// What the system knows of this process.
#[cfg(target_os = "linux")]
fn read_process() {
    if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| resident(&text)) {
        gauge!(MEMORY).set(number(bytes));
    }
    if let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| processor_seconds(&text)) {
        gauge!(CPU).set(seconds);
    }
}

#[cfg(not(target_os = "linux"))]
fn read_process() {}

/// `VmRSS:     1234 kB`
#[cfg(target_os = "linux")]
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// User and system time, in ticks of which the kernel promises a hundred a second. The name before them can hold anything
/// but is closed by the last parenthesis.
#[cfg(target_os = "linux")]
fn processor_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(number(user + system) / 100.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_as_the_kernel_writes_it() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   1234 kB\nThreads:\t3\n"), Some(1234 * 1024));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 9 1 2";
        assert_eq!(processor_seconds(stat), Some(3.0));
        for broken in ["", "7 (a) S 1"] {
            assert_eq!((resident(broken), processor_seconds(broken)), (None, None));
        }
    }
}
