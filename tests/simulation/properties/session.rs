//! Properties of sessions and their tokens.

use std::collections::HashMap;

use super::{Checked, SECOND};
use crate::facts::{History, SessionView, Told, View, What};
use crate::request::{Answer, Ask, RefreshToken};

/// 9: every request that presents one generation gets the same successor, inside a window that is fixed when the token
/// is superseded.
pub(super) fn a_refresh_token_has_one_successor(history: &History<'_>) -> Checked {
    let mut given: HashMap<(&str, u32), &str> = HashMap::new();
    for (request, _, answer) in history.answers() {
        let tokens = match answer {
            Answer::LoggedIn(tokens) | Answer::Refreshed(tokens) => tokens,
            _ => continue,
        };
        let RefreshToken { text, session, generation, .. } = &*tokens.refresh;
        if given.entry((session, *generation)).or_insert(text) != text {
            return Err(format!("request {request} got another token of generation {generation}"));
        }
        let Ask::Refresh(presented) = &history.asks[request] else { continue };
        if *generation != presented.generation + 1 {
            return Err(format!("request {request} got generation {generation}"));
        }
        if is_too_late(history, request, presented) {
            return Err(format!("request {request} got a successor when the window was over"));
        }
    }
    for change in history.changes() {
        let Some((before, after)) = change.of_session() else { continue };
        if after.generation == before.generation {
            let kept = after.retry_until == before.retry_until;
            if !kept && after.revoked.is_none() && !history.clock_was_set_back {
                return Err(format!("request {} moved the window", change.request));
            }
            continue;
        }
        let presented = refreshes(history, change.request).map(|token| token.generation);
        let fixed = after.retry_until.is_some_and(|until| until <= change.at + history.rules.retry_window);
        let advanced = after.generation == before.generation + 1 && presented == Some(before.generation);
        if !advanced || !(fixed || history.clock_was_set_back) {
            return Err(format!("request {} rotated {presented:?} to {}", change.request, after.generation));
        }
    }
    Ok(())
}

/// 9: a superseded token whose retry window is over gets nothing and ends the session. The observer is told, also where
/// the store fails and the request does not know what it has stored.
pub(super) fn theft_is_detected_by_the_next_use(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for request in 0..history.asks.len() {
        let Some(token) = refreshes(history, request) else { continue };
        let Some((place, key)) = history.loads(request).next() else { continue };
        let Some((answered, answer)) = history.answer(request) else { continue };
        let asked_at = history.entries[place].at;
        let Some(found) = history.before(&key, place).and_then(View::session) else { continue };
        let is_over = found.revoked.is_some() || asked_at >= found.expires_at;
        if is_over || history.read_what_was_stale(request) || !found.is_superseded(token.generation, asked_at) {
            continue;
        }
        let left = history.before(&key, answered).and_then(View::session);
        let has_ended =
            left.is_none_or(|left| left.revoked.is_some() || history.entries[answered].at >= left.expires_at);
        let failures = history.of(request).filter(|(_, entry)| matches!(entry.what, What::Told(Told::Failed))).count();
        // Otherwise the session could not be read at all.
        let has_written = failures > 1 || history.loads(request).count() > 1;
        match answer {
            Answer::Unavailable if has_written && history.mishaps_of(request) < 2 => {
                return Err(format!("request {request} replayed a token, and one failure hid it"));
            }
            Answer::Unavailable if has_written && !is_reported(history, request) => {
                return Err(format!("request {request} replayed a token, and nobody was told"));
            }
            Answer::Unavailable => {}
            Answer::Refused if has_ended => {}
            other => return Err(format!("request {request} replayed a token, and got {}", other.name())),
        }
    }
    for change in history.changes() {
        let ends = change.of_session().is_some_and(|(before, after)| is_newly(before, after, "reuse"));
        let is_answered = history.answer(change.request).is_some();
        if ends && is_answered && !is_reported(history, change.request) {
            return Err(format!("request {} ended a session, and nobody was told", change.request));
        }
    }
    Ok(())
}

/// 3: of a login, nothing is stored before its tokens are signed. A signer that fails leaves no session behind.
pub(super) fn a_session_is_stored_after_its_tokens_are_signed(history: &History<'_>) -> Checked {
    for change in history.changes().filter(|change| change.before.is_none() && change.after.session().is_some()) {
        let mut later = history.of(change.request).filter(|(place, _)| *place > change.place);
        if later.any(|(_, entry)| matches!(entry.what, What::Signed)) {
            return Err(format!("request {} stored a session, and then asked the signer", change.request));
        }
    }
    Ok(())
}

/// 9: only a sign-out or a replay ends a session. A request that superseded the token by its own write replays nothing.
pub(super) fn nothing_is_revoked_without_cause(history: &History<'_>) -> Checked {
    for change in history.changes() {
        let Some((before, after)) = change.of_session() else { continue };
        if before.revoked.is_some() || after.revoked.is_none() {
            continue;
        }
        let request = change.request;
        let is_due = match (after.revoked.as_deref(), &history.asks[request]) {
            (Some("signed_out"), Ask::RevokeSession(_)) | (Some("host"), Ask::EndSession(_)) => true,
            (Some("reuse"), Ask::Refresh(token)) => {
                let asked_at = history.loads(request).next().map(|(place, _)| history.entries[place].at);
                let rotated = history.stored_by(request).any(|own| {
                    own.place < change.place
                        && own.of_session().is_some_and(|(old, new)| old.generation < new.generation)
                });
                let superseded = asked_at.is_some_and(|at| before.is_superseded(token.generation, at));
                // The age of the rotation is then unknown.
                let unknown = history.clock_was_set_back && token.generation < before.generation;
                !rotated && (superseded || unknown)
            }
            _ => false,
        };
        if !is_due {
            return Err(format!("request {request} ended a session: {:?}", after.revoked));
        }
    }
    Ok(())
}

