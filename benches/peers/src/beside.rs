//! Measuring contenders in turns, so that a change of the machine's speed meets all of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use otp_grant_benches::{Work, median, nanos};

/// Something that is measured beside others, a batch of rounds at a time.
pub struct Contender<'a> {
    name: String,
    batch: Box<dyn FnMut() -> Vec<f64> + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new<T>(name: &str, mut work: impl FnMut() -> T + 'a) -> Self {
        Self::batches(name, move || (0..BATCH).map(|_| nanos(&mut work).0).collect())
    }

    /// The nanoseconds of each round of a batch.
    pub fn batches(name: &str, batch: impl FnMut() -> Vec<f64> + 'a) -> Self {
        Self { name: name.to_owned(), batch: Box::new(batch) }
    }

    /// What makes rounds ready is not measured, and does not run just before each of them.
    pub fn of_work(name: &str, work: &'a mut impl Work) -> Self {
        Self::batches(name, move || {
            let rounds: Vec<_> = (0..BATCH).map(|_| work.prepare()).collect();
            let measured: Vec<_> = rounds.iter().map(|round| nanos(|| work.work(round))).collect();
            let settle = |(round, (taken, reply))| {
                work.settle(round, &reply);
                taken
            };
            rounds.into_iter().zip(measured).map(settle).collect()
        })
    }

    /// Work without its floor.
    pub fn overhead_of_work(name: &str, work: &'a mut impl Work) -> Self {
        Self::batches(name, move || {
            let rounds: Vec<_> = (0..BATCH).map(|_| work.prepare()).collect();
            let measure = |(number, round)| {
                let mut floor = || nanos(|| work.floor(round)).0;
                // Whoever comes second finds the key in the cache, so they take turns at that too.
                let early = (number % 2 == 0).then(&mut floor);
                let (taken, reply) = nanos(|| work.work(round));
                (taken - early.unwrap_or_else(floor), reply)
            };
            let measured: Vec<_> = rounds.iter().enumerate().map(measure).collect();
            let settle = |(round, (taken, reply))| {
                work.settle(round, &reply);
                taken
            };
            rounds.into_iter().zip(measured).map(settle).collect()
        })
    }
}

/// What something took.
#[derive(Clone)]
pub struct Row {
    name: String,
    pub nanos: f64,
}

impl Row {
    pub fn new(name: &str, nanos: f64) -> Self {
        Self { name: name.to_owned(), nanos }
    }
}

/// Prints the rows that follow from the contenders' medians, each relative to the first.
pub fn print_ratios(title: &str, contenders: Vec<Contender<'_>>, rows: impl FnOnce(&[Row]) -> Vec<Row>) {
    let (names, mut batches): (Vec<_>, Vec<_>) = contenders.into_iter().map(|one| (one.name, one.batch)).unzip();
    let mut taken = vec![Vec::new(); batches.len()];
    let (mut first, begun) = (0, Instant::now());
    while begun.elapsed() < TIME {
        for turn in 0..batches.len() {
            let turn = (first + turn) % batches.len();
            taken[turn].extend(black_box(batches[turn]()));
        }
        first += 1;
    }
    let rounds = taken[0].len();
    let medians: Vec<_> = names.iter().zip(&mut taken).map(|(name, taken)| Row::new(name, median(taken))).collect();
    println!("| {title} | time | µs |\n|---|---:|---:|");
    let rows = rows(&medians);
    for Row { name, nanos } in &rows {
        println!("| {name} | {:.2} | {:.1} |", nanos / rows[0].nanos, nanos / 1000.0);
    }
    println!("\n{rounds} rounds of each.\n");
}

pub const BATCH: usize = 16;
const TIME: Duration = Duration::from_secs(15);
