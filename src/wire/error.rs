//! The errors of the endpoints. Each error says who is at fault. [`Reply`](crate::Reply) turns errors into replies.

use core::time::Duration;

use crate::address::Channel;
use crate::dpop::{DpopError, DpopNonce};
use crate::scope::Scope;
use crate::wire::InvalidRequest;

/// Why the token endpoint refused a request (RFC 6749 section 5.2).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// The client's fault: the request is malformed.
    InvalidRequest(InvalidRequest),
    /// The client's fault: the grant type is unknown.
    UnsupportedGrantType,
    /// The client could not be authenticated.
    InvalidClient(InvalidClient),
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The auth source is unknown, belongs to the other channel, or is not associated with the client.
    InvalidAuthSource,
    /// This server did not make the otp_token, or the token was altered, has expired or is spent, or no guess is left.
    UnknownOtpToken,
    /// The client, the auth source, the address or the usage differs from the request that the code was sent for.
    MismatchedOtpToken,
    /// The code is wrong or has expired.
    UnknownOtp {
        /// The number of guesses that are left.
        attempts_remaining: usize,
    },
    /// The code was right, but the address has no user. The code stays good, and works again with `auto_signup`.
    UserNotFound,
    /// The code was right, but the user may not log in.
    UserNotActive,
    /// A requested scope is not allowed for the client, or was not granted at login.
    InvalidScope,
    /// This server did not make the refresh token, or the token was altered, belongs to another client, has expired, or
    /// was superseded or revoked, or its session is over.
    UnknownRefreshToken,
    /// The host's fault: the store, the directory, the random bytes or the signing key failed. The request is safe to
    /// repeat. At most one guess was spent. A refresh token is as good as before for the time of its retry window.
    TemporarilyUnavailable,
    /// The DPoP proof is missing or invalid, or was used before (RFC 9449 section 5).
    InvalidDpopProof(DpopError),
    /// The DPoP proof must contain this nonce (RFC 9449 section 8).
    UseDpopNonce(DpopNonce),
}

impl core::fmt::Display for TokenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest(cause) => return cause.fmt(f),
            Self::UnsupportedGrantType => "unsupported grant type",
            Self::InvalidClient(cause) => return cause.fmt(f),
            Self::UnauthorizedClient => "the client may not use this grant",
            Self::InvalidAuthSource => "auth source and client are not associated",
            Self::UnknownOtpToken => "unknown or expired otp_token",
            Self::MismatchedOtpToken => "otp_token and parameters do not match",
            Self::UnknownOtp { .. } => "unknown or expired code",
            Self::UserNotFound => "user not found",
            Self::UserNotActive => "the user is not active",
            Self::InvalidScope => "a scope is not allowed to the client",
            Self::UnknownRefreshToken => "unknown or expired refresh token",
            Self::TemporarilyUnavailable => "temporarily unavailable",
            Self::InvalidDpopProof(cause) => return cause.fmt(f),
            Self::UseDpopNonce(_) => USE_DPOP_NONCE,
        })
    }
}

impl core::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
            Self::InvalidDpopProof(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidClient> for TokenError {
    fn from(cause: InvalidClient) -> Self {
        Self::InvalidClient(cause)
    }
}

impl From<InvalidRequest> for TokenError {
    fn from(cause: InvalidRequest) -> Self {
        Self::InvalidRequest(cause)
    }
}

/// Why the send endpoint refused a request.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The client's fault: the request is malformed.
    InvalidRequest(InvalidRequest),
    /// The phone number or e-mail address is malformed.
    MalformedAddress(Channel),
    /// The client could not be authenticated.
    InvalidClient(InvalidClient),
    /// The client is public and may not send codes.
    UnauthorizedClient,
    /// The auth source is unknown, belongs to the other channel, or is not associated with the client.
    InvalidAuthSource,
    /// The address already belongs to a user. The server says so only where the host's settings disclose accounts.
    AddressIsUsed(Channel),
    /// The address was sent to too often, or has no guess left. Without a guess, a code could not be redeemed.
    RateLimited {
        /// The channel of the address.
        channel: Channel,
        /// How long the client must wait.
        retry_after: Duration,
    },
    /// The client must pass a challenge of the host, and then repeat the request. The send guard or the host's verdict
    /// asks for it.
    ChallengeRequired,
    /// The country of the phone number is not on the list of the send guard.
    CountryNotAllowed,
    /// The send guard or the host's verdict refuses the message. No challenge would help.
    InsufficientQuota(Channel),
    /// The host's fault: the store, the directory or the random bytes failed. The request is safe to repeat.
    TemporarilyUnavailable,
    /// The DPoP proof is missing or invalid (RFC 9449 section 5).
    InvalidDpopProof(DpopError),
    /// The DPoP proof must contain this nonce (RFC 9449 section 8).
    UseDpopNonce(DpopNonce),
}

