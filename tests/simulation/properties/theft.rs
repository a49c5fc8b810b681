//! Promises on refresh tokens, to clients and users.

use std::collections::HashMap;

use super::Checked;
use crate::acts::{Act, Moment};
use crate::facts::{History, Told};
use crate::request::{Answer, Ask, RefreshToken};

/// A superseded token that its client presents after the retry window, however old, ends the session and is reported,
/// for as long as the session lives (README, guarantee 7). The session is revoked with all its tokens (rustdoc of
/// `Event::ReuseDetected`).
pub(super) fn theft_is_loud(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in &history.acts {
        let Some(token) = act.refresh() else { continue };
        let (Some((ended, answer)), false) = (&act.answered, act.read_stale) else { continue };
        if matches!(answer, Answer::Unavailable | Answer::NotActive) || !is_superseded(history, token, act) {
            continue;
        }
        if is_lost_by_a_leak(history, token) || !is_before_the_end(history, token, *ended) {
            continue;
        }
        if matches!(answer, Answer::Refreshed(_)) {
            return Err(format!("{} got tokens for what was superseded", act.name()));
        }
        let of_session = |other: &&Act| other.session() == Some(&token.session);
        let goes_on =
            history.acts.iter().filter(of_session).find(|other| {
                other.began > *ended && !other.read_stale && other.answer().is_some_and(Answer::is_positive)
            });
        if let Some(other) = goes_on {
            return Err(format!("{} presented what was superseded; {} goes on", act.name(), other.name()));
        }
        if act.mishaps == 0 && was_alive(history, token, act) {
            let is_told = |other: &Act| other.was_told(Told::ReuseDetected).is_some_and(|told| told < *ended);
            if !history.acts.iter().filter(of_session).any(is_told) {
                return Err(format!("{} presented what was superseded; nobody was told", act.name()));
            }
        }
    }
    Ok(())
}

/// The token was stolen, either by this caller or from this caller (rustdoc of `Event::ReuseDetected`). A request whose
/// token was good when it was loaded is no theft, whatever overtakes it.
pub(super) fn an_overtaken_refresh_is_no_theft(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    let spread = history.rules.spread();
    for act in &history.acts {
        let (Some(token), Some(told)) = (act.refresh(), act.was_told(Told::ReuseDetected)) else { continue };
        if act.read_stale {
            continue;
        }
        let Some((loaded_at, session)) = history.session_at_load(act).filter(|(at, _)| *at <= told.at) else {
            continue;
        };
        let is_in_time = loaded_at + 2 * spread < session.used_at + history.rules.shortest_retry_window;
        let was_good = session.generation == token.generation
            || session.generation == token.generation + 1 && session.retry_until.is_some() && is_in_time;
        if was_good && session.revoked.is_none() {
            return Err(format!("{} began with a good token, and was taken for a thief's", act.name()));
        }
    }
    Ok(())
}

/// The superseded token gets the same successor for the length of the retry window, counted from its first use. The
/// window ends early when the successor is used (rustdoc of `RefreshPolicy`). With a window of zero, one answer gets
/// through (SECURITY).
///
/// At a host whose clock is behind, the window ends later by as much as this clock is behind the others, and no more.
pub(super) fn a_retry_window_ends(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    let answered = |act: &&Act| act.refresh().is_some() && !act.read_stale;
    let mut first: HashMap<(&str, u32), &Act> = HashMap::new();
    let mut by_end: Vec<&Act> = history.acts.iter().filter(answered).collect();
    by_end.retain(|act| matches!(act.answer(), Some(Answer::Refreshed(_))));
    by_end.sort_by_key(|act| act.ended());
    for act in by_end {
        let Some(token) = act.refresh() else { continue };
        let before = *first.entry((&token.session, token.generation)).or_insert(act);
        if before.began == act.began {
            continue;
        }
        let window = history.rules.window_at(before.began.at);
        if window == 0 {
            return Err(format!("{} and {} both got through a window of zero", before.name(), act.name()));
        }
        if act.began.at >= before.ended().at + window + history.rules.spread() {
            return Err(format!("{} got a successor when the window was over", act.name()));
        }
        let of_successor = |other: &&Act| {
            let used = other.refresh().is_some_and(|used| used.generation == token.generation + 1);
            used && other.session() == Some(&token.session) && matches!(other.answer(), Some(Answer::Refreshed(_)))
        };
        if let Some(other) = history.acts.iter().filter(of_successor).find(|other| other.ended() < act.began) {
            return Err(format!("{} got a successor that {} had used", act.name(), other.name()));
        }
    }
    Ok(())
}

/// However many refreshes run at once with one token, they get one successor (README, guarantee 7), at whichever hosts
/// and under whichever sealing secrets.
pub(super) fn all_get_one_successor(history: &History<'_>) -> Checked {
    let mut given: HashMap<(&str, u32), (&str, &Act)> = HashMap::new();
    for act in &history.acts {
        let Some(tokens) = act.tokens() else { continue };
        let RefreshToken { text, session, generation, .. } = &*tokens.refresh;
        let (other, first) = *given.entry((session, *generation)).or_insert((text, act));
        if other != text {
            return Err(format!("{} and {} got two tokens of generation {generation}", first.name(), act.name()));
        }
    }
    Ok(())
}

