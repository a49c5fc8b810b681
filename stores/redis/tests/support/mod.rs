//! A Redis of the test's own, on a Unix socket in a temporary directory.
#![allow(dead_code, unreachable_pub, reason = "each scenario file uses its own part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness that fails has to fail loudly"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
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

    /// Listens on a port of the loopback interface as well, and keeps everything in memory.
    pub fn on_port(port: u16, arguments: &[&str]) -> Self {
        let port = port.to_string();
        let common = ["--bind", "127.0.0.1", "--port", &port, "--appendonly", "no", "--repl-diskless-sync-delay", "0"];
        Self::with(&[&common[..], arguments].concat())
    }

    /// A Sentinel that watches a primary.
    pub fn sentinel(port: u16, primary: u16) -> Self {
        let directory = tempfile::Builder::new().prefix("otp-grant-redis-").tempdir().unwrap();
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nunixsocket redis.sock\nsentinel monitor main 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n"
        );
        std::fs::write(directory.path().join("sentinel.conf"), settings).unwrap();
        let arguments = vec!["sentinel.conf".to_owned(), "--sentinel".to_owned()];
        let mut sentinel = Self { directory, arguments, process: None };
        sentinel.restart();
        sentinel
    }

    /// Starts it, after it was killed.
    pub fn restart(&mut self) {
        let of_a_server: &[&str] = match self.arguments.last() {
            Some(last) if last == "--sentinel" => &[],
            _ => &["--port", "0", "--save", "", "--unixsocket", "redis.sock", "--maxmemory-policy", "noeviction"],
        };
        let started = Command::new("redis-server")
            .args(of_a_server)
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

    /// Runs a command of the test's own.
    pub fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        redis::cmd(command[0]).arg(&command[1..]).query(&mut self.commands()).unwrap()
    }

    /// Waits until the answer to a command shows something.
    pub fn until(&self, command: &[&str], shown: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = format!("{:?}", self.run::<redis::Value>(command));
            if answer.contains(shown) {
                return;
            }
            assert!(Instant::now() < deadline, "{command:?} never shows {shown}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the answer to a command contains a text. The answer is a text.
    pub fn until_text(&self, command: &[&str], text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = redis::cmd(command[0]).arg(&command[1..]).query::<String>(&mut self.commands());
            if asked.as_ref().is_ok_and(|answer| answer.contains(text)) {
                return;
            }
            assert!(Instant::now() < deadline, "{command:?} never says {text}: {asked:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How often it has run a command, since the statistics were last reset.
    pub fn calls(&self, name: &str) -> u64 {
        let stats: String = self.run(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
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

/// An address that leads to a server, and can be made to lead to another one. Connections that are there already
/// stay with their server, even when it is gone: the client hears nothing.
pub struct Address {
    port: u16,
    leads_to: Arc<AtomicU16>,
}

impl Address {
    pub fn leading_to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Self { port: listener.local_addr().unwrap().port(), leads_to: Arc::new(AtomicU16::new(port)) };
        let leads_to = Arc::clone(&address.leads_to);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", leads_to.load(SeqCst)))) {
                    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || pass_on(from_client, to_server));
                    std::thread::spawn(move || pass_on(server, client));
                }
            }
        });
        address
    }

    pub fn lead_to(&self, port: u16) {
        self.leads_to.store(port, SeqCst);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// Passes on until the sender has nothing more to say, whether anybody listens or not.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    to.set_nodelay(true).unwrap();
    let mut buffer = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let _ = to.write_all(&buffer[..length]);
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

/// A primary, its replicas, and Sentinels that fail over within seconds.
pub struct Watched {
    /// The primary is the first.
    pub servers: Vec<Redis>,
    pub ports: Vec<u16>,
    pub sentinels: Vec<Redis>,
    pub url: String,
}

impl Watched {
    pub fn start(replicas: usize) -> Self {
        Self::with(replicas, &[])
    }

    pub fn with(replicas: usize, arguments: &[&str]) -> Self {
        let (servers, ports) = replicated(replicas, arguments);
        let sentinels = (0..3).map(|_| {
            let port = free_port();
            (Redis::sentinel(port, ports[0]), port)
        });
        let (sentinels, sentinel_ports): (Vec<_>, Vec<_>) = sentinels.unzip();
        let replicas = format!("\"num-slaves\"'), bulk-string('\"{replicas}\"')");
        for sentinel in &sentinels {
            sentinel.until_text(&["SENTINEL", "CKQUORUM", "main"], "OK 3 usable");
            sentinel.until(&["SENTINEL", "MASTER", "main"], &replicas);
        }
        let url = sentinel_url(&sentinel_ports);
        Self { servers, ports, sentinels, url }
    }

    /// Has Sentinel promote a replica, and returns which.
    pub fn fail_over(&self) -> usize {
        self.sentinels[0].run::<()>(&["SENTINEL", "FAILOVER", "main"]);
        self.promoted()
    }

    /// Waits until a replica is promoted, and all Sentinels say so.
    pub fn promoted(&self) -> usize {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let named = self
                .sentinels
                .iter()
                .map(|sentinel| sentinel.run::<(String, u16)>(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]).1);
            let named = named.collect::<Vec<_>>();
            if named[0] != self.ports[0] && named.iter().all(|port| *port == named[0]) {
                return self.ports.iter().position(|port| *port == named[0]).unwrap();
            }
            assert!(Instant::now() < deadline, "{named:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A primary, and replicas that follow it.
pub fn replicated(replicas: usize, arguments: &[&str]) -> (Vec<Redis>, Vec<u16>) {
    let ports = (0..=replicas).map(|_| free_port()).collect::<Vec<_>>();
    let servers = ports.iter().map(|port| Redis::on_port(*port, arguments)).collect::<Vec<_>>();
    for replica in &servers[1..] {
        replica.run::<()>(&["REPLICAOF", "127.0.0.1", &ports[0].to_string()]);
        replica.until(&["INFO", "replication"], "master_link_status:up");
    }
    // A replica that is shown as online may not get anything yet.
    let mut commands = servers[0].commands();
    redis::cmd("SET").arg("first").arg(1).exec(&mut commands).unwrap();
    let have: usize = redis::cmd("WAIT").arg(replicas).arg(30_000).query(&mut commands).unwrap();
    assert_eq!(have, replicas);
    redis::cmd("DEL").arg("first").exec(&mut commands).unwrap();
    for server in &servers {
        server.until(&["DBSIZE"], "int(0)");
        server.run::<()>(&["CONFIG", "RESETSTAT"]);
    }
    (servers, ports)
}

pub fn sentinel_url(ports: &[u16]) -> String {
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>();
    format!("redis+sentinel://{}/main", hosts.join(","))
}
