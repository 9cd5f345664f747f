//! Whoever has the files has nothing: no word of a customer is in any of them, nor in a backup.

use std::fs;
use std::path::Path;

use rapport::rpc::pb;
use rapport::store::embedded::{EmbeddedStore, MasterKeys, Options};

use crate::support::{NOW, TestApp, contact, data, event, identifier, text, track, user};

/// What is told of customers, each word at another place.
const CANARIES: [&str; 9] = [
    "canary-user",
    "canary-mail",
    "canary-trait",
    "canary-value",
    "canary-step",
    "canary-case",
    "canary-proof",
    "canary-reason",
    "canary-shared",
];
const MASTER: [u8; 32] = [42; 32];

fn options(directory: &Path, segment_bytes: u64) -> Options {
    let mut options = Options::new(directory, [7; 16]);
    options.master_keys = MasterKeys::new(vec![MASTER]);
    (options.segment_bytes, options.checkpoint_bytes) = (segment_bytes, 1 << 20);
    options
}

/// Sends everything that a customer can say, twice over, and merges the two.
async fn tell(app: &TestApp) {
    let mut events = Vec::new();
    for number in 0..2 {
        let name = format!("canary-user-{number}");
        let traits = data([("canary-trait", text("canary-value"))]);
        let identify = pb::event::Payload::Identify(pb::Identify { traits, ..Default::default() });
        let mut identified = event(&format!("i{number}"), &name, NOW - 90, identify);
        identified.identifiers.push(identifier("email", &format!("canary-mail-{number}@example.com")));
        let mut second = event(&format!("s{number}"), &name, NOW - 80, track("canary-step"));
        // A device that both show is refused to one of them, which is told of in a rejection.
        second.identifiers.push(identifier("loyalty_id", "canary-shared"));
        events.extend([identified, second]);
        events.push(event(&format!("c{number}"), &name, NOW - 70, contact(pb::ContactKind::Opened, "canary-case")));
    }
    app.accept(events).await;
    let consent = pb::RecordConsentRequest {
        customer: user("canary-user-0"),
        purpose: "marketing".to_owned(),
        state: pb::ConsentState::Granted.into(),
        source: "desk".to_owned(),
        proof: "canary-proof".to_owned(),
        ..Default::default()
    };
    app.privacy().record_consent(consent).await.expect("recorded");
    let merge = pb::MergeProfilesRequest {
        target: user("canary-user-0"),
        sources: user("canary-user-1").into_iter().collect(),
        reason: "canary-reason".to_owned(),
        ..Default::default()
    };
    app.profiles().merge_profiles(merge).await.expect("merged");
}

/// The canaries that the files below a directory hold.
fn found(directory: &Path) -> Vec<&'static str> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(self::found(&path));
            continue;
        }
        let bytes = fs::read(&path).expect("readable");
        let holds = |canary: &&str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        found.extend(CANARIES.into_iter().filter(holds));
    }
    found
}

#[tokio::test]
async fn no_word_of_a_customer_is_in_a_file_and_all_of_them_are_in_the_answers() {
    let home = tempfile::tempdir().expect("a directory");
    let [live, copy, restored] = ["data", "backup", "restored"].map(|name| home.path().join(name));
    let mut app = TestApp::builder().store(EmbeddedStore::open(options(&live, 1 << 20)).expect("opens")).start().await;
    tell(&app).await;
    // Until there is a checkpoint.
    let has_checkpoint = || {
        fs::read_dir(live.join("checkpoints")).is_ok_and(|mut entries| {
            entries.any(|entry| entry.expect("an entry").path().extension().is_some_and(|kind| kind == "checkpoint"))
        })
    };
    for number in (0..).take_while(|_| !has_checkpoint()) {
        assert!(number < 5_000, "no checkpoint is made");
        let noise = data([("noise", text(&"n".repeat(4_000)))]);
        let identify = pb::event::Payload::Identify(pb::Identify { traits: noise, ..Default::default() });
        app.accept(vec![event(&format!("n{number}"), "noise", NOW - 60, identify)]).await;
    }
    let request = pb::CreateBackupRequest { directory: copy.display().to_string() };
    let mut made = app.admin().create_backup(request).await.expect("begun").into_inner();
    while made.message().await.expect("goes on").is_some() {}
    let before = whole(&app).await;
    for canary in CANARIES {
        assert!(before.contains(canary), "{canary} is not told of: the test looks for something that is nowhere");
    }
    app.stop().await;
    app.app.shut_down().await.expect("closes");
    drop(app);
    assert_eq!(found(&live), Vec::<&str>::new(), "in the data directory");
    assert!(has_checkpoint(), "no checkpoint was looked at");
    assert_eq!(found(&copy), Vec::<&str>::new(), "in the backup");
    rapport::server::restore(&copy, &restored, |_| {}).expect("restored");
    assert!(EmbeddedStore::open(Options::new(&restored, [7; 16])).is_err(), "it opens without the master key");
    let again = EmbeddedStore::open(options(&restored, 1 << 20)).expect("opens");
    let app = TestApp::builder().store(again).start().await;
    assert_eq!(whole(&app).await, before, "the backup says the same");
}

/// Everything that is said about the customer, and what was refused, as text.
async fn whole(app: &TestApp) -> String {
    let request = pb::GetProfileRequest { customer: user("canary-user-0"), ..Default::default() };
    let profile = app.profiles().get_profile(request).await.expect("known").into_inner();
    let request = pb::ListEventsRequest { customer: user("canary-user-0"), page_size: 1_000, ..Default::default() };
    let events = app.events().list_events(request).await.expect("listed").into_inner();
    let request = pb::ListMergesRequest { customer: user("canary-user-0"), ..Default::default() };
    let merges = app.profiles().list_merges(request).await.expect("listed").into_inner();
    let request = pb::ListConsentRecordsRequest { customer: user("canary-user-0"), ..Default::default() };
    let consents = app.privacy().list_consent_records(request).await.expect("listed").into_inner();
    let request = pb::ListRejectionsRequest { page_size: 100, ..Default::default() };
    let rejections = app.events().list_rejections(request).await.expect("listed").into_inner();
    format!("{:?} {events:?} {merges:?} {consents:?} {rejections:?}", profile.profile)
}
