//! Replies of the send endpoint.

use serde::Serialize;

use super::Reply;
use crate::address::Channel;
use crate::dpop::DpopNonce;
use crate::secret::OtpToken;
use crate::time::secs_rounded_up;
use crate::wire::error::{DeliveryFailure, SendError};

/// The answer of the send endpoint after a code was sent.
pub(crate) struct SendResponse {
    pub(crate) otp_token: OtpToken,
    pub(crate) expires_in: u64,
    pub(crate) code_expires_in: u64,
    pub(crate) code_length: u8,
    pub(crate) resend_after: u64,
    /// The nonce for the client's next DPoP proof, where the client needs one.
    pub(crate) dpop_nonce: Option<DpopNonce>,
}

impl From<SendResponse> for Reply {
    fn from(response: SendResponse) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            otp_token: &'a str,
            expires_in: u64,
            code_expires_in: u64,
            code_length: u8,
            resend_after: u64,
        }
        let SendResponse { otp_token, expires_in, code_expires_in, code_length, resend_after, dpop_nonce } = response;
        let otp_token = otp_token.expose_secret();
        Self::json(200, &Body { otp_token, expires_in, code_expires_in, code_length, resend_after })
            .dpop_nonce(dpop_nonce.as_ref())
    }
}

impl From<SendError> for Reply {
    fn from(error: SendError) -> Self {
        match error {
            SendError::InvalidRequest(cause) => Self::described(400, "invalid_request", &cause.to_string()),
            SendError::MalformedAddress(Channel::Sms) => Self::error(400, "malformed_phone_number"),
            SendError::MalformedAddress(Channel::Email) => Self::error(400, "malformed_email"),
            SendError::InvalidClient(refused) => refused.into(),
            SendError::UnauthorizedClient => Self::error(400, "unauthorized_client"),
            SendError::InvalidAuthSource => Self::invalid_auth_source(),
            SendError::AddressIsUsed(Channel::Sms) => Self::error(400, "phone_number_is_used"),
            SendError::AddressIsUsed(Channel::Email) => Self::error(400, "email_is_used"),
            SendError::RateLimited { channel, retry_after } => {
                let reply = match channel {
                    Channel::Sms => {
                        Self::described(400, "sms_rate_limit_exceeded", "SMS rate limit exceeded for same phone number")
                    }
                    Channel::Email => Self::described(
                        400,
                        "email_rate_limit_exceeded",
                        "Email rate limit exceeded for same email address",
                    ),
                };
                reply.retry_after(secs_rounded_up(retry_after))
            }
            SendError::ChallengeRequired => Self::error(400, "challenge_required"),
            SendError::CountryNotAllowed => Self::delivery_failed(Channel::Sms, DeliveryFailure::AddressRefused),
            SendError::InsufficientQuota(channel) => Self::delivery_failed(channel, DeliveryFailure::InsufficientQuota),
            SendError::TemporarilyUnavailable => Self::not_sent(),
            SendError::InvalidDpopProof(cause) => Self::invalid_dpop_proof(cause),
            SendError::UseDpopNonce(nonce) => Self::use_dpop_nonce(&nonce),
        }
    }
}

impl Reply {
    /// Makes the reply to the client after the host reported that a code could not be delivered.
    pub(crate) fn delivery_failed(channel: Channel, failure: DeliveryFailure) -> Self {
        match (failure, channel) {
            (DeliveryFailure::AddressRefused, Channel::Email) => Self::error(400, "invalid_email"),
            (DeliveryFailure::AddressRefused, Channel::Sms) => Self::error(400, "invalid_phone_number"),
            (DeliveryFailure::InsufficientQuota, Channel::Email) => Self::error(400, "insufficient_email_quota"),
            (DeliveryFailure::InsufficientQuota, Channel::Sms) => Self::error(400, "insufficient_sms_quota"),
            (DeliveryFailure::Undeliverable, _) => Self::not_sent(),
        }
    }

    /// Adds the time to wait to the reply, if there is one.
    pub(crate) fn retry_after(mut self, secs: u64) -> Self {
        if secs > 0 {
            self.headers.push(("Retry-After", secs.to_string().into()));
        }
        self
    }

    fn not_sent() -> Self {
        Self::described(503, "temporarily_unavailable", "Failed to send OTP. Please try again later.")
    }
}
