//! Fuzzes compact strings against key sets. Nothing panics, and only what was signed passes.
//!
//! The first byte chooses: an arbitrary string, edits of a token of one of three keys, or an arbitrary key set.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant::jwt::{Audience, PublicKeySet, jws};
use otp_grant::{Settings, SigningKey};
use otp_grant_fuzz::*;
use pollster::block_on;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let Fixture { hosts, keys, signed } = &*FIXTURE;
    let token = &signed[usize::from(choice / 4) % signed.len()];
    let compact = match choice % 4 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => {
            if let Ok(keys) = PublicKeySet::from_json(rest) {
                let again = PublicKeySet::from_json(keys.to_json().as_bytes()).unwrap();
                assert_eq!(again.to_json(), keys.to_json());
                let _ = jws::verify(token, &keys);
            }
            return;
        }
        _ => edit(token, rest, &signed.iter().map(String::as_str).collect::<Vec<_>>()),
    };

    // Each ES256 signature has a second one (r, -s), but edits alone do not produce it.
    let is_signed = signed.contains(&compact);
    let (peak_memory, verified) = peak(|| jws::verify(&compact, keys));
    assert_eq!(verified.is_ok(), is_signed, "{compact:?}");
    assert_bounded(peak_memory, compact.len(), MULTIPLE);
    for host in hosts {
        assert!(is_signed || host.server.verify_access_token(&compact, Audience::EveryClient).is_err(), "{compact:?}");
    }
});

struct Fixture {
    hosts: Vec<Host>,
    keys: PublicKeySet,
    signed: Vec<String>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let hosts = KEYS.map(|pem| Host::with_key(Settings::default(), SigningKey::from_pem(pem).unwrap()));
    let signed = |host: &Host| {
        let sent = block_on(host.send(&sms_send(PHONE)));
        let (_, granted) = block_on(host.token(&sms_grant(PHONE, &sent)));
        ["access_token", "id_token"].map(|name| granted[name].as_str().unwrap().to_owned())
    };
    let signed: Vec<_> = hosts.iter().flat_map(signed).collect();
    let keys = PublicKeySet::new(hosts.iter().flat_map(|host| host.server.key_set().iter().cloned())).unwrap();
    Fixture { hosts: hosts.into(), keys, signed }
});

const KEYS: [&str; 3] = [
    include_str!("../../tests/keys/es256_pkcs8.pem"),
    include_str!("../../tests/keys/ed25519_pkcs8.pem"),
    include_str!("../../tests/keys/rsa2048_pkcs8.pem"),
];
/// The same as for keys, for a header after base64url.
const MULTIPLE: usize = 80;
