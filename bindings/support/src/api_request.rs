//! A request to a route of the host's own, and the access token that it presents.

use std::fmt;

use otp_grant::Request;
use otp_grant::wire::{NoAccessToken, PresentedAccessToken, PresentedProof};
use zeroize::Zeroizing;

use crate::error::ArgumentError;

/// What a request to a route of the host's own presents: an access token, the proof of a key (RFC 9449), or both.
#[derive(Clone)]
pub struct ApiRequest {
    method: String,
    external_url: String,
    /// Of the headers that count, all in their order. A header that is repeated is here repeatedly.
    headers: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
}

impl ApiRequest {
    /// Takes a request: its method, the URL of the route as clients know it, and its headers.
    ///
    /// The URL must come from the configuration of the host, never from the `Host` header of the request. Otherwise a
    /// proof for a server of an attacker would pass. Header names are in any case, and a header that is repeated is
    /// given repeatedly. Everything is copied.
    ///
    /// # Errors
    /// [`ArgumentError`] if the URL is not an absolute `http` or `https` URL.
    pub fn new<'h>(
        method: &str,
        external_url: &str,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, ArgumentError> {
        if !is_absolute(external_url) {
            return Err(ArgumentError::new("external_url", "an absolute http or https URL is expected"));
        }
        let counted = |(name, value): (&str, &[u8])| {
            let name = COUNTED.into_iter().find(|counted| name.eq_ignore_ascii_case(counted))?;
            Some((name, Zeroizing::new(value.to_vec())))
        };
        let headers = headers.into_iter().filter_map(counted).collect();
        Ok(Self { method: method.to_owned(), external_url: external_url.to_owned(), headers })
    }

    /// Returns the access token, alone or with its proof.
    pub(crate) fn token(&self) -> Result<PresentedAccessToken<'_>, NoAccessToken> {
        self.request().access_token(&self.external_url)
    }

    /// Returns the proof. A request without the header has one that is refused.
    pub(crate) fn proof(&self) -> PresentedProof<'_> {
        PresentedProof::new(self.request().dpop(), &self.method, &self.external_url)
    }

    fn request(&self) -> Request<'_> {
        // A route is known by its URL.
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_slice()));
        Request::new(&self.method, "").headers(headers)
    }
}

/// Shows neither token nor proof.
impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, external_url, .. } = self;
        f.debug_struct("ApiRequest").field("method", method).field("url", external_url).finish_non_exhaustive()
    }
}

/// An access token to check.
#[expect(clippy::exhaustive_enums, reason = "a token is presented alone or by a request")]
pub enum PresentedToken<'a> {
    /// A bearer token. One that is bound to a key is refused.
    Alone(&'a str),
    /// The token of a request, alone or with the proof of its key.
    Request(ApiRequest),
}

impl PresentedToken<'_> {
    pub(crate) fn into_owned(self) -> OwnedToken {
        match self {
            Self::Alone(token) => OwnedToken::Alone(Zeroizing::new(token.to_owned())),
            Self::Request(request) => OwnedToken::Request(request),
        }
    }
}

/// Shows the kind alone.
impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone(_) => "Alone(..)",
            Self::Request(_) => "Request(..)",
        })
    }
}

impl<'a> From<&'a str> for PresentedToken<'a> {
    fn from(token: &'a str) -> Self {
        Self::Alone(token)
    }
}

impl From<ApiRequest> for PresentedToken<'_> {
    fn from(request: ApiRequest) -> Self {
        Self::Request(request)
    }
}

/// A token that an exchange keeps until it is checked.
pub(crate) enum OwnedToken {
    Alone(Zeroizing<String>),
    Request(ApiRequest),
}

impl OwnedToken {
    pub(crate) fn presented(&self) -> Result<PresentedAccessToken<'_>, NoAccessToken> {
        match self {
            Self::Alone(token) => Ok(token.as_str().into()),
            Self::Request(request) => request.token(),
        }
    }
}

/// A URL that is none would be refused as if the proof were for another one, and the client would be blamed.
fn is_absolute(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let is_host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@');
    is_web && is_host && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The headers that present a token or a proof.
const COUNTED: [&str; 2] = ["Authorization", "DPoP"];
