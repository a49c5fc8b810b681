//! The rules of the record of an address, beside the scenarios: its room, forgiven guesses and the clock.
#![allow(clippy::unwrap_used)]

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use crate::change::{Attempt, Change};
use crate::id::{Binding, ChallengeId, KeyId, Mark, MessageMark, Nonce};
use crate::otp::authenticator::Authenticator;
use crate::otp::challenge::NewChallenge;
use crate::otp::guess_budget::{Proven, RedeemChallenge, ReleaseGuess, ReserveGuess};
use crate::otp::limits::Limits;
use crate::otp::meter::Quota;
use crate::otp::policy::CodePolicy;
use crate::otp::resend::{NotOpened, OpenChallenge, TakeBackSend};
use crate::secret::PresentedSecret;
use crate::time::{CLOCK_TOLERANCE, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

fn limits(sends: Vec<Quota>) -> Limits {
    let guesses_per_address = Quota::new(NonZeroU32::MAX, Duration::from_secs(60));
    Limits { sends, guesses_per_challenge: NonZeroU8::MIN, guesses_per_address, devices: None }
}

fn open(from: Authenticator, number: u8, limits: &Limits) -> Result<Authenticator, NotOpened> {
    open_at(NOW, from, number, limits, false)
}

fn open_at(
    now: Timestamp,
    from: Authenticator,
    number: u8,
    limits: &Limits,
    is_counted: bool,
) -> Result<Authenticator, NotOpened> {
    let policy = CodePolicy::default();
    let new = NewChallenge {
        id: ChallengeId::from_bytes([number; 32]),
        nonce: Nonce::from_bytes([number; 16]),
        code_key: KeyId::from_bytes([0; KeyId::LEN]),
        binding: Binding::from_bytes([number; Binding::LEN]),
        policy: &policy,
        knows_key: &|_| true,
    };
    let attempt = Attempt { now, follows_unknown_outcome: false };
    OpenChallenge { new, device: None, limits, is_counted }
        .decide(Some(from), attempt)
        .map(|decision| decision.into_parts().0)
}

#[test]
fn without_quotas_the_newest_challenges_are_kept_and_no_more_than_there_is_room_for() {
    let mut state = Authenticator::default();
    for number in 0..12 {
        state = open(state, number, &limits(Vec::new())).unwrap();
    }
    let is_kept: Vec<bool> =
        (0..13).map(|number| state.challenge(&ChallengeId::from_bytes([number; 32])).is_some()).collect();
    let expected: Vec<bool> = (0..13).map(|number| (2..12).contains(&number)).collect();
    assert_eq!(is_kept, expected);
}

#[test]
fn with_quotas_no_challenge_makes_room_for_another() {
    let limits = limits(vec![Quota::new(NonZeroU32::MAX, Duration::from_secs(60))]);
    let mut state = Authenticator::default();
    for number in 0..100 {
        state = open(state, number, &limits).unwrap();
    }
    let refused = NotOpened::Throttled { retry_after: Duration::from_secs(300) };
    assert_eq!(open(state.clone(), 100, &limits).err(), Some(refused));
    assert_eq!(state.challenges.len(), 100);
}

#[test]
fn a_success_that_is_taken_back_has_forgiven_no_guess() {
    let attempt = Attempt { now: NOW, follows_unknown_outcome: false };
    let (policy, presented) = (CodePolicy::default(), PresentedSecret::new("123456"));
    let limits = Limits { guesses_per_challenge: NonZeroU8::MAX, ..limits(Vec::new()) };
    let (id, nonce) = (ChallengeId::from_bytes([1; 32]), Nonce::from_bytes([1; 16]));
    let [wrong, right, spender] = [2, 3, 4].map(|number| Mark::from_bytes([number; 8]));
    let mut state = open(Authenticator::default(), 1, &limits).unwrap();
    for mark in [wrong, right] {
        let (policy, limits, presented) = (&policy, &limits, &presented);
        let (device, repeat_window, proof) = (None, Duration::ZERO, None);
        let reserve = ReserveGuess { id, mark, presented, device, policy, limits, repeat_window, proof };
        state = reserve.decide(Some(state), attempt).ok().unwrap().into_parts().0;
    }
    let (proven, session, device, new_device) = (&Proven { id, nonce }, None, None, None);
    let redeem = RedeemChallenge { proven, spender, session, device, new_device, limits: &limits };
    let spent = redeem.decide(Some(state), attempt).ok().unwrap().into_parts().0;
    assert_eq!((spent.failures.len(), spent.guesses_of(&nonce)), (0, 2));

    let release = ReleaseGuess { mark: right, spender, limits: &limits };
    let state = release.decide(Some(spent), attempt).ok().unwrap().into_parts().0;
    assert_eq!((state.failures.len(), state.guesses_of(&nonce)), (1, 1));
    assert!(state.challenge(&id).unwrap().is_live(NOW));
}

/// How many messages an address has that no success has settled.
fn unsettled(state: &Authenticator) -> usize {
    state.messages.clone().take().len()
}

#[test]
fn a_message_is_kept_as_long_as_its_challenge() {
    let (limits, policy) = (limits(Vec::new()), CodePolicy::default());
    let mut state = Authenticator::default();
    for number in 1..=3 {
        state = open_at(NOW, state, number, &limits, true).unwrap();
    }
    let ended = NOW.after(policy.token_validity());
    assert_eq!((unsettled(&state), state.delete_after(&limits)), (3, ended));
    let state = open_at(ended, state, 4, &limits, true).unwrap();
    assert_eq!((unsettled(&state), state.delete_after(&limits)), (1, ended.after(policy.token_validity())));
}

#[test]
fn a_send_that_is_taken_back_leaves_no_message_even_where_its_challenge_stays() {
    let attempt = Attempt { now: NOW, follows_unknown_outcome: false };
    let (limits, policy) = (limits(Vec::new()), &CodePolicy::default());
    let mut state = Authenticator::default();
    for number in [1, 2] {
        state = open_at(NOW, state, number, &limits, true).unwrap();
    }
    let (id, mark, presented) =
        (ChallengeId::from_bytes([1; 32]), Mark::from_bytes([3; 8]), &PresentedSecret::new("123456"));
    let (device, repeat_window, proof) = (None, Duration::ZERO, None);
    let reserve = ReserveGuess { id, mark, presented, device, policy, limits: &limits, repeat_window, proof };
    let state = reserve.decide(Some(state), attempt).ok().unwrap().into_parts().0;
    let take_back = TakeBackSend { id, token_validity: policy.token_validity() };
    let mut state = take_back.decide(Some(state), attempt).ok().unwrap().into_parts().0;
    assert!(state.challenge(&id).is_some());
    let left: Vec<_> = state.messages.take().iter().map(|message| message.mark).collect();
    assert_eq!(left, [MessageMark::of(&ChallengeId::from_bytes([2; 32]))]);
}

#[test]
fn a_reading_within_the_tolerance_is_not_from_the_future() {
    let state = open(Authenticator::default(), 1, &limits(Vec::new())).unwrap();
    assert!(!state.is_from_the_future(NOW.before(CLOCK_TOLERANCE)));
    assert!(state.is_from_the_future(NOW.before(CLOCK_TOLERANCE + Duration::from_millis(1))));
}
