//! Checks what a store does when many callers use it at once.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::collections::HashMap;

use futures_util::future::try_join_all;

use super::records;
use super::trial::{HOUR, INSTANCES, LATE, Ledger, Trial, give_way, now};
use super::violation::{Promise, Violation, describe};
use crate::id::{RecordKey, Tag};
use crate::store::{Record, Store, Swap};

pub(super) async fn answered_is_seen<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledgers = Vec::new();
    for _ in 0..8 {
        ledgers.push(Ledger::new(on.random_key()?));
    }
    let keys = ledgers.iter_mut().enumerate().map(|(number, ledger)| async move {
        for round in 0..SEEN_ROUNDS {
            on.write(ledger, number + round, on.session(round)?).await?;
            on.look_everywhere(ledger).await?;
        }
        Ok(())
    });
    try_join_all(keys).await?;
    Ok(ledgers)
}

pub(super) async fn one_winner<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledgers = Vec::new();
    for _ in 0..INSERT_RACES {
        let mut ledger = Ledger::new(on.random_key()?);
        race(on, &mut ledger).await?;
        ledgers.push(ledger);
    }
    let mut ledger = Ledger::new(on.random_key()?);
    on.write(&mut ledger, 0, on.session(0)?).await?;
    for _ in 0..SWAP_RACES {
        race(on, &mut ledger).await?;
    }
    ledgers.push(ledger);
    Ok(ledgers)
}

/// Lets many swaps race that expect the stored tag. One of them must win.
async fn race<S: Store>(on: &Trial<'_, S>, ledger: &mut Ledger) -> Result<(), Violation> {
    let (key, expected) = (ledger.key, ledger.expected());
    let racers = (0..RACERS).map(|number| async move {
        let next = on.session(number)?;
        let swapped = on.swap(number, &key, expected, &next).await?;
        Ok((next, swapped))
    });
    let (won, lost): (Vec<_>, Vec<_>) =
        try_join_all(racers).await?.into_iter().partition(|(_, swapped)| *swapped == Swap::Stored);
    let winners = won.len();
    for (loser, _) in lost {
        ledger.never(&loser, Promise::ConflictChangesNothing);
    }
    for (winner, _) in won {
        ledger.stored(winner);
    }
    if winners != 1 {
        let racing = format!("one `Stored` of {RACERS} swaps that all expected {expected:?}");
        return Err(on.broken(Promise::AtomicSwap, racing, format!("{winners}")));
    }
    on.look_everywhere(ledger).await
}

pub(super) async fn no_lost_update<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledger = Ledger::new(on.random_key()?);
    on.write(&mut ledger, 0, on.session(0)?).await?;
    let key = ledger.key;
    let counters = try_join_all((0..COUNTERS).map(|number| count_up(on, key, number))).await?;
    let (loaded, swapped): (Vec<_>, Vec<_>) =
        counters.into_iter().map(|counter| (counter.loaded, counter.swapped)).unzip();
    let mut by_expected = HashMap::new();
    for (expected, next) in swapped.into_iter().flatten() {
        let described = describe(Some(&next));
        if let Some(other) = by_expected.insert(expected, next) {
            let found = format!("it by {} and by {described}", describe(Some(&other)));
            return Err(on.broken(Promise::AtomicSwap, format!("{expected:?} to be replaced once"), found));
        }
    }
    while let Some(next) = ledger.expected().and_then(|expected| by_expected.remove(&expected)) {
        ledger.stored(next);
    }
    if !by_expected.is_empty() {
        let expected = format!("{} swaps, each on top of another", COUNTERS * INCREMENTS);
        return Err(on.broken(Promise::AtomicSwap, expected, format!("{} of them lost", by_expected.len())));
    }
    if let Some(torn) = loaded.iter().flatten().find(|loaded| !ledger.has_stored(loaded)) {
        let found = format!("{} with another body", describe(Some(torn)));
        return Err(on.broken(Promise::LoadedWhole, "a record as it was stored, while others are stored", found));
    }
    on.look_everywhere(&mut ledger).await?;
    Ok(vec![ledger])
}

/// Counts up again and again, and notes what was loaded and what was stored.
async fn count_up<S: Store>(on: &Trial<'_, S>, key: RecordKey, instance: usize) -> Result<Counter, Violation> {
    let mut counter = Counter { loaded: Vec::new(), swapped: Vec::new() };
    while counter.swapped.len() < INCREMENTS {
        let loaded = on.load(instance, &key).await?;
        let count = loaded.as_ref().and_then(|record| records::user(&record.body));
        let (Some(loaded), Some(count)) = (loaded, count) else {
            return Err(on.broken(Promise::StaysStored, "a record that counts", "nothing"));
        };
        // The order differs each time.
        for _ in 0..(counter.loaded.len() + instance) % INSTANCES {
            give_way().await;
        }
        let (expected, next) = (loaded.tag, on.session(count + 1)?);
        counter.loaded.push(loaded);
        match on.swap(instance, &key, Some(expected), &next).await? {
            Swap::Stored => counter.swapped.push((expected, next)),
            Swap::Conflict if counter.loaded.len() < MOST_ATTEMPTS => {}
            Swap::Conflict => {
                let found = format!("`Conflict` after nearly all of {MOST_ATTEMPTS} loads");
                return Err(on.broken(Promise::ComparesTag, "`Stored` after some load", found));
            }
        }
    }
    Ok(counter)
}

