//! `EventService`.

use pb::event::Payload;
use rapport::rpc::pb;
use rapport::store::embedded::{EmbeddedStore, Options};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use crate::support::{
    NOW, TestApp, contact, data, event, fields, identifier, item_reason, number, purchase, reason, status_of, text,
    track, user,
};

fn one_of_each() -> Vec<pb::Event> {
    let survey = pb::SurveyResponse {
        kind: pb::SurveyKind::Nps.into(),
        score: Some(9.0),
        comment: "fine".to_owned(),
        case_id: String::new(),
    };
    let subscription = pb::SubscriptionChange {
        status: pb::SubscriptionStatus::Active.into(),
        plan: "pro".to_owned(),
        monthly_amount: 12.5,
        currency: "eur".to_owned(),
    };
    let view = pb::PageView { name: "pricing".to_owned(), url: "https://example.com".to_owned(), properties: None };
    let traits = data([("plan", text("pro")), ("seats", number(3.0))]);
    let identify = pb::Identify { traits, traits_once: data([("campaign", text("spring"))]) };
    let payloads = [
        Payload::Identify(identify),
        track("search"),
        Payload::PageView(view),
        purchase(59.9),
        contact(pb::ContactKind::Opened, "C1"),
        Payload::SurveyResponse(survey),
        Payload::SubscriptionChange(subscription),
    ];
    let events = payloads.into_iter().zip(0..);
    events.map(|(payload, hour)| event(&format!("e{hour}"), "ann", NOW - 86_400 + hour * 3_600, payload)).collect()
}

#[tokio::test]
async fn every_kind_of_event_comes_back_as_it_was_sent_newest_first() {
    let app = TestApp::start().await;
    app.accept(one_of_each()).await;
    let request = pb::ListEventsRequest { customer: user("ann"), ..Default::default() };
    let page = app.events().list_events(request).await.expect("a page").into_inner();
    assert_eq!((page.next_page_token.as_str(), page.revision.is_empty()), ("", false));
    let mut sent = one_of_each();
    sent.reverse();
    let received = Some(prost_types::Timestamp { seconds: NOW, nanos: 0 });
    for event in &mut sent {
        event.received_time = received;
        event.event_time = event.original_time;
        match &mut event.payload {
            Some(Payload::SubscriptionChange(change)) => change.currency = "EUR".to_owned(),
            Some(Payload::Track(track)) => track.properties = data([]),
            Some(Payload::PageView(view)) => view.properties = data([]),
            _ => {}
        }
    }
    assert_eq!(page.events, sent);
}

#[tokio::test]
async fn what_only_the_server_sets_is_ignored_on_input() {
    let app = TestApp::start().await;
    let mut sent = event("e", "ann", NOW - 10, track("x"));
    sent.received_time = Some(prost_types::Timestamp { seconds: 1, nanos: -1 });
    sent.event_time = sent.received_time;
    sent.time_clamped = true;
    app.accept(vec![sent]).await;
    let request = pb::ListEventsRequest { customer: user("ann"), ..Default::default() };
    let page = app.events().list_events(request).await.expect("a page").into_inner();
    assert_eq!(page.events[0].event_time.map(|time| time.seconds), Some(NOW - 10));
    assert!(!page.events[0].time_clamped);
}

#[tokio::test]
async fn a_repeat_is_a_duplicate_and_another_content_under_its_id_is_refused() {
    let app = TestApp::start().await;
    let first = event("e", "ann", NOW, purchase(5.0));
    let accepted = app.ingest(vec![first.clone()]).await.remove(0);
    let mut again = first.clone();
    again.sent_time = Some(prost_types::Timestamp { seconds: NOW, nanos: 0 });
    let mut changed = first;
    changed.payload = Some(purchase(6.0));
    let results = app.ingest(vec![again, changed]).await;
    assert_eq!(results[0].status(), pb::EventStatus::Duplicate);
    assert_eq!(results[0].profile_id, accepted.profile_id);
    assert_eq!(results[1].status(), pb::EventStatus::Rejected);
    let error = results[1].error.as_ref().expect("why");
    assert_eq!((Code::from(error.code), item_reason(error).as_str()), (Code::AlreadyExists, "EVENT_ID_REUSED"));
}

