//! Looks at models that came to nothing, so that they are not tried again at once.
//!
//! A look that fails leaves no document behind that could say when the next one is due: the store may be full, or the look
//! may have panicked. What is remembered here is lost with the process, so that a restart tries once more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::id::WorkspaceId;
use crate::domain::model::ModelVersion;
use crate::domain::time::Timestamp;

/// How long a model is left alone whose look has failed: a look reads the histories of all customers, which would keep a
/// server busy that tries each minute, and what fills a disk or fails by a fault of ours is rarely over in minutes.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// When the last look at a model failed.
#[derive(Default)]
pub(super) struct FailedLooks(Mutex<HashMap<(WorkspaceId, ModelVersion), Timestamp>>);

impl FailedLooks {
    /// Remembers a failure at `now`, and forgets those that are over.
    pub(super) fn add(&self, workspace: &WorkspaceId, version: &ModelVersion, now: Timestamp) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, time| is_pausing(*time, now));
        failed.insert((workspace.clone(), version.clone()), now);
    }

    /// Whether a model is left alone at `now`.
    pub(super) fn are_recent(&self, workspace: &WorkspaceId, version: &ModelVersion, now: Timestamp) -> bool {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&(workspace.clone(), version.clone())).is_some_and(|time| is_pausing(*time, now))
    }
}

/// A clock that was set back must not keep a model from being looked at.
fn is_pausing(failed: Timestamp, now: Timestamp) -> bool {
    failed <= now && now.minus(PAUSE) < failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RunId;
    use crate::domain::model::ModelKind;

    #[test]
    fn a_model_is_left_alone_for_an_hour_whatever_becomes_of_others() {
        let at = |minutes: i64| Timestamp::from_micros(minutes * 60_000_000);
        let (workspace, failed) = (WorkspaceId::default_workspace(), FailedLooks::default());
        let [version, other] =
            [ModelKind::Churn, ModelKind::Segments].map(|kind| ModelVersion::of_run(kind, RunId::MIN));
        failed.add(&workspace, &version, at(100));
        let alone = |version, minutes| failed.are_recent(&workspace, version, at(minutes));
        assert_eq!([99, 100, 159, 160].map(|minutes| alone(&version, minutes)), [false, true, true, false]);
        assert!(!alone(&other, 100));
        failed.add(&workspace, &other, at(160));
        assert_eq!(failed.0.lock().expect("no panic").len(), 1, "what is over is forgotten");
    }
}
