//! The flows: one endpoint per file. Each file reads from top to bottom.
//!
//! The endpoints are [`send_otp`], [`otp_grant`], [`refresh_grant`], [`verify_otp`], [`revoke`], [`introspect`] and
//! [`userinfo`]. The host's staff use [`support`]. They share [`delivery`], [`tokens`], [`guess`], [`guard`],
//! [`caller`], [`device_token`], [`check_access_token`], [`narrow`], [`used_once`], [`commit`], [`record`] and
//! [`core`](self::core). In this list, each file uses only files that stand behind it.

mod caller;
pub(crate) mod check_access_token;
pub(crate) mod check_keyring;
mod commit;
pub(crate) mod core;
pub(crate) mod delivery;
mod device_token;
pub(crate) mod dpop;
mod guard;
mod guess;
pub(crate) mod introspect;
mod narrow;
pub(crate) mod otp_grant;
mod random_pool;
mod record;
pub(crate) mod refresh_grant;
pub(crate) mod revoke;
pub(crate) mod send_otp;
pub(crate) mod support;
mod tokens;
mod used_once;
pub(crate) mod userinfo;
pub(crate) mod verify_otp;
