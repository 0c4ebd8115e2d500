//! Phone numbers and languages, read by libraries that know the world's conventions.

use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::phone::{PhoneNumber, Region};
use domicile_domain::port::contact::{LanguageMatcher, PhoneParser, UnreadablePhone};
use icu_locale::fallback::LocaleFallbackConfig;
use icu_locale::{Locale, LocaleFallbacker};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};

/// Reads phone numbers by libphonenumber's metadata: any Unicode digits, spaces, brackets, `tel:`.
///
/// A number must be valid in its country, not just of a possible length: one that cannot be dialled would make a person
/// unreachable and a match key worthless. Numbers with an extension are refused, since E.164 has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct LibPhoneParser;

fn known(region: Region) -> Option<rlibphonenumber::Region> {
    region.as_str().parse().ok()
}

fn read(text: &str, region: Region) -> Option<PhoneNumber> {
    let number = PHONE_NUMBER_UTIL.parse(text, known(region)).ok()?;
    let valid = PHONE_NUMBER_UTIL.is_valid_number(&number);
    if !valid || !number.extension().is_empty() {
        return None;
    }
    let e164 = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164);
    PhoneNumber::parse(&e164).ok()
}

fn example(region: Region) -> Option<String> {
    let region = known(region)?;
    let number = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, PhoneNumberType::Mobile).ok()?;
    let national = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National);
    let international = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::International);
    Some(format!("{national} or {international}"))
}

impl PhoneParser for LibPhoneParser {
    fn parse(&self, text: &str, region: Region) -> Result<PhoneNumber, UnreadablePhone> {
        read(text.trim(), region).ok_or_else(|| UnreadablePhone {
            text: text.chars().filter(|c| !c.is_control()).take(40).collect(),
            region,
            example: example(region),
        })
    }

    fn knows(&self, region: Region) -> bool {
        known(region).is_some_and(|region| PHONE_NUMBER_UTIL.get_supported_regions().any(|r| r == region))
    }
}

/// Finds the language that serves, by CLDR's parents: `pt-BR` is served by `pt`, `zh-TW` by `zh-Hant`.
///
/// A reader of a bare language, `pt`, is served by any of its variants when there is no better one.
#[derive(Debug, Clone, Copy, Default)]
pub struct CldrLanguageMatcher;

impl LanguageMatcher for CldrLanguageMatcher {
    fn best(&self, wanted: &LanguageTag, available: &[LanguageTag]) -> Option<LanguageTag> {
        let of = |tag: &str| available.iter().find(|a| a.as_str() == tag).cloned();
        if let Some(exact) = of(wanted.as_str()) {
            return Some(exact);
        }
        let locale = Locale::try_from_str(wanted.as_str()).ok()?;
        let fallbacker = LocaleFallbacker::new().for_config(LocaleFallbackConfig::default());
        let mut chain = fallbacker.fallback_for(locale.into());
        while !chain.get().is_unknown() {
            if let Some(parent) = of(&chain.get().to_string()) {
                return Some(parent);
            }
            chain.step();
        }
        let variant_of_wanted = |a: &&LanguageTag| a.as_str().split('-').next() == Some(wanted.as_str());
        available.iter().find(variant_of_wanted).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn region(text: &str) -> Region {
        Region::parse(text).unwrap()
    }

    #[test]
    fn national_and_foreign_spellings_are_one_number() {
        for text in [
            "+36 20 123 4567",
            "06 20 123 4567",
            "(06-20) 1234567",
            "tel:+36-20-123-4567",
            "٠٦٢٠١٢٣٤٥٦٧",
            "０６２０１２３４５６７",
        ] {
            assert_eq!(LibPhoneParser.parse(text, region("HU")).unwrap().as_str(), "+36201234567", "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_an_example_of_the_region() {
        for text in ["12", "", "hello", "+36 20 123 4567 ext. 5", "+999 1234567"] {
            let refused = LibPhoneParser.parse(text, region("HU")).expect_err(text).to_string();
            assert!(refused.contains("HU") && refused.contains("+36"), "{refused}");
        }
    }

    #[test]
    fn knows_the_regions() {
        assert!(LibPhoneParser.knows(region("HU")));
        assert!(!LibPhoneParser.knows(region("QQ")));
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_is_a_fixed_point(text in "\\PC{0,40}") {
            if let Ok(number) = LibPhoneParser.parse(&text, region("US")) {
                prop_assert_eq!(LibPhoneParser.parse(number.as_str(), region("DE")), Ok(number));
            }
        }
    }

    #[test]
    fn languages_fall_back_to_their_parents() {
        let tags = |list: &[&str]| list.iter().map(|t| LanguageTag::parse(t).unwrap()).collect::<Vec<_>>();
        let available = tags(&["en", "de", "pt", "zh-Hant", "zh", "es-419"]);
        for (wanted, best) in [
            ("de", Some("de")),
            ("de-AT", Some("de")),
            ("pt-BR", Some("pt")),
            ("zh-TW", Some("zh-Hant")),
            ("es-MX", Some("es-419")),
            ("es", Some("es-419")),
            ("hr", None),
            ("sr-Latn", None),
        ] {
            let found = CldrLanguageMatcher.best(&LanguageTag::parse(wanted).unwrap(), &available);
            assert_eq!(found.as_ref().map(LanguageTag::as_str), best, "{wanted}");
        }
    }
}
