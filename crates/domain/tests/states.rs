//! Every state and what every move does in it, computed from the code and compared with a text that anybody can read.
//!
//! `DOMICILE_WRITE_DOCS=1 cargo test -p domicile-domain --all-features states` writes the text anew.

mod identities;
mod notices;
mod relationship_moves;
mod roles_groups;
mod table;

use domicile_domain::error::Refusal;
use domicile_domain::model::answer::AssignOutcome;
use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::email::MailDomain;
use domicile_domain::model::membership::{AllowedAction, EndReason, ExternalMembership, ExternalState};
use domicile_domain::model::notice::{NoticeKind, NoticeState};
use domicile_domain::model::relationship::{RelationshipState, WorkspaceRelationship};
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{Openness, Workspace, WorkspaceState};
use domicile_domain::policy::access::Denial;
use domicile_domain::policy::resolver::LookupOutcome;
use domicile_domain::usecase::{
    AccessAnswer, AssignReply, AssignUser, Consistency, CreateWorkspace, DomicileApi, Expectation, ExternalInput,
};
use domicile_testkit::builders::{NOW, email, external, id, internal, minute, relationship, user, with_role};

use identities::identities;
use notices::{notices, onboarding};
use relationship_moves::{approval, moved, moves};
use roles_groups::{group_moves, role_moves};
use table::{Table, words};

use crate::support::{PHONE, Plan, World, call, cobalt, in_state, mail, roles, save_as, service_call, with_phone};

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/states.txt");
const RIGHT: &str = "orders.read";

const HEAD: &str = "\
Every state, and what every move does in it
===========================================

Acme is the workspace where it happens: Dana manages it. Borealis is another workspace.
A search is by the email of the person of the row. A save says CREATE, LINK or EITHER;
a new workspace names that person as its first manager.
The check asks whether that person, who was given a role with one right in Acme, has that right now.
\"no\" is a refusal with its reason; a refusal changes nothing.

This text is computed from the product. To write it anew:
DOMICILE_WRITE_DOCS=1 cargo test -p domicile-domain --all-features states
";

fn refused(refusal: &Refusal) -> String {
    format!("no: {}", refusal.reason.as_str().to_lowercase().replace('_', " "))
}

fn outcome(of: LookupOutcome) -> String {
    of.as_str().to_lowercase().replace('_', " ")
}

const fn done(of: AssignOutcome) -> &'static str {
    match of {
        AssignOutcome::CreatedInternal => "created",
        AssignOutcome::LinkedExternal => "linked",
        AssignOutcome::LinkPending => "asked first",
    }
}

fn saved(answer: Result<AssignReply, Refusal>) -> String {
    answer.map_or_else(|refusal| refused(&refusal), |reply| done(reply.outcome).to_owned())
}

fn checked(answer: Result<AccessAnswer, Refusal>) -> String {
    match answer.map(|answer| answer.decision) {
        Ok(Ok(())) => "allowed".to_owned(),
        Ok(Err(denial)) => format!("denied: {}", words(denial)),
        Err(refusal) => refused(&refusal),
    }
}

fn listed(actions: &[AllowedAction]) -> String {
    if actions.is_empty() { "nothing".to_owned() } else { actions.iter().map(words).collect::<Vec<_>>().join(", ") }
}

/// Externals may have the role `reader` unless a relationship says otherwise.
fn generous(plan: &mut Plan) {
    plan.acme.policy.default_ceiling.roles.insert(plan.reader.id);
}

async fn world() -> World {
    World::with(generous).await
}

/// What a search, the three saves, and a new workspace with this first manager answer. All but the search are rehearsed, so
/// that none changes what the next one meets.
async fn found_and_saved(world: &World, name: &str, phone: &str) -> [String; 5] {
    let found = world.lookup(&mail(name), phone).await.map(|found| found.outcome);
    let saves = Expectation::ALL.map(|expectation| AssignUser {
        phone: phone.to_owned(),
        validate_only: true,
        ..save_as(expectation, name)
    });
    let [create, link, either] = saves;
    let new = CreateWorkspace { validate_only: true, manager_phone: phone.to_owned(), ..cobalt(name) };
    let founded = world.domicile.create_workspace(&service_call(), &new).await;
    [
        found.map_or_else(|refusal| refused(&refusal), outcome),
        saved(world.assign(&create).await),
        saved(world.assign(&link).await),
        saved(world.assign(&either).await),
        founded.map_or_else(|refusal| refused(&refusal), |_| "created".to_owned()),
    ]
}

