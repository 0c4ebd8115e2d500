//! The load: closed loop for what can be had, open loop for how long it takes. Any error and any wrong answer ends a run and
//! voids its figure.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::stats::float;
use crate::world::mix;

/// An answer was not what it must be, or there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call failed.
    Failed(String),
    /// The oracle says otherwise.
    Wrong(String),
    /// The server had no place for it, and did nothing.
    TurnedAway(String),
}

/// What is called.
pub trait Target: Clone + Send + Sync + 'static {
    /// Sends the request of a number over a connection, compares the answer with the oracle and tells how many bytes it had.
    fn call(&self, connection: usize, number: u64) -> impl Future<Output = Result<usize, Fault>> + Send;
}

/// How many connections, and how many calls at once on each.
#[derive(Debug, Clone, Copy)]
pub struct Width {
    /// Connections.
    pub connections: usize,
    /// Calls in flight on each.
    pub in_flight: usize,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Run {
    /// Calls that were answered rightly.
    pub calls: u64,
    /// From the first call to the last answer.
    pub seconds: f64,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
    /// Bytes of all answers.
    pub answer_bytes: u64,
}

impl Run {
    /// A quantile of the latency in microseconds.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        float(self.latency.value_at_quantile(quantile)) / 1000.0
    }

    /// Calls a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        float(self.calls) / self.seconds.max(f64::MIN_POSITIVE)
    }
}

fn histogram() -> Result<Histogram<u64>> {
    // A nanosecond to a minute, three digits.
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// What the tasks of a run share.
#[derive(Debug, Default)]
struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    fault: Mutex<Option<Fault>>,
}

impl Shared {
    fn tell(&self, fault: Fault) {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        // What is wrong or broken is worse than what was not done.
        if matches!(*told, None | Some(Fault::TurnedAway(_))) {
            *told = Some(fault);
        }
    }

    /// Whether what stopped the run was that the server had no place for a call.
    fn was_turned_away(&self) -> bool {
        matches!(*self.fault.lock().unwrap_or_else(PoisonError::into_inner), Some(Fault::TurnedAway(_)))
    }

    fn told(&self) -> Result<()> {
        match self.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Fault::Failed(why) | Fault::TurnedAway(why)) => bail!("a call failed: {why}"),
            Some(Fault::Wrong(why)) => bail!("an answer was wrong: {why}"),
            None => Ok(()),
        }
    }
}

/// What one task, or one answered call, adds to a run.
struct Part {
    calls: u64,
    latency: Histogram<u64>,
    answer_bytes: u64,
    ended: Instant,
}

fn sum(parts: Vec<Part>, started: Instant) -> Result<Run> {
    let mut run = Run { calls: 0, seconds: 0.0, latency: histogram()?, answer_bytes: 0 };
    for part in parts {
        run.calls += part.calls;
        run.answer_bytes += part.answer_bytes;
        run.latency.add(part.latency)?;
        run.seconds = run.seconds.max(part.ended.duration_since(started).as_secs_f64());
    }
    if run.calls == 0 {
        bail!("not one call was answered in the time");
    }
    Ok(run)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

/// Calls as fast as answers come, with so many in flight, for `time` and at least once each; numbers count up from `first`.
///
/// # Errors
/// The first error or wrong answer.
pub async fn closed<T: Target>(target: &T, width: Width, time: Duration, first: u64) -> Result<Run> {
    let shared = Arc::new(Shared { next: AtomicU64::new(first), ..Shared::default() });
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in 0..width.connections {
        for _ in 0..width.in_flight {
            let (target, shared) = (target.clone(), shared.clone());
            let mut part = Part { calls: 0, latency: histogram()?, answer_bytes: 0, ended: started };
            tasks.spawn(async move {
                loop {
                    let number = shared.next.fetch_add(1, Ordering::Relaxed);
                    let sent = Instant::now();
                    match target.call(connection, number).await {
                        Ok(bytes) => {
                            part.ended = Instant::now();
                            part.calls += 1;
                            part.answer_bytes += u64::try_from(bytes).unwrap_or(0);
                            part.latency.saturating_record(nanoseconds(part.ended - sent));
                        }
                        Err(fault) => shared.tell(fault),
                    }
                    if started.elapsed() >= time || shared.stop.load(Ordering::Relaxed) {
                        break part;
                    }
                }
            });
        }
    }
    let mut parts = Vec::new();
    while let Some(part) = tasks.join_next().await {
        parts.push(part.map_err(|error| anyhow!("a task of the load broke: {error}"))?);
    }
    shared.told()?;
    sum(parts, started)
}

/// More calls than this at once mean that the rate cannot be held.
const MOST_IN_FLIGHT: usize = 20_000;

/// Generator and server together could not hold a rate, so there are no latencies at it: calls piled up until there were too
/// many, or more than the server takes. No answer was wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behind(pub f64);

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} calls a second could not be held", self.0)
    }
}

