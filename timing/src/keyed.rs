//! A server whose client has a key, and the holder of this key.
//!
//! The key is an RSA key, because the work of its verification does not depend on what was signed. That of the other
//! algorithms does. This tells nothing, since the caller knows both the key and the signature.

use std::convert::Infallible;
use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::jwt::PublicKey;
use otp_grant::*;
use otp_grant_tests::{ISSUER, ManualClock, START, SeededEntropy, but, keyring};
use pollster::block_on;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::{CLIENT, Records, SIGNING_KEY, SOURCE, TOKEN};

/// A server whose client is public, and must prove a key.
pub fn proving(policy: DpopPolicy) -> Server {
    server(Client::public(ClientId::new(CLIENT).unwrap()).with_sending().with_dpop(policy))
}

/// A server of this client.
pub fn server(client: Client) -> Server {
    let source = AuthSourceId::new(SOURCE).unwrap();
    let directory = OneClient {
        client: Arc::new(client.with_auth_source(source.clone())),
        source: Arc::new(AuthSource::new(source, Channel::Sms)),
        user: User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active),
    };
    let mut settings = Settings::default();
    settings.dpop = DpopSupport::On;
    settings.client_assertions = true;
    let key = SigningKey::from_pem(SIGNING_KEY).unwrap();
    AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .settings(settings)
        .clock(ManualClock::new())
        .entropy(SeededEntropy::default())
        .build(Arc::default(), directory)
        .unwrap()
}

/// The server of the client.
pub type Server = AuthorizationServer<Arc<Records>, OneClient>;

/// The holder of the key of the client.
pub struct Holder(RsaKeyPair);

impl Holder {
    pub fn of_the_client() -> Self {
        let key = PrivatePkcs8KeyDer::from_pem_slice(CLIENT_KEY.as_bytes()).unwrap();
        Self(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap())
    }

    /// Makes a proof for the token endpoint, with some claims replaced.
    pub fn proof(&self, changes: &Value) -> String {
        let jwk: Value = serde_json::from_str(&public_key().to_jwk()).unwrap();
        let claims = json!({ "jti": "1", "htm": "POST", "htu": format!("{ISSUER}{TOKEN}"), "iat": START });
        self.sign(&json!({ "typ": "dpop+jwt", "alg": "RS256", "jwk": jwk }), &but(&claims, changes.clone()))
    }

    /// Makes an assertion of the client.
    pub fn assertion(&self) -> String {
        let claims = json!({ "iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": START + 60, "jti": "1" });
        self.sign(&json!({ "alg": "RS256" }), &claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = [header, claims].map(|part| BASE64URL.encode(part.to_string())).join(".");
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

/// Makes a request. Returns the code with the reply, where one was sent.
pub fn post(server: &Server, request: Request<'_>) -> (Reply, Option<String>) {
    let mut code = None;
    let reply = block_on(server.handle(request, async |delivery: Delivery| {
        code = Some(delivery.message().unwrap().code().expose_secret().to_owned());
        delivery.accepted()
    }));
    (reply.unwrap(), code)
}

/// A request with a body of JSON.
pub fn json_to(path: &str) -> Request<'_> {
    Request::new("POST", path).header("Content-Type", "application/json")
}

/// The public key of the client.
pub fn public_key() -> PublicKey {
    SigningKey::from_pem(CLIENT_KEY).unwrap().public_key().clone()
}

/// A text of base64url with another byte at this position.
pub fn with_other_byte(encoded: &str, position: usize, change: u8) -> String {
    let mut bytes = BASE64URL.decode(encoded).unwrap();
    bytes[position] ^= change;
    BASE64URL.encode(bytes)
}

/// A directory of one client, one auth source and one user.
pub struct OneClient {
    client: Arc<Client>,
    source: Arc<AuthSource>,
    user: User,
}

impl ClientRegistry for OneClient {
    type Error = Infallible;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Infallible> {
        Ok(Some(self.client.clone()).filter(|client| client.id() == id))
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Infallible> {
        Ok(Some(self.source.clone()).filter(|source| source.id() == id))
    }
}

impl UserStore for OneClient {
    type Error = Infallible;

    async fn user_by_address(&self, _: &Address) -> Result<Option<User>, Infallible> {
        Ok(Some(self.user.clone()))
    }

    async fn user_by_subject(&self, _: &Subject) -> Result<Option<User>, Infallible> {
        Ok(Some(self.user.clone()))
    }

    async fn user_claims(&self, _: &Subject, _: &ClientId, _: &Scope) -> Result<UserClaims, Infallible> {
        Ok(UserClaims::new())
    }

    async fn sign_up(&self, _: &Address) -> Result<SignUp, Infallible> {
        unreachable!("the user exists")
    }
}

const CLIENT_KEY: &str = include_str!("../../tests/keys/rsa2048_pkcs8.pem");
/// A refresh with a token that no server has made.
pub const REFRESH: &str = r#"{"grant_type":"refresh_token","client_id":"TENANT_CLIENT_ID","refresh_token":"A"}"#;
