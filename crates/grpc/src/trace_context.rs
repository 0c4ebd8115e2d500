//! The W3C trace context: which trace a call belongs to, taken over from the caller or begun here.

use std::fmt;

use http::{HeaderMap, HeaderValue};

/// The header of the trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The trace of a call, and the call's own span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The flag that a caller records the trace.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// The caller's trace with a new span; a new trace where the caller sends none, or one that is malformed. `fresh` are the
    /// halves of a new id, the second of which has chance in it.
    pub(crate) fn of(headers: &HeaderMap, fresh: (u64, u64)) -> Self {
        let (first, span) = fresh;
        let own = u128::from(first) << 64 | u128::from(span);
        let mut sent = headers.get_all(TRACEPARENT).iter();
        let caller = sent.next().filter(|_| sent.next().is_none()).and_then(parse);
        let (trace, flags) = caller.unwrap_or((own, 0));
        Self { trace, span, flags }
    }

    /// The trace's id as logs name it.
    pub(crate) fn trace_id(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{:032x}", self.trace))
    }

    /// The span's id as logs name it.
    pub(crate) fn span_id(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{:016x}", self.span))
    }

    /// The header that tells the caller.
    pub(crate) fn header(self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)).ok()
    }
}

/// Trace and flags of `version-trace-parent-flags`. A later version may say more after that; version 00 may not.
fn parse(header: &HeaderValue) -> Option<(u128, u8)> {
    let text = header.to_str().ok()?;
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let parent = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    let usable = version != 0xff && trace != 0 && parent != 0 && (version != 0 || parts.next().is_none());
    let flags = u8::try_from(flags).ok()? & SAMPLED;
    usable.then_some((trace, flags))
}

/// Exactly so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let well_formed = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    well_formed.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: (u64, u64) = (0x0190_0000_0000_7000, 0x8000_0000_0000_0007);

    fn told(sent: &[&'static str]) -> String {
        let headers = sent.iter().map(|text| (TRACEPARENT.parse().unwrap(), HeaderValue::from_static(text)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name;
            map.append(name, value);
        }
        TraceContext::of(&map, FRESH).header().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_callers_trace_goes_on_with_a_span_of_ours() {
        let ours = "00-4bf92f3577b34da6a3ce929d0e0e4736-8000000000000007-01";
        for sent in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later",
        ] {
            assert_eq!(told(&[sent]), ours, "{sent}");
        }
    }

    #[test]
    fn what_is_malformed_is_replaced_by_a_trace_of_ours() {
        let ours = "00-01900000000070008000000000000007-8000000000000007-00";
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for sent in [
            "",
            "anna@acme.example",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(told(&[sent]), ours, "{sent}");
        }
        assert_eq!(told(&[good, good]), ours, "two could disagree");
        assert_eq!(told(&[]), ours);
    }
}
