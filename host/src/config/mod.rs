//! The configuration file: its members and their defaults. Its submodules build the server's values from it.

mod audit;
mod delivery;
mod devices;
mod endpoints;
mod error;
mod guard;
mod keys;
mod logs;
mod metrics;
mod names;
mod network_limits;
mod origins;
mod proxy;
mod quota;
mod redis;
mod secrets;
mod settings;
mod start_only;
mod test_identities;
#[cfg(test)]
mod tests;
mod urls;
mod values;
mod warnings;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

pub(crate) use audit::Audit;
pub(crate) use delivery::{AccessKey, Answers, Delivery, Http, Messages, Queue, Route, Scheme, Smtp, Tls, Webhook};
pub(crate) use devices::Devices;
pub(crate) use endpoints::{EndpointPaths, endpoints};
pub(crate) use error::{At, ConfigError};
pub(crate) use guard::{Budget, Guard, GuardModeName, VerdictHeader};
pub(crate) use keys::{keyring, read_signing_key, signing_keys};
pub(crate) use logs::{Logs, ShownAddress};
pub(crate) use metrics::MetricsEntry;
pub(crate) use names::{
    AuthMethodName, ChannelName, DpopName, DpopPolicyName, GrantName, PageLocaleName, RefreshName, StatusName,
};
pub(crate) use network_limits::{NetworkLimitsEntry, NetworkQuotas};
pub(crate) use origins::PageOrigin;
pub(crate) use proxy::{AddressHeader, Proxy, ProxyEntry};
pub(crate) use quota::{Quotas, Window};
pub(crate) use redis::{Redis, redis_options};
pub(crate) use settings::{issuer, numbering_plan, settings};
pub(crate) use start_only::StartOnly;
pub(crate) use test_identities::{End, TestIdentityEntry};
pub(crate) use urls::{check_database_url, read_delivery_url};
pub(crate) use values::{Secret, Source, Span};
pub(crate) use warnings::{Warnings, add_warnings};

/// The configuration of a host, as its file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) issuer: String,
    #[serde(default = "default_listen")]
    pub(crate) listen: SocketAddr,
    /// Where records are kept: `memory`, or the URL of a database.
    #[serde(default = "Source::memory")]
    pub(crate) store: Source,
    /// Whether the host creates missing tables at start-up.
    #[serde(default = "yes")]
    pub(crate) migrate: bool,
    #[serde(default)]
    pub(crate) redis: Redis,
    /// Only the demo has none here: it gets its own keys.
    pub(crate) keys: Option<Keys>,
    pub(crate) signing: Option<Signing>,
    #[serde(default)]
    pub(crate) auth_sources: BTreeMap<String, AuthSourceEntry>,
    #[serde(default)]
    pub(crate) clients: BTreeMap<String, ClientEntry>,
    #[serde(default)]
    pub(crate) users: Users,
    #[serde(default)]
    pub(crate) audit: Audit,
    #[serde(default)]
    pub(crate) delivery: Delivery,
    #[serde(default)]
    pub(crate) messages: Messages,
    #[serde(default)]
    pub(crate) quotas: Quotas,
    #[serde(default)]
    pub(crate) guard: Guard,
    #[serde(default)]
    pub(crate) devices: Devices,
    #[serde(default)]
    pub(crate) test_identities: Vec<TestIdentityEntry>,
    #[serde(default)]
    pub(crate) validity: Validity,
    /// The codes of usages other than login.
    #[serde(default)]
    pub(crate) codes: Code,
    #[serde(default)]
    pub(crate) addresses: Addresses,
    #[serde(default)]
    pub(crate) access_tokens: AccessTokens,
    /// Whether the host reads proofs of DPoP.
    #[serde(default)]
    pub(crate) dpop: DpopName,
    /// Further names of the OTP grants.
    #[serde(default)]
    pub(crate) grant_types: BTreeMap<String, ChannelName>,
    #[serde(default)]
    pub(crate) discovery: Discovery,
    #[serde(default)]
    pub(crate) endpoints: EndpointPaths,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) proxy: ProxyEntry,
    #[serde(default)]
    pub(crate) network_limits: NetworkLimitsEntry,
    #[serde(default)]
    pub(crate) metrics: MetricsEntry,
    #[serde(default)]
    pub(crate) logs: Logs,
    #[serde(default)]
    pub(crate) page: Page,
    #[serde(default)]
    pub(crate) danger: Danger,
    /// The folder at which relative paths of the file begin.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// Settings that are allowed and that the operator should check.
    #[serde(skip)]
    pub(crate) warnings: Warnings,
}

impl Config {
    /// Reads a file.
    pub(crate) fn read(file: &Path) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let mut text = Zeroizing::new(String::new());
        let mut opened = File::open(file).map_err(|error| ConfigError::new(&name, error))?;
        opened.read_to_string(&mut text).map_err(|error| ConfigError::new(&name, error))?;
        let mut config = Self::parse(&name, &text)?;
        config.warnings.add_permissions("--config", file, &opened, secrets::stand_in_the_file(&config));
        config.folder = file.parent().unwrap_or(Path::new("")).to_owned();
        Ok(config)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::of_toml(name, text, &error))
    }
}

/// The master keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) index: Source,
    pub(crate) sealing: Source,
    #[serde(default)]
    pub(crate) accepted: Vec<Source>,
}

