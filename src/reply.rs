//! Replies: the one place where answers and errors meet the wire.

use std::borrow::Cow;

use serde::Serialize;

use crate::address::Channel;
use crate::error::{DeliveryFailure, SendError, TokenError};
use crate::scope::Scope;
use crate::secret::{AccessToken, IdToken, OtpToken, RefreshToken};
use crate::time::secs_rounded_up;

/// What the host writes out: a status, headers and a body.
#[must_use]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Vec<u8>,
}

impl Reply {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers, names in the case that HTTP/1.1 documents use.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The value of a header, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, taken out.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// A public document that may be cached, such as the key set.
    pub(crate) fn cacheable(body: Vec<u8>) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type", JSON.into()), ("Cache-Control", "public, max-age=300".into())],
            body,
        }
    }

    fn json(status: u16, body: &impl Serialize) -> Self {
        let mut json = Vec::with_capacity(TYPICAL_BODY);
        // Writing these structures into memory can't fail; were it to, an empty body would say nothing wrong.
        if serde_json::to_writer(&mut json, body).is_err() {
            json.clear();
        }
        let mut headers = Vec::with_capacity(4);
        headers.push(("Content-Type", JSON.into()));
        headers.push(("Cache-Control", "no-store".into()));
        headers.push(("Pragma", "no-cache".into()));
        Self { status, headers, body: json }
    }

    fn error(status: u16, error: &str) -> Self {
        Self::json(status, &ErrorBody { error, ..ErrorBody::default() })
    }

    fn described(status: u16, error: &str, error_description: &str) -> Self {
        Self::json(status, &ErrorBody { error, error_description, attempts_remaining: None })
    }

    fn invalid_client(basic: bool) -> Self {
        let mut reply = Self::error(401, "invalid_client");
        if basic {
            reply.headers.push(("WWW-Authenticate", "Basic".into()));
        }
        reply
    }

    fn invalid_auth_source() -> Self {
        Self::described(400, "invalid_auth_source", "Auth source and application not associated")
    }
}

impl core::fmt::Debug for Reply {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// What the token endpoint grants (RFC 6749 section 5.1).
#[derive(Debug)]
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
            TokenError::TemporarilyUnavailable => {
                Self::described(503, "temporarily_unavailable", "Temporarily unavailable. It is safe to try again.")
            }
        }
    }
}

/// What the send endpoint answers when a code is on its way.
pub(crate) struct SendResponse {
    pub(crate) otp_token: OtpToken,
    pub(crate) expires_in: u64,
    pub(crate) code_length: u8,
    pub(crate) resend_after: u64,
}

impl From<SendResponse> for Reply {
    fn from(response: SendResponse) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            otp_token: &'a str,
            expires_in: u64,
            code_length: u8,
            resend_after: u64,
        }
        let SendResponse { otp_token, expires_in, code_length, resend_after } = response;
        Self::json(200, &Body { otp_token: otp_token.expose_secret(), expires_in, code_length, resend_after })
    }
}

impl From<SendError> for Reply {
    fn from(error: SendError) -> Self {
        match error {
            SendError::InvalidRequest(cause) => Self::described(400, "invalid_request", &cause.to_string()),
            SendError::MalformedAddress(Channel::Sms) => Self::error(400, "malformed_phone_number"),
            SendError::MalformedAddress(Channel::Email) => Self::error(400, "malformed_email"),
            SendError::InvalidClient { basic } => Self::invalid_client(basic),
            SendError::UnauthorizedClient => Self::error(400, "unauthorized_client"),
            SendError::InvalidAuthSource => Self::invalid_auth_source(),
            SendError::AddressIsUsed(Channel::Sms) => Self::error(400, "phone_number_is_used"),
            SendError::AddressIsUsed(Channel::Email) => Self::error(400, "email_is_used"),
            SendError::RateLimited { channel, retry_after } => {
                let mut reply = match channel {
                    Channel::Sms => {
                        Self::described(400, "sms_rate_limit_exceeded", "SMS rate limit exceeded for same phone number")
                    }
                    Channel::Email => Self::described(
                        400,
                        "email_rate_limit_exceeded",
                        "Email rate limit exceeded for same email address",
                    ),
                };
                reply.headers.push(("Retry-After", secs_rounded_up(retry_after).to_string().into()));
                reply
            }
            SendError::TemporarilyUnavailable => Self::not_sent(),
        }
    }
}

impl Reply {
    /// What the client hears when the host reports that a code could not be delivered.
    pub(crate) fn delivery_failed(channel: Channel, failure: DeliveryFailure) -> Self {
        match (failure, channel) {
            (DeliveryFailure::AddressRefused, Channel::Email) => Self::error(400, "invalid_email"),
            (DeliveryFailure::AddressRefused, Channel::Sms) => Self::error(400, "invalid_phone_number"),
            (DeliveryFailure::InsufficientQuota, Channel::Email) => Self::error(400, "insufficient_email_quota"),
            (DeliveryFailure::InsufficientQuota, Channel::Sms) => Self::error(400, "insufficient_sms_quota"),
            (DeliveryFailure::Undeliverable, _) => Self::not_sent(),
        }
    }

    fn not_sent() -> Self {
        Self::described(503, "temporarily_unavailable", "Failed to send OTP. Please try again later.")
    }
}

#[derive(Default, Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_remaining: Option<usize>,
}

const JSON: &str = "application/json;charset=UTF-8";

/// A token response with RS256 signatures fits without growing.
const TYPICAL_BODY: usize = 2048;
