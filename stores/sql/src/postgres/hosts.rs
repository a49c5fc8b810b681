//! Several hosts in one URL: finds the primary among them for each new connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use deadpool_postgres::tokio_postgres::{Client, Config, Error, SimpleQueryMessage, Socket};
use deadpool_postgres::{ConfigConnectImpl, Connect};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout, timeout_at};

use super::database::Trust;

/// The hosts of a URL, each of which can be the primary.
///
/// All are asked at once, because a server that hangs must not take the time in which another one answers. Of two that
/// take writes, the one with the later timeline is the primary: a promotion begins a timeline. The other was a primary
/// before, and has not heard of its successor.
pub(super) struct Hosts<T>(Arc<Shared<T>>);

struct Shared<T> {
    hosts: Vec<Config>,
    tls: T,
    /// The time limit for one host.
    limit: Duration,
    trust: Trust,
    /// What was last found. The lock is held while the hosts are asked.
    found: Mutex<Option<Found>>,
}

struct Found {
    host: Config,
    at: Instant,
    timeline: u32,
}

/// A connection, and the task that carries it.
type Connected = (Client, JoinHandle<()>);

impl<T> Hosts<T> {
    pub(super) fn new(server: &Config, tls: T, limit: Duration, trust: Trust) -> Self {
        let hosts = (0..server.get_hosts().len()).map(|place| only(server, place)).collect();
        Self(Arc::new(Shared { hosts, tls, limit, trust, found: Mutex::new(None) }))
    }
}

impl<T> Connect for Hosts<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, _: &Config) -> BoxFuture<'_, Result<Connected, Error>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            // The caller has a time limit.
            loop {
                if let Some(outcome) = shared.connect().await {
                    return outcome;
                }
                sleep(BETWEEN_SURVEYS).await;
            }
        })
    }
}

impl<T> Shared<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    /// Returns `None` if no host has said anything, or only one that was a primary before.
    async fn connect(&self) -> Option<Result<Connected, Error>> {
        let mut found = self.found.lock().await;
        let recent = found.as_ref().filter(|found| found.at.elapsed() < FOUND_FOR).map(|found| found.host.clone());
        if let Some(host) = recent {
            // Other connections can be made at the same time.
            drop(found);
            let connected = timeout(self.limit, connect(&self.tls, &host)).await;
            found = self.found.lock().await;
            // Another connection can have found a later primary in the meantime.
            let latest = found.as_ref().map_or(0, |found| found.timeline);
            if let Ok(Ok((connected, timeline))) = connected
                && timeline >= latest
            {
                return Some(Ok(connected));
            }
        }
        let known = found.as_ref().map(|found| found.timeline);
        let (host, connected, timeline) = match self.survey().await? {
            Ok(primary) => primary,
            Err(error) => return Some(Err(error)),
        };
        if known.is_some_and(|known| timeline < known) {
            return None;
        }
        if known.is_some_and(|known| timeline > known) {
            // Connections that were made before lead to the former primary.
            self.trust.end();
        }
        *found = Some(Found { host, at: Instant::now(), timeline });
        Some(Ok(connected))
    }

    /// Connects to all hosts, and returns the one with the latest timeline. The others are not waited for much longer
    /// than for the first.
    async fn survey(&self) -> Option<Result<(Config, Connected, u32), Error>> {
        let mut attempts = JoinSet::new();
        for host in &self.hosts {
            let (host, tls, limit) = (host.clone(), self.tls.clone(), self.limit);
            attempts.spawn(async move { (timeout(limit, connect(&tls, &host)).await, host) });
        }
        let mut until = tokio::time::Instant::now() + 2 * self.limit;
        let (mut primary, mut failure) = (None::<(Config, Connected, u32)>, None);
        while let Ok(Some(attempt)) = timeout_at(until, attempts.join_next()).await {
            match attempt {
                Ok((Ok(Ok((connected, timeline))), host)) => {
                    until = until.min(tokio::time::Instant::now() + GRACE);
                    if primary.as_ref().is_none_or(|(_, _, latest)| timeline > *latest) {
                        primary = Some((host, connected, timeline));
                    }
                }
                Ok((Ok(Err(error)), _)) => failure = Some(error),
                // It has not answered in time.
                Ok((Err(_), _)) | Err(_) => {}
            }
        }
        primary.map(Ok).or(failure.map(Err))
    }
}

