//! The quality that we promise, measured through domain events on real purchase histories.
//!
//! ```text
//! cargo bench --bench quality                                # CDNOW as it ships in examples/retail
//! cargo bench --bench quality -- cdnow FILE...               # CDNOW: customer_id, date, quantity, amount_usd
//! cargo bench --bench quality -- online_retail FILE...       # UCI Online Retail
//! ```
//!
//! It prints a table of figures with their targets and fails when one is missed. Nothing is tuned on a test window:
//! transforms and the weight of the penalty were chosen by folds over training rows.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::collections::BTreeMap;
use std::fs::File;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use md5::{Digest, Md5};
use rapport::domain::event::{Event, EventKey, EventTimes};
use rapport::domain::fold;
use rapport::domain::id::ProfileId;
use rapport::domain::identifier::Identifier;
use rapport::domain::limits::CONTRIBUTIONS_DEFAULT;
use rapport::domain::money::{Currency, Money};
use rapport::domain::payload::{LineItem, Payload, Purchase};
use rapport::domain::profile::Profile;
use rapport::domain::settings::ChurnDefinition;
use rapport::domain::time::{Timestamp, days};
use rapport::domain::value::{Map, Value};
use rapport::models::artifact::{self, Model};
use rapport::models::churn::{self, ChurnModel};
use rapport::models::evaluation::adjusted_rand_index;
use rapport::models::examples::{Census, ChurnExamples, ChurnParameters, ChurnPlan};
use rapport::models::segments::{self, SegmentParameters, SegmentRows, TrainedSegments};

/// Where the data ship.
const SHIPPED: [&str; 2] = ["examples/retail/cdnow_sample.csv.gz", "examples/retail/cdnow_rest_even.csv.gz"];
/// Splits into halves beside the one that the target is for.
const OTHER_HALVES: u8 = 20;
/// Seed of everything here.
const SEED: u64 = 20_261_122;

/// Customers with their events, in canonical order.
type Timelines = BTreeMap<Identifier, Vec<Event>>;

fn main() -> anyhow::Result<ExitCode> {
    // cargo passes a flag of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let set = arguments.next().unwrap_or_else(|| "cdnow".to_owned());
    let mut files: Vec<String> = arguments.collect();
    let mut table = Table::default();
    match set.as_str() {
        "cdnow" => {
            if files.is_empty() {
                files = SHIPPED.map(str::to_owned).to_vec();
            }
            cdnow(&read(&files, cdnow_row)?, &mut table)?;
        }
        "online_retail" => online_retail(&read(&files, online_retail_row)?, &mut table)?,
        other => bail!("no measurement is called {other}; there are cdnow and online_retail"),
    }
    Ok(table.print())
}

/// Quiet for the 39 weeks after the first 39, scored by five folds over the customers.
fn cdnow(timelines: &Timelines, table: &mut Table) -> anyhow::Result<()> {
    let began = Instant::now();
    let parameters = ChurnParameters {
        cutoff_times: vec![end_of("1997-09-30")?],
        horizon: Some(days(273)),
        seed: SEED,
        folds: Some(5),
        ..Default::default()
    };
    let trained = churn::train(&examples(timelines, &parameters)?, None, &())?;
    table.time("training of churn, with five folds", began.elapsed());
    let metric = |name: &str| figure(&trained.metrics, name).with_context(|| format!("the card has no {name}"));
    table.at_least("churn AUC, five folds", metric("auc")?, 0.77);
    table.at_least("churn AUC less that of recency alone", metric("auc")? - metric("recency_baseline_auc")?, 0.0);
    table.at_most("churn ECE, five folds", metric("ece")?, 0.05);
    table.metrics("churn, five folds", &trained.metrics);
    table.selection(&trained.card);
    predictions(&trained.model, timelines, table);
    segment(timelines, end_of("1998-06-30")?, table)?;
    Ok(())
}

