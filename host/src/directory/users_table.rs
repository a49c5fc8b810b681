//! The table of users, in PostgreSQL or SQLite. Its schema is in `migrations/`.

use std::time::Duration;

use otp_grant::{Address, Entropy as _, Subject, SystemEntropy, Timestamp, User, UserStatus};
use serde_json::{Map, Value};
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, Row as _};

use super::proved_claims;
use crate::config::Secret;

/// The users of a database.
#[derive(Debug)]
pub(crate) struct UsersTable {
    pool: AnyPool,
    migration: &'static str,
}

impl UsersTable {
    /// Connects to a database, `postgres://…` or `sqlite:…`.
    pub(crate) async fn connect(url: &Secret) -> Result<Self, TableError> {
        let migration = Self::migration_of(url)?;
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(16).acquire_timeout(PATIENCE);
        let pool = pool.connect(creating(url).expose()).await?;
        Ok(Self { pool, migration })
    }

    /// The schema for the database that a URL names.
    ///
    /// # Errors
    /// [`TableError::UnknownDatabase`] when it is nothing that is known here.
    pub(crate) fn migration_of(url: &Secret) -> Result<&'static str, TableError> {
        match url.expose().split(':').next() {
            Some("postgres" | "postgresql") => Ok(include_str!("../../migrations/users_postgres.sql")),
            Some("sqlite") => Ok(include_str!("../../migrations/users_sqlite.sql")),
            _ => Err(TableError::UnknownDatabase),
        }
    }

    /// Creates the table where it is missing.
    pub(crate) async fn migrate(&self) -> Result<(), TableError> {
        // Two processes that start at once can both find it missing, and PostgreSQL then lets one of them fail.
        match sqlx::raw_sql(self.migration).execute(&self.pool).await {
            Ok(_) => Ok(()),
            Err(_) => Ok(sqlx::raw_sql(self.migration).execute(&self.pool).await.map(drop)?),
        }
    }

    /// Tells whether the table answers.
    pub(crate) async fn check(&self) -> Result<(), TableError> {
        in_time(sqlx::query("SELECT 1 FROM otp_grant_users LIMIT 1").fetch_optional(&self.pool)).await.map(drop)
    }

    pub(super) async fn user_by_address(&self, address: &Address) -> Result<Option<User>, TableError> {
        let query = match address {
            Address::Phone(_) => BY_PHONE_NUMBER,
            Address::Email(_) => BY_EMAIL,
        };
        self.user(query, address.as_str()).await
    }

    pub(super) async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, TableError> {
        self.user(BY_SUBJECT, subject.as_str()).await
    }

    pub(super) async fn claims(&self, subject: &Subject) -> Result<Map<String, Value>, TableError> {
        let row = in_time(sqlx::query(CLAIMS).bind(subject.as_str()).fetch_optional(&self.pool)).await?;
        let Some(row) = row else { return Ok(Map::new()) };
        serde_json::from_str(row.try_get(0)?).map_err(|_| TableError::Unreadable("claims"))
    }

    pub(super) async fn sign_up(&self, address: &Address) -> Result<User, TableError> {
        let query = match address {
            Address::Phone(_) => SIGN_UP_BY_PHONE_NUMBER,
            Address::Email(_) => SIGN_UP_BY_EMAIL,
        };
        let subject = random_subject()?;
        let claims = Value::Object(proved_claims(address)).to_string();
        let query = sqlx::query(query).bind(subject).bind(address.as_str()).bind(claims);
        user(&in_time(query.fetch_one(&self.pool)).await?)
    }

    async fn user(&self, query: &'static str, key: &str) -> Result<Option<User>, TableError> {
        let row = in_time(sqlx::query(query).bind(key).fetch_optional(&self.pool)).await?;
        row.as_ref().map(user).transpose()
    }
}

