//! The flows: one endpoint per file, each read from its first line to its last.
//!
//! The endpoints are [`send_otp`], [`otp_grant`], [`refresh_grant`], [`verify_otp`], [`revoke`], [`introspect`] and
//! [`userinfo`]. They share, from top to bottom, [`tokens`], [`guess`], [`caller`], [`access_token`], [`narrow`],
//! [`turn`], [`record`] and [`core`](self::core).

pub(crate) mod access_token;
mod caller;
pub(crate) mod core;
mod guess;
pub(crate) mod introspect;
pub(crate) mod keyring;
mod narrow;
pub(crate) mod otp_grant;
mod random_pool;
mod record;
pub(crate) mod refresh_grant;
pub(crate) mod revoke;
pub(crate) mod send_otp;
mod tokens;
mod turn;
pub(crate) mod userinfo;
pub(crate) mod verify_otp;
