//! `POST /oauth2/token` with a code, row by row: status, headers and whole body.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{VerifyError, VerifyRequest};
use otp_grant::settings::EMAIL_GRANT_TYPE;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const SMS_SAMPLE: &str = r#"{"grant_type":"http://tencentciam.com/oauth2/grant-type/otp/sms",
 "client_id":"TENANT_CLIENT_ID","client_secret":"TENANT_CLIENT_SECRET",
 "auth_source_id":"MOCK_SMS_OTP_AUTH_SOURCE_ID","phone_number":"13612345678",
 "otp_token":"MOCK_OTP_TOKEN","otp":"123456"}"#;
const EMAIL_SAMPLE: &str = r#"{"grant_type":"http://tencentciam.com/oauth2/grant-type/otp/email",
 "client_id":"TENANT_CLIENT_ID","client_secret":"TENANT_CLIENT_SECRET",
 "auth_source_id":"MOCK_EMAIL_OTP_AUTH_SOURCE_ID","email":"MOCK_USERNAME@example.com",
 "otp_token":"MOCK_EMAIL_OTP_TOKEN","otp":"123456"}"#;

const ROW_5: &str =
    r#"{"error":"invalid_auth_source","error_description":"Auth source and application not associated"}"#;
const ROW_6: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired otp_token"}"#;
const ROW_7: &str =
    r#"{"error":"invalid_request","error_description":"Mismatched OTP token and OTP sending parameters"}"#;
const ROW_9: &str = r#"{"error":"invalid_grant","error_description":"User not found"}"#;
const ROW_10: &str = r#"{"error":"invalid_grant","error_description":"Abnormal user status"}"#;

fn row_8(attempts_remaining: usize) -> String {
    format!(
        r#"{{"error":"invalid_grant","error_description":"Unknown or expired OTP","attempts_remaining":{attempts_remaining}}}"#
    )
}

async fn post(host: &Host, body: &Value, authorization: Option<&str>) -> Reply {
    host.server.post_token(json_request(&body.to_string(), authorization)).await
}

async fn refuse(host: &Host, body: &Value, status: u16, said: &str) {
    assert_reply(&post(host, body, None).await, status, said, &[]);
}

/// The code works: the requests before have cost nothing that matters.
async fn accept(host: &Host, body: &Value) -> Value {
    let reply = post(host, body, None).await;
    assert_headers(&reply, &[]);
    assert_eq!(reply.status(), 200, "{}", String::from_utf8_lossy(reply.body()));
    read(&reply).1
}

/// Presents a wrong code, to read the number of guesses that are left.
async fn guesses_left(host: &Host, body: &Value) -> u64 {
    let guess = but(body, json!({ "otp": wrong(body["otp"].as_str().unwrap()), "scope": null }));
    read(&post(host, &guess, None).await).1["attempts_remaining"].as_u64().unwrap() + 1
}

async fn ready(phone: &str) -> (Host, Value) {
    let host = Host::new();
    let sent = host.send(&sms_send(phone)).await;
    let body = sms_grant(phone, &sent);
    (host, body)
}

