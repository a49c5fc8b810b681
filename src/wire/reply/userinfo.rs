//! Replies of the userinfo endpoint.

use serde::Serialize;

use super::Reply;
use crate::directory::user::UserClaims;
use crate::id::Subject;
use crate::wire::error::UserinfoError;

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
        // Nothing in it needs an escape: no description has a quotation mark, and none repeats what was sent.
        let description = error.to_string();
        let challenge = format!(r#"Bearer error="{name}", error_description="{description}"{needed}"#);
        let mut reply = Self::described(status, name, &description);
        reply.headers.push(("WWW-Authenticate", challenge.into()));
        reply
    }
}
