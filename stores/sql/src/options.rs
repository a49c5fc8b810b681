//! The options of a store in a SQL database: its timeouts and limits.

use std::time::Duration;

/// Limits how long a store waits, how many connections it makes, and how long SQLite's write-ahead log can grow.
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
    /// Replaces the time limit of one operation, which includes waiting for a connection or a lock. Defaults to 2
    /// seconds.
    ///
    /// A swap that takes longer may still be applied. otp-grant then finds out. PostgreSQL is told to give up a
    /// statement a tenth of this time earlier (`statement_timeout`). A server that is alive therefore answers before
    /// its connection is given up.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Replaces the maximum number of connections, which is at least 1. Defaults to 10.
    ///
    /// For SQLite, this is the number of reading connections. One more connection writes, since SQLite has one writer
    /// at a time.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Replaces the maximum size of SQLite's write-ahead log in bytes. Defaults to 256 MiB.
    ///
    /// The log is cleared continually. It grows only while a reader keeps a transaction open. When it has grown to the
    /// limit, writes fail ([`SqlStoreError::WriteAheadLogFull`](crate::SqlStoreError::WriteAheadLogFull)) until that
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
