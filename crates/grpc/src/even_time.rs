//! When the answer of a search leaves: at a whole step after the call came, whatever the search found.
//!
//! To find somebody takes some microseconds more than to find nobody, since there are more rows to read. Whoever measures
//! that could tell what an answer does not say. A step is long against the difference, so the time of an answer tells of
//! it only where the two fall on different sides of a step.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Longer than nearly every search takes, and too short to be noticed by who typed it.
const STEP: Duration = Duration::from_millis(5);

/// Does the work, and answers at the first whole step after its end.
pub(crate) async fn at_a_whole_step<T>(work: impl Future<Output = T>) -> T {
    let came = Instant::now();
    let done = work.await;
    sleep_until(came + next_step(came.elapsed())).await;
    done
}

/// The first whole step that lies after `elapsed`.
fn next_step(elapsed: Duration) -> Duration {
    let within = elapsed.as_nanos() % STEP.as_nanos();
    elapsed + STEP.saturating_sub(Duration::from_nanos(u64::try_from(within).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_of_any_length_within_a_step_is_answered_at_its_end() {
        for (work, answered) in [(0, 5), (1, 5), (4, 5), (5, 10), (7, 10), (11, 15), (1_003, 1_005)] {
            let began = Instant::now();
            let done = at_a_whole_step(async {
                sleep(Duration::from_millis(work)).await;
                work
            });
            assert_eq!(done.await, work);
            assert_eq!(began.elapsed(), Duration::from_millis(answered), "{work} ms of work");
        }
    }

    #[test]
    fn a_step_is_always_ahead() {
        for micros in [0, 1, 17, 2_300, 4_999, 5_000, 5_001, 123_456] {
            let elapsed = Duration::from_micros(micros);
            let step = next_step(elapsed);
            assert!(step > elapsed && step <= elapsed + STEP, "{micros} us");
            assert_eq!(step.as_nanos() % STEP.as_nanos(), 0, "{micros} us");
        }
    }
}
