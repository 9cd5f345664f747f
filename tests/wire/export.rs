//! `PrivacyService.ExportCustomer`: everything about one customer, and nothing about another.

use rapport::rpc::pb;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{NOW, TestApp, data, event, purchase, reason, text, track, user};

async fn export(app: &TestApp, user_id: &str) -> Vec<Value> {
    let request = pb::ExportCustomerRequest { customer: user(user_id), ..Default::default() };
    let mut stream = app.privacy().export_customer(request).await.expect("a stream").into_inner();
    let mut lines = Vec::new();
    while let Some(message) = stream.message().await.expect("whole") {
        assert!(!message.revision.is_empty());
        lines.extend(message.lines);
    }
    assert!(lines.iter().all(|line| !line.contains('\n')));
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What a line is about.
fn kind(line: &Value) -> &str {
    let fields: Vec<&String> = line.as_object().expect("an object").keys().collect();
    let [kind] = &fields[..] else { panic!("{line}") };
    kind
}

fn identify(plan: &str) -> pb::event::Payload {
    pb::event::Payload::Identify(pb::Identify { traits: data([("plan", text(plan))]), traits_once: None })
}

#[tokio::test]
async fn an_export_holds_everything_in_its_order_and_nothing_of_others() {
    let app = TestApp::start().await;
    app.accept(vec![
        event("e2", "ann", NOW - 60, purchase(9.5)),
        event("e1", "ann", NOW - 90, identify("pro")),
        event("e3", "bea", NOW - 80, track("seen")),
        event("e4", "zoe", NOW - 70, identify("of another")),
    ])
    .await;
    let consent = pb::RecordConsentRequest {
        customer: user("ann"),
        purpose: "marketing".to_owned(),
        state: pb::ConsentState::Denied.into(),
        source: "phone_desk".to_owned(),
        proof: "form 7".to_owned(),
        ..Default::default()
    };
    app.privacy().record_consent(consent).await.expect("recorded");
    let request = pb::MergeProfilesRequest {
        target: user("ann"),
        sources: user("bea").into_iter().collect(),
        reason: "one person".to_owned(),
        ..Default::default()
    };
    app.profiles().merge_profiles(request).await.expect("merged");

    let lines = export(&app, "bea").await;
    let kinds: Vec<&str> = lines.iter().map(kind).collect();
    assert_eq!(kinds, ["profile", "consent", "merge", "prediction", "event", "event", "event"]);
    let profile = &lines[0]["profile"];
    assert_eq!(profile["traits"], json!({"plan": "pro"}));
    assert_eq!(profile["traitSources"]["plan"]["source"], "test");
    assert_eq!(profile["purchases"]["revenue"], 9.5);
    assert_eq!(profile["identifiers"].as_array().map(Vec::len), Some(2));
    assert_eq!(lines[1]["consent"]["proof"], "form 7");
    assert_eq!(lines[1]["consent"]["state"], "CONSENT_STATE_DENIED");
    assert_eq!(lines[2]["merge"]["operator"]["reason"], "one person");
    assert!(lines[3]["prediction"]["effort"].is_object());
    let events: Vec<&Value> = lines[4..].iter().map(|line| &line["event"]["eventId"]).collect();
    assert_eq!(events, ["e1", "e3", "e2"]);
    assert_eq!(lines[6]["event"]["purchase"]["revenue"], 9.5);
    let all = serde_json::to_string(&lines).expect("JSON");
    assert!(!all.contains("of another") && !all.contains("zoe"));
}

#[tokio::test]
async fn a_customer_who_refuses_everything_can_still_have_their_data() {
    let app = TestApp::start().await;
    app.accept(vec![event("e1", "ann", NOW - 90, track("seen"))]).await;
    let consent = pb::RecordConsentRequest {
        customer: user("ann"),
        purpose: "service".to_owned(),
        state: pb::ConsentState::Denied.into(),
        source: "letter".to_owned(),
        ..Default::default()
    };
    app.privacy().record_consent(consent).await.expect("recorded");
    assert_eq!(export(&app, "ann").await.len(), 4);
}

#[tokio::test]
async fn a_long_history_comes_in_several_messages() {
    let app = TestApp::start().await;
    let page = |number: i64| {
        let properties = data([("text", text(&"x".repeat(1_000)))]);
        let payload = pb::event::Payload::Track(pb::Track { name: "read".to_owned(), properties });
        event(&format!("e{number:04}"), "ann", NOW - 5_000 + number, payload)
    };
    app.accept((0..700).map(page).collect()).await;
    let lines = export(&app, "ann").await;
    let events: Vec<&Value> = lines.iter().filter(|line| kind(line) == "event").collect();
    assert_eq!(events.len(), 700);
    assert!(events.is_sorted_by_key(|line| line["event"]["eventId"].as_str()));
}

#[tokio::test]
async fn an_unknown_customer_has_no_export() {
    let app = TestApp::start().await;
    let request = pb::ExportCustomerRequest { customer: user("nobody"), ..Default::default() };
    let refused = app.privacy().export_customer(request).await.expect_err("unknown");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
}
