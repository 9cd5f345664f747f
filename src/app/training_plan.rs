//! When a workspace trains by itself: read and changed as a whole.

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Invalid, Reason, Result};
use super::request::{Repeat, WriteMode};
use crate::domain::fact::{Document, DocumentKey, Fact, RequestResult};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::time::Timestamp;
use crate::domain::training_plan::{Schedule, TrainingPlan};
use crate::domain::violation::Violations;
use crate::store::{Precondition, Versioned};

/// A plan as a caller sees it.
#[derive(Debug, Clone)]
pub struct PlanView {
    /// The plan in force.
    pub plan: TrainingPlan,
    /// The next time of each schedule, in their order.
    pub next_times: Vec<Option<Timestamp>>,
    /// Names this state of it; changes with every change.
    pub etag: String,
    /// What was read, or written.
    pub revision: Revision,
}

/// A plan that is to take the place of the one in force.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The kinds that are trained at times that come again.
    pub schedules: Vec<Schedule>,
    /// The index from which drift begins a training.
    pub drift_index: f64,
    /// The state that the caller has seen; empty is any.
    pub etag: String,
    /// The caller's name of the request, may be empty.
    pub request_id: String,
    /// Whether to change it or only to check.
    pub mode: WriteMode,
    /// What of the request could not be read.
    pub faults: Violations,
}

impl App {
    /// The plan in force; an empty one where nobody made one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get_training_plan(&self, caller: &Caller, at_least: Option<Revision>) -> Result<PlanView> {
        let revision = self.require_revision(at_least)?;
        let stored = self.stored_plan(&caller.workspace).await?;
        Ok(self.plan_view(stored.value, stored.revision, revision))
    }

    /// Puts another plan in force, as a whole. No time before counts as missed.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values out of range, [`Error::Conflict`] for a stale etag or a lost race.
    pub async fn update_training_plan(&self, caller: &Caller, request: PlanRequest) -> Result<PlanView> {
        let PlanRequest { schedules, drift_index, etag, request_id, mode, mut faults } = request;
        let content = (&schedules, drift_index.to_bits(), &etag);
        let named = match self.find_repeat(caller, &request_id, "UpdateTrainingPlan", &content).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::TrainingPlan(plan), revision) => {
                return Ok(self.plan_view(plan, revision, revision));
            }
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        let plan = TrainingPlan { schedules, drift_index, since: self.context.now() };
        faults.within("plan", |violations| plan.check(violations));
        Invalid::check(faults)?;
        let stored = self.stored_plan(&caller.workspace).await?;
        if !etag.is_empty() && etag != stored.revision.to_string() {
            return Err(Error::Conflict(Reason::EtagMismatch));
        }
        if mode == WriteMode::ValidateOnly {
            return Ok(self.plan_view(plan, stored.revision, self.store.revision()));
        }
        let mut commit = self.new_commit(caller);
        let seen = (stored.revision != Revision::default()).then_some(stored.revision);
        commit.preconditions.push(Precondition::Document(DocumentKey::training_plan(), seen));
        commit.facts.push(Fact::Document(Document::TrainingPlan(plan.clone())));
        named.record(RequestResult::TrainingPlan(plan.clone()), &mut commit);
        let revision = self.store.commit(commit).await?;
        Ok(self.plan_view(plan, revision, revision))
    }

    /// The stored plan, or the empty one at revision 0.
    pub(super) async fn stored_plan(&self, workspace: &WorkspaceId) -> Result<Versioned<TrainingPlan>> {
        let stored = self.store.document(workspace, &DocumentKey::training_plan()).await?;
        Ok(match stored {
            Some(Versioned { revision, value: Document::TrainingPlan(value) }) => Versioned { revision, value },
            _ => Versioned { revision: Revision::default(), value: TrainingPlan::default() },
        })
    }

    fn plan_view(&self, plan: TrainingPlan, seen: Revision, revision: Revision) -> PlanView {
        let now = self.context.now();
        let next_times = plan.schedules.iter().map(|schedule| schedule.next_after(now)).collect();
        PlanView { plan, next_times, etag: seen.to_string(), revision }
    }
}
