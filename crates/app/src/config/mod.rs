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
use domicile_notify::smtp::{Password, Security, SmtpSettings};
use domicile_store_seaorm::Database;

pub(crate) use layers::{Layers, Sources};
pub(crate) use settings::SETTINGS;

/// What `serve` works with.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) database: DatabaseConfig,
    /// The token of the calling service, until there is a real sign-in.
    pub(crate) token: Hidden<String>,
    /// The first seals, all open.
    pub(crate) sealing_keys: Hidden<Vec<[u8; 32]>>,
    pub(crate) budgets: Budgets,
    pub(crate) language: LanguageTag,
    pub(crate) messages: PathBuf,
    /// How mail leaves; captured where absent.
    pub(crate) mail: Option<SmtpSettings>,
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

    fn done<T>(self, value: Option<T>) -> Result<T> {
        match value {
            Some(value) if self.wrong.is_empty() => Ok(value),
            _ => anyhow::bail!("the configuration is not complete or not right:\n  {}", self.wrong.join("\n  ")),
        }
    }
}

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
        let database = reader.database();
        let token = reader.read("auth.development_token", |text| match text.len() {
            16.. => Ok(Hidden(text.to_owned())),
            _ => Err("a token has at least 16 characters; make one with: openssl rand -hex 32"),
        });
        let token = reader.needed("auth.development_token", token);
        let keys = reader.read("sealing.keys", sealing_keys);
        let keys = reader.needed("sealing.keys", keys);
        let budgets = reader.budgets();
        let language = reader.read("messages.language", LanguageTag::parse);
        let messages = reader.parsed("messages.folder");
        let mail = reader.mail();
        let config = (|| {
            Some(ServeConfig {
                listen: listen?,
                database: database?,
                token: token?,
                sealing_keys: keys?,
                budgets: budgets?,
                language: language?,
                messages: messages?,
                mail,
            })
        })();
        reader.done(config)
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
            "auth.development_token is not set",
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
        assert_eq!(read.serve().unwrap().token, Hidden("fedcba9876543210".to_owned()));
        let named = path.display().to_string();
        let read = layers(WHOLE, &[("DOMICILE_AUTH_DEVELOPMENT_TOKEN_FILE", &named)], &[]).unwrap();
        assert_eq!(read.serve().unwrap().token, Hidden("fedcba9876543210".to_owned()));
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
