//! Reading models and their cards.

use super::application::App;
use super::customer::{Caller, Read};
use super::error::{Error, Resource, Result};
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::fact::{Document, DocumentKey, DocumentKind};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::model::{ModelKind, ModelRecord, ModelVersion};

/// A model as a caller sees it.
#[derive(Debug, Clone)]
pub struct ModelView {
    /// The model with its card.
    pub record: ModelRecord,
    /// Whether it answers now.
    pub active: bool,
}

impl Listed for ModelView {
    type Cursor = ModelVersion;

    fn cursor(&self) -> ModelVersion {
        self.record.reference.version.clone()
    }
}

impl App {
    /// One model.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown version.
    pub async fn get_model(
        &self,
        caller: &Caller,
        version: &ModelVersion,
        at_least: Option<Revision>,
    ) -> Result<(ModelView, Revision)> {
        let revision = self.require_revision(at_least)?;
        let record = self.model_record(&caller.workspace, version).await?;
        Ok((self.view(caller, record).await?, revision))
    }

    /// A page of models, newest first, of one kind or of all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad page.
    pub async fn list_models(
        &self,
        caller: &Caller,
        kind: Option<ModelKind>,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<ModelView>, Revision)> {
        let binding = Binding::new("ListModels", caller.workspace.as_str(), &kind);
        let Begin { revision, limit, after } = self.check_page::<ModelVersion>(read, page, &binding)?;
        let mut records: Vec<ModelRecord> = self
            .all_documents(&caller.workspace, DocumentKind::Model)
            .await?
            .into_iter()
            .filter_map(|document| match document {
                Document::Model(record) => Some(record),
                _ => None,
            })
            .filter(|record| kind.is_none_or(|kind| record.reference.kind == kind))
            .collect();
        records.sort_by(|a, b| {
            let newest_first = b.reference.train_time.cmp(&a.reference.train_time);
            newest_first.then_with(|| b.reference.version.cmp(&a.reference.version))
        });
        let begin = after.and_then(|last| records.iter().position(|record| record.reference.version == last));
        let rest = records.split_off(begin.map_or(0, |position| position + 1));
        let more = rest.len() > limit;
        let mut items = Vec::with_capacity(limit.min(rest.len()));
        for record in rest.into_iter().take(limit) {
            items.push(self.view(caller, record).await?);
        }
        Ok((Page::new(items, more, binding), revision))
    }

    pub(super) async fn model_record(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<ModelRecord> {
        match self.store.document(workspace, &DocumentKey::model(version)).await?.map(|found| found.value) {
            Some(Document::Model(record)) => Ok(record),
            _ => Err(Error::not_found(Resource::Model, version.as_str())),
        }
    }

    pub(super) async fn view(&self, caller: &Caller, record: ModelRecord) -> Result<ModelView> {
        let active = self.answering(&caller.workspace, record.reference.kind).await?;
        let record = self.with_follow_up(&caller.workspace, record).await?;
        Ok(ModelView { active: active.as_ref() == Some(&record.reference.version), record })
    }

    /// The version that answers for a kind: the one that the stored pointer names, or the one in its place.
    pub(super) async fn answering(&self, workspace: &WorkspaceId, kind: ModelKind) -> Result<Option<ModelVersion>> {
        let serving = self.registry.serving(workspace);
        match serving.unserved.into_iter().find(|unserved| unserved.kind == kind) {
            // Where nothing stands in for it, it is still the one that was chosen.
            Some(unserved) => Ok(Some(unserved.instead.unwrap_or(unserved.version))),
            None => Ok(self.pointer(workspace, kind).await?.map(|pointer| pointer.value)),
        }
    }

    /// All documents of a kind; there are as many as a workspace ever had training runs.
    pub(super) async fn all_documents(&self, workspace: &WorkspaceId, kind: DocumentKind) -> Result<Vec<Document>> {
        const AT_ONCE: usize = 500;
        let mut all: Vec<Document> = Vec::new();
        loop {
            let after = all.last().map(|document| document.key().name);
            let some = self.store.documents(workspace, kind, after.as_deref(), AT_ONCE).await?;
            let at_end = some.len() < AT_ONCE;
            all.extend(some.into_iter().map(|found| found.value));
            if at_end {
                return Ok(all);
            }
        }
    }
}
