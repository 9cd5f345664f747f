//! Following profiles: every change in order, from now on or from where an earlier stream came to.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::{Error, Invalid, Reason, Resource, Result};
use super::page::{Binding, token};
use super::predict::segment;
use super::unwind::produce;
use crate::domain::change::{self, ChangeKind, ProfileChange};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::domain::violation::{ViolationReason, Violations};
use crate::store::AcceptedCommit;

/// Messages that wait for the caller before the reading waits too.
const MESSAGES_AHEAD: usize = 1;
/// Commits that are read at a time.
const COMMITS_AT_ONCE: usize = 1_000;
/// Profiles that are in memory at a time, to find out their segments.
const PROFILES_AT_ONCE: usize = 50;

/// Which changes to follow.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// Where to go on; empty is from now on.
    pub resume_token: String,
    /// Only these customers; none is everyone.
    pub customers: Vec<CustomerRef>,
    /// Only profiles of these segments; none is every profile.
    pub segment_ids: Vec<String>,
    /// See at least this commit.
    pub at_least: Option<Revision>,
    /// After how much silence a message without changes is sent.
    pub checkpoint_interval: Duration,
    /// What of the request could not be read.
    pub faults: Violations,
}

/// Some changes, and where to go on behind them. Without changes it is a checkpoint.
#[derive(Debug)]
pub struct ProfileChanges {
    /// The changes, in order.
    pub changes: Vec<Watched>,
    /// Where to go on.
    pub resume_token: String,
}

/// A change with the commit that made it.
#[derive(Debug)]
pub struct Watched {
    /// The change.
    pub change: ProfileChange,
    /// The commit.
    pub revision: Revision,
    /// When it was accepted.
    pub time: Timestamp,
}

/// How far a stream has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Position {
    /// All changes up to this commit were sent,
    after: Revision,
    /// and of the one right behind it so many, be it that the filters have left some out.
    begun: usize,
    /// Of a stream about some customers: the profiles that they are at that moment.
    followed: Option<BTreeSet<ProfileId>>,
}

impl App {
    /// Begins a stream of changes. Its first message has none and comes at once; it ends when the caller lets go of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a token that is not of such a stream, [`Error::NotFound`] for an unknown customer or
    /// segment at the beginning, [`Error::Precondition`] for a state that the store does not have yet,
    /// [`Error::OutOfRange`] for one whose changes are not kept any more. Errors on the way come through the stream.
    pub async fn watch_profiles(
        &self,
        caller: &Caller,
        request: &WatchRequest,
    ) -> Result<mpsc::Receiver<Result<ProfileChanges>>> {
        let binding = request.binding(caller);
        let resumed = request.check(binding)?;
        // Taken before the customers are found, so that no merge behind it can be missed.
        let revision = self.require_revision(request.at_least)?;
        let position = match resumed {
            Some(position) => self.check_position(position)?,
            None => self.first_position(caller, request, revision).await?,
        };
        let segments: BTreeSet<String> = request.segment_ids.iter().cloned().collect();
        let watch = Watch { app: self.clone(), caller: caller.clone(), binding, segments, position };
        let interval = request.checkpoint_interval;
        Ok(produce(MESSAGES_AHEAD, |panicked| Err(panicked.into()), |sender| watch.run(sender, interval)))
    }

    async fn first_position(&self, caller: &Caller, request: &WatchRequest, after: Revision) -> Result<Position> {
        let serving = self.registry.serving(&caller.workspace);
        let known: BTreeSet<&str> =
            serving.segments.iter().flat_map(|served| served.model.segments()).map(|known| known.id.as_str()).collect();
        if let Some(unknown) = request.segment_ids.iter().find(|id| !known.contains(id.as_str())) {
            return Err(Error::not_found(Resource::Segment, unknown));
        }
        if request.customers.is_empty() {
            return Ok(Position { after, begun: 0, followed: None });
        }
        let mut followed = BTreeSet::new();
        for customers in request.customers.chunks(PROFILES_AT_ONCE) {
            let found = self.find_all(caller, customers, &Read::default()).await?;
            for (customer, found) in customers.iter().zip(found) {
                followed.insert(found.ok_or_else(|| customer.not_found())?.profile.id);
            }
        }
        Ok(Position { after, begun: 0, followed: Some(followed) })
    }