fn email_send(email: &str) -> Value {
    json!({
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "email": email,
    })
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn assert_tokens(said: &Value, scope: &str) {
    let members: Vec<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"]);
    assert_eq!(said["token_type"], "Bearer");
    assert_eq!(said["scope"], scope);
    assert!(matches!(said["expires_in"].as_u64(), Some(299 | 300)));
    let refresh = said["refresh_token"].as_str().unwrap();
    assert!(refresh.len() == 128 && refresh.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    for token in ["access_token", "id_token"] {
        assert_eq!(said[token].as_str().unwrap().split('.').count(), 3);
    }
}

#[tokio::test]
async fn the_samples_of_the_contract_log_in() {
    for (send, sample, token) in [
        (sms_send(PHONE), SMS_SAMPLE, "MOCK_OTP_TOKEN"),
        (email_send("MOCK_USERNAME@example.com"), EMAIL_SAMPLE, "MOCK_EMAIL_OTP_TOKEN"),
    ] {
        let host = Host::new();
        let sent = host.send(&send).await;
        let body =
            sample.replace(token, &sent.otp_token).replace(r#""otp":"123456""#, &format!(r#""otp":"{}""#, sent.code));
        for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
            let request = Post { content_type: Some(content_type), authorization: None, body: body.as_bytes() };
            let reply = host.server.post_token(request).await;
            assert_headers(&reply, &[]);
            let (status, said) = read(&reply);
            if content_type == "application/json" {
                assert_eq!(status, 200, "{said}");
                assert_tokens(&said, "openid");
            } else {
                // The server read the same grant: the code is spent.
                assert_reply(&reply, 400, ROW_6, &[]);
            }
        }
    }
}

#[tokio::test]
async fn a_public_client_and_basic_log_in() {
    let host = Host::new();
    let public = json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null });
    let sent = host.send(&but(&sms_send(PHONE), public.clone())).await;
    assert_tokens(&accept(&host, &but(&sms_grant(PHONE, &sent), public)).await, "openid");

    for named in [json!({ "client_secret": null }), json!({ "client_id": null, "client_secret": null })] {
        let (host, body) = ready(PHONE).await;
        let reply = post(&host, &but(&body, named), Some(&basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET"))).await;
        assert_eq!(reply.status(), 200);
        assert_headers(&reply, &[]);
    }
}

#[tokio::test]
async fn the_address_is_compared_after_normalisation() {
    let (host, body) = ready(PHONE).await;
    accept(&host, &but(&body, json!({ "phone_number": "136-1234 5678" }))).await;
    let host = Host::new();
    let sent = host.send(&email_send(EMAIL)).await;
    let body = EMAIL_SAMPLE.replace("MOCK_EMAIL_OTP_TOKEN", &sent.otp_token).replace("123456", &sent.code);
    let body: Value = serde_json::from_str(&body).unwrap();
    accept(&host, &but(&body, json!({ "email": "MOCK_USERNAME@EXAMPLE.COM" }))).await;
}

#[tokio::test]
async fn another_grant_type_uri_can_be_configured() {
    let host = Host::with(settings(|s| s.grant_types.push(("https://own.example.com/otp".to_owned(), Channel::Sms))));
    let sent = host.send(&sms_send(PHONE)).await;
    accept(&host, &but(&sms_grant(PHONE, &sent), json!({ "grant_type": "https://own.example.com/otp" }))).await;
}

#[tokio::test]
async fn row_1_names_the_member_that_is_missing_or_of_the_wrong_type() {
    let (host, body) = ready(PHONE).await;
    let members = ["grant_type", "client_id", "auth_source_id", "phone_number", "otp_token", "otp"];
    for member in members {
        let (status, said) = host.token(&but(&body, json!({ member: null }))).await;
        assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{member}");
        assert!(said["error_description"].as_str().unwrap().contains(member), "{said}");
    }
    for member in members.iter().chain(&["client_secret", "scope", "auto_signup"]) {
        for value in [json!(123_456), json!(1.5), json!({}), json!([]), json!(["x"])] {
            let (status, said) = host.token(&but(&body, json!({ *member: value }))).await;
            assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{member}");
            assert!(said["error_description"].as_str().unwrap().contains(member), "{said}");
        }
    }
    assert_eq!(guesses_left(&host, &body).await, 5);
}

#[tokio::test]
async fn row_1_is_the_answer_to_what_is_no_object_or_too_large_or_names_two_credentials() {
    let (host, body) = ready(PHONE).await;
    let grown = |len: usize| {
        let text = body.to_string();
        format!("{text}{}", " ".repeat(len - text.len()))
    };
    for bad in ["", "x", "[]", "\"text\"", "1", "null", "{", &format!("{body}{body}"), &grown(16 * 1024 + 1)] {
        let reply = host.server.post_token(json_request(bad, None)).await;
        assert_headers(&reply, &[]);
        assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("invalid_request")));
    }
    let both = post(&host, &body, Some(&basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET"))).await;
    assert_headers(&both, &[]);
    assert_eq!((both.status(), &read(&both).1["error"]), (400, &json!("invalid_request")));
    // Exactly 16 KiB are allowed.
    assert_eq!(host.server.post_token(json_request(&grown(16 * 1024), None)).await.status(), 200);
}

#[tokio::test]
async fn row_2_unknown_grant_type() {
    let (host, body) = ready(PHONE).await;
    for grant_type in ["password", "urn:x", "http://tencentciam.com/oauth2/grant-type/otp/SMS", "authorization_code"] {
        let body = but(&body, json!({ "grant_type": grant_type }));
        refuse(&host, &body, 400, r#"{"error":"unsupported_grant_type"}"#).await;
    }
    assert_eq!(guesses_left(&host, &body).await, 5);
}

#[tokio::test]
async fn row_3_client_authentication() {
    const SAID: &str = r#"{"error":"invalid_client"}"#;
    let (host, body) = ready(PHONE).await;
    for changes in [
        json!({ "client_id": "UNKNOWN" }),
        json!({ "client_id": "UNKNOWN", "client_secret": null }),
        json!({ "client_secret": "WRONG" }),
        json!({ "client_secret": null }),
        json!({ "client_id": "TENANT_SPA_CLIENT_ID" }),
    ] {
        refuse(&host, &but(&body, changes), 401, SAID).await;
    }
    let nameless = but(&body, json!({ "client_id": null, "client_secret": null }));
    for pair in
        ["UNKNOWN:S", "TENANT_CLIENT_ID:WRONG", "TENANT_CLIENT_ID:", "TENANT_SPA_CLIENT_ID:S", "TENANT_CLIENT_ID"]
    {
        let reply = post(&host, &nameless, Some(&basic(pair))).await;
        assert_reply(&reply, 401, SAID, &[("WWW-Authenticate", "Basic")]);
    }
    assert_eq!(guesses_left(&host, &body).await, 5);
}

#[tokio::test]
async fn row_4_grant_not_allowed_to_the_client() {
    let (host, body) = ready(PHONE).await;
    let body = but(&body, json!({ "client_id": "NO_GRANT_CLIENT_ID", "client_secret": "SECRET" }));
    refuse(&host, &body, 400, r#"{"error":"unauthorized_client"}"#).await;
}

#[tokio::test]
async fn row_5_auth_source() {
    let (host, body) = ready(PHONE).await;
    for changes in [
        json!({ "auth_source_id": "UNKNOWN" }),
        json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" }),
        json!({ "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID" }),
        json!({ "client_id": "OTHER_CLIENT_ID", "client_secret": "OTHER_CLIENT_SECRET" }),
    ] {
        refuse(&host, &but(&body, changes), 400, ROW_5).await;
    }
    assert_eq!(guesses_left(&host, &body).await, 5);
}

#[tokio::test]
async fn row_6_is_told_from_the_token_alone() {
    let (host, body) = ready(PHONE).await;
    let good = body["otp_token"].as_str().unwrap();
    let (calls, ()) = host
        .store_calls(async {
            for token in ["MOCK_OTP_TOKEN".to_owned(), format!("{good}A"), good[1..].to_owned(), wrong(good)] {
                refuse(&host, &but(&body, json!({ "otp_token": token })), 400, ROW_6).await;
            }
        })
        .await;
    assert_eq!(calls, 0);
    assert_eq!(guesses_left(&host, &body).await, 5);
    host.advance(secs(300));
    let (calls, ()) = host.store_calls(refuse(&host, &body, 400, ROW_6)).await;
    assert_eq!(calls, 0);
}

#[tokio::test]
async fn row_6_a_token_of_another_server_is_not_ours() {
    let (host, body) = ready(PHONE).await;
    let master = MasterKey::from_bytes(&[9; 32]).unwrap();
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let other = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), Keyring::new(&master, &master), key)
        .clock(host.clock.clone())
        .build(host.store.clone(), host.directory.clone())
        .unwrap();
    let bytes = body.to_string();
    assert_reply(&other.post_token(json_request(&bytes, None)).await, 400, ROW_6, &[]);
}

#[tokio::test]
async fn row_7_costs_no_guess() {
    let (host, body) = ready(PHONE).await;
    let email = json!({
        "grant_type": EMAIL_GRANT_TYPE, "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID",
        "email": EMAIL, "phone_number": null,
    });
    for changes in [
        json!({ "phone_number": NOBODY }),
        json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }),
        email,
    ] {
        let mismatched = but(&body, changes);
        let (calls, ()) = host.store_calls(refuse(&host, &mismatched, 400, ROW_7)).await;
        assert_eq!(calls, 0);
        for _ in 0..10 {
            let guess = but(&mismatched, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }));
            refuse(&host, &guess, 400, ROW_7).await;
        }
    }
    assert_eq!(guesses_left(&host, &body).await, 5);
    accept(&host, &body).await;
}

