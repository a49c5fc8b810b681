//! PostgreSQL through a pool of connections. Each statement has a time limit, and a connection to a lost server is
//! closed here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use deadpool_postgres::tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use deadpool_postgres::tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use deadpool_postgres::tokio_postgres::{Config, Error, NoTls, Row, Socket};
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod,
};
use futures_util::TryStreamExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::hosts::Hosts;
use super::url::Url;
use crate::durability::{DurabilityRisk, POSTGRES_SETTINGS};
use crate::error::{Cause, SqlStoreError};
use crate::options::SqlOptions;

/// A PostgreSQL database, also for the host's own statements, for instance on a table of users. A clone shares the
/// connections.
///
/// A connection that was used within the last second is used again without a check.
///
/// A connection is closed when it is lost, when it does not answer in time, or when its server says that it takes no
/// writes. All connections that were made before are then also closed. The next statement makes a new connection, to
/// wherever the address leads by then.
#[derive(Clone)]
pub struct PostgresDatabase {
    pool: Pool,
    timeout: Duration,
    trust: Trust,
}

impl PostgresDatabase {
    /// Uses a pool that the host has made, as [`PostgresStore::new`](crate::PostgresStore::new) does.
    pub fn new(pool: Pool, options: SqlOptions) -> Self {
        Self { pool, timeout: options.timeout, trust: Trust::default() }
    }

    /// Connects to `postgres://[user[:password]@]host[:port],…/database`.
    ///
    /// Of several hosts, each connection leads to one that takes writes, unless the URL says otherwise
    /// (`target_session_attrs`). Of two that do, it leads to the one that was promoted last.
    ///
    /// When a connection starts, it tells the server the time limit (`statement_timeout`) and the isolation level as
    /// options. Some poolers refuse these options. In this case make the pool yourself, and use [`new`](Self::new).
    ///
    /// # Errors
    /// [`SqlStoreError`]:
    ///
    /// - when PostgreSQL is not there or refuses: `connect` can be called again;
    /// - when the URL can't be read: another call does not help.
    pub async fn connect(url: &str, options: SqlOptions) -> Result<Self, SqlStoreError> {
        let Url { mut server, tls } = Url::parse(url)?;
        // A server that is alive says that it has given up before this side considers its connection dead.
        let limit = (options.timeout.as_millis() * 9 / 10).clamp(1, 0x7fff_ffff);
        let given = server.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        server
            .options(format!("{given}-c statement_timeout={limit} -c default_transaction_isolation=read\\ committed"));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let trust = Trust::default();
        let manager = match tls {
            None => manager(server, NoTls, recycling, options.timeout, &trust),
            #[cfg(feature = "tls")]
            Some(tls) => manager(server, tls.connector()?, recycling, options.timeout, &trust),
            #[cfg(not(feature = "tls"))]
            Some(never) => match never {},
        };
        let pool = Pool::builder(manager)
            // A few busy connections are better than many idle ones, which must be checked before use.
            .queue_mode(QueueMode::Lifo)
            .max_size(usize::try_from(options.max_connections).unwrap_or(usize::MAX))
            .pre_recycle(trust.clone().hook(TRUSTED_FOR.min(options.timeout / 2)))
            .build()
            .map_err(|error| SqlStoreError::Configuration(Cause::new(error)))?;
        let database = Self { pool, timeout: options.timeout, trust };
        timeout(options.timeout, database.lease()).await.map_err(|_| SqlStoreError::Timeout)??;
        Ok(database)
    }

