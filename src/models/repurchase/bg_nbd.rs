//! BG/NBD: customers buy at their own steady pace, and after each purchase some of them leave for good.
//!
//! A customer's purchases come with rate λ, which over all customers follows a gamma distribution of shape r and rate α;
//! after each one the customer leaves with a probability that follows a beta distribution of a and b.

use serde::{Deserialize, Serialize};

use super::minimum::minimum;
use crate::models::error::Error;

/// Bounds of the logarithm of a parameter: where the data want none, such as no leaving at all, it stays a number.
const LOG_MAX: f64 = 12.0;
/// Customers who bought again below which there is nothing to learn.
const REPEATERS_MIN: usize = 10;
/// What the expected purchases may be off by.
const PRECISION: f64 = 1e-10;
/// Purchases within a horizon that are told apart; of someone who is expected to buy more often, so many are.
const TERMS_MAX: u32 = 10_000;
/// Where relative chances are scaled down, before they overflow.
const LARGE: f64 = 1e200;

/// What a customer's purchases say, from the first one on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct History {
    /// Purchases after the first: x.
    pub repeats: u32,
    /// When the last of them was, 0 where there is none: tₓ.
    pub last: f64,
    /// How long the customer has been watched: T.
    pub observed: f64,
}

impl History {
    /// Whether the model can look at it.
    fn is_sound(&self) -> bool {
        self.observed.is_finite() && 0.0 <= self.last && self.last <= self.observed
    }
}

/// A fitted model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BgNbd {
    /// Shape of the distribution of rates.
    pub r: f64,
    /// Rate of the distribution of rates, in units of time.
    pub alpha: f64,
    /// The larger against `b`, the more customers leave after a purchase.
    pub a: f64,
    /// See `a`.
    pub b: f64,
}

impl BgNbd {
    /// The most likely parameters.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] where fewer than ten customers bought again; [`Error::Internal`] for histories whose
    /// last purchase is not within the time that they were watched.
    pub fn fit(histories: &[History]) -> Result<Self, Error> {
        if !histories.iter().all(History::is_sound) {
            let message = "a last purchase lies outside of the time in which its customer was watched";
            return Err(Error::Internal(message.to_owned()));
        }
        let repeaters = histories.iter().filter(|history| history.repeats > 0).count();
        if repeaters < REPEATERS_MIN {
            let message = format!("BG/NBD needs {REPEATERS_MIN} customers who bought again, but there are {repeaters}");
            return Err(Error::NotEnoughData(message));
        }
        let watched = histories.iter().map(|history| history.observed).sum::<f64>() / histories.len() as f64;
        let start = [0.0, watched.max(1e-3).ln(), 0.0, 0.0];
        let (logs, _) = minimum(start, |logs| -Self::of_logs(logs).log_likelihood(histories) / histories.len() as f64);
        Ok(Self::of_logs(&logs))
    }

    fn of_logs(logs: &[f64; 4]) -> Self {
        let [r, alpha, a, b] = logs.map(|log| log.clamp(-LOG_MAX, LOG_MAX).exp());
        Self { r, alpha, a, b }
    }

    /// The log-likelihood of histories (Fader, Hardie and Lee 2005, equation 6).
    pub fn log_likelihood(&self, histories: &[History]) -> f64 {
        let Self { r, alpha, a, b } = *self;
        let repeats_max = histories.iter().map(|history| history.repeats).max().unwrap_or(0);
        let [of_r, of_b, of_ab] = [r, b, a + b].map(|base| log_rising(base, repeats_max));
        let of_history = |history: &History| {
            let (index, x) = (history.repeats as usize, f64::from(history.repeats));
            let stayed = -(r + x) * (alpha + history.observed).ln();
            let sum = if history.repeats == 0 {
                stayed
            } else {
                let left = a.ln() - (b + x - 1.0).ln() - (r + x) * (alpha + history.last).ln();
                stayed.max(left) + (-(stayed - left).abs()).exp().ln_1p()
            };
            of_r[index] + r * alpha.ln() + of_b[index] - of_ab[index] + sum
        };
        histories.iter().map(of_history).sum()
    }

