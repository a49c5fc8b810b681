//! What the host says of its clients and auth sources, and the decisions that follow from it.

use core::num::NonZeroU8;
use core::time::Duration;
use std::sync::Arc;

use crate::address::Channel;
use crate::grant::Grant;
use crate::id::{AuthSourceId, ClientId};
use crate::scope::Scope;
use crate::secret::{ClientSecret, PresentedSecret};

/// A client: an application that logs its users in (RFC 6749 section 2).
///
/// ```
/// use otp_grant::{AuthSourceId, Client, ClientId, ClientSecret};
///
/// let web = Client::confidential(ClientId::new("web")?, ClientSecret::digest("a long random value"))
///     .with_auth_source(AuthSourceId::new("sms")?);
/// # Ok::<(), otp_grant::InvalidId>(())
/// ```
#[derive(Debug)]
pub struct Client {
    id: ClientId,
    /// `None` for a public client.
    secret: Option<ClientSecret>,
    may_send: bool,
    may_introspect_every_token: bool,
    grants: Vec<Grant>,
    refresh_policy: RefreshPolicy,
    auth_sources: Vec<AuthSourceId>,
    allowed_scope: Scope,
    default_scope: Scope,
}

impl Client {
    /// A client that can keep a secret, such as a web application. It may send codes.
    ///
    /// Both OTP grants and refresh are allowed. The allowed scope and the default scope are `openid`.
    pub fn confidential(id: ClientId, secret: ClientSecret) -> Self {
        Self::new(id, Some(secret), true)
    }

    /// A client that can't keep a secret, such as a mobile or single-page application.
    ///
    /// It may not send codes unless [`Client::that_may_send`] says so. The rest is as for a confidential client.
    pub fn public(id: ClientId) -> Self {
        Self::new(id, None, false)
    }

    /// Lets a public client ask for codes to be sent. Anybody can then cause messages to be sent in its name, within
    /// the limits of each address.
    #[must_use]
    pub fn that_may_send(mut self) -> Self {
        self.may_send = true;
        self
    }

    /// Associates the client with an auth source.
    #[must_use]
    pub fn with_auth_source(mut self, id: AuthSourceId) -> Self {
        self.auth_sources.push(id);
        self
    }

    /// Replaces the grants that the client may use. Without [`Grant::RefreshToken`] it gets no refresh token.
    #[must_use]
    pub fn with_grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// Replaces the refresh policy. Defaults to [`RefreshPolicy::Rotate`] with a retry window of 10 seconds.
    ///
    /// # Errors
    /// [`InvalidRefreshPolicy`] when the client is public and the policy is [`RefreshPolicy::Stable`], or when the retry
    /// window is longer than 60 seconds.
    pub fn with_refresh_policy(mut self, policy: RefreshPolicy) -> Result<Self, InvalidRefreshPolicy> {
        let fits = match policy {
            RefreshPolicy::Rotate { retry_window } => retry_window <= LONGEST_RETRY_WINDOW,
            RefreshPolicy::Stable => self.is_confidential(),
        };
        if !fits {
            return Err(InvalidRefreshPolicy);
        }
        self.refresh_policy = policy;
        Ok(self)
    }

    /// Lets the client introspect the access tokens of all clients: an API that is called by several. Without it a client
    /// learns of its own tokens only. It has no effect on a public client, which may not introspect at all.
    #[must_use]
    pub fn that_may_introspect_every_token(mut self) -> Self {
        self.may_introspect_every_token = true;
        self
    }

    /// Replaces the scopes: those the client may ask for, and those it gets when it asks for none.
    ///
    /// # Errors
    /// [`ScopeNotAllowed`] when the default has a scope that is not allowed.
    pub fn with_scopes(mut self, allowed: Scope, default: Scope) -> Result<Self, ScopeNotAllowed> {
        if !default.is_subset_of(&allowed) {
            return Err(ScopeNotAllowed);
        }
        self.allowed_scope = allowed;
        self.default_scope = default;
        Ok(self)
    }

