//! The tokens of a login: header, claims and keys, for every algorithm and both profiles.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::jwt::{AccessTokenError, AccessTokenProfile, Audience, JwsError, PublicKeySet, SigningKeys, jws};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const KEYS: [(&str, &str, &[&str]); 5] = [
    ("RS256", include_str!("../keys/rsa2048_pkcs8.pem"), &["alg", "e", "kid", "kty", "n", "use"]),
    ("ES256", include_str!("../keys/es256_pkcs8.pem"), &["alg", "crv", "kid", "kty", "use", "x", "y"]),
    ("EdDSA", include_str!("../keys/ed25519_pkcs8.pem"), &["alg", "crv", "kid", "kty", "use", "x"]),
    ("PS256", include_str!("../keys/rsa2048_pkcs8.pem"), &["alg", "e", "kid", "kty", "n", "use"]),
    ("Ed25519", include_str!("../keys/ed25519_pkcs8.pem"), &["alg", "crv", "kid", "kty", "use", "x"]),
];
const API: &str = "https://api.example.com";

fn rfc_9068() -> Settings {
    settings(|s| s.access_token_profile = AccessTokenProfile::Rfc9068 { audience: API.to_owned() })
}

fn host_of(settings: Settings, alg: &str, pem: &str) -> Host {
    let key = SigningKey::from_pem(pem).unwrap().with_algorithm(alg.parse().unwrap());
    Host::with_key(settings, key.unwrap())
}

