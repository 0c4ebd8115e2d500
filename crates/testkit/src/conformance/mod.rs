//! What every store must do, one function for each sentence of its contract.
//!
//! To run it on a store: implement [`Harness`] and [`Subject`], and write
//! `domicile_testkit::conformance_suite!(MyHarness);` in a test file of its crate. A store whose server may be absent adds
//! a condition: `domicile_testkit::conformance_suite!(MyHarness, if server_is_there());`.

pub mod budgets;
pub mod checks;
pub mod groups;
pub mod histories;
pub mod memberships;
pub mod notices;
pub mod races;
pub mod records;
pub mod relationships;
pub mod roles;
pub mod units;
pub mod users;
pub mod workspaces;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use domicile_domain::model::contact::ContactKey;
use domicile_domain::model::id::{UserId, WorkspaceId};
use domicile_domain::model::time::Timestamp;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::store::{Constraint, Store, StoreError, UnitOfWork};

use crate::seed::{PATIENCE, Row, seed, try_seed};

/// Makes stores to test.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A store of its own, with the governance rights in its catalogue and nothing else.
    async fn fresh(&self) -> Box<dyn Subject>;

    /// Called when a function of the suite is through: panics where a store that was made holds two facts that contradict each
    /// other. A store that holds each fact once has nothing to look at.
    async fn agree(&self) {}
}

/// A store under test, with what the ports do not offer.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The write side.
    fn store(&self) -> Arc<dyn Store>;
    /// The read side of the same store.
    fn directory(&self) -> Arc<dyn Directory>;
    /// Every committed row of every table as text, sorted.
    async fn dump(&self) -> BTreeMap<String, Vec<String>>;
    /// Keeps a contact from others until an instant, as erasing an account will.
    async fn hold_contact(&self, key: &ContactKey, former_home: WorkspaceId, until: Timestamp);
    /// Makes the next read of that user in a unit fail: by a row that cannot be, or by an injected error.
    async fn break_user(&self, user: UserId);
}

#[track_caller]
pub(crate) fn good<T>(answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| panic!("the store answered: {error}"))
}

pub(crate) async fn begin(subject: &dyn Subject) -> Box<dyn UnitOfWork> {
    good(subject.store().begin(PATIENCE).await)
}

pub(crate) async fn put(subject: &dyn Subject, rows: &[Row]) {
    seed(&*subject.store(), rows).await;
}

/// The rows cannot be put, for that reason.
pub(crate) async fn refused(subject: &dyn Subject, row: Row, error: StoreError) {
    let before = subject.dump().await;
    let answer = try_seed(&*subject.store(), std::slice::from_ref(&row)).await;
    assert_eq!(answer, Err(error), "{row:?}");
    assert_eq!(subject.dump().await, before, "a refused row left something behind");
}

/// One of the two is put, not both, whether they come one after the other or at once.
pub(crate) async fn exclude(subject: &dyn Subject, first: Row, second: Row, constraint: Constraint) {
    let (a, b) = (subject.store(), subject.store());
    let at_once = tokio::join!(
        tokio::spawn(async move { try_seed(&*a, &[first]).await }),
        tokio::spawn({
            let second = second.clone();
            async move { try_seed(&*b, &[second]).await }
        })
    );
    let at_once = [at_once.0.expect("no panic"), at_once.1.expect("no panic")];
    let won = at_once.iter().filter(|answer| answer.is_ok()).count();
    let lost = at_once.iter().filter(|answer| **answer == Err(StoreError::Conflict(constraint))).count();
    assert_eq!((won, lost), (1, 1), "{constraint:?}: {at_once:?}");
}

