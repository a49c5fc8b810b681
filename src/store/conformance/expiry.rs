//! Checks what a store does with records around their `delete_after`.

use core::time::Duration;

use futures_util::future::{try_join, try_join_all};

use super::records;
use super::trial::{Ledger, Outcome, Trial, give_way, now};
use super::violation::{Promise, Violation, describe};
use crate::id::Tag;
use crate::store::{Store, Swap};
use crate::time::Timestamp;

pub(super) async fn until_delete_after<S: Store>(on: &Trial<'_, S>) -> Result<Outcome, Violation> {
    // Later than the shortest time for which the store keeps anything.
    let deadline = late_in_a_second(now().after(Duration::from_millis(1200)).after(on.deletes_within()));
    // All at once: a slow store could not store them one by one before the deadline.
    let written = try_join_all((0..8).map(|number| write_until(on, number, deadline))).await?;
    let mut ledgers: Vec<Ledger> = written.into_iter().flatten().collect();
    let traffic = on.watch(&mut ledgers, deadline.after(Duration::from_millis(300))).await?;
    let late = deadline.before(Duration::from_millis(500));
    let due = ledgers.iter().filter(|ledger| ledger.latest().is_some_and(|latest| latest.delete_after == deadline));
    let was_looked_at = due.into_iter().any(|ledger| ledger.was_found_since(late));
    ledgers.push(traffic);
    let not_observed = if was_looked_at { Vec::new() } else { vec![Promise::StaysStored] };
    Ok(Outcome { ledgers, not_observed })
}

/// Writes three records: one until the deadline, one that is prolonged before it, and one that stays longer from the
/// start.
async fn write_until<S: Store>(
    on: &Trial<'_, S>,
    number: usize,
    deadline: Timestamp,
) -> Result<[Ledger; 3], Violation> {
    let mut due = Ledger::new(on.random_key()?);
    on.write(&mut due, number, on.session_until(number, deadline)?).await?;

    // Another instance keeps the record for longer than the first.
    let mut prolonged = Ledger::new(on.random_key()?);
    let body = records::empty_authenticator();
    on.write(&mut prolonged, number, on.record_until(body, deadline)?).await?;
    on.write(&mut prolonged, number + 1, on.session(number)?).await?;

    // A refused swap does not shorten the time for which the record is kept.
    let mut kept = Ledger::new(on.random_key()?);
    on.write(&mut kept, number, on.session(number)?).await?;
    for early in [Timestamp::from_unix_secs(1), now().after(Duration::from_millis(100))] {
        on.refused(&mut kept, number + 1, None, on.session_until(99, early)?).await?;
        let wrong = Some(Tag::from_bytes(on.random()?));
        on.refused(&mut kept, number + 2, wrong, on.session_until(99, early)?).await?;
    }
    Ok([due, prolonged, kept])
}

pub(super) async fn deleted_altogether<S: Store>(on: &Trial<'_, S>) -> Result<Outcome, Violation> {
    let start = now();
    let mut ledgers = Vec::new();
    // Some records were due long ago, some are due now, and some were due from the start.
    for number in 0..32 {
        let delete_after = match number % 4 {
            0 => Timestamp::from_unix_secs(1),
            1 => start.after(Duration::from_millis(200)),
            2 => start.after(Duration::from_millis(900)),
            _ => start.after(Duration::from_millis(1400)),
        };
        let mut ledger = Ledger::new(on.random_key()?);
        on.write(&mut ledger, number, on.session_until(number, delete_after)?).await?;
        ledgers.push((ledger, false));
    }
    let mut round = 0;
    while !now().has_reached(start.after(Duration::from_millis(1450)).after(on.deletes_within())) {
        for (ledger, is_gone) in &mut ledgers {
            *is_gone = look_again(on, ledger, round, *is_gone).await?;
            round += 1;
        }
        give_way().await;
    }
    let (mut written, mut deleted) = (Vec::new(), 0);
    for (number, (mut ledger, mut is_gone)) in ledgers.into_iter().enumerate() {
        is_gone = look_again(on, &mut ledger, number, is_gone).await?;
        // Some stores never keep a record that was due when it was written.
        deleted += usize::from(is_gone && number % 4 != 0);
        write_over(on, &mut ledger, number, is_gone).await?;
        on.look_everywhere(&mut ledger).await?;
        written.push(ledger);
    }
    // One record that was deleted and written over is enough, because a store deletes all records by the same means.
    let not_observed = if deleted > 0 { Vec::new() } else { vec![Promise::DeletedAltogether] };
    Ok(Outcome { ledgers: written, not_observed })
}

