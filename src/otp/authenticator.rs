//! The record of one phone number or e-mail address: its live challenges, the instants of its sends and the instants of
//! its charged guesses. NIST SP 800-63B section 3.1.3 calls such an address an out-of-band authenticator. The rules
//! that change the record are in `resend.rs` and `guess_budget.rs`.

use core::num::NonZeroU32;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::change::{Attempt, Change, Decision};
use crate::guard::message::{CountedMessage, CountedMessages};
use crate::id::{ChallengeId, DeviceId, MessageMark, Nonce};
use crate::otp::challenge::{Challenge, ChargedTo};
use crate::otp::device::{Devices, NewDevice};
use crate::otp::limits::Limits;
use crate::otp::meter::{Meter, memory_for_moves};
use crate::time::Timestamp;
use crate::time::set_back::Reading;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The state of one address, in one record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Authenticator {
    /// The latest instant at which this record was written. It is the epoch where the record was never written.
    #[serde(rename = "w", serialize_with = "write_instant", deserialize_with = "read_instant", default)]
    pub(super) written_at: Timestamp,
    #[serde(rename = "c")]
    pub(super) challenges: Vec<Challenge>,
    #[serde(rename = "s")]
    pub(super) sends: Meter,
    #[serde(rename = "f")]
    pub(super) failures: Meter,
    #[serde(rename = "d", skip_serializing_if = "Devices::is_empty", default)]
    pub(super) devices: Devices,
    /// The messages that destinations count and that no success has settled, where the send guard is on.
    #[serde(rename = "m", skip_serializing_if = "CountedMessages::is_empty", default)]
    pub(super) messages: CountedMessages,
    #[serde(skip)]
    pub(super) unknown: Unknown,
}

keep_unknown_members!(Authenticator);

impl Authenticator {
    /// The instant from which this record means the same as an absent record.
    pub(crate) fn delete_after(&self, limits: &Limits) -> Timestamp {
        let challenges = self.challenges.iter().map(|challenge| challenge.expires_at);
        let counted = [
            self.sends.forgotten_at(memory_for_moves(&limits.sends)),
            self.failures.forgotten_at(limits.guesses_per_address.window()),
            self.devices.forgotten_at(limits.devices.as_ref()),
        ];
        // A message is settled together with a challenge, and never without one.
        challenges.chain(counted.into_iter().flatten()).max().unwrap_or(self.written_at)
    }

    /// Tells whether the clock was set back since this record was written.
    ///
    /// The clocks of hosts differ by a little. A record within [`CLOCK_TOLERANCE`](crate::time::CLOCK_TOLERANCE) of the
    /// reading is not from the future.
    pub(crate) fn is_from_the_future(&self, now: Timestamp) -> bool {
        matches!(self.reading(now), Reading::SetBack(_))
    }

    /// Returns this record as a decision at `now` must see it, and the instant to decide at.
    pub(super) fn at(mut self, now: Timestamp) -> (Self, Timestamp) {
        match self.reading(now) {
            Reading::At(now) => {
                self.challenges.retain(|challenge| !now.has_reached(challenge.expires_at));
                (self, now)
            }
            Reading::SetBack(_) => {
                self.challenges.clear();
                self.messages = CountedMessages::default();
                (self, now)
            }
        }
    }

    fn reading(&self, now: Timestamp) -> Reading {
        Reading::new(now, self.written_at)
    }

    pub(super) fn written(mut self, now: Timestamp) -> Self {
        self.written_at = now;
        self
    }

