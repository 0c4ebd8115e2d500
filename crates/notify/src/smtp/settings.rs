//! How a relay is reached, checked before the first message.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use domicile_domain::model::email::EmailAddress;
use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

/// How the way to the relay is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Begins in the clear and must become encrypted before anything is said (usually port 587).
    StartTls,
    /// Encrypted from the first byte (usually port 465).
    Tls,
    /// Not at all. On loopback only, unless [`SmtpSettings::allow_plaintext`] says otherwise.
    None,
}

/// A password that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes the password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("set")
    }
}

/// How a relay is reached and in whose name mail is sent.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// The relay's name, which its certificate must carry, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is encrypted.
    pub security: Security,
    /// Whether [`Security::None`] may leave this machine. Mail and password can then be read on the way.
    pub allow_plaintext: bool,
    /// The login's name, if the relay wants one.
    pub username: Option<String>,
    /// The login's password.
    pub password: Option<Password>,
    /// The address that mail is sent from, `no-reply@acme.example`. Its domain also ends every message id.
    pub sender: String,
    /// The name this server greets with; the machine's own where absent.
    pub hello_name: Option<String>,
    /// Further root certificates, PEM, for relays whose certificate no public authority signed.
    pub root_certificate: Option<String>,
    /// How long an attempt may take, all of it.
    pub deadline: Duration,
    /// How many idle connections are kept; 0 opens one for each message.
    pub pool_size: usize,
}

impl SmtpSettings {
    /// Settings without a login, with the shipped deadline of 30 seconds and four kept connections.
    pub fn new(host: impl Into<String>, port: u16, security: Security, sender: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            security,
            allow_plaintext: false,
            username: None,
            password: None,
            sender: sender.into(),
            hello_name: None,
            root_certificate: None,
            deadline: Duration::from_secs(30),
            pool_size: 4,
        }
    }
}

/// A setting cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmtpSettingsError {
    /// No host, or none that can be one.
    #[error("smtp.host `{0}` is no host name or address; write it like mail.acme.example")]
    Host(String),
    /// Port 0.
    #[error("smtp.port is 0; use 587 for STARTTLS or 465 for TLS")]
    Port,
    /// In the clear beyond this machine.
    #[error(
        "smtp.security is none and smtp.host `{0}` is not this machine: mail could be read on its way; use starttls or tls, or say explicitly that it may"
    )]
    Plaintext(String),
    /// A name without a password, or a password without a name.
    #[error("smtp.username and smtp.password belong together; give both or neither")]
    HalfALogin,
    /// The sender is no address, or none that every relay takes.
    #[error("smtp.sender `{0}` is not a mail address in plain letters; write it like no-reply@acme.example")]
    Sender(String),
    /// The greeting's name is no host name.
    #[error("smtp.hello_name `{0}` is not a host name; write it like domicile.acme.example")]
    HelloName(String),
    /// The roots are not PEM.
    #[error("smtp.root_certificate is not a certificate in PEM: {0}")]
    RootCertificate(String),
    /// No time at all, or more than the dispatcher waits.
    #[error("smtp.deadline is {0:?}; it is more than nothing and at most 30 seconds")]
    Deadline(Duration),
}

/// The sender of all mail.
pub(super) struct Sender {
    pub(super) address: Address,
}

/// A login, ready to be used.
pub(super) type Login = Credentials;

/// Settings that can work.
pub(super) struct Checked {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) tls: TlsParameters,
    pub(super) login: Option<Login>,
    pub(super) hello_name: ClientId,
    pub(super) sender: Sender,
    pub(super) deadline: Duration,
    pub(super) pool_size: usize,
}

impl Checked {
    /// The longest deadline: the dispatcher gives an attempt 32 seconds, and its words would not tell where it waited.
    const LONGEST: Duration = Duration::from_secs(30);

    pub(super) fn new(settings: SmtpSettings) -> Result<Self, SmtpSettingsError> {
        let SmtpSettings { host, port, security, deadline, .. } = settings;
        if !is_host_name(&host) && host.parse::<IpAddr>().is_err() {
            return Err(SmtpSettingsError::Host(host));
        }
        if port == 0 {
            return Err(SmtpSettingsError::Port);
        }
        if security == Security::None && !is_this_machine(&host) && !settings.allow_plaintext {
            return Err(SmtpSettingsError::Plaintext(host));
        }
        if deadline.is_zero() || deadline > Self::LONGEST {
            return Err(SmtpSettingsError::Deadline(deadline));
        }
        let login = match (settings.username, settings.password) {
            (Some(name), Some(Password(password))) => Some(Credentials::new(name, password)),
            (None, None) => None,
            _ => return Err(SmtpSettingsError::HalfALogin),
        };
        let hello_name = match settings.hello_name {
            Some(name) if is_host_name(&name) => ClientId::Domain(name),
            Some(name) => return Err(SmtpSettingsError::HelloName(name)),
            None => ClientId::default(),
        };
        Ok(Self {
            tls: tls(&host, settings.root_certificate.as_deref())?,
            sender: sender(settings.sender)?,
            host,
            port,
            security,
            login,
            hello_name,
            deadline,
            pool_size: settings.pool_size,
        })
    }
}

