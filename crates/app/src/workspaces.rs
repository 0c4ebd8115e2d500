//! `domicile workspace`: makes and shows workspaces.

use anyhow::Result;
use domicile_client::v1;
use serde_json::{Value, json};

use crate::cli::{CreateWorkspaceArgs, ShowWorkspaceArgs};
use crate::commands::{confirm, word};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{next, session};

/// What a new workspace needs besides its handle.
struct Wanted {
    name: String,
    region: String,
    language: String,
    manager: String,
    first_name: String,
    last_name: String,
    username: String,
}

/// What is missing is asked for; where nobody can be asked, every missing flag is named at once.
fn wanted(output: &Output, args: &CreateWorkspaceArgs) -> Result<Wanted, Failure> {
    let fields = [
        ("--name", "Name of the workspace?", &args.name),
        ("--region", "Region of its phone numbers (HU, DE, ...)?", &args.region),
        ("--language", "Language (en, de, ...)?", &args.language),
        ("--manager", "Email address of its first manager?", &args.manager),
        ("--first-name", "First name of the manager?", &args.first_name),
        ("--last-name", "Last name of the manager?", &args.last_name),
        ("--username", "Username of the manager?", &args.username),
    ];
    let missing: Vec<&str> = fields.iter().filter(|(_, _, value)| value.is_none()).map(|(flag, _, _)| *flag).collect();
    if !missing.is_empty() && !output.can_ask() {
        return Err(Failure::new(6, format!("a workspace needs more than its handle; add {}", missing.join(", "))));
    }
    let mut answers = Vec::with_capacity(fields.len());
    for (_, question, value) in fields {
        answers.push(value.clone().map_or_else(|| output.ask(question), Ok)?);
    }
    let all: Result<[String; 7], _> = answers.try_into();
    let [name, region, language, manager, first_name, last_name, username] = all.unwrap_or_default();
    Ok(Wanted { name, region, language, manager, first_name, last_name, username })
}

pub(crate) async fn create(args: &CreateWorkspaceArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let output = &session.output;
    let wanted = wanted(output, args)?;
    output.talk(&format!("Makes   {} ({}), {}, {}", wanted.name, args.handle, wanted.region, wanted.language))?;
    output.talk(&format!("Manager {} {} <{}>, a new account", wanted.first_name, wanted.last_name, wanted.manager))?;
    confirm(output, &args.save)?;
    let profile = v1::Profile {
        first_name: wanted.first_name,
        last_name: wanted.last_name,
        username: wanted.username,
        preferred_language: wanted.language.clone(),
    };
    let manager = v1::FirstManager {
        email: wanted.manager,
        phone: args.phone.clone().unwrap_or_default(),
        profile: Some(profile),
    };
    let request = v1::CreateWorkspaceRequest {
        request_id: args.save.request_id(),
        handle: args.handle.clone(),
        display_name: wanted.name,
        default_region: wanted.region,
        default_language: wanted.language,
        manager: Some(manager),
        validate_only: args.save.dry_run,
    };
    let made = session.client.create_workspace(request).await?;
    tell_made(output, args, &made)
}

fn tell_made(output: &Output, args: &CreateWorkspaceArgs, made: &v1::CreateWorkspaceResponse) -> Result<(), Failure> {
    let workspace = made.workspace.as_ref();
    let manager = made.manager.clone().unwrap_or_default();
    let notice = made.notification.rsplit('/').next().unwrap_or_default();
    let value = json!({
        "validate_only": args.save.dry_run,
        "workspace": workspace.map(workspace_value),
        "manager": manager.user,
        "membership": manager.name,
        "notification": notice,
        "consistency_token": made.consistency_token,
    });
    if args.save.dry_run {
        output.result("Would   CREATED; nothing was saved", &value)?;
        return Ok(());
    }
    let name = workspace.map(|workspace| workspace.name.as_str()).unwrap_or_default();
    let line = format!("Saved   {name}   manager {}   notice {notice} QUEUED", manager.user);
    output.result(&line, &value)?;
    output.talk(&next(&format!("workspace show {}", args.handle), &args.client))?;
    Ok(())
}

pub(crate) async fn show(args: &ShowWorkspaceArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let request = v1::GetWorkspaceRequest { workspace: args.workspace.clone(), consistency: None };
    let found = session.client.get_workspace(request).await?.workspace.unwrap_or_default();
    let lines = [
        format!("Name      {} ({})", found.display_name, found.handle),
        format!("Id        {}", found.uid),
        format!("State     {}", word(found.state().as_str_name(), "WORKSPACE_STATE_")),
        format!("Region    {}", found.default_region),
        format!("Language  {}", found.default_language),
    ];
    session.output.result(&lines.join("\n"), &workspace_value(&found))?;
    Ok(())
}

pub(crate) fn workspace_value(of: &v1::Workspace) -> Value {
    json!({
        "id": of.uid,
        "handle": of.handle,
        "display_name": of.display_name,
        "state": word(of.state().as_str_name(), "WORKSPACE_STATE_"),
        "default_region": of.default_region,
        "default_language": of.default_language,
        "etag": of.etag,
    })
}
