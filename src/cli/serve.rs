//! `rapport serve`.

use std::process::ExitCode;

use super::args::ServeArgs;
use super::run::Refusal;

/// Serves until a signal comes.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(_args: ServeArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!(Refusal("serving is not wired yet".to_owned()))
}
