//! Every error describes its problem in words. Within a type, each error has its own words. An error that has a cause
//! returns it as `source`.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use otp_grant::directory::{AuthMethodMismatch, InvalidClaim, ScopeNotAllowed, UnknownAuthMethod};
use otp_grant::dpop::{DpopError, DpopNonce, DpopSupport};
use otp_grant::entropy::EntropyUnavailable;
use otp_grant::jwt::{AccessTokenError, Audience, JwsError, KeyError, SignerError};
use otp_grant::otp::InvalidCodePolicy;
use otp_grant::secret::{InvalidCodeChallenge, InvalidCodeVerifier, InvalidMasterKey};
use otp_grant::server::{AccessTokenCheckError, ConfigError, VerifyError};
use otp_grant::session::InvalidRefreshPolicy;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::wire::{
    IntrospectionError, InvalidClient, RevocationError, SendError, TokenError, Unavailable, UserinfoError,
};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

fn each_says_something_else<E: Error + 'static>(errors: &[E]) {
    let said: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), errors.len(), "{said:?}");
    for error in errors {
        assert!(error.to_string().len() > 10 && error.source().is_none(), "{error}");
    }
}

/// An error that says what its cause says.
#[track_caller]
fn says_its_cause(error: &dyn Error, cause: &dyn Error) {
    assert_eq!(error.to_string(), cause.to_string());
    assert_eq!(error.source().map(ToString::to_string), Some(cause.to_string()));
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
        SendError::ChallengeRequired,
        SendError::CountryNotAllowed,
        SendError::InsufficientQuota(Channel::Sms),
        SendError::InsufficientQuota(Channel::Email),
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
    let nothing = Request::new("GET", "/orders");
    each_says_something_else(&[nothing.bearer_token().unwrap_err()]);
    each_says_something_else(&[nothing.access_token("https://api.example.com/orders").unwrap_err()]);
    each_says_something_else(&[
        UserinfoError::InvalidToken,
        UserinfoError::InsufficientScope,
        UserinfoError::InvalidBoundToken,
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
        AccessTokenError::KeyBound,
        AccessTokenError::NotKeyBound,
    ]);
    for cause in jws {
        let error = AccessTokenError::Jws(cause);
        says_its_cause(&error, &cause);
        says_its_cause(&AccessTokenCheckError::Refused(error), &error);
        says_its_cause(&AccessTokenCheckError::RefusedWithProof(error), &error);
    }
}

const DPOP_ERRORS: [DpopError; 13] = [
    DpopError::Missing,
    DpopError::Malformed,
    DpopError::WrongType,
    DpopError::Unsupported,
    DpopError::InvalidKey,
    DpopError::BadSignature,
    DpopError::InvalidClaims,
    DpopError::WrongMethod,
    DpopError::WrongUrl,
    DpopError::OutsideTheWindow,
    DpopError::WrongAccessToken,
    DpopError::WrongKey,
    DpopError::Replayed,
];

#[test]
fn what_a_proof_is_refused_for() {
    each_says_something_else(&DPOP_ERRORS);
    for cause in DPOP_ERRORS {
        says_its_cause(&TokenError::InvalidDpopProof(cause), &cause);
        says_its_cause(&SendError::InvalidDpopProof(cause), &cause);
        says_its_cause(&UserinfoError::InvalidDpopProof(cause), &cause);
        let of_token = AccessTokenError::Dpop(cause);
        says_its_cause(&of_token, &cause);
        says_its_cause(&AccessTokenCheckError::RefusedWithProof(of_token), &of_token);
    }
}

#[test]
fn what_is_wrong_with_a_signer() {
    each_says_something_else(&[SignerError::<KeyError>::WrongSignature]);
    let failed = SignerError::Failed(KeyError::Malformed);
    assert_eq!(failed.to_string(), "the signer failed");
    assert_eq!(failed.source().map(ToString::to_string), Some(KeyError::Malformed.to_string()));
}

