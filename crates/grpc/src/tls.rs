//! The server's certificate, read from files and read again when they change: connections that are open stay, new ones
//! get the new certificate. What is broken or half written is refused, and what was good before goes on.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::time::Timestamp;
use domicile_domain::port::authenticator::PeerNames;
use domicile_domain::port::runtime::Clock;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use webpki::EndEntityCert;

use crate::expiry::{TOLD_BEFORE, TOLD_EVERY, not_after};
use crate::measures;

/// How often the files are read again. They are a few kilobytes.
const REREAD_EVERY: Duration = Duration::from_secs(5);

/// Where the server's certificate stands, and from whom it wants one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate and those between it and its root, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The roots under which client certificates stand, PEM; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused. A certificate of another root is refused in any case.
    pub require_client_certificate: bool,
}

/// The certificate cannot be served. Says which file, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the {what} `{}` cannot be read: {error}; check the path and who may read it", .path.display())]
    Unreadable {
        /// Which file.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("the {what} `{}` cannot be used: {detail}; it must be PEM, as `openssl` writes it", .path.display())]
    Unusable {
        /// Which file.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The certificate and the key are not a pair.
    #[error(
        "the certificate `{}` and its key cannot be served: {detail}; put the certificate first, and the key that belongs \
         to it", .path.display()
    )]
    NotAPair {
        /// Where the certificate stands.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Nobody could call.
    #[error(
        "client certificates are required, but there is no root to check them with; name the file of the client CA"
    )]
    NoClientCa,
}

/// What reading the files again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files are as they were.
    Unchanged,
    /// New connections get what they hold now.
    Changed,
}

/// The certificate in use. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Tls {
    settings: TlsSettings,
    served: watch::Sender<Served>,
    /// A digest of what was read last, good or not, so that a broken file is told once.
    last_read: Arc<Mutex<[u8; 32]>>,
}

/// What new connections get.
#[derive(Debug, Clone)]
struct Served {
    config: Arc<ServerConfig>,
    /// The last second at which the certificate holds, if that can be read.
    expires: Option<Timestamp>,
}

/// The files as they were read.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]; there is nothing to serve with.
    pub async fn open(settings: TlsSettings) -> Result<Self, TlsError> {
        let files = Files::read(&settings).await?;
        let served = watch::Sender::new(files.served(&settings)?);
        Ok(Self { settings, served, last_read: Arc::new(Mutex::new(files.digest())) })
    }

    /// Reads the files again; the server does so every few seconds by itself.
    ///
    /// # Errors
    /// [`TlsError`] once for a content that cannot be served; what was good before goes on.
    pub async fn reload(&self) -> Result<Reloaded, TlsError> {
        // Held to the end, so that of two readers at once the later one wins.
        let mut last_read = self.last_read.lock().await;
        let files = match Files::read(&self.settings).await {
            Ok(files) => files,
            Err(_) if *last_read == UNREADABLE => return Ok(Reloaded::Unchanged),
            Err(error) => {
                *last_read = UNREADABLE;
                return Err(error);
            }
        };
        let digest = files.digest();
        if *last_read == digest {
            return Ok(Reloaded::Unchanged);
        }
        *last_read = digest;
        self.served.send_replace(files.served(&self.settings)?);
        Ok(Reloaded::Changed)
    }

    /// Reads the files again and again, and tells in the log what changed, and when the certificate is about to expire.
    pub(crate) async fn keep_fresh(&self, clock: &dyn Clock) -> Infallible {
        let mut told_at = None;
        loop {
            self.tell_expiry(clock.now(), &mut told_at);
            tokio::time::sleep(REREAD_EVERY).await;
            let certificate = self.settings.certificate.display();
            match self.reload().await {
                Ok(Reloaded::Unchanged) => {}
                Ok(Reloaded::Changed) => {
                    tracing::info!(tls.certificate = %certificate, "new connections get the new certificate");
                }
                Err(error) => tracing::error!(
                    tls.certificate = %certificate, %error,
                    "the changed certificate is not served; the one before goes on"
                ),
            }
        }
    }

    fn tell_expiry(&self, now: Timestamp, told_at: &mut Option<Timestamp>) {
        let Some(expires) = self.served.borrow().expires else { return };
        measures::certificate_expires(expires);
        let soon = now.after(TOLD_BEFORE) >= expires;
        if soon && told_at.is_none_or(|told| now.since(told) >= TOLD_EVERY) {
            *told_at = Some(now);
            tracing::warn!(
                tls.certificate = %self.settings.certificate.display(),
                expires.hours = expires.since(now).as_secs() / 3600,
                "the certificate is about to expire; put a new one in its place, which is read by itself"
            );
        }
    }

    /// Accepts one connection with the certificate of now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.served.borrow().config.clone())
    }
}

