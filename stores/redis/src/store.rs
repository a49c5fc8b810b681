//! The two operations of a store in Redis. Each is one command on one key.

use std::sync::LazyLock;
use std::time::Duration;

use otp_grant::Store;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::{Record, Swap};
use otp_grant::time::Timestamp;
use redis::{Client, Cmd, RedisError, Script, Value, from_redis_value};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::durability::{self, DurabilityRisk};
use crate::endpoint::Request;
use crate::error::{RedisStoreError, comes_from_no_primary};
use crate::options::RedisOptions;

/// Keeps records in Redis, one string under one key each. A clone shares the connection.
///
/// [The crate's front page](crate) says what to configure in Redis, and what a failover can lose.
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    options: RedisOptions,
}

impl RedisStore {
    /// Connects to what a URL names:
    ///
    /// - `redis://[user:password@]host[:port][/database]` or `redis+unix:///path`: a server;
    /// - `redis+sentinel://[user:password@]host[:port],…/service[/database]`: the primary that Sentinels watch under
    ///   the name of the service;
    /// - `redis+cluster://[user:password@]host[:port],…`: a Redis Cluster, with the feature `cluster`.
    ///
    /// With the feature `tls` there are also `rediss://`, `rediss+sentinel://` and `rediss+cluster://`.
    ///
    /// One connection carries all commands, except swaps that wait for replicas. It is given up when it is lost, when a
    /// command gets no answer in time, or when the server says that it is no primary. The next command then makes a new
    /// connection, and resolves the host name again. Sentinels are asked before each connection, and the server that
    /// they name must say of itself that it is a primary.
    ///
    /// # Errors
    /// [`RedisStoreError`]:
    ///
    /// - when Redis is not there or refuses: `connect` can be called again;
    /// - when the URL can't be read: another call does not help.
    pub async fn connect(url: &str, options: RedisOptions) -> Result<Self, RedisStoreError> {
        Ok(Self::with(Connection::to(url, &options).await?, options))
    }

    /// Connects with a client that the host has made, for instance one with client certificates.
    ///
    /// This client makes each connection. A connection is given up as [`connect`](Self::connect) says. The settings of
    /// TCP are those of the client.
    ///
    /// # Errors
    /// [`RedisStoreError`] when Redis is not there or refuses. It can be called again.
    pub async fn connect_with(client: Client, options: RedisOptions) -> Result<Self, RedisStoreError> {
        Ok(Self::with(Connection::with_client(client, &options).await?, options))
    }

    /// Connects to a Redis Cluster. The URLs must name at least one of its nodes.
    ///
    /// A command goes to the node that owns its slot by the node's own word. No node is asked to answer for another
    /// node. A command is sent again only to the node that a redirection names. Nodes that no URL names get the user,
    /// the password and the use of TLS from the first URL.
    ///
    /// # Errors
    /// [`RedisStoreError`]:
    ///
    /// - when no node is there or all refuse: it can be called again;
    /// - when a URL can't be read: another call does not help.
    #[cfg(feature = "cluster")]
    pub async fn connect_cluster(urls: &[&str], options: RedisOptions) -> Result<Self, RedisStoreError> {
        Ok(Self::with(Connection::to_cluster(urls, &options).await?, options))
    }

    /// Asks each primary for settings that can make Redis forget a record. [The crate's front page](crate) says how
    /// Redis must be configured.
    ///
    /// Call it when a host starts, and log what it returns. It needs the right to `INFO`, and to `CONFIG GET` for a
    /// part. A server that refuses is itself [in the list](DurabilityRisk).
    ///
    /// ```no_run
    /// # async fn test(store: otp_grant_redis::RedisStore) -> Result<(), otp_grant_redis::RedisStoreError> {
    /// for risk in store.durability_risks().await? {
    ///     eprintln!("warning: {risk}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`RedisStoreError`] when a server does not answer. It can be called again.
    pub async fn durability_risks(&self) -> Result<Vec<DurabilityRisk>, RedisStoreError> {
        durability::risks(&self.connection, self.options.replicas, self.deadline()).await
    }

    fn with(connection: Connection, options: RedisOptions) -> Self {
        Self { connection, options }
    }

    fn key(&self, key: &RecordKey) -> String {
        [&*self.options.prefix, String::from(*key).as_str()].concat()
    }

    /// Sends a swap. Until enough replicas have it, its outcome is unknown.
    async fn send(&self, key: &str, command: &Cmd, deadline: Instant) -> Result<Value, RedisStoreError> {
        let answer = self.connection.run(&Request { key, command, is_swap: true }, deadline).await?;
        if answer.is_replicated { Ok(answer.value) } else { Err(RedisStoreError::NotReplicated) }
    }

