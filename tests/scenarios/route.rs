//! One route for all endpoints. The server serves the paths of the metadata with their methods, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use otp_grant::settings::Endpoints;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

type MemoryServer = AuthorizationServer<MemoryStore, MemoryDirectory>;

/// Where the endpoints are, in the order of [`METHODS`].
type Paths = [String; 8];

/// The value of `Allow` per endpoint: send, token, revocation, introspection, userinfo, keys and both documents.
const METHODS: [&str; 8] = ["POST", "POST", "POST", "POST", "GET, HEAD, POST", "GET, HEAD", "GET, HEAD", "GET, HEAD"];

const ALL_METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

const NOTHING: Post<'static> = Post { content_type: None, authorization: None, body: b"" };

fn server(issuer: &str, endpoints: Endpoints) -> MemoryServer {
    AuthorizationServer::builder(
        Issuer::new(issuer).unwrap(),
        keyring(),
        SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap(),
    )
    .settings(settings(|s| s.endpoints = endpoints))
    .clock(ManualClock::new())
    .entropy(SeededEntropy::default())
    .build(MemoryStore::with_clock(ManualClock::new()), sample_directory())
    .unwrap()
}

fn default_paths() -> Paths {
    [
        "/otp/send",
        "/oauth2/token",
        "/oauth2/revoke",
        "/oauth2/introspect",
        "/userinfo",
        "/oauth2/jwks",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ]
    .map(str::to_owned)
}

fn configured() -> Endpoints {
    with(Endpoints::default(), |e| {
        e.otp_send = Some("/a".to_owned());
        e.token = "/b/".to_owned();
        e.revocation = Some("/c.d".to_owned());
        e.introspection = Some("/e/f%20g".to_owned());
        // The default path of the key set. A lookup by default path would therefore fail.
        e.userinfo = Some("/oauth2/jwks".to_owned());
        e.jwks = "/".to_owned();
    })
}

/// Sends a request that delivers no code.
async fn ask<S: Store, D: Directory>(
    server: &AuthorizationServer<S, D>,
    method: &str,
    path: &str,
    request: Post<'_>,
) -> Option<Reply> {
    let deliver = async |_: Delivery| panic!("{method} {path} delivers a code");
    server.serve(request.to(method, path), deliver).await
}

/// Status, headers and body of a reply.
fn whole(reply: Reply) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (reply.status(), headers, String::from_utf8(reply.into_body()).unwrap())
}

/// Checks that each endpoint is reached at its path: no other endpoint gives its answer.
async fn assert_reached(server: &MemoryServer, paths: &Paths, phone: &str) {
    let [send, token, revoke, introspect, userinfo, jwks, metadata, configuration] = paths;
    let delivered = AtomicUsize::new(0);
    let body = sms_send(phone).to_string();
    let deliver = async |delivery: Delivery| {
        delivered.fetch_add(1, SeqCst);
        delivery.accepted()
    };
    let reply = server.serve(json_request(&body, None).to("POST", send), deliver).await.unwrap();
    assert_eq!((reply.status(), delivered.into_inner()), (200, 1), "{send}");

    let (empty, query) = (json_request("{}", None), form(&[("token", "of nobody")], &[]));
    let (query, bearer) = (form_request(&query, None), Post { authorization: Some("Bearer x"), ..NOTHING });
    let invalid_token = "the access token is unknown, expired or revoked";
    let userinfo_says = error(401, "invalid_token", invalid_token);
    for (method, path, request, expected) in [
        ("POST", token, empty, error(400, "invalid_request", "client_id is missing")),
        ("POST", revoke, query, (200, Value::Null)),
        ("POST", introspect, query, (200, json!({ "active": false }))),
        ("GET", userinfo, bearer, userinfo_says.clone()),
        ("POST", userinfo, bearer, userinfo_says),
        ("GET", jwks, NOTHING, (200, serde_json::from_str(&server.key_set().to_json()).unwrap())),
    ] {
        let reply = ask(server, method, path, request).await.unwrap_or_else(|| panic!("nothing at {path}"));
        assert_eq!(read(&reply), expected, "{method} {path}");
    }
    for (path, is_openid) in [(metadata, false), (configuration, true)] {
        let reply = ask(server, "GET", path, NOTHING).await.unwrap_or_else(|| panic!("nothing at {path}"));
        let (status, document) = read(&reply);
        assert_eq!((status, text(&document, "issuer")), (200, server.issuer().as_str()), "{path}");
        assert_eq!(document.get("subject_types_supported").is_some(), is_openid, "{path}");
    }
}

