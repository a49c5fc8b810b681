//! The log of a run, which the store, the directory, the observer and the requests write to, and the questions that the
//! properties ask of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::id::RecordKey;
use otp_grant::observer::{Event, Observer};
use otp_grant::store::Record;
use otp_grant::time::Clock;
use otp_grant_tests::ManualClock;
use otp_grant_tests::steps::{Effect, Mishap};
use serde::Deserialize;

use crate::acts::{Act, Rules};
use crate::request::{Answer, Ask};

/// One event, with its time and its request.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: u64,
    pub request: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Began,
    Loaded(RecordKey),
    /// A swap was applied, and this record is now in place.
    Stored(RecordKey, Arc<View>),
    /// A swap met another tag than it expected.
    Conflict,
    Deleted(RecordKey),
    /// The directory was asked.
    Asked(&'static str),
    /// The signer was asked.
    Signed,
    /// The observer was told.
    Told(Told),
    Answered(Answer),
    /// Released tokens can't be verified with the key set.
    Unverifiable,
    ClockSetBack,
    /// The settings or secrets of a host were changed, or a part of it went down or came back.
    Changed(String),
}

impl What {
    /// Describes the event without the name of a record or a token.
    pub fn name(&self) -> String {
        match self {
            Self::Began => "begins".to_owned(),
            Self::Loaded(_) => "load".to_owned(),
            Self::Stored(..) => "swap: stored".to_owned(),
            Self::Conflict => "swap: conflict".to_owned(),
            Self::Deleted(_) => "deleted".to_owned(),
            Self::Asked(name) => format!("asks the directory: {name}"),
            Self::Signed => "asks the signer".to_owned(),
            Self::Unverifiable => "can't be verified".to_owned(),
            Self::Changed(what) => what.clone(),
            Self::Told(told) => format!("tells the observer: {told:?}"),
            Self::Answered(answer) => format!("gets {}", answer.name()),
            Self::ClockSetBack => "the clock is set back".to_owned(),
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, request, what } = self;
        match request {
            &OUTSIDE => write!(f, "{at} {}", what.name()),
            request => write!(f, "{at} request {request} {}", what.name()),
        }
    }
}

/// What the observer is told, as far as a property depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Sent,
    WrongCode,
    Redeemed,
    Refreshed,
    /// A reuse, after which the session is over.
    ReuseDetected,
    /// A reuse, after which the session may go on because the store failed.
    ReuseUnresolved,
    Revoked,
    /// The store, the directory or something else failed.
    Failed,
    Other,
}

/// A record after parsing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    Authenticator(AddressView),
    #[serde(alias = "session.2", alias = "session.3")]
    Session(SessionView),
    /// A proof or an assertion that was used. What it says is of no concern here.
    #[serde(rename = "used")]
    UsedOnce {},
    Destination(DestinationView),
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct AddressView {
    #[serde(rename = "c")]
    pub challenges: Vec<ChallengeView>,
    #[serde(rename = "s")]
    pub sends: Vec<u64>,
    #[serde(rename = "f")]
    pub failures: Vec<u64>,
    #[serde(rename = "d", default)]
    pub devices: Vec<DeviceView>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct DeviceView {
    #[serde(rename = "i")]
    pub id: String,
    #[serde(rename = "e")]
    pub expires_at: u64,
    #[serde(rename = "s", default)]
    pub sends: Vec<u64>,
    #[serde(rename = "f", default)]
    pub failures: Vec<u64>,
}

/// The messages of a block, a country or a client.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DestinationView {
    /// base64url of one byte for each count: for each hour, the messages that were sent, and those that are verified.
    #[serde(rename = "h", default)]
    hours: String,
    /// base64url of the latest charges and credits, four bytes each.
    #[serde(rename = "m", default)]
    marks: String,
}

impl DestinationView {
    /// Returns the latest charge or credit.
    pub fn latest_mark(&self) -> Option<Vec<u8>> {
        let marks = BASE64_URL_SAFE_NO_PAD.decode(&self.marks).unwrap();
        marks.chunks(4).next_back().map(<[u8]>::to_vec)
    }

