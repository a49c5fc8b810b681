//! Replies of the token endpoint.

use super::{ErrorBody, Reply};
use crate::dpop::DpopNonce;
use crate::scope::Scope;
use crate::secret::{AccessToken, DeviceToken, IdToken, RefreshToken};
use crate::wire::error::TokenError;
use crate::wire::object::ObjectWriter;

/// The answer of the token endpoint (RFC 6749 section 5.1).
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
    /// How the access token is presented.
    pub token_type: TokenType,
    /// The nonce for the client's next DPoP proof, where the client needs one.
    pub dpop_nonce: Option<DpopNonce>,
    /// The token by which the client's device is known from now on, where the client asked for it.
    pub device_token: Option<DeviceToken>,
}

/// How an access token is presented (RFC 6749 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// Alone. Every holder can use it (RFC 6750).
    Bearer,
    /// With a proof of the key that it is bound to (RFC 9449).
    Dpop,
}

impl TokenType {
    /// Returns the value of `token_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

impl From<TokenResponse> for Reply {
    fn from(response: TokenResponse) -> Self {
        let TokenResponse {
            access_token,
            refresh_token,
            id_token,
            scope,
            expires_in,
            token_type,
            dpop_nonce,
            device_token,
        } = response;
        let secrets = [Some(access_token.expose_secret()), refresh_token.as_ref().map(RefreshToken::expose_secret)];
        let of_device = device_token.as_ref().map(DeviceToken::expose_secret);
        let tokens =
            secrets.into_iter().chain([id_token.as_ref().map(IdToken::expose_secret), Some(scope.as_str()), of_device]);
        // The buffer has room for the whole body and is never moved. No part of a token stays behind in memory.
        let room = tokens.flatten().map(str::len).sum::<usize>().saturating_add(NAMES_AND_NUMBERS);
        let mut body = Vec::with_capacity(room);
        let mut object = ObjectWriter::begin(&mut body);
        object.plain_text("access_token", access_token.expose_secret());
        if let Some(refresh_token) = refresh_token {
            object.plain_text("refresh_token", refresh_token.expose_secret());
        }
        object.plain_text("scope", scope.as_str());
        if let Some(id_token) = id_token {
            object.plain_text("id_token", id_token.expose_secret());
        }
        if let Some(device_token) = device_token {
            object.plain_text("device_token", device_token.expose_secret());
        }
        object.plain_text("token_type", token_type.as_str());
        object.number("expires_in", expires_in);
        object.end();
        Self::json_body(200, body).dpop_nonce(dpop_nonce.as_ref())
    }
}

/// More bytes than the names of all members, their punctuation and a number of seconds take.
const NAMES_AND_NUMBERS: usize = 160;

impl From<TokenError> for Reply {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::InvalidRequest(cause) => Self::described(400, "invalid_request", &cause.to_string()),
            TokenError::UnsupportedGrantType => Self::error(400, "unsupported_grant_type"),
            TokenError::InvalidClient(refused) => refused.into(),
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
            TokenError::InvalidDpopProof(cause) => Self::invalid_dpop_proof(cause),
            TokenError::UseDpopNonce(nonce) => Self::use_dpop_nonce(&nonce),
        }
    }
}
