//! The addresses that log in with a fixed code: the entries of `[[test_identities]]`.

use std::time::Duration;

use otp_grant::otp::{CodePolicy, TestIdentity};
use otp_grant::time::{Clock as _, SystemClock, Timestamp};
use otp_grant::{Address, AddressPolicy, Channel, ClientId};
use serde::{Deserialize, Deserializer};

use super::{At, Config, ConfigError, Source};
use crate::calendar;

/// A test identity.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestIdentityEntry {
    pub(crate) phone_number: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) code: Source,
    pub(crate) clients: Vec<String>,
    pub(crate) ends: End,
}

/// Does not show the address.
impl std::fmt::Debug for TestIdentityEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestIdentityEntry").field("clients", &self.clients).finish_non_exhaustive()
    }
}

/// When a test identity ends: with the day that the file names, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let date = toml::value::Date::deserialize(deserializer)?;
        Ok(Self(calendar::beginning_of_day(date.year, date.month, date.day).after(DAY)))
    }
}

/// The test identities of the file.
pub(super) fn test_identities(config: &Config, policy: &AddressPolicy) -> Result<Vec<TestIdentity>, ConfigError> {
    let entries = config.test_identities.iter().enumerate();
    entries.map(|(index, entry)| entry.read(config, policy, &format!("test_identities[{index}]"))).collect()
}

impl TestIdentityEntry {
    fn read(&self, config: &Config, policy: &AddressPolicy, place: &str) -> Result<TestIdentity, ConfigError> {
        let address = match (&self.phone_number, &self.email) {
            (Some(number), None) => Address::Phone(policy.phone_number(number).at(format!("{place}.phone_number"))?),
            (None, Some(email)) => Address::Email(policy.email(email).at(format!("{place}.email"))?),
            _ => return Err(ConfigError::new(place, "a test identity has either phone_number or email")),
        };
        let at_code = format!("{place}.code");
        let code = self.code.read(&at_code, config)?;
        let at_clients = format!("{place}.clients");
        if self.clients.is_empty() {
            return Err(ConfigError::new(at_clients, "it has to name at least one client"));
        }
        let mut clients = Vec::new();
        for name in &self.clients {
            self.check_code(config, name, address.channel(), code.expose(), &at_code, &at_clients)?;
            clients.push(ClientId::new(name).at(&at_clients)?);
        }
        let at_end = format!("{place}.ends");
        let now = SystemClock.now();
        if now.until(self.ends.0) > LONGEST {
            return Err(ConfigError::new(at_end, "the end of that day is more than 90 days away"));
        }
        if now.has_reached(self.ends.0) {
            config.warnings.add(&at_end, "the test identity has ended, and its code is good for nothing");
        }
        if config.users.table.is_none() && !has_test_user(config, policy, &address) {
            config.warnings.add(place, "users.list has no user with test = true and this address, so a login fails");
        }
        Ok(TestIdentity::new(address, code.expose(), clients, self.ends.0))
    }

    /// A code of another length, or with other characters, than those of the client's auth sources is never right.
    fn check_code(
        &self,
        config: &Config,
        name: &str,
        channel: Channel,
        code: &str,
        at_code: &str,
        at_clients: &str,
    ) -> Result<(), ConfigError> {
        let client = config
            .clients
            .get(name)
            .ok_or_else(|| ConfigError::new(at_clients, format_args!("there is no [clients.{name}]")))?;
        let sources = client.auth_sources.iter().filter_map(|source| config.auth_sources.get(source));
        let mut sources = sources.filter(|source| Channel::from(source.channel) == channel).peekable();
        if sources.peek().is_none() {
            let what = format!("[clients.{name}] has no auth source of the channel of the address");
            return Err(ConfigError::new(at_clients, what));
        }
        let length = code.chars().count();
        let default = CodePolicy::for_login().length();
        let mut of_length =
            sources.filter(|source| usize::from(source.code.length.unwrap_or(default)) == length).peekable();
        if of_length.peek().is_none() {
            let what = format!("no auth source of [clients.{name}] has codes of this length");
            return Err(ConfigError::new(at_code, what));
        }
        let can_be_of = |alphabet: &str| code.chars().all(|character| alphabet.contains(character));
        if !of_length.any(|source| can_be_of(source.code.alphabet.as_deref().unwrap_or(DIGITS))) {
            let what = format!("no auth source of [clients.{name}] has codes of these characters");
            return Err(ConfigError::new(at_code, what));
        }
        Ok(())
    }
}

/// Tells whether the file lists a test user with an address.
fn has_test_user(config: &Config, policy: &AddressPolicy, address: &Address) -> bool {
    config.users.list.iter().filter(|user| user.test).any(|user| match address {
        Address::Phone(number) => {
            user.phone_number.as_deref().is_some_and(|text| policy.phone_number(text).is_ok_and(|own| own == *number))
        }
        Address::Email(email) => {
            user.email.as_deref().is_some_and(|text| policy.email(text).is_ok_and(|own| own == *email))
        }
    })
}

/// The usual alphabet of codes.
const DIGITS: &str = "0123456789";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);