const MOVES: [&str; 5] = ["search", "save CREATE", "save LINK", "save EITHER", "new workspace"];

fn head<'a>(first: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [first].into_iter().chain(MOVES).chain(rest.iter().copied()).collect()
}

fn cells(first: impl Into<String>, moves: [String; 5], rest: impl IntoIterator<Item = String>) -> Vec<String> {
    [first.into()].into_iter().chain(moves).chain(rest).collect()
}

/// Adds somebody from Borealis in a state of the account, External in Acme with the role.
async fn visitor(world: &World, state: UserState, change: impl FnOnce(&mut ExternalMembership)) -> User {
    let person = in_state(user(world.borealis.id, "visitor"), state);
    let mut membership = external(&person, world.acme.id);
    membership.base.grants.roles.insert(world.reader.id);
    change(&mut membership);
    world.put(&[(&person).into(), internal(&person).into(), membership.into()]).await;
    person
}

async fn contacts() -> Table {
    let note = "Nobody is a member here yet. M1 to M6 and M13 of docs/RULES.md.";
    let mut table = Table::new("1. Contacts", note, &head("whose the contacts are", &[]));
    let domain = || MailDomain::parse("mail.example").unwrap();
    let key = || ContactKey::from(&email(&mail("x")));

    let free = world().await;
    table.row(cells("nobody's", found_and_saved(&free, "x", PHONE).await, []));
    free.store.hold_contact(key(), free.acme.id, minute(1));
    table.row(cells("nobody's, kept for Acme", found_and_saved(&free, "x", "").await, []));
    free.store.hold_contact(key(), free.borealis.id, minute(1));
    table.row(cells("nobody's, kept for Borealis", found_and_saved(&free, "x", "").await, []));
    free.clock.set(minute(1));
    table.row(cells("nobody's, kept until now", found_and_saved(&free, "x", "").await, []));
    let theirs = World::with(|plan| plan.borealis.verified_domains.extend([domain()])).await;
    table.row(cells("nobody's, in a domain of Borealis", found_and_saved(&theirs, "x", "").await, []));
    let ours = World::with(|plan| plan.acme.verified_domains.extend([domain()])).await;
    table.row(cells("nobody's, in a domain of Acme", found_and_saved(&ours, "x", "").await, []));

    let one = world().await;
    one.account(with_phone(user(one.borealis.id, "anna"), PHONE)).await;
    table.row(cells("email and phone one person's", found_and_saved(&one, "anna", PHONE).await, []));
    table.row(cells("email one person's, phone nobody's", found_and_saved(&one, "anna", "+36309999999").await, []));
    table.row(cells("phone one person's, email nobody's", found_and_saved(&one, "x", PHONE).await, []));
    one.stranger("ben").await;
    table.row(cells("email one person's, phone another's", found_and_saved(&one, "ben", PHONE).await, []));
    table
}

async fn accounts() -> [Table; 3] {
    let first = "account";
    let note =
        "The home is Acme, so the person is Internal. An erased account is a tombstone: nobody has its contacts.";
    let rest = ["check", "a manager of Acme may"];
    let at_home = ["check", "check of a right not given", "a manager of Acme may"];
    let mut here = Table::new("2. An account at home", note, &head(first, &at_home));
    let note = "The home is Borealis, and the person was never in Acme.";
    let mut elsewhere = Table::new("3. An account elsewhere", note, &head(first, &["check"]));
    let note = "The home is Borealis, and the person is External in Acme. Its causes stay with the home.";
    let mut linked = Table::new("4. An account elsewhere that is External here", note, &head(first, &rest));
    for state in UserState::ALL {
        let world = world().await;
        let own = in_state(user(world.acme.id, "own"), state);
        let membership = internal(&own);
        let actions = listed(&membership.allowed_actions(state));
        // Erasing ends the Internal membership too.
        let rows = [(&own).into(), with_role(membership, &world.reader).into()];
        world.put(&rows[..if state == UserState::Erased { 1 } else { 2 }]).await;
        let check = checked(world.check(own.id, RIGHT).await);
        let other = checked(world.check(own.id, "orders.write").await);
        here.row(cells(words(state), found_and_saved(&world, "own", "").await, [check, other, actions]));

        let away = world.account(in_state(user(world.borealis.id, "away"), state)).await;
        let check = checked(world.check(away.id, RIGHT).await);
        elsewhere.row(cells(words(state), found_and_saved(&world, "away", "").await, [check]));

        let person = visitor(&world, state, |_| {}).await;
        let actions = listed(&world.external(person.id).await.allowed_actions(NOW));
        let check = checked(world.check(person.id, RIGHT).await);
        linked.row(cells(words(state), found_and_saved(&world, "visitor", "").await, [check, actions]));
    }
    [here, elsewhere, linked]
}

