//! The running service, the same for `dev` and `serve`: use cases over one store, the server, and the sending of messages.

use std::sync::Arc;

use anyhow::{Context, Result};
use domicile_cache::{Cached, CachedDirectory, cached};
use domicile_contact::{CldrLanguageMatcher, LibPhoneParser};
use domicile_domain::model::budget::Budgets;
use domicile_domain::model::language::LanguageTag;
use domicile_domain::port::authenticator::Authenticator;
use domicile_domain::port::directory::Directory;
use domicile_domain::port::notifier::NotificationGateway;
use domicile_domain::port::store::Store;
use domicile_domain::usecase::{Dispatcher, Domicile, Ports};
use domicile_grpc::tls::Tls;
use domicile_grpc::{Limits, ServerParts};
use domicile_notify::FluentWriter;
use domicile_store_seaorm::SeaOrmStore;
use tokio::net::TcpListener;

use crate::dispatching::Dispatching;
use crate::runtime::{SystemClock, SystemIds};
use crate::sealer::AeadSealer;

/// A service that is ready to run.
pub(crate) struct Service {
    pub(crate) store: Arc<SeaOrmStore>,
    /// What stands before it for checks, unless it is off.
    pub(crate) cache: Option<Arc<CachedDirectory>>,
    pub(crate) ports: Ports,
    pub(crate) api: Arc<Domicile>,
}

/// How the service is reached and how it tells people.
pub(crate) struct Outside {
    pub(crate) listener: TcpListener,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    /// Whether anybody can act as anybody.
    pub(crate) development: bool,
    /// What it is encrypted with; absent on loopback only.
    pub(crate) tls: Option<Tls>,
    pub(crate) gateway: Arc<dyn NotificationGateway>,
    pub(crate) language: LanguageTag,
    pub(crate) limits: Limits,
    /// Of the traces that begin here, how many in a hundred are recorded.
    pub(crate) traces_percent: u8,
}

impl Service {
    /// Over a store, with a cache of so many bytes; none for 0.
    pub(crate) fn new(store: SeaOrmStore, sealer: AeadSealer, budgets: Budgets, cache: usize) -> Self {
        let (store, clock) = (Arc::new(store), Arc::new(SystemClock));
        let (cache, write_side, read_side): (_, Arc<dyn Store>, Arc<dyn Directory>) = if cache == 0 {
            (None, store.clone(), store.clone())
        } else {
            let Cached { store, directory } = cached(store.clone(), store.clone(), clock.clone(), cache);
            (Some(directory.clone()), store, directory)
        };
        let ports = Ports {
            store: write_side,
            directory: read_side,
            clock,
            ids: Arc::new(SystemIds),
            sealer: Arc::new(sealer),
            phones: Arc::new(LibPhoneParser),
            languages: Arc::new(CldrLanguageMatcher),
        };
        let api = Arc::new(Domicile::new(ports.clone()).with_budgets(budgets));
        Self { store, cache, ports, api }
    }

    /// Serves and sends until `stop` ends.
    pub(crate) async fn run(self, outside: Outside, stop: impl Future<Output = ()>) -> Result<()> {
        let writer = Arc::new(FluentWriter::new()?);
        let dispatcher = Dispatcher::new(self.ports.clone(), writer, outside.gateway, outside.language);
        let dispatching = Dispatching::start(dispatcher);
        let server = ServerParts {
            api: self.api,
            store_health: self.store,
            authenticator: outside.authenticator,
            development: outside.development,
            tls: outside.tls,
            clock: self.ports.clock,
            ids: self.ports.ids,
            limits: outside.limits,
            traces_percent: outside.traces_percent,
        };
        let outcome = domicile_grpc::serve(server, outside.listener, stop).await;
        dispatching.stop().await;
        Ok(outcome?)
    }
}

/// Ends when the process is asked to stop. Signals count from this call on, not only once it is awaited.
#[cfg(unix)]
pub(crate) fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C cannot be awaited")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends when the process is asked to stop.
#[cfg(not(unix))]
pub(crate) fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(error = %error, "Ctrl-C cannot be awaited; stopping");
        }
    })
}
