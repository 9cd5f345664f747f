//! The effort index: how hard the company makes life for a customer, 0 to 100, where 100 is the hardest.
//!
//! It is a transparent index, and no predicted Customer Effort Score; where a model has learned those from answers
//! ([`super::survey`]), its score is shown on the same scale ([`predict_by_answers`]). Every signal has a weight, every episode fades
//! with a half-life of [`HALF_LIFE_DAYS`] days after its last event, and the sum saturates:
//!
//! ```text
//! raw   = Σ over episodes 2^(−age / 90) · Σ over signals weight · amount
//! index = 100 · (1 − exp(−raw))
//! ```
//!
//! Each signal has the share of the index that it has of `raw`. The weights follow the order that Dixon, Freeman and
//! Toman (2010) found: having to come back, being handed on and switching channels cost more than the contact itself.

use super::survey::{Source, SurveyModel};
use crate::domain::limits;
use crate::domain::prediction::{Band, Contribution, EffortPrediction, PredictionStatus, largest};
use crate::domain::profile::State;
use crate::domain::profile::support::{Episode, Signals, Support};
use crate::domain::time::{Day, Timestamp};

/// Days after which an episode weighs half.
pub const HALF_LIFE_DAYS: f64 = 90.0;
/// From here an index is HIGH.
const HIGH: f64 = 67.0;
/// Below this an index is LOW.
const LOW: f64 = 33.0;

/// The score of no effort at all.
const CES_EFFORTLESS: f64 = 7.0;
/// Points of the index per point of the score.
const INDEX_PER_POINT: f64 = 100.0 / 6.0;

/// One sign of effort.
struct Signal {
    name: &'static str,
    display_name: &'static str,
    /// What one unit of it adds before saturation.
    weight: f64,
    /// How much of it an episode had, as of a day.
    amount: fn(&Concern<'_>) -> f64,
    /// Its amount for people.
    format: fn(f64) -> String,
}

/// An episode as of a day, or what is left of those that a profile no longer keeps one by one.
struct Concern<'a> {
    signals: Signals,
    episode: Option<&'a Episode>,
    today: Day,
}

const SIGNALS: &[Signal] = &[
    signal("contacts", "Contacts with support", 0.05, |c| c.signals.contacts.into()),
    signal("repeat_contacts", "Contacts about the same concern again", 0.20, |c| c.signals.repeat_contacts.into()),
    signal("channel_switches", "Switches of the channel", 0.12, |c| c.signals.channel_switches.into()),
    signal("self_service_to_agent", "Self-service that ended with an agent", 0.20, |c| c.came_from_self_service()),
    signal("transfers", "Transfers to someone else", 0.20, |c| c.signals.transfers.into()),
    signal("reopens", "Solved concerns that came back", 0.30, |c| c.signals.reopens.into()),
    signal("escalations", "Escalations", 0.30, |c| c.signals.escalations.into()),
    signal("self_service_failures", "Failed self-service", 0.08, |c| c.signals.self_service_failures.into()),
    Signal { format: hours, ..signal("waiting", "Waiting in contacts", 0.40, |c| c.waited_hours()) },
    Signal { format: days, ..signal("time_to_resolution", "Time until a solution", 0.03, |c| c.slow_days()) },
];

/// Waiting beyond so many hours of one episode adds no more.
const WAIT_HOURS_MAX: f64 = 4.0;
/// Days without a solution beyond so many of one episode add no more.
const SLOW_DAYS_MAX: f64 = 30.0;
/// A solution within a day is not slow.
const PROMPT_DAYS: f64 = 1.0;

/// The index of a customer at `now` with its `limit` largest reasons; `INSUFFICIENT_DATA` without any contact or failed
/// self-service.
pub fn predict(state: &State, now: Timestamp, limit: usize) -> EffortPrediction {
    let concerns = concerns(&state.support, now.day());
    let mut amounts = [0.0; SIGNALS.len()];
    let mut raws = [0.0; SIGNALS.len()];
    for (concern, weight) in &concerns {
        for (position, signal) in SIGNALS.iter().enumerate() {
            let amount = (signal.amount)(concern);
            amounts[position] += amount;
            raws[position] += weight * signal.weight * amount;
        }
    }
    if amounts.iter().all(|amount| *amount <= 0.0) {
        return no_answer();
    }
    let raw: f64 = raws.iter().sum();
    let saturated = -100.0 * (-raw).exp_m1();
    let share = if raw > 0.0 { saturated / raw } else { 0.0 };
    let present = (0..SIGNALS.len()).filter(|signal| amounts[*signal] > 0.0);
    let parts: Vec<(usize, f64)> = present.map(|signal| (signal, share * raws[signal])).collect();
    // The index is the sum of its reasons, so that they sum to it exactly.
    let effort_index = parts.iter().map(|part| part.1).sum::<f64>().min(100.0);
    let reason = |signal: usize, contribution| SIGNALS[signal].reason(amounts[signal], contribution);
    EffortPrediction {
        status: PredictionStatus::Ok,
        effort_index,
        predicted_ces: None,
        band: band(effort_index),
        contributions: largest(parts, limit, reason),
    }
}