/// A host name as it stands in DNS: labels of letters, digits and hyphens. Others are given in A-label form.
fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn sender(text: String) -> Result<Sender, SmtpSettingsError> {
    let Ok(address) = EmailAddress::parse(&text) else {
        return Err(SmtpSettingsError::Sender(text));
    };
    match super::mail::address(&address) {
        Some(address) if AsRef::<str>::as_ref(&address).is_ascii() => Ok(Sender { address }),
        _ => Err(SmtpSettingsError::Sender(text)),
    }
}

fn tls(host: &str, roots: Option<&str>) -> Result<TlsParameters, SmtpSettingsError> {
    let refused = |error: lettre::transport::smtp::Error| SmtpSettingsError::RootCertificate(error.to_string());
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = roots {
        // Without this mark the library finds no certificate, and no fault either.
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(SmtpSettingsError::RootCertificate("it has no certificate in it".to_owned()));
        }
        builder = builder.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(refused)?);
    }
    builder.build().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SmtpSettings {
        SmtpSettings::new("mail.acme.example", 587, Security::StartTls, "no-reply@acme.example")
    }

    fn refusal(change: impl FnOnce(&mut SmtpSettings)) -> Option<SmtpSettingsError> {
        let mut settings = settings();
        change(&mut settings);
        Checked::new(settings).err()
    }

    #[test]
    fn what_cannot_work_is_refused_by_the_settings_name() {
        use SmtpSettingsError as E;
        assert_eq!(refusal(|_| ()), None);
        assert_eq!(refusal(|s| s.host = "mail acme".into()), Some(E::Host("mail acme".into())));
        assert_eq!(refusal(|s| s.host = String::new()), Some(E::Host(String::new())));
        assert_eq!(refusal(|s| s.host = "mail\r\n".into()), Some(E::Host("mail\r\n".into())));
        assert_eq!(refusal(|s| s.port = 0), Some(E::Port));
        assert_eq!(refusal(|s| s.security = Security::None), Some(E::Plaintext("mail.acme.example".into())));
        assert_eq!(refusal(|s| s.username = Some("u".into())), Some(E::HalfALogin));
        assert_eq!(refusal(|s| s.password = Some(Password::new("p"))), Some(E::HalfALogin));
        for sender in ["", "acme", "ü@acme.example", "a@b@c.example", "a\r\nb@acme.example"] {
            assert_eq!(refusal(|s| s.sender = sender.into()), Some(E::Sender(sender.into())));
        }
        assert_eq!(refusal(|s| s.hello_name = Some("a b".into())), Some(E::HelloName("a b".into())));
        for pem in ["nothing", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
            let refused = refusal(|s| s.root_certificate = Some(pem.into()));
            assert!(matches!(refused, Some(E::RootCertificate(_))), "{pem}: {refused:?}");
        }
        for seconds in [0, 31] {
            let deadline = Duration::from_secs(seconds);
            assert_eq!(refusal(|s| s.deadline = deadline), Some(E::Deadline(deadline)));
        }
    }

    #[test]
    fn the_clear_is_for_this_machine_unless_allowed() {
        for host in ["localhost", "127.0.0.1", "::1", "LOCALHOST"] {
            assert_eq!(refusal(|s| (s.security, s.host) = (Security::None, host.into())), None, "{host}");
        }
        for host in ["192.0.2.1", "localhost.evil.example"] {
            let refused = refusal(|s| (s.security, s.host) = (Security::None, host.into()));
            assert_eq!(refused, Some(SmtpSettingsError::Plaintext(host.into())));
        }
        assert_eq!(refusal(|s| (s.security, s.allow_plaintext) = (Security::None, true)), None);
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let shown = format!("{:?}", SmtpSettings { password: Some(Password::new("hunter2")), ..settings() });
        assert!(shown.contains("password: Some(set)") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_senders_domain_is_in_a_label_form() {
        let checked = Checked::new(SmtpSettings { sender: "no-reply@Bücher.example".into(), ..settings() }).ok();
        let sender = checked.map(|checked| checked.sender.address.to_string());
        assert_eq!(sender.as_deref(), Some("no-reply@xn--bcher-kva.example"));
    }
}
