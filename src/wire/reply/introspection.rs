//! Replies of the revocation and introspection endpoints.

use serde::Serialize;

use super::{Reply, TokenType};
use crate::dpop::Confirmation;
use crate::id::{ClientId, Issuer, KeyThumbprint, SessionId, Subject, TokenId};
use crate::scope::Scope;
use crate::time::Timestamp;
use crate::wire::error::{IntrospectionError, RevocationError};

/// The answer of the introspection endpoint for a token (RFC 7662 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Introspection {
    /// The token is active.
    Active(Box<ActiveToken>),
    /// The token is not active, or the client may not learn about it. The answer does not say which.
    Inactive,
}

/// A token that is active.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveToken {
    /// The kind of the token, with the claims that only this kind has.
    pub kind: TokenKind,
    /// The issuer of the token.
    pub issuer: Issuer,
    /// The user of the token.
    pub subject: Subject,
    /// The client that the token was issued to.
    pub client: ClientId,
    /// The scope of the token.
    pub scope: Scope,
    /// The session that the token belongs to.
    pub session: SessionId,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// When the user logged in, where access tokens say so.
    pub auth_time: Option<Timestamp>,
    /// How the user logged in, where access tokens say so (RFC 8176).
    pub amr: Vec<String>,
}

/// The kind of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// An access token.
    AccessToken {
        /// The audience of the token.
        audience: String,
        /// The identifier of the token.
        token_id: TokenId,
        /// When the token was issued.
        issued_at: Timestamp,
        /// The key that the token is bound to, if it is bound (`cnf`, RFC 9449 section 6.2).
        key: Option<KeyThumbprint>,
    },
    /// A refresh token. Its answer has no `token_type`, and so no API takes it for an access token.
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
            #[serde(skip_serializing_if = "Option::is_none")]
            cnf: Option<Confirmation>,
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
            TokenKind::AccessToken { audience, token_id, issued_at, key } => Self::json(
                200,
                &Body {
                    token_type: Some(key.map_or(TokenType::Bearer, |_| TokenType::Dpop).as_str()),
                    cnf: key.map(Confirmation::of),
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
