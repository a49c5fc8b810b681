//! One request in progress. It stores what the rules decide, and resolves unknown outcomes of the store.

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

/// One request in progress. It owns the random bytes and stores what the rules decide. It opens a verdict only after
/// the state of the verdict is stored. Unknown outcomes are resolved only here.
pub(crate) struct Turn<'a, S, D> {
    pub(crate) core: &'a Core<S, D>,
    random: RandomPool,
}

impl<'a, S: Store, D: Directory> Turn<'a, S, D> {
    pub(crate) fn new(core: &'a Core<S, D>) -> Self {
        Self { core, random: RandomPool::new() }
    }

    /// Returns random bytes for an identifier. Each byte is given once.
    pub(crate) fn random<const N: usize>(&mut self) -> Result<[u8; N], Unavailable> {
        self.random.take(&*self.core.entropy).map_err(|error| self.core.faulted(&error))
    }

    /// Loads the state under `key`.
    pub(crate) async fn load<T: State>(&self, key: RecordKey) -> Result<Loaded<T>, Unavailable> {
        record::load(self.core, key).await
    }

    /// Loads the record of an address.
    ///
    /// A record from the future is clamped to now before anything is decided on it. The clamped record is stored even
    /// if the request is then refused. Otherwise the same challenges would be alive again once the clock has caught up.
    pub(crate) async fn load_authenticator(&mut self, key: RecordKey) -> Result<Loaded<Authenticator>, Unavailable> {
        let loaded = self.load::<Authenticator>(key).await?;
        if !loaded.state.as_ref().is_some_and(|state| state.is_from_the_future(loaded.now)) {
            return Ok(loaded);
        }
        match self.commit(loaded, &ClampToNow).await {
            Ok(((), loaded)) => Ok(loaded),
            // Another request has already clamped the record.
            Err(Refused::ByRule(NothingToDo)) => self.load(key).await,
            Err(Refused::Unavailable) => Err(Unavailable),
        }
    }

    /// Stores what a change makes of the state, and opens the verdict. A decision that changes nothing is not stored.
    ///
    /// The clock is read for each decision, after its state was loaded. Otherwise, with a slow store, the writes of
    /// other requests would look as if the clock had been set back.
    ///
    /// On a conflict with another request, the state is loaded and decided on again. Each such conflict is the progress
    /// of another request, so the loop ends.
    ///
    /// On an error of the store, the outcome of the write is unknown. A conflict can also come from the write of this
    /// request, where a layer below has sent the write twice. In both cases the state is loaded once more:
    ///
    /// - The tag of this write, or the trace that the change looks for, shows that the change was applied, even if
    ///   other requests have written since. The verdict then follows from what is stored, since an earlier attempt can
    ///   have stored it.
    /// - Without such a trace, the decision is stored again. This second write also fences the first: if the first
    ///   arrives late, its tag is out of date.
    ///
    /// After a second error, which is resolved in the same way, the request ends.
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

    /// Undoes what a failed request has stored, as far as the store allows now. If the undo fails, a guess or a send is
    /// lost.
    pub(crate) async fn undo<C: Change>(
        &mut self,
        key: RecordKey,
        loaded: Option<Loaded<C::State>>,
        change: &C,
    ) -> Option<C::Verdict>
    where
        C::State: State,
    {
        let loaded = match loaded {
            Some(loaded) => loaded,
            None => self.load(key).await.ok()?,
        };
        self.commit(loaded, change).await.ok().map(|(verdict, _)| verdict)
    }

    /// Stores the first state under a random key. Nothing can be stored there yet, except by an earlier attempt of this
    /// request.
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

/// Inserts the first state under a key that only this request knows. A state that is found there was stored by this
/// request.
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

/// The most conflicts of one change. Each conflict is the progress of another request. The budget of an address bounds
/// its guesses and sends, and no client refreshes one session so often at once. A destination of the send guard has as
/// many writers as it has sends at once. With more than this number at one shard, some are answered with 503, and the
/// host needs more shards. The limit ends the loop where a store answers with nothing but conflicts.
const MAX_CONFLICTS: usize = 128;
