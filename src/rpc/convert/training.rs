//! Training runs.

use super::{model, request_id, time, value};
use crate::app::{Error, Invalid, Resource, Result, RunView, TrainingRequest};
use crate::domain::id::RunId;
use crate::domain::limits;
use crate::domain::training::{RunOrigin, TrainingRun, TrainingState};
use crate::domain::violation::Violations;
use crate::rpc::{pb, status};

/// What a request asks to be trained.
///
/// # Errors
/// [`Error::Invalid`] for a kind that is none, with the faults of everything else.
pub(in crate::rpc) fn request(sent: pb::CreateTrainingRunRequest) -> Result<TrainingRequest> {
    let mut violations = Violations::new();
    let kind = model::kind_from_pb(sent.kind);
    if kind.is_none() {
        violations.add("kind", "must be MODEL_KIND_SEGMENTS, _CHURN, _EFFORT, _SATISFACTION or _VALUE");
    }
    let parameters = value::from_pb(sent.parameters, "parameters", &mut violations);
    request_id::check(&sent.request_id, &mut violations);
    let Some(kind) = kind else { return Err(Error::Invalid(Invalid(violations))) };
    Ok(TrainingRequest { kind, parameters, request_id: sent.request_id, faults: violations })
}

/// The run that a request names. None, or one that is too long, is a violation.
///
/// # Errors
/// [`Error::NotFound`] for a text that we never hand out; it is looked at after the violations.
pub(in crate::rpc) fn run_id(text: &str, violations: &mut Violations) -> Result<RunId> {
    violations.check_required_text("run_id", text, limits::NAME_BYTES);
    text.parse().map_err(|_| Error::not_found(Resource::TrainingRun, "run_id"))
}

/// A run as a caller sees it.
pub(in crate::rpc) fn to_pb(run: &TrainingRun) -> pb::TrainingRun {
    let state = match run.state {
        TrainingState::Pending => pb::TrainingState::Pending,
        TrainingState::Running => pb::TrainingState::Running,
        TrainingState::Succeeded => pb::TrainingState::Succeeded,
        TrainingState::Failed => pb::TrainingState::Failed,
        TrainingState::Cancelled => pb::TrainingState::Cancelled,
    };
    let origin = match run.origin {
        RunOrigin::Request => pb::TrainingOrigin::Request,
        RunOrigin::Schedule => pb::TrainingOrigin::Schedule,
        RunOrigin::Drift => pb::TrainingOrigin::Drift,
    };
    pb::TrainingRun {
        run_id: run.id.to_string(),
        kind: model::kind(run.kind).into(),
        state: state.into(),
        progress: run.progress,
        model_version: run.model_version.as_ref().map(ToString::to_string).unwrap_or_default(),
        promoted: run.promoted,
        metrics: Some(value::to_pb(&run.metrics)),
        error: status::of_run(run),
        create_time: Some(time::to_pb(run.create_time)),
        start_time: run.start_time.map(time::to_pb),
        end_time: run.end_time.map(time::to_pb),
        parameters: Some(value::to_pb(&run.parameters)),
        promotion_note: run.promotion_note.clone(),
        origin: origin.into(),
    }
}

/// A run that would be started: it has no name, because it does not exist.
pub(in crate::rpc) fn would_be(view: &RunView) -> pb::TrainingRun {
    pb::TrainingRun { run_id: String::new(), ..to_pb(&view.run) }
}
