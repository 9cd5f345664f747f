//! Profiles in answers, of which the lasting part was encoded before.
//!
//! The fields of a message may stand in any order, and two encoded messages one behind the other are one with the fields of
//! both. So the bytes that are lasting are sent as they are, and only what moves with time is encoded for each answer.

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};
use prost::{DecodeError, Message};
use tonic::codegen::Bytes;

use super::pb;

/// What `GetProfile` answers with, which differs from the message of the contract only in what of it is encoded already.
#[derive(Clone, PartialEq, Message)]
pub struct GetProfileResponse {
    /// The profile.
    #[prost(message, optional, tag = "1")]
    pub profile: Option<ShownProfile>,
    /// What was read.
    #[prost(string, tag = "2")]
    pub revision: String,
}

/// A profile of which some fields are encoded already. It is made to be written: read back, it has only the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShownProfile {
    lasting: Bytes,
    moving: Moving,
}

/// The fields of a profile that move with time although nothing is written.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Moving {
    #[prost(string, tag = "9")]
    pub(super) segment_id: String,
    #[prost(message, repeated, tag = "16")]
    pub(super) consents: Vec<pb::ConsentSummary>,
}

impl ShownProfile {
    pub(super) fn new(lasting: Bytes, moving: Moving) -> Self {
        Self { lasting, moving }
    }
}

impl From<pb::Profile> for ShownProfile {
    fn from(profile: pb::Profile) -> Self {
        Self { lasting: profile.encode_to_vec().into(), moving: Moving::default() }
    }
}

impl Message for ShownProfile {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.lasting);
        self.moving.encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.moving.merge_field(tag, wire_type, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.lasting.len() + self.moving.encoded_len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_before_and_what_moves_are_one_profile_of_the_contract() {
        let consents = vec![pb::ConsentSummary { purpose: "marketing".to_owned(), ..Default::default() }];
        let lasting = pb::Profile { profile_id: "p".to_owned(), etag: "7".to_owned(), ..Default::default() };
        let moving = Moving { segment_id: "s".to_owned(), consents: consents.clone() };
        let shown = ShownProfile::new(lasting.encode_to_vec().into(), moving);
        let whole = pb::Profile { segment_id: "s".to_owned(), consents, ..lasting };
        for profile in [shown, whole.clone().into()] {
            let answer = GetProfileResponse { profile: Some(profile), revision: "9".to_owned() };
            let read = pb::GetProfileResponse::decode(answer.encode_to_vec().as_slice()).expect("the contract's");
            assert_eq!(read, pb::GetProfileResponse { profile: Some(whole.clone()), revision: "9".to_owned() });
        }
    }
}
