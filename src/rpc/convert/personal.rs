//! What of an answer says who the customer is: the one place that knows what the scope `profiles:pii` guards.

use pb::event::Payload;
use pb::merge_record::Cause;

use crate::rpc::pb;

/// A message that says, in some of its fields, who a customer is.
pub(in crate::rpc) trait Personal {
    /// Leaves those fields out.
    fn hide(&mut self);
}

impl Personal for pb::Profile {
    fn hide(&mut self) {
        self.identifiers.clear();
        self.traits = None;
        self.trait_sources.clear();
    }
}

impl Personal for pb::Event {
    fn hide(&mut self) {
        self.identifiers.clear();
        match &mut self.payload {
            Some(Payload::Identify(identify)) => *identify = pb::Identify::default(),
            Some(Payload::Track(track)) => track.properties = None,
            // An address can hold whatever the page was asked for.
            Some(Payload::PageView(page)) => (page.url, page.properties) = (String::new(), None),
            Some(Payload::SupportContact(contact)) => (contact.agent, contact.text) = (String::new(), String::new()),
            Some(Payload::SurveyResponse(answer)) => answer.comment = String::new(),
            Some(Payload::Purchase(_) | Payload::SubscriptionChange(_)) | None => {}
        }
    }
}

impl Personal for pb::MergeRecord {
    fn hide(&mut self) {
        self.sources.iter_mut().for_each(|source| source.identifiers.clear());
        match &mut self.cause {
            Some(Cause::Event(event)) => event.identifiers.clear(),
            // People write names into reasons.
            Some(Cause::Operator(operator)) => operator.reason.clear(),
            None => {}
        }
    }
}

impl Personal for pb::MergeOutcome {
    fn hide(&mut self) {
        self.identifiers.clear();
    }
}

impl Personal for pb::Rejection {
    fn hide(&mut self) {
        // Its type says which rule was broken; its value says who it was.
        if let Some(identifier) = &mut self.identifier {
            identifier.value.clear();
        }
    }
}
