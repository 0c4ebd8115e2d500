//! The commands about what people may do: one question, why, one person, one permission, a whole workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use domicile_client::{Client, v1};
use serde_json::{Value, json};

use crate::cli::WhereArgs;
use crate::commands::word;
use crate::failure::Failure;
use crate::members;
use crate::output::Output;
use crate::pages;
use crate::session::{next, session};

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// May this person do that there? DENIED is an answer too: the exit code is 0 then
    Check(CheckArgs),
    /// Why may this person do that there, or not? Every gate, the one that is shut, and what would help
    Explain(CheckArgs),
    /// List what is granted to a person, by what, and whether it counts
    List(ListArgs),
    /// List who may do something
    Who(WhoArgs),
    /// Show who may do what in a workspace: people by permissions
    Matrix(MatrixArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Email address by which the workspace knows the member, short name of the credentials, or user id
    person: String,
    /// Permission, for example projects.read
    permission: String,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Email address by which the workspace knows the member, short name of the credentials, or user id
    person: String,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// Permission, for example projects.read
    permission: String,
    #[command(flatten)]
    at: WhereArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    /// Show these permissions alone; may be given several times
    #[arg(long = "permission")]
    permissions: Vec<String>,
    #[command(flatten)]
    at: WhereArgs,
}

pub(crate) async fn run(command: &AccessCommand) -> Result<(), Failure> {
    match command {
        AccessCommand::Check(args) => check(args).await,
        AccessCommand::Explain(args) => explain(args).await,
        AccessCommand::List(args) => list(args).await,
        AccessCommand::Who(args) => who(args).await,
        AccessCommand::Matrix(args) => matrix(args).await,
    }
}

fn decision_word(decision: v1::AccessDecision) -> String {
    word(decision.as_str_name(), "ACCESS_DECISION_")
}

/// Why not; empty where nothing is denied.
fn reason_word(reason: v1::DenialReason) -> String {
    match reason {
        v1::DenialReason::Unspecified => String::new(),
        reason => word(reason.as_str_name(), "DENIAL_REASON_"),
    }
}

fn gate_word(gate: v1::AccessGate) -> String {
    word(gate.as_str_name(), "ACCESS_GATE_")
}

/// `DENIED  NOT_GRANTED`
fn verdict(decision: v1::AccessDecision, reason: v1::DenialReason) -> String {
    format!("{}  {}", decision_word(decision), reason_word(reason)).trim_end().to_owned()
}

async fn check(args: &CheckArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let request = v1::CheckAccessRequest {
        workspace: args.at.workspace.clone(),
        subject: Some(v1::check_access_request::Subject::User(
            session.member_of(&args.at.workspace, &args.person).await?,
        )),
        permission: args.permission.clone(),
        consistency: None,
    };
    let answer = session.client.check_access(request).await?;
    let (decision, reason) = (decision_word(answer.decision()), reason_word(answer.reason()));
    session
        .output
        .result(&verdict(answer.decision(), answer.reason()), &json!({ "decision": decision, "reason": reason }))?;
    if answer.decision() == v1::AccessDecision::Denied {
        let why = format!("access explain {} {} --workspace {}", args.person, args.permission, args.at.workspace);
        session.output.talk(&next(&why, &args.at.client))?;
    }
    Ok(())
}

