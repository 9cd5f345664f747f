//! Small batches of events that come while others are decided are decided together, as one (flat combining: Hendler and
//! others, "Flat combining and the synchronization-parallelism tradeoff", 2010). Alone, what a decision takes whatever is
//! decided — to look up the rules, to commit, to wake who waits — is more than what an event takes. Nobody waits for company:
//! as long as there is a place to decide at, a batch is decided at once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::application::App;
use super::customer::Caller;
use super::error::Result;
use super::event_batch::{Batch, Decided};
use super::unwind::Panicked;
use crate::domain::id::WorkspaceId;

/// Events of a batch that is small enough to be decided with others: they share a commit, whose size has a limit.
const SMALL: usize = 16;
/// Events that are decided together at most, so that the first of them does not wait long for the last.
const TOGETHER: usize = 256;

/// The small batches of all workspaces that wait to be decided.
pub(super) struct Combiner {
    workspaces: Mutex<HashMap<WorkspaceId, Workspace>>,
    /// Decisions of one workspace that are made at the same time: more could not be at work.
    places: usize,
}

/// What goes on in one workspace.
#[derive(Default)]
struct Workspace {
    deciding: usize,
    waiting: VecDeque<Party>,
}

/// A batch whose caller waits.
struct Party {
    batch: Batch,
    answer: oneshot::Sender<Result<Decided>>,
}

/// A place to decide at. Whoever lets go of it, also by a panic or because the caller has hung up, gives it to those who wait.
struct Place {
    app: App,
    workspace: WorkspaceId,
}

impl Default for Combiner {
    fn default() -> Self {
        let places = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { workspaces: Mutex::default(), places }
    }
}

impl Combiner {
    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Workspace>> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place if one is free, or else adds a party to those who wait.
    fn enter(
        &self,
        workspace: &WorkspaceId,
        batch: Batch,
    ) -> std::result::Result<Batch, oneshot::Receiver<Result<Decided>>> {
        let mut workspaces = self.lock();
        let here = workspaces.entry(workspace.clone()).or_default();
        if here.deciding < self.places {
            here.deciding += 1;
            return Ok(batch);
        }
        let (answer, answered) = oneshot::channel();
        here.waiting.push_back(Party { batch, answer });
        Err(answered)
    }

    /// Who is decided next at a place that becomes free; the place is given up where nobody waits.
    fn leave(&self, workspace: &WorkspaceId) -> Vec<Party> {
        let mut workspaces = self.lock();
        let Some(here) = workspaces.get_mut(workspace) else { return Vec::new() };
        // Whoever has hung up sends the same again where it still matters.
        here.waiting.retain(|party| !party.answer.is_closed());
        let (mut parties, mut events) = (Vec::new(), 0);
        while let Some(party) =
            here.waiting.pop_front_if(|party| parties.is_empty() || events + party.batch.len() <= TOGETHER)
        {
            events += party.batch.len();
            parties.push(party);
        }
        if parties.is_empty() {
            here.deciding -= 1;
            if here.deciding == 0 {
                workspaces.remove(workspace);
            }
        }
        parties
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let parties = self.app.combiner.leave(&self.workspace);
        if parties.is_empty() {
            return;
        }
        // Where the runtime ends, the parties are told so when they are dropped.
        if let Ok(runtime) = Handle::try_current() {
            let place = Self { app: self.app.clone(), workspace: self.workspace.clone() };
            runtime.spawn(place.decide(parties));
        }
    }
}

impl Place {
    /// Decides for all, and tells each what became of its events.
    async fn decide(self, parties: Vec<Party>) {
        let caller = Caller::unrestricted(self.workspace.clone());
        let (batches, answers): (Vec<Batch>, Vec<_>) =
            parties.into_iter().map(|party| (party.batch, party.answer)).unzip();
        let lengths: Vec<usize> = batches.iter().map(Batch::len).collect();
        let together = Batch::join(batches);
        let mut decided = self.app.decide_in_turn(&caller, &together, || {}).await;
        let mut first = 0;
        for (length, answer) in lengths.into_iter().zip(answers) {
            let positions = first..first + length;
            first = positions.end;
            let decided = match &mut decided {
                Ok(decided) => Ok(decided.take(positions)),
                // What fails together may fail because of one: each is tried alone, and has its own error.
                Err(_) => self.app.decide_in_turn(&caller, &together.part(positions), || {}).await,
            };
            let _hung_up = answer.send(decided);
        }
    }
}

