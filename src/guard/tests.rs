//! The rules of the guard, against a model that keeps every message.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]

use core::num::{NonZeroU16, NonZeroU32};

use proptest::prelude::*;

use crate::address::AddressPolicy;
use crate::change::{Attempt, Change};
use crate::guard::charge::{Charge, Credit, NotCharged, TakeBackCharge};
use crate::guard::destination::{Destination, Messages};
use crate::guard::message::{CountedMessage, Settlement};
use crate::guard::standing::{Rule, Standing};
use crate::guard::{Countries, MessageBudget, SendGuard, Threshold, Trust};
use crate::id::ChallengeId;
use crate::time::Timestamp;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Midnight.
const START: u64 = 20_000 * DAY;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn message(number: u64, sent_at: u64, code_for: u64) -> CountedMessage {
    let mut id = [0; ChallengeId::LEN];
    id[..4].copy_from_slice(&(number as u32).to_be_bytes());
    CountedMessage::new(&ChallengeId::from_bytes(id), at(sent_at), at(sent_at + code_for))
}

fn attempt(now: u64) -> Attempt {
    Attempt { now: at(now), follows_unknown_outcome: false }
}

const NO_LIMIT: Rule = Rule::Earned { per_day: u32::MAX, per_hour: u32::MAX, percent: 0 };

fn charge(state: Option<Destination>, message: &CountedMessage, now: u64) -> Destination {
    judge(state, message, &NO_LIMIT, now).unwrap()
}

fn judge(
    state: Option<Destination>,
    message: &CountedMessage,
    rule: &Rule,
    now: u64,
) -> Result<Destination, NotCharged> {
    let charge = Charge { message, rule, trust: Trust::None, is_enforced: true, is_test: false };
    charge.decide(state, attempt(now)).map(|decision| decision.into_parts().0)
}

fn credit(state: Destination, verified: Option<CountedMessage>, dropped: &[CountedMessage], now: u64) -> Destination {
    let settlement = Settlement { verified, dropped: dropped.to_vec() };
    let credit = Credit { settlement: &settlement, is_test: false };
    match credit.decide(Some(state.clone()), attempt(now)) {
        Ok(decision) => decision.into_parts().0,
        Err(_) => state,
    }
}

/// What a destination says.
fn said(state: &Destination, now: u64) -> (Messages, Messages, u32, u32, u32) {
    let seen = state.clone().at(at(now));
    (seen.hour(), seen.day(), seen.best_day(), seen.best_hour(), seen.young())
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Unverified,
    Verified,
    Dropped,
}

/// Every message, and what became of it.
#[derive(Default)]
struct Model(Vec<(CountedMessage, Fate)>);