async fn memberships() -> [Table; 2] {
    let note = "At the very instant of its end a membership is over. Who is asked may answer for 30 days.";
    let rest = ["check", "shown as", "is over", "a manager of Acme may"];
    let mut live = Table::new("5. An External membership", note, &head("membership", &rest));
    let last_moment = |end: Timestamp| Timestamp::from_micros(end.as_micros() - 1);
    let waits = NOW.after(Workspace::PENDING_FOR);
    let times = [
        ("", NOW, None),
        (", a moment before its end", last_moment(minute(1)), Some(minute(1))),
        (", at its end", minute(1), Some(minute(1))),
        (", a moment before 30 days", last_moment(waits), None),
        (", after 30 days", waits, None),
    ];
    for state in ExternalState::ALL {
        for (when, now, end) in times {
            let world = world().await;
            let person = visitor(&world, UserState::Active, |membership| {
                membership.state = state;
                membership.expires_at = end;
            })
            .await;
            world.clock.set(now);
            let membership = world.external(person.id).await;
            let (dana, user) = (call(&world.dana), person.id.to_string());
            let view = world.domicile.get_membership(&dana, "acme", &user, &Consistency::default()).await.unwrap();
            assert_eq!(view.allowed_actions, membership.allowed_actions(now));
            let over = membership.is_over(now).map_or_else(|| "-".to_owned(), words);
            let check = checked(world.check(person.id, RIGHT).await);
            let rest = [check, words(view.state), over, listed(&view.allowed_actions)];
            live.row(cells(format!("{}{when}", words(state)), found_and_saved(&world, "visitor", "").await, rest));
        }
    }
    let note =
        "The person was External in Acme. Who said no, or never said yes, is asked before a new membership begins.";
    let mut ended = Table::new("6. A membership that ended", note, &head("why it ended", &["check"]));
    for reason in EndReason::ALL {
        let world = world().await;
        let person = visitor(&world, UserState::Active, |_| {}).await;
        world.end(&person, reason).await;
        let check = checked(world.check(person.id, RIGHT).await);
        ended.row(cells(words(reason), found_and_saved(&world, "visitor", "").await, [check]));
    }
    [live, ended]
}

