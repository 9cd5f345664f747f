//! `AdminService`.

use rapport::rpc::pb;
use tonic::Code;

use crate::support::{NOW, TestApp, event, fields, purchase, reason, status_of, user};

const DAY: i64 = 86_400;

fn days(days: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: days * DAY, nanos: 0 })
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn contractual() -> pb::ChurnDefinition {
    pb::ChurnDefinition { kind: pb::ChurnKind::Contractual.into(), ..Default::default() }
}

async fn update(app: &TestApp, request: pb::UpdateSettingsRequest) -> Result<pb::Settings, tonic::Status> {
    Ok(app.admin().update_settings(request).await?.into_inner().settings.expect("settings"))
}

#[tokio::test]
async fn a_new_workspace_has_defaults() {
    let app = TestApp::start().await;
    let settings = app.admin().get_settings(pb::GetSettingsRequest::default()).await.expect("settings").into_inner();
    let settings = settings.settings.expect("settings");
    let churn = settings.churn.expect("churn");
    assert_eq!((churn.kind(), churn.horizon, churn.qualifying_events), (pb::ChurnKind::Inactivity, days(90), vec![]));
    assert_eq!(settings.currency, "");
}

#[tokio::test]
async fn without_a_mask_the_fields_that_are_present_change() {
    let app = TestApp::start().await;
    let settings = Some(pb::Settings { currency: "eur".to_owned(), ..Default::default() });
    update(&app, pb::UpdateSettingsRequest { settings, ..Default::default() }).await.expect("changed");
    let settings = Some(pb::Settings { churn: Some(contractual()), ..Default::default() });
    let now = update(&app, pb::UpdateSettingsRequest { settings, ..Default::default() }).await.expect("changed");
    let churn = now.churn.expect("churn");
    assert_eq!((churn.kind(), churn.horizon), (pb::ChurnKind::Contractual, days(90)));
    assert_eq!(now.currency, "EUR");
}

#[tokio::test]
async fn a_field_in_the_mask_that_is_absent_goes_back_to_its_default() {
    let app = TestApp::start().await;
    let churn = pb::ChurnDefinition { horizon: days(30), ..contractual() };
    let settings = Some(pb::Settings { churn: Some(churn), currency: "EUR".to_owned(), ..Default::default() });
    update(&app, pb::UpdateSettingsRequest { settings, ..Default::default() }).await.expect("changed");
    let request = pb::UpdateSettingsRequest { update_mask: mask(&["churn.horizon", "currency"]), ..Default::default() };
    let now = update(&app, request).await.expect("changed");
    let churn = now.churn.expect("churn");
    assert_eq!((churn.kind(), churn.horizon), (pb::ChurnKind::Contractual, days(90)));
    assert_eq!(now.currency, "");
}

#[tokio::test]
async fn every_fault_of_a_change_is_named() {
    let app = TestApp::start().await;
    let half_a_day = Some(prost_types::Duration { seconds: DAY / 2, nanos: 0 });
    let churn = pb::ChurnDefinition { kind: 9, horizon: half_a_day, qualifying_events: vec!["order".to_owned()] };
    let settings = Some(pb::Settings { churn: Some(churn), currency: "euros".to_owned(), ..Default::default() });
    let update_mask = mask(&["churn", "currency", "etag"]);
    let refused = update(&app, pb::UpdateSettingsRequest { settings, update_mask, ..Default::default() }).await;
    let refused = refused.expect_err("all wrong");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let expected = [
        "settings.churn.horizon",
        "settings.churn.kind",
        "settings.churn.qualifying_events[0]",
        "settings.currency",
        "update_mask.paths[2]",
    ];
    assert_eq!(fields(&status_of(&refused)), expected);
}

#[tokio::test]
async fn a_stale_etag_is_refused() {
    let app = TestApp::start().await;
    let settings =
        |etag: &str| Some(pb::Settings { currency: "EUR".to_owned(), etag: etag.to_owned(), ..Default::default() });
    let first = update(&app, pb::UpdateSettingsRequest { settings: settings(""), ..Default::default() }).await;
    let etag = first.expect("changed").etag;
    let again = pb::UpdateSettingsRequest { settings: settings(&etag), ..Default::default() };
    assert_ne!(update(&app, again.clone()).await.expect("the current one").etag, etag);
    let stale = update(&app, again).await.expect_err("not any more");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
}

#[tokio::test]
async fn a_named_request_is_carried_out_once() {
    let app = TestApp::start().await;
    let request = |currency: &str| pb::UpdateSettingsRequest {
        settings: Some(pb::Settings { currency: currency.to_owned(), ..Default::default() }),
        request_id: "r1".to_owned(),
        ..Default::default()
    };
    let first = update(&app, request("EUR")).await.expect("changed");
    let repeat = update(&app, request("EUR")).await.expect("the first response");
    assert_eq!(repeat, first);
    let other = update(&app, request("USD")).await.expect_err("another content");
    assert_eq!((other.code(), reason(&other).as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
}

#[tokio::test]
async fn purchases_are_shown_in_the_currency_of_the_workspace() {
    let app = TestApp::start().await;
    let mut dollars = purchase(7.0);
    let mut unnamed = purchase(5.0);
    for (payload, code) in [(&mut dollars, "USD"), (&mut unnamed, "")] {
        let pb::event::Payload::Purchase(purchase) = payload else { panic!("a purchase") };
        code.clone_into(&mut purchase.currency);
    }
    let events = [(purchase(3.0), 3), (dollars, 2), (unnamed, 1)]
        .map(|(paid, ago)| event(&ago.to_string(), "ann", NOW - ago, paid));
    app.accept(events.to_vec()).await;
    let revenue = async || {
        let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
        let profile = app.profiles().get_profile(request).await.expect("ann").into_inner().profile.expect("a profile");
        let purchases = profile.purchases.expect("bought");
        (purchases.currency, purchases.revenue, purchases.revenue_by_currency.len())
    };
    assert_eq!(revenue().await, ("EUR".to_owned(), 8.0, 2));
    let settings = Some(pb::Settings { currency: "USD".to_owned(), ..Default::default() });
    update(&app, pb::UpdateSettingsRequest { settings, ..Default::default() }).await.expect("changed");
    assert_eq!(revenue().await, ("USD".to_owned(), 12.0, 2));
}

#[tokio::test]
async fn the_server_tells_what_runs_and_how_much_it_holds() {
    let app = TestApp::start().await;
    app.accept(vec![event("1", "ann", NOW, purchase(1.0)), event("2", "bob", NOW, purchase(1.0))]).await;
    let info = app.admin().get_server_info(pb::GetServerInfoRequest::default()).await.expect("info").into_inner();
    assert_eq!((info.version.as_str(), info.store.as_str()), (env!("CARGO_PKG_VERSION"), "memory"));
    assert_eq!((info.profiles, info.events), (2, 2));
    assert_eq!(info.start_time.map(|time| time.seconds), Some(NOW));
}
