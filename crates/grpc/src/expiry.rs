//! When a certificate expires, read from its DER (RFC 5280, 4.1): the library that checks certificates does not tell.

use std::time::Duration;

use domicile_domain::model::time::Timestamp;

/// So long before a certificate expires it is told, each day anew.
pub(crate) const TOLD_BEFORE: Duration = Duration::from_hours(14 * 24);
/// How often.
pub(crate) const TOLD_EVERY: Duration = Duration::from_hours(24);

const SEQUENCE: u8 = 0x30;
/// `[0]`, which holds the version and is left out by those of version 1.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second at which the certificate holds; nothing of what is no certificate.
pub(crate) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = value(certificate, SEQUENCE)?;
    let (fields, _) = value(certificate, SEQUENCE)?;
    let fields = value(fields, VERSION).map_or(fields, |(_, rest)| rest);
    // Serial number, algorithm, issuer.
    let fields = after(after(after(fields)?)?)?;
    let (validity, _) = value(fields, SEQUENCE)?;
    let (tag, time, _) = next(after(validity)?)?;
    read_time(tag, std::str::from_utf8(time).ok()?)
}

/// A tag, its content, and what follows.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn value(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    next(der).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

fn after(der: &[u8]) -> Option<&[u8]> {
    next(der).map(|(_, _, rest)| rest)
}

/// `YYMMDDhhmmssZ` of 1950 to 2049, or `YYYYMMDDhhmmssZ`.
fn read_time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let digits = match (tag, digits.get(..2)?) {
        (UTC_TIME, year) => format!("{}{digits}", if year < "50" { "20" } else { "19" }),
        (GENERALIZED_TIME, _) => digits.to_owned(),
        _ => return None,
    };
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let seconds = (part(8, 10)? * 60 + part(10, 12)?) * 60 + part(12, 14)?;
    Some(Timestamp::from_micros((days_since_1970(year, month, day) * 86_400 + seconds) * 1_000_000))
}

/// By the calendar whose year begins in March, so that the leap day is its last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // From the first of March of the year 0 to that of 1970 less 60 days there are 719,468.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        for (year, month, day, seconds) in [
            (2026, 11, 25, 1_795_564_800),
            (2028, 2, 29, 1_835_395_200),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
        ] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, month, day);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let read = not_after(certificate.der()).unwrap();
            assert_eq!(read, Timestamp::from_micros(seconds * 1_000_000), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let whole = certificate.der().to_vec();
        for length in 0..whole.len() {
            let _ = not_after(&whole[..length]);
        }
        for none in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"text"] {
            assert_eq!(not_after(none), None);
        }
        assert_eq!(read_time(UTC_TIME, "2611252359Z"), None);
        assert_eq!(read_time(UTC_TIME, "26112523595xZ"), None);
    }
}
