//! Fuzzes DPoP proofs at the token endpoint and with an access token. A proof that is accepted passes each of the
//! twelve checks of RFC 9449 section 4.3, as `serde_json` and `ring` read it. A proof that passes them is accepted.
//!
//! The first byte chooses the key and what the rest is: a text, edits of a good proof, changes of the members of a good
//! proof that is then signed, or a header and a payload that are then signed. In the last, `<jwk>`, `<url>`, `<now>`,
//! `<ath>` and `<nonce>` stand for what a good proof has.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use otp_grant::dpop::{DpopError, DpopSupport};
use otp_grant::jwt::Audience;
use otp_grant::server::AccessTokenCheckError;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::time::{Clock, Timestamp};
use otp_grant::wire::{DpopHeader, PresentedAccessToken, PresentedProof};
use otp_grant_fuzz::*;
use pollster::block_on;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else { return };
    let Fixture { host, holders, tokens, nonces, values } = &*FIXTURE;
    // The last two have the key of the one before, and each RSA signature takes long.
    let which = [0, 1, 0, 1, 0, 1, 2, 3][usize::from(choice / 4 % 8)];
    let holder = &holders[which];
    let Bound { access_token, with_nonce } = &tokens[which];
    let (mut header, mut claims) = (good_header(holder), good_claims(access_token, &nonces[2]));
    let proof = match choice % 4 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => edit(&holder.sign(header.to_string(), claims.to_string()), rest, &[access_token]),
        2 => {
            change([&mut header, &mut claims], rest, &MEMBERS, values);
            holder.sign(header.to_string(), claims.to_string())
        }
        _ => {
            let filled = fill(&String::from_utf8_lossy(rest), holder, access_token, &nonces[2]);
            let (header, claims) = filled.split_once('\n').unwrap_or_default();
            holder.sign(header, claims)
        }
    };
    let read = Reading::of(&proof);
    // The crate must accept what was changed member by member and still passes the checks. Elsewhere the crate may be
    // stricter than this reading, for instance with members that are there twice.
    let must_accept = choice % 4 == 2 && header["jwk"] == holder.jwk;

    // The proof is refused before the refresh token is looked at, and no such token exists.
    let body = json!({ "grant_type": "refresh_token", "client_id": DPOP_CLIENT, "refresh_token": "A" });
    forget_calls(host);
    let (peak_memory, reply) = peak(|| block_on(host.post_with(TOKEN, &body, &[&proof])));
    assert_bounded(peak_memory, proof.len(), MULTIPLE);
    let (status, answer) = read_reply(&reply);
    let expected = read.as_ref().map_err(|check| *check).and_then(|read| read.is_for("POST", &token_url()));
    match answer["error"].as_str() {
        Some("invalid_grant") => assert_eq!(expected, Ok(()), "{proof}"),
        Some("invalid_dpop_proof") => {
            assert!(!must_accept || expected.is_err(), "{answer}: {proof}");
            let description = answer["error_description"].as_str().unwrap();
            assert!(REASONS.iter().any(|reason| reason.to_string() == description), "{answer}");
        }
        _ => panic!("{status} {answer}"),
    }
    // Two headers are never a proof (check 1).
    let twice = block_on(host.post_with(TOKEN, &body, &[&proof, &proof]));
    assert_eq!(read_reply(&twice).1["error"], "invalid_dpop_proof", "{proof}");

    for (token, needs_nonce) in [(access_token, false), (with_nonce, true)] {
        let presented = PresentedProof::new(Some(DpopHeader::new(&proof)), "GET", ROUTE);
        let presented = PresentedAccessToken::Dpop(token, presented);
        let checked = block_on(host.server.check_access_token(presented, Audience::EveryClient));
        let expected = read.as_ref().map_err(|check| *check).and_then(|read| {
            read.is_for("GET", ROUTE)?;
            read.is_for_token(token)?;
            if needs_nonce { read.has_nonce(nonces) } else { Ok(()) }
        });
        match checked {
            Ok(_) => assert_eq!(expected, Ok(()), "{proof}"),
            Err(AccessTokenCheckError::RefusedWithProof(error)) => {
                assert!(!must_accept || expected.is_err(), "{error}: {proof}");
            }
            Err(AccessTokenCheckError::UseDpopNonce(given)) => {
                assert!(needs_nonce && nonces[2] == given.as_str());
                assert!(!must_accept || expected.is_err(), "{proof}");
            }
            Err(other) => panic!("{other}: {proof}"),
        }
        // Without the scheme of proofs, the token is worth nothing.
        assert!(block_on(host.server.check_access_token(token, Audience::EveryClient)).is_err());
    }
});

