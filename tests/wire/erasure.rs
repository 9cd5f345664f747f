//! Whoever is forgotten is gone everywhere, stays so, and takes nothing of others along.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rapport::rpc::pb;
use rapport::store::embedded::{EmbeddedStore, Mode, Options, verify};
use tonic::{Code, Status};

use crate::support::{
    NOW, TestApp, contact, data, event, identifier, item_reason, purchase, reason, text, track, user,
};

fn options(directory: &Path) -> Options {
    Options::new(directory, [7; 16])
}

/// A server over a directory that outlives it.
struct Home {
    directory: tempfile::TempDir,
    app: Option<TestApp>,
}

impl Home {
    async fn new() -> Self {
        let mut home = Self { directory: tempfile::tempdir().expect("a directory"), app: None };
        home.start().await;
        home
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn app(&self) -> &TestApp {
        self.app.as_ref().expect("at work")
    }

    async fn start(&mut self) {
        let store = EmbeddedStore::open(options(&self.data())).expect("opens");
        self.app = Some(TestApp::builder().store(store).start().await);
    }

    async fn stop(&mut self) {
        let mut app = self.app.take().expect("at work");
        app.stop().await;
        app.app.shut_down().await.expect("closes");
    }

    /// Starts anew, with an index that is made from the journal alone.
    async fn rebuild(&mut self) {
        self.stop().await;
        let verified =
            verify(&options(&self.data()), Mode::Look, &mut |_| ControlFlow::Continue(())).expect("verified");
        assert_eq!(verified.findings, [], "an index made from the journal is another one");
        fs::remove_dir_all(self.data().join("index")).expect("removable");
        self.start().await;
    }
}

async fn erase(app: &TestApp, name: &str, request_id: &str) -> Result<pb::EraseCustomerResponse, Status> {
    let request = pb::EraseCustomerRequest {
        customer: user(name),
        reason: "asked".to_owned(),
        request_id: request_id.to_owned(),
    };
    Ok(app.privacy().erase_customer(request).await?.into_inner())
}

async fn verified(app: &TestApp, receipt_id: &str) -> (bool, bool) {
    let request = pb::VerifyErasureRequest { receipt_id: receipt_id.to_owned(), ..Default::default() };
    let found = app.privacy().verify_erasure(request).await.expect("known").into_inner();
    (found.erased, found.signature_valid)
}

async fn profile(app: &TestApp, customer: Option<pb::CustomerRef>) -> Result<pb::Profile, Status> {
    let request = pb::GetProfileRequest { customer, ..Default::default() };
    Ok(app.profiles().get_profile(request).await?.into_inner().profile.expect("a profile"))
}

/// Everything that is said of a customer.
async fn said(app: &TestApp, name: &str) -> String {
    let export = pb::ExportCustomerRequest { customer: user(name), ..Default::default() };
    let mut stream = app.privacy().export_customer(export).await.expect("known").into_inner();
    let mut lines = String::new();
    while let Some(message) = stream.message().await.expect("goes on") {
        for line in message.lines {
            let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            // Who asked becomes more with each question. The order of names within an object is another one each time.
            if said.get("audit").is_none() {
                lines.push_str(&said.to_string());
            }
        }
    }
    lines
}

/// Everything that is refused, as text.
async fn refused(app: &TestApp) -> String {
    let request = pb::ListRejectionsRequest { page_size: 1_000, ..Default::default() };
    format!("{:?}", app.events().list_rejections(request).await.expect("listed").into_inner().rejections)
}

/// A customer of whom much is known, and who shares a card with another one, to whom it is refused.
async fn tell(app: &TestApp, name: &str) {
    let traits = data([("city", text("Ulm"))]);
    let identify = pb::event::Payload::Identify(pb::Identify { traits, ..Default::default() });
    let mut first = event(&format!("{name}-1"), name, NOW - 900, identify);
    first.identifiers.push(identifier("email", &format!("{name}@example.com")));
    let mut second = event(&format!("{name}-2"), name, NOW - 800, purchase(12.0));
    second.identifiers.push(identifier("loyalty_id", "shared-card"));
    let third = event(&format!("{name}-3"), name, NOW - 700, contact(pb::ContactKind::Opened, "case"));
    app.accept(vec![first, second, third]).await;
    let consent = pb::RecordConsentRequest {
        customer: user(name),
        purpose: "marketing".to_owned(),
        state: pb::ConsentState::Granted.into(),
        source: "desk".to_owned(),
        proof: "a form".to_owned(),
        ..Default::default()
    };
    app.privacy().record_consent(consent).await.expect("recorded");
}

#[tokio::test]
async fn a_forgotten_customer_is_gone_with_proof_and_others_are_as_they_were() {
    let mut home = Home::new().await;
    tell(home.app(), "ann").await;
    tell(home.app(), "bob").await;
    assert!(refused(home.app()).await.contains("shared-card"), "the card is refused to one of them");
    let (id, ann) = (profile(home.app(), user("bob")).await.expect("known").profile_id, said(home.app(), "ann").await);
    let answer = erase(home.app(), "bob", "letter-1").await.expect("erased");
    let receipt = answer.receipt.clone().expect("a receipt");
    assert_eq!(receipt.events_erased, 3);
    assert_eq!((receipt.signature.len(), receipt.public_key.len(), receipt.subject_digest.len()), (128, 64, 64));
    assert_eq!(erase(home.app(), "bob", "letter-1").await.expect("repeated"), answer);
    assert_eq!(reason(&erase(home.app(), "ann", "letter-1").await.expect_err("used")), "REQUEST_ID_REUSED");
    assert_eq!(reason(&erase(home.app(), "bob", "").await.expect_err("gone")), "CUSTOMER_NOT_FOUND");
    for turn in ["at once", "after a start", "after a start without an index"] {
        let app = home.app();
        assert_eq!(verified(app, &receipt.receipt_id).await, (true, true), "{turn}");
        let by_id = pb::CustomerRef { customer: Some(pb::customer_ref::Customer::ProfileId(id.clone())) };
        for customer in [user("bob"), Some(by_id)] {
            let gone = profile(app, customer).await.expect_err("gone");
            assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "CUSTOMER_NOT_FOUND"), "{turn}");
        }
        let listed = app.profiles().list_profiles(pb::ListProfilesRequest::default()).await.expect("listed");
        assert_eq!(listed.into_inner().profiles.len(), 1, "{turn}");
        assert!(!refused(app).await.contains("shared-card"), "{turn}: what was refused names nobody any more");
        assert_eq!(said(app, "ann").await, ann, "{turn}: the other one is as before");
        match turn {
            "at once" => {
                home.stop().await;
                home.start().await;
            }
            _ => home.rebuild().await,
        }
    }
    let unknown = pb::VerifyErasureRequest { receipt_id: "nothing".to_owned(), ..Default::default() };
    let missing = home.app().privacy().verify_erasure(unknown).await.expect_err("unknown");
    assert_eq!(reason(&missing), "RECEIPT_NOT_FOUND");
}

