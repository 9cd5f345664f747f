//! Point-in-time examples: what was known about a customer just before an answer, and the answer.

use super::Question;
use super::respondents::Respondents;
use crate::domain::event::Event;
use crate::domain::fold::fold;
use crate::domain::history::Whole;
use crate::domain::payload::Payload;
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::models::customer_key::CustomerKey;
use crate::models::features::{self, Values, View};
use crate::models::thinning::Thinned;

/// Answers that are kept, of how many customers so ever.
const ANSWERS_MAX: usize = 100_000;
/// Answers of one customer that are learned from, the last ones: who answers every day must not outweigh a city.
const OF_CUSTOMER_MAX: usize = 50;
/// Answers so near before another one belong to the same questionnaire, which knows nothing of its first line when the
/// second one is predicted.
const SITTING_HOURS: f64 = 1.0;
/// One in so many answers, or customers where all answers are of the same time, is for the test.
const TEST_PARTS: usize = 4;

/// The answers of one training, with what is needed to say who gave them.
#[derive(Debug, Clone)]
pub struct SurveyAnswers {
    question: Question,
    seed: u64,
    answers: Thinned<Answer>,
    respondents: Respondents,
}

/// An answer, with what was known before it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) time: Timestamp,
    /// On the scale of the question.
    pub(super) score: f64,
    /// Whether the customer had been in touch with support.
    pub(super) had_contact: bool,
    pub(super) values: Values,
}

/// An answer with who gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// Stands for the customer: equal for all answers of one, and otherwise as good as random.
    pub(super) customer: u64,
    pub(super) answer: &'a Answer,
}

/// Which answers are learned from and which are for the test, each in the order of customers and, of one customer, of
/// time.
pub(super) struct Parts<'a> {
    pub(super) training: Vec<Row<'a>>,
    pub(super) test: Vec<Row<'a>>,
    /// The first time of the test; `None` where the test has customers of its own instead.
    pub(super) test_from: Option<Timestamp>,
}

impl SurveyAnswers {
    /// No answers yet. Customers are compared as of `now`; all chance comes from `seed`.
    pub fn new(question: Question, now: Timestamp, seed: u64) -> Self {
        Self { question, seed, answers: Thinned::new(ANSWERS_MAX), respondents: Respondents::new(question, now) }
    }

    /// Adds a customer by what is kept of their events. Answers that have expired cannot be learned from: what was known
    /// before them is not kept.
    pub fn add(&mut self, customer: impl Into<CustomerKey>, history: &Whole) {
        let customer = customer.into().seeded(self.seed);
        let mut settled = Settled {
            state: history.base.as_ref().map(|base| base.state.clone()).unwrap_or_default(),
            events: &history.events,
            folded: 0,
        };
        let given = |(position, event)| Some((position, self.question.answer(event)?));
        let given: Vec<(usize, f64)> = history.events.iter().enumerate().filter_map(given).collect();
        let last = given.len().saturating_sub(OF_CUSTOMER_MAX);
        let answers: Vec<Answer> =
            given[last..].iter().map(|(position, score)| settled.answer(*position, *score)).collect();
        self.answers.add(customer, answers);
        self.respondents.add(customer, &settled.all());
    }

    pub(super) fn question(&self) -> Question {
        self.question
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn respondents(&self) -> &Respondents {
        &self.respondents
    }

    /// The share of customers whose answers are kept, 1 for all.
    pub(super) fn kept_share(&self) -> f64 {
        self.answers.kept_share()
    }

    /// The last quarter of the answers is the test. Where that would leave less than half of them to learn from, because
    /// most have the same time, it is a quarter of the customers, chosen by hash.
    pub(super) fn parts(&self) -> Parts<'_> {
        let rows: Vec<Row<'_>> =
            self.answers.sorted().into_iter().map(|(customer, answer)| Row { customer, answer }).collect();
        let mut times: Vec<Timestamp> = rows.iter().map(|row| row.answer.time).collect();
        times.sort_unstable();
        let later = times.get(times.len() - times.len() / TEST_PARTS).or(times.last()).copied();
        let earlier = later.map_or(0, |later| times.partition_point(|time| *time < later));
        let test_from = later.filter(|_| 2 * earlier >= rows.len() && earlier > 0);
        let (test, training) = rows.into_iter().partition(|row| match test_from {
            Some(from) => row.answer.time >= from,
            None => (row.customer >> 32).is_multiple_of(TEST_PARTS as u64),
        });
        Parts { training, test, test_from }
    }
}

/// A progressive fold that stops before the questionnaire that an answer belongs to.
struct Settled<'a> {
    state: State,
    events: &'a [Event],
    /// How many of the events are in the state.
    folded: usize,
}

