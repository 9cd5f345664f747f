//! `rapport config`.

use std::process::ExitCode;

use super::run::Refusal;

/// Prints the configuration with every key at its default.
///
/// # Errors
/// Never yet.
pub fn print_default() -> anyhow::Result<ExitCode> {
    anyhow::bail!(Refusal("configuration is not wired yet".to_owned()))
}
