//! Health that tells the truth: the service says SERVING while the store can be reached, and not before.

use std::convert::Infallible;
use std::time::Duration;

use domicile_domain::port::probe::StoreProbe;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthApi, HealthServer};
use tonic_health::server::HealthReporter;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// For how long it may be out of reach unsaid. With a question each second and a second for the answer, callers learn of a
/// stuck store within three.
const UNSAID: Duration = Duration::from_secs(2);

/// What the health service says, of the whole and of each service alike.
pub(crate) struct Health {
    reporter: HealthReporter,
    services: Vec<String>,
    serving: bool,
}

impl Health {
    /// Says that nothing is served yet: tonic-health itself would begin otherwise.
    pub(crate) async fn silent(services: Vec<String>) -> (Self, HealthServer<impl HealthApi>) {
        let (reporter, server) = tonic_health::server::health_reporter();
        let mut health = Self { reporter, services, serving: true };
        health.say(false).await;
        (health, server)
    }

    async fn say(&mut self, serving: bool) {
        if std::mem::replace(&mut self.serving, serving) == serving {
            return;
        }
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in std::iter::once("").chain(self.services.iter().map(String::as_str)) {
            self.reporter.set_service_status(service, status).await;
        }
    }

    /// Says what the store's first answer is.
    pub(crate) async fn begin(&mut self, store: &dyn StoreProbe) {
        match asked(store).await {
            Ok(()) => self.say(true).await,
            Err(error) => {
                tracing::warn!(error, "health says NOT_SERVING: the store cannot be reached; it is asked every second");
            }
        }
    }

    /// Asks the store again and again, and says what becomes of it.
    pub(crate) async fn follow(&mut self, store: &dyn StoreProbe) -> Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is now, and the store has just been asked.
        ticks.tick().await;
        let mut last_seen = Instant::now();
        loop {
            ticks.tick().await;
            match asked(store).await {
                Ok(()) => {
                    last_seen = Instant::now();
                    if !self.serving {
                        tracing::info!("health says SERVING: the store can be reached");
                        self.say(true).await;
                    }
                }
                Err(error) if self.serving && last_seen.elapsed() >= UNSAID => {
                    tracing::error!(error, "health says NOT_SERVING: the store cannot be reached");
                    self.say(false).await;
                }
                Err(_) => {}
            }
        }
    }

    /// Says that the server stops.
    pub(crate) async fn stop(&mut self) {
        self.say(false).await;
    }
}

/// The store's answer, or that there was none.
async fn asked(store: &dyn StoreProbe) -> Result<(), String> {
    match timeout(ANSWERS_WITHIN, store.reachable()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWERS_WITHIN.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_domain::port::store::StoreError;
    use std::sync::Mutex;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Said;
    use tonic_health::pb::health_client::HealthClient;

    /// What the store does when it is asked.
    #[derive(Clone, Copy)]
    enum Does {
        Answer,
        Fail,
        Hang,
    }

    struct Store(Mutex<Does>);

    impl Store {
        fn now(&self, does: Does) {
            *self.0.lock().unwrap() = does;
        }
    }

    #[async_trait::async_trait]
    impl StoreProbe for Store {
        async fn reachable(&self) -> Result<(), StoreError> {
            let does = *self.0.lock().unwrap();
            match does {
                Does::Answer => Ok(()),
                Does::Fail => Err(StoreError::ConnectionLost),
                Does::Hang => std::future::pending().await,
            }
        }
    }

    type Client<T> = HealthClient<HealthServer<T>>;

    async fn said<T: HealthApi>(client: &mut Client<T>, service: &str) -> Said {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.check(request).await.unwrap().into_inner().status()
    }

    #[tokio::test]
    async fn health_does_not_serve_before_there_is_a_server() {
        let (_health, server) = Health::silent(vec!["a.Service".to_owned()]).await;
        let mut client = HealthClient::new(server);
        for service in ["", "a.Service"] {
            assert_eq!(said(&mut client, service).await, Said::NotServing, "{service}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_not_reached_is_told_within_three_seconds_and_its_return_within_two() {
        for trouble in [Does::Fail, Does::Hang] {
            let store = Store(Mutex::new(Does::Answer));
            let (mut health, server) = Health::silent(vec!["a.Service".to_owned()]).await;
            let mut client = HealthClient::new(server);
            health.begin(&store).await;
            assert_eq!(said(&mut client, "").await, Said::Serving);
            let seen = async {
                // Between two questions.
                tokio::time::sleep(Duration::from_millis(10_500)).await;
                store.now(trouble);
                tokio::time::sleep(Duration::from_millis(1400)).await;
                assert_eq!(said(&mut client, "").await, Said::Serving, "a moment's trouble is nobody's business");
                tokio::time::sleep(Duration::from_millis(1600)).await;
                for service in ["", "a.Service"] {
                    assert_eq!(said(&mut client, service).await, Said::NotServing, "{service}");
                }
                tokio::time::sleep(Duration::from_mins(1)).await;
                assert_eq!(said(&mut client, "").await, Said::NotServing);
                store.now(Does::Answer);
                tokio::time::sleep(Duration::from_secs(2)).await;
                for service in ["", "a.Service"] {
                    assert_eq!(said(&mut client, service).await, Said::Serving, "{service}");
                }
            };
            tokio::select! {
                never = health.follow(&store) => match never {},
                () = seen => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_not_there_at_the_start_does_not_serve_until_it_is() {
        let store = Store(Mutex::new(Does::Hang));
        let (mut health, server) = Health::silent(Vec::new()).await;
        let mut client = HealthClient::new(server);
        health.begin(&store).await;
        assert_eq!(said(&mut client, "").await, Said::NotServing);
        store.now(Does::Answer);
        let seen = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!(said(&mut client, "").await, Said::Serving);
        };
        tokio::select! {
            never = health.follow(&store) => match never {},
            () = seen => {}
        }
    }
}
