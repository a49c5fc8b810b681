//! A store on PostgreSQL.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::store::{Record, Swap};
use otp_grant::time::Timestamp;
use otp_grant_sql::{PostgresStore, SqlOptions, SqlStoreError};
use otp_grant_stores_support::postgres::Postgres;
use otp_grant_stores_support::{self as login, key, later, now, record};
use rustix::process::{Pid, Signal, kill_process};
use support::said;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_of_a_store() {
    let server = Postgres::start();
    support::store(&server).await;
    let url = server.url();
    let options = SqlOptions::default().max_connections(4);
    otp_grant::store::conformance::all(|| PostgresStore::connect(&url, options.clone())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_log_in() {
    let server = Postgres::start();
    login::log_in(support::store(&server).await).await;
    for _ in 0..5 {
        server.statements().await.batch_execute("DELETE FROM otp_grant_records").await.unwrap();
        login::fifty_right_codes(support::store(&server).await, support::store(&server).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_a_hundred_swaps_wins_whatever_the_server_defaults_to() {
    let server = Postgres::with(&["fsync=off", "default_transaction_isolation=serializable"]);
    let stores = [support::store(&server).await, support::store(&server).await];
    for round in 0..20 {
        let mut expected = None;
        for step in 0..3 {
            let nexts = (0..100).map(|number| record(1000 * step + number, later())).collect::<Vec<Record>>();
            let swaps = nexts.iter().enumerate().map(|(number, next)| {
                let (store, next) = (stores[number % 2].clone(), next.clone());
                tokio::spawn(async move { store.swap(&key(round), expected, &next).await.unwrap() })
            });
            let outcomes = futures::future::join_all(swaps).await;
            let won = outcomes.into_iter().zip(&nexts).filter(|(swap, _)| *swap.as_ref().unwrap() == Swap::Stored);
            let won = won.map(|(_, next)| next).collect::<Vec<_>>();
            let [won] = won[..] else { panic!("{}", won.len()) };
            assert_eq!(stores[0].load(&key(round)).await.unwrap().as_ref(), Some(won));
            expected = Some(won.tag);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_migrate_at_the_same_time_and_again() {
    let server = Postgres::start();
    let store = PostgresStore::connect(&server.url(), SqlOptions::default()).await.unwrap();
    let error = store.load(&key(1)).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    assert_eq!(said(&error), "the database refused the statement: 42P01");
    let migrations = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.migrate().await })
    });
    for migration in futures::future::join_all(migrations).await {
        migration.unwrap().unwrap();
    }
    store.migrate().await.unwrap();

    // A host that may use the table and not create one.
    let statements = server.statements().await;
    let grants = "CREATE ROLE host LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT SELECT, INSERT, UPDATE, DELETE ON otp_grant_records TO host";
    statements.batch_execute(grants).await.unwrap();
    let url = server.url().replace("user=postgres", "user=host");
    let store = PostgresStore::connect(&url, SqlOptions::default()).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.swap(&key(1), None, &record(1, 0)).await.unwrap(), Swap::Stored);
    assert_eq!(store.purge(Timestamp::from_unix_millis(now()), 10).await.unwrap(), 1);

    // The table of another schema is another store.
    statements.batch_execute("CREATE SCHEMA login").await.unwrap();
    let url = format!("{}&options[search_path]=login", server.url());
    let login = PostgresStore::connect(&url, SqlOptions::default()).await.unwrap();
    login.migrate().await.unwrap();
    assert_eq!(login.swap(&key(1), None, &record(1, later())).await.unwrap(), Swap::Stored);
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    let there = statements.query_one("SELECT count(*) FROM login.otp_grant_records", &[]).await.unwrap();
    assert_eq!(there.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn the_ends_of_time_are_neither_refused_nor_mistaken() {
    let server = Postgres::start();
    let store = support::store(&server).await;
    for (number, end) in [(1, u64::MAX), (2, i64::MAX.unsigned_abs()), (3, 0), (4, now() - 3_600_000)] {
        let (first, second) = (record(1, end), record(2, end));
        assert_eq!(store.swap(&key(number), None, &first).await.unwrap(), Swap::Stored);
        assert_eq!(store.load(&key(number)).await.unwrap(), Some(first.clone()), "{end}");
        assert_eq!(store.swap(&key(number), None, &second).await.unwrap(), Swap::Conflict, "{end}");
        assert_eq!(store.swap(&key(number), Some(first.tag), &second).await.unwrap(), Swap::Stored, "{end}");
    }
    assert_eq!(store.purge(Timestamp::from_unix_millis(u64::MAX), 10).await.unwrap(), 2);
    assert!(store.load(&key(1)).await.unwrap().is_some() && store.load(&key(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_not_a_record_is_an_error_that_says_nothing_of_it() {
    let server = Postgres::start();
    let store = support::store(&server).await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let statements = server.statements().await;
    let good = "CREATE TABLE good AS SELECT * FROM otp_grant_records";
    statements.batch_execute(good).await.unwrap();
    for change in ["value = 'secret'", "value = ''", "value = '{\"tag\":\"secret\"}'", "tag = 'secret'", "tag = ''"] {
        // Of a good row each time.
        let change = format!(
            "DELETE FROM otp_grant_records; INSERT INTO otp_grant_records SELECT * FROM good;
            UPDATE otp_grant_records SET {change}"
        );
        statements.batch_execute(&change).await.unwrap();
        let error = store.load(&key(1)).await.unwrap_err();
        assert!(matches!(error, SqlStoreError::NotARecord) && !error.is_retryable(), "{error:?}");
        assert!(!format!("{error:?} {}", said(&error)).contains("secret"), "{error:?}");
    }
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Conflict);
    assert_eq!(store.swap(&key(1), Some(stored.tag), &stored).await.unwrap(), Swap::Conflict);

    // A later version may have kinds of records that this one does not know. They are read, and the core does not
    // decide on them.
    let other = "DELETE FROM otp_grant_records; INSERT INTO otp_grant_records SELECT * FROM good;
        UPDATE otp_grant_records SET value = replace(value, 'authenticator', 'other')";
    statements.batch_execute(other).await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().body.kind(), "other");

    // A table that is not ours.
    statements.batch_execute("DROP TABLE otp_grant_records").await.unwrap();
    let other = "CREATE TABLE otp_grant_records (key BYTEA, tag TEXT, value BYTEA, delete_after BIGINT);
        INSERT INTO otp_grant_records SELECT decode(repeat('ff', 32), 'hex'), 'secret', 'secret', 0";
    statements.batch_execute(other).await.unwrap();
    for error in [
        store.load(&key(u64::MAX)).await.unwrap_err(),
        store.swap(&key(1), None, &stored).await.map(|_| ()).unwrap_err(),
        store.swap(&key(1), Some(stored.tag), &stored).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(!error.is_retryable(), "{error:?}");
        assert!(!format!("{error:?} {}", said(&error)).contains("secret"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_deletes_what_is_due_and_never_what_was_renewed() {
    let server = Postgres::start();
    let store = support::store(&server).await;
    let now = Timestamp::from_unix_millis(now());
    let due = |number| record(number, now.as_unix_millis() - 60_000);
    for number in 0..1000 {
        assert_eq!(store.swap(&key(number), None, &due(number)).await.unwrap(), Swap::Stored);
    }
    let live = record(0, now.as_unix_millis() - 59_999);
    assert_eq!(store.swap(&key(5000), None, &live).await.unwrap(), Swap::Stored);
    assert_eq!(store.purge(now, 0).await.unwrap(), 0);
    assert_eq!(store.purge(now, 7).await.unwrap(), 7);

    // A row that somebody holds is left alone, and nobody waits for it.
    let mut holder = server.statements().await;
    let transaction = holder.transaction().await.unwrap();
    let held = "UPDATE otp_grant_records SET delete_after = $1 WHERE key = $2";
    transaction.execute(held, &[&i64::MAX, &&key(999).as_bytes()[..]]).await.unwrap();

    let purges = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut deleted = 0;
            loop {
                match store.purge(now, 20).await.unwrap() {
                    0 => return deleted,
                    some => deleted += some,
                }
            }
        })
    });
    let purges = purges.collect::<Vec<_>>();
    let renewals = (0..999).rev().map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let renewed = record(number + 10_000, later());
            (number, store.swap(&key(number), Some(record(number, 0).tag), &renewed).await.unwrap())
        })
    });
    let renewals = futures::future::join_all(renewals).await;
    let deleted: u64 = futures::future::join_all(purges).await.into_iter().map(Result::unwrap).sum();
    let mut renewed = 0;
    for renewal in renewals {
        let (number, swap) = renewal.unwrap();
        let stored = store.load(&key(number)).await.unwrap().map(|record| record.tag);
        match swap {
            Swap::Stored => assert_eq!(stored, Some(record(number + 10_000, 0).tag)),
            Swap::Conflict => assert_eq!(stored, None),
        }
        renewed += u64::from(swap == Swap::Stored);
    }
    println!("{deleted} deleted, {renewed} renewed");
    assert_eq!(7 + deleted + renewed + 1, 1000);
    transaction.commit().await.unwrap();
    assert_eq!(store.purge(now, 1000).await.unwrap(), 0);
    assert!(store.load(&key(999)).await.unwrap().is_some());
    assert_eq!(store.load(&key(5000)).await.unwrap(), Some(live));
}

#[tokio::test]
async fn purge_takes_the_oldest_and_goes_by_what_was_swapped_last() {
    let server = Postgres::start();
    let store = support::store(&server).await;
    let now = Timestamp::from_unix_millis(now());
    let due = |number, seconds: u64| record(number, now.as_unix_millis() - 60_000 - 1000 * seconds);
    for (number, seconds) in [(1, 1), (2, 3), (3, 2)] {
        assert_eq!(store.swap(&key(number), None, &due(number, seconds)).await.unwrap(), Swap::Stored);
    }
    for gone in [2, 3, 1] {
        assert!(store.load(&key(gone)).await.unwrap().is_some());
        assert_eq!(store.purge(now, 1).await.unwrap(), 1);
        assert_eq!(store.load(&key(gone)).await.unwrap(), None);
    }

    // Later than at first, and earlier.
    let (early, late) = (due(1, 1), record(2, later()));
    for (number, first, second) in [(4, &early, &late), (5, &late, &early)] {
        assert_eq!(store.swap(&key(number), None, first).await.unwrap(), Swap::Stored);
        assert_eq!(store.swap(&key(number), Some(first.tag), second).await.unwrap(), Swap::Stored);
    }
    assert_eq!(store.purge(now, 10).await.unwrap(), 1);
    assert_eq!(store.load(&key(4)).await.unwrap(), Some(late));
    assert_eq!(store.load(&key(5)).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_connection_is_an_error_that_can_be_retried() {
    for url in ["postgres://postgres@127.0.0.1:1/postgres", "postgres:///postgres?user=postgres&host=/nonexistent"] {
        let error = PostgresStore::connect(url, SqlOptions::default()).await.unwrap_err();
        assert!(matches!(error, SqlStoreError::Connection(_)) && error.is_retryable(), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
    }
    for url in ["", "garbage", "postgres://u:secret@localhost:port/x", "postgres://u:secret@localhost/x?sslmode=none"] {
        let error = PostgresStore::connect(url, SqlOptions::default()).await.unwrap_err();
        assert!(matches!(error, SqlStoreError::Configuration(_)) && !error.is_retryable(), "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_the_timeout_and_no_more() {
    let server = Postgres::start();
    let limit = Duration::from_millis(300);
    let options = SqlOptions::default().timeout(limit).max_connections(3);
    let store = support::store_with(&server, options.clone()).await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);

    server.pause();
    let started = Instant::now();
    // More than there are connections.
    let first = key(1);
    let loads = futures::future::join_all((0..10).map(|_| store.load(&first))).await;
    for load in loads {
        let error = load.unwrap_err();
        assert!(matches!(error, SqlStoreError::Timeout) && error.is_retryable(), "{error:?}");
    }
    let error = store.swap(&key(1), Some(stored.tag), &record(2, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, SqlStoreError::Timeout), "{error:?}");
    let error = PostgresStore::connect(&server.url(), options).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Timeout), "{error:?}");
    let took = started.elapsed();
    assert!(took >= 3 * limit && took < 6 * limit, "{took:?}");
    server.resume();
    assert!(store.load(&key(1)).await.unwrap().is_some());

    // A lock that is held costs no more either, and the server gives up as well.
    let mut holder = server.statements().await;
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("SELECT * FROM otp_grant_records FOR UPDATE").await.unwrap();
    let tag = store.load(&key(1)).await.unwrap().unwrap().tag;
    let started = Instant::now();
    let error = store.swap(&key(1), Some(tag), &record(3, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, SqlStoreError::Timeout), "{error:?}");
    assert!(started.elapsed() < 2 * limit);
    tokio::time::sleep(limit).await;
    transaction.commit().await.unwrap();
    // Time enough for a server that had not given up.
    tokio::time::sleep(limit).await;
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().tag, tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usage_of_the_pool_says_who_waits() {
    let server = Postgres::start();
    let store = support::store_with(&server, SqlOptions::default().max_connections(2)).await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let usage = || store.database().pool_usage();
    assert_eq!((usage().in_use, usage().waiting, usage().limit), (0, 0, 2));
    assert!(usage().idle >= 1);

    let mut holder = server.statements().await;
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("SELECT * FROM otp_grant_records FOR UPDATE").await.unwrap();
    let swaps = (0..5).map(|number| {
        let (store, next) = (store.clone(), record(2 + number, later()));
        tokio::spawn(async move { store.swap(&key(1), Some(stored.tag), &next).await.unwrap() })
    });
    let swaps: Vec<_> = swaps.collect();
    let began = Instant::now();
    // A connection that is being made counts as one that is waited for.
    while (usage().in_use, usage().waiting) != (2, 3) {
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", usage());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    transaction.commit().await.unwrap();
    futures::future::join_all(swaps).await;
    assert_eq!((usage().in_use, usage().idle, usage().waiting), (0, 2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_does_not_keep_its_place() {
    let server = Postgres::start();
    let limit = Duration::from_millis(300);
    let store = support::store_with(&server, SqlOptions::default().timeout(limit).max_connections(1)).await;
    let statements = server.statements().await;
    let stop = async || {
        let others = "SELECT pid FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let others = statements.query(others, &[]).await.unwrap();
        assert!(!others.is_empty());
        for other in others {
            kill_process(Pid::from_raw(other.get(0)).unwrap(), Signal::STOP).unwrap();
        }
    };
    for client_hangs_up in [false, true, false] {
        assert_eq!(store.load(&key(1)).await.unwrap(), None);
        tokio::time::sleep(limit / 2).await;
        stop().await;
        if client_hangs_up {
            tokio::time::timeout(limit / 3, store.load(&key(1))).await.unwrap_err();
            tokio::time::sleep(limit).await;
        } else {
            let error = store.load(&key(1)).await.unwrap_err();
            assert!(matches!(error, SqlStoreError::Timeout), "{error:?}");
        }
    }
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_leaves_no_connection_behind() {
    let server = Postgres::start();
    let store = support::store_with(&server, SqlOptions::default().max_connections(2)).await;
    let mut expected = None;
    for round in 0..200 {
        let next = record(round, later());
        // Dropped at its first wait.
        let _ = tokio::time::timeout(Duration::ZERO, store.swap(&key(1), expected, &next)).await;
        let _ = tokio::time::timeout(Duration::from_micros(round), store.load(&key(1))).await;
        expected = store.load(&key(1)).await.unwrap().map(|record| record.tag);
    }
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let connections: i64 = server.statements().await.query_one(connections, &[]).await.unwrap().get(0);
    assert!(connections <= 3, "{connections}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_crash() {
    let mut server = Postgres::durable();
    let store = support::store(&server).await;
    for round in 0..2 {
        // Each task counts up its record until the server is gone, and says what it was promised.
        let tasks = (0..20).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let key = key(1000 * round + number);
                let (mut acknowledged, mut expected) = (0, None);
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
        assert!(error.is_retryable(), "{error:?}");

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_fails_while_the_server_is_gone_and_works_when_it_is_back() {
    let mut server = Postgres::durable();
    let host = login::server(support::store(&server).await);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_does_not_mind_that_the_server_has_closed_its_connection() {
    let server = Postgres::start();
    let store = support::store_with(&server, SqlOptions::default().max_connections(2)).await;
    let statements = server.statements().await;
    let close_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let (first, mut expected) = (key(1), None);
    for tag in 0..5 {
        let loads = futures::future::join_all((0..4).map(|_| store.load(&first))).await;
        assert!(loads.iter().all(|load| load.as_ref().unwrap().as_ref().map(|record| record.tag) == expected));
        // Until the connections are back in the pool.
        tokio::time::sleep(Duration::from_millis(100)).await;
        statements.batch_execute(close_others).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(store.load(&first).await.unwrap().map(|record| record.tag), expected);

        // Nor does a swap: its connection is known to be closed before it is sent.
        tokio::time::sleep(Duration::from_millis(100)).await;
        statements.batch_execute(close_others).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let next = record(tag, later());
        assert_eq!(store.swap(&first, expected, &next).await.unwrap(), Swap::Stored);
        expected = Some(next.tag);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_whose_connection_is_lost_is_not_sent_again() {
    let server = Postgres::start();
    let store = support::store(&server).await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let mut holder = server.statements().await;
    let holding = holder.transaction().await.unwrap();
    holding.batch_execute("SELECT * FROM otp_grant_records FOR UPDATE").await.unwrap();
    let swapping = tokio::spawn({
        let store = store.clone();
        async move { store.swap(&key(1), Some(stored.tag), &record(2, later())).await }
    });
    let waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let statements = server.statements().await;
    while statements.query(waiting, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = swapping.await.unwrap().map(|_| ()).unwrap_err();
    assert!(matches!(error, SqlStoreError::Connection(_)) && error.is_retryable(), "{error:?}");
    holding.commit().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().tag, stored.tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_after_a_pause_does_not_mind_that_the_server_has_closed_its_connection() {
    let server = Postgres::start();
    let store = support::store_with(&server, SqlOptions::default().max_connections(1)).await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let close_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    server.statements().await.batch_execute(close_others).await.unwrap();
    // From then on a connection is asked first.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(store.swap(&key(1), Some(stored.tag), &record(2, later())).await.unwrap(), Swap::Stored);
}

#[tokio::test]
async fn a_server_that_takes_no_writes_or_nobody_else_for_now_can_be_asked_again() {
    let server = Postgres::start();
    let store = support::store_with(&server, SqlOptions::default().max_connections(1)).await;
    let statements = server.statements().await;
    let change = async |statement: &'static str| {
        statements.batch_execute(statement).await.unwrap();
        statements.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        // Until every process has heard of it.
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    // As a standby, or a primary that was demoted.
    change("ALTER SYSTEM SET default_transaction_read_only = on").await;
    let error = store.swap(&key(1), None, &record(1, later())).await.map(|_| ()).unwrap_err();
    assert_eq!(said(&error), "the database refused the statement: 25006");
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
    change("SET default_transaction_read_only = off").await;
    change("ALTER SYSTEM RESET default_transaction_read_only").await;
    assert_eq!(store.swap(&key(1), None, &record(1, later())).await.unwrap(), Swap::Stored);

    change("CREATE ROLE host LOGIN CONNECTION LIMIT 0").await;
    let url = server.url().replace("user=postgres", "user=host");
    let error = PostgresStore::connect(&url, SqlOptions::default()).await.unwrap_err();
    assert_eq!(said(&error), "the database refused the statement: 53300");
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_migration_on_a_server_that_hangs_has_an_end() {
    let server = Postgres::start();
    let store = support::store(&server).await;
    // Until the connection is back in the pool.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.pause();
    // It takes minutes, which pass at once while there is nothing else to wait for.
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Timeout) && error.is_retryable(), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(300), "{:?}", started.elapsed());
    tokio::time::resume();
    server.resume();
    store.migrate().await.unwrap();
}
