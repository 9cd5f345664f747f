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
    /// Loads what answered before a restart. A model that is damaged, missing or too new leaves its kind unanswered.
    pub(super) async fn load_models(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            for kind in ModelKind::ALL {
                let Some(Versioned { revision, value: version }) = self.pointer(&workspace, kind).await? else {
                    continue;
                };
                match self.load_model(&workspace, &version).await {
                    Ok((record, model)) => self.registry.put(&workspace, record.reference, model, revision),
                    Err(error) => tracing::error!(
                        %workspace, model_version = %version, error = %crate::app::error::chain(&error),
                        "a model cannot be loaded; activate another one or train a new one"
                    ),
                }
            }
        }
        Ok(())
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