/// Stands for a file that could not be read; no content has this digest.
const UNREADABLE: [u8; 32] = [0; 32];

async fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|error| TlsError::Unreadable { what, path: path.to_owned(), error })
}

/// The certificates of a file, at least one.
fn certificates(what: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |detail: String| TlsError::Unusable { what, path: path.to_owned(), detail };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(list) if list.is_empty() => Err(unusable("it holds no certificate".to_owned())),
        Ok(list) => Ok(list),
        Err(error) => Err(unusable(error.to_string())),
    }
}

impl Files {
    async fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read("certificate", &settings.certificate).await?,
            key: read("private key", &settings.key).await?,
            client_ca: match &settings.client_ca {
                Some(path) => Some(read("client CA", path).await?),
                None => None,
            },
        })
    }

    fn digest(&self) -> [u8; 32] {
        // A digest of digests: bytes that move from one file to the next do not pass for the same.
        let parts = [&self.certificate, &self.key].into_iter().chain(&self.client_ca);
        parts.fold(Sha256::new(), |all, part| all.chain_update(Sha256::digest(part))).finalize().into()
    }

    fn served(&self, settings: &TlsSettings) -> Result<Served, TlsError> {
        let path = &settings.certificate;
        let not_a_pair = |detail: String| TlsError::NotAPair { path: path.clone(), detail };
        let provider = Arc::new(ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13, &TLS12]);
        let builder = versions.map_err(|error| not_a_pair(error.to_string()))?;
        let builder = match (&settings.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) => {
                let what = "client CA";
                let unusable = |detail: String| TlsError::Unusable { what, path: path.clone(), detail };
                let mut roots = RootCertStore::empty();
                for root in certificates(what, path, pem)? {
                    roots.add(root).map_err(|error| unusable(error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if settings.require_client_certificate { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(error.to_string()))?)
            }
            _ if settings.require_client_certificate => return Err(TlsError::NoClientCa),
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates("certificate", path, &self.certificate)?;
        let expires = chain.first().and_then(|certificate| not_after(certificate));
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Unusable {
            what: "private key",
            path: settings.key.clone(),
            detail: error.to_string(),
        })?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| not_a_pair(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Served { config: Arc::new(config), expires })
    }
}

