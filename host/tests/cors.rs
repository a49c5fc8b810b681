//! What pages of other origins may ask, client by client: preflights, requests, and errors that a page can read.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::{FORM, Host, JSON, Reply};

#[test]
fn a_preflight_is_answered_for_the_origins_of_every_client() {
    let host = Host::configured("cors-preflight", &config(ORIGINS));
    for (path, methods) in [
        ("/otp/send", "POST"),
        ("/oauth2/token", "POST"),
        ("/oauth2/revoke", "POST"),
        ("/oauth2/introspect", "POST"),
        ("/userinfo", "GET, HEAD, POST"),
    ] {
        for origin in [APP, LOCAL, OTHER] {
            let reply = ask(&host, "OPTIONS", path, &[("Origin", origin), PREFLIGHT], "");
            assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{path} {origin}");
            assert_eq!(header(&reply, "access-control-allow-origin"), [origin], "{path}");
            assert_eq!(header(&reply, "access-control-allow-methods"), [methods.to_lowercase()], "{path}");
            assert_eq!(header(&reply, "access-control-allow-headers"), ["authorization, content-type, dpop"]);
            assert_eq!(header(&reply, "access-control-max-age"), ["7200"]);
            assert_eq!(header(&reply, "vary"), ["origin"]);
            assert_eq!(header(&reply, "access-control-allow-credentials"), [""; 0]);
            assert_eq!(header(&reply, "access-control-allow-private-network"), [""; 0]);
        }
        for origin in
            ["https://foreign.example", "https://app.example.com.foreign.example", "http://app.example.com", "null", ""]
        {
            let reply = ask(&host, "OPTIONS", path, &[("Origin", origin), PREFLIGHT], "");
            assert_eq!(reply.status, 403, "{path} {origin}");
            assert_eq!(cors_headers(&reply), ["vary: origin"], "{path} {origin}");
        }
        // This is no preflight: no page sends it.
        let reply = ask(&host, "OPTIONS", path, &[PREFLIGHT], "");
        assert_eq!((reply.status, cors_headers(&reply)), (405, vec!["vary: origin".to_owned()]), "{path}");
        let reply = ask(&host, "OPTIONS", path, &[("Origin", APP)], "");
        assert_eq!(
            (reply.status, header(&reply, "access-control-allow-origin")),
            (405, vec![APP.to_owned()]),
            "{path}"
        );
    }
    // The operator finds the origin that is missing. A text that is no origin can have anything in it.
    assert!(host.logged("page of another origin refused client=\"-\" origin=\"https://foreign.example\""));
    ask(&host, "POST", "/otp/send", &[("Origin", "https://hunter2.example/?\u{1b}[31m")], "");
    assert!(host.logged("origin=\"-\"") && !host.log().contains("hunter2"));
}

#[test]
fn public_documents_are_for_every_page() {
    let host = Host::configured("cors-public", &config(ORIGINS));
    for path in ["/oauth2/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        for headers in [&[][..], &[("Origin", APP)], &[("Origin", "https://foreign.example")], &[("Origin", "null")]] {
            for method in ["GET", "HEAD"] {
                let reply = ask(&host, method, path, headers, "");
                assert_eq!(reply.status, 200, "{path}");
                // The same for everyone, and so caches can share it.
                assert_eq!(header(&reply, "access-control-allow-origin"), ["*"], "{path} {headers:?}");
                assert_eq!(header(&reply, "vary"), [""; 0], "{path}");
            }
        }
        let reply = ask(&host, "OPTIONS", path, &[("Origin", "https://foreign.example"), PREFLIGHT], "");
        assert_eq!((reply.status, header(&reply, "access-control-allow-methods")), (204, vec!["get, head".to_owned()]));
    }
}

