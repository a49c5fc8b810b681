//! Input that an honest client never sends. The server refuses it as the contract says, never repeats it, and stays
//! usable.

use otp_grant::jwt::Algorithm;
use otp_grant::*;
use otp_grant_tests::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Part of each input. No answer may contain it.
const MARKER: &str = "xMARKERx";
const MEMBERS: [&str; 7] =
    ["grant_type", "client_id", "client_secret", "auth_source_id", "phone_number", "otp_token", "otp"];

async fn ready(settings: Settings) -> (Host, Value) {
    let host = Host::with(settings);
    let sent = host.send(&sms_send(PHONE)).await;
    let body = sms_grant(PHONE, &sent);
    (host, body)
}

fn roomy() -> Settings {
    settings(|s| s.body_limit = 8 << 20)
}

/// The answers of both endpoints to a body. Checks that both endpoints answer, and that no answer repeats the input.
async fn both(host: &Host, body: &[u8]) -> [(u16, Value); 2] {
    let request = Post { content_type: Some("application/json"), authorization: None, body };
    let token = host.server.post_token(request).await;
    let send = match host.server.post_send(request).await {
        Ok(delivery) => delivery.accepted(),
        Err(reply) => reply,
    };
    [token, send].map(|reply| {
        let text = String::from_utf8(reply.body().to_vec()).unwrap();
        assert!(reply.status() < 500 && !text.contains("MARKER"), "{} {text}", reply.status());
        read(&reply)
    })
}

async fn invalid_request(host: &Host, body: &[u8]) {
    for (status, said) in both(host, body).await {
        let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{shown}");
        assert!(said["error_description"].as_str().unwrap().len() < 100);
    }
}

async fn still_logs_in(host: &Host, body: &Value) {
    let (status, said) = host.token(&but(body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }))).await;
    assert_eq!((status, &said["attempts_remaining"]), (400, &json!(4)), "a guess was spent: {said}");
    let (status, said) = host.token(body).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test]
async fn what_is_no_json_object_of_single_members() {
    for settings in [Settings::default(), roomy()] {
        let (host, body) = ready(settings).await;
        let text = body.to_string();
        let deep = |open: &str, close: &str| {
            format!(r#"{{"{MARKER}":{}{},{}"#, open.repeat(10_000), close.repeat(10_000), &text[1..])
        };
        let mut bodies: Vec<Vec<u8>> = [
            String::new(),
            " \n".to_owned(),
            MARKER.to_owned(),
            format!("\u{feff}{text}"),
            format!("{text}{MARKER}"),
            format!("{text}{text}"),
            format!("[{text}]"),
            format!("[\"{MARKER}\"]"),
            format!("\"{MARKER}\""),
            "null".to_owned(),
            "NaN".to_owned(),
            "-".to_owned(),
            text[..text.len() - 1].to_owned(),
            text.replace('"', "'"),
            format!("{},}}", &text[..text.len() - 1]),
            format!("grant_type={MARKER}"),
            "[".repeat(10_000),
            "{\"a\":".repeat(2_500),
            deep("[", "]"),
            deep("{\"a\":", "}").replace(":}", ":1}"),
            text.replacen('{', "{\"\\ud800\":1,", 1),
            text.replacen('{', &format!("{{\"{MARKER}\":1,\"{MARKER}\":2,"), 1),
            text.replacen('{', "{\"\u{0}\":1,", 1),
        ]
        .map(String::into_bytes)
        .to_vec();
        bodies.push(b"\xff\xfe{}".to_vec());
        bodies.push(text.replace(PHONE, MARKER).into_bytes().into_iter().chain(*b"\x80").collect());
        let mut not_utf8 = text.clone().into_bytes();
        let at = text.find(PHONE).unwrap();
        not_utf8[at] = 0xc3;
        bodies.push(not_utf8);
        for name in ["client_id", "client_secret", "auth_source_id", "phone_number"] {
            bodies.push(text.replacen('{', &format!("{{\"{name}\":\"{MARKER}\","), 1).into_bytes());
            let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
            bodies.push(text.replacen('{', &format!("{{\"{escaped}\":\"{MARKER}\","), 1).into_bytes());
        }
        for bad in bodies {
            invalid_request(&host, &bad).await;
        }
        still_logs_in(&host, &body).await;
    }
}

#[tokio::test]
async fn duplicates_of_every_member_of_the_grant() {
    let (host, body) = ready(Settings::default()).await;
    let body = but(&body, json!({ "scope": "openid", "auto_signup": true }));
    for (name, value) in body.as_object().unwrap() {
        for first in [value.clone(), json!(MARKER), json!(null)] {
            let twice = body.to_string().replacen('{', &format!("{{\"{name}\":{first},"), 1);
            let (status, said) = read(&host.server.post_token(json_request(&twice, None)).await);
            assert_eq!((status, &said["error"]), (400, &json!("invalid_request")));
            assert!(said["error_description"].as_str().unwrap().contains(name.as_str()));
        }
    }
    still_logs_in(&host, &body).await;
}

#[tokio::test]
async fn a_member_that_is_null_is_read_as_one_that_is_absent() {
    let with = |body: &Value, name: &str| body.to_string().replacen('{', &format!("{{\"{name}\":null,"), 1);
    // A send, a grant and a refresh, each with `null` for members that it does not need.
    let host = Host::with_key(Settings::default(), other_key(Algorithm::EdDSA));
    let public = json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null });
    for name in ["email", "usage", "client_secret", "otp", "unknown_members"] {
        let body = with(&but(&sms_send(PHONE), public.clone()), name);
        let delivery = host.server.post_send(json_request(&body, None)).await.unwrap();
        assert_eq!(delivery.accepted().status(), 200, "{name}");
        host.advance(secs(30));
    }
    for name in ["email", "client_secret", "auto_signup", "scope", "refresh_token", "unknown_members"] {
        let sent = host.send(&but(&sms_send(PHONE), public.clone())).await;
        let body = with(&but(&sms_grant(PHONE, &sent), public.clone()), name);
        let (status, said) = read(&host.server.post_token(json_request(&body, None)).await);
        assert_eq!(status, 200, "{name}");
        let refresh = json!({
            "grant_type": "refresh_token", "client_id": "TENANT_SPA_CLIENT_ID", "refresh_token": said["refresh_token"],
        });
        for name in ["client_secret", "scope", "otp", "auto_signup"] {
            let refreshed = host.server.post_token(json_request(&with(&refresh, name), None)).await;
            assert_eq!(refreshed.status(), 200, "{name}");
        }
        host.advance(secs(30));
    }
    // A required member is missing.
    let sent = host.send(&sms_send(PHONE)).await;
    for name in MEMBERS {
        let body = with(&but(&sms_grant(PHONE, &sent), json!({ name: null })), name);
        let (status, said) = read(&host.server.post_token(json_request(&body, None)).await);
        let expected = match name {
            "client_secret" => (401, json!({ "error": "invalid_client" })),
            name => error(400, "invalid_request", &format!("{name} is missing")),
        };
        assert_eq!((status, said), expected);
    }
}

