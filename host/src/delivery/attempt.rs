//! What became of handing a message to a provider.

use std::time::Duration;

use otp_grant::DeliveryFailure;

/// What became of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The provider has the message.
    Accepted,
    /// The provider does not have the message, and another attempt may succeed; not before a time, if one is given.
    Again(Option<Duration>),
    /// The provider does not have the message, and will not take it.
    Refused(DeliveryFailure),
    /// The provider may have the message: another attempt could send it twice.
    Unknown,
}
