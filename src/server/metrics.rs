//! Figures for Prometheus, over HTTP: what was asked, what came of it, and how the server is.
//!
//! They hold no personal data: labels are names of ours, and never who or which customer.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::config;
use crate::app::{App, Figures};
use crate::domain::model::ModelKind;

/// Where the figures are served, until this is dropped.
pub(super) struct Metrics {
    /// The address.
    pub(super) address: SocketAddr,
    serving: JoinHandle<()>,
}

/// The figures that are looked up when somebody asks for them.
struct Looked {
    events: IntCounterVec,
    refusals: IntGauge,
    unserved: IntGaugeVec,
    takes_writes: IntGauge,
    revision: IntGauge,
}

/// A registry with the figures of the process in it.
///
/// # Errors
/// Never: its figures have different names.
pub(super) fn registry() -> anyhow::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    Ok(registry)
}

/// Serves the figures of a registry and of `app` where the configuration wants them.
///
/// # Errors
/// When the address is none, or cannot be listened on.
pub(super) async fn start(config: &config::Metrics, registry: Registry, app: App) -> anyhow::Result<Option<Metrics>> {
    if config.listen.is_empty() {
        return Ok(None);
    }
    let listener = TcpListener::bind(&config.listen).await;
    let listener = listener.with_context(|| format!("listening on {} for metrics.listen", config.listen))?;
    let address = listener.local_addr()?;
    let looked = std::sync::Arc::new(Looked::new(&registry)?);
    let answer = move || {
        looked.look(&app.figures());
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&registry.gather(), &mut text);
        let code = if encoded.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        (code, [(CONTENT_TYPE, TEXT_FORMAT)], text)
    };
    let router = Router::new().route("/metrics", get(async move || answer()));
    let serving = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "metrics are served no more");
        }
    });
    Ok(Some(Metrics { address, serving }))
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Looked {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let looked = Self {
            events: IntCounterVec::new(
                Opts::new("rapport_events_total", "Events that were sent, by what became of them."),
                &["status"],
            )?,
            refusals: IntGauge::new("rapport_consent_refusals", "Reads refused for want of consent since the start.")?,
            unserved: IntGaugeVec::new(
                Opts::new("rapport_models_unserved", "Models that should answer and could not be loaded, by kind."),
                &["kind"],
            )?,
            takes_writes: IntGauge::new("rapport_takes_writes", "1 while writes are taken, 0 while the disk is full.")?,
            revision: IntGauge::new("rapport_revision", "Number of the last commit.")?,
        };
        registry.register(Box::new(looked.events.clone()))?;
        registry.register(Box::new(looked.refusals.clone()))?;
        registry.register(Box::new(looked.unserved.clone()))?;
        registry.register(Box::new(looked.takes_writes.clone()))?;
        registry.register(Box::new(looked.revision.clone()))?;
        Ok(looked)
    }

    fn look(&self, figures: &Figures) {
        for (status, count) in figures.events {
            let counter = self.events.with_label_values(&[status]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        for kind in ModelKind::ALL {
            let count = figures.unserved.iter().filter(|unserved| **unserved == kind).count();
            self.unserved.with_label_values(&[kind.name()]).set(signed(count as u64));
        }
        self.refusals.set(signed(figures.refusals));
        self.takes_writes.set(i64::from(figures.takes_writes));
        self.revision.set(signed(figures.revision.0));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
