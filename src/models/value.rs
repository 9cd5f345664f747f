//! What customers without a contract will buy, and what that is worth: BG/NBD and Gamma-Gamma ([`super::repurchase`])
//! fitted on purchases up to a cut-off and judged by those after it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::{Error, Progress, report};
use super::repurchase::{BgNbd, GammaGamma, History, Periods, Spend, lifetime_value};
use crate::domain::money::Currency;
use crate::domain::prediction::{PredictionStatus, ValuePrediction, Worth};
use crate::domain::profile::State;
use crate::domain::time::{Timestamp, days};
use crate::domain::value::Map;

mod buyers;
mod gate;
#[cfg(test)]
mod tests;

pub use buyers::{Buyers, Currencies, ValuePlan};

/// Customers who bought before the cut-off below whom nothing is learned.
pub const CUSTOMERS_MIN: usize = 100;
/// Customers that are fitted: the few parameters do not become better with more.
const FITTED_MAX: usize = 20_000;
/// How far ahead a lifetime is counted. Beyond it, a market has changed more than any customer.
const LIFETIME: Duration = days(3 * 365);
/// Parts of a lifetime whose purchases count at their end.
const LIFETIME_PERIODS: u32 = 36;
/// Interest per year.
const ANNUAL_DISCOUNT_RATE: f64 = 0.1;
const YEAR_DAYS: f64 = 365.0;
const WEEK_DAYS: f64 = 7.0;

/// A trained model of purchases and their worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValueModel {
    purchases: BgNbd,
    /// `None` where too few customers have purchases with an amount.
    spend: Option<Spending>,
    /// How far ahead it was judged, and looks unless it is asked otherwise.
    horizon: Duration,
}

/// What purchases are worth in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Spending {
    model: GammaGamma,
    currency: Currency,
}

/// What a training of purchases made.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedValue {
    /// The model.
    pub model: ValueModel,
    /// What it was trained on and how good it is.
    pub card: Map,
    /// The figures of the card, each with its 95 % interval.
    pub metrics: Map,
    /// Whether it is good enough to answer.
    pub promote: bool,
}

impl ValueModel {
    /// What a customer will buy from `now` on within a horizon, and what that is worth. `INSUFFICIENT_DATA` for a customer
    /// who never bought: there is no rhythm to go on with.
    ///
    /// A customer who paid in other currencies only is expected to spend per purchase what everyone does.
    pub fn predict(&self, state: &State, now: Timestamp, horizon: Option<Duration>) -> ValuePrediction {
        let horizon = horizon.unwrap_or(self.horizon);
        let Some(history) = history(state, now) else {
            let status = PredictionStatus::InsufficientData;
            return ValuePrediction { status, alive: 0.0, expected_purchases: 0.0, horizon, worth: None };
        };
        let worth = self.spend.as_ref().map(|spending| {
            let order_value = spending.model.expected_value(&spend(state, &spending.currency));
            Worth {
                currency: spending.currency.clone(),
                order_value,
                lifetime_value: lifetime_value(&self.purchases, &history, order_value, &lifetime()),
                lifetime_horizon: LIFETIME,
                annual_discount_rate: ANNUAL_DISCOUNT_RATE,
            }
        });
        ValuePrediction {
            status: PredictionStatus::Ok,
            alive: self.purchases.alive(&history),
            expected_purchases: self.purchases.expected_purchases(&history, weeks(horizon)),
            horizon,
            worth,
        }
    }

    /// Whether it answers with numbers.
    pub(super) fn is_sound(&self) -> bool {
        self.purchases.is_sound() && self.spend.as_ref().is_none_or(|spending| spending.model.is_sound())
    }
}

/// A lifetime in weeks, with the interest of each of its periods.
fn lifetime() -> Periods {
    let years = days_of(LIFETIME) / YEAR_DAYS / f64::from(LIFETIME_PERIODS);
    Periods {
        count: LIFETIME_PERIODS,
        length: weeks(LIFETIME) / f64::from(LIFETIME_PERIODS),
        discount: (1.0 + ANNUAL_DISCOUNT_RATE).powf(years) - 1.0,
    }
}

/// When a customer bought, in weeks; `None` for one who never did. A clock can put a purchase ahead of us, and then the
/// customer is watched until it.
fn history(state: &State, now: Timestamp) -> Option<History> {
    let purchases = &state.purchases;
    let (first, last) = (purchases.first?, purchases.last?);
    let repeats = u32::try_from(purchases.count.saturating_sub(1)).unwrap_or(u32::MAX);
    let until = |time: Timestamp| time.days_since(first).max(0.0) / WEEK_DAYS;
    let last = if repeats == 0 { 0.0 } else { until(last) };
    Some(History { repeats, last, observed: until(now).max(last) })
}

/// What a customer spent per purchase in a currency, returns taken off. All purchases count, the first one too: a profile
/// keeps their sum.
fn spend(state: &State, currency: &Currency) -> Spend {
    let totals = state.purchases.main_totals(currency);
    let purchases = u32::try_from(totals.purchases).unwrap_or(u32::MAX);
    let mean = if purchases == 0 { 0.0 } else { totals.net().as_units().max(0.0) / f64::from(purchases) };
    Spend { purchases, mean }
}

fn days_of(duration: Duration) -> f64 {
    duration.as_secs_f64() / 86_400.0
}

fn weeks(duration: Duration) -> f64 {
    days_of(duration) / WEEK_DAYS
}

/// Fits purchases up to the cut-off and judges the model by those after it, beside the `previous` one.
///
/// # Errors
/// [`Error::NotEnoughData`] with fewer than [`CUSTOMERS_MIN`] customers who bought before the cut-off, or fewer than ten
/// of them who bought again; [`Error::Cancelled`] when `progress` asks to stop.
pub fn train(buyers: &Buyers, previous: Option<&ValueModel>, progress: &dyn Progress) -> Result<TrainedValue, Error> {
    report(progress, 0.0)?;
    let rows = buyers.sorted();
    if rows.len() < CUSTOMERS_MIN {
        return Err(Error::NotEnoughData(format!(
            "a model of value needs {CUSTOMERS_MIN} customers who bought before the cut-off {}, but there are {}",
            buyers.plan().cutoff.rfc3339(),
            rows.len()
        )));
    }
    let fitted = &rows[..rows.len().min(FITTED_MAX)];
    let histories: Vec<History> = fitted.iter().map(|buyer| buyer.history).collect();
    let purchases = BgNbd::fit(&histories)?;
    report(progress, 0.6)?;
    let paid: Vec<Spend> = fitted.iter().map(|buyer| buyer.spend).filter(|spend| spend.mean > 0.0).collect();
    let spend = match GammaGamma::fit(&paid) {
        Ok(model) => Some(Spending { model, currency: buyers.plan().currency.clone() }),
        Err(Error::NotEnoughData(_)) => None,
        Err(error) => return Err(error),
    };
    report(progress, 0.8)?;
    let model = ValueModel { purchases, spend, horizon: buyers.plan().horizon };
    let trained = gate::judge(buyers, &rows, model, previous);
    report(progress, 1.0)?;
    Ok(trained)
}
