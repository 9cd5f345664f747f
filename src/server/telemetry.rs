//! Logging: a readable sentence and queryable fields per line, to standard error, without personal data.

use tracing_subscriber::EnvFilter;

use super::config::{Log, LogFormat};

/// Starts logging for the process. A second call changes nothing.
///
/// # Errors
/// When the filter is not one.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _already_started = match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
