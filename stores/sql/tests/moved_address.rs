//! Two servers of PostgreSQL, and an address that moves from one to the other: connections that were made before still
//! lead to the old one, which hangs, or takes no writes any more.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::{Record, Swap};
use otp_grant_sql::{PostgresStore, SqlOptions, SqlStoreError};
use otp_grant_stores_support::postgres::Postgres;
use otp_grant_stores_support::{self as login, key, later, record};
use tokio::net::{TcpListener, UnixStream};

/// A proxy that sends each new connection to the server of the moment, and leaves the others where they are.
struct Address {
    url: String,
    server: Arc<Mutex<PathBuf>>,
}

impl Address {
    async fn of(server: &Postgres) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://postgres@{}/postgres", listener.local_addr().unwrap());
        let server = Arc::new(Mutex::new(server.socket()));
        let current = server.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let socket = current.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut far = UnixStream::connect(socket).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        Self { url, server }
    }

    fn move_to(&self, server: &Postgres) {
        *self.server.lock().unwrap() = server.socket();
    }
}

/// A primary, a standby that has all that was acknowledged, an address, and a store on it with all its connections
/// made.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    address: Address,
    store: PostgresStore,
    stored: Record,
}

impl Pair {
    async fn start(timeout: Duration) -> Self {
        let primary = Postgres::with(&["fsync=off"]);
        let address = Address::of(&primary).await;
        let options = SqlOptions::default().timeout(timeout).max_connections(CONNECTIONS);
        let store = PostgresStore::connect(&address.url, options).await.unwrap();
        store.migrate().await.unwrap();
        let standby = Postgres::standby_of(&primary).await;
        let stored = record(1, later());
        assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
        let pair = Self { primary, standby, address, store, stored };
        // Held by a lock until all of them are there.
        let mut holder = pair.primary.statements().await;
        let holding = holder.transaction().await.unwrap();
        holding.batch_execute("LOCK otp_grant_records").await.unwrap();
        let loads = (0..CONNECTIONS).map(|_| pair.load());
        let loads = tokio::spawn(futures::future::join_all(loads));
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let statements = pair.primary.statements().await;
        while statements.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < i64::from(CONNECTIONS) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        holding.commit().await.unwrap();
        assert!(loads.await.unwrap().iter().all(|tag| *tag == Some(pair.stored.tag)));
        pair
    }

    fn load(&self) -> impl Future<Output = Option<otp_grant::id::Tag>> + Send + use<> {
        let store = self.store.clone();
        async move { store.load(&key(1)).await.unwrap().map(|record| record.tag) }
    }

    /// Makes the standby the primary, where a session is revoked: another record takes the place of the one.
    async fn promote(&self) -> Record {
        self.standby.promote().await;
        self.address.move_to(&self.standby);
        let store = PostgresStore::connect(&self.address.url, SqlOptions::default()).await.unwrap();
        let revoked = record(2, later());
        assert_eq!(store.swap(&key(1), Some(self.stored.tag), &revoked).await.unwrap(), Swap::Stored);
        revoked
    }

    /// Every connection that the store may use sees the new primary.
    async fn is_moved(&self, revoked: &Record) {
        for _ in 0..3 {
            let loads = futures::future::join_all((0..4 * CONNECTIONS).map(|_| self.load())).await;
            assert!(loads.iter().all(|tag| *tag == Some(revoked.tag)), "{loads:?}");
        }
        let next = record(3, later());
        assert_eq!(self.store.swap(&key(1), Some(self.stored.tag), &next).await.unwrap(), Swap::Conflict);
        assert_eq!(self.store.swap(&key(1), Some(revoked.tag), &next).await.unwrap(), Swap::Stored);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_operation_is_lost_when_the_old_server_hangs() {
    let pair = Pair::start(Duration::from_secs(2)).await;
    let revoked = pair.promote().await;
    pair.primary.pause();
    let started = Instant::now();
    let error = pair.store.load(&key(1)).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Timeout) && error.is_retryable(), "{error:?}");
    pair.is_moved(&revoked).await;
    println!("back after {:?}", started.elapsed());
    pair.primary.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_operation_is_lost_when_the_old_server_hung_while_nobody_asked() {
    let pair = Pair::start(Duration::from_secs(2)).await;
    let revoked = pair.promote().await;
    pair.primary.pause();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    pair.is_moved(&revoked).await;
    pair.primary.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_operation_is_lost_when_the_old_server_takes_no_writes() {
    let pair = Pair::start(Duration::from_secs(2)).await;
    let old = pair.primary.statements().await;
    old.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    old.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    // Until every process has heard of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let revoked = pair.promote().await;
    let error = pair.store.swap(&key(1), Some(revoked.tag), &record(9, later())).await.map(|_| ()).unwrap_err();
    assert_eq!(support::said(&error), "the database refused the statement: 25006");
    pair.is_moved(&revoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_load_is_lost_when_the_old_server_is_shut_down() {
    let mut pair = Pair::start(Duration::from_secs(2)).await;
    let revoked = pair.promote().await;
    pair.primary.kill();
    pair.is_moved(&revoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_was_redeemed_before_the_move_stays_redeemed() {
    let pair = Pair::start(Duration::from_secs(2)).await;
    let host = login::server(pair.store.clone());
    let (otp_token, code) = login::send(&host).await.unwrap();
    let (status, tokens) = login::redeem(&host, &otp_token, &code).await;
    assert_eq!(status, 200);
    pair.promote().await;
    pair.primary.pause();
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 503);
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 400);
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(login::refresh(&host, refresh_token).await.0, 200);
    pair.primary.resume();
}

const CONNECTIONS: u32 = 6;
