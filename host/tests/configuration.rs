//! What the command line and the file say, from outside: errors, a check, an issuer with a path, a table of users.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use otp_grant_stores_support::postgres::Postgres;
use support::{Folder, Host, JSON, command, root, today};

fn fails(arguments: &[&str]) -> String {
    fails_with(2, arguments)
}

fn fails_with(code: i32, arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_wrong_with_a_start_is_said_in_one_line() {
    let folder = Folder::new("errors");
    let no_file = folder.file("none.toml");
    assert!(fails(&["--config", no_file.to_str().unwrap()]).starts_with(no_file.to_str().unwrap()));
    let file = folder.write("host.toml", "issuer = \"https://a.example\"\nsecrt = \"hunter2\"\n");
    let error = fails(&["--config", file.to_str().unwrap()]);
    assert!(error.contains("host.toml:2:1: unknown field `secrt`") && !error.contains("hunter2"), "{error}");
    let sample = root().join("host/otp-grant.toml");
    let error = fails(&["--config", sample.to_str().unwrap()]);
    assert_eq!(error, "keys.index: the environment variable OTP_GRANT_INDEX_KEY is not set\n");
    assert!(fails(&["--demo", "--alg", "ES256", "--secret", "c2hvcnQ="]).starts_with("--secret: "));
    assert!(fails(&["--demo", "--alg", "ES256", "--issuer", "http://a.example"]).starts_with("issuer: "));
    let error = fails(&["--demo", "--alg", "ES256", "--store", "mysql://user:hunter2@host"]);
    assert!(error.starts_with("store: ") && !error.contains("hunter2"), "{error}");
    // What a later start can mend has another code: the service manager tries again.
    let error = fails_with(1, &["--demo", "--alg", "ES256", "--store", "redis://:hunter2@127.0.0.1:1"]);
    assert!(error.starts_with("store: ") && !error.contains("hunter2"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(fails_with(1, &["--demo", "--alg", "ES256", "--listen", &address]).starts_with("listen: "));
    // A rule for one file must not let an account choose another.
    for twice in [["--config", "a", "--config=b"], ["--store", "memory", "--store=b"]] {
        let [name, value, other] = twice;
        let error = fails(&[name, value, "admin", "users", "list", other]);
        assert!(error.contains(&format!("{name} is given twice")), "{error}");
    }
    for other in ["--store=memory", "--issuer=https://a.example", "--demo", "--secret=x"] {
        let error = fails(&["--config", "a", "admin", "users", "list", other]);
        assert!(error.contains("can't stand behind admin"), "{error}");
    }
    for wrong in
        [&[][..], &["--demo", "--config", "a"], &["--config", "a", "--alg", "ES256"], &["--demo", "--alg", "none"]]
    {
        assert!(fails(wrong).contains("--help"), "{wrong:?}");
    }
}

#[test]
fn the_sample_file_starts_once_its_keys_are_there() {
    let folder = Folder::new("sample");
    let text = std::fs::read_to_string(root().join("host/otp-grant.toml")).unwrap();
    let file = folder.write("otp-grant.toml", &text);
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "ED25519", "-out", folder.file("signing.pem").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success());
    let key = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
    // Codes stay out of journals unless the operator asks for them.
    let active: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!active.iter().any(|line| line.starts_with("console")), "{active:?}");
    let output = command(&["--config", file.to_str().unwrap(), "--check"])
        .env("OTP_GRANT_INDEX_KEY", key)
        .env("OTP_GRANT_SEALING_KEY", key)
        .env("OTP_GRANT_WEB_SECRET_SHA256", "0".repeat(64))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the configuration is good\n");
}

#[test]
fn a_check_finds_what_a_start_would_and_leaves_nothing_behind() {
    let folder = Folder::new("check");
    let check = |text: &str| {
        let file = folder.write("host.toml", text);
        command(&["--config", file.to_str().unwrap(), "--check"]).output().unwrap()
    };
    let good = config("sqlite:users.db");
    assert!(check(&good).status.success());
    let made: Vec<_> = std::fs::read_dir(folder.file("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made, ["host.toml"]);
    for (wrong, place) in [
        (config("mysql://user:hunter2@host"), "users.table: "),
        (good.replace("\"sqlite:users.db\"", "{ env = \"OTP_GRANT_NO_SUCH\" }"), "users.table: "),
        (format!("{good}[[users.list]]\nsubject = \"ada\"\n"), "users.list: "),
        (good.replace("outbox = \"outbox\"", "outbox = \"nowhere/outbox\""), "delivery.outbox: "),
    ] {
        let output = check(&wrong);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with(place) && !error.contains("hunter2"), "{error}");
    }
}

/// What a check of a file says on standard error, and whether it found the file good.
fn checked(folder: &Folder, text: &str) -> (bool, String) {
    let file = folder.write("host.toml", &text.replace("TODAY", &today()));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = command(&["--config", file.to_str().unwrap(), "--check"]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_setting_that_cannot_work_is_an_error() {
    let folder = Folder::new("mistakes");
    let plain = config("").replace("users.table = \"\"\n", "");
    assert_eq!(checked(&folder, &plain.replace(SAME_KEYS, OTHER_KEYS)), (true, String::new()));
    let two = |one: &str, other: &str| {
        format!("{plain}[[users.list]]\nsubject = \"a\"\n{one}\n[[users.list]]\nsubject = \"b\"\n{other}\n")
    };
    let signed = |secrets: &str| {
        let webhook = format!("[delivery.webhook]\nurl = \"https://a.example/\"\nsign = [{secrets}]\n");
        format!("{plain}{webhook}").replace("delivery = { outbox = \"outbox\" }\n", "")
    };
    let addresses = "[addresses]\nregion = \"GB\"\n";
    for (text, place) in [
        (format!("{plain}[limits]\nrequest_time = \"0s\"\n"), "limits.request_time: "),
        (format!("{plain}[limits]\nheader_time = \"0ms\"\n"), "limits.header_time: "),
        (format!("{plain}[limits]\nbody_time = \"0s\"\n"), "limits.body_time: "),
        (format!("{plain}[limits]\nbody = 0\n"), "limits.body: "),
        (
            format!("{plain}[delivery.webhook]\nurl = \"https://a.example/hunter2\"\ntimeout = \"0s\"\n")
                .replace("delivery = { outbox = \"outbox\" }\n", ""),
            "delivery.webhook.timeout: ",
        ),
        (signed("\"hunter2\""), "delivery.webhook.sign[0]: "),
        (signed("\"whsec_hunter2\""), "delivery.webhook.sign[0]: "),
        (signed(&format!("\"whsec_{}\", \"whsec_c2hvcnQ=\"", "YWJj".repeat(8))), "delivery.webhook.sign[1]: "),
        (signed("{ env = \"OTP_GRANT_NO_SUCH\" }"), "delivery.webhook.sign[0]: "),
        (two("phone_number = \"+447400123456\"", "phone_number = \"+44 7400 123456\""), "users.list[1].phone_number: "),
        (
            two("phone_number = \"+447400123456\"", "phone_number = \"07400 123456\"") + addresses,
            "users.list[1].phone_number: ",
        ),
        (two("email = \"ada@example.com\"", "email = \"ADA@example.com\""), "users.list[1].email: "),
        (two("", "").replace("\"b\"", "\"a\""), "users.list[1].subject: "),
        (format!("store = \"redis:hunter2\"\n{plain}"), "store: "),
        (format!("store = \"redis://127.0.0.1/hunter2\"\n{plain}"), "store: "),
        (format!("store = \"postgres:hunter2\"\n{plain}"), "store: "),
        (format!("store = \"postgres://user:hunter2#@host/db\"\n{plain}"), "store: "),
        (format!("store = \"sqlite:\"\n{plain}"), "store: "),
        (format!("store = \"redis+sentinel://one,two/primary/hunter2\"\n{plain}"), "store: "),
        (format!("store = \"redis+cluster://one:hunter2\"\n{plain}"), "store: "),
        (format!("store = \"postgres://user:hunter2@one,two:port/db\"\n{plain}"), "store: "),
        (format!("{plain}[redis]\nwait = {{ replicas = 1, timeout = \"0s\" }}\n"), "redis.wait.timeout: "),
        (format!("{plain}[redis]\nwait = {{ replicas = 1, timeout = \"2s\" }}\n"), "redis.wait.timeout: "),
        (config("postgres://user:hunter2#@host/db"), "users.table: "),
        (format!("{plain}[addresses]\nregion = \"UK\"\n"), "addresses.region: "),
        (format!("{plain}[addresses]\nregion = \"gb\"\n"), "addresses.region: "),
        (format!("{plain}{addresses}country_code = \"44\"\n"), "addresses.country_code: "),
        (format!("{plain}[proxy]\ntrusted = [\"hunter2\"]\n"), "proxy.trusted[0]: "),
        (format!("{plain}[network_limits]\nsends = {{ count = 1, per = \"1ms\" }}\n"), "network_limits.sends: "),
    ] {
        let (good, said) = checked(&folder, &text.replace(SAME_KEYS, OTHER_KEYS));
        assert!(!good && said.starts_with(place), "{place} {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains("hunter2") && !said.contains("7400"), "{said}");
    }
}

#[test]
fn a_setting_that_is_probably_a_mistake_is_a_warning_of_one_line() {
    let folder = Folder::new("warnings");
    let plain = config("").replace("users.table = \"\"\n", "").replace(SAME_KEYS, OTHER_KEYS);
    let web = |secret: &str| format!("{plain}[clients.web]\nsecret = \"{secret}\"\nauth_sources = [\"mail\"]\n");
    let other = "b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=";
    let https = plain.replace("http://127.0.0.1:8080/tenant", "https://login.example.com");
    let with_console = |text: &str| text.replace("outbox = \"outbox\"", "outbox = \"outbox\", console = true");
    for (text, warning) in [
        (web("a"), "clients.web.secret: shorter than 16 characters"),
        (web("hunter2-hunter2"), "clients.web.secret: shorter than 16 characters"),
        (plain.replace(OTHER_KEYS, SAME_KEYS), "keys.sealing: the same key as keys.index"),
        (
            plain.replace(OTHER_KEYS, &OTHER_KEYS.replace(" }", &format!(", accepted = [\"{other}\"] }}"))),
            "keys.accepted[0]: the same key as keys.sealing",
        ),
        (with_console(&https), "delivery.console: codes go to the standard output"),
        (https.replace("quotas.sends", "danger.without_send_quotas = true\n# "), "danger.without_send_quotas: "),
        (format!("{plain}[redis]\nwait = {{ replicas = 1 }}\n"), "redis.wait: the store is not in Redis"),
        (format!("{plain}[guard]\nmode = \"enforce\"\n"), "guard.has_challenge: nothing tells the host"),
        (format!("{plain}[guard]\ncountries = [\"86\"]\n"), "guard.mode: the guard is off"),
        (format!("{plain}message_budget = {{ per_hour = 5, per_day = 5 }}\n"), "guard.mode: the guard is off"),
        (
            format!("{plain}[guard]\nmode = \"observe\"\ncountries = [\"86\"]\n"),
            "guard.countries: numbers without + have no known country",
        ),
        (
            format!("{plain}[network_limits]\nenabled = true\n"),
            "network_limits.enabled: proxy.client_address is not set",
        ),
        (format!("{plain}[network_limits]\naddresses = 5\n"), "network_limits.enabled: the limits are off"),
        (
            format!("{plain}{}", TEST_IDENTITY.replace("ends = ", "ends = 2020-01-01 #")) + TEST_USER,
            "test_identities[0].ends: the test identity has ended",
        ),
        (
            format!("{plain}{TEST_IDENTITY}") + &TEST_USER.replace("test = true", ""),
            "test_identities[0]: users.list has no user with test = true",
        ),
    ] {
        let (good, said) = checked(&folder, &text);
        assert!(good && said.contains(" WARN ") && said.contains(warning), "{warning} {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains("hunter2") && !said.contains(other), "{said}");
    }
    let guarded = format!("{plain}[guard]\nmode = \"enforce\"\nverdict_header = \"X-Send-Verdict\"\n");
    let without_challenge = format!("{plain}[guard]\nmode = \"enforce\"\nhas_challenge = false\n");
    let tested = format!("{plain}{TEST_IDENTITY}{TEST_USER}");
    let waiting = format!("store = \"redis+sentinel://one,two/primary\"\n{plain}[redis]\nwait = {{ replicas = 1 }}\n");
    let good = [
        web("0123456789abcdef0123456789abcdef"),
        with_console(&plain),
        https,
        guarded,
        without_challenge,
        tested,
        waiting,
    ];
    for text in good {
        assert_eq!(checked(&folder, &text), (true, String::new()));
    }
}

#[test]
fn a_key_that_every_account_can_read_or_write_is_a_warning() {
    let folder = Folder::new("modes");
    let key = folder.write("sealing", "b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=");
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let text = config("").replace("users.table = \"\"\n", "");
    let text = text
        .replace(SAME_KEYS, OTHER_KEYS)
        .replace("sealing = \"b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=\"", "sealing = { file = \"sealing\" }");
    for (mode, warning) in [
        (0o600, ""),
        (0o640, ""),
        (0o644, "keys.sealing: every account of this machine can read "),
        (0o602, "keys.sealing: every account of this machine can change "),
        (0o666, "keys.sealing: every account of this machine can change "),
    ] {
        set(&key, mode);
        let (good, said) = checked(&folder, &text);
        assert!(good, "{said}");
        assert_eq!(said.lines().count(), usize::from(!warning.is_empty()), "{mode:o} {said}");
        assert!(said.contains(warning), "{mode:o} {said}");
    }
    // So is a file with keys in it.
    set(&key, 0o600);
    let file = folder.file("host.toml");
    let said = || {
        let output = command(&["--config", file.to_str().unwrap(), "--check"]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    set(&file, 0o644);
    assert!(said().contains("--config: every account of this machine can read "), "{}", said());
    set(&file, 0o600);
    assert_eq!(said(), "");
}

#[test]
fn numbers_are_read_as_the_region_writes_them() {
    let text = config("").replace("users.table = \"\"\n", "");
    let text = text.replace("auth_sources.mail", "auth_sources.sms = { channel = \"sms\" }\nauth_sources.mail");
    let text = text.replace("auth_sources = [\"mail\"]", "auth_sources = [\"mail\", \"sms\"]");
    let host = Host::configured("region", &format!("{text}[addresses]\nregion = \"GB\"\n"));
    let send = |number: &str| {
        let body = format!(r#"{{"client_id":"app","auth_source_id":"sms","phone_number":"{number}"}}"#);
        host.post("/tenant/otp/send", JSON, &body)
    };
    let sent_to = || {
        let outbox = std::fs::read_to_string(host.folder.file("outbox")).unwrap();
        let line: serde_json::Value = serde_json::from_str(outbox.lines().last().unwrap()).unwrap();
        line["to"].as_str().unwrap().to_owned()
    };
    for (number, to) in [
        ("07400 123456", "+447400123456"),
        ("(07400) 123-456", "+447400123456"),
        ("7400123456", "+447400123456"),
        ("020 7183 8750", "+442071838750"),
        ("+33 6 12 34 56 78", "+33612345678"),
    ] {
        assert_eq!(send(number).status, 200, "{number}");
        assert_eq!(sent_to(), to, "{number}");
    }
    for number in ["07400 12345", "007400 123456", "0123", "06 12 34 56 78 90"] {
        let reply = send(number);
        assert_eq!((reply.status, &reply.json()["error"]), (400, &"malformed_phone_number".into()), "{number}");
    }
}

/// A host on a store in a file, with these keys: the index key, the sealing key and others that are accepted.
fn sharing(records: &Path, [index, sealing, accepted @ ..]: [&str; 3]) -> String {
    let accepted = accepted.iter().filter(|key| !key.is_empty()).map(|key| format!("\"{key}\"")).collect::<String>();
    let keys = format!("keys = {{ index = \"{index}\", sealing = \"{sealing}\", accepted = [{accepted}] }}");
    let plain = config("").replace("users.table = \"\"\n", "").replace(SAME_KEYS, &keys);
    format!("store = \"sqlite:{}\"\n{plain}", records.display())
}

#[test]
fn a_process_with_other_keys_than_its_store_does_not_start() {
    const INDEX: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
    const OLD: &str = "b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=";
    const NEW: &str = "bmV3IHNlY3JldCBuZXcgc2VjcmV0IG5ldyBzZWNyZXQgbmV3";
    const WARNING: &str = "keys.accepted: another process on this store seals";
    let folder = Folder::new("shared-keys");
    let records = folder.file("records.db");
    let file = |keys| {
        folder.write("outbox", "");
        folder.write("host.toml", &sharing(&records, keys)).to_str().unwrap().to_owned()
    };
    let refused = |keys| {
        let said = fails(&["--config", &file(keys), "--listen", "127.0.0.1:0"]);
        let reason = said.lines().last().unwrap().to_owned();
        assert!(
            reason.contains("--new-keys once") && ![INDEX, OLD, NEW].iter().any(|key| said.contains(key)),
            "{said}"
        );
        reason
    };
    let starts = |keys, more: &[&str]| {
        let folder = Folder::new("shared-keys-host");
        let host = Host::start(folder, &[&["--config", &file(keys)], more].concat());
        // It is written after the warning, and by another thread.
        assert!(host.logged("listening"), "{}", host.log());
        host.log().contains(WARNING)
    };
    assert!(!starts([INDEX, OLD, ""], &[]));
    assert!(refused([NEW, OLD, ""]).starts_with("keys.index: the other processes on this store have another key"));
    assert!(refused([INDEX, NEW, ""]).starts_with("keys.sealing: the other processes on this store accept neither"));
    // A rotation, on one process after the other.
    for keys in [[INDEX, OLD, NEW], [INDEX, OLD, NEW], [INDEX, NEW, OLD], [INDEX, NEW, OLD]] {
        assert!(!starts(keys, &[]), "{keys:?}");
    }
    // One that was left out of it, and one that drops the old key before sessions have ended.
    assert!(starts([INDEX, OLD, ""], &[]));
    assert!(starts([INDEX, NEW, ""], &[]));
    // A key that leaked is dropped at once, and so can the index key be.
    for leaked in [[INDEX, INDEX, ""], [NEW, NEW, ""]] {
        refused(leaked);
        assert!(!starts(leaked, &["--new-keys"]));
        assert!(!starts(leaked, &[]));
    }
    refused([INDEX, NEW, OLD]);
}

#[test]
fn a_demo_makes_new_keys_for_each_start() {
    let folder = Folder::new("demo-keys");
    let store = format!("sqlite:{}", folder.file("records.db").display());
    let arguments = ["--store", &store, "--issuer", "https://demo.example.com"];
    for _ in 0..2 {
        assert_eq!(Host::demo("demo-keys-host", &arguments).get("/healthz").status, 200);
    }
}

/// A host below a path, with its users in a table.
fn config(users: &str) -> String {
    let (key, signing) = (
        "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=",
        "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    );
    format!(
        r#"
issuer = "http://127.0.0.1:8080/tenant"
keys = {{ index = "{key}", sealing = "{key}" }}
signing = {{ active = "{signing}", key_id = "2026-11" }}
auth_sources.mail = {{ channel = "email", code = {{ length = 8, validity = "10m", token_validity = "10m" }} }}
delivery = {{ outbox = "outbox" }}
quotas.sends = [{{ count = 100, per = "5m" }}]
users.table = "{users}"
page = {{ client = "app", email = "mail", title = "A & B" }}
[clients.app]
public = true
may_send = true
auth_sources = ["mail"]
scopes = "openid email profile"
"#
    )
}

/// A test identity of that host, and its user. The end is within 90 days of the test.
const TEST_IDENTITY: &str =
    "[[test_identities]]\nemail = \"review@example.com\"\ncode = \"24681012\"\nclients = [\"app\"]\nends = TODAY\n";
const TEST_USER: &str = "[[users.list]]\nsubject = \"review\"\ntest = true\nemail = \"review@example.com\"\n";

/// The keys of that host, and keys that differ.
const SAME_KEYS: &str = r#"keys = { index = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=", sealing = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=" }"#;
const OTHER_KEYS: &str = r#"keys = { index = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=", sealing = "b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldCBvdGhlciBzZWM=" }"#;

fn log_in(host: &Host, email: &str, more: &str) -> support::Reply {
    let common = format!(r#""client_id":"app","auth_source_id":"mail","email":"{email}""#);
    let sent = host.post("/tenant/otp/send", JSON, &format!("{{{common}}}")).json();
    let (token, code) = (sent["otp_token"].as_str().unwrap(), host.last_code());
    assert_eq!((code.len(), &sent["code_length"]), (8, &8.into()));
    let uri = "http://tencentciam.com/oauth2/grant-type/otp/email";
    let body = format!(
        r#"{{{common},"grant_type":"{uri}","otp_token":"{token}","otp":"{code}","scope":"openid email profile"{more}}}"#
    );
    host.post("/tenant/oauth2/token", JSON, &body)
}

fn userinfo(host: &Host, tokens: &serde_json::Value) -> support::Reply {
    let token = tokens["access_token"].as_str().unwrap();
    host.ask(&format!(
        "GET /tenant/userinfo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    ))
}

#[test]
fn endpoints_are_where_the_file_says() {
    let moved = r#"
[endpoints]
otp_send = "/code"
token = "/token"
introspection = false
"#;
    let config = config("").replace("users.table = \"\"\n", "");
    let host = Host::configured("endpoints", &(config + moved));
    let metadata = host.get("/.well-known/oauth-authorization-server/tenant").json();
    assert_eq!(metadata["token_endpoint"], "http://127.0.0.1:8080/tenant/token");
    assert_eq!(metadata.get("introspection_endpoint"), None);
    let page = host.get("/tenant/").body;
    assert!(page.contains("/tenant/code") && page.contains("/tenant/token"), "{page}");
    let refused = host.post("/tenant/token", JSON, "{}").json();
    assert_eq!(refused["error"], "invalid_request");
    for gone in ["/tenant/otp/send", "/tenant/oauth2/token", "/tenant/oauth2/introspect"] {
        assert_eq!(host.post(gone, JSON, "{}").status, 404, "{gone}");
    }
}

fn lives_with_a_table(name: &str, url: &str, mut sql: impl FnMut(&str)) {
    let host = Host::configured(name, &config(url));
    assert_eq!(host.get("/healthz").status, 200);
    let page = host.get("/tenant/");
    assert!(page.body.contains("A &amp; B") && page.body.contains("/tenant/page/app.js"), "{page:?}");
    assert_eq!(host.get("/tenant").body, page.body);
    assert_eq!(host.get("/").status, 404);
    assert_eq!(host.get("/.well-known/oauth-authorization-server/tenant").status, 200);
    assert_eq!(host.get("/tenant/oauth2/jwks").json()["keys"][0]["kid"], "2026-11");

    let refused = log_in(&host, "ada@example.com", "").json();
    assert_eq!(refused["error_description"], "User not found");
    let signed_up = |reply: support::Reply| userinfo(&host, &reply.json()).json()["sub"].as_str().unwrap().to_owned();
    let first = signed_up(log_in(&host, "ada@example.com", r#","auto_signup":true"#));
    let again = signed_up(log_in(&host, "ada@example.com", r#","auto_signup":true"#));
    assert_eq!(first, again, "signing up twice gives one user");

    sql("UPDATE otp_grant_users SET claims = '{\"name\":\"Ada\",\"email\":\"ada@example.com\"}'");
    let tokens = log_in(&host, "ada@example.com", "").json();
    let claims = userinfo(&host, &tokens).json();
    assert_eq!((&claims["name"], &claims["email"]), (&"Ada".into(), &"ada@example.com".into()));
    // A test user logs in by a test identity alone.
    sql("UPDATE otp_grant_users SET is_test = TRUE");
    assert_eq!(log_in(&host, "ada@example.com", "").status, 400);
    sql("UPDATE otp_grant_users SET is_test = FALSE");
    assert_eq!(log_in(&host, "ada@example.com", "").status, 200);
    // Far in the future: every session began before.
    sql("UPDATE otp_grant_users SET tokens_valid_after = 32503680000000");
    assert_eq!(userinfo(&host, &tokens).status, 401);
    sql("UPDATE otp_grant_users SET tokens_valid_after = NULL, status = 'frozen'");
    let refused = log_in(&host, "ada@example.com", "").json();
    assert_eq!(refused["error_description"], "Abnormal user status");
}

/// A table that was made before users could be flagged.
fn lives_with_an_old_table(name: &str, url: &str, mut sql: impl FnMut(&str)) {
    // The first start makes the table.
    drop(Host::configured(&format!("{name}-new"), &config(url)));
    sql("DELETE FROM otp_grant_users");
    sql("ALTER TABLE otp_grant_users DROP COLUMN is_test");
    let host = Host::configured(name, &config(url));
    assert_eq!(log_in(&host, "ada@example.com", r#","auto_signup":true"#).status, 200);
    assert_eq!(log_in(&host, "ada@example.com", "").status, 200);
    drop(host);

    let folder = Folder::new(&format!("{name}-test"));
    let tested = folder.write("host.toml", &format!("{}{TEST_IDENTITY}", config(url)).replace("TODAY", &today()));
    let arguments = ["--config", tested.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let said = fails(&arguments);
    let (place, statement) = said.trim_end().rsplit_once(": ").unwrap();
    assert!(place.starts_with("users.table: otp_grant_users has no column is_test"), "{said}");
    // What the host says to run is what helps.
    sql(statement);
    sql("UPDATE otp_grant_users SET is_test = TRUE, email = 'review@example.com'");
    let host = Host::start(folder, &["--config", tested.to_str().unwrap()]);
    let common = r#""client_id":"app","auth_source_id":"mail","email":"review@example.com""#;
    let sent = host.post("/tenant/otp/send", JSON, &format!("{{{common}}}")).json();
    let token = sent["otp_token"].as_str().unwrap();
    let uri = "http://tencentciam.com/oauth2/grant-type/otp/email";
    let body = format!(r#"{{{common},"grant_type":"{uri}","otp_token":"{token}","otp":"24681012"}}"#);
    let reply = host.post("/tenant/oauth2/token", JSON, &body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(host.logged("test identity used") && !host.log().contains("review@"));
    assert!(!host.folder.file("outbox").exists() || std::fs::read(host.folder.file("outbox")).unwrap().is_empty());
}

#[test]
fn users_in_a_sqlite_table() {
    let folder = Folder::new("users-db");
    let file = folder.file("users.db");
    let url = format!("sqlite:{}", file.display());
    lives_with_a_table("users", &url, |statement| sqlite(&file, statement));
    lives_with_an_old_table("users-old", &url, |statement| sqlite(&file, statement));
}

/// The table of users is locked for longer than a request can take.
#[test]
fn an_outage_that_is_longer_than_a_request_costs_no_guess() {
    let folder = Folder::new("locked-db");
    let file = folder.file("users.db");
    let limited = format!("{}[limits]\nrequest_time = \"1s\"\n", config(&format!("sqlite:{}", file.display())));
    let host = Host::configured("locked", &limited);
    let signed_up = log_in(&host, "ada@example.com", r#","auto_signup":true"#);
    assert_eq!(signed_up.status, 200, "{signed_up:?}");
    let common = r#""client_id":"app","auth_source_id":"mail","email":"ada@example.com""#;
    let sent = host.post("/tenant/otp/send", JSON, &format!("{{{common}}}")).json();
    let (token, code) = (sent["otp_token"].as_str().unwrap(), host.last_code());
    let uri = "http://tencentciam.com/oauth2/grant-type/otp/email";
    let grant = format!(r#"{{{common},"grant_type":"{uri}","otp_token":"{token}","otp":"{code}"}}"#);

    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); \
                  db.execute('BEGIN EXCLUSIVE'); print(flush=True); sys.stdin.read()";
    let mut locker = Command::new("python3")
        .args(["-c", script, file.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    locker.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // A code has five guesses.
    for _ in 0..7 {
        let reply = host.post("/tenant/oauth2/token", JSON, &grant);
        assert_eq!(reply.status, 503, "{reply:?}");
    }
    drop(locker.stdin.take());
    assert!(locker.wait().unwrap().success());
    // It may take a moment until those who waited for the lock have left.
    let begun = Instant::now();
    while host.get("/readyz").status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", host.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let reply = host.post("/tenant/oauth2/token", JSON, &grant);
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn a_host_without_its_tables_is_not_well() {
    let folder = Folder::new("unwell-db");
    let (records, users) = (folder.file("records.db"), folder.file("users.db"));
    let file = format!("store = \"sqlite:{}\"\n{}", records.display(), config(&format!("sqlite:{}", users.display())));
    let host = Host::configured("unwell", &file);
    assert_eq!(host.get("/healthz").status, 200);
    sqlite(&users, "ALTER TABLE otp_grant_users RENAME TO elsewhere");
    assert_eq!(host.get("/healthz").status, 503);
    sqlite(&users, "ALTER TABLE elsewhere RENAME TO otp_grant_users");
    assert_eq!(host.get("/healthz").status, 200);
    sqlite(&records, "DROP TABLE otp_grant_records");
    assert_eq!(host.get("/healthz").status, 503);
    let common = r#"{"client_id":"app","auth_source_id":"mail","email":"ada@example.com"}"#;
    assert_eq!(host.post("/tenant/otp/send", JSON, common).status, 503);
    assert!(host.logged("store failed") && !host.log().contains("ada@example.com"));
}

fn sqlite(file: &std::path::Path, statement: &str) {
    let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute(sys.argv[2]); db.commit()";
    let done = Command::new("python3").args(["-c", script, file.to_str().unwrap(), statement]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_a_database_can_forget_is_a_warning_of_one_line() {
    let server = Postgres::start();
    let folder = Folder::new("forgetful");
    let text = format!("store = \"{}\"\n{}", server.url(), config(&server.url()).replace(SAME_KEYS, OTHER_KEYS));
    let file = folder.write("host.toml", &text);
    let host = Host::start(Folder::new("forgetful-host"), &["--config", file.to_str().unwrap()]);
    assert!(host.logged("listening"), "{}", host.log());
    let log = host.log();
    for place in ["store", "users.table"] {
        for setting in ["synchronous_commit", "fsync", "full_page_writes"] {
            let warning = format!("{place}: PostgreSQL has {setting} off: ");
            let lines = log.lines().filter(|line| line.contains(&warning) && line.contains(" WARN "));
            assert_eq!(lines.count(), 1, "{warning} {log}");
        }
    }
}

#[test]
fn users_in_a_postgres_table() {
    let postgres = Postgres::start();
    let url = postgres.url();
    let sql = |statement: &str| {
        let done = Command::new("psql").args([&url, "-c", statement]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    lives_with_a_table("users-postgres", &url, sql);
    lives_with_an_old_table("users-postgres-old", &url, sql);
}
