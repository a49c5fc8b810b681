//! What is unavailable, and what the host is told of it.

use super::Checked;
use crate::facts::{History, Told};
use crate::request::Answer;

/// "Store or directory failed" (CONTRACT 2, row 12), "the store is down" (CONTRACT 1): a 503 is for that, and for nothing else. "Raise an
/// alarm … at every `StoreFailed`, `DirectoryFailed` and `Faulted`" (SECURITY): for each 503 there is one.
///
/// A refresh that others overtook again and again may be told to come again without it.
pub(super) fn a_503_is_for_what_is_down(history: &History<'_>) -> Checked {
    for act in &history.acts {
        let was_overtaken = act.refresh().is_some() && act.met_a_conflict;
        if !matches!(act.answer(), Some(Answer::Unavailable)) || was_overtaken {
            continue;
        }
        if act.mishaps == 0 {
            return Err(format!("{} got a 503 while nothing was down", act.name()));
        }
        if act.was_told(Told::Failed).is_none() {
            return Err(format!("{} got a 503, and nobody was told", act.name()));
        }
    }
    Ok(())
}

/// "Where a row names a literal … the literal is the contract" (CONTRACT): no answer is another one.
pub(super) fn answers_are_those_of_the_contract(history: &History<'_>) -> Checked {
    match history.acts.iter().find(|act| matches!(act.answer(), Some(Answer::Unexpected(..)))) {
        Some(act) => Err(format!("{} got {}", act.name(), act.answer().map(Answer::name).unwrap_or_default())),
        None => Ok(()),
    }
}

/// "The public keys that tokens can be verified with" (rustdoc of `key_set`): every token that is released can be.
pub(super) fn released_tokens_verify(history: &History<'_>) -> Checked {
    match history.acts.iter().find(|act| act.is_unverifiable) {
        Some(act) => Err(format!("{} got tokens that nobody can verify", act.name())),
        None => Ok(()),
    }
}