/// Quiet for 90 days, judged on a window after the one of training.
fn online_retail(timelines: &Timelines, table: &mut Table) -> anyhow::Result<()> {
    let began = Instant::now();
    let examples = examples(timelines, &ChurnParameters { seed: SEED, ..Default::default() })?;
    let trained = churn::train(&examples, None, &())?;
    table.time("training of churn", began.elapsed());
    let metric = |name: &str| figure(&trained.metrics, name).with_context(|| format!("the card has no {name}"));
    table.at_least("churn AUC, later window", metric("auc")?, 0.74);
    table.at_least("churn AUC less that of recency alone", metric("auc")? - metric("recency_baseline_auc")?, 0.0);
    table.at_most("churn ECE, later window", metric("ece")?, 0.05);
    table.metrics("churn, later window", &trained.metrics);
    table.selection(&trained.card);
    predictions(&trained.model, timelines, table);
    for key in ["training_base_rate", "training_rows", "test_rows"] {
        if let Some(Value::Number(number)) = trained.card.get(key) {
            table.note(key, format!("{number:.4}"));
        }
    }
    table.note(
        "cut-offs",
        format!("{:?} {:?}", trained.card["training_cutoff_times"], trained.card["test_cutoff_time"]),
    );
    let now = end_of("2011-12-09")?;
    let found = segment(timelines, now, table)?;
    halves(timelines, now, found, table)
}

/// How much the segments of two halves of the customers agree about everybody. The halves of the target are told apart by
/// the last bit of the MD5 of the customer's id; others, by a keyed digest, show how far the figure depends on the split.
fn halves(timelines: &Timelines, now: Timestamp, k: usize, table: &mut Table) -> anyhow::Result<()> {
    let by_md5 = |customer: &str| Md5::digest(customer).last().is_some_and(|byte| byte % 2 == 1);
    for (k, name) in [(Some(k), format!("k = {k}")), (None, "own k".to_owned())] {
        let figure = agreement(timelines, now, k, by_md5)?;
        table.at_least(&format!("segments of two halves by MD5, {name}: adjusted Rand index"), figure, 0.85);
        let mut others = Vec::new();
        for turn in 0..OTHER_HALVES {
            let by_key = |customer: &str| {
                blake3::Hasher::new().update(&[turn]).update(customer.as_bytes()).finalize().as_bytes()[0] % 2 == 1
            };
            others.push(agreement(timelines, now, k, by_key)?);
        }
        others.sort_unstable_by(f64::total_cmp);
        let (least, median, most) = (others[0], others[others.len() / 2], others[others.len() - 1]);
        table.note(
            &format!("the same by {OTHER_HALVES} other splits, {name}"),
            format!("{least:.4} to {most:.4}, median {median:.4}"),
        );
    }
    Ok(())
}

/// The adjusted Rand index, over everybody, of the segments of those whom a split picks and of those whom it leaves.
fn agreement(
    timelines: &Timelines,
    now: Timestamp,
    k: Option<usize>,
    picks: impl Fn(&str) -> bool,
) -> anyhow::Result<f64> {
    let states: Vec<_> = timelines.iter().map(|(customer, timeline)| (customer, fold::refold(timeline))).collect();
    let mut halves = [SegmentRows::new(now), SegmentRows::new(now)];
    for (customer, state) in &states {
        halves[usize::from(picks(customer.value()))].add(*customer, state);
    }
    let mut assigned = Vec::new();
    for half in &halves {
        let parameters = SegmentParameters { k, seed: SEED, next_number: 1 };
        let model = segments::train(half, &parameters, None, &())?.model;
        let segment_of = |state| {
            let answer = model.predict(state, now);
            let segments = model.segments();
            segments.iter().position(|segment| segment.id == answer.segment_id).unwrap_or(segments.len())
        };
        assigned.push(states.iter().map(|(_, state)| segment_of(state)).collect::<Vec<usize>>());
    }
    Ok(adjusted_rand_index(&assigned[0], &assigned[1]))
}

/// What one prediction takes, with its features and as many reasons as a batch lists.
fn predictions(model: &ChurnModel, timelines: &Timelines, table: &mut Table) {
    let states: Vec<_> = timelines.values().map(fold::refold).collect();
    let now = timelines.values().flatten().map(|event| event.times.event).max().unwrap_or(Timestamp::MIN);
    let began = Instant::now();
    let reasons: usize =
        states.iter().map(|state| model.predict(state, now, CONTRIBUTIONS_DEFAULT).contributions.len()).sum();
    let micros = began.elapsed().as_secs_f64() * 1e6 / states.len().max(1) as f64;
    let words = format!("{micros:.2} us, {:.1} reasons", reasons as f64 / states.len().max(1) as f64);
    table.note("one prediction of churn", words);
}

