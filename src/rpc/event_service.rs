//! `EventService`.

use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::Call;
use super::convert::page::Budget;
use super::convert::{customer, event, page, read, rejection, time};
use super::event_stream::EventStream;
use super::layers::Admission;
use super::pb::event_service_server::EventService;
use super::stopping::Stopping;
use super::{pb, status};
use crate::app::{App, Error, EventFilter, EventQuery, Outcome, OutcomeStatus, Result, WriteMode, produce};
use crate::domain::limits;
use crate::domain::payload::Payload;
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Events {
    app: App,
    admission: Admission,
    stopping: Stopping,
}

impl Events {
    pub(super) fn new(app: App, admission: Admission, stopping: Stopping) -> Self {
        Self { app, admission, stopping }
    }

    async fn ingest(&self, call: &Call, request: pb::IngestEventsRequest) -> Result<pb::IngestEventsResponse> {
        let mode = if request.validate_only { WriteMode::ValidateOnly } else { WriteMode::Commit };
        let ingested = self.app.ingest_events(&call.caller, event::batch(request.events), mode).await?;
        Ok(pb::IngestEventsResponse {
            results: results(call, ingested.outcomes),
            revision: ingested.revision.to_string(),
        })
    }

    async fn list(&self, call: &Call, request: pb::ListEventsRequest) -> Result<pb::ListEventsResponse> {
        let mut violations = Violations::new();
        let filter = filter(&request, &mut violations);
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let page = page::request(request.page_size, request.page_token, &violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, None, violations);
        let query = EventQuery { filter, page };
        let (page, revision) = self.app.list_events(&call.caller, &customer, &query, &read).await?;
        let (events, next_page_token) = page::to_pb(page, |found| call.shown(event::to_pb(found.clone())));
        Ok(pb::ListEventsResponse { events, next_page_token, revision: revision.to_string() })
    }

    async fn rejections(&self, call: &Call, request: pb::ListRejectionsRequest) -> Result<pb::ListRejectionsResponse> {
        let mut violations = Violations::new();
        violations.check_text("source", &request.source, limits::EVENT_KEY_BYTES);
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (page, revision) = self.app.list_rejections(&call.caller, &request.source, &wanted, &read).await?;
        let (rejections, next_page_token) = page::to_pb(page, |found| call.shown(rejection::to_pb(found)));
        Ok(pb::ListRejectionsResponse { rejections, next_page_token, revision: revision.to_string() })
    }
}

#[tonic::async_trait]
impl EventService for Events {
    type StreamEventsStream = BoxStream<pb::StreamEventsResponse>;

    async fn ingest_events(
        &self,
        request: Request<pb::IngestEventsRequest>,
    ) -> std::result::Result<Response<pb::IngestEventsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let counted = self.admission.count_events(call.credential.as_ref(), request.events.len());
        counted.map_err(|exceeded| status::quota_exceeded(&exceeded).into_status())?;
        call.answer(self.ingest(&call, request).await)
    }

    async fn stream_events(
        &self,
        request: Request<Streaming<pb::StreamEventsRequest>>,
    ) -> std::result::Result<Response<Self::StreamEventsStream>, Status> {
        let (call, requests) = Call::of(request)?;
        let panicked = call.panicked();
        let stream = EventStream::new(self.app.clone(), call, self.admission.clone());
        let answers = produce(1, panicked, |sender| stream.run(requests, sender, self.stopping.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn list_rejections(
        &self,
        request: Request<pb::ListRejectionsRequest>,
    ) -> std::result::Result<Response<pb::ListRejectionsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.rejections(&call, request).await)
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> std::result::Result<Response<pb::ListEventsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list(&call, request).await)
    }
}

/// What became of each event of a batch. Faults are told in full as long as they fit into the reply, and each event's
/// first fault always is.
pub(super) fn results(call: &Call, outcomes: Vec<Outcome>) -> Vec<pb::EventResult> {
    let mut budget = Budget::default();
    outcomes.into_iter().map(|outcome| result(call, outcome, &mut budget)).collect()
}

fn result(call: &Call, outcome: Outcome, budget: &mut Budget) -> pb::EventResult {
    let (status, profile_id, error) = match outcome.status {
        OutcomeStatus::Accepted(profile) => (pb::EventStatus::Accepted, profile.to_string(), None),
        OutcomeStatus::Acceptable(profile) => {
            (pb::EventStatus::Accepted, profile.map(|id| id.to_string()).unwrap_or_default(), None)
        }
        OutcomeStatus::Duplicate(profile) => {
            (pb::EventStatus::Duplicate, profile.map(|profile| profile.to_string()).unwrap_or_default(), None)
        }
        OutcomeStatus::Rejected(error) => {
            (pb::EventStatus::Rejected, String::new(), Some(rejection(call, error, budget)))
        }
    };
    pb::EventResult { status: status.into(), event_id: outcome.event_id, profile_id, error }
}

fn rejection(call: &Call, error: Error, budget: &mut Budget) -> tonic_types::Status {
    let in_short = match &error {
        Error::Invalid(invalid) if invalid.0.len() > 1 => Some(Error::Invalid(invalid.clone())),
        _ => None,
    };
    let in_full = call.item_error(error);
    match in_short {
        Some(error) if !budget.take(&in_full) => status::of_item_in_short(error, &call.id),
        _ => in_full,
    }
}

fn filter(request: &pb::ListEventsRequest, violations: &mut Violations) -> EventFilter {
    let (kinds, limit) = (&request.kinds, Payload::KINDS.len());
    if kinds.len() > limit {
        violations.add("kinds", format!("has {} items; the limit is {limit}", kinds.len()));
    }
    for (position, kind) in kinds.iter().take(limit).enumerate() {
        if !Payload::KINDS.contains(&kind.as_str()) {
            violations.add(&format!("kinds[{position}]"), "must be the name of a payload of Event");
        }
    }
    let start = time::from_pb(request.start_time, "start_time", violations);
    let end = time::from_pb(request.end_time, "end_time", violations);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        violations.add("end_time", "must be after start_time");
    }
    EventFilter { kinds: kinds.iter().take(limit).cloned().collect(), start, end }
}
