//! Replies of the userinfo endpoint.

use serde::Serialize;

use super::Reply;
use crate::directory::user::UserClaims;
use crate::id::Subject;
use crate::wire::error::{InsufficientScope, NoBearerToken, UserinfoError};

/// What the userinfo endpoint says of a user (OpenID Connect Core section 5.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserinfoResponse {
    /// The user (`sub`), the same as in the ID token.
    pub subject: Subject,
    /// What else the client may see.
    pub claims: UserClaims,
}

impl From<UserinfoResponse> for Reply {
    fn from(response: UserinfoResponse) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            sub: &'a str,
            #[serde(flatten)]
            claims: &'a UserClaims,
        }
        Self::json(200, &Body { sub: response.subject.as_str(), claims: &response.claims })
    }
}

/// The errors of a protected resource, in a challenge and, for those who read bodies, there as well (RFC 6750 section 3).
impl From<UserinfoError> for Reply {
    fn from(error: UserinfoError) -> Self {
        let (status, name, needed) = match &error {
            UserinfoError::InvalidRequest(_) => (400, "invalid_request", ""),
            UserinfoError::InvalidToken => (401, "invalid_token", ""),
            UserinfoError::InsufficientScope => (403, "insufficient_scope", r#", scope="openid""#),
            UserinfoError::TemporarilyUnavailable => return Self::temporarily_unavailable(),
        };
        Self::bearer_error(status, name, &error.to_string(), needed)
    }
}

/// Asks for an access token. Without one there is no error to tell (RFC 6750 section 3.1).
impl From<NoBearerToken> for Reply {
    fn from(_: NoBearerToken) -> Self {
        let mut reply = Self::empty(401);
        reply.headers.push(("WWW-Authenticate", "Bearer".into()));
        reply
    }
}

/// The `insufficient_scope` of RFC 6750 section 3.1, with the scope that is needed.
impl From<InsufficientScope> for Reply {
    fn from(error: InsufficientScope) -> Self {
        // No token of a scope has a quotation mark or a backslash (RFC 6749 section 3.3).
        let needed = format!(r#", scope="{}""#, error.needed().as_str());
        Self::bearer_error(403, "insufficient_scope", &error.to_string(), &needed)
    }
}

impl Reply {
    /// The `invalid_token` of RFC 6750 section 3.1. The reply does not say why, and repeats nothing that was
    /// sent.
    pub(crate) fn invalid_token() -> Self {
        UserinfoError::InvalidToken.into()
    }

    fn bearer_error(status: u16, name: &str, description: &str, needed: &str) -> Self {
        // Nothing in it needs an escape: no description has a quotation mark, and none repeats what was sent.
        let challenge = format!(r#"Bearer error="{name}", error_description="{description}"{needed}"#);
        let mut reply = Self::described(status, name, description);
        reply.headers.push(("WWW-Authenticate", challenge.into()));
        reply
    }
}
