//! Reads typed values out of the layers, group by group.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use domicile_domain::model::budget::Budgets;
use domicile_grpc::Limits;
use domicile_grpc::method_policy::MethodPolicies;
use domicile_grpc::tls::TlsSettings;
use domicile_identity::settings::{IssuerSettings, ServiceSettings};
use domicile_identity::{IdentityConfig, IdentitySettings, Violation, Violations};
use domicile_notify::smtp::{Password, Security, SmtpSettings};
use serde::de::DeserializeOwned;

use super::{AdminListen, DatabaseConfig, Hidden, Layers, SECTIONS, SignIn, TraceSettings, layers, settings};

/// Reads typed values out of the layers and collects what is wrong, so that all of it is told at once.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) wrong: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn read<T, E: Display>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
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

    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        self.read(key, str::parse)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.layers.get(key).map(|setting| setting.value.clone())
    }

    pub(super) fn whole(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        self.read(key, |text| match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("give a whole number from {least} to {most}")),
        })
    }

    /// A setting without which nothing works.
    pub(super) fn needed<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
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
    pub(super) fn entries<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
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

    pub(super) fn database(&mut self) -> Option<DatabaseConfig> {
        let database = self.parsed("database.url");
        let database = self.needed("database.url", database);
        let pool_size = self.whole("database.pool_size", 1, 500).and_then(|size| u32::try_from(size).ok());
        Some(DatabaseConfig { database: database?, pool_size: pool_size? })
    }

    pub(super) fn budgets(&mut self) -> Option<Budgets> {
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

    pub(super) fn mail(&mut self) -> Option<SmtpSettings> {
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

    pub(super) fn admin(&mut self) -> Option<AdminListen> {
        self.read("admin.listen", |text| match text {
            "off" => Ok(AdminListen::Off),
            address => address.parse().map(AdminListen::At),
        })
    }

    pub(super) fn tls(&mut self) -> Option<TlsSettings> {
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

    /// Where traces go, if they go anywhere; only a program that can send them takes an address.
    pub(super) fn traces(&mut self, can_send: bool) -> Option<TraceSettings> {
        let endpoint = self.read("otlp.endpoint", |text| match text.split_once("://") {
            _ if !can_send => Err(NO_OTLP),
            Some(("http" | "https", rest)) if !rest.is_empty() => Ok(text.to_owned()),
            _ => Err("give http://HOST:PORT, or https:// where the way there is not your own"),
        });
        let root_certificate = self.read("otlp.root_certificate", |path| std::fs::read(path));
        let percent = self.whole("otlp.traces_percent", 0, 100).and_then(|percent| u8::try_from(percent).ok());
        Some(TraceSettings { endpoint: endpoint?, root_certificate, percent: percent? })
    }

    pub(super) fn sign_in(&mut self) -> Option<SignIn> {
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
    pub(super) fn reachable(&mut self, listen: SocketAddr, tls: Option<&TlsSettings>, sign_in: Option<&SignIn>) {
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

    pub(super) fn limits(&mut self) -> Option<Limits> {
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
        let connections = count(self, "limits.connections", 1_000_000);
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
            connections: size(connections?)?,
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

    pub(super) fn done<T>(self, value: Option<T>) -> Result<T> {
        match value {
            Some(value) if self.wrong.is_empty() => Ok(value),
            _ => anyhow::bail!("the configuration is not complete or not right:\n  {}", self.wrong.join("\n  ")),
        }
    }
}

/// What is said where nothing tells who is calling.
const NO_SIGN_IN: &str = "nothing tells who is calling: name the callers by [[services]] in the file (`domicile init` \
                          writes one), or, to try it out on this machine alone, set auth.development_token";

/// What is said where traces cannot be sent.
const NO_OTLP: &str = "this program was built without OTLP; build it with `cargo build --release -p domicile --features \
                       otlp`, or take the setting out";

/// Keys of 32 bytes in hexadecimal, separated by commas.
pub(super) fn sealing_keys(text: &str) -> Result<Hidden<Vec<[u8; 32]>>, String> {
    let key = |text: &str| {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map(|()| key)
    };
    let keys: Result<Vec<_>, _> = text.split(',').map(key).collect();
    keys.map(Hidden).map_err(|_| "each key is 64 hexadecimal digits; make one with: openssl rand -hex 32".to_owned())
}
