//! The sign-in material of a data folder: where the service is, its token, and the people of the example.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A person one can act as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    /// Full name.
    pub(crate) name: String,
    /// User id.
    pub(crate) user: String,
    /// Handle of the workspace they manage.
    pub(crate) workspace: String,
}

/// What the command line needs to call the service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CredentialsFile {
    pub(crate) endpoint: String,
    pub(crate) token: String,
    /// Whom to act as unless `--as` says otherwise.
    pub(crate) acting: String,
    /// By short name.
    pub(crate) people: BTreeMap<String, Person>,
}

impl CredentialsFile {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "there are no credentials at {}; start `domicile dev` in this folder, or name them with --credentials",
                path.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| {
            format!("the credentials at {} cannot be read; start `domicile dev` to write them anew", path.display())
        })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        crate::files::write_private(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// The user id behind a short name; a name that is none is taken for an id.
    pub(crate) fn user_of(&self, name: &str) -> String {
        self.people.get(name).map_or_else(|| name.to_owned(), |person| person.user.clone())
    }
}
