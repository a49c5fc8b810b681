//! An address that comes to lead to another primary, while connections to the old one stay.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError};
use otp_grant_stores_support::{key, later, record};
use support::*;

/// What becomes of the old primary.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It follows another one, but hears nothing from it.
    Demoted,
    Frozen,
    /// It is gone, and the connections to it stay.
    Killed,
}

/// A primary, its replica, and an address that leads to the first.
struct Pair {
    old: Redis,
    new: Redis,
    new_port: u16,
    address: Address,
}

impl Pair {
    fn start(arguments: &[&str]) -> Self {
        let ports = [free_port(), free_port()];
        let [old, new] = ports.map(|port| Redis::on_port(port, arguments));
        new.run::<()>(&["REPLICAOF", "127.0.0.1", &ports[0].to_string()]);
        new.until(&["INFO", "replication"], "master_link_status:up");
        old.until(&["INFO", "replication"], "state=online");
        Self { old, new, new_port: ports[1], address: Address::leading_to(ports[0]) }
    }

    /// The replica becomes the primary that the address leads to.
    fn promote(&self) {
        self.new.run::<()>(&["REPLICAOF", "NO", "ONE"]);
        self.new.run::<()>(&["CONFIG", "RESETSTAT"]);
        self.address.lead_to(self.new_port);
    }

    fn demote(&self) {
        self.old.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    }

