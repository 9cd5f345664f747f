//! What a customer bought and returned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::limits;
use crate::domain::money::{Currency, Money};
use crate::domain::payload::Purchase;
use crate::domain::time::Timestamp;

/// All purchases of a customer, summed. A refund changes the money and the items, not the count or the gaps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Purchases {
    /// Purchases, refunds not counted.
    pub count: u64,
    /// Refunds.
    pub refunds: u64,
    /// Money by currency.
    pub totals: BTreeMap<Currency, Totals>,
    /// The currency of the first purchase or refund.
    pub first_currency: Currency,
    /// Quantities bought less quantities returned.
    pub items: f64,
    /// The first purchase.
    pub first: Option<Timestamp>,
    /// The last purchase.
    pub last: Option<Timestamp>,
    /// Amount of the last purchase, in its currency.
    pub last_amount: Money,
    /// Sum of the squared gaps between consecutive purchases, in seconds squared; with the first and last time it
    /// gives their mean and standard deviation.
    pub gap_seconds_squared: u128,
}

/// Money of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Bought.
    pub gross: Money,
    /// Returned.
    pub refunded: Money,
}

impl Totals {
    /// Bought less returned.
    pub fn net(self) -> Money {
        self.gross + -self.refunded
    }
}

impl Purchases {
    /// The money in `currency`, or in the customer's first currency where `currency` is empty.
    pub fn totals_in(&self, currency: &Currency) -> Totals {
        let currency = if currency.is_empty() { &self.first_currency } else { currency };
        self.totals.get(currency).copied().unwrap_or_default()
    }

    /// Mean and standard deviation of the days between consecutive purchases; `None` before the second purchase.
    pub fn gap_days(&self) -> Option<(f64, f64)> {
        let gaps = self.count.checked_sub(1).filter(|gaps| *gaps > 0)? as f64;
        let mean = self.last?.days_since(self.first?) / gaps;
        let mean_square = self.gap_seconds_squared as f64 / (86_400.0 * 86_400.0) / gaps;
        Some((mean, (mean_square - mean * mean).max(0.0).sqrt()))
    }

    pub(in crate::domain) fn fold(&mut self, purchase: &Purchase, time: Timestamp) {
        if self.count + self.refunds == 0 {
            self.first_currency = purchase.currency.clone();
        }
        let totals = self.totals_of(&purchase.currency);
        let quantity: f64 = purchase.items.iter().map(|item| item.quantity).sum();
        if purchase.refund {
            totals.refunded += purchase.revenue;
            self.items -= quantity;
            self.refunds += 1;
            return;
        }
        totals.gross += purchase.revenue;
        self.items += quantity;
        self.count += 1;
        self.last_amount = purchase.revenue;
        if let Some(last) = self.last {
            let gap = u128::from(time.micros_since(last).unsigned_abs() / 1_000_000);
            self.gap_seconds_squared += gap * gap;
        }
        self.first.get_or_insert(time);
        self.last = Some(time);
    }

    fn totals_of(&mut self, currency: &Currency) -> &mut Totals {
        let full = self.totals.len() >= limits::CURRENCIES && !self.totals.contains_key(currency);
        self.totals.entry(if full { Currency::other() } else { currency.clone() }).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchase(amount: f64, refund: bool) -> Purchase {
        Purchase {
            order_id: String::new(),
            revenue: Money::from_units(amount).expect("small"),
            currency: Currency::parse("EUR").expect("a code"),
            items: Vec::new(),
            refund,
        }
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_micros(day * 86_400_000_000)
    }

    #[test]
    fn a_refund_lowers_the_net_amount_and_nothing_else() {
        let mut purchases = Purchases::default();
        purchases.fold(&purchase(30.0, false), day(1));
        purchases.fold(&purchase(10.0, true), day(2));
        let totals = purchases.totals_in(&Currency::default());
        assert_eq!(totals.net().as_units(), 20.0);
        assert_eq!((purchases.count, purchases.refunds, purchases.last), (1, 1, Some(day(1))));
    }

    #[test]
    fn gaps_have_a_mean_and_a_spread() {
        let mut purchases = Purchases::default();
        assert_eq!(purchases.gap_days(), None);
        for at in [0, 10, 30] {
            purchases.fold(&purchase(1.0, false), day(at));
        }
        let (mean, deviation) = purchases.gap_days().expect("two gaps");
        assert!((mean - 15.0).abs() < 1e-9 && (deviation - 5.0).abs() < 1e-9, "{mean} {deviation}");
    }
}
