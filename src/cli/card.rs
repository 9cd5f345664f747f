//! Model cards as tables.

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::{card_of_answers, findings, report};

/// The figures of a churn card, in the order in which people ask for them.
pub const METRICS: [(&str, &str); 9] = [
    ("auc", "AUC"),
    ("recency_baseline_auc", "AUC of recency alone (baseline)"),
    ("pr_auc", "PR-AUC"),
    ("lift_top_decile", "lift in the top decile"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("ece", "calibration error (ECE)"),
    ("base_rate", "base rate"),
    ("rows", "test rows"),
];

/// Characters between a probability of 0 and one of 1.
const SCALE: usize = 50;

/// Prints a card of any kind.
pub fn print(card: &Struct) {
    if card_of_answers::is_survey(card) {
        card_of_answers::print_survey(card);
    } else if card_of_answers::is_value(card) {
        card_of_answers::print_value(card);
    } else if field(card, "auc").is_some() {
        print_churn(card);
    } else {
        print_segments(card);
    }
}

/// Prints the card of a churn model: its figures with their intervals, the data, and how reliable its probabilities are.
pub fn print_churn(card: &Struct) {
    print_figures(card, &METRICS);
    let count = |key| number(card, key).map_or_else(String::new, |number| report::count(number as i64));
    let days = number(card, "horizon_days").unwrap_or_default();
    report::fact("horizon", format!("{} days", report::figure(days)));
    report::fact("test cut-off", text(card, "test_cutoff_time"));
    report::fact("trained on", format!("{} rows, {} left", count("training_rows"), count("training_rows_left")));
    report::fact("tested on", format!("{} rows, {} left", count("test_rows"), count("test_rows_left")));
    report::fact("split", text(card, "split"));
    report::fact("model", text(card, "selection"));
    report::fact("gate", text(card, "gate"));
    print_reliability(card);
    findings::print(card);
}

/// Prints figures with their intervals, under the names that people know them by; what the card has none of is left out.
pub fn print_figures(card: &Struct, figures: &[(&str, &str)]) {
    let row = |(key, name): &(&str, &str)| {
        let [value, low, high] = interval(card, key)?;
        if low == high {
            return Some(vec![(*name).to_owned(), report::count(value as i64), String::new()]);
        }
        let range = format!("{} – {}", report::exact(low), report::exact(high));
        Some(vec![(*name).to_owned(), report::exact(value), range])
    };
    let rows = figures.iter().filter_map(row).collect();
    println!("{}", report::table("lrl", &["figure", "value", "95 % interval"], rows));
}

/// Draws for each bin where the predicted probability lies and where the share that really left.
fn print_reliability(card: &Struct) {
    let bins = list(card, "reliability");
    if bins.is_empty() {
        return;
    }
    println!("\n  Reliability: `|` is what was predicted, `o` what happened, `*` both");
    for bin in bins {
        let (Some(predicted), Some(observed)) = (number(bin, "mean_probability"), number(bin, "observed_share")) else {
            continue;
        };
        let rows = report::count(number(bin, "rows").unwrap_or_default() as i64);
        let line = reliability_line(predicted, observed);
        println!("  {:>7} [{line}] {:>7}  {rows:>6} rows", report::percent(predicted), report::percent(observed));
    }
}

/// A line from 0 to 1 with a mark at each of two probabilities.
fn reliability_line(predicted: f64, observed: f64) -> String {
    let place = |share: f64| (share.clamp(0.0, 1.0) * (SCALE - 1) as f64).round() as usize;
    let mut line = vec![' '; SCALE];
    line[place(predicted)] = '|';
    line[place(observed)] = if place(predicted) == place(observed) { '*' } else { 'o' };
    line.into_iter().collect()
}

/// Prints the card of a segment model: how many, how distinct and how stable its segments are.
pub fn print_segments(card: &Struct) {
    let shown = |key: &str| number(card, key).map_or_else(|| "–".to_owned(), report::figure);
    report::fact("segments", shown("k"));
    report::fact("chosen", text(card, "choice"));
    report::fact("customers", number(card, "customers").map_or_else(String::new, |n| report::count(n as i64)));
    report::fact("silhouette", shown("silhouette"));
    report::fact("agreement with before", shown("adjusted_rand_index"));
    report::fact("customers who moved", number(card, "share_moved").map_or_else(|| "–".to_owned(), report::percent));
    if let Some(outliers) = structure(card, "outliers").and_then(|outliers| number(outliers, "customers")) {
        report::fact("far from every segment", format!("{} customers", report::count(outliers as i64)));
    }
    let segments = list(card, "segments");
    if segments.is_empty() {
        return;
    }
    let row = |segment: &&Struct| {
        let id = text(segment, "id");
        let jaccard = structure(card, "jaccard").and_then(|all| number(all, &id)).map(report::exact);
        let size = report::count(number(segment, "size").unwrap_or_default() as i64);
        vec![id, text(segment, "display_name"), size, jaccard.unwrap_or_default()]
    };
    let rows = segments.iter().map(row).collect();
    println!("{}", report::table("llrr", &["id", "name", "customers", "Jaccard"], rows));
    for segment in segments {
        println!("  {:<7} {}", text(segment, "id"), report::wrapped(&text(segment, "persona"), 10));
    }
    findings::print(card);
}

/// An entry of open data.
pub fn field<'a>(data: &'a Struct, key: &str) -> Option<&'a Kind> {
    data.fields.get(key)?.kind.as_ref()
}

/// A number of open data.
pub fn number(data: &Struct, key: &str) -> Option<f64> {
    match field(data, key) {
        Some(Kind::NumberValue(number)) => Some(*number),
        _ => None,
    }
}

/// A text of open data, empty where there is none.
pub fn text(data: &Struct, key: &str) -> String {
    match field(data, key) {
        Some(Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}

/// A part of open data that has keys of its own.
pub fn structure<'a>(data: &'a Struct, key: &str) -> Option<&'a Struct> {
    match field(data, key) {
        Some(Kind::StructValue(inner)) => Some(inner),
        _ => None,
    }
}

/// The entries of a list that have keys of their own.
pub fn list<'a>(data: &'a Struct, key: &str) -> Vec<&'a Struct> {
    let entry = |value: &'a Value| match &value.kind {
        Some(Kind::StructValue(entry)) => Some(entry),
        _ => None,
    };
    values(data, key).iter().filter_map(entry).collect()
}

/// The numbers of a list.
pub fn numbers(data: &Struct, key: &str) -> Vec<f64> {
    let entry = |value: &Value| match value.kind {
        Some(Kind::NumberValue(number)) => Some(number),
        _ => None,
    };
    values(data, key).iter().filter_map(entry).collect()
}

/// The texts of a list.
pub fn texts(data: &Struct, key: &str) -> Vec<String> {
    let entry = |value: &Value| match &value.kind {
        Some(Kind::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    values(data, key).iter().filter_map(entry).collect()
}

/// A figure with the ends of its interval.
pub fn interval(data: &Struct, key: &str) -> Option<[f64; 3]> {
    let interval = structure(data, key)?;
    Some([number(interval, "value")?, number(interval, "low")?, number(interval, "high")?])
}

fn values<'a>(data: &'a Struct, key: &str) -> &'a [Value] {
    match field(data, key) {
        Some(Kind::ListValue(list)) => &list.values,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reliability_line_marks_what_was_predicted_and_what_happened() {
        assert_eq!(reliability_line(0.0, 1.0), format!("|{}o", " ".repeat(SCALE - 2)));
        assert!(reliability_line(0.5, 0.501).contains('*'));
    }
}
