//! `domicile group`: makes, shows, changes and deletes groups, and says who is in them.

use clap::{Args, Subcommand};
use domicile_client::{Client, ClientError, FieldMask, v1};
use serde_json::{Value, json};

use crate::cli::{ChangeArgs, PageArgs, SaveArgs, WhereArgs};
use crate::commands::{confirm, confirm_loss, count, tell_etag, word};
use crate::failure::Failure;
use crate::pages::{self, Listed};
use crate::roles::{RoleNames, or_none};
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

#[derive(Debug, Args)]
pub(crate) struct ListGroupsArgs {
    #[command(flatten)]
    page: PageArgs,
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
    #[command(flatten)]
    page: PageArgs,
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
    change: ChangeArgs,
    #[command(flatten)]
    named: NamedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteGroupArgs {
    /// Also while people are in it, who lose what it carried
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    named: NamedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PeopleArgs {
    /// Group: id or handle
    group: String,
    /// Email addresses, short names of the credentials, or user ids; up to 100, all of them or none
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

fn value(group: &v1::Group, roles: &RoleNames) -> Value {
    json!({
        "id": group.uid,
        "handle": group.handle,
        "display_name": group.display_name,
        "roles": roles.values(&group.roles),
        "members": group.member_count,
        "etag": group.etag,
    })
}

fn people(number: i64) -> String {
    count(number, "person", "people")
}

async fn listed(client: &Client, workspace: &str, limit: u32) -> Result<Listed<v1::Group>, Failure> {
    pages::up_to(limit, async |page_size, page_token| {
        let workspace = workspace.to_owned();
        let request = v1::ListGroupsRequest { workspace, page_size, page_token, consistency: None };
        let page = client.list_groups(request).await?;
        Ok((page.groups, page.next_page_token))
    })
    .await
}

/// Every group of a workspace.
pub(crate) async fn all(client: &Client, workspace: &str) -> Result<Vec<v1::Group>, Failure> {
    Ok(listed(client, workspace, u32::MAX).await?.items)
}

async fn list(args: &ListGroupsArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let listed = listed(&session.client, &args.at.workspace, args.page.limit).await?;
    let all: Vec<String> = listed.items.iter().flat_map(|group| group.roles.iter().cloned()).collect();
    let roles = RoleNames::of(&session, &args.at.workspace, &all).await;
    let widest = |of: fn(&v1::Group) -> &str| {
        listed.items.iter().map(|group| of(group).chars().count()).max().unwrap_or_default()
    };
    let (handle, name) = (widest(|group| &group.handle), widest(|group| &group.display_name));
    let line = |group: &v1::Group| {
        let (people, roles) = (people(group.member_count), roles.words(&group.roles));
        format!("{:<handle$}  {:<name$}  {people:<10}  {roles}", group.handle, group.display_name)
    };
    let lines: Vec<String> = listed.items.iter().map(line).collect();
    let text = if lines.is_empty() { "no groups".to_owned() } else { lines.join("\n") };
    let values: Vec<Value> = listed.items.iter().map(|group| value(group, &roles)).collect();
    session.output.result(&text, &json!({ "groups": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

async fn read(session: &Session, args: &NamedArgs) -> Result<v1::Group, Failure> {
    let request =
        v1::GetGroupRequest { workspace: args.at.workspace.clone(), group: args.group.clone(), consistency: None };
    Ok(session.client.get_group(request).await?.group.unwrap_or_default())
}

async fn show(args: &NamedArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let group = read(&session, args).await?;
    let roles = RoleNames::of(&session, &args.at.workspace, &group.roles).await;
    let lines = [
        format!("Name      {} ({})", group.display_name, group.handle),
        format!("Id        {}", group.uid),
        format!("Roles     {}", roles.words(&group.roles)),
        format!("Members   {}", group.member_count),
    ];
    session.output.result(&lines.join("\n"), &value(&group, &roles))?;
    let command = format!("group members {} --workspace {}", args.group, args.at.workspace);
    session.output.talk(&next(&command, &args.at.client))?;
    Ok(())
}

/// What a change answered, whichever it was.
struct Answer {
    group: Option<v1::Group>,
    consistency_token: String,
}

macro_rules! answers {
    ($($response:ident),*) => {$(
        impl From<v1::$response> for Answer {
            fn from(of: v1::$response) -> Self {
                Self { group: of.group, consistency_token: of.consistency_token }
            }
        }
    )*};
}

answers!(
    CreateGroupResponse,
    UpdateGroupResponse,
    DeleteGroupResponse,
    AddGroupMembersResponse,
    RemoveGroupMembersResponse
);

/// What a change did and what to type next, or what it would do.
async fn tell(
    session: &Session,
    at: &WhereArgs,
    (done, save): (&str, &SaveArgs),
    answer: impl Into<Answer>,
    command: &str,
) -> Result<(), Failure> {
    let Answer { group, consistency_token } = answer.into();
    let held = group.as_ref().map(|group| group.roles.clone()).unwrap_or_default();
    let roles = RoleNames::of(session, &at.workspace, &held).await;
    let value = json!({
        "validate_only": save.dry_run,
        "group": group.as_ref().map(|group| value(group, &roles)),
        "consistency_token": consistency_token,
    });
    if save.dry_run {
        session.output.result("Would   succeed; nothing was changed", &value)?;
        return Ok(());
    }
    let text = match &group {
        Some(group) => format!("{done:<7} {}   {}", group.handle, people(group.member_count)),
        None => format!("{done:<7} by an earlier request with the same id"),
    };
    session.output.result(&text, &value)?;
    let command = format!("group {command} --workspace {}", at.workspace);
    Ok(session.output.talk(&next(&command, &at.client))?)
}

async fn create(args: &CreateGroupArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let name = args.name.clone().unwrap_or_else(|| args.handle.clone());
    session.output.talk(&format!("Makes   {name} ({}), carries {}", args.handle, or_none(&args.roles)))?;
    confirm(&session.output, &args.save)?;
    let request = v1::CreateGroupRequest {
        workspace: args.at.workspace.clone(),
        request_id: args.save.request_id(),
        handle: args.handle.clone(),
        display_name: name,
        roles: args.roles.clone(),
        validate_only: args.save.dry_run,
    };
    let made = session.client.create_group(request).await?;
    tell(&session, &args.at, ("Made", &args.save), made, &format!("add-members {} PERSON", args.handle)).await
}

async fn update(args: &UpdateGroupArgs) -> Result<(), Failure> {
    let sets_roles = args.no_roles || !args.roles.is_empty();
    let mut paths = Vec::new();
    paths.extend(args.name.iter().map(|_| "display_name".to_owned()));
    paths.extend(sets_roles.then(|| "roles".to_owned()));
    if paths.is_empty() {
        return Err(Failure::new(2, "there is nothing to change; give --name, --role or --no-roles".to_owned()));
    }
    let UpdateGroupArgs { change, named, .. } = args;
    let session = session(&named.at.client).await?;
    let mut takes = false;
    let etag = if change.may_repeat() {
        session.output.talk(&format!("Changes {}", named.group))?;
        change.etag("")
    } else {
        let group = read(&session, named).await?;
        if let Some(name) = &args.name {
            session.output.talk(&format!("Name    {} -> {name}", group.display_name))?;
        }
        if sets_roles {
            let names = RoleNames::read(&session, &named.at.workspace).await?;
            let (before, after) = (names.handles(&group.roles), names.handles(&args.roles));
            let reach = people(group.member_count);
            session.output.talk(&format!("Carries {} -> {}, for {reach}", or_none(&before), or_none(&after)))?;
            takes = before.iter().any(|role| !after.contains(role));
        }
        tell_etag(&session.output, change, &group.etag)?;
        change.etag(&group.etag)
    };
    let ask = if takes { confirm_loss } else { confirm };
    ask(&session.output, &change.save)?;
    let request = v1::UpdateGroupRequest {
        workspace: named.at.workspace.clone(),
        request_id: change.save.request_id(),
        group: named.group.clone(),
        etag,
        update_mask: Some(FieldMask { paths }),
        display_name: args.name.clone().unwrap_or_default(),
        roles: args.roles.clone(),
        validate_only: change.save.dry_run,
    };
    let done = session.client.update_group(request).await?;
    tell(&session, &named.at, ("Changed", &change.save), done, &format!("show {}", named.group)).await
}

async fn delete(args: &DeleteGroupArgs) -> Result<(), Failure> {
    let DeleteGroupArgs { change, named, force } = args;
    let session = session(&named.at.client).await?;
    let etag = if change.may_repeat() {
        session.output.talk(&format!("Deletes {}", named.group))?;
        change.etag("")
    } else {
        let group = read(&session, named).await?;
        session.output.talk(&format!("Deletes {} ({})", group.display_name, group.handle))?;
        session.output.talk(&format!("Takes   what it carries from {}", people(group.member_count)))?;
        tell_etag(&session.output, change, &group.etag)?;
        change.etag(&group.etag)
    };
    let mut request = v1::DeleteGroupRequest {
        workspace: named.at.workspace.clone(),
        request_id: change.save.request_id(),
        group: named.group.clone(),
        etag,
        force: *force,
        validate_only: true,
    };
    if !(change.may_repeat() || change.save.dry_run) {
        // What is refused is not asked about.
        let rehearsed = session.client.delete_group(request.clone()).await;
        rehearsed.map_err(|error| not_empty(error, named))?;
    }
    confirm_loss(&session.output, &change.save)?;
    request.validate_only = change.save.dry_run;
    let done = session.client.delete_group(request).await.map_err(|error| not_empty(error, named))?;
    tell(&session, &named.at, ("Deleted", &change.save), done, "list").await
}

/// A refusal with the command that does it all the same, where people are in the group.
fn not_empty(error: ClientError, named: &NamedArgs) -> Failure {
    let has_people = error.reason == "GROUP_NOT_EMPTY";
    let failure = Failure::from(error);
    if !has_people {
        return failure;
    }
    let command = format!("group delete --force {} --workspace {}", named.group, named.at.workspace);
    failure.then(&next(&command, &named.at.client))
}

/// The people by their ids.
async fn users(session: &Session, args: &PeopleArgs) -> Result<Vec<String>, Failure> {
    let mut users = Vec::with_capacity(args.people.len());
    for person in &args.people {
        users.push(session.member_of(&args.at.workspace, person).await?);
    }
    Ok(users)
}

async fn add(args: &PeopleArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let users = users(&session, args).await?;
    session.output.talk(&format!("Adds    {} to {}", args.people.join(", "), args.group))?;
    confirm(&session.output, &args.save)?;
    let request = v1::AddGroupMembersRequest {
        workspace: args.at.workspace.clone(),
        request_id: args.save.request_id(),
        group: args.group.clone(),
        users,
        validate_only: args.save.dry_run,
    };
    let done = session.client.add_group_members(request).await?;
    tell(&session, &args.at, ("Added", &args.save), done, &format!("show {}", args.group)).await
}

async fn remove(args: &PeopleArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let users = users(&session, args).await?;
    session.output.talk(&format!("Takes   {} out of {}", args.people.join(", "), args.group))?;
    confirm_loss(&session.output, &args.save)?;
    let request = v1::RemoveGroupMembersRequest {
        workspace: args.at.workspace.clone(),
        request_id: args.save.request_id(),
        group: args.group.clone(),
        users,
        validate_only: args.save.dry_run,
    };
    let done = session.client.remove_group_members(request).await?;
    tell(&session, &args.at, ("Removed", &args.save), done, &format!("show {}", args.group)).await
}

async fn members(args: &MembersArgs) -> Result<(), Failure> {
    let session = session(&args.named.at.client).await?;
    let NamedArgs { group, at } = &args.named;
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let (workspace, group) = (at.workspace.clone(), group.clone());
        let request = v1::ListGroupMembersRequest { workspace, group, page_size, page_token, consistency: None };
        let page = session.client.list_group_members(request).await?;
        Ok((page.memberships, page.next_page_token))
    })
    .await?;
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
    let lines: Vec<String> = listed.items.iter().map(line).collect();
    let text = if lines.is_empty() { "nobody".to_owned() } else { lines.join("\n") };
    let values: Vec<Value> = listed.items.iter().map(row).collect();
    session.output.result(&text, &json!({ "members": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}
