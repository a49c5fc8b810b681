//! Fuzzes the assertions by which clients authenticate. An assertion that is accepted keeps each rule of RFC 7523, as
//! `serde_json` and `ring` read it, and authenticates once. An assertion that keeps them is accepted.
//!
//! The first byte chooses the key, the `client_id` of the body, and what the rest is: a text, edits of a good
//! assertion, changes of the members of a good assertion that is then signed, or a header and a payload that are then
//! signed. In the last, `<alg>`, `<client>`, `<issuer>`, `<now>` and `<exp>` stand for what a good assertion has.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant::jwt::{PublicKey, PublicKeySet};
use otp_grant::{Client, ClientId};
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let Fixture { holders, values } = &*FIXTURE;
    let which = [0, 1, 0, 1, 0, 1, 2, 3][usize::from(choice / 4 % 8)];
    let (holder, client) = (&holders[which], CLIENTS[which]);
    let named = [None, Some(client), None, Some(CLIENTS[(which + 1) % 4]), None, Some(""), None, Some("\u{1}")];
    let named = named[usize::from(choice / 32)];
    let (mut header, mut claims) = (json!({ "alg": holder.algorithm }), good_claims(client));
    let assertion = match choice % 4 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => edit(&holder.sign(header.to_string(), claims.to_string()), rest, &[]),
        2 => {
            change([&mut header, &mut claims], rest, &MEMBERS, values);
            holder.sign(header.to_string(), claims.to_string())
        }
        _ => {
            let filled = fill(&String::from_utf8_lossy(rest), holder, client);
            let (header, claims) = filled.split_once('\n').unwrap_or_default();
            holder.sign(header, claims)
        }
    };

    // Each input has a host of its own, because an assertion that is accepted is used up.
    let host = host();
    let (peak_memory, first) = peak(|| present(&host, &assertion, named));
    assert_bounded(peak_memory, assertion.len(), MULTIPLE);
    let expected = rules(&assertion, named);
    // Elsewhere the crate may be stricter than this reading, for instance with members that are there twice.
    let must_accept = choice % 4 == 2 && expected.is_ok();
    match first {
        (200, answer) => {
            assert_eq!((expected, answer), (Ok(()), json!({ "active": false })), "{assertion}");
            assert_eq!(present(&host, &assertion, named), refused(), "{assertion}");
            // It is used up at each endpoint, and for as long as it lives.
            host.advance(secs(30));
            assert_eq!(present(&host, &assertion, named), refused(), "{assertion}");
        }
        answer => {
            assert!(!must_accept, "{answer:?}: {assertion}");
            // A request without an assertion, or with a character that no form has, is malformed, and has no client.
            let is_text = |text: &str| !text.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER);
            if !assertion.is_empty() && is_text(&assertion) && named.is_none_or(is_text) {
                assert_eq!(answer, refused(), "{assertion}");
            }
            assert!(host.store.inner.records().is_empty());
        }
    }
});

/// Checks an assertion by the rules of RFC 7523. The error names the rule.
fn rules(assertion: &str, named: Option<&str>) -> Result<(), &'static str> {
    let check = |holds: bool, rule: &'static str| if holds { Ok(()) } else { Err(rule) };
    let jws = Jws::read(assertion).ok_or("three parts")?;
    let (header, claims) = (&jws.header, &jws.payload);
    let client = claims["sub"].as_str().unwrap_or_default();
    let which = CLIENTS.iter().position(|known| *known == client).ok_or("sub")?;
    let holder = &FIXTURE.holders[which];
    // A parameter without a value counts as omitted (RFC 6749 section 3.2).
    check(named.is_none_or(|named| named.is_empty() || named == client), "client_id")?;
    check(claims["iss"] == client, "iss")?;
    let algorithm = header["alg"].as_str().unwrap_or_default();
    let is_algorithm = algorithm == holder.algorithm || (algorithm, holder.algorithm) == ("Ed25519", "EdDSA");
    check(is_algorithm, "alg")?;
    check(jws.is_signed_by(&holder.jwk, algorithm), "signature")?;
    let absent = |names: &[&str]| names.iter().all(|name| header.get(name).is_none());
    check(absent(&["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"]), "key in the header")?;
    check(absent(&["crit", "b64", "zip", "enc"]), "crit")?;
    check(header.get("kid").is_none_or(|kid| *kid == thumbprint(&holder.jwk)), "kid")?;
    let types = ["jwt", "client-authentication+jwt", "application/jwt", "application/client-authentication+jwt"];
    let is_type = |typ: &Value| typ.as_str().is_some_and(|typ| types.contains(&&*typ.to_ascii_lowercase()));
    check(header.get("typ").is_none_or(is_type), "typ")?;
    check(claims["aud"] == ISSUER || claims["aud"] == json!([ISSUER]), "aud")?;
    #[allow(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
    let now = START as f64;
    // The crate counts milliseconds, and leaves out what is less.
    let ends = claims["exp"].as_f64().ok_or("exp")?;
    check(ends >= now - 5.0 + 0.001 && ends < now + 305.001, "exp")?;
    let begins = claims.get("nbf").map_or(Some(0.0), Value::as_f64).ok_or("nbf")?;
    check((0.0..now + 5.001).contains(&begins), "nbf")?;
    check(claims.get("iat").is_none_or(Value::is_number), "iat")?;
    check((1..=256).contains(&claims["jti"].as_str().unwrap_or_default().len()), "jti")
}

