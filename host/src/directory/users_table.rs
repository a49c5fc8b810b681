//! The table of users, in PostgreSQL or SQLite. Its schema is in `migrations/`.

mod support;

use std::time::Duration;

use otp_grant::entropy::{Entropy as _, SystemEntropy};
use otp_grant::time::Timestamp;
use otp_grant::{Address, Subject, User, UserStatus};
use otp_grant_sql::rusqlite::{self, OptionalExtension as _};
use otp_grant_sql::{PoolUsage, PostgresDatabase, SqlOptions, SqlStoreError, SqliteDatabase};
use serde_json::{Map, Value};

use super::proved_claims;
use crate::config::{Secret, Warnings};
use crate::store::NOT_ASKED;
pub(crate) use support::{ListedUser, Page};

/// The users of a database.
#[derive(Debug)]
pub(crate) struct UsersTable {
    database: Database,
    queries: &'static Queries,
}

#[derive(Debug)]
enum Database {
    Postgres(PostgresDatabase),
    Sqlite(SqliteDatabase),
}

impl UsersTable {
    /// Connects to a database, `postgres://…` or `sqlite:…`.
    pub(crate) async fn connect(url: &Secret) -> Result<Self, TableError> {
        let kind = Kind::of(url)?;
        let (url, options) = (url.expose(), SqlOptions::default().timeout(PATIENCE).max_connections(16));
        let database = match kind {
            Kind::Postgres => Database::Postgres(PostgresDatabase::connect(url, options).await?),
            Kind::Sqlite => Database::Sqlite(SqliteDatabase::connect(url, options).await?),
        };
        Ok(Self { database, queries: &WITHOUT_TESTS })
    }

