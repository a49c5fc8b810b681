//! The queue: messages that were accepted for sending and are tried again, as long as their codes are good.
//!
//! It is in memory. Codes have no form that could be written down, and a message that outlives its process would come
//! too late anyway.

use std::sync::Arc;
use std::time::Duration;

use otp_grant::{Channel, DeliveryFailure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::Instrument as _;

use super::attempt::Attempt;
use super::http::Provider;
use super::parcel::{Parcel, name_of};
use super::smtp::MailServer;
use super::webhook::Webhook;
use crate::config;
use crate::metrics::{Deliveries, DeliveryOutcome};

/// The queues of the channels. They live as long as the process: messages of every configuration share their places.
#[derive(Debug)]
pub(crate) struct Queues {
    sms: Queue,
    email: Queue,
}

/// A bounded number of messages of one channel under way, each in a task of its own. Copies share the places.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    channel: Channel,
    places: Arc<Semaphore>,
    length: usize,
    wait: Wait,
    deliveries: Deliveries,
}

/// How long the reply to the client waits for the first attempt.
#[derive(Clone, Copy, Debug)]
enum Wait {
    UntilItEnds,
    AtMost(Duration),
}

/// What sends a message.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    Http(Arc<Provider>),
    Smtp(Arc<MailServer>),
    Webhook(Arc<Webhook>),
}

/// A place in the queue, taken before anything is done with a code.
#[derive(Debug)]
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    queue: Queue,
}

impl Queues {
    pub(crate) fn new(entry: config::Queue, deliveries: &Deliveries) -> Self {
        let [sms, email] = [Channel::Sms, Channel::Email].map(|channel| Queue::new(entry, channel, deliveries.clone()));
        Self { sms, email }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queue> {
        [&self.sms, &self.email].into_iter()
    }

    /// Where the ends of messages are counted.
    pub(super) fn deliveries(&self) -> &Deliveries {
        &self.sms.deliveries
    }

    /// Waits until every queued message is sent or given up, or the time is over.
    pub(crate) async fn drain(&self, until: Instant) {
        // The time is the same for both, so one after the other is as good as both at once.
        self.sms.drain(until).await;
        self.email.drain(until).await;
    }

    /// The queue of a channel, for the messages of one carrier.
    pub(super) fn of(&self, channel: Channel, entry: config::Queue, carrier: &Carrier) -> Queue {
        let queue = match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        let wait = match carrier {
            // The service decides what the client is told, within a time of its own.
            Carrier::Webhook(_) => Wait::UntilItEnds,
            Carrier::Http(_) | Carrier::Smtp(_) => Wait::AtMost(entry.wait.0),
        };
        Queue { wait, ..queue.clone() }
    }
}

impl Queue {
    fn new(entry: config::Queue, channel: Channel, deliveries: Deliveries) -> Self {
        let length = entry.length.get().min(MOST);
        let wait = Wait::AtMost(entry.wait.0);
        Self { channel, places: Arc::new(Semaphore::new(length)), length, wait, deliveries }
    }

    pub(crate) fn channel(&self) -> &'static str {
        name_of(self.channel)
    }

    /// How many places there are.
    pub(crate) fn capacity(&self) -> usize {
        self.length
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.length.saturating_sub(self.places.available_permits())
    }

    /// Takes a place, if there is one.
    pub(super) fn take_place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { permit, queue: self.clone() })
    }

    async fn drain(&self, until: Instant) {
        let all = u32::try_from(self.length).unwrap_or(u32::MAX);
        if timeout_at(until, self.places.acquire_many(all)).await.is_err() {
            let (left, channel) = (self.taken(), self.channel());
            tracing::warn!(left, channel, "some messages were not sent in time");
        }
    }
}

