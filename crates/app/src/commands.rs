//! The client commands. Each calls the service and prints what it answered.

use anyhow::Result;
use domicile_client::{Client, v1};
use serde_json::{Value, json};

use crate::cli::{AssignArgs, ChangeArgs, Expect, ListArgs, LookupArgs, Notify, SaveArgs, ShowArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::pages;
use crate::session::{next, session};

/// An enum's word without its type: `LOOKUP_OUTCOME_FOUND` -> `FOUND`.
pub(crate) fn word(name: &'static str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// What is typed as a person: a mail address has an @, anything else is a phone number.
pub(crate) fn contacts(person: &str, phone: Option<&String>) -> Result<(String, String), Failure> {
    if person.contains('@') {
        return Ok((person.to_owned(), phone.cloned().unwrap_or_default()));
    }
    if phone.is_some() {
        return Err(Failure::new(2, "give --phone beside an email address, not beside another number".to_owned()));
    }
    Ok((String::new(), person.to_owned()))
}

pub(crate) async fn lookup(args: &LookupArgs) -> Result<(), Failure> {
    let (email, phone) = contacts(&args.person, args.phone.as_ref())?;
    let session = session(&args.client).await?;
    let request = v1::LookupUserRequest { workspace: args.workspace.clone(), email, phone };
    let found = session.client.lookup_user(request).await?;
    let outcome = word(found.outcome().as_str_name(), "LOOKUP_OUTCOME_");
    let value = json!({
        "outcome": outcome,
        "display": found.display,
        "member_kind": word(found.member_kind().as_str_name(), "MEMBERSHIP_KIND_"),
        "member_state": word(found.member_state().as_str_name(), "MEMBERSHIP_STATE_"),
        "match_handle": found.match_handle,
    });
    let shown = if found.display.is_empty() { outcome } else { format!("{outcome}  {}", found.display) };
    session.output.result(&shown, &value)?;
    session.output.talk(&next_after_lookup(&found, args))?;
    Ok(())
}

fn next_after_lookup(found: &v1::LookupUserResponse, args: &LookupArgs) -> String {
    let assign = |role, does| {
        let command = format!("assign {} --workspace {} --role {role}", args.person, args.workspace);
        format!("{}   ({does})", next(&command, &args.client))
    };
    match found.outcome() {
        v1::LookupOutcome::NotFound => assign("member", "creates an Internal"),
        v1::LookupOutcome::Found | v1::LookupOutcome::FormerMember => assign("guest", "links as External"),
        v1::LookupOutcome::RelationshipRequired => {
            let propose = format!("relationship propose --home-of {} --workspace {}", args.person, args.workspace);
            format!("{}\n{}", meaning(found.outcome()), next(&propose, &args.client))
        }
        other => meaning(other).to_owned(),
    }
}

/// What an outcome means that ends the flow.
const fn meaning(outcome: v1::LookupOutcome) -> &'static str {
    use v1::LookupOutcome as O;
    match outcome {
        O::ConflictingMatch => "The email is one person's and the phone another's; search with one of them.",
        O::AlreadyMember => "The person is a member already; there is nothing to assign.",
        O::MemberSuspended => "The membership is suspended here; reactivate it instead.",
        O::MemberPending => "The person has been asked and has not answered yet.",
        O::HomeUserInactive => "The account is deactivated and its home is here; reactivate it instead.",
        O::NotLinkable => "The person cannot be linked; the reason stays with their home.",
        O::RelationshipRequired => "This workspace takes no people of that home; propose a relationship first.",
        O::ContactReserved => "The contact is kept for its former holder for a while.",
        O::FormerMember => "The person was a member before; leave out --expect create to link them anew.",
        O::Unspecified | O::NotFound | O::Found => "",
    }
}

pub(crate) async fn assign(args: &AssignArgs) -> Result<(), Failure> {
    let (email, phone) = contacts(&args.person, args.phone.as_ref())?;
    let session = session(&args.client).await?;
    let search =
        v1::LookupUserRequest { workspace: args.workspace.clone(), email: email.clone(), phone: phone.clone() };
    let found = session.client.lookup_user(search).await?;
    let expectation = expectation(args, &found)?;
    let creates = expectation == v1::Expectation::Create;
    let display = display_name(&session.client, &args.workspace).await?;
    tell_plan(&session.output, args, &display, &found, creates)?;
    let profile = if creates { Some(profile(&session.output, args)?) } else { typed_profile(args) };
    confirm(&session.output, &args.save)?;

    let (roles, permissions) = (args.roles.clone(), args.permissions.clone());
    let internal = creates.then(|| v1::InternalGrants { roles: roles.clone(), permissions: permissions.clone() });
    let external = (!creates).then(|| v1::ExternalGrants { roles, permissions, ..v1::ExternalGrants::default() });
    let notify = match args.notify {
        Notify::Tell => v1::NotifyMode::Tell,
        Notify::None => v1::NotifyMode::None,
    };
    let request = v1::AssignUserRequest {
        workspace: args.workspace.clone(),
        request_id: args.save.request_id(),
        expectation: expectation.into(),
        email,
        phone,
        match_handle: if args.save.request_id.is_some() { String::new() } else { found.match_handle.clone() },
        profile,
        internal,
        external,
        external_id: String::new(),
        notify: notify.into(),
        validate_only: args.save.dry_run,
    };
    let saved = session.client.assign_user(request).await?;
    tell_saved(&session.output, args, &saved)
}

/// A plain `either` becomes what the lookup found, so that the person at the terminal decides on what they saw. What cannot
/// be is told before anything is asked.
fn expectation(args: &AssignArgs, found: &v1::LookupUserResponse) -> Result<v1::Expectation, Failure> {
    use v1::LookupOutcome as Outcome;
    match (args.expect, found.outcome()) {
        (Expect::Create | Expect::Either, Outcome::NotFound) => Ok(v1::Expectation::Create),
        (Expect::Link | Expect::Either, Outcome::Found | Outcome::FormerMember) => Ok(v1::Expectation::Link),
        // It may be this very save that made them a member: the service knows by the request id.
        (expect, Outcome::AlreadyMember | Outcome::MemberPending) if args.save.request_id.is_some() => {
            Ok(match (expect, found.member_kind()) {
                (Expect::Create, _) | (Expect::Either, v1::MembershipKind::Internal) => v1::Expectation::Create,
                _ => v1::Expectation::Link,
            })
        }
        (Expect::Link, Outcome::NotFound) => {
            let message = "nobody has this contact; leave out --expect link to create a person (NO_ACCOUNT)";
            Err(Failure::new(3, message.to_owned()))
        }
        (Expect::Create, Outcome::Found) => {
            let message = "somebody has this contact; leave out --expect create to link them (EXPECTATION_FAILED)";
            Err(Failure::new(4, message.to_owned()))
        }
        (_, other) => {
            let reason = word(other.as_str_name(), "LOOKUP_OUTCOME_");
            Err(Failure::new(4, format!("{} ({reason})", meaning(other))))
        }
    }
}

/// The workspace as people call it.
async fn display_name(client: &Client, workspace: &str) -> Result<String, Failure> {
    let request = v1::GetWorkspaceRequest { workspace: workspace.to_owned(), consistency: None };
    let found = client.get_workspace(request).await?.workspace;
    Ok(found.map_or_else(|| workspace.to_owned(), |found| found.display_name))
}

fn tell_plan(
    output: &Output,
    args: &AssignArgs,
    workspace: &str,
    found: &v1::LookupUserResponse,
    creates: bool,
) -> Result<()> {
    let whom = match found.outcome() {
        v1::LookupOutcome::NotFound => "nobody with this contact".to_owned(),
        v1::LookupOutcome::Found | v1::LookupOutcome::FormerMember => {
            format!("an existing account ({})", found.display)
        }
        _ => format!("a member already ({}); the save of this request id is repeated", found.display),
    };
    output.talk(&format!("Found   {whom}"))?;
    if creates {
        output.talk(&format!("Joins   {workspace} as Internal; a new account is created"))?;
    } else {
        output.talk(&format!("Joins   {workspace} as External; no new account is created"))?;
    }
    let roles = if args.roles.is_empty() { "none".to_owned() } else { args.roles.join(", ") };
    output.talk(&format!("Roles   {roles}"))?;
    output.talk(match (args.notify, creates) {
        (Notify::None, true) => "Tells   nobody",
        (_, true) => "Tells   by this workspace, in their language",
        (_, false) => "Tells   by the workspace they belong to, in their language",
    })
}

fn typed_profile(args: &AssignArgs) -> Option<v1::Profile> {
    let typed = [&args.first_name, &args.last_name, &args.username, &args.language].iter().any(|field| field.is_some());
    typed.then(|| v1::Profile {
        first_name: args.first_name.clone().unwrap_or_default(),
        last_name: args.last_name.clone().unwrap_or_default(),
        username: args.username.clone().unwrap_or_default(),
        preferred_language: args.language.clone().unwrap_or_default(),
    })
}

/// What is missing to create a person is asked for; where nobody can be asked, every missing flag is named at once.
fn profile(output: &Output, args: &AssignArgs) -> Result<v1::Profile, Failure> {
    let fields = [
        ("--first-name", "First name?", &args.first_name),
        ("--last-name", "Last name?", &args.last_name),
        ("--username", "Username?", &args.username),
        ("--language", "Preferred language (en, de, ...)?", &args.language),
    ];
    let missing: Vec<&str> = fields.iter().filter(|(_, _, value)| value.is_none()).map(|(flag, _, _)| *flag).collect();
    if !missing.is_empty() && !output.can_ask() {
        let message = format!("nobody has this contact yet, so a new person is created; add {}", missing.join(", "));
        return Err(Failure::new(6, message));
    }
    let [first_name, last_name, username, preferred_language] =
        fields.map(|(_, question, value)| value.clone().map_or_else(|| output.ask(question), Ok));
    Ok(v1::Profile {
        first_name: first_name?,
        last_name: last_name?,
        username: username?,
        preferred_language: preferred_language?,
    })
}

pub(crate) fn confirm(output: &Output, save: &SaveArgs) -> Result<(), Failure> {
    if save.yes || save.dry_run {
        return Ok(());
    }
    if !output.can_ask() {
        return Err(Failure::new(2, "nobody is there to say yes; add --yes to save without asking".to_owned()));
    }
    match output.ask("Save? [Y/n]")?.to_lowercase().as_str() {
        "" | "y" | "yes" => Ok(()),
        _ => Err(Failure::new(1, "not saved, as you said".to_owned())),
    }
}

/// What takes something away needs a yes that is said.
pub(crate) fn confirm_loss(output: &Output, save: &SaveArgs) -> Result<(), Failure> {
    if save.yes || save.dry_run {
        return Ok(());
    }
    if !output.can_ask() {
        let message = "nobody is there to say yes; add --yes to take it away without asking";
        return Err(Failure::new(2, message.to_owned()));
    }
    match output.ask("Take it away? [y/N]")?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(1, "nothing was changed, as you said".to_owned())),
    }
}

