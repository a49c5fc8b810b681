//! What a rule returns: the state to store, and a verdict that stays closed until that state is stored.

use crate::time::Timestamp;

/// One change of one record: what it makes of the state, and how it recognises its own work afterwards.
///
/// The two halves belong together. After an unknown outcome the verdict comes from what is stored, never from an attempt
/// that may not have been.
pub(crate) trait Change {
    type State;
    type Verdict;
    type Refusal;

    /// Decides what becomes of the state.
    fn decide(
        &self,
        state: Option<Self::State>,
        attempt: Attempt,
    ) -> Result<Decision<Self::State, Self::Verdict>, Self::Refusal>;

    /// The verdict, if what is stored says that this change was applied.
    fn found_in(&self, stored: &Self::State) -> Option<Self::Verdict>;
}

/// One attempt of a request to decide and to store.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// The clock, read for this decision.
    pub(crate) now: Timestamp,
    /// Whether an earlier attempt failed, without a trace of it in the state that is decided on now.
    pub(crate) follows_unknown_outcome: bool,
}

/// A decision of a rule that has not been stored yet.
///
/// The verdict (a reserved guess, a spent code) is true only once its state is in the store, so nothing can read it before.
#[must_use]
pub(crate) struct Decision<S, V> {
    state: S,
    is_new: bool,
    verdict: V,
}

impl<S, V> Decision<S, V> {
    pub(crate) fn new(next: S, verdict: V) -> Self {
        Self { state: next, is_new: true, verdict }
    }

    /// A verdict that is true of the state as it was loaded, so that nothing has to be stored.
    pub(crate) fn as_it_is(loaded: S, verdict: V) -> Self {
        Self { state: loaded, is_new: false, verdict }
    }

    /// The state, whether it has to be stored, and the verdict under seal.
    pub(crate) fn into_parts(self) -> (S, bool, Unstored<V>) {
        (self.state, self.is_new, Unstored(self.verdict))
    }
}

/// A verdict whose state is not known to be stored.
#[must_use]
pub(crate) struct Unstored<V>(V);

impl<V> Unstored<V> {
    /// Opens the verdict. Only `flow/turn.rs` may call this, after the store answered that the state is in place;
    /// `tests/layers.rs` refuses any other caller.
    pub(crate) fn open_stored(self) -> V {
        self.0
    }
}
