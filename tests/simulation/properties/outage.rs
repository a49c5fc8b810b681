//! Promises on outages: when a request is answered with 503, and what the host is told.

use super::Checked;
use crate::facts::{History, Told};
use crate::request::Answer;

/// A part of the server failed (`docs/wire.md`): a 503 is only for this. A host raises an alarm at every `StoreFailed`,
/// `DirectoryFailed` and `Faulted` (SECURITY): there is one for each 503.
///
/// A refresh that others overtake again and again can get a 503 without such an event.
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

/// The literals of `docs/wire.md` are the contract: there is no other answer.
pub(super) fn answers_are_those_of_the_contract(history: &History<'_>) -> Checked {
    match history.acts.iter().find(|act| matches!(act.answer(), Some(Answer::Unexpected(..)))) {
        Some(act) => Err(format!("{} got {}", act.name(), act.answer().map(Answer::name).unwrap_or_default())),
        None => Ok(()),
    }
}

/// The key set has the public keys that tokens can be verified with (rustdoc of `key_set`): every released token can be
/// verified.
pub(super) fn released_tokens_verify(history: &History<'_>) -> Checked {
    match history.acts.iter().find(|act| act.is_unverifiable) {
        Some(act) => Err(format!("{} got tokens that nobody can verify", act.name())),
        None => Ok(()),
    }
}
