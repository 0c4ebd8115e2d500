//! Messages: what becomes of one that is due, by its own state and by what it meets.

use std::sync::Arc;

use domicile_domain::model::membership::{EndReason, ExternalState};
use domicile_domain::model::notice::{Notice, NoticeKind, NoticeState};
use domicile_domain::model::user::{User, UserState};
use domicile_domain::model::workspace::{Workspace, WorkspaceState};
use domicile_domain::port::directory::Directory;
use domicile_domain::port::notifier::{DeliveryError, Trouble};
use domicile_domain::usecase::Dispatcher;
use domicile_testkit::builders::{NOW, external, internal, language, notice, user};
use domicile_testkit::gateway::RecordingGateway;
use domicile_testkit::writer::PlainWriter;

use super::table::{Table, words};
use super::{visitor, world};
use crate::support::{World, in_state};

/// What became of a notice after one round of the dispatcher.
async fn after_a_round(world: &World, notice: &Notice, answer: Option<DeliveryError>) -> String {
    world.put(&[notice.into()]).await;
    let gateway = Arc::new(RecordingGateway::new());
    if let Some(error) = answer {
        gateway.answer(Err(error));
    }
    let dispatcher = Dispatcher::new(world.ports.clone(), Arc::new(PlainWriter), gateway.clone(), language("en"));
    for due in dispatcher.take_due(8).await.unwrap() {
        dispatcher.deliver(due).await.unwrap();
    }
    let after = world.store.notice(notice.id).await.unwrap().unwrap().notice.state;
    if after == notice.state && gateway.handed().is_empty() { "stays".to_owned() } else { words(after) }
}

/// Somebody from Borealis who is External in Acme until 30 days from now, and a message about that, due now.
async fn due(world: &World, account: UserState, state: ExternalState, kind: NoticeKind) -> (User, Notice) {
    let person = visitor(world, account, |membership| {
        membership.state = state;
        membership.expires_at = Some(NOW.after(Workspace::PENDING_FOR));
    })
    .await;
    let membership = world.external(person.id).await.base.id;
    let due = Notice { kind, workspace: world.acme.id, membership, ..notice(&person) };
    (person, due)
}

/// Each state of a message, and what it meets when it is due.
pub(super) async fn notices() -> [Table; 3] {
    let note = "A message that is due. Only one that waits is sent, and the provider's answer decides.";
    let columns = ["message", "the provider takes it", "refuses for now", "refuses our set-up", "refuses for good"];
    let troubles = [Trouble::Transient, Trouble::Misconfigured, Trouble::Permanent];
    let answers = troubles.map(|trouble| Some(DeliveryError::new(trouble, "reason", "words")));
    let mut states = Table::new("11. A message", note, &columns);
    for state in NoticeState::ALL {
        let mut row = vec![words(state)];
        for answer in [None].iter().chain(&answers) {
            let world = world().await;
            let (_, due) = due(&world, UserState::Active, ExternalState::Active, NoticeKind::AccessGranted).await;
            row.push(after_a_round(&world, &Notice { state, ..due }, answer.clone()).await);
        }
        states.row(row);
    }
    let kinds = NoticeKind::ALL.map(words);
    let columns: Vec<&str> = ["account"].into_iter().chain(kinds.iter().map(String::as_str)).collect();
    let note = "What a message tells must still be so when it is sent.";
    let mut accounts = Table::new("12. A message and the account", note, &columns);
    for state in UserState::ALL {
        let mut row = vec![words(state)];
        for kind in NoticeKind::ALL {
            let world = world().await;
            let (_, due) = due(&world, state, ExternalState::Active, kind).await;
            row.push(after_a_round(&world, &due, None).await);
        }
        accounts.row(row);
    }
    [states, accounts, told_of_memberships().await]
}

/// Whoever lives in Acme hears of their account, which is their membership too.
pub(super) async fn onboarding() -> Table {
    let states = WorkspaceState::ALL.map(|state| format!("Acme is {}", words(state)));
    let columns: Vec<&str> = ["account"].into_iter().chain(states.iter().map(String::as_str)).collect();
    let note = "The message with which somebody is welcomed at home.";
    let mut table = Table::new("18. The onboarding of an Internal", note, &columns);
    for account in UserState::ALL {
        let mut row = vec![words(account)];
        for state in WorkspaceState::ALL {
            let world = World::with(|plan| plan.acme.state = state).await;
            let own = in_state(user(world.acme.id, "own"), account);
            let membership = internal(&own);
            let due = Notice {
                kind: NoticeKind::Onboarding,
                workspace: world.acme.id,
                membership: membership.base.id,
                ..notice(&own)
            };
            let rows = [(&own).into(), membership.into()];
            // Erasing ends the Internal membership too.
            world.put(&rows[..if account == UserState::Erased { 1 } else { 2 }]).await;
            row.push(after_a_round(&world, &due, None).await);
        }
        table.row(row);
    }
    table
}

/// The message and what it tells of: the life of the membership, its state, and the workspaces.
async fn told_of_memberships() -> Table {
    let kinds = NoticeKind::ALL.map(words);
    let columns: Vec<&str> = ["what it tells of"].into_iter().chain(kinds.iter().map(String::as_str)).collect();
    let note = "The message tells of one life of a membership. Another one begins with a message of its own.";
    let mut table = Table::new("13. A message and what it tells of", note, &columns);
    for (name, begins) in [("the membership ended", false), ("the membership ended, and another began", true)] {
        let mut row = vec![name.to_owned()];
        for kind in NoticeKind::ALL {
            let world = world().await;
            let (person, due) = due(&world, UserState::Active, ExternalState::Active, kind).await;
            world.end(&person, EndReason::Unlinked).await;
            if begins {
                world.put(&[external(&person, world.acme.id).into()]).await;
            }
            row.push(after_a_round(&world, &due, None).await);
        }
        table.row(row);
    }
    for state in ExternalState::ALL {
        for (when, now) in [("", NOW), (", over", NOW.after(Workspace::PENDING_FOR))] {
            let mut row = vec![format!("the membership is {}{when}", words(state))];
            for kind in NoticeKind::ALL {
                let world = world().await;
                let (_, due) = due(&world, UserState::Active, state, kind).await;
                let due = Notice { created_at: now, ..due };
                world.clock.set(now);
                row.push(after_a_round(&world, &due, None).await);
            }
            table.row(row);
        }
    }
    for (who, of_acme) in [("Acme", true), ("Borealis", false)] {
        for state in WorkspaceState::ALL {
            let mut row = vec![format!("{who} is {}", words(state))];
            for kind in NoticeKind::ALL {
                let world =
                    World::with(|plan| if of_acme { plan.acme.state = state } else { plan.borealis.state = state })
                        .await;
                let (_, due) = due(&world, UserState::Active, ExternalState::Active, kind).await;
                row.push(after_a_round(&world, &due, None).await);
            }
            table.row(row);
        }
    }
    table
}
