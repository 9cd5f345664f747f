//! `ProfileService`.

use pb::batch_get_profiles_result::Result as Outcome;
use rapport::rpc::pb;
use tonic::Code;

use crate::support::{
    NOW, TestApp, contact, data, event, fields, identifier, item_reason, number, purchase, reason, status_of, text,
    track, user,
};

const DAY: i64 = 86_400;

async fn shop() -> TestApp {
    let app = TestApp::start().await;
    let traits = data([("plan", text("pro")), ("seats", number(3.0))]);
    let identify = pb::event::Payload::Identify(pb::Identify { traits, traits_once: None });
    let mut first = event("1", "ann", NOW - 30 * DAY, identify);
    first.identifiers.push(identifier("email", " Ann@Example.com "));
    first.identifiers.push(identifier("anonymous_id", "b7e2"));
    let refund = pb::Purchase { revenue: 10.0, currency: "EUR".to_owned(), refund: true, ..Default::default() };
    let survey = pb::SurveyResponse { kind: pb::SurveyKind::Ces.into(), score: Some(6.0), ..Default::default() };
    let subscription = pb::SubscriptionChange {
        status: pb::SubscriptionStatus::Trial.into(),
        plan: "pro".to_owned(),
        ..Default::default()
    };
    let events = vec![
        first,
        event("2", "ann", NOW - 20 * DAY, purchase(50.0)),
        event("3", "ann", NOW - 10 * DAY, purchase(30.0)),
        event("4", "ann", NOW - 9 * DAY, pb::event::Payload::Purchase(refund)),
        event("5", "ann", NOW - 8 * DAY, contact(pb::ContactKind::Opened, "C1")),
        event("6", "ann", NOW - 7 * DAY, contact(pb::ContactKind::Resolved, "C1")),
        event("7", "ann", NOW - 6 * DAY, pb::event::Payload::SurveyResponse(survey)),
        event("8", "ann", NOW - 5 * DAY, pb::event::Payload::SubscriptionChange(subscription)),
        event("9", "bob", NOW - 4 * DAY, track("search")),
    ];
    app.accept(events).await;
    app
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn get(app: &TestApp, request: pb::GetProfileRequest) -> Result<pb::Profile, tonic::Status> {
    let answer = app.profiles().get_profile(request).await?.into_inner();
    Ok(answer.profile.expect("a profile"))
}

#[tokio::test]
async fn a_profile_is_what_its_events_say() {
    let app = shop().await;
    let profile = get(&app, pb::GetProfileRequest { customer: user("ann"), ..Default::default() }).await;
    insta::assert_debug_snapshot!(profile.expect("ann"));
}

#[tokio::test]
async fn any_identifier_and_the_profile_id_find_the_same_profile() {
    let app = shop().await;
    let by_user = get(&app, pb::GetProfileRequest { customer: user("ann"), ..Default::default() }).await.expect("ann");
    for customer in [
        pb::customer_ref::Customer::Identifier(identifier("email", "ann@example.com")),
        pb::customer_ref::Customer::ProfileId(by_user.profile_id.clone()),
    ] {
        let customer = Some(pb::CustomerRef { customer: Some(customer) });
        let found = get(&app, pb::GetProfileRequest { customer, ..Default::default() }).await.expect("ann");
        assert_eq!(found, by_user);
    }
}

#[tokio::test]
async fn a_read_mask_chooses_fields_and_their_parts() {
    let app = shop().await;
    let read_mask = mask(&["identifiers", "purchases.revenue", "surveys.ces.last_score"]);
    let request = pb::GetProfileRequest { customer: user("ann"), read_mask, ..Default::default() };
    let profile = get(&app, request).await.expect("ann");
    let expected = pb::Profile {
        profile_id: profile.profile_id.clone(),
        identifiers: vec![
            identifier("user_id", "ann"),
            identifier("email", "ann@example.com"),
            identifier("anonymous_id", "b7e2"),
        ],
        purchases: Some(pb::PurchaseSummary { revenue: 70.0, ..Default::default() }),
        surveys: Some(pb::SurveySummary {
            ces: Some(pb::SurveyScores { last_score: 6.0, ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert!(!profile.profile_id.is_empty());
    assert_eq!(profile, expected);
}

#[tokio::test]
async fn an_unknown_path_is_refused_by_its_place() {
    let app = shop().await;
    let read_mask = mask(&["traits", "purchase"]);
    let request = pb::GetProfileRequest { customer: user("ann"), read_mask, ..Default::default() };
    let refused = get(&app, request).await.expect_err("no such path");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(fields(&status_of(&refused)), ["read_mask.paths[1]"]);
}

#[tokio::test]
async fn a_profile_can_be_read_as_it_was() {
    let app = shop().await;
    let as_of = |seconds| pb::GetProfileRequest {
        customer: user("ann"),
        as_of_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..Default::default()
    };
    let then = get(&app, as_of(NOW - 15 * DAY)).await.expect("ann");
    assert_eq!(then.purchases.expect("bought").count, 1);
    let before = get(&app, as_of(NOW - 31 * DAY)).await.expect_err("before the first event");
    assert_eq!(reason(&before), "CUSTOMER_NOT_FOUND");
    let future = get(&app, as_of(NOW + 1)).await.expect_err("the future");
    assert_eq!(
        (reason(&future).as_str(), fields(&status_of(&future))),
        ("INVALID_FIELD", vec!["as_of_time".to_owned()])
    );
}

#[tokio::test]
async fn an_etag_changes_with_the_profile_and_with_nothing_else() {
    let app = shop().await;
    let ann = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let before = get(&app, ann.clone()).await.expect("ann").etag;
    app.accept(vec![event("10", "bob", NOW, track("x"))]).await;
    assert_eq!(get(&app, ann.clone()).await.expect("ann").etag, before);
    app.accept(vec![event("11", "ann", NOW, track("x"))]).await;
    assert_ne!(get(&app, ann).await.expect("ann").etag, before);
}

#[tokio::test]
async fn a_batch_answers_each_customer_in_its_place() {
    let app = shop().await;
    let customers: Vec<pb::CustomerRef> = [
        user("ann"),
        user("nobody"),
        Some(pb::CustomerRef { customer: None }),
        user("bob"),
        Some(pb::CustomerRef {
            customer: Some(pb::customer_ref::Customer::Identifier(identifier("E-Mail", "ann@example.com"))),
        }),
        user("ann"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let request = pb::BatchGetProfilesRequest { customers, ..Default::default() };
    let answer = app.profiles().batch_get_profiles(request).await.expect("a batch").into_inner();
    let told: Vec<String> = answer
        .results
        .into_iter()
        .map(|result| match result.result.expect("one of the two") {
            Outcome::Profile(profile) => profile.identifiers[0].value.clone(),
            Outcome::Error(error) => item_reason(&error),
        })
        .collect();
    assert_eq!(told, ["ann", "CUSTOMER_NOT_FOUND", "INVALID_FIELD", "bob", "IDENTIFIER_INVALID", "ann"]);
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused() {
    let app = TestApp::start().await;
    let mut customers = vec![user("ann").expect("a reference"); 1_000];
    customers.push(pb::CustomerRef { customer: None });
    let request = pb::BatchGetProfilesRequest { customers, ..Default::default() };
    let refused = app.profiles().batch_get_profiles(request).await.expect_err("too many");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BATCH_TOO_LARGE"));
}

#[tokio::test]
async fn what_does_not_fit_into_a_batch_says_so_in_its_place() {
    let app = TestApp::start().await;
    let large = |n: usize| {
        let traits = (0..30).map(|key| (format!("k{key}"), text(&"x".repeat(1_000)))).collect();
        let traits = Some(prost_types::Struct { fields: traits });
        let identify = pb::event::Payload::Identify(pb::Identify { traits, traits_once: None });
        event(&n.to_string(), &format!("u{n}"), NOW, identify)
    };
    for batch in [0..100, 100..200] {
        app.accept(batch.map(large).collect()).await;
    }
    let customers = (0..200).filter_map(|n| user(&format!("u{n}"))).collect();
    let request = pb::BatchGetProfilesRequest { customers, ..Default::default() };
    let results = app.profiles().batch_get_profiles(request).await.expect("below 4 MiB").into_inner().results;
    let told: Vec<Option<String>> = results
        .into_iter()
        .map(|result| match result.result.expect("one of the two") {
            Outcome::Profile(_) => None,
            Outcome::Error(error) => Some(item_reason(&error)),
        })
        .collect();
    let fit = told.iter().position(Option::is_some).expect("not all fit");
    assert!((50..150).contains(&fit), "{fit}");
    assert!(told[fit..].iter().all(|reason| reason.as_deref() == Some("RESPONSE_TOO_LARGE")));
}

#[tokio::test]
async fn the_list_walks_through_everyone_once_in_pages() {
    let app = TestApp::start().await;
    app.accept((0..7).map(|n| event(&n.to_string(), &format!("u{n}"), NOW, track("x"))).collect()).await;
    let mut request = pb::ListProfilesRequest { page_size: 3, read_mask: mask(&["identifiers"]), ..Default::default() };
    let mut pages = Vec::new();
    loop {
        let page = app.profiles().list_profiles(request.clone()).await.expect("a page").into_inner();
        let names: Vec<String> = page.profiles.iter().map(|profile| profile.identifiers[0].value.clone()).collect();
        pages.push(names);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 1]);
    let mut names = pages.concat();
    names.sort();
    assert_eq!(names, (0..7).map(|n| format!("u{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_size_below_nothing_and_a_made_up_token_are_refused() {
    let app = TestApp::start().await;
    let negative = pb::ListProfilesRequest { page_size: -1, ..Default::default() };
    let refused = app.profiles().list_profiles(negative).await.expect_err("negative");
    assert_eq!(
        (reason(&refused).as_str(), fields(&status_of(&refused))),
        ("INVALID_FIELD", vec!["page_size".to_owned()])
    );
    let made_up = pb::ListProfilesRequest { page_token: "0abc".to_owned(), ..Default::default() };
    let refused = app.profiles().list_profiles(made_up).await.expect_err("made up");
    assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn workspaces_do_not_see_each_other() {
    let app = shop().await;
    let mut elsewhere = pb::profile_service_client::ProfileServiceClient::new(app.wire_of("other"));
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let missing = elsewhere.get_profile(request).await.expect_err("another workspace");
    assert_eq!(reason(&missing), "CUSTOMER_NOT_FOUND");
}
