//! The parts that the targets share: the harness of the scenarios, edits of a text, a count of memory, the texts that a
//! refusal may have, holders of keys, and a second reading of what they sign.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64URL_TEXT};
use otp_grant::{Reply, SigningKey};
pub use otp_grant_tests::*;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519 as ED25519_SCHEME, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Value, json};

/// Carries out a list of edits. Each edit has three bytes: its kind, its place and its argument.
///
/// Most inserted characters come from the alphabet of base64url, so that a decoder accepts them. An insertion can also
/// be a token of `others`.
pub fn edit(text: &str, edits: &[u8], others: &[&str]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for [what, place, with] in edits.as_chunks().0 {
        let place = usize::from(*place) * (text.len() + 1) / 256;
        let rest = text.len() - place;
        let length = usize::from(*with).min(rest);
        match what % 8 {
            0 | 1 if rest > 0 => text[place] = character(*with),
            2 if rest > 0 => text[place] = neighbour(text[place], *with),
            3 => text.insert(place, character(*with)),
            4 => drop(text.drain(place..place + length)),
            5 => text.truncate(place),
            6 => text.extend_from_within(place..place + length),
            7 => {
                let other = others.get(usize::from(*with) % others.len().max(1)).copied().unwrap_or_default();
                text.truncate(place);
                text.extend(other.chars().skip(place));
            }
            _ => {}
        }
        text.truncate(LONGEST);
    }
    text.into_iter().collect()
}

fn character(byte: u8) -> char {
    match byte {
        0..=127 => char::from(byte),
        _ => char::from(BASE64URL[usize::from(byte % 64)]),
    }
}

/// Returns the base64url character that differs in one bit, which is the smallest possible change.
fn neighbour(character: char, with: u8) -> char {
    match BASE64URL.iter().position(|known| char::from(*known) == character) {
        Some(position) => char::from(BASE64URL[position ^ (1 << (with % 6))]),
        None => char::from(with),
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const LONGEST: usize = 2000;

/// Runs `work`. Returns the most bytes that it held at once beyond what was held before, and its result.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.load(SeqCst);
    PEAK.store(before, SeqCst);
    let result = work();
    (PEAK.load(SeqCst).saturating_sub(before), result)
}

/// Checks that the work on an input of this length holds no more than a small multiple of it.
#[track_caller]
pub fn assert_bounded(peak: usize, input: usize, multiple: usize) {
    assert!(peak <= BASE + multiple * input, "{peak} bytes for an input of {input}");
}

/// Empties the list of calls that the harness keeps. Otherwise its growth would be measured.
pub fn forget_calls(host: &Host) {
    host.directory.calls.lock().unwrap().clear();
    host.counters.told.lock().unwrap().clear();
}

/// Counts the memory that is held. The targets have one thread.
struct Counting;

// SAFETY: it passes every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), SeqCst) + layout.size();
        PEAK.fetch_max(held, SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Checks that an answer contains nothing of the request. A refusal has only the words of the contract.
#[track_caller]
pub fn assert_ours(reply: &Reply) -> (u16, Value) {
    let (status, said) = read(reply);
    assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    if said["error"].is_null() {
        return (status, said);
    }
    for (name, value) in said.as_object().unwrap() {
        let is_ours = match (name.as_str(), value.as_str()) {
            ("error", Some(error)) => ERRORS.contains(&error),
            ("error_description", Some(description)) => {
                let of =
                    |subject: &&str| description.strip_prefix(*subject).is_some_and(|rest| PROBLEMS.contains(&rest));
                DESCRIPTIONS.contains(&description) || SUBJECTS.iter().any(of)
            }
            _ => value.is_u64(),
        };
        assert!(is_ours, "{said}");
    }
    (status, said)
}

/// The holder of a private key of `tests/keys`, who signs whatever it is given.
pub struct KeyHolder {
    pair: Pair,
    /// The public key as a JWK.
    pub jwk: Value,
    /// The algorithm that it names and signs with.
    pub algorithm: &'static str,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl KeyHolder {
    /// One holder for each algorithm. The last two have the same key.
    pub fn of_each_algorithm() -> [Self; 4] {
        let pems = [ED25519, ES256, RSA].map(|pem| (pem, SigningKey::from_pem(pem).unwrap()));
        let [ed25519, es256, rsa] = pems.map(|(pem, key)| {
            let public: Value = serde_json::from_str(&key.public_key().to_jwk()).unwrap();
            (der(pem), but(&public, json!({ "kid": null, "use": null, "alg": null })))
        });
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &es256.0, &random).unwrap();
        let rsa_pair = |encoding| Pair::Rsa(RsaKeyPair::from_pkcs8(&rsa.0).unwrap(), encoding);
        let holder = |pair, jwk: &Value, algorithm| Self { pair, jwk: jwk.clone(), algorithm };
        let ed25519_pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&ed25519.0).unwrap();
        [
            holder(Pair::Ed25519(ed25519_pair), &ed25519.1, "EdDSA"),
            holder(Pair::P256(p256), &es256.1, "ES256"),
            holder(rsa_pair(&RSA_PKCS1_SHA256), &rsa.1, "RS256"),
            holder(rsa_pair(&RSA_PSS_SHA256), &rsa.1, "PS256"),
        ]
    }

    /// Makes a compact JWS of these texts, whatever they say.
    pub fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", BASE64URL_TEXT.encode(header), BASE64URL_TEXT.encode(payload));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
            Pair::P256(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", BASE64URL_TEXT.encode(signature))
    }
}

