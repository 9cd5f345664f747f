//! What customers say about the use of their data.

use super::{customer, request_id, time};
use crate::app::ConsentRequest;
use crate::domain::consent::{ConsentRecord, ConsentState, Consents, Standing};
use crate::domain::time::Timestamp;
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// The answer that a request wants to have recorded.
pub(in crate::rpc) fn request(sent: pb::RecordConsentRequest) -> ConsentRequest {
    let mut faults = Violations::new();
    request_id::check(&sent.request_id, &mut faults);
    ConsentRequest {
        state: state(sent.state(), &mut faults),
        customer: customer::from_pb(sent.customer, "customer", &mut faults),
        purpose: sent.purpose,
        source: sent.source,
        proof: sent.proof,
        time: time::from_pb(sent.consent_time, "consent_time", &mut faults),
        expire_time: time::from_pb(sent.expire_time, "expire_time", &mut faults),
        request_id: sent.request_id,
        faults,
    }
}

fn state(sent: pb::ConsentState, faults: &mut Violations) -> ConsentState {
    match sent {
        pb::ConsentState::Granted => ConsentState::Granted,
        pb::ConsentState::Denied => ConsentState::Denied,
        pb::ConsentState::Unspecified => {
            faults.add("state", "must be GRANTED or DENIED");
            ConsentState::Denied
        }
    }
}

/// A record of the ledger.
pub(in crate::rpc) fn record(record: &ConsentRecord) -> pb::Consent {
    let ConsentRecord { standing, source, proof, record_time } = record;
    pb::Consent {
        consent_id: standing.record.hyphenated().to_string(),
        purpose: standing.purpose.to_string(),
        state: state_to_pb(standing.state).into(),
        source: source.clone(),
        proof: proof.clone(),
        consent_time: Some(time::to_pb(standing.time)),
        expire_time: standing.expire_time.map(time::to_pb),
        record_time: Some(time::to_pb(*record_time)),
        profile_id: standing.part.to_string(),
    }
}

/// What stands at a moment, as a profile shows it.
pub(in crate::rpc) fn summaries(consents: &Consents, now: Timestamp) -> Vec<pb::ConsentSummary> {
    let summary = |standing: &Standing| pb::ConsentSummary {
        purpose: standing.purpose.to_string(),
        state: state_to_pb(standing.state).into(),
        consent_time: Some(time::to_pb(standing.time)),
        expire_time: standing.expire_time.map(time::to_pb),
    };
    consents.purposes().into_iter().filter_map(|purpose| consents.of(purpose, now)).map(summary).collect()
}

fn state_to_pb(state: ConsentState) -> pb::ConsentState {
    match state {
        ConsentState::Granted => pb::ConsentState::Granted,
        ConsentState::Denied => pb::ConsentState::Denied,
    }
}
