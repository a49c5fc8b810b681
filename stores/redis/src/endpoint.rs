//! One server as the store uses it. Where swaps wait for replicas, they have connections of their own, because `WAIT`
//! holds up all commands behind it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Client, Cmd, ConnectionInfo, Pipeline, RedisResult, Value, from_redis_value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::options::{RedisOptions, Replicas};
use crate::sentinel::Sentinels;
use crate::server::Server;

/// A server. Loads share one connection. So do swaps, unless they wait for replicas.
pub(crate) struct Endpoint {
    shared: Server,
    waiting: Option<Waiting>,
}

/// A command on one key.
pub(crate) struct Request<'a> {
    pub(crate) key: &'a str,
    pub(crate) command: &'a Cmd,
    pub(crate) is_swap: bool,
}

/// What a server has answered.
pub(crate) struct Answer {
    pub(crate) value: Value,
    /// Whether as many replicas as required have what was written or read. True where none are required.
    pub(crate) is_replicated: bool,
}

/// The connections on which `WAIT` is sent, one command at a time, and what is known of the replicas.
struct Waiting {
    replicas: Replicas,
    lanes: Semaphore,
    idle: Mutex<Vec<Server>>,
    /// Counts the beginnings and the failures of confirmations, which gives each an order.
    clock: AtomicU64,
    /// When replicas last failed to acknowledge a swap in time. Zero if they have acknowledged a later write.
    ///
    /// Until then a load is also confirmed: what it finds can be a swap that the caller was told nothing certain about.
    failed_at: AtomicU64,
}

impl Endpoint {
    pub(crate) fn at(info: ConnectionInfo, options: &RedisOptions) -> RedisResult<Self> {
        Ok(Self::with_client(Client::open(info)?, options))
    }

    pub(crate) fn with_client(client: Client, options: &RedisOptions) -> Self {
        Self::of(options, || Server::with_client(client.clone(), options))
    }

    pub(crate) fn primary_of(sentinels: &Arc<Sentinels>, options: &RedisOptions) -> Self {
        Self::of(options, || Server::primary_of(Arc::clone(sentinels), options))
    }

    fn of(options: &RedisOptions, server: impl Fn() -> Server) -> Self {
        let waiting = options.replicas.map(|replicas| Waiting {
            replicas,
            lanes: Semaphore::new(LANES),
            idle: Mutex::new((0..LANES).map(|_| server()).collect()),
            clock: AtomicU64::new(1),
            failed_at: AtomicU64::new(0),
        });
        Self { shared: server(), waiting }
    }

    /// Waits for a connection.
    pub(crate) async fn connect(&self, deadline: Instant) -> RedisResult<()> {
        self.shared.connect(deadline).await
    }

    /// Sends a command that is about no record.
    pub(crate) async fn query(&self, command: &Cmd, deadline: Instant) -> RedisResult<Value> {
        self.shared.query(command, deadline).await
    }

    /// Sends a request once, with `is_asked` to a node that will soon own its slot.
    pub(crate) async fn run(&self, request: &Request<'_>, is_asked: bool, deadline: Instant) -> RedisResult<Answer> {
        match &self.waiting {
            Some(waiting) if request.is_swap || waiting.is_behind() => waiting.run(request, is_asked, deadline).await,
            _ if is_asked => {
                let mut answers = self.shared.pipeline(&pipeline(request, is_asked), deadline).await?.into_iter();
                let value = answers.nth(1).ok_or_else(unexpected)?.extract_error()?;
                Ok(Answer { value, is_replicated: true })
            }
            _ => Ok(Answer { value: self.shared.query(request.command, deadline).await?, is_replicated: true }),
        }
    }

    /// Tells whether commands were sent, but nothing was received for the time limit of a command.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_silent(&self) -> bool {
        self.shared.is_silent()
            || self.waiting.as_ref().is_some_and(|waiting| waiting.idle().iter().any(Server::is_silent))
    }

    /// Gives up the connections. Commands that wait on them fail at once.
    #[cfg(feature = "cluster")]
    pub(crate) fn end(&self) {
        self.shared.end();
        if let Some(waiting) = &self.waiting {
            waiting.idle().iter().for_each(Server::end);
        }
    }
}

