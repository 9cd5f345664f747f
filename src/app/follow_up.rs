//! A second look at models: how far customers have moved since the training, and what came of the answers.
//!
//! Answers are kept nowhere. Once the horizon of a model of churn has passed, its answers as of a time are made again,
//! as time travel makes them, and compared with what happened. The time is the latest one that has an outcome: one horizon
//! ago, or for a model that another one followed, the moment at which it was followed.

use tokio::runtime::Runtime;

use super::application::App;
use super::aside::aside;
use super::customer::Caller;
use super::error::{Error, Result, chain};
use crate::domain::fact::{Document, DocumentKey, Fact};
use crate::domain::follow_up::FollowUp;
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::model::{ModelKind, ModelRecord, ModelVersion};
use crate::domain::profile::Profile;
use crate::domain::time::{Timestamp, days};
use crate::domain::value::{Map, Value};
use crate::models::artifact::Model;
use crate::models::churn::{ChurnModel, ChurnToday};
use crate::models::examples::ChurnExamples;
use crate::models::segments::SegmentsToday;
use crate::store::{Precondition, Versioned};

/// What a card calls the customers of today beside those of the training.
pub(super) const DRIFT_NOW: &str = "drift_now";
/// What a card calls the comparison of answers with what happened.
pub(super) const REALISED: &str = "realised";
/// What a card calls the time of the last look.
const FOLLOW_UP_TIME: &str = "follow_up_time";
/// The status of a comparison for which the history is not kept any more.
const HISTORY_EXPIRED: &str = "history_expired";
/// The status of a model of a label, which has no date: nobody knows what came before and what after an answer.
const NO_DATES: &str = "no_dates";
/// What a comparison calls its status.
const STATUS: &str = "status";
/// How long a look is good.
const EVERY: std::time::Duration = days(1);
/// Models of churn that are followed at the same time, the latest ones.
const MODELS: usize = 5;
/// Customers that are read at a time.
const CUSTOMERS_AT_ONCE: usize = 500;
/// What the thread of a look is called.
const THREAD: &str = "follow-up";

/// A model of a workspace that is followed.
struct Followed {
    record: ModelRecord,
    /// Whether it answers now.
    active: bool,
    /// When another one took its place; `None` where none has.
    followed_at: Option<Timestamp>,
    /// The last look.
    seen: Option<Versioned<FollowUp>>,
}