/// The Customer Effort Score s that a model expects, as an index of 100 · (7 − s) / 6: 7, which is effortless, becomes 0.
/// The `limit` largest reasons are listed, on the same scale.
pub fn predict_by_answers(model: &SurveyModel, state: &State, now: Timestamp, limit: usize) -> EffortPrediction {
    let index = |score: f64| INDEX_PER_POINT * (CES_EFFORTLESS - score);
    let Some(answer) = model.answer(state, now) else { return no_answer() };
    let effort_index = index(answer.predicted.score).clamp(0.0, 100.0);
    let on_scale = |(source, points): (Source, f64)| match source {
        None => (source, index(points)),
        Some(_) => (source, -INDEX_PER_POINT * points),
    };
    let parts = answer.parts().into_iter().map(on_scale).collect();
    EffortPrediction {
        status: PredictionStatus::Ok,
        effort_index,
        predicted_ces: Some(answer.predicted),
        band: band(effort_index),
        contributions: largest(parts, limit, |source, contribution| answer.reason(source, contribution)),
    }
}

fn no_answer() -> EffortPrediction {
    EffortPrediction {
        status: PredictionStatus::InsufficientData,
        effort_index: 0.0,
        predicted_ces: None,
        band: Band::Low,
        contributions: Vec::new(),
    }
}

fn band(index: f64) -> Band {
    match index {
        index if index < LOW => Band::Low,
        index if index < HIGH => Band::Medium,
        _ => Band::High,
    }
}

/// What a customer went through, each with its weight today. Episodes that a profile no longer keeps weigh as much as
/// the oldest that it keeps.
fn concerns(support: &Support, today: Day) -> Vec<(Concern<'_>, f64)> {
    let weight = |age: i32| (-f64::from(age.max(0)) / HALF_LIFE_DAYS).exp2();
    let age = |episode: &Episode| today.days_since(episode.last.day());
    let mut concerns: Vec<_> = support
        .recent
        .iter()
        .map(|episode| (Concern { signals: episode.signals, episode: Some(episode), today }, weight(age(episode))))
        .collect();
    if support.recent.len() >= limits::EPISODES {
        let oldest = support.recent.iter().map(age).max().unwrap_or(0);
        concerns.push((Concern { signals: given_up(support), episode: None, today }, weight(oldest)));
    }
    concerns
}

/// The signals of the episodes that are not kept: all less those of the kept ones.
fn given_up(support: &Support) -> Signals {
    support.recent.iter().fold(support.totals, |rest, episode| {
        let kept = &episode.signals;
        Signals {
            contacts: rest.contacts.saturating_sub(kept.contacts),
            repeat_contacts: rest.repeat_contacts.saturating_sub(kept.repeat_contacts),
            channel_switches: rest.channel_switches.saturating_sub(kept.channel_switches),
            transfers: rest.transfers.saturating_sub(kept.transfers),
            reopens: rest.reopens.saturating_sub(kept.reopens),
            escalations: rest.escalations.saturating_sub(kept.escalations),
            self_service_failures: rest.self_service_failures.saturating_sub(kept.self_service_failures),
            wait_seconds: (rest.wait_seconds - kept.wait_seconds).max(0.0),
            handle_seconds: (rest.handle_seconds - kept.handle_seconds).max(0.0),
        }
    })
}

impl Signal {
    fn reason(&self, amount: f64, contribution: f64) -> Contribution {
        Contribution {
            feature: self.name.into(),
            display_name: self.display_name.into(),
            value: (self.format)(amount).into(),
            contribution,
        }
    }
}

impl Concern<'_> {
    fn came_from_self_service(&self) -> f64 {
        let failed_and_came = self.signals.self_service_failures > 0 && self.signals.contacts > 0;
        f64::from(u8::from(failed_and_came && self.episode.is_some()))
    }

    fn waited_hours(&self) -> f64 {
        (self.signals.wait_seconds / 3_600.0).min(WAIT_HOURS_MAX)
    }

    /// Days until the solution beyond the first, or until today where there is none yet.
    fn slow_days(&self) -> f64 {
        let Some(episode) = self.episode.filter(|episode| episode.signals.contacts > 0) else { return 0.0 };
        let until = match episode.resolved {
            Some(resolved) if !episode.open => resolved.days_since(episode.start),
            None if !episode.open => episode.last.days_since(episode.start),
            _ => f64::from(self.today.days_since(episode.start.day())),
        };
        (until - PROMPT_DAYS).clamp(0.0, SLOW_DAYS_MAX)
    }
}