    /// The schema for the database that a URL names.
    ///
    /// # Errors
    /// [`TableError::UnknownDatabase`] when the URL names no known database.
    pub(crate) fn migration_of(url: &Secret) -> Result<&'static str, TableError> {
        Ok(match Kind::of(url)? {
            Kind::Postgres => POSTGRES_MIGRATION,
            Kind::Sqlite => SQLITE_MIGRATION,
        })
    }

    /// Creates the table where it is missing.
    pub(crate) async fn migrate(&self) -> Result<(), TableError> {
        match &self.database {
            Database::Postgres(database) => database.migrate(IS_MIGRATED, POSTGRES_MIGRATION).await?,
            Database::Sqlite(database) => database.migrate(&["otp_grant_users"], SQLITE_MIGRATION).await?,
        }
        Ok(())
    }

    /// Finds out whether the table flags test users. A table that was made before there were any does not, and its
    /// users are none.
    pub(crate) async fn find_test_users(&mut self) -> Result<(), TableError> {
        let has_column = match &self.database {
            Database::Postgres(database) => database.find(HAS_TESTS_IN_POSTGRES, &[]).await?.is_some(),
            Database::Sqlite(database) => {
                let find = |file: &rusqlite::Connection| file.query_row(HAS_TESTS_IN_SQLITE, (), |_| Ok(())).optional();
                database.read(find).await?.is_some()
            }
        };
        self.queries = if has_column { &WITH_TESTS } else { &WITHOUT_TESTS };
        Ok(())
    }

    /// Tells whether the table flags test users.
    pub(crate) fn flags_test_users(&self) -> bool {
        std::ptr::eq(self.queries, &WITH_TESTS)
    }

    /// The connections to PostgreSQL, if the table is there.
    pub(crate) fn pool(&self) -> Option<PoolUsage> {
        match &self.database {
            Database::Postgres(database) => Some(database.pool_usage()),
            Database::Sqlite(_) => None,
        }
    }

    /// Tells whether the table answers.
    pub(crate) async fn check(&self) -> Result<(), TableError> {
        match &self.database {
            Database::Postgres(database) => database.find(CHECK, &[]).await.map(drop)?,
            Database::Sqlite(database) => {
                let check = |file: &rusqlite::Connection| file.query_row(CHECK, (), |_| Ok(())).optional();
                database.read(check).await.map(drop)?;
            }
        }
        Ok(())
    }

    /// Adds a warning for each reason why the database can forget a user who has signed up.
    pub(crate) async fn add_durability_risks(&self, place: &str, warnings: &Warnings) {
        let risks = match &self.database {
            Database::Postgres(database) => database.durability_risks().await,
            Database::Sqlite(database) => database.durability_risks().await,
        };
        match risks {
            Ok(risks) => risks.into_iter().for_each(|risk| warnings.add(place, risk)),
            Err(error) => warnings.add(place, format_args!("{NOT_ASKED}: {error}")),
        }
    }

    pub(super) async fn user_by_address(&self, address: &Address) -> Result<Option<User>, TableError> {
        let query = match address {
            Address::Phone(_) => self.queries.by_phone_number,
            Address::Email(_) => self.queries.by_email,
        };
        self.user(query, address.as_str()).await
    }

    pub(super) async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, TableError> {
        self.user(self.queries.by_subject, subject.as_str()).await
    }

    pub(super) async fn claims(&self, subject: &Subject) -> Result<Map<String, Value>, TableError> {
        let claims: Option<String> = match &self.database {
            Database::Postgres(database) => {
                let row = database.find(CLAIMS, &[&subject.as_str()]).await?;
                row.map(|row| row.try_get(0)).transpose().map_err(|_| TableError::Unreadable("claims"))?
            }
            Database::Sqlite(database) => {
                let subject = subject.as_str().to_owned();
                let claims = move |file: &rusqlite::Connection| {
                    file.prepare_cached(CLAIMS)?.query_row((subject,), |row| row.get(0)).optional()
                };
                database.read(claims).await?
            }
        };
        let Some(claims) = claims else { return Ok(Map::new()) };
        serde_json::from_str(&claims).map_err(|_| TableError::Unreadable("claims"))
    }

    pub(super) async fn sign_up(&self, address: &Address) -> Result<User, TableError> {
        let query = match address {
            Address::Phone(_) => self.queries.sign_up_by_phone_number,
            Address::Email(_) => self.queries.sign_up_by_email,
        };
        let subject = random_subject()?;
        let claims = Value::Object(proved_claims(address)).to_string();
        let row = match &self.database {
            Database::Postgres(database) => {
                let row = database.find_once(query, &[&subject, &address.as_str(), &claims]).await?;
                row.as_ref().map(Row::of_postgres).transpose()?
            }
            Database::Sqlite(database) => {
                let address = address.as_str().to_owned();
                let sign_up = move |file: &rusqlite::Connection| {
                    let mut statement = file.prepare_cached(query)?;
                    statement.query_row((subject, address, claims), Row::of_sqlite).optional()
                };
                database.write(sign_up).await?
            }
        };
        row.ok_or(TableError::Other)?.user()
    }

    async fn user(&self, query: &'static str, key: &str) -> Result<Option<User>, TableError> {
        let row = match &self.database {
            Database::Postgres(database) => {
                database.find(query, &[&key]).await?.as_ref().map(Row::of_postgres).transpose()?
            }
            Database::Sqlite(database) => {
                let key = key.to_owned();
                let user = move |file: &rusqlite::Connection| {
                    file.prepare_cached(query)?.query_row((key,), Row::of_sqlite).optional()
                };
                database.read(user).await?
            }
        };
        row.map(Row::user).transpose()
    }
}

/// The databases that a table of users can be in.
enum Kind {
    Postgres,
    Sqlite,
}

impl Kind {
    fn of(url: &Secret) -> Result<Self, TableError> {
        match url.expose().split(':').next() {
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            Some("sqlite") => Ok(Self::Sqlite),
            _ => Err(TableError::UnknownDatabase),
        }
    }
}

/// The columns of a user.
struct Row {
    subject: String,
    status: String,
    tokens_valid_after: Option<i64>,
    is_test: bool,
}

