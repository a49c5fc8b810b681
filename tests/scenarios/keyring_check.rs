//! Hosts that start with other secrets than those of their store, and hosts that rotate theirs.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use KeyringCheck::{Agrees, LacksAPeersKey};
use KeyringError::{NoSharedSealingSecret, OtherIndexSecret};
use otp_grant::server::{KeyringCheck, KeyringError};
use otp_grant::store::Record;
use otp_grant::*;
use otp_grant_tests::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const INDEX: u8 = 1;
const OLD: u8 = 2;
const NEW: u8 = 3;

fn master(byte: u8) -> MasterKey {
    MasterKey::from_bytes(&[byte; 32]).unwrap()
}

/// A host on the store of another host, with its index secret, and its sealing secrets, the first of which is active.
fn with(host: &Host, index: u8, sealing: &[u8]) -> Host {
    let keyring = Keyring::new(&master(index), &master(sealing[0]));
    let keyring = sealing[1..].iter().fold(keyring, |keyring, other| keyring.accepting(&master(*other)));
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    host.beside(Settings::default(), key, keyring)
}

/// The result of a start with these sealing secrets.
async fn start(host: &Host, sealing: &[u8]) -> Result<KeyringCheck, KeyringError> {
    with(host, INDEX, sealing).server.call_check_keyring().await
}

/// The record in which the store keeps the keys in use.
fn kept(host: &Host) -> Option<Record> {
    let records = host.store.inner.records().into_iter().map(|(_, record)| record);
    records.into_iter().find(|record| record.body.kind() == "keys_in_use")
}

#[tokio::test]
async fn hosts_with_the_same_secrets_agree() {
    let host = Host::new();
    for _ in 0..3 {
        assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
        host.advance(DAY);
    }
}

#[tokio::test]
async fn another_index_secret_is_refused_and_announces_nothing() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    let before = kept(&host);
    assert_eq!(with(&host, 9, &[OLD]).server.call_check_keyring().await, Err(OtherIndexSecret));
    assert_eq!(with(&host, 9, &[NEW]).server.call_check_keyring().await, Err(OtherIndexSecret));
    assert_eq!(kept(&host), before);
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
}

#[tokio::test]
async fn a_host_that_shares_no_sealing_secret_is_refused_and_announces_nothing() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    let before = kept(&host);
    assert_eq!(start(&host, &[NEW]).await, Err(NoSharedSealingSecret));
    assert_eq!(start(&host, &[NEW, 4]).await, Err(NoSharedSealingSecret));
    assert_eq!(kept(&host), before);
}

/// The warning is true of requests: such a host can't read what its peer seals.
#[tokio::test]
async fn a_host_that_lacks_a_secret_of_its_peer_is_warned() {
    let host = Host::new();
    assert_eq!(start(&host, &[NEW, OLD]).await, Ok(Agrees));
    assert_eq!(start(&host, &[OLD]).await, Ok(LacksAPeersKey));
    let sent = with(&host, INDEX, &[NEW, OLD]).send(&sms_send(PHONE)).await;
    assert_ne!(with(&host, INDEX, &[OLD]).token(&sms_grant(PHONE, &sent)).await.0, 200);
    // The peer accepts both secrets.
    assert_eq!(start(&host, &[NEW, OLD]).await, Ok(Agrees));
}

#[tokio::test]
async fn a_rotation_agrees_on_every_host_at_every_step() {
    let host = Host::new();
    for sealing in [&[OLD][..], &[OLD, NEW], &[NEW, OLD]] {
        for _ in 0..3 {
            assert_eq!(start(&host, sealing).await, Ok(Agrees), "{sealing:?}");
            host.advance(secs(600));
        }
        host.advance(DAY);
    }
    // Running hosts announce their secrets once a day. The last step comes when the sessions have ended.
    for _ in 0..30 {
        assert_eq!(start(&host, &[NEW, OLD]).await, Ok(Agrees));
        host.advance(DAY);
    }
    for _ in 0..3 {
        assert_eq!(start(&host, &[NEW]).await, Ok(Agrees));
        host.advance(secs(600));
    }
}

#[tokio::test]
async fn a_host_that_is_restarted_between_two_steps_is_warned_only_where_it_lacks_a_secret() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    // While the next secret is only accepted, nothing is sealed under it.
    assert_eq!(start(&host, &[OLD, NEW]).await, Ok(Agrees));
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    // A host that missed the first step can't read what a host in the second step seals.
    assert_eq!(start(&host, &[NEW, OLD]).await, Ok(Agrees));
    assert_eq!(start(&host, &[OLD]).await, Ok(LacksAPeersKey));
    assert_eq!(start(&host, &[OLD, NEW]).await, Ok(Agrees));
}

#[tokio::test]
async fn a_secret_that_is_dropped_too_early_is_a_warning_until_sessions_have_ended() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    assert_eq!(start(&host, &[NEW, OLD]).await, Ok(Agrees));
    host.advance(DAY * 30 - Duration::from_millis(1));
    assert_eq!(start(&host, &[NEW]).await, Ok(LacksAPeersKey));
    host.advance(Duration::from_millis(1));
    assert_eq!(start(&host, &[NEW]).await, Ok(Agrees));
}

