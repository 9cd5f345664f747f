//! Who is who: merges, their end, and the rules behind them.

use std::collections::BTreeSet;

use pb::event::Payload;
use rapport::rpc::pb;
use rapport::store::embedded::{EmbeddedStore, Options};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::{
    NOW, TestApp, data, event, fields, identifier, item_reason, number, purchase, reason, status_of, text, track, user,
};

use crate::training::{shop, train};

const DAY: i64 = 86_400;

fn named(kind: &str, value: &str) -> Option<pb::CustomerRef> {
    let customer = pb::customer_ref::Customer::Identifier(identifier(kind, value));
    Some(pb::CustomerRef { customer: Some(customer) })
}

/// An event with these identifiers, `days` ago.
fn seen(id: &str, identifiers: &[(&str, &str)], days: i64, payload: Payload) -> pb::Event {
    let identifiers = identifiers.iter().map(|(kind, value)| identifier(kind, value)).collect();
    pb::Event { identifiers, ..event(id, "", NOW - days * DAY, payload) }
}

fn plan(plan: &str) -> Payload {
    Payload::Identify(pb::Identify { traits: data([("plan", text(plan))]), traits_once: None })
}

async fn get(app: &TestApp, customer: Option<pb::CustomerRef>) -> pb::Profile {
    let request = pb::GetProfileRequest { customer, ..Default::default() };
    app.profiles().get_profile(request).await.expect("a customer").into_inner().profile.expect("a profile")
}

async fn merge(app: &TestApp, target: &str, sources: &[&str]) -> pb::MergeProfilesResponse {
    let (target, sources) = (user(target), sources.iter().filter_map(|source| user(source)).collect());
    let request = pb::MergeProfilesRequest { target, sources, ..Default::default() };
    app.profiles().merge_profiles(request).await.expect("merges").into_inner()
}

async fn unmerge(app: &TestApp, merge_id: &str) -> Result<pb::UnmergeProfilesResponse, tonic::Status> {
    let request = pb::UnmergeProfilesRequest { merge_id: merge_id.to_owned(), ..Default::default() };
    Ok(app.profiles().unmerge_profiles(request).await?.into_inner())
}

async fn merges_of(app: &TestApp, customer: Option<pb::CustomerRef>) -> Vec<pb::MergeRecord> {
    let request = pb::ListMergesRequest { customer, ..Default::default() };
    app.profiles().list_merges(request).await.expect("a list").into_inner().merges
}

async fn timeline(app: &TestApp, customer: Option<pb::CustomerRef>) -> Vec<String> {
    let request = pb::ListEventsRequest { customer, ..Default::default() };
    let events = app.events().list_events(request).await.expect("a timeline").into_inner().events;
    events.into_iter().map(|event| event.event_id).collect()
}

/// What must be the same before a merge and after its end.
fn lasting(profile: pb::Profile) -> pb::Profile {
    pb::Profile { etag: String::new(), update_time: None, ..profile }
}

async fn two_customers() -> TestApp {
    let app = TestApp::start().await;
    let events = vec![
        seen("a1", &[("user_id", "ann"), ("email", "ann@b.c")], 9, plan("free")),
        seen("a2", &[("user_id", "ann")], 7, purchase(50.0)),
        seen("b1", &[("user_id", "bob"), ("phone", "+49 170 1234567")], 8, plan("pro")),
        seen("b2", &[("user_id", "bob")], 6, purchase(30.0)),
    ];
    app.accept(events).await;
    app
}

#[tokio::test]
async fn a_merge_keeps_properties_and_moves_history_and_counts_add_up() {
    let app = two_customers().await;
    let bob = get(&app, user("bob")).await.profile_id;
    let merged = merge(&app, "ann", &["bob"]).await;
    let ann = get(&app, user("ann")).await;
    assert_eq!(merged.profile, Some(ann.clone()));
    assert_eq!(ann.traits, data([("plan", text("pro"))]), "the later statement holds");
    assert_eq!(ann.activity.as_ref().map(|activity| activity.events), Some(4));
    assert_eq!(ann.purchases.as_ref().map(|purchases| (purchases.count, purchases.revenue)), Some((2, 80.0)));
    assert_eq!(timeline(&app, user("bob")).await, ["b2", "a2", "b1", "a1"]);
    for customer in [user("bob"), named("phone", "+491701234567"), named("email", "ann@b.c")] {
        assert_eq!(get(&app, customer).await, ann);
    }
    let [outcome] = merged.outcomes.as_slice() else { panic!("{:?}", merged.outcomes) };
    assert_eq!(outcome.profile_id, bob);
    assert_eq!(outcome.identifiers.len(), 2);
    assert_eq!((outcome.winning_traits.as_slice(), outcome.losing_traits.len()), (["plan".to_owned()].as_slice(), 0));
    let by_old_id = Some(pb::CustomerRef { customer: Some(pb::customer_ref::Customer::ProfileId(bob)) });
    assert_eq!(get(&app, by_old_id).await, ann);
}