    async fn store(&self) -> RedisStore {
        RedisStore::connect(&self.address.url(), RedisOptions::default()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_a_demoted_primary_leads_to_another_one() {
    follow(Fate::Demoted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_a_frozen_primary_leads_to_another_one() {
    follow(Fate::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_a_killed_primary_leads_to_another_one() {
    follow(Fate::Killed).await;
}

async fn follow(fate: Fate) {
    let mut pair = Pair::start(&[]);
    let (busy, idle) = (pair.store().await, pair.store().await);
    assert_eq!(idle.load(&key(u64::MAX)).await.unwrap(), None);
    let load = Load::start(&busy);
    tokio::time::sleep(Duration::from_millis(300)).await;

    let moved = Instant::now();
    pair.promote();
    match fate {
        Fate::Demoted => pair.demote(),
        Fate::Frozen => pair.old.pause(),
        Fate::Killed => pair.old.kill(),
    }
    tokio::time::sleep_until((moved + RECOVERED + Duration::from_millis(700)).into()).await;
    let (attempts, last_failure) = load.finish(moved + RECOVERED).await;
    println!("{fate:?}: last failure {:?} after the move", last_failure.map(|at| at - moved));

    // A store that was idle may fail once.
    let started = Instant::now();
    let mut failures = 0;
    while let Err(error) = idle.load(&key(u64::MAX)).await {
        assert!(error.is_retryable(), "{error:?}");
        failures += 1;
    }
    println!("{fate:?}: idle for {failures} failures and {:?}", started.elapsed());
    assert!(failures <= 1 && started.elapsed() < RECOVERED, "{fate:?}");
    assert_eq!(idle.swap(&key(u64::MAX), None, &record(1, later())).await.unwrap(), Swap::Stored);

    // The frozen one now runs what it was sent meanwhile.
    if fate == Fate::Frozen {
        pair.old.resume();
    }
    let at_old = if fate == Fate::Killed { 0 } else { pair.old.calls("set") };
    let run = at_old + pair.new.calls("set");
    assert!(run <= attempts + 1, "{run} of {attempts} swaps");
}

#[tokio::test]
async fn a_demoted_primary_is_not_read() {
    let pair = Pair::start(&[]);
    let idle = pair.store().await;
    let (stored, next) = (record(1, later()), record(2, later()));
    assert_eq!(idle.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    pair.new.until(&["DBSIZE"], "int(1)");
    pair.promote();
    pair.demote();
    assert_eq!(pair.store().await.swap(&key(1), Some(stored.tag), &next).await.unwrap(), Swap::Stored);

    assert_eq!(idle.load(&key(1)).await.unwrap(), Some(next));
}

#[tokio::test]
async fn a_swap_at_a_demoted_primary_fails_once() {
    let pair = Pair::start(&[]);
    let store = pair.store().await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    pair.new.until(&["DBSIZE"], "int(1)");
    pair.promote();
    pair.demote();
    let error = store.swap(&key(1), Some(stored.tag), &record(2, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, RedisStoreError::Refused { code } if &**code == "READONLY"), "{error:?}");
    assert_eq!(pair.new.calls("evalsha") + pair.new.calls("eval"), 0);
    assert_eq!(store.swap(&key(1), Some(stored.tag), &record(2, later())).await.unwrap(), Swap::Stored);
}

#[tokio::test]
async fn a_primary_that_lost_its_replicas_is_not_read() {
    let pair = Pair::start(&[]);
    let idle = pair.store().await;
    let (stored, next) = (record(1, later()), record(2, later()));
    assert_eq!(idle.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    pair.new.until(&["DBSIZE"], "int(1)");
    pair.old.run::<()>(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    // Nobody tells the old one.
    pair.promote();
    pair.old.until(&["INFO", "replication"], "connected_slaves:0");
    assert_eq!(pair.store().await.swap(&key(1), Some(stored.tag), &next).await.unwrap(), Swap::Stored);

    assert_eq!(idle.load(&key(1)).await.unwrap(), Some(next));
}

#[tokio::test]
async fn callers_with_less_patience_do_not_keep_a_dead_connection() {
    let pair = Pair::start(&[]);
    let store = pair.store().await;
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    pair.old.pause();
    pair.promote();
    let moved = Instant::now();
    let patience = Duration::from_millis(500);
    let mut given_up = 0;
    while tokio::time::timeout(patience, store.load(&key(1))).await.is_err() {
        given_up += 1;
        assert!(moved.elapsed() < RECOVERED, "{given_up}");
    }
    println!("impatient: {given_up} given up, {:?}", moved.elapsed());
    assert!(given_up > 0);
    pair.old.resume();
}

/// Eight tasks that each insert a record of its own and load it, over and over.
struct Load {
    is_over: Arc<Mutex<bool>>,
    tasks: Vec<tokio::task::JoinHandle<Seen>>,
}

struct Seen {
    attempts: u64,
    /// When they began and ended.
    failures: Vec<(Instant, Instant)>,
    last_success: Instant,
}

impl Load {
    fn start(store: &RedisStore) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let is_over = Arc::new(Mutex::new(false));
        let tasks = (0..8).map(|_| {
            let (store, is_over) = (store.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut seen = Seen { attempts: 0, failures: Vec::new(), last_success: Instant::now() };
                while !*is_over.lock().unwrap() {
                    let number = NUMBER.fetch_add(1, SeqCst);
                    let stored = record(number, later());
                    let started = Instant::now();
                    seen.attempts += 1;
                    let done = match store.swap(&key(number), None, &stored).await {
                        Ok(swap) => {
                            // Sent twice, it would conflict with itself.
                            assert_eq!(swap, Swap::Stored, "{number}");
                            store.load(&key(number)).await.map(|_| ())
                        }
                        Err(error) => Err(error),
                    };
                    match done {
                        Ok(()) => seen.last_success = Instant::now(),
                        Err(error) => {
                            assert!(error.is_retryable(), "{error:?}");
                            seen.failures.push((started, Instant::now()));
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                seen
            })
        });
        let tasks = tasks.collect();
        Self { is_over, tasks }
    }

    /// Nothing that began after it had to work again has failed. Tells how many swaps were tried, and when the last
    /// failure was.
    async fn finish(self, recovered: Instant) -> (u64, Option<Instant>) {
        *self.is_over.lock().unwrap() = true;
        let (mut all, mut last) = (0, None);
        for task in self.tasks {
            let Seen { attempts, failures, last_success } = task.await.unwrap();
            all += attempts;
            assert!(failures.iter().all(|(started, _)| *started < recovered), "{failures:?}");
            assert!(last_success > recovered);
            last = last.max(failures.iter().map(|(_, at)| *at).max());
        }
        (all, last)
    }
}

const RECOVERED: Duration = Duration::from_secs(3);
