//! Where the keys of an issuer come from: its address, or a file.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;

/// A key set of a hundred keys has 50 KiB.
const LARGEST_SET: usize = 1024 * 1024;
/// How long a fetch may take, from the name of the host to the last byte.
const LONGEST_FETCH: Duration = Duration::from_secs(5);

/// What a look at the keys gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// A document.
    Document {
        body: Vec<u8>,
        /// Tells the origin next time what we have.
        tag: Option<Tag>,
        /// How long it serves, as its origin says.
        max_age: Option<Duration>,
    },
    /// The same as with the tag that was sent.
    Unchanged { max_age: Option<Duration> },
}

/// The version of a document, as its origin names it.
pub(crate) type Tag = HeaderValue;

/// The keys could not be had. For the log: it may name hosts and files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no whole answer within {} seconds", LONGEST_FETCH.as_secs())]
    Slow,
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("answered {0}; redirects are not followed, give the address where the keys are")]
    Redirected(StatusCode),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("the document cannot be read whole, or is larger than {LARGEST_SET} bytes")]
    Body,
    #[error("the file cannot be read: {0}")]
    File(String),
}

/// Gives the keys of an issuer.
#[async_trait]
pub(crate) trait KeyOrigin: Send + Sync {
    /// The document, unless it is still the one with the tag.
    async fn fetch(&self, known: Option<&Tag>) -> Result<Fetched, FetchError>;
}

/// The same, in the time that it may take.
pub(crate) async fn fetch_in_time(origin: &dyn KeyOrigin, known: Option<&Tag>) -> Result<Fetched, FetchError> {
    tokio::time::timeout(LONGEST_FETCH, origin.fetch(known)).await.unwrap_or(Err(FetchError::Slow))
}

/// Whether a host of an address is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The certificate authorities that are trusted at an address: the public ones, and those of a file.
#[derive(Clone)]
pub(crate) struct Roots(Arc<RootCertStore>);

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} roots", self.0.len())
    }
}

impl Roots {
    pub(crate) fn with(file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let public = roots.len();
        if let Some(path) = file {
            let shown = path.display();
            let pem = std::fs::read(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| format!("`{shown}` is not PEM: {error}"))?;
                let refused = |error| format!("`{shown}` has a certificate that cannot be a root: {error}");
                roots.add(certificate).map_err(refused)?;
            }
            if roots.len() == public {
                return Err(format!("`{shown}` has no certificate in it; give a PEM file"));
            }
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// Keys at an address.
pub(crate) struct HttpOrigin {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl HttpOrigin {
    pub(crate) fn new(uri: Uri, roots: Roots) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.0)
            .with_no_client_auth();
        // Plain HTTP is for this machine alone; the settings are checked for it.
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        // A connection that waits for minutes is dead more often than not.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { uri, client })
    }
}

#[async_trait]
impl KeyOrigin for HttpOrigin {
    async fn fetch(&self, known: Option<&Tag>) -> Result<Fetched, FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("domicile"));
        if let Some(tag) = known {
            headers.insert(IF_NONE_MATCH, tag.clone());
        }
        let answer = self.client.request(request).await.map_err(|error| FetchError::Unreachable(words_of(&error)))?;
        let (parts, body) = answer.into_parts();
        let max_age = max_age(&parts.headers);
        match parts.status {
            StatusCode::OK => {
                let body = Limited::new(body, LARGEST_SET).collect().await.map_err(|_| FetchError::Body)?;
                Ok(Fetched::Document { body: body.to_bytes().to_vec(), tag: parts.headers.get(ETAG).cloned(), max_age })
            }
            StatusCode::NOT_MODIFIED if known.is_some() => Ok(Fetched::Unchanged { max_age }),
            status if status.is_redirection() => Err(FetchError::Redirected(status)),
            status => Err(FetchError::Status(status)),
        }
    }
}

/// An error with what caused it: the outer one alone says only that connecting failed.
fn words_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// `max-age` of `Cache-Control`.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    let mut directives =
        directives.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase());
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age=")?.parse().ok());
    seconds.map(Duration::from_secs)
}

/// Keys in a file, for installations that no issuer can be reached from. It is read again as often as an address is asked.
pub(crate) struct FileOrigin(pub(crate) PathBuf);

