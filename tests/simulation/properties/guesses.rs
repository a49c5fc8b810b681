//! Promises to the users and against the guessers: how many codes are compared, and that right codes log in.

use std::collections::HashMap;

use super::{Checked, DAY, devices, tolerance};
use crate::acts::Act;
use crate::facts::{History, Told};
use crate::request::{Answer, Ask, Challenge};

/// Each code has five guesses, over all messages that carry it (README, guarantee 1), and a resend resets nothing
/// (SECURITY). A guess after the code's time is wrong, whatever it is.
pub(super) fn a_code_is_compared_five_times(history: &History<'_>) -> Checked {
    let mut compared: HashMap<(&str, &str), usize> = HashMap::new();
    for act in &history.acts {
        let Some((challenge, right)) = act.guess() else { continue };
        let told = act.was_told(Told::WrongCode).unwrap_or(act.ended());
        let spread = history.rules.spread().max(tolerance(history));
        let is_in_time = sent_at(history, challenge)
            .is_some_and(|sent| told.at.saturating_add(spread) < sent + history.rules.code_validity);
        if is_in_time && is_a_comparison(act, right) || act.has_redeemed() {
            // The codes of a test identity are all the same text.
            let code = if challenge.is_test { &challenge.id } else { &challenge.code };
            let count = compared.entry((challenge.phone, code)).or_default();
            *count += 1;
            if *count > 5 {
                return Err(format!("{} was comparison {count} of its code", act.name()));
            }
        }
    }
    Ok(())
}

/// Each address has 25 guesses in any 24 hours, over all resends, clients and purposes (README, guarantee 1; SECURITY).
/// A success forgives only the guesses that named its otp_token. Each of three devices has 10 more of its own, and a
/// device without guesses counts as none (rustdoc of `DevicePolicy`).
pub(super) fn an_address_is_guessed_at_25_times_a_day(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for (index, act) in history.acts.iter().enumerate() {
        let Some((_, right)) = act.guess().filter(|(_, right)| is_a_comparison(act, *right)) else { continue };
        let charged: Vec<&Act> = sure_charges(history, &history.acts[..index], act).chain([act]).collect();
        let of_everybody = devices::sure_guesses_of_everybody(&charged);
        if of_everybody > 25 || charged.len() > 25 + devices::MOST * devices::GUESSES {
            return Err(format!(
                "{} was comparison {} of its address in a day, {of_everybody} of them without a device (right: {right})",
                act.name(),
                charged.len()
            ));
        }
    }
    Ok(())
}

/// A send does not kill a code on its way (README, guarantee 6), and a request that is answered with 503 takes back its
/// guess (README, guarantee 3). A code that was sent, is in time, was not redeemed and has guesses left therefore logs
/// in, at every host and with the otp_token that it came with.
pub(super) fn a_right_code_in_its_time_logs_in(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in &history.acts {
        let Some((challenge, true)) = act.guess() else { continue };
        let is_refused = matches!(act.answer(), Some(Answer::UnknownOtpToken | Answer::WrongCode { .. }));
        if !is_refused || act.read_stale || act.store_mishaps > 1 || act.number == crate::facts::OUTSIDE {
            continue;
        }
        if !may_be_refused(history, act, challenge, true) {
            let name = act.answer().map(Answer::name).unwrap_or_default();
            return Err(format!("{} had a right code in its time, and got {name}", act.name()));
        }
    }
    Ok(())
}

/// A 503 can be retried (README, guarantee 3). It costs at most one guess.
pub(super) fn a_503_can_be_retried(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in &history.acts {
        let Some((challenge, true)) = act.guess() else { continue };
        let is_refused = matches!(act.answer(), Some(Answer::UnknownOtpToken | Answer::WrongCode { .. }));
        let was_unavailable = |other: &Act| {
            let same = other.guess().is_some_and(|(other, right)| right && other.id == challenge.id);
            same && matches!(other.answer(), Some(Answer::Unavailable)) && other.ended() < act.began
        };
        if !is_refused || act.mishaps > 0 || !history.acts.iter().any(was_unavailable) {
            continue;
        }
        if !may_be_refused(history, act, challenge, false) {
            let name = act.answer().map(Answer::name).unwrap_or_default();
            return Err(format!("{} repeats what got a 503, and got {name}", act.name()));
        }
    }
    Ok(())
}

