//! The way of browsers, beside that of everybody else: gRPC-Web and CORS wrap every body, which costs more than most
//! answers, and only browsers need them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, Version, header};
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};
use tower_http::cors::CorsLayer;

/// What the content of requests of gRPC itself is called; a suffix says how messages are written.
const GRPC: &[u8] = b"application/grpc";

/// Puts the way of browsers beside the direct one.
#[derive(Clone)]
pub(in crate::rpc) struct WebLayer(Arc<CorsLayer>);

/// Both ways to the same services.
#[derive(Clone)]
pub(in crate::rpc) struct Web<S> {
    direct: S,
    /// Shared, since the whole of this is cloned for each request.
    cors: Arc<CorsLayer>,
}

impl WebLayer {
    /// For browsers that show pages of these origins.
    pub(in crate::rpc) fn new(cors: CorsLayer) -> Self {
        Self(Arc::new(cors))
    }
}

impl<S> Layer<S> for WebLayer {
    type Service = Web<S>;

    fn layer(&self, services: S) -> Web<S> {
        Web { direct: services, cors: Arc::clone(&self.0) }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Web<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer> + Clone + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.direct.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        if is_of_a_program(&request) {
            return self.direct.call(request);
        }
        // What was found ready answers; a clone might not be.
        let others = self.direct.clone();
        let ready = std::mem::replace(&mut self.direct, others);
        Box::pin(self.cors.layer(GrpcWebLayer::new().layer(ready)).call(request))
    }
}

/// Whether a request surely does not come from a page. Browsers name the page's origin with every POST, and speak of
/// gRPC-Web.
fn is_of_a_program<B>(request: &Request<B>) -> bool {
    let content = request.headers().get(header::CONTENT_TYPE).map(|content| content.as_bytes());
    let rest = content.and_then(|content| content.strip_prefix(GRPC));
    request.version() == Version::HTTP_2
        && matches!(rest, Some([] | [b'+' | b';', ..]))
        && !request.headers().contains_key(header::ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_is_no_page_goes_the_direct_way() {
        let request = |version, content: &str, origin: Option<&str>| {
            let mut request = Request::builder().version(version).header(header::CONTENT_TYPE, content);
            if let Some(origin) = origin {
                request = request.header(header::ORIGIN, origin);
            }
            request.body(()).expect("a request")
        };
        for content in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            assert!(is_of_a_program(&request(Version::HTTP_2, content, None)), "{content}");
            assert!(!is_of_a_program(&request(Version::HTTP_11, content, None)), "{content}");
            assert!(!is_of_a_program(&request(Version::HTTP_2, content, Some("http://localhost"))), "{content}");
        }
        for content in ["application/grpc-web", "application/grpc-web-text+proto", "text/plain", "application/grp"] {
            assert!(!is_of_a_program(&request(Version::HTTP_2, content, None)), "{content}");
        }
        assert!(!is_of_a_program(&Request::builder().version(Version::HTTP_2).body(()).expect("a request")));
    }
}
