//! A store on a Redis that works.

mod support;

use otp_grant::Store;
use otp_grant::store::{Record, Swap};
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError, redis};
use otp_grant_stores_support::{self as login, key, later, now, record};
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_of_a_store() {
    let server = Redis::start();
    let url = server.url();
    let made = std::sync::atomic::AtomicUsize::new(0);
    // Stores that are made one after another see the same records, as hosts of one service do.
    let make = || {
        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        RedisStore::connect(&url, RedisOptions::default())
    };
    otp_grant::store::conformance::all(make).await.unwrap();
    assert!(made.into_inner() > 0);
}

#[tokio::test]
async fn a_login_is_six_commands() {
    let server = Redis::start();
    login::log_in(server.store().await).await;

    let mut commands = server.commands();
    let host = login::server(server.store_with(RedisOptions::default().prefix("other:")).await);
    redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut commands).unwrap();
    let (otp_token, code) = login::send(&host).await.unwrap();
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 200);
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut commands).unwrap();
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    // Two of the writes insert. The others are scripts, and each has a `SET` inside.
    let calls = ["getex", "set", "evalsha", "eval"].map(calls);
    assert_eq!(calls, [2, 4, 2, 0], "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_right_codes_on_two_hosts_are_one_login() {
    for _ in 0..5 {
        let server = Redis::start();
        login::fifty_right_codes(server.store().await, server.store().await).await;
    }
}

#[tokio::test]
async fn a_prefix_is_a_store_of_its_own() {
    let server = Redis::start();
    let one = server.store().await;
    let other = server.store_with(RedisOptions::default().prefix("{other}:")).await;
    assert_eq!(one.swap(&key(1), None, &record(1, later())).await.unwrap(), Swap::Stored);
    assert_eq!(other.load(&key(1)).await.unwrap(), None);
    assert_eq!(other.swap(&key(1), None, &record(2, later())).await.unwrap(), Swap::Stored);
    let mut names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.commands()).unwrap();
    names.sort();
    assert!(names[0].starts_with("otp-grant:") && names[1].starts_with("{other}:"), "{names:?}");
}

#[tokio::test]
async fn redis_deletes_a_minute_after_the_instant_of_the_record() {
    let server = Redis::start();
    let store = server.store().await;
    let (at, soon) = (later(), now() - 58_000);
    assert_eq!(store.swap(&key(1), None, &record(1, at)).await.unwrap(), Swap::Stored);
    let name: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.commands()).unwrap();
    let expires: u64 = redis::cmd("PEXPIRETIME").arg(&name).query(&mut server.commands()).unwrap();
    assert_eq!(expires, at + 60_000);

    // Each swap says it anew, earlier as well as later.
    let shorter = record(2, soon);
    assert_eq!(store.swap(&key(1), Some(record(1, 0).tag), &shorter).await.unwrap(), Swap::Stored);
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(shorter));
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
}

#[tokio::test]
async fn the_ends_of_time_are_neither_refused_nor_mistaken() {
    let server = Redis::start();
    let store = server.store().await;
    for (number, end) in [(1, u64::MAX), (2, i64::MAX.unsigned_abs()), (3, u64::MAX - 60_000), (4, 253_402_300_800_000)]
    {
        let (first, second) = (record(1, end), record(2, end));
        assert_eq!(store.swap(&key(number), None, &first).await.unwrap(), Swap::Stored);
        assert_eq!(store.load(&key(number)).await.unwrap(), Some(first.clone()), "{end}");
        assert_eq!(store.swap(&key(number), None, &second).await.unwrap(), Swap::Conflict, "{end}");
        assert_eq!(store.swap(&key(number), Some(first.tag), &second).await.unwrap(), Swap::Stored, "{end}");
    }
    // What may be deleted at once is gone at once, and answered for as such.
    for (number, past) in [(11, 0), (12, 1), (13, now() - 60_001)] {
        let first = record(1, past);
        assert_eq!(store.swap(&key(number), None, &first).await.unwrap(), Swap::Stored, "{past}");
        assert_eq!(store.load(&key(number)).await.unwrap(), None, "{past}");
        assert_eq!(store.swap(&key(number), Some(first.tag), &first).await.unwrap(), Swap::Conflict, "{past}");
        assert_eq!(store.swap(&key(number), None, &record(2, later())).await.unwrap(), Swap::Stored, "{past}");
        // A live record that is replaced by one that may be deleted.
        assert_eq!(store.swap(&key(number), Some(record(2, 0).tag), &first).await.unwrap(), Swap::Stored, "{past}");
        assert_eq!(store.load(&key(number)).await.unwrap(), None, "{past}");
    }
}

