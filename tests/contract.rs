//! Holds `proto/` to the promises that callers rely on: the names of the first release and the rules of every method.
//!
//! It reads the descriptors that the server gives out by reflection, so it sees what a caller sees.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message as _;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use rapport::rpc::pb::FILE_DESCRIPTOR_SET;

/// Methods by service. Programs of others call them: add, never rename.
const METHODS: [(&str, &str); 7] = [
    ("EventService", "IngestEvents StreamEvents ListEvents"),
    ("ProfileService", "GetProfile BatchGetProfiles ListProfiles WatchProfiles"),
    ("SegmentService", "ListSegments GetSegment ListSegmentMembers"),
    (
        "PredictionService",
        "PredictSegment PredictEffort PredictChurn PredictSatisfaction PredictValue Predict BatchPredict \
         StreamPredictions",
    ),
    (
        "TrainingService",
        "CreateTrainingRun GetTrainingRun ListTrainingRuns CancelTrainingRun WatchTrainingRun ListModels GetModel \
         ActivateModel GetTrainingPlan UpdateTrainingPlan",
    ),
    (
        "PrivacyService",
        "GetConsents RecordConsent ListConsentRecords ExportCustomer EraseCustomer VerifyErasure ListAuditEntries",
    ),
    ("AdminService", "GetServerInfo GetSettings UpdateSettings CreateBackup CreateApiKey ListApiKeys RevokeApiKey"),
];

/// Fields by message. The pages' fields and revisions follow from rules below.
const FIELDS: [(&str, &str); 68] = [
    ("Identifier", "type value"),
    ("CustomerRef", "profile_id identifier"),
    (
        "Event",
        "event_id source identifiers original_time sent_time received_time event_time channel touchpoint identify \
         track page_view purchase support_contact survey_response subscription_change",
    ),
    ("Identify", "traits traits_once"),
    ("Track", "name properties"),
    ("PageView", "name url properties"),
    ("Purchase", "order_id revenue currency items refund"),
    ("LineItem", "product_id name quantity unit_price category"),
    ("SupportContact", "case_id topic agent kind transfers resolved reopened wait_seconds handle_seconds text"),
    ("SurveyResponse", "kind score comment case_id"),
    ("SubscriptionChange", "status plan monthly_amount currency"),
    ("IngestEventsRequest", "events validate_only"),
    ("IngestEventsResponse", "results"),
    ("EventResult", "status event_id profile_id error"),
    ("StreamEventsRequest", "events sequence"),
    ("StreamEventsResponse", "results durable_sequence credit"),
    ("ListEventsRequest", "customer kinds start_time end_time"),
    ("ListEventsResponse", "events"),
    (
        "Profile",
        "profile_id identifiers traits activity purchases support surveys subscription segment_id etag create_time \
         update_time first_seen_time last_seen_time",
    ),
    ("Activity", "events events_by_channel events_by_kind"),
    ("PurchaseSummary", "count revenue gross_revenue refunded_revenue first_time last_time"),
    ("GetProfileRequest", "customer read_mask purpose"),
    ("GetProfileResponse", "profile revision"),
    ("WatchProfilesRequest", "resume_token customers segment_ids"),
    ("WatchProfilesResponse", "changes resume_token checkpoint"),
    (
        "ProfileChange",
        "profile_id change_type changed_fields merged_into event merge_id unmerge_id revision commit_time",
    ),
    ("ListSegmentMembersRequest", "segment_id"),
    ("ListSegmentMembersResponse", "profiles"),
    ("PredictSegmentRequest", "customer purpose as_of_time"),
    ("PredictSegmentResponse", "segment_id display_name distance affinities model outlier"),
    ("PredictEffortRequest", "customer purpose as_of_time"),
    ("PredictEffortResponse", "status basis effort_index predicted_ces low high band contributions model"),
    ("PredictChurnRequest", "customer purpose as_of_time"),
    (
        "PredictChurnResponse",
        "status probability base_rate band horizon baseline_log_odds log_odds contributions model",
    ),
    ("PredictSatisfactionRequest", "customer purpose as_of_time"),
    ("PredictSatisfactionResponse", "status predicted_csat low high contributions model"),
    ("PredictValueRequest", "customer purpose as_of_time horizon"),
    (
        "PredictValueResponse",
        "status probability_alive expected_purchases horizon expected_order_value currency lifetime_value \
         lifetime_horizon annual_discount_rate model",
    ),
    ("PredictRequest", "customer purpose as_of_time"),
    ("PredictResponse", "segment effort churn satisfaction value"),
    ("BatchPredictRequest", "customers purpose as_of_time contribution_limit"),
    ("BatchPredictResponse", "results"),
    ("BatchPredictResult", "prediction error"),
    ("Contribution", "feature display_name value contribution"),
    ("CreateTrainingRunRequest", "kind parameters request_id validate_only"),
    ("CreateTrainingRunResponse", "run"),
    (
        "TrainingRun",
        "run_id kind state progress model_version promoted metrics error create_time start_time end_time origin",
    ),
    ("TrainingPlan", "schedules drift_index etag"),
    ("TrainingSchedule", "kind cron parameters next_time"),
    ("UpdateTrainingPlanRequest", "plan request_id validate_only"),
    ("ModelRef", "kind model_version train_time"),
    ("Model", "ref active card"),
    ("GetModelRequest", "model_version"),
    ("ActivateModelRequest", "model_version"),
    ("Settings", "churn"),
    ("ChurnDefinition", "kind horizon qualifying_events"),
    ("UpdateSettingsRequest", "settings update_mask"),
    ("RecordConsentRequest", "customer purpose state source proof consent_time expire_time"),
    ("GetConsentsRequest", "customer"),
    ("GetConsentsResponse", "consents"),
    ("AuditEntry", "call_time principal method profile_id purpose result count"),
    ("ListAuditEntriesRequest", "customer start_time end_time"),
    ("ListAuditEntriesResponse", "entries"),
    ("CreateApiKeyRequest", "workspace scopes display_name expire_time"),
    ("CreateApiKeyResponse", "key_id api_key"),
    ("RevokeApiKeyRequest", "key_id"),
    ("CreateBackupRequest", "directory"),
    ("CreateBackupResponse", "bytes_done bytes_total revision files bytes_copied bytes_reused backup_time"),
];