/// A code does not tell another code (SECURITY: codes are derived). A longer code does not contain a shorter one that
/// was sent. A host that changes the length of codes while a code is on its way thus gives no second look at it.
pub(super) fn no_code_tells_another(history: &History<'_>) -> Checked {
    let sent: Vec<(&Act, &Challenge)> = history.acts.iter().filter_map(|act| Some((act, act.sent()?))).collect();
    for (act, long) in &sent {
        let told = |(_, short): &&(&Act, &Challenge)| {
            short.phone == long.phone && short.code.len() < long.code.len() && long.code.contains(&short.code)
        };
        if let Some((other, _)) = sent.iter().find(told) {
            return Err(format!("the code of {} has that of {} in it", act.name(), other.name()));
        }
    }
    Ok(())
}

/// Only the verifier of its challenge redeems an otp_token and its code (SECURITY). Without the verifier, the otp_token
/// is one that this server did not make, and the store is not asked (README, guarantee 5). That the user's own code
/// stays good is checked above.
pub(super) fn a_stolen_code_is_worth_nothing_without_its_verifier(history: &History<'_>) -> Checked {
    for act in history.acts.iter().filter(|act| matches!(act.ask, Ask::Steal(_))) {
        // Where the client must prove a key, a proof is also missing.
        let got_nothing = Answer::is_nothing_of_a_code;
        if !act.answer().is_none_or(got_nothing) {
            let name = act.answer().map(Answer::name).unwrap_or_default();
            return Err(format!("{} got {name}", act.name()));
        }
        if history.loads(act.number).next().is_some() {
            return Err(format!("{} has asked the store", act.name()));
        }
    }
    Ok(())
}

/// Tells whether there can be a reason to refuse a right code. With `doubts`, a request that got a 503 may have
/// redeemed it.
fn may_be_refused(history: &History<'_>, act: &Act, challenge: &Challenge, doubts: bool) -> bool {
    let same_code = |other: &Challenge| other.phone == challenge.phone && other.code == challenge.code;
    let (ended, spread) = (act.ended(), history.rules.spread());
    let Some(sent_at) = sent_at(history, challenge) else { return true };
    // A send whose answer was lost may have opened the code that a later send shares.
    let lost = history.acts.iter().filter(|other| {
        let same = matches!(other.ask, Ask::Send { phone, purpose, client, .. }
            if (phone, purpose, client) == (challenge.phone, challenge.purpose, challenge.client));
        let is_lost = matches!(other.answer(), None | Some(Answer::Unavailable));
        same && is_lost && other.began.at <= sent_at && sent_at <= other.began.at + history.rules.code_validity
    });
    let sent_at = lost.map(|other| other.began.at).min().unwrap_or(sent_at);
    if ended.at + spread >= sent_at + history.rules.code_validity {
        return true;
    }
    if history.rules.leaked_at.is_some_and(|leaked| sent_at <= leaked && ended.at >= leaked) {
        return true;
    }
    let others = history.acts.iter().filter(|other| other.began != act.began && other.began < ended);
    let guesses = others.filter_map(|other| Some((other, other.guess()?)));
    // An otp_token is spent with its own code, and with the other code of its binding that it was used for.
    let own = history.acts.iter().filter_map(Act::sent).find(|own| own.id == challenge.id);
    let is_own = |other: &Challenge| own.is_some_and(|own| own.phone == other.phone && own.code == other.code);
    // A guess is compared with the code of its otp_token and with the latest other code of the binding.
    let is_newer = |other: &Act| {
        let asker = |of: &Challenge| (of.phone, of.client, of.purpose);
        let newer = other.sent().filter(|newer| asker(newer) == asker(challenge));
        newer.is_some_and(|newer| !same_code(newer) && !is_own(newer)) && other.ended().at >= sent_at
    };
    if own.is_some_and(|own| own.code != challenge.code) && history.acts.iter().any(is_newer) {
        return true;
    }
    let spends = |guessed: &Challenge| same_code(guessed) || guessed.id == challenge.id || is_own(guessed);
    let mut at_code = guesses.clone().filter(|(_, (guessed, _))| spends(guessed));
    let redeemed = at_code.any(|(other, (_, right))| {
        let in_doubt = match other.answer() {
            None => true,
            Some(Answer::Unavailable) => doubts && other.may_have_left_something(),
            _ => false,
        };
        right && (other.has_redeemed() || in_doubt)
    });
    // Where a binding has two codes, a guess is compared with both. An otp_token is good as long as its own code has
    // guesses left.
    let own_sent_at = own.and_then(|own| self::sent_at(history, own)).unwrap_or(sent_at);
    let since = sent_at.min(own_sent_at);
    let of_asker = guesses.filter(|(other, (guessed, _))| {
        let asker = |of: &Challenge| (of.phone, of.client, of.purpose);
        let shares = asker(guessed) == asker(challenge) && devices::may_share_a_code(history, guessed, challenge);
        shares && other.ended().at >= since
    });
    let of_code = of_asker.filter(|(other, (_, right))| may_have_charged(act, other, *right)).count();
    redeemed || of_code >= 5 || devices::guesses_may_be_used_up(history, act)
}

