//! One address, and the connection to the server behind it. A connection to a dead server or to no primary is given up
//! here.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, RedisError, RedisResult};
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep_until};

use crate::error::comes_from_no_primary;
use crate::options::RedisOptions;

/// An address. One connection at a time carries all commands. The host name is resolved for each connection.
pub(crate) struct Server {
    client: Client,
    config: AsyncConnectionConfig,
    command_timeout: Duration,
    current: Mutex<Option<Arc<Link>>>,
    /// When a connection was last given up because its server is no primary.
    refused: Mutex<Option<Instant>>,
}

/// One connection. It lives from the first command that needs it until it is given up.
struct Link {
    connected: SetOnce<RedisResult<MultiplexedConnection>>,
    /// Set when the server is considered dead. Commands that wait for an answer then fail at once.
    ended: SetOnce<()>,
    since: Instant,
    /// When the first command was sent after the last answer. `None` if no command was sent since.
    unanswered: Mutex<Option<Instant>>,
}

impl Server {
    /// Makes the address without a connection.
    pub(crate) fn new(info: ConnectionInfo, options: &RedisOptions) -> RedisResult<Self> {
        Ok(Self::with_client(Client::open(info)?, options))
    }

    pub(crate) fn with_client(client: Client, options: &RedisOptions) -> Self {
        // Each command has its own time limit, and needs no second one.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(None);
        Self {
            client,
            config,
            command_timeout: options.command_timeout,
            current: Mutex::new(None),
            refused: Mutex::new(None),
        }
    }

    /// Waits for a connection.
    pub(crate) async fn connect(&self, deadline: Instant) -> RedisResult<()> {
        self.carry(deadline, |_| async { Ok(()) }).await
    }

    /// Sends a command once.
    ///
    /// The next command uses a new connection if this one is lost, or if the server answers that it is no primary.
    /// If there is no answer before the deadline, the connection also ends for the other commands that wait on it.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd, deadline: Instant) -> RedisResult<T> {
        self.carry(deadline, |mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// Sends a command once to a node that will soon own its slot.
    #[cfg(feature = "cluster")]
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd, deadline: Instant) -> RedisResult<T> {
        // Both in one write: `ASKING` applies to the next command of the connection.
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").ignore().add_command(command.clone());
        let pipeline = &pipeline;
        let (answer,) =
            self.carry(deadline, |mut connection| async move { pipeline.query_async(&mut connection).await }).await?;
        Ok(answer)
    }

    /// Tells whether commands were sent, but nothing was received for the time limit of a command.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_silent(&self) -> bool {
        lock(&self.current).as_ref().is_some_and(|link| link.is_silent(self.command_timeout))
    }

    /// Gives up the connection. Commands that wait on it fail at once.
    #[cfg(feature = "cluster")]
    pub(crate) fn end(&self) {
        if let Some(link) = lock(&self.current).take() {
            link.end();
        }
    }

    async fn carry<T, F: Future<Output = RedisResult<T>>>(
        &self,
        deadline: Instant,
        send: impl FnOnce(MultiplexedConnection) -> F,
    ) -> RedisResult<T> {
        let link = self.link();
        link.note_sent();
        let answer = async {
            let connection = link.connected.wait().await.clone()?;
            send(connection).await
        };
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = async { link.ended.wait().await; } => Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
            () = sleep_until(deadline) => {
                // The repetition of a load can be younger than its deadline suggests. It must not end a new connection.
                if link.since.elapsed() >= self.command_timeout {
                    self.forget(&link);
                    link.end();
                }
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
        };
        match &answer {
            Err(error) if is_broken(error) => self.forget(&link),
            Err(error) => {
                link.note_answered();
                if comes_from_no_primary(error) && self.may_try_another() {
                    self.forget(&link);
                }
            }
            Ok(_) => link.note_answered(),
        }
        answer
    }

    /// Returns the current connection. Begins one if there is none.
    fn link(&self) -> Arc<Link> {
        let mut current = lock(&self.current);
        // A caller can drop its future before the deadline. Then nothing else notices that the server is dead.
        if let Some(silent) = current.take_if(|link| link.is_silent(self.command_timeout)) {
            silent.end();
        }
        match &*current {
            Some(link) if !link.has_failed() => Arc::clone(link),
            _ => {
                let link = Arc::new(Link::new());
                let (client, config, connecting) = (self.client.clone(), self.config.clone(), Arc::clone(&link));
                // Connects in a task, because the commands that wait can have less time than connecting takes.
                tokio::spawn(async move {
                    tokio::select! {
                        connected = client.get_multiplexed_async_connection_with_config(&config) => {
                            // It is set only here.
                            let _ = connecting.connected.set(connected);
                        }
                        () = async { connecting.ended.wait().await; } => {}
                    }
                });
                *current = Some(Arc::clone(&link));
                link
            }
        }
    }

    /// Limits the rate of new connections while the address leads to a server that is no primary.
    fn may_try_another(&self) -> bool {
        let mut refused = lock(&self.refused);
        let may = refused.is_none_or(|at| at.elapsed() >= BETWEEN_CONNECTIONS);
        if may {
            *refused = Some(Instant::now());
        }
        may
    }

    /// Lets the next command begin another connection. Commands that wait on this one still get their answers.
    fn forget(&self, link: &Arc<Link>) {
        let mut current = lock(&self.current);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            *current = None;
        }
    }
}

impl Link {
    fn new() -> Self {
        Self { connected: SetOnce::new(), ended: SetOnce::new(), since: Instant::now(), unanswered: Mutex::new(None) }
    }

    fn has_failed(&self) -> bool {
        matches!(self.connected.get(), Some(Err(_)))
    }

    fn end(&self) {
        // The connection may already have ended.
        let _ = self.ended.set(());
    }

    fn note_sent(&self) {
        lock(&self.unanswered).get_or_insert_with(Instant::now);
    }

    fn note_answered(&self) {
        *lock(&self.unanswered) = None;
    }

    fn is_silent(&self, limit: Duration) -> bool {
        lock(&self.unanswered).is_some_and(|since| since.elapsed() >= limit)
    }
}

/// Tells whether the connection is no longer of use, or was never made.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shortest time between two connections that are given up because the server is no primary.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(100);
