//! What can make Redis forget is in a list, and what can't is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::time::Duration;

use otp_grant_redis::{DurabilityRiskKind, RedisOptions, RedisStore};
use support::*;

async fn kinds(store: &RedisStore) -> Vec<DurabilityRiskKind> {
    let risks = store.durability_risks().await.unwrap();
    assert!(risks.iter().all(|risk| risk.node.is_none() && risk.to_string().lines().count() == 1), "{risks:?}");
    risks.into_iter().map(|risk| risk.kind).collect()
}

#[tokio::test]
async fn each_setting_that_forgets_is_a_risk() {
    let server = Redis::durable();
    let store = server.store().await;
    assert_eq!(kinds(&store).await, []);
    let set = |name: &str, value: &str| server.run::<()>(&["CONFIG", "SET", name, value]);

    set("maxmemory-policy", "allkeys-lru");
    let eviction = |is_limited| DurabilityRiskKind::Eviction { policy: "allkeys-lru".to_owned(), is_limited };
    assert_eq!(kinds(&store).await, [eviction(false)]);
    set("maxmemory", "100mb");
    assert_eq!(kinds(&store).await, [eviction(true)]);
    set("maxmemory-policy", "noeviction");
    assert_eq!(kinds(&store).await, []);

    set("appendfsync", "everysec");
    let late = DurabilityRiskKind::LateFsync { appendfsync: "everysec".to_owned() };
    assert_eq!(kinds(&store).await, [late]);
    set("appendonly", "no");
    assert_eq!(kinds(&store).await, [DurabilityRiskKind::NoPersistence]);
    set("save", "3600 1");
    assert_eq!(kinds(&store).await, [DurabilityRiskKind::NoAppendOnlyFile]);
    set("appendonly", "yes");
    set("appendfsync", "always");

    let waiting = server.store_with(RedisOptions::default().wait_for_replicas(2, Duration::from_millis(100))).await;
    assert_eq!(kinds(&waiting).await, [DurabilityRiskKind::TooFewReplicas { connected: 0, required: 2 }]);
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_a_risk() {
    let server = Redis::durable();
    server.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    server.run::<()>(&["CONFIG", "SET", "appendfsync", "no"]);
    let url = server.url() + "?user=host&pass=secret";
    let may = |more: &[&str]| {
        let may = ["ACL", "SETUSER", "host", "on", ">secret", "~otp-grant:*", "+getex", "+@connection"];
        server.run::<()>(&[&may[..], more].concat());
    };
    may(&[]);
    let store = RedisStore::connect(&url, RedisOptions::default()).await.unwrap();
    assert_eq!(kinds(&store).await, [DurabilityRiskKind::Unknown]);
    // As at a managed service: INFO alone.
    may(&["+info"]);
    let eviction = DurabilityRiskKind::Eviction { policy: "allkeys-lru".to_owned(), is_limited: false };
    assert_eq!(kinds(&store).await, std::slice::from_ref(&eviction));
    may(&["+config|get"]);
    assert_eq!(kinds(&store).await, [eviction, DurabilityRiskKind::LateFsync { appendfsync: "no".to_owned() }]);
}
