//! `rapport config`, and the configuration that every command starts from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::run::Refusal;
use crate::server::Config;

/// The variable of the key that `--listen` overrules.
const LISTEN: &str = "RAPPORT_LISTEN";
/// The variable that says what is logged.
const LOG_FILTER: &str = "RAPPORT_LOG_FILTER";

/// What the command line says over file and environment.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// What is logged where nobody said so: commands that print results are quieter than a server.
    pub log_filter: Option<&'static str>,
}

/// The configuration in force: the file, the environment over it, the command line over both.
///
/// # Errors
/// A [`Refusal`] when a key or a value is not one of ours.
pub fn load(file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Config> {
    // Variables that are no text cannot be ours.
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let environment: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
    let is_set = environment.iter().any(|(name, _)| name == LOG_FILTER);
    let filter = overrides.log_filter.filter(|_| !is_set).map(|filter| (LOG_FILTER.to_owned(), filter.to_owned()));
    // An address from the command line passes the same checks as one from elsewhere.
    let listen = overrides.listen.map(|address| (LISTEN.to_owned(), address.to_string()));
    let variables = environment.into_iter().chain(filter).chain(listen);
    let mut config = Config::load(file, variables).map_err(|error| Refusal::of(&error))?;
    if let Some(data_dir) = overrides.data_dir {
        config.data_dir = data_dir;
    }
    Ok(config)
}

/// Prints the configuration with every key at its default.
///
/// # Errors
/// Never for the defaults that ship.
pub fn print_default() -> anyhow::Result<ExitCode> {
    print!("{}", Config::default_file()?);
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_overrules_and_is_checked_like_the_rest() {
        let overrides = Overrides {
            data_dir: Some("elsewhere".into()),
            listen: Some(([127, 0, 0, 1], 0).into()),
            log_filter: Some("warn"),
        };
        let config = load(None, overrides).expect("valid");
        assert_eq!((config.data_dir, config.listen.port()), ("elsewhere".into(), 0));
        let public = Overrides { listen: Some(([0, 0, 0, 0], 50051).into()), ..Overrides::default() };
        assert!(load(None, public).expect_err("not loopback").is::<Refusal>());
    }
}
