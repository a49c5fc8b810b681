//! The hosts of a world: servers on one store, each with its own clock, settings and secrets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::guard::GuardMode;
use otp_grant::jwt::{AccessTokenProfile, PublicKey, PublicKeySet};
use otp_grant::otp::{CodePolicy, TestIdentity};
use otp_grant::session::RefreshPolicy;
use otp_grant::time::{Clock, Timestamp};
use otp_grant::*;
use otp_grant_tests::steps::{Part, SteppedStore};
use otp_grant_tests::{
    Broken, CLIENT, CLIENT_SECRET, DPOP_CLIENT, ManualClock, PUBLIC_CLIENT, Prover, SMS_SOURCE, secs, session_validity,
    settings,
};

use crate::facts::{Log, What};
use crate::proof::{HOLDER, KEYED_CLIENT};
use crate::request::FIXED_CODE;
use crate::world::{REVIEWER, Random};

/// The settings of a host at its start. Hosts of one world differ in them.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How far the clock of the host is ahead, in milliseconds.
    pub ahead: i64,
    /// The numbers of the sealing secret and of the other accepted secrets.
    pub sealing: u8,
    pub accepted: Vec<u8>,
    pub code_length: u8,
    /// In seconds.
    pub code_validity: u64,
    pub retry_window: u64,
    pub idle: u64,
    pub absolute: u64,
    pub is_rfc9068: bool,
    /// Whether the key of the signer can change behind it.
    pub key_can_change: bool,
    /// Whether the send guard is enforced.
    pub guards: bool,
    /// When the test identity ends, in seconds. Without an end, the host has none.
    pub review_ends: Option<u64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            ahead: 0,
            sealing: 2,
            accepted: Vec::new(),
            code_length: 6,
            code_validity: CODE_VALIDITY,
            retry_window: 10,
            idle: 14 * 86_400,
            absolute: 30 * 86_400,
            is_rfc9068: false,
            key_can_change: false,
            guards: false,
            review_ends: None,
        }
    }
}

impl Setup {
    pub fn keyring(&self) -> Keyring {
        let secret = |number: u8| MasterKey::from_bytes(&[number; 32]).unwrap();
        let keyring = Keyring::new(&secret(1), &secret(self.sealing));
        self.accepted.iter().fold(keyring, |keyring, number| keyring.accepting(&secret(*number)))
    }

    pub fn settings(&self) -> Settings {
        let validity = session_validity(secs(self.idle), secs(self.absolute));
        // Codes for a sign-up are valid for as long as codes for a login.
        settings(|s| {
            s.code = self.code();
            s.dpop = DpopSupport::Strict;
            s.client_assertions = true;
            s.session_validity = validity;
            if self.guards {
                s.send_guard.mode = GuardMode::Enforce;
            }
            s.test_identities.extend(self.review_ends.map(|end| {
                let phone = Address::Phone(s.addresses.phone_number(REVIEWER).unwrap());
                let client = ClientId::new(CLIENT).unwrap();
                TestIdentity::new(phone, FIXED_CODE, [client], Timestamp::from_unix_secs(end))
            }));
            if self.is_rfc9068 {
                let audience = "https://api.example.com".to_owned();
                s.access_token_profile = AccessTokenProfile::Rfc9068 { audience };
            }
        })
    }

    /// The clients and auth sources of the host.
    fn registry(&self) -> MemoryDirectory {
        let source = AuthSourceId::new(SMS_SOURCE).unwrap();
        let scope = Scope::parse("openid profile").unwrap();
        let client = |client: Client| {
            let policy = RefreshPolicy::Rotate { retry_window: secs(self.retry_window) };
            let client = client.with_auth_source(source.clone()).with_refresh_policy(policy).unwrap();
            client.with_scopes(scope.clone(), Scope::openid()).unwrap()
        };
        let id = |id| ClientId::new(id).unwrap();
        let keys = PublicKey::from_jwk(Prover::new(HOLDER).jwk().to_string().as_bytes()).unwrap();
        let keys = PublicKeySet::new([keys]).unwrap();
        MemoryDirectory::new()
            .with_client(client(Client::confidential(id(CLIENT), ClientSecret::digest(CLIENT_SECRET))))
            .with_client(client(Client::public(id(PUBLIC_CLIENT)).with_sending()))
            .with_client(client(Client::public(id(DPOP_CLIENT)).with_sending()).with_dpop(DpopPolicy::Required))
            .with_client(client(Client::private_key_jwt(id(KEYED_CLIENT), keys).unwrap()))
            .with_auth_source(AuthSource::new(source.clone(), Channel::Sms).with_code(self.code()))
    }

