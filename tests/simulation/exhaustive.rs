//! Runs every order of the store calls of a few requests on one record, and lets every single thing go wrong at every
//! call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use otp_grant::time::Timestamp;
use otp_grant_tests::Face;
use otp_grant_tests::steps::{Mishap, Planned, Search, Step};

use crate::facts::{Entry, History, OUTSIDE, What};
use crate::proof::{HOLDER, Proof, client_and_key};
use crate::properties;
use crate::request::{Answer, Ask};
use crate::scene::Scene;
use crate::share::Share;
use crate::world::World;

/// What goes wrong in a run.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    pub calls: Vec<Planned>,
    /// How far the clock jumps between two steps, in milliseconds.
    pub clock: Option<i64>,
    /// A slow call of the directory or the signer: the request, the number of the call, and its time in milliseconds.
    pub slow: Option<(usize, usize, u64)>,
    /// After this many signatures, another key signs than the published one.
    pub key_moves: Option<usize>,
}

impl Trouble {
    fn at(planned: Planned) -> Self {
        Self { calls: vec![planned], ..Self::default() }
    }

    fn jump(millis: i64) -> Self {
        Self { clock: Some(millis), ..Self::default() }
    }

    fn is_none(&self) -> bool {
        let Self { calls, clock, slow, key_moves } = self;
        calls.is_empty() && clock.is_none() && slow.is_none() && key_moves.is_none()
    }
}

/// How much was run, and what was found.
#[derive(Default)]
pub struct Tally {
    /// The combinations of which a run takes its share.
    offered: usize,
    pub combinations: usize,
    pub schedules: usize,
    pub requests: usize,
    /// What can be seen from outside in each schedule: the calls of the store and the directory, and the answers.
    pub seen: Vec<u64>,
    /// The findings on each property.
    pub findings: BTreeMap<String, Finding>,
}

/// The findings on one property: the first one, and the combinations and troubles that show it.
#[derive(Default)]
pub struct Finding {
    first: String,
    labels: BTreeSet<String>,
}

impl Tally {
    /// Tells whether the next combination is in the share of this run.
    fn takes_next(&mut self) -> bool {
        self.offered += 1;
        let is_taken = Share::of_this_run().takes(self.offered - 1);
        self.combinations += usize::from(is_taken);
        is_taken
    }

    fn found(&mut self, found: &str, label: &str, report: impl Fn() -> String) {
        let property = found.split(':').next().unwrap_or_default().to_owned();
        let finding = self.findings.entry(property).or_insert_with(|| {
            let first = format!("{found}\n{}", report());
            Finding { first, labels: BTreeSet::new() }
        });
        finding.labels.insert(label.to_owned());
    }

    /// Fails if anything was found.
    pub fn judge(&self, name: &str) {
        println!("{name}: {self}, over FACE={}", Face::of_this_run().name());
        let shown = std::env::var("SIMULATION_SHOWN").map_or(SHOWN, |number| number.parse().unwrap());
        let report = |(property, finding): (&String, &Finding)| {
            let Finding { first, labels } = finding;
            let some: Vec<&str> = labels.iter().step_by(labels.len().div_ceil(shown)).map(String::as_str).collect();
            format!("{property}: in {} plans, as {}\n{first}", labels.len(), some.join(", "))
        };
        let findings: Vec<String> = self.findings.iter().map(report).collect();
        assert!(findings.is_empty(), "{} found:\n{}", findings.len(), findings.join("\n\n"));
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { combinations, schedules, requests, .. } = self;
        write!(f, "{combinations} combinations, {schedules} schedules, {requests} requests")
    }
}

/// Runs a combination of kinds of a scene, and then again with every single thing that can go wrong.
pub fn explore(world: &World, scene: &Scene, combination: &[usize], tally: &mut Tally) {
    let Some(calls) = explore_without_trouble(world, scene, combination, tally) else { return };
    let place = Placed { world, scene, combination, hosts: &[] };
    for planned in calls.mishaps() {
        place.every_schedule(&Trouble::at(planned), tally);
    }
    for jump in scene.clock_jumps {
        place.every_schedule(&Trouble::jump(*jump), tally);
    }
}

