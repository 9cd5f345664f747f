//! Training runs as a resource: ask for one, look at it, follow it, stop it.

use std::time::Duration;

use tokio::sync::mpsc;

use super::application::App;
use super::customer::{Caller, Read};
use super::error::{Error, Invalid, Reason, Resource, Result};
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use super::request::{NamedRequest, Repeat, finish};
use super::train::TrainingRequest;
use super::trainer::Queued;
use super::unwind::produce;
use crate::domain::fact::{Document, DocumentKey, DocumentKind, Fact, RequestResult};
use crate::domain::id::{Revision, RunId};
use crate::domain::model::ModelKind;
use crate::domain::training::{
    RunOrigin, TrainingFailure, TrainingFailureReason, TrainingParameters, TrainingRun, TrainingState,
};
use crate::store::{Precondition, Versioned};

/// A run as a caller sees it.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The run, with its progress of this moment.
    pub run: TrainingRun,
    /// What was read, or written.
    pub revision: Revision,
}

/// How often a watcher hears of progress, at most.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// How long a caller waits before asking for another run.
const RETRY_AFTER: Duration = Duration::from_secs(30);

impl Listed for TrainingRun {
    type Cursor = RunId;

    fn cursor(&self) -> RunId {
        self.id
    }
}

impl App {
    /// Asks for a training; the run is answered at once and works in the background.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters, [`Error::OutOfRange`] for times whose history has expired,
    /// [`Error::Exhausted`] when too many runs wait.
    pub async fn create_training_run(&self, caller: &Caller, request: &TrainingRequest) -> Result<RunView> {
        self.check_cutoffs(caller, &check(request)?).await?;
        let content = (request.kind, &request.parameters);
        let named = match self.find_repeat(caller, &request.request_id, "CreateTrainingRun", &content).await? {
            Repeat::No(named) => named,
            Repeat::Yes(RequestResult::TrainingRun(id), _) => return self.get_training_run(caller, id, None).await,
            Repeat::Yes(..) => return Err(Error::AlreadyExists(Reason::RequestIdReused)),
        };
        self.begin_run(caller, request, named, RunOrigin::Request).await
    }

    /// Records a run that was checked, and lets it work when its turn comes.
    pub(super) async fn begin_run(
        &self,
        caller: &Caller,
        request: &TrainingRequest,
        named: NamedRequest,
        origin: RunOrigin,
    ) -> Result<RunView> {
        let parameters = check(request)?;
        let run = TrainingRun { origin, ..self.new_run(request) };
        let Some(place) = self.trainer.reserve(run.id) else {
            return Err(Error::Exhausted { reason: Reason::TrainingBusy, retry_after: RETRY_AFTER });
        };
        let mut commit = self.new_commit(caller);
        commit.preconditions.push(Precondition::Document(DocumentKey::training_run(run.id), None));
        commit.facts.push(Fact::Document(Document::TrainingRun(run.clone())));
        if origin != RunOrigin::Request {
            commit.facts.push(Fact::Document(Document::RunOrigin(run.id, origin)));
        }
        named.record(RequestResult::TrainingRun(run.id), &mut commit);
        let (app, caller) = (self.clone(), caller.clone());
        // A caller who hangs up must not come between the record of the run and its work.
        finish(async move {
            let revision = app.store.commit(commit).await?;
            app.enqueue(Queued { caller, run: run.clone(), revision, parameters, place });
            Ok(RunView { run, revision })
        })
        .await
    }

    /// Checks the request for a training without starting one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters, [`Error::OutOfRange`] for times whose history has expired.
    pub async fn validate_training_run(&self, caller: &Caller, request: &TrainingRequest) -> Result<RunView> {
        let parameters = check(request)?;
        self.check_cutoffs(caller, &parameters).await?;
        Ok(RunView { run: self.new_run(request), revision: self.store.revision() })
    }

    /// What was known at a time can only be learned from as long as its history is kept.
    async fn check_cutoffs(&self, caller: &Caller, parameters: &TrainingParameters) -> Result<()> {
        let kept = self.history_kept(&caller.workspace).await?;
        parameters.as_of.iter().chain(&parameters.cutoffs).try_for_each(|time| kept.check(*time))
    }

    /// One run.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id.
    pub async fn get_training_run(&self, caller: &Caller, id: RunId, at_least: Option<Revision>) -> Result<RunView> {
        let revision = self.require_revision(at_least)?;
        let run = self.stored_run(caller, id).await?.value;
        Ok(RunView { run: self.with_progress(run), revision })
    }

    /// A page of runs, newest first, of one kind or of all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad page.
    pub async fn list_training_runs(
        &self,
        caller: &Caller,
        kind: Option<ModelKind>,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<TrainingRun>, Revision)> {
        let binding = Binding::new("ListTrainingRuns", caller.workspace.as_str(), &kind);
        let Begin { revision, limit, after: before } = self.check_page::<RunId>(read, page, &binding)?;
        let runs = self.all_runs(&caller.workspace).await?;
        // Ids sort by the time of their making, and documents come in the order of their names.
        let mut runs: Vec<TrainingRun> = runs
            .into_iter()
            .rev()
            .filter(|run| kind.is_none_or(|kind| run.kind == kind) && before.is_none_or(|before| run.id < before))
            .collect();
        let more = runs.len() > limit;
        runs.truncate(limit);
        let items = runs.into_iter().map(|run| self.with_progress(run)).collect();
        Ok((Page::new(items, more, binding), revision))
    }

