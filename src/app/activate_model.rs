//! Letting another model answer.

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Reason, Result};
use super::get_models::ModelView;
use super::request::{Repeat, finish};
use crate::domain::fact::{Document, DocumentKey, Fact, RequestResult};
use crate::domain::id::Revision;
use crate::domain::model::ModelVersion;
use crate::store::Precondition;

impl App {
    /// Makes a model the one that answers, whatever its figures.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown version, [`Error::Conflict`] when another activation was faster.
    pub async fn activate_model(
        &self,
        caller: &Caller,
        version: &ModelVersion,
        request_id: &str,
    ) -> Result<(ModelView, Revision)> {
        let named = match self.find_repeat(caller, request_id, "ActivateModel", version).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::Model(version), _) => return self.get_model(caller, &version, None).await,
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        let (record, model) = self.load_model(&caller.workspace, version).await?;
        let kind = record.reference.kind;
        let reference = record.reference.clone();
        let record = self.with_follow_up(&caller.workspace, record).await?;
        let seen = self.pointer(&caller.workspace, kind).await?.map(|pointer| pointer.revision);
        let mut commit = self.new_commit(caller);
        commit.preconditions.push(Precondition::Document(DocumentKey::active_model(kind), seen));
        commit.facts.push(Fact::Document(Document::ActiveModel(kind, version.clone())));
        named.record(RequestResult::Model(version.clone()), &mut commit);
        let (app, workspace) = (self.clone(), caller.workspace.clone());
        // A caller who hangs up must not come between the commit and the swap.
        finish(async move {
            let revision = app.store.commit(commit).await?;
            app.registry.put(&workspace, reference, model, revision);
            Ok((ModelView { record, active: true }, revision))
        })
        .await
    }
}
