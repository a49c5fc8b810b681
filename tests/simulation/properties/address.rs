//! Challenges, guesses and sends: what one address is allowed.

use std::collections::{HashMap, HashSet};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::RecordKey;

use super::{Checked, DAY, SECOND, tolerance};
use crate::facts::{ChallengeView, Change, Entry, History, Told, View, What};
use crate::request::{Answer, Ask, Challenge, Purpose};

/// 1: a guess is charged by a stored write, one at most, and only then is the code compared.
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

/// 1 and 7: at most 5 comparisons for a challenge, and 25 in 24 hours for an address since its last success.
pub(super) fn comparisons_stay_within_both_budgets(history: &History<'_>) -> Checked {
    let compared = history.past.compared.iter();
    let mut of_challenge: HashMap<&str, usize> = HashMap::new();
    for (id, _) in compared.clone() {
        *of_challenge.entry(id).or_default() += 1;
    }
    let mut of_address = Times::of_past(history, compared.map(|(_, at)| *at));
    for change in history.changes() {
        let times = of_address.entry(change.key).or_default();
        if change.spent().next().is_some() {
            times.0.clear();
        }
        let Some(Ask::Guess { challenge, .. }) = history.asks.get(change.request) else { continue };
        if !change.charged(&challenge.id) || comparison(history, change.request, challenge).is_none() {
            continue;
        }
        let count = of_challenge.entry(&challenge.id).or_default();
        *count += 1;
        let recent = times.within(history, &change, DAY) + 1;
        times.add(history, &change);
        if *count > 5 || recent > 25 {
            let request = change.request;
            return Err(format!("request {request} was comparison {count} of its challenge, {recent} of its address"));
        }
    }
    Ok(())
}

/// 2 and 3: of all challenges that share a code one is spent, once; whoever succeeds is the one who spent it, with the right
/// code; and nothing is compared afterwards.
pub(super) fn codes_are_redeemed_once(history: &History<'_>) -> Checked {
    let mut spent: HashSet<(RecordKey, &str)> = HashSet::new();
    for (key, address) in history.past.views.iter().filter_map(|(key, view)| Some((*key, view.address()?))) {
        let challenges = address.challenges.iter().filter(|challenge| challenge.spent_by.is_some());
        spent.extend(challenges.map(|challenge| (key, challenge.nonce.as_str())));
    }
    for change in history.changes() {
        if let Some(Ask::Guess { challenge, .. }) = history.asks.get(change.request) {
            let view = change.after.address().and_then(|address| address.challenge(&challenge.id));
            let is_spent = view.is_some_and(|challenge| spent.contains(&(change.key, challenge.nonce.as_str())));
            if change.charged(&challenge.id) && is_spent {
                return Err(format!("request {} may compare a code that is spent", change.request));
            }
        }
        for challenge in change.spent() {
            if !spent.insert((change.key, &challenge.nonce)) {
                return Err(format!("request {} spent a code again", change.request));
            }
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

/// 8: a challenge ends when it expires or is redeemed; its guesses are never forgotten, and a code that is sent
/// again does not live longer.
pub(super) fn challenges_end_for_a_reason(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for change in history.changes() {
        let (Some(before), Some(after)) = (change.before.and_then(View::address), change.after.address()) else {
            continue;
        };
        let spent: Vec<&str> = change.spent().map(|challenge| challenge.nonce.as_str()).collect();
        for old in &before.challenges {
            let is_due = change.at >= old.expires_at;
            let ended = is_due || spent.contains(&old.nonce.as_str());
            let lost = match after.challenge(&old.id) {
                None => !ended,
                Some(new) => {
                    new.guesses.len() < old.guesses.len()
                        || (&new.nonce, new.code_expires_at) != (&old.nonce, old.code_expires_at)
                        || new.expires_at != old.expires_at
                }
            };
            let extended = |new: &&ChallengeView| new.nonce == old.nonce && new.code_expires_at != old.code_expires_at;
            if lost || after.challenges.iter().any(|new| extended(&new)) {
                return Err(format!("request {} changed a challenge that it must leave alone", change.request));
            }
        }
    }
    Ok(())
}

/// 7: one send in 30 seconds and 50 in 24 hours for an address, whether it is answered or not.
pub(super) fn sends_stay_within_their_quotas(history: &History<'_>) -> Checked {
    let mut of_address = Times::of_past(history, history.past.sent.iter().copied());
    let mut requests = HashSet::new();
    for change in history.changes().filter(|change| opened(history, change.place)) {
        // A first write that arrives when the record of the second has been deleted: its request sent one code, long ago.
        if !requests.insert(change.request) {
            continue;
        }
        let times = of_address.entry(change.key).or_default();
        let (in_thirty_seconds, in_a_day) =
            (times.within(history, &change, 30 * SECOND), times.within(history, &change, DAY));
        times.add(history, &change);
        if in_thirty_seconds >= 1 || in_a_day >= 50 {
            return Err(format!("request {} sent after {in_thirty_seconds} and {in_a_day} others", change.request));
        }
    }
    Ok(())
}

/// 11: until an address is proved the directory is asked for the client and its auth source alone, and the answer is the
/// same whoever it belongs to.
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
        // Where the directory didn't answer the request has ended.
        let begins_so = history.is_struck(request) && allowed.starts_with(&asked);
        if asked != allowed && !begins_so {
            return Err(format!("request {request} asked for {asked:?}"));
        }
    }
    Ok(())
}

/// When something happened, with the place in the history. A time is too early by as much as its request took, and so no
/// window is taken to be longer than it is.
#[derive(Default)]
struct Times(Vec<(usize, u64)>);

impl Times {
    /// Those of the address that there was before.
    fn of_past(history: &History<'_>, times: impl Iterator<Item = u64> + Clone) -> HashMap<RecordKey, Self> {
        let addresses = history.past.views.iter().filter(|(_, view)| view.address().is_some());
        addresses.map(|(key, _)| (*key, Self(times.clone().map(|time| (0, time)).collect()))).collect()
    }

    fn add(&mut self, history: &History<'_>, change: &Change<'_>) {
        self.0.push((change.place, history.began(change.request).min(change.at)));
    }

    /// How many lay in a window when a change was decided on. After the clock was set back, what lies ahead counts as of
    /// then; what had left the window before does not come back.
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

/// The requests that guess at a challenge, and whether with the right code.
pub(super) fn guesses<'h>(history: &'h History<'_>) -> impl Iterator<Item = (usize, &'h Challenge, bool)> {
    history.asks.iter().enumerate().filter_map(|(request, ask)| match ask {
        Ask::Guess { challenge, right, .. } => Some((request, &**challenge, *right)),
        _ => None,
    })
}

/// Where a request shows that it has compared a code.
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

/// Whether a change opened a challenge.
pub(super) fn opened(history: &History<'_>, place: usize) -> bool {
    let Some(change) = history.change_at(place) else { return false };
    let before = change.before.and_then(View::address);
    let is_new = |id: &str| before.is_none_or(|before| before.challenge(id).is_none());
    change.after.address().is_some_and(|after| after.challenges.iter().any(|challenge| is_new(&challenge.id)))
}

/// The mark that a session leaves in the challenge that it spent.
pub(super) fn mark_of(session: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&crate::request::base64url(session)[..8])
}
