//! Why training made no model, and how a caller may watch and stop it.

use std::ops::ControlFlow;

/// Why training made no model. No message names a customer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too few customers, outcomes or days to learn from; the text gives the figures.
    #[error("{0}")]
    NotEnoughData(String),
    /// The caller asked to stop.
    #[error("training was cancelled")]
    Cancelled,
    /// A fault of ours or of the numerics below us.
    #[error("training failed: {0}")]
    Internal(String),
}

/// Watches training. It is called now and then from the thread that trains, so it must return soon.
pub trait Progress {
    /// Hears the share of the work that is done, 0 to 1. `Break` ends the training with [`Error::Cancelled`].
    fn report(&self, done: f64) -> ControlFlow<()>;
}

/// Nobody watches.
impl Progress for () {
    fn report(&self, _done: f64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A stretch of a longer work, which itself counts from 0 to 1.
pub(super) struct Part<'a> {
    whole: &'a dyn Progress,
    from: f64,
    to: f64,
}

impl<'a> Part<'a> {
    /// What lies between two shares of the whole.
    pub(super) fn new(whole: &'a dyn Progress, from: f64, to: f64) -> Self {
        Self { whole, from, to }
    }
}

impl Progress for Part<'_> {
    fn report(&self, done: f64) -> ControlFlow<()> {
        self.whole.report(self.from + done * (self.to - self.from))
    }
}

/// Reports progress and turns the wish to stop into an error, so that training can use `?`.
pub(super) fn report(progress: &dyn Progress, done: f64) -> Result<(), Error> {
    match progress.report(done.clamp(0.0, 1.0)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
