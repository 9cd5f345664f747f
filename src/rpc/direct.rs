//! The shortest way to the services that are asked most: the router takes a path apart to find a service, and wraps what it
//! carries, which together costs as much as many a read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::{Layer, Service};

use super::event_service::Events;
use super::pb::event_service_server::EventServiceServer;
use super::pb::prediction_service_server::PredictionServiceServer;
use super::pb::profile_service_server::ProfileServiceServer;
use super::prediction_service::Predictions;
use super::profile_service::Profiles;

/// The services that are asked most.
pub(super) struct Asked {
    pub(super) events: EventServiceServer<Events>,
    pub(super) profiles: ProfileServiceServer<Profiles>,
    pub(super) predictions: PredictionServiceServer<Predictions>,
}

/// Puts them before the others.
#[derive(Clone)]
pub(super) struct DirectLayer(Arc<Asked>);

/// The services that are asked most, before the others.
#[derive(Clone)]
pub(super) struct Direct<S> {
    asked: Arc<Asked>,
    others: S,
}

impl DirectLayer {
    pub(super) fn new(asked: Asked) -> Self {
        Self(Arc::new(asked))
    }
}

impl<S> Layer<S> for DirectLayer {
    type Service = Direct<S>;

    fn layer(&self, others: S) -> Direct<S> {
        Direct { asked: Arc::clone(&self.0), others }
    }
}

impl<S> Service<Request<Body>> for Direct<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Those that are asked most are always ready.
        self.others.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Asked { events, profiles, predictions } = &*self.asked;
        match service(request.uri().path()) {
            EventServiceServer::<Events>::NAME => events.clone().call(request),
            ProfileServiceServer::<Profiles>::NAME => profiles.clone().call(request),
            PredictionServiceServer::<Predictions>::NAME => predictions.clone().call(request),
            _ => Box::pin(self.others.call(request)),
        }
    }
}

/// The service that a path names, if it names one.
fn service(path: &str) -> &str {
    path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(service, _)| service)
}