    /// The client's identifier.
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// Tells whether the client has a secret (RFC 6749 section 2.1).
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    pub(crate) fn may_send(&self) -> bool {
        self.may_send
    }

    pub(crate) fn may_use(&self, grant: Grant) -> bool {
        self.grants.contains(&grant)
    }

    pub(crate) fn refresh_policy(&self) -> RefreshPolicy {
        self.refresh_policy
    }

    pub(crate) fn may_introspect_every_token(&self) -> bool {
        self.may_introspect_every_token
    }

    /// The auth source, if it may be used by this client on this channel. One error for every cause.
    pub(crate) fn associated(
        &self,
        source: Option<Arc<AuthSource>>,
        channel: Channel,
    ) -> Result<Arc<AuthSource>, NotAssociated> {
        source.filter(|source| source.channel == channel && self.auth_sources.contains(&source.id)).ok_or(NotAssociated)
    }

    /// The scope that is granted for what was asked.
    pub(crate) fn grant_scope(&self, asked: Option<&Scope>) -> Result<Scope, ScopeNotAllowed> {
        match asked {
            None => Ok(self.default_scope.clone()),
            Some(asked) if asked.is_subset_of(&self.allowed_scope) => Ok(asked.clone()),
            Some(_) => Err(ScopeNotAllowed),
        }
    }

    /// The scope that a refresh is granted: what the session has, or less. What has been taken from the client since is
    /// not granted any more.
    pub(crate) fn narrow_scope(&self, of_session: &Scope, asked: Option<&Scope>) -> Result<Scope, ScopeNotAllowed> {
        match asked {
            None => of_session.intersection(&self.allowed_scope).ok_or(ScopeNotAllowed),
            Some(asked) if asked.is_subset_of(of_session) && asked.is_subset_of(&self.allowed_scope) => {
                Ok(asked.clone())
            }
            Some(_) => Err(ScopeNotAllowed),
        }
    }

    fn new(id: ClientId, secret: Option<ClientSecret>, may_send: bool) -> Self {
        Self {
            id,
            secret,
            may_send,
            may_introspect_every_token: false,
            grants: vec![Grant::OtpSms, Grant::OtpEmail, Grant::RefreshToken],
            refresh_policy: RefreshPolicy::default(),
            auth_sources: Vec::new(),
            allowed_scope: Scope::openid(),
            default_scope: Scope::openid(),
        }
    }
}

/// A client that has proved who it is, or is public.
pub(crate) struct AuthenticatedClient(Arc<Client>);

impl AuthenticatedClient {
    /// Checks what a caller presented against what the directory knows (RFC 6749 section 2.3).
    pub(crate) fn authenticate(
        known: Option<Arc<Client>>,
        presented: Option<&PresentedSecret<'_>>,
    ) -> Result<Self, NotAuthenticated> {
        // A secret is digested in any case, so that an unknown client takes as long as a wrong secret.
        let stand_in = ClientSecret::from_sha256([0; 32]);
        let expected = known.as_ref().and_then(|client| client.secret.as_ref());
        let matches = presented.map(|presented| expected.unwrap_or(&stand_in).matches(presented));
        match (known, matches) {
            (Some(client), Some(true)) if client.is_confidential() => Ok(Self(client)),
            (Some(client), None) if !client.is_confidential() => Ok(Self(client)),
            _ => Err(NotAuthenticated),
        }
    }
}

impl core::ops::Deref for AuthenticatedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// It is superseded by a successor, and whoever uses it later ends the session (RFC 9700 section 4.14.2).
    Rotate {
        /// For how long the superseded token gets the same successor again, counted from its first use, so that a client
        /// whose answer was lost, or whose tabs refresh at once, can go on. It ends early when the successor is used.
        retry_window: Duration,
    },
    /// It stays the same until the session ends. For confidential clients, whose secret a thief needs as well; the FAPI
    /// 2.0 Security Profile asks for it in section 5.3.2.1.
    Stable,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self::Rotate { retry_window: Duration::from_secs(10) }
    }
}

