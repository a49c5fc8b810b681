//! The record of one destination: the messages of 24 hours by the hour, and the best of 14 days.

use core::fmt;

use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::base64url::BASE64URL;
use crate::guard::counts::Counts;
use crate::guard::message::CountedMessage;
use crate::id::MessageMark;
use crate::time::Timestamp;
use crate::time::set_back::Reading;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The state of one destination, in one record of about 250 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Destination {
    /// The latest instant at which this record was written. The hours, days and minutes below end with it.
    #[serde(rename = "w")]
    written_at: Timestamp,
    /// For each hour, the latest first: how many messages were sent, and how many of these are verified.
    #[serde(rename = "h", skip_serializing_if = "Counts::is_empty", default)]
    hours: Counts,
    /// For each day, the latest first: how many messages were verified, and how many in its best hour.
    #[serde(rename = "d", skip_serializing_if = "Counts::is_empty", default)]
    days: Counts,
    /// How many unverified messages have a code whose time ends in this minute, in the next, and so on.
    #[serde(rename = "y", skip_serializing_if = "Counts::is_empty", default)]
    young: Counts,
    /// The latest charges and credits.
    #[serde(rename = "m", skip_serializing_if = "Marks::is_empty", default)]
    marks: Marks,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Destination);

impl Destination {
    /// Returns this record as a decision at `now` must see it.
    ///
    /// A clock that was set back extends nothing: what lies in the future counts as of now, and no message is young.
    pub(crate) fn at(mut self, now: Timestamp) -> Self {
        match Reading::new(now, self.written_at) {
            Reading::At(now) => self.advance_to(now),
            Reading::SetBack(_) => self.clamp_to(now),
        }
        self
    }

    /// The instant from which this record means the same as an absent record. It is the same for a record that has
    /// counted nothing, such as that of a test identity, as if it had counted a message when it was written.
    pub(crate) fn delete_after(&self) -> Timestamp {
        let end = |age: u64, places: u64, unit: u64| {
            let latest = self.index(unit).saturating_sub(age);
            Timestamp::from_unix_millis(latest.saturating_add(places).saturating_mul(unit))
        };
        let age_of = |counts: &Counts| u64::try_from(counts.iter().position(|count| count > 0)? / 2).ok();
        let of_days = age_of(&self.days).map(|age| end(age, DAYS, DAY));
        of_days.into_iter().fold(end(age_of(&self.hours).unwrap_or_default(), HOURS, HOUR), Timestamp::max)
    }

    /// Counts a message as unverified. This record is seen at the instant of the message or later.
    pub(crate) fn charge(&mut self, message: &CountedMessage) {
        if let Some(hour) = self.hour_of(message) {
            self.hours.add(hour, 1);
        }
        if let Some(minute) = self.minute_of(message) {
            self.young.add(minute, 1);
        }
        self.marks.push(message.mark);
    }

    /// Takes a message back that is not verified. Returns whether this record knew it.
    pub(crate) fn take_back(&mut self, message: &CountedMessage) -> bool {
        if !self.marks.remove(&message.mark) {
            return false;
        }
        self.grow_up(message);
        if let Some(hour) = self.hour_of(message).filter(|hour| self.has_unverified(*hour)) {
            self.hours.take(hour);
        }
        true
    }

    /// Counts an unverified message as verified. Its mark can be forgotten by now, since a busy destination has many
    /// messages.
    pub(crate) fn verify(&mut self, message: &CountedMessage) {
        self.marks.remove(&message.mark);
        self.marks.push(message.mark.credited());
        self.grow_up(message);
        let Some(hour) = self.hour_of(message).filter(|hour| self.has_unverified(*hour)) else { return };
        self.hours.add(hour.saturating_add(1), 1);
        if let Some(day) = place(self.age(DAY, message.sent_at), DAYS) {
            self.days.add(day, 1);
            let best = day.saturating_add(1);
            self.days.put(best, self.days.get(best).max(self.hours.get(hour.saturating_add(1))));
        }
    }

    pub(crate) fn was_charged(&self, message: &CountedMessage) -> bool {
        self.marks.contains(&message.mark)
    }

    pub(crate) fn was_credited(&self, message: &CountedMessage) -> bool {
        self.marks.contains(&message.mark.credited())
    }

    /// Returns the messages of the present hour.
    pub(crate) fn hour(&self) -> Messages {
        Messages { sent: self.hours.get(0), verified: self.hours.get(1) }
    }

    /// Returns the messages of 24 hours.
    pub(crate) fn day(&self) -> Messages {
        Messages { sent: sum(self.hours.iter().step_by(2)), verified: sum(self.hours.iter().skip(1).step_by(2)) }
    }

    /// Returns how many messages were verified on the best of 14 days.
    pub(crate) fn best_day(&self) -> u32 {
        self.days.iter().step_by(2).max().unwrap_or_default()
    }

    /// Returns how many messages were verified in the best hour of 14 days.
    pub(crate) fn best_hour(&self) -> u32 {
        self.days.iter().skip(1).step_by(2).max().unwrap_or_default()
    }

    /// Returns how many unverified messages are younger than their code's time.
    pub(crate) fn young(&self) -> u32 {
        sum(self.young.iter())
    }

