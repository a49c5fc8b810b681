//! One address, and the connection to the server behind it. A connection to a dead server or to no primary is given up
//! here. Instead of an address, Sentinels can say where the server is.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::comes_from_no_primary;
use crate::options::RedisOptions;
use crate::sentinel::Sentinels;

/// An address. One connection at a time carries all commands. The host name is resolved for each connection.
pub(crate) struct Server {
    place: Place,
    config: AsyncConnectionConfig,
    command_timeout: Duration,
    current: Mutex<Option<Arc<Link>>>,
    /// When a connection was last given up because its server is no primary.
    refused: Mutex<Option<Instant>>,
}

/// Where each connection leads.
#[derive(Clone)]
enum Place {
    At(Box<Client>),
    /// Wherever the Sentinels say that the primary is.
    Primary(Arc<Sentinels>),
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
        Self::with(Place::At(Box::new(client)), options)
    }

    pub(crate) fn primary_of(sentinels: Arc<Sentinels>, options: &RedisOptions) -> Self {
        Self::with(Place::Primary(sentinels), options)
    }

    fn with(place: Place, options: &RedisOptions) -> Self {
        // Each command has its own time limit, and needs no second one.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(None);
        Self {
            place,
            config,
            command_timeout: options.command_timeout,
            current: Mutex::new(None),
            refused: Mutex::new(None),
        }
    }

    /// Waits for a connection.
    pub(crate) async fn connect(&self, deadline: Instant) -> RedisResult<()> {
        self.carry(deadline, |_| async { Ok(Vec::new()) }).await.map(drop)
    }

    /// Sends a command once.
    ///
    /// The next command uses a new connection if this one is lost, or if the server answers that it is no primary.
    /// If there is no answer before the deadline, the connection also ends for the other commands that wait on it.
    pub(crate) async fn query(&self, command: &Cmd, deadline: Instant) -> RedisResult<Value> {
        let send = |mut connection: MultiplexedConnection| async move {
            Ok(vec![connection.send_packed_command(command).await?])
        };
        self.carry(deadline, send).await?.pop().unwrap_or(Value::Nil).extract_error()
    }

    /// Sends commands once and together, as [`query`](Self::query) sends one. A refusal is among the answers.
    pub(crate) async fn pipeline(&self, commands: &Pipeline, deadline: Instant) -> RedisResult<Vec<Value>> {
        let send = |mut connection: MultiplexedConnection| async move {
            connection.send_packed_commands(commands, 0, commands.len()).await
        };
        self.carry(deadline, send).await
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

    async fn carry<F: Future<Output = RedisResult<Vec<Value>>>>(
        &self,
        deadline: Instant,
        send: impl FnOnce(MultiplexedConnection) -> F,
    ) -> RedisResult<Vec<Value>> {
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
            answer => {
                link.note_answered();
                let is_no_primary = match answer {
                    Ok(values) => values.iter().any(says_no_primary),
                    Err(error) => comes_from_no_primary(error),
                };
                if is_no_primary && self.may_try_another() {
                    self.forget(&link);
                }
            }
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
                // Connects in a task, because the commands that wait can have less time than connecting takes.
                tokio::spawn(connect(self.place.clone(), self.config.clone(), Arc::clone(&link)));
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
        matches!(self.connected.get(), Some(Err(_))) || self.ended.get().is_some()
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

/// Connects, and then ends the connection when the Sentinels name another primary.
async fn connect(place: Place, config: AsyncConnectionConfig, link: Arc<Link>) {
    let connecting = async {
        match &place {
            Place::At(client) => (client.get_multiplexed_async_connection_with_config(&config).await, None),
            Place::Primary(sentinels) => match sentinels.connect(&config).await {
                Ok((connection, claim)) => (Ok(connection), Some((sentinels, claim))),
                Err(error) => (Err(error), None),
            },
        }
    };
    let (connected, named) = tokio::select! {
        connecting = connecting => connecting,
        () = async { link.ended.wait().await; } => return,
    };
    // It is set only here.
    let _ = link.connected.set(connected);
    let Some((sentinels, claim)) = named else { return };
    let link = {
        let watched = Arc::downgrade(&link);
        drop(link);
        watched
    };
    while link.strong_count() > 0 {
        sleep(BETWEEN_QUESTIONS).await;
        if sentinels.name_another_than(&claim).await {
            if let Some(link) = link.upgrade() {
                link.end();
            }
            return;
        }
    }
}

/// Tells whether the connection is no longer of use, or was never made.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error()
}

fn says_no_primary(answer: &Value) -> bool {
    match answer {
        Value::ServerError(error) => comes_from_no_primary(&RedisError::from(error.clone())),
        _ => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shortest time between two connections that are given up because the server is no primary.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(100);

/// How often the Sentinels are asked whether a connection still leads to the primary.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);
