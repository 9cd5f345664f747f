//! Money in fixed point, so that sums are exact and independent of order.

use std::fmt;
use std::ops::{Add, AddAssign, Neg};

use serde::{Deserialize, Serialize};

use super::limits;

const MICROS_PER_UNIT: f64 = 1e6;

/// An amount of money in millionths of its currency's unit.
///
/// An `i128` holds ten billion amounts of the largest size without overflow; a sum saturates rather than wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Money(i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount from units of the currency, rounded to the millionth, or `None` when it is not finite or larger
    /// than [`limits::AMOUNT`].
    pub fn from_units(units: f64) -> Option<Self> {
        (units.abs() <= limits::AMOUNT).then(|| Self((units * MICROS_PER_UNIT).round() as i128))
    }

    /// The amount in units of its currency, as near as an `f64` comes.
    pub fn as_units(self) -> f64 {
        self.0 as f64 / MICROS_PER_UNIT
    }

    /// True for amounts below nothing.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// An ISO 4217 code in upper case, or empty where the caller named none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Currency(String);

impl Currency {
    /// A currency from a code of three letters in any case; empty stays empty; anything else is `None`.
    pub fn parse(code: &str) -> Option<Self> {
        let well_formed = code.is_empty() || (code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic()));
        well_formed.then(|| Self(code.to_ascii_uppercase()))
    }

    /// The name under which currencies beyond a profile's limit are counted.
    pub fn other() -> Self {
        Self(limits::OTHER.to_owned())
    }

    /// The code, or an empty text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True where the caller named no currency.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_cents_three_times_are_thirty_cents_exactly() {
        let cents = Money::from_units(0.1).expect("small");
        assert_eq!(cents + cents + cents, Money::from_units(0.3).expect("small"));
    }

    #[test]
    fn amounts_that_are_no_amounts_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e9 + 1.0] {
            assert_eq!(Money::from_units(bad), None);
        }
    }
}
