//! A small issuer of tokens on loopback, for tests and development: it signs what it is told to, and publishes its keys.
//!
//! It has no users, no passwords and no grants. Whoever holds it can be anybody, so that it listens on loopback alone.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::algorithm::Algorithm;

/// A key cannot be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// Keys of this algorithm are not made here.
    #[error("a key for {0} is not made here, since that takes seconds; make one with openssl and read it")]
    NotMade(Algorithm),
    /// Not a private key of the algorithm.
    #[error("it is not a private key for {0} in PKCS #8")]
    NotAKey(Algorithm),
    /// The operating system gave no randomness.
    #[error("there is no randomness to sign with")]
    NoRandomness,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key with the name that it is published by.
pub struct SigningKey {
    id: String,
    pair: Pair,
}

impl SigningKey {
    /// Makes a key for ES256 or `EdDSA`.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn generate(id: &str, algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        Self::from_pkcs8(id, algorithm, &Self::new_pkcs8(algorithm)?)
    }

    /// A new private key for ES256 or `EdDSA` in PKCS #8, DER, to be kept in a file.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn new_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, SigningKeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
            Algorithm::Rs256 => return Err(SigningKeyError::NotMade(algorithm)),
        };
        document.map(|document| document.as_ref().to_vec()).map_err(|_| SigningKeyError::NoRandomness)
    }

    /// Reads a key in PKCS #8, DER.
    ///
    /// # Errors
    /// [`SigningKeyError::NotAKey`].
    pub fn from_pkcs8(id: &str, algorithm: Algorithm, der: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()).map(Pair::P256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(der).map(Pair::Ed25519),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(der).map(Pair::Rsa),
        };
        let pair = pair.map_err(|_| SigningKeyError::NotAKey(algorithm))?;
        Ok(Self { id: id.to_owned(), pair })
    }

    /// The name it is published by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it signs by.
    pub const fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::P256(_) => Algorithm::Es256,
            Pair::Ed25519(_) => Algorithm::EdDsa,
            Pair::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Its public half, as a key set has it.
    pub fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (id, alg) = (&self.id, self.algorithm().to_string());
        match &self.pair {
            Pair::P256(pair) => {
                // An uncompressed point: a mark, then two coordinates of 32 bytes.
                let (x, y) = pair.public_key().as_ref().get(1..).unwrap_or_default().split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y), "kid": id, "alg": alg, "use": "sig"})
            }
            Pair::Ed25519(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "alg": alg, "use": "sig"})
            }
            Pair::Rsa(pair) => {
                let parts: RsaPublicKeyComponents<Vec<u8>> = pair.public().into();
                json!({"kty": "RSA", "n": text(&parts.n), "e": text(&parts.e), "kid": id, "alg": alg, "use": "sig"})
            }
        }
    }

    /// An access token with these claims.
    ///
    /// # Errors
    /// [`SigningKeyError::NoRandomness`].
    pub fn token(&self, claims: &Value) -> Result<String, SigningKeyError> {
        self.sign(&json!({"typ": "at+jwt", "alg": self.algorithm().to_string(), "kid": self.id}), claims)
    }

    /// A token with this header, whatever it says.
    ///
    /// # Errors
    /// [`SigningKeyError::NoRandomness`].
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, SigningKeyError> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.signature(signed.as_bytes()).map_err(|_| SigningKeyError::NoRandomness)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        }
    }
}

/// What is published.
#[derive(Default)]
struct Published {
    keys: RwLock<Vec<Value>>,
    asked: AtomicU64,
    answered_whole: AtomicU64,
}

impl Published {
    fn document(&self) -> String {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        json!({"keys": *keys}).to_string()
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != KEYS {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NOT_FOUND;
            return answer;
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let document = self.document();
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, document.as_bytes())));
        let same = request.headers().get(IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
        let mut answer = Response::new(if same { Full::default() } else { Full::from(document) });
        if same {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            self.answered_whole.fetch_add(1, Ordering::SeqCst);
        }
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        answer
    }
}

const KEYS: &str = "/keys";

/// An issuer on loopback.
pub struct LoopbackIssuer {
    address: SocketAddr,
    published: Arc<Published>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl LoopbackIssuer {
    /// Starts an issuer without keys; port 0 is any that is free.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let issuer = Self { address: listener.local_addr()?, published: Arc::default(), server: Mutex::default() };
        issuer.serve(listener);
        Ok(issuer)
    }

    /// Its name, as its tokens should say in `iss`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where its keys are.
    pub fn keys_url(&self) -> String {
        format!("{}{KEYS}", self.url())
    }

    /// Publishes a key beside those that are there.
    pub fn publish(&self, key: &SigningKey) {
        self.published.keys.write().unwrap_or_else(PoisonError::into_inner).push(key.public());
    }

    /// Publishes a key no longer.
    pub fn withdraw(&self, id: &str) {
        self.published.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|key| key["kid"] != id);
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> u64 {
        self.published.asked.load(Ordering::SeqCst)
    }

    /// How often it answered with all its keys, and not that they are the same.
    pub fn answered_whole(&self) -> u64 {
        self.published.answered_whole.load(Ordering::SeqCst)
    }

    /// Stops to listen, and cuts the connections.
    pub async fn stop(&self) {
        let server = self.take();
        if let Some(server) = server {
            server.abort();
            // An error says that it was aborted, as it was meant to be.
            let _aborted = server.await.is_err();
        }
    }

    /// Listens again at the same address.
    ///
    /// # Errors
    /// Something else took the port.
    pub async fn start_again(&self) -> io::Result<()> {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener);
        Ok(())
    }

    fn take(&self) -> Option<JoinHandle<()>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn serve(&self, listener: TcpListener) {
        let published = self.published.clone();
        let server = tokio::spawn(async move {
            // Dropped with this task, and its connections with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let published = published.clone();
                let answer = service_fn(move |request| {
                    let answer = published.answer(&request);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
                while connections.try_join_next().is_some() {}
            }
        });
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }
}

impl Drop for LoopbackIssuer {
    fn drop(&mut self) {
        if let Some(server) = self.take() {
            server.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_kept_is_the_same_when_it_is_read_again() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let kept = SigningKey::new_pkcs8(algorithm).unwrap();
            let read = || SigningKey::from_pkcs8("k", algorithm, &kept).unwrap().public();
            assert_eq!(read(), read());
            let other = SigningKey::generate("k", algorithm).unwrap();
            assert_ne!(read(), other.public());
        }
        assert_eq!(SigningKey::new_pkcs8(Algorithm::Rs256), Err(SigningKeyError::NotMade(Algorithm::Rs256)));
        let wrong = SigningKey::from_pkcs8("k", Algorithm::Es256, &SigningKey::new_pkcs8(Algorithm::EdDsa).unwrap());
        assert!(matches!(wrong, Err(SigningKeyError::NotAKey(Algorithm::Es256))));
    }
}
