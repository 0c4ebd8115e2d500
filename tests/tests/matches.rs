//! M1 to M14 through gRPC against a database file: what a lookup answers, what a save answers, and that a refusal changes
//! nothing.
#![expect(clippy::unwrap_used, reason = "what cannot be fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domicile_client::{Client, ClientError, v1};
use domicile_domain::model::membership::{EndReason, ExternalState};
use domicile_domain::model::user::UserState;
use domicile_store_seaorm::SeaOrmStore;
use domicile_tests::world::{BEGINNING, World, unaudited};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use tonic::Code;
use v1::{Expectation, LookupOutcome};

const PHONE: &str = "+36201234567";

struct Stage {
    folder: TempDir,
    store: Arc<SeaOrmStore>,
    world: World,
    client: Client,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SeaOrmStore::open_file(&folder.path().join("d.db")).await.unwrap());
        let world = World::new(store.clone()).await;
        let client = world.connect(Some(world.acme.manager)).await;
        Self { folder, store, world, client }
    }

    async fn lookup(&self, email: &str, phone: &str) -> v1::LookupUserResponse {
        let request = v1::LookupUserRequest { workspace: "acme".into(), email: email.into(), phone: phone.into() };
        self.client.lookup_user(request).await.unwrap()
    }

    async fn save(&self, save: Save<'_>) -> Result<v1::AssignUserResponse, ClientError> {
        let request = v1::AssignUserRequest {
            workspace: "acme".into(),
            request_id: self.world.ports.ids.uuid().to_string(),
            expectation: save.expectation.into(),
            email: save.email.into(),
            phone: save.phone.into(),
            match_handle: save.handle.into(),
            profile: Some(v1::Profile {
                first_name: "New".into(),
                last_name: "Person".into(),
                username: "new.person".into(),
                preferred_language: "de".into(),
            }),
            ..v1::AssignUserRequest::default()
        };
        self.client.assign_user(request).await
    }

    /// The save is refused so, with no more facts than that, and every table but the audit is as before.
    async fn refused(&self, save: Save<'_>, code: Code, reason: &str) -> ClientError {
        self.refused_with(save, code, reason, &[]).await
    }

    /// The save is refused so, with these facts and no others, and every table but the audit is as before.
    async fn refused_with(&self, save: Save<'_>, code: Code, reason: &str, facts: &[(&str, &str)]) -> ClientError {
        let before = unaudited(&self.store).await;
        let error = self.save(save).await.unwrap_err();
        assert_eq!((error.code, error.reason.as_str()), (code, reason), "{error:?}");
        let told: BTreeMap<&str, &str> = error.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(told, facts.iter().copied().collect(), "{reason}");
        assert_eq!(unaudited(&self.store).await, before, "{reason} changed something");
        error
    }

    /// A control: the save succeeds, and the tables differ.
    async fn saved(&self, save: Save<'_>) -> v1::AssignUserResponse {
        let before = unaudited(&self.store).await;
        let saved = self.save(save).await.unwrap();
        assert_ne!(unaudited(&self.store).await, before);
        saved
    }
}

#[derive(Clone, Copy)]
struct Save<'a> {
    expectation: Expectation,
    email: &'a str,
    phone: &'a str,
    handle: &'a str,
}

const fn save<'a>(expectation: Expectation, email: &'a str, phone: &'a str, handle: &'a str) -> Save<'a> {
    Save { expectation, email, phone, handle }
}

