//! The happy path of both channels, both clients and both token profiles.

mod support;

use otp_grant::*;
use serde_json::{Value, json};
use support::*;

fn payload(server_keys: &PublicKeySet, token: &str) -> Value {
    serde_json::from_slice(jws::verify(token, server_keys).unwrap().payload()).unwrap()
}

#[tokio::test]
async fn a_login_over_sms_yields_verifiable_tokens() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    assert_eq!(sent.reply["expires_in"], 300);
    assert_eq!(sent.reply["code_length"], 6);
    assert_eq!(sent.reply["resend_after"], 30);
    assert_eq!(sent.code.len(), 6);

    let (status, body) = host.token(&sms_grant(PHONE, &sent)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["scope"], "openid");
    assert_eq!(body["expires_in"], 300);
    assert_eq!(body["refresh_token"].as_str().unwrap().len(), 128);

    let access = payload(host.server.key_set(), body["access_token"].as_str().unwrap());
    let id = payload(host.server.key_set(), body["id_token"].as_str().unwrap());
    for claims in [&access, &id] {
        assert_eq!(claims["sub"], "MOCK_USER_ID");
        assert_eq!(claims["aud"], "TENANT_CLIENT_ID");
        assert_eq!(claims["iss"], ISSUER);
        assert_eq!(claims["iat"], START);
        assert!(claims["jti"].is_string() && claims["sid"] == access["sid"]);
    }
    assert_eq!(access["nbf"], START);
    assert_eq!(access["exp"], START + 300);
    assert_eq!(access["scope"], json!(["openid"]));
    assert_eq!(id["azp"], "TENANT_CLIENT_ID");
    assert_eq!(id["exp"], START + 1800);
    assert_eq!(id["auth_time"], START);
    assert_eq!(id["amr"], json!(["otp", "sms"]));
    assert_ne!(access["jti"], id["jti"]);

    let claims = host.server.verify_access_token(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims.subject.as_str(), "MOCK_USER_ID");
    host.advance(secs(300));
    let expired = host.server.verify_access_token(body["access_token"].as_str().unwrap());
    assert_eq!(expired, Err(AccessTokenError::Expired));
}
