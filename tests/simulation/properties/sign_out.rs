//! Promises on sign-outs, to the clients.

use super::Checked;
use super::theft::{login, phone_of};
use crate::acts::Act;
use crate::facts::History;
use crate::request::{Answer, Ask};

/// A sign-out is immediate: nothing that starts after it was answered succeeds at any host, neither a refresh nor an
/// introspection nor a userinfo request (README, guarantee 8). All sessions of a user end when the directory returns
/// the user with a new `tokens_valid_after` (README, rustdoc of `User`).
pub(super) fn a_sign_out_holds_at_every_host(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    let done = history.acts.iter().filter(|act| matches!(act.answer(), Some(Answer::Done)) && !act.read_stale);
    for act in done.filter(|act| !is_lost_by_a_leak(history, act)) {
        let later = history.acts.iter().filter(|other| other.began > act.ended() && !other.read_stale);
        let mut succeeds = later.filter(|other| other.answer().is_some_and(Answer::is_positive));
        if let Some(other) = succeeds.find(|other| ends(history, act, other)) {
            return Err(format!("{} was answered; {} succeeds", act.name(), other.name()));
        }
    }
    Ok(())
}

/// Sessions that began before `tokens_valid_after` are over (rustdoc of `User::tokens_valid_after`), and no others. A
/// session that began well after the sign-out lives.
pub(super) fn who_logs_in_after_a_sign_out_is_in(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in &history.acts {
        let refused = matches!(act.answer(), Some(Answer::Refused | Answer::Inactive));
        let (Ask::Userinfo(token), true, 0) = (&act.ask, refused, act.mishaps) else { continue };
        let Some(login) = login(history, &token.session) else { continue };
        // The first use of the tokens of a login, at once.
        let is_fresh = act.began.at < login.ended().at + 1000;
        let meddles = |other: &Act| match &other.ask {
            Ask::SignOutEverywhere { phone, .. } => {
                phone_of(history, &token.session) == Some(*phone) && other.ended().at + 12_000 > login.began.at
            }
            Ask::Userinfo(_) | Ask::IntrospectAccess(_) | Ask::IntrospectRefresh(_) => false,
            _ => other.ask.session() == Some(&token.session),
        };
        if is_fresh && !history.acts.iter().any(meddles) {
            return Err(format!("{} was refused right after its login", act.name()));
        }
    }
    Ok(())
}

/// Tells whether a sign-out ends the subject of another request.
fn ends(history: &History<'_>, act: &Act, other: &Act) -> bool {
    match &act.ask {
        Ask::RevokeSession(token) | Ask::EndSession(token) => other.session() == Some(&token.session),
        Ask::RevokeAccess(token) => match &other.ask {
            Ask::Userinfo(used) | Ask::IntrospectAccess(used) => used.id == token.id,
            _ => false,
        },
        Ask::SignOutEverywhere { phone, .. } => {
            let began = other.session().and_then(|session| login(history, session));
            began.is_some_and(|login| login.ask.phone() == Some(*phone) && login.ended() < act.began)
        }
        _ => false,
    }
}

/// Tells whether the sign-out used a token that no host can read any more.
fn is_lost_by_a_leak(history: &History<'_>, act: &Act) -> bool {
    let is_sealed = matches!(act.ask, Ask::RevokeSession(_));
    is_sealed && history.rules.leaked_at.is_some_and(|leaked| act.ended().at >= leaked)
}
