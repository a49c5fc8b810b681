//! Deliveries, kept instead of sent.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::flow::send_otp::Delivery;
use crate::grant::Usage;
use crate::wire::reply::Reply;

/// Keeps what a server sends, so that a test can read the codes. Clones share the messages.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Mutex<Vec<Message>>>);

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the message of a delivery, and accepts the delivery.
    pub fn deliver(&self, delivery: Delivery) -> Reply {
        let message = Message {
            address: delivery.address().clone(),
            code: delivery.code().expose_secret().into(),
            usage: delivery.usage(),
            validity: delivery.validity(),
        };
        self.messages().push(message);
        delivery.accepted()
    }

    /// Takes all messages out, the oldest first.
    pub fn take(&self) -> Vec<Message> {
        core::mem::take(&mut *self.messages())
    }

    /// The latest message to an address, which is written as [`Address::as_str`] gives it. The message stays in the outbox.
    pub fn latest_to(&self, address: &str) -> Option<Message> {
        self.messages().iter().rev().find(|message| message.address.as_str() == address).cloned()
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        // A test that panicked leaves whole messages behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message to a user: what the server told the host to deliver.
#[derive(Clone)]
pub struct Message {
    address: Address,
    code: Arc<str>,
    usage: Usage,
    validity: Duration,
}

impl Message {
    /// Where it was sent.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The code in it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What the code is for.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// How long the code was valid when it was sent.
    pub fn validity(&self) -> Duration {
        self.validity
    }
}

/// The code is not shown: a test's output is kept and read by many.
impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Message").field("usage", &self.usage).field("validity", &self.validity).finish_non_exhaustive()
    }
}