/// A proof as it reads without the crate. The error names the check that fails, by its number in RFC 9449 section 4.3.
struct Reading {
    claims: Value,
    thumbprint: String,
}

impl Reading {
    fn of(proof: &str) -> Result<Self, u8> {
        let check = |holds: bool, number: u8| if holds { Ok(()) } else { Err(number) };
        check(proof.len() <= 4096, 2)?;
        let jws = Jws::read(proof).ok_or(2_u8)?;
        let (header, claims) = (&jws.header, &jws.payload);
        let jti = claims["jti"].as_str().unwrap_or_default();
        check((1..=256).contains(&jti.len()) && claims["htm"].is_string() && claims["htu"].is_string(), 3)?;
        check(["nonce", "ath"].iter().all(|name| claims.get(name).is_none_or(Value::is_string)), 3)?;
        check(header["typ"] == "dpop+jwt", 4)?;
        let algorithm = header["alg"].as_str().unwrap_or_default();
        check(["ES256", "EdDSA", "Ed25519", "PS256", "RS256"].contains(&algorithm), 5)?;
        check(["crit", "b64", "zip", "enc"].iter().all(|name| header.get(name).is_none()), 5)?;
        let jwk = &header["jwk"];
        let is_public = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().all(|name| jwk.get(name).is_none());
        check(is_public, 7)?;
        check(jws.is_signed_by(jwk, algorithm), 6)?;
        let issued_at = claims["iat"].as_f64().ok_or(3_u8)?;
        #[allow(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
        let now = START as f64;
        // The crate counts milliseconds, and leaves out what is less.
        check(issued_at >= now - 60.0 && issued_at < now + 5.001, 11)?;
        Ok(Self { thumbprint: thumbprint(jwk), claims: jws.payload })
    }

    fn is_for(&self, method: &str, url: &str) -> Result<(), u8> {
        if self.claims["htm"] != method {
            return Err(8);
        }
        if normal(self.claims["htu"].as_str().unwrap_or_default()).as_deref() != Some(url) {
            return Err(9);
        }
        Ok(())
    }

    fn has_nonce(&self, nonces: &[String]) -> Result<(), u8> {
        if nonces[..4].iter().any(|nonce| self.claims["nonce"] == **nonce) { Ok(()) } else { Err(10) }
    }

    fn is_for_token(&self, access_token: &str) -> Result<(), u8> {
        let is_bound = payload(access_token)["cnf"]["jkt"] == *self.thumbprint;
        if self.claims["ath"] == hash(access_token) && is_bound { Ok(()) } else { Err(12) }
    }
}

/// Normalises a URL by another way than the crate: byte by byte, and from the end of its path.
fn normal(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next()?;
    let mut bytes = Vec::new();
    let mut rest = url.bytes();
    while let Some(byte) = rest.next() {
        let escaped = byte == b'%';
        let byte = if escaped {
            let digits = [rest.next()?, rest.next()?];
            let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
            u8::from_str_radix(std::str::from_utf8(&digits).ok().filter(|_| is_hex)?, 16).ok()?
        } else {
            byte
        };
        let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        // What stays escaped can't be a part of the URLs of this target.
        if escaped && !is_unreserved || !byte.is_ascii_graphic() {
            return None;
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).ok()?;
    // A scheme can't have escapes.
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| url.starts_with(scheme))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let scheme = scheme.to_ascii_lowercase();
    let default = if scheme == "https" { "443" } else { "80" };
    let authority = authority.to_ascii_lowercase();
    let authority = match authority.split_once(':') {
        Some((host, port)) if port.is_empty() || port == default => host.to_owned(),
        _ => authority,
    };
    // From the end: each `..` drops the next segment that is no dot segment.
    let mut segments: Vec<&str> = path.split('/').collect();
    if segments.last().is_some_and(|last| *last == "." || *last == "..") {
        segments.push("");
    }
    let (mut kept, mut dropped) = (Vec::new(), 0);
    for segment in segments.into_iter().rev() {
        match segment {
            "." => {}
            ".." => dropped += 1,
            _ if dropped > 0 => dropped -= 1,
            segment => kept.push(segment),
        }
    }
    kept.reverse();
    Some(format!("{scheme}://{authority}/{}", kept.join("/")))
}