    fn advance_to(&mut self, now: Timestamp) {
        let passed = |unit| now.as_unix_millis() / unit - self.index(unit).min(now.as_unix_millis() / unit);
        let (hours, days, minutes) = (passed(HOUR), passed(DAY), passed(MINUTE));
        self.hours.move_back(places(hours), places(HOURS));
        self.days.move_back(places(days), places(DAYS));
        self.young.drop_first(usize::try_from(minutes).unwrap_or(usize::MAX));
        self.written_at = now;
    }

    fn clamp_to(&mut self, now: Timestamp) {
        let ahead = |unit| places(self.age(unit, now).unwrap_or_default());
        let (hours, days) = (ahead(HOUR).min(places(HOURS)), ahead(DAY).min(places(DAYS)));
        let of_future =
            |counts: &Counts, offset, end| -> Vec<u32> { counts.iter().take(end).skip(offset).step_by(2).collect() };
        let (sent, verified) = (of_future(&self.hours, 0, hours), of_future(&self.hours, 1, hours));
        let (totals, bests) = (of_future(&self.days, 0, days), of_future(&self.days, 1, days));
        self.hours.drop_first(hours);
        self.hours.add(0, sum(sent.into_iter()));
        self.hours.add(1, sum(verified.into_iter()));
        self.days.drop_first(days);
        for (index, future) in [(0, totals), (1, bests)] {
            let best = future.into_iter().max().unwrap_or_default();
            self.days.put(index, self.days.get(index).max(best));
        }
        self.young = Counts::default();
        self.written_at = now;
    }

    /// Stops letting a message off.
    fn grow_up(&mut self, message: &CountedMessage) {
        if let Some(minute) = self.minute_of(message) {
            self.young.take(minute);
        }
    }

    fn has_unverified(&self, hour: usize) -> bool {
        self.hours.get(hour) > self.hours.get(hour.saturating_add(1))
    }

    /// Returns where the hour of a message begins in the row of hours.
    fn hour_of(&self, message: &CountedMessage) -> Option<usize> {
        place(self.age(HOUR, message.sent_at), HOURS)
    }

    /// Returns the place of the minute in which the code's time ends.
    fn minute_of(&self, message: &CountedMessage) -> Option<usize> {
        let minute = message.young_until.as_unix_millis() / MINUTE;
        let ahead = minute.checked_sub(self.index(MINUTE)).filter(|ahead| *ahead <= MINUTES)?;
        usize::try_from(ahead).ok()
    }

    /// Returns how many units before this record an instant lies.
    fn age(&self, unit: u64, at: Timestamp) -> Option<u64> {
        self.index(unit).checked_sub(at.as_unix_millis() / unit)
    }

    fn index(&self, unit: u64) -> u64 {
        self.written_at.as_unix_millis() / unit
    }
}

/// How many messages were sent, and how many of these are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Messages {
    pub(crate) sent: u32,
    pub(crate) verified: u32,
}

impl Messages {
    pub(crate) fn unverified(self) -> u32 {
        self.sent.saturating_sub(self.verified)
    }
}

/// The latest charges and credits, oldest first. A request recognises its own by them, and what is not charged is not
/// taken back.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Marks(Vec<MessageMark>);

impl Marks {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, mark: &MessageMark) -> bool {
        self.0.contains(mark)
    }

    fn push(&mut self, mark: MessageMark) {
        self.0.push(mark);
        let excess = self.0.len().saturating_sub(MOST_MARKS);
        self.0.drain(..excess);
    }

    fn remove(&mut self, mark: &MessageMark) -> bool {
        let before = self.0.len();
        self.0.retain(|known| known != mark);
        self.0.len() < before
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} marks", self.0.len())
    }
}

impl From<Marks> for String {
    fn from(marks: Marks) -> Self {
        BASE64URL.encode(marks.0.iter().flat_map(MessageMark::as_bytes).copied().collect::<Vec<u8>>())
    }
}

impl TryFrom<String> for Marks {
    type Error = InvalidMarks;

    fn try_from(text: String) -> Result<Self, InvalidMarks> {
        let bytes = BASE64URL.decode(text).map_err(|_| InvalidMarks)?;
        let marks = bytes.chunks(MessageMark::LEN).map(|chunk| chunk.try_into().map(MessageMark::from_bytes));
        marks.collect::<Result<_, _>>().map(Self).map_err(|_| InvalidMarks)
    }
}

/// A stored text is not a list of marks.
struct InvalidMarks;

impl fmt::Display for InvalidMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a list of marks")
    }
}

fn sum(counts: impl Iterator<Item = u32>) -> u32 {
    counts.fold(0, u32::saturating_add)
}

/// Returns where a unit of this age begins in a row with two counts per unit.
fn place(age: Option<u64>, most: u64) -> Option<usize> {
    age.filter(|age| *age < most).map(places)
}

/// Returns how many counts so many units have.
fn places(units: u64) -> usize {
    usize::try_from(units).unwrap_or(usize::MAX).saturating_mul(2)
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const HOURS: u64 = 24;
const DAYS: u64 = 14;
/// A code's time counts as 10 minutes at most.
const MINUTES: u64 = 10;
const MOST_MARKS: usize = 16;
