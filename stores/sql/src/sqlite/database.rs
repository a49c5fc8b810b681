//! A SQLite file, with one thread that writes and several connections that read.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::file::{File, leaves_the_connection};
use super::writer::{Work, Write, start};
use crate::durability::DurabilityRisk;
use crate::error::SqlStoreError;
use crate::options::SqlOptions;

/// A SQLite file, also for the host's own statements, for instance on a table of users. A clone shares the connections.
#[derive(Clone)]
pub struct SqliteDatabase {
    file: Arc<File>,
    /// The writers of one process queue up here instead of polling for SQLite's lock.
    writer: mpsc::Sender<Box<dyn Work>>,
    /// How many reads can run at once.
    readers: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    timeout: Duration,
}

impl SqliteDatabase {
    /// Opens `sqlite:path/to/file`. Creates the file, unless the URL says `?mode=rw` or `?mode=ro`. The journal mode is
    /// not changed.
    ///
    /// # Errors
    /// [`SqlStoreError`]:
    ///
    /// - when the file can't be opened: it can be called again;
    /// - when the URL can't be read or names a database in memory: another call does not help.
    pub async fn connect(url: &str, options: SqlOptions) -> Result<Self, SqlStoreError> {
        let file = Arc::new(File::parse(url)?);
        let opened = {
            let (file, limit) = (file.clone(), options.timeout);
            blocking(limit, move || {
                let connection = file.open(limit)?;
                // SQLite reads nothing of the file before the first statement.
                connection.query_row("PRAGMA schema_version", (), |row| row.get::<_, i64>(0))?;
                Ok(connection)
            })
        };
        let writer = start((*file).clone(), opened.await?, options.max_write_ahead_log)?;
        let readers = usize::try_from(options.max_connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            file,
            writer,
            readers: Arc::new(Semaphore::new(readers)),
            idle: Arc::default(),
            timeout: options.timeout,
        })
    }

    /// Runs statements that only read, on a thread where they can wait for the disk.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn read<T: Send + 'static>(
        &self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqlStoreError> {
        let (file, idle, limit) = (self.file.clone(), self.idle.clone(), self.timeout);
        let answer = timeout(limit, async {
            let Ok(permit) = self.readers.clone().acquire_owned().await else { return Err(SqlStoreError::Interrupted) };
            let reading = spawn_blocking(move || {
                let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let connection = match kept {
                    Some(connection) => connection,
                    None => file.open(limit)?,
                };
                let answer = statements(&connection);
                if answer.as_ref().err().is_none_or(leaves_the_connection) {
                    idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                }
                drop(permit);
                Ok(answer?)
            });
            reading.await.unwrap_or(Err(SqlStoreError::Interrupted))
        });
        answer.await.unwrap_or(Err(SqlStoreError::Timeout))
    }

    /// Runs one statement that can write, in a transaction that it can share with other statements. It is committed to
    /// the disk before this returns.
    ///
    /// # Errors
    /// [`SqlStoreError`]. The statement may have been run, or may not, or may still be run later.
    pub async fn write<T: Send + 'static>(
        &self,
        statement: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqlStoreError> {
        let (reply, answer) = oneshot::channel();
        let work = Write::new(statement, reply, Instant::now() + self.timeout);
        self.writer.send(Box::new(work)).map_err(|_| SqlStoreError::Interrupted)?;
        match timeout(self.timeout, answer).await {
            Ok(answer) => answer.unwrap_or(Err(SqlStoreError::Interrupted)),
            Err(_) => Err(SqlStoreError::Timeout),
        }
    }

    /// Runs the statements of a migration in one transaction, unless everything that they make exists. Several hosts
    /// can do this at the same time. Where there is nothing to do, nothing is written, so a host also starts on a full
    /// disk.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn migrate(&self, makes: &'static [&'static str], statements: &'static str) -> Result<(), SqlStoreError> {
        let is_migrated = |connection: &Connection| {
            let mut is_there = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1")?;
            makes.iter().try_fold(true, |all, name| Ok(all && is_there.exists((name,))?))
        };
        if self.read(is_migrated).await? {
            return Ok(());
        }
        self.write(|connection| connection.execute_batch(statements)).await
    }

    /// Asks the connection that writes for settings that can make SQLite forget what it has acknowledged.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn durability_risks(&self) -> Result<Vec<DurabilityRisk>, SqlStoreError> {
        self.write(|connection| {
            let journal_mode = connection.query_row("PRAGMA journal_mode", (), |row| row.get::<_, String>(0))?;
            let synchronous = connection.query_row("PRAGMA synchronous", (), |row| row.get(0))?;
            Ok(DurabilityRisk::of_sqlite(&journal_mode, synchronous))
        })
        .await
    }

    /// Switches the file to a write-ahead log. The file remembers the switch.
    pub(super) async fn use_write_ahead_log(&self) -> Result<(), SqlStoreError> {
        let preparing = async {
            loop {
                let (file, limit) = (self.file.clone(), self.timeout);
                let mode = blocking(limit, move || {
                    let connection = file.open(limit)?;
                    connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get::<_, String>(0))
                });
                match mode.await {
                    // SQLite does not wait for this lock. Another process is doing the same.
                    Err(SqlStoreError::Timeout) => sleep(Duration::from_millis(20)).await,
                    Ok(mode) if mode == "wal" => return Ok(()),
                    Ok(_) => return Err(SqlStoreError::NoWriteAheadLog),
                    Err(error) => return Err(error),
                }
            }
        };
        timeout(self.timeout, preparing).await.map_err(|_| SqlStoreError::Timeout)?
    }
}

impl core::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SqliteDatabase").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, SqlStoreError> {
    let answer = timeout(limit, spawn_blocking(work)).await.map_err(|_| SqlStoreError::Timeout)?;
    Ok(answer.map_err(|_| SqlStoreError::Interrupted)??)
}
