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
    let nodes = ports.map(|port| {
        let port = port.to_string();
        Redis::with(&["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--port", &port, "--appendonly", "no"])
    });
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
