//! A *simulated* service desk: no real log of one may be shipped, and effort needs one to be seen.
//!
//! Every customer has a latent hardship that makes cases more frequent, more often handed on, longer and more often
//! re-opened, and that the rare survey answers echo with noise. The same seed gives the same desk, moved so that it
//! ends at the time that is asked for. Wherever it is shown it is called simulated; [`SOURCE`] says so in every event.

use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::rpc::pb;
use crate::rpc::pb::ContactKind;
use crate::rpc::pb::event::Payload;

use super::import::plan::timestamp;
use super::json;

/// The `source` of every event.
pub const SOURCE: &str = "simulated-service-desk";

const DAYS: f64 = 240.0;
const MICROS_PER_HOUR: f64 = 3.6e9;
/// The largest hardship; the mean is somewhat below 1.
const HARDSHIP_MAX: f64 = 2.5;
/// What brings everybody to the desk, beside the hardship: without it only the unlucky would ever call.
const COMMON: f64 = 1.0;
const TOPICS: [&str; 6] = ["billing", "delivery", "login", "outage", "contract", "returns"];
const PLANS: [&str; 3] = ["basic", "plus", "business"];
/// Channels with an agent, and how often a case opens on each.
const CHANNELS: [(&str, f64); 3] = [("phone", 0.45), ("chat", 0.30), ("email", 0.25)];

/// How large a desk is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Customers.
    pub customers: u32,
    /// Cases in all.
    pub cases: u32,
}

/// What the demo shows.
pub const DEMO: Size = Size { customers: 1_500, cases: 1_700 };

/// The events of a simulated desk of `DAYS` days that ends at `end_micros`, in the order of their times.
pub fn generate(size: Size, seed: u64, end_micros: i64) -> Vec<pb::Event> {
    let mut desk = Desk { random: Xoshiro256PlusPlus::seed_from_u64(seed), end_micros, events: Vec::new() };
    let hardships: Vec<f64> = (0..size.customers).map(|_| desk.exponential(1.0).min(HARDSHIP_MAX)).collect();
    for customer in 0..size.customers {
        desk.identify(customer);
    }
    // Hard customers come back more often: cases fall on customers in proportion to their hardship.
    let total: f64 = hardships.iter().map(|hardship| COMMON + hardship).sum();
    for number in 0..size.cases {
        let mut point = desk.random.gen_range(0.0..total);
        let found = hardships.iter().position(|hardship| {
            point -= COMMON + hardship;
            point <= 0.0
        });
        let customer = found.unwrap_or_default();
        Case::new(&mut desk, number, customer, hardships[customer]).run(&mut desk);
    }
    desk.events.sort_by(|a, b| (order(a), &a.event_id).cmp(&(order(b), &b.event_id)));
    desk.events
}

fn order(event: &pb::Event) -> (i64, i32) {
    event.original_time.map_or((0, 0), |time| (time.seconds, time.nanos))
}

struct Desk {
    random: Xoshiro256PlusPlus,
    end_micros: i64,
    events: Vec<pb::Event>,
}

