//! Profiles.

use std::collections::BTreeMap;

use super::{consent, count, mask::Mask, payload, summary, time, value};
use crate::app::Found;
use crate::domain::identifier::Identifier;
use crate::domain::identity_rules::IdentifierRule;
use crate::domain::money::Currency;
use crate::domain::profile::Profile;
use crate::domain::profile::subscription::Subscription;
use crate::domain::profile::traits::{Trait, Traits};
use crate::domain::time::Timestamp;
use crate::domain::value::Map;
use crate::rpc::pb;

/// What an answer about profiles depends on, beside the profiles.
pub(in crate::rpc) struct View<'a> {
    /// The fields that are asked for.
    pub(in crate::rpc) mask: &'a Mask,
    /// The workspace's currency; empty is each customer's first.
    pub(in crate::rpc) currency: &'a Currency,
    /// The moment of the read, as of which consent counts whatever time the rest is of.
    pub(in crate::rpc) now: Timestamp,
}

impl View<'_> {
    /// A profile with the fields that are asked for; `segment_of` is called only where its answer is.
    pub(in crate::rpc) fn to_pb(&self, found: &Found, segment_of: impl FnOnce(&Found) -> String) -> pb::Profile {
        let wants = |field| self.mask.wants(field);
        let Profile { id, revision, update_time, state, .. } = &*found.profile;
        let seen = state.activity.all;
        let mut profile = pb::Profile {
            profile_id: id.to_string(),
            identifiers: if wants("identifiers") { most_telling_first(&found.profile) } else { Vec::new() },
            traits: wants("traits").then(|| value::to_pb(&stated(&state.traits))),
            trait_sources: if self.mask.names("trait_sources") { sources(&state.traits) } else { BTreeMap::new() },
            activity: wants("activity").then(|| summary::activity(&state.activity)),
            purchases: wants("purchases").then(|| summary::purchases(&state.purchases, self.currency)).flatten(),
            support: wants("support").then(|| summary::support(&state.support)).flatten(),
            surveys: wants("surveys").then(|| summary::surveys(&state.surveys)).flatten(),
            subscription: state.subscription.as_ref().map(|found| self.subscription(found)),
            segment_id: if wants("segment_id") { segment_of(found) } else { String::new() },
            consents: if wants("consents") {
                consent::summaries(&found.profile.consents, self.now)
            } else {
                Vec::new()
            },
            etag: revision.to_string(),
            create_time: Some(time::to_pb(found.profile.create_time())),
            update_time: Some(time::to_pb(*update_time)),
            first_seen_time: seen.map(|seen| time::to_pb(seen.first)),
            last_seen_time: seen.map(|seen| time::to_pb(seen.last)),
        };
        self.mask.apply(&mut profile);
        profile
    }

    fn subscription(&self, subscription: &Subscription) -> pb::SubscriptionSummary {
        let named = &subscription.currency;
        let currency = if named.is_empty() { self.currency } else { named };
        pb::SubscriptionSummary {
            status: payload::status_to_pb(subscription.status).into(),
            plan: subscription.plan.clone(),
            monthly_amount: subscription.monthly_amount.as_units(),
            currency: currency.as_str().to_owned(),
            start_time: Some(time::to_pb(subscription.start)),
            status_time: Some(time::to_pb(subscription.since)),
            changes: count(subscription.changes),
        }
    }
}

/// Everything of a profile, with who said what.
pub(in crate::rpc) fn whole(view: &View<'_>, found: &Found, segment_of: impl FnOnce(&Found) -> String) -> pb::Profile {
    pb::Profile { trait_sources: sources(&found.profile.state.traits), ..view.to_pb(found, segment_of) }
}

fn most_telling_first(profile: &Profile) -> Vec<pb::Identifier> {
    let mut identifiers = profile.identifiers();
    identifiers.sort_by_key(|identifier| IdentifierRule::default_of(identifier.kind()).priority);
    let sent = |identifier: &Identifier| pb::Identifier {
        r#type: identifier.kind().to_owned(),
        value: identifier.value().to_owned(),
    };
    identifiers.into_iter().map(sent).collect()
}

fn sources(traits: &Traits) -> BTreeMap<String, pb::TraitSource> {
    let source = |stated: &Trait| pb::TraitSource {
        source: stated.source.to_string(),
        state_time: Some(time::to_pb(stated.time)),
    };
    traits.iter().map(|(key, stated)| (key.clone(), source(stated))).collect()
}

fn stated(traits: &Traits) -> Map {
    traits.iter().map(|(key, stated)| (key.clone(), stated.value.clone())).collect()
}
