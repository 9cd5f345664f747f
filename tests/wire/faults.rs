//! Requests with several faults: all of them are named at once, and none makes an answer grow without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pb::customer_ref::Customer;
use rapport::rpc::pb;
use tonic::{Code, Response, Status};

use crate::support::{
    BrokenStore, NOW, TestApp, data, details, event, fields, identifier, number, reason, status_of, text, track, user,
};

/// The code, the reason and the fields of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> (Code, String, Vec<String>) {
    let refused = answer.expect_err("faulty");
    (refused.code(), reason(&refused), fields(&status_of(&refused)))
}

fn invalid<const N: usize>(reason: &str, fields: [&str; N]) -> (Code, String, Vec<String>) {
    (Code::InvalidArgument, reason.to_owned(), fields.map(str::to_owned).to_vec())
}

fn nobody() -> Option<pb::CustomerRef> {
    Some(pb::CustomerRef { customer: Some(Customer::Identifier(identifier("", ""))) })
}

fn mask() -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: vec!["etag".to_owned(), "trait".to_owned()] })
}

fn tomorrow() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: NOW + 86_400, nanos: 0 })
}

fn long() -> String {
    "x".repeat(129)
}

const NO_REVISION: &str = "yesterday";

#[tokio::test]
async fn every_read_of_one_customer_names_all_its_faults() {
    let app = TestApp::start().await;
    let (purpose, at_least_revision) = (long(), NO_REVISION.to_owned());
    let (customer, as_of_time) = (nobody(), tomorrow());
    let of_read = ["as_of_time", "at_least_revision", "contribution_limit", "customer.identifier", "purpose"];
    let request = pb::GetProfileRequest {
        customer: customer.clone(),
        read_mask: mask(),
        at_least_revision: at_least_revision.clone(),
        purpose: purpose.clone(),
        as_of_time,
    };
    let named = ["as_of_time", "at_least_revision", "customer.identifier", "purpose", "read_mask.paths[1]"];
    assert_eq!(refused(app.profiles().get_profile(request).await), invalid("INVALID_FIELD", named));

    macro_rules! predict {
        ($method:ident, $request:ident { $($limit:ident)? }, $named:expr) => {
            let request = pb::$request {
                customer: customer.clone(),
                purpose: purpose.clone(),
                as_of_time,
                at_least_revision: at_least_revision.clone(),
                $($limit: -1,)?
            };
            assert_eq!(refused(app.predictions().$method(request).await), invalid("INVALID_FIELD", $named));
        };
    }
    let without_limit = ["as_of_time", "at_least_revision", "customer.identifier", "purpose"];
    predict!(predict_segment, PredictSegmentRequest {}, without_limit);
    predict!(predict_effort, PredictEffortRequest { contribution_limit }, of_read);
    predict!(predict_churn, PredictChurnRequest { contribution_limit }, of_read);
    predict!(predict, PredictRequest { contribution_limit }, of_read);
}

#[tokio::test]
async fn every_read_of_many_customers_names_all_its_faults() {
    let app = TestApp::start().await;
    let (purpose, at_least_revision) = (long(), NO_REVISION.to_owned());
    let customers = vec![user("ann").expect("a reference"); 1_001];
    let request = pb::BatchGetProfilesRequest {
        customers: customers.clone(),
        read_mask: mask(),
        at_least_revision: at_least_revision.clone(),
        purpose: purpose.clone(),
    };
    let named = ["at_least_revision", "customers", "purpose", "read_mask.paths[1]"];
    assert_eq!(refused(app.profiles().batch_get_profiles(request).await), invalid("BATCH_TOO_LARGE", named));
    let request = pb::BatchPredictRequest {
        customers,
        purpose: purpose.clone(),
        as_of_time: tomorrow(),
        at_least_revision: at_least_revision.clone(),
        contribution_limit: -1,
    };
    let named = ["as_of_time", "at_least_revision", "contribution_limit", "customers", "purpose"];
    assert_eq!(refused(app.predictions().batch_predict(request).await), invalid("BATCH_TOO_LARGE", named));
    let request = pb::StreamPredictionsRequest {
        segment_id: long(),
        purpose,
        as_of_time: tomorrow(),
        at_least_revision,
        contribution_limit: -1,
        kinds: vec![0, 99],
    };
    let named =
        ["as_of_time", "at_least_revision", "contribution_limit", "kinds[0]", "kinds[1]", "purpose", "segment_id"];
    assert_eq!(refused(app.predictions().stream_predictions(request).await), invalid("INVALID_FIELD", named));
}

