//! Logs: text on a terminal, JSON elsewhere; to standard error, so that results stay clean.
//!
//! A service hands its lines to a thread that writes them. Whoever should read standard error and does not holds up that
//! thread alone: lines that find no room any more are dropped and counted.

use std::io::IsTerminal;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::TraceSettings;
#[cfg(feature = "otlp")]
use crate::traces::Traces;

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

/// What is logged and traced, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// `RUST_LOG` wins over it: `warn`, `info,sqlx=error`.
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    /// Where traces are sent, if they are.
    pub(crate) traces: Option<TraceSettings>,
}

impl Default for LogSettings {
    /// Only what went wrong, and no traces.
    fn default() -> Self {
        Self { level: "warn".to_owned(), format: LogFormat::Auto, traces: None }
    }
}

/// The logs of a service, and its traces. Dropping it writes what still waits, for a second at most.
pub(crate) struct ServiceLogs {
    _writing: WorkerGuard,
    dropped: ErrorCounter,
    #[cfg(feature = "otlp")]
    traces: Option<Traces>,
}

impl ServiceLogs {
    /// How many lines were dropped since the start.
    pub(crate) fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }

    /// Sends the traces and writes the lines that still wait, for a while.
    #[cfg(feature = "otlp")]
    pub(crate) async fn end(self) {
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Logs of a command, which tells only what went wrong: its caller waits for each line.
pub(crate) fn install_for_command() -> Result<()> {
    install(vec![lines(&LogSettings::default(), std::io::stderr)?])
}

/// Logs of a service, which waits for nobody.
pub(crate) fn install_for_service(settings: &LogSettings) -> Result<ServiceLogs> {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES).thread_name("logs");
    let (writer, writing) = builder.finish(std::io::stderr());
    let dropped = writer.error_counter();
    let lines = lines(settings, writer)?;
    #[cfg(feature = "otlp")]
    {
        let traces = settings.traces.as_ref().map(Traces::start).transpose()?;
        let layer = traces.as_ref().map(|traces| traces.layer().boxed());
        install(std::iter::once(lines).chain(layer).collect())?;
        Ok(ServiceLogs { _writing: writing, dropped, traces })
    }
    #[cfg(not(feature = "otlp"))]
    {
        install(vec![lines])?;
        Ok(ServiceLogs { _writing: writing, dropped })
    }
}

fn install(layers: Vec<BoxedLayer>) -> Result<()> {
    tracing_subscriber::registry().with(layers).try_init().map_err(|error| anyhow!("logs cannot be written: {error}"))
}

/// What writes the lines of the log.
fn lines(settings: &LogSettings, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> Result<BoxedLayer> {
    let level = &settings.level;
    let filter = match std::env::var("RUST_LOG") {
        Ok(wanted) => EnvFilter::try_new(&wanted).with_context(|| format!("RUST_LOG `{wanted}` cannot be read"))?,
        Err(_) => EnvFilter::try_new(level).with_context(|| format!("log.level `{level}` cannot be read"))?,
    };
    let on_a_terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !on_a_terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = fmt::layer().with_writer(writer);
    Ok(if json {
        lines.json().with_filter(filter).boxed()
    } else {
        lines.with_ansi(on_a_terminal).with_filter(filter).boxed()
    })
}