#[async_trait]
impl KeyOrigin for FileOrigin {
    async fn fetch(&self, _: Option<&Tag>) -> Result<Fetched, FetchError> {
        let failed = |error: std::io::Error| FetchError::File(format!("{}: {error}", self.0.display()));
        let file = tokio::fs::File::open(&self.0).await.map_err(failed)?;
        let mut body = Vec::new();
        let most = u64::try_from(LARGEST_SET).unwrap_or(u64::MAX);
        file.take(most.saturating_add(1)).read_to_end(&mut body).await.map_err(failed)?;
        if body.len() > LARGEST_SET {
            Err(FetchError::Body)
        } else {
            Ok(Fetched::Document { body, tag: None, max_age: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Answers each connection with the same bytes, and then closes it or falls silent.
    async fn answering(bytes: impl Into<Vec<u8>>, silent: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bytes = bytes.into();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await.unwrap();
                // The client may have had enough.
                let _written = stream.write_all(&bytes).await;
                if silent {
                    kept.push(stream);
                }
            }
        });
        address
    }

    async fn fetch(address: SocketAddr, tag: Option<&'static str>) -> Result<Fetched, FetchError> {
        let uri = format!("http://{address}/keys").parse().unwrap();
        let origin = HttpOrigin::new(uri, Roots::with(None).unwrap()).unwrap();
        fetch_in_time(&origin, tag.map(Tag::from_static).as_ref()).await
    }

    fn document(body: &str, tag: Option<&'static str>, max_age: Option<u64>) -> Fetched {
        let (body, tag) = (body.as_bytes().to_vec(), tag.map(Tag::from_static));
        Fetched::Document { body, tag, max_age: max_age.map(Duration::from_secs) }
    }

    #[tokio::test]
    async fn answers_are_read_for_what_they_say() {
        for (head, expected) in [
            ("200 OK\r\n", Ok(document("{}", None, None))),
            (
                "200 OK\r\nETag: \"1\"\r\nCache-Control: public, Max-Age=90\r\n",
                Ok(document("{}", Some("\"1\""), Some(90))),
            ),
            ("200 OK\r\nCache-Control: no-store\r\nCache-Control: max-age=7\r\n", Ok(document("{}", None, Some(7)))),
            ("200 OK\r\nCache-Control: max-age=many, s-maxage=7\r\n", Ok(document("{}", None, None))),
            ("302 Found\r\nLocation: http://127.0.0.1:1/\r\n", Err(FetchError::Redirected(StatusCode::FOUND))),
            (
                "307 Temporary Redirect\r\nLocation: /other\r\n",
                Err(FetchError::Redirected(StatusCode::TEMPORARY_REDIRECT)),
            ),
            ("404 Not Found\r\n", Err(FetchError::Status(StatusCode::NOT_FOUND))),
            ("500 Internal Server Error\r\n", Err(FetchError::Status(StatusCode::INTERNAL_SERVER_ERROR))),
            ("206 Partial Content\r\n", Err(FetchError::Status(StatusCode::PARTIAL_CONTENT))),
        ] {
            let answer = format!("HTTP/1.1 {head}Content-Length: 2\r\n\r\n{{}}");
            assert_eq!(fetch(answering(answer, false).await, None).await, expected, "{head}");
        }
    }

    #[tokio::test]
    async fn unchanged_is_an_answer_to_who_said_what_he_has() {
        let same = "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=90\r\n\r\n";
        let unchanged = Ok(Fetched::Unchanged { max_age: Some(Duration::from_secs(90)) });
        assert_eq!(fetch(answering(same, false).await, Some("\"1\"")).await, unchanged);
        let unasked = fetch(answering(same, false).await, None).await;
        assert_eq!(unasked, Err(FetchError::Redirected(StatusCode::NOT_MODIFIED)));
    }

    #[tokio::test]
    async fn too_much_too_little_and_nothing_are_told_apart() {
        let large = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(LARGEST_SET + 1));
        assert_eq!(fetch(answering(large, false).await, None).await, Err(FetchError::Body));
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}";
        assert_eq!(fetch(answering(cut, false).await, None).await, Err(FetchError::Body));
        let most = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(LARGEST_SET));
        assert!(fetch(answering(most, false).await, None).await.is_ok());
        for nothing in ["", "SSH-2.0-OpenSSH_9.2\r\n"] {
            let told = fetch(answering(nothing, false).await, None).await;
            assert!(matches!(told, Err(FetchError::Unreachable(_))), "{told:?}");
        }
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let told = fetch(free, None).await.unwrap_err().to_string();
        assert!(told.to_lowercase().contains("refused"), "the cause is told: {told}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_that_falls_silent_is_left_after_five_seconds() {
        // Time here passes by itself as soon as everybody waits.
        for silent in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"] {
            let begun = tokio::time::Instant::now();
            assert_eq!(fetch(answering(silent, true).await, None).await, Err(FetchError::Slow), "{silent}");
            assert_eq!(begun.elapsed().as_secs(), LONGEST_FETCH.as_secs());
        }
    }

    /// A server with a certificate of an authority of its own; the authority's certificate.
    async fn encrypted(name: &str) -> (SocketAddr, String) {
        let authority = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&authority).unwrap();
        let issuer = rcgen::Issuer::new(parameters, authority);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (address, root.pem())
    }

    #[tokio::test]
    async fn an_encrypted_origin_must_be_who_it_says_by_an_authority_that_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("root.pem");
        for (name, trusted, good) in
            [("localhost", true, true), ("localhost", false, false), ("other.example", true, false)]
        {
            let (address, root) = encrypted(name).await;
            std::fs::write(&file, root).unwrap();
            let roots = Roots::with(trusted.then_some(file.as_path())).unwrap();
            let uri = format!("https://localhost:{}/keys", address.port()).parse().unwrap();
            let told = HttpOrigin::new(uri, roots).unwrap().fetch(None).await;
            assert_eq!(told.is_ok(), good, "{name} {trusted}: {told:?}");
            if let Err(error) = told {
                assert!(error.to_string().contains("certificate"), "{error}");
            }
        }
    }

    #[test]
    fn roots_are_a_file_with_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("root.pem");
        let told = Roots::with(Some(&file)).unwrap_err();
        assert!(told.contains("cannot be read"), "{told}");
        for (text, said) in [
            ("nothing", "has no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "is not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be a root"),
        ] {
            std::fs::write(&file, text).unwrap();
            let told = Roots::with(Some(&file)).unwrap_err();
            assert!(told.contains(said) && told.contains("root.pem"), "{told}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        let origin = FileOrigin(file.clone());
        let told = origin.fetch(None).await.unwrap_err().to_string();
        assert!(told.contains("keys.json"), "{told}");
        for text in ["{}", "{\"keys\":[]}"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(origin.fetch(None).await, Ok(document(text, None, None)));
        }
        std::fs::write(&file, vec![b' '; LARGEST_SET + 1]).unwrap();
        assert_eq!(origin.fetch(None).await, Err(FetchError::Body));
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (host, here) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("[::ffff:10.0.0.1]", false),
        ] {
            assert_eq!(is_loopback(host), here, "{host}");
        }
    }
}
