//! One request under way.

use core::convert::Infallible;

use crate::change::{Attempt, Change, Decision};
use crate::directory::Directory;
use crate::flow::core::Core;
use crate::flow::random_pool::RandomPool;
use crate::flow::record::{self, Loaded, State};
use crate::id::{RecordKey, Tag};
use crate::otp::authenticator::{Authenticator, ClampToNow, NothingToDo};
use crate::store::{Record, Store, Swap};
use crate::time::CLOCK_TOLERANCE;
use crate::wire::error::Unavailable;

/// One request under way: it owns the random bytes, and stores what the rules decide. A verdict is opened only after its
/// state is stored. Unknown outcomes are resolved here and nowhere else.
pub(crate) struct Turn<'a, S, D> {
    pub(crate) core: &'a Core<S, D>,
    random: RandomPool,
}

impl<'a, S: Store, D: Directory> Turn<'a, S, D> {
    pub(crate) fn new(core: &'a Core<S, D>) -> Self {
        Self { core, random: RandomPool::new() }
    }

    /// Random bytes for an identifier; each is given once.
    pub(crate) fn random<const N: usize>(&mut self) -> Result<[u8; N], Unavailable> {
        self.random.take(&*self.core.entropy).map_err(|error| self.core.faulted(&error))
    }

    /// Loads the state that is kept under `key`.
    pub(crate) async fn load<T: State>(&self, key: RecordKey) -> Result<Loaded<T>, Unavailable> {
        record::load(self.core, key).await
    }

    /// Loads the record of an address.
    ///
    /// A record from the future is put right before anything is decided on it, and this is stored even if the request
    /// is then refused: else a clock that was set back would find the same challenges alive when it has caught up.
    pub(crate) async fn load_authenticator(&mut self, key: RecordKey) -> Result<Loaded<Authenticator>, Unavailable> {
        let loaded = self.load::<Authenticator>(key).await?;
        if !loaded.state.as_ref().is_some_and(|state| state.is_from_the_future(loaded.now)) {
            return Ok(loaded);
        }
        match self.commit(loaded, &ClampToNow).await {
            Ok(((), loaded)) => Ok(loaded),
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
    pub(crate) async fn commit<C: Change>(
        &mut self,
        mut loaded: Loaded<C::State>,
        change: &C,
    ) -> Result<(C::Verdict, Loaded<C::State>), Refused<C::Refusal>>
    where
        C::State: State,
    {
        let mut failures = 0;
        for _ in 0..MAX_CONFLICTS {
            let attempt = Attempt { now: self.core.clock.now(), follows_unknown_outcome: failures > 0 };
            let (state, is_new, verdict) =
                change.decide(loaded.state.take(), attempt).map_err(Refused::ByRule)?.into_parts();
            if !is_new {
                return Ok((verdict.open_stored(), Loaded { state: Some(state), ..loaded }));
            }
            let tag = Tag::from_bytes(self.random()?);
            let delete_after = state.delete_after(&self.core.limits).after(CLOCK_TOLERANCE);
            let record = Record { tag, delete_after, body: state.into_body() };
            match self.core.store.swap(&loaded.key, loaded.tag, &record).await {
                Ok(Swap::Stored) => {
                    let state = C::State::from_body(record.body).ok();
                    return Ok((
                        verdict.open_stored(),
                        Loaded { key: loaded.key, tag: Some(tag), state, now: loaded.now },
                    ));
                }
                Ok(Swap::Conflict) => {}
                Err(error) => {
                    let Unavailable = self.core.store_failed(&error);
                    failures += 1;
                }
            }
            loaded = self.load(loaded.key).await?;
            if loaded.tag == Some(tag) {
                return Ok((verdict.open_stored(), loaded));
            }
            if let Some(verdict) = loaded.state.as_ref().and_then(|state| change.found_in(state)) {
                return Ok((verdict, loaded));
            }
            if failures > 1 {
                return Err(Refused::Unavailable);
            }
        }
        Err(Refused::Unavailable)
    }

    /// Undoes what a request has stored before it failed, as far as that can be done now. What is lost is a guess or a send.
    pub(crate) async fn undo<C: Change<State = Authenticator>>(
        &mut self,
        key: RecordKey,
        loaded: Option<Loaded<Authenticator>>,
        change: &C,
    ) -> Option<C::Verdict> {
        let loaded = match loaded {
            Some(loaded) => loaded,
            None => self.load(key).await.ok()?,
        };
        self.commit(loaded, change).await.ok().map(|(verdict, _)| verdict)
    }

    /// Stores the first state of a key that is drawn at random, and so can't be there already unless we put it there.
    pub(crate) async fn insert<T: State + Clone>(&mut self, key: RecordKey, first: &T) -> Result<(), Unavailable> {
        let nothing = Loaded { key, tag: None, state: None, now: self.core.clock.now() };
        match self.commit(nothing, &Insert(first)).await {
            Ok(((), _)) => Ok(()),
            Err(Refused::ByRule(never)) => match never {},
            Err(Refused::Unavailable) => Err(Unavailable),
        }
    }
}

/// Why nothing was stored.
pub(crate) enum Refused<E> {
    ByRule(E),
    Unavailable,
}

impl<E> From<Unavailable> for Refused<E> {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
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

/// Each conflict is the progress of another request. Guesses and sends are bounded by what an address is allowed, and no
/// client refreshes one session so often at once; a store that answers with nothing else is not asked for ever.
const MAX_CONFLICTS: usize = 128;
