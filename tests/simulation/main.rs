//! Simulates the real flows over a store, a directory, a clock and a network that go step by step.
//!
//! The simulation tries every order of the store calls of 2 and of 3 requests on one record, with every single thing
//! that can go wrong at every call. It also plays long random histories of many users, thieves and guessers. Each run
//! is checked against the properties in `properties`. A failure says how to run it again.
//!
//! | variable | what it does |
//! |---|---|
//! | `SIMULATION=all` | tries everything that can go wrong with all combinations of 3, instead of a fixed choice |
//! | `SIMULATION=3/8` | tries the third eighth of all combinations |
//! | `SIMULATION_SHARE=1/10` | runs the first tenth of what would be run otherwise |
//! | `FACE=exchange` | sends every request through an exchange, whose signing key is external |
//! | `SIMULATION_ONLY=…` | runs one plan again, as a failure names it |
//! | `SIMULATION_PROPERTY=…` | checks only the property of this name |
//! | `SIMULATION_SHOWN=n` | names this many of the plans that break a property |
//! | `SIMULATION_SEED=n` | plays one history again |
//! | `SIMULATION_RUNS=n` | plays this many histories |
//!
//! `refresh_interleavings` has assertions of its own, and always runs whole.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a simulation that finds something has to fail loudly"
)]

mod actors;
mod acts;
mod exhaustive;
mod facts;
mod history;
mod host;
mod proof;
mod properties;
mod pumpers;
mod refresh_interleavings;
mod request;
mod scene;
mod season;
mod server;
mod share;
mod signer;
mod strangers;
mod world;

use std::collections::BTreeMap;

use exhaustive::{Tally, combinations, explore, explore_at, explore_two_troubles, explore_without_trouble, placements};
use history::{Played, play};
use host::Setup;
use otp_grant_tests::{CLIENT, Face, PUBLIC_CLIENT, START};
use scene::{End, Guessed, Scene, Token};
use season::Change;
use share::Share;
use world::{KNOWN, LOCKED, UNKNOWN, World};

#[test]
fn two_requests_on_an_address() {
    let world = World::new(0, "profile");
    let mut tally = Tally::default();
    for guessed in GUESSED {
        let scene = Scene::of_address(&world, "known", KNOWN, guessed);
        combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    }
    tally.judge("two requests on an address");
}

#[test]
fn two_requests_on_a_session() {
    let world = World::new(0, "openid");
    let mut tally = Tally::default();
    for millis_ago in MILLIS_AGO {
        let scene = Scene::of_session(&world, millis_ago);
        combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    }
    tally.judge("two requests on a session");
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
    tally.judge("three requests on a session");
}

#[test]
fn long_histories() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => Share::of_this_run().among(0..number("SIMULATION_RUNS").unwrap_or(100)),
    };
    let mut sum = Played::default();
    let count = seeds.end - seeds.start;
    // The first finding on each property, and how many histories break the property.
    let mut findings: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for seed in seeds {
        match play(seed) {
            Ok(played) => sum.add(&played),
            Err(found) => {
                for found in found {
                    let property = found.split(':').next().unwrap_or_default().to_owned();
                    findings.entry(property).or_insert((0, found)).0 += 1;
                }
            }
        }
    }
    println!("{count} histories: {sum:?}, over FACE={}", Face::of_this_run().name());
    let found: Vec<String> = findings.values().map(|(times, found)| format!("{times} times: {found}")).collect();
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n\n"));
}

/// One or two requests on a session that will soon end by one of the clocks, at each host.
#[test]
fn requests_near_an_end_at_two_hosts() {
    let mut tally = Tally::default();
    for ahead in AHEAD {
        let world = World::of_hosts(0, "openid", &[Setup::default(), Setup { ahead, ..Setup::default() }]);
        let ends = [End::Idle, End::Absolute, End::AccessToken, End::OldToken];
        let scenes = ends.into_iter().map(|end| Scene::of_an_end(&world, end));
        for scene in scenes.chain([Scene::of_a_login(&world)]) {
            explore_apart(&world, &scene.named(&format!("{ahead}-ms-ahead")), &mut tally);
        }
    }
    tally.judge("near an end, at two hosts");
}