#[tokio::test]
async fn what_is_not_a_record_is_an_error_that_says_nothing_of_it() {
    let server = Redis::start();
    let store = server.store().await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let name: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.commands()).unwrap();
    let good: String = redis::cmd("GET").arg(&name).query(&mut server.commands()).unwrap();
    let bad = [
        "",
        "secret",
        "\u{0}\u{1}",
        &good[22..],
        &good[..good.len() - 1],
        &format!("AAAAAAAAAAAAAAAAAAAAAA{}", &good[22..].replace("AQAAAAAA", "secretAA")),
        &good.replacen("AQAAAAAA", "AgAAAAAA", 1),
    ];
    for bad in bad {
        redis::cmd("SET").arg(&name).arg(bad).exec(&mut server.commands()).unwrap();
        let error = store.load(&key(1)).await.unwrap_err();
        assert!(matches!(error, RedisStoreError::NotARecord) && !error.is_retryable(), "{bad}: {error}");
        assert!(!said(&error).contains("secret"), "{error:?}");
    }
    // A later version may have kinds of records that this one does not know. They are read, and the core does not
    // decide on them.
    redis::cmd("SET").arg(&name).arg(good.replace("authenticator", "other")).exec(&mut server.commands()).unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().body.kind(), "other");
    // Swaps go on by the tag alone, so a record of a later version is not overwritten by accident.
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Conflict);

    redis::cmd("DEL").arg(&name).exec(&mut server.commands()).unwrap();
    redis::cmd("HSET").arg(&name).arg("secret").arg("secret").exec(&mut server.commands()).unwrap();
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Conflict);
    for error in [
        store.load(&key(1)).await.unwrap_err(),
        store.swap(&key(1), Some(stored.tag), &stored).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, RedisStoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
        assert!(!said(&error).contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_says_its_code_and_no_more() {
    let server = Redis::with(&["--rename-command", "EVALSHA", "disabled"]);
    let store = server.store().await;
    let stored = record(1, later());
    let error = store.swap(&key(1), Some(stored.tag), &stored).await.map(|_| ()).unwrap_err();
    assert!(said(&error).starts_with("Redis refused the command: ERR (a command that it does not know"), "{error:?}");

    // No memory: it refuses, and forgets nothing.
    let server = Redis::start();
    let store = server.store().await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec(&mut server.commands()).unwrap();
    let error = store.swap(&key(1), Some(stored.tag), &record(2, later())).await.map(|_| ()).unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(said(&error), "Redis refused the command: OOM");
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(stored.clone()));
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).exec(&mut server.commands()).unwrap();
    assert_eq!(store.swap(&key(1), Some(stored.tag), &record(2, later())).await.unwrap(), Swap::Stored);
}