/// Makes a `#[tokio::test]` of each function of the suite, for the harness of a store.
#[macro_export]
macro_rules! conformance_suite {
    ($harness:expr) => {
        $crate::conformance_suite!($harness, if true);
    };
    ($harness:expr, if $there:expr) => {
        $crate::conformance_suite!(@tests $harness; $there;
            units {
                commit_makes_all_of_it_visible, nothing_is_visible_before_commit, rollback_takes_everything_back,
                a_dropped_unit_is_rolled_back, a_unit_sees_its_own_writes, a_failed_write_poisons, a_failed_read_poisons,
                a_stale_row_poisons, revisions_are_taken_one_by_one, what_is_read_after_the_revision_stays,
            }
            users {
                every_field_and_state_comes_back, contacts_have_owners, contacts_are_unique, usernames_are_unique_at_home,
                held_contacts_come_free, holding_proves_the_version, identities_are_bound_once,
                changes_are_counted_at_their_version, contacts_are_verified, identities_come_back_in_order,
                identities_are_taken_from_their_user_alone,
            }
            workspaces {
                every_field_and_state_of_a_workspace_comes_back, handles_of_workspaces_are_unique, revisions_count,
                domains_have_owners, roles_come_back_by_handle, handles_of_roles_are_unique_in_a_workspace,
                permissions_are_registered_once, relationships_come_back_while_live, one_live_relationship_for_a_pair,
                relationships_are_replaced_at_their_version,
            }
            memberships {
                every_field_and_state_of_an_external_comes_back, every_field_of_an_internal_comes_back,
                one_live_membership_each, one_internal_membership_each, no_internal_outside_the_home,
                external_ids_are_unique_in_a_workspace, ended_memberships_go_to_the_history,
                ending_needs_the_live_version, access_facts_of_every_shape, checks_are_answered_in_order,
                facts_follow_revisions, members_are_paged,
            }
            groups {
                groups_come_back, groups_have_their_keys, groups_are_replaced_at_their_version,
                people_join_and_leave_groups, what_groups_carry_counts, who_ends_leaves_the_groups,
                workspaces_are_replaced_at_their_version, externals_are_counted, workspaces_are_listed,
                the_default_reaches_whom_no_agreement_keeps_from_it,
            }
            notices {
                every_field_and_state_comes_back, leases_keep_others_away_and_run_out, leases_taken_at_once_are_apart,
                leases_take_the_oldest_first,
                only_waiting_notices_are_leased, replacing_needs_the_version_and_frees_the_lease,
                texts_and_attempts_are_kept, notices_are_paged_for_both_sides,
            }
            races {
                two_managers_create_one_person, two_workspaces_create_one_person,
                two_workspaces_take_one_person_either_way, two_managers_link_one_person,
                rights_that_are_lost_mid_call_do_not_serve, rights_that_are_being_lost_do_not_serve,
                one_request_id_has_one_effect, a_request_that_comes_while_the_first_is_at_work_gets_its_answer,
                one_stranger_twice_is_bound_once, two_strangers_of_one_issuer_are_not_one_person,
                two_managers_demote_each_other, a_role_edit_and_a_resignation_leave_a_manager,
                two_replace_the_roles_of_one_member,
            }
            roles {
                grants_are_replaced_at_their_version, roles_are_replaced_at_their_version,
                a_deleted_role_is_taken_from_everywhere, entries_of_the_catalogue_are_replaced, the_catalogue_is_paged,
            }
            relationships {
                relationships_are_read_by_id, relationships_are_paged_by_side_and_state, what_was_agreed_last_decides,
                externals_of_a_home_come_with_their_facts, two_proposals_at_once_are_one,
                two_sides_that_change_at_once_both_do, a_link_never_outruns_a_narrower_ceiling,
                a_deleted_role_tells_every_home, a_role_is_deleted_while_its_homes_change,
            }
            records {
                audit_rows_come_back_newest_first, events_come_back_in_order, answers_come_back,
                one_answer_for_a_request,
            }
            budgets {
                counters_roll_over_in_place, counters_are_apart, refusals_are_no_probes,
                what_is_rolled_back_is_not_counted, counts_at_once_are_apart, a_persons_budget_is_exact_at_once,
                a_shared_budget_is_kept_at_once,
            }
            checks {
                many_facts_are_those_of_each, grantees_are_paged, governors_are_internals_with_a_right,
            }
            histories {
                no_history_lifts_anybody_above_the_ceiling, histories_catch_a_broken_rule,
                no_history_leaves_a_workspace_without_a_manager,
            }
        );
    };
    (@tests $harness:expr; $there:expr; $($module:ident { $($name:ident),+ $(,)? })+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $there {
                    let harness = $harness;
                    $crate::conformance::$module::$name(&harness).await;
                    $crate::conformance::Harness::agree(&harness).await;
                }
            })+
        })+
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_macro_forgets_no_function() {
        let listed = include_str!("mod.rs");
        let sources = [
            include_str!("units.rs"),
            include_str!("users.rs"),
            include_str!("workspaces.rs"),
            include_str!("memberships.rs"),
            include_str!("groups.rs"),
            include_str!("notices.rs"),
            include_str!("races.rs"),
            include_str!("records.rs"),
            include_str!("relationships.rs"),
            include_str!("budgets.rs"),
            include_str!("checks.rs"),
            include_str!("histories.rs"),
            include_str!("roles.rs"),
        ];
        let names: Vec<&str> = sources
            .iter()
            .flat_map(|source| source.lines())
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .collect();
        assert!(names.len() > 40);
        for name in names {
            assert!(listed.contains(&format!("{name},")), "{name} is not in the macro");
        }
    }
}
