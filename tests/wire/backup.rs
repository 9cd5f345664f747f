//! `AdminService.CreateBackup`.

use std::ops::ControlFlow;
use std::path::Path;

use rapport::rpc::pb;
use rapport::store::embedded::{EmbeddedStore, Options, restore};
use tonic::{Code, Status};

use crate::support::{NOW, TestApp, event, fields, reason, status_of, track};

fn embedded(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(Options::new(directory, [7; 16])).expect("opens")
}

async fn back_up(app: &TestApp, directory: &Path) -> Result<Vec<pb::CreateBackupResponse>, Status> {
    let request = pb::CreateBackupRequest { directory: directory.to_str().expect("text").to_owned() };
    let mut stream = app.admin().create_backup(request).await?.into_inner();
    let mut told = Vec::new();
    while let Some(message) = stream.message().await? {
        told.push(message);
    }
    Ok(told)
}

async fn revision(app: &TestApp) -> String {
    let info = app.admin().get_server_info(pb::GetServerInfoRequest::default()).await.expect("info");
    info.into_inner().revision
}

#[tokio::test]
async fn a_backup_tells_how_far_it_is_and_what_it_holds_and_can_be_served() {
    let home = tempfile::tempdir().expect("a directory");
    let [data, backup, restored] = ["data", "backup", "restored"].map(|name| home.path().join(name));
    let app = TestApp::builder().store(embedded(&data)).start().await;
    app.accept(vec![event("e1", "ann", NOW, track("seen"))]).await;
    let told = back_up(&app, &backup).await.expect("backed up");
    let (last, before) = told.split_last().expect("a message");
    assert!(before.iter().all(|message| message.revision.is_empty()), "{told:?}");
    // The manifest, a segment of the journal, and the three files of keys.
    assert_eq!((&last.revision, last.files), (&revision(&app).await, 5));
    assert_eq!((last.bytes_done, last.bytes_total, last.bytes_reused), (last.bytes_copied, last.bytes_copied, 0));
    assert_eq!(last.backup_time.map(|time| time.seconds), Some(NOW));
    let again = back_up(&app, &backup).await.expect("backed up").pop().expect("a message");
    assert_eq!((again.bytes_copied, again.bytes_reused), (0, last.bytes_copied));

    restore(&backup, &restored, &mut |_| ControlFlow::Continue(())).expect("restored");
    let other = TestApp::builder().store(embedded(&restored)).start().await;
    let list = pb::ListProfilesRequest::default();
    let profiles = app.profiles().list_profiles(list.clone()).await.expect("a page").into_inner();
    assert_eq!(profiles.profiles.len(), 1);
    assert_eq!(other.profiles().list_profiles(list).await.expect("a page").into_inner(), profiles);
    let repeated = other.ingest(vec![event("e1", "ann", NOW, track("seen"))]).await;
    assert_eq!(repeated[0].status(), pb::EventStatus::Duplicate);
}

#[tokio::test]
async fn a_directory_that_cannot_take_the_backup_is_refused_with_what_would_be_right() {
    let home = tempfile::tempdir().expect("a directory");
    let app = TestApp::builder().store(embedded(&home.path().join("data"))).start().await;
    let relative = back_up(&app, Path::new("backup")).await.expect_err("refused");
    assert_eq!((relative.code(), reason(&relative)), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(fields(&status_of(&relative)), ["directory"]);
    for unfit in ["data", "data/backup", "file", "file/below"] {
        std::fs::write(home.path().join("file"), "mine").expect("written");
        let refused = back_up(&app, &home.path().join(unfit)).await.expect_err(unfit);
        assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "BACKUP_REFUSED".to_owned()));
    }
}

#[tokio::test]
async fn a_store_in_memory_has_nothing_to_back_up() {
    let home = tempfile::tempdir().expect("a directory");
    let app = TestApp::start().await;
    let refused = back_up(&app, &home.path().join("backup")).await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused)), (Code::FailedPrecondition, "BACKUP_REFUSED".to_owned()));
    assert!(refused.message().contains("memory"), "{}", refused.message());
}
