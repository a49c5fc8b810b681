//! Fuzzes forms at the token, introspection and revocation endpoints, against form_urlencoded.
//!
//! - A form with a broken escape or without a text is refused.
//! - A form that is read means the same when it is written anew.
//! - No answer repeats any of it.
//! - Memory stays a small multiple of its length.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant_fuzz::*;
use pollster::block_on;

fuzz_target!(|body: &[u8]| {
    let is_whole = |rest: &[u8]| matches!(rest, [h, l, ..] if h.is_ascii_hexdigit() && l.is_ascii_hexdigit());
    let escapes_are_whole = body.split(|byte| *byte == b'%').skip(1).all(is_whole);
    let parameters: Vec<_> = form_urlencoded::parse(body).collect();
    let is_text = !parameters.iter().any(|(name, value)| (name.to_string() + value).contains('\u{fffd}'));
    let anew = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();

    for endpoint in 0..3 {
        let answer = |body: &[u8]| {
            let content_type = Some("application/x-www-form-urlencoded");
            let request = Post { content_type, authorization: None, body };
            forget_calls(&HOST);
            let (peak_memory, reply) = peak(|| match endpoint {
                0 => block_on(HOST.server.post_token(request)),
                1 => block_on(HOST.server.post_introspect(request)),
                _ => block_on(HOST.server.post_revoke(request)),
            });
            assert_bounded(peak_memory, body.len(), MULTIPLE);
            assert_ours(&reply)
        };
        let (status, said) = answer(body);
        assert!(matches!(status, 200 | 400 | 401), "{status}");
        assert!(said["access_token"].is_null() && said["active"] != true);
        let description = said["error_description"].as_str().unwrap_or_default();
        let is_twice =
            description.ends_with(" is given twice") || description.ends_with(" has an unknown member twice");
        let is_unread = description == "the body is not a valid form";
        if escapes_are_whole && is_text {
            assert!(!is_unread);
            // The new form can be longer.
            if anew.len() <= LONGEST {
                assert_eq!(answer(anew.as_bytes()), (status, said));
            }
        } else {
            assert!(is_unread || (is_twice && escapes_are_whole), "{said}");
        }
    }
});

/// The host knows no token, so no request changes it.
static HOST: LazyLock<Host> = LazyLock::new(Host::new);
const LONGEST: usize = 16 * 1024;
const MULTIPLE: usize = 16;
