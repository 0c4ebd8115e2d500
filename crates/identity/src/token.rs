//! A token as text (RFC 7515, compact form) and what it says. Nothing here is believed before its signature is checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Number, Value};

use crate::algorithm::Algorithm;
use crate::fault::Fault;

/// What the header says of the token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Option<String>,
    /// In lower case and without `application/`, as RFC 7515 section 4.1.9 compares it.
    pub(crate) typ: Option<String>,
}

/// A token, read and not yet believed.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) header: Header,
    pub(crate) claims: Claims,
    /// What the signature is over.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Fault> {
        let (signed, signature) = text.rsplit_once('.').ok_or(Fault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Fault::Malformed)?;
        let header = Header::read(json(header)?)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Fault::Malformed)?;
        Ok(Self { header, claims: json(claims)?, signed, signature })
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Fault::Malformed)
}

/// The header's members. `jku`, `jwk`, `x5u` and `x5c` are not among them: a token does not bring the key it is checked with.
#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Header {
    fn read(raw: RawHeader) -> Result<Self, Fault> {
        let algorithm = raw.alg.parse().map_err(|_| Fault::Algorithm)?;
        if raw.crit.is_some() {
            return Err(Fault::Extension);
        }
        let typ = raw.typ.map(|typ| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").map(ToOwned::to_owned).unwrap_or(typ)
        });
        Ok(Self { algorithm, key: raw.kid, typ })
    }
}

/// The claims that matter here. One that is there twice is no JSON that we read.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    iss: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
    client_id: Option<Value>,
    azp: Option<Value>,
    act: Option<Value>,
    email: Option<Value>,
    email_verified: Option<Value>,
}

/// An instant of a token: whole seconds since 1970-01-01T00:00:00Z.
pub(crate) type Seconds = i64;

/// The end of the year 9999. What lies beyond is a mistake, and sums with it could overflow.
const LAST_SECOND: Seconds = 253_402_300_799;
/// As long as a `sub` of `OpenID` Connect may be; what is bound to a user must fit.
const LONGEST_NAME: usize = 255;

impl Claims {
    pub(crate) fn issuer(&self) -> Result<&str, Fault> {
        name("iss", self.iss.as_ref())
    }

    pub(crate) fn subject(&self) -> Result<&str, Fault> {
        name("sub", self.sub.as_ref())
    }

    pub(crate) fn expires(&self) -> Result<Seconds, Fault> {
        instant("exp", self.exp.as_ref())?.ok_or(Fault::Claim("exp"))
    }

    pub(crate) fn issued(&self) -> Result<Seconds, Fault> {
        instant("iat", self.iat.as_ref())?.ok_or(Fault::Claim("iat"))
    }

    pub(crate) fn not_before(&self) -> Result<Option<Seconds>, Fault> {
        instant("nbf", self.nbf.as_ref())
    }

    /// Whether the audience is among those of the token.
    pub(crate) fn is_for(&self, audience: &str) -> Result<bool, Fault> {
        match self.aud.as_ref() {
            Some(Value::String(one)) => Ok(one == audience),
            Some(Value::Array(several)) => Ok(several.iter().any(|one| one == audience)),
            _ => Err(Fault::Claim("aud")),
        }
    }

    /// The client that the token was issued to: `client_id` (RFC 9068), or `azp` of issuers that came before it.
    pub(crate) fn client(&self) -> Result<Option<&str>, Fault> {
        let client = self.client_id.as_ref().map(|value| name("client_id", Some(value))).transpose()?;
        let party = self.azp.as_ref().map(|value| name("azp", Some(value))).transpose()?;
        match (client, party) {
            (Some(client), Some(party)) if client != party => Err(Fault::TwoClients),
            _ => Ok(client.or(party)),
        }
    }

    /// The service that acts, of a token that was exchanged (RFC 8693 section 4.1). Those before it in the chain are history.
    pub(crate) fn actor(&self) -> Result<Option<&str>, Fault> {
        let Some(act) = &self.act else { return Ok(None) };
        let issuer = act.get("iss");
        // A service is configured by the issuer of the token that names it; another issuer's name for it proves nothing.
        if issuer.is_some() && issuer != self.iss.as_ref() {
            return Err(Fault::Claim("act.iss"));
        }
        name("act.sub", act.get("sub")).map(Some)
    }

    /// The email that the issuer says it has verified.
    pub(crate) fn verified_email(&self) -> Option<&str> {
        let verified = self.email_verified.as_ref().and_then(Value::as_bool) == Some(true);
        self.email.as_ref().and_then(Value::as_str).filter(|_| verified)
    }
}

/// A name that can be compared and kept.
fn name<'a>(claim: &'static str, value: Option<&'a Value>) -> Result<&'a str, Fault> {
    let fits = |name: &&str| (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    value.and_then(Value::as_str).filter(fits).ok_or(Fault::Claim(claim))
}

/// An instant, rounded down to the second: RFC 7519 allows fractions.
fn instant(claim: &'static str, value: Option<&Number>) -> Result<Option<Seconds>, Fault> {
    let Some(number) = value else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "rounds down to the second, and the range is checked after it")]
    let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
    match seconds {
        Some(seconds @ 0..=LAST_SECOND) => Ok(Some(seconds)),
        _ => Err(Fault::Claim(claim)),
    }
}