impl core::fmt::Display for SendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest(cause) => return cause.fmt(f),
            Self::MalformedAddress(Channel::Sms) => "malformed phone number",
            Self::MalformedAddress(Channel::Email) => "malformed e-mail address",
            Self::InvalidClient(cause) => return cause.fmt(f),
            Self::UnauthorizedClient => "the client may not send codes",
            Self::InvalidAuthSource => "auth source and client are not associated",
            Self::AddressIsUsed(_) => "the address already belongs to a user",
            Self::RateLimited { .. } => "the address was sent to too often, or has no guess left",
            Self::ChallengeRequired => "the client must pass a challenge first",
            Self::CountryNotAllowed => "no messages are sent to the country of the phone number",
            Self::InsufficientQuota(Channel::Sms) => "no quota of text messages is left",
            Self::InsufficientQuota(Channel::Email) => "no quota of e-mail messages is left",
            Self::TemporarilyUnavailable => "temporarily unavailable",
            Self::InvalidDpopProof(cause) => return cause.fmt(f),
            Self::UseDpopNonce(_) => USE_DPOP_NONCE,
        })
    }
}

impl core::error::Error for SendError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
            Self::InvalidDpopProof(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidClient> for SendError {
    fn from(cause: InvalidClient) -> Self {
        Self::InvalidClient(cause)
    }
}

impl From<InvalidRequest> for SendError {
    fn from(cause: InvalidRequest) -> Self {
        Self::InvalidRequest(cause)
    }
}

/// Why the revocation endpoint refused a request (RFC 7009 section 2.2.1).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationError {
    /// The client's fault: the request is malformed.
    InvalidRequest(InvalidRequest),
    /// The client is unknown, its secret or assertion is wrong, missing or not expected, or the token belongs to
    /// another client.
    InvalidClient(InvalidClient),
    /// The host's fault: the store, the directory or the random bytes failed. The request is safe to repeat.
    TemporarilyUnavailable,
}

impl core::fmt::Display for RevocationError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest(cause) => return cause.fmt(f),
            Self::InvalidClient(cause) => return cause.fmt(f),
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl core::error::Error for RevocationError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidClient> for RevocationError {
    fn from(cause: InvalidClient) -> Self {
        Self::InvalidClient(cause)
    }
}

impl From<InvalidRequest> for RevocationError {
    fn from(cause: InvalidRequest) -> Self {
        Self::InvalidRequest(cause)
    }
}

/// Why the introspection endpoint refused a request (RFC 7662 section 2.3).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntrospectionError {
    /// The client's fault: the request is malformed.
    InvalidRequest(InvalidRequest),
    /// The client is unknown or public, or its secret or assertion is wrong or missing.
    InvalidClient(InvalidClient),
    /// The host's fault: the store, the directory or the random bytes failed. The request is safe to repeat.
    TemporarilyUnavailable,
}

impl core::fmt::Display for IntrospectionError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest(cause) => return cause.fmt(f),
            Self::InvalidClient(cause) => return cause.fmt(f),
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl core::error::Error for IntrospectionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidClient> for IntrospectionError {
    fn from(cause: InvalidClient) -> Self {
        Self::InvalidClient(cause)
    }
}

impl From<InvalidRequest> for IntrospectionError {
    fn from(cause: InvalidRequest) -> Self {
        Self::InvalidRequest(cause)
    }
}

/// Why the userinfo endpoint refused a request (RFC 6750 section 3.1).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserinfoError {
    /// The client's fault: the request presents no access token or two, or the form is malformed.
    InvalidRequest(InvalidRequest),
    /// This server did not make the access token, or the token was altered or has expired, or the token or its session
    /// was revoked, or its user may no longer log in.
    InvalidToken,
    /// The access token does not have the scope `openid`.
    InsufficientScope,
    /// The host's fault: the store or the directory failed. The request is safe to repeat.
    TemporarilyUnavailable,
    /// The access token is bound to a key, and does not have the scope `openid`.
    InsufficientScopeOfBoundToken,
    /// The access token is refused, and the request presents it with a proof, or should have.
    InvalidBoundToken,
    /// The DPoP proof is missing or invalid, or was used before (RFC 9449 section 7.1).
    InvalidDpopProof(DpopError),
    /// The DPoP proof must contain this nonce (RFC 9449 section 9).
    UseDpopNonce(DpopNonce),
}