    /// Returns how many messages were sent in 24 hours, and how many of these are verified.
    pub fn counts(&self) -> (usize, usize) {
        let counts = BASE64_URL_SAFE_NO_PAD.decode(&self.hours).unwrap();
        // A larger count has more bytes than one. No history has so many messages.
        assert!(counts.iter().all(|count| *count < 0x80));
        let sum = |first: usize| counts.iter().skip(first).step_by(2).map(|count| usize::from(*count)).sum();
        (sum(0), sum(1))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct ChallengeView {
    #[serde(rename = "i")]
    pub id: String,
    #[serde(rename = "n")]
    pub nonce: String,
    /// The client, auth source, address and usage of the challenge.
    #[serde(rename = "b")]
    pub binding: String,
    #[serde(rename = "c")]
    pub code_expires_at: u64,
    #[serde(rename = "e")]
    pub expires_at: u64,
    #[serde(rename = "g")]
    pub guesses: Vec<String>,
    /// The guesses that named another challenge of the same binding and were also compared with this code.
    #[serde(rename = "x", default)]
    pub other_guesses: Vec<String>,
    #[serde(rename = "s", default)]
    pub spent_by: Option<String>,
    /// The device whose budget the send was charged to.
    #[serde(rename = "v", default)]
    pub device: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SessionView {
    #[serde(rename = "g")]
    pub generation: u32,
    /// When the session was last refreshed, or when it began.
    #[serde(rename = "r")]
    pub used_at: u64,
    #[serde(rename = "w", default)]
    pub retry_until: Option<u64>,
    #[serde(rename = "x")]
    pub expires_at: u64,
    #[serde(rename = "d", default)]
    pub revoked: Option<String>,
    #[serde(rename = "t", default)]
    revoked_tokens: RevokedView,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct RevokedView {
    #[serde(rename = "b")]
    below: u64,
    #[serde(rename = "l")]
    listed: String,
}

impl View {
    pub fn of(record: &Record) -> Self {
        #[derive(Deserialize)]
        struct Stored {
            body: View,
        }
        serde_json::from_slice::<Stored>(&serde_json::to_vec(record).unwrap()).unwrap().body
    }

    pub fn session(&self) -> Option<&SessionView> {
        match self {
            Self::Session(session) => Some(session),
            Self::Authenticator(_) | Self::UsedOnce {} | Self::Destination(_) => None,
        }
    }

    pub fn address(&self) -> Option<&AddressView> {
        match self {
            Self::Authenticator(address) => Some(address),
            Self::Session(_) | Self::UsedOnce {} | Self::Destination(_) => None,
        }
    }

    pub fn destination(&self) -> Option<&DestinationView> {
        match self {
            Self::Destination(destination) => Some(destination),
            _ => None,
        }
    }
}

impl AddressView {
    /// Returns the sends and the guesses that count for a device which is known and has a guess left at a time, or
    /// those of everybody else. `true` where it is a device.
    pub fn budget_of(&self, device: Option<&str>, at: u64) -> (bool, Vec<u64>, Vec<u64>) {
        let known = self.devices.iter().find(|known| Some(known.id.as_str()) == device && at < known.expires_at);
        let of_device = known.map(|known| (true, instants(&known.sends), instants(&known.failures)));
        let usable = of_device.filter(|(_, _, guesses)| guesses.iter().filter(|time| **time + DAY > at).count() < 10);
        usable.unwrap_or_else(|| (false, instants(&self.sends), instants(&self.failures)))
    }

    pub fn challenge(&self, id: &str) -> Option<&ChallengeView> {
        self.challenges.iter().find(|challenge| challenge.id == id)
    }

    /// Returns how many guesses are charged to a code, over the challenges that share it.
    pub fn guesses_of(&self, nonce: &str) -> usize {
        let sharing = self.challenges.iter().filter(|challenge| challenge.nonce == nonce);
        sharing.map(|challenge| challenge.guesses.len() + challenge.other_guesses.len()).sum()
    }
}

/// Returns the instants that a meter keeps as distances.
pub fn instants(distances: &[u64]) -> Vec<u64> {
    let add = |sum: &mut u64, distance: &u64| {
        *sum += distance;
        Some(*sum)
    };
    distances.iter().scan(0, add).collect()
}

impl SessionView {
    /// Tells whether a refresh token of this generation that is presented at this time is superseded. The later of this
    /// time and the time of the rotation counts.
    pub fn is_superseded(&self, generation: u32, at: u64) -> bool {
        let in_time = self.retry_until.is_some_and(|until| at.max(self.used_at) < until);
        generation + 1 < self.generation || generation + 1 == self.generation && !in_time
    }

    /// Tells whether an access token was revoked on its own.
    pub fn has_revoked(&self, token_id: &str) -> bool {
        let RevokedView { below, listed } = &self.revoked_tokens;
        // A UUID. Its first bytes are the number of the token.
        let digits: String = token_id.chars().filter(|character| *character != '-').collect();
        let bytes: Vec<u8> = (0..9).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
        let (issue, mark) = (u32::from_be_bytes(bytes[..4].try_into().unwrap()), BASE64_URL_SAFE_NO_PAD.encode(bytes));
        u64::from(issue) < *below || listed.as_bytes().chunks(12).any(|listed| listed == mark.as_bytes())
    }
}

/// The log of a run.
pub struct Log {
    clock: ManualClock,
    /// The request that is being polled.
    polled: Arc<AtomicUsize>,
    entries: Mutex<Vec<Entry>>,
}

impl Log {
    pub fn new(clock: ManualClock, polled: Arc<AtomicUsize>) -> Self {
        Self { clock, polled, entries: Mutex::default() }
    }

    /// Returns the request that is being polled.
    pub fn polled(&self) -> usize {
        self.polled.load(SeqCst)
    }

    /// Notes an event of the request that is being polled.
    pub fn note(&self, what: What) {
        self.note_of(self.polled.load(SeqCst), what);
    }

    /// Notes an event of no request.
    pub fn note_outside(&self, what: What) {
        self.note_of(OUTSIDE, what);
    }

    pub fn note_effect(&self, request: usize, key: &RecordKey, effect: Effect<'_>) {
        let what = match effect {
            Effect::Loaded => What::Loaded(*key),
            Effect::Swapped(Some(record)) => What::Stored(*key, Arc::new(View::of(record))),
            Effect::Swapped(None) => What::Conflict,
            Effect::Deleted => What::Deleted(*key),
        };
        self.note_of(request, what);
    }

    /// Returns the events since the last call.
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.entries.lock().unwrap())
    }

    fn note_of(&self, request: usize, what: What) {
        let at = self.clock.now().as_unix_millis();
        self.entries.lock().unwrap().push(Entry { at, request, what });
    }
}

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        self.note(What::Told(match event {
            Event::Sent { .. } => Told::Sent,
            Event::WrongCode { .. } => Told::WrongCode,
            Event::LoggedIn { .. } | Event::Verified { .. } => Told::Redeemed,
            Event::Refreshed { .. } => Told::Refreshed,
            Event::ReuseDetected { has_ended: true, .. } => Told::ReuseDetected,
            Event::ReuseDetected { .. } => Told::ReuseUnresolved,
            Event::SessionRevoked { .. } | Event::AccessTokenRevoked { .. } => Told::Revoked,
            Event::StoreFailed { .. } | Event::DirectoryFailed { .. } | Event::Faulted { .. } => Told::Failed,
            _ => Told::Other,
        }));
    }
}

