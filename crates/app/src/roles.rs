//! `domicile role`: lists, shows, makes, changes and deletes the roles of a workspace; and what roles are called, for other
//! commands.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use domicile_client::{Client, FieldMask, v1};
use serde_json::{Value, json};

use crate::cli::{ChangeArgs, PageArgs, SaveArgs, WhereArgs};
use crate::commands::{confirm, confirm_loss, count, tell_etag};
use crate::failure::Failure;
use crate::pages;
use crate::session::{Session, next, session};

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// List the roles of a workspace
    List(ListRolesArgs),
    /// Show a role and what it grants
    Show(NamedArgs),
    /// Make a role
    Create(Box<CreateRoleArgs>),
    /// Change what a role grants, its name, or whether Externals may have it; the next check goes by it
    Update(Box<UpdateRoleArgs>),
    /// Delete a role; with --force also while it is in use
    Delete(Box<DeleteRoleArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ListRolesArgs {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Role: id or handle
    role: String,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CreateRoleArgs {
    /// Handle: 2 to 63 characters a-z, 0-9 and -, beginning with a letter; it never changes
    handle: String,
    /// Name for people; the handle unless given
    #[arg(long)]
    name: Option<String>,
    /// Permission that it grants; may be given several times
    #[arg(long = "permission")]
    permissions: Vec<String>,
    /// Externals may have it too, where a ceiling names it
    #[arg(long)]
    for_externals: bool,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateRoleArgs {
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    permissions: PermissionsArgs,
    /// Whether Externals may have it, where a ceiling names it
    #[arg(long, value_name = "BOOL")]
    for_externals: Option<bool>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    named: NamedArgs,
}

/// Which permissions there are from now on, as a whole or by what is other.
#[derive(Debug, Args)]
pub(crate) struct PermissionsArgs {
    /// Permission from now on, in place of those before; may be given several times
    #[arg(long = "permission", conflicts_with_all = ["add_permission", "remove_permission", "no_permissions"])]
    permission: Vec<String>,
    /// Permission besides those before; may be given several times
    #[arg(long, value_name = "PERMISSION", conflicts_with = "no_permissions")]
    add_permission: Vec<String>,
    /// Permission that is taken away; may be given several times
    #[arg(long, value_name = "PERMISSION", conflicts_with = "no_permissions")]
    remove_permission: Vec<String>,
    /// No permission from now on
    #[arg(long)]
    no_permissions: bool,
}

impl PermissionsArgs {
    /// Whether anything is to be other.
    pub(crate) fn are_given(&self) -> bool {
        self.no_permissions
            || [&self.permission, &self.add_permission, &self.remove_permission].iter().any(|given| !given.is_empty())
    }

    /// Whether it takes those before to know all of them.
    pub(crate) fn are_a_difference(&self) -> bool {
        !(self.add_permission.is_empty() && self.remove_permission.is_empty())
    }

    /// All of them from now on.
    pub(crate) fn over(&self, before: &[String], change: &ChangeArgs) -> Result<Vec<String>, Failure> {
        if self.are_a_difference() {
            return over(before, (&self.add_permission, &self.remove_permission), "permission", change);
        }
        Ok(self.permission.clone())
    }
}

/// A set with some more and some less, in order, so that the same again is the same request. What is not there cannot be
/// taken away, so that a slip of the pen is told; unless an earlier request may have done so.
pub(crate) fn over(
    before: &[String],
    (add, remove): (&[String], &[String]),
    what: &str,
    change: &ChangeArgs,
) -> Result<Vec<String>, Failure> {
    let unknown = remove.iter().find(|word| !before.contains(word) && !change.may_repeat());
    if let Some(unknown) = unknown {
        let message = format!("the {what} `{unknown}` is not there to take away; what is there: {}", or_none(before));
        return Err(Failure::new(4, message));
    }
    let all: BTreeSet<&String> = before.iter().chain(add).filter(|word| !remove.contains(word)).collect();
    Ok(all.into_iter().cloned().collect())
}

#[derive(Debug, Args)]
pub(crate) struct DeleteRoleArgs {
    /// Also while it is in use: it is taken away from every membership, group and ceiling that names it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    named: NamedArgs,
}

pub(crate) async fn run(command: &RoleCommand) -> Result<(), Failure> {
    match command {
        RoleCommand::List(args) => list(args).await,
        RoleCommand::Show(args) => show(args).await,
        RoleCommand::Create(args) => create(args).await,
        RoleCommand::Update(args) => update(args).await,
        RoleCommand::Delete(args) => delete(args).await,
    }
}

/// All roles of a workspace.
pub(crate) async fn all(client: &Client, workspace: &str) -> Result<Vec<v1::Role>, Failure> {
    pages::whole(async |page_size, page_token| {
        let workspace = workspace.to_owned();
        let request = v1::ListRolesRequest { workspace, page_size, page_token, consistency: None };
        let page = client.list_roles(request).await?;
        Ok((page.roles, page.next_page_token))
    })
    .await
}

/// What roles are called, by id.
#[derive(Default)]
pub(crate) struct RoleNames(BTreeMap<String, String>);

impl RoleNames {
    /// Reads what these are called. A result is told by ids rather than not at all where that cannot be read.
    pub(crate) async fn of(session: &Session, workspace: &str, roles: &[String]) -> Self {
        if roles.is_empty() { Self::default() } else { Self::read(session, workspace).await.unwrap_or_default() }
    }

    /// Reads what all roles of a workspace are called.
    pub(crate) async fn read(session: &Session, workspace: &str) -> Result<Self, Failure> {
        let all = all(&session.client, workspace).await?;
        Ok(Self(all.into_iter().map(|role| (role.uid, role.handle)).collect()))
    }

    /// The handles of roles that are named as resources, by id or by handle.
    pub(crate) fn handles(&self, roles: &[String]) -> Vec<String> {
        roles.iter().map(|name| id_of(name)).map(|id| self.0.get(id).map_or(id, String::as_str).to_owned()).collect()
    }

    /// `member, project-lead`
    pub(crate) fn words(&self, roles: &[String]) -> String {
        or_none(&self.handles(roles))
    }

    pub(crate) fn values(&self, roles: &[String]) -> Vec<Value> {
        roles.iter().map(|name| id_of(name)).map(|id| json!({ "id": id, "handle": self.0.get(id) })).collect()
    }
}

/// The id at the end of the name of a resource.
pub(crate) fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A list in words.
pub(crate) fn or_none(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn value(role: &v1::Role) -> Value {
    json!({
        "id": role.uid,
        "handle": role.handle,
        "display_name": role.display_name,
        "permissions": role.permissions,
        "for_externals": role.for_externals,
        "built_in": role.built_in,
        "etag": role.etag,
    })
}

/// What distinguishes a role from others.
fn marks(role: &v1::Role) -> String {
    let marks = [(role.for_externals, "for Externals"), (role.built_in, "built in")];
    marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect::<Vec<_>>().join(", ")
}

async fn list(args: &ListRolesArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let workspace = args.at.workspace.clone();
        let request = v1::ListRolesRequest { workspace, page_size, page_token, consistency: None };
        let page = session.client.list_roles(request).await?;
        Ok((page.roles, page.next_page_token))
    })
    .await?;
    let widest = listed.items.iter().map(|role| role.handle.len()).max().unwrap_or_default();
    let line = |role: &v1::Role| {
        let grants = if role.permissions.is_empty() { "-".to_owned() } else { role.permissions.join(", ") };
        format!("{:<widest$}  {:<23}  {grants}", role.handle, marks(role))
    };
    let lines: Vec<String> = listed.items.iter().map(line).collect();
    let values: Vec<Value> = listed.items.iter().map(value).collect();
    session.output.result(&lines.join("\n"), &json!({ "roles": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

async fn read(session: &Session, args: &NamedArgs) -> Result<v1::Role, Failure> {
    let request =
        v1::GetRoleRequest { workspace: args.at.workspace.clone(), role: args.role.clone(), consistency: None };
    Ok(session.client.get_role(request).await?.role.unwrap_or_default())
}

fn command_for(command: &str, role: &str, at: &WhereArgs) -> String {
    next(&format!("role {command} {role} --workspace {}", at.workspace), &at.client)
}

async fn show(args: &NamedArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let role = read(&session, args).await?;
    let mut lines = vec![
        format!("Name        {} ({})", role.display_name, role.handle),
        format!("Id          {}", role.uid),
        format!("Externals   {}", if role.for_externals { "may have it, where a ceiling names it" } else { "never" }),
    ];
    if role.built_in {
        lines.push("Built in    every workspace has it, and it cannot be changed".to_owned());
    }
    let first = role.permissions.first().map_or("nothing", String::as_str);
    lines.push(format!("Grants      {first}"));
    lines.extend(role.permissions.iter().skip(1).map(|permission| format!("            {permission}")));
    session.output.result(&lines.join("\n"), &value(&role))?;
    let command = format!("member set-roles PERSON --add {} --workspace {}", role.handle, args.at.workspace);
    session.output.talk(&next(&command, &args.at.client))?;
    Ok(())
}

async fn create(args: &CreateRoleArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let name = args.name.clone().unwrap_or_else(|| args.handle.clone());
    let whom = if args.for_externals { ", for Externals too" } else { "" };
    session.output.talk(&format!("Makes   {name} ({}){whom}", args.handle))?;
    session.output.talk(&format!("Grants  {}", or_none(&args.permissions)))?;
    confirm(&session.output, &args.save)?;
    let request = v1::CreateRoleRequest {
        workspace: args.at.workspace.clone(),
        request_id: args.save.request_id(),
        handle: args.handle.clone(),
        display_name: name,
        permissions: args.permissions.clone(),
        for_externals: args.for_externals,
        validate_only: args.save.dry_run,
    };
    let made = session.client.create_role(request).await?;
    let value = json!({
        "validate_only": args.save.dry_run,
        "role": made.role.as_ref().map(value),
        "consistency_token": made.consistency_token,
    });
    if args.save.dry_run {
        session.output.result("Would   succeed; nothing was saved", &value)?;
        return Ok(());
    }
    session.output.result(&format!("Made    {}", args.handle), &value)?;
    let command = format!("member set-roles PERSON --add {} --workspace {}", args.handle, args.at.workspace);
    session.output.talk(&next(&command, &args.at.client))?;
    Ok(())
}

/// `2 Internals, 1 External`
fn reach(done: &v1::UpdateRoleResponse) -> String {
    let (internals, externals) = (done.internals_reached, done.externals_reached);
    format!("{}, {}", count(internals, "Internal", "Internals"), count(externals, "External", "Externals"))
}

async fn update(args: &UpdateRoleArgs) -> Result<(), Failure> {
    let mut paths = Vec::new();
    paths.extend(args.name.iter().map(|_| "display_name".to_owned()));
    paths.extend(args.permissions.are_given().then(|| "permissions".to_owned()));
    paths.extend(args.for_externals.iter().map(|_| "for_externals".to_owned()));
    if paths.is_empty() {
        let message = "there is nothing to change; give --name, --permission, --add-permission, --remove-permission, \
                       --no-permissions or --for-externals";
        return Err(Failure::new(2, message.to_owned()));
    }
    let session = session(&args.named.at.client).await?;
    let save = &args.change.save;
    let role = if args.change.may_repeat() && !args.permissions.are_a_difference() {
        v1::Role::default()
    } else {
        read(&session, &args.named).await?
    };
    let permissions = args.permissions.over(&role.permissions, &args.change)?;
    let request = v1::UpdateRoleRequest {
        workspace: args.named.at.workspace.clone(),
        request_id: save.request_id(),
        role: args.named.role.clone(),
        update_mask: Some(FieldMask { paths }),
        display_name: args.name.clone().unwrap_or_default(),
        permissions,
        for_externals: args.for_externals.unwrap_or_default(),
        etag: args.change.etag(&role.etag),
        validate_only: save.dry_run,
    };
    session.output.talk(&format!("Changes {}", args.named.role))?;
    let mut rehearsed = None;
    if args.change.may_repeat() {
        confirm(&session.output, save)?;
    } else {
        tell_changes(&session, args, &role, &request)?;
        let rehearsal = v1::UpdateRoleRequest { validate_only: true, ..request.clone() };
        let told = rehearsed.insert(session.client.update_role(rehearsal).await?);
        session.output.talk(&format!("Reaches {}", reach(told)))?;
        tell_etag(&session.output, &args.change, &role.etag)?;
        let takes = args.for_externals == Some(false) && role.for_externals
            || args.permissions.are_given() && role.permissions.iter().any(|held| !request.permissions.contains(held));
        let ask = if takes { confirm_loss } else { confirm };
        ask(&session.output, save)?;
    }
    let done = match rehearsed {
        Some(rehearsed) if save.dry_run => rehearsed,
        _ => session.client.update_role(request).await?,
    };
    let value = json!({
        "validate_only": save.dry_run,
        "role": done.role.as_ref().map(value),
        "internals_reached": done.internals_reached,
        "externals_reached": done.externals_reached,
        "consistency_token": done.consistency_token,
    });
    if save.dry_run {
        session.output.result("Would   succeed; nothing was changed", &value)?;
        return Ok(());
    }
    session.output.result(&format!("Changed {}   reaches {}", args.named.role, reach(&done)), &value)?;
    session.output.talk(&command_for("show", &args.named.role, &args.named.at))?;
    Ok(())
}

/// What is other from now on, field by field.
fn tell_changes(
    session: &Session,
    args: &UpdateRoleArgs,
    role: &v1::Role,
    request: &v1::UpdateRoleRequest,
) -> Result<(), Failure> {
    if let Some(name) = &args.name {
        session.output.talk(&format!("Name    {} -> {name}", role.display_name))?;
    }
    if args.permissions.are_given() {
        tell_difference(session, ("Grants", "Takes"), &role.permissions, &request.permissions)?;
    }
    match (role.for_externals, args.for_externals) {
        (false, Some(true)) => session.output.talk("Opens   it to Externals, where a ceiling names it")?,
        (true, Some(false)) => session.output.talk("Takes   it from every External, whatever ceiling names it")?,
        _ => (),
    }
    Ok(())
}

/// What comes and what goes.
pub(crate) fn tell_difference(
    session: &Session,
    (gives, takes): (&str, &str),
    before: &[String],
    after: &[String],
) -> Result<(), Failure> {
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        these.iter().filter(|word| !others.contains(word)).cloned().collect()
    };
    let (given, taken) = (only(after, before), only(before, after));
    for (word, words) in [(gives, &given), (takes, &taken)] {
        if !words.is_empty() {
            session.output.talk(&format!("{word:<7} {}", words.join(", ")))?;
        }
    }
    if given.is_empty() && taken.is_empty() {
        session.output.talk("Same    as before; nothing is given or taken")?;
    }
    Ok(())
}

/// `2 memberships, 1 group, 0 ceilings`
fn uses(deleted: &v1::DeleteRoleResponse) -> String {
    [
        count(deleted.memberships, "membership", "memberships"),
        count(deleted.groups, "group", "groups"),
        count(deleted.ceilings, "ceiling", "ceilings"),
    ]
    .join(", ")
}

async fn delete(args: &DeleteRoleArgs) -> Result<(), Failure> {
    let session = session(&args.named.at.client).await?;
    let save = &args.change.save;
    let mut request = v1::DeleteRoleRequest {
        workspace: args.named.at.workspace.clone(),
        request_id: save.request_id(),
        role: args.named.role.clone(),
        etag: args.change.etag(""),
        force: args.force,
        validate_only: true,
    };
    let mut rehearsed = None;
    if args.change.may_repeat() {
        session.output.talk(&format!("Deletes {}", args.named.role))?;
    } else {
        let role = read(&session, &args.named).await?;
        request.etag = args.change.etag(&role.etag);
        let told = session.client.delete_role(request.clone()).await.map_err(|error| in_use(error, args))?;
        session.output.talk(&format!("Deletes {} ({})", role.display_name, role.handle))?;
        session.output.talk(&format!("Takes   it from {}", uses(&told)))?;
        rehearsed = Some(told);
        tell_etag(&session.output, &args.change, &role.etag)?;
    }
    confirm_loss(&session.output, save)?;
    request.validate_only = save.dry_run;
    let done = match rehearsed {
        Some(rehearsed) if save.dry_run => rehearsed,
        _ => session.client.delete_role(request).await.map_err(|error| in_use(error, args))?,
    };
    let value = json!({
        "validate_only": save.dry_run,
        "role": done.role.as_ref().map(value),
        "memberships": done.memberships,
        "groups": done.groups,
        "ceilings": done.ceilings,
        "consistency_token": done.consistency_token,
    });
    let text = match &done.role {
        _ if save.dry_run => format!("Would   be taken from {}; nothing was changed", uses(&done)),
        Some(role) => format!("Deleted {}   taken from {}", role.handle, uses(&done)),
        None => "Deleted by an earlier request with the same id".to_owned(),
    };
    session.output.result(&text, &value)?;
    if !save.dry_run {
        let command = format!("role list --workspace {}", args.named.at.workspace);
        session.output.talk(&next(&command, &args.named.at.client))?;
    }
    Ok(())
}

/// A refusal with the command that does it all the same, where the role is in use.
fn in_use(error: domicile_client::ClientError, args: &DeleteRoleArgs) -> Failure {
    let is_in_use = error.reason == "ROLE_IN_USE";
    let failure = Failure::from(error);
    if is_in_use { failure.then(&command_for("delete --force", &args.named.role, &args.named.at)) } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(of: &[&str]) -> Vec<String> {
        of.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_set_with_more_and_less_is_in_order_and_the_same_again() {
        let before = words(&["orders.write", "orders.read"]);
        let difference = (&words(&["orders.admin"])[..], &words(&["orders.write"])[..]);
        let anew = ChangeArgs { save: SaveArgs { dry_run: false, request_id: None, yes: true }, etag: None };
        let after = over(&before, difference, "permission", &anew).unwrap();
        assert_eq!(after, words(&["orders.admin", "orders.read"]));
        let unknown = over(&after, difference, "permission", &anew).unwrap_err();
        assert_eq!(unknown.exit, 4);
        assert!(unknown.message.contains("`orders.write`") && unknown.message.contains("orders.admin, orders.read"));
        let save = SaveArgs { request_id: Some(uuid::Uuid::nil()), ..anew.save };
        let again = ChangeArgs { save, etag: Some("e".to_owned()) };
        assert_eq!(over(&after, difference, "permission", &again).unwrap(), after);
    }

    #[test]
    fn roles_have_their_handles_and_the_id_where_there_is_none() {
        let names = RoleNames(BTreeMap::from([("r1".to_owned(), "member".to_owned())]));
        let roles = words(&["workspaces/w/roles/r1", "workspaces/w/roles/r2"]);
        assert_eq!(names.words(&roles), "member, r2");
        let values = [json!({ "id": "r1", "handle": "member" }), json!({ "id": "r2", "handle": null })];
        assert_eq!(names.values(&roles), values);
    }
}
