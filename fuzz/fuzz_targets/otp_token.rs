//! Fuzzes edits of a sealed otp_token, in an otherwise right request. Whatever was changed, the token is unknown, and
//! the store is never asked.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let Fixture { host, sent, elsewhere, refresh_token } = &*FIXTURE;
    let altered = edit(&sent.otp_token, input, &[&elsewhere.otp_token, refresh_token, &sent.otp_token]);
    // A whole token of another address is not altered. An empty token is a malformed request.
    if altered.is_empty() || altered == sent.otp_token || altered == elsewhere.otp_token {
        return;
    }
    let body = but(&sms_grant(PHONE, sent), json!({ "otp_token": altered }));
    let (calls, answer) = block_on(host.store_calls(host.token(&body)));
    assert_eq!(answer, error(400, "invalid_grant", "Unknown or expired otp_token"), "{altered:?}");
    assert_eq!(calls, 0, "{altered:?}");
});

/// Shared by all inputs, because a refusal changes nothing.
struct Fixture {
    host: Host,
    sent: Sent,
    elsewhere: Sent,
    refresh_token: String,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let host = Host::new();
    let sent = block_on(host.send(&sms_send(PHONE)));
    let (_, granted) = block_on(host.token(&sms_grant(PHONE, &sent)));
    let refresh_token = granted["refresh_token"].as_str().unwrap().to_owned();
    host.advance(secs(30));
    let sent = block_on(host.send(&sms_send(PHONE)));
    let elsewhere = block_on(host.send(&sms_send(NOBODY)));
    Fixture { host, sent, elsewhere, refresh_token }
});