#[tokio::test]
async fn an_unmerge_restores_both_sides_as_they_were() {
    let app = two_customers().await;
    let before = [get(&app, user("ann")).await, get(&app, user("bob")).await].map(lasting);
    let merged = merge(&app, "ann", &["bob"]).await;
    let answer = unmerge(&app, &merged.merge_id).await.expect("undone");
    let after = [get(&app, user("ann")).await, get(&app, user("bob")).await];
    assert_eq!(answer.profiles, after);
    assert_eq!(after.map(lasting), before);
    let undone = unmerge(&app, &merged.merge_id).await.expect_err("undone before");
    assert_eq!((undone.code(), reason(&undone)), (Code::FailedPrecondition, "MERGE_UNDONE".to_owned()));
}

#[tokio::test]
async fn events_that_came_since_a_merge_go_back_by_the_identifiers_that_they_carry() {
    let app = two_customers().await;
    let merged = merge(&app, "ann", &["bob"]).await;
    let events = vec![
        seen("c1", &[("user_id", "bob"), ("email", "rob@b.c")], 5, track("seen")),
        seen("c2", &[("email", "rob@b.c")], 4, plan("gold")),
        seen("c3", &[("user_id", "ann")], 3, track("seen")),
        seen("c4", &[("user_id", "ann"), ("phone", "+491701234567")], 2, track("both")),
    ];
    app.accept(events).await;
    unmerge(&app, &merged.merge_id).await.expect("undone");
    assert_eq!(timeline(&app, user("ann")).await, ["c4", "c3", "a2", "a1"]);
    assert_eq!(timeline(&app, user("bob")).await, ["c2", "c1", "b2", "b1"]);
    assert_eq!(get(&app, user("bob")).await.traits, data([("plan", text("gold"))]));
    assert_eq!(get(&app, user("ann")).await.traits, data([("plan", text("free"))]));
    let rob = get(&app, named("email", "rob@b.c")).await;
    assert_eq!(rob, get(&app, user("bob")).await, "an identifier that was freed belongs to one side");
    let repeat = app.ingest(vec![seen("c2", &[("email", "rob@b.c")], 4, plan("gold"))]).await;
    assert_eq!((repeat[0].status(), &repeat[0].profile_id), (pb::EventStatus::Duplicate, &rob.profile_id));
}

#[tokio::test]
async fn a_customer_who_merged_later_stays_with_the_side_that_they_are_linked_to() {
    let app = two_customers().await;
    app.accept(vec![seen("v1", &[("anonymous_id", "v")], 5, track("seen"))]).await;
    let merged = merge(&app, "ann", &["bob"]).await;
    app.accept(vec![seen("v2", &[("phone", "+491701234567"), ("anonymous_id", "v")], 4, track("seen"))]).await;
    let ann = get(&app, user("ann")).await;
    assert_eq!(ann, get(&app, named("anonymous_id", "v")).await);
    unmerge(&app, &merged.merge_id).await.expect("undone");
    let visitor = get(&app, named("anonymous_id", "v")).await;
    assert_eq!(visitor, get(&app, user("bob")).await);
    assert_eq!(timeline(&app, user("bob")).await, ["v2", "v1", "b2", "b1"]);
    assert_eq!(timeline(&app, user("ann")).await, ["a2", "a1"]);

    let records = merges_of(&app, user("bob")).await;
    let causes: Vec<bool> =
        records.iter().map(|record| matches!(record.cause, Some(pb::merge_record::Cause::Event(_)))).collect();
    assert_eq!(causes, [true, false], "newest first");
    assert_eq!(records.iter().map(|record| record.undo_time.is_some()).collect::<Vec<_>>(), [false, true]);
    let by_event = unmerge(&app, &records[0].merge_id).await.expect("an event's merge can be undone too");
    assert_eq!(by_event.profiles.len(), 2);
    assert_eq!(timeline(&app, named("anonymous_id", "v")).await, ["v1"]);
}

