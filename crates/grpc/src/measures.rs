//! What is counted and measured of calls, under gRPC's own names where it has one. Labels are bounded: a method that is not
//! served is `_other`, so that a caller cannot make up names.
//!
//! Whoever collects them must be there before the server starts.

use std::sync::OnceLock;
use std::time::Duration;

use domicile_domain::model::time::Timestamp;
use metrics::{Counter, Gauge, Histogram, Unit};
use tonic::Code;

use crate::admission::PoolName;
use crate::status::{ALL_CODES, code_name};

const STARTED: &str = "grpc.server.call.started";
const DURATION: &str = "grpc.server.call.duration";
const AT_WORK: &str = "domicile.server.calls.at_work";
const REFUSED: &str = "domicile.server.calls.refused";
const BUDGETS: &str = "domicile.budgets.refused";
const CONNECTIONS: &str = "domicile.server.connections.open";
const CERTIFICATE: &str = "domicile.server.certificate.expires";
const TURNED_AWAY: &str = "domicile.server.connections.refused";
const STRIPPED: &str = "domicile.server.identity_headers.stripped";

/// Says what the names mean.
pub(crate) fn describe() {
    metrics::describe_counter!(STARTED, Unit::Count, "Calls that came in.");
    metrics::describe_histogram!(DURATION, Unit::Seconds, "How long calls took, by method and status.");
    metrics::describe_gauge!(AT_WORK, Unit::Count, "Calls at work now, by pool.");
    metrics::describe_counter!(REFUSED, Unit::Count, "Calls that the gate refused before their handler, by reason.");
    metrics::describe_counter!(
        BUDGETS,
        Unit::Count,
        "Calls that a used up budget of identity probes refused, by budget."
    );
    metrics::describe_gauge!(CERTIFICATE, Unit::Seconds, "When the certificate that is served expires, since 1970.");
    metrics::describe_gauge!(CONNECTIONS, Unit::Count, "Connections that are open now.");
    metrics::describe_counter!(
        TURNED_AWAY,
        Unit::Count,
        "Connections that were closed at once, since too many are open."
    );
    metrics::describe_counter!(STRIPPED, Unit::Count, "Headers that claim who calls and are not ours, taken off.");
}

/// The calls at work in a pool.
pub(crate) fn at_work(pool: PoolName) -> Gauge {
    let gauge = metrics::gauge!(AT_WORK, "pool" => pool.as_str());
    gauge.set(0.0);
    gauge
}

/// A budget of identity probes refused a call.
pub(crate) fn budget_refused(budget: &'static str) {
    metrics::counter!(BUDGETS, "budget" => budget).increment(1);
}

/// The connections that are open.
pub(crate) fn connections() -> Gauge {
    let gauge = metrics::gauge!(CONNECTIONS);
    gauge.set(0.0);
    gauge
}

/// When the certificate that is served expires, in seconds since 1970.
pub(crate) fn certificate_expires(at: Timestamp) {
    let seconds = u32::try_from(at.as_micros() / 1_000_000).unwrap_or(u32::MAX);
    metrics::gauge!(CERTIFICATE).set(f64::from(seconds));
}

/// A connection was closed at once.
pub(crate) fn connection_refused() {
    metrics::counter!(TURNED_AWAY).increment(1);
}

/// A header was taken off.
pub(crate) fn stripped(header: &'static str) {
    metrics::counter!(STRIPPED, "header" => header).increment(1);
}

/// The measures of one method.
pub(crate) struct Measures {
    method: String,
    started: Counter,
    /// By status; made when it is first seen, so that nobody collects what never happens.
    ended: [OnceLock<Histogram>; ALL_CODES.len()],
}

impl Measures {
    pub(crate) fn of(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            started: metrics::counter!(STARTED, "grpc.method" => method.to_owned()),
            ended: [const { OnceLock::new() }; ALL_CODES.len()],
        }
    }

    pub(crate) fn started(&self) {
        self.started.increment(1);
    }

    pub(crate) fn ended(&self, code: Code, took: Duration) {
        let Some(measured) = usize::try_from(i32::from(code)).ok().and_then(|index| self.ended.get(index)) else {
            return;
        };
        let of_status =
            || metrics::histogram!(DURATION, "grpc.method" => self.method.clone(), "grpc.status" => code_name(code));
        measured.get_or_init(of_status).record(took.as_secs_f64());
    }

    /// The gate refused a call.
    pub(crate) fn refused(&self, reason: &'static str) {
        metrics::counter!(REFUSED, "grpc.method" => self.method.clone(), "reason" => reason).increment(1);
    }
}
