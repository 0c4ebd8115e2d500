//! The services of the installation, found by what certificates and tokens call them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use domicile_domain::model::actor::ServicePrincipal;
use domicile_domain::port::authenticator::PeerNames;

use crate::fault::Fault;

/// A subject alternative name of a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CertificateName {
    /// A SPIFFE id, compared as it stands.
    Spiffe(String),
    /// A DNS name, in lower case.
    Dns(String),
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => f.write_str(id),
            Self::Dns(name) => write!(f, "dns:{name}"),
        }
    }
}

impl FromStr for CertificateName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || {
            format!(
                "`{}` is no name of a certificate; write spiffe://acme.internal/orders or dns:orders.internal",
                text.escape_debug()
            )
        };
        if let Some(rest) = text.strip_prefix("spiffe://") {
            let (domain, path) = rest.split_once('/').ok_or_else(refused)?;
            let whole = !domain.is_empty() && !path.is_empty() && domain == domain.to_ascii_lowercase();
            let plain = rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%' | b'*'));
            return if whole && plain { Ok(Self::Spiffe(text.to_owned())) } else { Err(refused()) };
        }
        let name = text.strip_prefix("dns:").ok_or_else(refused)?;
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if name.split('.').all(label) { Ok(Self::Dns(name.to_ascii_lowercase())) } else { Err(refused()) }
    }
}

/// A name that an issuer gives, as a client or as a subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenName {
    pub(crate) issuer: String,
    pub(crate) name: String,
}

/// A service as a client of an issuer.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) service: Arc<ServicePrincipal>,
    /// The `sub` of the tokens that the service gets for itself.
    pub(crate) subject: String,
    /// Whether its tokens of persons are exchanged though they do not say so.
    pub(crate) exchanges: bool,
}

/// The services by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services {
    certificates: BTreeMap<CertificateName, Arc<ServicePrincipal>>,
    /// By `client_id`.
    clients: BTreeMap<TokenName, Client>,
    /// By `sub`. Clients and subjects are names of different kinds, and an issuer may give one text to both.
    subjects: BTreeMap<TokenName, Arc<ServicePrincipal>>,
}

/// Another service has the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameTaken {
    pub(crate) owner: String,
}

impl Services {
    pub(crate) fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.clients.is_empty()
    }

    pub(crate) fn add_certificate(
        &mut self,
        name: CertificateName,
        service: Arc<ServicePrincipal>,
    ) -> Result<(), NameTaken> {
        add(&mut self.certificates, name, service, |service| service)
    }

    pub(crate) fn add_client(&mut self, name: TokenName, client: Client) -> Result<(), NameTaken> {
        add(&mut self.clients, name, client, |client| &client.service)
    }

    pub(crate) fn add_subject(&mut self, name: TokenName, service: Arc<ServicePrincipal>) -> Result<(), NameTaken> {
        add(&mut self.subjects, name, service, |service| service)
    }

    /// The service of a connection. A certificate whose names tell nobody tells that it is nobody known, not nothing.
    pub(crate) fn of_certificate(&self, peer: &PeerNames) -> Result<&Arc<ServicePrincipal>, Fault> {
        let uris = peer.uris.iter().map(|uri| CertificateName::Spiffe(uri.clone()));
        let dns = peer.dns_names.iter().map(|name| CertificateName::Dns(name.to_ascii_lowercase()));
        let mut known = uris.chain(dns).filter_map(|name| self.certificates.get(&name));
        let first = known.next().ok_or(Fault::Certificate)?;
        if known.all(|other| other.name == first.name) { Ok(first) } else { Err(Fault::CertificateOfTwo) }
    }

    /// The service that is this client of the issuer.
    pub(crate) fn client(&self, issuer: &str, client: &str) -> Option<&Client> {
        self.clients.get(&TokenName { issuer: issuer.to_owned(), name: client.to_owned() })
    }

    /// The service that is this subject of the issuer.
    pub(crate) fn of_subject(&self, issuer: &str, subject: &str) -> Option<&Arc<ServicePrincipal>> {
        self.subjects.get(&TokenName { issuer: issuer.to_owned(), name: subject.to_owned() })
    }
}

fn add<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    name: K,
    value: V,
    owner: impl Fn(&V) -> &Arc<ServicePrincipal>,
) -> Result<(), NameTaken> {
    if let Some(taken) = map.get(&name) {
        return Err(NameTaken { owner: owner(taken).name.clone() });
    }
    map.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates_are_read_as_they_are_compared() {
        for (text, shown) in [
            ("spiffe://acme.internal/orders", "spiffe://acme.internal/orders"),
            ("spiffe://acme.internal/ns/shop/sa/Orders", "spiffe://acme.internal/ns/shop/sa/Orders"),
            ("dns:Orders.Internal", "dns:orders.internal"),
            ("dns:orders", "dns:orders"),
        ] {
            assert_eq!(text.parse::<CertificateName>().map(|name| name.to_string()), Ok(shown.to_owned()));
        }
        for text in [
            "",
            "orders.internal",
            "dns:",
            "dns:*.internal",
            "dns:a..b",
            "dns:a b",
            "spiffe://",
            "spiffe://acme.internal",
            "spiffe://acme.internal/",
            "spiffe:///orders",
            "spiffe://Acme.internal/orders",
            "spiffe://acme.internal/*",
            "spiffe://acme.internal/a b",
            "spiffe://acme.internal/a?b",
            "SPIFFE://acme.internal/orders",
            "uri:https://orders",
        ] {
            let said = text.parse::<CertificateName>().unwrap_err();
            assert!(said.contains("write spiffe://acme.internal/orders or dns:orders.internal"), "{said}");
        }
    }
}
