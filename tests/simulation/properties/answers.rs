//! Properties of answers: they are true, and no request is refused without a reason.

use super::address::{guesses, opened};
use super::theft::login;
use super::{Checked, DAY, SECOND};
use crate::acts::Act;
use crate::facts::{AFTER_THE_PAST, AddressView, History, SessionView, Told, View, What};
use crate::request::{Answer, Ask, Challenge};
use crate::world::{LOCKED, UNKNOWN};

/// 3: no token, otp_token or event is given out before its write is stored. The order is: the session of a login, the
/// spent challenge, the answer.
pub(super) fn what_is_said_is_stored(history: &History<'_>) -> Checked {
    for (request, place, answer) in history.answers() {
        let is_true = match answer {
            Answer::Sent(challenge) => history.stored_by(request).any(|change| {
                let stored = change.after.address().and_then(|address| address.challenge(&challenge.id));
                opened(history, change.place) && stored.is_some()
            }),
            Answer::LoggedIn(_) => {
                let begun = history.stored_by(request).find(|change| change.after.session().is_some());
                let spent = history.stored_by(request).find(|change| change.spent().next().is_some());
                let in_order = begun.zip(spent).is_some_and(|(begun, spent)| begun.place < spent.place);
                in_order && begun.is_some_and(|begun| history.before(&begun.key, place).is_some())
            }
            Answer::Refreshed(tokens) => {
                let key = history.key_of(request);
                let mut versions = key.iter().flat_map(|key| history.versions(key));
                let advanced =
                    |view: &View| view.session().is_some_and(|session| session.generation >= tokens.refresh.generation);
                versions.any(|(from, view)| from <= place && advanced(view))
            }
            _ => true,
        };
        if !is_true {
            return Err(format!("request {request} got {} without a commit", answer.name()));
        }
    }
    for (place, entry) in history.entries.iter().enumerate() {
        let own = || history.stored_by(entry.request).filter(|change| change.place < place);
        let is_true = match entry.what {
            What::Told(Told::Sent) => own().any(|change| opened(history, change.place)),
            What::Told(Told::Redeemed) => own().any(|change| change.spent().next().is_some()),
            What::Told(Told::ReuseDetected) => own()
                .any(|change| change.of_session().is_some_and(|(_, after)| after.revoked.as_deref() == Some("reuse"))),
            What::Told(Told::Revoked) => own().next().is_some(),
            _ => true,
        };
        if !is_true {
            return Err(format!("request {} told the observer what is not stored", entry.request));
        }
    }
    Ok(())
}

/// 4: a request does not deny what it has stored, and one failed call does not leave its outcome unknown.
pub(super) fn unknown_outcomes_are_resolved(history: &History<'_>) -> Checked {
    for (request, place, answer) in history.answers() {
        let has_spent = history.stored_by(request).any(|change| change.spent().next().is_some());
        let advances = |(before, after): (&SessionView, &SessionView)| after.generation > before.generation;
        let has_rotated =
            history.stored_by(request).any(|change| change.place < place && change.of_session().is_some_and(advances));
        let denied = match answer {
            Answer::WrongCode { .. } | Answer::UnknownOtpToken | Answer::NoUser | Answer::NotActive => has_spent,
            Answer::BadProof => has_spent || has_rotated,
            Answer::Unavailable => (has_spent || has_rotated) && history.mishaps_of(request) < 2,
            _ => false,
        };
        if denied {
            return Err(format!("request {request} got {} for what it has stored", answer.name()));
        }
    }
    Ok(())
}

