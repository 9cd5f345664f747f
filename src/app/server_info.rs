//! What an operator asks first.

use std::collections::BTreeMap;

use super::application::App;
use super::customer::Caller;
use super::error::Result;
use super::registry::Unserved;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;

/// The server, and how much the caller's workspace holds.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// The release.
    pub version: &'static str,
    /// The store's adapter.
    pub store: &'static str,
    /// When the server started.
    pub start_time: Timestamp,
    /// The last commit.
    pub revision: Revision,
    /// Customers in the workspace.
    pub profiles: u64,
    /// Accepted events in the workspace.
    pub events: u64,
    /// Reads of the workspace's customers that were refused for want of consent since the start, by purpose.
    pub refusals: BTreeMap<String, u64>,
    /// Models of the workspace that should answer and could not be loaded.
    pub unserved: Vec<Unserved>,
}

impl App {
    /// The server and the size of the caller's workspace. Counts by looking at every profile, so ask seldom.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn server_info(&self, caller: &Caller, at_least: Option<Revision>) -> Result<ServerInfo> {
        const AT_ONCE: usize = 1_000;
        let revision = self.require_revision(at_least)?;
        let (mut profiles, mut events, mut after) = (0, 0, None);
        loop {
            let some = self.store.scan_profiles(&caller.workspace, after, AT_ONCE).await?;
            profiles += some.len() as u64;
            events += some.iter().map(|profile| profile.state.activity.events()).sum::<u64>();
            match some.last() {
                Some(last) => after = Some(last.id),
                None => break,
            }
        }
        let (version, store) = (env!("CARGO_PKG_VERSION"), self.store.name());
        let unserved = self.registry.serving(&caller.workspace).unserved;
        let (refusals, start_time) = (self.refusals.of(&caller.workspace), self.start_time);
        Ok(ServerInfo { version, store, start_time, revision, profiles, events, refusals, unserved })
    }
}
