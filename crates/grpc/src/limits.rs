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
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long a client may read the contract by one stream of reflection.
    pub reflection: Duration,
    /// How often a silent connection is asked whether it lives.
    pub keepalive_interval: Duration,
    /// How long it may take to answer.
    pub keepalive_timeout: Duration,
    /// After this a connection is asked to begin anew, so that load spreads.
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
