//! The payload of an event: from the mapping's keys to the contract's messages.

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::columns::{Lines, Scope};
use super::expression::{Compiler, Expression};
use super::fault::Findings;
use super::mapping::{EventSpec, SupportContactSpec, Values};
use super::purchase::PurchasePlan;
use super::value::ValueKind;
use crate::rpc::pb;
use crate::rpc::pb::event::Payload;

/// Open data by key.
type OpenData = Vec<(String, Expression)>;

/// A payload, compiled for a file.
pub enum PayloadPlan {
    /// `rapport.v1.Identify`: traits, and traits to set once.
    Identify(OpenData, OpenData),
    /// `rapport.v1.Track`: name and properties.
    Track(Expression, OpenData),
    /// `rapport.v1.PageView`: name, URL and properties.
    PageView(Option<Expression>, Option<Expression>, OpenData),
    /// `rapport.v1.Purchase`.
    Purchase(Box<PurchasePlan>),
    /// `rapport.v1.SupportContact`.
    SupportContact(Box<SupportContactPlan>),
    /// `rapport.v1.SurveyResponse`.
    SurveyResponse(Box<SurveyResponsePlan>),
    /// `rapport.v1.SubscriptionChange`.
    SubscriptionChange(Box<SubscriptionChangePlan>),
}

/// `rapport.v1.SupportContact`, field by field.
pub struct SupportContactPlan {
    kind: Expression,
    case_id: Option<Expression>,
    topic: Option<Expression>,
    agent: Option<Expression>,
    transfers: Option<Expression>,
    resolved: Option<Expression>,
    reopened: Option<Expression>,
    wait_seconds: Option<Expression>,
    handle_seconds: Option<Expression>,
    text: Option<Expression>,
}

/// `rapport.v1.SurveyResponse`, field by field.
pub struct SurveyResponsePlan {
    kind: Expression,
    score: Expression,
    comment: Option<Expression>,
    case_id: Option<Expression>,
}

/// `rapport.v1.SubscriptionChange`, field by field.
pub struct SubscriptionChangePlan {
    status: Expression,
    plan: Option<Expression>,
    monthly_amount: Option<Expression>,
    currency: Option<Expression>,
}

