//! How many cases are played, and from which seed.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What makes every choice of a case.
pub(super) type Random = Xoshiro256PlusPlus;

/// How many cases a test plays: its own number, or that of the environment.
pub(super) fn count(own: u64) -> u64 {
    number("RAPPORT_FAULT_CASES").unwrap_or(own)
}

/// The seed of the first round of cases; each further round has the next one.
pub(super) fn first_seed() -> u64 {
    number("RAPPORT_FAULT_SEED").unwrap_or(0)
}

pub(super) fn random(seed: u64) -> Random {
    Random::seed_from_u64(seed)
}

/// Ends a test whose case failed with what plays that case again.
pub(super) fn fail(seed: u64, what: &str) -> ! {
    panic!("seed {seed}: {what}\nplay it again: RAPPORT_FAULT_SEED={seed} RAPPORT_FAULT_CASES=1")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
