//! Certificates of the tests' own authority, as files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

/// An authority with a folder for what it issues.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key, as files.
pub struct Issued {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one; its own certificate is `NAME.pem` in the folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut root = CertificateParams::new(Vec::new()).expect("no names are good names");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, format!("{name} of a test"));
        let key = KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(root, key).expect("an authority vouches for itself");
        std::fs::write(folder.join(format!("{name}.pem")), root.pem()).expect("the folder can be written");
        Self { root, folder: folder.to_owned() }
    }

    /// Issues a certificate for names: addresses, SPIFFE ids, DNS names.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        let mut leaf = CertificateParams::new(Vec::new()).expect("no names are good names");
        leaf.distinguished_name.push(DnType::CommonName, file);
        leaf.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        let key = KeyPair::generate().expect("a key");
        let signed = leaf.signed_by(&key, &self.root).expect("an authority signs");
        let at = |end: &str| self.folder.join(format!("{file}.{end}"));
        let issued = Issued { certificate: at("pem"), key: at("key") };
        std::fs::write(&issued.certificate, signed.pem()).expect("the folder can be written");
        std::fs::write(&issued.key, key.serialize_pem()).expect("the folder can be written");
        issued
    }
}

fn alternative(name: &str) -> SanType {
    let text = || name.try_into().expect("names of tests are ASCII");
    match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains("://") => SanType::URI(text()),
        Err(_) => SanType::DnsName(text()),
    }
}
