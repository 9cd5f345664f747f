//! A file with columns, whatever it is written in.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::asked::Asked;
use super::chunks::Chunks;
use super::csv_rows::CsvRows;
use super::in_order::{InOrder, workers};
use super::json_lines::{List, Parser, Shape};
use super::mapping::{CsvSpec, Mapping};
use super::rows::{Pace, Rows};
use super::source::{Format, Source};
use crate::cli::progress::Progress;

/// After how many chunks a look through a file is long enough to be looked at.
const WORTH_SHOWING: usize = 512;
/// How many columns of JSON lines a message lists.
const COLUMNS_SHOWN: usize = 50;
/// Between the names of two fields that lie in one another, where a list lies in between.
const OF_EACH: &str = "[]";

/// A file, looked through for its columns.
#[derive(Debug, Clone)]
pub struct Sheet {
    source: Source,
    file: Arc<str>,
    header: Vec<String>,
    lists: Vec<List>,
    known: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Csv(CsvSpec),
    JsonLines(Arc<Shape>),
}

impl Sheet {
    /// A main file and the columns that a mapping asks for.
    ///
    /// # Errors
    /// When the file cannot be read or has no columns, or the mapping fits no file at all.
    pub fn of(source: &Source, mapping: &Mapping) -> anyhow::Result<Self> {
        Self::open(source, &mapping.csv, &Asked::of(mapping)?)
    }

    /// A file and the columns that are asked for.
    ///
    /// # Errors
    /// When the file cannot be read or has no columns.
    pub fn open(source: &Source, csv: &CsvSpec, asked: &Asked) -> anyhow::Result<Self> {
        let file: Arc<str> = source.name().into();
        let (header, lists, known, kind) = match source.format()? {
            Format::Csv => {
                let header = CsvRows::new(file.clone(), source.open()?, csv)?.header().to_vec();
                let known = format!("it has {}", header.join(", "));
                (header, Vec::new(), known, Kind::Csv(csv.clone()))
            }
            Format::JsonLines => {
                let shape = survey(source, &file, asked.shape(csv.decimal_comma))?;
                (shape.header.clone(), shape.lists.clone(), known(source, &file)?, Kind::JsonLines(Arc::new(shape)))
            }
        };
        Ok(Self { source: source.clone(), file, header, lists, known, kind })
    }

    /// The rows from the first to the last.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rows(&self, pace: &Pace) -> anyhow::Result<Rows> {
        let (opened, file) = (self.source.open()?, self.file.clone());
        let batches = match &self.kind {
            Kind::Csv(csv) => InOrder::one(CsvRows::new(file, opened, csv)?)?,
            Kind::JsonLines(shape) => InOrder::dealt(Chunks::new(file.clone(), opened), pace.workers, || {
                let mut parser = Parser::new(file.clone(), shape.clone());
                move |chunk| parser.rows(&chunk)
            })?,
        };
        Ok(Rows::new(batches, pace.read_bytes.clone()))
    }

    /// Where it is read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The file's name.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The columns of its rows: all of a CSV file, of JSON lines those that are asked for.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The lists in its rows that are asked for.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// What columns it has, for who asks for another.
    pub fn known(&self) -> &str {
        &self.known
    }
}

/// Looks through a file for what is asked for, until nothing is missing: a column that no line has is a mistake of the
/// mapping, and no line tells that alone.
fn survey(source: &Source, file: &Arc<str>, shape: Shape) -> anyhow::Result<Shape> {
    let shape = Arc::new(shape);
    let parser = || Parser::new(file.clone(), shape.clone());
    let mut looks = InOrder::dealt(Chunks::new(file.clone(), source.open()?), workers(), || {
        let mut parser = parser();
        move |chunk| (parser.rows(&chunk).read_bytes, parser.met())
    })?;
    let (mut met, mut done, mut progress) = (parser().met(), 0, None);
    for chunks in 0.. {
        if met.is_all() {
            break;
        }
        if chunks == WORTH_SHOWING {
            progress = Some(Progress::bytes(&format!("look through {file}"), source.bytes()?));
        }
        let Some((read_bytes, more)) = looks.next_result()? else { break };
        met.add(&more);
        done += read_bytes;
        if let Some(progress) = &mut progress {
            progress.set(done, "");
        }
    }
    Ok(shape.only(&met))
}

/// The first columns of JSON lines, for messages.
fn known(source: &Source, file: &Arc<str>) -> anyhow::Result<String> {
    let mut names = BTreeSet::new();
    if let Some(chunk) = Chunks::new(file.clone(), source.open()?).next() {
        for (_, bytes) in chunk?.lines() {
            if let Ok(value @ serde_json::Value::Object(_)) = serde_json::from_slice(bytes) {
                add_names(&value, "", &mut names);
            }
        }
    }
    if names.is_empty() {
        return Ok("its first lines are no JSON objects".to_owned());
    }
    let more = if names.len() > COLUMNS_SHOWN { ", …" } else { "" };
    let lists = if names.iter().any(|name| name.contains(OF_EACH)) {
        "; lists, marked [], are for `over` and `each`"
    } else {
        ""
    };
    let names: Vec<String> = names.into_iter().take(COLUMNS_SHOWN).collect();
    Ok(format!("it has {}{more}{lists}", names.join(", ")))
}

fn add_names(value: &serde_json::Value, path: &str, names: &mut BTreeSet<String>) {
    match value {
        // One more than is shown tells that there are more.
        _ if names.len() > COLUMNS_SHOWN => {}
        serde_json::Value::Object(fields) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (name, value) in fields {
                add_names(value, &format!("{path}{dot}{name}"), names);
            }
        }
        serde_json::Value::Array(items) => {
            let path = format!("{path}{OF_EACH}");
            items.iter().for_each(|item| add_names(item, &path, names));
        }
        _ => drop(names.insert(path.to_owned())),
    }
}