impl std::error::Error for Behind {}

/// Calls at a rate, at instants that chance fixes beforehand (exponential gaps), whatever the answers do. Latency counts from
/// the instant at which a call was to be sent: a call that had to wait for the sender, or for a stream, was late.
///
/// # Errors
/// The first error or wrong answer; [`Behind`] when the rate could not be held.
pub async fn open<T: Target>(
    target: &T,
    connections: usize,
    per_second: f64,
    time: Duration,
    first: u64,
) -> Result<Run> {
    let instants = schedule(per_second, time, first);
    let planned = instants.len();
    let (sender, mut due) = mpsc::unbounded_channel();
    // A task of the runtime would be woken on whole milliseconds; the kernel wakes a thread within some 60 us.
    let started = Instant::now() + Duration::from_millis(20);
    let sending = std::thread::spawn(move || {
        for (place, after) in instants.into_iter().enumerate() {
            let intended = started + after;
            std::thread::sleep(intended.saturating_duration_since(Instant::now()));
            if sender.send((place, intended)).is_err() {
                break;
            }
        }
    });
    let shared = Arc::new(Shared::default());
    let mut behind = false;
    let mut tasks = JoinSet::new();
    let mut run = Run { calls: 0, seconds: 0.0, latency: histogram()?, answer_bytes: 0 };
    let add = |run: &mut Run, answered: Result<Option<(usize, Instant, Instant)>, tokio::task::JoinError>| {
        if let Some((bytes, intended, ended)) = answered.map_err(|error| anyhow!("a call broke: {error}"))? {
            run.calls += 1;
            run.answer_bytes += u64::try_from(bytes).unwrap_or(0);
            run.latency.saturating_record(nanoseconds(ended.duration_since(intended)));
            run.seconds = run.seconds.max(ended.duration_since(started).as_secs_f64());
        }
        anyhow::Ok(())
    };
    loop {
        tokio::select! {
            biased;
            next = due.recv() => {
                let Some((place, intended)) = next else { break };
                if tasks.len() > MOST_IN_FLIGHT {
                    behind = true;
                    break;
                }
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
                let (target, shared) = (target.clone(), shared.clone());
                let number = first.wrapping_add(u64::try_from(place).unwrap_or(0));
                tasks.spawn(async move {
                    match target.call(place % connections.max(1), number).await {
                        Ok(bytes) => Some((bytes, intended, Instant::now())),
                        Err(fault) => {
                            shared.tell(fault);
                            None
                        }
                    }
                });
            }
            Some(answered) = tasks.join_next() => add(&mut run, answered)?,
        }
    }
    drop(due);
    if behind {
        // What is under way is cut, so that its deadlines do not count as failures of the server.
        tasks.shutdown().await;
        return Err(Behind(per_second).into());
    }
    while let Some(answered) = tasks.join_next().await {
        add(&mut run, answered)?;
    }
    if shared.was_turned_away() {
        return Err(Behind(per_second).into());
    }
    shared.told()?;
    // The thread ends by itself once nobody listens.
    let _ = sending.join();
    if usize::try_from(run.calls).ok() != Some(planned) {
        bail!("{planned} calls were to be sent, and {} were answered", run.calls);
    }
    Ok(run)
}

