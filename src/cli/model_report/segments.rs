//! The report of a model of segments.

use prost_types::Struct;

use super::html::{self, Cell};
use super::plot::{Axis, Plot};
use super::shared::{count, drifts, exact};
use crate::cli::card::{list, number, numbers, structure, text};
use crate::cli::report;

/// Width and height of a picture.
const SIZE: (f64, f64) = (540.0, 420.0);
/// Tones of the page's style; further segments begin with the first again, and are told apart by their names.
const TONES: usize = 8;
/// Typical figures that a persona lists.
const FIGURES: usize = 4;

/// The sections of the report.
pub(super) fn sections(card: &Struct) -> String {
    [tiles(card), facts(card), personas(card), map(card), silhouettes(card), choice(card), drifts(card)].concat()
}

fn tiles(card: &Struct) -> String {
    let figure = |name, key: &str, note: &str| {
        let value = number(card, key).map_or_else(String::new, report::figure);
        (name, value, note.to_owned())
    };
    let outliers = structure(card, "outliers").and_then(|outliers| number(outliers, "share"));
    html::tiles(&[
        figure("Segments", "k", ""),
        ("Customers", count(card, "customers"), String::new()),
        figure("Silhouette", "silhouette", "−1 to 1, 1 is well apart"),
        figure("Agreement with before", "adjusted_rand_index", "adjusted Rand index, 1 is the same"),
        (
            "Customers who moved",
            number(card, "share_moved").map_or_else(String::new, report::percent),
            "to another segment".to_owned(),
        ),
        ("Outliers", outliers.map_or_else(String::new, report::percent), "far from every segment".to_owned()),
    ])
}

fn facts(card: &Struct) -> String {
    let features: Vec<String> = list(card, "features").iter().map(|feature| text(feature, "display_name")).collect();
    let facts = html::facts(&[
        ("Number of segments", text(card, "choice")),
        ("Made of", features.join(", ")),
        ("Customers as of", text(card, "as_of_time")),
        ("Fitted on", format!("{} of {} customers", count(card, "fitted_rows"), count(card, "customers"))),
        ("Gate", text(card, "gate")),
        ("Seed", text(card, "seed")),
    ]);
    html::section("What it is", "What the segments are made of, and how their number was found.", &facts)
}

fn personas(card: &Struct) -> String {
    let mut cards = String::from("<div class=\"personas\">\n");
    for (position, segment) in list(card, "segments").into_iter().enumerate() {
        let jaccard = structure(card, "jaccard").and_then(|all| number(all, &text(segment, "id")));
        let share = number(segment, "share").map_or_else(String::new, report::percent);
        let row = |figure: &&Struct| {
            let shown = |key| number(figure, key).map_or_else(String::new, report::figure);
            vec![
                Cell::Text(text(figure, "display_name")),
                Cell::Number(shown("median")),
                Cell::Number(shown("population_median")),
            ]
        };
        let figures: Vec<Vec<Cell>> = list(segment, "distinguishing").iter().take(FIGURES).map(row).collect();
        let table = if figures.is_empty() {
            String::new()
        } else {
            html::table("Typical figures (medians)", &["", "here", "everyone"], figures)
        };
        cards.push_str(&format!(
            "<article class=\"persona t{}\">\n<h4>{}</h4>\n<p class=\"version\">{} · {} customers{}</p>\n\
             <p class=\"share\">{}</p>\n<p>{}</p>\n{table}</article>\n",
            position % TONES,
            html::escaped(&text(segment, "display_name")),
            html::escaped(&text(segment, "id")),
            html::escaped(&count(segment, "size")),
            html::escaped(
                &jaccard.map_or_else(String::new, |jaccard| format!(" · stability {}", report::exact(jaccard)))
            ),
            html::escaped(&share),
            html::escaped(&text(segment, "persona")),
        ));
    }
    cards.push_str("</div>\n");
    let lead = "Who is in which segment. Stability is the Jaccard similarity with what resamples find: 0.75 or more is stable.";
    html::section("Personas", lead, &cards)
}

