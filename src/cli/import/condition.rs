//! What must hold of a line before it becomes an event, or is left out.

use anyhow::{Context as _, ensure};

use super::columns::{Cell, Lines, Scope};
use super::expression::{self, Compiler};
use super::value::{ConditionSpec, Conditions};

/// One condition, compiled for a file.
#[derive(Debug, Clone)]
pub struct Condition {
    cell: Cell,
    test: Test,
    not: bool,
}

#[derive(Debug, Clone)]
enum Test {
    OneOf(Vec<String>),
    StartsWith(String),
    Blank(bool),
    Above(f64),
    Below(f64),
    Changes(usize),
    Rises(usize),
}

impl Compiler<'_> {
    /// The conditions of a mapping's key, all of which must hold; none where the key is absent.
    ///
    /// # Errors
    /// When a column does not exist, or a condition says nothing or two things.
    pub fn conditions(
        &mut self,
        conditions: Option<&Conditions>,
        key: &str,
        over: Option<Lines>,
    ) -> anyhow::Result<Vec<Condition>> {
        let specs = conditions.map_or(&[][..], Conditions::as_slice);
        specs.iter().map(|spec| self.condition(spec, key, over)).collect()
    }

    fn condition(&mut self, spec: &ConditionSpec, key: &str, over: Option<Lines>) -> anyhow::Result<Condition> {
        let cell = self.cell(&spec.column, key, over)?;
        let mut track = |within: &Option<String>| -> anyhow::Result<Option<usize>> {
            let Some(within) = within else { return Ok(None) };
            let by = self.columns.find(within).with_context(|| key.to_owned())?;
            Ok(Some(self.trackers.track(cell, by)))
        };
        let tests = [
            spec.equals.clone().map(|text| Test::OneOf(vec![text])),
            spec.one_of.clone().map(Test::OneOf),
            spec.starts_with.clone().map(Test::StartsWith),
            spec.blank.map(Test::Blank),
            spec.above.map(Test::Above),
            spec.below.map(Test::Below),
            track(&spec.changes_within)?.map(Test::Changes),
            track(&spec.rises_within)?.map(Test::Rises),
        ];
        let mut tests = tests.into_iter().flatten();
        let test = tests.next().with_context(|| format!("{key}: say what must hold of `{}`", spec.column))?;
        ensure!(tests.next().is_none(), "{key}: say one thing about `{}`, and write a list for more", spec.column);
        Ok(Condition { cell, test, not: spec.not })
    }
}

impl Condition {
    /// True where the condition holds of a line. Of a blank cell nothing holds but `blank` and what is turned round.
    pub fn holds(&self, scope: &Scope<'_>) -> bool {
        let holds = match (&self.test, scope.cell(self.cell)) {
            (Test::Blank(blank), text) => text.is_none() == *blank,
            (_, None) => false,
            (Test::OneOf(texts), Some(text)) => texts.iter().any(|known| known == text),
            (Test::StartsWith(start), Some(text)) => text.starts_with(start),
            (Test::Above(bound), Some(text)) => number(text, scope).is_some_and(|number| number > *bound),
            (Test::Below(bound), Some(text)) => number(text, scope).is_some_and(|number| number < *bound),
            (Test::Changes(tracker), Some(text)) => {
                scope.line.previous.get(*tracker).and_then(Option::as_deref) != Some(text)
            }
            (Test::Rises(tracker), Some(text)) => {
                number(text, scope).is_some_and(|number| number > expression::before(scope, *tracker))
            }
        };
        holds != self.not
    }
}

fn number(text: &str, scope: &Scope<'_>) -> Option<f64> {
    expression::number(text, scope.columns.decimal_comma)
}

/// True where all conditions hold.
pub fn all_hold(conditions: &[Condition], scope: &Scope<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(scope))
}
