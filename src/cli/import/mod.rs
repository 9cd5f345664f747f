//! `rapport import`: CSV files become events by a mapping file.
//!
//! `rows` reads lines, `plan` says what a mapping makes of the columns of a file, `build` turns lines into events and
//! `sender` brings them to the server. Nothing here ever shows a cell's content: a fault is a file, a line, a column
//! and a sentence.

pub mod build;
pub mod columns;
pub mod command;
pub mod condition;
pub mod expression;
pub mod fault;
pub mod feed;
pub mod groups;
pub mod job;
pub mod join;
pub mod mapping;
pub mod outcome;
pub mod payload;
pub mod plan;
pub mod purchase;
pub mod rows;
pub mod sender;
pub mod template;
pub mod times;
pub mod value;

#[cfg(test)]
mod tests;
