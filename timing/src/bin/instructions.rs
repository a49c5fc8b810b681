//! Serves one request, for callgrind to count its instructions: `instructions code 0`. `timing/run` compares the
//! counts.

use std::env::args;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::*;
use otp_grant_timing::*;
use ring::signature::{Ed25519KeyPair, Signature};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

fn main() {
    let [kind, case] = [1, 2].map(|argument| args().nth(argument).unwrap_or_default());
    let position = || case.parse().expect("a position");
    let reply = match kind.as_str() {
        // A grant whose code is wrong in one digit.
        "code" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            grant(&host, &grant_body(&otp_token, &with_other_digit(&code, position(), 1)))
        }
        // A grant whose code has expired, and is right or wrong in one digit.
        "expired" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            host.advance(CODE_VALIDITY);
            let presented = if case == "right" { code } else { with_other_digit(&code, position(), 1) };
            grant(&host, &grant_body(&otp_token, &presented))
        }
        // A grant whose otp_token is wrong in one byte of its MAC.
        "otp_token" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            grant(&host, &grant_body(&with_other_mac(&otp_token, position(), 1), &code))
        }
        // A grant of an unknown client, or of a client whose secret has a digest that is wrong in one byte.
        "client" => {
            let (id, position) = if case == "unknown" { (UNKNOWN_CLIENT, 0) } else { (CLIENT, position()) };
            grant(&host(neighbour(position)), &grant_body("A", "0123456789").replace(CLIENT, id))
        }
        // A send to the address of a user who is active, locked or unknown.
        "send" => {
            let user = match case.as_str() {
                "known" => Some(UserStatus::Active),
                "locked" => Some(UserStatus::Locked),
                "unknown" => None,
                _ => panic!("no such user"),
            };
            send(&Host::new(user, ClientSecret::digest(SECRET)), &login_body())
        }
        // A send to a test identity or to another address, where there is one, and a wrong code for it.
        "identity" => send(&Host::with_test_identity(identity(&case)), &login_body()),
        "fixed" => {
            let host = Host::with_test_identity(identity(&case));
            let (otp_token, _) = host.send(&login_body());
            grant(&host, &grant_body(&otp_token, "654321"))
        }
        // A grant with a right code, or only the signatures of its answer.
        "right" => {
            let host = host(ClientSecret::digest(SECRET));
            let (otp_token, code) = host.send(&login_body());
            let body = grant_body(&otp_token, &code);
            match case.as_str() {
                "grant" => grant(&host, &body),
                "signatures" => {
                    let reply = host.post(TOKEN, &body);
                    sign(&reply);
                    reply
                }
                _ => panic!("no such part"),
            }
        }
        _ => panic!("no such kind of request"),
    };
    println!("{} {}", reply.status(), String::from_utf8_lossy(reply.body()));
}

/// The number of the test identity.
fn identity(case: &str) -> &'static str {
    if case == "test" { PHONE } else { OTHER_PHONE }
}

fn host(secret: ClientSecret) -> Host {
    Host::new(Some(UserStatus::Active), secret)
}

/// Its instructions are counted, from the bytes of the request to those of the reply.
#[inline(never)]
fn grant(host: &Host, body: &str) -> Reply {
    host.post(TOKEN, body)
}

/// Its instructions are counted, from the bytes of the request to those of the reply.
#[inline(never)]
fn send(host: &Host, body: &str) -> Reply {
    host.post(SEND, body)
}

/// Makes the signatures of an answer again with `ring` alone.
fn sign(reply: &Reply) {
    let key = PrivatePkcs8KeyDer::from_pem_slice(SIGNING_KEY.as_bytes()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()).unwrap();
    let answer: Value = serde_json::from_slice(reply.body()).unwrap();
    for name in ["access_token", "id_token"] {
        let (signed, signature) = answer[name].as_str().unwrap().rsplit_once('.').unwrap();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(signature_of(&key, signed)), signature);
    }
}

/// Its instructions are counted.
#[inline(never)]
fn signature_of(key: &Ed25519KeyPair, signed: &str) -> Signature {
    key.sign(signed.as_bytes())
}

/// It has the same length as [`PHONE`].
const OTHER_PHONE: &str = "13699999999";

/// It has the same length as [`CLIENT`].
const UNKNOWN_CLIENT: &str = "UNKNOWN_CLIENTID";
