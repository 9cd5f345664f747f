//! Who is learned from: what customers had bought at a cut-off, and what they bought after it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::event::Event;
use crate::domain::fold::fold;
use crate::domain::history::Whole;
use crate::domain::money::Currency;
use crate::domain::payload::{Payload, Purchase};
use crate::domain::profile::State;
use crate::domain::settings::{ChurnDefinition, Settings};
use crate::domain::time::Timestamp;
use crate::models::customer_key::CustomerKey;
use crate::models::error::Error;
use crate::models::examples::{Census, ChurnParameters};
use crate::models::repurchase::{History, Spend};
use crate::models::thinning::Thinned;

/// Customers that are kept.
const CUSTOMERS_MAX: usize = 200_000;

/// How many customers began to pay in which currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Currencies(BTreeMap<Currency, u64>);

impl Currencies {
    /// Counts one customer.
    pub fn add(&mut self, state: &State) {
        if state.purchases.count > 0 {
            *self.0.entry(state.purchases.first_currency.clone()).or_default() += 1;
        }
    }

    /// The one that most customers began with; of two as frequent ones the first by its code.
    fn most_frequent(&self) -> Currency {
        let most = self.0.values().max();
        self.0.iter().find(|entry| Some(entry.1) == most).map(|entry| entry.0.clone()).unwrap_or_default()
    }
}

/// Where the past ends and how far the future reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePlan {
    pub(super) cutoff: Timestamp,
    pub(super) horizon: Duration,
    pub(super) currency: Currency,
    pub(super) seed: u64,
}

impl ValuePlan {
    /// The latest cut-off whose horizon the data cover. The horizon is that of churn unless `parameters` have another;
    /// amounts are in the workspace's currency, or where that is unset in the most frequent one.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] where the data do not reach over a cut-off and the horizon after it.
    pub fn new(
        settings: &Settings,
        parameters: &ChurnParameters,
        census: &Census,
        currencies: &Currencies,
    ) -> Result<Self, Error> {
        let ChurnDefinition { horizon, .. } = settings.churn;
        let horizon = parameters.horizon.unwrap_or(horizon);
        let (Some(first), Some(last)) = (census.first_time, census.last_time) else {
            return Err(Error::NotEnoughData("there are no events to learn from".to_owned()));
        };
        let cutoff = last.minus(horizon);
        if cutoff <= first.max(parameters.earliest) {
            return Err(Error::NotEnoughData(format!(
                "the events reach from {} to {}, which leaves nothing before the last {} days to learn from",
                first.max(parameters.earliest).rfc3339(),
                last.rfc3339(),
                super::days_of(horizon)
            )));
        }
        let currency =
            if settings.currency.is_empty() { currencies.most_frequent() } else { settings.currency.clone() };
        Ok(Self { cutoff, horizon, currency, seed: parameters.seed })
    }
}

/// The customers of one training.
#[derive(Debug, Clone)]
pub struct Buyers {
    plan: ValuePlan,
    rows: Thinned<Buyer>,
}

/// A customer at the cut-off, and what came after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Buyer {
    pub(super) history: History,
    pub(super) spend: Spend,
    /// Purchases within the horizon after the cut-off.
    pub(super) purchases_after: f64,
    /// What these brought, less what was returned meanwhile.
    pub(super) revenue_after: f64,
}

impl Buyers {
    /// Nobody yet.
    pub fn new(plan: ValuePlan) -> Self {
        Self { plan, rows: Thinned::new(CUSTOMERS_MAX) }
    }

    /// Adds a customer, unless they had not bought anything at the cut-off or what they had bought is not kept.
    pub fn add(&mut self, customer: impl Into<CustomerKey>, history: &Whole) {
        let ValuePlan { cutoff, horizon, .. } = self.plan;
        if !history.reaches_back_to(cutoff) {
            return;
        }
        let mut state = history.base.as_ref().map(|base| base.state.clone()).unwrap_or_default();
        let past = history.events.partition_point(|event| event.times.event <= cutoff);
        history.events[..past].iter().for_each(|event| fold(&mut state, event));
        let Some(bought) = super::history(&state, cutoff) else { return };
        let end = cutoff.plus(horizon);
        let after = history.events[past..].iter().take_while(|event| event.times.event <= end);
        let mut buyer = Buyer {
            history: bought,
            spend: super::spend(&state, &self.plan.currency),
            purchases_after: 0.0,
            revenue_after: 0.0,
        };
        after.filter_map(purchase).for_each(|purchase| self.plan.count(purchase, &mut buyer));
        self.rows.add(customer.into().seeded(self.plan.seed), [buyer]);
    }

    pub(super) fn plan(&self) -> &ValuePlan {
        &self.plan
    }

    /// The customers in an order that does not depend on the order in which they came.
    pub(super) fn sorted(&self) -> Vec<Buyer> {
        self.rows.sorted().into_iter().map(|(_, buyer)| *buyer).collect()
    }

    /// The share of customers that is kept, 1 for all.
    pub(super) fn kept_share(&self) -> f64 {
        self.rows.kept_share()
    }
}

impl ValuePlan {
    fn count(&self, purchase: &Purchase, buyer: &mut Buyer) {
        let is_counted = purchase.currency.is_empty() || purchase.currency == self.currency;
        let amount = if is_counted { purchase.revenue.as_units() } else { 0.0 };
        if purchase.refund {
            buyer.revenue_after -= amount;
        } else {
            buyer.purchases_after += 1.0;
            buyer.revenue_after += amount;
        }
    }
}

fn purchase(event: &Event) -> Option<&Purchase> {
    match &event.payload {
        Payload::Purchase(purchase) => Some(purchase),
        _ => None,
    }
}
