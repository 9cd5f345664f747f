//! `PredictionService`.

use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::page::Budget;
use super::convert::prediction;
use super::convert::{customer, read, segment, time};
use super::pb::batch_predict_result::Result as Outcome;
use super::pb::prediction_service_server::PredictionService;
use super::{pb, status};
use crate::app::{Answer, App, Error, PredictionBatch, Read, Result, Wanted};
use crate::domain::id::ProfileId;
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Predictions {
    app: App,
}

impl Predictions {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    async fn segment(&self, call: &Call, request: pb::PredictSegmentRequest) -> Result<pb::PredictSegmentResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let predicted = self.app.predict_segment(&call.caller, &customer, &read).await?;
        let (profile_id, revision) = (predicted.profile.to_string(), predicted.revision.to_string());
        Ok(pb::PredictSegmentResponse { profile_id, revision, ..prediction::segment(predicted.answer) })
    }

    async fn effort(&self, call: &Call, request: pb::PredictEffortRequest) -> Result<pb::PredictEffortResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let reasons = read::reasons_of_one(request.contribution_limit, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let read = Read { reasons, ..read };
        let predicted = self.app.predict_effort(&call.caller, &customer, &read).await?;
        let (profile_id, revision) = (predicted.profile.to_string(), predicted.revision.to_string());
        Ok(pb::PredictEffortResponse { profile_id, revision, ..prediction::effort(predicted.answer) })
    }

    async fn churn(&self, call: &Call, request: pb::PredictChurnRequest) -> Result<pb::PredictChurnResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let reasons = read::reasons_of_one(request.contribution_limit, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let read = Read { reasons, ..read };
        let predicted = self.app.predict_churn(&call.caller, &customer, &read).await?;
        let (profile_id, revision) = (predicted.profile.to_string(), predicted.revision.to_string());
        Ok(pb::PredictChurnResponse { profile_id, revision, ..prediction::churn(predicted.answer) })
    }

    async fn satisfaction(
        &self,
        call: &Call,
        request: pb::PredictSatisfactionRequest,
    ) -> Result<pb::PredictSatisfactionResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let reasons = read::reasons_of_one(request.contribution_limit, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let read = Read { reasons, ..read };
        let predicted = self.app.predict_satisfaction(&call.caller, &customer, &read).await?;
        let (profile_id, revision) = (predicted.profile.to_string(), predicted.revision.to_string());
        Ok(pb::PredictSatisfactionResponse { profile_id, revision, ..prediction::satisfaction(predicted.answer) })
    }

    async fn value(&self, call: &Call, request: pb::PredictValueRequest) -> Result<pb::PredictValueResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let horizon = request.horizon.and_then(|sent| time::horizon_from_pb(sent, "horizon", &mut violations));
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let predicted = self.app.predict_value(&call.caller, &customer, horizon, &read).await?;
        let (profile_id, revision) = (predicted.profile.to_string(), predicted.revision.to_string());
        Ok(pb::PredictValueResponse { profile_id, revision, ..prediction::value(predicted.answer) })
    }

    async fn all(&self, call: &Call, request: pb::PredictRequest) -> Result<pb::PredictResponse> {
        let mut violations = Violations::new();
        let customer = customer::from_pb(request.customer, "customer", &mut violations);
        let reasons = read::reasons_of_one(request.contribution_limit, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let read = Read { reasons, ..read };
        let predicted = self.app.predict(&call.caller, &customer, &read).await?;
        let revision = predicted.revision.to_string();
        Ok(pb::PredictResponse { revision, ..prediction::all(call, predicted.answer) })
    }

    async fn batch(&self, call: &Call, request: pb::BatchPredictRequest) -> Result<pb::BatchPredictResponse> {
        let mut violations = Violations::new();
        let reasons = read::reasons_of_many(request.contribution_limit, &mut violations);
        let customers = customer::batch(request.customers, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let read = Read { reasons, ..read };
        let (mut results, mut budget) = (Vec::with_capacity(customers.len()), Budget::default());
        let take = |answer| results.push(fitting(outcome(call, answer), &mut budget));
        let revision = self.app.batch_predict(&call.caller, customers, &read, take).await?;
        Ok(pb::BatchPredictResponse { results, revision: revision.to_string() })
    }

    async fn stream(
        &self,
        call: &Call,
        request: pb::StreamPredictionsRequest,
    ) -> Result<BoxStream<pb::StreamPredictionsResponse>> {
        let mut violations = Violations::new();
        let reasons = read::reasons_of_many(request.contribution_limit, &mut violations);
        let kinds = prediction::kinds(&request.kinds, &mut violations);
        let segment = segment::optional_id(request.segment_id, &mut violations);
        let read = read::from_pb(request.purpose, &request.at_least_revision, request.as_of_time, violations);
        let read = Read { reasons, ..read };
        let (wanted, own) = (Wanted { segment_id: segment, kinds }, call.clone());
        let messages =
            self.app.stream_predictions(&call.caller, wanted, &read, move |batch| message(&own, batch)).await?;
        let call = call.clone();
        let messages = ReceiverStream::new(messages).map(move |told| told.map_err(|error| call.refuse(error)));
        Ok(Box::pin(messages))
    }
}

#[tonic::async_trait]
impl PredictionService for Predictions {
    type StreamPredictionsStream = BoxStream<pb::StreamPredictionsResponse>;

    async fn predict_segment(
        &self,
        request: Request<pb::PredictSegmentRequest>,
    ) -> std::result::Result<Response<pb::PredictSegmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.segment(&call, request).await)
    }

    async fn predict_effort(
        &self,
        request: Request<pb::PredictEffortRequest>,
    ) -> std::result::Result<Response<pb::PredictEffortResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.effort(&call, request).await)
    }

    async fn predict_churn(
        &self,
        request: Request<pb::PredictChurnRequest>,
    ) -> std::result::Result<Response<pb::PredictChurnResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.churn(&call, request).await)
    }

    async fn predict_satisfaction(
        &self,
        request: Request<pb::PredictSatisfactionRequest>,
    ) -> std::result::Result<Response<pb::PredictSatisfactionResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.satisfaction(&call, request).await)
    }

    async fn predict_value(
        &self,
        request: Request<pb::PredictValueRequest>,
    ) -> std::result::Result<Response<pb::PredictValueResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.value(&call, request).await)
    }

    async fn predict(
        &self,
        request: Request<pb::PredictRequest>,
    ) -> std::result::Result<Response<pb::PredictResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.all(&call, request).await)
    }

    async fn batch_predict(
        &self,
        request: Request<pb::BatchPredictRequest>,
    ) -> std::result::Result<Response<pb::BatchPredictResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.batch(&call, request).await)
    }

    async fn stream_predictions(
        &self,
        request: Request<pb::StreamPredictionsRequest>,
    ) -> std::result::Result<Response<Self::StreamPredictionsStream>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.stream(&call, request).await)
    }
}

