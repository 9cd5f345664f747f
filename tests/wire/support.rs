//! A server under test: the whole stack on a port of its own, with a clock that stands still.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prost::Message as _;
use rapport::app::App;
use rapport::app::context::Context;
use rapport::domain::time::Timestamp;
use rapport::rpc::pb::admin_service_client::AdminServiceClient;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::prediction_service_client::PredictionServiceClient;
use rapport::rpc::pb::privacy_service_client::PrivacyServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::pb::segment_service_client::SegmentServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use rapport::rpc::{self, RpcOptions, pb};
use rapport::store::Store;
use rapport::store::memory::MemoryStore;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::silence;

/// 2026-03-01T12:00:00Z, the time of every server under test.
pub(crate) const NOW: i64 = 1_772_366_400;

/// A channel that names a workspace.
pub(crate) type Wire = InterceptedService<Channel, Workspace>;

/// A server under test; it stops when it is dropped.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    pub(crate) channel: Channel,
    pub(crate) clock: Arc<TestClock>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
}

/// What a test may choose about its server.
pub(crate) struct Builder {
    store: Arc<dyn Store>,
    options: RpcOptions,
}

/// A clock that stands still unless it is told not to, and ids that count up.
pub(crate) struct TestClock {
    ids: AtomicU64,
    ahead_micros: AtomicI64,
}

/// A channel that shows a credential.
pub(crate) type Shown = InterceptedService<Channel, Bearer>;

/// Shows a credential with every request.
#[derive(Clone)]
pub(crate) struct Bearer(AsciiMetadataValue);

/// Names the workspace of every request.
#[derive(Clone)]
pub(crate) struct Workspace(AsciiMetadataValue);

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    pub(crate) fn builder() -> Builder {
        Builder { store: Arc::new(MemoryStore::default()), options: RpcOptions::default() }
    }

    /// Where the server is, for a client with a channel of its own.
    pub(crate) fn origin(&self) -> http::Uri {
        format!("http://{}", self.address).parse().expect("an address")
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire_of("acme")
    }

    pub(crate) fn wire_of(&self, workspace: &'static str) -> Wire {
        InterceptedService::new(self.channel.clone(), Workspace(AsciiMetadataValue::from_static(workspace)))
    }

    pub(crate) fn events(&self) -> EventServiceClient<Wire> {
        EventServiceClient::new(self.wire())
    }

    pub(crate) fn profiles(&self) -> ProfileServiceClient<Wire> {
        ProfileServiceClient::new(self.wire())
    }

    pub(crate) fn segments(&self) -> SegmentServiceClient<Wire> {
        SegmentServiceClient::new(self.wire())
    }

    pub(crate) fn predictions(&self) -> PredictionServiceClient<Wire> {
        PredictionServiceClient::new(self.wire())
    }

    pub(crate) fn training(&self) -> TrainingServiceClient<Wire> {
        TrainingServiceClient::new(self.wire())
    }

    pub(crate) fn privacy(&self) -> PrivacyServiceClient<Wire> {
        PrivacyServiceClient::new(self.wire())
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Wire> {
        AdminServiceClient::new(self.wire())
    }

    /// A channel that shows a credential with every call and names no workspace.
    pub(crate) fn shown(&self, credential: &str) -> Shown {
        let value = format!("Bearer {credential}").parse().expect("text");
        InterceptedService::new(self.channel.clone(), Bearer(value))
    }

    /// Makes a key by the way of a caller in the same process, whom nobody asks for one, and gives back its id and
    /// what a program shows.
    pub(crate) async fn key(&self, workspace: &str, scopes: &[&str]) -> (String, String) {
        let channel = rpc::in_process(self.app.clone(), RpcOptions::default()).expect("set up");
        let request = pb::CreateApiKeyRequest {
            workspace: workspace.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..Default::default()
        };
        let made = AdminServiceClient::new(channel).create_api_key(request).await.expect("made").into_inner();
        (made.key_id, made.api_key)
    }

    /// Sends events and gives back what became of each.
    pub(crate) async fn ingest(&self, events: Vec<pb::Event>) -> Vec<pb::EventResult> {
        silence::seed(&events);
        let request = pb::IngestEventsRequest { events, validate_only: false };
        self.events().ingest_events(request).await.expect("a batch").into_inner().results
    }

    /// Sends events that must be accepted.
    pub(crate) async fn accept(&self, events: Vec<pb::Event>) {
        for events in events.chunks(1_000) {
            for result in self.ingest(events.to_vec()).await {
                assert_eq!(result.status(), pb::EventStatus::Accepted, "{result:?}");
            }
        }
    }

    /// Asks the server to stop; the future ends when it has.
    pub(crate) fn stop(&mut self) -> impl Future<Output = ()> + use<> {
        let _already = self.stop.take().map(|stop| stop.send(()));
        let serving = self.serving.take();
        async move {
            if let Some(serving) = serving {
                serving.await.expect("no panic").expect("served");
            }
        }
    }
}

