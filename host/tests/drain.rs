//! How a host ends without losing a request, and what it tells balancers and the service manager.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Folder, Host, Reply, command};

fn config(more: &str) -> String {
    format!(
        r#"
issuer = "http://127.0.0.1:8080"
keys = {{ index = "{KEY}", sealing = "{KEY}" }}
signing = {{ active = "{ED25519}" }}
auth_sources.sms = {{ channel = "sms" }}
clients.app = {{ public = true, may_send = true, auth_sources = ["sms"] }}
delivery = {{ outbox = "outbox" }}
{more}
"#
    )
}

const KEY: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCE=";
/// A key for tests alone: its seed is zeros.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const ASK: &[u8] = b"GET /oauth2/jwks HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection that has had one answer, and is idle.
fn idle(host: &Host) -> TcpStream {
    let mut stream = host.connect();
    stream.write_all(ASK).unwrap();
    let mut some = [0; 4096];
    let read = stream.read(&mut some).unwrap();
    let reply = String::from_utf8_lossy(&some[..read]).to_ascii_lowercase();
    assert!(reply.starts_with("http/1.1 200") && !reply.contains("connection: close"), "{reply}");
    stream
}

#[test]
fn readiness_fails_first_while_requests_are_served() {
    let mut host = Host::configured("drain-ready", &config("limits = { drain_time = \"700ms\" }"));
    for path in ["/livez", "/readyz", "/healthz"] {
        let reply = host.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.head.contains("cache-control: no-store"), "{reply:?}");
    }
    let mut kept = idle(&host);
    host.terminate();
    assert!(host.logged("draining"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        for (path, status) in [("/readyz", 503), ("/healthz", 503), ("/livez", 200), ("/oauth2/jwks", 200)] {
            // The client does not ask for an end of the connection. The host says it.
            let reply = host.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(reply.status, status, "{path}");
            assert!(reply.head.contains("connection: close"), "{reply:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    kept.write_all(ASK).unwrap();
    let reply = Reply::read(kept);
    assert!(reply.status == 200 && reply.head.contains("connection: close"), "{reply:?}");
    assert_eq!(host.wait(), Some(0));
    assert!(TcpStream::connect(host.address).is_err());
}

#[test]
fn a_request_on_an_idle_connection_is_answered_after_the_listener_is_closed() {
    let mut host = Host::configured("drain-idle", &config(""));
    let (mut used, unused) = (idle(&host), idle(&host));
    host.terminate();
    assert!(host.logged("finishing the requests in flight"));
    assert!(TcpStream::connect(host.address).is_err());
    std::thread::sleep(Duration::from_millis(300));
    used.write_all(ASK).unwrap();
    let reply = Reply::read(used);
    assert!(reply.status == 200 && reply.head.contains("connection: close"), "{reply:?}");
    let began = Instant::now();
    assert_eq!(host.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(Reply::read(unused).status, 0);
}

#[test]
fn requests_that_wait_at_the_limit_of_connections_are_answered() {
    let mut host = Host::configured("drain-queue", &config("limits = { connections = 1 }"));
    // This one keeps the only connection until its body is whole.
    let mut slow = host.connect();
    slow.write_all(b"POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let waiting = [(); 3].map(|()| {
        let mut stream = host.connect();
        stream.write_all(ASK).unwrap();
        stream
    });
    std::thread::sleep(Duration::from_millis(200));
    host.terminate();
    assert!(host.logged("finishing the requests in flight"));
    // Longer than idle connections stay.
    std::thread::sleep(Duration::from_millis(1500));
    slow.write_all(b"}").unwrap();
    assert_eq!(Reply::read(slow).status, 400);
    for stream in waiting {
        assert_eq!(Reply::read(stream).status, 200);
    }
    assert_eq!(host.wait(), Some(0));
}

#[test]
fn idle_connections_make_room_for_requests_that_wait() {
    let mut host = Host::configured("drain-room", &config("limits = { connections = 1 }"));
    let unused = idle(&host);
    let mut waiting = host.connect();
    waiting.write_all(ASK).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    host.terminate();
    let began = Instant::now();
    assert_eq!(Reply::read(waiting).status, 200);
    assert_eq!(host.wait(), Some(0));
    // Sooner than limits.header_time would end the idle connection.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    drop(unused);
}

#[test]
fn a_host_without_connections_stops_at_once() {
    let mut host = Host::configured("drain-none", &config(""));
    host.terminate();
    let began = Instant::now();
    assert_eq!(host.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
}

/// More clients than can connect in one turn of the loop, each connection new: none is lost.
#[test]
fn a_connection_that_the_kernel_has_accepted_is_served() {
    for round in 0..5 {
        let mut host = Host::configured(&format!("drain-new-{round}"), &config(""));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let host = &host;
                scope.spawn(move || {
                    while let Ok(mut stream) = TcpStream::connect(host.address) {
                        stream.write_all(ASK).unwrap();
                        assert_eq!(Reply::read(stream).status, 200);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(200));
            host.terminate();
        });
        assert_eq!(host.wait(), Some(0));
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut host = Host::configured("drain-twice", &config("limits = { drain_time = \"20s\" }"));
    let kept = idle(&host);
    host.terminate();
    assert!(host.logged("draining"));
    let began = Instant::now();
    host.signal("INT");
    assert_eq!(host.wait(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(host.logged("stopped at once"), "{}", host.log());
    drop(kept);
}

#[test]
fn a_process_whose_store_fails_lives_and_is_not_ready() {
    let folder = Folder::new("drain-store-db");
    let file = folder.file("records.db");
    let host = Host::configured("drain-store", &format!("store = \"sqlite:{}\"\n{}", file.display(), config("")));
    assert_eq!(host.get("/readyz").status, 200);
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('DROP TABLE otp_grant_records')";
    assert!(Command::new("python3").args(["-c", script, file.to_str().unwrap()]).status().unwrap().success());
    assert_eq!((host.get("/readyz").status, host.get("/healthz").status, host.get("/livez").status), (503, 503, 200));
}

/// A host whose listening socket is that of this test, as systemd passes it.
fn inheriting(name: &str, listener: &TcpListener) -> Host {
    let folder = Folder::new(name);
    folder.write("outbox", "");
    let file = folder.write("host.toml", &config(""));
    let host = command(&["--config", file.to_str().unwrap()]);
    let mut passing = Command::new("sh");
    let script = "exec 3<&0 </dev/null && LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    passing.args(["-c", script]).arg(host.get_program()).args(host.get_args());
    passing.stdin(OwnedFd::from(listener.try_clone().unwrap()));
    Host::spawn(folder, passing)
}

#[test]
fn a_socket_of_the_service_manager_keeps_connections_for_the_next_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut first = inheriting("inherit-first", &listener);
    assert_eq!(first.address, listener.local_addr().unwrap());
    assert_eq!(first.get("/readyz").status, 200);
    first.terminate();
    assert_eq!(first.wait(), Some(0));
    let mut between = first.connect();
    between.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let _second = inheriting("inherit-second", &listener);
    assert_eq!(Reply::read(between).status, 200);
}

#[test]
fn the_service_manager_is_told() {
    let folder = Folder::new("notify");
    folder.write("outbox", "");
    let socket = UnixDatagram::bind(folder.file("socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let file = folder.write("host.toml", &config(""));
    let mut command = command(&["--config", file.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", folder.file("socket"));
    let mut host = Host::spawn(folder, command);
    let told = || {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert_eq!(told().trim(), "READY=1");
    for text in [config(""), "no = TOML".to_owned()] {
        host.folder.write("host.toml", &text);
        host.signal("HUP");
        let reloading = told();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(told().trim(), "READY=1");
    }
    host.terminate();
    assert_eq!(told().trim(), "STOPPING=1");
    assert_eq!(host.wait(), Some(0));
}
