//! Allowances of addresses, without a host.

use std::num::NonZeroU32;

use super::*;

fn allowance(count: u32, addresses: usize) -> (Arc<Allowance>, Counter) {
    let quota = Quota::with_period(Duration::from_secs(3600) / count).unwrap();
    let (refusals, untracked) = (Counter::default(), Counter::default());
    let quota = quota.allow_burst(NonZeroU32::new(count).unwrap());
    (Arc::new(Allowance::new("wrong_codes", quota, addresses, refusals, untracked.clone())), untracked)
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
    assert_eq!(network("64:ff9b::203.0.113.5"), network("203.0.113.5"), "behind a translator");
    assert_ne!(network("::203.0.113.5"), network("203.0.113.5"), "the deprecated form is no IPv4 address");
}

fn charge(allowance: &Arc<Allowance>, network: Network) {
    if let Ok(reservation) = allowance.reserve(network) {
        reservation.keep();
    }
}

#[test]
fn only_what_is_charged_uses_an_allowance_up() {
    let (allowance, _) = allowance(3, 10);
    let (attacker, other) = (network("203.0.113.5"), network("203.0.113.6"));
    for _ in 0..100 {
        drop(allowance.reserve(attacker).unwrap());
    }
    for _ in 0..3 {
        assert!(!allowance.is_used_up(attacker));
        charge(&allowance, attacker);
    }
    let wait = allowance.reserve(attacker).unwrap_err();
    assert!(wait > Duration::from_secs(1190) && wait <= Duration::from_secs(1200), "{wait:?}");
    // A refused request makes the wait no longer.
    assert!(allowance.reserve(attacker).unwrap_err() <= wait);
    assert!(!allowance.is_used_up(other));
}

#[test]
fn requests_at_the_same_time_use_up_no_more_than_there_is() {
    let (allowance, _) = allowance(3, 10);
    let attacker = network("203.0.113.5");
    let under_way: Vec<_> = (0..50).filter_map(|_| allowance.reserve(attacker).ok()).collect();
    assert_eq!(under_way.len(), 3);
    // Two of them come to nothing, and one of these only at second sight.
    let [kept, released, _] = &under_way[..] else { panic!() };
    kept.keep();
    released.keep();
    released.release();
    drop(under_way);
    let left: Vec<_> = (0..50).filter_map(|_| allowance.reserve(attacker).ok()).collect();
    assert_eq!(left.len(), 2);
}

#[test]
fn a_flood_of_addresses_takes_a_bounded_memory() {
    let (allowance, untracked) = allowance(1, 5000);
    for number in 0..20_000_u32 {
        charge(&allowance, Network::V4(number));
    }
    assert_eq!(untracked.get(), 15_000);
    assert_eq!(allowance.networks.lock().whole_at.len(), 5000);
}

#[test]
fn addresses_whose_allowance_is_whole_are_forgotten() {
    let quota = Quota::with_period(Duration::from_millis(1)).unwrap();
    let untracked = Counter::default();
    let allowance = Arc::new(Allowance::new("sends", quota, 5000, Counter::default(), untracked.clone()));
    for number in 0..20_000_u32 {
        charge(&allowance, Network::V4(number));
        if number % 4000 == 3999 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    assert_eq!(untracked.get(), 0);
    let table = allowance.networks.lock();
    assert!(table.whole_at.len() <= 5000 && table.whole_at.capacity() < 16_384, "{}", table.whole_at.capacity());
}
