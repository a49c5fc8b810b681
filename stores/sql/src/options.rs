//! How a store talks to its database.

use std::time::Duration;

/// Limits how long a store waits, how many connections it makes, and how long SQLite's write-ahead log may grow.
///
/// ```
/// use otp_grant_sql::SqlOptions;
/// use std::time::Duration;
///
/// let options = SqlOptions::default().timeout(Duration::from_millis(500)).max_connections(20);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SqlOptions {
    pub(crate) timeout: Duration,
    pub(crate) max_connections: u32,
    pub(crate) max_write_ahead_log: u64,
}

impl SqlOptions {
    /// Replaces how long one operation may take in all, waiting for a connection or a lock included. Defaults to 2 seconds.
    ///
    /// A swap that took longer may still be applied; otp-grant finds out. PostgreSQL is told to give up a statement a tenth
    /// of this time earlier (`statement_timeout`), so a server that lives answers before its connection is given up.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Replaces how many connections there are at most, at least 1. Defaults to 10.
    ///
    /// For SQLite they are those that read. One more writes, as SQLite has one writer at a time.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Replaces how many bytes SQLite's write-ahead log may have. Defaults to 256 MiB.
    ///
    /// The log is cleared all the time, and grows only while somebody keeps a read transaction open. When it has grown to
    /// the limit, writes fail ([`SqlStoreError::WriteAheadLogFull`](crate::SqlStoreError::WriteAheadLogFull)) until that
    /// transaction ends.
    pub fn max_write_ahead_log(mut self, bytes: u64) -> Self {
        self.max_write_ahead_log = bytes;
        self
    }
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(2), max_connections: 10, max_write_ahead_log: 256 << 20 }
    }
}