    /// Inserts with `SET … NX`, which stores only where nothing is stored. By `redis-benchmark`, this takes Redis a
    /// third of the time of the script.
    async fn insert(&self, key: &str, value: &[u8], delete_at: i64) -> Result<Swap, RedisStoreError> {
        let mut command = Cmd::with_capacity(6, key.len() + value.len() + OTHER_ARGUMENTS);
        command.arg("SET").arg(key).arg(value).arg("NX").arg("PXAT").arg(delete_at);
        match self.send(key, &command, self.deadline()).await? {
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
        let deadline = self.deadline();
        let evalsha = command("EVALSHA", SWAP_SCRIPT.get_hash());
        let swapped = match self.send(key, &evalsha, deadline).await {
            // Redis has not run anything. It forgets scripts when it starts.
            Err(RedisStoreError::Refused { code }) if *code == *"NOSCRIPT" => {
                self.send(key, &command("EVAL", SWAP), deadline).await
            }
            answer => answer,
        };
        match swapped? {
            Value::Int(1) => Ok(Swap::Stored),
            Value::Int(0) => Ok(Swap::Conflict),
            _ => Err(RedisStoreError::UnexpectedAnswer),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.options.command_timeout
    }
}

impl Store for RedisStore {
    type Error = RedisStoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, RedisStoreError> {
        let (key, deadline) = (self.key(key), self.deadline());
        // `GETEX` without options changes nothing, but Redis counts it as a write. A replica therefore does not answer
        // it.
        let mut command = Cmd::with_capacity(2, key.len() + OTHER_ARGUMENTS);
        command.arg("GETEX").arg(&key);
        let request = Request { key: &key, command: &command, is_swap: false };
        let answer = match self.connection.run(&request, deadline).await {
            Err(error) if can_be_repeated(&error) => self.connection.run(&request, deadline).await,
            answer => answer,
        }?;
        if !answer.is_replicated {
            return Err(RedisStoreError::NotReplicated);
        }
        let stored = from_redis_value::<Option<Vec<u8>>>(answer.value).map_err(RedisError::from)?;
        stored.map(|stored| decode(&stored)).transpose()
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
        f.debug_struct("RedisStore").field("prefix", &self.options.prefix).finish_non_exhaustive()
    }
}

/// Tells whether a load is sent once more, over the next connection. A load is often the first command after a
/// connection was lost or a primary was demoted.
fn can_be_repeated(error: &RedisError) -> bool {
    error.is_io_error() && !error.is_timeout() || comes_from_no_primary(error)
}

/// Writes the tag as text and then the record as JSON. The script compares the tag and parses nothing.
fn encode(record: &Record) -> Result<Vec<u8>, RedisStoreError> {
    let mut stored = Vec::with_capacity(USUAL_LEN);
    stored.extend_from_slice(String::from(record.tag).as_bytes());
    serde_json::to_writer(&mut stored, record).map_err(|_| RedisStoreError::NotARecord)?;
    Ok(stored)
}

fn decode(stored: &[u8]) -> Result<Record, RedisStoreError> {
    // The cause of the error would quote the value.
    let (tag, json) = stored.split_at_checked(TAG_LEN).ok_or(RedisStoreError::NotARecord)?;
    let record: Record = serde_json::from_slice(json).map_err(|_| RedisStoreError::NotARecord)?;
    // Swaps compare the tag in front, and the core compares the tag in the record.
    if String::from(record.tag).as_bytes() == tag { Ok(record) } else { Err(RedisStoreError::NotARecord) }
}

/// Returns when Redis deletes the record, in milliseconds of its own clock.
fn delete_at(delete_after: Timestamp) -> i64 {
    // Redis refuses a number that exceeds an i64. That is in 292 million years.
    i64::try_from(delete_after.after(KEPT_LONGER).as_unix_millis()).unwrap_or(i64::MAX)
}

/// How much longer records are kept. A Redis whose clock is ahead of the hosts' clocks by less than this deletes
/// nothing too early.
const KEPT_LONGER: Duration = Duration::from_secs(60);

/// The length of a tag in base64url.
const TAG_LEN: usize = 22;

/// More than most records take. Memory is then allocated once.
const USUAL_LEN: usize = 1024;

/// More than the verb, a tag and the numbers of a command take.
const OTHER_ARGUMENTS: usize = 64;

/// Compares and writes. The range of a missing string is empty, and no tag is empty. One command writes the value and
/// the expiry, so nothing is half done when it fails. The numbers are given as text, because Redis would otherwise
/// convert them on each call.
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
