//! Properties of one address: its challenges, guesses and sends.

use std::collections::{HashMap, HashSet};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::id::RecordKey;

use super::{Checked, DAY, SECOND, tolerance};
use crate::facts::{ChallengeView, Change, Entry, History, OUTSIDE, Told, View, What};
use crate::request::{Answer, Ask, Challenge, Purpose};

/// 1: a request charges at most one guess, by a stored write. Only then is the code compared.
pub(super) fn comparisons_are_reserved(history: &History<'_>) -> Checked {
    for (request, challenge, _) in guesses(history) {
        let mut charges = history.stored_by(request).filter(|change| change.charged(&challenge.id));
        let first = charges.next().map(|change| change.place);
        if charges.next().is_some() {
            return Err(format!("request {request} was charged for twice"));
        }
        if let Some(compared) = comparison(history, request, challenge) {
            if first.is_none_or(|charged| charged > compared) {
                return Err(format!("request {request} compared a code without a reservation"));
            }
        }
    }
    Ok(())
}

/// 1 and 7: there are at most 5 comparisons for a code and 25 in 24 hours for an address.
///
/// - The 5 count over all challenges that share the code, and over those of the same binding at which it was presented.
/// - A success forgives the guesses that named its challenge. If the success is taken back, they count again.
/// - A comparison is given back only if its code was right and its request failed through no fault of the client.
pub(super) fn comparisons_stay_within_both_budgets(history: &History<'_>) -> Checked {
    let mut of_code: HashMap<&str, usize> = HashMap::new();
    let mut of_address: HashMap<RecordKey, Vec<Compared<'_>>> = HashMap::new();
    for (key, address) in history.past.views.iter().filter_map(|(key, view)| Some((*key, view.address()?))) {
        for (id, at) in &history.past.compared {
            let nonce = address.challenge(id).map_or(id.as_str(), |challenge| challenge.nonce.as_str());
            *of_code.entry(nonce).or_default() += 1;
            let times = Times(vec![(0, *at)]);
            of_address.entry(key).or_default().push(Compared { mark: "", id, times, forgiven_by: None });
        }
    }
    for change in history.changes() {
        let compared = of_address.entry(change.key).or_default();
        if matches!(history.asks.get(change.request), Some(Ask::Unlock { .. })) {
            compared.clear();
        }
        let named = history.asks.get(change.request).and_then(|ask| match ask {
            Ask::Guess { challenge, .. } => Some(challenge.id.as_str()),
            _ => None,
        });
        let forgives = change.spent().any(|spent| Some(spent.id.as_str()) == named);
        for compared in compared.iter_mut().filter(|compared| forgives && Some(compared.id) == named) {
            compared.forgiven_by = compared.forgiven_by.or(Some(change.request));
        }
        if change.unspent().next().is_some() {
            compared.iter_mut().filter(|compared| compared.forgiven_by == Some(change.request)).for_each(|compared| {
                compared.forgiven_by = None;
            });
        }
        let Some(Ask::Guess { challenge, right, .. }) = history.asks.get(change.request) else { continue };
        let is_compared = comparison(history, change.request, challenge).is_some();
        for (mark, of) in change.given_back() {
            if is_compared && !right {
                return Err(format!("request {} gave a wrong guess back", change.request));
            }
            if is_compared {
                let count = of_code.entry(&of.nonce).or_default();
                *count = count.saturating_sub(1);
            }
            compared.retain(|compared| compared.mark != mark);
        }
        if !is_compared {
            continue;
        }
        if !is_charged_to_both(history, &change, challenge) {
            return Err(format!("request {} was not charged to the other code of its asker", change.request));
        }
        for (mark, of) in change.charges() {
            let count = of_code.entry(&of.nonce).or_default();
            // A guess after the expiry of the code is wrong, whatever it is.
            if history.decision(&change).1 < of.code_expires_at + tolerance(history) {
                *count += 1;
            }
            let mut recent = 0;
            if of.id == challenge.id {
                let counted = compared.iter().filter(|compared| compared.forgiven_by.is_none());
                recent = 1 + counted.map(|compared| compared.times.within(history, &change, DAY)).sum::<usize>();
                let mut times = Times::default();
                times.add(history, &change);
                compared.push(Compared { mark, id: &challenge.id, times, forgiven_by: None });
            }
            // Each device has ten guesses of its own.
            let devices = change.before.and_then(View::address).map_or(0, |before| before.devices.len().min(3));
            if *count > 5 || recent > 25 + 10 * devices {
                let request = change.request;
                return Err(format!("request {request} was comparison {count} of a code, {recent} of its address"));
            }
        }
    }
    Ok(())
}

