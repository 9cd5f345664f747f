//! Messages on the wire, with buffers of the size that messages have.
//!
//! The library's codec takes 8 KiB for each request and as much for its answer, and an answer that waits for its caller keeps
//! them: a thousand callers who take nothing would hold more than a hundred megabytes.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{self, BufferSettings, EncodeBuf};
use tonic_prost::ProstDecoder;

/// What most requests and answers fit into; a larger message gets what it takes, and streams of them grow by this much.
const MESSAGE_BYTES: usize = 512;
/// From how many bytes on the messages of a stream are handed to the wire, though more are ready.
const TOGETHER_BYTES: usize = 32 << 10;

/// The codec of all services: answers with `A`, is asked with `Q`.
#[derive(Debug)]
pub(in crate::rpc) struct Codec<A, Q>(PhantomData<(A, Q)>);

/// Encodes answers.
#[derive(Debug)]
pub(in crate::rpc) struct Encoder<A>(PhantomData<A>);

fn buffers() -> BufferSettings {
    BufferSettings::new(MESSAGE_BYTES, TOGETHER_BYTES)
}

impl<A, Q> Default for Codec<A, Q> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<A: Message + 'static, Q: Message + Default + 'static> codec::Codec for Codec<A, Q> {
    type Encode = A;
    type Decode = Q;
    type Encoder = Encoder<A>;
    type Decoder = ProstDecoder<Q>;

    fn encoder(&mut self) -> Encoder<A> {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<Q> {
        ProstDecoder::new(buffers())
    }
}

impl<A: Message> codec::Encoder for Encoder<A> {
    type Item = A;
    type Error = Status;

    fn encode(&mut self, answer: A, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // At once, instead of doubling what is there until the answer fits.
        buffer.reserve(answer.encoded_len());
        answer.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}