/// Values by enum, without their prefix.
const VALUES: [(&str, &str); 14] = [
    ("ContactKind", "OPENED MESSAGE TRANSFER ESCALATED RESOLVED REOPENED CLOSED SELF_SERVICE_FAILURE"),
    ("SurveyKind", "NPS CSAT CES"),
    ("SubscriptionStatus", "TRIAL ACTIVE PAST_DUE CANCELLED LAPSED"),
    ("EventStatus", "ACCEPTED DUPLICATE REJECTED"),
    ("PredictionStatus", "OK INSUFFICIENT_DATA"),
    ("EffortBasis", "SURVEY_MODEL BEHAVIOUR_INDEX"),
    ("Band", "LOW MEDIUM HIGH"),
    ("ModelKind", "SEGMENTS CHURN EFFORT SATISFACTION VALUE"),
    ("TrainingState", "PENDING RUNNING SUCCEEDED FAILED CANCELLED"),
    ("TrainingOrigin", "REQUEST SCHEDULE DRIFT"),
    ("ChurnKind", "CONTRACTUAL INACTIVITY"),
    ("ConsentState", "GRANTED DENIED"),
    ("ChangeType", "CREATED UPDATED MERGED UNMERGED"),
    ("ErrorReason", "MODEL_NOT_TRAINED NOT_ENOUGH_DATA REQUEST_ID_REUSED RESUME_TOKEN_EXPIRED"),
];

/// How the name of a method that changes nothing begins; every other method writes.
const READS: [&str; 9] =
    ["Get", "Verify", "Export", "BatchGet", "List", "Watch", "Predict", "BatchPredict", "StreamPredictions"];
/// Writes that are safe to repeat by what they do: events have ids of their own, and a backup only adds what is new.
const REPEATABLE: [&str; 3] = ["IngestEvents", "StreamEvents", "CreateBackup"];

