//! One of everything that a journal can hold, with nothing left to chance: the same bytes whenever it is written.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::time::Duration;

use rapport::domain::event::{Event, EventKey, EventTimes, SentIdentifier};
use rapport::domain::fact::{
    Document, EventFact, ExpireFact, Fact, MergeFact, MergedSource, RequestRecord, RequestResult, UnmergeFact,
};
use rapport::domain::history::{History, Horizon};
use rapport::domain::id::{MergeId, ProfileId, RunId, WorkspaceId};
use rapport::domain::identifier::Identifier;
use rapport::domain::identity::{Demotion, DemotionReason, Release};
use rapport::domain::identity_rules::{IdentifierRule, IdentityRules};
use rapport::domain::merge::{MergeCause, MergeRecord, SourceRecord, TraitWinner};
use rapport::domain::model::{ModelKind, ModelRecord, ModelRef, ModelVersion};
use rapport::domain::money::{Currency, Money};
use rapport::domain::payload::{
    ContactKind, Identify, LineItem, PageView, Payload, Purchase, SubscriptionChange, SubscriptionStatus,
    SupportContact, SurveyKind, SurveyResponse, Track,
};
use rapport::domain::profile::Profile;
use rapport::domain::projection::{self, Before};
use rapport::domain::rejection::{EventRejection, Rejected, Rejection, Rejections};
use rapport::domain::settings::{ChurnDefinition, ChurnKind, Settings};
use rapport::domain::time::Timestamp;
use rapport::domain::training::{TrainingRun, TrainingState};
use rapport::domain::value::{Map, Value};
use rapport::store::{Commit, Precondition, Store};

/// 2026-03-01T12:00:00Z.
pub(crate) const START: i64 = 1_772_366_400;
/// The bytes of the one artifact.
pub(crate) const ARTIFACT: [u8; 300] = [0xa5; 300];

pub(crate) fn workspace() -> WorkspaceId {
    "acme".parse().expect("a workspace")
}

pub(crate) fn version() -> ModelVersion {
    "churn-1".parse().expect("a version")
}

