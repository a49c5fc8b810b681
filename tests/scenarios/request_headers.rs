//! Which headers of a request are read, and how.

use otp_grant::dpop::DpopSupport;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

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
    let others = ["DPoP-Nonce", "X-DPoP", "Host", "Accept", "Cookie", "X-Content-Type", "Authorization2", "é", ""];
    let with_others = others.iter().fold(post(), |request, name| request.header(name, "\u{0}x").header(name, FORM));
    for request in [post(), with_others] {
        let reply = host.server.serve(request, accepted).await.unwrap();
        assert_reply(&reply, 200, r#"{"active":false}"#, &[]);
    }
}

#[tokio::test]
async fn a_proof_is_read_once_and_as_text() {
    let host = Host::with(settings(|settings| settings.dpop = DpopSupport::On));
    let (path, key) = ("/otp/send", Prover::new(1));
    let body = json!({ "client_id": DPOP_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": PHONE }).to_string();
    let proof = key.proof(&host, path, json!({}));
    let send = async |headers: &[(&str, &[u8])]| {
        let request = Request::new("POST", path).header("Content-Type", "application/json").body(&body);
        let request = request.headers(headers.iter().copied());
        host.server.serve(request, async |delivery| delivery.accepted()).await.unwrap()
    };
    let proof = proof.as_bytes();
    let no_text = [proof, b"\xff"].concat();
    let not_ascii = [proof, "é".as_bytes()].concat();
    let with_line = [proof, b"\n"].concat();
    let with_tab = [b"\t", proof].concat();
    let malformed = r#"{"error":"invalid_dpop_proof","error_description":"the DPoP proof is malformed"}"#;
    for name in ["DPoP", "dpop", "DPOP"] {
        let alone = [&*no_text, &not_ascii, &with_line, &with_tab, b"", b"\xff"];
        let twice = [&*no_text, proof, b"", b"\xff"];
        let given = alone.map(|value| vec![(name, value)]).into_iter();
        let given = given.chain(twice.map(|other| vec![(name, proof), ("DPoP", other)]));
        for headers in given.chain(twice.map(|other| vec![("DPoP", other), (name, proof)])) {
            let (calls, reply) = host.store_calls(send(&headers)).await;
            assert_reply(&reply, 400, malformed, &[]);
            assert_eq!(calls, 0);
        }
        assert_eq!(send(&[("Accept", b"*/*"), (name, proof)]).await.status(), 200, "{name}");
        host.advance(secs(30));
    }
}
