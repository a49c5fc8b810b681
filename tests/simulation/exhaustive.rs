//! Every order of the store calls of a few requests on one record, with every single thing that can go wrong at every call.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::facts::{Entry, History, What};
use crate::properties;
use crate::request::Ask;
use crate::scene::Scene;
use crate::support::steps::{Mishap, Planned, Search, Step};
use crate::world::World;

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    Nothing,
    Call(Planned),
    /// The clock jumps by so many milliseconds between two steps.
    Clock(i64),
}

/// How much was run.
#[derive(Default)]
pub struct Tally {
    pub combinations: usize,
    pub schedules: usize,
    pub requests: usize,
    /// What could be seen from outside, for each schedule: the calls of the store and the directory, and the answers.
    pub seen: Vec<u64>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { combinations, schedules, requests, .. } = self;
        write!(f, "{combinations} combinations, {schedules} schedules, {requests} requests")
    }
}

/// Runs a combination of kinds of a scene, and then again with every single thing that can go wrong.
pub fn explore(world: &World, scene: &Scene, combination: &[usize], tally: &mut Tally) {
    let Calls { of_store, of_directory } = explore_without_trouble(world, scene, combination, tally);
    for ((request, call), (loads, swaps)) in of_store {
        let mishaps = MISHAPS.iter().filter(|mishap| match mishap {
            Mishap::Late | Mishap::Twice | Mishap::FailAfter => swaps,
            Mishap::Stale => loads,
            Mishap::DirectoryFails => false,
            _ => true,
        });
        for mishap in mishaps {
            let planned = Planned { request, call, mishap: *mishap };
            every_schedule(world, scene, combination, Trouble::Call(planned), tally);
        }
    }
    for (request, calls) in of_directory {
        for call in 0..calls {
            let planned = Planned { request, call, mishap: Mishap::DirectoryFails };
            every_schedule(world, scene, combination, Trouble::Call(planned), tally);
        }
    }
    for jump in scene.clock_jumps {
        every_schedule(world, scene, combination, Trouble::Clock(*jump), tally);
    }
}

/// Runs a combination of kinds of a scene.
pub fn explore_without_trouble(world: &World, scene: &Scene, combination: &[usize], tally: &mut Tally) -> Calls {
    tally.combinations += 1;
    every_schedule(world, scene, combination, Trouble::Nothing, tally)
}

/// Every sorted choice of `N` kinds, with repetition.
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

/// What the requests called in any order.
#[derive(Default)]
pub struct Calls {
    /// For each call of each request, whether it ever is a load, and a swap.
    of_store: BTreeMap<(usize, usize), (bool, bool)>,
    /// How often each request asked the directory at most.
    of_directory: BTreeMap<usize, usize>,
}

fn every_schedule(world: &World, scene: &Scene, combination: &[usize], trouble: Trouble, tally: &mut Tally) -> Calls {
    let mut calls = Calls::default();
    let label = label(scene, combination, trouble);
    if std::env::var("SIMULATION_ONLY").is_ok_and(|only| only != label && !matches!(trouble, Trouble::Nothing)) {
        return calls;
    }
    let planned = match trouble {
        Trouble::Call(planned) => Some(planned),
        _ => None,
    };
    let jump = || {
        if let Trouble::Clock(millis) = trouble {
            let by = Duration::from_millis(millis.unsigned_abs());
            if millis < 0 {
                world.clock.set_back(by)
            } else {
                world.clock.advance(by)
            }
            if millis < 0 {
                world.log.note_outside(What::ClockSetBack);
            }
        }
    };
    let outside: Option<&dyn Fn()> = if matches!(trouble, Trouble::Clock(_)) { Some(&jump) } else { None };
    let asked: Vec<Ask> = combination.iter().map(|kind| scene.kinds[*kind].1.clone()).collect();
    let asks: Vec<Ask> = asked.iter().chain(&scene.aftermath).cloned().collect();
    let spared = |index| planned.is_none_or(|planned: Planned| planned.request != index);
    let alike = |one: usize, other: usize| combination[one] == combination[other] && spared(one) && spared(other);
    let mut search = Search::with_conflicts_as_reads();
    let plan = hash(&label);
    loop {
        world.store.begin(scene.records.clone(), asked.len(), planned);
        world.clock.set(scene.at);
        world.random.begin_again(plan);
        world.log.take();
        let requests = asked.iter().map(|ask| world.request(ask)).collect();
        let run = search.run(&world.store, requests, alike, outside);
        // A plan for a call that no request made is the run without one.
        if let Some(run) = run.filter(|_| planned.is_none() || world.store.mishap_came_to_pass()) {
            let struck = world.store.struck();
            let mut entries = world.log.take();
            tally.schedules += 1;
            tally.requests += asks.len();
            tally.seen.push(seen(&run.steps, &entries));
            calls.count(&entries);
            for ask in &scene.aftermath {
                world.ask(world.store.join(), ask);
            }
            entries.extend(world.log.take());
            let history = History::new(&scene.past, &asks, &entries, &struck);
            if let Err(found) = properties::check(&history) {
                panic!("{found}\n{}", report(&label, &asks, &run.steps, &entries));
            }
        }
        if !search.advance() {
            return calls;
        }
    }
}

impl Calls {
    /// Adds those of a run.
    fn count(&mut self, entries: &[Entry]) {
        let mut made = BTreeMap::<usize, (usize, usize)>::new();
        for entry in entries {
            let (of_store, of_directory) = made.entry(entry.request).or_default();
            match entry.what {
                What::Loaded(_) | What::Stored(..) | What::Conflict => {
                    let (loads, swaps) = self.of_store.entry((entry.request, *of_store)).or_default();
                    *if matches!(entry.what, What::Loaded(_)) { loads } else { swaps } = true;
                    *of_store += 1;
                }
                What::Asked(_) => *of_directory += 1,
                _ => {}
            }
        }
        for (request, (_, asked)) in made {
            let most = self.of_directory.entry(request).or_default();
            *most = asked.max(*most);
        }
    }
}

fn hash(label: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    label.hash(&mut hasher);
    hasher.finish()
}

/// What can be seen from outside of a run: the order of calls, and the answers.
fn seen(steps: &[Step], entries: &[Entry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    steps.hash(&mut hasher);
    for entry in entries {
        (entry.request, entry.what.name()).hash(&mut hasher);
    }
    hasher.finish()
}

fn label(scene: &Scene, combination: &[usize], trouble: Trouble) -> String {
    let kinds: Vec<&str> = combination.iter().map(|kind| scene.kinds[*kind].0).collect();
    let trouble = match trouble {
        Trouble::Nothing => "nothing".to_owned(),
        Trouble::Call(Planned { request, call, mishap }) => format!("{mishap:?}-at-call-{call}-of-{request}"),
        Trouble::Clock(millis) => format!("clock{millis:+}"),
    };
    format!("{}/{}/{trouble}", scene.name, kinds.join("+"))
}

fn report(label: &str, asks: &[Ask], steps: &[Step], entries: &[Entry]) -> String {
    let lines = entries.iter().map(|entry| format!("\n  {entry}"));
    let names = asks.iter().enumerate().map(|(index, ask)| format!("\n  {index}: {}", ask.name()));
    format!(
        "{label}, in the order {steps:?}{}{}\nagain with: SIMULATION=all SIMULATION_ONLY='{label}' cargo test --test simulation",
        names.collect::<String>(),
        lines.collect::<String>(),
    )
}

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
