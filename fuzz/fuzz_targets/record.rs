//! Fuzzes stored records. What is read from JSON is written and read back unchanged. Whatever the store has under the
//! keys of an address and of a session, no flow panics, gives an answer outside of the contract, or takes much memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_grant::jwt::Audience;
use otp_grant::store::{Record, RecordBody};
use otp_grant::{Reply, Store};
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let (peak_memory, record) = peak(|| serde_json::from_slice::<Record>(input));
    assert_bounded(peak_memory, input.len(), MULTIPLE);
    let Ok(record) = record else { return };
    let written = serde_json::to_string(&record).unwrap();
    let again: Record = serde_json::from_str(&written).unwrap();
    assert_eq!(again, record);
    assert_eq!(serde_json::to_string(&again).unwrap(), written);
    assert_eq!(RecordBody::from_bytes(&record.body.to_bytes().unwrap()).as_ref(), Ok(&record.body));
    // Also through a value, as a document store would keep the record. Such a store sorts the members of a later
    // version.
    let value = serde_json::to_value(&record).unwrap();
    let from_value: Record = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&from_value).unwrap(), value);

    let host = Host::new();
    let tokens = block_on(host.log_in(json!({ "scope": "openid offline_access" })));
    let (refresh_token, access_token) = (text(&tokens, "refresh_token"), text(&tokens, "access_token"));
    host.advance(secs(30));
    let sent = block_on(host.send(&sms_send(PHONE)));
    let grant = sms_grant(PHONE, &sent);
    for (key, stored) in host.store.inner.records() {
        let Ok(_) = block_on(host.store.inner.swap(&key, Some(stored.tag), &record));
    }

    // Each request is measured alone, because the harness keeps data from one request to the next.
    let length = written.len();
    let mut answers = vec![
        bounded(length, token(&host, &but(&grant, json!({ "otp": wrong(&sent.code) })))),
        bounded(length, token(&host, &grant)),
        bounded(length, host.introspect(access_token, &[])),
        bounded(length, host.introspect(refresh_token, &[])),
        bounded(length, host.userinfo(access_token)),
    ];
    let _ = bounded(length, host.server.check_access_token(access_token, Audience::EveryClient));
    let refresh = json!({
        "grant_type": "refresh_token", "refresh_token": refresh_token,
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
    });
    for wait in [0, 30, 400_000] {
        host.advance(secs(wait));
        match bounded(length, host.try_send(&sms_send(PHONE))) {
            Ok(sent) => answers.push(bounded(length, token(&host, &sms_grant(PHONE, &sent)))),
            Err(reply) => answers.push(reply),
        }
        answers.push(bounded(length, token(&host, &refresh)));
        answers.push(bounded(length, host.revoke(access_token, &[])));
    }
    answers.push(bounded(length, host.revoke(refresh_token, &[])));
    for reply in &answers {
        assert!(matches!(reply.status(), 200 | 400 | 401 | 503), "{}", reply.status());
        assert_eq!(reply.header("Cache-Control"), Some("no-store"));
        let said = String::from_utf8_lossy(reply.body());
        assert!(
            !said.contains(&sent.code)
                || serde_json::from_str::<Value>(&said).is_ok_and(|said| said["error"].is_null())
        );
    }
    // What the requests left in the store is again a record.
    for (_, left) in host.store.inner.records() {
        let left_written = serde_json::to_string(&left).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&left_written).unwrap(), left);
        assert!(!format!("{:?}", left.body).contains(refresh_token));
    }
});

/// Runs a request and returns its result. Checks that it held no more memory than allowed for a record of this length.
#[track_caller]
fn bounded<T>(length: usize, request: impl Future<Output = T>) -> T {
    let (peak_memory, answer) = peak(|| block_on(request));
    assert_bounded(peak_memory, length, MULTIPLE);
    answer
}

async fn token(host: &Host, body: &Value) -> Reply {
    let body = body.to_string();
    host.server.post_token(json_request(&body, None)).await
}

/// Unknown members are kept as values. Each value takes more room than its text.
const MULTIPLE: usize = 64;
