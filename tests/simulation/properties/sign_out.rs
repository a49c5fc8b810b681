//! Sign-outs, as clients see them.

use super::Checked;
use super::theft::{login, phone_of};
use crate::acts::Act;
use crate::facts::History;
use crate::request::{Answer, Ask};

/// "A sign-out is immediate. Nothing that starts after it was answered succeeds: no refresh, introspection or userinfo"
/// (README 8), and "a sign-out that was answered holds at all" hosts (DESIGN 2, 10). "All logins of a user end when your directory
/// returns the user with `tokens_valid_after`" (README), "what "sign out everywhere" sets to the time now" (rustdoc of `User`).
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

/// "Sessions that began earlier are over" (rustdoc of `User::tokens_valid_after`), and no others: one that began when the
/// sign-out was long over lives.
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

/// Whether a sign-out ends what another request asks for.
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

/// Whether it was asked for by a token that nobody can read any more.
fn is_lost_by_a_leak(history: &History<'_>, act: &Act) -> bool {
    let is_sealed = matches!(act.ask, Ask::RevokeSession(_));
    is_sealed && history.rules.leaked_at.is_some_and(|leaked| act.ended().at >= leaked)
}
