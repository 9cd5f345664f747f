//! What a customer is worth.

use super::bg_nbd::{BgNbd, History};

/// How far ahead a customer's purchases count, and how much less later ones do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Periods {
    /// How many periods.
    pub count: u32,
    /// How long each is, in the unit of time of the histories.
    pub length: f64,
    /// Interest per period; purchases within a period count at its end.
    pub discount: f64,
}

/// The present value of a customer's future purchases, each of `value` (Fader, Hardie and Lee 2005, "RFM and CLV").
pub fn lifetime_value(model: &BgNbd, history: &History, value: f64, periods: &Periods) -> f64 {
    let (mut before, mut worth, mut factor) = (0.0, 0.0, 1.0);
    for period in 1..=periods.count {
        let until = model.expected_purchases(history, f64::from(period) * periods.length);
        factor /= 1.0 + periods.discount;
        worth += factor * (until - before);
        before = until;
    }
    value * worth
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: BgNbd = BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };
    const HISTORY: History = History { repeats: 2, last: 30.43, observed: 38.86 };

    #[test]
    fn without_interest_it_is_purchases_times_value() {
        let found = lifetime_value(&MODEL, &HISTORY, 35.0, &Periods { count: 12, length: 4.0, discount: 0.0 });
        assert!((found - 35.0 * MODEL.expected_purchases(&HISTORY, 48.0)).abs() < 1e-9);
    }

    #[test]
    fn interest_counts_from_the_end_of_each_period() {
        let found = lifetime_value(&MODEL, &HISTORY, 10.0, &Periods { count: 2, length: 5.0, discount: 0.1 });
        let [first, both] = [5.0, 10.0].map(|horizon| MODEL.expected_purchases(&HISTORY, horizon));
        assert!((found - 10.0 * (first / 1.1 + (both - first) / 1.21)).abs() < 1e-9);
    }
}
