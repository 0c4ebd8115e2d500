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
    /// The caller's span; absent where the trace begins here.
    parent: Option<u64>,
    flags: u8,
}

/// The flag that a caller records the trace.
const SAMPLED: u8 = 1;

impl TraceContext {
    /// The caller's trace with a new span; a new trace where the caller sends none, or one that is malformed. `fresh` are the
    /// halves of a new id, the second of which has chance in it. Of the traces that begin here so many in a hundred are to be
    /// recorded; of others the caller has said it.
    pub(crate) fn of(headers: &HeaderMap, fresh: (u64, u64), recorded_percent: u8) -> Self {
        let (first, span) = fresh;
        let own = u128::from(first) << 64 | u128::from(span);
        let mut sent = headers.get_all(TRACEPARENT).iter();
        let caller = sent.next().filter(|_| sent.next().is_none()).and_then(parse);
        match caller {
            Some(Caller { trace, parent, flags }) => Self { trace, span, parent: Some(parent), flags },
            // The low bits of the second half are chance alone.
            None if (span & 0xffff_ffff) % 100 < u64::from(recorded_percent) => {
                Self { trace: own, span, parent: None, flags: SAMPLED }
            }
            None => Self { trace: own, span, parent: None, flags: 0 },
        }
    }

    /// Whether the trace is to be recorded.
    pub(crate) const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The id of the caller's span as logs name it.
    pub(crate) fn parent_id(self) -> Option<impl fmt::Display> {
        self.parent.map(|parent| fmt::from_fn(move |f| write!(f, "{parent:016x}")))
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

/// What a caller says of its trace.
struct Caller {
    trace: u128,
    parent: u64,
    flags: u8,
}

/// Reads `version-trace-parent-flags`. A later version may say more after that; version 00 may not.
fn parse(header: &HeaderValue) -> Option<Caller> {
    let text = header.to_str().ok()?;
    let mut parts = text.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let parent = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = hex(parts.next()?, 2)?;
    let usable = version != 0xff && trace != 0 && parent != 0 && (version != 0 || parts.next().is_none());
    let flags = u8::try_from(flags).ok()? & SAMPLED;
    usable.then_some(Caller { trace, parent, flags })
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
        TraceContext::of(&map, FRESH, 0).header().unwrap().to_str().unwrap().to_owned()
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
    fn of_traces_that_begin_here_a_share_is_recorded() {
        let none = HeaderMap::new();
        let recorded = |percent| (0..1000).filter(|n| TraceContext::of(&none, (1, *n), percent).is_sampled()).count();
        assert_eq!((recorded(0), recorded(10), recorded(100)), (0, 100, 1000));
        let unrecorded = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        let headers = HeaderMap::from_iter([(TRACEPARENT.parse().unwrap(), unrecorded)]);
        let of_caller = TraceContext::of(&headers, FRESH, 100);
        assert!(!of_caller.is_sampled(), "the caller has said that it is not");
        assert_eq!(of_caller.parent_id().unwrap().to_string(), "00f067aa0ba902b7");
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