impl Compiler<'_> {
    /// The payload of an event; `over` are the lines that surround it.
    ///
    /// # Errors
    /// When the event has no payload or two, or a part of it cannot be compiled.
    pub fn payload(&mut self, event: &EventSpec, key: &str, over: Option<Lines>) -> anyhow::Result<PayloadPlan> {
        let mut payloads = Vec::new();
        if let Some(spec) = &event.identify {
            let traits = self.open_data(&spec.traits, &format!("{key}.identify.traits"), over)?;
            let once = self.open_data(&spec.traits_once, &format!("{key}.identify.traits_once"), over)?;
            payloads.push(PayloadPlan::Identify(traits, once));
        }
        if let Some(spec) = &event.track {
            let name = self.value(&spec.name, &format!("{key}.track.name"), over)?;
            let properties = self.open_data(&spec.properties, &format!("{key}.track.properties"), over)?;
            payloads.push(PayloadPlan::Track(name, properties));
        }
        if let Some(spec) = &event.page_view {
            let name = self.option(spec.name.as_ref(), &format!("{key}.page_view.name"), over)?;
            let url = self.option(spec.url.as_ref(), &format!("{key}.page_view.url"), over)?;
            let properties = self.open_data(&spec.properties, &format!("{key}.page_view.properties"), over)?;
            payloads.push(PayloadPlan::PageView(name, url, properties));
        }
        if let Some(spec) = &event.purchase {
            let plan = PurchasePlan::compile(self, spec, &format!("{key}.purchase"), over)?;
            payloads.push(PayloadPlan::Purchase(Box::new(plan)));
        }
        if let Some(spec) = &event.support_contact {
            let plan = self.support_contact(spec, &format!("{key}.support_contact"), over)?;
            payloads.push(PayloadPlan::SupportContact(Box::new(plan)));
        }
        payloads.extend(self.survey_response(event, key, over)?);
        payloads.extend(self.subscription_change(event, key, over)?);
        anyhow::ensure!(payloads.len() == 1, "{key} must have exactly one payload, such as [event.purchase]");
        Ok(payloads.remove(0))
    }

    fn open_data(&mut self, values: &Values, key: &str, over: Option<Lines>) -> anyhow::Result<OpenData> {
        let compile = |(name, spec)| Ok((String::clone(name), self.value(spec, &format!("{key}.{name}"), over)?));
        values.iter().map(compile).collect()
    }

    fn support_contact(
        &mut self,
        spec: &SupportContactSpec,
        key: &str,
        over: Option<Lines>,
    ) -> anyhow::Result<SupportContactPlan> {
        Ok(SupportContactPlan {
            kind: self.value(&spec.kind, &format!("{key}.kind"), over)?,
            case_id: self.option(spec.case_id.as_ref(), &format!("{key}.case_id"), over)?,
            topic: self.option(spec.topic.as_ref(), &format!("{key}.topic"), over)?,
            agent: self.option(spec.agent.as_ref(), &format!("{key}.agent"), over)?,
            transfers: self.option(spec.transfers.as_ref(), &format!("{key}.transfers"), over)?,
            resolved: self.option(spec.resolved.as_ref(), &format!("{key}.resolved"), over)?,
            reopened: self.option(spec.reopened.as_ref(), &format!("{key}.reopened"), over)?,
            wait_seconds: self.option(spec.wait_seconds.as_ref(), &format!("{key}.wait_seconds"), over)?,
            handle_seconds: self.option(spec.handle_seconds.as_ref(), &format!("{key}.handle_seconds"), over)?,
            text: self.option(spec.text.as_ref(), &format!("{key}.text"), over)?,
        })
    }

    fn survey_response(
        &mut self,
        event: &EventSpec,
        key: &str,
        over: Option<Lines>,
    ) -> anyhow::Result<Option<PayloadPlan>> {
        let Some(spec) = &event.survey_response else { return Ok(None) };
        let key = format!("{key}.survey_response");
        Ok(Some(PayloadPlan::SurveyResponse(Box::new(SurveyResponsePlan {
            kind: self.value(&spec.kind, &format!("{key}.kind"), over)?,
            score: self.value(&spec.score, &format!("{key}.score"), over)?,
            comment: self.option(spec.comment.as_ref(), &format!("{key}.comment"), over)?,
            case_id: self.option(spec.case_id.as_ref(), &format!("{key}.case_id"), over)?,
        }))))
    }

    fn subscription_change(
        &mut self,
        event: &EventSpec,
        key: &str,
        over: Option<Lines>,
    ) -> anyhow::Result<Option<PayloadPlan>> {
        let Some(spec) = &event.subscription_change else { return Ok(None) };
        let key = format!("{key}.subscription_change");
        Ok(Some(PayloadPlan::SubscriptionChange(Box::new(SubscriptionChangePlan {
            status: self.value(&spec.status, &format!("{key}.status"), over)?,
            plan: self.option(spec.plan.as_ref(), &format!("{key}.plan"), over)?,
            monthly_amount: self.option(spec.monthly_amount.as_ref(), &format!("{key}.monthly_amount"), over)?,
            currency: self.option(spec.currency.as_ref(), &format!("{key}.currency"), over)?,
        }))))
    }
}

impl PayloadPlan {
    /// The payload of a line; nothing where a part of it is broken, which `findings` then says.
    pub fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<Payload> {
        let before = findings.faults.len();
        let payload = match self {
            Self::Identify(traits, once) => {
                let (traits, once) = (open_data(traits, scope, findings), open_data(once, scope, findings));
                Some(Payload::Identify(pb::Identify { traits: Some(traits), traits_once: Some(once) }))
            }
            Self::Track(name, properties) => {
                let properties = Some(open_data(properties, scope, findings));
                let name = required(name, name.text(scope, findings), findings);
                name.map(|name| Payload::Track(pb::Track { name, properties }))
            }
            Self::PageView(name, url, properties) => Some(Payload::PageView(pb::PageView {
                name: text(name.as_ref(), scope, findings),
                url: text(url.as_ref(), scope, findings),
                properties: Some(open_data(properties, scope, findings)),
            })),
            Self::Purchase(plan) => plan.build(scope, findings).map(Payload::Purchase),
            Self::SupportContact(plan) => plan.build(scope, findings).map(Payload::SupportContact),
            Self::SurveyResponse(plan) => plan.build(scope, findings).map(Payload::SurveyResponse),
            Self::SubscriptionChange(plan) => plan.build(scope, findings).map(Payload::SubscriptionChange),
        };
        payload.filter(|_| findings.faults.len() == before)
    }
}

