//! A connection to a server: a running one, or one that lives in this process for as long as the command.

use std::path::PathBuf;

use anyhow::Context as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
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
/// Shows a credential.
const AUTHORIZATION: &str = "authorization";
/// The variable with the key for a running server. It is no argument, because everybody on a machine can see those.
pub const KEY: &str = "RAPPORT_API_KEY";
/// The variable with the file of the authority that issued the certificate of a running server.
pub const CA_FILE: &str = "RAPPORT_CA_FILE";

/// A channel on which every call says who asks.
pub type Wire = InterceptedService<Channel, Bearing>;

/// Where a command's calls go.
pub enum Target {
    /// A running server.
    Server(String),
    /// The data directory of a stopped one; without a path, the configured one.
    DataDir(Option<PathBuf>),
}

impl From<&TargetArgs> for Target {
    fn from(args: &TargetArgs) -> Self {
        Self::of(args.server.as_deref(), args.data_dir.clone())
    }
}

impl Target {
    /// A running server where one is named, else a data directory.
    pub fn of(server: Option<&str>, data_dir: Option<PathBuf>) -> Self {
        match server {
            Some(address) => Self::Server(address.to_owned()),
            None => Self::DataDir(data_dir),
        }
    }
}

/// A connection for one workspace.
pub struct Session {
    channel: Channel,
    bearing: Bearing,
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
            Target::Server(address) => {
                let session = Self::on(connect(address).await?, workspace)?;
                match std::env::var(KEY) {
                    Ok(_) if !may_carry_a_key(address) => Err(Refusal(format!(
                        "a key is not sent where others can read it: name the server as https://… instead of {address}"
                    ))
                    .into()),
                    Ok(key) => Ok(Self { bearing: Bearing::of_key(&key)?, ..session }),
                    Err(_) => Ok(session),
                }
            }
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
        Ok(Self { channel, bearing: Bearing { name: WORKSPACE, value: name }, in_process: None })
    }

    /// Events.
    pub fn events(&self) -> EventServiceClient<Wire> {
        EventServiceClient::with_interceptor(self.channel.clone(), self.bearing.clone())
    }

    /// Profiles.
    pub fn profiles(&self) -> ProfileServiceClient<Wire> {
        ProfileServiceClient::with_interceptor(self.channel.clone(), self.bearing.clone())
    }

    /// Segments.
    pub fn segments(&self) -> SegmentServiceClient<Wire> {
        SegmentServiceClient::with_interceptor(self.channel.clone(), self.bearing.clone())
    }

    /// Predictions.
    pub fn predictions(&self) -> PredictionServiceClient<Wire> {
        PredictionServiceClient::with_interceptor(self.channel.clone(), self.bearing.clone())
    }

    /// Training.
    pub fn training(&self) -> TrainingServiceClient<Wire> {
        TrainingServiceClient::with_interceptor(self.channel.clone(), self.bearing.clone())
    }

    /// Administration.
    pub fn admin(&self) -> AdminServiceClient<Wire> {
        AdminServiceClient::with_interceptor(self.channel.clone(), self.bearing.clone())
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
    let is_encrypted = uri.starts_with("https://");
    let mut endpoint = Endpoint::from_shared(uri).map_err(|_| Refusal(format!("--server {address} is no address")))?;
    if is_encrypted {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority()?))?;
    }
    endpoint.connect().await.with_context(|| format!("no server answers at {address}"))
}

/// Whether what is sent to an address stays secret: it is encrypted, or stays on this machine.
fn may_carry_a_key(address: &str) -> bool {
    let plain = address.strip_prefix("http://").unwrap_or(address);
    let host = plain.rsplit_once(':').map_or(plain, |(host, _)| host);
    address.starts_with("https://") || ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

/// The authority that the operator trusts. None is trusted that nobody has named.
fn authority() -> anyhow::Result<Certificate> {
    let Some(path) = std::env::var_os(CA_FILE) else {
        return Err(Refusal(format!(
            "set {CA_FILE} to the file of the authority that issued the server's certificate"
        ))
        .into());
    };
    let pem = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(Certificate::from_pem(pem))
}

/// What every call says about who asks: a workspace, or a key, which has its own.
#[derive(Clone)]
pub struct Bearing {
    name: &'static str,
    value: MetadataValue<Ascii>,
}

impl Bearing {
    fn of_key(key: &str) -> anyhow::Result<Self> {
        let value = MetadataValue::try_from(format!("Bearer {key}"));
        let mut value = value.map_err(|_| Refusal(format!("{KEY} must be a key, such as rpk_…")))?;
        value.set_sensitive(true);
        Ok(Self { name: AUTHORIZATION, value })
    }
}

impl Interceptor for Bearing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(self.name, self.value.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_over_tls_or_stays_on_the_machine() {
        for (address, may) in [
            ("https://rapport.example.com:443", true),
            ("127.0.0.1:50051", true),
            ("http://localhost:50051", true),
            ("[::1]:50051", true),
            ("rapport.example.com:50051", false),
            ("http://127.0.0.1.example.com:50051", false),
        ] {
            assert_eq!(may_carry_a_key(address), may, "{address}");
        }
    }
}
