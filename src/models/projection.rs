//! Seeing many dimensions in two: the first principal components (Pearson 1901).

use super::evaluation::squared_distance;

/// Iterations after which a component is taken as it is: the shares that a picture needs are long settled.
const ITERATIONS: usize = 500;
/// Movement at which a component has settled.
const SETTLED: f64 = 1e-20;

/// A plane through the mean of some rows, in the two directions in which they differ most.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    mean: Vec<f64>,
    /// Two unit vectors; the second one is zero where the rows differ in one direction only.
    axes: [Vec<f64>; 2],
    /// Of all variance, the share along each axis.
    pub(super) shares: [f64; 2],
}

impl Plane {
    /// The plane of rows with as many cells each; `None` where they do not differ.
    pub(super) fn fit(rows: &[&[f64]]) -> Option<Self> {
        let dimensions = rows.first()?.len();
        let count = rows.len() as f64;
        let mean: Vec<f64> =
            (0..dimensions).map(|cell| rows.iter().map(|row| row[cell]).sum::<f64>() / count).collect();
        let mut covariance = vec![vec![0.0; dimensions]; dimensions];
        for row in rows {
            let centred: Vec<f64> = row.iter().zip(&mean).map(|(cell, mean)| cell - mean).collect();
            for (line, own) in covariance.iter_mut().zip(&centred) {
                line.iter_mut().zip(&centred).for_each(|(sum, other)| *sum += own * other / count);
            }
        }
        let total: f64 = (0..dimensions).map(|cell| covariance[cell][cell]).sum();
        if !total.is_finite() || total <= 0.0 {
            return None;
        }
        let (first, of_first) = largest_component(&covariance);
        for (line, own) in covariance.iter_mut().zip(&first) {
            line.iter_mut().zip(&first).for_each(|(cell, other)| *cell -= of_first * own * other);
        }
        let (second, of_second) = largest_component(&covariance);
        Some(Self { mean, axes: [first, second], shares: [of_first, of_second].map(|own| (own / total).max(0.0)) })
    }

    /// Where a row lies on the plane.
    pub(super) fn place(&self, row: &[f64]) -> [f64; 2] {
        [0, 1].map(|axis: usize| {
            row.iter().zip(&self.mean).zip(&self.axes[axis]).map(|((cell, mean), way)| (cell - mean) * way).sum()
        })
    }

    /// How much each dimension takes part in an axis.
    pub(super) fn axis(&self, axis: usize) -> &[f64] {
        &self.axes[axis]
    }
}

/// The unit vector of the largest eigenvalue, and that, by the power method. Its largest cell is positive, so that two
/// trainings do not mirror each other's picture by chance.
fn largest_component(matrix: &[Vec<f64>]) -> (Vec<f64>, f64) {
    let diagonal = |cell: &usize| matrix[*cell][*cell];
    let begin = (0..matrix.len()).max_by(|a, b| diagonal(a).total_cmp(&diagonal(b))).unwrap_or(0);
    // The column of the largest variance lies in the image of the matrix, and off no large component.
    let Some((mut vector, mut value)) = normal(matrix.iter().map(|line| line[begin]).collect()) else {
        return (vec![0.0; matrix.len()], 0.0);
    };
    for _ in 0..ITERATIONS {
        let image = matrix.iter().map(|line| line.iter().zip(&vector).map(|(cell, own)| cell * own).sum()).collect();
        let Some((next, length)) = normal(image) else { return (vec![0.0; matrix.len()], 0.0) };
        let moved = squared_distance(&next, &vector);
        (vector, value) = (next, length);
        if moved < SETTLED {
            break;
        }
    }
    let largest = vector.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
    if largest < 0.0 {
        vector.iter_mut().for_each(|cell| *cell = -*cell);
    }
    (vector, value)
}

/// A vector of length 1 in the same direction, and the length; `None` for one that is as good as none.
fn normal(vector: Vec<f64>) -> Option<(Vec<f64>, f64)> {
    let length = vector.iter().map(|cell| cell * cell).sum::<f64>().sqrt();
    (length > 1e-12).then(|| (vector.into_iter().map(|cell| cell / length).collect(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn an_ellipse_is_seen_along_its_axes() {
        // A cross, turned by 45 degrees: ±3 along (1, 1), ±1 along (1, −1), in three dimensions.
        let half = 0.5f64.sqrt();
        let rows = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
            .map(|[long, short]| [half * (long + short), half * (long - short), 7.0]);
        let rows: Vec<&[f64]> = rows.iter().map(|row| row.as_slice()).collect();
        let plane = Plane::fit(&rows).expect("they differ");
        near(plane.shares[0], 0.9);
        near(plane.shares[1], 0.1);
        near(plane.axis(0)[0], half);
        near(plane.axis(0)[2], 0.0);
        let [x, y] = plane.place(rows[0]);
        near(x, 3.0);
        near(y, 0.0);
        near(plane.place(rows[2])[1].abs(), 1.0);
    }

    #[test]
    fn rows_that_do_not_differ_have_no_plane_and_those_on_a_line_a_flat_one() {
        assert_eq!(Plane::fit(&[]), None);
        assert_eq!(Plane::fit(&[&[1.0, 2.0], &[1.0, 2.0]]), None);
        let plane = Plane::fit(&[&[1.0, 2.0], &[3.0, 2.0]]).expect("they differ");
        near(plane.shares[0], 1.0);
        assert_eq!(plane.place(&[3.0, 2.0]), [1.0, 0.0]);
    }
}