    fn code(&self) -> CodePolicy {
        CodePolicy::new(self.code_length, secs(self.code_validity)).unwrap()
    }
}

/// The clock of one host.
#[derive(Clone)]
pub struct HostClock {
    pub clock: ManualClock,
    pub ahead: i64,
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.clock.now().as_unix_millis().saturating_add_signed(self.ahead))
    }
}

/// How long calls of the directory and the signer take, and which key signs.
pub struct Calls {
    clock: ManualClock,
    random: Random,
    /// The longest time that a call takes, in milliseconds.
    longest: AtomicU64,
    /// Whether other requests have their turn during a call.
    waits: AtomicBool,
    /// The single slow call: the request, the number of the call among those of directory and signer, and its time in
    /// milliseconds.
    slow: Mutex<Option<(usize, usize, u64)>>,
    /// The number of the first signature by another key than the published one.
    moved_at: Mutex<Option<usize>>,
}

impl Calls {
    pub fn new(clock: ManualClock, seed: u64) -> Self {
        let random = Random::new(seed.wrapping_add(1 << 40));
        let (longest, waits, slow, moved_at) = Default::default();
        Self { clock, random, longest, waits, slow, moved_at }
    }

    /// Lets calls take up to this many milliseconds. Other requests have their turn during a call.
    pub fn take_time(&self, longest: u64) {
        self.longest.store(longest, SeqCst);
        self.waits.store(true, SeqCst);
    }

    pub fn slow_down(&self, slow: Option<(usize, usize, u64)>) {
        *self.slow.lock().unwrap() = slow;
    }

    /// Makes another key sign after this many signatures.
    pub fn move_the_key(&self, after: Option<usize>) {
        *self.moved_at.lock().unwrap() = after;
    }

    /// Tells whether the published key is the key that signs now.
    pub fn key_is_in_place(&self) -> bool {
        match &mut *self.moved_at.lock().unwrap() {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Carries out a call of this request, which has this number among the calls of the request.
    pub async fn happens(&self, request: usize, call: usize) {
        let longest = self.longest.load(SeqCst);
        if longest > 0 {
            self.clock.advance(Duration::from_millis(self.random.up_to(longest)));
        }
        let slow = *self.slow.lock().unwrap();
        if let Some((_, _, millis)) = slow.filter(|(of, number, _)| (*of, *number) == (request, call)) {
            self.clock.advance(Duration::from_millis(millis));
        }
        if self.waits.load(SeqCst) {
            wait().await;
        }
    }
}

/// Lets other requests have their turn.
pub async fn wait() {
    let mut has_waited = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut has_waited, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The directory of a host. It notes each question, and fails where this is planned.
pub struct SteppedDirectory {
    registry: MemoryDirectory,
    users: Arc<MemoryDirectory>,
    log: Arc<Log>,
    store: Arc<SteppedStore>,
    calls: Arc<Calls>,
}

impl SteppedDirectory {
    pub fn new(
        setup: &Setup,
        users: Arc<MemoryDirectory>,
        log: Arc<Log>,
        store: Arc<SteppedStore>,
        calls: Arc<Calls>,
    ) -> Self {
        Self { registry: setup.registry(), users, log, store, calls }
    }

    async fn asked(&self, part: Part, name: &'static str) -> Result<(), Broken> {
        self.log.note(What::Asked(name));
        let (call, is_answered) = self.store.called(part);
        self.calls.happens(self.log.polled(), call).await;
        if is_answered { Ok(()) } else { Err(Broken) }
    }
}

impl ClientRegistry for SteppedDirectory {
    type Error = Broken;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Broken> {
        self.asked(Part::Directory, "client").await?;
        self.registry.client(id).await.map_err(|_| Broken)
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Broken> {
        self.asked(Part::Directory, "auth_source").await?;
        self.registry.auth_source(id).await.map_err(|_| Broken)
    }
}

impl UserStore for SteppedDirectory {
    type Error = Broken;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Broken> {
        self.asked(Part::Users, "user_by_address").await?;
        self.users.user_by_address(address).await.map_err(|_| Broken)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Broken> {
        self.asked(Part::Users, "user_by_subject").await?;
        self.users.user_by_subject(subject).await.map_err(|_| Broken)
    }

    async fn user_claims(&self, subject: &Subject, client: &ClientId, scope: &Scope) -> Result<UserClaims, Broken> {
        self.asked(Part::Users, "user_claims").await?;
        self.users.user_claims(subject, client, scope).await.map_err(|_| Broken)
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, Broken> {
        self.asked(Part::Users, "sign_up").await?;
        self.users.sign_up(address).await.map_err(|_| Broken)
    }
}

/// How long a code is valid by default, in seconds.
pub const CODE_VALIDITY: u64 = 120;
