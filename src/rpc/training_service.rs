//! `TrainingService`.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::convert::{model, page, read, request_id, training, training_plan};
use super::pb::training_service_server::TrainingService;
use super::stopping::Stopping;
use super::{pb, status};
use crate::app::{App, Invalid, Result, RunView, TrainingRequest, produce};
use crate::domain::violation::Violations;

/// Answers the calls of the service.
pub(super) struct Training {
    app: App,
    stopping: Stopping,
}

impl Training {
    pub(super) fn new(app: App, stopping: Stopping) -> Self {
        Self { app, stopping }
    }

    async fn create(&self, call: &Call, request: TrainingRequest) -> Result<pb::CreateTrainingRunResponse> {
        let view = self.app.create_training_run(&call.caller, &request).await?;
        Ok(pb::CreateTrainingRunResponse { run: Some(training::to_pb(&view.run)), revision: view.revision.to_string() })
    }

    async fn validate(&self, call: &Call, request: &TrainingRequest) -> Result<pb::CreateTrainingRunResponse> {
        let view = self.app.validate_training_run(&call.caller, request).await?;
        Ok(pb::CreateTrainingRunResponse { run: Some(training::would_be(&view)), revision: view.revision.to_string() })
    }

    async fn get(&self, call: &Call, request: pb::GetTrainingRunRequest) -> Result<pb::GetTrainingRunResponse> {
        let mut violations = Violations::new();
        let id = training::run_id(&request.run_id, &mut violations);
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let view = self.app.get_training_run(&call.caller, id?, at_least).await?;
        Ok(pb::GetTrainingRunResponse { run: Some(training::to_pb(&view.run)), revision: view.revision.to_string() })
    }

    async fn list(&self, call: &Call, request: pb::ListTrainingRunsRequest) -> Result<pb::ListTrainingRunsResponse> {
        let mut violations = Violations::new();
        let filter = model::filter(request.kind, &mut violations);
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (page, revision) = self.app.list_training_runs(&call.caller, filter, &wanted, &read).await?;
        let revision = revision.to_string();
        let (runs, next_page_token) = page::to_pb(page, training::to_pb);
        Ok(pb::ListTrainingRunsResponse { runs, next_page_token, revision })
    }

    async fn cancel(
        &self,
        call: &Call,
        request: pb::CancelTrainingRunRequest,
    ) -> Result<pb::CancelTrainingRunResponse> {
        let mut violations = Violations::new();
        let id = training::run_id(&request.run_id, &mut violations);
        request_id::check(&request.request_id, &mut violations);
        Invalid::check(violations)?;
        let view = self.app.cancel_training_run(&call.caller, id?, &request.request_id).await?;
        Ok(pb::CancelTrainingRunResponse { run: Some(training::to_pb(&view.run)), revision: view.revision.to_string() })
    }

    async fn watch(
        &self,
        call: &Call,
        request: pb::WatchTrainingRunRequest,
    ) -> Result<BoxStream<pb::WatchTrainingRunResponse>> {
        let mut violations = Violations::new();
        let id = training::run_id(&request.run_id, &mut violations);
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let views = self.app.watch_training_run(&call.caller, id?, at_least).await?;
        let (of_call, stopping) = (call.clone(), self.stopping.clone());
        let messages = produce(1, call.panicked(), |sender| follow(of_call, views, sender, stopping));
        Ok(Box::pin(ReceiverStream::new(messages)))
    }

    async fn list_of_models(&self, call: &Call, request: pb::ListModelsRequest) -> Result<pb::ListModelsResponse> {
        let mut violations = Violations::new();
        let filter = model::filter(request.kind, &mut violations);
        let wanted = page::request(request.page_size, request.page_token, &violations);
        let read = read::without_purpose(&request.at_least_revision, violations);
        let (page, revision) = self.app.list_models(&call.caller, filter, &wanted, &read).await?;
        let revision = revision.to_string();
        let (models, next_page_token) = page::to_pb(page, model::to_pb);
        Ok(pb::ListModelsResponse { models, next_page_token, revision })
    }

    async fn model(&self, call: &Call, request: pb::GetModelRequest) -> Result<pb::GetModelResponse> {
        let mut violations = Violations::new();
        let version = model::version(&request.model_version, &mut violations);
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let (view, revision) = self.app.get_model(&call.caller, &version?, at_least).await?;
        Ok(pb::GetModelResponse { model: Some(model::to_pb(&view)), revision: revision.to_string() })
    }

