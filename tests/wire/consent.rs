//! `PrivacyService`: what customers say about their data, and what reads make of it.

use std::time::Duration;

use rapport::app::{Caller, SettingsChange};
use rapport::rpc::pb;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::store::embedded::{EmbeddedStore, Options};
use tonic::Code;

use crate::support::{
    NOW, TestApp, details, event, fields, identifier, item_reason, purchase, reason, status_of, track, user,
};
use crate::training::train;

fn granted(user_id: &str, purpose: &str) -> pb::RecordConsentRequest {
    pb::RecordConsentRequest {
        customer: user(user_id),
        purpose: purpose.to_owned(),
        state: pb::ConsentState::Granted.into(),
        source: "web_banner".to_owned(),
        ..Default::default()
    }
}

fn denied(user_id: &str, purpose: &str) -> pb::RecordConsentRequest {
    pb::RecordConsentRequest { state: pb::ConsentState::Denied.into(), ..granted(user_id, purpose) }
}

async fn record(app: &TestApp, request: pb::RecordConsentRequest) -> pb::RecordConsentResponse {
    app.privacy().record_consent(request).await.expect("recorded").into_inner()
}

/// A server with these customers.
async fn with_customers<const N: usize>(users: [&str; N]) -> TestApp {
    let app = TestApp::start().await;
    app.accept(users.iter().map(|user| event(user, user, NOW - 60, track("seen"))).collect()).await;
    app
}

async fn read(app: &TestApp, user_id: &str, purpose: &str) -> Result<pb::Profile, tonic::Status> {
    let request = pb::GetProfileRequest { customer: user(user_id), purpose: purpose.to_owned(), ..Default::default() };
    Ok(app.profiles().get_profile(request).await?.into_inner().profile.expect("a profile"))
}

async fn is_refused(app: &TestApp, user_id: &str, purpose: &str) -> bool {
    match read(app, user_id, purpose).await {
        Ok(_) => false,
        Err(status) => {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "CONSENT_DENIED"));
            true
        }
    }
}

#[tokio::test]
async fn a_purpose_is_open_from_the_grant_on_until_it_is_denied_again() {
    let app = with_customers(["ann"]).await;
    assert!(is_refused(&app, "ann", "marketing").await, "unknown is denied");
    let answer = record(&app, granted("ann", "marketing")).await;
    assert!(answer.allowed);
    let profile = read(&app, "ann", "marketing").await.expect("granted");
    let [summary] = &profile.consents[..] else { panic!("{:?}", profile.consents) };
    assert_eq!((summary.purpose.as_str(), summary.state()), ("marketing", pb::ConsentState::Granted));
    assert!(is_refused(&app, "ann", "analytics").await, "each purpose has an answer of its own");
    app.clock.advance_days(1);
    assert!(!record(&app, denied("ann", "marketing")).await.allowed);
    assert!(is_refused(&app, "ann", "marketing").await);
    assert!(!is_refused(&app, "ann", "").await, "the service goes on");
    let info = app.admin().get_server_info(pb::GetServerInfoRequest::default()).await.expect("info").into_inner();
    let counted: Vec<_> = info.consent_refusals.iter().map(|(purpose, count)| (purpose.as_str(), *count)).collect();
    assert_eq!(counted, [("analytics", 1), ("marketing", 2)]);
}

