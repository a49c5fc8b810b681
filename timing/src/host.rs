//! The host that is measured: its clock moves only when told, its random bytes are the same in each run, and nothing in
//! it is hashed with a seed.

pub mod keyed;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::id::{RecordKey, Tag};
use otp_grant::otp::{CodePolicy, TestIdentity};
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::store::{Record, Swap};
use otp_grant::time::Clock;
use otp_grant::*;
pub use otp_grant_tests::{CLIENT, CLIENT_SECRET as SECRET, PHONE, SMS_SOURCE as SOURCE};
use otp_grant_tests::{ISSUER, ManualClock, SeededEntropy, keyring, sms_send};
use pollster::block_on;
use ring::digest;
use serde_json::{Value, json};

/// A server of one client, one auth source and at most one user, with all that it keeps.
pub struct Host {
    pub server: AuthorizationServer<Arc<Records>, Names>,
    records: Arc<Records>,
    clock: ManualClock,
}

impl Host {
    /// A host whose directory says this of the user of [`PHONE`], and this of the secret of its client.
    pub fn new(user: Option<UserStatus>, secret: ClientSecret) -> Self {
        let mut settings = Settings::default();
        // The longest codes: the more digits, the more a comparison that stops early would tell.
        settings.code = CodePolicy::new(10, CODE_VALIDITY).unwrap();
        Self::with(user, secret, settings)
    }

    /// A host with one test identity.
    pub fn with_test_identity(phone: &str) -> Self {
        let mut settings = Settings::default();
        let address = Address::Phone(settings.addresses.phone_number(phone).unwrap());
        let (client, end) = (ClientId::new(CLIENT).unwrap(), ManualClock::new().now().after(Duration::from_secs(3600)));
        settings.test_identities.push(TestIdentity::new(address, "123456", [client], end));
        Self::with(Some(UserStatus::Active), ClientSecret::digest(SECRET), settings)
    }

    fn with(user: Option<UserStatus>, secret: ClientSecret, settings: Settings) -> Self {
        let (records, clock) = (Arc::new(Records::default()), ManualClock::new());
        let key = SigningKey::from_pem(SIGNING_KEY).unwrap();
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
            .settings(settings)
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .build(records.clone(), Names::new(user, secret))
            .unwrap();
        Self { server, records, clock }
    }

