//! What a mapping file says: how the columns of a file become events.
//!
//! The keys below `[event.<payload>]` are the fields of the payload in `rapport/v1/event.proto`. A key that we do not
//! know is an error: a misspelt one would be a column that silently never arrives. `examples/mappings/template.toml`
//! documents every key for the people who write mapping files; keep it in step with this file.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use super::template::Template;
use super::value::{Conditions, OneOrMany, ValueSpec};

/// One mapping file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The `source` of every event: the system that the file comes from.
    pub source: String,
    /// How cells are written.
    #[serde(default)]
    pub csv: CsvSpec,
    /// When events happened, unless an event says otherwise.
    pub time: TimeSpec,
    /// Identifiers by their type.
    pub identifiers: BTreeMap<String, OneOrMany<Template>>,
    /// Other files that are looked up while the main file is read.
    #[serde(default)]
    pub join: Vec<JoinSpec>,
    /// Makes one event of several lines.
    pub group: Option<GroupSpec>,
    /// Lines that are left out on purpose.
    #[serde(default)]
    pub skip_when: Option<Conditions>,
    /// The events that one line, or one group of lines, becomes.
    pub event: Vec<EventSpec>,
}

/// How the cells of a file are written; of JSON lines too, but for the delimiter.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsvSpec {
    /// What stands between two cells.
    pub delimiter: char,
    /// Cells that mean "not known", such as `?`; an empty cell always does.
    pub unknown: Vec<String>,
    /// True where numbers are written `1,5`.
    pub decimal_comma: bool,
}

impl Default for CsvSpec {
    fn default() -> Self {
        Self { delimiter: ',', unknown: Vec::new(), decimal_comma: false }
    }
}

/// When something happened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeSpec {
    /// The column that says so.
    pub column: Option<String>,
    /// How the column is written: `rfc3339`, `unix_seconds`, `unix_milliseconds` or a pattern such as `%Y-%m-%d`.
    pub format: Option<String>,
    /// The IANA time zone of times that name none.
    pub time_zone: Option<String>,
    /// The time of day of dates.
    pub at: Option<String>,
    /// True where the file knows no times: the events happen when the server receives them.
    pub undated: bool,
}

/// A file whose lines are looked up by a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinSpec {
    /// The name under which columns refer to it: `{name.column}`.
    pub name: String,
    /// The file, relative to the main file.
    pub file: String,
    /// The key's column in the joined file.
    pub on: String,
    /// The key's column in the main file or in an earlier join; without it, the same name as in `on`.
    pub with: Option<String>,
    /// True where several lines may have the same key; those are read by `over` or `each`.
    #[serde(default)]
    pub many: bool,
}

/// Which lines are one event.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Lines with the same cell in this column belong together.
    pub by: String,
    /// True where those lines do not follow one another. The whole file is then held in memory.
    #[serde(default)]
    pub scattered: bool,
}

/// One event of a line or group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSpec {
    /// The event's id, the same at every import of the same file.
    pub event_id: Template,
    /// When the line becomes this event; without it, always.
    pub when: Option<Conditions>,
    /// The joined file of which every line, or the list of which every element, becomes an event.
    pub each: Option<String>,
    /// When it happened, where that differs from the mapping's `[time]`; keys that are absent are taken from there.
    pub time: Option<TimeSpec>,
    /// Where it happened.
    pub channel: Option<ValueSpec>,
    /// Where in the journey.
    pub touchpoint: Option<ValueSpec>,
    /// Traits.
    pub identify: Option<IdentifySpec>,
    /// A named action.
    pub track: Option<TrackSpec>,
    /// A page or screen.
    pub page_view: Option<PageViewSpec>,
    /// An order or refund.
    pub purchase: Option<PurchaseSpec>,
    /// A step of a contact with support.
    pub support_contact: Option<SupportContactSpec>,
    /// An answer to a survey.
    pub survey_response: Option<SurveyResponseSpec>,
    /// A subscription that began, changed or ended.
    pub subscription_change: Option<SubscriptionChangeSpec>,
}

/// Open data by key.
pub type Values = BTreeMap<String, ValueSpec>;

/// `rapport.v1.Identify`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifySpec {
    /// The last writer wins.
    #[serde(default)]
    pub traits: Values,
    /// Fills only what is empty.
    #[serde(default)]
    pub traits_once: Values,
}

/// `rapport.v1.Track`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackSpec {
    /// What the action is called.
    pub name: ValueSpec,
    /// Open data.
    #[serde(default)]
    pub properties: Values,
}

