//! Userinfo: a client asks for the claims of the user whose access token it has.

use crate::access_token::Audience;
use crate::directory::Directory;
use crate::error::UserinfoError;
use crate::flow::Core;
use crate::flow::access_token::CheckError;
use crate::reply::UserinfoResponse;
use crate::request::UserinfoRequest;
use crate::store::Store;

impl<S: Store, D: Directory> Core<S, D> {
    /// Says what the token's client may know of the token's user.
    pub(crate) async fn userinfo(&self, request: UserinfoRequest<'_>) -> Result<UserinfoResponse, UserinfoError> {
        let token = request.access_token.expose_secret();
        let claims = self.check_access_token(token, Audience::EveryClient).await?;
        if !claims.scope.contains("openid") {
            return Err(UserinfoError::InsufficientScope);
        }
        let answer = self.directory.user_claims(&claims.subject, &claims.client, &claims.scope).await;
        let user_claims = self.asked(answer).map_err(|_| UserinfoError::TemporarilyUnavailable)?;
        Ok(UserinfoResponse { subject: claims.subject, claims: user_claims.within(&claims.scope) })
    }
}

impl From<CheckError> for UserinfoError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Refused(_) | CheckError::Revoked => Self::InvalidToken,
            CheckError::TemporarilyUnavailable => Self::TemporarilyUnavailable,
        }
    }
}
