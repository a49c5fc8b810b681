//! Checks an access token: first what the token says, then whether it was revoked since.

use crate::directory::Directory;
use crate::directory::user::{User, UserStatus};
use crate::dpop::target::Target;
use crate::dpop::{DpopError, DpopNonce, DpopSupport};
use crate::flow::commit::Turn;
use crate::flow::core::Core;
use crate::flow::dpop;
use crate::flow::record;
use crate::flow::used_once::{UsedOnceRefused, use_once};
use crate::id::ClientId;
use crate::jwt::dpop_proof::DpopProof;
use crate::jwt::verifier::{AccessTokenClaims, AccessTokenError, Audience};
use crate::observer::Event;
use crate::scope::Scope;
use crate::session::Session;
use crate::store::Store;
use crate::wire::error::{InsufficientScope, Unavailable, UserinfoError};
use crate::wire::reply::Reply;
use crate::wire::request::{DpopHeader, PresentedAccessToken};

/// Checks that an access token is good now. The token has not expired and was not revoked, its session is not over, and
/// its user may log in.
pub(crate) async fn check_access_token<S: Store, D: Directory>(
    core: &Core<S, D>,
    presented: PresentedAccessToken<'_>,
    audience: Audience<'_>,
) -> Result<AccessTokenClaims, AccessTokenCheckError> {
    match presented {
        PresentedAccessToken::Bearer(token) => {
            let claims = core.verifier.verify(token, audience, core.clock.now());
            check_session(core, claims.map_err(AccessTokenCheckError::Refused)?).await
        }
        PresentedAccessToken::Dpop(token, proof) => {
            let target = Target::new(proof.url()).ok_or(refused(DpopError::WrongUrl))?;
            check_with_proof(core, token, proof.header(), proof.method(), &target, audience).await
        }
    }
}

/// Checks an access token together with the proof of its key. The proof must be for this method and this URL.
pub(crate) async fn check_with_proof<S: Store, D: Directory>(
    core: &Core<S, D>,
    token: &str,
    proof: Option<&DpopHeader<'_>>,
    method: &str,
    target: &Target,
    audience: Audience<'_>,
) -> Result<AccessTokenClaims, AccessTokenCheckError> {
    let now = core.clock.now();
    let header = proof.ok_or(refused(DpopError::Missing))?;
    let proof = DpopProof::verify(header.as_str(), method, target, now).map_err(refused)?;
    let claims = core.verifier.verify_bound(token, &proof, audience, now);
    let claims = claims.map_err(AccessTokenCheckError::RefusedWithProof)?;
    if !dpop::has_nonce(core, &proof) && requires_nonce(core, &claims.client).await? {
        return Err(AccessTokenCheckError::UseDpopNonce(dpop::next_nonce(core)));
    }
    let claims = check_session(core, claims).await.map_err(|error| match error {
        AccessTokenCheckError::Revoked => AccessTokenCheckError::RevokedWithProof,
        error => error,
    })?;
    if core.settings.dpop == DpopSupport::Strict {
        let parts = [proof.name().as_slice(), method.as_bytes(), target.as_str().as_bytes()];
        let key = core.keyring.used_once_key("proof", parts);
        match use_once(&mut Turn::new(core), key, proof.ends_at()).await {
            Ok(_) => {}
            Err(UsedOnceRefused::Used) => {
                core.observer.event(&Event::ProofReplayed { client: &claims.client });
                return Err(refused(DpopError::Replayed));
            }
            Err(UsedOnceRefused::Unavailable) => return Err(Unavailable.into()),
        }
    }
    Ok(claims)
}

fn refused(error: DpopError) -> AccessTokenCheckError {
    AccessTokenCheckError::RefusedWithProof(AccessTokenError::Dpop(error))
}

/// Checks an access token for a caller that does not use it. A token that is bound to a key needs no proof.
pub(crate) async fn check_unproven<S: Store, D: Directory>(
    core: &Core<S, D>,
    token: &str,
    audience: Audience<'_>,
) -> Result<AccessTokenClaims, AccessTokenCheckError> {
    let claims = core.verifier.verify_either(token, audience, core.clock.now());
    check_session(core, claims.map_err(AccessTokenCheckError::Refused)?).await
}

/// Tells whether the proofs of a client must have a nonce.
async fn requires_nonce<S: Store, D: Directory>(core: &Core<S, D>, client: &ClientId) -> Result<bool, Unavailable> {
    let client = core.looked_up(core.directory.client(client).await)?;
    Ok(client.is_some_and(|client| client.dpop().requires_nonce()))
}