#[test]
fn every_name_of_the_release_exists() {
    let contract = Contract::read();
    let mut missing = Vec::new();
    for (service, names) in METHODS {
        let methods = contract.methods.get(service).cloned().unwrap_or_default();
        let has = |name: &str| methods.iter().any(|method| method.name() == name);
        missing.extend(names.split_whitespace().filter(|name| !has(name)).map(|name| format!("{service}.{name}")));
    }
    for (message, names) in FIELDS {
        let has = |name: &str| contract.field(message, name).is_some();
        missing.extend(names.split_whitespace().filter(|name| !has(name)).map(|name| format!("{message}.{name}")));
    }
    for (name, values) in VALUES {
        let declared: Vec<&str> =
            contract.enums.get(name).iter().flat_map(|e| e.value.iter().map(|v| v.name())).collect();
        let full = values.split_whitespace().map(|value| format!("{}{value}", prefix(name)));
        missing.extend(full.filter(|value| !declared.contains(&value.as_str())));
    }
    assert_eq!(missing, Vec::<String>::new(), "names that callers use and the contract no longer has");
}

#[test]
fn every_enum_starts_at_unspecified() {
    for (name, declared) in &Contract::read().enums {
        let first = &declared.value[0];
        assert_eq!((first.number(), first.name()), (0, format!("{}UNSPECIFIED", prefix(name)).as_str()));
    }
}

#[test]
fn every_write_answers_with_a_revision_and_can_be_repeated() {
    let contract = Contract::read();
    for method in contract.methods.values().flatten().filter(|method| !is_read(method)) {
        contract.expect(output(method), "revision", Type::String);
        if !REPEATABLE.contains(&method.name()) {
            contract.expect(input(method), "request_id", Type::String);
        }
    }
}

#[test]
fn every_read_can_ask_for_a_revision() {
    let contract = Contract::read();
    for method in contract.methods.values().flatten().filter(|method| is_read(method)) {
        contract.expect(input(method), "at_least_revision", Type::String);
    }
}

#[test]
fn every_list_is_paged() {
    let contract = Contract::read();
    for method in contract.methods.values().flatten() {
        let is_paged = contract.field(input(method), "page_size").or(contract.field(input(method), "page_token"));
        if method.name().starts_with("List") || is_paged.is_some() {
            contract.expect(input(method), "page_size", Type::Int32);
            contract.expect(input(method), "page_token", Type::String);
            contract.expect(output(method), "next_page_token", Type::String);
        }
    }
}

#[test]
fn every_timestamp_is_named_a_time() {
    for (name, message) in &Contract::read().messages {
        for field in message.field.iter().filter(|field| field.type_name() == ".google.protobuf.Timestamp") {
            assert!(field.name().ends_with("_time"), "{name}.{} is a Timestamp", field.name());
        }
    }
}

#[test]
fn a_third_of_each_proto_file_is_comments() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/rapport/v1");
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let text = fs::read_to_string(&path).expect("a readable file");
        let comments = text.lines().filter(|line| line.trim_start().starts_with("//")).count();
        let lines = text.lines().count();
        assert!(comments * 3 >= lines, "{}: {comments} of {lines} lines are comments", path.display());
    }
}

/// What `rapport.v1` declares, by name.
struct Contract {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
    methods: BTreeMap<String, Vec<MethodDescriptorProto>>,
}

impl Contract {
    fn read() -> Self {
        let mut files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors").file;
        files.retain(|file| file.package() == "rapport.v1");
        assert!(files.len() > 10, "the descriptors hold only {} files of the contract", files.len());
        Self {
            messages: files.iter().flat_map(|f| &f.message_type).map(|m| (m.name().to_owned(), m.clone())).collect(),
            enums: files.iter().flat_map(|f| &f.enum_type).map(|e| (e.name().to_owned(), e.clone())).collect(),
            methods: files.iter().flat_map(|f| &f.service).map(|s| (s.name().to_owned(), s.method.clone())).collect(),
        }
    }

    fn field(&self, message: &str, name: &str) -> Option<Type> {
        let fields = &self.messages.get(message)?.field;
        fields.iter().find(|field| field.name() == name).map(|field| field.r#type())
    }

    #[track_caller]
    fn expect(&self, message: &str, name: &str, kind: Type) {
        assert_eq!(self.field(message, name), Some(kind), "{message}.{name}");
    }
}

fn is_read(method: &MethodDescriptorProto) -> bool {
    READS.iter().any(|read| method.name().starts_with(read))
}

fn input(method: &MethodDescriptorProto) -> &str {
    method.input_type().trim_start_matches(".rapport.v1.")
}

fn output(method: &MethodDescriptorProto) -> &str {
    method.output_type().trim_start_matches(".rapport.v1.")
}

/// `ModelKind` to `MODEL_KIND_`.
fn prefix(name: &str) -> String {
    let mut prefix = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix + "_"
}
