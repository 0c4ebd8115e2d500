//! Tokens sealed with XChaCha20-Poly1305, and fingerprints by HMAC-SHA256.

use std::path::Path;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use domicile_domain::port::sealer::{ForeignToken, SealError, SealPurpose, Sealer};
use hmac::{Hmac, Mac};
use sha2::Sha256;

const KEY: usize = 32;
const NONCE: usize = 24;
/// Contents are padded to a multiple of this, so that the length of a token tells nothing.
const BLOCK: usize = 64;

/// Keeps fingerprints apart from whatever else the key may come to sign.
const FINGERPRINT: &[u8] = b"domicile fingerprint\0";

/// Seals and takes fingerprints with the first key, and opens with any.
pub(crate) struct AeadSealer {
    keys: Vec<XChaCha20Poly1305>,
    fingerprints: Option<Hmac<Sha256>>,
}

impl AeadSealer {
    pub(crate) fn new(keys: &[[u8; KEY]]) -> Self {
        let fingerprints = keys.first().and_then(|key| Hmac::new_from_slice(key).ok());
        Self { keys: keys.iter().map(|key| XChaCha20Poly1305::new(&Key::from(*key))).collect(), fingerprints }
    }

    /// Reads the key of a data folder, or makes one, readable by its owner alone.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let key = if path.exists() {
            let content = std::fs::read(path).with_context(|| format!("the key {} cannot be read", path.display()))?;
            match content.try_into() {
                Ok(key) => key,
                Err(_) => bail!("the key {} is not 32 bytes; delete it to make a new one", path.display()),
            }
        } else {
            let key = random::<KEY>()?;
            crate::files::write_private(path, &key)?;
            key
        };
        Ok(Self::new(&[key]))
    }
}

/// Randomness of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(bytes)
}

/// Bound to the token as associated data, so that a token of one purpose never opens as another.
const fn purpose_word(purpose: SealPurpose) -> &'static [u8] {
    match purpose {
        SealPurpose::MatchHandle => b"match-handle",
        SealPurpose::PageToken => b"page-token",
        SealPurpose::ConsistencyToken => b"consistency-token",
    }
}

/// Two bytes of length, the content, zeros up to the block.
fn padded(content: &[u8]) -> Result<Vec<u8>, SealError> {
    let length = u16::try_from(content.len()).map_err(|_| SealError("the content is too long".to_owned()))?;
    let mut block = length.to_be_bytes().to_vec();
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(BLOCK), 0);
    Ok(block)
}

fn unpadded(block: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = block.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length))).map(<[u8]>::to_vec)
}

impl Sealer for AeadSealer {
    fn seal(&self, purpose: SealPurpose, content: &[u8]) -> Result<String, SealError> {
        let key = self.keys.first().ok_or_else(|| SealError("there is no key".to_owned()))?;
        let nonce = random::<NONCE>().map_err(|error| SealError(error.to_string()))?;
        let block = padded(content)?;
        let payload = Payload { msg: &block, aad: purpose_word(purpose) };
        let sealed =
            key.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError("encryption failed".to_owned()))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    fn open(&self, purpose: SealPurpose, token: &str) -> Result<Vec<u8>, ForeignToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| ForeignToken)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(ForeignToken)?;
        let nonce = XNonce::from(*nonce);
        let aad = purpose_word(purpose);
        let opened = self.keys.iter().find_map(|key| key.decrypt(&nonce, Payload { msg: sealed, aad }).ok());
        opened.as_deref().and_then(unpadded).ok_or(ForeignToken)
    }

    fn fingerprint(&self, content: &[u8]) -> Result<u64, SealError> {
        let keyed = self.fingerprints.as_ref().ok_or_else(|| SealError("there is no key".to_owned()))?;
        let code = keyed.clone().chain_update(FINGERPRINT).chain_update(content).finalize().into_bytes();
        let first = code.first_chunk::<8>().ok_or_else(|| SealError("the code is too short".to_owned()))?;
        Ok(u64::from_be_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_for_its_purpose_alone() {
        let sealer = AeadSealer::new(&[[7; 32]]);
        let token = sealer.seal(SealPurpose::MatchHandle, b"content").unwrap();
        assert_eq!(sealer.open(SealPurpose::MatchHandle, &token), Ok(b"content".to_vec()));
        assert_eq!(sealer.open(SealPurpose::PageToken, &token), Err(ForeignToken));
    }

    #[test]
    fn a_changed_or_foreign_token_is_refused() {
        let sealer = AeadSealer::new(&[[7; 32]]);
        let token = sealer.seal(SealPurpose::PageToken, b"x").unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character carries bits that decode to nothing; a decoder may refuse or ignore them.
            if at + 1 < token.len() {
                assert_eq!(sealer.open(SealPurpose::PageToken, &changed), Err(ForeignToken), "{at}");
            }
        }
        for token in ["", "x", "%%%", "AAAA"] {
            assert_eq!(sealer.open(SealPurpose::PageToken, token), Err(ForeignToken));
        }
        assert_eq!(AeadSealer::new(&[[8; 32]]).open(SealPurpose::PageToken, &token), Err(ForeignToken));
    }

    #[test]
    fn an_older_key_still_opens() {
        let token = AeadSealer::new(&[[1; 32]]).seal(SealPurpose::PageToken, b"x").unwrap();
        assert_eq!(AeadSealer::new(&[[2; 32], [1; 32]]).open(SealPurpose::PageToken, &token), Ok(b"x".to_vec()));
    }

    #[test]
    fn a_fingerprint_is_the_same_under_one_key_and_another_under_another() {
        let of = |keys: &[[u8; 32]], content: &[u8]| AeadSealer::new(keys).fingerprint(content).unwrap();
        assert_eq!(of(&[[7; 32]], b"x"), of(&[[7; 32], [1; 32]], b"x"));
        assert_ne!(of(&[[7; 32]], b"x"), of(&[[7; 32]], b"y"));
        assert_ne!(of(&[[7; 32]], b"x"), of(&[[8; 32], [7; 32]], b"x"));
        assert!(AeadSealer::new(&[]).fingerprint(b"x").is_err());
    }

    #[test]
    fn the_length_tells_nothing_and_no_two_tokens_are_alike() {
        let sealer = AeadSealer::new(&[[7; 32]]);
        let token = |content: &[u8]| sealer.seal(SealPurpose::MatchHandle, content).unwrap();
        assert_eq!(token(b"").len(), token(&[0; 62]).len());
        assert_ne!(token(b"x"), token(b"x"));
    }
}
