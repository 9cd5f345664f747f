//! The health of each service as it is at the moment of the question, in the standard `grpc.health.v1`.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::pb::event_service_server;
use super::router::SERVICES;
use super::stopping::Stopping;
use crate::app::{App, Panicked, produce};

/// The service that is added to the routes.
pub(super) type Server = HealthServer<State>;

pub(super) const SERVICE_NAME: &str = tonic_health::pb::health_server::SERVICE_NAME;

/// How often a watcher's answer is looked at again.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What health is read from.
#[derive(Clone)]
pub(super) struct State {
    app: App,
    stopping: Stopping,
}

impl State {
    pub(super) fn new(app: App, stopping: Stopping) -> Self {
        Self { app, stopping }
    }

    /// Events are not taken while the store takes no writes; everything else is served from what is there.
    fn of(&self, service: &str) -> Option<ServingStatus> {
        if !service.is_empty() && service != SERVICE_NAME && !SERVICES.contains(&service) {
            return None;
        }
        let writes = service == event_service_server::SERVICE_NAME;
        let serving = !self.stopping.has_begun() && (!writes || self.app.takes_writes());
        Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

#[tonic::async_trait]
impl Health for State {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let state = self.of(&request.get_ref().service);
        state.map(answer).map(Response::new).ok_or_else(|| Status::not_found("no such service"))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let panicked = |panicked: Panicked| Err(Status::internal(panicked.to_string()));
        let states = produce(1, panicked, |sender| follow(self.clone(), request.into_inner().service, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(states))))
    }
}

/// Tells each change, from the present state on, until the watcher is gone.
async fn follow(mut state: State, service: String, sender: mpsc::Sender<Result<HealthCheckResponse, Status>>) {
    let mut told = None;
    loop {
        let now = state.of(&service).unwrap_or(ServingStatus::ServiceUnknown);
        if told != Some(now) && sender.send(Ok(answer(now))).await.is_err() {
            return;
        }
        told = Some(now);
        if state.stopping.has_begun() {
            return;
        }
        tokio::select! {
            () = sender.closed() => return,
            () = state.stopping.begun() => {}
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
