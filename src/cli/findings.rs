//! What a card says beside the figures of its test: the reasons, what came of the answers, and how far customers have
//! moved.

use prost_types::Struct;

use super::card::{interval, list, number, structure, text};
use super::report;

/// Reasons, and features that moved, that are printed.
const ROWS: usize = 8;

/// Prints all of it that a card has.
pub fn print(card: &Struct) {
    print_reasons(card);
    if let Some(realised) = structure(card, "realised") {
        print_realised(realised);
    }
    for (key, name) in [("drift_now", "drift since"), ("drift_from_previous", "drift before")] {
        if let Some(drift) = structure(card, key) {
            print_drift(name, drift);
        }
    }
}

fn print_reasons(card: &Struct) {
    let reasons = list(card, "contributions");
    if reasons.is_empty() {
        return;
    }
    let row = |reason: &&Struct| {
        let size = number(reason, "mean_absolute").map_or_else(String::new, report::exact);
        vec![text(reason, "display_name"), size, direction(number(reason, "direction")).to_owned()]
    };
    let rows = reasons.iter().take(ROWS).map(row).collect();
    println!("\n{}", report::table("lrl", &["what moves the score most", "log-odds", "the more of it"], rows));
}

/// Which way a feature moves the score, by the correlation of its value with its contribution.
pub fn direction(correlation: Option<f64>) -> &'static str {
    match correlation {
        Some(correlation) if correlation > 0.3 => "the likelier to leave",
        Some(correlation) if correlation < -0.3 => "the likelier to stay",
        Some(_) => "it depends on the rest",
        None => "",
    }
}

fn print_realised(realised: &Struct) {
    if text(realised, "status") != "measured" {
        report::fact("realised outcomes", no_outcomes(realised));
        return;
    }
    let shown = |key: &str| {
        let interval = interval(realised, key);
        interval.map_or_else(String::new, |[value, low, high]| format!("{value:.3} ({low:.3} – {high:.3})"))
    };
    let predicted = number(realised, "predicted_rate").map_or_else(String::new, report::exact);
    report::fact("realised outcomes", format!("as of {}: {}", text(realised, "as_of_time"), basis(realised)));
    report::fact("  predicted, observed", format!("{predicted}, {}", shown("observed_rate")));
    report::fact("  AUC, Brier, ECE", format!("{}, {}, {}", shown("auc"), shown("brier"), shown("ece")));
}

/// Why the answers of a model were not compared with what happened.
pub fn no_outcomes(realised: &Struct) -> String {
    match text(realised, "status").as_str() {
        "pending" => format!(
            "not yet: the first answers that the model has not learned from have their outcome at {}, and events must \
             reach that far",
            text(realised, "due_time")
        ),
        "history_expired" => {
            format!("the history that they need has expired; it begins at {}", text(realised, "oldest_time"))
        }
        "no_dates" => "never: a trait says who left, and it has no date".to_owned(),
        _ => format!(
            "too few customers to compare: as of {} there are {} of whom {} left, and 100 of either are needed",
            text(realised, "as_of_time"),
            number(realised, "rows").map_or_else(String::new, report::figure),
            number(realised, "left").map_or_else(String::new, report::figure),
        ),
    }
}

/// What a comparison with what happened rests on.
pub fn basis(realised: &Struct) -> &'static str {
    match text(realised, "basis").as_str() {
        "answers" => "what the model answered then, made again from what was known",
        _ => {
            "a back-test: what the model would have answered before it was there, of a time that it has not learned from"
        }
    }
}

fn print_drift(name: &str, drift: &Struct) {
    let index = number(drift, "index_max").map_or_else(String::new, report::exact);
    let moved: Vec<String> = list(drift, "features")
        .iter()
        .filter(|feature| text(feature, "level") != "small")
        .take(ROWS)
        .map(|feature| {
            let index = number(feature, "index").map_or_else(String::new, report::exact);
            format!("{} {index}", text(feature, "display_name"))
        })
        .collect();
    report::fact(name, format!("{} (index up to {index})", text(drift, "level")));
    if !moved.is_empty() {
        report::fact("  features", moved.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::json;

    fn said(realised: serde_json::Value) -> String {
        no_outcomes(&json::to_struct(realised.as_object().expect("an object")))
    }

    #[test]
    fn outcomes_that_cannot_be_told_say_why() {
        assert!(
            said(serde_json::json!({"status": "pending", "due_time": "2026-05-01T00:00:00Z"})).contains("2026-05-01")
        );
        let expired = said(serde_json::json!({"status": "history_expired", "oldest_time": "2026-01-01T00:00:00Z"}));
        assert!(expired.contains("expired") && expired.contains("2026-01-01"));
        let few = said(serde_json::json!({"status": "not_enough_data", "rows": 150.0, "left": 12.0}));
        assert!(few.contains("150 of whom 12 left"), "{few}");
    }

    #[test]
    fn a_direction_is_claimed_only_where_there_is_one() {
        let said = [Some(0.9), Some(-0.9), Some(0.1), None].map(direction);
        assert_eq!(said, ["the likelier to leave", "the likelier to stay", "it depends on the rest", ""]);
    }
}