fn header(token: &str) -> String {
    String::from_utf8(BASE64URL.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// The claims of a token that verifies with the published keys.
fn claims(host: &Host, token: &str) -> Value {
    let keys = PublicKeySet::from_json(host.server.get_jwks().body()).unwrap();
    serde_json::from_slice(jws::verify(token, &keys).unwrap().payload()).unwrap()
}

#[tokio::test]
async fn both_tokens_have_the_claims_and_header_of_the_contract() {
    for (alg, pem, _) in KEYS {
        let host = host_of(Settings::default(), alg, pem);
        let said = host.log_in(json!({})).await;
        let kid = host.server.key_set().iter().next().unwrap().key_id().to_owned();
        let expected = format!(r#"{{"kid":"{kid}","typ":"JWT","alg":"{alg}"}}"#);
        assert_eq!(header(text(&said, "access_token")), expected);
        assert_eq!(header(text(&said, "id_token")), expected);

        let access = claims(&host, text(&said, "access_token"));
        let whole = json!({
            "sub": "MOCK_USER_ID", "aud": "TENANT_CLIENT_ID", "nbf": START, "scope": ["openid"], "iss": ISSUER,
            "exp": START + 300, "iat": START, "jti": access["jti"], "sid": access["sid"],
        });
        assert_eq!(access, whole);
        let id = claims(&host, text(&said, "id_token"));
        let whole = json!({
            "sub": "MOCK_USER_ID", "aud": "TENANT_CLIENT_ID", "azp": "TENANT_CLIENT_ID", "iss": ISSUER,
            "exp": START + 1800, "iat": START, "jti": id["jti"], "sid": access["sid"],
            "auth_time": START, "amr": id["amr"],
        });
        assert_eq!(id, whole);
        assert!(id["amr"].as_array().unwrap().contains(&json!("otp")));
        assert!(!text(&id, "jti").is_empty() && !text(&id, "sid").is_empty());
        assert_ne!(id["jti"], access["jti"]);
        for claims in [&access, &id] {
            assert!(is_uuid_of_version_8(text(claims, "jti")), "{}", claims["jti"]);
        }
    }
}

#[tokio::test]
async fn an_rfc_9068_access_token_has_its_own_type_and_claims() {
    for (alg, pem, _) in KEYS {
        let host = host_of(rfc_9068(), alg, pem);
        let said = host.log_in(json!({ "scope": "openid profile" })).await;
        let kid = host.server.key_set().iter().next().unwrap().key_id().to_owned();
        let token = text(&said, "access_token");
        assert_eq!(header(token), format!(r#"{{"kid":"{kid}","typ":"at+jwt","alg":"{alg}"}}"#));
        assert_eq!(header(text(&said, "id_token")), format!(r#"{{"kid":"{kid}","typ":"JWT","alg":"{alg}"}}"#));
        let access = claims(&host, token);
        let whole = json!({
            "sub": "MOCK_USER_ID", "aud": API, "nbf": START, "scope": "openid profile", "iss": ISSUER,
            "exp": START + 300, "iat": START, "jti": access["jti"], "sid": access["sid"],
            "client_id": "TENANT_CLIENT_ID", "auth_time": START, "amr": ["otp", "sms"],
        });
        assert_eq!(access, whole);
        assert_eq!(
            host.server.verify_access_token(token, Audience::EveryClient).unwrap().client.as_str(),
            "TENANT_CLIENT_ID"
        );
    }
}

#[tokio::test]
async fn no_id_token_without_openid() {
    let host = Host::new();
    let said = host.log_in(json!({ "scope": "profile" })).await;
    assert!(said.get("id_token").is_none());
    assert_eq!(said["scope"], "profile");
    assert_eq!(claims(&host, text(&said, "access_token"))["scope"], json!(["profile"]));
}

#[tokio::test]
async fn expires_in_counts_down_to_exp() {
    for (millis, expires_in) in [(0, 300), (1, 299), (500, 299), (999, 299), (1000, 300)] {
        let host = Host::new();
        host.advance(Duration::from_millis(millis));
        let said = host.log_in(json!({})).await;
        assert_eq!(said["expires_in"], expires_in, "{millis}");
        let exp = claims(&host, text(&said, "access_token"))["exp"].as_u64().unwrap();
        assert_eq!(exp, START + millis / 1000 + 300);
        let token = text(&said, "access_token").to_owned();
        host.advance(Duration::from_millis(299_999 - millis % 1000));
        assert!(host.server.verify_access_token(&token, Audience::EveryClient).is_ok());
        host.advance(Duration::from_millis(1));
        assert_eq!(host.server.verify_access_token(&token, Audience::EveryClient), Err(AccessTokenError::Expired));
    }
}

#[tokio::test]
async fn the_key_set_is_public_and_cacheable() {
    for (alg, pem, members) in KEYS {
        let reply = host_of(Settings::default(), alg, pem).server.get_jwks();
        assert_eq!(reply.status(), 200);
        assert!(reply.header("Cache-Control").unwrap().starts_with("public, max-age="));
        assert_eq!(reply.header("Content-Type"), Some("application/json;charset=UTF-8"));
        assert_eq!(reply.header("Pragma"), None);
        let set: Value = serde_json::from_slice(reply.body()).unwrap();
        let keys = set["keys"].as_array().unwrap();
        assert_eq!((keys.len(), &keys[0]["alg"], &keys[0]["use"]), (1, &json!(alg), &json!("sig")));
        let mut names: Vec<&str> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, members);
    }
}

#[tokio::test]
async fn an_id_token_is_no_access_token_under_either_profile() {
    for (alg, pem, _) in KEYS {
        for settings in [Settings::default(), rfc_9068()] {
            let host = host_of(settings, alg, pem);
            let said = host.log_in(json!({})).await;
            assert!(host.server.verify_access_token(text(&said, "access_token"), Audience::EveryClient).is_ok());
            let refused = host.server.verify_access_token(text(&said, "id_token"), Audience::EveryClient);
            assert_eq!(refused, Err(AccessTokenError::NotAnAccessToken));
            assert!(host.server.verify_access_token(text(&said, "refresh_token"), Audience::EveryClient).is_err());
        }
    }
}

#[tokio::test]
async fn an_altered_token_is_refused_wherever_it_is_altered() {
    for (alg, pem, _) in KEYS {
        let host = host_of(Settings::default(), alg, pem);
        let said = host.log_in(json!({})).await;
        let token = text(&said, "access_token");
        for at in 0..token.len() {
            for new in ["A", "B", ".", ""] {
                let altered = format!("{}{new}{}", &token[..at], &token[at + 1..]);
                assert!(
                    altered == token || host.server.verify_access_token(&altered, Audience::EveryClient).is_err(),
                    "{at} {new}"
                );
            }
        }
        for altered in [format!("{token}A"), format!("{token}="), format!("{token}."), format!(" {token}")] {
            assert!(host.server.verify_access_token(&altered, Audience::EveryClient).is_err());
        }
    }
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_checked() {
    for (alg, pem, _) in KEYS {
        let host = host_of(Settings::default(), alg, pem);
        let said = host.log_in(json!({})).await;
        let token = text(&said, "access_token");
        let mut parts = token.split('.');
        let (head, payload, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let head: Value = serde_json::from_slice(&BASE64URL.decode(head).unwrap()).unwrap();
        for alg in ["none", "None", "HS256", "RS256", "PS256", "ES256", "EdDSA", "Ed25519"] {
            let head = BASE64URL.encode(but(&head, json!({ "alg": alg })).to_string());
            for signature in ["", signature] {
                let forged = format!("{head}.{payload}.{signature}");
                assert!(
                    forged == token || host.server.verify_access_token(&forged, Audience::EveryClient).is_err(),
                    "{alg}"
                );
            }
        }
    }
}

#[tokio::test]
async fn one_rsa_key_changes_its_algorithm_under_two_identifiers() {
    let key = |alg: &str| {
        let key = SigningKey::from_pem(KEYS[0].1).unwrap().with_algorithm(alg.parse().unwrap()).unwrap();
        key.with_key_id(alg).unwrap()
    };
    let before = Host::with_key(Settings::default(), key("RS256"));
    let old = before.log_in(json!({})).await;
    let keys = SigningKeys::new(key("PS256")).publishing(key("RS256").public_key().clone()).unwrap();
    before.advance(secs(61));
    let host = before.beside(Settings::default(), keys, keyring());
    let new = host.log_in(json!({})).await;
    for (said, alg) in [(&old, "RS256"), (&new, "PS256")] {
        let token = text(said, "access_token");
        assert!(header(token).contains(&format!(r#""kid":"{alg}","typ":"JWT","alg":"{alg}""#)));
        claims(&host, token);
        assert!(host.server.verify_access_token(token, Audience::EveryClient).is_ok());
        // Where only the other algorithm of the same modulus is published, the token is refused.
        let other = key(if alg == "RS256" { "PS256" } else { "RS256" }).with_key_id(alg).unwrap();
        let other = PublicKeySet::new([other.public_key().clone()]).unwrap();
        assert_eq!(jws::verify(token, &other), Err(JwsError::AlgorithmMismatch));
    }
}

#[tokio::test]
async fn a_token_of_another_key_is_refused() {
    let said = host_of(Settings::default(), KEYS[2].0, KEYS[2].1).log_in(json!({})).await;
    assert!(Host::new().server.verify_access_token(text(&said, "access_token"), Audience::EveryClient).is_err());
}

/// The format of RFC 9562 sections 4 and 5.8.
fn is_uuid_of_version_8(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| is_hex(part))
        && parts[2].starts_with('8')
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}
