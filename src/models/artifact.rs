//! The bytes of a trained model: magic, format version, checksum, length, and the model in postcard.
//!
//! ```text
//! "RAPM"  version u16  crc32c of the body u32  length of the body u64  body      (integers little-endian)
//! ```

use serde::{Deserialize, Serialize};

use super::churn::ChurnModel;
use super::segments::SegmentModel;

/// What every model begins with.
const MAGIC: &[u8; 4] = b"RAPM";
/// Changes whenever older releases could not read the body.
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 4 + 2 + 4 + 8;

/// A model of any kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// A model of churn.
    Churn(ChurnModel),
    /// A model of segments.
    Segments(SegmentModel),
}

/// Why bytes are no model that this release can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// They do not begin like a model.
    #[error("not a model")]
    NotAModel,
    /// A later release wrote them.
    #[error("the model has format {0}, but this release reads up to {VERSION}; upgrade, or train anew")]
    TooNew(u16),
    /// They are cut short or changed.
    #[error("the model is damaged; restore it or train anew")]
    Damaged,
    /// They are whole, but name features that this release does not have.
    #[error("the model needs features that this release does not have; train anew")]
    Unservable,
}

/// The bytes of a model; equal models have equal bytes.
pub fn encode(model: &Model) -> Vec<u8> {
    let body = postcard::to_stdvec(model).expect("a model is plain data, which postcard writes to memory without fail");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32c::crc32c(&body).to_le_bytes());
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The model of some bytes.
///
/// # Errors
/// [`ArtifactError`], for any bytes: this never panics.
pub fn decode(bytes: &[u8]) -> Result<Model, ArtifactError> {
    let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(ArtifactError::NotAModel)?;
    if magic != MAGIC {
        return Err(ArtifactError::NotAModel);
    }
    let (version, rest) = rest.split_first_chunk().ok_or(ArtifactError::Damaged)?;
    match u16::from_le_bytes(*version) {
        VERSION => {}
        newer if newer > VERSION => return Err(ArtifactError::TooNew(newer)),
        _ => return Err(ArtifactError::Damaged),
    }
    let (checksum, rest) = rest.split_first_chunk().ok_or(ArtifactError::Damaged)?;
    let (length, body) = rest.split_first_chunk().ok_or(ArtifactError::Damaged)?;
    if u64::from_le_bytes(*length) != body.len() as u64 || u32::from_le_bytes(*checksum) != crc32c::crc32c(body) {
        return Err(ArtifactError::Damaged);
    }
    let mut model: Model = postcard::from_bytes(body).map_err(|_| ArtifactError::Damaged)?;
    let servable = match &mut model {
        Model::Churn(model) => model.resolve(),
        Model::Segments(model) => model.resolve(),
    };
    if servable { Ok(model) } else { Err(ArtifactError::Unservable) }
}