/// `1 person`, `2 people`
pub(crate) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Says how a change can be repeated that its caller means to repeat.
pub(crate) fn tell_etag(output: &Output, change: &ChangeArgs, etag: &str) -> Result<()> {
    if change.save.request_id.is_some() && change.etag.is_none() {
        output.talk(&format!("Again   add --etag {etag} to send the same again"))?;
    }
    Ok(())
}

fn tell_saved(output: &Output, args: &AssignArgs, saved: &v1::AssignUserResponse) -> Result<(), Failure> {
    let outcome = word(saved.outcome().as_str_name(), "ASSIGN_OUTCOME_");
    let membership = saved.membership.clone().unwrap_or_default();
    let notice = saved.notification.rsplit('/').next().unwrap_or_default();
    let state = word(saved.notification_state().as_str_name(), "NOTIFICATION_STATE_");
    let value = json!({
        "outcome": outcome,
        "validate_only": args.save.dry_run,
        "membership": membership.name,
        "user": membership.user,
        "notification": notice,
        "notification_state": if notice.is_empty() { Value::Null } else { json!(state) },
        "discarded_fields": saved.discarded_fields,
        "consistency_token": saved.consistency_token,
    });
    if args.save.dry_run {
        output.result(&format!("Would   {outcome}; nothing was saved"), &value)?;
        return Ok(());
    }
    let told = if notice.is_empty() { "no notice".to_owned() } else { format!("notice {notice} {state}") };
    output.result(&format!("Saved   {outcome}   membership {}   {told}", membership.name), &value)?;
    if !saved.discarded_fields.is_empty() {
        output.talk(&format!(
            "Unused  {}: the account exists, and its home owns them",
            saved.discarded_fields.join(", ")
        ))?;
    }
    if !notice.is_empty() {
        output.talk(&next(&format!("notifications show {notice} --workspace {}", args.workspace), &args.client))?;
    }
    Ok(())
}

