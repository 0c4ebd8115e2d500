//! Encrypted connections: names of clients, certificates that change, strangers and silent clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::port::authenticator::{Caller, Credentials, MockAuthenticator, PeerNames};
use domicile_domain::usecase::MockDomicileApi;
use domicile_grpc::tls::{Reloaded, Tls, TlsSettings};
use domicile_grpc::{Limits, ServeError, ServerParts};
use domicile_proto::v1::CheckAccessRequest;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tonic::Code;

use crate::support::{Raw, Served, TOKEN, framed, is_given_up, limits, parts, service};

const CHECK_ACCESS: &str = "/domicile.v1.AccessService/CheckAccess";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key, PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn of(issuer: &Issuer, names: Vec<SanType>) -> Self {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap().pem();
        Self { certificate, key: key.serialize_pem() }
    }

    fn of_server(issuer: &Issuer) -> Self {
        Self::of(issuer, vec![SanType::DnsName("domicile.example".try_into().unwrap())])
    }

    fn of_client(issuer: &Issuer) -> Self {
        let uri = SanType::URI("spiffe://example/orders".try_into().unwrap());
        Self::of(issuer, vec![uri, SanType::DnsName("orders.example".try_into().unwrap())])
    }
}

/// The server's files.
struct Files(TempDir);

impl Files {
    fn with(pair: &Pair, client_ca: &Issuer) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew(pair);
        std::fs::write(files.0.path().join("ca.pem"), client_ca.pem()).unwrap();
        files
    }

    fn renew(&self, pair: &Pair) {
        std::fs::write(self.0.path().join("certificate.pem"), &pair.certificate).unwrap();
        std::fs::write(self.0.path().join("key.pem"), &pair.key).unwrap();
    }

    async fn tls(&self, require_client_certificate: bool) -> Tls {
        let at = |name: &str| self.0.path().join(name);
        let settings = TlsSettings {
            certificate: at("certificate.pem"),
            key: at("key.pem"),
            client_ca: Some(at("ca.pem")),
            require_client_certificate,
        };
        Tls::open(settings).await.unwrap()
    }
}

/// How a client connects.
#[derive(Clone, Copy)]
struct Client<'a> {
    trusts: &'a Issuer,
    shows: Option<&'a Pair>,
    versions: &'static [&'static SupportedProtocolVersion],
}

impl Client<'_> {
    async fn connect(self, served: &Served) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(self.versions).unwrap().with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("domicile.example").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, served.stream().await).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        Ok(stream)
    }

    /// Connects and calls, and answers with what the use case said.
    async fn call(self, served: &Served) -> Code {
        let raw = Raw::over(self.connect(served).await.unwrap()).await.unwrap();
        call(&raw).await
    }

    /// Whether the server turns the client away. A client of version 1.3 is done before the server has looked at its
    /// certificate, and hears of it when it reads.
    async fn is_refused(self, served: &Served) -> bool {
        match self.connect(served).await {
            Err(_) => true,
            Ok(mut stream) => {
                // A server that is content says its settings at once.
                let mut settings = [0; 9];
                stream.read_exact(&mut settings).await.is_err()
            }
        }
    }
}

const ALL: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

async fn call(raw: &Raw) -> Code {
    let body = framed(&CheckAccessRequest::default());
    raw.call(CHECK_ACCESS, &[("authorization", TOKEN.as_bytes())], body).await.status.code()
}

/// A mock whose checks answer `NOT_FOUND`, so that a test sees that it was asked.
fn asked() -> MockDomicileApi {
    let mut api = MockDomicileApi::new();
    api.expect_check_access().returning(|_, _| Err(Refusal::new(Reason::NotFound)));
    api
}

#[tokio::test]
async fn the_names_of_a_verified_certificate_reach_the_authenticator() {
    let (root, clients) = (issuer(), issuer());
    let files = Files::with(&Pair::of_server(&root), &clients);
    let client = Pair::of_client(&clients);
    for (shows, names) in [
        (Some(&client), Some((vec!["spiffe://example/orders".to_owned()], vec!["orders.example".to_owned()]))),
        (None, None),
    ] {
        let mut authenticator = MockAuthenticator::new();
        let expected = names.map(|(uris, dns_names)| PeerNames { uris, dns_names });
        let is_expected = move |_: &str, credentials: &Credentials| credentials.peer == expected;
        authenticator
            .expect_authenticate()
            .withf(is_expected)
            .times(2)
            .returning(|_, _| Ok(Caller { service: service(), person: None }));
        let tls = Some(files.tls(false).await);
        let authenticator = Arc::new(authenticator);
        let served = Served::of(ServerParts { tls, authenticator, ..parts(asked()) }).await;
        for versions in [&ALL[..1], &ALL[1..]] {
            let client = Client { trusts: &root, shows, versions };
            assert_eq!(client.call(&served).await, Code::NotFound);
        }
    }
}

