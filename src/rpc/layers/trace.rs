//! One log line per request, and its part in the figures: what was called, what came of it and how long it took. Never
//! what was in it.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use tonic::Code;

use crate::app::App;
use crate::domain::id::WorkspaceId;
use crate::domain::time::Timestamp;
use crate::rpc::call::RequestId;
use crate::rpc::measures::Measures;

/// Names requests.
pub(super) struct Names {
    server: u32,
    next: AtomicU64,
}

/// A request that is at work; when it is dropped, the line is written.
pub(super) struct Visit {
    /// The name of the request.
    pub(super) id: RequestId,
    app: App,
    measures: Option<Measures>,
    path: http::Uri,
    workspace: Option<WorkspaceId>,
    start: Timestamp,
    code: Option<Code>,
}

impl Names {
    pub(super) fn new(app: &App) -> Self {
        // The first bits of an id are its time; the last ones tell two servers apart.
        let bits = app.new_id().as_u128() & u128::from(u32::MAX);
        Self { server: u32::try_from(bits).unwrap_or(0), next: AtomicU64::new(1) }
    }

    /// The caller's name for the request, or else one of ours.
    pub(super) fn of(&self, headers: &HeaderMap) -> RequestId {
        let given = headers.get("x-request-id").and_then(|value| RequestId::given(value.to_str().ok()?));
        given.unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            RequestId::Counted { server: self.server, number }
        })
    }
}

impl Visit {
    pub(super) fn new(app: &App, measures: Option<Measures>, id: RequestId, path: http::Uri) -> Self {
        measures.iter().for_each(Measures::begin);
        Self { id, app: app.clone(), measures, path, workspace: None, start: app.now(), code: None }
    }

    pub(super) fn note_workspace(&mut self, workspace: &WorkspaceId) {
        self.workspace = Some(workspace.clone());
    }

    pub(super) fn note_code(&mut self, code: Code) {
        self.code = Some(code);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.app.now()
    }

    pub(super) fn path(&self) -> &str {
        self.path.path()
    }

    /// The method for the log. A path that is none of ours may be anything, so it is not repeated.
    fn method(&self) -> &str {
        let path = self.path();
        if path.starts_with("/rapport.v1.") || path.starts_with("/grpc.") { path } else { "unknown" }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let micros = self.app.now().micros_since(self.start);
        if let Some(measures) = &self.measures {
            measures.end(self.path(), self.code.unwrap_or(Code::Cancelled), micros);
        }
        let workspace = self.workspace.as_ref().map(WorkspaceId::as_str);
        let (method, id) = (self.method(), &self.id);
        match self.code {
            Some(Code::Ok) => tracing::debug!(method, workspace, micros, request_id = %id, "answered"),
            Some(code) => tracing::info!(method, workspace, micros, request_id = %id, code = ?code, "refused"),
            None => tracing::debug!(method, workspace, micros, request_id = %id, "the caller hung up"),
        }
    }
}
