//! `domicile config`: what is set, where, and what can be set.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::cli::{ConfigArgs, ShowConfigArgs};
use crate::config::{Layers, SETTINGS, Sources};
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

pub(crate) fn check(args: &ConfigArgs) -> Result<(), Failure> {
    read(args)?.serve().map_err(|error| Failure::invalid(&error))?;
    writeln!(std::io::stdout().lock(), "The configuration is complete.")?;
    Ok(())
}

pub(crate) fn show(args: &ShowConfigArgs) -> Result<(), Failure> {
    let layers = read(&args.config)?;
    let shown = |key: &str| match layers.get(key) {
        Some(setting) if setting.is_secret() => ("set".to_owned(), setting.origin.to_string()),
        Some(setting) => (setting.value.clone(), setting.origin.to_string()),
        None => ("not set".to_owned(), String::new()),
    };
    let lines: Vec<String> = SETTINGS
        .iter()
        .map(|row| {
            let (value, origin) = shown(row.key);
            format!("{:<24}  {value:<24}  {origin}", row.key).trim_end().to_owned()
        })
        .collect();
    let values: serde_json::Map<String, Value> = SETTINGS
        .iter()
        .map(|row| {
            let (value, origin) = shown(row.key);
            let value = layers.get(row.key).map(|_| value);
            (row.key.to_owned(), json!({ "value": value, "origin": origin }))
        })
        .collect();
    Ok(Output::new(args.json, false, true).result(&lines.join("\n"), &values)?)
}

pub(crate) fn schema() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for row in &SETTINGS {
        let file = if row.secret { format!(", or a file named by {}_FILE", row.variable()) } else { String::new() };
        writeln!(out, "{}\n    {}", row.key, row.help)?;
        writeln!(out, "    {}{file}; default: {}", row.variable(), row.default.unwrap_or("none"))?;
    }
    Ok(())
}