#[tokio::test]
async fn a_leaked_secret_can_be_dropped_at_once_on_one_host_after_the_other() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    // A switch to a secret that all hosts already accept needs only a restart of each.
    assert_eq!(start(&host, &[OLD, NEW]).await, Ok(Agrees));
    assert_eq!(start(&host, &[NEW]).await, Ok(LacksAPeersKey));
    assert_eq!(start(&host, &[NEW]).await, Ok(LacksAPeersKey));
    // A secret that no host has is refused, unless the first host announces it as new.
    assert_eq!(start(&host, &[4]).await, Err(NoSharedSealingSecret));
    assert_eq!(with(&host, INDEX, &[4]).server.call_announce_new_keyring().await, Ok(()));
    for _ in 0..3 {
        assert_eq!(start(&host, &[4]).await, Ok(Agrees));
    }
    // A host that was left out does not start.
    assert_eq!(start(&host, &[NEW]).await, Err(NoSharedSealingSecret));
}

#[tokio::test]
async fn an_index_secret_can_be_replaced_on_purpose() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    let moved = with(&host, 9, &[OLD]);
    assert_eq!(moved.server.call_announce_new_keyring().await, Ok(()));
    assert_eq!(moved.server.call_check_keyring().await, Ok(Agrees));
    assert_eq!(start(&host, &[OLD]).await, Err(OtherIndexSecret));
}

#[tokio::test]
async fn what_no_host_announces_any_more_is_forgotten() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    host.advance(DAY * 30 - Duration::from_millis(1));
    assert_eq!(start(&host, &[NEW]).await, Err(NoSharedSealingSecret));
    host.advance(Duration::from_millis(1));
    assert_eq!(with(&host, 9, &[NEW]).server.call_check_keyring().await, Ok(Agrees));
}

#[tokio::test]
async fn secrets_are_kept_as_long_as_the_longest_session() {
    let host = Host::new();
    let key = || SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let lasting = session_validity(DAY * 90, DAY * 90);
    let lasting = host.beside(settings(|s| s.session_validity = lasting), key(), keyring());
    assert_eq!(lasting.server.call_check_keyring().await, Ok(Agrees));
    // A host with shorter sessions does not shorten the time for which secrets are kept.
    host.advance(secs(120));
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    host.advance(DAY * 89);
    assert_eq!(start(&host, &[NEW]).await, Err(NoSharedSealingSecret));
}

#[tokio::test]
async fn issuers_on_one_store_have_secrets_of_their_own() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let issuer = Issuer::new("https://other.example.com").unwrap();
    let other = AuthorizationServer::builder(issuer, Keyring::new(&master(8), &master(9)), key)
        .clock(host.clock.clone())
        .build(host.store.clone(), host.directory.clone())
        .unwrap();
    assert_eq!(other.check_keyring().await, Ok(Agrees));
    assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
}

#[tokio::test]
async fn it_costs_a_load_and_at_most_a_swap() {
    let host = Host::new();
    for (wait, calls) in [(0, 2), (0, 1), (60, 1), (1, 2), (600, 2)] {
        host.advance(secs(wait));
        let before = host.store.calls.load(SeqCst);
        assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
        assert_eq!(host.store.calls.load(SeqCst) - before, calls, "{wait}");
    }
}

#[tokio::test]
async fn hosts_that_start_at_once_are_all_announced() {
    let host = Host::new();
    host.store.yields.store(3, SeqCst);
    let (first, second) = tokio::join!(start(&host, &[OLD, NEW]), start(&host, &[NEW, OLD]));
    assert_eq!((first, second), (Ok(Agrees), Ok(Agrees)));
    assert_eq!(start(&host, &[OLD]).await, Ok(LacksAPeersKey));
    assert_eq!(start(&host, &[NEW]).await, Ok(LacksAPeersKey));
    // Of two hosts without a common secret, one is refused.
    let host = Host::new();
    host.store.yields.store(3, SeqCst);
    let (first, second) = tokio::join!(start(&host, &[OLD]), start(&host, &[NEW]));
    assert!([first, second].contains(&Ok(Agrees)) && [first, second].contains(&Err(NoSharedSealingSecret)));
}

#[tokio::test]
async fn a_store_that_fails_is_no_verdict_on_the_secrets() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten] {
        let host = Host::new();
        host.store.fault(1, fault);
        assert_eq!(start(&host, &[OLD]).await, Ok(Agrees), "{fault:?}");
        assert_eq!(start(&host, &[NEW]).await, Err(NoSharedSealingSecret), "{fault:?}");
    }
    let host = Host::new();
    host.store.down.store(true, SeqCst);
    assert_eq!(start(&host, &[OLD]).await, Err(KeyringError::Unavailable));
    assert!(host.server.call_announce_new_keyring().await.is_err());
}

#[tokio::test]
async fn secrets_that_are_to_replace_others_are_stored_whatever_the_store_does() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten] {
        let host = Host::new();
        assert_eq!(start(&host, &[OLD]).await, Ok(Agrees));
        host.store.fault(1, fault);
        assert_eq!(with(&host, INDEX, &[NEW]).server.call_announce_new_keyring().await, Ok(()), "{fault:?}");
        assert_eq!(start(&host, &[OLD]).await, Err(NoSharedSealingSecret), "{fault:?}");
        assert_eq!(start(&host, &[NEW]).await, Ok(Agrees), "{fault:?}");
    }
}

#[tokio::test]
async fn the_record_is_small_and_has_no_secret_in_it() {
    let host = Host::new();
    assert_eq!(start(&host, &[OLD, NEW]).await, Ok(Agrees));
    assert_eq!(start(&host, &[NEW, OLD]).await, Ok(Agrees));
    let text = serde_json::to_string(&kept(&host).unwrap()).unwrap();
    assert!(text.len() < 256, "{} {text}", text.len());
    let names = text.split('"').filter(|part| part.len() == 6);
    assert_eq!(names.count(), 5, "{text}");
}
