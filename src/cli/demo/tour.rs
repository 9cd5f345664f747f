//! Calls to paste into a shell, each of which works on the demo's server.

use std::net::SocketAddr;

use super::{desk, retail};

/// What the calls speak about.
pub struct Tour {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The churn model of `retail`.
    pub churn_model: String,
    /// The customer of `servicedesk` who has it hardest.
    pub hardest: Option<String>,
}

/// One call.
struct Call {
    title: &'static str,
    workspace: &'static str,
    method: &'static str,
    body: String,
}

impl Tour {
    /// Prints every call as a line of grpcurl, and once how `buf curl` writes it.
    pub fn print(&self) {
        let calls = self.calls();
        for call in &calls {
            println!("\n# {}", call.title);
            println!(
                "grpcurl -plaintext -H 'rapport-workspace: {}' -d '{}' {} rapport.v1.{}",
                call.workspace, call.body, self.address, call.method
            );
        }
        if let Some(first) = calls.first() {
            println!("\n# The first of them with buf instead of grpcurl (npm i -g @bufbuild/buf):");
            println!(
                "buf curl --protocol grpc --http2-prior-knowledge -H 'rapport-workspace: {}' -d '{}' http://{}/rapport.v1.{}",
                first.workspace, first.body, self.address, first.method
            );
        }
    }

    fn calls(&self) -> Vec<Call> {
        let who = customer(retail::CUSTOMER);
        let retail = |title, method, body| Call { title, workspace: retail::WORKSPACE, method, body };
        let event = serde_json::json!({"events": [{
            "event_id": "tour-1", "source": "tour", "channel": "web",
            "identifiers": [{"type": "user_id", "value": retail::CUSTOMER}, {"type": "email", "value": "ann@example.com"}],
            "purchase": {"order_id": "T-1", "revenue": 19.9, "currency": "USD"},
        }]});
        let model = serde_json::json!({"model_version": self.churn_model});
        let mut calls = vec![
            retail("Who is this?", "ProfileService/GetProfile", who.clone()),
            retail("Segment, effort and churn in one call", "PredictionService/Predict", who.clone()),
            retail("How likely is this customer to leave, and why?", "PredictionService/PredictChurn", who.clone()),
            retail("Which groups of customers are there?", "SegmentService/ListSegments", "{}".to_owned()),
            retail("What did this customer do?", "EventService/ListEvents", who),
            retail("Something happened; a repeat answers DUPLICATE", "EventService/IngestEvents", event.to_string()),
            retail("How good is the churn model?", "TrainingService/GetModel", model.to_string()),
        ];
        let desk = |title, method, body| Call { title, workspace: desk::WORKSPACE, method, body };
        calls.extend(self.hardest.as_deref().map(customer).into_iter().flat_map(|who| {
            [
                desk(
                    "How hard does the simulated service desk make it for this customer?",
                    "PredictionService/PredictEffort",
                    who.clone(),
                ),
                desk("How satisfied would this customer say to be?", "PredictionService/PredictSatisfaction", who),
            ]
        }));
        calls
    }
}

fn customer(user_id: &str) -> String {
    serde_json::json!({"customer": {"identifier": {"type": "user_id", "value": user_id}}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_breaks_out_of_its_quotes_and_every_method_exists() {
        let tour = Tour {
            address: SocketAddr::from(([127, 0, 0, 1], 50051)),
            churn_model: "churn-1".to_owned(),
            hardest: Some("sim-00001".to_owned()),
        };
        let calls = tour.calls();
        assert_eq!(calls.len(), 9);
        let descriptors = String::from_utf8_lossy(crate::rpc::pb::FILE_DESCRIPTOR_SET);
        for call in calls {
            assert!(!call.body.contains('\''), "{}", call.body);
            assert!(serde_json::from_str::<serde_json::Value>(&call.body).is_ok(), "{}", call.body);
            let (service, method) = call.method.split_once('/').expect("service/method");
            assert!(descriptors.contains(service) && descriptors.contains(method), "{}", call.method);
        }
    }
}