fn map(card: &Struct) -> String {
    let Some(map) = structure(card, "map") else { return String::new() };
    let names: Vec<String> = list(card, "segments").iter().map(|segment| text(segment, "display_name")).collect();
    let (x, y) = (numbers(map, "x"), numbers(map, "y"));
    let (centre_x, centre_y) = (numbers(map, "centroid_x"), numbers(map, "centroid_y"));
    let axes = list(map, "axes");
    let axis = |position: usize, places: &[f64], centres: &[f64]| {
        let all = || places.iter().chain(centres).copied();
        let share = axes.get(position).and_then(|axis| number(axis, "variance_share")).unwrap_or_default();
        let label = format!("component {} ({} of the variance)", position + 1, report::percent(share));
        Axis::unmarked(&label, all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
    };
    let says = "Map of the segments: customers by the two directions in which they differ most";
    let mut plot = Plot::new(says, SIZE, axis(0, &x, &centre_x), axis(1, &y, &centre_y));
    for ((x, y), segment) in x.iter().zip(&y).zip(numbers(map, "segment")) {
        plot.dot(&format!("tone cloud t{}", segment as usize % TONES), (*x, *y), 3.5, "");
    }
    for (position, (x, y)) in centre_x.iter().zip(&centre_y).enumerate() {
        let name = names.get(position).map_or("", String::as_str);
        plot.dot(&format!("tone centre t{}", position % TONES), (*x, *y), 9.0, name);
    }
    let ids: Vec<String> = list(card, "segments").iter().map(|segment| text(segment, "id")).collect();
    for ((x, y), id) in centre_x.iter().zip(&centre_y).zip(&ids) {
        plot.name((*x, *y), "start", &format!("\u{2003}{id}"));
    }
    let weights = axes.iter().enumerate().map(|(position, axis)| weights(position, axis)).collect::<String>();
    let figure = html::figure(
        &plot.finish(),
        "Large dots are the centres; small ones are customers of a sample, without segments of fewer than 20.",
        &weights,
    );
    let lead = "How near the segments are to each other, seen along the first two principal components. What lies together \
                here may lie apart in a direction that two dimensions do not show.";
    html::section("Segment map", lead, &figure)
}

fn weights(position: usize, axis: &Struct) -> String {
    let row = |weight: &&Struct| vec![Cell::Text(text(weight, "display_name")), Cell::Number(exact(weight, "weight"))];
    let caption = format!("What component {} is made of", position + 1);
    html::table(&caption, &["feature", "weight"], list(axis, "weights").iter().map(row).collect())
}

fn silhouettes(card: &Struct) -> String {
    let segments = list(card, "silhouettes");
    if segments.is_empty() {
        return String::new();
    }
    let widths: Vec<Vec<f64>> = segments.iter().map(|segment| numbers(segment, "widths")).collect();
    let lowest = widths.iter().flatten().copied().fold(0.0, f64::min);
    // A segment is as high as it has customers, but high enough to be seen.
    let customers = |segment: &Struct| number(segment, "customers").unwrap_or_default();
    let all: f64 = segments.iter().map(|segment| customers(segment)).sum::<f64>().max(1.0);
    let heights: Vec<f64> = segments.iter().map(|segment| (customers(segment) / all).max(0.05)).collect();
    let gap = 0.02;
    let total = heights.iter().sum::<f64>() + gap * heights.len() as f64;
    let (x, y) = (Axis::from("silhouette", lowest, 1.0), Axis::unmarked("segments", 0.0, total));
    let mut plot = Plot::new("Silhouettes of the customers, segment by segment", SIZE, x, y);
    let mut top = total;
    for (position, (widths, height)) in widths.iter().zip(&heights).enumerate() {
        let steps = (widths.len().max(2) - 1) as f64;
        let edge = widths.iter().enumerate().map(|(step, width)| (*width, top - height * step as f64 / steps));
        let outline: Vec<(f64, f64)> = std::iter::once((0.0, top)).chain(edge).chain([(0.0, top - height)]).collect();
        plot.area(&format!("tone cloud t{}", position % TONES), &outline);
        plot.name((0.01, top - height / 2.0), "start", &text(segments[position], "id"));
        top -= height + gap;
    }
    if let Some(mean) = number(card, "silhouette") {
        plot.line("soft", &[(mean, 0.0), (mean, total)]);
    }
    let row = |segment: &&Struct| {
        let misplaced = number(segment, "misplaced_share").map_or_else(String::new, report::percent);
        vec![
            Cell::Text(text(segment, "id")),
            Cell::Number(count(segment, "customers")),
            Cell::Number(exact(segment, "mean")),
            Cell::Number(misplaced),
        ]
    };
    let header = ["segment", "customers of the sample", "mean", "nearer to another"];
    let table = html::table("Silhouettes by segment", &header, segments.iter().map(row).collect());
    let figure =
        html::figure(&plot.finish(), "Left of 0 customers are nearer to another segment. Dashed: the mean.", &table);
    let lead = "How well each customer fits the own segment, from 1 (well) over 0 (between two) to −1 (badly).";
    html::section("Silhouette", lead, &figure)
}

fn choice(card: &Struct) -> String {
    let row = |point: &&Struct| {
        let stable = matches!(
            point.fields.get("stable").and_then(|value| value.kind.as_ref()),
            Some(prost_types::value::Kind::BoolValue(true))
        );
        vec![
            Cell::Text(number(point, "k").map_or_else(String::new, report::figure)),
            Cell::Number(exact(point, "silhouette")),
            Cell::Number(exact(point, "jaccard_min")),
            Cell::Number(number(point, "share_min").map_or_else(String::new, report::percent)),
            Cell::Text(if stable { "yes" } else { "no" }.to_owned()),
        ]
    };
    let header = ["segments", "silhouette", "least stability", "smallest segment", "stable"];
    let table =
        html::table("Numbers of segments that were tried", &header, list(card, "curves").iter().map(row).collect());
    html::section("How many segments", &text(card, "choice"), &table)
}
