//! What the host knows of the network: the client's address behind proxies, the id of a request, limits per address.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::{FORM, Host, JSON, Reply};

const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
/// A key for tests alone: its seed is zeros.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SECRET: &str = "a-secret-of-32-characters-0123456";

/// A host behind a proxy on this machine, with further lines.
fn behind_proxy(name: &str, more: &str) -> Host {
    host(name, &format!("proxy = {{ trusted = [\"127.0.0.1\", \"10.0.0.0/8\"], {PROXY_HEADERS} }}\n{more}"))
}

const PROXY_HEADERS: &str = "client_address = \"X-Forwarded-For\", request_id = \"X-Trace\"";

fn host(name: &str, more: &str) -> Host {
    let text = format!(
        r#"
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{KEY}", sealing = "{KEY}" }}
signing = {{ active = "{ED25519}" }}
delivery = {{ outbox = "outbox" }}
danger.without_send_quotas = true
auth_sources.sms = {{ channel = "sms" }}
clients.app = {{ public = true, may_send = true, auth_sources = ["sms"] }}
clients.web = {{ secret = "{SECRET}", auth_sources = ["sms"] }}
{more}
"#
    );
    Host::configured(name, &text)
}

/// A request that a proxy passes on.
fn through(host: &Host, headers: &str, path: &str, kind: &str, body: &str) -> Reply {
    let length = body.len();
    host.ask(&format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ))
}

/// A request of a client at an address.
fn from(host: &Host, address: &str, path: &str, kind: &str, body: &str) -> Reply {
    through(host, &format!("X-Forwarded-For: {address}"), path, kind, body)
}

fn send(host: &Host, address: &str, client: &str) -> Reply {
    let body = format!(r#"{{{client},"auth_source_id":"sms","phone_number":"+8613612345678"}}"#);
    from(host, address, "/otp/send", JSON, &body)
}

const APP: &str = r#""client_id":"app""#;

fn with_secret(secret: &str) -> String {
    format!(r#""client_id":"web","client_secret":"{secret}""#)
}

fn grant(host: &Host, address: &str, client: &str, otp_token: &str, code: &str) -> Reply {
    let body = format!(
        r#"{{"grant_type":"http://tencentciam.com/oauth2/grant-type/otp/sms",{client},"auth_source_id":"sms",
        "phone_number":"+8613612345678","otp_token":"{otp_token}","otp":"{code}","auto_signup":true}}"#
    );
    from(host, address, "/oauth2/token", JSON, &body)
}

