//! Where the cells are that a mapping names, and how they are read while a line is at hand.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::asked::Asked;
use super::join::Table;
use super::json_lines::List;
use super::mapping::CsvSpec;
use super::rows::Row;
use super::sheet::Sheet;

/// Where a named cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cell {
    /// In the line itself, by position.
    Main(usize),
    /// In a joined file, by the table's and the column's position.
    Joined {
        /// Which table.
        table: usize,
        /// Which column.
        column: usize,
    },
    /// In an element of a list in the line, by the list's and the column's position.
    Listed {
        /// Which list.
        list: usize,
        /// Which column.
        column: usize,
    },
    /// The number of the data row.
    RowNumber,
    /// The file's name.
    FileName,
}

/// Several lines that a value or an event ranges over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// The lines of the group.
    OfGroup,
    /// The lines of a joined file that have the key of the line at hand.
    OfTable(usize),
    /// The elements of a list in the line at hand.
    OfList(usize),
}

/// Everything that has columns: the main file and the joined ones.
#[derive(Default)]
pub struct Columns {
    file: Arc<str>,
    header: Vec<String>,
    lists: Vec<List>,
    /// What the file has, for messages.
    known: String,
    tables: Vec<Table>,
    /// For each table the cell that holds its key.
    keys: Vec<Cell>,
    unknown: Vec<String>,
    /// True where numbers are written `1,5`.
    pub decimal_comma: bool,
    /// Collects what is asked for, where nothing else is known and everything is found.
    asked: Option<RefCell<Asked>>,
}

impl Columns {
    /// The columns of a main file and the tables that it looks up.
    ///
    /// # Errors
    /// When a table's key is no column of the main file or of an earlier table.
    pub fn new(sheet: &Sheet, tables: Vec<Table>, csv: &CsvSpec) -> anyhow::Result<Self> {
        let mut columns = Self {
            file: sheet.file().clone(),
            header: sheet.header().to_vec(),
            lists: sheet.lists().to_vec(),
            known: sheet.known().to_owned(),
            unknown: csv.unknown.clone(),
            decimal_comma: csv.decimal_comma,
            ..Self::default()
        };
        for table in tables {
            let key = columns.find(&table.with).with_context(|| format!("join `{}`", table.name))?;
            columns.keys.push(key);
            columns.tables.push(table);
        }
        Ok(columns)
    }

    /// Columns of which any can be found, and which remember those that were; there is nothing to read in them.
    pub fn of_anything() -> Self {
        Self { asked: Some(RefCell::default()), ..Self::default() }
    }

    /// What was looked up in [`Self::of_anything`].
    pub fn into_asked(self) -> Asked {
        self.asked.map(RefCell::into_inner).unwrap_or_default()
    }

    /// The main file's name.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The cell that a mapping calls `name`: a column, one of a list's elements, `join.column`, or where no column has
    /// that name `row` or `file`.
    ///
    /// # Errors
    /// When there is none; the error lists what there is.
    pub fn find(&self, name: &str) -> anyhow::Result<Cell> {
        if let Some(asked) = &self.asked {
            asked.borrow_mut().cells.insert(name.to_owned());
            return Ok(Cell::RowNumber);
        }
        let position = |list: &List| list.header.iter().position(|column| column == name);
        let mut lists = self.lists.iter().enumerate();
        if let Some((list, column)) = lists.find_map(|(list, of)| Some((list, position(of)?))) {
            return Ok(Cell::Listed { list, column });
        }
        if let Some(position) = self.header.iter().position(|column| column == name) {
            return Ok(Cell::Main(position));
        }
        let joined = name.split_once('.').and_then(|(table, column)| Some((self.table(table)?, column)));
        if let Some((table, column)) = joined {
            let header = &self.tables[table].header;
            let column = header.iter().position(|known| known == column);
            let missing =
                || format!("{} has no column `{name}`; {}", self.tables[table].file, self.tables[table].known);
            return Ok(Cell::Joined { table, column: column.with_context(missing)? });
        }
        match name {
            "row" => Ok(Cell::RowNumber),
            "file" => Ok(Cell::FileName),
            _ => bail!("{} has no column `{name}`; {}", self.file, self.known),
        }
    }

    /// The lines that a mapping calls `name`: `line`, a join with `many`, or a list in the line.
    ///
    /// # Errors
    /// When there are none.
    pub fn find_lines(&self, name: &str) -> anyhow::Result<Lines> {
        if name == "line" {
            return Ok(Lines::OfGroup);
        }
        if let Some(asked) = &self.asked {
            asked.borrow_mut().lines.insert(name.to_owned());
            return Ok(Lines::OfList(0));
        }
        match (self.table(name), self.lists.iter().position(|list| list.name == name)) {
            (Some(table), _) if self.tables[table].many => Ok(Lines::OfTable(table)),
            (Some(_), _) => bail!("the join `{name}` has one line for each key; mark it `many` to range over it"),
            (None, Some(list)) => Ok(Lines::OfList(list)),
            (None, None) => bail!("`{name}` is neither `line` nor a join nor a list in {}", self.file),
        }
    }

    /// The lines that a cell belongs to where there are several, which only `over` and `each` can tell apart.
    pub fn is_of_many(&self, cell: Cell) -> Option<Lines> {
        match cell {
            Cell::Listed { list, .. } => Some(Lines::OfList(list)),
            Cell::Joined { table, .. } if self.tables[table].many => Some(Lines::OfTable(table)),
            Cell::Joined { table, .. } => self.is_of_many(self.keys[table]),
            _ => None,
        }
    }

