//! Requests from pages of other origins (CORS, in the Fetch Standard).
//!
//! An origin is allowed for a client, and most requests name their client in the body. A layer such as that of
//! `tower-http` decides by the origin alone. Pages of one client could then use every other client. So the rules are
//! here.
//!
//! This host has no cookies. A page gains nothing from the browser of its visitor but the visitor's network address,
//! and that is what a refusal protects: a foreign page must not send messages through its visitors.

use std::collections::{HashMap, HashSet};

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_TYPE,
    HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use otp_grant::server::Endpoint;
use reqwest::Url;

use super::claims::Claims;
use crate::config::{At as _, Config, ConfigError, NetworkQuotas, PageOrigin};

/// Which pages may use the endpoints. Without a client that allows an origin and without limits per network address,
/// requests and replies stay as they are.
#[derive(Debug)]
pub(crate) struct Cors(Option<Rules>);

#[derive(Debug)]
pub(super) struct Rules {
    /// The origin of the login page, whatever name the host has behind its proxy.
    own: PageOrigin,
    /// The origins of each client.
    clients: HashMap<String, Vec<PageOrigin>>,
    /// The origins of all clients together.
    all: HashSet<PageOrigin>,
}

impl Cors {
    /// Reads the origins of every client.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut clients = HashMap::new();
        for (name, entry) in &config.clients {
            clients.insert(name.clone(), entry.page_origins(config, name)?);
        }
        let all: HashSet<_> = clients.values().flatten().cloned().collect();
        // A page of another origin could use up the allowance of its visitor's address.
        if all.is_empty() && NetworkQuotas::of(config)?.is_none() {
            return Ok(Self(None));
        }
        let own = PageOrigin::of(&Url::parse(&config.issuer).at("issuer")?);
        Ok(Self(Some(Rules { own, clients, all })))
    }

    /// Finds out who sends a request to an endpoint, as far as its headers say it.
    pub(super) fn sender(&self, endpoint: Option<Endpoint>, headers: &HeaderMap) -> Sender<'_> {
        let (Some(rules), Some(endpoint)) = (&self.0, endpoint) else { return Sender::Unchecked };
        // What these say is public. No reply depends on the origin, and caches can share it.
        if matches!(endpoint, Endpoint::Jwks | Endpoint::Metadata | Endpoint::OpenidConfiguration) {
            return Sender::Reader(endpoint);
        }
        let mut origins = headers.get_all(ORIGIN).into_iter();
        match (origins.next(), origins.next()) {
            (None, _) => Sender::Own,
            (Some(origin), None) => rules.sender_from(origin, endpoint, headers),
            (Some(_), Some(_)) => Sender::Refused,
        }
    }
}

impl Rules {
    fn sender_from(&self, origin: &HeaderValue, endpoint: Endpoint, headers: &HeaderMap) -> Sender<'_> {
        let text = origin.to_str().unwrap_or_default();
        if text == self.own.as_str() || is_same_origin(text, headers) {
            return Sender::Own;
        }
        let Some(allowed) = self.all.iter().find(|allowed| allowed.as_str() == text) else {
            log_refusal("-", text);
            return Sender::Refused;
        };
        Sender::Page { rules: self, origin: allowed, endpoint }
    }

    fn allows(&self, client: &str, origin: &PageOrigin) -> bool {
        self.clients.get(client).is_some_and(|allowed| allowed.contains(origin))
    }
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sender<'a> {
    /// Anything. No client allows an origin, or the path is no endpoint.
    Unchecked,
    /// A program that is no page, or a page of this host.
    Own,
    /// Anything, at an endpoint whose replies are public.
    Reader(Endpoint),
    /// A page whose origin at least one client allows.
    Page { rules: &'a Rules, origin: &'a PageOrigin, endpoint: Endpoint },
    /// A page whose origin is not allowed.
    Refused,
}

impl Sender<'_> {
    /// Answers what the authorization server is not asked: a preflight, and a page that is not allowed.
    ///
    /// A preflight names no client, so the origins of all clients get the same answer.
    pub(super) fn answer(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let endpoint = match self {
            Self::Refused => return Some(refusal()),
            Self::Page { endpoint, .. } | Self::Reader(endpoint) => endpoint,
            Self::Unchecked | Self::Own => return None,
        };
        let is_preflight = method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        is_preflight.then(|| {
            let headers = [
                (ACCESS_CONTROL_ALLOW_METHODS, endpoint.allow()),
                (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
                (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
                (CACHE_CONTROL, "no-store"),
            ];
            (StatusCode::NO_CONTENT, headers).into_response()
        })
    }

    /// Refuses a request of a page whose origin the named client does not allow. The authorization server is not asked.
    ///
    /// A request that names no client is one that the authorization server refuses. The page can read why.
    pub(super) fn refuse_other_client(&mut self, request: &otp_grant::Request<'_>) -> Option<Response> {
        let Self::Page { rules, origin, .. } = *self else { return None };
        let named = Claims::of(request).clients;
        let other = named.iter().find(|client| !rules.allows(client, origin))?;
        let known = rules.clients.get_key_value(other.as_str()).map_or("-", |(name, _)| name);
        log_refusal(known, origin.as_str());
        *self = Self::Refused;
        Some(refusal())
    }

    /// Adds to a reply what lets the page read it.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let allowed = match self {
            Self::Unchecked => return,
            Self::Reader(_) => HeaderValue::from_static("*"),
            Self::Own | Self::Refused | Self::Page { .. } => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                let Self::Page { origin, .. } = self else { return };
                let Ok(origin) = HeaderValue::from_str(origin.as_str()) else { return };
                origin
            }
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// Tells whether the page comes from where it sends its request, in the order of Go's `http.CrossOriginProtection`: by
/// what the browser says, and for a browser that says nothing by the name that it called the host.
///
/// The login page needs this where it is opened at another name than the issuer's. Scripts can set neither header.
fn is_same_origin(origin: &str, headers: &HeaderMap) -> bool {
    match headers.get(SEC_FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            host.is_some() && PageOrigin::authority(origin) == host
        }
    }
}

fn refusal() -> Response {
    let body = r#"{"error":"access_denied","error_description":"The client does not allow this origin"}"#;
    let headers = [(CONTENT_TYPE, "application/json;charset=UTF-8"), (CACHE_CONTROL, "no-store")];
    (StatusCode::FORBIDDEN, headers, Body::from(body)).into_response()
}

/// Only an origin that could be allowed is logged. Other texts can have anything in them.
fn log_refusal(client: &str, origin: &str) {
    let origin = PageOrigin::new(origin).map_or("-", |_| origin);
    tracing::info!(client, origin, "page of another origin refused");
}

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, DPoP";
/// What pages read beyond the headers that every page may read. `Date` is for a page whose clock is wrong.
const EXPOSED_HEADERS: &str = "Date, DPoP-Nonce, Retry-After, WWW-Authenticate, X-Request-Id";
/// Two hours, the longest that Chromium keeps a preflight. It is safe, because each request is checked again.
const MAX_AGE: &str = "7200";