fn der(pem: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

/// A compact JWS as `serde_json` and `ring` read it, apart from the crate.
pub struct Jws {
    pub header: Value,
    pub payload: Value,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Jws {
    /// Reads three parts of base64url, of which the first two are JSON objects.
    pub fn read(compact: &str) -> Option<Self> {
        let parts: Vec<&str> = compact.split('.').collect();
        let [header, payload, signature] = parts[..] else { return None };
        let object = |part: &str| {
            let value: Value = serde_json::from_slice(&BASE64URL_TEXT.decode(part).ok()?).ok()?;
            value.is_object().then_some(value)
        };
        let (read_header, read_payload) = (object(header)?, object(payload)?);
        let signed = format!("{header}.{payload}").into_bytes();
        Some(Self {
            header: read_header,
            payload: read_payload,
            signed,
            signature: BASE64URL_TEXT.decode(signature).ok()?,
        })
    }

    /// Tells whether the key of a JWK has made the signature with an algorithm of this name.
    pub fn is_signed_by(&self, jwk: &Value, algorithm: &str) -> bool {
        let part =
            |name: &str| jwk[name].as_str().and_then(|text| BASE64URL_TEXT.decode(text).ok()).unwrap_or_default();
        let verify = |scheme: &'static dyn VerificationAlgorithm, key: Vec<u8>| {
            UnparsedPublicKey::new(scheme, key).verify(&self.signed, &self.signature).is_ok()
        };
        let rsa = |scheme: &'static RsaParameters| {
            let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
            key.verify(scheme, &self.signed, &self.signature).is_ok()
        };
        match (jwk["kty"].as_str(), jwk["crv"].as_str(), algorithm) {
            (Some("OKP"), Some("Ed25519"), "EdDSA" | "Ed25519") => verify(&ED25519_SCHEME, part("x")),
            (Some("EC"), Some("P-256"), "ES256") => {
                verify(&ECDSA_P256_SHA256_FIXED, [vec![4], part("x"), part("y")].concat())
            }
            (Some("RSA"), _, "RS256") => rsa(&RSA_PKCS1_2048_8192_SHA256),
            (Some("RSA"), _, "PS256") => rsa(&RSA_PSS_2048_8192_SHA256),
            _ => false,
        }
    }
}

