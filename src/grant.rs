//! The grants that a client may use, and the usages that a code is requested for.

use crate::address::Channel;

/// A grant type that a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grant {
    /// A one-time code that was sent to a phone number.
    OtpSms,
    /// A one-time code that was sent to an e-mail address.
    OtpEmail,
    /// A refresh token (RFC 6749 section 6).
    RefreshToken,
}

impl Grant {
    /// Returns the OTP grant of a channel.
    pub fn otp(channel: Channel) -> Self {
        match channel {
            Channel::Sms => Self::OtpSms,
            Channel::Email => Self::OtpEmail,
        }
    }
}

/// What a code is requested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Usage {
    /// To log in. The code is redeemed at the token endpoint.
    Login,
    /// To create an account. The code is redeemed with
    /// [`AuthorizationServer::verify`](crate::AuthorizationServer::verify), as for all usages below.
    Signup,
    /// To change a user's phone number or e-mail address.
    UpdateUserinfo,
    /// To set a new password.
    ResetPassword,
    /// A usage that the host defines, such as the confirmation of a payment. The [settings](crate::Settings::usages)
    /// must name it.
    Custom(CustomUsage),
}

impl Usage {
    /// Returns the value on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Custom(usage) => usage.as_str(),
            built_in => built_in.built_in_name().unwrap_or_default(),
        }
    }

    /// Reads the value on the wire of a built-in usage.
    pub fn from_wire(text: &str) -> Option<Self> {
        BUILT_IN.into_iter().find(|usage| usage.built_in_name() == Some(text))
    }

    /// Returns the bytes of the usage in the binding of an otp_token. A custom usage never has the bytes of a built-in
    /// one, not even of one that a later version adds.
    pub(crate) fn in_binding(&self) -> &[u8] {
        match self {
            Self::Custom(usage) => usage.prefixed(),
            built_in => built_in.built_in_name().unwrap_or_default().as_bytes(),
        }
    }

    const fn built_in_name(self) -> Option<&'static str> {
        Some(match self {
            Self::Login => "login",
            Self::Signup => "signup",
            Self::UpdateUserinfo => "update_userinfo",
            Self::ResetPassword => "reset_password",
            Self::Custom(_) => return None,
        })
    }
}

/// Writes the value on the wire.
impl core::fmt::Display for Usage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a usage that the host defines: 1 to 32 lower-case letters, digits and underscores, beginning with a
/// letter.
///
/// A client requests such a code at the send endpoint, without an auth source. The host redeems the code with
/// [`AuthorizationServer::verify`](crate::AuthorizationServer::verify). The code is good for this usage alone.
///
/// ```
/// use otp_grant::{Settings, Usage};
/// use otp_grant::grant::CustomUsage;
///
/// let payment = CustomUsage::new("confirm_payment")?;
/// let mut settings = Settings::default();
/// settings.usages = vec![payment];
/// assert_eq!(Usage::Custom(payment).as_str(), "confirm_payment");
/// assert!(CustomUsage::new("login").is_err());
/// # Ok::<(), otp_grant::grant::InvalidUsage>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CustomUsage {
    /// The prefix, the name, and zeros. The bytes are stored in place, and so a usage can be copied.
    bytes: [u8; PREFIX.len() + LONGEST],
    end: usize,
}

impl CustomUsage {
    /// Names a usage.
    ///
    /// # Errors
    /// [`InvalidUsage`] when the name is the name of a built-in usage, is too long, or has a character that is not
    /// allowed.
    pub fn new(name: &str) -> Result<Self, InvalidUsage> {
        let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !is_name || Usage::from_wire(name).is_some() {
            return Err(InvalidUsage);
        }
        let mut bytes = [0; PREFIX.len() + LONGEST];
        let (prefix, rest) = bytes.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        rest.get_mut(..name.len()).ok_or(InvalidUsage)?.copy_from_slice(name.as_bytes());
        Ok(Self { bytes, end: PREFIX.len() + name.len() })
    }

    /// Returns the value on the wire.
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(PREFIX.len()..self.end);
        name.and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }

    fn prefixed(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or(&self.bytes)
    }
}

impl core::fmt::Debug for CustomUsage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("CustomUsage").field(&self.as_str()).finish()
    }
}

/// The text is not a name for a usage that the host defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidUsage;

impl core::fmt::Display for InvalidUsage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a name for a usage of the host's own")
    }
}

impl core::error::Error for InvalidUsage {}

const BUILT_IN: [Usage; 4] = [Usage::Login, Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword];

/// No built-in usage has a colon in its name.
const PREFIX: &[u8; 7] = b"custom:";
const LONGEST: usize = 32;
