//! Configuration: what every command of the service side reads, from flags, environment, file and defaults, in that order.
//!
//! Recipe for a setting: a row in the table of [`settings`], then a line where its group is read below. What is not in the
//! table is an error that names the nearest row, wherever it stands.

mod layers;
mod settings;

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use domicile_domain::model::budget::Budgets;
use domicile_domain::model::language::LanguageTag;
use domicile_grpc::Limits;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_grpc::tls::TlsSettings;
use domicile_identity::settings::{IssuerSettings, ServiceSettings};
use domicile_identity::{IdentityConfig, IdentitySettings, Violation, Violations};
use domicile_notify::smtp::{Password, Security, SmtpSettings};
use domicile_store_seaorm::Database;
use serde::de::DeserializeOwned;
use tracing_subscriber::EnvFilter;

use crate::telemetry::{LogFormat, LogSettings};

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
    pub(crate) cached_checks: usize,
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

/// Reads typed values out of the layers and collects what is wrong, so that all of it is told at once.
struct Reader<'a> {
    layers: &'a Layers,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn read<T, E: Display>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        let setting = self.layers.get(key)?;
        match parse(&setting.value) {
            Ok(value) => Some(value),
            Err(error) => {
                let shown = if setting.is_secret() { String::new() } else { format!(" `{}`:", setting.value) };
                self.wrong.push(format!("{key} ({}):{shown} {error}", setting.origin));
                None
            }
        }
    }

    fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        self.read(key, str::parse)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.layers.get(key).map(|setting| setting.value.clone())
    }

    fn whole(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        self.read(key, |text| match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("give a whole number from {least} to {most}")),
        })
    }

    /// A setting without which nothing works.
    fn needed<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.layers.get(key).is_none() {
            self.wrong.push(format!("{key} is not set: {}", settings::of(key).map_or("", |row| row.help)));
        }
        value
    }

    /// A file that this program reads later; told now if it cannot be.
    fn file(&mut self, key: &str) -> Option<PathBuf> {
        self.read(key, |path| std::fs::read(path).map(|_| PathBuf::from(path)))
    }

    fn seconds(&mut self, key: &str, least: u64, most: u64) -> Option<Duration> {
        self.whole(key, least, most).map(Duration::from_secs)
    }

    /// The entries of a list, each read or told.
    fn entries<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let Some(list) = self.layers.list(name) else { return Vec::new() };
        let mut read = Vec::new();
        for (number, entry) in list.entries.iter().enumerate() {
            match T::deserialize(entry.clone()) {
                Ok(value) => read.push(value),
                Err(error) => {
                    let told = layers::told_of_entry(error.message());
                    self.wrong.push(format!("{name}[{number}] ({}): {told}", list.origin));
                }
            }
        }
        read
    }

    fn database(&mut self) -> Option<DatabaseConfig> {
        let database = self.parsed("database.url");
        let database = self.needed("database.url", database);
        let pool_size = self.whole("database.pool_size", 1, 500).and_then(|size| u32::try_from(size).ok());
        Some(DatabaseConfig { database: database?, pool_size: pool_size? })
    }

    fn budgets(&mut self) -> Option<Budgets> {
        let mut limit = |key| {
            let limit = self.whole(key, 1, u64::from(u32::MAX))?;
            u32::try_from(limit).ok().and_then(NonZeroU32::new)
        };
        let user = limit("budgets.probes_per_user_minute");
        let workspace = limit("budgets.probes_per_workspace_hour");
        let service = limit("budgets.probes_per_service_hour");
        Some(Budgets {
            probes_per_user_minute: user?,
            probes_per_workspace_hour: workspace?,
            probes_per_service_hour: service?,
        })
    }

    fn mail(&mut self) -> Option<SmtpSettings> {
        let Some(host) = self.text("smtp.host") else {
            for setting in self.layers.iter().filter(|s| s.row.key.starts_with("smtp.") && !s.is_default()) {
                let useless = format!("{} ({}) has no use while smtp.host is not set", setting.row.key, setting.origin);
                self.wrong.push(useless);
            }
            return None;
        };
        let security = self.read("smtp.security", |text| match text {
            "starttls" => Ok((Security::StartTls, 587)),
            "tls" => Ok((Security::Tls, 465)),
            "none" => Ok((Security::None, 25)),
            _ => Err("give starttls, tls or none"),
        });
        let port = self.whole("smtp.port", 1, 65_535).and_then(|port| u16::try_from(port).ok());
        let allow_plaintext = self.parsed("smtp.allow_plaintext");
        let deadline = self.whole("smtp.timeout_seconds", 1, 30).map(Duration::from_secs);
        let pool_size = self.whole("smtp.pool_size", 1, 64).and_then(|size| usize::try_from(size).ok());
        let sender = self.text("smtp.sender");
        let sender = self.needed("smtp.sender", sender);
        let root_certificate = self.read("smtp.root_certificate", |path| std::fs::read_to_string(path));
        let (security, usual_port) = security?;
        Some(SmtpSettings {
            allow_plaintext: allow_plaintext?,
            username: self.text("smtp.username"),
            password: self.text("smtp.password").map(Password::new),
            hello_name: self.text("smtp.hello_name"),
            root_certificate,
            deadline: deadline?,
            pool_size: pool_size?,
            ..SmtpSettings::new(host, port.unwrap_or(usual_port), security, sender?)
        })
    }

    fn admin(&mut self) -> Option<AdminListen> {
        self.read("admin.listen", |text| match text {
            "off" => Ok(AdminListen::Off),
            address => address.parse().map(AdminListen::At),
        })
    }

    fn tls(&mut self) -> Option<TlsSettings> {
        let certificate = self.file("tls.certificate");
        let key = self.file("tls.key");
        let client_ca = self.file("tls.client_ca");
        let require_client_certificate = self.parsed("tls.require_client_certificate")?;
        let given = |key: &str| self.layers.get(key).is_some_and(|setting| !setting.is_default());
        let needs = [
            ("tls.certificate", "tls.key"),
            ("tls.key", "tls.certificate"),
            ("tls.client_ca", "tls.certificate"),
            ("tls.require_client_certificate", "tls.client_ca"),
        ];
        let alone = needs.iter().filter(|(key, other)| given(key) && !given(other));
        let alone: Vec<String> =
            alone.map(|(key, other)| format!("{key} has no use without {other}; set it too")).collect();
        self.wrong.extend(alone);
        Some(TlsSettings { certificate: certificate?, key: key?, client_ca, require_client_certificate })
    }

    fn sign_in(&mut self) -> Option<SignIn> {
        let token = self.read("auth.development_token", |text| match text.len() {
            16.. => Ok(Hidden(text.to_owned())),
            _ => Err("a token has at least 16 characters; make one with: openssl rand -hex 32"),
        });
        let mapped = SECTIONS.iter().any(|section| self.layers.list(section.name).is_some());
        match (mapped, self.layers.get("auth.development_token")) {
            (false, Some(_)) => token.map(SignIn::Development),
            (true, None) => self.mapped().map(SignIn::Mapped),
            (false, None) => {
                self.wrong.push(NO_SIGN_IN.to_owned());
                None
            }
            (true, Some(token)) => {
                self.wrong.push(format!(
                    "auth.development_token ({}) can act as anybody, which is not for where callers are named by \
                     [[services]]; take it out",
                    token.origin
                ));
                None
            }
        }
    }

    /// Callers and issuers by name.
    fn mapped(&mut self) -> Option<IdentityConfig> {
        let before = self.wrong.len();
        let services: Vec<ServiceSettings> = self.entries("services");
        let issuers: Vec<IssuerSettings> = self.entries("issuers");
        if self.wrong.len() > before {
            // The places of the others would be told wrong.
            return None;
        }
        let asked = self.layers.get("tls.client_ca").is_some();
        for number in
            services.iter().enumerate().filter(|(_, of)| !asked && !of.certificates.is_empty()).map(|(n, _)| n)
        {
            self.wrong.push(format!("services[{number}].certificates: no client is asked for one; set tls.client_ca"));
        }
        let methods = match MethodPolicies::read() {
            Ok(policies) => policies.iter().map(|(path, _)| path.trim_start_matches('/').to_owned()).collect(),
            Err(error) => {
                self.wrong.push(error.to_string());
                return None;
            }
        };
        match (IdentitySettings { services, issuers }).check(&methods) {
            Ok(config) if config.is_empty() => {
                self.wrong.push(NO_SIGN_IN.to_owned());
                None
            }
            Ok(config) => Some(config),
            Err(Violations(all)) => {
                for Violation { path, said } in all {
                    let origin =
                        path.split('[').next().and_then(|name| self.layers.list(name)).map(|list| &list.origin);
                    let origin = origin.map(|origin| format!(" ({origin})")).unwrap_or_default();
                    self.wrong.push(format!("{path}{origin}: {said}"));
                }
                None
            }
        }
    }

    /// What may be reached from elsewhere is encrypted, and its callers prove who they are.
    fn reachable(&mut self, listen: SocketAddr, tls: Option<&TlsSettings>, sign_in: Option<&SignIn>) {
        if listen.ip().is_loopback() {
            return;
        }
        if matches!(sign_in, Some(SignIn::Development(_))) {
            self.wrong.push(format!(
                "the token of auth.development_token can act as anybody, so it serves on loopback only, and {listen} is \
                 not; name the callers by [[services]] instead, or set listen to 127.0.0.1:{}",
                listen.port()
            ));
        }
        if tls.is_none() {
            self.wrong.push(format!(
                "{listen} can be reached from elsewhere, and nothing is encrypted; set tls.certificate and tls.key, or \
                 set listen to 127.0.0.1:{}",
                listen.port()
            ));
        }
    }

    fn limits(&mut self) -> Option<Limits> {
        const MOST_BYTES: u64 = 64 * 1024 * 1024;
        let bytes =
            |reader: &mut Self, key: &str| reader.whole(key, 1024, MOST_BYTES).and_then(|n| usize::try_from(n).ok());
        let count =
            |reader: &mut Self, key: &str, most: u64| reader.whole(key, 1, most).and_then(|n| u32::try_from(n).ok());
        let request_bytes = bytes(self, "limits.request_bytes");
        let answer_bytes = bytes(self, "limits.answer_bytes");
        let header_list_bytes = self.whole("limits.header_list_bytes", 1024, 1024 * 1024);
        let concurrent_streams = count(self, "limits.concurrent_streams", 65_536);
        let calls_per_connection = count(self, "limits.calls_per_connection", 65_536);
        let calls_per_process = count(self, "limits.calls_per_process", 65_536);
        let checks_per_process = count(self, "limits.checks_per_process", 65_536);
        let handshakes = count(self, "limits.handshakes", 65_536);
        let handshake = self.seconds("limits.handshake_seconds", 1, 60);
        let reflection = self.seconds("limits.reflection_seconds", 1, 3600);
        let keepalive_interval = self.seconds("limits.keepalive_interval_seconds", 1, 3600);
        let keepalive_timeout = self.seconds("limits.keepalive_timeout_seconds", 1, 600);
        let connection_age = self.seconds("limits.connection_age_seconds", 60, 86_400);
        let pending_accept_reset_streams = count(self, "limits.pending_accept_reset_streams", 65_536);
        let local_error_reset_streams = count(self, "limits.local_error_reset_streams", 65_536);
        let lame_duck = self.seconds("limits.lame_duck_seconds", 0, 600);
        let drain = self.seconds("limits.drain_seconds", 0, 600);
        let size = |n: u32| usize::try_from(n).ok();
        Some(Limits {
            request_bytes: request_bytes?,
            answer_bytes: answer_bytes?,
            header_list_bytes: u32::try_from(header_list_bytes?).ok()?,
            concurrent_streams: concurrent_streams?,
            calls_per_connection: size(calls_per_connection?)?,
            calls_per_process: size(calls_per_process?)?,
            checks_per_process: size(checks_per_process?)?,
            handshakes: size(handshakes?)?,
            handshake: handshake?,
            reflection: reflection?,
            keepalive_interval: keepalive_interval?,
            keepalive_timeout: keepalive_timeout?,
            connection_age: connection_age?,
            pending_accept_reset_streams: size(pending_accept_reset_streams?)?,
            local_error_reset_streams: size(local_error_reset_streams?)?,
            lame_duck: lame_duck?,
            drain: drain?,
        })
    }

    fn done<T>(self, value: Option<T>) -> Result<T> {
        match value {
            Some(value) if self.wrong.is_empty() => Ok(value),
            _ => anyhow::bail!("the configuration is not complete or not right:\n  {}", self.wrong.join("\n  ")),
        }
    }
}

