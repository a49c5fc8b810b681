//! The clients that a request names, before the authorization server has authenticated any.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use otp_grant::Request;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// Reads every client that a request names: in the body, in the `Authorization` header, and in an assertion or an access
/// token. Nothing is verified. A request that names another client than its own is refused later.
///
/// A request can name two clients. The authorization server refuses it, unless both are the same.
pub(super) fn named_clients(request: &Request<'_>) -> Vec<String> {
    let mut named: Vec<String> = request.authorization().and_then(of_header).into_iter().collect();
    let media_type = request.content_type().and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        // The authorization server also refuses a body that is not read here.
        let members: Members = serde_json::from_slice(request.content()).unwrap_or_default();
        named.extend(members.client_id);
        named.extend(members.client_assertion.as_deref().and_then(of_assertion));
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        named.extend(form_urlencoded::parse(request.content()).filter_map(of_parameter));
    }
    named
}

#[derive(Default, Deserialize)]
struct Members {
    client_id: Option<String>,
    client_assertion: Option<String>,
}

/// The claims that name the client of a token.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    client_id: Option<String>,
    aud: Option<serde_json::Value>,
}

fn of_parameter((name, value): (Cow<'_, str>, Cow<'_, str>)) -> Option<String> {
    match &*name {
        "client_id" => Some(value.into_owned()).filter(|id| !id.is_empty()),
        "client_assertion" => of_assertion(&value),
        "access_token" => of_access_token(&value),
        _ => None,
    }
}

fn of_header(header: &str) -> Option<String> {
    let (scheme, credentials) = header.split_once(' ')?;
    let credentials = credentials.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("Basic") {
        let pair = BASE64_STANDARD.decode(credentials).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        let id = pair.split_once(':')?.0.replace('+', " ");
        return percent_decode_str(&id).decode_utf8().ok().map(Cow::into_owned);
    }
    let is_token = scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("DPoP");
    is_token.then(|| of_access_token(credentials)).flatten()
}

/// `aud` is the client in an access token of the default profile. In one of RFC 9068 it is an API, and `client_id` is
/// the client.
fn of_access_token(token: &str) -> Option<String> {
    let Claims { client_id, aud, .. } = claims(token)?;
    client_id.or_else(|| aud?.as_str().map(str::to_owned))
}

fn of_assertion(assertion: &str) -> Option<String> {
    claims(assertion)?.sub
}

fn claims(token: &str) -> Option<Claims> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    fn named(kind: &str, authorization: Option<&str>, body: &str) -> Vec<String> {
        let request = Request::new("POST", "/oauth2/token").header("Content-Type", kind).body(body);
        named_clients(&match authorization {
            Some(header) => request.header("Authorization", header),
            None => request,
        })
    }

    #[test]
    fn a_client_is_named_in_the_body_the_header_or_a_token() {
        let (json, form) = ("application/json;charset=UTF-8", "Application/x-www-form-urlencoded");
        let assertion = jwt(r#"{"iss":"app","sub":"app","aud":"https://login.example.com"}"#);
        assert_eq!(named(json, None, r#"{"a":[{}],"client\u005fid":"app"}"#), ["app"]);
        assert_eq!(named(json, None, &format!(r#"{{"client_assertion":"{assertion}"}}"#)), ["app"]);
        assert_eq!(named(form, None, "a=b&client%5Fid=a%2Bpp+1"), ["a+pp 1"]);
        assert_eq!(named(form, None, "client_id=one&client_id=two"), ["one", "two"]);
        assert_eq!(named(form, None, &format!("client_assertion={assertion}")), ["app"]);
        let basic = format!("bAsIc  {}", BASE64_STANDARD.encode("a%3Ap+p:secret"));
        assert_eq!(named(form, Some(&basic), "client_id=other"), ["a:p p", "other"]);
        for token in [jwt(r#"{"aud":"app"}"#), jwt(r#"{"client_id":"app","aud":"https://api.example.com"}"#)] {
            assert_eq!(named("", Some(&format!("Bearer {token}")), ""), ["app"]);
            assert_eq!(named("", Some(&format!("dpop {token}")), ""), ["app"]);
            assert_eq!(named(form, None, &format!("access_token={token}")), ["app"]);
        }
    }

    #[test]
    fn what_cannot_be_read_names_no_client() {
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (kind, authorization, body) in [
            (json, None, r#"{"client_id":"app","client_id":"app"}"#),
            (json, None, r#"{"client_id":4}"#),
            (json, None, r#"{"client_id":null}"#),
            (json, None, "client_id=app"),
            (form, None, r#"{"client_id":"app"}"#),
            (form, None, "client_id="),
            ("text/plain", None, "client_id=app"),
            (form, Some("Basic"), ""),
            (form, Some("Basic !"), ""),
            (form, Some("Bearer a.b"), ""),
            (form, Some("Bearer a.e30.c"), ""),
        ] {
            assert_eq!(named(kind, authorization, body), [""; 0], "{kind} {authorization:?} {body}");
        }
    }
}
