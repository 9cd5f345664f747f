//! The way in and out: name the request, find a place and a deadline for it, say who asks, and watch the answer.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use tonic::body::Body;
use tower::{Layer, Service};

use super::body::Watched;
use super::complete::complete;
use super::deadline;
use super::identify::{Denied, Door, Doorkeeper, Known};
use super::shed::{Admission, Place};
use super::trace::{Names, Visit};
use crate::app::{App, Caught, Credential};
use crate::rpc::access::Audit;
use crate::rpc::call::Call;
use crate::rpc::measures::Measures;
use crate::rpc::options::RpcOptions;
use crate::rpc::status::{self, Refused};

/// Bytes of a refused request that are taken before it is answered, and for how long they are waited for.
const DRAINED_BYTES: usize = 64 << 10;
const DRAINING: Duration = Duration::from_millis(100);

/// Puts the gate before all services.
#[derive(Clone)]
pub(in crate::rpc) struct GateLayer(Arc<Keeper>);

/// All services behind the gate.
#[derive(Clone)]
pub(in crate::rpc) struct Gate<S> {
    keeper: Arc<Keeper>,
    inner: S,
}

struct Keeper {
    app: App,
    admission: Admission,
    doorkeeper: Doorkeeper,
    names: Names,
    unary_timeout: Duration,
    measures: Option<Measures>,
}

impl GateLayer {
    pub(in crate::rpc) fn new(app: App, door: Door, admission: Admission, options: &RpcOptions) -> Self {
        let (names, doorkeeper) = (Names::new(&app), Doorkeeper::new(app.clone(), door));
        let (unary_timeout, measures) = (options.request_timeout, options.measures.clone());
        Self(Arc::new(Keeper { app, admission, doorkeeper, names, unary_timeout, measures }))
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { keeper: Arc::clone(&self.0), inner }
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = self.keeper.names.of(request.headers());
        let mut visit = Visit::new(&self.keeper.app, self.keeper.measures.clone(), id, request.uri().clone());
        let held = match self.keeper.let_in(&mut request, &mut visit) {
            Ok(held) => held,
            Err(refused) => {
                // Noted before anything is waited for: whoever hangs up meanwhile was refused all the same.
                let answer = refusal(refused, &mut visit);
                return Box::pin(async move {
                    if !deadline::is_stream(visit.path()) {
                        drain(request.into_body()).await;
                    }
                    Ok(answer)
                });
            }
        };
        let time = deadline::limit(visit.path(), request.headers(), self.keeper.unary_timeout);
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(watch(answer, time, visit, held).await) })
    }
}

impl Keeper {
    /// Says in the extensions of a request who asks, and finds a place for it. Whoever may not ask takes no place.
    fn let_in(&self, request: &mut Request<Body>, visit: &mut Visit) -> Result<Held, Refused> {
        let known = self.doorkeeper.identify(visit.path(), request.headers(), request.extensions());
        let Known { caller, credential, audit } = known.map_err(|Denied { refused, caller }| {
            caller.into_iter().for_each(|caller| visit.note_caller(caller, Audit::Refusals));
            refused
        })?;
        visit.note_caller(caller.clone(), audit);
        let place = self.admission.admit(visit.path(), request.extensions(), credential.as_ref())?;
        request.extensions_mut().insert(Call { caller, credential: credential.clone(), id: visit.id.clone() });
        Ok(Held { place, credential: credential.filter(|_| deadline::is_stream(visit.path())) })
    }
}

/// What a request holds until it is answered.
pub(super) struct Held {
    /// Its place among those at work.
    pub(super) place: Place,
    /// What a long answer must still be allowed by while it goes on.
    pub(super) credential: Option<Credential>,
}

/// Waits for the answer as long as there is time, and goes on watching its body.
async fn watch<F>(answer: F, time: Option<Duration>, mut visit: Visit, held: Held) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    // A stream goes on being held to it when its answer has begun.
    let is_stream = deadline::is_stream(visit.path());
    let mut deadline = time.filter(|_| is_stream).map(|time| Box::pin(tokio::time::sleep(time)));
    let overdue = async {
        match (&mut deadline, time) {
            (Some(deadline), _) => deadline.await,
            (None, Some(time)) => tokio::time::sleep(time).await,
            (None, None) => std::future::pending().await,
        }
    };
    let mut response = tokio::select! {
        biased;
        answer = Caught(pin!(answer)) => match answer {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panicked) => {
                tracing::error!(request_id = %visit.id, error = %panicked, "a request failed");
                return refusal(status::internal(&visit.id), &mut visit);
            }
        },
        () = overdue => return refusal(status::deadline_exceeded(), &mut visit),
    };
    if let Some(code) = complete(response.headers_mut(), visit.path(), &visit.id) {
        visit.note_code(code);
    } else {
        visit.note_begin();
    }
    response.map(|body| Body::new(Watched::new(body, deadline, visit, held)))
}

/// Takes what a refused request still sends, if that is little and comes soon. What arrives behind an answer counts as a
/// fault of the client, and after a few dozen of these the whole connection is ended, with all that others do on it.
async fn drain(mut body: Body) {
    let all = async {
        let mut taken = 0;
        while taken < DRAINED_BYTES
            && let Some(Ok(frame)) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            taken += frame.data_ref().map_or(0, |data| data.len());
        }
    };
    let _in_time = tokio::time::timeout(DRAINING, all).await;
}

fn refusal(refused: Refused, visit: &mut Visit) -> Response<Body> {
    let status = refused.into_status();
    visit.note_code(status.code());
    status.into_http()
}
