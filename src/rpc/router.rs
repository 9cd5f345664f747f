//! The whole stack: every service with its limits, behind the layers.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::admin_service::Admin;
use super::direct::{Asked, DirectLayer};
use super::event_service::Events;
use super::health::{self, State};
use super::layers::{Admission, Door, GateLayer, WebLayer};
use super::options::{MessageLimits, RpcOptions};
use super::pb;
use super::pb::admin_service_server::AdminServiceServer;
use super::pb::event_service_server::EventServiceServer;
use super::pb::prediction_service_server::PredictionServiceServer;
use super::pb::privacy_service_server::PrivacyServiceServer;
use super::pb::profile_service_server::ProfileServiceServer;
use super::pb::segment_service_server::SegmentServiceServer;
use super::pb::training_service_server::TrainingServiceServer;
use super::prediction_service::Predictions;
use super::privacy_service::Privacy;
use super::profile_service::Profiles;
use super::quotas::Quotas;
use super::segment_service::Segments;
use super::stopping::Stopping;
use super::training_service::Training;
use crate::app::App;

/// The layers, the outermost last.
pub(super) type Layers = Stack<DirectLayer, Stack<GateLayer, Stack<WebLayer, Identity>>>;

/// The full names of the services that health and reflection show.
pub(super) const SERVICES: [&str; 7] = [
    pb::event_service_server::SERVICE_NAME,
    pb::profile_service_server::SERVICE_NAME,
    pb::segment_service_server::SERVICE_NAME,
    pb::prediction_service_server::SERVICE_NAME,
    pb::training_service_server::SERVICE_NAME,
    pb::privacy_service_server::SERVICE_NAME,
    pb::admin_service_server::SERVICE_NAME,
];

/// Everything that is served.
///
/// # Errors
/// When the descriptors for reflection cannot be read, which the build has made.
pub(super) fn router(app: App, door: Door, options: &RpcOptions, stopping: Stopping) -> anyhow::Result<Router<Layers>> {
    let admission = Admission::new(options.requests_in_flight, Quotas::new(options.quotas));
    let messages = &options.messages;
    let mut routes = RoutesBuilder::default();
    let asked = add_services(&mut routes, &Parts { app: &app, options, admission: &admission, stopping: &stopping });
    add_reflection(&mut routes)?;
    let health = health::Server::new(State::new(app.clone(), stopping));
    routes.add_service(
        health.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(messages.request_bytes),
    );
    let limits = &options.connections;
    let mut server = Server::builder()
        .accept_http1(true)
        .tcp_nodelay(true)
        .max_concurrent_streams(limits.streams)
        .max_connection_age(limits.age)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .http2_max_header_list_size(limits.header_list_bytes)
        .http2_max_local_error_reset_streams(Some(limits.error_resets))
        .http2_max_pending_accept_reset_streams(Some(limits.pending_resets))
        .layer(WebLayer::new(cors()))
        .layer(GateLayer::new(app, door, admission, options))
        .layer(DirectLayer::new(asked));
    Ok(server.add_routes(routes.routes()))
}

/// The same settings for a service of ours; only what a request may hold differs.
macro_rules! serve {
    ($server:ident, $service:expr, $request_bytes:expr, $reply_bytes:expr) => {
        $server::new($service)
            .accept_compressed(Gzip)
            .send_compressed(Gzip)
            .max_decoding_message_size($request_bytes)
            .max_encoding_message_size($reply_bytes)
    };
}

/// What services are made of.
struct Parts<'a> {
    app: &'a App,
    options: &'a RpcOptions,
    admission: &'a Admission,
    stopping: &'a Stopping,
}

/// Adds the services to the routes, except for those that are asked most.
fn add_services(routes: &mut RoutesBuilder, parts: &Parts<'_>) -> Asked {
    let Parts { app, options, admission, stopping } = *parts;
    let profiles = Profiles::new(app.clone(), stopping.clone(), options);
    let events = Events::new(app.clone(), admission.clone(), stopping.clone());
    let MessageLimits { request_bytes: one, batch_bytes: many, reply_bytes: reply } = options.messages;
    let training = Training::new(app.clone(), stopping.clone());
    routes
        .add_service(serve!(SegmentServiceServer, Segments::new(app.clone()), one, reply))
        .add_service(serve!(TrainingServiceServer, training, one, reply))
        .add_service(serve!(PrivacyServiceServer, Privacy::new(app.clone()), one, reply))
        .add_service(serve!(AdminServiceServer, Admin::new(app.clone()), one, reply));
    Asked {
        events: serve!(EventServiceServer, events, many, reply),
        profiles: serve!(ProfileServiceServer, profiles, many, reply),
        predictions: serve!(PredictionServiceServer, Predictions::new(app.clone()), many, reply),
    }
}

fn add_reflection(routes: &mut RoutesBuilder) -> anyhow::Result<()> {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(health::SERVICE_NAME);
        SERVICES.iter().fold(builder, |builder, service| builder.with_service_name(*service))
    };
    routes
        .add_service(builder().build_v1()?.accept_compressed(Gzip).send_compressed(Gzip))
        .add_service(builder().build_v1alpha()?.accept_compressed(Gzip).send_compressed(Gzip));
    Ok(())
}

/// Browsers may call from pages that this machine serves, and from no others: without credentials, any page that a
/// person of the company opens could read its customers.
fn cors() -> CorsLayer {
    let of_ours = ["x-grpc-web", "x-user-agent", "grpc-timeout", "rapport-workspace", "x-request-id"];
    let headers: Vec<HeaderName> =
        [AUTHORIZATION, CONTENT_TYPE].into_iter().chain(of_ours.map(HeaderName::from_static)).collect();
    let answers = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(|origin, _request| is_local(origin)))
        .allow_methods([Method::POST])
        .allow_headers(headers)
        .expose_headers(answers.map(HeaderName::from_static))
        .max_age(Duration::from_secs(24 * 3_600))
}

fn is_local(origin: &HeaderValue) -> bool {
    const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
    let host = origin.to_str().ok().and_then(|origin| {
        let host_and_port = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
        match host_and_port.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
            _ => Some(host_and_port),
        }
    });
    host.is_some_and(|host| LOCAL.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_may_call_from_a_browser() {
        for local in ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173"] {
            assert!(is_local(&HeaderValue::from_static(local)), "{local}");
        }
        for foreign in ["https://example.com", "http://localhost.example.com", "http://localhost:3000.evil.org", "null"]
        {
            assert!(!is_local(&HeaderValue::from_static(foreign)), "{foreign}");
        }
    }
}
