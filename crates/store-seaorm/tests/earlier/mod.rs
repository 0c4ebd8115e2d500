//! A database as an earlier schema left it, and what must be found in it once it is up to date.

use domicile_domain::model::group::GroupRef;
use domicile_domain::model::id::{Id, UserId, WorkspaceId};
use domicile_domain::model::membership::Membership;
use domicile_domain::port::store::Store as _;
use domicile_store_seaorm::SeaOrmStore;
use domicile_testkit::builders::permission_name;
use domicile_testkit::seed::PATIENCE;
use uuid::Uuid;

/// Every step of the schema.
pub(crate) const STEPS: [&str; 4] = ["m0001_first", "m0002_budgets", "m0003_groups", "m0004_grants"];
/// The step that brought groups.
const GROUPS: usize = 3;

/// The record of the steps that were taken.
pub(crate) fn taken(steps: usize) -> String {
    let made =
        "CREATE TABLE seaql_migrations (version varchar NOT NULL PRIMARY KEY, applied_at bigint NOT NULL);".to_owned();
    STEPS.iter().take(steps).fold(made, |sql, step| format!("{sql} INSERT INTO seaql_migrations VALUES ('{step}', 0);"))
}

const ACME: u128 = 1;
const BETA: u128 = 2;
const ANNA: u128 = 3;
const BEN: u128 = 4;
const MEMBER: u128 = 5;
const AUDITOR: u128 = 6;
const GUEST: u128 = 7;
const UNIT: u128 = 8;
const CREW: u128 = 9;

/// Two workspaces, an Internal with two roles, a direct permission and a unit, and an External with a role and the contact
/// that was typed; and a group of two Internals, once there are groups. `of` writes an id as the engine does.
pub(crate) fn rows(steps: usize, of: impl Fn(Uuid) -> String) -> String {
    let id = |number: u128| of(Uuid::from_u128(number));
    let (acme, beta, anna, ben) = (id(ACME), id(BETA), id(ANNA), id(BEN));
    let (member, auditor, guest, unit) = (id(MEMBER), id(AUDITOR), id(GUEST), id(UNIT));
    let workspace = |id: &str, handle: &str| {
        format!(
            "INSERT INTO workspaces VALUES ({id}, '{handle}', '{handle}', 'ACTIVE', 'HU', 'hu', '[\"hu\"]', '[\"EMAIL\"]',
            NULL, NULL, NULL, NULL, NULL, NULL, 'OPEN', 'OPEN', '[]', '[]', 'NAME_ONLY', false, false, 'NAME', false, 0, 1, 1);"
        )
    };
    let user = |id: &str, home: &str, name: &str| {
        format!(
            "INSERT INTO users VALUES ({id}, {home}, {home}, 'ACTIVE', 0, 0, 1);
            INSERT INTO user_profiles VALUES ({id}, {home}, '{name}', 'Kovacs', '{name}', '{name}', 'hu');
            INSERT INTO contacts VALUES ('EMAIL', '{name}@mail.example', {id}, '{name}@mail.example', 'ASSERTED', 0, 1,
                NULL, NULL);"
        )
    };
    let role = |id: &str, workspace: &str, handle: &str| {
        format!("INSERT INTO roles VALUES ({id}, {workspace}, '{handle}', '{handle}', true, NULL, 1);")
    };
    [
        workspace(&acme, "acme"),
        workspace(&beta, "beta"),
        "INSERT INTO permissions VALUES ('orders.read', '', 'shop', 0, NULL);".to_owned(),
        role(&member, &acme, "member"),
        role(&auditor, &acme, "auditor"),
        role(&guest, &beta, "guest"),
        user(&anna, &acme, "anna"),
        user(&ben, &acme, "ben"),
        format!(
            "INSERT INTO memberships VALUES ({acme}, {anna}, {}, 'INTERNAL', {acme}, NULL, NULL, NULL, NULL, 'A-1', NULL, 0, 3);
            INSERT INTO memberships VALUES ({acme}, {ben}, {}, 'INTERNAL', {acme}, NULL, NULL, NULL, NULL, NULL, NULL, 0, 1);
            INSERT INTO memberships VALUES ({beta}, {anna}, {}, 'EXTERNAL', NULL, 'ACTIVE', NULL, NULL, NULL, NULL, NULL, 0, 1);
            INSERT INTO membership_roles VALUES ({acme}, {anna}, {member});
            INSERT INTO membership_roles VALUES ({acme}, {anna}, {auditor});
            INSERT INTO membership_roles VALUES ({beta}, {anna}, {guest});
            INSERT INTO membership_permissions VALUES ({acme}, {anna}, 'orders.read');
            INSERT INTO membership_units VALUES ({acme}, {anna}, {unit});
            INSERT INTO membership_contacts VALUES ({beta}, {anna}, 'anna@mail.example');",
            id(11),
            id(12),
            id(13)
        ),
        if steps < GROUPS {
            String::new()
        } else {
            let crew = id(CREW);
            format!(
                "INSERT INTO groups VALUES ({crew}, {acme}, 'crew', 'Crew', 1);
                INSERT INTO group_roles VALUES ({crew}, {auditor});
                INSERT INTO membership_groups VALUES ({acme}, {anna}, {crew});
                INSERT INTO membership_groups VALUES ({acme}, {ben}, {crew});"
            )
        },
    ]
    .join("\n")
}