fn text(reply: &Reply, member: &str) -> String {
    reply.json()[member].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

fn is_limited(reply: &Reply) -> bool {
    if reply.status != 429 {
        return false;
    }
    assert_eq!(reply.json()["error"], "temporarily_unavailable");
    assert!(reply.head.contains("\nretry-after: ") && reply.head.contains("cache-control: no-store"), "{reply:?}");
    true
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

fn request_id(reply: &Reply) -> String {
    let ids: Vec<_> = reply.head.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    assert_eq!(ids.len(), 1, "{reply:?}");
    ids[0].to_owned()
}

#[test]
fn every_line_of_a_request_has_its_id() {
    let host = behind_proxy("ids", "");
    let own = request_id(&host.get("/healthz"));
    assert!(own.len() == 32 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
    let send = r#"{"client_id":"app","auth_source_id":"sms","phone_number":"+8613612345678"}"#;
    let given = request_id(&through(&host, "X-Trace: trace-4711", "/otp/send", JSON, send));
    assert_eq!(given, "trace-4711");
    assert!(host.logged("request_id=\"trace-4711\""), "{}", host.log());
    let lines: Vec<_> = host.log().lines().filter(|line| line.contains("trace-4711")).map(str::to_owned).collect();
    assert!(lines.iter().any(|line| line.contains("code sent")), "{lines:?}");
    assert!(host.logged(&own), "{}", host.log());
    // What could write into the log, and what is not the configured header.
    for header in ["X-Trace: a b", "X-Trace: a\"b", "X-Request-Id: trace-4712", "X-Trace: a\r\nX-Trace: a"] {
        let id = request_id(&through(&host, header, "/otp/send", JSON, send));
        assert_eq!(id.len(), 32, "{header} {id}");
    }
    // Every reply has one.
    for reply in
        [host.get("/nowhere"), host.get("/oauth2/jwks"), host.ask("GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")]
    {
        assert_eq!(request_id(&reply).len(), 32);
    }
    // A peer that is no trusted proxy gives no id, and no address.
    let untrusted = behind_another_proxy("untrusted");
    let headers = "X-Trace: trace-4711\r\nX-Forwarded-For: 203.0.113.5";
    assert_eq!(request_id(&through(&untrusted, headers, "/otp/send", JSON, send)).len(), 32);
    assert!(untrusted.logged("client_address=127.0.0.1"), "{}", untrusted.log());
    assert!(!untrusted.log().contains("203.0.113.5"));
}

/// A host whose proxy is on another machine, so that this one is none.
fn behind_another_proxy(name: &str) -> Host {
    let proxy = format!("proxy = {{ trusted = [\"10.0.0.0/8\"], {PROXY_HEADERS} }}");
    host(name, &format!("{proxy}\nlogs.client_address = \"full\""))
}

#[test]
fn the_log_has_as_much_of_an_address_as_is_configured() {
    for (setting, shown) in [
        ("", None),
        ("logs.client_address = \"network\"", Some("client_address=203.0.113.0/24 ")),
        ("logs.client_address = \"full\"", Some("client_address=203.0.113.77 ")),
    ] {
        let host = behind_proxy("shown", setting);
        // The left part is what the client sent.
        send(&host, "198.51.100.1, 203.0.113.77, 10.0.0.2", APP);
        assert!(host.logged("code sent"));
        let log = host.log();
        assert_eq!(log.contains("client_address"), shown.is_some(), "{log}");
        assert!(shown.is_none_or(|shown| log.contains(shown)), "{log}");
        assert!(!log.contains("198.51.100") && !log.contains("10.0.0.2"), "{log}");
    }
}

/// Few events, of which none grows back while a test runs.
const FEW: &str = "network_limits.sends = { count = 3, per = \"24h\" }\n\
     network_limits.wrong_codes = { count = 3, per = \"24h\" }\n\
     network_limits.failed_authentications = { count = 3, per = \"24h\" }\n";

#[test]
fn a_flood_of_sends_from_one_address_is_refused_and_another_address_is_served() {
    let host = behind_proxy("flood", &format!("{FEW}network_limits.exempt = [\"192.0.2.0/24\"]"));
    for _ in 0..3 {
        assert_eq!(send(&host, "203.0.113.5", APP).status, 200);
    }
    let before = std::fs::read_to_string(host.folder.file("outbox")).unwrap().lines().count();
    // Whatever stands to the left is the client's.
    for spoofed in
        ["203.0.113.5", "198.51.100.1, 203.0.113.5", "198.51.100.2, 203.0.113.5, 10.1.1.1", "::ffff:203.0.113.5"]
    {
        assert!(is_limited(&send(&host, spoofed, APP)), "{spoofed}");
    }
    let after = std::fs::read_to_string(host.folder.file("outbox")).unwrap().lines().count();
    assert_eq!(before, after);
    assert!(host.logged("the allowance of a network address is used up limit=\"sends\""), "{}", host.log());
    assert_eq!(send(&host, "203.0.113.6", APP).status, 200);
    // A network of IPv6 is one address.
    for number in 0..3 {
        assert_eq!(send(&host, &format!("2001:db8:1:2::{number}"), APP).status, 200);
    }
    assert!(is_limited(&send(&host, "2001:db8:1:2:ffff::", APP)));
    assert_eq!(send(&host, "2001:db8:1:3::1", APP).status, 200);
    for _ in 0..5 {
        assert_eq!(send(&host, "192.0.2.7", APP).status, 200, "it is exempt");
        // A server: its address is that of all its users.
        assert_eq!(send(&host, "203.0.113.9", &with_secret(SECRET)).status, 200);
    }
    assert_eq!(send(&host, "203.0.113.9", APP).status, 200);
}

/// Otherwise an allowance that stays whole would tell a test identity from other addresses.
#[test]
fn a_test_identity_uses_up_messages_like_every_address() {
    let identity = format!(
        "[[test_identities]]\nphone_number = \"+8613612345678\"\ncode = \"246810\"\nclients = [\"app\"]\nends = {}\n\
         [[users.list]]\nsubject = \"reviewer\"\ntest = true\nphone_number = \"+8613612345678\"\n",
        support::today()
    );
    let host = behind_proxy("identity", &format!("{FEW}{identity}"));
    let otp_token = text(&send(&host, "203.0.113.5", APP), "otp_token");
    // A login uses nothing up.
    assert_eq!(grant(&host, "203.0.113.5", APP, &otp_token, "246810").status, 200);
    for _ in 0..2 {
        assert_eq!(send(&host, "203.0.113.5", APP).status, 200);
    }
    assert!(is_limited(&send(&host, "203.0.113.5", APP)));
}

#[test]
fn wrong_codes_use_up_guesses_and_not_sessions() {
    let host = behind_proxy("guesses", FEW);
    let login = |address| {
        let otp_token = text(&send(&host, address, APP), "otp_token");
        grant(&host, address, APP, &otp_token, &host.last_code())
    };
    let refresh_token = text(&login("203.0.113.5"), "refresh_token");
    let otp_token = text(&send(&host, "203.0.113.5", APP), "otp_token");
    let code = host.last_code();
    for _ in 0..3 {
        assert_eq!(grant(&host, "203.0.113.5", APP, &otp_token, wrong(&code)).json()["error"], "invalid_grant");
    }
    // Not even the right code: the address is refused before codes are compared.
    assert!(is_limited(&grant(&host, "203.0.113.5", APP, &otp_token, &code)));
    let fake = "{\"grant_type\":\"refresh_token\"";
    let both = format!("{fake},\"grant_type\":\"otp\",{APP},\"otp_token\":\"{otp_token}\",\"otp\":\"{code}\"}}");
    // A body that can be read in two ways is refused, and nothing of it is compared.
    assert_eq!(from(&host, "203.0.113.5", "/oauth2/token", JSON, &both).json()["error"], "invalid_request");
    // The session goes on, and the code is good at another address.
    let refresh = format!("grant_type=refresh_token&client_id=app&refresh_token={refresh_token}");
    assert_eq!(from(&host, "203.0.113.5", "/oauth2/token", FORM, &refresh).status, 200);
    assert_eq!(grant(&host, "203.0.113.6", APP, &otp_token, &code).status, 200);
}

#[test]
fn failed_authentications_use_up_those_of_clients_with_secrets() {
    let host = behind_proxy("secrets", FEW);
    for number in 0..3 {
        assert_eq!(send(&host, "203.0.113.5", &with_secret(&format!("guess-{number}"))).status, 401);
    }
    // The right secret is not compared.
    assert!(is_limited(&send(&host, "203.0.113.5", &with_secret(SECRET))));
    let basic = "X-Forwarded-For: 203.0.113.5\r\nAuthorization: Basic YXBwOg==";
    assert!(is_limited(&through(&host, basic, "/oauth2/introspect", FORM, "token=x&client_id=app")));
    let secret = format!("token=x&client_id=web&client_secret={SECRET}");
    assert!(is_limited(&from(&host, "203.0.113.5", "/oauth2/revoke", FORM, &secret)));
    // A client without a secret has none to guess.
    assert_eq!(send(&host, "203.0.113.5", APP).status, 200);
    assert_eq!(from(&host, "203.0.113.5", "/oauth2/revoke", FORM, "token=x&client_id=app").status, 200);
    assert_eq!(send(&host, "203.0.113.6", &with_secret(SECRET)).status, 200);
}

#[test]
fn without_a_proxy_that_reports_addresses_there_is_no_limit() {
    let host = host("unlimited", "");
    for _ in 0..250 {
        assert_eq!(send(&host, "203.0.113.5", &with_secret("guess")).status, 401);
    }
}
