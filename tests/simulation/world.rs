//! The world of a run: servers on a store that goes step by step, with their own directory, clocks and random bytes.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use otp_grant::entropy::{Entropy, EntropyUnavailable};
use otp_grant::time::Clock;
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::steps::{Polled, Request, SteppedStore};
use otp_grant_tests::{ISSUER, ManualClock};
use proptest::prelude::RngCore;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::facts::{Log, OUTSIDE, What};
use crate::host::{Calls, HostClock, Setup, SteppedDirectory, wait};
use crate::request::{self, Answer, Ask};
use crate::server::Server;
use crate::signer::Remembering;

/// The phones of the simulated users.
pub const KNOWN: &str = "13610000001";
pub const OTHER: &str = "13610000002";
pub const LOCKED: &str = "13610000003";
pub const UNKNOWN: &str = "13610000004";
/// The phone of a user who never enters a wrong code. No guesser attacks it.
pub const CAREFUL: &str = "13610000005";
/// The phone of a test identity, where the host has one.
pub const REVIEWER: &str = "13610000006";
/// Numbers of the same block, which nobody reads.
pub const PUMPED: [&str; 8] = [
    "13610001001",
    "13610001002",
    "13610001003",
    "13610001004",
    "13610001005",
    "13610001006",
    "13610001007",
    "13610001008",
];

pub struct World {
    pub store: Arc<SteppedStore>,
    pub clock: ManualClock,
    pub log: Arc<Log>,
    pub random: Arc<Random>,
    pub calls: Arc<Calls>,
    users: Arc<MemoryDirectory>,
    signer: Arc<Remembering>,
    polled: Arc<AtomicUsize>,
    hosts: Mutex<Vec<Host>>,
    /// The scope of a login. Without `openid`, there is one signature less to wait for.
    scope: &'static str,
    /// Whether every released token is verified.
    verifies: bool,
}

#[derive(Clone)]
struct Host {
    setup: Setup,
    server: Arc<Server>,
}

impl World {
    /// A world of one host.
    pub fn new(seed: u64, scope: &'static str) -> Self {
        Self::of_hosts(seed, scope, &[Setup::default()])
    }

    pub fn of_hosts(seed: u64, scope: &'static str, setups: &[Setup]) -> Self {
        let (clock, polled) = (ManualClock::new(), Arc::new(AtomicUsize::new(OUTSIDE)));
        let log = Arc::new(Log::new(clock.clone(), polled.clone()));
        let watching = log.clone();
        let store = SteppedStore::watched(polled.clone(), move |request, key, effect| {
            watching.note_effect(request, key, effect);
        });
        let (store, random) = (Arc::new(store), Arc::new(Random::new(seed)));
        let calls = Arc::new(Calls::new(clock.clone(), seed));
        let signer = Arc::new(Remembering::new(log.clone(), store.clone(), calls.clone()));
        let users = Arc::new(users());
        let (hosts, verifies) = (Mutex::default(), false);
        let world = Self { store, clock, log, random, calls, users, signer, polled, hosts, scope, verifies };
        for setup in setups {
            let host = world.host(setup.clone());
            world.hosts.lock().unwrap().push(host);
        }
        world
    }

    /// Verifies every released token.
    #[must_use]
    pub fn that_verifies(mut self) -> Self {
        self.verifies = true;
        self
    }

    pub fn now(&self) -> u64 {
        self.clock.now().as_unix_millis()
    }

    pub fn hosts(&self) -> usize {
        self.hosts.lock().unwrap().len()
    }

    pub fn setup(&self, host: usize) -> Setup {
        self.hosts.lock().unwrap()[host].setup.clone()
    }

    /// Builds a host again. Requests that it has begun continue unchanged.
    pub fn set_up(&self, host: usize, setup: Setup) {
        let host_of_setup = self.host(setup);
        self.hosts.lock().unwrap()[host] = host_of_setup;
    }

    /// Restores the users of the beginning.
    pub fn forget_sign_outs(&self) {
        for (subject, status, _) in USERS {
            self.users.put_user(user(subject, status));
        }
    }

