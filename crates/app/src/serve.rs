//! `domicile serve`: the service over the database and the mail server of the configuration.

use std::sync::Arc;

use anyhow::Context;
use domicile_domain::port::authenticator::Authenticator;
use domicile_domain::port::notifier::NotificationGateway;
use domicile_domain::usecase::Ports;
use domicile_grpc::tls::Tls;
use domicile_identity::MappedAuthenticator;
use domicile_notify::CaptureGateway;
use domicile_notify::smtp::{SmtpGateway, SmtpSettingsError};
use domicile_store_seaorm::SeaOrmStore;
use tokio::net::TcpListener;

use crate::admin::Admin;
use crate::auth::DevelopmentAuthenticator;
use crate::cli::ConfigArgs;
use crate::config::{AdminListen, Layers, ServeConfig, SignIn};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::readiness::{IssuersProbe, Stage, StoreProbe};
use crate::sealer::AeadSealer;
use crate::service::{Outside, Service, asked_to_stop};
use crate::settings::read;
use crate::telemetry::{self, LogSettings, ServiceLogs};

pub(crate) async fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let layers = read(args)?;
    let log_settings = layers.logs().map_err(|error| Failure::invalid(&error))?;
    let logs = telemetry::install_for_service(&log_settings)?;
    let ended = Box::pin(serve(&layers, &log_settings, &logs)).await;
    #[cfg(feature = "otlp")]
    logs.end().await;
    ended
}

async fn serve(layers: &Layers, log_settings: &LogSettings, logs: &ServiceLogs) -> Result<(), Failure> {
    let config = layers.serve().map_err(|error| Failure::invalid(&error))?;
    let admin = match config.admin {
        AdminListen::At(address) => Some(Admin::start(address, Metrics::record(logs.dropped())?).await?),
        AdminListen::Off => None,
    };
    let enter = |stage| admin.iter().for_each(|admin| admin.readiness().enter(stage));
    let store = SeaOrmStore::open(&config.database.database, config.database.pool_size).await?;
    let service =
        Service::new(store.clone(), AeadSealer::new(&config.sealing_keys.0), config.budgets, config.cache_bytes);
    if let Some(admin) = &admin {
        admin.readiness().watch(Arc::new(StoreProbe(store.clone())));
        admin.metrics().ask(store, service.api.clone(), service.cache.clone());
    }
    let gateway = gateway(&config).map_err(|error| Failure::new(6, error.to_string()))?;
    let sign_in = sign_in(config.sign_in, &service.ports)?;
    if let (Some(admin), Some(mapped)) = (&admin, sign_in.mapped) {
        admin.readiness().watch(Arc::new(IssuersProbe(mapped.clone())));
        admin.metrics().ask_issuers(mapped);
    }
    let tls = match config.tls {
        Some(settings) => Some(Tls::open(settings).await.map_err(|error| Failure::new(6, error.to_string()))?),
        None => None,
    };
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("{} cannot be listened on; is something running there? Choose another with --listen", config.listen)
    })?;
    let address = listener.local_addr()?;
    let asked = asked_to_stop()?;
    let stop = async {
        asked.await;
        enter(Stage::Stopping);
    };
    enter(Stage::Serving);
    tracing::info!(listen = %address, database = %config.database.database, "domicile serves");
    let outside = Outside {
        listener,
        authenticator: sign_in.authenticator,
        development: sign_in.development,
        tls,
        gateway,
        language: config.language,
        limits: config.limits,
        traces_percent: log_settings.traces.as_ref().map_or(0, |traces| traces.percent),
    };
    Ok(service.run(outside, stop).await?)
}

/// Who tells callers.
struct Known {
    authenticator: Arc<dyn Authenticator>,
    development: bool,
    mapped: Option<Arc<MappedAuthenticator>>,
}

fn sign_in(of: SignIn, ports: &Ports) -> anyhow::Result<Known> {
    Ok(match of {
        SignIn::Development(token) => {
            tracing::warn!(
                "whoever has the token of auth.development_token can act as anybody; it serves on loopback alone"
            );
            let authenticator = Arc::new(DevelopmentAuthenticator::new(token.0));
            Known { authenticator, development: true, mapped: None }
        }
        SignIn::Mapped(config) => {
            let mapped = Arc::new(MappedAuthenticator::start(config, ports.clock.clone())?);
            Known { authenticator: mapped.clone(), development: false, mapped: Some(mapped) }
        }
    })
}

fn gateway(config: &ServeConfig) -> Result<Arc<dyn NotificationGateway>, SmtpSettingsError> {
    if let Some(mail) = config.mail.clone() {
        tracing::info!(smtp.host = mail.host, smtp.port = mail.port, "mail is sent");
        return SmtpGateway::new(mail).map(|gateway| Arc::new(gateway) as _);
    }
    tracing::warn!(
        folder = %config.messages.display(),
        "messages are captured, not sent: there is no mail server. Set smtp.host and smtp.sender to send"
    );
    Ok(Arc::new(CaptureGateway::new(&config.messages)))
}
