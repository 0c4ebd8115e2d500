//! Keys that change and an issuer that goes away, while calls go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domicile_domain::port::authenticator::AuthenticationError;
use domicile_identity::Algorithm;
use domicile_identity::issuer::SigningKey;
use futures::future::join_all;
use serde_json::json;
use tokio::sync::watch;

use crate::support::{Installation, RSA, SERVICES};

impl Installation {
    /// Lets time pass once the task sleeps, and returns when the keys were looked at that often.
    async fn pass(&self, time: Duration, looks: u64) {
        self.clock.asleep(1).await;
        self.clock.advance(time);
        self.looked(looks).await;
    }

    async fn looked(&self, looks: u64) {
        while self.authenticator.issuers()[0].looks < looks {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_hundred_callers_with_a_new_key_cost_the_issuer_one_question() {
    let here = Installation::new().await;
    assert!(here.bearer(&here.token(&json!({}))).await.is_ok());
    assert_eq!(here.issuer.asked(), 1);
    let next = SigningKey::generate("next", Algorithm::EdDsa).unwrap();
    here.issuer.publish(&next);
    here.clock.asleep(1).await;
    here.clock.advance(Duration::from_secs(10));
    let tokens: Vec<String> = (0..100).map(|i| next.token(&here.claims(&json!({"jti": i}))).unwrap()).collect();
    let answers = join_all(tokens.iter().map(|token| here.bearer(token))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(here.issuer.asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_holds_up_nothing() {
    let mut here = Installation::new().await;
    here.issuer.stop().await;
    let services = crate::support::settings(SERVICES, &here.issuer).check(&crate::support::methods()).unwrap();
    here.authenticator = domicile_identity::MappedAuthenticator::start(services, here.clock.clone()).unwrap();
    let token = here.token(&json!({}));
    let told = here.bearer(&token).await.unwrap_err();
    assert!(matches!(&told, AuthenticationError::Unavailable(said) if said.contains("try again")), "{told:?}");
    let connected = domicile_domain::port::authenticator::Credentials {
        peer: Some(crate::support::dns(&["orders.internal"])),
        ..Default::default()
    };
    assert!(here.call(crate::support::LOOKUP, connected).await.is_ok(), "certificates need no issuer");
    here.issuer.start_again().await.unwrap();
    here.pass(Duration::from_secs(30), 2).await;
    assert!(here.bearer(&token).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_tokens_that_are_remembered() {
    let here = Installation::new().await;
    let token = here.token(&json!({"exp": here.now() + 3600}));
    assert!(here.bearer(&token).await.is_ok());
    here.pass(Duration::from_secs(299), 1).await;
    assert!(here.bearer(&token).await.is_ok(), "remembered anew");
    here.issuer.withdraw("first");
    here.issuer.publish(&SigningKey::generate("next", Algorithm::Es256).unwrap());
    here.pass(Duration::from_secs(1), 2).await;
    let told = here.bearer(&token).await.unwrap_err();
    assert!(told.to_string().contains("a key that its issuer does not publish"), "{told}");
}

#[tokio::test]
async fn the_issuer_is_not_sent_for_keys_that_are_the_same() {
    let here = Installation::new().await;
    here.looked(1).await;
    for look in 2..10 {
        here.pass(Duration::from_mins(5), look).await;
    }
    assert_eq!((here.issuer.asked(), here.issuer.answered_whole()), (9, 1));
    assert!(here.bearer(&here.token(&json!({}))).await.is_ok());
}

/// Callers who call without end; every answer must be good.
struct Load {
    here: Arc<Installation>,
    /// What the issuer signs by at the moment.
    signing: watch::Sender<Arc<SigningKey>>,
    /// The calls of each that were answered.
    answered: Vec<AtomicU64>,
    stop: AtomicBool,
}

impl Load {
    async fn call_on(&self, number: usize) {
        while !self.stop.load(Ordering::SeqCst) {
            let key = self.signing.borrow().clone();
            let call = self.answered[number].load(Ordering::SeqCst);
            // Every other token is new to the server.
            let change = json!({"jti": format!("{number}-{}", call / 2), "exp": self.here.now() + 7200});
            let outcome = self.here.bearer(&key.token(&self.here.claims(&change)).unwrap()).await;
            assert!(outcome.is_ok(), "call {call} of {number}, signed by {}: {outcome:?}", key.id());
            self.answered[number].fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    }

    /// Returns once each caller has begun and ended calls after this.
    async fn goes_on(&self) {
        let before: Vec<u64> = self.answered.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        let is_behind = || self.answered.iter().zip(&before).any(|(count, n)| count.load(Ordering::SeqCst) < n + 3);
        while is_behind() && !self.stop.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }

    /// Everything that happens to issuer and keys.
    async fn play(&self) {
        let Installation { issuer, .. } = &*self.here;
        let sign_by = |key: SigningKey| {
            self.signing.send_replace(Arc::new(key));
        };
        self.goes_on().await;

        // Published ahead, as issuers should: fetched in time, nobody asks for it.
        let second = SigningKey::generate("second", Algorithm::EdDsa).unwrap();
        issuer.publish(&second);
        self.here.pass(Duration::from_mins(5), 2).await;
        sign_by(second);
        self.goes_on().await;
        issuer.withdraw("first");
        self.here.pass(Duration::from_mins(5), 3).await;
        self.goes_on().await;

        // Used as soon as it is published: those who have it ask once.
        self.here.clock.asleep(1).await;
        self.here.clock.advance(Duration::from_secs(10));
        let third = SigningKey::generate("third", Algorithm::Es256).unwrap();
        issuer.publish(&third);
        sign_by(third);
        self.goes_on().await;
        assert_eq!((issuer.asked(), self.here.authenticator.issuers()[0].looks), (4, 4));

        // Away for 23 hours.
        issuer.stop().await;
        for half_hour in 1..=46 {
            self.here.pass(Duration::from_mins(30), 4 + half_hour).await;
            self.goes_on().await;
        }
        let status = &self.here.authenticator.issuers()[0];
        assert!(status.usable && status.failing_since.is_some() && status.failed_looks == 46, "{status:?}");

        // Back, with a new key, and without those before.
        issuer.start_again().await.unwrap();
        let fourth = SigningKey::generate("fourth", Algorithm::Es256).unwrap();
        issuer.publish(&fourth);
        self.here.pass(Duration::from_secs(30), 51).await;
        sign_by(fourth);
        self.goes_on().await;
        issuer.withdraw("second");
        issuer.withdraw("third");
        self.here.pass(Duration::from_mins(5), 52).await;
        self.goes_on().await;
        assert!(self.here.authenticator.issuers()[0].failing_since.is_none());
    }
}

/// Stops the others when it goes, so that a failed one ends the test.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_and_the_issuer_stops_under_load_without_a_failed_call() {
    const CALLERS: usize = 16;
    let first = || SigningKey::from_pkcs8("first", Algorithm::Rs256, RSA).unwrap();
    let here = Arc::new(Installation::with(SERVICES, first()).await);
    here.looked(1).await;
    let load = Arc::new(Load {
        here,
        signing: watch::Sender::new(Arc::new(first())),
        answered: (0..CALLERS).map(|_| AtomicU64::new(0)).collect(),
        stop: AtomicBool::new(false),
    });
    let mut tasks = Vec::new();
    for number in 0..CALLERS {
        let load = load.clone();
        tasks.push(tokio::spawn(async move {
            let _end = StopAtEnd(&load.stop);
            load.call_on(number).await;
        }));
    }
    let end = StopAtEnd(&load.stop);
    load.play().await;
    drop(end);
    for outcome in join_all(tasks).await {
        outcome.unwrap();
    }
}
