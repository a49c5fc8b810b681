//! What a request presents of a key: the `DPoP` header, and access tokens with their proof (RFC 9449).

use super::Request;
use crate::wire::error::NoAccessToken;

/// The `DPoP` header of a request. It can be anything until the server has checked it.
#[derive(Clone, Copy)]
pub struct DpopHeader<'a>(&'a str);

impl<'a> DpopHeader<'a> {
    /// Takes the value of the header. A request that has the header twice presents an empty one.
    pub fn new(value: &'a str) -> Self {
        Self(value)
    }

    pub(crate) fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Shows nothing. A proof can be replayed while it is in time.
impl core::fmt::Debug for DpopHeader<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DpopHeader(..)")
    }
}

/// A proof that a client presents to a route of the host's own, and the request that the proof must be for.
#[derive(Clone, Copy, Debug)]
pub struct PresentedProof<'a> {
    header: Option<DpopHeader<'a>>,
    method: &'a str,
    url: &'a str,
}

impl<'a> PresentedProof<'a> {
    /// Takes the `DPoP` header of a request, the method of the request, and the URL of the route as clients know it.
    ///
    /// The URL must come from the configuration of the host, never from the `Host` header of the request. Otherwise a
    /// proof for a server of an attacker would pass.
    pub fn new(header: Option<DpopHeader<'a>>, method: &'a str, url: &'a str) -> Self {
        Self { header, method, url }
    }

    pub(crate) fn header(&self) -> Option<&DpopHeader<'a>> {
        self.header.as_ref()
    }

    pub(crate) fn method(&self) -> &'a str {
        self.method
    }

    pub(crate) fn url(&self) -> &'a str {
        self.url
    }
}

/// An access token as a request presents it: alone, or with the proof of its key.
///
/// A check of a token alone refuses each token that is bound to a key. So a route can't forget the proof.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum PresentedAccessToken<'a> {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer(&'a str),
    /// `Authorization: DPoP`, with the proof (RFC 9449 section 7.1).
    Dpop(&'a str, PresentedProof<'a>),
}

impl<'a> PresentedAccessToken<'a> {
    /// Reads an `Authorization` header with one of the two schemes. The scheme can have any case.
    pub(crate) fn read(authorization: &'a str, proof: PresentedProof<'a>) -> Option<Self> {
        let (scheme, token) = authorization.split_once(' ')?;
        let token = token.trim_start_matches(' ');
        match scheme {
            _ if token.is_empty() => None,
            scheme if scheme.eq_ignore_ascii_case("Bearer") => Some(Self::Bearer(token)),
            scheme if scheme.eq_ignore_ascii_case("DPoP") => Some(Self::Dpop(token, proof)),
            _ => None,
        }
    }
}

/// A text alone is a bearer token.
impl<'a> From<&'a str> for PresentedAccessToken<'a> {
    fn from(token: &'a str) -> Self {
        Self::Bearer(token)
    }
}

impl<'a> From<&'a String> for PresentedAccessToken<'a> {
    fn from(token: &'a String) -> Self {
        Self::Bearer(token)
    }
}

/// Shows the scheme alone.
impl core::fmt::Debug for PresentedAccessToken<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(..)",
            Self::Dpop(..) => "Dpop(..)",
        })
    }
}

impl<'a> Request<'a> {
    /// Returns the `DPoP` header. It is empty where the request has two, or where it is not visible ASCII.
    pub fn dpop(&self) -> Option<DpopHeader<'a>> {
        self.dpop.map(DpopHeader)
    }

    /// Returns the access token of an `Authorization: Bearer` or `Authorization: DPoP` header, for the routes of the
    /// host's own API. `url` is the URL of the route as clients know it, from the configuration of the host.
    ///
    /// ```
    /// # use otp_grant::*;
    /// # use otp_grant::jwt::{AccessTokenClaims, Audience};
    /// # type Server = AuthorizationServer<MemoryStore, MemoryDirectory>;
    /// async fn caller(server: &Server, request: Request<'_>) -> Result<AccessTokenClaims, Reply> {
    ///     let url = format!("https://api.example.com{}", request.path());
    ///     let token = request.access_token(&url)?;
    ///     Ok(server.check_access_token(token, Audience::EveryClient).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NoAccessToken`] when the request has no such header, or when the header has no token. The host can convert the
    /// error into the [`Reply`](crate::Reply) that asks for a token.
    ///
    /// RFC 6750 section 2.1, RFC 9449 section 7.1.
    pub fn access_token(&self, url: &'a str) -> Result<PresentedAccessToken<'a>, NoAccessToken> {
        let proof = PresentedProof::new(self.dpop(), self.method, url);
        let presented = self.authorization.and_then(|header| PresentedAccessToken::read(header, proof));
        presented.ok_or(NoAccessToken)
    }
}
