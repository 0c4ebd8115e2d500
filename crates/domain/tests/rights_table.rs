//! Who may do what, over every call of the product: actors by calls by places, computed from the use cases and compared with
//! a text that anybody can read. A new call is in it as soon as it has its row in `reach.rs`, without which it fails there.

use std::fmt::Write;

use domicile_domain::error::Refusal;
use domicile_domain::model::actor::{ActingUser, Actor, Means, ScopeReach, ServicePrincipal, ServiceScope};
use domicile_domain::model::membership::{ExternalMembership, ExternalState};
use domicile_domain::model::permission::PermissionName;
use domicile_domain::model::user::{User, UserState};
use domicile_domain::usecase::Call;
use domicile_testkit::builders::{internal, minute, user, with_role, workspace};

use crate::reach::{Stage, methods};
use crate::support::{World, in_state, service_call};

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rights.txt");

const INTRODUCTION: &str = "\
Who may do what, each call by itself.

Acme is the workspace where most of it happens; Dana manages it, and Nora is a member without any right.
Borealis has an active relationship with Acme: it is the home of Acme's Externals, and Lena manages it.
Umbrella has nothing to do with either. Nowhere is no workspace.

acme       the call is made in Acme, about Nora where it is about somebody
  themself the call is made in Acme, about the one who calls
borealis, umbrella, nowhere   the call is made there, about Nora

yes is done; anything else is a refusal with its reason, and no is the refusal that tells nothing: the same whether or not
there is such a workspace. - has no meaning: a service is nobody.

This text is computed from the product. To write it anew:
DOMICILE_WRITE_DOCS=1 cargo test -p domicile-domain --all-features rights_table
";

/// Everybody who calls, one row each.
const ACTORS: [&str; 27] = [
    "qualifying manager",
    "Internal with create alone",
    "Internal with update alone",
    "Internal without rights",
    "External, active",
    "External, pending",
    "External, suspended",
    "External, in review",
    "External, expired",
    "External manager, policy off",
    "External manager, policy on",
    "manager of Borealis",
    "suspended manager",
    "deactivated manager",
    "erased person",
    "person nobody knows",
    "service without scopes",
    "service: access.check",
    "service: access.subjects",
    "service: members.read",
    "service: events.read",
    "service: permissions.register",
    "service: notices.report",
    "service: workspaces.create",
    "service: access.check elsewhere",
    "operator",
    "operator naming a manager",
];

/// In which workspace the call is made, and whether it is about the caller.
const PLACES: [(&str, bool); 5] =
    [("acme", false), ("acme", true), ("borealis", false), ("umbrella", false), ("nowhere", false)];

/// Acme and its neighbours, with the External managers' policy on or off. Acme's agreement with Borealis admits its managers.
async fn world(external_managers: bool) -> World {
    let world = World::with(|plan| plan.acme.policy.external_managers = external_managers).await;
    world.put(&[workspace("umbrella").into()]).await;
    world
}

/// The person of a row, who is there from then on; absent for services.
async fn person(world: &World, actor: &str) -> Option<User> {
    let holder = async |permissions: &[PermissionName]| world.colleague("actor", permissions).await;
    let external = async |change: &dyn Fn(&mut ExternalMembership)| world.visitor("actor", change).await;
    let in_acme = async |state: UserState| {
        let actor = in_state(user(world.acme.id, "actor"), state);
        world.put(&[(&actor).into(), with_role(internal(&actor), &world.governor).into()]).await;
        actor
    };
    let governor = world.governor.id;
    let found = match actor {
        "qualifying manager" => world.dana.clone(),
        "manager of Borealis" => world.lena.clone(),
        "Internal with create alone" => holder(&[PermissionName::create()]).await,
        "Internal with update alone" => holder(&[PermissionName::update()]).await,
        "Internal without rights" => holder(&[]).await,
        "External, active" => external(&|_| {}).await,
        "External, pending" => external(&|visit| visit.state = ExternalState::Pending).await,
        "External, suspended" => external(&|visit| visit.state = ExternalState::Suspended).await,
        "External, in review" => external(&|visit| visit.state = ExternalState::Review).await,
        "External, expired" => external(&|visit| visit.expires_at = Some(minute(0))).await,
        "External manager, policy off" | "External manager, policy on" => {
            external(&|visit| {
                visit.base.grants.roles.insert(governor);
            })
            .await
        }
        "suspended manager" => in_acme(UserState::Suspended).await,
        "deactivated manager" => in_acme(UserState::Deactivated).await,
        "erased person" => {
            let actor = in_state(user(world.acme.id, "actor"), UserState::Erased);
            world.put(&[(&actor).into()]).await;
            actor
        }
        "person nobody knows" => user(world.acme.id, "actor"),
        _ => return None,
    };
    Some(found)
}

