//! What happened: a log that the store, the directory, the observer and the requests write to, and what is read in it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::{Clock, Event, Observer, Record, RecordKey};
use otp_grant_tests::ManualClock;
use otp_grant_tests::steps::{Effect, Mishap};
use serde::Deserialize;

use crate::acts::{Act, Rules};
use crate::request::{Answer, Ask};

/// One thing that happened, when, and to which request.
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
    /// A swap was applied, and this is in place now.
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
    /// What was released can't be verified under the key set.
    Unverifiable,
    ClockSetBack,
    /// Settings or secrets of a host were changed, or a part of it went down or came back.
    Changed(String),
}

impl What {
    /// What can be said of it without naming a record or a token.
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

/// What the observer is told, as far as anything depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Sent,
    WrongCode,
    Redeemed,
    Refreshed,
    ReuseDetected,
    Revoked,
    /// The store, the directory or something else failed.
    Failed,
    Other,
}

/// A record, read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    Authenticator(AddressView),
    Session(SessionView),
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct AddressView {
    #[serde(rename = "c")]
    pub challenges: Vec<ChallengeView>,
    #[serde(rename = "s")]
    pub sends: Vec<u64>,
    #[serde(rename = "f")]
    pub failures: Vec<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ChallengeView {
    #[serde(rename = "i")]
    pub id: String,
    #[serde(rename = "n")]
    pub nonce: String,
    /// Who asked for it, and what for.
    #[serde(rename = "b")]
    pub binding: String,
    #[serde(rename = "c")]
    pub code_expires_at: u64,
    #[serde(rename = "e")]
    pub expires_at: u64,
    #[serde(rename = "g")]
    pub guesses: Vec<String>,
    /// The guesses that named another challenge of the same asker, and were compared with this one's code as well.
    #[serde(rename = "x", default)]
    pub other_guesses: Vec<String>,
    #[serde(rename = "s", default)]
    pub spent_by: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SessionView {
    #[serde(rename = "g")]
    pub generation: u32,
    /// When it was last refreshed, or begun.
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
            Self::Authenticator(_) => None,
        }
    }

    pub fn address(&self) -> Option<&AddressView> {
        match self {
            Self::Authenticator(address) => Some(address),
            Self::Session(_) => None,
        }
    }
}

impl AddressView {
    pub fn challenge(&self, id: &str) -> Option<&ChallengeView> {
        self.challenges.iter().find(|challenge| challenge.id == id)
    }

    /// How many guesses are charged to a code, over the challenges that share it.
    pub fn guesses_of(&self, nonce: &str) -> usize {
        let sharing = self.challenges.iter().filter(|challenge| challenge.nonce == nonce);
        sharing.map(|challenge| challenge.guesses.len() + challenge.other_guesses.len()).sum()
    }
}

/// The instants that a meter keeps as distances.
pub fn instants(distances: &[u64]) -> Vec<u64> {
    let add = |sum: &mut u64, distance: &u64| {
        *sum += distance;
        Some(*sum)
    };
    distances.iter().scan(0, add).collect()
}

impl SessionView {
    /// Whether a refresh token of this generation, asked for at an instant, should not be used any more. Of that instant and
    /// the one that superseded it the later counts.
    pub fn is_superseded(&self, generation: u32, at: u64) -> bool {
        let in_time = self.retry_until.is_some_and(|until| at.max(self.used_at) < until);
        generation + 1 < self.generation || generation + 1 == self.generation && !in_time
    }

    /// Whether an access token was revoked by itself.
    pub fn has_revoked(&self, token_id: &str) -> bool {
        let RevokedView { below, listed } = &self.revoked_tokens;
        // A UUID, whose first bytes are the number of the token.
        let digits: String = token_id.chars().filter(|character| *character != '-').collect();
        let bytes: Vec<u8> = (0..9).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
        let (issue, mark) = (u32::from_be_bytes(bytes[..4].try_into().unwrap()), BASE64_URL_SAFE_NO_PAD.encode(bytes));
        u64::from(issue) < *below || listed.as_bytes().chunks(12).any(|listed| listed == mark.as_bytes())
    }
}