#[tokio::test]
async fn every_read_of_customers_is_held_to_the_purpose() {
    let app = with_customers(["ann", "bob"]).await;
    record(&app, granted("ann", "ours")).await;
    let purpose = || "ours".to_owned();

    let request = pb::ListProfilesRequest { purpose: purpose(), ..Default::default() };
    let listed = app.profiles().list_profiles(request).await.expect("a page").into_inner();
    assert_eq!((listed.profiles.len(), listed.next_page_token.as_str()), (1, ""), "who did not agree is left out");

    let customers: Vec<_> = ["ann", "bob"].into_iter().filter_map(user).collect();
    let request =
        pb::BatchGetProfilesRequest { customers: customers.clone(), purpose: purpose(), ..Default::default() };
    let batch = app.profiles().batch_get_profiles(request).await.expect("a batch").into_inner().results;
    assert!(matches!(batch[0].result, Some(pb::batch_get_profiles_result::Result::Profile(_))));
    let Some(pb::batch_get_profiles_result::Result::Error(error)) = &batch[1].result else { panic!("{:?}", batch[1]) };
    assert_eq!(item_reason(error), "CONSENT_DENIED");

    let request = pb::BatchPredictRequest { customers, purpose: purpose(), ..Default::default() };
    let batch = app.predictions().batch_predict(request).await.expect("a batch").into_inner().results;
    assert!(matches!(batch[0].result, Some(pb::batch_predict_result::Result::Prediction(_))));
    let Some(pb::batch_predict_result::Result::Error(error)) = &batch[1].result else { panic!("{:?}", batch[1]) };
    assert_eq!(item_reason(error), "CONSENT_DENIED");

    let kinds = vec![pb::ModelKind::Effort.into()];
    let request = pb::StreamPredictionsRequest { purpose: purpose(), kinds, ..Default::default() };
    let mut stream = app.predictions().stream_predictions(request).await.expect("a stream").into_inner();
    let results = stream.message().await.expect("whole").expect("a message").results;
    let refused = |result: &&pb::BatchPredictResult| match &result.result {
        Some(pb::batch_predict_result::Result::Error(error)) => item_reason(error) == "CONSENT_DENIED",
        _ => false,
    };
    assert_eq!((results.len(), results.iter().filter(refused).count()), (2, 1));
    assert!(results.iter().all(|result| !result.profile_id.is_empty()));

    let request = pb::ListEventsRequest { customer: user("bob"), purpose: purpose(), ..Default::default() };
    assert_eq!(reason(&app.events().list_events(request).await.expect_err("denied")), "CONSENT_DENIED");
    let request = pb::PredictEffortRequest { customer: user("bob"), purpose: purpose(), ..Default::default() };
    assert_eq!(reason(&app.predictions().predict_effort(request).await.expect_err("denied")), "CONSENT_DENIED");
    let request = pb::ListMergesRequest { customer: user("bob"), purpose: purpose(), ..Default::default() };
    assert_eq!(reason(&app.profiles().list_merges(request).await.expect_err("denied")), "CONSENT_DENIED");
}

#[tokio::test]
async fn who_refuses_the_service_is_not_read_and_can_still_ask_what_they_said() {
    let app = with_customers(["ann"]).await;
    record(&app, denied("ann", "service")).await;
    assert!(is_refused(&app, "ann", "").await);
    let request = pb::GetConsentsRequest { customer: user("ann"), ..Default::default() };
    let consents = app.privacy().get_consents(request).await.expect("answered").into_inner().consents;
    assert_eq!(consents.len(), 1);
    assert!(!record(&app, granted("ann", "service")).await.allowed, "at the same moment no is no");
    app.clock.advance_days(1);
    assert!(record(&app, granted("ann", "service")).await.allowed);
    assert!(!is_refused(&app, "ann", "").await);
}

#[tokio::test]
async fn an_answer_ends_on_time() {
    let app = with_customers(["ann"]).await;
    let end = prost_types::Timestamp { seconds: NOW + 86_400, nanos: 0 };
    record(&app, pb::RecordConsentRequest { expire_time: Some(end), ..granted("ann", "marketing") }).await;
    assert!(!is_refused(&app, "ann", "marketing").await);
    app.clock.advance_days(1);
    assert!(is_refused(&app, "ann", "marketing").await);
    let request = pb::GetConsentsRequest { customer: user("ann"), ..Default::default() };
    assert_eq!(app.privacy().get_consents(request).await.expect("answered").into_inner().consents, []);
}

#[tokio::test]
async fn of_merged_customers_the_most_restrictive_answer_counts_until_they_are_apart_again() {
    let app = with_customers(["ann", "bea"]).await;
    record(&app, granted("ann", "marketing")).await;
    record(&app, denied("bea", "marketing")).await;
    let request = pb::MergeProfilesRequest {
        target: user("ann"),
        sources: user("bea").into_iter().collect(),
        reason: "one person".to_owned(),
        ..Default::default()
    };
    let merge_id = app.profiles().merge_profiles(request).await.expect("merged").into_inner().merge_id;
    assert!(is_refused(&app, "ann", "marketing").await);
    app.clock.advance_days(1);
    record(&app, granted("ann", "marketing")).await;
    assert!(!is_refused(&app, "bea", "marketing").await, "asked anew, the customer agreed");
    let request = pb::UnmergeProfilesRequest { merge_id, ..Default::default() };
    app.profiles().unmerge_profiles(request).await.expect("undone");
    assert!(!is_refused(&app, "ann", "marketing").await);
    assert!(is_refused(&app, "bea", "marketing").await, "what was her own is hers again");
}

