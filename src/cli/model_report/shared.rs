//! What reports of all kinds of models have in common.

use prost_types::Struct;

use super::html::{self, Cell};
use super::plot::pairs;
use crate::cli::card::{interval, list, number, numbers, structure, text};
use crate::cli::report;

/// A figure with its interval, as `0.812 (0.790 – 0.833)`; empty where the card has none.
pub(super) fn with_interval(card: &Struct, key: &str) -> String {
    interval(card, key).map_or_else(String::new, |[value, low, high]| {
        format!("{} ({} – {})", report::exact(value), report::exact(low), report::exact(high))
    })
}

/// A count of a card; empty where there is none.
pub(super) fn count(card: &Struct, key: &str) -> String {
    number(card, key).map_or_else(String::new, |number| report::count(number as i64))
}

/// A figure of a card with three decimals; empty where there is none.
pub(super) fn exact(card: &Struct, key: &str) -> String {
    number(card, key).map_or_else(String::new, report::exact)
}

/// How far customers have moved, feature by feature.
pub(super) fn drift(drift: &Struct, since: &str) -> String {
    let features = list(drift, "features");
    let largest = features.iter().filter_map(|feature| number(feature, "index")).fold(0.25, f64::max);
    let row = |feature: &&Struct| {
        let index = number(feature, "index").unwrap_or_default();
        let name = text(feature, "display_name");
        let says = format!("{name}: the shares of the bins then (pale) and now");
        let picture = pairs(&says, &numbers(feature, "shares_then"), &numbers(feature, "shares_now"));
        vec![
            Cell::Text(name),
            Cell::Bar(100.0 * index / largest, report::exact(index)),
            Cell::Number(exact(feature, "by_chance")),
            Cell::Text(text(feature, "level")),
            Cell::Picture(picture),
        ]
    };
    let header = ["feature", "population stability index", "by chance up to", "drift", "then and now"];
    let caption = format!(
        "{} customers of {since}. From 0.1 on a feature has moved, from 0.25 on the model speaks of other customers; an \
         index that chance alone could reach does not count.",
        count(drift, "customers")
    );
    html::table(&caption, &header, features.iter().map(row).collect())
}

/// Both looks at drift that a card may have.
pub(super) fn drifts(card: &Struct) -> String {
    let mut content = String::new();
    for (key, heading, since) in [
        ("drift_now", "Since this training", "the last look"),
        ("drift_from_previous", "Between the training before and this one", "this training"),
    ] {
        if let Some(found) = structure(card, key) {
            content.push_str(&format!("<h4>{}</h4>\n{}", html::escaped(heading), drift(found, since)));
        }
    }
    if content.is_empty() {
        content = "<p>Nobody has looked yet: a server looks once a day, and at every training after the first.</p>\n"
            .to_owned();
    }
    let lead = "Are the customers of today still those that the model was trained on? Features that count the time since \
                something, such as days since first seen, grow by themselves.";
    html::section("Drift", lead, &content)
}
