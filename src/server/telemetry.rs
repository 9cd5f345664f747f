//! Logging: a readable sentence and queryable fields per line, to standard error, without personal data.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::config::{Log, LogFormat};

/// Starts logging for the process. A second call changes nothing.
///
/// # Errors
/// When the filter is not one.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(in_colour());
    let _already_started = match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Colours are for eyes: what reads a pipe or a file would find escape codes among the words. `NO_COLOR` is the usual
/// way to say that a terminal is to have none either.
fn in_colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}
