//! The public keys of an issuer, as its key set (RFC 7517) names them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

use crate::algorithm::Algorithm;

/// An issuer with more keys than this is not one that we know how to read; each unknown key costs a look at all.
const MOST_KEYS: usize = 100;

/// The document is not a set of keys that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySetError {
    /// Not JSON, or without `keys`.
    #[error("the document is not a JSON Web Key Set; give the address of one")]
    Form,
    /// No key of an accepted kind.
    #[error("none of its {0} keys is a signature key for ES256, EdDSA or RS256")]
    NoneFits(usize),
    /// Too many.
    #[error("it has {0} keys; at most {MOST_KEYS} are read")]
    TooMany(usize),
}

/// A public key. Its kind alone tells the algorithm, whatever a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// A key with the name that its issuer gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    id: Option<String>,
    material: Material,
}

impl Key {
    pub(crate) const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// Whether the signature is of this key over the message.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.is_ok()
    }
}

/// The keys that an issuer publishes at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<Arc<Key>>);

/// Which key a token wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sought<'a> {
    /// By its name.
    Named(&'a str),
    /// The token names none: the only one for its algorithm.
    Only,
}

/// What the set has for a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The key.
    Key(&'a Arc<Key>),
    /// The token names no key, and the set has several for its algorithm.
    Several,
    /// Nothing.
    Nothing,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds and uses, and keys that are not well formed, are left out: an issuer may publish
    /// what is meant for others.
    pub(crate) fn read(document: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = serde_json::from_slice(document).map_err(|_| KeySetError::Form)?;
        let all = document.keys.len();
        if all > MOST_KEYS {
            return Err(KeySetError::TooMany(all));
        }
        let mut keys: Vec<Arc<Key>> = Vec::new();
        for key in document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).filter_map(Jwk::usable)
        {
            // Of two keys with one name and kind the first counts: a token could not tell which it means.
            if !keys.iter().any(|known| known.id == key.id && known.algorithm() == key.algorithm() && key.id.is_some())
            {
                keys.push(Arc::new(key));
            }
        }
        if keys.is_empty() { Err(KeySetError::NoneFits(all)) } else { Ok(Self(keys)) }
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn find(&self, sought: Sought<'_>, algorithm: Algorithm) -> Found<'_> {
        let mut fit = self.0.iter().filter(|key| key.algorithm() == algorithm);
        match sought {
            Sought::Only => match (fit.next(), fit.next()) {
                (Some(key), None) => Found::Key(key),
                (Some(_), Some(_)) => Found::Several,
                (None, _) => Found::Nothing,
            },
            Sought::Named(name) => fit.find(|key| key.id.as_deref() == Some(name)).map_or(Found::Nothing, Found::Key),
        }
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// The members of a key that matter here (RFC 7518 section 6, RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwk {
    fn usable(self) -> Option<Key> {
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|op| op == "verify"));
        let key = Key { material: self.material()?, id: self.kid };
        let fits = self.alg.is_none_or(|named| named.parse() == Ok(key.algorithm()));
        (signs && fits).then_some(key)
    }

    fn material(&self) -> Option<Material> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
                // Uncompressed point, SEC 1 section 2.3.3.
                (x.len() == 32 && y.len() == 32).then(|| Material::P256([vec![4], x, y].concat()))
            }
            ("OKP", Some("Ed25519")) => bytes(self.x.as_ref()).filter(|x| x.len() == 32).map(Material::Ed25519),
            ("RSA", None) => {
                let (n, e) = (number(self.n.as_ref())?, number(self.e.as_ref())?);
                // Shorter keys can be factored, and longer ones only cost time.
                (256..=1024).contains(&n.len()).then_some(Material::Rsa { n, e })
            }
            _ => None,
        }
    }
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

