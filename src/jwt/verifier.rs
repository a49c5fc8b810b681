//! Checks access tokens of this server, for the server itself and for the APIs that the tokens are for.

use serde_json::{Map, Value};

use crate::directory::CustomClaims;
use crate::id::{ClientId, Issuer, SessionId, Subject, TokenId};
use crate::jwt::claims::AccessTokenProfile;
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::jws::{self, JwsError};
use crate::jwt::signing_key::JwtType;
use crate::scope::Scope;
use crate::time::{CLOCK_TOLERANCE, Timestamp};
use crate::wire::strict;

/// Checks access tokens offline: signature, type, issuer and time. It does not know of revocation.
#[derive(Clone, Debug)]
pub struct AccessTokenVerifier {
    issuer: Issuer,
    keys: PublicKeySet,
    profile: AccessTokenProfile,
}

impl AccessTokenVerifier {
    /// A verifier for the tokens of one issuer, signed by one of these keys.
    pub fn new(issuer: Issuer, keys: PublicKeySet, profile: AccessTokenProfile) -> Self {
        Self { issuer, keys, profile }
    }

    /// The keys that it knows.
    pub fn keys(&self) -> &PublicKeySet {
        &self.keys
    }

    /// Checks a token at an instant, and reads its claims. Every claim has to be there and of its type.
    ///
    /// # Errors
    /// [`AccessTokenError`], which tells no more than the kind of fault.
    pub fn verify(
        &self,
        token: &str,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        let (read, not_before) = self.authenticate(token)?;
        // The issuer's clock may be a little ahead; its tokens are still valid at once. None is valid for longer.
        let too_early = !now.after(CLOCK_TOLERANCE).has_reached(not_before);
        if now.has_reached(read.expires_at) || too_early {
            return Err(AccessTokenError::Expired);
        }
        match audience {
            Audience::Client(client) if *client != read.client => Err(AccessTokenError::WrongAudience),
            _ => Ok(read),
        }
    }

    /// Checks all of a token but its time and its client. Returns from when it is valid, too.
    pub(crate) fn authenticate(&self, token: &str) -> Result<(AccessTokenClaims, Timestamp), AccessTokenError> {
        let (typ, claims) = self.authentic(token)?;
        // RFC 8725 section 3.11: an ID token, or a token of the other profile, is no access token.
        match (&self.profile, typ) {
            (AccessTokenProfile::Jwt, JwtType::Jwt) => {}
            (AccessTokenProfile::Rfc9068 { audience }, JwtType::AccessToken) => {
                if text(&claims, "aud")? != audience {
                    return Err(AccessTokenError::WrongAudience);
                }
            }
            _ => return Err(AccessTokenError::NotAnAccessToken),
        }
        let not_before = instant(&claims, "nbf")?;
        Ok((read(typ, claims)?, not_before))
    }

    /// Reads a token for its revocation. Hosts may be changing from one profile to the other, so that either is known, with
    /// whatever audience.
    pub(crate) fn authenticate_any_profile(&self, token: &str) -> Result<AccessTokenClaims, AccessTokenError> {
        let (typ, claims) = self.authentic(token)?;
        read(typ, claims)
    }

    /// The type and the claims of a token that this issuer signed.
    fn authentic(&self, token: &str) -> Result<(JwtType, Map<String, Value>), AccessTokenError> {
        let jws = jws::verify(token, &self.keys).map_err(AccessTokenError::Jws)?;
        let types = [JwtType::Jwt, JwtType::AccessToken];
        let typ = types.into_iter().find(|typ| jws.typ() == Some(typ.as_str()));
        let typ = typ.ok_or(AccessTokenError::NotAnAccessToken)?;
        let claims = strict::object(jws.payload()).map_err(|_| AccessTokenError::NotAnAccessToken)?;
        if text(&claims, "iss")? != self.issuer.as_str() {
            return Err(AccessTokenError::WrongIssuer);
        }
        Ok((typ, claims))
    }
}

