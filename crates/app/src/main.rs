//! The binary: reads the command line and hands over.

mod access;
mod admin;
mod auth;
mod cli;
mod commands;
mod config;
mod credentials;
mod database;
mod dev;
mod dispatching;
mod failure;
mod files;
mod groups;
mod identities;
mod init;
mod issuing;
mod members;
mod metrics;
mod output;
mod pages;
mod permissions;
mod policies;
mod readiness;
mod relationships;
mod roles;
mod runtime;
mod sealer;
mod seed;
mod serve;
mod service;
mod session;
mod settings;
mod telemetry;
#[cfg(feature = "otlp")]
mod traces;
mod workspaces;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{
    Cli, Command, ConfigCommand, DbCommand, DevArgs, DevCommand, NotificationsCommand, UserCommand, WorkspaceCommand,
};
use crate::failure::Failure;
use crate::policies::PolicyCommand;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the result had enough of it.
        Err(failure) if failure.reader_left => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is gone, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "domicile: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

async fn run(command: &Command) -> Result<(), Failure> {
    // A service tells what it does, in its own way; a command only what went wrong.
    if !matches!(command, Command::Dev(DevArgs { command: None, .. }) | Command::Serve(_)) {
        telemetry::install_for_command()?;
    }
    match command {
        Command::Dev(DevArgs { command: Some(DevCommand::Token(args)), .. }) => dev::print_token(args),
        Command::Dev(args) => dev::run(args).await.map_err(Failure::from),
        Command::Serve(args) => serve::run(args).await,
        Command::Init(args) => init::run(args),
        Command::Db(DbCommand::Migrate(args)) => database::migrate(args).await,
        Command::Db(DbCommand::Check(args)) => database::check(args).await,
        Command::Config(ConfigCommand::Check(args)) => settings::check(args).await,
        Command::Config(ConfigCommand::Show(args)) => settings::show(args),
        Command::Config(ConfigCommand::Schema) => settings::schema().map_err(Failure::from),
        Command::User(UserCommand::Lookup(args)) => commands::lookup(args).await,
        Command::User(UserCommand::Show(args)) => identities::show(args).await,
        Command::User(UserCommand::BindIdentity(args)) => identities::bind(args).await,
        Command::User(UserCommand::UnbindIdentity(args)) => identities::unbind(args).await,
        Command::Workspace(WorkspaceCommand::Create(args)) => workspaces::create(args).await,
        Command::Workspace(WorkspaceCommand::Show(args)) => workspaces::show(args).await,
        Command::Workspace(WorkspaceCommand::List(args)) => policies::list(args).await,
        Command::Workspace(WorkspaceCommand::Update(args)) => policies::update(args).await,
        Command::Workspace(WorkspaceCommand::Policy(PolicyCommand::Show(args))) => policies::show(args).await,
        Command::Workspace(WorkspaceCommand::Policy(PolicyCommand::Set(args))) => policies::set(args).await,
        Command::Member(command) => members::run(command).await,
        Command::Role(command) => roles::run(command).await,
        Command::Permission(command) => permissions::run(command).await,
        Command::Group(command) => groups::run(command).await,
        Command::Relationship(command) => relationships::run(command).await,
        Command::Assign(args) => commands::assign(args).await,
        Command::Notifications(NotificationsCommand::List(args)) => commands::list_notifications(args).await,
        Command::Notifications(NotificationsCommand::Show(args)) => commands::show_notification(args).await,
        Command::Access(command) => access::run(command).await,
    }
}
