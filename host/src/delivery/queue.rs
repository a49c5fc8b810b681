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
use crate::config;

/// The queues of the channels. They live as long as the process: messages of every configuration share their places.
#[derive(Debug)]
pub(crate) struct Queues {
    sms: Queue,
    email: Queue,
}

/// A bounded number of messages of one channel under way, each in a task of its own. Copies share the places.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    channel: &'static str,
    places: Arc<Semaphore>,
    length: usize,
    wait: Duration,
}

/// What sends a message.
#[derive(Clone, Debug)]
pub(super) enum Carrier {
    Http(Arc<Provider>),
    Smtp(Arc<MailServer>),
}

/// A place in the queue, taken before anything is done with a code.
#[derive(Debug)]
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    wait: Duration,
}

impl Queues {
    pub(crate) fn new(entry: config::Queue) -> Self {
        Self { sms: Queue::new(entry, Channel::Sms), email: Queue::new(entry, Channel::Email) }
    }

    /// Waits until every queued message is sent or given up, or the time is over.
    pub(crate) async fn drain(&self, until: Instant) {
        // The time is the same for both, so one after the other is as good as both at once.
        self.sms.drain(until).await;
        self.email.drain(until).await;
    }

    /// The queue of a channel, for messages whose replies wait as long as `entry` says.
    pub(super) fn of(&self, channel: Channel, entry: config::Queue) -> Queue {
        let queue = match channel {
            Channel::Sms => &self.sms,
            Channel::Email => &self.email,
        };
        Queue { wait: entry.wait.0, ..queue.clone() }
    }
}

impl Queue {
    fn new(entry: config::Queue, channel: Channel) -> Self {
        let length = entry.length.get().min(MOST);
        Self { channel: name_of(channel), places: Arc::new(Semaphore::new(length)), length, wait: entry.wait.0 }
    }

    pub(super) fn channel(&self) -> &'static str {
        self.channel
    }

    /// Takes a place, if there is one.
    pub(super) fn take_place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { permit, wait: self.wait })
    }

    async fn drain(&self, until: Instant) {
        let all = u32::try_from(self.length).unwrap_or(u32::MAX);
        if timeout_at(until, self.places.acquire_many(all)).await.is_err() {
            let left = self.length.saturating_sub(self.places.available_permits());
            tracing::warn!(left, channel = self.channel, "some messages were not sent in time");
        }
    }
}

impl Place {
    /// Sends a message in the background. Returns when the first attempt has ended or can't be waited for any longer,
    /// with its failure if there will be no other attempt.
    pub(super) async fn send(self, carrier: Carrier, parcel: Parcel) -> Result<(), DeliveryFailure> {
        let (first, ended) = oneshot::channel();
        let Self { permit, wait } = self;
        let sending = async move {
            keep_trying(&carrier, &parcel, first).await;
            drop(permit);
        };
        tokio::spawn(sending.in_current_span());
        if wait.is_zero() {
            return Ok(());
        }
        match timeout(wait, ended).await {
            Ok(Ok(Attempt::Refused(failure))) => Err(failure),
            // As with a webhook that does not answer.
            Ok(Ok(Attempt::Unknown)) => Err(DeliveryFailure::Undeliverable),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Tries until the message is sent, is refused, may have been sent, or its code has expired.
async fn keep_trying(carrier: &Carrier, parcel: &Parcel, first: oneshot::Sender<Attempt>) {
    let (mut first, mut pause) = (Some(first), FIRST_PAUSE);
    let (carried_by, channel) = (carrier.name(), parcel.channel());
    for attempts in 1_u32.. {
        // An attempt that waits for a connection may find the code expired when its turn comes.
        let attempt = carrier.attempt(parcel).await;
        if let Some(first) = first.take() {
            let _ = first.send(attempt);
        }
        let not_before = match attempt {
            Attempt::Accepted => return tracing::info!(carried_by, channel, attempts, "message accepted"),
            Attempt::Refused(failure) => {
                return tracing::warn!(carried_by, channel, attempts, ?failure, "message refused");
            }
            Attempt::Unknown => {
                return tracing::warn!(
                    carried_by,
                    channel,
                    attempts,
                    "it is not known whether the message is accepted"
                );
            }
            Attempt::Again(not_before) => not_before.unwrap_or_default(),
        };
        // A provider can name a time that no clock shows.
        let next = Instant::now().checked_add(not_before.max(with_jitter(pause, parcel)));
        match next.filter(|next| *next < parcel.expires()) {
            Some(next) => sleep_until(next).await,
            None => {
                return tracing::warn!(
                    carried_by,
                    channel,
                    attempts,
                    "the code expires before its message can be sent"
                );
            }
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

impl Carrier {
    fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Smtp(_) => "smtp",
        }
    }

    async fn attempt(&self, parcel: &Parcel) -> Attempt {
        match self {
            Self::Http(provider) => provider.attempt(parcel).await,
            Self::Smtp(server) => server.attempt(parcel).await,
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
