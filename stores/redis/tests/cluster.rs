//! A store on three Redis nodes that share the keys.
#![cfg(feature = "cluster")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::time::{Duration, Instant};

use otp_grant::{Store, Swap};
use otp_grant_redis::{RedisOptions, RedisStore, redis};
use support::login::{self, key, later, record};
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
    let port = port.to_string();
    Redis::with(&["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", &port, "--appendonly", "no"])
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
    otp_grant::conformance::all(
        || async move { RedisStore::connect_cluster(&[&urls[0]], RedisOptions::default()).await },
    )
    .await
    .unwrap();
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
    let (nodes, urls) = cluster();
    let urls = urls.each_ref().map(|url| &**url);
    let stored = (0..50).map(|number| record(number, later())).collect::<Vec<_>>();
    let store = async || RedisStore::connect_cluster(&urls, RedisOptions::default()).await.unwrap();
    let primary: String = redis::cmd("CLUSTER").arg("MYID").query(&mut nodes[0].commands()).unwrap();
    let replica_port = free_port();
    let replica = node(replica_port);
    let mut commands = replica.commands();
    let port = urls[0].rsplit(':').next().unwrap();
    redis::cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port).exec(&mut commands).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let until = |node: &Redis, command: [&str; 2], shown: &str| loop {
        let answer: redis::Value = redis::cmd(command[0]).arg(command[1]).query(&mut node.commands()).unwrap();
        if format!("{answer:?}").contains(shown) {
            break;
        }
        assert!(Instant::now() < deadline, "{command:?} never shows {shown}");
        std::thread::sleep(Duration::from_millis(50));
    };
    until(&replica, ["CLUSTER", "NODES"], &primary);
    redis::cmd("CLUSTER").arg("REPLICATE").arg(&primary).exec(&mut commands).unwrap();
    until(&replica, ["INFO", "replication"], "master_link_status:up");
    let writer = store().await;
    for (number, stored) in (0..).zip(&stored) {
        assert_eq!(writer.swap(&key(number), None, stored).await.unwrap(), Swap::Stored);
    }
    // A replica is shown to clients when it is known to have got something.
    for node in &nodes {
        until(node, ["CLUSTER", "SLOTS"], &format!("int({replica_port})"));
    }

    let reader = store().await;
    for (number, stored) in (0..).zip(stored) {
        assert_eq!(reader.load(&key(number)).await.unwrap(), Some(stored));
    }
    let calls = |node: &Redis| redis::cmd("INFO").arg("commandstats").query::<String>(&mut node.commands()).unwrap();
    assert!(calls(&nodes[0]).contains("cmdstat_getex:"));
    assert!(!calls(&replica).contains("cmdstat_getex:"), "{}", calls(&replica));
}