/// A nonce of a server, as the check of an access token returns it.
async fn nonce() -> DpopNonce {
    let host = Host::with(settings(|settings| settings.dpop = DpopSupport::On));
    let key = Prover::new(1);
    let send = json!({ "client_id": NONCE_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let reply = host.post_with("/otp/send", &send, &[&key.proof(&host, "/otp/send", json!({}))]).await;
    let nonce = json!({ "nonce": reply.header("DPoP-Nonce").unwrap() });
    let (code, sent) = host.send_with(&send, &key.proof(&host, "/otp/send", nonce.clone())).await;
    let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }));
    let proof = key.proof(&host, "/oauth2/token", nonce);
    let tokens = read(&host.post_with("/oauth2/token", &grant, &[&proof]).await).1;
    let access_token = text(&tokens, "access_token");
    let (url, authorization) = (format!("{ISSUER}/userinfo"), format!("DPoP {access_token}"));
    let proof = key.proof_with(&host, access_token, json!({}));
    let request = Request::new("GET", "/userinfo").header("Authorization", &authorization).header("DPoP", &proof);
    let presented = request.access_token(&url).unwrap();
    match host.server.check_access_token(presented, Audience::EveryClient).await {
        Err(AccessTokenCheckError::UseDpopNonce(nonce)) => nonce,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_proof_needs() {
    let nonce = nonce().await;
    let error = TokenError::UseDpopNonce(nonce.clone());
    let said = error.to_string();
    each_says_something_else(&[error, TokenError::UnknownOtpToken, TokenError::TemporarilyUnavailable]);
    each_says_something_else(&[SendError::UseDpopNonce(nonce.clone()), SendError::TemporarilyUnavailable]);
    each_says_something_else(&[
        UserinfoError::UseDpopNonce(nonce.clone()),
        UserinfoError::InvalidToken,
        UserinfoError::InvalidBoundToken,
        UserinfoError::TemporarilyUnavailable,
    ]);
    each_says_something_else(&[
        AccessTokenCheckError::UseDpopNonce(nonce.clone()),
        AccessTokenCheckError::RevokedWithProof,
        AccessTokenCheckError::TemporarilyUnavailable,
    ]);
    assert!(!said.contains(nonce.as_str()), "{said}");
    // The same cause, at a token of the other kind.
    assert_eq!(AccessTokenCheckError::Revoked.to_string(), AccessTokenCheckError::RevokedWithProof.to_string());
    let of_bound = UserinfoError::InsufficientScopeOfBoundToken;
    assert_eq!(UserinfoError::InsufficientScope.to_string(), of_bound.to_string());
    each_says_something_else(&[of_bound]);
}

#[test]
fn what_is_configured_wrongly() {
    each_says_something_else(&[
        ConfigError::ValidityTooShort,
        ConfigError::SessionValidity,
        ConfigError::Quota,
        ConfigError::SendGuard,
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
        KeyError::AlgorithmMismatch,
        KeyError::CannotGenerateRsa,
        KeyError::NoRandomness,
    ]);
    each_says_something_else(&[ScopeNotAllowed]);
    each_says_something_else(&[AuthMethodMismatch]);
    each_says_something_else(&[UnknownAuthMethod]);
    each_says_something_else(&[InvalidClaim::Reserved, InvalidClaim::Name, InvalidClaim::TooLarge]);
    each_says_something_else(&[InvalidRefreshPolicy]);
    each_says_something_else(&[InvalidCodePolicy]);
    each_says_something_else(&[InvalidMasterKey]);
    each_says_something_else(&[InvalidCodeChallenge]);
    each_says_something_else(&[InvalidCodeVerifier]);
    each_says_something_else(&[EntropyUnavailable]);
    assert!(Issuer::new("http://plain.example.com").is_err_and(|error| error.to_string().len() > 10));
    assert!(Scope::parse("a\"b").is_err_and(|error| error.to_string().len() > 10));
}
