//! `POST /otp/send`, row by row: status, headers and whole body.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::jwt::Algorithm;
use otp_grant::otp::{CodePolicy, Quota};
use otp_grant::server::ConfigError;
use otp_grant::settings::danger;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const USAGES: [&str; 4] = ["login", "signup", "update_userinfo", "reset_password"];
const NOT_SENT: &str =
    r#"{"error":"temporarily_unavailable","error_description":"Failed to send OTP. Please try again later."}"#;
const NOT_ASSOCIATED: &str =
    r#"{"error":"invalid_auth_source","error_description":"Auth source and application not associated"}"#;

async fn try_raw(host: &Host, body: &Value, authorization: Option<&str>) -> Result<Delivery, Reply> {
    host.server.post_send(json_request(&body.to_string(), authorization)).await
}

async fn refused(host: &Host, body: &Value, authorization: Option<&str>) -> Reply {
    match try_raw(host, body, authorization).await {
        Ok(_) => panic!("accepted: {body}"),
        Err(reply) => reply,
    }
}

/// Compares the whole reply: the status, every header and every byte of the body.
fn email_send(email: &str) -> Value {
    json!({
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "email": email,
    })
}

fn used_for(usage: &str, body: &Value) -> Value {
    match usage {
        "login" => but(body, json!({ "usage": usage })),
        _ => but(body, json!({ "usage": usage, "auth_source_id": null })),
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn without_credentials(body: &Value) -> Value {
    but(body, json!({ "client_id": null, "client_secret": null }))
}

/// A host with its own directory.
fn host_with(settings: Settings, inner: MemoryDirectory) -> Host {
    Host::with_directory(settings, SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap(), inner)
}

#[tokio::test]
async fn every_usage_on_both_channels_is_accepted_with_the_same_reply() {
    for usage in USAGES {
        for body in [sms_send(PHONE), email_send(EMAIL)] {
            let host = Host::new();
            let delivery = try_raw(&host, &used_for(usage, &body), None).await.unwrap();
            assert_eq!(delivery.message().unwrap().usage().as_str(), usage);
            let validity = if usage == "login" { 180 } else { 60 };
            assert_eq!(delivery.message().unwrap().validity(), secs(validity));
            let code = delivery.message().unwrap().code().expose_secret().to_owned();
            assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
            let channel = if body["email"].is_null() { Channel::Sms } else { Channel::Email };
            assert_eq!(delivery.message().unwrap().address().channel(), channel);

            let reply = delivery.accepted();
            assert_eq!(reply.status(), 200);
            assert_headers(&reply, &[]);
            let said: Value = serde_json::from_slice(reply.body()).unwrap();
            let otp_token = said["otp_token"].as_str().unwrap();
            let whole = json!({
                "otp_token": otp_token, "expires_in": 300, "code_expires_in": validity, "code_length": 6,
                "resend_after": 30,
            });
            assert_eq!(said, whole);
            assert!(!otp_token.is_empty() && !otp_token.contains(&code));
        }
    }
}

#[tokio::test]
async fn the_usage_is_login_when_it_is_absent() {
    let host = Host::new();
    assert_eq!(try_raw(&host, &sms_send(PHONE), None).await.unwrap().message().unwrap().usage(), Usage::Login);
}

#[tokio::test]
async fn an_unknown_usage_is_refused() {
    for usage in ["LOGIN", "log in", "otp"] {
        let reply = refused(&Host::new(), &but(&sms_send(PHONE), json!({ "usage": usage })), None).await;
        assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("invalid_request")));
    }
}

#[tokio::test]
async fn exactly_one_address_is_required() {
    let host = Host::new();
    for body in
        [but(&sms_send(PHONE), json!({ "phone_number": null })), but(&sms_send(PHONE), json!({ "email": EMAIL }))]
    {
        let reply = refused(&host, &body, None).await;
        assert_headers(&reply, &[]);
        assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("invalid_request")));
    }
}

#[tokio::test]
async fn an_auth_source_is_required_for_login_and_absent_for_the_rest() {
    let host = Host::new();
    let mut bodies = vec![but(&sms_send(PHONE), json!({ "auth_source_id": null }))];
    bodies.extend(USAGES[1..].iter().map(|usage| but(&sms_send(PHONE), json!({ "usage": usage }))));
    for body in bodies {
        let reply = refused(&host, &body, None).await;
        let (status, said) = read(&reply);
        assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{body}");
        assert!(said["error_description"].as_str().unwrap().contains("auth_source_id"), "{said}");
    }
}

