//! Stores what a rule decided, and opens its verdict only then. Unknown outcomes are resolved here and nowhere else.

use core::convert::Infallible;
use core::num::NonZeroU32;

use crate::authenticator::{Authenticator, ClampToNow, Limits, NothingToDo};
use crate::decision::{Attempt, Change, Decision};
use crate::directory::Directory;
use crate::error::Unavailable;
use crate::flow::Core;
use crate::flow::draw::Draw;
use crate::id::{RecordKey, Tag};
use crate::keys_in_use::KeysInUse;
use crate::observer::Event;
use crate::session::Session;
use crate::store::{Body, Record, RecordBody, Store, Swap};
use crate::time::{CLOCK_TOLERANCE, Timestamp};

/// A state, the tag that it was stored with, and when it was loaded.
pub(crate) struct Held<T> {
    key: RecordKey,
    tag: Option<Tag>,
    state: Option<T>,
    now: Timestamp,
}

impl<T> Held<T> {
    /// The state, if there is one. Whether it has expired is for its rules to say.
    pub(crate) fn state(&self) -> Option<&T> {
        self.state.as_ref()
    }

    /// When it was loaded.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// Why nothing was stored.
pub(crate) enum Refused<E> {
    ByRule(E),
    Unavailable,
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Loads the state that is kept under `key`.
    pub(crate) async fn load<T: State>(&self, key: RecordKey) -> Result<Held<T>, Unavailable> {
        let record = self.store.load(&key).await.map_err(|error| self.store_failed(&error))?;
        let now = self.clock.now();
        let Some(Record { tag, body, .. }) = record else {
            return Ok(Held { key, tag: None, state: None, now });
        };
        let state = T::from_body(body).map_err(|undecidable| self.faulted(&undecidable))?;
        Ok(Held { key, tag: Some(tag), state: Some(state), now })
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
        match self.update(held, &ClampToNow, draw).await {
            Ok(((), held)) => Ok(held),
            // Another request has put it right already.
            Err(Refused::ByRule(NothingToDo)) => self.load(key).await,
            Err(Refused::Unavailable) => Err(Unavailable),
        }
    }

    /// Stores what a change makes of the state, and opens its verdict. What changes nothing is not stored.
    ///
    /// The clock is read for each decision, after its state was loaded: a store that is slow must not make what others
    /// wrote meanwhile look as if the clock had been set back.
    ///
    /// When somebody else was faster, the state is loaded again and decided on again: each such conflict is the progress
    /// of another request, so the loop ends.
    ///
    /// When the store answers with an error, or with a conflict that our own write may have caused (a store below may
    /// have sent it twice), the state is loaded once more: our tag, or the trace that the change looks for, tells that it
    /// was applied, even if somebody has written since. The verdict then follows from what is stored, since it may have been
    /// an earlier attempt that was. If it is not there, the decision is stored again. That second write also fences the first:
    /// should that arrive late, its tag is out of date. After a second error, resolved in the same way, the request ends.
    pub(crate) async fn update<C: Change>(
        &self,
        mut held: Held<C::State>,
        change: &C,
        draw: &mut Draw,
    ) -> Result<(C::Verdict, Held<C::State>), Refused<C::Refusal>>
    where
        C::State: State,
    {
        let mut failures = 0;
        for _ in 0..MAX_CONFLICTS {
            let attempt = Attempt { now: self.clock.now(), follows_unknown_outcome: failures > 0 };
            let (state, is_new, verdict) =
                change.decide(held.state.take(), attempt).map_err(Refused::ByRule)?.into_parts();
            if !is_new {
                return Ok((verdict.open_stored(), Held { state: Some(state), ..held }));
            }
            let tag = Tag::from_bytes(self.random(draw)?);
            let delete_after = state.delete_after(&self.settings.limits).after(CLOCK_TOLERANCE);
            let record = Record { tag, delete_after, body: state.into_body() };
            match self.store.swap(&held.key, held.tag, &record).await {
                Ok(Swap::Stored) => {
                    let state = C::State::from_body(record.body).ok();
                    return Ok((verdict.open_stored(), Held { key: held.key, tag: Some(tag), state, now: held.now }));
                }
                Ok(Swap::Conflict) => {}
                Err(error) => {
                    let Unavailable = self.store_failed(&error);
                    failures += 1;
                }
            }
            held = self.load(held.key).await?;
            if held.tag == Some(tag) {
                return Ok((verdict.open_stored(), held));
            }
            if let Some(verdict) = held.state.as_ref().and_then(|state| change.found_in(state)) {
                return Ok((verdict, held));
            }
            if failures > 1 {
                return Err(Refused::Unavailable);
            }
        }
        Err(Refused::Unavailable)
    }

