//! `domicile dev`: the whole product in one process, for trying out. Loopback only, messages captured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::TryLockError;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domicile_domain::model::budget::Budgets;
use domicile_domain::model::language::LanguageTag;
use domicile_domain::usecase::{Ports, TxRunner};
use domicile_grpc::Limits;
use domicile_notify::CaptureGateway;
use domicile_store_seaorm::SeaOrmStore;
use tokio::net::TcpListener;

use crate::auth::DevelopmentAuthenticator;
use crate::cli::DevArgs;
use crate::credentials::{CredentialsFile, Person};
use crate::sealer::{AeadSealer, random};
use crate::seed::Seeder;
use crate::service::{Outside, Service, asked_to_stop};
use crate::telemetry::{self, LogFormat, LogSettings};

/// As many people in workspaces as the service keeps unless told otherwise.
const CACHED_CHECKS: usize = 100_000;

pub(crate) async fn run(args: &DevArgs) -> Result<()> {
    let _logs = telemetry::install_for_service(&LogSettings { level: "warn".to_owned(), format: LogFormat::Auto })?;
    refuse_production()?;
    if !args.listen.ip().is_loopback() {
        bail!(
            "the development sign-in serves on loopback only, and {} is not; use --listen 127.0.0.1:{}",
            args.listen,
            args.listen.port()
        );
    }
    std::fs::create_dir_all(&args.data)
        .with_context(|| format!("the data folder {} cannot be made; name another with --data", args.data.display()))?;
    let _lock = lock(&args.data)?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!("{} cannot be listened on; is something running there? Choose another with --listen", args.listen)
    })?;
    let address = listener.local_addr()?;

    let store = SeaOrmStore::open_file(&args.data.join("domicile.db")).await?;
    let sealer = AeadSealer::of_file(&args.data.join("sealing.key"))?;
    let service = Service::new(store, sealer, Budgets::default(), CACHED_CHECKS);
    let Ports { store, clock, ids, .. } = service.ports.clone();
    let runner = TxRunner::new(store, clock.clone(), ids.clone());
    let seeder = Seeder { api: service.api.clone(), runner, clock, ids };
    let people = seeder.seed().await?;
    let token = write_credentials(&args.data, address, &people)?;

    let gateway = Arc::new(CaptureGateway::new(args.data.join("messages")));
    let stop = asked_to_stop()?;
    write!(std::io::stdout().lock(), "{}", banner(args, address, &people)?)?;
    service
        .run(
            Outside {
                listener,
                authenticator: Arc::new(DevelopmentAuthenticator::new(token)),
                development: true,
                tls: None,
                gateway,
                language: LanguageTag::parse("en")?,
                // Whoever tries it out does not wait for others to turn elsewhere.
                limits: Limits { lame_duck: Duration::ZERO, ..Limits::default() },
            },
            stop,
        )
        .await
}

fn refuse_production() -> Result<()> {
    if std::env::var("DOMICILE_ENV").is_ok_and(|value| value.eq_ignore_ascii_case("production")) {
        bail!(
            "`domicile dev` does not run where DOMICILE_ENV is production: anybody on this machine could act as anybody"
        );
    }
    Ok(())
}

/// One process for a data folder. The lock ends with the process, however it ends.
fn lock(folder: &Path) -> Result<std::fs::File> {
    let path = folder.join("lock");
    let file = std::fs::File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another `domicile dev` uses {}; stop it, or name another folder with --data", folder.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
    }
}

/// Keeps the token of an earlier start, so that what people noted goes on working.
fn write_credentials(folder: &Path, address: SocketAddr, people: &BTreeMap<String, Person>) -> Result<String> {
    let path = folder.join("credentials.json");
    let token = if path.exists() { CredentialsFile::read(&path)?.token } else { hex::encode(random::<32>()?) };
    let endpoint = format!("http://{address}");
    CredentialsFile { endpoint, token: token.clone(), acting: "dana".to_owned(), people: people.clone() }
        .write(&path)?;
    Ok(token)
}

/// How this program was called, so that what it prints can be typed as it is.
pub(crate) fn own_name() -> String {
    std::env::args().next().unwrap_or_else(|| "domicile".to_owned())
}

fn banner(args: &DevArgs, address: SocketAddr, people: &BTreeMap<String, Person>) -> Result<String> {
    let me = own_name();
    let data = args.data.display();
    let flag = if args.data == Path::new("./domicile-dev") {
        String::new()
    } else {
        format!(" --credentials {data}/credentials.json")
    };
    let mut text = String::new();
    writeln!(
        text,
        "domicile {}  DEVELOPMENT MODE: data in {data} (delete to start over), messages are captured, not sent",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(text, "  gRPC      {address}     reflection on: grpcurl -plaintext {address} list")?;
    writeln!(
        text,
        "  Example   workspaces acme and borealis (related), {} people, 8 roles; you act as Dana Reyes, AccessManager of Acme",
        people.len()
    )?;
    writeln!(
        text,
        "  Try       {me} assign m.okafor@borealis.example --workspace acme --role guest{flag}      (exists: joins as External)"
    )?;
    writeln!(
        text,
        "            {me} assign anna@acme.example --workspace acme --role member --first-name Anna --last-name Kovacs --username anna.kovacs --language en{flag}      (nobody yet: becomes Internal)"
    )?;
    writeln!(text, "            {me} notifications list --workspace acme{flag}")?;
    writeln!(text, "  Messages  {data}/messages")?;
    Ok(text)
}
