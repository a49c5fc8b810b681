//! The checks of the OTP grant run in the order of the contract: a request that fails two of them gets the earlier
//! error.

use std::sync::atomic::Ordering::SeqCst;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant_tests::*;
use serde_json::{Value, json};

const ROW_6: &str = "Unknown or expired otp_token";
const ROW_7: &str = "Mismatched OTP token and OTP sending parameters";
const ROW_8: &str = "Unknown or expired OTP";

async fn ready(phone: &str) -> (Host, Value) {
    let host = Host::new();
    let sent = host.send(&sms_send(phone)).await;
    let body = sms_grant(phone, &sent);
    (host, body)
}

/// A host whose code is spent already.
async fn spent() -> (Host, Value) {
    let (host, body) = ready(PHONE).await;
    assert_eq!(host.token(&body).await.0, 200);
    (host, body)
}

/// A host whose challenge has no guess left.
async fn used_up() -> (Host, Value) {
    let (host, body) = ready(PHONE).await;
    for _ in 0..5 {
        assert_eq!(host.token(&wrong_code(&body)).await.0, 400);
    }
    (host, body)
}

fn wrong_code(body: &Value) -> Value {
    but(body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }))
}

fn altered_token(body: &Value) -> Value {
    but(body, json!({ "otp_token": wrong(body["otp_token"].as_str().unwrap()) }))
}

fn no_grant() -> Value {
    json!({ "client_id": "NO_GRANT_CLIENT_ID", "client_secret": "SECRET" })
}

async fn expect(host: &Host, body: &Value, status: u16, code: &str, description: &str) {
    assert_eq!(host.token(body).await, error(status, code, description), "{body}");
}

async fn expect_wrong_code(host: &Host, body: &Value, remaining: u64) {
    let (status, said) = host.token(body).await;
    let expected = json!({ "error": "invalid_grant", "error_description": ROW_8, "attempts_remaining": remaining });
    assert_eq!((status, said), (400, expected));
}

