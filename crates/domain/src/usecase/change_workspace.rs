//! The record of a workspace: what it is called, and how it tells people. A qualifying manager changes it.

use async_trait::async_trait;
use uuid::Uuid;

use super::api::UpdateWorkspace;
use super::change::{Authority, Change, Made, Unit};
use super::input::{field, mask, same_etag};
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::audit::{AuditAction, AuditChange};
use crate::model::email::EmailAddress;
use crate::model::language::LanguageTag;
use crate::model::name::Name;
use crate::model::notice::Channel;
use crate::model::phone::Region;
use crate::model::workspace::{Link, Workspace, WorkspaceRef};

/// Replaces fields of the record.
pub(super) struct Update<'a>(pub(super) &'a UpdateWorkspace);

/// A field of the record that can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordField {
    DisplayName,
    DefaultRegion,
    DefaultLanguage,
    NoticeLanguages,
    Channels,
    LinkBegin,
    LinkAccept,
    LinkLeave,
    SupportContact,
}

impl RecordField {
    const ALL: [(&str, Self); 9] = [
        ("display_name", Self::DisplayName),
        ("default_region", Self::DefaultRegion),
        ("default_language", Self::DefaultLanguage),
        ("notice_languages", Self::NoticeLanguages),
        ("channels", Self::Channels),
        ("links.begin", Self::LinkBegin),
        ("links.accept", Self::LinkAccept),
        ("links.leave", Self::LinkLeave),
        ("support_contact", Self::SupportContact),
    ];

    /// The value as the record of changes shows it. Of the support contact it shows that there is one: it may be somebody's
    /// own address, and the record is kept.
    fn shown(self, of: &Workspace) -> Option<String> {
        let list = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(", "));
        match self {
            Self::DisplayName => Some(of.display_name.to_string()),
            Self::DefaultRegion => Some(of.default_region.to_string()),
            Self::DefaultLanguage => Some(of.default_language.to_string()),
            Self::NoticeLanguages => list(of.notices.languages.iter().map(ToString::to_string).collect()),
            Self::Channels => list(of.notices.channels.iter().map(|channel| channel.as_str().to_owned()).collect()),
            Self::LinkBegin => of.links.begin.clone(),
            Self::LinkAccept => of.links.accept.clone(),
            Self::LinkLeave => of.links.leave.clone(),
            Self::SupportContact => of.notices.support_contact.as_ref().map(|_| "set".to_owned()),
        }
    }
}

/// Reads one typed field into the workspace, or notes what is wrong with it.
fn read_field(which: RecordField, typed: &UpdateWorkspace, into: &mut Workspace, wrong: &mut Vec<Violation>) {
    macro_rules! keep {
        ($place:expr, $path:literal, $read:expr) => {
            if let Some(read) = field(wrong, $path, $read) {
                $place = read;
            }
        };
    }
    match which {
        RecordField::DisplayName => keep!(into.display_name, "display_name", Name::parse(&typed.display_name)),
        RecordField::DefaultRegion => {
            keep!(into.default_region, "default_region", Region::parse(&typed.default_region));
        }
        RecordField::DefaultLanguage => {
            keep!(into.default_language, "default_language", LanguageTag::parse(&typed.default_language));
        }
        RecordField::NoticeLanguages => into.notices.languages = languages(&typed.notice_languages, wrong),
        RecordField::Channels => into.notices.channels = channels(&typed.channels, wrong),
        RecordField::LinkBegin => keep!(into.links.begin, "links.begin", link(&typed.links.begin)),
        RecordField::LinkAccept => keep!(into.links.accept, "links.accept", link(&typed.links.accept)),
        RecordField::LinkLeave => keep!(into.links.leave, "links.leave", link(&typed.links.leave)),
        RecordField::SupportContact => {
            let typed = typed.support_contact.as_str();
            let read = (!typed.trim().is_empty()).then(|| EmailAddress::parse(typed)).transpose();
            keep!(into.notices.support_contact, "support_contact", read);
        }
    }
}

/// How many languages a workspace may list.
const MOST_LANGUAGES: usize = 100;

