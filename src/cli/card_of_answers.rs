//! The cards of models that tell numbers: what customers answer to surveys, and what they buy.

use prost_types::Struct;
use prost_types::value::Kind;

use super::card::{field, number, print_figures, structure, text};
use super::report;

/// The figures of a model of answers, in the order in which people ask for them.
const SURVEY_FIGURES: [(&str, &str); 8] = [
    ("mae", "mean absolute error, points"),
    ("mean_baseline_mae", "error of the mean answer (baseline)"),
    ("r2", "variance explained (R²)"),
    ("rank_correlation", "rank correlation"),
    ("interval_coverage", "answers within low to high (0.8)"),
    ("interval_width", "width of that, points"),
    ("mean_score", "mean answer"),
    ("rows", "test answers"),
];

/// The figures of a model of value.
const VALUE_FIGURES: [(&str, &str); 8] = [
    ("auc", "AUC of buying at all"),
    ("recency_baseline_auc", "AUC of recency alone (baseline)"),
    ("mae", "mean absolute error, purchases"),
    ("deviance_explained", "deviance explained"),
    ("purchases_ratio", "purchases expected ÷ made"),
    ("revenue_ratio", "revenue expected ÷ made"),
    ("spend_frequency_correlation", "correlation of spend and frequency"),
    ("rows", "customers"),
];

/// Whether a card is one of a model of answers.
pub fn is_survey(card: &Struct) -> bool {
    field(card, "question").is_some()
}

/// Whether a card is one of a model of value.
pub fn is_value(card: &Struct) -> bool {
    field(card, "purchases_ratio").is_some()
}

/// Prints the card of a model of answers: its figures, its data, and how those who answer differ from those who do not.
pub fn print_survey(card: &Struct) {
    print_figures(card, &SURVEY_FIGURES);
    let count = |key| number(card, key).map_or_else(String::new, |number| report::count(number as i64));
    report::fact("question", text(card, "question"));
    let times = |first, last| format!("{} to {}", text(card, first), text(card, last));
    let training = times("training_first_time", "training_last_time");
    report::fact("trained on", format!("{} answers, {training}", count("training_rows")));
    report::fact(
        "tested on",
        format!("{} answers, {}", count("test_rows"), times("test_first_time", "test_last_time")),
    );
    report::fact("split", text(card, "split"));
    report::fact("model", text(card, "selection"));
    report::fact("gate", text(card, "gate"));
    let Some(respondents) = structure(card, "respondents") else { return };
    let rate = number(respondents, "response_rate").map_or_else(|| "–".to_owned(), report::percent);
    report::fact("customers who ever answered", rate);
    let Some(Kind::ListValue(differences)) = field(respondents, "differences") else { return };
    let row = |entry: &prost_types::Value| match &entry.kind {
        Some(Kind::StructValue(entry)) => {
            Some(vec![text(entry, "display_name"), report::exact(number(entry, "standardised_difference")?)])
        }
        _ => None,
    };
    let rows = differences.values.iter().take(5).filter_map(row).collect();
    println!("{}", report::table("lr", &["respondents against others in", "deviations"], rows));
}

/// Prints the card of a model of value: its figures, its data and its parameters.
pub fn print_value(card: &Struct) {
    print_figures(card, &VALUE_FIGURES);
    let count = |key| number(card, key).map_or_else(String::new, |number| report::count(number as i64));
    let days = number(card, "horizon_days").unwrap_or_default();
    report::fact("horizon", format!("{} days after {}", report::figure(days), text(card, "cutoff_time")));
    let again = count("customers_who_bought_again");
    report::fact("learned from", format!("{} customers, {again} of whom bought again", count("customers")));
    let parameters = |data: &Struct, keys: &[&str]| {
        let shown = keys.iter().filter_map(|key| Some(format!("{key} {}", report::exact(number(data, key)?))));
        shown.collect::<Vec<_>>().join(", ")
    };
    report::fact("BG/NBD", parameters(card, &["r", "alpha_weeks", "a", "b"]));
    if let Some(spend) = structure(card, "spend") {
        let of = parameters(spend, &["p", "q", "gamma"]);
        report::fact("Gamma-Gamma", format!("{of} {}", text(spend, "currency")));
    }
    report::fact("gate", text(card, "gate"));
}
