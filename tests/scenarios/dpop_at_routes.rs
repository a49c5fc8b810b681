//! Proofs of a key at the routes of the host's own: a verification, and the checks of access tokens.

use otp_grant::dpop::{DpopError, DpopSupport};
use otp_grant::jwt::{AccessTokenError, AccessTokenVerifier, Audience};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{AccessTokenCheckError, VerifiedAddress, VerifyError, VerifyRequest};
use otp_grant::time::Clock as _;
use otp_grant::wire::{DpopHeader, PresentedProof};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const SEND: &str = "/otp/send";
const VERIFY: &str = "https://login.example.com/account/verify";
const ORDERS: &str = "https://api.example.com/orders";

fn host_with(dpop: DpopSupport) -> Host {
    Host::with(settings(|settings| settings.dpop = dpop))
}

/// Both changes. The second replaces the first, and can also take a claim away.
fn and(mut changes: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        changes[name] = value.clone();
    }
    changes
}

/// A proof for a route of the host.
fn route_proof(host: &Host, key: &Prover, changes: Value) -> RouteProof {
    let header = key.proof(host, "", and(json!({ "htu": VERIFY }), changes));
    RouteProof { header, method: "POST", url: VERIFY }
}

/// Requests a code for a sign-up with this key, or without one.
async fn ask(host: &Host, key: Option<&Prover>) -> (String, String) {
    let body = json!({ "client_id": DPOP_CLIENT, "usage": "signup", "phone_number": NOBODY });
    let (code, sent) = match key {
        Some(key) => host.send_with(&body, &key.proof(host, SEND, json!({}))).await,
        None => {
            let body = but(&sms_send(NOBODY), json!({ "usage": "signup", "auth_source_id": null }));
            let sent = host.send(&body).await;
            (sent.code, json!({ "otp_token": sent.otp_token }))
        }
    };
    (code, text(&sent, "otp_token").to_owned())
}

async fn verify(
    host: &Host,
    client: &str,
    (code, otp_token): &(String, String),
    proof: Option<RouteProof>,
) -> Result<VerifiedAddress, VerifyError> {
    let client = ClientId::new(client).unwrap();
    let address = Address::Phone(AddressPolicy::default().phone_number(NOBODY).unwrap());
    let (otp_token, otp) = (PresentedSecret::new(otp_token.as_str()), PresentedSecret::new(code.as_str()));
    let request = VerifyRequest::new(&client, Usage::Signup, address, otp_token, otp);
    host.server.call_verify_with(request, proof).await
}

#[tokio::test]
async fn a_verification_needs_the_key_that_asked() {
    let (host, key, thief) = (host_with(DpopSupport::On), Prover::new(1), Prover::new(2));
    let asked = ask(&host, Some(&key)).await;
    for proof in [None, Some(route_proof(&host, &thief, json!({})))] {
        let (calls, refused) = host.store_calls(verify(&host, DPOP_CLIENT, &asked, proof)).await;
        assert_eq!((calls, refused.err()), (0, Some(VerifyError::UnknownOtpToken)));
    }
    for (changes, cause) in [
        (json!({ "htu": ORDERS }), DpopError::WrongUrl),
        (json!({ "htm": "GET" }), DpopError::WrongMethod),
        (json!({ "jti": null }), DpopError::InvalidClaims),
    ] {
        let proof = Some(route_proof(&host, &key, changes));
        let (calls, refused) = host.store_calls(verify(&host, DPOP_CLIENT, &asked, proof)).await;
        assert_eq!((calls, refused.err()), (0, Some(VerifyError::InvalidDpopProof(cause))));
    }
    let used = route_proof(&host, &key, json!({}));
    let wrong = (format!("{}9", &asked.0[1..]), asked.1.clone());
    let refused = verify(&host, DPOP_CLIENT, &wrong, Some(used.clone())).await;
    assert_eq!(refused.err(), Some(VerifyError::UnknownOtp { attempts_remaining: 4 }));
    let refused = verify(&host, DPOP_CLIENT, &asked, Some(used)).await;
    assert_eq!(refused.err(), Some(VerifyError::InvalidDpopProof(DpopError::Replayed)));
    let verified = verify(&host, DPOP_CLIENT, &asked, Some(route_proof(&host, &key, json!({})))).await;
    assert_eq!(verified.unwrap().usage(), Usage::Signup);
}