/// `directly, role reader, role staff of a group`
fn sources(sources: &[v1::GrantSource]) -> String {
    let one = |source: &v1::GrantSource| match (source.direct, source.by_group) {
        (true, _) => "directly".to_owned(),
        (false, false) => format!("role {}", source.role_handle),
        (false, true) => format!("role {} of a group", source.role_handle),
    };
    sources.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn source_values(sources: &[v1::GrantSource]) -> Vec<Value> {
    let one = |source: &v1::GrantSource| {
        if source.direct {
            return json!({ "direct": true });
        }
        json!({ "direct": false, "role": source.role, "role_handle": source.role_handle, "by_group": source.by_group })
    };
    sources.iter().map(one).collect()
}

async fn explain(args: &CheckArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let request = v1::ExplainAccessRequest {
        workspace: args.at.workspace.clone(),
        subject: Some(v1::explain_access_request::Subject::User(
            session.member_of(&args.at.workspace, &args.person).await?,
        )),
        permission: args.permission.clone(),
        consistency: None,
    };
    let told = session.client.explain_access(request).await?;
    session.output.result(&explanation(&told), &explanation_value(&told))?;
    for remedy in told.remedies.iter().filter(|remedy| remedy.may_apply) {
        if let Some(command) = command_for(remedy, args) {
            session.output.talk(&next(&command, &args.at.client))?;
        }
    }
    Ok(())
}

/// One line a gate: `>` marks the one that decides.
fn explanation(told: &v1::ExplainAccessResponse) -> String {
    let mut lines = vec![verdict(told.decision(), told.reason())];
    for report in &told.gates {
        let decides = !report.open && report.gate() == told.failing_gate();
        let mark = if decides { '>' } else { ' ' };
        let open = if report.open { "open" } else { "shut" };
        let gate = gate_word(report.gate()).to_lowercase();
        let line = format!("{mark} {open}  {gate:<10}  {}", evidence(report));
        lines.push(line.trim_end().to_owned());
    }
    for remedy in &told.remedies {
        let whose = if remedy.may_apply { "" } else { " (not yours to do)" };
        lines.push(format!("Helps   {}{whose}", remedy.sentence));
        if !remedy.role_handles.is_empty() {
            lines.push(format!("Roles   {}", remedy.role_handles.join(", ")));
        }
    }
    if told.partial {
        lines.push("Part of this is the affair of the person's home, and is not told here.".to_owned());
    }
    lines.join("\n")
}

/// What a gate looked at, in words.
fn evidence(report: &v1::AccessGateReport) -> String {
    if report.withheld {
        return "withheld: the home's affair".to_owned();
    }
    let kind = match report.kind() {
        v1::MembershipKind::Unspecified => String::new(),
        kind => word(kind.as_str_name(), "MEMBERSHIP_KIND_"),
    };
    let ceiling = match report.ceiling() {
        v1::CeilingSource::Unspecified => String::new(),
        source => word(source.as_str_name(), "CEILING_SOURCE_"),
    };
    let ends = report.expire_time.map_or_else(String::new, |end| format!("ends {end}"));
    let retired = report.retire_time.map_or_else(String::new, |at| format!("retired {at}"));
    let parts = [kind, report.state.clone(), ends, sources(&report.sources), ceiling, retired];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn explanation_value(told: &v1::ExplainAccessResponse) -> Value {
    let gate = |report: &v1::AccessGateReport| {
        json!({
            "gate": gate_word(report.gate()),
            "open": report.open,
            "reason": reason_word(report.reason()),
            "withheld": report.withheld,
            "evidence": evidence(report),
            "sources": source_values(&report.sources),
        })
    };
    let remedy = |remedy: &v1::Remedy| {
        json!({
            "action": word(remedy.action().as_str_name(), "REMEDY_ACTION_"),
            "sentence": remedy.sentence,
            "may_apply": remedy.may_apply,
            "roles": remedy.role_handles,
        })
    };
    json!({
        "decision": decision_word(told.decision()),
        "reason": reason_word(told.reason()),
        "failing_gate": match told.failing_gate() {
            v1::AccessGate::Unspecified => Value::Null,
            gate => json!(gate_word(gate)),
        },
        "gates": told.gates.iter().map(gate).collect::<Vec<_>>(),
        "remedies": told.remedies.iter().map(remedy).collect::<Vec<_>>(),
        "partial": told.partial,
    })
}

/// What to type for a remedy, where a command does it.
fn command_for(remedy: &v1::Remedy, args: &CheckArgs) -> Option<String> {
    match remedy.action() {
        v1::RemedyAction::AssignPerson => Some(format!("assign EMAIL --workspace {}", args.at.workspace)),
        v1::RemedyAction::GrantRole => {
            let (person, workspace) = (&args.person, &args.at.workspace);
            let role = remedy.role_handles.first();
            Some(role.map_or_else(
                || {
                    format!(
                        "member set-permissions {person} --add-permission {} --workspace {workspace}",
                        args.permission
                    )
                },
                |role| format!("member set-roles {person} --add {role} --workspace {workspace}"),
            ))
        }
        v1::RemedyAction::MarkRole => {
            let role = remedy.role_handles.first()?;
            Some(format!("role update {role} --for-externals true --workspace {}", args.at.workspace))
        }
        _ => None,
    }
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let user = session.member_of(&args.at.workspace, &args.person).await?;
    let granted = pages::whole(async |page_size, page_token| {
        let request = v1::ListEffectivePermissionsRequest {
            workspace: args.at.workspace.clone(),
            subject: Some(v1::list_effective_permissions_request::Subject::User(user.clone())),
            page_size,
            page_token,
            consistency: None,
        };
        let page = session.client.list_effective_permissions(request).await?;
        Ok((page.permissions, page.next_page_token))
    })
    .await?;
    let width = granted.iter().map(|row| row.permission.len()).max().unwrap_or_default();
    let lines: Vec<String> = granted
        .iter()
        .map(|row| {
            let counts = verdict(row.decision(), row.reason());
            format!("{:<width$}  {counts:<22}  {}", row.permission, sources(&row.sources))
        })
        .collect();
    let values = granted.iter().map(|row| {
        json!({
            "permission": row.permission,
            "decision": decision_word(row.decision()),
            "reason": reason_word(row.reason()),
            "sources": source_values(&row.sources),
        })
    });
    let text = if lines.is_empty() { "nothing is granted".to_owned() } else { lines.join("\n") };
    session.output.result(&text, &json!({ "permissions": values.collect::<Vec<_>>() }))?;
    Ok(())
}

/// Everybody who may do something.
async fn subjects(client: &Client, workspace: &str, permission: &str) -> Result<Vec<v1::AccessSubject>, Failure> {
    pages::whole(async |page_size, page_token| {
        let (workspace, permission) = (workspace.to_owned(), permission.to_owned());
        let request = v1::ListSubjectsRequest { workspace, permission, page_size, page_token, consistency: None };
        let page = client.list_subjects(request).await?;
        Ok((page.subjects, page.next_page_token))
    })
    .await
}

async fn who(args: &WhoArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let all = subjects(&session.client, &args.at.workspace, &args.permission).await?;
    let line = |subject: &v1::AccessSubject| {
        let kind = word(subject.kind().as_str_name(), "MEMBERSHIP_KIND_");
        format!("{}  {kind:<8}  {}", subject.user, sources(&subject.sources))
    };
    let value = |subject: &v1::AccessSubject| {
        json!({
            "user": subject.user,
            "kind": word(subject.kind().as_str_name(), "MEMBERSHIP_KIND_"),
            "sources": source_values(&subject.sources),
        })
    };
    let lines: Vec<String> = all.iter().map(line).collect();
    let text = if lines.is_empty() { "nobody".to_owned() } else { lines.join("\n") };
    session.output.result(&text, &json!({ "subjects": all.iter().map(value).collect::<Vec<_>>() }))?;
    Ok(())
}

/// Tells how far a long command is, every two seconds.
struct Progress<'a> {
    output: &'a Output,
    told: Instant,
}

impl<'a> Progress<'a> {
    /// Nobody is told of what is done sooner.
    const QUIET: Duration = Duration::from_secs(2);

    fn new(output: &'a Output) -> Self {
        Self { output, told: Instant::now() }
    }

    fn at(&mut self, what: &str, done: usize) -> Result<(), Failure> {
        if self.told.elapsed() >= Self::QUIET {
            self.told = Instant::now();
            self.output.talk(&format!("Reads   {done} {what} so far"))?;
        }
        Ok(())
    }
}

/// People by permissions.
struct Matrix {
    people: Vec<v1::Membership>,
    permissions: Vec<String>,
    /// Who may do what now, by user id.
    may: BTreeMap<String, BTreeSet<String>>,
    /// What each role of the workspace grants, by the role's name.
    roles: BTreeMap<String, BTreeSet<String>>,
    /// The roles that each group carries, by the group's id.
    groups: BTreeMap<String, Vec<String>>,
}

impl Matrix {
    async fn read(client: &Client, output: &Output, args: &MatrixArgs) -> Result<Self, Failure> {
        let mut progress = Progress::new(output);
        let people = everybody(client, &args.at.workspace, &mut progress).await?;
        let roles = roles(client, &args.at.workspace).await?;
        let groups = crate::groups::all(client, &args.at.workspace).await?;
        let groups = groups.into_iter().map(|group| (group.uid, group.roles)).collect();
        let mut permissions: BTreeSet<String> = args.permissions.iter().cloned().collect();
        if permissions.is_empty() {
            permissions = roles.values().flatten().cloned().collect();
            permissions.extend(people.iter().flat_map(|person| person.permissions.iter().cloned()));
        }
        let mut may: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (done, permission) in permissions.iter().enumerate() {
            progress.at("permissions", done)?;
            for subject in subjects(client, &args.at.workspace, permission).await? {
                may.entry(subject.user).or_default().insert(permission.clone());
            }
        }
        Ok(Self { people, permissions: permissions.into_iter().collect(), may, roles, groups })
    }

    fn may(&self, person: &v1::Membership, permission: &str) -> bool {
        self.may.get(&person.user).is_some_and(|held| held.contains(permission))
    }

    /// Whether it is granted to the person, by themself or by a group, and does not count.
    fn is_idle(&self, person: &v1::Membership, permission: &str) -> bool {
        let direct = person.permissions.iter().any(|held| held == permission);
        let by_groups = person.groups.iter().filter_map(|group| self.groups.get(group)).flatten();
        let mut roles = person.roles.iter().chain(by_groups).filter_map(|role| self.roles.get(role));
        let by_role = roles.any(|held| held.contains(permission));
        (direct || by_role) && !self.may(person, permission)
    }

    fn cell(&self, person: &v1::Membership, permission: &str) -> &'static str {
        match (self.may(person, permission), self.is_idle(person, permission)) {
            (true, _) => "yes",
            (false, true) => "idle",
            (false, false) => ".",
        }
    }

    /// A table if it fits the width, otherwise a paragraph for each person.
    fn text(&self, width: usize) -> String {
        let names: Vec<String> = self.people.iter().map(label).collect();
        let first = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let needed = first + self.permissions.iter().map(|permission| permission.len() + 2).sum::<usize>();
        let mut lines = if needed <= width { self.table(&names, first) } else { self.paragraphs(&names) };
        let idle = |person: &v1::Membership| self.permissions.iter().any(|name| self.is_idle(person, name));
        if self.people.iter().any(idle) {
            lines.push(String::new());
            lines.push("idle: granted, and does not count now; `access explain` tells why".to_owned());
        }
        lines.join("\n")
    }

    fn table(&self, names: &[String], first: usize) -> Vec<String> {
        let head: String = self.permissions.iter().flat_map(|permission| ["  ", permission.as_str()]).collect();
        let mut lines = vec![format!("{:first$}{head}", "")];
        for (person, name) in self.people.iter().zip(names) {
            let cell = |permission: &String| format!("  {:<1$}", self.cell(person, permission), permission.len());
            let cells: String = self.permissions.iter().map(cell).collect();
            lines.push(format!("{name:first$}{cells}").trim_end().to_owned());
        }
        lines
    }

    fn paragraphs(&self, names: &[String]) -> Vec<String> {
        let mut lines = Vec::new();
        for (person, name) in self.people.iter().zip(names) {
            lines.push(name.clone());
            for cell in ["yes", "idle"] {
                let held = self.permissions.iter().filter(|permission| self.cell(person, permission) == cell);
                let held: Vec<&str> = held.map(String::as_str).collect();
                if !held.is_empty() {
                    lines.push(format!("  {cell:<4}  {}", held.join(", ")));
                }
            }
        }
        lines
    }

    fn value(&self) -> Value {
        let person = |person: &v1::Membership| {
            let of = |cell: &str| {
                let held = self.permissions.iter().filter(|permission| self.cell(person, permission) == cell);
                held.cloned().collect::<Vec<_>>()
            };
            json!({
                "user": person.user,
                "label": label(person),
                "kind": word(person.kind().as_str_name(), "MEMBERSHIP_KIND_"),
                "state": word(person.state().as_str_name(), "MEMBERSHIP_STATE_"),
                "may": of("yes"),
                "idle": of("idle"),
            })
        };
        json!({ "permissions": self.permissions, "people": self.people.iter().map(person).collect::<Vec<_>>() })
    }
}

