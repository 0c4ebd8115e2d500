//! `domicile permission`: the catalogue of permissions, to which services put in what they offer.

use clap::{Args, Subcommand};
use domicile_client::v1;
use serde_json::{Value, json};

use crate::cli::{ClientArgs, PageArgs, SaveArgs, WhereArgs};
use crate::commands::{confirm, confirm_loss, count};
use crate::dev::own_name;
use crate::failure::Failure;
use crate::issuing::SERVICES;
use crate::pages;
use crate::session::{Session, next, service_session, session};

#[derive(Debug, Subcommand)]
pub(crate) enum PermissionCommand {
    /// List the catalogue, as a member of a workspace sees it
    List(Box<ListPermissionsArgs>),
    /// Put in what a service offers, or change how it is described; one that was retired is in use again
    Register(Box<RegisterArgs>),
    /// Take a permission out of use: it is granted to nobody until it is registered again
    Retire(Box<RetireArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ListPermissionsArgs {
    /// Only those whose name begins with these words: orders, orders.returns
    #[arg(long, default_value = "")]
    prefix: String,
    /// Show those too that are out of use
    #[arg(long)]
    retired: bool,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: WhereArgs,
}

/// Which service it is about.
#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// Service of the development instance that offers it; elsewhere it is the one that signs in
    #[arg(long, value_parser = SERVICES, required_unless_present = "endpoint", conflicts_with_all = ["endpoint", "acting"])]
    service: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// Permissions with a line for people: orders.read="See orders"; up to 100, all of them or none
    #[arg(required = true, value_name = "NAME=DESCRIPTION", value_parser = definition)]
    permissions: Vec<v1::PermissionDefinition>,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    by: ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    /// Permission, for example orders.read
    permission: String,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    by: ServiceArgs,
}

fn definition(text: &str) -> Result<v1::PermissionDefinition, String> {
    let words = text.split_once('=').filter(|(name, description)| !name.is_empty() && !description.is_empty());
    let (name, description) =
        words.ok_or("write the name, = and what it lets one do, for people: orders.read=\"See orders\"")?;
    Ok(v1::PermissionDefinition { name: name.to_owned(), description: description.to_owned() })
}

pub(crate) async fn run(command: &PermissionCommand) -> Result<(), Failure> {
    match command {
        PermissionCommand::List(args) => list(args).await,
        PermissionCommand::Register(args) => register(args).await,
        PermissionCommand::Retire(args) => retire(args).await,
    }
}

fn value(permission: &v1::Permission) -> Value {
    json!({
        "name": permission.name,
        "description": permission.description,
        "registered_by": permission.registered_by,
        "registered_at": permission.register_time.map(|at| at.seconds),
        "retired_at": permission.retire_time.map(|at| at.seconds),
    })
}

/// One line each, in columns.
fn table(permissions: &[v1::Permission]) -> String {
    let widest =
        |of: fn(&v1::Permission) -> &str| permissions.iter().map(|one| of(one).len()).max().unwrap_or_default();
    let (name, service) = (widest(|one| &one.name), widest(|one| &one.registered_by));
    let line = |one: &v1::Permission| {
        let retired = if one.retire_time.is_some() { " (retired)" } else { "" };
        format!("{:<name$}  {:<service$}  {}{retired}", one.name, one.registered_by, one.description)
    };
    permissions.iter().map(line).collect::<Vec<_>>().join("\n")
}

async fn list(args: &ListPermissionsArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let request = v1::ListPermissionsRequest {
            workspace: args.at.workspace.clone(),
            prefix: args.prefix.clone(),
            show_retired: args.retired,
            page_size,
            page_token,
            consistency: None,
        };
        let page = session.client.list_permissions(request).await?;
        Ok((page.permissions, page.next_page_token))
    })
    .await?;
    let text = if listed.items.is_empty() { "no permissions".to_owned() } else { table(&listed.items) };
    let values: Vec<Value> = listed.items.iter().map(value).collect();
    session.output.result(&text, &json!({ "permissions": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

/// The service itself calls, for nobody.
async fn connect(by: &ServiceArgs) -> Result<Session, Failure> {
    match &by.service {
        Some(service) => service_session(&by.client, service).await,
        None => session(&by.client).await,
    }
}

async fn register(args: &RegisterArgs) -> Result<(), Failure> {
    let session = connect(&args.by).await?;
    for one in &args.permissions {
        session.output.talk(&format!("Offers  {}: {}", one.name, one.description))?;
    }
    confirm(&session.output, &args.save)?;
    let request = v1::RegisterPermissionsRequest {
        request_id: args.save.request_id(),
        permissions: args.permissions.clone(),
        validate_only: args.save.dry_run,
    };
    let done = session.client.register_permissions(request).await?;
    let values: Vec<Value> = done.permissions.iter().map(value).collect();
    let value = json!({ "validate_only": args.save.dry_run, "permissions": values });
    if args.save.dry_run {
        session.output.result("Would   succeed; nothing was changed", &value)?;
        return Ok(());
    }
    session.output.result(&table(&done.permissions), &value)?;
    if let Some(first) = args.permissions.first() {
        let command = format!("role update ROLE --add-permission {} --workspace WORKSPACE", first.name);
        session.output.talk(&by_a_manager(&command, &args.by))?;
    }
    Ok(())
}

/// What a manager of a workspace types next, who signs in as themself.
fn by_a_manager(command: &str, by: &ServiceArgs) -> String {
    let command = match by.service {
        Some(_) => next(command, &by.client),
        None => format!("Next    {} {command}", own_name()),
    };
    format!("{command}   (a manager there)")
}

async fn retire(args: &RetireArgs) -> Result<(), Failure> {
    let session = connect(&args.by).await?;
    // One that is retired already stays so: a repeat can be rehearsed too, under an id of its own.
    let rehearsal = v1::RetirePermissionRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        permission: args.permission.clone(),
        validate_only: true,
    };
    let rehearsed = session.client.retire_permission(rehearsal.clone()).await?;
    session.output.talk(&format!("Retires {}", args.permission))?;
    session.output.talk(&format!("Takes   it from {} until it is registered again", uses(&rehearsed)))?;
    confirm_loss(&session.output, &args.save)?;
    let done = if args.save.dry_run {
        rehearsed
    } else {
        let request_id = args.save.request_id();
        let request = v1::RetirePermissionRequest { request_id, validate_only: false, ..rehearsal };
        session.client.retire_permission(request).await?
    };
    let value = json!({
        "validate_only": args.save.dry_run,
        "permission": done.permission.as_ref().map(value),
        "roles": done.roles,
        "memberships": done.memberships,
    });
    let text = if args.save.dry_run {
        format!("Would   be taken from {}; nothing was changed", uses(&done))
    } else {
        format!("Retired {}   taken from {}", args.permission, uses(&done))
    };
    session.output.result(&text, &value)?;
    if !args.save.dry_run {
        let command = "permission list --retired --workspace WORKSPACE";
        session.output.talk(&by_a_manager(command, &args.by))?;
    }
    Ok(())
}

/// `2 roles and 1 membership`
fn uses(done: &v1::RetirePermissionResponse) -> String {
    let (roles, memberships) = (done.roles, done.memberships);
    format!("{} and {}", count(roles, "role", "roles"), count(memberships, "membership", "memberships"))
}
