//! The port to logs and metrics, and the events that it receives.

#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use crate::observer::tracing::TracingObserver;
use core::error::Error;
use core::time::Duration;

use crate::grant::Usage;
use crate::guard::GuardCause;
use crate::id::{ClientId, RecordKey, SessionId, Subject};
use crate::wire::error::DeliveryFailure;

/// Receives the events of the server.
///
/// The server calls it in the middle of a request, so it must return at once.
pub trait Observer: Send + Sync {
    /// Receives one event.
    fn event(&self, event: &Event<'_>);
}

/// Says what happened.
///
/// An address appears as the key of its record. The key is the same for the same address and reveals nothing more.
/// Secrets do not appear at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A challenge was opened, and its code was handed to the host for delivery.
    Sent {
        /// The client that asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// What the code is for.
        usage: Usage,
    },
    /// The host could not deliver a code.
    DeliveryFailed {
        /// The hashed address.
        address: RecordKey,
        /// Why the delivery failed.
        failure: DeliveryFailure,
    },
    /// A challenge was refused because the address was sent to too often.
    Throttled {
        /// The client that asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// How long the address must wait.
        retry_after: Duration,
    },
    /// A challenge was refused because the address has no guess left. Its codes are being guessed at.
    LockedOut {
        /// The client that asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// How long the address must wait.
        retry_after: Duration,
    },
    /// The send guard observes, and would have refused a send or asked for a challenge. One send can have several
    /// causes, and its quotas can still refuse it.
    SendWouldBeRefused {
        /// The client that asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// Why the guard would have refused it.
        cause: GuardCause,
    },
    /// The send guard or the host's verdict asked the client to pass a challenge.
    SendChallenged {
        /// The client that asked for a code.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// Why the send was not trusted.
        cause: GuardCause,
    },
    /// The send guard or the host's verdict refused a send, and no challenge would help.
    SendRefused {
        /// The client that asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// Why the send was refused.
        cause: GuardCause,
    },
    /// A message has half used the share of a client's budget that one shard has. Untrusted sends are refused now.
    ClientBudgetHalfUsed {
        /// The client.
        client: &'a ClientId,
    },
    /// A message has used up the share of a client's budget that one shard has.
    ClientBudgetUsed {
        /// The client.
        client: &'a ClientId,
    },
    /// A client did not prove its identity. It is unknown, or its secret or assertion is wrong, missing or not
    /// expected. An assertion that was used before is also wrong.
    ClientRefused {
        /// The client that the caller claims to be, if this can be read. The text is the caller's.
        client: Option<&'a ClientId>,
    },
    /// A wrong or expired code was presented.
    WrongCode {
        /// The client that presented it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// How many guesses the challenge has left.
        attempts_remaining: usize,
    },
    /// A challenge was used that is already spent or has no guess left.
    Exhausted {
        /// The client that used it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
    },
    /// A code was redeemed for tokens.
    LoggedIn {
        /// The client that redeemed it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// The user.
        subject: &'a Subject,
        /// The session that began.
        session: SessionId,
    },
    /// The same login was answered once more, because the first answer was lost.
    LoginRepeated {
        /// The client that asked again.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session that had begun.
        session: SessionId,
    },
    /// A user was created for an address, or another request at the same time had just created the user.
    SignedUp {
        /// The client that the user signed up at.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// The user.
        subject: &'a Subject,
    },
    /// A test identity was used: its code was sent for, but no message was made, or it logged in.
    TestIdentityUsed {
        /// The client of the request.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
    },
    /// A device was remembered with a login. A device that is already known is not told again.
    DeviceRemembered {
        /// The client of the device.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
    },
    /// The host has cleared the counted guesses and sends of an address, if any were counted.
    Unlocked {
        /// The hashed address.
        address: RecordKey,
    },
    /// The host has made an address forget its devices, if it knew any.
    DevicesForgotten {
        /// The hashed address.
        address: RecordKey,
    },
    /// A code was redeemed as proof that an address belongs to its user.
    Verified {
        /// The client that redeemed it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// What the proof is for.
        usage: Usage,
    },
    /// A refresh token was redeemed for new tokens.
    Refreshed {
        /// The client that redeemed it.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session that goes on.
        session: SessionId,
    },
    /// A superseded refresh token was used again. It was stolen, either by this caller or from this caller. The session
    /// was revoked with all its tokens, if `has_ended` says so.
    ReuseDetected {
        /// The client that used it.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session of the token.
        session: SessionId,
        /// Whether the session is over. `false` where the store failed and the session may go on. The request was then
        /// answered with 503. A host can end the session itself
        /// ([`revoke_session`](crate::AuthorizationServer::revoke_session)). A repetition of the request also ends it.
        has_ended: bool,
    },
    /// A DPoP proof was used again. The client has repeated a request, or the proof was stolen.
    ProofReplayed {
        /// The client of the request.
        client: &'a ClientId,
    },
    /// A refresh token that is bound to a key was presented without this key. Either it was stolen, or the client has
    /// lost its key. The session goes on.
    KeyNotProven {
        /// The client of the request.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session, which goes on.
        session: SessionId,
    },
    /// A session was revoked with all its tokens.
    SessionRevoked {
        /// The client that signed the user out, or `None` if the host did.
        client: Option<&'a ClientId>,
        /// The user.
        subject: &'a Subject,
        /// The session that is over.
        session: SessionId,
    },
    /// One access token was revoked.
    AccessTokenRevoked {
        /// The client that revoked it.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session of the token, which goes on.
        session: SessionId,
    },
    /// The store failed.
    StoreFailed {
        /// The store's error.
        error: &'a (dyn Error + 'static),
    },
    /// The directory failed.
    DirectoryFailed {
        /// The directory's error.
        error: &'a (dyn Error + 'static),
    },
    /// There were no random bytes, a record was of the wrong kind, only a later version may decide on it, or a key
    /// could not sign.
    Faulted {
        /// The error.
        error: &'a (dyn Error + 'static),
    },
}

/// An observer that ignores every event.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a host writes its name, and there is nothing to set")]
pub struct NoObserver;

impl Observer for NoObserver {
    fn event(&self, _event: &Event<'_>) {}
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn event(&self, event: &Event<'_>) {
        (**self).event(event);
    }
}
