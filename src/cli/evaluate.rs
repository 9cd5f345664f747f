//! `rapport evaluate`: measures how well models do on data that they have not seen.
//!
//! It is a training run like any other, on what came through the same imports, but for its model, which is kept aside:
//! whatever answered before goes on answering.

use std::process::ExitCode;

use prost_types::Struct;
use serde_json::json;

use super::args::{EvaluateArgs, Output};
use super::session::{Session, Target};
use super::train::{self, Trained};
use super::{card, json, report};

/// The figures of a model of churn, in the order in which people ask for them.
const FIGURES: [(&str, &str); 6] = [
    ("auc", "AUC"),
    ("pr_auc", "PR-AUC"),
    ("brier", "Brier score"),
    ("ece", "calibration (ECE)"),
    ("lift_top_decile", "lift, top decile"),
    ("log_loss", "log loss"),
];

/// Evaluates and prints the figures.
///
/// # Errors
/// When the server refuses the request or the run does not succeed.
pub async fn evaluate(args: EvaluateArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&Target::from(&args.target), &args.target.workspace).await?;
    let evaluated = train::run(&session, args.kind.into(), parameters(&args), "evaluation").await;
    session.close().await?;
    let Trained { run, card } = evaluated?;
    match args.output {
        Output::Json => json::print(&json!({
            "workspace": args.target.workspace,
            "run_id": run.run_id,
            "model_version": run.model_version,
            "metrics": run.metrics.as_ref().map(json::from_struct),
            "card": json::from_struct(&card),
        }))?,
        Output::Text => {
            report::heading(&format!("Model {}, kept aside", run.model_version));
            print(&card);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the arguments ask of a training run; what is not said has its default there.
fn parameters(args: &EvaluateArgs) -> Struct {
    let mut asked = serde_json::Map::new();
    let mut ask = |key: &str, value: Option<serde_json::Value>| {
        asked.extend(value.map(|value| (key.to_owned(), value)));
    };
    ask("promote", Some(json!(false)));
    ask("seed", Some(json!(args.seed)));
    ask("label", args.label.as_ref().map(|label| json!(label)));
    ask("folds", args.folds.map(|folds| json!(folds)));
    ask("group_by", args.group_by.as_ref().map(|group_by| json!(group_by)));
    ask("exclude_traits", (!args.exclude_traits.is_empty()).then(|| json!(args.exclude_traits)));
    ask("cutoff_times", (!args.cutoff_times.is_empty()).then(|| json!(args.cutoff_times)));
    ask("horizon_days", args.horizon_days.map(|days| json!(days)));
    json::to_struct(&asked)
}

/// Prints the models beside each other; a card of another kind, as it is.
fn print(about: &Struct) {
    let candidates = card::list(about, "candidates");
    if candidates.is_empty() {
        return card::print(about);
    }
    let picked = card::text(about, "model");
    let name = |candidate: &&Struct| {
        let name = card::text(candidate, "model");
        if name == picked { format!("{name} *") } else { name }
    };
    let baseline = card::structure(about, "recency_baseline");
    let mut header = vec!["figure".to_owned()];
    header.extend(candidates.iter().map(name));
    header.push("recency alone".to_owned());
    let columns: Vec<Option<&Struct>> =
        candidates.iter().map(|candidate| card::structure(candidate, "metrics")).chain([baseline]).collect();
    let row = |(key, name): &(&str, &str)| {
        let cells = columns.iter().map(|figures| figures.and_then(|figures| figure(figures, key)).unwrap_or_default());
        std::iter::once((*name).to_owned()).chain(cells).collect()
    };
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let alignments = format!("l{}", "r".repeat(columns.len()));
    println!("{}", report::table(&alignments, &header, FIGURES.iter().map(row).collect()));
    println!("  Within parentheses, bootstrap intervals of 95 %. * would answer.\n");
    print_facts(about);
}

/// A figure with its interval; none where the model has no such figure.
fn figure(figures: &Struct, key: &str) -> Option<String> {
    let interval = card::structure(figures, key)?;
    let [value, low, high] = ["value", "low", "high"].map(|part| card::number(interval, part).map(report::exact));
    Some(format!("{} ({}–{})", value?, low?, high?))
}

fn print_facts(about: &Struct) {
    let count = |key| card::number(about, key).map_or_else(String::new, |number| report::count(number as i64));
    report::fact("judged by", format!("{} rows, {} left", count("test_rows"), count("test_rows_left")));
    report::fact("learned from", format!("{} rows, {} left", count("training_rows"), count("training_rows_left")));
    report::fact("split", card::text(about, "split"));
    report::fact("picked", card::text(about, "selection"));
    report::fact("gate", card::text(about, "gate"));
    report::fact("seed", card::text(about, "seed"));
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn asked(line: &str) -> serde_json::Value {
        let line = ["rapport", "evaluate"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(line).expect("well-formed").command {
            Command::Evaluate(args) => json::from_struct(&parameters(&args)),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn what_is_typed_becomes_parameters_of_a_run_that_keeps_its_model_aside() {
        assert_eq!(asked("churn"), json!({"promote": false, "seed": 0.0}));
        let folds = asked("churn --label left --folds 5 --group-by home --exclude-trait a --exclude-trait b --seed 7");
        let expected = json!({
            "promote": false, "seed": 7.0, "label": "left", "folds": 5.0, "group_by": "home", "exclude_traits": ["a", "b"]
        });
        assert_eq!(folds, expected);
        let later = asked("churn --cutoff-times 2025-09-01T00:00:00Z,2025-12-01T00:00:00Z --horizon-days 90");
        assert_eq!(later["cutoff_times"], json!(["2025-09-01T00:00:00Z", "2025-12-01T00:00:00Z"]));
        assert_eq!(later["horizon_days"], json!(90.0));
    }

    #[test]
    fn a_figure_is_shown_with_its_interval_and_one_that_is_missing_is_not() {
        let figures = json!({"auc": {"value": 0.85, "low": 0.84, "high": 0.861}, "ece": null});
        let figures = json::to_struct(figures.as_object().expect("an object"));
        assert_eq!(figure(&figures, "auc").as_deref(), Some("0.850 (0.840–0.861)"));
        assert_eq!(figure(&figures, "ece"), None);
    }
}
