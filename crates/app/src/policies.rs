//! `domicile workspace list|update|policy`: the workspaces one belongs to, and what a workspace sets for itself.

use clap::{Args, Subcommand, ValueEnum};
use domicile_client::{FieldMask, v1};
use serde_json::{Value, json};

use crate::cli::{ChangeArgs, ClientArgs, PageArgs};
use crate::commands::{confirm, tell_etag, word};
use crate::failure::Failure;
use crate::pages;
use crate::roles::{RoleNames, or_none};
use crate::session::{Session, next, session};
use crate::workspaces::workspace_value;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show the rules that a workspace sets for itself
    Show(ShowPolicyArgs),
    /// Replace rules; the next check goes by them
    Set(Box<SetPolicyArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ListWorkspacesArgs {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateWorkspaceArgs {
    /// Workspace: id or handle
    workspace: String,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// Region of which national phone numbers are: HU, DE
    #[arg(long)]
    region: Option<String>,
    /// Language of messages to people whose own has no text: en, de, pt-BR
    #[arg(long)]
    language: Option<String>,
    /// Languages of its messages, separated by commas; "" for every one that the instance writes
    #[arg(long, value_name = "LANGUAGES")]
    notice_languages: Option<String>,
    /// Channels in the order in which they are tried; may be given several times
    #[arg(long = "channel", value_enum)]
    channels: Vec<ChannelChoice>,
    /// Where a new person begins: an https:// address, or "" for none
    #[arg(long, value_name = "URL")]
    link_begin: Option<String>,
    /// Where a person accepts or declines
    #[arg(long, value_name = "URL")]
    link_accept: Option<String>,
    /// Where a person leaves
    #[arg(long, value_name = "URL")]
    link_leave: Option<String>,
    /// Mail address that a surprised person may ask, or "" for none
    #[arg(long, value_name = "EMAIL")]
    support_contact: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ChannelChoice {
    /// Mail
    Email,
    /// Text message
    Sms,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OpennessChoice {
    /// To every workspace
    Open,
    /// To those with an active relationship
    RelatedOnly,
    /// To none
    Closed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum VisibilityChoice {
    /// Nothing
    Hidden,
    /// Names
    NameOnly,
    /// Whole entries
    Listed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DisclosureChoice {
    /// Initials
    None,
    /// Names
    Name,
    /// Names and masked contacts
    MaskedContact,
    /// Names, contacts and home
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct ShowPolicyArgs {
    /// Workspace: id or handle
    workspace: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetPolicyArgs {
    /// Workspace: id or handle
    workspace: String,
    /// From which homes it takes Externals
    #[arg(long, value_enum)]
    inbound: Option<OpennessChoice>,
    /// To which hosts its people may be linked
    #[arg(long, value_enum)]
    outbound: Option<OpennessChoice>,
    /// Role that Externals of homes without a relationship may have; may be given several times, in place of those before
    #[arg(long = "ceiling-role", value_name = "ROLE")]
    ceiling_roles: Vec<String>,
    /// Permission that they may have; may be given several times, in place of those before
    #[arg(long = "ceiling-permission", value_name = "PERMISSION")]
    ceiling_permissions: Vec<String>,
    /// They may have nothing
    #[arg(long, conflicts_with_all = ["ceiling_roles", "ceiling_permissions"])]
    empty_ceiling: bool,
    /// What Internals see of Externals in the directory
    #[arg(long, value_enum)]
    visibility_of_externals: Option<VisibilityChoice>,
    /// Whether a person must accept before becoming External here
    #[arg(long, value_name = "BOOL")]
    acceptance_as_host: Option<bool>,
    /// Whether its people must accept before becoming External elsewhere
    #[arg(long, value_name = "BOOL")]
    acceptance_as_home: Option<bool>,
    /// What other workspaces may see of its people
    #[arg(long, value_enum)]
    disclosure: Option<DisclosureChoice>,
    /// Whether Externals may hold rights over the workspace
    #[arg(long, value_name = "BOOL")]
    external_managers: Option<bool>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    client: ClientArgs,
}

const fn openness(choice: OpennessChoice) -> v1::Openness {
    match choice {
        OpennessChoice::Open => v1::Openness::Open,
        OpennessChoice::RelatedOnly => v1::Openness::RelatedOnly,
        OpennessChoice::Closed => v1::Openness::Closed,
    }
}

const fn visibility(choice: VisibilityChoice) -> v1::DirectoryVisibility {
    match choice {
        VisibilityChoice::Hidden => v1::DirectoryVisibility::Hidden,
        VisibilityChoice::NameOnly => v1::DirectoryVisibility::NameOnly,
        VisibilityChoice::Listed => v1::DirectoryVisibility::Listed,
    }
}

const fn disclosure(choice: DisclosureChoice) -> v1::Disclosure {
    match choice {
        DisclosureChoice::None => v1::Disclosure::None,
        DisclosureChoice::Name => v1::Disclosure::Name,
        DisclosureChoice::MaskedContact => v1::Disclosure::MaskedContact,
        DisclosureChoice::Full => v1::Disclosure::Full,
    }
}

/// The paths whose flags were given, or that there is nothing to do.
fn paths<const N: usize>(given: [(&str, bool); N]) -> Result<Vec<String>, Failure> {
    let paths: Vec<String> = given.iter().filter(|(_, given)| *given).map(|(path, _)| (*path).to_owned()).collect();
    if paths.is_empty() {
        return Err(Failure::new(2, "there is nothing to change; give a flag for what is to be other".to_owned()));
    }
    Ok(paths)
}

pub(crate) async fn list(args: &ListWorkspacesArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let request = v1::ListWorkspacesRequest { page_size, page_token, consistency: None };
        let page = session.client.list_workspaces(request).await?;
        Ok((page.workspaces, page.next_page_token))
    })
    .await?;
    let words = |entry: &v1::WorkspaceEntry| {
        let none = |word: String| if word == "UNSPECIFIED" { String::new() } else { word };
        (
            word(entry.state().as_str_name(), "WORKSPACE_STATE_"),
            none(word(entry.kind().as_str_name(), "MEMBERSHIP_KIND_")),
            none(word(entry.membership_state().as_str_name(), "MEMBERSHIP_STATE_")),
        )
    };
    let line = |entry: &v1::WorkspaceEntry| {
        let (state, kind, member) = words(entry);
        format!("{:<24} {state:<10} {kind:<9} {member:<10} {}", entry.handle, entry.display_name)
    };
    let row = |entry: &v1::WorkspaceEntry| {
        let (state, kind, member) = words(entry);
        json!({
            "id": entry.uid,
            "handle": entry.handle,
            "display_name": entry.display_name,
            "state": state,
            "kind": kind,
            "membership_state": member,
        })
    };
    let lines: Vec<String> = listed.items.iter().map(line).collect();
    let text = if lines.is_empty() { "no workspaces".to_owned() } else { lines.join("\n") };
    let values: Vec<Value> = listed.items.iter().map(row).collect();
    session.output.result(&text, &json!({ "workspaces": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

pub(crate) async fn update(args: &UpdateWorkspaceArgs) -> Result<(), Failure> {
    let paths = paths([
        ("display_name", args.name.is_some()),
        ("default_region", args.region.is_some()),
        ("default_language", args.language.is_some()),
        ("notice_languages", args.notice_languages.is_some()),
        ("channels", !args.channels.is_empty()),
        ("links.begin", args.link_begin.is_some()),
        ("links.accept", args.link_accept.is_some()),
        ("links.leave", args.link_leave.is_some()),
        ("support_contact", args.support_contact.is_some()),
    ])?;
    let session = session(&args.client).await?;
    session.output.talk(&format!("Changes {} of {}", paths.join(", "), args.workspace))?;
    confirm(&session.output, &args.change.save)?;
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    let channel = |choice: &ChannelChoice| match choice {
        ChannelChoice::Email => v1::Channel::Email.into(),
        ChannelChoice::Sms => v1::Channel::Sms.into(),
    };
    let languages = text(&args.notice_languages);
    let request = v1::UpdateWorkspaceRequest {
        workspace: args.workspace.clone(),
        request_id: args.change.save.request_id(),
        // The record of a workspace needs none: without one it is changed whatever it was.
        etag: args.change.etag(""),
        update_mask: Some(FieldMask { paths }),
        display_name: text(&args.name),
        default_region: text(&args.region),
        default_language: text(&args.language),
        notice_languages: languages.split(',').map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect(),
        channels: args.channels.iter().map(channel).collect(),
        links: Some(v1::WorkspaceLinks {
            begin: text(&args.link_begin),
            accept: text(&args.link_accept),
            leave: text(&args.link_leave),
        }),
        support_contact: text(&args.support_contact),
        validate_only: args.change.save.dry_run,
    };
    let done = session.client.update_workspace(request).await?;
    let value = json!({
        "validate_only": args.change.save.dry_run,
        "workspace": done.workspace.as_ref().map(workspace_value),
        "consistency_token": done.consistency_token,
    });
    if args.change.save.dry_run {
        session.output.result("Would   succeed; nothing was changed", &value)?;
        return Ok(());
    }
    let workspace = done.workspace.unwrap_or_default();
    session.output.result(&format!("Changed {} ({})", workspace.display_name, workspace.handle), &value)?;
    session.output.talk(&next(&format!("workspace show {}", args.workspace), &args.client))?;
    Ok(())
}

/// What the roles of the default ceiling are called.
async fn role_names(session: &Session, workspace: &str, policy: &v1::WorkspacePolicy) -> RoleNames {
    let roles = policy.default_ceiling.as_ref().map(|ceiling| ceiling.roles.clone()).unwrap_or_default();
    RoleNames::of(session, workspace, &roles).await
}

fn policy_value(policy: &v1::WorkspacePolicy, roles: &RoleNames) -> Value {
    let ceiling = policy.default_ceiling.clone().unwrap_or_default();
    json!({
        "inbound": word(policy.inbound().as_str_name(), "OPENNESS_"),
        "outbound": word(policy.outbound().as_str_name(), "OPENNESS_"),
        "default_ceiling": { "roles": roles.values(&ceiling.roles), "permissions": ceiling.permissions },
        "visibility_of_externals": word(policy.visibility_of_externals().as_str_name(), "DIRECTORY_VISIBILITY_"),
        "acceptance_as_host": policy.acceptance_as_host,
        "acceptance_as_home": policy.acceptance_as_home,
        "disclosure": word(policy.disclosure().as_str_name(), "DISCLOSURE_"),
        "external_managers": policy.external_managers,
        "etag": policy.etag,
    })
}

fn policy_text(policy: &v1::WorkspacePolicy, roles: &RoleNames) -> String {
    let ceiling = policy.default_ceiling.clone().unwrap_or_default();
    let ceiling: Vec<String> = roles.handles(&ceiling.roles).into_iter().chain(ceiling.permissions).collect();
    let lines = [
        format!("Inbound             {}", word(policy.inbound().as_str_name(), "OPENNESS_")),
        format!("Outbound            {}", word(policy.outbound().as_str_name(), "OPENNESS_")),
        format!("Default ceiling     {}", or_none(&ceiling)),
        format!(
            "Externals are seen  {}",
            word(policy.visibility_of_externals().as_str_name(), "DIRECTORY_VISIBILITY_")
        ),
        format!("Acceptance as host  {}", policy.acceptance_as_host),
        format!("Acceptance as home  {}", policy.acceptance_as_home),
        format!("Disclosure          {}", word(policy.disclosure().as_str_name(), "DISCLOSURE_")),
        format!("External managers   {}", policy.external_managers),
    ];
    lines.join("\n")
}

pub(crate) async fn show(args: &ShowPolicyArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let request = v1::GetWorkspacePolicyRequest { workspace: args.workspace.clone(), consistency: None };
    let policy = session.client.get_workspace_policy(request).await?.policy.unwrap_or_default();
    let roles = role_names(&session, &args.workspace, &policy).await;
    session.output.result(&policy_text(&policy, &roles), &policy_value(&policy, &roles))?;
    Ok(())
}

pub(crate) async fn set(args: &SetPolicyArgs) -> Result<(), Failure> {
    let sets_ceiling = args.empty_ceiling || !args.ceiling_roles.is_empty() || !args.ceiling_permissions.is_empty();
    let paths = paths([
        ("inbound", args.inbound.is_some()),
        ("outbound", args.outbound.is_some()),
        ("default_ceiling", sets_ceiling),
        ("visibility_of_externals", args.visibility_of_externals.is_some()),
        ("acceptance_as_host", args.acceptance_as_host.is_some()),
        ("acceptance_as_home", args.acceptance_as_home.is_some()),
        ("disclosure", args.disclosure.is_some()),
        ("external_managers", args.external_managers.is_some()),
    ])?;
    let session = session(&args.client).await?;
    let etag = if let Some(etag) = &args.change.etag {
        etag.clone()
    } else {
        let read = v1::GetWorkspacePolicyRequest { workspace: args.workspace.clone(), consistency: None };
        session.client.get_workspace_policy(read).await?.policy.unwrap_or_default().etag
    };
    let policy = v1::WorkspacePolicy {
        inbound: args.inbound.map_or(0, |choice| openness(choice).into()),
        outbound: args.outbound.map_or(0, |choice| openness(choice).into()),
        default_ceiling: Some(v1::Ceiling {
            roles: args.ceiling_roles.clone(),
            permissions: args.ceiling_permissions.clone(),
        }),
        visibility_of_externals: args.visibility_of_externals.map_or(0, |choice| visibility(choice).into()),
        acceptance_as_host: args.acceptance_as_host.unwrap_or_default(),
        acceptance_as_home: args.acceptance_as_home.unwrap_or_default(),
        disclosure: args.disclosure.map_or(0, |choice| disclosure(choice).into()),
        external_managers: args.external_managers.unwrap_or_default(),
        etag: String::new(),
    };
    let changed = paths.join(", ");
    let rehearsal = v1::UpdateWorkspacePolicyRequest {
        workspace: args.workspace.clone(),
        request_id: args.change.save.request_id(),
        etag,
        update_mask: Some(FieldMask { paths }),
        policy: Some(policy),
        validate_only: true,
    };
    // A repeated request was told of when it was made.
    let reach = if args.change.may_repeat() {
        None
    } else {
        tell_etag(&session.output, &args.change, &rehearsal.etag)?;
        session.client.update_workspace_policy(rehearsal.clone()).await?.reach
    };
    session.output.talk(&format!("Changes {changed} of {}", args.workspace))?;
    if let Some(reach) = &reach {
        let (here, elsewhere) = (reach.externals_here, reach.externals_elsewhere);
        session.output.talk(&format!("Reaches {here} Externals here, {elsewhere} of its people elsewhere, at most"))?;
    }
    confirm(&session.output, &args.change.save)?;
    let request = v1::UpdateWorkspacePolicyRequest { validate_only: args.change.save.dry_run, ..rehearsal };
    let done = session.client.update_workspace_policy(request).await?;
    let roles = match &done.policy {
        Some(policy) => role_names(&session, &args.workspace, policy).await,
        None => RoleNames::default(),
    };
    let value = json!({
        "validate_only": args.change.save.dry_run,
        "policy": done.policy.as_ref().map(|policy| policy_value(policy, &roles)),
        "externals_here": done.reach.as_ref().map(|reach| reach.externals_here),
        "externals_elsewhere": done.reach.as_ref().map(|reach| reach.externals_elsewhere),
        "consistency_token": done.consistency_token,
    });
    if args.change.save.dry_run {
        session.output.result("Would   succeed; nothing was changed", &value)?;
        return Ok(());
    }
    session.output.result(&format!("Changed {changed}"), &value)?;
    session.output.talk(&next(&format!("workspace policy show {}", args.workspace), &args.client))?;
    Ok(())
}
