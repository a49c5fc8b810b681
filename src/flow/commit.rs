//! Stores what a rule decided, and opens its verdict only then. Unknown outcomes are resolved here and nowhere else.

use core::convert::Infallible;

use crate::authenticator::{Authenticator, Limits};
use crate::decision::Decision;
use crate::directory::Directory;
use crate::error::Unavailable;
use crate::flow::Core;
use crate::flow::draw::Draw;
use crate::id::{RecordKey, Tag};
use crate::observer::Event;
use crate::session::Session;
use crate::store::{Record, RecordBody, Store, Swap};
use crate::time::Timestamp;

/// A state, the tag that it was stored with, and when it was loaded.
pub(crate) struct Held<T> {
    key: RecordKey,
    tag: Option<Tag>,
    state: Option<T>,
    now: Timestamp,
}

impl<T> Held<T> {
    /// The state, unless there is none or it has expired.
    pub(crate) fn state(&self) -> Option<&T> {
        self.state.as_ref()
    }

    /// When it was loaded.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// One attempt of a request to decide and to store.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// The clock, read for this decision.
    pub(crate) now: Timestamp,
    /// Whether an earlier attempt failed, without a trace of it in the state that is decided on now.
    pub(crate) follows_unknown_outcome: bool,
}

/// Why nothing was stored.
pub(crate) enum Refused<E> {
    ByRule(E),
    Unavailable,
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Loads the state that is kept under `key`. A record that has expired counts as absent, but keeps its tag.
    pub(crate) async fn load<T: State>(&self, key: RecordKey) -> Result<Held<T>, Unavailable> {
        let record = self.store.load(&key).await.map_err(|error| self.store_failed(&error))?;
        let now = self.clock.now();
        let Some(Record { tag, delete_after, body }) = record else {
            return Ok(Held { key, tag: None, state: None, now });
        };
        let state = T::from_body(body).ok_or_else(|| self.faulted(&WrongKind))?;
        Ok(Held { key, tag: Some(tag), state: Some(state).filter(|_| !now.has_reached(delete_after)), now })
    }

    /// Loads the record of an address.
    ///
    /// A record from the future is put right before anything is decided on it, and this is stored even if the request
    /// is then refused: else a clock that was set back would find the same challenges alive when it has caught up.
    pub(crate) async fn load_authenticator(
        &self,
        key: RecordKey,
        draw: &mut Draw,
    ) -> Result<Held<Authenticator>, Unavailable> {
        let held = self.load::<Authenticator>(key).await?;
        if !held.state.as_ref().is_some_and(|state| state.is_from_the_future(held.now)) {
            return Ok(held);
        }
        let put_right = |state: Option<Authenticator>, attempt: Attempt| {
            state.and_then(|state| state.put_right(attempt.now)).ok_or(AsItShouldBe)
        };
        match self.update(held, put_right, |_| false, draw).await {
            Ok(((), held)) => Ok(held),
            Err(Refused::ByRule(AsItShouldBe)) => self.load(key).await,
            Err(Refused::Unavailable) => Err(Unavailable),
        }
    }

