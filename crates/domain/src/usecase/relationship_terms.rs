//! The terms of a relationship: which fields there are and whose they are, how they are read and what of them changed.

use std::time::Duration;

use super::api::{Choice, GrantsInput, HomeTermsInput, HostTermsInput, TermsInput};
use super::change::Unit;
use super::grant::may_be_ceiling;
use super::input::{field, grants, mask};
use crate::error::{Refusal, Violation};
use crate::model::audit::AuditChange;
use crate::model::relationship::{Ceiling, HomeTerms, HostTerms, Side, Terms, WorkspaceRelationship};

/// How long the longest membership may be, in seconds: from a minute to a hundred years.
const LONGEST: std::ops::RangeInclusive<u64> = 60..=100 * 365 * 24 * 60 * 60;

/// A field that one side decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermsField {
    Ceiling,
    DirectoryVisibility,
    LongestMembership,
    HostAcceptance,
    Disclosure,
    AllowsHost,
    HomeAcceptance,
}

impl TermsField {
    const ALL: [Self; 7] = [
        Self::Ceiling,
        Self::DirectoryVisibility,
        Self::LongestMembership,
        Self::HostAcceptance,
        Self::Disclosure,
        Self::AllowsHost,
        Self::HomeAcceptance,
    ];

    /// The path in a request, an event and the record.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Ceiling => "host_terms.ceiling",
            Self::DirectoryVisibility => "host_terms.directory_visibility",
            Self::LongestMembership => "host_terms.longest_membership",
            Self::HostAcceptance => "host_terms.acceptance",
            Self::Disclosure => "home_terms.disclosure",
            Self::AllowsHost => "home_terms.allows_host",
            Self::HomeAcceptance => "home_terms.acceptance",
        }
    }

    /// The fields that an update mask names, each once; what is the path of none is noted.
    pub(super) fn of_mask(paths: &[String], wrong: &mut Vec<Violation>) -> Vec<Self> {
        mask(paths, &Self::ALL.map(|field| (field.path(), field)), wrong)
    }

    /// Whose it is.
    pub(super) const fn side(self) -> Side {
        match self {
            Self::Ceiling | Self::DirectoryVisibility | Self::LongestMembership | Self::HostAcceptance => Side::Host,
            Self::Disclosure | Self::AllowsHost | Self::HomeAcceptance => Side::Home,
        }
    }

    /// The value as the record shows it; absent while its side has not said it, or where nothing is set.
    fn shown(self, of: &WorkspaceRelationship) -> Option<String> {
        let (host, home) = (&of.host_terms, &of.home_terms);
        if !of.has_terms_of(self.side()) {
            return None;
        }
        match self {
            Self::Ceiling => Some(ceiling_text(&host.ceiling)),
            Self::DirectoryVisibility => host.directory_visibility.map(|v| format!("{v:?}")),
            Self::LongestMembership => host.longest_membership.map(|longest| format!("{} s", longest.as_secs())),
            Self::HostAcceptance => Some(host.acceptance.to_string()),
            Self::Disclosure => home.disclosure.map(|d| format!("{d:?}")),
            Self::AllowsHost => Some(home.allows_host.to_string()),
            Self::HomeAcceptance => Some(home.acceptance.to_string()),
        }
    }
}

fn ceiling_text(ceiling: &Ceiling) -> String {
    let roles = ceiling.roles.iter().map(ToString::to_string);
    roles.chain(ceiling.permissions.iter().map(ToString::to_string)).collect::<Vec<_>>().join(", ")
}

/// Terms that were read, and what of a ceiling stands in the way of it being one.
pub(super) struct ReadTerms {
    terms: Terms,
    refusal: Option<Refusal>,
}

impl ReadTerms {
    /// The terms, unless the host's own rules forbid them.
    pub(super) fn allowed(self) -> Result<Terms, Refusal> {
        self.refusal.map_or(Ok(self.terms), Err)
    }
}

/// Reads the terms of the caller's side; of an update the fields that it names and no other.
pub(super) async fn read(
    unit: &mut Unit<'_>,
    input: &TermsInput,
    fields: Option<&[TermsField]>,
    wrong: &mut Vec<Violation>,
) -> Result<ReadTerms, Refusal> {
    let mut found = Vec::new();
    let named = |field: TermsField| fields.is_none_or(|fields| fields.contains(&field));
    let read = match input {
        TermsInput::Host(input) => {
            let mut input = input.clone();
            if !named(TermsField::Ceiling) {
                input.ceiling = GrantsInput::default();
            }
            host(unit, &input, &mut found).await?
        }
        TermsInput::Home(input) => ReadTerms { terms: Terms::Home(home(input, &mut found)), refusal: None },
    };
    let stands_in = |violation: &Violation| {
        TermsField::ALL.into_iter().any(|field| named(field) && violation.field.starts_with(field.path()))
    };
    wrong.extend(found.into_iter().filter(stands_in));
    Ok(read)
}

