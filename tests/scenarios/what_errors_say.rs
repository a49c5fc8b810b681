//! Every error describes its problem in words. Within a type, each error has its own words. An error that has a cause
//! returns it as `source`.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use otp_grant::directory::{AuthMethodMismatch, ScopeNotAllowed, UnknownAuthMethod};
use otp_grant::entropy::EntropyUnavailable;
use otp_grant::jwt::{AccessTokenError, JwsError, KeyError};
use otp_grant::otp::InvalidCodePolicy;
use otp_grant::secret::InvalidMasterKey;
use otp_grant::server::{ConfigError, VerifyError};
use otp_grant::session::InvalidRefreshPolicy;
use otp_grant::wire::{
    IntrospectionError, InvalidClient, RevocationError, SendError, TokenError, Unavailable, UserinfoError,
};
use otp_grant::*;

fn each_says_something_else<E: Error + 'static>(errors: &[E]) {
    let said: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), errors.len(), "{said:?}");
    for error in errors {
        assert!(error.to_string().len() > 10 && error.source().is_none(), "{error}");
    }
}

#[test]
fn what_a_request_is_refused_for() {
    each_says_something_else(&[
        TokenError::UnsupportedGrantType,
        TokenError::InvalidClient(InvalidClient::InHeader),
        TokenError::UnauthorizedClient,
        TokenError::InvalidAuthSource,
        TokenError::UnknownOtpToken,
        TokenError::MismatchedOtpToken,
        TokenError::UnknownOtp { attempts_remaining: 1 },
        TokenError::UserNotFound,
        TokenError::UserNotActive,
        TokenError::InvalidScope,
        TokenError::UnknownRefreshToken,
        TokenError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[
        SendError::MalformedAddress(Channel::Sms),
        SendError::MalformedAddress(Channel::Email),
        SendError::InvalidClient(InvalidClient::InBody),
        SendError::UnauthorizedClient,
        SendError::InvalidAuthSource,
        SendError::AddressIsUsed(Channel::Sms),
        SendError::RateLimited { channel: Channel::Sms, retry_after: Duration::from_secs(1) },
        SendError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[
        RevocationError::InvalidClient(InvalidClient::InBody),
        RevocationError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[
        IntrospectionError::InvalidClient(InvalidClient::InBody),
        IntrospectionError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[
        UserinfoError::InvalidToken,
        UserinfoError::InsufficientScope,
        UserinfoError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[
        VerifyError::UnknownOtpToken,
        VerifyError::MismatchedOtpToken,
        VerifyError::UnknownOtp { attempts_remaining: 1 },
        VerifyError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[Unavailable]);
}

#[test]
fn what_an_access_token_is_refused_for() {
    let jws = [
        JwsError::TooLarge,
        JwsError::Malformed,
        JwsError::UnsupportedHeader,
        JwsError::UnknownKey,
        JwsError::AlgorithmMismatch,
        JwsError::BadSignature,
    ];
    each_says_something_else(&jws);
    each_says_something_else(&[
        AccessTokenError::NotAnAccessToken,
        AccessTokenError::WrongIssuer,
        AccessTokenError::WrongAudience,
        AccessTokenError::Expired,
    ]);
    let behind = |error: &dyn Error| error.source().map(ToString::to_string);
    for cause in jws {
        let error = AccessTokenError::Jws(cause);
        assert_eq!((error.to_string(), behind(&error)), (cause.to_string(), Some(cause.to_string())));
    }
}

#[test]
fn what_is_configured_wrongly() {
    each_says_something_else(&[
        ConfigError::ValidityTooShort,
        ConfigError::SessionValidity,
        ConfigError::Quota,
        ConfigError::GrantType,
        ConfigError::Endpoint,
    ]);
    each_says_something_else(&[
        KeyError::Malformed,
        KeyError::Unsupported,
        KeyError::PublicKeyMissing,
        KeyError::RsaOddSize,
        KeyError::RsaTooSmall,
        KeyError::RsaTooLarge,
        KeyError::PrivateMembers,
        KeyError::NoPrivateKey,
        KeyError::SeveralPrivateKeys,
        KeyError::InvalidKeyId,
        KeyError::DuplicateKeyId,
        KeyError::NoPublicKey,
        KeyError::CannotGenerateRsa,
        KeyError::NoRandomness,
    ]);
    each_says_something_else(&[ScopeNotAllowed]);
    each_says_something_else(&[AuthMethodMismatch]);
    each_says_something_else(&[UnknownAuthMethod]);
    each_says_something_else(&[InvalidRefreshPolicy]);
    each_says_something_else(&[InvalidCodePolicy]);
    each_says_something_else(&[InvalidMasterKey]);
    each_says_something_else(&[EntropyUnavailable]);
    assert!(Issuer::new("http://plain.example.com").is_err_and(|error| error.to_string().len() > 10));
    assert!(Scope::parse("a\"b").is_err_and(|error| error.to_string().len() > 10));
}
