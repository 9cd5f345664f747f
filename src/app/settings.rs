//! What a workspace decides for itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Invalid, Reason, Result};
use super::kept_settings::KeptSettings;
use super::request::{Repeat, finish};
use crate::domain::fact::{Document, DocumentKey, Fact, RequestResult};
use crate::domain::id::{Revision, WorkspaceId};
use crate::domain::money::Currency;
use crate::domain::privacy_rules::PrivacyRules;
use crate::domain::settings::{ChurnKind, Settings};
use crate::domain::violation::Violations;
use crate::store::{Precondition, Versioned};

/// Settings as a caller sees them.
#[derive(Debug, Clone)]
pub struct SettingsView {
    /// The settings in force.
    pub settings: Settings,
    /// What is decided about the use of customers' data.
    pub privacy: PrivacyRules,
    /// Names this state of them; changes with every change.
    pub etag: String,
    /// What was read, or written.
    pub revision: Revision,
}

/// A change of settings: `None` leaves as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SettingsChange {
    /// What leaving means.
    pub churn_kind: Option<ChurnKind>,
    /// How far ahead, and how long quiet.
    pub churn_horizon: Option<Duration>,
    /// What shows that a customer is still here.
    pub qualifying_events: Option<Vec<String>>,
    /// The currency of summaries.
    pub currency: Option<Currency>,
    /// The region of phone numbers without their country code.
    pub default_phone_region: Option<String>,
    /// How much sources count.
    pub source_priorities: Option<BTreeMap<String, i32>>,
    /// What models may learn from.
    pub training_purpose: Option<String>,
    /// What reads are for that do not say it.
    pub method_purposes: Option<BTreeMap<String, String>>,
    /// Whether whoever was forgotten may come back as somebody new.
    pub erased_may_return: Option<bool>,
    /// The state that the caller has seen; empty is any.
    pub etag: String,
}

impl App {
    /// The settings in force.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get_settings(&self, caller: &Caller, at_least: Option<Revision>) -> Result<SettingsView> {
        let revision = self.require_revision(at_least)?;
        let stored = self.stored_settings(&caller.workspace).await?;
        let privacy = self.stored_privacy_rules(&caller.workspace).await?;
        Ok(SettingsView { settings: stored.value, privacy, etag: stored.revision.to_string(), revision })
    }

    /// Changes settings, all named ones or none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values out of range, [`Error::Conflict`] for a stale etag or a lost race.
    pub async fn update_settings(
        &self,
        caller: &Caller,
        change: SettingsChange,
        request_id: &str,
    ) -> Result<SettingsView> {
        let named = match self.find_repeat(caller, request_id, "UpdateSettings", &change).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::AllSettings(settings, privacy), revision) => {
                return Ok(SettingsView { settings, privacy, etag: revision.to_string(), revision });
            }
            // As the release before recorded it, which had no rules.
            Repeat::Yes(RequestResult::Settings(settings), revision) => {
                let privacy = PrivacyRules::default();
                return Ok(SettingsView { settings, privacy, etag: revision.to_string(), revision });
            }
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        let stored = self.stored_settings(&caller.workspace).await?;
        if !change.etag.is_empty() && change.etag != stored.revision.to_string() {
            return Err(Error::Conflict(Reason::EtagMismatch));
        }
        let before = self.stored_privacy_rules(&caller.workspace).await?;
        let (settings, privacy) = change.apply(stored.value, before.clone());
        let mut violations = Violations::new();
        violations.within("settings", |violations| {
            settings.check(violations);
            privacy.check(violations);
        });
        Invalid::check(violations)?;
        let mut commit = self.new_commit(caller);
        let seen = (stored.revision != Revision::default()).then_some(stored.revision);
        commit.preconditions.push(Precondition::Document(DocumentKey::settings(), seen));
        // The settings are written whatever changes, so that their revision stands for all of it.
        commit.facts.push(Fact::Document(Document::Settings(settings.clone())));
        if privacy != before {
            commit.facts.push(Fact::Document(Document::PrivacyRules(privacy.clone())));
        }
        named.record(RequestResult::AllSettings(settings.clone(), privacy.clone()), &mut commit);
        let kept = KeptSettings { currency: settings.currency.clone(), privacy: privacy.clone() };
        // A caller who hangs up must not come between the commit and what reads go by.
        let (app, workspace) = (self.clone(), caller.workspace.clone());
        let revision = finish(async move {
            let revision = app.store.commit(commit).await?;
            app.kept_settings.put(&workspace, revision, kept);
            Ok(revision)
        })
        .await?;
        Ok(SettingsView { settings, privacy, etag: revision.to_string(), revision })
    }

    /// The stored settings, or the defaults at revision 0.
    pub(super) async fn stored_settings(&self, workspace: &WorkspaceId) -> Result<Versioned<Settings>> {
        let stored = self.store.document(workspace, &DocumentKey::settings()).await?;
        Ok(match stored {
            Some(Versioned { revision, value: Document::Settings(value) }) => Versioned { revision, value },
            _ => Versioned { revision: Revision::default(), value: Settings::default() },
        })
    }

    /// What is stored about the use of customers' data.
    pub(super) async fn stored_privacy_rules(&self, workspace: &WorkspaceId) -> Result<PrivacyRules> {
        let stored = self.store.document(workspace, &DocumentKey::privacy_rules()).await?;
        Ok(match stored.map(|stored| stored.value) {
            Some(Document::PrivacyRules(rules)) => rules,
            _ => PrivacyRules::default(),
        })
    }
}

impl SettingsChange {
    fn apply(self, mut settings: Settings, mut privacy: PrivacyRules) -> (Settings, PrivacyRules) {
        settings.churn.kind = self.churn_kind.unwrap_or(settings.churn.kind);
        settings.churn.horizon = self.churn_horizon.unwrap_or(settings.churn.horizon);
        settings.churn.qualifying_events = self.qualifying_events.unwrap_or(settings.churn.qualifying_events);
        settings.currency = self.currency.unwrap_or(settings.currency);
        settings.source_priorities = self.source_priorities.unwrap_or(settings.source_priorities);
        settings.default_phone_region = self.default_phone_region.unwrap_or(settings.default_phone_region);
        privacy.training_purpose = self.training_purpose.unwrap_or(privacy.training_purpose);
        privacy.method_purposes = self.method_purposes.unwrap_or(privacy.method_purposes);
        privacy.erased_may_return = self.erased_may_return.unwrap_or(privacy.erased_may_return);
        (settings, privacy)
    }
}
