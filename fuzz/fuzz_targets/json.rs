//! Fuzzes JSON bodies at the token endpoint, against serde_json.
//!
//! - A body that serde_json does not read is refused.
//! - A body that is read means the same when it is written anew.
//! - No answer repeats any of it.
//! - Memory stays a small multiple of its length.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let request = |body| Post { content_type: Some("application/json"), authorization: None, body };
    let answer = |body| peak(|| block_on(HOST.server.post_token(request(body))));
    forget_calls(&HOST);
    let (peak_memory, reply) = answer(body);
    let (status, said) = assert_ours(&reply);
    assert!(matches!(status, 400 | 401), "{status}");
    assert_bounded(peak_memory, body.len(), MULTIPLE);

    let description = said["error_description"].as_str().unwrap_or_default();
    let is_unread = matches!(description, "the body is not valid JSON" | "the body is not a JSON object");
    let is_twice = description.ends_with(" is given twice") || description.ends_with(" has an unknown member twice");
    match serde_json::from_slice::<Value>(body) {
        Ok(object @ Value::Object(_)) => {
            assert!(!is_unread, "{description}");
            // Of two members with one name, only the last would remain.
            if !is_twice {
                let (_, again) = answer(object.to_string().as_bytes());
                assert_eq!((status, &said), (again.status(), &read(&again).1));
            }
        }
        Ok(_) => assert_eq!(description, "the body is not a JSON object"),
        Err(_) => assert!(is_unread || is_twice, "{description}"),
    }
});

/// The host knows no token, so no request changes it.
static HOST: LazyLock<Host> = LazyLock::new(Host::new);
const MULTIPLE: usize = 8;
