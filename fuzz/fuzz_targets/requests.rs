//! Fuzzes whole requests. Nothing panics, the status is one of the contract, and no answer says what the caller must
//! not know.
//!
//! The first line is the `Content-Type`, the second line is the `Authorization`, and the rest is the body. An empty
//! line means that the header is missing. `<token>` and `<code>` stand for what was sent to `PHONE`, and `<refresh>`
//! and `<access>` for the tokens of a login, so that a request can also be right. Each request is made at every
//! endpoint.
#![no_main]

use std::sync::atomic::Ordering::SeqCst;

use libfuzzer_sys::fuzz_target;
use otp_grant_fuzz::*;
use pollster::block_on;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut header = || lines.next().and_then(|line| std::str::from_utf8(line).ok()).filter(|line| !line.is_empty());
    let (content_type, authorization) = (header(), header());
    let body = lines.next().unwrap_or_default();

    let host = Host::new();
    let tokens = block_on(host.log_in(serde_json::json!({})));
    let (refresh_token, access_token) = (text(&tokens, "refresh_token"), text(&tokens, "access_token"));
    host.advance(secs(30));
    let sent = block_on(host.send(&sms_send(PHONE)));
    let named = [
        ("<token>", sent.otp_token.as_str()),
        ("<code>", &sent.code),
        ("<refresh>", refresh_token),
        ("<access>", access_token),
    ];
    let fill = |body: Vec<u8>, (name, value): &(&str, &str)| replace(&body, name.as_bytes(), value.as_bytes());
    let body = named.iter().fold(body.to_vec(), fill);
    let authorization = authorization.map(|header| header.replace("<access>", access_token));
    let authorization = authorization.as_deref();
    let request = Post { content_type, authorization, body: &body };

    let (peak_memory, reply) = peak(|| block_on(host.server.post_token(request)));
    assert_bounded(peak_memory, body.len() + authorization.map_or(0, str::len), MULTIPLE);
    let (status, answer) = read(&reply);
    assert!(matches!(status, 200 | 400 | 401), "{status}");
    let granted = host.counters.logins.load(SeqCst) - 1 + host.counters.refreshes.load(SeqCst);
    assert_eq!(usize::from(status == 200), granted);
    assert_eq!(status == 200, answer["access_token"].is_string());
    assert_eq!(status != 200, answer["error"].is_string());
    assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    let secrets = [&sent.code, &sent.otp_token, refresh_token, access_token, "TENANT_CLIENT_SECRET", PHONE];
    if status != 200 {
        says_nothing(reply.body(), &secrets);
    }

    for (endpoint, reply) in [
        ("userinfo", block_on(host.server.post_userinfo(request))),
        ("introspect", block_on(host.server.post_introspect(request))),
        ("revoke", block_on(host.server.post_revoke(request))),
    ] {
        let (status, answer) = read(&reply);
        assert!(matches!(status, 200 | 400 | 401 | 403), "{endpoint}: {status}");
        assert_eq!(status != 200, answer["error"].is_string(), "{endpoint}");
        assert_eq!(reply.header("Cache-Control"), Some("no-store"), "{endpoint}");
        // The answer may contain the claims that the client may see.
        says_nothing(reply.body(), if endpoint == "userinfo" { &secrets[..5] } else { &secrets });
        let challenge = reply.header("WWW-Authenticate").unwrap_or_default();
        says_nothing(challenge.as_bytes(), &secrets);
    }

    host.advance(secs(30));
    match block_on(host.server.post_send(request)) {
        Ok(delivery) => {
            let code = delivery.message().unwrap().code().expose_secret().to_owned();
            let (status, mut answer) = read(&delivery.accepted());
            assert_eq!(status, 200);
            // Among so many random characters, the digits of a code can occur by chance.
            assert!(answer["otp_token"].take().is_string());
            says_nothing(answer.to_string().as_bytes(), &[&code, "TENANT_CLIENT_SECRET", PHONE]);
        }
        Err(reply) => {
            let (status, answer) = read(&reply);
            assert!(matches!(status, 400 | 401), "{status}");
            assert!(answer["error"].is_string());
            says_nothing(reply.body(), &secrets);
        }
    }
    assert_eq!(host.counters.faults.load(SeqCst), 0);
});

fn says_nothing(body: &[u8], secrets: &[&str]) {
    let body = String::from_utf8_lossy(body);
    for secret in secrets {
        assert!(!body.contains(secret), "{body}");
    }
}

fn replace(body: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    match body.windows(name.len()).position(|window| window == name) {
        Some(at) => [&body[..at], value, &body[at + name.len()..]].concat(),
        None => body.to_vec(),
    }
}

const MULTIPLE: usize = 16;