#[tokio::test]
async fn the_life_of_a_login_through_one_route() {
    let host = Host::new();
    let post = async |path: &str, request: Post<'_>| ask(&host.server, "POST", path, request).await.unwrap();
    let mut code = String::new();
    let body = sms_send(PHONE).to_string();
    let deliver = async |delivery: Delivery| {
        code = delivery.message().unwrap().code().expose_secret().to_owned();
        delivery.accepted()
    };
    let reply = host.server.serve(json_request(&body, None).to("POST", "/otp/send"), deliver).await.unwrap();
    let (status, reply) = read(&reply);
    assert_eq!(status, 200);

    let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
    let grant = sms_grant(PHONE, &sent).to_string();
    let (status, tokens) = read(&post("/oauth2/token", json_request(&grant, None)).await);
    assert_eq!(status, 200, "{tokens}");
    let refresh = form(&[("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))], &[]);
    let (status, tokens) = read(&post("/oauth2/token", form_request(&refresh, None)).await);
    assert_eq!(status, 200, "{tokens}");

    let bearer = format!("Bearer {}", text(&tokens, "access_token"));
    let query = form(&[("token", text(&tokens, "access_token"))], &[]);
    for (userinfo, active) in [(200, true), (401, false)] {
        let request = Post { authorization: Some(&bearer), ..NOTHING };
        assert_eq!(ask(&host.server, "GET", "/userinfo", request).await.unwrap().status(), userinfo);
        let said = read(&post("/oauth2/introspect", form_request(&query, None)).await).1;
        assert_eq!(said["active"], active);
        assert_eq!(post("/oauth2/revoke", form_request(&query, None)).await.status(), 200);
    }
}

#[tokio::test]
async fn every_endpoint_is_reached_by_default() {
    assert_reached(&server(ISSUER, Endpoints::default()), &default_paths(), PHONE).await;
    assert_reached(&server("https://a.example/", Endpoints::default()), &default_paths(), PHONE).await;
}

#[tokio::test]
async fn every_endpoint_is_reached_where_it_is_configured_and_nowhere_else() {
    let server = server(ISSUER, configured());
    let [.., metadata, configuration] = default_paths();
    let paths = ["/a", "/b/", "/c.d", "/e/f%20g", "/oauth2/jwks", "/"].map(str::to_owned);
    let [send, token, revoke, introspect, userinfo, jwks] = paths.clone();
    assert_reached(
        &server,
        &[send, token, revoke, introspect, userinfo, jwks, metadata.clone(), configuration.clone()],
        PHONE,
    )
    .await;
    for path in default_paths() {
        let is_one = paths.contains(&path) || path == metadata || path == configuration;
        for method in ALL_METHODS {
            assert_eq!(ask(&server, method, &path, NOTHING).await.is_some(), is_one, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn below_an_issuer_that_has_a_path() {
    for (issuer, base) in [
        ("https://a.example/t", "/t"),
        ("https://a.example/t/", "/t"),
        ("https://a.example/T%20x/1", "/T%20x/1"),
        ("http://127.0.0.1:8080/oauth2", "/oauth2"),
    ] {
        let server = server(issuer, Endpoints::default());
        let mut paths = default_paths().map(|path| format!("{base}{path}"));
        // RFC 8414 section 3.1: the path of the issuer comes last.
        paths[6] = format!("/.well-known/oauth-authorization-server{base}");
        assert_reached(&server, &paths, PHONE).await;
        for path in default_paths().into_iter().chain([
            format!("{base}/.well-known/oauth-authorization-server"),
            format!("/.well-known/openid-configuration{base}"),
            format!("{base}x/oauth2/token"),
            format!("{base}{base}/oauth2/token"),
            base.to_owned(),
            format!("{base}/"),
        ]) {
            assert!(ask(&server, "POST", &path, NOTHING).await.is_none(), "{issuer}: {path}");
        }
    }
}

#[tokio::test]
async fn every_url_of_the_documents_is_served() {
    for issuer in [ISSUER, "https://a.example/t", "https://a.example/t/"] {
        for endpoints in [Endpoints::default(), configured()] {
            let server = server(issuer, endpoints);
            let origin = issuer.trim_end_matches('/').strip_suffix(server.issuer().path()).unwrap();
            for document in [server.get_metadata(), server.get_openid_configuration()] {
                let document = read(&document).1;
                let urls = document.as_object().unwrap().iter();
                let urls = urls.filter(|(name, _)| name.ends_with("_endpoint") || name.ends_with("_uri"));
                let paths: Vec<_> = urls.map(|(_, url)| url.as_str().unwrap().strip_prefix(origin).unwrap()).collect();
                assert!(paths.len() >= 5);
                for path in paths {
                    assert!(ask(&server, "DELETE", path, NOTHING).await.is_some(), "{issuer}: {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_served_is_none_for_every_method() {
    for (path, endpoints) in [
        ("/otp/send", with(Endpoints::default(), |e| e.otp_send = None)),
        ("/oauth2/revoke", with(Endpoints::default(), |e| e.revocation = None)),
        ("/oauth2/introspect", with(Endpoints::default(), |e| e.introspection = None)),
        ("/userinfo", with(Endpoints::default(), |e| e.userinfo = None)),
    ] {
        let server = server(ISSUER, endpoints);
        let body = sms_send(PHONE).to_string();
        for method in ALL_METHODS {
            assert!(ask(&server, method, path, json_request(&body, None)).await.is_none(), "{method} {path}");
        }
        for other in default_paths().iter().filter(|other| *other != path) {
            assert!(ask(&server, "DELETE", other, NOTHING).await.is_some(), "{other}");
        }
    }
}

#[tokio::test]
async fn other_methods_are_405_and_told_which_there_are() {
    let host = Host::new();
    let body = sms_send(PHONE).to_string();
    for (path, allowed) in default_paths().iter().zip(METHODS) {
        let has = |method: &&str| allowed.split(", ").any(|allowed| allowed == *method);
        // Methods are case-sensitive (RFC 9110 section 9.1).
        let others = ALL_METHODS.into_iter().chain(["", "post", "get", "POST "]).filter(|method| !has(method));
        for method in others {
            let (calls, reply) = host.store_calls(ask(&host.server, method, path, json_request(&body, None))).await;
            let headers = [("Cache-Control", "no-store"), ("Pragma", "no-cache"), ("Allow", allowed)];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            let expected = (405, headers, String::new());
            assert_eq!((calls, whole(reply.unwrap())), (0, expected), "{method} {path}");
        }
    }
    assert_eq!(*host.directory.calls.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn head_is_answered_as_get_is() {
    let host = Host::new();
    let bearer = format!("Bearer {}", text(&host.log_in(json!({})).await, "access_token"));
    let request = Post { authorization: Some(&bearer), ..NOTHING };
    for (path, methods) in default_paths().iter().zip(METHODS) {
        let [get, head] = ["GET", "HEAD"].map(|method| ask(&host.server, method, path, request));
        let (get, head) = (whole(get.await.unwrap()), whole(head.await.unwrap()));
        assert_eq!(get, head, "{path}");
        assert_eq!(get.0, if methods.contains("HEAD") { 200 } else { 405 }, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_the_path_of_an_endpoint_to_the_letter_is_none() {
    let server = server(ISSUER, Endpoints::default());
    let near = default_paths().into_iter().flat_map(|path| {
        [
            format!("{path}/"),
            format!("{path}?a=b"),
            format!("{path}#a"),
            format!("/{path}"),
            format!("{path}/x"),
            format!("/x{path}"),
            format!("{ISSUER}{path}"),
            path.to_uppercase(),
            path.replacen('/', "", 1),
            path.replace('o', "%6F"),
            format!("{path}\0"),
        ]
    });
    for path in near.chain(["", "/", "*", "/oauth2", "/oauth2/authorize", "/.well-known/", "é"].map(str::to_owned)) {
        for method in ["GET", "POST"] {
            assert!(ask(&server, method, &path, NOTHING).await.is_none(), "{method} {path:?}");
        }
    }
}

#[tokio::test]
async fn the_body_of_a_get_means_nothing() {
    let host = Host::new();
    let token = text(&host.log_in(json!({})).await, "access_token").to_owned();
    let (bearer, body) = (format!("Bearer {token}"), format!("access_token={token}"));
    let too_much = "x".repeat(20_000);
    for (method, in_body, both, beyond) in [("GET", 400, 200, 200), ("HEAD", 400, 200, 200), ("POST", 200, 400, 400)] {
        let status = async |request| ask(&host.server, method, "/userinfo", request).await.unwrap().status();
        assert_eq!(status(form_request(&body, None)).await, in_body, "{method}: a token in the body");
        assert_eq!(status(form_request(&body, Some(&bearer))).await, both, "{method}: a token in both");
        assert_eq!(status(form_request(&too_much, Some(&bearer))).await, beyond, "{method}: a body over the limit");
    }
    let body = r#"{"client_id":"#;
    for path in default_paths().iter().skip(5) {
        assert_eq!(ask(&host.server, "GET", path, json_request(body, None)).await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_delivery_that_failed_is_what_the_client_hears() {
    let sms = sms_send(PHONE);
    let email = json!({ "phone_number": null, "email": EMAIL, "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID" });
    let email = but(&sms, email);
    let down = concat!(
        r#"{"error":"temporarily_unavailable","#,
        r#""error_description":"Failed to send OTP. Please try again later."}"#
    );
    for (send, failure, status, body) in [
        (&sms, DeliveryFailure::Undeliverable, 503, down),
        (&email, DeliveryFailure::Undeliverable, 503, down),
        (&sms, DeliveryFailure::InsufficientQuota, 400, r#"{"error":"insufficient_sms_quota"}"#),
        (&email, DeliveryFailure::InsufficientQuota, 400, r#"{"error":"insufficient_email_quota"}"#),
        (&email, DeliveryFailure::AddressRefused, 400, r#"{"error":"invalid_email"}"#),
    ] {
        let (host, request) = (Host::new(), send.to_string());
        let deliver = async |delivery: Delivery| delivery.failed(failure);
        let reply = host.server.serve(json_request(&request, None).to("POST", "/otp/send"), deliver).await.unwrap();
        assert_reply(&reply, status, body, &[]);
    }
}

#[tokio::test]
async fn nothing_is_delivered_when_the_send_is_refused() {
    let host = Host::new();
    host.send(&sms_send(PHONE)).await;
    let refused = |changes: Value| but(&sms_send(NOBODY), changes);
    for (body, status, error) in [
        (json!({}), 400, "invalid_request"),
        (refused(json!({ "phone_number": "1" })), 400, "malformed_phone_number"),
        (refused(json!({ "client_secret": "WRONG" })), 401, "invalid_client"),
        (refused(json!({ "client_id": "SILENT_SPA_CLIENT_ID", "client_secret": null })), 400, "unauthorized_client"),
        (refused(json!({ "auth_source_id": "LONE_AUTH_SOURCE_ID" })), 400, "invalid_auth_source"),
        (sms_send(PHONE), 400, "sms_rate_limit_exceeded"),
    ] {
        let reply = ask(&host.server, "POST", "/otp/send", json_request(&body.to_string(), None)).await.unwrap();
        let (got, said) = read(&reply);
        assert_eq!((got, text(&said, "error")), (status, error));
    }
    host.store.down.store(true, SeqCst);
    let body = sms_send(NOBODY).to_string();
    assert_eq!(ask(&host.server, "POST", "/otp/send", json_request(&body, None)).await.unwrap().status(), 503);
}

#[tokio::test]
async fn the_reply_is_the_one_that_delivery_waited_for() {
    let host = Host::new();
    let body = sms_send(PHONE).to_string();
    // A slow provider: the reply waits until the provider has answered.
    let (said, says) = tokio::sync::oneshot::channel();
    let deliver = async |delivery: Delivery| {
        says.await.unwrap();
        delivery.accepted()
    };
    let mut reply = Box::pin(host.server.serve(json_request(&body, None).to("POST", "/otp/send"), deliver));
    assert!(futures::poll!(&mut reply).is_pending());
    assert!(futures::poll!(&mut reply).is_pending());
    said.send(()).unwrap();
    assert_eq!(reply.await.unwrap().status(), 200);
}
