//! The bytes of a trained model: magic, format version, checksum, length, and the model in postcard.
//!
//! ```text
//! "RAPM"  version u16  crc32c of the body u32  length of the body u64  body      (integers little-endian)
//! ```

use serde::{Deserialize, Serialize};

use super::churn::{ChurnModel, format_1, format_2};
use super::segments::{SegmentModel, format_2 as segments_2};
use super::survey::SurveyModel;
use super::value::ValueModel;

/// What every model begins with.
const MAGIC: &[u8; 4] = b"RAPM";
/// Changes whenever older releases could not read the body. Format 2 has several kinds of models of churn, format 3 traits,
/// bounds for outliers of segments, and models of answers and of value.
const VERSION: u16 = 3;
const HEADER_BYTES: usize = 4 + 2 + 4 + 8;

/// A model of any kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Model {
    /// A model of churn.
    Churn(ChurnModel),
    /// A model of segments.
    Segments(SegmentModel),
    /// A model of answers to a survey.
    Survey(SurveyModel),
    /// A model of what customers buy and bring.
    Value(ValueModel),
}

/// A model as format 1 has it.
#[derive(Deserialize)]
enum Model1 {
    Churn(format_1::ChurnModel),
    Segments(segments_2::SegmentModel),
}

impl From<Model1> for Model {
    fn from(model: Model1) -> Self {
        match model {
            Model1::Churn(model) => Self::Churn(model.into()),
            Model1::Segments(model) => Self::Segments(model.into()),
        }
    }
}

/// A model as format 2 has it.
#[derive(Deserialize)]
enum Model2 {
    Churn(format_2::ChurnModel),
    Segments(segments_2::SegmentModel),
}

impl From<Model2> for Model {
    fn from(model: Model2) -> Self {
        match model {
            Model2::Churn(model) => Self::Churn(model.into()),
            Model2::Segments(model) => Self::Segments(model.into()),
        }
    }
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
    seal(&postcard::to_stdvec(model).expect("a model is plain data, which postcard writes to memory without fail"))
}

/// A body of the present format behind the header that belongs to it.
pub fn seal(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc32c::crc32c(body).to_le_bytes());
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
    let version = u16::from_le_bytes(*version);
    if version > VERSION {
        return Err(ArtifactError::TooNew(version));
    }
    let (checksum, rest) = rest.split_first_chunk().ok_or(ArtifactError::Damaged)?;
    let (length, body) = rest.split_first_chunk().ok_or(ArtifactError::Damaged)?;
    if u64::from_le_bytes(*length) != body.len() as u64 || u32::from_le_bytes(*checksum) != crc32c::crc32c(body) {
        return Err(ArtifactError::Damaged);
    }
    let read = match version {
        1 => postcard::from_bytes::<Model1>(body).map(Model::from),
        2 => postcard::from_bytes::<Model2>(body).map(Model::from),
        VERSION => postcard::from_bytes(body),
        _ => return Err(ArtifactError::Damaged),
    };
    let mut model = read.map_err(|_| ArtifactError::Damaged)?;
    let servable = match &mut model {
        Model::Churn(model) => model.resolve(),
        Model::Segments(model) => model.resolve(),
        Model::Survey(model) => model.resolve(),
        Model::Value(model) => model.is_sound(),
    };
    if servable { Ok(model) } else { Err(ArtifactError::Unservable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::fixture::{day, id, purchase, shop, state};
    use crate::models::segments::{SegmentParameters, SegmentRows, train};

    fn model() -> Model {
        let mut rows = SegmentRows::new(day(400.0));
        for number in 0..60 {
            let timeline = [purchase(number as f64, 10.0), purchase(200.0 + (number % 3) as f64 * 60.0, 10.0)];
            rows.add(id(number), &state(&timeline));
        }
        let trained = train(&rows, &SegmentParameters { k: Some(2), seed: 1, next_number: 1 }, None, &())
            .expect("enough customers");
        Model::Segments(trained.model)
    }

    #[test]
    fn a_model_survives_the_way_to_bytes_and_back() {
        assert_eq!(decode(&encode(&model())), Ok(model()));
    }

    #[test]
    fn a_model_of_format_1_is_read_and_answers_as_it_did() {
        let bytes = include_bytes!("../../tests/data/model-1/churn");
        assert_eq!(bytes[4..6], 1u16.to_le_bytes());
        let Ok(Model::Churn(model)) = decode(bytes) else { panic!("format 1 is not read any more") };
        let answers =
            shop(3, 9).into_iter().map(|(_, timeline)| model.predict(&state(&timeline), day(300.0), usize::MAX));
        let expected = [
            (0.8147481644406483, 1.3214522449204087),
            (0.9566479856821375, 2.81381539821193),
            (0.9823051851170478, 3.060567531462294),
        ];
        for (answer, (probability, log_odds)) in answers.zip(expected) {
            assert!(
                (answer.probability - probability).abs() < 1e-12 && (answer.log_odds - log_odds).abs() < 1e-12,
                "{answer:?}"
            );
        }
        assert_eq!(decode(&encode(&Model::Churn(model.clone()))), Ok(Model::Churn(model)));
    }

    #[test]
    fn models_of_format_2_are_read_as_what_the_present_format_has() {
        let fixtures: [(&[u8], &[u8]); 2] = [
            (
                include_bytes!("../../tests/data/model-2/boosted_trees"),
                include_bytes!("../../tests/data/model-3/boosted_trees"),
            ),
            (include_bytes!("../../tests/data/model-2/bg_nbd"), include_bytes!("../../tests/data/model-3/bg_nbd")),
        ];
        // Both were trained on the same customers, who have no traits.
        for (before, after) in fixtures {
            assert_eq!((&before[4..6], &after[4..6]), (&2u16.to_le_bytes()[..], &3u16.to_le_bytes()[..]));
            let read = decode(before);
            assert!(read.is_ok() && read == decode(after));
        }
        // Regression has chosen its penalty since, and its terms are those of format 1, whose answers are held above.
        assert!(decode(include_bytes!("../../tests/data/model-2/logistic_regression")).is_ok());
    }

    #[test]
    fn bytes_that_were_cut_or_changed_are_refused_without_a_panic() {
        let bytes = encode(&model());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes of {}", bytes.len());
        }
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x41;
            assert!(decode(&damaged).is_err(), "byte {position}");
        }
    }

    #[test]
    fn what_is_no_model_and_what_is_of_a_later_release_is_said() {
        assert_eq!(decode(b"PNG0 and so on"), Err(ArtifactError::NotAModel));
        let mut bytes = encode(&model());
        bytes[4] = 9;
        assert_eq!(decode(&bytes), Err(ArtifactError::TooNew(9)));
    }

    #[test]
    fn a_feature_that_this_release_does_not_have_is_refused() {
        let bytes = encode(&model());
        let name = b"purchase_recency_days";
        let at = bytes.windows(name.len()).position(|window| window == name).expect("the model names its features");
        let mut body = bytes[HEADER_BYTES..].to_vec();
        body[at - HEADER_BYTES] = b'x';
        let mut renamed = bytes[..6].to_vec();
        renamed.extend(crc32c::crc32c(&body).to_le_bytes());
        renamed.extend((body.len() as u64).to_le_bytes());
        renamed.extend(body);
        assert_eq!(decode(&renamed), Err(ArtifactError::Unservable));
    }
}
