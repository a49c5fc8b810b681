//! A long history of many actors, played at random from a seed.

use std::time::Duration;

use otp_grant::Clock;

use crate::actors::{Actors, Move, Role};
use crate::exhaustive::MISHAPS;
use crate::facts::{Entry, History, Past, Told, What};
use crate::properties;
use crate::request::{Answer, Ask};
use crate::support::secs;
use crate::support::steps::{Mishap, Planned, Polled, Request};
use crate::world::{Random, World};

/// How much was played.
#[derive(Debug, Default)]
pub struct Played {
    pub requests: usize,
    pub mishaps: usize,
    pub days: u64,
    pub logins: usize,
    pub wrong_codes: usize,
    pub refreshes: usize,
    pub replays: usize,
}

impl Played {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.mishaps += other.mishaps;
        self.days += other.days;
        self.logins += other.logins;
        self.wrong_codes += other.wrong_codes;
        self.refreshes += other.refreshes;
        self.replays += other.replays;
    }
}

/// Plays the history of a seed, and holds it against the properties.
pub fn play(seed: u64) -> Played {
    let world = World::new(seed, "openid");
    // What is drawn for the actors does not depend on how many random bytes the server takes.
    let random = Random::new(!seed);
    let mut play = Play {
        world: &world,
        random: &random,
        clock_jumps: random.percent(25),
        siege: 0,
        asks: Vec::new(),
        in_flight: Vec::new(),
    };
    let mut actors = Actors::new(&random);
    let begun = world.now();
    while play.asks.len() < REQUESTS {
        play.pass_time();
        play.round(&mut actors);
    }
    let Play { asks, clock_jumps, .. } = play;
    let (entries, struck) = (world.log.take(), world.store.struck());
    let nothing = Past::default();
    let history = History::new(&nothing, &asks, &entries, &struck);
    if let Err(found) = properties::check(&history).and_then(|()| actors.check(&history)) {
        let excerpt = excerpt(&asks, &entries, &found);
        panic!("{found}\n{excerpt}\nagain with: SIMULATION_SEED={seed} cargo test --test simulation histories");
    }
    let count = |wanted: fn(&What) -> bool| entries.iter().filter(|entry| wanted(&entry.what)).count();
    Played {
        requests: asks.len(),
        mishaps: struck.len(),
        days: if clock_jumps { 0 } else { (world.now() - begun) / 86_400_000 },
        logins: count(|what| matches!(what, What::Answered(Answer::LoggedIn(_)))),
        wrong_codes: count(|what| matches!(what, What::Answered(Answer::WrongCode))),
        refreshes: count(|what| matches!(what, What::Answered(Answer::Refreshed(_)))),
        replays: count(|what| matches!(what, What::Told(Told::ReuseDetected))),
    }
}

struct Play<'w> {
    world: &'w World,
    random: &'w Random,
    clock_jumps: bool,
    /// For how many more rounds the guesser keeps at one address.
    siege: usize,
    asks: Vec<Ask>,
    in_flight: Vec<(usize, Role, Request<'w, Answer>)>,
}

impl Play<'_> {
    /// Between two rounds, mostly a little, sometimes days.
    fn pass_time(&self) {
        let Self { world, random, .. } = self;
        let between =
            |from: u64, to: u64| from + u64::try_from(random.below(usize::try_from(to - from).unwrap())).unwrap();
        let gap = match random.below(20) {
            _ if self.siege > 0 => 31,
            0..=6 => between(1, 30),
            7..=12 => between(30, 100),
            13..=15 => between(100, 900),
            16..=17 => between(3_600, 12 * 3_600),
            18 => between(86_400, 6 * 86_400),
            _ => between(86_400, 20 * 86_400),
        };
        world.clock.advance(secs(gap));
        if self.clock_jumps && random.percent(10) {
            world.clock.set_back(secs(random.pick(&[2, 10, 3_600, 2 * 86_400])));
            world.log.note_outside(What::ClockSetBack);
        }
        // By a clock that was set back nothing can be deleted in time.
        if !self.clock_jumps && random.percent(10) {
            world.store.sweep(world.clock.now());
        }
    }

    /// Some actors ask at once, and go on until all have their answers.
    fn round(&mut self, actors: &mut Actors<'_>) {
        if self.siege == 0 && self.random.percent(2) {
            self.siege = 8;
            actors.choose_a_target();
        }
        if self.siege > 0 {
            self.siege -= 1;
            let moves = actors.besiege();
            self.begin(moves);
        }
        for _ in 0..=self.random.below(4) {
            let moves = actors.next(self.world.now());
            self.begin(moves);
        }
        while !self.in_flight.is_empty() {
            let millis = u64::try_from(self.random.below(20)).unwrap();
            self.world.clock.advance(Duration::from_millis(millis));
            if self.world.store.has_late_swaps() && self.random.percent(10) {
                self.world.store.apply_late();
            }
            let place = self.random.below(self.in_flight.len());
            let (index, _, request) = &mut self.in_flight[place];
            let answer = match self.world.store.poll(*index, request) {
                Polled::Answered(answer) => Some(answer),
                Polled::Dropped => None,
                Polled::Waits => continue,
            };
            let (index, role, _) = self.in_flight.swap_remove(place);
            let moves = actors.answered(role, &self.asks[index], answer.as_ref(), self.world.now());
            self.begin(moves);
        }
        actors.round_is_over();
    }

    fn begin(&mut self, moves: Vec<Move>) {
        for (role, ask) in moves {
            let index = self.world.store.join();
            for call in 0..CALLS {
                if self.random.percent(MISHAPS_IN_A_HUNDRED_CALLS) {
                    let mishap = self.random.pick(&MISHAPS);
                    // A swap may be late for longer than the clock is set back; then nobody knows what it was decided on.
                    if !(self.clock_jumps && mishap == Mishap::Late) {
                        self.world.store.plan(Planned { request: index, call, mishap });
                    }
                }
            }
            self.in_flight.push((index, role, self.world.request(&ask)));
            self.asks.push(ask);
        }
    }
}

/// What happened around the request that a finding names.
fn excerpt(asks: &[Ask], entries: &[Entry], found: &str) -> String {
    let number = found.split("request ").nth(1).and_then(|rest| rest.split([' ', ':']).next()?.parse::<usize>().ok());
    let Some(number) = number else { return String::new() };
    let of_it = |entry: &Entry| entry.request == number;
    let from = entries.iter().position(of_it).unwrap_or(0).saturating_sub(60);
    let to = entries.iter().rposition(of_it).unwrap_or(0) + 5;
    let around = entries.get(from..to.min(entries.len())).unwrap_or_default();
    let line = |entry: &Entry| match (&entry.what, asks.get(entry.request)) {
        (What::Began, Some(ask)) => format!("  {entry}: {}\n", ask.name()),
        _ => format!("  {entry}\n"),
    };
    around.iter().map(line).collect()
}

const MISHAPS_IN_A_HUNDRED_CALLS: usize = 3;

/// More than any request makes, unless others are faster again and again.
const CALLS: usize = 12;

/// How long a history is at least.
const REQUESTS: usize = 400;
