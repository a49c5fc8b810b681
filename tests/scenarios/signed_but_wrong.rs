//! Tokens that the server's own key has signed and that say something that the server never says: what RFC 7519, RFC
//! 8725 and RFC 9068 require of the reader of a JWT beyond its signature.

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::id::TokenId;
use otp_grant::jwt::{AccessTokenError, AccessTokenProfile, Audience};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::*;
use otp_grant_tests::*;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

const PEM: &str = include_str!("../keys/ed25519_pkcs8.pem");
const API: &str = "https://api.example.com";

/// A host, the header and the claims of an access token from a login there, and the key that signed the token.
struct Issued {
    host: Host,
    header: Value,
    claims: Value,
    key: Ed25519KeyPair,
}

impl Issued {
    async fn under(settings: Settings) -> Self {
        let host = Host::with_key(settings, SigningKey::from_pem(PEM).unwrap());
        let said = host.log_in(json!({})).await;
        let token = text(&said, "access_token");
        let header = BASE64URL.decode(token.split('.').next().unwrap()).unwrap();
        let base64: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&BASE64_STANDARD.decode(base64).unwrap()).unwrap();
        let issued = Self { host, header: serde_json::from_slice(&header).unwrap(), claims: payload(token), key };
        // Tokens signed here are as good as the server's own: no refusal below is because of the signature.
        assert_eq!(issued.check(&issued.header, &issued.claims).await, Ok(()));
        issued
    }

    async fn under_both() -> [Self; 2] {
        [Self::under(Settings::default()).await, Self::under(rfc_9068()).await]
    }

    fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload));
        format!("{signed}.{}", BASE64URL.encode(self.key.sign(signed.as_bytes())))
    }

    /// The server's result for a token, offline, online and at its userinfo endpoint.
    async fn check_token(&self, token: &str) -> Result<(), AccessTokenError> {
        let offline = self.host.server.verify_access_token(token, Audience::EveryClient);
        let online = self.host.server.call_check_access_token(token, Audience::EveryClient).await;
        assert_eq!(online, offline.clone().map_err(AccessTokenCheckError::Refused));
        assert_eq!(self.host.userinfo(token).await.status(), if offline.is_ok() { 200 } else { 401 });
        offline.map(drop)
    }

    async fn check(&self, header: &Value, claims: &Value) -> Result<(), AccessTokenError> {
        self.check_token(&self.sign(header.to_string(), claims.to_string())).await
    }

    async fn check_payload(&self, payload: impl AsRef<[u8]>) -> Result<(), AccessTokenError> {
        self.check_token(&self.sign(self.header.to_string(), payload)).await
    }
}

fn rfc_9068() -> Settings {
    settings(|s| s.access_token_profile = AccessTokenProfile::Rfc9068 { audience: API.to_owned() })
}

const NOT_ONE: Result<(), AccessTokenError> = Err(AccessTokenError::NotAnAccessToken);

