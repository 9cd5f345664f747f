use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::credentials::Credentials;
use super::measures::Measures;
use super::quotas::QuotaOptions;

/// What an operator may choose about the gRPC surface.
#[derive(Debug, Clone)]
pub struct RpcOptions {
    /// Requests that are at work at the same time; further ones are refused at once with `OVERLOADED`.
    pub requests_in_flight: usize,
    /// What each credential may ask for.
    pub quotas: QuotaOptions,
    /// How long a unary request may take, whatever its caller is ready to wait.
    pub request_timeout: Duration,
    /// After how much silence a stream of changes tells how far it has come.
    pub checkpoint_interval: Duration,
    /// How long a stream of changes waits for its reader to take a message before it ends.
    pub stalled_send_timeout: Duration,
    /// For how long a stopping server lets open requests finish.
    pub drain_timeout: Duration,
    /// What messages may hold.
    pub messages: MessageLimits,
    /// What a connection may do.
    pub connections: ConnectionLimits,
    /// Certificates and issuers of tokens that are trusted.
    pub credentials: Credentials,
    /// Where requests are counted; without it, they are not.
    pub measures: Option<Measures>,
    /// How TLS is spoken, always the latest; without it, it is not.
    pub tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
}

/// What messages may hold, in bytes. One that is compressed counts as what it is inflated.
#[derive(Debug, Clone)]
pub struct MessageLimits {
    /// A request.
    pub request_bytes: usize,
    /// A request that holds a batch.
    pub batch_bytes: usize,
    /// A reply: what clients accept by default.
    pub reply_bytes: usize,
}

/// What a connection may do.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections from one address; of IPv6, from one network of 64 bits.
    pub per_peer: usize,
    /// Requests of one connection that are at work at the same time.
    pub requests: usize,
    /// Streams that a client may open at the same time, those that wait included.
    pub streams: u32,
    /// Bytes of the names and values of all headers of a request.
    pub header_list_bytes: u32,
    /// Streams of one connection that the server has ended for a fault of the client.
    pub error_resets: usize,
    /// Streams that a client has opened and reset before the server looked at them.
    pub pending_resets: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a client may take to send its first byte.
    pub first_byte_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// How long a client may leave an answer on the wire without taking any of it.
    pub stalled_timeout: Duration,
    /// After how much silence the server asks whether the client is still there.
    pub keepalive_interval: Duration,
    /// How long it waits for the answer.
    pub keepalive_timeout: Duration,
    /// After this time a client is asked to go and come back, so that callers find a server that was added since.
    pub age: Duration,
    /// How long a connection may stay after that, for what it still carries.
    pub age_grace: Duration,
}

impl Default for RpcOptions {
    fn default() -> Self {
        Self {
            requests_in_flight: 1_024,
            quotas: QuotaOptions::default(),
            request_timeout: Duration::from_secs(10),
            checkpoint_interval: Duration::from_secs(10),
            stalled_send_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            messages: MessageLimits::default(),
            connections: ConnectionLimits::default(),
            credentials: Credentials::default(),
            measures: None,
            tls: None,
        }
    }
}

impl Default for MessageLimits {
    fn default() -> Self {
        Self { request_bytes: 1 << 20, batch_bytes: 4 << 20, reply_bytes: 4 << 20 }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            per_peer: 256,
            requests: 64,
            streams: 128,
            header_list_bytes: 16 << 10,
            error_resets: 64,
            pending_resets: 20,
            handshake_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            stalled_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            age: Duration::from_secs(3_600),
            age_grace: Duration::from_secs(30),
        }
    }
}