/// Tells whether a guess was also charged to the other code of the same binding, where one is in time and has guesses
/// left. The guess is compared with both codes.
fn is_charged_to_both(history: &History<'_>, change: &Change<'_>, challenge: &Challenge) -> bool {
    let (Some(before), true) = (change.before.and_then(View::address), change.charged(&challenge.id)) else {
        return true;
    };
    let Some(own) = before.challenge(&challenge.id) else { return true };
    let now = history.decision(change).1 + tolerance(history);
    let is_other = |other: &&ChallengeView| {
        other.binding == own.binding
            && other.device == own.device
            && other.nonce != own.nonce
            && other.spent_by.is_none()
            && now < other.code_expires_at
            && before.guesses_of(&other.nonce) < 5
    };
    let others: Vec<&str> = before.challenges.iter().filter(is_other).map(|other| other.nonce.as_str()).collect();
    others.is_empty() || change.charges().iter().any(|(_, of)| others.contains(&of.nonce.as_str()))
}

/// A comparison that an address was charged for.
struct Compared<'h> {
    mark: &'h str,
    /// The challenge that it named.
    id: &'h str,
    times: Times,
    /// The request whose success forgave the comparison.
    forgiven_by: Option<usize>,
}

/// 2 and 3: a code is spent once, and so is an otp_token.
///
/// - One success spends the named challenge and every challenge that shares its code.
/// - The request that succeeds is the one that spent the code, with the right code. Nothing is compared afterwards.
/// - A request takes back what it has spent only if it gets nothing.
pub(super) fn codes_are_redeemed_once(history: &History<'_>) -> Checked {
    let mut redeemed: HashMap<(RecordKey, &str), usize> = HashMap::new();
    for (key, address) in history.past.views.iter().filter_map(|(key, view)| Some((*key, view.address()?))) {
        let challenges = address.challenges.iter().filter(|challenge| challenge.spent_by.is_some());
        redeemed.extend(challenges.map(|challenge| ((key, challenge.nonce.as_str()), OUTSIDE)));
    }
    for change in history.changes() {
        let request = change.request;
        if change.unspent().next().is_some() {
            let is_own = change.unspent().all(|challenge| {
                let before = change.before.and_then(View::address).and_then(|before| before.challenge(&challenge.id));
                let mut own = history.stored_by(request).flat_map(|change| change.spent().collect::<Vec<_>>());
                own.any(|spent| spent.id == challenge.id && before.is_some_and(|it| it.spent_by == spent.spent_by))
            });
            let got_nothing = matches!(history.answer(request), None | Some((_, Answer::Unavailable)));
            if !is_own || !got_nothing {
                return Err(format!("request {request} took back what was spent"));
            }
            redeemed.retain(|_, by| *by != request);
        }
        let (Some(Ask::Guess { challenge, .. }), Some(after)) = (history.asks.get(request), change.after.address())
        else {
            continue;
        };
        for (_, of) in change.charges() {
            if of.spent_by.is_some() || redeemed.contains_key(&(change.key, of.nonce.as_str())) {
                return Err(format!("request {request} may compare a code that is spent"));
            }
        }
        let spent: Vec<&ChallengeView> = change.spent().collect();
        let Some(named) = spent.iter().find(|spent| spent.id == challenge.id) else {
            if spent.is_empty() { continue } else { return Err(format!("request {request} spent another's code")) }
        };
        // Apart from the named challenge, all have the code that was right.
        let nonce = spent.iter().find(|spent| spent.id != named.id).map_or(&named.nonce, |other| &other.nonce);
        let is_whole = after.challenges.iter().all(|other| other.nonce != *nonce || other.spent_by.is_some());
        let is_alone = spent.iter().all(|other| other.id == named.id || other.nonce == *nonce);
        if !is_whole || !is_alone || redeemed.insert((change.key, nonce), request).is_some() {
            return Err(format!("request {request} spent a code again, or not all of it"));
        }
        let before = change.before.and_then(View::address);
        if before.and_then(|before| before.challenge(&named.id)).is_some_and(|known| known.spent_by.is_some()) {
            return Err(format!("request {request} spent a challenge again"));
        }
    }
    for (request, challenge, right) in guesses(history) {
        let told = history.of(request).any(|(_, entry)| matches!(entry.what, What::Told(Told::Redeemed)));
        let spender = match history.answer(request) {
            Some((_, Answer::LoggedIn(tokens))) => Some(mark_of(&tokens.access.session)),
            Some((_, Answer::Verified)) => None,
            _ if told => None,
            _ => continue,
        };
        let mut own = history.stored_by(request).flat_map(|change| change.spent().collect::<Vec<_>>());
        let is_own = own.any(|spent| spent.id == challenge.id && (spender.is_none() || spent.spent_by == spender));
        if !is_own || !right {
            return Err(format!("request {request} succeeded, right code: {right}, spent by it: {is_own}"));
        }
    }
    Ok(())
}

