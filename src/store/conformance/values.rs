//! Checks what a store does when only one caller uses it at a time.

use futures_util::future::try_join_all;

use super::records;
use super::trial::{BATCH, HOUR, LATE, Ledger, Trial, may_be_deleted, now};
use super::violation::Violation;
use crate::id::{RecordKey, Tag};
use crate::store::Store;
use crate::time::Timestamp;

pub(super) async fn whole_records<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let bodies = on.all_made(records::every_kind())?;
    let hour = now().after(HOUR);
    let mut ledgers = Vec::new();
    for delete_after in DELETE_AFTERS.into_iter().chain([hour]) {
        let mut ledger = Ledger::new(on.random_key()?);
        for (instance, body) in bodies.iter().enumerate() {
            if ledger.latest().is_some_and(may_be_deleted) {
                // If the record may be deleted, it is unknown whether the next swap would replace it.
                ledgers.push(core::mem::replace(&mut ledger, Ledger::new(on.random_key()?)));
            }
            on.write(&mut ledger, instance, on.record_until(body.clone(), delete_after)?).await?;
            on.look_everywhere(&mut ledger).await?;
        }
        ledgers.push(ledger);
    }
    on.look_at_all(&mut ledgers).await?;
    for (instance, ledger) in ledgers.iter_mut().enumerate() {
        if !ledger.latest().is_some_and(may_be_deleted) {
            // A record that may be deleted at once can replace a record that may not. And the check leaves nothing for
            // ever.
            let delete_after = if instance % 2 == 0 { hour } else { Timestamp::from_unix_secs(1) };
            on.write(ledger, instance, on.record_until(records::empty_authenticator(), delete_after)?).await?;
            on.look_everywhere(ledger).await?;
        }
    }
    Ok(ledgers)
}

pub(super) async fn expected_tags<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledger = Ledger::new(on.random_key()?);
    let absent = Tag::from_bytes(on.random()?);
    on.refused(&mut ledger, 0, Some(absent), on.session(0)?).await?;
    on.refused(&mut ledger, 1, Some(Tag::from_bytes([0; 16])), on.session(0)?).await?;
    on.look_everywhere(&mut ledger).await?;
    let special = [[0; 16], [0xff; 16], *b"' OR '1'='1' -- ", [b'\\'; 16], [b'%'; 16]].map(Tag::from_bytes);
    for (round, tag) in special.into_iter().map(Some).chain([None; 5]).enumerate() {
        let mut next = on.session(round)?;
        next.tag = tag.unwrap_or(next.tag);
        on.write(&mut ledger, round, next).await?;
        let Some(right) = ledger.expected() else { continue };
        let replaced: Vec<Tag> = ledger.replaced().take(2).collect();
        for (instance, wrong) in neighbours(&right).into_iter().chain(replaced).chain([absent]).enumerate() {
            on.refused(&mut ledger, instance, Some(wrong), on.session(99)?).await?;
        }
        on.look_everywhere(&mut ledger).await?;
    }
    Ok(vec![ledger])
}

pub(super) async fn absent_only<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledgers = Vec::new();
    for round in 0..8 {
        let mut ledger = Ledger::new(on.random_key()?);
        on.look_everywhere(&mut ledger).await?;
        on.write(&mut ledger, round, on.session(round)?).await?;
        for instance in 0..4 {
            on.refused(&mut ledger, instance, None, on.session(99)?).await?;
        }
        on.look_everywhere(&mut ledger).await?;
        on.write(&mut ledger, round + 1, on.session(round)?).await?;
        on.refused(&mut ledger, round + 2, None, on.session(99)?).await?;
        on.look_everywhere(&mut ledger).await?;
        ledgers.push(ledger);
    }
    Ok(ledgers)
}

pub(super) async fn keys_apart<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut alike: Vec<Ledger> = alike(on.random()?).into_iter().map(Ledger::new).collect();
    for step in [1, 2] {
        for (number, ledger) in alike.iter_mut().enumerate().step_by(step) {
            on.look_everywhere(ledger).await?;
            on.write(ledger, number, on.session(number)?).await?;
        }
        on.look_at_all(&mut alike).await?;
    }
    let mut many = Vec::new();
    for _ in 0..MANY_KEYS {
        many.push(Ledger::new(on.random_key()?));
    }
    for (first, batch) in many.chunks_mut(BATCH).enumerate() {
        let writes = batch.iter_mut().enumerate().map(|(number, ledger)| async move {
            on.write(ledger, number, on.session(first * BATCH + number)?).await?;
            on.look(ledger, number + 1).await
        });
        try_join_all(writes).await?;
    }
    on.look_once_at_all(&mut many).await?;
    many.append(&mut alike);
    Ok(many)
}

