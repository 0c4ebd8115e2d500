//! A reader of phone numbers that knows two regions.

use domicile_domain::model::phone::{PhoneNumber, Region};
use domicile_domain::port::contact::{PhoneParser, UnreadablePhone};

/// Reads E.164 with the usual punctuation, and national numbers of Hungary and Germany.
#[derive(Debug, Clone, Copy, Default)]
pub struct SimplePhones;

/// Region, prefix of national numbers, country code, example.
const KNOWN: [(&str, &str, &str, &str); 2] =
    [("HU", "06", "+36", "06 30 123 4567"), ("DE", "0", "+49", "0151 23456789")];

impl PhoneParser for SimplePhones {
    fn parse(&self, text: &str, region: Region) -> Result<PhoneNumber, UnreadablePhone> {
        let plain: String = text.chars().filter(|c| !" -/().\u{a0}".contains(*c)).collect();
        let known = KNOWN.into_iter().find(|(code, ..)| *code == region.as_str());
        let international = if plain.starts_with('+') {
            Some(plain)
        } else if let Some(rest) = plain.strip_prefix("00") {
            Some(format!("+{rest}"))
        } else {
            known.and_then(|(_, trunk, code, _)| plain.strip_prefix(trunk).map(|rest| format!("{code}{rest}")))
        };
        international.and_then(|number| PhoneNumber::parse(&number).ok()).ok_or_else(|| UnreadablePhone {
            text: text.chars().filter(|c| !c.is_control()).take(80).collect(),
            region,
            example: known.map(|(_, _, _, example)| example.to_owned()),
        })
    }

    fn knows(&self, region: Region) -> bool {
        KNOWN.iter().any(|(code, ..)| *code == region.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_national_and_international_numbers() {
        let read = |text: &str, region: &str| {
            SimplePhones.parse(text, Region::parse(region).unwrap()).map(|n| n.as_str().to_owned())
        };
        assert_eq!(read("06 30 123-4567", "HU").unwrap(), "+36301234567");
        assert_eq!(read("0151/23456789", "DE").unwrap(), "+4915123456789");
        assert_eq!(read("+36 (30) 123 4567", "DE").unwrap(), "+36301234567");
        assert_eq!(read("0036301234567", "DE").unwrap(), "+36301234567");
        assert!(read("30 123 4567", "HU").unwrap_err().example.is_some());
        assert!(read("0301234567", "FR").unwrap_err().example.is_none());
    }
}
