//! The error of a store in a SQL database, and which refusals pass by themselves.

/// Says why the database gave no usable answer. It reveals neither what is stored nor under which key.
///
/// After an error, a swap may have been applied, or may not, or may still be applied later. otp-grant loads the record
/// to find out.
#[derive(Debug)]
#[non_exhaustive]
pub enum SqlStoreError {
    /// There is no connection, or it was lost. The next operation makes a new one.
    Connection(Cause),
    /// There was no answer, no connection or no lock in time.
    Timeout,
    /// The database refused the statement.
    Refused {
        /// The SQLSTATE of PostgreSQL, for instance `53100`, or the result code of SQLite, for instance `13`.
        code: Box<str>,
    },
    /// The stored value is not a record, or is a record of a later version. Another program may write to the table.
    NotARecord,
    /// The database gave an answer that the statement can't have.
    UnexpectedAnswer,
    /// The operation was not completed, because the runtime is shutting down.
    Interrupted,
    /// The disk has too little room left for SQLite to clear its write-ahead log. It passes when there is room, or when
    /// the reader that keeps the log has ended.
    DiskFull,
    /// SQLite's write-ahead log has grown to its limit because a reader keeps it. It passes when the reader has ended.
    WriteAheadLogFull,
    /// The caller's fault: the URL is malformed, or requires something that this build doesn't have.
    Configuration(Cause),
    /// The caller's fault: SQLite can't keep a write-ahead log for this database, which is in memory or on a network.
    NoWriteAheadLog,
}

impl SqlStoreError {
    /// Tells whether the same operation can succeed later without a change of a record or of the configuration.
    ///
    /// ```
    /// assert!(otp_grant_sql::SqlStoreError::Timeout.is_retryable());
    /// assert!(!otp_grant_sql::SqlStoreError::NotARecord.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout | Self::Interrupted | Self::DiskFull | Self::WriteAheadLogFull => true,
            Self::Refused { code } => match code.parse::<u32>() {
                Ok(result_code) if code.len() < 5 => PASSING_RESULT_CODES.contains(&(result_code & 0xff)),
                _ => PASSING_SQLSTATES.iter().any(|class| code.starts_with(class)),
            },
            Self::NotARecord | Self::UnexpectedAnswer | Self::Configuration(_) | Self::NoWriteAheadLog => false,
        }
    }
}

impl core::fmt::Display for SqlStoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Connection(_) => "no connection to the database",
            Self::Timeout => "the database did not answer in time",
            Self::Refused { code } => return write!(f, "the database refused the statement: {code}"),
            Self::NotARecord => "what is stored in the database is not a record",
            Self::UnexpectedAnswer => "the database gave an unexpected answer",
            Self::Interrupted => "the operation was interrupted",
            Self::DiskFull => "the disk of the database is full",
            Self::WriteAheadLogFull => "a reader keeps SQLite's write-ahead log, which has grown to its limit",
            Self::Configuration(_) => "the connection to the database is configured wrongly",
            Self::NoWriteAheadLog => "SQLite can't keep a write-ahead log for this database",
        })
    }
}

impl core::error::Error for SqlStoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(Cause(cause)) | Self::Configuration(Cause(cause)) => Some(&**cause),
            _ => None,
        }
    }
}

/// The error of the database's driver or of the operating system.
#[derive(Debug)]
pub struct Cause(Box<dyn core::error::Error + Send + Sync>);

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Cause {
    pub(crate) fn new(cause: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl core::fmt::Display for Cause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// `BUSY`, `LOCKED`, `NOMEM`, `INTERRUPT`, `IOERR`, `FULL`, `CANTOPEN` and `PROTOCOL`.
const PASSING_RESULT_CODES: [u32; 8] = [5, 6, 7, 9, 10, 13, 14, 15];

/// Connection exceptions, a read-only server (25006), rollbacks, resources, locks, interventions and system errors.
const PASSING_SQLSTATES: [&str; 7] = ["08", "25006", "40", "53", "55", "57", "58"];
