//! Plays a long random history of many actors from a seed.

use std::time::Duration;

use otp_grant::time::Clock;
use otp_grant_tests::steps::{Mishap, Part, Planned, Polled, Request};
use otp_grant_tests::{Face, secs};

use crate::actors::{Actors, Habits, Move, Role};
use crate::acts::Rules;
use crate::exhaustive::MISHAPS;
use crate::facts::{Entry, History, Past, Told, What};
use crate::properties;
use crate::request::{Answer, Ask};
use crate::season::{Change, Kind, Season};
use crate::world::{CAREFUL, Random, World};

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

/// Plays the history of a seed and checks the properties. The errors say how to play it again.
pub fn play(seed: u64) -> Result<Played, Vec<String>> {
    // The choices of the actors do not depend on how many random bytes the server takes.
    let random = Random::new(!seed);
    let season = Season::of(seed, &random);
    let world = World::of_hosts(seed, "openid", &season.setups).that_verifies();
    if season.longest_call > 0 {
        world.calls.take_time(season.longest_call);
    }
    let mut rules = Rules::of(&season.setups);
    rules.drops_a_secret = matches!(season.change, Some(Change::Rotation | Change::Leak));
    rules.is_exact &= season.longest_call == 0 && season.change.is_none();
    let mut play = Play {
        world: &world,
        random: &random,
        season: &season,
        rules,
        siege: 0,
        lock: 0,
        outage: 0,
        changing: Changing::default(),
        asks: Vec::new(),
        hosts: Vec::new(),
        in_flight: Vec::new(),
    };
    let mut actors = Actors::new(&random, Habits::of(&season));
    let begun = world.now();
    while play.asks.len() < REQUESTS {
        play.pass_time();
        play.change();
        play.round(&mut actors);
    }
    let Play { asks, hosts, rules, .. } = play;
    let (entries, struck) = (world.log.take(), world.store.struck());
    let nothing = Past::default();
    let history = History::new(&nothing, &rules, (&asks, &hosts), &entries, &struck);
    let found = properties::check(&history).into_iter().chain(actors.check(&history).err());
    let report = |found: String| {
        let excerpt = excerpt(&asks, &hosts, &entries, &found);
        let face = Face::of_this_run().name();
        let again = format!("again with: FACE={face} SIMULATION_SEED={seed} cargo test --test simulation histories");
        format!("{found}\n{season:?}\n{excerpt}\n{again}")
    };
    let found: Vec<String> = found.map(report).collect();
    if !found.is_empty() {
        return Err(found);
    }
    let count = |wanted: fn(&What) -> bool| entries.iter().filter(|entry| wanted(&entry.what)).count();
    Ok(Played {
        requests: asks.len(),
        mishaps: struck.len(),
        days: if season.clock_jumps { 0 } else { (world.now() - begun) / 86_400_000 },
        logins: count(|what| matches!(what, What::Answered(Answer::LoggedIn(_)))),
        wrong_codes: count(|what| matches!(what, What::Answered(Answer::WrongCode { .. }))),
        refreshes: count(|what| matches!(what, What::Answered(Answer::Refreshed(_)))),
        replays: count(|what| matches!(what, What::Told(Told::ReuseDetected))),
    })
}

struct Play<'w> {
    world: &'w World,
    random: &'w Random,
    season: &'w Season,
    rules: Rules,
    /// For how many more rounds the guesser stays at one address.
    siege: usize,
    /// For how many more rounds the locker stays at one address.
    lock: usize,
    /// For how many more rounds a part is down.
    outage: usize,
    changing: Changing,
    asks: Vec<Ask>,
    hosts: Vec<usize>,
    in_flight: Vec<(usize, Role, Request<'w, Answer>)>,
}

/// The progress of a change.
#[derive(Default)]
struct Changing {
    step: usize,
    /// The next host that takes the step.
    host: usize,
    /// When the last step was done at every host.
    done_at: u64,
}