#[tokio::test]
async fn numbers_lists_and_empty_strings_where_a_string_belongs() {
    let (host, body) = ready(Settings::default()).await;
    for name in MEMBERS {
        for value in
            [json!(1), json!(1e300), json!(-0.0), json!(true), json!([MARKER]), json!({ MARKER: 1 }), json!("")]
        {
            let bad = but(&body, json!({ name: value })).to_string();
            let [(status, said), _] = both(&host, bad.as_bytes()).await;
            assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{name}");
            assert!(said["error_description"].as_str().unwrap().contains(name));
        }
        // serde_json's Value can't hold it.
        let huge = body.to_string().replacen(&body[name].to_string(), "1e99999", 1);
        assert_eq!(both(&host, huge.as_bytes()).await[0].0, 400);
    }
    still_logs_in(&host, &body).await;
}

/// The errors that a wrong text can get, by member.
fn errors_of(name: &str) -> &'static [&'static str] {
    match name {
        "grant_type" => &["unsupported_grant_type"],
        "client_id" => &["invalid_client", "invalid_request"],
        "client_secret" => &["invalid_client"],
        "auth_source_id" => &["invalid_auth_source", "invalid_request"],
        "phone_number" => &["invalid_request"],
        _ => &["invalid_grant"],
    }
}

#[tokio::test]
async fn nul_bytes_markers_and_a_member_of_a_mebibyte() {
    let long = MARKER.repeat((1 << 20) / MARKER.len());
    for name in MEMBERS {
        for value in [MARKER, &long, "\0", &format!("{MARKER}\0"), "\u{202e}\r\n\u{7f}", "<script>MARKER", "\u{10ffff}"]
        {
            let (host, body) = ready(roomy()).await;
            for value in [value.to_owned(), format!("{}{value}", body[name].as_str().unwrap())] {
                let bad = but(&body, json!({ name: value })).to_string();
                let [(status, said), _] = both(&host, bad.as_bytes()).await;
                assert!(status == 400 || status == 401, "{name} {said}");
                assert!(errors_of(name).contains(&said["error"].as_str().unwrap()), "{name} {said}");
            }
            // Two wrong codes cost two guesses. No other input costs a guess.
            assert_eq!(host.token(&body).await.0, 200, "{name}");
        }
        let (host, body) = ready(Settings::default()).await;
        invalid_request(&host, but(&body, json!({ name: long })).to_string().as_bytes()).await;
        let raw = body.to_string().replacen(body[name].as_str().unwrap(), "a\0b", 1);
        assert_eq!(both(&host, raw.as_bytes()).await[0].1["error"], "invalid_request");
        still_logs_in(&host, &body).await;
    }
}

