//! The table of endpoints, with the path and the methods of each.

use crate::id::Issuer;
use crate::settings::endpoints::Endpoints;

/// The endpoints that a server answers, each with its path and its URL. The table is built once, together with the
/// server.
#[derive(Clone, Debug)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    pub(crate) fn new(issuer: &Issuer, endpoints: &Endpoints) -> Self {
        let Endpoints { otp_send, token, revocation, introspection, userinfo, jwks } = endpoints;
        let below = [
            (Endpoint::OtpSend, otp_send.as_deref()),
            (Endpoint::Token, Some(&**token)),
            (Endpoint::Revocation, revocation.as_deref()),
            (Endpoint::Introspection, introspection.as_deref()),
            (Endpoint::Userinfo, userinfo.as_deref()),
            (Endpoint::Jwks, Some(&**jwks)),
        ];
        let below = below.into_iter().filter_map(|(endpoint, path)| Some((endpoint, path?)));
        let below = below.map(|(endpoint, path)| (endpoint, format!("{}{path}", issuer.path())));
        let well_known = [
            (Endpoint::Metadata, issuer.metadata_path()),
            (Endpoint::OpenidConfiguration, issuer.openid_configuration_path()),
        ];
        let all = below.chain(well_known);
        Self(all.map(|(endpoint, path)| Route { url: issuer.url_of(&path), endpoint, path }).collect())
    }

    pub(crate) fn find(&self, path: &str) -> Option<Endpoint> {
        self.0.iter().find(|route| route.path == path).map(Route::endpoint)
    }

    /// Returns the URL of an endpoint, if the endpoint is served.
    pub(crate) fn url(&self, endpoint: Endpoint) -> Option<&str> {
        self.0.iter().find(|route| route.endpoint == endpoint).map(Route::url)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

/// An endpoint that a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    endpoint: Endpoint,
    path: String,
    url: String,
}

impl Route {
    /// Returns which endpoint this is.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Returns the path that a host routes. It begins with the path of the issuer. Only the path of the metadata of RFC
    /// 8414 ends with it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the URL that clients use.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The endpoints of an authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// The send endpoint.
    OtpSend,
    /// The token endpoint (RFC 6749 section 3.2).
    Token,
    /// The revocation endpoint (RFC 7009).
    Revocation,
    /// The introspection endpoint (RFC 7662).
    Introspection,
    /// The userinfo endpoint (OpenID Connect Core section 5.3).
    Userinfo,
    /// The key set (RFC 7517).
    Jwks,
    /// The metadata (RFC 8414).
    Metadata,
    /// The OpenID provider configuration (OpenID Connect Discovery section 4).
    OpenidConfiguration,
}

impl Endpoint {
    /// Returns the methods of the endpoint, as the header `Allow` names them.
    pub fn allow(self) -> &'static str {
        match self {
            Self::OtpSend | Self::Token | Self::Revocation | Self::Introspection => "POST",
            Self::Userinfo => "GET, HEAD, POST",
            Self::Jwks | Self::Metadata | Self::OpenidConfiguration => "GET, HEAD",
        }
    }
}
