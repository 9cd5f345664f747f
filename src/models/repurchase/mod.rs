//! When customers without a contract buy again, and what they are worth: BG/NBD (Fader, Hardie and Lee 2005) and
//! Gamma-Gamma (Fader and Hardie 2013).
//!
//! Both look at no more than how often, when last and for how much a customer bought, and have an opinion also on those
//! who bought once. Time has any unit that is used throughout; the published figures are in weeks.

mod bg_nbd;
mod gamma;
mod gamma_gamma;
mod lifetime_value;
mod minimum;
#[cfg(test)]
mod tests;

pub use bg_nbd::{BgNbd, History};
pub use gamma_gamma::{GammaGamma, Spend};
pub use lifetime_value::{Periods, lifetime_value};
