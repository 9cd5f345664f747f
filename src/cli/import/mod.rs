//! `rapport import`: files of CSV or JSON lines become events by a mapping file.
//!
//! `sheet` says what columns a file has, `rows` brings its lines, which `csv_rows` or `json_lines` read on threads of their
//! own, `plan` says what a mapping makes of the columns, `build` turns lines into events and `sender` brings them to the
//! server. Nothing here ever shows a cell's content: a fault is a file, a line, a column and a sentence.

pub mod asked;
pub mod build;
pub mod chunks;
pub mod columns;
pub mod command;
pub mod condition;
pub mod csv_rows;
pub mod expression;
pub mod fault;
pub mod feed;
pub mod groups;
pub mod in_order;
pub mod job;
pub mod join;
pub mod json_lines;
pub mod mapping;
pub mod outcome;
pub mod payload;
pub mod plan;
pub mod purchase;
pub mod rows;
pub mod sender;
pub mod sheet;
pub mod source;
pub mod template;
pub mod times;
pub mod value;

#[cfg(test)]
mod tests;
