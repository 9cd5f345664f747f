//! How a customer was helped: contacts, gathered into episodes.
//!
//! An episode is one concern of a customer: the events with the same case id, or with the same topic and less than
//! [`EPISODE_GAP`] between them. A contact is one approach of the customer: an opening, a re-opening, or a message
//! through another channel or more than [`CONTACT_GAP`] after the step before. Transfers, escalations, resolutions and
//! closings are handling, failed self-service is counted by itself.

use std::cmp::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::join;
use crate::domain::limits;
use crate::domain::payload::{ContactKind, SupportContact};
use crate::domain::time::{Timestamp, days};

/// Longest pause within an episode that has no case id.
pub const EPISODE_GAP: Duration = days(7);
/// Longest pause after which a message still belongs to the contact before it.
pub const CONTACT_GAP: Duration = Duration::from_secs(12 * 3_600);

/// All help that a customer needed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Support {
    /// Signals of all episodes, the kept and the older ones.
    pub totals: Signals,
    /// Episodes that ever were.
    pub episodes: u64,
    /// Episodes that were resolved at least once.
    pub resolved_episodes: u64,
    /// Time from the opening to the first resolution, summed over the resolved episodes, in seconds.
    pub resolution_seconds: f64,
    /// The latest event of any episode.
    pub last: Option<Timestamp>,
    /// The episodes that are kept one by one, in the order of their opening, at most [`limits::EPISODES`].
    pub recent: Vec<Episode>,
}

/// Countable signs of the effort that a customer had.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Signals {
    /// Approaches of the customer.
    pub contacts: u32,
    /// Contacts after the first of an episode.
    pub repeat_contacts: u32,
    /// Contacts through another channel than the step before, from self-service to an agent above all.
    pub channel_switches: u32,
    /// Hand-overs.
    pub transfers: u32,
    /// Times that a solved case came back.
    pub reopens: u32,
    /// Times that a case went to a higher level.
    pub escalations: u32,
    /// Failed searches and errors in self-service.
    pub self_service_failures: u32,
    /// Waiting, in seconds.
    pub wait_seconds: f64,
    /// Handling, in seconds.
    pub handle_seconds: f64,
}

/// One concern of a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The case in the caller's system, may be empty.
    pub case_id: String,
    /// What it is about, may be empty.
    pub topic: String,
    /// The first event.
    pub start: Timestamp,
    /// The last event.
    pub last: Timestamp,
    /// The first event that names an agent.
    pub first_response: Option<Timestamp>,
    /// The first resolution.
    pub resolved: Option<Timestamp>,
    /// False once resolved or closed, true again when re-opened.
    pub open: bool,
    /// Channels in the order of their first use, at most eight.
    pub channels: Vec<String>,
    /// The channel of the last step that named one.
    pub last_channel: String,
    /// What it took.
    pub signals: Signals,
}

/// Channels that an episode lists.
const EPISODE_CHANNELS: usize = 8;

impl Support {
    /// Episodes that wait for a solution, among the kept ones.
    pub fn open_episodes(&self) -> usize {
        self.recent.iter().filter(|episode| episode.open).count()
    }

    pub(in crate::domain) fn fold(&mut self, contact: &SupportContact, channel: &str, time: Timestamp) {
        let position = self.find(contact, time).unwrap_or_else(|| self.open_episode(contact, time));
        let episode = &mut self.recent[position];
        let was_resolved = episode.resolved.is_some();
        let added = episode.fold(contact, channel, time);
        if let (false, Some(resolved)) = (was_resolved, episode.resolved) {
            self.resolved_episodes += 1;
            self.resolution_seconds += resolved.micros_since(episode.start) as f64 / 1e6;
        }
        self.totals.add(&added);
        self.last = Some(time);
    }

    /// The episode that a contact belongs to: by case id, else the latest of the same topic that is not too old and
    /// does not belong to another case.
    fn find(&self, contact: &SupportContact, time: Timestamp) -> Option<usize> {
        let by_case =
            self.recent.iter().rposition(|episode| !contact.case_id.is_empty() && episode.case_id == contact.case_id);
        by_case.or_else(|| {
            self.recent.iter().rposition(|episode| {
                (contact.case_id.is_empty() || episode.case_id.is_empty())
                    && episode.topic == contact.topic
                    && time < episode.last.plus(EPISODE_GAP)
            })
        })
    }