/// What happened before a history.
#[derive(Default)]
pub struct Past {
    pub views: HashMap<RecordKey, View>,
    /// The challenges that were guessed at, and when. They all belong to one address, like the sends.
    pub compared: Vec<(String, u64)>,
    pub sent: Vec<u64>,
    /// The earlier requests as they look from outside.
    pub acts: Vec<Act>,
}

/// A history in a form that the properties can ask questions of.
pub struct History<'a> {
    pub past: &'a Past,
    pub rules: &'a Rules,
    /// Every request as it looks from outside, in the order in which they began. This includes the requests before the
    /// history.
    pub acts: Vec<Act>,
    pub asks: &'a [Ask],
    pub entries: &'a [Entry],
    pub clock_was_set_back: bool,
    struck: &'a [(usize, Mishap)],
    /// The places of the events of each request in `entries`.
    of_request: Vec<Vec<usize>>,
    /// The versions of each record, each with the place in `entries` from which it was in place. 0 is the beginning.
    versions: HashMap<RecordKey, Vec<(usize, Option<&'a View>)>>,
}

impl<'a> History<'a> {
    /// Makes a history. `hosts` names the host of each request.
    pub fn new(
        past: &'a Past,
        rules: &'a Rules,
        (asks, hosts): (&'a [Ask], &[usize]),
        entries: &'a [Entry],
        struck: &'a [(usize, Mishap)],
    ) -> Self {
        let mut of_request = vec![Vec::new(); asks.len()];
        let mut versions: HashMap<_, _> = past.views.iter().map(|(key, view)| (*key, vec![(0, Some(view))])).collect();
        let mut clock_was_set_back = false;
        for (place, entry) in entries.iter().enumerate() {
            if let Some(places) = of_request.get_mut(entry.request) {
                places.push(place);
            }
            match &entry.what {
                What::Stored(key, view) => versions.entry(*key).or_default().push((place + 1, Some(&**view))),
                What::Deleted(key) => versions.entry(*key).or_default().push((place + 1, None)),
                What::ClockSetBack => clock_was_set_back = true,
                _ => {}
            }
        }
        let mut acts = past.acts.clone();
        acts.extend(crate::acts::acts(asks, hosts, entries, struck, AFTER_THE_PAST));
        Self { past, rules, acts, asks, entries, clock_was_set_back, struck, of_request, versions }
    }

    /// Returns the session as it was when a request first loaded it, and the time of that load.
    pub fn session_at_load(&self, act: &Act) -> Option<(u64, &'a SessionView)> {
        self.of_request.get(act.number)?;
        let (place, key) = self.loads(act.number).next()?;
        Some((self.entries[place].at, self.before(&key, place)?.session()?))
    }

    /// Returns the events of a request, with their places.
    pub fn of(&self, request: usize) -> impl DoubleEndedIterator<Item = (usize, &'a Entry)> {
        self.of_request[request].iter().map(|place| (*place, &self.entries[*place]))
    }

    /// Tells whether something went wrong in a request.
    pub fn is_struck(&self, request: usize) -> bool {
        self.mishaps_of(request) > 0
    }

    /// Returns how many things went wrong in a request.
    pub fn mishaps_of(&self, request: usize) -> usize {
        self.struck.iter().filter(|(struck, _)| *struck == request).count()
    }

    pub fn read_what_was_stale(&self, request: usize) -> bool {
        self.struck.contains(&(request, Mishap::Stale))
    }

    pub fn began(&self, request: usize) -> u64 {
        self.of(request).next().map(|(_, entry)| entry.at).unwrap()
    }

    /// Returns the answer of a request and its place, if there is one.
    pub fn answer(&self, request: usize) -> Option<(usize, &'a Answer)> {
        self.of(request).rev().find_map(|(place, entry)| match &entry.what {
            What::Answered(answer) => Some((place, answer)),
            _ => None,
        })
    }

    pub fn answers(&self) -> impl Iterator<Item = (usize, usize, &'a Answer)> {
        (0..self.asks.len()).filter_map(|request| {
            let (place, answer) = self.answer(request)?;
            Some((request, place, answer))
        })
    }

    /// Returns the loads of a request that took effect.
    pub fn loads(&self, request: usize) -> impl DoubleEndedIterator<Item = (usize, RecordKey)> {
        self.of(request).filter_map(|(place, entry)| match &entry.what {
            What::Loaded(key) => Some((place, *key)),
            _ => None,
        })
    }

    /// Returns the applied swaps of a request, with the records that they replaced.
    pub fn stored_by(&self, request: usize) -> impl DoubleEndedIterator<Item = Change<'a>> {
        self.of(request).filter_map(|(place, _)| self.change_at(place))
    }

