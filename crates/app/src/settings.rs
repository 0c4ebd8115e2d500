//! `domicile config`: what is set, where, and what can be set.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Result, anyhow};
use domicile_grpc::tls::Tls;
use serde_json::{Value, json};

use crate::cli::{ConfigArgs, ShowConfigArgs};
use crate::config::{Layers, SECTIONS, SETTINGS, Sources};
use crate::failure::Failure;
use crate::output::Output;

/// Every setting that flags, environment and file give.
pub(crate) fn read(args: &ConfigArgs) -> Result<Layers, Failure> {
    sources(args).and_then(|sources| Layers::read(&sources)).map_err(|error| Failure::invalid(&error))
}

fn sources(args: &ConfigArgs) -> Result<Sources> {
    let mut flags = BTreeMap::new();
    for pair in &args.settings {
        let (key, value) = pair.split_once('=').ok_or_else(|| anyhow!("--set {pair}: write --set KEY=VALUE"))?;
        flags.insert(key.to_owned(), value.to_owned());
    }
    for (key, value) in [("listen", &args.listen), ("database.url", &args.database_url)] {
        if let Some(value) = value {
            flags.insert(key.to_owned(), value.clone());
        }
    }
    Ok(Sources::new(args.config.clone(), flags))
}

pub(crate) async fn check(args: &ConfigArgs) -> Result<(), Failure> {
    let layers = read(args)?;
    layers.logs().map_err(|error| Failure::invalid(&error))?;
    let config = layers.serve().map_err(|error| Failure::invalid(&error))?;
    if let Some(tls) = config.tls {
        Tls::open(tls).await.map_err(|error| Failure::new(6, error.to_string()))?;
    }
    writeln!(std::io::stdout().lock(), "The configuration is complete.")?;
    Ok(())
}

/// A line of `config show`: a key, its value, and where it comes from.
struct Shown {
    key: String,
    value: Option<Value>,
    origin: String,
}

impl Shown {
    fn line(&self) -> String {
        let value = match &self.value {
            None => "not set".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        format!("{:<35}  {value:<24}  {}", self.key, self.origin).trim_end().to_owned()
    }
}

/// Every setting, secrets as "set", and every entry of a list.
fn shown(layers: &Layers) -> Vec<Shown> {
    let settings = SETTINGS.iter().map(|row| {
        let setting = layers.get(row.key);
        let value = setting.map(|setting| if setting.is_secret() { json!("set") } else { json!(setting.value) });
        let origin = setting.map(|setting| setting.origin.to_string()).unwrap_or_default();
        Shown { key: row.key.to_owned(), value, origin }
    });
    let entries = SECTIONS.iter().filter_map(|section| layers.list(section.name).map(|list| (section, list)));
    let entries = entries.flat_map(|(section, list)| {
        list.entries.iter().enumerate().map(|(number, entry)| Shown {
            key: format!("{}[{number}]", section.name),
            value: Some(json!(entry)),
            origin: list.origin.to_string(),
        })
    });
    settings.chain(entries).collect()
}

pub(crate) fn show(args: &ShowConfigArgs) -> Result<(), Failure> {
    let shown = shown(&read(&args.config)?);
    let lines: Vec<String> = shown.iter().map(Shown::line).collect();
    let values: serde_json::Map<String, Value> =
        shown.into_iter().map(|shown| (shown.key, json!({ "value": shown.value, "origin": shown.origin }))).collect();
    Ok(Output::new(&args.print, true).result(&lines.join("\n"), &values)?)
}

pub(crate) fn schema() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for row in SETTINGS {
        let file = if row.secret { format!(", or a file named by {}_FILE", row.variable()) } else { String::new() };
        writeln!(out, "{}\n    {}", row.key, row.help)?;
        writeln!(out, "    {}{file}; default: {}", row.variable(), row.default.unwrap_or("none"))?;
    }
    for section in &SECTIONS {
        writeln!(out, "[[{}]]\n    {}\n    in the file alone; any number of them", section.name, section.help)?;
        for key in section.keys {
            writeln!(out, "    {}\n        {}; for example {}", key.name, key.help, key.example)?;
        }
    }
    Ok(())
}
