//! From arguments to an exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tokio::runtime::Runtime;

use super::args::{Cli, Command, ConfigCommand};
use super::{backup, config, demo, evaluate, import, keys, model_report, restore, serve, train, verify};

/// The request itself cannot be followed: bad arguments, a mapping that does not fit, a directory that is in use.
///
/// Such an error ends the program with code 2, like a wrong argument does; everything else that fails, with 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    /// An error of somebody else's as a refusal, with all its reasons.
    pub fn of(error: &anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

const FAILED: u8 = 1;
const REFUSED: u8 = 2;

/// Runs what the arguments say and prints why it failed, if it does.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_refusal = error.is::<Refusal>() || error.is::<crate::server::Refusal>();
            ExitCode::from(if is_refusal { REFUSED } else { FAILED })
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    // One runtime for every command: what talks to a server in its own process needs both to run side by side.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = match command {
        Command::Serve(args) => runtime.block_on(serve::serve(args)),
        Command::Demo(args) => runtime.block_on(demo::demo(args)),
        Command::Import(args) => runtime.block_on(import::command::import(args)),
        Command::Train(args) => runtime.block_on(train::train(args)),
        Command::Evaluate(args) => runtime.block_on(evaluate::evaluate(args)),
        Command::Report(args) => runtime.block_on(model_report::command::report(args)),
        Command::Backup(args) => runtime.block_on(backup::backup(args)),
        Command::Restore(args) => restore::restore(&args),
        Command::Verify(args) => verify::verify(args),
        Command::Keys(command) => runtime.block_on(keys::keys(command)),
        Command::Config(ConfigCommand::Default) => config::print_default(),
    };
    leave(runtime);
    ended
}

/// Ends the runtime without waiting for what nobody waits for any more. Dropped, it would wait for a fit on a blocking
/// thread until the fit is done, and a supervisor that has asked the process to stop would kill it first.
fn leave(runtime: Runtime) {
    const LEFTOVERS: Duration = Duration::from_secs(1);
    runtime.shutdown_timeout(LEFTOVERS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_ends_although_a_blocking_thread_does_not() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        runtime.spawn_blocking(move || {
            begin.send(()).expect("somebody waits");
            let _released = held.recv();
        });
        begun.recv().expect("at work");
        leave(runtime);
        release.send(()).expect("still at work");
    }
}
