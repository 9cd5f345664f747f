//! The queue of training runs: who waits, who works, who is told to stop.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::application::App;
use super::aside::aside;
use super::customer::Caller;
use super::error::{Result, chain};
use super::train::Job;
use crate::domain::id::{Revision, RunId};
use crate::domain::training::{TrainingFailure, TrainingParameters, TrainingRun, TrainingState};
use crate::models::error::Progress;

/// Runs that work at the same time; the others wait, so that serving keeps a core.
const RUNS_AT_ONCE: usize = 1;
/// What its thread is called.
const THREAD: &str = "trainer";
/// Runs that may wait.
const RUNS_WAITING: usize = 16;

/// The runs that wait or work in this process.
pub(super) struct Trainer {
    turns: Arc<Semaphore>,
    live: Arc<watch::Sender<LiveRuns>>,
}

type LiveRuns = HashMap<RunId, Arc<Live>>;

/// A run that waits or works.
pub(super) struct Live {
    progress: watch::Sender<f64>,
    cancelled: watch::Sender<bool>,
}

/// A run's place in the queue, given back when dropped.
pub(super) struct Place {
    run: RunId,
    live: Arc<Live>,
    all: Arc<watch::Sender<LiveRuns>>,
}

/// A recorded run that waits for its turn.
pub(super) struct Queued {
    pub(super) caller: Caller,
    pub(super) run: TrainingRun,
    pub(super) revision: Revision,
    pub(super) parameters: TrainingParameters,
    pub(super) place: Place,
}

impl Trainer {
    pub(super) fn start() -> Self {
        Self { turns: Arc::new(Semaphore::new(RUNS_AT_ONCE)), live: Arc::new(watch::Sender::default()) }
    }

    /// Lets no run begin any more and tells those at work to stop. Their records stay as they are, and the next
    /// start ends them.
    pub(super) fn stop(&self) {
        self.turns.close();
        for live in self.live.borrow().values() {
            live.cancel();
        }
    }

    /// Waits until no run waits or works any more.
    pub(super) async fn idle(&self) {
        let mut live = self.live.subscribe();
        let _never_dropped_here = live.wait_for(LiveRuns::is_empty).await;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.turns.is_closed()
    }

    /// Waits until no run works, and keeps others from beginning for as long as the turn is held; `None` once the server
    /// stops.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    pub(super) fn live(&self, run: RunId) -> Option<Arc<Live>> {
        self.live.borrow().get(&run).cloned()
    }

    /// A place for a run; `None` when too many wait.
    pub(super) fn reserve(&self, run: RunId) -> Option<Place> {
        let live = Arc::new(Live { progress: watch::Sender::new(0.0), cancelled: watch::Sender::new(false) });
        let reserved = self.live.send_if_modified(|all| {
            let free = all.len() < RUNS_AT_ONCE + RUNS_WAITING;
            if free {
                all.insert(run, Arc::clone(&live));
            }
            free
        });
        reserved.then(|| Place { run, live, all: Arc::clone(&self.live) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.send_modify(|all| drop(all.remove(&self.run)));
    }
}

impl Live {
    pub(super) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    pub(super) fn progress(&self) -> f64 {
        *self.progress.borrow()
    }

    /// Wakes at every step forward, and fails once the run has ended.
    pub(super) fn watch(&self) -> watch::Receiver<f64> {
        self.progress.subscribe()
    }

    async fn until_cancelled(&self) {
        let mut cancelled = self.cancelled.subscribe();
        let _never_dropped_here = cancelled.wait_for(|cancelled| *cancelled).await;
    }
}

/// Progress of the part of a run that begins at `from` and takes `share` of it.
pub(super) struct Part<'a> {
    pub(super) live: &'a Live,
    pub(super) from: f64,
    pub(super) share: f64,
}

impl Progress for Part<'_> {
    fn report(&self, done: f64) -> ControlFlow<()> {
        let progress = self.from + self.share * done.clamp(0.0, 1.0);
        self.live.progress.send_if_modified(|before| {
            let forward = progress >= *before + 0.001;
            *before = before.max(progress);
            forward
        });
        if *self.live.cancelled.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl App {
    /// Lets a recorded run work when its turn comes, and sees to it that it ends.
    pub(super) fn enqueue(&self, queued: Queued) {
        let app = self.clone();
        tokio::spawn(async move {
            let Queued { caller, run, revision, parameters, place } = queued;
            let turn = tokio::select! {
                turn = app.trainer.turn() => turn,
                () = place.live.until_cancelled() => None,
            };
            let id = run.id;
            let ended = match turn {
                None => app.end_open_run(&caller, id, TrainingState::Cancelled, None).await,
                Some(_turn) => {
                    let live = Arc::clone(&place.live);
                    let parts = (app.clone(), caller.clone());
                    let work =
                        move |runtime| Job::new(parts.0, parts.1, (run, revision), (parameters, live), runtime).work();
                    app.supervise(&caller, id, work).await
                }
            };
            if let Err(error) = ended {
                tracing::error!(run_id = %id, error = %chain(&error), "the end of a training run was not recorded");
            }
            drop(place);
        });
    }

    /// Runs the work of a job; whatever happens to it, its record ends.
    async fn supervise(
        &self,
        caller: &Caller,
        id: RunId,
        work: impl FnOnce(Runtime) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let problem = match aside(THREAD, work).await.flatten() {
            Ok(()) => return Ok(()),
            Err(error) => chain(&error),
        };
        if !self.trainer.is_stopping() {
            tracing::error!(run_id = %id, error = problem, "a training run has failed");
        }
        self.end_open_run(caller, id, TrainingState::Failed, Some(TrainingFailure::internal())).await
    }
}
