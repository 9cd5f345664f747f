//! How many requests were answered, with which codes, and how long they took: figures by method, under the names that
//! dashboards for gRPC servers know.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tonic::Code;

use super::access;

/// Upper bounds in seconds, three to a power of ten.
const SECONDS: [f64; 14] =
    [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];
/// Labels of what is none of the methods, whose path may be anything.
const UNKNOWN: (&str, &str) = ("unknown", "unknown");
/// Codes of gRPC, `OK` included.
const CODES: usize = 17;

/// The figures of one server. Clones count together.
#[derive(Debug, Clone)]
pub struct Measures(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    handled: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    methods: HashMap<&'static str, Method>,
    unknown: Method,
}

/// The figures of one method, looked up once: a request then counts without a search by labels.
#[derive(Debug)]
struct Method {
    labels: (&'static str, &'static str),
    seconds: OnceLock<Histogram>,
    by_code: [OnceLock<IntCounter>; CODES],
}

impl Measures {
    /// Figures that `registry` shows.
    ///
    /// # Errors
    /// When the registry has figures of the same names.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new("grpc_server_handled_total", "Requests that were answered, by method and code.");
        let handled = IntCounterVec::new(opts, &["grpc_service", "grpc_method", "grpc_code"])?;
        let opts = HistogramOpts::new(
            "grpc_server_handling_seconds",
            "Seconds from the headers of a request to the end of its answer.",
        );
        let seconds = HistogramVec::new(opts.buckets(SECONDS.to_vec()), &["grpc_service", "grpc_method"])?;
        let in_flight = IntGauge::new("grpc_server_in_flight", "Requests that are at work.")?;
        registry.register(Box::new(handled.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        let methods = access::paths().map(|path| (path, Method::new(path))).collect();
        let unknown = Method { labels: UNKNOWN, seconds: OnceLock::new(), by_code: Default::default() };
        Ok(Self(Arc::new(Inner { handled, seconds, in_flight, methods, unknown })))
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.0.in_flight.inc();
    }

    /// It was answered, or its caller has hung up.
    pub(super) fn end(&self, path: &str, code: Code, micros: i64) {
        let Inner { handled, seconds, in_flight, methods, unknown } = &*self.0;
        in_flight.dec();
        let method = methods.get(path).unwrap_or(unknown);
        let (service, name) = method.labels;
        let of_method = method.seconds.get_or_init(|| seconds.with_label_values(&[service, name]));
        of_method.observe(micros.max(0) as f64 / 1e6);
        if let Some(counter) = method.by_code.get(code as usize) {
            counter.get_or_init(|| handled.with_label_values(&[service, name, word(code)])).inc();
        }
    }
}

impl Method {
    fn new(path: &'static str) -> Self {
        let labels = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or(UNKNOWN);
        Self { labels, seconds: OnceLock::new(), by_code: Default::default() }
    }
}

/// The code as gRPC libraries print it.
fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
