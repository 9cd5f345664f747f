//! `rapport config`.

use std::process::ExitCode;

use crate::server::Config;

/// Prints the configuration with every key at its default.
///
/// # Errors
/// Never for the defaults that ship.
pub fn print_default() -> anyhow::Result<ExitCode> {
    print!("{}", Config::default_file()?);
    Ok(ExitCode::SUCCESS)
}