async fn workspaces() -> [Table; 3] {
    let first = "Acme";
    let note = "Its people are switched off with it. The person of the row is somebody from Borealis.";
    let rest = ["check of an Internal", "check of an External"];
    let mut host = Table::new("7. A workspace as the place", note, &head(first, &rest));
    let note = "The person of the row lives there. One is new to Acme, the other External there already.";
    let mut home = Table::new("8. A workspace as the home", note, &head("Borealis", &["check of an External"]));
    for state in WorkspaceState::ALL {
        for (table, of_acme) in [(&mut host, true), (&mut home, false)] {
            let world = World::with(|plan| {
                generous(plan);
                if of_acme { plan.acme.state = state } else { plan.borealis.state = state }
            })
            .await;
            world.stranger("away").await;
            let person = visitor(&world, UserState::Active, |_| {}).await;
            let of_dana = of_acme.then_some(checked(world.check(world.dana.id, "domicile.update").await));
            let check = checked(world.check(person.id, RIGHT).await);
            let rest: Vec<String> = of_dana.into_iter().chain([check]).collect();
            table.row(cells(words(state), found_and_saved(&world, "away", "").await, rest));
        }
    }
    let note = "Acme may be closed to people of others, Borealis may keep its people from others.\n\
                Related is who has an active relationship that neither side suspended.";
    let mut doors = Table::new("9. Open and closed doors", note, &head("door", &["check of an External"]));
    for openness in Openness::ALL {
        for (door, of_acme) in [("Acme takes", true), ("Borealis lets go", false)] {
            for (relation, related, suspended) in
                [("no relationship", false, false), ("related", true, false), ("suspended", true, true)]
            {
                let world = World::with(|plan| {
                    generous(plan);
                    let policy = if of_acme { &mut plan.acme.policy } else { &mut plan.borealis.policy };
                    if of_acme { policy.inbound = openness } else { policy.outbound = openness }
                })
                .await;
                let mut terms = relationship(world.acme.id, world.borealis.id);
                terms.host_terms.ceiling.roles.insert(world.reader.id);
                terms.suspended_by_home = suspended;
                if related {
                    world.put(&[terms.into()]).await;
                }
                world.stranger("away").await;
                let person = visitor(&world, UserState::Active, |_| {}).await;
                let check = checked(world.check(person.id, RIGHT).await);
                let name = format!("{door}: {}, {relation}", words(openness));
                doors.row(cells(name, found_and_saved(&world, "away", "").await, [check]));
            }
        }
    }
    [host, home, doors]
}

/// What the relationship does; `None` is none at all.
async fn relationship_row(terms: Option<&WorkspaceRelationship>, world: &World) -> Vec<String> {
    let approve = |by_other: bool, now: Timestamp| {
        terms.map_or_else(
            || "-".to_owned(),
            |terms| {
                let mut terms = terms.clone();
                let by = if by_other { id() } else { terms.proposed_by };
                moved(terms.approve(by, approval(&terms), now), &terms, now)
            },
        )
    };
    if let Some(terms) = terms {
        world.put(&[terms.into()]).await;
    }
    world.stranger("away").await;
    let person = visitor(world, UserState::Active, |_| {}).await;
    let guest = world.visitor("guest", |membership| {
        membership.base.grants.permissions.insert(domicile_testkit::builders::permission_name("orders.write"));
    });
    let guest = guest.await;
    let asks = |role: &str| AssignUser {
        external: ExternalInput { grants: roles(&[role]), ..ExternalInput::default() },
        validate_only: true,
        ..save_as(Expectation::Link, "away")
    };
    let late = NOW.after(WorkspaceRelationship::PROPOSED_FOR);
    vec![
        terms.map_or_else(|| "-".to_owned(), |terms| if terms.is_in_force() { "yes" } else { "no" }.to_owned()),
        approve(true, NOW),
        approve(false, NOW),
        approve(true, late),
        checked(world.check(person.id, RIGHT).await),
        checked(world.check(guest.id, "orders.write").await),
        saved(world.assign(&AssignUser { external: ExternalInput::default(), ..asks("reader") }).await),
        saved(world.assign(&asks("reader")).await),
        saved(world.assign(&asks("guest")).await),
    ]
}

async fn relationships() -> Table {
    let note = "Acme is the host, Borealis the home. The relationship's ceiling is the role reader, and its terms ask for\n\
                acceptance; the ceiling without one is the role guest and the right orders.write.";
    let columns = [
        "relationship",
        "suspended by",
        "in force",
        "another approves",
        "the proposer approves",
        "approved after 14 days",
        "check: in its ceiling",
        "check: in the default ceiling",
        "link without a role",
        "link with reader",
        "link with guest",
    ];
    let mut table = Table::new("10. A relationship", note, &columns);
    let fresh = || {
        World::with(|plan| {
            plan.acme
                .policy
                .default_ceiling
                .permissions
                .extend([domicile_testkit::builders::permission_name("orders.write")]);
        })
    };
    let unrelated = relationship_row(None, &fresh().await).await;
    table.row(["none".to_owned(), "-".to_owned()].into_iter().chain(unrelated));
    for state in RelationshipState::ALL {
        for (by, host, home) in
            [("nobody", false, false), ("host", true, false), ("home", false, true), ("both", true, true)]
        {
            let world = fresh().await;
            let mut terms = relationship(world.acme.id, world.borealis.id);
            terms.host_terms.ceiling.roles.insert(world.reader.id);
            terms.home_terms.acceptance = true;
            (terms.state, terms.suspended_by_host, terms.suspended_by_home) = (state, host, home);
            let row = relationship_row(Some(&terms), &world).await;
            table.row([words(state), by.to_owned()].into_iter().chain(row));
        }
    }
    table
}

