//! The settings of an authorization server, and their defaults.

pub(crate) mod endpoints;

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use crate::address::{AddressPolicy, Channel};
use crate::grant::CustomUsage;
use crate::jwt::claims::{AccessTokenProfile, TokenValidity};
use crate::otp::authenticator::Limits;
use crate::otp::meter::Quota;
use crate::otp::policy::CodePolicy;
use crate::scope::Scope;
use crate::session::SessionValidity;
pub use crate::settings::endpoints::Endpoints;
use crate::wire::request::{REFRESH_GRANT_TYPE, RequestRules};

/// The settings of an authorization server. All have defaults; nothing here is needed for a first login.
///
/// ```
/// use otp_grant::{AddressPolicy, Settings};
///
/// let settings = Settings::default().addresses(AddressPolicy::default().with_country_code("86")?);
/// # Ok::<(), otp_grant::InvalidCountryCode>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) rules: RequestRules,
    pub(crate) limits: Limits,
    pub(crate) code: CodePolicy,
    pub(crate) token_validity: TokenValidity,
    pub(crate) session_validity: SessionValidity,
    pub(crate) access_token_profile: AccessTokenProfile,
    pub(crate) authentication_claims: bool,
    pub(crate) key_set_max_age: Duration,
    pub(crate) endpoints: Endpoints,
    pub(crate) scopes_supported: Scope,
    pub(crate) claims_supported: Vec<String>,
    pub(crate) discloses_used_addresses: bool,
    pub(crate) repeat_window: Duration,
}

impl Settings {
    /// How addresses are read. Defaults to national numbers as they are written, and ASCII local parts.
    #[must_use]
    pub fn addresses(mut self, policy: AddressPolicy) -> Self {
        self.rules.addresses = policy;
        self
    }

    /// Accepts another `grant_type` for the OTP grant of a channel, beside that of the contract. Some tenants use their
    /// own host in it.
    #[must_use]
    pub fn grant_type(mut self, uri: &str, channel: Channel) -> Self {
        self.rules.grant_types.push((uri.to_owned(), channel));
        self
    }

    /// The largest body that is read, in bytes. Defaults to 16 KiB.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.rules.body_limit = bytes;
        self
    }

    /// The codes of usages other than login. Defaults to 6 digits that are valid for 60 seconds.
    #[must_use]
    pub fn code(mut self, policy: CodePolicy) -> Self {
        self.code = policy;
        self
    }

    /// How often one address may be sent to. Defaults to once in 30 seconds and 50 times in 24 hours. Without any quota
    /// anybody who may send can flood a phone at the host's expense: see [`danger`](crate::danger).
    ///
    /// No send ends a challenge that is live, so the record of an address has room for 100. Quotas that allow more of them
    /// while an otp_token is valid are refused by `build`; where the codes of an auth source live for so long that there could
    /// be more, a send waits until the first of them expires.
    #[must_use]
    pub fn send_quotas(mut self, first: Quota, others: &[Quota]) -> Self {
        self.limits.sends = core::iter::once(first).chain(others.iter().copied()).collect();
        self
    }

    /// How many guesses each code has, over all challenges that share it. Defaults to 5.
    #[must_use]
    pub fn guesses_per_challenge(mut self, guesses: NonZeroU8) -> Self {
        self.limits.guesses_per_challenge = guesses;
        self
    }

    /// How many guesses each address has, over all its challenges, clients and usages. Defaults to 25 in 24 hours.
    ///
    /// A login takes back the guesses that were made with its otp_token. A request that fails for the host's fault takes
    /// back its own. An address without guesses is not sent to either.
    #[must_use]
    pub fn guesses_per_address(mut self, quota: Quota) -> Self {
        self.limits.guesses_per_address = quota;
        self
    }

    /// For how long a right code whose answer was lost is answered again: to the same client, for the same otp_token and code,
    /// with tokens of the *same* session, and only while nobody has refreshed it or revoked anything of it. At most 60 seconds. Defaults to zero,
    /// which is never, since NIST SP 800-63B section 3.1.3.2 wants a code to be accepted once. A code that was entered with
    /// the otp_token of another send, which had a code of its own, is not answered again.
    ///
    /// Each repetition is charged as a guess before its code is compared, and is given back, as far as the
    /// store allows, when the code was right.
    #[must_use]
    pub fn repeat_answer_within(mut self, window: Duration) -> Self {
        self.repeat_window = window;
        self
    }

    /// How long tokens live. Defaults to 300 seconds for access tokens and 1800 for ID tokens.
    #[must_use]
    pub fn token_validity(mut self, validity: TokenValidity) -> Self {
        self.token_validity = validity;
        self
    }

    /// How long sessions live. Defaults to 14 days without a refresh, and 30 days in all. A session that has begun ends in
    /// all when it was to end at its beginning.
    #[must_use]
    pub fn session_validity(mut self, validity: SessionValidity) -> Self {
        self.session_validity = validity;
        self
    }

    /// The shape of access tokens. Defaults to [`AccessTokenProfile::Jwt`].
    #[must_use]
    pub fn access_token_profile(mut self, profile: AccessTokenProfile) -> Self {
        self.access_token_profile = profile;
        self
    }

    /// Whether access tokens of [`AccessTokenProfile::Jwt`] say when and how the user logged in (`auth_time` and
    /// `amr`). Those of RFC 9068 say so in any case. Defaults to no.
    ///
    /// Introspection says the same as the access token. An ID token then differs from an access token of the default
    /// profile by `azp` alone: a client that accepts ID tokens from other sources than this server must require that
    /// claim.
    ///
    /// RFC 9068 section 2.2.1, OpenID Connect Core section 2.
    #[must_use]
    pub fn authentication_claims(mut self, included: bool) -> Self {
        self.authentication_claims = included;
        self
    }

    /// The usages of the host's own, for which codes can be asked at the send endpoint. Defaults to none.
    ///
    /// The codes are those of [`code`](Self::code), and are redeemed with
    /// [`AuthorizationServer::verify_otp`](crate::AuthorizationServer::verify_otp).
    #[must_use]
    pub fn usages(mut self, usages: impl IntoIterator<Item = CustomUsage>) -> Self {
        self.rules.usages = usages.into_iter().collect();
        self
    }

    /// For how long the key set and the metadata may be cached, in whole seconds; a key has to be published for as long
    /// before it signs. Defaults to 5 minutes.
    #[must_use]
    pub fn key_set_max_age(mut self, max_age: Duration) -> Self {
        self.key_set_max_age = max_age;
        self
    }

    /// Where the host serves the endpoints: what the metadata says. Defaults to the paths of the contract.
    #[must_use]
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// The scopes that the metadata names. Defaults to `openid`. What a client may ask for, its own configuration says.
    #[must_use]
    pub fn scopes_supported(mut self, scopes: Scope) -> Self {
        self.scopes_supported = scopes;
        self
    }

    /// The claims of the directory that the metadata names, beside those of ID tokens. Defaults to none.
    #[must_use]
    pub fn claims_supported(mut self, claims: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.claims_supported = claims.into_iter().map(Into::into).collect();
        self
    }
}