#[tokio::test]
async fn a_verification_without_a_key_does_not_need_one() {
    let host = host_with(DpopSupport::On);
    let asked = ask(&host, None).await;
    let proof = route_proof(&host, &Prover::new(1), json!({}));
    verify(&host, CLIENT, &asked, Some(proof)).await.unwrap();
}

#[tokio::test]
async fn a_host_without_dpop_ignores_the_proof_of_a_verification() {
    let host = host_with(DpopSupport::Off);
    let asked = ask(&host, None).await;
    let proof = RouteProof { header: "no proof".to_owned(), method: "POST", url: VERIFY };
    verify(&host, CLIENT, &asked, Some(proof)).await.unwrap();
}

async fn access_token(host: &Host, key: &Prover) -> String {
    let send = but(&sms_send(PHONE), json!({ "client_id": DPOP_CLIENT, "client_secret": null }));
    let (code, sent) = host.send_with(&send, &key.proof(host, SEND, json!({}))).await;
    let grant = json!({ "grant_type": settings::SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code });
    let proof = key.proof(host, "/oauth2/token", json!({}));
    text(&read(&host.post_with("/oauth2/token", &but(&send, grant), &[&proof]).await).1, "access_token").to_owned()
}

#[tokio::test]
async fn a_check_sees_token_and_proof_together_online_and_offline() {
    let (host, key, thief) = (host_with(DpopSupport::On), Prover::new(1), Prover::new(2));
    let token = access_token(&host, &key).await;
    let offline =
        AccessTokenVerifier::new(Issuer::new(ISSUER).unwrap(), host.server.key_set().clone(), Default::default());
    let of = |prover: &Prover, changes: Value| {
        prover.proof_with(&host, &token, and(json!({ "htu": ORDERS, "htm": "PUT" }), changes))
    };
    for (header, expected) in [
        (of(&key, json!({})), None),
        (of(&thief, json!({})), Some(DpopError::WrongKey)),
        (of(&key, json!({ "ath": null })), Some(DpopError::WrongAccessToken)),
        (of(&key, json!({ "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" })), Some(DpopError::WrongAccessToken)),
        (of(&key, json!({ "htu": VERIFY })), Some(DpopError::WrongUrl)),
        (of(&key, json!({ "htm": "put" })), Some(DpopError::WrongMethod)),
        (of(&key, json!({ "iat": START - 61 })), Some(DpopError::OutsideTheWindow)),
        (String::new(), Some(DpopError::Malformed)),
    ] {
        let proof = RouteProof { header: header.clone(), method: "PUT", url: ORDERS };
        let online = host.server.call_check_with(&token, Some(proof), Audience::EveryClient).await;
        let refused = expected.map(AccessTokenError::Dpop);
        assert_eq!(online.err(), refused.map(AccessTokenCheckError::RefusedWithProof), "{header}");
        let proof = PresentedProof::new(Some(DpopHeader::new(&header)), "PUT", ORDERS);
        let read = offline.verify_with_proof(&token, &proof, Audience::EveryClient, host.clock.now());
        assert_eq!(read.as_ref().err(), refused.as_ref(), "{header}");
        if let Ok(claims) = read {
            assert_eq!(String::from(claims.key.unwrap()), key.thumbprint());
        }
    }
    // Neither check takes a proof for a token that is not bound to its key.
    host.advance(secs(30));
    let bearer = host.log_in(json!({})).await;
    let bearer = text(&bearer, "access_token");
    let header = key.proof_with(&host, bearer, json!({ "htu": ORDERS, "htm": "PUT" }));
    let proof = PresentedProof::new(Some(DpopHeader::new(&header)), "PUT", ORDERS);
    let read = offline.verify_with_proof(bearer, &proof, Audience::EveryClient, host.clock.now());
    assert_eq!(read.err(), Some(AccessTokenError::NotKeyBound));
}
