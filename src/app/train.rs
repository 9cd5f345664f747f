//! Training: a job beside serving, from a run record to a model that answers.
//!
//! The model is published like a release: artifact first, then one commit that records the model, ends the run and
//! moves the pointer, then the swap in memory. Whatever fails before the commit changes nothing.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::application::App;
use super::customer::Caller;
use super::error::{Result, chain};
use crate::domain::event::Event;
use crate::domain::fact::{Document, DocumentKey, Fact};
use crate::domain::fold;
use crate::domain::id::{Revision, RunId};
use crate::domain::model::{ModelKind, ModelRecord, ModelRef, ModelVersion};
use crate::domain::profile::Profile;
use crate::domain::time::{Timestamp, days};
use crate::domain::training::{TrainingFailure, TrainingFailureReason, TrainingParameters, TrainingRun, TrainingState};
use crate::domain::value::{Map, Value};
use crate::models::artifact::{self, Model};
use crate::models::churn;
use crate::models::error::{Error as ModelError, Progress};
use crate::models::examples::{Census, ChurnExamples, ChurnParameters, ChurnPlan};
use crate::models::segments::{self, SegmentParameters, SegmentRows};
use crate::store::Precondition;

/// Runs that work at the same time; the others wait, so that serving keeps a core.
const RUNS_AT_ONCE: usize = 1;
/// Runs that may wait.
pub(super) const RUNS_WAITING: usize = 16;
/// Customers that are read at a time.
const CUSTOMERS_AT_ONCE: usize = 1_000;
/// The share of a run's progress that reading the data takes.
const READING: f64 = 0.3;

/// What a caller asks to be trained.
#[derive(Debug, Clone)]
pub struct TrainingRequest {
    /// What.
    pub kind: ModelKind,
    /// How, as the caller wrote it.
    pub parameters: Map,
    /// The caller's name of the request, may be empty.
    pub request_id: String,
}

/// The runs that wait or work in this process.
pub(super) struct Trainer {
    turns: Arc<Semaphore>,
    live: Mutex<HashMap<RunId, Arc<Live>>>,
}

/// A run that waits or works.
pub(super) struct Live {
    progress: watch::Sender<f64>,
    cancelled: AtomicBool,
}

impl Trainer {
    pub(super) fn start() -> Self {
        Self { turns: Arc::new(Semaphore::new(RUNS_AT_ONCE)), live: Mutex::default() }
    }

    /// Lets no run begin any more and tells those at work to stop. Their records stay as they are, and the next
    /// start ends them.
    pub(super) fn stop(&self) {
        self.turns.close();
        for live in self.runs().values() {
            live.cancel();
        }
    }

    pub(super) fn live(&self, run: RunId) -> Option<Arc<Live>> {
        self.runs().get(&run).cloned()
    }

