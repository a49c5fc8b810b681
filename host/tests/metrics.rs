//! What Prometheus reads: the counts of what was done, and no series that a caller can add.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use otp_grant_stores_support::postgres::Postgres;
use support::{FORM, Host, JSON, Reply, post, root};

const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
/// A key for tests alone: its seed is zeros.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A host whose metrics are served.
fn host(name: &str, more: &str) -> Host {
    let text = format!(
        r#"
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{KEY}", sealing = "{KEY}" }}
signing = {{ active = "{ED25519}" }}
auth_sources.sms = {{ channel = "sms" }}
clients.app = {{ public = true, may_send = true, auth_sources = ["sms"] }}
metrics.listen = "127.0.0.1:0"
{more}
"#
    );
    Host::configured(name, &text)
}

fn metrics_address(host: &Host) -> Option<SocketAddr> {
    let out = host.out();
    let line = out.lines().find_map(|line| line.strip_prefix("metrics on http://")?.strip_suffix("/metrics"));
    line.map(|address| address.parse().unwrap())
}

fn ask_metrics(host: &Host, request: &str) -> Reply {
    let mut stream = TcpStream::connect(metrics_address(host).unwrap()).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    Reply::read(stream)
}

/// Every series with its value.
fn scrape(host: &Host) -> BTreeMap<String, f64> {
    let reply = ask_metrics(host, "GET /metrics");
    assert_eq!(reply.status, 200);
    let lines = reply.body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Waits until a series has a value.
fn eventually(host: &Host, series: &str, value: f64) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if scrape(host)[series] == value {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

const OUTBOX: &str = "delivery = { outbox = \"outbox\" }";
const SEND: &str = r#"{"client_id":"app","auth_source_id":"sms","phone_number":"+8613612345678"}"#;

fn code_grant(otp_token: &str, code: &str) -> String {
    format!(
        r#"{{"grant_type":"http://tencentciam.com/oauth2/grant-type/otp/sms","client_id":"app","auth_source_id":"sms",
        "phone_number":"+8613612345678","otp_token":"{otp_token}","otp":"{code}","auto_signup":true}}"#
    )
}

fn refresh(host: &Host, token: &str) -> Reply {
    host.post("/oauth2/token", FORM, &format!("grant_type=refresh_token&client_id=app&refresh_token={token}"))
}

fn text(reply: &Reply, member: &str) -> String {
    reply.json()[member].as_str().unwrap().to_owned()
}

