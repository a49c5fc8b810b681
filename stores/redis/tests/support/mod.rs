//! A Redis of the test's own, on a Unix socket in a temporary directory.
#![allow(dead_code, unreachable_pub, reason = "each scenario file uses its own part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness that fails has to fail loudly"
)]

#[path = "../../../support/login.rs"]
pub mod login;

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use otp_grant_redis::{RedisOptions, RedisStore, redis};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub struct Redis {
    directory: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    /// Keeps everything in memory.
    pub fn start() -> Self {
        Self::with(&["--appendonly", "no"])
    }

    /// Has on disk what it acknowledged.
    pub fn durable() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    pub fn with(arguments: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("otp-grant-redis-").tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut redis = Self { directory, arguments, process: None };
        redis.restart();
        redis
    }

    /// Starts it, after it was killed.
    pub fn restart(&mut self) {
        let started = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "redis.sock", "--maxmemory-policy", "noeviction"])
            .args(&self.arguments)
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = started.expect("redis-server can't be started: install the Debian package redis-server");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(self.directory.path().join("redis.sock")).is_err() || !self.answers() {
            assert!(Instant::now() < deadline, "redis-server doesn't answer");
            assert!(self.process.as_mut().unwrap().try_wait().unwrap().is_none(), "redis-server ended");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as a loss of power of the process would: without a word.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Lets it hang.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.directory.path().display())
    }

    pub async fn store(&self) -> RedisStore {
        self.store_with(RedisOptions::default()).await
    }

    pub async fn store_with(&self, options: RedisOptions) -> RedisStore {
        RedisStore::connect(&self.url(), options).await.unwrap()
    }

    /// A connection for commands of the test's own.
    pub fn commands(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Whether it has read back what it had on disk.
    fn answers(&self) -> bool {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().is_ok_and(|mut connection| redis::cmd("PING").exec(&mut connection).is_ok())
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of the loopback interface that nobody listens on. It is given once: what takes it may need a while to start.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port >= 55_000 {
            continue;
        }
        // A cluster node also takes the port 10,000 above.
        let ports = [port, port + 10_000];
        let mut given = GIVEN.lock().unwrap();
        if TcpListener::bind(("127.0.0.1", ports[1])).is_ok() && !ports.iter().any(|port| given.contains(port)) {
            given.extend(ports);
            return port;
        }
    }
}
