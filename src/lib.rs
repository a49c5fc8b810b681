#![doc = include_str!("../README.md")]

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
pub mod time;
mod unknown;
pub mod wire;

pub use address::{
    Address, AddressPolicy, Channel, EmailAddress, InvalidCountryCode, MalformedEmail, MalformedPhoneNumber,
    PhoneNumber,
};
pub use directory::{AuthSource, Client, Directory, ScopeNotAllowed, User, UserClaims, UserStatus};
pub use entropy::{Entropy, EntropyUnavailable, SystemEntropy};
pub use grant::{Grant, Usage};
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
