//! How those who answer a survey differ from those who do not.
//!
//! A model of answers learns from respondents only. Where they differ in what the model looks at, it says what the others
//! would answer if they were like the respondents with the same values; where they differ in what nobody recorded, nobody
//! knows. The differences are reported and not corrected: weights by response rate make a model of few answers unsteady.

use super::Question;
use crate::domain::profile::State;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;
use crate::models::card;
use crate::models::features::{self, FEATURES, Unit, Values, View};
use crate::models::thinning::Thinned;

/// Customers of either side that are compared; more make no figure steadier.
const CUSTOMERS_MAX: usize = 10_000;
/// Features with the largest differences that a card lists.
const LISTED: usize = 15;
/// A difference from here on is worth a thought (Austin 2009).
const NOTABLE: f64 = 0.1;

/// Respondents and others, as of one moment.
#[derive(Debug, Clone)]
pub(super) struct Respondents {
    question: Question,
    now: Timestamp,
    answered: Thinned<Values>,
    silent: Thinned<Values>,
    counts: (usize, usize),
}

/// What respondents and others have of one feature.
struct Difference {
    feature: usize,
    /// Standardised mean difference.
    value: f64,
    respondents: f64,
    others: f64,
}

impl Respondents {
    pub(super) fn new(question: Question, now: Timestamp) -> Self {
        let (answered, silent) = (Thinned::new(CUSTOMERS_MAX), Thinned::new(CUSTOMERS_MAX));
        Self { question, now, answered, silent, counts: (0, 0) }
    }

    /// Adds a customer. One without any event is none to be asked.
    pub(super) fn add(&mut self, customer: u64, state: &State) {
        if state.activity.events() == 0 {
            return;
        }
        let values = features::extract(&View::new(state, self.now, &[]));
        if self.question.answered(state).is_some() {
            self.counts.0 += 1;
            self.answered.add(customer, [values]);
        } else {
            self.counts.1 += 1;
            self.silent.add(customer, [values]);
        }
    }

    /// The report of a card.
    pub(super) fn describe(&self) -> Map {
        let (respondents, others) = self.counts;
        let differences = self.differences();
        let notable = differences.iter().filter(|difference| difference.value.abs() >= NOTABLE).count();
        let entries = differences.iter().take(LISTED).map(|difference| {
            card::map([
                ("feature", card::text(FEATURES[difference.feature].name)),
                ("display_name", card::text(FEATURES[difference.feature].display_name)),
                ("standardised_difference", card::number(difference.value)),
                ("mean_of_respondents", card::number(difference.respondents)),
                ("mean_of_others", card::number(difference.others)),
            ])
        });
        card::map([
            ("respondents", card::count(respondents)),
            ("others", card::count(others)),
            ("response_rate", card::number(respondents as f64 / (respondents + others) as f64)),
            ("notable_differences", card::count(notable)),
            ("differences", card::list(entries)),
            ("correction", card::text("none: the model describes respondents, and the differences are reported")),
        ])
    }

    /// Of each feature the difference of the means of its shaped values, in units of the root of the mean of both
    /// variances (Cohen 1988; Austin 2009), the largest first. What one side has no two values of is left out, and so are
    /// answers to surveys, in which respondents differ by being respondents.
    fn differences(&self) -> Vec<Difference> {
        let (answered, silent) = (self.answered.sorted(), self.silent.sorted());
        let compared = (0..FEATURES.len()).filter(|index| FEATURES[*index].unit != Unit::Score);
        let mut differences: Vec<Difference> = compared
            .filter_map(|feature| {
                let of = |rows: &[(u64, &Values)]| moments(feature, rows.iter().filter_map(|row| row.1[feature]));
                let ((respondents, first), (others, second)) = (of(&answered)?, of(&silent)?);
                let value = (respondents - others) / ((first + second) / 2.0).sqrt();
                value.is_finite().then_some(Difference { feature, value, respondents, others })
            })
            .collect();
        differences.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()).then(a.feature.cmp(&b.feature)));
        differences
    }
}

/// Mean and variance of the shaped values of a feature.
fn moments(feature: usize, values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values: Vec<f64> = values.map(|value| FEATURES[feature].unit.shape(value)).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (count >= 2.0).then(|| (mean, squares / (count - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::payload::SurveyKind;
    use crate::domain::value::Value;
    use crate::models::fixture::{day, purchase, state, survey};
    use crate::models::sampling::mix;

    /// The names of the features that a report lists.
    fn listed(report: &Map) -> Vec<String> {
        let Some(Value::List(entries)) = report.get("differences") else { return Vec::new() };
        let name = |entry: &Value| match entry {
            Value::Map(entry) => entry.get("feature").cloned(),
            _ => None,
        };
        let text = |value: Value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        };
        entries.iter().filter_map(name).filter_map(text).collect()
    }

    #[test]
    fn a_difference_is_in_units_of_the_deviation_and_the_largest_is_first() {
        let mut found = Respondents::new(Question::Satisfaction, day(100.0));
        // Respondents bought 10 to 19 days ago, the others 10 days earlier; both spent alike.
        for number in 0..200u64 {
            let last = 100.0 - 10.0 - (number % 10) as f64;
            let timeline = [purchase(last, 5.0), survey(last + 0.5, SurveyKind::Csat, 4.0)];
            let (answers, bought) = (number % 4 == 0, purchase(last - 10.0, 5.0));
            found.add(mix(number), &state(if answers { &timeline } else { std::slice::from_ref(&bought) }));
        }
        let report = found.describe();
        assert_eq!(report["response_rate"], Value::Number(0.25));
        assert_eq!((&report["respondents"], &report["others"]), (&card::count(50), &card::count(150)));
        let names = listed(&report);
        assert!(names.contains(&"purchase_recency_days".to_owned()) && !names.contains(&"csat_last".to_owned()));
        let recency = found.differences().into_iter().find(|one| FEATURES[one.feature].name == "purchase_recency_days");
        let recency = recency.expect("both have it");
        assert!(recency.value < -2.0, "{}", recency.value);
        assert!(!names.contains(&"net_revenue".to_owned()), "what does not vary has no unit");
    }

    #[test]
    fn without_others_there_is_nothing_to_compare() {
        let mut found = Respondents::new(Question::Effort, day(100.0));
        assert!(found.differences().is_empty());
        assert_eq!(found.describe()["response_rate"], Value::Null);
        found.add(1, &state(&[survey(1.0, SurveyKind::Ces, 4.0)]));
        found.add(2, &state(&[]));
        assert!(found.differences().is_empty());
        assert_eq!(found.describe()["response_rate"], Value::Number(1.0));
    }
}