/// The names in a certificate that was verified; `None` if there are none that can be read.
pub(crate) fn names_in(certificate: &CertificateDer<'_>) -> Option<PeerNames> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let names = PeerNames {
        uris: certificate.valid_uri_names().map(ToOwned::to_owned).collect(),
        dns_names: certificate.valid_dns_names().map(ToOwned::to_owned).collect(),
    };
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};

    fn pair(name: &str) -> (String, String) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with((certificate, key): &(String, String)) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.put("certificate", certificate);
            folder.put("key", key);
            folder
        }

        fn put(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn settings(&self) -> TlsSettings {
            let at = |name: &str| self.0.path().join(name);
            TlsSettings {
                certificate: at("certificate"),
                key: at("key"),
                client_ca: None,
                require_client_certificate: false,
            }
        }
    }

    /// Makes files of one pair wrong, with another pair at hand.
    type Break = fn(&Folder, &(String, String)) -> TlsSettings;

    #[tokio::test]
    async fn files_that_cannot_be_served_are_named_with_the_mend() {
        let (one, other) = (pair("one.example"), pair("other.example"));
        let cases: [(Break, &str); 7] = [
            (
                |folder, _| TlsSettings { key: "nowhere".into(), ..folder.settings() },
                "private key `nowhere` cannot be read",
            ),
            (|folder, _| TlsSettings { certificate: "nowhere".into(), ..folder.settings() }, "check the path"),
            (
                |folder, _| {
                    folder.put("certificate", "");
                    folder.settings()
                },
                "holds no certificate",
            ),
            (
                |folder, _| {
                    folder.put("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
                    folder.settings()
                },
                "cannot be served",
            ),
            (
                |folder, other| {
                    folder.put("key", &other.1);
                    folder.settings()
                },
                "the key that belongs to it",
            ),
            (
                |folder, _| {
                    folder.put("ca", "no PEM");
                    TlsSettings { client_ca: Some(folder.0.path().join("ca")), ..folder.settings() }
                },
                "client CA",
            ),
            (
                |folder, _| TlsSettings { require_client_certificate: true, ..folder.settings() },
                "name the file of the client CA",
            ),
        ];
        for (break_it, told) in cases {
            let folder = Folder::with(&one);
            let error = Tls::open(break_it(&folder, &other)).await.unwrap_err().to_string();
            assert!(error.contains(told), "{told}: {error}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_certificate_is_told_in_time_and_once_a_day() {
        let mut params = CertificateParams::new(vec!["server.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 1, 31);
        let key = KeyPair::generate().unwrap();
        let folder = Folder::with(&(params.self_signed(&key).unwrap().pem(), key.serialize_pem()));
        let tls = Tls::open(folder.settings()).await.unwrap();
        let expires = tls.served.borrow().expires.unwrap();
        let days = |days: u64| Duration::from_hours(24 * days);
        let at = |before: u64| {
            Timestamp::from_micros(expires.as_micros() - i64::try_from(days(before).as_micros()).unwrap())
        };
        let mut told_at = None;
        for (before, told) in [(15, None), (14, Some(14)), (13, Some(13))] {
            tls.tell_expiry(at(before), &mut told_at);
            assert_eq!(told_at, told.map(at), "{before} days before");
        }
        tls.tell_expiry(at(13).after(Duration::from_hours(23)), &mut told_at);
        assert_eq!(told_at, Some(at(13)), "it was told today");
        tls.tell_expiry(expires.after(days(1)), &mut told_at);
        assert_eq!(told_at, Some(expires.after(days(1))), "and goes on to be");
    }

    #[tokio::test]
    async fn a_changed_pair_is_taken_and_a_broken_one_told_once() {
        let (first, second) = (pair("first.example"), pair("second.example"));
        let folder = Folder::with(&first);
        let tls = Tls::open(folder.settings()).await.unwrap();
        let served = || Arc::as_ptr(&tls.served.borrow().config);
        let before = served();
        assert_eq!(tls.reload().await.unwrap(), Reloaded::Unchanged);

        // As a renewal writes them, one after the other.
        folder.put("certificate", &second.0);
        assert!(matches!(tls.reload().await, Err(TlsError::NotAPair { .. })));
        assert_eq!(tls.reload().await.unwrap(), Reloaded::Unchanged, "told once");
        assert_eq!(served(), before, "the first pair goes on");
        folder.put("key", &second.1);
        assert_eq!(tls.reload().await.unwrap(), Reloaded::Changed);
        let renewed = served();
        assert_ne!(renewed, before);

        std::fs::remove_file(folder.0.path().join("key")).unwrap();
        assert!(matches!(tls.reload().await, Err(TlsError::Unreadable { .. })));
        assert_eq!(tls.reload().await.unwrap(), Reloaded::Unchanged, "told once");
        assert_eq!(served(), renewed);
    }
}
