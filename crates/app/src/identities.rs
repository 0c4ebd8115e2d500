//! The commands about who a person is at an issuer of tokens.

use std::fmt::Write;

use domicile_client::v1;
use serde_json::{Value, json};

use crate::cli::{ClientArgs, IdentityArgs, ShowUserArgs};
use crate::commands::{confirm, confirm_loss, word};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Session, next, session};

/// What a change sends, whichever way it goes.
struct Change {
    request_id: String,
    user: String,
    identity: Option<v1::Identity>,
}

fn change(session: &Session, args: &IdentityArgs) -> Result<Change, Failure> {
    Ok(Change {
        request_id: args.save.request_id(),
        user: session.user_of(&args.person)?,
        identity: Some(v1::Identity { issuer: args.issuer.clone(), subject: args.subject.clone() }),
    })
}

pub(crate) async fn bind(args: &IdentityArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let Change { request_id, user, identity } = change(&session, args)?;
    session.output.talk(&format!("Binds   {} at {} to {}", args.subject, args.issuer, args.person))?;
    confirm(&session.output, &args.save)?;
    let workspace = args.workspace.clone();
    let validate_only = args.save.dry_run;
    let request = v1::BindIdentityRequest { workspace, request_id, user, identity, validate_only };
    let bound = session.client.bind_identity(request).await?;
    tell(&session.output, args, "Bound", bound.user.as_ref(), &bound.consistency_token)
}

pub(crate) async fn unbind(args: &IdentityArgs) -> Result<(), Failure> {
    let session = session(&args.client).await?;
    let Change { request_id, user, identity } = change(&session, args)?;
    session.output.talk(&format!("Takes   {} at {} from {}", args.subject, args.issuer, args.person))?;
    confirm_loss(&session.output, &args.save)?;
    let workspace = args.workspace.clone();
    let validate_only = args.save.dry_run;
    let request = v1::UnbindIdentityRequest { workspace, request_id, user, identity, validate_only };
    let unbound = session.client.unbind_identity(request).await?;
    tell(&session.output, args, "Unbound", unbound.user.as_ref(), &unbound.consistency_token)
}

fn identities(user: &v1::User) -> Vec<Value> {
    user.identities.iter().map(|bound| json!({ "issuer": bound.issuer, "subject": bound.subject })).collect()
}

fn tell(
    output: &Output,
    args: &IdentityArgs,
    done: &str,
    user: Option<&v1::User>,
    consistency_token: &str,
) -> Result<(), Failure> {
    let value = json!({
        "validate_only": args.save.dry_run,
        "user": user.map(|user| &user.uid),
        "identities": user.map(identities),
        "consistency_token": consistency_token,
    });
    if args.save.dry_run {
        output.result("Would   succeed; nothing was changed", &value)?;
        return Ok(());
    }
    output.result(&format!("{done:<7} {} at {}   {}", args.subject, args.issuer, args.person), &value)?;
    output.talk(&show_next(&args.person, &args.workspace, &args.client))?;
    Ok(())
}

fn show_next(person: &str, workspace: &str, client: &ClientArgs) -> String {
    next(&format!("user show {person} --workspace {workspace}"), client)
}

pub(crate) async fn show(args: &ShowUserArgs) -> Result<(), Failure> {
    use v1::get_user_response::View;
    let session = session(&args.client).await?;
    let request = v1::GetUserRequest {
        workspace: args.workspace.clone(),
        user: session.user_of(&args.person)?,
        consistency: None,
    };
    let (text, value) = match session.client.get_user(request).await?.view {
        Some(View::User(user)) => whole(&user),
        Some(View::Membership(member)) => seen_by_a_host(&member),
        None => return Err(Failure::new(1, "the service answered nothing; compare the versions".to_owned())),
    };
    session.output.result(&text, &value)?;
    Ok(())
}

/// `anna@acme.example (VERIFIED)`
fn contact(contact: &v1::Contact) -> String {
    format!("{} ({})", contact.value, word(contact.standing().as_str_name(), "CONTACT_STANDING_"))
}

fn contact_value(contact: &v1::Contact) -> Value {
    json!({ "value": contact.value, "standing": word(contact.standing().as_str_name(), "CONTACT_STANDING_") })
}

fn whole(user: &v1::User) -> (String, Value) {
    let state = word(user.state().as_str_name(), "USER_STATE_");
    let profile = user.profile.clone().unwrap_or_default();
    let mut text = format!("User      {}  {state}", user.uid);
    let mut line = |name: &str, what: &str| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{name:<9} {what}");
    };
    line("Name", format!("{} {}", profile.first_name, profile.last_name).trim());
    line("Username", &profile.username);
    line("Language", &profile.preferred_language);
    user.email.iter().for_each(|email| line("Email", &contact(email)));
    user.phone.iter().for_each(|phone| line("Phone", &contact(phone)));
    user.identities.iter().for_each(|bound| line("Identity", &format!("{} at {}", bound.subject, bound.issuer)));
    let value = json!({
        "user": user.uid,
        "state": state,
        "home": user.home,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "username": profile.username,
        "preferred_language": profile.preferred_language,
        "email": user.email.as_ref().map(contact_value),
        "phone": user.phone.as_ref().map(contact_value),
        "identities": identities(user),
    });
    (text, value)
}

fn seen_by_a_host(member: &v1::Membership) -> (String, Value) {
    let state = word(member.state().as_str_name(), "MEMBERSHIP_STATE_");
    let shown = if member.display_name.is_empty() { &member.initials } else { &member.display_name };
    let text =
        format!("User      {}  {state}\nName      {shown}\nThe rest is seen by the person's home alone.", member.user);
    let value = json!({
        "user": member.user,
        "membership_state": state,
        "initials": member.initials,
        "display_name": member.display_name,
        "email": member.email,
        "phone": member.phone,
    });
    (text, value)
}
