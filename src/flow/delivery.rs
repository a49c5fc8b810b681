//! A code on its way to the user, and the reply that depends on its delivery.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::address::{Address, Channel};
use crate::grant::Usage;
use crate::id::{AuthSourceId, ChallengeId, ClientId, RecordKey};
use crate::message::Content;
use crate::secret::Code;
use crate::time::Timestamp;
use crate::wire::error::DeliveryFailure;
use crate::wire::reply::{Reply, SendResponse};

/// A message for the host to deliver, and the reply that depends on the delivery.
///
/// The challenge is stored, and the send counts against the address, whether or not the delivery succeeds. A host that
/// queues messages can reply [`accepted`](Delivery::accepted) at once. If the host drops a delivery, the client gets no
/// otp_token.
#[must_use]
pub struct Delivery {
    pub(super) message: Option<OtpMessage>,
    pub(super) channel: Channel,
    pub(super) response: SendResponse,
    pub(super) sent: SentChallenge,
}

impl Delivery {
    /// Returns the message to deliver. A [test identity](crate::otp::TestIdentity) gets none, and its
    /// delivery is accepted.
    ///
    /// ```
    /// # use otp_grant::{Delivery, Reply};
    /// fn deliver(delivery: Delivery) -> Reply {
    ///     if let Some(message) = delivery.message() {
    ///         println!("{} for {}", message.code().expose_secret(), message.address().as_str());
    ///     }
    ///     delivery.accepted()
    /// }
    /// ```
    pub fn message(&self) -> Option<&OtpMessage> {
        self.message.as_ref()
    }

    /// Takes the message out for a queue. The host replies first and sends later. The reply is the same as for
    /// [`accepted`](Self::accepted).
    ///
    /// The client then does not learn that a delivery failed. Its user must wait until the code can be sent again.
    ///
    /// ```
    /// # use otp_grant::{Delivery, Reply};
    /// # use otp_grant::server::OtpMessage;
    /// fn enqueue(delivery: Delivery, queue: &std::sync::mpsc::Sender<OtpMessage>) -> Reply {
    ///     let (message, reply) = delivery.into_parts();
    ///     if let Some(message) = message {
    ///         let _ = queue.send(message);
    ///     }
    ///     reply
    /// }
    /// ```
    pub fn into_parts(self) -> (Option<OtpMessage>, Reply) {
        (self.message, self.response.into())
    }

    /// Returns the reply for a message that was sent or queued, or for a delivery without a message.
    pub fn accepted(self) -> Reply {
        self.response.into()
    }

    /// Returns the reply for a message that could not be sent. The send still counts.
    /// [`AuthorizationServer::delivery_failed`](crate::AuthorizationServer::delivery_failed) also lets the user try
    /// again at once.
    pub fn failed(self, failure: DeliveryFailure) -> Reply {
        Reply::delivery_failed(self.channel, failure)
    }
}

impl core::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Delivery").field("message", &self.message).finish_non_exhaustive()
    }
}

/// The challenge of a delivery: the key of its record, its identifier, and how long it lives.
#[derive(Clone, Copy)]
pub(super) struct SentChallenge {
    pub(super) key: RecordKey,
    pub(super) id: ChallengeId,
    pub(super) token_validity: Duration,
}

/// A code to send, separate from the reply. The message can wait in a queue of the process. The code is wiped when the
/// message is dropped.
///
/// The message has no serialized form. A queue outside the process would store readable codes next to the addresses
/// that they are for.
pub struct OtpMessage {
    pub(super) address: Address,
    pub(super) code: Code,
    pub(super) usage: Usage,
    pub(super) client: ClientId,
    pub(super) auth_source: Option<AuthSourceId>,
    pub(super) validity: Duration,
    pub(super) expires_at: Timestamp,
    pub(super) attempt: NonZeroU32,
}

impl OtpMessage {
    /// Returns the address to send the code to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the code to send.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// Returns what the code is for. The message should say so. An attacker can then less easily trick the user into
    /// passing the code on.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Returns the client that requested the code. The message can name the application.
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns the auth source of a login. Other usages have none.
    pub fn auth_source(&self) -> Option<&AuthSourceId> {
        self.auth_source.as_ref()
    }

    /// Returns how long the code was still valid when it was requested. A resend delivers the same code for the rest of
    /// its time.
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// Returns what the message has to say, for a [`MessageKit`](crate::message::MessageKit).
    ///
    /// A message that waited in a queue states the time that is left with
    /// [`Content::with_validity`](crate::message::Content::with_validity).
    pub fn content(&self) -> Content<'_> {
        Content::new(&self.code, self.usage, self.validity).for_client(&self.client)
    }

    /// Returns when the code expires. An expired code is not worth sending.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Counts the messages with this code, from 1. A host can send the second message over another route. A message
    /// that expired before its code did, or whose request failed, does not count.
    pub fn attempt(&self) -> NonZeroU32 {
        self.attempt
    }
}

impl core::fmt::Debug for OtpMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OtpMessage")
            .field("usage", &self.usage)
            .field("client", &self.client)
            .field("validity", &self.validity)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
