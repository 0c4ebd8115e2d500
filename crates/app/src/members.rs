//! `domicile member`: who is in a workspace, and what each of them has there.

use std::fmt::Write;

use clap::{Args, Subcommand};
use domicile_client::v1;
use serde_json::{Value, json};

use crate::cli::{ChangeArgs, PageArgs, WhereArgs};
use crate::commands::{confirm, confirm_loss, tell_etag, word};
use crate::failure::Failure;
use crate::pages;
use crate::roles::{PermissionsArgs, RoleNames, or_none, over, tell_difference};
use crate::session::{Session, next, session};

#[derive(Debug, Subcommand)]
pub(crate) enum MemberCommand {
    /// List who is in a workspace
    List(ListMembersArgs),
    /// Show a member: roles, permissions, and what may be done with the membership
    Show(NamedArgs),
    /// Say which roles a member has directly; the next check goes by it
    SetRoles(Box<SetRolesArgs>),
    /// Say which permissions a member has directly, besides those of roles; the next check goes by it
    SetPermissions(Box<SetPermissionsArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ListMembersArgs {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Email address by which the workspace knows the member, short name of the credentials, or user id
    person: String,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetRolesArgs {
    #[command(flatten)]
    roles: RolesArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    named: NamedArgs,
}

/// Which roles there are from now on, as a whole or by what is other.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct RolesArgs {
    /// Role from now on, in place of those before, by handle or id; may be given several times
    #[arg(long = "role", conflicts_with_all = ["add", "remove", "no_roles"])]
    roles: Vec<String>,
    /// Role besides those before; may be given several times
    #[arg(long, value_name = "ROLE", conflicts_with = "no_roles")]
    add: Vec<String>,
    /// Role that is taken away; may be given several times
    #[arg(long, value_name = "ROLE", conflicts_with = "no_roles")]
    remove: Vec<String>,
    /// No role from now on
    #[arg(long)]
    no_roles: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetPermissionsArgs {
    #[command(flatten)]
    permissions: PermissionsArgs,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    named: NamedArgs,
}

pub(crate) async fn run(command: &MemberCommand) -> Result<(), Failure> {
    match command {
        MemberCommand::List(args) => list(args).await,
        MemberCommand::Show(args) => show(args).await,
        MemberCommand::SetRoles(args) => set_roles(args).await,
        MemberCommand::SetPermissions(args) => set_permissions(args).await,
    }
}

fn kind(member: &v1::Membership) -> String {
    word(member.kind().as_str_name(), "MEMBERSHIP_KIND_")
}

fn state(member: &v1::Membership) -> String {
    word(member.state().as_str_name(), "MEMBERSHIP_STATE_")
}

/// The person by name where it is shown, otherwise by the contact that was typed or the initials.
pub(crate) fn label(member: &v1::Membership) -> &str {
    let known = [&member.display_name, &member.typed_contact, &member.initials];
    known.into_iter().find(|shown| !shown.is_empty()).map_or(member.user.as_str(), String::as_str)
}

fn value(member: &v1::Membership, roles: &RoleNames) -> Value {
    let action = |action: v1::AllowedAction| word(action.as_str_name(), "ALLOWED_ACTION_");
    json!({
        "user": member.user,
        "kind": kind(member),
        "state": state(member),
        "display_name": member.display_name,
        "initials": member.initials,
        "email": member.email,
        "phone": member.phone,
        "typed_contact": member.typed_contact,
        "home": member.home,
        "language": member.language,
        "roles": roles.values(&member.roles),
        "permissions": member.permissions,
        "groups": member.groups,
        "expires_at": member.expire_time.map(|at| at.seconds),
        "assigned_by": member.assigned_by,
        "assigned_at": member.assign_time.map(|at| at.seconds),
        "external_id": member.external_id,
        "allowed_actions": member.allowed_actions().map(action).collect::<Vec<_>>(),
        "etag": member.etag,
    })
}

async fn list(args: &ListMembersArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let workspace = args.at.workspace.clone();
        let request = v1::ListMembershipsRequest { workspace, page_size, page_token, consistency: None };
        let page = session.client.list_memberships(request).await?;
        Ok((page.memberships, page.next_page_token))
    })
    .await?;
    let all: Vec<String> = listed.items.iter().flat_map(|member| member.roles.iter().cloned()).collect();
    let roles = RoleNames::of(&session, &args.at.workspace, &all).await;
    let widest = listed.items.iter().map(|member| label(member).chars().count()).max().unwrap_or_default();
    let line = |member: &v1::Membership| {
        let (kind, state, name) = (kind(member), state(member), label(member));
        let mut line =
            format!("{}  {kind:<8}  {state:<11}  {name:<widest$}  {}", member.user, roles.words(&member.roles));
        if !member.permissions.is_empty() {
            // Writing to a string does not fail.
            let _ = write!(line, " + {}", member.permissions.join(", "));
        }
        line
    };
    let lines: Vec<String> = listed.items.iter().map(line).collect();
    let values: Vec<Value> = listed.items.iter().map(|member| value(member, &roles)).collect();
    session.output.result(&lines.join("\n"), &json!({ "members": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

async fn read(session: &Session, workspace: &str, user: &str) -> Result<v1::Membership, Failure> {
    let request =
        v1::GetMembershipRequest { workspace: workspace.to_owned(), user: user.to_owned(), consistency: None };
    Ok(session.client.get_membership(request).await?.membership.unwrap_or_default())
}

fn access_next(args: &NamedArgs) -> String {
    next(&format!("access list {} --workspace {}", args.person, args.at.workspace), &args.at.client)
}

async fn show(args: &NamedArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let user = session.member_of(&args.at.workspace, &args.person).await?;
    let member = read(&session, &args.at.workspace, &user).await?;
    let roles = RoleNames::of(&session, &args.at.workspace, &member.roles).await;
    let groups = groups(&session, &args.at.workspace, &member.groups).await;
    let mut text = format!("Member       {}  {} {}", label(&member), kind(&member), state(&member));
    let mut line = |name: &str, what: &str| {
        // Writing to a string does not fail.
        let _ = if what.is_empty() { Ok(()) } else { write!(text, "\n{name:<12} {what}") };
    };
    line("User", &member.user);
    line("Email", &member.email);
    line("Phone", &member.phone);
    line("Found by", &member.typed_contact);
    line("Roles", &roles.words(&member.roles));
    line("Permissions", &or_none(&member.permissions));
    line("Groups", &groups.join(", "));
    line("External id", &member.external_id);
    line("Ends", &member.expire_time.map(|at| at.to_string()).unwrap_or_default());
    session.output.result(&text, &value(&member, &roles))?;
    session.output.talk(&access_next(args))?;
    Ok(())
}

/// The handles of groups; their ids to who may not read them.
async fn groups(session: &Session, workspace: &str, ids: &[String]) -> Vec<String> {
    if ids.is_empty() {
        return Vec::new();
    }
    let all = pages::whole(async |page_size, page_token| {
        let workspace = workspace.to_owned();
        let request = v1::ListGroupsRequest { workspace, page_size, page_token, consistency: None };
        let page = session.client.list_groups(request).await?;
        Ok((page.groups, page.next_page_token))
    });
    let all = all.await.unwrap_or_default();
    let handle =
        |id: &String| all.iter().find(|group| group.uid == *id).map_or_else(|| id.clone(), |g| g.handle.clone());
    ids.iter().map(handle).collect()
}

/// What a change of a member answered, whichever it was.
struct Answer {
    membership: Option<v1::Membership>,
    consistency_token: String,
}

impl RolesArgs {
    fn are_a_difference(&self) -> bool {
        !(self.add.is_empty() && self.remove.is_empty())
    }

    /// All of them from now on, by handle.
    fn over(&self, before: &[String], names: &RoleNames, change: &ChangeArgs) -> Result<Vec<String>, Failure> {
        if self.are_a_difference() {
            return over(before, (&names.handles(&self.add), &names.handles(&self.remove)), "role", change);
        }
        Ok(names.handles(&self.roles))
    }
}

async fn set_roles(args: &SetRolesArgs) -> Result<(), Failure> {
    let SetRolesArgs { roles, change, named } = args;
    let session = session(&named.at.client).await?;
    let workspace = &named.at.workspace;
    let user = session.member_of(workspace, &named.person).await?;
    let names = RoleNames::read(&session, workspace).await?;
    let (mut etag, mut before) = (change.etag(""), Vec::new());
    if !change.may_repeat() || roles.are_a_difference() {
        let member = read(&session, workspace, &user).await?;
        before = names.handles(&member.roles);
        etag = change.etag(&member.etag);
        session.output.talk(&format!("Member  {}", label(&member)))?;
    }
    let after = roles.over(&before, &names, change)?;
    ask(&session, change, ("the roles", &before, &after), &etag)?;
    let request = v1::SetRolesRequest {
        workspace: workspace.clone(),
        request_id: change.save.request_id(),
        user,
        roles: after,
        etag,
        validate_only: change.save.dry_run,
    };
    let done = session.client.set_roles(request).await?;
    let answer = Answer { membership: done.membership, consistency_token: done.consistency_token };
    tell(&session, named, change, &answer).await
}

async fn set_permissions(args: &SetPermissionsArgs) -> Result<(), Failure> {
    let SetPermissionsArgs { permissions, change, named } = args;
    if !permissions.are_given() {
        let message = "there is nothing to change; give --permission, --add-permission, --remove-permission or \
                       --no-permissions";
        return Err(Failure::new(2, message.to_owned()));
    }
    let session = session(&named.at.client).await?;
    let workspace = &named.at.workspace;
    let user = session.member_of(workspace, &named.person).await?;
    let (mut etag, mut before) = (change.etag(""), Vec::new());
    if !change.may_repeat() || permissions.are_a_difference() {
        let member = read(&session, workspace, &user).await?;
        etag = change.etag(&member.etag);
        session.output.talk(&format!("Member  {}", label(&member)))?;
        before = member.permissions;
    }
    let after = permissions.over(&before, change)?;
    ask(&session, change, ("the permissions", &before, &after), &etag)?;
    let request = v1::SetPermissionsRequest {
        workspace: workspace.clone(),
        request_id: change.save.request_id(),
        user,
        permissions: after,
        etag,
        validate_only: change.save.dry_run,
    };
    let done = session.client.set_permissions(request).await?;
    let answer = Answer { membership: done.membership, consistency_token: done.consistency_token };
    tell(&session, named, change, &answer).await
}

/// Says what comes and what goes, and asks; what takes something away needs a yes that is said.
fn ask(
    session: &Session,
    change: &ChangeArgs,
    (what, before, after): (&str, &[String], &[String]),
    etag: &str,
) -> Result<(), Failure> {
    if change.may_repeat() {
        session.output.talk(&format!("Sets    {what}, or repeats that it did by this request id"))?;
        return confirm(&session.output, &change.save);
    }
    tell_difference(session, ("Gives", "Takes"), before, after)?;
    tell_etag(&session.output, change, etag)?;
    let takes = before.iter().any(|word| !after.contains(word));
    if takes { confirm_loss(&session.output, &change.save) } else { confirm(&session.output, &change.save) }
}

async fn tell(session: &Session, args: &NamedArgs, change: &ChangeArgs, answer: &Answer) -> Result<(), Failure> {
    let member = answer.membership.as_ref();
    let held = member.map(|member| member.roles.clone()).unwrap_or_default();
    let roles = RoleNames::of(session, &args.at.workspace, &held).await;
    let value = json!({
        "validate_only": change.save.dry_run,
        "member": member.map(|member| value(member, &roles)),
        "consistency_token": answer.consistency_token,
    });
    let Some(member) = member else {
        session.output.result("Changed by an earlier request with the same id; it has ended since", &value)?;
        return Ok(());
    };
    let has = format!("roles {}   permissions {}", roles.words(&member.roles), or_none(&member.permissions));
    if change.save.dry_run {
        session.output.result(&format!("Would   have {has}; nothing was changed"), &value)?;
        return Ok(());
    }
    session.output.result(&format!("Changed {}   {has}", args.person), &value)?;
    session.output.talk(&access_next(args))?;
    Ok(())
}