/// The log of a run.
pub struct Log {
    clock: ManualClock,
    /// The request whose turn it is.
    polled: Arc<AtomicUsize>,
    entries: Mutex<Vec<Entry>>,
}

impl Log {
    pub fn new(clock: ManualClock, polled: Arc<AtomicUsize>) -> Self {
        Self { clock, polled, entries: Mutex::default() }
    }

    /// The request whose turn it is.
    pub fn polled(&self) -> usize {
        self.polled.load(SeqCst)
    }

    /// Of the request whose turn it is.
    pub fn note(&self, what: What) {
        self.note_of(self.polled.load(SeqCst), what);
    }

    /// Of no request.
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

    /// What was noted since the last time.
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
            Event::ReuseDetected { .. } => Told::ReuseDetected,
            Event::SessionRevoked { .. } | Event::AccessTokenRevoked { .. } => Told::Revoked,
            Event::StoreFailed { .. } | Event::DirectoryFailed { .. } | Event::Faulted { .. } => Told::Failed,
            _ => Told::Other,
        }));
    }
}

/// What there was before a history.
#[derive(Default)]
pub struct Past {
    pub views: HashMap<RecordKey, View>,
    /// The challenges that were guessed at, and when. They all belong to one address, as the sends do.
    pub compared: Vec<(String, u64)>,
    pub sent: Vec<u64>,
    /// The requests that were made, as they look from outside.
    pub acts: Vec<Act>,
}

/// What happened, in an order in which it can be asked about.
pub struct History<'a> {
    pub past: &'a Past,
    pub rules: &'a Rules,
    /// Every request as it looks from outside, those of the past among them, in the order in which they began.
    pub acts: Vec<Act>,
    pub asks: &'a [Ask],
    pub entries: &'a [Entry],
    pub clock_was_set_back: bool,
    struck: &'a [(usize, Mishap)],
    /// What each request did, as places in `entries`.
    of_request: Vec<Vec<usize>>,
    /// What was in place from which place in `entries` on; 0 is the beginning.
    versions: HashMap<RecordKey, Vec<(usize, Option<&'a View>)>>,
}

impl<'a> History<'a> {
    /// `hosts` says which host each request was made at.
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

    /// What was in place of a session when a request first loaded it, and when that was.
    pub fn session_at_load(&self, act: &Act) -> Option<(u64, &'a SessionView)> {
        self.of_request.get(act.number)?;
        let (place, key) = self.loads(act.number).next()?;
        Some((self.entries[place].at, self.before(&key, place)?.session()?))
    }

    /// What a request did, with the places.
    pub fn of(&self, request: usize) -> impl DoubleEndedIterator<Item = (usize, &'a Entry)> {
        self.of_request[request].iter().map(|place| (*place, &self.entries[*place]))
    }

    /// Whether something went wrong in a request.
    pub fn is_struck(&self, request: usize) -> bool {
        self.mishaps_of(request) > 0
    }

    /// How often something went wrong in a request.
    pub fn mishaps_of(&self, request: usize) -> usize {
        self.struck.iter().filter(|(struck, _)| *struck == request).count()
    }

    pub fn read_what_was_stale(&self, request: usize) -> bool {
        self.struck.contains(&(request, Mishap::Stale))
    }

    pub fn began(&self, request: usize) -> u64 {
        self.of(request).next().map(|(_, entry)| entry.at).unwrap()
    }

    /// The answer of a request that got one, and its place.
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

    /// The loads of a request that took effect.
    pub fn loads(&self, request: usize) -> impl DoubleEndedIterator<Item = (usize, RecordKey)> {
        self.of(request).filter_map(|(place, entry)| match &entry.what {
            What::Loaded(key) => Some((place, *key)),
            _ => None,
        })
    }