    pub(super) fn challenge(&self, id: &ChallengeId) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.id == *id)
    }

    /// Remembers a message that destinations count. Forgets the messages whose challenges have ended: no success will
    /// settle them.
    pub(super) fn count(&mut self, message: CountedMessage) {
        let Self { messages, challenges, .. } = self;
        messages.retain(|known| challenges.iter().any(|challenge| MessageMark::of(&challenge.id) == known.mark));
        messages.add([message]);
    }

    /// Takes out the messages that a success of this challenge settles: its own, and the latest two others of the last
    /// hour whose otp_token is still good and that the same device asked for. What remains stays unverified for ever.
    ///
    /// With more, an attacker with numbers of their own would earn as many messages by each login. With the messages of
    /// everybody, the login of a known device would show in the counts of a stranger's messages.
    pub(super) fn take_settled(&mut self, id: &ChallengeId, now: Timestamp) -> Vec<CountedMessage> {
        let own = MessageMark::of(id);
        let mut settled = self.messages.take();
        let device = self.challenge(id).and_then(Challenge::device);
        let is_sibling = |mark| {
            let challenge = self.challenges.iter().find(|challenge| MessageMark::of(&challenge.id) == mark);
            challenge.is_some_and(|challenge| challenge.device() == device)
        };
        let mut left = MOST_DROPPED;
        settled.reverse();
        settled.retain(|message| {
            if message.mark == own {
                return true;
            }
            let is_dropped = left > 0 && message.can_be_dropped(now) && is_sibling(message.mark);
            left = left.saturating_sub(usize::from(is_dropped));
            is_dropped
        });
        settled
    }

    /// Returns how many guesses were compared with one code, over all challenges that share the code.
    pub(super) fn guesses_of(&self, nonce: &Nonce) -> usize {
        let sharing = self.challenges.iter().filter(|challenge| challenge.nonce == *nonce);
        sharing.map(Challenge::guesses).fold(0, usize::saturating_add)
    }

    /// Counts the messages with the code of a challenge, up to the message of this challenge. Each challenge is a
    /// message.
    pub(super) fn messages_until(&self, last: &Challenge) -> NonZeroU32 {
        let before = self.challenges.iter().take_while(|challenge| challenge.id != last.id);
        let sharing = before.filter(|challenge| challenge.nonce == last.nonce).count();
        NonZeroU32::MIN.saturating_add(u32::try_from(sharing).unwrap_or(u32::MAX))
    }

    /// Returns a challenge with another code that was sent for the same binding and is still in time.
    pub(super) fn other_in_time(&self, own: &Challenge, now: Timestamp, limits: &Limits) -> Option<&Challenge> {
        self.challenges.iter().rfind(|other| {
            other.binding == own.binding
                && other.nonce != own.nonce
                && other.device() == own.device()
                && other.has_code_in_time(now)
                && self.guesses_of(&other.nonce) < limits.of_challenge()
        })
    }

    /// Returns the device, if it is known and has a guess left. A device that is locked counts as none.
    pub(crate) fn usable(&self, device: Option<DeviceId>, limits: &Limits, now: Timestamp) -> Option<DeviceId> {
        let policy = limits.devices.as_ref()?;
        let known = self.devices.known(now).find(|known| Some(known.id) == device)?;
        (known.failures.remaining(&policy.guesses, now) > 0).then_some(known.id)
    }

    /// Returns the device that the record knows a client by: the device of its token, or else that of its login.
    pub(crate) fn known_device(
        &self,
        presented: Option<DeviceId>,
        of_login: Option<DeviceId>,
        limits: &Limits,
        now: Timestamp,
    ) -> Option<DeviceId> {
        limits.devices.as_ref()?;
        let is_known = |device: &DeviceId| self.devices.known(now).any(|known| known.id == *device);
        presented.filter(is_known).or(of_login.filter(is_known))
    }

    /// Remembers a device until an instant. Returns what a new device has changed.
    pub(crate) fn keep_device(&mut self, id: DeviceId, expires_at: Timestamp) -> Option<NewDevice> {
        self.devices.keep(id, expires_at)
    }

    /// Returns the sends of a device, or those of everybody else. They are `None` for a device that has left.
    pub(super) fn sends_of(&self, device: Option<DeviceId>) -> Option<&Meter> {
        match device {
            None => Some(&self.sends),
            Some(id) => self.devices.get(&id).map(|device| &device.sends),
        }
    }

    pub(super) fn sends_of_mut(&mut self, device: Option<DeviceId>) -> Option<&mut Meter> {
        match device {
            None => Some(&mut self.sends),
            Some(id) => self.devices.get_mut(&id).map(|device| &mut device.sends),
        }
    }

    /// Returns the charged guesses of a device, or those of everybody else. They are `None` for a device that has left.
    pub(super) fn failures_of(&self, device: Option<DeviceId>) -> Option<&Meter> {
        match device {
            None => Some(&self.failures),
            Some(id) => self.devices.get(&id).map(|device| &device.failures),
        }
    }

    /// Returns the challenges, and the budgets that their guesses are charged to.
    pub(super) fn split(&mut self) -> (&mut [Challenge], GuessBudgets<'_>) {
        (&mut self.challenges, GuessBudgets { of_address: &mut self.failures, devices: &mut self.devices })
    }

    /// Keeps the number of challenges bounded, for each device and for everybody else. Nobody can take the room of a
    /// device.
    ///
    /// A spent challenge is removed first. If there is none and sends are limited, nothing is removed, and the error
    /// says when the first challenge expires. If sends are not limited, the oldest challenge is removed, even if it is
    /// live. Its guesses then go to another challenge with the same code.
    pub(super) fn make_room(
        &mut self,
        device: Option<DeviceId>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let of_device = |challenge: &&Challenge| challenge.device() == device;
        while self.challenges.iter().filter(of_device).count() > limits.room_of(device) {
            let is_spent = |challenge: &Challenge| of_device(&challenge) && challenge.spent_by.is_some();
            let spent = self.challenges.iter().position(is_spent);
            if spent.is_none() && !limits.sends.is_empty() {
                let first = self.challenges.iter().filter(of_device).map(|challenge| challenge.expires_at).min();
                return Err(first.map_or(Duration::ZERO, |first| now.until(first)));
            }
            let oldest = || self.challenges.iter().position(|challenge| of_device(&challenge));
            let removed = self.challenges.remove(spent.or_else(oldest).unwrap_or(0));
            if let Some(heir) = self.challenges.iter_mut().find(|challenge| challenge.nonce == removed.nonce) {
                heir.inherit(&removed);
            }
        }
        Ok(())
    }
}