#[tokio::test]
async fn row_7_another_usage() {
    for usage in ["signup", "update_userinfo", "reset_password"] {
        let host = Host::new();
        let sent = host.send(&but(&sms_send(PHONE), json!({ "usage": usage, "auth_source_id": null }))).await;
        refuse(&host, &sms_grant(PHONE, &sent), 400, ROW_7).await;
    }
}

#[tokio::test]
async fn row_7_another_auth_source_of_the_same_channel() {
    let second = AuthSourceId::new("SECOND_SMS").unwrap();
    let first = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let id = ClientId::new("TENANT_CLIENT_ID").unwrap();
    let directory = MemoryDirectory::new()
        .with_client(
            Client::confidential(id, ClientSecret::digest("TENANT_CLIENT_SECRET"))
                .with_auth_source(first.clone())
                .with_auth_source(second.clone()),
        )
        .with_auth_source(AuthSource::new(first, Channel::Sms))
        .with_auth_source(AuthSource::new(second, Channel::Sms));
    let master = MasterKey::from_bytes(&[9; 32]).unwrap();
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), Keyring::new(&master, &master), key)
        .clock(ManualClock::new())
        .entropy(SeededEntropy::default())
        .build(MemoryStore::with_clock(ManualClock::new()), directory)
        .unwrap();
    let send = sms_send(PHONE).to_string();
    let delivery = server.post_send(json_request(&send, None)).await.unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let said = read(&delivery.accepted()).1;
    let sent = Sent { otp_token: said["otp_token"].as_str().unwrap().to_owned(), code, reply: Value::Null };
    let body = but(&sms_grant(PHONE, &sent), json!({ "auth_source_id": "SECOND_SMS" })).to_string();
    assert_reply(&server.post_token(json_request(&body, None)).await, 400, ROW_7, &[]);
}

