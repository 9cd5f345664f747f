//! Rows of customers in bounded memory: beyond a number of rows every second customer, chosen by hash, is given up, so
//! that the rest is still a fair sample in which each customer is whole.

/// Rows by customer.
#[derive(Debug, Clone)]
pub(super) struct Thinned<T> {
    rows: Vec<(u64, T)>,
    /// Customers whose hash ends in so many zero bits are kept.
    kept_bits: u32,
    rows_max: usize,
}

impl<T> Thinned<T> {
    /// No rows yet, and never more than `rows_max` after [`Thinned::add`].
    pub(super) fn new(rows_max: usize) -> Self {
        Self { rows: Vec::new(), kept_bits: 0, rows_max }
    }

    /// Adds the rows of a customer, unless the customer is given up; true where others were given up for them. `customer`
    /// is as good as random.
    pub(super) fn add(&mut self, customer: u64, rows: impl IntoIterator<Item = T>) -> bool {
        if !self.keeps(customer) {
            return false;
        }
        self.rows.extend(rows.into_iter().map(|row| (customer, row)));
        let before = self.kept_bits;
        while self.rows.len() > self.rows_max {
            self.thin_out();
        }
        self.kept_bits > before
    }

    /// Whether a customer is not given up yet.
    pub(super) fn keeps(&self, customer: u64) -> bool {
        customer.trailing_zeros() >= self.kept_bits
    }

    /// Gives up every second customer.
    pub(super) fn thin_out(&mut self) {
        self.kept_bits += 1;
        let bits = self.kept_bits;
        self.rows.retain(|row| row.0.trailing_zeros() >= bits);
    }

    /// The rows in the order in which they came.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().map(|(_, row)| row)
    }

    /// The rows in an order that does not depend on the order in which customers came; those of one keep their own.
    pub(super) fn sorted(&self) -> Vec<(u64, &T)> {
        let mut rows: Vec<(u64, &T)> = self.rows.iter().map(|(customer, row)| (*customer, row)).collect();
        rows.sort_by_key(|row| row.0);
        rows
    }

    /// The share of customers that is kept, 1 for all.
    pub(super) fn kept_share(&self) -> f64 {
        0.5f64.powi(self.kept_bits.min(64) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::sampling::mix;

    #[test]
    fn beyond_the_bound_customers_are_kept_whole_and_in_an_order_of_their_own() {
        let fill = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut thinned = Thinned::new(200);
            let given_up = numbers.filter(|number| thinned.add(mix(*number), [*number, *number + 1])).count();
            assert!(given_up >= 3, "{given_up}");
            thinned
        };
        let (forth, back) = (fill(&mut (0..1_000)), fill(&mut (0..1_000).rev()));
        assert_eq!(forth.sorted(), back.sorted());
        assert!((90..=200).contains(&forth.sorted().len()), "{}", forth.sorted().len());
        assert!(forth.sorted().chunks(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 + 1 == *pair[1].1));
        assert_eq!(forth.kept_share(), 0.5f64.powi(forth.kept_bits as i32));
    }
}
