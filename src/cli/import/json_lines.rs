//! JSON lines to rows: an object on each line, of which only the fields are read that a mapping asks for.
//!
//! A field of an object in an object is called by its path, `customer.id`, and so is a field of that name. Fields of the
//! elements of a list are called after the list, `items.sku`, and an element that is no object like the list itself.
//! What nobody asks for is checked to be JSON and skipped without a stack, so that no depth of nesting is too much, and
//! how deep we go ourselves is bounded by the longest name that is asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use csv::StringRecord;
use serde::de::{DeserializeSeed, Deserializer as _, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::chunks::{Chunk, LINE_BYTES};
use super::fault::Fault;
use super::rows::{Batch, Damaged, Read, Row};

/// All that can still be wrong with a text where a line was checked to be JSON.
const HALF_A_CHARACTER: &str = "holds half of a character, written as `\\u`";

/// What is read of each line.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The columns of the line itself.
    pub header: Vec<String>,
    /// The lists that are ranged over.
    pub lists: Vec<List>,
    /// True where the mapping takes a comma for the decimal point. JSON knows only the point; a number that has one is
    /// handed on with a comma, or 12.50 would be read as 1250.
    decimal_comma: bool,
    fields: HashMap<String, Field>,
}

/// A list of objects or values within a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its path.
    pub name: String,
    /// The columns of its elements, by their whole paths.
    pub header: Vec<String>,
}

/// What a path means.
#[derive(Debug, Clone, Copy, Default)]
struct Field {
    /// The column that it fills.
    column: Option<usize>,
    /// The list whose elements have that column; without one, the line itself has it.
    of: Option<usize>,
    /// The list that it is.
    list: Option<usize>,
    /// Whether something is asked for that lies in it.
    leads_further: bool,
}

/// What was met of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    header: Vec<bool>,
    lists: Vec<(bool, Vec<bool>)>,
}

impl Shape {
    /// The shape that has columns and lists of these names.
    pub fn new(names: &[String], lists: &[String], decimal_comma: bool) -> Self {
        let lists = lists.iter().map(|name| List { name: name.clone(), header: Vec::new() }).collect();
        let mut shape = Self { decimal_comma, lists, ..Self::default() };
        for (position, list) in shape.lists.iter().enumerate() {
            lead_to(&mut shape.fields, &list.name).list = Some(position);
        }
        for name in names {
            let of = shape.lists.iter().position(|list| list.has(name));
            let header = of.map_or(&mut shape.header, |list| &mut shape.lists[list].header);
            let field = lead_to(&mut shape.fields, name);
            (field.column, field.of) = (Some(header.len()), of);
            header.push(name.clone());
        }
        shape
    }

    /// The part of the shape that was met.
    pub fn only(&self, met: &Met) -> Self {
        let of = |header: &[String], met: &[bool]| -> Vec<String> {
            header.iter().zip(met).filter(|(_, met)| **met).map(|(name, _)| name.clone()).collect()
        };
        let (mut names, mut lists) = (of(&self.header, &met.header), Vec::new());
        for (list, (_, columns)) in self.lists.iter().zip(&met.lists).filter(|(_, (is_met, _))| *is_met) {
            names.extend(of(&list.header, columns));
            lists.push(list.name.clone());
        }
        Self::new(&names, &lists, self.decimal_comma)
    }
}

impl List {
    /// Whether a column of this name belongs to its elements.
    pub fn has(&self, name: &str) -> bool {
        name.strip_prefix(&self.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// The field of a path, with all that lead to it.
fn lead_to<'a>(fields: &'a mut HashMap<String, Field>, path: &str) -> &'a mut Field {
    for (end, _) in path.match_indices('.') {
        fields.entry(path[..end].to_owned()).or_default().leads_further = true;
    }
    fields.entry(path.to_owned()).or_default()
}

impl Met {
    /// Adds what was met elsewhere.
    pub fn add(&mut self, other: &Self) {
        let add = |all: &mut [bool], other: &[bool]| all.iter_mut().zip(other).for_each(|(met, other)| *met |= other);
        add(&mut self.header, &other.header);
        for ((met, columns), (other, others)) in self.lists.iter_mut().zip(&other.lists) {
            *met |= other;
            add(columns, others);
        }
    }

