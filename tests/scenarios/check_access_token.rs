//! How a host protects its own endpoints. The offline check tells what a token says; the online check also tells
//! whether it still holds.

use std::error::Error;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::jwt::Audience::EveryClient;
use otp_grant::jwt::{
    AccessTokenClaims, AccessTokenError, AccessTokenProfile, AccessTokenVerifier, Algorithm, Audience, JwsError,
    PublicKeySet,
};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::time::Clock;
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

const KEY: &str = include_str!("../keys/es256_pkcs8.pem");
const API: &str = "https://api.example.com";

fn rfc_9068(audience: &str) -> Settings {
    settings(|s| s.access_token_profile = AccessTokenProfile::Rfc9068 { audience: audience.to_owned() })
}

fn both_profiles() -> [Settings; 2] {
    [Settings::default(), rfc_9068(API)]
}

fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

/// The results of both checks, and the calls of the store and of the directory that the online check makes.
type Checked = (
    Result<AccessTokenClaims, AccessTokenError>,
    Result<AccessTokenClaims, AccessTokenCheckError>,
    usize,
    Vec<&'static str>,
);

async fn checked(host: &Host, token: &str, audience: Audience<'_>) -> Checked {
    host.directory.calls.lock().unwrap().clear();
    let (calls, offline) = host.store_calls(async { host.server.verify_access_token(token, audience) }).await;
    assert_eq!((calls, host.directory.calls.lock().unwrap().len()), (0, 0), "the offline check asked somebody");
    let (calls, online) = host.store_calls(host.server.call_check_access_token(token, audience)).await;
    (offline, online, calls, std::mem::take(&mut *host.directory.calls.lock().unwrap()))
}

#[track_caller]
fn assert_accepted(checked: &Checked) {
    let (offline, online, store, directory) = checked;
    assert_eq!(offline.as_ref().unwrap(), online.as_ref().unwrap());
    assert_eq!((*store, directory.as_slice()), (1, &["user_by_subject"][..]));
}

/// Both checks refuse what the token itself says, without a call of the store or the directory.
async fn assert_refused(host: &Host, token: &str, audience: Audience<'_>, error: AccessTokenError) {
    let (offline, online, store, directory) = checked(host, token, audience).await;
    assert_eq!((offline, online), (Err(error), Err(AccessTokenCheckError::Refused(error))));
    assert_eq!((store, directory.len()), (0, 0));
}

/// The offline check still accepts the token. The online check finds it revoked.
async fn assert_revoked(host: &Host, token: &str) {
    let (offline, online, store, _) = checked(host, token, EveryClient).await;
    assert!(offline.is_ok());
    assert_eq!((online, store), (Err(AccessTokenCheckError::Revoked), 1));
}

#[tokio::test]
async fn the_claims_are_typed_and_those_of_the_token() {
    for settings in both_profiles() {
        let host = Host::with(settings);
        host.advance(Duration::from_millis(1_500));
        let said = host.log_in(json!({ "scope": "openid profile" })).await;
        let token = text(&said, "access_token");
        let all = checked(&host, token, EveryClient).await;
        assert_accepted(&all);
        let (claims, raw) = (all.0.unwrap(), payload(token));
        assert_eq!(claims.subject, Subject::new("MOCK_USER_ID").unwrap());
        assert_eq!(claims.client, client("TENANT_CLIENT_ID"));
        assert_eq!(claims.scope, Scope::parse("openid profile").unwrap());
        assert_eq!(json!(claims.token_id), raw["jti"]);
        assert_eq!(json!(claims.session), raw["sid"]);
        assert_eq!(claims.issued_at, Timestamp::from_unix_secs(START + 1));
        assert_eq!(claims.expires_at, Timestamp::from_unix_secs(START + 301));
    }
}

