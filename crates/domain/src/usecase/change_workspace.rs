//! The record of a workspace and the rules it sets for itself. A qualifying manager changes them; the next check sees it,
//! since nothing is rewritten: ceilings and policies are looked at when access is read.

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;

use super::api::{PolicyChange, PolicyReach, UpdateWorkspace, UpdateWorkspacePolicy};
use super::change::{Authority, Change, Made, Unit};
use super::guard::Watched;
use super::input::{field, grants, mask, needed_etag, same_etag};
use crate::error::{Reason, Refusal, Violation};
use crate::event::EventBody;
use crate::model::audit::{AuditAction, AuditChange};
use crate::model::email::EmailAddress;
use crate::model::id::WorkspaceId;
use crate::model::language::LanguageTag;
use crate::model::name::Name;
use crate::model::notice::Channel;
use crate::model::permission::{PermissionClass, PermissionName};
use crate::model::phone::Region;
use crate::model::relationship::Ceiling;
use crate::model::role::Role;
use crate::model::workspace::{Link, Openness, Workspace, WorkspacePolicy, WorkspaceRef};
use crate::port::store::{Externals, StoreError};

/// Replaces fields of the record.
pub(super) struct Update<'a>(pub(super) &'a UpdateWorkspace);

/// Replaces rules.
pub(super) struct UpdatePolicy<'a>(pub(super) &'a UpdateWorkspacePolicy);

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

/// A rule that can be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Inbound,
    Outbound,
    DefaultCeiling,
    VisibilityOfExternals,
    AcceptanceAsHost,
    AcceptanceAsHome,
    Disclosure,
    ExternalManagers,
}

impl Rule {
    const ALL: [(&str, Self); 8] = [
        ("inbound", Self::Inbound),
        ("outbound", Self::Outbound),
        ("default_ceiling", Self::DefaultCeiling),
        ("visibility_of_externals", Self::VisibilityOfExternals),
        ("acceptance_as_host", Self::AcceptanceAsHost),
        ("acceptance_as_home", Self::AcceptanceAsHome),
        ("disclosure", Self::Disclosure),
        ("external_managers", Self::ExternalManagers),
    ];

    fn shown(self, of: &WorkspacePolicy) -> Option<String> {
        match self {
            Self::Inbound => Some(of.inbound.as_str().to_owned()),
            Self::Outbound => Some(of.outbound.as_str().to_owned()),
            Self::DefaultCeiling => {
                let roles = of.default_ceiling.roles.iter().map(ToString::to_string);
                let all: Vec<String> =
                    roles.chain(of.default_ceiling.permissions.iter().map(ToString::to_string)).collect();
                (!all.is_empty()).then(|| all.join(", "))
            }
            Self::VisibilityOfExternals => Some(of.visibility_of_externals.as_str().to_owned()),
            Self::AcceptanceAsHost => Some(of.acceptance_as_host.to_string()),
            Self::AcceptanceAsHome => Some(of.acceptance_as_home.to_string()),
            Self::Disclosure => Some(of.disclosure.as_str().to_owned()),
            Self::ExternalManagers => Some(of.external_managers.to_string()),
        }
    }
}

#[async_trait]
impl Change for UpdatePolicy<'_> {
    type Thing = PolicyChange;
    const ACTION: AuditAction = AuditAction::UpdateWorkspacePolicy;
    const AUTHORITY: Authority = Authority::QualifyingManager;

    async fn make(&self, unit: &mut Unit<'_>) -> Result<Made<PolicyChange>, Refusal> {
        let before = current(unit).await?;
        let defined = unit.tx.roles().of_workspace(unit.workspace).await?;
        let mut wrong = unit.violations();
        needed_etag(&mut wrong, &self.0.etag);
        let rules = mask(&self.0.update_mask, &Rule::ALL, &mut wrong);
        let policy = self.read(unit, &before.policy, &defined, &rules, &mut wrong).await?;
        if !wrong.is_empty() {
            return Err(Refusal::invalid(wrong));
        }
        same_etag(&self.0.etag, before.id, before.version)?;
        if rules.contains(&Rule::DefaultCeiling) {
            may_be_ceiling(&policy.default_ceiling, &defined, policy.external_managers)?;
        }
        if widens(before.policy.outbound, policy.outbound) {
            watch_elsewhere(unit).await?;
        }
        let shown = Rule::ALL.map(|(path, rule)| (path, rule.shown(&before.policy), rule.shown(&policy)));
        let changes = differing(shown);
        let reach = reach(unit, &before.policy, &policy).await?;
        let after = Workspace { policy, ..before.clone() };
        let made = replace(unit, before, after, changes).await?;
        let thing = PolicyChange { workspace: made.thing, reach: Some(reach) };
        Ok(Made { thing, id: made.id, subject: made.subject, changes: made.changes, personal: made.personal })
    }

    async fn again(&self, unit: &mut Unit<'_>, _thing: Uuid) -> Result<Option<PolicyChange>, Refusal> {
        Ok(Some(PolicyChange { workspace: current(unit).await?, reach: None }))
    }
}

