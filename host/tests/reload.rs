//! A configuration that is read again (SIGHUP): as a whole or not at all, and without a failed request.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use otp_grant::Issuer;
use otp_grant::jwt::{AccessTokenProfile, AccessTokenVerifier, Audience, PublicKeySet};
use otp_grant::time::{Clock as _, SystemClock};
use support::{Folder, Host, JSON, Reply, command};

/// A host with a web application, whose secret is in a file of its own, and with a login page.
fn config() -> String {
    format!(
        r#"
issuer = "http://127.0.0.1:8080"
store = "memory"
keys = {{ index = "{INDEX}", sealing = "{SEALING}" }}
signing = {{ active = "{FIRST}" }}
auth_sources.sms = {{ channel = "sms" }}
delivery = {{ outbox = "outbox" }}
danger.without_send_quotas = true
page = {{ client = "app", sms = "sms", title = "one", hint = "one" }}
[clients.web]
secret = {{ file = "secret" }}
auth_sources = ["sms"]
[clients.app]
public = true
may_send = true
auth_sources = ["sms"]
[[users.list]]
subject = "listed"
phone_number = "+8613600000009"
"#
    )
}

const INDEX: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
const SEALING: &str = "b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=";
const LATER: &str = "bGF0ZXIgc2VjcmV0IGxhdGVyIHNlY3JldCBsYXRlciBzZWM=";
/// Keys for tests alone: their seeds are zeros but for the end.
const FIRST: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SECOND: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB";
const SECRET: &str = "the first secret of web";
const PHONE: &str = "+8613612345678";
const GRANT: &str = "http://tencentciam.com/oauth2/grant-type/otp/sms";

fn start(name: &str, text: &str) -> Host {
    let folder = Folder::new(name);
    folder.write("secret", SECRET);
    folder.write("outbox", "");
    let file = folder.write("host.toml", text);
    make_private(folder.file("secret").as_path());
    make_private(&file);
    Host::start(folder, &["--config", file.to_str().unwrap()])
}

