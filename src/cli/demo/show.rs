//! What the demo shows of what was learned.

use crate::cli::report;
use crate::cli::session::{Session, refused};
use crate::rpc::pb;

use super::desk::Hard;

/// Reasons that are shown for each customer.
const REASONS: usize = 3;

/// Typical figures that are shown for each segment.
const FIGURES: usize = 5;

/// Prints the segments of a workspace: size, stability and typical figures side by side, then each persona.
///
/// # Errors
/// When the server does not answer.
pub async fn segments(session: &Session) -> anyhow::Result<()> {
    let response = session.segments().list_segments(pb::ListSegmentsRequest::default()).await;
    let segments = response.map_err(|status| refused("ListSegments", &status))?.into_inner().segments;
    let figures = figures(&segments);
    let mut header = vec!["segment", "customers", "share", "Jaccard"];
    header.extend(figures.iter().map(|figure| figure.display_name.as_str()));
    let mut rows: Vec<Vec<String>> = segments.iter().map(|segment| row(segment, &figures)).collect();
    rows.push(everyone(&segments, &figures));
    println!("{}", report::table(&format!("lrrr{}", "f".repeat(figures.len())), &header, rows));
    println!("  (figures are medians)\n");
    for segment in &segments {
        println!("  {:<7} {}", segment.segment_id, segment.display_name);
        println!("          {}", report::wrapped(&segment.persona, 10));
    }
    Ok(())
}

/// The features that set segments apart, each once, those of the largest segment first.
fn figures(segments: &[pb::Segment]) -> Vec<pb::SegmentTrait> {
    let mut figures: Vec<pb::SegmentTrait> = Vec::new();
    for figure in segments.iter().flat_map(|segment| &segment.distinguishing) {
        if figures.len() < FIGURES && figures.iter().all(|known| known.feature != figure.feature) {
            figures.push(figure.clone());
        }
    }
    figures
}

fn row(segment: &pb::Segment, figures: &[pb::SegmentTrait]) -> Vec<String> {
    let share = report::percent(segment.share);
    let jaccard = format!("{:.2}", segment.stability_jaccard);
    let typical = figures.iter().map(|figure| {
        let own = segment.distinguishing.iter().find(|own| own.feature == figure.feature);
        own.map_or_else(|| "–".to_owned(), |own| report::figure(own.median))
    });
    let fixed = [segment.segment_id.clone(), report::count(segment.size), share, jaccard];
    fixed.into_iter().chain(typical).collect()
}

fn everyone(segments: &[pb::Segment], figures: &[pb::SegmentTrait]) -> Vec<String> {
    let customers = segments.iter().map(|segment| segment.size).sum::<i64>();
    let typical = figures.iter().map(|figure| report::figure(figure.population_median));
    let fixed = ["everyone".to_owned(), report::count(customers), report::percent(1.0), String::new()];
    fixed.into_iter().chain(typical).collect()
}

/// Prints who has it hardest, and why.
pub fn hardest(customers: &[Hard]) {
    let row = |hard: &Hard| {
        let effort = &hard.effort;
        let band = effort.band().as_str_name().trim_start_matches("BAND_");
        vec![hard.user_id.clone(), format!("{:.1}", effort.effort_index), band.to_owned(), case(hard), reasons(effort)]
    };
    let header = ["customer", "index", "band", "hardest case", "why (share of the index)"];
    println!("{}", report::table("lrllw", &header, customers.iter().map(row).collect()));
}

/// The episode that took the most, in a few words.
fn case(hard: &Hard) -> String {
    let took = |episode: &&pb::Episode| {
        episode.contacts
            + episode.transfers
            + episode.channel_switches
            + 2 * episode.reopens
            + episode.self_service_failures
    };
    let Some(worst) = hard.episodes.iter().max_by_key(took) else { return String::new() };
    let state = if worst.open { ", open" } else { "" };
    format!("{} ({}{state})", worst.case_id, worst.topic)
}

fn reasons(effort: &pb::PredictEffortResponse) -> String {
    let named = effort.contributions.iter().filter(|reason| !reason.value.is_empty()).take(REASONS);
    let reason =
        |reason: &pb::Contribution| format!("{}: {} ({:+.1})", reason.display_name, reason.value, reason.contribution);
    named.map(reason).collect::<Vec<_>>().join("; ")
}
