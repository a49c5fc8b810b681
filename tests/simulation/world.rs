//! The world of a run: a server on a store that goes step by step, with a directory, a clock and random bytes of its own.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use otp_grant::*;
use proptest::prelude::RngCore;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::facts::{Log, What};
use crate::request::{self, Answer, Ask, CLIENT, PUBLIC_CLIENT, SECRET, SOURCE};
use crate::signer::signing_key;
use crate::support::steps::{Polled, SteppedStore};
use crate::support::{Broken, ISSUER, ManualClock, keyring, secs};

/// The phones of the simulated users.
pub const KNOWN: &str = "13610000001";
pub const OTHER: &str = "13610000002";
pub const LOCKED: &str = "13610000003";
pub const UNKNOWN: &str = "13610000004";

/// How long a code is valid, in seconds.
pub const CODE_VALIDITY: u64 = 120;

pub struct World {
    pub server: AuthorizationServer<Arc<SteppedStore>, SteppedDirectory>,
    pub store: Arc<SteppedStore>,
    pub clock: ManualClock,
    pub log: Arc<Log>,
    pub random: Arc<Random>,
    /// What a login asks for. Without `openid` there is one signature less to wait for.
    scope: &'static str,
}

impl World {
    pub fn new(seed: u64, scope: &'static str) -> Self {
        let (clock, polled) = (ManualClock::new(), Arc::<AtomicUsize>::default());
        let log = Arc::new(Log::new(clock.clone(), polled.clone()));
        let watching = log.clone();
        let store = SteppedStore::watched(polled, move |request, key, effect| {
            watching.note_effect(request, key, effect);
        });
        let store = Arc::new(store);
        let random = Arc::new(Random::new(seed));
        // Codes for signing up are valid for as long as those for logging in.
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key())
            .settings(Settings::default().code(code_policy()))
            .clock(clock.clone())
            .entropy(random.clone())
            .observer(log.clone())
            .build(store.clone(), SteppedDirectory { inner: directory(), log: log.clone(), store: store.clone() })
            .unwrap();
        Self { server, store, clock, log, random, scope }
    }

    pub fn now(&self) -> u64 {
        self.clock.now().as_unix_millis()
    }

    /// A request that notes when it begins and what it gets.
    pub fn request<'a>(&'a self, ask: &Ask) -> crate::support::steps::Request<'a, Answer> {
        let ask = ask.clone();
        Box::pin(async move {
            self.log.note(What::Began);
            let answer = request::answer(&self.server, &ask, self.scope).await;
            self.log.note(What::Answered(answer.clone()));
            answer
        })
    }

    /// Asks while nobody else does.
    pub fn ask(&self, index: usize, ask: &Ask) -> Answer {
        let mut request = self.request(ask);
        loop {
            match self.store.poll(index, &mut request) {
                Polled::Answered(answer) => return answer,
                Polled::Waits => {}
                Polled::Dropped => panic!("dropped without a plan"),
            }
        }
    }
}

/// A directory that notes what it is asked, and doesn't answer where that is planned.
pub struct SteppedDirectory {
    inner: MemoryDirectory,
    log: Arc<Log>,
    store: Arc<SteppedStore>,
}

impl SteppedDirectory {
    fn asked(&self, name: &'static str) -> Result<&MemoryDirectory, Broken> {
        self.log.note(What::Asked(name));
        if self.store.directory_answers() { Ok(&self.inner) } else { Err(Broken) }
    }
}

impl Directory for SteppedDirectory {
    type Error = Broken;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Broken> {
        self.asked("client")?.client(id).await.map_err(|_| Broken)
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Broken> {
        self.asked("auth_source")?.auth_source(id).await.map_err(|_| Broken)
    }

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Broken> {
        self.asked("user_by_address")?.user_by_address(address).await.map_err(|_| Broken)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Broken> {
        self.asked("user_by_subject")?.user_by_subject(subject).await.map_err(|_| Broken)
    }

    async fn user_claims(&self, subject: &Subject, client: &ClientId, scope: &Scope) -> Result<UserClaims, Broken> {
        self.asked("user_claims")?.user_claims(subject, client, scope).await.map_err(|_| Broken)
    }

    async fn sign_up(&self, address: &Address) -> Result<Option<User>, Broken> {
        self.asked("sign_up")?.sign_up(address).await.map_err(|_| Broken)
    }
}

/// Random numbers that follow from a seed.
pub struct Random(Mutex<TestRng>);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(Mutex::new(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)))
    }

    /// Begins again, at other numbers than any seed begins with, so that no identifier of what was made before comes again.
    pub fn begin_again(&self, plan: u64) {
        let mut bytes = [0xff; 32];
        bytes[..8].copy_from_slice(&plan.to_le_bytes());
        *self.0.lock().unwrap() = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    }

    /// A number below `limit`.
    pub fn below(&self, limit: usize) -> usize {
        let number = self.0.lock().unwrap().next_u64();
        usize::try_from(number % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Whether something happens that does so `percent` times in a hundred.
    pub fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.0.lock().unwrap().fill_bytes(buffer);
        Ok(())
    }
}

fn directory() -> MemoryDirectory {
    let source = AuthSourceId::new(SOURCE).unwrap();
    let scope = Scope::parse("openid profile").unwrap();
    let client =
        |client: Client| client.with_auth_source(source.clone()).with_scopes(scope.clone(), Scope::openid()).unwrap();
    let phone = |text| Address::Phone(AddressPolicy::default().phone_number(text).unwrap());
    let user = |subject, status| User::new(Subject::new(subject).unwrap(), status);
    let id = |id| ClientId::new(id).unwrap();
    MemoryDirectory::new()
        .with_client(client(Client::confidential(id(CLIENT), ClientSecret::digest(SECRET))))
        .with_client(client(Client::public(id(PUBLIC_CLIENT)).that_may_send()))
        .with_auth_source(AuthSource::new(source.clone(), Channel::Sms).with_code(code_policy()))
        .with_user(user("KNOWN_USER_ID", UserStatus::Active), [phone(KNOWN)])
        .with_user(user("OTHER_USER_ID", UserStatus::Active), [phone(OTHER)])
        .with_user(user("LOCKED_USER_ID", UserStatus::Locked), [phone(LOCKED)])
}

fn code_policy() -> CodePolicy {
    CodePolicy::new(6, secs(CODE_VALIDITY)).unwrap()
}