fn known<K>(number: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(number))
}

/// Everybody is there as before, and every way back from what they were given leads to them.
pub(crate) async fn is_kept(store: &SeaOrmStore, steps: usize) {
    let (acme, beta): (WorkspaceId, WorkspaceId) = (known(ACME), known(BETA));
    let (anna, ben): (UserId, UserId) = (known(ANNA), known(BEN));
    let mut unit = store.begin(PATIENCE).await.unwrap();
    for (user, name) in [(anna, "anna"), (ben, "ben")] {
        assert_eq!(unit.users().find(user).await.unwrap().unwrap().home, acme, "{name}");
    }
    let Some(Membership::Internal(at_home)) = unit.memberships().find(acme, anna).await.unwrap() else {
        panic!("Anna is not Internal at home")
    };
    assert_eq!(at_home.base.grants.roles, [known(MEMBER), known(AUDITOR)].into());
    assert_eq!(at_home.base.grants.permissions, [permission_name("orders.read")].into());
    assert_eq!(at_home.units, [known(UNIT)].into());
    assert_eq!(at_home.base.external_id.unwrap().as_str(), "A-1");
    assert_eq!(at_home.base.version.as_i64(), 3);
    let Some(Membership::External(visiting)) = unit.memberships().find(beta, anna).await.unwrap() else {
        panic!("Anna is not External at Beta")
    };
    assert_eq!(visiting.base.grants.roles, [known(GUEST)].into());
    assert_eq!(visiting.typed_contact.as_deref(), Some("anna@mail.example"));
    let Some(Membership::Internal(bens)) = unit.memberships().find(acme, ben).await.unwrap() else {
        panic!("Ben is not Internal at home")
    };
    assert!(bens.base.grants.roles.is_empty());
    let groups = if steps < GROUPS { [].into() } else { [known(CREW)].into() };
    assert_eq!((&at_home.groups, &bens.groups), (&groups, &groups));
    for group in groups {
        assert_eq!(unit.groups().find(acme, &GroupRef::Id(group)).await.unwrap().unwrap().members, 2);
    }
    let roles = unit.roles().of_workspace(acme).await.unwrap();
    assert_eq!(roles.len(), 2);
    for role in roles {
        assert_eq!(unit.roles().uses(&role).await.unwrap().memberships, 1, "{}", role.handle);
    }
    unit.rollback().await.unwrap();
    assert_eq!(store.contradictions().await.unwrap(), Vec::<String>::new());
}