#[tokio::test]
async fn every_fault_of_an_event_is_named_with_its_path_and_the_others_are_accepted() {
    let app = TestApp::start().await;
    let lines = pb::LineItem { quantity: -1.0, unit_price: f64::NAN, ..Default::default() };
    let faulty = pb::Event {
        event_id: String::new(),
        source: "s".repeat(257),
        identifiers: vec![identifier("Not a type", "secret-value")],
        original_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        payload: Some(Payload::Purchase(pb::Purchase {
            revenue: f64::INFINITY,
            currency: "euros".to_owned(),
            items: vec![lines],
            ..Default::default()
        })),
        ..Default::default()
    };
    let results = app.ingest(vec![event("good", "ann", NOW, track("x")), faulty]).await;
    assert_eq!(results[0].status(), pb::EventStatus::Accepted);
    let error = results[1].error.as_ref().expect("why");
    assert_eq!(Code::from(error.code), Code::InvalidArgument);
    let expected = [
        "event_id",
        "identifiers[0]",
        "original_time",
        "purchase.currency",
        "purchase.items[0].quantity",
        "purchase.items[0].unit_price",
        "purchase.revenue",
        "source",
    ];
    assert_eq!(fields(error), expected.map(|field| format!("events[1].{field}")));
    assert!(!format!("{error:?}").contains("secret-value"));
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_and_not_guessed() {
    let app = TestApp::start().await;
    let survey = |kind: i32, score| Payload::SurveyResponse(pb::SurveyResponse { kind, score, ..Default::default() });
    let mut many_transfers = pb::SupportContact { transfers: -1, kind: 99, ..Default::default() };
    many_transfers.wait_seconds = f64::NAN;
    let cases = [
        (None, vec!["payload"]),
        (Some(survey(pb::SurveyKind::Nps.into(), None)), vec!["survey_response.score"]),
        (Some(survey(pb::SurveyKind::Csat.into(), Some(0.0))), vec!["survey_response.score"]),
        (Some(survey(0, Some(3.0))), vec!["survey_response.kind"]),
        (Some(survey(9, None)), vec!["survey_response.kind", "survey_response.score"]),
        (
            Some(Payload::SupportContact(many_transfers)),
            vec!["support_contact.kind", "support_contact.transfers", "support_contact.wait_seconds"],
        ),
        (Some(Payload::SubscriptionChange(pb::SubscriptionChange::default())), vec!["subscription_change.status"]),
        (
            Some(Payload::Identify(pb::Identify {
                traits: data([("k", prost_types::Value { kind: None })]),
                traits_once: None,
            })),
            vec!["identify.traits"],
        ),
    ];
    for (position, (payload, expected)) in cases.into_iter().enumerate() {
        let mut sent = event(&position.to_string(), "ann", NOW, track("x"));
        sent.payload = payload;
        let result = app.ingest(vec![sent]).await.remove(0);
        let error = result.error.unwrap_or_else(|| panic!("case {position} was accepted"));
        assert_eq!(item_reason(&error), "INVALID_FIELD");
        assert_eq!(fields(&error), expected.iter().map(|field| format!("events[0].{field}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_event_that_names_nobody_is_refused_with_a_reason_of_its_own() {
    let app = TestApp::start().await;
    let mut nobody = event("a", "ann", NOW, track("x"));
    nobody.identifiers.clear();
    let placeholder = event("b", "NULL", NOW, track("x"));
    for result in app.ingest(vec![nobody, placeholder]).await {
        assert_eq!(item_reason(&result.error.expect("why")), "IDENTIFIER_REQUIRED");
    }
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused_whole() {
    let app = TestApp::start().await;
    let events = vec![event("e", "ann", NOW, track("x")); 1_001];
    let refused = app.events().ingest_events(pb::IngestEventsRequest { events, validate_only: false }).await;
    let refused = refused.expect_err("too many");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BATCH_TOO_LARGE"));
    assert_eq!(fields(&status_of(&refused)), ["events"]);
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let missing = app.profiles().get_profile(request).await.expect_err("nothing was accepted");
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn a_batch_over_four_mebibytes_is_refused_whole() {
    let app = TestApp::start().await;
    let mut large = event("e", "ann", NOW, track("x"));
    large.channel = "x".repeat(5 << 20);
    let request = pb::IngestEventsRequest { events: vec![large], validate_only: false };
    let refused = app.events().ingest_events(request).await.expect_err("too large");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BATCH_TOO_LARGE"));
    assert_eq!(fields(&status_of(&refused)), ["events"]);
}

#[tokio::test]
async fn an_answer_about_a_thousand_faulty_events_fits_into_a_reply() {
    let app = TestApp::start().await;
    let lines = vec![pb::LineItem { quantity: -1.0, unit_price: f64::NAN, ..Default::default() }; 100];
    let faulty = Payload::Purchase(pb::Purchase { items: lines, ..Default::default() });
    let events = (0..1_000).map(|number| event(&number.to_string(), "ann", NOW, faulty.clone())).collect();
    let results = app.ingest(events).await;
    assert_eq!(results.len(), 1_000);
    for (position, result) in results.iter().enumerate() {
        let error = result.error.as_ref().expect("why");
        assert_eq!(item_reason(error), "INVALID_FIELD");
        let items = format!("events[{position}].purchase.items[");
        assert!(fields(error).iter().any(|field| field.starts_with(&items)), "{error:?}");
    }
    assert_eq!(fields(results[0].error.as_ref().expect("why")).len(), 200);
}

#[tokio::test]
async fn validation_alone_keeps_nothing() {
    let app = TestApp::start().await;
    let events = vec![event("e", "ann", NOW, track("x"))];
    let request = pb::IngestEventsRequest { events: events.clone(), validate_only: true };
    let answer = app.events().ingest_events(request).await.expect("validated").into_inner();
    assert_eq!(answer.results[0].status(), pb::EventStatus::Accepted);
    app.accept(events).await;
}

#[tokio::test]
async fn pages_of_a_timeline_continue_and_are_bound_to_their_arguments() {
    let app = TestApp::start().await;
    app.accept((0..5).map(|n| event(&n.to_string(), "ann", NOW - n, track("x"))).collect()).await;
    let mut request = pb::ListEventsRequest { customer: user("ann"), page_size: 2, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = app.events().list_events(request.clone()).await.expect("a page").into_inner();
        seen.extend(page.events.into_iter().map(|event| event.event_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    request.kinds = vec!["track".to_owned()];
    let refused = app.events().list_events(request).await.expect_err("other arguments");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test]
async fn a_page_ends_before_the_reply_grows_too_large() {
    let app = TestApp::start().await;
    let texts = (0..600).map(|n| {
        let words = pb::SupportContact { text: "x".repeat(8_000), ..Default::default() };
        event(&n.to_string(), "ann", NOW - n, Payload::SupportContact(words))
    });
    for batch in texts.collect::<Vec<_>>().chunks(300) {
        app.accept(batch.to_vec()).await;
    }
    let mut request = pb::ListEventsRequest { customer: user("ann"), page_size: 1_000, ..Default::default() };
    let first = app.events().list_events(request.clone()).await.expect("below 4 MiB").into_inner();
    assert!((300..600).contains(&first.events.len()), "{}", first.events.len());
    request.page_token = first.next_page_token;
    let second = app.events().list_events(request).await.expect("below 4 MiB").into_inner();
    assert_eq!(first.events.len() + second.events.len(), 600);
    assert_eq!(second.events[0].event_id, first.events.len().to_string());
    assert!(second.next_page_token.is_empty());
}

#[tokio::test]
async fn a_timeline_is_filtered_and_a_filter_that_cannot_be_one_is_refused() {
    let app = TestApp::start().await;
    app.accept(one_of_each()).await;
    let kinds = vec!["purchase".to_owned(), "track".to_owned()];
    let request = pb::ListEventsRequest { customer: user("ann"), kinds, ..Default::default() };
    let page = app.events().list_events(request).await.expect("a page").into_inner();
    assert_eq!(page.events.len(), 2);
    let time = Some(prost_types::Timestamp { seconds: NOW, nanos: 0 });
    let request = pb::ListEventsRequest {
        customer: user("ann"),
        kinds: vec!["purchase".to_owned(), "order".to_owned()],
        start_time: time,
        end_time: time,
        ..Default::default()
    };
    let refused = app.events().list_events(request).await.expect_err("no such kind");
    assert_eq!(reason(&refused), "INVALID_FIELD");
    assert_eq!(fields(&status_of(&refused)), ["end_time", "kinds[1]"]);
}

#[tokio::test]
async fn a_stream_answers_each_batch_in_order_and_ends_well() {
    let app = TestApp::start().await;
    let (batches, requests) = mpsc::channel(16);
    for sequence in 0..12 {
        let events = vec![event(&sequence.to_string(), "ann", NOW + sequence, track("x"))];
        let batch = pb::StreamEventsRequest { events, sequence: sequence * 10 };
        batches.try_send(batch).expect("room");
    }
    drop(batches);
    let answers = app.events().stream_events(ReceiverStream::new(requests)).await.expect("a stream");
    let mut answers = answers.into_inner();
    let mut durable = Vec::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        assert_eq!(answer.results[0].status(), pb::EventStatus::Accepted);
        assert_eq!(answer.results[0].event_id, (answer.durable_sequence / 10).to_string());
        assert_eq!(answer.credit, 8);
        durable.push(answer.durable_sequence);
    }
    assert_eq!(durable, (0..12).map(|sequence| sequence * 10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sequence_that_does_not_rise_ends_the_stream_and_what_came_before_stays() {
    let app = TestApp::start().await;
    for (first, second) in [(3, 3), (3, 2), (0, -1)] {
        let batch = |sequence: i64| {
            let events = vec![event(&format!("{first}-{second}"), "ann", NOW, track("x"))];
            pb::StreamEventsRequest { events, sequence }
        };
        let requests = tokio_stream::iter([batch(first), batch(second)]);
        let mut answers = app.events().stream_events(requests).await.expect("a stream").into_inner();
        assert_eq!(answers.message().await.expect("an answer").expect("an answer").durable_sequence, first);
        let refused = answers.message().await.expect_err("no rise");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(fields(&status_of(&refused)), ["sequence"]);
    }
}

#[tokio::test]
async fn a_stream_is_ended_with_unavailable_when_the_server_stops() {
    let mut app = TestApp::start().await;
    let (batches, requests) = mpsc::channel(1);
    let events = vec![event("e", "ann", NOW, track("x"))];
    batches.try_send(pb::StreamEventsRequest { events, sequence: 1 }).expect("room");
    let mut answers = app.events().stream_events(ReceiverStream::new(requests)).await.expect("a stream").into_inner();
    assert_eq!(answers.message().await.expect("an answer").expect("an answer").durable_sequence, 1);
    let stopped = app.stop();
    let ended = answers.message().await.expect_err("the server stops");
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    drop((batches, answers, app));
    stopped.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_about_one_customer_are_all_accepted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = EmbeddedStore::open(Options::new(directory.path(), [7; 16])).expect("opens");
    let app = TestApp::builder().store(store).start().await;
    let writers = (0..64).map(|writer| {
        let mut client = app.events();
        tokio::spawn(async move {
            let mut accepted = 0;
            for number in 0..5 {
                let event = event(&format!("{writer}-{number}"), "ann", NOW, track("step"));
                let request = pb::IngestEventsRequest { events: vec![event], validate_only: false };
                let results = client.ingest_events(request).await.expect("no conflict").into_inner().results;
                accepted += results.iter().filter(|result| result.status() == pb::EventStatus::Accepted).count();
            }
            accepted
        })
    });
    let mut accepted = 0;
    for writer in writers.collect::<Vec<_>>() {
        accepted += writer.await.expect("runs");
    }
    assert_eq!(accepted, 64 * 5);
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let profile = app.profiles().get_profile(request).await.expect("a profile").into_inner().profile;
    assert_eq!(profile.and_then(|profile| profile.activity).map(|activity| activity.events), Some(64 * 5));
}

#[tokio::test]
async fn a_phone_number_names_one_customer_however_it_is_written() {
    let app = TestApp::start().await;
    let phone = |value: &str| {
        Some(pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(identifier("phone", value))) })
    };
    let mut one = event("e1", "ann", NOW, track("call"));
    one.identifiers.push(identifier("phone", "+49 170 1234567"));
    app.accept(vec![one]).await;
    let request = pb::GetProfileRequest { customer: phone("+49 (170) 123-4567"), ..Default::default() };
    assert!(app.profiles().get_profile(request).await.is_ok());
    let request = pb::GetProfileRequest { customer: phone("0170 1234567"), ..Default::default() };
    let refused = app.profiles().get_profile(request).await.expect_err("no country");
    assert_eq!(reason(&refused), "IDENTIFIER_INVALID");
}
