//! The settings of an authorization server, and their defaults.

pub(crate) mod endpoints;

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;
use std::collections::BTreeSet;

use crate::address::{AddressPolicy, Channel};
use crate::dpop::DpopSupport;
use crate::grant::CustomUsage;
use crate::guard::SendGuard;
use crate::jwt::claims::{AccessTokenProfile, TokenValidity};
use crate::otp::device::DevicePolicy;
use crate::otp::limits::Limits;
use crate::otp::meter::Quota;
use crate::otp::policy::CodePolicy;
use crate::otp::test_identity::TestIdentity;
use crate::scope::Scope;
use crate::session::SessionValidity;
pub use crate::settings::endpoints::Endpoints;
use crate::time::Timestamp;
use crate::wire::request::RequestRules;
use crate::wire::request::token::REFRESH_GRANT_TYPE;

/// The settings of an authorization server. All settings have defaults, and the defaults are enough for a first login.
///
/// [`ServerBuilder::build`](crate::server::ServerBuilder::build) refuses settings that contradict one another.
///
/// ```
/// use otp_grant::{AddressPolicy, Settings};
///
/// let mut settings = Settings::default();
/// settings.addresses = AddressPolicy::default().with_country_code("86")?;
/// settings.endpoints.introspection = None;
/// # Ok::<(), otp_grant::address::InvalidCountryCode>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// How addresses are read. Defaults to national numbers as they are written, and ASCII local parts.
    pub addresses: AddressPolicy,

    /// The values of `grant_type` for the OTP grant, and the channel of each. Defaults to [`SMS_GRANT_TYPE`] and
    /// [`EMAIL_GRANT_TYPE`]. A host can add its own values. Some tenants use their own host name in the value.
    pub grant_types: Vec<(String, Channel)>,

    /// The size of the largest body that the server reads, in bytes. Defaults to 16 KiB.
    pub body_limit: usize,

    /// The codes of usages other than login. Defaults to 6 digits that are valid for 60 seconds.
    pub code: CodePolicy,

    /// How often one address may be sent to. All quotas apply. Defaults to once in 30 seconds and 50 times in 24 hours.
    ///
    /// Without any quota, an attacker who may send can flood a phone at the host's expense. See [`danger`].
    ///
    /// No send ends a challenge that is live, and the record of an address has room for 100 challenges. `build` refuses
    /// quotas that allow more than 100 sends while an otp_token is valid. Where the otp_tokens of an auth source live
    /// longer, an address could still have more live challenges. A send then waits until the first of them expires.
    pub send_quotas: Vec<Quota>,

    /// The guard against messages that nobody reads. Defaults to off. See the module [`guard`](crate::guard).
    pub send_guard: SendGuard,

    /// How many guesses each code has, over all challenges that share the code. Defaults to 5.
    pub guesses_per_challenge: NonZeroU8,

    /// How many guesses each address has, over all its challenges, clients and usages. Defaults to 25 in 24 hours.
    ///
    /// A login takes back the guesses that were made with its otp_token. A request that fails for the host's fault
    /// takes back its own guess. An address that has no guesses left is not sent to.
    pub guesses_per_address: Quota,

    /// The budgets of devices that users log in with. Without them, an attacker who may send can use up the guesses and
    /// the sends of an address, and so keep its user out for a day. Defaults to [`DevicePolicy::default`]. `None`
    /// remembers no device: a request for a device token gets none, and device tokens count as none.
    ///
    /// `build` refuses budgets that allow more than 100 guesses in 24 hours, over the address and its 3 devices. By
    /// default, they allow 25 + 3 × 10 = 55. (The limit of NIST SP 800-63B section 3.2.2 is 100 failures in a row.)
    pub devices: Option<DevicePolicy>,

    /// For how long a right code is answered again, where the answer was lost. At most 60 seconds. Defaults to zero,
    /// which is never, since NIST SP 800-63B section 3.1.3.2 requires that a code is accepted only once.
    ///
    /// The answer goes to the same client, for the same otp_token and code. Its tokens are of the *same* session. It is
    /// repeated only while no refresh has used the session and nothing of the session was revoked. A code that was
    /// entered with the otp_token of another send is not answered again if that send had a code of its own.
    ///
    /// Each repetition is charged as a guess before its code is compared. If the code was right, the guess is given
    /// back, as far as the store allows.
    pub repeat_answer_within: Duration,

    /// How long tokens live. Defaults to 300 seconds for access tokens and 1800 seconds for ID tokens.
    pub token_validity: TokenValidity,

    /// How long sessions live. Defaults to 14 days without a refresh, and 30 days in all. A later change of the setting
    /// does not move the absolute end of a session that has begun.
    pub session_validity: SessionValidity,

    /// The shape of access tokens. Defaults to [`AccessTokenProfile::Jwt`].
    pub access_token_profile: AccessTokenProfile,

    /// Whether access tokens of [`AccessTokenProfile::Jwt`] say when and how the user logged in (`auth_time` and
    /// `amr`). Defaults to `false`. Access tokens of [`AccessTokenProfile::Rfc9068`] always say so.
    ///
    /// Introspection says the same as the access token. With this setting, `azp` is the only claim of an ID token that
    /// an access token of the default profile never has. A client that accepts ID tokens from other sources than this
    /// server must require that claim.
    ///
    /// RFC 9068 section 2.2.1, OpenID Connect Core section 2.
    pub authentication_claims: bool,

    /// The addresses that log in with a fixed code, until a set end. Defaults to none, which costs nothing.
    pub test_identities: Vec<TestIdentity>,

    /// Whether the server reads DPoP proofs, by which clients bind tokens to a key. Defaults to
    /// [`DpopSupport::Off`]. Each client also needs a policy: [`Client::with_dpop`](crate::Client::with_dpop).
    ///
    /// RFC 9449.
    pub dpop: DpopSupport,

    /// Whether clients with keys ([`Client::private_key_jwt`](crate::Client::private_key_jwt)) can authenticate by
    /// assertions. Defaults to `false`. Without it, a request with an assertion is refused with `invalid_client`.
    ///
    /// An assertion costs a request one more swap of the store, because it is good for one request. After a 503, the
    /// client makes a new assertion.
    ///
    /// Where this is on, the metadata names the method `private_key_jwt` and its algorithms.
    ///
    /// RFC 7523.
    pub client_assertions: bool,

    /// The usages that the host defines. Clients can request codes for them at the send endpoint. Defaults to none.
    ///
    /// The codes follow [`code`](Self::code). The host redeems them with
    /// [`AuthorizationServer::verify`](crate::AuthorizationServer::verify).
    pub usages: Vec<CustomUsage>,

    /// For how long the key set and the metadata may be cached, in whole seconds. A new key must be published for the
    /// same time before it signs. Defaults to 5 minutes.
    pub key_set_max_age: Duration,

    /// Where the host serves the endpoints. The metadata names these paths. Defaults to the paths that [`Endpoints`]
    /// names.
    pub endpoints: Endpoints,

    /// The scopes that the metadata names. Defaults to `openid`. A client's configuration says which scopes it may
    /// request.
    pub scopes_supported: Scope,

    /// The claims of the directory that the metadata names, besides the claims of ID tokens. Defaults to none.
    pub claims_supported: Vec<String>,

    pub(crate) lacks_send_quotas: bool,
    pub(crate) discloses_used_addresses: bool,
}

