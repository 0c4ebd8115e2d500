//! The keys of one issuer, fetched in the background and kept while it is away.
//!
//! One task per issuer asks: ahead of time at an interval, and out of turn when a token names a key that is not known, at
//! most once in ten seconds. Callers with a known key never wait for it.

use std::sync::Arc;
use std::time::Duration;

use domicile_domain::model::time::Timestamp;
use domicile_domain::port::runtime::Clock;
use tokio::sync::{Semaphore, watch};

use crate::algorithm::Algorithm;
use crate::fault::Fault;
use crate::keys::{Found, Key, KeySet, KeySetError, Sought};
use crate::origin::{FetchError, Fetched, KeyOrigin, Tag, fetch_in_time};

/// The least time between two looks for a key that is not known: names of keys come from outside and cost nothing to make up.
const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// How many callers may wait for a look at once. A call costs nothing to whoever makes up a key, and the rest of the server's
/// calls must find room.
const MOST_WAITING: usize = 256;
/// How soon a failed look is repeated.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// Between these, the origin may say how long its keys serve: not so often that we burden it, and not so seldom that a key
/// which was withdrawn is believed for long.
const HINTS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));
/// How often the log repeats that the keys cannot be had.
const REMINDER: Duration = Duration::from_hours(1);

/// How it stands with the keys of an issuer, for readiness and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerStatus {
    /// The issuer.
    pub issuer: String,
    /// Whether its tokens can be checked now.
    pub usable: bool,
    /// How many keys it has.
    pub keys: usize,
    /// When they were last known to be right.
    pub fetched_at: Option<Timestamp>,
    /// Since when they cannot be fetched, if they cannot.
    pub failing_since: Option<Timestamp>,
    /// How many looks there were.
    pub looks: u64,
    /// How many of them failed.
    pub failed_looks: u64,
}

/// How the keys of an issuer are kept.
#[derive(Debug, Clone)]
pub(crate) struct Keeping {
    pub(crate) issuer: String,
    /// Between looks, where the origin does not say.
    pub(crate) refresh: Duration,
    /// How long the last keys serve.
    pub(crate) max_stale: Duration,
}

/// Keys that serve.
#[derive(Clone)]
struct Held {
    set: Arc<KeySet>,
    /// When they were last known to be right.
    at: Timestamp,
    tag: Option<Tag>,
    /// Differs whenever the set does.
    generation: u64,
}

/// What is known of the keys.
#[derive(Clone, Default)]
struct State {
    held: Option<Held>,
    looks: u64,
    failed_looks: u64,
    last_look: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    reminded_at: Option<Timestamp>,
}

/// A key, with the generation of the set that it is from.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) key: Arc<Key>,
    pub(crate) generation: u64,
}

/// A key that is not there.
struct Missing {
    /// What is said if it stays so.
    fault: Fault,
    /// Whether another look may find it: the number of looks so far.
    worth_a_look: Option<u64>,
}

/// The keys of one issuer.
pub(crate) struct KeySource {
    keeping: Keeping,
    clock: Arc<dyn Clock>,
    state: watch::Receiver<State>,
    /// How many looks somebody waits for. Its end ends the task.
    wanted: watch::Sender<u64>,
    places: Semaphore,
}

impl KeySource {
    /// Starts to keep the keys. They are not awaited: an issuer that is away must not hold up the start.
    pub(crate) fn start(keeping: Keeping, origin: Arc<dyn KeyOrigin>, clock: Arc<dyn Clock>) -> Self {
        let (publish, state) = watch::channel(State::default());
        let (wanted, demand) = watch::channel(0);
        let keeper = Keeper { keeping: keeping.clone(), origin, clock: clock.clone(), publish, demand };
        tokio::spawn(keeper.run());
        Self { keeping, clock, state, wanted, places: Semaphore::new(MOST_WAITING) }
    }