    fn open_episode(&mut self, contact: &SupportContact, time: Timestamp) -> usize {
        if self.recent.len() >= limits::EPISODES {
            // A solved concern is given up before an open one, an older one before a newer one.
            let oldest = self.recent.iter().position(|episode| !episode.open).unwrap_or(0);
            self.recent.remove(oldest);
        }
        self.episodes += 1;
        self.recent.push(Episode {
            case_id: contact.case_id.clone(),
            topic: contact.topic.clone(),
            start: time,
            last: time,
            first_response: None,
            resolved: None,
            open: true,
            channels: Vec::new(),
            last_channel: String::new(),
            signals: Signals::default(),
        });
        self.recent.len() - 1
    }
}

impl Support {
    /// Takes over what another history of the customer adds up to.
    pub(super) fn join(&mut self, other: Self) {
        self.totals.join(&other.totals);
        self.episodes += other.episodes;
        self.resolved_episodes += other.resolved_episodes;
        self.resolution_seconds = join::sum(self.resolution_seconds, other.resolution_seconds);
        self.last = self.last.max(other.last);
        self.recent.extend(other.recent);
        // An open concern is kept before a solved one, a newer one before an older one.
        self.recent.sort_by(|a, b| (b.open, b.start).cmp(&(a.open, a.start)).then_with(|| b.compare(a)));
        self.recent.truncate(limits::EPISODES);
        self.recent.sort_by(|a, b| a.start.cmp(&b.start).then_with(|| a.compare(b)));
    }
}

impl Episode {
    /// An order in which only equal episodes are equal.
    fn compare(&self, other: &Self) -> Ordering {
        let times = |episode: &Self| (episode.start, episode.last, episode.first_response, episode.resolved);
        times(self)
            .cmp(&times(other))
            .then_with(|| (self.open, &self.case_id, &self.topic).cmp(&(other.open, &other.case_id, &other.topic)))
            .then_with(|| (&self.channels, &self.last_channel).cmp(&(&other.channels, &other.last_channel)))
            .then_with(|| self.signals.counts().cmp(&other.signals.counts()))
            .then_with(|| self.signals.wait_seconds.total_cmp(&other.signals.wait_seconds))
            .then_with(|| self.signals.handle_seconds.total_cmp(&other.signals.handle_seconds))
    }

    /// Takes over one step and returns the signals that it added.
    fn fold(&mut self, contact: &SupportContact, channel: &str, time: Timestamp) -> Signals {
        let switched = !channel.is_empty() && !self.last_channel.is_empty() && channel != self.last_channel;
        let reopened = contact.reopened || contact.kind == ContactKind::Reopened;
        let failed_alone = contact.kind == ContactKind::SelfServiceFailure;
        let approached = match contact.kind {
            ContactKind::Opened | ContactKind::Reopened => true,
            ContactKind::Message => switched || reopened || time > self.last.plus(CONTACT_GAP),
            ContactKind::Transfer | ContactKind::Escalated | ContactKind::Resolved | ContactKind::Closed => false,
            ContactKind::SelfServiceFailure => false,
        };
        // Whatever reaches us first of an episode, the customer must have come with it.
        let contacted = approached || (self.signals.contacts == 0 && !failed_alone);
        let added = Signals {
            contacts: u32::from(contacted),
            repeat_contacts: u32::from(contacted && self.signals.contacts > 0),
            channel_switches: u32::from(switched),
            transfers: contact.transfers.max(u32::from(contact.kind == ContactKind::Transfer)),
            reopens: u32::from(reopened),
            escalations: u32::from(contact.kind == ContactKind::Escalated),
            self_service_failures: u32::from(failed_alone),
            wait_seconds: contact.wait_seconds,
            handle_seconds: contact.handle_seconds,
        };
        self.signals.add(&added);
        self.note_progress(contact, reopened, time);
        self.note_channel(channel);
        if self.case_id.is_empty() {
            self.case_id.clone_from(&contact.case_id);
        }
        self.last = time;
        added
    }

    fn note_progress(&mut self, contact: &SupportContact, reopened: bool, time: Timestamp) {
        if !contact.agent.is_empty() {
            self.first_response.get_or_insert(time);
        }
        if reopened {
            self.open = true;
        }
        if contact.resolved || contact.kind == ContactKind::Resolved {
            self.resolved.get_or_insert(time);
            self.open = false;
        }
        if contact.kind == ContactKind::Closed {
            self.open = false;
        }
    }

    fn note_channel(&mut self, channel: &str) {
        if channel.is_empty() {
            return;
        }
        channel.clone_into(&mut self.last_channel);
        if self.channels.len() < EPISODE_CHANNELS && !self.channels.iter().any(|known| known == channel) {
            self.channels.push(channel.to_owned());
        }
    }
}

