//! The names that the file has for values of the crate.

use otp_grant::directory::ClientAuthMethod;
use otp_grant::dpop::{DpopPolicy, DpopSupport};
use otp_grant::grant::Grant;
use otp_grant::{Channel, UserStatus};
use serde::Deserialize;

/// A channel, as the file names it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelName {
    Sms,
    Email,
}

impl From<ChannelName> for Channel {
    fn from(name: ChannelName) -> Self {
        match name {
            ChannelName::Sms => Self::Sms,
            ChannelName::Email => Self::Email,
        }
    }
}

/// A grant, as the file names it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GrantName {
    Sms,
    Email,
    RefreshToken,
}

impl From<GrantName> for Grant {
    fn from(name: GrantName) -> Self {
        match name {
            GrantName::Sms => Self::OtpSms,
            GrantName::Email => Self::OtpEmail,
            GrantName::RefreshToken => Self::RefreshToken,
        }
    }
}

/// A method of authentication, as the file names it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthMethodName {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    None,
}

impl From<AuthMethodName> for ClientAuthMethod {
    fn from(name: AuthMethodName) -> Self {
        match name {
            AuthMethodName::ClientSecretBasic => Self::ClientSecretBasic,
            AuthMethodName::ClientSecretPost => Self::ClientSecretPost,
            AuthMethodName::PrivateKeyJwt => Self::PrivateKeyJwt,
            AuthMethodName::None => Self::None,
        }
    }
}

/// Whether the host reads proofs of DPoP, as the file says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DpopName {
    #[default]
    Off,
    On,
    Strict,
}

impl From<DpopName> for DpopSupport {
    fn from(name: DpopName) -> Self {
        match name {
            DpopName::Off => Self::Off,
            DpopName::On => Self::On,
            DpopName::Strict => Self::Strict,
        }
    }
}

/// What a client proves with DPoP, as the file names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DpopPolicyName {
    #[default]
    Off,
    Accepted,
    Required,
    RequiredWithNonce,
}

impl From<DpopPolicyName> for DpopPolicy {
    fn from(name: DpopPolicyName) -> Self {
        match name {
            DpopPolicyName::Off => Self::Off,
            DpopPolicyName::Accepted => Self::Accepted,
            DpopPolicyName::Required => Self::Required,
            DpopPolicyName::RequiredWithNonce => Self::RequiredWithNonce,
        }
    }
}

/// A refresh policy, as the file names it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefreshName {
    Rotate,
    Stable,
}

/// The language of the login page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageLocaleName {
    #[default]
    En,
    Ar,
    /// The first that the browser asks for.
    Auto,
}

/// The status of a user, as the file and the table name it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusName {
    #[default]
    Active,
    Locked,
    Frozen,
    Inactive,
}

impl From<StatusName> for UserStatus {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Active => Self::Active,
            StatusName::Locked => Self::Locked,
            StatusName::Frozen => Self::Frozen,
            StatusName::Inactive => Self::Inactive,
        }
    }
}
