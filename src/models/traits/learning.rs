//! Which traits are features of a model, and as what.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::{CATEGORIES_MAX, CATEGORIES_OF_ALL_MAX, CUSTOMERS_MIN, Cell, TRAITS_MAX, TraitFeature, TraitKind, spelled};
use crate::domain::value::Map;
use crate::models::card;

/// The features that were found, and the traits that are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::models) struct Learned {
    /// In the order of their keys.
    pub(in crate::models) features: Vec<TraitFeature>,
    /// How many traits are no features, by the reason.
    pub(in crate::models) left_out: BTreeMap<LeftOut, usize>,
}

/// Why a trait is no feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::models) enum LeftOut {
    /// It is what is to be told, or says which customers belong together, or the caller wants it so.
    Excluded,
    /// Fewer than [`CUSTOMERS_MIN`] customers state it as a number, a boolean or a short text.
    Rare,
    /// [`TRAITS_MAX`] others are stated by more customers.
    TooMany,
}

impl Learned {
    /// How many traits are no features, by the reason, for a card.
    pub(in crate::models) fn describe_left_out(&self) -> Map {
        let count = |reason| card::count(self.left_out.get(&reason).copied().unwrap_or(0));
        card::map([
            ("excluded", count(LeftOut::Excluded)),
            ("rare", count(LeftOut::Rare)),
            ("too_many", count(LeftOut::TooMany)),
        ])
    }
}

/// Counts customers; the statements of one follow each other.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    customers: usize,
    last: Option<u64>,
}

impl Tally {
    fn add(&mut self, customer: u64) {
        if self.last.replace(customer) != Some(customer) {
            self.customers += 1;
        }
    }
}

/// As what customers state a trait.
#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    all: Tally,
    numbers: Tally,
    flags: Tally,
    texts: Tally,
}

impl Votes {
    fn add(&mut self, customer: u64, cell: Cell<'_>) {
        match cell {
            Cell::Number(_) => self.numbers.add(customer),
            Cell::Flag(_) => self.flags.add(customer),
            Cell::Text(_) => self.texts.add(customer),
            Cell::Other => return,
        }
        self.all.add(customer);
    }

    /// The kind that most customers state; of equally many, the one that can read the others best.
    fn kind(&self) -> TraitKind {
        let [numbers, flags, texts] = [self.numbers, self.flags, self.texts].map(|tally| tally.customers);
        if texts >= numbers.max(flags) {
            TraitKind::Category(Vec::new())
        } else if numbers >= flags {
            TraitKind::Number
        } else {
            TraitKind::Flag
        }
    }
}

/// A customer of a training, with what they state in the order of the keys.
pub(in crate::models) type Statements<'a, I> = (u64, I);

/// Learns from the rows of a training; those of one customer follow each other. Nothing depends on the order of the
/// customers.
pub(in crate::models) fn learn<'a, R, I>(rows: R, excluded: &[String]) -> Learned
where
    R: Iterator<Item = Statements<'a, I>> + Clone,
    I: Iterator<Item = (&'a str, Cell<'a>)>,
{
    let mut votes: BTreeMap<&str, Votes> = BTreeMap::new();
    for (customer, cells) in rows.clone() {
        for (key, cell) in cells {
            votes.entry(key).or_default().add(customer, cell);
        }
    }
    let mut left_out = BTreeMap::new();
    let mut leave_out = |reason| *left_out.entry(reason).or_default() += 1;
    votes.retain(|key, votes| {
        let is_excluded = excluded.iter().any(|excluded| excluded == key);
        let reason = if is_excluded { LeftOut::Excluded } else { LeftOut::Rare };
        let is_kept = !is_excluded && votes.all.customers >= CUSTOMERS_MIN;
        if !is_kept {
            leave_out(reason);
        }
        is_kept
    });
    let mut chosen: Vec<(&str, Votes)> = votes.into_iter().collect();
    // Stable: of equally frequent ones, those with the smaller keys.
    chosen.sort_by_key(|(_, votes)| std::cmp::Reverse(votes.all.customers));
    chosen.iter().skip(TRAITS_MAX).for_each(|_| leave_out(LeftOut::TooMany));
    chosen.truncate(TRAITS_MAX);
    chosen.sort_by_key(|(key, _)| *key);
    let mut features: Vec<_> = chosen.iter().map(|(key, votes)| TraitFeature::new(key, votes.kind())).collect();
    categorise(&mut features, rows);
    Learned { features, left_out }
}