fn make_private(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Reloads with this text, and waits for the line of the log that says what became of it.
fn reload(host: &Host, text: &str) -> String {
    host.folder.write("host.toml", text);
    let before = outcomes(host).len();
    host.signal("HUP");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if let Some(line) = outcomes(host).get(before) {
            return line.clone();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    unreachable!("nothing became of it: {}", host.log());
}

fn outcomes(host: &Host) -> Vec<String> {
    host.log().lines().filter(|line| line.contains("reloaded")).map(str::to_owned).collect()
}

fn is_reloaded(host: &Host, text: &str) {
    let line = reload(host, text);
    assert!(line.contains(" INFO ") && !line.contains("not reloaded"), "{line}");
}

fn send(host: &Host, secret: &str, phone: &str) -> Reply {
    let body =
        format!(r#"{{"client_id":"web","client_secret":"{secret}","auth_source_id":"sms","phone_number":"{phone}"}}"#);
    host.post("/otp/send", JSON, &body)
}

fn log_in(host: &Host, secret: &str, phone: &str) -> serde_json::Value {
    let sent = send(host, secret, phone);
    assert_eq!(sent.status, 200, "{sent:?}");
    redeem(host, secret, phone, sent.json()["otp_token"].as_str().unwrap(), &host.last_code())
}

fn redeem(host: &Host, secret: &str, phone: &str, token: &str, code: &str) -> serde_json::Value {
    let body = format!(
        r#"{{"grant_type":"{GRANT}","client_id":"web","client_secret":"{secret}","auth_source_id":"sms",
            "phone_number":"{phone}","otp_token":"{token}","otp":"{code}","auto_signup":true}}"#
    );
    let reply = host.post("/oauth2/token", JSON, &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn refresh(host: &Host, secret: &str, tokens: &serde_json::Value) -> Reply {
    let token = tokens["refresh_token"].as_str().unwrap();
    let body = format!(
        r#"{{"grant_type":"refresh_token","client_id":"web","client_secret":"{secret}","refresh_token":"{token}"}}"#
    );
    host.post("/oauth2/token", JSON, &body)
}

fn subject(host: &Host, tokens: &serde_json::Value) -> String {
    let token = tokens["access_token"].as_str().unwrap();
    let request =
        format!("GET /userinfo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    host.ask(&request).json()["sub"].as_str().unwrap().to_owned()
}

#[test]
fn a_changed_secret_holds_from_the_reload_on() {
    let host = start("reload-secret", &config());
    assert_eq!(send(&host, SECRET, PHONE).status, 200);
    let replaced = "the second secret of web";
    host.folder.write("secret", replaced);
    // The file alone changes nothing.
    assert_eq!(send(&host, SECRET, PHONE).status, 200);
    is_reloaded(&host, &config());
    assert_eq!(send(&host, replaced, PHONE).status, 200);
    let refused = send(&host, SECRET, PHONE);
    assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_client".into()));
}

#[test]
fn a_reload_brings_clients_sources_page_and_paths() {
    let host = start("reload-all", &config());
    let more = "[clients.more]\npublic = true\nmay_send = true\nauth_sources = [\"mail\"]\n\
        [auth_sources.mail]\nchannel = \"email\"\ncode = { length = 8 }\n\
        [endpoints]\notp_send = \"/code\"\n[validity]\nkey_set = \"1m\"\n[limits]\nbody = 200\n[users]\n";
    let changed = config()
        .replace("title = \"one\"", "title = \"Two\"")
        .replace("[[users.list]]", &format!("{more}[[users.list]]"));
    is_reloaded(&host, &changed);
    assert_eq!(send(&host, SECRET, PHONE).status, 404);
    let sent = host.post("/code", JSON, r#"{"client_id":"more","auth_source_id":"mail","email":"ada@example.com"}"#);
    assert_eq!((sent.status, &sent.json()["code_length"]), (200, &8.into()), "{sent:?}");
    assert!(host.get("/").body.contains("<title>Two"), "{}", host.get("/").body);
    assert!(host.get("/oauth2/jwks").head.contains("max-age=60"));
    assert_eq!(host.post("/oauth2/token", JSON, &" ".repeat(201)).status, 413);
    // What is gone from the file is gone.
    is_reloaded(&host, &config().replace("page = ", "# page = "));
    assert_eq!(host.get("/").status, 404);
    assert_eq!(host.post("/code", JSON, "{}").status, 404);
    assert_eq!(send(&host, SECRET, PHONE).status, 200);
}

#[test]
fn a_wrong_file_is_refused_in_one_line_and_the_old_one_stays() {
    let host = start("reload-wrong", &config());
    let tokens = log_in(&host, SECRET, PHONE);
    let wrong = [
        "no = TOML".to_owned(),
        config().replace("may_send", "may_sned"),
        config().replace("\"secret\"", "\"no such file\""),
        config().replace("title = \"one\"", "client = \"web\""),
        config().replace("sms = { channel = \"sms\" }", "sms = { channel = \"sms\", code = { length = 99 } }"),
        config().replace(FIRST, "AAAA"),
        config().replace(SEALING, "AAAA"),
        config().replace("outbox = \"outbox\"", "webhook = { url = \"ftp://a\" }"),
        config().replace("+8613600000009", "no number"),
        format!("{}[limits]\nrequest_time = \"0s\"\n", config()),
    ];
    // The lines of requests can still be on their way.
    assert!(host.logged("listening"));
    let told = || host.log().lines().filter(|line| !line.contains(" INFO ")).count();
    for text in wrong {
        let before = told();
        let refused = reload(&host, &text);
        let checked =
            command(&["--config", host.folder.file("host.toml").to_str().unwrap(), "--check"]).output().unwrap();
        let said = String::from_utf8(checked.stderr).unwrap();
        assert!(!checked.status.success() && !said.is_empty());
        assert!(refused.contains("ERROR") && refused.ends_with(said.trim_end()), "{refused}\n{said}");
        assert_eq!(told(), before + 1, "{}", host.log());
    }
    assert_eq!(refresh(&host, SECRET, &tokens).status, 200);
    assert!(host.get("/").body.contains("<title>one"));
    is_reloaded(&host, &config());
}

#[test]
fn what_takes_a_restart_is_refused_and_named() {
    let host = start("reload-restart", &config());
    for (text, place) in [
        (config().replace("127.0.0.1:8080", "127.0.0.1:8081"), "issuer"),
        (config().replace("\"memory\"", "\"sqlite:other.db\""), "store"),
        (
            config().replace(
                "[[users.list]]\nsubject = \"listed\"\nphone_number = \"+8613600000009\"",
                "[users]\ntable = \"sqlite:u.db\"",
            ),
            "users.table",
        ),
        (config().replace(INDEX, LATER), "keys.index"),
        (
            config().replace("outbox = \"outbox\"", "outbox = \"outbox\", queue = { length = 5 }"),
            "delivery.queue.length",
        ),
        (format!("{}[limits]\nconnections = 5\n", config()), "limits.connections"),
        (format!("{}[metrics]\nlisten = \"127.0.0.1:0\"\n", config()), "metrics.listen"),
        (format!("{}[redis]\nwait = {{ replicas = 1 }}\n", config()), "redis.wait"),
    ] {
        let refused = reload(&host, &text);
        let expected = format!("{place}: a reload can't change it; restart the host");
        assert!(refused.contains("ERROR") && refused.ends_with(&expected), "{refused}");
    }
    // Another spelling is not another key.
    is_reloaded(&host, &config().replace(INDEX, &INDEX.replacen('I', "I ", 1)));
}

#[test]
fn other_sealing_keys_are_checked_as_at_a_start() {
    let folder = Folder::new("reload-keys-db");
    let store = format!("\"sqlite:{}\"", folder.file("records.db").display());
    for (name, store) in [("reload-keys-memory", "\"memory\""), ("reload-keys-sqlite", &store)] {
        let text = config().replace("\"memory\"", store);
        let host = start(name, &text);
        let tokens = log_in(&host, SECRET, PHONE);
        let refused = reload(&host, &text.replace(SEALING, LATER));
        assert!(refused.contains("ERROR") && refused.contains("keys.sealing: the other processes"), "{refused}");
        let accepting = |sealing: &str, accepted: &str| {
            text.replace(&format!("\"{SEALING}\""), &format!("\"{sealing}\", accepted = [\"{accepted}\"]"))
        };
        is_reloaded(&host, &accepting(SEALING, LATER));
        is_reloaded(&host, &accepting(LATER, SEALING));
        let tokens = refresh(&host, SECRET, &tokens);
        assert_eq!(tokens.status, 200, "{tokens:?}");
        is_reloaded(&host, &text.replace(SEALING, LATER));
        assert_eq!(refresh(&host, SECRET, &tokens.json()).status, 200);
    }
}

#[test]
fn a_reload_does_not_repeat_new_keys() {
    let folder = Folder::new("reload-new-keys");
    folder.write("secret", SECRET);
    let file = folder.write("host.toml", &config());
    let host = Host::start(folder, &["--config", file.to_str().unwrap(), "--new-keys"]);
    let refused = reload(&host, &config().replace(SEALING, LATER));
    assert!(refused.contains("keys.sealing: the other processes"), "{refused}");
}

#[test]
fn users_and_sessions_in_memory_outlive_a_reload() {
    let host = start("reload-users", &config());
    let signed_up = log_in(&host, SECRET, PHONE);
    let listed = log_in(&host, SECRET, "+8613600000009");
    let own = subject(&host, &signed_up);
    assert_eq!(subject(&host, &listed), "listed");
    let locked = format!(
        "{}status = \"locked\"\n[[users.list]]\nsubject = \"new\"\nphone_number = \"+8613600000010\"\n",
        config()
    );
    is_reloaded(&host, &locked);
    assert_eq!(subject(&host, &signed_up), own);
    let refreshed = refresh(&host, SECRET, &signed_up);
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_eq!(subject(&host, &log_in(&host, SECRET, PHONE)), own);
    assert_eq!(subject(&host, &log_in(&host, SECRET, "+8613600000010")), "new");
    assert_eq!(refresh(&host, SECRET, &listed).status, 400);
    // An otp_token of before is redeemed after, with the guesses that it has left.
    let sent = send(&host, SECRET, PHONE).json();
    let code = host.last_code();
    is_reloaded(&host, &config());
    redeem(&host, SECRET, PHONE, sent["otp_token"].as_str().unwrap(), &code);
    // A user who is not listed any more is nobody's.
    is_reloaded(&host, &config().replace("+8613600000009", "+8613600000011").replace("\"listed\"", "\"other\""));
    assert_eq!(refresh(&host, SECRET, &listed).status, 400);
}

#[test]
fn a_reload_brings_origins_and_gives_no_address_another_guess() {
    let limited = |count: u32, more: &str| {
        let text = config().replace("[clients.app]\n", &format!("[clients.app]\n{more}"));
        format!("{text}[network_limits]\nenabled = true\nwrong_codes = {{ count = {count}, per = \"1h\" }}\n")
    };
    let origin = "allowed_origins = [\"https://app.example.com\"]\n";
    let host = start("reload-limits", &limited(1, ""));
    let guess = |from: &str| {
        let body = format!(r#"{{"client_id":"app","auth_source_id":"sms","phone_number":"{PHONE}"}}"#);
        let sent = host.post("/otp/send", JSON, &body);
        let token = sent.json()["otp_token"].as_str().unwrap().to_owned();
        let code = if host.last_code() == "000000" { "000001" } else { "000000" };
        let body = format!(
            r#"{{"grant_type":"{GRANT}","client_id":"app","auth_source_id":"sms","phone_number":"{PHONE}",
                "otp_token":"{token}","otp":"{code}"}}"#
        );
        host.ask(&support::post("/oauth2/token", JSON, &body).replacen("\r\n", &format!("\r\n{from}"), 1)).status
    };
    assert_eq!([guess(""), guess("")], [400, 429]);
    // Only the list of origins is new.
    is_reloaded(&host, &limited(1, origin));
    assert_eq!(guess(""), 429);
    // A page that is not allowed learns nothing of the allowance.
    assert_eq!(guess("Origin: https://app.example.com\r\n"), 429);
    assert_eq!(guess("Origin: https://foreign.example\r\n"), 403);
    // A new allowance begins anew.
    is_reloaded(&host, &limited(2, origin));
    assert_eq!([guess(""), guess(""), guess("")], [400, 400, 429]);
}

#[test]
fn requests_in_flight_end_with_what_they_began_with() {
    let webhook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/deliver", webhook.local_addr().unwrap());
    let text = config().replace("outbox = \"outbox\"", &format!("webhook = {{ url = \"{url}\" }}"));
    let host = start("reload-in-flight", &text);
    let reply = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(&host, SECRET, PHONE));
        let (mut delivery, _) = webhook.accept().unwrap();
        // The client, its source and the webhook are gone before the message is accepted.
        let gone = text.replace("clients.web", "clients.other").replace("/deliver", "/elsewhere");
        is_reloaded(&host, &gone);
        let mut request = [0; 4096];
        assert!(delivery.read(&mut request).unwrap() > 0);
        delivery.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        sending.join().unwrap()
    });
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(send(&host, SECRET, PHONE).status, 401);
}

/// Clients on connections that they keep, through 100 reloads between two files.
#[test]
fn no_request_fails_during_a_hundred_reloads() {
    let host = start("reload-stream", &config());
    let files = [config().replace("\"one\"", "\"two\""), config()];
    let tokens: Vec<_> = (0..4).map(|number| log_in(&host, SECRET, &format!("+861361234567{number}"))).collect();
    let (is_over, refreshes, pages) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for mut tokens in tokens {
            let (host, is_over, refreshes) = (&host, &is_over, &refreshes);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let reply = refresh(host, SECRET, &tokens);
                    assert_eq!(reply.status, 200, "{reply:?}");
                    tokens = reply.json();
                    refreshes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let mut connection = host.connect();
            let mut replies = BufReader::new(connection.try_clone().unwrap());
            while !is_over.load(Ordering::Relaxed) {
                connection.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                let page = body(&mut replies);
                // One file or the other, and never a mixture.
                let (title, hint) = (page.contains("<title>one"), page.contains("&quot;hint&quot;:&quot;one&quot;"));
                assert!(title == hint && page.contains("<title>"), "{page}");
                pages.fetch_add(1, Ordering::Relaxed);
            }
        });
        let reloading = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for file in files.iter().cycle().take(100) {
                is_reloaded(&host, file);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        reloading.unwrap();
    });
    assert!(refreshes.load(Ordering::Relaxed) > 100 && pages.load(Ordering::Relaxed) > 100);
    assert!(!host.log().contains("ERROR"), "{}", host.log());
}