impl Row {
    fn of_postgres(row: &otp_grant_sql::deadpool_postgres::tokio_postgres::Row) -> Result<Self, TableError> {
        match (row.try_get(0), row.try_get(1), row.try_get(2), row.try_get(3)) {
            (Ok(subject), Ok(status), Ok(tokens_valid_after), Ok(is_test)) => {
                Ok(Self { subject, status, tokens_valid_after, is_test })
            }
            _ => Err(TableError::Unreadable("a column")),
        }
    }

    fn of_sqlite(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { subject: row.get(0)?, status: row.get(1)?, tokens_valid_after: row.get(2)?, is_test: row.get(3)? })
    }

    fn user(self) -> Result<User, TableError> {
        let subject = Subject::new(&self.subject).map_err(|_| TableError::Unreadable("subject"))?;
        let status = match &*self.status {
            "active" => UserStatus::Active,
            "locked" => UserStatus::Locked,
            "frozen" => UserStatus::Frozen,
            _ => UserStatus::Inactive,
        };
        let mut user = User::new(subject, status);
        user.tokens_valid_after = match self.tokens_valid_after.map(u64::try_from) {
            None => None,
            Some(Ok(millis)) => Some(Timestamp::from_unix_millis(millis)),
            Some(Err(_)) => return Err(TableError::Unreadable("tokens_valid_after")),
        };
        user.is_test = self.is_test;
        Ok(user)
    }
}

/// A subject that no other user has.
fn random_subject() -> Result<String, TableError> {
    let mut bytes = [0; 16];
    SystemEntropy::default().fill(&mut bytes).map_err(|_| TableError::NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The table of users failed. The error says which kind of failure it was, and contains none of the values.
#[derive(Debug)]
pub(crate) enum TableError {
    UnknownDatabase,
    /// The URL can't be used, for this reason.
    Misconfigured(String),
    NotConnected,
    TooSlow,
    DiskFull,
    NoRandomness,
    /// The database refused a statement, with this code.
    Refused(String),
    /// This column has an impossible value.
    Unreadable(&'static str),
    Other,
}

impl From<SqlStoreError> for TableError {
    fn from(error: SqlStoreError) -> Self {
        match error {
            SqlStoreError::Refused { code } => Self::Refused(code.into()),
            SqlStoreError::Connection(_) => Self::NotConnected,
            SqlStoreError::Timeout => Self::TooSlow,
            SqlStoreError::DiskFull => Self::DiskFull,
            SqlStoreError::NotARecord => Self::Unreadable("a column"),
            SqlStoreError::Configuration(cause) => Self::Misconfigured(cause.to_string()),
            SqlStoreError::NoWriteAheadLog => Self::Misconfigured("it has to be a file".to_owned()),
            _ => Self::Other,
        }
    }
}

impl std::fmt::Display for TableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownDatabase => f.write_str("the URL has to begin with postgres: or sqlite:"),
            Self::Misconfigured(reason) => write!(f, "the URL of the database of users can't be used: {reason}"),
            Self::NotConnected => f.write_str("no connection to the database of users"),
            Self::TooSlow => f.write_str("the database of users takes too long"),
            Self::DiskFull => f.write_str("the disk of the database of users is full"),
            Self::NoRandomness => f.write_str("no random bytes for a subject"),
            Self::Refused(code) => write!(f, "the database of users refused a statement: code {code}"),
            Self::Unreadable(column) => write!(f, "the table of users has an unreadable value: {column}"),
            Self::Other => f.write_str("the database of users failed"),
        }
    }
}

impl std::error::Error for TableError {}

const PATIENCE: Duration = Duration::from_secs(5);

const POSTGRES_MIGRATION: &str = include_str!("../../migrations/users_postgres.sql");
const SQLITE_MIGRATION: &str = include_str!("../../migrations/users_sqlite.sql");
const IS_MIGRATED: &str = "SELECT to_regclass('otp_grant_users') IS NOT NULL";

const CHECK: &str = "SELECT 1 FROM otp_grant_users LIMIT 1";
const CLAIMS: &str = "SELECT CAST(claims AS TEXT) FROM otp_grant_users WHERE subject = $1";

const HAS_TESTS_IN_POSTGRES: &str = "SELECT 1 FROM pg_attribute \
    WHERE attrelid = to_regclass('otp_grant_users') AND attname = 'is_test' AND NOT attisdropped";