impl App {
    /// Looks again at every model whose last look is a day old or older than its last training. One workspace after the
    /// other, and never beside a training. A model whose look fails is left alone for an hour.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn follow_up_models(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            for followed in self.followed(&workspace).await? {
                let Some(_turn) = self.trainer.turn().await else { return Ok(()) };
                let (app, own) = (self.clone(), workspace.clone());
                let version = followed.record.reference.version.clone();
                let look = move |runtime| Look { app, workspace: own, runtime }.at(followed);
                if let Err(problem) = aside(THREAD, look).await.flatten() {
                    tracing::warn!(%workspace, model_version = %version, error = %chain(&problem), "a model was not followed up");
                    self.failed_looks.add(&workspace, &version, self.context.now());
                }
            }
        }
        Ok(())
    }

    /// The models that a look is due at: of each kind the one that answers, and the models of churn before it.
    async fn followed(&self, workspace: &WorkspaceId) -> Result<Vec<Followed>> {
        let mut promoted: Vec<(ModelVersion, Timestamp)> = Vec::new();
        for run in self.all_runs(workspace).await? {
            if let (true, Some(version), Some(end)) = (run.promoted, run.model_version, run.end_time) {
                promoted.push((version, end));
            }
        }
        let (mut due, now) = (Vec::new(), self.context.now());
        for kind in ModelKind::ALL {
            let active = self.answering(workspace, kind).await?;
            let mut answered: Vec<&(ModelVersion, Timestamp)> =
                promoted.iter().filter(|(version, _)| version.kind_name() == kind.name()).collect();
            answered.sort_by_key(|(_, end)| *end);
            let first = answered.len().saturating_sub(if kind == ModelKind::Churn { MODELS } else { 1 });
            let mut versions: Vec<ModelVersion> =
                answered[first..].iter().map(|(version, _)| version.clone()).collect();
            versions.extend(active.iter().filter(|active| !versions.contains(active)).cloned().collect::<Vec<_>>());
            for version in versions {
                let is_active = active.as_ref() == Some(&version);
                let position = answered.iter().position(|(answered, _)| *answered == version);
                let follower = position.and_then(|position| answered.get(position + 1)).map(|follower| follower.1);
                let followed = Followed {
                    record: self.model_record(workspace, &version).await?,
                    active: is_active,
                    followed_at: follower.filter(|_| !is_active),
                    seen: self.stored_follow_up(workspace, &version).await?,
                };
                let is_pausing = self.failed_looks.are_recent(workspace, &version, now);
                if followed.is_due(now) && !is_pausing && (is_active || kind == ModelKind::Churn) {
                    due.push(followed);
                }
            }
        }
        Ok(due)
    }

    /// The last look at a model.
    pub(super) async fn stored_follow_up(
        &self,
        workspace: &WorkspaceId,
        version: &ModelVersion,
    ) -> Result<Option<Versioned<FollowUp>>> {
        let stored = self.store.document(workspace, &DocumentKey::follow_up(version)).await?;
        Ok(stored.and_then(|Versioned { revision, value }| match value {
            Document::FollowUp(value) => Some(Versioned { revision, value }),
            _ => None,
        }))
    }

    /// A model's record with what was seen of the model since.
    pub(super) async fn with_follow_up(&self, workspace: &WorkspaceId, mut record: ModelRecord) -> Result<ModelRecord> {
        if let Some(Versioned { value, .. }) = self.stored_follow_up(workspace, &record.reference.version).await? {
            record.card.insert(FOLLOW_UP_TIME.to_owned(), Value::Text(value.time.rfc3339()));
            record.card.extend(value.findings);
        }
        Ok(record)
    }
}

impl Followed {
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(Versioned { value: seen, .. }) = &self.seen else { return true };
        // A clock that was set back must not keep a model from being looked at.
        let is_old = now.minus(EVERY) >= seen.time || seen.time > now;
        is_old && !self.is_final(&seen.findings) || self.followed_at.is_some_and(|time| time > seen.time)
    }

    /// Whether no later look can find more: another model answers, and the last answers have their outcome, or nobody
    /// can tell it any more.
    fn is_final(&self, findings: &Map) -> bool {
        let (Some(followed_at), Some(Value::Map(realised))) = (self.followed_at, findings.get(REALISED)) else {
            return false;
        };
        let says = |key: &str, text: &str| matches!(realised.get(key), Some(Value::Text(said)) if said == text);
        says("as_of_time", &followed_at.rfc3339()) || says(STATUS, HISTORY_EXPIRED)
    }
}

/// A look at one model, on a thread of its own.
struct Look {
    app: App,
    workspace: WorkspaceId,
    runtime: Runtime,
}

impl Look {
    fn at(&self, followed: Followed) -> Result<()> {
        let time = self.app.context.now();
        let version = followed.record.reference.version.clone();
        let mut findings = Map::new();
        let loaded = self.runtime.block_on(self.app.load_model(&self.workspace, &version));
        match loaded.as_ref().map(|(_, model)| model) {
            // Nothing is found at a model that cannot be read; the next look comes when it is due.
            Err(error) => {
                tracing::warn!(model_version = %version, error = %chain(error), "a model is not followed up");
            }
            Ok(Model::Segments(model)) => {
                if let Some(mut today) = SegmentsToday::new(model, &followed.record.card) {
                    self.for_each(|profiles| {
                        profiles.iter().for_each(|profile| today.add(&profile.state, time));
                        Ok(())
                    })?;
                    findings.insert(DRIFT_NOW.to_owned(), Value::Map(today.describe()));
                }
            }
            // Their features are those of single answers and purchases, and they are tested by later ones at each training.
            Ok(Model::Survey(_) | Model::Value(_)) => {}
            Ok(Model::Churn(model)) => {
                let mut today = ChurnToday::new(model, &followed.record.card).filter(|_| followed.active);
                let mut last: Option<Timestamp> = None;
                self.for_each(|profiles| {
                    for profile in profiles {
                        last = last.max(profile.state.activity.all.map(|all| all.last.min(time)));
                        today.iter_mut().for_each(|today| today.add(&profile.state, time));
                    }
                    Ok(())
                })?;
                findings.extend(today.map(|today| (DRIFT_NOW.to_owned(), Value::Map(today.describe()))));
                let realised = self.realised(model, &followed, last)?;
                findings.insert(REALISED.to_owned(), Value::Map(realised));
            }
        }
        self.save(FollowUp { version, time, findings }, followed.seen.map(|seen| seen.revision))
    }