    /// Stores what `decide` makes of the state, and opens its verdict. What changes nothing is not stored.
    ///
    /// The clock is read for each decision, after its state was loaded: a store that is slow must not make what others
    /// wrote meanwhile look as if the clock had been set back.
    ///
    /// When somebody else was faster, the state is loaded again and decided on again: each such conflict is the progress
    /// of another request, so the loop ends.
    ///
    /// When the store answers with an error, or with a conflict that our own write may have caused (a store below may
    /// have sent it twice), the state is loaded once more: our tag, or the mark that `is_ours` looks for, tells that it
    /// was applied, even if somebody has written since. If it is not there, the decision is stored again. That second
    /// write also fences the first: should that arrive late, its tag is out of date. After a second error, resolved in the
    /// same way, the request ends.
    pub(crate) async fn update<T: State, V, E>(
        &self,
        mut held: Held<T>,
        decide: impl Fn(Option<T>, Attempt) -> Result<Decision<T, V>, E>,
        is_ours: impl Fn(&T) -> bool,
        draw: &mut Draw,
    ) -> Result<(V, Held<T>), Refused<E>> {
        let mut failures = 0;
        for _ in 0..MAX_CONFLICTS {
            let attempt = Attempt { now: self.clock.now(), follows_unknown_outcome: failures > 0 };
            let (state, is_new, verdict) = decide(held.state.take(), attempt).map_err(Refused::ByRule)?.into_parts();
            if !is_new {
                return Ok((verdict.open_stored(), Held { state: Some(state), ..held }));
            }
            let tag = Tag::from_bytes(self.random(draw)?);
            let delete_after = state.delete_after(&self.settings.limits);
            let record = Record { tag, delete_after, body: state.into_body() };
            match self.store.swap(&held.key, held.tag, &record).await {
                Ok(Swap::Stored) => {
                    let state = T::from_body(record.body);
                    return Ok((verdict.open_stored(), Held { key: held.key, tag: Some(tag), state, now: held.now }));
                }
                Ok(Swap::Conflict) => {}
                Err(error) => {
                    let Unavailable = self.store_failed(&error);
                    failures += 1;
                }
            }
            held = self.load(held.key).await?;
            if held.tag == Some(tag) || held.state.as_ref().is_some_and(&is_ours) {
                return Ok((verdict.open_stored(), held));
            }
            if failures > 1 {
                return Err(Refused::Unavailable);
            }
        }
        Err(Refused::Unavailable)
    }

    /// Stores the first state of a key that is drawn at random, and so can't be there already unless we put it there.
    pub(crate) async fn insert<T: State + Clone>(
        &self,
        key: RecordKey,
        first: &T,
        draw: &mut Draw,
    ) -> Result<(), Unavailable> {
        let nothing = Held { key, tag: None, state: None, now: self.clock.now() };
        let decide = |_: Option<T>, _| Ok::<_, Infallible>(Decision::new(first.clone(), ()));
        match self.update(nothing, decide, |_| true, draw).await {
            Ok(((), _)) => Ok(()),
            Err(Refused::ByRule(never)) => match never {},
            Err(Refused::Unavailable) => Err(Unavailable),
        }
    }

    fn store_failed(&self, error: &S::Error) -> Unavailable {
        self.observer.event(&Event::StoreFailed { error });
        Unavailable
    }
}

/// A state that has a record of its own.
pub(crate) trait State: Sized {
    fn from_body(body: RecordBody) -> Option<Self>;
    fn into_body(self) -> RecordBody;
    fn delete_after(&self, limits: &Limits) -> Timestamp;
}

impl State for Authenticator {
    fn from_body(body: RecordBody) -> Option<Self> {
        match body {
            RecordBody::Authenticator(state) => Some(state),
            RecordBody::Session(_) => None,
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody::Authenticator(self)
    }

    fn delete_after(&self, limits: &Limits) -> Timestamp {
        Authenticator::delete_after(self, limits)
    }
}

impl State for Session {
    fn from_body(body: RecordBody) -> Option<Self> {
        match body {
            RecordBody::Session(state) => Some(state),
            RecordBody::Authenticator(_) => None,
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody::Session(self)
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        // A revoked session is kept for as long: a write of it that arrives late must not bring it back.
        self.expires_at()
    }
}

impl<E> From<Unavailable> for Refused<E> {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Another request has put the record right already.
struct AsItShouldBe;

/// A record of another kind lies under the key: two secrets or issuers were mixed up.
#[derive(Debug)]
struct WrongKind;

impl core::fmt::Display for WrongKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a stored record is of the wrong kind")
    }
}

impl core::error::Error for WrongKind {}

/// Each conflict is the progress of another request. Guesses and sends are bounded by what an address is allowed, and no
/// client refreshes one session so often at once.
const MAX_CONFLICTS: usize = 1000;
