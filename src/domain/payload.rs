//! What happened: the kinds of events and what each of them carries.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::limits;
use super::money::{Currency, Money};
use super::value::{self, Map};
use super::violation::Violations;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Payload {
    /// Who the customer is.
    Identify(Identify),
    /// Something the customer did, by the caller's own name.
    Track(Track),
    /// A page or screen that the customer saw.
    PageView(PageView),
    /// An order, or its refund.
    Purchase(Purchase),
    /// A step of a contact with support.
    SupportContact(SupportContact),
    /// An answer to a survey.
    SurveyResponse(SurveyResponse),
    /// A subscription that began, changed or ended.
    SubscriptionChange(SubscriptionChange),
}

impl Payload {
    /// The names of all kinds, as filters and settings spell them.
    pub const KINDS: [&str; 7] =
        ["identify", "track", "page_view", "purchase", "support_contact", "survey_response", "subscription_change"];

    /// The name of the kind, as the proto's field is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Identify(_) => "identify",
            Self::Track(_) => "track",
            Self::PageView(_) => "page_view",
            Self::Purchase(_) => "purchase",
            Self::SupportContact(_) => "support_contact",
            Self::SurveyResponse(_) => "survey_response",
            Self::SubscriptionChange(_) => "subscription_change",
        }
    }

    /// Checks everything that the types do not already rule out.
    pub(super) fn check(&self, violations: &mut Violations) {
        violations.within(self.kind(), |violations| match self {
            Self::Identify(identify) => identify.check(violations),
            Self::Track(track) => {
                violations.check_required_text("name", &track.name, limits::NAME_BYTES);
                violations.within("properties", |violations| value::check(&track.properties, violations));
            }
            Self::PageView(page) => {
                violations.check_text("name", &page.name, limits::NAME_BYTES);
                violations.check_text("url", &page.url, limits::URL_BYTES);
                violations.within("properties", |violations| value::check(&page.properties, violations));
            }
            Self::Purchase(purchase) => purchase.check(violations),
            Self::SupportContact(contact) => contact.check(violations),
            Self::SurveyResponse(answer) => answer.check(violations),
            Self::SubscriptionChange(change) => {
                violations.check_text("plan", &change.plan, limits::NAME_BYTES);
                if change.monthly_amount.is_negative() {
                    violations.add("monthly_amount", "must not be negative");
                }
            }
        });
    }
}

/// Traits that a source states about the customer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Identify {
    /// The last writer by event time wins; `Null` clears, an empty text leaves the old value.
    pub traits: Map,
    /// Fills only what is empty.
    pub traits_once: Map,
}

impl Identify {
    fn check(&self, violations: &mut Violations) {
        violations.within("traits", |violations| value::check(&self.traits, violations));
        violations.within("traits_once", |violations| value::check(&self.traits_once, violations));
        let keys = self.traits.len() + self.traits_once.len();
        if keys > limits::VALUE_KEYS {
            violations.add("", format!("has {keys} traits in all; the limit is {}", limits::VALUE_KEYS));
        }
    }
}

/// Something the customer did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The caller's name for it, such as `Video Played`.
    pub name: SmolStr,
    /// Open data about it.
    pub properties: Map,
}

/// A page or screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageView {
    /// The page's name, may be empty.
    pub name: String,
    /// Its address, may be empty.
    pub url: String,
    /// Open data about it.
    pub properties: Map,
}

/// An order, or with `refund` the return of money for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    /// The order's name in the shop, may be empty.
    pub order_id: String,
    /// The amount, never negative: a refund states the amount returned.
    pub revenue: Money,
    /// Of which currency; empty is the workspace's.
    pub currency: Currency,
    /// What was bought or returned.
    pub items: Vec<LineItem>,
    /// True for a refund.
    pub refund: bool,
}