#[tokio::test]
async fn a_late_event_does_not_bring_a_forgotten_customer_back() {
    let mut home = Home::new().await;
    tell(home.app(), "ann").await;
    erase(home.app(), "ann", "").await.expect("erased");
    for turn in 0..2 {
        let mut by_mail = event(&format!("late-{turn}"), "", NOW - 500, track("late"));
        by_mail.identifiers = vec![identifier("email", "ann@example.com")];
        let results = home.app().ingest(vec![by_mail, event(&format!("same-{turn}"), "ann", NOW, track("late"))]).await;
        for result in results {
            assert_eq!(result.status(), pb::EventStatus::Rejected);
            assert_eq!(item_reason(&result.error.expect("a reason")), "CUSTOMER_ERASED");
        }
        // What names somebody else too is theirs, without the identifier.
        let mut of_carl = event(&format!("carl-{turn}"), "carl", NOW - 400, track("seen"));
        of_carl.identifiers.push(identifier("email", "ann@example.com"));
        home.app().accept(vec![of_carl]).await;
        let carl = profile(home.app(), user("carl")).await.expect("known");
        assert_eq!(carl.identifiers.len(), 1, "{:?}", carl.identifiers);
        assert!(refused(home.app()).await.contains("IdentifierErased"), "it is told of");
        assert_eq!(profile(home.app(), user("ann")).await.expect_err("gone").code(), Code::NotFound);
        // The first event of all, sent again.
        let repeated =
            home.app().ingest(vec![event("ann-3", "ann", NOW - 700, contact(pb::ContactKind::Opened, "case"))]);
        assert_eq!(repeated.await[0].status(), pb::EventStatus::Rejected);
        home.rebuild().await;
    }
}

