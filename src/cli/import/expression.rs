//! Values of a mapping once the columns are known: compiled for one file, evaluated for each line.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};

use super::columns::{Cell, Columns, Lines, Scope, Trackers};
use super::fault::Findings;
use super::template::{Part, Template};
use super::value::{ValueKind, ValueSpec, ValueTable};

/// A text made of constants and cells.
#[derive(Debug, Clone)]
pub struct Text(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Constant(String),
    Cell { cell: Cell, width: usize },
}

/// A value of an event's field.
#[derive(Debug, Clone)]
pub struct Expression {
    start: Start,
    over: Option<Lines>,
    abs: bool,
    map: Option<BTreeMap<String, String>>,
    otherwise: Option<String>,
    default: Option<String>,
    kind: Option<ValueKind>,
    /// What a fault calls it: the first column that it reads, else the mapping's key.
    name: String,
}

/// What an expression starts from.
#[derive(Debug, Clone)]
enum Start {
    Text(Text),
    Number(f64),
    Flag(bool),
    Product(Vec<Text>),
    /// How much a number grew since the line that a tracker remembers.
    Increase(Text, usize),
}

/// What the compilation of a mapping's parts needs: the columns, the trackers, and which lines are ranged over.
pub struct Compiler<'a> {
    /// The columns of the file.
    pub columns: &'a Columns,
    /// Collects what has to be remembered between lines.
    pub trackers: Trackers,
}

impl Compiler<'_> {
    /// A text; `key` is its place in the mapping, `over` the lines that surround it.
    ///
    /// # Errors
    /// When it names a column that does not exist, or one of a join with several lines outside of `over`.
    pub fn text(&self, template: &Template, key: &str, over: Option<Lines>) -> anyhow::Result<Text> {
        let piece = |part: &Part| match part {
            Part::Text(text) => Ok(Piece::Constant(text.clone())),
            Part::Column { name, width } => Ok(Piece::Cell { cell: self.cell(name, key, over)?, width: *width }),
        };
        template.parts.iter().map(piece).collect::<anyhow::Result<_>>().map(Text)
    }

    /// A cell by its name, checked like [`Self::text`].
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn cell(&self, name: &str, key: &str, over: Option<Lines>) -> anyhow::Result<Cell> {
        let cell = self.columns.find(name).with_context(|| key.to_owned())?;
        if let Some(lines) = self.columns.is_of_many(cell) {
            ensure!(over == Some(lines), "{key}: `{name}` has several lines; range over them by `over` or `each`");
        }
        Ok(cell)
    }

    /// A value; arguments as for [`Self::text`].
    ///
    /// # Errors
    /// As [`Self::text`], and when its keys contradict each other.
    pub fn value(&mut self, spec: &ValueSpec, key: &str, over: Option<Lines>) -> anyhow::Result<Expression> {
        let start = match spec {
            ValueSpec::Text(template) => Start::Text(self.text(template, key, over)?),
            ValueSpec::Number(number) => Start::Number(*number),
            ValueSpec::Flag(flag) => Start::Flag(*flag),
            ValueSpec::Table(table) => return self.table(table, key, over),
        };
        let name = self.name_of(&start, key);
        let (map, otherwise, default, kind) = (None, None, None, None);
        Ok(Expression { start, over: None, abs: false, map, otherwise, default, kind, name })
    }

    /// A value that may be absent.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn option(
        &mut self,
        spec: Option<&ValueSpec>,
        key: &str,
        over: Option<Lines>,
    ) -> anyhow::Result<Option<Expression>> {
        spec.map(|spec| self.value(spec, key, over)).transpose()
    }

    fn table(&mut self, table: &ValueTable, key: &str, over: Option<Lines>) -> anyhow::Result<Expression> {
        let own = table.over.as_deref().map(|name| self.columns.find_lines(name)).transpose();
        let own = own.with_context(|| format!("{key}.over"))?;
        let inner = own.or(over);
        let start = match (&table.value, &table.multiply) {
            (Some(value), None) => Start::Text(self.text(value, key, inner)?),
            (None, Some(factors)) => {
                let factors = factors.iter().map(|factor| self.text(factor, key, inner));
                Start::Product(factors.collect::<anyhow::Result<_>>()?)
            }
            _ => bail!("{key} needs either `value` or `multiply`"),
        };
        let start = match (&table.increase_within, start) {
            (None, start) => start,
            (Some(within), Start::Text(text)) => {
                let [Piece::Cell { cell, .. }] = text.0[..] else {
                    bail!("{key}: increase_within needs a `value` that is one column");
                };
                let tracker = self.trackers.track(cell, self.cell(within, key, None)?);
                Start::Increase(text, tracker)
            }
            (Some(_), _) => bail!("{key}: increase_within goes with `value`, not with `multiply`"),
        };
        ensure!(table.otherwise.is_none() || table.map.is_some(), "{key}: otherwise goes with `map`");
        Ok(Expression {
            name: self.name_of(&start, key),
            start,
            over: own,
            abs: table.abs,
            map: table.map.clone(),
            otherwise: table.otherwise.clone(),
            default: table.default.clone(),
            kind: table.kind,
        })
    }

    fn name_of(&self, start: &Start, key: &str) -> String {
        let first = |text: &Text| text.first_cell().map(|cell| self.columns.name(cell));
        let column = match start {
            Start::Text(text) | Start::Increase(text, _) => first(text),
            Start::Product(factors) => factors.iter().find_map(first),
            Start::Number(_) | Start::Flag(_) => None,
        };
        column.unwrap_or_else(|| key.to_owned())
    }
}

