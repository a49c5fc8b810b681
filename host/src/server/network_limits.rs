//! Limits per network address: messages that were sent, clients that did not prove their identity, and wrong codes.
//!
//! The outcome of a request is charged to its address, and an address whose allowance is used up is refused before the
//! authorization server is asked. What succeeds is not charged. The allowances are in the memory of this process.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use otp_grant::Request;
use otp_grant::observer::Event;
use otp_grant::server::Endpoint;
use prometheus_client::metrics::counter::Counter;

use super::claims::Claims;
use crate::config::{Config, ConfigError, NetworkQuotas};
use crate::metrics::LimitCounts;

/// The limits, unless they are off.
#[derive(Debug)]
pub(crate) struct NetworkLimits(Option<Arc<Limits>>);

impl NetworkLimits {
    /// The limits that the file gives. An allowance whose settings stay the same goes on from `before`: a reload gives no
    /// address more.
    pub(crate) fn new(config: &Config, counts: &LimitCounts, before: Option<&Self>) -> Result<Self, ConfigError> {
        let Some(quotas) = NetworkQuotas::of(config)? else { return Ok(Self(None)) };
        let public_clients = config.clients.iter().filter(|(_, client)| client.public);
        let before = before.and_then(|before| before.0.as_deref());
        let allowance = |name, quota, refusals: &Counter, before: Option<&Arc<Allowance>>| {
            let before = before.filter(|before| before.quota == quota && before.addresses == quotas.addresses);
            before.cloned().unwrap_or_else(|| {
                let untracked = counts.untracked.clone();
                Arc::new(Allowance::new(name, quota, quotas.addresses, refusals.clone(), untracked))
            })
        };
        let sends = allowance("sends", quotas.sends, &counts.sends, before.map(|before| &before.sends));
        let failed_authentications = allowance(
            "failed_authentications",
            quotas.failed_authentications,
            &counts.failed_authentications,
            before.map(|before| &before.failed_authentications),
        );
        let wrong_codes =
            allowance("wrong_codes", quotas.wrong_codes, &counts.wrong_codes, before.map(|before| &before.wrong_codes));
        Ok(Self(Some(Arc::new(Limits {
            sends,
            failed_authentications,
            wrong_codes,
            public_clients: public_clients.map(|(id, _)| id.clone()).collect(),
            exempt: quotas.exempt,
        }))))
    }

    /// Tells how long an address must wait, if an allowance that the request needs is used up.
    ///
    /// Requests that can't use it up pass. Users behind the address of an attacker stay signed in, and can sign in while
    /// the attacker guesses the secrets of clients.
    pub(crate) fn refuses(&self, endpoint: Endpoint, address: IpAddr, request: &Request<'_>) -> Option<Duration> {
        let limits = self.0.as_ref()?;
        let network = limits.network(address)?;
        let failed = || {
            let used_up = limits.failed_authentications.used_up(network)?;
            (!Claims::of(request).are_of_a_public_client(&limits.public_clients)).then_some(used_up)
        };
        let guessed = || {
            let used_up = limits.wrong_codes.used_up(network)?;
            (!Claims::of(request).is_refresh).then_some(used_up)
        };
        let (allowance, wait) = match endpoint {
            Endpoint::OtpSend => limits.sends.used_up(network).or_else(failed),
            Endpoint::Token => guessed().or_else(failed),
            Endpoint::Revocation | Endpoint::Introspection => failed(),
            _ => None,
        }?;
        allowance.refusals.inc();
        Some(wait)
    }

    /// Answers a request. What becomes of it is charged to its address.
    pub(crate) async fn charging<T>(&self, address: IpAddr, answering: impl Future<Output = T>) -> T {
        let charged = self.0.as_ref().and_then(|limits| {
            let network = limits.network(address)?;
            Some(Charged { limits: Arc::clone(limits), network })
        });
        match charged {
            Some(charged) => CHARGED.scope(charged, answering).await,
            None => answering.await,
        }
    }
}

/// Charges an event to the address of the request that is being answered.
///
/// A client with a secret or a key is a server. Its address is that of all its users, so what they do is not charged to
/// it.
pub(crate) fn charge(event: &Event<'_>) {
    let _ = CHARGED.try_with(|Charged { limits, network }| {
        let allowance = match event {
            Event::Sent { client, .. } if limits.public_clients.contains(client.as_str()) => &limits.sends,
            Event::WrongCode { client, .. } if limits.public_clients.contains(client.as_str()) => &limits.wrong_codes,
            Event::ClientRefused { .. } => &limits.failed_authentications,
            _ => return,
        };
        allowance.charge(*network);
    });
}

