//! The writing half of the port.

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::committer::Request;
use super::prepare::Prepared;
use super::store::EmbeddedStore;
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::model::ModelVersion;
use crate::store::{ArtifactStore, Commit, CommitStore, Error, Result, Store};

#[async_trait]
impl CommitStore for EmbeddedStore {
    async fn commit(&self, commit: Commit) -> Result<Revision> {
        let (schedule, memory) = self.schedule()?;
        self.status().check()?;
        let commit = Prepared::new(commit, self.opened()?.index())?;
        let memory = memory.acquire(commit.payload.len()).await?;
        let (answer, answered) = oneshot::channel();
        schedule.send(Request { commit, answer, _memory: memory })?;
        // The committer answers everything that it took; if it is gone, nobody knows what became of the commit.
        answered.await.unwrap_or_else(|_| Err(Error::Poisoned("the committer ended".to_owned())))
    }

    fn revision(&self) -> Revision {
        self.status().revision()
    }
}

#[async_trait]
impl ArtifactStore for EmbeddedStore {
    async fn put_artifact(&self, workspace: &WorkspaceId, version: &ModelVersion, bytes: Vec<u8>) -> Result<()> {
        let (workspace, version) = (workspace.clone(), version.clone());
        self.read(move |open| {
            open.space().check()?;
            open.artifacts().put(&workspace, &version, &bytes)
        })
        .await
    }

    async fn artifact(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<Option<Vec<u8>>> {
        let (workspace, version) = (workspace.clone(), version.clone());
        self.read(move |open| open.artifacts().get(&workspace, &version)).await
    }

    async fn remove_artifact(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<()> {
        let (workspace, version) = (workspace.clone(), version.clone());
        self.read(move |open| {
            let _no_backup_copies_it = open.keep().hold();
            open.artifacts().remove(&workspace, &version)
        })
        .await
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn takes_writes(&self) -> bool {
        EmbeddedStore::takes_writes(self)
    }

    async fn close(&self) -> Result<()> {
        self.shut_down().await
    }
}
