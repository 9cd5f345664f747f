//! How often reads were refused for want of consent, so that somebody sees which purposes ask in vain.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::id::WorkspaceId;
use crate::domain::limits;

/// Refusals since the server started, by workspace and purpose.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<WorkspaceId, BTreeMap<String, u64>>>);

impl Refusals {
    /// Counts one. Purposes are named by callers: beyond so many of them, further ones count together.
    pub(super) fn count(&self, workspace: &WorkspaceId, purpose: &str) {
        let mut workspaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let purposes = workspaces.entry(workspace.clone()).or_default();
        let is_apart = purposes.contains_key(purpose) || purposes.len() < limits::CONSENT_PURPOSES;
        let name = if is_apart { purpose } else { limits::OTHER };
        *purposes.entry(name.to_owned()).or_default() += 1;
    }

    /// Those of all workspaces.
    pub(super) fn all(&self) -> u64 {
        let workspaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.values().flat_map(BTreeMap::values).sum()
    }

    /// Those of a workspace.
    pub(super) fn of(&self, workspace: &WorkspaceId) -> BTreeMap<String, u64> {
        let workspaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.get(workspace).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_purpose_and_bounded() {
        let (refusals, workspace) = (Refusals::default(), WorkspaceId::default_workspace());
        for number in 0..limits::CONSENT_PURPOSES + 3 {
            refusals.count(&workspace, &format!("purpose-{number}"));
        }
        refusals.count(&workspace, "purpose-0");
        let counted = refusals.of(&workspace);
        assert_eq!((counted["purpose-0"], counted[limits::OTHER]), (2, 3));
        assert_eq!(counted.len(), limits::CONSENT_PURPOSES + 1);
        assert_eq!(refusals.all(), limits::CONSENT_PURPOSES as u64 + 4);
        assert!(refusals.of(&"other".parse().expect("a name")).is_empty());
    }
}