fn notification_value(n: &v1::Notification) -> Value {
    let message = n
        .message
        .as_ref()
        .map(|m| json!({ "to": m.to, "from": m.from, "subject": m.subject, "text": m.text, "html": m.html }));
    let attempts = n.attempts.iter().map(|a| {
        json!({
            "number": a.number,
            "ended_at": a.end_time.map(|at| at.seconds),
            "class": word(a.class().as_str_name(), "ATTEMPT_CLASS_"),
            "provider_words": a.provider_words,
        })
    });
    json!({
        "id": n.uid,
        "kind": word(n.kind().as_str_name(), "NOTIFICATION_KIND_"),
        "channel": word(n.channel().as_str_name(), "CHANNEL_"),
        "state": word(n.state().as_str_name(), "NOTIFICATION_STATE_"),
        "not_sent_reason": match n.not_sent_reason() {
            v1::NotSentReason::Unspecified => Value::Null,
            why => json!(word(why.as_str_name(), "NOT_SENT_REASON_")),
        },
        "reason": n.reason,
        "user": n.user,
        "workspace": n.workspace,
        "home": n.home,
        "language_asked": n.language_asked,
        "language_used": n.language_used,
        "created_at": n.create_time.map(|at| at.seconds),
        "due_at": n.due_time.map(|at| at.seconds),
        "retry_until": n.retry_until_time.map(|at| at.seconds),
        "attempt_count": n.attempt_count,
        "message": message,
        "attempts": attempts.collect::<Vec<_>>(),
    })
}

