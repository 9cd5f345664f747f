use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

use super::config::{Config, Limits};
use super::metrics::{self, Metrics};
use super::refusal::{Refusal, refusal};
use super::reload::{self, Files};
use super::{audit, credentials, digest_key, encryption, expiry, jwks, keys, models, tls};
use crate::app::App;
use crate::app::context::{Context, SystemContext};
use crate::rpc::{self, ConnectionLimits, Measures, MessageLimits, QuotaOptions, RpcOptions};
use crate::store::embedded::{DiskLimits, EmbeddedStore, OnReplay, Options};

/// A server at work.
pub struct Server {
    app: App,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<()>>,
    /// The job that lets history expire, if it ever does.
    expiry: Option<JoinHandle<()>>,
    /// The job that looks after models.
    models: JoinHandle<()>,
    /// The job that writes down when keys were used.
    keys: JoinHandle<()>,
    /// The job that writes the audit log.
    audit: audit::Job,
    /// The job that reads certificates again.
    reload: JoinHandle<()>,
    /// The jobs that fetch keys of issuers.
    jwks: Vec<JoinHandle<()>>,
    /// The figures, where they are wanted.
    metrics: Option<Metrics>,
    drain_timeout: Duration,
}

/// A server without a port, for commands that work on the data directory of a stopped one.
pub struct InProcess {
    app: App,
    /// Where its clients connect.
    pub channel: Channel,
}

impl Server {
    /// Opens the data directory and serves on the configured address. `on_replay` hears how far the index was brought up,
    /// which takes a while where it is lost or far behind.
    ///
    /// # Errors
    /// [`Refusal`](super::Refusal) when the data directory is in use, damaged or of another release; anything else that
    /// keeps a server from starting.
    pub async fn start(config: &Config, on_replay: OnReplay) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("listening on {}", config.listen))?;
        let address = listener.local_addr()?;
        let mut options = rpc_options(config);
        let trusted = credentials::load(&config.auth)?;
        let mut files = Files { tls: None, issuers: trusted.files };
        if config.speaks_tls() {
            let spoken = tls::load(&config.tls).map_err(|fault| Refusal::new(format!("tls: {fault:#}")))?;
            let (sender, receiver) = watch::channel(Arc::new(spoken));
            options.tls = Some(receiver);
            files.tls = Some((config.tls.clone(), sender));
        }
        let app = open(config, on_replay).await?;
        let asks = app.has_keys() || !config.auth.certificates.is_empty() || !config.auth.issuers.is_empty();
        if !asks && !address.ip().is_loopback() {
            app.shut_down().await?;
            return Err(Refusal::new(no_keys(config, address)).into());
        }
        options.credentials = trusted.credentials;
        let registry = metrics::registry()?;
        options.measures = Some(Measures::new(&registry)?);
        let metrics = metrics::start(&config.metrics, registry, app.clone()).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            let _asked_or_dropped = stopped.await;
        };
        let serving = tokio::spawn(rpc::serve(app.clone(), options, listener, stopped));
        let expiry = config.history_kept().map(|kept| expiry::start(app.clone(), kept));
        let (models, keys) = (models::start(app.clone()), keys::start(app.clone()));
        let (audit, reload) = (audit::Job::start(app.clone()), reload::start(files));
        let jwks = trusted.fetched.into_iter().map(jwks::start).collect();
        let drain_timeout = config.drain_timeout();
        Ok(Self { app, address, stop, serving, expiry, models, keys, audit, reload, jwks, metrics, drain_timeout })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the figures for Prometheus are, if they are anywhere.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// Lets open requests and the training at work finish for a while, then closes the store.
    ///
    /// # Errors
    /// When the store cannot finish what it began; nothing acknowledged is lost by that.
    pub async fn stop(self) -> anyhow::Result<()> {
        let _already_stopping = self.stop.send(());
        if let Some(expiry) = &self.expiry {
            expiry.abort();
        }
        self.models.abort();
        self.keys.abort();
        self.reload.abort();
        self.jwks.iter().for_each(JoinHandle::abort);
        let trained = tokio::time::timeout(self.drain_timeout, self.app.stop_training());
        let (served, trained) = tokio::join!(self.serving, trained);
        if trained.is_err() {
            tracing::warn!("a training run did not stop in time; the next start ends it");
        }
        self.audit.end().await;
        let served = served.context("the server has panicked")?;
        self.app.shut_down().await?;
        served
    }
}

