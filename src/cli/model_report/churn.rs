//! The report of a model of churn.

use prost_types::Struct;

use super::html::{self, Cell};
use super::plot::{Axis, Plot};
use super::shared::{count, drifts, exact, with_interval};
use crate::cli::card::{METRICS, interval, list, number, structure, text, texts};
use crate::cli::{findings, report};

/// Width and height of a picture.
const SIZE: (f64, f64) = (440.0, 340.0);

/// The sections of the report.
pub(super) fn sections(card: &Struct) -> String {
    let parts = [
        tiles(card),
        facts(card),
        reliability(card),
        gain(card),
        reasons(card),
        gate(card),
        realised(card),
        drifts(card),
    ];
    parts.concat()
}

fn tiles(card: &Struct) -> String {
    let tile = |name, key: &str| {
        let [value, low, high] = interval(card, key)?;
        let note = format!("95 %: {} – {}", report::exact(low), report::exact(high));
        Some((name, report::exact(value), note))
    };
    let tiles = [
        tile("AUC", "auc"),
        tile("AUC of recency alone", "recency_baseline_auc"),
        tile("Brier score", "brier"),
        tile("Calibration error", "ece"),
        tile("Lift in the top decile", "lift_top_decile"),
        tile("Base rate", "base_rate"),
    ];
    html::tiles(&tiles.into_iter().flatten().collect::<Vec<_>>())
}

fn facts(card: &Struct) -> String {
    let definition = structure(card, "definition");
    let kind = definition.map(|definition| text(definition, "kind")).unwrap_or_default();
    let qualifying = definition.map(|definition| texts(definition, "qualifying_events")).unwrap_or_default();
    let facts = html::facts(&[
        ("Leaving means", kind),
        ("Signs of life", qualifying.join(", ")),
        (
            "Horizon",
            number(card, "horizon_days").map_or_else(String::new, |days| format!("{} days", report::figure(days))),
        ),
        ("Kind of model", text(card, "model").replace('_', " ")),
        ("Calibration", text(card, "calibration")),
        (
            "Trained on",
            format!("{} examples, {} left", count(card, "training_rows"), count(card, "training_rows_left")),
        ),
        ("Training cut-offs", texts(card, "training_cutoff_times").join(", ")),
        ("Tested on", format!("{} examples, {} left", count(card, "test_rows"), count(card, "test_rows_left"))),
        ("Test cut-off", text(card, "test_cutoff_time")),
        ("Split", text(card, "split")),
        ("Seed", text(card, "seed")),
    ]);
    html::section(
        "What it is",
        "What the model was trained on, and what it was tested on without having seen it.",
        &facts,
    )
}

/// Points of a reliability diagram: what was predicted, what happened, and of how many.
fn bins(card: &Struct) -> Vec<(f64, f64, f64)> {
    let bin =
        |bin: &&Struct| Some((number(bin, "mean_probability")?, number(bin, "observed_share")?, number(bin, "rows")?));
    list(card, "reliability").iter().filter_map(bin).collect()
}

fn reliability_curve(bins: &[(f64, f64, f64)], alternative: &str) -> String {
    let x = Axis::share("predicted probability", 1.0);
    let mut plot = Plot::new(alternative, SIZE, x, Axis::share("share who left", 1.0));
    for (predicted, observed, rows) in bins {
        let (low, high) = wilson(*observed, *rows);
        plot.line("whisker", &[(*predicted, low), (*predicted, high)]);
    }
    plot.line("soft", &[(0.0, 0.0), (1.0, 1.0)]);
    plot.line("main", &bins.iter().map(|bin| (bin.0, bin.1)).collect::<Vec<_>>());
    let most = bins.iter().map(|bin| bin.2).fold(1.0, f64::max);
    for (predicted, observed, rows) in bins {
        let says = format!(
            "predicted {}, left {}, {} customers",
            report::percent(*predicted),
            report::percent(*observed),
            report::count(*rows as i64)
        );
        plot.dot("main", (*predicted, *observed), 3.0 + 6.0 * (rows / most).sqrt(), &says);
    }
    plot.finish()
}

/// The 95 % interval of a share among so many (Wilson 1927).
fn wilson(share: f64, rows: f64) -> (f64, f64) {
    const NORMAL_975: f64 = 1.959_964;
    let (rows, square) = (rows.max(1.0), NORMAL_975 * NORMAL_975);
    let middle = (share + square / (2.0 * rows)) / (1.0 + square / rows);
    let half =
        NORMAL_975 * (share * (1.0 - share) / rows + square / (4.0 * rows * rows)).sqrt() / (1.0 + square / rows);
    (middle - half, middle + half)
}

