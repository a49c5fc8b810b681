//! Promises on sends, to the clients that ask for them.

use super::guesses::sure_charges;
use super::{Checked, DAY, SECOND, devices};
use crate::acts::Act;
use crate::facts::History;
use crate::request::{Answer, Ask};

/// A send is refused only because of too many sends to the address (by default one in 30 s and 50 in 24 h), or because
/// no guess is left for it (`docs/wire.md`). A send with a 503 that can be taken back does not count. A device has
/// sends of its own: one in 30 s and 10 in 24 h (rustdoc of `DevicePolicy`).
pub(super) fn a_send_is_refused_for_a_reason(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in history.acts.iter().filter(|act| matches!(act.answer(), Some(Answer::Throttled { .. }))) {
        let within = |window: u64| {
            sends_to(history, act).filter(move |other| {
                let counts = match other.answer() {
                    Some(Answer::Sent(_)) | None => true,
                    Some(Answer::Unavailable) => other.may_have_left_something() || other.ended() > act.began,
                    _ => false,
                };
                let until = if other.answered.is_some() { other.ended().at } else { other.began.at + HOUR };
                counts && until + window + history.rules.spread() > act.began.at
            })
        };
        let most = if devices::has_a_budget_of_its_own(history, act) { devices::SENDS } else { 50 };
        // A device that has no guess left counts as none, and a code that could not be redeemed is not sent.
        let is_due = within(30 * SECOND).next().is_some()
            || within(DAY).count() >= most
            || devices::guesses_may_be_used_up(history, act);
        if !act.read_stale && !is_due {
            return Err(format!("{} was refused without a reason", act.name()));
        }
    }
    Ok(())
}

/// An address without guesses is not sent to (README, guarantee 1), because its code could not be redeemed.
pub(super) fn an_address_without_guesses_is_not_sent_to(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for (index, act) in history.acts.iter().enumerate().filter(|(_, act)| act.sent().is_some() && !act.read_stale) {
        let charged = sure_charges(history, &history.acts[..index], act).filter(|other| other.ended() < act.began);
        let charged: Vec<&Act> = charged.collect();
        let count = devices::sure_guesses_of_everybody(&charged);
        let of_device = act.device().map(|id| charged.iter().filter(|other| other.device() == Some(id)).count());
        if count >= 25 && of_device.is_none_or(|count| count >= devices::GUESSES) {
            return Err(format!("{} was sent to an address with {count} guesses in a day", act.name()));
        }
    }
    Ok(())
}

/// `Retry-After` is in whole seconds (`docs/wire.md`) and says how long the address must wait (rustdoc of
/// `Event::Throttled`). A client that waits for this time is sent a code, if no other client sends or guesses in the
/// meantime.
pub(super) fn a_retry_after_is_true(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in &history.acts {
        let (Some(Answer::Throttled { retry_after }), Some(phone)) = (act.answer(), act.ask.phone()) else { continue };
        let opens_at = act.ended().at + retry_after * SECOND + history.rules.spread();
        let mut later = history.acts.iter().filter(|other| other.began > act.ended());
        let again = later.find(|other| {
            matches!(other.ask, Ask::Send { phone: other, .. } if other == phone)
                && other.began.at >= opens_at
                && other.device() == act.device()
        });
        let Some(again) = again.filter(|again| matches!(again.answer(), Some(Answer::Throttled { .. }))) else {
            continue;
        };
        let meddles = |other: &Act| {
            let asks = matches!(other.ask, Ask::Send { .. } | Ask::Guess { .. });
            let since = other.ended() > act.began || other.answered.is_none();
            let is_one_of_them = other.began == act.began || other.began == again.began;
            asks && other.ask.phone() == Some(phone)
                && since
                && other.began < again.ended()
                && !is_one_of_them
                && devices::may_share_a_budget(history, other, again)
        };
        if !act.read_stale && !again.read_stale && !history.acts.iter().any(meddles) {
            return Err(format!("{} came {retry_after} s after it was refused, and was refused again", again.name()));
        }
    }
    Ok(())
}

/// Returns the sends to the address of a request that may have been counted when the request was decided.
fn sends_to<'h>(history: &'h History<'_>, act: &'h Act) -> impl Iterator<Item = &'h Act> {
    history.acts.iter().filter(move |other| {
        let asks = matches!(other.ask, Ask::Send { .. }) && other.ask.phone() == act.ask.phone();
        let counts = asks && other.began != act.began && other.began < act.ended();
        counts && devices::may_share_a_budget(history, other, act) && !devices::was_unlocked(history, other, act)
    })
}

const HOUR: u64 = 3_600_000;