#[tokio::test]
async fn m1_nobody_is_created_internal() {
    let stage = Stage::new().await;
    let found = stage.lookup("new@people.example", PHONE).await;
    assert_eq!((found.outcome(), found.display.as_str()), (LookupOutcome::NotFound, ""));
    stage.refused(save(Expectation::Link, "new@people.example", "", ""), Code::NotFound, "NO_ACCOUNT").await;
    let wrong = stage.refused(save(Expectation::Create, "", PHONE, ""), Code::InvalidArgument, "INVALID_REQUEST").await;
    assert_eq!(wrong.violations[0].0, "email");
    let created = stage.saved(save(Expectation::Create, "new@people.example", PHONE, &found.match_handle)).await;
    assert_eq!(created.outcome(), v1::AssignOutcome::CreatedInternal);
    let member = created.membership.clone().unwrap();
    assert_eq!((member.kind(), member.display_name.as_str()), (v1::MembershipKind::Internal, "New Person"));
    assert_eq!(created.notification_state(), v1::NotificationState::Queued);
}

#[tokio::test]
async fn m2_a_match_by_email_is_linked_and_the_typed_phone_is_not_taken() {
    let stage = Stage::new().await;
    let user = stage.world.person(stage.world.borealis, "mbali", None, UserState::Active).await;
    let found = stage.lookup("mbali@people.example", PHONE).await;
    assert_eq!((found.outcome(), found.display.as_str()), (LookupOutcome::Found, "M. T."));
    stage
        .refused(
            save(Expectation::Create, "mbali@people.example", "", ""),
            Code::FailedPrecondition,
            "EXPECTATION_FAILED",
        )
        .await;
    let linked = stage.saved(save(Expectation::Either, "MBALI@people.example", PHONE, "")).await;
    assert_eq!(linked.outcome(), v1::AssignOutcome::LinkedExternal);
    assert!(linked.discarded_fields.contains(&"phone".to_owned()));
    assert!(linked.discarded_fields.contains(&"profile.first_name".to_owned()));
    let stored = stage.world.ports.directory.user(user).await.unwrap().unwrap();
    let person = stored.person.unwrap();
    assert_eq!((person.phone, person.first_name.as_str()), (None, "mbali"));
}

#[tokio::test]
async fn m3_a_match_by_phone_beside_a_free_email_needs_the_handle_of_a_lookup() {
    let stage = Stage::new().await;
    stage.world.person(stage.world.borealis, "mbali", Some(PHONE), UserState::Active).await;
    let found = stage.lookup("free@people.example", PHONE).await;
    assert_eq!(found.outcome(), LookupOutcome::Found);
    assert_eq!(found.matched_by[0].kind(), v1::ContactKind::Phone);
    let fails = |e, handle: &'static str| save(e, "free@people.example", PHONE, handle);
    stage.refused(fails(Expectation::Create, ""), Code::FailedPrecondition, "EXPECTATION_FAILED").await;
    stage.refused(fails(Expectation::Either, ""), Code::FailedPrecondition, "MATCH_HANDLE_REQUIRED").await;
    stage.refused(fails(Expectation::Link, ""), Code::FailedPrecondition, "MATCH_HANDLE_REQUIRED").await;
    stage.refused(fails(Expectation::Link, "forged"), Code::InvalidArgument, "MATCH_HANDLE_INVALID").await;
    let linked = stage.saved(save(Expectation::Link, "free@people.example", PHONE, &found.match_handle)).await;
    assert_eq!(linked.outcome(), v1::AssignOutcome::LinkedExternal);
}

#[tokio::test]
async fn m4_a_match_by_both_is_linked() {
    let stage = Stage::new().await;
    stage.world.person(stage.world.borealis, "mbali", Some(PHONE), UserState::Active).await;
    let found = stage.lookup("mbali@people.example", PHONE).await;
    assert_eq!((found.outcome(), found.matched_by.len()), (LookupOutcome::Found, 2));
    stage.saved(save(Expectation::Link, "mbali@people.example", PHONE, "")).await;
}

#[tokio::test]
async fn m5_email_of_one_and_phone_of_another_change_nothing_and_show_neither() {
    let stage = Stage::new().await;
    stage.world.person(stage.world.borealis, "mbali", None, UserState::Active).await;
    stage.world.person(stage.world.borealis, "jonas", Some(PHONE), UserState::Active).await;
    let found = stage.lookup("mbali@people.example", PHONE).await;
    assert_eq!(found.outcome(), LookupOutcome::ConflictingMatch);
    assert!(found.display.is_empty() && found.matched_by.is_empty());
    for expectation in [Expectation::Create, Expectation::Link, Expectation::Either] {
        let save = save(expectation, "mbali@people.example", PHONE, "");
        stage.refused(save, Code::FailedPrecondition, "CONFLICTING_MATCH").await;
    }
}

