//! Finds what must never stand in a log, in metrics, in a trace or in an error: contacts, tokens and keys by their shape, and
//! names and secrets by their words.
//!
//! Recipe for a kind of secret: a row in the table of [`Canaries::found_in`] and a line in its test.

use std::collections::BTreeSet;

/// What is looked for beside everything that has the shape of a contact, a token or a key.
#[derive(Debug, Clone, Default)]
pub struct Canaries {
    words: BTreeSet<String>,
}

/// Words that are shorter stand in every log.
const SHORTEST_WORD: usize = 4;

impl Canaries {
    /// Looks for these words too; those of less than four characters could stand anywhere.
    pub fn add(&mut self, words: impl IntoIterator<Item = String>) {
        self.words.extend(words.into_iter().filter(|word| word.chars().count() >= SHORTEST_WORD));
    }

    /// What it is that a text has and must not, and where it begins.
    pub fn found_in(&self, text: &str) -> Option<String> {
        type Shape = fn(&str, &str) -> bool;
        let shapes: [(&str, &str, Shape); 6] = [
            ("@", "an email address", |before, after| ends_local_part(before) && begins_domain(after)),
            ("+", "a phone number", |_, after| leading(after, |c| c.is_ascii_digit()) >= 8),
            ("Bearer ", "credentials", |_, after| leading(after, |c| c.is_ascii_alphanumeric()) >= 4),
            ("eyJ", "a token", |_, after| leading(after, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)) >= 12),
            ("-----BEGIN", "a key or a certificate", |_, _| true),
            ("", "a key", |before, after| {
                !before.ends_with(|c: char| c.is_ascii_hexdigit()) && leading(after, |c| c.is_ascii_hexdigit()) == 64
            }),
        ];
        let found = shapes.iter().find_map(|(mark, what, shape)| {
            let at = text.match_indices(mark).find(|(at, mark)| {
                let (before, rest) = text.split_at(*at);
                shape(before, rest.strip_prefix(mark).unwrap_or_default())
            });
            at.map(|(at, _)| format!("{what} at {at}"))
        });
        found.or_else(|| {
            let word = self.words.iter().find(|word| has_word(text, word))?;
            Some(format!("`{word}`"))
        })
    }

    /// Fails if a text has one.
    ///
    /// # Panics
    /// With the place, what it is, and the text.
    pub fn are_not_in(&self, place: &str, text: &str) {
        if let Some(found) = self.found_in(text) {
            panic!("{place} has {found}, which is nobody's business: {text}");
        }
    }
}

fn leading(text: &str, is_of_it: impl Fn(char) -> bool) -> usize {
    text.chars().take_while(|c| is_of_it(*c)).count()
}

fn ends_local_part(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || "._-+'\"".contains(c))
}

/// `acme.example`, but no address of the network.
fn begins_domain(text: &str) -> bool {
    let length = text.find(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-')).unwrap_or(text.len());
    let domain = text.get(..length).unwrap_or_default().trim_end_matches('.');
    domain.rsplit_once('.').is_some_and(|(_, last)| last.starts_with(char::is_alphabetic))
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(word).unwrap_or_default();
        !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobodys_business_is_found() {
        let mut canaries = Canaries::default();
        canaries.add(["Kovács", "x"].map(ToOwned::to_owned));
        let key = "0f".repeat(32);
        for (text, what) in [
            ("error=`anna@acme.example` is taken", "an email address"),
            ("to=o'neil+x@bücher.example.", "an email address"),
            ("phone=+36201234567", "a phone number"),
            ("authorization: Bearer abc1", "credentials"),
            ("token=eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "a token"),
            ("-----BEGIN PRIVATE KEY-----", "a key or a certificate"),
            (format!("key={key}").as_str(), "a key"),
            ("Anna Kovács was saved", "`Kovács`"),
        ] {
            let found = canaries.found_in(text).unwrap_or_else(|| panic!("nothing in {text}"));
            assert!(found.starts_with(what), "{text}: {found}");
        }
    }

    #[test]
    fn what_may_stand_in_a_log_is_left_alone() {
        let mut canaries = Canaries::default();
        canaries.add(["anna".to_owned(), "at".to_owned()]);
        for text in [
            "",
            "2026-11-25T21:56:04.722988+00:00 at work",
            "database=postgres://ann@127.0.0.1:5432/d",
            "send `authorization: Bearer ...`",
            "trace.id=4bf92f3577b34da6a3ce929d0e0e4736",
            "digest sha256:0123456789abcdef",
            "savannah, annals",
            "a@b 1.5e+10",
        ] {
            assert_eq!(canaries.found_in(text), None, "{text}");
        }
    }

    #[test]
    #[should_panic(expected = "the log has an email address at 3")]
    fn a_test_fails_that_meets_one() {
        Canaries::default().are_not_in("the log", "ann@acme.example");
    }
}
