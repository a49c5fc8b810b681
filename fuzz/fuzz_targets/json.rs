//! JSON bodies at the token endpoint, against serde_json: what it does not read is refused, what it reads means the same
//! when it is written anew, nothing of it is repeated, and memory stays a small multiple of it.
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
            // The last of two members would be left.
            if !is_twice {
                let (_, again) = answer(object.to_string().as_bytes());
                assert_eq!((status, &said), (again.status(), &read(&again).1));
            }
        }
        Ok(_) => assert_eq!(description, "the body is not a JSON object"),
        Err(_) => assert!(is_unread || is_twice, "{description}"),
    }
});

/// No token is known to it, so no request changes it.
static HOST: LazyLock<Host> = LazyLock::new(Host::new);
const MULTIPLE: usize = 8;
