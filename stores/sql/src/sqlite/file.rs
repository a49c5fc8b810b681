//! The file of a SQLite database: its URL, the settings of each connection, and the meaning of result codes.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Cause, SqlStoreError};

/// A file, and how it is opened.
#[derive(Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    flags: OpenFlags,
}

impl File {
    /// Reads `sqlite:path` or `sqlite://path`, with `?mode=ro`, `rw` or `rwc`, which is the default.
    pub(super) fn parse(url: &str) -> Result<Self, SqlStoreError> {
        let Some(rest) = url.strip_prefix("sqlite:") else { return Err(wrong("the URL does not begin with sqlite:")) };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8();
        let path = path.map_err(|_| wrong("the path is not UTF-8"))?;
        let write = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let mut flags = write | OpenFlags::SQLITE_OPEN_CREATE;
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            flags = match (&*name, &*value) {
                ("mode", "ro") => OpenFlags::SQLITE_OPEN_READ_ONLY,
                ("mode", "rw") => write,
                ("mode", "rwc") | ("cache", "private") => flags,
                ("mode", "memory") => return Err(SqlStoreError::NoWriteAheadLog),
                ("mode", _) => return Err(wrong("mode is ro, rw or rwc")),
                _ => return Err(wrong("the URL has a parameter that is unknown; there is only mode")),
            };
        }
        // The empty name stands for a file that is deleted when it is closed.
        if path == ":memory:" || path.is_empty() {
            return Err(SqlStoreError::NoWriteAheadLog);
        }
        Ok(Self { path: PathBuf::from(Cow::into_owned(path)), flags: flags | OpenFlags::SQLITE_OPEN_NO_MUTEX })
    }

    /// Returns the path of its write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        path.into()
    }

    pub(super) fn open(&self, patience: Duration) -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(&self.path, self.flags)?;
        connection.busy_timeout(patience)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", super::log::CLEARED_ABOVE)?;
        connection.pragma_update(None, "wal_autocheckpoint", PAGES_BETWEEN_CHECKPOINTS)?;
        Ok(connection)
    }
}

/// Tells whether a connection can go on after an error.
pub(super) fn leaves_the_connection(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, SystemIoFailure};
    !matches!(error.sqlite_error_code(), Some(CannotOpen | DatabaseCorrupt | NotADatabase | SystemIoFailure))
}

impl From<rusqlite::Error> for SqlStoreError {
    /// The text of the error can quote what was sent or stored.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(error) => refused(error.extended_code),
            None => match error {
                rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
                    Self::NotARecord
                }
                _ => Self::UnexpectedAnswer,
            },
        }
    }
}

/// Returns what a result code means.
pub(super) fn refused(code: i32) -> SqlStoreError {
    match code & 0xff {
        rusqlite::ffi::SQLITE_BUSY => SqlStoreError::Timeout,
        rusqlite::ffi::SQLITE_FULL => SqlStoreError::DiskFull,
        _ => SqlStoreError::Refused { code: code.to_string().into() },
    }
}

fn wrong(what: &'static str) -> SqlStoreError {
    SqlStoreError::Configuration(Cause::new(what))
}

/// 4 MiB.
const PAGES_BETWEEN_CHECKPOINTS: u32 = 1000;
