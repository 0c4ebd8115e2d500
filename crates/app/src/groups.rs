//! `domicile group`: makes, shows, changes and deletes groups, and says who is in them.

use clap::{Args, Subcommand};
use domicile_client::{FieldMask, v1};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{ClientArgs, SaveArgs};
use crate::commands::{confirm, confirm_loss, word};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Session, next, session};

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// List the groups of a workspace
    List(ListGroupsArgs),
    /// Show a group
    Show(NamedArgs),
    /// Make a group
    Create(Box<CreateGroupArgs>),
    /// Replace name or roles of a group
    Update(Box<UpdateGroupArgs>),
    /// Delete a group; with --force also while people are in it
    Delete(Box<DeleteGroupArgs>),
    /// Put Internals into a group
    AddMembers(Box<PeopleArgs>),
    /// Take Internals out of a group
    RemoveMembers(Box<PeopleArgs>),
    /// List who is in a group
    Members(MembersArgs),
}

/// A workspace and how to reach the service.
#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// Workspace: id or handle
    #[arg(long)]
    workspace: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListGroupsArgs {
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: i32,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Group: id or handle
    group: String,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: i32,
    #[command(flatten)]
    named: NamedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CreateGroupArgs {
    /// Handle: 2 to 63 characters a-z, 0-9 and -, beginning with a letter; it never changes
    handle: String,
    /// Name for people; the handle unless given
    #[arg(long)]
    name: Option<String>,
    /// Role that everybody in it has, by handle or id; may be given several times
    #[arg(long = "role")]
    roles: Vec<String>,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateGroupArgs {
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// Role that everybody in it has from now on, in place of those before; may be given several times
    #[arg(long = "role")]
    roles: Vec<String>,
    /// It carries no role from now on
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    named: NamedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteGroupArgs {
    /// Also while people are in it, who lose what it carried
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    named: NamedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeopleArgs {
    /// Group: id or handle
    group: String,
    /// Short names of the credentials, or user ids; up to 100, all of them or none
    #[arg(required = true)]
    people: Vec<String>,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    at: WhereArgs,
}

pub(crate) async fn run(command: &GroupCommand) -> Result<(), Failure> {
    match command {
        GroupCommand::List(args) => list(args).await,
        GroupCommand::Show(args) => show(args).await,
        GroupCommand::Create(args) => create(args).await,
        GroupCommand::Update(args) => update(args).await,
        GroupCommand::Delete(args) => delete(args).await,
        GroupCommand::AddMembers(args) => add(args).await,
        GroupCommand::RemoveMembers(args) => remove(args).await,
        GroupCommand::Members(args) => members(args).await,
    }
}

fn request_id(save: &SaveArgs) -> String {
    save.request_id.unwrap_or_else(Uuid::now_v7).to_string()
}

fn value(group: &v1::Group) -> Value {
    json!({
        "id": group.uid,
        "handle": group.handle,
        "display_name": group.display_name,
        "roles": role_ids(group),
        "members": group.member_count,
        "etag": group.etag,
    })
}

/// The ids at the end of the roles' names.
fn role_ids(group: &v1::Group) -> Vec<&str> {
    group.roles.iter().filter_map(|name| name.rsplit('/').next()).collect()
}

fn people(count: i64) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

async fn list(args: &ListGroupsArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let request = v1::ListGroupsRequest {
        workspace: args.at.workspace.clone(),
        page_size: args.limit,
        page_token: String::new(),
        consistency: None,
    };
    let page = session.client.list_groups(request).await?;
    let line =
        |group: &v1::Group| format!("{:<24} {:<12} {}", group.handle, people(group.member_count), group.display_name);
    let lines: Vec<String> = page.groups.iter().map(line).collect();
    session.output.result(&lines.join("\n"), &page.groups.iter().map(value).collect::<Vec<_>>())?;
    if !page.next_page_token.is_empty() {
        session.output.talk("There are more; raise --limit")?;
    }
    Ok(())
}

async fn read(session: &Session, args: &NamedArgs) -> Result<v1::Group, Failure> {
    let request =
        v1::GetGroupRequest { workspace: args.at.workspace.clone(), group: args.group.clone(), consistency: None };
    Ok(session.client.get_group(request).await?.group.unwrap_or_default())
}

async fn show(args: &NamedArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let group = read(&session, args).await?;
    let lines = [
        format!("Name      {} ({})", group.display_name, group.handle),
        format!("Id        {}", group.uid),
        format!("Roles     {}", role_ids(&group).join(", ")),
        format!("Members   {}", group.member_count),
    ];
    session.output.result(&lines.join("\n"), &value(&group))?;
    let command = format!("group members {} --workspace {}", args.group, args.at.workspace);
    session.output.talk(&next(&command, &args.at.client))?;
    Ok(())
}

/// What a change did, or would do.
fn tell(
    output: &Output,
    save: &SaveArgs,
    done: &str,
    group: Option<&v1::Group>,
    consistency_token: &str,
) -> Result<(), Failure> {
    let value = json!({
        "validate_only": save.dry_run,
        "group": group.map(value),
        "consistency_token": consistency_token,
    });
    let text = match group {
        _ if save.dry_run => "Would   succeed; nothing was changed".to_owned(),
        Some(group) => format!("{done:<7} {}   {}", group.handle, people(group.member_count)),
        None => format!("{done:<7} by an earlier request with the same id"),
    };
    output.result(&text, &value)?;
    Ok(())
}

fn next_show(session: &Session, group: &str, at: &WhereArgs) -> Result<(), Failure> {
    let command = format!("group show {group} --workspace {}", at.workspace);
    Ok(session.output.talk(&next(&command, &at.client))?)
}

async fn create(args: &CreateGroupArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let name = args.name.clone().unwrap_or_else(|| args.handle.clone());
    session.output.talk(&format!("Makes   {name} ({}), carries {}", args.handle, carried(&args.roles)))?;
    confirm(&session.output, &args.save)?;
    let request = v1::CreateGroupRequest {
        workspace: args.at.workspace.clone(),
        request_id: request_id(&args.save),
        handle: args.handle.clone(),
        display_name: name,
        roles: args.roles.clone(),
        validate_only: args.save.dry_run,
    };
    let made = session.client.create_group(request).await?;
    tell(&session.output, &args.save, "Made", made.group.as_ref(), &made.consistency_token)?;
    let command = format!("group add-members {} PERSON --workspace {}", args.handle, args.at.workspace);
    session.output.talk(&next(&command, &args.at.client))?;
    Ok(())
}

fn carried(roles: &[String]) -> String {
    if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") }
}

async fn update(args: &UpdateGroupArgs) -> Result<(), Failure> {
    let sets_roles = args.no_roles || !args.roles.is_empty();
    let mut paths = Vec::new();
    paths.extend(args.name.iter().map(|_| "display_name".to_owned()));
    paths.extend(sets_roles.then(|| "roles".to_owned()));
    if paths.is_empty() {
        return Err(Failure::new(2, "there is nothing to change; give --name, --role or --no-roles".to_owned()));
    }
    let session = session(&args.named.at.client).await?;
    let group = read(&session, &args.named).await?;
    if let Some(name) = &args.name {
        session.output.talk(&format!("Name    {} -> {name}", group.display_name))?;
    }
    if sets_roles {
        let reach = people(group.member_count);
        session.output.talk(&format!("Carries {} from now on, for {reach}", carried(&args.roles)))?;
    }
    confirm(&session.output, &args.save)?;
    let request = v1::UpdateGroupRequest {
        workspace: args.named.at.workspace.clone(),
        request_id: request_id(&args.save),
        group: args.named.group.clone(),
        etag: group.etag,
        update_mask: Some(FieldMask { paths }),
        display_name: args.name.clone().unwrap_or_default(),
        roles: args.roles.clone(),
        validate_only: args.save.dry_run,
    };
    let done = session.client.update_group(request).await?;
    tell(&session.output, &args.save, "Changed", done.group.as_ref(), &done.consistency_token)?;
    next_show(&session, &args.named.group, &args.named.at)
}

async fn delete(args: &DeleteGroupArgs) -> Result<(), Failure> {
    let session = session(&args.named.at.client).await?;
    let group = read(&session, &args.named).await?;
    let lose = people(group.member_count);
    session
        .output
        .talk(&format!("Deletes {} ({}); {lose} in it lose what it carries", group.display_name, group.handle))?;
    confirm_loss(&session.output, &args.save)?;
    let request = v1::DeleteGroupRequest {
        workspace: args.named.at.workspace.clone(),
        request_id: request_id(&args.save),
        group: args.named.group.clone(),
        etag: group.etag,
        force: args.force,
        validate_only: args.save.dry_run,
    };
    let done = session.client.delete_group(request).await?;
    tell(&session.output, &args.save, "Deleted", done.group.as_ref(), &done.consistency_token)?;
    let command = format!("group list --workspace {}", args.named.at.workspace);
    session.output.talk(&next(&command, &args.named.at.client))?;
    Ok(())
}

/// The people by their ids.
fn users(session: &Session, args: &PeopleArgs) -> Result<Vec<String>, Failure> {
    args.people.iter().map(|person| session.user_of(person)).collect()
}

async fn add(args: &PeopleArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let users = users(&session, args)?;
    session.output.talk(&format!("Adds    {} to {}", args.people.join(", "), args.group))?;
    confirm(&session.output, &args.save)?;
    let request = v1::AddGroupMembersRequest {
        workspace: args.at.workspace.clone(),
        request_id: request_id(&args.save),
        group: args.group.clone(),
        users,
        validate_only: args.save.dry_run,
    };
    let done = session.client.add_group_members(request).await?;
    tell(&session.output, &args.save, "Added", done.group.as_ref(), &done.consistency_token)?;
    next_show(&session, &args.group, &args.at)
}

async fn remove(args: &PeopleArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let users = users(&session, args)?;
    session.output.talk(&format!("Takes   {} out of {}", args.people.join(", "), args.group))?;
    confirm_loss(&session.output, &args.save)?;
    let request = v1::RemoveGroupMembersRequest {
        workspace: args.at.workspace.clone(),
        request_id: request_id(&args.save),
        group: args.group.clone(),
        users,
        validate_only: args.save.dry_run,
    };
    let done = session.client.remove_group_members(request).await?;
    tell(&session.output, &args.save, "Removed", done.group.as_ref(), &done.consistency_token)?;
    next_show(&session, &args.group, &args.at)
}

async fn members(args: &MembersArgs) -> Result<(), Failure> {
    let session = session(&args.named.at.client).await?;
    let request = v1::ListGroupMembersRequest {
        workspace: args.named.at.workspace.clone(),
        group: args.named.group.clone(),
        page_size: args.limit,
        page_token: String::new(),
        consistency: None,
    };
    let page = session.client.list_group_members(request).await?;
    let state = |member: &v1::Membership| word(member.state().as_str_name(), "MEMBERSHIP_STATE_");
    let line = |member: &v1::Membership| format!("{}  {:<11} {}", member.user, state(member), member.display_name);
    let row = |member: &v1::Membership| {
        json!({
            "user": member.user,
            "state": state(member),
            "display_name": member.display_name,
            "etag": member.etag,
        })
    };
    let lines: Vec<String> = page.memberships.iter().map(line).collect();
    session.output.result(&lines.join("\n"), &page.memberships.iter().map(row).collect::<Vec<_>>())?;
    if !page.next_page_token.is_empty() {
        session.output.talk("There are more; raise --limit")?;
    }
    Ok(())
}