pub(super) async fn applied_once<S: Store>(on: &Trial<'_, S>) -> Result<Vec<Ledger>, Violation> {
    let mut ledgers = Vec::new();
    for number in 0..16 {
        let mut ledger = Ledger::new(on.random_key()?);
        // Swaps by the same instance, and then by others.
        for instance in [0, 0, 1, 2].map(|instance| instance + number) {
            on.write(&mut ledger, instance, on.session(number)?).await?;
            on.look_everywhere(&mut ledger).await?;
        }
        ledgers.push(ledger);
    }
    let traffic = on.watch(&mut ledgers, now().after(LATE)).await?;
    ledgers.push(traffic);
    Ok(ledgers)
}

/// Returns tags that differ a little from this tag: by one bit, or by the case of one letter of their text.
fn neighbours(tag: &Tag) -> Vec<Tag> {
    let text = String::from(*tag);
    let other_case = text.char_indices().filter(|(_, letter)| letter.is_ascii_alphabetic()).map(|(at, letter)| {
        let other = if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        format!("{before}{other}{after}")
    });
    // Not every letter can be the last. Changing it can make a text that is no tag.
    let mut neighbours: Vec<Tag> = other_case.filter_map(|text| Tag::try_from(text).ok()).take(3).collect();
    for (at, bit) in [(0, 1), (0, 0x80), (15, 1), (15, 0x80), (8, 0x10)] {
        neighbours.push(Tag::from_bytes(flipped(*tag.as_bytes(), at, bit)));
    }
    neighbours
}

/// Returns keys that a store could confuse: by cutting them off at either end or at a zero byte, by ignoring case, by
/// trimming, or by not escaping them.
fn alike(base: [u8; 32]) -> Vec<RecordKey> {
    let mut keys = vec![base];
    for at in [0, 1, 7, 8, 15, 16, 23, 24, 30, 31] {
        for bit in [0x01, 0x20, 0x80] {
            keys.push(flipped(base, at, bit));
        }
    }
    for byte in [0x00, 0x5c, 0x27, 0xff, b'%', b'_', b'*', b'?', b'[', b'{', b':', b' ', b'\n', b'$'] {
        for len in [1, 8, 16] {
            keys.push(core::array::from_fn(|at| if at < len { byte } else { base.get(at).copied().unwrap_or(0) }));
            keys.push(core::array::from_fn(|at| if at < 32 - len { base.get(at).copied().unwrap_or(0) } else { byte }));
        }
        // The bytes after this one still tell the keys apart.
        let broken = core::array::from_fn(|at| if at == 8 { byte } else { base.get(at).copied().unwrap_or(0) });
        keys.extend([broken, flipped(broken, 31, 1), flipped(broken, 9, 1), flipped(broken, 7, 1)]);
    }
    // `A` and `a` in base64.
    let [_, rest @ ..] = base;
    for first in [0, 26 << 2] {
        keys.push(core::array::from_fn(|at| match at.checked_sub(1) {
            None => first,
            Some(at) => rest.get(at).copied().unwrap_or(0),
        }));
    }
    // `4a` and `4A` in hexadecimal are the same byte. As text, `J` and `j` are not.
    keys.extend(
        [b'J', b'j']
            .map(|letter| core::array::from_fn(|at| if at < 16 { letter } else { base.get(at).copied().unwrap_or(0) })),
    );
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(RecordKey::from_bytes).collect()
}

fn flipped<const N: usize>(mut bytes: [u8; N], at: usize, bit: u8) -> [u8; N] {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= bit;
    }
    bytes
}

/// The past, the far future, and the limits of the number types of databases and dates.
const DELETE_AFTERS: [Timestamp; 10] = [
    Timestamp::from_unix_millis(0),
    Timestamp::from_unix_millis(1),
    Timestamp::from_unix_secs(1_000_000_000),
    Timestamp::from_unix_millis(0xffff_ffff * 1000),
    Timestamp::from_unix_millis(253_402_300_800_000),
    Timestamp::from_unix_millis(1 << 53),
    Timestamp::from_unix_millis((1 << 63) - 1),
    Timestamp::from_unix_millis(1 << 63),
    Timestamp::from_unix_millis(u64::MAX - 1),
    Timestamp::from_unix_millis(u64::MAX),
];

pub(super) const MANY_KEYS: usize = 10_000;
