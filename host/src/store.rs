//! The store of records that `--store` names.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::{Record, Swap};
use otp_grant::time::{Clock as _, SystemClock};
use otp_grant::{MemoryStore, Store};
use otp_grant_redis::{RedisOptions, RedisStore, RedisStoreError};
use otp_grant_sql::{PoolUsage, PostgresStore, SqlOptions, SqlStoreError, SqliteStore};

use crate::config::{Secret, Warnings};

/// One of the stores.
pub(crate) enum AnyStore {
    Memory(MemoryStore),
    Redis(RedisStore),
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
}

impl AnyStore {
    /// Opens the store that a URL names, and creates its table where `migrate` says so.
    pub(crate) async fn open(url: &Secret, redis: RedisOptions, migrate: bool) -> Result<Self, StoreError> {
        let url = url.expose();
        match Self::kind_of(url)? {
            "redis" => Ok(Self::Redis(RedisStore::connect(url, redis).await?)),
            "postgres" => {
                let store = PostgresStore::connect(url, SqlOptions::default()).await?;
                if migrate {
                    store.migrate().await?;
                }
                Ok(Self::Postgres(store))
            }
            "sqlite" => {
                let store = SqliteStore::connect(url, SqlOptions::default()).await?;
                if migrate {
                    store.migrate().await?;
                }
                Ok(Self::Sqlite(store))
            }
            _ => Ok(Self::Memory(MemoryStore::new())),
        }
    }

    /// Finds the kind of store that a URL names.
    ///
    /// # Errors
    /// [`StoreError::UnknownDatabase`] when the URL names no known kind.
    pub(crate) fn kind_of(url: &str) -> Result<&'static str, StoreError> {
        match url.split_once(':') {
            None if url == "memory" => Ok("memory"),
            Some(("redis" | "rediss" | "redis+unix" | "unix", _)) => Ok("redis"),
            Some(("redis+sentinel" | "rediss+sentinel" | "redis+cluster" | "rediss+cluster", _)) => Ok("redis"),
            Some(("postgres" | "postgresql", _)) => Ok("postgres"),
            Some(("sqlite", _)) => Ok("sqlite"),
            _ => Err(StoreError::UnknownDatabase),
        }
    }

    /// The kind of store, for the log.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Redis(_) => "redis",
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Tells whether the store answers.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        // A key that no record has.
        let nothing = RecordKey::from_bytes([0; RecordKey::LEN]);
        tokio::time::timeout(PATIENCE, self.load(&nothing)).await.map_err(|_| StoreError::TooSlow)?.map(drop)
    }

    /// Adds a warning for each reason why the database can forget a record. A host starts all the same.
    pub(crate) async fn add_durability_risks(&self, place: &str, warnings: &Warnings) {
        let risks = async {
            Ok::<_, StoreError>(match self {
                Self::Memory(_) => Vec::new(),
                Self::Redis(store) => store.durability_risks().await?.iter().map(ToString::to_string).collect(),
                Self::Postgres(store) => store.durability_risks().await?.iter().map(ToString::to_string).collect(),
                Self::Sqlite(store) => store.durability_risks().await?.iter().map(ToString::to_string).collect(),
            })
        };
        match risks.await {
            Ok(risks) => risks.into_iter().for_each(|risk: String| warnings.add(place, risk)),
            Err(error) => warnings.add(place, format_args!("{NOT_ASKED}: {error}")),
        }
    }

    /// The connections to PostgreSQL. No other store has a pool.
    pub(crate) fn pool(&self) -> Option<PoolUsage> {
        match self {
            Self::Postgres(store) => Some(store.database().pool_usage()),
            Self::Memory(_) | Self::Redis(_) | Self::Sqlite(_) => None,
        }
    }

    /// Tells whether several processes can use the store.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory(_))
    }

    /// Deletes expired records at intervals, as long as the process runs. Redis and the memory store do so by
    /// themselves.
    pub(crate) fn keep_purging(store: Arc<Self>, every: Duration) {
        if !matches!(&*store, Self::Postgres(_) | Self::Sqlite(_)) {
            return;
        }
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                match store.purge().await {
                    Ok(0) => {}
                    Ok(deleted) => tracing::info!(deleted, "purged"),
                    Err(error) => tracing::error!(%error, "purge failed"),
                }
            }
        });
    }

    /// Deletes expired records in batches: no request waits long for a lock.
    async fn purge(&self) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let now = SystemClock.now();
            let deleted = match self {
                Self::Postgres(store) => store.purge(now, BATCH).await?,
                Self::Sqlite(store) => store.purge(now, BATCH).await?,
                Self::Memory(_) | Self::Redis(_) => 0,
            };
            all += deleted;
            if deleted < u64::from(BATCH) {
                return Ok(all);
            }
            tokio::time::sleep(BETWEEN_BATCHES).await;
        }
    }
}

impl Store for AnyStore {
    type Error = StoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        Ok(match self {
            Self::Memory(store) => {
                let Ok(record) = store.load(key).await;
                record
            }
            Self::Redis(store) => store.load(key).await?,
            Self::Postgres(store) => store.load(key).await?,
            Self::Sqlite(store) => store.load(key).await?,
        })
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, StoreError> {
        Ok(match self {
            Self::Memory(store) => {
                let Ok(swap) = store.swap(key, expected, next).await;
                swap
            }
            Self::Redis(store) => store.swap(key, expected, next).await?,
            Self::Postgres(store) => store.swap(key, expected, next).await?,
            Self::Sqlite(store) => store.swap(key, expected, next).await?,
        })
    }
}

/// The store failed. The messages of the databases contain nothing of the records, and nothing of the URL.
#[derive(Debug)]
pub(crate) enum StoreError {
    UnknownDatabase,
    TooSlow,
    Redis(RedisStoreError),
    Sql(SqlStoreError),
}

impl From<RedisStoreError> for StoreError {
    fn from(error: RedisStoreError) -> Self {
        Self::Redis(error)
    }
}

impl From<SqlStoreError> for StoreError {
    fn from(error: SqlStoreError) -> Self {
        Self::Sql(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownDatabase => f.write_str(KINDS),
            Self::TooSlow => f.write_str("the store takes too long"),
            Self::Redis(error) => error.fmt(f),
            Self::Sql(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

const KINDS: &str = "a store is memory, redis://…, redis+sentinel://…, redis+cluster://…, postgres://… or sqlite:…";
pub(crate) const NOT_ASKED: &str = "the database could not be asked whether its settings keep what it acknowledges";
const PATIENCE: Duration = Duration::from_secs(2);
const BATCH: u32 = 1000;
const BETWEEN_BATCHES: Duration = Duration::from_millis(50);
