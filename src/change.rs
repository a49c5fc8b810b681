//! What a rule returns: the state to store, and a verdict that stays closed until that state is stored.

use crate::time::Timestamp;

/// A change of one record. It says what becomes of the state, and how to recognise afterwards that this was stored.
///
/// The two halves belong together. After an unknown outcome the verdict comes from what is stored, never from an
/// attempt whose state may not be stored.
pub(crate) trait Change {
    type State;
    type Verdict;
    type Refusal;

    /// Decides on the next state, or refuses.
    fn decide(
        &self,
        state: Option<Self::State>,
        attempt: Attempt,
    ) -> Result<Decision<Self::State, Self::Verdict>, Self::Refusal>;

    /// Returns the verdict, if the stored state shows that this change was applied.
    fn found_in(&self, stored: &Self::State) -> Option<Self::Verdict>;
}

/// One attempt of a request to decide and to store.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// The clock reading for this decision.
    pub(crate) now: Timestamp,
    /// Whether an earlier attempt failed and left no trace in the state that is now decided on.
    pub(crate) follows_unknown_outcome: bool,
}

/// A decision of a rule that is not stored yet.
///
/// The verdict (a reserved guess, a spent code) is true only once its state is in the store, so no code can read it
/// before.
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

    /// Makes a verdict on the state as it was loaded. Nothing has to be stored for it.
    pub(crate) fn as_it_is(loaded: S, verdict: V) -> Self {
        Self { state: loaded, is_new: false, verdict }
    }

    /// Returns the state, whether it must be stored, and the closed verdict.
    pub(crate) fn into_parts(self) -> (S, bool, Unstored<V>) {
        (self.state, self.is_new, Unstored(self.verdict))
    }
}

/// A verdict whose state may not be stored yet.
#[must_use]
pub(crate) struct Unstored<V>(V);

impl<V> Unstored<V> {
    /// Opens the verdict. Only `flow/commit.rs` can call this, after the store answered that the state is in place.
    /// `tests/sources/layers.rs` refuses any other caller.
    pub(crate) fn open_stored(self) -> V {
        self.0
    }
}
