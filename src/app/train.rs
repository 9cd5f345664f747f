//! Training: a job beside serving, from a run record to a model that answers.
//!
//! The model is published like a release: artifact first, then one commit that records the model, ends the run and
//! moves the pointer, then the swap in memory. Whatever fails before the commit changes nothing.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Reason, Result, chain};
use super::trainer::{Live, Part};
use crate::domain::fact::{Document, DocumentKind, Fact};
use crate::domain::history::Whole;
use crate::domain::id::Revision;
use crate::domain::model::{ModelKind, ModelRecord, ModelRef, ModelVersion};
use crate::domain::profile::Profile;
use crate::domain::time::{Timestamp, days};
use crate::domain::training::{TrainingFailure, TrainingFailureReason, TrainingParameters, TrainingRun, TrainingState};
use crate::domain::value::{Map, Value};
use crate::domain::violation::Violations;
use crate::models::artifact::{self, Model};
use crate::models::churn;
use crate::models::error::{Error as ModelError, Progress as _};
use crate::models::examples::{Census, ChurnExamples, ChurnParameters, ChurnPlan};
use crate::models::segments::{self, SegmentParameters, SegmentRows};
use crate::models::survey::Question;
use crate::store::Precondition;

/// Customers that are read at a time.
const CUSTOMERS_AT_ONCE: usize = 1_000;
/// The share of a run's progress that reading the data takes.
pub(super) const READING: f64 = 0.3;
/// The card's key for how far customers have moved since the training of the model before.
const DRIFT: &str = "drift_from_previous";

/// What a caller asks to be trained.
#[derive(Debug, Clone)]
pub struct TrainingRequest {
    /// What.
    pub kind: ModelKind,
    /// How, as the caller wrote it.
    pub parameters: Map,
    /// The caller's name of the request, may be empty.
    pub request_id: String,
    /// What of the request could not be read; it is refused together with the faults of the parameters.
    pub faults: Violations,
}

/// A trained model on its way to being published.
pub(super) struct Trained {
    pub(super) model: Model,
    pub(super) card: Map,
    pub(super) metrics: Map,
    pub(super) promote: bool,
}

impl Trained {
    /// Whatever the gate says, another model goes on answering.
    fn keep_aside(&mut self) {
        let gate = format!("kept aside, as the run was asked to; otherwise {}", self.promotion_note());
        self.card.insert("gate".to_owned(), Value::Text(gate));
        self.promote = false;
    }

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

/// The model that answered when a run began: what the gate compares with, and what the new one may replace.
#[derive(Default)]
pub(super) struct Incumbent {
    pointer: Option<Revision>,
    pub(super) model: Option<Model>,
    /// The card of that model.
    card: Map,
}

/// A run at work: everything happens on a thread of its own, so that serving never waits for it.
pub(super) struct Job {
    pub(super) app: App,
    pub(super) caller: Caller,
    /// In which it waits for the store.
    pub(super) runtime: Runtime,
    run: TrainingRun,
    revision: Revision,
    pub(super) parameters: TrainingParameters,
    live: Arc<Live>,
    pub(super) incumbent: Incumbent,
}

impl Job {
    /// A job for a run that was recorded by a commit.
    pub(super) fn new(
        app: App,
        caller: Caller,
        (run, revision): (TrainingRun, Revision),
        (parameters, live): (TrainingParameters, Arc<Live>),
        runtime: Runtime,
    ) -> Self {
        let incumbent = Incumbent::default();
        Self { app, caller, runtime, run, revision, parameters, live, incumbent }
    }

    /// Works until the run's record has ended.
    ///
    /// # Errors
    /// When the store fails; the record may be open then.
    pub(super) fn work(mut self) -> Result<()> {
        self.run.state = TrainingState::Running;
        self.run.start_time = Some(self.app.context.now());
        self.revision = self.save_run(Vec::new())?;
        self.incumbent = self.find_incumbent()?;
        let ending = self.train();
        // A stopping server cancels the work, not the run: the next start ends it as interrupted.
        if self.app.trainer.is_stopping() {
            return Ok(());
        }
        self.run.end_time = Some(self.app.context.now());
        match ending {
            Ending::Trained(trained) => self.publish(*trained),
            Ending::Failed(failure) => self.end(TrainingState::Failed, Some(failure)),
            Ending::Cancelled => self.end(TrainingState::Cancelled, None),
        }
    }

