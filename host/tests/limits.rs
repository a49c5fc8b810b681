//! What a caller can't do to a host: too much, too slowly, too many; and what a stop does to a request in flight.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    // As much as is allowed reaches the authorization server.
    let reply = host.post("/oauth2/token", JSON, &" ".repeat(16 * 1024));
    assert_eq!(reply.status, 400);
    for length in [16 * 1024 + 1, 20_000, 200_000] {
        let reply = host.post("/oauth2/token", JSON, &" ".repeat(length));
        assert_eq!(reply.status, 413, "{length}");
        assert_eq!(reply.json()["error"], "invalid_request");
        assert!(reply.head.contains("cache-control: no-store") && reply.head.contains("application/json"), "{reply:?}");
    }
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000)).repeat(3);
    let head = "POST /otp/send HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(host.ask(&format!("{head}{chunk}0\r\n\r\n")).status, 413);
    // Who asks first is not told to go on.
    let head = "POST /otp/send HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20000\r\n\r\n";
    assert_eq!(host.ask(head).status, 413);
    // Much more is not even read. The answer can be lost with the connection.
    let reply = host.post("/oauth2/token", JSON, &" ".repeat(20_000_000));
    assert!([0, 413].contains(&reply.status), "{reply:?}");
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
    assert_eq!(host.get("/oauth2/jwks").status, 200);
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(host.logged("all connections are taken"), "{}", host.log());
    drop(taken);
}

