//! Plans of trainings.

use super::{model, request_id, time, value};
use crate::app::{Error, Invalid, PlanRequest, PlanView, Result, WriteMode};
use crate::domain::model::ModelKind;
use crate::domain::time::Timestamp;
use crate::domain::training_plan::{Schedule, TrainingPlan};
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// A plan as a caller sees it.
pub(in crate::rpc) fn to_pb(view: PlanView) -> pb::TrainingPlan {
    let schedule = |(schedule, next): (Schedule, Option<Timestamp>)| pb::TrainingSchedule {
        kind: model::kind(schedule.kind).into(),
        cron: schedule.cron,
        parameters: Some(value::to_pb(&schedule.parameters)),
        next_time: next.map(time::to_pb),
    };
    pb::TrainingPlan {
        schedules: view.plan.schedules.into_iter().zip(view.next_times).map(schedule).collect(),
        drift_index: view.plan.drift_index,
        etag: view.etag,
    }
}

/// The plan that a request wants to put in force.
///
/// # Errors
/// [`Error::Invalid`](crate::app::Error::Invalid) naming everything that cannot be read.
pub(in crate::rpc) fn request(sent: pb::UpdateTrainingPlanRequest) -> Result<PlanRequest> {
    let mut faults = Violations::new();
    request_id::check(&sent.request_id, &mut faults);
    let plan = sent.plan.unwrap_or_default();
    let (count, limit) = (plan.schedules.len(), ModelKind::ALL.len());
    if count > limit {
        faults.add("plan.schedules", format!("has {count} items; the limit is {limit}, one for each kind"));
    }
    let mut schedules = Vec::new();
    for (position, sent) in plan.schedules.into_iter().take(limit).enumerate() {
        schedules.extend(faults.within(format!("plan.schedules[{position}]"), |faults| schedule(sent, faults)));
    }
    if count > schedules.len() {
        // The use case is not reached, so the rest is checked here: a caller hears of all faults at once.
        let rest = TrainingPlan { schedules, drift_index: plan.drift_index, ..TrainingPlan::default() };
        faults.within("plan", |faults| rest.check(faults));
        return Err(Error::Invalid(Invalid(faults)));
    }
    Ok(PlanRequest {
        schedules,
        drift_index: plan.drift_index,
        etag: plan.etag,
        request_id: sent.request_id,
        mode: if sent.validate_only { WriteMode::ValidateOnly } else { WriteMode::Commit },
        faults,
    })
}

/// A schedule; `None` for a kind that is none, of which the faults tell.
fn schedule(sent: pb::TrainingSchedule, faults: &mut Violations) -> Option<Schedule> {
    let kind = ModelKind::ALL.into_iter().find(|kind| i32::from(model::kind(*kind)) == sent.kind);
    if kind.is_none() {
        faults.add("kind", "must be a kind of model that is trained");
    }
    let parameters = value::from_pb(sent.parameters, "parameters", faults);
    Some(Schedule { kind: kind?, cron: sent.cron, parameters })
}
