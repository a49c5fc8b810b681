//! What a request claims about itself, before the authorization server has checked anything: which clients it names,
//! and what it is. A request that passes here is checked by the authorization server.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use otp_grant::Request;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// The claims of a request. Nothing is verified.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Every client that the request names: in the body, in the `Authorization` header, and in an assertion or an
    /// access token. There can be two. The authorization server refuses the request then, unless both are the same.
    pub(super) clients: Vec<String>,
    /// Whether the request has something that is to prove its client: a header, a secret or an assertion.
    pub(super) are_proved: bool,
    /// Whether it is a refresh.
    pub(super) is_refresh: bool,
}

impl Claims {
    /// Reads the claims of a request. The authorization server also refuses a body that is not read here.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let header = request.authorization();
        let mut claims = Self { are_proved: header.is_some(), ..Self::default() };
        claims.clients.extend(header.and_then(of_header));
        let media_type = request.content_type().and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            let Members { client_id, client_secret, client_assertion, grant_type } =
                serde_json::from_slice(request.content()).unwrap_or_default();
            let members = [
                ("client_id", client_id),
                ("client_secret", client_secret),
                ("client_assertion", client_assertion),
                ("grant_type", grant_type),
            ];
            members.into_iter().for_each(|(name, value)| claims.add(name, value.unwrap_or_default().into()));
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            form_urlencoded::parse(request.content()).for_each(|(name, value)| claims.add(&name, value));
        }
        claims
    }

    /// Tells whether the request is that of a public client, and presents nothing that could be wrong.
    pub(super) fn are_of_a_public_client(&self, public_clients: &HashSet<String>) -> bool {
        let are_public = !self.clients.is_empty() && self.clients.iter().all(|client| public_clients.contains(client));
        are_public && !self.are_proved
    }

    /// Adds what a member claims. An empty value counts as omitted.
    fn add(&mut self, name: &str, value: Cow<'_, str>) {
        let client = match name {
            _ if value.is_empty() => None,
            "client_id" => Some(value.into_owned()),
            "client_secret" => {
                self.are_proved = true;
                None
            }
            "client_assertion" => {
                self.are_proved = true;
                of_assertion(&value)
            }
            "access_token" => of_access_token(&value),
            "grant_type" => {
                self.is_refresh = value == "refresh_token";
                None
            }
            _ => None,
        };
        self.clients.extend(client);
    }
}

#[derive(Default, Deserialize)]
struct Members {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_assertion: Option<String>,
    grant_type: Option<String>,
}

/// The claims that name the client of a token.
#[derive(Deserialize)]
struct TokenClaims {
    sub: Option<String>,
    client_id: Option<String>,
    aud: Option<serde_json::Value>,
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
    let TokenClaims { client_id, aud, .. } = claims(token)?;
    client_id.or_else(|| aud?.as_str().map(str::to_owned))
}

fn of_assertion(assertion: &str) -> Option<String> {
    claims(assertion)?.sub
}

fn claims(token: &str) -> Option<TokenClaims> {
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
        let request = match authorization {
            Some(header) => request.header("Authorization", header),
            None => request,
        };
        Claims::of(&request).clients
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
    fn a_refresh_is_told_from_a_guess() {
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (kind, body, is_refresh) in [
            (form, "grant_type=refresh_token&refresh_token=x", true),
            (form, "a=b&grant_type=refresh%5Ftoken", true),
            (json, r#" {"grant_type":"refresh_token"}"#, true),
            (json, r#"{"grant_type":"otp"}"#, false),
            (json, r#"{"grant_type":"otp","otp":"&grant_type=refresh_token&"}"#, false),
            (json, r#"{"grant_type":["refresh_token"]}"#, false),
            (json, "{&grant_type=refresh_token", false),
            (json, "grant_type=refresh_token", false),
            (form, "", false),
        ] {
            let request = Request::new("POST", "/oauth2/token").header("Content-Type", kind).body(body);
            assert_eq!(Claims::of(&request).is_refresh, is_refresh, "{body}");
        }
    }

    #[test]
    fn a_public_client_presents_nothing_that_could_be_wrong() {
        let public = HashSet::from(["app".to_owned()]);
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (kind, header, body, passes) in [
            (json, None, r#"{"client_id":"app"}"#, true),
            (form, None, "client_id=app", true),
            (form, None, "client_id=app&client_secret=", true),
            (form, Some("Basic YTpi"), "client_id=app", false),
            (form, Some("Basic !"), "client_id=app", false),
            (form, None, "client_id=app&client_secret=x", false),
            (json, None, r#"{"client_id":"app","client_secret":"x"}"#, false),
            (form, None, "client_id=app&client_assertion=x", false),
            (form, None, "client_id=app&client_id=web", false),
            (form, None, "client_id=web", false),
            (form, None, "", false),
        ] {
            let request = Request::new("POST", "/oauth2/token").header("Content-Type", kind).body(body);
            let request = match header {
                Some(header) => request.header("Authorization", header),
                None => request,
            };
            assert_eq!(Claims::of(&request).are_of_a_public_client(&public), passes, "{header:?} {body}");
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