async fn host(unit: &mut Unit<'_>, input: &HostTermsInput, wrong: &mut Vec<Violation>) -> Result<ReadTerms, Refusal> {
    let roles = unit.tx.roles().of_workspace(unit.workspace).await?;
    let ceiling = grants(unit.tx, &roles, TermsField::Ceiling.path(), &input.ceiling, wrong).await?;
    let ceiling = Ceiling { roles: ceiling.roles, permissions: ceiling.permissions };
    let refusal = may_be_ceiling(&ceiling, &roles, &unit.actor.workspace.policy).err();
    let terms = HostTerms {
        directory_visibility: chosen(
            input.directory_visibility,
            TermsField::DirectoryVisibility.path(),
            "choose HIDDEN, NAME_ONLY or LISTED, or leave it out for the workspace's own policy",
            wrong,
        ),
        longest_membership: input
            .longest_membership
            .and_then(|seconds| field(wrong, TermsField::LongestMembership.path(), longest(seconds))),
        acceptance: input.acceptance,
        ceiling,
    };
    Ok(ReadTerms { terms: Terms::Host(terms), refusal })
}

fn home(input: &HomeTermsInput, wrong: &mut Vec<Violation>) -> HomeTerms {
    HomeTerms {
        disclosure: chosen(
            input.disclosure,
            TermsField::Disclosure.path(),
            "choose NONE, NAME, MASKED_CONTACT or FULL, or leave it out for the workspace's own policy",
            wrong,
        ),
        allows_host: input.allows_host,
        acceptance: input.acceptance,
    }
}

/// What was chosen; none that there is is noted as a violation.
pub(super) fn chosen<T>(choice: Choice<T>, path: &str, mend: &str, wrong: &mut Vec<Violation>) -> Option<T> {
    match choice {
        Choice::Is(chosen) => Some(chosen),
        Choice::Unset => None,
        Choice::Unknown => {
            wrong.push(Violation::new(path, mend));
            None
        }
    }
}

fn longest(seconds: i64) -> Result<Duration, &'static str> {
    u64::try_from(seconds)
        .ok()
        .filter(|seconds| LONGEST.contains(seconds))
        .map(Duration::from_secs)
        .ok_or("give a time from a minute to a hundred years, or leave it out for no limit")
}

/// The terms of a side with some fields from other terms of that side.
pub(super) fn with(current: &WorkspaceRelationship, read: Terms, fields: &[TermsField]) -> Terms {
    let named = |field: TermsField| fields.contains(&field);
    match read {
        Terms::Host(read) => {
            let mut terms = current.host_terms.clone();
            if named(TermsField::Ceiling) {
                terms.ceiling = read.ceiling;
            }
            if named(TermsField::DirectoryVisibility) {
                terms.directory_visibility = read.directory_visibility;
            }
            if named(TermsField::LongestMembership) {
                terms.longest_membership = read.longest_membership;
            }
            if named(TermsField::HostAcceptance) {
                terms.acceptance = read.acceptance;
            }
            Terms::Host(terms)
        }
        Terms::Home(read) => {
            let mut terms = current.home_terms.clone();
            if named(TermsField::Disclosure) {
                terms.disclosure = read.disclosure;
            }
            if named(TermsField::AllowsHost) {
                terms.allows_host = read.allows_host;
            }
            if named(TermsField::HomeAcceptance) {
                terms.acceptance = read.acceptance;
            }
            Terms::Home(terms)
        }
    }
}

/// What is other now than before, for the record: the row of each side says of which relationship it is.
pub(super) fn recorded(before: Option<&WorkspaceRelationship>, after: &WorkspaceRelationship) -> Vec<AuditChange> {
    let which = AuditChange { path: "relationship.id".to_owned(), before: None, after: Some(after.id.to_string()) };
    std::iter::once(which).chain(changes(before, after)).collect()
}

/// What is other now than before; `None` before there was one.
pub(super) fn changes(before: Option<&WorkspaceRelationship>, after: &WorkspaceRelationship) -> Vec<AuditChange> {
    let mut changes = Vec::new();
    let mut note = |path: &str, show: &dyn Fn(&WorkspaceRelationship) -> Option<String>| {
        let (before, after) = (before.and_then(show), show(after));
        if before != after {
            changes.push(AuditChange { path: path.to_owned(), before, after });
        }
    };
    note("state", &|of| Some(format!("{:?}", of.state)));
    note("suspended_by_host", &|of| Some(of.suspended_by_host.to_string()));
    note("suspended_by_home", &|of| Some(of.suspended_by_home.to_string()));
    for field in TermsField::ALL {
        note(field.path(), &|of| field.shown(of));
    }
    changes
}
