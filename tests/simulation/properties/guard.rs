//! Promises of the send guard (rustdoc of `guard`), where it is enforced.

use std::collections::{BTreeSet, HashMap};

use otp_grant::guard::Verdict;
use otp_grant::id::RecordKey;

use super::{Checked, devices};
use crate::acts::Act;
use crate::facts::{Change, History, View};
use crate::request::{Answer, Ask};

/// A message counts as unverified for its destinations before it is delivered: for its block and its country. So no
/// crash makes a count too small. The message of a send that is refused then is taken back.
pub(super) fn a_message_is_counted_before_it_is_delivered(history: &History<'_>) -> Checked {
    for (request, place, answer) in history.answers().filter(|_| history.rules.guards) {
        // What is refused after a charge is taken back.
        if matches!(answer, Answer::Challenged) && !history.is_struck(request) {
            let stays = |change: Change<'_>| {
                let mut later = history.stored_by(request).filter(|later| later.place > change.place);
                !later.any(|later| later.key == change.key && counts(Some(later.after)) < counts(later.before))
            };
            if charges(history, request).any(stays) {
                return Err(format!("request {request} was refused, and a destination counts it"));
            }
        }
        if !matches!(answer, Answer::Sent(challenge) if !challenge.is_test) {
            continue;
        }
        let charged: BTreeSet<RecordKey> =
            charges(history, request).filter(|change| change.place < place).map(|change| change.key).collect();
        if charged.len() < 2 {
            return Err(format!("request {request} was delivered, and {} destinations count it", charged.len()));
        }
    }
    Ok(())
}

/// No destination counts fewer unverified messages than were delivered and not settled by a login of their address.
pub(super) fn no_destination_counts_too_few(history: &History<'_>) -> Checked {
    if !history.rules.guards {
        return Ok(());
    }
    let mut charged = HashMap::new();
    for change in history.changes() {
        let (Some((sent, verified)), Some(ask)) = (counts(Some(change.after)), history.asks.get(change.request)) else {
            continue;
        };
        let of_key: &mut Vec<(u64, &str, _)> = charged.entry(change.key).or_default();
        let was_delivered = matches!(history.answer(change.request), Some((_, Answer::Sent(_))));
        if let (Some(phone), true, true) = (ask.phone(), was_delivered, is_charge(&change)) {
            of_key.push((history.began(change.request), phone, change.place));
        }
        // Only a success after the charge settles the message.
        let is_settled = |phone: &str, charged_at| {
            let mut before = history.changes().take_while(|other| other.place <= change.place);
            before.any(|other| {
                let same = history.asks.get(other.request).is_some_and(|ask| ask.phone() == Some(phone));
                same && other.place > charged_at && other.spent().next().is_some()
            })
        };
        let is_counted =
            |(at, phone, place): &&(u64, &str, _)| change.at < at + 22 * HOUR && !is_settled(phone, *place);
        let least = of_key.iter().filter(is_counted).count();
        if sent.saturating_sub(verified) < least {
            let unverified = sent.saturating_sub(verified);
            return Err(format!("after request {} a destination counts {unverified}, not {least}", change.request));
        }
    }
    Ok(())
}

/// A message counts as verified once its code is redeemed, and once.
pub(super) fn a_success_is_credited_once(history: &History<'_>) -> Checked {
    if !history.rules.guards {
        return Ok(());
    }
    let mut credited: HashMap<RecordKey, BTreeSet<usize>> = HashMap::new();
    for change in history.changes() {
        let Some((_, verified)) = counts(Some(change.after)) else { continue };
        let of_key = credited.entry(change.key).or_default();
        if matches!(history.asks.get(change.request), Some(Ask::Guess { .. })) {
            of_key.insert(change.request);
            let mut own = history.stored_by(change.request).take_while(|own| own.place < change.place);
            if !own.any(|own| own.spent().next().is_some()) {
                return Err(format!("request {} credited a destination before it spent a code", change.request));
            }
        }
        let before = history.past.views.get(&change.key).and_then(|view| counts(Some(view))).unwrap_or_default().1;
        if verified > before + of_key.len() {
            return Err(format!("after request {} a destination counts {verified} as verified", change.request));
        }
    }
    Ok(())
}

/// A country is spread over shards by a MAC of the address (rustdoc of `SendGuard::shards`): an address always has the
/// same destinations.
pub(super) fn an_address_has_its_destinations(history: &History<'_>) -> Checked {
    let mut of_phone: HashMap<&str, BTreeSet<RecordKey>> = HashMap::new();
    for (request, _, answer) in history.answers().filter(|_| history.rules.guards) {
        let (Answer::Sent(challenge), Some(phone)) = (answer, history.asks[request].phone()) else { continue };
        let keys: BTreeSet<RecordKey> = charges(history, request).map(|change| change.key).collect();
        if !challenge.is_test && *of_phone.entry(phone).or_insert_with(|| keys.clone()) != keys {
            return Err(format!("request {request} has other destinations than an earlier send to its address"));
        }
    }
    Ok(())
}

