use std::time::Duration;

/// What an operator may choose about the gRPC surface.
#[derive(Debug, Clone)]
pub struct RpcOptions {
    /// Requests that are at work at the same time; further ones are refused at once with `OVERLOADED`.
    pub requests_in_flight: usize,
    /// How long a unary request may take, whatever its caller is ready to wait.
    pub request_timeout: Duration,
    /// After how much silence a stream of changes tells how far it has come.
    pub checkpoint_interval: Duration,
    /// How long a stream of changes waits for its reader to take a message before it ends.
    pub stalled_send_timeout: Duration,
    /// For how long a stopping server lets open requests finish.
    pub drain_timeout: Duration,
}

impl Default for RpcOptions {
    fn default() -> Self {
        Self {
            requests_in_flight: 1_024,
            request_timeout: Duration::from_secs(10),
            checkpoint_interval: Duration::from_secs(10),
            stalled_send_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