/// Runs a combination of kinds of a scene at these hosts. Runs it again with each call of the directory or the signer
/// slow, with each call of the signer failing, and with a signer whose key changes.
pub fn explore_at(world: &World, scene: &Scene, combination: &[usize], hosts: &[usize], tally: &mut Tally) {
    if !tally.takes_next() {
        return;
    }
    let place = Placed { world, scene, combination, hosts };
    let calls = place.every_schedule(&Trouble::default(), tally);
    for (request, number) in &calls.outside {
        for (call, millis) in (0..*number).flat_map(|call| scene.pauses.iter().map(move |millis| (call, *millis))) {
            place.every_schedule(&Trouble { slow: Some((*request, call, millis)), ..Trouble::default() }, tally);
        }
    }
    for (request, number) in &calls.of_signer {
        for call in 0..*number {
            let planned = Planned { request: *request, call, mishap: Mishap::SignerFails };
            place.every_schedule(&Trouble::at(planned), tally);
            if world.setup(0).key_can_change {
                place.every_schedule(&Trouble { key_moves: Some(call), ..Trouble::default() }, tally);
            }
        }
    }
}

/// Runs a combination of kinds of a scene with every two things that can go wrong: at two calls, or at one call while
/// the clock jumps.
pub fn explore_two_troubles(world: &World, scene: &Scene, combination: &[usize], tally: &mut Tally) {
    if !tally.takes_next() {
        return;
    }
    let place = Placed { world, scene, combination, hosts: &[] };
    let calls = place.every_schedule(&Trouble::default(), tally);
    for first in calls.mishaps() {
        for jump in scene.clock_jumps {
            place.every_schedule(&Trouble { clock: Some(*jump), ..Trouble::at(first) }, tally);
        }
        // A thing that goes wrong changes the calls that follow.
        for second in place.every_schedule(&Trouble::at(first), tally).mishaps() {
            if (first.request, first.call) < (second.request, second.call) {
                place.every_schedule(&Trouble { calls: vec![first, second], ..Trouble::default() }, tally);
            }
        }
    }
}

/// Runs a combination of kinds of a scene, if the share of this run has it.
pub fn explore_without_trouble(
    world: &World,
    scene: &Scene,
    combination: &[usize],
    tally: &mut Tally,
) -> Option<Calls> {
    let place = Placed { world, scene, combination, hosts: &[] };
    tally.takes_next().then(|| place.every_schedule(&Trouble::default(), tally))
}

/// Returns every choice of hosts for this many requests, except for the choices of a single host.
pub fn placements(requests: usize, hosts: usize) -> Vec<Vec<usize>> {
    let number = u32::try_from(requests).unwrap();
    let of = |choice: usize| (0..number).map(|digit| choice / hosts.pow(digit) % hosts).collect::<Vec<_>>();
    let is_apart = |placed: &Vec<usize>| requests == 1 || placed.iter().any(|host| *host != placed[0]);
    (0..hosts.pow(number)).map(of).filter(is_apart).collect()
}

/// Returns every sorted choice of `N` kinds, with repetition.
pub fn combinations<const N: usize>(kinds: usize) -> Vec<[usize; N]> {
    let mut all = vec![[0; N]];
    loop {
        let mut next = all[all.len() - 1];
        let Some(place) = next.iter().rposition(|kind| kind + 1 < kinds) else { return all };
        let kind = next[place] + 1;
        next[place..].fill(kind);
        all.push(next);
    }
}

/// The calls that the requests made in any order.
#[derive(Default)]
pub struct Calls {
    /// For each call of each request, whether it was a load in some order, and whether it was a swap.
    of_store: BTreeMap<(usize, usize), (bool, bool)>,
    /// The most calls that each request made to the directory, to the signer, and to both.
    of_directory: BTreeMap<usize, usize>,
    of_signer: BTreeMap<usize, usize>,
    outside: BTreeMap<usize, usize>,
}

/// A combination of kinds of a scene with a host for each request. Where no host is named, the first is used.
struct Placed<'a> {
    world: &'a World,
    scene: &'a Scene,
    combination: &'a [usize],
    hosts: &'a [usize],
}

