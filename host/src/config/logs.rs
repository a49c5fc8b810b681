//! What the log has beside events: the members of `[logs]`.

use serde::Deserialize;

/// What the log has beside events.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logs {
    pub(crate) client_address: ShownAddress,
}

/// How much of the address of a client is in the log. It is personal data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShownAddress {
    /// Nothing.
    #[default]
    Off,
    /// The network: the first 24 bits of an IPv4 address, or the first 48 of an IPv6 address.
    Network,
    /// The whole address.
    Full,
}
