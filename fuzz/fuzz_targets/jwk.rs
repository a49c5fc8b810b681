//! Fuzzes keys and key sets. A key that is read is written unchanged and reads back. A private member is never
//! accepted. Only the key that signed verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_grant::jwt::{PublicKey, PublicKeySet, jws};
use otp_grant_fuzz::*;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let (peak_memory, key) = peak(|| PublicKey::from_jwk(input));
    assert_bounded(peak_memory, input.len(), MULTIPLE);
    if let Ok(key) = key {
        let read: Value = serde_json::from_slice(input).unwrap();
        check(&key, &read);
    }

    let (peak_memory, keys) = peak(|| PublicKeySet::from_json(input));
    assert_bounded(peak_memory, input.len(), MULTIPLE);
    if let Ok(keys) = keys {
        let read: Value = serde_json::from_slice(input).unwrap();
        let read = read["keys"].as_array().unwrap();
        assert!(keys.iter().count() <= read.len());
        for key in keys.iter() {
            let named = |member: &&Value| match member["kid"].as_str() {
                Some(key_id) => key_id == key.key_id(),
                None => {
                    key.thumbprint() == key.key_id()
                        && PublicKey::from_jwk(member.to_string().as_bytes()).as_ref() == Ok(key)
                }
            };
            // A key that is skipped can have the name of a key that is not skipped.
            assert!(
                read.iter()
                    .filter(named)
                    .any(|member| PublicKey::from_jwk(member.to_string().as_bytes()).as_ref() == Ok(key))
            );
            assert_eq!(keys.find(key.key_id()), Some(key));
            check(key, &serde_json::from_str(&key.to_jwk()).unwrap());
        }
        assert_eq!(PublicKeySet::from_json(keys.to_json().as_bytes()), Ok(keys.clone()));
        verifies_nothing_else(&keys);
    }
});

fn check(key: &PublicKey, read: &Value) {
    let written: Value = serde_json::from_str(&key.to_jwk()).unwrap();
    for (name, value) in written.as_object().unwrap() {
        match name.as_str() {
            "kty" | "crv" | "n" | "e" | "x" | "y" => assert_eq!(*value, read[name], "{name}"),
            "kid" => assert_eq!(value, key.key_id()),
            "alg" => assert_eq!(*value, key.algorithm().to_string()),
            "use" => assert_eq!(value, "sig"),
            other => panic!("{other}"),
        }
    }
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        assert!(read.get(private).is_none(), "{private}");
    }
    assert_eq!(PublicKey::from_jwk(key.to_jwk().as_bytes()).as_ref(), Ok(key));
    assert_eq!(key.thumbprint().len(), 43);
    verifies_nothing_else(&PublicKeySet::new([key.clone()]).unwrap());
}

/// The tokens name no key.
fn verifies_nothing_else(keys: &PublicKeySet) {
    for (token, thumbprint) in TOKENS {
        let is_alone = keys.iter().count() == 1;
        let is_signer = is_alone && keys.iter().any(|key| key.thumbprint() == thumbprint);
        assert_eq!(jws::verify(token, keys).is_ok(), is_signer);
    }
}

/// RFC 8037 A.4 and RFC 7515 A.3, with the thumbprints of their keys.
const TOKENS: [(&str, &str); 2] = [
    (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR\
         4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    ),
    (
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0\
         cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
    ),
];
/// The memory of serde_json's maps: one node for eleven members, even if there is only one member. Measured: 95 for
/// objects of one member.
const MULTIPLE: usize = 100;
