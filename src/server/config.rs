//! The configuration: a TOML file, environment variables over it, and command-line flags over both.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use self::descriptions::DESCRIPTIONS;
use super::environment;
use crate::domain::limits::IDEMPOTENCY_WINDOW;
use crate::domain::time::days;

mod access;
mod descriptions;
mod encryption;
mod limits;

pub use access::{Auth, Certificate, Tls, TokenIssuer};
pub use encryption::{Encryption, Secret};
pub use limits::Limits;

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
    /// With what the data are sealed.
    pub encryption: Encryption,
    /// Who may call.
    pub auth: Auth,
    /// What callers may ask for at once.
    pub limits: Limits,
    /// The figures for Prometheus.
    pub metrics: Metrics,
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
    /// Memory in bytes for profiles that were read or written lately, what was made of them, and identifiers that were read.
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

/// The figures for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Address that they are served on over HTTP, at `/metrics`; empty: nowhere.
    pub listen: String,
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
            encryption: Encryption::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            metrics: Metrics::default(),
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

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// The shortest history: more than a day longer than events are remembered for telling repeats, which are looked up
/// where they were accepted.
const HISTORY_DAYS_MIN: u32 = (IDEMPOTENCY_WINDOW.as_secs() / 86_400) as u32 + 2;

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
            IDEMPOTENCY_WINDOW.as_secs() / 86_400
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