#[test]
fn what_was_done_is_counted() {
    let host = host("counted", OUTBOX);
    let otp_token = text(&host.post("/otp/send", JSON, SEND), "otp_token");
    assert_eq!(host.post("/otp/send", JSON, SEND).json()["error"], "sms_rate_limit_exceeded");
    let code = host.last_code();
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(host.post("/oauth2/token", JSON, &code_grant(&otp_token, wrong)).status, 400);
    let login = host.post("/oauth2/token", JSON, &code_grant(&otp_token, &code));
    assert_eq!(host.post("/oauth2/token", JSON, &code_grant("x", &code)).status, 400, "it costs no store operation");
    let first = text(&login, "refresh_token");
    let second = text(&refresh(&host, &first), "refresh_token");
    assert_eq!(refresh(&host, &second).status, 200);
    assert_eq!(refresh(&host, &first).status, 400, "it is reused");
    let other = host.post("/oauth2/token", FORM, "grant_type=refresh_token&client_id=other&refresh_token=x");
    assert_eq!(other.status, 401);
    assert_eq!(host.get("/nowhere").status, 404);
    assert_eq!(host.get("/healthz").status, 200);
    assert_eq!(host.get("/oauth2/jwks").status, 200);

    let counted = scrape(&host);
    for (series, value) in [
        ("sends_total{usage=\"login\"}", 1.0),
        ("sends_total{usage=\"signup\"}", 0.0),
        ("deliveries_total{channel=\"sms\",outcome=\"accepted\"}", 1.0),
        ("deliveries_total{channel=\"email\",outcome=\"accepted\"}", 0.0),
        ("throttles_total", 1.0),
        ("wrong_codes_total", 1.0),
        ("logins_total", 1.0),
        ("sign_ups_total", 1.0),
        ("refreshes_total", 2.0),
        ("refresh_token_reuses_total", 1.0),
        ("client_authentication_failures_total", 1.0),
        ("lockouts_total", 0.0),
        ("http_requests_total{endpoint=\"otp_send\",status=\"200\"}", 1.0),
        ("http_requests_total{endpoint=\"otp_send\",status=\"400\"}", 1.0),
        ("http_requests_total{endpoint=\"token\",status=\"200\"}", 3.0),
        ("http_requests_total{endpoint=\"token\",status=\"400\"}", 3.0),
        ("http_requests_total{endpoint=\"token\",status=\"401\"}", 1.0),
        ("http_requests_total{endpoint=\"none\",status=\"404\"}", 1.0),
        ("http_requests_total{endpoint=\"health\",status=\"200\"}", 1.0),
        ("http_requests_total{endpoint=\"jwks\",status=\"200\"}", 1.0),
        ("http_request_duration_seconds_count{endpoint=\"token\"}", 7.0),
        ("store_operations_total{operation=\"swap\",outcome=\"conflict\"}", 0.0),
        ("store_operations_total{operation=\"load\",outcome=\"error\"}", 0.0),
        ("store_operations_total{operation=\"swap\",outcome=\"abandoned\"}", 0.0),
        ("failures_total{part=\"store\"}", 0.0),
        ("connections_limit", 4096.0),
    ] {
        assert_eq!(counted.get(&format!("otp_grant_{series}")), Some(&value), "{series}");
    }
    let of =
        |prefix: &str| counted.iter().filter(|(series, _)| series.starts_with(prefix)).map(|(_, value)| value).sum();
    let (loads, swaps): (f64, f64) = (
        of("otp_grant_store_operations_total{operation=\"load\""),
        of("otp_grant_store_operations_total{operation=\"swap\""),
    );
    assert!(loads >= 7.0 && swaps >= 7.0, "{loads} {swaps}");
    assert_eq!(loads, counted["otp_grant_store_operation_duration_seconds_count{operation=\"load\"}"]);
    assert!(eventually(&host, "otp_grant_connections_open", 0.0));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 120.0..=now).contains(&counted["process_start_time_seconds"]));
    assert_eq!(counted[&format!("otp_grant_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[test]
fn what_callers_type_makes_no_series() {
    let host = host("series", OUTBOX);
    let names = |host: &Host| scrape(host).into_keys().collect::<BTreeSet<_>>();
    let before = names(&host);
    for number in 0..200 {
        host.ask(&format!(
            "M{number} /path{number}?q={number} HTTP/1.1\r\nHost: h{number}\r\nConnection: close\r\n\r\n"
        ));
        host.post("/oauth2/token", JSON, &format!(r#"{{"grant_type":"g{number}","client_id":"c{number}"}}"#));
    }
    let after = names(&host);
    assert_eq!(before, after);
    assert!(after.len() < 600, "{}", after.len());
    assert_eq!(scrape(&host)["otp_grant_http_requests_total{endpoint=\"none\",status=\"404\"}"], 200.0);
}

#[test]
fn the_listener_of_metrics_has_one_path_and_is_off_by_default() {
    let host = host("listener", OUTBOX);
    let reply = ask_metrics(&host, "GET /metrics?a=b");
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("content-type: text/plain; version=0.0.4"), "{}", reply.head);
    for (request, status) in [
        ("GET /", 404),
        ("GET /healthz", 404),
        ("GET /oauth2/jwks", 404),
        ("GET /metrics/", 404),
        ("POST /metrics", 405),
        ("HEAD /metrics", 200),
    ] {
        assert_eq!(ask_metrics(&host, request).status, status, "{request}");
    }
    assert_eq!(host.get("/metrics").status, 404);
    assert_eq!(metrics_address(&Host::demo("no-metrics", &[])), None);
}

#[test]
fn connections_that_wait_and_that_are_refused_are_counted() {
    let host = host("connections", &format!("{OUTBOX}\nlimits = {{ connections = 1, header_time = \"15s\" }}"));
    let taken = host.connect();
    assert!(eventually(&host, "otp_grant_connections_open", 1.0));
    let waiting: Vec<_> = (0..150)
        .map(|_| {
            let mut stream = host.connect();
            stream.write_all(b"GET /oauth2/jwks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            stream
        })
        .collect();
    assert!(eventually(&host, "otp_grant_connections_waiting", 128.0));
    drop(taken);
    let refused = waiting.into_iter().filter(|stream| Reply::read(stream.try_clone().unwrap()).status != 200).count();
    let counted = scrape(&host);
    assert_eq!(counted["otp_grant_connections_refused_total"], f64::from(u32::try_from(refused).unwrap()));
    assert!(refused > 0 && eventually(&host, "otp_grant_connections_waiting", 0.0));
}

#[test]
fn what_becomes_of_queued_messages_is_counted() {
    // A provider that takes a message and says nothing.
    let provider = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", provider.local_addr().unwrap());
    let more = format!(
        "danger.without_send_quotas = true\ndelivery.queue.length = 1\n\
         delivery.sms.http = {{ url = \"{url}\", timeout = \"500ms\", json = '{{\"text\":\"{{text}}\"}}' }}"
    );
    let host = host("queue", &more);
    assert_eq!(host.post("/otp/send", JSON, SEND).status, 200);
    assert_eq!(host.post("/otp/send", JSON, SEND).status, 503);
    let of = |outcome: &str| format!("otp_grant_deliveries_total{{channel=\"sms\",outcome=\"{outcome}\"}}");
    let counted = scrape(&host);
    assert_eq!(counted[&of("queue_full")], 1.0);
    assert_eq!(counted["otp_grant_undelivered_sends_total{reason=\"undeliverable\"}"], 1.0);
    assert_eq!(counted["otp_grant_message_queue_length{channel=\"sms\"}"], 1.0);
    assert!(eventually(&host, &of("failed"), 1.0));
    assert!(eventually(&host, "otp_grant_message_queue_length{channel=\"sms\"}", 0.0));
}

/// The names of metrics in a text, without what Prometheus adds to those of histograms.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    words
        .filter(|word| word.starts_with("otp_grant_") || *word == "process_start_time_seconds")
        .map(|word| {
            let of_histograms = ["_bucket", "_count", "_sum"];
            of_histograms.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

/// Prometheus itself reads the text, and finds nothing to criticise.
fn check_metrics(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_reload_that_was_refused_shows_until_one_is_done() {
    let host = host("reload", OUTBOX);
    let file = host.folder.file("host.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let series = "otp_grant_config_last_reload_successful";
    assert_eq!(scrape(&host)[series], 1.0, "before any reload");
    for bad in [format!("{good}nonsense = 1\n"), good.replace("127.0.0.1:8080", "127.0.0.1:8081")] {
        host.folder.write("host.toml", &bad);
        host.signal("HUP");
        assert!(eventually(&host, series, 0.0), "{}", host.log());
        host.folder.write("host.toml", &good);
        host.signal("HUP");
        assert!(eventually(&host, series, 1.0), "{}", host.log());
    }
}

/// A host with everything that is measured: PostgreSQL, and a queue whose provider is not there.
#[test]
fn the_document_has_every_metric_and_the_alerts_have_no_other() {
    let server = Postgres::start();
    let url = server.url();
    let more = format!(
        "store = \"{url}\"\nusers.table = \"{url}\"\n\
         delivery.sms.http = {{ url = \"http://127.0.0.1:9/\", json = '{{\"to\":\"{{address}}\",\"text\":\"{{text}}\"}}' }}"
    );
    let host = host("document", &more);
    assert_eq!(host.post("/otp/send", JSON, SEND).status, 200);
    let counted = scrape(&host);
    assert_eq!(counted["otp_grant_message_queue_length{channel=\"sms\"}"], 1.0);
    assert_eq!(counted["otp_grant_message_queue_capacity{channel=\"sms\"}"], 1000.0);
    for pool in ["store", "users"] {
        let of = |state: &str| counted[&format!("otp_grant_pool_connections{{pool=\"{pool}\",state=\"{state}\"}}")];
        assert!(of("idle") + of("in_use") >= 1.0, "{pool}");
        assert_eq!(counted[&format!("otp_grant_pool_waiting{{pool=\"{pool}\"}}")], 0.0);
    }
    let metrics = ask_metrics(&host, "GET /metrics").body;
    check_metrics(&metrics);
    let described: String = metrics.lines().filter(|line| line.starts_with("# TYPE ")).collect::<Vec<_>>().join("\n");
    let (present, read) = (names(&described), |path: &str| std::fs::read_to_string(root().join(path)).unwrap());
    assert_eq!(present, names(&read("host/docs/metrics.md")), "host/docs/metrics.md");
    let alerts = read("host/operations/alerts.yml");
    let unknown: Vec<_> = names(&alerts).difference(&present).cloned().collect();
    assert!(unknown.is_empty(), "alerts.yml: {unknown:?}");
    // Each alert leads to a section of the document.
    let document = read("host/docs/metrics.md");
    let sections: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let linked: Vec<&str> =
        alerts.lines().filter_map(|line| line.split_once("metrics.md#").map(|(_, to)| to)).collect();
    assert_eq!(linked.len(), alerts.matches("- alert: ").count());
    let dead: Vec<_> = linked.iter().filter(|to| !sections.contains(to.trim_end_matches('"'))).collect();
    assert!(dead.is_empty(), "{dead:?}");
    // A store that is gone.
    drop(server);
    assert_eq!(host.post("/otp/send", JSON, &SEND.replace("5678", "5679")).status, 503);
    let counted = scrape(&host);
    assert!(counted["otp_grant_failures_total{part=\"store\"}"] >= 1.0);
    assert!(counted["otp_grant_store_operations_total{operation=\"load\",outcome=\"error\"}"] >= 1.0);
}

#[test]
fn a_request_whose_client_went_away_leaves_nothing_open() {
    let host = host("gone", OUTBOX);
    let mut stream = host.connect();
    let request = post("/otp/send", JSON, SEND);
    stream.write_all(&request.as_bytes()[..request.len() - 1]).unwrap();
    drop(stream);
    assert!(eventually(&host, "otp_grant_connections_open", 0.0));
}
