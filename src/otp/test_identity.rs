//! Test identities: addresses with a fixed code, for the review of an app and for tests of a whole service.

use core::time::Duration;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::address::Address;
use crate::id::ClientId;
use crate::secret::PresentedSecret;
use crate::secret::keyring::Keyring;
use crate::time::Timestamp;

/// An address whose user logs in with a fixed code. No message is sent to it.
///
/// A reviewer of an app store has no telephone that receives codes, and neither has a test of the whole service. A test
/// identity lets exactly one address log in at exactly these clients until its end, which is at most 90 days away.
///
/// - The directory must have a user with the address, and must flag the user as a
///   [test subject](crate::User::is_test). No other user logs in with a fixed code, and nobody is signed up.
/// - The session ends when the test identity does.
/// - Every access token and ID token of the session says `"amr": ["test"]`, in every profile. An API can refuse it.
/// - Every limit on guesses and sends holds. The replies, the calls of the store and the timing are those of any other
///   address. There is one exception: its messages are not sent and so not counted by the
///   [send guard](crate::guard), and after some sends another address could be asked for a challenge.
/// - The code has the length and the characters of the codes of the auth sources that it is used with. Another text
///   can't be a code, and is never right.
///
/// At another client, for another usage and after its end, the address is like any other: a code of its own is sent to
/// it. A test subject logs in with no such code.
///
/// ```
/// use core::time::Duration;
/// use otp_grant::otp::TestIdentity;
/// use otp_grant::time::{Clock, SystemClock};
/// use otp_grant::{Address, ClientId, Settings};
///
/// let mut settings = Settings::default();
/// let address = Address::Phone(settings.addresses.phone_number("+8613600000001")?);
/// let end = SystemClock.now().after(Duration::from_secs(30 * 24 * 60 * 60));
/// settings.test_identities.push(TestIdentity::new(address, "246810", [ClientId::new("app")?], end));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TestIdentity {
    address: Address,
    code: Zeroizing<String>,
    clients: Vec<ClientId>,
    ends_at: Timestamp,
}

impl TestIdentity {
    /// Lets an address log in with a fixed code at some clients until an instant, in whole seconds.
    ///
    /// [`ServerBuilder::build`](crate::server::ServerBuilder::build) refuses a code that is shorter than
    /// [`Settings::code`](crate::Settings::code) says, an end that is more than 90 days away, and a test identity
    /// without a client. A test identity whose end has passed means nothing.
    pub fn new(address: Address, code: &str, clients: impl IntoIterator<Item = ClientId>, ends_at: Timestamp) -> Self {
        let clients = clients.into_iter().collect();
        Self { address, code: Zeroizing::new(code.to_owned()), clients, ends_at: ends_at.whole_second() }
    }

    /// Tells whether a server accepts it, whose codes have this length.
    pub(crate) fn is_sound(&self, code_length: u8, now: Timestamp) -> bool {
        let is_code = self.code.bytes().all(|byte| byte.is_ascii_graphic()) && self.code.len() >= code_length.into();
        is_code && !self.clients.is_empty() && now.until(self.ends_at) <= LONGEST
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

/// Shows neither the address nor the code.
impl core::fmt::Debug for TestIdentity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TestIdentity")
            .field("clients", &self.clients)
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

/// The test identities of a server. Addresses and codes are kept as keyed digests. The code that a host has put into
/// its own settings is the host's to forget.
pub(crate) struct TestIdentities(Vec<KeptIdentity>);

impl TestIdentities {
    pub(crate) fn new(identities: &[TestIdentity], keyring: &Keyring) -> Self {
        let kept = |identity: &TestIdentity| {
            let TestIdentity { address, code, clients, ends_at } = identity;
            let address = keyring.test_address(address);
            let code = keyring.test_code(&address, code);
            KeptIdentity { address, code, clients: clients.clone(), ends_at: *ends_at }
        };
        Self(identities.iter().map(kept).collect())
    }

    /// Looks an address up. Every address takes the same time. Returns `None` only where the server has no test
    /// identity.
    pub(crate) fn look_up(
        &self,
        keyring: &Keyring,
        client: &ClientId,
        address: &Address,
        now: Timestamp,
    ) -> Option<TestIdentityMatch> {
        if self.0.is_empty() {
            return None;
        }
        let address = keyring.test_address(address);
        let mut found = TestIdentityMatch { address, code: [0; DIGEST], ends_at: 0, is_test: Choice::from(0) };
        for identity in &self.0 {
            let may = identity.clients.contains(client) && !now.has_reached(identity.ends_at);
            let is_it = identity.address.ct_eq(&address) & Choice::from(u8::from(may));
            for (kept, byte) in found.code.iter_mut().zip(&identity.code) {
                kept.conditional_assign(byte, is_it);
            }
            found.ends_at.conditional_assign(&identity.ends_at.as_unix_millis(), is_it);
            found.is_test |= is_it;
        }
        Some(found)
    }
}

struct KeptIdentity {
    address: [u8; DIGEST],
    code: [u8; DIGEST],
    clients: Vec<ClientId>,
    ends_at: Timestamp,
}

/// What was found of an address.
pub(crate) struct TestIdentityMatch {
    address: [u8; DIGEST],
    code: [u8; DIGEST],
    ends_at: u64,
    is_test: Choice,
}

impl TestIdentityMatch {
    /// Returns when the test identity ends, if the address is one.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        bool::from(self.is_test).then(|| Timestamp::from_unix_millis(self.ends_at))
    }

    /// Compares a text with the fixed code in constant time.
    pub(crate) fn compare(&self, keyring: &Keyring, presented: &PresentedSecret<'_>) -> FixedCode {
        let is_right = keyring.test_code(&self.address, presented.expose_secret()).ct_eq(&self.code);
        FixedCode { is_test: self.is_test, is_right }
    }
}

/// Whether the fixed code takes the place of the code that was sent, and whether the presented text is it.
#[derive(Clone, Copy)]
pub(crate) struct FixedCode {
    is_test: Choice,
    is_right: Choice,
}

impl FixedCode {
    /// Returns whether the text is right, where `sent` says whether it is the code that was sent.
    pub(crate) fn instead_of(self, sent: Choice) -> Choice {
        Choice::conditional_select(&sent, &self.is_right, self.is_test)
    }
}

const DIGEST: usize = 32;

const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);