fn good_header(holder: &KeyHolder) -> Value {
    json!({ "typ": "dpop+jwt", "alg": holder.algorithm, "jwk": holder.jwk })
}

fn good_claims(access_token: &str, nonce: &str) -> Value {
    json!({ "jti": "1", "htm": "GET", "htu": ROUTE, "iat": START, "ath": hash(access_token), "nonce": nonce })
}

fn fill(text: &str, holder: &KeyHolder, access_token: &str, nonce: &str) -> String {
    let (jwk, ath, now) = (holder.jwk.to_string(), hash(access_token), START.to_string());
    let named = [("<jwk>", &*jwk), ("<alg>", holder.algorithm), ("<url>", ROUTE), ("<now>", &now), ("<ath>", &ath)];
    let named = named.into_iter().chain([("<nonce>", nonce)]);
    named.fold(text.to_owned(), |text, (name, value)| text.replacen(name, value, 2))
}

fn read_reply(reply: &otp_grant::Reply) -> (u16, Value) {
    assert_eq!((reply.status(), reply.header("Cache-Control")), (400, Some("no-store")));
    read(reply)
}

fn token_url() -> String {
    format!("{ISSUER}{TOKEN}")
}

/// Shared by all inputs, because nothing here changes a record.
struct Fixture {
    host: Host,
    holders: [KeyHolder; 4],
    /// The tokens that are bound to the key of each holder.
    tokens: Vec<Bound>,
    /// Those of the two minutes before, of this minute and of the next, and then two that are not accepted.
    nonces: Vec<String>,
    values: Vec<Value>,
}

struct Bound {
    access_token: String,
    /// The token of a client whose proofs must have a nonce.
    with_nonce: String,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let host = Host::with(settings(|settings| settings.dpop = DpopSupport::On));
    let holders = KeyHolder::of_each_algorithm();
    let at = |instant: u64| host.clock.set(Timestamp::from_unix_secs(instant));
    at(START - 280);
    let tokens: Vec<_> = holders
        .iter()
        .map(|holder| Bound {
            access_token: log_in(&host, holder, DPOP_CLIENT),
            with_nonce: log_in(&host, holder, NONCE_CLIENT),
        })
        .collect();
    let instants = [START - 120, START - 60, START, START + 60, START - 180, START + 120];
    let mut nonces: Vec<String> = instants
        .map(|instant| {
            at(instant);
            nonce(&host)
        })
        .into();
    assert!(nonces.iter().enumerate().all(|(place, nonce)| !nonces[..place].contains(nonce)));
    at(START);
    nonces.push("AAAA".to_owned());
    let mut values: Vec<Value> = nonces.iter().map(|nonce| json!(nonce)).collect();
    values.extend(VALUES.iter().map(|text| json!(text)));
    values.extend(
        [ROUTE.to_owned(), token_url(), "a".repeat(256), "a".repeat(257), "é".repeat(128), "é".repeat(129)]
            .map(Value::from),
    );
    let suffixes = ["?a", "#a", "/", "/.", "/x/..", "%2F"];
    values.extend(suffixes.map(|suffix| json!(format!("{ROUTE}{suffix}"))));
    values.extend([
        json!(START),
        json!(START - 60),
        json!(START - 61),
        json!(START + 5),
        json!(START + 6),
        json!(1_800_000_005.25),
        json!(1_799_999_940.5),
        json!(1_799_999_939.75),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(null),
        json!(true),
        json!(["verify"]),
    ]);
    values.extend(tokens.iter().flat_map(|bound| [json!(hash(&bound.access_token)), json!(hash(&bound.with_nonce))]));
    values.extend(holders.iter().map(|holder| holder.jwk.clone()));
    Fixture { host, holders, tokens, nonces, values }
});