impl Waiting {
    fn is_behind(&self) -> bool {
        self.failed_at.load(SeqCst) > 0
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Server>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, request: &Request<'_>, is_asked: bool, deadline: Instant) -> RedisResult<Answer> {
        let lane =
            timeout_at(deadline, Lane::take(self)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let mut commands = pipeline(request, is_asked);
        if !request.is_swap {
            // `WAIT` counts the replicas that have the last write of its own connection.
            if is_asked {
                commands.cmd("ASKING");
            }
            commands.cmd("SET").arg(marker_beside(request.key)).arg("").arg("PX").arg(MARKER_LIFE);
        }
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(FOR_THE_ANSWER);
        let wait = self.replicas.timeout.min(left).as_millis().max(1);
        commands.cmd("WAIT").arg(self.replicas.count).arg(u64::try_from(wait).unwrap_or(u64::MAX));
        let confirmation = Confirmation::begin(self);
        let mut answers = lane.server()?.pipeline(&commands, deadline).await?;
        let acknowledged = answers.pop().ok_or_else(unexpected)?;
        let marked = if request.is_swap { Value::Okay } else { answers.pop().ok_or_else(unexpected)? };
        let value = answers.into_iter().nth(usize::from(is_asked)).ok_or_else(unexpected)?.extract_error();
        let acknowledged = acknowledged.extract_error().and_then(|count| Ok(from_redis_value::<u32>(count)?));
        let is_replicated =
            matches!(marked, Value::Okay) && acknowledged.is_ok_and(|count| count >= self.replicas.count);
        let has_written = !request.is_swap || matches!(value, Ok(Value::Okay | Value::Int(1)));
        match (has_written, is_replicated) {
            // Nothing was written, so `WAIT` was about an earlier write.
            (false, _) => confirmation.cancel(),
            (true, true) => confirmation.succeed(),
            (true, false) => drop(confirmation),
        }
        value.map(|value| Answer { value, is_replicated: is_replicated || !has_written })
    }
}

/// A connection that is used for one request.
struct Lane<'a> {
    waiting: &'a Waiting,
    server: Option<Server>,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl<'a> Lane<'a> {
    async fn take(waiting: &'a Waiting) -> RedisResult<Self> {
        let permit = waiting.lanes.acquire().await.map_err(|_| unexpected())?;
        let server = waiting.idle().pop();
        Ok(Self { waiting, server, _permit: permit })
    }

    fn server(&self) -> RedisResult<&Server> {
        self.server.as_ref().ok_or_else(unexpected)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.waiting.idle().extend(self.server.take());
    }
}

/// A write that replicas have to acknowledge. Dropped without an outcome, also because the caller has hung up, it
/// counts as a failure.
struct Confirmation<'a> {
    waiting: &'a Waiting,
    begun: u64,
    is_over: bool,
}

impl<'a> Confirmation<'a> {
    fn begin(waiting: &'a Waiting) -> Self {
        Self { waiting, begun: waiting.clock.fetch_add(1, SeqCst), is_over: false }
    }

    /// A replica that has this write also has everything that was written before.
    fn succeed(mut self) {
        self.is_over = true;
        let later_than = |failed: u64| (failed < self.begun).then_some(0);
        // A later failure stays.
        let _ = self.waiting.failed_at.fetch_update(SeqCst, SeqCst, later_than);
    }

    fn cancel(mut self) {
        self.is_over = true;
    }
}

impl Drop for Confirmation<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.waiting.failed_at.fetch_max(self.waiting.clock.fetch_add(1, SeqCst), SeqCst);
        }
    }
}

fn pipeline(request: &Request<'_>, is_asked: bool) -> Pipeline {
    let mut commands = Pipeline::with_capacity(5);
    if is_asked {
        // In one write, because `ASKING` applies to the next command of the connection.
        commands.cmd("ASKING");
    }
    commands.add_command(request.command.clone());
    commands
}

/// Returns a key in the slot of another key, and under its prefix.
fn marker_beside(key: &str) -> String {
    let prefix = key.rfind(':').and_then(|at| key.get(..=at)).unwrap_or_default();
    // With a hash tag in the prefix, both keys have its slot.
    format!("{prefix}wait:{{{key}}}")
}

fn unexpected() -> redis::RedisError {
    io::Error::from(io::ErrorKind::InvalidData).into()
}

/// How many swaps can wait for replicas at once, per process and server.
const LANES: usize = 16;

/// How long the key of a confirmation lives, in milliseconds.
const MARKER_LIFE: u64 = 1000;

/// How much earlier than a command a `WAIT` ends, so that its answer arrives.
const FOR_THE_ANSWER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_forgiven_only_by_a_write_that_began_after_it() {
        let waiting = Waiting {
            replicas: Replicas { count: 1, timeout: Duration::from_secs(1) },
            lanes: Semaphore::new(0),
            idle: Mutex::default(),
            clock: AtomicU64::new(1),
            failed_at: AtomicU64::new(0),
        };
        let (early, hung_up, refused) =
            (Confirmation::begin(&waiting), Confirmation::begin(&waiting), Confirmation::begin(&waiting));
        refused.cancel();
        assert!(!waiting.is_behind());
        drop(hung_up);
        assert!(waiting.is_behind());
        early.succeed();
        assert!(waiting.is_behind());
        Confirmation::begin(&waiting).succeed();
        assert!(!waiting.is_behind());
    }

    #[test]
    fn the_marker_is_under_the_prefix_and_in_the_slot_of_the_key() {
        assert_eq!(marker_beside("otp-grant:abc"), "otp-grant:wait:{otp-grant:abc}");
        assert_eq!(marker_beside("{tag}:abc"), "{tag}:wait:{{tag}:abc}");
        assert_eq!(marker_beside("abc"), "wait:{abc}");
    }
}