#[tokio::test]
async fn a_preview_says_what_would_come_of_it_and_keeps_nothing() {
    let app = two_customers().await;
    let before = get(&app, user("ann")).await;
    let (target, sources) = (user("ann"), user("bob").into_iter().collect());
    let request = pb::MergeProfilesRequest { target, sources, validate_only: true, ..Default::default() };
    let preview = app.profiles().merge_profiles(request).await.expect("a preview").into_inner();
    assert_eq!((preview.merge_id.as_str(), preview.outcomes.len()), ("", 1));
    assert_eq!(preview.profile.and_then(|profile| profile.activity).map(|activity| activity.events), Some(4));
    assert_eq!(get(&app, user("ann")).await, before);
    assert_eq!(merges_of(&app, user("ann")).await, []);

    let merge_id = merge(&app, "ann", &["bob"]).await.merge_id;
    let request = pb::UnmergeProfilesRequest { merge_id: merge_id.clone(), validate_only: true, ..Default::default() };
    let preview = app.profiles().unmerge_profiles(request).await.expect("a preview").into_inner();
    assert_eq!(preview.profiles.len(), 2);
    assert_eq!(get(&app, user("ann")).await, get(&app, user("bob")).await);
    unmerge(&app, &merge_id).await.expect("a preview undoes nothing");
}

#[tokio::test]
async fn a_merge_is_repeated_safely_by_its_request_id() {
    let app = two_customers().await;
    let request = |source: &str| pb::MergeProfilesRequest {
        target: user("ann"),
        sources: user(source).into_iter().collect(),
        request_id: "merge-1".to_owned(),
        ..Default::default()
    };
    let first = app.profiles().merge_profiles(request("bob")).await.expect("merges").into_inner();
    let again = app.profiles().merge_profiles(request("bob")).await.expect("answers").into_inner();
    assert_eq!((again.merge_id, again.revision), (first.merge_id.clone(), first.revision));
    let other = app.profiles().merge_profiles(request("eve")).await.expect_err("another request");
    assert_eq!((other.code(), reason(&other)), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
    let undo =
        pb::UnmergeProfilesRequest { merge_id: first.merge_id, request_id: "u".to_owned(), validate_only: false };
    let first = app.profiles().unmerge_profiles(undo.clone()).await.expect("undone").into_inner();
    assert_eq!(app.profiles().unmerge_profiles(undo).await.expect("answers").into_inner(), first);
}

#[tokio::test]
async fn a_merge_that_must_not_be_is_refused_and_changes_nothing() {
    let app = two_customers().await;
    let emails: Vec<pb::Event> = (0..5)
        .map(|n| seen(&format!("e{n}"), &[("user_id", "bob"), ("email", &format!("{n}@b.c"))], 1, track("seen")))
        .collect();
    app.accept(emails).await;
    let before = [get(&app, user("ann")).await, get(&app, user("bob")).await];
    let sources = |names: &[&str]| names.iter().filter_map(|name| user(name)).collect::<Vec<_>>();
    let refused = |request: pb::MergeProfilesRequest| async {
        let status = app.profiles().merge_profiles(request).await.expect_err("refused");
        (status.code(), reason(&status), fields(&status_of(&status)))
    };
    let request = pb::MergeProfilesRequest { target: user("ann"), ..Default::default() };
    let with = |names: &[&str]| pb::MergeProfilesRequest { sources: sources(names), ..request.clone() };
    let invalid = |field: &str| (Code::InvalidArgument, "INVALID_FIELD".to_owned(), vec![field.to_owned()]);
    assert_eq!(refused(request.clone()).await, invalid("sources"));
    assert_eq!(refused(with(&["ann"])).await, invalid("sources[0]"));
    assert_eq!(refused(with(&["bob", "bob"])).await, invalid("sources[1]"));
    let (code, reason_of, _) = refused(with(&["nobody"])).await;
    assert_eq!((code, reason_of), (Code::NotFound, "CUSTOMER_NOT_FOUND".to_owned()));
    let (code, reason_of, _) = refused(with(&["bob"])).await;
    assert_eq!((code, reason_of), (Code::FailedPrecondition, "IDENTIFIER_LIMIT_REACHED".to_owned()));
    let stale = pb::MergeProfilesRequest { etag: "1".to_owned(), ..with(&["bob"]) };
    assert_eq!(refused(stale).await.0, Code::Aborted);
    let unknown = unmerge(&app, "no-merge").await.expect_err("unknown");
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, "MERGE_NOT_FOUND".to_owned()));
    assert_eq!([get(&app, user("ann")).await, get(&app, user("bob")).await], before);
}