impl Settings {
    /// Tells whether tokens say when and how the user logged in.
    pub(crate) fn tells_authentication(&self) -> bool {
        self.authentication_claims || matches!(self.access_token_profile, AccessTokenProfile::Rfc9068 { .. })
    }

    pub(crate) fn quotas_are_sound(&self) -> bool {
        let is_missing = self.send_quotas.is_empty() && !self.lacks_send_quotas;
        let quotas = self.send_quotas.iter().chain([&self.guesses_per_address]);
        let of_devices = self.devices.iter().flat_map(|devices| devices.sends.iter().chain([&devices.guesses]));
        let has_device_sends = self.devices.as_ref().is_none_or(|devices| !devices.sends.is_empty());
        let mut quotas = quotas.chain(of_devices);
        !is_missing
            && has_device_sends
            && quotas.all(|quota| quota.window() >= SHORTEST_WINDOW && quota.count().get() <= MOST_COUNTED)
    }

    /// Tells whether the record of an address has room for all challenges that can be live at once, besides those of
    /// devices.
    pub(crate) fn challenges_have_room(&self) -> bool {
        self.limits().leave_room_for(self.code.token_validity())
    }

    /// Tells whether the record of an address has room for all challenges of a device that can be live at once.
    pub(crate) fn challenges_of_devices_have_room(&self) -> bool {
        self.limits().leave_devices_room_for(self.code.token_validity())
    }

    /// Tells whether the guesses of an address and its devices stay within 100 in 24 hours.
    pub(crate) fn guesses_are_few(&self) -> bool {
        self.devices.is_none() || self.limits().most_guesses_in_a_day() <= MOST_GUESSES_IN_A_DAY
    }

    /// Tells whether devices are known for a time that a store can keep.
    pub(crate) fn devices_are_sound(&self) -> bool {
        self.devices.as_ref().is_none_or(|devices| (HOUR..=LONGEST_DEVICE).contains(&devices.validity))
    }

