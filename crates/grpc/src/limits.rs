//! The limits of the server.

use std::time::Duration;

/// The limits of the server. Whatever is not set here would be unlimited.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest request, in bytes.
    pub request_bytes: usize,
    /// The largest answer, in bytes.
    pub answer_bytes: usize,
    /// The largest list of headers, in bytes.
    pub header_list_bytes: u32,
    /// Streams at once on one connection, by the protocol: room for the calls and the checks of one connection.
    pub concurrent_streams: u32,
    /// Calls at work at once for one connection, and as many checks of access; more are refused.
    pub calls_per_connection: usize,
    /// Calls at work at once in the process, without checks of access; more are refused.
    pub calls_per_process: usize,
    /// Checks of access at work at once in the process; more are refused.
    pub checks_per_process: usize,
    /// Connections that are open at once, handshakes in progress among them; more are closed at once.
    pub connections: usize,
    /// Handshakes in progress at once; the one that takes longest is given up for a new one.
    pub handshakes: usize,
    /// How long a handshake may take, and how long until a client then begins to speak.
    pub handshake: Duration,
    /// How long a client may read the contract by one stream of reflection.
    pub reflection: Duration,
    /// How often a silent connection is asked whether it lives.
    pub keepalive_interval: Duration,
    /// How long it may take to answer.
    pub keepalive_timeout: Duration,
    /// After this, a tenth more or less, a connection is asked to begin anew, so that load spreads.
    pub connection_age: Duration,
    /// Streams that the client reset before they were accepted.
    pub pending_accept_reset_streams: usize,
    /// Streams that were reset here for a client's errors.
    pub local_error_reset_streams: usize,
    /// How long the server goes on after it was asked to stop, while health says so and callers turn elsewhere.
    pub lame_duck: Duration,
    /// How long calls at work may take to end after that.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 1024 * 1024,
            answer_bytes: 4 * 1024 * 1024,
            header_list_bytes: 16 * 1024,
            concurrent_streams: 256,
            calls_per_connection: 128,
            calls_per_process: 512,
            checks_per_process: 256,
            connections: 4096,
            handshakes: 256,
            handshake: Duration::from_secs(10),
            reflection: Duration::from_mins(5),
            keepalive_interval: Duration::from_mins(1),
            keepalive_timeout: Duration::from_secs(20),
            connection_age: Duration::from_mins(30),
            pending_accept_reset_streams: 20,
            local_error_reset_streams: 1024,
            lame_duck: Duration::from_secs(5),
            drain: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// How long one connection lives: by an even chance up to a tenth less or more than the age, so that clients that came at
    /// once, as after a deployment, do not come back at once.
    pub(crate) fn lifetime(&self, chance: u64) -> Duration {
        let share = f64::from(u32::try_from(chance >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        self.connection_age.mul_f64(0.9 + 0.2 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_of_connections_differ_by_a_tenth_at_most_and_spread_evenly() {
        let limits = Limits::default();
        let minutes = |chance| limits.lifetime(chance).as_secs_f64() / 60.0;
        assert_eq!([0, u64::MAX].map(|chance| limits.lifetime(chance)), [27, 33].map(Duration::from_mins));
        // A quarter of the chances for each quarter of the time between.
        for quarter in 0..4_u64 {
            let (least, most) = (quarter << 62, (quarter << 62) | (u64::MAX >> 2));
            let from = 27.0 + 1.5 * f64::from(u32::try_from(quarter).unwrap());
            assert!((minutes(least) - from).abs() < 0.001 && (minutes(most) - from - 1.5).abs() < 0.001, "{quarter}");
        }
        for connection_age in [Duration::ZERO, Duration::from_nanos(1), Duration::from_hours(24)] {
            let limits = Limits { connection_age, ..limits.clone() };
            for chance in [0, 1, u64::MAX / 2, u64::MAX] {
                let lifetime = limits.lifetime(chance);
                assert!(lifetime + connection_age / 10 >= connection_age, "{lifetime:?}");
                assert!(lifetime <= connection_age + connection_age / 10, "{lifetime:?}");
            }
        }
    }
}