impl Play<'_> {
    /// Lets time pass between two rounds: usually a little, sometimes days.
    fn pass_time(&self) {
        let Self { world, random, season, .. } = self;
        let between =
            |from: u64, to: u64| from + u64::try_from(random.below(usize::try_from(to - from).unwrap())).unwrap();
        let gap = match (season.setups[0].idle < 86_400, random.below(20)) {
            _ if self.siege > 0 || self.lock > 0 => 31,
            _ if self.outage > 0 => between(1, 75),
            (_, 0..=6) => between(1, 30),
            (_, 7..=12) => between(30, 100),
            (_, 13..=15) => between(100, 900),
            // About the idle time of a session.
            (true, 16..=18) => between(1_500, 1_900),
            (true, _) => between(1_700, 7_200),
            (false, 16..=17) => between(3_600, 12 * 3_600),
            (false, 18) => between(86_400, 6 * 86_400),
            (false, _) => between(86_400, 20 * 86_400),
        };
        world.clock.advance(secs(gap));
        if season.clock_jumps && random.percent(10) {
            world.clock.set_back(secs(random.pick(&[2, 10, 3_600, 2 * 86_400])));
            world.log.note_outside(What::ClockSetBack);
        }
        // Nothing is deleted in time by a clock that was set back, nor by a clock that is ahead of others.
        if !season.clock_jumps && random.percent(10) {
            let late = season.setups.iter().map(|setup| setup.ahead).min().unwrap_or_default();
            world.store.sweep(otp_grant::time::Timestamp::from_unix_millis(
                world.clock.now().as_unix_millis().saturating_add_signed(late.min(0)),
            ));
        }
    }

    /// Continues a change of settings or secrets. The next host follows only when this host is done.
    fn change(&mut self) {
        let Some(change) = self.season.change.filter(|_| self.asks.len() > REQUESTS / 5) else { return };
        let Changing { step, host, done_at } = self.changing;
        let is_due = !change.waits_for_sessions(step) || self.world.now() > done_at + self.rules.absolute + 10_000;
        if !is_due || !self.random.percent(30) {
            return;
        }
        let all = change == Change::Leak;
        let hosts = if all { 0..self.world.hosts() } else { host..host + 1 };
        for host in hosts {
            let Some(setup) = change.step(step, &self.world.setup(host)) else { return };
            self.rules.shortest_retry_window = self.rules.shortest_retry_window.min(setup.retry_window * 1000);
            self.world.set_up(host, setup);
            self.world.log.note_outside(What::Changed(format!("host {host} takes step {step} of {change:?}")));
            self.changing.host = host + 1;
        }
        if self.changing.host < self.world.hosts() {
            return;
        }
        let now = self.world.now();
        self.changing = Changing { step: step + 1, host: 0, done_at: now };
        match change {
            Change::Leak => self.rules.leaked_at = Some(now),
            Change::RetryWindow => self.rules.zero_since = Some(now),
            _ => {}
        }
    }

    /// Some actors ask at once, and continue until all have their answers.
    fn round(&mut self, actors: &mut Actors<'_>) {
        self.goes_down_and_comes_back(actors);
        if self.siege == 0 && self.lock == 0 && self.outage == 0 {
            let percent = if self.season.kind == Kind::LongCodes { 25 } else { 2 };
            if self.random.percent(percent) {
                self.siege = if self.season.kind == Kind::LongCodes { 12 + self.random.below(25) } else { 8 };
                actors.choose_a_target();
            }
        }
        if self.siege == 0 && self.lock == 0 && self.outage == 0 && self.random.percent(1) {
            self.lock = 8 + self.random.below(8);
            actors.choose_a_target();
        }
        if self.lock > 0 {
            self.lock -= 1;
            let moves = actors.lock();
            self.begin(moves);
            if self.random.percent(10) {
                let moves = actors.support();
                self.begin(moves);
            }
        }
        if self.siege > 0 {
            self.siege -= 1;
            let moves = actors.besiege();
            self.begin(moves);
        }
        if self.outage > 0 {
            let moves = actors.insist(self.world.now());
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

    fn goes_down_and_comes_back(&mut self, actors: &mut Actors<'_>) {
        if self.season.kind != Kind::Outages {
            return;
        }
        if self.outage > 0 {
            self.outage -= 1;
            if self.outage == 0 {
                self.world.store.take_down(&[]);
                self.world.log.note_outside(What::Changed("all is up again".to_owned()));
            }
        } else if self.random.percent(5) {
            let parts = [Part::Users, Part::Users, Part::Users, Part::Directory, Part::Store, Part::Signer];
            let part = self.random.pick(&parts);
            self.outage = 3 + self.random.below(30);
            self.world.store.take_down(&[part]);
            self.world.log.note_outside(What::Changed(format!("{part:?} goes down")));
            actors.log_out(CAREFUL);
        }
    }

    fn begin(&mut self, moves: Vec<Move>) {
        for (role, ask) in moves {
            let index = self.world.store.join();
            let host = self.random.below(self.world.hosts());
            for call in 0..CALLS {
                if self.random.percent(self.season.mishaps_in_a_hundred_calls) {
                    let mishap = self.random.pick(&MISHAPS);
                    // A swap can be late for longer than the clock is set back. Then its decision can't be traced.
                    if !(self.season.clock_jumps && mishap == Mishap::Late) {
                        self.world.store.plan(Planned { request: index, call, mishap });
                    }
                }
            }
            self.in_flight.push((index, role, self.world.request_at(host, &ask)));
            self.asks.push(ask);
            self.hosts.push(host);
        }
    }
}

/// Returns the events around the request that a finding names.
fn excerpt(asks: &[Ask], hosts: &[usize], entries: &[Entry], found: &str) -> String {
    let numbers = found.split("request ").skip(1);
    let numbers: Vec<usize> =
        numbers.filter_map(|rest| rest.split([' ', ':', ';']).next()?.parse::<usize>().ok()).collect();
    let Some(number) = numbers.last() else { return String::new() };
    let line = |entry: &Entry| match (&entry.what, asks.get(entry.request)) {
        (What::Began, Some(ask)) => format!("  {entry}: {} at host {}\n", ask.name(), hosts[entry.request]),
        _ => format!("  {entry}\n"),
    };
    // All events of the subject of the request, from the beginning.
    let about = |ask: &Ask| (ask.phone(), ask.session().map(str::to_owned));
    let subject = asks.get(*number).map(about);
    let is_about = |entry: &Entry| {
        entry.request == crate::facts::OUTSIDE && matches!(entry.what, What::Changed(_))
            || asks.get(entry.request).map(about) == subject
    };
    let last = entries.iter().rposition(|entry| entry.request == *number).unwrap_or(0);
    let lines: Vec<String> = entries[..=last].iter().filter(|entry| is_about(entry)).map(line).collect();
    lines[lines.len().saturating_sub(LINES)..].concat()
}

/// How many lines of a history are shown.
const LINES: usize = 90;

/// More calls than a request makes, unless other requests are faster again and again.
const CALLS: usize = 12;

/// The least number of requests in a history.
const REQUESTS: usize = 400;
