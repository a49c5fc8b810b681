//! Keeps deliveries instead of sending them.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::flow::delivery::Delivery;
use crate::grant::Usage;
use crate::wire::reply::Reply;

/// Keeps the messages that a server hands over for delivery. A test can then read the codes. Clones share the messages.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Mutex<Vec<Message>>>);

impl Outbox {
    /// Makes an empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the message of a delivery, if there is one, and accepts the delivery.
    pub fn deliver(&self, delivery: Delivery) -> Reply {
        if let Some(message) = delivery.message() {
            self.messages().push(Message {
                address: message.address().clone(),
                code: message.code().expose_secret().into(),
                usage: message.usage(),
                validity: message.validity(),
            });
        }
        delivery.accepted()
    }

    /// Takes all messages out. The oldest message comes first.
    pub fn take(&self) -> Vec<Message> {
        core::mem::take(&mut *self.messages())
    }

    /// Returns the latest message to an address, which is written as [`Address::as_str`] returns it. The message stays
    /// in the outbox.
    pub fn latest_to(&self, address: &str) -> Option<Message> {
        self.messages().iter().rev().find(|message| message.address.as_str() == address).cloned()
    }

    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        // A panic can't leave half a message behind, and so the messages of a poisoned lock are good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that the server handed over for delivery to a user.
#[derive(Clone)]
pub struct Message {
    address: Address,
    code: Arc<str>,
    usage: Usage,
    validity: Duration,
}

impl Message {
    /// Returns the address of the message.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the code of the message.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns what the code is for.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Returns how long the code was valid when it was sent.
    pub fn validity(&self) -> Duration {
        self.validity
    }
}

/// Hides the code. The output of tests is often kept, and many people can read it.
impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Message").field("usage", &self.usage).field("validity", &self.validity).finish_non_exhaustive()
    }
}
