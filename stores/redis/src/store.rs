//! The two operations of a store, each one command on one key.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use otp_grant::{Record, RecordKey, Store, Swap, Tag, Timestamp};
use redis::aio::ConnectionManager;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::error::RedisStoreError;
use crate::options::RedisOptions;

/// Keeps records in Redis, one string under one key each. A clone shares the connection.
///
/// What has to be configured in Redis, and what a failover can lose, is said [at the top](crate).
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    prefix: Arc<str>,
    command_timeout: Duration,
}

impl RedisStore {
    /// Keeps records through a connection that was made elsewhere: with client certificates, for instance.
    ///
    /// Its own timeouts apply as well. It must never read from a replica. A command that it sends twice by itself can be
    /// a swap that conflicts with itself; otp-grant recognises that, with one more load.
    /// A `ConnectionManager` whose password is refused when it connects again never tries once more: such a store stays
    /// useless, while one that [`connect`](Self::connect) made works as soon as the password is right.
    pub fn new(connection: ConnectionManager, options: RedisOptions) -> Self {
        Self::with(Connection::Given(connection), options)
    }

    /// Connects to `redis://[user:password@]host[:port][/database]`, to `redis+unix:///path`, or with the feature `tls` to
    /// `rediss://…`.
    ///
    /// One connection carries all commands. When it is lost, the next command begins a new one.
    ///
    /// # Errors
    /// [`RedisStoreError`], when Redis is not there or refuses: then `connect` can be called again. When the URL can't be
    /// read: then it can't.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<Self, RedisStoreError> {
        Ok(Self::with(Connection::to_server(url, &options).await?, options))
    }

    /// Connects to a Redis Cluster, of which at least one node has to be named by its URL.
    ///
    /// A command is sent again by itself when its slot has moved or its node was lost. A swap that had already been
    /// applied then is a conflict with itself; otp-grant recognises its own write.
    ///
    /// # Errors
    /// [`RedisStoreError`], when no node is there or all refuse: then it can be called again. When a URL can't be read: then
    /// it can't.
    #[cfg(feature = "cluster")]
    pub async fn connect_cluster(urls: &[&str], options: RedisOptions) -> Result<Self, RedisStoreError> {
        Ok(Self::with(Connection::to_cluster(urls, &options).await?, options))
    }

    fn with(connection: Connection, options: RedisOptions) -> Self {
        Self { connection, prefix: options.prefix, command_timeout: options.command_timeout }
    }

    fn key(&self, key: &RecordKey) -> String {
        [&*self.prefix, String::from(*key).as_str()].concat()
    }

    /// Where nothing is expected, Redis compares by itself. By `redis-benchmark` that takes it a third of what the script takes.
    async fn insert(&self, key: &str, value: &[u8], delete_at: i64) -> Result<Swap, RedisStoreError> {
        let mut command = Cmd::with_capacity(6, key.len() + value.len() + OTHER_ARGUMENTS);
        command.arg("SET").arg(key).arg(value).arg("NX").arg("PXAT").arg(delete_at);
        match self.in_time(self.connection.query(&command)).await? {
            Value::Okay => Ok(Swap::Stored),
            Value::Nil => Ok(Swap::Conflict),
            _ => Err(RedisStoreError::UnexpectedAnswer),
        }
    }

    async fn replace(&self, key: &str, tag: &str, value: &[u8], delete_at: i64) -> Result<Swap, RedisStoreError> {
        let command = |verb, script: &str| {
            let mut command = Cmd::with_capacity(7, script.len() + key.len() + value.len() + OTHER_ARGUMENTS);
            command.arg(verb).arg(script).arg(1).arg(key).arg(tag).arg(value).arg(delete_at);
            command
        };
        let swapped = self.in_time(async {
            match self.connection.query::<i64>(&command("EVALSHA", SWAP_SCRIPT.get_hash())).await {
                // Redis has not run anything. It forgets scripts when it starts.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.connection.query(&command("EVAL", SWAP)).await
                }
                answer => answer,
            }
        });
        match swapped.await? {
            1 => Ok(Swap::Stored),
            0 => Ok(Swap::Conflict),
            _ => Err(RedisStoreError::UnexpectedAnswer),
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = RedisResult<T>>) -> Result<T, RedisStoreError> {
        let answer = timeout(self.command_timeout, answer).await.map_err(|_| RedisStoreError::Timeout)?;
        Ok(answer?)
    }
}

