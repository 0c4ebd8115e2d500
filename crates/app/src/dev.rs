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
use domicile_identity::MappedAuthenticator;
use domicile_identity::issuer::LoopbackIssuer;
use domicile_notify::CaptureGateway;
use domicile_store_seaorm::SeaOrmStore;
use serde_json::json;
use tokio::net::TcpListener;

use crate::cli::{DevArgs, TokenArgs};
use crate::credentials::{CredentialsFile, Person};
use crate::failure::Failure;
use crate::issuing::{self, Bearer, Subject};
use crate::output::Output;
use crate::sealer::AeadSealer;
use crate::seed::Seeder;
use crate::service::{Outside, Service, asked_to_stop};
use crate::telemetry::{self, LogSettings};

/// Memory for checks of access: far more than the example and what is tried with it takes.
const CACHE_BYTES: usize = 1 << 24;

pub(crate) async fn run(args: &DevArgs) -> Result<()> {
    let _logs = telemetry::install_for_service(&LogSettings::default())?;
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
    let service = Service::new(store, sealer, Budgets::default(), CACHE_BYTES);
    let Ports { store, clock, ids, .. } = service.ports.clone();
    let runner = TxRunner::new(store, clock.clone(), ids.clone());
    let seeder = Seeder { api: service.api.clone(), runner, clock, ids };
    let people = seeder.seed().await?;
    let key = write_credentials(&args.data, address, &people)?;
    let issuer = LoopbackIssuer::start(0).await.context("the issuer of tokens cannot listen on loopback")?;
    issuer.publish(&issuing::read_key(&key)?);
    let callers = issuing::callers(issuer.keys_url())?;
    let authenticator = Arc::new(MappedAuthenticator::start(callers, service.ports.clock.clone())?);

    let gateway = Arc::new(CaptureGateway::new(args.data.join("messages")));
    let stop = asked_to_stop()?;
    write!(std::io::stdout().lock(), "{}", banner(args, address, &issuer.keys_url(), &people)?)?;
    service
        .run(
            Outside {
                listener,
                authenticator,
                development: true,
                tls: None,
                gateway,
                language: LanguageTag::parse("en")?,
                // Whoever tries it out does not wait for others to turn elsewhere.
                limits: Limits { lame_duck: Duration::ZERO, ..Limits::default() },
                traces_percent: 0,
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

/// Keeps the key of an earlier start, so that tokens that people noted go on working.
fn write_credentials(folder: &Path, address: SocketAddr, people: &BTreeMap<String, Person>) -> Result<String> {
    let path = folder.join("credentials.json");
    let key = if path.exists() { CredentialsFile::read(&path)?.key } else { issuing::new_key()? };
    let endpoint = format!("http://{address}");
    CredentialsFile { endpoint, key: key.clone(), acting: "dana".to_owned(), people: people.clone() }.write(&path)?;
    Ok(key)
}

/// Prints a token of the development instance, whether or not it runs.
pub(crate) fn print_token(args: &TokenArgs) -> Result<(), Failure> {
    let file = CredentialsFile::read(&args.file.credentials).map_err(|error| Failure::new(2, error.to_string()))?;
    let key = issuing::read_key(&file.key)?;
    let person = args.acting.as_deref().map(|name| subject(&file, name, args.email.as_ref())).transpose()?;
    let (bearer, whose) = match (&person, args.service.as_deref()) {
        (None, service) => {
            let name = service.unwrap_or(issuing::COMMAND_LINE);
            (Bearer::Service(name), format!("of the service {name}"))
        }
        (Some(person), None) => (Bearer::Person(person), format!("of {}, their own", person.name)),
        (Some(person), Some(name)) => {
            (Bearer::Exchanged(person, name), format!("of {}, exchanged for the service {name}", person.name))
        }
    };
    let token = issuing::token(&key, &bearer, Duration::from_secs(args.minutes * 60))?;
    let output = Output::new(&args.print, true);
    output.result(&token, &json!({ "token": token, "endpoint": file.endpoint, "expires_in": args.minutes * 60 }))?;
    output.talk(&format!(
        "Token   {whose}, for {} minutes; send it as `authorization: Bearer ...` to {}",
        args.minutes, file.endpoint
    ))?;
    Ok(())
}

/// A person of the credentials, or somebody else by an address.
fn subject(file: &CredentialsFile, name: &str, email: Option<&String>) -> Result<Subject, Failure> {
    match (email, file.subject(name)) {
        (Some(_), Some(Subject { email: Some(theirs), .. })) => {
            Err(Failure::new(2, format!("`{name}` is {theirs} here; leave --email out, or take another name")))
        }
        (Some(email), _) => Ok(Subject { name: name.to_owned(), email: Some(email.clone()) }),
        (None, Some(known)) => Ok(known),
        (None, None) => {
            let known: Vec<&str> = file.people.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let said = format!(
                "nobody is called `{name}` here; give {known}, or add --email with the address of their account"
            );
            Err(Failure::new(2, said))
        }
    }
}

/// How this program was called, so that what it prints can be typed as it is.
pub(crate) fn own_name() -> String {
    std::env::args().next().unwrap_or_else(|| "domicile".to_owned())
}

fn banner(args: &DevArgs, address: SocketAddr, keys: &str, people: &BTreeMap<String, Person>) -> Result<String> {
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
    writeln!(text, "  Tokens    {me} dev token --as dana{flag}      (also --service projects; keys at {keys})")?;
    writeln!(text, "  Messages  {data}/messages")?;
    Ok(text)
}
