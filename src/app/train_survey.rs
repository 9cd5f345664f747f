//! Training of satisfaction and effort, from what customers answered to surveys.

use super::train::{Job, READING, Stop, Trained};
use crate::models::artifact::Model;
use crate::models::survey::{self, Question, SurveyAnswers, SurveyParameters};

impl Job {
    pub(super) fn train_survey(&self, question: Question) -> Result<Trained, Stop> {
        let now = self.now();
        let (seed, excluded) = (self.parameters.seed, self.parameters.excluded_traits.clone());
        let mut answers = SurveyAnswers::new(question, SurveyParameters { now, seed, excluded });
        self.for_each_profile(self.part(0.0, READING), |profiles| {
            for (profile, history) in profiles.iter().zip(self.histories(profiles)?) {
                // The horizon may have moved beyond it since the run was asked for.
                if history.reaches_back_to(now) {
                    answers.add(profile, &history);
                }
            }
            Ok(())
        })?;
        let previous = match &self.incumbent.model {
            Some(Model::Survey(model)) => Some(model),
            _ => None,
        };
        let trained = survey::train(&answers, previous, &self.part(READING, 1.0 - READING))?;
        Ok(Trained {
            model: Model::Survey(trained.model),
            card: trained.card,
            metrics: trained.metrics,
            promote: trained.promote,
        })
    }
}