impl Signals {
    fn add(&mut self, other: &Self) {
        self.contacts = self.contacts.saturating_add(other.contacts);
        self.repeat_contacts = self.repeat_contacts.saturating_add(other.repeat_contacts);
        self.channel_switches = self.channel_switches.saturating_add(other.channel_switches);
        self.transfers = self.transfers.saturating_add(other.transfers);
        self.reopens = self.reopens.saturating_add(other.reopens);
        self.escalations = self.escalations.saturating_add(other.escalations);
        self.self_service_failures = self.self_service_failures.saturating_add(other.self_service_failures);
        self.wait_seconds += other.wait_seconds;
        self.handle_seconds += other.handle_seconds;
    }

    fn join(&mut self, other: &Self) {
        let wait_seconds = join::sum(self.wait_seconds, other.wait_seconds);
        let handle_seconds = join::sum(self.handle_seconds, other.handle_seconds);
        self.add(other);
        (self.wait_seconds, self.handle_seconds) = (wait_seconds, handle_seconds);
    }

    fn counts(&self) -> [u32; 7] {
        [
            self.contacts,
            self.repeat_contacts,
            self.channel_switches,
            self.transfers,
            self.reopens,
            self.escalations,
            self.self_service_failures,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: ContactKind, case_id: &str, topic: &str) -> SupportContact {
        SupportContact {
            case_id: case_id.to_owned(),
            topic: topic.to_owned(),
            agent: String::new(),
            kind,
            transfers: 0,
            resolved: false,
            reopened: false,
            wait_seconds: 0.0,
            handle_seconds: 0.0,
            text: String::new(),
        }
    }

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_micros(hour * 3_600_000_000)
    }

    #[test]
    fn a_search_that_failed_and_the_call_that_followed_are_one_episode_with_a_switch() {
        let mut support = Support::default();
        support.fold(&step(ContactKind::SelfServiceFailure, "", "billing"), "web", hour(0));
        support.fold(&step(ContactKind::Opened, "C1", "billing"), "phone", hour(2));
        support.fold(&step(ContactKind::Resolved, "C1", "billing"), "phone", hour(3));
        assert_eq!(support.episodes, 1);
        let episode = &support.recent[0];
        assert_eq!((episode.case_id.as_str(), episode.open), ("C1", false));
        let signals = episode.signals;
        assert_eq!((signals.self_service_failures, signals.channel_switches, signals.contacts), (1, 1, 1));
        assert_eq!(signals.repeat_contacts, 0);
    }

    #[test]
    fn the_same_topic_after_a_week_is_a_new_episode_but_the_same_case_is_not() {
        let mut support = Support::default();
        support.fold(&step(ContactKind::Opened, "", "login"), "chat", hour(0));
        support.fold(&step(ContactKind::Opened, "", "login"), "chat", hour(24 * 7));
        assert_eq!(support.episodes, 2);
        support.fold(&step(ContactKind::Opened, "C", "x"), "chat", hour(24 * 8));
        support.fold(&step(ContactKind::Message, "C", "y"), "chat", hour(24 * 80));
        assert_eq!(support.episodes, 3);
        assert_eq!(support.totals.repeat_contacts, 1);
    }

    #[test]
    fn a_reopened_case_is_open_again_and_keeps_its_first_resolution() {
        let mut support = Support::default();
        support.fold(&step(ContactKind::Opened, "C", ""), "phone", hour(0));
        support.fold(&step(ContactKind::Resolved, "C", ""), "phone", hour(5));
        support.fold(&step(ContactKind::Reopened, "C", ""), "phone", hour(9));
        assert_eq!(support.open_episodes(), 1);
        assert_eq!((support.resolved_episodes, support.resolution_seconds), (1, 5.0 * 3_600.0));
        assert_eq!(support.totals.reopens, 1);
    }

    #[test]
    fn a_chat_of_many_messages_is_one_contact() {
        let mut support = Support::default();
        support.fold(&step(ContactKind::Opened, "C", ""), "chat", hour(0));
        for _ in 0..10 {
            support.fold(&step(ContactKind::Message, "C", ""), "chat", hour(1));
        }
        assert_eq!(support.totals.contacts, 1);
    }

    #[test]
    fn open_concerns_outlive_solved_ones() {
        let mut support = Support::default();
        support.fold(&step(ContactKind::Opened, "open", ""), "chat", hour(0));
        for case in 0..limits::EPISODES as i64 * 2 {
            support.fold(&step(ContactKind::Resolved, &case.to_string(), ""), "chat", hour(case));
        }
        assert_eq!(support.recent.len(), limits::EPISODES);
        assert_eq!(support.recent[0].case_id, "open");
        assert_eq!(support.episodes, 1 + limits::EPISODES as u64 * 2);
    }
}
