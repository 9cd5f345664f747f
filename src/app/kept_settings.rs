//! What every read asks of a workspace's settings, in memory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::application::App;
use super::customer::Caller;
use super::error::Result;
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::money::Currency;
use crate::domain::privacy_rules::PrivacyRules;
use crate::domain::profile::Profile;

/// What of a workspace's settings is kept.
#[derive(Debug, Default, PartialEq)]
pub(super) struct KeptSettings {
    /// The currency that summaries are stated in; empty is each customer's first.
    pub(super) currency: Currency,
    /// What is decided about the use of customers' data.
    pub(super) privacy: PrivacyRules,
}

/// The settings of the workspaces that have some, as they are stored.
#[derive(Debug, Default)]
pub(super) struct AllKeptSettings {
    of: RwLock<HashMap<WorkspaceId, (Revision, Arc<KeptSettings>)>>,
    default: Arc<KeptSettings>,
}

impl AllKeptSettings {
    /// The settings in force.
    pub(super) fn of(&self, workspace: &WorkspaceId) -> Arc<KeptSettings> {
        let kept = self.of.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get(workspace).map_or(&self.default, |(_, settings)| settings))
    }

    /// Keeps what a commit has stored, unless a later one was faster.
    pub(super) fn put(&self, workspace: &WorkspaceId, revision: Revision, settings: KeptSettings) {
        let mut kept = self.of.write().unwrap_or_else(PoisonError::into_inner);
        if kept.get(workspace).is_none_or(|(earlier, _)| *earlier < revision) {
            kept.insert(workspace.clone(), (revision, Arc::new(settings)));
        }
    }
}

impl App {
    /// Reads the settings of all workspaces into memory.
    pub(super) async fn load_settings(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            let settings = self.stored_settings(&workspace).await?;
            let kept = KeptSettings {
                currency: settings.value.currency,
                privacy: self.stored_privacy_rules(&workspace).await?,
            };
            self.kept_settings.put(&workspace, settings.revision, kept);
        }
        Ok(())
    }

    /// Whether a training, or a look at how models do, may take in a customer.
    pub(super) fn may_learn_from(&self, workspace: &WorkspaceId, profile: &Profile) -> bool {
        let settings = self.kept_settings.of(workspace);
        profile.consents.allow(settings.privacy.training_purpose(), self.context.now())
    }

    /// The currency that summaries of a workspace are stated in; empty is each customer's first.
    pub fn summary_currency(&self, caller: &Caller) -> Currency {
        self.kept_settings.of(&caller.workspace).currency.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_last_commit_are_in_force_whichever_comes_first() {
        let (kept, workspace) = (AllKeptSettings::default(), WorkspaceId::default_workspace());
        let settings = |purpose: &str| {
            let privacy = PrivacyRules { training_purpose: purpose.to_owned(), ..PrivacyRules::default() };
            KeptSettings { privacy, ..KeptSettings::default() }
        };
        assert_eq!(*kept.of(&workspace), KeptSettings::default());
        kept.put(&workspace, Revision(7), settings("later"));
        kept.put(&workspace, Revision(5), settings("earlier"));
        assert_eq!(kept.of(&workspace).privacy.training_purpose, "later");
        assert_eq!(*kept.of(&"other".parse().expect("a name")), KeptSettings::default());
    }
}
