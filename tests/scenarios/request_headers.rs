//! Which headers of a request are read, and how.

use otp_grant::*;
use otp_grant_tests::*;

const FORM: &str = "application/x-www-form-urlencoded";

/// The values of `Content-Type` and `Authorization` that a request has after this header came this many times.
fn read_as(name: &str, values: &[&[u8]]) -> (Option<String>, Option<String>) {
    let headers = values.iter().map(|value| (name, *value));
    let request = Request::new("POST", "/").headers(headers);
    (request.content_type().map(str::to_owned), request.authorization().map(str::to_owned))
}

#[test]
fn a_header_that_is_there_twice_or_is_not_visible_ascii_is_there_and_empty() {
    let some = |text: &str| Some(text.to_owned());
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        assert_eq!(read_as(name, &[]), (None, None));
        assert_eq!(read_as(name, &[b"a b\tc"]), (None, some("a b\tc")));
        for values in [&[&b"a"[..], b"a"][..], &[b"a", b""], &[b"", b"a"], &[b"a", b"a", b"a"], &[b"\xff"], &[b"a\n"]] {
            assert_eq!(read_as(name, values), (None, some("")), "{values:?}");
        }
    }
    assert_eq!(read_as("Content-Type", &[FORM.as_bytes()]), (some(FORM), None));
    assert_eq!(read_as("content-type", &[FORM.as_bytes(), FORM.as_bytes()]), (some(""), None));
    assert_eq!(read_as("Content-Type", &["é".as_bytes()]), (some(""), None));
}

#[tokio::test]
async fn headers_that_are_not_known_change_nothing() {
    let host = Host::new();
    let body = form(&[("token", "of nobody")], &[]);
    let accepted = async |delivery: Delivery| delivery.accepted();
    let post = || Request::new("POST", "/oauth2/introspect").header("Content-Type", FORM).body(&body);
    let others = ["DPoP", "Host", "Accept", "Cookie", "X-Content-Type", "Authorization2", "é", ""];
    let with_others = others.iter().fold(post(), |request, name| request.header(name, "\u{0}x").header(name, FORM));
    for request in [post(), with_others] {
        let reply = host.server.serve(request, accepted).await.unwrap();
        assert_reply(&reply, 200, r#"{"active":false}"#, &[]);
    }
}
