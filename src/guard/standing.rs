//! What a destination has earned, and what a send to it needs.

use core::num::{NonZeroU16, NonZeroU32};

use crate::guard::destination::{Destination, Messages};
use crate::guard::{LEAST_OF_A_SHARD, MessageBudget, Threshold, Trust};

/// The rule by which one destination is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A block, a country or an e-mail domain earns its messages.
    Earned { per_day: u32, per_hour: u32, percent: u32 },
    /// A client has so many messages.
    Budget { per_day: u32, per_hour: u32 },
}

impl Rule {
    pub(crate) fn earned(threshold: &Threshold) -> Self {
        let Threshold { per_day, per_hour, verified_percent: percent } = *threshold;
        Self::Earned { per_day: per_day.get(), per_hour: per_hour.get(), percent }
    }

    /// The rule of one shard of a country.
    pub(crate) fn earned_in_a_shard(threshold: &Threshold, shards: NonZeroU16) -> Self {
        let Threshold { per_day, per_hour, verified_percent: percent } = *threshold;
        Self::Earned { per_day: share(per_day, shards), per_hour: share(per_hour, shards), percent }
    }

    /// The rule of one shard of a client.
    pub(crate) fn budget_of_a_shard(budget: &MessageBudget, shards: NonZeroU16) -> Self {
        Self::Budget { per_day: share(budget.per_day, shards), per_hour: share(budget.per_hour, shards) }
    }

    /// Judges a destination as it is seen at the instant of the decision.
    pub(crate) fn standing(&self, seen: &Destination) -> Standing {
        let (hour, day) = (seen.hour(), seen.day());
        match *self {
            Self::Earned { per_day, per_hour, percent } => {
                let let_off = seen.young().min(seen.best_hour().max(per_hour));
                let is_past = |messages: Messages, floor: u32, best: u32| {
                    let unverified = messages.unverified().saturating_sub(let_off);
                    let verified = best.max(messages.verified);
                    // In u64, no product of two counts overflows.
                    let earned = u64::from(verified).saturating_mul(u64::from(percent));
                    unverified >= floor && u64::from(unverified).saturating_mul(100) >= earned
                };
                if is_past(day, per_day, seen.best_day()) || is_past(hour, per_hour, seen.best_hour()) {
                    Standing::NeedsTrust
                } else {
                    Standing::Free
                }
            }
            Self::Budget { per_day, per_hour } => {
                let used = |sent: u32, budget: u32| match sent {
                    sent if sent >= budget => Standing::UsedUp,
                    sent if sent >= budget.div_ceil(2) => Standing::NeedsTrust,
                    _ => Standing::Free,
                };
                used(day.sent, per_day).max(used(hour.sent, per_hour))
            }
        }
    }
}

/// What a send to a destination needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Free,
    /// A reason to be trusted.
    NeedsTrust,
    /// The budget of a client is used up. The host's verdict is not enough.
    UsedUp,
}

impl Standing {
    pub(crate) fn admits(self, trust: Trust) -> bool {
        match (self, trust) {
            (Self::Free, _) | (Self::NeedsTrust, Trust::Allowed) | (_, Trust::Device) => true,
            (Self::NeedsTrust, Trust::None) | (Self::UsedUp, Trust::None | Trust::Allowed) => false,
        }
    }
}

fn share(count: NonZeroU32, shards: NonZeroU16) -> u32 {
    let whole = count.get();
    if shards == NonZeroU16::MIN { whole } else { (whole / u32::from(shards.get())).max(LEAST_OF_A_SHARD) }
}
