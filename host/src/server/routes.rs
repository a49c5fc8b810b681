//! The routes: the endpoints of the authorization server, the login page and the health check.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{EXPECT, HOST, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{self, HeaderMap, HeaderValue, Request, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use otp_grant::Reply;
use otp_grant::guard::Verdict;
use otp_grant::server::Endpoint;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::caller::Callers;
use super::cors::Sender;
use super::network_limits::{NetworkLimits, Reservations};
use super::{Cors, LateRequest, LoginPage, Process, health};
use crate::config::{Limits, VerdictHeader};
use crate::delivery::Courier;
use crate::directory::HostUsers;
use crate::metrics::EndpointRequests;
use crate::request_time;
use crate::start::Server;

/// Everything that requests need. A reload makes another one, on the same [`Process`].
pub(crate) struct Host {
    pub(crate) process: Arc<Process>,
    pub(crate) server: Server,
    pub(crate) users: Arc<HostUsers>,
    pub(crate) courier: Courier,
    pub(crate) page: Option<LoginPage>,
    pub(crate) cors: Cors,
    pub(crate) verdict_header: VerdictHeader,
    pub(crate) limits: Limits,
    pub(crate) callers: Callers,
    pub(crate) network_limits: NetworkLimits,
    /// The `kid` of the active signing key.
    pub(crate) key_id: String,
}

/// The application.
///
/// Requests for the authorization server do not go through the router, which would add 8 % to the cost of a login.
pub(crate) struct App {
    pub(crate) host: Arc<Host>,
    places: HashMap<String, Place>,
    others: TowerToHyperService<Router>,
    nowhere: Place,
}

/// A path, as requests to it are answered and counted.
struct Place {
    target: Target,
    requests: Arc<EndpointRequests>,
}

#[derive(Clone, Copy)]
enum Target {
    Endpoint(Endpoint),
    /// No path of the host. The authorization server says so.
    Nowhere,
    Other,
}

impl Target {
    fn endpoint(self) -> Option<Endpoint> {
        match self {
            Self::Endpoint(endpoint) => Some(endpoint),
            Self::Nowhere | Self::Other => None,
        }
    }
}

impl App {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        let requests = &host.process.metrics.requests;
        let place = |target, name| Place { target, requests: requests.of(name) };
        let endpoint = |endpoint| place(Target::Endpoint(endpoint), name_of(endpoint));
        let mut places: HashMap<_, _> =
            host.server.routes().map(|route| (route.path().to_owned(), endpoint(route.endpoint()))).collect();
        let mut others = health::routes();
        places.extend(health::PATHS.map(|path| (path.to_owned(), place(Target::Other, "health"))));
        if let Some(page) = &host.page {
            for (path, file) in page.files() {
                others = others.route(&path, get(async move || file.clone().into_response()));
                places.insert(path, place(Target::Other, "page"));
            }
        }
        let others = TowerToHyperService::new(others.with_state(Arc::clone(&host)));
        let nowhere = place(Target::Nowhere, "none");
        Self { host, places, others, nowhere }
    }

    /// Answers a request of the client behind `peer`, counts it and logs it. Each event that is logged for it has the
    /// id of the request.
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response {
        let began = Instant::now();
        let caller = self.host.callers.of(request.headers(), peer);
        // A path that a caller typed can have any text in it, so it is not logged. The authorization server says
        // whether the path exists.
        let (path, place) = match self.places.get_key_value(request.uri().path()) {
            Some((path, place)) => (path.as_str(), place),
            None => ("-", &self.nowhere),
        };
        let method = if METHODS.contains(&request.method().as_str()) { request.method().as_str() } else { "-" };
        let client_address = self.host.callers.shown(&caller).map(tracing::field::display);
        let request_id = caller.request_id.to_str().unwrap_or("-");
        let span = tracing::info_span!("request", request_id, client_address, method, path);
        async {
            let at = place.target.endpoint();
            let mut sender = self.host.cors.sender(at, request.headers());
            let mut response = match place.target {
                _ if !names_one_host(&request) => {
                    (StatusCode::BAD_REQUEST, "one Host header is expected\n").into_response()
                }
                Target::Endpoint(_) | Target::Nowhere => {
                    endpoint(&self.host, request, at, caller.address, &mut sender).await
                }
                Target::Other => self.others.call(request).await.unwrap_or_else(|never| match never {}),
            };
            sender.mark(response.headers_mut());
            set_default(response.headers_mut(), X_CONTENT_TYPE_OPTIONS, "nosniff");
            response.headers_mut().insert(REQUEST_ID, caller.request_id.clone());
            let took: Duration = began.elapsed();
            place.requests.answered(response.status().as_u16(), took);
            tracing::info!(status = response.status().as_u16(), micros = micros(took), "answered");
            response
        }
        .instrument(span)
        .await
    }
}

