//! The port to logs and metrics.

#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use crate::observer::tracing::TracingObserver;
use core::error::Error;
use core::time::Duration;

use crate::grant::Usage;
use crate::id::{ClientId, RecordKey, SessionId, Subject};
use crate::wire::error::DeliveryFailure;

/// Is told what happened.
///
/// It is called in the middle of a request and has to return at once.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// What happened. An address appears as the key of its record, which is the same for the same address and tells nothing
/// else; secrets do not appear at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A challenge was opened, and its code was handed to the host for delivery.
    Sent {
        /// Who asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// What for.
        usage: Usage,
    },
    /// The host could not deliver a code.
    DeliveryFailed {
        /// The hashed address.
        address: RecordKey,
        /// Why.
        failure: DeliveryFailure,
    },
    /// A challenge was refused, because the address was sent to too often.
    Throttled {
        /// Who asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// How long the address stays closed.
        retry_after: Duration,
    },
    /// A challenge was refused, because no guess is left for the address: somebody guesses at its codes.
    LockedOut {
        /// Who asked for it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// How long the address stays closed.
        retry_after: Duration,
    },
    /// A client did not prove who it is: it is unknown, or its secret is wrong, missing or not expected.
    ClientRefused {
        /// Who it says it is, if that can be read. The text is the caller's.
        client: Option<&'a ClientId>,
    },
    /// A wrong or expired code was presented.
    WrongCode {
        /// Who presented it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// How many more guesses the challenge has.
        attempts_remaining: usize,
    },
    /// A challenge was used that is spent, or that has no guess left.
    Exhausted {
        /// Who used it.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
    },
    /// A code was redeemed for tokens.
    LoggedIn {
        /// By whom.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// The user.
        subject: &'a Subject,
        /// The session that began.
        session: SessionId,
    },
    /// A login whose answer was lost was answered again.
    LoginRepeated {
        /// By whom.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session that had begun.
        session: SessionId,
    },
    /// A user was created for an address, or found there by another request at the same time.
    SignedUp {
        /// By whom.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// The user.
        subject: &'a Subject,
    },
    /// A code was redeemed for the proof that an address is its user's.
    Verified {
        /// By whom.
        client: &'a ClientId,
        /// The hashed address.
        address: RecordKey,
        /// What for.
        usage: Usage,
    },
    /// A refresh token was redeemed for fresh tokens.
    Refreshed {
        /// By whom.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session that goes on.
        session: SessionId,
    },
    /// A refresh token was used again after it had been superseded: it was stolen, by this caller or from this caller. The
    /// session has been revoked, with all its tokens.
    ReuseDetected {
        /// By whom.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session that is over.
        session: SessionId,
    },
    /// A session was revoked, with all its tokens.
    SessionRevoked {
        /// The client that signed out; `None` when it was the host.
        client: Option<&'a ClientId>,
        /// The user.
        subject: &'a Subject,
        /// The session that is over.
        session: SessionId,
    },
    /// One access token was revoked.
    AccessTokenRevoked {
        /// By whom.
        client: &'a ClientId,
        /// The user.
        subject: &'a Subject,
        /// The session that it comes from, which goes on.
        session: SessionId,
    },
    /// The store failed.
    StoreFailed {
        /// What it said.
        error: &'a (dyn Error + 'static),
    },
    /// The directory failed.
    DirectoryFailed {
        /// What it said.
        error: &'a (dyn Error + 'static),
    },
    /// There were no random bytes, a record was of the wrong kind, only a later version may decide on it, or a key could not
    /// sign.
    Faulted {
        /// What was wrong.
        error: &'a (dyn Error + 'static),
    },
}

/// An observer that looks away.
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
