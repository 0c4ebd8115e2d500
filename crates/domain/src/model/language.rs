//! Language tags: their shape. Which language serves for which is the business of the
//! [`LanguageMatcher`](crate::port::contact::LanguageMatcher) port.

use std::fmt;

use super::text::quotable;

/// A language by its BCP 47 tag, in the usual case: `hu`, `pt-BR`, `zh-Hant-TW`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LanguageTag(String);

/// The text is not a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a language tag; write it like en, de or pt-BR")]
pub struct ParseLanguageError(String);

impl LanguageTag {
    /// Reads a tag: language, then script, region and variants if given. Extensions and private tags are refused.
    ///
    /// # Errors
    /// Not of that shape.
    pub fn parse(text: &str) -> Result<Self, ParseLanguageError> {
        let refuse = || ParseLanguageError(quotable(text));
        let mut tag = String::with_capacity(text.len());
        let mut place = 0_u8; // 1 language, 2 script, 3 region, 4 variant
        for part in text.trim().split('-') {
            let alphabetic = part.bytes().all(|b| b.is_ascii_alphabetic());
            let numeric = part.bytes().all(|b| b.is_ascii_digit());
            let alphanumeric = part.bytes().all(|b| b.is_ascii_alphanumeric());
            let lower = part.to_ascii_lowercase();
            let (next, shaped) = match part.len() {
                2..=3 if place == 0 && alphabetic => (1, lower),
                4 if place == 1 && alphabetic => (2, titled(&lower)),
                2 if (1..3).contains(&place) && alphabetic => (3, lower.to_ascii_uppercase()),
                3 if (1..3).contains(&place) && numeric => (3, lower),
                5..=8 if place >= 1 && alphanumeric => (4, lower),
                4 if place >= 1 && alphanumeric && part.starts_with(|c: char| c.is_ascii_digit()) => (4, lower),
                _ => return Err(refuse()),
            };
            if place > 0 {
                tag.push('-');
            }
            tag.push_str(&shaped);
            place = next;
        }
        if tag.len() > 35 { Err(refuse()) } else { Ok(Self(tag)) }
    }

    /// The tag in the usual case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn titled(lower: &str) -> String {
    let mut letters = lower.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_take_the_usual_case() {
        for (typed, tag) in [
            ("EN", "en"),
            ("pt-br", "pt-BR"),
            ("ZH-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-1901", "de-1901"),
        ] {
            assert_eq!(LanguageTag::parse(typed).unwrap().as_str(), tag);
        }
    }

    #[test]
    fn refuses_other_shapes() {
        for text in
            ["", "e", "english", "en_US", "en-", "-en", "en-u-ca-buddhist", "x-klingon", "12", "en-US-GB", "en us"]
        {
            assert!(LanguageTag::parse(text).is_err(), "{text}");
        }
    }
}
