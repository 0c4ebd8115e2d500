//! Where each value comes from: the first of flags, environment, file and defaults that gives one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::settings::{Row, SECTIONS, SETTINGS, nearest};

/// The file that is read where none is named.
const USUAL_FILE: &str = "domicile.toml";
/// Variables of the program that are no settings.
const OTHER_VARIABLES: [&str; 8] = [
    "DOMICILE_CA",
    "DOMICILE_CLIENT_CERTIFICATE",
    "DOMICILE_CLIENT_KEY",
    "DOMICILE_CONFIG",
    "DOMICILE_CREDENTIALS",
    "DOMICILE_ENDPOINT",
    "DOMICILE_ENV",
    "DOMICILE_TOKEN_FILE",
];

/// What the caller of the program gave.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file, if one was named; it must exist then.
    pub(crate) file: Option<PathBuf>,
    /// Variables that begin with `DOMICILE_`.
    pub(crate) environment: BTreeMap<String, String>,
    /// `--set` and flags of their own, by key.
    pub(crate) flags: BTreeMap<String, String>,
}

impl Sources {
    /// With the environment of this process.
    pub(crate) fn new(file: Option<PathBuf>, flags: BTreeMap<String, String>) -> Self {
        let ours = std::env::vars().filter(|(name, _)| name.starts_with("DOMICILE_"));
        Self { file, environment: ours.collect(), flags }
    }
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag,
    /// A file of its own, named at one of the above.
    SecretFile(PathBuf, Box<Self>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
            Self::SecretFile(path, named) => write!(f, "{}, named by {named}", path.display()),
        }
    }
}

/// A setting with its value. Not shown by `Debug`, since it may be a secret.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) row: &'static Row,
    pub(crate) value: String,
    pub(crate) origin: Origin,
}

impl Setting {
    pub(crate) const fn is_secret(&self) -> bool {
        self.row.secret
    }

    pub(crate) fn is_default(&self) -> bool {
        self.origin == Origin::Default
    }
}

/// A list of tables as the file has it.
#[derive(Debug, Clone)]
pub(crate) struct Entries {
    pub(crate) entries: Vec<Value>,
    pub(crate) origin: Origin,
}

/// Every setting that has a value, and the lists of the file.
pub(crate) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    lists: BTreeMap<&'static str, Entries>,
}

impl Layers {
    /// Reads every source.
    ///
    /// # Errors
    /// A file that cannot be read, a key that is no setting, a value that is none, a secret given twice.
    pub(crate) fn read(sources: &Sources) -> Result<Self> {
        let path = match &sources.file {
            Some(named) => Some(named.clone()),
            None => Some(PathBuf::from(USUAL_FILE)).filter(|usual| usual.exists()),
        };
        let file = path.map(|path| read_text(&path, "the configuration").map(|text| (path, text))).transpose()?;
        Self::of(sources, file)
    }

    /// The same with the content of the file at hand.
    pub(crate) fn of(sources: &Sources, file: Option<(PathBuf, String)>) -> Result<Self> {
        let defaults =
            SETTINGS.iter().filter_map(|row| row.default.map(|value| (row.key.to_owned(), value.to_owned())));
        let mut layers = Self { settings: BTreeMap::new(), lists: BTreeMap::new() };
        layers.put(&defaults.collect(), |_| Origin::Default, "defaults")?;
        if let Some((path, text)) = file {
            let mut table: Table =
                text.parse().with_context(|| format!("{} cannot be read as TOML", path.display()))?;
            let mut flat = BTreeMap::new();
            let read = layers.take_lists(&path, &mut table).and_then(|()| flatten("", table, &mut flat));
            read.with_context(|| format!("{} is not right", path.display()))?;
            layers.put(&flat, |_| Origin::File(path.clone()), &path.display().to_string())?;
        }
        layers.put(&by_key(&sources.environment)?, |row| Origin::Variable(row.variable()), "environment")?;
        layers.put(&sources.flags, |_| Origin::Flag, "--set")?;
        Ok(layers)
    }

