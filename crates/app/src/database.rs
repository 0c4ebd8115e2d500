//! `domicile db`: the database of the configuration.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use domicile_store_seaorm::{OpenError, SeaOrmStore};

use crate::cli::ConfigArgs;
use crate::failure::Failure;
use crate::settings::read;

pub(crate) async fn migrate(args: &ConfigArgs) -> Result<(), Failure> {
    let config = read(args)?.database().map_err(|error| Failure::invalid(&error))?;
    let talks = std::io::stderr().is_terminal();
    let still = |so_far: Duration| {
        if talks {
            // Whether anybody hears it is no matter to the schema.
            let _ = writeln!(
                std::io::stderr().lock(),
                "Brings the schema of {} up to date, {} s so far.",
                config.database,
                so_far.as_secs()
            );
        }
    };
    let taken = telling(SeaOrmStore::migrate(&config.database), still).await?;
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

/// Does some work, and tells every two seconds that it still goes on, and for how long by now.
async fn telling<T>(work: impl Future<Output = T>, still: impl Fn(Duration)) -> T {
    const QUIET: Duration = Duration::from_secs(2);
    let mut work = std::pin::pin!(work);
    let began = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(QUIET, &mut work).await {
            Ok(done) => return done,
            Err(_) => still(began.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_is_told_every_two_seconds() {
        let told = RefCell::new(Vec::new());
        let tell = |so_far: Duration| told.borrow_mut().push(so_far.as_secs());
        assert_eq!(telling(std::future::ready("at once"), tell).await, "at once");
        assert!(told.borrow().is_empty());
        // Work that is done once it was told of three times.
        let done = tokio::sync::Notify::new();
        let third = |so_far: Duration| {
            tell(so_far);
            if told.borrow().len() == 3 {
                done.notify_one();
            }
        };
        telling(done.notified(), third).await;
        assert_eq!(*told.borrow(), [2, 4, 6]);
    }
}