/// Reads a reply with a length from a connection that goes on.
fn body(replies: &mut impl BufRead) -> String {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        assert!(replies.read_line(&mut line).unwrap() > 0, "the connection ended");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    replies.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn a_signing_key_is_replaced_without_a_refused_token() {
    let host = start("reload-signing", &config());
    let signing = |active: &str, published: &[&str]| {
        let published = published.iter().map(|key| format!("\"{key}\"")).collect::<Vec<_>>().join(", ");
        let signing = format!("signing = {{ active = \"{active}\", published = [{published}] }}");
        config().replace(&format!("signing = {{ active = \"{FIRST}\" }}"), &signing)
    };
    let first = log_in(&host, SECRET, PHONE);
    let mut cached = key_set(&host);
    is_reloaded(&host, &signing(FIRST, &[SECOND]));
    let second = log_in(&host, SECRET, PHONE);
    assert!(verifies(&cached, &second));
    cached = key_set(&host);
    is_reloaded(&host, &signing(SECOND, &[FIRST]));
    let third = log_in(&host, SECRET, PHONE);
    // The key set that an API fetched before knows the new key, and the one that it fetches now the old key.
    for keys in [&cached, &key_set(&host)] {
        assert!([&first, &second, &third].into_iter().all(|tokens| verifies(keys, tokens)));
    }
    assert_ne!(kid(&second), kid(&third));
    // Tokens of before are good at the host itself, and their sessions go on.
    assert_eq!(subject(&host, &first), subject(&host, &third));
    assert_eq!(refresh(&host, SECRET, &first).status, 200);
    assert!(!host.log().contains("WARN"), "{}", host.log());
    is_reloaded(&host, &signing(SECOND, &[]));
    assert!(!verifies(&key_set(&host), &first) && verifies(&key_set(&host), &third));
    // A step that is left out is logged.
    is_reloaded(&host, &config());
    assert!(host.logged("signing.active: the key was not published before"), "{}", host.log());
    assert!(host.logged("signing.published: the key that was active is gone"), "{}", host.log());
}

fn key_set(host: &Host) -> String {
    host.get("/oauth2/jwks").body
}

fn verifies(keys: &str, tokens: &serde_json::Value) -> bool {
    let issuer = Issuer::new("http://127.0.0.1:8080").unwrap();
    let keys = PublicKeySet::from_json(keys.as_bytes()).unwrap();
    let verifier = AccessTokenVerifier::new(issuer, keys, AccessTokenProfile::default());
    let token = tokens["access_token"].as_str().unwrap();
    verifier.verify(token, Audience::EveryClient, SystemClock.now()).is_ok()
}

fn kid(tokens: &serde_json::Value) -> &str {
    tokens["access_token"].as_str().unwrap().split('.').next().unwrap()
}

#[test]
fn a_demo_has_nothing_to_reload() {
    let mut host = Host::demo("reload-demo", &[]);
    host.signal("HUP");
    assert!(host.logged("SIGHUP is ignored: the demo has no file"), "{}", host.log());
    assert_eq!(host.get("/healthz").status, 200);
    host.terminate();
    assert_eq!(host.wait(), Some(0));
}
