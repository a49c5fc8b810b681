//! Random histories of numbers that are pumped while the send guard is enforced: pumpers with numbers that nobody reads
//! and with numbers of their own, newcomers who pass a challenge, and an owner with a known device.

use std::sync::Arc;
use std::time::Duration;

use otp_grant::guard::Verdict;
use otp_grant_tests::steps::{Mishap, Planned, Polled, Request};
use otp_grant_tests::{CLIENT, Face, PUBLIC_CLIENT, secs};

use crate::acts::Rules;
use crate::exhaustive::MISHAPS;
use crate::facts::{History, Past};
use crate::host::Setup;
use crate::properties;
use crate::request::{Answer, Ask, Challenge, Device, Purpose, With};
use crate::world::{KNOWN, OTHER, PUMPED, Random, World};

/// How much was played.
#[derive(Debug, Default)]
pub struct Played {
    pub requests: usize,
    pub mishaps: usize,
    pub delivered: usize,
    pub challenged: usize,
    pub verified: usize,
}

/// Plays the history of a seed and checks the properties.
pub fn play(seed: u64, played: &mut Played) -> Result<(), String> {
    let random = Random::new(!seed);
    let setup = Setup { guards: true, ..Setup::default() };
    let ahead = random.pick(&[0, 0, 1_000, 4_000]);
    let setups = if ahead == 0 { vec![setup] } else { vec![setup.clone(), Setup { ahead, ..setup }] };
    let world = World::of_hosts(seed, "profile", &setups);
    let mut play =
        Play { world: &world, random: &random, asks: Vec::new(), hosts: Vec::new(), got: Vec::new(), device: None };
    while play.asks.len() < REQUESTS {
        play.round();
    }
    let Play { asks, hosts, got, .. } = play;
    let (entries, struck) = (world.log.take(), world.store.struck());
    let (nothing, rules) = (Past::default(), Rules::of(&setups));
    let history = History::new(&nothing, &rules, (&asks, &hosts), &entries, &struck);
    let found = properties::check(&history);
    let count = |is: fn(&Answer) -> bool| got.iter().filter(|answer| is(answer)).count();
    played.requests += asks.len();
    played.mishaps += struck.len();
    played.delivered += count(|answer| matches!(answer, Answer::Sent(_)));
    played.challenged += count(|answer| matches!(answer, Answer::Challenged));
    played.verified += count(|answer| matches!(answer, Answer::Verified | Answer::LoggedIn(_)));
    match found.into_iter().next() {
        None => Ok(()),
        Some(found) => {
            let names = asks.iter().zip(&hosts).enumerate();
            let names: String =
                names.map(|(index, (ask, host))| format!("\n  {index}: {} at {host}", ask.name())).collect();
            let lines: String = entries.iter().map(|entry| format!("\n  {entry}")).collect();
            Err(format!("pumped history {seed}: {found}{names}{lines}\nover FACE={}", Face::of_this_run().name()))
        }
    }
}

struct Play<'w> {
    world: &'w World,
    random: &'w Random,
    asks: Vec<Ask>,
    hosts: Vec<usize>,
    got: Vec<Answer>,
    /// The device of the owner.
    device: Option<Arc<Device>>,
}

impl<'w> Play<'w> {
    /// Some requests at once, and the logins that follow.
    fn round(&mut self) {
        let (world, random) = (self.world, self.random);
        world.clock.advance(secs(random.pick(&[1, 5, 31, 31, 61, 130, 700, 3_600, 86_400, 5 * 86_400])));
        let mut in_flight: Vec<(usize, Request<'w, Answer>)> = Vec::new();
        for _ in 0..=random.below(3) {
            let ask = self.next();
            self.begin(&mut in_flight, ask);
        }
        while !in_flight.is_empty() {
            world.clock.advance(Duration::from_millis(random.up_to(20)));
            if world.store.has_late_swaps() && random.percent(10) {
                world.store.apply_late();
            }
            let place = random.below(in_flight.len());
            let (index, request) = &mut in_flight[place];
            let answer = match world.store.poll(*index, request) {
                Polled::Answered(answer) => Some(answer),
                Polled::Dropped => None,
                Polled::Waits => continue,
            };
            let (_, _) = in_flight.swap_remove(place);
            let Some(answer) = answer else { continue };
            let next = self.answered(&answer);
            self.got.push(answer);
            if let Some(next) = next {
                self.begin(&mut in_flight, next);
            }
        }
    }

    fn next(&self) -> Ask {
        let random = self.random;
        let send = |phone, purpose, client, with| Ask::Send { phone, purpose, client, with };
        match random.below(10) {
            // The owner, and another user of the block.
            0 => send(KNOWN, Purpose::Login, CLIENT, With { device: self.device.clone(), ..With::default() }),
            1 => send(OTHER, Purpose::Login, CLIENT, With::default()),
            // A newcomer who has passed a challenge.
            2 => {
                let with = With { verdict: Verdict::Allow, ..With::default() };
                send(random.pick(&PUMPED), Purpose::Signup, CLIENT, with)
            }
            // A pumper with a number of his own, or without.
            3 => send(random.pick(&PUMPED[6..]), Purpose::Signup, CLIENT, With::default()),
            _ => send(random.pick(&PUMPED), Purpose::Login, PUBLIC_CLIENT, With::default()),
        }
    }

    /// Honest users redeem their codes, and so does the pumper with the codes of his own numbers.
    fn answered(&mut self, answer: &Answer) -> Option<Ask> {
        match answer {
            Answer::Sent(challenge) if challenge.client == CLIENT && self.random.percent(80) => {
                let challenge: Arc<Challenge> =
                    if challenge.phone == KNOWN { challenge.remembering() } else { challenge.clone() };
                Some(Ask::Guess { challenge, right: true, signs_up: false })
            }
            Answer::LoggedIn(tokens) => {
                self.device = tokens.device.clone().or(self.device.take());
                None
            }
            _ => None,
        }
    }

    fn begin(&mut self, in_flight: &mut Vec<(usize, Request<'w, Answer>)>, ask: Ask) {
        let (world, random) = (self.world, self.random);
        let index = world.store.join();
        let host = random.below(world.hosts());
        for call in 0..CALLS {
            if random.percent(2) {
                let mishap: Mishap = random.pick(&MISHAPS);
                world.store.plan(Planned { request: index, call, mishap });
            }
        }
        in_flight.push((index, world.request_at(host, &ask)));
        self.asks.push(ask);
        self.hosts.push(host);
    }
}

/// More calls than a request makes, unless other requests are faster again and again.
const CALLS: usize = 12;

/// The least number of requests in a history.
const REQUESTS: usize = 80;
