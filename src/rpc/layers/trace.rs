//! One log line per request, its part in the figures and in the audit log: what was called, what came of it and how long
//! it took. Never what was in it.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use tonic::Code;

use crate::app::{App, Caller, Grain};
use crate::domain::time::Timestamp;
use crate::rpc::access::Audit;
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
    caller: Option<(Caller, Audit)>,
    /// Whether the audit log has heard of it as one that goes on.
    is_begun: bool,
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
        Self { id, app: app.clone(), measures, path, caller: None, is_begun: false, start: app.now(), code: None }
    }

    /// Who asks, and what the audit log says of it.
    pub(super) fn note_caller(&mut self, caller: Caller, audit: Audit) {
        self.caller = Some((caller, audit));
    }

    /// The answer has begun. One that goes on is audited from now on: nobody knows when it will end.
    pub(super) fn note_begin(&mut self) {
        if let Some((caller, Audit::Begun)) = &self.caller {
            self.app.note_call(caller, number(Code::Ok), Grain::Alike);
            self.is_begun = true;
        }
    }

    /// What came of it. The audit log hears of it before the caller does.
    pub(super) fn note_code(&mut self, code: Code) {
        if self.code.replace(code).is_none() {
            self.audit(code);
        }
    }

    fn audit(&self, code: Code) {
        let Some((caller, audit)) = &self.caller else { return };
        let is_refusal = [Code::Unauthenticated, Code::PermissionDenied].contains(&code);
        let has_ended_well = self.is_begun && [Code::Ok, Code::Cancelled].contains(&code);
        let grain = match audit {
            Audit::Nothing => return,
            Audit::Refusals if !is_refusal => return,
            Audit::Begun if has_ended_well => return,
            Audit::Each if !is_refusal => Grain::Each,
            Audit::Each | Audit::Alike | Audit::Begun | Audit::Refusals => Grain::Alike,
        };
        self.app.note_call(caller, number(code), grain);
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

/// The number of a status code.
fn number(code: Code) -> u8 {
    u8::try_from(i32::from(code)).unwrap_or(u8::MAX)
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.code.is_none() {
            self.audit(Code::Cancelled);
        }
        let micros = self.app.now().micros_since(self.start);
        if let Some(measures) = &self.measures {
            measures.end(self.path(), self.code.unwrap_or(Code::Cancelled), micros);
        }
        let workspace = self.caller.as_ref().map(|(caller, _)| caller.workspace.as_str());
        let (method, id) = (self.method(), &self.id);
        match self.code {
            Some(Code::Ok) => tracing::debug!(method, workspace, micros, request_id = %id, "answered"),
            Some(code) => tracing::info!(method, workspace, micros, request_id = %id, code = ?code, "refused"),
            None => tracing::debug!(method, workspace, micros, request_id = %id, "the caller hung up"),
        }
    }
}
