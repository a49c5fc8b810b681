//! Requests: raw HTTP requests, and the typed requests that are parsed from them.

mod credentials;
mod dpop;
mod send;
pub(crate) mod token;
mod token_query;
mod userinfo;

use crate::address::{AddressPolicy, Channel};
use zeroize::Zeroize;

use crate::grant::{CustomUsage, Usage};
use crate::guard::Verdict;
use crate::secret::wipe;
use crate::wire::error::NoBearerToken;
use crate::wire::members::{InvalidRequest, Member, Problem};
pub use crate::wire::request::credentials::ClientCredentials;
pub use crate::wire::request::dpop::{DpopHeader, PresentedAccessToken, PresentedProof};
pub use crate::wire::request::send::SendRequest;
pub use crate::wire::request::token::{OtpGrantRequest, RefreshGrantRequest, RequestedScope, TokenRequest};
pub use crate::wire::request::token_query::{IntrospectionRequest, RevocationRequest};
pub use crate::wire::request::userinfo::{TokenScheme, UserinfoRequest};

/// An HTTP request: its method, its path, its headers and its body.
///
/// The crate picks the headers that it knows and ignores the others. A host should pass on all headers. It then need
/// not change when a later version of the crate reads another header.
///
/// ```
/// use otp_grant::Request;
///
/// let headers = [("host", &b"login.example.com"[..]), ("content-type", b"application/json")];
/// let request = Request::new("POST", "/oauth2/token").headers(headers).body(b"{}");
/// assert_eq!((request.path(), request.content_type()), ("/oauth2/token", Some("application/json")));
/// ```
///
/// # Headers
///
/// A header that occurs twice, or that is not visible ASCII, counts as present and empty. An empty `Authorization`
/// header names no client, and the request fails with `invalid_client`. An empty `Content-Type` header names no media
/// type, and a body fails with `invalid_request`.
///
/// A proxy in front of the host can pick one of two headers, and check the client that it names. If the crate picked
/// the other header, or ignored both, it would serve another client than the proxy has checked.
///
/// # Body
///
/// The host must limit how much of the body it reads, and how long that may take. It should read a little more than the
/// limit of the crate, so the crate can report a body that is too large. It must never pass on a body that was cut
/// short.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    method: &'a str,
    path: &'a str,
    content_type: Option<&'a str>,
    authorization: Option<&'a str>,
    dpop: Option<&'a str>,
    body: &'a [u8],
    verdict: Verdict,
}

impl<'a> Request<'a> {
    /// Makes a request without headers and body. The path has no query. It begins with the path of the issuer, if the
    /// issuer has one.
    #[must_use]
    pub fn new(method: &'a str, path: &'a str) -> Self {
        let verdict = Verdict::None;
        Self { method, path, content_type: None, authorization: None, dpop: None, body: b"", verdict }
    }

    /// Adds a header. The name can have any case.
    #[must_use]
    pub fn header(self, name: &str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.with_header(name, value.as_ref())
    }

