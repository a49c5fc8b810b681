//! Fuzzes private keys as PEM, base64 and DER. A key that is read signs tokens that its public key verifies, reads the
//! same in each of the three forms, and shows nothing of itself.
#![no_main]

use base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use otp_grant::jwt::{Audience, KeyError};
use otp_grant::{Settings, SigningKey};
use otp_grant_fuzz::*;
use pollster::block_on;

fuzz_target!(|input: &[u8]| {
    let (peak_memory, key) = peak(|| SigningKey::from_der(input));
    assert_bounded(peak_memory, input.len(), MULTIPLE);
    if let Ok(key) = key {
        let base64 = BASE64_STANDARD.encode(input);
        let file = |label| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
        let again = [SigningKey::from_base64(&base64)].into_iter().chain(
            ["PRIVATE KEY", "RSA PRIVATE KEY"]
                .map(|label| SigningKey::from_pem(&file(label)))
                .into_iter()
                .filter(Result::is_ok),
        );
        let again: Vec<_> = again.map(|again| again.unwrap().public_key().clone()).collect();
        assert!(again.len() >= 2 && again.iter().all(|again| again == key.public_key()));
        check(key);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (peak_memory, key) = peak(|| SigningKey::from_pem(text));
    assert_bounded(peak_memory, input.len(), MULTIPLE);
    if let Ok(key) = key {
        assert_eq!(SigningKey::from_pem(&format!("{text}\n{text}")).err(), Some(KeyError::SeveralPrivateKeys));
        check(key);
    }
    let (peak_memory, key) = peak(|| SigningKey::from_base64(text));
    assert_bounded(peak_memory, input.len(), MULTIPLE);
    if let Ok(key) = key {
        check(key);
    }
});

fn check(key: SigningKey) {
    let (key_id, algorithm) = (key.key_id().to_owned(), key.algorithm());
    assert_eq!(key_id, key.public_key().thumbprint());
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("SigningKey {{ key_id: {key_id:?}, algorithm: {algorithm:?}, .. }}"));
    let host = Host::with_key(Settings::default(), key);
    let tokens = block_on(host.log_in(serde_json::json!({})));
    assert!(host.server.verify_access_token(text(&tokens, "access_token"), Audience::EveryClient).is_ok());
}

const MULTIPLE: usize = 4;
