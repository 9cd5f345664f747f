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
use crate::models::schema::Schema;
use crate::models::thinning::Thinned;
use crate::models::traits::{self, Learned, Stated, Words};

/// Answers that are kept, of how many customers so ever.
const ANSWERS_MAX: usize = 100_000;
/// Answers of one customer that are learned from, the last ones: who answers every day must not outweigh a city.
const OF_CUSTOMER_MAX: usize = 50;
/// Answers so near before another one belong to the same questionnaire, which knows nothing of its first line when the
/// second one is predicted.
const SITTING_HOURS: f64 = 1.0;
/// One in so many answers, or customers where all answers are of the same time, is for the test.
const TEST_PARTS: usize = 4;

/// Traits that are kept of all answers together, likewise.
const TRAITS_MAX: usize = 8_000_000;

/// What a caller may choose for one training of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyParameters {
    /// As of when respondents and others are compared.
    pub now: Timestamp,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Traits that are no features.
    pub excluded: Vec<String>,
}

/// The answers of one training, with what is needed to say who gave them.
#[derive(Debug, Clone)]
pub struct SurveyAnswers {
    question: Question,
    seed: u64,
    excluded: Vec<String>,
    answers: Thinned<Answer>,
    /// What the traits of the answers are made of.
    words: Words,
    /// Traits of all answers.
    traits: usize,
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
    /// What sources had said about the customer.
    stated: Vec<Stated>,
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
    /// No answers yet.
    pub fn new(question: Question, parameters: SurveyParameters) -> Self {
        let SurveyParameters { now, seed, excluded } = parameters;
        let (answers, respondents) = (Thinned::new(ANSWERS_MAX), Respondents::new(question, now));
        Self { question, seed, excluded, answers, words: Words::default(), traits: 0, respondents }
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
        if self.answers.keeps(customer) {
            let last = given.len().saturating_sub(OF_CUSTOMER_MAX);
            let answer = |(position, score): &(usize, f64)| settled.answer((*position, *score), &mut self.words);
            let answers: Vec<Answer> = given[last..].iter().map(answer).collect();
            self.keep(customer, answers);
        }
        self.respondents.add(customer, &settled.all());
    }

    /// Keeps answers as far as the bounds allow.
    fn keep(&mut self, customer: u64, answers: Vec<Answer>) {
        self.traits += answers.iter().map(|answer| answer.stated.len()).sum::<usize>();
        if self.answers.add(customer, answers) {
            self.recount();
        }
        while self.traits > TRAITS_MAX {
            self.answers.thin_out();
            self.recount();
        }
    }

    /// Lets go of what only answers said that are given up.
    fn recount(&mut self) {
        let mut words = Words::default();
        self.traits = 0;
        for answer in self.answers.rows_mut() {
            answer.stated = self.words.moved(&answer.stated, &mut words);
            self.traits += answer.stated.len();
        }
        self.words = words;
    }

    /// What a model that looks at some features knows of an answer.
    pub(super) fn known(&self, schema: &Schema, answer: &Answer) -> Vec<Option<f64>> {
        schema.train(&answer.values, &answer.stated, &self.words)
    }

    /// What the traits of some answers are to a model that learns from them.
    pub(super) fn traits_of(&self, rows: &[Row<'_>]) -> Learned {
        let stated = rows.iter().map(|row| (row.customer, self.words.cells(&row.answer.stated)));
        traits::learn(stated, &self.excluded)
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
    fn answer(&mut self, (position, score): (usize, f64), words: &mut Words) -> Answer {
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
        let view = View::new(&known, super::moment(&known).unwrap_or(time), &[]);
        let (values, stated) = (features::extract(&view), words.keep(traits::cells(view.traits())));
        Answer { time, score, had_contact: super::has_contact(&known, time), values, stated }
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
    use crate::domain::value::Value;
    use crate::models::features::position;
    use crate::models::fixture::{contact, day, id, identify, purchase, survey};
    use crate::models::sampling::mix;

    fn no_answers() -> SurveyAnswers {
        let parameters = SurveyParameters { now: day(400.0), seed: 1, excluded: Vec::new() };
        SurveyAnswers::new(Question::Satisfaction, parameters)
    }

    fn rows(timeline: &[Event]) -> Vec<Answer> {
        let mut answers = no_answers();
        answers.add(id(1), &Whole { base: None, events: timeline.to_vec() });
        answers.answers.sorted().into_iter().map(|row| row.1.clone()).collect()
    }

    #[test]
    fn neither_the_answer_itself_nor_anything_after_it_leaks_into_what_was_known() {
        let known = [purchase(10.0, 5.0), survey(20.0, SurveyKind::Csat, 4.0)];
        let mut planted = known.to_vec();
        planted.extend([
            contact(20.000_001, "phone", ContactKind::Escalated),
            identify(20.000_002, &[("plan", Value::Text("pro".to_owned()))]),
            survey(20.5, SurveyKind::Nps, 0.0),
            survey(21.0, SurveyKind::Csat, 1.0),
        ]);
        let (before, after) = (rows(&known), rows(&planted));
        assert_eq!((before.len(), after.len()), (1, 2));
        assert_eq!(before[0], after[0]);
        assert_eq!(before[0].values[position("csat_last").expect("a feature")], None);
        assert_eq!(before[0].values[position("purchase_recency_days").expect("a feature")], Some(0.0));
        assert_ne!(after[1].values, after[0].values, "an earlier answer is known at the next one");
        assert_eq!((after[0].stated.len(), after[1].stated.len()), (0, 1));
        assert_eq!(after[1].values[position("csat_last").expect("a feature")], Some(4.0));
    }

    #[test]
    fn of_customers_who_are_given_up_no_words_are_kept() {
        let mut answers = no_answers();
        answers.answers = Thinned::new(100);
        for number in 0..1_000 {
            let stated = identify(19.0, &[("home", Value::Text(format!("{number}")))]);
            let events = vec![stated, survey(20.0, SurveyKind::Csat, 3.0)];
            answers.add(id(u128::from(mix(number))), &Whole { base: None, events });
        }
        let kept = answers.answers.sorted().len();
        assert!((1..=100).contains(&kept) && answers.traits == kept, "{kept} {}", answers.traits);
        assert_eq!(answers.words.len(), 1 + kept, "the key, and a value of each");
        let known = answers.known(&Schema::default(), answers.answers.sorted()[0].1);
        assert_eq!(known.len(), features::FEATURES.len());
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
            let mut answers = no_answers();
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