#[tokio::test]
async fn a_merge_that_would_make_a_customer_too_large_for_a_reply_is_refused() {
    let app = TestApp::start().await;
    let large = |who: &str, batch: usize| {
        let traits = (0..90).map(|key| (format!("{who} {batch} {key}"), text(&"x".repeat(300)))).collect();
        let traits = Some(prost_types::Struct { fields: traits });
        let payload = Payload::Identify(pb::Identify { traits, traits_once: None });
        let device = format!("device of {who}");
        seen(&format!("{who}{batch}"), &[("user_id", who), ("device_id", &device)], 9, payload)
    };
    for who in ["ann", "bob"] {
        app.accept((0..5).map(|batch| large(who, batch)).collect()).await;
    }
    let before = [get(&app, user("ann")).await, get(&app, user("bob")).await];
    let sources = user("bob").into_iter().collect();
    let request = pb::MergeProfilesRequest { target: user("ann"), sources, ..Default::default() };
    let status = app.profiles().merge_profiles(request).await.expect_err("refused");
    assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, "TRAIT_LIMIT_REACHED".to_owned()));
    assert_eq!([get(&app, user("ann")).await, get(&app, user("bob")).await], before);

    let visits = (0..5).map(|batch| {
        let event = large("visitor", batch);
        pb::Event { identifiers: vec![identifier("device_id", "visitor")], ..event }
    });
    app.accept(visits.collect()).await;
    app.accept(vec![seen("login", &[("user_id", "ann"), ("device_id", "visitor")], 1, track("login"))]).await;
    assert_eq!(timeline(&app, user("ann")).await.len(), 6, "the event is kept, and does not merge");
    assert_eq!(timeline(&app, named("device_id", "visitor")).await.len(), 5);
}

#[tokio::test]
async fn a_sender_that_makes_up_types_of_identifiers_without_end_is_bounded() {
    let app = TestApp::start().await;
    let made_up = |number: usize| {
        let kinds: Vec<String> = (0..19).map(|place| format!("type_{number}_{place}")).collect();
        let kinds = kinds.iter().map(|kind| (kind.as_str(), "1"));
        let identifiers: Vec<(&str, &str)> = [("user_id", "ann")].into_iter().chain(kinds).collect();
        seen(&number.to_string(), &identifiers, 1, track("seen"))
    };
    app.accept((0..60).map(made_up).collect()).await;
    let ann = get(&app, user("ann")).await;
    assert_eq!((ann.identifiers.len(), ann.activity.map(|activity| activity.events)), (1_000, Some(60)));
}

#[tokio::test]
async fn a_shared_tablet_moves_to_who_logs_in_and_its_past_stays() {
    let app = TestApp::start().await;
    let of = |id: &str, user: &str, days| seen(id, &[("user_id", user), ("device_id", "tablet")], days, track("seen"));
    app.accept(vec![of("1", "ann", 9), of("2", "bob", 5), of("3", "ann", 7)]).await;
    app.accept(vec![seen("4", &[("device_id", "tablet")], 1, track("seen"))]).await;
    assert_eq!(timeline(&app, user("bob")).await, ["4", "2"]);
    assert_eq!(timeline(&app, user("ann")).await, ["3", "1"]);
    assert_eq!(get(&app, named("device_id", "tablet")).await, get(&app, user("bob")).await);
}