/// 8: a challenge ends only when it expires or is redeemed. Its guesses are never forgotten, and a code that is sent
/// again does not live longer. A request that fails can take back its own guess, and its own challenge that was never
/// told to a client.
pub(super) fn challenges_end_for_a_reason(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for change in history.changes() {
        let (Some(before), Some(after)) = (change.before.and_then(View::address), change.after.address()) else {
            continue;
        };
        let request = change.request;
        // The guard refuses a send after its challenge was opened, and then it is taken back.
        let may_take_back =
            matches!(history.answer(request), None | Some((_, Answer::Unavailable | Answer::Challenged)));
        let earlier = || history.stored_by(request).filter(|own| own.place < change.place);
        for old in &before.challenges {
            let lost = match after.challenge(&old.id) {
                None => {
                    let opened_it = |own: Change<'_>| {
                        let knew = own.before.and_then(View::address).and_then(|view| view.challenge(&old.id));
                        knew.is_none() && own.after.address().is_some_and(|view| view.challenge(&old.id).is_some())
                    };
                    change.at < old.expires_at && !(may_take_back && earlier().any(opened_it))
                }
                Some(new) => {
                    (&new.nonce, new.code_expires_at) != (&old.nonce, old.code_expires_at)
                        || new.expires_at != old.expires_at
                }
            };
            let extended = |new: &&ChallengeView| new.nonce == old.nonce && new.code_expires_at != old.code_expires_at;
            if lost || after.challenges.iter().any(|new| extended(&new)) {
                return Err(format!("request {request} changed a challenge that it must leave alone"));
            }
        }
        for (mark, _) in change.given_back() {
            let is_own = earlier().any(|own| own.charges().iter().any(|(charged, _)| *charged == mark));
            if !may_take_back || !is_own {
                return Err(format!("request {request} forgot a guess"));
            }
        }
    }
    Ok(())
}