#[tokio::test]
async fn every_list_names_all_its_faults() {
    let app = TestApp::start().await;
    let (page_size, page_token, at_least_revision) = (-1, "0abc".to_owned(), NO_REVISION.to_owned());
    let request = pb::ListProfilesRequest {
        page_size,
        page_token: page_token.clone(),
        read_mask: mask(),
        at_least_revision: at_least_revision.clone(),
        purpose: long(),
    };
    let named = ["at_least_revision", "page_size", "page_token", "purpose", "read_mask.paths[1]"];
    assert_eq!(refused(app.profiles().list_profiles(request).await), invalid("PAGE_TOKEN_INVALID", named));
    let request = pb::ListEventsRequest {
        customer: user("ann"),
        page_size,
        page_token: page_token.clone(),
        at_least_revision: at_least_revision.clone(),
        purpose: long(),
        ..Default::default()
    };
    let named = ["at_least_revision", "page_size", "page_token", "purpose"];
    assert_eq!(refused(app.events().list_events(request).await), invalid("PAGE_TOKEN_INVALID", named));
    let request = pb::ListSegmentMembersRequest {
        segment_id: "s1".to_owned(),
        page_size,
        page_token: page_token.clone(),
        read_mask: mask(),
        at_least_revision: at_least_revision.clone(),
        purpose: long(),
    };
    let named = ["at_least_revision", "page_size", "page_token", "purpose", "read_mask.paths[1]"];
    assert_eq!(refused(app.segments().list_segment_members(request).await), invalid("PAGE_TOKEN_INVALID", named));

    let named = ["at_least_revision", "page_size", "page_token"];
    macro_rules! list {
        ($client:ident.$method:ident($request:ident { $($kind:ident)? })) => {
            let request = pb::$request {
                page_size,
                page_token: page_token.clone(),
                at_least_revision: at_least_revision.clone(),
                $($kind: pb::ModelKind::Churn.into(),)?
            };
            assert_eq!(refused(app.$client().$method(request).await), invalid("PAGE_TOKEN_INVALID", named));
        };
    }
    list!(segments.list_segments(ListSegmentsRequest {}));
    list!(training.list_models(ListModelsRequest { kind }));
    list!(training.list_training_runs(ListTrainingRunsRequest { kind }));
}

#[tokio::test]
async fn a_token_is_not_judged_while_an_argument_that_it_belongs_to_is_at_fault() {
    let app = TestApp::start().await;
    app.accept((0..2).map(|n| event(&n.to_string(), "ann", NOW - n, track("x"))).collect()).await;
    let mut request = pb::ListEventsRequest { customer: user("ann"), page_size: 1, ..Default::default() };
    let page = app.events().list_events(request.clone()).await.expect("a page").into_inner();
    request = pb::ListEventsRequest { customer: nobody(), page_size: -1, page_token: page.next_page_token, ..request };
    let named = ["customer.identifier", "page_size"];
    assert_eq!(refused(app.events().list_events(request).await), invalid("INVALID_FIELD", named));
}

#[tokio::test]
async fn what_is_missing_comes_after_what_is_wrong() {
    let app = TestApp::start().await;
    let at_least_revision = NO_REVISION.to_owned();
    let named = invalid("INVALID_FIELD", ["at_least_revision"]);
    let customer = Some(pb::CustomerRef { customer: Some(Customer::ProfileId("secret".to_owned())) });
    let request =
        pb::GetProfileRequest { customer, at_least_revision: at_least_revision.clone(), ..Default::default() };
    assert_eq!(refused(app.profiles().get_profile(request).await), named);
    let request =
        pb::GetTrainingRunRequest { run_id: "not a run".to_owned(), at_least_revision: at_least_revision.clone() };
    assert_eq!(refused(app.training().get_training_run(request).await), named);
    let request = pb::GetModelRequest { model_version: "not a model".to_owned(), at_least_revision };
    assert_eq!(refused(app.training().get_model(request).await), named);
}

#[tokio::test]
async fn what_a_request_names_has_a_bounded_name() {
    let app = TestApp::start().await;
    let at_least_revision = NO_REVISION.to_owned();
    let request = pb::GetSegmentRequest { segment_id: long(), at_least_revision: at_least_revision.clone() };
    let named = ["at_least_revision", "segment_id"];
    assert_eq!(refused(app.segments().get_segment(request).await), invalid("INVALID_FIELD", named));
    let request = pb::GetModelRequest { model_version: long(), at_least_revision: at_least_revision.clone() };
    let named = ["at_least_revision", "model_version"];
    assert_eq!(refused(app.training().get_model(request).await), invalid("INVALID_FIELD", named));
    let request = pb::WatchTrainingRunRequest { run_id: long(), at_least_revision };
    let named = ["at_least_revision", "run_id"];
    assert_eq!(refused(app.training().watch_training_run(request).await), invalid("INVALID_FIELD", named));
    let request = pb::CancelTrainingRunRequest { run_id: long(), request_id: long() };
    let named = ["request_id", "run_id"];
    assert_eq!(refused(app.training().cancel_training_run(request).await), invalid("INVALID_FIELD", named));
    let request = pb::ActivateModelRequest { model_version: long(), request_id: long() };
    let named = ["model_version", "request_id"];
    assert_eq!(refused(app.training().activate_model(request).await), invalid("INVALID_FIELD", named));
    let settings = pb::Settings { currency: "euro".to_owned(), ..Default::default() };
    let request = pb::UpdateSettingsRequest { settings: Some(settings), request_id: long(), ..Default::default() };
    let named = ["request_id", "settings.currency"];
    assert_eq!(refused(app.admin().update_settings(request).await), invalid("INVALID_FIELD", named));
}

