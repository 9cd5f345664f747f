//! A group of commits on its way.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::domain::id::Revision;
use crate::store::embedded::journal::Group;
use crate::store::embedded::stage::Staged;
use crate::store::{Error, Result};

/// A group that was gathered, with those who wait for it.
pub(super) struct Convoy {
    pub(super) group: Group,
    pub(super) staged: Arc<Staged>,
    pub(super) waiting: Vec<Waiting>,
}

/// A caller who is answered at the last station, where everything that the answer rests on can be read: who collided
/// with a commit of a group ahead finds it when they look again.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Revision>>,
    pub(super) outcome: Result<Revision>,
}

impl Convoy {
    /// Nothing of the group is accepted.
    pub(super) fn fail(&mut self, error: &Error) {
        self.group.clear();
        for caller in self.waiting.iter_mut().filter(|caller| caller.outcome.is_ok()) {
            caller.outcome = Err(same(error));
        }
    }

    /// Answers everyone. A caller that left needs no answer.
    pub(super) fn answer(self) {
        self.waiting.into_iter().for_each(|caller| drop(caller.answer.send(caller.outcome)));
    }
}

/// An error for one more caller.
pub(super) fn same(error: &Error) -> Error {
    match error {
        Error::DiskFull(what) => Error::DiskFull(what.clone()),
        Error::Poisoned(what) => Error::Poisoned(what.clone()),
        other => Error::Poisoned(other.to_string()),
    }
}