/// Reads the claims of an access token of the profile that has this type.
fn read(typ: JwtType, object: Map<String, Value>) -> Result<AccessTokenClaims, AccessTokenError> {
    let missing = AccessTokenError::NotAnAccessToken;
    let claims = &object;
    let (client, scope) = match typ {
        JwtType::Jwt => {
            let tokens = claims.get("scope").and_then(Value::as_array).ok_or(missing)?;
            let tokens: Option<Vec<&str>> = tokens.iter().map(Value::as_str).collect();
            (text(claims, "aud")?, tokens.ok_or(missing)?.join(" "))
        }
        JwtType::AccessToken => (text(claims, "client_id")?, text(claims, "scope")?.to_owned()),
    };
    Ok(AccessTokenClaims {
        subject: Subject::new(text(claims, "sub")?).map_err(|_| missing)?,
        client: ClientId::new(client).map_err(|_| missing)?,
        scope: Scope::parse(&scope).map_err(|_| missing)?,
        token_id: TokenId::try_from(text(claims, "jti")?.to_owned()).map_err(|_| missing)?,
        session: SessionId::try_from(text(claims, "sid")?.to_owned()).map_err(|_| missing)?,
        issued_at: instant(claims, "iat")?,
        expires_at: instant(claims, "exp")?,
        auth_time: claims.contains_key("auth_time").then(|| instant(claims, "auth_time")).transpose()?,
        amr: claims.get("amr").map_or(Some(Vec::new()), texts).ok_or(missing)?,
        custom: CustomClaims::of_token(object),
    })
}

/// Whose tokens are accepted (RFC 8725 section 3.9).
///
/// The `aud` claim names the client under [`AccessTokenProfile::Jwt`]. Under RFC 9068 it has to be the audience of the
/// profile in any case, and this is about the `client_id` beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience<'a> {
    /// Those of one client: for an API that serves it alone.
    Client(&'a ClientId),
    /// Those of every client of the issuer: for an API that serves them all.
    EveryClient,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessTokenClaims {
    /// The user (`sub`).
    pub subject: Subject,
    /// The client that the token was issued to.
    pub client: ClientId,
    /// What it may do.
    pub scope: Scope,
    /// Names this token (`jti`).
    pub token_id: TokenId,
    /// Names the login that it comes from (`sid`).
    pub session: SessionId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// When the user logged in (`auth_time`): in tokens of RFC 9068 (section 2.2.1), and in others where
    /// [the settings](crate::Settings::authentication_claims) say so.
    pub auth_time: Option<Timestamp>,
    /// How the user logged in (`amr`, RFC 8176), as for [`auth_time`](Self::auth_time).
    pub amr: Vec<String>,
    /// The claims that are the host's own.
    pub custom: CustomClaims,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// It is malformed, or its signature is not by one of the keys.
    Jws(JwsError),
    /// It is signed, but is not an access token: an ID token, or one with a claim missing or of the wrong type.
    NotAnAccessToken,
    /// It comes from another issuer.
    WrongIssuer,
    /// It is meant for another API or client.
    WrongAudience,
    /// It has expired, or is not valid yet.
    Expired,
}

impl core::fmt::Display for AccessTokenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Jws(cause) => return cause.fmt(f),
            Self::NotAnAccessToken => "not an access token",
            Self::WrongIssuer => "the token comes from another issuer",
            Self::WrongAudience => "the token is meant for another audience",
            Self::Expired => "the token has expired or is not valid yet",
        })
    }
}

impl core::error::Error for AccessTokenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Jws(cause) => Some(cause),
            _ => None,
        }
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Result<&'c str, AccessTokenError> {
    claims.get(name).and_then(Value::as_str).ok_or(AccessTokenError::NotAnAccessToken)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn instant(claims: &Map<String, Value>, name: &str) -> Result<Timestamp, AccessTokenError> {
    let secs = claims.get(name).and_then(Value::as_u64).ok_or(AccessTokenError::NotAnAccessToken)?;
    Ok(Timestamp::from_unix_secs(secs))
}
