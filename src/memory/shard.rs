//! One shard of the records: a hash table that grows and is swept in small steps, and that holds little besides the
//! records.

use core::{iter, mem};

use crate::guard::destination::Destination;
use crate::id::{RecordKey, Tag};
use crate::otp::authenticator::Authenticator;
use crate::secret::keys_in_use::KeysInUse;
use crate::session::Session;
use crate::store::{self, Later, Record, RecordBody, Swap};
use crate::time::Timestamp;
use crate::used_once::UsedOnce;

/// Records by their keys. The keys need no hash, because they are MACs: they are spread evenly, and an attacker can't
/// choose many keys of one bucket. The first byte of a key has chosen the shard.
///
/// A table that doubles moves all its records at once, and holds more room than it needs. This table adds one bucket
/// per record beyond its number of buckets, and moves the records of one other bucket (linear hashing).
#[derive(Default)]
pub(super) struct Shard {
    buckets: Vec<Bucket>,
    len: usize,
    /// The bucket that is swept next.
    swept: usize,
}

struct Bucket {
    first: Chain,
    /// When the first record of the bucket can be deleted, or earlier. A sweep then skips the bucket without a look at
    /// each record.
    due: Timestamp,
}

pub(super) type Chain = Option<Box<Entry>>;

/// A stored record.
pub(super) struct Entry {
    key: RecordKey,
    tag: Tag,
    delete_after: Timestamp,
    body: Body,
    /// The next record of the same bucket.
    next: Chain,
}

/// Boxes a session, which takes twice the room of an authenticator. There can be many more authenticators than
/// sessions, and there is one record of keys.
enum Body {
    Authenticator(Authenticator),
    Session(Box<Session>),
    KeysInUse(Box<KeysInUse>),
    UsedOnce(UsedOnce),
    Destination(Box<Destination>),
    Later(Box<Later>),
}