    pub(super) fn is_full(&self) -> bool {
        self.runs().len() >= RUNS_AT_ONCE + RUNS_WAITING
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn progress(&self) -> f64 {
        *self.progress.borrow()
    }

    /// Wakes at every step forward, and fails once the run has ended.
    pub(super) fn watch(&self) -> watch::Receiver<f64> {
        self.progress.subscribe()
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Progress of the part of a run that begins at `from` and takes `share` of it.
struct Part<'a> {
    live: &'a Live,
    from: f64,
    share: f64,
}

impl Progress for Part<'_> {
    fn report(&self, done: f64) -> ControlFlow<()> {
        let progress = self.from + self.share * done.clamp(0.0, 1.0);
        self.live.progress.send_if_modified(|before| {
            let forward = progress >= *before + 0.001;
            *before = before.max(progress);
            forward
        });
        if self.live.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// A trained model on its way to being published.
struct Trained {
    model: Model,
    card: Map,
    metrics: Map,
    promote: bool,
}

impl Trained {
    /// Why the gate let the model through or not, as the card says it.
    fn promotion_note(&self) -> String {
        match self.card.get("gate") {
            Some(Value::Text(reason)) => reason.clone(),
            _ => String::new(),
        }
    }
}

/// How a run ended.
enum Ending {
    Trained(Box<Trained>),
    Failed(TrainingFailure),
    Cancelled,
}

/// A run at work: everything happens on one blocking thread, so that serving never waits for it.
struct Job {
    app: App,
    caller: Caller,
    runtime: Handle,
    run: TrainingRun,
    revision: Revision,
    parameters: TrainingParameters,
    live: Arc<Live>,
}

impl App {
    /// Puts a recorded run into the queue.
    pub(super) fn enqueue(
        &self,
        caller: &Caller,
        run: TrainingRun,
        revision: Revision,
        parameters: TrainingParameters,
    ) {
        let live = Arc::new(Live { progress: watch::Sender::new(0.0), cancelled: AtomicBool::new(false) });
        self.trainer.runs().insert(run.id, Arc::clone(&live));
        let (app, caller, turns) = (self.clone(), caller.clone(), Arc::clone(&self.trainer.turns));
        tokio::spawn(async move {
            let id = run.id;
            let runtime = Handle::current();
            let trainer = Arc::clone(&app.trainer);
            // Without a turn the server is stopping; the next start ends the run.
            if let Ok(_turn) = turns.acquire_owned().await {
                let job = Job { app, caller, runtime, run, revision, parameters, live };
                if let Err(error) = tokio::task::spawn_blocking(move || job.work()).await {
                    tracing::error!(run_id = %id, %error, "a training run has panicked");
                }
            }
            trainer.runs().remove(&id);
        });
    }
}

impl Job {
    fn work(mut self) {
        if let Err(error) = self.try_work() {
            tracing::error!(run_id = %self.run.id, error = %chain(&error), "a training run could not be recorded");
        }
    }

    fn try_work(&mut self) -> Result<()> {
        self.run.state = TrainingState::Running;
        self.run.start_time = Some(self.app.context.now());
        self.revision = self.save_run(Vec::new())?;
        let ending = self.train();
        // A stopping server cancels the work, not the run: the next start ends it as interrupted.
        if self.app.trainer.turns.is_closed() {
            return Ok(());
        }
        self.run.end_time = Some(self.app.context.now());
        match ending {
            Ending::Trained(trained) => self.publish(*trained),
            Ending::Failed(failure) => self.end(TrainingState::Failed, Some(failure)),
            Ending::Cancelled => self.end(TrainingState::Cancelled, None),
        }
    }

    fn end(&mut self, state: TrainingState, failure: Option<TrainingFailure>) -> Result<()> {
        self.run.state = state;
        self.run.failure = failure;
        self.run.progress = self.live.progress();
        self.save_run(Vec::new())?;
        Ok(())
    }

    /// Writes the run as it is now, with further documents, as one commit.
    fn save_run(&self, more: Vec<(Document, Option<Revision>)>) -> Result<Revision> {
        let mut commit = self.app.new_commit(&self.caller);
        let run = (Document::TrainingRun(self.run.clone()), Some(self.revision));
        for (document, seen) in more.into_iter().chain([run]) {
            commit.preconditions.push(Precondition::Document(document.key(), seen));
            commit.facts.push(Fact::Document(document));
        }
        Ok(self.runtime.block_on(self.app.store.commit(commit))?)
    }

    fn train(&self) -> Ending {
        let trained = match self.run.kind {
            ModelKind::Churn => self.train_churn(),
            ModelKind::Segments => self.train_segments(),
        };
        match trained {
            Ok(trained) => Ending::Trained(Box::new(trained)),
            Err(Stop::Model(ModelError::Cancelled)) => Ending::Cancelled,
            Err(Stop::Model(ModelError::NotEnoughData(message))) => {
                Ending::Failed(TrainingFailure { reason: TrainingFailureReason::NotEnoughData, message })
            }
            Err(stop) => {
                tracing::error!(run_id = %self.run.id, error = %stop, "a training run has failed");
                let message = "training failed for a reason of ours; the server's log names it".to_owned();
                Ending::Failed(TrainingFailure { reason: TrainingFailureReason::Internal, message })
            }
        }
    }

    fn train_churn(&self) -> std::result::Result<Trained, Stop> {
        let definition = self.runtime.block_on(self.app.stored_settings(&self.caller.workspace))?.value.churn;
        let mut census = Census::default();
        self.for_each_profile(self.part(0.0, READING / 3.0), |profiles| {
            profiles.iter().for_each(|profile| census.add(profile));
            Ok(())
        })?;
        let parameters = ChurnParameters {
            cutoff_times: self.parameters.cutoffs.clone(),
            horizon: self.parameters.horizon_days.map(|count| days(u64::from(count))),
            seed: self.parameters.seed,
        };
        let plan = ChurnPlan::new(&definition, &parameters, &self.census_as_of(census))?;
        let mut examples = ChurnExamples::new(plan);
        self.for_each_profile(self.part(READING / 3.0, READING * 2.0 / 3.0), |profiles| {
            for (profile, timeline) in profiles.iter().zip(self.timelines(profiles)?) {
                examples.add(profile.id, &timeline);
            }
            Ok(())
        })?;
        let serving = self.app.registry.serving(&self.caller.workspace);
        let previous = serving.churn.as_ref().map(|served| &*served.model);
        let trained = churn::train(&examples, previous, &self.part(READING, 1.0 - READING))?;
        Ok(Trained {
            model: Model::Churn(trained.model),
            card: trained.card,
            metrics: trained.metrics,
            promote: trained.promote,
        })
    }

    fn train_segments(&self) -> std::result::Result<Trained, Stop> {
        let now = self.parameters.as_of.or(self.run.start_time).unwrap_or(self.run.create_time);
        let mut rows = SegmentRows::new(now);
        self.for_each_profile(self.part(0.0, READING), |profiles| {
            if self.parameters.as_of.is_none() {
                profiles.iter().for_each(|profile| rows.add(profile.id, &profile.state));
                return Ok(());
            }
            for (profile, timeline) in profiles.iter().zip(self.timelines(profiles)?) {
                rows.add(profile.id, &fold::refold(&timeline));
            }
            Ok(())
        })?;
        let serving = self.app.registry.serving(&self.caller.workspace);
        let previous = serving.segments.as_ref().map(|served| &*served.model);
        let parameters = SegmentParameters { k: self.parameters.k, seed: self.parameters.seed };
        let trained = segments::train(&rows, &parameters, previous, &self.part(READING, 1.0 - READING))?;
        Ok(Trained {
            model: Model::Segments(trained.model),
            card: trained.card,
            metrics: trained.metrics,
            promote: trained.promote,
        })
    }

    fn part(&self, from: f64, share: f64) -> Part<'_> {
        Part { live: &self.live, from, share }
    }

    /// Shows `look` every customer, some at a time.
    fn for_each_profile(
        &self,
        progress: Part<'_>,
        mut look: impl FnMut(&[Profile]) -> std::result::Result<(), Stop>,
    ) -> std::result::Result<(), Stop> {
        let (mut after, mut seen) = (None, 0.0_f64);
        loop {
            let scan = self.app.store.scan_profiles(&self.caller.workspace, after, CUSTOMERS_AT_ONCE);
            let profiles = self.runtime.block_on(scan).map_err(super::Error::from)?;
            let Some(last) = profiles.last() else { return Ok(()) };
            after = Some(last.id);
            seen += profiles.len() as f64;
            look(&profiles)?;
            // How many there are is not known beforehand; the bar slows down rather than jumps back.
            if progress.report(seen / (seen + 10.0 * CUSTOMERS_AT_ONCE as f64)).is_break() {
                return Err(Stop::Model(ModelError::Cancelled));
            }
        }
    }

    /// The timelines of some customers, without what came after the run began or happened after its `as_of_time`: a
    /// training sees one state of the data although events keep coming.
    fn timelines(&self, profiles: &[Profile]) -> std::result::Result<Vec<Vec<Event>>, Stop> {
        let ids: Vec<_> = profiles.iter().map(|profile| profile.id).collect();
        let read = self.app.store.timelines(&self.caller.workspace, &ids);
        let mut timelines = self.runtime.block_on(read).map_err(super::Error::from)?;
        let started = self.run.start_time.unwrap_or(Timestamp::MAX);
        let as_of = self.parameters.as_of.unwrap_or(Timestamp::MAX);
        for timeline in &mut timelines {
            timeline.retain(|event| event.times.received <= started && event.times.event <= as_of);
        }
        Ok(timelines)
    }

    fn census_as_of(&self, mut census: Census) -> Census {
        if let (Some(as_of), Some(last)) = (self.parameters.as_of, census.last_time) {
            census.last_time = Some(last.min(as_of));
        }
        census
    }

    /// Artifact, then one commit of record, run and pointer, then the swap in memory.
    fn publish(&mut self, trained: Trained) -> Result<()> {
        let workspace = &self.caller.workspace;
        let version = ModelVersion::of_run(self.run.kind, self.run.id);
        let bytes = artifact::encode(&trained.model);
        self.runtime.block_on(self.app.store.put_artifact(workspace, &version, bytes))?;
        let train_time = self.run.end_time.unwrap_or(self.run.create_time);
        let reference = ModelRef { kind: self.run.kind, version: version.clone(), train_time };
        self.run.state = TrainingState::Succeeded;
        self.run.progress = 1.0;
        self.run.model_version = Some(version.clone());
        self.run.promoted = trained.promote;
        self.run.promotion_note = trained.promotion_note();
        self.run.metrics = trained.metrics;
        let record = ModelRecord { reference: reference.clone(), card: trained.card };
        let mut documents = vec![(Document::Model(record), None)];
        if trained.promote {
            let key = DocumentKey::active_model(self.run.kind);
            let pointer = self.runtime.block_on(self.app.store.document(workspace, &key))?;
            let seen = pointer.map(|pointer| pointer.revision);
            documents.push((Document::ActiveModel(self.run.kind, version), seen));
        }
        self.save_run(documents)?;
        if trained.promote {
            self.app.registry.put(workspace, reference, trained.model);
        }
        Ok(())
    }
}

/// Why a training stopped without a model.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("{0}")]
    Model(#[from] ModelError),
    #[error("{}", chain(.0))]
    App(#[from] super::Error),
}
