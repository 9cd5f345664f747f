//! What a customer bought and returned.

use std::collections::BTreeMap;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::{join, map};
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
    /// Money by currency; what named no currency stands under the empty one.
    #[serde(deserialize_with = "map::read")]
    pub totals: LiteMap<Currency, Totals>,
    /// The first currency that a purchase or refund named.
    pub first_currency: Currency,
    /// Quantities bought less quantities returned.
    pub items: f64,
    /// The first purchase.
    pub first: Option<Timestamp>,
    /// The last purchase.
    pub last: Option<Timestamp>,
    /// Sum of the squared gaps between consecutive purchases, in seconds squared; with the first and last time it
    /// gives their mean and standard deviation.
    pub gap_seconds_squared: u128,
}

/// Money of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Purchases.
    pub purchases: u64,
    /// Refunds.
    pub refunds: u64,
    /// Amount of the last purchase.
    pub last_amount: Money,
    /// When that was; absent before the first purchase.
    pub last: Option<Timestamp>,
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

    fn add(&mut self, other: &Self) {
        self.purchases += other.purchases;
        self.refunds += other.refunds;
        self.gross += other.gross;
        self.refunded += other.refunded;
        if other.last > self.last {
            (self.last, self.last_amount) = (other.last, other.last_amount);
        }
    }

    /// Of two last purchases of the same moment the dearer one is taken for the last.
    fn join(&mut self, other: &Self) {
        let last = (self.last, self.last_amount).max((other.last, other.last_amount));
        self.add(other);
        (self.last, self.last_amount) = last;
    }
}

impl Purchases {
    /// The currency in which the customer's money is stated: the workspace's, or where that is unset the customer's
    /// first.
    pub fn currency<'a>(&'a self, workspace: &'a Currency) -> &'a Currency {
        if workspace.is_empty() { &self.first_currency } else { workspace }
    }

    /// Money by currency. What named no currency was paid in that of [`Purchases::currency`].
    pub fn by_currency(&self, workspace: &Currency) -> BTreeMap<Currency, Totals> {
        let unnamed = self.currency(workspace);
        let mut sums: BTreeMap<Currency, Totals> = BTreeMap::new();
        for (named, totals) in self.totals.iter() {
            let currency = if named.is_empty() { unnamed } else { named };
            sums.entry(currency.clone()).or_default().add(totals);
        }
        sums
    }

    /// The money in the currency of [`Purchases::currency`].
    pub fn main_totals(&self, workspace: &Currency) -> Totals {
        let currency = self.currency(workspace);
        let mut sum = Totals::default();
        for (_, totals) in self.totals.iter().filter(|(named, _)| *named == currency || named.is_empty()) {
            sum.add(totals);
        }
        sum
    }

    /// Mean and standard deviation of the days between consecutive purchases; `None` before the second purchase.
    pub fn gap_days(&self) -> Option<(f64, f64)> {
        let gaps = self.count.checked_sub(1).filter(|gaps| *gaps > 0)? as f64;
        let mean = self.last?.days_since(self.first?) / gaps;
        let mean_square = self.gap_seconds_squared as f64 / (86_400.0 * 86_400.0) / gaps;
        Some((mean, (mean_square - mean * mean).max(0.0).sqrt()))
    }

    pub(in crate::domain) fn fold(&mut self, purchase: &Purchase, time: Timestamp) {
        if self.first_currency.is_empty() {
            self.first_currency = purchase.currency.clone();
        }
        let totals = self.totals_of(&purchase.currency);
        let quantity: f64 = purchase.items.iter().map(|item| item.quantity).sum();
        if purchase.refund {
            totals.refunded += purchase.revenue;
            totals.refunds += 1;
            self.items -= quantity;
            self.refunds += 1;
            return;
        }
        totals.gross += purchase.revenue;
        totals.purchases += 1;
        (totals.last, totals.last_amount) = (Some(time), purchase.revenue);
        self.items += quantity;
        self.count += 1;
        if let Some(last) = self.last {
            let gap = u128::from(time.micros_since(last).unsigned_abs() / 1_000_000);
            self.gap_seconds_squared += gap * gap;
        }
        self.first.get_or_insert(time);
        self.last = Some(time);
    }

    /// Takes over what another history of the customer adds up to.
    pub(super) fn join(&mut self, other: Self) {
        self.count += other.count;
        self.refunds += other.refunds;
        let rest = (limits::CURRENCIES, &Currency::other());
        join::by_name(&mut self.totals, other.totals, rest, |own, other| own.join(&other));
        let first = [&self.first_currency, &other.first_currency].into_iter().filter(|named| !named.is_empty()).min();
        self.first_currency = first.cloned().unwrap_or_default();
        self.items = join::sum(self.items, other.items);
        join::both(&mut self.first, other.first, |own, other| *own = other.min(*own));
        self.last = self.last.max(other.last);
        self.gap_seconds_squared = self.gap_seconds_squared.saturating_add(other.gap_seconds_squared);
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
        let totals = purchases.main_totals(&Currency::default());
        assert_eq!(totals.net().as_units(), 20.0);
        assert_eq!((purchases.count, purchases.refunds, purchases.last), (1, 1, Some(day(1))));
    }

    #[test]
    fn what_names_no_currency_was_paid_in_the_customers_first_named_one() {
        let mut purchases = Purchases::default();
        let unnamed = Purchase { currency: Currency::default(), ..purchase(5.0, false) };
        purchases.fold(&unnamed, day(1));
        purchases.fold(&purchase(7.0, false), day(2));
        let yen = Purchase { currency: Currency::parse("JPY").expect("a code"), ..purchase(900.0, false) };
        purchases.fold(&yen, day(3));
        let euro = purchases.main_totals(&Currency::default());
        assert_eq!((euro.net().as_units(), euro.purchases, euro.last_amount.as_units()), (12.0, 2, 7.0));
        let by_currency = purchases.by_currency(&Currency::default());
        assert_eq!(by_currency.keys().map(Currency::as_str).collect::<Vec<_>>(), ["EUR", "JPY"]);
        assert_eq!(by_currency[&Currency::parse("EUR").expect("a code")], euro);
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
