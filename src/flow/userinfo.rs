//! Userinfo: a client asks for the claims of the user of its access token.

use crate::directory::Directory;
use crate::flow::check_access_token::{AccessTokenCheckError, check_access_token, check_with_proof};
use crate::flow::core::Core;
use crate::jwt::verifier::{AccessTokenError, Audience};
use crate::store::Store;
use crate::wire::error::UserinfoError;
use crate::wire::reply::UserinfoResponse;
use crate::wire::request::{TokenScheme, UserinfoRequest};

/// Returns the claims that the client of the token may see of its user.
pub(crate) async fn userinfo<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: UserinfoRequest<'_>,
) -> Result<UserinfoResponse, UserinfoError> {
    let token = request.access_token.expose_secret();
    let claims = match (request.scheme, &core.proof_targets.userinfo) {
        (TokenScheme::Bearer, _) => check_access_token(core, token.into(), Audience::EveryClient).await?,
        (TokenScheme::Dpop { proof, method }, Some(target)) => {
            check_with_proof(core, token, proof.as_ref(), method, target, Audience::EveryClient).await?
        }
        // Without a URL of its own, the endpoint is not served.
        (TokenScheme::Dpop { .. }, None) => return Err(UserinfoError::InvalidBoundToken),
    };
    if !claims.scope.contains("openid") {
        return Err(match claims.key {
            None => UserinfoError::InsufficientScope,
            Some(_) => UserinfoError::InsufficientScopeOfBoundToken,
        });
    }
    let answer = core.directory.user_claims(&claims.subject, &claims.client, &claims.scope).await;
    let user_claims = core.looked_up(answer).map_err(|_| UserinfoError::TemporarilyUnavailable)?;
    Ok(UserinfoResponse { subject: claims.subject, claims: user_claims.within(&claims.scope) })
}

impl From<AccessTokenCheckError> for UserinfoError {
    fn from(error: AccessTokenCheckError) -> Self {
        match error {
            AccessTokenCheckError::Refused(cause) => cause.into(),
            AccessTokenCheckError::Revoked => Self::InvalidToken,
            AccessTokenCheckError::RefusedWithProof(AccessTokenError::Dpop(cause)) => Self::InvalidDpopProof(cause),
            AccessTokenCheckError::RefusedWithProof(_) | AccessTokenCheckError::RevokedWithProof => {
                Self::InvalidBoundToken
            }
            AccessTokenCheckError::UseDpopNonce(nonce) => Self::UseDpopNonce(nonce),
            AccessTokenCheckError::TemporarilyUnavailable => Self::TemporarilyUnavailable,
        }
    }
}

impl From<AccessTokenError> for UserinfoError {
    fn from(error: AccessTokenError) -> Self {
        match error {
            AccessTokenError::Dpop(cause) => Self::InvalidDpopProof(cause),
            AccessTokenError::KeyBound | AccessTokenError::NotKeyBound => Self::InvalidBoundToken,
            _ => Self::InvalidToken,
        }
    }
}
