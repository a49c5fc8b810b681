//! Finds the node of a Redis Cluster that owns a key, and follows redirections.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use redis::{Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, from_redis_value};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::address::Address;
use crate::endpoint::{Answer, Endpoint, Request};
use crate::error::{RedisStoreError, comes_from_no_primary};
use crate::options::RedisOptions;

/// A cluster. The remembered owners of slots are only hints, since a node refuses a command for a slot that it does not
/// own.
pub(crate) struct Cluster {
    /// Credentials and TLS for nodes that no URL names.
    info: ConnectionInfo,
    options: RedisOptions,
    slots: RwLock<Slots>,
    /// When the nodes were last asked for the owners. The lock is held while they are asked.
    asked: Mutex<Option<Instant>>,
    turn: AtomicUsize,
}

struct Slots {
    nodes: HashMap<Address, Arc<Node>>,
    /// The owner of each slot, by the number of the slot.
    owners: Vec<Option<Arc<Node>>>,
}

struct Node {
    address: Address,
    endpoint: Endpoint,
    /// Whether a URL names the node. Such a node is never removed.
    is_named: bool,
    /// Whether its last command had no answer, or was refused because the node is no primary.
    is_suspect: AtomicBool,
}

/// A range of slots with one owner. It includes the first and the last slot.
struct Range {
    first: usize,
    last: usize,
    owner: Address,
}

impl Cluster {
    pub(crate) async fn connect(named: Vec<ConnectionInfo>, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        let info = named.first().cloned().ok_or_else(|| malformed("a cluster needs the URL of a node"))?;
        let mut nodes = HashMap::new();
        for info in named {
            let node = Node::new(Address::of(&info)?, info, options, true)?;
            nodes.insert(node.address.clone(), Arc::new(node));
        }
        let slots = RwLock::new(Slots { nodes, owners: Vec::new() });
        let cluster =
            Self { info, options: options.clone(), slots, asked: Mutex::new(None), turn: AtomicUsize::new(0) };
        let ranges = cluster.ask_for_owners(Instant::now() + options.connection_timeout).await?;
        cluster.adopt(ranges)?;
        Ok(cluster)
    }

    /// Sends a request to the owner of its key's slot. Sends it again only to the node that a redirection names.
    ///
    /// After any other failure, the nodes are asked again for the owners.
    pub(crate) async fn run(self: &Arc<Self>, request: &Request<'_>, deadline: Instant) -> RedisResult<Answer> {
        let slot = slot_of(request.key);
        let mut node = self.owner(slot)?;
        if node.is_suspect() {
            // Another node may know the successor.
            self.refresh(deadline).await;
            node = self.owner(slot)?;
        }
        let mut is_asked = false;
        let mut redirections = 0;
        loop {
            let answer = node.endpoint.run(request, is_asked, deadline).await;
            let Err(error) = answer else {
                node.is_suspect.store(false, Relaxed);
                return answer;
            };
            let to = error.redirect_node().and_then(|(to, _)| Address::parse(to, &node.address));
            match (error.kind(), to) {
                (_, Some(_)) if redirections == MOST_REDIRECTIONS => return Err(error),
                (ErrorKind::Server(ServerErrorKind::Moved), Some(to)) => {
                    node = self.node(&to)?;
                    self.write().learn(slot, &node);
                    self.refresh_meanwhile();
                    is_asked = false;
                }
                (ErrorKind::Server(ServerErrorKind::Ask), Some(to)) => {
                    node = self.node(&to)?;
                    is_asked = true;
                }
                _ => {
                    if error.is_io_error() || error.is_unrecoverable_error() || comes_from_no_primary(&error) {
                        node.is_suspect.store(true, Relaxed);
                        self.refresh_meanwhile();
                    }
                    return Err(error);
                }
            }
            redirections += 1;
        }
    }

    /// Sends a command to each node that owns slots, and returns its answer beside the address of the node.
    pub(crate) async fn query_each(&self, command: &Cmd, deadline: Instant) -> Vec<(String, RedisResult<Value>)> {
        let owners = {
            let slots = self.read();
            let owns = |node: &&Arc<Node>| slots.owners.iter().flatten().any(|owner| Arc::ptr_eq(owner, node));
            slots.nodes.values().filter(owns).cloned().collect::<Vec<_>>()
        };
        let mut answers = Vec::new();
        for node in owners {
            let Address { host, port } = &node.address;
            answers.push((format!("{host}:{port}"), node.endpoint.query(command, deadline).await));
        }
        answers.sort_by(|(one, _), (other, _)| one.cmp(other));
        answers
    }

    /// Returns the remembered owner of a slot. If there is none, returns any node, which then redirects.
    fn owner(&self, slot: usize) -> RedisResult<Arc<Node>> {
        let slots = self.read();
        let owner = slots.owners.get(slot).and_then(Option::as_ref).or_else(|| slots.nodes.values().next());
        owner.cloned().ok_or_else(|| malformed("no node is known"))
    }

    fn node(&self, address: &Address) -> RedisResult<Arc<Node>> {
        self.write().node(address, self)
    }

    fn refresh_meanwhile(self: &Arc<Self>) {
        if self.asked.try_lock().is_ok() {
            let (cluster, deadline) = (Arc::clone(self), Instant::now() + self.options.command_timeout);
            tokio::spawn(async move { cluster.refresh(deadline).await });
        }
    }