#[test]
fn a_request_is_answered_where_its_client_allows_its_origin() {
    let host = Host::configured("cors-requests", &config(ORIGINS));
    let send =
        |client: &str| format!(r#"{{"client_id":"{client}","auth_source_id":"sms","phone_number":"+8613612345678"}}"#);
    let sent = || std::fs::read_to_string(host.folder.file("outbox")).unwrap().lines().count();
    let json = ("Content-Type", JSON);

    // A send of a page that is not allowed costs no message.
    for (origin, client) in [
        (APP, "other"),
        (OTHER, "app"),
        (APP, "web"),
        (APP, "nobody"),
        ("https://foreign.example", "app"),
        ("https://app.example.com:444", "app"),
        ("https://APP.example.com", "app"),
        ("http://a.example", "app"),
        ("null", "app"),
        ("", "app"),
    ] {
        let reply = ask(&host, "POST", "/otp/send", &[json, ("Origin", origin)], &send(client));
        assert_eq!((reply.status, reply.json()["error"].as_str()), (403, Some("access_denied")), "{origin} {client}");
        assert_eq!(cors_headers(&reply), ["vary: origin"], "{origin} {client}");
    }
    let both = [json, ("Origin", APP), ("Origin", APP)];
    assert_eq!(ask(&host, "POST", "/otp/send", &both, &send("app")).status, 403);
    let cross = [json, ("Origin", "http://a"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(ask(&host, "POST", "/otp/send", &cross, &send("app")).status, 403);
    assert_eq!(sent(), 0);

    // Pages of this host, by whatever name they call it, and what is no page.
    let own = [
        vec![json],
        vec![json, ("Origin", "https://login.example.com")],
        vec![json, ("Origin", "http://a")],
        vec![json, ("Origin", "https://a")],
        vec![json, ("Origin", "https://alias.example"), ("Sec-Fetch-Site", "same-origin")],
        vec![json, ("Origin", "null"), ("Sec-Fetch-Site", "same-origin")],
    ];
    for (at, headers) in own.iter().enumerate() {
        let reply = ask(&host, "POST", "/otp/send", headers, &send("other"));
        assert_eq!((reply.status, sent()), (200, at + 1), "{headers:?} {}", reply.body);
        assert_eq!(cors_headers(&reply), ["vary: origin"], "{headers:?}");
    }

    // The pages of the client.
    for origin in [APP, LOCAL] {
        let reply = ask(
            &host,
            "POST",
            "/otp/send",
            &[json, ("Origin", origin), ("Sec-Fetch-Site", "cross-site")],
            &send("app"),
        );
        assert_eq!(reply.status, 200, "{}", reply.body);
        is_readable(&reply, origin);
    }
}

#[test]
fn the_client_is_known_by_whatever_names_it() {
    let host = Host::configured("cors-named", &config(ORIGINS));
    let sent =
        host.post("/otp/send", JSON, r#"{"client_id":"app","auth_source_id":"mail","email":"ada@example.com"}"#).json();
    let redeem = serde_json::json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/email", "client_id": "app", "auth_source_id": "mail",
        "email": "ada@example.com", "otp_token": sent["otp_token"], "otp": host.last_code(), "scope": "openid offline_access",
    });
    let from = |origin: &'static str, path: &str, kind: &'static str, body: &str| {
        ask(&host, "POST", path, &[("Content-Type", kind), ("Origin", origin)], body)
    };
    // A refused request costs no guess, and spends no code.
    assert_eq!(from(OTHER, "/oauth2/token", JSON, &redeem.to_string()).status, 403);
    let tokens = from(APP, "/oauth2/token", JSON, &redeem.to_string());
    is_readable(&tokens, APP);
    let tokens = tokens.json();
    let (access, refresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());

    let bearer = format!("Bearer {access}");
    for method in ["GET", "HEAD", "POST"] {
        let userinfo = |origin| ask(&host, method, "/userinfo", &[("Origin", origin), ("Authorization", &bearer)], "");
        let reply = userinfo(APP);
        assert_eq!(reply.status, 200, "{method}");
        is_readable(&reply, APP);
        assert_eq!(userinfo(OTHER).status, 403, "{method}");
    }
    let form = format!("access_token={access}");
    assert_eq!((from(APP, "/userinfo", FORM, &form).status, from(OTHER, "/userinfo", FORM, &form).status), (200, 403));

    let refreshed = format!("grant_type=refresh_token&client_id=app&refresh_token={refresh}");
    assert_eq!(from(OTHER, "/oauth2/token", FORM, &refreshed).status, 403);
    let reply = from(APP, "/oauth2/token", FORM, &refreshed);
    assert_eq!(reply.status, 200);
    let refresh = reply.json()["refresh_token"].as_str().unwrap().to_owned();
    let revoked = format!("client_id=app&token={refresh}");
    assert_eq!(from(OTHER, "/oauth2/revoke", FORM, &revoked).status, 403);
    let reply = from(APP, "/oauth2/revoke", FORM, &revoked);
    assert_eq!(reply.status, 200);
    is_readable(&reply, APP);

    // Basic: `api:secret-of-the-api`.
    let basic = ("Authorization", "Basic YXBpOnNlY3JldC1vZi10aGUtYXBp");
    let introspect = |origin, more: &str| {
        let body = format!("token={access}{more}");
        ask(&host, "POST", "/oauth2/introspect", &[("Origin", origin), basic, ("Content-Type", FORM)], &body)
    };
    assert_eq!((introspect(OTHER, "").status, introspect(APP, "").status), (200, 403));
    // Two clients in one request: each has to allow the origin. The authorization server then refuses the request.
    assert_eq!((introspect(OTHER, "&client_id=app").status, introspect(APP, "&client_id=app").status), (403, 403));
    assert_eq!(introspect(OTHER, "&client_id=other").status, 400);
    assert!(host.logged("page of another origin refused") && !host.log().contains(access));
}

#[test]
fn an_error_can_be_read_by_the_page() {
    let text = config(ORIGINS).replace("[delivery]", "limits = { body_time = \"500ms\" }\n[delivery]");
    let text = text.replace("outbox = \"outbox\"", "webhook = { url = \"http://127.0.0.1:9/otp\" }");
    let host = Host::configured("cors-errors", &text);
    let long = " ".repeat(16 * 1024 + 1);
    for (path, kind, body, status) in [
        // Nothing names a client: the origins of all clients count.
        ("/oauth2/token", JSON, "{", 400),
        ("/oauth2/token", "text/plain", "client_id=other", 400),
        ("/oauth2/token", JSON, long.as_str(), 413),
        ("/userinfo", FORM, "", 400),
        ("/oauth2/revoke", FORM, "token=a", 401),
        // The client is known.
        ("/oauth2/token", FORM, "grant_type=refresh_token&client_id=app&refresh_token=a", 400),
        ("/oauth2/token", FORM, "grant_type=refresh_token&client_id=app&client_secret=a&refresh_token=a", 401),
        ("/otp/send", JSON, SEND, 503),
    ] {
        let reply = ask(&host, "POST", path, &[("Content-Type", kind), ("Origin", APP)], body);
        assert_eq!(reply.status, status, "{path} {body} {}", reply.body);
        is_readable(&reply, APP);
        let exposed = header(&reply, "access-control-expose-headers").concat();
        for name in ["retry-after", "www-authenticate", "dpop-nonce"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    let limited =
        Host::configured("cors-limited", &config(ORIGINS).replace("send_quotas = true", "send_quotas = false"));
    let headers = [("Content-Type", JSON), ("Origin", APP)];
    ask(&limited, "POST", "/otp/send", &headers, SEND);
    let reply = ask(&limited, "POST", "/otp/send", &headers, SEND);
    assert_eq!((reply.status, header(&reply, "retry-after").len()), (400, 1), "{reply:?}");
    is_readable(&reply, APP);
    let unauthorized = ask(&host, "GET", "/userinfo", &[("Origin", APP), ("Authorization", "Bearer a")], "");
    assert_eq!((unauthorized.status, header(&unauthorized, "www-authenticate").len()), (401, 1));
    // A wrong method, and a body that does not come.
    for method in ["PUT", "GET"] {
        let reply = ask(&host, method, "/oauth2/token", &[("Origin", APP)], "");
        assert_eq!(reply.status, 405);
        is_readable(&reply, APP);
    }
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: {APP}\r\nContent-Length: 9\r\n\r\n"
    );
    let slow = host.ask(&head);
    assert_eq!(slow.status, 408);
    is_readable(&slow, APP);
}

#[test]
fn other_paths_than_the_endpoints_have_no_cors() {
    let host = Host::configured("cors-places", &config(ORIGINS));
    for path in ["/nowhere", "/oauth2/tokens", "/healthz", "/", "/page/app.js"] {
        for (method, headers) in [
            ("GET", vec![("Origin", APP)]),
            ("HEAD", vec![("Origin", APP)]),
            ("OPTIONS", vec![("Origin", APP), PREFLIGHT]),
            ("POST", vec![("Origin", "https://foreign.example")]),
        ] {
            let reply = ask(&host, method, path, &headers, "");
            assert_eq!(cors_headers(&reply), [""; 0], "{method} {path}");
            assert_ne!(reply.status, 403, "{method} {path}");
            assert!(method != "OPTIONS" || [404, 405].contains(&reply.status), "{path} {}", reply.status);
        }
    }
}

#[test]
fn without_allowed_origins_nothing_changes() {
    let host = Host::configured("cors-off", &config(""));
    for origin in [APP, "null"] {
        let reply = ask(&host, "POST", "/otp/send", &[("Origin", origin), ("Content-Type", JSON)], SEND);
        assert_ne!(reply.status, 403, "{}", reply.body);
        assert_eq!(cors_headers(&reply), [""; 0]);
        let reply = ask(&host, "OPTIONS", "/otp/send", &[("Origin", origin), PREFLIGHT], "");
        assert_eq!((reply.status, cors_headers(&reply)), (405, vec![]));
        let reply = ask(&host, "GET", "/oauth2/jwks", &[("Origin", origin)], "");
        assert_eq!((reply.status, cors_headers(&reply)), (200, vec![]));
    }
}

#[test]
fn an_origin_that_no_browser_sends_is_refused_at_the_start() {
    let folder = support::Folder::new("cors-config");
    let check = |origins: &str| {
        let file = folder.write("host.toml", &config(&format!("app = [{origins}]")));
        let output = support::command(&["--config", file.to_str().unwrap(), "--check"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = check(r#""https://hunter2.example", "http://localhost:5173", "http://[::1]:5173""#);
    assert_eq!(code, Some(0), "{said}");
    for bad in [
        "null",
        "*",
        "https://*.hunter2.example",
        "https://hunter2.example/",
        "https://hunter2.example/app",
        "http://hunter2.example",
        "https://hunter2.example:443",
        "https://Hunter2.example",
        "hunter2.example",
    ] {
        let (code, said) = check(&format!(r#""https://good.example", "{bad}""#));
        assert_eq!(code, Some(2), "{bad}");
        assert!(said.starts_with("clients.app.allowed_origins[1]: ") && said.lines().count() == 1, "{said}");
        assert!(!said.to_lowercase().contains("hunter2"), "{said}");
    }
    let file = folder.write("host.toml", &config("web = [\"https://hunter2.example\"]"));
    let output = support::command(&["--config", file.to_str().unwrap(), "--check"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("clients.web.allowed_origins: the client has a secret"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// Asserts that a page of this origin can read the reply.
fn is_readable(reply: &Reply, origin: &str) {
    assert_eq!(header(reply, "access-control-allow-origin"), [origin], "{reply:?}");
    assert_eq!(header(reply, "vary"), ["origin"], "{reply:?}");
    assert_eq!(header(reply, "access-control-allow-credentials"), [""; 0], "{reply:?}");
}

/// The values of a header, in lower case as the head of a reply is.
fn header(reply: &Reply, name: &str) -> Vec<String> {
    let lines = reply.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect()
}

/// The header lines of a reply that are about origins.
fn cors_headers(reply: &Reply) -> Vec<String> {
    let lines = reply.head.lines().filter(|line| line.starts_with("access-control-") || line.starts_with("vary: "));
    lines.map(str::to_owned).collect()
}

fn ask(host: &Host, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    host.ask(&format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))
}

/// A host with four clients. `origins` are lines of clients and the origins that they allow.
fn config(origins: &str) -> String {
    let origins_of = |client: &str| {
        let line = origins.lines().find_map(|line| line.trim().strip_prefix(client)?.trim().strip_prefix('='));
        line.map_or(String::new(), |list| format!("allowed_origins = {list}\n"))
    };
    let mut text = format!(
        r#"
issuer = "https://login.example.com"
dpop = "on"
keys = {{ index = "{KEY}", sealing = "{KEY}" }}
signing = {{ active = "{ED25519}" }}
danger.without_send_quotas = {}
auth_sources.sms = {{ channel = "sms" }}
auth_sources.mail = {{ channel = "email" }}
users.list = [{{ subject = "ada", email = "ada@example.com" }}]
page = {{ client = "app", sms = "sms" }}
[delivery]
outbox = "outbox"
"#,
        origins.contains(OTHER)
    );
    for (client, settings) in [
        ("app", PUBLIC),
        ("other", PUBLIC),
        ("web", "secret = \"0123456789abcdef0123456789abcdef\""),
        ("api", "secret = \"secret-of-the-api\"\ngrants = []\nintrospects_every_token = true"),
    ] {
        text += &format!("[clients.{client}]\n{settings}\n{}", origins_of(client));
    }
    text
}

const ORIGINS: &str = r#"
    app = ["https://app.example.com", "http://localhost:5173"]
    other = ["https://other.example.com"]
    api = ["https://other.example.com"]"#;
const PUBLIC: &str =
    "public = true\nmay_send = true\nauth_sources = [\"sms\", \"mail\"]\nscopes = \"openid email offline_access\"";
const APP: &str = "https://app.example.com";
const LOCAL: &str = "http://localhost:5173";
const OTHER: &str = "https://other.example.com";
const PREFLIGHT: (&str, &str) = ("Access-Control-Request-Method", "POST");
const SEND: &str = r#"{"client_id":"app","auth_source_id":"sms","phone_number":"+8613612345678"}"#;
const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
/// A key for tests alone: its seed is zeros.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
