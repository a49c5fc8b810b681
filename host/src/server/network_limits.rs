//! Limits per network address: messages that were sent, clients that did not prove their identity, and wrong codes.
//!
//! A request reserves what it can use up of its address's allowances, before the authorization server is asked, and is
//! refused if nothing is left. Its outcome decides whether the reservation is kept or given back. What succeeds is not
//! charged. The allowances are in the memory of this process.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use otp_grant::observer::Event;
use otp_grant::server::Endpoint;
use otp_grant::{ClientId, Request};
use prometheus_client::metrics::counter::Counter;

use super::claims::Claims;
use crate::config::{Config, ConfigError, NetworkQuotas};
use crate::metrics::LimitCounts;

/// The limits, unless they are off.
#[derive(Debug)]
pub(crate) struct NetworkLimits(Option<Arc<Limits>>);

impl NetworkLimits {
    /// The limits that the file gives. An allowance whose settings stay the same goes on from `before`: a reload gives
    /// no address more.
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

    /// Reserves what a request can use up. If an allowance that it needs is used up, returns how long its address must
    /// wait.
    ///
    /// Requests that can't use an allowance up pass. Users behind the address of an attacker stay signed in, and can
    /// sign in while the attacker guesses the secrets of clients. A client with a secret or a key is a server. Its
    /// address is that of all its users, so only its own failed authentications count.
    pub(crate) fn reserve(
        &self,
        endpoint: Endpoint,
        address: IpAddr,
        request: &Request<'_>,
    ) -> Result<Reservations, Duration> {
        let mut reserved = Reservations::default();
        let Some(limits) = &self.0 else { return Ok(reserved) };
        let Some(network) = limits.network(address) else { return Ok(reserved) };
        if !matches!(endpoint, Endpoint::OtpSend | Endpoint::Token | Endpoint::Revocation | Endpoint::Introspection) {
            return Ok(reserved);
        }
        let claims = Claims::of(request);
        let names_a_public_client = claims.clients.iter().any(|client| limits.public_clients.contains(client));
        if names_a_public_client && endpoint == Endpoint::OtpSend {
            reserved.sends = Some(limits.sends.reserve(network)?);
        }
        if names_a_public_client && endpoint == Endpoint::Token && !claims.is_refresh {
            reserved.wrong_codes = Some(limits.wrong_codes.reserve(network)?);
        }
        if !claims.are_of_a_public_client(&limits.public_clients) {
            reserved.failed_authentications = Some(limits.failed_authentications.reserve(network)?);
        }
        reserved.charged = Some((Arc::clone(limits), network));
        Ok(reserved)
    }
}

/// What a request can use up of the allowances of its address. What it did not use up is given back at its end.
///
/// Without reservations, all requests that arrive at the same time would pass while one event is left.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    sends: Option<Reservation>,
    failed_authentications: Option<Reservation>,
    wrong_codes: Option<Reservation>,
    charged: Option<(Arc<Limits>, Network)>,
}

impl Reservations {
    /// Answers the request. What becomes of it is charged to its address.
    pub(crate) async fn charging<T>(self, answering: impl Future<Output = T>) -> T {
        match self.charged {
            Some(_) => CHARGED.scope(self, answering).await,
            None => answering.await,
        }
    }
}

/// Charges an event to the address of the request that is being answered.
pub(crate) fn charge(event: &Event<'_>) {
    let _ = CHARGED.try_with(|reserved| {
        let Some((limits, network)) = &reserved.charged else { return };
        let is_public = |client: &ClientId| limits.public_clients.contains(client.as_str());
        let (allowance, reservation) = match event {
            Event::Sent { client, .. } if is_public(client) => (&limits.sends, &reserved.sends),
            Event::WrongCode { client, .. } if is_public(client) => (&limits.wrong_codes, &reserved.wrong_codes),
            // A test identity must not be told by an allowance that stays whole.
            Event::TestIdentityUsed { client, .. } if is_public(client) && reserved.sends.is_some() => {
                (&limits.sends, &reserved.sends)
            }
            Event::ClientRefused { .. } => (&limits.failed_authentications, &reserved.failed_authentications),
            // The message was not sent. An outage must not use up an allowance.
            Event::DeliveryFailed { .. } => return reserved.sends.iter().for_each(Reservation::release),
            _ => return,
        };
        match reservation {
            Some(reservation) => reservation.keep(),
            // The authorization server has read the request otherwise than it was read here.
            None => drop(allowance.take(*network).map(|reservation| reservation.keep())),
        }
    });
}