#[tokio::test]
async fn m6_a_match_by_phone_alone_is_linked_with_the_handle() {
    let stage = Stage::new().await;
    stage.world.person(stage.world.borealis, "mbali", Some(PHONE), UserState::Active).await;
    // National form would be read with Acme's region; this is the international one with other spelling.
    let found = stage.lookup("", "+36 (20) 123-4567").await;
    assert_eq!(found.outcome(), LookupOutcome::Found);
    stage.refused(save(Expectation::Link, "", PHONE, ""), Code::FailedPrecondition, "MATCH_HANDLE_REQUIRED").await;
    stage.world.clock.advance(Duration::from_mins(10));
    let late = save(Expectation::Link, "", PHONE, &found.match_handle);
    stage.refused(late, Code::FailedPrecondition, "MATCH_HANDLE_EXPIRED").await;
    let again = stage.lookup("", PHONE).await;
    stage.saved(save(Expectation::Link, "", PHONE, &again.match_handle)).await;
}

#[tokio::test]
async fn m7_a_member_stays_as_they_are_and_is_not_told_again() {
    let stage = Stage::new().await;
    let people = [("active", ExternalState::Active, "ACTIVE"), ("review", ExternalState::Review, "REVIEW")];
    for (name, state, word) in people {
        let user = stage.world.person(stage.world.borealis, name, None, UserState::Active).await;
        stage.world.external(user, state, None).await;
        let email = format!("{name}@people.example");
        let found = stage.lookup(&email, "").await;
        assert_eq!(
            (found.outcome(), found.member_kind()),
            (LookupOutcome::AlreadyMember, v1::MembershipKind::External)
        );
        let facts = [("kind", "EXTERNAL"), ("state", word)];
        let either = save(Expectation::Either, &email, "", "");
        stage.refused_with(either, Code::AlreadyExists, "ALREADY_MEMBER", &facts).await;
    }
    let own = stage.lookup("dana@acme.example", "").await;
    assert_eq!((own.outcome(), own.member_kind()), (LookupOutcome::AlreadyMember, v1::MembershipKind::Internal));
}

#[tokio::test]
async fn m8_a_suspended_member_is_reactivated_not_linked() {
    let stage = Stage::new().await;
    let user = stage.world.person(stage.world.borealis, "ext", None, UserState::Active).await;
    stage.world.external(user, ExternalState::Suspended, None).await;
    stage.world.person(stage.world.acme, "own", None, UserState::Suspended).await;
    for (email, kind) in [("ext@people.example", "EXTERNAL"), ("own@people.example", "INTERNAL")] {
        assert_eq!(stage.lookup(email, "").await.outcome(), LookupOutcome::MemberSuspended);
        let (either, facts) = (save(Expectation::Either, email, "", ""), [("kind", kind), ("state", "SUSPENDED")]);
        stage.refused_with(either, Code::FailedPrecondition, "MEMBER_SUSPENDED", &facts).await;
    }
}

