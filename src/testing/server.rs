//! A server that is ready for a login.

use std::sync::Arc;

use crate::address::{Address, AddressPolicy, Channel};
use crate::directory::{AuthSource, Client, User, UserStatus};
use crate::guard::{GuardMode, SendGuard};
use crate::id::{AuthSourceId, ClientId, Issuer, Subject};
use crate::jwt::algorithm::Algorithm;
use crate::jwt::signing_key::SigningKey;
use crate::memory::{MemoryDirectory, MemoryStore};
use crate::secret::ClientSecret;
use crate::secret::keyring::{Keyring, MasterKey};
use crate::server::AuthorizationServer;
use crate::settings::Settings;
use crate::testing::{ManualClock, Outbox, SeededEntropy};
use crate::time::Timestamp;
use crate::wire::reply::Reply;
use crate::wire::request::Request;

/// Makes a server for tests, with the default settings. [`TestServer`] lists the content of its directory.
///
/// # Panics
/// Panics when the system has no random bytes for a signing key.
pub fn server() -> TestServer {
    server_with(Settings::default())
}

/// Makes a server for tests, with the given settings.
///
/// # Panics
/// Panics when the settings contradict one another, or when the system has no random bytes for a signing key.
#[expect(clippy::expect_used, reason = "the names and addresses are valid")]
pub fn server_with(settings: Settings) -> TestServer {
    assemble(settings, ManualClock::new(), directory().expect("valid names and addresses"))
}

/// Makes a server that starts at this instant, and that also knows a client with keys.
#[expect(clippy::expect_used, reason = "the names and addresses are valid")]
pub(super) fn server_at(now: Timestamp, keyed: Client) -> TestServer {
    let clock = ManualClock::new();
    clock.set(now);
    let send_guard = SendGuard { mode: GuardMode::Observe, ..SendGuard::default() };
    let settings = Settings { client_assertions: true, send_guard, ..Settings::default() };
    assemble(settings, clock, directory().expect("valid names and addresses").with_client(keyed))
}

/// A server with its store, directory, clock and outbox.
///
/// Its issuer is `https://login.example.com`. It signs with a new ES256 key, and knows:
///
/// - the confidential client `client`, whose secret is `secret`
/// - the auth sources `sms` and `email`, which the client may use
/// - the active user `user`, who has the phone number `+12025550123` and the mailbox `user@example.com`
#[derive(Debug)]
#[non_exhaustive]
pub struct TestServer {
    /// The server.
    pub server: AuthorizationServer<Arc<MemoryStore>, Arc<MemoryDirectory>>,
    /// The store of the server, with the same clock.
    pub store: Arc<MemoryStore>,
    /// The clients, auth sources and users of the server.
    pub directory: Arc<MemoryDirectory>,
    /// The clock of the server. It stands still until a test moves it.
    pub clock: ManualClock,
    /// The messages that the server has sent.
    pub outbox: Outbox,
}

impl TestServer {
    /// Answers a `POST` of a JSON body to a path. A code that the server sends goes to the outbox.
    ///
    /// # Panics
    /// Panics when the path is not the path of an endpoint.
    #[expect(clippy::expect_used, reason = "a test that asks for another path is wrong, and has to fail")]
    pub async fn post(&self, path: &str, json: &str) -> Reply {
        let request = Request::new("POST", path).header("Content-Type", b"application/json").body(json.as_bytes());
        let deliver = async |delivery| self.outbox.deliver(delivery);
        self.server.handle(request, deliver).await.expect("a path of an endpoint")
    }
}

#[expect(clippy::expect_used, reason = "only settings of the test's own and a system without random bytes are refused")]
fn assemble(settings: Settings, clock: ManualClock, directory: MemoryDirectory) -> TestServer {
    let directory = Arc::new(directory);
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let issuer = Issuer::new("https://login.example.com").expect("a valid issuer");
    let secret = |byte| MasterKey::from_bytes(&[byte; 32]).expect("a long enough secret");
    let signing_key = SigningKey::generate(Algorithm::ES256).expect("random bytes for a signing key");
    let server = AuthorizationServer::builder(issuer, Keyring::new(&secret(1), &secret(2)), signing_key)
        .settings(settings)
        .clock(clock.clone())
        .entropy(SeededEntropy::default())
        .build(store.clone(), directory.clone())
        .expect("settings that do not contradict one another");
    TestServer { server, store, directory, clock, outbox: Outbox::new() }
}

fn directory() -> Result<MemoryDirectory, Box<dyn core::error::Error>> {
    let (sms, email) = (AuthSourceId::new("sms")?, AuthSourceId::new("email")?);
    let client = Client::confidential(ClientId::new("client")?, ClientSecret::digest("secret"))
        .with_auth_source(sms.clone())
        .with_auth_source(email.clone());
    let policy = AddressPolicy::default();
    let phone = Address::Phone(policy.phone_number("+12025550123")?);
    let mailbox = Address::Email(policy.email("user@example.com")?);
    Ok(MemoryDirectory::new()
        .with_client(client)
        .with_auth_source(AuthSource::new(sms, Channel::Sms))
        .with_auth_source(AuthSource::new(email, Channel::Email))
        .with_user(User::new(Subject::new("user")?, UserStatus::Active), [phone, mailbox]))
}
