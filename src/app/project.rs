//! What facts make of profiles that were read beforehand.

use std::collections::HashMap;
use std::convert::Infallible;
use std::result::Result as StdResult;
use std::sync::Arc;

use super::application::App;
use super::customer::Caller;
use super::error::Result;
use crate::domain::fact::Fact;
use crate::domain::history::History;
use crate::domain::id::ProfileId;
use crate::domain::profile::Profile;
use crate::domain::projection::{self, Before, Projection};
use crate::domain::time::Timestamp;

impl App {
    /// What the facts make of the profiles, with the histories that this needs.
    pub(super) async fn project(
        &self,
        caller: &Caller,
        facts: &[Fact],
        time: Timestamp,
        profiles: HashMap<ProfileId, Arc<Profile>>,
    ) -> Result<Projection> {
        let needed = projection::histories_needed(facts, |id| profiles.get(&id).map(|profile| &**profile));
        let ids: Vec<ProfileId> = needed.into_iter().collect();
        let histories = if ids.is_empty() { Vec::new() } else { self.store.histories(&caller.workspace, &ids).await? };
        let mut before = Loaded { profiles, histories: ids.into_iter().zip(histories).collect() };
        Ok(before.project(facts, time))
    }
}

/// What a projection finds, loaded beforehand.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) profiles: HashMap<ProfileId, Arc<Profile>>,
    pub(super) histories: HashMap<ProfileId, History>,
}

impl Loaded {
    /// What facts that were accepted at a time make of it.
    pub(super) fn project(&mut self, facts: &[Fact], time: Timestamp) -> Projection {
        match projection::project(facts, time, self) {
            Ok(projection) => projection,
            Err(never) => match never {},
        }
    }
}

impl Before for Loaded {
    type Error = Infallible;

    fn profile(&mut self, id: ProfileId) -> StdResult<Option<Profile>, Infallible> {
        Ok(self.profiles.remove(&id).map(Arc::unwrap_or_clone))
    }

    fn history(&self, part: ProfileId) -> StdResult<History, Infallible> {
        Ok(self.histories.get(&part).cloned().unwrap_or_default())
    }
}