const HAS_TESTS_IN_SQLITE: &str = "SELECT 1 FROM pragma_table_info('otp_grant_users') WHERE name = 'is_test'";

/// The statements that return users.
#[derive(Debug)]
struct Queries {
    by_phone_number: &'static str,
    by_email: &'static str,
    by_subject: &'static str,
    sign_up_by_phone_number: &'static str,
    sign_up_by_email: &'static str,
}

/// The update of a sign-up changes nothing, but without it the statement returns no row for a user that exists.
macro_rules! queries {
    ($is_test:literal) => {
        Queries {
            by_phone_number: queries!(SELECT $is_test, "phone_number"),
            by_email: queries!(SELECT $is_test, "email"),
            by_subject: queries!(SELECT $is_test, "subject"),
            sign_up_by_phone_number: queries!(INSERT $is_test, "phone_number"),
            sign_up_by_email: queries!(INSERT $is_test, "email"),
        }
    };
    (SELECT $is_test:literal, $key:literal) => {
        concat!("SELECT subject, status, tokens_valid_after, ", $is_test, " FROM otp_grant_users WHERE ", $key, " = $1")
    };
    (INSERT $is_test:literal, $key:literal) => {
        concat!(
            "INSERT INTO otp_grant_users (subject, ", $key, ", claims) VALUES ($1, $2, $3) ON CONFLICT (", $key,
            ") DO UPDATE SET ", $key, " = excluded.", $key, " RETURNING subject, status, tokens_valid_after, ", $is_test
        )
    };
}

static WITH_TESTS: Queries = queries!("is_test");
static WITHOUT_TESTS: Queries = queries!("FALSE");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_sqlite_refuses_what_could_not_be_read() {
        let file = rusqlite::Connection::open_in_memory().unwrap();
        file.execute_batch(SQLITE_MIGRATION).unwrap();
        let insert = |values: &str| {
            let row = "subject, status, phone_number, email, tokens_valid_after, claims";
            file.execute(&format!("INSERT INTO otp_grant_users ({row}) VALUES ({values})"), ())
        };
        for good in [
            "'a', 'active', '+8613612345678', 'ada@example.com', 1700000000000, '{}'",
            "'b ~', 'frozen', NULL, NULL, NULL, '{\"name\":\"Ada Müller\"}'",
            "'c', 'locked', 8613612345678, NULL, unixepoch() * 1000 + 999, ' {} '",
        ] {
            insert(good).unwrap();
        }
        for bad in [
            "'müller', 'active', NULL, NULL, NULL, '{}'",
            "'tab\t', 'active', NULL, NULL, NULL, '{}'",
            "'', 'active', NULL, NULL, NULL, '{}'",
            "x'61', 'active', NULL, NULL, NULL, '{}'",
            "NULL, 'active', NULL, NULL, NULL, '{}'",
            "'d', 'Active', NULL, NULL, NULL, '{}'",
            "'d', 'active', NULL, 'Ada@example.com', NULL, '{}'",
            "'d', 'active', NULL, 'ada@Example.com', NULL, '{}'",
            "'d', 'active', NULL, x'61', NULL, '{}'",
            "'d', 'active', x'2b', NULL, NULL, '{}'",
            "'d', 'active', NULL, NULL, -1, '{}'",
            "'d', 'active', NULL, NULL, 'soon', '{}'",
            "'d', 'active', NULL, NULL, 1.5, '{}'",
            "'d', 'active', NULL, NULL, NULL, '[]'",
            "'d', 'active', NULL, NULL, NULL, 'null'",
            "'d', 'active', NULL, NULL, NULL, '1'",
            "'d', 'active', NULL, NULL, NULL, '{'",
            "'d', 'active', NULL, NULL, NULL, ''",
            "'d', 'active', NULL, NULL, NULL, x'7b7d'",
            "'d', 'active', NULL, NULL, NULL, NULL",
        ] {
            assert!(insert(bad).is_err(), "{bad}");
        }
    }
}