/// One or two requests on an address and on a session, at two hosts whose clocks differ, with and without a retry
/// window.
#[test]
fn requests_at_two_hosts() {
    let mut tally = Tally::default();
    for (ahead, retry_window) in AHEAD.into_iter().flat_map(|ahead| [(ahead, 10), (ahead, 0)]) {
        let setup = Setup { retry_window, ..Setup::default() };
        let world = World::of_hosts(0, "openid", &[setup.clone(), Setup { ahead, ..setup }]);
        let name = format!("{ahead}-ms-ahead-window-{retry_window}");
        explore_apart(&world, &Scene::of_refreshes(&world).named(&name), &mut tally);
        if retry_window > 0 {
            explore_apart(&world, &Scene::of_a_code(&world).named(&name), &mut tally);
            explore_apart(&world, &Scene::of_a_resend(&world).named(&name), &mut tally);
        }
    }
    tally.judge("at two hosts");
}

/// One or two requests on an address and on a session, at two hosts of which one has taken the next step of a change.
#[test]
fn requests_at_two_hosts_during_a_change() {
    let mut tally = Tally::default();
    for change in [Change::Rotation, Change::Leak, Change::CodeLength, Change::Profile, Change::RetryWindow] {
        let mut setups = [Setup::default(), Setup::default()];
        for step in 0.. {
            let Some(next) = change.step(step, &setups[1]) else { break };
            setups[1] = next;
            let leaks = change == Change::Leak;
            // What was sealed in the last step is forgotten in this step.
            if change.waits_for_sessions(step) {
                break;
            }
            let before = [Setup::default(), Setup::default()];
            let world = World::of_hosts(0, "openid", if leaks { &before } else { &setups });
            let scenes = [Scene::of_refreshes(&world), Scene::of_a_code(&world), Scene::of_a_resend(&world)];
            // All hosts drop a leaked secret at once.
            if leaks {
                (0..2).for_each(|host| world.set_up(host, setups[1].clone()));
            }
            for scene in scenes {
                let mut scene = scene.named(&format!("{change:?}-{step}"));
                scene.rules.leaked_at = leaks.then_some(scene.at);
                explore_apart(&world, &scene, &mut tally);
            }
            setups[0] = setups[1].clone();
        }
    }
    tally.judge("during a change, at two hosts");
}

/// Codes with such a long validity that more than ten are valid at once.
#[test]
fn requests_on_an_address_with_many_challenges() {
    let world = World::of_hosts(0, "profile", &[Setup { code_validity: 600, ..Setup::default() }]);
    let (scene, mut tally) = (Scene::of_many_challenges(&world), Tally::default());
    combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    tally.judge("many challenges");
}

/// Two codes of one binding that are both in time. Either code logs in with either otp_token, and each only once.
#[test]
fn requests_on_an_address_with_two_codes() {
    let mut tally = Tally::default();
    let world = World::new(0, "profile");
    let scene = Scene::of_two_codes(&world);
    combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    for kind in 0..scene.kinds.len() {
        explore_two_troubles(&world, &scene, &[kind], &mut tally);
    }
    let world = World::of_hosts(0, "profile", &[Setup::default(), Setup { ahead: 4_000, ..Setup::default() }]);
    explore_apart(&world, &Scene::of_two_codes(&world).named("4000-ms-ahead"), &mut tally);
    tally.judge("two codes");
}

/// Users of a client that proves its key. Its proofs come twice or late, and a thief has their codes without the key.
#[test]
fn requests_with_proofs_at_a_login() {
    let (world, mut tally) = (World::new(0, "profile"), Tally::default());
    let scene = Scene::of_proofs_at_a_login(&world);
    combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    tally.judge("proofs at a login");
}

/// A session that is bound to a key, proofs that come twice or in another order, and a thief with its tokens.
#[test]
fn requests_with_proofs_at_a_session() {
    let (world, mut tally) = (World::new(0, "openid"), Tally::default());
    let scene = Scene::of_proofs_at_a_session(&world);
    combinations::<2>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    tally.judge("proofs at a session");
}

/// A client that signs assertions. An assertion comes twice, and a thief signs with the same `jti`.
#[test]
fn requests_with_assertions() {
    let (world, mut tally) = (World::new(0, "openid"), Tally::default());
    let scene = Scene::of_assertions(&world);
    combinations::<3>(scene.kinds.len()).iter().for_each(|kinds| explore(&world, &scene, kinds, &mut tally));
    tally.judge("assertions");
}