#[test]
fn health_is_answered_at_the_limit_of_connections() {
    let limits = "delivery = { outbox = \"outbox\" }\nlimits = { connections = 20, header_time = \"15s\" }";
    let host = Host::configured("full", &config(limits));
    // Many more than there is room for, most of which ask for nothing, and some for something else.
    let taken: Vec<_> = (0..200).map(|_| host.connect()).collect();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = host.connect();
            stream.write_all(b"GET /oauth2/jwks HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for path in ["/healthz", "/readyz", "/livez"].into_iter().cycle().take(51) {
        let began = Instant::now();
        let reply = host.get(path);
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    // One check a connection, whatever else it would like.
    let two = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /oauth2/jwks HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut bytes = String::new();
    let mut stream = host.connect();
    stream.write_all(two.as_bytes()).unwrap();
    stream.read_to_string(&mut bytes).unwrap();
    assert_eq!(bytes.matches("HTTP/1.1 ").count(), 1, "{bytes}");
    assert_eq!(host.log().matches("all connections are taken").count(), 1, "it is not said of each");
    // The others get their turn.
    drop(taken);
    for mut stream in waiting {
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
}

#[test]
fn too_many_that_wait_are_sent_away() {
    let limits = "delivery = { outbox = \"outbox\" }\nlimits = { connections = 1, header_time = \"15s\" }";
    let host = Host::configured("crowd", &config(limits));
    let taken = host.connect();
    std::thread::sleep(Duration::from_millis(100));
    let waiting: Vec<_> = (0..150)
        .map(|_| {
            let mut stream = host.connect();
            stream.write_all(b"GET /oauth2/jwks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    drop(taken);
    let statuses: Vec<_> = waiting.into_iter().map(|stream| Reply::read(stream).status).collect();
    let of = |status| statuses.iter().filter(|other| **other == status).count();
    assert!(of(200) >= 100 && of(503) > 0 && of(200) + of(503) + of(0) == 150, "{statuses:?}");
}

#[test]
fn a_request_names_one_host() {
    let host = Host::configured("host", &config("delivery = { outbox = \"outbox\" }"));
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: a", 200),
        ("GET /healthz HTTP/1.1\r\nhost: a.example:8080", 200),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:8080", 200),
        ("GET /healthz HTTP/1.1\r\nHost:", 200),
        ("GET /healthz HTTP/1.0", 200),
        ("GET /healthz HTTP/1.1", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a b", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a@b", 400),
        ("GET /oauth2/jwks HTTP/1.1", 400),
        ("GET /nowhere HTTP/1.1", 400),
    ] {
        assert_eq!(host.ask(&format!("{head}\r\nConnection: close\r\n\r\n")).status, status, "{head}");
    }
}

/// A process whose standard output or standard error is a pipe that is not read.
fn with_a_full_pipe(name: &str, which: &str, more: &str) -> (std::process::Child, String, support::Folder) {
    let folder = support::Folder::new(name);
    folder.write("outbox", "");
    let file = folder.write("host.toml", &config(more));
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap().to_string();
    drop(probe);
    let mut command = support::command(&["--config", file.to_str().unwrap(), "--listen", &address]);
    let log = std::fs::File::create(folder.file("log")).unwrap();
    match which {
        "out" => command.stdout(Stdio::piped()).stderr(log),
        _ => command.stdout(Stdio::null()).stderr(Stdio::piped()),
    };
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, address, folder)
}

/// Asks for it to stop, and waits until it has.
fn stops(child: &mut std::process::Child) -> Option<i32> {
    support::signal(child.id(), "TERM");
    let began = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status.code(),
            None if began.elapsed() > Duration::from_secs(10) => {
                child.kill().unwrap();
                panic!("it does not stop");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn a_log_that_is_not_read_stops_nothing() {
    let (mut child, address, _folder) = with_a_full_pipe("unread-log", "log", "delivery = { outbox = \"outbox\" }");
    // Some 300 requests fill a pipe, and 8192 lines the queue.
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let requests = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    for _ in 0..100 {
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = 0;
        let mut buffer = [0; 65536];
        let mut text = String::new();
        while answers < 100 {
            let read = stream.read(&mut buffer).expect("the host is frozen");
            assert!(read > 0);
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            answers = text.matches("HTTP/1.1 404").count();
        }
    }
    // The log says what is missing once it is read.
    let mut stderr = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(stops(&mut child), Some(0));
    let text = reading.join().unwrap();
    assert!(text.contains("lines of the log were dropped"), "{} bytes", text.len());
    assert!(text.contains("stopped"), "what is logged at the end is written");
}

#[test]
fn a_log_that_is_not_read_does_not_keep_a_stop_waiting() {
    let (mut child, address, _folder) = with_a_full_pipe("unread-stop", "log", "delivery = { outbox = \"outbox\" }");
    for _ in 0..12 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let requests = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
        stream.write_all(requests.as_bytes()).unwrap();
        stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        Reply::read(stream);
    }
    assert_eq!(stops(&mut child), Some(0));
}

#[test]
fn a_console_that_is_not_read_costs_messages_alone() {
    let more = "delivery = { console = true }\ndanger.without_send_quotas = true";
    let (mut child, address, folder) = with_a_full_pipe("unread-console", "out", more);
    let began = Instant::now();
    let mut refused = 0;
    for _ in 0..2000 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(post("/otp/send", JSON, SEND).as_bytes()).unwrap();
        let reply = Reply::read(stream);
        match reply.status {
            200 => {}
            503 => refused += 1,
            other => panic!("{other} {reply:?}"),
        }
        if refused == 2 {
            break;
        }
    }
    assert_eq!(refused, 2, "{:?}", began.elapsed());
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Reply::read(stream).status, 200);
    assert_eq!(stops(&mut child), Some(0));
    let log = std::fs::read_to_string(folder.file("log")).unwrap();
    assert!(log.contains("the standard output is not read") && !log.contains("13612345678"), "{log}");
}

fn descriptors_of(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

#[test]
fn connections_leave_descriptors_for_the_host_itself() {
    // The soft limit is raised.
    let text = config("delivery = { outbox = \"outbox\" }\nlimits = { connections = 300 }");
    let host = Host::with_descriptors("raised", &text, "ulimit -S -n 64");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.id())).unwrap();
    let soft: usize = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap();
    assert!(soft > 400 && !host.log().contains("limits.connections: "), "{soft} {}", host.log());
    // Where it does not suffice, there are fewer connections, and a webhook has its own.
    let (webhook, url) = Webhook::new();
    let text = config(&format!("delivery.webhook = {{ url = \"{url}\" }}\nlimits = {{ header_time = \"30s\" }}"));
    let host = Host::with_descriptors("few", &text, "ulimit -n 512");
    assert!(host.logged("limits.connections: "), "{}", host.log());
    let mut idle: Vec<_> = (0..700).filter_map(|_| TcpStream::connect(host.address).ok()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let taken = descriptors_of(host.id());
    assert!((150..480).contains(&taken), "{taken}");
    let mut waiting = host.connect();
    waiting.write_all(post("/otp/send", JSON, SEND).as_bytes()).unwrap();
    // The first ones have a connection each, and give it back.
    idle.drain(..200);
    let request = webhook.answer("200 OK", Duration::ZERO);
    assert!(request.contains("code"));
    assert_eq!(Reply::read(waiting).status, 200);
    assert!(!host.log().contains("no connection can be accepted"), "{}", host.log());
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
         danger.without_send_quotas = true\n{more}"
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
    assert!((178..=180).contains(&body["valid_for"].as_u64().unwrap()));
    for (status, expected, error) in [
        ("500 No", 503, "temporarily_unavailable"),
        ("302 Found\r\nLocation: http://127.0.0.1:1", 503, "temporarily_unavailable"),
        ("429 No", 400, "insufficient_sms_quota"),
        ("422 No", 400, "invalid_phone_number"),
    ] {
        let (reply, _) = send(status, Duration::ZERO);
        assert_eq!((reply.status, &reply.json()["error"]), (expected, &error.into()), "{status}");
    }
    // Too slow is not delivered.
    let (reply, _) = send("200 OK", Duration::from_secs(3));
    assert_eq!(reply.status, 503);
    drop(webhook);
    assert_eq!(host.post("/otp/send", JSON, SEND).status, 503);
    assert!(host.logged("the webhook can't be reached"));
    let log = host.log();
    assert!(!log.contains("webhook-token"));
    assert!(!log.contains("/deliver") && !log.contains("13612345678"));
}

/// Answers each request with a body, and keeps connections open. Gives the number of connections that were made.
fn keeps_connections(listener: TcpListener, messages: usize, pause: Duration) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let connections = std::sync::Arc::new(AtomicUsize::new(0));
        let answered = std::sync::Arc::new(AtomicUsize::new(0));
        listener.set_nonblocking(true).unwrap();
        let began = Instant::now();
        while answered.load(Ordering::SeqCst) < messages && began.elapsed() < Duration::from_secs(30) {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            connections.fetch_add(1, Ordering::SeqCst);
            let answered = std::sync::Arc::clone(&answered);
            std::thread::spawn(move || {
                stream.set_nonblocking(false).unwrap();
                let mut buffer = [0; 4096];
                let mut request = Vec::new();
                while let Ok(read) = stream.read(&mut buffer) {
                    if read == 0 {
                        break;
                    }
                    request.extend_from_slice(&buffer[..read]);
                    if request.ends_with(b"}") {
                        request.clear();
                        std::thread::sleep(pause);
                        let body = "{\"queued\":true,\"id\":\"4711\"}";
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                        // A body that comes later than its head.
                        stream.write_all(head.as_bytes()).unwrap();
                        std::thread::sleep(Duration::from_millis(1));
                        stream.write_all(body.as_bytes()).unwrap();
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        connections.load(Ordering::SeqCst)
    })
}

#[test]
fn a_webhook_is_asked_over_few_connections() {
    // One after another.
    let (host, webhook) = with_webhook("pool", "");
    let counting = keeps_connections(webhook.0, 50, Duration::ZERO);
    for _ in 0..50 {
        assert_eq!(host.post("/otp/send", JSON, SEND).status, 200);
        std::thread::sleep(Duration::from_millis(5));
    }
    let connections = counting.join().unwrap();
    assert!(connections <= 10, "{connections}");
    // Many at once: as many as are allowed, and the others wait.
    let (listener, url) = Webhook::new();
    let text = format!("delivery.webhook = {{ url = \"{url}\", connections = 4 }}\ndanger.without_send_quotas = true");
    let host = Host::configured("pool-many", &config(&text));
    let counting = keeps_connections(listener.0, 50, Duration::from_millis(20));
    std::thread::scope(|scope| {
        for number in 0..50 {
            let host = &host;
            scope.spawn(move || {
                let send = SEND.replace("12345678", &format!("123456{number:02}"));
                assert_eq!(host.post("/otp/send", JSON, &send).status, 200);
            });
        }
    });
    let connections = counting.join().unwrap();
    assert!(connections <= 8, "{connections}");
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
