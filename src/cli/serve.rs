//! `rapport serve`.

use std::process::ExitCode;

use super::args::ServeArgs;
use super::config::{self, Overrides};
use super::progress;
use crate::server::{serve_until_signal, telemetry};

/// Serves until a signal comes.
///
/// # Errors
/// When the server cannot start, or fails as a whole.
pub async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let overrides = Overrides { data_dir: args.data_dir, listen: args.listen, log_filter: None };
    let config = config::load(args.config.as_deref(), overrides)?;
    telemetry::start(&config.log)?;
    serve_until_signal(&config, progress::of_replay()).await?;
    Ok(ExitCode::SUCCESS)
}
