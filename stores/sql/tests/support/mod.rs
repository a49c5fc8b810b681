//! What the scenarios share.
#![allow(dead_code, unreachable_pub, reason = "each scenario file uses its own part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness that fails has to fail loudly"
)]

use std::path::PathBuf;

#[cfg(feature = "postgres")]
use otp_grant_sql::{PostgresStore, SqlOptions};
#[cfg(feature = "postgres")]
use otp_grant_stores_support::postgres::Postgres;
use tempfile::TempDir;

/// A store on the table of a PostgreSQL.
#[cfg(feature = "postgres")]
pub async fn store(postgres: &Postgres) -> PostgresStore {
    store_with(postgres, SqlOptions::default()).await
}

#[cfg(feature = "postgres")]
pub async fn store_with(postgres: &Postgres, options: SqlOptions) -> PostgresStore {
    let store = PostgresStore::connect(&postgres.url(), options).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// A directory for a SQLite file, and its URL.
pub fn sqlite_file() -> (TempDir, String) {
    let directory = tempfile::Builder::new().prefix("otp-grant-sql-").tempdir().unwrap();
    let file: PathBuf = directory.path().join("records.db");
    let url = format!("sqlite:{}", file.display());
    (directory, url)
}

/// The file of such a URL.
pub fn path(url: &str) -> &str {
    url.strip_prefix("sqlite:").unwrap()
}

/// All that a log would have of an error.
pub fn said(error: &otp_grant_sql::SqlStoreError) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said += &format!(": {cause}");
        source = cause.source();
    }
    said
}