/// A request in which nothing went wrong gets what it is entitled to, whatever goes wrong in others.
pub(super) fn nothing_good_is_refused(history: &History<'_>) -> Checked {
    for (request, place, answer) in history.answers() {
        let is_due = match answer {
            Answer::Unexpected(..) => false,
            _ if history.is_struck(request) || history.clock_was_set_back => true,
            Answer::Unavailable => false,
            Answer::Throttled { .. } => is_throttled(history, request),
            Answer::NotActive | Answer::NoUser => match &history.asks[request] {
                Ask::Guess { challenge, signs_up, .. } => match answer {
                    Answer::NotActive => challenge.phone == LOCKED,
                    _ => challenge.phone == UNKNOWN && !signs_up,
                },
                _ => false,
            },
            Answer::Refused | Answer::Inactive => session_is_refused(history, request, place),
            _ => true,
        };
        if !is_due {
            return Err(format!("request {request} got {}", answer.name()));
        }
    }
    for (request, challenge, right) in guesses(history) {
        let Some((place, answer)) = history.answer(request) else { continue };
        if history.is_struck(request) || history.clock_was_set_back {
            continue;
        }
        let found = history.loads(request).next_back();
        let found = found.map(|(place, key)| (history.entries[place].at, history.before(&key, place)));
        // None of the challenges with this code can be redeemed.
        let cannot_be_redeemed = |view: Option<&View>| {
            let sent = history.acts.iter().filter_map(Act::sent);
            let mut same = sent.filter(|sent| sent.phone == challenge.phone && sent.code == challenge.code);
            let address = view.and_then(View::address);
            same.all(|sent| {
                let view = address.and_then(|address| address.challenge(&sent.id));
                view.is_none_or(|view| {
                    let is_used_up = address.is_some_and(|address| address.guesses_of(&view.nonce) >= 5);
                    view.spent_by.is_some() || is_used_up || history.entries[place].at >= view.code_expires_at
                })
            })
        };
        let is_due = match (answer, found) {
            (Answer::UnknownOtpToken, None) => history.entries[place].at >= challenge.expires_at,
            (Answer::UnknownOtpToken, Some((at, view))) => {
                let device = history.asks[request].device().map(|device| device.id.as_str());
                is_gone(challenge, device, at, view.and_then(View::address)) || right && cannot_be_redeemed(view)
            }
            (Answer::WrongCode { .. }, Some((_, view))) if right => cannot_be_redeemed(view),
            _ => true,
        };
        if !is_due {
            return Err(format!("request {request} with a right code ({right}) got {}", answer.name()));
        }
    }
    Ok(())
}

fn is_gone(challenge: &Challenge, device: Option<&str>, at: u64, address: Option<&AddressView>) -> bool {
    let Some(address) = address else { return at >= challenge.expires_at };
    let (is_device, _, guesses) = address.budget_of(device, at);
    let of_day = guesses.iter().filter(|time| **time + DAY > at).count();
    let is_over = address.challenge(&challenge.id).is_none_or(|found| {
        found.spent_by.is_some() || at >= found.expires_at || address.guesses_of(&found.nonce) >= 5
    });
    is_over || !is_device && of_day >= 25
}

fn is_throttled(history: &History<'_>, request: usize) -> bool {
    let Some((place, key)) = history.loads(request).next_back() else { return false };
    let at = history.entries[place].at;
    let Some(address) = history.before(&key, place).and_then(View::address) else { return false };
    let device = history.asks[request].device().map(|device| device.id.as_str());
    let (is_device, sends, guesses) = address.budget_of(device, at);
    let within = |window| sends.iter().filter(|time| **time + window > at).count();
    let guesses = guesses.iter().filter(|time| **time + DAY > at).count();
    let most = if is_device { 10 } else { 50 };
    within(30 * SECOND) >= 1 || within(DAY) >= most || !is_device && guesses >= 25
}

/// Tells whether the state of its session is a reason to refuse a token.
fn session_is_refused(history: &History<'_>, request: usize, answered: usize) -> bool {
    let (expires_at, access, refresh) = match &history.asks[request] {
        Ask::Userinfo(token) | Ask::IntrospectAccess(token) => (token.expires_at, Some(token), None),
        Ask::Refresh(token) | Ask::IntrospectRefresh(token) => (token.expires_at, None, Some(token)),
        // A thief's.
        Ask::StealSession(_) | Ask::StealAccess(_) => return true,
        _ => return false,
    };
    let answered_at = history.entries[answered].at;
    // The directory says this, not a record.
    let login = history.asks[request].session().and_then(|session| login(history, session));
    let signed_out = |act: &Act| {
        let ends = |login: &Act| login.ask.phone() == act.ask.phone() && act.ended().at + 12_000 > login.began.at;
        matches!(act.ask, Ask::SignOutEverywhere { .. })
            && act.began.place < answered + AFTER_THE_PAST
            && login.is_some_and(ends)
    };
    if history.acts.iter().any(signed_out) {
        return true;
    }
    let Some((place, key)) = history.loads(request).next_back() else { return answered_at >= expires_at };
    let asked_at = history.loads(request).next().map_or(0, |(place, _)| history.entries[place].at);
    let is_over = |session: &SessionView| {
        session.revoked.is_some()
            || answered_at >= session.expires_at
            || access.is_some_and(|token| session.has_revoked(&token.id))
            || refresh.is_some_and(|token| session.is_superseded(token.generation, asked_at))
    };
    answered_at >= expires_at || history.before(&key, place).and_then(View::session).is_none_or(is_over)
}
