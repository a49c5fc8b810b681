//! What a caller can't do to a host: too much, too slowly, too many; and what a stop does to a request in flight.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Host, JSON, Reply, post};

/// A host with one public client, and with tables of its own.
fn config(more: &str) -> String {
    format!(
        r#"
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{KEY}", sealing = "{KEY}" }}
signing = {{ active = "{ED25519}" }}
auth_sources.sms = {{ channel = "sms" }}
clients.app = {{ public = true, may_send = true, auth_sources = ["sms"] }}
{more}
"#
    )
}

const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
/// A key for tests alone: its seed is zeros.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SEND: &str = r#"{"client_id":"app","auth_source_id":"sms","phone_number":"+8613612345678"}"#;

#[test]
fn too_much_is_refused() {
    let host = Host::configured("much", &config("delivery = { outbox = \"outbox\" }"));
    let reply = host.post("/oauth2/token", JSON, &" ".repeat(20_000));
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"], "invalid_request");
    // Much more is not even read. The answer can be lost with the connection.
    let reply = host.post("/oauth2/token", JSON, &" ".repeat(20_000_000));
    assert!([0, 400].contains(&reply.status), "{reply:?}");
    let reply = host.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(200_000)));
    assert!([0, 431].contains(&reply.status), "{reply:?}");
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn too_slow_is_ended() {
    let limits = "delivery = { outbox = \"outbox\" }\nlimits = { header_time = \"300ms\", body_time = \"300ms\" }";
    let host = Host::configured("slow", &config(limits));
    let began = Instant::now();
    let mut headers = host.connect();
    headers.write_all(b"GET /healthz HTTP/1.1\r\nHost:").unwrap();
    let reply = Reply::read(headers);
    assert!([0, 408].contains(&reply.status), "{reply:?}");
    let mut body = host.connect();
    body.write_all(b"POST /otp/send HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{").unwrap();
    assert_eq!(Reply::read(body).status, 408);
    // So is a connection that nobody uses.
    let mut idle = host.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(Reply::read(idle).status, 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let limits = "delivery = { outbox = \"outbox\" }\nlimits = { connections = 1, request_time = \"500ms\" }";
    let host = Host::configured("unread", &config(limits));
    let mut unread = host.connect();
    unread.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let requests = "GET /oauth2/jwks HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    // Until no more fits into what lies between, or the host has hung up.
    while unread.write_all(requests.as_bytes()).is_ok() {}
    let began = Instant::now();
    assert_eq!(host.get("/healthz").status, 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(unread);
}

#[test]
fn who_comes_when_all_connections_are_taken_waits() {
    let limits = "delivery = { outbox = \"outbox\" }\nlimits = { connections = 2, header_time = \"1s\" }";
    let host = Host::configured("many", &config(limits));
    let taken = [host.connect(), host.connect()];
    std::thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    assert_eq!(host.get("/healthz").status, 200);
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    drop(taken);
}

/// A service that is asked to deliver one code, and answers when it is told to.
struct Webhook(TcpListener);

impl Webhook {
    fn new() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/deliver", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    /// The next connection. A host that asks somebody else must not keep the test waiting.
    fn accept(&self) -> TcpStream {
        self.0.set_nonblocking(true).unwrap();
        let began = Instant::now();
        loop {
            match self.0.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return stream;
                }
                Err(error) => assert!(began.elapsed() < Duration::from_secs(10), "nobody asks: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Reads one request, answers after a time, and gives the request.
    fn answer(&self, status: &str, after: Duration) -> String {
        let mut stream = self.accept();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"}") {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0);
            request.extend(buffer.iter().take(read));
        }
        std::thread::sleep(after);
        let _ =
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
        String::from_utf8(request).unwrap()
    }
}

fn with_webhook(name: &str, more: &str) -> (Host, Webhook) {
    let (webhook, url) = Webhook::new();
    let text = format!(
        "delivery.webhook = {{ url = \"{url}\", token = \"webhook-token\", timeout = \"2s\" }}\n\
         quotas.sends = [{{ count = 100, per = \"1s\" }}]\n{more}"
    );
    (Host::configured(name, &config(&text)), webhook)
}

#[test]
fn a_webhook_delivers() {
    let (host, webhook) = with_webhook("webhook", "");
    let send = |status: &str, after: Duration| {
        std::thread::scope(|scope| {
            let reply = scope.spawn(|| host.post("/otp/send", JSON, SEND));
            let request = webhook.answer(status, after);
            (reply.join().unwrap(), request)
        })
    };
    let (reply, request) = send("202 Accepted", Duration::ZERO);
    assert_eq!(reply.status, 200);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /deliver ") && head.contains("authorization: Bearer webhook-token"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["to"], "+8613612345678");
    assert_eq!((&body["channel"], &body["usage"]), (&"sms".into(), &"login".into()));
    assert_eq!(body["code"].as_str().unwrap().len(), 6);
    assert!((58..=60).contains(&body["valid_for"].as_u64().unwrap()));
    for (status, expected, error) in [
        ("500 No", 503, "temporarily_unavailable"),
        ("302 Found\r\nLocation: http://127.0.0.1:1", 503, "temporarily_unavailable"),
        ("429 No", 400, "insufficient_sms_quota"),
    ] {
        let (reply, _) = send(status, Duration::ZERO);
        assert_eq!((reply.status, &reply.json()["error"]), (expected, &error.into()), "{status}");
    }
    // Too slow is not delivered.
    let (reply, _) = send("200 OK", Duration::from_secs(3));
    assert_eq!(reply.status, 503);
    drop(webhook);
    assert_eq!(host.post("/otp/send", JSON, SEND).status, 503);
    let log = host.log();
    assert!(log.contains("the webhook can't be reached") && !log.contains("webhook-token"));
    assert!(!log.contains("/deliver") && !log.contains("13612345678"));
}

#[test]
fn a_stop_finishes_what_has_begun() {
    let (mut host, webhook) = with_webhook("stop", "");
    let mut waiting = host.connect();
    waiting.write_all(post("/otp/send", JSON, SEND).as_bytes()).unwrap();
    let stopping = std::thread::scope(|scope| {
        let answering = scope.spawn(|| webhook.answer("200 OK", Duration::from_millis(700)));
        std::thread::sleep(Duration::from_millis(200));
        host.terminate();
        std::thread::sleep(Duration::from_millis(200));
        // Nobody else gets in.
        assert!(std::net::TcpStream::connect(host.address).is_err());
        answering.join().unwrap();
        Reply::read(waiting)
    });
    assert_eq!(stopping.status, 200, "{stopping:?}");
    assert_eq!(host.wait(), Some(0));
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let (mut host, webhook) = with_webhook("bounded", "limits = { shutdown_time = \"300ms\" }");
    let mut waiting = host.connect();
    waiting.write_all(post("/otp/send", JSON, SEND).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    host.terminate();
    let began = Instant::now();
    assert_eq!(host.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(webhook);
}

#[test]
fn an_answer_that_takes_too_long_is_not_waited_for() {
    let (host, webhook) = with_webhook("patience", "limits = { request_time = \"300ms\" }");
    let reply = host.post("/otp/send", JSON, SEND);
    assert_eq!((reply.status, &reply.json()["error"]), (503, &"temporarily_unavailable".into()));
    drop(webhook);
}
