//! Errors: one ErrorInfo each, the documented code, and never a value of a customer.

use rapport::rpc::pb;
use tonic::{Code, Request};

use crate::support::{NOW, TestApp, details, event, fields, identifier, item_reason, reason, status_of, track, user};

#[tokio::test]
async fn an_unknown_customer_is_named_by_the_type_of_its_identifier_only() {
    let app = TestApp::start().await;
    let secret = identifier("email", "secret@example.com");
    let customer = Some(pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(secret)) });
    let missing = app.profiles().get_profile(pb::GetProfileRequest { customer, ..Default::default() }).await;
    let missing = missing.expect_err("nobody");
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
    let status = status_of(&missing);
    let resources = details::<tonic_types::pb::ResourceInfo>(&status, "ResourceInfo");
    assert_eq!(resources[0].resource_name, "email");
    assert!(!format!("{missing:?} {status:?}").contains("secret"));
}

#[tokio::test]
async fn a_customer_that_is_not_named_well_is_refused() {
    use pb::customer_ref::Customer;
    let app = TestApp::start().await;
    let cases = [
        (None, "INVALID_FIELD"),
        (Some(Customer::ProfileId(String::new())), "INVALID_FIELD"),
        (Some(Customer::Identifier(identifier("", ""))), "INVALID_FIELD"),
        (Some(Customer::Identifier(identifier("email", " "))), "IDENTIFIER_INVALID"),
        (Some(Customer::Identifier(identifier("E-mail", "a"))), "IDENTIFIER_INVALID"),
        (Some(Customer::ProfileId("secret@example.com".to_owned())), "CUSTOMER_NOT_FOUND"),
    ];
    for (customer, expected) in cases {
        let request = pb::PredictRequest { customer: Some(pb::CustomerRef { customer }), ..Default::default() };
        let refused = app.predictions().predict(request).await.expect_err(expected);
        assert_eq!(reason(&refused), expected);
        assert!(!format!("{refused:?}").contains("secret"));
    }
}

#[tokio::test]
async fn a_prediction_without_a_model_names_the_method_that_trains_one() {
    let app = TestApp::start().await;
    app.accept(vec![event("e", "ann", NOW, track("x"))]).await;
    let request = pb::PredictChurnRequest { customer: user("ann"), ..Default::default() };
    let refused = app.predictions().predict_churn(request).await.expect_err("no model");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "MODEL_NOT_TRAINED"));
    assert!(refused.message().contains("CreateTrainingRun"), "{}", refused.message());
    let failures = details::<tonic_types::pb::PreconditionFailure>(&status_of(&refused), "PreconditionFailure");
    assert_eq!(failures[0].violations[0].subject, "churn");
}

#[tokio::test]
async fn a_workspace_that_cannot_be_one_is_refused_and_health_does_not_care() {
    let app = TestApp::start().await;
    let mut admin = pb::admin_service_client::AdminServiceClient::new(app.wire_of("No Workspace"));
    let refused = admin.get_server_info(pb::GetServerInfoRequest::default()).await.expect_err("no name");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "WORKSPACE_INVALID"));
    let mut health = tonic_health::pb::health_client::HealthClient::new(app.wire_of("No Workspace"));
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("health");
}

#[tokio::test]
async fn no_workspace_is_the_default_one() {
    let app = TestApp::start().await;
    let mut default = pb::event_service_client::EventServiceClient::new(app.wire_of("default"));
    let events = vec![event("e", "ann", NOW, track("x"))];
    default.ingest_events(pb::IngestEventsRequest { events, validate_only: false }).await.expect("a batch");
    let mut unnamed = pb::profile_service_client::ProfileServiceClient::new(app.channel.clone());
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    unnamed.get_profile(request).await.expect("the default workspace");
}

#[tokio::test]
async fn a_revision_of_the_future_or_of_nobody_is_refused() {
    let app = TestApp::start().await;
    for (at_least_revision, expected) in [("r999", "REVISION_AHEAD"), ("yesterday", "INVALID_FIELD")] {
        let request = pb::GetSettingsRequest { at_least_revision: at_least_revision.to_owned() };
        let refused = app.admin().get_settings(request).await.expect_err("no such state");
        assert_eq!(reason(&refused), expected);
    }
}