/// Past a threshold, a send needs a reason to be trusted. A block gives 3 messages in an hour and 5 in a day that
/// nobody redeems, or half of what is verified. Messages that are younger than their code's time are let off: 3, or as
/// many as the best hour had (rustdoc of `Threshold`).
pub(super) fn no_more_is_delivered_than_a_threshold_lets_through(history: &History<'_>) -> Checked {
    if !history.rules.guards || history.clock_was_set_back {
        return Ok(());
    }
    let hour = |act: &Act, at: u64| at.saturating_add_signed(history.rules.ahead[act.host]) / HOUR;
    let success = |act: &&Act| {
        let is_right = act.guess().is_some_and(|(_, right)| right);
        is_right && (act.has_redeemed() || matches!(act.answer(), None | Some(Answer::Unavailable)))
    };
    let untrusted: Vec<(&Act, u64)> = history
        .acts
        .iter()
        .filter(|act| {
            let is_untrusted = matches!(&act.ask, Ask::Send { with, .. } if with.verdict == Verdict::None);
            let is_settled = |other: &Act| other.ask.phone() == act.ask.phone() && other.ended() > act.began;
            let is_in_one_hour = hour(act, act.began.at) == hour(act, act.ended().at);
            is_untrusted
                && act.device().is_none()
                && act.sent().is_some_and(|sent| !sent.is_test)
                && is_in_one_hour
                && !history.acts.iter().filter(success).any(is_settled)
        })
        .map(|act| (act, hour(act, act.began.at)))
        .collect();
    for (last, now) in &untrusted {
        let block = block_of(last);
        // What was verified before the send ended, on the 14 days that count.
        let is_earlier = |act: &&Act| act.began < last.ended() && hour(act, act.began.at) + 14 * 24 > *now;
        let of_block = history.acts.iter().filter(success).filter(|act| block_of(act) == block);
        let verified = of_block.filter(is_earlier).count();
        let within = |hours: u64| {
            let counts = |(act, at): &&(&Act, u64)| block_of(act) == block && at <= now && now - at < hours;
            untrusted.iter().filter(counts).count()
        };
        for (hours, floor) in [(1, 3), (24, 5)] {
            let most = verified.max(3) + verified.div_ceil(2).max(floor);
            if within(hours) > most {
                let name = last.name();
                return Err(format!("{name} was message {} to its block in {hours} h, of {most}", within(hours)));
            }
        }
    }
    Ok(())
}

/// A send is challenged only past a threshold, and never with a reason to be trusted: the host's verdict, or a device
/// that is known (rustdoc of `guard`). The present hour and the 23 before it count.
pub(super) fn a_challenge_is_for_a_reason(history: &History<'_>) -> Checked {
    if history.clock_was_set_back {
        return Ok(());
    }
    for act in history.acts.iter().filter(|act| matches!(act.answer(), Some(Answer::Challenged))) {
        let is_allowed = matches!(&act.ask, Ask::Send { with, .. } if with.verdict == Verdict::Allow);
        if is_allowed || devices::has_a_budget_of_its_own(history, act) {
            return Err(format!("{} was challenged in spite of its reason to be trusted", act.name()));
        }
        let may_count = |other: &&Act| {
            let is_refused = matches!(other.answer(), Some(Answer::Challenged | Answer::Throttled { .. }));
            let stays = other.mishaps > 0 || other.ended() > act.began;
            let until = if other.answered.is_some() { other.ended().at } else { other.began.at + HOUR };
            matches!(other.ask, Ask::Send { .. })
                && other.began != act.began
                && other.began < act.ended()
                && until + 25 * HOUR > act.began.at
                && (!is_refused || stays)
        };
        let count = history.acts.iter().filter(may_count).count();
        // A shard of a country gives 3.
        if count < 3 && !act.read_stale {
            return Err(format!("{} was challenged after {count} messages", act.name()));
        }
    }
    Ok(())
}

/// Returns the changes by which a send charged its message.
fn charges<'h>(history: &'h History<'_>, request: usize) -> impl Iterator<Item = Change<'h>> {
    history.stored_by(request).filter(is_charge)
}

fn is_charge(change: &Change<'_>) -> bool {
    let before = counts(change.before).unwrap_or_default().0;
    // An older hour can have left the row with the same swap, so the latest mark also tells.
    counts(Some(change.after)).is_some_and(|(sent, _)| sent > before) || is_marked(change)
}

fn is_marked(change: &Change<'_>) -> bool {
    let latest =
        |view: Option<&View>| view.and_then(View::destination).and_then(crate::facts::DestinationView::latest_mark);
    let after = latest(Some(change.after));
    after.is_some() && after != latest(change.before)
}

fn counts(view: Option<&View>) -> Option<(usize, usize)> {
    view?.destination().map(crate::facts::DestinationView::counts)
}

fn block_of(act: &Act) -> Option<&'static str> {
    act.ask.phone().map(|phone| &phone[..phone.len() - 4])
}

const HOUR: u64 = 60 * 60 * 1000;