    /// Reads the pointer before the training, so that an activation that comes in between is noticed.
    fn find_incumbent(&self) -> Result<Incumbent> {
        let workspace = &self.caller.workspace;
        let Some(pointer) = self.runtime.block_on(self.app.pointer(workspace, self.run.kind))? else {
            return Ok(Incumbent::default());
        };
        let (model, card) = match self.runtime.block_on(self.app.load_model(workspace, &pointer.value)) {
            Ok((record, model)) => (Some(model), record.card),
            Err(error) => {
                tracing::warn!(model_version = %pointer.value, error = %chain(&error), "training without the model before");
                (None, Map::new())
            }
        };
        Ok(Incumbent { pointer: Some(pointer.revision), model, card })
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
            ModelKind::Effort => self.train_survey(Question::Effort),
            ModelKind::Satisfaction => self.train_survey(Question::Satisfaction),
            ModelKind::Value => self.train_value(),
        };
        match trained {
            Ok(mut trained) => {
                if self.parameters.is_trial {
                    trained.keep_aside();
                }
                Ending::Trained(Box::new(trained))
            }
            Err(Stop::Model(ModelError::Cancelled)) => Ending::Cancelled,
            Err(Stop::Model(ModelError::NotEnoughData(message))) => {
                Ending::Failed(TrainingFailure { reason: TrainingFailureReason::NotEnoughData, message })
            }
            Err(stop) => {
                if !self.app.trainer.is_stopping() {
                    tracing::error!(run_id = %self.run.id, error = %stop, "a training run has failed");
                }
                Ending::Failed(TrainingFailure::internal())
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
        let plan = ChurnPlan::new(&definition, &self.churn_parameters()?, &self.census_as_of(census))?;
        let mut examples = ChurnExamples::new(plan);
        self.for_each_profile(self.part(READING / 3.0, READING * 2.0 / 3.0), |profiles| {
            for (profile, history) in profiles.iter().zip(self.histories(profiles)?) {
                examples.add_history(profile, &history);
            }
            Ok(())
        })?;
        let previous = match &self.incumbent.model {
            Some(Model::Churn(model)) => Some(model),
            _ => None,
        };
        let mut trained = churn::train(&examples, previous, &self.part(READING, 1.0 - READING))?;
        trained.card.insert(
            DRIFT.to_owned(),
            drift(previous.and_then(|previous| previous.drift_to(&examples, &self.incumbent.card))),
        );
        Ok(Trained {
            model: Model::Churn(trained.model),
            card: trained.card,
            metrics: trained.metrics,
            promote: trained.promote,
        })
    }

    /// What the caller has chosen about customers and times.
    pub(super) fn churn_parameters(&self) -> Result<ChurnParameters> {
        Ok(ChurnParameters {
            cutoff_times: self.parameters.cutoffs.clone(),
            horizon: self.parameters.horizon_days.map(|count| days(u64::from(count))),
            earliest: self.runtime.block_on(self.app.history_kept(&self.caller.workspace))?.before,
            seed: self.parameters.seed,
            label: self.parameters.label.clone(),
            folds: self.parameters.folds.map(u64::from),
            group_by: self.parameters.group_by.clone(),
            excluded: self.parameters.excluded_traits.clone(),
        })
    }

    fn train_segments(&self) -> std::result::Result<Trained, Stop> {
        let now = self.now();
        let mut rows = SegmentRows::new(now);
        self.for_each_profile(self.part(0.0, READING), |profiles| {
            if self.parameters.as_of.is_none() {
                profiles.iter().for_each(|profile| rows.add(profile, &profile.state));
                return Ok(());
            }
            for (profile, history) in profiles.iter().zip(self.histories(profiles)?) {
                // The horizon may have moved beyond it since the run was asked for.
                if history.reaches_back_to(now) {
                    rows.add(profile, &history.refold());
                }
            }
            Ok(())
        })?;
        let previous = match &self.incumbent.model {
            Some(Model::Segments(model)) => Some(model),
            _ => None,
        };
        let next_number = self.next_segment_number()?;
        let parameters = SegmentParameters { k: self.parameters.k, seed: self.parameters.seed, next_number };
        let mut trained = segments::train(&rows, &parameters, previous, &self.part(READING, 1.0 - READING))?;
        trained.card.insert(DRIFT.to_owned(), drift(rows.drift_from(&self.incumbent.card)));
        Ok(Trained {
            model: Model::Segments(trained.model),
            card: trained.card,
            metrics: trained.metrics,
            promote: trained.promote,
        })
    }

    /// A number that no segment of any model of the workspace ever had, also of those that were rolled back.
    fn next_segment_number(&self) -> Result<u64> {
        let models = self.app.all_documents(&self.caller.workspace, DocumentKind::Model);
        let numbers = self.runtime.block_on(models)?.into_iter().filter_map(|document| match document {
            Document::Model(record) => match record.card.get(segments::NEXT_NUMBER) {
                Some(Value::Number(number)) => Some(*number as u64),
                _ => None,
            },
            _ => None,
        });
        Ok(numbers.max().unwrap_or(1))
    }

    /// The "now" of the training.
    pub(super) fn now(&self) -> Timestamp {
        self.parameters.as_of.or(self.run.start_time).unwrap_or(self.run.create_time)
    }

    pub(super) fn part(&self, from: f64, share: f64) -> Part<'_> {
        Part { live: &self.live, from, share }
    }

