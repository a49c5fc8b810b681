//! What can run out: connections, places in the queue of messages, and connections to databases.

use otp_grant::{Channel, DeliveryFailure};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Label, Labels, counter, number};
use crate::server::Process;

/// The connections of clients.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionCounts {
    pub(crate) open: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) refused: Counter,
    limit: Gauge,
}

impl ConnectionCounts {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            open: gauge("connections_open", "Connections of clients that are served"),
            waiting: gauge("connections_waiting", "Connections of clients that wait, because all are taken"),
            limit: gauge("connections_limit", "How many connections are served at once"),
            refused: counter(
                registry,
                "connections_refused",
                "Connections that were refused or ended while they waited",
            ),
        }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(number(limit));
    }
}

/// One more of a gauge, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What became of messages.
#[derive(Clone, Debug)]
pub(crate) struct Deliveries {
    sms: [Counter; OUTCOMES.len()],
    email: [Counter; OUTCOMES.len()],
}

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeliveryOutcome {
    /// The provider, the mail server, the webhook, the console or the file has it.
    Accepted,
    /// Its address was refused, or no quota was left.
    Refused,
    /// It was not sent, or it is not known whether it was.
    Failed,
    /// Its code expired before it could be sent.
    Expired,
    /// The queue had no place for it.
    QueueFull,
}

impl From<DeliveryFailure> for DeliveryOutcome {
    fn from(failure: DeliveryFailure) -> Self {
        match failure {
            DeliveryFailure::AddressRefused | DeliveryFailure::InsufficientQuota => Self::Refused,
            _ => Self::Failed,
        }
    }
}

impl Deliveries {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        registry.register("deliveries", "Messages whose delivery has ended", family.clone());
        let of =
            |channel| OUTCOMES.map(|outcome| family.get_or_create_owned(&[("channel", channel), ("outcome", outcome)]));
        Self { sms: of("sms"), email: of("email") }
    }

    /// Counts the end of a message.
    pub(crate) fn ended(&self, channel: Channel, outcome: DeliveryOutcome) {
        let [accepted, refused, failed, expired, queue_full] = match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        let counter = match outcome {
            DeliveryOutcome::Accepted => accepted,
            DeliveryOutcome::Refused => refused,
            DeliveryOutcome::Failed => failed,
            DeliveryOutcome::Expired => expired,
            DeliveryOutcome::QueueFull => queue_full,
        };
        counter.inc();
    }
}

const OUTCOMES: [&str; 5] = ["accepted", "refused", "failed", "expired", "queue_full"];

/// What is read when the metrics are.
#[derive(Debug)]
pub(super) struct Resources {
    queue_length: Family<Label, Gauge>,
    queue_capacity: Family<Label, Gauge>,
    pool_connections: Family<Labels, Gauge>,
    pool_waiting: Family<Label, Gauge>,
    pool_limit: Family<Label, Gauge>,
}

impl Resources {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut family = |name: &str, help: &str| {
            let family = Family::default();
            registry.register(name, help, Family::clone(&family));
            family
        };
        let resources = Self {
            queue_length: family("message_queue_length", "Messages that wait in the queue or are being sent"),
            queue_capacity: family("message_queue_capacity", "Places in the queue of messages"),
            pool_waiting: family("pool_waiting", "Operations that wait for a connection to PostgreSQL"),
            pool_limit: family("pool_limit", "How many connections to PostgreSQL there can be"),
            pool_connections: Family::default(),
        };
        registry.register("pool_connections", "Connections to PostgreSQL", resources.pool_connections.clone());
        resources
    }

    /// Reads what a process has.
    pub(super) fn read(&self, process: &Process) {
        for queue in process.queues.iter() {
            let label = [("channel", queue.channel())];
            self.queue_length.get_or_create(&label).set(number(queue.taken()));
            self.queue_capacity.get_or_create(&label).set(number(queue.capacity()));
        }
        for (pool, usage) in [("store", process.store.pool()), ("users", process.users.pool())] {
            let Some(usage) = usage else { continue };
            let state = |state| self.pool_connections.get_or_create_owned(&[("pool", pool), ("state", state)]);
            state("in_use").set(number(usage.in_use));
            state("idle").set(number(usage.idle));
            self.pool_waiting.get_or_create(&[("pool", pool)]).set(number(usage.waiting));
            self.pool_limit.get_or_create(&[("pool", pool)]).set(number(usage.limit));
        }
    }
}