/// How many variants an enum has in its source.
fn variants(source: &str, name: &str) -> usize {
    let body = source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
    body.lines()
        .filter(|line| line.starts_with("    ") && line.trim_start().starts_with(|c: char| c.is_uppercase()))
        .count()
}

/// A state that is added is in no row before it is in `ALL`; this finds it.
#[test]
fn no_state_is_forgotten() {
    let (user, membership, notice) = (
        include_str!("../src/model/user.rs"),
        include_str!("../src/model/membership.rs"),
        include_str!("../src/model/notice.rs"),
    );
    let (workspace, relationship) =
        (include_str!("../src/model/workspace.rs"), include_str!("../src/model/relationship.rs"));
    let notice_states = variants(notice, "NoticeState") - 1 + variants(notice, "NotSent");
    let counted = [
        ("UserState", variants(user, "UserState"), UserState::ALL.len()),
        ("ExternalState", variants(membership, "ExternalState"), ExternalState::ALL.len()),
        ("EndReason", variants(membership, "EndReason"), EndReason::ALL.len()),
        ("WorkspaceState", variants(workspace, "WorkspaceState"), WorkspaceState::ALL.len()),
        ("Openness", variants(workspace, "Openness"), Openness::ALL.len()),
        ("RelationshipState", variants(relationship, "RelationshipState"), RelationshipState::ALL.len()),
        ("NoticeState", notice_states, NoticeState::ALL.len()),
        ("NoticeKind", variants(notice, "NoticeKind"), NoticeKind::ALL.len()),
        ("Expectation", variants(include_str!("../src/usecase/api/member.rs"), "Expectation"), Expectation::ALL.len()),
        ("Denial", variants(include_str!("../src/policy/access.rs"), "Denial"), Denial::ALL.len()),
        ("AssignOutcome", variants(include_str!("../src/model/answer.rs"), "AssignOutcome"), AssignOutcome::ALL.len()),
        (
            "LookupOutcome",
            variants(include_str!("../src/policy/resolver.rs"), "LookupOutcome"),
            LookupOutcome::ALL.len(),
        ),
    ];
    for (name, in_source, in_all) in counted {
        assert!(in_source > 2 && in_source == in_all, "{name} has {in_source} variants and {in_all} in ALL");
    }
}

#[tokio::test]
async fn every_state_does_to_every_move_what_the_text_says() {
    let mut tables = vec![contacts().await];
    tables.extend(accounts().await);
    tables.extend(memberships().await);
    tables.extend(workspaces().await);
    tables.push(relationships().await);
    tables.extend(Box::pin(notices()).await);
    tables.push(Box::pin(identities()).await);
    tables.push(moves());
    tables.push(Box::pin(role_moves()).await);
    tables.push(Box::pin(group_moves()).await);
    tables.push(Box::pin(onboarding()).await);
    let text = HEAD.to_owned() + &tables.iter().map(Table::render).collect::<String>();
    // The tables reach every answer there is.
    for answer in LookupOutcome::ALL.map(outcome) {
        assert!(text.contains(&answer), "no row is answered {answer}");
    }
    for answer in Denial::ALL.map(|denial| format!("denied: {}", words(denial))) {
        assert!(text.contains(&answer), "no row is answered {answer}");
    }
    for answer in AssignOutcome::ALL.map(done) {
        assert!(text.contains(answer), "no row is answered {answer}");
    }
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(TEXT, &text).unwrap();
    }
    let written = std::fs::read_to_string(TEXT).unwrap();
    for (number, (now, then)) in text.lines().zip(written.lines()).enumerate() {
        assert_eq!(now, then, "line {} of tests/golden/states.txt", number + 1);
    }
    assert_eq!(text, written, "tests/golden/states.txt has other rows");
}