/// An authentication source: one channel, with the shape and validity of its codes.
#[derive(Debug)]
pub struct AuthSource {
    id: AuthSourceId,
    channel: Channel,
    code: CodePolicy,
}

impl AuthSource {
    /// A source of a channel, with codes of 6 digits that are valid for 3 minutes, and otp_tokens that are valid for 5.
    pub fn new(id: AuthSourceId, channel: Channel) -> Self {
        Self { id, channel, code: CodePolicy::of_login() }
    }

    /// Replaces the shape and validity of the codes.
    #[must_use]
    pub fn with_code(mut self, code: CodePolicy) -> Self {
        self.code = code;
        self
    }

    /// The source's identifier.
    pub fn id(&self) -> &AuthSourceId {
        &self.id
    }

    pub(crate) fn code(&self) -> &CodePolicy {
        &self.code
    }
}

/// The shape and validity of codes, and of the tokens that name their challenges.
#[derive(Clone, Debug)]
pub struct CodePolicy {
    shape: CodeShape,
    validity: Duration,
    token_validity: Duration,
}

impl CodePolicy {
    /// Codes of `length` digits that are valid for `validity`; an otp_token is valid for 5 minutes, or for as long as
    /// its code if that is longer.
    ///
    /// # Errors
    /// [`InvalidCodePolicy`] when there are fewer than 4 or more than 10 digits, or when a code is valid for less than
    /// a second or more than a day. (NIST SP 800-63B section 3.1.3 asks for at least 6 digits and at most 10 minutes.)
    pub fn new(length: u8, validity: Duration) -> Result<Self, InvalidCodePolicy> {
        let length =
            NonZeroU8::new(length).filter(|length| LENGTHS.contains(&length.get())).ok_or(InvalidCodePolicy)?;
        if validity < Duration::from_secs(1) || validity > LONGEST_VALIDITY {
            return Err(InvalidCodePolicy);
        }
        Ok(Self { shape: CodeShape { length, alphabet: None }, validity, token_validity: TOKEN_VALIDITY.max(validity) })
    }

    /// Replaces the ten digits by another alphabet of 2 to 64 printable ASCII characters, each given once.
    ///
    /// # Errors
    /// [`InvalidCodePolicy`] when the alphabet is anything else, or when it leaves fewer than 10,000 different codes.
    pub fn with_alphabet(mut self, alphabet: &str) -> Result<Self, InvalidCodePolicy> {
        let distinct: std::collections::BTreeSet<u8> = alphabet.bytes().filter(u8::is_ascii_graphic).collect();
        let codes = distinct.len().saturating_pow(u32::from(self.length()));
        if distinct.len() != alphabet.len() || !(2..=64).contains(&alphabet.len()) || codes < 10_000 {
            return Err(InvalidCodePolicy);
        }
        self.shape.alphabet = (alphabet != DIGITS).then(|| alphabet.into());
        Ok(self)
    }

    /// Replaces the validity of the otp_token. It can be longer than the code's: a resend renews the token alone.
    ///
    /// # Errors
    /// [`InvalidCodePolicy`] when it is shorter than the code's validity, or longer than a day.
    pub fn with_token_validity(mut self, validity: Duration) -> Result<Self, InvalidCodePolicy> {
        if validity < self.validity || validity > LONGEST_VALIDITY {
            return Err(InvalidCodePolicy);
        }
        self.token_validity = validity;
        Ok(self)
    }

    /// How many characters a code has.
    pub fn length(&self) -> u8 {
        self.shape.length.get()
    }

    /// How long a code is valid.
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// How long an otp_token is valid.
    pub fn token_validity(&self) -> Duration {
        self.token_validity
    }

    pub(crate) fn shape(&self) -> &CodeShape {
        &self.shape
    }

    /// The codes of a login source, unless it says otherwise: 6 digits that are valid for 3 minutes.
    fn of_login() -> Self {
        Self { validity: LOGIN_VALIDITY, ..Self::default() }
    }
}

