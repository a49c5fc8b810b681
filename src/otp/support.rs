//! What the host's support staff can learn of an address and change.

use crate::change::{Attempt, Change, Decision};
use crate::otp::authenticator::{Authenticator, NothingToDo};
use crate::otp::limits::Limits;
use crate::otp::meter::{Meter, Quota};
use crate::time::Timestamp;

/// What the record of an address says: the guesses and the sends that are left, the live challenges and the devices. It
/// names no code and no identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressState {
    /// The guesses of everybody who has no device token. Without any left, the address is locked for them.
    pub guesses: BudgetState,
    /// The sends of everybody who has no device token.
    pub sends: BudgetState,
    /// The challenges whose otp_token is still good. The oldest comes first.
    pub challenges: Vec<LiveChallenge>,
    /// The devices that the address knows. The budgets of each are its own.
    pub devices: Vec<DeviceState>,
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetState {
    /// How many are left in the longest window. `None` where the settings set no limit.
    pub left: Option<usize>,
    /// When the next one is possible, if it is not possible now.
    pub available_at: Option<Timestamp>,
}

/// A challenge whose otp_token is still good. It can be redeemed while its code is in time and has a guess left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveChallenge {
    /// When its code expires. The code can have expired before its otp_token.
    pub code_expires_at: Timestamp,
    /// When its otp_token expires.
    pub expires_at: Timestamp,
    /// How many guesses its code has left.
    pub guesses_left: usize,
}

/// A device that the address knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceState {
    /// Until when the device is known without a further login.
    pub known_until: Timestamp,
    /// The guesses of the device.
    pub guesses: BudgetState,
    /// The sends of the device.
    pub sends: BudgetState,
}

impl AddressState {
    /// Reads the state at `now`. An address without a record has used up nothing.
    pub(crate) fn new(state: Option<&Authenticator>, limits: &Limits, now: Timestamp) -> Self {
        let nothing = Authenticator::default();
        let state = state.unwrap_or(&nothing);
        let now = now.max(state.written_at);
        let challenges = state.challenges.iter().filter(|challenge| challenge.is_live(now)).map(|challenge| {
            let charged = state.guesses_of(&challenge.nonce);
            LiveChallenge {
                code_expires_at: challenge.code_expires_at,
                expires_at: challenge.expires_at,
                guesses_left: limits.of_challenge().saturating_sub(charged),
            }
        });
        let devices = state.devices.known(now).filter(|_| limits.devices.is_some()).map(|device| DeviceState {
            known_until: device.expires_at(),
            guesses: BudgetState::new(&device.failures, &[*limits.guesses_of(Some(device.id))], now),
            sends: BudgetState::new(&device.sends, limits.sends_of(Some(device.id)), now),
        });
        Self {
            guesses: BudgetState::new(&state.failures, &[limits.guesses_per_address], now),
            sends: BudgetState::new(&state.sends, &limits.sends, now),
            challenges: challenges.collect(),
            devices: devices.collect(),
        }
    }

    /// Tells whether the address is locked: nobody without a device token has a guess left.
    pub fn is_locked(&self) -> bool {
        self.guesses.left == Some(0)
    }
}

impl BudgetState {
    fn new(meter: &Meter, quotas: &[Quota], now: Timestamp) -> Self {
        let longest = quotas.iter().max_by_key(|quota| quota.window());
        let wait = meter.wait(quotas, now);
        Self {
            left: longest.map(|quota| meter.remaining(quota, now)),
            available_at: (!wait.is_zero()).then(|| now.after(wait)),
        }
    }
}

/// Clears the counted guesses and sends of an address and of its devices. The guesses of each code still count.
pub(crate) struct Unlock;

impl Change for Unlock {
    type State = Authenticator;
    type Verdict = ();
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, ()>, NothingToDo> {
        let (mut next, now) = state.ok_or(NothingToDo)?.at(attempt.now);
        next.failures = Meter::default();
        next.sends = Meter::default();
        next.devices.unlock();
        Ok(Decision::new(next.written(now), ()))
    }

    /// A second attempt clears what is counted then.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}

/// Forgets the devices of an address. What they have used up still counts.
pub(crate) struct ForgetDevices;

impl Change for ForgetDevices {
    type State = Authenticator;
    type Verdict = ();
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, ()>, NothingToDo> {
        let (mut next, now) = state.filter(|state| !state.devices.is_empty()).ok_or(NothingToDo)?.at(attempt.now);
        next.devices.forget();
        Ok(Decision::new(next.written(now), ()))
    }

    /// A second attempt forgets the devices that are known then.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}
