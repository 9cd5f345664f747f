//! What an event says.

use pb::event::Payload as Sent;

use super::money::{amount, currency};
use super::value;
use crate::domain::limits;
use crate::domain::money::Money;
use crate::domain::payload::{
    ContactKind, Identify, LineItem, PageView, Payload, Purchase, SubscriptionChange, SubscriptionStatus,
    SupportContact, SurveyKind, SurveyResponse, Track,
};
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// A payload that a caller sent. In the place of what cannot be converted stands something that the domain's own
/// check passes, so that one fault is named once.
pub(super) fn from_pb(sent: Sent, violations: &mut Violations) -> Payload {
    match sent {
        Sent::Identify(sent) => violations.within("identify", |violations| {
            Payload::Identify(Identify {
                traits: value::from_pb(sent.traits, "traits", violations),
                traits_once: value::from_pb(sent.traits_once, "traits_once", violations),
            })
        }),
        Sent::Track(sent) => violations.within("track", |violations| {
            let properties = value::from_pb(sent.properties, "properties", violations);
            Payload::Track(Track { name: sent.name.into(), properties })
        }),
        Sent::PageView(sent) => violations.within("page_view", |violations| {
            let properties = value::from_pb(sent.properties, "properties", violations);
            Payload::PageView(PageView { name: sent.name, url: sent.url, properties })
        }),
        Sent::Purchase(sent) => violations.within("purchase", |violations| purchase(sent, violations)),
        Sent::SupportContact(sent) => violations.within("support_contact", |violations| contact(sent, violations)),
        Sent::SurveyResponse(sent) => violations.within("survey_response", |violations| answer(sent, violations)),
        Sent::SubscriptionChange(sent) => {
            violations.within("subscription_change", |violations| subscription(sent, violations))
        }
    }
}

/// A payload of a timeline.
pub(super) fn to_pb(payload: Payload) -> Sent {
    match payload {
        Payload::Identify(identify) => Sent::Identify(pb::Identify {
            traits: Some(value::to_pb(&identify.traits)),
            traits_once: (!identify.traits_once.is_empty()).then(|| value::to_pb(&identify.traits_once)),
        }),
        Payload::Track(track) => {
            Sent::Track(pb::Track { properties: Some(value::to_pb(&track.properties)), name: track.name.into() })
        }
        Payload::PageView(page) => Sent::PageView(pb::PageView {
            properties: Some(value::to_pb(&page.properties)),
            name: page.name,
            url: page.url,
        }),
        Payload::Purchase(purchase) => Sent::Purchase(pb::Purchase {
            order_id: purchase.order_id,
            revenue: purchase.revenue.as_units(),
            currency: purchase.currency.as_str().to_owned(),
            items: purchase.items.into_iter().map(item_to_pb).collect(),
            refund: purchase.refund,
        }),
        Payload::SupportContact(contact) => Sent::SupportContact(contact_to_pb(contact)),
        Payload::SurveyResponse(answer) => Sent::SurveyResponse(pb::SurveyResponse {
            kind: match answer.kind {
                SurveyKind::Nps => pb::SurveyKind::Nps,
                SurveyKind::Csat => pb::SurveyKind::Csat,
                SurveyKind::Ces => pb::SurveyKind::Ces,
            }
            .into(),
            score: Some(answer.score),
            comment: answer.comment,
            case_id: answer.case_id,
        }),
        Payload::SubscriptionChange(change) => Sent::SubscriptionChange(pb::SubscriptionChange {
            status: status_to_pb(change.status).into(),
            plan: change.plan,
            monthly_amount: change.monthly_amount.as_units(),
            currency: change.currency.as_str().to_owned(),
        }),
    }
}

/// Where a subscription stands, as the wire carries it.
pub(super) fn status_to_pb(status: SubscriptionStatus) -> pb::SubscriptionStatus {
    match status {
        SubscriptionStatus::Trial => pb::SubscriptionStatus::Trial,
        SubscriptionStatus::Active => pb::SubscriptionStatus::Active,
        SubscriptionStatus::PastDue => pb::SubscriptionStatus::PastDue,
        SubscriptionStatus::Cancelled => pb::SubscriptionStatus::Cancelled,
        SubscriptionStatus::Lapsed => pb::SubscriptionStatus::Lapsed,
    }
}

fn purchase(sent: pb::Purchase, violations: &mut Violations) -> Payload {
    let items = sent.items.into_iter().enumerate().map(|(position, item)| line_item(position, item, violations));
    let items = items.collect();
    Payload::Purchase(Purchase {
        order_id: sent.order_id,
        revenue: amount(sent.revenue, "revenue", violations),
        currency: currency(&sent.currency, "currency", violations),
        items,
        refund: sent.refund,
    })
}

fn line_item(position: usize, sent: pb::LineItem, violations: &mut Violations) -> LineItem {
    // The path is made only where it is needed: a batch has up to half a million lines.
    let unit_price = Money::from_units(sent.unit_price)
        .unwrap_or_else(|| amount(sent.unit_price, &format!("items[{position}].unit_price"), violations));
    LineItem {
        product_id: sent.product_id,
        name: sent.name,
        quantity: sent.quantity,
        unit_price,
        category: sent.category,
    }
}

