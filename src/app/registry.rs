//! The models that answer, by workspace, in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::application::App;
use super::error::{Error, Reason, Result};
use crate::domain::fact::{Document, DocumentKey};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::model::{ModelKind, ModelRecord, ModelRef, ModelVersion};
use crate::models::artifact::{self, Model};
use crate::models::churn::ChurnModel;
use crate::models::segments::SegmentModel;
use crate::models::survey::{Question, SurveyModel};
use crate::models::value::ValueModel;
use crate::store::Versioned;

/// Models by workspace and kind. A reader gets the old model or the new one, never half of one.
#[derive(Default)]
pub(super) struct Registry(RwLock<HashMap<WorkspaceId, Serving>>);

/// What answers in one workspace.
#[derive(Clone, Default)]
pub(super) struct Serving {
    pub(super) churn: Option<Served<ChurnModel>>,
    pub(super) segments: Option<Served<SegmentModel>>,
    pub(super) effort: Option<Served<SurveyModel>>,
    pub(super) satisfaction: Option<Served<SurveyModel>>,
    pub(super) value: Option<Served<ValueModel>>,
    /// Models that should answer and could not be loaded at the start.
    pub(super) unserved: Vec<Unserved>,
}

/// A model that should answer and could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// What it would answer.
    pub kind: ModelKind,
    /// The model.
    pub version: ModelVersion,
    /// The model that answers in its place; `None` where there is none.
    pub instead: Option<ModelVersion>,
}

/// A model that answers.
pub(super) struct Served<M> {
    pub(super) reference: Arc<ModelRef>,
    pub(super) model: Arc<M>,
    /// The commit that made it answer.
    since: Revision,
}

impl<M> Clone for Served<M> {
    fn clone(&self) -> Self {
        Self { reference: Arc::clone(&self.reference), model: Arc::clone(&self.model), since: self.since }
    }
}

impl Registry {
    /// What answers in a workspace now.
    pub(super) fn serving(&self, workspace: &WorkspaceId) -> Serving {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(workspace).cloned().unwrap_or_default()
    }

    /// Lets a model answer from the next request on. Of two models that come here out of order, the one whose commit
    /// is the later stays.
    pub(super) fn put(&self, workspace: &WorkspaceId, reference: ModelRef, model: Model, since: Revision) {
        let mut workspaces = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let serving = workspaces.entry(workspace.clone()).or_default();
        serving.unserved.retain(|unserved| unserved.kind != reference.kind);
        match model {
            Model::Churn(model) => replace(&mut serving.churn, reference, model, since),
            Model::Segments(model) => replace(&mut serving.segments, reference, model, since),
            Model::Survey(model) => match model.question() {
                Question::Effort => replace(&mut serving.effort, reference, model, since),
                Question::Satisfaction => replace(&mut serving.satisfaction, reference, model, since),
            },
            Model::Value(model) => replace(&mut serving.value, reference, model, since),
        }
    }

    /// The kinds of models that should answer and do not, once for each workspace.
    pub(super) fn unserved(&self) -> Vec<ModelKind> {
        let workspaces = self.0.read().unwrap_or_else(PoisonError::into_inner);
        workspaces.values().flat_map(|serving| &serving.unserved).map(|unserved| unserved.kind).collect()
    }

    /// Notes that a model could not be loaded; the one in its place was put here before.
    fn note(&self, workspace: &WorkspaceId, unserved: Unserved) {
        let mut workspaces = self.0.write().unwrap_or_else(PoisonError::into_inner);
        workspaces.entry(workspace.clone()).or_default().unserved.push(unserved);
    }
}

fn replace<M>(served: &mut Option<Served<M>>, reference: ModelRef, model: M, since: Revision) {
    if served.as_ref().is_none_or(|served| served.since <= since) {
        *served = Some(Served { reference: Arc::new(reference), model: Arc::new(model), since });
    }
}

impl Serving {
    pub(super) fn churn(&self) -> Result<&Served<ChurnModel>> {
        self.churn.as_ref().ok_or(Error::Precondition(Reason::ModelNotTrained(ModelKind::Churn)))
    }

    pub(super) fn satisfaction(&self) -> Result<&Served<SurveyModel>> {
        self.satisfaction.as_ref().ok_or(Error::Precondition(Reason::ModelNotTrained(ModelKind::Satisfaction)))
    }

    pub(super) fn value(&self) -> Result<&Served<ValueModel>> {
        self.value.as_ref().ok_or(Error::Precondition(Reason::ModelNotTrained(ModelKind::Value)))
    }

    pub(super) fn segments(&self) -> Result<&Served<SegmentModel>> {
        self.segments.as_ref().ok_or(Error::Precondition(Reason::ModelNotTrained(ModelKind::Segments)))
    }
}

impl App {
    /// Loads what answered before a restart. In the place of a model that is damaged, missing or too new the last good one
    /// of its kind answers, where there is one.
    pub(super) async fn load_models(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            for kind in ModelKind::ALL {
                let Some(Versioned { revision, value: version }) = self.pointer(&workspace, kind).await? else {
                    continue;
                };
                match self.load_model(&workspace, &version).await {
                    Ok((record, model)) => self.registry.put(&workspace, record.reference, model, revision),
                    Err(error) => {
                        let instead = self.put_in_place_of(&workspace, kind, (&version, revision)).await?;
                        tracing::error!(
                            %workspace, model_version = %version, error = %crate::app::error::chain(&error),
                            instead = instead.as_ref().map_or("none", ModelVersion::as_str),
                            "a model cannot be loaded; activate another one or train a new one"
                        );
                        self.registry.note(&workspace, Unserved { kind, version, instead });
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets the latest model of a kind that passed the gate and can be loaded answer in the place of another one.
    async fn put_in_place_of(
        &self,
        workspace: &WorkspaceId,
        kind: ModelKind,
        (wanted, since): (&ModelVersion, Revision),
    ) -> Result<Option<ModelVersion>> {
        let mut runs = self.all_runs(workspace).await?;
        runs.retain(|run| run.kind == kind && run.promoted);
        runs.sort_by_key(|run| std::cmp::Reverse(run.end_time));
        for version in runs.into_iter().filter_map(|run| run.model_version).filter(|version| version != wanted) {
            if let Ok((record, model)) = self.load_model(workspace, &version).await {
                self.registry.put(workspace, record.reference, model, since);
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// The version that the stored pointer names, with the commit that set it.
    pub(super) async fn pointer(
        &self,
        workspace: &WorkspaceId,
        kind: ModelKind,
    ) -> Result<Option<Versioned<ModelVersion>>> {
        let stored = self.store.document(workspace, &DocumentKey::active_model(kind)).await?;
        Ok(stored.and_then(|Versioned { revision, value }| match value {
            Document::ActiveModel(_, value) => Some(Versioned { revision, value }),
            _ => None,
        }))
    }

    /// A stored model with its record.
    pub(super) async fn load_model(
        &self,
        workspace: &WorkspaceId,
        version: &ModelVersion,
    ) -> Result<(ModelRecord, Model)> {
        let record = self.model_record(workspace, version).await?;
        let bytes = self.store.artifact(workspace, version).await?;
        let bytes = bytes.ok_or_else(|| Error::Internal("the artifact of a recorded model is missing".into()))?;
        Ok((record, artifact::decode(&bytes)?))
    }
}