impl Builder {
    pub(crate) fn store(self, store: impl Store) -> Self {
        self.shared(Arc::new(store))
    }

    /// A store that somebody else opens too.
    pub(crate) fn shared(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    pub(crate) fn options(mut self, change: impl FnOnce(&mut RpcOptions)) -> Self {
        change(&mut self.options);
        self
    }

    pub(crate) async fn start(self) -> TestApp {
        silence::listen();
        let clock = Arc::new(TestClock { ids: AtomicU64::new(1), ahead_micros: AtomicI64::new(0) });
        let app = App::start(self.store, Arc::clone(&clock) as Arc<dyn Context>).await.expect("starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _asked_or_dropped = stopped.await;
        };
        let serving = Some(tokio::spawn(rpc::serve(app.clone(), self.options, listener, stopped)));
        let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
        TestApp { address, app, channel, clock, stop: Some(stop), serving }
    }
}

impl TestClock {
    pub(crate) fn advance_days(&self, days: i64) {
        self.ahead_micros.fetch_add(days * 86_400_000_000, Ordering::Relaxed);
    }
}

impl Context for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(NOW * 1_000_000 + self.ahead_micros.load(Ordering::Relaxed))
    }

    fn new_id(&self) -> uuid::Uuid {
        let millis = u64::try_from(self.now().as_micros() / 1_000).expect("after 1970");
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Interceptor for Workspace {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("rapport-workspace", self.0.clone());
        Ok(request)
    }
}

/// The one reason of a call that failed.
pub(crate) fn reason(status: &Status) -> String {
    silence::check(status);
    let found = tonic_types::Status::decode(status.details()).expect("details");
    assert_eq!(found.code, i32::from(status.code()), "the details have another code");
    item_reason(&found)
}

/// The one reason of an item that failed: exactly one ErrorInfo, ours, with a reason that the proto has.
pub(crate) fn item_reason(status: &tonic_types::Status) -> String {
    assert_ne!(Code::from(status.code), Code::Unknown);
    let infos = details::<tonic_types::pb::ErrorInfo>(status, "ErrorInfo");
    let [info] = infos.as_slice() else { panic!("{} ErrorInfos in {status:?}", infos.len()) };
    assert_eq!(info.domain, "rapport");
    let known = pb::ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason));
    assert!(known.is_some_and(|reason| reason != pb::ErrorReason::Unspecified), "{}", info.reason);
    info.reason.clone()
}

/// The paths of all fields at fault, sorted.
pub(crate) fn fields(status: &tonic_types::Status) -> Vec<String> {
    let requests = details::<tonic_types::pb::BadRequest>(status, "BadRequest");
    let mut fields: Vec<String> =
        requests.into_iter().flat_map(|request| request.field_violations).map(|violation| violation.field).collect();
    fields.sort();
    fields
}

/// All details of a kind.
pub(crate) fn details<M: prost::Message + Default>(status: &tonic_types::Status, kind: &str) -> Vec<M> {
    let of_kind = status.details.iter().filter(|any| any.type_url == format!("type.googleapis.com/google.rpc.{kind}"));
    of_kind.map(|any| M::decode(any.value.as_slice()).expect("a detail")).collect()
}

/// The details of a call that failed.
pub(crate) fn status_of(status: &Status) -> tonic_types::Status {
    tonic_types::Status::decode(status.details()).expect("details")
}

