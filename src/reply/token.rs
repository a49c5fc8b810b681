//! Replies of the token endpoint.

use serde::Serialize;

use super::{ErrorBody, Reply};
use crate::error::TokenError;
use crate::scope::Scope;
use crate::secret::{AccessToken, IdToken, RefreshToken};

/// What the token endpoint grants (RFC 6749 section 5.1).
#[derive(Debug)]
#[non_exhaustive]
pub struct TokenResponse {
    /// The signed access token.
    pub access_token: AccessToken,
    /// The refresh token, for clients that may refresh.
    pub refresh_token: Option<RefreshToken>,
    /// The ID token, where the scope has `openid`.
    pub id_token: Option<IdToken>,
    /// The scope that was granted.
    pub scope: Scope,
    /// The seconds until the access token expires.
    pub expires_in: u64,
}

impl From<TokenResponse> for Reply {
    fn from(response: TokenResponse) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            access_token: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            refresh_token: Option<&'a str>,
            scope: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            id_token: Option<&'a str>,
            token_type: &'static str,
            expires_in: u64,
        }
        Self::json(
            200,
            &Body {
                access_token: response.access_token.expose_secret(),
                refresh_token: response.refresh_token.as_ref().map(RefreshToken::expose_secret),
                scope: response.scope.as_str(),
                id_token: response.id_token.as_ref().map(IdToken::expose_secret),
                token_type: "Bearer",
                expires_in: response.expires_in,
            },
        )
    }
}

impl From<TokenError> for Reply {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::InvalidRequest(cause) => Self::described(400, "invalid_request", &cause.to_string()),
            TokenError::UnsupportedGrantType => Self::error(400, "unsupported_grant_type"),
            TokenError::InvalidClient { basic } => Self::invalid_client(basic),
            TokenError::UnauthorizedClient => Self::error(400, "unauthorized_client"),
            TokenError::InvalidAuthSource => Self::invalid_auth_source(),
            TokenError::UnknownOtpToken => Self::described(400, "invalid_grant", "Unknown or expired otp_token"),
            TokenError::MismatchedOtpToken => {
                Self::described(400, "invalid_request", "Mismatched OTP token and OTP sending parameters")
            }
            TokenError::UnknownOtp { attempts_remaining } => Self::json(
                400,
                &ErrorBody {
                    error: "invalid_grant",
                    error_description: "Unknown or expired OTP",
                    attempts_remaining: Some(attempts_remaining),
                },
            ),
            TokenError::UserNotFound => Self::described(400, "invalid_grant", "User not found"),
            TokenError::UserNotActive => Self::described(400, "invalid_grant", "Abnormal user status"),
            TokenError::InvalidScope => Self::error(400, "invalid_scope"),
            TokenError::UnknownRefreshToken => {
                Self::described(400, "invalid_grant", "Unknown or expired refresh_token")
            }
            TokenError::TemporarilyUnavailable => Self::temporarily_unavailable(),
        }
    }
}
