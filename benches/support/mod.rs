//! Customers and their events, as several benches send them.

use std::path::Path;

use anyhow::ensure;
use rapport::app::{App, Caller, IncomingEvent, OutcomeStatus, WriteMode};
use rapport::domain::event::{Draft, SentIdentifier};
use rapport::domain::id::WorkspaceId;
use rapport::domain::payload::{Payload, Track};
use rapport::domain::value::Map;
use rapport::domain::violation::Violations;

/// Who sends them.
pub(crate) fn caller() -> Caller {
    Caller::unrestricted(WorkspaceId::default_workspace())
}

/// Has events accepted, every one.
pub(crate) async fn accept(app: &App, drafts: Vec<Draft>) -> anyhow::Result<()> {
    let incoming = |draft| IncomingEvent { draft, violations: Violations::new() };
    let events = drafts.into_iter().map(incoming).collect();
    let ingested = app.ingest_events(&caller(), events, WriteMode::Commit).await?;
    ensure!(ingested.outcomes.iter().all(|outcome| matches!(outcome.status, OutcomeStatus::Accepted(_))));
    Ok(())
}

/// The names of a customer, the strongest first.
pub(crate) fn names(customer: usize, count: usize) -> Vec<(&'static str, String)> {
    let all = [
        ("user_id", format!("customer-{customer}")),
        ("email", format!("customer-{customer}@example.com")),
        ("device_id", format!("device-{customer:012}")),
        ("anonymous_id", format!("visitor-{customer:012}")),
        ("loyalty_id", format!("card-{customer:012}")),
    ];
    all.into_iter().take(count).collect()
}

/// The id of an event of a customer.
pub(crate) fn event_id(customer: usize, number: usize) -> String {
    format!("event-{customer}-{number}")
}

/// An event of a customer that happens when it comes.
pub(crate) fn draft(customer: usize, number: usize, identifiers: usize) -> Draft {
    let identifier = |(kind, value): (&str, String)| SentIdentifier { kind: kind.into(), value: value.into() };
    Draft {
        event_id: event_id(customer, number).into(),
        source: "bench".into(),
        identifiers: names(customer, identifiers).into_iter().map(identifier).collect(),
        original_time: None,
        sent_time: None,
        channel: "web".into(),
        touchpoint: "checkout".into(),
        payload: Some(Payload::Track(Track { name: "order_viewed".into(), properties: Map::new() })),
    }
}

/// Bytes of all files below a directory.
pub(crate) fn bytes_on_disk(path: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes_on_disk(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}
