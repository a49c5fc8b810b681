//! What a client may do with a code, and what a code is asked for.

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
    /// The OTP grant of a channel.
    pub fn otp(channel: Channel) -> Self {
        match channel {
            Channel::Sms => Self::OtpSms,
            Channel::Email => Self::OtpEmail,
        }
    }
}

/// What a code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// To log in: redeemed at the token endpoint.
    Login,
    /// To create an account: redeemed with [`AuthorizationServer::verify`](crate::AuthorizationServer::verify),
    /// as the following ones are.
    Signup,
    /// To change a user's phone number or e-mail address.
    UpdateUserinfo,
    /// To set a new password.
    ResetPassword,
}

impl Usage {
    /// The value on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Signup => "signup",
            Self::UpdateUserinfo => "update_userinfo",
            Self::ResetPassword => "reset_password",
        }
    }

    /// Reads the value on the wire.
    pub fn from_wire(text: &str) -> Option<Self> {
        [Self::Login, Self::Signup, Self::UpdateUserinfo, Self::ResetPassword]
            .into_iter()
            .find(|usage| usage.as_str() == text)
    }
}
