//! Why a verb other than `begin` was refused.

use std::fmt;

use otp_grant::Reply;
use otp_grant::jwt::AccessTokenError;
use otp_grant::server::{AccessTokenCheckError, KeyringError, VerifyError};
use otp_grant::wire::{InsufficientScope, NoAccessToken, Unavailable};
use serde_json::json;

/// Why a verb was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(Cause);

impl Refusal {
    /// Returns the name of the reason. It is stable.
    pub fn code(&self) -> &'static str {
        match &self.0 {
            Cause::NoToken(_) => "no_token",
            Cause::Check(AccessTokenCheckError::Refused(cause) | AccessTokenCheckError::RefusedWithProof(cause)) => {
                match cause {
                    AccessTokenError::NotAnAccessToken => "not_an_access_token",
                    AccessTokenError::WrongIssuer => "wrong_issuer",
                    AccessTokenError::WrongAudience => "wrong_audience",
                    AccessTokenError::Expired => "expired",
                    AccessTokenError::KeyBound => "key_bound",
                    AccessTokenError::NotKeyBound => "not_key_bound",
                    AccessTokenError::Dpop(_) => INVALID_DPOP_PROOF,
                    _ => "invalid_token",
                }
            }
            Cause::Check(AccessTokenCheckError::Revoked | AccessTokenCheckError::RevokedWithProof) => "revoked",
            Cause::Check(AccessTokenCheckError::UseDpopNonce(_)) => "use_dpop_nonce",
            Cause::Scope(_) => "insufficient_scope",
            Cause::Verify(VerifyError::UnknownOtpToken) => "unknown_otp_token",
            Cause::Verify(VerifyError::MismatchedOtpToken) => "mismatched_otp_token",
            Cause::Verify(VerifyError::UnknownOtp { .. }) => "unknown_otp",
            Cause::Verify(VerifyError::InvalidDpopProof(_)) => INVALID_DPOP_PROOF,
            Cause::Keyring(KeyringError::OtherIndexSecret) => "other_index_secret",
            Cause::Keyring(KeyringError::NoSharedSealingSecret) => "no_shared_sealing_secret",
            // A reason that a later version has is also not the caller's.
            Cause::Check(_) | Cause::Verify(_) | Cause::Keyring(_) | Cause::Unavailable => TEMPORARILY_UNAVAILABLE,
        }
    }

    /// Returns the reason as a text for the log.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Returns how many guesses the code has left, where the code was wrong.
    pub fn attempts_remaining(&self) -> Option<usize> {
        match self.0 {
            Cause::Verify(VerifyError::UnknownOtp { attempts_remaining }) => Some(attempts_remaining),
            _ => None,
        }
    }

    /// Tells whether a part of the host failed. The call is safe to repeat.
    pub fn is_temporary(&self) -> bool {
        self.code() == TEMPORARILY_UNAVAILABLE
    }

    /// Returns `code`, `message` and, where there is one, `attempts_remaining` as a JSON object.
    pub fn to_json(&self) -> String {
        let mut object = json!({ "code": self.code(), "message": self.message() });
        if let (Some(remaining), Some(members)) = (self.attempts_remaining(), object.as_object_mut()) {
            members.insert("attempts_remaining".to_owned(), remaining.into());
        }
        object.to_string()
    }

    /// Returns the reply of an API whose caller presented the token: 401 with a challenge and, where it is needed, a
    /// `DPoP-Nonce`; 403 or 503. `None` for the refusals of other verbs, except where a part of the host failed.
    pub fn reply(&self) -> Option<Reply> {
        match &self.0 {
            Cause::NoToken(error) => Some((*error).into()),
            Cause::Check(error) => Some(error.clone().into()),
            Cause::Scope(error) => Some(error.clone().into()),
            _ if self.is_temporary() => Some(Reply::unavailable()),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::NoToken(error) => error.fmt(f),
            Cause::Check(error) => error.fmt(f),
            Cause::Scope(error) => error.fmt(f),
            Cause::Verify(error) => error.fmt(f),
            Cause::Keyring(error) => error.fmt(f),
            Cause::Unavailable => f.write_str("temporarily unavailable"),
        }
    }
}

impl std::error::Error for Refusal {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    NoToken(NoAccessToken),
    Check(AccessTokenCheckError),
    Scope(InsufficientScope),
    Verify(VerifyError),
    Keyring(KeyringError),
    Unavailable,
}

impl From<NoAccessToken> for Refusal {
    fn from(error: NoAccessToken) -> Self {
        Self(Cause::NoToken(error))
    }
}

impl From<AccessTokenError> for Refusal {
    fn from(error: AccessTokenError) -> Self {
        Self(Cause::Check(AccessTokenCheckError::Refused(error)))
    }
}

impl From<AccessTokenCheckError> for Refusal {
    fn from(error: AccessTokenCheckError) -> Self {
        Self(Cause::Check(error))
    }
}

impl From<InsufficientScope> for Refusal {
    fn from(error: InsufficientScope) -> Self {
        Self(Cause::Scope(error))
    }
}

impl From<VerifyError> for Refusal {
    fn from(error: VerifyError) -> Self {
        Self(Cause::Verify(error))
    }
}

impl From<KeyringError> for Refusal {
    fn from(error: KeyringError) -> Self {
        Self(Cause::Keyring(error))
    }
}

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Self(Cause::Unavailable)
    }
}

const INVALID_DPOP_PROOF: &str = "invalid_dpop_proof";
const TEMPORARILY_UNAVAILABLE: &str = "temporarily_unavailable";
