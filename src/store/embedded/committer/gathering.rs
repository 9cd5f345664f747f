//! The first station: commits are checked and placed behind each other.

use std::sync::Arc;

use super::convoy::{Convoy, Waiting, same};
use super::parts::Parts;
use super::schedule::Request;
use crate::domain::id::Revision;
use crate::store::embedded::changes::{Placed, changes};
use crate::store::embedded::index::Source as _;
use crate::store::embedded::journal::{Course, Group};
use crate::store::embedded::preconditions::{self, Memory};
use crate::store::embedded::prepare::Prepared;
use crate::store::embedded::recent::Recent;
use crate::store::embedded::stage::{Stage, Staged};
use crate::store::{Error, Result};

/// Bytes from which a group takes no further commit: enough to keep a disk busy, and little enough that readers do not
/// wait long while the group becomes visible.
const GROUP_BYTES: usize = 2 << 20;
/// Commits of one group.
const GROUP_COMMITS: usize = 1_024;

/// The group that is being gathered, and what it is checked against.
pub(super) struct Gathering {
    /// Where the next group will lie.
    course: Course,
    /// Groups ahead that may not be visible yet, oldest first.
    ahead: Vec<Arc<Staged>>,
    recent: Recent,
    open: Option<Open>,
}

/// A group that takes commits.
struct Open {
    /// Whether it can take any.
    possible: Result<()>,
    group: Group,
    staged: Staged,
    waiting: Vec<Waiting>,
}

impl Gathering {
    pub(super) fn new(course: Course) -> Self {
        Self { course, ahead: Vec::new(), recent: Recent::default(), open: None }
    }

    /// Whether there is a group that could leave.
    pub(super) fn is_begun(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the group takes further commits.
    pub(super) fn has_room(&self) -> bool {
        let has_room = |open: &Open| open.group.bytes() < GROUP_BYTES && open.waiting.len() < GROUP_COMMITS;
        self.open.as_ref().is_none_or(has_room)
    }

    /// Adds commits to the group, or begins one with them.
    pub(super) fn take(&mut self, parts: &Parts, requests: Vec<Request>) {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.begin(parts),
        };
        let Open { possible, mut group, staged, mut waiting } = open;
        let mut stage = Stage::new(&parts.index, &self.ahead, staged);
        for Request { commit, answer, _memory } in requests {
            let outcome = match &possible {
                Ok(()) => admit(parts, commit, &mut stage, (&mut group, &mut self.recent)),
                Err(error) => Err(same(error)),
            };
            waiting.push(Waiting { answer, outcome });
        }
        self.open = Some(Open { possible, group, staged: stage.into_staged(), waiting });
    }

    fn begin(&mut self, parts: &Parts) -> Open {
        let possible = parts.wait_for_room();
        let visible = parts.index.meta().applied;
        self.ahead.retain(|staged| staged.applied() > visible);
        Open { possible, group: self.course.begin(), staged: Staged::default(), waiting: Vec::new() }
    }

    /// Lets the group go; the next one will be placed behind it.
    pub(super) fn close(&mut self) -> Option<Convoy> {
        let Open { group, staged, waiting, .. } = self.open.take()?;
        let staged = Arc::new(staged);
        if group.last().is_some() {
            self.course.pass(&group);
            self.ahead.push(Arc::clone(&staged));
        }
        Some(Convoy { group, staged, waiting })
    }

    /// Goes on behind what is durable. What was gathered behind a group that could not be written is void.
    pub(super) fn return_to(&mut self, course: Course, error: &Error) -> Option<Convoy> {
        let mut void = self.close();
        if let Some(convoy) = &mut void {
            convoy.fail(error);
        }
        self.course = course;
        self.ahead.retain(|staged| staged.applied() < course.next());
        void
    }
}

/// Adds one commit to a group, or refuses it alone.
fn admit(
    parts: &Parts,
    commit: Prepared,
    stage: &mut Stage<'_>,
    (group, recent): (&mut Group, &mut Recent),
) -> Result<Revision> {
    let now = parts.index.meta().time.max(commit.time);
    let memory = Memory { segments: &parts.segments, window: parts.window, now };
    for condition in &commit.preconditions {
        let is_unchanged = |since| recent.is_unchanged(since, (&commit.workspace, parts.index.vault()), condition);
        if commit.read_at.is_some_and(is_unchanged) {
            continue;
        }
        if !preconditions::holds(stage, memory, &commit.workspace, condition)? {
            return Err(Error::Conflict);
        }
    }
    let placed = Placed { revision: group.next(), places: group.places(&commit.records) };
    let change = changes((stage, &parts.segments), commit.effects, &placed)?;
    group.push(&commit.payload)?;
    recent.add(&change);
    stage.add(change);
    Ok(placed.revision)
}
