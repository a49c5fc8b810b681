//! A host in a process of its own, and what asks it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support"
)]

pub mod admin;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder that is gone with its value.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otp-grant-host-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.file(name), text).unwrap();
        self.file(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running host. It is killed with its value.
pub struct Host {
    child: Child,
    pub address: SocketAddr,
    pub folder: Folder,
}

impl Host {
    /// The demo, with ES256 because it is quick, and with further arguments.
    pub fn demo(name: &str, arguments: &[&str]) -> Self {
        Self::demo_with(name, &[&["--alg", "ES256"], arguments].concat())
    }

    /// The demo, with arguments that say how it signs.
    pub fn demo_with(name: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new(name);
        let outbox = folder.write("outbox", "");
        let outbox = ["--demo", "--outbox", outbox.to_str().unwrap()];
        Self::start(folder, &[&outbox[..], arguments].concat())
    }

    /// A host with a file.
    pub fn configured(name: &str, text: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("outbox", "");
        let file = folder.write("host.toml", text);
        Self::start(folder, &["--config", file.to_str().unwrap()])
    }

    pub fn start(folder: Folder, arguments: &[&str]) -> Self {
        Self::spawn(folder, command(arguments))
    }

    /// A host with a file, in a process that may have so many descriptors at most.
    pub fn with_descriptors(name: &str, text: &str, limits: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("outbox", "");
        let file = folder.write("host.toml", text);
        let host = command(&["--config", file.to_str().unwrap()]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")]).arg(host.get_program()).args(host.get_args());
        Self::spawn(folder, limited)
    }

    pub fn spawn(folder: Folder, mut command: Command) -> Self {
        let open = |name| std::fs::File::create(folder.file(name)).unwrap();
        let mut child =
            command.args(["--listen", "127.0.0.1:0"]).stdout(open("out")).stderr(open("log")).spawn().unwrap();
        let began = Instant::now();
        loop {
            let out = std::fs::read_to_string(folder.file("out")).unwrap();
            let found = out.lines().find_map(|line| line.strip_prefix("listening on http://")?.split(' ').next());
            if let Some(address) = found {
                return Self { address: address.parse().unwrap(), child, folder };
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > Duration::from_secs(20) {
                let _ = child.kill();
                panic!("{ended:?} {}", std::fs::read_to_string(folder.file("log")).unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    }

    pub fn post(&self, path: &str, kind: &str, body: &str) -> Reply {
        self.ask(&post(path, kind, body))
    }

    pub fn ask(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        // The host may answer and hang up before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        Reply::read(stream)
    }

    /// The last code that was sent.
    pub fn last_code(&self) -> String {
        let outbox = std::fs::read_to_string(self.folder.file("outbox")).unwrap();
        let line: serde_json::Value = serde_json::from_str(outbox.lines().last().unwrap()).unwrap();
        line["code"].as_str().unwrap().to_owned()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.file("log")).unwrap()
    }

    /// Waits until something is in the log, which is written after the answer.
    pub fn logged(&self, text: &str) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            if self.log().contains(text) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    pub fn out(&self) -> String {
        std::fs::read_to_string(self.folder.file("out")).unwrap()
    }

    /// Asks it to stop. Only this process is meant.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has stopped, and gives its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not stop");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of this test.
pub fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().unwrap().success());
}

/// What a host answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// Reads an answer until the connection ends. Status 0: there was none.
    pub fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A request with a body.
pub fn post(path: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The host with arguments, in an environment without its variables, and with a proxy that does not exist: it is not
/// for what stays on this machine.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otp-grant-host"));
    command.args(arguments).stdin(Stdio::null()).env_remove("OTP_GRANT_STORE").env_remove("OTP_GRANT_DEMO_SECRET");
    command.env("http_proxy", "http://127.0.0.1:1").env_remove("no_proxy").env_remove("NO_PROXY");
    command
}

/// The present day, as a file writes it.
pub fn today() -> String {
    let date = Command::new("date").args(["-u", "+%F"]).output().unwrap().stdout;
    String::from_utf8(date).unwrap().trim().to_owned()
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Logs in at a host of the sample names whose issuer is where it listens, and lives with the tokens.
pub fn log_in_over_http(host: &Host, algorithm: &str) {
    log_in_over_http_as(host, algorithm, &host.url());
}

/// Logs in at a host of the sample names, and lives with the tokens.
pub fn log_in_over_http_as(host: &Host, algorithm: &str, issuer: &str) {
    let outbox = host.folder.file("outbox");
    let output = Command::new("python3")
        .current_dir(root())
        .args(["tests/login_over_http.py", &host.url(), outbox.to_str().unwrap(), algorithm, issuer])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub const JSON: &str = "application/json";
pub const FORM: &str = "application/x-www-form-urlencoded";
