//! Finds settings of Redis that can make it forget a record.

use redis::{RedisError, Value, from_redis_value};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::RedisStoreError;
use crate::options::Replicas;

/// A reason why a server can forget what it has acknowledged. A code is then accepted twice, or guesses are forgotten.
///
/// Its text is one line for a log. In a cluster, each node has its own, with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurabilityRisk {
    /// The address of the cluster's node. `None` if there is one server.
    pub node: Option<String>,
    /// What is wrong.
    pub kind: DurabilityRiskKind,
}

/// What can make a server forget.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DurabilityRiskKind {
    /// `maxmemory-policy` is not `noeviction`.
    Eviction {
        /// The policy.
        policy: String,
        /// Whether `maxmemory` is set. Without it, nothing is evicted yet.
        is_limited: bool,
    },
    /// Nothing is written to the disk.
    NoPersistence,
    /// `appendonly` is off. There are snapshots, or the server does not tell.
    NoAppendOnlyFile,
    /// `appendfsync` is not `always`.
    LateFsync {
        /// The setting.
        appendfsync: String,
    },
    /// Swaps wait for more replicas than are connected, and fail.
    TooFewReplicas {
        /// How many are connected.
        connected: u32,
        /// How many are waited for.
        required: u32,
    },
    /// The user has no right to `INFO`.
    Unknown,
}

impl core::fmt::Display for DurabilityRisk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.node {
            Some(node) => write!(f, "Redis at {node} {}", self.kind),
            None => write!(f, "Redis {}", self.kind),
        }
    }
}

impl core::fmt::Display for DurabilityRiskKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Eviction { policy, is_limited } => {
                let when = if *is_limited { "when its memory is full" } else { "as soon as maxmemory is set and reached" };
                write!(
                    f,
                    "has maxmemory-policy {policy}: {when}, it throws away spent codes and counted guesses; set noeviction"
                )
            }
            Self::NoPersistence => f.write_str(
                "keeps nothing on disk: a restart forgets all sessions, spent codes and counted guesses; set appendonly yes",
            ),
            Self::NoAppendOnlyFile => f.write_str(
                "has no append-only file: a restart brings back the codes and sessions of the last snapshot, if there is \
                 one; set appendonly yes",
            ),
            Self::LateFsync { appendfsync } => {
                write!(f, "has appendfsync {appendfsync}: a crash of the machine loses ")?;
                f.write_str(if appendfsync == "everysec" { "up to two seconds" } else { "what is not yet on the disk" })?;
                f.write_str(", in which a spent code is good again; always loses nothing")
            }
            Self::TooFewReplicas { connected, required } => write!(
                f,
                "has {connected} connected replicas, and each swap waits for {required}: requests fail until there are more"
            ),
            Self::Unknown => f.write_str(
                "does not let this user run INFO: whether it evicts or persists is unknown; allow +info and +config|get",
            ),
        }
    }
}

/// Asks each primary.
pub(crate) async fn risks(
    connection: &Connection,
    replicas: Option<Replicas>,
    deadline: Instant,
) -> Result<Vec<DurabilityRisk>, RedisStoreError> {
    let config = |name: &str| {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(name);
        command
    };
    let infos = connection.query_each(&redis::cmd("INFO"), deadline).await;
    let fsyncs = connection.query_each(&config("appendfsync"), deadline).await;
    let saves = connection.query_each(&config("save"), deadline).await;
    let mut risks = Vec::new();
    for (node, info) in infos {
        // A managed service can hide its settings.
        let of_node = |answers: &[(Option<String>, Result<Value, RedisError>)]| {
            let (_, answer) = answers.iter().find(|(other, _)| *other == node)?;
            from_redis_value::<Vec<String>>(answer.as_ref().ok()?.clone()).ok()?.into_iter().nth(1)
        };
        let kinds = match info.and_then(|info| Ok(from_redis_value::<String>(info)?)) {
            Ok(info) => kinds(&info, of_node(&fsyncs).as_deref(), of_node(&saves).as_deref(), replicas),
            Err(error) => match RedisStoreError::from(error) {
                RedisStoreError::Refused { .. } => vec![DurabilityRiskKind::Unknown],
                error => return Err(error),
            },
        };
        risks.extend(kinds.into_iter().map(|kind| DurabilityRisk { node: node.clone(), kind }));
    }
    Ok(risks)
}

fn kinds(
    info: &str,
    appendfsync: Option<&str>,
    save: Option<&str>,
    replicas: Option<Replicas>,
) -> Vec<DurabilityRiskKind> {
    let of = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let mut kinds = Vec::new();
    if let Some(policy) = of("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        let is_limited = of("maxmemory").is_some_and(|bytes| bytes != "0");
        kinds.push(DurabilityRiskKind::Eviction { policy: policy.to_owned(), is_limited });
    }
    match (of("aof_enabled"), save, appendfsync) {
        (Some("0"), Some(""), _) => kinds.push(DurabilityRiskKind::NoPersistence),
        (Some("0"), _, _) => kinds.push(DurabilityRiskKind::NoAppendOnlyFile),
        (_, _, Some(appendfsync)) if appendfsync != "always" => {
            kinds.push(DurabilityRiskKind::LateFsync { appendfsync: appendfsync.to_owned() });
        }
        _ => {}
    }
    if let Some(Replicas { count: required, .. }) = replicas {
        let connected = of("connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0);
        if connected < required {
            kinds.push(DurabilityRiskKind::TooFewReplicas { connected, required });
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_hides_its_settings_is_judged_by_its_info() {
        let info = "# Memory\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n";
        let eviction = DurabilityRiskKind::Eviction { policy: "allkeys-lru".to_owned(), is_limited: true };
        assert_eq!(kinds(info, None, None, None), [eviction]);
        assert_eq!(kinds("aof_enabled:0\r\n", None, None, None), [DurabilityRiskKind::NoAppendOnlyFile]);
        assert_eq!(kinds("", None, None, None), []);
    }
}