/// Any endpoint of the authorization server.
async fn endpoint(
    host: &Arc<Host>,
    request: Request<Incoming>,
    at: Option<Endpoint>,
    address: IpAddr,
    sender: &mut Sender<'_>,
) -> Response {
    let (head, body) = request.into_parts();
    if let Some(answer) = sender.answer(&head.method, &head.headers) {
        return answer;
    }
    let limits = &host.limits;
    let body = match tokio::time::timeout(limits.body_time.0, read(body, &head.headers, limits.body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(Unread::TooLong)) => return write(Reply::body_too_large(limits.body)),
        Ok(Err(Unread::CutShort)) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => return write(Reply::request_timeout()),
    };
    // Only the endpoint that sends codes has a use for the verdict of the proxy.
    let verdict = match at {
        Some(Endpoint::OtpSend) => host.verdict_header.read(&head.headers),
        _ => Verdict::None,
    };
    let request = otp_grant::Request::from_http(&head, &body);
    if let Some(refusal) = sender.refuse_other_client(&request) {
        return refusal;
    }
    let reserved = match at.map(|endpoint| host.network_limits.reserve(endpoint, address, &request)) {
        Some(Err(wait)) => return write(Reply::too_many_requests(wait)),
        Some(Ok(reserved)) => reserved,
        None => Reservations::default(),
    };
    let deadline = Instant::now() + limits.request_time.0;
    let answering = answer(Arc::clone(host), head, body, verdict);
    let mut answering = Box::pin(request_time::until(deadline, reserved.charging(answering)));
    let reply = match tokio::time::timeout_at(deadline, &mut answering).await {
        Ok(reply) => reply.unwrap_or_else(Reply::not_found),
        Err(_) => {
            tracing::error!("a request took too long");
            // It goes on without its client, and gives its guess back.
            let late = LateRequest::new(&host.process);
            let rest = async move {
                answering.await;
                drop(late);
            };
            tokio::spawn(rest.in_current_span());
            Reply::unavailable()
        }
    };
    write(reply)
}

/// Asks the authorization server.
async fn answer(host: Arc<Host>, head: Parts, body: Vec<u8>, verdict: Verdict) -> Option<Reply> {
    let request = otp_grant::Request::from_http(&head, &body).with_verdict(verdict);
    host.server.handle(request, |delivery| host.courier.deliver(&host.server, delivery)).await
}

fn write(reply: Reply) -> Response {
    http::Response::from(reply).map(Body::from)
}

/// Tells whether a request has one Host header with a possible value (RFC 9112 section 3.2). HTTP/1.0 can have none.
fn names_one_host(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(HOST).into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'))
        }
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Why there is no body.
enum Unread {
    TooLong,
    /// The client went away. A body that was cut short must not be taken for a whole one.
    CutShort,
}

/// Reads a body of at most `most` bytes.
///
/// Of a longer body, some is read and dropped: a client that still sends can lose the answer with the connection.
async fn read(mut body: Incoming, headers: &HeaderMap, most: usize) -> Result<Vec<u8>, Unread> {
    let declared = body.size_hint().lower();
    if declared > u64::try_from(most).unwrap_or(u64::MAX) && headers.contains_key(EXPECT) {
        // The client waits for permission before it sends.
        return Err(Unread::TooLong);
    }
    let (mut read, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Unread::CutShort)?.into_data() {
            seen = seen.saturating_add(data.len());
            if seen <= most {
                read.extend_from_slice(&data);
            }
        }
        if seen > most.saturating_add(READ_BEYOND) {
            break;
        }
    }
    if seen > most { Err(Unread::TooLong) } else { Ok(read) }
}

fn set_default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The name of an endpoint in the metrics.
fn name_of(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::OtpSend => "otp_send",
        Endpoint::Token => "token",
        Endpoint::Revocation => "revocation",
        Endpoint::Introspection => "introspection",
        Endpoint::Userinfo => "userinfo",
        Endpoint::Jwks => "jwks",
        Endpoint::Metadata => "metadata",
        Endpoint::OpenidConfiguration => "openid_configuration",
        _ => "other",
    }
}

/// How many bytes beyond the limit are read.
const READ_BEYOND: usize = 256 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
