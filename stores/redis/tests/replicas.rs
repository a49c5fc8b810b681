//! Swaps that wait for replicas.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError};
use otp_grant_stores_support::{self as login, key, later, record};
use support::*;

fn waiting() -> RedisOptions {
    RedisOptions::default().wait_for_replicas(1, WAIT)
}

async fn store(port: u16) -> RedisStore {
    RedisStore::connect(&format!("redis://127.0.0.1:{port}"), waiting()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_is_at_a_replica() {
    let (servers, ports) = replicated(1, &[]);
    let url = format!("redis://127.0.0.1:{}", ports[0]);
    otp_grant::store::conformance::all(|| RedisStore::connect(&url, waiting())).await.unwrap();
    login::log_in(store(ports[0]).await).await;
    servers[0].run::<()>(&["FLUSHALL"]);
    login::fifty_right_codes(store(ports[0]).await, store(ports[0]).await).await;

    let store = store(ports[0]).await;
    let begun = Instant::now();
    for number in 0..100 {
        assert_eq!(store.swap(&key(number), None, &record(number, later())).await.unwrap(), Swap::Stored);
        let name = format!("otp-grant:{}", String::from(key(number)));
        assert_eq!(servers[1].run::<u64>(&["EXISTS", &name]), 1);
    }
    println!("{:?} for a swap and a look at the replica", begun.elapsed() / 100);
    // Loads do not wait while replicas keep up.
    servers[0].run::<()>(&["CONFIG", "RESETSTAT"]);
    assert!(store.load(&key(1)).await.unwrap().is_some());
    assert_eq!(servers[0].calls("wait"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_no_replica_has_is_neither_stored_nor_found_until_one_has_it() {
    let (servers, ports) = replicated(1, &[]);
    let store = store(ports[0]).await;
    let (one, two) = (record(1, later()), record(2, later()));
    assert_eq!(store.swap(&key(1), None, &one).await.unwrap(), Swap::Stored);
    servers[1].pause();
    let begun = Instant::now();
    let error = store.swap(&key(1), Some(one.tag), &two).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, RedisStoreError::NotReplicated) && error.is_retryable(), "{error:?}");
    assert!(begun.elapsed() >= WAIT && begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // The load with which otp-grant finds out.
    let error = store.load(&key(1)).await.unwrap_err();
    assert!(matches!(error, RedisStoreError::NotReplicated), "{error:?}");
    // A conflict is certain.
    let conflict = store.swap(&key(1), Some(one.tag), &record(3, later())).await.unwrap();
    assert_eq!(conflict, Swap::Conflict);

    servers[1].resume();
    servers[0].until_text(&["INFO", "replication"], "state=online");
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(two));
    // From then on, loads do not wait.
    servers[0].run::<()>(&["CONFIG", "RESETSTAT"]);
    assert!(store.load(&key(1)).await.unwrap().is_some());
    assert_eq!(servers[0].calls("wait"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_no_replica_has_is_answered_with_503_and_its_code_stays_good() {
    let (servers, ports) = replicated(1, &[]);
    let host = login::server(store(ports[0]).await);
    let (otp_token, code) = login::send(&host).await.unwrap();
    servers[1].run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 503);
    // The primary is lost, and with it what only it had.
    servers[1].run::<()>(&["REPLICAOF", "NO", "ONE"]);
    let without =
        RedisStore::connect(&format!("redis://127.0.0.1:{}", ports[1]), RedisOptions::default()).await.unwrap();
    let host = login::server(without);
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 200);
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_leaves_later_loads_waiting() {
    let (servers, ports) = replicated(1, &[]);
    let store = store(ports[0]).await;
    assert_eq!(store.swap(&key(1), None, &record(1, later())).await.unwrap(), Swap::Stored);
    servers[1].pause();
    tokio::time::timeout(WAIT / 2, store.swap(&key(2), None, &record(2, later()))).await.unwrap_err();
    let error = store.load(&key(2)).await.unwrap_err();
    assert!(matches!(error, RedisStoreError::NotReplicated), "{error:?}");
    servers[1].resume();
    // What begins together with others waits for a connection of its own, not behind them.
    let swaps = (10..100).map(|number| {
        let store = store.clone();
        async move { store.swap(&key(number), None, &record(number, later())).await }
    });
    for swap in futures::future::join_all(swaps).await {
        assert_eq!(swap.unwrap(), Swap::Stored);
    }
    assert!(store.load(&key(2)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_do_no_more_than_it_has_to_can_wait() {
    let (servers, ports) = replicated(1, &[]);
    let may = ["+getex", "+set", "+getrange", "+eval", "+evalsha", "+wait", "+@connection"];
    servers[0].run::<()>(&[&["ACL", "SETUSER", "host", "on", ">secret", "~otp-grant:*"], &may[..]].concat());
    let url = format!("redis://host:secret@127.0.0.1:{}", ports[0]);
    let store = RedisStore::connect(&url, waiting()).await.unwrap();
    assert_eq!(store.swap(&key(1), None, &record(1, later())).await.unwrap(), Swap::Stored);
    servers[1].pause();
    store.swap(&key(2), None, &record(2, later())).await.map(|_| ()).unwrap_err();
    servers[1].resume();
    assert!(store.load(&key(2)).await.unwrap().is_some());
}

/// Shorter than a test's patience, longer than a replica that works needs.
const WAIT: Duration = Duration::from_millis(400);