pub(crate) fn identifier(kind: &str, value: &str) -> pb::Identifier {
    pb::Identifier { r#type: kind.to_owned(), value: value.to_owned() }
}

/// Names a customer by a user id.
pub(crate) fn user(value: &str) -> Option<pb::CustomerRef> {
    let customer = pb::customer_ref::Customer::Identifier(identifier("user_id", value));
    Some(pb::CustomerRef { customer: Some(customer) })
}

/// An event of a user at a time in seconds.
pub(crate) fn event(id: &str, user: &str, seconds: i64, payload: pb::event::Payload) -> pb::Event {
    pb::Event {
        event_id: id.to_owned(),
        source: "test".to_owned(),
        identifiers: vec![identifier("user_id", user)],
        original_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        channel: "web".to_owned(),
        payload: Some(payload),
        ..Default::default()
    }
}

pub(crate) fn track(name: &str) -> pb::event::Payload {
    pb::event::Payload::Track(pb::Track { name: name.to_owned(), properties: None })
}

pub(crate) fn purchase(revenue: f64) -> pb::event::Payload {
    pb::event::Payload::Purchase(pb::Purchase { revenue, currency: "EUR".to_owned(), ..Default::default() })
}

pub(crate) fn contact(kind: pb::ContactKind, case_id: &str) -> pb::event::Payload {
    pb::event::Payload::SupportContact(pb::SupportContact {
        kind: kind.into(),
        case_id: case_id.to_owned(),
        ..Default::default()
    })
}

pub(crate) fn text(text: &str) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text.to_owned())) }
}

pub(crate) fn number(number: f64) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(number)) }
}

pub(crate) fn list(values: Vec<prost_types::Value>) -> prost_types::Value {
    prost_types::Value { kind: Some(prost_types::value::Kind::ListValue(prost_types::ListValue { values })) }
}

pub(crate) fn data<const N: usize>(fields: [(&str, prost_types::Value); N]) -> Option<prost_types::Struct> {
    Some(prost_types::Struct { fields: fields.map(|(key, value)| (key.to_owned(), value)).into() })
}

pub(crate) use broken::BrokenStore;

/// A store that fails on purpose.
mod broken {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use rapport::domain::audit::AuditEntry;
    use rapport::domain::erasure::{EraseFact, Mark};
    use rapport::domain::event::EventKey;
    use rapport::domain::fact::{Document, DocumentKey, DocumentKind};
    use rapport::domain::history::History;
    use rapport::domain::id::{ProfileId, Revision, RunId, WorkspaceId};
    use rapport::domain::identifier::Identifier;
    use rapport::domain::model::{ModelKind, ModelVersion};
    use rapport::domain::profile::Profile;
    use rapport::domain::time::Timestamp;
    use rapport::domain::training::TrainingRun;
    use rapport::domain::value::Map;
    use rapport::store::{
        ArtifactStore, AuditLog, AuditPage, AuditQuery, BackedUp, BackupRequest, Backups, Commit, CommitReader,
        CommitStore, DocumentReader, Erasures, Error, EventReader, Followed, Forgotten, Memo, Memos, Named,
        Outstanding, ProfileReader, Result, Retention, Store, StoredEvent, Versioned,
    };

    /// Looking for a customer fails; looking for an event panics; documents are read and absent. What else is wrong
    /// with it depends on the test.
    #[derive(Default)]
    pub(crate) struct BrokenStore {
        fault: Fault,
        documents_read: AtomicUsize,
    }

    #[derive(Default)]
    enum Fault {
        #[default]
        None,
        /// Looking for a customer never ends.
        Hangs,
        /// Scanning customers panics, and so does looking at a run for the second time.
        Panics,
        /// Everybody is known and nobody is there; the number is how many were looked for at once, at most.
        Empty(Arc<AtomicUsize>),
    }

    impl BrokenStore {
        pub(crate) fn hanging() -> Self {
            Self { fault: Fault::Hangs, ..Self::default() }
        }

        pub(crate) fn panicking() -> Self {
            Self { fault: Fault::Panics, ..Self::default() }
        }

        pub(crate) fn empty(at_once: &Arc<AtomicUsize>) -> Self {
            Self { fault: Fault::Empty(Arc::clone(at_once)), ..Self::default() }
        }
    }

    fn run() -> Versioned<Document> {
        let run = TrainingRun::new(RunId::MIN, ModelKind::Churn, Map::new(), Timestamp::from_micros(0));
        Versioned { revision: Revision::default(), value: Document::TrainingRun(run) }
    }

    fn planted<T>() -> Result<T> {
        Err(Error::Index("planted".to_owned()))
    }

    /// It remembers nothing.
    impl Memos for BrokenStore {
        fn recall(&self, _: &WorkspaceId, _: Named<'_>) -> Option<Memo> {
            None
        }

        fn remember(&self, _: &WorkspaceId, _: (ProfileId, Revision), _: Memo) {}
    }

