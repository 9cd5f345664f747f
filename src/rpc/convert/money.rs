//! Amounts and currencies.

use crate::domain::limits;
use crate::domain::money::{Currency, Money};
use crate::domain::violation::Violations;

/// An amount that a caller sent; one that is not finite or too large is a violation of `field`, and read as nothing.
/// Whether it may be negative is the domain's to say.
pub(in crate::rpc) fn amount(units: f64, field: &str, violations: &mut Violations) -> Money {
    Money::from_units(units).unwrap_or_else(|| {
        violations.add(field, format!("must be a finite number of at most {} in absolute value", limits::AMOUNT));
        Money::ZERO
    })
}

/// A currency that a caller sent; what is no code is a violation of `field`, and read as none.
pub(in crate::rpc) fn currency(code: &str, field: &str, violations: &mut Violations) -> Currency {
    Currency::parse(code).unwrap_or_else(|| {
        violations.add(field, "must be an ISO 4217 code of three letters, or empty");
        Currency::default()
    })
}
