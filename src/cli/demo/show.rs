//! What the demo shows of what was learned.

use crate::cli::report;
use crate::cli::session::{Session, refused};
use crate::rpc::pb;

use super::desk::Hard;

/// Reasons that are shown for each customer.
const REASONS: usize = 3;

/// Prints the segments of a workspace.
///
/// # Errors
/// When the server does not answer.
pub async fn segments(session: &Session) -> anyhow::Result<()> {
    let response = session.segments().list_segments(pb::ListSegmentsRequest::default()).await;
    let segments = response.map_err(|status| refused("ListSegments", &status))?.into_inner().segments;
    let row = |segment: pb::Segment| {
        let share = report::percent(segment.share);
        let jaccard = format!("{:.2}", segment.stability_jaccard);
        vec![
            format!("{} ({})", segment.display_name, segment.segment_id),
            report::count(segment.size),
            share,
            jaccard,
            segment.persona,
        ]
    };
    let header = ["segment", "customers", "share", "Jaccard", "persona with typical figures"];
    println!("{}", report::table("wrrrw", &header, segments.into_iter().map(row).collect()));
    Ok(())
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