#[tokio::test]
async fn a_claim_given_twice_is_refused() {
    for issued in Issued::under_both().await {
        let claims = issued.claims.to_string();
        for (name, value) in issued.claims.as_object().unwrap() {
            let first = claims.replacen('{', &format!("{{\"{name}\":{value},"), 1);
            assert_eq!(issued.check_payload(first).await, NOT_ONE, "{name}");
        }
        // Also a member that the server does not read, and a name that is written in two ways.
        for twice in [r#"{"x":1,"x":1,"#, r#"{"sub":"SOMEBODY_ELSE","#, r#"{"\u0073ub":"SOMEBODY_ELSE","#] {
            assert_eq!(issued.check_payload(claims.replacen('{', twice, 1)).await, NOT_ONE, "{twice}");
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_is_ignored() {
    for issued in Issued::under_both().await {
        let claims = json!({ "x": [1, { "y": null }], "https://example.com/admin": true, "EXP": 1, "acr": 7 });
        assert_eq!(issued.check(&issued.header, &but(&issued.claims, claims)).await, Ok(()));
        let header = json!({ "x": {}, "cty": "text", "jku": "https://keys.example.com", "ALG": "none" });
        assert_eq!(issued.check(&but(&issued.header, header), &issued.claims).await, Ok(()));
    }
}

#[tokio::test]
async fn every_claim_has_to_be_there_and_of_its_type() {
    for issued in Issued::under_both().await {
        for name in issued.claims.as_object().unwrap().keys() {
            // Tokens of the version before do not say when and how the user logged in.
            let expected = if matches!(&**name, "auth_time" | "amr") { Ok(()) } else { NOT_ONE };
            assert_eq!(
                issued.check(&issued.header, &but(&issued.claims, json!({ name: null }))).await,
                expected,
                "{name}"
            );
            let mut claims = issued.claims.clone();
            for value in [json!(null), json!({}), json!(true), json!(["a", 1])] {
                claims[name] = value.clone();
                assert_eq!(issued.check(&issued.header, &claims).await, NOT_ONE, "{name}: {value}");
            }
        }
    }
}

#[tokio::test]
async fn times_are_numbers() {
    for issued in Issued::under_both().await {
        for name in ["exp", "nbf", "iat"] {
            let at = issued.claims[name].as_u64().unwrap();
            for text in [json!(at.to_string()), json!(-1), json!([at]), json!(""), json!("2027-01-15T08:00:00Z")] {
                assert_eq!(issued.check(&issued.header, &but(&issued.claims, json!({ name: text }))).await, NOT_ONE);
            }
        }
        let over = but(&issued.claims, json!({ "exp": START }));
        assert_eq!(issued.check(&issued.header, &over).await, Err(AccessTokenError::Expired));
        let early = but(&issued.claims, json!({ "nbf": START + 6 }));
        assert_eq!(issued.check(&issued.header, &early).await, Err(AccessTokenError::Expired));
    }
}

#[tokio::test]
async fn claims_are_an_object_in_utf_8() {
    for issued in Issued::under_both().await {
        let claims = issued.claims.to_string();
        let wide = |to_bytes: fn(u16) -> [u8; 2]| claims.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
        let latin_1: Vec<u8> =
            claims.replacen('{', "{\"x\":\"\u{1}\",", 1).bytes().map(|b| if b == 1 { 0xe9 } else { b }).collect();
        for payload in [
            wide(u16::to_be_bytes),
            wide(u16::to_le_bytes),
            latin_1,
            [b"\xef\xbb\xbf", claims.as_bytes()].concat(),
            format!("[{claims}]").into_bytes(),
            format!("{claims}{claims}").into_bytes(),
            claims.replace('"', "'").into_bytes(),
            Vec::new(),
        ] {
            assert_eq!(issued.check_payload(&payload).await, NOT_ONE, "{}", String::from_utf8_lossy(&payload));
        }
    }
}

#[tokio::test]
async fn a_token_inside_a_token_is_refused() {
    for issued in Issued::under_both().await {
        let inner = issued.sign(issued.header.to_string(), issued.claims.to_string());
        let nested = but(&issued.header, json!({ "cty": "JWT" }));
        assert_eq!(issued.check_token(&issued.sign(nested.to_string(), &inner)).await, NOT_ONE);
        assert_eq!(issued.check_token(&issued.sign(nested.to_string(), json!(inner).to_string())).await, NOT_ONE);
    }
}

#[tokio::test]
async fn the_type_is_the_one_of_the_profile_to_the_letter() {
    for (settings, own) in [(Settings::default(), "JWT"), (rfc_9068(), "at+jwt")] {
        let issued = Issued::under(settings).await;
        for typ in ["JWT", "at+jwt", "AT+JWT", "jwt", "application/at+jwt", "logout+jwt", "secevent+jwt", "at+jwt ", ""]
        {
            let checked = issued.check(&but(&issued.header, json!({ "typ": typ })), &issued.claims).await;
            assert_eq!(checked, if typ == own { Ok(()) } else { NOT_ONE }, "{typ:?} where {own} is issued");
        }
        assert_eq!(issued.check(&but(&issued.header, json!({ "typ": null })), &issued.claims).await, NOT_ONE);
    }
}

#[tokio::test]
async fn issuer_and_audience_are_compared_to_the_letter() {
    for issued in Issued::under_both().await {
        for issuer in [format!("{ISSUER}/"), ISSUER.to_uppercase(), ISSUER.replace("https", "http"), String::new()] {
            let claims = but(&issued.claims, json!({ "iss": issuer }));
            assert_eq!(issued.check(&issued.header, &claims).await, Err(AccessTokenError::WrongIssuer), "{issuer}");
        }
    }
    let issued = Issued::under(rfc_9068()).await;
    for audience in [format!("{API}/"), API.to_uppercase(), "TENANT_CLIENT_ID".to_owned(), String::new()] {
        let claims = but(&issued.claims, json!({ "aud": audience }));
        assert_eq!(issued.check(&issued.header, &claims).await, Err(AccessTokenError::WrongAudience), "{audience}");
    }
}

/// A token that is bound in a way that this server does not check must not pass as a token that is not bound.
#[tokio::test]
async fn a_token_that_is_bound_to_anything_is_no_bearer_token() {
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    for issued in Issued::under_both().await {
        let mut claims = issued.claims.clone();
        for cnf in [
            json!({ "x5t#S256": thumbprint }),
            json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "x": thumbprint } }),
            json!({ "jkt": null }),
            json!({ "jkt": 1 }),
            json!({ "jkt": "" }),
            json!({ "jkt": &thumbprint[1..] }),
            json!({ "jkt": [thumbprint] }),
            json!({ "JKT": thumbprint }),
            json!({}),
            json!([{ "jkt": thumbprint }]),
            json!(thumbprint),
            json!(null),
        ] {
            claims["cnf"] = cnf.clone();
            assert_eq!(issued.check(&issued.header, &claims).await, NOT_ONE, "{cnf}");
            let key = Prover::new(1);
            let token = issued.sign(issued.header.to_string(), claims.to_string());
            let proof = key.proof_with(&issued.host, &token, json!({}));
            let (url, authorization) = (format!("{ISSUER}/userinfo"), format!("DPoP {token}"));
            let request = Request::new("GET", "/userinfo").header("Authorization", &authorization);
            let request = request.header("DPoP", &proof);
            let presented = request.access_token(&url).unwrap();
            let checked = issued.host.server.check_access_token(presented, Audience::EveryClient).await;
            assert_eq!(checked, Err(AccessTokenCheckError::RefusedWithProof(AccessTokenError::NotAnAccessToken)));
            assert!(!issued.host.is_active(&token).await, "{cnf}");
        }
        for cnf in [json!({ "jkt": thumbprint }), json!({ "jkt": thumbprint, "x5t#S256": thumbprint })] {
            claims["cnf"] = cnf;
            assert_eq!(issued.check(&issued.header, &claims).await, Err(AccessTokenError::KeyBound));
        }
    }
}

