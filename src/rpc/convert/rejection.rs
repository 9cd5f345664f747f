//! What was refused.

use super::{merge, time};
use crate::app::Refused;
use crate::domain::identity::DemotionReason;
use crate::domain::rejection::{EventRejection, Rejected};
use crate::rpc::pb;

/// Something that was refused.
pub(in crate::rpc) fn to_pb(refused: &Refused) -> pb::Rejection {
    let rejection = pb::Rejection {
        received_time: Some(time::to_pb(refused.time)),
        source: refused.rejection.event.source.to_string(),
        event_id: refused.rejection.event.event_id.to_string(),
        ..Default::default()
    };
    match &refused.rejection.what {
        Rejected::Event(reason, fields) => {
            pb::Rejection { reason: of_event(*reason).into(), fields: fields.clone(), ..rejection }
        }
        Rejected::Identifier(identifier, reason, profile) => pb::Rejection {
            reason: of_identifier(*reason).into(),
            identifier: Some(merge::identifier(identifier)),
            profile_id: profile.to_string(),
            ..rejection
        },
    }
}

fn of_event(reason: EventRejection) -> pb::RejectionReason {
    match reason {
        EventRejection::InvalidField => pb::RejectionReason::InvalidField,
        EventRejection::IdentifierRequired => pb::RejectionReason::IdentifierRequired,
        EventRejection::EventIdReused => pb::RejectionReason::EventIdReused,
        EventRejection::TraitLimitReached => pb::RejectionReason::TraitLimitReached,
        EventRejection::EventTooOld => pb::RejectionReason::EventTooOld,
        EventRejection::CustomerErased => pb::RejectionReason::CustomerErased,
    }
}

fn of_identifier(reason: DemotionReason) -> pb::RejectionReason {
    match reason {
        DemotionReason::Blocked => pb::RejectionReason::IdentifierBlocked,
        DemotionReason::Limit => pb::RejectionReason::IdentifierLimit,
        DemotionReason::Invalid => pb::RejectionReason::IdentifierInvalid,
        DemotionReason::OtherUser => pb::RejectionReason::OtherUser,
        DemotionReason::Outdated => pb::RejectionReason::DeviceMoved,
        DemotionReason::Forgotten => pb::RejectionReason::IdentifierErased,
    }
}