/// When the calls are due.
fn schedule(per_second: f64, time: Duration, seed: u64) -> Vec<Duration> {
    let mut at = 0.0;
    let mut due = Vec::new();
    for place in 0_u64.. {
        let share = f64::from(u32::try_from(mix(seed ^ mix(place)) >> 32).unwrap_or(0)) / 4_294_967_296.0;
        at += -(1.0 - share).ln() / per_second.max(1.0);
        if at >= time.as_secs_f64() {
            break;
        }
        due.push(Duration::from_secs_f64(at));
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after a while; one number in ten wrongly or not at all, if it is told to.
    #[derive(Clone, Default)]
    struct Pretend {
        falsified: bool,
        failing: bool,
        full: bool,
        takes: Duration,
    }

    impl Target for Pretend {
        async fn call(&self, _: usize, number: u64) -> Result<usize, Fault> {
            tokio::time::sleep(self.takes).await;
            match number % 10 {
                5 if self.falsified => Err(Fault::Wrong("ALLOWED, and it must be DENIED".to_owned())),
                4 if self.full => Err(Fault::TurnedAway("OVERLOADED".to_owned())),
                5 if self.failing => Err(Fault::Failed("UNAVAILABLE".to_owned())),
                _ => Ok(3),
            }
        }
    }

    const WIDTH: Width = Width { connections: 2, in_flight: 4 };
    const SHORT: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_run_counts_what_was_answered() {
        let run =
            closed(&Pretend { takes: Duration::from_millis(2), ..Pretend::default() }, WIDTH, SHORT, 0).await.unwrap();
        // Eight in flight call once at least, and each cannot end fifty calls in the time.
        assert!((8..=500).contains(&run.calls), "{}", run.calls);
        assert_eq!(run.answer_bytes, run.calls * 3);
        assert!(run.quantile_us(0.5) >= 2000.0 && run.seconds >= 0.002, "{run:?}");
        let once = closed(&Pretend::default(), WIDTH, Duration::ZERO, 0).await.unwrap();
        assert_eq!(once.calls, 8);
    }

    #[tokio::test]
    async fn one_falsified_answer_voids_the_run() {
        for (pretend, told) in [
            (Pretend { falsified: true, ..Pretend::default() }, "an answer was wrong: ALLOWED, and it must be DENIED"),
            (Pretend { failing: true, ..Pretend::default() }, "a call failed: UNAVAILABLE"),
        ] {
            // The fault ends it, long before the time does.
            let refused = closed(&pretend, WIDTH, Duration::from_hours(1), 0).await.unwrap_err();
            assert_eq!(refused.to_string(), told);
            let refused = open(&pretend, 2, 1_000.0, SHORT, 0).await.unwrap_err();
            assert_eq!(refused.to_string(), told);
        }
    }

    #[tokio::test]
    async fn a_call_is_late_from_when_it_was_to_be_sent() {
        // A stall of the sender, here of the one-threaded runtime, shows in the latency of every call that was due in it.
        #[derive(Clone)]
        struct Stalling;
        impl Target for Stalling {
            async fn call(&self, _: usize, number: u64) -> Result<usize, Fault> {
                if number == 10 {
                    std::thread::sleep(Duration::from_millis(60));
                }
                Ok(0)
            }
        }
        let run = open(&Stalling, 1, 500.0, Duration::from_millis(200), 0).await.unwrap();
        let late =
            run.latency.iter_recorded().filter(|v| v.value_iterated_to() > 10_000_000).map(|v| v.count_at_value());
        let late: u64 = late.sum();
        assert!(late >= 8, "a stall of 60 ms at 500 calls a second makes some 25 late, not {late}");
    }

    #[tokio::test]
    async fn a_rate_that_cannot_be_held_has_no_latencies() {
        let slow = Pretend { takes: Duration::from_mins(1), ..Pretend::default() };
        let refused = open(&slow, 1, 1_000_000.0, SHORT, 0).await.unwrap_err();
        assert!(refused.is::<Behind>(), "{refused}");
        let full = Pretend { full: true, ..Pretend::default() };
        let refused = open(&full, 2, 1_000.0, SHORT, 0).await.unwrap_err();
        assert!(refused.is::<Behind>(), "{refused}");
        assert!(closed(&full, WIDTH, SHORT, 0).await.unwrap_err().to_string().contains("a call failed: OVERLOADED"));
        // What was under way and went wrong is not hidden by it.
        let shared = Shared::default();
        shared.tell(Fault::TurnedAway("OVERLOADED".to_owned()));
        assert!(shared.was_turned_away());
        shared.tell(Fault::Wrong("DENIED".to_owned()));
        assert!(!shared.was_turned_away());
        assert_eq!(shared.told().unwrap_err().to_string(), "an answer was wrong: DENIED");
    }

    #[test]
    fn the_schedule_holds_its_rate_and_is_the_same_for_a_seed() {
        let due = schedule(10_000.0, Duration::from_secs(1), 3);
        assert!((9_600..=10_400).contains(&due.len()), "{}", due.len());
        assert_eq!(due, schedule(10_000.0, Duration::from_secs(1), 3));
        assert!(due.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
