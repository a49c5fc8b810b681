//! Promises on keys of clients: what a proof and an assertion are good for, and what a thief without the key can do.

use std::collections::HashMap;

use super::Checked;
use crate::acts::Act;
use crate::facts::{History, OUTSIDE, Told};
use crate::request::{Answer, Ask};

/// A proof is good once for each code that was sent (`DpopSupport::On`): it pays for one guess, right or wrong.
pub(super) fn a_proof_pays_for_one_guess(history: &History<'_>) -> Checked {
    let mut paid: HashMap<(&str, &str), &Act> = HashMap::new();
    for act in &history.acts {
        let (Some((challenge, _)), Some(proof)) = (act.guess(), act.ask.proof()) else { continue };
        let is_compared = act.was_told(Told::WrongCode).is_some()
            || act.has_redeemed()
            || matches!(act.answer(), Some(Answer::NoUser | Answer::NotActive));
        if let Some(other) = is_compared.then(|| paid.insert((&challenge.id, &proof.id), act)).flatten() {
            return Err(format!("{} and {} were compared for one proof", other.name(), act.name()));
        }
    }
    Ok(())
}

/// A proof is good once for each session (`DpopSupport::On`), and the proof of a login is also used. A repetition
/// within the retry window advances nothing: it gets the successor that there is, whatever its proof.
pub(super) fn a_proof_advances_a_session_once(history: &History<'_>) -> Checked {
    let mut advanced: HashMap<(&str, &str), u32> = HashMap::new();
    // Before the history, requests came one after the other.
    for act in history.acts.iter().filter(|act| act.number == OUTSIDE) {
        let (Some(tokens), Some(proof)) = (act.tokens(), act.ask.proof()) else { continue };
        advanced.insert((&tokens.refresh.session, &proof.id), tokens.refresh.generation);
    }
    for change in history.changes() {
        let Some(Ask::Refresh(token)) = history.asks.get(change.request) else { continue };
        let (Some((before, after)), Some(proof)) = (change.of_session(), &token.proof) else { continue };
        if after.generation > before.generation
            && advanced.insert((&token.session, &proof.id), after.generation).is_some_and(|it| it != after.generation)
        {
            return Err(format!("request {} advanced a session with a proof that was used", change.request));
        }
    }
    Ok(())
}

/// With `DpopSupport::Strict`, a proof is good once at userinfo.
pub(super) fn a_proof_serves_userinfo_once(history: &History<'_>) -> Checked {
    let mut served: HashMap<&str, &Act> = HashMap::new();
    for act in history.acts.iter().filter(|act| matches!(act.answer(), Some(Answer::Claims))) {
        let Some(proof) = act.ask.proof() else { continue };
        if let Some(other) = served.insert(&proof.id, act) {
            return Err(format!("{} and {} were served for one proof", other.name(), act.name()));
        }
    }
    Ok(())
}

/// A thief without the key gets nothing for a bound code or token, and changes nothing (SECURITY). A bound access token
/// is never accepted as a bearer token.
pub(super) fn nothing_bound_is_worth_anything_without_its_key(history: &History<'_>) -> Checked {
    for act in &history.acts {
        if !matches!(act.ask, Ask::Steal(_) | Ask::StealSession(_) | Ask::StealAccess(_)) {
            continue;
        }
        let got_nothing = match act.answer() {
            None | Some(Answer::Unavailable | Answer::BadProof | Answer::UnknownOtpToken) => true,
            Some(Answer::Refused) => !matches!(act.ask, Ask::Steal(_)),
            Some(_) => false,
        };
        if !got_nothing {
            return Err(format!("{} got {}", act.name(), act.answer().map(Answer::name).unwrap_or_default()));
        }
        if act.number != OUTSIDE && history.stored_by(act.number).next().is_some() {
            return Err(format!("{} has changed a record", act.name()));
        }
    }
    Ok(())
}

/// The honest client is not locked out by what thieves do, nor by its own proofs that come in another order: a proof
/// that was not used yet and is in time is accepted (SECURITY). A session remembers eight proofs.
pub(super) fn a_fresh_proof_is_accepted(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in history.acts.iter().filter(|act| matches!(act.answer(), Some(Answer::BadProof))) {
        let Some(proof) = act.ask.proof().filter(|_| is_honest(&act.ask)) else { continue };
        let in_time = act.ended().at + history.rules.spread() <= proof.issued_at + 60_000;
        let was_used = history.acts.iter().any(|other| {
            let is_same = other.ask.proof().is_some_and(|other| other.id == proof.id);
            is_same && is_honest(&other.ask) && other.began != act.began && other.began < act.ended()
        });
        let refreshes = history.acts.iter().filter(|other| {
            let is_same = act.session().is_some() && other.session() == act.session();
            is_same && other.ask.proof().is_some_and(|other| other.issued_at >= proof.issued_at)
        });
        if in_time && !was_used && act.mishaps == 0 && refreshes.count() <= 8 {
            return Err(format!("{} had a fresh proof, and was refused", act.name()));
        }
    }
    Ok(())
}

/// An assertion authenticates one request (SECURITY, thief of an assertion), and only the client can make one. A thief
/// who knows its `jti` does not use it up.
pub(super) fn an_assertion_authenticates_once(history: &History<'_>) -> Checked {
    let mut used: HashMap<&str, &Act> = HashMap::new();
    for act in &history.acts {
        let Ask::Assert(assertion) = &act.ask else { continue };
        let same = |other: &&Act| {
            matches!(&other.ask, Ask::Assert(other) if other.is_genuine && other.id == assertion.id)
                && other.began != act.began
                && other.began < act.ended()
        };
        match act.answer() {
            Some(Answer::Authenticated) if !assertion.is_genuine => {
                return Err(format!("{} authenticated with another key", act.name()));
            }
            Some(Answer::Authenticated) => {
                if let Some(other) = used.insert(&assertion.id, act) {
                    return Err(format!("{} and {} authenticated with one assertion", other.name(), act.name()));
                }
            }
            Some(Answer::NotAuthenticated) if assertion.is_genuine && act.mishaps == 0 => {
                let in_time = act.ended().at < assertion.expires_at && !history.clock_was_set_back;
                if in_time && !history.acts.iter().any(|other| same(&other)) {
                    return Err(format!("{} had a good assertion, and was refused", act.name()));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_honest(ask: &Ask) -> bool {
    !matches!(ask, Ask::Steal(_) | Ask::StealSession(_) | Ask::StealAccess(_))
}
