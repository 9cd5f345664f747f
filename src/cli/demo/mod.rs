//! stub
use super::args::DemoArgs;
use std::process::ExitCode;
/// Demo.
/// # Errors
/// Never.
pub async fn demo(_args: DemoArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
