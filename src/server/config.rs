//! The configuration: a TOML file, environment variables over it, and command-line flags over both.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::environment;
use crate::domain::limits;
use crate::domain::time::days;

/// Everything an operator may set. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address that gRPC and gRPC-Web listen on.
    pub listen: SocketAddr,
    /// Directory that holds everything the server keeps.
    pub data_dir: PathBuf,
    /// The embedded store.
    pub storage: Storage,
    /// How connections are encrypted.
    pub tls: Tls,
    /// Who may call.
    pub auth: Auth,
    /// What callers may ask for at once.
    pub limits: Limits,
    /// The log.
    pub log: Log,
}

/// The embedded store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Size in bytes from which a segment of the journal is full.
    pub segment_bytes: u64,
    /// Bytes of the journal after which the next checkpoint is made.
    pub checkpoint_bytes: u64,
    /// Memory in bytes for profiles that were read or written lately and identifiers that were read.
    pub index_cache_bytes: u64,
    /// Bytes of the disk that stay free: below, nothing is written. The smaller of this and the ratio counts.
    pub min_free_bytes: u64,
    /// Share of the disk that stays free, from 0 to 1.
    pub min_free_ratio: f64,
    /// Bytes that are kept back for what must be written although the disk is full.
    pub reserve_bytes: u64,
    /// Days for which the history of customers is kept; 0 is for ever.
    pub history_days: u32,
}

/// Who may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The file with the key under which digests of API keys are made; empty is `auth.key` in the data directory.
    pub key_file: String,
    /// Certificates of clients that speak for a workspace.
    pub certificates: Vec<Certificate>,
    /// Issuers whose tokens speak for a workspace.
    pub issuers: Vec<TokenIssuer>,
}

/// Certificates of clients, and what they may do. Exactly one of `fingerprint` and `san` is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The SHA-256 digest of one certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// A subject alternative name, a DNS name or a URI, of certificates that `tls.client_ca_file` has issued.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub san: String,
    /// The workspace that they reach.
    pub workspace: String,
    /// The names of their scopes.
    pub scopes: Vec<String>,
}

/// An issuer of tokens (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenIssuer {
    /// The claim `iss` of its tokens.
    pub issuer: String,
    /// What the claim `aud` must hold.
    pub audience: String,
    /// The file with its public keys as a JWKS; it is read again when it changes.
    pub jwks_file: String,
    /// The claim that names the workspace.
    #[serde(default = "workspace_claim")]
    pub workspace_claim: String,
    /// The claim that names the scopes.
    #[serde(default = "scopes_claim")]
    pub scopes_claim: String,
}

/// How connections are encrypted. Files are in PEM, and read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate, with those of its issuers behind it; empty is without TLS.
    pub cert_file: String,
    /// The private key of the certificate.
    pub key_file: String,
    /// The authorities that issue certificates of clients; empty asks for none.
    pub client_ca_file: String,
}

fn workspace_claim() -> String {
    "workspace".to_owned()
}

fn scopes_claim() -> String {
    "scope".to_owned()
}

