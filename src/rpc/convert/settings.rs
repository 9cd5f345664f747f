//! Settings and their changes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{money, request_id, time};
use crate::app::{Invalid, Result, SettingsChange, SettingsView};
use crate::domain::privacy_rules::PrivacyRules;
use crate::domain::settings::{ChurnKind, Settings};
use crate::domain::violation::Violations;
use crate::rpc::{access, pb};

/// Settings as a caller sees them.
pub(in crate::rpc) fn to_pb(view: SettingsView) -> pb::Settings {
    let Settings { churn, currency, default_phone_region, source_priorities, identity: _ } = view.settings;
    let kind = match churn.kind {
        ChurnKind::Contractual => pb::ChurnKind::Contractual,
        ChurnKind::Inactivity => pb::ChurnKind::Inactivity,
    };
    let PrivacyRules { training_purpose, method_purposes, erased_may_return } = view.privacy;
    pb::Settings {
        churn: Some(pb::ChurnDefinition {
            kind: kind.into(),
            horizon: Some(time::duration_to_pb(churn.horizon)),
            qualifying_events: churn.qualifying_events,
        }),
        currency: currency.as_str().to_owned(),
        etag: view.etag,
        default_phone_region,
        source_priorities: source_priorities.into_iter().collect(),
        training_purpose,
        method_purposes,
        erased_may_return,
    }
}

/// The change that a request asks for: the fields of the mask, or without one those that are present.
///
/// # Errors
/// [`Error::Invalid`](crate::app::Error::Invalid) naming every unknown path and every value that cannot be one.
pub(in crate::rpc) fn change(request: pb::UpdateSettingsRequest) -> Result<SettingsChange> {
    let mut sent = request.settings.unwrap_or_default();
    let churn = sent.churn.take().unwrap_or_default();
    let mut violations = Violations::new();
    request_id::check(&request.request_id, &mut violations);
    let fields = match request.update_mask {
        Some(mask) if !mask.paths.is_empty() => Fields::named(&mask.paths, &mut violations),
        _ => Fields::present(&churn, &sent),
    };
    let change = violations.within("settings", |violations| SettingsChange {
        churn_kind: fields.kind.then(|| churn_kind(churn.kind, violations)),
        churn_horizon: fields.horizon.then(|| horizon(churn.horizon, violations)),
        qualifying_events: fields.qualifying_events.then_some(churn.qualifying_events),
        currency: fields.currency.then(|| money::currency(&sent.currency, "currency", violations)),
        default_phone_region: fields.default_phone_region.then_some(sent.default_phone_region),
        source_priorities: fields.source_priorities.then(|| sent.source_priorities.into_iter().collect()),
        training_purpose: fields.training_purpose.then_some(sent.training_purpose),
        method_purposes: fields.method_purposes.then(|| method_purposes(sent.method_purposes, violations)),
        erased_may_return: fields.erased_may_return.then_some(sent.erased_may_return),
        etag: sent.etag,
    });
    if !violations.is_empty() {
        // The use case is not reached, so the rest is checked here: a caller hears of all faults at once.
        let mut rest = Settings::default();
        rest.churn.qualifying_events = change.qualifying_events.clone().unwrap_or_default();
        rest.source_priorities = change.source_priorities.clone().unwrap_or_default();
        rest.default_phone_region = change.default_phone_region.clone().unwrap_or_default();
        let privacy = PrivacyRules {
            training_purpose: change.training_purpose.clone().unwrap_or_default(),
            method_purposes: change.method_purposes.clone().unwrap_or_default(),
            erased_may_return: false,
        };
        violations.within("settings", |violations| {
            rest.check(violations);
            privacy.check(violations);
        });
    }
    Invalid::check(violations).map(|()| change)
}

/// Which fields are to change.
#[derive(Default)]
struct Fields {
    kind: bool,
    horizon: bool,
    qualifying_events: bool,
    currency: bool,
    default_phone_region: bool,
    source_priorities: bool,
    training_purpose: bool,
    method_purposes: bool,
    erased_may_return: bool,
}

impl Fields {
    fn named(paths: &[String], violations: &mut Violations) -> Self {
        let mut fields = Self::default();
        for (position, path) in paths.iter().enumerate() {
            match path.as_str() {
                "churn" => (fields.kind, fields.horizon, fields.qualifying_events) = (true, true, true),
                "churn.kind" => fields.kind = true,
                "churn.horizon" => fields.horizon = true,
                "churn.qualifying_events" => fields.qualifying_events = true,
                "currency" => fields.currency = true,
                "default_phone_region" => fields.default_phone_region = true,
                "source_priorities" => fields.source_priorities = true,
                "training_purpose" => fields.training_purpose = true,
                "method_purposes" => fields.method_purposes = true,
                "erased_may_return" => fields.erased_may_return = true,
                _ => violations.add(&format!("update_mask.paths[{position}]"), "must be a path of Settings to change"),
            }
        }
        fields
    }

    fn present(churn: &pb::ChurnDefinition, settings: &pb::Settings) -> Self {
        Self {
            kind: churn.kind != i32::from(pb::ChurnKind::Unspecified),
            horizon: churn.horizon.is_some(),
            qualifying_events: !churn.qualifying_events.is_empty(),
            currency: !settings.currency.is_empty(),
            default_phone_region: !settings.default_phone_region.is_empty(),
            source_priorities: !settings.source_priorities.is_empty(),
            training_purpose: !settings.training_purpose.is_empty(),
            method_purposes: !settings.method_purposes.is_empty(),
            erased_may_return: settings.erased_may_return,
        }
    }
}

/// Purposes by the names of methods, each of which must be one that reads customers for a purpose.
fn method_purposes(sent: BTreeMap<String, String>, violations: &mut Violations) -> BTreeMap<String, String> {
    for method in sent.keys().filter(|method| !access::reads_for_a_purpose(method)) {
        let field = format!("method_purposes.{method}");
        violations.add(
            &field,
            "must be the full name of a method that takes a purpose, such as \
                                rapport.v1.ProfileService/GetProfile",
        );
    }
    sent
}

fn churn_kind(kind: i32, violations: &mut Violations) -> ChurnKind {
    match pb::ChurnKind::try_from(kind) {
        Ok(pb::ChurnKind::Contractual) => ChurnKind::Contractual,
        Ok(pb::ChurnKind::Inactivity | pb::ChurnKind::Unspecified) => ChurnKind::Inactivity,
        Err(_) => {
            violations.add("churn.kind", "must be a value of ChurnKind");
            ChurnKind::Inactivity
        }
    }
}

fn horizon(sent: Option<prost_types::Duration>, violations: &mut Violations) -> Duration {
    let default = Settings::default().churn.horizon;
    let Some(sent) = sent else { return default };
    time::horizon_from_pb(sent, "churn.horizon", violations).unwrap_or(default)
}