#[tokio::test]
async fn a_malformed_body_before_an_unknown_grant_type() {
    let (host, body) = ready(PHONE).await;
    let unknown = but(&body, json!({ "grant_type": "password" }));
    for member in ["client_id", "otp", "otp_token", "phone_number", "auth_source_id", "scope", "auto_signup"] {
        let (status, said) = host.token(&but(&unknown, json!({ member: 1 }))).await;
        assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{member}");
    }
    let (status, said) = host.token(&but(&unknown, json!({ "client_id": null }))).await;
    assert_eq!((status, &said["error"]), (400, &json!("invalid_request")));
    let twice = unknown.to_string().replacen('{', r#"{"otp":"1","#, 1);
    let (status, said) = read(&host.server.post_token(json_request(&twice, None)).await);
    assert_eq!((status, &said["error"]), (400, &json!("invalid_request")));
    let basic = format!("Basic {}", BASE64_STANDARD.encode("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET"));
    let (status, said) = read(&host.server.post_token(json_request(&unknown.to_string(), Some(&basic))).await);
    assert_eq!((status, &said["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn a_malformed_body_before_a_wrong_client() {
    let (host, body) = ready(PHONE).await;
    let wrong_client = but(&body, json!({ "client_secret": "WRONG" }));
    for member in ["otp", "otp_token", "phone_number", "auth_source_id", "grant_type"] {
        let (status, said) = host.token(&but(&wrong_client, json!({ member: null }))).await;
        assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{member}");
    }
}

#[tokio::test]
async fn an_unknown_grant_type_before_a_wrong_client() {
    let (host, body) = ready(PHONE).await;
    let body = but(&body, json!({ "grant_type": "password", "client_secret": "WRONG" }));
    expect(&host, &body, 400, "unsupported_grant_type", "").await;
}

#[tokio::test]
async fn a_wrong_client_before_a_grant_that_it_may_not_use() {
    let (host, body) = ready(PHONE).await;
    let body = but(&body, json!({ "client_id": "NO_GRANT_CLIENT_ID", "client_secret": "WRONG" }));
    expect(&host, &body, 401, "invalid_client", "").await;
}

#[tokio::test]
async fn a_grant_that_is_not_allowed_before_a_wrong_auth_source() {
    let (host, body) = ready(PHONE).await;
    for source in ["UNKNOWN", "LONE_AUTH_SOURCE_ID", "MOCK_EMAIL_OTP_AUTH_SOURCE_ID"] {
        let body = but(&but(&body, no_grant()), json!({ "auth_source_id": source }));
        expect(&host, &body, 400, "unauthorized_client", "").await;
    }
}

#[tokio::test]
async fn a_wrong_auth_source_before_an_altered_or_expired_token() {
    let said = "Auth source and application not associated";
    let (host, body) = ready(PHONE).await;
    let other_source = but(&body, json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" }));
    expect(&host, &altered_token(&other_source), 400, "invalid_auth_source", said).await;
    host.advance(secs(301));
    expect(&host, &other_source, 400, "invalid_auth_source", said).await;
}

#[tokio::test]
async fn an_altered_or_expired_token_before_a_mismatch() {
    let (host, body) = ready(PHONE).await;
    for mismatch in
        [json!({ "phone_number": NOBODY }), json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null })]
    {
        expect(&host, &altered_token(&but(&body, mismatch.clone())), 400, "invalid_grant", ROW_6).await;
    }
    host.advance(secs(300));
    expect(&host, &but(&body, json!({ "phone_number": NOBODY })), 400, "invalid_grant", ROW_6).await;
}

#[tokio::test]
async fn a_mismatch_before_a_token_that_is_spent_or_used_up() {
    for (host, body) in [spent().await, used_up().await] {
        expect(&host, &but(&body, json!({ "phone_number": NOBODY })), 400, "invalid_request", ROW_7).await;
        let other_client = but(&body, json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }));
        expect(&host, &other_client, 400, "invalid_request", ROW_7).await;
    }
}

#[tokio::test]
async fn a_mismatch_before_a_scope_that_is_not_allowed() {
    let (host, body) = ready(PHONE).await;
    let body = but(&body, json!({ "phone_number": NOBODY, "scope": "admin" }));
    expect(&host, &body, 400, "invalid_request", ROW_7).await;
}

#[tokio::test]
async fn every_check_up_to_the_token_comes_before_a_malformed_scope() {
    let (host, body) = ready(PHONE).await;
    let body = but(&body, json!({ "scope": "\"" }));
    expect(&host, &but(&body, json!({ "client_secret": "WRONG" })), 401, "invalid_client", "").await;
    expect(&host, &but(&body, no_grant()), 400, "unauthorized_client", "").await;
    expect(&host, &altered_token(&body), 400, "invalid_grant", ROW_6).await;
}

#[tokio::test]
async fn a_token_that_is_spent_or_used_up_before_a_wrong_code() {
    for (host, body) in [spent().await, used_up().await] {
        expect(&host, &wrong_code(&body), 400, "invalid_grant", ROW_6).await;
        host.advance(secs(60));
        expect(&host, &body, 400, "invalid_grant", ROW_6).await;
    }
}

#[tokio::test]
async fn a_token_that_is_used_up_before_an_unknown_or_locked_user() {
    for phone in [NOBODY, LOCKED_PHONE] {
        let (host, body) = ready(phone).await;
        for _ in 0..5 {
            assert_eq!(host.token(&wrong_code(&body)).await.0, 400);
        }
        expect(&host, &body, 400, "invalid_grant", ROW_6).await;
    }
}

#[tokio::test]
async fn a_wrong_or_expired_code_before_an_unknown_or_locked_user() {
    for phone in [NOBODY, LOCKED_PHONE] {
        let (host, body) = ready(phone).await;
        for auto_signup in [false, true] {
            let guess = but(&wrong_code(&body), json!({ "auto_signup": auto_signup }));
            expect_wrong_code(&host, &guess, if auto_signup { 3 } else { 4 }).await;
        }
        host.advance(secs(180));
        expect_wrong_code(&host, &body, 2).await;
        assert!(
            !host.directory.calls.lock().unwrap().iter().any(|call| call.starts_with("user") || *call == "sign_up")
        );
    }
}

#[tokio::test]
async fn a_locked_user_before_auto_signup() {
    let (host, body) = ready(LOCKED_PHONE).await;
    expect(&host, &but(&body, json!({ "auto_signup": true })), 400, "invalid_grant", "Abnormal user status").await;
    assert!(!host.directory.calls.lock().unwrap().contains(&"sign_up"));
}

#[tokio::test]
async fn a_scope_that_is_not_allowed_before_any_code_is_compared() {
    for scope in ["admin", "\""] {
        for phone in [PHONE, NOBODY, LOCKED_PHONE] {
            let (host, body) = ready(phone).await;
            let scoped = but(&body, json!({ "scope": scope }));
            let (calls, ()) = host
                .store_calls(async {
                    for _ in 0..10 {
                        expect(&host, &scoped, 400, "invalid_scope", "").await;
                        expect(&host, &wrong_code(&scoped), 400, "invalid_scope", "").await;
                    }
                })
                .await;
            assert_eq!((calls, host.counters.wrong_codes.load(SeqCst)), (0, 0));
            // No guess was spent.
            expect_wrong_code(&host, &wrong_code(&body), 4).await;
        }
    }
}

#[tokio::test]
async fn a_scope_that_is_not_allowed_before_a_token_that_is_spent() {
    let (host, body) = spent().await;
    expect(&host, &but(&body, json!({ "scope": "admin" })), 400, "invalid_scope", "").await;
}

#[tokio::test]
async fn what_needs_no_store_before_a_store_that_is_down() {
    let (host, body) = ready(PHONE).await;
    host.store.down.store(true, SeqCst);
    host.directory.down.store(true, SeqCst);
    let source = "Auth source and application not associated";
    for (changes, status, code, description) in [
        (json!({ "otp": null }), 400, "invalid_request", "otp is missing"),
        (json!({ "grant_type": "password" }), 400, "unsupported_grant_type", ""),
        (json!({ "client_secret": "WRONG" }), 401, "invalid_client", ""),
        (no_grant(), 400, "unauthorized_client", ""),
        (json!({ "auth_source_id": "UNKNOWN" }), 400, "invalid_auth_source", source),
        (json!({ "otp_token": "MOCK_OTP_TOKEN" }), 400, "invalid_grant", ROW_6),
        (json!({ "phone_number": NOBODY }), 400, "invalid_request", ROW_7),
        (json!({ "scope": "admin" }), 400, "invalid_scope", ""),
    ] {
        expect(&host, &but(&body, changes), status, code, description).await;
    }
    let (status, said) = host.token(&wrong_code(&body)).await;
    assert_eq!((status, &said["error"]), (503, &json!("temporarily_unavailable")));
}

#[tokio::test]
async fn a_wrong_code_before_a_directory_that_is_down() {
    let (host, body) = ready(PHONE).await;
    host.directory.down.store(true, SeqCst);
    expect_wrong_code(&host, &wrong_code(&body), 4).await;
}