#[tokio::test]
async fn a_server_that_takes_no_writes_for_now_can_be_asked_again() {
    let server = Redis::start();
    let mut commands = server.commands();
    let store = server.store().await;
    let (stored, next) = (record(1, later()), record(2, later()));
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let mut refusal = async |change: &[&str], code: &str, back: &[&str]| {
        redis::cmd(change[0]).arg(&change[1..]).exec(&mut commands).unwrap();
        let error = store.swap(&key(1), Some(stored.tag), &next).await.map(|_| ()).unwrap_err();
        assert_eq!(said(&error), format!("Redis refused the command: {code}"));
        assert!(error.is_retryable(), "{error:?}");
        redis::cmd(back[0]).arg(&back[1..]).exec(&mut commands).unwrap();
    };
    // It was demoted; its primary is not there, or has too few replicas.
    refusal(&["REPLICAOF", "127.0.0.1", "1"], "READONLY", &["REPLICAOF", "NO", "ONE"]).await;
    let replicas = ["CONFIG", "SET", "min-replicas-to-write"];
    refusal(&[&replicas[..], &["1"]].concat(), "NOREPLICAS", &[&replicas[..], &["0"]].concat()).await;
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(stored.clone()));
    assert_eq!(store.swap(&key(1), Some(stored.tag), &next).await.unwrap(), Swap::Stored);
}

#[tokio::test]
async fn a_user_that_may_do_no_more_than_it_has_to() {
    let server = Redis::start();
    let mut acl = redis::cmd("ACL");
    acl.arg("SETUSER").arg("host").arg("on").arg(">secret").arg("~otp-grant:*");
    acl.arg("+getex").arg("+set").arg("+getrange").arg("+eval").arg("+evalsha").arg("+@connection");
    acl.exec(&mut server.commands()).unwrap();
    let url = format!("{}?user=host&pass=secret", server.url());
    login::log_in(RedisStore::connect(&url, RedisOptions::default()).await.unwrap()).await;
    let sizes = redis::cmd("KEYS").arg("*").query::<Vec<String>>(&mut server.commands()).unwrap().into_iter();
    let sizes = sizes.map(|key| redis::cmd("MEMORY").arg("USAGE").arg(key).query(&mut server.commands()).unwrap());
    println!("bytes: {:?}", sizes.collect::<Vec<u64>>());

    let other = RedisStore::connect(&url, RedisOptions::default().prefix("other:")).await.unwrap();
    let error = other.load(&key(1)).await.unwrap_err();
    assert_eq!(said(&error), "Redis refused the command: NOPERM");
    let wrong = url.replace("secret", "wrong");
    let error = RedisStore::connect(&wrong, RedisOptions::default()).await.unwrap_err();
    assert!(matches!(error, RedisStoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    assert!(!format!("{error:?}").contains("wrong"));
}

#[tokio::test]
async fn redis_may_forget_the_script() {
    let server = Redis::start();
    let store = server.store().await;
    let mut expected = None;
    for tag in 0..5 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut server.commands()).unwrap();
        let next = record(tag, later());
        assert_eq!(store.swap(&key(1), expected, &next).await.unwrap(), Swap::Stored);
        assert_eq!(store.swap(&key(1), expected, &next).await.unwrap(), Swap::Conflict);
        expected = Some(next.tag);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_hundred_swaps_wins() {
    let server = Redis::start();
    let stores = [server.store().await, server.store().await, server.store().await];
    for round in 0..20 {
        let nexts = (0..100).map(|number| record(number, later())).collect::<Vec<Record>>();
        let swaps = nexts.iter().enumerate().map(|(number, next)| {
            let store = stores[number % 3].clone();
            let next = next.clone();
            tokio::spawn(async move { store.swap(&key(round), None, &next).await.unwrap() })
        });
        let outcomes = futures::future::join_all(swaps).await;
        let won = outcomes.into_iter().enumerate().filter(|(_, swap)| *swap.as_ref().unwrap() == Swap::Stored);
        let won = won.map(|(number, _)| number).collect::<Vec<_>>();
        let [won] = won[..] else { panic!("{won:?}") };
        let stored = stores[0].load(&key(round)).await.unwrap().unwrap();
        assert_eq!(stored, nexts[won]);
        assert!(stored.body.kind() == "authenticator");
    }
}

/// All that a log would have of an error.
fn said(error: &RedisStoreError) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said += &format!(": {cause}");
        source = cause.source();
    }
    said
}