    /// The key that a token wants. One that is not known is looked for, unless that was done just now.
    pub(crate) async fn key(&self, sought: Sought<'_>, algorithm: Algorithm) -> Result<Known, Fault> {
        let looks = match self.look_up(sought, algorithm) {
            Ok(known) => return Ok(known),
            Err(Missing { fault, worth_a_look: None }) => return Err(fault),
            Err(Missing { worth_a_look: Some(looks), .. }) => looks,
        };
        let _place = self.places.try_acquire().map_err(|_| Fault::KeyAwaited)?;
        // All who come while a look is under way want the same next one.
        let next = looks.saturating_add(1);
        self.wanted.send_if_modified(|wanted| {
            let more = *wanted < next;
            *wanted = next.max(*wanted);
            more
        });
        // An error means that the task is gone, as it is while the process ends; then what is held is all there is.
        let _ended = self.state.clone().wait_for(|state| state.looks >= next).await.is_err();
        self.look_up(sought, algorithm).map_err(|missing| missing.fault)
    }

    fn look_up(&self, sought: Sought<'_>, algorithm: Algorithm) -> Result<Known, Missing> {
        let state = self.state.borrow();
        let absent = match self.serving(&state) {
            None if state.held.is_some() => Fault::StaleKeys,
            None => Fault::NoKeys,
            Some(held) => match held.set.find(sought, algorithm) {
                Found::Key(key) => return Ok(Known { key: key.clone(), generation: held.generation }),
                Found::Several => return Err(Missing { fault: Fault::KeyNotNamed, worth_a_look: None }),
                Found::Nothing if state.failing_since.is_some() => Fault::KeyNotFetched,
                Found::Nothing => Fault::Key(LEAST_PAUSE.as_secs()),
            },
        };
        let now = self.clock.now();
        let long_ago = state.last_look.is_none_or(|last| now.since(last) >= LEAST_PAUSE);
        Err(Missing { fault: absent, worth_a_look: long_ago.then_some(state.looks) })
    }

    /// The generation of the keys that serve now.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.serving(&self.state.borrow()).map(|held| held.generation)
    }

    pub(crate) fn status(&self) -> IssuerStatus {
        let state = self.state.borrow();
        IssuerStatus {
            issuer: self.keeping.issuer.clone(),
            usable: self.serving(&state).is_some(),
            keys: state.held.as_ref().map_or(0, |held| held.set.len()),
            fetched_at: state.held.as_ref().map(|held| held.at),
            failing_since: state.failing_since,
            looks: state.looks,
            failed_looks: state.failed_looks,
        }
    }

    fn serving<'s>(&self, state: &'s State) -> Option<&'s Held> {
        let now = self.clock.now();
        state.held.as_ref().filter(|held| now.since(held.at) <= self.keeping.max_stale)
    }
}

/// Why a look gave no keys.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Set(#[from] KeySetError),
}

