//! Replies of the userinfo endpoint.

use serde::Serialize;

use super::Reply;
use crate::directory::user::UserClaims;
use crate::dpop::PROOF_ALGORITHMS;
use crate::id::Subject;
use crate::wire::error::{InsufficientScope, NoAccessToken, NoBearerToken, UserinfoError};

/// The answer of the userinfo endpoint for a user (OpenID Connect Core section 5.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserinfoResponse {
    /// The user (`sub`), with the same value as in the ID token.
    pub subject: Subject,
    /// The other claims that the client may see.
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

/// Answers with the error of a protected resource. The error is in the challenge, and also in the body for clients that
/// read bodies (RFC 6750 section 3).
impl From<UserinfoError> for Reply {
    fn from(error: UserinfoError) -> Self {
        let (status, name, needed) = match &error {
            UserinfoError::InvalidRequest(_) => (400, "invalid_request", ""),
            UserinfoError::InvalidToken => (401, "invalid_token", ""),
            UserinfoError::InsufficientScope => (403, "insufficient_scope", r#", scope="openid""#),
            UserinfoError::InsufficientScopeOfBoundToken => {
                return Self::dpop_error(403, "insufficient_scope", &error.to_string(), r#", scope="openid""#);
            }
            UserinfoError::TemporarilyUnavailable => return Self::temporarily_unavailable(),
            UserinfoError::InvalidBoundToken => return Self::dpop_challenge("invalid_token", &error.to_string()),
            UserinfoError::InvalidDpopProof(cause) => {
                return Self::dpop_challenge("invalid_dpop_proof", &cause.to_string());
            }
            UserinfoError::UseDpopNonce(nonce) => {
                return Self::dpop_challenge("use_dpop_nonce", &error.to_string()).dpop_nonce(Some(nonce));
            }
        };
        Self::bearer_error(status, name, &error.to_string(), needed)
    }
}

/// Answers with a challenge for an access token. A request without a token gets no error code (RFC 6750 section 3.1).
impl From<NoBearerToken> for Reply {
    fn from(_: NoBearerToken) -> Self {
        let mut reply = Self::empty(401);
        reply.headers.push(("WWW-Authenticate", "Bearer".into()));
        reply
    }
}

/// Answers with the challenges for both kinds of access tokens. A request without a token gets no error code.
impl From<NoAccessToken> for Reply {
    fn from(_: NoAccessToken) -> Self {
        let mut reply = Self::empty(401);
        let challenge = format!(r#"Bearer, DPoP algs="{}""#, PROOF_ALGORITHMS.join(" "));
        reply.headers.push(("WWW-Authenticate", challenge.into()));
        reply
    }
}

/// Answers `insufficient_scope` with the scope that is needed (RFC 6750 section 3.1).
impl From<InsufficientScope> for Reply {
    fn from(error: InsufficientScope) -> Self {
        // No part of a scope has a quotation mark or a backslash (RFC 6749 section 3.3).
        let needed = format!(r#", scope="{}""#, error.needed().as_str());
        match error.is_bound() {
            true => Self::dpop_error(403, "insufficient_scope", &error.to_string(), &needed),
            false => Self::bearer_error(403, "insufficient_scope", &error.to_string(), &needed),
        }
    }
}

impl Reply {
    fn bearer_error(status: u16, name: &str, description: &str, needed: &str) -> Self {
        // The challenge needs no escape. No description has a quotation mark, and no description repeats what was sent.
        let challenge = format!(r#"Bearer error="{name}", error_description="{description}"{needed}"#);
        let mut reply = Self::described(status, name, description);
        reply.headers.push(("WWW-Authenticate", challenge.into()));
        reply
    }
}
