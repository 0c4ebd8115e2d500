//! The signature algorithms that are accepted, by the names that tokens give them.

use std::fmt;
use std::str::FromStr;

/// An algorithm by which an issuer may sign. There is none with a shared secret, and no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519. RFC 9864 names it `Ed25519`; most issuers still say `EdDSA`.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256, with keys of 2,048 to 8,192 bits.
    Rs256,
}

const NAMES: [(&str, Algorithm); 4] = [
    ("ES256", Algorithm::Es256),
    ("EdDSA", Algorithm::EdDsa),
    ("RS256", Algorithm::Rs256),
    ("Ed25519", Algorithm::EdDsa),
];

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, algorithm)| algorithm == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Not an algorithm that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not accepted; there are ES256, EdDSA and RS256")]
pub struct ParseAlgorithmError(String);

impl FromStr for Algorithm {
    type Err = ParseAlgorithmError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, algorithm)| *algorithm).ok_or_else(|| ParseAlgorithmError(text.to_owned()))
    }
}