fn reliability_table(bins: &[(f64, f64, f64)]) -> String {
    let row = |(predicted, observed, rows): &(f64, f64, f64)| {
        let figures = [report::percent(*predicted), report::percent(*observed), report::count(*rows as i64)];
        figures.into_iter().map(Cell::Number).collect()
    };
    html::table(
        "Customers by predicted probability",
        &["predicted", "left", "customers"],
        bins.iter().map(row).collect(),
    )
}

fn reliability(card: &Struct) -> String {
    let bins = bins(card);
    if bins.is_empty() {
        return String::new();
    }
    let curve = reliability_curve(&bins, "Reliability: the share who left against the predicted probability");
    let most = bins.iter().map(|bin| bin.2).fold(1.0, f64::max);
    let x = Axis::share("predicted probability", 1.0);
    let mut histogram =
        Plot::new("How many customers got which probability", SIZE, x, Axis::from("customers", 0.0, most));
    for (predicted, _, rows) in &bins {
        // The bins of the calibration error.
        let bin = (predicted * 15.0).floor().min(14.0);
        histogram.bar("main", (bin / 15.0, (bin + 1.0) / 15.0), *rows);
    }
    let figures = [
        html::figure(
            &curve,
            "On the dashed line probabilities are what they say. A larger dot stands for more customers; the pale bars are \
             95 % intervals.",
            &reliability_table(&bins),
        ),
        html::figure(&histogram.finish(), "How many customers got which probability.", ""),
    ];
    let lead = "Of the customers with a probability of 30 %, do 30 of 100 leave?";
    html::section("Reliability", lead, &html::side_by_side(&figures))
}

fn gain(card: &Struct) -> String {
    let point = |point: &&Struct| Some((number(point, "share")?, number(point, "captured")?, number(point, "lift")?));
    let points: Vec<(f64, f64, f64)> = list(card, "gain").iter().filter_map(point).collect();
    if points.is_empty() {
        return String::new();
    }
    let share = || Axis::share("share of the customers, riskiest first", 1.0);
    let mut captured =
        Plot::new("Gain: whom one reaches from the top", SIZE, share(), Axis::share("share of all who leave", 1.0));
    captured.line("soft", &[(0.0, 0.0), (1.0, 1.0)]);
    let from_nothing = std::iter::once((0.0, 0.0)).chain(points.iter().map(|point| (point.0, point.1)));
    captured.line("main", &from_nothing.collect::<Vec<_>>());
    let highest = points.iter().map(|point| point.2).fold(1.0, f64::max);
    let mut lift = Plot::new(
        "Lift: how many times as many as by lot",
        SIZE,
        share(),
        Axis::from("times as many as by lot", 0.0, highest),
    );
    lift.line("soft", &[(0.0, 1.0), (1.0, 1.0)]);
    lift.line("main", &points.iter().map(|point| (point.0, point.2)).collect::<Vec<_>>());
    let row = |(share, captured, lift): &(f64, f64, f64)| {
        let figures = [report::percent(*share), report::percent(*captured), report::exact(*lift)];
        figures.into_iter().map(Cell::Number).collect()
    };
    let header = ["customers", "of all who leave", "lift"];
    let table = html::table("From the riskiest customer on", &header, points.iter().map(row).collect());
    let figures = [
        html::figure(&captured.finish(), "Dashed: customers drawn by lot.", &table),
        html::figure(&lift.finish(), "Dashed: no better than by lot.", ""),
    ];
    let lead = "Whoever calls the riskiest customers first, how many of those who leave do they reach?";
    html::section("Gain and lift", lead, &html::side_by_side(&figures))
}

fn reasons(card: &Struct) -> String {
    let reasons = list(card, "contributions");
    if reasons.is_empty() {
        return String::new();
    }
    let size = |reason: &Struct| number(reason, "mean_absolute").unwrap_or_default();
    let largest = reasons.iter().map(|reason| size(reason)).fold(1e-9, f64::max);
    let row = |reason: &&Struct| {
        vec![
            Cell::Text(text(reason, "display_name")),
            Cell::Bar(100.0 * size(reason) / largest, report::exact(size(reason))),
            Cell::Text(findings::direction(number(reason, "direction")).to_owned()),
        ]
    };
    let header = ["feature", "mean contribution to the log-odds", "the more of it"];
    let caption = "Mean of the absolute contributions over customers of the test";
    let table = html::table(caption, &header, reasons.iter().map(row).collect());
    let lead = "What moves the score, and which way. A contribution says what the model looks at, not what makes people leave.";
    html::section("Contributions", lead, &table)
}