    async fn activate(&self, call: &Call, request: pb::ActivateModelRequest) -> Result<pb::ActivateModelResponse> {
        let mut violations = Violations::new();
        let version = model::version(&request.model_version, &mut violations);
        request_id::check(&request.request_id, &mut violations);
        Invalid::check(violations)?;
        let (view, revision) = self.app.activate_model(&call.caller, &version?, &request.request_id).await?;
        Ok(pb::ActivateModelResponse { model: Some(model::to_pb(&view)), revision: revision.to_string() })
    }

    async fn plan(&self, call: &Call, request: pb::GetTrainingPlanRequest) -> Result<pb::GetTrainingPlanResponse> {
        let mut violations = Violations::new();
        let at_least = read::at_least(&request.at_least_revision, &mut violations);
        Invalid::check(violations)?;
        let view = self.app.get_training_plan(&call.caller, at_least).await?;
        Ok(pb::GetTrainingPlanResponse { revision: view.revision.to_string(), plan: Some(training_plan::to_pb(view)) })
    }

    async fn update_plan(
        &self,
        call: &Call,
        request: pb::UpdateTrainingPlanRequest,
    ) -> Result<pb::UpdateTrainingPlanResponse> {
        let view = self.app.update_training_plan(&call.caller, training_plan::request(request)?).await?;
        Ok(pb::UpdateTrainingPlanResponse {
            revision: view.revision.to_string(),
            plan: Some(training_plan::to_pb(view)),
        })
    }
}

#[tonic::async_trait]
impl TrainingService for Training {
    type WatchTrainingRunStream = BoxStream<pb::WatchTrainingRunResponse>;

    async fn create_training_run(
        &self,
        request: Request<pb::CreateTrainingRunRequest>,
    ) -> std::result::Result<Response<pb::CreateTrainingRunResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let validate_only = request.validate_only;
        let request = training::request(request).map_err(|error| call.refuse(error))?;
        if validate_only {
            return call.answer(self.validate(&call, &request).await);
        }
        call.answer(self.create(&call, request).await)
    }

    async fn get_training_run(
        &self,
        request: Request<pb::GetTrainingRunRequest>,
    ) -> std::result::Result<Response<pb::GetTrainingRunResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.get(&call, request).await)
    }

    async fn list_training_runs(
        &self,
        request: Request<pb::ListTrainingRunsRequest>,
    ) -> std::result::Result<Response<pb::ListTrainingRunsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list(&call, request).await)
    }

    async fn cancel_training_run(
        &self,
        request: Request<pb::CancelTrainingRunRequest>,
    ) -> std::result::Result<Response<pb::CancelTrainingRunResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.cancel(&call, request).await)
    }

    async fn watch_training_run(
        &self,
        request: Request<pb::WatchTrainingRunRequest>,
    ) -> std::result::Result<Response<Self::WatchTrainingRunStream>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.watch(&call, request).await)
    }

    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> std::result::Result<Response<pb::ListModelsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.list_of_models(&call, request).await)
    }

    async fn get_model(
        &self,
        request: Request<pb::GetModelRequest>,
    ) -> std::result::Result<Response<pb::GetModelResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.model(&call, request).await)
    }

    async fn activate_model(
        &self,
        request: Request<pb::ActivateModelRequest>,
    ) -> std::result::Result<Response<pb::ActivateModelResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.activate(&call, request).await)
    }

    async fn get_training_plan(
        &self,
        request: Request<pb::GetTrainingPlanRequest>,
    ) -> std::result::Result<Response<pb::GetTrainingPlanResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.plan(&call, request).await)
    }

    async fn update_training_plan(
        &self,
        request: Request<pb::UpdateTrainingPlanRequest>,
    ) -> std::result::Result<Response<pb::UpdateTrainingPlanResponse>, Status> {
        let (call, request) = Call::of(request)?;
        call.answer(self.update_plan(&call, request).await)
    }
}

/// Passes the states of a run on, until it has ended, the watcher is gone or the server stops.
async fn follow(
    call: Call,
    mut views: mpsc::Receiver<Result<RunView>>,
    sender: mpsc::Sender<std::result::Result<pb::WatchTrainingRunResponse, Status>>,
    mut stopping: Stopping,
) {
    loop {
        let message = tokio::select! {
            biased;
            view = views.recv() => match view {
                None => return,
                Some(view) => view.map(watched).map_err(|error| call.refuse(error)),
            },
            () = stopping.begun() => Err(status::unavailable("the server stops; watch the run again").into_status()),
            () = sender.closed() => return,
        };
        let ended = message.is_err();
        if sender.send(message).await.is_err() || ended {
            return;
        }
    }
}

fn watched(view: RunView) -> pb::WatchTrainingRunResponse {
    pb::WatchTrainingRunResponse { run: Some(training::to_pb(&view.run)), revision: view.revision.to_string() }
}
