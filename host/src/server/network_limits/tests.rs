//! Allowances of addresses, without a host.

use std::num::NonZeroU32;

use super::*;

fn allowance(count: u32, addresses: usize) -> (Allowance, Counter) {
    let quota = Quota::with_period(Duration::from_secs(3600) / count).unwrap();
    let (refusals, untracked) = (Counter::default(), Counter::default());
    let quota = quota.allow_burst(NonZeroU32::new(count).unwrap());
    (Allowance::new("wrong_codes", quota, addresses, refusals, untracked.clone()), untracked)
}

fn network(text: &str) -> Network {
    Network::of(text.parse().unwrap())
}

#[test]
fn an_address_is_a_network_of_64_bits_or_one_of_ipv4() {
    assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    assert_eq!(network("::ffff:203.0.113.5"), network("203.0.113.5"));
    assert_ne!(network("203.0.113.4"), network("203.0.113.5"));
    assert_ne!(network("::203.0.113.5"), network("203.0.113.5"), "the deprecated form is no IPv4 address");
}

#[test]
fn only_what_is_charged_uses_an_allowance_up() {
    let (allowance, _) = allowance(3, 10);
    let (attacker, other) = (network("203.0.113.5"), network("203.0.113.6"));
    for _ in 0..100 {
        assert!(allowance.used_up(attacker).is_none());
    }
    for _ in 0..3 {
        assert!(allowance.used_up(attacker).is_none());
        allowance.charge(attacker);
    }
    let (_, wait) = allowance.used_up(attacker).unwrap();
    assert!(wait > Duration::from_secs(1190) && wait <= Duration::from_secs(1200), "{wait:?}");
    // Requests that were answered at the same time make the wait no longer.
    allowance.charge(attacker);
    assert!(allowance.used_up(attacker).unwrap().1 <= wait);
    assert!(allowance.used_up(other).is_none());
}

#[test]
fn a_flood_of_addresses_takes_a_bounded_memory() {
    let (allowance, untracked) = allowance(1, 5000);
    for number in 0..20_000_u32 {
        allowance.charge(Network::V4(number));
    }
    assert_eq!(untracked.get(), 15_000);
    let Networks { table, .. } = allowance.limiter.into_state_store();
    assert_eq!(table.into_inner().unwrap().whole_at.len(), 5000);
}

#[test]
fn addresses_whose_allowance_is_whole_are_forgotten() {
    let quota = Quota::with_period(Duration::from_millis(1)).unwrap();
    let untracked = Counter::default();
    let allowance = Allowance::new("sends", quota, 5000, Counter::default(), untracked.clone());
    for number in 0..20_000_u32 {
        allowance.charge(Network::V4(number));
        if number % 4000 == 3999 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(untracked.get(), 0);
    let Networks { table, .. } = allowance.limiter.into_state_store();
    let table = table.into_inner().unwrap();
    assert!(table.whole_at.len() <= 5000 && table.whole_at.capacity() < 16_384, "{}", table.whole_at.capacity());
}
