//! Logs: text on a terminal, JSON elsewhere; to standard error, so that results stay clean.
//!
//! A service hands its lines to a thread that writes them. Whoever should read standard error and does not holds up that
//! thread alone: lines that find no room any more are dropped and counted.

use std::io::IsTerminal;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the writing thread: a few megabytes at most.
const WAITING_LINES: usize = 8192;

/// In which form lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("give auto, text or json"),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// `RUST_LOG` wins over it: `warn`, `info,sqlx=error`.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// The logs of a service. Dropping it writes what still waits, for a second at most.
pub(crate) struct ServiceLogs {
    _writing: WorkerGuard,
    dropped: ErrorCounter,
}

impl ServiceLogs {
    /// How many lines were dropped since the start.
    pub(crate) fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

/// Logs of a command, which tells only what went wrong: its caller waits for each line.
pub(crate) fn install_for_command() -> Result<()> {
    install(&LogSettings { level: "warn".to_owned(), format: LogFormat::Auto }, std::io::stderr)
}

/// Logs of a service, which waits for nobody.
pub(crate) fn install_for_service(settings: &LogSettings) -> Result<ServiceLogs> {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).thread_name("logs");
    let (writer, writing) = builder.finish(std::io::stderr());
    let dropped = writer.error_counter();
    install(settings, writer)?;
    Ok(ServiceLogs { _writing: writing, dropped })
}

fn install(settings: &LogSettings, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> Result<()> {
    let level = &settings.level;
    let filter = match std::env::var("RUST_LOG") {
        Ok(wanted) => EnvFilter::try_new(&wanted).with_context(|| format!("RUST_LOG `{wanted}` cannot be read"))?,
        Err(_) => EnvFilter::try_new(level).with_context(|| format!("log.level `{level}` cannot be read"))?,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let on_a_terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !on_a_terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let installed = if json { builder.json().try_init() } else { builder.with_ansi(on_a_terminal).try_init() };
    installed.map_err(|error| anyhow!("logs cannot be written: {error}"))
}