/// Logs in with proofs of a key, and returns the access token.
fn log_in(host: &Host, holder: &KeyHolder, client: &str) -> String {
    host.advance(secs(31));
    let proof = |path: &str, jti: &str| {
        let claims = json!({
            "jti": jti, "htm": "POST", "htu": format!("{ISSUER}{path}"), "iat": host.clock.now().as_unix_secs(), "nonce": nonce(host),
        });
        holder.sign(good_header(holder).to_string(), claims.to_string())
    };
    let send = json!({ "client_id": client, "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let (code, sent) = block_on(host.send_with(&send, &proof("/otp/send", "send")));
    let grant = json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code });
    let (status, tokens) = read(&block_on(host.post_with(TOKEN, &but(&send, grant), &[&proof(TOKEN, "login")])));
    assert_eq!(status, 200, "{tokens}");
    text(&tokens, "access_token").to_owned()
}

/// Returns the nonce of this minute.
fn nonce(host: &Host) -> String {
    let prover = Prover::new(1);
    let body = json!({ "grant_type": "refresh_token", "client_id": NONCE_CLIENT, "refresh_token": "A" });
    let reply = block_on(host.post_with(TOKEN, &body, &[&prover.proof(host, TOKEN, json!({}))]));
    reply.header("DPoP-Nonce").unwrap().to_owned()
}

/// The members that are changed: of the header (0) and of the claims (1).
const MEMBERS: [(usize, &str); 24] = [
    (0, "typ"),
    (0, "alg"),
    (0, "jwk"),
    (0, "jwk/kty"),
    (0, "jwk/crv"),
    (0, "jwk/x"),
    (0, "jwk/d"),
    (0, "jwk/k"),
    (0, "jwk/alg"),
    (0, "jwk/use"),
    (0, "jwk/key_ops"),
    (0, "jwk/kid"),
    (0, "crit"),
    (0, "b64"),
    (0, "kid"),
    (0, "zip"),
    (1, "jti"),
    (1, "htm"),
    (1, "htu"),
    (1, "iat"),
    (1, "nonce"),
    (1, "ath"),
    (1, "exp"),
    (1, "x"),
];
const VALUES: [&str; 26] = [
    "",
    "dpop+jwt",
    "DPoP+JWT",
    "application/dpop+jwt",
    "JWT",
    "ES256",
    "EdDSA",
    "Ed25519",
    "RS256",
    "PS256",
    "HS256",
    "none",
    "GET",
    "POST",
    "get",
    "sig",
    "enc",
    "oct",
    "EC",
    "AAAA",
    "HTTPS://API.example.com:443/v1/orders",
    "https://api.example.com/v1/../v1/./orders",
    "https://api.example.com/v1/%6frders",
    "https://api.example.com:8443/v1/orders",
    "http://api.example.com/v1/orders",
    "https://a@api.example.com/v1/orders",
];
const REASONS: [DpopError; 11] = [
    DpopError::Missing,
    DpopError::Malformed,
    DpopError::WrongType,
    DpopError::Unsupported,
    DpopError::InvalidKey,
    DpopError::BadSignature,
    DpopError::InvalidClaims,
    DpopError::WrongMethod,
    DpopError::WrongUrl,
    DpopError::OutsideTheWindow,
    DpopError::Replayed,
];
const TOKEN: &str = "/oauth2/token";
/// A route of the host.
const ROUTE: &str = "https://api.example.com/v1/orders";
/// The same as for keys and tokens, for parts after base64url.
const MULTIPLE: usize = 80;
