//! A URL that names several servers of PostgreSQL, one of which is the primary.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::{Record, Swap};
use otp_grant_sql::{DurabilityRisk, PostgresStore, SqlOptions};
use otp_grant_stores_support::postgres::Postgres;
use otp_grant_stores_support::{self as login, key, later, record};

/// The URL of several servers, in this order.
fn url(servers: &[&Postgres]) -> String {
    let folders = servers.iter().map(|server| server.socket().parent().unwrap().display().to_string());
    format!("postgres:///postgres?user=postgres&host={}", folders.collect::<Vec<_>>().join(","))
}

/// A primary with a record, a standby, and the URL of both. The standby comes first.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    url: String,
    stored: Record,
}

impl Pair {
    async fn start() -> Self {
        let primary = Postgres::with(&["fsync=off"]);
        let store = support::store(&primary).await;
        let stored = record(1, later());
        assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
        let standby = Postgres::standby_of(&primary).await;
        let url = url(&[&standby, &primary]);
        Self { primary, standby, url, stored }
    }

    async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.url, SqlOptions::default()).await.unwrap()
    }

    /// Promotes the standby, which then waits for no standby of its own, and replaces the record there.
    async fn promote(&self) -> Record {
        self.standby.promote().await;
        let next = record(2, later());
        let swap = support::store(&self.standby).await.swap(&key(1), Some(self.stored.tag), &next).await.unwrap();
        assert_eq!(swap, Swap::Stored);
        next
    }
}

/// Loads the record until it can be loaded. Returns it, and after how long.
async fn load(store: &PostgresStore) -> (Record, Duration) {
    let begun = Instant::now();
    loop {
        match store.load(&key(1)).await {
            Ok(record) => return (record.unwrap(), begun.elapsed()),
            Err(error) => assert!(error.is_retryable() && begun.elapsed() < RECOVERED, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_is_found_behind_a_standby() {
    let pair = Pair::start().await;
    let store = pair.store().await;
    assert_eq!(store.swap(&key(1), Some(pair.stored.tag), &record(2, later())).await.unwrap(), Swap::Stored);
    login::log_in(pair.store().await).await;
    let standby = pair.standby.statements().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    // Whoever asked what it is has gone.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(standby.query_one(others, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_alone_is_no_primary() {
    let mut pair = Pair::start().await;
    pair.primary.kill();
    let error = PostgresStore::connect(&pair.url, SqlOptions::default()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_follows_when_the_primary_is_killed() {
    let mut pair = Pair::start().await;
    let store = pair.store().await;
    assert_eq!(load(&store).await.0.tag, pair.stored.tag);
    pair.primary.kill();
    let next = pair.promote().await;
    let (found, after) = load(&store).await;
    println!("killed: back after {after:?}");
    assert_eq!(found.tag, next.tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_does_not_stand_before_the_primary() {
    let pair = Pair::start().await;
    let reversed = url(&[&pair.primary, &pair.standby]);
    let store = PostgresStore::connect(&reversed, SqlOptions::default()).await.unwrap();
    assert_eq!(load(&store).await.0.tag, pair.stored.tag);
    pair.primary.pause();
    let next = pair.promote().await;
    let (found, after) = load(&store).await;
    println!("frozen: back after {after:?}");
    assert_eq!(found.tag, next.tag);
    let begun = Instant::now();
    let new = PostgresStore::connect(&reversed, SqlOptions::default()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    // It goes on, and still takes writes. It comes first in the URL.
    pair.primary.resume();
    for store in [&store, &new, &PostgresStore::connect(&reversed, SqlOptions::default()).await.unwrap()] {
        assert_eq!(load(store).await.0.tag, next.tag);
    }
    // When it is the only one that answers, whoever knows its successor does without it.
    pair.standby.pause();
    let begun = Instant::now();
    while begun.elapsed() < RECOVERED {
        let error = store.load(&key(1)).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
    pair.standby.resume();
    assert_eq!(load(&store).await.0.tag, next.tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_setting_that_forgets_is_a_risk() {
    let server = Postgres::with(&[]);
    let store = support::store(&server).await;
    assert_eq!(store.durability_risks().await.unwrap(), []);
    let with = async |settings: &str| {
        let url = format!("{}&options={settings}", server.url());
        let store = PostgresStore::connect(&url, SqlOptions::default()).await.unwrap();
        store.durability_risks().await.unwrap()
    };
    assert_eq!(with("-c%20synchronous_commit=off").await, [DurabilityRisk::AsynchronousCommit]);
    assert_eq!(with("-c%20synchronous_commit=local").await, []);

    let unsafe_server = Postgres::with(&["fsync=off", "full_page_writes=off"]);
    let risks = support::store(&unsafe_server).await.durability_risks().await.unwrap();
    assert_eq!(risks, [DurabilityRisk::NoFsync, DurabilityRisk::NoFullPageWrites]);

    let standby = Postgres::standby_of(&server).await;
    assert_eq!(store.durability_risks().await.unwrap(), []);
    let synchronous_commit = "remote_write".to_owned();
    let risks = with("-c%20synchronous_commit=remote_write").await;
    assert_eq!(risks, [DurabilityRisk::StandbyNotAwaited { synchronous_commit }]);
    let statements = server.statements().await;
    statements.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    statements.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let risks = store.durability_risks().await.unwrap();
    assert_eq!(risks, [DurabilityRisk::AsynchronousStandby]);
    assert!(risks.iter().all(|risk| risk.to_string().lines().count() == 1));
    drop(standby);
}

const RECOVERED: Duration = Duration::from_secs(3);
