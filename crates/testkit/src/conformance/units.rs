//! The contract of a unit of work.

use std::time::Duration;

use domicile_domain::model::id::UserId;
use domicile_domain::model::membership::Membership;
use domicile_domain::model::time::{Revision, Version};
use domicile_domain::model::user::User;
use domicile_domain::model::workspace::{Workspace, WorkspaceRef};
use domicile_domain::port::store::{Constraint, Store, StoreError, UnitOfWork};

use super::{Harness, Subject, begin, good, put};
use crate::builders::{internal, user, workspace};
use crate::seed::PATIENCE;

async fn write_both(tx: &mut dyn UnitOfWork, acme: &Workspace, anna: &User) {
    good(tx.users().insert(anna).await);
    good(tx.memberships().insert(&Membership::Internal(internal(anna))).await);
    good(tx.workspaces().take_revision(&WorkspaceRef::Id(acme.id)).await);
}

async fn world(subject: &dyn Subject) -> (Workspace, User) {
    let acme = workspace("acme");
    put(subject, &[(&acme).into()]).await;
    let anna = user(acme.id, "anna");
    (acme, anna)
}

/// Everything a unit wrote is there after `commit`, for units and for the directory.
pub async fn commit_makes_all_of_it_visible(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    good(tx.commit().await);
    assert_eq!(good(subject.directory().user(anna.id).await), Some(anna.clone()));
    assert!(good(subject.directory().member(acme.id, anna.id).await).is_some());
    let read = good(subject.directory().workspace(&WorkspaceRef::Id(acme.id)).await);
    assert_eq!(read.map(|w| w.revision), Some(acme.revision.next()));
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.users().find(anna.id).await), Some(anna));
    good(tx.rollback().await);
}

/// Others see nothing of an open unit: they see what was before, or wait.
pub async fn nothing_is_visible_before_commit(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    let directory = subject.directory();
    let seen = tokio::time::timeout(Duration::from_millis(200), directory.user(anna.id)).await;
    assert!(!matches!(seen, Ok(Ok(Some(_)))), "an open unit was read by others");
    let store = subject.store();
    if let Ok(Ok(mut other)) = tokio::time::timeout(Duration::from_millis(200), store.begin(PATIENCE)).await {
        assert_eq!(good(other.users().find(anna.id).await), None);
        good(other.rollback().await);
    }
    good(tx.commit().await);
    assert_eq!(good(directory.user(anna.id).await), Some(anna));
}

/// A unit that was rolled back left nothing; the same unit committed leaves something.
pub async fn rollback_takes_everything_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    let before = subject.dump().await;
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    good(tx.rollback().await);
    assert_eq!(subject.dump().await, before);
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    good(tx.commit().await);
    assert_ne!(subject.dump().await, before);
}

/// A unit that was dropped left nothing and keeps nobody waiting.
pub async fn a_dropped_unit_is_rolled_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    let before = subject.dump().await;
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    drop(tx);
    assert_eq!(subject.dump().await, before);
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    good(tx.commit().await);
    assert_ne!(subject.dump().await, before);
}

/// A unit sees what it wrote.
pub async fn a_unit_sees_its_own_writes(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    let mut tx = begin(&*subject).await;
    write_both(&mut *tx, &acme, &anna).await;
    assert_eq!(good(tx.users().find(anna.id).await), Some(anna.clone()));
    assert!(good(tx.memberships().find(acme.id, anna.id).await).is_some());
    let next = good(tx.workspaces().take_revision(&WorkspaceRef::Id(acme.id)).await);
    assert_eq!(next, Some((acme.id, acme.revision.next().next())));
    good(tx.rollback().await);
}

/// In a poisoned unit everything answers so: reads, writes and `commit`; nothing of it is kept.
async fn is_poisoned(subject: &dyn Subject, mut tx: Box<dyn UnitOfWork>, acme: &Workspace, kept_out: UserId) {
    let poisoned = StoreError::Poisoned;
    assert_eq!(tx.users().find(kept_out).await, Err(poisoned.clone()));
    assert_eq!(tx.workspaces().take_revision(&WorkspaceRef::Id(acme.id)).await, Err(poisoned.clone()));
    assert_eq!(tx.users().insert(&user(acme.id, "cleo")).await, Err(poisoned.clone()));
    assert_eq!(tx.roles().of_workspace(acme.id).await, Err(poisoned.clone()));
    assert_eq!(tx.memberships().find(acme.id, kept_out).await, Err(poisoned.clone()));
    assert_eq!(tx.relationships().find(acme.id, acme.id).await, Err(poisoned.clone()));
    assert_eq!(tx.notices().find(crate::builders::id()).await, Err(poisoned.clone()));
    assert_eq!(tx.commit().await, Err(poisoned));
    assert_eq!(good(subject.directory().user(kept_out).await), None);
    // The next unit begins clean.
    let mut tx = begin(subject).await;
    good(tx.workspaces().take_revision(&WorkspaceRef::Id(acme.id)).await);
    good(tx.commit().await);
}