    fn check_position(&self, position: Position) -> Result<Position> {
        let begun = Revision(position.after.0.saturating_add(u64::from(position.begun > 0)));
        if begun > self.store.revision() {
            return Err(Error::Precondition(Reason::ResumeTokenAhead(begun)));
        }
        if position.after.0 + 1 < self.store.oldest_commit().0 {
            return Err(Error::OutOfRange(Reason::ResumeTokenExpired));
        }
        Ok(position)
    }
}

impl WatchRequest {
    /// Ties a token to the workspace and the filters, in whatever order they are named.
    fn binding(&self, caller: &Caller) -> Binding {
        let customers: BTreeSet<_> = self.customers.iter().map(CustomerRef::binding).collect();
        let segments: BTreeSet<_> = self.segment_ids.iter().collect();
        Binding::new("WatchProfiles", caller.workspace.as_str(), &(customers, segments))
    }

    /// Where the token says to go on; `None` without one.
    fn check(&self, binding: Binding) -> Result<Option<Position>> {
        let mut faults = self.faults.clone();
        if self.segment_ids.len() > limits::WATCHED_SEGMENTS {
            let (count, limit) = (self.segment_ids.len(), limits::WATCHED_SEGMENTS);
            faults.add("segment_ids", format!("has {count} items; the limit is {limit}"));
        }
        for (position, id) in self.segment_ids.iter().take(limits::WATCHED_SEGMENTS).enumerate() {
            faults.check_required_text(&format!("segment_ids[{position}]"), id, limits::NAME_BYTES);
        }
        // Where a filter is at fault, nobody can say whether the token belongs to it.
        if self.resume_token.is_empty() || !faults.is_empty() {
            return Invalid::check(faults).map(|()| None);
        }
        let position = binding.open::<Position>(&self.resume_token);
        if position.is_none() {
            let description = "was not given out by this method for these filters";
            faults.add_because(ViolationReason::ResumeTokenInvalid, "resume_token", description);
        }
        Invalid::check(faults).map(|()| position)
    }
}

/// One stream of changes.
struct Watch {
    app: App,
    caller: Caller,
    binding: Binding,
    segments: BTreeSet<String>,
    position: Position,
}

/// Whoever listened is gone.
struct Gone;

