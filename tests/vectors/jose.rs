//! RFC 7515, 7638, 8037 and 7520: keys, thumbprints and signatures.

use otp_grant::jwt::{Algorithm, JwsError, KeyError, PublicKey, PublicKeySet, jws};
use serde_json::json;

/// A token, the keys with which its section signs it, and the expected result.
type Sample = (&'static str, &'static [&'static str], String, Result<&'static str, JwsError>);

fn samples() -> Vec<Sample> {
    use JwsError::{AlgorithmMismatch, Malformed, UnknownKey, UnsupportedHeader};
    let [a_2, a_3, c_4_1, c_4_8] = [A_2, A_3, C_4_1, C_4_8].map(str::to_owned);
    vec![
        ("RFC 7515 A.1, HS256", &[A_1_KEY], A_1.to_owned(), Err(UnknownKey)),
        // This is the attack of RFC 8725 section 2.1: a MAC where there is a public key.
        ("RFC 7515 A.1 under the key of A.2", &[A_2_KEY], A_1.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7515 A.1 under the key of A.3", &[A_3_KEY], A_1.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7515 A.2, RS256", &[A_2_KEY], a_2.clone(), Ok(CLAIMS)),
        ("RFC 7515 A.2 under the key of A.3", &[A_3_KEY], a_2.clone(), Err(AlgorithmMismatch)),
        ("RFC 7515 A.3, ES256", &[A_3_KEY], a_3.clone(), Ok(CLAIMS)),
        ("RFC 7515 A.3 under the key of A.2", &[A_2_KEY], a_3.clone(), Err(AlgorithmMismatch)),
        // Neither key has a name. With both in the set, the verifier can't tell which one is meant.
        ("RFC 7515 A.3 under both keys", &[A_2_KEY, A_3_KEY], a_3.clone(), Err(UnknownKey)),
        ("RFC 7515 A.4, ES512", &[A_4_KEY], A_4.to_owned(), Err(UnknownKey)),
        ("RFC 7515 A.4 under the key of A.3", &[A_3_KEY], A_4.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7515 A.5, none", &[A_2_KEY], A_5.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7515 A.5 without a key", &[], A_5.to_owned(), Err(UnknownKey)),
        ("RFC 7515 A.6, JSON", &[A_2_KEY], general(&[&a_2, &a_3]), Err(Malformed)),
        ("RFC 7515 A.7, flattened JSON", &[A_3_KEY], flattened(&a_3), Err(Malformed)),
        ("RFC 7515 E, an extension", &[A_2_KEY], E.to_owned(), Err(UnsupportedHeader)),
        ("RFC 8037 A.4, Ed25519", &[ED25519_KEY], ED25519.to_owned(), Ok("Example of Ed25519 signing")),
        ("RFC 8037 A.4 under the key of RFC 7515 A.3", &[A_3_KEY], ED25519.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7520 4.1, RS256", &[C_RSA_KEY], c_4_1.clone(), Ok(FRODO)),
        ("RFC 7520 4.1 under a key of another name", &[A_2_KEY], c_4_1.clone(), Err(UnknownKey)),
        ("RFC 7520 4.1, JSON", &[C_RSA_KEY], general(&[&c_4_1]), Err(Malformed)),
        ("RFC 7520 4.1, flattened JSON", &[C_RSA_KEY], flattened(&c_4_1), Err(Malformed)),
        ("RFC 7520 4.2, PS384", &[C_RSA_KEY], C_4_2.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7520 4.3, ES512", &[C_EC_KEY], C_4_3.to_owned(), Err(UnknownKey)),
        ("RFC 7520 4.3 under the RSA key of its name", &[C_RSA_KEY], C_4_3.to_owned(), Err(AlgorithmMismatch)),
        ("RFC 7520 4.4, HS256", &[C_MAC_KEY], C_4_4.to_owned(), Err(UnknownKey)),
        ("RFC 7520 4.4 among other keys", &[C_MAC_KEY, C_RSA_KEY], C_4_4.to_owned(), Err(UnknownKey)),
        ("RFC 7520 4.5, detached", &[C_MAC_KEY], C_4_5.to_owned(), Err(UnknownKey)),
        // The first of three signatures. Its compact form has a header without `kid`, so it needs a set with one key.
        ("RFC 7520 4.8, RS256", &[C_RSA_KEY], c_4_8.clone(), Ok(FRODO)),
        ("RFC 7520 4.8, JSON", &[C_RSA_KEY], general(&[&c_4_8, C_4_4]), Err(Malformed)),
    ]
}

#[test]
fn the_signatures_of_the_rfcs() {
    let samples = samples();
    println!("{} tokens of RFC 7515, 8037 and 7520", samples.len());
    assert_eq!(samples.len(), 29);
    for (name, keys, token, expected) in &samples {
        let keys = PublicKeySet::from_json(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap();
        let verified = jws::verify(token, &keys);
        let payload = verified.as_ref().map(|jws| std::str::from_utf8(jws.payload()).unwrap()).map_err(|error| *error);
        assert_eq!(payload, *expected, "{name}");
        if verified.is_ok() {
            nothing_else_passes(name, token, &keys);
        }
    }
}

/// Changes each bit of a token, one at a time.
fn nothing_else_passes(name: &str, token: &str, keys: &PublicKeySet) {
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut altered = token.as_bytes().to_vec();
            altered[at] ^= 1 << bit;
            let altered = String::from_utf8(altered).unwrap();
            assert!(jws::verify(&altered, keys).is_err(), "{name}: {altered}");
        }
    }
}

#[test]
fn the_keys_of_the_rfcs() {
    use KeyError::{PrivateMembers, Unsupported};
    let private = |key: &str, members: &str| key.replacen('}', &format!(",{members}}}"), 1);
    let d = format!(r#""d":"{C_RSA_D}""#);
    let keys = [
        ("RFC 7515 A.1.1, oct", A_1_KEY.to_owned(), Err(Unsupported)),
        ("RFC 7515 A.2.1, RSA", A_2_KEY.to_owned(), Ok(Algorithm::RS256)),
        ("RFC 7515 A.3.1, P-256", A_3_KEY.to_owned(), Ok(Algorithm::ES256)),
        (
            "RFC 7515 A.3.1, private",
            private(A_3_KEY, r#""d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#),
            Err(PrivateMembers),
        ),
        ("RFC 7515 A.4.1, P-521", A_4_KEY.to_owned(), Err(Unsupported)),
        ("RFC 7638 3.1, RSA", THUMBPRINT_KEY.to_owned(), Ok(Algorithm::RS256)),
        (
            "RFC 8037 A.1, private",
            private(ED25519_KEY, r#""d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#),
            Err(PrivateMembers),
        ),
        ("RFC 8037 A.2, Ed25519", ED25519_KEY.to_owned(), Ok(Algorithm::EdDSA)),
        ("RFC 8037 A.6, X25519", X25519_KEY.to_owned(), Err(Unsupported)),
        ("RFC 7520 3.1, P-521", C_EC_KEY.to_owned(), Err(Unsupported)),
        ("RFC 7520 3.3, RSA", C_RSA_KEY.to_owned(), Ok(Algorithm::RS256)),
        ("RFC 7520 3.4, private", private(C_RSA_KEY, &d), Err(PrivateMembers)),
        ("RFC 7520 3.5, oct", C_MAC_KEY.to_owned(), Err(Unsupported)),
    ];
    println!("{} keys of RFC 7515, 7638, 8037 and 7520", keys.len());
    for (name, jwk, expected) in keys {
        assert_eq!(PublicKey::from_jwk(jwk.as_bytes()).map(|key| key.algorithm()), expected, "{name}");
    }
}

#[test]
fn the_thumbprints_of_the_rfcs() {
    for (name, jwk, key_id, thumbprint) in [
        ("RFC 7638 3.1", THUMBPRINT_KEY, Some("2011-04-29"), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        ("RFC 8037 A.3", ED25519_KEY, None, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        let key = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
        assert_eq!((key.thumbprint().as_str(), key.key_id()), (thumbprint, key_id.unwrap_or(thumbprint)), "{name}");
        // Only the members that make the key count for the thumbprint.
        let written = PublicKey::from_jwk(key.to_jwk().as_bytes()).unwrap();
        assert_eq!(written.thumbprint(), thumbprint, "{name}");
    }
}

/// RFC 7515 section 7.2.1.
fn general(compact: &[&str]) -> String {
    let signatures: Vec<_> = compact
        .iter()
        .map(|token| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            json!({ "protected": signed.split_once('.').unwrap().0, "signature": signature })
        })
        .collect();
    json!({ "payload": compact[0].split('.').nth(1).unwrap(), "signatures": signatures }).to_string()
}

/// RFC 7515 section 7.2.2.
fn flattened(compact: &str) -> String {
    let (signed, signature) = compact.rsplit_once('.').unwrap();
    let (protected, payload) = signed.split_once('.').unwrap();
    json!({ "payload": payload, "protected": protected, "signature": signature }).to_string()
}

/// The payload of RFC 7515 A.1 to A.3.
const CLAIMS: &str = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
/// The payload of RFC 7520 section 4.
const FRODO: &str = "It\u{2019}s a dangerous business, Frodo, going out your door. You step onto the road, and if you don't \
    keep your feet, there\u{2019}s no knowing where you might be swept off to.";
/// RFC 7515 A.1.1.
const A_1_KEY: &str = "\
    {\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9C\
    Aow\"}";
/// RFC 7515 A.1.1.
const A_1: &str = "\
    eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx\
    lLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7515 A.2.1.
const A_2_KEY: &str = "\
    {\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPME\
    zP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYU\
    sLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9i\
    aGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}";
/// RFC 7515 A.2.1.
const A_2: &str = "\
    eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp\
    0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9\
    uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383\
    LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm\
    tVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 7515 A.3.1.
const A_3_KEY: &str = "\
    {\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36H\
    LN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
/// RFC 7515 A.3.1.
const A_3: &str = "\
    eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp\
    0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515 A.4.1.
const A_4_KEY: &str = "\
    {\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV\
    1jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9\
    ubmf63e3kyMj2\"}";
/// RFC 7515 A.4.1.
const A_4: &str = "\
    eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB\
    34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
/// RFC 7515 A.5.
const A_5: &str = "\
    eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0\
    cnVlfQ.";
/// RFC 7515 E.
const E: &str = "\
    eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9V\
    TkRFRklORUQiOnRydWUNCn0.RkFJTA.";
/// RFC 7638 section 3.1.
const THUMBPRINT_KEY: &str = "\
    {\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t\
    Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMi\
    cAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G\
    _xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}";
/// RFC 8037 A.2.
const ED25519_KEY: &str = "\
    {\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
/// RFC 8037 A.4.
const ED25519: &str = "\
    eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcN\
    R4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// RFC 8037 A.6.
const X25519_KEY: &str = "\
    {\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"Bob\",\"x\":\"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08\"}";
/// RFC 7520 section 3.3.
const C_RSA_KEY: &str = "\
    {\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"n\":\"n4EPtAOCc9AlkeQHPzHStgAb\
    gs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcE\
    e6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzw\
    OHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\",\"e\
    \":\"AQAB\"}";
/// RFC 7520 section 3.4.
const C_RSA_D: &str = "\
    bWUC9B-EFRIo8kpGfh0ZuyGPvMNKvYWNtB_ikiH9k20eT-O1q_I78eiZkpXxXQ0UTEs2LsNRS-8uJbvQ-A1irkwMSMkK1J3XTGgdrhCku9gR\
    ldY7sNA_AKZGh-Q661_42rINLRCe8W-nZ34ui_qOfkLnK9QWDDqpaIsA-bMwWWSDFu2MUBYwkHTMEzLYGqOe04noqeq1hExBTHBOBdkMXiuF\
    hUq1BU6l-DqEiWxqg82sXt2h-LMnT3046AOYJoRioz75tSUQfGCshWTBnP5uDjd18kKhyv07lhfSJdrPdM5Plyl21hsFf4L_mHCuoFau7gds\
    PfHPxxjVOcOpBrQzwQ";
/// RFC 7520 section 3.1.
const C_EC_KEY: &str = "\
    {\"kty\":\"EC\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"crv\":\"P-521\",\"x\":\"AHKZLLO\
    sCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt\",\"y\":\"AdymlHvOiLxXkEha\
    yXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1\"}";
/// RFC 7520 section 3.5.
const C_MAC_KEY: &str = "\
    {\"kty\":\"oct\",\"kid\":\"018c0ae5-4d9b-471b-bfd6-eef314bc7037\",\"use\":\"sig\",\"alg\":\"HS256\",\"k\":\"\
    hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg\"}";
/// RFC 7520 section 4.1.
const C_4_1: &str = "\
    eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXN\
    zLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXI\
    gZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MRjdkly7_-oTPTS3AXP41iQIGKa\
    80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfW\
    Ra-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLG\
    djluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg";
/// RFC 7520 section 4.2.
const C_4_2: &str = "\
    eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXN\
    zLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXI\
    gZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu22eBqkYDKgIlTpzDXGvaFfz6W\
    Goz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8\
    biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5\
    awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw";
/// RFC 7520 section 4.3.
const C_4_3: &str = "\
    eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXN\
    zLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXI\
    gZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.AE_R_YZCChjn4791jSQCrdPZCNY\
    qHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2p\
    uQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2";
/// RFC 7520 section 4.4.
const C_4_4: &str = "\
    eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ\
    1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWV\
    wIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.s0h6KThzkfBBBkLspW1\
    h84VsJZFTsPPqMDA7g1Md7p0";
/// RFC 7520 section 4.5.
const C_4_5: &str = "\
    eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9..s0h6KThzkfBBBkLspW1h84VsJZ\
    FTsPPqMDA7g1Md7p0";
/// RFC 7520 section 4.8, the first signature.
const C_4_8: &str = "\
    eyJhbGciOiJSUzI1NiJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXA\
    gb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1\
    pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MIsjqtVlOpa71KE-Mss8_Nq2YH4FGhiocsqrgi5NvyG53uoimic1tcMdSg-qptrzZc7CG6Svw2Y13TD\
    IqHzTUrL_lR2ZFcryNFiHkSw129EghGpwkpxaTn_THJTCglNbADko1MZBCdwzJxwqZc-1RlpO2HibUYyXSwO97BSe0_evZKdjvvKSgsIqjyt\
    KSeAMbhMBdMma622_BG5t4sdbuCHtFjp9iJmkio47AIwqkZV1aIZsv33uPUqBBCXbYoQJwt7mxPftHmNlGoOSMxR_3thmXTCm4US-xiNOyhb\
    m8afKK64jU6_TPtQHiJeQJxz9G3Tx-083B745_AfYOnlC9w";