/// Returns the thumbprint of a JWK (RFC 7638), apart from the crate.
pub fn thumbprint(jwk: &Value) -> String {
    let names: &[&str] = match jwk["kty"].as_str() {
        Some("RSA") => &["e", "kty", "n"],
        Some("EC") => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let members: Vec<String> = names.iter().map(|name| format!(r#""{name}":{}"#, jwk[*name])).collect();
    hash(&format!("{{{}}}", members.join(",")))
}

/// Returns the SHA-256 hash of a text in base64url.
pub fn hash(text: &str) -> String {
    BASE64URL_TEXT.encode(digest(&SHA256, text.as_bytes()))
}

/// Carries out a list of changes of two JSON objects. Each change has three bytes: the member, the value, and whether
/// the value is kept, left out or put into an array.
///
/// `jwk/x` is a member of the member `jwk`.
pub fn change(objects: [&mut Value; 2], changes: &[u8], members: &[(usize, &str)], values: &[Value]) {
    for [which, with, how] in changes.as_chunks().0.iter().take(MOST_CHANGES) {
        let (object, path) = members[usize::from(*which) % members.len()];
        let value = &values[usize::from(*with) % values.len()];
        let (parent, name) = path.split_once('/').map_or((None, path), |(parent, name)| (Some(parent), name));
        let object: &mut Value = match parent {
            Some(parent) => &mut objects[object][parent],
            None => objects[object],
        };
        let Some(object) = object.as_object_mut() else { continue };
        match how % 8 {
            0 => drop(object.remove(name)),
            1 => drop(object.insert(name.to_owned(), json!([value]))),
            _ => drop(object.insert(name.to_owned(), value.clone())),
        }
    }
}

const MOST_CHANGES: usize = 4;
const ED25519: &str = include_str!("../tests/keys/ed25519_pkcs8.pem");
const ES256: &str = include_str!("../tests/keys/es256_other_pkcs8.pem");
const RSA: &str = include_str!("../tests/keys/rsa2048_pkcs8.pem");

/// The memory of the host and its fixed parts, whatever the input is.
const BASE: usize = 32 * 1024;
const ERRORS: [&str; 19] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_auth_source",
    "temporarily_unavailable",
    "malformed_phone_number",
    "malformed_email",
    "phone_number_is_used",
    "email_is_used",
    "sms_rate_limit_exceeded",
    "email_rate_limit_exceeded",
    "invalid_token",
    "insufficient_scope",
    "server_error",
    "invalid_dpop_proof",
    "use_dpop_nonce",
];
const DESCRIPTIONS: [&str; 12] = [
    "Unknown or expired otp_token",
    "Mismatched OTP token and OTP sending parameters",
    "Unknown or expired OTP",
    "User not found",
    "Abnormal user status",
    "Unknown or expired refresh_token",
    "Auth source and application not associated",
    "SMS rate limit exceeded for same phone number",
    "Email rate limit exceeded for same email address",
    "Failed to send OTP. Please try again later.",
    "Temporarily unavailable. It is safe to try again.",
    "unsupported grant type",
];
const SUBJECTS: [&str; 21] = [
    "the body",
    "grant_type",
    "client_id",
    "client_secret",
    "auth_source_id",
    "phone_number",
    "email",
    "otp_token",
    "otp",
    "auto_signup",
    "scope",
    "usage",
    "refresh_token",
    "token",
    "token_type_hint",
    "access_token",
    "client_assertion",
    "client_assertion_type",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
];
const PROBLEMS: [&str; 19] = [
    " is missing",
    " is given twice",
    " must be a string",
    " must be true or false",
    " must not be empty",
    " is not valid",
    " is not allowed here",
    " differs from the Authorization header",
    " is too large",
    " has an unsupported content type",
    " is not valid JSON",
    " is not a JSON object",
    " is not a valid form",
    " has an unknown member twice",
    " has neither phone_number nor email",
    " has both phone_number and email",
    " has a client_secret besides the Authorization header",
    " has an access_token besides the Authorization header",
    " has a client_assertion besides other client credentials",
];