fn gate(card: &Struct) -> String {
    let row = |candidate: &&Struct| {
        vec![
            Cell::Text(text(candidate, "model").replace('_', " ")),
            Cell::Text(text(candidate, "calibration")),
            Cell::Number(exact(candidate, "log_loss")),
            Cell::Number(with_interval(candidate, "log_loss_above_first")),
            Cell::Number(exact(candidate, "auc")),
        ]
    };
    let header = ["model", "calibration", "log loss", "above the first (95 %)", "AUC"];
    let candidates =
        html::table("Models that competed on the test", &header, list(card, "candidates").iter().map(row).collect());
    let before = match structure(card, "previous_model") {
        Some(before) => {
            beside("This model and the one before, on the same test", ("this one", card), ("the one before", before))
        }
        None => format!("<p>{}</p>\n", html::escaped(&no_model_before(card))),
    };
    let verdict = html::facts(&[("Picked", text(card, "selection")), ("Gate", text(card, "gate"))]);
    let lead = "A model answers only where it is no worse than the one before it, on customers that none has seen.";
    html::section("The gate's comparison", lead, &format!("{verdict}{candidates}{before}"))
}

fn no_model_before(card: &Struct) -> String {
    let said = text(card, "previous_model");
    if said.is_empty() { "There was no model before.".to_owned() } else { format!("The model before is {said}.") }
}

/// The figures of two cards in one table.
fn beside(caption: &str, (name, own): (&str, &Struct), (other_name, other): (&str, &Struct)) -> String {
    let row = |(key, title): &(&str, &str)| {
        let is_count = *key == "rows";
        let cell = |card: &Struct| {
            let [value, ..] = interval(card, key)?;
            Some(Cell::Number(if is_count { report::count(value as i64) } else { with_interval(card, key) }))
        };
        Some(vec![Cell::Text((*title).to_owned()), cell(own)?, cell(other)?])
    };
    html::table(caption, &["figure", name, other_name], METRICS.iter().filter_map(row).collect())
}

fn realised(card: &Struct) -> String {
    let lead =
        "When the horizon has passed, the answers are made again as of its beginning and compared with what happened.";
    let content = match structure(card, "realised") {
        Some(realised) if text(realised, "status") == "measured" => measured(card, realised),
        Some(realised) => format!("<p>{}</p>\n", html::escaped(&findings::no_outcomes(realised))),
        None => "<p>Nobody has looked yet: a server looks once a day.</p>\n".to_owned(),
    };
    html::section("Realised outcomes", lead, &content)
}

fn measured(card: &Struct, realised: &Struct) -> String {
    let facts = html::facts(&[
        ("Answers as of", text(realised, "as_of_time")),
        ("Outcomes until", text(realised, "until_time")),
        ("Predicted on average", number(realised, "predicted_rate").map_or_else(String::new, report::percent)),
        (
            "Really left",
            interval(realised, "observed_rate").map_or_else(String::new, |[value, low, high]| {
                format!("{} ({} – {})", report::percent(value), report::percent(low), report::percent(high))
            }),
        ),
        ("What it is", findings::basis(realised).to_owned()),
    ]);
    let table = beside("What the test promised and what came true", ("came true", realised), ("test", card));
    let bins = bins(realised);
    let curve =
        reliability_curve(&bins, "Reliability of the answers: the share who really left against the probability");
    let picture = html::figure(&curve, "The answers beside what happened.", &reliability_table(&bins));
    format!("{facts}{}", html::side_by_side(&[picture, table]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_share_is_that_of_the_tables() {
        // 8 of 10, as in Newcombe (1998) and every table of Wilson's interval.
        let (low, high) = wilson(0.8, 10.0);
        assert!((low - 0.490).abs() < 0.001 && (high - 0.943).abs() < 0.001, "{low} {high}");
        let (low, high) = wilson(0.0, 10.0);
        assert!(low.abs() < 1e-9 && (high - 0.278).abs() < 0.001, "{low} {high}");
    }
}
