//! Tokens that anybody can read: for tests alone.

use std::fmt::Write;

use domicile_domain::port::sealer::{ForeignToken, SealError, SealPurpose, Sealer};

/// Writes the content as it is, padded like a real sealer, with a check that is no secret.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainSealer;

const BLOCK: usize = 64;
const LENGTH: usize = 4;

const fn tag(purpose: SealPurpose) -> u8 {
    match purpose {
        SealPurpose::MatchHandle => 1,
        SealPurpose::PageToken => 2,
        SealPurpose::ConsistencyToken => 3,
    }
}

/// FNV-1a over a first byte and the content: finds changes, keeps nobody from making them.
fn sum(first: u8, body: &[u8]) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325_u64 ^ u64::from(first)).wrapping_mul(0x0100_0000_01b3);
    body.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn check(purpose: SealPurpose, body: &[u8]) -> String {
    format!("{:016x}", sum(tag(purpose), body))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|d| d.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit)).collect())
}

impl Sealer for PlainSealer {
    fn seal(&self, purpose: SealPurpose, content: &[u8]) -> Result<String, SealError> {
        let length = u32::try_from(content.len()).map_err(|_| SealError("the content is too long".to_owned()))?;
        let mut body = length.to_be_bytes().to_vec();
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(BLOCK), 0);
        let mut token = check(purpose, &body);
        for byte in body {
            write!(token, "{byte:02x}").map_err(|e| SealError(e.to_string()))?;
        }
        Ok(token)
    }

    fn open(&self, purpose: SealPurpose, token: &str) -> Result<Vec<u8>, ForeignToken> {
        let (sum, body) = token.split_at_checked(16).ok_or(ForeignToken)?;
        let body = unhex(body).ok_or(ForeignToken)?;
        if check(purpose, &body) != sum {
            return Err(ForeignToken);
        }
        let (length, rest) = body.split_first_chunk::<LENGTH>().ok_or(ForeignToken)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| ForeignToken)?;
        rest.get(..length).map(<[u8]>::to_vec).ok_or(ForeignToken)
    }

    fn fingerprint(&self, content: &[u8]) -> Result<u64, SealError> {
        Ok(sum(0, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_its_own_and_nothing_else() {
        let token = PlainSealer.seal(SealPurpose::PageToken, b"place").unwrap();
        assert_eq!(PlainSealer.open(SealPurpose::PageToken, &token), Ok(b"place".to_vec()));
        assert_eq!(PlainSealer.open(SealPurpose::MatchHandle, &token), Err(ForeignToken));
        let changed = format!("{}0", &token[..token.len() - 1]);
        let changed = if changed == token { format!("{}1", &token[..token.len() - 1]) } else { changed };
        assert_eq!(PlainSealer.open(SealPurpose::PageToken, &changed), Err(ForeignToken));
        for text in
            ["", "x", "0123456789abcdef", "0123456789abcdefg0", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}a"]
        {
            assert_eq!(PlainSealer.open(SealPurpose::PageToken, text), Err(ForeignToken), "{text}");
        }
    }

    #[test]
    fn the_length_tells_nothing_within_a_block() {
        let length = |n: usize| PlainSealer.seal(SealPurpose::PageToken, &vec![b'x'; n]).unwrap().len();
        assert_eq!(length(0), length(60));
        assert!(length(60) < length(61));
    }
}