impl InProcess {
    /// Closes the store.
    ///
    /// # Errors
    /// When the store cannot finish what it began; nothing acknowledged is lost by that.
    pub async fn shut_down(self) -> anyhow::Result<()> {
        drop(self.channel);
        Ok(self.app.shut_down().await?)
    }
}

/// Opens the data directory and serves to this process only.
///
/// # Errors
/// As for [`Server::start`].
pub async fn start_in_process(config: &Config, on_replay: OnReplay) -> anyhow::Result<InProcess> {
    let app = open(config, on_replay).await?;
    let channel = rpc::in_process(app.clone(), rpc_options(config))?;
    Ok(InProcess { app, channel })
}

/// Serves until the process is asked to stop by SIGTERM or SIGINT.
///
/// # Errors
/// As for [`Server::start`] and [`Server::stop`].
pub async fn serve_until_signal(config: &Config, on_replay: OnReplay) -> anyhow::Result<()> {
    tracing::info!(config = %toml::to_string(config)?.replace('\n', "; "), "starting");
    let server = Server::start(config, on_replay).await?;
    tracing::info!(address = %server.address(), "serving");
    wait_for_signal().await?;
    tracing::info!("stopping");
    server.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits until the process is asked to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When the operating system does not deliver signals.
pub async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn open(config: &Config, on_replay: OnReplay) -> anyhow::Result<App> {
    let context: Arc<dyn Context> = Arc::new(SystemContext);
    let mut options = Options::new(&config.data_dir, context.new_id().into_bytes());
    options.segment_bytes = config.storage.segment_bytes;
    options.index_cache_bytes = config.storage.index_cache_bytes;
    options.checkpoint_bytes = config.storage.checkpoint_bytes;
    options.on_replay = on_replay;
    options.master_keys = encryption::master_keys(config)?;
    options.disk = DiskLimits {
        min_free_bytes: config.storage.min_free_bytes,
        min_free_ratio: config.storage.min_free_ratio,
        reserve_bytes: config.storage.reserve_bytes,
    };
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(options)).await?;
    let store = opened.map_err(|error| refusal(error, &config.data_dir))?;
    let digest_key = digest_key::load(config, &*context)?;
    Ok(App::start_with(Arc::new(store), context, digest_key).await?)
}

/// Why a server that would ask nobody who they are does not listen where strangers are.
fn no_keys(config: &Config, address: SocketAddr) -> String {
    let directory = config.data_dir.display();
    format!(
        "there are no keys, so that anyone who reaches {address} could read and change customers: make one with `rapport \
         keys create --scopes admin --data-dir {directory}`, configure auth.certificates or auth.issuers, or listen on a \
         loopback address such as 127.0.0.1:50051"
    )
}

fn rpc_options(config: &Config) -> RpcOptions {
    RpcOptions {
        requests_in_flight: config.limits.requests_in_flight,
        quotas: QuotaOptions {
            requests_per_second: config.limits.requests_per_second_per_key,
            events_per_second: config.limits.events_per_second_per_key,
            requests_in_flight: config.limits.requests_in_flight_per_key,
        },
        request_timeout: Duration::from_millis(config.limits.request_timeout_ms),
        drain_timeout: config.drain_timeout(),
        stalled_send_timeout: Duration::from_millis(config.limits.stalled_send_timeout_ms),
        messages: MessageLimits {
            request_bytes: config.limits.request_bytes,
            batch_bytes: config.limits.batch_bytes,
            reply_bytes: config.limits.reply_bytes,
        },
        connections: connection_limits(&config.limits),
        ..RpcOptions::default()
    }
}

fn connection_limits(limits: &Limits) -> ConnectionLimits {
    let millis = Duration::from_millis;
    ConnectionLimits {
        per_peer: limits.connections_per_peer,
        requests: limits.requests_per_connection,
        streams: limits.streams_per_connection,
        header_list_bytes: limits.header_list_bytes,
        error_resets: limits.error_resets,
        pending_resets: limits.pending_resets,
        handshake_timeout: millis(limits.handshake_timeout_ms),
        first_byte_timeout: millis(limits.first_byte_timeout_ms),
        idle_timeout: millis(limits.idle_timeout_ms),
        stalled_timeout: millis(limits.stalled_connection_timeout_ms),
        keepalive_interval: millis(limits.keepalive_interval_ms),
        keepalive_timeout: millis(limits.keepalive_timeout_ms),
        age: millis(limits.connection_age_ms),
        age_grace: millis(limits.connection_age_grace_ms),
    }
}
