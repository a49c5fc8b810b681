//! What a request can be refused for. Each error says whose fault it is; [`Reply`](crate::Reply) is where it meets the
//! wire.

use core::time::Duration;

use crate::address::Channel;
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
    /// The auth source is unknown, of the other channel, or not associated with the client.
    InvalidAuthSource,
    /// The otp_token was not made here, was altered, has expired or is spent, or no guess is left.
    UnknownOtpToken,
    /// Client, auth source, address or usage differ from those the code was sent for.
    MismatchedOtpToken,
    /// The code is wrong or has expired.
    UnknownOtp {
        /// How many more guesses there are.
        attempts_remaining: usize,
    },
    /// The code was right, but there is no such user. It still is: it works again with `auto_signup`.
    UserNotFound,
    /// The code was right, but the user may not log in.
    UserNotActive,
    /// A scope is not allowed to the client, or was not granted at login.
    InvalidScope,
    /// The refresh token was not made here, was altered, belongs to another client, has expired, has been superseded or
    /// revoked, or its session is over.
    UnknownRefreshToken,
    /// The host's fault: store, directory, random bytes or signing key failed. The request can be sent again; at most
    /// one guess was spent, and a refresh token is as good as before for as long as its retry window.
    TemporarilyUnavailable,
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
        })
    }
}

impl core::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
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

/// Why no challenge was opened.
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
    /// The auth source is unknown, of the other channel, or not associated with the client.
    InvalidAuthSource,
    /// The address already belongs to a user. Said only where the host's settings disclose accounts.
    AddressIsUsed(Channel),
    /// The address was sent to too often, or has no guess left, so that a code could not be redeemed.
    RateLimited {
        /// Which kind of address it is.
        channel: Channel,
        /// How long to wait.
        retry_after: Duration,
    },
    /// The host's fault: store, directory or random bytes failed. The request can be sent again.
    TemporarilyUnavailable,
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
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl core::error::Error for SendError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
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
    /// The client is unknown, its secret is wrong, missing or not expected, or the token is another client's.
    InvalidClient(InvalidClient),
    /// The host's fault: store, directory or random bytes failed. The request can be sent again.
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
    /// The client is unknown or public, or its secret is wrong or missing.
    InvalidClient(InvalidClient),
    /// The host's fault: store, directory or random bytes failed. The request can be sent again.
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
    /// The client's fault: no access token was presented, or two, or the form is malformed.
    InvalidRequest(InvalidRequest),
    /// The access token was not made here, was altered, or has expired; it or its session was revoked; or its user may
    /// not log in any more.
    InvalidToken,
    /// The access token does not have the scope `openid`.
    InsufficientScope,
    /// The host's fault: store or directory failed. The request can be sent again.
    TemporarilyUnavailable,
}

impl core::fmt::Display for UserinfoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest(cause) => return cause.fmt(f),
            Self::InvalidToken => "the access token is unknown, expired or revoked",
            Self::InsufficientScope => "the access token does not have the scope openid",
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl core::error::Error for UserinfoError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InvalidRequest(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidRequest> for UserinfoError {
    fn from(cause: InvalidRequest) -> Self {
        Self::InvalidRequest(cause)
    }
}

/// Store, directory, random bytes or signing key failed: nobody's fault but the host's, and nothing was done. What
/// failed has been told to the [`Observer`](crate::observer::Observer). It is safe to try again.
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

/// The client is unknown, or its secret is wrong, missing or not expected (`invalid_client`, RFC 6749 section 5.2).
///
/// The variant is how the client tried to authenticate. The reply challenges only for what it tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidClient {
    /// It used HTTP Basic, or another scheme of the `Authorization` header. The reply challenges for Basic.
    InHeader,
    /// It named itself in the body, or did not name itself.
    InBody,
}

impl core::fmt::Display for InvalidClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("client authentication failed")
    }
}

impl core::error::Error for InvalidClient {}

/// A request to a host's own API presents no access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoBearerToken;

impl core::fmt::Display for NoBearerToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no access token was presented")
    }
}

impl core::error::Error for NoBearerToken {}

/// An access token is good, but lacks a scope that the request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsufficientScope {
    needed: Scope,
}

impl InsufficientScope {
    pub(crate) fn new(needed: &Scope) -> Self {
        Self { needed: needed.clone() }
    }

    /// The scope that the request needs.
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

/// Why a code could not be delivered; the host's word on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryFailure {
    /// The address was refused by the provider, or is on a block list.
    AddressRefused,
    /// No quota is left with the provider.
    InsufficientQuota,
    /// Anything else; the client may try again later.
    Undeliverable,
}

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
