//! What customers state, kept small for as long as a training takes.

use std::collections::HashMap;
use std::sync::Arc;

use super::Cell;

/// A trait of a customer at a cut-off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::models) struct Stated {
    key: u32,
    value: Kept,
}

/// Texts are kept once, in [`Words`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    Number(f64),
    Flag(bool),
    Text(u32),
    Other,
}

/// The keys and texts of what customers state. Numbers are given out in the order in which words come, so that nothing
/// of a model may depend on them.
#[derive(Debug, Clone, Default)]
pub(in crate::models) struct Words {
    numbers: HashMap<Arc<str>, u32>,
    words: Vec<Arc<str>>,
}

impl Words {
    /// Keeps what a customer states, in the order in which it comes.
    pub(in crate::models) fn keep<'a>(&mut self, stated: impl Iterator<Item = (&'a str, Cell<'a>)>) -> Vec<Stated> {
        let keep = |(key, cell): (&str, Cell<'_>)| Stated {
            key: self.number(key),
            value: match cell {
                Cell::Number(number) => Kept::Number(number),
                Cell::Flag(flag) => Kept::Flag(flag),
                Cell::Text(text) => Kept::Text(self.number(text)),
                Cell::Other => Kept::Other,
            },
        };
        stated.map(keep).collect()
    }

    /// What was kept, as it came.
    pub(in crate::models) fn cells<'a>(&'a self, stated: &'a [Stated]) -> impl Iterator<Item = (&'a str, Cell<'a>)> {
        let cell = |stated: &Stated| match stated.value {
            Kept::Number(number) => Cell::Number(number),
            Kept::Flag(flag) => Cell::Flag(flag),
            Kept::Text(word) => Cell::Text(&self.words[word as usize]),
            Kept::Other => Cell::Other,
        };
        stated.iter().map(move |stated| (&*self.words[stated.key as usize], cell(stated)))
    }

    /// The same statements with words of their own, so that those of customers who were given up are let go of.
    pub(in crate::models) fn moved(&self, stated: &[Stated], to: &mut Self) -> Vec<Stated> {
        to.keep(self.cells(stated))
    }

    /// How many there are.
    #[cfg(test)]
    pub(in crate::models) fn len(&self) -> usize {
        self.words.len()
    }

    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let (number, word) = (self.words.len() as u32, Arc::<str>::from(word));
        self.numbers.insert(Arc::clone(&word), number);
        self.words.push(word);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_out_as_it_went_in_and_can_move() {
        let cells = [("a", Cell::Number(1.5)), ("b", Cell::Flag(true)), ("c", Cell::Text("a")), ("d", Cell::Other)];
        let mut words = Words::default();
        words.keep([("z", Cell::Text("given up"))].into_iter());
        let stated = words.keep(cells.into_iter());
        assert_eq!(words.cells(&stated).collect::<Vec<_>>(), cells);
        let mut own = Words::default();
        let moved = words.moved(&stated, &mut own);
        assert_eq!((own.cells(&moved).collect::<Vec<_>>(), own.words.len()), (cells.to_vec(), 4));
    }
}
