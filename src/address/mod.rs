//! Phone numbers and e-mail addresses. Each address is parsed and normalised once and then has one spelling. The rules
//! that say which addresses share a budget also live here.

mod email;
mod phone_number;
mod policy;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use crate::address::email::{EmailAddress, MalformedEmail};
pub use crate::address::phone_number::{MalformedPhoneNumber, PhoneNumber};
pub use crate::address::policy::{AddressPolicy, InvalidCountryCode};

/// A phone number or an e-mail address.
///
/// ```
/// use otp_grant::{Address, AddressPolicy, Channel};
///
/// let number = AddressPolicy::default().phone_number("+1 (202) 555-0123").unwrap();
/// let address = Address::Phone(number);
/// assert_eq!((address.channel(), address.as_str()), (Channel::Sms, "+12025550123"));
/// assert_eq!(format!("{address:?}"), "Phone(PhoneNumber(..))");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a host that delivers codes has to learn of another kind from its compiler"
)]
pub enum Address {
    /// A phone number.
    Phone(PhoneNumber),
    /// An e-mail address.
    Email(EmailAddress),
}

impl Address {
    /// Returns how a code reaches the address.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Phone(_) => Channel::Sms,
            Self::Email(_) => Channel::Email,
        }
    }

    /// Returns the normalised address as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(number) => number.as_str(),
            Self::Email(email) => email.as_str(),
        }
    }
}

/// Says how a code reaches its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a host that delivers codes has to learn of another kind from its compiler"
)]
pub enum Channel {
    /// A text message to a phone number.
    Sms,
    /// A message to an e-mail address.
    Email,
}