impl Desk {
    /// A waiting time with this mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.random.gen_range(0.0..1.0_f64)).ln()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.gen_range(0..choices.len())]
    }

    fn channel(&mut self) -> &'static str {
        let mut point = self.random.gen_range(0.0..1.0);
        let found = CHANNELS.iter().find(|(_, share)| {
            point -= share;
            point < 0.0
        });
        found.unwrap_or(&CHANNELS[0]).0
    }

    fn identify(&mut self, customer: u32) {
        let (plan, seats) = (self.one_of(&PLANS), self.random.gen_range(1..20));
        let traits = serde_json::json!({"plan": plan, "seats": seats, "simulated": true});
        let traits = traits.as_object().map(json::to_struct);
        let hours_before_end = self.random.gen_range(DAYS * 0.9..DAYS) * 24.0;
        let payload = Payload::Identify(pb::Identify { traits, traits_once: None });
        self.push(customer, Moment { hours_before_end, channel: "crm" }, format!("customer-{customer:05}"), payload);
    }

    /// Adds an event; one that would lie after the end has not happened yet.
    fn push(&mut self, customer: u32, moment: Moment, event_id: String, payload: Payload) {
        if moment.hours_before_end < 0.0 {
            return;
        }
        let micros = self.end_micros - (moment.hours_before_end * MICROS_PER_HOUR) as i64;
        self.events.push(pb::Event {
            event_id,
            source: SOURCE.to_owned(),
            identifiers: vec![pb::Identifier { r#type: "user_id".to_owned(), value: format!("sim-{customer:05}") }],
            original_time: Some(timestamp(micros)),
            channel: moment.channel.to_owned(),
            payload: Some(payload),
            ..pb::Event::default()
        });
    }
}

/// When and where.
#[derive(Clone, Copy)]
struct Moment {
    hours_before_end: f64,
    channel: &'static str,
}

/// One case on its way.
struct Case {
    case_id: String,
    customer: u32,
    topic: &'static str,
    hardship: f64,
    at: Moment,
    steps: u32,
}

impl Case {
    fn new(desk: &mut Desk, number: u32, customer: usize, hardship: f64) -> Self {
        let hours_before_end = desk.random.gen_range(0.0..DAYS * 0.9) * 24.0;
        Self {
            case_id: format!("SIM-{number:05}"),
            customer: u32::try_from(customer).unwrap_or_default(),
            topic: desk.one_of(&TOPICS),
            hardship,
            at: Moment { hours_before_end, channel: "web" },
            steps: 0,
        }
    }

    fn run(mut self, desk: &mut Desk) {
        // Most customers try to help themselves first; who calls has failed at it.
        for _ in 0..self.times(desk, 0.28) {
            self.step(desk, self.contact(ContactKind::SelfServiceFailure));
            self.later(desk, 0.5);
        }
        self.at.channel = desk.channel();
        self.step(desk, self.contact(ContactKind::Opened));
        self.converse(desk);
        let mut resolved = self.resolve(desk);
        for _ in 0..self.times(desk, 0.06) {
            self.later(desk, 60.0);
            self.step(desk, pb::SupportContact { reopened: true, ..self.contact(ContactKind::Reopened) });
            self.converse(desk);
            resolved = self.resolve(desk);
        }
        if resolved {
            self.answer_survey(desk);
            self.later(desk, 48.0);
            self.step(desk, self.contact(ContactKind::Closed));
        }
    }

    /// Messages, hand-overs and escalations between opening and solution.
    fn converse(&mut self, desk: &mut Desk) {
        for _ in 0..self.times(desk, 0.22) {
            self.later(desk, 18.0);
            if desk.random.gen_bool(0.25) {
                self.at.channel = desk.channel();
            }
            self.step(desk, self.contact(ContactKind::Message));
        }
        for _ in 0..self.times(desk, 0.12) {
            self.later(desk, 4.0);
            self.step(desk, pb::SupportContact { transfers: 1, ..self.contact(ContactKind::Transfer) });
        }
        if desk.random.gen_bool((0.03 * self.hardship).min(0.5)) {
            self.later(desk, 12.0);
            self.step(desk, self.contact(ContactKind::Escalated));
        }
    }

    /// A solution, which a few cases never see.
    fn resolve(&mut self, desk: &mut Desk) -> bool {
        self.later(desk, 10.0 * (1.0 + self.hardship));
        let solved = desk.random.gen_bool(0.94);
        if solved {
            self.step(desk, pb::SupportContact { resolved: true, ..self.contact(ContactKind::Resolved) });
        }
        solved
    }

    /// Few answer, and those who had it hard answer with lower scores. The questionnaire asks how satisfied they are and how
    /// easy it was.
    fn answer_survey(&mut self, desk: &mut Desk) {
        if !desk.random.gen_bool(0.22) {
            return;
        }
        self.later(desk, 6.0);
        let trouble = self.hardship * 0.9 + f64::from(self.steps) * 0.15;
        for (kind, top) in [(pb::SurveyKind::Csat, 5.0_f64), (pb::SurveyKind::Ces, 7.0)] {
            let score = top - trouble + desk.random.gen_range(-1.2..1.2);
            let payload = Payload::SurveyResponse(pb::SurveyResponse {
                kind: kind.into(),
                score: Some(score.round().clamp(1.0, top)),
                comment: String::new(),
                case_id: self.case_id.clone(),
            });
            self.push(desk, payload);
        }
    }

    /// How often something happens, whose mean grows with the hardship.
    fn times(&self, desk: &mut Desk, mean: f64) -> u32 {
        let mut times = 0;
        let mut left = mean * (0.4 + self.hardship);
        while times < 6 && left > 0.0 && desk.random.gen_bool(left.min(0.95)) {
            times += 1;
            left -= 0.3;
        }
        times
    }

    fn later(&mut self, desk: &mut Desk, hours_mean: f64) {
        self.at.hours_before_end -= desk.exponential(hours_mean);
    }

    fn contact(&self, kind: ContactKind) -> pb::SupportContact {
        let (case_id, topic) = (self.case_id.clone(), self.topic.to_owned());
        pb::SupportContact { case_id, topic, kind: kind.into(), ..Default::default() }
    }

    fn step(&mut self, desk: &mut Desk, mut contact: pb::SupportContact) {
        let with_agent = !matches!(contact.kind(), ContactKind::SelfServiceFailure | ContactKind::Closed);
        if with_agent {
            contact.agent = format!("agent-{:02}", desk.random.gen_range(1..40));
            contact.wait_seconds = desk.exponential(90.0 * (0.5 + self.hardship)).round();
            contact.handle_seconds = desk.exponential(360.0).round();
        }
        self.push(desk, Payload::SupportContact(contact));
    }

    fn push(&mut self, desk: &mut Desk, payload: Payload) {
        let event_id = format!("{}-{:02}", self.case_id, self.steps);
        self.steps += 1;
        desk.push(self.customer, self.at, event_id, payload);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    const END: i64 = 1_800_000_000_000_000;

    #[test]
    fn the_same_seed_gives_the_same_desk_and_another_seed_another() {
        let size = Size { customers: 50, cases: 60 };
        assert_eq!(generate(size, 7, END), generate(size, 7, END));
        assert_ne!(generate(size, 7, END), generate(size, 8, END));
    }

    #[test]
    fn another_end_moves_all_times_and_changes_nothing_else() {
        let size = Size { customers: 50, cases: 60 };
        let moved = |events: Vec<pb::Event>, seconds: i64| -> Vec<pb::Event> {
            let shift = |mut event: pb::Event| {
                event.original_time.as_mut().expect("dated").seconds += seconds;
                event
            };
            events.into_iter().map(shift).collect()
        };
        assert_eq!(moved(generate(size, 7, END), 100), generate(size, 7, END + 100_000_000));
    }

    #[test]
    fn the_demo_desk_has_every_kind_of_step_and_calls_itself_simulated() {
        let events = generate(DEMO, 1, END);
        assert!((9_000..12_000).contains(&events.len()), "{} events", events.len());
        let ids: HashSet<_> = events.iter().map(|event| &event.event_id).collect();
        assert_eq!(ids.len(), events.len());
        assert!(events.iter().all(|event| event.source == SOURCE && order(event).0 <= END / 1_000_000));
        let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
        for event in &events {
            match &event.payload {
                Some(Payload::SupportContact(contact)) => {
                    *kinds.entry(format!("{:?}", contact.kind())).or_default() += 1
                }
                Some(Payload::SurveyResponse(answer)) => *kinds.entry(format!("{:?}", answer.kind())).or_default() += 1,
                _ => {}
            }
        }
        assert_eq!(kinds.len(), 10, "{kinds:?}");
        assert!(kinds.values().all(|events| *events > 20), "{kinds:?}");
        // A model of satisfaction needs 200 answers.
        assert!(kinds["Csat"] > 250 && kinds["Ces"] == kinds["Csat"], "{kinds:?}");
    }
}
