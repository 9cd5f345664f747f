//! Merges and the rules behind them.

use super::{count, customer, request_id, time};
use crate::app::{
    Error, IdentityRulesRequest, Invalid, MergeRequest, Merged, Resource, Result, RulesView, UnmergeRequest,
};
use crate::domain::id::ProfileId;
use crate::domain::identifier::Identifier;
use crate::domain::identity_rules::{IdentifierRule, IdentityRules};
use crate::domain::limits;
use crate::domain::merge::{MergeCause, MergeRecord, SourceRecord};
use crate::domain::rehearsal::RulesPreview;
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// The merge that a request asks for.
pub(in crate::rpc) fn request(sent: pb::MergeProfilesRequest) -> MergeRequest {
    let mut faults = Violations::new();
    let target = customer::from_pb(sent.target, "target", &mut faults);
    let sources = sent.sources.into_iter().take(limits::MERGE_SOURCES + 1).enumerate();
    let source = |(position, source)| customer::from_pb(Some(source), &format!("sources[{position}]"), &mut faults);
    let sources = sources.map(source).collect();
    let (reason, etag, request_id) = (sent.reason, sent.etag, sent.request_id);
    MergeRequest { target, sources, reason, etag, request_id, faults }
}

/// The merge that a request asks to undo.
///
/// # Errors
/// [`Error::NotFound`] for a text that is no id of ours.
pub(in crate::rpc) fn undo(sent: pb::UnmergeProfilesRequest) -> Result<UnmergeRequest> {
    let mut violations = Violations::new();
    violations.check_text("request_id", &sent.request_id, limits::REQUEST_ID_BYTES);
    violations.check_required_text("merge_id", &sent.merge_id, limits::NAME_BYTES);
    Invalid::check(violations)?;
    // The text may be anything, so the error names only where it stood.
    let merge = sent.merge_id.parse().map_err(|_| Error::not_found(Resource::Merge, "merge_id"))?;
    Ok(UnmergeRequest { merge, request_id: sent.request_id })
}

/// The record of a merge.
pub(in crate::rpc) fn record(record: &MergeRecord) -> pb::MergeRecord {
    let cause = match &record.cause {
        MergeCause::Event { key, identifiers } => pb::merge_record::Cause::Event(pb::EventCause {
            source: key.source.to_string(),
            event_id: key.event_id.to_string(),
            identifiers: identifiers.iter().map(identifier).collect(),
        }),
        MergeCause::Operator { reason } => {
            pb::merge_record::Cause::Operator(pb::OperatorCause { reason: reason.clone() })
        }
    };
    let sources = record.sources.iter().map(|source| pb::MergeSource {
        profile_id: source.profile.to_string(),
        identifiers: source.identifiers.iter().map(identifier).collect(),
    });
    let traits = record.traits.iter();
    pb::MergeRecord {
        merge_id: record.id.to_string(),
        profile_id: record.survivor.to_string(),
        sources: sources.collect(),
        cause: Some(cause),
        traits: traits
            .map(|held| pb::TraitWinner { name: held.name.clone(), profile_id: held.winner.to_string() })
            .collect(),
        merge_time: Some(time::to_pb(record.time)),
        undo_time: record.undo_time.map(time::to_pb),
    }
}

/// What became of each source.
pub(in crate::rpc) fn outcomes(merged: &Merged) -> Vec<pb::MergeOutcome> {
    let outcome = |source: &SourceRecord| {
        let contested = merged.record.traits.iter().filter(|held| held.among.contains(&source.profile));
        let (won, lost): (Vec<_>, Vec<_>) = contested.partition(|held| held.winner == source.profile);
        pb::MergeOutcome {
            profile_id: source.profile.to_string(),
            identifiers: source.identifiers.iter().map(identifier).collect(),
            winning_traits: won.into_iter().map(|held| held.name.clone()).collect(),
            losing_traits: lost.into_iter().map(|held| held.name.clone()).collect(),
        }
    };
    merged.record.sources.iter().map(outcome).collect()
}

/// Rules as a caller sees them.
pub(in crate::rpc) fn rules(view: RulesView) -> pb::IdentityRules {
    let rule = |rule: IdentifierRule| pb::IdentifierRule {
        r#type: rule.kind,
        limit: rule.limit.cast_signed(),
        priority: rule.priority.cast_signed(),
        blocked_values: rule.blocked_values,
        blocked_patterns: rule.blocked_patterns,
    };
    pb::IdentityRules { rules: view.rules.into_iter().map(rule).collect(), etag: view.etag }
}

/// What rules would have made of the customers of today.
pub(in crate::rpc) fn preview(preview: RulesPreview) -> pb::IdentityRulesPreview {
    let pair = |(one, other): (ProfileId, ProfileId)| pb::ProfilePair {
        profile_id: one.to_string(),
        other_profile_id: other.to_string(),
    };
    pb::IdentityRulesPreview {
        profiles: count(preview.profiles as u64),
        complete: preview.is_complete,
        splits: count(preview.splits as u64),
        merges: count(preview.merges as u64),
        split_samples: preview.split_samples.iter().map(ToString::to_string).collect(),
        merge_samples: preview.merge_samples.into_iter().map(pair).collect(),
    }
}

/// The rules that a request asks for.
pub(in crate::rpc) fn rules_from_pb(request: pb::UpdateIdentityRulesRequest) -> IdentityRulesRequest {
    let mut faults = Violations::new();
    request_id::check(&request.request_id, &mut faults);
    if request.rules.is_none() {
        faults.add("rules", "is required; rules without items bring the defaults back");
    }
    let sent = request.rules.unwrap_or_default();
    let rule = |(position, sent): (usize, pb::IdentifierRule)| {
        faults.within(format_args!("rules.rules[{position}]"), |violations| {
            let default = IdentifierRule::default_of(&sent.r#type);
            let mut number = |field: &str, sent: i32, default: u32| match u32::try_from(sent) {
                Ok(0) => default,
                Ok(sent) => sent,
                Err(_) => {
                    violations.add(field, "must not be negative");
                    default
                }
            };
            let limit = number("limit", sent.limit, default.limit);
            let priority = number("priority", sent.priority, default.priority);
            let (blocked_values, blocked_patterns) = (sent.blocked_values, sent.blocked_patterns);
            IdentifierRule { kind: sent.r#type, limit, priority, blocked_values, blocked_patterns }
        })
    };
    let rules = IdentityRules { rules: sent.rules.into_iter().enumerate().map(rule).collect() };
    IdentityRulesRequest { rules, etag: sent.etag, request_id: request.request_id, faults }
}

/// An identifier as a profile owns it.
pub(in crate::rpc) fn identifier(identifier: &Identifier) -> pb::Identifier {
    pb::Identifier { r#type: identifier.kind().to_owned(), value: identifier.value().to_owned() }
}
