//! The summaries of a profile.

use std::collections::BTreeMap;

use litemap::LiteMap;
use smol_str::SmolStr;

use super::{count, time};
use crate::domain::money::Currency;
use crate::domain::profile::activity::{Activity, Tally};
use crate::domain::profile::purchases::{Purchases, Totals};
use crate::domain::profile::support::{Episode, Support};
use crate::domain::profile::surveys::{Scores, Surveys};
use crate::rpc::pb;

const SECONDS_PER_HOUR: f64 = 3_600.0;

pub(super) fn activity(activity: &Activity) -> pb::Activity {
    let channel = |tally: &Tally| pb::ChannelActivity {
        events: count(tally.events),
        first_time: Some(time::to_pb(tally.first)),
        last_time: Some(time::to_pb(tally.last)),
    };
    pb::Activity {
        events: count(activity.events()),
        events_by_channel: counts(&activity.channels),
        events_by_kind: counts(&activity.kinds),
        channels: activity.channels.iter().map(|(name, tally)| (name.to_string(), channel(tally))).collect(),
        first_time: activity.all.map(|all| time::to_pb(all.first)),
        last_time: activity.all.map(|all| time::to_pb(all.last)),
        events_by_name: counts(&activity.names),
    }
}

fn counts(tallies: &LiteMap<SmolStr, Tally>) -> BTreeMap<String, i64> {
    tallies.iter().map(|(name, tally)| (name.to_string(), count(tally.events))).collect()
}

/// Purchases, with the money in the workspace's currency, or where that is unset in the customer's first.
pub(super) fn purchases(purchases: &Purchases, workspace: &Currency) -> Option<pb::PurchaseSummary> {
    if purchases.count + purchases.refunds == 0 {
        return None;
    }
    let main = purchases.main_totals(workspace);
    let by_currency = purchases.by_currency(workspace).into_iter();
    let (gap_days_mean, gap_days_sd) = purchases.gap_days().unwrap_or_default();
    Some(pb::PurchaseSummary {
        count: count(purchases.count),
        revenue: main.net().as_units(),
        gross_revenue: main.gross.as_units(),
        refunded_revenue: main.refunded.as_units(),
        currency: purchases.currency(workspace).as_str().to_owned(),
        revenue_by_currency: by_currency.map(|(code, totals)| (code.to_string(), totals_to_pb(totals))).collect(),
        refunds: count(purchases.refunds),
        items: purchases.items,
        first_time: purchases.first.map(time::to_pb),
        last_time: purchases.last.map(time::to_pb),
        gap_days_mean,
        gap_days_sd,
        last_revenue: main.last_amount.as_units(),
    })
}

fn totals_to_pb(totals: Totals) -> pb::CurrencyTotals {
    pb::CurrencyTotals {
        count: count(totals.purchases),
        revenue: totals.net().as_units(),
        gross_revenue: totals.gross.as_units(),
        refunded_revenue: totals.refunded.as_units(),
        refunds: count(totals.refunds),
    }
}

pub(super) fn support(support: &Support) -> Option<pb::SupportSummary> {
    let last = support.last?;
    let totals = &support.totals;
    let mut recent: Vec<&Episode> = support.recent.iter().collect();
    recent.sort_by_key(|episode| std::cmp::Reverse(episode.last));
    let resolved = support.resolved_episodes as f64;
    let hours = support.resolution_seconds / SECONDS_PER_HOUR;
    Some(pb::SupportSummary {
        episodes: count(support.episodes),
        open_episodes: count(support.open_episodes()),
        contacts: count(totals.contacts),
        repeat_contacts: count(totals.repeat_contacts),
        channel_switches: count(totals.channel_switches),
        transfers: count(totals.transfers),
        reopens: count(totals.reopens),
        escalations: count(totals.escalations),
        self_service_failures: count(totals.self_service_failures),
        wait_seconds: totals.wait_seconds,
        handle_seconds: totals.handle_seconds,
        resolved_episodes: count(support.resolved_episodes),
        resolution_hours_mean: if support.resolved_episodes == 0 { 0.0 } else { hours / resolved },
        last_contact_time: Some(time::to_pb(last)),
        recent_episodes: recent.into_iter().map(episode).collect(),
    })
}

fn episode(episode: &Episode) -> pb::Episode {
    let signals = &episode.signals;
    let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    pb::Episode {
        case_id: episode.case_id.clone(),
        topic: episode.topic.clone(),
        start_time: Some(time::to_pb(episode.start)),
        last_time: Some(time::to_pb(episode.last)),
        resolve_time: episode.resolved.filter(|_| !episode.open).map(time::to_pb),
        contacts: small(signals.contacts),
        channel_switches: small(signals.channel_switches),
        transfers: small(signals.transfers),
        reopens: small(signals.reopens),
        self_service_failures: small(signals.self_service_failures),
        wait_seconds: signals.wait_seconds,
        open: episode.open,
        channels: episode.channels.clone(),
    }
}

pub(super) fn surveys(surveys: &Surveys) -> Option<pb::SurveySummary> {
    let scores = |scores: Scores| pb::SurveyScores {
        answers: count(scores.answers),
        last_score: scores.last,
        mean_score: scores.mean(),
        last_time: Some(time::to_pb(scores.last_time)),
    };
    let Surveys { nps, csat, ces } = *surveys;
    let answered = nps.is_some() || csat.is_some() || ces.is_some();
    answered.then(|| pb::SurveySummary { nps: nps.map(scores), csat: csat.map(scores), ces: ces.map(scores) })
}
