//! Which tokens are believed, and what a believed one says of service and person.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::actor::ServicePrincipal;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::Identity;
use domicile_domain::port::authenticator::PersonClaim;
use domicile_domain::port::runtime::Clock;

use crate::cache::{Cache, Fingerprint};
use crate::fault::{Fault, LONGEST_TOKEN};
use crate::key_source::{IssuerStatus, Keeping, KeySource};
use crate::keys::Sought;
use crate::origin::KeyOrigin;
use crate::services::Services;
use crate::settings::{IssuerConfig, TokenType};
use crate::token::{Claims, Header, Seconds, Token};

/// How long a good token is not checked again. A key that its issuer withdraws ends it at the next look in any case.
const REMEMBERED: Duration = Duration::from_mins(1);

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) service: ProvenService,
    pub(crate) person: Option<PersonClaim>,
}

/// The service of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProvenService {
    /// One of ours.
    Known(Arc<ServicePrincipal>),
    /// The client is no service here. A person's own token may be of any client; then the connection must tell the service.
    UnknownClient,
}

/// An issuer with its keys.
struct Issuer {
    config: IssuerConfig,
    keys: KeySource,
}

/// A good token, until when it is remembered, and by which keys it is good.
#[derive(Clone)]
struct Remembered {
    proof: Arc<Proof>,
    until: Timestamp,
    issuer: String,
    generation: u64,
}

/// Checks tokens.
pub(crate) struct TokenVerifier {
    issuers: BTreeMap<String, Issuer>,
    clock: Arc<dyn Clock>,
    good: Cache<Remembered>,
}

impl TokenVerifier {
    pub(crate) fn start(issuers: Vec<(IssuerConfig, Arc<dyn KeyOrigin>)>, clock: Arc<dyn Clock>) -> Self {
        let started = issuers.into_iter().map(|(config, origin)| {
            let keeping = Keeping { issuer: config.url.clone(), refresh: config.refresh, max_stale: config.max_stale };
            let keys = KeySource::start(keeping, origin, clock.clone());
            (config.url.clone(), Issuer { config, keys })
        });
        let issuers = started.collect();
        Self { issuers, clock, good: Cache::new() }
    }

    pub(crate) fn status(&self) -> Vec<IssuerStatus> {
        self.issuers.values().map(|issuer| issuer.keys.status()).collect()
    }

    /// What the token proves.
    pub(crate) async fn verify(&self, text: &str, services: &Services) -> Result<Arc<Proof>, Fault> {
        if text.len() > LONGEST_TOKEN {
            return Err(Fault::Oversized);
        }
        let fingerprint = Fingerprint::of(text);
        if let Some(known) = self.good.get(fingerprint).filter(|known| self.holds(known)) {
            return Ok(known.proof);
        }
        let token = Token::read(text)?;
        let url = token.claims.issuer()?;
        let issuer = self.issuers.get(url).ok_or(Fault::Issuer)?;
        let generation = issuer.check_signature(&token, self.seconds()).await?;
        // Waiting for a key takes time, so that it is looked at again.
        let until = issuer.config.check_claims(&token.claims, self.seconds())?;
        let proof = Arc::new(issuer.config.proof(&token.claims, services)?);
        let now = self.clock.now();
        let until = now.after(REMEMBERED).min(Timestamp::from_micros(until.saturating_mul(1_000_000)));
        let remembered = Remembered { proof: proof.clone(), until, issuer: url.to_owned(), generation };
        self.good.put(fingerprint, remembered);
        Ok(proof)
    }

    fn holds(&self, known: &Remembered) -> bool {
        let generation = self.issuers.get(&known.issuer).and_then(|issuer| issuer.keys.generation());
        generation == Some(known.generation) && self.clock.now() < known.until
    }

    fn seconds(&self) -> Seconds {
        self.clock.now().as_micros().div_euclid(1_000_000)
    }
}

