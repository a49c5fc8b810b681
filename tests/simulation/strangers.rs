//! Checks that a stranger sees the same of an address whether its owner logs in or not.

use std::sync::Arc;

use otp_grant_tests::{CLIENT, PUBLIC_CLIENT, secs};

use crate::request::{Answer, Ask, Challenge, Device, Purpose, With};
use crate::world::{KNOWN, Random, World};

/// Until an address is proved, every reply is the same, and other clients than the user's do not see whether the user
/// has just logged in (README, guarantee 10). Plays a stranger who sends and guesses at random: once with an owner who
/// redeems the codes, and once with an owner who does not. The owner requests codes in both cases.
///
/// With a known device, the owner has budgets apart from those of everybody (rustdoc of `DevicePolicy`). Then the
/// stranger sees the same even where the owner requests no code.
pub fn compare(seed: u64, has_device: bool) -> Result<usize, String> {
    let [with, without] = [true, false].map(|logs_in| watch(seed, logs_in, has_device));
    let differs = with.iter().zip(&without).position(|(one, other)| one != other);
    match differs {
        None if with.len() == without.len() => Ok(with.len()),
        None => Err(format!("seed {seed}: the stranger got {} answers, and {}", with.len(), without.len())),
        Some(place) => Err(format!(
            "seed {seed}: answer {place} of the stranger is {} when the owner logs in, and {} when they don't",
            with[place], without[place]
        )),
    }
}

/// Returns the answers to the stranger without their tokens.
fn watch(seed: u64, owner_logs_in: bool, has_device: bool) -> Vec<String> {
    let world = World::new(seed, "profile");
    let random = Random::new(!seed);
    let mut seen = Vec::new();
    let mut challenges: Vec<Arc<Challenge>> = Vec::new();
    let send = |client| Ask::Send { phone: KNOWN, purpose: Purpose::Login, client, with: With::default() };
    let guess = |challenge: &Arc<Challenge>, right| Ask::Guess { challenge: challenge.clone(), right, signs_up: false };
    let mut device: Option<Arc<Device>> = None;
    if has_device {
        let Answer::Sent(challenge) = world.ask_at(0, world.store.join(), &send(CLIENT)) else { return seen };
        let login = world.ask_at(0, world.store.join(), &guess(&challenge.remembering(), true));
        device = if let Answer::LoggedIn(tokens) = login { tokens.device } else { None };
        world.clock.advance(secs(86_400));
    }
    for _ in 0..STEPS {
        world.clock.advance(secs(random.pick(&[1, 5, 31, 31, 61, 61, 130, 600, 7_200])));
        if random.percent(25) {
            if device.is_some() && !owner_logs_in {
                continue;
            }
            let with = With { device: device.clone(), ..With::default() };
            let own = Ask::Send { phone: KNOWN, purpose: Purpose::Login, client: CLIENT, with };
            let answer = world.ask_at(0, world.store.join(), &own);
            if let (Answer::Sent(challenge), true) = (answer, owner_logs_in) {
                world.ask_at(0, world.store.join(), &guess(&challenge, true));
            }
            continue;
        }
        let mut asks = vec![send(PUBLIC_CLIENT)];
        let latest: Vec<_> = challenges.iter().rev().take(2).cloned().collect();
        if !latest.is_empty() {
            asks.extend((0..random.below(6)).map(|_| guess(&random.pick(&latest), false)));
        }
        for ask in asks {
            let answer = world.ask_at(0, world.store.join(), &ask);
            seen.push(match &answer {
                Answer::Throttled { retry_after } => format!("Throttled for {retry_after} s"),
                Answer::WrongCode { attempts_remaining } => format!("WrongCode, {attempts_remaining:?} remaining"),
                other => other.name(),
            });
            if let Answer::Sent(challenge) = answer {
                challenges.push(challenge);
            }
        }
    }
    seen
}

const STEPS: usize = 40;