/// The URL of a SQLite file says that the file is to be made where it is missing, unless it says something else.
fn creating(url: &Secret) -> Secret {
    let url = url.expose();
    Secret::new(match (url.starts_with("sqlite:") && !url.contains("mode="), url.contains('?')) {
        (true, false) => format!("{url}?mode=rwc"),
        (true, true) => format!("{url}&mode=rwc"),
        (false, _) => url.to_owned(),
    })
}

fn user(row: &AnyRow) -> Result<User, TableError> {
    let subject = Subject::new(row.try_get("subject")?).map_err(|_| TableError::Unreadable("subject"))?;
    let status = match row.try_get("status")? {
        "active" => UserStatus::Active,
        "locked" => UserStatus::Locked,
        "frozen" => UserStatus::Frozen,
        _ => UserStatus::Inactive,
    };
    let mut user = User::new(subject, status);
    let tokens_valid_after: Option<i64> = row.try_get("tokens_valid_after")?;
    user.tokens_valid_after = match tokens_valid_after.map(u64::try_from) {
        None => None,
        Some(Ok(millis)) => Some(Timestamp::from_unix_millis(millis)),
        Some(Err(_)) => return Err(TableError::Unreadable("tokens_valid_after")),
    };
    Ok(user)
}

/// A subject that is given to nobody else.
fn random_subject() -> Result<String, TableError> {
    let mut bytes = [0; 16];
    SystemEntropy::default().fill(&mut bytes).map_err(|_| TableError::NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn in_time<T>(query: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, TableError> {
    tokio::time::timeout(PATIENCE, query).await.map_err(|_| TableError::TooSlow)?.map_err(TableError::from)
}

/// The table of users failed. It says what kind of failure it was, and none of the values.
#[derive(Debug)]
pub(crate) enum TableError {
    UnknownDatabase,
    NotConnected,
    TooSlow,
    NoRandomness,
    /// The database refused a statement, with this code.
    Refused(String),
    /// This column has something that can't be.
    Unreadable(&'static str),
    Other,
}

impl From<sqlx::Error> for TableError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::Refused(error.code().unwrap_or_default().into_owned()),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => Self::NotConnected,
            sqlx::Error::PoolTimedOut => Self::TooSlow,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Unreadable("a column"),
            _ => Self::Other,
        }
    }
}

impl std::fmt::Display for TableError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownDatabase => f.write_str("the URL has to begin with postgres: or sqlite:"),
            Self::NotConnected => f.write_str("no connection to the database of users"),
            Self::TooSlow => f.write_str("the database of users takes too long"),
            Self::NoRandomness => f.write_str("no random bytes for a subject"),
            Self::Refused(code) => write!(f, "the database of users refused a statement: code {code}"),
            Self::Unreadable(column) => write!(f, "the table of users has an unreadable value: {column}"),
            Self::Other => f.write_str("the database of users failed"),
        }
    }
}

impl std::error::Error for TableError {}

const PATIENCE: Duration = Duration::from_secs(5);

const BY_PHONE_NUMBER: &str = "SELECT subject, status, tokens_valid_after FROM otp_grant_users WHERE phone_number = $1";
const BY_EMAIL: &str = "SELECT subject, status, tokens_valid_after FROM otp_grant_users WHERE email = $1";
const BY_SUBJECT: &str = "SELECT subject, status, tokens_valid_after FROM otp_grant_users WHERE subject = $1";
const CLAIMS: &str = "SELECT CAST(claims AS TEXT) FROM otp_grant_users WHERE subject = $1";

/// The update changes nothing, but without it nothing is returned for a user that exists.
const SIGN_UP_BY_PHONE_NUMBER: &str = "INSERT INTO otp_grant_users (subject, phone_number, claims) \
    VALUES ($1, $2, $3) ON CONFLICT (phone_number) DO UPDATE SET phone_number = excluded.phone_number \
    RETURNING subject, status, tokens_valid_after";
const SIGN_UP_BY_EMAIL: &str = "INSERT INTO otp_grant_users (subject, email, claims) \
    VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET email = excluded.email \
    RETURNING subject, status, tokens_valid_after";
