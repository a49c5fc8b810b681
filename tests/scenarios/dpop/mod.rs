//! Tokens that are bound to a key of the client (RFC 9449): what a proof must say, what is bound, and what a thief can
//! do without the key.

mod bound;
mod checks;
mod policies;
mod resources;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;

use futures::future::join_all;
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::jwt::{AccessTokenError, Audience};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::store::Swap;
use otp_grant::wire::PresentedAccessToken;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const SEND: &str = "/otp/send";
const TOKEN: &str = "/oauth2/token";
const UNKNOWN: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired otp_token"}"#;
const REFUSED: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired refresh_token"}"#;
const ALGORITHMS: &str = "ES256 EdDSA Ed25519 PS256 RS256";

fn host() -> Host {
    Host::with(settings(|settings| settings.dpop = DpopSupport::On))
}

fn send_of(client: &str) -> Value {
    json!({ "client_id": client, "auth_source_id": SMS_SOURCE, "phone_number": PHONE })
}

fn grant_of(send: &Value, code: &str, sent: &Value) -> Value {
    but(send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }))
}

fn refresh_of(client: &str, token: &str) -> Value {
    json!({ "grant_type": "refresh_token", "client_id": client, "refresh_token": token })
}

/// The grant of a code that was sent to a client with this key.
async fn ready(host: &Host, client: &str, key: &Prover) -> Value {
    let send = send_of(client);
    let (code, sent) = host.send_with(&send, &key.proof(host, SEND, json!({}))).await;
    grant_of(&send, &code, &sent)
}

async fn log_in(host: &Host, client: &str, key: &Prover) -> Value {
    let grant = ready(host, client, key).await;
    let reply = host.post_with(TOKEN, &grant, &[&key.proof(host, TOKEN, json!({}))]).await;
    assert_eq!(reply.status(), 200, "{:?}", read(&reply).1);
    read(&reply).1
}

async fn refresh(host: &Host, client: &str, token: &str, proof: &str) -> Reply {
    host.post_with(TOKEN, &refresh_of(client, token), &[proof]).await
}

fn invalid(description: &str) -> String {
    format!(r#"{{"error":"invalid_dpop_proof","error_description":"{description}"}}"#)
}

#[track_caller]
fn assert_invalid(reply: &Reply, description: &str) {
    assert_reply(reply, 400, &invalid(description), &[]);
}

#[tokio::test]
async fn a_login_with_a_key_gives_tokens_that_are_bound_to_it() {
    let (host, key) = (host(), Prover::new(1));
    let tokens = log_in(&host, DPOP_CLIENT, &key).await;
    assert_eq!(tokens["token_type"], "DPoP");
    let claims = payload(text(&tokens, "access_token"));
    assert_eq!(claims["cnf"], json!({ "jkt": key.thumbprint() }));
    assert!(payload(text(&tokens, "id_token")).get("cnf").is_none());

    let access_token = text(&tokens, "access_token");
    let reply = host.userinfo_with("DPoP", access_token, &[&key.proof_with(&host, access_token, json!({}))]).await;
    assert_eq!((reply.status(), read(&reply).1["sub"].as_str()), (200, Some("MOCK_USER_ID")));
    let reply = refresh(&host, DPOP_CLIENT, text(&tokens, "refresh_token"), &key.proof(&host, TOKEN, json!({}))).await;
    assert_eq!((reply.status(), &read(&reply).1["token_type"]), (200, &json!("DPoP")));
    assert_eq!(reply.header("DPoP-Nonce"), None);
}

#[tokio::test]
async fn store_calls_are_the_same_with_a_key_as_without() {
    let (host, key) = (host(), Prover::new(1));
    let send = send_of(DPOP_CLIENT);
    let proof = key.proof(&host, SEND, json!({}));
    let (calls, (code, sent)) = host.store_calls(host.send_with(&send, &proof)).await;
    assert_eq!(calls, 2, "send");
    let grant = grant_of(&send, &code, &sent);
    let proof = key.proof(&host, TOKEN, json!({}));
    let (calls, reply) = host.store_calls(host.post_with(TOKEN, &grant, &[&proof])).await;
    assert_eq!((calls, reply.status()), (4, 200), "login");
    let tokens = read(&reply).1;
    let proof = key.proof(&host, TOKEN, json!({}));
    let refreshed = refresh(&host, DPOP_CLIENT, text(&tokens, "refresh_token"), &proof);
    let (calls, reply) = host.store_calls(refreshed).await;
    assert_eq!((calls, reply.status()), (2, 200), "refresh");
}