#[tokio::test]
async fn m9_a_former_member_gets_a_new_membership_without_the_old_roles() {
    let stage = Stage::new().await;
    let past = stage.world.clock.now_plus(1);
    let gone = stage.world.person(stage.world.borealis, "gone", None, UserState::Active).await;
    stage.world.former(gone, EndReason::Unlinked).await;
    let overdue = stage.world.person(stage.world.borealis, "stale", None, UserState::Active).await;
    stage.world.external(overdue, ExternalState::Active, Some(past)).await;
    stage.world.clock.advance(Duration::from_secs(2));
    for email in ["gone@people.example", "stale@people.example"] {
        assert_eq!(stage.lookup(email, "").await.outcome(), LookupOutcome::FormerMember, "{email}");
        stage.refused(save(Expectation::Create, email, "", ""), Code::FailedPrecondition, "FORMER_MEMBER").await;
        let linked = stage.saved(save(Expectation::Link, email, "", "")).await;
        assert_eq!(linked.outcome(), v1::AssignOutcome::LinkedExternal);
        assert!(linked.membership.unwrap().roles.is_empty());
    }
    // The stale row was ended in the same unit, with its event.
    let ended = stage.world.ports.directory.events(stage.world.acme.workspace, zero(), 100).await.unwrap();
    let expired = ended.iter().filter(|e| format!("{:?}", e.body).contains("Expired")).count();
    assert_eq!(expired, 1);

    // Who left by choice is asked.
    let left = stage.world.person(stage.world.borealis, "left", None, UserState::Active).await;
    stage.world.former(left, EndReason::Left).await;
    let asked = stage.saved(save(Expectation::Link, "left@people.example", "", "")).await;
    assert_eq!(asked.outcome(), v1::AssignOutcome::LinkPending);
}

#[tokio::test]
async fn m10_a_deactivated_account_of_this_home_is_reactivated_not_created() {
    let stage = Stage::new().await;
    stage.world.person(stage.world.acme, "own", None, UserState::Deactivated).await;
    assert_eq!(stage.lookup("own@people.example", "").await.outcome(), LookupOutcome::HomeUserInactive);
    for expectation in [Expectation::Create, Expectation::Link, Expectation::Either] {
        let save = save(expectation, "own@people.example", "", "");
        let facts = [("kind", "INTERNAL"), ("state", "DEACTIVATED")];
        stage.refused_with(save, Code::FailedPrecondition, "HOME_USER_INACTIVE", &facts).await;
    }
}

#[tokio::test]
async fn m11_an_account_that_its_home_switched_off_cannot_be_linked_and_the_reason_stays_there() {
    let stage = Stage::new().await;
    for (name, state) in [("suspended", UserState::Suspended), ("deactivated", UserState::Deactivated)] {
        stage.world.person(stage.world.borealis, name, None, state).await;
        let email = format!("{name}@people.example");
        let found = stage.lookup(&email, "").await;
        assert_eq!((found.outcome(), found.display.as_str()), (LookupOutcome::NotLinkable, ""));
        stage.refused(save(Expectation::Link, &email, "", ""), Code::FailedPrecondition, "NOT_LINKABLE").await;
    }
}

#[tokio::test]
async fn m12_a_closed_host_needs_a_relationship_and_a_closed_home_lets_nobody_go() {
    for (column, outcome, reason) in [
        ("inbound", LookupOutcome::RelationshipRequired, "RELATIONSHIP_REQUIRED"),
        ("outbound", LookupOutcome::NotLinkable, "NOT_LINKABLE"),
    ] {
        for openness in ["RELATED_ONLY", "CLOSED"] {
            let stage = Stage::new().await;
            stage.world.person(stage.world.borealis, "mbali", None, UserState::Active).await;
            stage.sql(&format!("UPDATE workspaces SET {column} = '{openness}'")).await;
            assert_eq!(stage.lookup("mbali@people.example", "").await.outcome(), outcome, "{column} {openness}");
            let save = save(Expectation::Link, "mbali@people.example", "", "");
            stage.refused(save, Code::FailedPrecondition, reason).await;
        }
    }
}