    /// From now on every request finds the records as they are now.
    pub fn freeze(&self) {
        self.records.are_frozen.store(true, Relaxed);
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Has a code sent, and gives its otp_token and the code.
    pub fn send(&self, body: &str) -> (String, String) {
        let mut code = None;
        let reply = block_on(self.server.handle(json_request(SEND, body), async |delivery: Delivery| {
            code = Some(delivery.message().map_or("000000", |message| message.code().expose_secret()).to_owned());
            delivery.accepted()
        }));
        let reply: Value = serde_json::from_slice(reply.unwrap().body()).unwrap();
        (reply["otp_token"].as_str().unwrap().to_owned(), code.unwrap())
    }

    /// Posts a body to an endpoint. What is to be delivered counts as delivered.
    pub fn post(&self, path: &str, body: &str) -> Reply {
        block_on(self.server.handle(json_request(path, body), async |delivery| delivery.accepted())).unwrap()
    }

    /// Logs the user in, and gives the refresh token.
    pub fn log_in(&self) -> String {
        let (otp_token, code) = self.send(&login_body());
        refresh_token_of(&self.post(TOKEN, &grant_body(&otp_token, &code)))
    }

    /// Redeems a refresh token, and gives its successor.
    pub fn refresh(&self, refresh_token: &str) -> String {
        let body = json!({
            "grant_type": "refresh_token", "client_id": CLIENT, "client_secret": SECRET, "refresh_token": refresh_token,
        });
        refresh_token_of(&self.post(TOKEN, &body.to_string()))
    }
}

/// Where codes are asked for.
pub const SEND: &str = "/otp/send";

/// The token endpoint.
pub const TOKEN: &str = "/oauth2/token";

fn json_request<'a>(path: &'a str, body: &'a str) -> Request<'a> {
    Request::new("POST", path).header("Content-Type", "application/json").body(body)
}

/// The body of a send for a login.
pub fn login_body() -> String {
    sms_send(PHONE).to_string()
}

/// The body of a send for a new password.
pub fn reset_body() -> String {
    let body = json!({
        "client_id": CLIENT, "client_secret": SECRET, "usage": "reset_password", "phone_number": PHONE,
    });
    body.to_string()
}

/// The body of a grant.
pub fn grant_body(otp_token: &str, code: &str) -> String {
    let body = json!({
        "grant_type": SMS_GRANT_TYPE, "client_id": CLIENT, "client_secret": SECRET, "auth_source_id": SOURCE,
        "phone_number": PHONE, "otp_token": otp_token, "otp": code,
    });
    body.to_string()
}

fn refresh_token_of(reply: &Reply) -> String {
    let tokens: Value = serde_json::from_slice(reply.body()).unwrap();
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

/// A code with another digit at this position.
pub fn with_other_digit(code: &str, position: usize, by: u8) -> String {
    let mut digits = code.as_bytes().to_vec();
    digits[position] = b'0' + (digits[position] - b'0' + by) % 10;
    String::from_utf8(digits).unwrap()
}

/// A sealed token with another byte at this position of its MAC, which is its end.
pub fn with_other_mac(token: &str, position: usize, flipped: u8) -> String {
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
    let mac = bytes.len() - DIGEST_LEN;
    bytes[mac + position] ^= flipped;
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What a directory keeps of a secret whose digest differs from that of [`SECRET`] in this byte alone.
pub fn neighbour(position: usize) -> ClientSecret {
    let mut bytes: [u8; DIGEST_LEN] = digest::digest(&digest::SHA256, SECRET.as_bytes()).as_ref().try_into().unwrap();
    bytes[position] ^= 1;
    ClientSecret::from_sha256(bytes)
}

/// Records in memory.
#[derive(Default)]
pub struct Records {
    by_key: Mutex<BTreeMap<RecordKey, Record>>,
    are_frozen: AtomicBool,
}

impl Store for Records {
    type Error = Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Infallible> {
        Ok(self.by_key.lock().unwrap().get(key).cloned())
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Infallible> {
        let mut by_key = self.by_key.lock().unwrap();
        if by_key.get(key).map(|record| record.tag) != expected {
            return Ok(Swap::Conflict);
        }
        if !self.are_frozen.load(Relaxed) {
            by_key.insert(*key, next.clone());
        }
        Ok(Swap::Stored)
    }
}

/// A directory of one client, one auth source, and the user of one phone number.
pub struct Names {
    client: Arc<Client>,
    source: Arc<AuthSource>,
    user: Option<User>,
}

impl Names {
    fn new(user: Option<UserStatus>, secret: ClientSecret) -> Self {
        let source = AuthSourceId::new(SOURCE).unwrap();
        let client = Client::confidential(ClientId::new(CLIENT).unwrap(), secret).with_auth_source(source.clone());
        Self {
            client: Arc::new(client),
            source: Arc::new(AuthSource::new(source, Channel::Sms)),
            user: user.map(|status| User::new(Subject::new("MOCK_USER_ID").unwrap(), status)),
        }
    }
}

impl ClientRegistry for Names {
    type Error = Infallible;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Infallible> {
        Ok(Some(self.client.clone()).filter(|client| client.id() == id))
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Infallible> {
        Ok(Some(self.source.clone()).filter(|source| source.id() == id))
    }
}

impl UserStore for Names {
    type Error = Infallible;

    async fn user_by_address(&self, _: &Address) -> Result<Option<User>, Infallible> {
        Ok(self.user.clone())
    }

    async fn user_by_subject(&self, _: &Subject) -> Result<Option<User>, Infallible> {
        Ok(self.user.clone())
    }

    async fn user_claims(&self, _: &Subject, _: &ClientId, _: &Scope) -> Result<UserClaims, Infallible> {
        Ok(UserClaims::new())
    }

    async fn sign_up(&self, _: &Address) -> Result<SignUp, Infallible> {
        unreachable!("nobody signs up here")
    }
}

/// The key that signs. The same bytes always get the same signature of it.
pub const SIGNING_KEY: &str = include_str!("../../tests/keys/ed25519_pkcs8.pem");
/// How long a code is good for; its otp_token is for longer.
pub const CODE_VALIDITY: Duration = Duration::from_secs(180);
/// Of SHA-256, and so of each MAC.
pub const DIGEST_LEN: usize = 32;