/// `NOT_SENT (CAPTURED)`, `QUEUED`.
fn state_words(n: &v1::Notification) -> String {
    let state = word(n.state().as_str_name(), "NOTIFICATION_STATE_");
    match n.not_sent_reason() {
        v1::NotSentReason::Unspecified => state,
        why => format!("{state} ({})", word(why.as_str_name(), "NOT_SENT_REASON_")),
    }
}

/// When it was queued, and, while it waits, when it is tried next and until when.
fn times(n: &v1::Notification) -> String {
    let at = |time: Option<prost_types::Timestamp>| time.map_or_else(|| "?".to_owned(), |at| at.to_string());
    let queued = format!("queued {}", at(n.create_time));
    match n.state() {
        v1::NotificationState::Queued | v1::NotificationState::Retrying => {
            format!("{queued}, tried next {}, until {}", at(n.due_time), at(n.retry_until_time))
        }
        _ => queued,
    }
}

pub(crate) async fn list_notifications(args: &ListArgs) -> Result<(), Failure> {
    let session = session(&args.at.client).await?;
    let listed = pages::up_to(args.page.limit, async |page_size, page_token| {
        let workspace = args.at.workspace.clone();
        let request = v1::ListNotificationsRequest { workspace, page_size, page_token, consistency: None };
        let page = session.client.list_notifications(request).await?;
        Ok((page.notifications, page.next_page_token))
    })
    .await?;
    let lines: Vec<String> = listed
        .items
        .iter()
        .map(|n| {
            let kind = word(n.kind().as_str_name(), "NOTIFICATION_KIND_");
            format!("{}  {kind:<16}  {:<20}  {:<2}  {}", n.uid, state_words(n), n.language_used, times(n))
        })
        .collect();
    let values: Vec<Value> = listed.items.iter().map(notification_value).collect();
    let text = if lines.is_empty() { "no messages yet".to_owned() } else { lines.join("\n") };
    session.output.result(&text, &json!({ "notifications": values, "more": listed.more }))?;
    listed.tell_more(&session.output)
}

pub(crate) async fn show_notification(args: &ShowArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let request = v1::GetNotificationRequest {
        workspace: args.workspace.clone(),
        notification: args.id.clone(),
        consistency: None,
    };
    let n = session.client.get_notification(request).await?.notification.unwrap_or_default();
    let mut lines = vec![
        format!("State     {}", state_words(&n)),
        format!("Time      {}", times(&n)),
        format!("Why       {}", n.reason),
        format!("Language  {} (asked for {})", n.language_used, n.language_asked),
    ];
    lines.extend(n.attempts.iter().map(|a| {
        format!("Attempt   {} {}: {}", a.number, word(a.class().as_str_name(), "ATTEMPT_CLASS_"), a.provider_words)
    }));
    match &n.message {
        Some(m) => lines.push(format!("\nFrom: {}\nTo: {}\nSubject: {}\n\n{}", m.from, m.to, m.subject, m.text)),
        None if n.workspace != n.home => lines.push("Text      seen by the person's home alone".to_owned()),
        None => lines.push("Text      not written yet".to_owned()),
    }
    session.output.result(&lines.join("\n"), &notification_value(&n))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_waits_tells_when_it_is_tried_next_and_until_when() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let told = |state: v1::NotificationState| {
            let waits = v1::Notification {
                state: state.into(),
                create_time: at(0),
                due_time: at(30),
                retry_until_time: at(172_800),
                ..v1::Notification::default()
            };
            times(&waits)
        };
        let waits = "queued 1970-01-01T00:00:00Z, tried next 1970-01-01T00:00:30Z, until 1970-01-03T00:00:00Z";
        assert_eq!(told(v1::NotificationState::Retrying), waits);
        assert_eq!(told(v1::NotificationState::Queued), waits);
        assert_eq!(told(v1::NotificationState::HandedOver), "queued 1970-01-01T00:00:00Z");
    }
}
