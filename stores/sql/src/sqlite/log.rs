//! Keeps the write-ahead log short, and leaves enough room on the disk to clear it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::file::File;

/// The write-ahead log of a file.
pub(super) struct Log {
    log: PathBuf,
    database: PathBuf,
    max: u64,
    length: u64,
    cleared: Option<Instant>,
}

/// Whether there is room for another transaction.
pub(super) enum Room {
    Enough,
    DiskFull,
    LogFull,
}

impl Log {
    pub(super) fn new(file: &File, max: u64) -> Self {
        let mut log = Self { log: file.log(), database: file.path.clone(), max, length: 0, cleared: None };
        log.measure();
        log
    }

    /// Returns when to try to clear the log even if there is nothing to write.
    pub(super) fn wants_clearing(&self) -> Option<Duration> {
        (self.length > u64::from(CLEARED_ABOVE)).then_some(BETWEEN_CLEARINGS)
    }

    /// Shortens the log after a commit. SQLite clears the log by itself, but not while there is always a reader.
    pub(super) fn keep_short(&mut self, connection: &Connection) {
        self.measure();
        if self.length > u64::from(CLEARED_ABOVE) {
            self.clear(connection);
        }
    }

    /// Checks before a transaction whether there is room for it.
    pub(super) fn room(&mut self, connection: &Connection) -> Room {
        if !self.has_room(connection) || self.length >= self.max {
            self.clear(connection);
            if !self.has_room(connection) {
                return Room::DiskFull;
            }
            if self.length >= self.max {
                return Room::LogFull;
            }
        }
        Room::Enough
    }

    /// Tells whether the log can be cleared. Clearing writes the pages of the log to the file, which may have to grow
    /// by them.
    fn has_room(&self, connection: &Connection) -> bool {
        // If the free room is unknown, SQLite itself fails when there is none.
        let (Some(folder), Ok(file)) = (self.folder(), fs::metadata(&self.database)) else { return true };
        let Ok(free) = fs4::available_space(folder) else { return true };
        let number = |pragma: &str| -> rusqlite::Result<u64> {
            Ok(connection.prepare_cached(pragma)?.query_row((), |row| row.get::<_, u32>(0))?.into())
        };
        let (Ok(count), Ok(size)) = (number("PRAGMA page_count"), number("PRAGMA page_size")) else { return true };
        let size = count.saturating_mul(size);
        free >= size.saturating_sub(file.len()).saturating_add(RESERVE)
    }

    fn folder(&self) -> Option<PathBuf> {
        let folder = self.database.parent()?;
        Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
    }

    fn clear(&mut self, connection: &Connection) {
        if self.cleared.is_some_and(|cleared| cleared.elapsed() < BETWEEN_CLEARINGS) {
            return;
        }
        self.cleared = Some(Instant::now());
        // Other writers wait for as long as this waits for readers. If it fails, it is tried again.
        let _ = connection.busy_timeout(WAITS_FOR_READERS);
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        self.measure();
    }

    fn measure(&mut self) {
        self.length = fs::metadata(&self.log).map_or(0, |log| log.len());
    }
}

/// A longer log is cleared and cut.
pub(super) const CLEARED_ABOVE: u32 = 8 << 20;

/// How much of the disk is left free: room for a transaction and for the index of the log.
const RESERVE: u64 = 512 << 10;

const BETWEEN_CLEARINGS: Duration = Duration::from_millis(250);

const WAITS_FOR_READERS: Duration = Duration::from_millis(10);