/// A session ends after 14 days without a refresh, and after 30 days in any case (README), and not before. The client
/// with its newest token can refresh, whatever a host changes in documented steps.
pub(super) fn a_current_token_refreshes(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    let spread = history.rules.spread();
    for act in &history.acts {
        let Some(token) = act.refresh() else { continue };
        if act.mishaps > 0 || !matches!(act.answer(), Some(Answer::Refused | Answer::Inactive | Answer::NotActive)) {
            continue;
        }
        let Some(source) = releases(history, token).next() else { continue };
        let in_time = act.ended().at + spread < source.began.at + history.rules.idle;
        let is_due = in_time && is_before_the_end(history, token, act.ended()) && !is_lost_by_a_leak(history, token);
        // Other requests that may have used the token or ended the session.
        let meddles = |other: &&Act| match &other.ask {
            Ask::Refresh(used) => {
                used.session == token.session && used.generation >= token.generation && other.began != act.began
            }
            Ask::SignOutEverywhere { phone, .. } => phone_of(history, &token.session) == Some(*phone),
            Ask::RevokeSession(_) | Ask::EndSession(_) => other.session() == Some(&token.session),
            _ => false,
        };
        let ends = |other: &&Act| {
            other.session() == Some(&token.session)
                && (other.was_told(Told::ReuseDetected).is_some()
                    || other
                        .refresh()
                        .is_some_and(|used| used.generation < token.generation && other.began >= source.began))
        };
        let mut before = history.acts.iter().filter(|other| other.began < act.ended());
        if is_due && !before.any(|other| meddles(&other) || ends(&other)) {
            return Err(format!("{} was refused", act.name()));
        }
    }
    Ok(())
}

/// Tells whether a token was superseded and its retry window was over when a request began.
fn is_superseded(history: &History<'_>, token: &RefreshToken, act: &Act) -> bool {
    let released = |by: u32| {
        let newer = move |other: &&Act| {
            other.tokens().is_some_and(|new| new.refresh.session == token.session)
                && other.tokens().is_some_and(|new| new.refresh.generation >= token.generation + by)
        };
        history.acts.iter().filter(newer).filter(|other| other.ended() < act.began).min_by_key(|other| other.ended())
    };
    // The first request that was answered may have received what was refused to others.
    released(2).is_some()
        || released(1).is_some_and(|first| {
            let window = history.rules.window_at(first.began.at);
            window == 0 || act.began.at >= first.ended().at + window + history.rules.spread()
        })
}

/// Tells whether the session of a token was good when a request began, as far as it is known from outside.
fn was_alive(history: &History<'_>, token: &RefreshToken, act: &Act) -> bool {
    let of_session = history.acts.iter().filter(|other| other.session() == Some(&token.session));
    let latest = of_session.clone().filter(|other| other.tokens().is_some() && other.ended() < act.began);
    let in_time = latest
        .map(|other| other.began.at)
        .max()
        .is_some_and(|used| act.ended().at + history.rules.spread() < used + history.rules.idle);
    let mut before = history.acts.iter().filter(|other| other.began < act.ended());
    let ended = before.any(|other| match &other.ask {
        Ask::RevokeSession(_) | Ask::EndSession(_) => other.session() == Some(&token.session),
        Ask::SignOutEverywhere { phone, .. } => phone_of(history, &token.session) == Some(*phone),
        // It may have ended the session without an answer that says so.
        Ask::Refresh(_) => other.session() == Some(&token.session) && other.mishaps > 0,
        _ => false,
    });
    in_time && !ended
}

/// Tells whether a session has not reached its absolute end at a moment.
fn is_before_the_end(history: &History<'_>, token: &RefreshToken, at: Moment) -> bool {
    let Some(login) = login(history, &token.session) else { return false };
    let absolute = login.began.at + history.rules.absolute;
    // The session of a test identity ends with the test identity.
    let of_test = history.rules.review_ends.filter(|_| login.guess().is_some_and(|(challenge, _)| challenge.is_test));
    at.at + history.rules.spread() < of_test.map_or(absolute, |end| absolute.min(end))
}

/// Tells whether a token was released before the secret that sealed it was dropped.
fn is_lost_by_a_leak(history: &History<'_>, token: &RefreshToken) -> bool {
    history.rules.leaked_at.is_some_and(|leaked| releases(history, token).any(|act| act.began.at <= leaked))
}

/// Returns the requests that got this token.
fn releases<'h>(history: &'h History<'_>, token: &'h RefreshToken) -> impl Iterator<Item = &'h Act> {
    let same = |act: &&Act| {
        let released = act.tokens().map(|tokens| &*tokens.refresh);
        released.is_some_and(|other| other.session == token.session && other.generation == token.generation)
    };
    history.acts.iter().filter(same)
}

/// Returns the request that began a session.
pub(super) fn login<'h>(history: &'h History<'_>, session: &str) -> Option<&'h Act> {
    history.acts.iter().find(|act| match act.answer() {
        Some(Answer::LoggedIn(tokens)) => tokens.refresh.session == session,
        _ => false,
    })
}

/// Returns the phone number of the user of a session.
pub(super) fn phone_of(history: &History<'_>, session: &str) -> Option<&'static str> {
    login(history, session)?.ask.phone()
}