impl core::fmt::Display for UserinfoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest(cause) => return cause.fmt(f),
            Self::InvalidToken => "the access token is unknown, expired or revoked",
            Self::InsufficientScope | Self::InsufficientScopeOfBoundToken => {
                "the access token does not have the scope openid"
            }
            Self::TemporarilyUnavailable => "temporarily unavailable",
            Self::InvalidBoundToken => "the access token is refused",
            Self::InvalidDpopProof(cause) => return cause.fmt(f),
            Self::UseDpopNonce(_) => USE_DPOP_NONCE,
        })
    }
}

impl core::error::Error for UserinfoError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
            Self::InvalidDpopProof(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidRequest> for UserinfoError {
    fn from(cause: InvalidRequest) -> Self {
        Self::InvalidRequest(cause)
    }
}

/// The host's fault: the store, the directory, the random bytes or the signing key failed. A change whose outcome is
/// unknown may have been stored. The call is safe to retry. The [`Observer`](crate::observer::Observer) was told which
/// part failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct Unavailable;

impl core::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("temporarily unavailable")
    }
}

impl core::error::Error for Unavailable {}

impl From<Unavailable> for TokenError {
    fn from(_: Unavailable) -> Self {
        Self::TemporarilyUnavailable
    }
}

impl From<Unavailable> for SendError {
    fn from(_: Unavailable) -> Self {
        Self::TemporarilyUnavailable
    }
}

impl From<Unavailable> for RevocationError {
    fn from(_: Unavailable) -> Self {
        Self::TemporarilyUnavailable
    }
}

impl From<Unavailable> for IntrospectionError {
    fn from(_: Unavailable) -> Self {
        Self::TemporarilyUnavailable
    }
}

/// The client is unknown, or its secret or assertion is wrong, missing or not expected (`invalid_client`, RFC 6749
/// section 5.2).
///
/// The variant says how the client tried to authenticate. The reply challenges only for that method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidClient {
    /// The client used HTTP Basic, or another scheme of the `Authorization` header. The reply challenges for Basic.
    InHeader,
    /// The client named itself in the body, or did not name itself.
    InBody,
}

impl core::fmt::Display for InvalidClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("client authentication failed")
    }
}

impl core::error::Error for InvalidClient {}

/// A request to the host's own API presents no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoBearerToken;

impl core::fmt::Display for NoBearerToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no access token was presented")
    }
}

impl core::error::Error for NoBearerToken {}

/// A request to the host's own API presents no access token, neither alone nor with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoAccessToken;

impl core::fmt::Display for NoAccessToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no access token was presented")
    }
}

impl core::error::Error for NoAccessToken {}

/// An access token is good, but does not have a scope that the request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsufficientScope {
    needed: Scope,
    is_bound: bool,
}

impl InsufficientScope {
    pub(crate) fn new(needed: &Scope, is_bound: bool) -> Self {
        Self { needed: needed.clone(), is_bound }
    }

    /// Tells whether the token is bound to a key. The challenge then has the scheme of such tokens.
    pub(super) fn is_bound(&self) -> bool {
        self.is_bound
    }

    /// Returns the scope that the request needs.
    pub fn needed(&self) -> &Scope {
        &self.needed
    }
}

impl core::fmt::Display for InsufficientScope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the access token lacks a scope that is needed")
    }
}

impl core::error::Error for InsufficientScope {}

/// Why the host could not deliver a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryFailure {
    /// The provider refused the address, or the address is on a block list.
    AddressRefused,
    /// The host has no quota left with the provider.
    InsufficientQuota,
    /// Any other failure. The client may try again later.
    Undeliverable,
}

const USE_DPOP_NONCE: &str = "the DPoP proof must contain the nonce of the server";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use core::error::Error;

    use super::*;
    use crate::wire::members::{Member, Problem};

    #[test]
    fn what_a_malformed_request_has_wrong_is_said_by_each_error_and_stands_behind_it() {
        let cause = || InvalidRequest::member(Member::Otp, Problem::Missing);
        let errors: [Box<dyn Error>; 5] = [
            Box::new(TokenError::from(cause())),
            Box::new(SendError::from(cause())),
            Box::new(RevocationError::from(cause())),
            Box::new(IntrospectionError::from(cause())),
            Box::new(UserinfoError::from(cause())),
        ];
        for error in errors {
            assert_eq!(error.to_string(), "otp is missing");
            assert_eq!(error.source().unwrap().to_string(), "otp is missing");
        }
    }
}
