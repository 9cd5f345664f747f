//! `rapport backup`: asks for a backup and follows it to its end.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use tonic::Code;

use super::args::{BackupArgs, Output};
use super::meter::Meter;
use super::run::Refusal;
use super::session::{Session, Target, refused};
use super::{json, report};
use crate::rpc::pb;

/// Makes a backup and prints what is in it.
///
/// # Errors
/// When the directory cannot take a backup, or the server cannot make one.
pub async fn backup(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let target = match args.server {
        Some(address) => Target::Server(address),
        None => Target::DataDir(args.data_dir),
    };
    // On another machine a path can only be meant as that machine sees it.
    let directory = match &target {
        Target::Server(_) => args.directory,
        Target::DataDir(_) => std::path::absolute(args.directory)?,
    };
    let directory = directory.into_os_string().into_string();
    let directory = directory.map_err(|_| Refusal("the directory's name is no text".to_owned()))?;
    let session = Session::open(&target, "default").await?;
    let made = run(&session, directory.clone()).await;
    session.close().await?;
    let made = made?;
    match args.output {
        Output::Json => json::print(&json!({
            "directory": directory,
            "revision": made.revision,
            "files": made.files,
            "bytes_copied": made.bytes_copied,
            "bytes_reused": made.bytes_reused,
        }))?,
        Output::Text => {
            report::heading(&format!("Backup in {directory}"));
            report::fact("up to revision", &made.revision);
            report::fact("files", report::count(made.files));
            report::fact("bytes copied", report::count(made.bytes_copied));
            report::fact("bytes there already", report::count(made.bytes_reused));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(session: &Session, directory: String) -> anyhow::Result<pb::CreateBackupResponse> {
    let stopped = |status: &tonic::Status| match status.code() {
        // Nothing failed: the directory is not one to back up to.
        Code::FailedPrecondition => Refusal(status.message().to_owned()).into(),
        _ => refused("CreateBackup", status),
    };
    let mut meter = Meter::new("backup");
    let steps = session.admin().create_backup(pb::CreateBackupRequest { directory }).await;
    let mut steps = steps.map_err(|status| stopped(&status))?.into_inner();
    let mut made = None;
    while let Some(step) = steps.message().await.map_err(|status| stopped(&status))? {
        meter.set(step.bytes_done.unsigned_abs(), step.bytes_total.unsigned_abs());
        made = Some(step).filter(|step| !step.revision.is_empty());
    }
    meter.finish("copied and read back");
    made.context("the server stopped telling about the backup before it was complete")
}