fn languages(typed: &[String], wrong: &mut Vec<Violation>) -> Vec<LanguageTag> {
    if typed.len() > MOST_LANGUAGES {
        wrong.push(Violation::new("notice_languages", format!("give at most {MOST_LANGUAGES}")));
        return Vec::new();
    }
    let mut languages = Vec::new();
    for (index, text) in typed.iter().enumerate() {
        let path = format!("notice_languages[{index}]");
        match field(wrong, path.clone(), LanguageTag::parse(text)) {
            Some(language) if languages.contains(&language) => wrong.push(Violation::new(path, "it is listed already")),
            read => languages.extend(read),
        }
    }
    languages
}

fn channels(typed: &[String], wrong: &mut Vec<Violation>) -> Vec<Channel> {
    let mut channels = Vec::new();
    // The first that is listed twice says enough: there are few channels.
    for (index, text) in typed.iter().enumerate().take(Channel::ALL.len() + 1) {
        let path = format!("channels[{index}]");
        match Channel::ALL.into_iter().find(|channel| channel.as_str() == text) {
            Some(channel) if channels.contains(&channel) => wrong.push(Violation::new(path, "it is listed already")),
            Some(channel) => channels.push(channel),
            None => wrong.push(Violation::new(path, "choose EMAIL or SMS")),
        }
    }
    if typed.is_empty() {
        wrong.push(Violation::new("channels", "name the channels in the order in which they are tried: EMAIL, SMS"));
    }
    channels
}

fn link(typed: &str) -> Result<Option<String>, crate::model::workspace::ParseLinkError> {
    let typed = typed.trim();
    if typed.is_empty() { Ok(None) } else { Link::parse(typed).map(|link| Some(link.to_string())) }
}

#[async_trait]
impl Change for Update<'_> {
    type Thing = Workspace;
    const ACTION: AuditAction = AuditAction::UpdateWorkspace;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<Workspace>, Refusal> {
        let before = current(unit).await?;
        let mut after = before.clone();
        let mut wrong = unit.violations();
        for which in mask(&self.0.update_mask, &RecordField::ALL, &mut wrong) {
            read_field(which, self.0, &mut after, &mut wrong);
        }
        if !wrong.is_empty() {
            return Err(Refusal::invalid(wrong));
        }
        if !self.0.etag.is_empty() {
            same_etag(&self.0.etag, before.id, before.version)?;
        }
        let shown = RecordField::ALL.map(|(path, field)| (path, field.shown(&before), field.shown(&after)));
        let mut changes = differing(shown);
        if before.notices.support_contact != after.notices.support_contact
            && !changes.iter().any(|change| change.path == "support_contact")
        {
            let path = "support_contact".to_owned();
            changes.push(AuditChange { path, before: Some("set".to_owned()), after: Some("set anew".to_owned()) });
        }
        replace(unit, before, after, changes).await
    }

    async fn again(&self, unit: &mut Unit<'_>, _thing: Uuid) -> Result<Option<Workspace>, Refusal> {
        current(unit).await.map(Some)
    }
}

pub(super) async fn current(unit: &mut Unit<'_>) -> Result<Workspace, Refusal> {
    let found = unit.tx.workspaces().find(&WorkspaceRef::Id(unit.workspace)).await?;
    found.ok_or_else(|| Refusal::new(Reason::NotFound))
}

pub(super) fn differing(
    shown: impl IntoIterator<Item = (&'static str, Option<String>, Option<String>)>,
) -> Vec<AuditChange> {
    let changed = shown.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(path, before, after)| AuditChange { path: path.to_owned(), before, after }).collect()
}

/// Writes the workspace at its next version, unless nothing of it is other than before.
pub(super) async fn replace(
    unit: &mut Unit<'_>,
    before: Workspace,
    after: Workspace,
    changes: Vec<AuditChange>,
) -> Result<Made<Workspace>, Refusal> {
    let id = before.id;
    if changes.is_empty() {
        return Ok(Made::new(before, id, changes));
    }
    let after = Workspace { version: before.version.next(), ..after };
    unit.tx.workspaces().update(&after, before.version).await?;
    let paths = changes.iter().map(|change| change.path.clone()).collect();
    unit.event(EventBody::WorkspaceChanged { paths }).await?;
    Ok(Made::new(after, id, changes))
}