#[tokio::test]
async fn the_ledger_keeps_every_record_newest_first_and_is_paged() {
    let app = with_customers(["ann"]).await;
    for state in [granted, denied, granted] {
        app.clock.advance_days(1);
        record(&app, pb::RecordConsentRequest { proof: "form 7".to_owned(), ..state("ann", "marketing") }).await;
    }
    let mut request = pb::ListConsentRecordsRequest { customer: user("ann"), page_size: 2, ..Default::default() };
    let mut records = Vec::new();
    loop {
        let page = app.privacy().list_consent_records(request.clone()).await.expect("a page").into_inner();
        records.extend(page.records);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let states: Vec<_> = records.iter().map(pb::Consent::state).collect();
    assert_eq!(states, [pb::ConsentState::Granted, pb::ConsentState::Denied, pb::ConsentState::Granted]);
    assert!(records.iter().all(|record| (record.source.as_str(), record.proof.as_str()) == ("web_banner", "form 7")));
    assert!(records.is_sorted_by(|a, b| a.record_time.map(|t| t.seconds) > b.record_time.map(|t| t.seconds)));
}

#[tokio::test]
async fn an_older_answer_that_comes_late_is_kept_and_changes_nothing() {
    let app = with_customers(["ann"]).await;
    record(&app, denied("ann", "marketing")).await;
    let yesterday = prost_types::Timestamp { seconds: NOW - 86_400, nanos: 0 };
    let late = pb::RecordConsentRequest { consent_time: Some(yesterday), ..granted("ann", "marketing") };
    assert!(!record(&app, late).await.allowed);
    let request = pb::ListConsentRecordsRequest { customer: user("ann"), ..Default::default() };
    let records = app.privacy().list_consent_records(request).await.expect("a page").into_inner().records;
    assert_eq!(records.len(), 2);
}

#[tokio::test]
async fn a_named_request_is_recorded_once() {
    let app = with_customers(["ann"]).await;
    let request = pb::RecordConsentRequest { request_id: "banner-1".to_owned(), ..granted("ann", "marketing") };
    let (first, second) = (record(&app, request.clone()).await, record(&app, request.clone()).await);
    assert_eq!(first, second);
    let other = pb::RecordConsentRequest { purpose: "analytics".to_owned(), ..request };
    let refused = app.privacy().record_consent(other).await.expect_err("another request");
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn every_fault_of_a_request_is_named() {
    let app = with_customers(["ann"]).await;
    let ahead = prost_types::Timestamp { seconds: NOW + 3_600, nanos: 0 };
    let request = pb::RecordConsentRequest {
        customer: None,
        purpose: "Marketing!".to_owned(),
        state: 0,
        source: String::new(),
        proof: "x".repeat(2_000),
        consent_time: Some(ahead),
        expire_time: Some(ahead),
        request_id: String::new(),
    };
    let refused = app.privacy().record_consent(request).await.expect_err("faulty");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let expected = ["consent_time", "customer", "expire_time", "proof", "purpose", "source", "state"];
    assert_eq!(fields(&status_of(&refused)), expected);
}

#[tokio::test]
async fn an_unknown_customer_and_one_of_another_workspace_are_missing_alike() {
    let app = with_customers(["ann"]).await;
    let refused = app.privacy().record_consent(granted("nobody", "marketing")).await.expect_err("unknown");
    let mut elsewhere = pb::privacy_service_client::PrivacyServiceClient::new(app.wire_of("other"));
    let foreign = elsewhere.record_consent(granted("ann", "marketing")).await.expect_err("another workspace's");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
    assert_eq!((foreign.code(), foreign.message()), (refused.code(), refused.message()));
    let request = pb::GetConsentsRequest { customer: user("ann"), ..Default::default() };
    assert_eq!(elsewhere.get_consents(request).await.expect_err("another workspace's").code(), Code::NotFound);
}

#[tokio::test]
async fn followers_hear_of_an_answer() {
    let app = with_customers(["ann"]).await;
    let request = pb::WatchProfilesRequest { customers: user("ann").into_iter().collect(), ..Default::default() };
    let mut stream = app.profiles().watch_profiles(request).await.expect("a stream").into_inner();
    let recorded = record(&app, granted("ann", "marketing")).await;
    loop {
        let message = stream.message().await.expect("whole").expect("a message");
        if let [change] = &message.changes[..] {
            assert_eq!(change.changed_fields, ["consents"]);
            let id = recorded.consent.as_ref().expect("a record").consent_id.clone();
            assert_eq!(change.cause, Some(pb::profile_change::Cause::ConsentId(id)));
            return;
        }
    }
}

#[tokio::test]
async fn an_answer_in_a_merged_customer_stays_with_the_part_that_was_named() {
    let app = with_customers(["ann", "bea"]).await;
    let request = pb::MergeProfilesRequest {
        target: user("ann"),
        sources: user("bea").into_iter().collect(),
        reason: "one person".to_owned(),
        ..Default::default()
    };
    let merged = app.profiles().merge_profiles(request).await.expect("merged").into_inner();
    record(&app, granted("bea", "marketing")).await;
    let request = pb::UnmergeProfilesRequest { merge_id: merged.merge_id, ..Default::default() };
    app.profiles().unmerge_profiles(request).await.expect("undone");
    assert!(!is_refused(&app, "bea", "marketing").await);
    assert!(is_refused(&app, "ann", "marketing").await);
    let owner = read(&app, "bea", "").await.expect("known");
    assert_eq!(owner.identifiers, [identifier("user_id", "bea")]);
}

/// Changes what the settings say about purposes.
async fn decide(app: &TestApp, settings: pb::Settings, paths: &[&str]) -> Result<pb::Settings, tonic::Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = pb::UpdateSettingsRequest {
        settings: Some(settings),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    Ok(app.admin().update_settings(request).await?.into_inner().settings.expect("settings"))
}

fn for_methods(purposes: &[(&str, &str)]) -> pb::Settings {
    let named = |(method, purpose): &(&str, &str)| (format!("rapport.v1.{method}"), (*purpose).to_owned());
    pb::Settings { method_purposes: purposes.iter().map(named).collect(), ..Default::default() }
}

#[tokio::test]
async fn a_read_that_says_no_purpose_has_the_one_that_the_workspace_says_of_its_method() {
    let app = with_customers(["ann", "bob"]).await;
    record(&app, granted("ann", "marketing")).await;
    let sent = for_methods(&[("ProfileService/GetProfile", "marketing"), ("ProfileService/ListProfiles", "marketing")]);
    let now = decide(&app, sent.clone(), &["method_purposes"]).await.expect("changed");
    assert_eq!(now.method_purposes, sent.method_purposes);
    assert!(!is_refused(&app, "ann", "").await && is_refused(&app, "bob", "").await);
    assert!(!is_refused(&app, "bob", "service").await, "what the caller says counts");
    let listed = app.profiles().list_profiles(pb::ListProfilesRequest::default()).await.expect("a page").into_inner();
    assert_eq!(listed.profiles.len(), 1);
    let request = pb::PredictEffortRequest { customer: user("bob"), ..Default::default() };
    app.predictions().predict_effort(request).await.expect("a method of which nothing is said is for the service");
    let other = pb::GetProfileRequest { customer: user("bob"), ..Default::default() };
    let missing = ProfileServiceClient::new(app.wire_of("other")).get_profile(other).await.expect_err("not there");
    assert_eq!(reason(&missing), "CUSTOMER_NOT_FOUND", "other workspaces decide for themselves");

    let wrong = for_methods(&[
        ("PrivacyService/RecordConsent", "marketing"),
        ("ProfileService/Nothing", "marketing"),
        ("ProfileService/GetProfile", "No Purpose"),
    ]);
    let wrong = pb::Settings { training_purpose: "A".to_owned(), ..wrong };
    let refused = decide(&app, wrong, &["method_purposes", "training_purpose"]).await.expect_err("no such purposes");
    let mut faulty = fields(&status_of(&refused));
    faulty.sort();
    assert_eq!(
        faulty,
        [
            "settings.method_purposes.rapport.v1.PrivacyService/RecordConsent",
            "settings.method_purposes.rapport.v1.ProfileService/GetProfile",
            "settings.method_purposes.rapport.v1.ProfileService/Nothing",
            "settings.training_purpose",
        ]
    );
    decide(&app, pb::Settings::default(), &["method_purposes"]).await.expect("changed back");
    assert!(!is_refused(&app, "bob", "").await);
}

#[tokio::test]
async fn what_the_workspace_decides_about_purposes_outlives_the_server_and_goes_with_the_etag() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || EmbeddedStore::open(Options::new(directory.path(), [7; 16])).expect("opens");
    let mut app = TestApp::builder().store(open()).start().await;
    app.accept(vec![event("e", "ann", NOW - 60, track("seen"))]).await;
    let before = decide(&app, for_methods(&[("ProfileService/GetProfile", "analytics")]), &["method_purposes"]).await;
    let before = before.expect("changed");
    let sent = pb::Settings { training_purpose: "analytics".to_owned(), ..Default::default() };
    let after = decide(&app, sent.clone(), &["training_purpose"]).await.expect("changed");
    assert_eq!((&after.method_purposes, after.training_purpose.as_str()), (&before.method_purposes, "analytics"));
    let stale = pb::Settings { etag: before.etag, ..sent };
    assert_eq!(reason(&decide(&app, stale, &["training_purpose"]).await.expect_err("stale")), "ETAG_MISMATCH");
    app.stop().await;
    app.app.shut_down().await.expect("closes");
    let app = TestApp::builder().store(open()).start().await;
    assert!(is_refused(&app, "ann", "").await, "it is in force from the first read on");
    let found = app.admin().get_settings(pb::GetSettingsRequest::default()).await.expect("settings").into_inner();
    assert_eq!(found.settings, Some(after));
}

#[tokio::test]
async fn whoever_hangs_up_on_a_change_leaves_reads_with_what_is_stored() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(Options::new(directory.path(), [7; 16])).expect("opens");
    let app = TestApp::builder().store(store).start().await;
    app.accept(vec![event("e", "ann", NOW - 60, track("seen"))]).await;
    let caller = Caller::unrestricted("acme".parse().expect("a name"));
    let method = "rapport.v1.ProfileService/GetProfile";
    let mut stored = 0;
    for number in 0..60_u64 {
        let purposes = [(method.to_owned(), format!("purpose-{number}"))].into();
        let change = SettingsChange { method_purposes: Some(purposes), ..SettingsChange::default() };
        // Each a little later, so that some hang up at every step of the work.
        let patience = Duration::from_micros(number * 50);
        let _done_or_not = tokio::time::timeout(patience, app.app.update_settings(&caller, change, "")).await;
        let agree = async {
            loop {
                let found = app.admin().get_settings(pb::GetSettingsRequest::default()).await.expect("settings");
                let said = found.into_inner().settings.expect("settings").method_purposes.remove(method);
                let asked = read(&app, "ann", "").await.err().map(|refused| {
                    let infos = details::<tonic_types::pb::ErrorInfo>(&status_of(&refused), "ErrorInfo");
                    infos[0].metadata["purpose"].clone()
                });
                if said == asked {
                    return said;
                }
            }
        };
        let said = tokio::time::timeout(Duration::from_secs(10), agree).await.expect("reads go by what is stored");
        stored += u64::from(said.is_some_and(|said| said == format!("purpose-{number}")));
    }
    assert!(stored > 1, "nobody hung up late enough");
}

