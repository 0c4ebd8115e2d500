//! Certificates of an authority of the test's own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        let mut root = CertificateParams::new(Vec::new()).expect("no names are good names");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "Root of a test");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(root, key).expect("a certificate"))
    }
}

impl Authority {
    /// Its own certificate, PEM.
    pub fn root(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host, or an address, and its key, both PEM.
    pub fn host(&self, name: &str) -> (String, String) {
        self.signed(&CertificateParams::new(vec![name.to_owned()]).expect("the name of a host"))
    }

    /// A certificate for a workload by its URI, and its key, both PEM.
    pub fn workload(&self, uri: &str) -> (String, String) {
        let mut leaf = CertificateParams::new(Vec::new()).expect("no names are good names");
        leaf.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI")));
        self.signed(&leaf)
    }

    fn signed(&self, leaf: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let leaf = leaf.signed_by(&key, &self.0).expect("a certificate");
        (leaf.pem(), key.serialize_pem())
    }
}