fn item_to_pb(item: LineItem) -> pb::LineItem {
    pb::LineItem {
        product_id: item.product_id,
        name: item.name,
        quantity: item.quantity,
        unit_price: item.unit_price.as_units(),
        category: item.category,
    }
}

fn contact(sent: pb::SupportContact, violations: &mut Violations) -> Payload {
    Payload::SupportContact(SupportContact {
        case_id: sent.case_id,
        topic: sent.topic,
        agent: sent.agent,
        kind: contact_kind(sent.kind, violations),
        transfers: transfers(sent.transfers, violations),
        resolved: sent.resolved,
        reopened: sent.reopened,
        wait_seconds: sent.wait_seconds,
        handle_seconds: sent.handle_seconds,
        text: sent.text,
    })
}

fn contact_kind(kind: i32, violations: &mut Violations) -> ContactKind {
    match pb::ContactKind::try_from(kind) {
        Ok(pb::ContactKind::Unspecified | pb::ContactKind::Message) => ContactKind::Message,
        Ok(pb::ContactKind::Opened) => ContactKind::Opened,
        Ok(pb::ContactKind::Transfer) => ContactKind::Transfer,
        Ok(pb::ContactKind::Escalated) => ContactKind::Escalated,
        Ok(pb::ContactKind::Resolved) => ContactKind::Resolved,
        Ok(pb::ContactKind::Reopened) => ContactKind::Reopened,
        Ok(pb::ContactKind::Closed) => ContactKind::Closed,
        Ok(pb::ContactKind::SelfServiceFailure) => ContactKind::SelfServiceFailure,
        Err(_) => {
            violations.add("kind", "must be a value of ContactKind");
            ContactKind::Message
        }
    }
}

fn transfers(transfers: i32, violations: &mut Violations) -> u32 {
    if !(0..=limits::TRANSFERS).contains(&transfers) {
        violations.add("transfers", format!("must be from 0 to {}", limits::TRANSFERS));
    }
    u32::try_from(transfers).unwrap_or(0)
}

fn contact_to_pb(contact: SupportContact) -> pb::SupportContact {
    let kind = match contact.kind {
        ContactKind::Opened => pb::ContactKind::Opened,
        ContactKind::Message => pb::ContactKind::Message,
        ContactKind::Transfer => pb::ContactKind::Transfer,
        ContactKind::Escalated => pb::ContactKind::Escalated,
        ContactKind::Resolved => pb::ContactKind::Resolved,
        ContactKind::Reopened => pb::ContactKind::Reopened,
        ContactKind::Closed => pb::ContactKind::Closed,
        ContactKind::SelfServiceFailure => pb::ContactKind::SelfServiceFailure,
    };
    pb::SupportContact {
        case_id: contact.case_id,
        topic: contact.topic,
        agent: contact.agent,
        kind: kind.into(),
        transfers: i32::try_from(contact.transfers).unwrap_or(i32::MAX),
        resolved: contact.resolved,
        reopened: contact.reopened,
        wait_seconds: contact.wait_seconds,
        handle_seconds: contact.handle_seconds,
        text: contact.text,
    }
}

fn answer(sent: pb::SurveyResponse, violations: &mut Violations) -> Payload {
    let kind = match pb::SurveyKind::try_from(sent.kind) {
        Ok(pb::SurveyKind::Nps) => Some(SurveyKind::Nps),
        Ok(pb::SurveyKind::Csat) => Some(SurveyKind::Csat),
        Ok(pb::SurveyKind::Ces) => Some(SurveyKind::Ces),
        Ok(pb::SurveyKind::Unspecified) | Err(_) => {
            violations.add("kind", "must be SURVEY_KIND_NPS, SURVEY_KIND_CSAT or SURVEY_KIND_CES");
            None
        }
    };
    if sent.score.is_none() {
        violations.add("score", "must be set; an absent score is never read as 0");
    }
    // Without a kind there is no scale to hold the score to.
    let (kind, score) = match (kind, sent.score) {
        (Some(kind), score) => (kind, score.unwrap_or(*kind.scale().start())),
        (None, _) => (SurveyKind::Nps, 0.0),
    };
    Payload::SurveyResponse(SurveyResponse { kind, score, comment: sent.comment, case_id: sent.case_id })
}

fn subscription(sent: pb::SubscriptionChange, violations: &mut Violations) -> Payload {
    let status = match pb::SubscriptionStatus::try_from(sent.status) {
        Ok(pb::SubscriptionStatus::Trial) => SubscriptionStatus::Trial,
        Ok(pb::SubscriptionStatus::Active) => SubscriptionStatus::Active,
        Ok(pb::SubscriptionStatus::PastDue) => SubscriptionStatus::PastDue,
        Ok(pb::SubscriptionStatus::Cancelled) => SubscriptionStatus::Cancelled,
        Ok(pb::SubscriptionStatus::Lapsed) => SubscriptionStatus::Lapsed,
        Ok(pb::SubscriptionStatus::Unspecified) | Err(_) => {
            violations.add("status", "must be a value of SubscriptionStatus other than unspecified");
            SubscriptionStatus::Active
        }
    };
    Payload::SubscriptionChange(SubscriptionChange {
        status,
        plan: sent.plan,
        monthly_amount: amount(sent.monthly_amount, "monthly_amount", violations),
        currency: currency(&sent.currency, "currency", violations),
    })
}
