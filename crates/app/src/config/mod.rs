//! Configuration: what every command of the service side reads, from flags, environment, file and defaults, in that order.
//!
//! Recipe for a setting: a row in the table of [`settings`], then a line where its group is read in [`reader`]. What is not in the
//! table is an error that names the nearest row, wherever it stands.

mod layers;
mod reader;
mod settings;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use domicile_domain::model::budget::Budgets;
use domicile_domain::model::language::LanguageTag;
use domicile_grpc::Limits;
use domicile_grpc::tls::TlsSettings;
use domicile_identity::IdentityConfig;
use domicile_notify::smtp::SmtpSettings;
use domicile_store_seaorm::Database;
use tracing_subscriber::EnvFilter;

use crate::telemetry::{LogFormat, LogSettings};
use reader::{Reader, sealing_keys};

pub(crate) use layers::{Layers, Sources};
pub(crate) use settings::{Row, SECTIONS, SETTINGS, Section};

/// What `serve` works with.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) listen: SocketAddr,
    /// Encrypts; absent on loopback only.
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) admin: AdminListen,
    pub(crate) database: DatabaseConfig,
    pub(crate) sign_in: SignIn,
    /// The first seals, all open.
    pub(crate) sealing_keys: Hidden<Vec<[u8; 32]>>,
    pub(crate) budgets: Budgets,
    /// Of how many people in workspaces what decides a check is kept.
    pub(crate) cache_bytes: usize,
    pub(crate) language: LanguageTag,
    pub(crate) messages: PathBuf,
    /// How mail leaves; captured where absent.
    pub(crate) mail: Option<SmtpSettings>,
    pub(crate) limits: Limits,
}

/// Where livez, readyz and metrics are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminListen {
    Off,
    At(SocketAddr),
}

/// How callers are known.
#[derive(Debug)]
pub(crate) enum SignIn {
    /// By one token, which can act as anybody; on loopback only.
    Development(Hidden<String>),
    /// By certificates and by tokens of issuers.
    Mapped(IdentityConfig),
}

/// Where traces are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceSettings {
    pub(crate) endpoint: String,
    /// PEM; absent for the certificates of the public web.
    pub(crate) root_certificate: Option<Vec<u8>>,
    /// Of the traces that begin here, how many in a hundred are sent.
    pub(crate) percent: u8,
}

/// Which database, with how many connections.
#[derive(Debug)]
pub(crate) struct DatabaseConfig {
    pub(crate) database: Database,
    pub(crate) pool_size: u32,
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hidden<T>(pub(crate) T);

impl<T> std::fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("set")
    }
}

impl Layers {
    /// What `serve` needs; everything that is missing or wrong is told at once.
    pub(crate) fn serve(&self) -> Result<ServeConfig> {
        let mut reader = Reader { layers: self, wrong: Vec::new() };
        let listen = reader.parsed("listen");
        let tls = reader.tls();
        let admin = reader.admin();
        let database = reader.database();
        let sign_in = reader.sign_in();
        if let Some(listen) = listen {
            reader.reachable(listen, tls.as_ref(), sign_in.as_ref());
        }
        let keys = reader.read("sealing.keys", sealing_keys);
        let keys = reader.needed("sealing.keys", keys);
        let budgets = reader.budgets();
        let cache_bytes = reader.whole("cache.bytes", 0, 1 << 40).and_then(|most| usize::try_from(most).ok());
        let language = reader.read("messages.language", LanguageTag::parse);
        let messages = reader.parsed("messages.folder");
        let mail = reader.mail();
        let limits = reader.limits();
        let config = (|| {
            Some(ServeConfig {
                listen: listen?,
                tls,
                admin: admin?,
                database: database?,
                sign_in: sign_in?,
                sealing_keys: keys?,
                budgets: budgets?,
                cache_bytes: cache_bytes?,
                language: language?,
                messages: messages?,
                mail,
                limits: limits?,
            })
        })();
        reader.done(config)
    }

    /// How logs are written. Read first, so that everything else can be logged.
    pub(crate) fn logs(&self) -> Result<LogSettings> {
        let mut reader = Reader { layers: self, wrong: Vec::new() };
        let level = reader.read("log.level", |text| EnvFilter::try_new(text).map(|_| text.to_owned()));
        let format = reader.parsed::<LogFormat>("log.format");
        let traces = reader.traces(cfg!(feature = "otlp"));
        reader.done(level.zip(format).map(|(level, format)| LogSettings { level, format, traces }))
    }

    /// What the commands that only need the database read.
    pub(crate) fn database(&self) -> Result<DatabaseConfig> {
        let mut reader = Reader { layers: self, wrong: Vec::new() };
        let database = reader.database();
        reader.done(database)
    }
}