    /// The name of a cell for people.
    pub fn name(&self, cell: Cell) -> String {
        match cell {
            Cell::Main(column) => self.header[column].clone(),
            Cell::Joined { table, column } => {
                format!("{}.{}", self.tables[table].name, self.tables[table].header[column])
            }
            Cell::Listed { list, column } => self.lists[list].header[column].clone(),
            Cell::RowNumber => "row".to_owned(),
            Cell::FileName => "file".to_owned(),
        }
    }

    /// The cells of a line that lead to a damaged line of a joined file, with that file: an event that is made without
    /// it would be another one than the event of the mended file.
    pub fn damaged(&self, scope: &Scope<'_>) -> Vec<(Cell, &str)> {
        let leads = |(table, key): &(&Table, &Cell)| {
            let lines = self.is_of_many(**key);
            let scopes = lines.map_or_else(|| vec![*scope], |lines| scope.over(lines));
            scopes.iter().filter_map(|scope| scope.cell(**key)).any(|key| table.is_damaged(key))
        };
        self.tables.iter().zip(&self.keys).filter(leads).map(|(table, key)| (*key, &*table.file)).collect()
    }

    fn table(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.name == name)
    }
}

/// A line with what the lines before it said.
#[derive(Debug, Clone)]
pub struct Line {
    /// The line.
    pub row: Row,
    /// The number of the row as text.
    pub number: String,
    /// For each tracker of the plan, the cell that the line before with the same key had.
    pub previous: Vec<Option<String>>,
}

impl Line {
    /// A line before which nothing is known.
    pub fn new(row: Row) -> Self {
        Self { number: row.number.to_string(), row, previous: Vec::new() }
    }
}

/// What can be read at a moment: the columns, a line, its group and perhaps one line of a joined file or one element.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Where the cells are.
    pub columns: &'a Columns,
    /// The line at hand.
    pub line: &'a Line,
    /// The lines of its group, itself included.
    pub group: &'a [Line],
    /// The line of a joined file, or the element of a list, that is ranged over.
    pub at: Option<(Lines, u32)>,
}

impl<'a> Scope<'a> {
    /// The content of a cell without the blanks around it; nothing where it is empty or stands for "not known".
    pub fn cell(&self, cell: Cell) -> Option<&'a str> {
        let text = match cell {
            Cell::Main(column) => self.line.row.record.get(column)?.trim(),
            Cell::RowNumber => &self.line.number,
            Cell::FileName => &self.columns.file,
            Cell::Joined { table, column } => {
                let line = match self.at {
                    Some((Lines::OfTable(at), line)) if at == table => line,
                    _ => *self.lines_of(table).first()?,
                };
                self.columns.tables[table].line(line)?.get(column)?.trim()
            }
            Cell::Listed { list, column } => {
                let element = match self.at {
                    Some((Lines::OfList(at), element)) if at == list => element,
                    _ => 0,
                };
                self.line.row.lists.get(list)?.get(element as usize)?.get(column)?.trim()
            }
        };
        (!text.is_empty() && !self.columns.unknown.iter().any(|unknown| unknown == text)).then_some(text)
    }

    /// The lines of a joined file that have the key of the line at hand.
    pub fn lines_of(&self, table: usize) -> &'a [u32] {
        self.cell(self.columns.keys[table]).map_or(&[], |key| self.columns.tables[table].lines_of(key))
    }

    /// The scopes of several lines, in order.
    pub fn over(&self, lines: Lines) -> Vec<Self> {
        let at = |line| Self { at: Some((lines, line)), ..*self };
        match lines {
            Lines::OfGroup => self.group.iter().map(|line| Self { line, ..*self }).collect(),
            Lines::OfTable(table) => self.lines_of(table).iter().copied().map(at).collect(),
            Lines::OfList(list) => {
                (0..).zip(self.line.row.lists.get(list).into_iter().flatten()).map(|(element, _)| at(element)).collect()
            }
        }
    }
}

/// The cells of lines before, by the cell of a key column: what "since the line before" refers to.
#[derive(Debug, Default)]
pub struct Trackers {
    /// Which cell is remembered, and by which key.
    cells: Vec<(Cell, Cell)>,
    seen: Vec<HashMap<String, String>>,
}

impl Trackers {
    /// The position of the tracker for a cell and a key, added where there is none.
    pub fn track(&mut self, cell: Cell, key: Cell) -> usize {
        let known = self.cells.iter().position(|tracked| *tracked == (cell, key));
        known.unwrap_or_else(|| {
            self.cells.push((cell, key));
            self.seen.push(HashMap::new());
            self.cells.len() - 1
        })
    }

    /// What each tracker remembers for a line.
    pub fn previous(&self, scope: &Scope<'_>) -> Vec<Option<String>> {
        let tracked = self.cells.iter().zip(&self.seen);
        tracked.map(|((_, key), seen)| seen.get(scope.cell(*key)?).cloned()).collect()
    }

    /// Remembers a line. A blank cell leaves what was known, and a line that is broken is never passed to this, so
    /// that the next sound one still sees what rose in between.
    pub fn remember(&mut self, scope: &Scope<'_>) {
        for ((cell, key), seen) in self.cells.iter().zip(&mut self.seen) {
            if let (Some(key), Some(current)) = (scope.cell(*key), scope.cell(*cell)) {
                match seen.get_mut(key) {
                    Some(before) => current.clone_into(before),
                    None => drop(seen.insert(key.to_owned(), current.to_owned())),
                }
            }
        }
    }
}