/// Learns segments and says how good they are; returns how many there are.
fn segment(timelines: &Timelines, now: Timestamp, table: &mut Table) -> anyhow::Result<usize> {
    let mut rows = SegmentRows::new(now);
    for (customer, timeline) in timelines {
        rows.add(customer, &fold::refold(timeline));
    }
    let parameters = SegmentParameters { k: None, seed: SEED, next_number: 1 };
    let began = Instant::now();
    let trained = segments::train(&rows, &parameters, None, &())?;
    table.time("training of segments", began.elapsed());
    let again = segments::train(&rows, &parameters, Some(&trained.model), &())?;
    let once_more = segments::train(&rows, &parameters, None, &())?;
    let stable = trained.model.segments().iter().map(|segment| segment.stability_jaccard).fold(1.0, f64::min);
    table.at_least("segments: smallest bootstrap Jaccard", stable, 0.75);
    table.at_least("segments: same seed, same bytes", f64::from(u8::from(bytes(&trained) == bytes(&once_more))), 1.0);
    for name in ["adjusted_rand_index", "share_moved"] {
        if let Some(Value::Number(number)) = again.metrics.get(name) {
            table.note(&format!("retraining on the same customers: {name}"), format!("{number:.4}"));
        }
    }
    for point in trained.card.get("curves").into_iter().flat_map(items) {
        let number = |name: &str| if let Some(Value::Number(number)) = point.get(name) { *number } else { f64::NAN };
        let figures = format!(
            "silhouette {:.3}, smallest Jaccard {:.3}, smallest share {:.3}",
            number("silhouette"),
            number("jaccard_min"),
            number("share_min")
        );
        table.note(&format!("k = {}", number("k")), figures);
    }
    for segment in trained.model.segments() {
        table.note(&format!("{} {}", segment.id, segment.display_name), segment.persona.clone());
    }
    Ok(trained.model.segments().len())
}

fn bytes(trained: &TrainedSegments) -> Vec<u8> {
    artifact::encode(&Model::Segments(trained.model.clone()))
}

fn items(value: &Value) -> Vec<&Map> {
    let Value::List(items) = value else { return Vec::new() };
    items.iter().filter_map(|item| if let Value::Map(map) = item { Some(map) } else { None }).collect()
}

fn figure(metrics: &Map, name: &str) -> Option<f64> {
    let Value::Map(interval) = metrics.get(name)? else { return None };
    let Value::Number(value) = interval.get("value")? else { return None };
    Some(*value)
}

fn examples(timelines: &Timelines, parameters: &ChurnParameters) -> anyhow::Result<ChurnExamples> {
    let mut census = Census::default();
    for timeline in timelines.values() {
        let mut profile = Profile::new(ProfileId::MIN, Timestamp::MIN);
        profile.state = fold::refold(timeline);
        census.add(&profile);
    }
    if let [cutoff] = parameters.cutoff_times[..] {
        // The last day of the data is over, although nobody bought in its last hours.
        census.last_time = census.last_time.max(Some(cutoff.plus(parameters.horizon.unwrap_or_default())));
    }
    let mut examples = ChurnExamples::new(ChurnPlan::new(&ChurnDefinition::default(), parameters, &census)?);
    for (customer, timeline) in timelines {
        examples.add(customer, timeline);
    }
    Ok(examples)
}

/// One line of a file: a part of a purchase.
struct Line {
    customer: String,
    /// Lines with the same order are one purchase.
    order: String,
    time: Timestamp,
    amount: f64,
    quantity: f64,
    refund: bool,
}

fn read(files: &[String], row: fn(&BTreeMap<String, String>) -> anyhow::Result<Line>) -> anyhow::Result<Timelines> {
    let mut orders: BTreeMap<(String, String), Line> = BTreeMap::new();
    for file in files {
        let reader = flate2::read::GzDecoder::new(File::open(file).with_context(|| format!("cannot open {file}"))?);
        for record in csv::Reader::from_reader(reader).into_deserialize() {
            let line = row(&record?)?;
            match orders.get_mut(&(line.customer.clone(), line.order.clone())) {
                Some(order) => {
                    order.amount += line.amount;
                    order.quantity += line.quantity;
                }
                None => {
                    orders.insert((line.customer.clone(), line.order.clone()), line);
                }
            }
        }
    }
    let mut timelines = Timelines::new();
    for line in orders.into_values() {
        timelines.entry(Identifier::parse("user_id", &line.customer)?).or_default().push(event(line)?);
    }
    timelines.values_mut().for_each(|timeline| fold::sort(timeline));
    Ok(timelines)
}

