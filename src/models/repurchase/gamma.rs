//! The logarithm of the gamma function.

/// Coefficients B₂ₖ / (2k(2k − 1)) of Stirling's series.
const STIRLING: [f64; 6] = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1_260.0, -1.0 / 1_680.0, 1.0 / 1_188.0, -691.0 / 360_360.0];
/// From here on the series is as exact as a double is.
const LARGE: f64 = 10.0;

/// ln Γ(x) for x > 0, by Stirling's series (Abramowitz and Stegun 1964, 6.1.41) after Γ(x) = Γ(x + 1) / x has brought x
/// to where it is exact.
pub(super) fn ln_gamma(mut x: f64) -> f64 {
    let mut product = 1.0;
    while x < LARGE {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let series = STIRLING.iter().rev().fold(0.0, |sum, coefficient| sum * inverse * inverse + coefficient) * inverse;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let root_of_pi = std::f64::consts::PI.sqrt();
        for (x, expected) in [
            (1.0, 0.0),
            (2.0, 0.0),
            (0.5, root_of_pi.ln()),
            (1.5, (root_of_pi / 2.0).ln()),
            (5.0, 24.0f64.ln()),
            (11.0, 3_628_800.0f64.ln()),
            (21.0, 2_432_902_008_176_640_000.0f64.ln()),
            // Γ(x) is 1/x − γ near zero, and ln Γ(100) is 359.13420 53695 754.
            (1e-8, (1e8f64 - 0.577_215_664_9).ln()),
            (100.0, 359.134_205_369_575_4),
        ] {
            let found = ln_gamma(x);
            assert!((found - expected).abs() < 1e-13 * (1.0 + expected.abs()), "ln Γ({x}) is {found}, not {expected}");
        }
    }
}