/// Gives the categories their texts.
fn categorise<'a, R, I>(features: &mut [TraitFeature], rows: R)
where
    R: Iterator<Item = Statements<'a, I>>,
    I: Iterator<Item = (&'a str, Cell<'a>)>,
{
    let categories: BTreeMap<SmolStr, usize> = features
        .iter()
        .enumerate()
        .filter(|(_, feature)| feature.codes().is_some())
        .map(|(position, feature)| (feature.key().to_owned(), position))
        .collect();
    let mut tallies: BTreeMap<(usize, String), Tally> = BTreeMap::new();
    for (customer, cells) in rows {
        for (key, cell) in cells.filter(|(_, cell)| *cell != Cell::Other) {
            if let Some(position) = categories.get(key) {
                tallies.entry((*position, spelled(cell))).or_default().add(customer);
            }
        }
    }
    let mut common: Vec<((usize, String), usize)> = tallies
        .into_iter()
        .map(|(text, tally)| (text, tally.customers))
        .filter(|(_, customers)| *customers >= CUSTOMERS_MIN)
        .collect();
    common.sort_by_key(|(_, customers)| std::cmp::Reverse(*customers));
    let mut places = CATEGORIES_OF_ALL_MAX;
    for ((position, text), _) in common {
        let TraitKind::Category(texts) = &mut features[position].kind else { continue };
        if texts.len() < CATEGORIES_MAX && places > 0 {
            texts.push(text.into());
            places -= 1;
        }
    }
    for feature in features {
        if let TraitKind::Category(texts) = &mut feature.kind {
            texts.sort_unstable();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = Vec<(&'a str, Cell<'a>)>;

    fn learn_from(rows: &[Row<'_>], excluded: &[&str]) -> Learned {
        let excluded: Vec<String> = excluded.iter().map(|key| (*key).to_owned()).collect();
        learn((0..).zip(rows).map(|(customer, row)| (customer, row.iter().copied())), &excluded)
    }

    #[test]
    fn a_trait_is_what_most_customers_state() {
        let row = |number: usize| {
            vec![
                ("age", if number.is_multiple_of(3) { Cell::Text("old") } else { Cell::Number(number as f64) }),
                ("member", if number.is_multiple_of(3) { Cell::Number(1.0) } else { Cell::Flag(true) }),
                ("plan", if number.is_multiple_of(3) { Cell::Number(7.0) } else { Cell::Text("pro") }),
                ("tags", Cell::Other),
            ]
        };
        let learned = learn_from(&(0..90).map(row).collect::<Vec<_>>(), &[]);
        let kinds: Vec<_> = learned.features.iter().map(|feature| (feature.key().as_str(), &feature.kind)).collect();
        let plans = TraitKind::Category(vec!["7".into(), "pro".into()]);
        assert_eq!(kinds, [("age", &TraitKind::Number), ("member", &TraitKind::Flag), ("plan", &plans)]);
        assert_eq!(learned.left_out, [(LeftOut::Rare, 1)].into());
    }

    #[test]
    fn a_value_that_fewer_than_twenty_customers_share_is_in_no_vocabulary() {
        let texts = |number: usize| if number < 19 { "19 of them" } else { "20 of them" };
        let rows: Vec<Row<'_>> = (0..39).map(|number| vec![("city", Cell::Text(texts(number)))]).collect();
        assert_eq!(learn_from(&rows, &[]).features[0].kind, TraitKind::Category(vec!["20 of them".into()]));
        // A customer counts once, however many cut-offs know them.
        let often: Vec<Row<'_>> = vec![vec![("city", Cell::Text("home"))]; 100];
        let learned = learn(often.iter().map(|row| (7, row.iter().copied())), &[]);
        assert_eq!(learned.left_out, [(LeftOut::Rare, 1)].into());
    }

    #[test]
    fn vocabularies_are_bounded_and_keep_what_is_most_frequent() {
        let texts: Vec<String> =
            (0..100_000).map(|number| format!("{:05}", number % 1_000 * 100 / (1 + number % 7))).collect();
        let rows: Vec<Row<'_>> = texts.iter().map(|text| vec![("city", Cell::Text(text))]).collect();
        let TraitKind::Category(kept) = &learn_from(&rows, &[]).features[0].kind else { panic!("no category") };
        assert_eq!(kept.len(), CATEGORIES_MAX);
        let each: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
        let rows: Vec<Row<'_>> = each.iter().map(|text| vec![("id", Cell::Text(text))]).collect();
        assert_eq!(learn_from(&rows, &[]).features[0].kind, TraitKind::Category(Vec::new()));
    }

    #[test]
    fn traits_are_bounded_and_those_that_are_not_wanted_are_left_out() {
        let keys: Vec<String> = (0..80).map(|number| format!("{number:02}")).collect();
        let rows: Vec<Row<'_>> = (0..100usize)
            .map(|row| keys[..80 - row % 2].iter().map(|key| (key.as_str(), Cell::Number(row as f64))).collect())
            .collect();
        let learned = learn_from(&rows, &["00", "nobody states it"]);
        let found: Vec<&str> = learned.features.iter().map(|feature| feature.key().as_str()).collect();
        assert_eq!((found.len(), found[0], found[49]), (TRAITS_MAX, "01", "50"));
        assert_eq!(learned.left_out, [(LeftOut::Excluded, 1), (LeftOut::TooMany, 29)].into());
    }

    #[test]
    fn the_order_of_the_customers_changes_nothing() {
        let row = |number: usize| vec![("plan", Cell::Text(if number.is_multiple_of(2) { "a" } else { "b" }))];
        let mut rows: Vec<Row<'_>> = (0..60).map(row).collect();
        let learned = learn_from(&rows, &[]);
        rows.reverse();
        assert_eq!(learn_from(&rows, &[]), learned);
        assert_eq!(learn_from(&[], &[]), Learned::default());
    }
}