/// The task that looks.
struct Keeper {
    keeping: Keeping,
    origin: Arc<dyn KeyOrigin>,
    clock: Arc<dyn Clock>,
    publish: watch::Sender<State>,
    demand: watch::Receiver<u64>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let pause = self.look().await;
            let looks = self.publish.borrow().looks;
            let demanded = async { self.demand.wait_for(|wanted| *wanted > looks).await.is_ok() };
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                still_wanted = demanded => if !still_wanted { return },
            }
        }
    }

    /// Looks once, and tells how long to wait until the next look.
    async fn look(&self) -> Duration {
        let held = self.publish.borrow().held.clone();
        let tag = held.as_ref().and_then(|held| held.tag.clone());
        let looked = fetch_in_time(&*self.origin, tag.as_ref()).await.map_err(LookError::from);
        let now = self.clock.now();
        match looked.and_then(|fetched| Ok(self.merge(held, fetched, now)?)) {
            Ok((held, max_age)) => {
                self.succeeded(held, now);
                max_age.map_or(self.keeping.refresh, |hint| hint.clamp(HINTS.0, HINTS.1))
            }
            Err(error) => {
                self.failed(&error, now);
                AFTER_FAILURE
            }
        }
    }

    /// What is held after a look.
    fn merge(
        &self,
        held: Option<Held>,
        fetched: Fetched,
        now: Timestamp,
    ) -> Result<(Option<Held>, Option<Duration>), KeySetError> {
        let (body, tag, max_age) = match fetched {
            Fetched::Unchanged { max_age } => return Ok((held.map(|held| Held { at: now, ..held }), max_age)),
            Fetched::Document { body, tag, max_age } => (body, tag, max_age),
        };
        let set = Arc::new(KeySet::read(&body)?);
        let generation = match &held {
            Some(before) if before.set == set => before.generation,
            _ => self.publish.borrow().looks.saturating_add(1),
        };
        Ok((Some(Held { set, at: now, tag, generation }), max_age))
    }

    fn succeeded(&self, held: Option<Held>, now: Timestamp) {
        let state = self.publish.borrow().clone();
        if state.failing_since.is_some() {
            tracing::info!(issuer = self.keeping.issuer, "the keys of a token issuer can be fetched again");
        }
        let looks = state.looks.saturating_add(1);
        let healthy = State { failing_since: None, reminded_at: None, last_look: Some(now), ..state };
        self.publish.send_replace(State { held, looks, ..healthy });
    }

    fn failed(&self, error: &LookError, now: Timestamp) {
        let mut state = self.publish.borrow().clone();
        state.looks = state.looks.saturating_add(1);
        state.failed_looks = state.failed_looks.saturating_add(1);
        state.last_look = Some(now);
        let since = *state.failing_since.get_or_insert(now);
        if state.reminded_at.is_none_or(|reminded| now.since(reminded) >= REMINDER) {
            state.reminded_at = Some(now);
            tracing::warn!(
                issuer = self.keeping.issuer,
                error = %error,
                failing.minutes = now.since(since).as_secs() / 60,
                keys.held = state.held.as_ref().map_or(0, |held| held.set.len()),
                keys.serve_hours = self.keeping.max_stale.as_secs() / 3600,
                "the keys of a token issuer cannot be fetched; those held serve on"
            );
        }
        self.publish.send_replace(state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use domicile_testkit::clock::SteppedClock;
    use futures::future::join_all;
    use http::StatusCode;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::issuer::SigningKey;

    /// Answers as it is told, while its gate is open.
    struct Script {
        answer: Mutex<Result<Fetched, FetchError>>,
        gate: Semaphore,
        tags: Mutex<Vec<Option<Tag>>>,
    }

    #[async_trait::async_trait]
    impl KeyOrigin for Script {
        async fn fetch(&self, known: Option<&Tag>) -> Result<Fetched, FetchError> {
            self.tags.lock().unwrap().push(known.cloned());
            let _open = self.gate.acquire().await.unwrap();
            self.answer.lock().unwrap().clone()
        }
    }

    impl Script {
        fn answers(&self, answer: Result<Fetched, FetchError>) {
            *self.answer.lock().unwrap() = answer;
        }

        fn asked(&self) -> usize {
            self.tags.lock().unwrap().len()
        }
    }

    fn down() -> Result<Fetched, FetchError> {
        Err(FetchError::Status(StatusCode::BAD_GATEWAY))
    }

    fn keys(names: &[&str]) -> Fetched {
        document(names, None, None)
    }

    fn document(names: &[&str], tag: Option<&'static str>, max_age: Option<u64>) -> Fetched {
        let public = |name: &&str| SigningKey::from_pkcs8(name, Algorithm::EdDsa, ONE_KEY).unwrap().public();
        let keys: Vec<_> = names.iter().map(public).collect();
        let body = serde_json::json!({ "keys": keys }).to_string().into_bytes();
        Fetched::Document { body, tag: tag.map(Tag::from_static), max_age: max_age.map(Duration::from_secs) }
    }

    /// The private key of RFC 8037, appendix A.1, so that a set is the same each time.
    const ONE_KEY: &[u8] = &[
        0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20, 0x9d, 0x61,
        0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69,
        0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60, 0x81, 0x21, 0x00, 0xd7, 0x5a, 0x98,
        0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda,
        0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];

    struct Stage {
        script: Arc<Script>,
        clock: Arc<SteppedClock>,
        source: KeySource,
    }

    impl Stage {
        fn set(answer: Result<Fetched, FetchError>) -> Self {
            let script =
                Arc::new(Script { answer: Mutex::new(answer), gate: Semaphore::new(100), tags: Mutex::default() });
            let clock = Arc::new(SteppedClock::default());
            let keeping = Keeping {
                issuer: "https://login.example".to_owned(),
                refresh: Duration::from_mins(5),
                max_stale: Duration::from_hours(24),
            };
            let source = KeySource::start(keeping, script.clone(), clock.clone());
            Self { script, clock, source }
        }

        async fn key(&self, name: &str) -> Result<u64, Fault> {
            self.source.key(Sought::Named(name), Algorithm::EdDsa).await.map(|known| known.generation)
        }

        /// Lets time pass in steps in which the task sleeps; returns once it sleeps again.
        async fn pass(&self, seconds: u64) {
            self.clock.asleep(1).await;
            self.clock.advance(Duration::from_secs(seconds));
            tokio::task::yield_now().await;
            self.clock.asleep(1).await;
        }
    }

    #[tokio::test]
    async fn an_issuer_that_is_away_at_the_start_is_asked_again_and_until_then_nobody_can_tell() {
        let stage = Stage::set(down());
        assert_eq!(stage.key("a").await, Err(Fault::NoKeys));
        let status = stage.source.status();
        assert!(!status.usable && status.failing_since.is_some() && status.fetched_at.is_none(), "{status:?}");
        assert_eq!((status.looks, status.failed_looks, status.keys), (1, 1, 0));
        stage.script.answers(Ok(keys(&["a"])));
        assert_eq!(stage.key("a").await, Err(Fault::NoKeys), "a caller asked out of turn too soon");
        stage.pass(30).await;
        assert_eq!(stage.script.asked(), 2);
        assert!(stage.key("a").await.is_ok());
        let status = stage.source.status();
        assert!(status.usable && status.failing_since.is_none() && status.keys == 1, "{status:?}");
    }

    #[tokio::test]
    async fn keys_are_fetched_ahead_so_that_nobody_waits_for_a_new_one() {
        let stage = Stage::set(Ok(keys(&["a"])));
        stage.pass(299).await;
        stage.script.answers(Ok(keys(&["a", "b"])));
        assert_eq!(stage.script.asked(), 1);
        stage.pass(1).await;
        assert_eq!(stage.script.asked(), 2);
        stage.script.gate.forget_permits(100);
        assert!(stage.key("a").await.is_ok() && stage.key("b").await.is_ok(), "they are there without a look");
        assert_eq!(stage.script.asked(), 2);
    }

    #[tokio::test]
    async fn what_the_origin_says_of_the_interval_is_a_hint_within_bounds() {
        for (hint, seconds) in [(5, 60), (120, 120), (86_400, 3600)] {
            let stage = Stage::set(Ok(document(&["a"], None, Some(hint))));
            stage.pass(seconds - 1).await;
            assert_eq!(stage.script.asked(), 1, "{hint}");
            stage.pass(1).await;
            assert_eq!(stage.script.asked(), 2, "{hint}");
        }
    }

    #[tokio::test]
    async fn a_hundred_callers_with_a_new_key_cost_one_look() {
        let stage = Stage::set(Ok(keys(&["a"])));
        assert!(stage.key("a").await.is_ok());
        stage.script.answers(Ok(keys(&["a", "b"])));
        stage.clock.asleep(1).await;
        stage.clock.advance(Duration::from_secs(10));
        let answers = join_all((0..100).map(|_| stage.key("b"))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(stage.script.asked(), 2);
    }

    #[tokio::test]
    async fn names_of_keys_that_are_made_up_cost_one_look_in_ten_seconds() {
        let stage = Stage::set(Ok(keys(&["a"])));
        assert!(stage.key("a").await.is_ok());
        let mut looks = 1;
        for second in 0..60 {
            let made_up: Vec<String> = (0..20).map(|i| format!("{second}-{i}")).collect();
            let answers = join_all(made_up.iter().map(|name| stage.key(name))).await;
            assert!(answers.iter().all(|answer| *answer == Err(Fault::Key(10))), "{answers:?}");
            looks += usize::from(second > 0 && second % 10 == 0);
            assert_eq!(stage.script.asked(), looks, "at {second} s");
            stage.clock.asleep(1).await;
            stage.clock.advance(Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn only_so_many_wait_for_a_look() {
        let stage = Stage::set(Ok(keys(&["a"])));
        assert!(stage.key("a").await.is_ok());
        stage.clock.asleep(1).await;
        stage.script.gate.forget_permits(100);
        stage.clock.advance(Duration::from_secs(10));
        let waiting = join_all((0..MOST_WAITING).map(|_| stage.key("b")));
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(stage.key("b").await, Err(Fault::KeyAwaited));
        assert!(stage.key("a").await.is_ok());
        stage.script.answers(Ok(keys(&["a", "b"])));
        stage.script.gate.add_permits(100);
        assert!(waiting.await.iter().all(Result::is_ok));
        assert!(stage.key("b").await.is_ok());
    }

    #[tokio::test]
    async fn who_has_a_known_key_does_not_wait_for_a_look() {
        let stage = Stage::set(Ok(keys(&["a"])));
        assert!(stage.key("a").await.is_ok());
        stage.clock.asleep(1).await;
        stage.script.gate.forget_permits(100);
        stage.clock.advance(Duration::from_secs(10));
        let unknown = stage.key("b");
        let mut unknown = std::pin::pin!(unknown);
        assert!(futures::poll!(&mut unknown).is_pending());
        while stage.script.asked() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(stage.key("a").await.is_ok(), "while the look hangs");
        stage.script.gate.add_permits(100);
        assert_eq!(unknown.await, Err(Fault::Key(10)));
    }

    #[tokio::test]
    async fn the_last_keys_serve_for_hours_and_then_no_longer() {
        let stage = Stage::set(Ok(keys(&["a"])));
        let first = stage.key("a").await;
        assert!(first.is_ok());
        stage.script.answers(down());
        for hour in 1..=24 {
            // Half an hour twice, so that the task has looked in between.
            stage.pass(1800).await;
            stage.pass(1800).await;
            assert_eq!(stage.key("a").await, first, "after {hour} h");
            assert!(stage.source.status().usable);
        }
        assert_eq!(stage.key("b").await, Err(Fault::KeyNotFetched));
        let reminded = stage.source.state.borrow().reminded_at.unwrap();
        assert!(stage.clock.now().since(reminded) <= Duration::from_hours(1), "the log was reminded each hour");
        stage.pass(1).await;
        assert_eq!(stage.key("a").await, Err(Fault::StaleKeys));
        assert_eq!(stage.source.generation(), None);
        assert!(!stage.source.status().usable);
        stage.script.answers(Ok(keys(&["a"])));
        stage.pass(30).await;
        assert_eq!(stage.key("a").await, first, "it is the same set");
        assert!(stage.source.state.borrow().reminded_at.is_none());
    }

    #[tokio::test]
    async fn a_key_that_is_withdrawn_is_believed_no_longer_and_the_generation_tells() {
        let stage = Stage::set(Ok(keys(&["a", "b"])));
        let first = stage.key("a").await;
        stage.script.answers(Ok(keys(&["b"])));
        stage.pass(300).await;
        assert_eq!(stage.key("a").await, Err(Fault::Key(10)));
        assert!(stage.key("b").await.is_ok() && stage.key("b").await != first);
    }

    #[tokio::test]
    async fn the_origin_is_told_what_is_held_and_may_say_that_it_is_the_same() {
        let stage = Stage::set(Ok(document(&["a"], Some("\"1\""), None)));
        let first = stage.key("a").await;
        stage.script.answers(Ok(Fetched::Unchanged { max_age: None }));
        for _ in 0..300 {
            stage.pass(300).await;
        }
        assert_eq!(stage.key("a").await, first, "25 hours later it is not stale");
        let tags = stage.script.tags.lock().unwrap().clone();
        assert_eq!((tags.len(), &tags[0], &tags[300]), (301, &None, &Some(Tag::from_static("\"1\""))));
    }

    #[tokio::test]
    async fn a_document_without_keys_does_not_take_those_that_are_held() {
        let stage = Stage::set(Ok(keys(&["a"])));
        let first = stage.key("a").await;
        for body in [&b""[..], b"{}", b"{\"keys\":[]}", b"<html>", b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"] {
            stage.script.answers(Ok(Fetched::Document { body: body.to_vec(), tag: None, max_age: None }));
            stage.pass(300).await;
            assert_eq!(stage.key("a").await, first);
            assert!(stage.source.status().failing_since.is_some());
        }
    }

    #[tokio::test]
    async fn the_task_ends_with_its_source() {
        let Stage { script, clock, source } = Stage::set(Ok(keys(&["a"])));
        clock.asleep(1).await;
        drop(source);
        while Arc::strong_count(&script) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