impl UpdatePolicy<'_> {
    async fn read(
        &self,
        unit: &mut Unit<'_>,
        before: &WorkspacePolicy,
        defined: &[Role],
        rules: &[Rule],
        wrong: &mut Vec<Violation>,
    ) -> Result<WorkspacePolicy, StoreError> {
        let typed = &self.0.policy;
        let mut policy = before.clone();
        macro_rules! choose {
            ($name:ident, $mend:literal) => {
                match typed.$name {
                    Some(chosen) => policy.$name = chosen,
                    None => wrong.push(Violation::new(concat!("policy.", stringify!($name)), $mend)),
                }
            };
        }
        for rule in rules {
            match rule {
                Rule::Inbound => choose!(inbound, "choose OPEN, RELATED_ONLY or CLOSED"),
                Rule::Outbound => choose!(outbound, "choose OPEN, RELATED_ONLY or CLOSED"),
                Rule::DefaultCeiling => {
                    let read =
                        grants(unit.tx, defined, "policy.default_ceiling", &typed.default_ceiling, wrong).await?;
                    policy.default_ceiling = Ceiling { roles: read.roles, permissions: read.permissions };
                }
                Rule::VisibilityOfExternals => {
                    choose!(visibility_of_externals, "choose HIDDEN, NAME_ONLY or LISTED");
                }
                Rule::AcceptanceAsHost => policy.acceptance_as_host = typed.acceptance_as_host,
                Rule::AcceptanceAsHome => policy.acceptance_as_home = typed.acceptance_as_home,
                Rule::Disclosure => choose!(disclosure, "choose NONE, NAME, MASKED_CONTACT or FULL"),
                Rule::ExternalManagers => policy.external_managers = typed.external_managers,
            }
        }
        Ok(policy)
    }
}

/// Roles of a ceiling are marked for Externals, and rights over the workspace stand in one only where its policy lets
/// Externals have them.
fn may_be_ceiling(ceiling: &Ceiling, defined: &[Role], external_managers: bool) -> Result<(), Refusal> {
    let named = || defined.iter().filter(|role| ceiling.roles.contains(&role.id));
    let internal: BTreeSet<&str> =
        named().filter(|role| !role.for_externals).map(|role| role.handle.as_str()).collect();
    if !internal.is_empty() {
        let listed = internal.into_iter().collect::<Vec<_>>().join(", ");
        let mut refusal = Refusal::new(Reason::RoleNotForExternals).with("roles", &listed);
        refusal.message = format!(
            "Not marked for Externals, so they cannot stand in a ceiling: {listed}. Mark them, or choose others."
        );
        return Err(refusal);
    }
    let by_permission =
        ceiling.permissions.iter().map(PermissionName::class).any(|class| class == PermissionClass::Governance);
    if !external_managers && (by_permission || named().any(Role::is_governing)) {
        return Err(Refusal::new(Reason::GovernanceNotGrantable));
    }
    Ok(())
}

const fn degree(openness: Openness) -> u8 {
    match openness {
        Openness::Closed => 0,
        Openness::RelatedOnly => 1,
        Openness::Open => 2,
    }
}

const fn widens(before: Openness, after: Openness) -> bool {
    degree(after) > degree(before)
}

/// How many hosts are looked at in one read.
const AT_ONCE: u32 = 64;

/// What the maker has as an External elsewhere comes back when their home opens, so it is watched there too.
async fn watch_elsewhere(unit: &mut Unit<'_>) -> Result<(), Refusal> {
    let person = unit.person;
    let mut after = WorkspaceId::nil();
    loop {
        let hosts = unit.tx.memberships().hosts_of(person, after, AT_ONCE).await?;
        for host in &hosts {
            let facts = unit.tx.memberships().access_facts(*host, person).await?;
            unit.watched.extend(facts.map(|facts| Watched::new(&unit.domicile.policies, &facts, unit.now)));
        }
        match hosts.last() {
            Some(last) if hosts.len() == AT_ONCE as usize => after = *last,
            _ => return Ok(()),
        }
    }
}

/// Whom a change of rules reaches, counted with one statement for each side.
async fn reach(
    unit: &mut Unit<'_>,
    before: &WorkspacePolicy,
    after: &WorkspacePolicy,
) -> Result<PolicyReach, StoreError> {
    let (here, mut reach) = (unit.workspace, PolicyReach::default());
    let closes = [before.inbound, after.inbound].contains(&Openness::Closed) && before.inbound != after.inbound;
    let all = closes || before.external_managers != after.external_managers;
    let unknown = before.inbound != after.inbound || before.default_ceiling != after.default_ceiling;
    let which = if all { Some(Externals::In(here)) } else { unknown.then_some(Externals::OfUnknownHomesIn(here)) };
    if let Some(which) = which {
        reach.externals_here = unit.tx.memberships().count_externals(which).await?;
    }
    if before.outbound != after.outbound {
        reach.externals_elsewhere = unit.tx.memberships().count_externals(Externals::From(here)).await?;
    }
    Ok(reach)
}

async fn current(unit: &mut Unit<'_>) -> Result<Workspace, Refusal> {
    let found = unit.tx.workspaces().find(&WorkspaceRef::Id(unit.workspace)).await?;
    found.ok_or_else(|| Refusal::new(Reason::NotFound))
}

fn differing(shown: impl IntoIterator<Item = (&'static str, Option<String>, Option<String>)>) -> Vec<AuditChange> {
    let changed = shown.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(path, before, after)| AuditChange { path: path.to_owned(), before, after }).collect()
}

/// Writes the workspace at its next version, unless nothing of it is other than before.
async fn replace(
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
