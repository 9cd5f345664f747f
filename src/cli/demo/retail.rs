//! Workspace `retail`: the CDNOW purchase histories, which are part of the program.

use std::borrow::Cow;

use prost_types::Struct;
use serde_json::json;

use crate::cli::args::EndAt;
use crate::cli::import::command::{self, Shift};
use crate::cli::import::job::{Imported, Job};
use crate::cli::import::mapping::Mapping;
use crate::cli::import::source::Source;
use crate::cli::json;
use crate::cli::session::Session;

/// The workspace.
pub const WORKSPACE: &str = "retail";
/// A customer of whom there is something to see.
pub const CUSTOMER: &str = "00004";
/// The horizon of churn: 39 weeks, half of the 78 weeks that the histories span, as in the literature on them.
pub const HORIZON_DAYS: i64 = 39 * 7;

const MAPPING: &str = include_str!("../../../examples/retail/cdnow.toml");
const FILES: [Source; 2] = [
    Source::Embedded {
        name: "cdnow_sample.csv.gz",
        bytes: Cow::Borrowed(include_bytes!("../../../examples/retail/cdnow_sample.csv.gz")),
    },
    Source::Embedded {
        name: "cdnow_rest_even.csv.gz",
        bytes: Cow::Borrowed(include_bytes!("../../../examples/retail/cdnow_rest_even.csv.gz")),
    },
];

/// Imports both files with all times moved so that the last purchase lies within the last day.
///
/// # Errors
/// When the server refuses to go on.
pub async fn import(session: &Session) -> anyhow::Result<(Shift, Imported)> {
    let mapping = Mapping::parse("cdnow.toml", MAPPING)?;
    let sheets = command::open(&FILES, &mapping)?;
    let shift = command::shift(&sheets, &mapping, EndAt::Now)?;
    let job = Job { sheets, mapping, shift_micros: shift.micros(), strict: true };
    let imported = job.run(session, "import CDNOW into retail").await?;
    Ok((shift, imported))
}

/// The parameters of the trainings of churn and of value. The server chooses the cut-off: the latest that the horizon leaves, which
/// for these 78 weeks is the middle.
pub fn horizon_parameters() -> Struct {
    let parameters = json!({"horizon_days": HORIZON_DAYS, "seed": 1});
    parameters.as_object().map(json::to_struct).unwrap_or_default()
}
