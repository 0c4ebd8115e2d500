//! Counters of budgets, and the budgets over them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domicile_domain::error::{Reason, Refusal};
use domicile_domain::model::budget::{BudgetKey, BudgetKind, Budgets, Counter, Tally};
use domicile_domain::model::time::Timestamp;
use domicile_domain::model::user::User;
use domicile_domain::port::store::{Store, StoreError};
use domicile_domain::usecase::{Domicile, DomicileApi, LookupReply, LookupUser, Ports};
use tokio::task::JoinSet;

use super::races::{call, managed, ports};
use super::{Harness, Subject, begin, good};
use crate::builders::{NOW, WIDE_BUDGETS, id};
use crate::seed::PATIENCE;

fn keys() -> [BudgetKey; 3] {
    [BudgetKey::User(id()), BudgetKey::Workspace(id()), BudgetKey::Service("shop".to_owned())]
}

fn probes(key: &BudgetKey, chance: u64) -> Counter {
    key.clone().probes(chance)
}

async fn count(subject: &dyn Subject, counters: &[Counter], now: Timestamp) -> Vec<Tally> {
    let mut tx = begin(subject).await;
    let tallies = good(tx.budgets().count(counters, now).await);
    good(tx.commit().await);
    tallies
}

async fn all_tallies(subject: &dyn Subject, keys: &[BudgetKey]) -> Vec<(BudgetKey, Tally)> {
    let mut tx = begin(subject).await;
    let told = good(tx.budgets().tallies(keys).await);
    good(tx.rollback().await);
    told
}

async fn tallies(subject: &dyn Subject, key: &BudgetKey) -> Vec<Tally> {
    let told = all_tallies(subject, std::slice::from_ref(key)).await;
    assert!(told.iter().all(|(of, _)| of == key), "{told:?}");
    told.into_iter().map(|(_, tally)| tally).collect()
}

/// A counter holds what the model says, period by period, by late and by broken clocks, and never more than one row.
pub async fn counters_roll_over_in_place(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    for key in keys() {
        let window = key.kind().window();
        let counter = probes(&key, 0);
        let start = NOW.after(window * 10);
        let back =
            |by: Duration| Timestamp::from_micros(start.as_micros() - i64::try_from(by.as_micros()).expect("short"));
        let instants = [
            start,
            start.after(window / 2),
            back(window / 2),
            start.after(window),
            start,
            start.after(window),
            start.after(window * 3),
            start.after(window * 4),
            start.after(window * 1000),
            start,
            start.after(window),
        ];
        let mut held = None;
        for at in instants {
            held = Some(Tally::counted(held, key.kind().period(at)));
            assert_eq!(count(&*subject, std::slice::from_ref(&counter), at).await, held.as_slice(), "{key:?}");
            assert_eq!(tallies(&*subject, &key).await, held.as_slice(), "{key:?}");
        }
    }
    assert_eq!(subject.dump().await.get("budget_counters").map(Vec::len), Some(3));
}

/// Each budget has its own counters; they are counted together and told in the order asked.
pub async fn counters_are_apart(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let [user, acme, shop] = keys();
    let (other, namesake) = (BudgetKey::Workspace(id()), BudgetKey::Service(acme.subject()));
    let one = Tally { period: 0, count: 1, before: 0 };
    let at = |key: &BudgetKey, tally: Tally| Tally { period: key.kind().period(NOW), ..tally };
    let all = [probes(&shop, 3), probes(&acme, 1), probes(&user, 9), probes(&acme, 0), probes(&namesake, 1)];
    let told = count(&*subject, &all, NOW).await;
    assert_eq!(told, all.iter().map(|counter| at(&counter.key, one)).collect::<Vec<_>>());
    let two = Tally { count: 2, ..one };
    assert_eq!(count(&*subject, &[probes(&acme, 1), probes(&other, 1)], NOW).await, [at(&acme, two), at(&other, one)]);

    let mut both = all_tallies(&*subject, &[acme.clone(), shop.clone()]).await;
    both.sort_by_key(|(key, tally)| (key.clone(), tally.count));
    let expected = [(&acme, one), (&acme, two), (&shop, one)];
    assert_eq!(both, expected.map(|(key, tally)| (key.clone(), at(key, tally))));
    assert_eq!(tallies(&*subject, &BudgetKey::User(id())).await, []);
}

/// Refusals are counted beside the probes, and are none.
pub async fn refusals_are_no_probes(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    for key in keys() {
        let turned_away = |who| key.clone().turned_away(who);
        for refusals in [key.clone().refusals(), turned_away(0), turned_away(u64::MAX)] {
            for expected in 1..3 {
                let [tally] = count(&*subject, std::slice::from_ref(&refusals), NOW).await[..] else {
                    panic!("one tally")
                };
                assert_eq!(tally.count, expected);
            }
        }
        assert_eq!(tallies(&*subject, &key).await, []);
    }
}

/// What is taken back was not counted.
pub async fn what_is_rolled_back_is_not_counted(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let [key, _, _] = keys();
    let counter = [probes(&key, 0)];
    count(&*subject, &counter, NOW).await;
    let mut tx = begin(&*subject).await;
    for expected in 2..4 {
        assert_eq!(good(tx.budgets().count(&counter, NOW).await).first().map(|tally| tally.count), Some(expected));
    }
    good(tx.rollback().await);
    assert_eq!(tallies(&*subject, &key).await.first().map(|tally| tally.count), Some(1));
}

