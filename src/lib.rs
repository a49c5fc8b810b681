#![doc = include_str!("../README.md")]

// Words.
mod address;
mod base64url;
mod grant;
mod id;
mod scope;
mod secret;
mod time;
mod user;

// The wire.
mod error;
mod reply;
mod request;
mod wire;

// Rules: state machines and decisions, without I/O, time or randomness of their own.
mod authenticator;
mod challenge;
mod claims;
mod client;
mod decision;
mod keys_in_use;
mod meter;
mod revoked_tokens;
mod session;
mod unknown;

// Keys.
mod access_token;
mod code;
mod jwk;
pub mod jws;
mod key_file;
mod keyring;
mod sealed;
mod signer;
mod signing_key;
mod signing_keys;

// Ports.
mod clock;
mod directory;
mod entropy;
mod observer;
mod store;

// Flows.
mod builder;
mod config;
mod endpoints;
mod flow;
mod metadata;
mod route;
mod server;

// Outside.
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "http")]
mod http;
mod memory;
#[cfg(feature = "tracing")]
mod trace;

pub use access_token::{AccessTokenClaims, AccessTokenError, AccessTokenVerifier, Audience};
pub use address::{
    Address, AddressPolicy, Channel, EmailAddress, InvalidCountryCode, MalformedEmail, MalformedPhoneNumber,
    PhoneNumber,
};
pub use builder::{ConfigError, ServerBuilder};
pub use claims::{AccessTokenProfile, TokenValidity};
pub use client::{
    AuthSource, Client, CodePolicy, InvalidCodePolicy, InvalidRefreshPolicy, RefreshPolicy, ScopeNotAllowed,
};
pub use clock::{Clock, SystemClock};
pub use config::{EMAIL_GRANT_TYPE, SMS_GRANT_TYPE, Settings, danger};
pub use directory::Directory;
pub use endpoints::Endpoints;
pub use entropy::{Entropy, EntropyUnavailable, SystemEntropy};
pub use error::{DeliveryFailure, SendError, TokenError, TokenQueryError, Unavailable, UserinfoError};
pub use flow::access_token::CheckError;
pub use flow::keyring::{KeyringCheck, KeyringError};
pub use flow::send_otp::Delivery;
pub use flow::verify_otp::{VerifiedAddress, VerifyError, VerifyOtp};
pub use grant::{Grant, Usage};
pub use id::{AuthSourceId, ClientId, InvalidId, Issuer, RecordKey, SessionId, Subject, Tag, TokenId};
pub use jwk::{Algorithm, KeyError, PublicKey, PublicKeySet};
pub use jws::JwsError;
pub use key_file::KeyFile;
pub use keyring::{InvalidMasterKey, Keyring, MasterKey};
pub use memory::{MemoryDirectory, MemoryStore};
pub use meter::Quota;
pub use observer::{Event, NoObserver, Observer};
pub use reply::{ActiveToken, Introspection, Reply, TokenKind, TokenResponse, UserinfoResponse};
pub use request::{
    AskedScope, ClientCredentials, OtpGrantRequest, RefreshGrantRequest, Request, SendRequest, TokenQuery,
    TokenRequest, UserinfoRequest,
};
pub use scope::{InvalidScope, Scope};
pub use secret::{AccessToken, ClientSecret, Code, IdToken, OtpToken, PresentedSecret, RefreshToken};
pub use server::AuthorizationServer;
pub use session::SessionValidity;
pub use signer::{Signer, SignerError};
pub use signing_key::SigningKey;
pub use signing_keys::SigningKeys;
pub use store::{InvalidRecord, Record, RecordBody, Store, Swap};
pub use time::Timestamp;
#[cfg(feature = "tracing")]
pub use trace::TracingObserver;
pub use user::{User, UserClaims, UserStatus};
pub use wire::InvalidRequest;
