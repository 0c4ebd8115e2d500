//! Notices, their leases, texts and attempts.

use domicile_domain::model::id::NoticeId;
use domicile_domain::model::notice::{
    Attempt, AttemptClass, Channel, LanguageChoice, Message, NotSent, Notice, NoticeKind, NoticeState,
};
use domicile_domain::model::time::{Timestamp, Version};
use domicile_domain::model::user::User;
use domicile_domain::port::directory::NoticeRow;
use domicile_domain::port::store::StoreError;
use uuid::Uuid;

use super::{Harness, Subject, begin, good, put};
use crate::builders::{id, language, minute, notice, user, workspace};
use crate::seed::PATIENCE;

async fn anna(subject: &dyn Subject) -> User {
    let acme = workspace("acme");
    let anna = user(acme.id, "anna");
    put(subject, &[(&acme).into(), (&anna).into()]).await;
    anna
}

async fn leased(subject: &dyn Subject, now: Timestamp, until: Timestamp, limit: u32) -> Vec<NoticeId> {
    let mut tx = begin(subject).await;
    let leased = good(tx.notices().lease_due(now, until, limit).await);
    good(tx.commit().await);
    assert_eq!(leased.unreadable, []);
    leased.notices.into_iter().map(|notice| notice.id).collect()
}

async fn replace(subject: &dyn Subject, notice: &Notice, read_at: Version) -> Result<(), StoreError> {
    let mut tx = begin(subject).await;
    tx.notices().update(notice, read_at).await?;
    tx.commit().await
}

/// Every field of a notice comes back, in every state, kind, channel and choice of language.
pub async fn every_field_and_state_comes_back(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let host = workspace("host");
    put(&*subject, &[(&host).into()]).await;
    let choices = [
        None,
        Some(LanguageChoice::Membership),
        Some(LanguageChoice::Preferred),
        Some(LanguageChoice::HomeDefault),
        Some(LanguageChoice::InstanceDefault),
    ];
    let kinds = NoticeKind::ALL.into_iter().cycle();
    for ((state, kind), choice) in NoticeState::ALL.into_iter().zip(kinds).zip(choices.into_iter().cycle()) {
        let mut written = notice(&anna);
        (written.state, written.kind) = (state, kind);
        if let Some(choice) = choice {
            written.workspace = host.id;
            written.roles = vec![id(), id()];
            written.actor = Some(id());
            written.channel = Channel::Sms;
            "the gateway said \"no\"".clone_into(&mut written.reason);
            written.language_used = Some((language("de"), choice));
            written.due_at = None;
            written.attempts = 3;
            written.version = Version::from_stored(4);
        }
        put(&*subject, &[(&written).into()]).await;
        let mut tx = begin(&*subject).await;
        assert_eq!(good(tx.notices().find(written.id).await).as_ref(), Some(&written));
        good(tx.rollback().await);
        let row = NoticeRow { notice: written.clone(), message: None, attempts: vec![] };
        assert_eq!(good(subject.directory().notice(written.id).await), Some(row));
    }
    assert_eq!(good(subject.directory().notice(id()).await), None);
}

/// A leased notice is nobody else's until the lease runs out; then it is due again (C14).
pub async fn leases_keep_others_away_and_run_out(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let queued = notice(&anna);
    put(&*subject, &[(&queued).into()]).await;
    let mut tx = begin(&*subject).await;
    assert_eq!(good(tx.notices().lease_due(minute(0), minute(5), 10).await).notices, std::slice::from_ref(&queued));
    good(tx.rollback().await);
    assert_eq!(leased(&*subject, minute(0), minute(5), 10).await, [queued.id], "a lease rolled back is none");
    assert!(leased(&*subject, minute(4), minute(9), 10).await.is_empty(), "the lease still runs");
    assert_eq!(leased(&*subject, minute(5), minute(9), 10).await, [queued.id], "the lease ran out");
}