#[tokio::test]
async fn m13_a_held_contact_is_kept_from_others_until_it_is_over() {
    let stage = Stage::new().await;
    let until = BEGINNING.after(Duration::from_hours(1)).as_micros();
    for (email, home) in [("ours@people.example", "acme"), ("theirs@people.example", "borealis")] {
        stage
            .sql(&format!(
                "INSERT INTO contacts (kind, match_key, former_home, held_until) \
                 SELECT 'EMAIL', '{email}', id, {until} FROM workspaces WHERE handle = '{home}'"
            ))
            .await;
    }
    for (email, outcome, reason) in [
        ("ours@people.example", LookupOutcome::ContactReserved, "CONTACT_RESERVED"),
        ("theirs@people.example", LookupOutcome::NotLinkable, "NOT_LINKABLE"),
    ] {
        assert_eq!(stage.lookup(email, "").await.outcome(), outcome);
        stage.refused(save(Expectation::Create, email, "", ""), Code::FailedPrecondition, reason).await;
    }
    stage.world.clock.advance(Duration::from_hours(1));
    stage.saved(save(Expectation::Create, "theirs@people.example", "", "")).await;
}

#[tokio::test]
async fn m14_who_was_asked_is_not_asked_again_until_that_lapses() {
    let stage = Stage::new().await;
    let user = stage.world.person(stage.world.borealis, "asked", None, UserState::Active).await;
    stage.world.external(user, ExternalState::Pending, None).await;
    assert_eq!(stage.lookup("asked@people.example", "").await.outcome(), LookupOutcome::MemberPending);
    let link = save(Expectation::Link, "asked@people.example", "", "");
    let facts = [("kind", "EXTERNAL"), ("state", "PENDING")];
    stage.refused_with(link, Code::FailedPrecondition, "MEMBER_PENDING", &facts).await;
    stage.world.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(stage.lookup("asked@people.example", "").await.outcome(), LookupOutcome::FormerMember);
    stage.saved(link).await;
}

#[tokio::test]
async fn an_address_in_a_domain_of_another_workspace_is_not_created() {
    let stage = Stage::new().await;
    stage
        .sql("INSERT INTO workspace_domains (domain, workspace_id) SELECT 'borealis.example', id FROM workspaces WHERE handle = 'borealis'")
        .await;
    assert_eq!(stage.lookup("new@borealis.example", "").await.outcome(), LookupOutcome::NotLinkable);
    let save = save(Expectation::Create, "new@borealis.example", "", "");
    stage.refused(save, Code::FailedPrecondition, "NOT_LINKABLE").await;
}

#[tokio::test]
async fn whoever_has_no_right_learns_nothing_of_what_exists() {
    let stage = Stage::new().await;
    let stranger = stage.world.person(stage.world.borealis, "stranger", None, UserState::Active).await;
    let client = stage.world.connect(Some(stranger)).await;
    let mut seen = Vec::new();
    for workspace in ["acme", "nowhere", "01900000-0000-7000-8000-00000000ffff"] {
        let before = stage.store.statements();
        let request =
            v1::LookupUserRequest { workspace: workspace.into(), email: "a@b.example".into(), phone: String::new() };
        let error = client.lookup_user(request).await.unwrap_err();
        let lookup = (error.code, error.reason, error.message, error.metadata, stage.store.statements() - before);
        let before = stage.store.statements();
        let request = v1::AssignUserRequest { workspace: workspace.into(), ..v1::AssignUserRequest::default() };
        let error = client.assign_user(request).await.unwrap_err();
        seen.push((
            lookup,
            (error.code, error.reason, error.message, error.metadata, stage.store.statements() - before),
        ));
    }
    assert_eq!(seen[0].0.0, Code::PermissionDenied);
    assert!(seen.iter().all(|row| *row == seen[0]), "{seen:#?}");
}

