//! Reads what the caller of a save typed, before anything is looked up.

use super::api::{AssignUser, Expectation, GrantsInput};
use super::input::{Profile, field, grants, profile};
use super::resolve::Contacts;
use crate::error::{Refusal, Violation};
use crate::model::id::RequestId;
use crate::model::language::LanguageTag;
use crate::model::membership::Grants;
use crate::model::name::ExternalId;
use crate::model::role::Role;
use crate::model::time::Timestamp;
use crate::model::workspace::Workspace;
use crate::port::contact::PhoneParser;
use crate::port::store::UnitOfWork;

/// A request whose every field was read.
pub(super) struct Read {
    pub(super) expectation: Expectation,
    pub(super) contacts: Contacts,
    pub(super) profile: Result<Profile, Vec<Violation>>,
    pub(super) internal: Grants,
    pub(super) external: Grants,
    pub(super) language: Option<LanguageTag>,
    pub(super) external_id: Option<ExternalId>,
}

/// By what a request is read.
pub(super) struct Reading<'a> {
    pub(super) phones: &'a dyn PhoneParser,
    pub(super) host: &'a Workspace,
    pub(super) roles: &'a [Role],
    pub(super) now: Timestamp,
}

impl Read {
    /// Reads the whole request; all violations at once.
    pub(super) async fn of(request: &AssignUser, tx: &mut dyn UnitOfWork, at: &Reading<'_>) -> Result<Self, Refusal> {
        let Reading { phones, host, roles, now } = *at;
        let mut wrong = Vec::new();
        let contacts = Contacts::read(
            phones,
            host.default_region,
            ("email", &request.email),
            ("phone", &request.phone),
            &mut wrong,
        );
        if request.request.id.parse::<RequestId>().is_err() {
            wrong.push(Violation::new("request_id", "give a new UUID for each save; the same one repeats it safely"));
        }
        check_presence(request, &mut wrong);
        let mut profile_wrong = Vec::new();
        let profile = profile("profile", &request.profile, &mut profile_wrong).ok_or_else(|| profile_wrong.clone());
        if request.expectation == Some(Expectation::Create) {
            wrong.append(&mut profile_wrong);
        }
        let internal = grants(tx, roles, "internal", &request.internal, &mut wrong).await?;
        let external = grants(tx, roles, "external", &request.external.grants, &mut wrong).await?;
        let language = (!request.external.language.is_empty())
            .then(|| field(&mut wrong, "external.language", LanguageTag::parse(&request.external.language)))
            .flatten();
        let said = match request.external.expires_at {
            Some(end) if end <= now => Some("the end of the membership is in the past"),
            Some(end) if end > Timestamp::LAST => Some("give an instant before the year 10000, or none for no end"),
            _ => None,
        };
        wrong.extend(said.map(|said| Violation::new("external.expire_time", said)));
        if request.notify.is_none() {
            wrong.push(Violation::new("notify", "choose TELL or NONE, or leave it out to tell the person"));
        }
        let external_id = (!request.external_id.is_empty())
            .then(|| field(&mut wrong, "external_id", ExternalId::parse(&request.external_id)))
            .flatten();
        match request.expectation {
            Some(expectation) if wrong.is_empty() => {
                Ok(Self { expectation, contacts, profile, internal, external, language, external_id })
            }
            _ => Err(Refusal::invalid(wrong)),
        }
    }
}

/// Whether what is needed is there, and nothing that does not fit to what is expected.
fn check_presence(request: &AssignUser, wrong: &mut Vec<Violation>) {
    let no_email = request.email.trim().is_empty();
    let no_phone = request.phone.trim().is_empty();
    match request.expectation {
        None => wrong.push(Violation::new("expectation", "say CREATE, LINK or EITHER")),
        Some(Expectation::Create | Expectation::Either) if no_email => {
            wrong.push(Violation::new("email", "an email address is needed, for example anna@acme.example"));
        }
        Some(Expectation::Link) if no_email && no_phone => {
            wrong.push(Violation::new("email", "give the email address or the phone number that the lookup found"));
        }
        Some(_) => {}
    }
    let typed = |g: &GrantsInput| !g.roles.is_empty() || !g.permissions.is_empty();
    let external = &request.external;
    let typed_external = typed(&external.grants) || !external.language.is_empty() || external.expires_at.is_some();
    if request.expectation == Some(Expectation::Create) && typed_external {
        wrong.push(Violation::new("external", "these are for linking; with CREATE give `internal`"));
    }
    if request.expectation == Some(Expectation::Link) && typed(&request.internal) {
        wrong.push(Violation::new("internal", "these are for creating; with LINK give `external`"));
    }
}
