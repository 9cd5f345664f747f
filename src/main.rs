//! The `rapport` program.

fn main() {}
