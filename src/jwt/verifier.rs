//! Checks access tokens of this server, for the server itself and for the APIs that the tokens are for.

use serde_json::{Map, Value};

use crate::directory::CustomClaims;
use crate::dpop::DpopError;
use crate::id::{ClientId, Issuer, KeyThumbprint, SessionId, Subject, TokenId};
use crate::jwt::claims::AccessTokenProfile;
use crate::jwt::dpop_proof::DpopProof;
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::jws::{self, JwsError};
use crate::jwt::signing_key::JwtType;
use crate::scope::Scope;
use crate::time::{CLOCK_TOLERANCE, Timestamp};
use crate::wire::request::PresentedProof;
use crate::wire::strict;

/// Checks access tokens offline: signature, type, issuer and time. The check does not know about revocation.
#[derive(Clone, Debug)]
pub struct AccessTokenVerifier {
    issuer: Issuer,
    keys: PublicKeySet,
    profile: AccessTokenProfile,
}

impl AccessTokenVerifier {
    /// Makes a verifier for the tokens of one issuer that are signed by one of these keys.
    pub fn new(issuer: Issuer, keys: PublicKeySet, profile: AccessTokenProfile) -> Self {
        Self { issuer, keys, profile }
    }

    /// Returns the keys of the verifier.
    pub fn keys(&self) -> &PublicKeySet {
        &self.keys
    }

    /// Checks a token alone at an instant, and reads its claims. A token that is bound to a key is refused.
    ///
    /// Every required claim must be there, and must have its type.
    ///
    /// # Errors
    /// [`AccessTokenError`], which says only the kind of fault.
    pub fn verify(
        &self,
        token: &str,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        self.verify_either(token, audience, now).and_then(|read| match read.key {
            Some(_) => Err(AccessTokenError::KeyBound),
            None => Ok(read),
        })
    }

    /// Checks a token together with the proof of its key, at an instant. The token must be bound to a key.
    ///
    /// The check can't know whether the proof was used before, and does not look at its nonce.
    /// [`AuthorizationServer::check_access_token`](crate::AuthorizationServer::check_access_token) does both.
    ///
    /// # Errors
    /// [`AccessTokenError::Dpop`] where the proof is refused, and the errors of [`verify`](Self::verify).
    ///
    /// RFC 9449 section 7.
    pub fn verify_with_proof(
        &self,
        token: &str,
        proof: &PresentedProof<'_>,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        let proof = DpopProof::at_route(proof, now).map_err(AccessTokenError::Dpop)?;
        self.verify_bound(token, &proof, audience, now)
    }

    /// Checks a token that is bound to the key of a proof.
    pub(crate) fn verify_bound(
        &self,
        token: &str,
        proof: &DpopProof,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        let read = self.verify_either(token, audience, now)?;
        let key = read.key.ok_or(AccessTokenError::NotKeyBound)?;
        proof.is_for(token, &key).map_err(AccessTokenError::Dpop)?;
        Ok(read)
    }

    /// Checks a token that can be bound to a key. The caller must not serve a request with the token.
    pub(crate) fn verify_either(
        &self,
        token: &str,
        audience: Audience<'_>,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        let (read, not_before) = self.authenticate(token)?;
        // The clock of the issuer can be a little ahead. Its tokens are still accepted at once. The tolerance does not
        // extend the expiry.
        let too_early = !now.after(CLOCK_TOLERANCE).has_reached(not_before);
        if now.has_reached(read.expires_at) || too_early {
            return Err(AccessTokenError::Expired);
        }
        match audience {
            Audience::Client(client) if *client != read.client => Err(AccessTokenError::WrongAudience),
            _ => Ok(read),
        }
    }

