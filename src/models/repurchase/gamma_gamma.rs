//! Gamma-Gamma: what customers spend per purchase, independent of how often they buy.
//!
//! The value of each purchase follows a gamma distribution of shape p around the customer's own mean, whose rate follows
//! a gamma distribution of shape q and rate γ over all customers.

use serde::{Deserialize, Serialize};

use super::gamma::ln_gamma;
use super::minimum::minimum;
use crate::models::error::Error;

/// Bounds of the logarithm of a parameter.
const LOG_MAX: f64 = 12.0;
/// Customers below which there is nothing to learn.
const CUSTOMERS_MIN: usize = 10;

/// What a customer spent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spend {
    /// Purchases that the mean is of, above zero for fitting.
    pub purchases: u32,
    /// Mean value of them, above zero for fitting.
    pub mean: f64,
}

/// A fitted model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GammaGamma {
    /// Shape of a customer's purchases.
    pub p: f64,
    /// Shape of the customers' rates, above 1: below, customers would have no mean.
    pub q: f64,
    /// Rate of the customers' rates, in units of money.
    pub gamma: f64,
}

impl GammaGamma {
    /// The most likely parameters (Fader and Hardie 2013, equation 1a).
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] for fewer than ten customers; [`Error::Internal`] where a customer has no purchase, or a
    /// mean that is not above zero.
    pub fn fit(spends: &[Spend]) -> Result<Self, Error> {
        if spends.len() < CUSTOMERS_MIN {
            let message = format!("Gamma-Gamma needs {CUSTOMERS_MIN} customers, but there are {}", spends.len());
            return Err(Error::NotEnoughData(message));
        }
        if !spends.iter().all(|spend| spend.purchases > 0 && spend.mean.is_finite() && spend.mean > 0.0) {
            return Err(Error::Internal("a customer has no purchases, or a mean that is not above zero".to_owned()));
        }
        // In units of the mean, so that the search begins near its end whatever the currency.
        let unit = spends.iter().map(|spend| spend.mean).sum::<f64>() / spends.len() as f64;
        let scaled: Vec<Spend> = spends.iter().map(|spend| Spend { mean: spend.mean / unit, ..*spend }).collect();
        let loss = |logs: &[f64; 3]| -Self::of_logs(logs).log_likelihood(&scaled) / scaled.len() as f64;
        let (logs, _) = minimum([0.0; 3], loss);
        let found = Self::of_logs(&logs);
        Ok(Self { gamma: found.gamma * unit, ..found })
    }

    fn of_logs(logs: &[f64; 3]) -> Self {
        let [p, above_one, gamma] = logs.map(|log| log.clamp(-LOG_MAX, LOG_MAX).exp());
        Self { p, q: 1.0 + above_one, gamma }
    }

    /// The log-likelihood of means.
    pub fn log_likelihood(&self, spends: &[Spend]) -> f64 {
        let Self { p, q, gamma } = *self;
        let of_all = q * gamma.ln() - ln_gamma(q);
        let of_spend = |spend: &Spend| {
            let x = f64::from(spend.purchases);
            let shape = p * x;
            ln_gamma(shape + q) - ln_gamma(shape) + of_all + (shape - 1.0) * spend.mean.ln() + shape * x.ln()
                - (shape + q) * (gamma + x * spend.mean).ln()
        };
        spends.iter().map(of_spend).sum()
    }

    /// What a purchase of a customer is expected to be worth: between their own mean and that of everyone, the nearer to
    /// their own the more purchases there are (Fader and Hardie 2013, equation 5).
    pub fn expected_value(&self, spend: &Spend) -> f64 {
        let x = f64::from(spend.purchases);
        let own = if spend.purchases > 0 { x * spend.mean } else { 0.0 };
        self.p * (self.gamma + own) / (self.p * x + self.q - 1.0)
    }

    /// Whether it answers with numbers.
    pub fn is_sound(&self) -> bool {
        [self.p, self.q - 1.0, self.gamma].iter().all(|parameter| parameter.is_finite() && *parameter > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: GammaGamma = GammaGamma { p: 6.25, q: 3.74, gamma: 15.44 };

    #[test]
    fn who_has_not_bought_is_like_everyone_and_who_often_did_like_themselves() {
        let value = |purchases, mean| PUBLISHED.expected_value(&Spend { purchases, mean });
        assert!((value(0, f64::NAN) - 6.25 * 15.44 / 2.74).abs() < 1e-9);
        assert!((value(100_000, 80.0) - 80.0).abs() < 0.01);
        assert!(value(1, 80.0) > value(0, 0.0) && value(1, 80.0) < 80.0);
    }

    #[test]
    fn the_currency_does_not_matter() {
        let spends = |unit: f64| -> Vec<Spend> {
            (1..200).map(|n| Spend { purchases: 1 + n % 4, mean: unit * f64::from(1 + n * 37 % 101) }).collect()
        };
        let (small, large) =
            (GammaGamma::fit(&spends(1.0)).expect("fits"), GammaGamma::fit(&spends(1e6)).expect("fits"));
        assert!((small.p - large.p).abs() < 1e-3 * small.p && (large.gamma / small.gamma / 1e6 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn what_cannot_be_fitted_is_an_error_and_what_has_no_bound_stays_finite() {
        assert!(matches!(GammaGamma::fit(&[]), Err(Error::NotEnoughData(_))));
        for (purchases, mean) in [(0, 5.0), (1, 0.0), (1, -3.0), (1, f64::NAN)] {
            assert!(matches!(GammaGamma::fit(&[Spend { purchases, mean }; 20]), Err(Error::Internal(_))));
        }
        let model = GammaGamma::fit(&[Spend { purchases: 2, mean: 7.0 }; 20]).expect("a bound");
        assert!(model.is_sound() && (model.expected_value(&Spend { purchases: 2, mean: 7.0 }) - 7.0).abs() < 0.1);
    }
}