#[tokio::test]
async fn where_the_workspace_says_so_whoever_was_forgotten_returns_as_somebody_new() {
    let home = Home::new().await;
    let app = home.app();
    tell(app, "ann").await;
    let before = profile(app, user("ann")).await.expect("known").profile_id;
    let receipt = erase(app, "ann", "").await.expect("erased").receipt.expect("a receipt").receipt_id;
    let settings = Some(pb::Settings { erased_may_return: true, ..Default::default() });
    let request = pb::UpdateSettingsRequest { settings, ..Default::default() };
    app.admin().update_settings(request).await.expect("changed");
    app.accept(vec![event("back", "ann", NOW, track("back"))]).await;
    let new = profile(app, user("ann")).await.expect("a new one");
    assert_ne!(new.profile_id, before);
    assert_eq!(new.identifiers, [identifier("user_id", "ann")]);
    assert_eq!(new.activity.expect("activity").events, 1, "nothing of before is there");
    assert_eq!(verified(app, &receipt).await, (true, true), "what was erased stays erased");
    let by_id = pb::CustomerRef { customer: Some(pb::customer_ref::Customer::ProfileId(before)) };
    assert_eq!(reason(&profile(app, Some(by_id)).await.expect_err("gone")), "CUSTOMER_NOT_FOUND");
    // The new one can be forgotten as well, and once the setting is off nobody returns.
    erase(app, "ann", "").await.expect("erased again");
    let paths = vec!["erased_may_return".to_owned()];
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = pb::UpdateSettingsRequest { update_mask, ..Default::default() };
    app.admin().update_settings(request).await.expect("changed back");
    let results = app.ingest(vec![event("again", "ann", NOW, track("back"))]).await;
    assert_eq!(item_reason(results[0].error.as_ref().expect("a reason")), "CUSTOMER_ERASED");
}

#[tokio::test]
async fn what_was_one_with_a_forgotten_customer_for_a_while_keeps_what_is_its_own() {
    let mut home = Home::new().await;
    tell(home.app(), "ann").await;
    tell(home.app(), "bob").await;
    // A device that bob had goes to ann.
    let with_device = |id: &str, name: &str, seconds: i64| {
        let mut event = event(id, name, seconds, track("on a device"));
        event.identifiers.push(identifier("device_id", "tablet-1"));
        event
    };
    home.app().accept(vec![with_device("d1", "bob", NOW - 600)]).await;
    home.app().accept(vec![with_device("d2", "ann", NOW - 500)]).await;
    let merge = pb::MergeProfilesRequest {
        target: user("ann"),
        sources: user("bob").into_iter().collect(),
        reason: "one household".to_owned(),
        ..Default::default()
    };
    let merged = home.app().profiles().merge_profiles(merge).await.expect("merged").into_inner();
    home.app().accept(vec![event("b9", "bob", NOW - 300, purchase(7.0))]).await;
    let request = pb::UnmergeProfilesRequest { merge_id: merged.merge_id, ..Default::default() };
    home.app().profiles().unmerge_profiles(request).await.expect("undone");
    let merges_of_bob = async |home: &Home| {
        let request = pb::ListMergesRequest { customer: user("bob"), ..Default::default() };
        home.app().profiles().list_merges(request).await.expect("listed").into_inner().merges.len()
    };
    assert_eq!(merges_of_bob(&home).await, 1);
    let bob = profile(home.app(), user("bob")).await.expect("known");
    erase(home.app(), "ann", "").await.expect("erased");
    for turn in 0..2 {
        assert_eq!(profile(home.app(), user("bob")).await.expect("known"), bob, "turn {turn}");
        assert_eq!(merges_of_bob(&home).await, 0, "it spoke of both");
        let tablet = pb::customer_ref::Customer::Identifier(identifier("device_id", "tablet-1"));
        let owner = profile(home.app(), Some(pb::CustomerRef { customer: Some(tablet) })).await;
        assert_eq!(owner.expect_err("nobody's").code(), Code::NotFound, "turn {turn}");
        home.rebuild().await;
    }
}

