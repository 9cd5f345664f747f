//! History that is older than it is to be kept expires: it is told to nobody from then on, then forgotten profile by
//! profile, and then the store lets go of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::application::App;
use super::customer::Caller;
use super::error::{Error, Reason, Result};
use super::project::Loaded;
use crate::domain::fact::{Document, DocumentKey, ExpireFact, Fact};
use crate::domain::history::{History, Horizon};
use crate::domain::id::{MergeId, ProfileId, Revision};
use crate::domain::limits;
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::store::{self, Forgotten, Precondition, Versioned};

/// Profiles that are looked at together.
const PROFILES_AT_ONCE: usize = 50;
/// Events from which no further profile's are forgotten by the same commit.
const EVENTS_AT_ONCE: usize = 2_000;
/// Commits that are read at a time.
const COMMITS_AT_ONCE: usize = 1_000;

/// Profiles whose events are forgotten by one commit, with what that depends on.
#[derive(Default)]
struct Expiring {
    facts: Vec<Fact>,
    events: usize,
    loaded: Loaded,
}

impl App {
    /// Lets everything expire that happened longer ago than `kept`, by whole days. What was begun and did not come to its
    /// end, for instance because the server was stopped, is ended by the next call.
    ///
    /// # Errors
    /// When the store fails, or others keep changing the same customers.
    pub async fn expire_history(&self, kept: Duration) -> Result<()> {
        let before = self.context.now().minus(kept).day().start();
        for workspace in self.store.workspaces().await? {
            let caller = Caller::unrestricted(workspace);
            self.move_horizon(&caller, before).await?;
            self.forget_expired(&caller).await?;
        }
        if let Some(forgotten) = self.forgotten().await? {
            self.store.forget_commits(forgotten).await?;
        }
        Ok(())
    }

    /// From here on what happened before has expired. The horizon never moves back, not even with the clock.
    async fn move_horizon(&self, caller: &Caller, before: Timestamp) -> Result<()> {
        let stored = self.horizon(&caller.workspace).await?;
        let forgotten_before = stored.as_ref().map_or(Timestamp::MIN, |stored| stored.value.forgotten_before);
        if stored.as_ref().is_some_and(|stored| stored.value.before >= before) {
            return Ok(());
        }
        let seen = stored.map(|stored| stored.revision);
        self.save_horizon(caller, Horizon { before, forgotten_before }, seen).await
    }

    async fn save_horizon(&self, caller: &Caller, horizon: Horizon, seen: Option<Revision>) -> Result<()> {
        let mut commit = self.new_commit(caller);
        commit.preconditions.push(Precondition::Document(DocumentKey::horizon(), seen));
        commit.facts.push(Fact::Document(Document::Horizon(horizon)));
        self.store.commit(commit).await?;
        Ok(())
    }

    /// Forgets every event of a workspace that has expired.
    async fn forget_expired(&self, caller: &Caller) -> Result<()> {
        let Some(Versioned { value: horizon, revision: seen }) = self.horizon(&caller.workspace).await? else {
            return Ok(());
        };
        if !horizon.is_under_way() {
            return Ok(());
        }
        let (begun, mut after) = (self.store.revision(), None);
        loop {
            let profiles = self.store.scan_profiles(&caller.workspace, after, PROFILES_AT_ONCE).await?;
            let Some(last) = profiles.last() else { break };
            after = Some(last.id);
            let concerned = profiles.into_iter().filter(|profile| horizon.concerns(&profile.state)).collect();
            self.forget_some(caller, concerned, horizon.before).await?;
        }
        self.forget_moved(caller, begun, horizon.before).await?;
        let forgotten_before = horizon.before;
        self.save_horizon(caller, Horizon { forgotten_before, ..horizon }, Some(seen)).await
    }

    /// Forgets what belongs to customers who became one or fell apart since a commit: the scan may have missed them.
    async fn forget_moved(&self, caller: &Caller, begun: Revision, before: Timestamp) -> Result<()> {
        let mut after = begun;
        loop {
            let followed = self.store.commits_after(&caller.workspace, after, COMMITS_AT_ONCE).await?;
            let mut moved = BTreeSet::new();
            for fact in followed.commits.iter().flat_map(|commit| &commit.facts) {
                match fact {
                    Fact::Merge(fact) => drop(moved.insert(fact.survivor)),
                    Fact::Unmerge(fact) => moved.extend(fact.groups.iter().flatten()),
                    Fact::Event(_) | Fact::Document(_) | Fact::Consent(_) | Fact::Expire(_) => {}
                    Fact::Erase(_) | Fact::Forgotten(_) => {}
                }
            }
            for id in moved {
                self.forget_one(caller, id, before).await?;
            }
            if followed.up_to <= after {
                return Ok(());
            }
            after = followed.up_to;
        }
    }

