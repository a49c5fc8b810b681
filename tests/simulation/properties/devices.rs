//! Promises on devices: their budgets are their own. Also what the host's support staff is told of an address.

use std::collections::HashMap;

use super::Checked;
use super::guesses::{charges_that_may_be, sure_charges};
use crate::acts::{Act, Moment};
use crate::facts::History;
use crate::request::{Answer, Ask, Challenge};

/// The device of a login is known (rustdoc of `DevicePolicy`): a client that asks for it gets a device token with the
/// login.
pub(super) fn a_client_that_asks_is_remembered(history: &History<'_>) -> Checked {
    for act in &history.acts {
        let (Ask::Guess { challenge, .. }, Some(Answer::LoggedIn(tokens))) = (&act.ask, act.answer()) else { continue };
        if tokens.device.is_some() != challenge.remembers && !forgets(history, act) {
            return Err(format!("{} got a device token: {}", act.name(), tokens.device.is_some()));
        }
        let renewed = tokens.device.as_ref().map(|device| device.id.as_str());
        if is_known(history, act) && renewed.is_some() && renewed != act.device() {
            return Err(format!("{} got a token of another device than its own", act.name()));
        }
    }
    Ok(())
}

/// What support is told is true (rustdoc of `AuthorizationServer::explain`): the guesses that are left, and at most
/// three devices.
pub(super) fn what_is_explained_is_true(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for (index, act) in history.acts.iter().enumerate() {
        let Some(Answer::Explained(explained)) = act.answer() else { continue };
        if act.read_stale {
            continue;
        }
        let sure: Vec<&Act> =
            sure_charges(history, &history.acts[..index], act).filter(|other| other.ended() < act.began).collect();
        let least = sure_guesses_of_everybody(&sure);
        let most = of_everybody(history, act).count();
        let used = 25 - explained.guesses_left.min(25);
        if used < least.min(25) || used > most {
            return Err(format!("{} was told of {used} guesses, and there were {least} to {most}", act.name()));
        }
        if explained.devices.len() > MOST {
            return Err(format!("{} was told of {} devices", act.name(), explained.devices.len()));
        }
        let is_forgotten =
            |other: &&Act| matches!(other.ask, Ask::ForgetDevices { .. }) && other.ask.phone() == act.ask.phone();
        let last = history.acts[..index].iter().rfind(is_forgotten).filter(|other| is_done(other));
        let since = |last: &Act| {
            let remembers = |other: &&Act| other.may_have_remembered() && other.ask.phone() == act.ask.phone();
            history.acts.iter().filter(remembers).any(|other| other.ended() > last.began && other.began < act.ended())
        };
        if last.is_some_and(|last| last.ended() < act.began && !since(last)) && !explained.devices.is_empty() {
            return Err(format!("{} was told of devices that were forgotten", act.name()));
        }
    }
    Ok(())
}

/// Returns how many guesses were certainly charged to the budget of everybody, of guesses that were certainly charged.
/// A device has ten guesses. It then counts as none.
pub(super) fn sure_guesses_of_everybody(charged: &[&Act]) -> usize {
    let mut of_devices: HashMap<&str, usize> = HashMap::new();
    charged.iter().filter_map(|act| act.device()).for_each(|device| *of_devices.entry(device).or_default() += 1);
    let of_all_devices: usize = of_devices.values().sum();
    let excess: usize = of_devices.values().map(|count| count.saturating_sub(GUESSES)).sum();
    charged.len() - of_all_devices + excess
}

/// Tells whether a request may find no guess left: neither of its device nor of everybody.
pub(super) fn guesses_may_be_used_up(history: &History<'_>, act: &Act) -> bool {
    !has_a_budget_of_its_own(history, act) && of_everybody(history, act).count() >= 25
}

/// Returns the guesses that may have been charged to the budget of everybody when a request was looked at.
fn of_everybody<'h>(history: &'h History<'_>, act: &'h Act) -> impl Iterator<Item = &'h Act> {
    charges_that_may_be(history, act).filter(|other| !has_a_budget_of_its_own(history, other))
}

/// Tells whether the device of a request is certainly known and has a guess left. The request then has a budget of its
/// own, whatever others do.
pub(super) fn has_a_budget_of_its_own(history: &History<'_>, act: &Act) -> bool {
    let own = |other: &&Act| other.device() == act.device();
    is_known(history, act) && charges_that_may_be(history, act).filter(own).count() < GUESSES
}

/// Tells whether two requests may use the same budget.
pub(super) fn may_share_a_budget(history: &History<'_>, one: &Act, other: &Act) -> bool {
    let apart = |one: &Act, other: &Act| one.device() != other.device() && has_a_budget_of_its_own(history, one);
    !apart(one, other) && !apart(other, one)
}

/// Tells whether two challenges of one asker may share a code: sends of a device share a code only with that device's.
pub(super) fn may_share_a_code(history: &History<'_>, one: &Challenge, other: &Challenge) -> bool {
    let sent =
        |challenge: &Challenge| history.acts.iter().find(|act| act.sent().is_some_and(|sent| sent.id == challenge.id));
    let both = sent(one).zip(sent(other));
    both.is_none_or(|(one, other)| may_share_a_budget(history, one, other))
}

/// Tells whether the host certainly unlocked an address after a request and before another one.
pub(super) fn was_unlocked(history: &History<'_>, act: &Act, before: &Act) -> bool {
    let cleared = |unlock: &Act| {
        is_unlock_of(unlock, act) && is_done(unlock) && act.ended() < unlock.began && unlock.ended() < before.began
    };
    history.acts.iter().any(cleared)
}

/// Tells whether the host may have unlocked an address after a request had begun and before another one ended.
pub(super) fn may_have_been_unlocked(history: &History<'_>, act: &Act, ended: Moment) -> bool {
    let clears = |unlock: &Act| is_unlock_of(unlock, act) && unlock.began < ended && unlock.ended() > act.began;
    history.acts.iter().any(clears)
}

/// Tells whether an address certainly knows the device of a request: nothing was forgotten, no secret was dropped, and
/// there are no more than three devices.
fn is_known(history: &History<'_>, act: &Act) -> bool {
    let Some(device) = act.ask.device().filter(|_| act.device().is_some()) else { return false };
    let is_new =
        |other: &&Act| other.may_have_remembered() && other.ask.phone() == act.ask.phone() && other.device().is_none();
    let in_time = act.ended().at.saturating_add(HOUR) < device.issued_at + 90 * 24 * HOUR;
    in_time
        && !history.rules.drops_a_secret
        && !forgets(history, act)
        && history.acts.iter().filter(is_new).count() <= MOST
        && !act.read_stale
}

/// Tells whether the host may have made the address of a request forget its devices.
fn forgets(history: &History<'_>, act: &Act) -> bool {
    let forgets = |other: &Act| {
        matches!(other.ask, Ask::ForgetDevices { .. })
            && other.ask.phone() == act.ask.phone()
            && other.began < act.ended()
    };
    history.acts.iter().any(forgets)
}

fn is_unlock_of(unlock: &Act, act: &Act) -> bool {
    matches!(unlock.ask, Ask::Unlock { .. }) && unlock.ask.phone() == act.ask.phone()
}

fn is_done(act: &Act) -> bool {
    matches!(act.answer(), Some(Answer::Done))
}

/// How many devices an address has at most, and how many guesses and sends each has in a day.
pub(super) const MOST: usize = 3;
pub(super) const GUESSES: usize = 10;
pub(super) const SENDS: usize = 10;

const HOUR: u64 = 60 * 60 * 1000;
