//! The claims of access tokens and ID tokens, as they are written.

use core::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::directory::CustomClaims;
use crate::dpop::Confirmation;
use crate::id::{KeyThumbprint, SessionId, TokenId};
use crate::scope::Scope;
use crate::session::Session;
use crate::time::Timestamp;

/// The shape of access tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessTokenProfile {
    /// `typ` is `JWT`, `aud` names the client, and `scope` is an array.
    #[default]
    Jwt,
    /// The profile of RFC 9068: `typ` is `at+jwt`, `scope` is a string, and the token has `client_id`, `auth_time` and
    /// `amr`.
    Rfc9068 {
        /// The `aud` claim. It is the default resource indicator of the API that the tokens are for (RFC 9068 section
        /// 3).
        audience: String,
    },
}

/// How long tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenValidity {
    /// How long an access token lives. Defaults to 300 seconds.
    pub access_token: Duration,
    /// How long an ID token lives. Defaults to 1800 seconds.
    pub id_token: Duration,
}

impl TokenValidity {
    /// Makes the validity of access tokens and ID tokens.
    pub const fn new(access_token: Duration, id_token: Duration) -> Self {
        Self { access_token, id_token }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    #[serde(flatten)]
    custom: &'a CustomClaims,
}

impl<'a> AccessClaims<'a> {
    pub(crate) fn new(
        facts: &TokenFacts<'a>,
        scope: &'a Scope,
        profile: &'a AccessTokenProfile,
        validity: &TokenValidity,
        extras: Extras<'a>,
    ) -> Self {
        let client = facts.session.client().as_str();
        let iat = facts.now.as_unix_secs();
        let Extras { authentication, custom, key } = extras;
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
            // No access token outlives its session.
            exp: iat.saturating_add(validity.access_token.as_secs()).min(facts.session.ends_at().as_unix_secs()),
            iat,
            jti: facts.token_id,
            sid: facts.session_id,
            client_id,
            // RFC 9068 section 2.2.1.
            auth_time: authentication.then(|| facts.session.auth_time().as_unix_secs()),
            // An API can always tell a test identity.
            amr: (authentication || facts.session.is_test()).then(|| facts.session.amr()),
            cnf: key.map(Confirmation::of),
            custom,
        }
    }

    /// Returns when the token expires.
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_unix_secs(self.exp)
    }
}

/// The claims that not every access token has.
pub(crate) struct Extras<'a> {
    /// Whether the token says when and how the user logged in.
    pub(crate) authentication: bool,
    /// The claims that the host adds.
    pub(crate) custom: &'a CustomClaims,
    /// The key that the token is bound to.
    pub(crate) key: Option<KeyThumbprint>,
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

/// The facts that all tokens of one answer share.
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