#[tokio::test]
async fn row_7b_a_spent_token() {
    let (host, body) = ready(PHONE).await;
    accept(&host, &body).await;
    refuse(&host, &body, 400, ROW_6).await;
    refuse(&host, &but(&body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) })), 400, ROW_6).await;
}

#[tokio::test]
async fn row_8_counts_down_and_then_row_7b_even_for_the_right_code() {
    let (host, body) = ready(PHONE).await;
    let guess = but(&body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }));
    for remaining in [4, 3, 2, 1, 0] {
        refuse(&host, &guess, 400, &row_8(remaining)).await;
    }
    refuse(&host, &guess, 400, ROW_6).await;
    refuse(&host, &body, 400, ROW_6).await;
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 5);
}

#[tokio::test]
async fn the_right_code_works_at_the_last_guess() {
    let (host, body) = ready(PHONE).await;
    let guess = but(&body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }));
    for remaining in [4, 3, 2, 1] {
        refuse(&host, &guess, 400, &row_8(remaining)).await;
    }
    accept(&host, &body).await;
}

#[tokio::test]
async fn row_8_what_looks_like_the_code_is_not_the_code() {
    let (host, body) = ready(PHONE).await;
    let code = body["otp"].as_str().unwrap();
    for otp in [format!(" {code}"), format!("{code} "), format!("{code}0"), code[..5].to_owned()] {
        refuse(&host, &but(&body, json!({ "otp": otp })), 400, &row_8(5)).await;
    }
    accept(&host, &body).await;
}