impl SupportContactPlan {
    fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<pb::SupportContact> {
        let kind = word(&self.kind, scope, findings, |word| {
            pb::ContactKind::from_str_name(&format!("CONTACT_KIND_{word}")).map(i32::from)
        });
        let transfers = number(self.transfers.as_ref(), scope, findings);
        Some(pb::SupportContact {
            case_id: text(self.case_id.as_ref(), scope, findings),
            topic: text(self.topic.as_ref(), scope, findings),
            agent: text(self.agent.as_ref(), scope, findings),
            kind: kind?,
            // A cast saturates, and the server states the limit of what it takes.
            transfers: transfers.round() as i32,
            resolved: flag(self.resolved.as_ref(), scope, findings),
            reopened: flag(self.reopened.as_ref(), scope, findings),
            wait_seconds: number(self.wait_seconds.as_ref(), scope, findings),
            handle_seconds: number(self.handle_seconds.as_ref(), scope, findings),
            text: text(self.text.as_ref(), scope, findings),
        })
    }
}

impl SurveyResponsePlan {
    fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<pb::SurveyResponse> {
        let kind = word(&self.kind, scope, findings, |word| {
            pb::SurveyKind::from_str_name(&format!("SURVEY_KIND_{word}")).map(i32::from)
        });
        let score = self.score.number(scope, findings);
        let score = required(&self.score, score, findings);
        let comment = text(self.comment.as_ref(), scope, findings);
        let case_id = text(self.case_id.as_ref(), scope, findings);
        Some(pb::SurveyResponse { kind: kind?, score: Some(score?), comment, case_id })
    }
}

impl SubscriptionChangePlan {
    fn build(&self, scope: &Scope<'_>, findings: &mut Findings) -> Option<pb::SubscriptionChange> {
        let status = word(&self.status, scope, findings, |word| {
            pb::SubscriptionStatus::from_str_name(&format!("SUBSCRIPTION_STATUS_{word}")).map(i32::from)
        });
        let plan = text(self.plan.as_ref(), scope, findings);
        let monthly_amount = number(self.monthly_amount.as_ref(), scope, findings);
        let currency = text(self.currency.as_ref(), scope, findings);
        Some(pb::SubscriptionChange { status: status?, plan, monthly_amount, currency })
    }
}

/// A text that may be absent or blank.
pub fn text(expression: Option<&Expression>, scope: &Scope<'_>, findings: &mut Findings) -> String {
    expression.and_then(|expression| expression.text(scope, findings)).unwrap_or_default()
}

/// A number that may be absent or blank, and is 0 then.
pub fn number(expression: Option<&Expression>, scope: &Scope<'_>, findings: &mut Findings) -> f64 {
    expression.and_then(|expression| expression.number(scope, findings)).unwrap_or_default()
}

/// A truth that may be absent or blank, and is false then.
pub fn flag(expression: Option<&Expression>, scope: &Scope<'_>, findings: &mut Findings) -> bool {
    expression.and_then(|expression| expression.flag(scope, findings)).unwrap_or_default()
}

/// A value that must be there; its absence is a fault.
pub fn required<T>(expression: &Expression, value: Option<T>, findings: &mut Findings) -> Option<T> {
    if value.is_none() {
        findings.add(expression.name(), "is blank");
    }
    value
}

/// A value of an enumeration, by its word in any case.
fn word(
    expression: &Expression,
    scope: &Scope<'_>,
    findings: &mut Findings,
    parse: impl Fn(&str) -> Option<i32>,
) -> Option<i32> {
    let text = expression.text(scope, findings);
    let text = required(expression, text, findings)?;
    let value = parse(&text.to_ascii_uppercase()).filter(|value| *value != 0);
    if value.is_none() {
        findings.add(expression.name(), "is none of the words that the contract lists for this field");
    }
    value
}

/// Open data; a blank cell says nothing and is left out.
fn open_data(values: &OpenData, scope: &Scope<'_>, findings: &mut Findings) -> Struct {
    let mut fields = std::collections::BTreeMap::new();
    for (key, expression) in values {
        let kind = match expression.kind() {
            ValueKind::Text => expression.text(scope, findings).map(Kind::StringValue),
            ValueKind::Number => expression.number(scope, findings).map(Kind::NumberValue),
            ValueKind::Boolean => expression.flag(scope, findings).map(Kind::BoolValue),
        };
        if let Some(kind) = kind {
            fields.insert(key.clone(), Value { kind: Some(kind) });
        }
    }
    Struct { fields }
}