impl Issuer {
    /// The generation of the keys by which the token is signed.
    async fn check_signature(&self, token: &Token<'_>, now: Seconds) -> Result<u64, Fault> {
        let Header { algorithm, key, .. } = &token.header;
        self.config.check_type(&token.header)?;
        if !self.config.algorithms.contains(algorithm) {
            return Err(Fault::AlgorithmOfIssuer);
        }
        // Before the key: an old token of a key that is withdrawn is told that it is old, and costs no look at the issuer.
        self.config.check_expiry(&token.claims, now)?;
        let sought = key.as_deref().map_or(Sought::Only, Sought::Named);
        let known = self.keys.key(sought, *algorithm).await?;
        if !known.key.has_signed(token.signed.as_bytes(), &token.signature) {
            return Err(Fault::Signature);
        }
        Ok(known.generation)
    }
}

impl IssuerConfig {
    fn check_type(&self, header: &Header) -> Result<(), Fault> {
        let typ = match header.typ.as_deref() {
            Some("at+jwt") => Some(TokenType::AccessToken),
            None | Some("jwt") => Some(TokenType::Jwt),
            Some(_) => None,
        };
        if typ.is_some_and(|typ| self.types.contains(&typ)) { Ok(()) } else { Err(Fault::Type) }
    }

    /// The first second at which the token is no longer good.
    fn check_expiry(&self, claims: &Claims, now: Seconds) -> Result<Seconds, Fault> {
        let end = claims.expires()?.saturating_add(whole(self.leeway));
        if now < end { Ok(end) } else { Err(Fault::Expired) }
    }

    /// Whether the token is of the right time and for us; until when that holds.
    fn check_claims(&self, claims: &Claims, now: Seconds) -> Result<Seconds, Fault> {
        let leeway = whole(self.leeway);
        let issued = claims.issued()?;
        let begin = claims.not_before()?.map_or(issued, |begin| begin.max(issued));
        if begin > now.saturating_add(leeway) {
            return Err(Fault::NotYet);
        }
        let expires = self.check_expiry(claims, now)?;
        let too_old = issued.saturating_add(whole(self.max_age)).saturating_add(leeway);
        if now >= too_old {
            return Err(Fault::TooOld);
        }
        if !claims.is_for(&self.audience)? {
            return Err(Fault::Audience(self.audience.clone()));
        }
        Ok(expires.min(too_old))
    }

    fn proof(&self, claims: &Claims, services: &Services) -> Result<Proof, Fault> {
        let (named, subject, actor) = (claims.client()?, claims.subject()?, claims.actor()?);
        let client = named.and_then(|named| services.client(&self.url, named));
        let of_client = client.map(|client| &client.service);
        let service = match actor {
            None => of_client,
            Some(actor) => {
                let acting = services.of_subject(&self.url, actor).ok_or(Fault::ActingService)?;
                if of_client.is_some_and(|client| client.name != acting.name) {
                    return Err(Fault::TwoServices);
                }
                Some(acting)
            }
        };
        let own_subject = client.map(|client| client.subject.as_str()).or(named);
        let person = if actor.is_none() && own_subject == Some(subject) {
            // A token that the client got for itself tells of no person; without a service it tells nothing.
            service.ok_or(Fault::Client)?;
            None
        } else {
            Some(PersonClaim::Proven {
                identity: Identity { issuer: self.url.clone(), subject: subject.to_owned() },
                own: actor.is_none() && !client.is_some_and(|client| client.exchanges),
                verified_email: claims.verified_email().and_then(|email| EmailAddress::parse(email).ok()),
                trusted_for: self.trusted_for.clone(),
            })
        };
        Ok(Proof { service: service.map_or(ProvenService::UnknownClient, |s| ProvenService::Known(s.clone())), person })
    }
}

fn whole(duration: Duration) -> Seconds {
    Seconds::try_from(duration.as_secs()).unwrap_or(Seconds::MAX)
}
