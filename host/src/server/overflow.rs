//! Connections beyond the limit: health checks are answered at once, other requests wait, and too many are refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::health::PATHS;
use crate::metrics::{ConnectionCounts, Counted};

/// The place where connections wait while all regular ones are taken.
///
/// A connection that has sent no request yet keeps no other out: the oldest of them makes room for the next.
#[derive(Debug)]
pub(super) struct Overflow {
    connections: Arc<Semaphore>,
    /// The connections that have sent no request yet, and since when they wait. Dropping the sender of one ends it.
    silent: Mutex<BTreeMap<u64, (Instant, oneshot::Sender<()>)>>,
    numbers: AtomicU64,
    queue: Arc<Semaphore>,
    health: Arc<Semaphore>,
    leaving: Arc<Semaphore>,
    warned: Mutex<Option<Instant>>,
    counts: ConnectionCounts,
}

/// A place among the connections that have sent no request yet.
#[derive(Debug)]
pub(super) struct Entered {
    number: u64,
    ended: oneshot::Receiver<()>,
    waiting: Counted,
}

/// How a connection that had to wait is served.
#[derive(Debug)]
pub(super) enum Turn {
    /// Like any other connection.
    Whole(OwnedSemaphorePermit),
    /// For its one health check.
    Health(OwnedSemaphorePermit),
}

impl Overflow {
    /// Creates an empty overflow.
    pub(super) fn new(connections: Arc<Semaphore>, counts: ConnectionCounts) -> Self {
        Self {
            connections,
            silent: Mutex::default(),
            numbers: AtomicU64::new(0),
            queue: Arc::new(Semaphore::new(QUEUE)),
            health: Arc::new(Semaphore::new(HEALTH_CHECKS)),
            leaving: Arc::new(Semaphore::new(LEAVING)),
            warned: Mutex::default(),
            counts,
        }
    }

    /// Warns that the limit is reached, at most once per `WARNED_EVERY`.
    pub(super) fn warn(&self, limit: usize) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() > WARNED_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!(limit, "all connections are taken: others wait (limits.connections)");
        }
    }

    /// Tells whether requests wait for a connection.
    pub(super) fn has_queue(&self) -> bool {
        self.queue.available_permits() < QUEUE
    }

    /// Ends the connections that have sent no request.
    pub(super) fn close(&self) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Gives a connection a place.
    ///
    /// Where all places are taken, it gets the place of the oldest connection. A connection that came just now may have
    /// sent a request that the host does not see yet. It is given a moment.
    pub(super) async fn enter(&self) -> Entered {
        let waiting = Counted::new(&self.counts.waiting);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        while !self.has_room() {
            sleep(Duration::from_millis(5)).await;
        }
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).insert(number, (Instant::now(), end));
        Entered { number, ended, waiting }
    }

    fn has_room(&self) -> bool {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.len() < SILENT {
            return true;
        }
        let is_old = silent.first_key_value().is_some_and(|(_, (since, _))| since.elapsed() > A_MOMENT);
        if is_old {
            silent.pop_first();
        }
        is_old
    }

    /// Waits until the connection can be served. `patience` is how long its request waits at most. `None` when it was
    /// ended.
    pub(super) async fn wait(&self, entered: Entered, patience: Duration, stream: &mut TcpStream) -> Option<Turn> {
        let Entered { number, ended, waiting: _waiting } = entered;
        let asks_for = tokio::select! {
            asks_for = first_request(stream) => asks_for,
            permit = Arc::clone(&self.connections).acquire_owned() => {
                self.leave(number);
                return permit.ok().map(Turn::Whole);
            }
            // This holds however the wait ends.
            _ = ended => {
                self.counts.refused.inc();
                return None;
            }
        };
        self.leave(number);
        match asks_for? {
            Asked::Health => match Arc::clone(&self.health).try_acquire_owned() {
                Ok(permit) => Some(Turn::Health(permit)),
                Err(_) => self.refuse(stream).await,
            },
            Asked::Other => self.turn_of_request(patience, stream).await,
        }
    }

    async fn turn_of_request(&self, patience: Duration, stream: &mut TcpStream) -> Option<Turn> {
        if let Ok(_queued) = self.queue.try_acquire()
            && let Ok(Ok(permit)) = timeout(patience, Arc::clone(&self.connections).acquire_owned()).await
        {
            return Some(Turn::Whole(permit));
        }
        self.refuse(stream).await
    }

    fn leave(&self, number: u64) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Answers that there are too many requests, unless many connections wait for this answer already.
    async fn refuse(&self, stream: &mut TcpStream) -> Option<Turn> {
        self.counts.refused.inc();
        if let Ok(_leaving) = self.leaving.try_acquire() {
            let _ = timeout(LEAVING_TIME, async {
                stream.write_all(BUSY).await?;
                stream.shutdown().await?;
                // Closing with unread bytes would reset the connection, and the client would lose the answer.
                let mut rest = [0; 1024];
                for _ in 0..64 {
                    if stream.read(&mut rest).await? == 0 {
                        break;
                    }
                }
                std::io::Result::Ok(())
            })
            .await;
        }
        None
    }
}