#[tokio::test]
async fn a_subject_that_the_directory_does_not_know_passes_offline_only() {
    for issued in Issued::under_both().await {
        let token = issued.sign(issued.header.to_string(), issued.claims.to_string());
        issued.host.directory.inner.remove_user(&Subject::new("MOCK_USER_ID").unwrap());
        assert!(issued.host.server.verify_access_token(&token, Audience::EveryClient).is_ok());
        let online = issued.host.server.call_check_access_token(&token, Audience::EveryClient).await;
        assert_eq!(online, Err(AccessTokenCheckError::Revoked));
    }
}

#[tokio::test]
async fn a_token_of_the_version_before_is_good_and_can_be_revoked() {
    for issued in Issued::under_both().await {
        // The version before named its tokens in base64url.
        let bytes = TokenId::try_from(text(&issued.claims, "jti").to_owned()).unwrap();
        let earlier = but(&issued.claims, json!({ "jti": BASE64URL.encode(bytes.as_bytes()) }));
        let mut other = *bytes.as_bytes();
        other[6] = 0;
        let other = but(&issued.claims, json!({ "jti": BASE64URL.encode(other) }));
        for claims in [&earlier, &other] {
            assert_eq!(issued.check(&issued.header, claims).await, Ok(()));
        }
        let token = issued.sign(issued.header.to_string(), other.to_string());
        let said = read(&issued.host.introspect(&token, &[]).await).1;
        assert_eq!((&said["active"], &said["jti"]), (&json!(true), &other["jti"]));
        assert_eq!(issued.host.revoke(&token, &[]).await.status(), 200);
        assert!(!issued.host.is_active(&token).await);
        // Under either name the token is the same.
        assert!(issued.host.is_active(&issued.sign(issued.header.to_string(), earlier.to_string())).await);
        let token = issued.sign(issued.header.to_string(), earlier.to_string());
        assert_eq!(issued.host.revoke(&token, &[]).await.status(), 200);
        let token = issued.sign(issued.header.to_string(), issued.claims.to_string());
        assert!(!issued.host.is_active(&token).await);
    }
}
