//! What callers may ask for at once.

use serde::{Deserialize, Serialize};

/// What callers may ask for at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests that are at work at the same time; further ones are refused at once with `OVERLOADED`.
    pub requests_in_flight: usize,
    /// Requests that one credential may send within a second, and at once; 0 is without a bound.
    pub requests_per_second_per_key: u32,
    /// Requests of one credential that are at work at the same time; 0 is without a bound.
    pub requests_in_flight_per_key: usize,
    /// Events that one credential may send within a second; a full batch may always come at once. 0 is without a bound.
    pub events_per_second_per_key: u32,
    /// Milliseconds after which a unary request without a deadline of its own is given up.
    pub request_timeout_ms: u64,
    /// Milliseconds for which a stopping server lets open requests finish.
    pub drain_timeout_ms: u64,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Bytes of a request that holds a batch.
    pub batch_bytes: usize,
    /// Bytes of a reply.
    pub reply_bytes: usize,
    /// Connections from one address.
    pub connections_per_peer: usize,
    /// Requests of one connection that are at work at the same time.
    pub requests_per_connection: usize,
    /// Streams that a client may open on one connection at the same time.
    pub streams_per_connection: u32,
    /// Bytes of the headers of a request.
    pub header_list_bytes: u32,
    /// Streams of one connection that the server may have ended for a fault of the client.
    pub error_resets: usize,
    /// Streams that a client may have opened and reset before the server looked at them.
    pub pending_resets: usize,
    /// Milliseconds that a TLS handshake may take.
    pub handshake_timeout_ms: u64,
    /// Milliseconds that a client may take to send its first byte.
    pub first_byte_timeout_ms: u64,
    /// Milliseconds that a connection may be open without a request.
    pub idle_timeout_ms: u64,
    /// Milliseconds for which a stream of changes waits for its reader.
    pub stalled_send_timeout_ms: u64,
    /// Milliseconds that an answer may lie on the wire without any of it being taken.
    pub stalled_connection_timeout_ms: u64,
    /// Milliseconds of silence after which a client is asked whether it is still there.
    pub keepalive_interval_ms: u64,
    /// Milliseconds that its answer may take.
    pub keepalive_timeout_ms: u64,
    /// Milliseconds after which a connection is asked to go.
    pub connection_age_ms: u64,
    /// Milliseconds for which it may finish what it carries.
    pub connection_age_grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_in_flight: 1_024,
            requests_per_second_per_key: 0,
            requests_in_flight_per_key: 0,
            events_per_second_per_key: 0,
            request_timeout_ms: 10_000,
            drain_timeout_ms: 10_000,
            request_bytes: 1 << 20,
            batch_bytes: 4 << 20,
            reply_bytes: 4 << 20,
            connections_per_peer: 256,
            requests_per_connection: 64,
            streams_per_connection: 128,
            header_list_bytes: 16 << 10,
            error_resets: 64,
            pending_resets: 20,
            handshake_timeout_ms: 5_000,
            first_byte_timeout_ms: 10_000,
            idle_timeout_ms: 300_000,
            stalled_send_timeout_ms: 10_000,
            stalled_connection_timeout_ms: 30_000,
            keepalive_interval_ms: 30_000,
            keepalive_timeout_ms: 10_000,
            connection_age_ms: 3_600_000,
            connection_age_grace_ms: 30_000,
        }
    }
}

impl Limits {
    /// Refuses values with which nothing could be served.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let sizes = [
            ("request_bytes", self.request_bytes as u64),
            ("batch_bytes", self.batch_bytes as u64),
            ("connections_per_peer", self.connections_per_peer as u64),
            ("requests_per_connection", self.requests_per_connection as u64),
            ("streams_per_connection", self.streams_per_connection.into()),
            ("header_list_bytes", self.header_list_bytes.into()),
            ("error_resets", self.error_resets as u64),
            ("pending_resets", self.pending_resets as u64),
        ];
        let times = [
            ("handshake_timeout_ms", self.handshake_timeout_ms),
            ("first_byte_timeout_ms", self.first_byte_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("stalled_send_timeout_ms", self.stalled_send_timeout_ms),
            ("stalled_connection_timeout_ms", self.stalled_connection_timeout_ms),
            ("keepalive_interval_ms", self.keepalive_interval_ms),
            ("keepalive_timeout_ms", self.keepalive_timeout_ms),
            ("connection_age_ms", self.connection_age_ms),
        ];
        for (name, value) in sizes.into_iter().chain(times) {
            anyhow::ensure!(value > 0, "limits.{name} must be at least 1");
        }
        anyhow::ensure!(
            self.reply_bytes >= 4 << 20,
            "limits.reply_bytes must be at least 4194304: pages end below that"
        );
        Ok(())
    }
}
