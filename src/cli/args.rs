//! What can be typed after `rapport`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Customer profiles, segments and predictions behind gRPC, in one process with an embedded store.
#[derive(Debug, Parser)]
#[command(name = "rapport", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve gRPC and gRPC-Web until SIGTERM or Ctrl-C
    Serve(ServeArgs),
    /// Import sample data, train on it, show what came of it, and serve it
    Demo(DemoArgs),
    /// Send the lines of CSV or JSON lines files as events, as a mapping file says
    Import(ImportArgs),
    /// Train a model and show its card
    Train(TrainArgs),
    /// Measure how well a model does on data that it has not seen, and keep the model aside
    Evaluate(EvaluateArgs),
    /// Show how good models are and what came of them, also as a page to look at
    Report(ReportArgs),
    /// Copy everything to a directory, while the server goes on or of a stopped one
    Backup(BackupArgs),
    /// Make a data directory of a backup
    Restore(RestoreArgs),
    /// Check whether everything in the data directory of a stopped server is what was written
    Verify(VerifyArgs),
    /// Make, list and revoke the keys that programs show
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// `rapport serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML); `rapport config default` prints one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on, 127.0.0.1:50051 unless configured
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// `rapport demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the data here; without it they go to a temporary directory that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Stop after printing instead of serving
    #[arg(long)]
    pub exit: bool,
}

/// `rapport import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files of CSV or JSON lines, plain or gzip, all of the same mapping
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How columns become events; copy examples/mappings/template.toml
    #[arg(long, value_name = "MAPPING.toml")]
    pub mapping: PathBuf,
    /// Where the events go.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Move all times by one offset so that the latest is now (by whole days), or at a time in RFC 3339
    #[arg(long, value_name = "now|TIME")]
    pub end_at: Option<EndAt>,
    /// Stop at the first line that is broken or event that is rejected
    #[arg(long)]
    pub strict: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// What is trained
    #[arg(value_enum)]
    pub kind: TrainKind,
    /// Where it is trained.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Parameters as JSON, such as '{"horizon_days": 90, "seed": 7}'
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub parameters: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// What is measured
    #[arg(value_enum)]
    pub kind: TrainKind,
    /// Where the data are.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The trait that is true of those who left, for data whose events do not say so
    #[arg(long, value_name = "TRAIT", conflicts_with = "cutoff_times")]
    pub label: Option<String>,
    /// Parts of the customers, each told by models of the others; needs --label or one --cutoff-times
    #[arg(long, value_name = "K")]
    pub folds: Option<u32>,
    /// Customers with the same value of this trait stay in the same part
    #[arg(long, value_name = "TRAIT")]
    pub group_by: Option<String>,
    /// A trait that is no feature; may be repeated
    #[arg(long = "exclude-trait", value_name = "TRAIT")]
    pub exclude_traits: Vec<String>,
    /// Times to look back and ahead from (RFC 3339), the latest is the test; without them, chosen from the data
    #[arg(long, value_name = "TIME,…", value_delimiter = ',')]
    pub cutoff_times: Vec<String>,
    /// How far ahead to look, in days
    #[arg(long, value_name = "DAYS")]
    pub horizon_days: Option<u32>,
    /// Where all randomness comes from
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A model's version, or a kind such as churn or segments; without it, every model that answers
    #[arg(long, value_name = "VERSION|KIND")]
    pub model: Option<String>,
    /// Where the models are.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Write one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where the backup goes: missing, empty, or with an earlier backup, to which only what is new is added
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The data directory of a stopped server; without it and --server, the configured one
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub data_dir: Option<PathBuf>,
    /// The address of a running server; DIR is then an absolute path on its machine
    #[arg(long, value_name = "ADDR")]
    pub server: Option<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The directory that `rapport backup` wrote to
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// The data directory that is made; it must be missing or empty
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The ledger of erasures, `keys/erasures` of the data directory that is replaced: the next start carries them out again
    #[arg(long, value_name = "FILE")]
    pub erasures: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Repair what can be repaired without a loss
    #[arg(long)]
    pub repair: bool,
    /// The data directory of a stopped server; without it, the configured one
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and show it, once; the first one turns authentication on
    Create(CreateKeyArgs),
    /// List the keys of a workspace, without their secrets
    List(ListKeysArgs),
    /// End a key at once and for ever
    Revoke(RevokeKeyArgs),
}

/// `rapport keys create`.
#[derive(Debug, Args)]
pub struct CreateKeyArgs {
    /// The workspace that the key reaches, and where it is made.
    #[command(flatten)]
    pub target: TargetArgs,
    /// What the key may do: events:write, profiles:read, profiles:pii, predictions:read, training:write,
    /// privacy:write, admin
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', required = true)]
    pub scopes: Vec<String>,
    /// What the key is for, in your words
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub display_name: String,
    /// From when on the key is refused (RFC 3339); without it, never
    #[arg(long, value_name = "TIME")]
    pub expire_time: Option<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport keys list`.
#[derive(Debug, Args)]
pub struct ListKeysArgs {
    /// Whose keys, and where.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `rapport keys revoke`.
#[derive(Debug, Args)]
pub struct RevokeKeyArgs {
    /// The key's id, the middle part of the key itself
    #[arg(value_name = "KEY_ID")]
    pub key_id: String,
    /// The data directory of a stopped server; without it and --server, the configured one
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub data_dir: Option<PathBuf>,
    /// The address of a running server
    #[arg(long, value_name = "ADDR")]
    pub server: Option<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Which server, and which workspace on it.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// The workspace
    #[arg(long, value_name = "WORKSPACE", default_value = "default")]
    pub workspace: String,
    /// The data directory of a stopped server; without it and --server, the configured one
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub data_dir: Option<PathBuf>,
    /// The address of a running server, such as 127.0.0.1:50051
    #[arg(long, value_name = "ADDR")]
    pub server: Option<String>,
}

/// `rapport config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration with every key at its default
    Default,
}

/// Where `--end-at` moves the latest time to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndAt {
    /// The moment of the import.
    Now,
    /// This time, in microseconds since the Unix epoch.
    Time(i64),
}

impl std::str::FromStr for EndAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            time => super::import::times::parse_rfc3339(time).map(Self::Time),
        }
    }
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences, for people
    Text,
    /// One JSON document on the standard output, for programs
    Json,
}

/// What can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainKind {
    /// Groups of customers who behave alike
    Segments,
    /// How likely customers are to leave
    Churn,
    /// How easy customers would say it was, from answers to CES surveys
    Effort,
    /// How satisfied customers would say to be, from answers to CSAT surveys
    Satisfaction,
    /// What customers will buy, and what that is worth
    Value,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_end_without_a_zone_is_refused() {
        assert_eq!("now".parse(), Ok(EndAt::Now));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(EndAt::Time(1_000_000)));
        assert_eq!("1970-01-01T00:00:01".parse::<EndAt>(), Err("names no time zone".to_owned()));
    }

    #[test]
    fn a_stopped_and_a_running_server_exclude_each_other() {
        let line = ["rapport", "import", "a.csv", "--mapping", "m.toml", "--data-dir", "d", "--server", "s:1"];
        assert!(Cli::try_parse_from(line).is_err());
    }
}