#[tokio::test]
async fn a_purpose_without_consent_is_denied() {
    let app = TestApp::start().await;
    app.accept(vec![event("e", "ann", NOW, track("x"))]).await;
    let request =
        pb::GetProfileRequest { customer: user("ann"), purpose: "marketing".to_owned(), ..Default::default() };
    let denied = app.profiles().get_profile(request).await.expect_err("no consent");
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "CONSENT_DENIED"));
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let app = TestApp::start().await;
    for path in ["/rapport.v1.ProfileService/DeleteProfile", "/rapport.v2.Nothing/Get"] {
        let mut grpc = tonic::client::Grpc::new(app.channel.clone());
        grpc.ready().await.expect("connected");
        let codec = tonic_prost::ProstCodec::<pb::GetProfileRequest, pb::GetProfileResponse>::default();
        let request = Request::new(pb::GetProfileRequest::default());
        let refused = grpc.unary(request, http::uri::PathAndQuery::from_static(path), codec).await;
        let refused = refused.expect_err("no such method");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unimplemented, "UNIMPLEMENTED"));
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_the_callers_fault() {
    let app = TestApp::start().await;
    let mut grpc = tonic::client::Grpc::new(app.channel.clone());
    grpc.ready().await.expect("connected");
    let codec = tonic_prost::ProstCodec::<prost_types::Timestamp, pb::GetProfileResponse>::default();
    // Field 1 is a message there and a number here.
    let request = Request::new(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let path = http::uri::PathAndQuery::from_static("/rapport.v1.ProfileService/GetProfile");
    let refused = grpc.unary(request, path, codec).await.expect_err("no message");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test]
async fn a_request_that_is_too_large_for_its_method_is_refused() {
    let app = TestApp::start().await;
    let request = pb::GetSegmentRequest { segment_id: "x".repeat(2 << 20), ..Default::default() };
    let refused = app.segments().get_segment(request).await.expect_err("too large");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test]
async fn what_does_not_exist_is_told_apart() {
    let app = TestApp::start().await;
    let segment = pb::GetSegmentRequest { segment_id: "s1".to_owned(), ..Default::default() };
    let refused = app.segments().get_segment(segment).await.expect_err("no segment");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "SEGMENT_NOT_FOUND"));
    for version in ["churn-1", "not a version"] {
        let model = pb::GetModelRequest { model_version: version.to_owned(), ..Default::default() };
        let refused = app.training().get_model(model).await.expect_err("no model");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "MODEL_NOT_FOUND"));
    }
    for run_id in ["00000000-0000-0000-0000-000000000000", "not a run"] {
        let run = pb::GetTrainingRunRequest { run_id: run_id.to_owned(), ..Default::default() };
        let refused = app.training().get_training_run(run).await.expect_err("no run");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "TRAINING_RUN_NOT_FOUND"));
    }
}

#[tokio::test]
async fn what_must_be_named_and_is_not_is_a_field_at_fault() {
    let app = TestApp::start().await;
    let segment = app.segments().get_segment(pb::GetSegmentRequest::default()).await.expect_err("no id");
    assert_eq!(fields(&status_of(&segment)), ["segment_id"]);
    let model = app.training().activate_model(pb::ActivateModelRequest::default()).await.expect_err("no version");
    assert_eq!(fields(&status_of(&model)), ["model_version"]);
    let run = app.training().cancel_training_run(pb::CancelTrainingRunRequest::default()).await.expect_err("no id");
    assert_eq!(fields(&status_of(&run)), ["run_id"]);
    for refused in [segment, model, run] {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    }
}

#[tokio::test]
async fn a_fault_of_ours_shows_a_request_id_and_nothing_else() {
    let app = TestApp::builder().store(crate::support::BrokenStore::default()).start().await;
    let mut request = Request::new(pb::GetProfileRequest { customer: user("ann"), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "mine-1".parse().expect("text"));
    let failed = app.profiles().get_profile(request).await.expect_err("a broken store");
    assert_eq!((failed.code(), reason(&failed).as_str()), (Code::Internal, "INTERNAL"));
    let infos = details::<tonic_types::pb::RequestInfo>(&status_of(&failed), "RequestInfo");
    assert_eq!(infos[0].request_id, "mine-1");
    assert!(!format!("{failed:?}").contains("planted"), "{failed:?}");
}

#[tokio::test]
async fn a_panic_is_one_callers_error_and_the_connection_lives_on() {
    let app = TestApp::builder().store(crate::support::BrokenStore::default()).start().await;
    let events = vec![event("e", "ann", NOW, track("x"))];
    let request = pb::IngestEventsRequest { events, validate_only: false };
    let failed = app.events().ingest_events(request).await.expect_err("a panic");
    assert_eq!((failed.code(), reason(&failed).as_str()), (Code::Internal, "INTERNAL"));
    app.admin().get_settings(pb::GetSettingsRequest::default()).await.expect("the same connection");
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_stream_is_an_error_and_no_end() {
    fn assert_internal(ended: &tonic::Status) {
        assert_eq!((ended.code(), reason(ended).as_str()), (Code::Internal, "INTERNAL"));
        assert!(!format!("{ended:?}").contains("planted"), "{ended:?}");
    }
    let app = TestApp::builder().store(crate::support::BrokenStore::panicking()).start().await;
    let batch = pb::StreamEventsRequest { events: vec![event("e", "ann", NOW, track("x"))], sequence: 1 };
    let mut answers = app.events().stream_events(tokio_stream::once(batch)).await.expect("a stream").into_inner();
    assert_internal(&answers.message().await.expect_err("a panic"));

    let all = pb::StreamPredictionsRequest::default();
    let mut answers = app.predictions().stream_predictions(all).await.expect("a stream").into_inner();
    assert_internal(&answers.message().await.expect_err("a panic"));

    let run_id = rapport::domain::id::RunId::MIN.to_string();
    let watch = pb::WatchTrainingRunRequest { run_id, ..Default::default() };
    let mut states = app.training().watch_training_run(watch).await.expect("a stream").into_inner();
    assert!(states.message().await.expect("a state").is_some());
    assert_internal(&states.message().await.expect_err("a panic"));

    let watch = pb::WatchProfilesRequest::default();
    let mut changes = app.profiles().watch_profiles(watch).await.expect("a stream").into_inner();
    assert!(changes.message().await.expect("a checkpoint").is_some());
    assert_internal(&changes.message().await.expect_err("a panic"));
}

#[tokio::test]
async fn an_error_of_an_item_is_made_like_one_of_a_call() {
    let app = TestApp::start().await;
    let request = pb::BatchPredictRequest { customers: user("ann").into_iter().collect(), ..Default::default() };
    let results = app.predictions().batch_predict(request).await.expect("a batch").into_inner().results;
    let Some(pb::batch_predict_result::Result::Error(error)) = &results[0].result else { panic!("{results:?}") };
    assert_eq!((Code::from(error.code), item_reason(error).as_str()), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
}