#[tokio::test]
async fn two_rules_are_both_applied_to_later_events() {
    let app = TestApp::start().await;
    let rule = |kind: &str, limit| pb::IdentifierRule { r#type: kind.to_owned(), limit, ..Default::default() };
    let blocked_values = vec!["till@shop.de".to_owned()];
    let rules = vec![pb::IdentifierRule { blocked_values, ..rule("email", 1) }, rule("loyalty_id", 1)];
    let update = |rules, validate_only| pb::UpdateIdentityRulesRequest {
        rules: Some(pb::IdentityRules { rules, etag: String::new() }),
        validate_only,
        ..Default::default()
    };
    app.profiles().update_identity_rules(update(rules, false)).await.expect("rules");
    let two = |id: &str, email: &str, card: &str| {
        seen(id, &[("user_id", "ann"), ("email", email), ("loyalty_id", card)], 1, track("seen"))
    };
    app.accept(vec![two("1", "a@b.c", "c1"), two("2", "x@b.c", "c2"), two("3", "Till@shop.de", "c1")]).await;
    let known: Vec<String> = get(&app, user("ann")).await.identifiers.into_iter().map(|known| known.value).collect();
    assert_eq!(known, ["ann", "a@b.c", "c1"]);

    let read = app.profiles().get_identity_rules(pb::GetIdentityRulesRequest::default()).await.expect("rules");
    let rules = read.into_inner().rules.expect("rules").rules;
    let limits: Vec<(&str, i32)> = rules.iter().map(|rule| (rule.r#type.as_str(), rule.limit)).collect();
    let expected = [
        ("user_id", 1),
        ("crm:*", 5),
        ("email", 1),
        ("phone", 5),
        ("loyalty_id", 1),
        ("*", 5),
        ("device_id", 50),
        ("anonymous_id", 50),
    ];
    assert_eq!(limits, expected);

    let patterns = vec!["(".to_owned(), "x".repeat(300)];
    let bad = pb::IdentifierRule { priority: -1, blocked_patterns: patterns, ..rule("E-Mail", 5_000) };
    let refused =
        app.profiles().update_identity_rules(update(vec![bad, rule("phone", 1), rule("phone", 2)], false)).await;
    let paths = fields(&status_of(&refused.expect_err("refused")));
    let expected = [
        "rules.rules[0].blocked_patterns[0]",
        "rules.rules[0].blocked_patterns[1]",
        "rules.rules[0].limit",
        "rules.rules[0].priority",
        "rules.rules[0].type",
        "rules.rules[2].type",
    ];
    assert_eq!(paths, expected);
}

#[tokio::test]
async fn a_national_phone_number_names_a_customer_where_the_region_is_known() {
    let app = TestApp::start().await;
    let calls = |id: &str| seen(id, &[("phone", "0170 1234567")], 1, track("called"));
    let nobody = app.ingest(vec![calls("1")]).await.remove(0);
    assert_eq!(item_reason(&nobody.error.expect("an error")), "IDENTIFIER_REQUIRED");
    let settings = pb::Settings { default_phone_region: "DE".to_owned(), ..Default::default() };
    let update = pb::UpdateSettingsRequest { settings: Some(settings), ..Default::default() };
    app.admin().update_settings(update).await.expect("settings");
    app.accept(vec![calls("2"), seen("3", &[("phone", "+49 170 1234567")], 1, track("called"))]).await;
    for written in ["0170/1234567", "+491701234567"] {
        assert_eq!(timeline(&app, named("phone", written)).await.len(), 2);
    }
    let settings = pb::Settings { default_phone_region: "Germany".to_owned(), ..Default::default() };
    let update = pb::UpdateSettingsRequest { settings: Some(settings), ..Default::default() };
    let refused = app.admin().update_settings(update).await.expect_err("refused");
    assert_eq!(fields(&status_of(&refused)), ["settings.default_phone_region"]);
}

#[tokio::test]
async fn what_a_customer_was_is_the_same_before_and_after_a_merge_and_its_end() {
    let app = two_customers().await;
    let then = |customer| pb::GetProfileRequest {
        customer,
        as_of_time: Some(prost_types::Timestamp { seconds: NOW - 8 * DAY, nanos: 0 }),
        ..Default::default()
    };
    let past = |customer| async {
        app.profiles().get_profile(then(customer)).await.expect("a past").into_inner().profile.expect("a profile")
    };
    let before = [lasting(past(user("ann")).await), lasting(past(user("bob")).await)];
    let merged = merge(&app, "ann", &["bob"]).await;
    let both = past(user("ann")).await;
    assert_eq!(both.activity.map(|activity| activity.events), Some(2));
    assert_eq!(both.identifiers.len(), 4);
    app.accept(vec![seen("a3", &[("user_id", "ann"), ("loyalty_id", "new")], 1, track("seen"))]).await;
    assert_eq!(past(user("ann")).await.identifiers.len(), 4, "what came later was not known then");
    unmerge(&app, &merged.merge_id).await.expect("undone");
    assert_eq!([lasting(past(user("ann")).await), lasting(past(user("bob")).await)], before);
}

#[tokio::test]
async fn what_was_refused_can_be_looked_up_with_its_reason() {
    let app = TestApp::start().await;
    let refused = vec![
        pb::Event { payload: None, ..seen("1", &[("user_id", "ann")], 1, track("seen")) },
        seen("2", &[("user_id", "null")], 1, track("seen")),
        seen("3", &[("user_id", "ann"), ("email", "unknown"), ("phone", "12")], 1, track("seen")),
    ];
    app.ingest(refused).await;
    app.accept(vec![seen("4", &[("user_id", "bob"), ("device_id", "d")], 1, track("seen"))]).await;
    app.accept(vec![seen("5", &[("user_id", "ann"), ("device_id", "d")], 2, track("seen"))]).await;
    let list = |page_size, page_token: String| {
        let mut events = app.events();
        async move {
            let request = pb::ListRejectionsRequest { page_size, page_token, ..Default::default() };
            events.list_rejections(request).await.expect("a list").into_inner()
        }
    };
    let all = list(0, String::new()).await;
    assert_eq!(all.next_page_token, "");
    let found: Vec<_> = all.rejections.iter().map(|found| (found.event_id.as_str(), found.reason())).collect();
    use pb::RejectionReason as Why;
    let of_first = [
        ("1", Why::InvalidField),
        ("2", Why::IdentifierRequired),
        ("3", Why::IdentifierBlocked),
        ("3", Why::IdentifierInvalid),
    ];
    // Both requests came at the same moment of a clock that stands still; the later one has the higher id.
    assert_eq!(found, [&of_first[..], &[("5", Why::DeviceMoved)]].concat());
    assert_eq!(all.rejections[0].fields, ["events[0].payload"]);
    assert_eq!(all.rejections[2].identifier, Some(identifier("email", "unknown")));
    assert_eq!(all.rejections[2].profile_id, get(&app, user("ann")).await.profile_id);
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(2, token).await;
        paged.extend(page.rejections);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all.rejections);
}

#[tokio::test]
async fn a_change_of_rules_is_rehearsed_on_the_customers_of_today_and_moves_nobody() {
    let app = TestApp::start().await;
    let card = |id: &str, card: &str| seen(id, &[("loyalty_id", card), ("email", "till@shop.de")], 1, track("bought"));
    app.accept(vec![card("1", "c1"), card("2", "c2"), seen("3", &[("user_id", "ann")], 1, track("seen"))]).await;
    let blocked_values = vec!["till@shop.de".to_owned()];
    let rule = pb::IdentifierRule { r#type: "email".to_owned(), blocked_values, ..Default::default() };
    let rules = Some(pb::IdentityRules { rules: vec![rule], etag: String::new() });
    let request =
        |validate_only| pb::UpdateIdentityRulesRequest { rules: rules.clone(), validate_only, ..Default::default() };
    let before = get(&app, named("loyalty_id", "c1")).await;
    let answer = app.profiles().update_identity_rules(request(true)).await.expect("a preview").into_inner();
    let preview = answer.preview.expect("a preview");
    assert_eq!((preview.profiles, preview.complete, preview.splits, preview.merges), (2, true, 1, 0));
    assert_eq!(preview.split_samples, std::slice::from_ref(&before.profile_id));
    let changed = app.profiles().update_identity_rules(request(false)).await.expect("rules").into_inner();
    assert_eq!(changed.preview, None);
    assert_eq!(get(&app, named("loyalty_id", "c2")).await, before);
}

#[tokio::test]
async fn of_two_statements_of_the_same_moment_the_source_that_counts_more_holds_and_says_so() {
    let app = TestApp::start().await;
    let settings = pb::Settings { source_priorities: [("crm".to_owned(), 5)].into(), ..Default::default() };
    let update = pb::UpdateSettingsRequest { settings: Some(settings), ..Default::default() };
    app.admin().update_settings(update).await.expect("settings");
    let says = |source: &str, value: &str| {
        let event = seen(value, &[("user_id", "ann")], 1, plan(value));
        pb::Event { source: source.to_owned(), ..event }
    };
    app.accept(vec![says("crm", "gold"), says("web", "free")]).await;
    let read_mask = Some(prost_types::FieldMask { paths: vec!["traits".to_owned(), "trait_sources".to_owned()] });
    let request = pb::GetProfileRequest { customer: user("ann"), read_mask, ..Default::default() };
    let ann = app.profiles().get_profile(request).await.expect("ann").into_inner().profile.expect("a profile");
    assert_eq!(ann.traits, data([("plan", text("gold"))]));
    let source = &ann.trait_sources["plan"];
    let state_time = Some(prost_types::Timestamp { seconds: NOW - DAY, nanos: 0 });
    assert_eq!((source.source.as_str(), source.state_time), ("crm", state_time));
    assert!(get(&app, user("ann")).await.trait_sources.is_empty());
}

#[tokio::test]
async fn a_merge_can_be_undone_for_the_identifier_that_the_customer_began_with() {
    let app = TestApp::start().await;
    app.accept(vec![seen("1", &[("anonymous_id", "v")], 9, track("seen"))]).await;
    let visitor = get(&app, named("anonymous_id", "v")).await;
    app.accept(vec![seen("2", &[("user_id", "ann")], 8, track("seen"))]).await;
    app.accept(vec![seen("3", &[("user_id", "ann"), ("anonymous_id", "v")], 7, track("login"))]).await;
    let ann = get(&app, named("anonymous_id", "v")).await;
    assert_eq!(ann, get(&app, user("ann")).await, "the user survives although the visitor is older");
    let merges = merges_of(&app, user("ann")).await;
    unmerge(&app, &merges[0].merge_id).await.expect("undone");
    assert_eq!(lasting(get(&app, named("anonymous_id", "v")).await), lasting(visitor));
    assert_eq!(timeline(&app, user("ann")).await, ["3", "2"]);
}

#[tokio::test]
async fn after_a_merge_the_segment_has_the_customer_once_and_after_its_end_both() {
    let app = shop().await;
    let parameters = data([("k", number(2.0))]);
    let request =
        pb::CreateTrainingRunRequest { kind: pb::ModelKind::Segments.into(), parameters, ..Default::default() };
    assert!(train(&app, request).await.last().is_some_and(|run| run.promoted));
    let members = || async {
        let mut members = Vec::new();
        let segments = app.segments().list_segments(pb::ListSegmentsRequest::default()).await.expect("a list");
        for segment in segments.into_inner().segments {
            let request = pb::ListSegmentMembersRequest {
                segment_id: segment.segment_id,
                page_size: 1_000,
                ..Default::default()
            };
            let page = app.segments().list_segment_members(request).await.expect("a list").into_inner();
            members.extend(page.profiles.into_iter().map(|profile| profile.profile_id));
        }
        members.sort();
        members
    };
    let before = members().await;
    let [one, other] = [user("u1"), user("u2")];
    let (target, source) = (get(&app, one.clone()).await.profile_id, get(&app, other.clone()).await.profile_id);
    let merged = merge(&app, "u1", &["u2"]).await;
    let expected: Vec<String> = before.iter().filter(|member| **member != source).cloned().collect();
    assert_eq!(members().await, expected);
    assert!(expected.contains(&target));
    unmerge(&app, &merged.merge_id).await.expect("undone");
    assert_eq!(members().await, before);
}

#[tokio::test]
async fn what_is_only_validated_names_no_customer_who_does_not_exist() {
    let app = TestApp::start().await;
    let twice = vec![seen("1", &[("user_id", "new")], 1, track("seen")); 2];
    let request = pb::IngestEventsRequest { events: twice, validate_only: true };
    let results = app.events().ingest_events(request).await.expect("answers").into_inner().results;
    let answers: Vec<_> = results.iter().map(|result| (result.status(), result.profile_id.as_str())).collect();
    assert_eq!(answers, [(pb::EventStatus::Accepted, ""), (pb::EventStatus::Duplicate, "")]);
}

#[tokio::test]
async fn the_record_of_a_merge_within_one_batch_says_whose_traits_hold() {
    let app = TestApp::start().await;
    let batch = vec![
        seen("1", &[("user_id", "ann")], 9, plan("free")),
        seen("2", &[("anonymous_id", "v")], 8, plan("pro")),
        seen("3", &[("user_id", "ann"), ("anonymous_id", "v")], 7, track("login")),
    ];
    app.accept(batch).await;
    let merges = merges_of(&app, user("ann")).await;
    let [held] = merges[0].traits.as_slice() else { panic!("{merges:?}") };
    assert_eq!((held.name.as_str(), &held.profile_id), ("plan", &merges[0].sources[0].profile_id));
}

#[tokio::test]
async fn an_event_of_a_named_user_stays_with_that_user_whatever_device_it_came_from() {
    let app = two_customers().await;
    app.accept(vec![seen("t", &[("user_id", "ann"), ("device_id", "tablet")], 5, track("seen"))]).await;
    let merged = merge(&app, "ann", &["bob"]).await;
    app.accept(vec![seen("b3", &[("user_id", "bob"), ("device_id", "tablet")], 4, purchase(9.0))]).await;
    unmerge(&app, &merged.merge_id).await.expect("undone");
    assert_eq!(timeline(&app, user("bob")).await, ["b3", "b2", "b1"]);
}

#[tokio::test]
async fn a_request_that_is_sent_many_times_at_once_merges_once_and_undoes_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(Options::new(directory.path(), [7; 16])).expect("a store");
    let app = TestApp::builder().store(store).start().await;
    app.accept(vec![
        seen("1", &[("user_id", "ann")], 2, track("seen")),
        seen("2", &[("user_id", "bob")], 1, track("seen")),
    ])
    .await;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let mut profiles = app.profiles();
        let sources = user("bob").into_iter().collect();
        let request_id = "once".to_owned();
        let request = pb::MergeProfilesRequest { target: user("ann"), sources, request_id, ..Default::default() };
        calls.spawn(async move { profiles.merge_profiles(request).await.expect("an answer").into_inner().merge_id });
    }
    let merges: BTreeSet<String> = calls.join_all().await.into_iter().collect();
    assert_eq!(merges.len(), 1, "{merges:?}");
    assert_eq!(merges_of(&app, user("ann")).await.len(), 1);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let (mut profiles, merge_id) = (app.profiles(), merges.first().cloned().expect("a merge"));
        let request = pb::UnmergeProfilesRequest { merge_id, request_id: "back".to_owned(), validate_only: false };
        calls.spawn(async move { profiles.unmerge_profiles(request).await.expect("an answer").into_inner().revision });
    }
    assert_eq!(calls.join_all().await.into_iter().collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn a_change_of_rules_without_rules_is_refused_and_keeps_those_that_hold() {
    let app = TestApp::start().await;
    let rule = pb::IdentifierRule { r#type: "email".to_owned(), limit: 2, ..Default::default() };
    let rules = Some(pb::IdentityRules { rules: vec![rule], ..Default::default() });
    let request = pb::UpdateIdentityRulesRequest { rules, ..Default::default() };
    let held = app.profiles().update_identity_rules(request).await.expect("changed").into_inner().rules;
    let empty = app.profiles().update_identity_rules(pb::UpdateIdentityRulesRequest::default()).await;
    let refused = empty.expect_err("nothing is asked for");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(fields(&status_of(&refused)), ["rules"]);
    let now = app.profiles().get_identity_rules(pb::GetIdentityRulesRequest::default()).await.expect("read");
    assert_eq!(now.into_inner().rules, held);
}

#[tokio::test]
async fn an_identifier_that_an_unmerge_frees_is_not_claimed_by_both_sides() {
    let app = two_customers().await;
    let merged = merge(&app, "ann", &["bob"]).await;
    let shared = identifier("email", "shared@b.c");
    let with_shared =
        |id: &str, user: &str, days| seen(id, &[("user_id", user), ("email", "shared@b.c")], days, track("seen"));
    // It came while both were one.
    app.accept(vec![with_shared("s1", "bob", 5)]).await;
    unmerge(&app, &merged.merge_id).await.expect("undone");
    // The other side asks for it afterwards, and does not get it.
    app.accept(vec![with_shared("s2", "ann", 3)]).await;
    let [ann, bob] = [get(&app, user("ann")).await, get(&app, user("bob")).await];
    assert_ne!(ann.profile_id, bob.profile_id);
    assert!(bob.identifiers.contains(&shared) && !ann.identifiers.contains(&shared), "{ann:?} {bob:?}");
    assert_eq!(get(&app, named("email", "shared@b.c")).await, bob);
    assert_eq!(timeline(&app, user("ann")).await, ["s2", "a2", "a1"]);
    assert_eq!(timeline(&app, user("bob")).await, ["s1", "b2", "b1"]);
}
