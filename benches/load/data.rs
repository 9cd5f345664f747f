//! Customers that buy, and the requests about them.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use tokio::task::JoinSet;

use crate::client::{Client, Requests};

const SEED: u64 = 20_261_128;
const DAY: i64 = 86_400;
/// Purchases of a customer, beside what they state of themselves.
const PURCHASES: usize = 4;
/// Events of one batch while the store is filled, and batches on their way at the same time.
const FILL_BATCH: usize = 1_000;
const FILLERS: usize = 4;
/// How often a run is asked whether it has ended, and how often at most.
const ASKS: usize = 6_000;

pub(crate) const GET_PROFILE: &str = "/rapport.v1.ProfileService/GetProfile";
pub(crate) const PREDICT: &str = "/rapport.v1.PredictionService/Predict";
pub(crate) const BATCH_PREDICT: &str = "/rapport.v1.PredictionService/BatchPredict";
pub(crate) const INGEST: &str = "/rapport.v1.EventService/IngestEvents";

pub(crate) fn generator(purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(SEED ^ purpose)
}

pub(crate) fn now() -> i64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs().cast_signed())
}

fn name(customer: usize) -> pb::Identifier {
    pb::Identifier { r#type: "user_id".to_owned(), value: format!("customer-{customer}") }
}

fn customer(customer: usize) -> pb::CustomerRef {
    pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(name(customer))) }
}

pub(crate) fn event(of: usize, id: String, seconds: i64, payload: pb::event::Payload) -> pb::Event {
    pb::Event {
        event_id: id,
        source: "bench".to_owned(),
        identifiers: vec![name(of)],
        original_time: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        channel: ["app", "shop", "web"][of % 3].to_owned(),
        payload: Some(payload),
        ..Default::default()
    }
}

/// What is known of a customer: some buy until today, some stopped, and who buys seldom stops more often.
fn history(of: usize, today: i64) -> Vec<pb::Event> {
    let mut random = generator(of as u64);
    let gap = random.gen_range(10..80_i64);
    let left = random.gen_range(0..100) < gap;
    let last = today - if left { random.gen_range(100..200) } else { random.gen_range(0..gap.min(60)) } * DAY;
    let word = |text: String| prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text)) };
    let traits = prost_types::Struct {
        fields: [
            ("name".to_owned(), word(format!("Customer Number {of}"))),
            ("city".to_owned(), word(["Aachen", "Bremen", "Celle", "Dresden"][of % 4].to_owned())),
            ("plan".to_owned(), word(["basic", "pro"][of % 2].to_owned())),
        ]
        .into(),
    };
    let stated = pb::event::Payload::Identify(pb::Identify { traits: Some(traits), ..Default::default() });
    let purchase = |number: usize, revenue: f64| {
        let purchase = pb::Purchase {
            order_id: format!("order-{of}-{number}"),
            revenue,
            currency: "EUR".to_owned(),
            ..Default::default()
        };
        let at = last - (PURCHASES - 1 - number) as i64 * gap * DAY;
        event(of, format!("purchase-{of}-{number}"), at, pb::event::Payload::Purchase(purchase))
    };
    let mut events = vec![event(of, format!("identify-{of}"), last - 200 * DAY, stated)];
    events.extend((0..PURCHASES).map(|number| purchase(number, random.gen_range(5.0..200.0))));
    events
}

/// Sends what is known of so many customers.
pub(crate) async fn fill(client: &Client, customers: usize) -> anyhow::Result<()> {
    let (today, per_batch) = (now(), FILL_BATCH / (PURCHASES + 1));
    let mut fillers = JoinSet::new();
    for filler in 0..FILLERS {
        let client = client.clone();
        fillers.spawn(async move {
            let mut service = EventServiceClient::new(client.channel(filler));
            for first in (0..customers).step_by(per_batch).skip(filler).step_by(FILLERS) {
                let some = first..customers.min(first + per_batch);
                let events = some.flat_map(|of| history(of, today)).collect();
                let request = pb::IngestEventsRequest { events, validate_only: false };
                let results = service.ingest_events(client.with_key(request)).await?.into_inner().results;
                ensure!(results.iter().all(|result| result.status() == pb::EventStatus::Accepted), "{:?}", results[0]);
            }
            anyhow::Ok(())
        });
    }
    fillers.join_all().await.into_iter().collect()
}

