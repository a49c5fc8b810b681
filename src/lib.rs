//! The authorization core that a service embeds to log its users in with one-time codes, sent by SMS or e-mail, and to issue
//! OAuth 2.0 / OpenID Connect tokens for them.
//!
//! The crate is all of the authorization server except I/O. The service that embeds it, the *host*, keeps its HTTP framework,
//! its database, its user directory and its message provider. Every change of state is one compare-and-swap of one record, and a
//! reply follows only from what is stored.
//!
//! # Where to start
//!
//! 1. Implement the ports that your service has: a [`Store`] for records and a [`Directory`] of clients and users. Begin with
//!    [`MemoryStore`] and [`MemoryDirectory`].
//! 2. Make the keys: a [`Keyring`] of two [`MasterKey`]s, and a [`SigningKey`].
//! 3. Put an [`AuthorizationServer`] together with [`AuthorizationServer::builder`].
//! 4. Route every request of its endpoints to [`AuthorizationServer::handle`], send the codes of each [`Delivery`], and write out
//!    each [`Reply`].
//!
//! The example below [`AuthorizationServer::handle`] is a whole host without HTTP.
//!
//! # The ports
//!
//! | port | what the host does | defaults to |
//! |---|---|---|
//! | [`Store`] | keeps records: a load and an atomic swap | none; [`MemoryStore`] for one process |
//! | [`Directory`] | knows clients, auth sources and users | none; [`MemoryDirectory`] for one process |
//! | [`jwt::Signer`] | signs in an HSM, a key service or another library | the keys of [`SigningKey`] |
//! | [`observer::Observer`] | hears of logins, failures, throttling and stolen tokens | [`observer::NoObserver`] |
//! | [`time::Clock`] | gives the time | [`time::SystemClock`] |
//! | [`entropy::Entropy`] | gives random bytes | [`entropy::SystemEntropy`] |
//!
//! # The modules
//!
//! Each module holds one subject: its port, its rules and its words.
//!
//! | module | subject |
//! |---|---|
//! | [`server`] | the authorization server, its builder and its routes |
//! | [`settings`] | settings, the paths of endpoints, and what weakens a default |
//! | [`wire`] | requests, replies and errors |
//! | [`directory`] | clients, auth sources and users |
//! | [`store`] | records, the port to persistence, and the suite that any store must pass |
//! | [`otp`] | codes, and the quotas of sends and guesses |
//! | [`session`] | login sessions and refresh tokens |
//! | [`jwt`] | keys, signatures and access tokens |
//! | [`secret`] | secrets, codes and tokens that wipe themselves, and the keyring that seals them |
//! | [`address`], [`grant`], [`id`], [`scope`], [`time`] | words that the others use |
//! | [`memory`], [`entropy`], [`observer`] | the embedded store and directory, and the smaller ports |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `idn` | on | e-mail addresses with international domains |
//! | `http` | off | conversions from and to the types of the `http` crate |
//! | `tracing` | off | an observer that writes events through `tracing` |
//! | `conformance` | off | [`store::conformance`], the suite that any store must pass |
//! | `testing` | off | a clock, random bytes and an outbox for tests of a service's own login |
//!
//! # Errors and retries
//!
//! An error says whose fault it is: the client's, the configuration's or the host's. A reply with the status 503 can be retried. It
//! took back what it had stored, as far as the store allowed. No error echoes what was sent.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

pub mod address;
mod base64url;
mod change;
pub mod directory;
pub mod entropy;
mod erased;
mod flow;
pub mod grant;
pub mod id;
pub mod jwt;
pub mod memory;
pub mod observer;
pub mod otp;
pub mod scope;
pub mod secret;
pub mod server;
pub mod session;
pub mod settings;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
mod unknown_members;
pub mod wire;

pub use address::{
    Address, AddressPolicy, Channel, EmailAddress, InvalidCountryCode, MalformedEmail, MalformedPhoneNumber,
    PhoneNumber,
};
pub use directory::{
    AuthSource, Client, ClientRegistry, CustomClaims, Directory, InvalidClaim, ScopeNotAllowed, SignUp, User,
    UserClaims, UserStatus, UserStore,
};
pub use entropy::{Entropy, EntropyUnavailable, SystemEntropy};
pub use grant::{CustomUsage, Grant, InvalidUsage, Usage};
pub use id::{AuthSourceId, ClientId, InvalidId, Issuer, RecordKey, SessionId, Subject, Tag, TokenId};
pub use jwt::jws;
pub use jwt::*;
pub use memory::{MemoryDirectory, MemoryStore};
#[cfg(feature = "tracing")]
pub use observer::TracingObserver;
pub use observer::{Event, NoObserver, Observer};
pub use otp::{CodePolicy, InvalidCodePolicy, Quota};
pub use scope::{InvalidScope, Scope};
pub use secret::{AccessToken, ClientSecret, Code, IdToken, OtpToken, PresentedSecret, RefreshToken};
pub use secret::{InvalidMasterKey, Keyring, MasterKey};
pub use server::*;
pub use session::{InvalidRefreshPolicy, RefreshPolicy, SessionValidity};
pub use settings::{EMAIL_GRANT_TYPE, Endpoints, SMS_GRANT_TYPE, Settings, danger};
#[cfg(feature = "conformance")]
pub use store::conformance;
pub use store::{InvalidRecord, Record, RecordBody, Store, Swap};
pub use time::{Clock, SystemClock, Timestamp};
pub use wire::*;

/// The example of the README, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