impl Place {
    /// Sends a message in the background. Returns when the first attempt has ended or can't be waited for any longer,
    /// with its failure if there will be no other attempt.
    pub(super) async fn send(self, carrier: Carrier, parcel: Parcel) -> Result<(), DeliveryFailure> {
        let (first, ended) = oneshot::channel();
        let Self { permit, queue } = self;
        let wait = queue.wait;
        let sending = async move {
            let outcome = keep_trying(&carrier, &parcel, first).await;
            queue.deliveries.ended(queue.channel, outcome);
            drop(permit);
        };
        tokio::spawn(sending.in_current_span());
        let attempt = match wait {
            Wait::AtMost(Duration::ZERO) => return Ok(()),
            Wait::AtMost(longest) => timeout(longest, ended).await.ok().and_then(Result::ok),
            Wait::UntilItEnds => ended.await.ok(),
        };
        match attempt {
            Some(Attempt::Refused(failure)) => Err(failure),
            Some(Attempt::Unknown) => Err(DeliveryFailure::Undeliverable),
            Some(Attempt::Accepted | Attempt::Again(_)) | None => Ok(()),
        }
    }
}

/// Tries until the message is sent, is refused, may have been sent, or its code has expired.
async fn keep_trying(carrier: &Carrier, parcel: &Parcel, first: oneshot::Sender<Attempt>) -> DeliveryOutcome {
    let (mut first, mut pause, mut attempts) = (Some(first), FIRST_PAUSE, 0_u32);
    let (carried_by, channel) = (carrier.name(), parcel.channel());
    loop {
        attempts = attempts.saturating_add(1);
        // No code is sent after it has expired, however long the attempt waits for a connection.
        let attempt = timeout_at(parcel.expires(), carrier.attempt(parcel)).await.unwrap_or(Attempt::Unknown);
        let next = match attempt {
            Attempt::Again(not_before) => {
                next_attempt(not_before.unwrap_or_default().max(with_jitter(pause, parcel)), parcel)
            }
            _ => None,
        };
        if let Some(first) = first.take() {
            // There will be no other attempt, so this one was the failure.
            let is_over = matches!(attempt, Attempt::Again(_)) && next.is_none();
            let _ = first.send(if is_over { Attempt::Refused(DeliveryFailure::Undeliverable) } else { attempt });
        }
        match (attempt, next) {
            (Attempt::Accepted, _) => {
                tracing::info!(carried_by, channel, attempts, "message accepted");
                return DeliveryOutcome::Accepted;
            }
            (Attempt::Refused(failure), _) => {
                tracing::warn!(carried_by, channel, attempts, ?failure, "message refused");
                return failure.into();
            }
            (Attempt::Unknown, _) => {
                tracing::warn!(carried_by, channel, attempts, "it is not known whether the message is accepted");
                return DeliveryOutcome::Failed;
            }
            (Attempt::Again(_), Some(next)) => sleep_until(next).await,
            (Attempt::Again(_), None) => {
                tracing::warn!(carried_by, channel, attempts, "the code expires before its message can be sent");
                return DeliveryOutcome::Expired;
            }
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// The time of the next attempt, unless the code has expired by then. A provider can name a time that no clock shows.
fn next_attempt(pause: Duration, parcel: &Parcel) -> Option<Instant> {
    Instant::now().checked_add(pause).filter(|next| *next < parcel.expires())
}

impl Carrier {
    fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Smtp(_) => "smtp",
            Self::Webhook(_) => "webhook",
        }
    }

    async fn attempt(&self, parcel: &Parcel) -> Attempt {
        match self {
            Self::Http(provider) => provider.attempt(parcel).await,
            Self::Smtp(server) => server.attempt(parcel).await,
            Self::Webhook(webhook) => webhook.attempt(parcel).await,
        }
    }
}

/// Up to a quarter more, so that messages that failed together do not come back together.
fn with_jitter(pause: Duration, parcel: &Parcel) -> Duration {
    let random = parcel.id().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 256;
    pause + pause.saturating_mul(random) / 1024
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const MOST: usize = 1_000_000;
