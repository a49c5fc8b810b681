//! How often an address may be sent to and guessed at. `meter` counts, and `resend` and `guess_budget` refuse.

use core::num::NonZeroU8;
use core::time::Duration;

use crate::id::DeviceId;
use crate::otp::device::{DevicePolicy, MOST_DEVICES};
use crate::otp::meter::Quota;

/// How often one address may be sent to and guessed at (NIST SP 800-63B section 3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) sends: Vec<Quota>,
    pub(crate) guesses_per_challenge: NonZeroU8,
    pub(crate) guesses_per_address: Quota,
    /// The budgets of devices, where devices are remembered.
    pub(crate) devices: Option<DevicePolicy>,
}

impl Limits {
    /// Tells whether the live challenges of an address, besides those of its devices, always fit into its record, if
    /// each is live for `validity`.
    pub(crate) fn leave_room_for(&self, validity: Duration) -> bool {
        fit(&self.sends, validity, MOST_CHALLENGES)
    }

    /// Tells whether the live challenges of a device always fit into the record of its address, if each is live for
    /// `validity`.
    pub(crate) fn leave_devices_room_for(&self, validity: Duration) -> bool {
        self.devices.as_ref().is_none_or(|policy| fit(&policy.sends, validity, MOST_CHALLENGES_OF_DEVICE))
    }

    /// Returns the most guesses of one address in any 24 hours, over all budgets.
    pub(crate) fn most_guesses_in_a_day(&self) -> usize {
        let of_devices = self.devices.as_ref().map_or(0, |policy| policy.guesses.most_within(DAY));
        of_devices.saturating_mul(MOST_DEVICES).saturating_add(self.guesses_per_address.most_within(DAY))
    }

    /// Returns how often a device may be sent to, or everybody else.
    pub(super) fn sends_of(&self, device: Option<DeviceId>) -> &[Quota] {
        match (device, &self.devices) {
            // Where sends are not limited at all, those of devices are not either.
            (Some(_), Some(policy)) if !self.sends.is_empty() => &policy.sends,
            _ => &self.sends,
        }
    }

    /// Returns how many guesses a device has, or everybody else.
    pub(super) fn guesses_of(&self, device: Option<DeviceId>) -> &Quota {
        match (device, &self.devices) {
            (Some(_), Some(policy)) => &policy.guesses,
            _ => &self.guesses_per_address,
        }
    }

    /// Returns how many challenges of a device, or of everybody else, the record has room for.
    pub(super) fn room_of(&self, device: Option<DeviceId>) -> usize {
        match device {
            _ if self.sends.is_empty() => MOST_CHALLENGES_WITHOUT_QUOTA,
            None => MOST_CHALLENGES,
            Some(_) => MOST_CHALLENGES_OF_DEVICE,
        }
    }

    pub(super) fn of_challenge(&self) -> usize {
        usize::from(self.guesses_per_challenge.get())
    }
}

/// Tells whether quotas allow at most `room` sends within a time.
fn fit(sends: &[Quota], within: Duration, room: usize) -> bool {
    let most = sends.iter().map(|quota| quota.most_within(within)).min();
    most.is_none_or(|most| most <= room)
}

/// The most challenges in the record of one address, besides those of devices. Settings that could need more are
/// refused. Where a code policy from the directory needs more, the send is refused.
const MOST_CHALLENGES: usize = 100;

/// The most challenges of one device in the record of its address.
const MOST_CHALLENGES_OF_DEVICE: usize = 20;

/// The most challenges in the record where sends are not limited. The oldest challenge then makes room.
const MOST_CHALLENGES_WITHOUT_QUOTA: usize = 10;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