    /// Asks the nodes for the owners of all slots, unless they were asked a moment ago. Keeps the remembered owners if
    /// no node answers.
    async fn refresh(&self, deadline: Instant) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < BETWEEN_REFRESHES) {
            return;
        }
        if let Ok(ranges) = self.ask_for_owners(deadline).await {
            let _ = self.adopt(ranges);
        }
        *asked = Some(Instant::now());
    }

    /// Returns the first answer of a node. Each call begins with another node, and asks suspect nodes last.
    async fn ask_for_owners(&self, deadline: Instant) -> RedisResult<Vec<Range>> {
        let mut nodes = self.read().nodes.values().cloned().collect::<Vec<_>>();
        nodes.sort_by(|one, other| one.address.cmp(&other.address));
        let turn = self.turn.fetch_add(1, Relaxed).checked_rem(nodes.len()).unwrap_or(0);
        nodes.rotate_left(turn);
        nodes.sort_by_key(|node| node.is_suspect());
        let mut views = JoinSet::new();
        for (delay, node) in (0..).map(|place| BETWEEN_NODES * place).zip(nodes) {
            views.spawn(async move {
                sleep(delay).await;
                let view = node.endpoint.query(redis::cmd("CLUSTER").arg("SLOTS"), deadline).await?;
                parse_view(view, &node.address)
            });
        }
        let mut last = malformed("no node is known");
        while let Some(view) = views.join_next().await {
            match view {
                Ok(Ok(ranges)) => return Ok(ranges),
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    fn adopt(&self, ranges: Vec<Range>) -> RedisResult<()> {
        let mut slots = self.write();
        let mut owners = vec![None; SLOTS];
        for Range { first, last, owner } in ranges {
            let node = slots.node(&owner, self)?;
            if let Some(range) = owners.get_mut(first..=last) {
                range.fill(Some(node));
            }
        }
        slots.owners = owners;
        slots.forget_who_owns_nothing();
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Slots> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn node(&mut self, address: &Address, cluster: &Cluster) -> RedisResult<Arc<Node>> {
        if let Some(node) = self.nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let info = cluster.info.clone().set_addr(address.within(cluster.info.addr()));
        let node = Arc::new(Node::new(address.clone(), info, &cluster.options, false)?);
        self.nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    fn learn(&mut self, slot: usize, owner: &Arc<Node>) {
        if let Some(known) = self.owners.get_mut(slot) {
            *known = Some(Arc::clone(owner));
        }
    }

    /// Removes nodes that own no slot. A command that waits for a suspect node among them would wait in vain, and fails
    /// at once.
    fn forget_who_owns_nothing(&mut self) {
        let Self { nodes, owners } = self;
        nodes.retain(|_, node| {
            let owns = owners.iter().flatten().any(|owner| Arc::ptr_eq(owner, node));
            if !owns && node.is_suspect() {
                node.endpoint.end();
            }
            owns || node.is_named
        });
    }
}

impl Node {
    fn new(address: Address, info: ConnectionInfo, options: &RedisOptions, is_named: bool) -> RedisResult<Self> {
        Ok(Self { address, endpoint: Endpoint::at(info, options)?, is_named, is_suspect: AtomicBool::new(false) })
    }

    fn is_suspect(&self) -> bool {
        self.is_suspect.load(Relaxed) || self.endpoint.is_silent()
    }
}

/// Reads the answer to `CLUSTER SLOTS`: first slot, last slot, and then the owner's host, port and more. The replicas
/// follow.
fn parse_view(view: Value, said_by: &Address) -> RedisResult<Vec<Range>> {
    let mut ranges = Vec::new();
    for range in from_redis_value::<Vec<Vec<Value>>>(view)? {
        let [first, last, owner, ..] = &range[..] else { return Err(unexpected()) };
        let owner = from_redis_value::<Vec<Value>>(owner.clone())?;
        let [host, port, ..] = &owner[..] else { return Err(unexpected()) };
        let host = from_redis_value::<Option<String>>(host.clone())?.unwrap_or_default();
        ranges.push(Range {
            first: from_redis_value(first.clone())?,
            last: from_redis_value(last.clone())?,
            owner: Address::new(&host, from_redis_value(port.clone())?, said_by),
        });
    }
    // The node has not joined a cluster.
    if ranges.is_empty() { Err(unexpected()) } else { Ok(ranges) }
}

/// Returns the slot of a key (Redis Cluster specification, "Hash tags"). Only the text within the first pair of braces
/// counts, unless it is empty.
fn slot_of(key: &str) -> usize {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    usize::from(crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes())) % SLOTS
}

fn malformed(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, what))
}

fn unexpected() -> RedisError {
    io::Error::from(io::ErrorKind::InvalidData).into()
}

const SLOTS: usize = 16_384;

/// How many redirections a command follows. Nodes that redirect more often do not agree with one another.
const MOST_REDIRECTIONS: u32 = 5;

/// The shortest time between two requests for the owners.
const BETWEEN_REFRESHES: Duration = Duration::from_millis(100);

/// How long to wait for a node's answer before the next node is also asked.
const BETWEEN_NODES: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_slot_that_the_specification_says() {
        assert_eq!(slot_of("123456789"), 0x31c3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("{foo}bar"), 12_182);
        assert_eq!(slot_of("otp{foo}{bar}"), 12_182);
        assert_eq!(slot_of("foo{}{bar}"), 8_363);
        assert_eq!(slot_of("foo{{bar}}zap"), slot_of("{bar"));
        assert_ne!(slot_of("foo}{"), slot_of("foo"));
    }
}
