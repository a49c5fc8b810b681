//! A store on a SQLite file.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a scenario that fails have to fail loudly"
)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use otp_grant::Store;
use otp_grant::id::Tag;
use otp_grant::store::Swap;
use otp_grant::time::Timestamp;
use otp_grant_sql::rusqlite::Connection;
use otp_grant_sql::{SqlOptions, SqlStoreError, SqliteDatabase, SqliteStore};
use otp_grant_stores_support::{self as login, key, later, now, record};
use support::*;

async fn store(url: &str) -> SqliteStore {
    let store = SqliteStore::connect(url, SqlOptions::default().timeout(Duration::from_secs(20))).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn a_store_keeps_what_it_acknowledges() {
    let (_directory, url) = support::sqlite_file();
    let store = SqliteStore::connect(&url, SqlOptions::default()).await.unwrap();
    assert_eq!(store.durability_risks().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_of_a_store() {
    let (_directory, url) = sqlite_file();
    store(&url).await;
    let options = SqlOptions::default().timeout(Duration::from_secs(20)).max_connections(2);
    otp_grant::store::conformance::all(|| SqliteStore::connect(&url, options.clone())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_log_in() {
    let (_directory, url) = sqlite_file();
    login::log_in(store(&url).await).await;
    for _ in 0..5 {
        let (_directory, url) = sqlite_file();
        login::fifty_right_codes(store(&url).await, store(&url).await).await;
    }
}

/// Six processes, on one file that none of them has made: each key is inserted once, and no step of a counter is lost.
#[test]
fn processes_race_on_one_file() {
    let (_directory, url) = sqlite_file();
    let racers = (0..6).map(|number: u32| {
        Command::new(std::env::current_exe().unwrap())
            .args(["one_racing_process", "--exact", "--ignored", "--nocapture"])
            .env("OTP_GRANT_RACE", &url)
            .env("OTP_GRANT_RACER", number.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let racers = racers.collect::<Vec<_>>();
    let outputs = racers.into_iter().map(|racer| racer.wait_with_output().unwrap()).collect::<Vec<_>>();
    let (mut inserted, mut counted) = (0, 0);
    for output in outputs {
        let output = String::from_utf8(output.stdout).unwrap();
        let line = output.lines().find_map(|line| line.split_once("won ")).expect(&output).1;
        let (inserts, steps) = line.split_once(' ').unwrap();
        inserted += inserts.parse::<u64>().unwrap();
        counted += steps.parse::<u64>().unwrap();
    }
    assert_eq!(inserted, 50);
    let end = futures::executor::block_on(async {
        tokio::runtime::Runtime::new().unwrap().block_on(async { store(&url).await.load(&key(1000)).await.unwrap() })
    });
    assert_eq!(end.unwrap().tag, record(counted - 1, 0).tag, "{counted} steps");
    assert_eq!(counted, 600);
}

#[tokio::test]
#[ignore = "a part of processes_race_on_one_file"]
async fn one_racing_process() {
    let Ok(url) = std::env::var("OTP_GRANT_RACE") else { return };
    let racer: u64 = std::env::var("OTP_GRANT_RACER").unwrap().parse().unwrap();
    let store = store(&url).await;
    let (mut inserted, mut counted) = (0, 0);
    for number in 0..50 {
        let mine = record(1_000_000 + racer, later());
        if store.swap(&key(number), None, &mine).await.unwrap() == Swap::Stored {
            inserted += 1;
            assert_eq!(store.load(&key(number)).await.unwrap(), Some(mine));
        }
    }
    while counted < 100 {
        let stored = store.load(&key(1000)).await.unwrap().map(|record| record.tag);
        let next = record(stored.map_or(0, |tag| count_of(&tag) + 1), later());
        counted += u64::from(store.swap(&key(1000), stored, &next).await.unwrap() == Swap::Stored);
    }
    println!("won {inserted} {counted}");
}

fn count_of(tag: &Tag) -> u64 {
    let (count, _) = tag.as_bytes().split_first_chunk().unwrap();
    u64::from_le_bytes(*count)
}

#[tokio::test]
async fn the_ends_of_time_are_neither_refused_nor_mistaken() {
    let (_directory, url) = sqlite_file();
    let store = store(&url).await;
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
    let (_directory, url) = sqlite_file();
    let store = store(&url).await;
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let statements = Connection::open(path(&url)).unwrap();
    let good = "CREATE TABLE good AS SELECT * FROM otp_grant_records";
    statements.execute_batch(good).unwrap();
    for change in ["value = 'secret'", "value = ''", "value = CAST(x'ff' AS TEXT)", "tag = x'00'", "tag = x''"] {
        // Of a good row each time.
        let change = format!(
            "DELETE FROM otp_grant_records; INSERT INTO otp_grant_records SELECT * FROM good;
            UPDATE otp_grant_records SET {change}"
        );
        statements.execute_batch(&change).unwrap();
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
    statements.execute_batch(other).unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap().unwrap().body.kind(), "other");
    statements.execute_batch("DROP TABLE otp_grant_records").unwrap();
    let error = store.load(&key(1)).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    assert_eq!(said(&error), "the database refused the statement: 1");
    store.migrate().await.unwrap();
    assert_eq!(store.load(&key(1)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_deletes_what_is_due_and_never_what_was_renewed() {
    let (_directory, url) = sqlite_file();
    let (store, other) = (store(&url).await, store(&url).await);
    let now = Timestamp::from_unix_millis(now());
    for number in 0..300 {
        let due = record(number, now.as_unix_millis() - 60_000);
        assert_eq!(store.swap(&key(number), None, &due).await.unwrap(), Swap::Stored);
    }
    let live = record(0, now.as_unix_millis() - 59_999);
    assert_eq!(store.swap(&key(5000), None, &live).await.unwrap(), Swap::Stored);
    assert_eq!(store.purge(now, 0).await.unwrap(), 0);
    assert_eq!(store.purge(now, 7).await.unwrap(), 7);
    let purger = tokio::spawn(async move {
        let mut deleted = 0;
        loop {
            match other.purge(now, 5).await.unwrap() {
                0 => return deleted,
                some => deleted += some,
            }
        }
    });
    let mut renewed = 0;
    for number in (0..300).rev() {
        let swap =
            store.swap(&key(number), Some(record(number, 0).tag), &record(number + 10_000, later())).await.unwrap();
        let stored = store.load(&key(number)).await.unwrap().map(|record| record.tag);
        match swap {
            Swap::Stored => assert_eq!(stored, Some(record(number + 10_000, 0).tag)),
            Swap::Conflict => assert_eq!(stored, None),
        }
        renewed += u64::from(swap == Swap::Stored);
    }
    let deleted = purger.await.unwrap();
    println!("{deleted} deleted, {renewed} renewed");
    assert_eq!(7 + deleted + renewed, 300);
    assert_eq!(store.load(&key(5000)).await.unwrap(), Some(live));
}

#[tokio::test]
async fn purge_takes_the_oldest_and_goes_by_what_was_swapped_last() {
    let (_directory, url) = sqlite_file();
    let store = store(&url).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_waits_for_another_that_makes_the_file() {
    let (_directory, url) = sqlite_file();
    let holder = Connection::open(path(&url)).unwrap();
    // SQLite refuses at once to change the journal while somebody is about to write.
    holder.execute_batch("CREATE TABLE other (x); BEGIN IMMEDIATE").unwrap();
    let starting = tokio::spawn(async move { store(&url).await.load(&key(1)).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!starting.is_finished());
    holder.execute_batch("COMMIT").unwrap();
    assert_eq!(starting.await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    for url in ["sqlite::memory:", "sqlite:x?mode=memory"] {
        let error = SqliteStore::connect(url, SqlOptions::default()).await.unwrap_err();
        assert!(matches!(error, SqlStoreError::NoWriteAheadLog) && !error.is_retryable(), "{error:?}");
    }
    let error = SqliteStore::connect("sqlite:x?mode=none", SqlOptions::default()).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Configuration(_)) && !error.is_retryable(), "{error:?}");
    let error = SqliteStore::connect("sqlite:/nonexistent/records.db", SqlOptions::default()).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Refused { .. }) && error.is_retryable(), "{error:?}");

    let (directory, url) = sqlite_file();
    std::fs::write(directory.path().join("records.db"), vec![7; 8192]).unwrap();
    let error = SqliteStore::connect(&url, SqlOptions::default()).await.unwrap_err();
    assert!(matches!(error, SqlStoreError::Refused { .. }) && !error.is_retryable(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_costs_the_timeout_and_no_more() {
    let (_directory, url) = sqlite_file();
    store(&url).await;
    let limit = Duration::from_millis(300);
    let store = SqliteStore::connect(&url, SqlOptions::default().timeout(limit)).await.unwrap();
    let stored = record(1, later());
    assert_eq!(store.swap(&key(1), None, &stored).await.unwrap(), Swap::Stored);
    let holder = Connection::open(path(&url)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let error = store.swap(&key(1), Some(stored.tag), &record(2, later())).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, SqlStoreError::Timeout) && error.is_retryable(), "{error:?}");
    assert!(started.elapsed() >= limit * 9 / 10 && started.elapsed() < 2 * limit, "{:?}", started.elapsed());
    // Who only reads does not wait.
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(stored.clone()));
    // SQLite gives up as well: nothing is left behind that is done when the lock is free.
    tokio::time::sleep(limit).await;
    holder.execute_batch("COMMIT").unwrap();
    tokio::time::sleep(limit).await;
    assert_eq!(store.load(&key(1)).await.unwrap(), Some(stored.clone()));
    assert_eq!(store.swap(&key(1), Some(stored.tag), &record(3, later())).await.unwrap(), Swap::Stored);
}

/// Without write-ahead log, a reader such as a backup does not let statements be committed that have already run. Each
/// statement begins later than the one before it, so their times end one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_that_a_reader_keeps_from_being_committed_are_not_acknowledged() {
    let (_directory, url) = sqlite_file();
    let options = SqlOptions::default().timeout(Duration::from_secs(1));
    let database = SqliteDatabase::connect(&url, options).await.unwrap();
    database.write(|connection| connection.execute_batch("CREATE TABLE names (name INTEGER)")).await.unwrap();
    let reader = Connection::open(url.strip_prefix("sqlite:").unwrap()).unwrap();
    let count =
        |reader: &Connection| reader.query_row("SELECT count(*) FROM names", (), |row| row.get::<_, u32>(0)).unwrap();
    for reads_for in [1_050, 1_150, 1_250, 1_350] {
        reader.execute_batch("DELETE FROM names; BEGIN").unwrap();
        assert_eq!(count(&reader), 0);
        let began = tokio::time::Instant::now();
        let mut writes = Vec::new();
        for name in 0..4 {
            let database = database.clone();
            writes.push(tokio::spawn(async move {
                let insert =
                    move |connection: &Connection| connection.execute("INSERT INTO names VALUES (?1)", (name,));
                database.write(insert).await.is_ok()
            }));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep_until(began + Duration::from_millis(reads_for)).await;
        reader.execute_batch("COMMIT").unwrap();
        let mut acknowledged = 0;
        for write in writes {
            acknowledged += u32::from(write.await.unwrap());
        }
        assert!(acknowledged <= count(&reader), "{reads_for}: {acknowledged} were acknowledged");
    }
}

/// A process that is killed in the middle of writing: the others go on, and what it was promised is there.
#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    use std::io::{BufRead, BufReader};
    let (_directory, url) = sqlite_file();
    let store = store(&url).await;
    for round in 0..5 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["one_writing_process", "--exact", "--ignored", "--nocapture"])
            .env("OTP_GRANT_WRITE", &url)
            .env("OTP_GRANT_KEY", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let (kill, mut acknowledged) = (30 + 7 * round, 0);
        for line in lines.map_while(Result::ok) {
            if let Some((_, count)) = line.split_once("stored ") {
                acknowledged = count.parse::<u64>().unwrap();
            }
            if acknowledged == kill {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(acknowledged >= kill);
        let stored = store.load(&key(round)).await.unwrap().unwrap();
        assert!((acknowledged..=acknowledged + 1).contains(&count_of(&stored.tag)));
        assert_eq!(store.swap(&key(round), Some(stored.tag), &record(0, later())).await.unwrap(), Swap::Stored);
    }
}

#[tokio::test]
#[ignore = "a part of what_was_acknowledged_survives_a_crash"]
async fn one_writing_process() {
    let Ok(url) = std::env::var("OTP_GRANT_WRITE") else { return };
    let number: u64 = std::env::var("OTP_GRANT_KEY").unwrap().parse().unwrap();
    let store = store(&url).await;
    let mut expected = None;
    for count in 1.. {
        let next = record(count, later());
        assert_eq!(store.swap(&key(number), expected, &next).await.unwrap(), Swap::Stored);
        expected = Some(next.tag);
        println!("stored {count}");
    }
}