/// Trains a kind of model. Fails where it does not come to answer.
pub(crate) async fn train(client: &Client, kind: pb::ModelKind) -> anyhow::Result<()> {
    let mut service = TrainingServiceClient::new(client.channel(0));
    let request = pb::CreateTrainingRunRequest { kind: kind.into(), ..Default::default() };
    let run = service.create_training_run(client.with_key(request)).await?.into_inner().run.context("a run")?;
    for _ in 0..ASKS {
        let request = pb::GetTrainingRunRequest { run_id: run.run_id.clone(), ..Default::default() };
        let run = service.get_training_run(client.with_key(request)).await?.into_inner().run.context("a run")?;
        match run.state() {
            pb::TrainingState::Succeeded => return Ok(()),
            pb::TrainingState::Failed | pb::TrainingState::Cancelled => anyhow::bail!("{kind:?}: {:?}", run.error),
            _ => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    anyhow::bail!("the training does not end")
}

/// Which kind of model answers about churn, by its card.
pub(crate) async fn churn_model(client: &Client) -> anyhow::Result<String> {
    let mut service = TrainingServiceClient::new(client.channel(0));
    let request = pb::ListModelsRequest { kind: pb::ModelKind::Churn.into(), ..Default::default() };
    let models = service.list_models(client.with_key(request)).await?.into_inner().models;
    let active = models.into_iter().find(|model| model.active).context("a model")?;
    let model_version = active.r#ref.context("a name")?.model_version;
    let request = pb::GetModelRequest { model_version, ..Default::default() };
    let model = service.get_model(client.with_key(request)).await?.into_inner().model.context("a model")?;
    let kind = model.card.as_ref().and_then(|card| card.fields.get("model")?.kind.clone()).context("a kind")?;
    let prost_types::value::Kind::StringValue(kind) = kind else { anyhow::bail!("a kind that is no text") };
    Ok(kind)
}

/// Reads of random customers.
pub(crate) fn profiles(customers: usize, count: usize) -> Arc<Requests> {
    let mut random = generator(1 << 40);
    let read = |of| pb::GetProfileRequest { customer: Some(customer(of)), ..Default::default() }.encode_to_vec();
    Requests::new(GET_PROFILE, (0..count).map(|_| read(random.gen_range(0..customers))).collect())
}

/// Reads of everybody, one after the other.
pub(crate) fn everybody(customers: usize) -> Arc<Requests> {
    let read = |of| pb::GetProfileRequest { customer: Some(customer(of)), ..Default::default() }.encode_to_vec();
    Requests::new(GET_PROFILE, (0..customers).map(read).collect())
}

/// Predictions about random customers.
pub(crate) fn predictions(customers: usize, count: usize) -> Arc<Requests> {
    let mut random = generator(2 << 40);
    let ask = |of| {
        let customer = Some(customer(of));
        pb::PredictRequest { customer, contribution_limit: 5, ..Default::default() }.encode_to_vec()
    };
    Requests::new(PREDICT, (0..count).map(|_| ask(random.gen_range(0..customers))).collect())
}

/// Predictions about a hundred random customers at a time.
pub(crate) fn batches(customers: usize, count: usize) -> Arc<Requests> {
    let mut random = generator(3 << 40);
    let mut ask = || {
        let some = (0..100).map(|_| customer(random.gen_range(0..customers))).collect();
        pb::BatchPredictRequest { customers: some, ..Default::default() }.encode_to_vec()
    };
    Requests::new(BATCH_PREDICT, (0..count).map(|_| ask()).collect())
}

/// New events of random customers, as they come in.
pub(crate) fn events(customers: usize, count: usize, run: &str) -> Vec<pb::Event> {
    let (mut random, now) = (generator(4 << 40), now());
    let seen = |number| {
        let track = pb::Track { name: "order_viewed".to_owned(), ..Default::default() };
        let id = format!("track-{run}-{number}");
        let mut event = event(random.gen_range(0..customers), id, now, pb::event::Payload::Track(track));
        // In their order: what comes late is folded with everything before it, which is not the rule.
        let nanos = i32::try_from(number * 1_000 % 1_000_000_000).unwrap_or(0);
        let seconds = now - 60 + (number / 1_000_000) as i64;
        event.original_time = Some(prost_types::Timestamp { seconds, nanos });
        event
    };
    (0..count).map(seen).collect()
}

/// The same, so many in each request.
pub(crate) fn ingestions(customers: usize, (count, each): (usize, usize), run: &str) -> Arc<Requests> {
    let events = events(customers, count * each, run);
    let request = |events: &[pb::Event]| {
        pb::IngestEventsRequest { events: events.to_vec(), validate_only: false }.encode_to_vec()
    };
    Requests::new(INGEST, events.chunks(each).map(request).collect())
}
