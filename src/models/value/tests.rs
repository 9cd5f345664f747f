use rand::Rng;

use super::*;
use crate::domain::history::Whole;
use crate::domain::settings::Settings;
use crate::models::artifact::{self, ArtifactError, Model};
use crate::models::customer_key::CustomerKey;
use crate::models::examples::ChurnParameters;
use crate::models::fixture::{Customer, census, day, id, profiles, purchase, refund, state, value};
use crate::models::sampling::{Purpose, generator};
use crate::models::tests::held::held;

/// The law that the customers below follow.
const TRUTH: BgNbd = BgNbd { r: 2.0, alpha: 6.0, a: 1.0, b: 4.0 };
const SPEND: GammaGamma = GammaGamma { p: 4.0, q: 5.0, gamma: 40.0 };
const WATCHED_DAYS: f64 = 600.0;

/// A draw of a gamma distribution of a whole shape and rate 1.
fn gamma(random: &mut impl Rng, shape: u32) -> f64 {
    (0..shape).map(|_| -random.r#gen::<f64>().max(1e-12).ln()).sum()
}

/// Customers who come in the first 200 days, buy at their own pace and leave after a purchase, as BG/NBD has it, and spend
/// as Gamma-Gamma has it.
fn shop(customers: u128) -> Vec<Customer> {
    let customer = |number: u128| {
        let mut random = generator(31, Purpose::Rows, number as u64);
        let pace = gamma(&mut random, 2) / (TRUTH.alpha * WEEK_DAYS);
        let (one, other) = (gamma(&mut random, 1), gamma(&mut random, 4));
        let leaves = one / (one + other);
        let rate = gamma(&mut random, 5) / SPEND.gamma;
        let mut at = (200.0 * random.r#gen::<f64>() * 1e3).round() / 1e3;
        let mut timeline = Vec::new();
        loop {
            timeline.push(purchase(at, gamma(&mut random, 4) / rate));
            // Nobody leaves after the first purchase.
            if timeline.len() > 1 && random.r#gen::<f64>() < leaves {
                break;
            }
            at += (1e-4f64).max(-random.r#gen::<f64>().max(1e-12).ln() / pace);
            if at > WATCHED_DAYS {
                break;
            }
        }
        (id(number + 1), timeline)
    };
    (0..customers).map(customer).collect()
}

fn plan(customers: &[Customer]) -> Result<ValuePlan, Error> {
    let mut currencies = Currencies::default();
    customers.iter().for_each(|(_, timeline)| currencies.add(&state(timeline)));
    let parameters = ChurnParameters { horizon: Some(days(180)), seed: 3, ..Default::default() };
    ValuePlan::new(&Settings::default(), &parameters, &census(customers), &currencies)
}

fn learn(customers: &[Customer], previous: Option<&ValueModel>) -> Result<TrainedValue, Error> {
    let mut buyers = Buyers::new(plan(customers)?);
    for (id, timeline) in customers {
        buyers.add(*id, &Whole { base: None, events: timeline.clone() });
    }
    train(&buyers, previous, &())
}

#[test]
fn the_fixture_of_value_answers_as_it_did() {
    let customers = shop(400);
    held("value", &Model::Value(learn(&customers, None).expect("enough buyers").model), |model| {
        let Model::Value(model) = model else { return String::new() };
        let answer = |(_, timeline): &Customer| {
            let answer = model.predict(&state(timeline), day(WATCHED_DAYS), None);
            let worth = answer.worth.expect("a currency");
            let [order, lifetime] = [worth.order_value, worth.lifetime_value];
            format!("{:.9} {:.9} {order:.9} {lifetime:.9}\n", answer.alive, answer.expected_purchases)
        };
        customers[..6].iter().map(answer).collect()
    });
}

#[test]
fn the_law_that_customers_follow_is_found_and_so_is_what_they_buy_later() {
    let trained = learn(&shop(6_000), None).expect("enough customers");
    let ValueModel { purchases, spend, .. } = &trained.model;
    let spend = spend.as_ref().expect("amounts");
    assert_eq!(spend.currency.as_str(), "EUR");
    for (found, true_one) in [
        (purchases.r / purchases.alpha, TRUTH.r / TRUTH.alpha),
        (purchases.r, TRUTH.r),
        (purchases.a / (purchases.a + purchases.b), TRUTH.a / (TRUTH.a + TRUTH.b)),
        (spend.model.p, SPEND.p),
        (spend.model.q, SPEND.q),
    ] {
        assert!((found / true_one - 1.0).abs() < 0.15, "{found} for {true_one}: {trained:?}");
    }
    let card = &trained.card;
    assert!(trained.promote, "{:?}", card["gate"]);
    assert!((0.93..1.07).contains(&value(card, "purchases_ratio")), "{}", value(card, "purchases_ratio"));
    assert!((0.9..1.1).contains(&value(card, "revenue_ratio")), "{}", value(card, "revenue_ratio"));
    assert!(value(card, "auc") > value(card, "recency_baseline_auc") && value(card, "deviance_explained") > 0.2);
    assert!(value(card, "spend_frequency_correlation").abs() < 0.05);
}

#[test]
fn a_customer_is_worth_what_they_are_expected_to_buy() {
    let model = learn(&shop(1_500), None).expect("enough customers").model;
    let at = |timeline: &[_], now| model.predict(&state(timeline), day(now), None);
    let regular: Vec<_> = (0..20).map(|n| purchase(f64::from(n) * 20.0, 30.0)).collect();
    let found = at(&regular, 385.0);
    assert_eq!((found.status, found.horizon), (PredictionStatus::Ok, days(180)));
    assert!(found.alive > 0.5 && found.expected_purchases > 2.0, "{found:?}");
    let worth = found.worth.expect("amounts");
    assert!((25.0..35.0).contains(&worth.order_value) && worth.currency.as_str() == "EUR", "{worth:?}");
    // Three years bring more than half a year does, and less than six times as much.
    let half_a_year = found.expected_purchases * worth.order_value;
    assert!((half_a_year..6.0 * half_a_year).contains(&worth.lifetime_value), "{worth:?}");
    // Who falls silent although nothing is written is likelier gone, and worth less.
    let silent = at(&regular, 700.0);
    assert!(silent.alive < 0.2 * found.alive && silent.expected_purchases < 0.3 * found.expected_purchases);
    let longer = model.predict(&state(&regular), day(385.0), Some(days(360)));
    assert!(longer.expected_purchases > 1.5 * found.expected_purchases && longer.horizon == days(360));
}

#[test]
fn whoever_never_bought_has_no_value_and_odd_histories_have_finite_ones() {
    let model = learn(&shop(1_500), None).expect("enough customers").model;
    let unknown = model.predict(&state(&[]), day(1.0), None);
    assert_eq!((unknown.status, unknown.worth), (PredictionStatus::InsufficientData, None));
    for (timeline, now) in [
        (vec![refund(1.0, 5.0)], 2.0),
        (vec![purchase(1.0, 5.0)], 0.0),
        (vec![purchase(1.0, 0.0), purchase(1.000_1, 0.0)], 1e5),
        (vec![purchase(1.0, 5.0), refund(2.0, 500.0)], 2.0),
        ((0..3_000).map(|n| purchase(f64::from(n) * 1e-3, 1e6)).collect(), 3.0),
    ] {
        let found = model.predict(&state(&timeline), day(now), Some(days(730)));
        let worth = found.worth.as_ref().map_or([0.0, 0.0], |worth| [worth.order_value, worth.lifetime_value]);
        let figures = [found.alive, found.expected_purchases, worth[0], worth[1]];
        assert!(figures.iter().all(|figure| figure.is_finite() && *figure >= 0.0), "{found:?}");
        assert!(found.alive <= 1.0);
    }
}

#[test]
fn what_comes_after_the_cutoff_changes_no_fit() {
    let customers = shop(800);
    let cutoff = plan(&customers).expect("long enough").cutoff;
    let planted: Vec<Customer> = customers
        .iter()
        .map(|(id, timeline)| {
            let mut timeline = timeline.clone();
            timeline.retain(|event| event.times.event <= cutoff);
            timeline.push(purchase(WATCHED_DAYS - 1e-3, 1e6));
            (*id, timeline)
        })
        .collect();
    let fit = |customers: &[Customer]| {
        let mut buyers = Buyers::new(ValuePlan { cutoff, ..plan(customers).expect("long enough") });
        customers.iter().for_each(|(id, events)| buyers.add(*id, &Whole { base: None, events: events.clone() }));
        train(&buyers, None, &()).expect("enough customers")
    };
    let (honest, leaking) = (fit(&customers), fit(&planted));
    assert_eq!(honest.model, leaking.model);
    assert_ne!(honest.metrics, leaking.metrics);
}

#[test]
fn the_same_purchases_make_the_same_model_and_its_bytes_come_back() {
    let customers = shop(600);
    let model = |first_id: u128| {
        let mut buyers = Buyers::new(plan(&customers).expect("long enough"));
        let mut profiles = profiles(&customers, first_id);
        profiles.sort_by_key(|(profile, _)| profile.id);
        for (profile, events) in profiles {
            buyers.add(CustomerKey::from(&profile), &Whole { base: None, events: events.to_vec() });
        }
        Model::Value(train(&buyers, None, &()).expect("enough customers").model)
    };
    let (one, other) = (artifact::encode(&model(1)), artifact::encode(&model(50_000)));
    assert!(one == other);
    assert_eq!(artifact::decode(&one), Ok(model(1)));
    let Model::Value(mut broken) = model(1) else { panic!("another kind") };
    broken.purchases.r = f64::NAN;
    assert_eq!(artifact::decode(&artifact::encode(&Model::Value(broken))), Err(ArtifactError::Unservable));
}

#[test]
fn a_worse_model_does_not_replace_a_better_one() {
    let customers = shop(2_000);
    let good = learn(&customers, None).expect("enough customers").model;
    let mut buyers = Buyers::new(plan(&customers).expect("long enough"));
    customers.iter().for_each(|(id, events)| buyers.add(*id, &Whole { base: None, events: events.clone() }));
    let slow = ValueModel { purchases: BgNbd { alpha: 40.0, ..good.purchases }, ..good.clone() };
    let rows = buyers.sorted();
    assert!(!gate::judge(&buyers, &rows, slow.clone(), Some(&good)).promote);
    assert!(gate::judge(&buyers, &rows, good, Some(&slow)).promote);
}

#[test]
fn amounts_that_are_none_leave_the_purchases() {
    let customers: Vec<Customer> = shop(600)
        .into_iter()
        .map(|(id, timeline)| {
            let free = timeline.iter().map(|event| purchase(event.times.event.days_since(day(0.0)), 0.0));
            (id, free.collect())
        })
        .collect();
    let trained = learn(&customers, None).expect("enough customers");
    assert!(trained.model.spend.is_none() && !trained.metrics.contains_key("revenue_ratio"));
    let found = trained.model.predict(&state(&customers[0].1), day(WATCHED_DAYS), None);
    assert!(found.status == PredictionStatus::Ok && found.worth.is_none());
}

#[test]
fn too_little_is_not_enough() {
    assert!(matches!(learn(&[], None), Err(Error::NotEnoughData(_))));
    let short = [(id(1), vec![purchase(1.0, 5.0), purchase(100.0, 5.0)])];
    assert!(matches!(learn(&short, None), Err(Error::NotEnoughData(message)) if message.contains("180 days")));
    assert!(matches!(learn(&shop(60), None), Err(Error::NotEnoughData(message)) if message.contains("100 customers")));
    let once: Vec<Customer> = (0..300)
        .map(|n| (id(n), vec![purchase(n as f64, 5.0)]))
        .chain([(id(999), vec![purchase(599.0, 1.0)])])
        .collect();
    assert!(matches!(learn(&once, None), Err(Error::NotEnoughData(message)) if message.contains("bought again")));
}
