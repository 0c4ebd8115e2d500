//! `domicile db`: the database of the configuration.

use std::io::Write;

use domicile_store_seaorm::{OpenError, SeaOrmStore};

use crate::cli::ConfigArgs;
use crate::failure::Failure;
use crate::settings::read;

pub(crate) async fn migrate(args: &ConfigArgs) -> Result<(), Failure> {
    let config = read(args)?.database().map_err(|error| Failure::invalid(&error))?;
    let taken = SeaOrmStore::migrate(&config.database).await?;
    let told = if taken.is_empty() { "is up to date".to_owned() } else { format!("took {}", taken.join(", ")) };
    writeln!(std::io::stdout().lock(), "The schema of {} {told}.", config.database)?;
    Ok(())
}

pub(crate) async fn check(args: &ConfigArgs) -> Result<(), Failure> {
    let config = read(args)?.database().map_err(|error| Failure::invalid(&error))?;
    let missing = SeaOrmStore::pending(&config.database).await?;
    if !missing.is_empty() {
        return Err(OpenError::Behind { place: config.database.to_string(), steps: missing.join(", ") }.into());
    }
    SeaOrmStore::open(&config.database, 1).await?;
    writeln!(std::io::stdout().lock(), "{} can be reached and its schema is up to date.", config.database)?;
    Ok(())
}
