//! How results look: tables, figures, durations. The one place for it.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, Width, presets};

/// Columns of a terminal that tables keep within.
pub const WIDTH: u16 = 110;

/// A heading between two parts.
pub fn heading(text: &str) {
    if is_styled() { println!("\n\x1b[1m{text}\x1b[0m") } else { println!("\n{text}") }
}

/// Whether the standard output shows colours and weights: a terminal that nobody told otherwise.
fn is_styled() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A table whose columns are aligned as `alignments` says: `l` left, `r` right, `f` right with a header that wraps, `w`
/// left with wide content that wraps. Rows are set apart only where content wraps.
pub fn table(alignments: &str, header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    let mut style = presets::UTF8_HORIZONTAL_ONLY;
    if !alignments.contains('w') {
        style = style.row_separator(LineStyle::none());
    }
    table.load_style(style).set_width(WIDTH);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header(header.to_vec()).add_rows(rows);
    for (column, alignment) in table.column_iter_mut().zip(alignments.chars()) {
        if matches!(alignment, 'r' | 'f') {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_constraint(match alignment {
            'w' => ColumnConstraint::LowerBoundary(Width::Fixed(36)),
            'f' => ColumnConstraint::UpperBoundary(Width::Fixed(13)),
            _ => ColumnConstraint::ContentWidth,
        });
    }
    table
}

/// A text broken into lines that fit beside an indentation of so many spaces.
pub fn wrapped(text: &str, indent: usize) -> String {
    let width = usize::from(WIDTH) - indent;
    let mut lines = vec![String::new()];
    // A number keeps its unit beside it.
    for word in text.replace(" %", "\u{a0}%").split_ascii_whitespace() {
        let fits =
            lines.last().is_some_and(|line| line.is_empty() || line.chars().count() + word.chars().count() < width);
        if !fits {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// A count with a separator between thousands.
pub fn count(number: impl Into<i64>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of the library's own unsigned counters.
pub fn counted(number: u64) -> String {
    count(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A figure with as many decimals as its size deserves.
pub fn figure(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number with three decimals, for figures that are compared with each other.
pub fn exact(number: f64) -> String {
    format!("{number:.3}")
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A duration for people.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..10 => format!("{seconds:.1} s"),
        10..120 => format!("{seconds:.0} s"),
        120..7_200 => format!("{:.0} min", seconds / 60.0),
        7_200..172_800 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// One line of facts, `name: value`.
pub fn fact(name: &str, value: impl Display) {
    println!("  {name:<24} {}", wrapped(&value.to_string(), 27));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_figures_read_easily() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")];
        assert!(counts.iter().all(|(number, text)| count(*number) == *text));
        let figures = [(0.0, "0"), (0.1234, "0.123"), (3.0, "3"), (12.345, "12.3"), (1234.5, "1234")];
        assert!(figures.iter().all(|(number, text)| figure(*number) == *text), "{}", figure(1234.5));
    }

    #[test]
    fn a_table_stays_within_its_width_and_wraps_what_is_wide() {
        let rows = vec![vec!["a".to_owned(), "word ".repeat(60), "12".to_owned()]];
        let table = table("lwr", &["name", "text", "size"], rows);
        assert!(table.lines().all(|line| line.chars().count() <= usize::from(WIDTH)));
        assert!(table.lines().count() > 4);
    }

    #[test]
    fn a_wrapped_text_keeps_its_words_and_its_indentation() {
        let text = "word ".repeat(60);
        let lines: Vec<String> = wrapped(&text, 10).lines().map(str::to_owned).collect();
        assert!(lines.len() > 1 && lines[1..].iter().all(|line| line.starts_with("          word")));
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(WIDTH)));
        assert_eq!(lines.join(" ").split_whitespace().count(), 60);
    }
}