impl Placed<'_> {
    fn every_schedule(&self, trouble: &Trouble, tally: &mut Tally) -> Calls {
        let Self { world, scene, combination, hosts } = self;
        let mut calls = Calls::default();
        let label = self.label(trouble);
        if std::env::var("SIMULATION_ONLY").is_ok_and(|only| only != label && !trouble.is_none()) {
            return calls;
        }
        let jump = || {
            if let Some(millis) = trouble.clock {
                let by = Duration::from_millis(millis.unsigned_abs());
                if millis < 0 {
                    world.clock.set_back(by);
                    world.log.note_outside(What::ClockSetBack);
                } else {
                    world.clock.advance(by);
                }
            }
        };
        let outside: Option<&dyn Fn()> = if trouble.clock.is_some() { Some(&jump) } else { None };
        let host = |index: usize| hosts.get(index).copied().unwrap_or_default();
        let asked: Vec<Ask> = combination.iter().map(|kind| scene.kinds[*kind].1.clone()).collect();
        let slow = trouble.slow.map(|(request, ..)| request);
        let spared =
            |index| trouble.calls.iter().all(|planned: &Planned| planned.request != index) && slow != Some(index);
        let alike = |one: usize, other: usize| {
            combination[one] == combination[other] && host(one) == host(other) && spared(one) && spared(other)
        };
        let mut search = Search::with_conflicts_as_reads();
        let plan = hash(&label);
        loop {
            world.store.begin(scene.records.clone(), asked.len(), None);
            trouble.calls.iter().for_each(|planned| world.store.plan(*planned));
            world.calls.slow_down(trouble.slow);
            world.calls.move_the_key(trouble.key_moves);
            world.clock.set(Timestamp::from_unix_millis(scene.at));
            world.random.begin_again(plan);
            world.forget_sign_outs();
            world.log.take();
            let requests = asked.iter().enumerate().map(|(index, ask)| world.request_at(host(index), ask)).collect();
            let run = search.run(&world.store, requests, alike, outside);
            world.calls.slow_down(None);
            world.calls.move_the_key(None);
            // A plan for a call that was never made gives the run without a plan.
            let came_to_pass = trouble.calls.is_empty() || world.store.mishaps_came_to_pass(trouble.calls.len());
            if let Some(run) = run.filter(|_| came_to_pass) {
                let struck = world.store.struck();
                let mut entries = world.log.take();
                tally.schedules += 1;
                tally.seen.push(seen(&run.steps, &entries));
                calls.count(&entries);
                let (mut asks, mut placed) = (asked.clone(), (0..asked.len()).map(host).collect::<Vec<_>>());
                let later = if scene.follows_up { follow_up(&asked, &run.answers, world) } else { Vec::new() };
                for (host, ask) in later.iter().chain(&scene.aftermath) {
                    world.ask_at(*host, world.store.join(), ask);
                    asks.push(ask.clone());
                    placed.push(*host);
                }
                tally.requests += asks.len();
                entries.extend(world.log.take());
                let history = History::new(&scene.past, &scene.rules, (&asks, &placed), &entries, &struck);
                for found in properties::check(&history) {
                    tally.found(&found, &label, || report(&label, &asks, &run.steps, &entries));
                }
            }
            if !search.advance() {
                return calls;
            }
        }
    }

    fn label(&self, trouble: &Trouble) -> String {
        let Self { scene, combination, hosts, .. } = self;
        let at = |index| hosts.get(index).map(|host| format!("@{host}")).unwrap_or_default();
        let kinds =
            combination.iter().enumerate().map(|(index, kind)| format!("{}{}", scene.kinds[*kind].0, at(index)));
        let mut troubles: Vec<String> = Vec::new();
        for Planned { request, call, mishap } in &trouble.calls {
            troubles.push(format!("{mishap:?}-at-call-{call}-of-{request}"));
        }
        troubles.extend(trouble.clock.map(|millis| format!("clock{millis:+}")));
        troubles.extend(
            trouble.slow.map(|(request, call, millis)| format!("{millis}-ms-at-outside-call-{call}-of-{request}")),
        );
        troubles.extend(trouble.key_moves.map(|after| format!("key-moves-after-{after}")));
        if troubles.is_empty() {
            troubles.push("nothing".to_owned());
        }
        format!("{}/{}/{}", scene.name, kinds.collect::<Vec<_>>().join("+"), troubles.join("&"))
    }
}