struct Counter {
    loaded: Vec<Record>,
    /// What each swap expected and what it stored.
    swapped: Vec<(Tag, Record)>,
}

pub(super) async fn dropped_calls<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledgers = Vec::new();
    let mut other = Ledger::new(on.random_key()?);
    on.write(&mut other, 0, on.session(0)?).await?;
    let large = on.made(records::largest_session())?;
    for number in 0..DROPPED_KEYS {
        let mut ledger = Ledger::new(on.random_key()?);
        // The first swap inserts, the others replace.
        for round in 0..DROPS_PER_KEY {
            let instance = number + round;
            // The call is dropped at once, or while it is in progress, or when its answer is.
            let polls = 1 << ((number + 3 * round) % 10);
            let next = on.record_until(large.clone(), now().after(HOUR))?;
            let expected = ledger.expected();
            match polled(on.swap(instance, &ledger.key, expected, &next), polls).await.transpose()? {
                Some(Swap::Stored) => ledger.stored(next),
                Some(Swap::Conflict) => {
                    on.look(&mut ledger, instance).await?;
                    return Err(on.broken(
                        Promise::ComparesTag,
                        "`Stored`, as what was expected is stored",
                        "`Conflict`",
                    ));
                }
                None => {
                    // The answer to the dropped call must not be taken for the answer to another call.
                    on.look(&mut other, instance).await?;
                    settle(on, &mut ledger, instance, next).await?;
                }
            }
            // The next load must not find what the dropped load was meant to find.
            if let Some(found) = polled(on.load(instance, &ledger.key), polls).await.transpose()? {
                on.judge(&mut ledger, instance, found.as_ref()).await?;
            }
            on.look(&mut other, instance).await?;
            on.write(&mut other, instance, on.session(round)?).await?;
            on.look_everywhere(&mut ledger).await?;
        }
        ledgers.push(ledger);
    }
    ledgers.push(other);
    let traffic = on.watch(&mut ledgers, now().after(LATE)).await?;
    ledgers.push(traffic);
    Ok(ledgers)
}

/// Finds out the outcome of a swap that was dropped. It was done, or it was not done, or it is done later. Done later,
/// it must not replace what was stored in the meantime.
async fn settle<S: Store>(
    on: &Trial<'_, S>,
    ledger: &mut Ledger,
    instance: usize,
    dropped: Record,
) -> Result<(), Violation> {
    let was_done = |found: &Option<Record>| found.as_ref().is_some_and(|found| found.tag == dropped.tag);
    let found = on.load(instance + 1, &ledger.key).await?;
    if was_done(&found) {
        ledger.stored(dropped);
        return on.judge(ledger, instance + 1, found.as_ref()).await;
    }
    on.judge(ledger, instance + 1, found.as_ref()).await?;
    let ours = on.session(0)?;
    if on.swap(instance + 1, &ledger.key, ledger.expected(), &ours).await? == Swap::Stored {
        ledger.never(&dropped, Promise::AtomicSwap);
        ledger.stored(ours);
        return Ok(());
    }
    ledger.never(&ours, Promise::ConflictChangesNothing);
    let found = on.load(instance + 2, &ledger.key).await?;
    if !was_done(&found) {
        on.judge(ledger, instance + 2, found.as_ref()).await?;
        return Err(on.broken(Promise::ComparesTag, "`Stored`, as what was expected is stored", "`Conflict`"));
    }
    ledger.stored(dropped);
    on.judge(ledger, instance + 2, found.as_ref()).await
}

/// Polls a future at most this many times, and then drops it.
async fn polled<T>(future: impl Future<Output = T>, times: u32) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
            return Some(output);
        }
        give_way().await;
    }
    None
}

const SEEN_ROUNDS: usize = 25;
const INSERT_RACES: usize = 16;
const SWAP_RACES: usize = 16;
const RACERS: usize = 8 * INSTANCES;
const COUNTERS: usize = 3 * INSTANCES;
const INCREMENTS: usize = 25;
/// Far more attempts than it takes until all others have counted to the end.
const MOST_ATTEMPTS: usize = 20 * COUNTERS * INCREMENTS;
const DROPPED_KEYS: usize = 12;
const DROPS_PER_KEY: usize = 10;