#[tokio::test]
async fn a_code_expires_at_its_instant_and_its_token_at_its_own() {
    let (host, body) = ready(PHONE).await;
    host.advance(Duration::from_millis(179_999));
    accept(&host, &body).await;

    let (host, body) = ready(PHONE).await;
    host.advance(secs(180));
    refuse(&host, &body, 400, &row_8(4)).await;
    host.advance(Duration::from_millis(119_999));
    refuse(&host, &body, 400, &row_8(3)).await;
    host.advance(Duration::from_millis(1));
    refuse(&host, &body, 400, ROW_6).await;
}

#[tokio::test]
async fn row_9_costs_one_guess_and_leaves_the_code_usable() {
    let (host, body) = ready(NOBODY).await;
    for no in [json!(null), json!(false), json!("false")] {
        refuse(&host, &but(&body, json!({ "auto_signup": no })), 400, ROW_9).await;
    }
    assert_eq!(guesses_left(&host, &body).await, 2);
    assert_tokens(&accept(&host, &but(&body, json!({ "auto_signup": true }))).await, "openid");

    let (host, body) = ready(NOBODY).await;
    for _ in 0..5 {
        refuse(&host, &body, 400, ROW_9).await;
    }
    refuse(&host, &but(&body, json!({ "auto_signup": true })), 400, ROW_6).await;
    assert!(!host.directory.calls.lock().unwrap().contains(&"sign_up"));
}

#[tokio::test]
async fn auto_signup_is_a_boolean_or_its_name() {
    for yes in [json!(true), json!("true")] {
        let (host, body) = ready(NOBODY).await;
        accept(&host, &but(&body, json!({ "auto_signup": yes }))).await;
        // The user exists from now on.
        host.advance(secs(61));
        let sent = host.send(&sms_send(NOBODY)).await;
        accept(&host, &sms_grant(NOBODY, &sent)).await;
    }
    for neither in [json!("True"), json!("1"), json!(1), json!("yes"), json!(""), json!([true])] {
        let (host, body) = ready(NOBODY).await;
        let (status, said) = host.token(&but(&body, json!({ "auto_signup": neither }))).await;
        assert_eq!((status, &said["error"]), (400, &json!("invalid_request")));
        assert!(said["error_description"].as_str().unwrap().contains("auto_signup"));
        assert_eq!(guesses_left(&host, &body).await, 5);
    }
}

#[tokio::test]
async fn row_10_costs_one_guess_and_leaves_the_code_usable() {
    let user = |status| User::new(Subject::new("LOCKED_USER_ID").unwrap(), status);
    for status in [UserStatus::Locked, UserStatus::Frozen, UserStatus::Inactive] {
        let (host, body) = ready(LOCKED_PHONE).await;
        host.directory.inner.put_user(user(status));
        refuse(&host, &body, 400, ROW_10).await;
        refuse(&host, &but(&body, json!({ "auto_signup": true })), 400, ROW_10).await;
        assert_eq!(guesses_left(&host, &body).await, 3);
        host.directory.inner.put_user(user(UserStatus::Active));
        accept(&host, &body).await;
    }
}

#[tokio::test]
async fn row_11_scope() {
    let (host, body) = ready(PHONE).await;
    for scope in ["admin", "openid admin", "OPENID", "open\"id", "é"] {
        refuse(&host, &but(&body, json!({ "scope": scope })), 400, r#"{"error":"invalid_scope"}"#).await;
    }
    assert_eq!(guesses_left(&host, &body).await, 5);
    let said = accept(&host, &but(&body, json!({ "scope": "openid profile" }))).await;
    assert_tokens(&said, "openid profile");
}

#[tokio::test]
async fn row_12_spends_at_most_one_guess() {
    let assert_unavailable = |reply: &Reply| {
        assert_headers(reply, &[]);
        let (status, said) = read(reply);
        assert_eq!((status, &said["error"]), (503, &json!("temporarily_unavailable")));
        assert!(said["error_description"].is_string());
    };
    let (host, body) = ready(PHONE).await;
    host.store.down.store(true, SeqCst);
    for _ in 0..10 {
        assert_unavailable(&post(&host, &body, None).await);
    }
    host.store.down.store(false, SeqCst);
    assert_eq!(guesses_left(&host, &body).await, 5);
    accept(&host, &body).await;

    for (phone, changes) in [(PHONE, json!({})), (NOBODY, json!({ "auto_signup": true }))] {
        let (host, body) = ready(phone).await;
        let body = but(&body, changes);
        host.directory.down.store(true, SeqCst);
        assert_unavailable(&post(&host, &body, None).await);
        host.directory.down.store(false, SeqCst);
        assert!(guesses_left(&host, &body).await >= 4);
        accept(&host, &body).await;
    }
}

fn verify<'a>(client: &'a ClientId, usage: Usage, sent: &'a Sent, code: &'a str) -> VerifyRequest<'a> {
    let address = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
    let (otp_token, otp) = (PresentedSecret::new(sent.otp_token.as_str()), PresentedSecret::new(code));
    VerifyRequest::new(client, usage, address, otp_token, otp)
}