#[tokio::test]
async fn an_api_of_one_client_takes_no_token_of_another() {
    for settings in both_profiles() {
        let host = Host::with(settings);
        let (own, other) = (client("TENANT_CLIENT_ID"), client("OTHER_CLIENT_ID"));
        let said = host.log_in(json!({})).await;
        let token = text(&said, "access_token");
        assert_accepted(&checked(&host, token, Audience::Client(&own)).await);
        assert_accepted(&checked(&host, token, EveryClient).await);
        for stranger in [&other, &client("tenant_client_id"), &client("TENANT_CLIENT_ID "), &client(API)] {
            assert_refused(&host, token, Audience::Client(stranger), AccessTokenError::WrongAudience).await;
        }
        // A token of the public client passes for that client, and not for this one.
        let spa = json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null });
        let said = host.log_in_by(&but(&sms_send(PHONE), spa), json!({})).await;
        let token = text(&said, "access_token");
        assert_accepted(&checked(&host, token, Audience::Client(&client("TENANT_SPA_CLIENT_ID"))).await);
        assert_refused(&host, token, Audience::Client(&own), AccessTokenError::WrongAudience).await;
    }
}

#[tokio::test]
async fn a_token_for_another_api_profile_or_issuer_is_refused() {
    let key = || SigningKey::from_pem(KEY).unwrap();
    let host = Host::with_key(rfc_9068(API), key());
    let said = host.log_in(json!({})).await;
    let (token, own) = (text(&said, "access_token"), client("TENANT_CLIENT_ID"));
    let other_api = host.beside(rfc_9068("https://other.example.com"), key(), keyring());
    let plain = host.beside(Settings::default(), key(), keyring());
    for audience in [EveryClient, Audience::Client(&own)] {
        assert_refused(&other_api, token, audience, AccessTokenError::WrongAudience).await;
        assert_refused(&plain, token, audience, AccessTokenError::NotAnAccessToken).await;
    }
    let said = plain.log_in(json!({})).await;
    assert_refused(&host, text(&said, "access_token"), EveryClient, AccessTokenError::NotAnAccessToken).await;

    for issuer in ["https://sample.portal.example.com/", "https://other.example.com"] {
        let elsewhere = AuthorizationServer::builder(Issuer::new(issuer).unwrap(), keyring(), key())
            .clock(host.clock.clone())
            .build(host.store.clone(), host.directory.clone())
            .unwrap();
        let token = text(&said, "access_token");
        assert_eq!(elsewhere.verify_access_token(token, EveryClient), Err(AccessTokenError::WrongIssuer));
        let online = elsewhere.check_access_token(token, EveryClient).await;
        assert_eq!(online, Err(AccessTokenCheckError::Refused(AccessTokenError::WrongIssuer)));
    }
}

