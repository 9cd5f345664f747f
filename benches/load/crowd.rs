//! Many customers: what is known of them, sent in large batches.

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
use rand::Rng as _;
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::data::{event, generator, now};

const DAY: i64 = 86_400;
/// Events of one batch, and batches on their way at the same time.
const BATCH: usize = 1_000;
const FILLERS: usize = 4;
/// Purchases of a customer whose models are trained.
const PURCHASES: i64 = 4;
/// Months in which a plain one may buy.
const MONTHS: i64 = 8;
/// Customers of whom trees know no more than a linear model, which is taken then: they buy by chance, and their plan says how
/// late. Whether the others leave depends on plan and city together, which only trees can know.
pub(crate) const PLAIN: usize = 2_000;

/// What is known of a customer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// What the directory is called that is filled with them.
    pub(crate) name: &'static str,
    /// Of how many events a customer's history is at most.
    events: usize,
    history: fn(usize, i64) -> Vec<pb::Event>,
}

/// Customers of one purchase whose profiles take about 600 bytes in an answer.
pub(crate) const PLACID: Crowd = Crowd { name: "placid", events: 2, history: placid };
/// Customers who buy, and of whom some stop.
pub(crate) const BUYERS: Crowd = Crowd { name: "buyers", events: MONTHS as usize + 1, history: buyer };

impl Crowd {
    /// Sends what is known of some customers, and shows how far that is.
    pub(crate) async fn send(self, client: &Client, customers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let (today, per_batch) = (now(), BATCH / self.events);
        let bar = ProgressBar::new(customers.len() as u64);
        bar.set_style(ProgressStyle::with_template("{wide_bar} {human_pos} customers  {per_sec}  {eta} left")?);
        let mut fillers = JoinSet::new();
        for filler in 0..FILLERS {
            let (client, bar, customers) = (client.clone(), bar.clone(), customers.clone());
            fillers.spawn(async move {
                let mut service = EventServiceClient::new(client.channel(filler));
                for first in customers.clone().step_by(per_batch).skip(filler).step_by(FILLERS) {
                    let some = first..customers.end.min(first + per_batch);
                    let sent = some.len() as u64;
                    let events = some.flat_map(|of| (self.history)(of, today)).collect();
                    let request = pb::IngestEventsRequest { events, validate_only: false };
                    let results = service.ingest_events(client.with_key(request)).await?.into_inner().results;
                    let taken = results.iter().all(|result| result.status() == pb::EventStatus::Accepted);
                    ensure!(taken, "an event was not accepted: {:?}", results.first());
                    bar.inc(sent);
                }
                anyhow::Ok(())
            });
        }
        fillers.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
        bar.finish_and_clear();
        eprintln!("{} customers sent in {:.0?}", customers.len(), bar.elapsed());
        Ok(())
    }
}

fn placid(of: usize, today: i64) -> Vec<pb::Event> {
    let mut random = generator(of as u64);
    let first = today - random.gen_range(30..300) * DAY;
    let traits = [
        ("name", format!("Customer Number {of}")),
        ("city", ["Aachen", "Bremen", "Celle", "Dresden"][of % 4].to_owned()),
        ("plan", ["basic", "pro"][of % 2].to_owned()),
        ("language", ["de", "en", "fr"][of % 3].to_owned()),
        ("street", format!("Long Street of Tests {}", of % 1_000)),
        ("postcode", format!("{:05}", of % 100_000)),
        ("shop", format!("shop-{}", of % 50)),
        ("newsletter", ["weekly", "never"][of % 2].to_owned()),
        ("note", format!("Prefers to be called in the evening, asked twice about order {of}, and likes what is new")),
    ];
    let purchase = purchase(of, 0, random.gen_range(5.0..200.0));
    vec![
        event(of, format!("identify-{of}"), first, identify(&traits)),
        event(of, format!("purchase-{of}-0"), first + DAY, purchase),
    ]
}

fn buyer(of: usize, today: i64) -> Vec<pb::Event> {
    let mut random = generator(of as u64);
    let (city, plan) = (of / 2 % 4, of % 2);
    let ages: Vec<i64> = if of < PLAIN {
        // In each month or not, whatever was before: more often with the better plan.
        let buys = |_: &i64| random.gen_range(0..100) < 25 + 35 * plan;
        let months: Vec<i64> = (0..MONTHS).rev().filter(buys).collect();
        months.into_iter().map(|month| month * 30 + random.gen_range(0..30)).collect()
    } else {
        let left = random.gen_range(0..100) < [20, 70][(city + plan) % 2];
        let gap = random.gen_range(10..40_i64);
        let last = if left { random.gen_range(100..200) } else { random.gen_range(0..gap) };
        (0..PURCHASES).rev().map(|number| last + number * gap).collect()
    };
    let traits = [
        ("name", format!("Customer Number {of}")),
        ("city", ["Aachen", "Bremen", "Celle", "Dresden"][city].to_owned()),
        ("plan", ["basic", "pro"][plan].to_owned()),
    ];
    let mut events = vec![event(of, format!("identify-{of}"), today - 400 * DAY, identify(&traits))];
    for (number, age) in ages.into_iter().enumerate() {
        let purchase = purchase(of, number, random.gen_range(5.0..200.0));
        events.push(event(of, format!("purchase-{of}-{number}"), today - age * DAY, purchase));
    }
    events
}

fn identify(traits: &[(&str, String)]) -> pb::event::Payload {
    let word = |text: &String| prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text.clone())) };
    let fields = traits.iter().map(|(key, text)| ((*key).to_owned(), word(text))).collect();
    pb::event::Payload::Identify(pb::Identify { traits: Some(prost_types::Struct { fields }), ..Default::default() })
}

fn purchase(of: usize, number: usize, revenue: f64) -> pb::event::Payload {
    let order_id = format!("order-{of}-{number}");
    pb::event::Payload::Purchase(pb::Purchase { order_id, revenue, currency: "EUR".to_owned(), ..Default::default() })
}