    /// A setting that has a value.
    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.values()
    }

    /// A list of the file, if it has one.
    pub(crate) fn list(&self, name: &str) -> Option<&Entries> {
        self.lists.get(name)
    }

    /// Takes the lists out of the file; what is left are settings.
    fn take_lists(&mut self, path: &Path, table: &mut Table) -> Result<()> {
        for section in &SECTIONS {
            let entries = match table.remove(section.name) {
                None => continue,
                Some(Value::Array(entries)) if entries.iter().all(Value::is_table) => entries,
                Some(_) => bail!("`{0}` is a list of tables; begin each with [[{0}]]", section.name),
            };
            self.lists.insert(section.name, Entries { entries, origin: Origin::File(path.to_owned()) });
        }
        Ok(())
    }

    /// Puts a layer over those below.
    fn put(
        &mut self,
        values: &BTreeMap<String, String>,
        origin: impl Fn(&'static Row) -> Origin,
        place: &str,
    ) -> Result<()> {
        let known = SETTINGS.iter().flat_map(|row| {
            let file = row.secret.then(|| (format!("{}_file", row.key), row));
            std::iter::once((row.key.to_owned(), row)).chain(file)
        });
        let known: BTreeMap<String, &'static Row> = known.collect();
        for (key, value) in values {
            let Some(row) = known.get(key) else {
                return Err(unknown(place, key, nearest(key, known.keys().cloned())));
            };
            let named = origin(row);
            let setting = if key == row.key {
                Setting { row, value: value.clone(), origin: named }
            } else {
                if values.contains_key(row.key) {
                    bail!("{place}: {} is given as a value and as a file; give one", row.key);
                }
                let path = PathBuf::from(value);
                let value = read_text(&path, row.key)?.trim().to_owned();
                Setting { row, value, origin: Origin::SecretFile(path, Box::new(named)) }
            };
            self.settings.insert(row.key, setting);
        }
        Ok(())
    }
}

fn read_text(path: &Path, what: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{what} at {} cannot be read", path.display()))
}

fn unknown(place: &str, written: &str, nearest: Option<String>) -> anyhow::Error {
    let hint = nearest.map_or_else(
        || "`domicile config schema` lists them".to_owned(),
        |nearest| format!("did you mean `{nearest}`?"),
    );
    anyhow::anyhow!("{place}: `{written}` is no setting; {hint}")
}

/// What serde says of an entry, with the nearest name instead of all where a key or word is unknown.
pub(crate) fn told_of_entry(error: &str) -> String {
    let error = error.trim();
    let mut quoted = error.split('`').skip(1).step_by(2);
    let known = |error: &str| error.starts_with("unknown field") || error.starts_with("unknown variant");
    match quoted.next() {
        Some(written) if known(error) => {
            let known: Vec<String> = quoted.map(ToOwned::to_owned).collect();
            let all = known.join(", ");
            match nearest(written, known.into_iter()) {
                Some(nearest) => format!("`{written}` is not known here; did you mean `{nearest}`?"),
                None => format!("`{written}` is not known here; there are {all}"),
            }
        }
        _ => error.to_owned(),
    }
}

/// Variables by key: `DOMICILE_DATABASE_URL` is `database.url`, `..._FILE` its file.
fn by_key(environment: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let known = SETTINGS.iter().flat_map(|row| {
        let file = row.secret.then(|| (format!("{}_FILE", row.variable()), format!("{}_file", row.key)));
        std::iter::once((row.variable(), row.key.to_owned())).chain(file)
    });
    let known: BTreeMap<String, String> = known.collect();
    let settings = environment.iter().filter(|(name, _)| !OTHER_VARIABLES.contains(&name.as_str()));
    settings
        .map(|(name, value)| match known.get(name) {
            Some(key) => Ok((key.clone(), value.clone())),
            None => Err(unknown("environment", name, nearest(name, known.keys().cloned()))),
        })
        .collect()
}

/// Tables as dotted keys, values as text.
fn flatten(prefix: &str, table: Table, flat: &mut BTreeMap<String, String>) -> Result<()> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let text = match value {
            Value::Table(inner) if !SETTINGS.iter().any(|row| row.key == key) => {
                flatten(&key, inner, flat)?;
                continue;
            }
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(yes) => yes.to_string(),
            Value::Datetime(instant) => instant.to_string(),
            Value::Array(_) | Value::Table(_) => bail!("`{key}` is a list or table; give one value"),
        };
        flat.insert(key, text);
    }
    Ok(())
}
