#![doc = include_str!("../README.md")]

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod durability;
mod error;
mod options;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use deadpool_postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use durability::DurabilityRisk;
pub use error::{Cause, SqlStoreError};
pub use options::SqlOptions;
#[cfg(feature = "postgres")]
pub use postgres::{PoolUsage, PostgresDatabase, PostgresStore};
#[cfg(feature = "sqlite")]
pub use rusqlite;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteDatabase, SqliteStore};