fn present(host: &Host, assertion: &str, named: Option<&str>) -> (u16, Value) {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("token", "A")
        .append_pair("client_assertion", assertion)
        .append_pair("client_assertion_type", TYPE);
    body.extend_pairs(named.map(|named| ("client_id", named)));
    let reply = block_on(host.server.post_introspect(form_request(&body.finish(), None)));
    assert_ours(&reply)
}

fn refused() -> (u16, Value) {
    (401, json!({ "error": "invalid_client" }))
}

fn good_claims(client: &str) -> Value {
    json!({ "iss": client, "sub": client, "aud": ISSUER, "exp": START + 60, "iat": START, "jti": "1" })
}

fn fill(text: &str, holder: &KeyHolder, client: &str) -> String {
    let (now, end) = (START.to_string(), (START + 60).to_string());
    let named = [("<client>", client), ("<issuer>", ISSUER), ("<now>", &now), ("<exp>", &end)];
    let named = named.into_iter().chain([("<alg>", holder.algorithm)]);
    named.fold(text.to_owned(), |text, (name, value)| text.replacen(name, value, 2))
}

fn host() -> Host {
    let directory = FIXTURE.holders.iter().zip(CLIENTS).fold(sample_directory(), |directory, (holder, id)| {
        let jwk = but(&holder.jwk, json!({ "alg": holder.algorithm }));
        let keys = PublicKeySet::new([PublicKey::from_jwk(jwk.to_string().as_bytes()).unwrap()]).unwrap();
        directory.with_client(Client::private_key_jwt(ClientId::new(id).unwrap(), keys).unwrap())
    });
    Host::with_directory(settings(|settings| settings.client_assertions = true), signing_key(), directory)
}

struct Fixture {
    holders: [KeyHolder; 4],
    values: Vec<Value>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let holders = KeyHolder::of_each_algorithm();
    let mut values: Vec<Value> = VALUES.iter().chain(&CLIENTS).map(|text| json!(text)).collect();
    values.extend(["a".repeat(256), "a".repeat(257), "é".repeat(128), "é".repeat(129)].map(Value::from));
    values.extend(["/", "/oauth2/token", ".", "?"].map(|suffix| json!(format!("{ISSUER}{suffix}"))));
    values.extend([
        json!([ISSUER, ISSUER]),
        json!([ISSUER, "https://other.example.com"]),
        json!(START),
        json!(START - 5),
        json!(START - 4),
        json!(START + 5),
        json!(START + 6),
        json!(START + 305),
        json!(START + 306),
        json!(1_800_000_305.25),
        json!(1_799_999_995.25),
        json!(-1),
        json!(0),
        json!(1e300),
        json!(u64::MAX),
        json!(null),
        json!(true),
    ]);
    values.extend(holders.iter().flat_map(|holder| [holder.jwk.clone(), json!(thumbprint(&holder.jwk))]));
    Fixture { holders, values }
});

/// The client of each key.
const CLIENTS: [&str; 4] = ["ED25519_CLIENT", "ES256_CLIENT", "RS256_CLIENT", "PS256_CLIENT"];
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The members that are changed: of the header (0) and of the claims (1).
const MEMBERS: [(usize, &str); 20] = [
    (0, "alg"),
    (0, "typ"),
    (0, "kid"),
    (0, "jwk"),
    (0, "jku"),
    (0, "x5u"),
    (0, "x5c"),
    (0, "x5t"),
    (0, "x5t#S256"),
    (0, "crit"),
    (0, "b64"),
    (1, "iss"),
    (1, "sub"),
    (1, "aud"),
    (1, "exp"),
    (1, "nbf"),
    (1, "iat"),
    (1, "jti"),
    (1, "x"),
    (1, "scope"),
];
const VALUES: [&str; 16] = [
    "",
    "ES256",
    "EdDSA",
    "Ed25519",
    "RS256",
    "PS256",
    "HS256",
    "none",
    "JWT",
    "jwt",
    "client-authentication+jwt",
    "application/client-authentication+JWT",
    "at+jwt",
    "dpop+jwt",
    "AAAA",
    ISSUER,
];
/// The same as for keys, for parts after base64url and once more as a member of the body.
const MULTIPLE: usize = 160;