/// 6 digits that are valid for 60 seconds, and otp_tokens that are valid for 5 minutes.
impl Default for CodePolicy {
    fn default() -> Self {
        let shape = CodeShape { length: SIX, alphabet: None };
        Self { shape, validity: Duration::from_secs(60), token_validity: TOKEN_VALIDITY }
    }
}

/// How codes are spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeShape {
    pub(crate) length: NonZeroU8,
    /// `None` for the ten digits.
    pub(crate) alphabet: Option<Arc<str>>,
}

impl CodeShape {
    pub(crate) fn alphabet(&self) -> &str {
        self.alphabet.as_deref().unwrap_or(DIGITS)
    }

    /// Tells whether a text is spelled like a code. It takes equally long for all texts of one length.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let alphabet = self.alphabet().as_bytes();
        let is_known = |byte: u8| alphabet.iter().fold(false, |found, known| found | (*known == byte));
        text.len() == usize::from(self.length.get()) && text.bytes().fold(true, |all, byte| all & is_known(byte))
    }
}

/// The client is unknown, or its secret is wrong, missing or not expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthenticated;

/// The auth source is unknown, of the other channel, or not associated with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAssociated;

/// A scope is not allowed to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeNotAllowed;

impl core::fmt::Display for ScopeNotAllowed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a scope is not allowed to the client")
    }
}

impl core::error::Error for ScopeNotAllowed {}

/// A refresh policy is not one for this client, or its retry window is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRefreshPolicy;

impl core::fmt::Display for InvalidRefreshPolicy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a public client has to rotate its refresh tokens, and a retry window may have 60 seconds")
    }
}

impl core::error::Error for InvalidRefreshPolicy {}

/// A code policy is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCodePolicy;

impl core::fmt::Display for InvalidCodePolicy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a code's length, alphabet or validity is out of bounds")
    }
}

impl core::error::Error for InvalidCodePolicy {}

/// The longest time in which a superseded refresh token gets its successor again.
pub(crate) const LONGEST_RETRY_WINDOW: Duration = Duration::from_secs(60);
const LENGTHS: core::ops::RangeInclusive<u8> = 4..=10;
const SIX: NonZeroU8 = NonZeroU8::MIN.saturating_add(5);
const DIGITS: &str = "0123456789";
const TOKEN_VALIDITY: Duration = Duration::from_secs(300);
const LOGIN_VALIDITY: Duration = Duration::from_secs(180);
const LONGEST_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn an_alphabet_has_each_character_once_and_makes_ten_thousand_codes() {
        let graphic: String = (b'!'..=b'~').map(char::from).collect();
        for (length, alphabet, is_good) in [
            (4, "0123456789", true),
            (4, "0123456789A", true),
            (4, "012345678", false),
            (10, "01234567890", false),
            (10, "abc\u{e9}defghijk", false),
            (10, "abc defghijk", false),
            (10, &graphic[..64], true),
            (10, &graphic[..65], false),
        ] {
            let policy = CodePolicy::new(length, Duration::from_secs(60)).unwrap();
            assert_eq!(policy.with_alphabet(alphabet).is_ok(), is_good, "{length} of {alphabet}");
        }
    }

    #[test]
    fn an_otp_token_is_valid_for_as_long_as_its_code_and_for_a_day_at_most() {
        let day = Duration::from_secs(86_400);
        let (code, millisecond) = (Duration::from_secs(60), Duration::from_millis(1));
        for (validity, is_good) in [
            (code - millisecond, false),
            (code, true),
            (code + millisecond, true),
            (day, true),
            (day + millisecond, false),
        ] {
            let policy = CodePolicy::new(6, code).unwrap().with_token_validity(validity);
            assert_eq!(policy.is_ok(), is_good, "{validity:?}");
            assert!(policy.is_err() || policy.unwrap().token_validity() == validity);
        }
    }
}