impl Clone for Authenticator {
    fn clone(&self) -> Self {
        let Self { written_at, challenges, sends, failures, devices, messages, unknown } = self;
        Self {
            written_at: *written_at,
            challenges: challenges.clone(),
            sends: sends.clone(),
            failures: failures.clone(),
            devices: devices.clone(),
            messages: messages.clone(),
            unknown: unknown.clone(),
        }
    }

    /// Reuses the room of the old challenges where their number stays the same. A store that overwrites a record then
    /// allocates nothing for them.
    fn clone_from(&mut self, source: &Self) {
        if self.challenges.len() != source.challenges.len() {
            *self = source.clone();
            return;
        }
        let Self { written_at, challenges, sends, failures, devices, messages, unknown } = source;
        self.written_at = *written_at;
        self.challenges.clone_from_slice(challenges);
        self.sends.clone_from(sends);
        self.failures.clone_from(failures);
        self.devices.clone_from(devices);
        self.messages.clone_from(messages);
        self.unknown.clone_from(unknown);
    }
}

/// The charged guesses of each device, and those of everybody else. A device that has left has none.
pub(super) struct GuessBudgets<'a> {
    of_address: &'a mut Meter,
    devices: &'a mut Devices,
}

impl GuessBudgets<'_> {
    /// Charges one guess.
    pub(super) fn charge(&mut self, device: Option<DeviceId>, now: Timestamp, limits: &Limits) {
        if let Some(failures) = self.of(device) {
            failures.record(now, limits.guesses_of(device).window());
        }
    }

    /// Takes back a guess.
    pub(super) fn take_back(&mut self, guess: ChargedTo) {
        if let Some(failures) = self.of(guess.device) {
            failures.take_back(guess.at);
        }
    }

    fn of(&mut self, device: Option<DeviceId>) -> Option<&mut Meter> {
        match device {
            None => Some(self.of_address),
            Some(id) => self.devices.get_mut(&id).map(|device| &mut device.failures),
        }
    }
}

/// Makes a record from the future a record of now. Its challenges end, because their age is unknown and they must not
/// live longer. Its sends and guesses count as of now.
pub(crate) struct ClampToNow;

impl Change for ClampToNow {
    type State = Authenticator;
    type Verdict = ();
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, ()>, NothingToDo> {
        let now = attempt.now;
        let mut next = state.filter(|state| state.is_from_the_future(now)).ok_or(NothingToDo)?;
        next.challenges.clear();
        next.messages = CountedMessages::default();
        next.sends.clamp_to(now);
        next.failures.clamp_to(now);
        next.devices.set_back(now, now.until(next.written_at));
        Ok(Decision::new(next.written(now), ()))
    }

    /// A second attempt finds nothing to do.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}

/// There is nothing to undo or to clamp.
pub(crate) struct NothingToDo;

/// How many other messages of its address a success takes out of the counts.
const MOST_DROPPED: usize = 2;

/// Writes an instant, or null for the epoch.
fn write_instant<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    Some(*at).filter(|at| *at != Timestamp::default()).serialize(serializer)
}

fn read_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
