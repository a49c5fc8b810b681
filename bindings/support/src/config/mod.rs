//! The configuration of an engine: one JSON document. The members have the names of the reference host's file.

mod devices;
mod endpoints;
mod keys;
mod send_guard;
mod settings;
mod test_identities;

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU32};

use otp_grant::dpop::DpopSupport;
use otp_grant::otp::Quota;
use serde::Deserialize;

use self::devices::Devices;
use self::endpoints::EndpointPaths;
use self::keys::{Keys, Signing};
pub(crate) use self::keys::{keyring, signing_keys};
use self::send_guard::Guard;
pub(crate) use self::settings::{issuer, settings};
pub(crate) use self::test_identities::{FixedLogin, test_identities};
use crate::error::{ConfigError, read_json};
use crate::values::{ChannelName, Code, Span};

/// The configuration, as its document says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    issuer: String,
    keys: Keys,
    signing: Signing,
    #[serde(default)]
    quotas: Quotas,
    /// The budgets of devices that users log in with.
    #[serde(default)]
    devices: Devices,
    #[serde(default)]
    send_guard: Guard,
    /// The addresses that log in with a fixed code.
    #[serde(default)]
    test_identities: Vec<FixedLogin>,
    #[serde(default)]
    validity: Validity,
    /// The codes of usages other than login.
    #[serde(default)]
    codes: Code,
    /// The usages that the host defines.
    #[serde(default)]
    usages: Vec<String>,
    #[serde(default)]
    addresses: Addresses,
    #[serde(default)]
    access_tokens: AccessTokens,
    /// Whether the server reads DPoP proofs.
    #[serde(default)]
    dpop: DpopName,
    /// Whether clients with keys can authenticate.
    #[serde(default)]
    client_assertions: bool,
    /// Further names of the OTP grants.
    #[serde(default)]
    grant_types: BTreeMap<String, ChannelName>,
    #[serde(default)]
    discovery: Discovery,
    #[serde(default)]
    endpoints: EndpointPaths,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    danger: Danger,
}

impl Config {
    pub(crate) fn from_json(text: &str) -> Result<Self, ConfigError> {
        read_json(text)
    }

    pub(crate) fn has_country_code(&self) -> bool {
        self.addresses.country_code.is_some()
    }

    /// Takes the test identities. Their addresses are read as the functions of the host say, which come later.
    pub(crate) fn take_test_identities(&mut self) -> Vec<FixedLogin> {
        std::mem::take(&mut self.test_identities)
    }
}

/// How many sends and guesses an address has.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Quotas {
    sends: Option<Vec<Window>>,
    guesses_per_code: Option<NonZeroU8>,
    guesses_per_address: Option<Window>,
}

/// A number of events per length of time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    count: NonZeroU32,
    per: Span,
}

impl From<Window> for Quota {
    fn from(window: Window) -> Self {
        Self::new(window.count, window.per.0)
    }
}

/// How long things live.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Validity {
    access_token: Option<Span>,
    id_token: Option<Span>,
    session_idle: Option<Span>,
    session: Option<Span>,
    key_set: Option<Span>,
    repeat_answer_within: Option<Span>,
}

/// How addresses are read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    country_code: Option<String>,
    #[serde(default)]
    international_local_parts: bool,
}

/// The shape of access tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessTokens {
    rfc9068_audience: Option<String>,
    #[serde(default)]
    authentication_claims: bool,
}

/// Whether the server reads DPoP proofs.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct DpopName(DpopSupport);

impl TryFrom<String> for DpopName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Ok(Self(match &*name {
            "off" => DpopSupport::Off,
            "on" => DpopSupport::On,
            "strict" => DpopSupport::Strict,
            _ => return Err("unknown name, expected off, on or strict"),
        }))
    }
}

/// What the discovery documents say beyond what follows from the other settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Discovery {
    #[serde(default)]
    claims: Vec<String>,
    scopes: Option<String>,
}

/// Limits for callers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    body: Option<usize>,
}

/// What weakens a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Danger {
    #[serde(default)]
    without_send_quotas: bool,
    #[serde(default)]
    disclose_used_addresses: bool,
}
