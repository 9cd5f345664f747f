//! Requests that name themselves, so that a caller may repeat them when an answer was lost.

use serde::Serialize;

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Reason, Result};
use super::unwind::Caught;
use crate::domain::fact::{Document, DocumentKey, Fact, RequestRecord, RequestResult};
use crate::domain::id::{Revision, WorkspaceId};
use crate::store::{Commit, Precondition};

/// Whether to do it or only to tell what would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// Do it.
    Commit,
    /// Tell what would happen.
    ValidateOnly,
}

/// A request's name and digest, to be recorded with what the request changes; `None` where it has no name.
pub(super) struct NamedRequest(Option<(String, [u8; 16])>);

/// Whether a request was carried out before.
pub(super) enum Repeat {
    /// No: carry it out and record it.
    No(NamedRequest),
    /// Yes, and this came of it, in this commit.
    Yes(RequestResult, Revision),
}

impl NamedRequest {
    /// The name of a request that has none.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Adds the record of the request to the commit that carries it out.
    pub(super) fn record(&self, result: RequestResult, commit: &mut Commit) {
        if let Some((request_id, digest)) = self.0.clone() {
            commit.preconditions.push(Precondition::Document(DocumentKey::request(&request_id), None));
            commit.facts.push(Fact::Document(Document::Request(RequestRecord { request_id, digest, result })));
        }
    }
}

impl App {
    /// Looks whether a request of this name was carried out before.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when it was another request.
    pub(super) async fn find_repeat(
        &self,
        caller: &Caller,
        request_id: &str,
        method: &str,
        content: &(impl Serialize + Sync),
    ) -> Result<Repeat> {
        if request_id.is_empty() {
            return Ok(Repeat::No(NamedRequest::none()));
        }
        let content = postcard::to_allocvec(&(method, content)).map_err(|error| Error::Internal(error.into()))?;
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(&content).as_bytes()[..16]);
        let stored = self.store.document(&caller.workspace, &DocumentKey::request(request_id)).await?;
        match stored.map(|stored| (stored.value, stored.revision)) {
            Some((Document::Request(record), revision)) if record.digest == digest => {
                Ok(Repeat::Yes(record.result, revision))
            }
            Some(_) => Err(Error::AlreadyExists(Reason::RequestIdReused)),
            None => Ok(Repeat::No(NamedRequest(Some((request_id.to_owned(), digest))))),
        }
    }

    /// An empty commit of now, for documents.
    pub(super) fn new_commit(&self, caller: &Caller) -> Commit {
        self.new_commit_in(&caller.workspace)
    }

    /// The same for a workspace that the server itself writes to.
    pub(super) fn new_commit_in(&self, workspace: &WorkspaceId) -> Commit {
        Commit {
            workspace: workspace.clone(),
            time: self.context.now(),
            preconditions: Vec::new(),
            read_at: None,
            facts: Vec::new(),
            projection: Default::default(),
        }
    }
}

/// Carries out to its end what must not stop half-way when its caller hangs up or runs out of time.
pub(super) async fn finish<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(Caught(Box::pin(work))).await {
        Ok(ended) => ended?,
        Err(stopped) => Err(Error::Internal(stopped.into())),
    }
}
