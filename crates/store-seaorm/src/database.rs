//! Which database, and what can be wrong with it when it is opened.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use domicile_domain::model::text::NORMALISER_VERSION;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::{DatabaseConnection, DbErr};

use crate::postgres;
use crate::sqlite::{Access, Place, connect_writer};

/// A database by its URL. Shown without its password.
#[derive(Clone)]
pub enum Database {
    /// `sqlite:PATH`: a file, made when its schema is.
    SqliteFile(PathBuf),
    /// `postgres://user:password@host:port/name?sslmode=...`
    Postgres(Box<PgConnectOptions>),
}

/// A store could not be opened. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database.
    #[error("the database URL cannot be read: {detail}. Write sqlite:PATH or postgres://user@host:5432/name")]
    Url {
        /// What is wrong with it.
        detail: String,
    },
    /// The file cannot be opened or created.
    #[error("the database {place} cannot be opened: {detail}. Check that the folder exists and may be written to")]
    Open {
        /// Which.
        place: String,
        /// What the driver said.
        detail: String,
    },
    /// Nothing answers there.
    #[error("the database {place} cannot be reached: {detail}. Check host, port and network, and that the server runs")]
    Unreachable {
        /// Which.
        place: String,
        /// What the driver said.
        detail: String,
    },
    /// The server does not take the user or the password.
    #[error("the database {place} refuses to sign in `{user}`: {detail}. Check user and password")]
    SignIn {
        /// Which.
        place: String,
        /// As whom.
        user: String,
        /// What the server said.
        detail: String,
    },
    /// There is no such file, or the server has no such database.
    #[error(
        "there is no database {place}. Check the URL; create one with createdb on a PostgreSQL server, a SQLite file with `domicile db migrate`"
    )]
    NoDatabase {
        /// Which.
        place: String,
    },
    /// The user lacks a privilege.
    #[error(
        "`{user}` may not do that in the database {place}. Grant it CREATE on the database and its schema `public`"
    )]
    NotAllowed {
        /// Which.
        place: String,
        /// As whom.
        user: String,
    },
    /// The schema cannot be brought up to date.
    #[error("the schema of {place} cannot be brought up to date: {detail}")]
    Migrate {
        /// Which.
        place: String,
        /// What the driver said.
        detail: String,
    },
    /// The schema lacks steps.
    #[error("the schema of {place} lacks {steps}. Run `domicile db migrate`, then start again")]
    Behind {
        /// Which.
        place: String,
        /// The steps.
        steps: String,
    },
    /// A later program made the schema.
    #[error(
        "{place} was written by a later version of this program (its schema has {step}). Start that version, or restore a copy made before"
    )]
    Newer {
        /// Which.
        place: String,
        /// The step that this program does not know.
        step: String,
    },
    /// Keys were made by another normaliser.
    #[error(
        "the keys of {place} were made by version {stored} of the normaliser, and this program has version {NORMALISER_VERSION}. Start the program that wrote them, or make the keys anew"
    )]
    Normaliser {
        /// Which.
        place: String,
        /// What is stored.
        stored: String,
    },
}

impl FromStr for Database {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        let wrong = |detail: &str| Err(OpenError::Url { detail: detail.to_owned() });
        match url.split_once(':') {
            Some(("sqlite", rest)) => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => wrong("it names no file"),
                path if path.contains('?') => wrong("a SQLite file takes no parameters"),
                path => Ok(Self::SqliteFile(PathBuf::from(path))),
            },
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Box::new(postgres::read_url(url)?))),
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Err(OpenError::Url { detail: format!("`{scheme}` is no engine that is supported") })
            }
            _ => wrong("it names no engine"),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SqliteFile(path) => write!(f, "{}", path.display()),
            Self::Postgres(options) => f.write_str(&postgres::name_of(options)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Database {
    /// The first connection, with an error that says what is wrong.
    pub(crate) async fn connect(&self, access: Access) -> Result<DatabaseConnection, OpenError> {
        match self {
            Self::SqliteFile(path) if access != Access::Create && !path.exists() => {
                Err(OpenError::NoDatabase { place: self.to_string() })
            }
            Self::SqliteFile(path) => {
                connect_writer(&Place::File(path.clone()), access).await.map_err(|error| self.not_opened(&error))
            }
            Self::Postgres(options) => postgres::connect_once(options).await,
        }
    }

    pub(crate) fn not_opened(&self, error: &DbErr) -> OpenError {
        OpenError::Open { place: self.to_string(), detail: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_an_engine_and_a_place() {
        for (url, shown) in [
            ("sqlite:data/d.db", "data/d.db"),
            ("sqlite:///var/lib/d.db", "/var/lib/d.db"),
            ("postgres://ann:s3cret@db.example/domicile", "db.example:5432/domicile"),
            ("postgresql://ann@db.example:6432/domicile", "db.example:6432/domicile"),
        ] {
            assert_eq!(Database::from_str(url).unwrap().to_string(), shown);
        }
        for (url, told) in [
            ("", "it names no engine"),
            ("/var/lib/d.db", "it names no engine"),
            ("sqlite:", "it names no file"),
            ("sqlite:d.db?mode=ro", "takes no parameters"),
            ("mysql://db.example/domicile", "`mysql` is no engine"),
            ("postgres://ann@db.example:port/domicile", "cannot be read"),
        ] {
            let refused = Database::from_str(url).unwrap_err().to_string();
            assert!(refused.contains(told) && refused.contains("Write sqlite:PATH"), "{refused}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let database = Database::from_str("postgres://ann:s3cret@db.example/domicile").unwrap();
        assert!(!format!("{database} {database:?}").contains("s3cret"));
    }
}