/// Returns the requests that follow a run. They check that everything that was sent or given out is good.
fn follow_up(asked: &[Ask], answers: &[Option<Answer>], world: &World) -> Vec<(usize, Ask)> {
    let (mut asks, hosts, now) = (Vec::new(), world.hosts(), world.now());
    let got = || asked.iter().zip(answers).filter_map(|(ask, answer)| Some((ask, answer.as_ref()?)));
    // Only the newest token of a session.
    let tokens = got().filter_map(|(ask, answer)| match answer {
        Answer::LoggedIn(tokens) | Answer::Refreshed(tokens) => Some((ask, tokens)),
        _ => None,
    });
    if let Some((ask, newest)) = tokens.max_by_key(|(_, tokens)| tokens.refresh.generation) {
        // First with the proof that has gained the token.
        if let Some(used) = ask.proof().filter(|_| newest.refresh.is_bound) {
            asks.push((0, Ask::Refresh(newest.refresh.with(Some(&Arc::new(used.clone()))))));
        }
        let proof = newest.refresh.is_bound.then(|| Proof::new(HOLDER, "follow-up", now));
        asks.push((0, Ask::Refresh(newest.refresh.with(proof.as_ref()))));
    }
    for (index, (_, answer)) in got().enumerate() {
        if let Answer::Sent(challenge) = answer {
            let key = client_and_key(challenge.client).1;
            let challenge = challenge.with(key.map(|key| Proof::new(key, "follow-up", now)).as_ref());
            asks.push(((index + 1) % hosts, Ask::Guess { challenge, right: true, signs_up: false }));
        }
    }
    asks
}

impl Calls {
    /// Returns everything that can go wrong at one call.
    fn mishaps(&self) -> Vec<Planned> {
        let mut all = Vec::new();
        for ((request, call), (loads, swaps)) in &self.of_store {
            let mishaps = MISHAPS.iter().filter(|mishap| match mishap {
                Mishap::Late | Mishap::Twice | Mishap::FailAfter => *swaps,
                Mishap::Stale => *loads,
                Mishap::DirectoryFails => false,
                _ => true,
            });
            all.extend(mishaps.map(|mishap| Planned { request: *request, call: *call, mishap: *mishap }));
        }
        for (request, calls) in &self.of_directory {
            let fails = |call| Planned { request: *request, call, mishap: Mishap::DirectoryFails };
            all.extend((0..*calls).map(fails));
        }
        all
    }

    /// Adds the calls of a run.
    fn count(&mut self, entries: &[Entry]) {
        let mut made = BTreeMap::<usize, [usize; 3]>::new();
        for entry in entries.iter().filter(|entry| entry.request != OUTSIDE) {
            let [of_store, of_directory, of_signer] = made.entry(entry.request).or_default();
            match entry.what {
                What::Loaded(_) | What::Stored(..) | What::Conflict => {
                    let (loads, swaps) = self.of_store.entry((entry.request, *of_store)).or_default();
                    *if matches!(entry.what, What::Loaded(_)) { loads } else { swaps } = true;
                    *of_store += 1;
                }
                What::Asked(_) => *of_directory += 1,
                What::Signed => *of_signer += 1,
                _ => {}
            }
        }
        for (request, [_, asked, signed]) in made {
            for (calls, number) in
                [(&mut self.of_directory, asked), (&mut self.of_signer, signed), (&mut self.outside, asked + signed)]
            {
                let most = calls.entry(request).or_default();
                *most = number.max(*most);
            }
        }
    }
}

fn hash(label: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    label.hash(&mut hasher);
    hasher.finish()
}

/// Returns what can be seen of a run from outside: the order of calls, and the answers.
fn seen(steps: &[Step], entries: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    steps.hash(&mut hasher);
    for entry in entries {
        (entry.request, entry.what.name()).hash(&mut hasher);
    }
    hasher.finish()
}

fn report(label: &str, asks: &[Ask], steps: &[Step], entries: &[Entry]) -> String {
    let lines = entries.iter().map(|entry| format!("\n  {entry}"));
    let names = asks.iter().enumerate().map(|(index, ask)| format!("\n  {index}: {}", ask.name()));
    format!(
        "{label}, in the order {steps:?}{}{}\nagain with: FACE={} SIMULATION=all SIMULATION_ONLY='{label}' cargo test --test simulation",
        names.collect::<String>(),
        lines.collect::<String>(),
        Face::of_this_run().name(),
    )
}

/// How many names of plans with a finding are shown.
const SHOWN: usize = 12;

/// What can go wrong at a call.
pub const MISHAPS: [Mishap; 8] = [
    Mishap::FailBefore,
    Mishap::FailAfter,
    Mishap::Late,
    Mishap::Twice,
    Mishap::Stale,
    Mishap::DropBefore,
    Mishap::DropAfter,
    Mishap::DirectoryFails,
];
