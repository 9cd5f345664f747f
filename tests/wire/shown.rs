//! Customers who are shown again, from memory, are as a first look at them would show them.

use std::sync::Arc;

use rapport::rpc::pb;
use rapport::store::Store;
use rapport::store::embedded::{EmbeddedStore, Options};
use rapport::store::memory::MemoryStore;

use crate::support::{NOW, TestApp, event, purchase, user};
use crate::training::{churn_request, shop_on, train};

const USER: &str = "u1";

/// The customer, asked for until memory must know them, and held against what a list has of them, which is read anew.
async fn shown(app: &TestApp) -> pb::Profile {
    let request = pb::GetProfileRequest { customer: user(USER), ..Default::default() };
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(app.profiles().get_profile(request.clone()).await.expect("ann").into_inner());
    }
    let profile = asked[0].profile.clone().expect("a profile");
    let everybody = pb::ListProfilesRequest { page_size: 1_000, ..Default::default() };
    let listed = app.profiles().list_profiles(everybody).await.expect("a page").into_inner().profiles;
    let read = listed.into_iter().find(|listed| listed.profile_id == profile.profile_id).expect("listed");
    for answer in asked {
        assert_eq!(answer.profile.as_ref(), Some(&read));
    }
    let by_id = pb::customer_ref::Customer::ProfileId(profile.profile_id.clone());
    let by_id = pb::GetProfileRequest { customer: Some(pb::CustomerRef { customer: Some(by_id) }), ..request };
    assert_eq!(app.profiles().get_profile(by_id).await.expect("ann").into_inner().profile, Some(read.clone()));
    read
}

/// The customer's segment and churn, asked for twice.
async fn predicted(app: &TestApp) -> pb::PredictResponse {
    let request = pb::PredictRequest { customer: user(USER), ..Default::default() };
    let mut asked = Vec::new();
    for _ in 0..2 {
        asked.push(app.predictions().predict(request.clone()).await.expect("an answer").into_inner());
    }
    let again = asked.pop().expect("two");
    assert_eq!(asked.pop().as_ref(), Some(&again));
    let batch = pb::BatchPredictRequest {
        customers: vec![request.customer.expect("a customer")],
        contribution_limit: 50,
        ..Default::default()
    };
    let batch = app.predictions().batch_predict(batch).await.expect("answers").into_inner();
    let Some(pb::batch_predict_result::Result::Prediction(in_batch)) = batch.results[0].result.clone() else {
        panic!("a prediction: {batch:?}")
    };
    assert_eq!(pb::PredictResponse { revision: again.revision.clone(), ..in_batch }, again);
    again
}

async fn changes_are_shown_at_once(store: Arc<dyn Store>) {
    let app = shop_on(TestApp::builder().shared(store)).await;
    let first = shown(&app).await;
    app.accept(vec![event("one more", USER, NOW - 60, purchase(1.0))]).await;
    let bought = shown(&app).await;
    let count = |profile: &pb::Profile| profile.purchases.as_ref().map_or(0, |purchases| purchases.count);
    assert_eq!(count(&bought), count(&first) + 1);

    let settings = Some(pb::Settings { currency: "SEK".to_owned(), ..Default::default() });
    app.admin().update_settings(pb::UpdateSettingsRequest { settings, ..Default::default() }).await.expect("changed");
    let currency = |profile: &pb::Profile| profile.purchases.clone().expect("bought").currency;
    assert_eq!([currency(&bought), currency(&shown(&app).await)], ["EUR", "SEK"], "no event has changed the profile");

    let consent = pb::RecordConsentRequest {
        customer: user(USER),
        purpose: "marketing".to_owned(),
        state: pb::ConsentState::Granted.into(),
        source: "web_banner".to_owned(),
        expire_time: Some(prost_types::Timestamp { seconds: NOW + 86_400, nanos: 0 }),
        ..Default::default()
    };
    app.privacy().record_consent(consent).await.expect("recorded");
    assert_eq!(shown(&app).await.consents.len(), 1);

    assert!(shown(&app).await.segment_id.is_empty());
    let segments = pb::CreateTrainingRunRequest { kind: pb::ModelKind::Segments.into(), ..Default::default() };
    train(&app, segments).await;
    train(&app, churn_request()).await;
    assert!(!shown(&app).await.segment_id.is_empty(), "a model says now who is in which segment");

    let before = predicted(&app).await;
    app.clock.advance_days(200);
    let after = predicted(&app).await;
    assert_ne!(before.churn.expect("a model").log_odds, after.churn.expect("a model").log_odds, "time has passed");
    assert!(shown(&app).await.consents.is_empty(), "the consent has expired");
}

#[tokio::test]
async fn changes_are_shown_at_once_in_memory() {
    changes_are_shown_at_once(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn changes_are_shown_at_once_from_disk() {
    let home = tempfile::tempdir().expect("a directory");
    changes_are_shown_at_once(Arc::new(EmbeddedStore::open(Options::new(home.path(), [7; 16])).expect("opens"))).await;
}
