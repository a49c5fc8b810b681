//! Two issuers with the same secrets on one store. Neither throttles, redeems, refreshes or ends what belongs to the
//! other.

use std::sync::Arc;

use otp_grant::jwt::Audience;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

type Server = AuthorizationServer<Arc<MemoryStore>, MemoryDirectory>;

fn server(issuer: &str, store: &Arc<MemoryStore>, entropy: &SeededEntropy) -> Server {
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    AuthorizationServer::builder(Issuer::new(issuer).unwrap(), keyring(), key)
        .clock(ManualClock::new())
        .entropy(entropy.clone())
        .build(store.clone(), sample_directory())
        .unwrap()
}

fn two_servers() -> [Server; 2] {
    let (store, entropy) = (Arc::new(MemoryStore::with_clock(ManualClock::new())), SeededEntropy::default());
    [ISSUER, "https://other.portal.example.com"].map(|issuer| server(issuer, &store, &entropy))
}

async fn send(server: &Server) -> Result<Sent, (u16, Value)> {
    let body = sms_send(PHONE).to_string();
    let delivery = server.post_send(json_request(&body, None)).await.map_err(|reply| read(&reply))?;
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let (_, reply) = read(&delivery.accepted());
    Ok(Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply })
}

async fn token(server: &Server, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    read(&server.post_token(json_request(&body, None)).await)
}

#[tokio::test]
async fn each_counts_its_own_sends_and_guesses() {
    let [one, other] = two_servers();
    let sent = send(&one).await.unwrap();
    assert_eq!(send(&one).await.unwrap_err().0, 400, "a second code at once");
    let sent_by_other = send(&other).await.unwrap();

    let wrong_grant = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    for remaining in (0..5).rev() {
        assert_eq!(token(&one, &wrong_grant).await.1["attempts_remaining"], remaining);
    }
    let wrong_grant = but(&sms_grant(PHONE, &sent_by_other), json!({ "otp": wrong(&sent_by_other.code) }));
    assert_eq!(token(&other, &wrong_grant).await.1["attempts_remaining"], 4);
}

#[tokio::test]
async fn neither_takes_the_codes_and_tokens_of_the_other() {
    let [one, other] = two_servers();
    let grant = sms_grant(PHONE, &send(&one).await.unwrap());
    let mismatched = error(400, "invalid_request", "Mismatched OTP token and OTP sending parameters");
    assert_eq!(token(&other, &grant).await, mismatched);
    let (status, tokens) = token(&one, &grant).await;
    assert_eq!(status, 200, "{tokens}");

    let refresh = json!({
        "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"],
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
    });
    let unknown = error(400, "invalid_grant", "Unknown or expired refresh_token");
    assert_eq!(token(&other, &refresh).await, unknown);
    let access_token = text(&tokens, "access_token");
    assert!(other.check_access_token(access_token, Audience::EveryClient).await.is_err());
    // The attempts at the other issuer have ended nothing.
    assert!(one.check_access_token(access_token, Audience::EveryClient).await.is_ok());
    assert_eq!(token(&one, &refresh).await.0, 200);
}