    /// The swaps of a request that were applied, with what they replaced.
    pub fn stored_by(&self, request: usize) -> impl DoubleEndedIterator<Item = Change<'a>> {
        self.of(request).filter_map(|(place, _)| self.change_at(place))
    }

    /// Every swap that was applied.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> {
        (0..self.entries.len()).filter_map(|place| self.change_at(place))
    }

    /// Where and when it was decided on a swap: after the call of its request that came before.
    pub fn decision(&self, change: &Change<'_>) -> (usize, u64) {
        let calls = |what: &What| matches!(what, What::Loaded(_) | What::Stored(..) | What::Conflict);
        let before = self.of(change.request).take_while(|(place, _)| *place < change.place);
        let call = before.filter(|(_, entry)| calls(&entry.what)).last();
        call.map_or((change.place, change.at), |(place, entry)| (place, entry.at))
    }

    /// What was in place before the entry at this place.
    pub fn before(&self, key: &RecordKey, place: usize) -> Option<&'a View> {
        let versions = self.versions.get(key)?;
        let later = versions.partition_point(|(from, _)| *from <= place);
        versions.get(later.checked_sub(1)?)?.1
    }

    /// What has been in place of a record.
    pub fn versions(&self, key: &RecordKey) -> impl Iterator<Item = (usize, &'a View)> {
        self.versions.get(key).into_iter().flatten().filter_map(|(from, view)| Some((*from, (*view)?)))
    }

    /// The record that a request is about.
    pub fn key_of(&self, request: usize) -> Option<RecordKey> {
        self.loads(request).next().map(|(_, key)| key)
    }

    /// The swap at a place, if it was applied.
    pub fn change_at(&self, place: usize) -> Option<Change<'a>> {
        let entry = self.entries.get(place)?;
        let What::Stored(key, after) = &entry.what else { return None };
        let before = self.before(key, place);
        Some(Change { place, at: entry.at, request: entry.request, key: *key, before, after })
    }
}

/// A swap that was applied.
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
    /// A session before and after.
    pub fn of_session(&self) -> Option<(&'a SessionView, &'a SessionView)> {
        Some((self.before?.session()?, self.after.session()?))
    }

    /// The challenges that this change spent.
    pub fn spent(&self) -> impl Iterator<Item = &'a ChallengeView> {
        let before = self.before.and_then(View::address);
        let after = self.after.address().map(|address| address.challenges.as_slice()).unwrap_or_default();
        after.iter().filter(move |challenge| {
            let known = before.and_then(|before| before.challenge(&challenge.id));
            challenge.spent_by.is_some() && known.is_none_or(|known| known.spent_by != challenge.spent_by)
        })
    }

    /// The challenges that were spent before this change, and are not any more.
    pub fn unspent(&self) -> impl Iterator<Item = &'a ChallengeView> {
        let before = self.before.and_then(View::address);
        let after = self.after.address().map(|address| address.challenges.as_slice()).unwrap_or_default();
        after.iter().filter(move |challenge| {
            let known = before.and_then(|before| before.challenge(&challenge.id));
            challenge.spent_by.is_none() && known.is_some_and(|known| known.spent_by.is_some())
        })
    }

    /// The guesses that this change charged, with the challenges that they were charged to.
    pub fn charges(&self) -> Vec<(&'a str, &'a ChallengeView)> {
        marks_beyond(self.after, self.before)
    }

    /// The guesses that this change gave back: of challenges that are still there.
    pub fn given_back(&self) -> Vec<(&'a str, &'a ChallengeView)> {
        let there = |(_, challenge): &(&str, &ChallengeView)| {
            self.after.address().is_some_and(|after| after.challenge(&challenge.id).is_some())
        };
        let Some(before) = self.before else { return Vec::new() };
        marks_beyond(before, Some(self.after)).into_iter().filter(there).collect()
    }

    /// Whether this change charged a guess to a challenge.
    pub fn charged(&self, id: &str) -> bool {
        let guesses = |view: &View| view.address()?.challenge(id).map(|challenge| challenge.guesses.len());
        guesses(self.after) > self.before.and_then(guesses).or(Some(0))
    }
}

/// The guesses that one version of a record has and another one does not.
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

/// Where a history begins, in the order of everything: after what happened in the past.
pub const AFTER_THE_PAST: usize = 1_000_000;

/// The number of no request.
pub const OUTSIDE: usize = usize::MAX;
