//! A company whose customers buy, ask for help, state traits and leave: what models of churn learn from.

use anyhow::{Context, ensure};
use rand::Rng;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rapport::domain::event::{Event, EventKey, EventTimes};
use rapport::domain::fold;
use rapport::domain::id::ProfileId;
use rapport::domain::identifier::Identifier;
use rapport::domain::money::{Currency, Money};
use rapport::domain::payload::{ContactKind, Identify, Payload, Purchase, SupportContact, SurveyKind, SurveyResponse};
use rapport::domain::profile::{Profile, State};
use rapport::domain::settings::ChurnDefinition;
use rapport::domain::time::Timestamp;
use rapport::domain::value::{Map, Value};
use rapport::models::churn::{self, ChurnModel};
use rapport::models::examples::{Census, ChurnExamples, ChurnParameters, ChurnPlan};

const CUSTOMERS: usize = 1_500;
const DAYS: f64 = 360.0;
const CHANNELS: [&str; 4] = ["app", "phone", "shop", "web"];
const CITIES: [&str; 8] = ["Aachen", "Bremen", "Celle", "Dresden", "Erfurt", "Fulda", "Gera", "Halle"];

/// Who leaves, and with it which kind of model answers.
#[derive(Clone, Copy)]
pub(crate) enum Law {
    /// Each thing adds its own: regression is right.
    Additive,
    /// Few dear purchases, or many cheap ones: only trees see it.
    Together,
}

/// A trained model with those whom it can be asked about.
pub(crate) struct Company {
    pub(crate) model: ChurnModel,
    pub(crate) states: Vec<State>,
    pub(crate) now: Timestamp,
}

impl Company {
    /// Customers who state `traits` traits each, and the model that a training picks for them.
    pub(crate) fn new(law: Law, traits: usize, seed: u64) -> anyhow::Result<Self> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut customers = Vec::new();
        for number in 0..CUSTOMERS {
            let mut timeline = customer(&mut random, law, traits)?;
            fold::sort(&mut timeline);
            customers.push((Identifier::parse("user_id", &format!("customer-{number}"))?, timeline));
        }
        let states: Vec<State> = customers.iter().map(|(_, timeline)| fold::refold(timeline)).collect();
        let mut census = Census::default();
        for state in &states {
            let mut profile = Profile::new(ProfileId::MIN, Timestamp::MIN);
            profile.state = state.clone();
            census.add(&profile);
        }
        let parameters = ChurnParameters { label: Some("left".to_owned()), folds: Some(2), seed, ..Default::default() };
        let mut examples = ChurnExamples::new(ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census)?);
        for (customer, timeline) in &customers {
            examples.add(customer, timeline);
        }
        let trained = churn::train(&examples, None, &())?;
        let expected = match law {
            Law::Additive => "logistic_regression",
            Law::Together => "boosted_trees",
        };
        ensure!(
            trained.card.get("model") == Some(&Value::Text(expected.to_owned())),
            "the picked model is another one"
        );
        Ok(Self { model: trained.model, states, now: day(DAYS) })
    }
}

fn customer(random: &mut impl Rng, law: Law, traits: usize) -> anyhow::Result<Vec<Event>> {
    let (purchases, price) = (random.gen_range(1..=12), random.gen_range(5.0..200.0));
    let mut timeline = Vec::new();
    for _ in 0..purchases {
        let revenue = Money::from_units(price * random.gen_range(0.8..1.2)).context("an amount is too large")?;
        timeline.push(happens(random, Payload::Purchase(order(revenue)?)));
    }
    for _ in 0..random.gen_range(0..3) {
        let wait_seconds = random.gen_range(0.0..900.0);
        timeline.push(happens(random, Payload::SupportContact(contact(wait_seconds))));
    }
    if random.r#gen() {
        let score = f64::from(random.gen_range(1..=5));
        let answer = SurveyResponse { kind: SurveyKind::Csat, score, comment: String::new(), case_id: String::new() };
        timeline.push(happens(random, Payload::SurveyResponse(answer)));
    }
    let log_odds = match law {
        Law::Additive => 0.3 * (6.5 - f64::from(purchases)) + 0.01 * (100.0 - price),
        Law::Together if (purchases > 6) == (price > 100.0) => -2.0,
        Law::Together => 2.0,
    };
    let mut stated: Map = (0..traits).map(|number| stated(number, random)).collect();
    stated.insert("left".to_owned(), Value::Bool(random.r#gen_bool(1.0 / (1.0 + f64::exp(-log_odds)))));
    timeline.push(happens(random, Payload::Identify(Identify { traits: stated, traits_once: Map::new() })));
    Ok(timeline)
}

/// Numbers, booleans and categories in turn; one in ten customers does not state it.
fn stated(number: usize, random: &mut impl Rng) -> (String, Value) {
    let value = match number % 3 {
        _ if random.gen_range(0..10) == 0 => Value::Null,
        0 => Value::Number(random.gen_range(0.0..1_000.0)),
        1 => Value::Bool(random.r#gen()),
        _ => Value::Text(CITIES[random.gen_range(0..CITIES.len())].to_owned()),
    };
    (format!("trait_{number:02}"), value)
}

fn happens(random: &mut impl Rng, payload: Payload) -> Event {
    let time = day(random.gen_range(0.0..DAYS));
    Event {
        key: EventKey { source: "bench".into(), event_id: format!("{:016x}", random.r#gen::<u64>()).into() },
        identifiers: Vec::new(),
        times: EventTimes::resolve(Some(time), None, time),
        channel: CHANNELS[random.gen_range(0..CHANNELS.len())].into(),
        source_priority: 0,
        touchpoint: Default::default(),
        payload,
    }
}

fn order(revenue: Money) -> anyhow::Result<Purchase> {
    let currency = Currency::parse("EUR").context("a currency")?;
    Ok(Purchase { order_id: String::new(), revenue, currency, items: Vec::new(), refund: false })
}

fn contact(wait_seconds: f64) -> SupportContact {
    SupportContact {
        case_id: String::new(),
        topic: "delivery".to_owned(),
        agent: String::new(),
        kind: ContactKind::Opened,
        transfers: 0,
        resolved: true,
        reopened: false,
        wait_seconds,
        handle_seconds: 60.0,
        text: String::new(),
    }
}

fn day(day: f64) -> Timestamp {
    Timestamp::from_micros((day * 86_400e6) as i64)
}