/// A stranger who uses up what everybody shares of an address, and its owner with a known device.
#[test]
fn requests_on_an_address_that_a_stranger_locks() {
    let mut tally = Tally::default();
    let world = World::new(0, "profile");
    let scene = Scene::of_a_locker(&world);
    let is_of_owner = |kind: &usize| scene.kinds[*kind].0 == "right-of-device";
    for kinds in combinations::<2>(scene.kinds.len()) {
        if kinds.iter().any(is_of_owner) {
            explore(&world, &scene, &kinds, &mut tally);
        } else {
            explore_without_trouble(&world, &scene, &kinds, &mut tally);
        }
    }
    tally.judge("a locker");
}

/// The same at two hosts whose clocks differ.
#[test]
fn requests_on_an_address_that_a_stranger_locks_at_two_hosts() {
    let mut tally = Tally::default();
    let world = World::of_hosts(0, "profile", &[Setup::default(), Setup { ahead: 4_000, ..Setup::default() }]);
    let scene = Scene::of_a_locker(&world).named("4000-ms-ahead");
    // Without slow calls, which other scenes have.
    explore_apart(&world, &Scene { pauses: &[], ..scene }, &mut tally);
    tally.judge("a locker, at two hosts");
}

/// A pumper who has all but one of the messages that a block gives without a reason to be trusted, in every order of
/// two sends, and one request with everything that can go wrong.
#[test]
fn requests_to_a_block_that_is_pumped() {
    let (world, mut tally) =
        (World::of_hosts(0, "profile", &[Setup { guards: true, ..Setup::default() }]), Tally::default());
    let scene = Scene::of_a_pumper(&world);
    for kinds in combinations::<1>(scene.kinds.len()) {
        explore(&world, &scene, &kinds, &mut tally);
    }
    for kinds in combinations::<2>(scene.kinds.len()) {
        explore_without_trouble(&world, &scene, &kinds, &mut tally);
    }
    tally.judge("a pumper");
}

/// Pumpers, their own numbers, newcomers and an owner with a device, at random.
#[test]
fn pumped_histories() {
    let mut sum = pumpers::Played::default();
    let found: Vec<String> =
        Share::of_this_run().among(0..60).filter_map(|seed| pumpers::play(seed, &mut sum).err()).collect();
    println!("pumped: {sum:?}, over FACE={}", Face::of_this_run().name());
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found[0]);
}

/// A test identity, and its session, near its end, at one host and at two.
#[test]
fn requests_of_a_reviewer() {
    let mut tally = Tally::default();
    let setup = Setup { review_ends: Some(START + 600), ..Setup::default() };
    let world = World::of_hosts(0, "openid", std::slice::from_ref(&setup));
    let scene = Scene::of_a_reviewer(&world, 300);
    for kinds in combinations::<2>(scene.kinds.len()) {
        explore_without_trouble(&world, &scene, &kinds, &mut tally);
    }
    for kinds in combinations::<1>(scene.kinds.len()) {
        explore(&world, &scene, &kinds, &mut tally);
    }
    let world = World::of_hosts(0, "openid", &[setup.clone(), Setup { ahead: 4_000, ..setup }]);
    let scene = Scene::of_a_reviewer(&world, 2).named("4000-ms-ahead");
    for placed in placements(1, world.hosts()) {
        for kind in 0..scene.kinds.len() {
            explore_at(&world, &scene, &[kind], &placed, &mut tally);
        }
    }
    tally.judge("a reviewer");
}

/// A device token of another address or client, and one that has expired or was altered, looks like no token: the
/// same calls in the same orders, and the same answers.
#[test]
fn a_token_that_is_not_good_looks_like_none() {
    let own = [Token::OfAnotherAddress, Token::Expired, Token::Altered].map(|token| (CLIENT, token));
    for (client, token) in own.into_iter().chain([(PUBLIC_CLIENT, Token::OfAnotherClient)]) {
        let [seen, none] = [token, Token::None].map(|token| {
            let world = World::new(0, "profile");
            let (scene, mut tally) = (Scene::of_a_token(&world, client, token), Tally::default());
            for kinds in combinations::<2>(scene.kinds.len()) {
                explore_without_trouble(&world, &scene, &kinds, &mut tally);
            }
            tally.judge(&format!("a token, {token:?}"));
            tally.seen
        });
        assert!(seen == none, "a token that is {token:?} looks different from none");
    }
}