    #[async_trait]
    impl ProfileReader for BrokenStore {
        async fn profiles(&self, _: &WorkspaceId, ids: &[ProfileId]) -> Result<Vec<Option<Profile>>> {
            let Fault::Empty(at_once) = &self.fault else { return planted() };
            at_once.fetch_max(ids.len(), Ordering::Relaxed);
            Ok(vec![None; ids.len()])
        }

        async fn owners(&self, _: &WorkspaceId, identifiers: &[Identifier]) -> Result<Vec<Option<ProfileId>>> {
            match self.fault {
                Fault::Hangs => std::future::pending().await,
                Fault::Empty(_) => Ok(vec![Some(ProfileId::MIN); identifiers.len()]),
                Fault::None | Fault::Panics => planted(),
            }
        }

        async fn scan_profiles(&self, _: &WorkspaceId, _: Option<ProfileId>, _: usize) -> Result<Vec<Profile>> {
            assert!(!matches!(self.fault, Fault::Panics), "planted");
            planted()
        }

        async fn workspaces(&self) -> Result<Vec<WorkspaceId>> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl Erasures for BrokenStore {
        fn mark(&self, _: &WorkspaceId, _: &Identifier) -> Result<Mark> {
            planted()
        }

        fn derived_key(&self, _: &str) -> Result<[u8; 32]> {
            planted()
        }

        async fn erase(&self, _: Commit, _: &EraseFact) -> Result<Revision> {
            planted()
        }

        async fn outstanding(&self) -> Result<Vec<Outstanding>> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl EventReader for BrokenStore {
        async fn find_events(&self, _: &WorkspaceId, _: &[EventKey]) -> Result<Vec<Option<StoredEvent>>> {
            panic!("planted");
        }

        async fn histories(&self, _: &WorkspaceId, _: &[ProfileId]) -> Result<Vec<History>> {
            planted()
        }
    }

    #[async_trait]
    impl DocumentReader for BrokenStore {
        async fn document(&self, _: &WorkspaceId, key: &DocumentKey) -> Result<Option<Versioned<Document>>> {
            let (Fault::Panics, DocumentKind::TrainingRun) = (&self.fault, key.kind) else { return Ok(None) };
            assert_eq!(self.documents_read.fetch_add(1, Ordering::Relaxed), 0, "planted");
            Ok(Some(run()))
        }

        async fn documents(
            &self,
            _: &WorkspaceId,
            _: DocumentKind,
            _: Option<&str>,
            _: usize,
        ) -> Result<Vec<Versioned<Document>>> {
            Ok(Vec::new())
        }
    }

    #[async_trait]
    impl CommitStore for BrokenStore {
        async fn commit(&self, _: Commit) -> Result<Revision> {
            planted()
        }

        fn revision(&self) -> Revision {
            Revision::default()
        }
    }

    #[async_trait]
    impl CommitReader for BrokenStore {
        async fn commits_after(&self, _: &WorkspaceId, _: Revision, _: usize) -> Result<Followed> {
            assert!(!matches!(self.fault, Fault::Panics), "planted");
            planted()
        }

        async fn committed_after(&self, _: Revision) -> Result<()> {
            Ok(())
        }

        fn oldest_commit(&self) -> Revision {
            Revision(1)
        }
    }

    #[async_trait]
    impl ArtifactStore for BrokenStore {
        async fn put_artifact(&self, _: &WorkspaceId, _: &ModelVersion, _: Vec<u8>) -> Result<()> {
            planted()
        }

        async fn artifact(&self, _: &WorkspaceId, _: &ModelVersion) -> Result<Option<Vec<u8>>> {
            planted()
        }

        async fn remove_artifact(&self, _: &WorkspaceId, _: &ModelVersion) -> Result<()> {
            planted()
        }
    }

    #[async_trait]
    impl Retention for BrokenStore {
        async fn forget_commits(&self, _: Forgotten) -> Result<Revision> {
            planted()
        }
    }

    #[async_trait]
    impl AuditLog for BrokenStore {
        async fn append_audit(&self, _: Vec<AuditEntry>) -> Result<()> {
            planted()
        }

        async fn audit_entries(&self, _: AuditQuery) -> Result<AuditPage> {
            planted()
        }
    }

    #[async_trait]
    impl Backups for BrokenStore {
        async fn back_up(&self, _: BackupRequest) -> Result<BackedUp> {
            planted()
        }
    }

    #[async_trait]
    impl Store for BrokenStore {
        fn name(&self) -> &'static str {
            "broken"
        }

        fn takes_writes(&self) -> bool {
            true
        }

        async fn close(&self) -> Result<()> {
            Ok(())
        }
    }
}