impl Settings {
    /// Tells whether tokens say when and how the user logged in.
    pub(crate) fn tells_authentication(&self) -> bool {
        self.authentication_claims || matches!(self.access_token_profile, AccessTokenProfile::Rfc9068 { .. })
    }

    pub(crate) fn quotas_are_sound(&self) -> bool {
        let mut quotas = self.limits.sends.iter().chain([&self.limits.guesses_per_address]);
        quotas.all(|quota| quota.window() >= SHORTEST_WINDOW && quota.count().get() <= MOST_COUNTED)
    }

    /// Tells whether an address can't have more live challenges than its record has room for.
    pub(crate) fn challenges_have_room(&self) -> bool {
        self.limits.leave_room_for(self.code.token_validity())
    }

    pub(crate) fn grant_types_are_distinct(&self) -> bool {
        let names: std::collections::BTreeSet<&str> =
            self.rules.grant_types.iter().map(|(uri, _)| uri.as_str()).collect();
        names.len() == self.rules.grant_types.len() && !names.contains("") && !names.contains(REFRESH_GRANT_TYPE)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let grant_types = [(SMS_GRANT_TYPE, Channel::Sms), (EMAIL_GRANT_TYPE, Channel::Email)];
        Self {
            rules: RequestRules {
                grant_types: grant_types.map(|(uri, channel)| (uri.to_owned(), channel)).to_vec(),
                addresses: AddressPolicy::default(),
                body_limit: 16 * 1024,
                usages: Vec::new(),
            },
            limits: Limits {
                sends: vec![Quota::new(NonZeroU32::MIN, Duration::from_secs(30)), Quota::new(FIFTY, DAY)],
                guesses_per_challenge: FIVE_GUESSES,
                guesses_per_address: Quota::new(TWENTY_FIVE, DAY),
            },
            code: CodePolicy::default(),
            token_validity: TokenValidity::default(),
            session_validity: SessionValidity::default(),
            access_token_profile: AccessTokenProfile::default(),
            authentication_claims: false,
            key_set_max_age: Duration::from_secs(300),
            endpoints: Endpoints::default(),
            scopes_supported: Scope::openid(),
            claims_supported: Vec::new(),
            discloses_used_addresses: false,
            repeat_window: Duration::ZERO,
        }
    }
}

/// Settings that weaken a default. Each says what is lost.
pub mod danger {
    use super::Settings;

    /// Lifts all send quotas. Anybody who may send can then flood a phone, and the host pays; and the record of an address
    /// keeps its ten latest challenges, so that a send can end a code that is good. For load tests.
    pub fn without_send_quotas(mut settings: Settings) -> Settings {
        settings.limits.sends.clear();
        settings
    }

    /// Answers `phone_number_is_used` and `email_is_used` to usages `signup` and `update_userinfo`. Anybody who may send
    /// can then find out who has an account.
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

/// Time is counted in whole milliseconds.
const SHORTEST_WINDOW: Duration = Duration::from_millis(1);

pub(crate) const LONGEST_REPEAT_WINDOW: Duration = Duration::from_secs(60);
