//! A simulation: the flows as they are, over a store, a directory, a clock and a network that go step by step.
//!
//! It tries every order of the store calls of 2 and of 3 requests on one record, with every single thing that can go wrong
//! at every call, and plays long histories of many users, thieves and guessers at random. Whatever happened is held against
//! the properties in `properties`. A failure says how to run it again.
//!
//! - `SIMULATION=all` tries all combinations of 3 requests with everything; otherwise a fixed choice of them. `SIMULATION=3/8` tries the
//!   third eighth of all.
//! - `SIMULATION_ONLY=…` runs one plan again, as a failure names it.
//! - `SIMULATION_SEED=n` plays one history again; `SIMULATION_RUNS=n` plays so many.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a simulation that finds something has to fail loudly"
)]

#[path = "../support/mod.rs"]
mod support;

mod actors;
mod exhaustive;
mod facts;
mod history;
mod properties;
mod request;
mod scene;
mod signer;
mod world;

use exhaustive::{Tally, combinations, explore, explore_without_trouble};
use history::{Played, play};
use scene::{Guessed, Scene};
use world::{KNOWN, LOCKED, UNKNOWN, World};

#[test]
fn two_requests_on_an_address() {
    let world = World::new(0, "profile");
    let mut tally = Tally::default();
    for guessed in GUESSED {
        let scene = Scene::of_address(&world, "known", KNOWN, guessed);
        combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    }
    println!("two requests on an address: {tally}");
}

#[test]
fn two_requests_on_a_session() {
    let world = World::new(0, "openid");
    let mut tally = Tally::default();
    for millis_ago in MILLIS_AGO {
        let scene = Scene::of_session(&world, millis_ago);
        combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    }
    println!("two requests on a session: {tally}");
}

#[test]
fn three_requests_on_an_address() {
    explore_three_on_an_address(0);
}

#[test]
fn three_requests_on_an_address_whose_challenge_has_one_guess_left() {
    explore_three_on_an_address(1);
}

#[test]
fn three_requests_on_an_address_that_has_one_guess_left() {
    explore_three_on_an_address(2);
}

#[test]
fn three_requests_on_a_session() {
    let world = World::new(0, "openid");
    let mut tally = Tally::default();
    for (place, millis_ago) in MILLIS_AGO.into_iter().enumerate() {
        let scene = Scene::of_session(&world, millis_ago);
        for (index, kinds) in combinations::<3>(scene.kinds.len()).iter().enumerate() {
            match asked_for(index) {
                Some(true) => explore(&world, &scene, kinds, &mut tally),
                Some(false) => {}
                None if index % EVERY_NTH == place => explore(&world, &scene, kinds, &mut tally),
                None => {
                    explore_without_trouble(&world, &scene, kinds, &mut tally);
                }
            }
        }
    }
    println!("three requests on a session: {tally}");
}

#[test]
fn long_histories() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_RUNS").unwrap_or(100),
    };
    let mut sum = Played::default();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        sum.add(&play(seed));
    }
    println!("{count} histories: {sum:?}");
}

/// The same orders of the same calls, and the same answers: with a user, without one, and with one who is locked.
#[test]
fn users_look_the_same_until_they_prove_their_address() {
    let world = World::new(0, "profile");
    let mut tally = Tally::default();
    let mut seen = Vec::new();
    for (user, phone) in [("known", KNOWN), ("unknown", UNKNOWN), ("locked", LOCKED)] {
        let scene = Scene::of_address(&world, user, phone, Guessed::FourAtTheChallenge);
        for combination in combinations::<2>(SILENT_KINDS) {
            explore(&world, &scene, &combination, &mut tally);
        }
        seen.push(std::mem::take(&mut tally.seen));
    }
    assert!(seen[0] == seen[1], "an address without a user looks different");
    assert!(seen[0] == seen[2], "an address of a user who is locked looks different");
    println!("users alike: {tally}");
}

/// Unless more is asked for, most combinations without trouble, and none in which more than one right code is presented.
fn explore_three_on_an_address(place: usize) {
    let world = World::new(0, "profile");
    let mut tally = Tally::default();
    let proves_the_address = |kind: &&usize| **kind >= FIRST_RIGHT_CODE;
    let guessed = GUESSED[place];
    let scene = Scene::of_address(&world, "known", KNOWN, guessed);
    for (index, kinds) in combinations::<3>(scene.kinds.len()).iter().enumerate() {
        // Each right code makes for many more orders.
        let is_short = kinds.iter().filter(proves_the_address).count() < 2;
        match asked_for(index) {
            Some(true) => explore(&world, &scene, kinds, &mut tally),
            None if is_short && index % EVERY_NTH == place => explore(&world, &scene, kinds, &mut tally),
            None if is_short => {
                explore_without_trouble(&world, &scene, kinds, &mut tally);
            }
            _ => {}
        }
    }
    println!("three requests on an address, guessed at {guessed:?}: {tally}");
}

/// Whether a combination of three is among those that are asked for, if any are.
fn asked_for(index: usize) -> Option<bool> {
    let asked = std::env::var("SIMULATION").ok()?;
    let (part, of) = asked.split_once('/').unwrap_or(("1", "1"));
    let [part, of] = [part, of].map(|number| number.parse::<usize>().unwrap());
    Some(index % of == part - 1)
}

const GUESSED: [Guessed; 3] = [Guessed::None, Guessed::FourAtTheChallenge, Guessed::TwentyFourAtTheAddress];

/// Inside the retry window of ten seconds, at its last instant, and at the first one after it.
const MILLIS_AGO: [u64; 3] = [5_000, 9_999, 10_000];

/// Of so many combinations of three, one is tried with everything that can go wrong.
const EVERY_NTH: usize = 11;

/// The first kinds of requests on an address: those whose sender has not proved it, or that ask for no user.
const SILENT_KINDS: usize = 5;

/// The first kind that redeems a code.
const FIRST_RIGHT_CODE: usize = 4;