tokio::task_local! {
    static CHARGED: Charged;
}

struct Charged {
    limits: Arc<Limits>,
    network: Network,
}

#[derive(Debug)]
struct Limits {
    sends: Arc<Allowance>,
    failed_authentications: Arc<Allowance>,
    wrong_codes: Arc<Allowance>,
    public_clients: HashSet<String>,
    exempt: Vec<ipnet::IpNet>,
}

impl Limits {
    /// What an address is counted as, unless it is exempt.
    fn network(&self, address: IpAddr) -> Option<Network> {
        let is_exempt = self.exempt.iter().any(|network| network.contains(&address));
        (!is_exempt).then(|| Network::of(address))
    }
}

/// What is counted as one address. A subscriber with IPv6 has a /64 at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [first, second, third, fourth, ..] = address.segments().map(u64::from);
                Self::V6(first << 48 | second << 32 | third << 16 | fourth)
            }
        }
    }
}

/// How many events of one kind each address has left.
#[derive(Debug)]
struct Allowance {
    name: &'static str,
    quota: Quota,
    addresses: usize,
    limiter:
        RateLimiter<Ask, Networks, MonotonicClock, NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>>,
    refusals: Counter,
}

impl Allowance {
    fn new(name: &'static str, quota: Quota, addresses: usize, refusals: Counter, untracked: Counter) -> Self {
        let networks = Networks::new(quota, addresses, untracked);
        let limiter = RateLimiter::new(quota, networks, MonotonicClock);
        Self { name, quota, addresses, limiter, refusals }
    }

    /// The allowance, and how long an address must wait for its next event, if the allowance of this address is used up.
    fn used_up(&self, network: Network) -> Option<(&Self, Duration)> {
        let not_until = self.limiter.check_key(&Ask { network, charges: false }).err()?;
        Some((self, not_until.wait_time_from(self.limiter.clock().now())))
    }

    fn charge(&self, network: Network) {
        // Requests that were answered at the same time can have used it up.
        let _ = self.limiter.check_key(&Ask { network, charges: true });
        if self.used_up(network).is_some() {
            tracing::warn!(limit = self.name, "the allowance of a network address is used up");
        }
    }
}

/// What a limiter is asked: for an event of an address, or only whether there is one left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ask {
    network: Network,
    charges: bool,
}

/// The addresses whose allowance is not whole, each with the instant at which it is (the "theoretical arrival time" of
/// GCRA). There are at most so many.
#[derive(Debug)]
struct Networks {
    table: Mutex<Table>,
    interval: u64,
    most: usize,
    untracked: Counter,
}

#[derive(Debug)]
struct Table {
    whole_at: HashMap<Network, Nanos>,
    /// The number of addresses at which those are forgotten whose allowance is whole again.
    swept_at: usize,
    /// While the table is full, it is swept once in a while.
    not_before: u64,
}

impl Networks {
    fn new(quota: Quota, most: usize, untracked: Counter) -> Self {
        let interval = Nanos::from(quota.replenish_interval()).as_u64();
        let table = Table { whole_at: HashMap::new(), swept_at: SWEPT_FROM.min(most), not_before: 0 };
        Self { table: Mutex::new(table), interval, most, untracked }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Networks {
    type Key = Ask;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut table = self.lock();
        let known = table.whole_at.get(&ask.network).copied();
        let (outcome, whole_at) = decide(known)?;
        if !ask.charges {
            return Ok(outcome);
        }
        if known.is_none() {
            // One event of a whole allowance is an interval from now.
            let now = whole_at.as_u64().saturating_sub(self.interval);
            table.make_room(now, self.most);
            if table.whole_at.len() >= self.most {
                self.untracked.inc();
                return Ok(outcome);
            }
        }
        table.whole_at.insert(ask.network, whole_at);
        Ok(outcome)
    }
}

impl Table {
    /// Forgets the addresses whose allowance is whole, when there are many.
    fn make_room(&mut self, now: u64, most: usize) {
        if self.whole_at.len() < self.swept_at || now < self.not_before {
            return;
        }
        self.whole_at.retain(|_, whole_at| whole_at.as_u64() > now);
        self.swept_at = self.whole_at.len().saturating_mul(2).max(SWEPT_FROM).min(most);
        if self.whole_at.len() >= most {
            self.not_before = now.saturating_add(SWEPT_EVERY);
        }
        if self.whole_at.capacity() / 8 > self.swept_at {
            self.whole_at.shrink_to(self.swept_at);
        }
    }
}

const SWEPT_FROM: usize = 1024;
/// A second, in nanoseconds.
const SWEPT_EVERY: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
