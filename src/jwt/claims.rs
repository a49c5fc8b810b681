//! The claims of access tokens and ID tokens, as they are written.

use core::time::Duration;

use crate::directory::CustomClaims;
use crate::dpop::Confirmation;
use crate::id::{KeyThumbprint, SessionId, TokenId, UUID_LEN};
use crate::scope::Scope;
use crate::session::Session;
use crate::time::Timestamp;
use crate::wire::object::ObjectWriter;

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
pub(crate) struct AccessClaims<'a> {
    sub: &'a str,
    aud: &'a str,
    scope: ScopeClaim<'a>,
    iss: &'a str,
    exp: u64,
    iat: u64,
    jti: TokenId,
    sid: SessionId,
    client_id: Option<&'a str>,
    auth_time: Option<u64>,
    amr: Option<&'static [&'static str]>,
    cnf: Option<Confirmation>,
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

    /// Writes the claims as JSON.
    pub(crate) fn write(&self, json: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(json);
        object.text("sub", self.sub);
        object.text("aud", self.aud);
        object.number("nbf", self.iat);
        match self.scope {
            ScopeClaim::Array(scope) => object.plain_texts("scope", scope.iter()),
            ScopeClaim::Text(scope) => object.plain_text("scope", scope.as_str()),
        }
        object.text("iss", self.iss);
        object.number("exp", self.exp);
        object.number("iat", self.iat);
        object.plain_text("jti", self.jti.text(&mut [0; UUID_LEN]));
        object.plain_text("sid", self.sid.base64url(&mut [0; SessionId::TEXT_LEN]));
        if let Some(client_id) = self.client_id {
            object.text("client_id", client_id);
        }
        if let Some(auth_time) = self.auth_time {
            object.number("auth_time", auth_time);
        }
        if let Some(amr) = self.amr {
            object.plain_texts("amr", amr.iter().copied());
        }
        if let Some(cnf) = &self.cnf {
            object.value("cnf", cnf);
        }
        object.members(self.custom.iter());
        object.end();
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
pub(crate) struct IdClaims<'a> {
    sub: &'a str,
    client: &'a str,
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
        let iat = facts.now.as_unix_secs();
        Self {
            sub: facts.session.subject().as_str(),
            client: facts.session.client().as_str(),
            iss: facts.issuer,
            exp: iat.saturating_add(validity.id_token.as_secs()),
            iat,
            jti: facts.token_id,
            auth_time: facts.session.auth_time().as_unix_secs(),
            amr: facts.session.amr(),
            sid: facts.session_id,
        }
    }

    /// Writes the claims as JSON.
    pub(crate) fn write(&self, json: &mut Vec<u8>) {
        let mut object = ObjectWriter::begin(json);
        object.text("sub", self.sub);
        // The client is the audience, and the only one.
        object.text("aud", self.client);
        object.text("azp", self.client);
        object.text("iss", self.iss);
        object.number("exp", self.exp);
        object.number("iat", self.iat);
        object.plain_text("jti", self.jti.text(&mut [0; UUID_LEN]));
        object.number("auth_time", self.auth_time);
        object.plain_texts("amr", self.amr.iter().copied());
        object.plain_text("sid", self.sid.base64url(&mut [0; SessionId::TEXT_LEN]));
        object.end();
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
