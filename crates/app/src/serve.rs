//! `domicile serve`: the service over the database and the mail server of the configuration.

use std::sync::Arc;

use anyhow::Context;
use domicile_domain::port::notifier::NotificationGateway;
use domicile_notify::CaptureGateway;
use domicile_notify::smtp::{SmtpGateway, SmtpSettingsError};
use domicile_store_seaorm::SeaOrmStore;
use tokio::net::TcpListener;

use crate::admin::Admin;
use crate::cli::ConfigArgs;
use crate::config::{AdminListen, ServeConfig, SignIn};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::readiness::{Stage, StoreProbe};
use crate::sealer::AeadSealer;
use crate::service::{Outside, Service, asked_to_stop};
use crate::settings::read;
use crate::telemetry;

pub(crate) async fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let layers = read(args)?;
    let logs = telemetry::install_for_service(&layers.logs().map_err(|error| Failure::invalid(&error))?)?;
    let config = layers.serve().map_err(|error| Failure::invalid(&error))?;
    let admin = match config.admin {
        AdminListen::At(address) => Some(Admin::start(address, Metrics::record(logs.dropped())?).await?),
        AdminListen::Off => None,
    };
    let enter = |stage| admin.iter().for_each(|admin| admin.readiness().enter(stage));
    let store = SeaOrmStore::open(&config.database.database, config.database.pool_size).await?;
    let service = Service::new(store.clone(), AeadSealer::new(&config.sealing_keys.0));
    if let Some(admin) = &admin {
        admin.readiness().watch(Arc::new(StoreProbe(store.clone())));
        admin.metrics().ask(store, service.api.clone());
    }
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("{} cannot be listened on; is something running there? Choose another with --listen", config.listen)
    })?;
    let gateway = gateway(&config).map_err(|error| Failure::new(6, error.to_string()))?;
    let address = listener.local_addr()?;
    let asked = asked_to_stop()?;
    let stop = async {
        asked.await;
        enter(Stage::Stopping);
    };
    enter(Stage::Serving);
    tracing::info!(listen = %address, database = %config.database.database, "domicile serves");
    let SignIn::Development(token) = config.sign_in;
    let outside = Outside { listener, token: token.0, gateway, language: config.language, limits: config.limits };
    Ok(service.run(outside, stop).await?)
}

fn gateway(config: &ServeConfig) -> Result<Arc<dyn NotificationGateway>, SmtpSettingsError> {
    if let Some(mail) = config.mail.clone() {
        tracing::info!(smtp.host = mail.host, smtp.port = mail.port, smtp.sender = mail.sender, "mail is sent");
        return SmtpGateway::new(mail).map(|gateway| Arc::new(gateway) as _);
    }
    tracing::warn!(
        folder = %config.messages.display(),
        "messages are captured, not sent: there is no mail server. Set smtp.host and smtp.sender to send"
    );
    Ok(Arc::new(CaptureGateway::new(&config.messages)))
}