fn outcome(call: &Call, answer: Result<Answer>) -> pb::BatchPredictResult {
    match answer {
        Ok(answer) => result(call, answer),
        Err(error) => {
            let outcome = Outcome::Error(call.item_error(error));
            pb::BatchPredictResult { result: Some(outcome), profile_id: String::new() }
        }
    }
}

fn streamed(call: &Call, answer: std::result::Result<Answer, (ProfileId, Error)>) -> pb::BatchPredictResult {
    match answer {
        Ok(answer) => result(call, answer),
        Err((profile, error)) => pb::BatchPredictResult {
            result: Some(Outcome::Error(call.item_error(error))),
            profile_id: profile.to_string(),
        },
    }
}

fn result(call: &Call, answer: Answer) -> pb::BatchPredictResult {
    let profile_id = answer.profile.to_string();
    let outcome = Outcome::Prediction(prediction::all(call, answer));
    pb::BatchPredictResult { result: Some(outcome), profile_id }
}

/// The result, or in its place that it does not fit into the reply any more.
fn fitting(result: pb::BatchPredictResult, budget: &mut Budget) -> pb::BatchPredictResult {
    if budget.take(&result) {
        return result;
    }
    let outcome = Outcome::Error(status::response_too_large().into_item());
    pb::BatchPredictResult { result: Some(outcome), ..result }
}

/// One message of a stream. It stays below what clients accept: the answers about one customer take at most 8 KiB
/// with the largest number of contributions, and the use case gives at most 400 at a time.
fn message(call: &Call, batch: PredictionBatch) -> pb::StreamPredictionsResponse {
    pb::StreamPredictionsResponse {
        results: batch.answers.into_iter().map(|answer| streamed(call, answer)).collect(),
        revision: batch.revision.to_string(),
    }
}