    /// Makes a request to one of the hosts. It notes when the request begins and what it gets.
    pub fn request_at<'a>(&'a self, host: usize, ask: &Ask) -> Request<'a, Answer> {
        let (ask, Host { setup, server }) = (ask.clone(), self.hosts.lock().unwrap()[host].clone());
        Box::pin(async move {
            let answer = match &ask {
                Ask::SignOutEverywhere { phone, in_whole_seconds } => {
                    wait().await;
                    self.log.note(What::Began);
                    let now = HostClock { clock: self.clock.clone(), ahead: setup.ahead }.now();
                    self.sign_out_everywhere(phone, if *in_whole_seconds { now.whole_second() } else { now });
                    Answer::Done
                }
                ask => {
                    self.log.note(What::Began);
                    let now = HostClock { clock: self.clock.clone(), ahead: setup.ahead }.now();
                    request::answer(&server, ask, self.scope, now.as_unix_millis()).await
                }
            };
            if self.verifies && !request::verifies(&server, &answer) {
                self.log.note(What::Unverifiable);
            }
            self.log.note(What::Answered(answer.clone()));
            answer
        })
    }

    /// Makes a request to one of the hosts while no other request is in progress.
    pub fn ask_at(&self, host: usize, index: usize, ask: &Ask) -> Answer {
        let mut request = self.request_at(host, ask);
        loop {
            match self.store.poll(index, &mut request) {
                Polled::Answered(answer) => return answer,
                Polled::Waits => {}
                Polled::Dropped => panic!("dropped without a plan"),
            }
        }
    }

    fn sign_out_everywhere(&self, phone: &str, at: Timestamp) {
        let (subject, status, _) = USERS.into_iter().find(|(_, _, of)| *of == phone).unwrap();
        self.users.put_user(User::new(Subject::new(subject).unwrap(), status).with_tokens_valid_after(at));
    }

    fn host(&self, setup: Setup) -> Host {
        self.polled.store(OUTSIDE, SeqCst);
        let Self { store, clock, log, random, calls, users, signer, .. } = self;
        let directory = SteppedDirectory::new(&setup, users.clone(), log.clone(), store.clone(), calls.clone());
        let server = Server::new(setup.key_can_change, signer, store, directory, |key| {
            AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), setup.keyring(), key)
                .settings(setup.settings())
                .clock(HostClock { clock: clock.clone(), ahead: setup.ahead })
                .entropy(random.clone())
                .observer(log.clone())
        });
        Host { setup, server: Arc::new(server) }
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

    /// Begins again with numbers that no seed begins with, so that no earlier identifier is made again.
    pub fn begin_again(&self, plan: u64) {
        let mut bytes = [0xff; 32];
        bytes[..8].copy_from_slice(&plan.to_le_bytes());
        *self.0.lock().unwrap() = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    }

    /// Returns a number below `limit`.
    pub fn below(&self, limit: usize) -> usize {
        let number = self.0.lock().unwrap().next_u64();
        usize::try_from(number % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Returns a number up to `most`.
    pub fn up_to(&self, most: u64) -> u64 {
        self.0.lock().unwrap().next_u64() % (most + 1)
    }

    /// Returns true `percent` times in a hundred.
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

fn users() -> MemoryDirectory {
    USERS.into_iter().fold(MemoryDirectory::new(), |users, (subject, status, phone)| {
        let phone = Address::Phone(AddressPolicy::default().phone_number(phone).unwrap());
        users.with_user(user(subject, status), [phone])
    })
}

fn user(subject: &str, status: UserStatus) -> User {
    let user = User::new(Subject::new(subject).unwrap(), status);
    if subject == REVIEWER_ID { user.as_test_subject() } else { user }
}

const REVIEWER_ID: &str = "REVIEWER_USER_ID";

const USERS: [(&str, UserStatus, &str); 5] = [
    ("KNOWN_USER_ID", UserStatus::Active, KNOWN),
    ("OTHER_USER_ID", UserStatus::Active, OTHER),
    ("LOCKED_USER_ID", UserStatus::Locked, LOCKED),
    ("CAREFUL_USER_ID", UserStatus::Active, CAREFUL),
    (REVIEWER_ID, UserStatus::Active, REVIEWER),
];