    /// Asks the server for settings that can make it forget what it has acknowledged. Every user may read them.
    ///
    /// Call it when a host starts, and log what it returns.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn durability_risks(&self) -> Result<Vec<DurabilityRisk>, SqlStoreError> {
        let row = self.find(POSTGRES_SETTINGS, &[]).await?.ok_or(SqlStoreError::UnexpectedAnswer)?;
        let text = |place: usize| row.try_get::<_, &str>(place).map_err(|_| SqlStoreError::UnexpectedAnswer);
        let standbys = row.try_get(4).map_err(|_| SqlStoreError::UnexpectedAnswer)?;
        Ok(DurabilityRisk::of_postgres(text(0)?, text(1)?, text(2)?, text(3)?, standbys))
    }

    /// Runs a statement that only reads, and returns its first row. If the connection turns out to be lost, the
    /// statement is sent once more, since a restart of the server is often noticed only then.
    ///
    /// # Errors
    /// [`SqlStoreError`]. It can be called again.
    pub async fn find(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, SqlStoreError> {
        Ok(self.in_time(statement, parameters, 3).await?.first)
    }

    /// Runs a statement, and returns its first row. It is sent once.
    ///
    /// # Errors
    /// [`SqlStoreError`]. The statement may have been run, or may not, or may still be run later.
    pub async fn find_once(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, SqlStoreError> {
        Ok(self.in_time(statement, parameters, 1).await?.first)
    }

    /// Runs a statement, and returns how many rows it affected. It is sent once.
    ///
    /// # Errors
    /// [`SqlStoreError`]. The statement may have been run, or may not, or may still be run later.
    pub async fn execute(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, SqlStoreError> {
        Ok(self.in_time(statement, parameters, 1).await?.affected)
    }

    /// Runs the statements of a migration in one transaction, unless the query `is_migrated` returns true. Several
    /// hosts can do this at the same time.
    ///
    /// # Errors
    /// [`SqlStoreError`], within some minutes. It can be called again.
    pub async fn migrate(&self, is_migrated: &str, statements: &str) -> Result<(), SqlStoreError> {
        let lease = timeout(self.timeout, self.lease()).await.map_err(|_| SqlStoreError::Timeout)??;
        let mut connection = lease.into_connection()?;
        let answer = timeout(MIGRATION_TIMEOUT, migrate(&mut connection, is_migrated, statements)).await;
        if !matches!(answer, Ok(Ok(()))) {
            close(connection);
        }
        answer.map_err(|_| SqlStoreError::Timeout)?.map_err(SqlStoreError::from)
    }

    /// Returns how the connections are used now.
    pub fn pool_usage(&self) -> PoolUsage {
        let status = self.pool.status();
        let idle = status.available.min(status.size);
        PoolUsage { in_use: status.size - idle, idle, waiting: status.waiting, limit: status.max_size }
    }

    async fn in_time(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
        attempts: usize,
    ) -> Result<Answer, SqlStoreError> {
        let answer = timeout(self.timeout, async {
            let mut attempt = 1;
            loop {
                match self.lease().await?.run(statement, parameters).await {
                    Err(error) if attempt < attempts && is_sent_again(&error) => attempt += 1,
                    answer => return answer.map_err(SqlStoreError::from),
                }
            }
        });
        answer.await.unwrap_or(Err(SqlStoreError::Timeout))
    }

    async fn lease(&self) -> Result<Lease<'_>, SqlStoreError> {
        loop {
            let connection = self.pool.get().await?;
            if self.trust.extends_to(Object::metrics(&connection).created) {
                return Ok(Lease { connection: Some(connection), sent: None, database: self });
            }
            close(connection);
        }
    }

    /// Closes every connection that was made before. Idle connections close at once, and the others when they come
    /// back.
    fn distrust(&self) {
        self.trust.end();
        self.pool.retain(|_, metrics| self.trust.extends_to(metrics.created));
    }
}

/// How the connections of a pool are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// The connections that run a statement.
    pub in_use: usize,
    /// The connections that wait for a statement.
    pub idle: usize,
    /// The statements that wait for a connection, also for one that is being made.
    pub waiting: usize,
    /// How many connections there can be.
    pub limit: usize,
}

impl core::fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PostgresDatabase").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

struct Answer {
    first: Option<Row>,
    affected: u64,
}

/// A connection while a statement uses it.
struct Lease<'a> {
    connection: Option<Client>,
    /// When the statement was sent that has no answer yet.
    sent: Option<Instant>,
    database: &'a PostgresDatabase,
}

impl Lease<'_> {
    async fn run(mut self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Answer, Error> {
        self.sent = Some(Instant::now());
        let answer = match &self.connection {
            Some(connection) => answer(connection, statement, parameters).await,
            None => Ok(Answer { first: None, affected: 0 }),
        };
        self.sent = None;
        if let Err(error) = &answer {
            let is_gone = tells_of_the_server(error);
            if let Some(connection) = self.connection.take_if(|_| is_gone || !leaves_the_connection(error)) {
                close(connection);
            }
            if is_gone {
                self.database.distrust();
            }
        }
        answer
    }

    fn into_connection(mut self) -> Result<Client, SqlStoreError> {
        self.connection.take().ok_or(SqlStoreError::UnexpectedAnswer)
    }
}

impl Drop for Lease<'_> {
    /// Handles a statement whose caller no longer waits, because its time is over or the client has hung up. The
    /// connection is kept until the answer comes, or until the answer should have come.
    fn drop(&mut self) {
        let (Some(connection), Some(sent)) = (self.connection.take(), self.sent) else { return };
        let Ok(runtime) = Handle::try_current() else { return close(connection) };
        let left = self.database.timeout.saturating_sub(sent.elapsed());
        if left.is_zero() {
            close(connection);
            return self.database.distrust();
        }
        let database = self.database.clone();
        runtime.spawn(async move {
            // The answer to the check comes after that of the statement.
            if !matches!(timeout(left, connection.check_connection()).await, Ok(Ok(()))) {
                close(connection);
                database.distrust();
            }
        });
    }
}

/// The connections that are still trusted to lead to the server: those that were made after the last failure.
#[derive(Clone, Default)]
pub(super) struct Trust(Arc<Mutex<Option<Instant>>>);