#[tokio::test]
async fn codes_of_other_usages_prove_the_address_once_and_for_their_usage_alone() {
    let client = ClientId::new("TENANT_CLIENT_ID").unwrap();
    let other_client = ClientId::new("TENANT_SPA_CLIENT_ID").unwrap();
    let all = [Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword];
    for usage in all {
        let host = Host::new();
        let body = but(&sms_send(PHONE), json!({ "usage": usage.as_str(), "auth_source_id": null }));
        let sent = host.send(&body).await;
        let mismatched = Some(VerifyError::MismatchedOtpToken);
        for other in all.into_iter().chain([Usage::Login]).filter(|other| *other != usage) {
            assert_eq!(host.server.call_verify(verify(&client, other, &sent, &sent.code)).await.err(), mismatched);
        }
        let of_other = host.server.call_verify(verify(&other_client, usage, &sent, &sent.code)).await;
        assert_eq!(of_other.err(), mismatched);
        refuse(&host, &sms_grant(PHONE, &sent), 400, ROW_7).await;
        for attempts_remaining in [4, 3, 2, 1] {
            let guess = host.server.call_verify(verify(&client, usage, &sent, &wrong(&sent.code))).await;
            assert_eq!(guess.err(), Some(VerifyError::UnknownOtp { attempts_remaining }));
        }
        let verified = host.server.call_verify(verify(&client, usage, &sent, &sent.code)).await.unwrap();
        assert_eq!((verified.usage(), verified.address().channel()), (usage, Channel::Sms));
        let again = host.server.call_verify(verify(&client, usage, &sent, &sent.code)).await;
        assert_eq!(again.err(), Some(VerifyError::UnknownOtpToken));
    }
}

#[tokio::test]
async fn a_login_code_is_no_proof_for_another_usage() {
    let (client, host) = (ClientId::new("TENANT_CLIENT_ID").unwrap(), Host::new());
    let sent = host.send(&sms_send(PHONE)).await;
    for usage in [Usage::Login, Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword] {
        let refused = host.server.call_verify(verify(&client, usage, &sent, &sent.code)).await;
        assert_eq!(refused.err(), Some(VerifyError::MismatchedOtpToken));
    }
    assert_eq!(guesses_left(&host, &sms_grant(PHONE, &sent)).await, 5);
}

#[tokio::test]
async fn codes_of_other_usages_expire_after_a_minute() {
    let client = ClientId::new("TENANT_CLIENT_ID").unwrap();
    for (millis, works) in [(59_999, true), (60_000, false)] {
        let host = Host::new();
        let sent = host.send(&but(&sms_send(PHONE), json!({ "usage": "signup", "auth_source_id": null }))).await;
        host.advance(Duration::from_millis(millis));
        let verified = host.server.call_verify(verify(&client, Usage::Signup, &sent, &sent.code)).await;
        assert_eq!(verified.is_ok(), works);
    }
    let host = Host::new();
    let sent = host.send(&but(&sms_send(PHONE), json!({ "usage": "signup", "auth_source_id": null }))).await;
    host.store.down.store(true, SeqCst);
    let refused = host.server.call_verify(verify(&client, Usage::Signup, &sent, &sent.code)).await;
    assert_eq!(refused.err(), Some(VerifyError::TemporarilyUnavailable));
}