/// A number without leading zeros, which some issuers write though they must not.
fn number(text: Option<&String>) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const P256: (&str, &str) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const RSA: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

    fn p256(change: &Value) -> Value {
        changed(json!({"kty": "EC", "crv": "P-256", "x": P256.0, "y": P256.1, "kid": "p"}), change)
    }

    fn ed25519(change: &Value) -> Value {
        changed(json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "e"}), change)
    }

    fn rsa(change: &Value) -> Value {
        changed(json!({"kty": "RSA", "n": RSA, "e": "AQAB", "kid": "r"}), change)
    }

    fn changed(mut key: Value, change: &Value) -> Value {
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn read(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
    }

    /// Signatures that others made: RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.4.
    #[test]
    fn the_examples_of_the_standards_verify_and_a_changed_one_does_not() {
        let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let examples = [
            (
                rsa(&json!({})),
                format!("eyJhbGciOiJSUzI1NiJ9.{claims}"),
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            ),
            (
                p256(&json!({})),
                format!("eyJhbGciOiJFUzI1NiJ9.{claims}"),
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                ed25519(&json!({})),
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
        ];
        for (key, message, signature) in examples {
            let set = read(&[key]).unwrap();
            let key = &set.0[0];
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert!(key.has_signed(message.as_bytes(), &signature), "{}", key.algorithm());
            assert!(!key.has_signed(format!("{message}A").as_bytes(), &signature));
            assert!(!key.has_signed(message.as_bytes(), &[]));
            for i in 0..signature.len() {
                let mut other = signature.clone();
                other[i] ^= 1;
                assert!(!key.has_signed(message.as_bytes(), &other), "byte {i}");
            }
        }
    }

    #[test]
    fn zero_is_no_signature() {
        for key in [p256(&json!({})), ed25519(&json!({})), rsa(&json!({}))] {
            let set = read(&[key]).unwrap();
            for len in [0, 64, 256] {
                assert!(!set.0[0].has_signed(b"message", &vec![0; len]), "{} {len}", set.0[0].algorithm());
            }
        }
        let origin = ed25519(&json!({"x": URL_SAFE_NO_PAD.encode([0; 32])}));
        assert!(!read(&[origin]).unwrap().0[0].has_signed(b"message", &[0; 64]), "a point that is no key");
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_left_out() {
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        for odd in [
            p256(&json!({"use": "enc"})),
            p256(&json!({"key_ops": ["sign"]})),
            p256(&json!({"alg": "ES384"})),
            p256(&json!({"crv": "P-384"})),
            p256(&json!({"y": "AAAA"})),
            p256(&json!({"x": "!"})),
            p256(&json!({"x": null})),
            p256(&json!({"kid": 7})),
            ed25519(&json!({"crv": "X25519"})),
            ed25519(&json!({"alg": "RS256"})),
            ed25519(&json!({"x": P256.0.repeat(2)})),
            rsa(&json!({"alg": "RS512"})),
            rsa(&json!({"n": short})),
            rsa(&json!({"n": ""})),
            rsa(&json!({"e": null})),
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "h"}),
            json!({"kid": "nothing"}),
            json!("text"),
            json!(null),
        ] {
            assert_eq!(read(std::slice::from_ref(&odd)), Err(KeySetError::NoneFits(1)), "{odd}");
            assert_eq!(read(&[odd, p256(&json!({}))]).map(|set| set.len()), Ok(1));
        }
        for plain in [
            p256(&json!({"use": "sig", "key_ops": ["verify", "sign"], "alg": "ES256", "x5c": ["unused"]})),
            p256(&json!({"kid": null})),
            ed25519(&json!({"alg": "EdDSA"})),
            ed25519(&json!({"alg": "Ed25519"})),
        ] {
            assert_eq!(read(std::slice::from_ref(&plain)).map(|set| set.len()), Ok(1), "{plain}");
        }
        let zeros = [vec![0, 0], URL_SAFE_NO_PAD.decode(RSA).unwrap()].concat();
        let padded = rsa(&json!({"n": URL_SAFE_NO_PAD.encode(zeros)}));
        assert_eq!(read(&[padded]), read(&[rsa(&json!({}))]), "leading zeros are not part of a number");
    }

    #[test]
    fn a_key_is_found_by_its_name_and_kind_or_by_being_the_only_one() {
        use Algorithm::{EdDsa, Es256, Rs256};
        let set = read(&[
            p256(&json!({})),
            p256(&json!({"kid": "other"})),
            ed25519(&json!({"kid": "p"})),
            ed25519(&json!({"kid": "p", "x": P256.0})),
        ])
        .unwrap();
        assert_eq!(set.len(), 3, "the second of one name and kind is left out");
        let (first, second, ed) = (&set.0[0], &set.0[1], &set.0[2]);
        for (sought, algorithm, found) in [
            (Sought::Named("p"), Es256, Found::Key(first)),
            (Sought::Named("p"), EdDsa, Found::Key(ed)),
            (Sought::Named("other"), Es256, Found::Key(second)),
            (Sought::Named("other"), EdDsa, Found::Nothing),
            (Sought::Named(""), Es256, Found::Nothing),
            (Sought::Only, EdDsa, Found::Key(ed)),
            (Sought::Only, Es256, Found::Several),
            (Sought::Only, Rs256, Found::Nothing),
        ] {
            assert_eq!(set.find(sought, algorithm), found, "{sought:?} {algorithm}");
        }
    }

    #[test]
    fn what_is_no_set_is_an_error_that_says_so() {
        for text in ["", "{}", "[]", "{\"keys\":{}}", "<html></html>", "{\"keys\":[}"] {
            assert_eq!(KeySet::read(text.as_bytes()), Err(KeySetError::Form), "{text}");
        }
        assert_eq!(read(&[]), Err(KeySetError::NoneFits(0)));
        assert_eq!(read(&vec![p256(&json!({})); 101]), Err(KeySetError::TooMany(101)));
    }
}