async fn ordinal(store: Arc<dyn Store>, counter: Counter) -> u64 {
    loop {
        let mut tx = good(store.begin(PATIENCE).await);
        let answer = tx.budgets().count(std::slice::from_ref(&counter), NOW).await;
        let heard = match answer {
            Ok(tallies) => tx.commit().await.map(|()| tallies),
            Err(error) => tx.rollback().await.and(Err(error)),
        };
        match heard {
            Ok(tallies) => return tallies.first().expect("one tally").count,
            Err(error) => assert_eq!(error, StoreError::Contention),
        }
    }
}

/// Of units that count at once no two hear the same count, and none is lost.
pub async fn counts_at_once_are_apart(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let [key, _, _] = keys();
    let mut units = JoinSet::new();
    for _ in 0..32 {
        units.spawn(ordinal(subject.store(), probes(&key, 0)));
    }
    let mut heard = units.join_all().await;
    heard.sort_unstable();
    assert!(heard.iter().copied().eq(1..=32), "{heard:?}");
    assert_eq!(tallies(&*subject, &key).await.first().map(|tally| tally.count), Some(32));
}

fn product(ports: &Ports, kind: BudgetKind, limit: u32) -> Arc<Domicile> {
    let limit = NonZeroU32::new(limit).expect("a limit");
    let budgets = match kind {
        BudgetKind::User => Budgets { probes_per_user_minute: limit, ..WIDE_BUDGETS },
        BudgetKind::Workspace => Budgets { probes_per_workspace_hour: limit, ..WIDE_BUDGETS },
        BudgetKind::Service => Budgets { probes_per_service_hour: limit, ..WIDE_BUDGETS },
    };
    Arc::new(Domicile::new(ports.clone()).with_budgets(budgets))
}

type Searched = Result<LookupReply, Refusal>;

async fn search(domicile: Arc<Domicile>, manager: User) -> Searched {
    let request =
        LookupUser { workspace: "acme".to_owned(), email: "cleo@mail.example".to_owned(), phone: String::new() };
    domicile.lookup_user(&call(&manager), &request).await
}

/// Searches at once by the managers in turn, on the replicas in turn; answers how many passed. The others heard of the budget.
async fn pass_at_once(replicas: &[Arc<Domicile>], managers: &[User], searches: usize) -> usize {
    let mut tasks = JoinSet::new();
    for (domicile, manager) in replicas.iter().cycle().zip(managers.iter().cycle()).take(searches) {
        tasks.spawn(search(domicile.clone(), manager.clone()));
    }
    let answers: Vec<Searched> = tasks.join_all().await;
    for refusal in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refusal.reason, Reason::BudgetExhausted, "{refusal:?}");
    }
    answers.iter().filter(|answer| answer.is_ok()).count()
}

/// Of 64 searches of one person at once, on two replicas, exactly as many pass as the person's budget allows.
pub async fn a_persons_budget_is_exact_at_once(harness: &dyn Harness) {
    let subject = harness.fresh().await;
    let (_, managers) = managed::<1>(&*subject, "acme").await;
    let ports = ports(subject.store(), subject.directory());
    let replicas = [product(&ports, BudgetKind::User, 20), product(&ports, BudgetKind::User, 20)];
    assert_eq!(pass_at_once(&replicas, &managers, 64).await, 20);
    let [user] = managers.map(|manager| BudgetKey::User(manager.id));
    assert_eq!(tallies(&*subject, &user).await.first().map(|tally| tally.count), Some(64), "a refused call costs");
}

/// A budget that many share is spread over counters: of 64 searches at once at most as many pass as it allows, and all are
/// counted. One after the other exactly as many pass, whichever replica is asked.
pub async fn a_shared_budget_is_kept_at_once(harness: &dyn Harness) {
    for kind in [BudgetKind::Workspace, BudgetKind::Service] {
        let subject = harness.fresh().await;
        let (acme, managers) = managed::<4>(&*subject, "acme").await;
        let ports = ports(subject.store(), subject.directory());
        let replicas = [product(&ports, kind, 20), product(&ports, kind, 20)];
        let passed = pass_at_once(&replicas, &managers, 64).await;
        assert!(passed <= 20, "{kind:?}: {passed}");
        let key = match kind {
            BudgetKind::Workspace => BudgetKey::Workspace(acme.id),
            _ => BudgetKey::Service("shop".to_owned()),
        };
        let counted: u64 = tallies(&*subject, &key).await.iter().map(|tally| tally.count).sum();
        assert_eq!(counted, 64, "{kind:?}");

        let subject = harness.fresh().await;
        let (_, managers) = managed::<4>(&*subject, "acme").await;
        let ports = self::ports(subject.store(), subject.directory());
        let replicas = [product(&ports, kind, 5), product(&ports, kind, 5)];
        let mut passed = Vec::new();
        for (domicile, manager) in replicas.iter().cycle().zip(managers.iter().cycle()).take(7) {
            passed.push(search(domicile.clone(), manager.clone()).await.is_ok());
        }
        assert_eq!(passed, [true, true, true, true, true, false, false], "{kind:?}");
    }
}
