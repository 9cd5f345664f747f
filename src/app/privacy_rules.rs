//! What workspaces decide about the use of their customers' data, in memory: every read asks for it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::application::App;
use super::error::Result;
use crate::domain::fact::{Document, DocumentKey};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::privacy_rules::PrivacyRules;
use crate::domain::profile::Profile;

/// The rules of the workspaces that have some, as they are stored.
#[derive(Debug, Default)]
pub(super) struct KeptRules {
    of: RwLock<HashMap<WorkspaceId, (Revision, Arc<PrivacyRules>)>>,
    default: Arc<PrivacyRules>,
}

impl KeptRules {
    /// The rules in force.
    pub(super) fn of(&self, workspace: &WorkspaceId) -> Arc<PrivacyRules> {
        let kept = self.of.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get(workspace).map_or(&self.default, |(_, rules)| rules))
    }

    /// Keeps what a commit has stored, unless a later one was faster.
    pub(super) fn put(&self, workspace: &WorkspaceId, revision: Revision, rules: PrivacyRules) {
        let mut kept = self.of.write().unwrap_or_else(PoisonError::into_inner);
        if kept.get(workspace).is_none_or(|(earlier, _)| *earlier < revision) {
            kept.insert(workspace.clone(), (revision, Arc::new(rules)));
        }
    }
}

impl App {
    /// Reads the rules of all workspaces into memory.
    pub(super) async fn load_privacy_rules(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            if let Some(stored) = self.store.document(&workspace, &DocumentKey::privacy_rules()).await?
                && let Document::PrivacyRules(rules) = stored.value
            {
                self.privacy_rules.put(&workspace, stored.revision, rules);
            }
        }
        Ok(())
    }

    /// Whether a training, or a look at how models do, may take in a customer.
    pub(super) fn may_learn_from(&self, workspace: &WorkspaceId, profile: &Profile) -> bool {
        profile.consents.allow(self.privacy_rules.of(workspace).training_purpose(), self.context.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_the_last_commit_are_in_force_whichever_comes_first() {
        let (kept, workspace) = (KeptRules::default(), WorkspaceId::default_workspace());
        let rules = |purpose: &str| PrivacyRules { training_purpose: purpose.to_owned(), ..PrivacyRules::default() };
        assert_eq!(*kept.of(&workspace), PrivacyRules::default());
        kept.put(&workspace, Revision(7), rules("later"));
        kept.put(&workspace, Revision(5), rules("earlier"));
        assert_eq!(kept.of(&workspace).training_purpose, "later");
        assert_eq!(*kept.of(&"other".parse().expect("a name")), PrivacyRules::default());
    }
}