#[tokio::test]
async fn strangers_are_refused_and_whoever_shows_nothing_where_a_certificate_is_required() {
    let (root, clients, other) = (issuer(), issuer(), issuer());
    let files = Files::with(&Pair::of_server(&root), &clients);
    let (known, stranger) = (Pair::of_client(&clients), Pair::of_client(&other));
    for (required, shows, refused) in [
        (true, Some(&known), false),
        (true, Some(&stranger), true),
        (true, None, true),
        (false, Some(&stranger), true),
        (false, None, false),
    ] {
        let tls = Some(files.tls(required).await);
        let served = Served::of(ServerParts { tls, ..parts(asked()) }).await;
        for versions in [&ALL[..1], &ALL[1..]] {
            let client = Client { trusts: &root, shows, versions };
            assert_eq!(client.is_refused(&served).await, refused, "required: {required}");
        }
    }
    let served = Served::of(ServerParts { tls: Some(files.tls(false).await), ..parts(asked()) }).await;
    assert!(Client { trusts: &other, shows: None, versions: ALL }.connect(&served).await.is_err(), "of another root");
    assert!(Raw::over(served.stream().await).await.is_err() || is_closed(served.stream().await).await, "plaintext");
}

/// Whether the server hangs up on who speaks in the clear.
async fn is_closed(mut stream: TcpStream) -> bool {
    use tokio::io::AsyncWriteExt;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // An alert of TLS at most.
    stream.read_to_end(&mut said).await.is_err() || said.first() == Some(&0x15)
}

#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections_and_the_open_ones_go_on() {
    let (first, second, clients) = (issuer(), issuer(), issuer());
    let files = Files::with(&Pair::of_server(&first), &clients);
    let tls = files.tls(false).await;
    let served = Served::of(ServerParts { tls: Some(tls.clone()), ..parts(asked()) }).await;
    let of = |trusts| Client { trusts, shows: None, versions: ALL };
    let open = Raw::over(of(&first).connect(&served).await.unwrap()).await.unwrap();
    assert_eq!(call(&open).await, Code::NotFound);

    files.renew(&Pair { key: Pair::of_server(&second).key, ..Pair::of_server(&second) });
    assert!(tls.reload().await.is_err(), "a pair that does not fit");
    assert_eq!(of(&first).call(&served).await, Code::NotFound);
    files.renew(&Pair::of_server(&second));
    assert_eq!(tls.reload().await.unwrap(), Reloaded::Changed);
    assert_eq!(of(&second).call(&served).await, Code::NotFound);
    assert!(of(&first).connect(&served).await.is_err(), "the old certificate is not served any more");
    assert_eq!(call(&open).await, Code::NotFound, "what was open stays");
}

#[tokio::test]
async fn the_server_finds_changed_files_by_itself() {
    let (first, second, clients) = (issuer(), issuer(), issuer());
    let files = Files::with(&Pair::of_server(&first), &clients);
    let served = Served::of(ServerParts { tls: Some(files.tls(false).await), ..parts(asked()) }).await;
    let of = |trusts| Client { trusts, shows: None, versions: ALL };
    assert_eq!(of(&first).call(&served).await, Code::NotFound);
    files.renew(&Pair::of_server(&second));
    tokio::time::pause();
    // Each connection is a chance for the timer; which one finds the new certificate is left open.
    let renewed = async {
        while of(&second).connect(&served).await.is_err() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    };
    renewed.await;
}

#[tokio::test]
async fn silent_clients_delay_nobody_and_are_given_up() {
    let (root, clients) = (issuer(), issuer());
    let files = Files::with(&Pair::of_server(&root), &clients);
    let limits = Limits { handshakes: 2, handshake: Duration::from_hours(1), ..limits() };
    let tls = Some(files.tls(false).await);
    let served = Served::of(ServerParts { tls, limits, ..parts(asked()) }).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(served.stream().await);
    }
    let client = Client { trusts: &root, shows: None, versions: ALL };
    assert_eq!(client.call(&served).await, Code::NotFound);
    // The longest wait is given up for the next one: of five, and the one above, at least the first four.
    for stream in &mut silent[..4] {
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let (root, clients) = (issuer(), issuer());
    let files = Files::with(&Pair::of_server(&root), &clients);
    let tls = Some(files.tls(false).await);
    let limits = Limits { handshake: Duration::from_millis(50), ..limits() };
    let served = Served::of(ServerParts { tls, limits, ..parts(asked()) }).await;
    assert_eq!(served.stream().await.read(&mut [0]).await.unwrap(), 0);
    // Nor may a client stay who ends it and then says nothing.
    let mut silent = Client { trusts: &root, shows: None, versions: ALL }.connect(&served).await.unwrap();
    is_given_up(&mut silent).await;
}

#[tokio::test]
async fn without_a_certificate_the_server_listens_on_loopback_alone() {
    let (root, clients) = (issuer(), issuer());
    let files = Files::with(&Pair::of_server(&root), &clients);
    let everywhere = async || TcpListener::bind("0.0.0.0:0").await.unwrap();
    let production = |tls| ServerParts { development: false, tls, ..parts(MockDomicileApi::new()) };
    let refused = domicile_grpc::serve(production(None), everywhere().await, async {}).await.unwrap_err();
    assert!(matches!(refused, ServeError::Plaintext(address) if address.ip().is_unspecified()));
    assert!(refused.to_string().contains("give it one, or listen on 127.0.0.1"), "{refused}");
    let tls = Some(files.tls(true).await);
    let stopped = ServerParts { limits: limits(), ..production(tls) };
    domicile_grpc::serve(stopped, everywhere().await, async {}).await.unwrap();
}