impl Store for RedisStore {
    type Error = RedisStoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, RedisStoreError> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(key));
        let stored = self.in_time(async {
            match self.connection.query::<Option<Vec<u8>>>(&command).await {
                // Often the first that is heard of a connection that was lost long ago. A read may be repeated.
                Err(error) if error.is_io_error() && !error.is_timeout() => self.connection.query(&command).await,
                answer => answer,
            }
        });
        stored.await?.map(|stored| decode(&stored)).transpose()
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, RedisStoreError> {
        let (key, value, delete_at) = (self.key(key), encode(next)?, delete_at(next.delete_after));
        match expected {
            None => self.insert(&key, &value, delete_at).await,
            Some(tag) => self.replace(&key, &String::from(tag), &value, delete_at).await,
        }
    }
}

impl core::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The tag as text, then the record as JSON. The script compares the tag without having to parse anything.
fn encode(record: &Record) -> Result<Vec<u8>, RedisStoreError> {
    let mut stored = Vec::with_capacity(USUAL_LEN);
    stored.extend_from_slice(String::from(record.tag).as_bytes());
    serde_json::to_writer(&mut stored, record).map_err(|_| RedisStoreError::NotARecord)?;
    Ok(stored)
}

fn decode(stored: &[u8]) -> Result<Record, RedisStoreError> {
    // The cause would quote the value.
    let (tag, json) = stored.split_at_checked(TAG_LEN).ok_or(RedisStoreError::NotARecord)?;
    let record: Record = serde_json::from_slice(json).map_err(|_| RedisStoreError::NotARecord)?;
    // Swaps go by the one tag, the core by the other.
    if String::from(record.tag).as_bytes() == tag { Ok(record) } else { Err(RedisStoreError::NotARecord) }
}

/// When Redis deletes, in milliseconds of its own clock.
fn delete_at(delete_after: Timestamp) -> i64 {
    // Redis refuses what exceeds an i64. That is in 292 million years.
    i64::try_from(delete_after.after(KEPT_LONGER).as_unix_millis()).unwrap_or(i64::MAX)
}

/// How much longer records are kept: a Redis whose clock is ahead of the hosts' by less deletes nothing too early.
const KEPT_LONGER: Duration = Duration::from_secs(60);

/// The length of a tag in base64url.
const TAG_LEN: usize = 22;

/// More than most records take, so that memory is asked for once.
const USUAL_LEN: usize = 1024;

/// More than the verb, a tag and the numbers of a command take.
const OTHER_ARGUMENTS: usize = 64;

/// Compares and writes. The range of a string that isn't there is empty, and no tag is. One command writes value and expiry, so
/// nothing is half done when it fails. Numbers would be written out as text for each call; here they are text already.
const SWAP: &str = "\
if redis.call('GETRANGE', KEYS[1], '0', '21') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1
";

static SWAP_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(SWAP));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_is_one_that_redis_accepts() {
        let at = |millis| delete_at(Timestamp::from_unix_millis(millis));
        assert_eq!(at(0), 60_000);
        assert_eq!(at(1_800_000_000_000), 1_800_000_060_000);
        assert_eq!(at(i64::MAX.unsigned_abs()), i64::MAX);
        assert_eq!(at(u64::MAX), i64::MAX);
    }

    #[test]
    fn what_is_not_a_record_is_an_error() {
        for stored in [&b""[..], b"AAAAAAAAAAAAAAAAAAAAAA", b"AAAAAAAAAAAAAAAAAAAAAA{}", b"\xff\xfe", &[b'['; 10_000]] {
            assert!(matches!(decode(stored), Err(RedisStoreError::NotARecord)));
        }
    }
}