tokio::task_local! {
    static CHARGED: Reservations;
}

/// One event of an allowance, until it is known whether it happens.
#[derive(Debug)]
struct Reservation {
    allowance: Arc<Allowance>,
    network: Network,
    is_kept: Cell<bool>,
}

impl Reservation {
    /// The event has happened.
    fn keep(&self) {
        self.is_kept.set(true);
        if self.allowance.is_used_up(self.network) {
            tracing::warn!(limit = self.allowance.name, "the allowance of a network address is used up");
        }
    }

    /// The event has not happened after all.
    fn release(&self) {
        self.is_kept.set(false);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_kept.get() {
            self.allowance.networks.give_back(self.network);
        }
    }
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
            IpAddr::V6(address) => match address.segments() {
                // An IPv4 address behind a translator (RFC 6052 section 2.1).
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Self::V4(u32::from(high) << 16 | u32::from(low)),
                [first, second, third, fourth, ..] => {
                    let [first, second, third, fourth] = [first, second, third, fourth].map(u64::from);
                    Self::V6(first << 48 | second << 32 | third << 16 | fourth)
                }
            },
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
    networks: Networks,
    refusals: Counter,
}

impl Allowance {
    fn new(name: &'static str, quota: Quota, addresses: usize, refusals: Counter, untracked: Counter) -> Self {
        let networks = Networks::new(quota, addresses, untracked);
        let limiter = RateLimiter::new(quota, networks.clone(), MonotonicClock);
        Self { name, quota, addresses, limiter, networks, refusals }
    }

    /// Takes one event for a request, which is refused if there is none.
    fn reserve(self: &Arc<Self>, network: Network) -> Result<Reservation, Duration> {
        self.take(network).inspect_err(|_| {
            self.refusals.inc();
        })
    }

    /// Takes one event of an address. If there is none, returns how long the address must wait for the next.
    fn take(self: &Arc<Self>, network: Network) -> Result<Reservation, Duration> {
        match self.limiter.check_key(&Ask { network, charges: true }) {
            Ok(()) => Ok(Reservation { allowance: Arc::clone(self), network, is_kept: Cell::new(false) }),
            Err(not_until) => Err(not_until.wait_time_from(self.limiter.clock().now())),
        }
    }

    fn is_used_up(&self, network: Network) -> bool {
        self.limiter.check_key(&Ask { network, charges: false }).is_err()
    }
}

/// What a limiter is asked: for an event of an address, or only whether there is one left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ask {
    network: Network,
    charges: bool,
}

/// The addresses whose allowance is not whole, each with the instant at which it is (the "theoretical arrival time" of
/// GCRA). There are at most so many. Copies share them.
#[derive(Clone, Debug)]
struct Networks(Arc<Known>);

#[derive(Debug)]
struct Known {
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
        Self(Arc::new(Known { table: Mutex::new(table), interval, most, untracked }))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an event back that did not happen.
    fn give_back(&self, network: Network) {
        if let Some(whole_at) = self.lock().whole_at.get_mut(&network) {
            *whole_at = Nanos::from(whole_at.as_u64().saturating_sub(self.0.interval));
        }
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
            let now = whole_at.as_u64().saturating_sub(self.0.interval);
            table.make_room(now, self.0.most);
            if table.whole_at.len() >= self.0.most {
                self.0.untracked.inc();
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
