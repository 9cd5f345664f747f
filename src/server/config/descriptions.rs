//! What the keys mean.

/// What each key means, in the order of the file that `rapport config default` prints.
pub(super) const DESCRIPTIONS: [(&str, &str); 39] = [
    ("listen", "Address that gRPC and gRPC-Web listen on."),
    ("data_dir", "Directory that holds everything the server keeps."),
    ("storage.segment_bytes", "Bytes from which a segment of the journal is full, 1 MiB to 1 GiB."),
    ("storage.checkpoint_bytes", "Bytes of the journal after which the next checkpoint is made, at least 1 MiB."),
    (
        "storage.index_cache_bytes",
        "Memory in bytes for profiles that were read or written lately and identifiers that were read.",
    ),
    (
        "storage.min_free_bytes",
        "Bytes of the disk that stay free; below, nothing is written. The smaller limit counts.",
    ),
    ("storage.min_free_ratio", "Share of the disk that stays free, 0 to 1."),
    ("storage.reserve_bytes", "Bytes kept back for the index on a full disk, at most a sixteenth of the disk."),
    (
        "storage.history_days",
        "Days for which events can be listed, merges undone and states of the past be read, at least 32; 0 is for ever.",
    ),
    ("tls.cert_file", "Certificate of the server (PEM), those of its issuers behind it; empty: no TLS."),
    ("tls.key_file", "Private key of the certificate (PEM)."),
    ("tls.client_ca_file", "Authorities of client certificates (PEM); empty: clients are asked for none."),
    ("auth.key_file", "File with the key that digests of API keys are made with; empty: auth.key in data_dir."),
    (
        "auth.certificates",
        "Client certificates: tables of fingerprint (SHA-256) or san (DNS name or URI), workspace, scopes.",
    ),
    (
        "auth.issuers",
        "Issuers of tokens: tables of issuer, audience, jwks_file and, unless \"workspace\" and \"scope\", \
         workspace_claim, scopes_claim.",
    ),
    ("limits.requests_in_flight", "Requests at work at the same time; further ones are refused at once."),
    ("limits.request_timeout_ms", "Milliseconds after which a unary request without a deadline is given up."),
    ("limits.drain_timeout_ms", "Milliseconds for which a stopping server lets open requests finish."),
    ("limits.request_bytes", "Bytes of a request, inflated."),
    ("limits.batch_bytes", "Bytes of a request that holds a batch, inflated."),
    ("limits.reply_bytes", "Bytes of a reply, at least 4194304; clients accept no more unless told to."),
    ("limits.connections_per_peer", "Connections from one address; of IPv6, from one network of 64 bits."),
    ("limits.requests_per_connection", "Requests of one connection at work at the same time."),
    ("limits.streams_per_connection", "Streams open on one connection at the same time."),
    ("limits.header_list_bytes", "Bytes of the headers of a request."),
    ("limits.error_resets", "Streams of a connection ended for faults of the client before it is closed."),
    ("limits.pending_resets", "Streams opened and reset before they were looked at before a connection is closed."),
    ("limits.handshake_timeout_ms", "Milliseconds for a TLS handshake."),
    ("limits.first_byte_timeout_ms", "Milliseconds until the first byte of a connection."),
    ("limits.idle_timeout_ms", "Milliseconds of a connection without a request."),
    ("limits.stalled_send_timeout_ms", "Milliseconds for which a stream of changes waits for its reader."),
    (
        "limits.stalled_connection_timeout_ms",
        "Milliseconds for which no part of an answer is taken before its connection is closed.",
    ),
    ("limits.keepalive_interval_ms", "Milliseconds of silence before a client is asked whether it is there."),
    ("limits.keepalive_timeout_ms", "Milliseconds for its answer."),
    ("limits.connection_age_ms", "Milliseconds after which a connection is asked to go."),
    ("limits.connection_age_grace_ms", "Milliseconds for which it may then finish what it carries."),
    ("metrics.listen", "Address that serves figures for Prometheus at /metrics, without a credential; empty: none."),
    ("log.filter", "What is logged: a level, or a filter such as \"warn,rapport=debug\"."),
    ("log.format", "\"text\" for people, \"json\" for programs."),
];