/// 7: one send in 30 seconds and 50 in 24 hours for an address, answered or not. Each device has one in 30 seconds and
/// 10 in 24 hours of its own.
pub(super) fn sends_stay_within_their_quotas(history: &History<'_>) -> Checked {
    let of_past = Times::of_past(history, history.past.sent.iter().copied());
    let mut of_budget: HashMap<_, _> = of_past.into_iter().map(|(key, times)| ((key, None), times)).collect();
    let mut requests = HashSet::new();
    for change in history.changes() {
        if matches!(history.asks.get(change.request), Some(Ask::Unlock { .. })) {
            of_budget.retain(|(key, _), _| *key != change.key);
        }
        if !opened(history, change.place) {
            continue;
        }
        // This is a first write that arrives after the record of the second was deleted. Its request sent one code,
        // long ago.
        if !requests.insert(change.request) {
            continue;
        }
        let device = opened_challenge(&change).and_then(|challenge| challenge.device.as_deref());
        let times = of_budget.entry((change.key, device)).or_default();
        // A send with a 503 has told its challenge to no client. It is taken back where possible.
        times.0.retain(|(place, _)| !is_taken_back(history, *place, change.place));
        let (in_thirty_seconds, in_a_day) =
            (times.within(history, &change, 30 * SECOND), times.within(history, &change, DAY));
        times.add(history, &change);
        if in_thirty_seconds >= 1 || in_a_day >= if device.is_some() { 10 } else { 50 } {
            return Err(format!("request {} sent after {in_thirty_seconds} and {in_a_day} others", change.request));
        }
    }
    Ok(())
}

/// Tells whether the challenge that was opened at a place was taken away by its own request before another place.
fn is_taken_back(history: &History<'_>, place: usize, before: usize) -> bool {
    let Some(opening) = history.change_at(place).filter(|_| opened(history, place)) else { return false };
    let Some(own) = opened_challenge(&opening) else { return false };
    history.stored_by(opening.request).any(|change| {
        let view = change.after.address();
        (place + 1..before).contains(&change.place) && view.is_some_and(|view| view.challenge(&own.id).is_none())
    })
}

/// 3: a login that is taken back leaves the devices of its address as they were. They are remembered for a success.
/// Only the device of its own token can be known for longer.
pub(super) fn a_login_that_is_taken_back_keeps_no_device(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for undo in history.changes().filter(|change| change.unspent().next().is_some()) {
        let mut own = history.stored_by(undo.request);
        let Some(login) = own.find(|change| change.key == undo.key && change.spent().next().is_some()) else {
            continue;
        };
        let presented = history.asks.get(undo.request).and_then(Ask::device).map(|device| device.id.as_str());
        let devices = |view| devices_but(presented, view);
        let is_between = |other: &Change<'_>| {
            other.key == undo.key
                && other.request != undo.request
                && other.place > login.place
                && other.place < undo.place
        };
        let mut others = history.changes().filter(is_between);
        let left = devices(Some(undo.after));
        if left != devices(login.before) && !others.any(|other| devices(other.before) != devices(Some(other.after))) {
            return Err(format!("request {} was taken back, and left the devices {left:?}", undo.request));
        }
    }
    Ok(())
}

/// Returns the devices of an address, but for one, and until when each is known.
fn devices_but<'v>(but: Option<&str>, view: Option<&'v View>) -> Vec<(&'v str, u64)> {
    let devices = view.and_then(View::address).map(|address| address.devices.as_slice()).unwrap_or_default();
    let others = devices.iter().filter(|device| Some(device.id.as_str()) != but);
    let mut devices: Vec<_> = others.map(|device| (device.id.as_str(), device.expires_at)).collect();
    devices.sort_unstable();
    devices
}