    /// Checks everything about a token except its time and its client. Also returns the instant from which the token is
    /// valid.
    pub(crate) fn authenticate(&self, token: &str) -> Result<(AccessTokenClaims, Timestamp), AccessTokenError> {
        let (typ, claims) = self.authentic(token)?;
        // An ID token, or a token of the other profile, is not accepted as an access token (RFC 8725 section 3.11).
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

    /// Reads a token for its revocation. Hosts can be changing from one profile to the other. Both profiles are
    /// therefore accepted, with any audience.
    pub(crate) fn authenticate_any_profile(&self, token: &str) -> Result<AccessTokenClaims, AccessTokenError> {
        let (typ, claims) = self.authentic(token)?;
        read(typ, claims)
    }

    /// Returns the type and the claims of a token that this issuer signed.
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

/// Reads the claims of an access token. The type of the token decides on the profile.
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
        key: claims.get("cnf").map(|cnf| confirmed(cnf).ok_or(missing)).transpose()?,
        custom: CustomClaims::of_token(object),
    })
}

/// Whose tokens are accepted (RFC 8725 section 3.9).
///
/// Under [`AccessTokenProfile::Jwt`], the `aud` claim names the client. Under [`AccessTokenProfile::Rfc9068`], the
/// `aud` claim must always be the audience of the profile, and this choice applies to the `client_id` claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience<'a> {
    /// Accepts the tokens of one client. This is for an API that serves only that client.
    Client(&'a ClientId),
    /// Accepts the tokens of every client of the issuer. This is for an API that serves all clients.
    EveryClient,
}

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessTokenClaims {
    /// The user (`sub`).
    pub subject: Subject,
    /// The client that the token was issued to.
    pub client: ClientId,
    /// The scope of the token.
    pub scope: Scope,
    /// The identifier of the token (`jti`).
    pub token_id: TokenId,
    /// The session that the token belongs to (`sid`).
    pub session: SessionId,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// When the user logged in (`auth_time`). Tokens of RFC 9068 always say so (section 2.2.1). Other tokens say so
    /// where [the settings](crate::Settings::authentication_claims) ask for it.
    pub auth_time: Option<Timestamp>,
    /// How the user logged in (`amr`, RFC 8176), in the same tokens as [`auth_time`](Self::auth_time), and in each
    /// token of a [test identity](crate::otp::TestIdentity).
    pub amr: Vec<String>,
    /// The key that the token is bound to, if it is bound (`cnf`, RFC 9449 section 6.1).
    pub key: Option<KeyThumbprint>,
    /// The claims that the host added.
    pub custom: CustomClaims,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// The token is malformed, or none of the keys made its signature.
    Jws(JwsError),
    /// The token is signed but is not an access token. It is an ID token, or has a claim that is missing or of the
    /// wrong type.
    NotAnAccessToken,
    /// The token comes from another issuer.
    WrongIssuer,
    /// The token is meant for another API or client.
    WrongAudience,
    /// The token has expired or is not valid yet.
    Expired,
    /// The token is bound to a key, and is presented without a proof.
    KeyBound,
    /// The token is presented with a proof, but is not bound to a key.
    NotKeyBound,
    /// The proof of the key of the token was refused.
    Dpop(DpopError),
}

impl core::fmt::Display for AccessTokenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Jws(cause) => return cause.fmt(f),
            Self::Dpop(cause) => return cause.fmt(f),
            Self::KeyBound => "the token is bound to a key, which was not proved",
            Self::NotKeyBound => "the token is not bound to a key",
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
            Self::Dpop(cause) => Some(cause),
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

/// Reads the key of a `cnf` claim. A token that is bound in another way is not accepted.
fn confirmed(cnf: &Value) -> Option<KeyThumbprint> {
    KeyThumbprint::try_from(cnf.get("jkt")?.as_str()?.to_owned()).ok()
}

fn instant(claims: &Map<String, Value>, name: &str) -> Result<Timestamp, AccessTokenError> {
    let secs = claims.get(name).and_then(Value::as_u64).ok_or(AccessTokenError::NotAnAccessToken)?;
    Ok(Timestamp::from_unix_secs(secs))
}
