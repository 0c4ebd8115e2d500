//! The binary: reads the command line and hands over.

mod auth;
mod cli;
mod commands;
mod credentials;
mod dev;
mod dispatching;
mod failure;
mod files;
mod output;
mod runtime;
mod sealer;
mod seed;
mod telemetry;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{AccessCommand, Cli, Command, NotificationsCommand, UserCommand};
use crate::failure::Failure;

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::install();
    match run(&Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is gone, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "domicile: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Dev(args) => dev::run(args).await.map_err(Failure::from),
        Command::User(UserCommand::Lookup(args)) => commands::lookup(args).await,
        Command::Assign(args) => commands::assign(args).await,
        Command::Notifications(NotificationsCommand::List(args)) => commands::list_notifications(args).await,
        Command::Notifications(NotificationsCommand::Show(args)) => commands::show_notification(args).await,
        Command::Access(AccessCommand::Check(args)) => commands::check(args).await,
    }
}
