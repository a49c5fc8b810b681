//! Tables of engines and exchanges, and the numbers by which C names their entries.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fault::{Fault, Status};

/// Entries that are named by their place and by a number that no earlier entry of this place had.
pub(crate) struct Table<T> {
    shards: [Mutex<Shard<T>>; SHARDS],
    next: AtomicUsize,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { shards: [const { Mutex::new(Shard::new()) }; SHARDS], next: AtomicUsize::new(0) }
    }

    /// Keeps a value, and returns its handle.
    pub(crate) fn insert(&self, value: T) -> Result<u64, Fault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = self.shard(number).ok_or_else(Fault::bad_handle)?;
        let place = match shard.free.pop() {
            Some(place) => place,
            None => {
                let place = shard.slots.len();
                if place >= PLACES {
                    return Err(Fault::new(Status::TooMany, "there are too many engines or exchanges"));
                }
                shard.slots.push(Slot { generation: 0, value: None });
                place
            }
        };
        let slot = shard.slots.get_mut(place).ok_or_else(Fault::bad_handle)?;
        slot.generation = next_generation(slot.generation);
        slot.value = Some(Arc::new(value));
        Handle { generation: slot.generation, place: place * SHARDS + number }.to_u64().ok_or_else(Fault::bad_handle)
    }

    /// Returns the value of a handle.
    pub(crate) fn get(&self, handle: u64) -> Result<Arc<T>, Fault> {
        self.with_slot(handle, |_, slot, _| slot.value.as_ref().map(Arc::clone))
    }

    /// Gives the value another handle. The handle that it had is that of nothing from now on.
    pub(crate) fn renew(&self, handle: u64) -> Result<u64, Fault> {
        self.with_slot(handle, |_, slot, place| {
            slot.value.as_ref()?;
            slot.generation = next_generation(slot.generation);
            Handle { generation: slot.generation, place }.to_u64()
        })
    }

    /// Takes the value out.
    pub(crate) fn remove(&self, handle: u64) -> Result<Arc<T>, Fault> {
        self.with_slot(handle, |free, slot, place| {
            let value = slot.value.take()?;
            free.push(place / SHARDS);
            Some(value)
        })
    }

    fn with_slot<R>(
        &self,
        handle: u64,
        work: impl FnOnce(&mut Vec<usize>, &mut Slot<T>, usize) -> Option<R>,
    ) -> Result<R, Fault> {
        let Handle { generation, place } = Handle::from_u64(handle).ok_or_else(Fault::bad_handle)?;
        let mut shard = self.shard(place % SHARDS).ok_or_else(Fault::bad_handle)?;
        let Shard { slots, free } = &mut *shard;
        let slot = slots.get_mut(place / SHARDS).filter(|slot| slot.generation == generation);
        slot.and_then(|slot| work(free, slot, place)).ok_or_else(Fault::bad_handle)
    }

    fn shard(&self, number: usize) -> Option<MutexGuard<'_, Shard<T>>> {
        // Nothing under this lock can panic half-way.
        Some(self.shards.get(number)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Shard<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

impl<T> Shard<T> {
    const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

struct Slot<T> {
    generation: u64,
    value: Option<Arc<T>>,
}

/// What C holds. It is never 0.
struct Handle {
    generation: u64,
    place: usize,
}

impl Handle {
    fn to_u64(&self) -> Option<u64> {
        let place = u64::try_from(self.place).ok().filter(|place| *place <= PLACE)?;
        Some(self.generation << PLACE_BITS | place)
    }

    fn from_u64(handle: u64) -> Option<Self> {
        Some(Self { generation: handle >> PLACE_BITS, place: usize::try_from(handle & PLACE).ok()? })
    }
}

/// 40 bits, without 0.
fn next_generation(generation: u64) -> u64 {
    let next = (generation + 1) & (u64::MAX >> PLACE_BITS);
    next.max(1)
}

/// So many locks that threads seldom wait for one another.
const SHARDS: usize = 16;
const PLACE_BITS: u32 = 24;
const PLACE: u64 = (1 << PLACE_BITS) - 1;
const PLACES: usize = (1 << PLACE_BITS) / SHARDS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_nothing_once_it_was_freed_or_renewed() {
        let table = Table::new();
        let first = table.insert("first").unwrap();
        assert_eq!(*table.get(first).unwrap(), "first");
        let renewed = table.renew(first).unwrap();
        for stale in [0, 1, first, u64::MAX, renewed + 1] {
            assert_eq!(table.get(stale).unwrap_err().status, Status::BadHandle);
            assert_eq!(table.renew(stale).unwrap_err().status, Status::BadHandle);
            assert_eq!(table.remove(stale).unwrap_err().status, Status::BadHandle);
        }
        assert_eq!(*table.remove(renewed).unwrap(), "first");
        assert!(table.remove(renewed).is_err());
        // Every place is used again, and no handle is.
        let mut seen = vec![first, renewed];
        for _ in 0..1000 {
            let handle = table.insert("next").unwrap();
            assert!(handle != 0 && !seen.contains(&handle));
            table.remove(handle).unwrap();
            seen.push(handle);
        }
        assert!(table.shards.iter().all(|shard| shard.lock().unwrap().slots.len() <= 1));
    }
}
