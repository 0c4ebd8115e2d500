//! Whether the service can do its work now, check by check.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domicile_identity::{IssuerStatus, MappedAuthenticator};
use domicile_store_seaorm::{SeaOrmStore, Unfit};
use serde::Serialize;

use crate::runtime::now;

/// How long the store may take to answer.
const STORE_WITHIN: Duration = Duration::from_secs(1);

/// One thing that should be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ok: bool,
    /// Whether the service is not ready without it; else it only does less.
    pub(crate) needed: bool,
    /// What is so, or what is wrong.
    pub(crate) detail: String,
}

impl Check {
    pub(crate) fn of(name: impl Into<String>, state: Result<String, String>) -> Self {
        let (ok, detail) = state.map_or_else(|wrong| (false, wrong), |right| (true, right));
        Self { name: name.into(), ok, needed: true, detail }
    }
}

/// Something that is asked whenever somebody wants to know.
#[async_trait]
pub(crate) trait Probe: Send + Sync {
    async fn check(&self) -> Vec<Check>;
}

/// Where a service is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    Serving,
    Stopping,
}

/// Everything that has to be so.
pub(crate) struct Readiness {
    stage: Mutex<Stage>,
    probes: RwLock<Vec<Arc<dyn Probe>>>,
}

/// The answer to whoever asks.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ready: bool,
    pub(crate) checks: Vec<Check>,
}

impl Readiness {
    pub(crate) fn new() -> Self {
        Self { stage: Mutex::new(Stage::Starting), probes: RwLock::default() }
    }

    pub(crate) fn enter(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    pub(crate) fn watch(&self, probe: Arc<dyn Probe>) {
        self.probes.write().unwrap_or_else(PoisonError::into_inner).push(probe);
    }

    pub(crate) async fn report(&self) -> Report {
        let stage = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let probes = self.probes.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut checks = vec![Check::of(
            "listener",
            match stage {
                Stage::Starting => Err("the service is not bound to its address yet".to_owned()),
                Stage::Serving => Ok("calls are taken".to_owned()),
                Stage::Stopping => Err("the service was asked to stop; new calls go elsewhere".to_owned()),
            },
        )];
        for probe in probes {
            checks.extend(probe.check().await);
        }
        Report { ready: checks.iter().all(|check| check.ok || !check.needed), checks }
    }
}

/// The store: it answers, and its schema is this program's.
pub(crate) struct StoreProbe(pub(crate) SeaOrmStore);

#[async_trait]
impl Probe for StoreProbe {
    async fn check(&self) -> Vec<Check> {
        let answers = || Ok("the database answers".to_owned());
        let (store, schema) = match self.0.fit(STORE_WITHIN).await {
            Ok(()) => (answers(), Ok("the schema is up to date".to_owned())),
            Err(error @ Unfit::Schema(_)) => (answers(), Err(error.to_string())),
            Err(error @ Unfit::Locked(_)) => (Err(error.to_string()), Ok("the schema is up to date".to_owned())),
            Err(error) => {
                // What the driver says is for the log alone.
                tracing::warn!(%error, "not ready: the store cannot be read");
                let said = match error {
                    Unfit::Silent(_) => error.to_string(),
                    _ => "the database cannot be read; the log tells why".to_owned(),
                };
                (Err(said), Err("not known while the database does not answer".to_owned()))
            }
        };
        vec![Check::of("store", store), Check::of("schema", schema)]
    }
}

/// The issuers of tokens: whether their tokens can be checked now. One that is away takes nobody from the callers of the
/// others, so that the service is not ready only while it can check no token at all.
pub(crate) struct IssuersProbe(pub(crate) Arc<MappedAuthenticator>);

#[async_trait]
impl Probe for IssuersProbe {
    async fn check(&self) -> Vec<Check> {
        of_issuers(&self.0.issuers())
    }
}

fn of_issuers(all: &[IssuerStatus]) -> Vec<Check> {
    let needed = !all.iter().any(|issuer| issuer.usable);
    all.iter().map(|issuer| Check { needed, ..of_issuer(issuer) }).collect()
}

fn of_issuer(of: &IssuerStatus) -> Check {
    let failing = of.failing_since.map(|since| {
        format!("its keys cannot be fetched for {} s; look at jwks_url and the way there", now().since(since).as_secs())
    });
    let state = match (of.usable, failing) {
        (true, None) => Ok(format!("{} keys", of.keys)),
        (true, Some(failing)) => Ok(format!("{} keys, but {failing}", of.keys)),
        (false, None) => Err("its keys are not here yet".to_owned()),
        (false, Some(failing)) => Err(failing),
    };
    Check::of(format!("issuer {}", of.issuer), state)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Switch(Mutex<bool>);

    #[async_trait]
    impl Probe for Switch {
        async fn check(&self) -> Vec<Check> {
            let on = *self.0.lock().unwrap();
            vec![Check::of("switch", if on { Ok("on".to_owned()) } else { Err("off".to_owned()) })]
        }
    }

    #[tokio::test]
    async fn it_is_ready_while_it_serves_and_every_probe_says_so() {
        let readiness = Readiness::new();
        let switch = Arc::new(Switch(Mutex::new(true)));
        readiness.watch(switch.clone());
        assert!(!readiness.report().await.ready, "not before it is bound");
        readiness.enter(Stage::Serving);
        assert!(readiness.report().await.ready);
        *switch.0.lock().unwrap() = false;
        let report = readiness.report().await;
        assert!(!report.ready);
        assert_eq!(
            report.checks[1],
            Check { name: "switch".to_owned(), ok: false, needed: true, detail: "off".to_owned() }
        );
        *switch.0.lock().unwrap() = true;
        readiness.enter(Stage::Stopping);
        assert!(!readiness.report().await.ready);
    }

    #[tokio::test]
    async fn an_issuer_that_is_away_is_told_and_takes_the_service_out_only_with_the_last_one() {
        struct Issuers(Vec<IssuerStatus>);

        #[async_trait]
        impl Probe for Issuers {
            async fn check(&self) -> Vec<Check> {
                of_issuers(&self.0)
            }
        }
        let issuer = |name: &str, usable| IssuerStatus {
            issuer: name.to_owned(),
            usable,
            keys: usize::from(usable),
            fetched_at: None,
            failing_since: None,
            looks: 1,
            failed_looks: 0,
        };
        for (one, other, ready) in [(true, true, true), (true, false, true), (false, false, false)] {
            let readiness = Readiness::new();
            readiness.enter(Stage::Serving);
            readiness.watch(Arc::new(Issuers(vec![issuer("one", one), issuer("other", other)])));
            let report = readiness.report().await;
            assert_eq!(report.ready, ready, "{report:?}");
            let told: Vec<bool> = report.checks.iter().skip(1).map(|check| check.ok).collect();
            assert_eq!(told, [one, other]);
        }
    }

    #[tokio::test]
    async fn a_store_that_answers_with_its_schema_is_right() {
        let probe = StoreProbe(SeaOrmStore::open_memory().await.unwrap());
        assert!(probe.check().await.iter().all(|check| check.ok));
    }
}
