//! The models that compete, each fitted on all training rows and held to answers of folds that it had not seen.

use super::answers::{Row, SurveyAnswers};
use super::spread::Spread;
use super::{EFFORTLESS_MIN, SurveyModel, probability};
use crate::models::bootstrap::Interval;
use crate::models::churn;
use crate::models::churn::candidates::{Scored, Table, challenger};
use crate::models::churn::selection::{Selection, select};
use crate::models::error::{Error, Part, Progress};
use crate::models::schema::Schema;

/// What came of a fit.
pub(super) struct Fitted {
    pub(super) model: SurveyModel,
    /// Mean of the training answers as a share, which is what one would say without a model.
    pub(super) mean: f64,
    /// The kinds that were compared, the picked one among them.
    pub(super) compared: Vec<Compared>,
    /// Why that one.
    pub(super) reason: String,
}

/// A kind of model with its squared error on training rows that it had not seen.
pub(super) struct Compared {
    pub(super) name: &'static str,
    /// Mean squared error of the share.
    pub(super) error: f64,
    /// How much larger it is than that of the first kind.
    pub(super) above_first: Interval,
}

/// Fits the transparent model first, then the trees, and picks the first one unless the other is better beyond chance.
pub(super) fn fit(answers: &SurveyAnswers, rows: &[Row<'_>], progress: &dyn Progress) -> Result<Fitted, Error> {
    let schema = Schema::new(answers.traits_of(rows).features);
    let known: Vec<Vec<Option<f64>>> = rows.iter().map(|row| answers.known(&schema, row.answer)).collect();
    let table = Table {
        schema: &schema,
        known: known.iter().map(Vec::as_slice).collect(),
        targets: rows.iter().map(|row| answers.question().share(row.answer.score)).collect(),
        // Folds look at other bits of the hash than the choice of the test customers does.
        folds: rows.iter().map(|row| ((row.customer >> 16 & 0xffff) % churn::FOLDS) as usize).collect(),
    };
    let mut scored: Vec<Scored> = vec![table.linear(&Part::new(progress, 0.0, 0.2))?];
    scored.extend(challenger(table.trees(&Part::new(progress, 0.2, 0.9)))?);
    let shares = table.targets;
    let predicted: Vec<Vec<f64>> =
        scored.iter().map(|scored| scored.1.iter().map(|score| probability(*score)).collect()).collect();
    let errors: Vec<Vec<f64>> = predicted.iter().map(|predicted| squared_errors(predicted, &shares)).collect();
    let selection = select(&errors, answers.seed());
    let compared = (0..scored.len())
        .map(|kind| Compared {
            name: scored[kind].0.name(),
            error: errors[kind].iter().sum::<f64>() / errors[kind].len() as f64,
            above_first: selection.differences[kind],
        })
        .collect::<Vec<_>>();
    let reason = reason(&compared, &selection);
    let spread = Spread::fit(&predicted[selection.picked], &shares);
    let effortless = rows.iter().filter(|row| !row.answer.had_contact).count();
    let needs_contact = (effortless as f64) < EFFORTLESS_MIN * rows.len() as f64;
    let scorer = scored.swap_remove(selection.picked).0;
    let model = SurveyModel { question: answers.question(), schema, scorer, spread, needs_contact };
    Ok(Fitted { model, mean: shares.iter().sum::<f64>() / shares.len() as f64, compared, reason })
}

/// How far off each prediction was.
pub(super) fn squared_errors(predicted: &[f64], actual: &[f64]) -> Vec<f64> {
    predicted.iter().zip(actual).map(|(predicted, actual)| (predicted - actual).powi(2)).collect()
}

fn reason(compared: &[Compared], selection: &Selection) -> String {
    let (first, picked) = (compared[0].name, &compared[selection.picked]);
    let Interval { value, low, high } = picked.above_first;
    match (compared.len(), selection.picked) {
        (1, _) => format!("{first}: no challenger could be fitted"),
        (_, 0) => {
            format!("{first}: no challenger has a squared error on held-out answers that is smaller beyond chance")
        }
        _ => format!(
            "{}: its squared error on held-out answers is smaller than that of {first} ({value:+.4}, 95 % interval \
             {low:+.4} to {high:+.4})",
            picked.name
        ),
    }
}