/// What is said where nothing tells who is calling.
const NO_SIGN_IN: &str = "nothing tells who is calling: name the callers by [[services]] in the file (`domicile init` \
                          writes one), or, to try it out on this machine alone, set auth.development_token";

/// Keys of 32 bytes in hexadecimal, separated by commas.
fn sealing_keys(text: &str) -> Result<Hidden<Vec<[u8; 32]>>, String> {
    let key = |text: &str| {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map(|()| key)
    };
    let keys: Result<Vec<_>, _> = text.split(',').map(key).collect();
    keys.map(Hidden).map_err(|_| "each key is 64 hexadecimal digits; make one with: openssl rand -hex 32".to_owned())
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
        let cached_checks = reader.whole("cache.checks", 0, 10_000_000).and_then(|most| usize::try_from(most).ok());
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
                cached_checks: cached_checks?,
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
        reader.done(level.zip(format).map(|(level, format)| LogSettings { level, format }))
    }

    /// What the commands that only need the database read.
    pub(crate) fn database(&self) -> Result<DatabaseConfig> {
        let mut reader = Reader { layers: self, wrong: Vec::new() };
        let database = reader.database();
        reader.done(database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Layers> {
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Layers::of(
            &Sources { environment: pairs(environment), flags: pairs(flags), ..Sources::default() },
            Some(("domicile.toml".into(), file.to_owned())),
        )
    }

    fn refused<T>(read: Result<T>) -> String {
        format!("{:#}", read.err().unwrap())
    }

    const WHOLE: &str = "
        [database]
        url = \"postgres://ann:s3cret@db.example/domicile\"
        [auth]
        development_token = \"0123456789abcdef\"
        [sealing]
        keys = \"00000000000000000000000000000000000000000000000000000000000000ff\"
    ";

    fn token(layers: &Layers) -> String {
        match layers.serve().unwrap().sign_in {
            SignIn::Development(token) => token.0,
            SignIn::Mapped(_) => panic!("it is a token"),
        }
    }

    const MAPPED: &str = "
        database.url = \"sqlite:d.db\"
        sealing.keys = \"00000000000000000000000000000000000000000000000000000000000000ff\"
        [[services]]
        name = \"operator\"
        operator = true
        tokens = [{ issuer = \"https://login.acme.example\", client_id = \"operator\" }]
        methods = [\"*\"]
        [[issuers]]
        url = \"https://login.acme.example\"
        audience = \"domicile\"
        jwks_url = \"https://login.acme.example/keys\"
    ";

    #[test]
    fn callers_are_named_in_the_file() {
        let sign_in = |file: &str| layers(file, &[], &[]).unwrap().serve().map(|read| read.sign_in);
        assert!(matches!(sign_in(MAPPED).unwrap(), SignIn::Mapped(_)));
        for (from, to, part) in [
            (
                "methods = [\"*\"]",
                "methods = [\"UserService/LookUser\"]",
                "services[0].methods[0] (domicile.toml): `UserService/LookUser` is no method; did you mean `UserService/LookupUser`?",
            ),
            (
                "methods =",
                "method =",
                "services[0] (domicile.toml): `method` is not known here; did you mean `methods`?",
            ),
            ("client_id =", "clientid =", "`clientid` is not known here; did you mean `client_id`?"),
            ("audience = \"domicile\"", "", "issuers[0].audience (domicile.toml): "),
            (
                "tokens =",
                "certificates = [\"dns:x\"]\ntokens =",
                "services[0].certificates: no client is asked for one; set tls.client_ca",
            ),
        ] {
            let told = refused(sign_in(&MAPPED.replace(from, to)));
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        let issuers_alone =
            MAPPED.split("[[services]]").next().unwrap().to_owned() + MAPPED.split("methods = [\"*\"]").last().unwrap();
        assert!(refused(sign_in(&issuers_alone)).contains("nothing tells who is calling"));
        let both = layers(MAPPED, &[("DOMICILE_AUTH_DEVELOPMENT_TOKEN", "0123456789abcdef")], &[]);
        let told = refused(both.unwrap().serve());
        assert!(told.contains("auth.development_token (DOMICILE_AUTH_DEVELOPMENT_TOKEN) can act as anybody"), "{told}");
    }

    /// The table tells of every key that is read, of no other, and its examples work.
    #[test]
    fn the_lists_have_the_keys_of_the_table() {
        for section in &SECTIONS {
            let unknown = format!("[[{}]]\nno_such_key = 1", section.name);
            let layers = layers(&unknown, &[], &[]).unwrap();
            let entry = layers.list(section.name).unwrap().entries[0].clone();
            let told = match section.name {
                "services" => serde::Deserialize::deserialize(entry).map(|_: ServiceSettings| ()),
                _ => serde::Deserialize::deserialize(entry).map(|_: IssuerSettings| ()),
            };
            let told = told.unwrap_err().to_string();
            let mut read: Vec<&str> = told.split('`').skip(3).step_by(2).collect();
            let mut listed: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
            read.sort_unstable();
            listed.sort_unstable();
            assert_eq!(listed, read, "{}", section.name);
        }
        let example = |section: &settings::Section, without: &[&str]| {
            let keys = section.keys.iter().filter(|key| !without.contains(&key.name));
            keys.fold(format!("[[{}]]\n", section.name), |text, key| text + key.name + " = " + key.example + "\n")
        };
        let settings = "database.url = \"sqlite:d.db\"\nsealing.keys = \"00000000000000000000000000000000000000000000000000000000000000ff\"\n";
        let [services, issuers] = &SECTIONS;
        let file = settings.to_owned()
            + &example(services, &["certificates"])
            + &example(issuers, &["jwks_file", "root_certificate"]);
        layers(&file, &[], &[]).unwrap().serve().unwrap();
    }

    #[test]
    fn the_defaults_of_the_table_are_those_of_the_server() {
        let read = layers(WHOLE, &[], &[]).unwrap().serve().unwrap().limits;
        assert_eq!(format!("{read:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn a_list_is_read_from_the_file_alone_and_an_entry_is_told_by_its_name() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entry {
            name: String,
            #[serde(default)]
            scopes: Vec<String>,
        }
        let read = |file: &str| {
            let layers = layers(file, &[], &[])?;
            let mut reader = Reader { layers: &layers, wrong: Vec::new() };
            let entries: Vec<Entry> = reader.entries("services");
            reader.done(Some(entries))
        };
        let two = "[[services]]\nname = \"a\"\nscopes = [\"x\"]\n[[services]]\nname = \"b\"";
        let entries = read(two).unwrap();
        assert_eq!((entries.len(), entries[0].scopes.len(), entries[1].name.as_str()), (2, 1, "b"));
        let told = refused(read("[[services]]\nname = \"a\"\nscoped = []\n[[services]]\nscopes = []"));
        for part in [
            "services[0] (domicile.toml): `scoped` is not known here; did you mean `scopes`?",
            "services[1] (domicile.toml): missing field `name`",
        ] {
            assert!(told.contains(part), "{told}");
        }
        let told = refused(read("[services]\nname = \"a\""));
        assert!(told.contains("`services` is a list of tables; begin each with [[services]]"), "{told}");
        for (environment, flags) in [(&[("DOMICILE_SERVICES", "x")][..], &[][..]), (&[], &[("services", "x")])] {
            assert!(refused(layers("", environment, flags)).contains("` is no setting"));
        }
    }

    #[test]
    fn what_can_be_reached_from_elsewhere_is_encrypted_and_not_by_the_development_token() {
        let told = refused(layers(WHOLE, &[], &[("listen", "0.0.0.0:1")]).unwrap().serve());
        for part in ["serves on loopback only, and 0.0.0.0:1 is not", "nothing is encrypted; set tls.certificate"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn the_files_of_encryption_stand_together_and_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.pem");
        std::fs::write(&path, "-").unwrap();
        let path = path.to_str().unwrap();
        let read = |flags: &[(&str, &str)]| layers(WHOLE, &[], flags).unwrap().serve();
        let whole = [("tls.certificate", path), ("tls.key", path), ("tls.client_ca", path)];
        let tls = read(&whole).unwrap().tls.unwrap();
        assert!(tls.client_ca.is_some() && !tls.require_client_certificate);
        assert!(read(&[&whole[..], &[("tls.require_client_certificate", "true")]].concat()).unwrap().tls.is_some());
        for (flags, part) in [
            (&whole[..1], "tls.certificate has no use without tls.key"),
            (&whole[1..2], "tls.key has no use without tls.certificate"),
            (&whole[2..], "tls.client_ca has no use without tls.certificate"),
            (&[("tls.require_client_certificate", "true")], "has no use without tls.client_ca"),
            (&[("tls.key", "gone.pem"), ("tls.certificate", path)], "tls.key (flag): `gone.pem`: No such file"),
        ] {
            assert!(refused(read(flags)).contains(part), "{part}");
        }
    }

    #[test]
    fn the_admin_listener_can_be_off() {
        let admin =
            |value: &str| layers(WHOLE, &[], &[("admin.listen", value)]).unwrap().serve().map(|read| read.admin);
        assert_eq!(admin("off").unwrap(), AdminListen::Off);
        assert_eq!(admin("127.0.0.1:7").unwrap(), AdminListen::At("127.0.0.1:7".parse().unwrap()));
        assert!(refused(admin("on")).contains("admin.listen (flag): `on`:"));
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let config = layers(WHOLE, &[], &[]).unwrap().serve().unwrap();
        assert_eq!(config.listen, "127.0.0.1:50051".parse().unwrap());
        assert_eq!(config.database.database.to_string(), "db.example:5432/domicile");
        assert!(config.mail.is_none());
        let environment = [("DOMICILE_LISTEN", "127.0.0.1:1"), ("DOMICILE_DATABASE_POOL_SIZE", "7")];
        let config = layers(WHOLE, &environment, &[]).unwrap().serve().unwrap();
        assert_eq!((config.listen.port(), config.database.pool_size), (1, 7));
        let config = layers(WHOLE, &environment, &[("listen", "127.0.0.1:2")]).unwrap().serve().unwrap();
        assert_eq!(config.listen.port(), 2);
        assert!(!format!("{config:?}").contains("s3cret") && !format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn everything_that_is_missing_or_wrong_is_told_at_once_with_its_origin() {
        let told = layers("listen = \"here\"\n[smtp]\nport = 25", &[("DOMICILE_DATABASE_POOL_SIZE", "many")], &[])
            .unwrap()
            .serve()
            .unwrap_err()
            .to_string();
        for part in [
            "listen (domicile.toml): `here`:",
            "database.url is not set",
            "database.pool_size (DOMICILE_DATABASE_POOL_SIZE): `many`: give a whole number from 1 to 500",
            "nothing tells who is calling: name the callers by [[services]]",
            "sealing.keys is not set",
            "smtp.port (domicile.toml) has no use while smtp.host is not set",
        ] {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
    }

    #[test]
    fn budgets_are_the_shipped_ones_unless_set_and_never_nothing() {
        let read = |environment: &[(&str, &str)]| layers(WHOLE, environment, &[]).unwrap().serve();
        assert_eq!(read(&[]).unwrap().budgets, Budgets::default());
        let raised = read(&[("DOMICILE_BUDGETS_PROBES_PER_SERVICE_HOUR", "50000")]).unwrap().budgets;
        let service = NonZeroU32::new(50_000).unwrap();
        assert_eq!(raised, Budgets { probes_per_service_hour: service, ..Budgets::default() });
        for variable in ["USER_MINUTE", "WORKSPACE_HOUR", "SERVICE_HOUR"] {
            for wrong in ["0", "-1", "many", "4294967296"] {
                let told = refused(read(&[(&format!("DOMICILE_BUDGETS_PROBES_PER_{variable}"), wrong)]));
                assert!(told.contains("give a whole number from 1 to 4294967295"), "{told}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        for (file, environment, flags, part) in [
            (
                "[database]\nulr = \"x\"",
                &[][..],
                &[][..],
                "domicile.toml: `database.ulr` is no setting; did you mean `database.url`?",
            ),
            (
                "",
                &[("DOMICILE_DATABASE_ULR", "x")][..],
                &[][..],
                "`DOMICILE_DATABASE_ULR` is no setting; did you mean `DOMICILE_DATABASE_URL`?",
            ),
            ("", &[][..], &[("smpt.host", "x")][..], "--set: `smpt.host` is no setting; did you mean `smtp.host`?"),
            ("[database]\nurl = [1]", &[][..], &[][..], "`database.url` is a list or table; give one value"),
            ("[database", &[][..], &[][..], "domicile.toml cannot be read"),
        ] {
            let told = refused(layers(file, environment, flags));
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_secret_can_stand_in_a_file_of_its_own_but_not_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "fedcba9876543210\n").unwrap();
        let file =
            WHOLE.replace("development_token = \"0123456789abcdef\"", &format!("development_token_file = {path:?}"));
        let read = layers(&file, &[], &[]).unwrap();
        assert_eq!(token(&read), "fedcba9876543210");
        let named = path.display().to_string();
        let read = layers(WHOLE, &[("DOMICILE_AUTH_DEVELOPMENT_TOKEN_FILE", &named)], &[]).unwrap();
        assert_eq!(token(&read), "fedcba9876543210");
        let twice =
            [("DOMICILE_AUTH_DEVELOPMENT_TOKEN_FILE", named.as_str()), ("DOMICILE_AUTH_DEVELOPMENT_TOKEN", "x")];
        let told = refused(layers(WHOLE, &twice, &[]));
        assert!(told.contains("auth.development_token is given as a value and as a file; give one"), "{told}");
        let gone = refused(layers(WHOLE, &[("DOMICILE_SEALING_KEYS_FILE", "/nowhere/keys")], &[]));
        assert!(gone.contains("/nowhere/keys") && gone.contains("cannot be read"), "{gone}");
        let not_secret = refused(layers(WHOLE, &[("DOMICILE_LISTEN_FILE", &named)], &[]));
        assert!(not_secret.contains("`DOMICILE_LISTEN_FILE` is no setting"), "{not_secret}");
    }

    #[test]
    fn a_mail_section_is_read_whole() {
        let mail = format!(
            "{WHOLE}\n[smtp]\nhost = \"mail.example\"\nsender = \"no-reply@acme.example\"\nusername = \"u\"\npassword = \"s3cret\""
        );
        let config = layers(&mail, &[], &[]).unwrap().serve().unwrap().mail.unwrap();
        assert_eq!((config.host.as_str(), config.port, config.security), ("mail.example", 587, Security::StartTls));
        assert_eq!(config.deadline, Duration::from_secs(30));
        assert!(!format!("{config:?}").contains("s3cret"));
        let told = refused(layers(&mail, &[("DOMICILE_SMTP_ALLOW_PLAINTEXT", "perhaps")], &[]).unwrap().serve());
        assert!(told.contains("smtp.allow_plaintext (DOMICILE_SMTP_ALLOW_PLAINTEXT): `perhaps`:"), "{told}");
    }
}
