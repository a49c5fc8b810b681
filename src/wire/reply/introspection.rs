//! Replies of the revocation and introspection endpoints.

use serde::Serialize;

use super::Reply;
use crate::id::{ClientId, Issuer, SessionId, Subject, TokenId};
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::wire::error::{IntrospectionError, RevocationError};

/// What the introspection endpoint says of a token (RFC 7662 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Introspection {
    /// The token is good.
    Active(Box<ActiveToken>),
    /// It is not, or is none of the client's business. Why is not said.
    Inactive,
}

/// A token that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveToken {
    /// What it is, with the claims that only such a token has.
    pub kind: TokenKind,
    /// Who issued it.
    pub issuer: Issuer,
    /// Its user.
    pub subject: Subject,
    /// The client that it was issued to.
    pub client: ClientId,
    /// What it may do.
    pub scope: Scope,
    /// Names the login that it comes from.
    pub session: SessionId,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When its user logged in, where access tokens say so.
    pub auth_time: Option<Timestamp>,
    /// How its user logged in, where access tokens say so (RFC 8176).
    pub amr: Vec<String>,
}

/// The kind of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// An access token.
    AccessToken {
        /// Whom it is meant for.
        audience: String,
        /// Names it.
        token_id: TokenId,
        /// When it was issued.
        issued_at: Timestamp,
    },
    /// A refresh token. Its answer has no `token_type`, so that nobody takes it for an access token.
    RefreshToken,
}

impl From<Introspection> for Reply {
    fn from(introspection: Introspection) -> Self {
        #[derive(Default, Serialize)]
        struct Body<'a> {
            active: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            scope: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token_type: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            exp: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            iat: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            nbf: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            sub: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            aud: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            iss: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            jti: Option<TokenId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            sid: Option<SessionId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            auth_time: Option<u64>,
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            amr: &'a [String],
        }
        let Introspection::Active(token) = introspection else { return Self::json(200, &Body::default()) };
        let of_every_kind = Body {
            active: true,
            scope: Some(token.scope.as_str()),
            client_id: Some(token.client.as_str()),
            exp: Some(token.expires_at.as_unix_secs()),
            sub: Some(token.subject.as_str()),
            iss: Some(token.issuer.as_str()),
            sid: Some(token.session),
            auth_time: token.auth_time.map(Timestamp::as_unix_secs),
            amr: &token.amr,
            ..Body::default()
        };
        match &token.kind {
            TokenKind::RefreshToken => Self::json(200, &of_every_kind),
            TokenKind::AccessToken { audience, token_id, issued_at } => Self::json(
                200,
                &Body {
                    token_type: Some("Bearer"),
                    aud: Some(audience),
                    jti: Some(*token_id),
                    iat: Some(issued_at.as_unix_secs()),
                    nbf: Some(issued_at.as_unix_secs()),
                    ..of_every_kind
                },
            ),
        }
    }
}

impl From<RevocationError> for Reply {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::InvalidRequest(cause) => Self::described(400, "invalid_request", &cause.to_string()),
            RevocationError::InvalidClient(refused) => refused.into(),
            RevocationError::TemporarilyUnavailable => Self::temporarily_unavailable(),
        }
    }
}

impl From<IntrospectionError> for Reply {
    fn from(error: IntrospectionError) -> Self {
        match error {
            IntrospectionError::InvalidRequest(cause) => Self::described(400, "invalid_request", &cause.to_string()),
            IntrospectionError::InvalidClient(refused) => refused.into(),
            IntrospectionError::TemporarilyUnavailable => Self::temporarily_unavailable(),
        }
    }
}
