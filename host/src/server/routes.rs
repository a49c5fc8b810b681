//! The routes: the endpoints of the authorization server, the login page and the health check.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{EXPECT, HOST, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::uri::Authority;
use axum::http::{self, HeaderMap, HeaderValue, Request, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use otp_grant::guard::Verdict;
use otp_grant::server::Endpoint;
use otp_grant::{AuthorizationServer, Reply};
use tracing::Instrument as _;

use super::{LoginPage, Process, health};
use crate::config::{Limits, VerdictHeader};
use crate::delivery::Courier;
use crate::directory::{HostDirectory, HostUsers};
use crate::store::AnyStore;

/// Everything that requests need. A reload makes another one, on the same [`Process`].
pub(crate) struct Host {
    pub(crate) process: Arc<Process>,
    pub(crate) server: AuthorizationServer<Arc<AnyStore>, HostDirectory>,
    pub(crate) users: Arc<HostUsers>,
    pub(crate) courier: Courier,
    pub(crate) page: Option<LoginPage>,
    pub(crate) verdict_header: VerdictHeader,
    pub(crate) limits: Limits,
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
}

#[derive(Clone, Copy)]
enum Place {
    /// The endpoint that sends codes. No other has a use for the verdict of the proxy.
    Send,
    Endpoint,
    Other,
}

impl App {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        let place = |endpoint| if endpoint == Endpoint::OtpSend { Place::Send } else { Place::Endpoint };
        let mut places: HashMap<_, _> =
            host.server.routes().map(|route| (route.path().to_owned(), place(route.endpoint()))).collect();
        let mut others = health::routes();
        places.extend(health::PATHS.map(|path| (path.to_owned(), Place::Other)));
        if let Some(page) = &host.page {
            for (path, file) in page.files() {
                others = others.route(&path, get(async move || file.clone().into_response()));
                places.insert(path, Place::Other);
            }
        }
        let others = TowerToHyperService::new(others.with_state(Arc::clone(&host)));
        Self { host, places, others }
    }

    /// Answers a request, and logs it. Each event that is logged meanwhile has the number of the request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let began = Instant::now();
        let number = self.host.process.next_request();
        // A path that a caller typed can have any text in it, so it is not logged. The authorization server says
        // whether the path exists.
        let (path, place) = match self.places.get_key_value(request.uri().path()) {
            Some((path, place)) => (path.as_str(), *place),
            None => ("-", Place::Endpoint),
        };
        let method = if METHODS.contains(&request.method().as_str()) { request.method().as_str() } else { "-" };
        let span = tracing::info_span!("request", number, method, path);
        async {
            let mut response = match place {
                _ if !names_one_host(&request) => {
                    (StatusCode::BAD_REQUEST, "one Host header is expected\n").into_response()
                }
                Place::Send => {
                    let verdict = self.host.verdict_header.read(request.headers());
                    endpoint(&self.host, request, verdict).await
                }
                Place::Endpoint => endpoint(&self.host, request, Verdict::None).await,
                Place::Other => self.others.call(request).await.unwrap_or_else(|never| match never {}),
            };
            set_default(response.headers_mut(), X_CONTENT_TYPE_OPTIONS, "nosniff");
            let took: Duration = began.elapsed();
            tracing::info!(status = response.status().as_u16(), micros = micros(took), "answered");
            response
        }
        .instrument(span)
        .await
    }
}

/// Any endpoint of the authorization server.
async fn endpoint(host: &Host, request: Request<Incoming>, verdict: Verdict) -> Response {
    let (head, body) = request.into_parts();
    let limits = &host.limits;
    let body = match tokio::time::timeout(limits.body_time.0, read(body, &head.headers, limits.body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(Unread::TooLong)) => return write(Reply::body_too_large(limits.body)),
        Ok(Err(Unread::CutShort)) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => return write(Reply::request_timeout()),
    };
    let request = otp_grant::Request::from_http(&head, &body).with_verdict(verdict);
    let answering = host.server.handle(request, |delivery| host.courier.deliver(&host.server, delivery));
    let reply = match tokio::time::timeout(limits.request_time.0, answering).await {
        Ok(reply) => reply.unwrap_or_else(Reply::not_found),
        Err(_) => {
            tracing::error!("a request took too long");
            Reply::unavailable()
        }
    };
    write(reply)
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

/// How many bytes beyond the limit are read.
const READ_BEYOND: usize = 256 * 1024;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