    /// True where nothing is missing.
    pub fn is_all(&self) -> bool {
        let all = |met: &[bool]| met.iter().all(|met| *met);
        all(&self.header) && self.lists.iter().all(|(met, columns)| *met && all(columns))
    }
}

/// Reads lines into a shape.
pub struct Parser {
    file: Arc<str>,
    shape: Arc<Shape>,
    /// Of the field at hand.
    path: String,
    line: Cells,
    lists: Vec<Elements>,
    flaw: Option<Flaw>,
}

/// What is wrong with a line: the column where it lies in one, and a sentence.
type Flaw = (Option<String>, String);

/// The cells of a line or an element as they are met, in any order.
#[derive(Debug, Default)]
struct Cells {
    text: String,
    /// Where each cell stands in the text.
    places: Vec<Option<(usize, usize)>>,
    /// Which cells were met in any line.
    met: Vec<bool>,
}

/// The elements of a list.
#[derive(Debug, Default)]
struct Elements {
    cells: Cells,
    records: Option<Vec<StringRecord>>,
    is_met: bool,
}

impl Parser {
    /// A parser for a file.
    pub fn new(file: Arc<str>, shape: Arc<Shape>) -> Self {
        let elements = |list: &List| Elements { cells: Cells::new(list.header.len()), ..Elements::default() };
        let lists = shape.lists.iter().map(elements).collect();
        Self { line: Cells::new(shape.header.len()), file, shape, path: String::new(), lists, flaw: None }
    }

    /// The rows of some lines.
    pub fn rows(&mut self, chunk: &Chunk) -> Batch {
        let rows = chunk.lines().map(|(line, bytes)| self.row(line, bytes)).collect();
        Batch { rows, read_bytes: chunk.read_bytes }
    }

    /// What was met so far.
    pub fn met(&self) -> Met {
        let lists = self.lists.iter().map(|list| (list.is_met, list.cells.met.clone())).collect();
        Met { header: self.line.met.clone(), lists }
    }

    /// One line. A broken one is read as far as it goes: it may be one of a group that is left out with it.
    fn row(&mut self, line: u64, bytes: &[u8]) -> Read {
        self.line.clear();
        self.path.clear();
        let text = String::from_utf8_lossy(bytes);
        if bytes.len() > LINE_BYTES {
            self.fail(None, format!("is longer than {} MiB", LINE_BYTES >> 20));
        } else if matches!(text, Cow::Owned(_)) {
            self.fail(None, "is not written in UTF-8");
        }
        if text.trim_ascii_start().starts_with('{') {
            if let Err(error) = self.object(&text, None) {
                // Not the message of the error: it may repeat a part of the line.
                let end = "is cut off: it ends in the middle of its object".to_owned();
                self.fail(None, if error.is_eof() { end } else { format!("is not JSON at byte {}", error.column()) });
            }
        } else {
            self.fail(None, "is not a JSON object");
        }
        let lists = self.lists.iter_mut().map(|list| list.records.take().unwrap_or_default()).collect();
        let row = Row { record: self.line.record(), lists, line, number: 0 };
        match self.flaw.take() {
            None => Ok(row),
            Some((column, fault)) => {
                let fault = Fault { file: self.file.clone(), line, column, fault, group_lines: None };
                Err(Box::new(Damaged { fault, row }))
            }
        }
    }

    /// Reads an object that lies at the path, inside of an element where a list is given.
    fn object(&mut self, text: &str, inside: Option<usize>) -> serde_json::Result<()> {
        let mut json = Deserializer::from_str(text);
        json.deserialize_map(Fields { parser: self, inside })?;
        json.end()
    }

