//! Looking for the minimum of a smooth function of a few variables.

/// Steps of one search.
const STEPS_MAX: usize = 2_000;
/// Searches one after the other, each from where the last one ended.
const SEARCHES_MAX: usize = 8;
/// Difference of values below which a simplex has found its minimum.
const TOLERANCE: f64 = 1e-13;

/// A corner of a simplex, with the value there.
type Corner<const N: usize> = ([f64; N], f64);

/// The minimum near `start`, by the simplex method of Nelder and Mead (1965). A simplex can collapse where there is no
/// minimum (McKinnon 1998), so a new one is laid around what was found until that gains nothing. A value that is no
/// number is larger than any.
pub(super) fn minimum<const N: usize>(start: [f64; N], value: impl Fn(&[f64; N]) -> f64) -> Corner<N> {
    let value = |at: &[f64; N]| Some(value(at)).filter(|value| !value.is_nan()).unwrap_or(f64::INFINITY);
    let mut best = (start, value(&start));
    for _ in 0..SEARCHES_MAX {
        let found = search(best, &value);
        let gain = best.1 - found.1;
        if found.1 <= best.1 {
            best = found;
        }
        if gain.is_nan() || gain <= 1e-10 * (1.0 + best.1.abs()) {
            break;
        }
    }
    best
}

fn search<const N: usize>(start: Corner<N>, value: &impl Fn(&[f64; N]) -> f64) -> Corner<N> {
    let at = |point: [f64; N]| (point, value(&point));
    let mut corners = vec![start];
    corners.extend((0..N).map(|axis| {
        let mut corner = start.0;
        corner[axis] += 0.5;
        at(corner)
    }));
    for _ in 0..STEPS_MAX {
        corners.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (best, worst) = (corners[0], corners[N]);
        if worst.1 - best.1 <= TOLERANCE * (1.0 + best.1.abs()) {
            break;
        }
        let centre: [f64; N] =
            std::array::from_fn(|axis| corners[..N].iter().map(|corner| corner.0[axis]).sum::<f64>() / N as f64);
        // 1 reflects the worst corner at the centre of the others, 2 goes on beyond, half comes back.
        let along = |share: f64| at(std::array::from_fn(|axis| centre[axis] + share * (centre[axis] - worst.0[axis])));
        let reflected = along(1.0);
        if reflected.1 < best.1 {
            let expanded = along(2.0);
            corners[N] = if expanded.1 < reflected.1 { expanded } else { reflected };
        } else if reflected.1 < corners[N - 1].1 {
            corners[N] = reflected;
        } else {
            let contracted = if reflected.1 < worst.1 { along(0.5) } else { along(-0.5) };
            if contracted.1 < worst.1.min(reflected.1) {
                corners[N] = contracted;
            } else {
                let towards = |corner: &Corner<N>| std::array::from_fn(|axis| (corner.0[axis] + best.0[axis]) / 2.0);
                corners[1..].iter_mut().for_each(|corner| *corner = at(towards(corner)));
            }
        }
    }
    corners.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        // Rosenbrock's function (1960): its minimum is 0 at (1, 1).
        let (at, value) = minimum([-1.2, 1.0], |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2));
        assert!((at[0] - 1.0).abs() < 1e-4 && (at[1] - 1.0).abs() < 1e-4 && value < 1e-9, "{at:?} {value}");
    }

    #[test]
    fn what_has_no_value_is_avoided_and_what_has_no_minimum_ends() {
        // The root of a negative number is none, and the least root is at the border to them.
        let (at, _) = minimum([-0.2], |[x]| (-x).sqrt());
        assert!((-1e-6..=0.0).contains(&at[0]), "{at:?}");
        assert!(minimum([0.0, 0.0], |[x, y]| x + y).1 < -10.0);
        assert_eq!(minimum([0.0], |_| f64::NAN).0, [0.0]);
    }
}
