//! The requirements of RFC 6749 on the token endpoint beside the contract: a code in a form, unknown parameters, and
//! the characters of errors.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

use otp_grant::settings::danger;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

/// The members of a grant as the parameters of a form.
fn as_form(grant: &Value) -> String {
    let parameters = grant.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

#[tokio::test]
async fn a_code_is_redeemed_by_a_form_as_well() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    let guess = as_form(&but(&grant, json!({ "otp": wrong(&sent.code) })));
    let (status, said) = read(&host.server.post_token(form_request(&guess, None)).await);
    assert_eq!((status, &said["attempts_remaining"]), (400, &json!(4)));
    // A parameter without a value counts as absent: the default scope, and no sign-up.
    let body = format!("{}&scope=&auto_signup=", as_form(&grant));
    let (status, said) = read(&host.server.post_token(form_request(&body, None)).await);
    assert_eq!((status, text(&said, "scope")), (200, "openid"), "{said}");
    assert!(host.is_active(text(&said, "access_token")).await);
}

#[tokio::test]
async fn parameters_that_are_not_known_are_ignored() {
    let host = Host::new();
    let sent = host.send(&but(&sms_send(PHONE), json!({ "resource": "https://api.example.com", "x": [1] }))).await;
    let grant = but(&sms_grant(PHONE, &sent), json!({ "redirect_uri": "https://a.example", "code": 1, "nonce": {} }));
    let (status, said) = host.token(&grant).await;
    assert_eq!(status, 200, "{said}");
    let unknown = [("resource", "https://api.example.com"), ("assertion", "x"), ("code_verifier", "y"), ("Scope", "z")];
    let (status, said) = host.refresh_with(text(&said, "refresh_token"), &unknown).await;
    assert_eq!((status, text(&said, "scope")), (200, "openid"));
    let access_token = text(&said, "access_token");
    assert_eq!(read(&host.introspect(access_token, &unknown).await).1["active"], true);
    assert_eq!(host.revoke(access_token, &unknown).await.status(), 200);
    assert!(!host.is_active(access_token).await);
}

/// Checks an error answer, and returns its error.
#[track_caller]
fn error_of(reply: &Reply) -> String {
    let (status, said) = read(reply);
    assert!(matches!(status, 400 | 401 | 403 | 503), "{status} {said}");
    let printable = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
    for (name, value) in said.as_object().unwrap() {
        match name.as_str() {
            "error" | "error_description" => assert!(printable(value.as_str().unwrap()), "{said}"),
            "attempts_remaining" => assert!(value.is_u64()),
            _ => panic!("{name} in {said}"),
        }
    }
    // A challenge has each attribute once (RFC 6750 section 3).
    if let Some(challenge) = reply.header("WWW-Authenticate") {
        for attribute in ["error=", "error_description=", "scope=", "realm="] {
            assert!(challenge.matches(attribute).count() <= 1, "{challenge}");
        }
        assert!(challenge.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
    text(&said, "error").to_owned()
}

#[tokio::test]
async fn every_error_is_written_in_the_characters_of_rfc_6749() {
    let host = Host::with(danger::disclose_used_addresses(Settings::default()));
    let sent = host.send(&sms_send(LOCKED_PHONE)).await;
    let locked = sms_grant(LOCKED_PHONE, &sent);
    let sent = host.send(&sms_send(NOBODY)).await;
    let nobody = sms_grant(NOBODY, &sent);
    let odd = "\"\\\u{7f}é\u{0}<script>";
    let mut seen = BTreeSet::new();

    let mut grants = vec![
        json!({}),
        but(&nobody, json!({ "otp": wrong(&sent.code) })),
        but(&nobody, json!({ "client_id": "NO_GRANT_CLIENT_ID", "client_secret": "SECRET" })),
        but(&nobody, json!({ "phone_number": PHONE })),
        but(&nobody, json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" })),
        but(&nobody, json!({ "auto_signup": odd })),
        but(&nobody, json!({ odd: odd, "otp": odd })),
        locked,
    ];
    grants.extend(nobody.as_object().unwrap().keys().map(|name| but(&nobody, json!({ name: odd }))));
    grants.extend(nobody.as_object().unwrap().keys().map(|name| but(&nobody, json!({ name: [odd] }))));
    grants.push(but(&nobody, json!({ "scope": odd })));
    grants.push(nobody);
    for grant in &grants {
        seen.insert(error_of(&host.server.post_token(json_request(&grant.to_string(), None)).await));
    }
    for body in
        [format!("a={odd}&a={odd}"), "%".to_owned(), form(&[("grant_type", odd)], &[]), form(&[("token", odd)], &[])]
    {
        for authorization in [None, Some(odd), Some("Basic x"), Some("Bearer x")] {
            seen.insert(error_of(&host.server.post_token(form_request(&body, authorization)).await));
            for reply in [
                host.server.post_revoke(form_request(&body, authorization)).await,
                host.server.post_introspect(form_request(&body, authorization)).await,
                host.server.post_userinfo(form_request(&body, authorization)).await,
            ] {
                if reply.status() != 200 {
                    seen.insert(error_of(&reply));
                }
            }
        }
    }
    let said = host.log_in(json!({ "scope": "profile" })).await;
    seen.insert(error_of(&host.userinfo(text(&said, "access_token")).await));
    let refresh = json!({
        "grant_type": "refresh_token", "refresh_token": text(&said, "refresh_token"), "scope": odd,
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
    });
    seen.insert(error_of(&host.server.post_token(json_request(&refresh.to_string(), None)).await));
    let signup = but(&sms_send(PHONE), json!({ "usage": "signup", "auth_source_id": null }));
    for send in [
        sms_send(PHONE),
        sms_send(odd),
        signup,
        but(&sms_send(PHONE), json!({ "usage": odd })),
        but(&sms_send(PHONE), json!({ "client_id": "SILENT_SPA_CLIENT_ID", "client_secret": null })),
    ] {
        let send = send.to_string();
        seen.insert(error_of(&host.server.post_send(json_request(&send, None)).await.unwrap_err()));
    }
    host.store.down.store(true, SeqCst);
    seen.insert(error_of(&host.userinfo(text(&said, "access_token")).await));

    // The requests above caused each of these errors.
    for error in [
        "insufficient_scope",
        "invalid_auth_source",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_token",
        "malformed_phone_number",
        "phone_number_is_used",
        "sms_rate_limit_exceeded",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
    ] {
        assert!(seen.contains(error), "{error} not among {seen:?}");
    }
}
