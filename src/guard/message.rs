//! A message that was counted for its destinations, as the record of its address keeps it.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{ChallengeId, MessageMark};
use crate::time::Timestamp;

/// A message that its destinations count as unverified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Timestamp, u64, MessageMark)", into = "(Timestamp, u64, MessageMark)")]
pub(crate) struct CountedMessage {
    /// Names the message in the records of its destinations.
    pub(crate) mark: MessageMark,
    pub(crate) sent_at: Timestamp,
    /// Until when the message is younger than its code's time.
    pub(crate) young_until: Timestamp,
}

impl CountedMessage {
    pub(crate) fn new(challenge: &ChallengeId, sent_at: Timestamp, code_expires_at: Timestamp) -> Self {
        let young_until = code_expires_at.min(sent_at.after(LONGEST_YOUTH));
        Self { mark: MessageMark::of(challenge), sent_at, young_until }
    }

    /// Tells whether a login can still drop the message.
    pub(crate) fn can_be_dropped(&self, now: Timestamp) -> bool {
        !now.has_reached(self.sent_at.after(DROPPED_WITHIN))
    }
}

impl From<(Timestamp, u64, MessageMark)> for CountedMessage {
    fn from((sent_at, young_for, mark): (Timestamp, u64, MessageMark)) -> Self {
        Self { mark, sent_at, young_until: sent_at.after(Duration::from_millis(young_for)) }
    }
}

impl From<CountedMessage> for (Timestamp, u64, MessageMark) {
    fn from(message: CountedMessage) -> Self {
        let CountedMessage { mark, sent_at, young_until } = message;
        (sent_at, young_until.as_unix_millis().saturating_sub(sent_at.as_unix_millis()), mark)
    }
}

/// The messages of one address that its destinations count and that no success has settled. An address without any
/// takes no memory on the heap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<CountedMessage>", into = "Vec<CountedMessage>")]
pub(crate) struct CountedMessages(Option<Box<List>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct List(Vec<CountedMessage>);

impl CountedMessages {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes all messages out.
    pub(crate) fn take(&mut self) -> Vec<CountedMessage> {
        self.0.take().map(|list| list.0).unwrap_or_default()
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&CountedMessage) -> bool) {
        if !self.is_empty() {
            let mut messages = self.take();
            messages.retain(keep);
            *self = messages.into();
        }
    }

    /// Adds messages. Of more than `MOST_MESSAGES`, the oldest are forgotten, and then stay unverified.
    pub(crate) fn add(&mut self, more: impl IntoIterator<Item = CountedMessage>) {
        let mut messages = self.take();
        messages.extend(more);
        let excess = messages.len().saturating_sub(MOST_MESSAGES);
        messages.drain(..excess);
        *self = messages.into();
    }
}

impl From<Vec<CountedMessage>> for CountedMessages {
    fn from(messages: Vec<CountedMessage>) -> Self {
        Self((!messages.is_empty()).then(|| Box::new(List(messages))))
    }
}

impl From<CountedMessages> for Vec<CountedMessage> {
    fn from(mut messages: CountedMessages) -> Self {
        messages.take()
    }
}

/// What a success settles: the message whose code was redeemed, and the other messages of its address. Each message is
/// settled once, by the swap that spends the challenge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) verified: Option<CountedMessage>,
    pub(crate) dropped: Vec<CountedMessage>,
}

impl Settlement {
    /// Puts together what the challenge has settled.
    pub(crate) fn of(challenge: &ChallengeId, settled: &[CountedMessage]) -> Self {
        let own = MessageMark::of(challenge);
        Self {
            verified: settled.iter().find(|message| message.mark == own).copied(),
            dropped: settled.iter().filter(|message| message.mark != own).copied().collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.verified.is_none() && self.dropped.is_empty()
    }
}

const MOST_MESSAGES: usize = 100;
const LONGEST_YOUTH: Duration = Duration::from_secs(10 * 60);
const DROPPED_WITHIN: Duration = Duration::from_secs(60 * 60);