/// As a manager knows the person, and how they belong.
fn label(person: &v1::Membership) -> String {
    let kind = word(person.kind().as_str_name(), "MEMBERSHIP_KIND_").to_lowercase();
    format!("{} ({kind})", members::label(person))
}

async fn everybody(
    client: &Client,
    workspace: &str,
    progress: &mut Progress<'_>,
) -> Result<Vec<v1::Membership>, Failure> {
    let mut read = 0;
    pages::whole(async |page_size, page_token| {
        let workspace = workspace.to_owned();
        let request = v1::ListMembershipsRequest { workspace, page_size, page_token, consistency: None };
        let page = client.list_memberships(request).await?;
        read += page.memberships.len();
        progress.at("people", read)?;
        Ok((page.memberships, page.next_page_token))
    })
    .await
}

async fn roles(client: &Client, workspace: &str) -> Result<BTreeMap<String, BTreeSet<String>>, Failure> {
    let all = crate::roles::all(client, workspace).await?;
    Ok(all.into_iter().map(|role| (role.name, role.permissions.into_iter().collect())).collect())
}

/// How wide a table may be where nobody says: a usual terminal, and a little.
const USUAL_WIDTH: usize = 100;

async fn matrix(args: &MatrixArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let matrix = Matrix::read(&session.client, &session.output, args).await?;
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(USUAL_WIDTH);
    session.output.result(&matrix.text(width), &matrix.value())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(user: &str, roles: &[&str]) -> v1::Membership {
        v1::Membership {
            user: user.to_owned(),
            display_name: user.to_owned(),
            kind: v1::MembershipKind::External.into(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..v1::Membership::default()
        }
    }

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn example() -> Matrix {
        let groups = vec!["g".to_owned()];
        let in_group = v1::Membership { groups, kind: v1::MembershipKind::Internal.into(), ..person("dana", &[]) };
        Matrix {
            people: vec![person("anna", &["r"]), person("ben", &["r"]), person("cleo", &[]), in_group],
            permissions: vec!["orders.read".to_owned()],
            may: BTreeMap::from([("anna".to_owned(), set(&["orders.read"]))]),
            roles: BTreeMap::from([("r".to_owned(), set(&["orders.read"]))]),
            groups: BTreeMap::from([("g".to_owned(), vec!["r".to_owned()])]),
        }
    }

    #[test]
    fn a_matrix_tells_what_counts_and_what_does_not() {
        let said = "                 orders.read\nanna (external)  yes\nben (external)   idle\ncleo (external)  .\ndana (internal)  idle\n\n\
                    idle: granted, and does not count now; `access explain` tells why";
        assert_eq!(example().text(100), said);
        let people = &example().value()["people"];
        assert_eq!((&people[0]["may"][0], &people[1]["idle"][0]), (&json!("orders.read"), &json!("orders.read")));
        assert_eq!((&people[2]["may"], &people[2]["idle"]), (&json!([]), &json!([])));
    }

    #[test]
    fn a_narrow_terminal_gets_a_paragraph_for_each_person() {
        let said = example().text(20);
        assert!(
            said.starts_with("anna (external)\n  yes   orders.read\nben (external)\n  idle  orders.read\n"),
            "{said}"
        );
    }
}
