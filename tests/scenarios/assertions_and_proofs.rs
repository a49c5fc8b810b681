//! Clients that authenticate by assertions and prove a key: the error of a proof uses up no assertion.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::jwt::PublicKeySet;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::time::Clock;
use otp_grant::*;
use otp_grant_tests::*;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

const PEM: &str = include_str!("../keys/ed25519_pkcs8.pem");
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SEND: &str = "/otp/send";
const TOKEN: &str = "/oauth2/token";
const PROVING: &str = "KEYED_PROVING";
const WITH_NONCE: &str = "KEYED_WITH_NONCE";

fn host() -> Host {
    let client = |id: &str, policy| {
        let keys = PublicKeySet::new([SigningKey::from_pem(PEM).unwrap().public_key().clone()]).unwrap();
        let client = Client::private_key_jwt(ClientId::new(id).unwrap(), keys).unwrap();
        client.with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap()).with_dpop(policy)
    };
    let directory = sample_directory()
        .with_client(client(PROVING, DpopPolicy::Required))
        .with_client(client(WITH_NONCE, DpopPolicy::RequiredWithNonce));
    let settings = settings(|s| (s.client_assertions, s.dpop) = (true, DpopSupport::On));
    Host::with_directory(settings, signing_key(), directory)
}

fn with_assertion(host: &Host, client: &str, name: &str, body: &Value) -> Value {
    let base64: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&BASE64_STANDARD.decode(base64).unwrap()).unwrap();
    let exp = host.clock.now().as_unix_secs() + 60;
    let claims = json!({ "iss": client, "sub": client, "aud": ISSUER, "exp": exp, "jti": name }).to_string();
    let signed = format!("{}.{}", BASE64URL.encode(r#"{"alg":"EdDSA"}"#), BASE64URL.encode(claims));
    let assertion = format!("{signed}.{}", BASE64URL.encode(key.sign(signed.as_bytes())));
    but(body, json!({ "client_assertion_type": TYPE, "client_assertion": assertion }))
}

/// A request whose proof is refused costs no call of the store. With a good proof it is served, by the same assertion.
async fn is_served_after_bad_proofs(host: &Host, client: &str, key: &Prover, path: &str, body: &Value) -> Value {
    let nonce = match client {
        WITH_NONCE => json!({ "nonce": nonce(host, key).await }),
        _ => json!({}),
    };
    let bad = key.proof(host, path, but(&nonce, json!({ "htm": "GET" })));
    let without_nonce = key.proof(host, path, json!({}));
    let unsigned = key.sign(&but(&key.header(), json!({ "jwk": Prover::new(2).jwk() })), &key.claims(host, path));
    let mut refused = vec![
        (vec![&*bad], "invalid_dpop_proof"),
        (vec![], "invalid_dpop_proof"),
        (vec![&*unsigned], "invalid_dpop_proof"),
    ];
    if client == WITH_NONCE {
        refused.push((vec![&*without_nonce], "use_dpop_nonce"));
    }
    for (proofs, error) in refused {
        let (calls, reply) = host.store_calls(host.post_with(path, body, &proofs)).await;
        assert_eq!((calls, reply.status(), read(&reply).1["error"].as_str()), (0, 400, Some(error)), "{path}");
    }
    let reply = host.post_with(path, body, &[&key.proof(host, path, nonce.clone())]).await;
    assert_eq!(reply.status(), 200, "{path} {:?}", read(&reply).1);
    let again = host.post_with(path, body, &[&key.proof(host, path, nonce)]).await;
    assert_eq!((again.status(), &read(&again).1["error"]), (401, &json!("invalid_client")), "{path}");
    read(&reply).1
}

/// The nonce of now, as another client is told it.
async fn nonce(host: &Host, key: &Prover) -> String {
    let send = json!({ "client_id": NONCE_CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": NOBODY });
    let reply = host.post_with(SEND, &send, &[&key.proof(host, SEND, json!({}))]).await;
    reply.header("DPoP-Nonce").unwrap().to_owned()
}

#[tokio::test]
async fn the_error_of_a_proof_uses_up_no_assertion() {
    for client in [PROVING, WITH_NONCE] {
        let (host, key) = (host(), Prover::new(1));
        let signed = |name: &str, body: &Value| with_assertion(&host, client, name, body);
        let send = json!({ "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
        is_served_after_bad_proofs(&host, client, &key, SEND, &signed("1", &send)).await;

        host.advance(secs(30));
        let nonce = nonce(&host, &key).await;
        let (code, sent) =
            host.send_with(&signed("2", &send), &key.proof(&host, SEND, json!({ "nonce": nonce }))).await;
        let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent["otp_token"], "otp": code }));
        let tokens = is_served_after_bad_proofs(&host, client, &key, TOKEN, &signed("3", &grant)).await;
        assert_eq!(tokens["token_type"], "DPoP");

        let refresh = json!({ "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"] });
        let tokens = is_served_after_bad_proofs(&host, client, &key, TOKEN, &signed("4", &refresh)).await;
        assert_eq!(payload(text(&tokens, "access_token"))["cnf"]["jkt"], key.thumbprint());
    }
}