    /// Tells whether every test identity is one that a server accepts.
    pub(crate) fn test_identities_are_sound(&self, now: Timestamp) -> bool {
        let addresses: BTreeSet<&str> = self.test_identities.iter().map(|test| test.address().as_str()).collect();
        let are_distinct = addresses.len() == self.test_identities.len();
        are_distinct && self.test_identities.iter().all(|test| test.is_sound(self.code.length(), now))
    }

    /// Returns the rules by which requests are read.
    pub(crate) fn rules(&self) -> RequestRules<'_> {
        RequestRules {
            grant_types: &self.grant_types,
            addresses: &self.addresses,
            body_limit: self.body_limit,
            usages: &self.usages,
            reads_dpop: self.dpop != DpopSupport::Off,
        }
    }

    /// Returns how often an address may be sent to, and how often its codes may be guessed.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            sends: self.send_quotas.clone(),
            guesses_per_challenge: self.guesses_per_challenge,
            guesses_per_address: self.guesses_per_address,
            devices: self.devices.clone(),
        }
    }

    pub(crate) fn grant_types_are_distinct(&self) -> bool {
        let names: BTreeSet<&str> = self.grant_types.iter().map(|(uri, _)| uri.as_str()).collect();
        names.len() == self.grant_types.len() && !names.contains("") && !names.contains(REFRESH_GRANT_TYPE)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let grant_types = [(SMS_GRANT_TYPE, Channel::Sms), (EMAIL_GRANT_TYPE, Channel::Email)];
        Self {
            grant_types: grant_types.map(|(uri, channel)| (uri.to_owned(), channel)).to_vec(),
            addresses: AddressPolicy::default(),
            body_limit: 16 * 1024,
            send_quotas: vec![Quota::new(NonZeroU32::MIN, Duration::from_secs(30)), Quota::new(FIFTY, DAY)],
            send_guard: SendGuard::default(),
            guesses_per_challenge: FIVE_GUESSES,
            guesses_per_address: Quota::new(TWENTY_FIVE, DAY),
            devices: Some(DevicePolicy::default()),
            test_identities: Vec::new(),
            code: CodePolicy::default(),
            token_validity: TokenValidity::default(),
            session_validity: SessionValidity::default(),
            access_token_profile: AccessTokenProfile::default(),
            authentication_claims: false,
            dpop: DpopSupport::Off,
            client_assertions: false,
            usages: Vec::new(),
            key_set_max_age: Duration::from_secs(300),
            endpoints: Endpoints::default(),
            scopes_supported: Scope::openid(),
            claims_supported: Vec::new(),
            repeat_answer_within: Duration::ZERO,
            lacks_send_quotas: false,
            discloses_used_addresses: false,
        }
    }
}

/// Settings that weaken a default. Each function says which protection is lost.
pub mod danger {
    use super::Settings;

    /// Lifts all send quotas. Use it only for load tests.
    ///
    /// An attacker who may send can then flood a phone, and the host pays. The record of an address keeps its ten
    /// latest challenges, and so a send can end a code that is good.
    pub fn without_send_quotas(mut settings: Settings) -> Settings {
        settings.send_quotas.clear();
        settings.lacks_send_quotas = true;
        settings
    }

    /// Answers `phone_number_is_used` and `email_is_used` for the usages `signup` and `update_userinfo`. An attacker
    /// who may send can then find out who has an account.
    pub fn disclose_used_addresses(mut settings: Settings) -> Settings {
        settings.discloses_used_addresses = true;
        settings
    }
}

/// The `grant_type` of the OTP grant over SMS.
pub const SMS_GRANT_TYPE: &str = "http://tencentciam.com/oauth2/grant-type/otp/sms";

/// The `grant_type` of the OTP grant over e-mail.
pub const EMAIL_GRANT_TYPE: &str = "http://tencentciam.com/oauth2/grant-type/otp/email";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const FIVE_GUESSES: NonZeroU8 = NonZeroU8::MIN.saturating_add(4);
const TWENTY_FIVE: NonZeroU32 = NonZeroU32::MIN.saturating_add(24);
const FIFTY: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
const MOST_COUNTED: u32 = 1000;
const HOUR: Duration = Duration::from_secs(60 * 60);
const LONGEST_DEVICE: Duration = DAY.saturating_mul(3660);
const MOST_GUESSES_IN_A_DAY: usize = 100;

/// Time is counted in whole milliseconds.
const SHORTEST_WINDOW: Duration = Duration::from_millis(1);

pub(crate) const LONGEST_REPEAT_WINDOW: Duration = Duration::from_secs(60);