impl Model {
    fn said(&self, now: u64) -> (Messages, Messages, u32, u32, u32) {
        let sent = |message: &CountedMessage| message.sent_at.as_unix_millis();
        let count = |is_counted: &dyn Fn(u64) -> bool| {
            let counted = || self.0.iter().filter(|(message, _)| is_counted(sent(message)));
            let sent = counted().filter(|(_, fate)| *fate != Fate::Dropped).count() as u32;
            Messages { sent, verified: counted().filter(|(_, fate)| *fate == Fate::Verified).count() as u32 }
        };
        let (hour, day) = (now / HOUR, now / DAY);
        let days = (day - 13)..=day;
        let best_day = days.clone().map(|day| count(&|sent| sent / DAY == day).verified).max().unwrap();
        let hours = (day - 13) * 24..=hour;
        let best_hour = hours.map(|hour| count(&|sent| sent / HOUR == hour).verified).max().unwrap();
        let is_young = |message: &CountedMessage| message.young_until.as_unix_millis() / MINUTE >= now / MINUTE;
        let young = self.0.iter().filter(|(message, fate)| *fate == Fate::Unverified && is_young(message)).count();
        (count(&|sent| sent / HOUR == hour), count(&|sent| sent / HOUR + 24 > hour), best_day, best_hour, young as u32)
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Wait(u64),
    Send(u64),
    Verify(usize),
    Drop(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3 * HOUR).prop_map(Act::Wait),
        3 => (0..2 * MINUTE).prop_map(Act::Wait),
        1 => (0..20 * DAY).prop_map(Act::Wait),
        12 => (MINUTE..20 * MINUTE).prop_map(Act::Send),
        6 => (0..8_usize).prop_map(Act::Verify),
        3 => (0..8_usize).prop_map(Act::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_destination_counts_as_a_list_of_all_messages_does(acts in prop::collection::vec(act(), 1..120)) {
        let (mut now, mut state, mut model) = (START, Destination::default(), Model::default());
        for act in acts {
            match act {
                Act::Wait(millis) => now += millis,
                Act::Send(code_for) => {
                    let message = message(model.0.len() as u64, now, code_for);
                    state = charge(Some(state), &message, now);
                    model.0.push((message, Fate::Unverified));
                }
                Act::Verify(back) => {
                    let Some(index) = model.0.len().checked_sub(back + 1) else { continue };
                    let (message, fate) = &mut model.0[index];
                    if *fate == Fate::Unverified && now / HOUR < message.sent_at.as_unix_millis() / HOUR + 24 {
                        state = credit(state, Some(*message), &[], now);
                        *fate = Fate::Verified;
                    }
                    // A second credit changes nothing.
                    if state.was_credited(message) {
                        let again = credit(state.clone(), Some(*message), &[], now);
                        prop_assert_eq!(said(&again, now), said(&state, now));
                    }
                }
                Act::Drop(back) => {
                    let Some(index) = model.0.len().checked_sub(back + 1) else { continue };
                    let (message, fate) = &mut model.0[index];
                    let is_known = state.was_charged(message);
                    state = credit(state, None, &[*message], now);
                    if is_known {
                        prop_assert!(*fate == Fate::Unverified);
                        *fate = Fate::Dropped;
                    }
                }
            }
            prop_assert_eq!(said(&state, now), model.said(now));
            // A record that can be deleted says what no record says.
            let due = state.delete_after().as_unix_millis();
            let forgotten = said(&state, due.max(now));
            prop_assert_eq!(forgotten.1.sent + forgotten.2 + forgotten.3, 0);
            let text = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Destination>(&text).unwrap(), &state);
            prop_assert!(text.len() < 300, "{} bytes", text.len());
        }
    }
}

#[test]
fn idle_days_are_forgotten_one_after_the_other() {
    let one = message(1, START, MINUTE);
    let state = credit(charge(None, &one, START), Some(one), &[], START);
    let of = |now| said(&state, now);
    assert_eq!(of(START + 23 * HOUR).1, Messages { sent: 1, verified: 1 });
    assert_eq!(of(START + 24 * HOUR).1, Messages { sent: 0, verified: 0 });
    assert_eq!((of(START + 14 * DAY - 1).2, of(START + 14 * DAY - 1).3), (1, 1));
    assert_eq!((of(START + 14 * DAY).2, of(START + 14 * DAY).3), (0, 0));
    assert_eq!(state.delete_after(), at(START + 14 * DAY));
    let state = charge(None, &one, START);
    assert_eq!(state.delete_after(), at(START + DAY));
}

#[test]
fn a_record_lives_as_long_as_the_latest_message_that_it_counts() {
    let one = message(1, START, MINUTE);
    let sent_and_taken_back = |state: &Destination, now| {
        let other = message(2, now, MINUTE);
        let taken_back = TakeBackCharge { message: &other, is_test: false };
        taken_back.decide(Some(charge(Some(state.clone()), &other, now)), attempt(now)).ok().unwrap().into_parts().0
    };
    let unverified = charge(None, &one, START);
    assert_eq!(sent_and_taken_back(&unverified, START + 5 * HOUR).delete_after(), at(START + DAY));
    let verified = credit(unverified, Some(one), &[], START);
    assert_eq!(sent_and_taken_back(&verified, START + 3 * DAY).delete_after(), at(START + 14 * DAY));
}

#[test]
fn no_more_messages_are_verified_than_were_sent() {
    let one = message(1, START, MINUTE);
    let mut state = credit(charge(None, &one, START), Some(one), &[], START);
    // So many that the mark of the first is forgotten.
    for number in 2..20 {
        state = charge(Some(state), &message(number, START + HOUR, MINUTE), START + HOUR);
    }
    assert!(!state.was_credited(&one));
    let state = credit(state, Some(one), &[], START + HOUR);
    assert_eq!(said(&state, START + HOUR).1, Messages { sent: 19, verified: 1 });
    assert_eq!((said(&state, START + HOUR).2, said(&state, START + HOUR).3), (1, 1));
}

#[test]
fn a_clock_that_was_set_back_extends_and_forgets_nothing() {
    let now = START + 10 * DAY + 5 * HOUR;
    let mut state = Destination::default();
    for (number, sent_at) in [(1, now - 3 * HOUR), (2, now), (3, now)] {
        state = charge(Some(state), &message(number, sent_at, 5 * MINUTE), sent_at);
    }
    state = credit(state, Some(message(2, now, 5 * MINUTE)), &[], now);
    assert_eq!(said(&state, now).4, 1);
    // Within the tolerance, the clocks of two hosts differ.
    assert_eq!(said(&state, now - 5000), said(&state, now));
    for back in [5001, HOUR, 2 * HOUR, DAY, 9 * DAY] {
        let (hour, day, best_day, best_hour, young) = said(&state, now - back);
        assert_eq!((day, young), (Messages { sent: 3, verified: 1 }, 0), "{back}");
        assert!(hour.sent >= 2);
        assert_eq!((best_day, best_hour), (1, 1));
        // What lay in the future counts as of now, and then ages as everything does.
        let stored = charge(Some(state.clone()), &message(4, now - back, MINUTE), now - back);
        assert_eq!(said(&stored, now - back).1.sent, 4);
        assert_eq!(said(&stored, now - back + DAY).1.sent, 0);
        assert_eq!(said(&stored, now - back + 15 * DAY).2, 0);
    }
}

#[test]
fn two_hosts_whose_clocks_differ_count_as_one() {
    // Five seconds around midnight, by turns.
    let mut state = Destination::default();
    for number in 0..10 {
        let now = START + DAY + if number % 2 == 0 { 2500 } else { 0 } - 2500;
        let message = message(number, now, MINUTE);
        state = charge(Some(state), &message, now);
    }
    assert_eq!(said(&state, START + DAY - 2500).1.sent, 10);
    let one = message(3, START + DAY - 2500, MINUTE);
    state = credit(state, Some(one), &[], START + DAY);
    assert_eq!(said(&state, START + DAY).1, Messages { sent: 10, verified: 1 });
}

#[test]
fn the_sender_of_a_message_can_be_ahead_of_the_clock_that_charges_it() {
    let sent_at = START + HOUR;
    let one = message(1, sent_at, MINUTE);
    let state = charge(None, &one, sent_at - 5000);
    assert_eq!(said(&state, sent_at).0.sent, 1);
}

#[test]
fn an_unknown_outcome_is_recognised_by_the_mark() {
    let [one, other] = [1, 2].map(|number| message(number, START, MINUTE));
    let state = charge(None, &one, START);
    let found = |message: &CountedMessage| {
        Charge { message, rule: &NO_LIMIT, trust: Trust::None, is_enforced: true, is_test: false }
            .found_in(&state)
            .is_some()
    };
    assert!(found(&one) && !found(&other));
    let settled = |verified| Settlement { verified: Some(verified), dropped: Vec::new() };
    assert!(Credit { settlement: &settled(one), is_test: false }.found_in(&state).is_none());
    let state = credit(state, Some(one), &[], START);
    assert!(Credit { settlement: &settled(one), is_test: false }.found_in(&state).is_some());
    assert!(Credit { settlement: &settled(other), is_test: false }.found_in(&state).is_none());
    // A second credit, and a charge that is taken back after it, find nothing to do.
    assert!(Credit { settlement: &settled(one), is_test: false }.decide(Some(state.clone()), attempt(START)).is_err());
    assert!(TakeBackCharge { message: &one, is_test: false }.decide(Some(state), attempt(START)).is_err());
}

#[test]
fn what_was_not_charged_is_neither_taken_back_nor_dropped() {
    let [one, other] = [1, 2].map(|number| message(number, START, MINUTE));
    let state = charge(None, &one, START);
    assert!(TakeBackCharge { message: &other, is_test: false }.decide(Some(state.clone()), attempt(START)).is_err());
    assert_eq!(credit(state.clone(), None, &[other], START), state);
    let taken = TakeBackCharge { message: &one, is_test: false }
        .decide(Some(state.clone()), attempt(START))
        .ok()
        .unwrap()
        .into_parts()
        .0;
    assert_eq!(said(&taken, START).1.sent, 0);
    assert!(TakeBackCharge { message: &one, is_test: false }.decide(Some(taken), attempt(START)).is_err());
    assert!(TakeBackCharge { message: &one, is_test: false }.decide(None, attempt(START)).is_err());
}

/// Sends so many messages, one after the other, and returns how many pass.
fn passes(rule: &Rule, state: &mut Destination, from: u64, times: impl IntoIterator<Item = u64>) -> usize {
    let mut passed = 0;
    for (number, now) in times.into_iter().enumerate() {
        if let Ok(next) = judge(Some(state.clone()), &message(from + number as u64, now, 3 * MINUTE), rule, now) {
            *state = next;
            passed += 1;
        }
    }
    passed
}

#[test]
fn a_block_without_logins_has_five_messages_a_day_and_three_young_ones_more() {
    let rule = Rule::earned(&SendGuard::default().block);
    // At once: three are young, and three reach the hourly count.
    let mut state = Destination::default();
    assert_eq!(passes(&rule, &mut state, 0, [START; 20]), 6);
    // Their time is over, and six are more than five.
    assert_eq!(passes(&rule, &mut state, 100, (1..24).map(|hour| START + hour * HOUR)), 0);
    assert_eq!(passes(&rule, &mut state, 200, [START + 24 * HOUR; 20]), 6);
    // One in 20 minutes: each is old when the next comes. The fourth of an hour is refused.
    let mut state = Destination::default();
    assert_eq!(passes(&rule, &mut state, 0, (0..3).map(|n| START + n * 19 * MINUTE)), 3);
    assert_eq!(passes(&rule, &mut state, 10, [START + 59 * MINUTE]), 0);
    // A day has five.
    assert_eq!(passes(&rule, &mut state, 20, (1..23).map(|hour| START + hour * HOUR)), 2);
}

#[test]
fn a_destination_earns_half_of_its_best_day() {
    let rule = Rule::Earned { per_day: 5, per_hour: 5, percent: 50 };
    let mut state = Destination::default();
    for number in 0..40 {
        let now = START + number * 30 * MINUTE;
        let one = message(number, now, MINUTE);
        state = credit(charge(Some(state), &one, now), Some(one), &[], now);
    }
    // On the 13th day after, 20 unverified messages pass, in steps of 20 minutes.
    let mut old = state.clone();
    assert_eq!(passes(&rule, &mut old, 100, (0..66).map(|n| START + 13 * DAY + n * 20 * MINUTE)), 20);
    assert_eq!(passes(&rule, &mut state, 100, (0..66).map(|n| START + 14 * DAY + n * 20 * MINUTE)), 5);
}

#[test]
fn young_messages_are_let_off_up_to_the_best_hour() {
    let rule = Rule::Earned { per_day: 4, per_hour: 2, percent: 50 };
    let mut state = Destination::default();
    for number in 0..10 {
        let one = message(number, START, MINUTE);
        state = credit(charge(Some(state), &one, START), Some(one), &[], START);
    }
    // The next day: ten young ones are let off, and half of the ten verified ones are allowed.
    assert_eq!(passes(&rule, &mut state, 100, [START + 2 * DAY; 40]), 15);
    assert_eq!(said(&state, START + 2 * DAY + 3 * MINUTE).4, 15);
    assert_eq!(said(&state, START + 2 * DAY + 4 * MINUTE).4, 0);
    // No code counts as young for more than ten minutes.
    let long = message(1, START, DAY);
    let state = charge(None, &long, START);
    assert_eq!((said(&state, START + 10 * MINUTE).4, said(&state, START + 11 * MINUTE).4), (1, 0));
}

#[test]
fn a_budget_is_half_used_and_used_up() {
    let number = |number| NonZeroU32::new(number).unwrap();
    let rule = |per_hour, per_day, shards| {
        let shards = NonZeroU16::new(shards).unwrap();
        Rule::budget_of_a_shard(&MessageBudget::new(number(per_hour), number(per_day)), shards)
    };
    let standings = |rule: Rule| -> Vec<Standing> {
        let mut state = Destination::default();
        (0..12)
            .map(|number| {
                let standing = rule.standing(&state);
                state = charge(Some(state.clone()), &message(number, START, MINUTE), START);
                standing
            })
            .collect()
    };
    let as_told = |free: usize, trusted: usize| -> Vec<Standing> {
        (0..12)
            .map(|sent| match sent {
                sent if sent < free => Standing::Free,
                sent if sent < trusted => Standing::NeedsTrust,
                _ => Standing::UsedUp,
            })
            .collect()
    };
    assert_eq!(standings(rule(10, 100, 1)), as_told(5, 10));
    assert_eq!(standings(rule(100, 7, 1)), as_told(4, 7));
    assert_eq!(standings(rule(160, 1600, 16)), as_told(5, 10));
    assert_eq!(standings(rule(10, 10, 16)), as_told(2, 3));
    assert!(Standing::Free.admits(Trust::None) && !Standing::NeedsTrust.admits(Trust::None));
    assert!(Standing::NeedsTrust.admits(Trust::Allowed) && !Standing::UsedUp.admits(Trust::Allowed));
    assert!(Standing::UsedUp.admits(Trust::Device));
}

#[test]
fn a_shard_has_its_share_and_three_at_least() {
    let threshold =
        |per_day, per_hour| Threshold::new(NonZeroU32::new(per_day).unwrap(), NonZeroU32::new(per_hour).unwrap());
    let of = |threshold: Threshold, shards| match Rule::earned_in_a_shard(&threshold, NonZeroU16::new(shards).unwrap())
    {
        Rule::Earned { per_day, per_hour, .. } => (per_day, per_hour),
        Rule::Budget { .. } => (0, 0),
    };
    assert_eq!(of(threshold(20, 3), 16), (3, 3));
    assert_eq!(of(threshold(160, 64), 16), (10, 4));
    assert_eq!(of(threshold(2, 1), 1), (2, 1));
}

#[test]
fn an_observed_charge_refuses_nothing() {
    let rule = Rule::Earned { per_day: 1, per_hour: 1, percent: 0 };
    let mut state = Destination::default();
    for number in 0..9 {
        let message = message(number, START, MINUTE);
        let charge = Charge { message: &message, rule: &rule, trust: Trust::None, is_enforced: false, is_test: false };
        assert_eq!(rule.standing(&state.clone().at(at(START))).admits(Trust::None), number < 2);
        state = charge.decide(Some(state), attempt(START)).ok().unwrap().into_parts().0;
    }
    assert_eq!(said(&state, START).1.sent, 9);
}

#[test]
fn the_longest_code_decides_about_a_country() {
    let countries = Countries::only(["86", "1", "44", "7"]).unwrap().except(["1876"]).unwrap();
    let policy = AddressPolicy::default();
    for (number, is_allowed) in [
        ("+8613612345678", true),
        ("+12025550123", true),
        ("+18765550123", false),
        ("+447911123456", true),
        ("+77011234567", true),
        ("+8521234567", false),
        ("+33612345678", false),
        ("13612345678", false),
    ] {
        assert_eq!(countries.allow(&policy.phone_number(number).unwrap()), is_allowed, "{number}");
    }
    let city = Countries::only(["1212"]).unwrap();
    assert!(city.allow(&policy.phone_number("+12125550123").unwrap()));
    assert!(!city.allow(&policy.phone_number("+12025550123").unwrap()));
    let again = Countries::only(["1"]).unwrap().except(["1"]).unwrap();
    assert!(!again.allow(&policy.phone_number("+12125550123").unwrap()));
    for bad in ["", "+86", "0", "8", "861", "44 ", "12", "12125", "1012", "１", "1é"] {
        assert!(Countries::only([bad]).is_err(), "{bad}");
    }
    for good in ["1", "7", "20", "86", "852", "1212", "998"] {
        assert!(Countries::only([good]).is_ok(), "{good}");
    }
}

#[test]
fn a_number_has_a_calling_code_and_a_block() {
    let policy = AddressPolicy::default();
    for (number, code, block) in [
        ("+8613612345678", Some("86"), "+861361234"),
        ("+12025550123", Some("1"), "+1202555"),
        ("+77011234567", Some("7"), "+7701123"),
        ("+85212345678", Some("852"), "+8521234"),
        ("13612345678", None, "1361234"),
        ("1234567", None, "123"),
    ] {
        let number = policy.phone_number(number).unwrap();
        assert_eq!((number.calling_code(), number.block()), (code, block));
    }
}

#[test]
fn a_busy_destination_takes_about_250_bytes() {
    let mut state = Destination::default();
    for number in 0..14 * 24 * 60 {
        let now = START + number * MINUTE;
        let one = message(number, now, 3 * MINUTE);
        state = charge(Some(state), &one, now);
        if number % 5 != 0 {
            state = credit(state, Some(one), &[], now);
        }
    }
    let size = serde_json::to_string(&state).unwrap().len();
    assert!((200..275).contains(&size), "{size} bytes");
}

#[test]
fn the_stored_form_stays_as_it_is() {
    let one = message(1, START + HOUR, 3 * MINUTE);
    let two = message(2, START + 2 * HOUR, 3 * MINUTE);
    let state = charge(Some(charge(None, &one, START + HOUR)), &two, START + 2 * HOUR);
    let state = credit(state, Some(one), &[], START + 2 * HOUR);
    let text = r#"{"w":1728007200000,"h":"AQABAQ","d":"AQE","y":"AAAAAQ","m":"AAAAAv____4"}"#;
    assert_eq!(serde_json::to_string(&state).unwrap(), text);
    assert_eq!(serde_json::from_str::<Destination>(text).unwrap(), state);
    let later = r#"{"w":1728007200000,"h":"AQ","x":[1]}"#;
    assert_eq!(serde_json::to_string(&serde_json::from_str::<Destination>(later).unwrap()).unwrap(), later);
    for bad in [r#"{"w":1,"h":1}"#, r#"{"w":1,"h":"!"}"#, r#"{"w":1,"m":"AAA"}"#] {
        assert!(serde_json::from_str::<Destination>(bad).is_err(), "{bad}");
    }
}