    /// The probability that a customer has not left (Fader, Hardie and Lee 2008). It is 1 for all who bought once,
    /// because the model lets nobody leave before the second purchase: rank by [`BgNbd::expected_purchases`].
    pub fn alive(&self, history: &History) -> f64 {
        if history.repeats == 0 {
            return 1.0;
        }
        let x = f64::from(history.repeats);
        let waited = (self.r + x) * ((self.alpha + history.observed) / (self.alpha + history.last)).ln();
        1.0 / (1.0 + self.a / (self.b + x - 1.0) * waited.exp())
    }

    /// The probability that a customer buys nothing within a horizon: because they have left, or because a purchase
    /// whose rate follows a gamma distribution does not come in time.
    pub fn silent(&self, history: &History, horizon: f64) -> f64 {
        1.0 - self.alive(history) * (1.0 - self.no_purchase(history, horizon))
    }

    /// The probability that the next purchase of one who has not left does not come within a horizon.
    fn no_purchase(&self, history: &History, horizon: f64) -> f64 {
        let known = self.alpha + history.observed;
        (-(self.r + f64::from(history.repeats)) * (horizon / known).ln_1p()).exp()
    }

    /// The expected number of purchases within a horizon (Fader, Hardie and Lee 2005, equation 10).
    ///
    /// Their formula takes the difference of two hypergeometric terms and has a pole at a = 1. This is the same number
    /// as a sum of positive terms: who is alive would buy n times with the probability of a negative binomial
    /// distribution, and still be there for the j-th of these with E\[(1 − p)ʲ⁻¹\], a ratio of beta functions.
    pub fn expected_purchases(&self, history: &History, horizon: f64) -> f64 {
        let (x, known) = (f64::from(history.repeats), self.alpha + history.observed);
        let (shape, share) = (self.r + x, horizon / (known + horizon));
        // Chances are relative to that of buying nothing; dividing by their sum makes them probabilities.
        let (mut chance, mut chances, mut purchases) = (1.0, 1.0, 0.0);
        let (mut there, mut made) = (1.0, 0.0);
        for n in (0..TERMS_MAX).map(f64::from) {
            // From "would buy n times" to "n + 1 times".
            let growth = (shape + n) / (n + 1.0) * share;
            chance *= growth;
            made += there;
            there *= (self.b + x + n) / (self.a + self.b + x + n);
            chances += chance;
            purchases += chance * made;
            // No later term grows faster than this, so a geometric series bounds them all.
            let growth = growth.max(share) * (1.0 + 1.0 / (n + 1.0));
            if growth < 1.0 && chance * made / (1.0 - growth) < PRECISION * chances {
                break;
            }
            if chance > LARGE {
                [chance, chances, purchases] = [chance, chances, purchases].map(|sum| sum / LARGE);
            }
        }
        self.alive(history) * purchases / chances
    }

    /// Whether it answers with numbers.
    pub fn is_sound(&self) -> bool {
        [self.r, self.alpha, self.a, self.b].iter().all(|parameter| parameter.is_finite() && *parameter > 0.0)
    }
}

