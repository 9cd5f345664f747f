use std::sync::Arc;

use uuid::Uuid;

use super::audit::Gathering;
use super::combiner::Combiner;
use super::context::Context;
use super::error::{Error, Reason, Result};
use super::failed_looks::FailedLooks;
use super::figures::EventCounts;
use super::kept_settings::AllKeptSettings;
use super::keyring::{DigestKey, Keyring};
use super::lanes::Lanes;
use super::refusals::Refusals;
use super::registry::Registry;
use super::resolvers::Resolvers;
use super::stream_predictions::Computing;
use super::trainer::Trainer;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::Store;

/// Everything a server can be asked for. Cheap to clone; all clones are one server.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What a server is made of.
pub struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) context: Arc<dyn Context>,
    pub(super) registry: Registry,
    pub(super) trainer: Trainer,
    pub(super) computing: Computing,
    pub(super) failed_looks: FailedLooks,
    pub(super) resolvers: Resolvers,
    pub(super) lanes: Lanes,
    pub(super) combiner: Combiner,
    pub(super) refusals: Refusals,
    pub(super) kept_settings: AllKeptSettings,
    pub(super) event_counts: EventCounts,
    pub(super) gathering: Gathering,
    pub(super) keyring: Keyring,
    pub(super) start_time: Timestamp,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// An application over a store: loads the models that answer and ends runs that a stop has interrupted.
    ///
    /// # Errors
    /// When the store cannot be read. A model that cannot be loaded is no error: its kind is untrained until the next
    /// run or activation, and a log line says so.
    pub async fn start(store: Arc<dyn Store>, context: Arc<dyn Context>) -> Result<Self> {
        let digest_key = DigestKey::new(context.secret().map_err(|error| Error::Internal(error.into()))?);
        Self::start_with(store, context, digest_key).await
    }

    /// The same with a key of the server's own, so that it knows the keys that it gave out before. One that is made for
    /// this process, as by [`start`](Self::start), knows only those that the process gives out.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_with(store: Arc<dyn Store>, context: Arc<dyn Context>, digest_key: DigestKey) -> Result<Self> {
        let app = Self(Arc::new(Parts {
            start_time: context.now(),
            registry: Registry::default(),
            trainer: Trainer::start(),
            computing: Computing::default(),
            failed_looks: FailedLooks::default(),
            resolvers: Resolvers::default(),
            lanes: Lanes::default(),
            combiner: Combiner::default(),
            refusals: Refusals::default(),
            kept_settings: AllKeptSettings::default(),
            event_counts: EventCounts::default(),
            gathering: Gathering::default(),
            keyring: Keyring::new(digest_key),
            store,
            context,
        }));
        app.erase_again().await?;
        app.load_keys().await?;
        app.load_settings().await?;
        app.load_models().await?;
        app.end_interrupted_runs().await?;
        Ok(app)
    }

    /// Whether writes are taken at the moment.
    pub fn takes_writes(&self) -> bool {
        self.store.takes_writes()
    }

    /// A new unique id, for what is no part of the stored state: a name for this server in its log, for instance.
    pub fn new_id(&self) -> Uuid {
        self.context.new_id()
    }

    /// The time, for measuring how long something takes.
    pub fn now(&self) -> Timestamp {
        self.context.now()
    }

    /// Lets no training run begin any more, tells those at work to stop, and waits until they have. A fit looks up from
    /// its work only now and then, so whoever cannot wait for long gives up waiting.
    pub async fn stop_training(&self) {
        self.trainer.stop();
        self.trainer.idle().await;
    }

    /// Stops the training runs, writes what the audit log does not have yet and closes the store; requests that still come are answered with an error.
    ///
    /// # Errors
    /// When the store cannot finish what it began.
    pub async fn shut_down(&self) -> Result<()> {
        self.trainer.stop();
        let audited = self.finish_audit().await;
        self.store.close().await?;
        audited
    }

    /// Refuses a read that asks for a later state than this store has.
    pub(super) fn require_revision(&self, at_least: Option<Revision>) -> Result<Revision> {
        let current = self.store.revision();
        match at_least {
            Some(wanted) if wanted > current => Err(Error::Precondition(Reason::RevisionAhead(wanted))),
            _ => Ok(current),
        }
    }
}
