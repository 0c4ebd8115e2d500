//! Logs: text on a terminal, JSON elsewhere; to standard error, so that results stay clean.

use std::io::IsTerminal;

use anyhow::{Context, Result, anyhow};
use tracing_subscriber::EnvFilter;

/// Installs the subscriber. `RUST_LOG` wins over `directives`, which say what is told: `warn`, `info,sqlx=error`.
pub(crate) fn install(directives: &str) -> Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(wanted) => EnvFilter::try_new(&wanted).with_context(|| format!("RUST_LOG `{wanted}` cannot be read"))?,
        Err(_) => EnvFilter::try_new(directives).with_context(|| format!("log `{directives}` cannot be read"))?,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().try_init() };
    installed.map_err(|error| anyhow!("logs cannot be written: {error}"))
}
