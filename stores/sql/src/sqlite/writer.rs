//! The thread that writes. It commits waiting statements together.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::file::{File, leaves_the_connection, refused};
use super::log::{Log, Room};
use crate::error::{Cause, SqlStoreError};

/// A statement, with the caller that waits for its answer.
pub(super) trait Work: Send {
    /// The latest instant at which the statement can begin.
    fn deadline(&self) -> Instant;
    /// Tells whether the caller no longer waits.
    fn is_abandoned(&self) -> bool;
    /// Tells whether the statement has run. It runs once, and can't run again if its transaction is undone.
    fn has_run(&self) -> bool;
    /// Runs the statement. Returns the result code if it failed.
    fn run(&mut self, connection: &Connection) -> Option<i32>;
    /// Gives the caller the answer of the statement, after the commit.
    fn answer(self: Box<Self>);
    /// Tells the caller that nothing was committed.
    fn fail(self: Box<Self>, error: SqlStoreError);
}

/// A statement that was given to [`SqliteDatabase::write`](super::SqliteDatabase::write).
pub(super) struct Write<T, F> {
    statement: Option<F>,
    result: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<Result<T, SqlStoreError>>,
    deadline: Instant,
}

impl<T, F> Write<T, F> {
    pub(super) fn new(statement: F, reply: oneshot::Sender<Result<T, SqlStoreError>>, deadline: Instant) -> Self {
        Self { statement: Some(statement), result: None, reply, deadline }
    }
}

impl<T: Send, F: FnOnce(&Connection) -> rusqlite::Result<T> + Send> Work for Write<T, F> {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn has_run(&self) -> bool {
        self.statement.is_none()
    }

    fn run(&mut self, connection: &Connection) -> Option<i32> {
        self.result = self.statement.take().map(|statement| statement(connection));
        self.result.as_ref()?.as_ref().err().map(result_code)
    }

    fn answer(self: Box<Self>) {
        let answer = match self.result {
            Some(result) => result.map_err(SqlStoreError::from),
            None => Err(SqlStoreError::Interrupted),
        };
        // It does not matter if the caller is gone.
        let _ = self.reply.send(answer);
    }

    fn fail(self: Box<Self>, error: SqlStoreError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Starts the thread. It ends and closes the file when nothing can send it work any more.
pub(super) fn start(
    file: File,
    connection: Connection,
    max_log: u64,
) -> Result<mpsc::Sender<Box<dyn Work>>, SqlStoreError> {
    let (sender, receiver) = mpsc::channel();
    let writer = Writer { log: Log::new(&file, max_log), file, connection: Some(connection), waiting: Vec::new() };
    let started = thread::Builder::new().name("otp-grant-sqlite".to_owned()).spawn(move || writer.serve(&receiver));
    started.map_err(|error| SqlStoreError::Connection(Cause::new(error)))?;
    Ok(sender)
}

struct Writer {
    file: File,
    /// `None` after an error that makes the connection useless. It is then opened again.
    connection: Option<Connection>,
    log: Log,
    /// The waiting statements, the oldest first.
    waiting: Vec<Box<dyn Work>>,
}

impl Writer {
    fn serve(mut self, receiver: &Receiver<Box<dyn Work>>) {
        loop {
            if self.waiting.is_empty() {
                let next = match self.log.wants_clearing() {
                    None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(later) => receiver.recv_timeout(later),
                };
                match next {
                    Ok(work) => self.waiting.push(work),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.waiting.extend(receiver.try_iter().take(TOGETHER.saturating_sub(self.waiting.len())));
            self.give_up_late_work();
            if let Err(error) = self.commit_together() {
                for work in self.waiting.drain(..) {
                    work.fail(refused(error));
                }
            }
            if let Some(connection) = &self.connection {
                self.log.keep_short(connection);
            }
        }
    }

    fn give_up_late_work(&mut self) {
        let now = Instant::now();
        let late = self.waiting.extract_if(.., |work| work.is_abandoned() || work.deadline() <= now);
        late.for_each(|work| work.fail(SqlStoreError::Timeout));
    }

    /// Runs the waiting statements in one transaction. A conflict with another statement counts only if that statement
    /// is committed, and so no answer is given before the commit.
    ///
    /// # Errors
    /// The result code that all callers get that still wait.
    fn commit_together(&mut self) -> Result<(), i32> {
        let Some(first) = self.waiting.first() else { return Ok(()) };
        let patience = first.deadline().saturating_duration_since(Instant::now());
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.open(patience).map_err(|error| result_code(&error))?,
        };
        match self.log.room(&connection) {
            Room::Enough => {}
            Room::DiskFull => return self.refuse(connection, || SqlStoreError::DiskFull),
            Room::LogFull => return self.refuse(connection, || SqlStoreError::WriteAheadLogFull),
        }
        let answer = transaction(&connection, patience, &mut self.waiting);
        if answer.as_ref().err().is_none_or(leaves_the_connection) {
            self.connection = Some(connection);
        }
        match answer {
            Ok(()) => {
                self.waiting.drain(..).for_each(|work| work.answer());
                Ok(())
            }
            // Only the time of the first statement is certainly over. The others try again, unless they have run:
            // without write-ahead log, readers can block the commit as well as the beginning.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                if self.waiting.len() > 1 {
                    let first = self.waiting.remove(0);
                    let have_run = self.waiting.extract_if(.., |work| work.has_run());
                    std::iter::once(first).chain(have_run).for_each(|work| work.fail(SqlStoreError::Timeout));
                    return Ok(());
                }
                Err(result_code(&error))
            }
            Err(error) => Err(result_code(&error)),
        }
    }

    fn refuse(&mut self, connection: Connection, why: impl Fn() -> SqlStoreError) -> Result<(), i32> {
        self.connection = Some(connection);
        self.waiting.drain(..).for_each(|work| work.fail(why()));
        Ok(())
    }
}

/// Runs the statements in one transaction.
///
/// # Errors
/// The error that has undone the whole transaction.
fn transaction(
    connection: &Connection,
    patience: std::time::Duration,
    waiting: &mut [Box<dyn Work>],
) -> rusqlite::Result<()> {
    connection.busy_timeout(patience)?;
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
    for work in waiting {
        let failed = work.run(connection);
        // A full disk, for instance, undoes the whole transaction.
        if let Some(code) = failed.filter(|_| connection.is_autocommit()) {
            return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        }
    }
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute(()));
    if committed.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    committed.map(drop)
}

fn result_code(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(rusqlite::ffi::SQLITE_ERROR, |error| error.extended_code)
}

/// The most statements that are committed together.
const TOGETHER: usize = 64;
