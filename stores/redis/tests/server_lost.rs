//! A Redis that is not there, hangs, or dies and comes back.

mod support;

use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError, redis};
use otp_grant_stores_support::{self as login, key, later, record};
use support::*;

#[tokio::test]
async fn a_refused_connection_is_an_error_that_can_be_retried() {
    for url in [format!("redis://127.0.0.1:{}", free_port()), "redis+unix:///nonexistent/redis.sock".to_owned()] {
        let error = RedisStore::connect(&url, RedisOptions::default()).await.unwrap_err();
        assert!(matches!(error, RedisStoreError::Connection(_)) && error.is_retryable(), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
    for url in ["", "garbage", "http://localhost", "redis://:secret@localhost:port", "redis://:secret@localhost/none"] {
        let error = RedisStore::connect(url, RedisOptions::default()).await.unwrap_err();
        assert!(matches!(error, RedisStoreError::Configuration(_)) && !error.is_retryable(), "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_timeout_and_no_more() {
    let server = Redis::start();
    let limit = Duration::from_millis(300);
    let options = RedisOptions::default().command_timeout(limit).connection_timeout(limit);
    let store = server.store_with(options.clone()).await;
    let stored = record(1, later());
    // The second one leaves the script with the server.
    assert_eq!(store.swap(&key(1), None, &record(0, later())).await.unwrap(), Swap::Stored);
    assert_eq!(store.swap(&key(1), Some(record(0, 0).tag), &stored).await.unwrap(), Swap::Stored);

    server.pause();
    let started = Instant::now();
    let error = store.swap(&key(1), Some(stored.tag), &record(2, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, RedisStoreError::Timeout), "{error:?}");
    let error = store.load(&key(1)).await.unwrap_err();
    assert!(matches!(error, RedisStoreError::Timeout) && error.is_retryable(), "{error:?}");
    let error = RedisStore::connect(&server.url(), options).await.unwrap_err();
    assert!(matches!(error, RedisStoreError::Timeout), "{error:?}");
    let took = started.elapsed();
    // A busy machine takes its time; a retry inside would take another limit each.
    assert!(took >= 3 * limit && took < 12 * limit, "{took:?}");

    server.resume();
    // The swap that got no answer was applied all the same; the core would see its tag here.
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().tag, record(2, 0).tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_crash() {
    let mut server = Redis::durable();
    let store = server.store().await;
    for round in 0..3 {
        // Each task counts up its record until the server is gone, and says what it was promised.
        let tasks = (0..20).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let key = key(1000 * round + number);
                let mut acknowledged = 0;
                let mut expected = None;
                loop {
                    let next = record(acknowledged + 1, later());
                    match store.swap(&key, expected, &next).await {
                        Ok(swap) => assert_eq!(swap, Swap::Stored),
                        Err(error) => {
                            assert!(error.is_retryable(), "{error:?}");
                            return (key, acknowledged);
                        }
                    }
                    expected = Some(next.tag);
                    acknowledged += 1;
                }
            })
        });
        let tasks = tasks.collect::<Vec<_>>();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.kill();
        let promised = futures::future::join_all(tasks).await;
        let error = store.load(&key(0)).await.unwrap_err();
        assert!(matches!(error, RedisStoreError::Connection(_)) && error.is_retryable(), "{error:?}");

        server.restart();
        let mut total = 0;
        for promise in promised {
            let (key, acknowledged) = promise.unwrap();
            let stored = store.load(&key).await.unwrap().map(|record| record.tag);
            // The one swap that got no answer may have been applied.
            let tag = |count: u64| (count > 0).then(|| record(count, 0).tag);
            assert!(stored == tag(acknowledged) || stored == tag(acknowledged + 1), "{stored:?} {acknowledged}");
            total += acknowledged;
        }
        assert!(total > 100, "{total}");
    }
}

#[tokio::test]
async fn a_login_fails_while_the_server_is_gone_and_works_when_it_is_back() {
    let mut server = Redis::durable();
    let host = login::server(server.store().await);
    let (otp_token, code) = login::send(&host).await.unwrap();
    server.kill();
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 503);
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 503);
    server.restart();
    // The first request after the return already works.
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 200);
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 400);
    // The same when nobody asked in between.
    server.kill();
    server.restart();
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 400);
}

#[tokio::test]
async fn a_swap_is_sent_once_over_a_connection_that_was_lost() {
    let server = Redis::start();
    let store = server.store().await;
    let mut commands = server.commands();
    let mut expected = None;
    for tag in 0..5 {
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut commands).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let next = record(tag, later());
        let error = store.swap(&key(1), expected, &next).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, RedisStoreError::Connection(_)) && error.is_retryable(), "{error:?}");
        assert_eq!(store.load(&key(1)).await.unwrap().map(|record| record.tag), expected);
        assert_eq!(store.swap(&key(1), expected, &next).await.unwrap(), Swap::Stored);
        expected = Some(next.tag);
    }
}

#[tokio::test]
async fn a_refusal_to_connect_again_is_not_for_ever() {
    let server = Redis::start();
    let mut commands = server.commands();
    let mut change = |password: &str| {
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("host").arg("on").arg("resetpass").arg(password).arg("~*").arg("+@all");
        user.exec(&mut commands).unwrap();
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").exec(&mut commands).unwrap();
    };
    change(">secret");
    let url = format!("{}?user=host&pass=secret", server.url());
    let store = RedisStore::connect(&url, RedisOptions::default()).await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), None);

    // As while a Redis that was started anew doesn't know its users, or has no room for another client.
    change(">other");
    for _ in 0..3 {
        let error = store.load(&key(1)).await.unwrap_err();
        assert!(matches!(error, RedisStoreError::Refused { .. }), "{error:?}");
    }
    change(">secret");
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    assert_eq!(store.swap(&key(1), None, &record(1, later())).await.unwrap(), Swap::Stored);
}

#[tokio::test]
async fn a_client_that_was_made_elsewhere_costs_the_timeout_and_no_more() {
    let server = Redis::start();
    let client = redis::Client::open(server.url()).unwrap();
    let limit = Duration::from_millis(300);
    let store = RedisStore::connect_with(client, RedisOptions::default().command_timeout(limit)).await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    server.pause();
    let started = Instant::now();
    let error = tokio::time::timeout(10 * limit, store.load(&key(1))).await.unwrap().unwrap_err();
    assert!(matches!(error, RedisStoreError::Timeout), "{error:?}");
    let next = record(1, later());
    let first = key(1);
    let swap = store.swap(&first, None, &next);
    let error = tokio::time::timeout(10 * limit, swap).await.unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(error, RedisStoreError::Timeout), "{error:?}");
    let took = started.elapsed();
    assert!(took >= 2 * limit && took < 4 * limit, "{took:?}");
    server.resume();
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_an_error_that_can_be_retried() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    // It hangs up on two clients.
    let server = std::thread::spawn(move || listener.incoming().take(2).for_each(drop));
    for _ in 0..2 {
        let error = RedisStore::connect(&url, RedisOptions::default()).await.unwrap_err();
        assert!(matches!(error, RedisStoreError::Connection(_)) && error.is_retryable(), "{error:?}");
    }
    server.join().unwrap();
}
