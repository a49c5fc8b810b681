//! Asks Sentinels where the primary is, and connects to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
    Value, from_redis_value,
};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::address::Address;
use crate::options::RedisOptions;
use crate::server::Server;

/// The Sentinels of one primary.
pub(crate) struct Sentinels {
    sentinels: Vec<Arc<Server>>,
    /// Where to find a Sentinel that names an empty host.
    first: Address,
    question: Pipeline,
    /// Credentials, TLS and number of the database for the primary.
    primary: ConnectionInfo,
    connection_timeout: Duration,
    /// The last answer. The lock is held while the Sentinels are asked.
    last: Mutex<Option<(Instant, Claim)>>,
}

/// What a Sentinel says: where the primary is, and since which failover.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// It grows with each failover.
    epoch: u64,
    address: Address,
}

impl Sentinels {
    pub(crate) fn new(
        sentinels: Vec<ConnectionInfo>,
        service: &str,
        primary: ConnectionInfo,
        options: &RedisOptions,
    ) -> RedisResult<Self> {
        let first = Address::of(&primary)?;
        let limit = STEP.min(options.connection_timeout);
        let own = options.clone().command_timeout(limit).connection_timeout(limit);
        let sentinels = sentinels.into_iter().map(|info| Ok(Arc::new(Server::new(info, &own)?)));
        let mut question = Pipeline::new();
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        question.cmd("SENTINEL").arg("MASTER").arg(service);
        Ok(Self {
            sentinels: sentinels.collect::<RedisResult<_>>()?,
            first,
            question,
            primary,
            connection_timeout: options.connection_timeout,
            last: Mutex::new(None),
        })
    }

    /// Connects to the server that the Sentinels name, and that says of itself that it is a primary. During a failover,
    /// asks again until both agree.
    pub(crate) async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<(MultiplexedConnection, Claim)> {
        let until = Instant::now() + self.connection_timeout.saturating_sub(BETWEEN_ATTEMPTS);
        loop {
            let error = match self.try_connect(config).await {
                Ok(connected) => return Ok(connected),
                Err(error) => error,
            };
            let passes = error.is_io_error() || matches!(error.kind(), ErrorKind::Server(_));
            if !passes || Instant::now() + BETWEEN_ATTEMPTS >= until {
                return Err(error);
            }
            sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    /// Tells whether the Sentinels know a later primary than the one that they have named before.
    pub(crate) async fn name_another_than(&self, claim: &Claim) -> bool {
        // An earlier failover is what a Sentinel knows that was cut off.
        self.ask(MOST_AGE).await.is_ok_and(|now| now.address != claim.address && now.epoch >= claim.epoch)
    }

    async fn try_connect(&self, config: &AsyncConnectionConfig) -> RedisResult<(MultiplexedConnection, Claim)> {
        let claim = self.ask(Duration::ZERO).await?;
        let info = self.primary.clone().set_addr(claim.address.within(self.primary.addr()));
        let connecting = async {
            let mut connection = Client::open(info)?.get_multiplexed_async_connection_with_config(config).await?;
            let role = redis::cmd("ROLE").query_async::<Vec<Value>>(&mut connection).await?;
            let role = role.into_iter().next().map(from_redis_value::<String>).transpose()?;
            if role.as_deref() != Some("master") {
                return Err(RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), NO_PRIMARY)));
            }
            Ok(connection)
        };
        // A frozen server must not take the time in which the Sentinels name another one.
        let limit = STEP.min(self.connection_timeout);
        let connection = timeout(limit, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok((connection, claim))
    }

    /// Returns the answer of the Sentinel that knows the latest failover, which can be as old as a caller allows.
    ///
    /// All are asked at once. Those that do not answer at once after the first are not waited for.
    async fn ask(&self, most_age: Duration) -> RedisResult<Claim> {
        let begun = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((at, claim)) = &*last {
            // Another caller has asked in the meantime.
            if *at + most_age >= begun {
                return Ok(claim.clone());
            }
        }
        let deadline = Instant::now() + STEP;
        let mut answers = JoinSet::new();
        for sentinel in &self.sentinels {
            let (sentinel, question, first) = (Arc::clone(sentinel), self.question.clone(), self.first.clone());
            answers.spawn(async move { parse(sentinel.pipeline(&question, deadline).await?, &first) });
        }
        let (mut best, mut until, mut error) = (None::<Claim>, deadline, None);
        let mut knows_none = true;
        // At the deadline, the rest are dropped.
        while let Ok(Some(answer)) = timeout_at(until, answers.join_next()).await {
            match answer {
                Ok(Ok(Some(claim))) => {
                    until = deadline.min(Instant::now() + GRACE);
                    best = best.max(Some(claim));
                }
                Ok(Ok(None)) => {}
                Ok(Err(failure)) => (knows_none, error) = (false, Some(failure)),
                Err(_) => knows_none = false,
            }
        }
        let claim = best.ok_or_else(|| match error {
            Some(error) => error,
            None if knows_none && answers.is_empty() => RedisError::from((ErrorKind::InvalidClientConfig, UNKNOWN)),
            None => io::Error::from(io::ErrorKind::TimedOut).into(),
        })?;
        *last = Some((Instant::now(), claim.clone()));
        Ok(claim)
    }
}

/// Reads the answers of a Sentinel: host and port, or nothing; and what it knows of the primary, a list of names and
/// values.
fn parse(answers: Vec<Value>, said_by: &Address) -> RedisResult<Option<Claim>> {
    let mut answers = answers.into_iter();
    let address = answers.next().unwrap_or(Value::Nil).extract_error()?;
    let Some(address) = from_redis_value::<Option<Vec<String>>>(address)? else { return Ok(None) };
    let [host, port] = &address[..] else { return Err(io::Error::from(io::ErrorKind::InvalidData).into()) };
    let port = port.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // A user who may not run the second command learns nothing of the failover.
    let known = answers.next().unwrap_or(Value::Nil).extract_error();
    let known = known.and_then(|known| Ok(from_redis_value::<Vec<(String, String)>>(known)?)).unwrap_or_default();
    let epoch = known.iter().find(|(name, _)| name == "config-epoch").and_then(|(_, epoch)| epoch.parse().ok());
    Ok(Some(Claim { epoch: epoch.unwrap_or(0), address: Address::new(host, port, said_by) }))
}

/// The time limit of a question, and of one attempt to connect to the server that was named.
const STEP: Duration = Duration::from_millis(500);

/// How long the other Sentinels are waited for after the first answer.
const GRACE: Duration = Duration::from_millis(100);

const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// How old an answer can be that only confirms a connection.
const MOST_AGE: Duration = Duration::from_millis(500);

const NO_PRIMARY: &str = "the server that the Sentinels name is no primary";

const UNKNOWN: &str = "no Sentinel knows the service that the URL names";
