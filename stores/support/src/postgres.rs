//! A PostgreSQL server for one test, on a Unix socket in a temporary directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub struct Postgres {
    directory: TempDir,
    settings: Vec<String>,
    process: Option<Child>,
}

impl Postgres {
    /// Starts a server that does not wait for the disk.
    pub fn start() -> Self {
        Self::with(&["fsync=off", "synchronous_commit=off", "full_page_writes=off"])
    }

    /// Starts a server that has every acknowledged write on disk.
    pub fn durable() -> Self {
        Self::with(&[])
    }

    pub fn with(settings: &[&str]) -> Self {
        let directory = folder();
        let output = program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(directory.path().join("data"))
            .current_dir(directory.path())
            .output()
            .expect(MISSING);
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut postgres = Self { directory, settings, process: None };
        postgres.restart();
        postgres
    }

    /// Makes a copy that follows a primary. From then on, the primary acknowledges only writes that the copy has
    /// applied.
    pub async fn standby_of(primary: &Self) -> Self {
        let directory = folder();
        let output = program("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--username=postgres", "--pgdata"])
            .arg(directory.path().join("data"))
            .arg("--host")
            .arg(primary.directory.path())
            .current_dir(directory.path())
            .output()
            .expect(MISSING);
        assert!(output.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&output.stderr));
        let mut standby = Self { directory, settings: primary.settings.clone(), process: None };
        standby.restart();
        let primary = primary.statements().await;
        for setting in ["synchronous_standby_names = '*'", "synchronous_commit = remote_apply"] {
            primary.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
        }
        primary.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let follows = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'";
        while primary.query(follows, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        standby
    }

    /// Makes a standby a primary.
    pub async fn promote(&self) {
        let statements = self.statements().await;
        let promoted: bool = statements.query_one("SELECT pg_promote()", &[]).await.unwrap().get(0);
        assert!(promoted);
    }

    /// Puts a file that no other user can read into the server's folder.
    pub fn take(&self, name: &str, file: &std::path::Path) {
        let copy = self.directory.path().join("data").join(name);
        fs::copy(file, &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&copy, Some(user), Some(group)).unwrap();
        }
    }

    /// Returns the socket on which the server listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }

    /// Restarts the server with one more setting.
    pub fn restart_with(&mut self, setting: &str) {
        self.kill();
        self.settings.push(setting.to_owned());
        self.restart();
    }

    /// Restarts the server after a kill, and waits until it has recovered the writes on disk.
    pub fn restart(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut command = program("postgres");
            command.arg("-D").arg(self.directory.path().join("data")).arg("-k").arg(self.directory.path());
            command.args(["-c", "listen_addresses=", "-c", "max_connections=50", "-c", "shared_buffers=16MB"]);
            for setting in &self.settings {
                command.arg("-c").arg(setting);
            }
            command.current_dir(self.directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = command.spawn().expect(MISSING);
            loop {
                assert!(Instant::now() < deadline, "postgres doesn't answer");
                if process.try_wait().unwrap().is_some() {
                    // The memory of the killed server is not free yet.
                    break;
                }
                if self.answers() {
                    self.process = Some(process);
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills all processes of the server without notice.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let children = children(&process);
            process.kill().unwrap();
            process.wait().unwrap();
            for child in children {
                let _ = kill_process(child, Signal::KILL);
            }
        }
    }

    /// Stops all processes of the server. The server then hangs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub fn url(&self) -> String {
        format!("postgres:///postgres?user=postgres&host={}", self.directory.path().display())
    }

    /// Makes a connection for the test's own statements.
    pub async fn statements(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn answers(&self) -> bool {
        let mut ready = program("pg_isready");
        ready.arg("-q").arg("-h").arg(self.directory.path()).args(["-d", "postgres"]);
        ready.status().expect(MISSING).success()
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill_process(Pid::from_child(process), signal).unwrap();
        for child in children(process) {
            let _ = kill_process(child, signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn folder() -> TempDir {
    let directory = tempfile::Builder::new().prefix("otp-grant-sql-").tempdir().unwrap();
    if let Some((user, group)) = other_user() {
        chown(directory.path(), Some(user), Some(group)).unwrap();
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Returns the processes that our server process has started.
fn children(process: &Child) -> Vec<Pid> {
    let parent = format!("PPid:\t{}", process.id());
    let is_child = |status: &str| status.lines().any(|line| line == parent);
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| is_child(&status)))
        .filter_map(Pid::from_raw)
        .collect()
}

/// Makes the command of a PostgreSQL program, under a user that PostgreSQL accepts.
fn program(name: &str) -> Command {
    let mut versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let in_debian = std::iter::from_fn(|| versions.next())
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .max_by_key(|path| version_of(path));
    let mut command = Command::new(in_debian.unwrap_or_else(|| name.into()));
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

fn version_of(path: &std::path::Path) -> u32 {
    path.iter().rev().nth(2).and_then(|version| version.to_str()?.parse().ok()).unwrap_or(0)
}

/// Returns the user to become if this process is root, since PostgreSQL refuses to run as root.
fn other_user() -> Option<(u32, u32)> {
    geteuid().is_root().then(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let ids = users.lines().find_map(|line| {
            let mut fields = line.strip_prefix("postgres:x:")?.split(':');
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        ids.unwrap_or((65534, 65534))
    })
}

const MISSING: &str = "PostgreSQL can't be started: install the Debian package postgresql";
