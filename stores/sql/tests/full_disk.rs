//! SQLite on a disk that has no room, and beside somebody who reads for long, so that the write-ahead log can't be
//! cleared.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of a scenario that fails have to fail loudly"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use otp_grant::Store;
use otp_grant::store::Swap;
use otp_grant_sql::rusqlite::Connection;
use otp_grant_sql::{SqlOptions, SqlStoreError, SqliteStore};
use otp_grant_stores_support::{self as login, key, later, record};
use support::*;

/// A reader that keeps what it has seen until it is dropped.
struct Reader {
    _connection: Connection,
}

impl Reader {
    fn of(url: &str) -> Self {
        let connection = Connection::open(path(url)).unwrap();
        connection.execute_batch("BEGIN; SELECT count(*) FROM otp_grant_records").unwrap();
        Self { _connection: connection }
    }
}

async fn store(url: &str, options: SqlOptions) -> SqliteStore {
    let store = SqliteStore::connect(url, options).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Stores new records until one is refused.
async fn fill(store: &SqliteStore, from: u64) -> (u64, SqlStoreError) {
    for number in from..from + 100_000 {
        match store.swap(&key(number), None, &record(1, later())).await {
            Ok(swap) => assert_eq!(swap, Swap::Stored),
            Err(error) => return (number, error),
        }
    }
    panic!("nothing was refused");
}

/// Stores a record; a few attempts may be refused before, but not for long.
async fn stores_again(store: &SqliteStore, number: u64) {
    for _ in 0..20 {
        match store.swap(&key(number), None, &record(1, later())).await {
            Ok(swap) => return assert_eq!(swap, Swap::Stored),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is stored any more");
}

fn log_of(url: &str) -> PathBuf {
    format!("{}-wal", path(url)).into()
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_a_limit_while_somebody_reads() {
    let (_directory, url) = sqlite_file();
    let store = store(&url, SqlOptions::default().max_write_ahead_log(2 << 20)).await;
    assert_eq!(store.swap(&key(0), None, &record(7, later())).await.unwrap(), Swap::Stored);
    let reader = Reader::of(&url);
    let (number, error) = fill(&store, 1).await;
    assert!(matches!(error, SqlStoreError::WriteAheadLogFull) && error.is_retryable(), "{error:?}");
    assert!(number > 20, "{number}");
    assert!(length(&log_of(&url)) < 3 << 20);
    // Who only reads goes on, and sees what was acknowledged.
    assert!(store.load(&key(number - 1)).await.unwrap().is_some());
    assert_eq!(store.load(&key(number)).await.unwrap(), None);
    drop(reader);
    stores_again(&store, number).await;
    assert!(length(&log_of(&url)) < 1 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_is_cut_when_the_reader_has_ended_though_nobody_writes() {
    let (_directory, url) = sqlite_file();
    let store = store(&url, SqlOptions::default()).await;
    let reader = Reader::of(&url);
    for number in 0.. {
        assert_eq!(store.swap(&key(number), None, &record(1, later())).await.unwrap(), Swap::Stored);
        if length(&log_of(&url)) > 9 << 20 {
            break;
        }
    }
    drop(reader);
    for _ in 0..100 {
        if length(&log_of(&url)) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} bytes", length(&log_of(&url)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_overlap_do_not_keep_the_log() {
    let (_directory, url) = sqlite_file();
    let store = store(&url, SqlOptions::default()).await;
    let loads = (0..4).map(|reader| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..8000 {
                store.load(&key(reader * 10 + number % 10)).await.unwrap();
            }
        })
    });
    let loads = loads.collect::<Vec<_>>();
    let mut number = 0;
    while !loads.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(store.swap(&key(number), None, &record(1, later())).await.unwrap(), Swap::Stored);
        assert!(length(&log_of(&url)) < 12 << 20);
        number += 1;
    }
}

/// A disk of six megabytes, for which one has to be root. Elsewhere there is nothing to see.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("otp-grant-sql-").tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(folder.path()).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: only root can mount a small disk");
        }
        mounted.then_some(Self(folder))
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.0.path().join("records.db").display())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_because_somebody_reads_is_a_503_that_passes() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = disk.url();
    let store = store(&url, SqlOptions::default()).await;
    let host = login::server(store.clone());
    let (otp_token, code) = login::send(&host).await.unwrap();
    let reader = Reader::of(&url);
    let (number, error) = fill(&store, 0).await;
    assert!(matches!(error, SqlStoreError::DiskFull) && error.is_retryable(), "{error:?}");
    assert_eq!(login::redeem(&host, &otp_token, &code).await.0, 503);

    // The host is started again on the full disk.
    drop((host, store));
    let store = self::store(&url, SqlOptions::default()).await;
    assert!(store.load(&key(number - 1)).await.unwrap().is_some());
    let (_, error) = fill(&store, number).await;
    assert!(matches!(error, SqlStoreError::DiskFull), "{error:?}");

    drop(reader);
    stores_again(&store, number + 1000).await;
    for number in 0..number {
        assert!(store.load(&key(number)).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_have_filled_is_a_503_that_passes() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = disk.url();
    let store = store(&url, SqlOptions::default()).await;
    assert_eq!(store.swap(&key(0), None, &record(1, later())).await.unwrap(), Swap::Stored);
    let other = disk.0.path().join("other");
    let _ = fs::write(&other, vec![0; 8 << 20]);
    let (number, error) = fill(&store, 1).await;
    assert!(matches!(error, SqlStoreError::DiskFull) && error.is_retryable(), "{error:?}");
    assert!(store.load(&key(0)).await.unwrap().is_some());
    fs::remove_file(&other).unwrap();
    stores_again(&store, number).await;
}

/// As an older version, or another program, can have left it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_has_filled_the_disk_is_cleared_at_start() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = disk.url();
    store(&url, SqlOptions::default()).await;
    let writer = Connection::open(path(&url)).unwrap();
    let row = "INSERT OR REPLACE INTO otp_grant_records VALUES (?1, zeroblob(16), hex(zeroblob(500)), 0)";
    let write = |number: u32| writer.execute(row, (vec![u8::try_from(number % 50).unwrap(); 32],));
    for number in 0..50 {
        write(number).unwrap();
    }
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
    let reader = Reader::of(&url);
    // The same rows again and again: the file need not grow.
    let filled = (0..100_000).find_map(|number| write(number).err());
    println!("filled: {}", filled.unwrap());
    drop(reader);
    stores_again(&store(&url, SqlOptions::default()).await, 1).await;
    drop(writer);
}