/// ln of base · (base + 1) … (base + n − 1), for every n up to `n_max`.
fn log_rising(base: f64, n_max: u32) -> Vec<f64> {
    let terms = (0..n_max).scan(0.0, |sum, n| {
        *sum += (base + f64::from(n)).ln();
        Some(*sum)
    });
    std::iter::once(0.0).chain(terms).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: BgNbd = BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 };

    fn history(repeats: u32, last: f64, observed: f64) -> History {
        History { repeats, last, observed }
    }

    /// The published formula, with Euler's transformation of the hypergeometric function so that its series converges.
    fn published_formula(model: &BgNbd, history: &History, horizon: f64) -> f64 {
        let BgNbd { r, alpha, a, b } = *model;
        let x = f64::from(history.repeats);
        let z = horizon / (alpha + history.observed + horizon);
        let (first, second, third) = (a + b - 1.0 - r, a - 1.0, a + b + x - 1.0);
        let (mut term, mut sum) = (1.0, 1.0);
        for n in (0..20_000).map(f64::from) {
            term *= (first + n) * (second + n) / ((third + n) * (n + 1.0)) * z;
            sum += term;
        }
        let hypergeometric = (1.0 - z).powf(third - (r + x) - (b + x)) * sum;
        let stayed = ((alpha + history.observed) / (alpha + history.observed + horizon)).powf(r + x);
        third / (a - 1.0) * (1.0 - stayed * hypergeometric) * model.alive(history)
    }

    #[test]
    fn expected_purchases_are_those_of_the_published_formula() {
        for model in [PUBLISHED, BgNbd { a: 3.0, ..PUBLISHED }, BgNbd { r: 4.0, alpha: 1.0, a: 0.2, b: 0.5 }] {
            for history in [history(0, 0.0, 38.86), history(2, 30.43, 38.86), history(30, 35.0, 36.0)] {
                for horizon in [0.1, 39.0, 400.0] {
                    let found = model.expected_purchases(&history, horizon);
                    let expected = published_formula(&model, &history, horizon);
                    assert!(
                        (found - expected).abs() < 1e-6 * (1.0 + expected),
                        "{model:?} {history:?} {horizon}: {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_customer_of_the_published_example_is_expected_to_buy_1_226_times() {
        // Fader, Hardie and Lee 2005, "Implementing the BG/NBD model in Excel": customer 0001, the next 39 weeks.
        let found = PUBLISHED.expected_purchases(&history(2, 30.43, 38.86), 39.0);
        assert!((found - 1.226).abs() < 0.002, "{found}");
    }

    #[test]
    fn at_the_pole_of_the_published_formula_nothing_happens() {
        let at = |a| BgNbd { a, ..PUBLISHED }.expected_purchases(&history(3, 20.0, 30.0), 50.0);
        assert!((at(1.0) - (at(0.999_99) + at(1.000_01)) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn who_never_leaves_buys_at_a_steady_pace() {
        let model = BgNbd { a: 1e-12, ..PUBLISHED };
        let history = history(5, 30.0, 38.0);
        assert!((model.alive(&history) - 1.0).abs() < 1e-9);
        let (pace, horizon) = ((model.r + 5.0) / (model.alpha + 38.0), 26.0);
        assert!((model.expected_purchases(&history, horizon) - pace * horizon).abs() < 1e-6);
        assert!((model.silent(&history, 1e-6) - (1.0 - pace * 1e-6)).abs() < 1e-9);
    }

    #[test]
    fn in_a_moment_there_is_at_most_one_purchase() {
        let (history, moment) = (history(2, 30.43, 38.86), 1e-4);
        let (expected, silent) = (PUBLISHED.expected_purchases(&history, moment), PUBLISHED.silent(&history, moment));
        assert!(expected > 0.0 && (expected - (1.0 - silent)).abs() < 1e-3 * expected, "{expected} {silent}");
    }

    #[test]
    fn longer_silence_makes_leaving_likelier_and_extremes_stay_probabilities() {
        let alive = |observed| PUBLISHED.alive(&history(4, 10.0, observed));
        assert!(alive(10.0) > alive(20.0) && alive(20.0) > alive(60.0));
        for history in [history(100_000, 0.0, 1e6), history(0, 0.0, 0.0), history(100_000, 1.0, 1.0)] {
            for horizon in [0.0, 1e-9, 1e9] {
                let silent = PUBLISHED.silent(&history, horizon);
                assert!((0.0..=1.0).contains(&silent), "{silent}");
                assert!(PUBLISHED.expected_purchases(&history, horizon.min(1e3)).is_finite());
            }
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_an_error_and_what_has_no_bound_stays_finite() {
        assert!(matches!(BgNbd::fit(&[]), Err(Error::NotEnoughData(_))));
        assert!(matches!(BgNbd::fit(&[history(0, 0.0, 9.0); 50]), Err(Error::NotEnoughData(_))));
        for broken in [history(1, 9.0, 8.0), history(1, -1.0, 8.0), history(1, 1.0, f64::NAN)] {
            assert!(matches!(BgNbd::fit(&[broken; 50]), Err(Error::Internal(_))));
        }
        // All alike: the likelihood rises without end as the customers' rates become one.
        let model = BgNbd::fit(&[history(5, 10.0, 10.0); 50]).expect("a bound");
        assert!(model.is_sound(), "{model:?}");
    }
}