#[tokio::test]
async fn every_violation_is_answered_at_once_with_its_field() {
    let stage = Stage::new().await;
    let before = unaudited(&stage.store).await;
    let request = v1::AssignUserRequest {
        workspace: "acme".into(),
        request_id: "x".into(),
        expectation: Expectation::Create.into(),
        email: "nobody".into(),
        phone: "12".into(),
        profile: Some(v1::Profile { first_name: "http://x".into(), ..v1::Profile::default() }),
        internal: Some(v1::InternalGrants { roles: vec!["nope".into()], permissions: vec!["no.such".into()] }),
        ..v1::AssignUserRequest::default()
    };
    let error = stage.client.assign_user(request).await.unwrap_err();
    let mut fields: Vec<&str> = error.violations.iter().map(|(field, _)| field.as_str()).collect();
    fields.sort_unstable();
    let expected = [
        "email",
        "internal.permissions[0]",
        "internal.roles[0]",
        "phone",
        "profile.first_name",
        "profile.last_name",
        "profile.preferred_language",
        "profile.username",
        "request_id",
    ];
    assert_eq!(fields, expected);
    let phone = error.violations.iter().find(|(field, _)| field == "phone").unwrap();
    assert!(phone.1.contains("US") && phone.1.contains("+1"), "{}", phone.1);
    assert_eq!(unaudited(&stage.store).await, before);
}

#[tokio::test]
async fn a_role_above_the_ceiling_refuses_the_whole_request_and_is_named() {
    let stage = Stage::new().await;
    stage.world.person(stage.world.borealis, "mbali", None, UserState::Active).await;
    let before = unaudited(&stage.store).await;
    let link = |roles: &[&str]| v1::AssignUserRequest {
        workspace: "acme".into(),
        request_id: stage.world.ports.ids.uuid().to_string(),
        expectation: Expectation::Link.into(),
        email: "mbali@people.example".into(),
        external: Some(v1::ExternalGrants {
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
            ..v1::ExternalGrants::default()
        }),
        ..v1::AssignUserRequest::default()
    };
    for above in ["member", "access-manager"] {
        let error = stage.client.assign_user(link(&["guest", above])).await.unwrap_err();
        assert_eq!((error.code, error.reason.as_str()), (Code::FailedPrecondition, "ROLE_ABOVE_CEILING"));
        assert_eq!(error.metadata["above_ceiling"], above);
    }
    assert_eq!(unaudited(&stage.store).await, before);
    stage.client.assign_user(link(&["guest"])).await.unwrap();
}

#[tokio::test]
async fn one_request_id_has_one_effect_and_another_body_is_refused() {
    let stage = Stage::new().await;
    let request = v1::AssignUserRequest {
        workspace: "acme".into(),
        request_id: stage.world.ports.ids.uuid().to_string(),
        expectation: Expectation::Create.into(),
        email: "new@people.example".into(),
        profile: Some(v1::Profile {
            first_name: "New".into(),
            last_name: "Person".into(),
            username: "new".into(),
            preferred_language: "en".into(),
        }),
        ..v1::AssignUserRequest::default()
    };
    let first = stage.client.assign_user(request.clone()).await.unwrap();
    let dump = unaudited(&stage.store).await;
    assert_eq!(stage.client.assign_user(request.clone()).await.unwrap(), first);
    let other = v1::AssignUserRequest { email: "other@people.example".into(), ..request };
    let error = stage.client.assign_user(other).await.unwrap_err();
    assert_eq!(error.reason, "REQUEST_ID_REUSED");
    assert_eq!(unaudited(&stage.store).await, dump);
}

impl Stage {
    /// Changes the file directly, for states that no call reaches yet.
    async fn sql(&self, statement: &str) {
        let url = format!("sqlite://{}", self.folder.path().join("d.db").display());
        let connection = sea_orm::Database::connect(url).await.unwrap();
        connection.execute_unprepared(statement).await.unwrap();
        connection.close().await.unwrap();
    }
}

fn zero() -> domicile_domain::model::time::Revision {
    domicile_domain::model::time::Revision::from_stored(0)
}

trait NowPlus {
    fn now_plus(&self, seconds: u64) -> domicile_domain::model::time::Timestamp;
}

impl NowPlus for domicile_testkit::clock::FixedClock {
    fn now_plus(&self, seconds: u64) -> domicile_domain::model::time::Timestamp {
        domicile_domain::port::runtime::Clock::now(self).after(Duration::from_secs(seconds))
    }
}
