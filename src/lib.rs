//! The core of an authorization server, for a service to embed. Users log in with one-time codes that are sent by SMS
//! or e-mail, and get OAuth 2.0 and OpenID Connect tokens.
//!
//! There is no redirect and no authorization endpoint. Clients redeem codes at the token endpoint, through extension
//! grants (RFC 6749 section 4.5).
//!
//! The crate does no I/O. The service that embeds it, the *host*, keeps its HTTP framework, its database, its user
//! directory and its message provider. Parallel requests can't exceed the limit of guesses, and each code can be
//! redeemed only once. Both need a store whose writes are atomic. Each change of state is one compare-and-swap of one
//! record.
//!
//! # Where to start
//!
//! 1. Begin with [`MemoryStore`] and [`MemoryDirectory`]. Later, replace them with types of your own. Implement
//!    [`Store`], which keeps records. Implement [`directory::ClientRegistry`] and [`directory::UserStore`], which
//!    together are a [`Directory`].
//! 2. Make the keys: a [`SigningKey`] signs tokens. A [`Keyring`] has two [`MasterKey`]s. The first derives the names
//!    under which records are stored. The second seals tokens (it authenticates their content) and derives codes.
//! 3. Build an [`AuthorizationServer`] with [`AuthorizationServer::builder`].
//! 4. Pass requests to [`AuthorizationServer::handle`]. It returns `None` for a path that is not the path of an
//!    endpoint. Send the code of each [`Delivery`], and write out each [`Reply`].
//!
//! The documentation of [`AuthorizationServer::handle`] has an example. [`Settings`] has the defaults.
//!
//! # The ports
//!
//! A port is a trait through which the crate reaches a part of the host.
//!
//! | port | what the host does | default |
//! |---|---|---|
//! | [`Store`] | keeps records: a load and an atomic swap | none; [`MemoryStore`] for one process |
//! | [`Directory`]: [`directory::ClientRegistry`] and [`directory::UserStore`] | knows clients and auth sources; knows users | none; [`MemoryDirectory`] for one process |
//! | [`jwt::Signer`] | signs in an HSM, a key service or another library | none; only a key outside the crate needs one |
//! | [`observer::Observer`] | receives an event for each send, login, refresh, sign-out and failure of a port. It also receives one for each wrong code, refused client, reused refresh token, reused DPoP proof, and refresh token that is bound to a key and comes without a proof of this key. | [`observer::NoObserver`] |
//! | [`time::Clock`] | gives the time | [`time::SystemClock`] |
//! | [`entropy::Entropy`] | gives random bytes | [`entropy::SystemEntropy`] |
//!
//! # The modules
//!
//! Each module holds one subject: its rules, its types and its port, if it has one.
//!
//! | module | subject |
//! |---|---|
//! | [`server`] | the authorization server, its builder and its routes |
//! | [`exchange`] | the server as a pure state machine, for hosts without a runtime and for other languages |
//! | [`settings`] | settings, the paths of endpoints, and the [`settings::danger`] functions that weaken a default |
//! | [`wire`] | requests, replies and errors |
//! | [`directory`] | clients, users and auth sources. An auth source is one channel, with the length, the alphabet and the validity of its login codes. |
//! | [`store`] | records, the port to persistence, and the suite that any store must pass |
//! | [`otp`] | codes, and the quotas of sends and guesses |
//! | [`session`] | login sessions and refresh tokens |
//! | [`jwt`] | signing keys, signatures and access tokens |
//! | [`message`] | the texts of SMS and e-mails that carry a code, in ten languages |
//! | [`dpop`] | DPoP: tokens that are bound to a key, and proofs of this key |
//! | [`guard`] | the send guard against messages that nobody reads: allowed countries, thresholds, and what the host knows of a request, such as a solved captcha |
//! | [`secret`] | secrets, codes and tokens, which are wiped when dropped; the keyring that seals tokens |
//! | [`address`], [`grant`], [`id`], [`scope`], [`time`] | types that the other modules use |
//! | [`memory`], [`entropy`], [`observer`] | the in-memory store and directory; the port to random bytes; the port to logs and metrics |
//! | [`testing`] | with the feature `testing`: what a service needs to test its own login |
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
//! An error says whose fault it is: the client's, the configuration's or the host's. No error echoes what was sent.
//!
//! A request that is answered with 503 can be repeated. The server gives back the guess or the send, and a code that
//! the request spent is usable again, as far as the store allows. Only a send whose message can't be delivered still
//! counts. A refresh is not undone: the client can repeat it within the retry window, or with
//! [`session::RefreshPolicy::Stable`] until the session ends. A client that authenticates by assertions or sends DPoP
//! proofs makes new ones for each repetition.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

pub mod address;
mod base64url;
mod change;
pub mod directory;
pub mod dpop;
pub mod entropy;
mod erased;
pub mod exchange;
mod flow;
pub mod grant;
pub mod guard;
pub mod id;
pub mod jwt;
pub mod memory;
pub mod message;
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
mod used_once;
pub mod wire;

pub use address::{Address, AddressPolicy, Channel};
pub use directory::{AuthSource, Client, Directory, User, UserStatus};
pub use grant::Usage;
pub use id::{AuthSourceId, ClientId, Issuer, Subject};
pub use jwt::SigningKey;
pub use memory::{MemoryDirectory, MemoryStore};
pub use scope::Scope;
pub use secret::{ClientSecret, Keyring, MasterKey};
pub use server::{AuthorizationServer, Delivery};
pub use settings::Settings;
pub use store::Store;
pub use wire::{DeliveryFailure, Reply, Request};

/// The example of the README, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
