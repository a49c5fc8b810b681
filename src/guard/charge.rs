//! The changes of a destination: a message is charged as unverified, taken back, or credited with a success.

use crate::change::{Attempt, Change, Decision};
use crate::guard::Trust;
use crate::guard::destination::Destination;
use crate::guard::message::{CountedMessage, Settlement};
use crate::guard::standing::{Rule, Standing};

/// Charges one message to a destination, unless the send needs more trust than it has.
pub(crate) struct Charge<'a> {
    pub(crate) message: &'a CountedMessage,
    pub(crate) rule: &'a Rule,
    pub(crate) trust: Trust,
    /// Without it, every message is charged.
    pub(crate) is_enforced: bool,
    /// Whether the send is that of a test identity. It costs nothing, and so nothing is counted. The swap is the same.
    pub(crate) is_test: bool,
}

impl Change for Charge<'_> {
    type State = Destination;
    type Verdict = Charged;
    type Refusal = NotCharged;

    fn decide(
        &self,
        state: Option<Destination>,
        attempt: Attempt,
    ) -> Result<Decision<Destination, Charged>, NotCharged> {
        // The clock by which the message was sent can be ahead of this one.
        let mut next = state.unwrap_or_default().at(attempt.now.max(self.message.sent_at));
        let before = self.rule.standing(&next);
        if self.is_enforced && !before.admits(self.trust) {
            return Err(NotCharged(before));
        }
        if !self.is_test {
            next.charge(self.message);
        }
        let after = self.rule.standing(&next);
        Ok(Decision::new(next, Charged { before, after }))
    }

    fn found_in(&self, stored: &Destination) -> Option<Charged> {
        let standing = self.rule.standing(stored);
        stored.was_charged(self.message).then_some(Charged { before: standing, after: standing })
    }
}

/// A message that is charged and stored.
pub(crate) struct Charged {
    /// How the destination stood before the message, and how it stands now.
    pub(crate) before: Standing,
    pub(crate) after: Standing,
}

/// The send needs more trust than it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotCharged(pub(crate) Standing);

/// Takes back the charge of a message that is not sent. A message that this destination does not know is left alone.
pub(crate) struct TakeBackCharge<'a> {
    pub(crate) message: &'a CountedMessage,
    /// Whether the send is that of a test identity, which was not counted. The swap is the same.
    pub(crate) is_test: bool,
}

impl Change for TakeBackCharge<'_> {
    type State = Destination;
    type Verdict = ();
    type Refusal = NothingToCredit;

    fn decide(
        &self,
        state: Option<Destination>,
        attempt: Attempt,
    ) -> Result<Decision<Destination, ()>, NothingToCredit> {
        let mut next = state.ok_or(NothingToCredit)?.at(attempt.now.max(self.message.sent_at));
        if self.is_test || next.take_back(self.message) { Ok(Decision::new(next, ())) } else { Err(NothingToCredit) }
    }

    /// A charge that was taken back leaves no trace. A second attempt finds nothing to take back.
    fn found_in(&self, _stored: &Destination) -> Option<()> {
        None
    }
}

/// Credits a destination with a success: one message is verified, and the other messages of its address are dropped.
///
/// A message is dropped only if its mark shows that this destination was charged for it. The send of such a message can
/// have ended before its charge.
pub(crate) struct Credit<'a> {
    pub(crate) settlement: &'a Settlement,
    /// Whether the success is that of a test identity, whose message was not counted. The swap is the same.
    pub(crate) is_test: bool,
}

impl Change for Credit<'_> {
    type State = Destination;
    type Verdict = ();
    type Refusal = NothingToCredit;

    fn decide(
        &self,
        state: Option<Destination>,
        attempt: Attempt,
    ) -> Result<Decision<Destination, ()>, NothingToCredit> {
        let Settlement { verified, dropped } = self.settlement;
        let mut next = state.ok_or(NothingToCredit)?.at(attempt.now);
        if self.is_test {
            return Ok(Decision::new(next, ()));
        }
        let mut is_credited = false;
        if let Some(message) = verified.as_ref().filter(|message| !next.was_credited(message)) {
            next.verify(message);
            is_credited = true;
        }
        for message in dropped {
            is_credited |= next.take_back(message);
        }
        if is_credited { Ok(Decision::new(next, ())) } else { Err(NothingToCredit) }
    }

    fn found_in(&self, stored: &Destination) -> Option<()> {
        self.settlement.verified.as_ref().filter(|message| stored.was_credited(message)).map(|_| ())
    }
}

/// There is nothing to credit or to take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NothingToCredit;
