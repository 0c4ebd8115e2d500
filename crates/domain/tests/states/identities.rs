//! Accounts, and what makes an identity theirs.

use domicile_domain::error::Refusal;
use domicile_domain::model::actor::ScopeReach;
use domicile_domain::model::user::{Identity, User, UserState};
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::authenticator::{Caller, PersonClaim};
use domicile_domain::usecase::{Arrival, DomicileApi};
use domicile_testkit::builders::{email, external, internal, minute, user};

use super::refused;
use super::table::{Table, words};
use crate::support::{IdentityChange, World, call, in_state, mail, request, service};

fn identity(subject: &str) -> Identity {
    Identity { issuer: "https://login.example".to_owned(), subject: subject.to_owned() }
}

fn told<T>(answer: Result<T, Refusal>, done: &str) -> String {
    answer.map_or_else(|refusal| refused(&refusal), |_| done.to_owned())
}

/// A token of an issuer that is trusted for a workspace.
async fn seen(world: &World, trusted: &Workspace) -> String {
    let claim = PersonClaim::Proven {
        identity: identity("1"),
        own: true,
        verified_email: Some(email(&mail("nora"))),
        trusted_for: Some(ScopeReach::Workspaces([WorkspaceRef::Id(trusted.id)].into())),
    };
    let arrival = Arrival { deadline: minute(60), correlation_id: "states".to_owned(), surface: "embedded" };
    told(world.domicile.identify(Caller { service: service(), person: Some(claim) }, &arrival).await, "bound")
}

/// Nora in a state, at home in Acme and External in Borealis.
async fn nora(state: UserState, bound: Option<&str>) -> (World, User) {
    let world = World::new().await;
    let nora = in_state(user(world.acme.id, "nora"), state);
    world.put(&[(&nora).into()]).await;
    // Erasing ends every membership.
    if state != UserState::Erased {
        world.put(&[internal(&nora).into(), external(&nora, world.borealis.id).into()]).await;
    }
    if let Some(subject) = bound {
        world.put(&[(nora.id, identity(subject)).into()]).await;
    }
    (world, nora)
}

fn change(workspace: &Workspace, nora: &User) -> IdentityChange {
    IdentityChange {
        workspace: workspace.handle.to_string(),
        request: request(),
        user: nora.id.to_string(),
        identity: identity("1"),
        validate_only: false,
    }
}

pub(super) async fn identities() -> Table {
    let note = "Nora is at home in Acme and External in Borealis. A token shows subject 1 at an issuer that is trusted for the\n\
                workspace of the column, with the email that is hers. A manager binds the same subject, or takes it away.";
    let columns = [
        "account",
        "token, trusted for Acme",
        "token, trusted for Borealis",
        "token, subject 2 is bound",
        "a manager of Acme binds",
        "a manager of Borealis binds",
        "bind, subject 1 is bound",
        "unbind, subject 1 is bound",
        "unbind, subject 2 is bound",
    ];
    let mut table = Table::new("14. An identity", note, &columns);
    for state in UserState::ALL {
        let mut cells = vec![words(state)];
        let (world, _) = nora(state, None).await;
        cells.push(seen(&world, &world.acme).await);
        let (world, _) = nora(state, None).await;
        cells.push(seen(&world, &world.borealis).await);
        let (world, _) = nora(state, Some("2")).await;
        cells.push(seen(&world, &world.acme).await);
        let (world, person) = nora(state, None).await;
        let bound = world
            .domicile
            .bind_identity(
                &call(&world.dana),
                &change(&world.acme, &person).order(),
                &change(&world.acme, &person).change(),
            )
            .await;
        cells.push(told(bound, "bound"));
        let (world, person) = nora(state, None).await;
        let bound = world
            .domicile
            .bind_identity(
                &call(&world.lena),
                &change(&world.borealis, &person).order(),
                &change(&world.borealis, &person).change(),
            )
            .await;
        cells.push(told(bound, "bound"));
        let (world, person) = nora(state, Some("1")).await;
        let bound = world
            .domicile
            .bind_identity(
                &call(&world.dana),
                &change(&world.acme, &person).order(),
                &change(&world.acme, &person).change(),
            )
            .await;
        cells.push(told(bound, "bound"));
        for subject in ["1", "2"] {
            let (world, person) = nora(state, Some(subject)).await;
            let taken = world
                .domicile
                .unbind_identity(
                    &call(&world.dana),
                    &change(&world.acme, &person).order(),
                    &change(&world.acme, &person).change(),
                )
                .await;
            cells.push(told(taken, "unbound"));
        }
        table.row(cells);
    }
    table
}
