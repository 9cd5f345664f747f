//! What a mapping asks of files, found by compiling it for files that have everything.
//!
//! Of JSON lines only that is read. No list of the keys of a mapping is kept for it: what the compiler looks up is what
//! will be looked up.

use std::collections::BTreeSet;

use super::columns::Columns;
use super::json_lines::Shape;
use super::mapping::{JoinSpec, Mapping};
use super::plan::Plan;

/// Names that a mapping asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Of cells: columns, `join.column`, and also `row` and `file`, which are columns where a file has them.
    pub cells: BTreeSet<String>,
    /// Of lines that are ranged over: lists within a line, or joins.
    pub lines: BTreeSet<String>,
}

impl Asked {
    /// Everything that a mapping asks for.
    ///
    /// # Errors
    /// When it contradicts itself, whatever columns there are.
    pub fn of(mapping: &Mapping) -> anyhow::Result<Self> {
        let columns = Columns::of_anything();
        Plan::compile(mapping, &columns)?;
        let mut asked = columns.into_asked();
        for join in &mapping.join {
            asked.cells.insert(join.with.as_ref().unwrap_or(&join.on).clone());
            asked.lines.remove(&join.name);
        }
        Ok(asked)
    }

    /// What is asked of a joined file.
    pub fn of_join(&self, join: &JoinSpec) -> Self {
        let column = |name: &String| name.strip_prefix(&join.name)?.strip_prefix('.').map(str::to_owned);
        let cells = self.cells.iter().filter_map(column).chain([join.on.clone()]).collect();
        Self { cells, lines: BTreeSet::new() }
    }

    /// What is read of JSON lines for it.
    pub fn shape(&self, decimal_comma: bool) -> Shape {
        let cells: Vec<String> = self.cells.iter().cloned().collect();
        let lines: Vec<String> = self.lines.iter().cloned().collect();
        Shape::new(&cells, &lines, decimal_comma)
    }
}