/// After a write that failed nothing can be done, and what was written before it is gone.
pub async fn a_failed_write_poisons(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    put(&*subject, &[(&anna).into()]).await;
    let ben = user(acme.id, "ben");
    let mut tx = begin(&*subject).await;
    good(tx.users().insert(&ben).await);
    let mut twin = user(acme.id, "twin");
    twin.person.clone_from(&anna.person);
    let answer = tx.users().insert(&twin).await;
    assert!(matches!(answer, Err(StoreError::Conflict(Constraint::Username | Constraint::ContactKey))), "{answer:?}");
    is_poisoned(&*subject, tx, &acme, ben.id).await;
}

/// So it is after a read that failed.
pub async fn a_failed_read_poisons(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    put(&*subject, &[(&anna).into()]).await;
    let ben = user(acme.id, "ben");
    let mut tx = begin(&*subject).await;
    good(tx.rollback().await);
    subject.break_user(anna.id).await;
    tx = begin(&*subject).await;
    let answer = tx.users().find(anna.id).await;
    assert!(answer.is_err(), "the broken row was read: {answer:?}");
    is_poisoned(&*subject, tx, &acme, ben.id).await;
}

/// So it is after a compare-and-set that found another version.
pub async fn a_stale_row_poisons(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    put(&*subject, &[(&anna).into()]).await;
    let ben = user(acme.id, "ben");
    let mut tx = begin(&*subject).await;
    good(tx.users().insert(&ben).await);
    assert_eq!(tx.users().hold(anna.id, Version::from_stored(7)).await, Err(StoreError::Stale));
    is_poisoned(&*subject, tx, &acme, ben.id).await;
}

/// Takes a revision, again after contention; answers what was taken and committed.
async fn count_one(store: &dyn Store, acme: &WorkspaceRef) -> Revision {
    for _ in 0..1000 {
        let mut tx = good(store.begin(PATIENCE).await);
        let taken = match tx.workspaces().take_revision(acme).await {
            Err(StoreError::Contention) => continue,
            taken => good(taken),
        };
        match tx.commit().await {
            Ok(()) => return taken.expect("the workspace is there").1,
            Err(StoreError::Contention) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("a unit lost a thousand races");
}

/// Units that write to one workspace at once get revisions of their own, without a gap.
pub async fn revisions_are_taken_one_by_one(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, _) = world(&*subject).await;
    let tasks = (0..8).map(|_| {
        let (store, acme) = (subject.store(), WorkspaceRef::Id(acme.id));
        tokio::spawn(async move { count_one(&*store, &acme).await })
    });
    let mut taken: Vec<i64> = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        taken.push(task.await.expect("no panic").as_i64());
    }
    taken.sort_unstable();
    assert_eq!(taken, (2..10).collect::<Vec<i64>>());
}

/// What a unit reads after it took the revision is still so when it commits, or it does not commit (C8).
pub async fn what_is_read_after_the_revision_stays(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (acme, anna) = world(&*subject).await;
    let manager = internal(&anna);
    put(&*subject, &[(&anna).into(), manager.clone().into()]).await;
    let reference = WorkspaceRef::Id(acme.id);

    let mut reader = begin(&*subject).await;
    good(reader.workspaces().take_revision(&reference).await);
    assert!(good(reader.memberships().find(acme.id, anna.id).await).is_some());
    let mut demotion = tokio::spawn({
        let (store, reference) = (subject.store(), reference.clone());
        async move {
            let mut tx = store.begin(PATIENCE).await?;
            tx.workspaces().take_revision(&reference).await?;
            let ended = super::memberships::ended(&manager.base, crate::builders::minute(1));
            tx.memberships().end(&ended, manager.base.version).await?;
            tx.commit().await
        }
    });
    // A store that takes turns keeps the demotion waiting for the reader; an optimistic one lets it go first.
    let went_first = tokio::time::timeout(Duration::from_millis(200), &mut demotion).await;
    good(reader.users().insert(&user(acme.id, "ben")).await);
    let committed = reader.commit().await;
    if let Ok(demoted) = went_first {
        assert_eq!((demoted.expect("no panic"), committed), (Ok(()), Err(StoreError::Contention)));
    } else {
        assert_eq!((committed, demotion.await.expect("no panic")), (Ok(()), Ok(())));
    }
}
