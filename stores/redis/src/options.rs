//! The options of a store in Redis: the prefix of its keys, and its timeouts.

use std::sync::Arc;
use std::time::Duration;

/// Names the keys of a [`RedisStore`](crate::RedisStore) and limits how long it waits.
///
/// ```
/// use otp_grant_redis::RedisOptions;
/// use std::time::Duration;
///
/// let options = RedisOptions::default().prefix("login:").command_timeout(Duration::from_millis(500));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisOptions {
    pub(crate) prefix: Arc<str>,
    pub(crate) command_timeout: Duration,
    pub(crate) connection_timeout: Duration,
    pub(crate) replicas: Option<Replicas>,
}

/// The replicas that have to acknowledge a swap, and for how long they are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicas {
    pub(crate) count: u32,
    pub(crate) timeout: Duration,
}

impl RedisOptions {
    /// Replaces the prefix of each key. Defaults to `otp-grant:`.
    ///
    /// All hosts that serve the same users must use the same prefix. Another prefix is another, empty store, in which
    /// all guesses are forgotten. A prefix with a `{hash tag}` puts all records into one slot of a cluster.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Replaces the time limit of one `load` or `swap`, which includes waiting for a connection. Defaults to 2 seconds.
    ///
    /// A swap that takes longer may still be applied. otp-grant then finds out.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// Replaces the time limit of connecting, and of reconnecting after a loss. Defaults to 2 seconds.
    pub fn connection_timeout(mut self, timeout: Duration) -> Self {
        self.connection_timeout = timeout;
        self
    }

    /// Has each swap wait until so many replicas have acknowledged it (`WAIT`), for at most `timeout`. Zero waits for
    /// none, which is the default.
    ///
    /// A swap that fewer replicas acknowledge in time fails with
    /// [`RedisStoreError::NotReplicated`](crate::RedisStoreError::NotReplicated), although it is stored at the primary.
    /// Until replicas have caught up, this store also has loads wait, and they fail in the same way. otp-grant then
    /// answers with a 503. The time limit of a command includes the wait. [The crate's front page](crate#replicas) says
    /// what this gives, and what it does not.
    pub fn wait_for_replicas(mut self, count: u32, timeout: Duration) -> Self {
        self.replicas = (count > 0).then_some(Replicas { count, timeout });
        self
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { prefix: "otp-grant:".into(), command_timeout: TIMEOUT, connection_timeout: TIMEOUT, replicas: None }
    }
}

const TIMEOUT: Duration = Duration::from_secs(2);