#[tokio::test]
async fn followers_are_told_that_a_customer_is_gone_and_nothing_else_of_them() {
    let home = Home::new().await;
    let app = home.app();
    let mut begun =
        app.profiles().watch_profiles(pb::WatchProfilesRequest::default()).await.expect("begun").into_inner();
    let resume_token = begun.message().await.expect("a message").expect("a message").resume_token;
    drop(begun);
    tell(app, "ann").await;
    app.accept(vec![event("b1", "bob", NOW - 60, track("seen"))]).await;
    let id = profile(app, user("ann")).await.expect("known").profile_id;
    erase(app, "ann", "").await.expect("erased");
    let request = pb::WatchProfilesRequest { resume_token, ..Default::default() };
    let mut stream = app.profiles().watch_profiles(request).await.expect("resumed").into_inner();
    let mut told = Vec::new();
    while told.last().is_none_or(|change: &pb::ProfileChange| change.change_type() != pb::ChangeType::Erased) {
        told.extend(stream.message().await.expect("goes on").expect("a message").changes);
    }
    let of_ann: Vec<_> =
        told.iter().filter(|change| change.profile_id == id).map(pb::ProfileChange::change_type).collect();
    assert!(of_ann.ends_with(&[pb::ChangeType::Erased]), "{of_ann:?}");
    assert!(!told.iter().any(|change| change.change_type() == pb::ChangeType::Unspecified), "{told:?}");
    assert!(told.iter().any(|change| change.change_type() == pb::ChangeType::Created && change.profile_id != id));
}

#[tokio::test]
async fn a_restored_backup_of_before_does_not_bring_a_forgotten_customer_back() {
    let mut home = Home::new().await;
    tell(home.app(), "ann").await;
    tell(home.app(), "bob").await;
    let copy = home.directory.path().join("copy");
    let request = pb::CreateBackupRequest { directory: copy.display().to_string() };
    let mut made = home.app().admin().create_backup(request).await.expect("begun").into_inner();
    while made.message().await.expect("goes on").is_some() {}
    let receipt = erase(home.app(), "ann", "").await.expect("erased").receipt.expect("a receipt");
    home.stop().await;
    let ledger = home.directory.path().join("erasures");
    fs::copy(home.data().join("keys/erasures"), &ledger).expect("a ledger");
    fs::remove_dir_all(home.data()).expect("lost");
    rapport::server::restore(&copy, &home.data(), |_| {}).expect("restored");
    assert_eq!(rapport::server::take_over_erasures(&home.data(), &ledger).expect("taken over"), 1);
    for _ in 0..2 {
        home.start().await;
        assert_eq!(profile(home.app(), user("ann")).await.expect_err("gone").code(), Code::NotFound);
        assert_eq!(verified(home.app(), &receipt.receipt_id).await, (true, true));
        profile(home.app(), user("bob")).await.expect("still there");
        home.stop().await;
    }
    fs::write(&ledger, [7; 100]).expect("written");
    assert!(rapport::server::take_over_erasures(&home.data(), &ledger).is_ok_and(|new| new == 0), "cut off");
    fs::write(&ledger, [&[4, 0, 0, 0, 1, 1, 1, 1][..], &[9; 4]].concat()).expect("written");
    assert!(rapport::server::take_over_erasures(&home.data(), &ledger).is_err(), "no ledger");
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_nobody_half_forgotten() {
    const CUSTOMERS: u64 = 40;
    let mut home = Home::new().await;
    let name = |number: u64| format!("guest-{number}");
    let seen = |number: u64| event(&name(number), &name(number), NOW - 60, track("seen"));
    home.app().accept((0..=CUSTOMERS).map(seen).collect()).await;
    let workspace = "acme".parse().expect("a name");
    let caller = rapport::app::Caller::unrestricted(workspace);
    for number in 0..CUSTOMERS {
        let request = rapport::app::EraseRequest {
            customer: rapport::app::CustomerRef::Identifier(
                rapport::domain::identifier::Identifier::parse("user_id", &name(number)).expect("an identifier"),
            ),
            reason: String::new(),
            request_id: String::new(),
            faults: Default::default(),
        };
        // Each a little later, so that some hang up at every step of the work.
        let patience = std::time::Duration::from_micros(number * 100);
        let _done_or_not = tokio::time::timeout(patience, home.app().app.erase_customer(&caller, &request)).await;
    }
    // Erasures take turns, so that those before have ended with this one.
    erase(home.app(), &name(CUSTOMERS), "").await.expect("erased");
    home.stop().await;
    home.start().await;
    let mut gone = 0;
    for number in 0..=CUSTOMERS {
        gone += usize::from(profile(home.app(), user(&name(number))).await.is_err());
    }
    home.stop().await;
    // Whoever is in the ledger has no keys any more.
    let counted = home.directory.path().join("counted");
    fs::create_dir_all(counted.join("keys")).expect("made");
    let destroyed =
        rapport::server::take_over_erasures(&counted, &home.data().join("keys/erasures")).expect("a ledger");
    assert_eq!(gone, destroyed, "customers who are gone, and those whose keys are");
    assert!(gone > 1, "nobody hung up late enough");
}