/// The signing keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signing {
    pub(crate) active: Source,
    pub(crate) algorithm: Option<String>,
    pub(crate) key_id: Option<String>,
    #[serde(default)]
    pub(crate) published: Vec<Source>,
}

/// An auth source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthSourceEntry {
    pub(crate) channel: ChannelName,
    #[serde(default)]
    pub(crate) code: Code,
}

/// The shape and validity of codes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    pub(crate) length: Option<u8>,
    pub(crate) validity: Option<Span>,
    pub(crate) token_validity: Option<Span>,
    pub(crate) alphabet: Option<String>,
}

/// A client: it has a secret, keys, or is public.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientEntry {
    pub(crate) secret: Option<Source>,
    pub(crate) secret_sha256: Option<Source>,
    /// The public keys of a client that signs assertions: each a JWK or a JWK Set.
    #[serde(default)]
    pub(crate) keys: Vec<Source>,
    #[serde(default)]
    pub(crate) public: bool,
    /// The only method of authentication. A client with a secret has two by default.
    pub(crate) auth_method: Option<AuthMethodName>,
    #[serde(default)]
    pub(crate) code_challenge_required: bool,
    #[serde(default)]
    pub(crate) dpop: DpopPolicyName,
    /// Confidential clients can send in any case.
    #[serde(default)]
    pub(crate) may_send: bool,
    /// Every client can sign up users, unless this is false.
    pub(crate) may_sign_up: Option<bool>,
    #[serde(default)]
    pub(crate) auth_sources: Vec<String>,
    pub(crate) scopes: Option<String>,
    pub(crate) default_scopes: Option<String>,
    pub(crate) grants: Option<Vec<GrantName>>,
    pub(crate) refresh: Option<RefreshName>,
    pub(crate) retry_window: Option<Span>,
    #[serde(default)]
    pub(crate) introspects_every_token: bool,
    /// The origins of the pages that use the client, beside the login page.
    #[serde(default)]
    pub(crate) allowed_origins: Vec<String>,
    /// How many messages the send guard grants it.
    pub(crate) message_budget: Option<Budget>,
    /// The name and the language of its messages. Default to those of `[messages]`.
    pub(crate) application: Option<String>,
    pub(crate) locale: Option<String>,
}

/// Where the users are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Users {
    /// The URL of the database that has their table. Without a table the users are kept in memory, beginning with those
    /// of `list`.
    pub(crate) table: Option<Source>,
    #[serde(default)]
    pub(crate) list: Vec<UserEntry>,
}

/// A user that is listed in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserEntry {
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) status: StatusName,
    pub(crate) phone_number: Option<String>,
    pub(crate) email: Option<String>,
    /// Milliseconds since 1970.
    pub(crate) tokens_valid_after: Option<u64>,
    /// Whether the user exists for tests: only a test identity logs this user in.
    #[serde(default)]
    pub(crate) test: bool,
    #[serde(default)]
    pub(crate) claims: serde_json::Map<String, serde_json::Value>,
}

/// Does not show personal data.
impl std::fmt::Debug for UserEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserEntry").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// How long things live.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Validity {
    pub(crate) access_token: Option<Span>,
    pub(crate) id_token: Option<Span>,
    pub(crate) session_idle: Option<Span>,
    pub(crate) session: Option<Span>,
    pub(crate) key_set: Option<Span>,
}

/// How addresses are read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addresses {
    /// The region whose national spellings of phone numbers are read: two letters of ISO 3166-1.
    pub(crate) region: Option<String>,
    pub(crate) country_code: Option<String>,
    #[serde(default)]
    pub(crate) international_local_parts: bool,
}

/// The shape of access tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessTokens {
    /// Makes access tokens RFC 9068 tokens for this audience.
    pub(crate) rfc9068_audience: Option<String>,
    /// Whether access tokens that are not RFC 9068 tokens say when and how the user logged in.
    #[serde(default)]
    pub(crate) authentication_claims: bool,
}

/// What the discovery documents say beyond what follows from the other settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Discovery {
    #[serde(default)]
    pub(crate) claims: Vec<String>,
}

/// Limits for callers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) body: usize,
    pub(crate) header_time: Span,
    pub(crate) body_time: Span,
    pub(crate) request_time: Span,
    pub(crate) connections: NonZeroUsize,
    pub(crate) drain_time: Span,
    pub(crate) shutdown_time: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 * 1024,
            header_time: Span::of_secs::<10>(),
            body_time: Span::of_secs::<10>(),
            request_time: Span::of_secs::<20>(),
            connections: NonZeroUsize::MIN.saturating_add(4095),
            drain_time: Span::of_secs::<0>(),
            shutdown_time: Span::of_secs::<25>(),
        }
    }
}

/// The login page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// The public client that the page uses. Without a client there is no page.
    pub(crate) client: Option<String>,
    pub(crate) sms: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) title: Option<String>,
    #[serde(default)]
    pub(crate) locale: PageLocaleName,
    pub(crate) scopes: Option<String>,
    /// Whether a user who has no account can create one.
    #[serde(default)]
    pub(crate) sign_up: bool,
    /// What the page says about where codes and users are found. For demonstrations.
    pub(crate) hint: Option<String>,
}

/// What weakens a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Danger {
    #[serde(default)]
    pub(crate) without_send_quotas: bool,
    #[serde(default)]
    pub(crate) disclose_used_addresses: bool,
}

fn yes() -> bool {
    true
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}
