//! Backups that are made, and restored, by processes that are killed meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rapport::rpc::pb;
use rapport::rpc::pb::admin_service_client::AdminServiceClient;
use tonic::transport::Channel;

use crate::cycles::pause;
use crate::server::{PROGRAM, Server};
use crate::writers::{Fault, answered};

/// Starts of `rapport restore` that are killed within so many milliseconds.
const KILLED_WITHIN_MS: [u64; 2] = [30, 300];

/// Where the backup of a data directory is kept.
fn backup_of(data: &Path) -> PathBuf {
    data.with_extension("backup")
}

/// Makes a backup, or adds to the one that is there.
async fn back_up(server: Channel, data: &Path) -> Result<(), Fault> {
    let directory = backup_of(data).display().to_string();
    let request = pb::CreateBackupRequest { directory };
    let mut steps = answered(AdminServiceClient::new(server).create_backup(request).await)?;
    let mut is_complete = false;
    while let Some(step) = steps.message().await.map_err(|status| format!("a backup ends: {status}"))? {
        is_complete = !step.revision.is_empty();
    }
    if is_complete { Ok(()) } else { Err("a backup ended before it was complete".to_owned()) }
}

/// Begins a backup that nobody waits for.
pub(crate) async fn begin(server: &Server, data: &Path, within_ms: u64, random: &mut Xoshiro256PlusPlus) {
    let (channel, data) = (server.channel(), data.to_owned());
    tokio::spawn(async move {
        // The server is killed before it answers, or after.
        let _nobody_waits = back_up(channel, &data).await;
    });
    pause(random.gen_range(0..within_ms)).await;
}

/// Makes a backup where one may have been cut short, kills restores of it, and puts the restored directory in the place
/// of the one that was backed up.
pub(crate) async fn replace(server: Server, data: &Path, random: &mut Xoshiro256PlusPlus) -> Result<(), Fault> {
    back_up(server.channel(), data).await?;
    server.kill();
    let restored = data.with_extension("restored");
    for within_ms in KILLED_WITHIN_MS {
        let mut restore = restore(&backup_of(data), &restored).spawn().expect("the binary starts");
        tokio::time::sleep(Duration::from_millis(random.gen_range(0..within_ms))).await;
        restore.kill().expect("SIGKILL");
        restore.wait().expect("dies");
    }
    // It appears under its name once it is whole, and is not overwritten then.
    if !restored.exists() {
        let ended = restore(&backup_of(data), &restored).output().expect("the binary starts");
        if !ended.status.success() {
            return Err(format!("a backup cannot be restored: {}", String::from_utf8_lossy(&ended.stderr)));
        }
    }
    fs::remove_dir_all(data).expect("removable");
    fs::rename(&restored, data).expect("renamed");
    Ok(())
}

fn restore(backup: &Path, target: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("restore").arg(backup).arg("--data-dir").arg(target);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