impl Purchase {
    fn check(&self, violations: &mut Violations) {
        violations.check_text("order_id", &self.order_id, limits::NAME_BYTES);
        if self.revenue.is_negative() {
            violations.add("revenue", "must not be negative; send a refund as an event of its own with refund = true");
        }
        if self.items.len() > limits::LINE_ITEMS {
            violations.add("items", format!("has {} items; the limit is {}", self.items.len(), limits::LINE_ITEMS));
        }
        for (position, item) in self.items.iter().take(limits::LINE_ITEMS).enumerate() {
            violations.within(format_args!("items[{position}]"), |violations| {
                violations.check_text("product_id", &item.product_id, limits::NAME_BYTES);
                violations.check_text("name", &item.name, limits::TEXT_BYTES);
                violations.check_text("category", &item.category, limits::NAME_BYTES);
                violations.check_number("quantity", item.quantity, 0.0..=limits::QUANTITY);
            });
        }
    }
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineItem {
    /// The product's name in the shop, may be empty.
    pub product_id: String,
    /// Its name for people, may be empty.
    pub name: String,
    /// How many; zero or more, fractions are allowed.
    pub quantity: f64,
    /// Price of one.
    pub unit_price: Money,
    /// The caller's category, may be empty.
    pub category: String,
}

/// One step of a contact with support.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SupportContact {
    /// The case in the caller's system, may be empty.
    pub case_id: String,
    /// What it is about, may be empty.
    pub topic: String,
    /// Who answered, may be empty.
    pub agent: String,
    /// Which step.
    pub kind: ContactKind,
    /// How often this step handed the customer on.
    pub transfers: u32,
    /// Whether this step solved it.
    pub resolved: bool,
    /// Whether this step opened a solved case again.
    pub reopened: bool,
    /// How long the customer waited in this step, in seconds.
    pub wait_seconds: f64,
    /// How long the step took, in seconds.
    pub handle_seconds: f64,
    /// The customer's words, may be empty.
    pub text: String,
}

impl SupportContact {
    fn check(&self, violations: &mut Violations) {
        violations.check_text("case_id", &self.case_id, limits::NAME_BYTES);
        violations.check_text("topic", &self.topic, limits::NAME_BYTES);
        violations.check_text("agent", &self.agent, limits::NAME_BYTES);
        violations.check_text("text", &self.text, limits::TEXT_BYTES);
        violations.check_number("wait_seconds", self.wait_seconds, 0.0..=limits::SECONDS);
        violations.check_number("handle_seconds", self.handle_seconds, 0.0..=limits::SECONDS);
    }
}

/// Which step of a contact it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ContactKind {
    /// The customer came with something new.
    Opened,
    /// A message in either direction.
    Message,
    /// The customer was handed on.
    Transfer,
    /// The case went to a higher level.
    Escalated,
    /// The case was solved.
    Resolved,
    /// A solved case came back.
    Reopened,
    /// The case was closed, solved or not.
    Closed,
    /// The customer tried to help themselves and failed.
    SelfServiceFailure,
}

/// An answer to a survey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SurveyResponse {
    /// Which question.
    pub kind: SurveyKind,
    /// The answer on the question's scale.
    pub score: f64,
    /// The customer's words, may be empty.
    pub comment: String,
    /// The case it is about, may be empty.
    pub case_id: String,
}

impl SurveyResponse {
    fn check(&self, violations: &mut Violations) {
        violations.check_number("score", self.score, self.kind.scale());
        violations.check_text("comment", &self.comment, limits::TEXT_BYTES);
        violations.check_text("case_id", &self.case_id, limits::NAME_BYTES);
    }
}

/// A standard question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SurveyKind {
    /// Net promoter score, 0 to 10.
    Nps,
    /// Customer satisfaction, 1 to 5.
    Csat,
    /// Customer effort score, 1 to 7, where 7 is effortless.
    Ces,
}

impl SurveyKind {
    /// The scale of the answers.
    pub fn scale(self) -> std::ops::RangeInclusive<f64> {
        match self {
            Self::Nps => 0.0..=10.0,
            Self::Csat => 1.0..=5.0,
            Self::Ces => 1.0..=7.0,
        }
    }
}

/// A change of the customer's subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionChange {
    /// The status from now on.
    pub status: SubscriptionStatus,
    /// The plan, may be empty.
    pub plan: String,
    /// What the customer pays per month.
    pub monthly_amount: Money,
    /// Of which currency; empty is the workspace's.
    pub currency: Currency,
}

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SubscriptionStatus {
    /// Tried without pay.
    Trial,
    /// Paid.
    Active,
    /// A payment is missing.
    PastDue,
    /// Ended by the customer.
    Cancelled,
    /// Ended by running out.
    Lapsed,
}

impl SubscriptionStatus {
    /// True while the customer still has the subscription.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Trial | Self::Active | Self::PastDue)
    }
}
