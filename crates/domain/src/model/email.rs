//! Mail addresses: how they are written, and when two are the same.

use std::fmt;

use super::text::{display_form, folded, is_unprintable, quotable};

/// A mail address. Keeps the typed form for display beside the key by which two addresses are the same.
///
/// The domain is lower-cased in IDNA A-label form. The local part is compared without regard to case; dots and
/// `+tags` count, since only the receiving host knows what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    display: String,
    key: String,
    domain: MailDomain,
}

/// The text is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseEmailError {
    /// Nothing was given.
    #[error("an email address is needed, for example anna@acme.example")]
    Empty,
    /// No `@`, or nothing on one side of it.
    #[error("`{0}` has no name and domain around an @; write it like anna@acme.example")]
    Shape(String),
    /// The part before the `@` has a character that mail does not carry, or is too long.
    #[error("the part before the @ of `{0}` has a space, a control or another character that mail does not carry")]
    Local(String),
    /// The part after the `@` is no domain name.
    #[error("the part after the @ of `{0}` is not a domain name")]
    Domain(String),
    /// Longer than mail allows.
    #[error("the address is longer than 254 characters")]
    TooLong,
}

impl EmailAddress {
    /// Reads a typed address.
    ///
    /// # Errors
    /// [`ParseEmailError`] tells which part is wrong.
    pub fn parse(text: &str) -> Result<Self, ParseEmailError> {
        let display = display_form(text);
        if display.is_empty() {
            return Err(ParseEmailError::Empty);
        }
        if display.len() > 254 {
            return Err(ParseEmailError::TooLong);
        }
        let Some((local, domain)) = display.rsplit_once('@').filter(|(l, d)| !l.is_empty() && !d.is_empty()) else {
            return Err(ParseEmailError::Shape(quotable(&display)));
        };
        if local.len() > 64 || !is_dot_atom(local) {
            return Err(ParseEmailError::Local(quotable(&display)));
        }
        // UTS 46 drops some invisible characters and `MailDomain` trims; the form that is kept must have none.
        if domain.chars().any(|c| c.is_whitespace() || is_unprintable(c)) {
            return Err(ParseEmailError::Domain(quotable(&display)));
        }
        let domain = MailDomain::parse(domain).map_err(|_| ParseEmailError::Domain(quotable(&display)))?;
        let key = format!("{}@{}", folded(local), domain.as_str());
        Ok(Self { display, key, domain })
    }

    /// The form that was typed, trimmed and composed.
    pub fn as_str(&self) -> &str {
        &self.display
    }

    /// The key by which two addresses are the same.
    pub fn match_key(&self) -> &str {
        &self.key
    }

    /// The domain in A-label form.
    pub const fn domain(&self) -> &MailDomain {
        &self.domain
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

/// RFC 5322 dot-atom with RFC 6531 characters. Quoted local parts are refused: nobody has one, and they hide tricks.
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| {
                if c.is_ascii() {
                    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
                } else {
                    !c.is_whitespace() && !is_unprintable(c)
                }
            })
    })
}

/// The domain of a mail address, lower-cased in A-label form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailDomain(String);

/// The text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a domain name; write it like acme.example")]
pub struct ParseMailDomainError(String);

impl MailDomain {
    /// Reads a domain name in either form.
    ///
    /// # Errors
    /// Refused by UTS 46, or without a dot.
    pub fn parse(text: &str) -> Result<Self, ParseMailDomainError> {
        let refuse = || ParseMailDomainError(quotable(text));
        let ascii = idna::domain_to_ascii_strict(text.trim()).map_err(|_| refuse())?;
        let labels: Vec<&str> = ascii.split('.').collect();
        let top_is_number = labels.last().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
        if labels.len() < 2 || labels.iter().any(|label| label.is_empty()) || top_is_number {
            return Err(refuse());
        }
        Ok(Self(ascii))
    }

    /// The domain in A-label form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        EmailAddress::parse(text).unwrap().match_key().to_owned()
    }

    #[test]
    fn spelling_does_not_make_a_second_person() {
        assert_eq!(key(" Anna.Kovacs@ACME.example "), "anna.kovacs@acme.example");
        assert_eq!(key("ANNA@Bücher.example"), key("anna@xn--bcher-kva.example"));
        assert_eq!(key("Stra\u{df}e@acme.example"), key("STRASSE@acme.example"));
        assert_eq!(key("e\u{301}va@acme.example"), key("\u{e9}va@acme.example"));
    }

    #[test]
    fn dots_and_tags_count() {
        assert_ne!(key("a.b@acme.example"), key("ab@acme.example"));
        assert_ne!(key("a+x@acme.example"), key("a@acme.example"));
    }

    #[test]
    fn the_typed_form_is_kept() {
        assert_eq!(EmailAddress::parse(" Anna@ACME.example").unwrap().as_str(), "Anna@ACME.example");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for (text, error) in [
            ("", "Empty"),
            ("   ", "Empty"),
            ("anna", "Shape"),
            ("@acme.example", "Shape"),
            ("anna@", "Shape"),
            ("an na@acme.example", "Local"),
            ("an\u{202e}na@acme.example", "Local"),
            ("a..b@acme.example", "Local"),
            ("\"a b\"@acme.example", "Local"),
            ("a@b@acme.example", "Local"),
            ("anna@localhost", "Domain"),
            ("anna@acme..example", "Domain"),
            ("anna@127.0.0.1", "Domain"),
            ("anna@-acme.example", "Domain"),
            ("anna@ acme.example", "Domain"),
            ("anna@\nacme.example", "Domain"),
            ("anna@ac\u{200b}me.example", "Domain"),
        ] {
            let refused = EmailAddress::parse(text).expect_err(text);
            assert!(format!("{refused:?}").starts_with(error), "{text}: {refused:?}");
        }
        assert_eq!(EmailAddress::parse(&format!("{}@acme.example", "a".repeat(250))), Err(ParseEmailError::TooLong));
    }
}