/// Loads a record that may be deleted. Once it is gone for one instance, it must be gone for all.
async fn look_again<S: Store>(
    on: &Trial<'_, S>,
    ledger: &mut Ledger,
    instance: usize,
    is_gone: bool,
) -> Result<bool, Violation> {
    let found = on.look(ledger, instance).await?;
    if is_gone && found.is_some() {
        let found = format!("again {}", describe(found.as_ref()));
        return Err(on.broken(Promise::DeletedAltogether, "nothing, as was found before", found));
    }
    Ok(found.is_none())
}

/// Writes over a record that may be deleted, by two swaps. One of them is right if the record is there, and the other
/// if it is not.
async fn write_over<S: Store>(
    on: &Trial<'_, S>,
    ledger: &mut Ledger,
    number: usize,
    is_gone: bool,
) -> Result<(), Violation> {
    let (key, tag) = (ledger.key, ledger.expected());
    let (replacing, inserting) = (on.session(1)?, on.session(2)?);
    let replaces = on.swap(number, &key, tag, &replacing);
    let inserts = on.swap(number + 1, &key, None, &inserting);
    // One after the other, or both at once.
    let (replaced, inserted) = match number % 8 {
        0..4 => try_join(replaces, inserts).await?,
        _ => {
            let inserted = inserts.await?;
            (replaces.await?, inserted)
        }
    };
    let broken = |expected: &str, found: &str| Err(on.broken(Promise::DeletedAltogether, expected, found));
    match (replaced, inserted) {
        (Swap::Stored, Swap::Stored) => {
            broken("one `Stored`", "`Stored` for the swap that expects the record and for the one that expects nothing")
        }
        (Swap::Stored, Swap::Conflict) if is_gone => {
            broken("`Conflict`, as nothing is there for `load`", "`Stored` by a swap that expected the deleted record")
        }
        (Swap::Conflict, Swap::Conflict) if is_gone => {
            broken("`Stored`, as nothing is there for `load`", "`Conflict` for a swap that expects nothing")
        }
        (Swap::Stored, Swap::Conflict) => {
            ledger.never(&inserting, Promise::ConflictChangesNothing);
            ledger.stored(replacing);
            Ok(())
        }
        (Swap::Conflict, Swap::Stored) => {
            ledger.never(&replacing, Promise::ConflictChangesNothing);
            ledger.stored(inserting);
            Ok(())
        }
        (Swap::Conflict, Swap::Conflict) => {
            // The record was deleted between the two swaps.
            ledger.never(&replacing, Promise::ConflictChangesNothing);
            ledger.never(&inserting, Promise::ConflictChangesNothing);
            if on.look(ledger, number + 2).await?.is_some() {
                return broken("`Stored` by a swap that expects the record", "`Conflict`, and the record is there");
            }
            let next = on.session(3)?;
            if on.swap(number + 3, &key, None, &next).await? == Swap::Conflict {
                return broken(
                    "`Stored`, as nothing is there for `load`",
                    "`Conflict` for a swap that expects nothing",
                );
            }
            ledger.stored(next);
            Ok(())
        }
    }
}

/// Returns the next instant that is late in its second. It shows a store that keeps whole seconds.
fn late_in_a_second(from: Timestamp) -> Timestamp {
    let late = from.whole_second().after(Duration::from_millis(950));
    if late.has_reached(from) { late } else { late.after(Duration::from_secs(1)) }
}