fn service_of(actor: &str) -> ServicePrincipal {
    let scoped = |scope: &str| {
        let scope =
            if scope == "permissions.register" { "permissions.register:orders.".to_owned() } else { scope.to_owned() };
        let scope: ServiceScope = scope.parse().unwrap();
        ServicePrincipal::new("scoped").with_scope(scope, ScopeReach::Everywhere)
    };
    match actor.strip_prefix("service: ") {
        Some("access.check elsewhere") => {
            let elsewhere = ScopeReach::Workspaces(["umbrella".parse().unwrap()].into());
            ServicePrincipal::new("scoped").with_scope(ServiceScope::AccessCheck, elsewhere)
        }
        Some(scope) => scoped(scope),
        None => ServicePrincipal { operator: actor.starts_with("operator"), ..ServicePrincipal::new("plain") },
    }
}

/// One call in a world of its own; `None` if it has no meaning.
async fn cell(method: &str, actor: &str, (place, themself): (&str, bool)) -> Option<String> {
    let world = world(actor == "External manager, policy on").await;
    let person = person(&world, actor).await;
    let service = service_of(actor);
    let caller = match (&person, actor) {
        (Some(person), _) => Actor::person(service, person.id),
        (None, "operator naming a manager") => {
            Actor { service, user: Some(ActingUser { id: world.dana.id, means: Means::OwnToken }) }
        }
        (None, _) => Actor::service(service),
    };
    let nora = world.colleague("nora", &[]).await;
    // Of somebody who is nowhere there is nothing to ask.
    let about = if themself { person.filter(|_| actor != "person nobody knows")? } else { nora };
    let stage = Stage::about(world, about).await;
    Some(outcome(stage.act(method, &Call { actor: caller, ..service_call() }, place).await))
}

fn outcome(answer: Result<(), Refusal>) -> String {
    match answer.map_err(|refusal| refusal.reason.as_str()) {
        Ok(()) => "yes".to_owned(),
        Err("PERMISSION_DENIED") => "no".to_owned(),
        Err(reason) => reason.to_lowercase().replace('_', " "),
    }
}

async fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    for method in methods() {
        let mut rows = Vec::new();
        for actor in ACTORS {
            let mut cells = Vec::new();
            for place in PLACES {
                cells.push(cell(method, actor, place).await.unwrap_or_else(|| "-".to_owned()));
            }
            rows.push((actor, cells));
        }
        let head = ["acme", "  themself", "borealis", "umbrella", "nowhere"].map(ToOwned::to_owned).to_vec();
        rows.insert(0, ("", head));
        let width = |column: usize| rows.iter().map(|(_, cells)| cells[column].len()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..PLACES.len()).map(width).collect();
        write!(text, "\n{}\n", method.replace('_', " ")).unwrap();
        for (actor, cells) in rows {
            let cells: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let cells = cells.join("  ");
            writeln!(text, "{}", format!("  {actor:<31}  {cells}").trim_end()).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn everybody_may_what_the_text_says() {
    let text = text().await;
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(TEXT, &text).unwrap();
    }
    let written = std::fs::read_to_string(TEXT).unwrap();
    for (number, (now, then)) in text.lines().zip(written.lines()).enumerate() {
        assert_eq!(now, then, "line {} of tests/golden/rights.txt", number + 1);
    }
    assert_eq!(text, written, "tests/golden/rights.txt has other rows");
}

/// A scope without a row would be a scope of which nobody knows what it opens.
#[test]
fn every_scope_has_a_row() {
    let all = "not a scope".parse::<ServiceScope>().unwrap_err().to_string();
    for actor in ACTORS.iter().filter_map(|actor| actor.strip_prefix("service: ")) {
        let scope = actor.trim_end_matches(" elsewhere");
        assert!(all.contains(scope), "{scope} is no scope");
    }
    let words =
        all.split([' ', ',', ';']).filter(|word| word.contains('.')).map(|word| word.trim_end_matches(":PREFIX"));
    for scope in words {
        assert!(ACTORS.contains(&format!("service: {scope}").as_str()), "{scope} has no row");
    }
}
