//! A store on three Redis nodes that share the keys.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError, redis};
use otp_grant_stores_support::{self as login, key, later, record};
use support::*;

/// Three nodes, each with a third of the slots.
fn cluster() -> ([Redis; 3], [String; 3]) {
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let nodes = ports.map(node);
    for ((node, (first, last)), port) in nodes.iter().zip([(0, 5460), (5461, 10922), (10923, 16383)]).zip(ports) {
        let mut commands = node.commands();
        redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last).exec(&mut commands).unwrap();
        redis::cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(first + 1).exec(&mut commands).unwrap();
        if port != ports[0] {
            redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(ports[0]).exec(&mut commands).unwrap();
        }
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    for node in &nodes {
        loop {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.commands()).unwrap();
            if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                break;
            }
            assert!(Instant::now() < deadline, "{info}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    (nodes, ports.map(|port| format!("redis://127.0.0.1:{port}")))
}

fn node(port: u16) -> Redis {
    Redis::on_port(port, &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"])
}

/// Three nodes and a replica of the first one.
struct Replicated {
    nodes: [Redis; 3],
    urls: [String; 3],
    replica: Redis,
}

impl Replicated {
    fn start() -> Self {
        let (nodes, urls) = cluster();
        let port = free_port();
        let replica = node(port);
        let primary: String = nodes[0].run(&["CLUSTER", "MYID"]);
        replica.run::<()>(&["CLUSTER", "MEET", "127.0.0.1", urls[0].rsplit(':').next().unwrap()]);
        replica.until(&["CLUSTER", "NODES"], &primary);
        replica.run::<()>(&["CLUSTER", "REPLICATE", &primary]);
        replica.until(&["INFO", "replication"], "master_link_status:up");
        // A replica is shown to clients when it is known to have got something.
        for node in &nodes {
            node.until(&["CLUSTER", "SLOTS"], &format!("int({port})"));
        }
        Self { nodes, urls, replica }
    }

    async fn store(&self) -> RedisStore {
        RedisStore::connect_cluster(&self.urls.each_ref().map(|url| &**url), RedisOptions::default()).await.unwrap()
    }

    /// The former replica sends nothing to its own replicas any more.
    fn cut_link(&self) {
        self.replica.run::<()>(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
        self.replica.run::<()>(&["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// The numbers of keys that belong to the first node or its successor.
    fn keys_of_first(&self) -> impl Iterator<Item = u64> {
        (0..).filter(|number| {
            let name = format!("otp-grant:{}", String::from(key(*number)));
            self.nodes[1].run::<u64>(&["CLUSTER", "KEYSLOT", &name]) <= 5460
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_a_store() {
    let (nodes, urls) = cluster();
    let [first, second, _] = &urls;
    let store = async |url: &str| RedisStore::connect_cluster(&[url], RedisOptions::default()).await.unwrap();
    let (one, other) = (store(first).await, store(second).await);
    for number in 0..100 {
        let stored = record(number, later());
        assert_eq!(one.swap(&key(number), None, &stored).await.unwrap(), Swap::Stored);
        assert_eq!(other.load(&key(number)).await.unwrap(), Some(stored.clone()));
        assert_eq!(other.swap(&key(number), None, &stored).await.unwrap(), Swap::Conflict);
        assert_eq!(other.swap(&key(number), Some(stored.tag), &record(1000, later())).await.unwrap(), Swap::Stored);
    }
    for node in &nodes {
        let keys: u64 = redis::cmd("DBSIZE").query(&mut node.commands()).unwrap();
        assert!((10..=60).contains(&keys), "{keys}");
    }
    login::fifty_right_codes(one, other).await;
    let urls = &urls;
    otp_grant::store::conformance::all(|| async move {
        RedisStore::connect_cluster(&[&urls[0]], RedisOptions::default()).await
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_named_by_one_url() {
    let (nodes, urls) = cluster();
    let hosts = urls.each_ref().map(|url| url.trim_start_matches("redis://"));
    let url = format!("redis+cluster://127.0.0.1:{},{}/", free_port(), hosts[1..].join(","));
    otp_grant::store::conformance::all(|| RedisStore::connect(&url, RedisOptions::default())).await.unwrap();
    assert!(nodes.iter().all(|node| node.calls("getex") > 0));

    // Each node has its own risks.
    nodes[1].run::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let store = RedisStore::connect(&url, RedisOptions::default()).await.unwrap();
    let risks = store.durability_risks().await.unwrap();
    let of = |host: &str| risks.iter().filter(|risk| risk.node.as_deref() == Some(host)).count();
    assert_eq!(hosts.map(of), [1, 2, 1], "{risks:?}");
    assert!(risks.iter().all(|risk| risk.to_string().contains("127.0.0.1:")), "{risks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_waits_for_the_replicas_of_its_own_node() {
    let cluster = Replicated::start();
    let options = RedisOptions::default().wait_for_replicas(1, Duration::from_millis(300));
    let store = RedisStore::connect_cluster(&cluster.urls.each_ref().map(|url| &**url), options).await.unwrap();
    let of_first = cluster.keys_of_first().take(2).collect::<Vec<_>>();
    let of_another = (0..).find(|number| !cluster.keys_of_first().take(1000).any(|other| other == *number)).unwrap();
    assert_eq!(store.swap(&key(of_first[0]), None, &record(1, later())).await.unwrap(), Swap::Stored);
    assert_eq!(cluster.nodes[0].calls("wait"), 1);
    let error = store.swap(&key(of_another), None, &record(1, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, RedisStoreError::NotReplicated), "{error:?}");
    // The other node's lack of a replica is not the first one's.
    assert!(store.load(&key(of_first[0])).await.unwrap().is_some());
    cluster.replica.pause();
    let error = store.swap(&key(of_first[1]), None, &record(1, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, RedisStoreError::NotReplicated), "{error:?}");
    let error = store.load(&key(of_first[1])).await.unwrap_err();
    assert!(matches!(error, RedisStoreError::NotReplicated), "{error:?}");
    cluster.replica.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_may_move() {
    let (nodes, urls) = cluster();
    let store = RedisStore::connect_cluster(&[&urls[0]], RedisOptions::default()).await.unwrap();
    // An empty slot changes its owner behind the back of the client.
    let (name, slot) = (0..)
        .map(|number| {
            let name = format!("otp-grant:{}", String::from(key(number)));
            let slot: u64 = redis::cmd("CLUSTER").arg("KEYSLOT").arg(&name).query(&mut nodes[0].commands()).unwrap();
            (number, slot)
        })
        .find(|(_, slot)| *slot <= 5460)
        .unwrap();
    let owner: String = redis::cmd("CLUSTER").arg("MYID").query(&mut nodes[1].commands()).unwrap();
    for node in [&nodes[1], &nodes[0], &nodes[2]] {
        let mut commands = node.commands();
        redis::cmd("CLUSTER").arg("SETSLOT").arg(slot).arg("NODE").arg(&owner).exec(&mut commands).unwrap();
    }
    let stored = record(1, later());
    assert_eq!(store.swap(&key(name), None, &stored).await.unwrap(), Swap::Stored);
    assert_eq!(store.load(&key(name)).await.unwrap(), Some(stored));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replica_is_asked() {
    let cluster = Replicated::start();
    let stored = (0..50).map(|number| record(number, later())).collect::<Vec<_>>();
    let writer = cluster.store().await;
    for (number, stored) in (0..).zip(&stored) {
        assert_eq!(writer.swap(&key(number), None, stored).await.unwrap(), Swap::Stored);
    }
    let reader = cluster.store().await;
    for (number, stored) in (0..).zip(stored) {
        assert_eq!(reader.load(&key(number)).await.unwrap(), Some(stored));
    }
    assert!(cluster.nodes[0].calls("getex") > 0);
    assert_eq!(cluster.replica.calls("getex"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_node_is_not_read() {
    let cluster = Replicated::start();
    let (one, other) = (cluster.store().await, cluster.store().await);
    let keys = cluster.keys_of_first().take(20).collect::<Vec<_>>();
    for number in &keys {
        assert_eq!(one.swap(&key(*number), None, &record(1, later())).await.unwrap(), Swap::Stored);
    }
    cluster.replica.until(&["DBSIZE"], "int(20)");
    cluster.replica.run::<()>(&["CLUSTER", "FAILOVER"]);
    cluster.nodes[0].until(&["INFO", "replication"], "role:slave");
    cluster.nodes[0].until(&["INFO", "replication"], "master_link_status:up");
    cluster.cut_link();
    cluster.nodes[0].until(&["INFO", "replication"], "master_link_status:down");

    // One host replaces each record, as a sign-out does. The other host has not heard of the failover.
    for number in &keys {
        let revoked = other.swap(&key(*number), Some(record(1, 0).tag), &record(2, later())).await.unwrap();
        assert_eq!(revoked, Swap::Stored);
        assert_eq!(one.load(&key(*number)).await.unwrap().unwrap().tag, record(2, 0).tag);
        let again = one.swap(&key(*number), Some(record(1, 0).tag), &record(3, later())).await.unwrap();
        assert_eq!(again, Swap::Conflict);
    }
    // A new store that is told of the demoted node only.
    let new = RedisStore::connect_cluster(&[&cluster.urls[0]], RedisOptions::default()).await.unwrap();
    for number in &keys {
        assert_eq!(new.load(&key(*number)).await.unwrap().unwrap().tag, record(2, 0).tag);
    }
    assert_eq!(cluster.nodes[0].calls("evalsha"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slots_of_a_frozen_node_are_served_by_its_successor() {
    let cluster = Replicated::start();
    let (busy, idle) = (cluster.store().await, cluster.store().await);
    let mut keys = cluster.keys_of_first();
    let first = keys.next().unwrap();
    let stored = record(1, later());
    assert_eq!(idle.swap(&key(first), None, &stored).await.unwrap(), Swap::Stored);
    cluster.replica.until(&["DBSIZE"], "int(1)");
    let keys = keys.take(1000).collect::<Vec<_>>();

    cluster.nodes[0].pause();
    let frozen = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let numbers = Arc::new(Mutex::new(keys));
    let tasks = (0..4).map(|_| {
        let (busy, is_over, numbers) = (busy.clone(), Arc::clone(&is_over), Arc::clone(&numbers));
        tokio::spawn(async move {
            let (mut attempts, mut failures, mut stored) = (0, Vec::new(), Vec::new());
            while !is_over.load(SeqCst) {
                let number = numbers.lock().unwrap().pop().unwrap();
                let started = Instant::now();
                attempts += 1;
                match busy.swap(&key(number), None, &record(number, later())).await {
                    // Sent twice, it would conflict with itself.
                    Ok(swap) => {
                        assert_eq!(swap, Swap::Stored);
                        stored.push(number);
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{error:?}");
                        failures.push((started, Instant::now()));
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (attempts, failures, stored)
        })
    });
    let tasks = tasks.collect::<Vec<_>>();
    cluster.replica.until(&["INFO", "replication"], "role:master");
    let promoted = Instant::now();
    println!("promoted {:?} after the freeze", promoted - frozen);
    tokio::time::sleep_until((promoted + RECOVERED + Duration::from_millis(500)).into()).await;
    is_over.store(true, SeqCst);
    let (mut attempts, mut acknowledged, mut last_failure) = (0, Vec::new(), promoted);
    for task in tasks {
        let (more, failures, stored) = task.await.unwrap();
        attempts += more;
        assert!(failures.iter().all(|(started, _)| *started < promoted + RECOVERED), "{failures:?}");
        last_failure = failures.iter().map(|(_, at)| *at).max().unwrap_or(promoted).max(last_failure);
        assert!(!stored.is_empty());
        acknowledged.extend(stored);
    }
    println!("busy: last failure {:?} after the promotion", last_failure - promoted);

    // A store that was idle may fail once.
    let started = Instant::now();
    let mut failures = 0;
    while let Err(error) = idle.load(&key(first)).await {
        assert!(error.is_retryable(), "{error:?}");
        failures += 1;
    }
    println!("idle: {failures} failures and {:?}", started.elapsed());
    assert!(failures <= 1 && started.elapsed() < RECOVERED, "{failures}");
    let revoked = record(2, later());
    assert_eq!(idle.swap(&key(first), Some(stored.tag), &revoked).await.unwrap(), Swap::Stored);

    // The frozen node goes on. It hears that it was replaced, but gets nothing from its successor.
    cluster.cut_link();
    cluster.nodes[0].resume();
    cluster.nodes[0].until(&["INFO", "replication"], "role:slave");
    for store in [&busy, &idle, &cluster.store().await] {
        assert_eq!(store.load(&key(first)).await.unwrap(), Some(revoked.clone()));
        assert_eq!(store.swap(&key(first), Some(stored.tag), &record(3, later())).await.unwrap(), Swap::Conflict);
        for number in &acknowledged {
            assert_eq!(store.load(&key(*number)).await.unwrap().unwrap().tag, record(*number, 0).tag);
        }
    }
    let run = cluster.nodes[0].calls("set") + cluster.replica.calls("set");
    // The first was run at both, as the one told the other; then it was replaced once.
    assert!(run <= attempts + 3, "{run} of {attempts}");
}

/// While a slot is being moved, the old owner answers `ASK` for keys that it does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_on_its_way_is_asked_for_at_both_ends() {
    let (nodes, urls) = cluster();
    // With a user that may do no more than it has to.
    for node in &nodes {
        let may = ["+getex", "+set", "+getrange", "+eval", "+evalsha", "+@connection", "+cluster|slots"];
        node.run::<()>(&[&["ACL", "SETUSER", "host", "on", ">secret", "~otp-grant:*"], &may[..]].concat());
    }
    let url = urls[0].replace("redis://", "redis://host:secret@");
    let store = RedisStore::connect_cluster(&[&url], RedisOptions::default()).await.unwrap();
    let of_first = |number: &u64| {
        let name = format!("otp-grant:{}", String::from(key(*number)));
        nodes[1].run::<u64>(&["CLUSTER", "KEYSLOT", &name]) <= 5460
    };
    let number = (0..).find(of_first).unwrap();
    let name = format!("otp-grant:{}", String::from(key(number)));
    let slot = nodes[0].run::<u64>(&["CLUSTER", "KEYSLOT", &name]).to_string();
    let [from, to] = [0, 1].map(|node| nodes[node].run::<String>(&["CLUSTER", "MYID"]));
    nodes[1].run::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
    nodes[0].run::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    let [one, two, three] = [1, 2, 3].map(|tag| record(tag, later()));
    assert_eq!(store.load(&key(number)).await.unwrap(), None);
    assert_eq!(store.swap(&key(number), None, &one).await.unwrap(), Swap::Stored);
    assert_eq!(store.swap(&key(number), None, &two).await.unwrap(), Swap::Conflict);
    assert_eq!(store.swap(&key(number), Some(one.tag), &two).await.unwrap(), Swap::Stored);
    assert_eq!(store.load(&key(number)).await.unwrap(), Some(two.clone()));
    assert_eq!([nodes[0].run::<u64>(&["DBSIZE"]), nodes[1].run(&["DBSIZE"])], [0, 1]);
    for node in [1, 0, 2] {
        nodes[node].run::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
    }
    assert_eq!(store.swap(&key(number), Some(two.tag), &three).await.unwrap(), Swap::Stored);
    assert_eq!(store.load(&key(number)).await.unwrap(), Some(three));
}

#[tokio::test]
async fn what_is_no_cluster_is_an_error() {
    let alone = Redis::on_port(free_port(), &[]);
    let lonely = node(free_port());
    let port = |server: &Redis| server.run::<Vec<String>>(&["CONFIG", "GET", "port"]).remove(1);
    for (url, is_retryable) in [
        (format!("redis://127.0.0.1:{}", free_port()), true),
        (format!("redis://127.0.0.1:{}", port(&alone)), false),
        (format!("redis://127.0.0.1:{}", port(&lonely)), true),
        (alone.url(), false),
    ] {
        let error = RedisStore::connect_cluster(&[&url], RedisOptions::default()).await.unwrap_err();
        assert_eq!(error.is_retryable(), is_retryable, "{url}: {error:?}");
    }
    let error = RedisStore::connect_cluster(&[], RedisOptions::default()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
}

/// The slots must be served again within this time after a promotion.
const RECOVERED: Duration = Duration::from_secs(3);
