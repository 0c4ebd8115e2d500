//! Traces for a collector: every call that its trace asks to record becomes one span, sent by OTLP.
//!
//! A span says the same ids as the log and as the `traceparent` of the answer. It has what the table of attributes in
//! [`CallSpan`] names and nothing else, so that nothing personal can get in. Nobody waits for a collector: what finds no
//! room is dropped, and what could not be sent is told and counted.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use metrics::{counter, describe_counter};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TraceSettings;

const SENT: &str = "domicile.traces.spans.sent";
const FAILED: &str = "domicile.traces.spans.failed";

/// How long the collector may take for a batch.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// How long the last spans may take at the end.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// Sends spans in a thread of its own, until it is told to end.
#[derive(Debug, Clone)]
pub(crate) struct Traces(Arc<BatchSpanProcessor>);

impl Traces {
    /// Needs a runtime, on which the connection lives. A collector that is away is no reason not to start.
    pub(crate) fn start(settings: &TraceSettings) -> Result<Self> {
        describe_counter!(SENT, "Spans that the collector of traces took");
        describe_counter!(FAILED, "Spans that could not be sent to the collector of traces");
        let endpoint = Endpoint::from_shared(settings.endpoint.clone()).context("telemetry.otlp.endpoint")?;
        let endpoint = if settings.endpoint.starts_with("https:") {
            let tls = match &settings.root_certificate {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_webpki_roots(),
            };
            endpoint.tls_config(tls).context("telemetry.otlp.root_certificate")?
        } else {
            endpoint
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(endpoint.connect_timeout(SENT_WITHIN).timeout(SENT_WITHIN).connect_lazy())
            .with_timeout(SENT_WITHIN)
            .build()
            .context("traces cannot be sent")?;
        let mut processor =
            BatchSpanProcessor::builder(Told { exporter, failing: Arc::new(Mutex::new(false)) }).build();
        let resource = Resource::builder_empty().with_service_name("domicile").with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        ]);
        processor.set_resource(&resource.build());
        Ok(Self(Arc::new(processor)))
    }

    /// What takes the spans of calls, and nothing else that is traced or logged.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let calls: FilterFn =
            filter_fn(|of| of.is_span() && of.name() == "call" && of.target() == "domicile_grpc::gate");
        Calls(self.clone()).with_filter(calls)
    }

    /// Sends what is left, for a while.
    pub(crate) async fn end(self) {
        // It waits for its thread, which no worker of the runtime should.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(ENDED_WITHIN)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Counts what was sent, and says once when that begins to fail and once when it works again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    failing: Arc<Mutex<bool>>,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let (exported, failing) = (self.exporter.export(batch), self.failing.clone());
        async move {
            let sent = exported.await;
            counter!(if sent.is_ok() { SENT } else { FAILED }).increment(spans);
            let failed_before =
                std::mem::replace(&mut *failing.lock().unwrap_or_else(PoisonError::into_inner), sent.is_err());
            match &sent {
                Err(error) if !failed_before => {
                    tracing::warn!(%error, "traces cannot be sent; calls go on without. Look at telemetry.otlp.endpoint");
                }
                Ok(()) if failed_before => tracing::info!("traces are sent again"),
                _ => {}
            }
            sent
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// What the gate says of a call.
#[derive(Debug, Default)]
struct CallSpan {
    method: String,
    request_id: String,
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
    sampled: bool,
    status: Option<i64>,
}

/// Whether a status tells of trouble of the server, not of its caller.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

impl CallSpan {
    /// The span as the collector gets it; nothing if it is not to be recorded.
    fn finished(&mut self, started: SystemTime) -> Option<SpanData> {
        let (trace, span) = (self.trace?, self.span?);
        let status = self.status.take().filter(|_| self.sampled)?;
        let code = Code::from_i32(i32::try_from(status).ok()?);
        let attributes = vec![
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.method", self.method.clone()),
            KeyValue::new("rpc.grpc.status_code", status),
            KeyValue::new("request.id", self.request_id.clone()),
        ];
        Some(SpanData {
            span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: self.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: self.parent.is_some(),
            span_kind: SpanKind::Server,
            name: Cow::Owned(self.method.clone()),
            start_time: started,
            end_time: SystemTime::now(),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if is_fault(code) { Status::error(code.description()) } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder("domicile").build(),
        })
    }
}

impl Visit for CallSpan {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Ids are said by `Display`, which comes as this.
        let hex = |value: &dyn std::fmt::Debug| format!("{value:?}");
        match field.name() {
            "trace.id" => self.trace = TraceId::from_hex(&hex(value)).ok(),
            "span.id" => self.span = SpanId::from_hex(&hex(value)).ok(),
            "parent.id" => self.parent = SpanId::from_hex(&hex(value)).ok(),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "rpc.method" => value.clone_into(&mut self.method),
            "request.id" => value.clone_into(&mut self.request_id),
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "trace.sampled" {
            self.sampled = value;
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "rpc.grpc.status_code" {
            self.status = Some(value);
        }
    }
}

/// A call at work, and since when.
struct AtWork(CallSpan, SystemTime);

/// Takes the spans of calls.
struct Calls(Traces);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Calls {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut call = CallSpan::default();
        attributes.record(&mut call);
        if let (true, Some(span)) = (call.sampled, context.span(id)) {
            span.extensions_mut().insert(AtWork(call, SystemTime::now()));
        }
    }

    /// The gate says a call's status once, when it has ended for its caller; its work may go on.
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(AtWork(call, started)) = extensions.get_mut() else { return };
        values.record(call);
        if let Some(finished) = call.finished(*started) {
            self.0.0.on_end(finished);
        }
    }
}