/// 11: until an address is proved, the directory is asked only for the client and its auth source, and the answer does
/// not depend on the user of the address.
pub(super) fn nothing_is_asked_before_proof(history: &History<'_>) -> Checked {
    for (request, ask) in history.asks.iter().enumerate() {
        let (source, right) = match ask {
            Ask::Send { purpose, .. } => (*purpose == Purpose::Login, false),
            Ask::Guess { challenge, right, .. } => (challenge.purpose == Purpose::Login, *right),
            _ => continue,
        };
        let mut asked = Vec::new();
        let mut compared = false;
        for (_, entry) in history.of(request) {
            match &entry.what {
                What::Stored(..) => compared = right,
                What::Asked(name) if !compared => asked.push(*name),
                What::Asked(_) if !right => return Err(format!("request {request} asked without proof")),
                What::Answered(Answer::NoUser | Answer::NotActive) if !compared => {
                    return Err(format!("request {request} was told of the user"));
                }
                _ => {}
            }
        }
        let allowed: &[&str] = match ask {
            Ask::Guess { challenge, .. } if challenge.purpose == Purpose::Signup => &[],
            _ if source => &["client", "auth_source"],
            _ => &["client"],
        };
        // Where the directory did not answer, or the proof of a key is not good, the request has ended.
        let is_over = history.is_struck(request) || matches!(history.answer(request), Some((_, Answer::BadProof)));
        let begins_so = is_over && allowed.starts_with(&asked);
        if asked != allowed && !begins_so {
            return Err(format!("request {request} asked for {asked:?}"));
        }
    }
    Ok(())
}

/// Places and times of events. A time can be too early by the duration of its request, so no window is taken for longer
/// than it is.
#[derive(Default)]
struct Times(Vec<(usize, u64)>);

impl Times {
    /// Returns the earlier times at the address.
    fn of_past(history: &History<'_>, times: impl Iterator<Item = u64> + Clone) -> HashMap<RecordKey, Self> {
        let addresses = history.past.views.iter().filter(|(_, view)| view.address().is_some());
        addresses.map(|(key, _)| (*key, Self(times.clone().map(|time| (0, time)).collect()))).collect()
    }

    fn add(&mut self, history: &History<'_>, change: &Change<'_>) {
        self.0.push((change.place, history.began(change.request).min(change.at)));
    }

    /// Returns how many events lay in a window when a change was decided on. After the clock was set back, later events
    /// count as of that time. An event that had already left the window does not come back.
    fn within(&self, history: &History<'_>, change: &Change<'_>, window: u64) -> usize {
        let (decided, now) = history.decision(change);
        let seen = |(place, time): &(usize, u64)| {
            let since = history.entries.get(*place..decided).filter(|_| history.clock_was_set_back).unwrap_or_default();
            since.iter().try_fold(*time, |time, entry| match entry.what {
                What::ClockSetBack => Some(time.min(entry.at)),
                _ => (entry.at < time + window).then_some(time),
            })
        };
        self.0.iter().filter_map(seen).filter(|time| time + window > now + tolerance(history)).count()
    }
}

/// Returns the guesses: the request, the challenge, and whether the code is right.
pub(super) fn guesses<'h>(history: &'h History<'_>) -> impl Iterator<Item = (usize, &'h Challenge, bool)> {
    history.asks.iter().enumerate().filter_map(|(request, ask)| match ask {
        Ask::Guess { challenge, right, .. } => Some((request, &**challenge, *right)),
        _ => None,
    })
}

/// Returns the place at which a request shows that it has compared a code.
fn comparison(history: &History<'_>, request: usize, challenge: &Challenge) -> Option<usize> {
    let shows = |(place, entry): (usize, &Entry)| match entry.what {
        What::Told(Told::WrongCode | Told::Redeemed) | What::Asked("user_by_address") => Some(place),
        What::Stored(..) => {
            let spent = history.change_at(place)?.spent().any(|spent| spent.id == challenge.id);
            spent.then_some(place)
        }
        _ => None,
    };
    history.of(request).find_map(shows)
}

/// Returns the challenge that a change opened.
pub(super) fn opened_challenge<'h>(change: &Change<'h>) -> Option<&'h ChallengeView> {
    let before = change.before.and_then(View::address);
    let is_new = |id: &str| before.is_none_or(|before| before.challenge(id).is_none());
    change.after.address()?.challenges.iter().find(|challenge| is_new(&challenge.id))
}

/// Tells whether a change opened a challenge.
pub(super) fn opened(history: &History<'_>, place: usize) -> bool {
    history.change_at(place).is_some_and(|change| opened_challenge(&change).is_some())
}

/// Returns the mark that a session leaves in the challenge that it spent.
pub(super) fn mark_of(session: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&crate::request::base64url(session)[..8])
}