    /// Stops a run that waits or works.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id, [`Error::Precondition`] when it has ended in another way.
    pub async fn cancel_training_run(&self, caller: &Caller, id: RunId, request_id: &str) -> Result<RunView> {
        let named = match self.find_repeat(caller, request_id, "CancelTrainingRun", &id).await? {
            Repeat::No(named) => named,
            Repeat::Yes(..) => return self.get_training_run(caller, id, None).await,
        };
        let run = self.stored_run(caller, id).await?.value;
        match self.trainer.live(id) {
            _ if run.state == TrainingState::Cancelled => {}
            Some(live) if !run.state.has_ended() => live.cancel(),
            _ => return Err(Error::Precondition(Reason::TrainingNotRunning)),
        }
        let mut commit = self.new_commit(caller);
        named.record(RequestResult::TrainingRun(id), &mut commit);
        if !commit.facts.is_empty() {
            self.store.commit(commit).await?;
        }
        self.get_training_run(caller, id, None).await
    }

    /// Follows a run: its state now, then with every step forward, and the last one when it has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id. Errors on the way come through the stream.
    pub async fn watch_training_run(
        &self,
        caller: &Caller,
        id: RunId,
        at_least: Option<Revision>,
    ) -> Result<mpsc::Receiver<Result<RunView>>> {
        let view = self.get_training_run(caller, id, at_least).await?;
        let (app, caller) = (self.clone(), caller.clone());
        Ok(produce(1, |panicked| Err(panicked.into()), |sender| app.follow(caller, view, sender)))
    }

    /// Tells the state of a run whenever it may have changed, until it has ended or nobody listens.
    async fn follow(self, caller: Caller, mut view: RunView, sender: mpsc::Sender<Result<RunView>>) {
        let id = view.run.id;
        loop {
            let live = self.trainer.live(id);
            let ended = view.run.state.has_ended();
            if sender.send(Ok(view)).await.is_err() || ended {
                return;
            }
            let was_live = live.is_some();
            if let Some(live) = live {
                let mut progress = live.watch();
                drop(live);
                let _closed_or_moved = tokio::time::timeout(Duration::from_secs(1), progress.changed()).await;
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
            let next = match self.get_training_run(&caller, id, None).await {
                // An open record of a run that nobody works on: its end could not be written.
                Ok(view) if !was_live && !view.run.state.has_ended() => Err(Error::Unavailable),
                next => next,
            };
            view = match next {
                Ok(view) => view,
                Err(error) => {
                    let _gone = sender.send(Err(error)).await;
                    return;
                }
            };
        }
    }

    /// Ends the runs that a stop has interrupted.
    pub(super) async fn end_interrupted_runs(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            let caller = Caller::unrestricted(workspace);
            for document in self.all_documents(&caller.workspace, DocumentKind::TrainingRun).await? {
                if let Document::TrainingRun(run) = document
                    && !run.state.has_ended()
                {
                    let message = "the server stopped while the run was at work; ask for a new one".to_owned();
                    let failure = TrainingFailure { reason: TrainingFailureReason::Interrupted, message };
                    self.end_open_run(&caller, run.id, TrainingState::Failed, Some(failure)).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends a run whose record is still open, without a model. On a stopping server the next start does that.
    pub(super) async fn end_open_run(
        &self,
        caller: &Caller,
        id: RunId,
        state: TrainingState,
        failure: Option<TrainingFailure>,
    ) -> Result<()> {
        let Versioned { revision, value: mut run } = self.stored_run(caller, id).await?;
        if run.state.has_ended() || self.trainer.is_stopping() {
            return Ok(());
        }
        run.state = state;
        run.failure = failure;
        run.end_time = Some(self.context.now());
        let mut commit = self.new_commit(caller);
        commit.preconditions.push(Precondition::Document(DocumentKey::training_run(id), Some(revision)));
        commit.facts.push(Fact::Document(Document::TrainingRun(run)));
        self.store.commit(commit).await?;
        Ok(())
    }

    async fn stored_run(&self, caller: &Caller, id: RunId) -> Result<Versioned<TrainingRun>> {
        match self.store.document(&caller.workspace, &DocumentKey::training_run(id)).await? {
            Some(Versioned { revision, value: Document::TrainingRun(run) }) => {
                let origin = self.store.document(&caller.workspace, &DocumentKey::run_origin(id)).await?;
                let origin = match origin.map(|found| found.value) {
                    Some(Document::RunOrigin(_, origin)) => origin,
                    _ => RunOrigin::Request,
                };
                Ok(Versioned { revision, value: TrainingRun { origin, ..run } })
            }
            _ => Err(Error::not_found(Resource::TrainingRun, id.to_string())),
        }
    }

    fn new_run(&self, request: &TrainingRequest) -> TrainingRun {
        let id = RunId::from(self.context.new_id());
        TrainingRun::new(id, request.kind, request.parameters.clone(), self.context.now())
    }

    /// Progress is kept in memory while a run works, and in its record once it has ended.
    fn with_progress(&self, mut run: TrainingRun) -> TrainingRun {
        if let (false, Some(live)) = (run.state.has_ended(), self.trainer.live(run.id)) {
            run.progress = live.progress();
        }
        run
    }
}

fn check(request: &TrainingRequest) -> Result<TrainingParameters> {
    let mut violations = request.faults.clone();
    let parameters = violations
        .within("parameters", |violations| TrainingParameters::parse(request.kind, &request.parameters, violations));
    Invalid::check(violations).map(|()| parameters)
}