/// One request, and every two things that can go wrong with it: at an address whose code has half of its time left, at
/// one with three devices, and at a session.
#[test]
fn requests_with_two_troubles() {
    let world = World::new(0, "profile");
    let mut tally = Tally::default();
    let resend = Scene::of_a_resend(&world);
    for kind in 0..resend.kinds.len() {
        explore_two_troubles(&world, &resend, &[kind], &mut tally);
    }
    explore_two_troubles(&world, &Scene::of_a_fourth_device(&world), &[0], &mut tally);
    let world = World::new(0, "openid");
    let session = Scene::of_refreshes(&world);
    for kind in 0..session.kinds.len() {
        explore_two_troubles(&world, &session, &[kind], &mut tally);
    }
    tally.judge("two troubles");
}

/// A signer that fails, or whose key changes behind it.
#[test]
fn requests_with_a_signer_that_fails() {
    let setup = Setup { key_can_change: true, ..Setup::default() };
    let world = World::of_hosts(0, "openid", &[setup]).that_verifies();
    let mut tally = Tally::default();
    for scene in [Scene::of_a_code(&world), Scene::of_refreshes(&world)] {
        for kinds in combinations::<2>(scene.kinds.len()) {
            explore_at(&world, &scene, &kinds, &[], &mut tally);
        }
    }
    tally.judge("signers");
}

/// Runs every one and every two kinds of a scene, at every host and at two hosts.
fn explore_apart(world: &World, scene: &Scene, tally: &mut Tally) {
    for placed in placements(1, world.hosts()) {
        for kind in 0..scene.kinds.len() {
            explore_at(world, scene, &[kind], &placed, tally);
        }
    }
    for placed in placements(2, world.hosts()) {
        for kinds in combinations::<2>(scene.kinds.len()) {
            explore_at(world, scene, &kinds, &placed, tally);
        }
    }
}

/// The orders of calls, the calls and the answers are the same for a user, for no user, and for a locked user.
#[test]
fn users_look_the_same_until_they_prove_their_address() {
    let world = World::new(0, "profile");
    let mut seen = Vec::new();
    for (user, phone) in [("known", KNOWN), ("unknown_members", UNKNOWN), ("locked", LOCKED)] {
        let scene = Scene::of_address(&world, user, phone, Guessed::FourAtTheChallenge);
        let mut tally = Tally::default();
        for combination in combinations::<2>(SILENT_KINDS) {
            explore(&world, &scene, &combination, &mut tally);
        }
        tally.judge(&format!("users alike, {user}"));
        seen.push(tally.seen);
    }
    assert!(seen[0] == seen[1], "an address without a user looks different");
    assert!(seen[0] == seen[2], "an address of a user who is locked looks different");
}

/// A stranger who sends and guesses at random sees the same whether the owner of the address logs in or not.
#[test]
fn strangers_see_no_logins() {
    let seeds = Share::of_this_run().among(0..100);
    let found = seeds.flat_map(|seed| [false, true].map(|has_device| strangers::compare(seed, has_device)));
    let found: Vec<String> = found.filter_map(Result::err).collect();
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found[0]);
}

/// Runs three requests on an address. By default these are most combinations without trouble, except for those that
/// present more than one right code.
fn explore_three_on_an_address(place: usize) {
    let world = World::new(0, "profile");
    let mut tally = Tally::default();
    let proves_the_address = |kind: &&usize| **kind >= FIRST_RIGHT_CODE;
    let guessed = GUESSED[place];
    let scene = Scene::of_address(&world, "known", KNOWN, guessed);
    for (index, kinds) in combinations::<3>(scene.kinds.len()).iter().enumerate() {
        // Each right code leads to many more orders.
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
    tally.judge(&format!("three requests on an address, guessed at {guessed:?}"));
}

/// Tells whether `SIMULATION` asks for this combination of three. `None` if it is not set.
fn asked_for(index: usize) -> Option<bool> {
    Some(Share::parse(&std::env::var("SIMULATION").ok()?).takes(index))
}

const GUESSED: [Guessed; 3] = [Guessed::None, Guessed::FourAtTheChallenge, Guessed::TwentyFourAtTheAddress];

/// How far the second host is ahead of the first, in milliseconds.
const AHEAD: [i64; 6] = [1, -1, 4_000, -4_000, 5_000, -5_000];

/// Inside the retry window of ten seconds, at its last instant, and at the first one after it.
const MILLIS_AGO: [u64; 3] = [5_000, 9_999, 10_000];

/// One in this many combinations of three is tried with everything that can go wrong.
const EVERY_NTH: usize = 11;

/// The number of the first kinds of requests on an address, which have not proved it or ask for no user.
const SILENT_KINDS: usize = 5;

/// The first kind that redeems a code.
const FIRST_RIGHT_CODE: usize = 4;