    fn value(&mut self, field: Field, json: &str, inside: Option<usize>) {
        let list = field.list.filter(|_| inside.is_none());
        // A field of the line may be called like one of an element; that is not what is asked for.
        let column = field.column.filter(|_| field.of == inside);
        match (json.as_bytes().first(), list, column) {
            (Some(b'['), Some(list), _) => self.elements(list, json),
            (Some(b'n'), Some(list), _) => self.lists[list].is_met = true,
            (_, Some(_), _) => self.fail_here("is not a list, which `over` and `each` range over"),
            (_, None, None) if !field.leads_further => {}
            (Some(b'['), None, _) => {
                self.fail_here("is a list; only `over` and `each` read one, and none within another");
            }
            (Some(b'{'), None, Some(_)) => self.fail_here("is an object; name a field of it"),
            (_, None, Some(column)) => self.cell(column, json, inside),
            (Some(b'{'), None, None) => {
                let length = self.path.len();
                self.path.push('.');
                let read = self.object(json, inside);
                self.path.truncate(length);
                if read.is_err() {
                    self.fail_here(HALF_A_CHARACTER);
                }
            }
            (Some(b'n'), None, None) => {}
            (_, None, None) => self.fail_here("is not an object, and a field of it is asked for"),
        }
    }

    /// Fills a cell with a text, a number as it is written, a truth, or the blank that `null` is.
    fn cell(&mut self, column: usize, json: &str, inside: Option<usize>) {
        let cells = inside.map_or(&mut self.line, |list| &mut self.lists[list].cells);
        let start = cells.text.len();
        let is_sound = match json.as_bytes().first() {
            Some(b'"') => Text(&mut cells.text).deserialize(&mut Deserializer::from_str(json)).is_ok(),
            Some(b'n') => true,
            _ if self.shape.decimal_comma => {
                cells.text.extend(json.chars().map(|letter| if letter == '.' { ',' } else { letter }));
                true
            }
            _ => {
                cells.text.push_str(json);
                true
            }
        };
        cells.met[column] = true;
        if cells.places[column].is_some() {
            self.fail_here("is there twice");
        } else {
            cells.places[column] = Some((start, cells.text.len()));
        }
        if !is_sound {
            self.fail_here(HALF_A_CHARACTER);
        }
    }

    fn elements(&mut self, list: usize, json: &str) {
        if self.lists[list].records.is_some() {
            return self.fail_here("is there twice");
        }
        self.lists[list].is_met = true;
        self.lists[list].records = Some(Vec::new());
        let read = Deserializer::from_str(json).deserialize_seq(Items { parser: self, list });
        debug_assert!(read.is_ok(), "the line was checked to be JSON");
    }

    fn element(&mut self, list: usize, json: &str) {
        let path = self.path.len();
        self.lists[list].cells.clear();
        let field = self.shape.fields.get(&self.path).copied().unwrap_or_default();
        self.value(field, json, Some(list));
        self.path.truncate(path);
        let elements = &mut self.lists[list];
        let record = elements.cells.record();
        elements.records.get_or_insert_default().push(record);
    }

    fn fail_here(&mut self, fault: &str) {
        self.fail(Some(self.path.clone()), fault);
    }

    /// Of several things that are wrong with a line, the first is told.
    fn fail(&mut self, column: Option<String>, fault: impl Into<String>) {
        self.flaw.get_or_insert_with(|| (column, fault.into()));
    }
}

impl Cells {
    fn new(columns: usize) -> Self {
        Self { text: String::new(), places: vec![None; columns], met: vec![false; columns] }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.places.fill(None);
    }

    fn record(&self) -> StringRecord {
        let mut record = StringRecord::with_capacity(self.text.len(), self.places.len());
        for place in &self.places {
            record.push_field(place.map_or("", |(start, end)| &self.text[start..end]));
        }
        record
    }
}

/// Reads the fields of an object.
struct Fields<'p> {
    parser: &'p mut Parser,
    inside: Option<usize>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let parser = self.parser;
        let start = parser.path.len();
        while map.next_key_seed(Text(&mut parser.path))?.is_some() {
            match parser.shape.fields.get(&parser.path).copied() {
                Some(field) => {
                    let value: &RawValue = map.next_value()?;
                    parser.value(field, value.get(), self.inside);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            parser.path.truncate(start);
        }
        Ok(())
    }
}

/// Reads the elements of a list.
struct Items<'p> {
    parser: &'p mut Parser,
    list: usize,
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            self.parser.element(self.list, item.get());
        }
        Ok(())
    }
}

/// Adds a text to another.
struct Text<'t>(&'t mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }
}
