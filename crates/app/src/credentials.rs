//! The sign-in material of a data folder: where the service is, the key of its issuer, and the people of the example.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::issuing::Subject;

/// Where `domicile dev` leaves them unless told otherwise.
pub(crate) const USUAL_CREDENTIALS: &str = "./domicile-dev/credentials.json";

/// A person one can act as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// Full name.
    pub(crate) name: String,
    /// User id.
    pub(crate) user: String,
    /// Handle of their home.
    pub(crate) workspace: String,
    /// The address that the issuer has verified.
    pub(crate) email: String,
}

/// What the command line needs to call the service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CredentialsFile {
    pub(crate) endpoint: String,
    /// The private key that signs tokens of anybody.
    pub(crate) key: String,
    /// Whom to act as unless `--as` says otherwise.
    pub(crate) acting: String,
    /// By short name.
    pub(crate) people: BTreeMap<String, Person>,
}

impl CredentialsFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let place = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!(
                "there are no credentials at {place}; start `domicile dev` in this folder, or name them with --credentials"
            ),
            _ => anyhow!("the credentials at {place} cannot be read ({error}); check the file's permissions"),
        })?;
        serde_json::from_str(&text).map_err(|error| {
            anyhow!(
                "the credentials at {place} are not what `domicile dev` writes ({error}); delete the file and start \
                 `domicile dev` again"
            )
        })
    }

    /// The person by a short name, as the issuer knows them.
    pub(crate) fn subject(&self, name: &str) -> Option<Subject> {
        let person = self.people.get(name)?;
        Some(Subject { name: name.to_owned(), email: Some(person.email.clone()) })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        crate::files::write_private(path, serde_json::to_string_pretty(self)?.as_bytes())
    }
}