/// 2: no write brings back a session or an access token, and no write advances a session that is over.
pub(super) fn what_was_revoked_stays_so(history: &History<'_>) -> Checked {
    let ids = history.asks.iter().filter_map(|ask| match ask {
        Ask::RevokeAccess(token) => Some(token.id.as_str()),
        _ => None,
    });
    let ids: Vec<&str> = ids.collect();
    for change in history.changes() {
        let Some((before, after)) = change.of_session() else { continue };
        let revived = before.revoked.is_some() && (after.revoked.is_none() || after.generation != before.generation);
        let came_back =
            after.revoked.is_none() && ids.iter().any(|id| before.has_revoked(id) && !after.has_revoked(id));
        if revived || came_back || after.generation < before.generation {
            return Err(format!("request {} brought back what was over", change.request));
        }
    }
    Ok(())
}

/// No token is good once it is revoked, or its session or its time is over.
pub(super) fn nothing_is_valid_after_its_end(history: &History<'_>) -> Checked {
    for (request, _, answer) in history.answers().filter(|(_, _, answer)| answer.is_positive()) {
        let rotated = history.stored_by(request).next().is_some();
        let (Some((place, key)), false) = (history.loads(request).next_back(), rotated) else { continue };
        if history.read_what_was_stale(request) {
            continue;
        }
        let at = history.entries[place].at;
        let Some(session) = history.before(&key, place).and_then(View::session) else {
            return Err(format!("request {request}: {} without a session", answer.name()));
        };
        let token_is_over = match &history.asks[request] {
            Ask::Userinfo(token) | Ask::IntrospectAccess(token) => {
                session.has_revoked(&token.id) || history.began(request) >= token.expires_at
            }
            Ask::Refresh(token) | Ask::IntrospectRefresh(token) => {
                let asked_at = history.loads(request).next().map_or(at, |(place, _)| history.entries[place].at);
                // The age of a rotation is unknown if the clock was set back after it.
                let unknown = session.used_at > at + 5 * SECOND && token.generation < session.generation;
                let superseded = unknown || session.is_superseded(token.generation, asked_at);
                superseded || history.began(request) >= token.expires_at
            }
            _ => false,
        };
        if token_is_over || session.revoked.is_some() || at >= session.expires_at {
            return Err(format!("request {request}: {} after the end", answer.name()));
        }
    }
    Ok(())
}

/// 3: a sign-out that was answered is stored.
pub(super) fn a_revocation_that_is_answered_is_stored(history: &History<'_>) -> Checked {
    for (request, place, answer) in history.answers() {
        if !matches!(answer, Answer::Done) || history.read_what_was_stale(request) {
            continue;
        }
        let at = history.entries[place].at;
        let key = history.key_of(request);
        let session = key.and_then(|key| history.before(&key, place)).and_then(View::session);
        let is_over = session.is_none_or(|session| session.revoked.is_some() || at >= session.expires_at);
        let is_done = match &history.asks[request] {
            Ask::EndSession(_) => is_over,
            Ask::RevokeSession(token) => is_over && (key.is_some() || at >= token.expires_at),
            Ask::RevokeAccess(token) => {
                let listed = session.is_some_and(|session| session.has_revoked(&token.id));
                at >= token.expires_at || key.is_some() && (is_over || listed)
            }
            _ => true,
        };
        if !is_done {
            return Err(format!("request {request} was told of a revocation that is not stored"));
        }
    }
    Ok(())
}

/// Tells whether a request that did not rotate itself came when the successor was no longer given.
fn is_too_late(history: &History<'_>, request: usize, presented: &RefreshToken) -> bool {
    let rotated = history.stored_by(request).next().is_some();
    let stale = history.read_what_was_stale(request);
    let Some((place, key)) = history.loads(request).next() else { return false };
    let mut versions = history.versions(&key).filter_map(|(_, view)| view.session());
    let superseding = versions.find(|session| session.generation == presented.generation + 1);
    let over = superseding.and_then(|session| session.retry_until);
    !rotated && !stale && !history.clock_was_set_back && over.is_some_and(|over| history.entries[place].at >= over)
}

/// Tells whether the observer was told of a reuse.
fn is_reported(history: &History<'_>, request: usize) -> bool {
    let told = |what: &What| matches!(what, What::Told(Told::ReuseDetected | Told::ReuseUnresolved));
    history.of(request).any(|(_, entry)| told(&entry.what))
}

fn refreshes<'h>(history: &'h History<'_>, request: usize) -> Option<&'h RefreshToken> {
    match history.asks.get(request) {
        Some(Ask::Refresh(token)) => Some(token),
        _ => None,
    }
}

fn is_newly(before: &SessionView, after: &SessionView, reason: &str) -> bool {
    before.revoked.is_none() && after.revoked.as_deref() == Some(reason)
}