    /// Returns every applied swap.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> {
        (0..self.entries.len()).filter_map(|place| self.change_at(place))
    }

    /// Returns the place and the time of the decision on a swap: after the previous call of its request.
    pub fn decision(&self, change: &Change<'_>) -> (usize, u64) {
        let calls = |what: &What| matches!(what, What::Loaded(_) | What::Stored(..) | What::Conflict);
        let before = self.of(change.request).take_while(|(place, _)| *place < change.place);
        let call = before.filter(|(_, entry)| calls(&entry.what)).last();
        call.map_or((change.place, change.at), |(place, entry)| (place, entry.at))
    }

    /// Returns the record that was in place before the entry at this place.
    pub fn before(&self, key: &RecordKey, place: usize) -> Option<&'a View> {
        let versions = self.versions.get(key)?;
        let later = versions.partition_point(|(from, _)| *from <= place);
        versions.get(later.checked_sub(1)?)?.1
    }

    /// Returns all versions of a record.
    pub fn versions(&self, key: &RecordKey) -> impl Iterator<Item = (usize, &'a View)> {
        self.versions.get(key).into_iter().flatten().filter_map(|(from, view)| Some((*from, (*view)?)))
    }

    /// Returns the record that a request concerns.
    pub fn key_of(&self, request: usize) -> Option<RecordKey> {
        self.loads(request).next().map(|(_, key)| key)
    }

    /// Returns the swap at a place, if it was applied.
    pub fn change_at(&self, place: usize) -> Option<Change<'a>> {
        let entry = self.entries.get(place)?;
        let What::Stored(key, after) = &entry.what else { return None };
        let before = self.before(key, place);
        Some(Change { place, at: entry.at, request: entry.request, key: *key, before, after })
    }
}