fn cdnow_row(record: &BTreeMap<String, String>) -> anyhow::Result<Line> {
    let date = &record["date"];
    let amount = record["amount_usd"].parse()?;
    Ok(Line {
        customer: record["customer_id"].clone(),
        // A day's purchases are one, as in the published analyses.
        order: date.clone(),
        time: time(&format!("{date}T12:00:00Z"))?,
        amount,
        quantity: record["quantity"].parse()?,
        refund: false,
    })
}

fn online_retail_row(record: &BTreeMap<String, String>) -> anyhow::Result<Line> {
    let quantity: f64 = record["Quantity"].parse()?;
    let price: f64 = record["UnitPrice"].parse()?;
    Ok(Line {
        customer: record["CustomerID"].clone(),
        order: record["InvoiceNo"].clone(),
        time: time(&format!("{}Z", record["InvoiceDate"].replace(' ', "T")))?,
        amount: (quantity * price).abs(),
        quantity: quantity.abs(),
        refund: record["InvoiceNo"].starts_with('C'),
    })
}

fn event(line: Line) -> anyhow::Result<Event> {
    let revenue = Money::from_units(line.amount).context("an amount is too large")?;
    let item = LineItem {
        product_id: String::new(),
        name: String::new(),
        quantity: line.quantity,
        unit_price: Money::ZERO,
        category: String::new(),
    };
    Ok(Event {
        key: EventKey { source: "quality".into(), event_id: format!("{} {}", line.customer, line.order).into() },
        identifiers: Vec::new(),
        times: EventTimes::resolve(Some(line.time), None, line.time),
        channel: Default::default(),
        source_priority: 0,
        touchpoint: Default::default(),
        payload: Payload::Purchase(Purchase {
            order_id: line.order,
            revenue,
            currency: Currency::default(),
            items: vec![item],
            refund: line.refund,
        }),
    })
}

fn end_of(date: &str) -> anyhow::Result<Timestamp> {
    time(&format!("{date}T23:59:59Z"))
}

fn time(text: &str) -> anyhow::Result<Timestamp> {
    Ok(Timestamp::from_micros(text.parse::<jiff::Timestamp>()?.as_microsecond()))
}

/// Figures with their targets.
#[derive(Default)]
struct Table {
    rows: Vec<[String; 4]>,
    missed: bool,
}

impl Table {
    fn at_least(&mut self, name: &str, found: f64, target: f64) {
        self.add(name, found, format!(">= {target}"), found >= target);
    }

    fn at_most(&mut self, name: &str, found: f64, target: f64) {
        self.add(name, found, format!("<= {target}"), found <= target);
    }

    fn add(&mut self, name: &str, found: f64, target: String, reached: bool) {
        self.missed |= !reached;
        let word = if reached { "reached" } else { "MISSED" };
        self.rows.push([name.to_owned(), format!("{found:.4}"), target, word.to_owned()]);
    }

    fn time(&mut self, name: &str, took: Duration) {
        self.note(name, format!("{:.2} s", took.as_secs_f64()));
    }

    fn note(&mut self, name: &str, found: String) {
        self.rows.push([name.to_owned(), found, String::new(), String::new()]);
    }

    fn metrics(&mut self, name: &str, metrics: &Map) {
        for (metric, value) in metrics {
            let Value::Map(interval) = value else { continue };
            let part = |key: &str| if let Some(Value::Number(part)) = interval.get(key) { *part } else { f64::NAN };
            let figure = format!("{:.4} ({:.4} to {:.4})", part("value"), part("low"), part("high"));
            self.note(&format!("{name}: {metric}"), figure);
        }
    }

    /// Which models were compared, and which one was picked.
    fn selection(&mut self, card: &Map) {
        for candidate in card.get("candidates").into_iter().flat_map(items) {
            let text = |key: &str| if let Some(Value::Text(text)) = candidate.get(key) { text.as_str() } else { "" };
            let number = |key: &str| if let Some(Value::Number(n)) = candidate.get(key) { *n } else { f64::NAN };
            let figures =
                format!("log loss {:.4}, AUC {:.4}, {}", number("log_loss"), number("auc"), text("calibration"));
            self.note(&format!("churn by {}", text("model")), figures);
        }
        if let Some(Value::Text(reason)) = card.get("selection") {
            self.note("picked", reason.clone());
        }
    }

    fn print(&self) -> ExitCode {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(64);
        let (name, found, target) = (width(0), width(1), width(2));
        for row in &self.rows {
            println!("{:name$}  {:>found$}  {:target$}  {}", row[0], row[1], row[2], row[3]);
        }
        if self.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