impl App {
    /// Decides on a batch and commits it, with others where many come at the same time.
    ///
    /// # Errors
    /// As for a batch that is decided alone.
    pub(super) async fn decide_with_others(&self, caller: &Caller, batch: Batch) -> Result<Decided> {
        // What is refused of a batch is noted with its own time, and a large one gains nothing.
        if batch.len() > SMALL || !batch.rejected.is_empty() {
            let decided = self.decide_in_turn(caller, &batch, || {}).await?;
            return Ok(decided.with(batch.rejected));
        }
        match self.combiner.enter(&caller.workspace, batch) {
            Ok(batch) => {
                let _place = Place { app: self.clone(), workspace: caller.workspace.clone() };
                self.decide_in_turn(caller, &batch, || {}).await
            }
            Err(answered) => answered.await.unwrap_or_else(|_gone| Err(Panicked.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::{JoinSet, yield_now};

    use super::*;
    use crate::app::context::SystemContext;
    use crate::app::{IncomingEvent, Ingested, OutcomeStatus, WriteMode};
    use crate::domain::event::{Draft, SentIdentifier};
    use crate::domain::payload::{Payload, Track};
    use crate::domain::violation::Violations;
    use crate::store::memory::MemoryStore;

    async fn app() -> App {
        App::start(Arc::new(MemoryStore::default()), Arc::new(SystemContext)).await.expect("an empty store")
    }

    fn event(id: &str, user: &str, name: &str) -> IncomingEvent {
        let identifiers = vec![SentIdentifier { kind: "user_id".into(), value: user.into() }];
        let payload = Some(Payload::Track(Track { name: name.into(), properties: Default::default() }));
        let draft = Draft {
            event_id: id.into(),
            source: "test".into(),
            identifiers,
            original_time: None,
            sent_time: None,
            channel: "".into(),
            touchpoint: "".into(),
            payload,
        };
        IncomingEvent { draft, violations: Violations::default() }
    }

    /// Takes all places, lets callers come, and gives the places back once all of them wait.
    async fn together(app: &App, requests: Vec<Vec<IncomingEvent>>) -> Vec<Result<Ingested>> {
        let (caller, callers) = (Caller::unrestricted(WorkspaceId::default_workspace()), requests.len());
        let nothing = || Batch::new(Vec::new(), app.now()).expect("no event");
        let places: Vec<Place> = std::iter::repeat_with(nothing)
            .map_while(|batch| app.combiner.enter(&caller.workspace, batch).ok())
            .map(|_| Place { app: app.clone(), workspace: caller.workspace.clone() })
            .collect();
        let mut calls = JoinSet::new();
        for (number, events) in requests.into_iter().enumerate() {
            let (app, caller) = (app.clone(), caller.clone());
            calls.spawn(async move { (number, app.ingest_events(&caller, events, WriteMode::Commit).await) });
        }
        // One more has come to find out that all places were taken, and nobody listens to it.
        while app.combiner.lock()[&caller.workspace].waiting.len() < callers + 1 {
            yield_now().await;
        }
        drop(places);
        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(number, _)| *number);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn statuses(answer: &Ingested) -> Vec<&str> {
        let status = |status: &OutcomeStatus| match status {
            OutcomeStatus::Accepted(_) => "accepted",
            OutcomeStatus::Duplicate(_) => "duplicate",
            OutcomeStatus::Rejected(_) => "rejected",
            OutcomeStatus::Acceptable(_) => "acceptable",
        };
        answer.outcomes.iter().map(|outcome| status(&outcome.status)).collect()
    }

    #[tokio::test]
    async fn what_waits_is_decided_as_one_and_each_caller_hears_of_their_own_events() {
        let app = app().await;
        let requests = vec![
            vec![event("1", "ann", "seen"), event("2", "bob", "seen")],
            vec![event("3", "ann", "seen")],
            vec![event("1", "ann", "seen"), event("4", "n/a", "seen")],
            vec![event("3", "ann", "bought")],
        ];
        let answers: Vec<Ingested> =
            together(&app, requests).await.into_iter().map(|answer| answer.expect("decided")).collect();
        let found: Vec<_> = answers.iter().map(statuses).collect();
        assert_eq!(found, [&["accepted", "accepted"][..], &["accepted"], &["duplicate", "rejected"], &["rejected"]]);
        let names: Vec<Vec<&str>> =
            answers.iter().map(|answer| answer.outcomes.iter().map(|one| one.event_id.as_str()).collect()).collect();
        assert_eq!(names, [&["1", "2"][..], &["3"], &["1", "4"], &["3"]]);
        let OutcomeStatus::Rejected(error) = &answers[2].outcomes[1].status else { panic!("n/a is nobody") };
        assert!(error.to_string().contains("events[1]"), "{error}");
        assert!(answers.iter().all(|answer| answer.revision == answers[0].revision), "one commit");
        assert_eq!(
            statuses(
                &app.ingest_events(
                    &Caller::unrestricted(WorkspaceId::default_workspace()),
                    vec![event("3", "ann", "seen")],
                    WriteMode::Commit
                )
                .await
                .expect("decided")
            ),
            ["duplicate"]
        );
        assert!(app.combiner.lock().is_empty(), "all places are free");
    }

    #[tokio::test]
    async fn everybody_hears_of_an_error() {
        let app = app().await;
        app.store.close().await.expect("open");
        let answers = together(&app, vec![vec![event("1", "ann", "seen")], vec![event("2", "bob", "seen")]]).await;
        assert!(answers.iter().all(Result::is_err));
        assert!(app.combiner.lock().is_empty(), "all places are free");
    }
}