/// Connects to one host, and asks for its timeline. A server that does not tell has the timeline 0.
async fn connect<T>(tls: &T, host: &Config) -> Result<(Connected, u32), Error>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, task) = ConfigConnectImpl { tls: tls.clone() }.connect(host).await?;
    let answer = client.simple_query(TIMELINE).await;
    let file = answer.ok().into_iter().flatten().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    // The name of a file of the write-ahead log begins with the timeline, in hexadecimal.
    let timeline = file.and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok()).unwrap_or(0);
    Ok(((client, task), timeline))
}

/// Returns the configuration with one of its hosts.
fn only(all: &Config, place: usize) -> Config {
    use deadpool_postgres::tokio_postgres::config::Host;

    let mut one = Config::new();
    match all.get_hosts().get(place) {
        Some(Host::Tcp(name)) => _ = one.host(name),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => _ = one.host_path(folder),
        None => {}
    }
    if let Some(address) = all.get_hostaddrs().get(place) {
        one.hostaddr(*address);
    }
    if let Some(port) = all.get_ports().get(place).or_else(|| all.get_ports().first()) {
        one.port(*port);
    }
    if let Some(user) = all.get_user() {
        one.user(user);
    }
    if let Some(password) = all.get_password() {
        one.password(password);
    }
    if let Some(name) = all.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = all.get_options() {
        one.options(options);
    }
    if let Some(name) = all.get_application_name() {
        one.application_name(name);
    }
    if let Some(limit) = all.get_connect_timeout() {
        one.connect_timeout(*limit);
    }
    if let Some(limit) = all.get_tcp_user_timeout() {
        one.tcp_user_timeout(*limit);
    }
    if let Some(interval) = all.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = all.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(all.get_keepalives())
        .keepalives_idle(all.get_keepalives_idle())
        .ssl_mode(all.get_ssl_mode())
        .ssl_negotiation(all.get_ssl_negotiation())
        .channel_binding(all.get_channel_binding())
        .target_session_attrs(all.get_target_session_attrs());
    one
}

/// How long a primary that was found is taken for the primary by further new connections.
const FOUND_FOR: Duration = Duration::from_secs(1);

/// How long the other hosts are waited for after the first that takes writes.
const GRACE: Duration = Duration::from_millis(200);

const BETWEEN_SURVEYS: Duration = Duration::from_millis(100);

const TIMELINE: &str = "SELECT pg_walfile_name(pg_current_wal_lsn())";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_all_the_other_settings() {
        let all: Config =
            "host=one,/two,three hostaddr=10.0.0.1,10.0.0.2,10.0.0.3 port=1,2,3 user=u password=p dbname=d \
            options=o application_name=a connect_timeout=7 tcp_user_timeout=8 keepalives=1 keepalives_idle=9 \
            keepalives_interval=10 keepalives_retries=11 sslmode=require sslnegotiation=direct channel_binding=require \
            target_session_attrs=read-write"
                .parse()
                .unwrap();
        let one: Config = "host=/two hostaddr=10.0.0.2 port=2 user=u password=p dbname=d options=o application_name=a \
            connect_timeout=7 tcp_user_timeout=8 keepalives=1 keepalives_idle=9 keepalives_interval=10 \
            keepalives_retries=11 sslmode=require sslnegotiation=direct channel_binding=require \
            target_session_attrs=read-write"
            .parse()
            .unwrap();
        assert!(only(&all, 1) == one);
        let shared: Config = "host=one,two port=5433".parse().unwrap();
        assert_eq!(only(&shared, 1).get_ports(), [5433]);
    }
}