/// Of those who take leases at once each gets others, and together they get all.
pub async fn leases_taken_at_once_are_apart(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let queued: Vec<_> = (0..12).map(|_| notice(&anna)).collect();
    put(&*subject, &queued.iter().map(Into::into).collect::<Vec<_>>()).await;
    let takers = (0..4).map(|_| {
        let store = subject.store();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let mut tx = good(store.begin(PATIENCE).await);
                let taken = good(tx.notices().lease_due(minute(0), minute(5), 2).await).notices;
                match tx.commit().await {
                    Ok(()) if taken.is_empty() => return mine,
                    Ok(()) => mine.extend(taken.iter().map(|notice| notice.id)),
                    Err(StoreError::Contention) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(taker.await.expect("no panic"));
    }
    taken.sort_unstable();
    let mut all: Vec<_> = queued.iter().map(|notice| notice.id).collect();
    all.sort_unstable();
    assert_eq!(taken, all);
}

/// The oldest due come first, at most so many, and none before its time.
pub async fn leases_take_the_oldest_first(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let mut notices = Vec::new();
    for due in [3, 1, 2, 9] {
        let mut queued = notice(&anna);
        queued.due_at = Some(minute(due));
        put(&*subject, &[(&queued).into()]).await;
        notices.push(queued.id);
    }
    let [third, first, second, later] = notices.try_into().expect("four");
    assert_eq!(leased(&*subject, minute(3), minute(60), 2).await, [first, second]);
    assert_eq!(leased(&*subject, minute(3), minute(60), 2).await, [third]);
    assert_eq!(leased(&*subject, minute(9), minute(60), 2).await, [later]);
}

/// What the dispatcher is done with is not leased, and neither is what has no next attempt.
pub async fn only_waiting_notices_are_leased(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let mut waiting = Vec::new();
    for state in NoticeState::ALL {
        let mut written = notice(&anna);
        written.state = state;
        written.due_at = state.is_waiting().then(|| minute(0));
        put(&*subject, &[(&written).into()]).await;
        if state.is_waiting() {
            waiting.push(written.id);
        }
    }
    assert_eq!(leased(&*subject, minute(1), minute(5), 100).await, waiting);
}

/// A notice is replaced whole at the version that was read, which frees its lease; at another it is stale.
pub async fn replacing_needs_the_version_and_frees_the_lease(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let queued = notice(&anna);
    put(&*subject, &[(&queued).into()]).await;
    assert_eq!(leased(&*subject, minute(0), minute(60), 1).await, [queued.id]);
    let mut retrying = queued.clone();
    retrying.state = NoticeState::Retrying;
    "try again".clone_into(&mut retrying.reason);
    retrying.language_used = Some((language("en"), LanguageChoice::HomeDefault));
    retrying.due_at = Some(minute(2));
    retrying.attempts = 1;
    retrying.version = queued.version.next();
    good(replace(&*subject, &retrying, queued.version).await);
    let read = good(subject.directory().notice(queued.id).await).map(|row| row.notice);
    assert_eq!(read.as_ref(), Some(&retrying));
    assert_eq!(replace(&*subject, &queued, queued.version).await, Err(StoreError::Stale));
    let read = good(subject.directory().notice(queued.id).await).map(|row| row.notice);
    assert_eq!(read.as_ref(), Some(&retrying));
    assert_eq!(leased(&*subject, minute(2), minute(60), 1).await, [queued.id], "replacing frees the lease");
    let mut done = retrying.clone();
    (done.state, done.due_at, done.version) = (NoticeState::NotSent(NotSent::Held), None, retrying.version.next());
    good(replace(&*subject, &done, retrying.version).await);
    assert!(leased(&*subject, minute(90), minute(99), 1).await.is_empty());
}

/// A later text replaces an earlier one; attempts come in order with the provider's words.
pub async fn texts_and_attempts_are_kept(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let queued = notice(&anna);
    put(&*subject, &[(&queued).into()]).await;
    let message = |text: &str, html: Option<&str>| Message {
        to: "anna@mail.example".to_owned(),
        from: "Acme".to_owned(),
        reply_to: html.map(|_| "help@acme.example".to_owned()),
        language: language(if html.is_some() { "ar" } else { "pt-BR" }),
        subject: format!("About {text}"),
        text: text.to_owned(),
        html: html.map(ToOwned::to_owned),
    };
    let attempts: Vec<Attempt> = (1_u32..)
        .zip(AttemptClass::ALL)
        .map(|(number, class)| Attempt {
            number,
            at: minute(u64::from(number)),
            class,
            provider_words: format!("45{number} «no»\r\n"),
        })
        .collect();
    let mut tx = begin(&*subject).await;
    good(tx.notices().keep_message(queued.id, anna.id, &message("first", Some("<p>first</p>"))).await);
    good(tx.commit().await);
    let kept = good(subject.directory().notice(queued.id).await).and_then(|row| row.message);
    assert_eq!(kept, Some(message("first", Some("<p>first</p>"))));
    let mut tx = begin(&*subject).await;
    good(tx.notices().keep_message(queued.id, anna.id, &message("second", None)).await);
    for attempt in attempts.iter().rev() {
        good(tx.notices().add_attempt(queued.id, attempt).await);
    }
    good(tx.commit().await);
    let row = NoticeRow { notice: queued.clone(), message: Some(message("second", None)), attempts };
    assert_eq!(good(subject.directory().notice(queued.id).await), Some(row));
}

/// A workspace sees what it triggered and what it delivers, newest first; pages join without gap or repeat.
pub async fn notices_are_paged_for_both_sides(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let anna = anna(&*subject).await;
    let (host, other) = (workspace("host"), workspace("other"));
    put(&*subject, &[(&host).into(), (&other).into()]).await;
    let mut of_host = Vec::new();
    let mut of_home = Vec::new();
    for number in 0..7 {
        let mut written = notice(&anna);
        if number % 2 == 0 {
            written.workspace = host.id;
            of_host.insert(0, written.id);
        }
        of_home.insert(0, written.id);
        put(&*subject, &[(&written).into()]).await;
    }
    let directory = subject.directory();
    for (workspace, expected) in [(host.id, of_host), (anna.home, of_home), (other.id, vec![])] {
        let (mut seen, mut before) = (Vec::new(), NoticeId::from_uuid(Uuid::max()));
        loop {
            let page = good(directory.notices(workspace, before, 2).await);
            let Some(last) = page.last() else { break };
            before = last.notice.id;
            assert!(page.len() <= 2);
            seen.extend(page.into_iter().map(|row| row.notice.id));
        }
        assert_eq!(seen, expected);
    }
}