impl Trust {
    fn extends_to(&self, created: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|ended| created > ended)
    }

    pub(super) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Checks whether a connection still works that was not used for a while.
    fn hook(self, patience: Duration) -> Hook {
        Hook::async_fn(move |connection, metrics| {
            let trust = self.clone();
            Box::pin(async move {
                if !trust.extends_to(metrics.created) {
                    return Err(HookError::message("made before another connection failed"));
                }
                if metrics.last_used() < TRUSTED_FOR || connection.is_closed() {
                    return Ok(());
                }
                if !matches!(timeout(patience, connection.check_connection()).await, Ok(Ok(()))) {
                    trust.end();
                    return Err(HookError::message("does not answer"));
                }
                Ok(())
            })
        })
    }
}

/// A parameter that does not appear in logs.
struct Redacted<'a>(&'a (dyn ToSql + Sync));

impl core::fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("_")
    }
}

impl ToSql for Redacted<'_> {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn core::error::Error + Sync + Send>> {
        self.0.to_sql_checked(to, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Makes what makes connections: to the one host, or to the primary among several.
fn manager<T>(server: Config, tls: T, recycling: ManagerConfig, limit: Duration, trust: &Trust) -> Manager
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    if server.get_hosts().len() < 2 {
        return Manager::from_config(server, tls, recycling);
    }
    let hosts = Hosts::new(&server, tls, limit / 2, trust.clone());
    Manager::from_connect(server, hosts, recycling)
}

async fn answer(connection: &Client, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Answer, Error> {
    let statement = connection.prepare_cached(statement).await?;
    let rows = connection.query_raw(&statement, parameters.iter().map(|parameter| Redacted(*parameter))).await?;
    let mut rows = core::pin::pin!(rows);
    let mut first = None;
    while let Some(row) = rows.try_next().await? {
        first.get_or_insert(row);
    }
    Ok(Answer { first, affected: rows.rows_affected().unwrap_or(0) })
}

async fn migrate(connection: &mut Client, is_migrated: &str, statements: &str) -> Result<(), Error> {
    let transaction = connection.transaction().await?;
    // Another host may be about to create it.
    transaction.batch_execute("SET LOCAL statement_timeout = '60s'").await?;
    transaction.query("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let is_there: bool = transaction.query_one(is_migrated, &[]).await?.try_get(0)?;
    if !is_there {
        transaction.batch_execute(statements).await?;
    }
    transaction.commit().await
}

/// Closes the socket at once. Returned to the pool, the connection would keep its place for a peer that may be gone for
/// good.
fn close(connection: Client) {
    drop(Object::take(connection));
}

fn is_lost(error: &Error) -> bool {
    let is_io = core::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>());
    // The server shuts down, has crashed, or starts.
    error.is_closed() || is_io || matches!(code(error), Some("57P01" | "57P02" | "57P03"))
}

/// Tells whether the server is gone or no longer a primary. Another connection to it is no better.
fn tells_of_the_server(error: &Error) -> bool {
    is_lost(error) || code(error) == Some(READ_ONLY)
}

/// Tells whether the connection can go on after this error.
fn leaves_the_connection(error: &Error) -> bool {
    match code(error) {
        Some(code) => !OUTDATED_STATEMENT.contains(&code),
        // A parameter that the statement can't have was never sent.
        None => core::error::Error::source(error)
            .is_some_and(|cause| cause.is::<deadpool_postgres::tokio_postgres::types::WrongType>()),
    }
}

fn is_sent_again(error: &Error) -> bool {
    is_lost(error) || code(error).is_some_and(|code| OUTDATED_STATEMENT.contains(&code))
}

fn code(error: &Error) -> Option<&str> {
    error.code().map(|state| state.code())
}

impl From<Error> for SqlStoreError {
    /// The text of the error can quote what was sent or stored, unless it tells of a lost connection.
    fn from(error: Error) -> Self {
        match code(&error) {
            // A server that ends a connection can say so before the connection is closed.
            _ if is_lost(&error) => Self::Connection(Cause::new(error)),
            Some(QUERY_CANCELED) => Self::Timeout,
            Some(code) => Self::Refused { code: code.into() },
            None => Self::UnexpectedAnswer,
        }
    }
}

impl From<PoolError> for SqlStoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(_) => Self::Timeout,
            PoolError::Backend(error) if error.code().is_some() => error.into(),
            PoolError::Backend(error) => Self::Connection(Cause::new(error)),
            other => Self::Connection(Cause::new(other)),
        }
    }
}

/// How long a connection is trusted without a check, and how long it can take to answer the check.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A server that works gives up earlier.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(150);

/// An arbitrary number, "otpgrant" in ASCII.
const MIGRATION_LOCK: i64 = 0x6f74_7067_7261_6e74;

/// The code that `statement_timeout` ends with.
const QUERY_CANCELED: &str = "57014";

/// The server is a standby, or a primary that was demoted.
const READ_ONLY: &str = "25006";

/// The prepared statement is unknown (a pooler has changed the server), or its table has changed.
const OUTDATED_STATEMENT: [&str; 2] = ["26000", "0A000"];
