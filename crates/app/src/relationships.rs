//! The commands about relationships: what two workspaces agree, from either side.

use std::fmt::Write;

use clap::{Args, Subcommand, ValueEnum};
use domicile_client::v1;
use domicile_client::v1::{approve_relationship_request, propose_relationship_request};
use serde_json::{Value, json};

use crate::cli::{ChangeArgs, ClientArgs, PageArgs, SaveArgs, WhereArgs};
use crate::commands::{confirm, contacts, tell_etag, word};
use crate::failure::Failure;
use crate::pages;
use crate::session::{Session, next, session};

#[derive(Debug, Subcommand)]
pub(crate) enum RelationshipCommand {
    /// List the relationships of a workspace from either side, oldest first
    List(ListArgs),
    /// Show one: its state and the terms of both sides
    Show(ShowArgs),
    /// Propose one to another workspace, with the terms of your side; it waits 14 days for an answer
    Propose(Box<ProposeArgs>),
    /// Say yes to a proposal of the other side, with the terms of your side
    Approve(Box<ApproveArgs>),
    /// Say no to a proposal of the other side
    Decline(MoveArgs),
    /// Change terms of your side; what is not given stays as it is
    Update(Box<UpdateArgs>),
    /// Take away at once all access that it admits, until your side resumes it
    Suspend(MoveArgs),
    /// Take back that your side suspended it
    Resume(MoveArgs),
    /// End it for good, or take your own proposal back
    End(MoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those in which the workspace is this side
    #[arg(long, value_enum)]
    side: Option<Side>,
    /// Those in this state; may be given several times
    #[arg(long = "state", value_enum)]
    states: Vec<State>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Relationship: its id
    relationship: String,
    /// Your side of it: id or handle of the workspace
    #[arg(long)]
    workspace: String,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ProposeArgs {
    /// The other workspace: id or handle
    #[arg(required_unless_present = "home_of", conflicts_with = "home_of")]
    other: Option<String>,
    /// The home of this person in place of a name: email address or phone number; your workspace is the host
    #[arg(long, value_name = "PERSON")]
    home_of: Option<String>,
    /// Your workspace: id or handle
    #[arg(long)]
    workspace: String,
    /// Whether your workspace admits people of the other (host) or lets its own go there (home)
    #[arg(long, value_enum, default_value = "host")]
    side: Side,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    save: SaveArgs,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    named: ShowArgs,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    named: ShowArgs,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    #[command(flatten)]
    named: ShowArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

/// The heading of the flags of terms.
const TERMS: &str = "Terms of your side";

/// What one side decides. What is not given is nothing in a new agreement, and as it is in a change.
#[derive(Debug, Args)]
pub(crate) struct TermsArgs {
    /// Host: role that people of the home may have, by handle or id; may be given several times
    #[arg(long = "role", help_heading = TERMS, conflicts_with = "no_roles")]
    roles: Vec<String>,
    /// Host: no roles
    #[arg(long, help_heading = TERMS)]
    no_roles: bool,
    /// Host: direct permission that they may have; may be given several times
    #[arg(long = "permission", help_heading = TERMS, conflicts_with = "no_permissions")]
    permissions: Vec<String>,
    /// Host: no direct permissions
    #[arg(long, help_heading = TERMS)]
    no_permissions: bool,
    /// Host: what its Internals see of them in the directory
    #[arg(long, help_heading = TERMS, value_enum)]
    visibility: Option<Visibility>,
    /// Host: the longest a membership may last, in days; 0 for no limit
    #[arg(long, help_heading = TERMS, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(0..=36500))]
    longest_days: Option<i64>,
    /// Home: what it lets the host see of its people
    #[arg(long, help_heading = TERMS, value_enum)]
    disclosure: Option<Disclosure>,
    /// Home: whether the host may link its people
    #[arg(long, help_heading = TERMS, value_enum)]
    allow_host: Option<YesNo>,
    /// Either: whether a person must accept
    #[arg(long, help_heading = TERMS, value_enum)]
    acceptance: Option<YesNo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The one that admits
    Host,
    /// The one whose people are admitted
    Home,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Proposed,
    Active,
    Declined,
    Lapsed,
    Ended,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Visibility {
    /// As the workspace's own policy says
    Own,
    Hidden,
    NameOnly,
    Listed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Disclosure {
    /// As the workspace's own policy says
    Own,
    None,
    Name,
    MaskedContact,
    Full,
}

impl From<State> for v1::RelationshipState {
    fn from(state: State) -> Self {
        match state {
            State::Proposed => Self::Proposed,
            State::Active => Self::Active,
            State::Declined => Self::Declined,
            State::Lapsed => Self::Lapsed,
            State::Ended => Self::Ended,
        }
    }
}

impl From<Visibility> for v1::DirectoryVisibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Own => Self::Unspecified,
            Visibility::Hidden => Self::Hidden,
            Visibility::NameOnly => Self::NameOnly,
            Visibility::Listed => Self::Listed,
        }
    }
}

impl From<Disclosure> for v1::Disclosure {
    fn from(disclosure: Disclosure) -> Self {
        match disclosure {
            Disclosure::Own => Self::Unspecified,
            Disclosure::None => Self::None,
            Disclosure::Name => Self::Name,
            Disclosure::MaskedContact => Self::MaskedContact,
            Disclosure::Full => Self::Full,
        }
    }
}

/// The part of either side: what was there, with what was typed, and the paths of that.
struct Terms {
    host: v1::HostTerms,
    home: v1::HomeTerms,
    paths: Vec<String>,
}

impl TermsArgs {
    /// What was typed for `side`, over what there is. A flag of the other side stays in the paths, so that the service
    /// says whose it is.
    fn over(&self, side: Side, host: v1::HostTerms, home: v1::HomeTerms) -> Terms {
        let mut terms = Terms { host, home, paths: Vec::new() };
        let Terms { host, home, paths } = &mut terms;
        let mut path = |path: &str| paths.push(path.to_owned());
        let ceiling = host.ceiling.get_or_insert_default();
        if self.no_roles || !self.roles.is_empty() {
            ceiling.roles.clone_from(&self.roles);
        }
        if self.no_permissions || !self.permissions.is_empty() {
            ceiling.permissions.clone_from(&self.permissions);
        }
        if self.no_roles || self.no_permissions || !(self.roles.is_empty() && self.permissions.is_empty()) {
            path("host_terms.ceiling");
        }
        // A name of a resource is answered, an id or a handle is sent.
        for role in &mut ceiling.roles {
            *role = role.rsplit('/').next().unwrap_or_default().to_owned();
        }
        if let Some(visibility) = self.visibility {
            host.directory_visibility = v1::DirectoryVisibility::from(visibility).into();
            path("host_terms.directory_visibility");
        }
        if let Some(days) = self.longest_days {
            let seconds = days * 24 * 60 * 60;
            host.longest_membership = (days > 0).then_some(prost_types::Duration { seconds, nanos: 0 });
            path("host_terms.longest_membership");
        }
        if let Some(disclosure) = self.disclosure {
            home.disclosure = v1::Disclosure::from(disclosure).into();
            path("home_terms.disclosure");
        }
        if let Some(allowed) = self.allow_host {
            home.allows_host = allowed == YesNo::Yes;
            path("home_terms.allows_host");
        }
        if let Some(asked) = self.acceptance {
            match side {
                Side::Host => host.acceptance = asked == YesNo::Yes,
                Side::Home => home.acceptance = asked == YesNo::Yes,
            }
            path(match side {
                Side::Host => "host_terms.acceptance",
                Side::Home => "home_terms.acceptance",
            });
        }
        terms
    }

    /// The terms of a new agreement; a home that agrees lets its people go there unless it says otherwise.
    fn anew(&self, side: Side) -> Result<Terms, Failure> {
        let home = v1::HomeTerms { allows_host: true, ..v1::HomeTerms::default() };
        let terms = self.over(side, v1::HostTerms::default(), home);
        let (own, other) = match side {
            Side::Host => ("host", "home_terms."),
            Side::Home => ("home", "host_terms."),
        };
        match terms.paths.iter().find(|path| path.starts_with(other)) {
            None => Ok(terms),
            Some(path) => {
                let message =
                    format!("your workspace is the {own}, and {path} is for the other side to say; leave it out");
                Err(Failure::new(2, message))
            }
        }
    }
}

pub(crate) async fn run(command: &RelationshipCommand) -> Result<(), Failure> {
    match command {
        RelationshipCommand::List(args) => list(args).await,
        RelationshipCommand::Show(args) => show(args).await,
        RelationshipCommand::Propose(args) => propose(args).await,
        RelationshipCommand::Approve(args) => approve(args).await,
        RelationshipCommand::Update(args) => update(args).await,
        RelationshipCommand::Decline(args) => decline(args).await,
        RelationshipCommand::Suspend(args) => suspend(args).await,
        RelationshipCommand::Resume(args) => resume(args).await,
        RelationshipCommand::End(args) => end(args).await,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let side = match args.side {
        None => v1::RelationshipSide::Unspecified,
        Some(Side::Host) => v1::RelationshipSide::Host,
        Some(Side::Home) => v1::RelationshipSide::Home,
    };
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let request = v1::ListRelationshipsRequest {
            workspace: args.at.workspace.clone(),
            side: side.into(),
            states: args.states.iter().map(|state| v1::RelationshipState::from(*state).into()).collect(),
            page_size,
            page_token,
            consistency: None,
        };
        let page = session.client.list_relationships(request).await?;
        Ok((page.relationships, page.next_page_token))
    })
    .await?;
    let mut text = String::new();
    for of in &listed.items {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}  {:<9} {}", of.uid, state_words(of), pair(of));
    }
    if listed.items.is_empty() {
        text.push_str("No relationships; propose one.");
    }
    let values: Vec<Value> = listed.items.iter().map(value).collect();
    session.output.result(&text, &json!({ "relationships": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

/// `PROPOSED`, `ACTIVE, suspended by host`
fn state_words(of: &v1::Relationship) -> String {
    let mut text = word(of.state().as_str_name(), "RELATIONSHIP_STATE_");
    for (suspended, by) in [(of.suspended_by_host, "host"), (of.suspended_by_home, "home")] {
        if suspended {
            // Writing to a string does not fail.
            let _ = write!(text, ", suspended by {by}");
        }
    }
    text
}

fn handle(label: Option<&v1::WorkspaceLabel>) -> &str {
    label.map_or("a home that is not told", |label| label.handle.as_str())
}

/// `acme admits people of borealis`
fn pair(of: &v1::Relationship) -> String {
    format!("{} admits people of {}", handle(of.host.as_ref()), handle(of.home.as_ref()))
}

async fn read(session: &Session, args: &ShowArgs) -> Result<v1::Relationship, Failure> {
    let request = v1::GetRelationshipRequest {
        workspace: args.workspace.clone(),
        relationship: args.relationship.clone(),
        consistency: None,
    };
    let found = session.client.get_relationship(request).await?.relationship;
    found.ok_or_else(|| Failure::new(1, "the service answered nothing; compare the versions".to_owned()))
}

async fn show(args: &ShowArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let of = read(&session, args).await?;
    session.output.result(&whole(&of), &value(&of))?;
    let command = match (of.state(), of.proposed_by_side() == of.own_side()) {
        (v1::RelationshipState::Proposed, false) => "approve",
        (v1::RelationshipState::Proposed | v1::RelationshipState::Active, _) => "update",
        _ => return Ok(()),
    };
    session.output.talk(&command_for(command, args))?;
    Ok(())
}

fn command_for(command: &str, args: &ShowArgs) -> String {
    next(&format!("relationship {command} {} --workspace {}", args.relationship, args.workspace), &args.client)
}

fn yes(said: bool) -> &'static str {
    if said { "yes" } else { "no" }
}

fn whole(of: &v1::Relationship) -> String {
    format!("Relationship  {}\n{}", of.uid, what_it_is(of))
}

fn what_it_is(of: &v1::Relationship) -> String {
    let mut text = format!("State         {}\nBetween       {}", state_words(of), pair(of));
    // Writing to a string does not fail.
    let mut line = |name: &str, what: &str| _ = write!(text, "\n{name:<13} {what}");
    let side = word(of.own_side().as_str_name(), "RELATIONSHIP_SIDE_").to_lowercase();
    line("Your side", &side);
    if let Some(terms) = &of.host_terms {
        let ceiling = terms.ceiling.clone().unwrap_or_default();
        let roles: Vec<&str> = of.ceiling_roles.iter().map(|role| role.handle.as_str()).collect();
        line("Host: roles", &if roles.is_empty() { "none".to_owned() } else { roles.join(", ") });
        if !ceiling.permissions.is_empty() {
            line("  permissions", &ceiling.permissions.join(", "));
        }
        line("  directory", &own_or(terms.directory_visibility().as_str_name(), "DIRECTORY_VISIBILITY_"));
        let longest = terms.longest_membership.map_or_else(|| "no limit".to_owned(), days);
        line("  longest", &longest);
        line("  acceptance", yes(terms.acceptance));
    }
    if let Some(terms) = &of.home_terms {
        line("Home: shows", &own_or(terms.disclosure().as_str_name(), "DISCLOSURE_"));
        line("  allows host", yes(terms.allows_host));
        line("  acceptance", yes(terms.acceptance));
    }
    text
}

fn days(longest: prost_types::Duration) -> String {
    format!("{} days", longest.seconds / (24 * 60 * 60))
}

fn own_or(name: &'static str, prefix: &str) -> String {
    match word(name, prefix).as_str() {
        "UNSPECIFIED" => "own policy".to_owned(),
        word => word.to_owned(),
    }
}

fn seconds(at: Option<&prost_types::Timestamp>) -> Option<i64> {
    at.map(|at| at.seconds)
}

fn label(of: Option<&v1::WorkspaceLabel>) -> Value {
    of.map_or(Value::Null, |of| json!({ "id": of.uid, "handle": of.handle, "display_name": of.display_name }))
}

fn value(of: &v1::Relationship) -> Value {
    let host_terms = of.host_terms.as_ref().map(|terms| {
        let roles = of.ceiling_roles.iter().map(|role| json!({ "id": role.uid, "handle": role.handle }));
        json!({
            "roles": roles.collect::<Vec<_>>(),
            "permissions": terms.ceiling.as_ref().map(|ceiling| &ceiling.permissions),
            "directory_visibility": word(terms.directory_visibility().as_str_name(), "DIRECTORY_VISIBILITY_"),
            "longest_membership_seconds": terms.longest_membership.map(|longest| longest.seconds),
            "acceptance": terms.acceptance,
        })
    });
    let home_terms = of.home_terms.as_ref().map(|terms| {
        json!({
            "disclosure": word(terms.disclosure().as_str_name(), "DISCLOSURE_"),
            "allows_host": terms.allows_host,
            "acceptance": terms.acceptance,
        })
    });
    json!({
        "id": of.uid,
        "own_side": word(of.own_side().as_str_name(), "RELATIONSHIP_SIDE_"),
        "host": label(of.host.as_ref()),
        "home": label(of.home.as_ref()),
        "state": word(of.state().as_str_name(), "RELATIONSHIP_STATE_"),
        "suspended_by_host": of.suspended_by_host,
        "suspended_by_home": of.suspended_by_home,
        "host_terms": host_terms,
        "home_terms": home_terms,
        "proposed_by_side": word(of.proposed_by_side().as_str_name(), "RELATIONSHIP_SIDE_"),
        "proposed_by": of.proposed_by,
        "proposed_at": seconds(of.propose_time.as_ref()),
        "lapses_at": seconds(of.lapse_time.as_ref()),
        "answered_by": of.answered_by,
        "answered_at": seconds(of.answer_time.as_ref()),
        "ended_at": seconds(of.end_time.as_ref()),
        "etag": of.etag,
    })
}

fn effect_value(effect: &v1::RelationshipEffect) -> Value {
    let member = |of: &v1::MemberEffect| json!({ "user": of.user, "gains": of.gains, "loses": of.loses });
    json!({
        "externals": effect.external_count,
        "affected": effect.affected_count,
        "members": effect.members.iter().map(member).collect::<Vec<_>>(),
    })
}

/// What a change does to people, in lines.
fn effect_lines(effect: &v1::RelationshipEffect) -> String {
    let mut text = format!(
        "People  {} External from that home; {} of them gain or lose something",
        effect.external_count, effect.affected_count
    );
    for of in &effect.members {
        let gains = of.gains.iter().map(|permission| format!("+{permission}"));
        let loses = of.loses.iter().map(|permission| format!("-{permission}"));
        // Writing to a string does not fail.
        let _ = write!(text, "\n        {}  {}", of.user, gains.chain(loses).collect::<Vec<_>>().join(" "));
    }
    let named = u32::try_from(effect.members.len()).unwrap_or(u32::MAX);
    if named < effect.affected_count {
        let _ = write!(text, "\n        and {} more", effect.affected_count - named);
    }
    text
}

/// What a change answered, whichever it was.
struct Answer {
    relationship: Option<v1::Relationship>,
    effect: Option<v1::RelationshipEffect>,
    consistency_token: String,
}

macro_rules! answers {
    ($($response:ident),*) => {$(
        impl From<v1::$response> for Answer {
            fn from(of: v1::$response) -> Self {
                Self { relationship: of.relationship, effect: of.effect, consistency_token: of.consistency_token }
            }
        }
    )*};
}

answers!(
    ProposeRelationshipResponse,
    ApproveRelationshipResponse,
    UpdateRelationshipResponse,
    DeclineRelationshipResponse,
    SuspendRelationshipResponse,
    ResumeRelationshipResponse,
    EndRelationshipResponse
);

/// Prints what a change did, or would do.
fn tell(
    session: &Session,
    (done, save): (&str, &SaveArgs),
    answer: &Answer,
    then: (&str, &str, &ClientArgs),
) -> Result<(), Failure> {
    let value = json!({
        "validate_only": save.dry_run,
        "relationship": answer.relationship.as_ref().map(value),
        "effect": answer.effect.as_ref().map(effect_value),
        "consistency_token": answer.consistency_token,
    });
    let words =
        answer.relationship.as_ref().map_or_else(String::new, |of| format!("{}   {}", state_words(of), pair(of)));
    if save.dry_run {
        session.output.result(&format!("Would   be {words}; nothing was changed"), &value)?;
        return Ok(());
    }
    let id = answer.relationship.as_ref().map_or("", |of| of.uid.as_str());
    session.output.result(&format!("{done:<9} {id}   {words}"), &value)?;
    let (command, workspace, client) = then;
    session.output.talk(&next(&format!("relationship {command} {id} --workspace {workspace}"), client))?;
    Ok(())
}

/// Says what a change would do to people, and asks whether to make it.
fn confirm_change(session: &Session, save: &SaveArgs, rehearsed: Option<&Answer>) -> Result<(), Failure> {
    if let Some(effect) = rehearsed.and_then(|rehearsed| rehearsed.effect.as_ref()) {
        session.output.talk(&effect_lines(effect))?;
    }
    if save.yes || save.dry_run {
        return Ok(());
    }
    if !session.output.can_ask() {
        let message = "nobody is there to say yes; add --yes to change it without asking, or --dry-run to see more";
        return Err(Failure::new(2, message.to_owned()));
    }
    match session.output.ask("Change it? [y/N]")?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(1, "nothing was changed, as you said".to_owned())),
    }
}

/// Rehearses a change, asks, and makes it.
macro_rules! rehearsed {
    ($session:expr, $change:expr, $method:ident, $request:expr) => {{
        let mut request = $request;
        let mut rehearsal = None;
        // A repeated change was rehearsed when it was made.
        if $change.save.dry_run || !$change.may_repeat() {
            tell_etag(&$session.output, $change, &request.etag)?;
            request.validate_only = true;
            rehearsal = Some(Answer::from($session.client.$method(request.clone()).await?));
            request.validate_only = false;
        }
        confirm_change($session, &$change.save, rehearsal.as_ref())?;
        match rehearsal {
            Some(rehearsal) if $change.save.dry_run => rehearsal,
            _ => Answer::from($session.client.$method(request).await?),
        }
    }};
}

async fn propose(args: &ProposeArgs) -> Result<(), Failure> {
    use propose_relationship_request as of;
    let terms = args.terms.anew(args.side)?;
    let session = session(&args.client).await?;
    let target = match (&args.other, &args.home_of) {
        (_, Some(person)) => {
            let (email, phone) = contacts(person, None)?;
            let lookup = v1::LookupUserRequest { workspace: args.workspace.clone(), email, phone };
            of::Target::MatchHandle(session.client.lookup_user(lookup).await?.match_handle)
        }
        (other, None) => of::Target::Other(other.clone().unwrap_or_default()),
    };
    let request = v1::ProposeRelationshipRequest {
        workspace: args.workspace.clone(),
        request_id: args.save.request_id(),
        target: Some(target),
        terms: Some(match args.side {
            Side::Host => of::Terms::HostTerms(terms.host),
            Side::Home => of::Terms::HomeTerms(terms.home),
        }),
        validate_only: true,
    };
    // A repeated proposal was rehearsed when it was made.
    let rehearse = args.save.dry_run || args.save.request_id.is_none();
    let rehearsal = if rehearse { Some(session.client.propose_relationship(request.clone()).await?) } else { None };
    if let Some(found) = rehearsal.as_ref().and_then(|rehearsal| rehearsal.relationship.as_ref()) {
        // It has no id before it is there.
        session.output.talk(&what_it_is(found))?;
    }
    confirm(&session.output, &args.save)?;
    let answer = match rehearsal {
        Some(rehearsal) if args.save.dry_run => rehearsal,
        _ => {
            session
                .client
                .propose_relationship(v1::ProposeRelationshipRequest { validate_only: false, ..request })
                .await?
        }
    };
    let answer = Answer::from(answer);
    tell(&session, ("Proposed", &args.save), &answer, ("show", &args.workspace, &args.client))
}

fn own_side(of: &v1::Relationship) -> Side {
    if of.own_side() == v1::RelationshipSide::Home { Side::Home } else { Side::Host }
}

async fn approve(args: &ApproveArgs) -> Result<(), Failure> {
    use approve_relationship_request as of;
    let session = session(&args.named.client).await?;
    let found = read(&session, &args.named).await?;
    session.output.talk(&whole(&found))?;
    let side = own_side(&found);
    let terms = args.terms.anew(side)?;
    let request = v1::ApproveRelationshipRequest {
        workspace: args.named.workspace.clone(),
        request_id: args.change.save.request_id(),
        relationship: found.uid,
        etag: args.change.etag(&found.etag),
        terms: Some(match side {
            Side::Host => of::Terms::HostTerms(terms.host),
            Side::Home => of::Terms::HomeTerms(terms.home),
        }),
        validate_only: false,
    };
    let answer = rehearsed!(&session, &args.change, approve_relationship, request);
    tell(&session, ("Approved", &args.change.save), &answer, ("show", &args.named.workspace, &args.named.client))
}

async fn update(args: &UpdateArgs) -> Result<(), Failure> {
    let session = session(&args.named.client).await?;
    let found = read(&session, &args.named).await?;
    let side = own_side(&found);
    // The ceiling alone is replaced as a whole; of the rest what was not typed is not sent, so that the same again is the
    // same request whatever was changed besides.
    let ceiling = found.host_terms.and_then(|terms| terms.ceiling);
    let host = v1::HostTerms { ceiling, ..v1::HostTerms::default() };
    let Terms { mut host, home, paths } = args.terms.over(side, host, v1::HomeTerms::default());
    if !paths.iter().any(|path| path == "host_terms.ceiling") {
        host.ceiling = None;
    }
    let request = v1::UpdateRelationshipRequest {
        workspace: args.named.workspace.clone(),
        request_id: args.change.save.request_id(),
        relationship: found.uid,
        etag: args.change.etag(&found.etag),
        host_terms: Some(host),
        home_terms: Some(home),
        update_mask: Some(prost_types::FieldMask { paths }),
        validate_only: false,
    };
    let answer = rehearsed!(&session, &args.change, update_relationship, request);
    tell(&session, ("Updated", &args.change.save), &answer, ("show", &args.named.workspace, &args.named.client))
}

/// A command that takes nothing but the relationship.
macro_rules! moves {
    ($($command:ident: $method:ident, $request:ident, $done:literal;)*) => {$(
        async fn $command(args: &MoveArgs) -> Result<(), Failure> {
            let session = session(&args.named.client).await?;
            let found = read(&session, &args.named).await?;
            session.output.talk(&format!("Changes {}   {}", state_words(&found), pair(&found)))?;
            let request = v1::$request {
                workspace: args.named.workspace.clone(),
                request_id: args.change.save.request_id(),
                relationship: found.uid,
                etag: args.change.etag(&found.etag),
                validate_only: false,
            };
            let answer = rehearsed!(&session, &args.change, $method, request);
            tell(&session, ($done, &args.change.save), &answer, ("show", &args.named.workspace, &args.named.client))
        }
    )*};
}

moves! {
    decline: decline_relationship, DeclineRelationshipRequest, "Declined";
    suspend: suspend_relationship, SuspendRelationshipRequest, "Suspended";
    resume: resume_relationship, ResumeRelationshipRequest, "Resumed";
    end: end_relationship, EndRelationshipRequest, "Ended";
}