/// What callers may ask for at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests that are at work at the same time; further ones are refused at once with `OVERLOADED`.
    pub requests_in_flight: usize,
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

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged, as `tracing` filters spell it: `info`, or `warn,rapport=debug`.
    pub filter: String,
    /// `text` for people, `json` for programs.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            data_dir: PathBuf::from("data"),
            storage: Storage::default(),
            tls: Tls::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            checkpoint_bytes: 256 << 20,
            index_cache_bytes: 1 << 30,
            min_free_bytes: 1 << 30,
            min_free_ratio: 0.05,
            reserve_bytes: 64 << 20,
            history_days: 0,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_in_flight: 1_024,
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
    fn check(&self) -> anyhow::Result<()> {
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

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// The shortest history: more than a day longer than events are remembered for telling repeats, which are looked up
/// where they were accepted.
const HISTORY_DAYS_MIN: u32 = (limits::IDEMPOTENCY_WINDOW.as_secs() / 86_400) as u32 + 2;

/// What each key means, in the order of the file that `rapport config default` prints.
const DESCRIPTIONS: [(&str, &str); 38] = [
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
    ("log.filter", "What is logged: a level, or a filter such as \"warn,rapport=debug\"."),
    ("log.format", "\"text\" for people, \"json\" for programs."),
];

impl Config {
    /// Reads the file, where one is given, and the environment over it.
    ///
    /// # Errors
    /// When the file cannot be read, or a key or a value is not one of ours.
    pub fn load(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let mut table = match file {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                text.parse().with_context(|| format!("reading {}", path.display()))?
            }
        };
        environment::overlay(&mut table, &Self::default_table()?, variables)?;
        let config: Self = table.try_into().context("the configuration is not valid")?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values that must not be served.
    ///
    /// # Errors
    /// For the first such value, with what would be right.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (1 << 20..=1 << 30).contains(&self.storage.segment_bytes),
            "storage.segment_bytes must be from 1048576 to 1073741824"
        );
        anyhow::ensure!(self.storage.checkpoint_bytes >= 1 << 20, "storage.checkpoint_bytes must be at least 1048576");
        anyhow::ensure!(
            (0.0..=1.0).contains(&self.storage.min_free_ratio),
            "storage.min_free_ratio must be from 0 to 1"
        );
        anyhow::ensure!(
            self.storage.history_days == 0 || self.storage.history_days >= HISTORY_DAYS_MIN,
            "storage.history_days must be 0, which keeps history for ever, or at least {HISTORY_DAYS_MIN}: events are \
             told from their repeats for {} days",
            limits::IDEMPOTENCY_WINDOW.as_secs() / 86_400
        );
        anyhow::ensure!(self.limits.requests_in_flight > 0, "limits.requests_in_flight must be at least 1");
        anyhow::ensure!(self.limits.request_timeout_ms > 0, "limits.request_timeout_ms must be at least 1");
        self.check_access()?;
        self.limits.check()
    }

    /// Refuses to be open to those who could read along or need not say who they are.
    fn check_access(&self) -> anyhow::Result<()> {
        let Tls { cert_file, key_file, client_ca_file } = &self.tls;
        anyhow::ensure!(
            cert_file.is_empty() == key_file.is_empty(),
            "tls.cert_file and tls.key_file belong together: set both, or neither"
        );
        anyhow::ensure!(
            client_ca_file.is_empty() || self.speaks_tls(),
            "tls.client_ca_file needs tls.cert_file and tls.key_file"
        );
        anyhow::ensure!(
            self.auth.certificates.is_empty() || !client_ca_file.is_empty(),
            "auth.certificates need tls.client_ca_file, the authorities that have issued them"
        );
        anyhow::ensure!(
            self.listen.ip().is_loopback() || self.speaks_tls(),
            "listen must be a loopback address such as 127.0.0.1:50051 as long as there are no TLS and no keys, or \
             anyone who reaches the address could read and change customers: set tls.cert_file and tls.key_file, and \
             make a key with `rapport keys create`"
        );
        Ok(())
    }

    /// Whether connections are encrypted.
    pub fn speaks_tls(&self) -> bool {
        !self.tls.cert_file.is_empty()
    }

    /// For how long history is kept; `None` is for ever.
    pub fn history_kept(&self) -> Option<Duration> {
        Some(self.storage.history_days).filter(|count| *count > 0).map(|count| days(u64::from(count)))
    }

    /// For how long a stopping server lets open requests finish.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.limits.drain_timeout_ms)
    }

    /// The default configuration as a file, each key with its meaning and its environment variable.
    ///
    /// # Errors
    /// Never for the defaults that ship; the test of this module holds them to it.
    pub fn default_file() -> anyhow::Result<String> {
        let defaults = Self::default_table()?;
        let mut file = String::from("# Rapport's configuration. Every key is optional; these are the defaults.\n");
        let mut section = "";
        for (key, description) in DESCRIPTIONS {
            let (in_section, name) = key.rsplit_once('.').unwrap_or(("", key));
            if in_section != section {
                section = in_section;
                write!(file, "\n[{section}]\n")?;
            }
            let value = environment::lookup(&defaults, key).with_context(|| format!("{key} has no default"))?;
            write!(file, "# {description} ({})\n{name} = {value}\n", environment::variable(key))?;
        }
        Ok(file)
    }

    fn default_table() -> anyhow::Result<toml::Table> {
        Ok(toml::Table::try_from(Self::default())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(file.path()), variables)
    }

    #[test]
    fn the_printed_file_is_the_default_configuration_with_every_key() {
        let file = Config::default_file().expect("prints");
        assert_eq!(load(&file, &[]).expect("reads"), Config::default());
        let keys = environment::keys(&Config::default_table().expect("a table"));
        let described: Vec<&str> = DESCRIPTIONS.iter().map(|(key, _)| *key).collect();
        for key in keys {
            assert!(described.contains(&key.as_str()), "{key} is not described");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let variables = [("RAPPORT_STORAGE_SEGMENT_BYTES", "2097152"), ("RAPPORT_LOG_FORMAT", "json")];
        let config = load("[storage]\nsegment_bytes = 1048576\n", &variables).expect("reads");
        assert_eq!((config.storage.segment_bytes, config.log.format), (2_097_152, LogFormat::Json));
    }

    #[test]
    fn every_key_can_be_set_by_the_environment() {
        let defaults = Config::default_table().expect("a table");
        for key in environment::keys(&defaults) {
            let text = match environment::lookup(&defaults, &key).expect("a value") {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let variables = [(environment::variable(&key), text)];
            assert_eq!(
                load("", &variables.each_ref().map(|(name, text)| (name.as_str(), text.as_str()))).expect("reads"),
                Config::default(),
                "{key}"
            );
        }
    }

    #[test]
    fn what_we_do_not_know_is_refused() {
        for (text, variables) in [
            ("listn = \"127.0.0.1:1\"", &[][..]),
            ("[storage]\nsegment = 1", &[][..]),
            ("", &[("RAPPORT_LISTN", "127.0.0.1:1")][..]),
            ("", &[("RAPPORT_STORAGE_SEGMENT_BYTES", "much")][..]),
            ("[storage]\nsegment_bytes = 5", &[][..]),
            ("[storage]\nhistory_days = 31", &[][..]),
        ] {
            assert!(load(text, variables).is_err(), "{text} {variables:?}");
        }
    }

    #[test]
    fn a_history_that_is_too_short_is_refused_with_the_limit_and_none_is_for_ever() {
        let refused = load("[storage]\nhistory_days = 31", &[]).expect_err("refused").to_string();
        assert!(refused.contains("storage.history_days") && refused.contains("at least 32"), "{refused}");
        assert_eq!(load("[storage]\nhistory_days = 32", &[]).expect("reads").history_kept(), Some(days(32)));
        assert_eq!(load("", &[]).expect("reads").history_kept(), None);
    }

    #[test]
    fn a_public_address_is_refused_with_the_reason() {
        let refused = load("listen = \"0.0.0.0:50051\"", &[]).expect_err("refused").to_string();
        assert!(
            ["loopback", "tls.cert_file", "rapport keys create"].iter().all(|word| refused.contains(word)),
            "{refused}"
        );
        let tls = "listen = \"0.0.0.0:50051\"\n[tls]\ncert_file = \"c\"\nkey_file = \"k\"";
        assert!(load(tls, &[]).expect("reads").speaks_tls());
    }

    #[test]
    fn tls_and_certificates_are_whole_or_refused() {
        let certificate = "[[auth.certificates]]\nsan = \"a\"\nworkspace = \"acme\"\nscopes = [\"admin\"]";
        for (text, says) in [
            ("[tls]\ncert_file = \"c\"", "belong together"),
            ("[tls]\nclient_ca_file = \"c\"", "needs tls.cert_file"),
            (certificate, "tls.client_ca_file"),
            ("[limits]\nidle_timeout_ms = 0", "limits.idle_timeout_ms"),
            ("[limits]\nreply_bytes = 1000", "limits.reply_bytes"),
        ] {
            let refused = load(text, &[]).expect_err(says).to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let whole = "[tls]\ncert_file = \"c\"\nkey_file = \"k\"\nclient_ca_file = \"a\"\n";
        assert_eq!(load(&format!("{whole}{certificate}"), &[]).expect("reads").auth.certificates.len(), 1);
        let variable = "[{ san = \"a\", workspace = \"acme\", scopes = [\"admin\"] }]";
        let config = load(whole, &[("RAPPORT_AUTH_CERTIFICATES", variable)]).expect("reads");
        assert_eq!(config.auth.certificates[0].san, "a");
    }
}
