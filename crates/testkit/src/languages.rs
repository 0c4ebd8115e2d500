//! A matcher of languages that drops subtags.

use domicile_domain::model::language::LanguageTag;
use domicile_domain::port::contact::LanguageMatcher;

/// The same tag, or the one that is left when subtags are dropped from the end: `zh-Hant-TW`, `zh-Hant`, `zh`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrefixMatcher;

impl LanguageMatcher for PrefixMatcher {
    fn best(&self, wanted: &LanguageTag, available: &[LanguageTag]) -> Option<LanguageTag> {
        let mut tag = wanted.as_str();
        loop {
            if let Some(found) = available.iter().find(|a| a.as_str() == tag) {
                return Some(found.clone());
            }
            tag = tag.rsplit_once('-')?.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_back_to_the_language() {
        let tag = |text| LanguageTag::parse(text).unwrap();
        let available = [tag("en"), tag("pt"), tag("zh-Hant")];
        let best = |text| PrefixMatcher.best(&tag(text), &available).map(|t| t.to_string());
        assert_eq!(best("pt-BR").as_deref(), Some("pt"));
        assert_eq!(best("zh-Hant-TW").as_deref(), Some("zh-Hant"));
        assert_eq!(best("zh"), None);
        assert_eq!(best("hu"), None);
    }
}
