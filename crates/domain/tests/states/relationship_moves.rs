//! Relationships, and every move of either side.

use domicile_domain::model::relationship::{
    HomeTerms, HostTerms, RelationshipMoveError, RelationshipState, Side, Terms, WorkspaceRelationship,
};
use domicile_domain::model::time::Timestamp;
use domicile_testkit::builders::{NOW, id, relationship};

use super::table::{Table, words};

/// Terms of a side.
fn terms(side: Side) -> Terms {
    match side {
        Side::Host => Terms::Host(HostTerms::default()),
        Side::Home => Terms::Home(HomeTerms { allows_host: true, ..HomeTerms::default() }),
    }
}

/// The terms with which the side that was asked says yes.
pub(super) fn approval(of: &WorkspaceRelationship) -> Terms {
    terms(of.proposed_by_side.other())
}

/// What became of it.
pub(super) fn moved(
    answer: Result<(), RelationshipMoveError>,
    after: &WorkspaceRelationship,
    now: Timestamp,
) -> String {
    let suspended = match (after.suspended_by_host, after.suspended_by_home) {
        (false, false) => "",
        (true, false) => ", suspended by the host",
        (false, true) => ", suspended by the home",
        (true, true) => ", suspended by both",
    };
    answer.map_or_else(|error| format!("no: {}", words(error)), |()| words(after.state_at(now)) + suspended)
}

type Move = fn(&mut WorkspaceRelationship, Side, Timestamp) -> Result<(), RelationshipMoveError>;

const MOVES: [(&str, Move); 6] = [
    ("approve", |of, side, now| of.approve(id(), terms(side), now)),
    ("decline", |of, side, now| of.decline(id(), side, now)),
    ("change the own terms", |of, side, now| of.change_terms(terms(side), now)),
    ("suspend", |of, side, _| of.suspend(side)),
    ("resume", |of, side, _| of.resume(side)),
    ("end", |of, side, now| of.end(side, now)),
];

/// Every state and every move of either side. A refused move changes nothing.
pub(super) fn moves() -> Table {
    use RelationshipState::{Active, Declined, Ended, Lapsed, Proposed};

    let note = "The host proposed. Each row is what a side does to a relationship in the state of the column, and what it is\n\
                then. A proposal lapses at the instant at which it is 14 days old.";
    let last = NOW.after(WorkspaceRelationship::PROPOSED_FOR);
    let before_last = Timestamp::from_micros(last.as_micros() - 1);
    let at = |state, now, host, home| {
        let mut of = relationship(id(), id());
        (of.state, of.suspended_by_host, of.suspended_by_home) = (state, host, home);
        if state == RelationshipState::Proposed {
            (of.answered_by, of.answered_at) = (None, None);
        }
        (of, now)
    };
    let states = [
        ("proposed", at(Proposed, NOW, false, false)),
        ("proposed, at the last moment", at(Proposed, before_last, false, false)),
        ("proposed 14 days ago", at(Proposed, last, false, false)),
        ("active", at(Active, last, false, false)),
        ("active, suspended by the host", at(Active, NOW, true, false)),
        ("active, suspended by the home", at(Active, NOW, false, true)),
        ("active, suspended by both", at(Active, NOW, true, true)),
        ("declined", at(Declined, NOW, false, false)),
        ("lapsed", at(Lapsed, NOW, false, false)),
        ("ended", at(Ended, NOW, false, false)),
        ("ended while suspended", at(Ended, NOW, true, false)),
    ];
    let head: Vec<&str> = ["move"].into_iter().chain(states.iter().map(|(name, _)| *name)).collect();
    let mut table = Table::new("15. Every move of a relationship", note, &head);
    for (name, make) in MOVES {
        for side in Side::ALL {
            let cells = states.iter().map(|(_, (before, now))| {
                let mut after = before.clone();
                let answer = make(&mut after, side, *now);
                assert!(answer.is_ok() || after == *before, "a refused move changed something");
                assert_eq!(
                    after.version != before.version,
                    after != *before,
                    "a change is counted, and nothing else is"
                );
                moved(answer, &after, *now)
            });
            let who = format!("the {} would {name}", words(side));
            table.row([who].into_iter().chain(cells));
        }
    }
    table
}