impl Settled<'_> {
    /// The answer at a position, which lies after those that were asked for before.
    fn answer(&mut self, position: usize, score: f64) -> Answer {
        let time = self.events[position].times.event;
        while self.folded < position && !is_of_sitting(&self.events[self.folded], time) {
            fold(&mut self.state, &self.events[self.folded]);
            self.folded += 1;
        }
        // What else happened meanwhile is known all the same.
        let mut known = self.state.clone();
        for event in self.events[self.folded..position].iter().filter(|event| !is_of_sitting(event, time)) {
            fold(&mut known, event);
        }
        let values = features::extract(&View::new(&known, super::moment(&known).unwrap_or(time), &[]));
        Answer { time, score, had_contact: super::has_contact(&known, time), values }
    }

    /// What all events add up to.
    fn all(mut self) -> State {
        self.events[self.folded..].iter().for_each(|event| fold(&mut self.state, event));
        self.state
    }
}

/// Whether an event before a time is an answer of the same questionnaire.
fn is_of_sitting(event: &Event, time: Timestamp) -> bool {
    matches!(event.payload, Payload::SurveyResponse(_)) && time.hours_since(event.times.event) < SITTING_HOURS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::payload::{ContactKind, SurveyKind};
    use crate::models::features::position;
    use crate::models::fixture::{contact, day, id, purchase, survey};

    fn rows(timeline: &[Event]) -> Vec<Answer> {
        let mut answers = SurveyAnswers::new(Question::Satisfaction, day(400.0), 1);
        answers.add(id(1), &Whole { base: None, events: timeline.to_vec() });
        answers.answers.sorted().into_iter().map(|row| row.1.clone()).collect()
    }

    #[test]
    fn neither_the_answer_itself_nor_anything_after_it_leaks_into_what_was_known() {
        let known = [purchase(10.0, 5.0), survey(20.0, SurveyKind::Csat, 4.0)];
        let mut planted = known.to_vec();
        planted.extend([
            contact(20.000_001, "phone", ContactKind::Escalated),
            survey(20.5, SurveyKind::Nps, 0.0),
            survey(21.0, SurveyKind::Csat, 1.0),
        ]);
        let (before, after) = (rows(&known), rows(&planted));
        assert_eq!((before.len(), after.len()), (1, 2));
        assert_eq!(before[0], after[0]);
        assert_eq!(before[0].values[position("csat_last").expect("a feature")], None);
        assert_eq!(before[0].values[position("purchase_recency_days").expect("a feature")], Some(0.0));
        assert_ne!(after[1].values, after[0].values, "an earlier answer is known at the next one");
        assert_eq!(after[1].values[position("csat_last").expect("a feature")], Some(4.0));
    }

    #[test]
    fn another_answer_of_the_same_questionnaire_is_not_known() {
        let minute = 1.0 / 1_440.0;
        let timeline = [
            survey(19.0, SurveyKind::Nps, 9.0),
            survey(20.0, SurveyKind::Nps, 3.0),
            contact(20.0 + minute, "chat", ContactKind::Opened),
            survey(20.0 + 2.0 * minute, SurveyKind::Csat, 2.0),
        ];
        let found = rows(&timeline);
        assert_eq!(found[0].values[position("nps_last").expect("a feature")], Some(9.0));
        assert!(found[0].had_contact, "what is no answer is known");
    }

    #[test]
    fn the_last_quarter_is_the_test_and_where_all_have_one_time_a_quarter_of_the_customers() {
        let parts = |time: fn(u128) -> f64| {
            let mut answers = SurveyAnswers::new(Question::Satisfaction, day(400.0), 1);
            for number in 0..1_000 {
                let event = survey(time(number), SurveyKind::Csat, 3.0);
                answers.add(id(number), &Whole { base: None, events: vec![event] });
            }
            let parts = answers.parts();
            let first = parts.test.iter().map(|row| row.answer.time).min();
            assert!(parts.test_from.is_none_or(|from| parts.training.iter().all(|row| row.answer.time < from)));
            (parts.training.len(), parts.test.len(), first == parts.test_from)
        };
        assert_eq!(parts(|number| number as f64 / 10.0), (750, 250, true));
        let (training, test, is_later) = parts(|_| 5.0);
        assert!((200..300).contains(&test) && training + test == 1_000 && !is_later, "{test}");
    }

    #[test]
    fn of_a_customer_who_answers_all_the_time_the_last_answers_count() {
        let timeline: Vec<Event> = (0..200).map(|at| survey(f64::from(at), SurveyKind::Csat, 5.0)).collect();
        let found = rows(&timeline);
        assert_eq!((found.len(), found[0].time), (OF_CUSTOMER_MAX, day(150.0)));
        assert!(rows(&[survey(1.0, SurveyKind::Ces, 5.0)]).is_empty(), "another question");
        assert!(rows(&[]).is_empty());
    }
}
