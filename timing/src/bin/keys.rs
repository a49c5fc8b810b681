//! Serves one request of a client that has a key, for callgrind to count its instructions: `keys ath 0`. `timing/run`
//! compares the counts.
//!
//! The key is an RSA key, because the work of its verification does not depend on what was signed. That of the other
//! algorithms does. This tells nothing, since the caller knows both the key and the signature.

use std::convert::Infallible;
use std::env::args;
use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::jwt::{PublicKey, PublicKeySet};
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::*;
use otp_grant_tests::{ISSUER, ManualClock, START, SeededEntropy, but, keyring, text};
use otp_grant_timing::{CLIENT, PHONE, Records, SEND, SIGNING_KEY, SOURCE, TOKEN};
use pollster::block_on;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

fn main() {
    let [kind, case] = [1, 2].map(|argument| args().nth(argument).unwrap_or_default());
    let position = || case.parse().expect("a position");
    let holder = Holder::new();
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
            let nonce = with_other_byte(without.header("DPoP-Nonce").unwrap(), position());
            let proof = holder.proof(&json!({ "nonce": nonce }));
            ask(&server, refresh().header("DPoP", &proof).body(REFRESH))
        }
        // A userinfo request whose proof has an `ath` that is wrong in one byte.
        "ath" => {
            let server = proving(DpopPolicy::Required);
            let token = log_in(&server, &holder);
            let hash = BASE64URL.encode(digest(&SHA256, token.as_bytes()));
            let ath = with_other_byte(&hash, position());
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

/// Makes a request. Returns the code with the reply, where one was sent.
fn post(server: &Server, request: Request<'_>) -> (Reply, Option<String>) {
    let mut code = None;
    let reply = block_on(server.handle(request, async |delivery: Delivery| {
        code = Some(delivery.code().expose_secret().to_owned());
        delivery.accepted()
    }));
    (reply.unwrap(), code)
}

fn refresh<'a>() -> Request<'a> {
    json_to(TOKEN)
}

fn json_to(path: &str) -> Request<'_> {
    Request::new("POST", path).header("Content-Type", "application/json")
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

/// A server whose client is public, and must prove a key.
fn proving(policy: DpopPolicy) -> Server {
    server(Client::public(ClientId::new(CLIENT).unwrap()).with_sending().with_dpop(policy))
}

fn server(client: Client) -> Server {
    let source = AuthSourceId::new(SOURCE).unwrap();
    let directory = Directory {
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

type Server = AuthorizationServer<Arc<Records>, Directory>;

/// The holder of the key of the client.
struct Holder(RsaKeyPair);

impl Holder {
    fn new() -> Self {
        let key = PrivatePkcs8KeyDer::from_pem_slice(CLIENT_KEY.as_bytes()).unwrap();
        Self(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap())
    }

    /// Makes a proof for the token endpoint, with some claims replaced.
    fn proof(&self, changes: &Value) -> String {
        let jwk: Value = serde_json::from_str(&public_key().to_jwk()).unwrap();
        let claims = json!({ "jti": "1", "htm": "POST", "htu": format!("{ISSUER}{TOKEN}"), "iat": START });
        self.sign(&json!({ "typ": "dpop+jwt", "alg": "RS256", "jwk": jwk }), &but(&claims, changes.clone()))
    }

    fn assertion(&self) -> String {
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

fn public_key() -> PublicKey {
    SigningKey::from_pem(CLIENT_KEY).unwrap().public_key().clone()
}

/// A JWS with another byte at this position of its signature.
fn with_other_signature(jws: &str, position: usize) -> String {
    let (signed, signature) = jws.rsplit_once('.').unwrap();
    format!("{signed}.{}", with_other_byte(signature, position))
}

/// A text of base64url with another byte at this position.
fn with_other_byte(encoded: &str, position: usize) -> String {
    let mut bytes = BASE64URL.decode(encoded).unwrap();
    bytes[position] ^= 1;
    BASE64URL.encode(bytes)
}

/// A directory of one client, one auth source and one user.
struct Directory {
    client: Arc<Client>,
    source: Arc<AuthSource>,
    user: User,
}

impl ClientRegistry for Directory {
    type Error = Infallible;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Infallible> {
        Ok(Some(self.client.clone()).filter(|client| client.id() == id))
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Infallible> {
        Ok(Some(self.source.clone()).filter(|source| source.id() == id))
    }
}

impl UserStore for Directory {
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

const CLIENT_KEY: &str = include_str!("../../../tests/keys/rsa2048_pkcs8.pem");
/// A refresh with a token that no server has made.
const REFRESH: &str = r#"{"grant_type":"refresh_token","client_id":"TENANT_CLIENT_ID","refresh_token":"A"}"#;
