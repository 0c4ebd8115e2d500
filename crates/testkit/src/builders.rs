//! Short ways to valid things. Fields are public: a test changes the one it is about.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domicile_domain::model::budget::Budgets;
use domicile_domain::model::contact::Contact;
use domicile_domain::model::email::EmailAddress;
use domicile_domain::model::group::Group;
use domicile_domain::model::id::{Id, UserId, WorkspaceId};
use domicile_domain::model::language::LanguageTag;
use domicile_domain::model::membership::{
    ExternalMembership, ExternalState, Grants, InternalMembership, Membership, MembershipBase,
};
use domicile_domain::model::name::{Handle, Name, Username};
use domicile_domain::model::notice::{Channel, Notice, NoticeKind, NoticeState};
use domicile_domain::model::permission::{Permission, PermissionName};
use domicile_domain::model::phone::{PhoneNumber, Region};
use domicile_domain::model::relationship::{
    Ceiling, HomeTerms, HostTerms, RelationshipState, Side, WorkspaceRelationship,
};
use domicile_domain::model::role::{BuiltInRole, Role};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::{Person, User};
use domicile_domain::model::workspace::{NewWorkspace, Workspace};

use crate::ids::SequentialIds;

/// The instant at which tests happen: 2026-01-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// Budgets that no test uses up, for those that are not about budgets.
pub const WIDE_BUDGETS: Budgets = Budgets::all(NonZeroU32::MAX);

static NEXT: AtomicU64 = AtomicU64::new(1 << 32);

/// An id that nothing else has; later ones are greater.
pub fn id<K>() -> Id<K> {
    Id::from_uuid(SequentialIds::numbered(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A number of minutes after [`NOW`].
pub fn minute(minutes: u64) -> Timestamp {
    NOW.after(Duration::from_secs(60 * minutes))
}

/// A handle.
pub fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("the test's handle is one")
}

/// A name.
pub fn name(text: &str) -> Name {
    Name::parse(text).expect("the test's name is one")
}

/// A language.
pub fn language(text: &str) -> LanguageTag {
    LanguageTag::parse(text).expect("the test's language is one")
}

/// A mail address.
pub fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("the test's mail address is one")
}

/// A phone number.
pub fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).expect("the test's phone number is one")
}

/// A permission's name.
pub fn permission_name(text: &str) -> PermissionName {
    PermissionName::parse(text).expect("the test's permission is one")
}

/// A permission of the catalogue, in use.
pub fn permission(text: &str) -> Permission {
    Permission {
        name: permission_name(text),
        description: format!("What {text} lets one do"),
        registered_by: "shop".to_owned(),
        registered_at: NOW,
        retired_at: None,
    }
}

/// An active workspace with the shipped policies, in Hungary, in English.
pub fn workspace(handle_text: &str) -> Workspace {
    let new = NewWorkspace {
        handle: handle(handle_text),
        display_name: name(handle_text),
        default_region: Region::parse("HU").expect("HU is a region"),
        default_language: language("en"),
    };
    Workspace::create(id(), new, Ceiling::default(), NOW)
}

/// One of the roles that every workspace has.
pub fn built_in(workspace: WorkspaceId, kind: BuiltInRole) -> Role {
    Role::built_in(kind, id(), workspace).expect("built-in roles have names")
}

/// A role without permissions, for Internals.
pub fn role(workspace: WorkspaceId, handle_text: &str) -> Role {
    Role {
        id: id(),
        workspace,
        handle: handle(handle_text),
        display_name: name(handle_text),
        permissions: BTreeSet::new(),
        for_externals: false,
        built_in: None,
        version: Version::FIRST,
    }
}

/// A group without roles.
pub fn group(workspace: WorkspaceId, handle_text: &str) -> Group {
    Group {
        id: id(),
        workspace,
        handle: handle(handle_text),
        display_name: name(handle_text),
        roles: BTreeSet::new(),
        version: Version::FIRST,
    }
}

/// An active user by the username; the address is `<username>@mail.example`, without a phone.
pub fn user(home: WorkspaceId, username: &str) -> User {
    let person = Person {
        first_name: name("Anna"),
        last_name: name("Kovács"),
        username: Username::parse(username).expect("the test's username is one"),
        preferred_language: language("hu"),
        email: Contact::asserted(email(&format!("{username}@mail.example")), NOW),
        phone: None,
    };
    User::create(id(), home, person, NOW)
}

/// The person of a user that is not erased.
pub fn person(user: &mut User) -> &mut Person {
    user.person.as_mut().expect("the test's user is not erased")
}

fn base(user: UserId, workspace: WorkspaceId) -> MembershipBase {
    MembershipBase {
        id: id(),
        user,
        workspace,
        grants: Grants::default(),
        assigned_by: None,
        assigned_at: NOW,
        external_id: None,
        version: Version::FIRST,
    }
}

/// The membership of a user at home, without grants.
pub fn internal(user: &User) -> InternalMembership {
    InternalMembership { base: base(user.id, user.home), groups: BTreeSet::new(), units: BTreeSet::new() }
}

/// An active membership of a user elsewhere, without grants and end.
pub fn external(user: &User, workspace: WorkspaceId) -> ExternalMembership {
    ExternalMembership {
        base: base(user.id, workspace),
        state: ExternalState::Active,
        language: None,
        expires_at: None,
        sponsor: None,
        typed_contact: None,
    }
}

/// The same membership with one more role.
#[must_use]
pub fn with_role(mut membership: InternalMembership, role: &Role) -> Membership {
    membership.base.grants.roles.insert(role.id);
    Membership::Internal(membership)
}

/// An active relationship: a ceiling of nothing, the home allows the host, nobody must accept.
pub fn relationship(host: WorkspaceId, home: WorkspaceId) -> WorkspaceRelationship {
    WorkspaceRelationship {
        id: id(),
        host,
        home,
        state: RelationshipState::Active,
        suspended_by_host: false,
        suspended_by_home: false,
        host_terms: HostTerms {
            ceiling: Ceiling::default(),
            directory_visibility: None,
            longest_membership: None,
            acceptance: false,
        },
        home_terms: HomeTerms { disclosure: None, allows_host: true, acceptance: false },
        proposed_by_side: Side::Host,
        proposed_by: id(),
        proposed_at: NOW,
        home_withheld: false,
        answered_by: Some(id()),
        answered_at: Some(NOW),
        ended_at: None,
        version: Version::FIRST,
    }
}

/// A queued mail that welcomes a user at home, due now.
pub fn notice(user: &User) -> Notice {
    Notice {
        id: id(),
        kind: NoticeKind::Onboarding,
        workspace: user.home,
        home: user.home,
        user: user.id,
        membership: id(),
        roles: Vec::new(),
        actor: None,
        channel: Channel::Email,
        state: NoticeState::Queued,
        reason: String::new(),
        language_asked: language("hu"),
        language_used: None,
        created_at: NOW,
        due_at: Some(NOW),
        retry_until: NOW.after(Notice::patience(Channel::Email)),
        attempts: 0,
        version: Version::FIRST,
    }
}