    /// Shows `look` every customer whom models may learn from, some at a time.
    pub(super) fn for_each_profile(
        &self,
        progress: Part<'_>,
        mut look: impl FnMut(&[Profile]) -> std::result::Result<(), Stop>,
    ) -> std::result::Result<(), Stop> {
        let (mut after, mut seen) = (None, 0.0_f64);
        loop {
            let scan = self.app.store.scan_profiles(&self.caller.workspace, after, CUSTOMERS_AT_ONCE);
            let mut profiles = self.runtime.block_on(scan).map_err(super::Error::from)?;
            let Some(last) = profiles.last() else { return Ok(()) };
            after = Some(last.id);
            profiles.retain(|profile| self.app.may_learn_from(&self.caller.workspace, profile));
            seen += profiles.len() as f64;
            look(&profiles)?;
            // How many there are is not known beforehand; the bar slows down rather than jumps back.
            if progress.report(seen / (seen + 10.0 * CUSTOMERS_AT_ONCE as f64)).is_break() {
                return Err(Stop::Model(ModelError::Cancelled));
            }
        }
    }

    /// The histories of some customers, without what came after the run began or happened after its `as_of_time`: a
    /// training sees one state of the data although events keep coming.
    pub(super) fn histories(&self, profiles: &[Profile]) -> std::result::Result<Vec<Whole>, Stop> {
        let profiles: Vec<&Profile> = profiles.iter().collect();
        let mut histories = self.runtime.block_on(self.app.histories(&self.caller.workspace, &profiles))?;
        let started = self.run.start_time.unwrap_or(Timestamp::MAX);
        let as_of = self.parameters.as_of.unwrap_or(Timestamp::MAX);
        for history in &mut histories {
            history.events.retain(|event| event.times.received <= started && event.times.event <= as_of);
        }
        Ok(histories)
    }

    pub(super) fn census_as_of(&self, mut census: Census) -> Census {
        if let (Some(as_of), Some(last)) = (self.parameters.as_of, census.last_time) {
            census.last_time = Some(last.min(as_of));
        }
        census
    }

    /// Artifact, then one commit of record, run and pointer, then the swap in memory. Where another model was activated
    /// meanwhile, the gate's comparison is void and the new model is kept without answering.
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
        let record = Document::Model(ModelRecord { reference: reference.clone(), card: trained.card });
        let saved = if trained.promote {
            let pointer = Document::ActiveModel(self.run.kind, version);
            self.save_run(vec![(record.clone(), None), (pointer, self.incumbent.pointer)])
        } else {
            self.save_run(vec![(record.clone(), None)])
        };
        match saved {
            Ok(revision) if trained.promote => self.app.registry.put(workspace, reference, trained.model, revision),
            Ok(_) => {}
            Err(Error::Conflict(Reason::Contention)) if trained.promote => {
                self.run.promoted = false;
                self.run.promotion_note = "not promoted: another model was activated during the training".to_owned();
                self.save_run(vec![(record, None)])?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// How far customers have moved since the training of the model before; null where there was none, or one whose card
/// does not tell of its customers.
fn drift(measured: Option<Map>) -> Value {
    measured.map_or(Value::Null, Value::Map)
}

/// Why a training stopped without a model.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("{0}")]
    Model(#[from] ModelError),
    #[error("{}", chain(.0))]
    App(#[from] super::Error),
}
