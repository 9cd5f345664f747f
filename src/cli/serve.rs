//! `rapport serve`.

use std::path::Path;
use std::process::ExitCode;

use super::args::ServeArgs;
use super::run::Refusal;
use crate::server::{self, Config, telemetry};

/// Serves until a signal comes.
///
/// # Errors
/// When the server cannot start.
pub async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut config = load(args.config.as_deref())?;
    config.data_dir = args.data_dir.unwrap_or(config.data_dir);
    config.listen = args.listen.unwrap_or(config.listen);
    check(&config)?;
    telemetry::start(&config.log)?;
    server::serve_until_signal(&config).await?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration of the file and the environment; what is wrong with it is a refusal.
pub(super) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    Config::load(file, std::env::vars()).map_err(|error| Refusal::of(&error).into())
}

/// Refuses a configuration that must not be served, after flags were applied.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    config.check().map_err(|error| Refusal::of(&error).into())
}