#[tokio::test]
async fn what_is_not_signed_here_or_is_another_token_is_refused() {
    for settings in both_profiles() {
        let host = Host::with(settings.clone());
        let said = host.log_in(json!({})).await;
        let token = text(&said, "access_token");
        let stranger = Host::with_key(settings, other_key(Algorithm::ES256));
        let foreign = stranger.log_in(json!({})).await;
        let parts: Vec<&str> = token.split('.').collect();
        let mut claims = payload(token);
        claims["sub"] = json!("SOMEBODY_ELSE");
        let forged = format!("{}.{}.{}", parts[0], BASE64URL.encode(claims.to_string()), parts[2]);
        let unsigned = format!("{}.{}.", BASE64URL.encode(r#"{"alg":"none"}"#), parts[1]);
        for (token, error) in [
            ("", JwsError::Malformed),
            ("garbage", JwsError::Malformed),
            ("a.b.c", JwsError::Malformed),
            (&"x".repeat(17_000), JwsError::TooLarge),
            (&forged, JwsError::BadSignature),
            (&format!("{}.{}.", parts[0], parts[1]), JwsError::BadSignature),
            (&unsigned, JwsError::AlgorithmMismatch),
            (text(&foreign, "access_token"), JwsError::UnknownKey),
            (text(&said, "refresh_token"), JwsError::Malformed),
        ] {
            assert_refused(&host, token, EveryClient, AccessTokenError::Jws(error)).await;
        }
        assert_refused(&host, text(&said, "id_token"), EveryClient, AccessTokenError::NotAnAccessToken).await;
    }
}

#[tokio::test]
async fn a_token_is_good_from_its_issue_to_its_expiry() {
    for settings in both_profiles() {
        let host = Host::with(settings);
        let said = host.log_in(json!({})).await;
        let token = text(&said, "access_token");
        // The checking host's clock can be 5 seconds behind the issuing host's clock.
        host.clock.set_back(secs(5));
        assert_accepted(&checked(&host, token, EveryClient).await);
        host.clock.set_back(Duration::from_millis(1));
        assert_refused(&host, token, EveryClient, AccessTokenError::Expired).await;
        host.advance(secs(305));
        assert_accepted(&checked(&host, token, EveryClient).await);
        host.advance(Duration::from_millis(1));
        assert_refused(&host, token, EveryClient, AccessTokenError::Expired).await;
        // The check stops at the expiry, and does not find the revocation.
        assert_eq!(host.revoke(text(&said, "refresh_token"), &[]).await.status(), 200);
        assert_refused(&host, token, EveryClient, AccessTokenError::Expired).await;
    }
}

#[tokio::test]
async fn a_revoked_token_passes_offline_only() {
    for settings in both_profiles() {
        let host = Host::with(settings);
        let first = host.log_in(json!({})).await;
        let (_, second) = host.refresh(text(&first, "refresh_token")).await;
        assert_eq!(host.revoke(text(&first, "access_token"), &[]).await.status(), 200);
        assert_revoked(&host, text(&first, "access_token")).await;
        assert_accepted(&checked(&host, text(&second, "access_token"), EveryClient).await);
        // The audience is checked before the revocation.
        let stranger = client("OTHER_CLIENT_ID");
        let token = text(&first, "access_token");
        assert_refused(&host, token, Audience::Client(&stranger), AccessTokenError::WrongAudience).await;
    }
}

#[tokio::test]
async fn a_session_that_is_over_takes_its_tokens_along_and_no_others() {
    for way in ["signed out", "ended by the host", "replayed"] {
        let host = Host::new();
        let first = host.log_in(json!({})).await;
        let other = host.log_in(json!({})).await;
        let (_, second) = host.refresh(text(&first, "refresh_token")).await;
        match way {
            "signed out" => assert_eq!(host.revoke(text(&first, "refresh_token"), &[]).await.status(), 200),
            "ended by the host" => {
                let session = host.server.verify_access_token(text(&first, "access_token"), EveryClient);
                host.server.call_revoke_session(&session.unwrap().session).await.unwrap();
            }
            _ => {
                host.advance(secs(10));
                assert_eq!(host.refresh(text(&first, "refresh_token")).await.0, 400);
            }
        }
        assert_revoked(&host, text(&first, "access_token")).await;
        assert_revoked(&host, text(&second, "access_token")).await;
        assert_accepted(&checked(&host, text(&other, "access_token"), EveryClient).await);
    }
}

#[tokio::test]
async fn a_token_of_a_session_that_is_not_in_the_store_is_over() {
    let key = || SigningKey::from_pem(KEY).unwrap();
    let host = Host::with_key(Settings::default(), key());
    let said = host.log_in(json!({})).await;
    let emptied = Host::with_key(Settings::default(), key());
    assert_revoked(&emptied, text(&said, "access_token")).await;
    // A host with another index secret looks for the session under another key.
    let index = MasterKey::from_bytes(&[9; 32]).unwrap();
    let moved = host.beside(Settings::default(), key(), Keyring::new(&index, &index));
    assert_revoked(&moved, text(&said, "access_token")).await;
}

#[tokio::test]
async fn a_user_who_is_locked_deleted_or_signed_out_everywhere_has_no_good_token() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let token = text(&said, "access_token");
    let user = |status| User::new(Subject::new("MOCK_USER_ID").unwrap(), status);
    let users = &host.directory.inner;
    for status in [UserStatus::Locked, UserStatus::Frozen, UserStatus::Inactive] {
        users.put_user(user(status));
        assert_revoked(&host, token).await;
    }
    let after = |millis| user(UserStatus::Active).with_tokens_valid_after(Timestamp::from_unix_millis(millis));
    // The session began a moment later, by a clock that can have been ahead.
    for millis in [1, 0, -4_999] {
        users.put_user(after((START * 1000).saturating_add_signed(millis)));
        assert_revoked(&host, token).await;
    }
    users.put_user(after(START * 1000 - 5_001));
    assert_accepted(&checked(&host, token, EveryClient).await);
    users.remove_user(&Subject::new("MOCK_USER_ID").unwrap());
    assert_revoked(&host, token).await;
}

#[tokio::test]
async fn a_fault_is_neither_a_yes_nor_a_no() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let token = text(&said, "access_token");
    for fault in [Mishap::FailBefore, Mishap::FailAfter] {
        host.store.fault(0, fault);
        let (offline, online, ..) = checked(&host, token, EveryClient).await;
        assert!(offline.is_ok());
        assert_eq!(online, Err(AccessTokenCheckError::TemporarilyUnavailable));
    }
    for down in [&host.store.down, &host.directory.down] {
        down.store(true, SeqCst);
        let (offline, online, ..) = checked(&host, token, EveryClient).await;
        assert!(offline.is_ok());
        assert_eq!(online, Err(AccessTokenCheckError::TemporarilyUnavailable));
        // A refusal by the offline check needs neither store nor directory.
        assert_refused(&host, "garbage", EveryClient, AccessTokenError::Jws(JwsError::Malformed)).await;
        down.store(false, SeqCst);
        assert_accepted(&checked(&host, token, EveryClient).await);
    }
    // The check of a revoked session does not need the directory.
    assert_eq!(host.revoke(token, &[]).await.status(), 200);
    host.directory.down.store(true, SeqCst);
    assert_revoked(&host, token).await;
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_nothing_of_the_token() {
    let host = Host::new();
    let errors = [
        (AccessTokenCheckError::Refused(AccessTokenError::Jws(JwsError::Malformed)), "the token is malformed", true),
        (AccessTokenCheckError::Refused(AccessTokenError::Expired), "the token has expired or is not valid yet", true),
        (AccessTokenCheckError::Revoked, "the token was revoked", false),
        (AccessTokenCheckError::TemporarilyUnavailable, "temporarily unavailable", false),
    ];
    for (error, said, has_source) in errors {
        assert_eq!((error.to_string().as_str(), error.source().is_some()), (said, has_source));
    }
    let refused = host.server.call_check_access_token("zzMARKzz.zzMARKzz.zzMARKzz", EveryClient).await.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("MARK"));
}

#[tokio::test]
async fn a_verifier_of_its_own_agrees_with_the_server() {
    for (settings, profile) in both_profiles()
        .into_iter()
        .zip([AccessTokenProfile::Jwt, AccessTokenProfile::Rfc9068 { audience: API.to_owned() }])
    {
        let host = Host::with(settings);
        let said = host.log_in(json!({})).await;
        // An API in another process has nothing but the issuer, the key set and the profile.
        let keys = PublicKeySet::from_json(host.server.get_jwks().body()).unwrap();
        let verifier = AccessTokenVerifier::new(Issuer::new(ISSUER).unwrap(), keys, profile);
        for token in [text(&said, "access_token"), text(&said, "id_token"), "garbage"] {
            for audience in [EveryClient, Audience::Client(&client("OTHER_CLIENT_ID"))] {
                for at in [START, START + 299, START + 300] {
                    let now = Timestamp::from_unix_secs(at);
                    host.clock.set_back(secs(host.clock.now().as_unix_secs() - START));
                    host.advance(secs(at - START));
                    let here = host.server.verify_access_token(token, audience);
                    assert_eq!(verifier.verify(token, audience, now), here);
                }
            }
        }
    }
}
