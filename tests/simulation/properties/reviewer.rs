//! Promises on test identities (rustdoc of `otp::TestIdentity`).

use otp_grant_tests::CLIENT;

use super::theft::login;
use super::{Checked, SECOND};
use crate::acts::Act;
use crate::facts::History;
use crate::request::{Answer, Ask, Purpose};
use crate::world::REVIEWER;

/// No message is sent to a test identity, and every token of its sessions says what it is. No other token says so.
pub(super) fn what_is_of_a_test_identity_says_so(history: &History<'_>) -> Checked {
    for act in &history.acts {
        if let (Ask::Send { phone, purpose, client, .. }, Some(challenge)) = (&act.ask, act.sent()) {
            let is_it = *phone == REVIEWER && *client == CLIENT && *purpose == Purpose::Login;
            let is_before = ends(history).is_some_and(|(first, _)| act.ended().at < first);
            let may_be = ends(history).is_some_and(|(_, last)| act.began.at < last);
            if challenge.is_test && !(is_it && may_be) || !challenge.is_test && is_it && is_before {
                return Err(format!("{} sent no message: {}", act.name(), challenge.is_test));
            }
        }
        let Some(tokens) = act.tokens() else { continue };
        let is_test = is_of_a_test(history, act);
        if tokens.says_test.iter().any(|says| *says != is_test) {
            return Err(format!("{} got tokens that say test: {:?}", act.name(), tokens.says_test));
        }
    }
    Ok(())
}

/// A session of a test identity ends when the test identity does, and nobody logs in after that.
pub(super) fn nothing_of_a_test_identity_outlives_it(history: &History<'_>) -> Checked {
    let Some((_, last)) = ends(history) else { return Ok(()) };
    let end = history.rules.review_ends.unwrap_or_default();
    for act in history.acts.iter().filter(|act| is_of_a_test(history, act)) {
        let is_good = act.answer().is_some_and(|answer| answer.is_positive() || matches!(answer, Answer::LoggedIn(_)));
        if is_good && act.began.at >= last && !history.clock_was_set_back {
            return Err(format!("{} got {:?} after the end", act.name(), act.answer().map(Answer::name)));
        }
        let expiries = act.tokens().map(|tokens| [tokens.refresh.expires_at, tokens.access.expires_at]);
        if expiries.is_some_and(|expiries| expiries.iter().any(|at| *at > end + SECOND)) {
            return Err(format!("{} got tokens until {expiries:?}, and not until {end}", act.name()));
        }
    }
    Ok(())
}

/// Tells whether a request concerns a session of a test identity, or begins one.
fn is_of_a_test(history: &History<'_>, act: &Act) -> bool {
    let is_login = |act: &Act| act.guess().is_some_and(|(challenge, _)| challenge.is_test);
    is_login(act) || act.session().and_then(|session| login(history, session)).is_some_and(is_login)
}

/// Returns when the test identity ends by the first clock, and by the last.
fn ends(history: &History<'_>) -> Option<(u64, u64)> {
    let end = history.rules.review_ends?;
    let by = |ahead: Option<&i64>| end.saturating_add_signed(-ahead.copied().unwrap_or_default());
    Some((by(history.rules.ahead.iter().max()), by(history.rules.ahead.iter().min())))
}