    /// Undoes what a request has stored before it failed, as far as that can be done now. What is lost is a guess or a send.
    pub(crate) async fn undo<C: Change<State = Authenticator>>(
        &self,
        key: RecordKey,
        held: Option<Held<Authenticator>>,
        change: &C,
        draw: &mut Draw,
    ) -> Option<C::Verdict> {
        let held = match held {
            Some(held) => held,
            None => self.load(key).await.ok()?,
        };
        self.update(held, change, draw).await.ok().map(|(verdict, _)| verdict)
    }

    /// Stores the first state of a key that is drawn at random, and so can't be there already unless we put it there.
    pub(crate) async fn insert<T: State + Clone>(
        &self,
        key: RecordKey,
        first: &T,
        draw: &mut Draw,
    ) -> Result<(), Unavailable> {
        let nothing = Held { key, tag: None, state: None, now: self.clock.now() };
        match self.update(nothing, &Insert(first), draw).await {
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

/// The first state of a key that nobody else knows: whatever is found there is ours.
struct Insert<'a, T>(&'a T);

impl<T: Clone> Change for Insert<'_, T> {
    type State = T;
    type Verdict = ();
    type Refusal = Infallible;

    fn decide(&self, _: Option<T>, _: Attempt) -> Result<Decision<T, ()>, Infallible> {
        Ok(Decision::new(self.0.clone(), ()))
    }

    fn found_in(&self, _stored: &T) -> Option<()> {
        Some(())
    }
}

/// A state that has a record of its own.
pub(crate) trait State: Sized {
    /// The state that a body holds, unless this version may not decide on it.
    fn from_body(body: RecordBody) -> Result<Self, Undecidable>;
    fn into_body(self) -> RecordBody;
    fn delete_after(&self, limits: &Limits) -> Timestamp;
}

impl State for Authenticator {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::Authenticator(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::Authenticator(self))
    }

    fn delete_after(&self, limits: &Limits) -> Timestamp {
        Authenticator::delete_after(self, limits)
    }
}

impl State for Session {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::Session(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::Session(self))
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        // A revoked session is kept for as long: a write of it that arrives late must not bring it back.
        self.expires_at()
    }
}

impl State for KeysInUse {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::KeysInUse(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::KeysInUse(self))
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        self.forgotten_at()
    }
}

impl<E> From<Unavailable> for Refused<E> {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Why nothing is decided on a stored record. It stays as it is.
#[derive(Debug)]
pub(crate) enum Undecidable {
    /// A record of another kind lies under the key: two secrets or issuers were mixed up.
    WrongKind,
    /// A later version wrote it.
    Later { format: NonZeroU32 },
    /// A later version wrote it, which has more kinds of records.
    UnknownKind,
}

impl Undecidable {
    fn of(body: &Body) -> Self {
        match body {
            Body::Later(later) => later.format().map_or(Self::UnknownKind, |format| Self::Later { format }),
            Body::Authenticator(_) | Body::Session(_) | Body::KeysInUse(_) => Self::WrongKind,
        }
    }
}

impl core::fmt::Display for Undecidable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::WrongKind => f.write_str("a stored record is of the wrong kind"),
            Self::Later { format } => {
                write!(f, "a stored record has format {format}; this version decides on format 1 alone")
            }
            Self::UnknownKind => f.write_str("a stored record is of a kind that this version does not know"),
        }
    }
}

impl core::error::Error for Undecidable {}

/// Each conflict is the progress of another request. Guesses and sends are bounded by what an address is allowed, and no
/// client refreshes one session so often at once; a store that answers with nothing else is not asked for ever.
const MAX_CONFLICTS: usize = 128;