impl Text {
    /// The text of a line; nothing where one of its cells is blank.
    pub fn read(&self, scope: &Scope<'_>) -> Option<String> {
        if let [Piece::Cell { cell, width: 0 }] = self.0[..] {
            return scope.cell(cell).map(str::to_owned);
        }
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Constant(constant) => text.push_str(constant),
                Piece::Cell { cell, width } => text.push_str(&format!("{:0>width$}", scope.cell(*cell)?)),
            }
        }
        Some(text)
    }

    /// The first of its cells that is blank in a line.
    pub fn blank_cell(&self, scope: &Scope<'_>) -> Option<Cell> {
        self.cells().find(|cell| scope.cell(*cell).is_none())
    }

    fn first_cell(&self) -> Option<Cell> {
        self.cells().next()
    }

    fn cells(&self) -> impl Iterator<Item = Cell> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Cell { cell, .. } => Some(*cell),
            Piece::Constant(_) => None,
        })
    }
}

impl Expression {
    /// What a fault calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is in open data.
    pub fn kind(&self) -> ValueKind {
        self.kind.unwrap_or(match self.start {
            Start::Text(_) => ValueKind::Text,
            Start::Flag(_) => ValueKind::Boolean,
            Start::Number(_) | Start::Product(_) | Start::Increase(..) => ValueKind::Number,
        })
    }

    /// The value as a text; nothing where it is blank or broken.
    pub fn text(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<String> {
        match &self.start {
            Start::Text(text) if self.over.is_none() && !self.abs => self.mapped(text.read(scope), findings),
            Start::Flag(flag) => Some(flag.to_string()),
            _ => self.number(scope, findings).map(|number| number.to_string()),
        }
    }

    /// The value as a finite number; nothing where it is blank or broken.
    pub fn number(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<f64> {
        let number = match self.over {
            Some(lines) => {
                let scopes = scope.over(lines);
                let terms: Vec<f64> = scopes.iter().filter_map(|scope| self.one_number(scope, findings)).collect();
                // A sum of nothing is blank, not zero: a join that found no line says nothing about the amount.
                let blank = || self.default.as_deref().and_then(|text| number(text, scope.columns.decimal_comma));
                if terms.is_empty() { blank() } else { Some(terms.iter().sum()) }
            }
            None => self.one_number(scope, findings),
        };
        number.map(|number: f64| if self.abs { number.abs() } else { number })
    }

    /// The value as a truth; nothing where it is blank or broken.
    pub fn flag(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<bool> {
        if let Start::Flag(flag) = self.start {
            return Some(flag);
        }
        let text = self.text(scope, findings)?;
        let flag = match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "t" | "1" => Some(true),
            "false" | "no" | "n" | "f" | "0" => Some(false),
            _ => None,
        };
        if flag.is_none() {
            findings.add(&self.name, "is neither true nor false");
        }
        flag
    }

    fn one_number(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<f64> {
        match &self.start {
            Start::Number(number) => Some(*number),
            Start::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Start::Text(text) => {
                let text = self.mapped(text.read(scope), findings)?;
                self.parsed(&text, &self.name, scope, findings)
            }
            Start::Product(factors) => {
                let mut product = 1.0;
                for factor in factors {
                    let name = factor.first_cell().map_or_else(String::new, |cell| scope.columns.name(cell));
                    product *= self.parsed(&factor.read(scope)?, &name, scope, findings)?;
                }
                Some(product)
            }
            Start::Increase(text, tracker) => {
                let now = self.parsed(&text.read(scope)?, &self.name, scope, findings)?;
                Some((now - before(scope, *tracker)).max(0.0))
            }
        }
    }

    fn parsed(&self, text: &str, name: &str, scope: &Scope<'_>, findings: &mut Findings) -> Option<f64> {
        let number = number(text, scope.columns.decimal_comma);
        if number.is_none() {
            findings.add(name, "is not a number");
        }
        number
    }

    fn mapped(&self, text: Option<String>, findings: &mut Findings) -> Option<String> {
        let Some(text) = text else {
            return self.default.clone();
        };
        let Some(map) = &self.map else {
            return Some(text);
        };
        let mapped = map.get(&text).or(self.otherwise.as_ref());
        if mapped.is_none() {
            findings.add(&self.name, "holds a text that the mapping's `map` does not list");
        }
        mapped.cloned()
    }
}

/// What a tracker remembers, as a number; 0 before the first line.
pub fn before(scope: &Scope<'_>, tracker: usize) -> f64 {
    let text = scope.line.previous.get(tracker).and_then(Option::as_deref);
    text.and_then(|text| number(text, scope.columns.decimal_comma)).unwrap_or(0.0)
}

/// A finite number, written with a decimal point or where the mapping says so with a comma.
pub fn number(text: &str, decimal_comma: bool) -> Option<f64> {
    let number: f64 =
        if decimal_comma { text.replace('.', "").replace(',', ".").parse().ok()? } else { text.parse().ok()? };
    number.is_finite().then_some(number)
}
