//! Read masks: which fields of a profile a caller wants.

use std::collections::BTreeMap;

use crate::domain::violation::Violations;
use crate::rpc::pb;

/// Paths as a tree. A node without children stands for everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::rpc) struct Mask(BTreeMap<String, Mask>);

/// A message whose fields a mask can name.
trait Masked {
    /// Whether the path, cut at its dots, leads to a field.
    fn has(path: &[&str]) -> bool;

    /// Clears the fields that the mask does not name.
    fn retain(&mut self, mask: &Mask);
}

impl Mask {
    /// The mask that a read of profiles sent; without one, or without paths, it is everything. Every path that is none
    /// is a violation.
    pub(in crate::rpc) fn of_profile(sent: Option<prost_types::FieldMask>, violations: &mut Violations) -> Self {
        let mut mask = Self::default();
        for (position, path) in sent.unwrap_or_default().paths.iter().enumerate() {
            let steps: Vec<&str> = path.split('.').collect();
            if pb::Profile::has(&steps) {
                mask.insert(&steps);
            } else {
                violations.add(&format!("read_mask.paths[{position}]"), "must be a path of Profile");
            }
        }
        mask
    }

    /// Whether anything of a top-level field is wanted.
    pub(in crate::rpc) fn wants(&self, field: &str) -> bool {
        self.is_everything() || self.0.contains_key(field)
    }

    /// Whether a top-level field is named: for fields that are left out of everything.
    pub(in crate::rpc) fn names(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// Clears what the mask does not name, except the name of the profile.
    pub(in crate::rpc) fn apply(&self, profile: &mut pb::Profile) {
        if self.is_everything() {
            return;
        }
        let profile_id = std::mem::take(&mut profile.profile_id);
        profile.retain(self);
        profile.profile_id = profile_id;
    }

    fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a path; a shorter path that is already there covers it, and it covers longer ones.
    fn insert(&mut self, steps: &[&str]) {
        let Some((first, rest)) = steps.split_first() else {
            self.0.clear();
            return;
        };
        match self.0.get_mut(*first) {
            Some(covering) if covering.is_everything() => {}
            Some(child) => child.insert(rest),
            None => {
                let mut child = Self::default();
                if !rest.is_empty() {
                    child.insert(rest);
                }
                self.0.insert((*first).to_owned(), child);
            }
        }
    }
}

/// Names the fields of a message: leaves, and messages that a path goes into. The destructuring makes a field that is
/// new in the proto a compile error here until it is named.
macro_rules! masked {
    ($message:ident { $($leaf:ident),* $(; $($branch:ident: $inner:ident),*)? }) => {
        impl Masked for pb::$message {
            fn has(path: &[&str]) -> bool {
                match path {
                    [] => false,
                    $([stringify!($leaf)] => true,)*
                    $($([stringify!($branch)] => true,
                    [stringify!($branch), rest @ ..] => pb::$inner::has(rest),)*)?
                    _ => false,
                }
            }

            fn retain(&mut self, mask: &Mask) {
                let Self { $($leaf,)* $($($branch,)*)? } = self;
                $(if !mask.wants(stringify!($leaf)) {
                    *$leaf = Default::default();
                })*
                $($(match mask.0.get(stringify!($branch)) {
                    None => *$branch = None,
                    Some(inner) if inner.is_everything() => {}
                    Some(inner) => {
                        if let Some(message) = $branch {
                            message.retain(inner);
                        }
                    }
                })*)?
            }
        }
    };
}

masked!(Profile {
    profile_id, identifiers, traits, trait_sources, segment_id, consents, etag, create_time, update_time, first_seen_time,
    last_seen_time;
    activity: Activity, purchases: PurchaseSummary, support: SupportSummary, surveys: SurveySummary,
    subscription: SubscriptionSummary
});
masked!(Activity { events, events_by_channel, events_by_kind, channels, first_time, last_time, events_by_name });
masked!(PurchaseSummary {
    count,
    revenue,
    gross_revenue,
    refunded_revenue,
    currency,
    revenue_by_currency,
    refunds,
    items,
    first_time,
    last_time,
    gap_days_mean,
    gap_days_sd,
    last_revenue
});
masked!(SupportSummary {
    episodes,
    open_episodes,
    contacts,
    repeat_contacts,
    channel_switches,
    transfers,
    reopens,
    escalations,
    self_service_failures,
    wait_seconds,
    handle_seconds,
    resolved_episodes,
    resolution_hours_mean,
    last_contact_time,
    recent_episodes
});
masked!(SurveySummary { ; nps: SurveyScores, csat: SurveyScores, ces: SurveyScores });
masked!(SurveyScores { answers, last_score, mean_score, last_time });
masked!(SubscriptionSummary { status, plan, monthly_amount, currency, start_time, status_time, changes });

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(paths: &[&str]) -> Result<Mask, Vec<String>> {
        let mut violations = Violations::new();
        let sent = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let mask = Mask::of_profile(Some(sent), &mut violations);
        let fields: Vec<String> = violations.into_vec().into_iter().map(|violation| violation.field).collect();
        if fields.is_empty() { Ok(mask) } else { Err(fields) }
    }

    fn profile() -> pb::Profile {
        let scores = pb::SurveyScores { answers: 1, last_score: 9.0, ..Default::default() };
        pb::Profile {
            profile_id: "p".to_owned(),
            etag: "r1".to_owned(),
            purchases: Some(pb::PurchaseSummary { count: 2, revenue: 3.0, ..Default::default() }),
            surveys: Some(pb::SurveySummary { nps: Some(scores), ces: Some(scores), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn a_mask_keeps_what_it_names_and_the_profile_id() {
        let mut masked = profile();
        mask(&["purchases.revenue", "surveys.nps.answers"]).expect("known paths").apply(&mut masked);
        let scores = pb::SurveyScores { answers: 1, ..Default::default() };
        let expected = pb::Profile {
            profile_id: "p".to_owned(),
            purchases: Some(pb::PurchaseSummary { revenue: 3.0, ..Default::default() }),
            surveys: Some(pb::SurveySummary { nps: Some(scores), ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(masked, expected);
    }

    #[test]
    fn a_field_covers_its_parts_in_either_order() {
        for paths in [["purchases", "purchases.revenue"], ["purchases.revenue", "purchases"]] {
            let mut masked = profile();
            mask(&paths).expect("known paths").apply(&mut masked);
            assert_eq!(masked.purchases, profile().purchases, "{paths:?}");
        }
    }

    #[test]
    fn no_path_is_everything() {
        let mut masked = profile();
        mask(&[]).expect("nothing unknown").apply(&mut masked);
        assert_eq!(masked, profile());
    }

    #[test]
    fn every_unknown_path_is_named_by_its_place() {
        let fields = mask(&["trait", "etag", "purchases.revenue.x", "traits.plan", ""]).expect_err("unknown");
        assert_eq!(fields, [0, 2, 3, 4].map(|position| format!("read_mask.paths[{position}]")));
    }
}