/// `rapport.v1.PageView`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageViewSpec {
    /// The page's name.
    pub name: Option<ValueSpec>,
    /// Its address.
    pub url: Option<ValueSpec>,
    /// Open data.
    #[serde(default)]
    pub properties: Values,
}

/// `rapport.v1.Purchase`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseSpec {
    /// The order's number.
    pub order_id: Option<ValueSpec>,
    /// The amount; without it, the sum of quantity × unit price over the items.
    pub revenue: Option<ValueSpec>,
    /// An ISO 4217 code.
    pub currency: Option<ValueSpec>,
    /// True for money that went back.
    pub refund: Option<ValueSpec>,
    /// What was bought.
    pub items: Option<ItemsSpec>,
}

/// `rapport.v1.LineItem`, one for each line that `over` names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsSpec {
    /// `line` for the lines of a group, a join with `many`, or a list in the line; without it, the line itself is the only item.
    pub over: Option<String>,
    /// The product's number.
    pub product_id: Option<ValueSpec>,
    /// Its name.
    pub name: Option<ValueSpec>,
    /// How many; without it, one.
    pub quantity: Option<ValueSpec>,
    /// The price of one.
    pub unit_price: Option<ValueSpec>,
    /// Its category.
    pub category: Option<ValueSpec>,
}

/// `rapport.v1.SupportContact`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportContactSpec {
    /// The case's number.
    pub case_id: Option<ValueSpec>,
    /// What it is about.
    pub topic: Option<ValueSpec>,
    /// Who answered.
    pub agent: Option<ValueSpec>,
    /// A `ContactKind` without its prefix, such as `OPENED`.
    pub kind: ValueSpec,
    /// How often the step handed the customer on.
    pub transfers: Option<ValueSpec>,
    /// Whether the step solved it.
    pub resolved: Option<ValueSpec>,
    /// Whether it opened a solved case again.
    pub reopened: Option<ValueSpec>,
    /// The wait.
    pub wait_seconds: Option<ValueSpec>,
    /// The handling.
    pub handle_seconds: Option<ValueSpec>,
    /// The customer's words.
    pub text: Option<ValueSpec>,
}

/// `rapport.v1.SurveyResponse`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurveyResponseSpec {
    /// `NPS`, `CSAT` or `CES`.
    pub kind: ValueSpec,
    /// The answer.
    pub score: ValueSpec,
    /// The customer's words.
    pub comment: Option<ValueSpec>,
    /// The case that it is about.
    pub case_id: Option<ValueSpec>,
}

/// `rapport.v1.SubscriptionChange`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionChangeSpec {
    /// A `SubscriptionStatus` without its prefix, such as `ACTIVE`.
    pub status: ValueSpec,
    /// The plan's name.
    pub plan: Option<ValueSpec>,
    /// What it costs per month.
    pub monthly_amount: Option<ValueSpec>,
    /// An ISO 4217 code.
    pub currency: Option<ValueSpec>,
}

impl Mapping {
    /// Reads a mapping from its text; `name` is the file that errors speak of.
    ///
    /// # Errors
    /// When the text is no TOML, or a key is unknown, missing or of the wrong type. The error shows the place.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).with_context(|| format!("mapping {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        source = "shop"
        time = { column = "date", format = "date", time_zone = "UTC", at = "12:00" }
        identifiers = { user_id = "{customer}", email = ["{email}", "{email_2}"] }
        [[event]]
        event_id = "{row}"
        [event.purchase]
        revenue = { multiply = ["{quantity}", "{price}"], abs = true }
        currency = "USD"
    "#;

    #[test]
    fn a_small_mapping_reads_as_it_is_written() {
        let mapping = Mapping::parse("shop.toml", SMALL).expect("well-formed");
        assert_eq!(mapping.identifiers["email"].as_slice().len(), 2);
        assert!(mapping.event[0].purchase.is_some());
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line() {
        for (wrong, place) in [("curency", "line 9"), ("revenues", "line 8")] {
            let text = SMALL.replace(
                &format!("{} =", if wrong == "curency" { "currency" } else { "revenue" }),
                &format!("{wrong} ="),
            );
            let error = format!("{:#}", Mapping::parse("shop.toml", &text).expect_err(wrong));
            assert!(error.contains("shop.toml") && error.contains(wrong) && error.contains(place), "{error}");
        }
    }

    #[test]
    fn a_misspelt_key_inside_a_value_is_named_too() {
        let error = Mapping::parse("shop.toml", &SMALL.replace("abs =", "absolute =")).expect_err("unknown key");
        assert!(format!("{error:#}").contains("absolute"), "{error:#}");
    }
}