impl Watch {
    async fn run(mut self, sender: mpsc::Sender<Result<ProfileChanges>>, interval: Duration) {
        let mut quiet: Pin<Box<Sleep>> = Box::pin(sleep(interval));
        let mut due = self.send(&sender, Vec::new()).await;
        loop {
            if due.is_err() {
                return;
            }
            tokio::select! {
                biased;
                () = sender.closed() => return,
                () = &mut quiet => {
                    due = self.send(&sender, Vec::new()).await;
                    quiet.set(sleep(interval));
                    continue;
                }
                committed = self.app.store.committed_after(self.position.after) => {
                    if let Err(error) = committed {
                        let _gone = sender.send(Err(error.into())).await;
                        return;
                    }
                }
            }
            match self.advance(&sender).await {
                Ok(Ok(true)) => quiet.set(sleep(interval)),
                Ok(Ok(false)) => {}
                Ok(Err(Gone)) => return,
                Err(error) => {
                    let _gone = sender.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    /// Sends the next changes; whether there were any for this caller.
    async fn advance(
        &mut self,
        sender: &mpsc::Sender<Result<ProfileChanges>>,
    ) -> Result<std::result::Result<bool, Gone>> {
        let after = self.position.after;
        let followed = self.app.store.commits_after(&self.caller.workspace, after, COMMITS_AT_ONCE).await?;
        let (mut waiting, mut any) = (Vec::new(), false);
        for commit in followed.commits {
            let AcceptedCommit { revision, time, facts } = commit;
            let begun = if revision.0 == self.position.after.0 + 1 { self.position.begun } else { 0 };
            self.position.after = Revision(revision.0 - 1);
            self.position.begun = begun;
            for change in change::changes(&facts).into_iter().skip(begun) {
                self.position.begun += 1;
                if self.follows(&change) {
                    waiting.push(Watched { change, revision, time });
                }
                if waiting.len() == limits::CHANGES_PER_MESSAGE {
                    match self.tell(sender, std::mem::take(&mut waiting)).await? {
                        Ok(told) => any |= told,
                        gone => return Ok(gone),
                    }
                }
            }
            (self.position.after, self.position.begun) = (revision, 0);
        }
        self.position.after = self.position.after.max(followed.up_to);
        Ok(self.tell(sender, waiting).await?.map(|told| any || told))
    }

    /// Whether a change is one of the customers'. Goes along with merges and their ends.
    fn follows(&mut self, change: &ProfileChange) -> bool {
        let Some(followed) = &mut self.position.followed else { return change.kind != ChangeKind::Forgotten };
        match change.kind {
            ChangeKind::Created | ChangeKind::Updated | ChangeKind::Erased => followed.contains(&change.profile),
            ChangeKind::Forgotten => false,
            ChangeKind::Merged(into) => {
                let is_followed = followed.remove(&change.profile);
                if is_followed {
                    followed.insert(into);
                }
                is_followed
            }
            ChangeKind::Unmerged(from) => {
                // Which side the customer was can no longer be told.
                if followed.contains(&from) {
                    followed.insert(change.profile);
                }
                followed.contains(&change.profile)
            }
        }
    }

    /// Sends those of the changes whose profiles are in the segments; whether there were any.
    async fn tell(
        &self,
        sender: &mpsc::Sender<Result<ProfileChanges>>,
        mut changes: Vec<Watched>,
    ) -> Result<std::result::Result<bool, Gone>> {
        if !self.segments.is_empty() {
            let within = self.within_segments(&changes).await?;
            changes.retain(|watched| within.get(&watched.change.profile).copied().unwrap_or_default());
        }
        if changes.is_empty() {
            return Ok(Ok(false));
        }
        Ok(self.send(sender, changes).await.map(|()| true))
    }

    /// Of each profile that changed whether it is in one of the segments now.
    async fn within_segments(&self, changes: &[Watched]) -> Result<BTreeMap<ProfileId, bool>> {
        let ids: BTreeSet<ProfileId> = changes.iter().map(|watched| watched.change.profile).collect();
        let ids: Vec<ProfileId> = ids.into_iter().collect();
        let (serving, now) = (self.app.registry.serving(&self.caller.workspace), self.app.context.now());
        let mut within = BTreeMap::new();
        for ids in ids.chunks(PROFILES_AT_ONCE) {
            let profiles = self.app.store.profiles(&self.caller.workspace, ids).await?;
            for (id, profile) in ids.iter().zip(profiles) {
                let found = profile.map(|profile| Found::new(profile, now));
                let segment = found.and_then(|found| segment(&serving, &found).ok());
                within.insert(*id, segment.is_some_and(|with| self.segments.contains(&with.prediction.segment_id)));
            }
        }
        Ok(within)
    }

    async fn send(
        &self,
        sender: &mpsc::Sender<Result<ProfileChanges>>,
        changes: Vec<Watched>,
    ) -> std::result::Result<(), Gone> {
        let resume_token = token(&self.binding, &self.position);
        sender.send(Ok(ProfileChanges { changes, resume_token })).await.map_err(|_| Gone)
    }
}