/// Checks that neither a token nor its session was revoked, and that its user may log in.
async fn check_session<S: Store, D: Directory>(
    core: &Core<S, D>,
    claims: AccessTokenClaims,
) -> Result<AccessTokenClaims, AccessTokenCheckError> {
    let loaded = record::load::<Session, _, _>(core, core.keyring.session_key(&claims.session)).await?;
    // `now` is the instant to decide at. It can be a little later than the clock reading.
    let (session, now) = loaded.state().ok_or(AccessTokenCheckError::Revoked)?.seen_at(loaded.now());
    if session.is_over(now) || session.has_revoked(&claims.token_id) || active_user(core, &session).await?.is_none() {
        return Err(AccessTokenCheckError::Revoked);
    }
    Ok(claims)
}

/// Returns the user of a session. Returns `None` unless the user exists, may log in, and has not ended all sessions
/// since this session began.
pub(crate) async fn active_user<S: Store, D: Directory>(
    core: &Core<S, D>,
    session: &Session,
) -> Result<Option<User>, Unavailable> {
    let user = core.looked_up(core.directory.user_by_subject(session.subject()).await)?;
    let is_active = |user: &User| {
        user.status == UserStatus::Active
            && !session.is_ended_by(user.tokens_valid_after)
            && session.suits(user.is_test)
    };
    Ok(user.filter(is_active))
}

/// Why an access token is not accepted now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessTokenCheckError {
    /// The token itself was refused.
    Refused(AccessTokenError),
    /// The token or its session was revoked, the session is over, or its user may no longer log in.
    Revoked,
    /// The token or its proof was refused, for a request that presents both.
    RefusedWithProof(AccessTokenError),
    /// As [`Revoked`](Self::Revoked), for a request that presents a proof.
    RevokedWithProof,
    /// The proof must contain this nonce (RFC 9449 section 9).
    UseDpopNonce(DpopNonce),
    /// The host's fault: the store or the directory failed. The check is safe to repeat.
    TemporarilyUnavailable,
}

impl core::fmt::Display for AccessTokenCheckError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Refused(cause) | Self::RefusedWithProof(cause) => return cause.fmt(f),
            Self::Revoked | Self::RevokedWithProof => "the token was revoked",
            Self::UseDpopNonce(_) => "the DPoP proof must contain the nonce of the server",
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl core::error::Error for AccessTokenCheckError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(cause) | Self::RefusedWithProof(cause) => Some(cause),
            _ => None,
        }
    }
}

/// Answers `invalid_token` with its challenge (RFC 6750 section 3), or 503. The reply does not say why the token was
/// refused.
impl From<AccessTokenCheckError> for Reply {
    fn from(error: AccessTokenCheckError) -> Self {
        match error {
            AccessTokenCheckError::TemporarilyUnavailable => Self::unavailable(),
            error => UserinfoError::from(error).into(),
        }
    }
}

/// Answers `invalid_token` with its challenge (RFC 6750 section 3). The reply does not say why the token was refused.
impl From<AccessTokenError> for Reply {
    fn from(error: AccessTokenError) -> Self {
        UserinfoError::from(error).into()
    }
}

impl AccessTokenClaims {
    /// Refuses a token that does not have the whole `needed` scope.
    ///
    /// ```
    /// # use otp_grant::*;
    /// # use otp_grant::jwt::Audience;
    /// # struct Orders;
    /// # type Server = AuthorizationServer<MemoryStore, MemoryDirectory>;
    /// async fn orders(server: &Server, needed: &Scope, request: Request<'_>) -> Result<Orders, Reply> {
    ///     let token = request.access_token("https://api.example.com/orders")?;
    ///     let claims = server.check_access_token(token, Audience::EveryClient).await?;
    ///     claims.require_scope(needed)?;
    ///     Ok(Orders)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`InsufficientScope`]. The host can convert it into the [`Reply`] that names the scope.
    pub fn require_scope(&self, needed: &Scope) -> Result<(), InsufficientScope> {
        if needed.is_subset_of(&self.scope) { Ok(()) } else { Err(InsufficientScope::new(needed, self.key.is_some())) }
    }
}

impl From<Unavailable> for AccessTokenCheckError {
    fn from(_: Unavailable) -> Self {
        Self::TemporarilyUnavailable
    }
}
