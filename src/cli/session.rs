//! A connection to a server: a running one, or one that lives in this process for as long as the command.

use std::path::PathBuf;

use anyhow::Context as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::args::TargetArgs;
use super::config::{self, Overrides};
use super::progress;
use super::run::Refusal;
use crate::rpc::pb::admin_service_client::AdminServiceClient;
use crate::rpc::pb::event_service_client::EventServiceClient;
use crate::rpc::pb::prediction_service_client::PredictionServiceClient;
use crate::rpc::pb::profile_service_client::ProfileServiceClient;
use crate::rpc::pb::segment_service_client::SegmentServiceClient;
use crate::rpc::pb::training_service_client::TrainingServiceClient;
use crate::server::{self, InProcess, telemetry};

/// Names the workspace of a call.
const WORKSPACE: &str = "rapport-workspace";

/// A channel on which every call names a workspace.
pub type Wire = InterceptedService<Channel, Workspace>;

/// Where a command's calls go.
pub enum Target {
    /// A running server.
    Server(String),
    /// The data directory of a stopped one; without a path, the configured one.
    DataDir(Option<PathBuf>),
}

impl From<&TargetArgs> for Target {
    fn from(args: &TargetArgs) -> Self {
        match &args.server {
            Some(address) => Self::Server(address.clone()),
            None => Self::DataDir(args.data_dir.clone()),
        }
    }
}

/// A connection for one workspace.
pub struct Session {
    channel: Channel,
    workspace: Workspace,
    in_process: Option<InProcess>,
}

/// What is logged while a command works: its own output says the rest.
pub const QUIET: &str = "warn";

impl Session {
    /// Connects, or opens the data directory and serves it in this process.
    ///
    /// # Errors
    /// When nobody answers, or the directory cannot be opened.
    pub async fn open(target: &Target, workspace: &str) -> anyhow::Result<Self> {
        match target {
            Target::Server(address) => Self::on(connect(address).await?, workspace),
            Target::DataDir(data_dir) => {
                let overrides = Overrides { data_dir: data_dir.clone(), log_filter: Some(QUIET), listen: None };
                let config = config::load(None, overrides)?;
                telemetry::start(&config.log)?;
                let server = server::start_in_process(&config, progress::of_replay()).await?;
                let session = Self::on(server.channel.clone(), workspace)?;
                Ok(Self { in_process: Some(server), ..session })
            }
        }
    }

    /// A session on a channel that exists already.
    ///
    /// # Errors
    /// When the workspace's name can never be one.
    pub fn on(channel: Channel, workspace: &str) -> anyhow::Result<Self> {
        let name = MetadataValue::try_from(workspace)
            .map_err(|_| Refusal("--workspace must be letters, digits and dashes".to_owned()))?;
        Ok(Self { channel, workspace: Workspace(name), in_process: None })
    }

    /// Events.
    pub fn events(&self) -> EventServiceClient<Wire> {
        EventServiceClient::with_interceptor(self.channel.clone(), self.workspace.clone())
    }

    /// Profiles.
    pub fn profiles(&self) -> ProfileServiceClient<Wire> {
        ProfileServiceClient::with_interceptor(self.channel.clone(), self.workspace.clone())
    }

    /// Segments.
    pub fn segments(&self) -> SegmentServiceClient<Wire> {
        SegmentServiceClient::with_interceptor(self.channel.clone(), self.workspace.clone())
    }

    /// Predictions.
    pub fn predictions(&self) -> PredictionServiceClient<Wire> {
        PredictionServiceClient::with_interceptor(self.channel.clone(), self.workspace.clone())
    }

    /// Training.
    pub fn training(&self) -> TrainingServiceClient<Wire> {
        TrainingServiceClient::with_interceptor(self.channel.clone(), self.workspace.clone())
    }

    /// Administration.
    pub fn admin(&self) -> AdminServiceClient<Wire> {
        AdminServiceClient::with_interceptor(self.channel.clone(), self.workspace.clone())
    }

    /// Ends the session; a server in this process has everything on disk when this returns.
    ///
    /// # Errors
    /// When that server could not be stopped in order.
    pub async fn close(self) -> anyhow::Result<()> {
        drop(self.channel);
        match self.in_process {
            Some(server) => server.shut_down().await,
            None => Ok(()),
        }
    }
}

/// Connects to a running server.
///
/// # Errors
/// When the address is none or nobody answers there.
pub async fn connect(address: &str) -> anyhow::Result<Channel> {
    let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(uri).map_err(|_| Refusal(format!("--server {address} is no address")))?;
    endpoint.connect().await.with_context(|| format!("no server answers at {address}"))
}

/// Puts the workspace's name on every call.
#[derive(Clone)]
pub struct Workspace(MetadataValue<Ascii>);

impl Interceptor for Workspace {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(WORKSPACE, self.0.clone());
        Ok(request)
    }
}

/// What a server answered, in a sentence for people: a [`Refusal`] where the request was at fault.
pub fn refused(call: &str, status: &Status) -> anyhow::Error {
    match status.code() {
        Code::InvalidArgument => Refusal(format!("{call} is refused: {}", status.message())).into(),
        code => anyhow::anyhow!("{call} failed with {code:?}: {}", status.message()),
    }
}