/// Returns the guesses that an address may have been charged for in the day before a request ended.
pub(super) fn charges_that_may_be<'h>(history: &'h History<'_>, act: &'h Act) -> impl Iterator<Item = &'h Act> {
    let counts = move |other: &&Act| {
        let Some((challenge, right)) = other.guess() else { return false };
        let until = if other.answered.is_some() { other.ended().at } else { other.began.at + HOUR };
        let is_recent = until + history.rules.spread() + DAY > act.began.at;
        let forgives = |success: &Act| {
            let same = |(of, _): (&Challenge, bool)| of.id == challenge.id;
            success.has_redeemed() && success.guess().is_some_and(same) && success.ended() < act.began
        };
        Some(challenge.phone) == act.ask.phone()
            && other.began != act.began
            && other.began < act.ended()
            && is_recent
            && may_have_charged(act, other, right)
            && !(other.ended() < act.began && history.acts.iter().any(forgives))
            && !devices::was_unlocked(history, other, act)
    };
    history.acts.iter().filter(counts)
}

/// Returns the comparisons that were certainly charged to the address of a request, within a day, and not forgiven
/// since.
pub(super) fn sure_charges<'h>(
    history: &'h History<'_>,
    before: &'h [Act],
    act: &'h Act,
) -> impl Iterator<Item = &'h Act> {
    let ended = act.was_told(Told::WrongCode).unwrap_or(act.ended());
    before.iter().filter(move |other| {
        let Some((challenge, right)) = other.guess() else { return false };
        let is_forgiven = |success: &Act| {
            let same = |(of, right): (&Challenge, bool)| right && of.id == challenge.id;
            let may_be = success.has_redeemed() || matches!(success.answer(), None | Some(Answer::Unavailable));
            success.guess().is_some_and(same) && may_be && success.began < ended
        };
        Some(challenge.phone) == act.ask.phone()
            && is_a_comparison(other, right)
            && ended.at.saturating_sub(other.began.at) + history.rules.spread() < DAY
            && !history.acts.iter().any(is_forgiven)
            && !devices::may_have_been_unlocked(history, other, ended)
    })
}

/// Returns the earliest time at which the code of a challenge can have been sent.
fn sent_at(history: &History<'_>, challenge: &Challenge) -> Option<u64> {
    let same_code = |other: &Challenge| other.phone == challenge.phone && other.code == challenge.code;
    let sent = history.acts.iter().filter(|other| other.sent().is_some_and(same_code));
    sent.map(|other| other.began.at).min()
}

/// Tells whether a request shows that a code was compared and that the guess stays charged.
fn is_a_comparison(act: &Act, right: bool) -> bool {
    let is_wrong = !right && act.was_told(Told::WrongCode).is_some();
    is_wrong || matches!(act.answer(), Some(Answer::NoUser | Answer::NotActive))
}

/// Tells whether a guess may have been charged and not given back when another guess was looked at.
fn may_have_charged(act: &Act, other: &Act, right: bool) -> bool {
    let is_in_flight = other.ended() > act.began;
    match other.answer() {
        // It may have been charged before another request spent the code, or by a write whose answer was lost.
        Some(Answer::UnknownOtpToken) => other.store_mishaps > 0 || right && other.met_a_conflict,
        // The guess is given back, unless the store failed again and again.
        Some(Answer::Unavailable) if right => is_in_flight || other.may_have_left_something(),
        _ => true,
    }
}

const HOUR: u64 = 3_600_000;
