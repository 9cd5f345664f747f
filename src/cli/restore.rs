//! `rapport restore`: makes a data directory of a backup.

use std::process::ExitCode;

use serde_json::json;

use super::args::{Output, RestoreArgs};
use super::meter::Meter;
use super::{json, report};
use crate::server;

/// Restores a backup and prints what came back.
///
/// # Errors
/// When the data directory is not free or the backup is not whole.
pub fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let mut meter = Meter::new("restore");
    let restored = server::restore(&args.backup, &args.data_dir, |told| meter.set(told.bytes_done, told.bytes_total))?;
    meter.finish("copied and verified");
    let erasures = match &args.erasures {
        Some(ledger) => server::take_over_erasures(&args.data_dir, ledger)?,
        None => 0,
    };
    match args.output {
        Output::Json => json::print(&json!({
            "data_dir": args.data_dir,
            "revision": restored.revision.to_string(),
            "files": restored.files,
            "bytes": restored.bytes,
            "release": restored.release,
            "erasures": erasures,
        }))?,
        Output::Text => {
            report::heading(&format!("Restored to {}", args.data_dir.display()));
            report::fact("up to revision", restored.revision);
            report::fact("files", report::counted(restored.files));
            report::fact("bytes", report::counted(restored.bytes));
            report::fact("backed up by release", restored.release);
            report::fact("erasures since the backup", erasures);
            println!("\nThe index is built at the next start: rapport serve --data-dir {}", args.data_dir.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