    /// What came of the answers of a model of churn, as far as events reach.
    fn realised(&self, model: &ChurnModel, followed: &Followed, last: Option<Timestamp>) -> Result<Map> {
        if model.is_labelled() {
            return Ok([(STATUS.to_owned(), Value::Text(NO_DATES.to_owned()))].into());
        }
        let learned_until = learned_until(&followed.record, model);
        let Some(last) = last else { return Ok(pending(learned_until.plus(model.horizon()))) };
        let latest = last.minus(model.horizon());
        let time = followed.followed_at.map_or(latest, |followed_at| latest.min(followed_at));
        if time < learned_until {
            return Ok(pending(learned_until.plus(model.horizon())));
        }
        let kept = self.runtime.block_on(self.app.history_kept(&self.workspace))?;
        if kept.check(time).is_err() {
            return Ok(status(HISTORY_EXPIRED, "oldest_time", kept.before));
        }
        let mut examples = ChurnExamples::new(model.outcomes_as_of(time));
        self.for_each(|profiles| {
            let known: Vec<&Profile> = profiles.iter().collect();
            let histories = self.runtime.block_on(self.app.histories(&self.workspace, &known))?;
            profiles.iter().zip(&histories).for_each(|(profile, history)| examples.add_history(profile, history));
            Ok(())
        })?;
        let mut realised = model.outcomes(&examples);
        let given = time >= followed.record.reference.train_time;
        let basis = if given { "answers" } else { "back_test" };
        realised.insert("basis".to_owned(), Value::Text(basis.to_owned()));
        Ok(realised)
    }

    /// Shows `look` every customer, some at a time, until the server stops.
    fn for_each(&self, mut look: impl FnMut(&[Profile]) -> Result<()>) -> Result<()> {
        let mut after = None;
        loop {
            if self.app.trainer.is_stopping() {
                return Err(Error::Unavailable);
            }
            let scan = self.app.store.scan_profiles(&self.workspace, after, CUSTOMERS_AT_ONCE);
            let mut profiles = self.runtime.block_on(scan)?;
            let Some(last) = profiles.last() else { return Ok(()) };
            after = Some(last.id);
            profiles.retain(|profile| self.app.may_learn_from(&self.workspace, profile));
            look(&profiles)?;
        }
    }

    fn save(&self, follow_up: FollowUp, seen: Option<Revision>) -> Result<()> {
        let mut commit = self.app.new_commit(&Caller::unrestricted(self.workspace.clone()));
        let document = Document::FollowUp(follow_up);
        commit.preconditions.push(Precondition::Document(document.key(), seen));
        commit.facts.push(Fact::Document(document));
        self.runtime.block_on(self.app.store.commit(commit))?;
        Ok(())
    }
}

/// Up to when a model may have learned from what happened: the end of its test window, which the card names.
fn learned_until(record: &ModelRecord, model: &ChurnModel) -> Timestamp {
    match record.card.get("test_cutoff_time") {
        Some(Value::Text(text)) => text.parse::<jiff::Timestamp>().map_or(record.reference.train_time, |cutoff| {
            Timestamp::from_micros(cutoff.as_microsecond()).plus(model.horizon())
        }),
        _ => record.reference.train_time,
    }
}

/// No answer has an outcome yet that the model has not learned from.
fn pending(due: Timestamp) -> Map {
    status("pending", "due_time", due)
}

fn status(status: &str, key: &str, time: Timestamp) -> Map {
    let entries = [(STATUS, status.to_owned()), (key, time.rfc3339())];
    entries.into_iter().map(|(key, text)| (key.to_owned(), Value::Text(text))).collect()
}