    /// Adds headers. The names can have any case.
    #[must_use]
    pub fn headers<'n>(self, headers: impl IntoIterator<Item = (&'n str, &'a [u8])>) -> Self {
        headers.into_iter().fold(self, |request, (name, value)| request.with_header(name, value))
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.body = body.as_ref();
        self
    }

    /// Adds what the host knows about the request, from a captcha, a device attestation or the reputation of a network.
    /// The send endpoint reads it, where [`Settings::send_guard`](crate::Settings::send_guard) is on.
    ///
    /// ```
    /// use otp_grant::Request;
    /// use otp_grant::guard::Verdict;
    ///
    /// fn with_captcha(request: Request<'_>, is_solved: bool) -> Request<'_> {
    ///     request.with_verdict(if is_solved { Verdict::Allow } else { Verdict::None })
    /// }
    /// ```
    #[must_use]
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    /// Returns the method.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// Returns the path.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Returns the `Content-Type` header. It is empty where the request has two, or where it is not visible ASCII.
    pub fn content_type(&self) -> Option<&'a str> {
        self.content_type
    }

    /// Returns the `Authorization` header. It is empty where the request has two, or where it is not visible ASCII.
    pub fn authorization(&self) -> Option<&'a str> {
        self.authorization
    }

    /// Returns the access token of an `Authorization: Bearer` header, for the routes of the host's own API.
    ///
    /// This is for a host with [`DpopSupport::Off`](crate::dpop::DpopSupport::Off). Its clients are asked for such a
    /// token alone. A host that reads proofs uses [`access_token`](Self::access_token).
    ///
    /// # Errors
    /// [`NoBearerToken`] when the request has no such header, or when the header has no token. The host can convert the
    /// error into the [`Reply`](crate::Reply) that asks for a token.
    ///
    /// RFC 6750 section 2.1.
    pub fn bearer_token(&self) -> Result<&'a str, NoBearerToken> {
        self.authorization.and_then(bearer_token).ok_or(NoBearerToken)
    }

    /// Returns the body as it was received.
    pub fn content(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the request without its body, for methods whose body has no meaning (RFC 9110 section 9.3.1).
    pub(crate) fn without_body(self) -> Self {
        Self { content_type: None, body: b"", ..self }
    }

    fn with_header(mut self, name: &str, value: &'a [u8]) -> Self {
        let found = match name {
            name if name.eq_ignore_ascii_case("Content-Type") => &mut self.content_type,
            name if name.eq_ignore_ascii_case("Authorization") => &mut self.authorization,
            name if name.eq_ignore_ascii_case("DPoP") => &mut self.dpop,
            _ => return self,
        };
        let is_text = found.is_none() && value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        *found = Some(core::str::from_utf8(value).ok().filter(|_| is_text).unwrap_or_default());
        self
    }
}

impl core::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// A request that owns its parts. What it can have of secrets is wiped when it is dropped.
pub(crate) struct OwnedRequest {
    method: String,
    path: String,
    content_type: Option<String>,
    authorization: Option<String>,
    dpop: Option<String>,
    body: Vec<u8>,
    verdict: Verdict,
}

impl OwnedRequest {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            content_type: request.content_type.map(str::to_owned),
            authorization: request.authorization.map(str::to_owned),
            dpop: request.dpop.map(str::to_owned),
            body: request.body.to_vec(),
            verdict: request.verdict,
        }
    }

    pub(crate) fn borrow(&self) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            content_type: self.content_type.as_deref(),
            authorization: self.authorization.as_deref(),
            dpop: self.dpop.as_deref(),
            body: &self.body,
            verdict: self.verdict,
        }
    }
}

impl Drop for OwnedRequest {
    fn drop(&mut self) {
        [&mut self.authorization, &mut self.dpop].into_iter().flatten().for_each(wipe);
        // Cleared first, it is wiped at once and not byte by byte.
        self.body.clear();
        self.body.zeroize();
    }
}

/// The rules by which requests are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestRules<'s> {
    /// The `grant_type` values, and the channel of each.
    pub(crate) grant_types: &'s [(String, Channel)],
    pub(crate) addresses: &'s AddressPolicy,
    pub(crate) body_limit: usize,
    /// The usages that the host defines.
    pub(crate) usages: &'s [CustomUsage],
    /// Whether access tokens may be presented with a proof.
    pub(crate) reads_dpop: bool,
}

impl RequestRules<'_> {
    fn usage(&self, name: &str) -> Option<Usage> {
        let custom = || self.usages.iter().find(|usage| usage.as_str() == name).copied().map(Usage::Custom);
        Usage::from_wire(name).or_else(custom)
    }
}

enum Encoding {
    Json,
    Form,
}

/// Returns the encoding of the body. Refuses a body that is too large.
fn encoding(request: &Request<'_>, rules: &RequestRules<'_>) -> Result<Encoding, InvalidRequest> {
    if request.body.len() > rules.body_limit {
        return Err(InvalidRequest::body(Problem::TooLarge));
    }
    let media_type = request.content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(Encoding::Form)
    } else {
        Err(InvalidRequest::body(Problem::ContentType))
    }
}

/// Returns the token of an `Authorization: Bearer` header.
fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    Some(token).filter(|token| scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty())
}

fn missing(member: Member) -> InvalidRequest {
    InvalidRequest::member(member, Problem::Missing)
}

fn invalid(member: Member) -> InvalidRequest {
    InvalidRequest::member(member, Problem::InvalidValue)
}
