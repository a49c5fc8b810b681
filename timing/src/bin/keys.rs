//! Serves one request of a client that has a key, for callgrind to count its instructions: `keys ath 0`. `timing/run`
//! compares the counts.

use std::env::args;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::dpop::DpopPolicy;
use otp_grant::jwt::PublicKeySet;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::*;
use otp_grant_tests::{ISSUER, but, text};
use otp_grant_timing::keyed::*;
use otp_grant_timing::{CLIENT, PHONE, SEND, SOURCE, TOKEN};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

fn main() {
    let [kind, case] = [1, 2].map(|argument| args().nth(argument).unwrap_or_default());
    let position = || case.parse().expect("a position");
    let holder = Holder::of_the_client();
    let reply = match kind.as_str() {
        // A refresh whose proof is wrong in one byte of its signature.
        "proof" => {
            let proof = with_other_signature(&holder.proof(&json!({})), position());
            ask(&proving(DpopPolicy::Required), refresh().header("DPoP", &proof).body(REFRESH))
        }
        // A refresh whose proof has a nonce that is wrong in one byte.
        "nonce" => {
            let server = proving(DpopPolicy::RequiredWithNonce);
            let without = holder.proof(&json!({}));
            let without = post(&server, refresh().header("DPoP", &without).body(REFRESH)).0;
            let nonce = with_other_byte(without.header("DPoP-Nonce").unwrap(), position(), 1);
            let proof = holder.proof(&json!({ "nonce": nonce }));
            ask(&server, refresh().header("DPoP", &proof).body(REFRESH))
        }
        // A userinfo request whose proof has an `ath` that is wrong in one byte.
        "ath" => {
            let server = proving(DpopPolicy::Required);
            let token = log_in(&server, &holder);
            let hash = BASE64URL.encode(digest(&SHA256, token.as_bytes()));
            let ath = with_other_byte(&hash, position(), 1);
            let url = format!("{ISSUER}/userinfo");
            let proof = holder.proof(&json!({ "htm": "GET", "htu": url, "ath": ath }));
            let authorization = format!("DPoP {token}");
            let request = Request::new("GET", "/userinfo").header("Authorization", &authorization);
            ask(&server, request.header("DPoP", &proof))
        }
        // A refresh whose assertion is wrong in one byte of its signature.
        "assertion" => {
            let body = json!({
                "grant_type": "refresh_token", "refresh_token": "A",
                "client_assertion": with_other_signature(&holder.assertion(), position()),
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            });
            let body = body.to_string();
            let keys = PublicKeySet::new([public_key()]).unwrap();
            let client = Client::private_key_jwt(ClientId::new(CLIENT).unwrap(), keys).unwrap();
            ask(&server(client), refresh().body(&body))
        }
        _ => panic!("no such kind of request"),
    };
    println!("{} {}", reply.status(), String::from_utf8_lossy(reply.body()));
}

/// Its instructions are counted, from the bytes of the request to those of the reply.
#[inline(never)]
fn ask(server: &Server, request: Request<'_>) -> Reply {
    post(server, request).0
}

fn refresh<'a>() -> Request<'a> {
    json_to(TOKEN)
}

/// Logs the user in with proofs, and returns the access token.
fn log_in(server: &Server, holder: &Holder) -> String {
    let read = |reply: &Reply| serde_json::from_slice::<Value>(reply.body()).unwrap();
    let send = json!({ "client_id": CLIENT, "auth_source_id": SOURCE, "phone_number": PHONE });
    let proof = holder.proof(&json!({ "htu": format!("{ISSUER}{SEND}") }));
    let (reply, code) = post(server, json_to(SEND).header("DPoP", &proof).body(&send.to_string()));
    let grant = json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": read(&reply)["otp_token"], "otp": code });
    let proof = holder.proof(&json!({}));
    let (reply, _) = post(server, json_to(TOKEN).header("DPoP", &proof).body(&but(&send, grant).to_string()));
    text(&read(&reply), "access_token").to_owned()
}

/// A JWS with another byte at this position of its signature.
fn with_other_signature(jws: &str, position: usize) -> String {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    format!("{signed}.{}", with_other_byte(signature, position, 1))
}