    /// Forgets what has expired of some profiles: of all at once, or of each alone where somebody was faster.
    async fn forget_some(&self, caller: &Caller, profiles: Vec<Profile>, before: Timestamp) -> Result<()> {
        let ids: Vec<ProfileId> = profiles.iter().map(|profile| profile.id).collect();
        if self.try_to_forget(caller, profiles, before).await? {
            return Ok(());
        }
        for id in ids {
            self.forget_one(caller, id, before).await?;
        }
        Ok(())
    }

    async fn forget_one(&self, caller: &Caller, id: ProfileId, before: Timestamp) -> Result<()> {
        for _ in 0..limits::CONFLICT_RETRIES {
            let found = self.store.profiles(&caller.workspace, &[id]).await?;
            if self.try_to_forget(caller, found.into_iter().flatten().collect(), before).await? {
                return Ok(());
            }
        }
        Err(Error::Conflict(Reason::Contention))
    }

    /// Forgets what has expired of some profiles. False where one of them has changed meanwhile.
    async fn try_to_forget(&self, caller: &Caller, profiles: Vec<Profile>, before: Timestamp) -> Result<bool> {
        let parts: Vec<ProfileId> = profiles.iter().flat_map(|profile| &profile.parts).map(|part| part.id).collect();
        if parts.is_empty() {
            return Ok(true);
        }
        let histories = self.store.histories(&caller.workspace, &parts).await?;
        let mut histories: HashMap<ProfileId, History> = parts.into_iter().zip(histories).collect();
        let mut expiring = Expiring::default();
        for profile in profiles {
            let own = profile.parts.iter().filter_map(|part| histories.remove_entry(&part.id)).collect::<Vec<_>>();
            let events = own.iter().flat_map(|(_, history)| &history.events);
            let expired = events.filter(|event| event.times.event < before).count();
            if expired == 0 {
                continue;
            }
            let lasting = self.lasting_merges(caller, &profile, before).await?;
            let groups = profile.groups_by(|merge| lasting.contains(&merge));
            expiring.facts.push(Fact::Expire(ExpireFact { profile: profile.id, before, groups }));
            expiring.events += expired;
            expiring.loaded.histories.extend(own);
            expiring.loaded.profiles.insert(profile.id, Arc::new(profile));
            // While a commit forgets, others wait for it.
            if expiring.events >= EVENTS_AT_ONCE && !self.commit_expiring(caller, std::mem::take(&mut expiring)).await?
            {
                return Ok(false);
            }
        }
        self.commit_expiring(caller, expiring).await
    }

    async fn commit_expiring(&self, caller: &Caller, expiring: Expiring) -> Result<bool> {
        let Expiring { facts, mut loaded, .. } = expiring;
        if facts.is_empty() {
            return Ok(true);
        }
        let mut commit = self.new_commit(caller);
        let seen = |profile: &Arc<Profile>| Precondition::Profile(profile.id, Some(profile.revision));
        commit.preconditions.extend(loaded.profiles.values().map(seen));
        commit.projection = loaded.project(&facts, commit.time);
        commit.facts = facts;
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(store::Error::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The merges of a profile that nobody can undo any more: their time has expired, or there is no record of them.
    async fn lasting_merges(&self, caller: &Caller, profile: &Profile, before: Timestamp) -> Result<BTreeSet<MergeId>> {
        let mut lasting: BTreeSet<MergeId> = profile.links.iter().map(|link| link.merge).collect();
        for merge in lasting.clone() {
            match self.merge_record(caller, merge).await {
                Ok(record) if record.value.time >= before => drop(lasting.remove(&merge)),
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lasting)
    }

    /// What was forgotten of all workspaces; `None` where there is one of which nothing ever was.
    async fn forgotten(&self) -> Result<Option<Forgotten>> {
        let mut forgotten: Option<Forgotten> = None;
        // Listed behind the last of the documents, so that no workspace with a commit before it is missing.
        for workspace in self.store.workspaces().await? {
            let Some(Versioned { revision, value }) = self.horizon(&workspace).await? else { return Ok(None) };
            let so_far = forgotten.unwrap_or(Forgotten { before: Timestamp::MAX, by: revision });
            let before = so_far.before.min(value.forgotten_before);
            forgotten = Some(Forgotten { before, by: so_far.by.max(revision) });
        }
        Ok(forgotten)
    }
}
