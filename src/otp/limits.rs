//! How often an address may be sent to and guessed at.

use core::num::NonZeroU8;
use core::time::Duration;

use crate::otp::meter::Quota;

/// How often one address may be sent to and guessed at (NIST SP 800-63B section 3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) sends: Vec<Quota>,
    pub(crate) guesses_per_challenge: NonZeroU8,
    pub(crate) guesses_per_address: Quota,
}

impl Limits {
    /// Tells whether the live challenges of an address always fit into its record, if each is live for `validity`.
    pub(crate) fn leave_room_for(&self, validity: Duration) -> bool {
        let most = self.sends.iter().map(|quota| quota.most_within(validity)).min();
        most.is_none_or(|most| most <= MOST_CHALLENGES)
    }

    pub(super) fn of_challenge(&self) -> usize {
        usize::from(self.guesses_per_challenge.get())
    }
}

/// The most challenges in the record of one address. Settings that could need more are refused. Where a code policy
/// from the directory needs more, the send is refused.
pub(super) const MOST_CHALLENGES: usize = 100;

/// The most challenges in the record where sends are not limited. The oldest challenge then makes room.
pub(super) const MOST_CHALLENGES_WITHOUT_QUOTA: usize = 10;