impl Shard {
    pub(super) fn swap(&mut self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Swap {
        let index = self.bucket_of(key);
        match (self.buckets.get_mut(index).and_then(|bucket| bucket.find_mut(key)), expected) {
            (Some((kept, due)), Some(tag)) if kept.tag == tag => {
                kept.replace(next);
                *due = next.delete_after.min(*due);
                Swap::Stored
            }
            (None, None) => {
                if self.len == self.buckets.len() {
                    self.add_bucket();
                }
                self.len += 1;
                self.put(Box::new(Entry::new(*key, next)));
                Swap::Stored
            }
            _ => Swap::Conflict,
        }
    }

    /// Looks at the next few buckets, and takes out the records that may be deleted.
    pub(super) fn sweep(&mut self, now: Timestamp) -> Chain {
        let mut deleted = None;
        for _ in 0..SWEPT_PER_INSERT {
            let Some(bucket) = self.buckets.get_mut(self.swept) else {
                self.swept = 0;
                break;
            };
            self.swept += 1;
            if now.has_reached(bucket.due) {
                self.len -= bucket.sweep(now, &mut deleted);
            }
        }
        deleted
    }

    pub(super) fn load(&self, key: &RecordKey) -> Option<Record> {
        let bucket = self.buckets.get(self.bucket_of(key))?;
        bucket.records().find(|kept| kept.key == *key).map(Entry::record)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (RecordKey, Record)> {
        self.buckets.iter().flat_map(Bucket::records).map(|kept| (kept.key, kept.record()))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn put(&mut self, kept: Box<Entry>) {
        let index = self.bucket_of(&kept.key);
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.put(kept);
        }
    }

    /// Adds a bucket, and moves its records there from the bucket that has stood in for it.
    fn add_bucket(&mut self) {
        self.buckets.push(Bucket::default());
        let stand_in = self.stand_in(self.buckets.len() - 1);
        let mut rest = self.buckets.get_mut(stand_in).and_then(|bucket| mem::take(bucket).first);
        while let Some(mut kept) = rest {
            rest = kept.next.take();
            self.put(kept);
        }
    }

    fn bucket_of(&self, key: &RecordKey) -> usize {
        let [_, a, b, c, d, ..] = *key.as_bytes();
        let spread = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or_default();
        let bucket = spread & (self.buckets.len().next_power_of_two() - 1);
        if bucket < self.buckets.len() { bucket } else { self.stand_in(bucket) }
    }

    /// Returns the bucket that holds the records of `bucket` until `bucket` exists. It lies half of the next power of
    /// two back.
    fn stand_in(&self, bucket: usize) -> usize {
        bucket - self.buckets.len().next_power_of_two() / 2
    }
}

impl Bucket {
    fn put(&mut self, mut kept: Box<Entry>) {
        self.due = self.due.min(kept.delete_after);
        kept.next = self.first.take();
        self.first = Some(kept);
    }

    fn sweep(&mut self, now: Timestamp, deleted: &mut Chain) -> usize {
        let (mut taken, mut due) = (0, NEVER);
        let mut next = &mut self.first;
        loop {
            match next {
                None => break,
                Some(kept) if now.has_reached(kept.delete_after) => {
                    let rest = kept.next.take();
                    if let Some(mut kept) = mem::replace(next, rest) {
                        kept.next = deleted.take();
                        *deleted = Some(kept);
                    }
                    taken += 1;
                }
                Some(kept) => {
                    due = due.min(kept.delete_after);
                    next = &mut kept.next;
                }
            }
        }
        self.due = due;
        taken
    }

    /// Returns the record of a key, and when the first record of the bucket is due.
    fn find_mut(&mut self, key: &RecordKey) -> Option<(&mut Entry, &mut Timestamp)> {
        let mut next = self.first.as_deref_mut();
        while let Some(kept) = next {
            if kept.key == *key {
                return Some((kept, &mut self.due));
            }
            next = kept.next.as_deref_mut();
        }
        None
    }

    fn records(&self) -> impl Iterator<Item = &Entry> {
        iter::successors(self.first.as_deref(), |kept| kept.next.as_deref())
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self { first: None, due: NEVER }
    }
}

impl Entry {
    fn new(key: RecordKey, record: &Record) -> Self {
        let Record { tag, delete_after, body } = record;
        Self { key, tag: *tag, delete_after: *delete_after, body: Body::new(body), next: None }
    }

    fn replace(&mut self, next: &Record) {
        self.tag = next.tag;
        self.delete_after = next.delete_after;
        match (&mut self.body, &next.body.0) {
            // These reuse the memory of the old state.
            (Body::Authenticator(kept), store::Body::Authenticator(next)) => kept.clone_from(next),
            (Body::Session(kept), store::Body::Session(next)) => (**kept).clone_from(next),
            (kept, _) => *kept = Body::new(&next.body),
        }
    }

    fn record(&self) -> Record {
        let body = match &self.body {
            Body::Authenticator(state) => store::Body::Authenticator(state.clone()),
            Body::Session(state) => store::Body::Session((**state).clone()),
            Body::KeysInUse(state) => store::Body::KeysInUse((**state).clone()),
            Body::UsedOnce(state) => store::Body::UsedOnce(state.clone()),
            Body::Destination(state) => store::Body::Destination((**state).clone()),
            Body::Later(state) => store::Body::Later(state.clone()),
        };
        Record { tag: self.tag, delete_after: self.delete_after, body: RecordBody(body) }
    }
}

impl Body {
    fn new(body: &RecordBody) -> Self {
        match &body.0 {
            store::Body::Authenticator(state) => Self::Authenticator(state.clone()),
            store::Body::Session(state) => Self::Session(Box::new(state.clone())),
            store::Body::KeysInUse(state) => Self::KeysInUse(Box::new(state.clone())),
            store::Body::UsedOnce(state) => Self::UsedOnce(state.clone()),
            store::Body::Destination(state) => Self::Destination(Box::new(state.clone())),
            store::Body::Later(state) => Self::Later(state.clone()),
        }
    }
}

/// Only an insert adds a record. While as many records come as expire, the shard keeps at most an eighth as many
/// deletable records as it has buckets.
const SWEPT_PER_INSERT: usize = 8;
const NEVER: Timestamp = Timestamp::from_unix_millis(u64::MAX);