#[tokio::test]
async fn a_stream_about_a_segment_that_nobody_has_found_finds_no_segment() {
    let app = TestApp::start().await;
    let request = pb::StreamPredictionsRequest { segment_id: "s1".to_owned(), ..Default::default() };
    let (code, reason, _) = refused(app.predictions().stream_predictions(request).await);
    assert_eq!((code, reason.as_str()), (Code::NotFound, "SEGMENT_NOT_FOUND"));
}

#[tokio::test]
async fn a_filter_names_each_kind_once() {
    let app = TestApp::start().await;
    let mut kinds = vec!["track".to_owned(); 7];
    kinds[6] = "order".to_owned();
    let request = pb::ListEventsRequest { customer: user("ann"), kinds: kinds.clone(), ..Default::default() };
    assert_eq!(refused(app.events().list_events(request.clone()).await), invalid("INVALID_FIELD", ["kinds[6]"]));
    kinds[6] = "track".to_owned();
    kinds.push("track".to_owned());
    let request = pb::ListEventsRequest { kinds, ..request };
    assert_eq!(refused(app.events().list_events(request).await), invalid("INVALID_FIELD", ["kinds"]));
    let request = pb::StreamPredictionsRequest { kinds: vec![pb::ModelKind::Churn.into(); 6], ..Default::default() };
    assert_eq!(refused(app.predictions().stream_predictions(request).await), invalid("INVALID_FIELD", ["kinds"]));
}

#[tokio::test]
async fn an_unknown_parameter_is_named_by_its_key_where_that_is_a_word() {
    let app = TestApp::start().await;
    let parameters = data([("sead", number(1.0)), ("A b", number(1.0)), ("seed", text("x"))]);
    let request = pb::CreateTrainingRunRequest {
        kind: pb::ModelKind::Churn.into(),
        parameters,
        request_id: long(),
        ..Default::default()
    };
    let named = ["parameters.fields[0]", "parameters.sead", "parameters.seed", "request_id"];
    assert_eq!(refused(app.training().create_training_run(request).await), invalid("INVALID_FIELD", named));
}

#[tokio::test]
async fn faults_without_end_fit_into_the_headers_of_an_answer() {
    let app = TestApp::start().await;
    let paths = vec!["no_such_path".to_owned(); 50_000];
    let read_mask = Some(prost_types::FieldMask { paths });
    let request = pb::GetProfileRequest { customer: nobody(), read_mask, ..Default::default() };
    let refused = app.profiles().get_profile(request).await.expect_err("faulty");
    let in_base_64 = refused.details().len().div_ceil(3) * 4;
    assert!(in_base_64 + refused.message().len() < 8 << 10, "{in_base_64}");
    assert!(refused.message().ends_with("(and 50000 more)"), "{}", refused.message());
    let requests = details::<tonic_types::pb::BadRequest>(&status_of(&refused), "BadRequest");
    let violations = &requests[0].field_violations;
    let (last, told) = violations.split_last().expect("several");
    assert_eq!(last.field, "");
    assert_eq!(last.description, format!("{} more faults are not listed", 50_001 - told.len()));
    assert_eq!(told[0].field, "customer.identifier");
}

#[tokio::test]
async fn a_batch_is_read_a_few_customers_at_a_time() {
    let at_once = Arc::new(AtomicUsize::new(0));
    let app = TestApp::builder().store(BrokenStore::empty(&at_once)).start().await;
    let customers: Vec<pb::CustomerRef> = (0..1_000).filter_map(|n| user(&n.to_string())).collect();
    let request = pb::BatchGetProfilesRequest { customers: customers.clone(), ..Default::default() };
    let profiles = app.profiles().batch_get_profiles(request).await.expect("a batch").into_inner().results;
    let request = pb::BatchPredictRequest { customers, ..Default::default() };
    let predictions = app.predictions().batch_predict(request).await.expect("a batch").into_inner().results;
    assert_eq!((profiles.len(), predictions.len()), (1_000, 1_000));
    assert!((1..=100).contains(&at_once.load(Ordering::Relaxed)), "{at_once:?}");
}