/// Writes the history: some commits with a fact, some with several, merges, and documents of every kind.
pub(crate) async fn write(store: &dyn Store) {
    for (number, payload) in (1..).zip(payloads()) {
        commit(store, vec![event(number, profile(1), payload)]).await;
    }
    let both = [event(20, profile(2), track()), event(21, profile(3), track())];
    commit(store, both.to_vec()).await;
    commit(store, vec![merge(1, 2), Fact::Document(Document::Merge(merge_record(1, None)))]).await;
    commit(store, vec![merge(2, 3), Fact::Document(Document::Merge(merge_record(2, Some(at(900)))))]).await;
    let groups = vec![vec![profile(1), profile(2)], vec![profile(3)]];
    commit(store, vec![Fact::Unmerge(UnmergeFact { merge: merge_id(2), profile: profile(1), groups })]).await;
    let groups = vec![vec![profile(1)], vec![profile(2)]];
    let before = at(100);
    commit(store, vec![Fact::Expire(ExpireFact { profile: profile(1), before, groups })]).await;
    store.put_artifact(&workspace(), &version(), ARTIFACT.to_vec()).await.expect("kept");
    for document in documents() {
        commit(store, vec![Fact::Document(document)]).await;
    }
    for number in 30..45 {
        let payload = Payload::Track(Track { name: "seen".into(), properties: Map::new() });
        commit(store, vec![event(number, profile(4), payload)]).await;
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((START + second) * 1_000_000)
}

fn profile(number: u8) -> ProfileId {
    ProfileId::from_bytes([number; 16])
}

fn merge_id(number: u8) -> MergeId {
    MergeId::from_bytes([0xb0 + number; 16])
}

fn identifier(kind: &str, value: &str) -> Identifier {
    Identifier::parse(kind, value).expect("an identifier")
}

fn texts<T: for<'a> From<&'a str>, const N: usize>(texts: [&str; N]) -> [T; N] {
    texts.map(T::from)
}

fn money(units: f64) -> Money {
    Money::from_units(units).expect("an amount")
}

fn euro() -> Currency {
    Currency::parse("EUR").expect("a currency")
}

fn open_data() -> Map {
    let list = Value::List(vec![Value::Null, Value::Bool(true), Value::Map(Map::from([("deep".into(), Value::Null)]))]);
    Map::from([
        ("text".into(), Value::Text("née".into())),
        ("number".into(), Value::Number(1.5)),
        ("list".into(), list),
    ])
}

fn track() -> Payload {
    Payload::Track(Track { name: "Video Played".into(), properties: open_data() })
}

fn payloads() -> [Payload; 7] {
    let [order_id, product_id, name, category] = texts(["order-1", "p-1", "Cup", "kitchen"]);
    let item = LineItem { product_id, name, quantity: 2.5, unit_price: money(4.0), category };
    let [case_id, topic, agent, text] = texts(["case-1", "delivery", "agent-7", "Where is it?"]);
    let contact = SupportContact {
        case_id,
        topic,
        agent,
        kind: ContactKind::Escalated,
        transfers: 2,
        resolved: false,
        reopened: true,
        wait_seconds: 61.5,
        handle_seconds: 300.0,
        text,
    };
    let [name, url] = texts(["Start", "https://example.com/"]);
    let [comment, answered] = texts(["fine", "case-1"]);
    let (status, plan) = (SubscriptionStatus::PastDue, "pro".to_owned());
    [
        Payload::Identify(Identify {
            traits: open_data(),
            traits_once: Map::from([("first".into(), Value::Bool(true))]),
        }),
        track(),
        Payload::PageView(PageView { name, url, properties: Map::new() }),
        Payload::Purchase(Purchase {
            order_id,
            revenue: money(10.0),
            currency: euro(),
            items: vec![item],
            refund: false,
        }),
        Payload::SupportContact(contact),
        Payload::SurveyResponse(SurveyResponse { kind: SurveyKind::Ces, score: 6.0, comment, case_id: answered }),
        Payload::SubscriptionChange(SubscriptionChange { status, plan, monthly_amount: money(9.9), currency: euro() }),
    ]
}

fn event(number: i64, profile: ProfileId, payload: Payload) -> Fact {
    let user = identifier("user_id", &format!("u{}", profile.as_bytes()[0]));
    let device = identifier("device_id", &format!("d{number}"));
    let received = at(number * 10);
    let times = EventTimes {
        original: Some(at(number * 10 - 5)),
        sent: Some(at(number * 10 - 1)),
        received,
        event: at(number * 10 - 4),
        clamped: false,
    };
    let [source, channel, touchpoint, kind, value] = texts(["shop", "web", "checkout", "user_id", " U1 "]);
    let event = Event {
        key: EventKey { source, event_id: format!("e{number}").into() },
        identifiers: vec![SentIdentifier { kind, value }],
        times,
        source_priority: 3,
        channel,
        touchpoint,
        payload,
    };
    let demoted =
        vec![Demotion { identifier: identifier("email", "none@example.com"), reason: DemotionReason::Blocked }];
    let released = vec![Release { identifier: device.clone(), from: self::profile(9) }];
    let (claims, authenticated) = (vec![user, device.clone()], vec![device]);
    Fact::Event(EventFact {
        profile,
        creates: matches!(number, 1 | 20 | 21 | 30),
        part: profile,
        event,
        claims,
        released: if number == 2 { released } else { Vec::new() },
        authenticated,
        demoted,
    })
}

fn merge(number: u8, source: u8) -> Fact {
    let source = MergedSource { profile: profile(source), part: profile(source), to: profile(1) };
    Fact::Merge(MergeFact { id: merge_id(number), survivor: profile(1), sources: vec![source] })
}

fn merge_record(number: u8, undo_time: Option<Timestamp>) -> MergeRecord {
    let source = SourceRecord { profile: profile(number + 1), identifiers: vec![identifier("user_id", "u2")] };
    let key = EventKey { source: "shop".into(), event_id: "e20".into() };
    let cause = match number {
        1 => MergeCause::Event { key, identifiers: vec![identifier("email", "ann@example.com")] },
        _ => MergeCause::Operator { reason: "the same person".to_owned() },
    };
    let winner = TraitWinner { name: "plan".to_owned(), among: vec![profile(1), profile(2)], winner: profile(1) };
    let (id, survivor, part, time) = (merge_id(number), profile(1), profile(1), at(800));
    MergeRecord { id, survivor, part, sources: vec![source], cause, traits: vec![winner], time, undo_time }
}

fn settings() -> Settings {
    let [kind, blocked, pattern, qualifying] = texts(["email", "none@example.com", "^test", "track:Video Played"]);
    let rule =
        IdentifierRule { kind, limit: 3, priority: 2, blocked_values: vec![blocked], blocked_patterns: vec![pattern] };
    Settings {
        churn: ChurnDefinition {
            kind: ChurnKind::Contractual,
            horizon: Duration::from_secs(60 * 86_400),
            qualifying_events: vec![qualifying],
        },
        currency: euro(),
        default_phone_region: "DE".to_owned(),
        identity: IdentityRules { rules: vec![rule] },
        source_priorities: BTreeMap::from([("crm".to_owned(), 5)]),
    }
}

fn documents() -> Vec<Document> {
    let run_id = RunId::from_bytes([0xc0; 16]);
    let run = TrainingRun::new(run_id, ModelKind::Churn, open_data(), at(700));
    let run = TrainingRun {
        state: TrainingState::Succeeded,
        progress: 1.0,
        model_version: Some(version()),
        promoted: true,
        promotion_note: "the first".to_owned(),
        metrics: Map::from([("auc".into(), Value::Number(0.75))]),
        start_time: Some(at(701)),
        end_time: Some(at(702)),
        ..run
    };
    let reference = ModelRef { kind: ModelKind::Churn, version: version(), train_time: at(702) };
    let request = |name: &str, result| {
        Document::Request(RequestRecord { request_id: name.to_owned(), digest: [0xd0; 16], result })
    };
    let refused = |what| Rejection { event: EventKey { source: "shop".into(), event_id: "bad".into() }, what };
    let rejections = vec![
        refused(Rejected::Event(EventRejection::InvalidField, vec!["channel".to_owned()])),
        refused(Rejected::Event(EventRejection::EventTooOld, Vec::new())),
        refused(Rejected::Identifier(identifier("email", "none@example.com"), DemotionReason::Limit, profile(1))),
    ];
    vec![
        Document::Settings(settings()),
        Document::TrainingRun(run),
        Document::Model(ModelRecord { reference, card: open_data() }),
        Document::ActiveModel(ModelKind::Churn, version()),
        request("r1", RequestResult::TrainingRun(run_id)),
        request("r2", RequestResult::Model(version())),
        request("r3", RequestResult::Settings(settings())),
        request("r4", RequestResult::Merge(merge_id(1))),
        request("r5", RequestResult::Unmerge(vec![profile(1), profile(3)])),
        Document::ProfileMerge(profile(1), merge_id(1)),
        Document::ProfileMerge(profile(1), merge_id(2)),
        Document::Rejections(Rejections::new(at(710), "1", rejections)),
        Document::Horizon(Horizon { before: at(50), forgotten_before: at(40) }),
    ]
}

/// Commits facts as a server that read everything would.
pub(crate) async fn commit(store: &dyn Store, facts: Vec<Fact>) {
    let workspace = workspace();
    let ids: Vec<ProfileId> = projection::touched(&facts).into_iter().collect();
    let found = store.profiles(&workspace, &ids).await.expect("readable");
    let known = ids.iter().zip(found).filter_map(|(id, profile)| Some((*id, profile.filter(|found| found.id == *id)?)));
    let profiles: HashMap<ProfileId, Profile> = known.collect();
    let parts: Vec<ProfileId> = profiles.values().flat_map(|profile| &profile.parts).map(|part| part.id).collect();
    let histories = store.histories(&workspace, &parts).await.expect("readable");
    let revision = |id| profiles.get(id).map(|profile| profile.revision);
    let preconditions = ids.iter().map(|id| Precondition::Profile(*id, revision(id))).collect();
    let times = facts.iter().filter_map(|fact| match fact {
        Fact::Event(fact) => Some(fact.event.times.received),
        _ => None,
    });
    let time = times.max().unwrap_or(at(950));
    let mut before = Loaded { profiles: profiles.clone(), histories: parts.into_iter().zip(histories).collect() };
    let projection = projection::project(&facts, time, &mut before).unwrap_or_else(|never| match never {});
    store.commit(Commit { workspace, time, preconditions, read_at: None, facts, projection }).await.expect("commits");
}

/// One event more, after everything else.
pub(crate) fn later() -> Fact {
    event(100, profile(4), track())
}

struct Loaded {
    profiles: HashMap<ProfileId, Profile>,
    histories: HashMap<ProfileId, History>,
}

impl Before for Loaded {
    type Error = Infallible;

    fn profile(&mut self, id: ProfileId) -> Result<Option<Profile>, Infallible> {
        Ok(self.profiles.get(&id).cloned())
    }

    fn history(&self, part: ProfileId) -> Result<History, Infallible> {
        Ok(self.histories.get(&part).cloned().unwrap_or_default())
    }
}
