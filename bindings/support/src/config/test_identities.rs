//! The addresses that log in with a fixed code.

use otp_grant::otp::TestIdentity;
use otp_grant::time::Timestamp;
use otp_grant::{Address, AddressPolicy, ClientId};
use serde::Deserialize;

use crate::error::{At, ConfigError, Misplaced};
use crate::values::Secret;

/// One test identity.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixedLogin {
    phone_number: Option<Secret>,
    email: Option<Secret>,
    code: Secret,
    clients: Vec<String>,
    /// Milliseconds since 1970.
    ends_at: u64,
}

/// Reads the addresses as the server does.
pub(crate) fn test_identities(
    logins: &[FixedLogin],
    addresses: &AddressPolicy,
) -> Result<Vec<TestIdentity>, ConfigError> {
    let logins = logins.iter().enumerate();
    logins.map(|(index, login)| login.identity(addresses, &format!("test_identities[{index}]"))).collect()
}

impl FixedLogin {
    fn identity(&self, addresses: &AddressPolicy, place: &str) -> Result<TestIdentity, ConfigError> {
        let address = match (&self.phone_number, &self.email) {
            (Some(number), None) => {
                let number = addresses.phone_number(number.expose()).at(format!("{place}.phone_number"))?;
                Address::Phone(number)
            }
            (None, Some(email)) => Address::Email(addresses.email(email.expose()).at(format!("{place}.email"))?),
            _ => return Err(ConfigError::new(place, "either phone_number or email is expected")),
        };
        if self.clients.is_empty() {
            return Err(ConfigError::new(format!("{place}.clients"), "a test identity names its clients"));
        }
        let clients = self.clients.iter().enumerate();
        let clients = clients.map(|(index, id)| ClientId::new(id).at(format!("{place}.clients[{index}]")));
        let clients = clients.collect::<Result<Vec<_>, ConfigError>>()?;
        Ok(TestIdentity::new(address, self.code.expose(), clients, Timestamp::from_unix_millis(self.ends_at)))
    }
}
