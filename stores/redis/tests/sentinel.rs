//! A store on the primary that Sentinels name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError};
use otp_grant_stores_support::{self as login, key, later, record};
use support::*;

async fn store(url: &str) -> RedisStore {
    RedisStore::connect(url, RedisOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_of_sentinels_is_a_store() {
    let watched = Watched::start(1);
    let url = &watched.url;
    otp_grant::store::conformance::all(|| RedisStore::connect(url, RedisOptions::default())).await.unwrap();
    login::fifty_right_codes(store(url).await, store(url).await).await;
    assert_eq!(watched.servers[1].calls("getex"), 0);

    // Each server and Sentinel with a password of its own.
    for server in &watched.servers {
        let may = ["+getex", "+set", "+getrange", "+eval", "+evalsha", "+role", "+@connection"];
        server.run::<()>(&[&["ACL", "SETUSER", "host", "on", ">secret", "~otp-grant:*"], &may[..]].concat());
    }
    for sentinel in &watched.sentinels {
        let may = ["+sentinel|get-master-addr-by-name", "+sentinel|master", "+@connection"];
        sentinel.run::<()>(&[&["ACL", "SETUSER", "asker", "on", ">other"], &may[..]].concat());
    }
    let url = url.replace("://", "://host:secret@") + "?sentinel_username=asker&sentinel_password=other";
    assert_eq!(store(&url).await.load(&key(1)).await.unwrap(), None);
    let wrong = url.replace("secret", "wrong");
    let error = RedisStore::connect(&wrong, RedisOptions::default()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_follows_the_primary_without_being_told() {
    let watched = Watched::start(2);
    let (busy, idle) = (store(&watched.url).await, store(&watched.url).await);
    let [one, two, three] = [1, 2, 3].map(|tag| record(tag, later()));
    assert_eq!(idle.swap(&key(1), None, &one).await.unwrap(), Swap::Stored);
    for replica in &watched.servers[1..] {
        replica.until(&["DBSIZE"], "int(1)");
    }
    let new = watched.fail_over();
    watched.servers[new].until(&["INFO", "replication"], "role:master");
    let moved = Instant::now();
    while let Err(error) = busy.swap(&key(1), Some(one.tag), &two).await {
        assert!(error.is_retryable() && moved.elapsed() < RECOVERED, "{error:?}");
    }
    assert_eq!(idle.load(&key(1)).await.unwrap().map(|record| record.tag), Some(two.tag));
    assert_eq!(idle.swap(&key(1), Some(two.tag), &three).await.unwrap(), Swap::Stored);
}

/// The idle connection leads to a server that takes itself for the primary, and no command has failed on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_primary_that_wakes_up_is_not_read() {
    let watched = Watched::start(2);
    let idle = store(&watched.url).await;
    let (one, two) = (record(1, later()), record(2, later()));
    assert_eq!(idle.swap(&key(1), None, &one).await.unwrap(), Swap::Stored);
    for replica in &watched.servers[1..] {
        replica.until(&["DBSIZE"], "int(1)");
    }
    watched.servers[0].pause();
    watched.promoted();
    let other = store(&watched.url).await;
    assert_eq!(other.swap(&key(1), Some(one.tag), &two).await.unwrap(), Swap::Stored);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    watched.servers[0].resume();
    assert!(watched.servers[0].run::<String>(&["INFO", "replication"]).contains("role:master"));

    assert_eq!(idle.load(&key(1)).await.unwrap(), Some(two));
    assert_eq!(watched.servers[0].calls("getex"), 0);
}

/// A Sentinel that names one server for ever.
fn liar(port: u16, epoch: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                let reader = BufReader::new(client.try_clone().unwrap());
                for line in reader.lines().map_while(Result::ok) {
                    let address = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.to_string().len());
                    let epoch = format!("*2\r\n$12\r\nconfig-epoch\r\n${}\r\n{epoch}\r\n", epoch.to_string().len());
                    let answer = match &*line {
                        "GET-MASTER-ADDR-BY-NAME" => address,
                        "MASTER" => epoch,
                        "SETINFO" => "+OK\r\n".to_owned(),
                        _ => continue,
                    };
                    if client.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_server_that_a_sentinel_names_is_not_read() {
    let (servers, ports) = replicated(1, &[]);
    let stale = sentinel_url(&[liar(ports[1], 1)]);
    let error = RedisStore::connect(&stale, RedisOptions::default()).await.unwrap_err();
    assert!(matches!(&error, RedisStoreError::Refused { code } if &**code == "READONLY"), "{error:?}");
    assert_eq!(servers[1].calls("getex") + servers[1].calls("set"), 0);
    // While it says so of itself, it is the primary.
    servers[1].run::<()>(&["REPLICAOF", "NO", "ONE"]);
    store(&stale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sentinel_that_knows_the_latest_failover_is_believed() {
    // Both take themselves for the primary.
    let servers = [free_port(), free_port()].map(|port| (Redis::on_port(port, &[]), port));
    let [(former, former_port), (present, present_port)] = &servers;
    let url = sentinel_url(&[liar(*former_port, 3), liar(*present_port, 4), liar(*former_port, 3), free_port()]);
    for number in 0..5 {
        assert_eq!(store(&url).await.swap(&key(number), None, &record(1, later())).await.unwrap(), Swap::Stored);
    }
    assert_eq!((former.calls("set"), present.calls("set")), (0, 5));
}

#[tokio::test]
async fn what_is_wrong_with_sentinels_is_an_error() {
    let watched = Watched::start(1);
    let unknown = watched.url.replace("/main", "/other");
    let nobody = sentinel_url(&[free_port(), free_port()]);
    let no_sentinel = sentinel_url(&watched.ports);
    for (url, is_retryable) in [(&unknown, false), (&nobody, true), (&no_sentinel, false)] {
        let started = Instant::now();
        let error = RedisStore::connect(url, RedisOptions::default()).await.unwrap_err();
        assert_eq!(error.is_retryable(), is_retryable, "{url}: {error:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{url}");
    }
    // One Sentinel of four is enough.
    let one = watched.url.replace("://", &format!("://127.0.0.1:{},127.0.0.1:{},", free_port(), free_port()));
    store(&one).await;
}

const RECOVERED: Duration = Duration::from_secs(3);
