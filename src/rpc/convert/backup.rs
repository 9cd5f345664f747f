//! Backups as the wire carries them.

use super::{count, time};
use crate::app::BackupStep;
use crate::rpc::pb;

/// One message about a backup.
pub(in crate::rpc) fn message(step: BackupStep) -> pb::CreateBackupResponse {
    match step {
        BackupStep::UnderWay(progress) => pb::CreateBackupResponse {
            bytes_done: count(progress.bytes_done),
            bytes_total: count(progress.bytes_total),
            ..Default::default()
        },
        BackupStep::Done(done) => pb::CreateBackupResponse {
            bytes_done: count(done.bytes_copied + done.bytes_reused),
            bytes_total: count(done.bytes_copied + done.bytes_reused),
            revision: done.revision.to_string(),
            files: count(done.files),
            bytes_copied: count(done.bytes_copied),
            bytes_reused: count(done.bytes_reused),
            backup_time: Some(time::to_pb(done.time)),
        },
    }
}