/// An applied swap.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub place: usize,
    pub at: u64,
    pub request: usize,
    pub key: RecordKey,
    pub before: Option<&'a View>,
    pub after: &'a View,
}

impl<'a> Change<'a> {
    /// Returns a session before and after the swap.
    pub fn of_session(&self) -> Option<(&'a SessionView, &'a SessionView)> {
        Some((self.before?.session()?, self.after.session()?))
    }

    /// Returns the challenges that this change spent.
    pub fn spent(&self) -> impl Iterator<Item = &'a ChallengeView> {
        let before = self.before.and_then(View::address);
        let after = self.after.address().map(|address| address.challenges.as_slice()).unwrap_or_default();
        after.iter().filter(move |challenge| {
            let known = before.and_then(|before| before.challenge(&challenge.id));
            challenge.spent_by.is_some() && known.is_none_or(|known| known.spent_by != challenge.spent_by)
        })
    }

    /// Returns the challenges that were spent before this change and are not spent after it.
    pub fn unspent(&self) -> impl Iterator<Item = &'a ChallengeView> {
        let before = self.before.and_then(View::address);
        let after = self.after.address().map(|address| address.challenges.as_slice()).unwrap_or_default();
        after.iter().filter(move |challenge| {
            let known = before.and_then(|before| before.challenge(&challenge.id));
            challenge.spent_by.is_none() && known.is_some_and(|known| known.spent_by.is_some())
        })
    }

    /// Returns the guesses that this change charged, with the challenges that they were charged to.
    pub fn charges(&self) -> Vec<(&'a str, &'a ChallengeView)> {
        marks_beyond(self.after, self.before)
    }

    /// Returns the guesses that this change gave back, for challenges that still exist.
    pub fn given_back(&self) -> Vec<(&'a str, &'a ChallengeView)> {
        let there = |(_, challenge): &(&str, &ChallengeView)| {
            self.after.address().is_some_and(|after| after.challenge(&challenge.id).is_some())
        };
        let Some(before) = self.before else { return Vec::new() };
        marks_beyond(before, Some(self.after)).into_iter().filter(there).collect()
    }

    /// Tells whether this change charged a guess to a challenge.
    pub fn charged(&self, id: &str) -> bool {
        let guesses = |view: &View| view.address()?.challenge(id).map(|challenge| challenge.guesses.len());
        guesses(self.after) > self.before.and_then(guesses).or(Some(0))
    }
}

/// Returns the guesses that one version of a record has and another version does not have.
fn marks_beyond<'v>(of: &'v View, other: Option<&View>) -> Vec<(&'v str, &'v ChallengeView)> {
    let other = other.and_then(View::address);
    let mut beyond = Vec::new();
    for challenge in of.address().map(|address| address.challenges.as_slice()).unwrap_or_default() {
        let known = other.and_then(|other| other.challenge(&challenge.id));
        let knows = |mark: &String| {
            known.is_some_and(|known| known.guesses.contains(mark) || known.other_guesses.contains(mark))
        };
        let marks = challenge.guesses.iter().chain(&challenge.other_guesses).filter(|mark| !knows(mark));
        beyond.extend(marks.map(|mark| (mark.as_str(), challenge)));
    }
    beyond
}

/// The place at which a history begins, in the order of all events. It is after all earlier events.
pub const AFTER_THE_PAST: usize = 1_000_000;

const DAY: u64 = 24 * 60 * 60 * 1000;

/// The request number of an event without a request.
pub const OUTSIDE: usize = usize::MAX;
