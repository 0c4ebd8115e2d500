//! Phone numbers in the one form that the domain knows: E.164.

use std::fmt;

use super::text::quotable;

/// A phone number in E.164 form: a plus sign, a country code, at most 15 digits. It is its own match key.
///
/// National input is read by the [`PhoneParser`](crate::port::contact::PhoneParser) port, which knows the regions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// The text is not a phone number in E.164 form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a phone number in international form")]
pub struct ParsePhoneError(String);

impl PhoneNumber {
    /// Reads a number that is already in E.164 form.
    ///
    /// # Errors
    /// Any other form is refused.
    pub fn parse(text: &str) -> Result<Self, ParsePhoneError> {
        let shape = text.strip_prefix('+').is_some_and(|d| {
            (7..=15).contains(&d.len()) && !d.starts_with('0') && d.bytes().all(|b| b.is_ascii_digit())
        });
        if shape { Ok(Self(text.to_owned())) } else { Err(ParsePhoneError(quotable(text))) }
    }

    /// The number, for example `+36301234567`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region whose national way of writing numbers applies: two letters of ISO 3166-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region([u8; 2]);

/// The text is not a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a region; give two letters such as HU or DE")]
pub struct ParseRegionError(String);

impl Region {
    /// Reads a two-letter code in either case.
    ///
    /// # Errors
    /// Anything but two ASCII letters.
    pub fn parse(text: &str) -> Result<Self, ParseRegionError> {
        match text.trim().as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(ParseRegionError(quotable(text))),
        }
    }

    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        // INVARIANT: two ASCII letters, by `parse`, the only constructor.
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_e164_is_a_number() {
        assert_eq!(PhoneNumber::parse("+36301234567").unwrap().as_str(), "+36301234567");
        for text in ["", "36301234567", "+0301234567", "+36 30 123", "+123456", "+1234567890123456", "+٣٦٣٠١٢٣٤٥٦"]
        {
            assert!(PhoneNumber::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_is_two_letters() {
        assert_eq!(Region::parse(" hu ").unwrap().as_str(), "HU");
        assert!(Region::parse("HUN").is_err());
        assert!(Region::parse("1A").is_err());
    }
}
