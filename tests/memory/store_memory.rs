//! What the embedded store holds for each record, and how little of its work a single call has to wait for.
//!
//! Bytes and allocations are counted, not estimated, and no time is taken.

use allocation_counter::measure;
use otp_grant::id::RecordKey;
use otp_grant::jwt::Algorithm;
use otp_grant::store::{Record, Swap};
use otp_grant::time::Clock;
use otp_grant::*;
use otp_grant_tests::*;
use pollster::block_on;

/// All that the store allocates counts: tables, records and what is in them.
#[test]
fn a_live_challenge_takes_less_than_336_bytes_however_many_there_are() {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .build(MemoryStore::new(), sample_directory())
        .unwrap();
    let (mut held, mut most) = (0, 0);
    for challenges in (STEP..=100_000).step_by(STEP) {
        let counted = measure(|| {
            for number in challenges - STEP..challenges {
                let body = sms_send(&format!("137{number:08}")).to_string();
                drop(block_on(server.post_send(json_request(&body, None))).unwrap());
            }
        });
        // A table that was moved to twice the room would hold both for a moment.
        let peak = held + usize::try_from(counted.bytes_max).unwrap();
        held += usize::try_from(counted.bytes_current).unwrap();
        if challenges >= 20_000 {
            most = most.max(held / challenges);
            assert!(peak / challenges < 336, "{} bytes of each at {challenges}", peak / challenges);
        }
    }
    println!("at most {most} bytes of each challenge");
    assert!(most < 336);
}

#[test]
fn no_swap_moves_all_that_is_stored() {
    let (store, record) = (MemoryStore::new(), record());
    let mut most = 0;
    for number in 0..100_000 {
        let counted = measure(|| assert_eq!(insert(&store, number, &record), Swap::Stored));
        most = most.max(counted.bytes_total);
    }
    // What a table asks for when it grows, which it then moves its records to.
    println!("at most {most} bytes in one swap");
    assert!(most < 48 * 1024);
}

#[test]
fn no_swap_deletes_all_that_has_expired() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let ending_in_a_minute = |record: Record| Record::new(record.tag, clock.now().after(secs(60)), record.body);
    let record = ending_in_a_minute(record());
    for number in 0..EXPIRED {
        assert_eq!(insert(&store, number, &record), Swap::Stored);
    }
    clock.advance(secs(59));
    assert_eq!(insert(&store, EXPIRED, &record), Swap::Stored);
    assert_eq!(store.len(), EXPIRED + 1);

    clock.advance(secs(1));
    let lasting = ending_in_a_minute(record);
    let (mut inserted, mut most) = (0, 0);
    while store.len() > inserted {
        let before = store.len();
        inserted += 1;
        let counted = measure(|| assert_eq!(insert(&store, EXPIRED + inserted, &lasting), Swap::Stored));
        most = most.max(before + 1 - store.len());
        // A record is a node, its challenges and its meter.
        assert!(counted.count_current >= -3 * 64, "{} allocations were freed", -counted.count_current);
        assert!(inserted < EXPIRED / 2, "{} of {EXPIRED} are left", store.len() - inserted);
    }
    println!("at most {most} records in one swap; {inserted} inserts until all were gone");
    assert!(most <= 64);
}

#[test]
fn what_has_expired_does_not_pile_up() {
    const LIVE: usize = 5000;
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let record = record();
    let mut most = 0;
    for number in 0..LIVE * 8 {
        clock.advance(secs(1));
        let delete_after = clock.now().after(secs(5000));
        assert_eq!(insert(&store, number, &Record::new(record.tag, delete_after, record.body.clone())), Swap::Stored);
        most = most.max(store.len());
    }
    println!("at most {most} records where {LIVE} are alive");
    assert!(most < LIVE * 3 / 2);
}

/// What a send leaves in the store.
fn record() -> Record {
    let host = Host::new();
    block_on(host.send(&sms_send(PHONE)));
    host.store.inner.records().pop().unwrap().1
}

fn insert(store: &MemoryStore, number: usize, record: &Record) -> Swap {
    let Ok(swap) = block_on(store.swap(&key(number), None, record));
    swap
}

/// As uniform as the HMACs that are the keys of records.
fn key(number: usize) -> RecordKey {
    let digest = ring::digest::digest(&ring::digest::SHA256, &number.to_le_bytes());
    RecordKey::from_bytes(digest.as_ref().try_into().unwrap())
}

const STEP: usize = 1000;
const EXPIRED: usize = 100_000;