const fn signal(
    name: &'static str,
    display_name: &'static str,
    weight: f64,
    amount: fn(&Concern<'_>) -> f64,
) -> Signal {
    Signal { name, display_name, weight, amount, format: count }
}

fn count(amount: f64) -> String {
    format!("{amount:.0}")
}

fn hours(amount: f64) -> String {
    if amount < 1.0 { format!("{:.0} minutes", amount * 60.0) } else { format!("{amount:.1} hours") }
}

fn days(amount: f64) -> String {
    format!("{amount:.1} days beyond the first")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::event::Event;
    use crate::domain::payload::{ContactKind, Payload};
    use crate::models::fixture::{contact, day, purchase, state};

    fn at(timeline: &[Event], now: f64) -> EffortPrediction {
        predict(&state(timeline), day(now), usize::MAX)
    }

    /// A contact with some of the frictions that a step can report itself.
    fn step(at: f64, channel: &str, kind: ContactKind, friction: u8) -> Event {
        let mut event = contact(at, channel, kind);
        if let Payload::SupportContact(contact) = &mut event.payload {
            contact.transfers = u32::from(friction & 1);
            contact.reopened = friction & 2 > 0;
            contact.wait_seconds = f64::from(friction & 4) * 300.0;
        }
        event
    }

    #[test]
    fn without_a_contact_or_a_failure_there_is_no_index() {
        assert_eq!(predict(&State::default(), day(0.0), 0).status, PredictionStatus::InsufficientData);
        assert_eq!(at(&[purchase(1.0, 5.0)], 2.0).status, PredictionStatus::InsufficientData);
        assert_eq!(at(&[contact(1.0, "web", ContactKind::SelfServiceFailure)], 2.0).status, PredictionStatus::Ok);
    }

    #[test]
    fn one_contact_that_was_solved_at_once_is_easy_and_an_odyssey_is_hard() {
        let easy = [contact(1.0, "chat", ContactKind::Opened), contact(1.01, "chat", ContactKind::Resolved)];
        let easy = at(&easy, 1.5);
        assert!((easy.effort_index - 100.0 * (1.0 - (-0.05f64).exp())).abs() < 1e-9, "{}", easy.effort_index);
        assert_eq!(easy.band, Band::Low);
        let odyssey = [
            contact(1.0, "web", ContactKind::SelfServiceFailure),
            contact(1.1, "chat", ContactKind::Opened),
            step(1.2, "chat", ContactKind::Transfer, 4),
            contact(3.0, "phone", ContactKind::Message),
            contact(4.0, "phone", ContactKind::Escalated),
            contact(5.0, "phone", ContactKind::Reopened),
        ];
        assert_eq!(at(&odyssey, 6.0).band, Band::High);
    }

    #[test]
    fn an_episode_weighs_half_after_ninety_days() {
        let solved = [contact(1.0, "chat", ContactKind::Opened), contact(1.01, "chat", ContactKind::Resolved)];
        let raw = |now| -(1.0 - at(&solved, now).effort_index / 100.0).ln();
        assert!((raw(91.0) - raw(1.5) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_concern_that_stays_open_gets_harder_at_first() {
        let open = [contact(1.0, "chat", ContactKind::Opened)];
        assert!(at(&open, 15.0).effort_index > at(&open, 2.0).effort_index);
    }

    #[test]
    fn concerns_that_a_profile_no_longer_keeps_still_count() {
        let solved = |number: u32| {
            let mut steps = [ContactKind::Opened, ContactKind::Escalated, ContactKind::Resolved]
                .map(|kind| contact(f64::from(number) + f64::from(kind as u8) / 100.0, "chat", kind));
            for step in &mut steps {
                if let Payload::SupportContact(contact) = &mut step.payload {
                    contact.case_id = number.to_string();
                }
            }
            steps
        };
        let count = |cases: u32| {
            let timeline: Vec<Event> = (0..cases).flat_map(solved).collect();
            let escalations = at(&timeline, 60.0).contributions.into_iter().find(|c| c.feature == "escalations");
            escalations.expect("there are some").value
        };
        assert_eq!([20, 45].map(|number| count(number).to_string()), ["20", "45"]);
    }

    fn kinds() -> impl Strategy<Value = ContactKind> {
        prop::sample::select(vec![
            ContactKind::Opened,
            ContactKind::Message,
            ContactKind::Transfer,
            ContactKind::Escalated,
            ContactKind::Resolved,
            ContactKind::Reopened,
            ContactKind::Closed,
            ContactKind::SelfServiceFailure,
        ])
    }

    proptest! {
        #[test]
        fn reasons_sum_to_the_index_and_more_friction_never_lowers_it(
            kinds in prop::collection::vec((kinds(), 0u8..3, 0u8..8), 1..15),
            more in prop::sample::select(vec![
                ContactKind::Transfer, ContactKind::Escalated, ContactKind::Reopened, ContactKind::SelfServiceFailure,
            ]),
        ) {
            let channels = ["web", "chat", "phone"];
            let mut timeline: Vec<Event> = kinds.iter().enumerate().map(|(number, (kind, channel, friction))| {
                step(number as f64 * 1.5, channels[usize::from(*channel)], *kind, *friction)
            }).collect();
            let before = at(&timeline, 40.0);
            let sum: f64 = before.contributions.iter().map(|contribution| contribution.contribution).sum();
            prop_assert!((sum - before.effort_index).abs() < 1e-9);
            prop_assert!((0.0..=100.0).contains(&before.effort_index));
            timeline.push(step(39.0, "phone", more, 0));
            prop_assert!(at(&timeline, 40.0).effort_index >= before.effort_index);
        }
    }
}
