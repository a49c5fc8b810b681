//! The claims of access tokens and ID tokens, written and read.

use core::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::id::{SessionId, TokenId};
use crate::scope::Scope;
use crate::session::Session;
use crate::time::Timestamp;

/// The shape of access tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessTokenProfile {
    /// `typ` is `JWT`, `aud` the client, `scope` an array.
    #[default]
    Jwt,
    /// RFC 9068: `typ` is `at+jwt`, `scope` a string, and there is a `client_id`.
    Rfc9068 {
        /// The `aud` claim: the default resource indicator of the API that the tokens are for (RFC 9068 section 3).
        audience: String,
    },
}

/// How long tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenValidity {
    /// Of an access token. Defaults to 300 seconds.
    pub access_token: Duration,
    /// Of an ID token. Defaults to 1800 seconds.
    pub id_token: Duration,
}

impl Default for TokenValidity {
    fn default() -> Self {
        Self { access_token: Duration::from_secs(300), id_token: Duration::from_secs(1800) }
    }
}

/// The claims of one access token.
#[derive(Serialize)]
pub(crate) struct AccessClaims<'a> {
    sub: &'a str,
    aud: &'a str,
    nbf: u64,
    scope: ScopeClaim<'a>,
    iss: &'a str,
    exp: u64,
    iat: u64,
    jti: TokenId,
    sid: SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

impl<'a> AccessClaims<'a> {
    pub(crate) fn new(
        facts: &TokenFacts<'a>,
        scope: &'a Scope,
        profile: &'a AccessTokenProfile,
        validity: &TokenValidity,
    ) -> Self {
        let client = facts.session.client().as_str();
        let iat = facts.now.as_unix_secs();
        let (aud, scope, client_id) = match profile {
            AccessTokenProfile::Jwt => (client, ScopeClaim::Array(scope), None),
            AccessTokenProfile::Rfc9068 { audience } => (audience.as_str(), ScopeClaim::Text(scope), Some(client)),
        };
        Self {
            sub: facts.session.subject().as_str(),
            aud,
            nbf: iat,
            scope,
            iss: facts.issuer,
            // Nothing outlives its session.
            exp: iat.saturating_add(validity.access_token.as_secs()).min(facts.session.ends_at().as_unix_secs()),
            iat,
            jti: facts.token_id,
            sid: facts.session_id,
            client_id,
        }
    }

    /// When the token expires.
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_unix_secs(self.exp)
    }
}

/// The claims of one ID token (OpenID Connect Core section 2).
#[derive(Serialize)]
pub(crate) struct IdClaims<'a> {
    sub: &'a str,
    aud: &'a str,
    azp: &'a str,
    iss: &'a str,
    exp: u64,
    iat: u64,
    jti: TokenId,
    auth_time: u64,
    amr: &'static [&'static str],
    sid: SessionId,
}

impl<'a> IdClaims<'a> {
    pub(crate) fn new(facts: &TokenFacts<'a>, validity: &TokenValidity) -> Self {
        let client = facts.session.client().as_str();
        let iat = facts.now.as_unix_secs();
        Self {
            sub: facts.session.subject().as_str(),
            aud: client,
            azp: client,
            iss: facts.issuer,
            exp: iat.saturating_add(validity.id_token.as_secs()),
            iat,
            jti: facts.token_id,
            auth_time: facts.session.auth_time().as_unix_secs(),
            amr: facts.session.amr(),
            sid: facts.session_id,
        }
    }
}

/// What every token of one answer is made from.
pub(crate) struct TokenFacts<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) session: &'a Session,
    pub(crate) session_id: SessionId,
    pub(crate) token_id: TokenId,
    pub(crate) now: Timestamp,
}

enum ScopeClaim<'a> {
    Array(&'a Scope),
    Text(&'a Scope),
}

impl Serialize for ScopeClaim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(scope) => serializer.serialize_str(scope.as_str()),
            Self::Array(scope) => {
                let mut array = serializer.serialize_seq(None)?;
                for token in scope.iter() {
                    array.serialize_element(token)?;
                }
                array.end()
            }
        }
    }
}
