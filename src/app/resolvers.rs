//! What a workspace's settings say about the events that come, ready to be applied.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::application::App;
use super::error::Result;
use crate::domain::fact::DocumentKey;
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::identity::Resolver;
use crate::store::Precondition;

/// Workspaces whose rules are kept ready.
const KEPT: usize = 200;

/// Rules that were made ready, each for one state of its workspace's settings.
#[derive(Default)]
pub(super) struct Resolvers(Mutex<HashMap<WorkspaceId, (Revision, Arc<Resolver>)>>);

impl App {
    /// The rules in force, and what must still be so when a decision by them is committed: another server may change
    /// them at any moment.
    pub(super) async fn resolver(&self, workspace: &WorkspaceId) -> Result<(Arc<Resolver>, Precondition)> {
        let settings = self.stored_settings(workspace).await?;
        let seen = (settings.revision != Revision::default()).then_some(settings.revision);
        let precondition = Precondition::Document(DocumentKey::settings(), seen);
        let lock = || self.resolvers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, resolver)) = lock().get(workspace)
            && *revision == settings.revision
        {
            return Ok((Arc::clone(resolver), precondition));
        }
        // Made outside of the lock: patterns take a while, and others need not wait for them.
        let resolver = Arc::new(Resolver::new(&settings.value));
        let mut ready = lock();
        if ready.len() >= KEPT {
            ready.clear();
        }
        ready.insert(workspace.clone(), (settings.revision, Arc::clone(&resolver)));
        Ok((resolver, precondition))
    }
}
