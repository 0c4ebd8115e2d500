//! `domicile serve`: the service over the database and the mail server of the configuration.

use std::sync::Arc;

use anyhow::Context;
use domicile_domain::port::notifier::NotificationGateway;
use domicile_notify::CaptureGateway;
use domicile_notify::smtp::{SmtpGateway, SmtpSettingsError};
use domicile_store_seaorm::SeaOrmStore;
use tokio::net::TcpListener;

use crate::cli::ConfigArgs;
use crate::config::ServeConfig;
use crate::failure::Failure;
use crate::sealer::AeadSealer;
use crate::service::{Outside, Service, asked_to_stop};
use crate::settings::read;
use crate::telemetry;

pub(crate) async fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let layers = read(args)?;
    telemetry::install(layers.get("log").map_or("info", |setting| setting.value.as_str()))?;
    let config = layers.serve().map_err(|error| Failure::invalid(&error))?;
    if !config.listen.ip().is_loopback() {
        let message = format!(
            "the token of auth.development_token can act as anybody, so it serves on loopback only, and {} is not; set \
             listen to 127.0.0.1:{}",
            config.listen,
            config.listen.port()
        );
        return Err(Failure::new(6, message));
    }
    let store = SeaOrmStore::open(&config.database.database, config.database.pool_size).await?;
    let service = Service::new(store, AeadSealer::new(&config.sealing_keys.0), config.budgets);
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("{} cannot be listened on; is something running there? Choose another with --listen", config.listen)
    })?;
    let gateway = gateway(&config).map_err(|error| Failure::new(6, error.to_string()))?;
    let address = listener.local_addr()?;
    let stop = asked_to_stop()?;
    tracing::info!(listen = %address, database = %config.database.database, "domicile serves");
    Ok(service.run(Outside { listener, token: config.token.0, gateway, language: config.language }, stop).await?)
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
