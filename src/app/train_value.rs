//! Training of value, from what customers bought.

use super::train::{Job, READING, Stop, Trained};
use crate::models::artifact::Model;
use crate::models::examples::Census;
use crate::models::value::{self, Buyers, Currencies, ValuePlan};

impl Job {
    pub(super) fn train_value(&self) -> Result<Trained, Stop> {
        let settings = self.runtime.block_on(self.app.stored_settings(&self.caller.workspace))?.value;
        let (mut census, mut currencies) = (Census::default(), Currencies::default());
        self.for_each_profile(self.part(0.0, READING / 3.0), |profiles| {
            for profile in profiles {
                census.add(profile);
                currencies.add(&profile.state);
            }
            Ok(())
        })?;
        let plan = ValuePlan::new(&settings, &self.churn_parameters()?, &self.census_as_of(census), &currencies)?;
        let mut buyers = Buyers::new(plan);
        self.for_each_profile(self.part(READING / 3.0, READING * 2.0 / 3.0), |profiles| {
            for (profile, history) in profiles.iter().zip(self.histories(profiles)?) {
                buyers.add(profile, &history);
            }
            Ok(())
        })?;
        let previous = match &self.incumbent.model {
            Some(Model::Value(model)) => Some(model),
            _ => None,
        };
        let trained = value::train(&buyers, previous, &self.part(READING, 1.0 - READING))?;
        Ok(Trained {
            model: Model::Value(trained.model),
            card: trained.card,
            metrics: trained.metrics,
            promote: trained.promote,
        })
    }
}