enum Asked {
    Health,
    Other,
}

/// What the first request is for, without reading it. `None` when the client went away.
async fn first_request(stream: &TcpStream) -> Option<Asked> {
    let mut start = [0; LONGEST_LINE];
    loop {
        let peeked = stream.peek(&mut start).await.ok().filter(|read| *read > 0)?;
        match is_health(start.get(..peeked)?) {
            Some(true) => return Some(Asked::Health),
            Some(false) => return Some(Asked::Other),
            // The host can't wait for more bytes without reading.
            None => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Tells whether a request that begins with these bytes is a health check; `None` while it could become one.
fn is_health(start: &[u8]) -> Option<bool> {
    let of_path = |path| ["GET", "HEAD"].map(|method| format!("{method} {path}"));
    let lines: Vec<String> = PATHS.into_iter().flat_map(of_path).collect();
    let rest = lines.iter().find_map(|line| start.strip_prefix(line.as_bytes()));
    match rest {
        Some([]) => None,
        Some([next, ..]) => Some(matches!(next, b' ' | b'?')),
        None if lines.iter().any(|line| line.as_bytes().starts_with(start)) => None,
        None => Some(false),
    }
}

/// How many connections there can be beyond the limit.
pub(crate) const MOST: usize = SILENT + QUEUE + HEALTH_CHECKS + LEAVING;

/// `HEAD /healthz` and what follows it.
const LONGEST_LINE: usize = 14;
const SILENT: usize = 64;
const A_MOMENT: Duration = Duration::from_millis(50);
const QUEUE: usize = 128;
const HEALTH_CHECKS: usize = 16;
const LEAVING: usize = 16;
const LEAVING_TIME: Duration = Duration::from_secs(1);
const WARNED_EVERY: Duration = Duration::from_secs(10);
/// The request was not read, so its origin is not known. Every page may learn that the host is busy.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json;charset=UTF-8\r\n\
    Cache-Control: no-store\r\nRetry-After: 1\r\nAccess-Control-Allow-Origin: *\r\n\
    Access-Control-Expose-Headers: Retry-After\r\nConnection: close\r\nContent-Length: 35\r\n\r\n\
    {\"error\":\"temporarily_unavailable\"}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_is_told_from_its_first_bytes() {
        for (start, is) in [
            ("GET /healthz HTTP/1.1\r\n", Some(true)),
            ("GET /healthz?a", Some(true)),
            ("HEAD /healthz H", Some(true)),
            ("GET /health", None),
            ("G", None),
            ("GET /healthz", None),
            ("GET /healthzz", Some(false)),
            ("HEAD /readyz HTTP", Some(true)),
            ("GET /livez\t", Some(false)),
            ("GET /livez HTTP/1.1", Some(true)),
            ("GET /l", None),
            ("GET /liveness", Some(false)),
            ("GET /", None),
            ("GET / HTTP", Some(false)),
            ("POST /otp/send", Some(false)),
        ] {
            assert_eq!(is_health(start.as_bytes()), is, "{start}");
        }
        let head = BUSY.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        assert_eq!(BUSY.len() - head - 4, 35);
    }
}