/// A server with as many customers who bought something as segments can be learned from.
async fn with_buyers() -> (TestApp, Vec<String>) {
    let app = TestApp::start().await;
    let users: Vec<String> = (0..80).map(|number| format!("u{number}")).collect();
    let bought = |(number, user): (usize, &String)| {
        let number = i64::try_from(number).expect("small");
        event(user, user, NOW - 86_400 * (number + 1), purchase(10.0 + number as f64))
    };
    app.accept(users.iter().enumerate().map(bought).collect()).await;
    (app, users)
}

fn segments() -> pb::CreateTrainingRunRequest {
    pb::CreateTrainingRunRequest { kind: pb::ModelKind::Segments.into(), ..Default::default() }
}

#[tokio::test]
async fn models_learn_only_from_who_agreed_to_what_training_is_for() {
    let (app, users) = with_buyers().await;
    let settings = pb::Settings { training_purpose: "analytics".to_owned(), ..Default::default() };
    decide(&app, settings, &["training_purpose"]).await.expect("changed");
    let refused = train(&app, segments()).await.pop().expect("a final state");
    assert_eq!(item_reason(refused.error.as_ref().expect("why")), "NOT_ENOUGH_DATA", "nobody agreed yet");
    for user in &users {
        record(&app, granted(user, "analytics")).await;
    }
    let learned = train(&app, segments()).await.pop().expect("a final state");
    assert_eq!(learned.state(), pb::TrainingState::Succeeded, "{learned:?}");
}

#[tokio::test]
async fn no_training_learns_from_who_refuses_the_service() {
    let (app, users) = with_buyers().await;
    let learned = train(&app, segments()).await.pop().expect("a final state");
    assert_eq!(learned.state(), pb::TrainingState::Succeeded, "{learned:?}");
    for user in &users {
        record(&app, denied(user, "service")).await;
    }
    let refused = train(&app, segments()).await.pop().expect("a final state");
    assert_eq!(item_reason(refused.error.as_ref().expect("why")), "NOT_ENOUGH_DATA");
}