#[tokio::test]
async fn full_width_digits_are_not_the_code() {
    let (host, body) = ready(Settings::default()).await;
    let code = body["otp"].as_str().unwrap();
    for zero in ['０', '٠', '𝟎'] {
        let otp: String =
            code.chars().map(|digit| char::from_u32(zero as u32 + digit as u32 - '0' as u32).unwrap()).collect();
        let (status, said) = host.token(&but(&body, json!({ "otp": otp }))).await;
        assert_eq!((status, &said["error_description"]), (400, &json!("Unknown or expired OTP")));
        // A text that can't be a code is not compared and costs nothing.
        assert_eq!(said["attempts_remaining"], 5);
    }
    assert_eq!(host.token(&body).await.0, 200);
}

#[tokio::test]
async fn both_credentials_are_refused_whatever_they_are() {
    let (host, body) = ready(Settings::default()).await;
    for authorization in ["Basic eDp5", "Basic MARKER", "Bearer MARKER", "MARKER", ""] {
        let bytes = body.to_string();
        let reply = host.server.post_token(json_request(&bytes, Some(authorization))).await;
        assert!(!String::from_utf8_lossy(reply.body()).contains("MARKER"));
        assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("invalid_request")));
    }
    still_logs_in(&host, &body).await;
}

#[tokio::test]
async fn content_types_that_are_not_json() {
    let (host, body) = ready(Settings::default()).await;
    let bytes = body.to_string();
    for content_type in [None, Some(""), Some("text/plain"), Some("MARKER"), Some("application/jsonp")] {
        let request = Post { content_type, authorization: None, body: bytes.as_bytes() };
        let reply = host.server.post_token(request).await;
        assert!(!String::from_utf8_lossy(reply.body()).contains("MARKER"));
        assert_eq!((reply.status(), &read(&reply).1["error"]), (400, &json!("invalid_request")));
    }
    still_logs_in(&host, &body).await;
}

#[tokio::test]
async fn an_otp_token_cut_extended_or_altered_anywhere() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (host, body) = ready(Settings::default()).await;
    let good = body["otp_token"].as_str().unwrap().to_owned();
    let mut tokens: Vec<String> = Vec::new();
    for at in 0..good.len() {
        if at > 0 {
            tokens.push(good[..at].to_owned());
            tokens.push(good[at..].to_owned());
        }
        for new in ["A", "B", "_", "-", "=", "+", "/", " ", "\0", "\n", "é", ""] {
            tokens.push(format!("{}{new}{}", &good[..at], &good[at + 1..]));
        }
        tokens.push(format!("{}A{}", &good[..at], &good[at..]));
    }
    tokens.extend(ALPHABET.iter().map(|last| format!("{}{}", &good[..good.len() - 1], char::from(*last))));
    tokens.extend(["A", "=", "==", " ", "\n", "\0", &good, MARKER].map(|more| format!("{good}{more}")));
    tokens.extend(["A", " ", "=", "\u{feff}"].map(|more| format!("{more}{good}")));
    let expected = error(400, "invalid_grant", "Unknown or expired otp_token");
    for token in tokens.iter().filter(|token| **token != good) {
        assert_eq!(host.token(&but(&body, json!({ "otp_token": token }))).await, expected, "{token:?}");
    }
    still_logs_in(&host, &body).await;
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_an_invalid_request(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        pollster::block_on(invalid_request(&Host::new(), &bytes));
    }

    #[test]
    fn a_body_with_a_stretch_replaced_never_breaks_anything(
        at in 0.0..1.0_f64, cut in 0..20_usize, new in proptest::collection::vec(any::<u8>(), 0..10),
    ) {
        pollster::block_on(async {
            let (host, body) = ready(Settings::default()).await;
            let mut bytes = body.to_string().into_bytes();
            let at = (at * bytes.len() as f64) as usize;
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, new);
            let [(status, _), _] = both(&host, &bytes).await;
            assert!(matches!(status, 200 | 400 | 401));
            if status != 200 {
                assert_eq!(host.token(&body).await.0, 200);
            }
        });
    }
}
