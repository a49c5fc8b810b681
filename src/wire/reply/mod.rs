//! Replies. Answers and errors become HTTP only here.

mod dpop;
mod host;
mod introspection;
mod send;
mod token;
mod userinfo;

use core::mem;
use core::time::Duration;
use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroize;

use crate::wire::error::InvalidClient;

pub use self::introspection::{ActiveToken, Introspection, TokenKind};
pub(crate) use self::send::SendResponse;
pub use self::token::{TokenResponse, TokenType};
pub use self::userinfo::UserinfoResponse;

/// A reply for the host to send: a status, headers and a body.
#[must_use]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Body,
}

impl Reply {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the headers. The names have the case that HTTP/1.1 documents use.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// Returns the value of a header. The name can have any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the body. It can contain tokens, and is wiped when the reply is dropped.
    pub fn body(&self) -> &[u8] {
        &self.body.0
    }

    /// Takes the body out. From then on the caller must wipe it.
    pub fn into_body(mut self) -> Vec<u8> {
        mem::take(&mut self.body.0)
    }

    /// Makes a reply with a public document, the key set or the metadata, that may be cached for some time.
    pub(crate) fn cacheable(body: Vec<u8>, max_age: Duration) -> Self {
        let cache_control = format!("public, max-age={}", max_age.as_secs());
        Self {
            status: 200,
            headers: vec![("Content-Type", JSON.into()), ("Cache-Control", cache_control.into())],
            body: Body(body),
        }
    }

    /// Makes a reply with a document that may be cached for some time.
    pub(crate) fn document(document: &impl Serialize, max_age: Duration) -> Self {
        Self::cacheable(Self::json(200, document).into_body(), max_age)
    }

    /// Makes an empty 200. The content type is still JSON, because some clients report an error for a reply without a
    /// content type.
    pub(crate) fn done() -> Self {
        Self::json_body(200, Vec::new())
    }

    /// Makes a 405. The endpoint does not have the method of the request (RFC 9110 section 15.5.6).
    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        let mut reply = Self::empty(405);
        reply.headers.push(("Allow", allowed.into()));
        reply
    }

    /// Makes a reply that has only a status.
    fn empty(status: u16) -> Self {
        let headers = NO_STORE.map(|(name, value)| (name, value.into())).to_vec();
        Self { status, headers, body: Body(Vec::new()) }
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        let mut json = Vec::with_capacity(TYPICAL_BODY);
        // Writing these structures into memory can't fail. If it did, an empty body would at least say nothing wrong.
        if serde_json::to_writer(&mut json, body).is_err() {
            json.clear();
        }
        Self::json_body(status, json)
    }

    /// Makes a reply with JSON that is already written.
    fn json_body(status: u16, body: Vec<u8>) -> Self {
        let mut headers = Vec::with_capacity(4);
        headers.push(("Content-Type", JSON.into()));
        headers.extend(NO_STORE.map(|(name, value)| (name, value.into())));
        Self { status, headers, body: Body(body) }
    }

    fn error(status: u16, error: &str) -> Self {
        Self::json(status, &ErrorBody { error, ..ErrorBody::default() })
    }

    fn described(status: u16, error: &str, error_description: &str) -> Self {
        Self::json(status, &ErrorBody { error, error_description, attempts_remaining: None })
    }

    fn invalid_auth_source() -> Self {
        Self::described(400, "invalid_auth_source", "Auth source and application not associated")
    }

    fn temporarily_unavailable() -> Self {
        Self::described(503, "temporarily_unavailable", "Temporarily unavailable. It is safe to try again.")
    }
}

impl From<InvalidClient> for Reply {
    fn from(error: InvalidClient) -> Self {
        let mut reply = Self::error(401, "invalid_client");
        if error == InvalidClient::InHeader {
            reply.headers.push(("WWW-Authenticate", "Basic".into()));
        }
        reply
    }
}

impl core::fmt::Debug for Reply {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A body. It is wiped when it is dropped.
struct Body(Vec<u8>);

impl Drop for Body {
    fn drop(&mut self) {
        // Clearing first leaves only spare capacity, which is wiped at once. Bytes in use would be wiped one by one.
        self.0.clear();
        self.0.zeroize();
    }
}

#[derive(Default, Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_remaining: Option<usize>,
}

const NO_STORE: [(&str, &str); 2] = [("Cache-Control", "no-store"), ("Pragma", "no-cache")];

const JSON: &str = "application/json;charset=UTF-8";

/// A buffer of this size holds a token response with RS256 signatures without growing.
const TYPICAL_BODY: usize = 2048;
