//! Userinfo: a client asks for the claims of the user of its access token.

use crate::directory::Directory;
use crate::flow::check_access_token::{AccessTokenCheckError, check_access_token};
use crate::flow::core::Core;
use crate::jwt::verifier::Audience;
use crate::store::Store;
use crate::wire::error::UserinfoError;
use crate::wire::reply::UserinfoResponse;
use crate::wire::request::UserinfoRequest;

/// Returns the claims that the client of the token may see of its user.
pub(crate) async fn userinfo<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: UserinfoRequest<'_>,
) -> Result<UserinfoResponse, UserinfoError> {
    let token = request.access_token.expose_secret();
    let claims = check_access_token(core, token, Audience::EveryClient).await?;
    if !claims.scope.contains("openid") {
        return Err(UserinfoError::InsufficientScope);
    }
    let answer = core.directory.user_claims(&claims.subject, &claims.client, &claims.scope).await;
    let user_claims = core.looked_up(answer).map_err(|_| UserinfoError::TemporarilyUnavailable)?;
    Ok(UserinfoResponse { subject: claims.subject, claims: user_claims.within(&claims.scope) })
}

impl From<AccessTokenCheckError> for UserinfoError {
    fn from(error: AccessTokenCheckError) -> Self {
        match error {
            AccessTokenCheckError::Refused(_) | AccessTokenCheckError::Revoked => Self::InvalidToken,
            AccessTokenCheckError::TemporarilyUnavailable => Self::TemporarilyUnavailable,
        }
    }
}
