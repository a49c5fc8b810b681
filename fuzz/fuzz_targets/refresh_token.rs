//! Fuzzes edits of a refresh token, in otherwise right requests. Whatever was changed, the token is unknown to the
//! token endpoint, not active to introspection and nothing to revoke. The store is never asked.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::json;

fuzz_target!(|input: &[u8]| {
    let Fixture { host, refresh_token, elsewhere, otp_token } = &*FIXTURE;
    let altered = edit(refresh_token, input, &[elsewhere, otp_token, refresh_token]);
    // A whole token of another session is not altered. An empty token is a malformed request.
    if altered.is_empty() || altered == *refresh_token || altered == *elsewhere {
        return;
    }
    let (calls, answers) = block_on(host.store_calls(async {
        let revoked = host.revoke(&altered, &[]).await;
        (host.refresh(&altered).await, read(&host.introspect(&altered, &[]).await), revoked.status())
    }));
    let refused = error(400, "invalid_grant", "Unknown or expired refresh_token");
    assert_eq!(answers, (refused, (200, json!({ "active": false })), 200), "{altered:?}");
    assert_eq!(calls, 0, "{altered:?}");
});

/// Shared by all inputs, because a refusal changes nothing.
struct Fixture {
    host: Host,
    refresh_token: String,
    elsewhere: String,
    otp_token: String,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let host = Host::new();
    let [refresh_token, elsewhere] =
        [(); 2].map(|()| text(&block_on(host.log_in(json!({}))), "refresh_token").to_owned());
    host.advance(secs(30));
    let otp_token = block_on(host.send(&sms_send(PHONE))).otp_token;
    Fixture { host, refresh_token, elsewhere, otp_token }
});
