//! Training that nobody asks for: because its time has come, or because customers have moved away from those that the
//! model was trained on.

use std::collections::HashMap;
use std::time::Duration;

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Result};
use super::follow_up::DRIFT_NOW;
use super::request::NamedRequest;
use super::train::TrainingRequest;
use crate::domain::fact::{Document, DocumentKind};
use crate::domain::id::WorkspaceId;
use crate::domain::model::ModelKind;
use crate::domain::time::{Timestamp, days};
use crate::domain::training::{RunOrigin, TrainingRun};
use crate::domain::training_plan::TrainingPlan;
use crate::domain::value::{Map, Value};
use crate::domain::violation::Violations;

/// How long drift begins no second training of a kind: a model that did not pass the gate would be trained every day.
const DRIFT_PAUSE: Duration = days(7);

impl App {
    /// Begins the trainings of all workspaces whose time has come. A time that was missed, because the server did not run
    /// or another training of the kind was under way, is made up for once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn train_what_is_due(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            let plan = self.stored_plan(&workspace).await?.value;
            let caller = Caller::unrestricted(workspace);
            if plan.schedules.is_empty() && plan.drift_index == 0.0 {
                continue;
            }
            let runs = self.all_runs(&caller.workspace).await?;
            for kind in ModelKind::ALL {
                let of_kind: Vec<&TrainingRun> = runs.iter().filter(|run| run.kind == kind).collect();
                if let Some(origin) = self.due(&caller, &plan, (kind, &of_kind)).await? {
                    self.begin_by_itself(&caller, kind, plan.parameters(kind), origin).await?;
                }
            }
        }
        Ok(())
    }

    /// Why a kind is to be trained now, if it is.
    async fn due(
        &self,
        caller: &Caller,
        plan: &TrainingPlan,
        (kind, runs): (ModelKind, &[&TrainingRun]),
    ) -> Result<Option<RunOrigin>> {
        if runs.iter().any(|run| !run.state.has_ended()) {
            return Ok(None);
        }
        let now = self.context.now();
        // What lies in the future was recorded by a clock that was wrong.
        let last = |origin: RunOrigin| {
            let times = runs.iter().filter(|run| run.origin == origin).map(|run| run.create_time);
            times.filter(|time| *time <= now).max()
        };
        if let Some(schedule) = plan.schedules.iter().find(|schedule| schedule.kind == kind) {
            let since = last(RunOrigin::Schedule).unwrap_or(Timestamp::MIN).max(plan.since.min(now));
            if schedule.next_after(since).is_some_and(|next| next <= now) {
                return Ok(Some(RunOrigin::Schedule));
            }
        }
        let is_pausing = last(RunOrigin::Drift).is_some_and(|time| time > now.minus(DRIFT_PAUSE));
        let has_drifted =
            plan.drift_index > 0.0 && !is_pausing && self.drift_index(caller, kind).await? >= plan.drift_index;
        Ok(has_drifted.then_some(RunOrigin::Drift))
    }

    /// The largest index that the last look found at the model of a kind that answers; 0 where nobody has looked.
    async fn drift_index(&self, caller: &Caller, kind: ModelKind) -> Result<f64> {
        let Some(pointer) = self.pointer(&caller.workspace, kind).await? else { return Ok(0.0) };
        let follow_up = self.stored_follow_up(&caller.workspace, &pointer.value).await?;
        let index = |map: &Map| match map.get("index_max") {
            Some(Value::Number(index)) => *index,
            _ => 0.0,
        };
        Ok(match follow_up.as_ref().and_then(|seen| seen.value.findings.get(DRIFT_NOW)) {
            Some(Value::Map(drift)) => index(drift),
            _ => 0.0,
        })
    }

    async fn begin_by_itself(
        &self,
        caller: &Caller,
        kind: ModelKind,
        parameters: Map,
        origin: RunOrigin,
    ) -> Result<()> {
        let request = TrainingRequest { kind, parameters, request_id: String::new(), faults: Violations::new() };
        match self.begin_run(caller, &request, NamedRequest::none(), origin).await {
            Ok(view) => {
                let (workspace, run) = (&caller.workspace, view.run.id);
                tracing::info!(%workspace, run_id = %run, kind = kind.name(), ?origin, "a training begins by itself");
                Ok(())
            }
            // Too many wait: its time stays due.
            Err(Error::Exhausted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All runs of a workspace, each with what began it.
    pub(super) async fn all_runs(&self, workspace: &WorkspaceId) -> Result<Vec<TrainingRun>> {
        let mut origins = HashMap::new();
        for document in self.all_documents(workspace, DocumentKind::RunOrigin).await? {
            if let Document::RunOrigin(id, origin) = document {
                origins.insert(id, origin);
            }
        }
        let documents = self.all_documents(workspace, DocumentKind::TrainingRun).await?;
        let runs = documents.into_iter().filter_map(|document| match document {
            Document::TrainingRun(run) => Some(run),
            _ => None,
        });
        Ok(runs.map(|run| TrainingRun { origin: origins.get(&run.id).copied().unwrap_or_default(), ..run }).collect())
    }
}