#[tokio::test]
async fn malformed_addresses_are_told_by_channel() {
    let host = Host::new();
    for usage in USAGES {
        for phone in ["12", "not a phone", "136123456789012345678", "+", "１３６１２３４５６７８"] {
            let reply = refused(&host, &used_for(usage, &sms_send(phone)), None).await;
            assert_reply(&reply, 400, r#"{"error":"malformed_phone_number"}"#, &[]);
        }
        for email in
            ["nobody", "@example.com", "a@", "a b@example.com", "a@b@example.com", "a@example.com\r\nBcc: b@c.de"]
        {
            let reply = refused(&host, &used_for(usage, &email_send(email)), None).await;
            assert_reply(&reply, 400, r#"{"error":"malformed_email"}"#, &[]);
        }
    }
}

#[tokio::test]
async fn used_addresses_are_told_only_where_the_host_says_so() {
    let disclosing = || Host::with(danger::disclose_used_addresses(Settings::default()));
    for usage in USAGES {
        let told = matches!(usage, "signup" | "update_userinfo");
        for (body, error) in [
            (sms_send(PHONE), r#"{"error":"phone_number_is_used"}"#),
            (sms_send(LOCKED_PHONE), r#"{"error":"phone_number_is_used"}"#),
            (email_send(EMAIL), r#"{"error":"email_is_used"}"#),
        ] {
            let body = used_for(usage, &body);
            assert!(try_raw(&Host::new(), &body, None).await.is_ok(), "the default discloses: {body}");
            match try_raw(&disclosing(), &body, None).await {
                Ok(_) => assert!(!told, "{body}"),
                Err(reply) => {
                    assert!(told, "{body}");
                    assert_reply(&reply, 400, error, &[]);
                }
            }
        }
        for body in [sms_send(NOBODY), email_send("nobody@example.com")] {
            assert!(try_raw(&disclosing(), &used_for(usage, &body), None).await.is_ok());
        }
    }
}

#[tokio::test]
async fn without_disclosure_no_usage_asks_for_the_user() {
    for usage in USAGES {
        let host = Host::new();
        let _delivery = try_raw(&host, &used_for(usage, &sms_send(PHONE)), None).await.unwrap();
        assert!(!host.directory.calls.lock().unwrap().iter().any(|call| call.starts_with("user")));
    }
}

#[tokio::test]
async fn what_the_host_reports_is_what_the_client_hears() {
    use DeliveryFailure::*;
    for usage in USAGES {
        for (body, failure, status, said) in [
            (email_send(EMAIL), AddressRefused, 400, r#"{"error":"invalid_email"}"#),
            (email_send(EMAIL), InsufficientQuota, 400, r#"{"error":"insufficient_email_quota"}"#),
            (sms_send(PHONE), InsufficientQuota, 400, r#"{"error":"insufficient_sms_quota"}"#),
            (email_send(EMAIL), Undeliverable, 503, NOT_SENT),
            (sms_send(PHONE), Undeliverable, 503, NOT_SENT),
        ] {
            let delivery = try_raw(&Host::new(), &used_for(usage, &body), None).await.unwrap();
            assert_reply(&delivery.failed(failure), status, said, &[]);
        }
    }
}

#[tokio::test]
async fn a_refused_phone_number_is_not_told_as_an_email() {
    let delivery = try_raw(&Host::new(), &sms_send(PHONE), None).await.unwrap();
    let reply = delivery.failed(DeliveryFailure::AddressRefused);
    assert_reply(&reply, 400, r#"{"error":"invalid_phone_number"}"#, &[]);
}

#[tokio::test]
async fn a_store_that_is_down_is_503_for_every_usage() {
    for usage in USAGES {
        for body in [sms_send(PHONE), email_send(EMAIL)] {
            let host = Host::new();
            host.store.down.store(true, SeqCst);
            let body = used_for(usage, &body);
            assert_reply(&refused(&host, &body, None).await, 503, NOT_SENT, &[]);
            // A send that failed counts for no quota.
            host.store.down.store(false, SeqCst);
            assert!(try_raw(&host, &body, None).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_directory_that_is_down_is_503_where_it_is_asked() {
    let host = Host::with(danger::disclose_used_addresses(Settings::default()));
    host.directory.down.store(true, SeqCst);
    assert_reply(&refused(&host, &used_for("signup", &sms_send(PHONE)), None).await, 503, NOT_SENT, &[]);
    assert!(try_raw(&host, &sms_send(PHONE), None).await.is_ok());
}

const SMS_LIMIT: &str =
    r#"{"error":"sms_rate_limit_exceeded","error_description":"SMS rate limit exceeded for same phone number"}"#;
const EMAIL_LIMIT: &str =
    r#"{"error":"email_rate_limit_exceeded","error_description":"Email rate limit exceeded for same email address"}"#;

#[tokio::test]
async fn one_send_in_thirty_seconds_to_one_address() {
    for (body, said) in [(sms_send(PHONE), SMS_LIMIT), (email_send(EMAIL), EMAIL_LIMIT)] {
        let host = Host::new();
        assert!(try_raw(&host, &body, None).await.is_ok());
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", "30")]);
        host.advance(secs(10));
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", "20")]);
        // The time is rounded up: a client that waits as long as it says gets through.
        host.advance(std::time::Duration::from_millis(19_001));
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", "1")]);
        host.advance(std::time::Duration::from_millis(998));
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", "1")]);
        host.advance(std::time::Duration::from_millis(1));
        assert!(try_raw(&host, &body, None).await.is_ok());
        // A refused send did not count.
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", "30")]);
    }
}

#[tokio::test]
async fn the_quota_is_the_address_s_over_clients_usages_and_spellings() {
    let spa = json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null });
    for first in USAGES {
        for second in USAGES {
            let host = Host::new();
            assert!(try_raw(&host, &used_for(first, &sms_send(PHONE)), None).await.is_ok());
            let again = but(&used_for(second, &sms_send(PHONE)), spa.clone());
            assert_reply(&refused(&host, &again, None).await, 400, SMS_LIMIT, &[("Retry-After", "30")]);
            // Another address has another quota.
            assert!(try_raw(&host, &used_for(second, &sms_send(NOBODY)), None).await.is_ok());
        }
    }
    let host = Host::new();
    assert!(try_raw(&host, &email_send("someone@example.com"), None).await.is_ok());
    let reply = refused(&host, &email_send("someone@EXAMPLE.com"), None).await;
    assert_reply(&reply, 400, EMAIL_LIMIT, &[("Retry-After", "30")]);
}

#[tokio::test]
async fn fifty_sends_in_a_day_to_one_address() {
    for (body, said) in [(sms_send(PHONE), SMS_LIMIT), (email_send(EMAIL), EMAIL_LIMIT)] {
        let host = Host::new();
        for index in 0..50 {
            let usage = USAGES[index % USAGES.len()];
            let mut body = used_for(usage, &body);
            if index % 3 == 0 {
                body = but(&body, json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }));
            }
            let sent = host.send(&body).await;
            let wait = if index == 49 { 86_400 - 49 * 30 } else { 30 };
            assert_eq!(sent.reply["resend_after"], wait, "{index}");
            host.advance(secs(30));
        }
        let wait = (86_400 - 50 * 30).to_string();
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", &wait)]);
        host.advance(secs(86_400 - 50 * 30 - 1));
        assert_reply(&refused(&host, &body, None).await, 400, said, &[("Retry-After", "1")]);
        host.advance(secs(1));
        assert!(try_raw(&host, &body, None).await.is_ok());
    }
}

#[tokio::test]
async fn quotas_are_configurable() {
    let two_a_minute = Quota::new(NonZeroU32::new(2).unwrap(), secs(60));
    let host = Host::with(settings(|s| s.send_quotas = vec![two_a_minute]));
    assert_eq!(host.send(&sms_send(PHONE)).await.reply["resend_after"], 0);
    assert_eq!(host.send(&sms_send(PHONE)).await.reply["resend_after"], 60);
    assert_reply(&refused(&host, &sms_send(PHONE), None).await, 400, SMS_LIMIT, &[("Retry-After", "60")]);
    let host = Host::with(danger::without_send_quotas(Settings::default()));
    for _ in 0..100 {
        assert_eq!(host.send(&sms_send(PHONE)).await.reply["resend_after"], 0);
    }
}

#[tokio::test]
async fn a_second_failed_delivery_in_a_row_waits_whatever_the_quotas_are() {
    for quotas in [&[(1, 30), (50, 86_400)][..], &[(1, 30)], &[(2, 30)], &[(1, 60), (5, 60)], &[(1, 30), (3, 59)]] {
        let all: Vec<Quota> = quotas.iter().map(|(n, s)| Quota::new(NonZeroU32::new(*n).unwrap(), secs(*s))).collect();
        let host = Host::with(settings(|s| s.send_quotas = all.to_vec()));
        let mut messages = 0;
        while messages < 10 {
            let Ok(delivery) = try_raw(&host, &sms_send(PHONE), None).await else { break };
            assert_eq!(host.server.call_delivery_failed(delivery, DeliveryFailure::Undeliverable).await.status(), 503);
            messages += 1;
        }
        // Each send that the shortest quota allows, and one more for each of them.
        assert_eq!(messages, 2 * quotas[0].0, "{quotas:?}");
    }
}

#[tokio::test]
async fn a_send_is_given_back_after_a_failed_delivery_also_where_the_store_fails_once() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Twice, Mishap::Overwritten] {
        let host = Host::new();
        let delivery = try_raw(&host, &sms_send(PHONE), None).await.unwrap();
        host.store.fault(1, fault);
        let reply = host.server.call_delivery_failed(delivery, DeliveryFailure::Undeliverable).await;
        assert_eq!(reply.status(), 503, "{fault:?}");
        host.store.heal();
        host.send(&sms_send(PHONE)).await;
    }
}

#[tokio::test]
async fn an_auth_source_that_does_not_fit_is_refused() {
    let sms = sms_send(PHONE);
    let email = email_send(EMAIL);
    for body in [
        but(&sms, json!({ "auth_source_id": "UNKNOWN" })),
        but(&sms, json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" })),
        but(&sms, json!({ "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID" })),
        but(&email, json!({ "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID" })),
        but(&sms, json!({ "client_id": "OTHER_CLIENT_ID", "client_secret": "OTHER_CLIENT_SECRET" })),
    ] {
        let host = Host::new();
        let (calls, reply) = host.store_calls(refused(&host, &body, None)).await;
        assert_reply(&reply, 400, NOT_ASSOCIATED, &[]);
        assert_eq!(calls, 0);
    }
}

#[tokio::test]
async fn every_failed_client_authentication_is_the_same_401() {
    const SAID: &str = r#"{"error":"invalid_client"}"#;
    let host = Host::new();
    let sms = sms_send(PHONE);
    for body in [
        but(&sms, json!({ "client_id": "UNKNOWN" })),
        but(&sms, json!({ "client_id": "UNKNOWN", "client_secret": null })),
        but(&sms, json!({ "client_secret": "WRONG" })),
        but(&sms, json!({ "client_secret": "TENANT_CLIENT_SECRET " })),
        but(&sms, json!({ "client_secret": null })),
        but(&sms, json!({ "client_id": "TENANT_SPA_CLIENT_ID" })),
        but(&sms, json!({ "client_id": "SILENT_SPA_CLIENT_ID" })),
    ] {
        for usage in USAGES {
            assert_reply(&refused(&host, &used_for(usage, &body), None).await, 401, SAID, &[]);
        }
    }
    for authorization in [
        basic("UNKNOWN:TENANT_CLIENT_SECRET"),
        basic("TENANT_CLIENT_ID:WRONG"),
        basic("TENANT_CLIENT_ID:"),
        basic("TENANT_CLIENT_ID"),
        basic("TENANT_SPA_CLIENT_ID:TENANT_CLIENT_SECRET"),
        basic("TENANT%2CLIENT_ID:%ZZ"),
        "Basic !!!".to_owned(),
        "Basic ".to_owned(),
        "Basic".to_owned(),
    ] {
        let reply = refused(&host, &without_credentials(&sms), Some(&authorization)).await;
        assert_reply(&reply, 401, SAID, &[("WWW-Authenticate", "Basic")]);
    }
    // The request sent nothing and counted for no quota.
    assert!(try_raw(&host, &sms, None).await.is_ok());
}

#[tokio::test]
async fn basic_stands_in_for_the_credentials_of_the_body() {
    for pair in ["TENANT_CLIENT_ID:TENANT_CLIENT_SECRET", "TENANT%5FCLIENT%5FID:TENANT%5fCLIENT%5fSECRET"] {
        for body in [without_credentials(&sms_send(PHONE)), but(&sms_send(PHONE), json!({ "client_secret": null }))] {
            for scheme in ["Basic", "basic", "BASIC"] {
                let authorization = format!("{scheme} {}", BASE64_STANDARD.encode(pair));
                assert!(try_raw(&Host::new(), &body, Some(&authorization)).await.is_ok());
            }
        }
    }
}

#[tokio::test]
async fn id_and_secret_are_form_urlencoded_inside_basic() {
    let id = ClientId::new("a client:1").unwrap();
    let inner = MemoryDirectory::new().with_client(Client::confidential(id, ClientSecret::digest("p+q r%:é")));
    let host = host_with(Settings::default(), inner);
    let body = json!({ "usage": "signup", "phone_number": PHONE });
    assert!(try_raw(&host, &body, Some(&basic("a+client%3A1:p%2Bq+r%25%3A%C3%A9"))).await.is_ok());
}

#[tokio::test]
async fn both_credentials_at_once_are_an_error() {
    let authorization = basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET");
    let reply = refused(&Host::new(), &sms_send(PHONE), Some(&authorization)).await;
    assert_headers(&reply, &[]);
    assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("invalid_request")));
}

#[tokio::test]
async fn a_public_client_sends_only_where_it_may() {
    let public = |id| json!({ "client_id": id, "client_secret": null });
    for usage in USAGES {
        for body in [sms_send(PHONE), email_send(EMAIL)] {
            let body = used_for(usage, &body);
            assert!(try_raw(&Host::new(), &but(&body, public("TENANT_SPA_CLIENT_ID")), None).await.is_ok());
            let reply = refused(&Host::new(), &but(&body, public("SILENT_SPA_CLIENT_ID")), None).await;
            assert_reply(&reply, 400, r#"{"error":"unauthorized_client"}"#, &[]);
        }
    }
}

#[tokio::test]
async fn a_login_code_is_as_its_auth_source_says_and_the_rest_as_the_settings_say() {
    let id = |id| AuthSourceId::new(id).unwrap();
    let ten = CodePolicy::new(10, secs(600)).unwrap();
    let four = CodePolicy::new(4, secs(20)).unwrap().with_token_validity(secs(90)).unwrap();
    let directory = || {
        MemoryDirectory::new()
            .with_client(
                Client::confidential(ClientId::new("C").unwrap(), ClientSecret::digest("S"))
                    .with_auth_source(id("FOUR"))
                    .with_auth_source(id("TEN")),
            )
            .with_auth_source(AuthSource::new(id("FOUR"), Channel::Sms).with_code(four.clone()))
            .with_auth_source(AuthSource::new(id("TEN"), Channel::Sms).with_code(ten.clone()))
    };
    let body = json!({ "client_id": "C", "client_secret": "S", "phone_number": PHONE });
    for (changes, length, validity, expires_in) in [
        (json!({ "auth_source_id": "FOUR" }), 4, 20, 90),
        (json!({ "auth_source_id": "TEN" }), 10, 600, 600),
        (json!({ "usage": "signup" }), 6, 60, 300),
        (json!({ "usage": "update_userinfo" }), 6, 60, 300),
        (json!({ "usage": "reset_password" }), 6, 60, 300),
    ] {
        let host = host_with(Settings::default(), directory());
        let delivery = try_raw(&host, &but(&body, changes), None).await.unwrap();
        assert_eq!(delivery.message().unwrap().code().expose_secret().len(), length);
        assert_eq!(delivery.message().unwrap().validity(), secs(validity));
        let said = read(&delivery.accepted()).1;
        assert_eq!(said["code_length"], length);
        assert_eq!(said["expires_in"], expires_in);
    }
    let policy = CodePolicy::new(8, secs(120)).unwrap();
    let host = host_with(settings(|s| s.code = policy), directory());
    let delivery = try_raw(&host, &but(&body, json!({ "usage": "signup" })), None).await.unwrap();
    assert_eq!(
        (delivery.message().unwrap().code().expose_secret().len(), delivery.message().unwrap().validity()),
        (8, secs(120))
    );
}

#[tokio::test]
async fn a_login_send_does_not_show_whether_there_is_a_user() {
    let looks = async |bodies: [Value; 2], how_often: usize| {
        let mut looks = Vec::new();
        for body in bodies {
            let host = Host::with(danger::disclose_used_addresses(Settings::default()));
            let mut look = Vec::new();
            for _ in 0..how_often {
                let before = host.store.calls.load(SeqCst);
                let shape = match try_raw(&host, &body, None).await {
                    Ok(delivery) => {
                        let reply = delivery.accepted();
                        let mut said: Value = serde_json::from_slice(reply.body()).unwrap();
                        let len = said["otp_token"].as_str().unwrap().len();
                        said["otp_token"] = json!(len);
                        (reply.status(), reply.body().len(), said, header_list(&reply))
                    }
                    Err(reply) => (reply.status(), reply.body().len(), read(&reply).1, header_list(&reply)),
                };
                look.push((
                    shape,
                    host.store.calls.load(SeqCst) - before,
                    host.directory.calls.lock().unwrap().clone(),
                ));
                host.advance(secs(20));
            }
            looks.push(look);
        }
        assert_eq!(looks[0], looks[1]);
    };
    for other in [NOBODY, LOCKED_PHONE] {
        looks([sms_send(PHONE), sms_send(other)], 5).await;
    }
    for other in ["nobody@example.com", "locked@example.com"] {
        looks([email_send(EMAIL), email_send(other)], 5).await;
    }
}

fn header_list(reply: &Reply) -> Vec<(String, String)> {
    reply.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn an_empty_secret_authenticates_nobody() {
    let id = |name| AuthSourceId::new(name).unwrap();
    let unset = std::env::var("OTP_GRANT_TEST_IS_NOT_SET").unwrap_or_default();
    let client = Client::confidential(ClientId::new("EMPTY").unwrap(), ClientSecret::digest(&unset))
        .with_auth_source(id("MOCK_SMS_OTP_AUTH_SOURCE_ID"));
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let host = Host::with_directory(Settings::default(), key, sample_directory().with_client(client));
    let named = but(&sms_send(PHONE), json!({ "client_id": "EMPTY", "client_secret": null })).to_string();
    let nameless = without_credentials(&sms_send(PHONE)).to_string();
    for (body, authorization) in [(&nameless, Some(basic("EMPTY:"))), (&named, Some(basic("EMPTY:"))), (&named, None)] {
        let reply = host.server.post_send(json_request(body, authorization.as_deref())).await.unwrap_err();
        assert_eq!((reply.status(), reply.body()), (401, &br#"{"error":"invalid_client"}"#[..]));
    }
}

#[test]
fn settings_that_lift_a_limit_without_saying_so_are_refused() {
    let built = |settings: Settings| {
        let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
        AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
            .settings(settings)
            .build(MemoryStore::new(), sample_directory())
            .err()
    };
    let of = |count, window| Quota::new(NonZeroU32::new(count).unwrap(), window);
    let sends = |quota| settings(|s| s.send_quotas = vec![quota]);
    assert_eq!(built(sends(of(1, std::time::Duration::from_micros(999)))), Some(ConfigError::Quota));
    assert_eq!(built(sends(of(1001, secs(86_400)))), Some(ConfigError::Quota));
    assert_eq!(built(settings(|s| s.send_quotas.clear())), Some(ConfigError::Quota));
    // Each of these would leave more challenges alive than the record of an address keeps.
    assert_eq!(built(sends(of(1, secs(2)))), Some(ConfigError::TooManyChallenges));
    assert_eq!(built(sends(of(1, secs(3)))), None);
}

#[tokio::test]
async fn a_message_counts_how_often_its_code_was_sent() {
    let host = Host::new();
    let mut attempts = Vec::new();
    for wait in [0, 30, 30, 90] {
        host.advance(secs(wait));
        let delivery = try_raw(&host, &sms_send(PHONE), None).await.unwrap();
        attempts.push(delivery.message().unwrap().attempt().get());
    }
    // The codes of this auth source are good for 180 seconds, and are shared while half of the time is left.
    assert_eq!(attempts, [1, 2, 3, 1]);
}

#[tokio::test]
async fn a_send_that_was_taken_back_is_no_message() {
    let host = Host::new();
    let attempt = async || {
        let delivery = try_raw(&host, &sms_send(PHONE), None).await?;
        Ok::<_, Reply>(delivery.message().unwrap().attempt().get())
    };
    assert_eq!(attempt().await.unwrap(), 1);
    host.advance(secs(30));
    // The swap takes effect, and what became of it can't be read.
    host.store.fault(1, Mishap::FailAfter);
    host.store.fault(2, Mishap::FailBefore);
    assert_eq!(attempt().await.unwrap_err().status(), 503);
    assert_eq!(attempt().await.unwrap(), 2);
}
